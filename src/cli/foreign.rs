//! Files of formats that are known, and neither read nor written: what they are, and the way through another program.

use super::failure::Failure;

/// What a file is by its first bytes.
fn name(head: &[u8]) -> Option<&'static str> {
    let brand = head.get(4..12).filter(|b| b.starts_with(b"ftyp")).map(|b| &b[4..]);
    match brand {
        Some(b"avif" | b"avis") => return Some("AVIF"),
        Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1") => return Some("HEIF"),
        Some(b"crx ") => return Some("Canon raw"),
        _ => {}
    }
    let known: [(&[u8], &str); 12] = [
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a", "JPEG XL"),
        (b"\0\0\0\x0cjP  \x0d\x0a\x87\x0a", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"8BPS", "Photoshop"),
        (b"%PDF", "PDF"),
        (b"<svg", "SVG"),
        (b"<?xml", "XML"),
        (b"gimp xcf", "GIMP"),
        (b"DDS ", "DDS"),
        (b"\0\0\x01\0", "ICO"),
        (b"farbfeld", "farbfeld"),
    ];
    known.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}

/// Why such a file is not filtered, and how it could be.
pub fn refused(head: &[u8]) -> Option<Failure> {
    let name = name(head)?;
    Some(Failure::input(format!(
        "the file is {name}, which is not read; a program that reads it can hand it on: \
         magick FILE png:- | filter - -o out.png …"
    )))
}

/// What a file of this extension is, for those that programs write which take pictures from a pipe.
pub fn written(extension: &str) -> Option<Failure> {
    let name = match extension {
        "avif" => "AVIF",
        "heic" | "heif" => "HEIF",
        "jxl" => "JPEG XL",
        "jp2" | "j2k" => "JPEG 2000",
        _ => return None,
    };
    Some(Failure::usage(format!(
        "{name} files are not written; a program that writes them can take the result: \
         filter FILE … -o - --format png | magick png:- out.{extension}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told() {
        assert_eq!(name(b"\0\0\0\x20ftypavif\0\0\0\0"), Some("AVIF"));
        assert_eq!(name(b"\0\0\0\x18ftypheic\0\0\0\0"), Some("HEIF"));
        assert_eq!(name(b"\xff\x0a\x10"), Some("JPEG XL"));
        assert_eq!(name(b"\0\0\x01\0\x02\0"), Some("ICO"));
        assert_eq!(name(b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a\0\0"), Some("JPEG XL"));
        assert_eq!(name(b"\0\0\0\x20ftypisom\0\0\0\0"), None);
        for head in [&b""[..], b"\xff", b"\0\0\0\x20ftyp", b"\x89PNG\r\n\x1a\n"] {
            assert_eq!(name(head), None);
        }
    }
}
