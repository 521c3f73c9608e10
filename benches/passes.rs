//! The passes of images, each in every arithmetic that it knows and at every level of the machine,
//! on 1080p pictures and one thread; and what `apply` costs beside `run`, at 4K.
//!
//! Ids read `op/size/sample/channels/level`, with samples as `in-out` where they differ;
//! throughput is in pixels. Every bench compares its result with the reference before it is timed,
//! and every plan with the method and the arithmetic that the bench is there for: a plan that
//! chooses otherwise stops it. In test mode (`cargo test --benches`) images are small.

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image::{ImageBuffer, Luma, Pixel, Rgb};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::hint::black_box;
use support::{check, measured, named, picture, picture_shape, pixels, quick, whole};
use twopass::{
    Alpha, Arithmetic, Chain, Filter, Image, Kernel, KernelParams, Level, Method, NamedKernel,
    Pointwise, Sample, Shape, Source, ViewMut, Workspace, reference,
};

/// Taps without any pattern, whose squares sum to about 1.
fn random(size: usize, seed: u64) -> Kernel {
    let mut rng = StdRng::seed_from_u64(seed);
    let taps = (0..size * size).map(|_| rng.random_range(-1.7..1.7) / size as f64);
    Kernel::new(size, size, taps.collect()).expect("a small finite kernel")
}

/// Lopsided factors of sum 1.
fn lopsided(size: usize) -> Kernel {
    let mut rng = StdRng::seed_from_u64(size as u64);
    let mut factor = || {
        let taps: Vec<f64> = (0..size).map(|_| rng.random_range(0.2..1.0)).collect();
        let sum: f64 = taps.iter().sum();
        taps.iter().map(|t| t / sum).collect::<Vec<f64>>()
    };
    Kernel::separable(&factor(), &factor()).expect("a small finite kernel")
}

/// Checks that a plan is what the bench `id` is there for.
fn expect(id: &str, plan: &impl std::fmt::Display, (meant, chosen): (Arithmetic, Arithmetic)) {
    assert_eq!(chosen, meant, "{id} is meant for {meant:?}, not for\n{plan}");
}

/// A bench of a filter at every level.
fn bench<I: Source, O: Sample>(
    c: &mut Criterion,
    op: &str,
    source: &Image<I>,
    filter: &Filter,
    method: Method,
    arithmetic: Arithmetic,
) {
    let (shape, size) = (source.shape(), filter.kernels()[0].width());
    let (input, output) = (I::TYPE, O::TYPE);
    let types = if input == output { format!("{input}") } else { format!("{input}-{output}") };
    for level in Level::available() {
        let id = format!("{op}/{size}/{types}/{}/{level}", shape.channels);
        let filter = filter.clone().level(level).threads(1);
        let plan = filter.plan::<I, O>(shape).expect("a filter that can be planned");
        assert_eq!((plan.level(), plan.stages()[0].method), (level, Some(method)), "{id}:\n{plan}");
        expect(&id, &plan, (arithmetic, plan.stages()[0].arithmetic));
        let mut workspace = Workspace::new();
        let run = |out: ViewMut<'_, O>| plan.run(source.view(), out, &mut workspace);
        support::bench(c, &id, pixels(shape), plan.output_shape(), run, |rect| {
            reference::region(&filter, shape, source.view(), (0, 0), rect)
        });
    }
}

/// Two passes, column and row.
fn separable<I: Source, O: Sample>(
    c: &mut Criterion,
    op: &str,
    source: &Image<I>,
    filter: &Filter,
    arithmetic: Arithmetic,
) {
    bench::<I, O>(c, op, source, filter, Method::Separable, arithmetic);
}

/// One dense pass.
fn dense<I: Source, O: Sample>(
    c: &mut Criterion,
    op: &str,
    source: &Image<I>,
    filter: &Filter,
    arithmetic: Arithmetic,
) {
    bench::<I, O>(c, op, source, filter, Method::Dense, arithmetic);
}

/// Blocks by Fourier transforms.
fn by_fft<I: Source, O: Sample>(c: &mut Criterion, source: &Image<I>, filter: &Filter) {
    if cfg!(feature = "fft") {
        bench::<I, O>(c, "fft", source, filter, Method::Fft, Arithmetic::F64);
    }
}

/// Two random kernels under one root.
fn edges(size: usize) -> Filter {
    Filter::magnitude(&random(size, 1), &random(size, 2)).expect("small kernels")
}

/// Two kernels of whole taps that are no products, under one root.
fn whole_edges() -> Filter {
    let emboss = NamedKernel::find("emboss").and_then(|k| k.kernels(&KernelParams::default()));
    let emboss = &emboss.expect("a name of the table")[0];
    Filter::magnitude(emboss, &emboss.flipped()).expect("small kernels")
}

fn of_u8(c: &mut Criterion) {
    let [one, three, four] = [1, 3, 4].map(|channels| picture::<u8>(picture_shape(channels)));
    separable::<u8, u8>(c, "gaussian", &one, &named("gaussian", 3), Arithmetic::I16);
    separable::<u8, u8>(c, "gaussian", &three, &named("gaussian", 3), Arithmetic::I16);
    separable::<u8, u8>(c, "gaussian", &one, &named("gaussian", 5), Arithmetic::I16);
    separable::<u8, u8>(c, "gaussian", &three, &named("gaussian", 5), Arithmetic::I16);
    separable::<u8, u8>(c, "gaussian", &four, &named("gaussian", 5), Arithmetic::I16);
    separable::<u8, u8>(c, "gaussian", &three, &named("gaussian", 7), Arithmetic::I16Rounded);
    separable::<u8, u8>(c, "separable", &one, &Filter::new(lopsided(5)), Arithmetic::I16Rounded);
    separable::<u8, u8>(c, "gaussian", &three, &named("gaussian", 13), Arithmetic::I16Rounded);
    separable::<u8, u8>(c, "separable", &three, &Filter::new(lopsided(9)), Arithmetic::I16Pairs);
    separable::<u8, f32>(c, "gaussian", &three, &named("gaussian", 5), Arithmetic::I16Pairs);
    separable::<u8, f32>(c, "gaussian", &three, &named("gaussian", 9), Arithmetic::F32);
    separable::<u8, i16>(c, "sobel-x", &one, &named("sobel-x", 3), Arithmetic::I16);
    separable::<u8, i16>(c, "sobel-x", &one, &named("sobel-x", 11), Arithmetic::I16Pairs);
    separable::<u8, u8>(c, "magnitude", &one, &named("sobel", 3), Arithmetic::I16);
    separable::<u8, u8>(c, "magnitude", &one, &named("sobel", 5), Arithmetic::I16);
    separable::<u8, u8>(
        c,
        "magnitude",
        &one,
        &named("sobel", 7).scale(1.0 / 64.0),
        Arithmetic::I16Pairs,
    );
    dense::<u8, u8>(c, "laplacian", &one, &named("laplacian", 0), Arithmetic::I16);
    dense::<u8, i16>(c, "laplacian", &one, &named("laplacian", 0), Arithmetic::I16);
    dense::<u8, u8>(c, "whole", &one, &Filter::new(whole(5, 2)).scale(1.0 / 64.0), Arithmetic::I16);
    dense::<u8, u8>(c, "dense", &one, &Filter::new(random(3, 3)), Arithmetic::I16Rounded);
    dense::<u8, u8>(c, "dense", &one, &Filter::new(random(7, 7)), Arithmetic::I16Pairs);
    dense::<u8, u8>(c, "dense", &three, &Filter::new(random(7, 7)), Arithmetic::I16Pairs);
    dense::<u8, f32>(c, "dense", &one, &Filter::new(random(7, 7)), Arithmetic::F32);
    dense::<u8, u8>(c, "dense-magnitude", &one, &whole_edges(), Arithmetic::I16);
    dense::<u8, u8>(c, "dense-magnitude", &one, &edges(5), Arithmetic::I16Pairs);
    separable::<u8, u8>(c, "box", &one, &named("box", 3), Arithmetic::I16);
    separable::<u8, u8>(c, "box", &three, &named("box", 5), Arithmetic::I16);
    separable::<u8, u8>(c, "box", &one, &named("box", 15), Arithmetic::RunningI16);
    separable::<u8, u8>(c, "box", &three, &named("box", 15), Arithmetic::RunningI16);
    separable::<u8, u8>(c, "box", &four, &named("box", 15), Arithmetic::RunningI16);
    separable::<u8, u8>(c, "box", &one, &named("box", 301), Arithmetic::RunningI32);
    let premultiplied = |name, size| named(name, size).alpha(Alpha::Premultiply);
    separable::<u8, u8>(
        c,
        "premultiplied-gaussian",
        &four,
        &premultiplied("gaussian", 5),
        Arithmetic::F32,
    );
    separable::<u8, u8>(
        c,
        "premultiplied-box",
        &four,
        &premultiplied("box", 15),
        Arithmetic::TreeSums,
    );
    let kept = named("sharpen", 0).alpha(Alpha::Keep);
    by_fft::<u8, u8>(c, &three, &Filter::new(random(31, 31)).offset(128.0));
    dense::<u8, u8>(c, "kept-alpha-sharpen", &four, &kept, Arithmetic::I16);
}

fn of_u16(c: &mut Criterion) {
    let [one, three] = [1, 3].map(|channels| picture::<u16>(picture_shape(channels)));
    separable::<u16, u16>(c, "gaussian", &one, &named("gaussian", 5), Arithmetic::F32);
    separable::<u16, u16>(c, "gaussian", &three, &named("gaussian", 5), Arithmetic::F32);
    separable::<u16, u16>(c, "gaussian", &one, &named("gaussian", 301), Arithmetic::F64);
    separable::<u16, i16>(c, "sobel-x", &one, &named("sobel-x", 7), Arithmetic::I32);
    separable::<u16, u16>(c, "magnitude", &one, &named("sobel", 3), Arithmetic::F32);
    dense::<u16, u16>(c, "dense", &one, &Filter::new(random(7, 7)), Arithmetic::F32);
    let whole = Filter::new(whole(5, 40)).offset(32768.0);
    dense::<u16, u16>(c, "dense", &one, &whole, Arithmetic::I32);
    let large = Filter::new(random(25, 25)).offset(32768.0);
    let direct = large.clone().method(Method::Dense);
    dense::<u16, u16>(c, "dense", &one, &direct, Arithmetic::F64);
    by_fft::<u16, u16>(c, &one, &large);
    separable::<u16, u16>(c, "box", &one, &named("box", 15), Arithmetic::RunningI32);
}

fn of_f32(c: &mut Criterion) {
    let [one, three] = [1, 3].map(|channels| picture::<f32>(picture_shape(channels)));
    separable::<f32, f32>(c, "separable", &one, &Filter::new(lopsided(9)), Arithmetic::F32Fused);
    separable::<f32, f32>(c, "separable", &three, &Filter::new(lopsided(9)), Arithmetic::F32Fused);
    separable::<f32, f32>(c, "separable", &one, &Filter::new(lopsided(31)), Arithmetic::F32Fused);
    separable::<f32, u8>(
        c,
        "gaussian",
        &three,
        &named("gaussian", 5).scale(255.0),
        Arithmetic::F32,
    );
    separable::<f32, f32>(c, "magnitude", &one, &named("sobel", 3), Arithmetic::F32Fused);
    dense::<f32, f32>(c, "dense", &one, &Filter::new(random(7, 7)), Arithmetic::F32Fused);
    dense::<f32, f32>(c, "dense", &three, &Filter::new(random(7, 7)), Arithmetic::F32Fused);
    dense::<f32, f32>(c, "dense-magnitude", &one, &edges(5), Arithmetic::F32Fused);
    by_fft::<f32, f32>(c, &one, &Filter::new(random(31, 31)));
    separable::<f32, f32>(c, "box", &one, &named("box", 15), Arithmetic::TreeSums);
}

/// A colour matrix at every level.
fn mix<S: Source>(c: &mut Criterion, inputs: usize, outputs: usize, arithmetic: Arithmetic) {
    let mut rng = StdRng::seed_from_u64(3);
    let matrix: Vec<f32> = (0..inputs * outputs).map(|_| rng.random_range(-1.0..1.0)).collect();
    let layer = Pointwise::from_keras(&matrix, [1, 1, inputs, outputs]).expect("few weights");
    let source = picture::<S>(picture_shape(inputs));
    let shape = source.shape();
    let channels =
        if inputs == outputs { format!("{inputs}") } else { format!("{inputs}-{outputs}") };
    for level in Level::available() {
        let id = format!("mix/1/{}/{channels}/{level}", S::TYPE);
        let chain = Chain::new(layer.clone()).level(level).threads(1);
        let plan = chain.plan::<S, S>(shape).expect("a chain that can be planned");
        assert_eq!(plan.level(), level, "{id}:\n{plan}");
        expect(&id, &plan, (arithmetic, plan.stages()[0].arithmetic));
        let mut workspace = Workspace::new();
        let run = |out: ViewMut<'_, S>| plan.run(source.view(), out, &mut workspace);
        support::bench(c, &id, pixels(shape), plan.output_shape(), run, |rect| {
            reference::layer::region(&chain, shape, source.view(), (0, 0), rect)
        });
    }
}

fn mixes(c: &mut Criterion) {
    mix::<u8>(c, 3, 3, Arithmetic::I16Pairs);
    mix::<u8>(c, 3, 1, Arithmetic::I16Pairs);
    mix::<u8>(c, 4, 4, Arithmetic::I16Pairs);
    mix::<u16>(c, 3, 3, Arithmetic::F32);
    mix::<f32>(c, 3, 3, Arithmetic::F32Fused);
    mix::<f32>(c, 3, 1, Arithmetic::F32Fused);
    mix::<f32>(c, 4, 4, Arithmetic::F32Fused);
}

/// `run` with plan, output and workspace kept, and `apply`, which makes all of them, on outputs so
/// large that they are written past the cache.
fn whole_call<P>(c: &mut Criterion, filter: Filter, arithmetic: Arithmetic)
where
    P: Pixel,
    P::Subpixel: Source,
{
    let channels = usize::from(P::CHANNEL_COUNT);
    let shape = if measured() { Shape::new(3840, 2160, channels) } else { picture_shape(channels) };
    let source = picture::<P::Subpixel>(shape);
    let (width, height) = (shape.width as u32, shape.height as u32);
    let photo = ImageBuffer::<P, _>::from_raw(width, height, source.data());
    let photo = photo.expect("as many samples as the pixels have");
    let filter = filter.threads(1);
    let plan = filter.plan::<P::Subpixel, P::Subpixel>(shape).expect("it can be planned");
    let size = filter.kernels()[0].width();
    let rest = format!("{size}/{}/{channels}/{}", P::Subpixel::TYPE, plan.level());
    expect(&format!("run/{rest}"), &plan, (arithmetic, plan.stages()[0].arithmetic));
    let mut workspace = Workspace::new();
    let run = |out: ViewMut<'_, P::Subpixel>| plan.run(source.view(), out, &mut workspace);
    let exact = |rect| reference::region(&filter, shape, source.view(), (0, 0), rect);
    support::bench(c, &format!("run/{rest}"), pixels(shape), shape, run, exact);
    let mut checked = false;
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(pixels(shape)));
    group.bench_function(BenchmarkId::from_parameter(&rest), |b| {
        if !checked {
            let out = filter.apply_buffer(&photo).expect("a filter that can run");
            let out = Image::from_vec(out.into_raw(), shape).expect("the same shape");
            check(&format!("apply/{rest}"), &out, exact);
            checked = true;
        }
        b.iter_with_large_drop(|| filter.apply_buffer(black_box(&photo)));
    });
    group.finish();
}

fn whole_calls(c: &mut Criterion) {
    whole_call::<Rgb<u8>>(c, named("gaussian", 5), Arithmetic::I16);
    whole_call::<Luma<f32>>(c, Filter::new(lopsided(9)), Arithmetic::F32Fused);
}

criterion_group! {
    name = benches;
    config = quick();
    targets = of_u8, of_u16, of_f32, mixes, whole_calls
}
criterion_main!(benches);
