//! What the tests of the engine share: images, levels, the contract, and a comparison with the
//! reference that every test goes through.

#![allow(dead_code, reason = "each test program uses its part")]

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Once;
use twopass::{
    Alpha, Border, Error, Filter, Image, Kernel, Level, Plan, Post, Rect, Sample, SampleType,
    Shape, Source, View, ViewMut, Workspace, reference,
};

/// Every border, on one axis.
pub fn borders(constant: f64) -> [Border; 6] {
    [
        Border::Constant(vec![constant]),
        Border::Replicate,
        Border::Reflect,
        Border::Reflect101,
        Border::Wrap,
        Border::Valid,
    ]
}

/// Taps of sum 1 that are smooth to their ends.
pub fn hann(n: usize) -> Vec<f64> {
    let at = |i: usize| (i as f64 + 0.5) / n as f64 * std::f64::consts::PI;
    let taps: Vec<f64> = (0..n).map(|i| at(i).sin().powi(2)).collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|t| t / sum).collect()
}

/// The levels of this machine. Those it lacks are reported once.
pub fn levels() -> Vec<Level> {
    static REPORT: Once = Once::new();
    let available = Level::available();
    REPORT.call_once(|| {
        for name in Level::NAMES {
            if !available.iter().any(|level| level.name() == name) {
                println!("level {name}: skipped, this machine lacks it");
            }
        }
    });
    available
}

/// The plan with other tiles and strips. Results must not depend on them.
pub fn with_tiles<I: Source, O: Sample>(
    plan: Plan<I, O>,
    tile_pixels: usize,
    strip_rows: usize,
) -> Plan<I, O> {
    plan.with_tiles(tile_pixels, strip_rows, strip_rows)
}

/// What of the source the output rectangle `rect` needs.
pub fn input_region<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    filter: &Filter,
    whole: Shape,
    rect: Rect,
) -> Rect {
    let region = plan.input_region(rect).unwrap();
    // It holds at least what the taps touch; `Wrap` may ask for more.
    let touched = touched(filter, whole, rect);
    assert!(region.x <= touched.x && region.x + region.width >= touched.x + touched.width);
    assert!(region.y <= touched.y && region.y + region.height >= touched.y + touched.height);
    region
}

/// The smallest rectangle that holds every source pixel under a tap of the output rectangle
/// `rect`, found by asking the borders about each of them.
pub fn touched(filter: &Filter, whole: Shape, rect: Rect) -> Rect {
    let kernel = &filter.kernels()[0];
    let (border_x, border_y) = filter.get_borders();
    let axis = |border: &Border, start: usize, len: usize, taps: usize, anchor: usize, n: usize| {
        let origin = if *border == Border::Valid { 0 } else { anchor as isize };
        let first = start as isize - origin;
        let indices = (first..first + (len + taps - 1) as isize).filter_map(|i| border.map(i, n));
        let (low, high) = indices.fold((n, 0), |(low, high), i| (low.min(i), high.max(i)));
        (low, high + 1 - low)
    };
    let (anchor_x, anchor_y) = kernel.anchor();
    let (x, width) = axis(border_x, rect.x, rect.width, kernel.width(), anchor_x, whole.width);
    let (y, height) = axis(border_y, rect.y, rect.height, kernel.height(), anchor_y, whole.height);
    Rect::new(x, y, width, height)
}

/// Seeded random numbers.
pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// What an image looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// Any value, evenly distributed.
    Noise,
    /// Only the smallest and the largest value.
    Extremes,
    /// Slow changes, as in photographs.
    Smooth,
    /// One value.
    Flat,
}

/// `n` values from 0 to 1 of that look.
pub fn values(look: Look, n: usize, seed: u64) -> Vec<f64> {
    let mut rng = rng(seed);
    let flat = rng.random_range(0.0..=1.0);
    let step = rng.random_range(0.001..0.1);
    (0..n)
        .map(|i| match look {
            Look::Noise => rng.random_range(0.0..=1.0),
            Look::Extremes => f64::from(u8::from(rng.random_range(0.0..1.0) < 0.5)),
            Look::Smooth => 0.5 + 0.5 * (i as f64 * step).sin(),
            Look::Flat => flat,
        })
        .collect()
}

/// An image from values between 0 and 1: over the full range of integers; for `f32`, −1 to 1.
pub fn image<S: Sample>(shape: Shape, look: Look, seed: u64) -> Image<S> {
    let to_sample = |v: f64| match S::TYPE {
        SampleType::F32 => S::from_f64(2.0 * v - 1.0),
        _ => S::from_f64(v * S::FULL),
    };
    let values = values(look, shape.samples().unwrap(), seed);
    Image::from_vec(values.into_iter().map(to_sample).collect(), shape).unwrap()
}

/// A copy of `view` in memory with `gap` samples before, between and after its rows. The gaps
/// hold what must never be read: NaN, or the largest integer.
pub struct Strided<S> {
    data: Vec<S>,
    shape: Shape,
    gap: usize,
}

impl<S: Sample> Strided<S> {
    pub fn copy(view: View<'_, S>, gap: usize) -> Self {
        let mut strided = Self::guarded(view.shape(), gap);
        let mut target = strided.view_mut();
        for y in 0..view.shape().height {
            target.row_mut(y).copy_from_slice(view.row(y));
        }
        strided
    }

    pub fn guarded(shape: Shape, gap: usize) -> Self {
        let guard = Self::guard();
        Self { data: vec![guard; gap + (shape.row() + gap) * shape.height], shape, gap }
    }

    fn guard() -> S {
        if S::TYPE == SampleType::F32 { S::from_f64(f64::NAN) } else { S::from_f64(S::MAX) }
    }

    pub fn view(&self) -> View<'_, S> {
        let stride = self.shape.row() + self.gap;
        View::with_stride(&self.data[self.gap..], self.shape, stride).unwrap()
    }

    pub fn view_mut(&mut self) -> ViewMut<'_, S> {
        let stride = self.shape.row() + self.gap;
        ViewMut::with_stride(&mut self.data[self.gap..], self.shape, stride).unwrap()
    }

    /// The samples without the gaps, which must be untouched.
    pub fn into_samples(self) -> Vec<S> {
        let guard = bits(Self::guard());
        for (i, &sample) in self.data.iter().enumerate() {
            let at = i % (self.shape.row() + self.gap);
            assert!(at >= self.gap || bits(sample) == guard, "sample {i}, between rows, written");
        }
        let row = |y| self.view().row(y);
        (0..self.shape.height).flat_map(row).copied().collect()
    }
}

/// A sample's bits, the same for every NaN.
pub fn bits<S: Sample>(sample: S) -> u64 {
    let value = sample.to_f64();
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// Whether two results are the same, bit for bit; the first difference otherwise.
pub fn same<S: Sample>(a: &[S], b: &[S]) -> Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("{} samples instead of {}", b.len(), a.len()));
    }
    match a.iter().zip(b).position(|(&a, &b)| bits(a) != bits(b)) {
        Some(i) => Err(format!("sample {i} is {:?} and {:?}", a[i], b[i])),
        None => Ok(()),
    }
}

/// Plans and runs.
pub fn run<I: Source, O: Sample>(filter: &Filter, source: View<'_, I>) -> Result<Vec<O>, Error> {
    let plan = filter.plan::<I, O>(source.shape())?;
    run_plan(&plan, source)
}

pub fn run_plan<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    source: View<'_, I>,
) -> Result<Vec<O>, Error> {
    let mut out = Image::new(plan.output_shape())?;
    plan.run(source, out.view_mut(), &mut Workspace::new())?;
    Ok(out.into_vec())
}

/// Runs the plan piece by piece over a random tiling of the output, each piece fed with a copy
/// of what `input_region` names and nothing else.
pub fn run_tiling<I: Source, O: Sample>(
    plan: &Plan<I, O>,
    filter: &Filter,
    source: View<'_, I>,
    seed: u64,
) -> Result<Vec<O>, Error> {
    let shape = plan.output_shape();
    let mut out = Image::new(shape)?;
    let mut workspace = Workspace::new();
    for rect in tiling(shape, &mut rng(seed)) {
        let needed = input_region(plan, filter, source.shape(), rect);
        let least = touched(filter, source.shape(), rect);
        assert!(holds(needed, least), "{rect} reads {least}, input_region says {needed}");
        let part = Strided::copy(source.crop(needed)?, 3);
        let target = out.view_mut().crop(rect)?;
        plan.run_region(part.view(), (needed.x, needed.y), rect, target, &mut workspace)?;
    }
    Ok(out.into_vec())
}

/// Whether `inner` lies in `outer`.
pub fn holds(outer: Rect, inner: Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && inner.x + inner.width <= outer.x + outer.width
        && inner.y + inner.height <= outer.y + outer.height
}

/// The whole image cut at random into rectangles, in random order.
pub fn tiling(shape: Shape, rng: &mut StdRng) -> Vec<Rect> {
    let mut rects = vec![shape.rect()];
    for _ in 0..rng.random_range(1..6) {
        let rect = rects.swap_remove(rng.random_range(0..rects.len()));
        let (mut first, mut second) = (rect, rect);
        if rect.width > 1 && (rect.height == 1 || rng.random_range(0..2) == 0) {
            first.width = rng.random_range(1..rect.width);
            second.x += first.width;
            second.width -= first.width;
        } else if rect.height > 1 {
            first.height = rng.random_range(1..rect.height);
            second.y += first.height;
            second.height -= first.height;
        } else {
            rects.push(rect);
            continue;
        }
        rects.extend([second, first]);
    }
    rects
}

/// Largest magnitude that source samples and border constants have.
pub fn range<I: Source>(filter: &Filter, source: View<'_, I>) -> f64 {
    let (border_x, border_y) = filter.get_borders();
    let constants = [border_x, border_y].into_iter().flat_map(|border| match border {
        Border::Constant(values) => values.as_slice(),
        _ => &[],
    });
    let rows = (0..source.shape().height).flat_map(|y| source.row(y));
    let samples = rows.map(|s| s.to_f64());
    samples.chain(constants.copied()).fold(0.0, |most: f64, v| most.max(v.abs()))
}

/// Σ|taps| · |scale|, of the kernel where that is most.
pub fn gain(filter: &Filter) -> f64 {
    let sums = filter.kernels().iter().map(Kernel::abs_sum);
    sums.fold(0.0, f64::max) * filter.get_scale().abs()
}

/// What the contract promises of one filter on one image.
#[derive(Debug)]
pub struct Contract {
    /// Integer sums, no scale, integer offset: integer outputs are exact.
    exact: bool,
    /// How far floating-point arithmetic may go, in output units.
    float: f64,
    /// The bound that the plan states, before rounding, in output units.
    stated: f64,
    /// How far an integer may be from the rounded reference.
    steps: f64,
    /// Colours are weighted with alpha when compared; full alpha.
    premultiplied: Option<f64>,
}

impl Contract {
    pub fn new<I: Source, O: Sample>(
        filter: &Filter,
        plan: &Plan<I, O>,
        source: View<'_, I>,
    ) -> Self {
        let integer = |v: f64| v.fract() == 0.0;
        let range = range(filter, source);
        let linear = filter.get_post() != Post::Magnitude;
        let per = if I::TYPE == SampleType::F32 { range } else { 1.0 };
        let premultiplied = filter.get_alpha() == Some(Alpha::Premultiply);
        let given = filter.get_tolerance().unwrap_or(0.0) * range;
        let float = 1e-5 * gain(filter) * range + 1e-6 * filter.get_offset().abs() + given;
        Self {
            exact: I::TYPE != SampleType::F32
                && linear
                && !premultiplied
                && filter.kernels().iter().all(|k| k.taps().iter().all(|&t| integer(t)))
                && filter.get_scale() == 1.0
                && integer(filter.get_offset())
                // An f32 holds these sums; integer outputs saturate long before i32 does not.
                && (O::TYPE != SampleType::F32
                    || gain(filter) * range + filter.get_offset().abs() < 16_777_216.0),
            float,
            steps: if I::TYPE == SampleType::F32 { 1.0 + float } else { 1.0 + given },
            stated: plan.error_bound().unwrap() * per,
            premultiplied: premultiplied.then_some(I::FULL),
        }
    }

    /// The same for arithmetic in plain `f32`, which states no bound.
    pub fn of_floats(self) -> Self {
        Self { stated: self.float, steps: 1.0 + self.float, ..self }
    }

    /// Compares a result with the exact one, `channels` interleaved.
    pub fn check<O: Sample>(
        &self,
        exact: &[f64],
        out: &[O],
        channels: usize,
    ) -> Result<(), String> {
        if exact.len() != out.len() {
            return Err(format!("{} samples instead of {}", out.len(), exact.len()));
        }
        for (i, (&e, &o)) in exact.iter().zip(out).enumerate() {
            let pixel = i - i % channels;
            let is_colour = i != pixel + channels - 1;
            let weight = match self.premultiplied {
                Some(full) if is_colour => exact[pixel + channels - 1].clamp(0.0, full) / full,
                _ => 1.0,
            };
            if let Err(why) = self.sample(e, o, weight) {
                let (pixel, channel) = (i / channels, i % channels);
                return Err(format!(
                    "pixel {pixel}, channel {channel}: {o:?} instead of {e} (weight {weight}): {why}; {self:?}"
                ));
            }
        }
        Ok(())
    }

    fn sample<O: Sample>(&self, exact: f64, out: O, weight: f64) -> Result<(), &'static str> {
        let (rounded, value) = (O::from_f64(exact).to_f64(), out.to_f64());
        if !rounded.is_finite() {
            let same = bits(out) == bits(O::from_f64(exact));
            return if same { Ok(()) } else { Err("not finite") };
        }
        let error = (value - exact.clamp(O::MIN, O::MAX)).abs() * weight;
        let linear = self.premultiplied.is_none();
        if O::TYPE == SampleType::F32 {
            if self.exact && value != rounded {
                return Err("must be exact");
            }
            let ulp = exact.abs() * f64::from(f32::EPSILON) / 2.0 + f64::from(f32::MIN_POSITIVE);
            if linear && error > self.stated * (1.0 + 1e-9) + ulp {
                return Err("outside the plan's own bound");
            }
            let most = if linear { self.float } else { 4.0 * self.float };
            return if error <= most + ulp { Ok(()) } else { Err("outside the contract") };
        }
        if self.exact && value != rounded {
            return Err("must be exact");
        }
        if linear && error > 0.5 + self.stated * (1.0 + 1e-9) + 1e-9 {
            return Err("outside the plan's own bound");
        }
        let distance = if linear { (value - rounded).abs() } else { error };
        if distance <= self.steps { Ok(()) } else { Err("outside the contract") }
    }
}

/// Filters at every level and compares each result with the reference, and integer results with
/// one another. Returns the result of the last level.
pub fn check_levels<I: Source, O: Sample>(
    filter: &Filter,
    source: View<'_, I>,
) -> Result<Vec<O>, String> {
    let fail = |e: Error| e.to_string();
    let whole = source.shape();
    let shape = filter.output_shape(whole).map_err(fail)?;
    let exact = reference::region(filter, whole, source, (0, 0), shape.rect()).map_err(fail)?;
    check_levels_with(filter, source, &exact)
}

/// [`check_levels`] with the exact results given.
pub fn check_levels_with<I: Source, O: Sample>(
    filter: &Filter,
    source: View<'_, I>,
    exact: &[f64],
) -> Result<Vec<O>, String> {
    let fail = |e: Error| e.to_string();
    let mut last: Option<(Level, Vec<O>)> = None;
    for level in levels() {
        let filter = filter.clone().level(level);
        let plan = filter.plan::<I, O>(source.shape()).map_err(fail)?;
        let mut out = Strided::guarded(plan.output_shape(), 5);
        plan.run(source, out.view_mut(), &mut Workspace::new()).map_err(fail)?;
        let out = out.into_samples();
        let contract = Contract::new(&filter, &plan, source);
        let at_level = |e| format!("level {level}: {e}");
        contract.check(exact, &out, source.shape().channels).map_err(at_level)?;
        if let Some((other, result)) = &last
            && O::TYPE != SampleType::F32
        {
            same(result, &out).map_err(|e| format!("levels {other} and {level}: {e}"))?;
        }
        last = Some((level, out));
    }
    last.map(|(_, out)| out).ok_or_else(|| "no level".to_owned())
}
