//! Scans of whole blocks, followed code by code to their ends, at several places at a time.
//!
//! Where a code ends says where the next one begins, and a processor waits for that most of the time. Four walks in
//! turn take little more time than one. They begin behind markers or, where there are none, anywhere in a scan: Huffman
//! codes soon fall into step. What such a walk finds counts from the unit on at which the walk before it arrives.

use super::codes::Codes;
use memchr::memchr;
use std::array::from_fn;
use std::iter::repeat;

/// Walks at a time.
const WALKS: usize = 4;
/// Shortest part of a scan for one of them, in bits.
const PART: usize = 1 << 16;
/// Units of a walk that are remembered.
const MARKS: usize = 64;
/// Turns between two looks at where walks are. In each of them they pass two steps at most.
const TURNS: usize = 1 << 9;
/// What a step reads at most, in bits.
const STEP: usize = 64;
/// Bits that are looked up at once, for several short codes.
const MANY: u32 = 12;

/// Fields of an entry of a table: bits of whole codes with the values behind them, coefficients that these are, whether
/// the block ends with them, and steps that do.
const TOTAL: u16 = 31;
const REACH: u32 = 5;
const END: u16 = 1 << 11;
const STEPS: u32 = 12;
/// The entry of codes that are longer.
const LONG: u16 = 63 << REACH;
/// Entries of eight tables.
const ALL: usize = 8 << MANY;

/// The codes of a unit: for each block a step for the mean and one for the other coefficients.
pub struct Unit<'a> {
    steps: usize,
    /// Where the table of each of them begins; and again and again for the units behind.
    tables: Box<[u16; 4 * TURNS]>,
    many: Box<[u16; ALL]>,
    /// All tables, of means and of coefficients.
    all: Vec<(Option<&'a Codes>, &'a Codes)>,
}

/// Entropy-coded data without zeros behind 0xff.
pub struct Data {
    bytes: Vec<u8>,
    intervals: Vec<Interval>,
}

/// What is between two markers: the first bit, the one behind the last, and units.
#[derive(Debug, Clone, Copy)]
struct Interval {
    from: usize,
    to: usize,
    units: usize,
}

/// The next bit, the step of a unit that it belongs to, coefficients that are left in it; and units that were passed.
#[derive(Debug, Clone, Copy)]
struct Walk {
    bit: usize,
    step: usize,
    left: i32,
    units: usize,
}

impl Walk {
    /// One that begins with a unit.
    fn at(bit: usize) -> Self {
        Self { bit, step: 0, left: 63, units: 0 }
    }

    /// With units for as many steps.
    fn counted(self, steps: usize) -> Self {
        if self.step < steps {
            return self;
        }
        let (units, step) = (self.units + self.step / steps, self.step % steps);
        Self { units, step, ..self }
    }
}

impl Data {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + STEP / 8), intervals: Vec::new() }
    }

    /// Appends what is between two markers.
    pub fn push(&mut self, mut data: &[u8], units: usize) {
        let from = 8 * self.bytes.len();
        while let Some(at) = memchr(0xff, data) {
            self.bytes.extend_from_slice(&data[..=at]);
            // A zero follows.
            data = data.get(at + 2..).unwrap_or(&[]);
        }
        self.bytes.extend_from_slice(data);
        self.intervals.push(Interval { from, to: 8 * self.bytes.len(), units });
    }
}

impl<'a> Unit<'a> {
    /// Of blocks with these codes for means and for the other coefficients; `None` if there are none.
    pub fn new(blocks: &[(&'a Codes, &'a Codes)]) -> Option<Self> {
        if blocks.is_empty() {
            return None;
        }
        let mut unit = Self {
            steps: 2 * blocks.len(),
            tables: vec![0; 4 * TURNS].try_into().ok()?,
            many: vec![0; ALL].try_into().ok()?,
            all: Vec::new(),
        };
        let steps = blocks.iter().flat_map(|(m, codes)| [(Some(*m), *codes), (None, *codes)]);
        for (step, (means, codes)) in steps.enumerate() {
            let address =
                |codes: Option<&Codes>| codes.map_or(std::ptr::null(), std::ptr::from_ref);
            let same = |of: &(Option<&Codes>, &Codes)| {
                address(of.0) == address(means) && std::ptr::eq(of.1, codes)
            };
            let number = unit.all.iter().position(same).unwrap_or(unit.all.len());
            if number == unit.all.len() {
                table(means, codes, unit.many.get_mut(number << MANY..(number + 1) << MANY)?);
                unit.all.push((means, codes));
            }
            *unit.tables[..2 * TURNS].get_mut(step)? = (number << MANY) as u16;
        }
        for step in unit.steps..unit.tables.len() {
            unit.tables[step] = unit.tables[step - unit.steps];
        }
        Some(unit)
    }

    /// Whether all intervals end with their last units, but for padding.
    pub fn fits(&self, data: &mut Data) -> bool {
        data.bytes.extend([0; STEP / 8]);
        let bytes = &data.bytes;
        data.intervals.chunks(WALKS).all(|intervals| {
            let begun = match <[Interval; WALKS]>::try_from(intervals) {
                Ok(all) => self.begun(bytes, all).map(Vec::from),
                Err(_) => Some(intervals.iter().map(|one| self.ahead(bytes, *one)).collect()),
            };
            let begun = begun.unwrap_or_default().into_iter().chain(repeat(None));
            intervals.iter().zip(begun).all(|(interval, begun)| {
                // One with all units was in padding already.
                let begun = begun.filter(|walk| walk.units < interval.units);
                self.ends(bytes, begun.unwrap_or(Walk::at(interval.from)), *interval)
            })
        })
    }

    /// Walks over as many intervals at a time, not to their ends.
    fn begun(&self, bytes: &[u8], all: [Interval; WALKS]) -> Option<[Option<Walk>; WALKS]> {
        let mut walks = all.map(|interval| Walk::at(interval.from));
        self.together(bytes, &mut walks, all.map(|interval| interval.to.saturating_sub(STEP)))?;
        Some(walks.map(Some))
    }

    /// Whether a walk that goes on finds the end.
    fn ends(&self, bytes: &[u8], mut walk: Walk, Interval { to, units, .. }: Interval) -> bool {
        while walk.units < units && walk.bit <= to {
            match self.step(bytes, walk) {
                Some(next) => walk = next.counted(self.steps),
                None => return false,
            }
        }
        // Some programs pad their files with bytes of zeros or of ones.
        let rest = bytes.get(walk.bit.div_ceil(8)..to / 8);
        let pads = |rest: &[u8], byte| rest.iter().all(|b| *b == byte);
        walk.bit <= to && walk.units == units && rest.is_some_and(|r| pads(r, 0) || pads(r, 0xff))
    }

    /// A place where the walk over an interval will arrive, found by several that begin in it.
    fn ahead(&self, bytes: &[u8], Interval { from, to, .. }: Interval) -> Option<Walk> {
        let part = (to - from) / WALKS / 8 * 8;
        if part < PART {
            return None;
        }
        let mut walks: [_; WALKS] = from_fn(|i| Walk::at(from + i * part));
        let mut ends = walks.map(|walk| walk.bit + part);
        ends[WALKS - 1] = to - STEP;
        // Where their first units begin.
        let mut marks: [Vec<usize>; WALKS] = from_fn(|_| Vec::new());
        for (walk, marks) in walks.iter_mut().zip(&mut marks).skip(1) {
            while marks.len() < MARKS {
                if walk.bit >= to {
                    return None;
                }
                if walk.step == 0 {
                    marks.push(walk.bit);
                }
                *walk = match self.step(bytes, *walk) {
                    Some(walk) => walk.counted(self.steps),
                    None => {
                        marks.clear();
                        Walk::at(walk.bit + 1)
                    }
                };
            }
        }
        self.together(bytes, &mut walks, ends)?;
        for (walk, end) in walks.iter_mut().zip(ends) {
            let mut alone = [*walk];
            self.together(bytes, &mut alone, [end])?;
            *walk = alone[0];
        }
        let mut walk = walks[0];
        for (next, marks) in walks.iter().zip(&marks).skip(1) {
            let passed = loop {
                match marks.binary_search(&walk.bit) {
                    Ok(passed) if walk.step == 0 => break passed,
                    Err(behind) if behind == marks.len() => return None,
                    _ => walk = self.step(bytes, walk)?.counted(self.steps),
                }
            };
            walk = Walk { units: walk.units + next.units - passed, ..*next };
        }
        Some(walk)
    }

    /// Walks in turn until one of them is near its end. `None` if one comes to what is no code.
    #[inline(never)]
    fn together<const N: usize>(
        &self,
        bytes: &[u8],
        walks: &mut [Walk; N],
        ends: [usize; N],
    ) -> Option<()> {
        loop {
            let left = walks.iter().zip(ends).map(|(walk, end)| end.saturating_sub(walk.bit));
            let turns = (left.min().unwrap_or(0) / STEP).min(TURNS);
            if turns == 0 {
                return Some(());
            }
            let mut now = *walks;
            for _ in 0..turns {
                for walk in &mut now {
                    *walk = self.step(bytes, *walk)?;
                }
            }
            *walks = now.map(|walk| walk.counted(self.steps));
        }
    }

    /// Passes some codes of a step.
    #[inline(always)]
    fn step(&self, bytes: &[u8], walk: Walk) -> Option<Walk> {
        let at = walk.bit / 8;
        let word = u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
        let bits = word << (walk.bit % 8);
        let table = usize::from(self.tables[walk.step & (4 * TURNS - 1)]);
        let mut entry = self.many[(table + (bits >> (64 - MANY)) as usize) & (ALL - 1)];
        let mut left = walk.left - i32::from(entry >> REACH & 63);
        if left <= 0 {
            // A long code, or the last coefficients.
            entry = self.one(bits, table >> MANY)?;
            left = walk.left - i32::from(entry >> REACH & 63);
            if left <= 0 && entry >> STEPS == 0 {
                entry |= 1 << STEPS | END;
            }
        }
        Some(Walk {
            bit: walk.bit + usize::from(entry & TOTAL),
            step: walk.step + usize::from(entry >> STEPS),
            left: if entry & END != 0 { 63 } else { left },
            ..walk
        })
    }

    /// The entry of the code that begins some bits.
    #[inline(never)]
    fn one(&self, bits: u64, table: usize) -> Option<u16> {
        let (means, codes) = self.all[table];
        one(means.unwrap_or(codes), means.is_some(), bits).map(|(entry, _)| entry)
    }
}

/// The entry of the code that begins some bits, and its length.
fn one(codes: &Codes, mean: bool, bits: u64) -> Option<(u16, u32)> {
    let (value, length) = codes.code(bits)?;
    let (run, size) = (u16::from(value >> 4), u16::from(value & 15));
    let fields = match (run, size) {
        _ if mean => 1 << STEPS,
        (15, 0) => 16 << REACH,
        (_, 0) => 1 << STEPS | END,
        _ => (run + 1) << REACH,
    };
    Some((fields | (length as u16 + size), length))
}

/// What begins with some bits: of a mean and coefficients.
fn table(means: Option<&Codes>, codes: &Codes, all: &mut [u16]) {
    let short = |codes: &Codes, mean| -> Box<[_]> {
        let one = |bits: u64| one(codes, mean, bits << (64 - MANY)).filter(|(_, n)| *n <= MANY);
        (0..1 << MANY).map(one).collect()
    };
    let next = short(codes, false);
    let first = means.map(|means| short(means, true));
    let first = first.as_ref().unwrap_or(&next);
    for (bits, to) in all.iter_mut().enumerate() {
        let Some((mut entry, _)) = first[bits] else {
            *to = LONG;
            continue;
        };
        while entry & END == 0 && u32::from(entry & TOTAL) < MANY {
            let total = entry & TOTAL;
            let Some((next, length)) = next[bits << total & ((1 << MANY) - 1)] else { break };
            let reach = (entry >> REACH & 63) + (next >> REACH & 63);
            let sum = total + (next & TOTAL);
            if u32::from(total) + length > MANY || sum > TOTAL || reach >= 63 {
                break;
            }
            let steps = (entry >> STEPS) + (next >> STEPS);
            entry = steps << STEPS | next & END | reach << REACH | sum;
        }
        *to = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libjpeg_turbo_rs::encode::tables as t;
    use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};

    /// Pictures of a file with restart markers behind so many rows of units, and their number of units.
    fn coded(rows: u16) -> (Vec<u8>, usize) {
        let noise = |i: u32| (i.wrapping_mul(2_654_435_761).rotate_left(9) >> 20) as u8 / 4;
        let pixels: Vec<u8> = (0..600 * 400 * 3).map(|i| noise(i) + (i / 9000) as u8).collect();
        let encoder = Encoder::new(&pixels, 600, 400, PixelFormat::Rgb).quality(90);
        let file = encoder.subsampling(Subsampling::S420).restart_rows(rows).encode().unwrap();
        let scan = file.windows(2).position(|m| m == [0xff, 0xda]).unwrap() + 2;
        let header = usize::from(u16::from_be_bytes([file[scan], file[scan + 1]]));
        (file[scan + header..file.len() - 2].to_vec(), 38 * 25)
    }

    /// Whether data fit, and whether they do for walks that begin with the first unit alone.
    fn fit(unit: &Unit<'_>, coded: &[u8], units: usize, every: usize) -> (bool, bool) {
        let mut data = Data::new(coded.len());
        let mut rest = coded;
        for from in (0..units).step_by(every) {
            let mark = rest.windows(2).position(|m| m[0] == 0xff && m[1] != 0);
            data.push(&rest[..mark.unwrap_or(rest.len())], every.min(units - from));
            rest = mark.map_or(&[], |at| &rest[at + 2..]);
        }
        let fits = unit.fits(&mut data);
        let plain = |i: &Interval| unit.ends(&data.bytes, Walk::at(i.from), *i);
        (fits, data.intervals.iter().all(plain))
    }

    #[test]
    fn several_walks_find_what_one_finds() {
        let codes = |counts: &[u8; 17], values| Codes::new(counts.last_chunk().unwrap(), values);
        let means = codes(&t::DC_LUMINANCE_BITS, &t::DC_LUMINANCE_VALUES).unwrap();
        let rest = codes(&t::AC_LUMINANCE_BITS, &t::AC_LUMINANCE_VALUES).unwrap();
        let colour_means = codes(&t::DC_CHROMINANCE_BITS, &t::DC_CHROMINANCE_VALUES).unwrap();
        let colours = codes(&t::AC_CHROMINANCE_BITS, &t::AC_CHROMINANCE_VALUES).unwrap();
        let (bright, colour) = ((&means, &rest), (&colour_means, &colours));
        let unit = Unit::new(&[bright, bright, bright, bright, colour, colour]).unwrap();
        for (rows, every) in [(0, 950), (1, 38), (7, 266)] {
            let (coded, units) = coded(rows);
            assert!(8 * coded.len() > WALKS * PART, "{}", coded.len());
            assert_eq!(fit(&unit, &coded, units, every), (true, true), "{rows}");
            assert_eq!(fit(&unit, &coded, units - 1, every), (false, false), "{rows}");
            for byte in [0, 0xff] {
                // As data are padded. A zero follows 0xff.
                let padding = [byte, 0].repeat(50);
                let padded = [&coded[..], &padding].concat();
                assert_eq!(fit(&unit, &padded, units, every), (true, true), "{rows}, {byte}");
            }
            let mut refused = 0;
            for i in 0..200 {
                let mut damaged = coded.clone();
                let at = i * 7919 % coded.len();
                damaged[at] ^= 1 << (i % 8);
                let (fits, plain) = fit(&unit, &damaged, units, every);
                assert_eq!(fits, plain, "{rows}, {at}");
                refused += usize::from(!fits);
            }
            assert!(refused > 10, "{refused}");
        }
    }

    #[test]
    fn short_steps_are_counted() {
        let codes = |length: usize| {
            let mut counts = [0; 16];
            counts[length - 1] = 3;
            Codes::new(&counts, &[0, 1, 2]).unwrap()
        };
        let (two, three) = (codes(2), codes(3));
        assert!(Unit::new(&[]).is_none());
        let unit = Unit::new(&[(&two, &two), (&two, &three), (&three, &three)]).unwrap();
        // Means and ends of blocks: two and two bits, two and three, three and three.
        let bytes = vec![0; PART];
        let mut walks = [Walk::at(0)];
        unit.together(&bytes, &mut walks, [8 * bytes.len() - STEP]).unwrap();
        let [walk] = walks;
        assert_eq!(walk.bit, 15 * walk.units + [0, 2, 4, 6, 9, 12][walk.step]);
        assert!(walk.bit > 8 * bytes.len() - 3 * STEP, "{}", walk.bit);
    }
}
