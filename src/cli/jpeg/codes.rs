//! Huffman codes that are followed, not decoded: only where they end is asked.

/// Bits that are looked up at once for one code.
const ONE: u32 = 9;

/// One table of codes (ITU-T T.81, annex C).
pub struct Codes {
    /// Value and length of the code that begins some bits. 0: it is longer.
    one: [u16; 1 << ONE],
    /// The first code that is too large for each length, as of 16 bits, and from a code to the place of its value.
    above: [u32; 17],
    place: [i32; 17],
    values: [u8; 256],
}

impl Codes {
    /// A table of so many codes of each length, for these values.
    pub fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut codes =
            Self { one: [0; 1 << ONE], above: [0; 17], place: [0; 17], values: [0; 256] };
        codes.values.get_mut(..values.len())?.copy_from_slice(values);
        let (mut code, mut at) = (0, 0);
        for (length, count) in (1..).zip(counts) {
            codes.place[length] = at - code as i32;
            for _ in 0..*count {
                let value = u16::from(*values.get(at as usize)?);
                if let Some(free) = (ONE as usize).checked_sub(length) {
                    let same = codes.one.get_mut(code << free..(code + 1) << free)?;
                    same.fill(value << 8 | length as u16);
                }
                code += 1;
                at += 1;
            }
            if code > 1 << length {
                return None;
            }
            codes.above[length] = (code << (16 - length)) as u32;
            code <<= 1;
        }
        Some(codes)
    }

    /// The value and the length of the code that begins some bits.
    #[inline]
    pub fn code(&self, bits: u64) -> Option<(u8, u32)> {
        match self.one[(bits >> (64 - ONE)) as usize] {
            0 => self.long(bits),
            known => Some(((known >> 8) as u8, (known & 0xff).into())),
        }
    }

    #[inline(never)]
    fn long(&self, bits: u64) -> Option<(u8, u32)> {
        let top = (bits >> 48) as u32;
        let length = (1..=16).find(|n| top < self.above[*n])?;
        let at = self.place[length] + (top >> (16 - length)) as i32;
        Some((*self.values.get(usize::try_from(at).ok()?)?, length as u32))
    }
}

/// The bits between two markers. Behind their end are zeros.
pub struct Bits<'a> {
    rest: &'a [u8],
    /// The next ones from the top, and how many they are.
    next: u64,
    count: u32,
    /// Those of them that are behind the end.
    lacking: u32,
    /// Blocks that are said to have no further coefficients.
    run: u32,
}

impl<'a> Bits<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest, next: 0, count: 0, lacking: 0, run: 0 }
    }

    /// Whether more was read than is there.
    pub fn is_short(&self) -> bool {
        self.count < self.lacking
    }

    /// Whether all was read but for less than a byte, or bytes of nothing but zeros or ones, with which some
    /// programs pad their files.
    pub fn ends(mut self) -> bool {
        self.fill();
        let (mut zeros, mut ones) = (true, true);
        self.skip(self.count % 8);
        while self.count > self.lacking && (zeros || ones) {
            (zeros, ones) = (zeros && self.next >> 56 == 0, ones && self.next >> 56 == 0xff);
            self.skip(8);
            self.fill();
        }
        !self.is_short() && (zeros || ones)
    }

    /// Makes them 56 at least.
    #[inline(always)]
    fn fill(&mut self) {
        if let Some(word) = self.rest.first_chunk() {
            let word = u64::from_be_bytes(*word);
            // None of the bytes is 0xff.
            if (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                self.next |= word >> self.count;
                self.rest = &self.rest[((63 - self.count) / 8) as usize..];
                self.count |= 56;
                return;
            }
        }
        self.fill_slowly();
    }

    #[inline(never)]
    fn fill_slowly(&mut self) {
        while self.count < 56 {
            let byte = match *self.rest {
                // A zero follows.
                [0xff, ref rest @ ..] => {
                    self.rest = rest.get(1..).unwrap_or(&[]);
                    0xff
                }
                [byte, ref rest @ ..] => {
                    self.rest = rest;
                    byte
                }
                [] => {
                    self.lacking += 8;
                    0
                }
            };
            self.next |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.next <<= count;
        self.count -= count;
    }

    /// Passes a bit.
    pub fn bit(&mut self) {
        self.fill();
        self.skip(1);
    }

    /// Passes the difference to the mean of the block before.
    #[inline(always)]
    pub fn mean(&mut self, codes: &Codes) -> Option<()> {
        self.fill();
        let (size, length) = codes.code(self.next)?;
        self.skip(length + u32::from(size & 15));
        Some(())
    }

    /// Passes a code, whose value is a length of zeros and the bits that follow.
    fn pair(&mut self, codes: &Codes) -> Option<(u32, u32)> {
        self.fill();
        let (value, length) = codes.code(self.next)?;
        self.skip(length);
        Some((u32::from(value >> 4), u32::from(value & 15)))
    }

    /// Passes what a first scan has of the coefficients of a block from one to another, and adds those that are
    /// not 0 to the known ones (G.1.2.2).
    pub fn first(
        &mut self,
        codes: &Codes,
        (mut k, last): (u32, u32),
        known: &mut u64,
    ) -> Option<()> {
        if let Some(run) = self.run.checked_sub(1) {
            self.run = run;
            return Some(());
        }
        while k <= last {
            let (run, size) = self.pair(codes)?;
            match (run, size) {
                (15, 0) => k += 16,
                (_, 0) => {
                    self.run = self.blocks(run) - 1;
                    break;
                }
                _ => {
                    self.skip(size);
                    *known |= 1u64.checked_shl(k + run).unwrap_or(0);
                    k += run + 1;
                }
            }
        }
        Some(())
    }

    /// Passes what a later scan has of them: a bit for each that is known, and new ones between those (G.1.2.3).
    pub fn later(
        &mut self,
        codes: &Codes,
        (mut k, last): (u32, u32),
        known: &mut u64,
    ) -> Option<()> {
        while self.run == 0 && k <= last {
            let (mut zeros, size) = self.pair(codes)?;
            let new = size != 0;
            self.skip(new.into());
            if !new && zeros < 15 {
                self.run = self.blocks(zeros);
                break;
            }
            while k <= last {
                if *known >> k & 1 != 0 {
                    self.bit();
                } else if let Some(less) = zeros.checked_sub(1) {
                    zeros = less;
                } else {
                    break;
                }
                k += 1;
            }
            if new && k <= last {
                *known |= 1 << k;
            }
            k += 1;
        }
        if self.run > 0 {
            (k..=last).filter(|k| *known >> k & 1 != 0).for_each(|_| self.bit());
            self.run -= 1;
        }
        Some(())
    }

    /// The length of a run of blocks, this one with them.
    fn blocks(&mut self, size: u32) -> u32 {
        let more = self.next.checked_shr(64 - size).unwrap_or(0) as u32;
        self.skip(size);
        (1 << size) + more
    }
}
