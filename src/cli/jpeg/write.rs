//! JPEG files, written by `libjpeg-turbo-rs`: it takes a third of the time of `jpeg-encoder` with its SIMD, which
//! takes half of that of `image`'s own.

use super::COMMENT;
use crate::cli::meta::{Meta, Resolution, Unit};
use image::DynamicImage;
use libjpeg_turbo_rs::{Encoder, PixelFormat, SavedMarker, Subsampling};

/// Longest Exif data, XMP, other segment and colour profile: one segment each, and 255 of them.
const EXIF: usize = 65_527;
const XMP: usize = 65_504;
const SEGMENT: usize = 65_533;
const IPTC: usize = 65_500;
const PROFILE: usize = 255 * 65_519;

/// How a file was compressed.
#[derive(Debug, Clone, PartialEq)]
pub struct Coding {
    /// What coefficients were divided by, of brightness and of colour, row by row.
    pub tables: [[u16; 64]; 2],
    /// How many samples of brightness there are for one of colour, across and down.
    pub sampling: (u8, u8),
}

/// The whole file. Without a `quality` it is compressed `like` the input.
pub fn jpeg(
    image: &DynamicImage,
    quality: Option<u8>,
    like: Option<&Coding>,
    meta: Meta,
) -> Result<Vec<u8>, String> {
    let (width, height) = (image.width(), image.height());
    if width.max(height) > 65_535 {
        return Err("JPEG files have at most 65535 pixels a side".to_owned());
    }
    let format = match image {
        DynamicImage::ImageLuma8(_) => PixelFormat::Grayscale,
        DynamicImage::ImageRgb8(_) => PixelFormat::Rgb,
        other => return Err(format!("{:?} is not a colour of JPEG files", other.color())),
    };
    let mut encoder = Encoder::new(image.as_bytes(), width as usize, height as usize, format)
        .force_baseline(true);
    encoder = match (quality, like) {
        (None, Some(Coding { tables: [brightness, colour], sampling })) => {
            let encoder = encoder.quant_table(0, *brightness).quant_table(1, *colour);
            let factors = vec![*sampling, (1, 1), (1, 1)];
            if format == PixelFormat::Rgb { encoder.sampling_factors(factors) } else { encoder }
        }
        _ => {
            let quality = quality.unwrap_or(90);
            let halved = if quality < 90 { Subsampling::S420 } else { Subsampling::S444 };
            encoder.quality(quality).subsampling(halved)
        }
    };
    if let Some(resolution) = meta.resolution {
        let (unit, x, y) = density(resolution);
        encoder = encoder.density(unit, x, y);
    }
    let fits = |data: &[u8], most, what| match data.len() > most {
        true => Err(format!("the {what} is too long for a JPEG file; --strip leaves it out")),
        false => Ok(()),
    };
    if let Some(exif) = &meta.exif {
        fits(exif, EXIF, "Exif data")?;
        encoder = encoder.exif_data(exif);
    }
    if let Some(xmp) = &meta.xmp {
        fits(xmp, XMP, "XMP")?;
        encoder = encoder.xmp_data(xmp);
    }
    if let Some(iptc) = &meta.iptc {
        fits(iptc, IPTC, "IPTC")?;
        encoder = encoder.iptc_data(iptc);
    }
    if let Some(profile) = &meta.profile {
        fits(profile, PROFILE, "colour profile")?;
        encoder = encoder.icc_profile(profile);
    }
    for part in &meta.own {
        let what = if part.kind[3] == COMMENT { "comment" } else { "private segment" };
        fits(&part.data, SEGMENT, what)?;
        let marker = SavedMarker { code: part.kind[3], data: part.data.clone() };
        encoder = encoder.saved_marker(marker);
    }
    encoder.encode().map_err(|e| e.to_string())
}

/// The unit and the two numbers of a JFIF header.
pub fn density(resolution: Resolution) -> (u8, u16, u16) {
    let Resolution { x, y, unit } = resolution;
    let (unit, scale) = match unit {
        Unit::None => (0, 1.0),
        // Numbers are whole, so the unit is the one in which they come nearest to what they were.
        Unit::Inch => (1, 1.0),
        Unit::Metre if ((x * 0.0254).round() / 0.0254 - x).abs() < 1.0 => (1, 0.0254),
        Unit::Metre => (2, 0.01),
    };
    let whole = |v: f64| (v * scale).round().clamp(1.0, 65_535.0) as u16;
    (unit, whole(x), whole(y))
}
