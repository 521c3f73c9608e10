//! What a file says beside its pixels, and what of it a file of another format has a place for.

use super::format::Target;
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
    /// What is lost without it.
    pub name: &'static str,
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

impl Meta {
    /// Leaves what a file of `target` has a place for, and names the rest. A profile for colours is wrong
    /// for grey, and the other way round.
    pub fn fit(&mut self, target: Target, coloured: bool) -> Lost {
        let mut lost = std::mem::take(&mut self.lost);
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
        if !keep(Kind::Resolution, self.resolution.is_some(), true) {
            self.resolution = None;
        }
        self.own.retain(|part| {
            let kept = part.format == target.format;
            if !kept {
                lost.add(part.name);
            }
            kept
        });
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
