//! What the image formats can hold, and what has to happen to pixels before they fit.
//!
//! Nothing is lost silently: grey becomes RGB, and alpha is added, where a format needs it;
//! colour, alpha or depth that a format cannot hold is an error that names the way out.

use super::failure::Failure;
use super::foreign;
use super::suggest;
use image::ImageFormat;
use std::path::Path;
use twopass::SampleType;

/// The kind of file to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub format: ImageFormat,
    /// For PNM: which of its formats.
    pub pnm: Pnm,
}

/// Which of the PNM formats to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pnm {
    /// P5 for grey, P6 for RGB, P7 with alpha: `.pnm`.
    Any,
    /// P5: `.pgm`.
    Grey,
    /// P6: `.ppm`.
    Rgb,
    /// P7: `.pam`.
    Arbitrary,
    /// PF and Pf, of floats: `.pfm`.
    Float,
}

pub fn has_alpha(channels: usize) -> bool {
    matches!(channels, 2 | 4)
}

/// Bytes of so many pixels.
pub fn bytes(pixels: u64, channels: usize, sample: SampleType) -> u64 {
    let size = match sample {
        SampleType::U8 => 1,
        SampleType::U16 => 2,
        _ => 4,
    };
    pixels.saturating_mul(channels as u64 * size)
}

/// The format's name for messages.
pub fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Pnm => "PNM",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Tga => "TGA",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Hdr => "HDR",
        ImageFormat::OpenExr => "EXR",
        ImageFormat::Qoi => "QOI",
        _ => "image",
    }
}

/// The formats that are read and written, with the extension a new file gets.
pub const FORMATS: [(ImageFormat, &str); 11] = [
    (ImageFormat::Png, "png"),
    (ImageFormat::Jpeg, "jpg"),
    (ImageFormat::WebP, "webp"),
    (ImageFormat::Tiff, "tiff"),
    (ImageFormat::Bmp, "bmp"),
    (ImageFormat::Gif, "gif"),
    (ImageFormat::Pnm, "pnm"),
    (ImageFormat::Qoi, "qoi"),
    (ImageFormat::Hdr, "hdr"),
    (ImageFormat::OpenExr, "exr"),
    (ImageFormat::Tga, "tga"),
];

/// Extensions that `image` does not know.
const OTHERS: [(ImageFormat, &str); 12] = [
    (ImageFormat::Jpeg, "jpe"),
    (ImageFormat::Jpeg, "jif"),
    (ImageFormat::Jpeg, "jfi"),
    (ImageFormat::Jpeg, "mpo"),
    (ImageFormat::Tiff, "btf"),
    (ImageFormat::Tiff, "tf8"),
    (ImageFormat::Bmp, "dib"),
    (ImageFormat::Tga, "icb"),
    (ImageFormat::Tga, "vda"),
    (ImageFormat::Tga, "vst"),
    (ImageFormat::Hdr, "rgbe"),
    (ImageFormat::Pnm, "pfm"),
];

/// The format that a path's extension names, if it is one of ours.
pub fn of_path(path: &Path) -> Option<ImageFormat> {
    let extension = path.extension()?.to_ascii_lowercase();
    let other = OTHERS.iter().find(|(_, e)| extension == *e).map(|(format, _)| *format);
    let format = other.or_else(|| ImageFormat::from_path(path).ok())?;
    FORMATS.iter().any(|(f, _)| *f == format).then_some(format)
}

/// The extensions that name what is written.
pub fn extensions() -> impl Iterator<Item = &'static str> + Clone {
    FORMATS.iter().map(|(_, extension)| *extension).chain(["pgm", "ppm", "pam", "pfm"])
}

impl Target {
    /// What an extension (without its dot) stands for.
    pub fn of_extension(extension: &str) -> Result<Self, Failure> {
        let extension = extension.to_ascii_lowercase();
        let path = Path::new("x").with_extension(&extension);
        let format = of_path(&path).filter(|_| extension != "pbm").ok_or_else(|| {
            foreign::written(&extension).unwrap_or_else(|| {
                let instead = suggest::instead(&extension, extensions());
                Failure::usage(format!("cannot write .{extension} files; {instead}"))
            })
        })?;
        let pnm = match extension.as_str() {
            "pgm" => Pnm::Grey,
            "ppm" => Pnm::Rgb,
            "pam" => Pnm::Arbitrary,
            "pfm" => Pnm::Float,
            _ => Pnm::Any,
        };
        Ok(Self { format, pnm })
    }

    /// What to write to `path`: the format its extension names. Without an extension (a device,
    /// standard output) it is the one that was asked for, or the input's.
    pub fn of(path: &Path, input: ImageFormat, asked: Option<Self>) -> Result<Self, Failure> {
        let Some(extension) = path.extension() else {
            return Ok(asked.unwrap_or(Self { format: input, pnm: Pnm::Any }));
        };
        let named = Self::of_extension(&extension.to_string_lossy())?;
        match asked {
            Some(asked) if asked.format != named.format => Err(Failure::usage(format!(
                "{} files do not end in .{}; give one format, by --format or by the name",
                asked.name(),
                extension.to_string_lossy()
            ))),
            Some(asked) => Ok(asked),
            None => Ok(named),
        }
    }

    /// The extension of a new file.
    pub fn extension(self) -> &'static str {
        match self.pnm {
            Pnm::Grey => "pgm",
            Pnm::Rgb => "ppm",
            Pnm::Arbitrary => "pam",
            Pnm::Float => "pfm",
            Pnm::Any => FORMATS.iter().find(|(f, _)| *f == self.format).map_or("png", |(_, e)| e),
        }
    }

    pub fn name(self) -> &'static str {
        match (self.format, self.pnm) {
            (ImageFormat::Pnm, Pnm::Grey) => "PGM",
            (ImageFormat::Pnm, Pnm::Rgb) => "PPM",
            (ImageFormat::Pnm, Pnm::Arbitrary) => "PAM",
            (ImageFormat::Pnm, Pnm::Float) => "PFM",
            (format, _) => name(format),
        }
    }

    /// Whether the format can hold an alpha channel.
    pub fn holds_alpha(self) -> bool {
        match self.format {
            ImageFormat::Jpeg | ImageFormat::Hdr => false,
            ImageFormat::Pnm => matches!(self.pnm, Pnm::Any | Pnm::Arbitrary),
            _ => true,
        }
    }

    /// Whether files of the format have a place for this, and it is written there.
    pub fn holds(self, kind: Kind) -> bool {
        use ImageFormat as F;
        match kind {
            Kind::Profile | Kind::Exif | Kind::Xmp => {
                matches!(self.format, F::Png | F::Jpeg | F::WebP | F::Tiff)
            }
            Kind::Iptc => matches!(self.format, F::Jpeg | F::Tiff),
            Kind::Resolution => matches!(self.format, F::Png | F::Jpeg | F::Tiff | F::Bmp),
        }
    }

    /// The sample types that the format can hold.
    fn depths(self) -> &'static [SampleType] {
        use ImageFormat as F;
        match self.format {
            F::Pnm if self.pnm == Pnm::Float => &[SampleType::F32],
            F::Png | F::Pnm => &[SampleType::U8, SampleType::U16],
            F::Tiff => &[SampleType::U8, SampleType::U16, SampleType::F32],
            F::Hdr | F::OpenExr => &[SampleType::F32],
            _ => &[SampleType::U8],
        }
    }

    /// Whether the format can hold colours that are multiplied by alpha.
    pub fn holds_premultiplied(self) -> bool {
        matches!(self.format, ImageFormat::OpenExr | ImageFormat::Tiff)
    }

    /// Whether the format can hold values below 0.
    pub fn holds_negative(self) -> bool {
        matches!(self.format, ImageFormat::OpenExr | ImageFormat::Tiff) || self.pnm == Pnm::Float
    }

    /// The channels to write where the pixels have `channels` of type `sample`, or why they
    /// cannot be written.
    pub fn fit(self, channels: usize, sample: SampleType) -> Result<usize, Failure> {
        use ImageFormat as F;
        let depths = self.depths();
        if !depths.contains(&sample) {
            let allow: Vec<_> = depths.iter().map(|d| format!("--depth {}", depth(*d))).collect();
            let able = able(|t| t.depths().contains(&sample));
            return Err(Failure::usage(format!(
                "{} files cannot hold {sample} samples; give {}, or write {able}",
                self.name(),
                allow.join(" or ")
            )));
        }
        if has_alpha(channels) && !self.holds_alpha() {
            return Err(Failure::usage(format!(
                "{} files cannot hold an alpha channel; give --alpha drop, or write {}",
                self.name(),
                able(|t| t.holds_alpha() && t.depths().contains(&sample))
            )));
        }
        if self.format == F::Pnm && self.pnm == Pnm::Grey && channels > 2 {
            return Err(Failure::usage("PGM files cannot hold colour; name a .ppm instead"));
        }
        // Grey that must become RGB.
        let colour = match self.format {
            F::Hdr | F::Gif | F::Qoi => true,
            F::Bmp => channels == 2,
            F::Pnm => self.pnm == Pnm::Rgb,
            _ => false,
        };
        Ok(if colour && channels < 3 { channels + 2 } else { channels })
    }
}

/// Names the formats that can do something.
fn able(can: impl Fn(Target) -> bool) -> String {
    let names = FORMATS.iter().map(|(format, _)| Target { format: *format, pnm: Pnm::Any });
    let names: Vec<_> = names.filter(|t| can(*t)).map(Target::name).collect();
    names.join(", ")
}

/// The value of `--depth` that means this sample type.
pub fn depth(sample: SampleType) -> &'static str {
    match sample {
        SampleType::U8 => "8",
        SampleType::U16 => "16",
        _ => "f32",
    }
}
/// The kinds of what a file says beside its pixels that formats have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Profile,
    Exif,
    Xmp,
    Iptc,
    Resolution,
}

impl Kind {
    /// What is lost without it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Profile => "colour profile",
            Self::Exif => "Exif",
            Self::Xmp => "XMP",
            Self::Iptc => "IPTC",
            Self::Resolution => "resolution",
        }
    }
}
