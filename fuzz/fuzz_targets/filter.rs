//! Any small image, samples in and out, one to three filters with any kernel, anchor, borders, constants, scale,
//! offset, post-step, alpha and method, alone and as a chain, against the reference: as strided views into memory
//! with guard values around them, whole and as a part. Results of integers may be off by what the plan says, and by
//! one at most; nothing between or around the rows may be touched.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use twopass::{
    Alpha, Border, Chain, Filter, Image, Kernel, Level, Method, Rect, Sample, SampleType, Shape,
    Source, View, ViewMut, Workspace, reference,
};

#[derive(Debug, Arbitrary)]
struct Case {
    width: u8,
    height: u8,
    channels: u8,
    types: (u8, u8),
    stages: Vec<Stage>,
    chained: bool,
    level: u8,
    threads: u8,
    gaps: (u8, u8),
    rect: (u8, u8, u8, u8),
    pixels: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
struct Stage {
    kind: u8,
    size: (u8, u8),
    anchor: (u8, u8),
    taps: Vec<i8>,
    divisor: u8,
    borders: (u8, u8),
    constants: Vec<i16>,
    scale: u8,
    offset: i8,
    post: u8,
    alpha: u8,
    method: u8,
    tolerance: u8,
}

fn at<T: Copy + Default>(values: &[T], i: usize) -> T {
    values.get(i % values.len().max(1)).copied().unwrap_or_default()
}

impl Stage {
    fn border(&self, n: u8, channels: usize) -> Border {
        match n % 6 {
            0 => {
                let count = if n >= 128 { channels } else { 1 };
                let value =
                    |i| f64::from(at(&self.constants, i)) / if n % 4 == 0 { 16.0 } else { 1.0 };
                Border::Constant((0..count).map(value).collect())
            }
            1 => Border::Replicate,
            2 => Border::Reflect,
            3 => Border::Reflect101,
            4 => Border::Wrap,
            _ => Border::Valid,
        }
    }

    fn kernel(&self, turn: usize) -> Option<Kernel> {
        let (width, height) = (1 + self.size.0 as usize % 16, 1 + self.size.1 as usize % 16);
        let divisor = f64::from(self.divisor.max(1));
        let tap = |i: usize| f64::from(at(&self.taps, i + turn)) / divisor;
        // Long and smooth, or a derivative of that, of odd and even sizes: for two rates.
        if self.kind < 24 {
            let line = |size: u8, order: u8| {
                let n = 47 + size as usize % 32;
                let at = |i: usize| (i as f64 + 0.5) / n as f64 * std::f64::consts::PI;
                let tap = |x: f64| if order == 0 { x.sin().powi(2) } else { (2.0 * x).sin() };
                (0..n).map(|i| tap(at(i)) * 2.0 / n as f64).collect::<Vec<_>>()
            };
            let (column, row) =
                (line(self.size.1, self.kind & 1), line(self.size.0, self.kind >> 1 & 1));
            let kernel = Kernel::separable(&column, &row).ok()?;
            let (x, y) = (kernel.width() / 2, kernel.height() / 2);
            let (x, y) = (x + self.anchor.0 as usize % 4, y + self.anchor.1 as usize % 4);
            return kernel.with_anchor(x, y).ok();
        }
        // Two products that nobody named.
        if self.kind > 240 {
            let line = |n: usize, from: usize| (0..n).map(|i| tap(from + i)).collect::<Vec<_>>();
            let (a, b) = (line(height, 0), line(width, 3));
            let (c, d) = (line(height, 7), line(width, 11));
            let product = |i: usize| a[i / width] * b[i % width] + c[i / width] * d[i % width];
            return Kernel::new(width, height, (0..width * height).map(product).collect()).ok();
        }
        let kernel = match self.kind % 5 {
            0 => Kernel::new(width, height, (0..width * height).map(tap).collect()),
            1 => {
                let line = |n: usize| (0..n).map(tap).collect::<Vec<_>>();
                Kernel::separable(&line(height), &line(width))
            }
            2 => Kernel::box_(width, height),
            3 => Kernel::new(width, height, vec![tap(0); width * height]),
            _ => Kernel::gaussian(0.2 + f64::from(self.divisor) / 80.0),
        };
        let kernel = kernel.ok()?;
        let anchor =
            (self.anchor.0 as usize % kernel.width(), self.anchor.1 as usize % kernel.height());
        let kernel = kernel.with_anchor(anchor.0, anchor.1).ok()?;
        if self.kind < 160 {
            return Some(kernel);
        }
        // A sum, filtered term by term where that is cheaper.
        let blur = Kernel::gaussian(0.3 + f64::from(self.kind) / 128.0).ok()?;
        Kernel::sum_of(&[kernel, blur, Kernel::new(1, 1, vec![tap(turn + 1)]).ok()?]).ok()
    }

    fn filter(&self, channels: usize, full: f64) -> Option<Filter> {
        let filter = match self.post % 4 {
            0 => Filter::new(self.kernel(0)?).abs(),
            1 => Filter::magnitude(&self.kernel(0)?, &self.kernel(1)?).ok()?,
            _ => Filter::new(self.kernel(0)?),
        };
        let alpha = [None, Some(Alpha::Plain), Some(Alpha::Keep), Some(Alpha::Premultiply)];
        // Colours divided by next to no alpha may be anything.
        let negative = filter.has_negative_tap();
        let mut filter = filter
            .borders(self.border(self.borders.0, channels), self.border(self.borders.1, channels))
            .scale([1.0, 0.25, 1.0 / 9.0, -1.0, 3.5, 0.0, 1.0 / 255.0][self.scale as usize % 7])
            .offset(f64::from(self.offset) / 4.0 * full / 255.0)
            .method(METHODS[self.method as usize % METHODS.len()]);
        if let Some(alpha) = alpha[self.alpha as usize % 4]
            && !(alpha == Alpha::Premultiply && (negative || self.scale % 7 != 0))
        {
            filter = filter.alpha(alpha);
        }
        Some(match self.tolerance % 4 {
            0 => filter.tolerance(4e-3),
            1 => filter.tolerance(f64::from(self.tolerance) / 1e5),
            _ => filter,
        })
    }
}

const METHODS: [Method; 9] = [
    Method::Auto,
    Method::Auto,
    Method::Auto,
    Method::Separable,
    Method::Multirate,
    Method::Terms,
    Method::Runs,
    Method::Fft,
    Method::Dense,
];

const GUARD: u8 = 0xa5;

/// Memory of samples with guards around rows.
struct Guarded<O> {
    memory: Vec<O>,
    before: usize,
    stride: usize,
    shape: Shape,
}

impl<O: Sample> Guarded<O> {
    fn new(shape: Shape, (gap, before): (u8, u8)) -> Self {
        let (before, stride) = (before as usize % 70, shape.row() + gap as usize % 7);
        let memory = vec![O::from_f64(f64::from(GUARD)); before + stride * shape.height + 70];
        Self { memory, before, stride, shape }
    }

    fn view(&mut self) -> ViewMut<'_, O> {
        let used = self.stride * (self.shape.height - 1) + self.shape.row();
        let memory = &mut self.memory[self.before..][..used];
        ViewMut::with_stride(memory, self.shape, self.stride).expect("the output is large enough")
    }

    fn samples(&self) -> Vec<O> {
        let mut samples = Vec::new();
        for (i, &v) in self.memory.iter().enumerate() {
            let inside = i.checked_sub(self.before).is_some_and(|i| {
                i / self.stride < self.shape.height && i % self.stride < self.shape.row()
            });
            if inside {
                samples.push(v);
            } else {
                assert_eq!(v.to_f64(), f64::from(GUARD), "written outside, at {i}");
            }
        }
        samples
    }
}

fn check<I: Source, O: Sample>(case: &Case) {
    let size = |n: u8| 1 + n as usize % 48;
    let shape = Shape::new(size(case.width), size(case.height), 1 + case.channels as usize % 5);
    let full = if I::TYPE == SampleType::F32 { 1.0 } else { I::FULL };
    let filters = case.stages.iter().take(3).map(|stage| stage.filter(shape.channels, full));
    let Some(filters) = filters.collect::<Option<Vec<_>>>() else { return };
    let Some((first, others)) = filters.split_first() else { return };
    let level = Level::named(Level::NAMES[case.level as usize % Level::NAMES.len()]);
    let (level, threads) = (level.unwrap_or(Level::detect()), 1 + case.threads as usize % 3);

    let stride = shape.row() + case.gaps.0 as usize % 9;
    let source: Vec<I> = (0..stride * shape.height)
        .map(|i| I::from_f64(f64::from(at(&case.pixels, i)) * full / 255.0))
        .collect();
    let source = View::with_stride(&source, shape, stride).expect("the source is large enough");
    let mut workspace = Workspace::new();
    let alpha = filters.iter().any(|f| f.get_alpha() == Some(Alpha::Premultiply));
    let near = |out: &[O], exact: &[f64], bound: Option<f64>, what: &str| {
        assert_eq!(out.len(), exact.len());
        for (i, (o, e)) in out.iter().zip(exact).enumerate() {
            let off = (o.to_f64() - e.clamp(O::MIN, O::MAX)).abs();
            let rounded = (o.to_f64() - O::from_f64(*e).to_f64()).abs();
            let least = e.abs() * f64::from(f32::EPSILON) + 1e-30;
            let good = match bound {
                _ if alpha => true,
                Some(bound) if O::TYPE == SampleType::F32 => off <= bound + least,
                Some(bound) => off <= bound + 0.5 + least && (rounded <= 1.0 || bound >= 0.5),
                None => rounded <= 1.0 || O::TYPE == SampleType::F32,
            };
            assert!(good, "{what}: sample {i}: {o:?} for {e}, bound {bound:?}");
        }
    };
    let most = |filter: &Filter| {
        let (x, y) = filter.get_borders();
        let of = |border: &Border| match border {
            Border::Constant(v) => v.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
            _ => 0.0,
        };
        of(x).max(of(y)).max(full)
    };
    if case.chained || !others.is_empty() {
        let mut chain = Chain::new(first.clone()).level(level).threads(threads);
        for filter in others {
            let Ok(longer) = chain.clone().then(filter.clone()) else { return };
            chain = longer;
        }
        let Ok(plan) = chain.plan::<I, O>(shape) else { return };
        let exact = reference::layer::chain(&chain, source).expect("what is planned is defined");
        let mut out = Guarded::<O>::new(plan.output_shape(), case.gaps);
        plan.run(source, out.view(), &mut workspace).expect("what is planned runs");
        near(&out.samples(), &exact, plan.error_bound_within(full), &plan.to_string());
        return;
    }
    let filter = first.clone().level(level).threads(threads);
    let Ok(plan) = filter.plan::<I, O>(shape) else { return };
    let whole = plan.output_shape();
    let exact = reference::region(&filter, shape, source, (0, 0), whole.rect());
    let mut out = Guarded::<O>::new(whole, case.gaps);
    plan.run(source, out.view(), &mut workspace).expect("what is planned runs");
    let per = if I::TYPE == SampleType::F32 { most(&filter) } else { 1.0 };
    let bound = plan.error_bound().map(|bound| bound * per);
    near(&out.samples(), &exact.expect("it is defined"), bound, &plan.to_string());

    let (x, y) = (case.rect.0 as usize % whole.width, case.rect.1 as usize % whole.height);
    let rect = Rect::new(
        x,
        y,
        1 + case.rect.2 as usize % (whole.width - x),
        1 + case.rect.3 as usize % (whole.height - y),
    );
    let needed = plan.input_region(rect).expect("it is inside");
    // A window that reads nothing but constants needs no pixel; a view has at least one.
    let needed = Rect { width: needed.width.max(1), height: needed.height.max(1), ..needed };
    let Ok(part) = source.crop(needed) else { return };
    let mut piece =
        Guarded::<O>::new(Shape::new(rect.width, rect.height, whole.channels), case.gaps);
    plan.run_region(part, (needed.x, needed.y), rect, piece.view(), &mut workspace).expect("runs");
    let all = out.samples();
    let all = Image::from_vec(all, whole).expect("as many");
    let same = all.view().crop(rect).expect("it is inside");
    for (y, row) in piece.samples().chunks_exact(rect.width * whole.channels).enumerate() {
        let bits =
            |v: &O| if v.to_f64().is_nan() { f64::NAN.to_bits() } else { v.to_f64().to_bits() };
        assert!(row.iter().map(bits).eq(same.row(y).iter().map(bits)), "row {y} of {rect}\n{plan}");
    }
}

fn from<I: Source>(case: &Case) {
    match case.types.1 % 4 {
        0 => check::<I, u8>(case),
        1 => check::<I, u16>(case),
        2 => check::<I, i16>(case),
        _ => check::<I, f32>(case),
    }
}

fuzz_target!(|case: Case| {
    match case.types.0 % 3 {
        0 => from::<u8>(&case),
        1 => from::<u16>(&case),
        _ => from::<f32>(&case),
    }
});
