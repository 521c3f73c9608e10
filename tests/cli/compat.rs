//! `--compat`: the results of other tools with their own defaults. The data are theirs; see
//! `tests/golden/tools.py` and `tests/golden/imageproc`.

use super::Place;
use image::DynamicImage;
use serde_json::Value;

#[test]
fn other_tools_are_reproduced() {
    let mut golden: Value = serde_json::from_str(include_str!("../golden/tools.json")).unwrap();
    let more: Value = serde_json::from_str(include_str!("../golden/imageproc.json")).unwrap();
    golden["imageproc"] = more["imageproc"].clone();
    let number = |v: &Value| v.as_u64().unwrap() as u32;
    let (width, height) = (number(&golden["width"]), number(&golden["height"]));
    let samples: Vec<u8> =
        golden["image"].as_array().unwrap().iter().map(|v| number(v) as u8).collect();
    let place = Place::new();
    let grey = image::GrayImage::from_raw(width, height, samples).unwrap();
    place.save("float.tiff", DynamicImage::from(grey.clone()).to_rgb32f());
    place.save("grey.png", grey);
    for tool in ["opencv", "scipy", "vips", "imageproc"] {
        for case in golden[tool].as_array().unwrap() {
            let flags = case["flags"].as_array().unwrap();
            let flags: Vec<_> = flags.iter().map(|f| f.as_str().unwrap()).collect();
            let float = case["depth"] == "f32";
            let (input, output, allowed) =
                if float { ("float.tiff", "out.tiff", 2e-6) } else { ("grey.png", "out.png", 1.0) };
            place.ok(&[&[input, "--compat", tool, "-o", output], &flags[..]].concat());
            let got: Vec<f64> = match place.open(output) {
                DynamicImage::ImageLuma8(i) => i.as_raw().iter().map(|v| f64::from(*v)).collect(),
                DynamicImage::ImageRgb32F(i) => i.pixels().map(|p| f64::from(p[0])).collect(),
                other => panic!("{:?}", other.color()),
            };
            let want = case["result"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
            let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst <= allowed, "{tool} {flags:?}: off by {worst}");
        }
    }
    // The sizes differ where the tools do.
    let size = |tool: &str, input: &str| {
        let args = [input, "-k", "gaussian", "--sigma", "1.5", "--compat", tool];
        place.ok(&[&args[..], &["--explain", "--json"]].concat()).json()["kernel"]["width"].clone()
    };
    assert_eq!(size("opencv", "grey.png"), 11);
    assert_eq!(size("opencv", "float.tiff"), 13);
    assert_eq!(size("scipy", "grey.png"), 13);
    assert_eq!(size("vips", "grey.png"), 5);
    assert_eq!(size("imageproc", "grey.png"), 7);
    // Flags go before presets.
    let args = ["grey.png", "-k", "gaussian", "--size", "5", "--border", "wrap"];
    place.ok(&[&args[..], &["-o", "a.png"]].concat());
    place.ok(&[&args[..], &["-o", "b.png", "--compat", "scipy"]].concat());
    assert_eq!(place.open("a.png"), place.open("b.png"));
    place.fails(2, "--compat", &["grey.png", "-k", "box", "--compat", "photoshop"]);
}
