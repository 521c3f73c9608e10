//! Whether the entropy-coded data of a file are as long as its picture.
//!
//! Decoders make a picture of damaged data too, and say nothing. But a wrong bit changes where codes begin and how
//! many they are, so that the last one ends too early or too late: behind it is less than a byte, in every scan
//! and every interval between restart markers. `blocks` and `codes` follow them without decoding, in a tenth of the time
//! that decoding takes, and it can be done at the same time.

use super::SCAN;
use super::blocks::{Data, Unit};
use super::codes::{Bits, Codes};
use super::segments::{Frame, Whole};
use libjpeg_turbo_rs::encode::tables::{
    AC_CHROMINANCE_BITS, AC_CHROMINANCE_VALUES, AC_LUMINANCE_BITS, AC_LUMINANCE_VALUES,
    DC_CHROMINANCE_BITS, DC_CHROMINANCE_VALUES, DC_LUMINANCE_BITS, DC_LUMINANCE_VALUES,
};
use memchr::memchr_iter;
use std::iter::repeat_n;
use std::ops::Range;

const CODES: u8 = 0xc4;
const INTERVAL: u8 = 0xdd;

/// Walks over all scans. `None` if one of them is damaged. Arithmetic coding has no such ends: zeros behind the
/// data are left out.
pub fn check(whole: &Whole, frame: &Frame) -> Option<()> {
    if whole.torn {
        return None;
    }
    let progressive = match frame.process {
        0xc0 | 0xc1 => false,
        0xc2 => true,
        _ => return Some(()),
    };
    let mut walk = Walk {
        frame,
        progressive,
        means: Default::default(),
        codes: Default::default(),
        known: frame.components.iter().map(|_| Vec::new()).collect(),
        interval: 0,
    };
    for piece in &whole.pieces {
        match (piece.marker, whole.data(piece)) {
            (CODES, data) => walk.tables(data)?,
            (INTERVAL, [high, low, ..]) => {
                walk.interval = u16::from_be_bytes([*high, *low]).into();
            }
            (SCAN, header) => walk.scan(header, whole.coded(piece))?,
            _ => {}
        }
    }
    Some(())
}

struct Walk<'a> {
    frame: &'a Frame,
    progressive: bool,
    means: [Option<Codes>; 4],
    codes: [Option<Codes>; 4],
    /// A bit for each coefficient of each block of each component that is known not to be 0.
    known: Vec<Vec<u64>>,
    /// Units between restart markers.
    interval: usize,
}

impl Walk<'_> {
    fn tables(&mut self, mut data: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = data.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let count = counts.iter().map(|n| usize::from(*n)).sum();
            let (values, rest) = rest.split_at_checked(count)?;
            let all = if head >> 4 == 0 { &mut self.means } else { &mut self.codes };
            *all.get_mut(usize::from(head & 15))? = Some(Codes::new(counts, values)?);
            data = rest;
        }
        Some(())
    }
}

impl Walk<'_> {
    fn scan(&mut self, header: &[u8], coded: &[u8]) -> Option<()> {
        let (&count, rest) = header.split_first()?;
        let (chosen, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[first, last, approximation, ..] = rest else { return None };
        let again = approximation >> 4 != 0;
        let all = &self.frame.components;
        let number = |id: u8| all.iter().position(|c| c.id == id);
        let parts: Option<Vec<_>> =
            chosen.chunks_exact(2).map(|part| Some((number(part[0])?, part[1]))).collect();
        let parts = parts?;
        let (most_h, most_v) = self.frame.most();
        let (width, height) = (usize::from(self.frame.width), usize::from(self.frame.height));
        // One component alone lies in blocks, several in units of blocks of each (A.2).
        let (units, blocks) = match *parts.as_slice() {
            [(one, _)] => {
                let (h, v) = (usize::from(all[one].h), usize::from(all[one].v));
                let (across, down) = ((width * h).div_ceil(most_h), (height * v).div_ceil(most_v));
                (across.div_ceil(8) * down.div_ceil(8), vec![1])
            }
            _ => {
                let units = width.div_ceil(8 * most_h) * height.div_ceil(8 * most_v);
                let blocks = |(i, _): &(usize, _)| usize::from(all[*i].h) * usize::from(all[*i].v);
                (units, parts.iter().map(blocks).collect())
            }
        };
        let every = if self.interval == 0 { units } else { self.interval };
        if !self.progressive {
            standard(&mut self.means, &mut self.codes);
        }
        let means = |tables: u8| self.means.get(usize::from(tables >> 4))?.as_ref();
        let codes = |tables: u8| self.codes.get(usize::from(tables & 15))?.as_ref();
        let each = || parts.iter().zip(&blocks).flat_map(|(p, n)| repeat_n(p.1, *n));
        match (self.progressive, first, again) {
            (false, ..) => {
                let plan: Option<Vec<_>> =
                    each().map(|tables| Some((means(tables)?, codes(tables)?))).collect();
                let (unit, mut data) = (Unit::new(&plan?)?, Data::new(coded.len()));
                intervals(coded, units, every, |part, units| {
                    data.push(part, units.len());
                    Some(())
                })?;
                unit.fits(&mut data).then_some(())
            }
            (_, 0, false) => {
                let plan: Option<Vec<_>> = each().map(means).collect();
                let plan = plan?;
                by_unit(coded, units, every, |bits, _| {
                    plan.iter().try_for_each(|means| bits.mean(means))
                })
            }
            (_, 0, true) => by_unit(coded, units, every, |bits, _| {
                each().for_each(|_| bits.bit());
                Some(())
            }),
            (_, _, again) => {
                let &[(one, tables)] = parts.as_slice() else { return None };
                let (codes, band) = (codes(tables)?, (first.into(), last.min(63).into()));
                let known = &mut self.known[one];
                known.resize(units, 0);
                by_unit(coded, units, every, |bits, i| match again {
                    false => bits.first(codes, band, &mut known[i]),
                    true => bits.later(codes, band, &mut known[i]),
                })
            }
        }
    }
}

/// The tables of files that have none, such as single pictures of films (annex K.3).
fn standard(means: &mut [Option<Codes>; 4], codes: &mut [Option<Codes>; 4]) {
    let table = |counts: &[u8; 17], values| Codes::new(counts.last_chunk()?, values);
    let fill = |to: &mut Option<Codes>, make: &dyn Fn() -> Option<Codes>| {
        if to.is_none() {
            *to = make();
        }
    };
    fill(&mut means[0], &|| table(&DC_LUMINANCE_BITS, &DC_LUMINANCE_VALUES));
    fill(&mut means[1], &|| table(&DC_CHROMINANCE_BITS, &DC_CHROMINANCE_VALUES));
    fill(&mut codes[0], &|| table(&AC_LUMINANCE_BITS, &AC_LUMINANCE_VALUES));
    fill(&mut codes[1], &|| table(&AC_CHROMINANCE_BITS, &AC_CHROMINANCE_VALUES));
}

/// Walks over so many units, `every` of which are between markers.
fn by_unit(
    coded: &[u8],
    units: usize,
    every: usize,
    mut unit: impl FnMut(&mut Bits<'_>, usize) -> Option<()>,
) -> Option<()> {
    intervals(coded, units, every, |data, mut units| {
        let mut bits = Bits::new(data);
        let whole = units.all(|i| unit(&mut bits, i).is_some() && !bits.is_short());
        (whole && bits.ends()).then_some(())
    })
}

/// Takes what is between markers in turn, with numbers of the units that it should be.
fn intervals(
    mut rest: &[u8],
    units: usize,
    every: usize,
    mut interval: impl FnMut(&[u8], Range<usize>) -> Option<()>,
) -> Option<()> {
    for (number, from) in (0..units).step_by(every.max(1)).enumerate() {
        let marks = memchr_iter(0xff, rest).find(|i| rest.get(i + 1).is_some_and(|b| *b != 0));
        let (data, after) = rest.split_at(marks.unwrap_or(rest.len()));
        let next = units.min(from + every);
        interval(data, from..next)?;
        rest = match *after {
            [_, marker, ref rest @ ..] if usize::from(marker & 7) == number % 8 => rest,
            [] if next == units => &[],
            _ => return None,
        };
    }
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_end_where_their_data_end() {
        let codes = Codes::new(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0]).unwrap();
        let ends = |data: &[u8], units, every| {
            by_unit(data, units, every, |bits, _| bits.mean(&codes)).is_some()
        };
        // A bit each.
        assert!(ends(&[0x0f], 4, 4));
        assert!(ends(&[0x01], 7, 7), "less than a byte is padding");
        assert!(!ends(&[0x01], 9, 9), "too short");
        assert!(!ends(&[0x01, 0x55], 7, 7), "a byte too many");
        assert!(ends(&[0x01, 0, 0], 7, 7), "padding of zeros");
        assert!(ends(&[0x01, 0xff, 0], 7, 7), "and of ones");
        assert!(!ends(&[0x01, 0xff, 0, 0], 7, 7), "but not of both");
        assert!(!ends(&[0x81], 7, 7), "no code");
        let two = [0x0f, 0xff, 0xd0, 0x0f];
        assert!(ends(&two, 8, 4));
        assert!(ends(&[&two[..], &[0xff, 0xd1]].concat(), 8, 4), "a marker at the end");
        assert!(!ends(&two, 4, 4), "an interval too many");
        assert!(!ends(&two, 12, 4), "one too few");
        assert!(!ends(&[0x0f, 0xff, 0xd3, 0x0f], 8, 4), "another interval is missing");
        assert!(!ends(&[0x0f, 0x0f], 8, 4), "no marker");
    }

    #[test]
    fn standard_tables_are_whole() {
        let (mut means, mut codes) = Default::default();
        standard(&mut means, &mut codes);
        assert!(means[..2].iter().chain(&codes[..2]).all(Option::is_some));
    }
}
