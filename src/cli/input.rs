//! From a path to decoded pixels: the format is told by the content, every size is checked
//! before anything of that size is allocated, and a picture is turned the right way up.

use super::failure::Failure;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use twopass::{SampleType, Shape, View};

/// A decoded image and what its file said about it.
pub struct Input {
    pub image: DynamicImage,
    pub format: ImageFormat,
    /// The colour profile embedded in the file, if it describes the decoded samples.
    pub profile: Option<Vec<u8>>,
}

/// The samples of an image, as a view of its own buffer.
pub enum Pixels<'a> {
    U8(View<'a, u8>),
    U16(View<'a, u16>),
    F32(View<'a, f32>),
}

impl Pixels<'_> {
    pub fn shape(&self) -> Shape {
        match self {
            Self::U8(v) => v.shape(),
            Self::U16(v) => v.shape(),
            Self::F32(v) => v.shape(),
        }
    }

    pub fn sample(&self) -> SampleType {
        match self {
            Self::U8(_) => SampleType::U8,
            Self::U16(_) => SampleType::U16,
            Self::F32(_) => SampleType::F32,
        }
    }
}

/// Borrows the samples of an image.
pub fn pixels(image: &DynamicImage) -> Result<Pixels<'_>, Failure> {
    let channels = usize::from(image.color().channel_count());
    let shape = Shape::new(image.width() as usize, image.height() as usize, channels);
    Ok(match image {
        DynamicImage::ImageLuma8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageLumaA8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgb8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgba8(i) => Pixels::U8(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageLuma16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageLumaA16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgb16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgba16(i) => Pixels::U16(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgb32F(i) => Pixels::F32(View::new(i.as_raw(), shape)?),
        DynamicImage::ImageRgba32F(i) => Pixels::F32(View::new(i.as_raw(), shape)?),
        other => return Err(Failure::input(format!("{:?} images are not known", other.color()))),
    })
}

/// Whether the image has an alpha channel that hides nothing anywhere.
pub fn is_opaque(image: &DynamicImage) -> bool {
    fn full<S: twopass::Sample>(view: &View<'_, S>) -> bool {
        let channels = view.shape().channels;
        let alphas = |y| view.row(y).iter().skip(channels - 1).step_by(channels);
        (0..view.shape().height).all(|y| alphas(y).all(|a| a.to_f64() == S::FULL))
    }
    match pixels(image) {
        Ok(Pixels::U8(v)) => full(&v),
        Ok(Pixels::U16(v)) => full(&v),
        Ok(Pixels::F32(v)) => full(&v),
        Err(_) => false,
    }
}

/// The image without its alpha channel; colours stay as they are.
pub fn without_alpha(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageLumaA8(_) => image.into_luma8().into(),
        DynamicImage::ImageRgba8(_) => image.into_rgb8().into(),
        DynamicImage::ImageLumaA16(_) => image.into_luma16().into(),
        DynamicImage::ImageRgba16(_) => image.into_rgb16().into(),
        DynamicImage::ImageRgba32F(_) => image.into_rgb32f().into(),
        other => other,
    }
}

/// Reads and decodes the image at `path` (`-` is standard input), of at most `max_pixels`.
pub fn read(path: &Path, max_pixels: u64) -> Result<Input, Failure> {
    let name = path.display();
    // The widest pixel is four `f32`; what a decoder needs beside the pixels is small.
    let max_bytes = max_pixels.saturating_mul(16).saturating_add(64 << 20);
    let source = open(path, max_bytes)?;
    guarded(|| decode(source, max_pixels, max_bytes))
        .unwrap_or_else(|| Err(Failure::input("the decoder gave up on it: the file is damaged")))
        .map_err(|f| Failure { message: format!("{name}: {}", f.message), ..f })
}

/// What decoders read from.
trait Source: BufRead + Seek {}
impl<T: BufRead + Seek> Source for T {}

fn open(path: &Path, max_bytes: u64) -> Result<Box<dyn Source>, Failure> {
    let fail = |e: std::io::Error| Failure::input(format!("cannot read {}: {e}", path.display()));
    let stdin = path.as_os_str() == "-";
    if !stdin {
        let file = File::open(path).map_err(fail)?;
        let kind = file.metadata().map_err(fail)?;
        if kind.is_file() {
            return Ok(Box::new(BufReader::with_capacity(1 << 18, file)));
        }
        if kind.is_dir() {
            return Err(Failure::input(format!("{} is a directory", path.display())));
        }
        return buffer(file, max_bytes).map_err(fail)?;
    }
    buffer(std::io::stdin().lock(), max_bytes).map_err(fail)?
}

/// Pipes and devices cannot seek, so they are read whole; an endless one ends at the limit.
fn buffer(from: impl Read, max: u64) -> std::io::Result<Result<Box<dyn Source>, Failure>> {
    let mut bytes = Vec::new();
    from.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Ok(Err(Failure::limit(format!(
            "the input is longer than {max} bytes; --max-pixels raises the limit"
        ))));
    }
    Ok(Ok(Box::new(Cursor::new(bytes))))
}

fn decode(source: Box<dyn Source>, max_pixels: u64, max_bytes: u64) -> Result<Input, Failure> {
    let mut reader = ImageReader::new(source)
        .with_guessed_format()
        .map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    let format = match reader.format() {
        Some(format) => format,
        None => guess(&mut reader)?,
    };
    let mut reader =
        if format == ImageFormat::Jpeg { whole_jpeg(reader, max_bytes)? } else { reader };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_bytes);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| failure(&e, format))?;
    check_size(&decoder, max_pixels)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| failure(&e, format))?;
    image.apply_orientation(orientation);
    let profile = profile.filter(|p| describes(p, &image));
    Ok(Input { image, format, profile })
}

/// Fails for a JPEG file that was cut off. Its decoder would fill what is missing with grey and
/// say nothing.
fn whole_jpeg(
    reader: ImageReader<Box<dyn Source>>,
    max_bytes: u64,
) -> Result<ImageReader<Box<dyn Source>>, Failure> {
    let mut bytes = Vec::new();
    let read = reader.into_inner().take(max_bytes).read_to_end(&mut bytes);
    read.map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    if !jpeg_ends(&bytes) {
        return Err(Failure::input("the JPEG file is truncated, it has no end-of-image marker"));
    }
    Ok(ImageReader::with_format(Box::new(Cursor::new(bytes)), ImageFormat::Jpeg))
}

/// Whether the end-of-image marker comes, outside of segments such as the one of a thumbnail.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&b| b == 0xff) {
        rest = &rest[at..];
        let skip = match *rest {
            [_, 0xd9, ..] => return true,
            // A fill byte; then a 0xff of the data, and markers without a length.
            [_, 0xff, ..] => 1,
            [_, 0x00 | 0x01 | 0xd0..=0xd8, ..] => 2,
            [_, _, high, low, ..] => 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => return false,
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    false
}

/// TGA has no signature. A file that nothing else claims is tried as one, if its header is
/// plausible: a known colour map type, image type and pixel depth.
fn guess(reader: &mut ImageReader<Box<dyn Source>>) -> Result<ImageFormat, Failure> {
    let source = std::mem::replace(reader, ImageReader::new(Box::new(Cursor::new(Vec::new()))));
    let mut source = source.into_inner();
    let mut head = Vec::new();
    let read = source.by_ref().take(18).read_to_end(&mut head);
    read.and_then(|_| source.rewind())
        .map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    if head.is_empty() {
        return Err(Failure::input("the file is empty"));
    }
    let tga = head.len() == 18
        && head[1] <= 1
        && matches!(head[2], 1..=3 | 9..=11)
        && matches!(head[16], 8 | 15 | 16 | 24 | 32);
    if !tga {
        return Err(Failure::input("not an image of a known format"));
    }
    *reader = ImageReader::with_format(source, ImageFormat::Tga);
    Ok(ImageFormat::Tga)
}

/// Refuses images without pixels, with too many, or with more bytes than can be allocated.
fn check_size(decoder: &impl ImageDecoder, max_pixels: u64) -> Result<(), Failure> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Failure::input(format!("the image is empty ({width}×{height})")));
    }
    if pixels > max_pixels {
        return Err(Failure::limit(format!(
            "the image has {width}×{height} pixels, more than {max_pixels}; --max-pixels raises the limit"
        )));
    }
    let bytes = decoder.total_bytes();
    let fits = usize::try_from(bytes).ok().filter(|&n| n <= isize::MAX as usize / 8);
    // Asks the allocator for the memory and gives it back, so that too little of it is an error
    // here and not an abort in the decoder.
    let available = fits.is_some_and(|n| Vec::<u8>::new().try_reserve_exact(n).is_ok());
    if !available {
        return Err(Failure::limit(format!(
            "the image of {width}×{height} pixels needs {bytes} bytes, more than there are"
        )));
    }
    Ok(())
}

/// Whether a colour profile is one for the kind of samples that were decoded. (A CMYK JPEG is
/// decoded to RGB and its profile no longer fits.)
fn describes(profile: &[u8], image: &DynamicImage) -> bool {
    let space: &[u8] = if image.color().has_color() { b"RGB " } else { b"GRAY" };
    profile.get(16..20) == Some(space)
}

fn failure(error: &ImageError, format: ImageFormat) -> Failure {
    match error {
        ImageError::Limits(e) => Failure::limit(format!("{e}; --max-pixels raises the limit")),
        e => Failure::input(format!("not a readable {} file: {e}", super::format::name(format))),
    }
}

/// Runs a decoder or encoder. One that panics on a damaged file has failed, no more: `None`.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    std::panic::set_hook(hook);
    result
}

#[cfg(test)]
mod tests {
    use super::jpeg_ends;

    #[test]
    fn the_end_of_a_jpeg_is_found() {
        let file =
            b"\xff\xd8\xff\xe1\0\x04\xff\xd9\xff\xda\0\x02data\xff\0\xff\xd3more\xff\xff\xd9";
        assert!(jpeg_ends(file));
        assert!((0..file.len()).all(|n| !jpeg_ends(&file[..n])));
    }
}
