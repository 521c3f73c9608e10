//! A zlib stream of filtered pixels: one Huffman code for each block of them, and runs of zeros.
//!
//! What the filters of PNG leave of a photograph hardly repeats, so a search for matches costs much
//! and brings little. `fdeflate`, the fast compressor of `png`, makes no search either, but has one
//! code for all pictures, and looks for a run wherever there is a zero, which no processor predicts.
//! A blurred 4K photograph is encoded here in half of the time, to a file that is a sixth smaller.
//! The form is that of RFC 1950 and 1951.

use simd_adler32::Adler32;

/// Longest code of a literal or a length. Deflate has up to 15 bits; four of 14 and what is left of
/// the byte before them fit in one word.
const LONGEST: usize = 14;
/// Bytes of a block from which on a quarter of them is counted.
const LONG: usize = 1 << 15;
/// Literals, the end of a block, and lengths.
const SYMBOLS: usize = 286;
const END: usize = 256;
/// Symbols of the code for the lengths of codes, in the order in which theirs are stored.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// A zlib stream that is made block by block.
pub struct Deflate {
    /// Whether nothing has been written.
    start: bool,
    checksum: Adler32,
    pairs: Box<Pairs>,
    bytes: Vec<u8>,
    end: End,
}

/// Where the next bit is written. It is handed on by value, so that it stays in registers.
#[derive(Clone, Copy, Default)]
struct End {
    /// The bits that make no whole byte yet.
    rest: Code,
    /// Whole bytes.
    bytes: usize,
}

/// A code, its first bit lowest, and how many bits it has.
#[derive(Clone, Copy, Default)]
struct Code {
    bits: u64,
    length: u32,
}

impl Code {
    /// A number in so many bits.
    fn number(number: usize, length: u32) -> Self {
        Self { bits: number as u64, length }
    }

    /// This code and then another.
    #[inline]
    fn then(self, next: Self) -> Self {
        Self { bits: self.bits | next.bits << self.length, length: self.length + next.length }
    }
}

impl End {
    /// Writes codes, of at most 56 bits together.
    #[inline]
    fn put(self, code: Code, to: &mut [u8]) -> Self {
        let all = self.rest.then(code);
        to[self.bytes..][..8].copy_from_slice(&all.bits.to_le_bytes());
        let rest = Code { bits: all.bits >> (all.length & !7), length: all.length & 7 };
        Self { rest, bytes: self.bytes + all.length as usize / 8 }
    }

    /// Writes a run of zeros: one of them, and then as often what is one byte before.
    fn run(mut self, zeros: usize, codes: &[Code; SYMBOLS], to: &mut [u8]) -> Self {
        self = self.put(codes[0], to);
        for length in parts(zeros - 1) {
            let (symbol, base, extra) = symbol(length);
            self = self.put(codes[symbol].then(Code::number(length - base, extra)), to);
            // The only distance.
            self = self.put(Code::number(0, 1), to);
        }
        self
    }
}

impl Deflate {
    pub fn new() -> Self {
        Self {
            start: true,
            checksum: Adler32::new(),
            pairs: Box::new(Pairs { bits: [0; PAIRS], lengths: [0; PAIRS] }),
            bytes: Vec::new(),
            end: End::default(),
        }
    }

    /// Compresses a block of any length. These are the bytes that are whole by then, after those of
    /// the block before; the last block ends the stream.
    pub fn block(&mut self, data: &[u8], last: bool) -> &[u8] {
        // Room for the longest codes everywhere, for what is around them, and for a last word.
        let room = data.len().div_ceil(8) * LONGEST + 1024;
        if self.bytes.len() < room {
            self.bytes.resize(room, 0);
        }
        self.end.bytes = 0;
        if std::mem::take(&mut self.start) {
            // Window of 32 KiB, fastest algorithm.
            self.number(0x0178, 16);
        }
        self.checksum.write(data);
        let mut counts = count(data);
        counts[END] = 1;
        let lengths = code_lengths(&counts, LONGEST);
        let codes = codes(&lengths);
        self.header(&lengths, last);
        let small = Pairs::pay(&counts).then(|| self.pairs.fill(&codes));
        self.end = body(data, &codes, small, self.end, &mut self.bytes);
        self.put(codes[END]);
        if last {
            self.number(0, (8 - self.end.rest.length) % 8);
            let sum = self.checksum.finish().swap_bytes();
            self.number(sum as usize, 32);
        }
        &self.bytes[..self.end.bytes]
    }

    fn put(&mut self, code: Code) {
        self.end = self.end.put(code, &mut self.bytes);
    }

    fn number(&mut self, bits: usize, length: u32) {
        self.put(Code::number(bits, length));
    }

    /// The lengths of all codes, themselves coded.
    fn header(&mut self, lengths: &[u8; SYMBOLS], last: bool) {
        // One distance, in one bit.
        let all: Vec<u8> = lengths.iter().copied().chain([1]).collect();
        // Lengths, and runs of those that are zero with their number.
        let mut words: Vec<(usize, usize)> = Vec::new();
        for group in all.chunk_by(|a, b| a == b) {
            let mut rest = group.len();
            while group[0] == 0 && rest >= 3 {
                let n = rest.min(138);
                words.push(if n < 11 { (17, n - 3) } else { (18, n - 11) });
                rest -= n;
            }
            words.extend(std::iter::repeat_n((group[0].into(), 0), rest));
        }
        let mut counts = [0; 19];
        words.iter().for_each(|(word, _)| counts[*word] += 1);
        let lengths = code_lengths(&counts, 7);
        let codes = codes(&lengths);
        self.number(last.into(), 1);
        self.number(2, 2);
        self.number(SYMBOLS - 257, 5);
        self.number(0, 5);
        self.number(ORDER.len() - 4, 4);
        ORDER.iter().for_each(|&symbol| self.number(lengths[symbol].into(), 3));
        for (word, extra) in words {
            self.put(codes[word]);
            self.number(extra, [0, 3, 7][word.saturating_sub(16)]);
        }
    }
}

/// The codes of two small bytes, one after the other. Small are those from -32 to 31.
struct Pairs {
    bits: [u32; PAIRS],
    lengths: [u8; PAIRS],
}

const PAIRS: usize = 1 << 12;

impl Pairs {
    /// Whether most words of a block are of small bytes, so that it pays to look.
    fn pay(counts: &[u32; SYMBOLS]) -> bool {
        let sum = |counts: &[u32]| counts.iter().map(|n| u64::from(*n)).sum::<u64>();
        32 * sum(&counts[32..224]) <= sum(&counts[..END])
    }

    fn fill(&mut self, codes: &[Code; SYMBOLS]) -> &Self {
        let small = |i: usize| codes[if i < 32 { i } else { i + 192 }];
        let seconds: [_; 64] = std::array::from_fn(small);
        let places = self.bits.as_chunks_mut::<64>().0.iter_mut();
        let places = places.zip(self.lengths.as_chunks_mut::<64>().0);
        for (first, (bits, lengths)) in places.enumerate() {
            let first = small(first);
            for ((bits, length), second) in bits.iter_mut().zip(lengths).zip(seconds) {
                let both = first.then(second);
                (*bits, *length) = (both.bits as u32, both.length as u8);
            }
        }
        self
    }

    /// The codes of the eight bytes of a word in two halves, if they are all small.
    #[inline]
    fn word(&self, word: [u8; 8]) -> Option<[Code; 2]> {
        const ONES: u64 = 0x0001_0001_0001_0001;
        let word = u64::from_le_bytes(word);
        // The upper three bits of a small byte are equal.
        if (word ^ word << 1) & (ONES * 0xc0c0) != 0 {
            return None;
        }
        let places = (word & (ONES * 63)) << 6 | word >> 8 & (ONES * 63);
        let pair = |i: u32| {
            let pair = (places >> (16 * i)) as usize % PAIRS;
            Code { bits: self.bits[pair].into(), length: self.lengths[pair].into() }
        };
        Some([pair(0).then(pair(1)), pair(2).then(pair(3))])
    }
}

/// Writes the symbols of a block; `pairs` are its own, if they pay.
fn body(
    data: &[u8],
    codes: &[Code; SYMBOLS],
    pairs: Option<&Pairs>,
    mut end: End,
    to: &mut [u8],
) -> End {
    // Two tables, so that nothing has to be taken apart.
    let literals: [u16; 256] = std::array::from_fn(|byte| codes[byte].bits as u16);
    let lengths: [u8; 256] = std::array::from_fn(|byte| codes[byte].length as u8);
    let code = |byte: u8| {
        let (bits, length) = (literals[usize::from(byte)], lengths[usize::from(byte)]);
        Code { bits: bits.into(), length: length.into() }
    };
    let (words, rest) = data.as_chunks::<8>();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == [0; 8] {
            let zeros = words.as_slice().iter().take_while(|word| **word == [0; 8]).count();
            words = words.as_slice()[zeros..].iter();
            end = end.run(8 * (zeros + 1), codes, to);
            continue;
        }
        if let Some([first, second]) = pairs.and_then(|pairs| pairs.word(*word)) {
            // Mostly all eight are short enough to be written together.
            end = if first.length + second.length <= 56 {
                end.put(first.then(second), to)
            } else {
                end.put(first, to).put(second, to)
            };
            continue;
        }
        let [a, b, c, d, e, f, g, h] = word.map(code);
        end = end.put(a.then(b).then(c.then(d)), to);
        end = end.put(e.then(f).then(g.then(h)), to);
    }
    rest.iter().fold(end, |end, &byte| end.put(codes[usize::from(byte)], to))
}

/// The lengths that a run is made of; each is from 3 to 258.
fn parts(run: usize) -> impl Iterator<Item = usize> {
    let mut rest = run;
    std::iter::from_fn(move || {
        // Nothing that is too short may be left over.
        let length = if rest > 258 && rest < 261 { 255 } else { rest.min(258) };
        rest -= length;
        (length > 0).then_some(length)
    })
}

/// The symbol of a length, the least length that has it, and the bits that tell those apart.
fn symbol(length: usize) -> (usize, usize, u32) {
    match length {
        258 => (285, 258, 0),
        3..11 => (length + 254, length, 0),
        _ => {
            // Four symbols for each power of two.
            let extra = (length - 3).ilog2() - 2;
            let quarter = (length - 3) >> extra & 3;
            (261 + 4 * extra as usize + quarter, 3 + ((4 + quarter) << extra), extra)
        }
    }
}

/// How often each symbol comes in a block; in a long one, about how often.
fn count(data: &[u8]) -> [u32; SYMBOLS] {
    // Several tables, since equal bytes one after the other would wait for each other.
    let mut tables = [[0; 256]; 8];
    let mut counts = [0; SYMBOLS];
    if data.len() < LONG {
        tally(data, &mut tables, &mut counts);
    } else {
        let pieces = data.chunks(2048).map(|piece| &piece[..piece.len().min(512)]);
        pieces.for_each(|piece| tally(piece, &mut tables, &mut counts));
        // What was not seen may come all the same.
        tables[0].iter_mut().for_each(|n| *n += 1);
        counts[END..].iter_mut().for_each(|n| *n += 1);
    }
    for table in tables {
        counts.iter_mut().zip(table).for_each(|(count, n)| *count += n);
    }
    counts
}

/// Counts literals in tables, each a part of them, and all else in `counts`.
fn tally(data: &[u8], tables: &mut [[u32; 256]; 8], counts: &mut [u32; SYMBOLS]) {
    let (words, rest) = data.as_chunks::<8>();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == [0; 8] {
            let zeros = words.as_slice().iter().take_while(|word| **word == [0; 8]).count();
            words = words.as_slice()[zeros..].iter();
            counts[0] += 1;
            parts(8 * zeros + 7).for_each(|length| counts[symbol(length).0] += 1);
            continue;
        }
        for (table, &byte) in tables.iter_mut().zip(word) {
            table[usize::from(byte)] += 1;
        }
    }
    rest.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
}

/// The lengths of a Huffman code of at most `longest` bits; 0 where a symbol does not come. There are
/// never fewer than two codes, so that they fill the tree. One symbol at least must come.
fn code_lengths<const N: usize>(counts: &[u32; N], longest: usize) -> [u8; N] {
    let mut symbols: Vec<(u32, usize)> =
        counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (*n, i)).collect();
    if symbols.len() < 2 {
        let other = usize::from(counts[0] > 0);
        symbols.push((0, other));
    }
    symbols.sort_unstable();
    // The two rarest become one, until there is one; each node knows the one that it became. Those that
    // become are never rarer than the ones before them, so the rarest is the first of two rows.
    let (mut singles, mut joined) = (0, symbols.len());
    let mut nodes: Vec<u64> = symbols.iter().map(|(n, _)| (*n).into()).collect();
    let mut parents = vec![0; 2 * symbols.len() - 1];
    for node in symbols.len()..parents.len() {
        let mut rarest = || {
            let single =
                singles < symbols.len() && nodes.get(joined).is_none_or(|n| nodes[singles] <= *n);
            let next = if single { &mut singles } else { &mut joined };
            let child = *next;
            *next += 1;
            parents[child] = node;
            nodes[child]
        };
        let both = rarest() + rarest();
        nodes.push(both);
    }
    let mut depths = vec![0; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    // How many codes there are of each length. Those too long are made short; then others are made
    // longer, the longest first, until all have a place in the tree, and some shorter again, until
    // they fill it.
    let mut numbers = vec![0u32; longest + 1];
    depths[..symbols.len()].iter().for_each(|depth| numbers[longest.min(*depth)] += 1);
    let places = |length: usize| 1i64 << (longest - length);
    let taken = |(length, n): (usize, &u32)| i64::from(*n) * places(length);
    let mut free = places(0) - numbers.iter().enumerate().skip(1).map(taken).sum::<i64>();
    while free < 0 {
        let length = (1..longest).rev().find(|&l| numbers[l] > 0).expect("a code that can grow");
        numbers[length] -= 1;
        numbers[length + 1] += 1;
        free += places(length + 1);
    }
    for length in 1..longest {
        while free >= places(length + 1) && numbers[length + 1] > 0 {
            numbers[length] += 1;
            numbers[length + 1] -= 1;
            free -= places(length + 1);
        }
    }
    // The rarest get the longest.
    let mut lengths = [0; N];
    let mut order = symbols.iter();
    for (length, n) in numbers.iter().enumerate().rev() {
        order.by_ref().take(*n as usize).for_each(|(_, symbol)| lengths[*symbol] = length as u8);
    }
    lengths
}

/// The codes that follow from the lengths.
fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut codes = [Code::default(); N];
    let mut next = 0u16;
    for length in 1..=15 {
        for (code, _) in codes.iter_mut().zip(lengths).filter(|(_, l)| **l == length) {
            let length = u32::from(length);
            *code = Code { bits: (next.reverse_bits() >> (16 - length)).into(), length };
            next += 1;
        }
        next <<= 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use std::io::Read;

    /// The stream of blocks of so many bytes.
    fn stream(data: &[u8], block: usize) -> Vec<u8> {
        let mut deflate = Deflate::new();
        let mut stream = Vec::new();
        let blocks = data.len().div_ceil(block).max(1);
        for i in 0..blocks {
            let piece = &data[i * block..data.len().min((i + 1) * block)];
            stream.extend_from_slice(deflate.block(piece, i + 1 == blocks));
        }
        stream
    }

    fn check(data: &[u8], block: usize, what: &str) -> usize {
        let stream = stream(data, block);
        let mut decoder = flate2::read::ZlibDecoder::new(stream.as_slice());
        let mut back = Vec::new();
        decoder.read_to_end(&mut back).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(back == data, "{what} in blocks of {block}");
        assert_eq!(decoder.total_in(), stream.len() as u64, "{what}");
        assert!(fdeflate::decompress_to_vec(&stream).is_ok_and(|b| b == data), "{what}: fdeflate");
        stream.len()
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut dice = SmallRng::seed_from_u64(3);
        for length in (0..70).chain([1000, 32_767, 32_768, 40_001, 100_000]) {
            for block in [7, 64, 4096, 50_000, usize::MAX] {
                if block < 64 && length > 1000 {
                    continue;
                }
                check(&vec![0; length], block, "zeros");
                check(&vec![200; length], block, "equal bytes");
                let noise: Vec<u8> = (0..length).map(|_| dice.random()).collect();
                check(&noise, block, "noise");
                // Mostly small, like what filters leave; and with zeros between.
                let small: Vec<u8> = noise.iter().map(|b| b.leading_zeros() as u8).collect();
                check(&small, block, "small numbers");
                // All pairs that have a place of their own, and now and then a byte that has none.
                let near = |(i, b): (usize, &u8)| match i % 301 {
                    300 => *b,
                    _ => (b % 64).wrapping_sub(32),
                };
                check(&noise.iter().enumerate().map(near).collect::<Vec<_>>(), block, "near 0");
                let run = |i: usize| if (i / 300).is_multiple_of(2) { 0 } else { noise[i] };
                check(&(0..length).map(run).collect::<Vec<_>>(), block, "runs");
            }
        }
    }

    /// Runs of every length up to several of the longest lengths, at every place in a word.
    #[test]
    fn runs_of_every_length() {
        for zeros in 0..900 {
            let at = zeros % 13;
            let mut data = vec![1; at];
            data.resize(at + zeros, 0);
            data.extend([7; 5]);
            check(&data, usize::MAX, "a run");
        }
    }

    /// What comes where nothing was counted has a code too.
    #[test]
    fn nothing_is_missed_by_counting_a_part() {
        let mut data = vec![3; 64 << 10];
        for (i, byte) in data.iter_mut().enumerate().filter(|(i, _)| i % 2048 >= 512) {
            *byte = if i % 600 < 300 { 0 } else { (i / 7) as u8 };
        }
        check(&data, usize::MAX, "uncounted");
    }

    #[test]
    fn sizes_are_those_of_the_entropy() {
        let size = 1 << 18;
        assert!(check(&vec![0; size], usize::MAX, "zeros") < 1000);
        let mut dice = SmallRng::seed_from_u64(5);
        let noise: Vec<u8> = (0..size).map(|_| dice.random()).collect();
        assert!(check(&noise, usize::MAX, "noise") < size + size / 50);
        // 1 + 1/2 + 1/4 + … bits: about 2 of 8.
        let small: Vec<u8> = noise.iter().map(|b| b.leading_zeros() as u8 + 1).collect();
        assert!(check(&small, usize::MAX, "small numbers") < size * 21 / 80);
    }

    /// Codes fill the tree, none is too long, and rarer symbols have no shorter ones.
    #[test]
    fn codes_are_a_whole_tree() {
        let mut dice = SmallRng::seed_from_u64(7);
        for round in 0..500 {
            let mut counts = [0u32; SYMBOLS];
            let (mut a, mut b) = (1u32, 1u32);
            let used = dice.random_range(1..=SYMBOLS);
            for count in &mut counts[..used] {
                // Numbers of Fibonacci make the deepest trees.
                (a, b) = if round % 2 == 0 && b < 1 << 30 { (b, a + b) } else { (a, 1) };
                *count = if round % 2 == 0 { b } else { 1 << dice.random_range(0..20) };
            }
            for longest in [9, LONGEST, 15] {
                let lengths = code_lengths(&counts, longest);
                let taken: u32 = lengths.iter().filter(|l| **l > 0).map(|l| 1 << (15 - l)).sum();
                assert_eq!(taken, 1 << 15, "{counts:?}");
                assert!(lengths.iter().all(|l| usize::from(*l) <= longest));
                for (i, j) in (0..SYMBOLS).zip(1..SYMBOLS).filter(|(i, _)| counts[*i] > 0) {
                    assert!(counts[j] <= counts[i] || lengths[j] <= lengths[i], "{counts:?}");
                    assert!(lengths[i] > 0);
                }
            }
        }
    }
}
