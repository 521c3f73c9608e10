//! A second run with the same workspace allocates nothing, on one thread.
//!
//! The counting allocator is the program's global one, so this is a test program of its own, and
//! one test: nothing else may allocate beside it.

#![allow(unsafe_code, reason = "an allocator can be counted only from inside one")]

mod common;

use common::{Look, borders, image, levels};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use twopass::{
    Alpha, Arithmetic, Chain, Conv2d, Depthwise, Filter, Image, Kernel, Method, Padding, Pointwise,
    Sample, Shape, Source, Window, Workspace,
};

/// The system's allocator, counting the calls that give memory, and the bytes.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

static BYTES: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every method hands its arguments unchanged to the system's allocator, whose contract is
// the same, and counting touches no memory of the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn check<I: Source, O: Sample>(filter: &Filter, shape: Shape) {
    let source = image::<I>(shape, Look::Noise, 1);
    let wide = image::<I>(Shape { channels: shape.channels + 1, ..shape }, Look::Noise, 2);
    for border in borders(7.0) {
        for level in levels() {
            let filter = filter.clone().border(border.clone()).level(level).threads(1);
            let plan = filter.plan::<I, O>(shape).unwrap();
            let mut out = Image::<O>::new(plan.output_shape()).unwrap();
            let mut workspace = Workspace::new();
            plan.run(source.view(), out.view_mut(), &mut workspace).unwrap();
            for again in 2..4 {
                let before = CALLS.load(Ordering::Relaxed);
                let result = plan.run(source.view(), out.view_mut(), &mut workspace);
                let calls = CALLS.load(Ordering::Relaxed) - before;
                result.unwrap();
                assert_eq!(calls, 0, "allocations in run {again}, {shape}, {border}, {level}");
            }
            // The same from pixels that lie apart.
            let chosen = wide.view().channels(1..1 + shape.channels).unwrap();
            plan.run_strided(chosen, out.view_mut(), &mut workspace).unwrap();
            let before = CALLS.load(Ordering::Relaxed);
            let result = plan.run_strided(chosen, out.view_mut(), &mut workspace);
            let calls = CALLS.load(Ordering::Relaxed) - before;
            result.unwrap();
            assert_eq!(calls, 0, "allocations for channels, {shape}, {border}, {level}");
        }
    }
}

fn check_chain<I: Source, O: Sample>(chain: &Chain, shape: Shape) {
    let source = image::<I>(shape, Look::Noise, 1);
    for level in levels() {
        let plan = chain.clone().level(level).threads(1).plan::<I, O>(shape).unwrap();
        let mut out = Image::<O>::new(plan.output_shape()).unwrap();
        let mut workspace = Workspace::new();
        plan.run(source.view(), out.view_mut(), &mut workspace).unwrap();
        for again in 2..4 {
            let before = CALLS.load(Ordering::Relaxed);
            let result = plan.run(source.view(), out.view_mut(), &mut workspace);
            let calls = CALLS.load(Ordering::Relaxed) - before;
            result.unwrap();
            assert_eq!(calls, 0, "allocations in run {again}, {chain}, {shape}, {level}");
        }
    }
}

/// Every kind of layer, padding at edges, kernels for several outputs, and mixes in a row.
fn chains() {
    let weights = |dims: [usize; 4]| vec![0.1f32; dims.iter().product()];
    let window = |stride, padding| Window::new().stride(stride, 1).padding(padding);
    let conv2d = |dims, window| {
        Conv2d::from_keras(&weights(dims), dims).unwrap().with_window(window).unwrap()
    };
    let depthwise = |dims, window| {
        Depthwise::from_keras(&weights(dims), dims).unwrap().with_window(window).unwrap()
    };
    let pointwise = |dims| Pointwise::from_keras(&weights(dims), dims).unwrap();
    let dilated = window(1, Padding::zeros(2, 3)).dilation(2, 2);
    let chain = Chain::new(depthwise([3, 3, 3, 2], window(2, Padding::Same)))
        .then(pointwise([1, 1, 6, 20]))
        .and_then(|c| c.then(pointwise([1, 1, 20, 17])))
        .and_then(|c| c.then(depthwise([3, 3, 17, 1], window(1, Padding::Same))))
        .and_then(|c| c.then(conv2d([3, 2, 17, 5], dilated)))
        .and_then(|c| c.then(pointwise([1, 1, 5, 3])));
    let mix = Chain::new(pointwise([1, 1, 3, 40])).then(pointwise([1, 1, 40, 3])).unwrap();
    let luma = Chain::new(pointwise([1, 1, 3, 1]));
    for shape in [Shape::new(9, 8, 3), Shape::new(211, 97, 3), Shape::new(1800, 700, 3)] {
        if shape.height < 700 {
            check_chain::<f32, f32>(chain.as_ref().unwrap(), shape);
        }
        check_chain::<f32, f32>(&mix, shape);
        check_chain::<u8, u8>(&mix, shape);
        check_chain::<u8, f32>(&mix, shape);
        check_chain::<u16, u16>(&luma, shape);
    }
}

/// Blur, mix, edges: the scratch memory of an image chain is rows, not images.
fn image_chain() {
    let same = |layer: Depthwise| layer.with_window(Window::new().padding(Padding::Same)).unwrap();
    let blur = || same(Depthwise::from_keras(&[0.04; 75], [5, 5, 3, 1]).unwrap());
    let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1]).unwrap();
    let edges = same(Depthwise::from_keras(&[0.5; 18], [3, 3, 1, 2]).unwrap());
    let chain = Chain::new(blur())
        .then(blur())
        .and_then(|c| c.then(luma))
        .and_then(|c| c.then(edges))
        .unwrap()
        .threads(1);
    let shape = Shape::new(1500, 1000, 3);
    let source = image::<f32>(shape, Look::Noise, 1);
    let plan = chain.plan::<f32, f32>(shape).unwrap();
    let mut out = Image::<f32>::new(plan.output_shape()).unwrap();
    let before = BYTES.load(Ordering::Relaxed);
    plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    let rows = bytes / (shape.row() * size_of::<f32>());
    assert!(rows < 40, "{bytes} bytes of scratch memory are {rows} rows of the image");
    check_chain::<f32, f32>(&chain, shape);
}

/// The same with image filters, from and to every kind of sample.
fn filter_chain() {
    let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1]).unwrap();
    let (sobel_x, sobel_y) = (Kernel::sobel_x(), Kernel::sobel_y());
    let dense = Kernel::new(3, 2, (0..6).map(|i| f64::from(i) * 0.1).collect()).unwrap();
    let chain = Chain::new(Filter::new(Kernel::gaussian(1.0).unwrap()))
        .then(Filter::new(dense.clone()))
        .and_then(|c| c.then(luma))
        .and_then(|c| c.then(Filter::magnitude(&sobel_x, &sobel_y).unwrap().scale(0.25)))
        .unwrap()
        .threads(1);
    fn rows<I: Source, O: Sample>(chain: &Chain) {
        let shape = Shape::new(1500, 1000, 3);
        let source = image::<I>(shape, Look::Noise, 1);
        let plan = chain.plan::<I, O>(shape).unwrap();
        let mut out = Image::<O>::new(plan.output_shape()).unwrap();
        let before = BYTES.load(Ordering::Relaxed);
        plan.run(source.view(), out.view_mut(), &mut Workspace::new()).unwrap();
        let bytes = BYTES.load(Ordering::Relaxed) - before;
        let rows = bytes / (shape.row() * size_of::<f32>());
        assert!(rows < 40, "{bytes} bytes of scratch memory are {rows} rows of the image");
    }
    rows::<u8, u8>(&chain);
    rows::<u16, u16>(&chain);
    rows::<f32, f32>(&chain);
    for shape in [Shape::new(9, 8, 3), Shape::new(211, 97, 3)] {
        check_chain::<u8, u8>(&chain, shape);
        check_chain::<u16, f32>(&chain, shape);
        check_chain::<f32, f32>(&chain, shape);
        // Colours multiplied by alpha; and sums too coarse for `f32`.
        let alpha = Shape { channels: 4, ..shape };
        let blur = Filter::new(Kernel::gaussian(1.0).unwrap()).alpha(Alpha::Premultiply);
        let kept = Filter::new(dense.clone()).alpha(Alpha::Keep);
        check_chain::<u8, u8>(&Chain::new(blur).then(kept).unwrap(), alpha);
        let back = Filter::new(Kernel::identity()).scale(0.25);
        let coarse = Filter::new(dense.clone()).scale(100.0);
        let precise = Chain::new(coarse).then(back).unwrap();
        let plan = precise.plan::<u16, u16>(shape).unwrap();
        assert_eq!(plan.stages()[0].arithmetic, Arithmetic::F64, "{plan}");
        check_chain::<u16, u16>(&precise, shape);
    }
}

#[test]
fn a_second_run_allocates_nothing() {
    let before = CALLS.load(Ordering::Relaxed);
    drop(std::hint::black_box(vec![0u8; 100]));
    assert_eq!(CALLS.load(Ordering::Relaxed) - before, 1, "the counter counts");

    chains();
    image_chain();
    filter_chain();
    let sobel = Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap();
    let blur = Kernel::separable(&[0.1, 0.25, 0.3, 0.25, 0.1], &[0.3, 0.4, 0.2, 0.1]).unwrap();
    let dense = Kernel::new(4, 3, (0..12).map(|i| f64::from(i) * 0.1 - 0.3).collect()).unwrap();
    let terms = [Kernel::gaussian(1.5).unwrap(), Kernel::new(1, 1, vec![0.5]).unwrap()];
    let sum = Filter::new(Kernel::sum_of(&terms).unwrap()).method(Method::Terms);
    let means = Kernel::box_(13, 11).unwrap();
    for shape in [Shape::new(5, 6, 1), Shape::new(211, 97, 3), Shape::new(2500, 6, 1)] {
        check::<u8, i16>(&Filter::new(sobel.clone()), shape);
        check::<u8, u8>(&Filter::new(blur.clone()), shape);
        check::<u16, u16>(&Filter::new(blur.clone()), shape);
        check::<f32, f32>(&Filter::new(blur.clone()), shape);
        check::<u8, u8>(&Filter::new(dense.clone()), shape);
        if shape.height > 11 {
            check::<u8, u8>(&sum, shape);
            check::<f32, f32>(&sum, shape);
            let chain = Chain::new(Filter::new(means.clone())).then(sum.clone()).unwrap();
            check_chain::<u8, u8>(&chain.then(Filter::new(means.clone())).unwrap(), shape);
        }
        check::<f32, f32>(&Filter::new(blur.clone()).method(Method::Dense), shape);
        if cfg!(feature = "fft") {
            let by_fft = Filter::new(dense.clone()).method(Method::Fft);
            check::<u8, u8>(&by_fft, shape);
            check::<u16, u16>(&by_fft, shape);
            check::<f32, f32>(&by_fft, shape);
        }
        if shape.height > 61 {
            let long = Filter::new(Kernel::gaussian(10.0).unwrap()).method(Method::Multirate);
            check::<u8, u8>(&long, shape);
            check::<f32, f32>(&long.tolerance(4e-3), shape);
            for kernel in [Kernel::disc(9.0).unwrap(), Kernel::motion(25.0, 20.0).unwrap()] {
                let runs = Filter::new(kernel).method(Method::Runs);
                check::<u8, u8>(&runs, shape);
                check::<u16, u16>(&runs, shape);
                check::<f32, f32>(&runs, shape);
            }
        }
        let alpha = Shape { channels: 4, ..shape };
        check::<u8, u8>(&Filter::new(blur.clone()).alpha(Alpha::Premultiply), alpha);
        check::<u16, u16>(&Filter::new(dense.clone()).alpha(Alpha::Keep), alpha);
        check::<u8, u8>(&Filter::magnitude(&sobel, &sobel.transposed()).unwrap(), shape);
    }
}
