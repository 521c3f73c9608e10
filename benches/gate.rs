//! The gate of changes that must not show: the bytes of results, and the time they take, against an older build.
//!
//! `cargo test --bench gate` compares hashes of results with `benches/gate.txt`, at every level of the
//! machine; `-- --write` writes that file. `-- --against EXECUTABLE [PART OF AN ID]` compares times (one thread, the
//! best level or `--level NAME`, 1080p or `--size 3840x2160`) and bytes with those of another build of this bench,
//! run and run about: what `cargo bench --bench gate --no-run` names.
//!
//! `-- --shares [PART OF AN ID]` compares, on one thread, the time of the worker with most to do with its part of the
//! time of one worker alone, for 2 to 32 workers: how well an image is shared out, without as many cores.
//!
//! `-- --chains [PART OF AN ID]` compares, on one thread, the time of chains with that of their layers one after the
//! other, which round to samples in between.
//!
//! Rows are those of the board (`benches/peers/rows.py`), the arithmetic of `benches/passes.rs`, chains, and some
//! hundred random plans, which are not timed. Taps and pictures are made without functions of the system's library,
//! so that hashes are the same on every machine.

mod support;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use support::{named, whole};
use twopass::{
    Alpha, Border, Chain, Error, Filter, Image, Kernel, Level, Method, Plan, Pointwise, Rect,
    Sample, SampleType, Shape, Source, Workspace,
};

/// What is run.
#[derive(Clone)]
enum What {
    Filter(Filter),
    Chain(Chain),
}

struct Row {
    id: String,
    what: What,
    input: SampleType,
    output: SampleType,
    channels: usize,
    /// The picture's size where the row is one of the random ones.
    size: Option<(usize, usize)>,
}

/// A plan with all it needs.
trait Prepared {
    fn run(&mut self);
    fn hash(&self) -> u64;
    /// What so many workers do each, if the plan is one walk: rectangles of the output.
    fn chunks(&self, workers: usize) -> Option<Vec<Rect>>;
    fn run_region(&mut self, rect: Rect);
}

struct Ready<I: Source, O: Sample> {
    plan: Plan<I, O>,
    source: Image<I>,
    out: Image<O>,
    workspace: Workspace,
}

impl<I: Source, O: Sample> Ready<I, O> {
    fn new(what: &What, shape: Shape, level: Level) -> Result<Self, Error> {
        let plan = match what.clone() {
            What::Filter(filter) => filter.level(level).threads(1).plan::<I, O>(shape)?,
            What::Chain(chain) => chain.level(level).threads(1).plan(shape)?,
        };
        let (source, out) = (picture(shape), Image::new(plan.output_shape())?);
        Ok(Self { plan, source, out, workspace: Workspace::new() })
    }
}

impl<I: Source, O: Sample> Prepared for Ready<I, O> {
    fn run(&mut self) {
        let (source, out) = (self.source.view(), self.out.view_mut());
        self.plan.run(source, out, &mut self.workspace).expect("shapes that agree");
    }

    fn chunks(&self, workers: usize) -> Option<Vec<Rect>> {
        (self.plan.segments() == 1).then(|| self.plan.chunks(workers))
    }

    fn run_region(&mut self, rect: Rect) {
        let out = self.out.view_mut().crop(rect).expect("a part of the output");
        let (source, workspace) = (self.source.view(), &mut self.workspace);
        self.plan.run_region(source, (0, 0), rect, out, workspace).expect("shapes that agree");
    }

    /// FNV-1a of the samples' bits as `f64`, both halves of them.
    fn hash(&self) -> u64 {
        let samples = self.out.data().iter();
        samples.fold(0xcbf2_9ce4_8422_2325, |hash, sample| {
            let bits = sample.to_f64().to_bits();
            (hash ^ bits ^ (bits >> 32)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// `None` where the row cannot be planned for such a shape.
fn prepare(row: &Row, shape: Shape, level: Level) -> Option<Box<dyn Prepared>> {
    fn boxed<I: Source, O: Sample>(
        what: &What,
        shape: Shape,
        level: Level,
    ) -> Option<Box<dyn Prepared>> {
        match Ready::<I, O>::new(what, shape, level) {
            Ok(ready) => Some(Box::new(ready)),
            Err(Error::Unsupported(_)) => None,
            Err(e) => panic!("{e}"),
        }
    }
    use SampleType::{F32, I16, U8, U16};
    let make = match (row.input, row.output) {
        (U8, U8) => boxed::<u8, u8>,
        (U8, U16) => boxed::<u8, u16>,
        (U8, I16) => boxed::<u8, i16>,
        (U8, F32) => boxed::<u8, f32>,
        (U16, U8) => boxed::<u16, u8>,
        (U16, U16) => boxed::<u16, u16>,
        (U16, I16) => boxed::<u16, i16>,
        (U16, F32) => boxed::<u16, f32>,
        (F32, U8) => boxed::<f32, u8>,
        (F32, U16) => boxed::<f32, u16>,
        (F32, I16) => boxed::<f32, i16>,
        (F32, F32) => boxed::<f32, f32>,
        pair => panic!("{pair:?}"),
    };
    make(&row.what, shape, level)
}

/// Ramps and noise, over most of the range.
fn picture<S: Sample>(shape: Shape) -> Image<S> {
    let mut rng = StdRng::seed_from_u64(1);
    let mut image = Image::new(shape).expect("a shape that fits");
    let ramp = |i: usize, period: usize| (i % period).abs_diff(period / 2) as f64 / period as f64;
    for y in 0..shape.height {
        for (x, sample) in image.view_mut().row_mut(y).iter_mut().enumerate() {
            let value = 0.2 + ramp(x, 480) * 0.6 + ramp(y, 310) * 0.6;
            *sample = S::from_f64((value + rng.random_range(-0.15..0.15)) * S::FULL);
        }
    }
    image
}

/// Rounded to 20 digits behind the point, the middle one such that their sum is 1: no function of the system's
/// library shows in them.
fn bell(size: usize, sigma: f64) -> Kernel {
    let at = |i: usize| (-0.5 * ((i as f64 - (size / 2) as f64) / sigma).powi(2)).exp();
    let sum: f64 = (0..size).map(at).sum();
    let unit = f64::from(1 << 20);
    let mut taps: Vec<f64> = (0..size).map(|i| (at(i) / sum * unit).round() / unit).collect();
    taps[size / 2] += 1.0 - taps.iter().sum::<f64>();
    Kernel::separable(&taps, &taps).expect("a small finite kernel")
}

/// Equal taps within so many pixels of the middle; `edge` of those beyond, up to the kernel's sides.
fn disc(radius: i32, edge: f64) -> Kernel {
    let size = 2 * radius + 1;
    let tap = |i: i32| {
        let (x, y) = (i % size - radius, i / size - radius);
        match x * x + y * y - radius * radius {
            ..=0 => 1.0,
            1..=16 => edge / 4.0,
            _ => 0.0,
        }
    };
    let taps: Vec<f64> = (0..size * size).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    let taps = taps.iter().map(|t| t / sum).collect();
    Kernel::new(size as usize, size as usize, taps).expect("a small finite kernel")
}

/// Two slanting lines of taps that are all different.
fn lines(size: usize) -> Kernel {
    let tap = |i: usize| {
        let (x, y) = (i % size, i / size);
        if x == 2 * y || x == y / 2 { 1.0 + i as f64 / 4096.0 } else { 0.0 }
    };
    Kernel::new(size, size, (0..size * size).map(tap).collect())
        .and_then(|kernel| kernel.scaled(1.0 / 128.0))
        .expect("a small finite kernel")
}

/// A Gaussian of a size, as OpenCV has it.
fn gaussian(size: usize) -> Filter {
    Filter::new(match size {
        3 | 5 => Kernel::binomial(size).expect("a small kernel"),
        7 => {
            let taps = [1.0, 3.5, 7.0, 9.0, 7.0, 3.5, 1.0].map(|t| t / 32.0);
            Kernel::separable(&taps, &taps).expect("a small kernel")
        }
        _ => bell(size, 0.3 * ((size - 1) as f64 * 0.5 - 1.0) + 0.8),
    })
}

fn sigma(sigma: f64) -> Filter {
    Filter::new(bell(2 * (3.0 * sigma).ceil() as usize + 1, sigma))
}

/// Lopsided factors of sum 1, or taps without any pattern; of `f32`.
fn random(size: usize, separable: bool) -> Kernel {
    let mut rng = StdRng::seed_from_u64(size as u64);
    let single = |v: f64| f64::from(v as f32);
    if !separable {
        let taps = (0..size * size).map(|_| single(rng.random_range(-1.7..1.7) / size as f64));
        return Kernel::new(size, size, taps.collect()).expect("a small finite kernel");
    }
    let mut factor = || {
        let taps: Vec<f64> = (1..=size).map(|i| rng.random_range(0.2..1.0) * i as f64).collect();
        let sum: f64 = taps.iter().sum();
        taps.iter().map(|t| single(t / sum)).collect::<Vec<f64>>()
    };
    Kernel::separable(&factor(), &factor()).expect("a small finite kernel")
}

/// Dense taps of sum 1, so that results are neither all black nor all white.
fn mean(size: usize) -> Kernel {
    let mut rng = StdRng::seed_from_u64(size as u64);
    let taps: Vec<f64> = (0..size * size).map(|_| rng.random_range(0.01..1.0)).collect();
    let sum: f64 = taps.iter().sum();
    let taps = taps.iter().map(|t| f64::from((t / sum) as f32));
    Kernel::new(size, size, taps.collect()).expect("a small finite kernel")
}

fn edges(size: usize) -> Filter {
    let kernel = random(size, false);
    Filter::magnitude(&kernel, &kernel.flipped()).expect("small kernels")
}

fn mix(inputs: usize, outputs: usize) -> Pointwise {
    let mut rng = StdRng::seed_from_u64(3);
    let matrix: Vec<f32> = (0..inputs * outputs).map(|_| rng.random_range(-0.5..1.0)).collect();
    Pointwise::from_keras(&matrix, [1, 1, inputs, outputs]).expect("few weights")
}

fn chain(filters: impl IntoIterator<Item = Filter>) -> Chain {
    let mut filters = filters.into_iter();
    let first = Chain::new(filters.next().expect("one filter at least"));
    filters.fold(first, |chain, filter| chain.then(filter).expect("equal channels"))
}

/// What is measured.
fn timed_rows() -> Vec<Row> {
    use SampleType::{F32, I16, U8, U16};
    let mut rows = Vec::new();
    let mut add = |op: &str, size: &str, (input, output), channels, what| {
        let types = if input == output { format!("{input}") } else { format!("{input}-{output}") };
        let id = format!("{op}/{size}/{types}/{channels}");
        rows.push(Row { id, what, input, output, channels, size: None });
    };
    let filter = What::Filter;
    for channels in [1, 3, 4] {
        for size in [3, 5, 7, 9, 13, 61] {
            let what = filter(gaussian(size));
            add("gaussian", &size.to_string(), (U8, U8), channels, what);
        }
        for s in [2.0, 5.0, 10.0, 25.0, 50.0] {
            add("gaussian", &format!("sigma{s}"), (U8, U8), channels, filter(sigma(s)));
        }
        for size in [5, 9] {
            let what = filter(Filter::new(random(size, true)));
            add("separable", &size.to_string(), (U8, U8), channels, what);
        }
    }
    for size in [3, 5, 7, 101] {
        add("gaussian", &size.to_string(), (U16, U16), 1, filter(gaussian(size)));
    }
    for size in [5, 9, 31] {
        add("gaussian", &size.to_string(), (F32, F32), 1, filter(gaussian(size)));
    }
    let near = filter(sigma(25.0).tolerance(2e-3));
    for samples in [U16, F32] {
        add("gaussian-tolerance", "sigma25", (samples, samples), 1, near.clone());
    }
    add("gaussian", "5", (U8, F32), 3, filter(gaussian(5)));
    add("gaussian", "9", (U8, F32), 3, filter(gaussian(9)));
    add("gaussian", "5", (F32, U8), 3, filter(gaussian(5).scale(255.0)));
    add("gaussian", "5", (U16, U16), 3, filter(gaussian(5)));
    add("sobel-x", "3", (U8, I16), 1, filter(named("sobel-x", 3)));
    add("sobel-x", "5", (U8, I16), 1, filter(named("sobel-x", 5)));
    add("sobel-x", "11", (U8, I16), 1, filter(named("sobel-x", 11)));
    add("sobel-x", "7", (U16, I16), 1, filter(named("sobel-x", 7)));
    add("sobel-x", "3", (U8, U8), 1, filter(named("sobel-x", 3).abs()));
    add("sobel", "3", (U8, U8), 1, filter(named("sobel", 3)));
    add("sobel", "5", (U8, U8), 1, filter(named("sobel", 5)));
    add("sobel", "7", (U8, U8), 1, filter(named("sobel", 7).scale(1.0 / 64.0)));
    add("sobel", "3", (U16, U16), 1, filter(named("sobel", 3)));
    add("sobel", "3", (F32, F32), 1, filter(named("sobel", 3)));
    add("scharr-x", "3", (U8, I16), 1, filter(named("scharr-x", 0)));
    add("laplacian", "3", (U8, I16), 1, filter(named("laplacian", 0)));
    add("laplacian", "3", (U8, U8), 1, filter(named("laplacian", 0)));
    add("sharpen", "3", (U8, U8), 3, filter(named("sharpen", 0)));
    let image = Kernel::new(1, 1, vec![2.0]).expect("one tap");
    let sums: [(&str, usize, Kernel, f64); 3] = [
        ("unsharp", 1, image.clone(), 1.0),
        ("unsharp", 10, image, 10.0),
        ("dog", 3, bell(2 * 9 + 1, 3.0), 4.8),
    ];
    for (name, size, first, wide) in sums {
        let less = bell(2 * (3.0 * wide).ceil() as usize + 1, wide).scaled(-1.0);
        let sum = Kernel::sum_of(&[first, less.expect("finite taps")]).expect("finite taps");
        for (sample, channels) in [(U8, 1), (U8, 3), (F32, 1)] {
            let what = filter(Filter::new(sum.clone()));
            add(name, &format!("sigma{size}"), (sample, sample), channels, what);
        }
    }
    let round = [
        ("disc", "31", disc(15, 1.0)),
        ("disc-hard", "63", disc(31, 0.0)),
        ("lines", "63", lines(63)),
    ];
    for (name, size, kernel) in round {
        for (sample, channels) in [(U8, 1), (U8, 3), (U16, 1), (F32, 1)] {
            // Large discs of floats go by transforms, in which the system's sines show.
            if sample == F32 && name != "lines" {
                continue;
            }
            let what = filter(Filter::new(kernel.clone()));
            add(name, size, (sample, sample), channels, what);
        }
    }
    let boxes = [(U8, 1), (U8, 3), (U8, 4), (U16, 1), (U16, 3), (F32, 1), (F32, 3)];
    for (sample, channels) in boxes {
        for size in [3, 5, 15, 101] {
            add("box", &size.to_string(), (sample, sample), channels, filter(named("box", size)));
        }
    }
    add("box", "301", (U8, U8), 1, filter(named("box", 301)));
    add("box", "15", (U8, I16), 1, filter(named("box", 15)));
    for channels in [1, 3] {
        for size in [3, 5, 9, 15, 31] {
            let what = filter(Filter::new(random(size, true)));
            add("separable", &size.to_string(), (F32, F32), channels, what);
        }
        for sample in [U8, F32] {
            for size in [3, 5, 7, 11, 15] {
                let what = filter(Filter::new(random(size, false)));
                add("dense", &size.to_string(), (sample, sample), channels, what);
            }
        }
    }
    add("dense", "7", (U8, F32), 1, filter(Filter::new(random(7, false))));
    add("dense", "7", (U16, U16), 1, filter(Filter::new(random(7, false))));
    add("dense", "25", (U16, U16), 1, filter(Filter::new(random(25, false))));
    // Sums of integer pictures are exact by transforms; those of floats depend on the system's sine.
    for (size, types, channels) in
        [(31, (U8, U8), 1), (63, (U8, U8), 3), (31, (U8, F32), 1), (31, (U16, U16), 1)]
    {
        add("fft", &size.to_string(), types, channels, filter(Filter::new(mean(size))));
    }
    let colours = Filter::new(mean(31)).alpha(Alpha::Premultiply);
    add("premultiplied-fft", "31", (U8, U8), 4, filter(colours));
    // Terms with taps below 0, at two rates.
    let second = Kernel::log(10.0).expect("a kernel");
    add("log", "sigma10", (U8, U8), 1, filter(Filter::new(second).scale(20.0).offset(128.0)));
    add("whole", "5", (U8, U8), 1, filter(Filter::new(whole(5, 2)).scale(1.0 / 64.0)));
    add("whole", "5", (U16, U16), 1, filter(Filter::new(whole(5, 40)).offset(32768.0)));
    add("edges", "5", (U8, U8), 1, filter(edges(5)));
    add("edges", "5", (F32, F32), 1, filter(edges(5)));
    let premultiplied = |f: Filter| filter(f.alpha(Alpha::Premultiply));
    add("premultiplied-gaussian", "5", (U8, U8), 4, premultiplied(gaussian(5)));
    add("premultiplied-box", "15", (U8, U8), 4, premultiplied(named("box", 15)));
    add("kept-sharpen", "3", (U8, U8), 4, filter(named("sharpen", 0).alpha(Alpha::Keep)));
    for (sample, inputs, outputs) in
        [(U8, 3, 3), (U8, 3, 1), (U8, 4, 4), (U16, 3, 3), (F32, 3, 3), (F32, 3, 1), (F32, 4, 4)]
    {
        let what = What::Chain(Chain::new(mix(inputs, outputs)));
        add("mix", &format!("{inputs}-{outputs}"), (sample, sample), inputs, what);
    }
    let (blur, sharpen) = (sigma(2.0), named("sharpen", 0));
    let box15 = || named("box", 15);
    let disc31 = Filter::new(disc(15, 1.0)).method(Method::Runs);
    let chains: [(&str, Chain); 11] = [
        ("gaussian", chain([gaussian(5)])),
        ("gaussian-sharpen", chain([blur.clone(), sharpen.clone()])),
        ("box101-sharpen", chain([named("box", 101), sharpen.clone()])),
        ("gaussian-sobel", chain([gaussian(5), named("sobel", 3)])),
        ("gaussian10-laplacian", chain([sigma(10.0), named("laplacian", 0)])),
        ("box5-box5-box5", chain([named("box", 5), named("box", 5), named("box", 5)])),
        ("box15-box15-box15", chain([box15(), box15(), box15()])),
        ("sharpen-box31", chain([sharpen.clone(), named("box", 31)])),
        ("disc31-sharpen", chain([disc31, sharpen.clone()])),
        ("mix-gaussian", Chain::new(mix(3, 3)).then(gaussian(5)).expect("three channels")),
        ("gaussian-luma", Chain::new(gaussian(5)).then(mix(3, 1)).expect("three channels")),
    ];
    for (name, chain) in chains {
        add("chain", name, (U8, U8), 3, What::Chain(chain.clone()));
        add("chain", name, (F32, F32), 3, What::Chain(chain));
    }
    // At two rates, by transforms, and with taps of more bits.
    let unsharp = || {
        let long = bell(301, 50.0).scaled(-1.0).expect("a finite kernel");
        let image = Kernel::identity().scaled(2.0).expect("a finite kernel");
        Filter::new(Kernel::sum_of(&[image, long]).expect("two terms"))
    };
    let box3 = || named("box", 3);
    let chains: [(&str, Chain); 7] = [
        ("gaussian50-box3", chain([sigma(50.0), box3()])),
        ("box3-gaussian50", chain([box3(), sigma(50.0)])),
        ("gaussian10-box3", chain([sigma(10.0), box3()])),
        ("unsharp50-box3", chain([unsharp(), box3()])),
        ("dense63-sharpen", chain([Filter::new(mean(63)), sharpen.clone()])),
        ("gaussian10-sharpen", chain([sigma(10.0), sharpen.clone()])),
        ("gaussian50-sharpen", chain([sigma(50.0), sharpen.clone()])),
    ];
    for (name, chain) in chains {
        add("chain", name, (U8, U8), 3, What::Chain(chain));
    }
    let alpha = [blur.alpha(Alpha::Premultiply), sharpen.alpha(Alpha::Keep)];
    add("chain", "premultiplied-kept", (U8, U8), 4, What::Chain(chain(alpha)));
    rows
}

/// A filter of everything that filters may have.
fn any_filter(rng: &mut StdRng, channels: usize, full: f64) -> Filter {
    let (width, height) = (rng.random_range(1..=12), rng.random_range(1..=12));
    let line = |rng: &mut StdRng, n: usize| {
        (0..n).map(|_| rng.random_range(-0.3..0.6)).collect::<Vec<f64>>()
    };
    let kernel = match rng.random_range(0..8) {
        0 => Kernel::box_(width, height),
        1 => Kernel::binomial(2 * rng.random_range(0..6) + 1),
        2 => Ok(Kernel::sobel_x()),
        3 => Ok(bell(2 * rng.random_range(1..12) + 1, rng.random_range(0.5..3.0))),
        4 => Kernel::new(width, height, line(rng, width * height)),
        5 => {
            let taps = (0..width * height).map(|_| f64::from(rng.random_range(-9..=9)));
            Kernel::new(width, height, taps.collect())
        }
        6 => {
            let mut odd = line(rng, height);
            let symmetric: Vec<f64> =
                odd.iter().zip(odd.iter().rev()).map(|(a, b)| a + b).collect();
            odd.reverse();
            Kernel::separable(&symmetric, &line(rng, width))
        }
        _ => Kernel::separable(&line(rng, height), &line(rng, width)),
    };
    let kernel = kernel.expect("a small finite kernel");
    let mut filter = match rng.random_range(0..6) {
        0 => Filter::magnitude(&kernel, &kernel.flipped()).expect("small kernels"),
        1 => Filter::new(kernel).abs(),
        _ => Filter::new(kernel),
    };
    filter = filter.scale([1.0, 1.0, 0.25, 0.1, 1.0 / 255.0][rng.random_range(0..5)]);
    filter = filter.offset([0.0, 0.0, 0.0, 0.25][rng.random_range(0..4)] * full);
    let mut border = || match rng.random_range(0..5) {
        0 => {
            let count = if rng.random_range(0..2) == 0 { 1 } else { channels };
            Border::Constant(
                (0..count).map(|_| (rng.random_range(0.0..1.0) * full).round()).collect(),
            )
        }
        1 => Border::Replicate,
        2 => Border::Reflect,
        3 => Border::Wrap,
        _ => Border::Reflect101,
    };
    let (x, y) = (border(), border());
    let alphas = [Alpha::Plain, Alpha::Keep, Alpha::Premultiply];
    let alpha = if channels == 4 { alphas[rng.random_range(0..3)] } else { Alpha::Plain };
    filter.borders(x, y).alpha(alpha)
}

/// Filters and chains of everything, on small pictures.
fn random_rows() -> Vec<Row> {
    use SampleType::{F32, I16, U8, U16};
    let make = |seed: u64| {
        let mut rng = StdRng::seed_from_u64(1000 + seed);
        let input = [U8, U8, U16, F32][seed as usize % 4];
        let output = [input, U8, I16, F32, U16][seed as usize / 4 % 5];
        let full = match input {
            U8 => 255.0,
            U16 => 65535.0,
            _ => 1.0,
        };
        let channels = rng.random_range(1..=4);
        let size = (rng.random_range(1..=160), rng.random_range(1..=40));
        let first = any_filter(&mut rng, channels, full);
        let what = match seed % 3 {
            0 => What::Chain(chain([first, any_filter(&mut rng, channels, full)])),
            _ => What::Filter(first),
        };
        Row { id: format!("random/{seed}"), what, input, output, channels, size: Some(size) }
    };
    (0..300).map(make).collect()
}

/// The size of pictures whose results are hashed: parts of vectors and of tiles are left over.
const HASHED: (usize, usize) = (331, 47);

/// Hashes of all rows, a line each: the same at every level, or of each level.
fn hashes() -> String {
    let mut text = String::new();
    for row in timed_rows().iter().chain(&random_rows()) {
        let (width, height) = row.size.unwrap_or(HASHED);
        let shape = Shape::new(width, height, row.channels);
        let of_level = |level| {
            let mut ready = prepare(row, shape, level)?;
            ready.run();
            Some((level, ready.hash()))
        };
        let all: Vec<_> = Level::available().into_iter().filter_map(of_level).collect();
        if row.output != SampleType::F32 {
            let same = all.iter().all(|(_, hash)| *hash == all[0].1);
            assert!(same, "{}: other bytes at other levels", row.id);
            if let Some((_, hash)) = all.first() {
                writeln!(text, "{} {hash:016x}", row.id).expect("memory");
            }
            continue;
        }
        for (level, hash) in all {
            writeln!(text, "{} {level} {hash:016x}", row.id).expect("memory");
        }
    }
    text
}

fn hash_file() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/gate.txt")
}

/// The lines of this machine's levels against the file.
fn check() {
    let file = std::fs::read_to_string(hash_file()).expect("benches/gate.txt");
    let known: std::collections::HashMap<&str, &str> =
        file.lines().filter_map(|line| line.rsplit_once(' ')).collect();
    let ours = hashes();
    let differ: Vec<&str> = ours
        .lines()
        .filter(|line| {
            let (row, hash) = line.rsplit_once(' ').expect("a row and a hash");
            known.get(row) != Some(&hash)
        })
        .collect();
    let all = ours.lines().count();
    assert!(
        differ.is_empty(),
        "{} of {all} results are not those of benches/gate.txt; if that is meant, \
         `cargo bench --bench gate -- --write` and tell users:\n{}",
        differ.len(),
        differ.join("\n")
    );
    println!("{all} results are those of benches/gate.txt");
}

/// Answers `id level width height runs` with the least nanoseconds of a run, and the hash of the result.
fn serve() {
    let rows = timed_rows();
    let mut last: Option<(String, Box<dyn Prepared>)> = None;
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let (what, runs) = line.rsplit_once(' ').expect("id level width height runs");
        if last.as_ref().is_none_or(|(known, _)| known != what) {
            // One picture at a time in memory.
            drop(last.take());
            let words: Vec<&str> = what.split(' ').collect();
            let level = Level::available().into_iter().find(|level| level.to_string() == words[1]);
            let number = |i: usize| words[i].parse::<usize>().expect("a number");
            let ready = rows.iter().find(|row| row.id == words[0]).and_then(|row| {
                let shape = Shape::new(number(2), number(3), row.channels);
                prepare(row, shape, level?)
            });
            last = ready.map(|ready| (what.to_string(), ready));
        }
        let Some((_, ready)) = &mut last else {
            println!("unknown");
            continue;
        };
        let mut least = u128::MAX;
        for _ in 0..runs.parse::<usize>().expect("a number") {
            let start = Instant::now();
            ready.run();
            least = least.min(start.elapsed().as_nanos());
        }
        println!("{least} {:016x}", ready.hash());
    }
}

/// A build of this bench that answers.
struct Build {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Build {
    fn new(path: &str) -> Self {
        let mut command = Command::new(path);
        let piped = command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|e| panic!("{path}: {e}"));
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { _child: child, input, output }
    }

    /// Nanoseconds and hash; `None` if the build does not have the row.
    fn ask(&mut self, line: &str) -> Option<(f64, String)> {
        writeln!(self.input, "{line}").expect("a build that reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("a build that answers");
        let (time, hash) = answer.trim().split_once(' ')?;
        Some((time.parse().expect("nanoseconds"), hash.to_string()))
    }
}

/// Slower than the other build by more than that is a fault.
const SLOWER: f64 = 1.03;

/// The least times and the hashes of a row in both builds, which run in turns, some 20 ms each; `None` if one does
/// not have it.
fn contest(builds: &mut [Build; 2], what: &str, rounds: usize) -> Option<([f64; 2], bool)> {
    let mut least = [f64::INFINITY; 2];
    let mut hashes = [String::new(), String::new()];
    let mut runs = 1;
    for round in 0..rounds {
        // Longer where one of the builds seems slower.
        if round >= rounds / 3 && least[1] <= SLOWER * least[0] {
            break;
        }
        for which in [round % 2, 1 - round % 2] {
            let (time, hash) = builds[which].ask(&format!("{what} {runs}"))?;
            least[which] = least[which].min(time);
            hashes[which] = hash;
        }
        runs = ((20e6 / least[1]) as usize).clamp(1, 1000);
    }
    Some((least, hashes[0] == hashes[1]))
}

fn compare(other: &str, part: &str, level: Level, (width, height): (usize, usize)) {
    let this = std::env::current_exe().expect("the name of this program");
    let mut builds = [Build::new(other), Build::new(&this.to_string_lossy())];
    let mut logs = Vec::new();
    let mut again: Vec<String> =
        timed_rows().into_iter().map(|row| row.id).filter(|id| id.contains(part)).collect();
    // What seems slower is looked at once more, at the end: the machine may have been disturbed.
    for rounds in [24, 60] {
        for id in std::mem::take(&mut again) {
            let what = format!("{id} {level} {width} {height}");
            let Some((least, same)) = contest(&mut builds, &what, rounds) else {
                println!("{id:40} not in both");
                continue;
            };
            let ratio = least[1] / least[0];
            let [before, now] = least.map(|time| time / 1e3);
            let bytes = if same { "" } else { "  other bytes" };
            println!("{id:40} {before:9.1} us {now:9.1} us  {ratio:5.3}{bytes}");
            if rounds == 24 {
                logs.push(ratio.ln());
            }
            if ratio > SLOWER {
                again.push(id);
            }
        }
        println!("{} slower by more than 3 %: {}", again.len(), again.join(", "));
    }
    let mean = (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp();
    println!("{} rows, {mean:.3} of the time", logs.len());
}

/// Times of the largest chunk, as often as the worker with most to do has one, as shares of what would be its part of a
/// run on one thread.
fn shares(part: &str, level: Level, (width, height): (usize, usize)) {
    const WORKERS: [usize; 5] = [2, 4, 8, 16, 32];
    println!("{:40} {:>9}  {WORKERS:?} workers", "", "one, us");
    let mut worst = [0f64; WORKERS.len()];
    for row in timed_rows().into_iter().filter(|row| row.id.contains(part)) {
        let shape = Shape::new(width, height, row.channels);
        let Some(mut ready) = prepare(&row, shape, level) else { continue };
        let Some(cuts) = WORKERS.map(|n| ready.chunks(n)).into_iter().collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        let most = cuts.iter().zip(WORKERS).map(|(chunks, workers)| {
            let largest = chunks.iter().max_by_key(|rect| rect.width * rect.height);
            (*largest.expect("at least one"), chunks.len().div_ceil(workers))
        });
        let most: Vec<_> = most.collect();
        let mut time = |rect: Option<Rect>| {
            let start = Instant::now();
            match rect {
                Some(rect) => ready.run_region(rect),
                None => ready.run(),
            }
            start.elapsed().as_secs_f64() * 1e6
        };
        let (mut one, mut least) = (f64::INFINITY, [f64::INFINITY; WORKERS.len()]);
        for _ in 0..12 {
            one = one.min(time(None));
            for (least, &(rect, _)) in least.iter_mut().zip(&most) {
                *least = (0..3).map(|_| time(Some(rect))).fold(*least, f64::min);
            }
        }
        print!("{:40} {one:9.0} ", row.id);
        for (i, (least, (_, each))) in least.iter().zip(&most).enumerate() {
            let share = least * (each * WORKERS[i]) as f64 / one;
            worst[i] = worst[i].max(share);
            print!(" {share:5.2}");
        }
        println!();
    }
    println!("{:51} {worst:5.2?}", "the largest");
}

/// The least microseconds of a chain, and of its layers one after the other, run and run about.
fn turns<S: Source>(chain: &Chain, shape: Shape, level: Level) -> [f64; 2] {
    let planned = |chain: &Chain, shape| {
        let what = What::Chain(chain.clone());
        Ready::<S, S>::new(&what, shape, level).expect("layers that can be planned")
    };
    let mut whole = planned(chain, shape);
    let mut each: Vec<Ready<S, S>> = Vec::new();
    for layer in chain.layers() {
        let shape = each.last().map_or(shape, |before| before.plan.output_shape());
        each.push(planned(&Chain::new(layer.clone()), shape));
    }
    let mut least = [f64::INFINITY; 2];
    for _ in 0..30 {
        let start = Instant::now();
        whole.run();
        least[0] = least[0].min(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        for i in 0..each.len() {
            each[i].run();
            if i + 1 < each.len() {
                let (before, next) = each.split_at_mut(i + 1);
                std::mem::swap(&mut before[i].out, &mut next[0].source);
            }
        }
        least[1] = least[1].min(start.elapsed().as_secs_f64() * 1e6);
    }
    least
}

fn chains(part: &str, level: Level, (width, height): (usize, usize)) {
    for row in timed_rows().into_iter().filter(|row| row.id.contains(part)) {
        let What::Chain(chain) = &row.what else { continue };
        let shape = Shape::new(width, height, row.channels);
        let [whole, each] = match (row.input, row.output) {
            _ if chain.layers().len() < 2 => continue,
            (SampleType::U8, SampleType::U8) => turns::<u8>(chain, shape, level),
            (SampleType::F32, SampleType::F32) => turns::<f32>(chain, shape, level),
            _ => continue,
        };
        println!("{:40} {whole:9.0} us {each:9.0} us  {:5.2}", row.id, each / whole);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).map(String::as_str)
    };
    if has("--serve") {
        return serve();
    }
    if has("--write") {
        return std::fs::write(hash_file(), hashes()).expect("benches/gate.txt");
    }
    let other = value("--against");
    if other.is_none() && !has("--shares") && !has("--chains") {
        return check();
    }
    let level = match value("--level") {
        Some(name) => Level::available().into_iter().find(|level| level.to_string() == name),
        None => Level::available().pop(),
    };
    let size = value("--size").unwrap_or("1920x1080").split_once('x');
    let size = size.and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let values = ["--against", "--level", "--size"].map(value);
    let part =
        args.iter().find(|arg| !arg.starts_with("--") && !values.contains(&Some(arg.as_str())));
    let part = part.map_or("", String::as_str);
    let (level, size) = (level.expect("a level of this machine"), size.expect("WIDTHxHEIGHT"));
    match other {
        Some(other) => compare(other, part, level, size),
        None if has("--chains") => chains(part, level, size),
        None => shares(part, level, size),
    }
}
