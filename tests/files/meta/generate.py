"""Makes the files of this folder: what other tools write beside the pixels.

Run with ImageMagick 6.9.11-60 (convert), exiftool 12.57 and cjpeg of libjpeg-turbo 2.1.5 (Debian 12), and Pillow 13.0.0.
"""

import io
import subprocess

from PIL import Image, PngImagePlugin


def picture(width, height):
    out = Image.new("RGB", (width, height))
    out.putdata([(x * 9 % 256, y * 11 % 256, (x + y) * 5 % 256) for y in range(height) for x in range(width)])
    return out


def run(*args):
    subprocess.run(args, check=True)


def jpeg(name, quality, sampling):
    file = io.BytesIO()
    picture(48, 32).save(file, "PPM")
    args = ["cjpeg", "-quality", str(quality), "-sample", sampling, "-outfile", name]
    subprocess.run(args, input=file.getvalue(), check=True)


# Everything that a photograph has: Exif with a thumbnail and a size, XMP, IPTC, a comment, 300 dpi.
jpeg("photo.jpg", 75, "2x2")
picture(16, 8).save("thumbnail.jpg", quality=60)
tags = [
    "-Orientation#=6", "-Make=Somebody", "-ExifImageWidth=48", "-ExifImageHeight=32", "-XMP-dc:Title=A title",
    "-IPTC:Keywords=word", "-Comment=a comment", "-JFIF:XResolution=300", "-JFIF:YResolution=300",
    "-JFIF:ResolutionUnit=inches", "-ThumbnailImage<=thumbnail.jpg",
]  # fmt: skip
run("exiftool", "-q", "-overwrite_original", *tags, "photo.jpg")
run("rm", "thumbnail.jpg")

# Qualities and samplings that programs use.
jpeg("q50.jpg", 50, "2x1")
jpeg("q92.jpg", 92, "1x1")
picture(48, 32).save("optimized.jpg", quality=85, optimize=True, progressive=True)

# Chunks of PNG; ImageMagick writes Exif data behind the pixels.
png = PngImagePlugin.PngInfo()
png.add_text("Title", "a title")
png.add_text("Comment", "a long comment " * 40, zip=True)
png.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
png.add(b"gAMA", (45455).to_bytes(4, "big"))
png.add(b"cICP", bytes([1, 13, 0, 1]))
png.add(b"sBIT", bytes([5, 6, 5]))
png.add(b"bKGD", bytes([0, 255, 0, 128, 0, 1]))
png.add(b"vpAg", bytes(9))
png.add(b"xxXX", b"not to be copied")
picture(24, 16).save("chunks.png", pnginfo=png, dpi=(300, 300))
run("convert", "photo.jpg", "-set", "exif:Orientation", "6", "-define", "png:exclude-chunks=date", "behind.png")
linear = PngImagePlugin.PngInfo()
linear.add(b"gAMA", (100_000).to_bytes(4, "big"))
picture(24, 16).save("linear.png", pnginfo=linear)

# Two pictures in one JPEG file.
picture(24, 16).save("two.mpo", save_all=True, append_images=[picture(24, 16)])
# And WebP, with loss and without.
picture(24, 16).save("lossy.webp", quality=80, xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
