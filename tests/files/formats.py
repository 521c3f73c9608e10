"""Makes small files of the kinds that are easily misread, and the pixels that an independent reader finds in them.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python formats.py        # in this folder; tiffcp (libtiff-tools) and pamtotiff (netpbm) must be there

Each file goes to formats/, its pixels (native little-endian samples, rows from the top, channels together) to
formats.bin, and what they are to formats.json: the file's name, width, height, channels, sample ("u8", "u16", "f32"),
offset in formats.bin, and
    off       by how much a sample may differ (lossy compression, other rounding)
    flags     flags of the program that the pixels are read with
    light     colours where alpha is 0 are not compared
    lost      words that the warning must have
    fails     instead of pixels: words that the error must have
Colours under alpha are as they are without it (not premultiplied).
"""

import json
import pathlib
import struct
import subprocess

import cv2
import numpy as np
import OpenEXR
import pyradiance
import tifffile
from PIL import Image, ImageCms

HERE = pathlib.Path(__file__).parent
OUT = HERE / "formats"
W, H = 13, 7
entries, blob = [], bytearray()


def scene(channels, full, dtype, seed=1):
    """A gradient with noise, from 0 to full."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:H, 0:W]
    planes = [(x * (5 + 3 * c) + y * (9 - 2 * c)) % 60 / 60 * 0.7 + rng.random((H, W)) * 0.3 for c in range(channels)]
    out = np.stack(planes, axis=-1)
    out[0, 0], out[-1, -1] = 0, 1
    out = out * full
    return (np.rint(out) if np.issubdtype(dtype, np.integer) else out).astype(dtype)


def expect(name, pixels, **more):
    """Says what is to be read from formats/name."""
    pixels = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])
    kinds = {"uint8": "u8", "uint16": "u16", "float32": "f32"}
    entry = dict(name=name, width=pixels.shape[1], height=pixels.shape[0], channels=pixels.shape[2],
                 sample=kinds[pixels.dtype.name], offset=len(blob), **more)
    blob.extend(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes())
    entries.append(entry)


def refuse(name, fails, **more):
    entries.append(dict(name=name, fails=fails, **more))


def scaled(pixels, bits, to):
    """Integers of so many bits, to 8 or 16."""
    full, top = (1 << bits) - 1, (1 << to) - 1
    return ((pixels.astype(np.uint64) * top * 2 + full) // (2 * full)).astype(f"uint{to}")


def divided(pixels):
    """Straight colours of premultiplied ones."""
    full = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    colours, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:].astype(np.float64)
    out = np.divide(colours * full, alpha, out=np.zeros_like(colours), where=alpha > 0)
    if pixels.dtype.kind != "f":
        out = np.clip(np.floor(out + 0.5), 0, full)
    return np.concatenate([out, alpha], axis=-1).astype(pixels.dtype)


def tiff(name, data, read=None, **options):
    """Writes a TIFF file and checks that tifffile reads back what was written (but for lossy compression)."""
    path = OUT / name
    tifffile.imwrite(path, data, metadata=None, software=None, **options)
    back = tifffile.imread(path)
    if options.get("compression") != "jpeg":
        assert np.array_equal(back, data), name
    return back


def tiffcp(name, source, *flags):
    subprocess.run(["tiffcp", *flags, str(OUT / source), str(OUT / name)], check=True, stderr=subprocess.DEVNULL)
    return tifffile.imread(OUT / name)


def interleaved(planes):
    return np.moveaxis(planes, 0, -1)


def make_tiff():
    rgb8, grey8 = scene(3, 255, np.uint8), scene(1, 255, np.uint8)[..., 0]
    rgba8 = scene(4, 255, np.uint8, 2)
    rgba8[..., 3] = np.clip(rgba8[..., 3].astype(int) + 40, 0, 255)
    rgba8[2, 3] = 0
    under = rgba8.copy()
    under[..., :3] = (rgba8[..., :3].astype(int) * rgba8[..., 3:] + 127) // 255

    # Alpha of every kind.
    expect("alpha-straight.tif", tiff("alpha-straight.tif", rgba8, photometric="rgb", extrasamples=["unassalpha"]))
    back = tiff("alpha-premultiplied.tif", under, photometric="rgb", extrasamples=["assocalpha"])
    expect("alpha-premultiplied.tif", divided(back))
    back = tiff("alpha-premultiplied-f32.tif", (under / 255).astype(np.float32), photometric="rgb", extrasamples=["assocalpha"])
    expect("alpha-premultiplied-f32.tif", divided(back), off=1e-6)
    expect("alpha-unspecified.tif", tiff("alpha-unspecified.tif", rgba8, photometric="rgb", extrasamples=["unspecified"]))
    five = np.concatenate([rgba8, grey8[..., None]], axis=-1)
    for suffix, options in [("", {}), ("-lzw", dict(compression="lzw", predictor=2))]:
        name = f"alpha-and-more{suffix}.tif"
        back = tiff(name, five, photometric="rgb", extrasamples=["unassalpha", "unspecified"], **options)
        expect(name, back[..., :4], lost="an extra sample")
    back = tiff("no-alpha-but-more.tif", five, photometric="rgb", extrasamples=["unspecified", "unspecified"])
    expect("no-alpha-but-more.tif", back[..., :3], lost="2 extra samples")
    expect("grey-alpha.tif", tiff("grey-alpha.tif", rgba8[..., 2:], photometric="minisblack", extrasamples=["unassalpha"]))
    deep = scene(2, 65535, np.uint16, 3)
    expect("grey-alpha-16.tif", tiff("grey-alpha-16.tif", deep, photometric="minisblack", extrasamples=["unassalpha"], byteorder=">"))
    planes = np.ascontiguousarray(np.moveaxis(rgba8, -1, 0))
    back = tiff("alpha-planes.tif", planes, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"], compression="lzw", predictor=2)
    expect("alpha-planes.tif", interleaved(back))

    # Fill order.
    tiff("plain.tif", rgb8, photometric="rgb")
    expect("plain.tif", rgb8)
    bits = (scene(1, 255, np.uint8, 4)[..., 0] > 120)
    tiff("bits.tif", bits, photometric="miniswhite")
    black = (tifffile.imread(OUT / "bits.tif") == 0).astype(np.uint8) * 255
    expect("bits.tif", black)
    for name, source, flags in [
        ("fill-none.tif", "plain.tif", ["-c", "none"]), ("fill-lzw.tif", "plain.tif", ["-c", "lzw:2"]),
        ("fill-zip.tif", "plain.tif", ["-c", "zip"]), ("fill-packbits.tif", "plain.tif", ["-c", "packbits"]),
        ("fill-bits.tif", "bits.tif", ["-c", "none"]), ("fill-g4.tif", "bits.tif", ["-c", "g4"]),
    ]:
        back = tiffcp(name, source, "-f", "lsb2msb", *flags)
        expect(name, black if source == "bits.tif" else back)
    tiffcp("g4.tif", "bits.tif", "-c", "g4")
    expect("g4.tif", black)
    tiffcp("g3.tif", "bits.tif", "-c", "g3:1d")
    refuse("g3.tif", "Group 3 fax")
    tiff("zstd.tif", rgb8, photometric="rgb", compression="zstd")
    refuse("zstd.tif", "Zstandard")
    tiff("lerc.tif", grey8, photometric="minisblack", compression="lerc")
    refuse("lerc.tif", "LERC")
    tiff("lab.tif", rgb8, photometric="cielab")
    refuse("lab.tif", "L*a*b*")

    # Depths.
    for depth in [2, 4, 10, 12, 14]:
        for channels in [1, 3]:
            name = f"bits-{depth}-{'grey' if channels == 1 else 'rgb'}.tif"
            data = scene(channels, (1 << depth) - 1, np.uint8 if depth < 8 else np.uint16, depth)
            data = data[..., 0] if channels == 1 else data
            back = tiff(name, data, photometric="minisblack" if channels == 1 else "rgb", bitspersample=depth)
            expect(name, scaled(back, depth, 8 if depth < 8 else 16))
    white = tiff("white-is-zero.tif", grey8, photometric="miniswhite", compression="packbits")
    expect("white-is-zero.tif", 255 - white)
    for name, dtype, low, high in [("i8", np.int8, -100, 100), ("i16", np.int16, -500, 9000), ("i32", np.int32, -70000, 90000),
                                   ("u32", np.uint32, 0, 4_000_000_000), ("f16", np.float16, -1, 2), ("f32", np.float32, -1, 2),
                                   ("f64", np.float64, -1, 2)]:
        data = (low + scene(1, 1, np.float64, 5)[..., 0] * (high - low)).astype(dtype)
        lost = dict(lost={"u32": "32-bit integers", "i32": "32-bit integers", "f64": "double precision"}[name]) if name in ("u32", "i32", "f64") else {}
        back = tiff(f"grey-{name}.tif", data, photometric="minisblack", byteorder="<>"[len(name) % 2])
        expect(f"grey-{name}.tif", back.astype(np.float32), **lost)
    for dtype in [np.float16, np.float32, np.float64]:
        data = scene(3, 1, dtype, 6)
        name = f"predictor-3-{np.dtype(dtype).name}.tif"
        back = tiff(name, data, photometric="rgb", compression="deflate", predictor=3, tile=(16, 16), byteorder=">")
        lost = dict(lost="double precision") if dtype == np.float64 else {}
        expect(name, back.astype(np.float32), **lost)
    deep = scene(3, 65535, np.uint16, 7)
    expect("predictor-2-16.tif", tiff("predictor-2-16.tif", deep, photometric="rgb", compression="lzw", predictor=2, byteorder=">"))

    # Palettes.
    colours = (np.random.default_rng(8).integers(0, 256, (3, 256)) * 257).astype(np.uint16)
    index = scene(1, 255, np.uint8, 8)[..., 0]
    tiff("palette.tif", index, photometric="palette", colormap=colours)
    expect("palette.tif", np.asarray(Image.open(OUT / "palette.tif").convert("RGB")))
    index4 = scene(1, 15, np.uint8, 9)[..., 0]
    few = (colours[:, :16] >> 8).T.astype(np.uint8)[index4]
    ppm = b"P6 %d %d 255\n" % (W, H) + few.tobytes()
    made = subprocess.run(["pamtotiff", "-indexbits=4", "-lzw"], input=ppm, capture_output=True, check=True)
    (OUT / "palette-4.tif").write_bytes(made.stdout)
    assert tifffile.TiffFile(OUT / "palette-4.tif").pages[0].bitspersample == 4
    expect("palette-4.tif", np.asarray(Image.open(OUT / "palette-4.tif").convert("RGB")))
    fine = np.random.default_rng(9).integers(0, 65536, (3, 256)).astype(np.uint16)
    back = tiff("palette-16.tif", index, photometric="palette", colormap=fine)
    expect("palette-16.tif", interleaved(fine[:, back]))

    # Tiles and strips that do not divide the picture.
    large = np.tile(rgb8, (5, 3, 1))[:33, :37]
    for compression in [None, "lzw", "deflate", "packbits"]:
        name = f"tiles-{compression or 'none'}.tif"
        back = tiff(name, large, photometric="rgb", tile=(16, 32), compression=compression)
        expect(name, back)
    expect("strips.tif", tiff("strips.tif", large, photometric="rgb", rowsperstrip=5, compression="lzw"))
    back = tiff("tiles-planes.tif", np.ascontiguousarray(np.moveaxis(large, -1, 0)), photometric="rgb", planarconfig="separate", tile=(16, 16), compression="deflate")
    expect("tiles-planes.tif", interleaved(back))
    expect("big.tif", tiff("big.tif", rgb8, photometric="rgb", bigtiff=True, compression="lzw"))

    # JPEG.
    y, x = np.mgrid[0:33, 0:37]
    smooth = np.stack([x * 6, y * 7, 255 - x * 3], axis=-1).astype(np.uint8)
    for name, options in [
        ("jpeg-ycbcr.tif", dict(photometric="ycbcr", subsampling=(1, 1))), ("jpeg-420.tif", dict(photometric="ycbcr", subsampling=(2, 2))),
        ("jpeg-tiles.tif", dict(photometric="ycbcr", subsampling=(2, 2), tile=(16, 16))), ("jpeg-strips.tif", dict(photometric="ycbcr", subsampling=(2, 1), rowsperstrip=16)),
        ("jpeg-rgb.tif", dict(photometric="rgb")),
    ]:
        back = tiff(name, smooth, compression="jpeg", compressionargs=dict(level=95), **options)
        expect(name, np.asarray(Image.open(OUT / name).convert("RGB")), off=4)
    back = tiff("jpeg-grey.tif", smooth[..., 0], photometric="minisblack", compression="jpeg", compressionargs=dict(level=95))
    expect("jpeg-grey.tif", back, off=1)

    # What goes with a picture; and the same as a JPEG file.
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x010E] = "A maker", "A model", "a description"
    exif[0x8298], exif[0x0132] = "somebody", "2026:11:28 20:00:00"
    exif.get_ifd(0x8769).update({0x829A: (1, 250), 0x9003: "2026:11:28 19:00:00", 0x8827: 400})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5), 3: "E", 4: (13.0, 24.0, 36.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    picture = Image.fromarray(rgb8)
    picture.save(OUT / "tagged.jpg", quality=95, exif=exif, dpi=(300, 150), icc_profile=profile, xmp=xmp)
    exif[700], exif[285] = xmp, "a page"
    picture.save(OUT / "tagged.tif", exif=exif, dpi=(300, 150), icc_profile=profile)
    expect("tagged.tif", rgb8)

    # CMYK, made RGB without profiles.
    cmyk = scene(4, 255, np.uint8, 10)
    back = tiff("cmyk.tif", cmyk, photometric="separated").astype(np.float64)
    rgb = np.floor((255 - back[..., :3]) * (255 - back[..., 3:]) / 255 + 0.5).astype(np.uint8)
    expect("cmyk.tif", rgb, lost="CMYK")


def exr(name, channels, header=None, **more):
    """Writes a part; `channels` are arrays by name."""
    header = dict(compression=OpenEXR.ZIP_COMPRESSION, type=OpenEXR.scanlineimage) | (header or {})
    with OpenEXR.File(header, channels) as file:
        file.write(str(OUT / name))


def seen(name, names, part=0):
    """What OpenEXR reads: these channels, as floats."""
    with OpenEXR.File(str(OUT / name), separate_channels=True) as file:
        channels = file.parts[part].channels
        return np.stack([channels[n].pixels.astype(np.float32) for n in names], axis=-1)


def window(x, y, width=W, height=H):
    return (np.array([x, y], np.int32), np.array([x + width - 1, y + height - 1], np.int32))


def make_exr():
    colours = scene(3, 2, np.float32, 20)
    alpha = np.clip(scene(1, 1.2, np.float32, 21), 0, 1)
    alpha[3, 4] = 0
    under = np.concatenate([colours * alpha, alpha], axis=-1)
    under[3, 4, :3] = 0.25  # light without cover
    split = lambda pixels, names: {n: np.ascontiguousarray(pixels[..., i]) for i, n in enumerate(names)}
    half = under.astype(np.float16)

    exr("rgba-half.exr", split(half, "RGBA"), dict(owner="somebody", comments="half and ZIP"))
    expect("rgba-half.exr", divided(seen("rgba-half.exr", "RGBA"))[..., :], off=1e-5, light=True)
    exr("rgba-piz.exr", split(under, "RGBA"), dict(compression=OpenEXR.PIZ_COMPRESSION), )
    expect("rgba-piz.exr", divided(seen("rgba-piz.exr", "RGBA")), off=1e-5, light=True)
    for kind in ["NO", "RLE", "ZIPS", "PXR24", "B44", "DWAA"]:
        name = f"rgb-{kind.lower()}.exr"
        exr(name, split(colours.astype(np.float16), "RGB"), dict(compression=getattr(OpenEXR, f"{kind}_COMPRESSION")))
        expect(name, seen(name, "RGB"), off=0.004 if kind == "DWAA" else 0)
    exr("grey.exr", {"Y": colours[..., 0]})
    expect("grey.exr", seen("grey.exr", "Y"))
    exr("grey-alpha.exr", split(under[..., 2:], "YA"))
    expect("grey-alpha.exr", divided(seen("grey-alpha.exr", "YA")), off=1e-5, light=True)
    exr("depth-alone.exr", {"Z": colours[..., 0]})
    expect("depth-alone.exr", seen("depth-alone.exr", "Z"))
    exr("tiles.exr", split(np.tile(colours, (5, 3, 1))[:33, :37], "RGB"), dict(type=OpenEXR.tiledimage, tiles=OpenEXR.TileDescription()))
    expect("tiles.exr", seen("tiles.exr", "RGB"))

    # Windows: other formats have the display window alone.
    full = np.zeros((H + 4, W + 6, 3), np.float32)
    full[3:3 + H, 1:1 + W] = colours
    exr("data-smaller.exr", split(colours, "RGB"), dict(dataWindow=window(11, 23), displayWindow=window(10, 20, W + 6, H + 4)))
    expect("data-smaller.exr", full)
    exr("data-larger.exr", split(colours, "RGB"), dict(dataWindow=window(-2, -1), displayWindow=window(0, 0, W - 5, H - 2)))
    expect("data-larger.exr", colours[1:1 + H - 2, 2:2 + W - 5], lost="outside of the display window")

    # Channels beside the picture, layers, parts.
    more = {**split(half, "RGBA"), "Z": colours[..., 0], "spec.R": half[..., 0], "spec.G": half[..., 1], "spec.B": half[..., 2],
            "id": scene(1, 4e9, np.uint32, 22)[..., 0]}
    exr("more-channels.exr", more)
    expect("more-channels.exr", divided(seen("more-channels.exr", "RGBA")), off=1e-5, light=True, lost="channels Z, id, spec.B, spec.G, spec.R")
    exr("layers-only.exr", {f"{layer}.{c}": colours[..., 0] for layer in ["spec", "diffuse"] for c in "RGB"})
    refuse("layers-only.exr", "spec.R")
    layer = ["spec.R", "spec.G", "spec.B"]
    expect("layers-only.exr", seen("layers-only.exr", layer), flags=["--channels", ",".join(layer)], lost="channels diffuse.B, diffuse.G, diffuse.R")
    expect("more-channels.exr", seen("more-channels.exr", ["Z"]), flags=["--channels", "Z"], lost="channels A, B, G, R, id, spec.B")
    refuse("more-channels.exr", "numbers of objects", flags=["--channels", "id"])
    header = dict(compression=OpenEXR.ZIP_COMPRESSION, type=OpenEXR.scanlineimage)
    parts = [OpenEXR.Part(dict(header), split(pixels, "RGB"), name) for name, pixels in [("left", colours), ("right", colours[::-1])]]
    with OpenEXR.File(parts) as file:
        file.write(str(OUT / "parts.exr"))
    refuse("parts.exr", "several parts (left, right)")
    expect("parts.exr", seen("parts.exr", "RGB"), flags=["--first-frame"])


def make_others():
    rgb = scene(3, 255, np.uint8, 30)
    bgra = np.concatenate([rgb[..., ::-1], np.zeros((H, W, 1), np.uint8)], axis=-1)
    masks = (0xff0000, 0xff00, 0xff, 0xff000000)

    # BMP and TGA with a fourth byte that is not used. Pillow finds the same colours, and takes a fourth byte of 0 throughout for
    # alpha where a BMP file has a mask for it, and in all TGA files. The pictures would be invisible: ImageMagick and browsers
    # take such BMP files for opaque, and a TGA file says that it has no alpha (0 attribute bits; TGA 2.0, field 5.6).
    def fourth(path, alpha):
        """What Pillow reads, checked with OpenCV where that reads the format."""
        read = Image.open(OUT / path)
        found = np.asarray(read.convert("RGBA"))
        other = cv2.imread(str(OUT / path), cv2.IMREAD_UNCHANGED) if path.endswith("bmp") else None
        if other is not None:
            same = np.asarray(read)[..., [2, 1, 0, 3][:other.shape[2]]]
            assert np.array_equal(same, other), path
        assert np.any(found[..., 3] != 255) == (read.mode == "RGBA"), path
        expect(path, found if alpha else np.ascontiguousarray(found[..., :3]))

    for size, version in [(40, "v1"), (56, "v3"), (124, "v5")]:
        head = struct.pack("<IiiHHIIiiII", size, W, -H, 1, 32, 3 if size > 40 else 0, W * H * 4, 2835, 2835, 0, 0)
        head += struct.pack("<4I", *masks) if size > 40 else b""
        head += bytes(size - len(head))
        start = 14 + size
        for name, alpha in [("unused", 0), ("alpha", 255)]:
            if (size, name) == (40, "alpha"):
                continue
            pixels = bgra.copy()
            pixels[..., 3] = alpha
            pixels[0, 0, 3] = alpha and 77
            path = f"bmp-{version}-{name}.bmp"
            (OUT / path).write_bytes(b"BM" + struct.pack("<IHHI", start + W * H * 4, 0, 0, start) + head + pixels.tobytes())
            fourth(path, alpha)
    for name, alpha in [("unused", 0), ("alpha", 200)]:
        rgba = np.concatenate([rgb, np.full((H, W, 1), alpha, np.uint8)], axis=-1)
        path = OUT / f"tga-{name}.tga"
        Image.fromarray(rgba, "RGBA").save(path)
        data = bytearray(path.read_bytes())
        if not alpha:
            data[17] &= 0xf0
        path.write_bytes(data)
        fourth(path.name, alpha)

    # PNM streams and PFM.
    one = b"P6\n# a comment\n%d %d\n255\n" % (W, H) + rgb.tobytes()
    two = b"P5 %d %d 255\n" % (W, H) + rgb[..., 0].tobytes()
    for name, data in [("two.ppm", one + one), ("two-kinds.pnm", two + b"\n" + one), ("three.pbm", b"P4 8 1\n\x55" * 3)]:
        (OUT / name).write_bytes(data)
        refuse(name, "several pictures")
        first = rgb if name == "two.ppm" else rgb[..., :1] if name == "two-kinds.pnm" else np.array([[255, 0] * 4], np.uint8)
        expect(name, first, flags=["--first-frame"])
    (OUT / "one.ppm").write_bytes(one)
    expect("one.ppm", rgb)
    floats = scene(3, 3, np.float32, 31) - 1
    for name, pixels in [("rgb.pfm", floats), ("grey.pfm", np.ascontiguousarray(floats[..., 0]))]:
        cv2.imwrite(str(OUT / name), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
        back = cv2.imread(str(OUT / name), cv2.IMREAD_UNCHANGED)
        back = back[..., ::-1] if back.ndim == 3 else back
        assert np.array_equal(back, pixels), name
        expect(name, back)
        letter = b"PF" if pixels.ndim == 3 else b"Pf"
        (OUT / f"big-{name}").write_bytes(letter + b"\n%d %d\n1.0\n" % (W, H) + pixels[::-1].astype(">f4").tobytes())
        back = cv2.imread(str(OUT / f"big-{name}"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(back[..., ::-1] if back.ndim == 3 else back, pixels), name
        expect(f"big-{name}", pixels)

    # Radiance: exposure, and where the first pixel lies. OpenCV reads the usual order; Radiance's own pvalue says which places and
    # light the others mean. Its values lie half a step of the mantissa higher; nobody else adds that.
    def radiance(name):
        """The pixels of plain.hdr as pvalue places them, divided by the exposure it knows."""
        pvalue = [str(pathlib.Path(pyradiance.__file__).parent / "bin/pvalue"), "-h", "-o"]
        run = lambda *flags: subprocess.run([*pvalue, *flags, str(OUT / name)], capture_output=True, check=True).stdout
        places = np.array([line.split()[:2] for line in run().splitlines()[1:]], int)
        values = np.frombuffer(run("-H", "-df"), "<f4").reshape(-1, 3)
        width, height = places.max(axis=0) + 1
        stored = pixels.reshape(-1, 3)
        scale = 2.0 ** np.rint(np.log2(values.max() / stored.max()))
        step = np.abs(stored).max(axis=1, keepdims=True) / 128
        assert np.all(values - stored * scale <= step * scale) and np.all(values >= stored * scale), name
        out = np.empty((height, width, 3), np.float32)
        out[height - 1 - places[:, 1], places[:, 0]] = stored * scale
        return out

    cv2.imwrite(str(OUT / "plain.hdr"), scene(3, 3, np.float32, 32)[..., ::-1])
    data = (OUT / "plain.hdr").read_bytes()
    pixels = np.ascontiguousarray(cv2.imread(str(OUT / "plain.hdr"), cv2.IMREAD_UNCHANGED)[..., ::-1])
    line = b"-Y %d +X %d\n" % (H, W)
    assert data.count(line) == 1
    assert np.array_equal(radiance("plain.hdr"), pixels)
    expect("plain.hdr", pixels)
    (OUT / "exposure.hdr").write_bytes(data.replace(b"\n\n", b"\nEXPOSURE=2.0\nEXPOSURE=4.0\n\n", 1))
    expect("exposure.hdr", radiance("exposure.hdr"))
    for name, order in [("up", b"+Y %d +X %d\n"), ("left", b"-Y %d -X %d\n"), ("columns", b"+X %d -Y %d\n"), ("columns-up", b"-X %d +Y %d\n")]:
        (OUT / f"{name}.hdr").write_bytes(data.replace(line, order % (H, W)))
        expect(f"{name}.hdr", radiance(f"{name}.hdr"))


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    make_tiff()
    make_exr()
    make_others()
    (HERE / "formats.bin").write_bytes(blob)
    (HERE / "formats.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")


if __name__ == "__main__":
    main()
