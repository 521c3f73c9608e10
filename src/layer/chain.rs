//! `Chain`: layers one after the other, as one plan.

use super::Layer;
use crate::error::Error;
use crate::filter::Filter;
use crate::simd::Level;
use crate::view::Shape;
use std::fmt;

/// Layers and image filters, each reading what the one before it wrote. A single layer is a chain
/// of one. Nothing is rounded between them.
///
/// ```
/// use twopass::{Chain, Filter, Image, Kernel, Pointwise, Shape, Workspace};
///
/// // Blur, grey, edges: from 8 bits to 8 bits, rounded once, and no image between.
/// let luma = Pointwise::from_pytorch(&[0.299, 0.587, 0.114], [1, 3, 1, 1])?;
/// let sobel = Filter::magnitude(&Kernel::sobel_x(), &Kernel::sobel_y())?;
/// let chain = Chain::new(Kernel::gaussian(2.0)?).then(luma)?.then(sobel)?;
/// let plan = chain.plan::<u8, u8>(Shape::new(64, 48, 3))?;
/// assert_eq!((plan.output_shape(), plan.segments()), (Shape::new(64, 48, 1), 1));
/// let photo = Image::<u8>::new(plan.input_shape())?;
/// let mut edges = Image::<u8>::new(plan.output_shape())?;
/// plan.run(photo.view(), edges.view_mut(), &mut Workspace::new())?;
/// # Ok::<(), twopass::Error>(())
/// ```
///
/// And a network:
///
/// ```
/// use twopass::{Activation, Chain, Conv2d, Padding, SeparableConv, Shape, Window};
///
/// let same = Window::new().padding(Padding::Same);
/// let first = Conv2d::from_keras(&[0.1; 3 * 3 * 3 * 8], [3, 3, 3, 8])?
///     .with_window(same.clone().stride(2, 2))?
///     .with_activation(Activation::Relu);
/// let second = SeparableConv::from_keras(
///     (&[0.1; 3 * 3 * 8], [3, 3, 8, 1]),
///     (&[0.1; 8 * 16], [1, 1, 8, 16]),
/// )?
/// .with_window(same)?;
/// let chain = Chain::new(first).then(second)?;
/// assert_eq!(chain.output_shape(Shape::new(32, 32, 3))?, Shape::new(16, 16, 16));
/// # Ok::<(), twopass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// At least one.
    layers: Vec<Layer>,
    level: Option<Level>,
    threads: usize,
}

impl Chain {
    /// A chain of one layer.
    #[must_use]
    pub fn new(layer: impl Into<Layer>) -> Self {
        Self { layers: vec![layer.into()], level: None, threads: 0 }
    }

    /// A filter as a chain of one, with the level and threads that it asks for.
    pub(crate) fn of_filter(filter: &Filter) -> Self {
        let layers = vec![Layer::Filter(filter.clone())];
        Self { layers, level: filter.get_level(), threads: filter.get_threads() }
    }

    /// The same with other layers, at least one, that fit together.
    pub(crate) fn with_layers(&self, layers: Vec<Layer>) -> Self {
        Self { layers, ..*self }
    }

    /// Adds a layer at the end.
    ///
    /// Errors: it takes another number of channels than the last one gives.
    pub fn then(mut self, layer: impl Into<Layer>) -> Result<Self, Error> {
        let next = layer.into();
        // Filters pass on as many channels as they get.
        let before = self.layers.iter().rev().find_map(|l| Some((l, l.output_channels()?)));
        if let (Some((last, gives)), Some(takes)) = (before, next.input_channels())
            && gives != takes
        {
            let (first, second) = (last.to_string(), next.to_string());
            return Err(Error::LayerMismatch { first, gives, second, takes });
        }
        self.layers.push(next);
        Ok(self)
    }

    /// The same chain with other filters where pixels have this many channels, which is what they begin with.
    #[cfg(feature = "image")]
    pub(crate) fn map_filters(mut self, channels: usize, map: impl Fn(&Filter) -> Filter) -> Self {
        for layer in &mut self.layers {
            match layer {
                Layer::Filter(filter) => *filter = map(filter),
                layer if layer.output_channels() == Some(channels) => {}
                _ => break,
            }
        }
        self
    }

    /// The instruction set to use instead of the best one.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// At most this many workers of the caller's current rayon pool; 0 (the default) is all of
    /// them.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The layers, first to last.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The instruction set asked for, if any.
    #[must_use]
    pub fn get_level(&self) -> Option<Level> {
        self.level
    }

    /// The limit on workers; 0 is none.
    #[must_use]
    pub fn get_threads(&self) -> usize {
        self.threads
    }

    /// The shape of the output for an input of shape `input`.
    pub fn output_shape(&self, input: Shape) -> Result<Shape, Error> {
        self.layers.iter().try_fold(input, |shape, layer| layer.output_shape(shape))
    }

    /// Multiplications of all layers for an input of shape `input`.
    pub fn multiplications(&self, input: Shape) -> Result<u64, Error> {
        let mut shape = input;
        let mut sum = 0u64;
        for layer in &self.layers {
            sum = sum.saturating_add(layer.multiplications(shape)?);
            shape = layer.output_shape(shape)?;
        }
        Ok(sum)
    }
}

impl<L: Into<Layer>> From<L> for Chain {
    fn from(layer: L) -> Self {
        Self::new(layer)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, layer) in self.layers.iter().enumerate() {
            write!(f, "{}{layer}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
