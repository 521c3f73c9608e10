//! What the image formats can hold, and what has to happen to pixels before they fit.
//!
//! Nothing is lost silently: grey becomes RGB, and alpha is added, where a format needs it;
//! colour, alpha or depth that a format cannot hold is an error that names the way out.

use super::failure::Failure;
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
}

/// Interleaved channels of a pixel: grey, grey + alpha, RGB, RGB + alpha.
pub type Channels = usize;

pub fn has_alpha(channels: Channels) -> bool {
    matches!(channels, 2 | 4)
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

/// The format that a path's extension names, if it is one of ours.
pub fn of_path(path: &Path) -> Option<ImageFormat> {
    let format = ImageFormat::from_path(path).ok()?;
    FORMATS.iter().any(|(f, _)| *f == format).then_some(format)
}

impl Target {
    /// What to write to `path`: the format its extension names. Without an extension (a device,
    /// standard output) it is the input's.
    pub fn of(path: &Path, input: ImageFormat) -> Result<Self, Failure> {
        let Some(extension) = path.extension() else {
            return Ok(Self { format: input, pnm: Pnm::Any });
        };
        let extension = extension.to_string_lossy().to_ascii_lowercase();
        let format = of_path(path).filter(|_| extension != "pbm").ok_or_else(|| {
            let known: Vec<_> = FORMATS.iter().map(|(_, e)| *e).collect();
            Failure::usage(format!(
                "cannot write .{extension} files; there are {}, pgm, ppm, pam",
                known.join(", ")
            ))
        })?;
        let pnm = match extension.as_str() {
            "pgm" => Pnm::Grey,
            "ppm" => Pnm::Rgb,
            "pam" => Pnm::Arbitrary,
            _ => Pnm::Any,
        };
        Ok(Self { format, pnm })
    }

    pub fn name(self) -> &'static str {
        match (self.format, self.pnm) {
            (ImageFormat::Pnm, Pnm::Grey) => "PGM",
            (ImageFormat::Pnm, Pnm::Rgb) => "PPM",
            (ImageFormat::Pnm, Pnm::Arbitrary) => "PAM",
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

    /// Whether the format can hold values below 0.
    pub fn holds_negative(self) -> bool {
        matches!(self.format, ImageFormat::OpenExr | ImageFormat::Tiff)
    }

    /// The channels to write where the pixels have `channels` of type `sample`, or why they
    /// cannot be written.
    pub fn fit(self, channels: Channels, sample: SampleType) -> Result<Channels, Failure> {
        use ImageFormat as F;
        let depths: &[SampleType] = match self.format {
            F::Png | F::Pnm => &[SampleType::U8, SampleType::U16],
            F::Tiff => &[SampleType::U8, SampleType::U16, SampleType::F32],
            F::Hdr | F::OpenExr => &[SampleType::F32],
            _ => &[SampleType::U8],
        };
        if !depths.contains(&sample) {
            let allow: Vec<_> = depths.iter().map(|d| format!("--depth {}", depth(*d))).collect();
            return Err(Failure::usage(format!(
                "{} files cannot hold {sample} samples; give {} or another output",
                self.name(),
                allow.join(", ")
            )));
        }
        if has_alpha(channels) && !self.holds_alpha() {
            return Err(Failure::usage(format!(
                "{} files cannot hold an alpha channel; give --alpha drop or another output",
                self.name()
            )));
        }
        if self.format == F::Pnm && self.pnm == Pnm::Grey && channels > 2 {
            return Err(Failure::usage("PGM files cannot hold colour; name a .ppm instead"));
        }
        // Grey that must become RGB.
        let colour = match self.format {
            F::Hdr | F::OpenExr | F::Gif | F::Qoi => true,
            F::Tiff => sample == SampleType::F32 || channels == 2,
            F::Bmp => channels == 2,
            F::Pnm => self.pnm == Pnm::Rgb,
            _ => false,
        };
        Ok(if colour && channels < 3 { channels + 2 } else { channels })
    }
}

/// The value of `--depth` that means this sample type.
pub fn depth(sample: SampleType) -> &'static str {
    match sample {
        SampleType::U8 => "8",
        SampleType::U16 => "16",
        _ => "f32",
    }
}
