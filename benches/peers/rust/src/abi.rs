//! The C interface: handles, raw pointers, error texts. All `unsafe` is here.

use crate::spec::Spec;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Run = dyn FnMut(*const c_void, *mut c_void) -> Result<(), String>;
type Exact = dyn Fn(*const c_void, [usize; 4]) -> Result<Vec<f64>, String>;

/// What a handle points to.
pub struct Job {
    run: Box<Run>,
    exact: Option<Box<Exact>>,
    about: String,
}

impl Job {
    /// A job from images of so many samples to images of so many.
    pub fn new<I: 'static, O: 'static>(
        [inputs, outputs]: [usize; 2],
        mut run: impl FnMut(&[I], &mut [O]) -> Result<(), String> + 'static,
    ) -> Self {
        let run = move |source: *const c_void, out: *mut c_void| {
            // SAFETY: the caller of `board_run` promises `inputs` readable samples of type `I`,
            // which nobody writes meanwhile.
            let source = unsafe { std::slice::from_raw_parts(source.cast::<I>(), inputs) };
            // SAFETY: and `outputs` writable ones of type `O`, which nobody else uses meanwhile.
            let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<O>(), outputs) };
            run(source, out)
        };
        Self { run: Box::new(run), exact: None, about: String::new() }
    }

    /// Adds the definition, for a rectangle (x, y, width, height), and a description.
    #[allow(dead_code)]
    pub fn with_definition<I: 'static>(
        mut self,
        samples: usize,
        exact: impl Fn(&[I], [usize; 4]) -> Result<Vec<f64>, String> + 'static,
        about: String,
    ) -> Self {
        self.exact = Some(Box::new(move |source, rect| {
            // SAFETY: the caller of `board_exact` promises `samples` readable samples of type
            // `I`, which nobody writes meanwhile.
            let source = unsafe { std::slice::from_raw_parts(source.cast::<I>(), samples) };
            exact(source, rect)
        }));
        self.about = about;
        self
    }
}

/// Copies as much of `text` as fits, and a zero, to `to`.
///
/// # Safety
///
/// `to` points to `len` writable bytes.
unsafe fn put(text: &str, to: *mut c_char, len: usize) {
    let bytes = &text.as_bytes()[..text.len().min(len.saturating_sub(1))];
    if len > 0 {
        // SAFETY: `bytes` and the zero are at most `len` bytes, which the caller vouches for.
        unsafe {
            to.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            to.add(bytes.len()).write(0);
        }
    }
}

/// Does `work`; its error or panic goes to `text`.
///
/// # Safety
///
/// `text` points to `len` writable bytes.
unsafe fn guard<T>(
    text: *mut c_char,
    len: usize,
    work: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(work));
    let message = match result {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(message)) => message,
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(message) => format!("panicked: {message}"),
            None => "panicked".to_owned(),
        },
    };
    // SAFETY: passed on to the caller.
    unsafe { put(&message, text, len) };
    None
}

/// A handle for `spec` (`spec_len` bytes of UTF-8), or null and an error in `text`.
///
/// # Safety
///
/// `spec` points to `spec_len` readable bytes, `text` to `len` writable ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn board_new(
    spec: *const u8,
    spec_len: usize,
    text: *mut c_char,
    len: usize,
) -> *mut Job {
    // SAFETY: the caller's promise.
    let spec = unsafe { std::slice::from_raw_parts(spec, spec_len) };
    let make = || {
        let spec: Spec = std::str::from_utf8(spec).map_err(|e| e.to_string())?.parse()?;
        crate::make(&spec)
    };
    // SAFETY: the caller's promise.
    let job = unsafe { guard(text, len, make) };
    job.map_or(std::ptr::null_mut(), |job| Box::into_raw(Box::new(job)))
}

/// The same for layers, whose weights are `count` floats at `weights`, in the order in which the
/// layers of `spec` come.
///
/// # Safety
///
/// As for `board_new`; `weights` points to `count` readable floats.
#[cfg(feature = "twopass")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn board_layers(
    spec: *const u8,
    spec_len: usize,
    weights: *const f32,
    count: usize,
    text: *mut c_char,
    len: usize,
) -> *mut Job {
    // SAFETY: the caller's promise.
    let spec = unsafe { std::slice::from_raw_parts(spec, spec_len) };
    // SAFETY: the caller's promise.
    let weights = unsafe { std::slice::from_raw_parts(weights, count) };
    let make =
        || crate::layers::make(std::str::from_utf8(spec).map_err(|e| e.to_string())?, weights);
    // SAFETY: the caller's promise.
    let job = unsafe { guard(text, len, make) };
    job.map_or(std::ptr::null_mut(), |job| Box::into_raw(Box::new(job)))
}

/// Does fused multiply-adds and nothing else for a moment, and returns how many of `f32`.
#[cfg(feature = "twopass")]
#[unsafe(no_mangle)]
pub extern "C" fn board_peak() -> f64 {
    crate::peak::run()
}

/// Filters `source` into `out`; 0, or 1 and an error in `text`.
///
/// # Safety
///
/// `job` comes from `board_new` and is used by one thread at a time; `source` and `out` point to
/// images of the shape and the sample types that its spec named, aligned and not overlapping;
/// `text` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn board_run(
    job: *mut Job,
    source: *const c_void,
    out: *mut c_void,
    text: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the caller's promise.
    let job = unsafe { &mut *job };
    // SAFETY: the caller's promise.
    match unsafe { guard(text, len, || (job.run)(source, out)) } {
        Some(()) => 0,
        None => 1,
    }
}

/// The exact results of a rectangle, row by row, into `out`; 0, or 1 and an error in `text`.
///
/// # Safety
///
/// As for `board_run`; `out` points to width × height × channels writable values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn board_exact(
    job: *mut Job,
    source: *const c_void,
    rect: *const usize,
    out: *mut f64,
    text: *mut c_char,
    len: usize,
) -> i32 {
    // SAFETY: the caller's promise; four numbers.
    let (job, rect) = unsafe { (&*job, *rect.cast::<[usize; 4]>()) };
    let work = || job.exact.as_ref().ok_or("no definition here")?(source, rect);
    // SAFETY: the caller's promise.
    let Some(values) = (unsafe { guard(text, len, work) }) else { return 1 };
    // SAFETY: there are as many values as samples in the rectangle.
    unsafe { out.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    0
}

/// What the contestant says about its plan, into `text`.
///
/// # Safety
///
/// `job` comes from `board_new`; `text` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn board_about(job: *const Job, text: *mut c_char, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { put(&(*job).about, text, len) }
}

/// Ends a handle.
///
/// # Safety
///
/// `job` comes from `board_new` and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn board_free(job: *mut Job) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(job) });
}
