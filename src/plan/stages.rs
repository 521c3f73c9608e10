//! What a plan says of its layers, one by one, and of all of them together.

use super::arithmetic::{Arithmetic, Proved};
use super::segment::Stage;
use super::{AnyPlan, Operations, filter};
use crate::filter::Method;
use crate::kernel::Separation;
use crate::layer::Layer;

/// What a plan does for one layer.
///
/// ```
/// use twopass::{Filter, Kernel, Method, Shape};
///
/// let plan = Filter::new(Kernel::gaussian(2.0)?).plan::<u8, u8>(Shape::new(640, 480, 3))?;
/// let stage = &plan.stages()[0];
/// assert_eq!((stage.method, stage.separations[0].rank()), (Some(Method::Separable), 1));
/// assert_eq!((stage.multiplications, stage.naive_multiplications), (26, 169));
/// assert_eq!((stage.operations.multiplications, stage.operations.additions), (14.0, 26.0));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StageInfo<'a> {
    /// The layer: one of [`AnyPlan::chain`]'s, or what is done for several of them.
    pub layer: &'a Layer,
    /// How a filter is done: never `Auto`. `None` for other layers.
    pub method: Option<Method>,
    /// How a filter's kernels were separated; two for a magnitude.
    pub separations: &'a [Separation],
    /// What its sums are computed in.
    pub arithmetic: Arithmetic,
    /// Largest distance of a filter's results from the exact ones, on exact samples; in the units of
    /// [`AnyPlan::error_bound`], or, between the filters of a chain, of the rows that it writes.
    pub bound: f64,
    /// Multiplications per sample of its output: taps as written, before folding or zero skipping.
    pub multiplications: usize,
    /// Operations per sample of its output, as they are executed.
    pub operations: Operations,
    /// Multiplications of plain 2D filtering, or an ordinary loop over the layer's window.
    pub naive_multiplications: usize,
}

impl AnyPlan {
    /// What is done for each layer of those that are done, in their order: a mix that makes no more channels than it reads
    /// may come before a filter that it follows, and filters that follow each other may be one.
    #[must_use]
    pub fn stages(&self) -> Vec<StageInfo<'_>> {
        let mut filters = self.filters.iter();
        let layers = self.layers().iter().zip(self.operations()).map(|(layer, operations)| {
            let facts = match layer {
                Layer::Filter(filter) => filters.next().map(|facts| (filter, facts)),
                _ => None,
            };
            let Some((filter, facts)) = facts else {
                let multiplications = layer.multiplications_per_sample();
                return StageInfo {
                    layer,
                    method: None,
                    separations: &[],
                    arithmetic: self.layer_arithmetic(),
                    bound: 0.0,
                    multiplications,
                    operations,
                    naive_multiplications: multiplications,
                };
            };
            // The reference does the work of all layers, or of none.
            let (method, proved) = match self.segments.is_empty() {
                true => (Method::Naive, Proved::reference(self.types.0)),
                false => (facts.method, facts.arithmetic.clone()),
            };
            StageInfo {
                layer,
                method: Some(method),
                separations: facts.separations.of(filter),
                arithmetic: proved.arithmetic,
                bound: proved.bound,
                multiplications: match facts.multiplications {
                    Some(count) if method == facts.method => count,
                    _ => filter::multiplications(filter, method),
                },
                operations,
                naive_multiplications: layer.multiplications_per_sample(),
            }
        });
        layers.collect()
    }

    /// What is executed for each layer. The reference multiplies by every tap.
    fn operations(&self) -> Vec<Operations> {
        let stages = || self.segments.iter().flat_map(|segment| &segment.stages);
        let mut filters = stages().filter_map(|stage| match stage {
            Stage::Filter(filter) => Some(filter.operations()),
            _ => None,
        });
        let mut windows = stages().filter_map(|stage| match stage {
            Stage::Layers(layers) => layers.products(),
            _ => None,
        });
        let of = |layer: &Layer| {
            let all = || Operations::products(layer.multiplications_per_sample() as f64);
            match layer {
                Layer::Filter(_) => filters.next().unwrap_or_else(all),
                Layer::Depthwise(_) | Layer::Conv2d(_) => {
                    windows.next().map_or_else(all, Operations::products)
                }
                Layer::Separable(layer) => match windows.next() {
                    Some(window) => {
                        Operations::products(window + layer.pointwise().input_channels() as f64)
                    }
                    None => all(),
                },
                Layer::Pointwise(_) => all(),
            }
        };
        self.layers().iter().map(of).collect()
    }

    /// What layers other than filters are computed in.
    fn layer_arithmetic(&self) -> Arithmetic {
        match self.segments.first().and_then(|segment| segment.stages.first()) {
            None => Arithmetic::Reference,
            Some(Stage::Colour(_)) => Arithmetic::I16Pairs,
            _ if self.fused => Arithmetic::F32Fused,
            _ => Arithmetic::F32,
        }
    }

    /// Multiplications per sample, of all layers together, each of its own output: taps as written, before folding or
    /// zero skipping.
    #[must_use]
    pub fn multiplications_per_sample(&self) -> usize {
        self.stages().iter().map(|stage| stage.multiplications).sum()
    }

    /// The same for plain 2D filtering with the layers as they were given: kernel width × height, for each kernel.
    #[must_use]
    pub fn naive_multiplications_per_sample(&self) -> usize {
        self.chain.layers().iter().map(Layer::multiplications_per_sample).sum()
    }

    /// Operations per sample, of all layers together, each of its own output, as they are executed: folded and shared, of
    /// the arithmetic that was chosen.
    #[must_use]
    pub fn operations_per_sample(&self) -> Operations {
        self.operations().into_iter().sum()
    }
}
