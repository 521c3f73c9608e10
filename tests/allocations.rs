//! A second run with the same workspace allocates nothing, on one thread.
//!
//! The counting allocator is the program's global one, so this is a test program of its own, and
//! one test: nothing else may allocate beside it.

#![allow(unsafe_code, reason = "an allocator can be counted only from inside one")]

mod common;

use common::{Look, borders, image, levels};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use twopass::{Alpha, Filter, Image, Kernel, Method, Sample, Shape, Source, Workspace};

/// The system's allocator, counting the calls that give memory.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn count() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: every method hands its arguments unchanged to the system's allocator, whose contract is
// the same, and counting touches no memory of the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
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
        }
    }
}

#[test]
fn a_second_run_allocates_nothing() {
    let before = CALLS.load(Ordering::Relaxed);
    drop(std::hint::black_box(vec![0u8; 100]));
    assert_eq!(CALLS.load(Ordering::Relaxed) - before, 1, "the counter counts");

    let sobel = Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0]).unwrap();
    let blur = Kernel::separable(&[0.1, 0.25, 0.3, 0.25, 0.1], &[0.3, 0.4, 0.2, 0.1]).unwrap();
    let dense = Kernel::new(4, 3, (0..12).map(|i| f64::from(i) * 0.1 - 0.3).collect()).unwrap();
    for shape in [Shape::new(5, 6, 1), Shape::new(211, 97, 3), Shape::new(2500, 6, 1)] {
        check::<u8, i16>(&Filter::new(sobel.clone()), shape);
        check::<u8, u8>(&Filter::new(blur.clone()), shape);
        check::<u16, u16>(&Filter::new(blur.clone()), shape);
        check::<f32, f32>(&Filter::new(blur.clone()), shape);
        check::<u8, u8>(&Filter::new(dense.clone()), shape);
        check::<f32, f32>(&Filter::new(blur.clone()).method(Method::Dense), shape);
        let alpha = Shape { channels: 4, ..shape };
        check::<u8, u8>(&Filter::new(blur.clone()).alpha(Alpha::Premultiply), alpha);
        check::<u16, u16>(&Filter::new(dense.clone()).alpha(Alpha::Keep), alpha);
        check::<u8, u8>(&Filter::magnitude(&sobel, &sobel.transposed()).unwrap(), shape);
    }
}
