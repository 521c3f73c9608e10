//! The kernel of a filter and another one that follows it: both as one, whose taps are those of both convolved.

use super::{Kernel, Separation};

/// Products of a kernel that is made of two others, at most: more take longer than both.
const MOST_PRODUCTS: usize = 4;
/// What a product may leave out of a kernel that it is, as a part of Σ|taps|.
const ROUNDED: f64 = 1e-14;

impl Kernel {
    /// The kernel that does what this one does and `next` then does, but for the rounding of `f64`. `None` unless both are
    /// products, or known sums of few: others take less time one after the other.
    pub(crate) fn followed_by(&self, next: &Self) -> Option<Self> {
        let (firsts, nexts) = (self.products()?, next.products()?);
        if firsts.len() * nexts.len() > MOST_PRODUCTS {
            return None;
        }
        let pairs = firsts.iter().flat_map(|first| nexts.iter().map(move |next| (first, next)));
        let products: Option<Vec<_>> = pairs.map(|(first, next)| first.followed_by(next)).collect();
        let products = products?;
        let kernel = match &products[..] {
            [one] => one.clone(),
            several => Self::sum_of(several).ok()?,
        };
        // Terms may be smaller than their sum was said to be.
        let size = (self.width + next.width - 1, self.height + next.height - 1);
        let anchor = (self.anchor.0 + next.anchor.0, self.anchor.1 + next.anchor.1);
        ((kernel.width, kernel.height) == size && kernel.anchor == anchor).then_some(kernel)
    }

    /// The products that the kernel is the sum of, if they are known, or it is one, or a cross.
    fn products(&self) -> Option<Vec<Product>> {
        match &self.terms[..] {
            [] => match self.product() {
                Some(product) => Some(vec![product]),
                None => self.lines().map(Into::into),
            },
            terms => terms.iter().map(Self::product).collect(),
        }
    }

    /// The product that the kernel is, but for the rounding of `f64`.
    fn product(&self) -> Option<Product> {
        let separation = Separation::within(self, 0.0);
        let whole = separation.residual(1) <= ROUNDED * self.abs_sum();
        let term = separation.terms().first().filter(|_| whole)?;
        let (column, row) = (term.column.clone(), term.row.clone());
        Some(Product { column, row, anchor: self.anchor })
    }

    /// Of a kernel whose other taps are 0, the lines across and down through its anchor, which have half of that tap each: so
    /// none is larger than the kernel, as a sharpening, whose taps cancel.
    fn lines(&self) -> Option<[Product; 2]> {
        let (x, y) = self.anchor;
        let on = |i: usize| i % self.width == x || i / self.width == y;
        if self.taps.iter().enumerate().any(|(i, tap)| *tap != 0.0 && !on(i)) {
            return None;
        }
        let half = |mut line: Vec<f64>, anchor: usize| {
            line[anchor] /= 2.0;
            line
        };
        let row = self.taps[y * self.width..][..self.width].to_vec();
        let column = self.taps.iter().skip(x).step_by(self.width).copied().collect();
        Some([
            Product { column: vec![1.0], row: half(row, x), anchor: (x, 0) },
            Product { column: half(column, y), row: vec![1.0], anchor: (0, y) },
        ])
    }

    /// Whether the kernel is its own mirror image about its anchor, across and down.
    pub(crate) fn is_mirrored(&self) -> [bool; 2] {
        let rows = self.taps.chunks_exact(self.width);
        let middle = |anchor: usize, side: usize| 2 * anchor + 1 == side;
        [
            middle(self.anchor.0, self.width)
                && rows.clone().all(|row| row.iter().eq(row.iter().rev())),
            middle(self.anchor.1, self.height) && rows.clone().eq(rows.rev()),
        ]
    }
}

/// A column and a row, and where the anchor is.
struct Product {
    column: Vec<f64>,
    row: Vec<f64>,
    anchor: (usize, usize),
}

impl Product {
    fn followed_by(&self, next: &Self) -> Option<Kernel> {
        let (column, row) =
            (convolved(&self.column, &next.column), convolved(&self.row, &next.row));
        let (x, y) = (self.anchor.0 + next.anchor.0, self.anchor.1 + next.anchor.1);
        Kernel::separable(&column, &row).ok()?.with_anchor(x, y).ok()
    }
}

/// The convolution of two lines of taps, whole. Those of two lines that are their own mirror images are one, too.
fn convolved(a: &[f64], b: &[f64]) -> Vec<f64> {
    let tap = |n: usize| {
        let places = (n + 1).saturating_sub(b.len())..(n + 1).min(a.len());
        let products = places.map(|i| a[i] * b[n - i]);
        // From both ends, whose sums may be rounded otherwise.
        let (there, back): (f64, f64) = (products.clone().sum(), products.rev().sum());
        (there + back) / 2.0
    };
    (0..a.len() + b.len() - 1).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by definition.
    fn direct(a: &Kernel, b: &Kernel) -> Vec<f64> {
        let width = a.width + b.width - 1;
        let mut taps = vec![0.0; width * (a.height + b.height - 1)];
        for (i, tap) in a.taps.iter().enumerate() {
            for (j, other) in b.taps.iter().enumerate() {
                let (x, y) = (i % a.width + j % b.width, i / a.width + j / b.width);
                taps[y * width + x] += tap * other;
            }
        }
        taps
    }

    #[test]
    fn taps_are_convolved() {
        let kernels = [
            Kernel::gaussian(1.3).unwrap(),
            Kernel::box_(4, 1).unwrap(),
            Kernel::sobel_x(),
            Kernel::unsharp(1.0, 0.7).unwrap(),
            Kernel::dog(0.8, 1.6).unwrap(),
            Kernel::separable(&[1.0, 3.0], &[2.0, -1.0, 5.0, 7.0])
                .unwrap()
                .with_anchor(3, 0)
                .unwrap(),
            "1 2 1; 2 4 2; 1 2 1".parse().unwrap(),
            Kernel::new(1, 1, vec![-2.5]).unwrap(),
            Kernel::sharpen(),
            "0 3; 5 -7; 0 2; 0 1".parse::<Kernel>().unwrap().with_anchor(1, 1).unwrap(),
        ];
        for a in &kernels {
            for b in &kernels {
                let Some(both) = a.followed_by(b) else { panic!("{a:?} {b:?}") };
                assert_eq!(both.anchor, (a.anchor.0 + b.anchor.0, a.anchor.1 + b.anchor.1));
                let size = a.abs_sum() * b.abs_sum();
                let near = |(x, y): (&f64, &f64)| (x - y).abs() <= 4e-15 * size;
                assert!(both.taps.iter().zip(&direct(a, b)).all(near), "{a:?} {b:?}");
                assert_eq!(both.taps.len(), direct(a, b).len());
                let [x, y] = both.is_mirrored();
                let all = [a.is_mirrored(), b.is_mirrored()];
                assert!(x || !all.iter().all(|[x, _]| *x), "{a:?} {b:?}");
                assert!(y || !all.iter().all(|[_, y]| *y), "{a:?} {b:?}");
            }
        }
        let whole =
            Kernel::sobel_x().followed_by(&Kernel::binomial(5).unwrap().scaled(256.0).unwrap());
        assert!(whole.unwrap().taps.iter().all(|tap| tap.fract() == 0.0));
    }

    #[test]
    fn what_is_no_product_stays_as_it_is() {
        let (gaussian, emboss) = (Kernel::gaussian(1.0).unwrap(), Kernel::emboss());
        assert!(gaussian.followed_by(&emboss).is_none() && emboss.followed_by(&gaussian).is_none());
        let cross = Kernel::sharpen().with_anchor(1, 0).unwrap();
        assert!(gaussian.followed_by(&cross).is_none());
        let sum = Kernel::sum_of(&[gaussian.clone(), emboss]).unwrap();
        assert!(gaussian.followed_by(&sum).is_none());
        let three =
            Kernel::sum_of(&[gaussian.clone(), gaussian.clone(), gaussian.clone()]).unwrap();
        assert!(three.followed_by(&gaussian).is_some() && three.followed_by(&three).is_none());
        // Its terms are smaller than itself.
        let wide = Kernel::unsharp(1.0, 1.0).unwrap().embedded(11, 11, (5, 5));
        assert!(wide.followed_by(&gaussian).is_none());
        let long = Kernel::box_(Kernel::MAX_SIDE, 1).unwrap();
        assert!(long.followed_by(&gaussian).is_none());
    }

    #[test]
    fn mirror_images() {
        assert_eq!(Kernel::gaussian(2.0).unwrap().is_mirrored(), [true, true]);
        assert_eq!(Kernel::sobel_x().is_mirrored(), [false, true]);
        assert_eq!(Kernel::box_(3, 4).unwrap().is_mirrored(), [true, false]);
        assert_eq!(
            Kernel::box_(3, 3).unwrap().with_anchor(0, 1).unwrap().is_mirrored(),
            [false, true]
        );
        assert_eq!(
            Kernel::new(2, 2, vec![1.0, 2.0, 2.0, 1.0]).unwrap().is_mirrored(),
            [false, false]
        );
        assert_eq!(
            Kernel::new(3, 3, (0..9).map(f64::from).collect()).unwrap().is_mirrored(),
            [false, false]
        );
    }
}
