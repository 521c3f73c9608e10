//! No bias: over noise, results are as bright as the correctly rounded ones, and nearly all of them are
//! those. "Within 1 of the definition" alone would let a filter brighten every picture it is used on.

use crate::common::{levels, rng};
use rand::RngExt;
use std::fmt::Write as _;
use twopass::{
    Alpha, Border, Chain, Filter, Image, Kernel, KernelParams, NamedKernel, Sample, SampleType,
    Shape, Source, View, Workspace,
};

/// How far the mean of results may be from that of the correctly rounded ones, in levels.
fn allowed<S: Sample>() -> f64 {
    if S::TYPE == SampleType::U16 { 0.05 } else { 0.02 }
}

/// Share of `u8` samples that may differ from the correctly rounded ones.
const MOST_OFF: f64 = 0.1;

/// Uniform noise.
fn noise<S: Sample>(shape: Shape, seed: u64) -> Image<S> {
    let mut rng = rng(seed);
    let full = S::FULL as u32;
    let samples =
        (0..shape.samples().unwrap()).map(|_| S::from_f64(f64::from(rng.random_range(0..=full))));
    Image::from_vec(samples.collect(), shape).unwrap()
}

/// Exact values of `taps` on an image that repeats, `step` samples from tap to tap along a row.
fn exact(kernel: &Kernel, values: &[f64], shape: Shape) -> Vec<f64> {
    let Shape { width, height, channels } = shape;
    let (ax, ay) = kernel.anchor();
    let row = shape.row();
    let along = |source: &[f64], taps: &[f64]| -> Vec<f64> {
        let mut out = vec![0.0; source.len()];
        let mut line = vec![0.0; row + (taps.len() - 1) * channels];
        for (out, source) in out.chunks_exact_mut(row).zip(source.chunks_exact(row)) {
            for (i, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let x = (i as isize - ax as isize).rem_euclid(width as isize) as usize;
                pixel.copy_from_slice(&source[x * channels..][..channels]);
            }
            for (i, t) in taps.iter().enumerate() {
                for (o, s) in out.iter_mut().zip(&line[i * channels..]) {
                    *o += t * s;
                }
            }
        }
        out
    };
    let down = |source: &[f64], j: usize, t: f64, out: &mut [f64]| {
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            let from = (y as isize + j as isize - ay as isize).rem_euclid(height as isize) as usize;
            for (o, s) in out.iter_mut().zip(&source[from * row..][..row]) {
                *o += t * s;
            }
        }
    };
    let mut out = vec![0.0; values.len()];
    if let Some((column, taps)) = kernel.factors() {
        let rows = along(values, taps);
        for (j, t) in column.iter().enumerate() {
            down(&rows, j, *t, &mut out);
        }
    } else {
        for (j, taps) in kernel.taps().chunks_exact(kernel.width()).enumerate() {
            down(&along(values, taps), j, 1.0, &mut out);
        }
    }
    out
}

/// What was found of one filter on noise.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// mean(result − correctly rounded), without ties.
    mean: f64,
    /// Share of samples that are not the correctly rounded one.
    off: f64,
}

/// Compares with exact values. Those halfway between two levels count for nothing: the taps' own last bits decide
/// there.
fn compare<S: Sample>(results: &[S], exact: &[f64]) -> Found {
    let (mut sum, mut off) = (0.0, 0usize);
    for (r, e) in results.iter().zip(exact) {
        if ((e - e.floor()) - 0.5).abs() < 1e-7 {
            continue;
        }
        let difference = r.to_f64() - (e + 0.5).floor().clamp(S::MIN, S::MAX);
        sum += difference;
        off += usize::from(difference != 0.0);
    }
    let n = exact.len() as f64;
    Found { mean: sum / n, off: off as f64 / n }
}

/// Images of noise, with their samples as numbers.
struct Noise<S> {
    image: Image<S>,
    values: Vec<f64>,
}

impl<S: Source> Noise<S> {
    fn new(shape: Shape, seed: u64) -> Self {
        let image = noise::<S>(shape, seed);
        let values = image.view().row(0).len();
        let rows = (0..shape.height).flat_map(|y| image.view().row(y).iter().map(|s| s.to_f64()));
        let values = {
            let mut v = Vec::with_capacity(values * shape.height);
            v.extend(rows);
            v
        };
        Self { image, values }
    }

    fn check(&self, name: &str, filter: &Filter, faults: &mut String) {
        let shape = self.image.view().shape();
        let scale = filter.get_scale();
        let exact: Vec<f64> =
            exact(&filter.kernels()[0], &self.values, shape).iter().map(|v| v * scale).collect();
        let filter = filter.clone().border(Border::Wrap);
        let plan = filter.plan::<S, S>(shape).unwrap();
        let mut out = Image::<S>::new(shape).unwrap();
        plan.run(self.image.view(), out.view_mut(), &mut Workspace::new()).unwrap();
        let found = compare(
            out.view()
                .row(0)
                .iter()
                .copied()
                .chain((1..shape.height).flat_map(|y| out.view().row(y).to_vec()))
                .collect::<Vec<_>>()
                .as_slice(),
            &exact,
        );
        let bad =
            found.mean.abs() > allowed::<S>() || S::TYPE == SampleType::U8 && found.off > MOST_OFF;
        if bad {
            let _ = writeln!(
                faults,
                "{name} {:?}x{}: mean {:+.4}, off {:.3} [{}]",
                S::TYPE,
                shape.channels,
                found.mean,
                found.off,
                plan.arithmetic()
            );
        }
    }
}

fn kernels() -> Vec<(String, Filter)> {
    let mut all: Vec<(String, Filter)> = Vec::new();
    let mut add = |name: String, k: Kernel| all.push((name, Filter::new(k)));
    for i in 6..=400 {
        let sigma = f64::from(i) * 0.05;
        add(format!("gaussian {sigma:.2}"), Kernel::gaussian(sigma).unwrap());
    }
    for n in 2..=64 {
        add(format!("box {n}"), Kernel::box_(n, n).unwrap());
    }
    let mut rng = rng(17);
    for i in 0..120 {
        let n = 3 + i % 7;
        let m = 3 + (i / 7) % 7;
        let mut line = |n: usize| {
            let v: Vec<f64> = (0..n).map(|_| rng.random_range(0.01..1.0)).collect();
            let s: f64 = v.iter().sum();
            v.iter().map(|t| t / s).collect::<Vec<_>>()
        };
        let (c, mut r) = (line(n), line(m));
        if i % 2 == 0 {
            for k in 0..m / 2 {
                r[m - 1 - k] = r[k];
            }
            let s: f64 = r.iter().sum();
            r.iter_mut().for_each(|t| *t /= s);
        }
        add(format!("positive separable {i} {m}x{n}"), Kernel::separable(&c, &r).unwrap());
        let taps = line(n * m);
        add(format!("positive dense {i} {m}x{n}"), Kernel::new(m, n, taps).unwrap());
    }
    for i in 0..40 {
        let a: f64 = rng.random_range(0.05..3.0);
        let n = if i % 2 == 0 { 3 } else { 5 };
        let mut taps: Vec<f64> = (0..n * n).map(|_| -rng.random_range(0.0..1.0)).collect();
        let s: f64 = taps.iter().sum();
        taps.iter_mut().for_each(|t| *t *= -a / s);
        taps[n * n / 2] += 1.0 + a;
        add(format!("sharpening {i}"), Kernel::new(n, n, taps).unwrap());
    }
    let mean = |w: usize, h: usize, t: &[f64]| Kernel::new(w, h, t.to_vec()).unwrap();
    add("tenths".into(), mean(3, 3, &[0.1, 0.2, 0.1, 0.05, 0.1, 0.05, 0.1, 0.2, 0.1]));
    add(
        "twelfths".into(),
        mean(3, 3, &[1.0, 2.0, 1.0, 2.0, 0.0, 2.0, 1.0, 2.0, 1.0].map(|t| t / 12.0)),
    );
    for named in NamedKernel::all() {
        if let Ok(kernels) = named.kernels(&KernelParams::default())
            && kernels.len() == 1
            && kernels[0].width() < 20
        {
            add(named.name().to_string(), kernels[0].clone());
        }
    }
    all
}

#[test]
fn scan() {
    let mut faults = String::new();
    let (a, b, c) = (
        Noise::<u8>::new(Shape::new(256, 256, 1), 1),
        Noise::<u8>::new(Shape::new(160, 160, 3), 2),
        Noise::<u8>::new(Shape::new(140, 140, 4), 3),
    );
    let d = Noise::<u16>::new(Shape::new(256, 256, 1), 4);
    for (name, filter) in kernels() {
        a.check(&name, &filter, &mut faults);
        b.check(&name, &filter, &mut faults);
        c.check(&name, &filter, &mut faults);
        d.check(&name, &filter, &mut faults);
    }
    let n = faults.lines().count();
    println!("{faults}{n} faults");
    let _ = (
        levels(),
        Alpha::Plain,
        Chain::new(Kernel::identity()),
        View::new(&[0u8], Shape::new(1, 1, 1)).is_ok(),
    );
    assert_eq!(n, 0);
}
