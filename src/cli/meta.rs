//! What a file says beside its pixels, and what of it a file of another format has a place for.

use super::format::{Kind, Target};
use super::lost::Lost;
use image::ImageFormat;

/// What a file says beside its pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// The colour profile, if it describes the decoded samples.
    pub profile: Option<Vec<u8>>,
    /// Exif data, as TIFF bytes.
    pub exif: Option<Vec<u8>>,
    /// XMP, as XML.
    pub xmp: Option<Vec<u8>>,
    /// IPTC data, as the records themselves.
    pub iptc: Option<Vec<u8>>,
    pub resolution: Option<Resolution>,
    /// Whether integer samples are linear light, and not, as elsewhere, sRGB.
    pub linear: bool,
    /// What only a file of the same format can hold.
    pub own: Vec<Part>,
    /// What was found and is not carried over to any format.
    pub lost: Lost,
}

/// How large a picture is meant to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resolution {
    /// Pixels for each unit, horizontally and vertically.
    pub x: f64,
    pub y: f64,
    pub unit: Unit,
}

impl Resolution {
    /// Whether someone meant it: 72 to the inch, and 96, are what programs write that know of none.
    fn is_meant(self) -> bool {
        let inch = match self.unit {
            Unit::Metre => 0.0254,
            Unit::Inch | Unit::None => 1.0,
        };
        let [x, y] = [self.x, self.y].map(|v| (v * inch).round());
        x != y || self.unit != Unit::None && x != 72.0 && x != 96.0
    }
}

/// What a resolution is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// None: the two numbers say what shape a pixel has.
    None,
    Inch,
    Metre,
}

/// A part of a file, as it stands in files of its format: a chunk of PNG, a segment of JPEG, a tag of TIFF.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub format: ImageFormat,
    /// Its kind, as the format has it.
    pub kind: [u8; 4],
    pub data: Vec<u8>,
    /// What is lost without it, if anything is.
    pub name: Option<&'static str>,
}

impl Meta {
    /// Leaves what a file of `target` has a place for, and names the rest. A profile for colours is wrong
    /// for grey, and the other way round.
    pub fn fit(&mut self, target: Target, coloured: bool) -> Lost {
        let mut lost = std::mem::take(&mut self.lost);
        // Small versions of the picture as it was.
        let small = b"xmpGImg:image";
        if self.xmp.as_ref().is_some_and(|xmp| xmp.windows(small.len()).any(|w| w == small)) {
            self.xmp = None;
            lost.add("XMP (with a thumbnail)");
        }
        let space: &[u8] = if coloured { b"RGB " } else { b"GRAY" };
        let fits = |profile: &[u8]| profile.get(16..20) == Some(space);
        let mut keep = |kind, there: bool, fits: bool| {
            let kept = fits && target.holds(kind);
            if there && !kept {
                lost.add(kind.name());
            }
            kept
        };
        let profile = self.profile.as_deref();
        if !keep(Kind::Profile, profile.is_some(), profile.is_none_or(fits)) {
            self.profile = None;
        }
        if !keep(Kind::Exif, self.exif.is_some(), true) {
            self.exif = None;
        }
        if !keep(Kind::Xmp, self.xmp.is_some(), true) {
            self.xmp = None;
        }
        if !keep(Kind::Iptc, self.iptc.is_some(), true) {
            self.iptc = None;
        }
        let meant = self.resolution.is_some_and(Resolution::is_meant);
        keep(Kind::Resolution, meant, true);
        self.resolution = self.resolution.filter(|_| target.holds(Kind::Resolution));
        self.own.retain(|part| {
            let kept = part.format == target.format;
            if let Some(name) = part.name.filter(|_| !kept) {
                lost.add(name);
            }
            kept
        });
        lost
    }
}

/// Resets the orientation that XMP names, as a property or as an element.
pub fn upright(xmp: &mut [u8]) {
    let name = b"tiff:Orientation";
    let mut from = 0;
    while let Some(at) = xmp[from..].windows(name.len()).position(|w| w == name) {
        from += at + name.len();
        let digit = match &xmp[from..] {
            [b'=', b'"' | b'\'', b'1'..=b'8', b'"' | b'\'', ..] => from + 2,
            [b'>', b'1'..=b'8', b'<', ..] => from + 1,
            _ => continue,
        };
        xmp[digit] = b'1';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_is_set_upright() {
        let mut xmp = *b"<a tiff:Orientation='6'/><tiff:Orientation>8</tiff:Orientation>";
        upright(&mut xmp);
        assert_eq!(&xmp, b"<a tiff:Orientation='1'/><tiff:Orientation>1</tiff:Orientation>");
    }

    #[test]
    fn what_has_no_place_is_named() {
        let mut profile = vec![0; 132];
        profile[16..20].copy_from_slice(b"RGB ");
        let meta = Meta { profile: Some(profile), exif: Some(vec![0; 9]), ..Meta::default() };
        let lost = |extension, coloured| {
            let mut meta = meta.clone();
            let lost = meta.fit(Target::of_extension(extension).unwrap(), coloured);
            (meta.profile.is_some(), meta.exif.is_some(), lost.into_names().join(", "))
        };
        assert_eq!(lost("png", true), (true, true, String::new()));
        assert_eq!(lost("png", false), (false, true, "colour profile".to_owned()));
        assert_eq!(lost("ppm", true), (false, false, "colour profile, Exif".to_owned()));
    }
}
