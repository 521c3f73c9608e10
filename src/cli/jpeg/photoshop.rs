//! The segment in which Photoshop and many others keep IPTC data, among much else. Each resource is `8BIM`, a
//! number, a name and data, name and data padded to even lengths.

const IPTC: u16 = 0x0404;
/// Small versions of the picture as it was.
const THUMBNAILS: [u16; 2] = [0x0409, 0x040c];

/// The resources that are still true, as they stand there but for the IPTC data, and those.
pub fn parts(data: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let (mut kept, mut iptc) = (Vec::new(), None);
    let mut rest = data;
    while let Some(resource) = Resource::first(rest) {
        let (whole, after) = rest.split_at(resource.length);
        match resource.number {
            IPTC if iptc.is_none() => iptc = Some(resource.data.to_vec()),
            number if THUMBNAILS.contains(&number) => {}
            _ => kept.extend_from_slice(whole),
        }
        rest = after;
    }
    (kept, iptc)
}

struct Resource<'a> {
    number: u16,
    data: &'a [u8],
    /// Of all of it.
    length: usize,
}

impl<'a> Resource<'a> {
    fn first(all: &'a [u8]) -> Option<Self> {
        let rest = all.strip_prefix(b"8BIM")?;
        let (&[n1, n0, name], _) = rest.split_first_chunk()?;
        let name = (1 + usize::from(name)).next_multiple_of(2);
        let rest = rest.get(2 + name..)?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let data = rest.get(..length)?;
        // The last one may lack its padding.
        let padded = length.saturating_add(length & 1).min(rest.len());
        let number = u16::from_be_bytes([n1, n0]);
        Some(Self { number, data, length: all.len() - rest.len() + padded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_go_and_iptc_is_found() {
        let resource = |number: u16, name: &[u8], body: &[u8]| {
            let mut out = [b"8BIM", &number.to_be_bytes()[..], &[name.len() as u8], name].concat();
            out.resize(out.len().next_multiple_of(2), 0);
            out.extend((body.len() as u32).to_be_bytes());
            out.extend(body);
            out.resize(out.len().next_multiple_of(2), 0);
            out
        };
        let (a, b) = (resource(0x03ed, b"", b"dots"), resource(0x07d0, b"a path", b"odd"));
        let (iptc, small) = (resource(IPTC, b"", b"words"), resource(0x040c, b"x", b"small"));
        let whole = [a.as_slice(), &iptc, &small, &b].concat();
        assert_eq!(parts(&whole), ([a, b].concat(), Some(b"words".to_vec())));
        for n in 0..whole.len() {
            parts(&whole[..n]);
        }
    }
}
