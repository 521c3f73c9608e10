//! Components of unusual sizes put together to pixels, in the arithmetic of libjpeg (jdsample.c and
//! jdcolor.c), to the same bits. Usual ones are put together by the decoder itself, and faster.

/// One component, in its own size.
pub struct Plane {
    samples: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
}

impl Plane {
    /// `None` if there are too few samples.
    pub fn new(samples: Vec<u8>, stride: usize, width: usize, height: usize) -> Option<Self> {
        let there = width <= stride && stride.checked_mul(height)? <= samples.len();
        (there && width > 0 && height > 0).then_some(Self { samples, stride, width, height })
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.width]
    }

    /// The plane `across` and `down` times as large, cut to a size: doubled smoothly, otherwise repeated.
    pub fn enlarged(&self, across: usize, down: usize, width: usize, height: usize) -> Vec<u8> {
        let smooth = match (across, down) {
            (2, 1 | 2) => self.width > 2,
            (1, 2) => true,
            _ => false,
        };
        let mut out = Vec::with_capacity(width * height);
        // A row between two, three quarters of the nearer one, in quarters.
        let mut mixed = vec![0u16; self.width];
        for y in 0..height {
            let near = self.row(y / down);
            if !smooth {
                out.extend((0..width).map(|x| near[x / across]));
                continue;
            }
            let far = match (down, y % 2) {
                (1, _) => near,
                (_, 0) => self.row((y / 2).saturating_sub(1)),
                _ => self.row((y / 2 + 1).min(self.height - 1)),
            };
            for ((mixed, a), b) in mixed.iter_mut().zip(near).zip(far) {
                *mixed = 3 * u16::from(*a) + u16::from(*b);
            }
            // Halves are rounded up and down in turn.
            match (across, down) {
                (1, _) => out.extend(mixed.iter().map(|v| ((v + 1 + y as u16 % 2) >> 2) as u8)),
                (_, 1) => out.extend((0..width).map(|x| across_row(near, x, [1, 2], 2))),
                _ => out.extend((0..width).map(|x| across_row(&mixed, x, [8, 7], 4))),
            }
        }
        out
    }
}

/// The sample at `x` of a row of twice the width: three quarters of the nearer sample.
fn across_row<S: Copy + Into<u32>>(row: &[S], x: usize, bias: [u32; 2], shift: u32) -> u8 {
    let near = row[x / 2].into();
    let far = if x.is_multiple_of(2) { (x / 2).checked_sub(1) } else { Some(x / 2 + 1) };
    let far = far.and_then(|at| row.get(at)).map_or(near, |far| (*far).into());
    ((3 * near + far + bias[x % 2]) >> shift) as u8
}

/// Puts components together pixel by pixel.
pub fn interleave<const N: usize>(
    planes: [&[u8]; N],
    out: &mut [u8],
    make: impl Fn([u8; N]) -> [u8; 3],
) {
    for (i, out) in out.chunks_exact_mut(3).enumerate() {
        out.copy_from_slice(&make(planes.map(|p| p[i])));
    }
}

/// Red, green and blue of Y, Cb and Cr, in 16 bits of fraction.
pub fn rgb([y, b, r]: [u8; 3]) -> [u8; 3] {
    let fix = |v: f64| (v * 65_536.0 + 0.5) as i32;
    let (y, b, r) = (i32::from(y), i32::from(b) - 128, i32::from(r) - 128);
    let half = 1 << 15;
    [
        y + ((fix(1.402) * r + half) >> 16),
        y + ((-fix(0.344_14) * b - fix(0.714_14) * r + half) >> 16),
        y + ((fix(1.772) * b + half) >> 16),
    ]
    .map(|v| v.clamp(0, 255) as u8)
}

/// What four inks look like, without a profile that would say it exactly. They are stored the other way
/// round, as Adobe does it and all readers expect.
pub fn inks([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| ((u32::from(ink) * u32::from(k) + 127) / 255) as u8)
}
