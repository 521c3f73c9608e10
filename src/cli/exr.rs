//! EXR files: all channels of a part, with the windows, attributes and compression that the file has. Colours are
//! multiplied by alpha there, by the format's definition.
//!
//! `image` reads RGBA of the first part that has it, padded or cut to the display window, and writes all as 32-bit floats
//! without attributes; this uses all of the crate `exr`.

use super::channels::Selection;
use super::failure::Failure;
use super::lost::Lost;
use super::pixels::{Buffer, Picture};
use super::source::{Source, Wanted};
use super::spare::is_there;
use exr::error::Error;
use exr::image::{AnyChannel, AnyChannels, Blocks, Encoding, FlatSamples};
use exr::prelude::{
    AttributeValue, Compression, ImageAttributes, IntegerBounds, LayerAttributes, LineOrder,
    SampleType, Text, Vec2,
};
use exr::prelude::{ReadChannels, ReadLayers, WritableImage};
use half::f16;
use std::io::Cursor;
use twopass::{Image, Sample, Shape};

/// A file whose header has been read.
pub struct Reader {
    source: Box<dyn Source>,
    /// Names of the channels that are the picture.
    names: Vec<Text>,
    /// Those that are to be filtered, if they were named.
    asked: Option<Vec<Text>>,
    size: (u32, u32),
    /// Bytes of all channels as they are decoded.
    all: u64,
    lost: Lost,
}

/// How the file holds its picture, and the rest of what is in it.
#[derive(Debug)]
pub struct Stored {
    image: ImageAttributes,
    layer: LayerAttributes,
    /// The size of the picture as it was read.
    data: Vec2<usize>,
    encoding: Encoding,
    /// Of the picture: names, whether they are halves, and whether they are quantised linearly.
    channels: Vec<(Text, bool, bool)>,
    others: Vec<Other>,
    /// Those that are to be filtered, if they were named.
    asked: Option<Vec<Text>>,
    /// The pixel of the picture as it was read that is the first one now.
    pub origin: (usize, usize),
}

/// A channel that is not of the picture, such as depth.
#[derive(Debug)]
struct Other {
    name: Text,
    linear: bool,
    half: bool,
    samples: Samples,
}

/// Floats can be filtered, numbers of objects cannot.
#[derive(Debug)]
enum Samples {
    Floats(Image<f32>),
    Numbers(Vec<u32>),
}

fn failure(error: &Error) -> Failure {
    Failure::input(format!("not a readable EXR file: {error}"))
}

/// The layer of a channel, with the dot behind it; nothing for those of the picture.
fn layer(name: &str) -> &str {
    &name[..name.rfind('.').map_or(0, |dot| dot + 1)]
}

/// Colours, then alpha; or grey, then alpha: those without a layer, or the layer, or one channel, of which channels
/// are asked for and nothing else.
fn picture(names: &[Text], asked: Option<&[Text]>) -> Option<Vec<Text>> {
    let of = |layer: &str| {
        let all = |wanted: &[&str]| {
            let found = wanted.iter().map(|w| format!("{layer}{w}"));
            let found = found.map(|w| names.iter().find(|n| **n == *w).cloned());
            found.collect::<Option<Vec<_>>>()
        };
        let colours = all(&["R", "G", "B"]).or_else(|| all(&["Y"]))?;
        Some([colours, all(&["A"]).unwrap_or_default()].concat())
    };
    let named = |asked: &[Text]| {
        let first = asked.first()?.to_string();
        let whole = of(layer(&first)).filter(|whole| asked.iter().all(|n| whole.contains(n)));
        whole.or_else(|| (asked.len() == 1).then(|| asked.to_vec()))
    };
    // A single channel is grey, whatever it is called.
    let own = || of("").or_else(|| (names.len() == 1).then(|| names.to_vec()));
    asked.and_then(named).or_else(own)
}

fn list<'a>(names: impl Iterator<Item = &'a Text>) -> String {
    names.map(Text::to_string).collect::<Vec<_>>().join(", ")
}

impl Reader {
    /// Reads the header; a file of several parts only if its first one is wanted. `max_bytes` bounds all channels
    /// together.
    pub fn new(
        mut source: Box<dyn Source>,
        wanted: Wanted<'_>,
        max_bytes: u64,
    ) -> Result<Self, Failure> {
        let meta = exr::meta::MetaData::read_from_buffered(&mut source, false);
        let meta = meta.map_err(|e| failure(&e))?;
        source.rewind().map_err(|e| failure(&e.into()))?;
        let name = |h: &exr::meta::header::Header| h.own_attributes.layer_name.clone();
        let unnamed = || Text::from("without a name");
        if meta.headers.len() > 1 && !wanted.first_frame {
            let names: Vec<_> =
                meta.headers.iter().map(|h| name(h).unwrap_or_else(unnamed)).collect();
            return Err(Failure::input(format!(
                "the EXR file has several parts ({}), and only single pictures are filtered; \
                 --first-frame takes its first part",
                list(names.iter())
            )));
        }
        let header =
            meta.headers.first().ok_or_else(|| failure(&Error::Invalid("no parts".into())))?;
        if header.deep {
            return Err(Failure::input("deep EXR files are not supported"));
        }
        let channels = &header.channels.list;
        let names: Vec<_> = channels.iter().map(|c| c.name.clone()).collect();
        if channels.iter().any(|c| c.sampling != Vec2(1, 1)) {
            return Err(Failure::input(
                "EXR files with channels of fewer samples (luminance and chroma) are not supported",
            ));
        }
        // Letters and numbers are for all formats.
        let find = |name: &str| names.iter().find(|n| *n == name.trim()).cloned();
        let asked = wanted.channels.and_then(|text| text.split(',').map(find).collect());
        let asked: Option<Vec<Text>> = asked;
        let number = channels.iter().find(|c| {
            c.sample_type == SampleType::U32
                && asked.as_ref().is_some_and(|asked| asked.contains(&c.name))
        });
        if let Some(number) = number {
            return Err(Failure::usage(format!(
                "channel {} of the EXR file is of numbers of objects, which are not filtered",
                number.name
            )));
        }
        let picture = picture(&names, asked.as_deref()).ok_or_else(|| {
            Failure::input(format!(
                "the EXR file has no picture, which is channels R, G and B, or Y; it has {}; --channels with names \
                 of one layer, or one name, takes those for it",
                list(names.iter())
            ))
        })?;
        let Vec2(width, height) = header.layer_size;
        let pixels = (width as u64).saturating_mul(height as u64);
        // As they are decoded, and as floats.
        let all = pixels.saturating_mul(8 * channels.len() as u64);
        if channels.len() > 1024 || all > max_bytes.saturating_mul(4) || !is_there(all) {
            return Err(Failure::limit(format!(
                "the EXR file has {width}×{height} pixels of {} channels, too many; --max-pixels raises the limit",
                channels.len()
            )));
        }
        let Vec2(wide, high) = header.shared_attributes.display_window.size;
        let shown = (wide as u64).saturating_mul(high as u64).saturating_mul(16);
        if shown > max_bytes {
            return Err(Failure::limit(format!(
                "the EXR file has a display window of {wide}×{high} pixels, too many; --max-pixels raises the limit"
            )));
        }
        let all = all + shown;
        let mut lost = Lost::default();
        if let exr::meta::BlockDescription::Tiles(tiles) = header.blocks
            && tiles.level_mode != exr::meta::attribute::LevelMode::Singular
        {
            lost.add("smaller versions of the picture");
        }
        let size =
            (u32::try_from(width).unwrap_or(u32::MAX), u32::try_from(height).unwrap_or(u32::MAX));
        Ok(Self { source, names: picture, asked, size, all, lost })
    }

    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    pub fn channels(&self) -> usize {
        self.names.len()
    }

    /// Bytes that decoding takes beside the picture: all channels as they are in the file, and those of the others.
    pub fn aside(&self) -> u64 {
        self.all
    }

    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// Decodes all channels.
    pub fn decode(self) -> Result<(Picture, Stored), Failure> {
        let read = exr::prelude::read().no_deep_data().largest_resolution_level();
        let read = read.all_channels().first_valid_layer().all_attributes();
        let image = read.from_buffered(self.source).map_err(|e| failure(&e))?;
        let layer = image.layer_data;
        let (width, height) = (layer.size.width(), layer.size.height());
        let shape = Shape::new(width, height, self.names.len());
        let mut samples = vec![0.0; shape.samples()?];
        let (mut channels, mut others) = (vec![None; self.names.len()], Vec::new());
        for channel in layer.channel_data.list {
            let linear = channel.quantize_linearly;
            let half = matches!(channel.sample_data, FlatSamples::F16(_));
            let floats = match channel.sample_data {
                FlatSamples::F16(v) => v.into_iter().map(f16::to_f32).collect(),
                FlatSamples::F32(v) => v,
                FlatSamples::U32(v) if !self.names.contains(&channel.name) => {
                    let (name, samples) = (channel.name, Samples::Numbers(v));
                    others.push(Other { name, linear, half, samples });
                    continue;
                }
                FlatSamples::U32(v) => v.into_iter().map(|v| v as f32).collect(),
            };
            if let Some(c) = self.names.iter().position(|n| *n == channel.name) {
                let places = samples.iter_mut().skip(c).step_by(self.names.len());
                places.zip(floats).for_each(|(to, v)| *to = v);
                channels[c] = Some((channel.name, half, linear));
            } else {
                let samples =
                    Samples::Floats(Image::from_vec(floats, Shape::new(width, height, 1))?);
                others.push(Other { name: channel.name, linear, half, samples });
            }
        }
        let channels = channels.into_iter().collect::<Option<Vec<_>>>();
        let channels =
            channels.ok_or_else(|| failure(&Error::Invalid("a channel is missing".into())))?;
        let alpha = channels.len() > 1 && channels.len().is_multiple_of(2);
        let buffer = Buffer::F32(Image::from_vec(samples, shape)?);
        let stored = Stored {
            image: image.attributes,
            layer: layer.attributes,
            data: layer.size,
            encoding: layer.encoding,
            channels,
            others,
            asked: self.asked,
            origin: (0, 0),
        };
        Ok((Picture { buffer, alpha, premultiplied: alpha }, stored))
    }
}

impl Stored {
    /// What of it only an EXR file can hold.
    pub fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        match self.others.len() {
            0 => {}
            1 => lost.add(format!("channel {}", list(self.others.iter().map(|o| &o.name)))),
            _ => lost.add(format!("channels {}", list(self.others.iter().map(|o| &o.name)))),
        }
        if self.image.chromaticities.is_some() {
            lost.add("chromaticities");
        }
        let plain = LayerAttributes {
            layer_name: self.layer.layer_name.clone(),
            layer_position: self.layer.layer_position,
            screen_window_center: self.layer.screen_window_center,
            screen_window_width: self.layer.screen_window_width,
            ..LayerAttributes::default()
        };
        if self.outside() {
            lost.add("pixels outside of the display window");
        }
        if plain != self.layer || !self.image.other.is_empty() || self.image.time_code.is_some() {
            lost.add("EXR attributes");
        }
        lost
    }

    /// Leaves out what is not about pixels, and what makes no sense.
    pub fn strip(&mut self) {
        let ImageAttributes { display_window, pixel_aspect, .. } = self.image;
        let pixel_aspect = if (1e-6..1e6).contains(&pixel_aspect) { pixel_aspect } else { 1.0 };
        if !self.layer.screen_window_width.is_normal() || self.layer.screen_window_width < 0.0 {
            self.layer.screen_window_width = 1.0;
        }
        self.image = ImageAttributes { pixel_aspect, ..ImageAttributes::new(display_window) };
        self.layer = LayerAttributes {
            layer_name: self.layer.layer_name.clone(),
            layer_position: self.layer.layer_position,
            screen_window_center: self.layer.screen_window_center,
            screen_window_width: self.layer.screen_window_width,
            ..LayerAttributes::default()
        };
    }

    /// Stores floats of 32 bits.
    pub fn widen(&mut self) {
        self.channels.iter_mut().for_each(|(_, half, _)| *half = false);
        self.others.iter_mut().for_each(|other| other.half = false);
    }

    /// Of the first `channels` of the picture those that are to be filtered, if they were named. If only these are written,
    /// no others can be asked for.
    pub fn selection(&self, channels: usize, only: bool) -> Result<Option<Selection>, Failure> {
        let Some(asked) = &self.asked else { return Ok(None) };
        let other = self.others.iter().find(|other| asked.contains(&other.name));
        if let Some(other) = other.filter(|_| only) {
            return Err(Failure::usage(format!(
                "--channels: channel {} is not of the picture, and only EXR files hold others beside it",
                other.name
            )));
        }
        let chosen = self.channels.iter().take(channels).map(|(name, ..)| asked.contains(name));
        Ok(Some(Selection::of(chosen.collect())))
    }

    /// The channels that are not of the picture and can be filtered: all, or those that were named.
    pub fn floats(&mut self, all: bool) -> impl Iterator<Item = &mut Image<f32>> {
        let asked = self.asked.clone().unwrap_or_default();
        let wanted = move |other: &&mut Other| all || asked.contains(&other.name);
        self.others.iter_mut().filter(wanted).filter_map(|other| match &mut other.samples {
            Samples::Floats(image) => Some(image),
            Samples::Numbers(_) => None,
        })
    }

    /// Leaves out the channels that have another size.
    pub fn fit(&mut self, size: Shape) -> Lost {
        let mut lost = Lost::default();
        self.others.retain(|other| {
            let fits = match &other.samples {
                Samples::Floats(image) => image.shape() == Shape { channels: 1, ..size },
                Samples::Numbers(numbers) => numbers.len() == size.width * size.height,
            };
            if !fits {
                lost.add(format!("channel {}", other.name));
            }
            fits
        });
        lost
    }

    /// Whether some of the picture lies outside of the display window.
    fn outside(&self) -> bool {
        let (data, shown) = (self.data, self.image.display_window);
        let beyond = |at: i32, size: usize, from: i32, shown: usize| {
            let (at, from) = (i64::from(at), i64::from(from));
            at < from || at + size as i64 > from + shown as i64
        };
        let Vec2(x, y) = self.layer.layer_position;
        beyond(x, data.0, shown.position.0, shown.size.0)
            || beyond(y, data.1, shown.position.1, shown.size.1)
    }

    /// The size of the display window, which other formats have instead of both; none if it is the picture's.
    pub fn frame(&self) -> Option<(u32, u32)> {
        let Vec2(wide, high) = self.image.display_window.size;
        let same = self.data == Vec2(wide, high)
            && self.layer.layer_position == self.image.display_window.position;
        (!same).then_some((u32::try_from(wide).ok()?, u32::try_from(high).ok()?))
    }

    /// The part of a picture in the display window, with nothing where it does not reach.
    pub fn framed(&self, buffer: Buffer) -> Buffer {
        match buffer {
            buffer if self.frame().is_none() => buffer,
            Buffer::U8(image) => Buffer::U8(self.cut(image)),
            Buffer::U16(image) => Buffer::U16(self.cut(image)),
            Buffer::F32(image) => Buffer::F32(self.cut(image)),
        }
    }

    fn cut<S: Sample>(&self, image: Image<S>) -> Image<S> {
        let Shape { width, height, channels } = image.shape();
        let window = self.image.display_window;
        let position = self.position();
        let left = i64::from(position.0) - i64::from(window.position.0);
        let top = i64::from(position.1) - i64::from(window.position.1);
        let Vec2(wide, high) = window.size;
        let mut out = vec![S::default(); wide * high * channels];
        let view = image.view();
        for (y, row) in out.chunks_exact_mut(wide * channels).enumerate() {
            let Some(from) = usize::try_from(y as i64 - top).ok().filter(|y| *y < height) else {
                continue;
            };
            for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
                if let Some(x) = usize::try_from(x as i64 - left).ok().filter(|x| *x < width) {
                    pixel.copy_from_slice(&view.row(from)[x * channels..][..channels]);
                }
            }
        }
        Image::from_vec(out, Shape::new(wide, high, channels)).unwrap_or(image)
    }

    /// Where the picture lies now.
    fn position(&self) -> Vec2<i32> {
        let shift = |at: i32, by: usize| at.saturating_add(i32::try_from(by).unwrap_or(0));
        let Vec2(x, y) = self.layer.layer_position;
        Vec2(shift(x, self.origin.0), shift(y, self.origin.1))
    }
}

/// The whole file: like the one that was read, if there was one. Attributes that cannot be written, since their type is not
/// the one that belongs to their name, are lost.
pub fn write(
    image: &Image<f32>,
    stored: Option<&mut Stored>,
    lost: &mut Lost,
) -> Result<Vec<u8>, String> {
    match (encode(image, stored.as_deref()), stored) {
        (Err(_), Some(stored)) => {
            stored.strip();
            lost.add("EXR attributes");
            encode(image, Some(stored))
        }
        (result, _) => result,
    }
}

fn encode(image: &Image<f32>, stored: Option<&Stored>) -> Result<Vec<u8>, String> {
    let Shape { width, height, channels } = image.shape();
    let size = Vec2(width, height);
    let own: &[&str] = match channels {
        1 => &["Y"],
        2 => &["Y", "A"],
        3 => &["R", "G", "B"],
        _ => &["R", "G", "B", "A"],
    };
    let halves = stored.is_some_and(|s| s.channels.iter().all(|(_, half, _)| *half));
    let like = stored.filter(|s| s.channels.len() == channels).map(|s| s.channels.clone());
    let names =
        like.unwrap_or_else(|| own.iter().map(|n| (Text::from(*n), halves, *n == "A")).collect());
    let sampled = |samples: Vec<f32>, half: bool| match half {
        true => FlatSamples::F16(samples.into_iter().map(f16::from_f32).collect()),
        false => FlatSamples::F32(samples),
    };
    let channel = |name: &Text, linear: bool, sample_data| AnyChannel {
        name: name.clone(),
        sample_data,
        quantize_linearly: linear,
        sampling: Vec2(1, 1),
    };
    let mut list: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(c, (name, half, linear))| {
            let samples = image.data().iter().skip(c).step_by(channels).copied().collect();
            channel(name, *linear, sampled(samples, *half))
        })
        .collect();
    for other in stored.iter().flat_map(|s| &s.others) {
        let samples = match &other.samples {
            Samples::Floats(image) => sampled(image.data().to_vec(), other.half),
            Samples::Numbers(numbers) => FlatSamples::U32(numbers.clone()),
        };
        list.push(channel(&other.name, other.linear, samples));
    }
    let mut encoding = Encoding {
        compression: Compression::ZIP16,
        blocks: Blocks::ScanLines,
        line_order: LineOrder::Increasing,
    };
    let (mut attributes, mut layer) =
        (ImageAttributes::new(IntegerBounds::from_dimensions(size)), LayerAttributes::default());
    if let Some(stored) = stored {
        encoding = stored.encoding;
        if matches!(encoding.compression, Compression::HTJ2K32 | Compression::HTJ2K256) {
            encoding.compression = Compression::ZIP16;
        }
        if encoding.blocks == Blocks::ScanLines {
            encoding.line_order = LineOrder::Increasing;
        }
        attributes = stored.image.clone();
        layer = LayerAttributes { layer_position: stored.position(), ..stored.layer.clone() };
        // A thumbnail would show the picture as it was.
        layer.preview = None;
        layer.other.retain(|_, value| !matches!(value, AttributeValue::Preview(_)));
    }
    let channels = AnyChannels::sort(list.into_iter().collect());
    let layer = exr::image::Layer::new(size, layer, encoding, channels);
    let mut out = Vec::new();
    let whole = exr::image::Image { attributes, layer_data: layer };
    whole.write().to_buffered(Cursor::new(&mut out)).map_err(|e| e.to_string())?;
    Ok(out)
}
