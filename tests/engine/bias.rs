//! No bias: over noise, results are as bright as the correctly rounded ones, and nearly all of them are those.
//! "Within 1 of the definition" alone would let a filter brighten every picture it is used on.

use crate::common::{Look, image, rng};
use rand::RngExt;
use rand::rngs::StdRng;
use twopass::{
    Alpha, Border, Chain, Depthwise, Filter, Image, Kernel, KernelParams, Layer, NamedKernel,
    Pointwise, Sample, SampleType, Shape, Source, Workspace, reference,
};

/// How far the mean of results may be from that of the correctly rounded ones, in levels.
fn allowed<S: Sample>() -> f64 {
    if S::TYPE == SampleType::U16 { 0.05 } else { 0.02 }
}

/// Share of `u8` samples that may differ from the correctly rounded ones.
const MOST_OFF: f64 = 0.1;

/// What was found of one filter on noise.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// mean(result − correctly rounded).
    mean: f64,
    /// Share of samples that are not the correctly rounded one.
    off: f64,
}

impl Found {
    /// Compares with exact values. Those halfway between two levels count for nothing: there the taps' own last
    /// bits decide.
    fn of<S: Sample>(results: &[S], exact: &[f64]) -> Self {
        assert_eq!(results.len(), exact.len());
        let (mut sum, mut off) = (0.0, 0usize);
        for (r, e) in results.iter().zip(exact) {
            if (e - e.floor() - 0.5).abs() < 1e-7 {
                continue;
            }
            let difference = r.to_f64() - (e + 0.5).floor().clamp(S::MIN, S::MAX);
            sum += difference;
            off += usize::from(difference != 0.0);
        }
        let n = exact.len() as f64;
        Self { mean: sum / n, off: off as f64 / n }
    }

    fn check<S: Sample>(self, what: impl Fn() -> String) {
        let fair = self.mean.abs() <= allowed::<S>();
        let right = S::TYPE != SampleType::U8 || self.off <= MOST_OFF;
        assert!(fair && right, "{}, {}: {self:?}", what(), S::TYPE);
    }
}

/// An image and its samples as numbers.
struct Picture<S> {
    image: Image<S>,
    values: Vec<f64>,
}

impl<S: Source> Picture<S> {
    fn new(image: Image<S>) -> Self {
        let values = image.data().iter().map(|s| s.to_f64()).collect();
        Self { image, values }
    }

    fn noise(width: usize, height: usize, channels: usize) -> Self {
        let seed = (width * height * channels) as u64;
        Self::new(image(Shape::new(width, height, channels), Look::Noise, seed))
    }

    fn filtered(&self, filter: &Filter) -> (Image<S>, String) {
        let plan = filter.plan::<S, S>(self.image.shape()).unwrap();
        let mut out = Image::new(plan.output_shape()).unwrap();
        plan.run(self.image.view(), out.view_mut(), &mut Workspace::new()).unwrap();
        (out, plan.proof())
    }

    /// A filter of one kernel, on an image that repeats.
    fn check(&self, name: &str, filter: &Filter) {
        let filter = filter.clone().border(Border::Wrap);
        let mut exact = repeated(&filter.kernels()[0], &self.values, self.image.shape());
        exact.iter_mut().for_each(|v| *v = *v * filter.get_scale() + filter.get_offset());
        let (out, arithmetic) = self.filtered(&filter);
        let found = Found::of(out.data(), &exact);
        found.check::<S>(|| format!("{name} ({arithmetic}), {}", self.image.shape()));
    }

    /// Any filter, or layers, by the reference.
    fn check_chain<O: Sample>(&self, name: &str, chain: &Chain) {
        let exact = reference::layer::chain(chain, self.image.view()).unwrap();
        let plan = chain.plan::<S, O>(self.image.shape()).unwrap();
        let mut out = Image::<O>::new(plan.output_shape()).unwrap();
        plan.run(self.image.view(), out.view_mut(), &mut Workspace::new()).unwrap();
        let found = Found::of(out.data(), &exact);
        let at = || format!("{name} ({}), {}", plan.proof(), self.image.shape());
        found.check::<O>(at);
        // Where results are cut off, errors are too.
        if exact.iter().all(|v| (0.0..=O::FULL).contains(v)) {
            let said = plan.bias();
            assert!((found.mean - said).abs() < allowed::<O>() / 2.0, "{}: {found:?}", at());
        }
    }
}

/// Exact values of a kernel on an image that repeats: by factors, where they are known.
fn repeated(kernel: &Kernel, values: &[f64], shape: Shape) -> Vec<f64> {
    let Shape { width, height, channels } = shape;
    let (ax, ay) = kernel.anchor();
    let row = shape.row();
    let around = |at: usize, anchor: usize, len: usize| {
        (at as isize - anchor as isize).rem_euclid(len as isize) as usize
    };
    let along = |taps: &[f64]| -> Vec<f64> {
        let mut out = vec![0.0; values.len()];
        let mut line = vec![0.0; row + (taps.len() - 1) * channels];
        for (out, source) in out.chunks_exact_mut(row).zip(values.chunks_exact(row)) {
            for (i, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let x = around(i, ax, width);
                pixel.copy_from_slice(&source[x * channels..][..channels]);
            }
            for (i, t) in taps.iter().enumerate() {
                let under = &line[i * channels..];
                out.iter_mut().zip(under).for_each(|(o, s)| *o += t * s);
            }
        }
        out
    };
    let down = |source: &[f64], j: usize, t: f64, out: &mut [f64]| {
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            let source = &source[around(y + j, ay, height) * row..][..row];
            out.iter_mut().zip(source).for_each(|(o, s)| *o += t * s);
        }
    };
    let mut out = vec![0.0; values.len()];
    if let Some((column, taps)) = kernel.factors() {
        let rows = along(taps);
        for (j, t) in column.iter().enumerate() {
            down(&rows, j, *t, &mut out);
        }
    } else {
        for (j, taps) in kernel.taps().chunks_exact(kernel.width()).enumerate() {
            down(&along(taps), j, 1.0, &mut out);
        }
    }
    out
}

/// Positive taps of sum 1, symmetric ones if asked for.
fn line(n: usize, symmetric: bool, rng: &mut StdRng) -> Vec<f64> {
    let mut taps: Vec<f64> = (0..n).map(|_| rng.random_range(0.01..1.0)).collect();
    if symmetric {
        (0..n / 2).for_each(|i| taps[n - 1 - i] = taps[i]);
    }
    let sum: f64 = taps.iter().sum();
    taps.into_iter().map(|t| t / sum).collect()
}

fn gaussians() -> Vec<(String, Filter)> {
    let of = |i: u32| {
        let sigma = f64::from(i) * 0.05;
        (format!("gaussian {sigma:.2}"), Filter::new(Kernel::gaussian(sigma).unwrap()))
    };
    (6..=400).map(of).collect()
}

fn boxes() -> Vec<(String, Filter)> {
    let of = |n: usize| (format!("box {n}"), Filter::new(Kernel::box_(n, n).unwrap()));
    (2..=64).map(of).collect()
}

/// Positive ones of 3 to 9 taps a side, products or not; sharpening ones; and some whose taps have a small part in
/// common.
fn others() -> Vec<(String, Filter)> {
    let mut rng = rng(17);
    let mut all: Vec<(String, Filter)> = Vec::new();
    let mut add = |name: String, kernel: Kernel| all.push((name, Filter::new(kernel)));
    for i in 0..147 {
        let (width, height) = (3 + i % 7, 3 + i / 7 % 7);
        let (column, row) = (line(height, i % 2 == 0, &mut rng), line(width, i % 3 > 0, &mut rng));
        let name = format!("positive {width}×{height}, {i}");
        add(format!("separable {name}"), Kernel::separable(&column, &row).unwrap());
        let taps = line(width * height, false, &mut rng);
        add(format!("dense {name}"), Kernel::new(width, height, taps).unwrap());
    }
    for i in 0..40 {
        let amount = rng.random_range(0.05..3.0);
        let n = if i % 2 == 0 { 3 } else { 5 };
        let mut taps = line(n * n, false, &mut rng);
        taps.iter_mut().for_each(|t| *t *= -amount);
        taps[n * n / 2] += 1.0 + amount;
        add(format!("sharpening {i}"), Kernel::new(n, n, taps).unwrap());
    }
    let terms = [Kernel::gaussian(2.0).unwrap().scaled(0.6), Kernel::new(1, 1, vec![0.4])];
    add("a blend".to_owned(), Kernel::sum_of(&terms.map(Result::unwrap)).unwrap());
    let three = |name: &str, taps: [f64; 9], parts: f64| {
        let taps = taps.map(|t| t / parts).to_vec();
        (name.to_owned(), Filter::new(Kernel::new(3, 3, taps).unwrap()))
    };
    all.extend([
        three("twentieths", [2.0, 4.0, 2.0, 1.0, 2.0, 1.0, 2.0, 4.0, 2.0], 20.0),
        three("twelfths", [1.0, 2.0, 1.0, 2.0, 0.0, 2.0, 1.0, 2.0, 1.0], 12.0),
        three("thirds", [-1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, -1.0], 3.0),
    ]);
    for named in NamedKernel::all() {
        let kernels = named.kernels(&KernelParams::default()).unwrap();
        if let [kernel] = &kernels[..] {
            let scale = 1.0 / kernel.abs_sum().max(1.0);
            let scaled = Filter::new(kernel.clone()).scale(scale).offset(100.0);
            all.push((format!("{} scaled", named.name()), scaled));
            all.push((named.name().to_owned(), Filter::new(kernel.clone())));
        }
    }
    all
}

#[test]
fn single_filters_u8() {
    let pictures = [
        Picture::<u8>::noise(256, 256, 1),
        Picture::noise(161, 160, 3),
        Picture::noise(140, 141, 4),
    ];
    for (name, filter) in gaussians().into_iter().chain(boxes()).chain(others()) {
        for picture in &pictures {
            picture.check(&name, &filter);
        }
    }
}

#[test]
fn single_filters_u16() {
    let pictures = [Picture::<u16>::noise(193, 190, 1), Picture::noise(97, 91, 3)];
    let few = gaussians().into_iter().step_by(7).chain(boxes().into_iter().step_by(3));
    for (name, filter) in few.chain(others().into_iter().step_by(5)) {
        for picture in &pictures {
            picture.check(&name, &filter);
        }
    }
}

/// What the plan says of noise is what noise shows.
#[test]
fn plans_say_it() {
    let picture = Picture::<u8>::noise(256, 256, 1);
    let some = gaussians().into_iter().step_by(3).chain(boxes()).chain(others());
    for (name, filter) in some {
        let filter = filter.border(Border::Wrap);
        let plan = filter.plan::<u8, u8>(picture.image.shape()).unwrap();
        let sum = filter.kernels()[0].sum() * filter.get_scale();
        let gain = plan.gain_error();
        assert!(
            gain.abs() <= (sum.abs() / 4096.0).max(1.0 / 16384.0),
            "{name}: gain off by {gain}"
        );
        assert!(plan.bias().abs() <= 0.01, "{name}: {}", plan.bias());
        let mut exact = repeated(&filter.kernels()[0], &picture.values, picture.image.shape());
        exact.iter_mut().for_each(|v| *v = *v * filter.get_scale() + filter.get_offset());
        // Where results are cut off, errors are too.
        if exact.iter().all(|v| (0.0..=255.0).contains(v)) {
            let (out, _) = picture.filtered(&filter);
            let found = Found::of(out.data(), &exact);
            let said = plan.bias();
            assert!((found.mean - said).abs() < 0.005, "{name}: {found:?}, said {said}");
        }
    }
}

/// A sum whose taps are as far from whole as can be, of rows in which 0 stands for 128.
#[test]
fn sums_of_terms_say_it() {
    let mut picture = Picture::<u8>::noise(256, 256, 1).image;
    // So that nothing is cut off.
    picture.data_mut().iter_mut().for_each(|v| *v = 112 + *v / 8);
    let picture = Picture::new(picture);
    for part in [0.49, -0.49] {
        let kernel = Kernel::unsharp(12.0, (6062.0 + part) / 16384.0).unwrap();
        let filter = Filter::new(kernel).border(Border::Wrap);
        let exact = repeated(&filter.kernels()[0], &picture.values, picture.image.shape());
        let said = filter.plan::<u8, u8>(picture.image.shape()).unwrap().bias();
        let (out, proof) = picture.filtered(&filter);
        let found = Found::of(out.data(), &exact);
        assert!(
            said.abs() > 0.003 && (found.mean - said).abs() < 0.003,
            "{proof}: {found:?}, said {said}"
        );
    }
}

fn filter(kernel: Result<Kernel, twopass::Error>) -> Filter {
    Filter::new(kernel.unwrap())
}

#[test]
fn chains() {
    let sharpen = Filter::new(Kernel::sharpen());
    let mut rng = rng(5);
    let mut small = || Kernel::separable(&line(5, false, &mut rng), &line(4, false, &mut rng));
    let chains: Vec<[Filter; 2]> = vec![
        [filter(Kernel::gaussian(0.8)), filter(Kernel::gaussian(0.55))],
        [filter(Kernel::gaussian(2.0)), sharpen.clone()],
        [filter(Kernel::disc(6.0)), sharpen.clone()],
        [filter(Kernel::motion(21.0, 30.0)), filter(Kernel::box_(5, 5))],
        [filter(Kernel::box_(5, 5)), filter(Kernel::box_(6, 6))],
        [filter(Kernel::box_(3, 3)), filter(Kernel::gaussian(0.95))],
        [filter(Kernel::box_(16, 16)), filter(Kernel::gaussian(1.0))],
        [filter(Kernel::gaussian(1.0)), filter(Kernel::box_(24, 1))],
        [filter(Kernel::gaussian(0.7)).scale(0.5), filter(Kernel::box_(3, 3)).scale(2.0)],
        [filter(small()), filter(small())],
        [filter(small()), sharpen],
        [filter(Kernel::gaussian(3.0)), filter(small())],
    ];
    let one = Picture::<u8>::noise(131, 130, 1);
    let three = Picture::<u8>::noise(77, 70, 3);
    let sixteen = Picture::<u16>::noise(90, 91, 1);
    for (i, [first, second]) in chains.into_iter().enumerate() {
        let alone = Chain::new(first.clone());
        let chain = alone.clone().then(second).unwrap();
        for chain in [&alone, &chain] {
            one.check_chain::<u8>(&format!("chain {i}"), chain);
            three.check_chain::<u8>(&format!("chain {i}"), chain);
            sixteen.check_chain::<u16>(&format!("chain {i}"), chain);
        }
    }
}

#[test]
fn layers() {
    let mut rng = rng(9);
    let mut mix = |outputs: usize| {
        let rows: Vec<f32> =
            (0..outputs).flat_map(|_| line(3, false, &mut rng)).map(|w| w as f32).collect();
        Layer::from(Pointwise::from_pytorch(&rows, [outputs, 3, 1, 1]).unwrap())
    };
    let sepia =
        [0.393, 0.769, 0.189, 0.349, 0.686, 0.168, 0.272, 0.534, 0.131].map(|w: f32| w / 1.351);
    let sepia = Pointwise::from_pytorch(&sepia, [3, 3, 1, 1]).unwrap();
    let kernels =
        [Kernel::gaussian(0.8), Kernel::box_(5, 5), Kernel::box_(5, 5)].map(Result::unwrap);
    let kernels = kernels.map(|k| k.embedded_in(7));
    let depthwise = Depthwise::from_kernels(&kernels, &Border::Wrap).unwrap();
    let layers = [mix(3), mix(1), mix(4), Layer::from(sepia), Layer::from(depthwise)];
    let (eight, sixteen) = (Picture::<u8>::noise(150, 150, 3), Picture::<u16>::noise(100, 100, 3));
    for (i, layer) in layers.into_iter().enumerate() {
        let chain = Chain::new(layer);
        eight.check_chain::<u8>(&format!("layer {i}"), &chain);
        sixteen.check_chain::<u16>(&format!("layer {i}"), &chain);
    }
}

/// A kernel in the middle of a larger window.
trait Embedded {
    fn embedded_in(&self, n: usize) -> Kernel;
}

impl Embedded for Kernel {
    fn embedded_in(&self, n: usize) -> Kernel {
        let (dx, dy) = ((n - self.width()) / 2, (n - self.height()) / 2);
        let inside = |x: usize, y: usize| {
            x >= dx && y >= dy && x < dx + self.width() && y < dy + self.height()
        };
        let tap = |i: usize| {
            let (x, y) = (i % n, i / n);
            if inside(x, y) { self.tap(x - dx, y - dy) } else { 0.0 }
        };
        Kernel::new(n, n, (0..n * n).map(tap).collect()).unwrap()
    }
}

/// Colours that are multiplied by alpha, and divided.
#[test]
fn premultiplied() {
    fn check<S: Source>(filter: &Filter) {
        for channels in [2, 4] {
            let mut picture = image::<S>(Shape::new(120, 111, channels), Look::Noise, 3);
            // Where alpha is small, so is what is known of colours.
            let mut view = picture.view_mut();
            for y in 0..111 {
                for pixel in view.row_mut(y).chunks_exact_mut(channels) {
                    let alpha = pixel[channels - 1].to_f64();
                    pixel[channels - 1] = S::from_f64((S::FULL + alpha) / 2.0);
                }
            }
            let filter = filter.clone().alpha(Alpha::Premultiply);
            let rect = picture.shape().rect();
            let exact = reference::region(&filter, picture.shape(), picture.view(), (0, 0), rect);
            let (out, arithmetic) = Picture::new(picture).filtered(&filter);
            let found = Found::of(out.data(), &exact.unwrap());
            found.check::<S>(|| format!("{:?} ({arithmetic})", filter.kernels()[0]));
        }
    }
    for kernel in
        [Kernel::gaussian(0.8), Kernel::gaussian(0.55), Kernel::box_(5, 5), Kernel::box_(6, 6)]
    {
        let filter = filter(kernel).border(Border::Wrap);
        check::<u8>(&filter);
        check::<u16>(&filter);
    }
}

/// A hundred passes of what smooths neither brighten a picture nor darken it: no more than exact sums would that
/// are rounded after each pass.
#[cfg(feature = "image")]
#[test]
fn a_hundred_passes() {
    let photo = ::image::load_from_memory(include_bytes!("../../assets/scene.png"))
        .unwrap()
        .crop_imm(50, 50, 400, 300)
        .to_luma8();
    let shape = Shape::new(400, 300, 1);
    let scene = photo.into_raw();
    let mean = |v: &[u8]| v.iter().map(|&v| f64::from(v)).sum::<f64>() / v.len() as f64;
    let before = mean(&scene);
    let mut faults = Vec::new();
    let smooth = gaussians().into_iter().take(55).chain(boxes().into_iter().take(9));
    let binomial = |n| (format!("binomial {n}"), filter(Kernel::binomial(n)));
    for (name, filter) in smooth.chain([3, 4, 5, 7].map(binomial)) {
        let filter = filter.border(Border::Wrap);
        let plan = filter.plan::<u8, u8>(shape).unwrap();
        let (mut ours, mut exact) = (scene.clone(), scene.clone());
        let mut workspace = Workspace::new();
        for _ in 0..100 {
            let source = Image::from_vec(ours.clone(), shape).unwrap();
            let mut out = Image::new(shape).unwrap();
            plan.run(source.view(), out.view_mut(), &mut workspace).unwrap();
            ours = out.into_vec();
            let values: Vec<f64> = exact.iter().map(|&v| f64::from(v)).collect();
            let sums = repeated(&filter.kernels()[0], &values, shape);
            // Halfway is upwards, whatever the last bits of taps.
            exact = sums.into_iter().map(|v| u8::from_f64(v + 1e-9)).collect();
        }
        let (moved, least) = ((mean(&ours) - before).abs(), (mean(&exact) - before).abs());
        // A tenth holds on photographs. This picture is drawn, of ramps: where a step of one level meets taps that
        // weigh half of all but for some thousandths, their rounding decides, again and again, all along the step.
        if moved > least + 0.15 {
            let arithmetic = plan.proof();
            faults.push(format!("{name} ({arithmetic}): {moved:.3}, exactly rounded {least:.3}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
