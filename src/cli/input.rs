//! From a path to decoded pixels: the format is told by the content, and every size is checked
//! before anything of that size is allocated. Opening reads the header; decoding comes later, so
//! that memory for it can be waited for in between.

use super::animation::{self, Moving};
use super::bmp;
use super::exr;
use super::failure::Failure;
use super::foreign;
use super::format::{self, Kind};
use super::hdr;
use super::jpeg;
use super::lost::Lost;
use super::meta::Meta;
use super::pfm;
use super::pixels::{Buffer, Picture};
use super::png;
use super::source::{Source, Wanted, failure, guarded, max_bytes, source};
use super::spare;
use super::tiff;
use super::webp;
use image::codecs::{
    bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, pnm::PnmDecoder, qoi::QoiDecoder,
    tga::TgaDecoder, webp::WebPDecoder,
};
use image::error::ImageFormatHint;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult, Limits,
};
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use twopass::{Image, SampleType, Shape};

/// A file whose header has been read and found within the limits.
pub struct Opened {
    decoder: Decoder,
    pub format: ImageFormat,
    pub meta: Meta,
    /// How the picture is to be turned to be upright.
    pub orientation: Orientation,
    pub pixels: u64,
    pub channels: usize,
    /// Bytes of the decoded samples.
    pub bytes: u64,
    /// Bytes that decoding takes beside them, where they are many.
    pub aside: u64,
    pub sample: SampleType,
    /// What of the picture is not read.
    pub lost: Lost,
    pub stored: Stored,
    /// The file, if it is an animation.
    pub moving: Option<Moving>,
    /// Its pages, if there are several. What is said of sizes is then that of the largest.
    pub pages: Option<Pages>,
    /// Name for messages.
    name: String,
}

/// The pages of a file.
pub struct Pages {
    pub list: Vec<tiff::Page>,
    /// Of all together.
    pub pixels: u64,
}

/// What reads the pixels.
enum Decoder {
    Image(Box<dyn ImageDecoder>),
    Jpeg(Box<jpeg::Reader>),
    Tiff(Box<tiff::Reader>),
    Exr(Box<exr::Reader>),
    Hdr(Box<hdr::Reader>),
    Pfm(Box<pfm::Reader>),
}

/// What was read from a file.
pub struct Decoded {
    pub picture: Picture,
    pub meta: Meta,
    /// What of the picture was not.
    pub lost: Lost,
    pub stored: Stored,
}

/// How a file stores its pixels, which an output of its format follows.
#[derive(Debug, Default)]
pub struct Stored {
    pub tiff: Option<tiff::Compressor>,
    pub exr: Option<Box<exr::Stored>>,
    pub jpeg: Option<Box<jpeg::Coding>>,
    /// Whether a WebP file is compressed with loss.
    pub lossy_webp: bool,
}

/// Opens the image at `path` (`-` is standard input), of at most `max_pixels`.
pub fn open(path: &Path, max_pixels: u64, wanted: Wanted<'_>) -> Result<Opened, Failure> {
    let name = path.display().to_string();
    read(source(path, max_bytes(max_pixels))?, name, max_pixels, wanted)
}

/// Reads the header of an image called `name` in messages.
pub fn read(
    source: Box<dyn Source>,
    name: String,
    max_pixels: u64,
    wanted: Wanted<'_>,
) -> Result<Opened, Failure> {
    let opened = guarded(|| header(source, max_pixels, max_bytes(max_pixels), wanted));
    let mut opened = named(opened, &name)?;
    opened.name = name;
    Ok(opened)
}

impl Opened {
    /// A file of this size, if it is within the limits.
    fn new(
        decoder: Decoder,
        format: ImageFormat,
        size: (u32, u32),
        channels: usize,
        sample: SampleType,
        max_pixels: u64,
    ) -> Result<Self, Failure> {
        let pixels = u64::from(size.0) * u64::from(size.1);
        let bytes = format::bytes(pixels, channels, sample);
        check_size(size, bytes, max_pixels)?;
        Ok(Self {
            decoder,
            format,
            meta: Meta::default(),
            orientation: Orientation::NoTransforms,
            pixels,
            channels,
            bytes,
            aside: 0,
            sample,
            lost: Lost::default(),
            stored: Stored::default(),
            moving: None,
            pages: None,
            name: String::new(),
        })
    }

    /// Decodes the pixels, where that is worth it on several `threads` (0: as many as there are cores).
    pub fn decode(self, threads: usize) -> Result<Decoded, Failure> {
        let Self { decoder, format, meta, lost, mut stored, name, .. } = self;
        if let Decoder::Tiff(reader) = &decoder {
            stored.tiff = Some(tiff::Compressor::like(reader.compression()));
        }
        let picture = guarded(|| match decoder {
            Decoder::Image(decoder) => {
                let picture = pixels(decoder, format)?;
                // Writers of files with a fourth byte that is not said to be alpha leave it 0.
                let unused = matches!(format, ImageFormat::Bmp | ImageFormat::Tga);
                let hidden = unused && picture.is_hidden();
                Ok(if hidden { picture.without_alpha() } else { picture })
            }
            Decoder::Jpeg(reader) => pixels(reader.threads(threads), format),
            Decoder::Tiff(mut reader) => reader.decode(),
            Decoder::Hdr(reader) => reader.decode(),
            Decoder::Pfm(reader) => reader.decode(),
            Decoder::Exr(reader) => {
                let (picture, own) = reader.decode()?;
                stored.exr = Some(Box::new(own));
                Ok(picture)
            }
        });
        let picture = named(picture, &name)?;
        Ok(Decoded::new(picture, meta, lost, stored))
    }

    /// Decodes one of the pages, and says how it is to be turned.
    pub fn page(
        &mut self,
        page: tiff::Page,
        max_pixels: u64,
    ) -> Result<(Decoded, Orientation), Failure> {
        let Decoder::Tiff(reader) = &mut self.decoder else {
            return Err(Failure::input("there are no pages in it"));
        };
        let decoded = guarded(|| {
            reader.go(page)?;
            check_page(reader, max_pixels)?;
            let tiff = Some(tiff::Compressor::like(reader.compression()));
            let stored = Stored { tiff, ..Stored::default() };
            let (orientation, meta, lost) = (reader.orientation(), reader.meta(), reader.lost());
            Ok((Decoded::new(reader.decode()?, meta, lost, stored), orientation))
        });
        named(decoded, &self.name)
    }
}

impl Decoded {
    fn new(picture: Picture, mut meta: Meta, lost: Lost, stored: Stored) -> Self {
        if meta.profile.as_deref().is_some_and(|p| !describes(p, &picture)) {
            meta.profile = None;
            meta.lost.add(Kind::Profile.name());
        }
        Self { picture, meta, lost, stored }
    }
}

/// Decodes a picture.
fn pixels(decoder: impl ImageDecoder, format: ImageFormat) -> Result<Picture, Failure> {
    let colour = decoder.color_type();
    let channels = usize::from(colour.channel_count());
    // What is written to every sample by its decoder.
    let all = matches!(format, ImageFormat::Jpeg | ImageFormat::Png);
    if !all || usize::from(colour.bytes_per_pixel()) != channels {
        let image = DynamicImage::from_decoder(decoder).map_err(|e| failure(&e, format))?;
        return Picture::of(image);
    }
    let (width, height) = decoder.dimensions();
    let shape = Shape::new(width as usize, height as usize, channels);
    let length = shape.samples()?;
    let mut samples = spare::take(length).unwrap_or_else(|| vec![0; length]);
    decoder.read_image(&mut samples).map_err(|e| failure(&e, format))?;
    let buffer = Buffer::U8(Image::from_vec(samples, shape)?);
    Ok(Picture { buffer, alpha: colour.has_alpha(), premultiplied: false })
}

/// The result of a decoder that may have panicked, its message after the file's name.
fn named<T>(result: Option<Result<T, Failure>>, name: &str) -> Result<T, Failure> {
    result
        .unwrap_or_else(|| Err(Failure::input("the decoder gave up on it: the file is damaged")))
        .map_err(|f| Failure { message: format!("{name}: {}", f.message), ..f })
}

fn header(
    source: Box<dyn Source>,
    max_pixels: u64,
    max_bytes: u64,
    wanted: Wanted<'_>,
) -> Result<Opened, Failure> {
    let first_frame = wanted.first_frame;
    let mut source = source;
    let mut head = Vec::new();
    let read = source.by_ref().take(HEAD).read_to_end(&mut head);
    read.and_then(|_| source.rewind())
        .map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    if let Some(failure) = foreign::refused(&head) {
        return Err(failure);
    }
    let format = guess(&head)?;
    if format == ImageFormat::Jpeg {
        return jpeg(source, max_pixels, max_bytes, first_frame);
    }
    let (mut meta, mut stored) = (Meta::default(), Stored::default());
    let (mut moving, mut lost) = (None, Lost::default());
    let mut beside = Lost::default();
    if format == ImageFormat::Tga && head[0] > 0 {
        beside.add("image ID");
    }
    if !first_frame {
        let found = animation::contents(&mut source, format)?;
        let count = found.count;
        lost.append(found.lost);
        beside.append(found.beside);
        if count > 1 && !animation::moves(format) {
            return Err(animation::several(format));
        }
        if count > 1 {
            let bytes: Arc<[u8]> = whole(source, max_bytes)?.into();
            source = Box::new(Cursor::new(Arc::clone(&bytes)));
            moving = Some(Moving::new(bytes, format, count));
        }
    }
    if format == ImageFormat::Tiff {
        let found = if first_frame { Ok((Vec::new(), false)) } else { tiff::pages(&mut source) };
        let found = found.and_then(|found| source.rewind().map(|()| found));
        let (list, broken) = found.map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
        let mut reader = tiff::Reader::new(source, max_bytes)?;
        if list.len() > 1 && broken {
            return Err(Failure::input(format!(
                "not a readable TIFF file: it has no page {}, and says that there is one",
                list.len() + 1
            )));
        }
        if list.len() > 1 {
            return pages(reader, list, max_pixels);
        }
        let (size, channels, sample) = (reader.size(), reader.channels(), reader.sample());
        let orientation = reader.orientation();
        let (meta, mut lost, aside) = (reader.meta(), reader.lost(), reader.aside());
        if broken {
            lost.add("a second page, which cannot be read");
        }
        let decoder = Decoder::Tiff(Box::new(reader));
        let opened = Opened::new(decoder, format, size, channels, sample, max_pixels)?;
        return Ok(Opened { meta, lost, orientation, aside, ..opened });
    }
    if format == ImageFormat::OpenExr {
        let reader = exr::Reader::new(source, wanted, max_bytes)?;
        let (size, channels, aside) = (reader.size(), reader.channels(), reader.aside());
        let lost = reader.lost();
        let decoder = Decoder::Exr(Box::new(reader));
        let opened = Opened::new(decoder, format, size, channels, SampleType::F32, max_pixels)?;
        return Ok(Opened { lost, aside, ..opened });
    }
    if format == ImageFormat::Hdr {
        let reader = hdr::Reader::new(source)?;
        let size = reader.size();
        let decoder = Decoder::Hdr(Box::new(reader));
        return Opened::new(decoder, format, size, 3, SampleType::F32, max_pixels);
    }
    if format == ImageFormat::Pnm {
        let floats = pfm::is(&mut source);
        if floats.map_err(|e| Failure::input(format!("cannot read it: {e}")))? {
            let reader = pfm::Reader::new(source)?;
            let (size, channels, lost) = (reader.size(), reader.channels(), reader.lost());
            let decoder = Decoder::Pfm(Box::new(reader));
            let opened = Opened::new(decoder, format, size, channels, SampleType::F32, max_pixels)?;
            return Ok(Opened { lost, ..opened });
        }
    }
    let read = match format {
        ImageFormat::Png => {
            let found = match source.file() {
                // From chunk to chunk: with what is read ahead, all of a file would be read twice.
                Some(file) => png::meta(&mut BufReader::with_capacity(png::HEAD, file)),
                None => png::meta(&mut source),
            };
            found.and_then(|found| {
                meta = found;
                source.rewind()
            })
        }
        ImageFormat::Bmp => bmp::resolution(&mut source).and_then(|found| {
            meta.resolution = found;
            meta.profile = bmp::profile(&mut source)?;
            source.rewind()
        }),
        ImageFormat::WebP => webp::is_lossy(&mut source).map(|lossy| stored.lossy_webp = lossy),
        _ => Ok(()),
    };
    read.map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_bytes);
    let mut decoder = image_decoder(source, format, limits).map_err(|e| failure(&e, format))?;
    meta.lost.append(beside);
    meta.profile = meta.profile.or(decoder.icc_profile().ok().flatten());
    if format != ImageFormat::Png {
        meta.exif = decoder.exif_metadata().ok().flatten();
        meta.xmp = decoder.xmp_metadata().ok().flatten();
        meta.iptc = decoder.iptc_metadata().ok().flatten();
    }
    let orientation = match meta.exif.as_deref().and_then(Orientation::from_exif_chunk) {
        Some(tag) => tag,
        None => decoder.orientation().unwrap_or(Orientation::NoTransforms),
    };
    let colour = decoder.color_type();
    let channels = colour.channel_count().into();
    let sample = match colour.bytes_per_pixel() / colour.channel_count() {
        1 => SampleType::U8,
        2 => SampleType::U16,
        _ => SampleType::F32,
    };
    let size = decoder.dimensions();
    let decoder = Decoder::Image(decoder);
    let opened = Opened::new(decoder, format, size, channels, sample, max_pixels)?;
    Ok(Opened { meta, lost, orientation, stored, moving, ..opened })
}

/// The decoder that `image` has for a format.
fn image_decoder(
    source: Box<dyn Source>,
    format: ImageFormat,
    limits: Limits,
) -> ImageResult<Box<dyn ImageDecoder>> {
    let mut decoder: Box<dyn ImageDecoder> = match format {
        ImageFormat::Bmp => Box::new(BmpDecoder::new(source)?),
        ImageFormat::Gif => Box::new(GifDecoder::new(source)?),
        ImageFormat::Png => Box::new(PngDecoder::with_limits(source, limits.clone())?),
        ImageFormat::Pnm => Box::new(PnmDecoder::new(source)?),
        ImageFormat::Qoi => Box::new(QoiDecoder::new(source)?),
        ImageFormat::Tga => Box::new(TgaDecoder::new(source)?),
        ImageFormat::WebP => Box::new(WebPDecoder::new(source)?),
        other => return Err(ImageError::Unsupported(ImageFormatHint::Exact(other).into())),
    };
    decoder.set_limits(limits)?;
    Ok(decoder)
}

/// A TIFF file of several pages, all of whose headers are read.
fn pages(
    mut reader: tiff::Reader,
    list: Vec<tiff::Page>,
    max_pixels: u64,
) -> Result<Opened, Failure> {
    let (mut all, mut most, mut bytes, mut aside) = (0u64, 0, 0, 0);
    let (mut channels, mut sample) = (1, SampleType::U8);
    for page in &list {
        reader.go(*page)?;
        let (pixels, needed) = check_page(&reader, max_pixels)?;
        all = all.saturating_add(pixels);
        (most, bytes, aside) = (pixels.max(most), needed.max(bytes), reader.aside().max(aside));
        channels = channels.max(reader.channels());
        sample = match (sample, reader.sample()) {
            (SampleType::F32, _) | (_, SampleType::F32) => SampleType::F32,
            (SampleType::U16, _) | (_, SampleType::U16) => SampleType::U16,
            _ => SampleType::U8,
        };
    }
    reader.go(list[0])?;
    let size = reader.size();
    let decoder = Decoder::Tiff(Box::new(reader));
    let opened = Opened::new(decoder, ImageFormat::Tiff, size, channels, sample, max_pixels)?;
    let pages = Some(Pages { list, pixels: all });
    Ok(Opened { pixels: most, bytes, aside, pages, ..opened })
}

/// Pixels of a page and the bytes of its samples, if it is within the limits.
fn check_page(reader: &tiff::Reader, max_pixels: u64) -> Result<(u64, u64), Failure> {
    let size = reader.size();
    let pixels = u64::from(size.0) * u64::from(size.1);
    let bytes = format::bytes(pixels, reader.channels(), reader.sample());
    check_size(size, bytes, max_pixels)?;
    Ok((pixels, bytes))
}

fn jpeg(
    source: Box<dyn Source>,
    max_pixels: u64,
    max_bytes: u64,
    first_frame: bool,
) -> Result<Opened, Failure> {
    let format = ImageFormat::Jpeg;
    let bytes = whole(source, max_bytes)?;
    let file = jpeg::Reader::new(&bytes).ok_or_else(|| {
        Failure::input("the JPEG file is truncated, it has no end-of-image marker")
    })?;
    let file = file.map_err(|e| failure(&e, format))?;
    let mut lost = Lost::default();
    match file.behind(&bytes) {
        jpeg::Others::Pictures if !first_frame => return Err(animation::several(format)),
        jpeg::Others::Data => lost.add("data behind the picture"),
        _ => {}
    }
    if file.original_color_type() == ExtendedColorType::Cmyk8 {
        lost.add("CMYK (made RGB)");
    }
    let meta = jpeg::meta(&bytes);
    let orientation = meta.exif.as_deref().and_then(Orientation::from_exif_chunk);
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let (aside, coding) = (file.memory(), file.coding().map(Box::new));
    let stored = Stored { jpeg: coding, ..Stored::default() };
    let (size, channels) = (file.dimensions(), file.color_type().channel_count().into());
    let decoder = Decoder::Jpeg(Box::new(file));
    let opened = Opened::new(decoder, format, size, channels, SampleType::U8, max_pixels)?;
    Ok(Opened { meta, lost, orientation, aside, stored, ..opened })
}

/// The whole file.
fn whole(source: Box<dyn Source>, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // Growing, it would leave its smaller selves behind. Without the room it fails there.
    let length = source.file().and_then(|file| file.metadata().ok()).map_or(0, |m| m.len());
    let _ = bytes.try_reserve_exact(length.min(max_bytes) as usize);
    let read = source.take(max_bytes).read_to_end(&mut bytes);
    read.map_err(|e| Failure::input(format!("cannot read it: {e}")))?;
    Ok(bytes)
}

/// What formats are told by: the header of TGA is the longest.
const HEAD: u64 = 18;

/// The format of a file that begins like this. BigTIFF, PFM and some Radiance files have signatures that `image` does not
/// know. TGA has none: a file that nothing else claims is tried as one, if its header is plausible: a known colour map
/// type, image type and pixel depth.
fn guess(head: &[u8]) -> Result<ImageFormat, Failure> {
    if let Ok(format) = image::guess_format(head) {
        return Ok(format);
    }
    if head.is_empty() {
        return Err(Failure::input("the file is empty"));
    }
    if head.starts_with(b"II+\0") || head.starts_with(b"MM\0+") {
        return Ok(ImageFormat::Tiff);
    }
    if head.starts_with(b"#?RGBE") {
        return Ok(ImageFormat::Hdr);
    }
    if pfm::begins(head) {
        return Ok(ImageFormat::Pnm);
    }
    let tga = head.len() as u64 == HEAD
        && head[1] <= 1
        && matches!(head[2], 1..=3 | 9..=11)
        && matches!(head[16], 8 | 15 | 16 | 24 | 32);
    if !tga {
        return Err(Failure::input("not an image of a known format"));
    }
    Ok(ImageFormat::Tga)
}

/// Refuses images without pixels, with too many, or with more bytes than can be allocated.
fn check_size((width, height): (u32, u32), bytes: u64, max_pixels: u64) -> Result<(), Failure> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Failure::input(format!("the image is empty ({width}×{height})")));
    }
    if pixels > max_pixels {
        return Err(Failure::limit(format!(
            "the image has {width}×{height} pixels, more than {max_pixels}; --max-pixels raises the limit"
        )));
    }
    if !spare::is_there(bytes) {
        return Err(Failure::limit(format!(
            "the image of {width}×{height} pixels needs {bytes} bytes, more than there are"
        )));
    }
    Ok(())
}

/// Whether a colour profile is one for the kind of samples that were decoded. (A CMYK JPEG is
/// decoded to RGB and its profile no longer fits.)
fn describes(profile: &[u8], picture: &Picture) -> bool {
    let colours = picture.buffer.shape().channels - usize::from(picture.alpha);
    let space: &[u8] = if colours == 3 { b"RGB " } else { b"GRAY" };
    profile.get(16..20) == Some(space)
}
