"""Makes the golden values of `--compat`: what OpenCV, SciPy and libvips give with their defaults.

    pip install -r tests/golden/requirements.txt
    python tests/golden/tools.py

writes tools.json beside this script: one 8-bit grey image, and for each tool cases of flags and the
result as the tool computes it. OpenCV filters the 8-bit image, and the same in float from 0 to 1;
SciPy computes in f64, since its results for integers are cut off after each axis; libvips with
`precision=float`, since its integer taps are up to 3 off.
"""

import json
import pathlib

import cv2
import numpy as np
import pyvips
from scipy import ndimage

WIDTH, HEIGHT = 19, 13
IMAGE = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
SIGMAS = [0.5, 0.8, 1.0, 1.5, 2.0, 3.3]
RAMP = np.arange(1, 16, dtype=np.float64).reshape(3, 5) / 120


def flat(values):
    return [round(float(v), 7) for v in np.asarray(values).ravel()]


def matrix(taps):
    return "; ".join(" ".join(repr(float(t)) for t in row) for row in taps)


def case(depth, flags, result):
    return {"depth": depth, "flags": flags, "result": flat(result)}


def opencv():
    image, floats = IMAGE, IMAGE.astype(np.float32) / 255
    for sigma in SIGMAS:
        flags = ["-k", "gaussian", "--sigma", str(sigma)]
        yield case("8", flags, cv2.GaussianBlur(image, (0, 0), sigma))
        yield case("f32", flags, cv2.GaussianBlur(floats, (0, 0), sigma))
    flags = ["-k", "gaussian", "--sigma", "2", "--sigma-y", "0.7"]
    yield case("8", flags, cv2.GaussianBlur(image, (0, 0), 2, sigmaY=0.7))
    yield case("8", ["-k", "gaussian", "--size", "7"], cv2.GaussianBlur(image, (7, 7), 0))
    yield case("8", ["-k", "box", "--size", "5"], cv2.blur(image, (5, 5)))
    yield case("8", ["-k", "sobel-x", "--range", "clamp"], cv2.Sobel(image, cv2.CV_8U, 1, 0))
    yield case("8", ["-k", "laplacian", "--range", "clamp"], cv2.Laplacian(image, cv2.CV_8U))
    yield case("8", ["-k", matrix(RAMP)], cv2.filter2D(image, -1, RAMP))


def scipy():
    image, floats = IMAGE.astype(np.float64), IMAGE / 255.0
    for sigma in SIGMAS:
        flags = ["-k", "gaussian", "--sigma", str(sigma)]
        yield case("8", flags, ndimage.gaussian_filter(image, sigma))
        yield case("f32", flags, ndimage.gaussian_filter(floats, sigma))
    flags = ["-k", "gaussian", "--sigma", "2", "--sigma-y", "0.7"]
    yield case("8", flags, ndimage.gaussian_filter(image, (0.7, 2)))
    yield case("8", ["-k", "box", "--size", "5"], ndimage.uniform_filter(image, 5))
    yield case("8", ["-k", "sobel-x", "--range", "clamp"], ndimage.sobel(image, axis=1).clip(0, 255))
    yield case("8", ["-k", "prewitt-y", "--range", "clamp"], ndimage.prewitt(image, axis=0).clip(0, 255))
    yield case("8", ["-k", matrix(RAMP)], ndimage.correlate(image, RAMP))
    yield case("8", ["-k", matrix(RAMP), "--flip"], ndimage.convolve(image, RAMP))


def vips():
    image, floats = (
        pyvips.Image.new_from_array(a) for a in (IMAGE, IMAGE.astype(np.float32) / 255)
    )
    for sigma in [*SIGMAS, 0.1, 7.0]:
        flags = ["-k", "gaussian", "--sigma", str(sigma)]
        yield case("8", flags, image.gaussblur(sigma, precision="float").numpy())
        yield case("f32", flags, floats.gaussblur(sigma, precision="float").numpy())
    mask = pyvips.Image.new_from_array(RAMP.tolist())
    result = image.conv(mask, precision="float").rint().cast("uchar")
    yield case("8", ["-k", matrix(RAMP)], result.numpy())
    box = pyvips.Image.new_from_array(np.ones((5, 5)).tolist(), scale=25)
    yield case("8", ["-k", "box", "--size", "5"], image.conv(box, precision="integer").numpy())


if __name__ == "__main__":
    out = {
        "width": WIDTH,
        "height": HEIGHT,
        "image": [int(v) for v in IMAGE.ravel()],
        "opencv": list(opencv()),
        "scipy": list(scipy()),
        "vips": list(vips()),
    }
    path = pathlib.Path(__file__).with_name("tools.json")
    path.write_text(json.dumps(out, separators=(",", ":")).replace('{"depth"', '\n{"depth"') + "\n")
