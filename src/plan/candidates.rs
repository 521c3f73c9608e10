//! The methods that a filter could have been done by, for those who ask why it is this one.

use super::AnyPlan;
use crate::error::Error;
use crate::filter::Method;
use crate::layer::{Chain, Layer};
use crate::sample::SampleType;

/// A method, and what a filter would be with it.
///
/// ```
/// use twopass::{Filter, Kernel, Method, Shape};
///
/// let plan = Filter::new(Kernel::disc(15.0)?).plan::<u8, u8>(Shape::new(640, 480, 3))?;
/// let candidates = plan.candidates();
/// let of = |method| candidates.iter().find(|c| c.method == method).unwrap();
/// assert!(of(Method::Runs).chosen && of(Method::Separable).plan.is_err());
/// let dense = of(Method::Dense).plan.as_ref().unwrap();
/// assert_eq!(dense.multiplications_per_sample(), 31 * 31);
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The method.
    pub method: Method,
    /// Whether it is the one that was chosen.
    pub chosen: bool,
    /// The plan with it, or why there is none: its multiplications and error bound are what the choice weighs.
    pub plan: Result<AnyPlan, Error>,
}

/// Those that a filter may be done by, but for the reference.
const METHODS: [Method; 6] =
    [Method::Separable, Method::Multirate, Method::Terms, Method::Runs, Method::Fft, Method::Dense];

impl AnyPlan {
    /// All methods for the one filter of this plan, each planned anew; none for a chain. They keep the tolerance that
    /// the filter has; where it has none, `f32` results take exact methods only.
    #[must_use]
    pub fn candidates(&self) -> Vec<Candidate> {
        let [Layer::Filter(filter)] = self.chain.layers() else { return Vec::new() };
        let chosen = self.filters.first().map(|facts| facts.method);
        let float = [self.types.0, self.types.1].contains(&SampleType::F32);
        let with = |method| {
            let mut filter = filter.clone().method(method);
            if float && filter.get_tolerance().is_none() {
                filter = filter.tolerance(0.0);
            }
            AnyPlan::new(&Chain::of_filter(&filter), self.input, self.types)
        };
        let candidate =
            |method| Candidate { method, chosen: chosen == Some(method), plan: with(method) };
        METHODS.into_iter().map(candidate).collect()
    }
}
