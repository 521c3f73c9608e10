//! What separability buys: the same blur in two passes, in one dense pass, and in plain 2D loops,
//! by kernel size, sample type and channels, at 1080p on one thread.
//!
//! Ids read `op/size/sample/channels/level`; throughput is in pixels. Every bench compares its
//! result with the reference before it is timed. In test mode (`cargo test --benches`) images
//! are small.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{picture, picture_shape, pixels, quick};
use twopass::{
    Border, Error, Filter, Image, Kernel, Level, Method, Source, ViewMut, Workspace, naive,
    reference,
};

const SIZES: [usize; 5] = [3, 5, 9, 15, 31];
const CHANNELS: [usize; 3] = [1, 3, 4];
/// Plain loops on larger kernels take seconds and tell nothing new.
const NAIVE_LIMIT: usize = 15;

/// A Gaussian of `size` taps, sum 1, as its factors.
fn blur(size: usize) -> Kernel {
    let sigma = 0.3 * ((size as f64 - 1.0) * 0.5 - 1.0) + 0.8;
    let centre = (size / 2) as f64;
    let bell = (0..size).map(|i| (-((i as f64 - centre) / sigma).powi(2) / 2.0).exp());
    let sum: f64 = bell.clone().sum();
    let taps: Vec<f64> = bell.map(|t| t / sum).collect();
    Kernel::separable(&taps, &taps).expect("a small finite kernel")
}

/// Times `run`, which does what `filter` says.
fn bench<S: Source>(
    c: &mut Criterion,
    op: &str,
    level: &str,
    filter: &Filter,
    source: &Image<S>,
    run: impl FnMut(ViewMut<'_, S>) -> Result<(), Error>,
) {
    let (shape, size) = (source.shape(), filter.kernels()[0].width());
    let id = format!("{op}/{size}x{size}/{}/{}/{level}", S::TYPE, shape.channels);
    support::bench(c, &id, pixels(shape), shape, run, |rect| {
        reference::region(filter, shape, source.view(), (0, 0), rect)
    });
}

fn engine<S: Source>(
    c: &mut Criterion,
    method: Method,
    level: Level,
    filter: &Filter,
    source: &Image<S>,
) {
    let filter = filter.clone().method(method).level(level).threads(1);
    let plan = filter.plan::<S, S>(source.shape()).expect("a filter that can be planned");
    let mut workspace = Workspace::new();
    bench(c, &method.to_string(), level.name(), &filter, source, |out| {
        plan.run(source.view(), out, &mut workspace)
    });
}

fn sample<S: Source>(c: &mut Criterion) {
    for channels in CHANNELS {
        let source = picture::<S>(picture_shape(channels));
        for size in SIZES {
            let filter = Filter::new(blur(size)).border(Border::Reflect101);
            for level in Level::available() {
                engine(c, Method::Separable, level, &filter, &source);
            }
            engine(c, Method::Dense, Level::detect(), &filter, &source);
            if size <= NAIVE_LIMIT {
                bench(c, "naive", "plain", &filter, &source, |out| {
                    naive::filter(&filter, source.view(), out)
                });
            }
        }
    }
}

fn all(c: &mut Criterion) {
    sample::<u8>(c);
    sample::<u16>(c);
    sample::<f32>(c);
}

criterion_group! {
    name = benches;
    config = quick();
    targets = all
}
criterion_main!(benches);
