//! This crate: the plan and the workspace are made once, as a program that filters many images
//! would; as `apply`, all is made anew in every call, the output too.

use crate::abi::Job;
use crate::spec::Spec;
use twopass::{
    Border, Filter, Image, Kernel, KernelParams, Level, NamedKernel, Rect, Sample, Shape, Source,
    View, ViewMut, Workspace, reference,
};

pub fn make(spec: &Spec) -> Result<Job, String> {
    match (spec.input.as_str(), spec.output.as_str()) {
        ("u8", "u8") => typed::<u8, u8>(spec),
        ("u8", "i16") => typed::<u8, i16>(spec),
        ("u16", "u16") => typed::<u16, u16>(spec),
        ("f32", "f32") => typed::<f32, f32>(spec),
        (input, output) => Err(format!("no row goes from {input} to {output}")),
    }
}

fn typed<I: Source, O: Sample>(spec: &Spec) -> Result<Job, String> {
    let shape = Shape::new(spec.width, spec.height, spec.channels);
    let samples = shape.samples().map_err(|e| e.to_string())?;
    let filter = filter(spec).map_err(|e| e.to_string())?;
    let plan = filter.plan::<I, O>(shape).map_err(|e| e.to_string())?;
    let about = plan.to_string();
    let job = if spec.contestant == "apply" {
        let filter = filter.clone();
        let mut called = false;
        Job::new([samples; 2], move |source: &[I], out: &mut [O]| {
            let result = apply(&filter, source, shape).map_err(|e| e.to_string())?;
            if !called {
                out.copy_from_slice(result.data());
                called = true;
            }
            Ok(())
        })
    } else {
        let mut workspace = Workspace::new();
        Job::new([samples; 2], move |source: &[I], out: &mut [O]| {
            let mut run =
                || plan.run(View::new(source, shape)?, ViewMut::new(out, shape)?, &mut workspace);
            run().map_err(|e| e.to_string())
        })
    };
    let exact = move |source: &[I], [x, y, width, height]: [usize; 4]| {
        let rect = Rect::new(x, y, width, height);
        View::new(source, shape)
            .and_then(|view| reference::region(&filter, shape, view, (0, 0), rect))
            .map_err(|e| e.to_string())
    };
    Ok(job.with_definition(samples, exact, about))
}

/// What `Filter::apply` does, without a need for the crate `image`: nothing is kept from call to
/// call, neither plan nor workspace nor output.
fn apply<I: Source, O: Sample>(
    filter: &Filter,
    source: &[I],
    shape: Shape,
) -> Result<Image<O>, twopass::Error> {
    let plan = filter.plan::<I, O>(shape)?;
    let mut out = Image::new(plan.output_shape())?;
    plan.run(View::new(source, shape)?, out.view_mut(), &mut Workspace::new())?;
    Ok(out)
}

fn filter(spec: &Spec) -> Result<Filter, twopass::Error> {
    let numbers = |i: usize| spec.numbers.get(i).map_or(&[][..], Vec::as_slice);
    let filter = match spec.operation.as_str() {
        "separable" => Filter::new(Kernel::separable(numbers(0), numbers(1))?),
        "dense" => {
            let taps = numbers(0);
            let side = taps.len().isqrt();
            Filter::new(Kernel::new(side, side, taps.to_vec())?)
        }
        name => {
            let (first, second) = (numbers(0).first().copied(), numbers(0).get(1).copied());
            let mut params = KernelParams::default();
            match name {
                "unsharp" | "dog" | "log" => params.sigma = first,
                "disc" => params.radius = first,
                "motion" => (params.length, params.angle) = (first, second),
                _ => params.size = first.map(|n| n as usize),
            }
            match NamedKernel::find(name)?.kernels(&params)?.as_slice() {
                [x, y] => Filter::magnitude(x, y)?,
                kernels => Filter::new(kernels[0].clone()),
            }
        }
    };
    let filter = filter.border(Border::Reflect101).threads(spec.threads);
    Ok(if spec.mode == "default" { filter } else { filter.level(Level::named(&spec.mode)?) })
}
