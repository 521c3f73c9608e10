//! A picture before it is filtered: turned, without what is not wanted of it, and with what is to be done to it.

use super::{
    AlphaArg, Args, Decoded, Failure, Form, ImageFormat, Item, Kind, Lost, Meta, Orientation,
    Picture, Request, SampleType, Selection, Setup, Stored, Target, depth, meta, request, result,
};

pub struct Ready {
    pub picture: Picture,
    pub meta: Meta,
    pub lost: Lost,
    pub stored: Stored,
    pub request: Request,
    /// What the channels are, and those of the result.
    pub form: Form,
    pub result: Form,
    /// The type of the result's samples.
    pub sample: SampleType,
    /// Whether colours were divided by alpha.
    pub divided: bool,
}

/// Makes a decoded picture ready.
pub fn make(
    setup: &Setup<'_>,
    item: &Item,
    decoded: Decoded,
    orientation: Orientation,
    target: Option<Target>,
) -> Result<Ready, Failure> {
    let args = setup.args;
    let Decoded { picture, mut meta, mut lost, mut stored } = decoded;
    let framed = target.is_none_or(|t| t.format != ImageFormat::OpenExr);
    // What decides about the pixels is not said, but known.
    let linear = args.linear && !meta.linear;
    if args.strip {
        meta = Meta::default();
    }
    if let Some(exr) = &mut stored.exr {
        if args.strip {
            exr.strip();
        }
        if args.depth.is_some() {
            exr.widen();
        }
        if framed {
            lost.append(exr.lost());
        }
    }
    let (picture, orientation) = turn(picture, orientation, &mut meta, target, args.auto_orient);
    let picture = drop_alpha(picture, args, target);
    let divided = picture.premultiplied && !setup.stays_premultiplied(target);
    let picture = if divided { picture.straight() } else { picture };
    let pixels = picture.buffer.pixels();
    let form = Form { channels: pixels.shape().channels, alpha: picture.alpha };
    let sample = depth(args, pixels.sample());
    let named = stored.exr.as_ref().map_or(Ok(None), |exr| exr.selection(form.channels, framed));
    let selection = match (named?, &args.channels) {
        (Some(named), _) => Some(named),
        (None, Some(text)) => Some(Selection::parse(text, form.channels)?),
        (None, None) => None,
    };
    let request = request(setup, item, &picture, form, sample, target, selection)?;
    let request = Request { linear, orientation, ..request };
    let result = result(&request)?;

    if stored.lossy_webp && target.is_some_and(|t| t.format == ImageFormat::WebP) {
        lost.add("lossy compression (made lossless)");
    }
    Ok(Ready { picture, meta, lost, stored, request, form, result, sample, divided })
}

/// Turns the picture upright if that is asked for, or if the output could not say that it is not; and says how it is still
/// to be turned.
pub fn turn(
    mut picture: Picture,
    orientation: Orientation,
    meta: &mut Meta,
    target: Option<Target>,
    asked: bool,
) -> (Picture, Orientation) {
    let tagged = meta.exif.as_deref().and_then(Orientation::from_exif_chunk).is_some();
    let kept = target.is_none_or(|t| tagged && t.holds(Kind::Exif));
    let turned = asked || !kept;
    if turned {
        picture.buffer = picture.buffer.turn(orientation);
        if let Some(exif) = &mut meta.exif {
            let _ = Orientation::remove_from_exif_chunk(exif);
        }
        if let Some(xmp) = &mut meta.xmp {
            meta::upright(xmp);
        }
    }
    (picture, if turned { Orientation::NoTransforms } else { orientation })
}

/// Drops an alpha channel that is not wanted, or that hides nothing and would be in the way.
fn drop_alpha(picture: Picture, args: &Args, target: Option<Target>) -> Picture {
    let cannot_hold = target.is_some_and(|t| !t.holds_alpha());
    let drop = args.alpha == Some(AlphaArg::Drop) || cannot_hold && picture.is_opaque();
    if drop { picture.without_alpha() } else { picture }
}
