"""Makes the golden values: results of SciPy and OpenCV, computed in f64 or in exact integers.

    pip install -r tests/golden/requirements.txt
    python tests/golden/generate.py

writes scipy.json and opencv.json beside this script. Every case holds its image (values 0..255),
its kernel (taps, or column and row), anchor and borders, and the result, row by row.

SciPy's ndimage is the oracle for borders: it is defined for kernels longer than the image, and
its `origin` moves the anchor. OpenCV covers the functions people compare with.
"""

import json
import pathlib

import cv2
import numpy as np
from scipy import ndimage

HERE = pathlib.Path(__file__).parent
RNG = np.random.default_rng(20260)

# Our names for their modes.
SCIPY = {
    "constant": "constant",
    "replicate": "nearest",
    "reflect": "reflect",
    "reflect101": "mirror",
    "wrap": "grid-wrap",
}
OPENCV = {
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "reflect101": cv2.BORDER_REFLECT_101,
}


def plain(values):
    """Nested lists, whole numbers without a fraction."""
    flat = [float(v) for v in np.asarray(values, dtype=np.float64).ravel()]
    return [int(v) if v.is_integer() else v for v in flat]


def padded(source, taps, anchor, border, constant):
    """The definition on an image padded by NumPy: a second opinion on SciPy's."""
    mode = {"replicate": "edge", "reflect": "symmetric", "reflect101": "reflect"}.get(border, border)
    height, width = taps.shape
    (ax, ay), extra = anchor, {"constant_values": constant} if border == "constant" else {}
    around = np.pad(source, ((ay, height - 1 - ay), (ax, width - 1 - ax)), mode=mode, **extra)
    windows = np.lib.stride_tricks.sliding_window_view(around, taps.shape)
    return np.einsum("yxji,ji->yx", windows, taps.astype(np.float64))


def image(width, height):
    return RNG.integers(0, 256, (height, width)).astype(np.float64)


def case(name, source, taps, anchor, borders, result, constant=0, factors=None, scale=1):
    height, width = source.shape
    kernel_height, kernel_width = np.shape(taps)
    out = {
        "name": name,
        "width": width,
        "height": height,
        "image": plain(source),
        "kernel_width": kernel_width,
        "kernel_height": kernel_height,
        "anchor": [int(a) for a in anchor],
        "borders": list(borders),
        "constant": constant,
        "scale": scale,
        "result": plain(result),
    }
    if factors is None:
        out["taps"] = plain(taps)
    else:
        out["column"], out["row"] = plain(factors[0]), plain(factors[1])
    return out


def float_taps(*shape):
    """Taps with few digits, none of them exact in binary."""
    return np.round(RNG.uniform(-1, 1, shape), 3)


def scipy_cases():
    # Image width and height, kernel width and height: shorter and longer than the image.
    sizes = [
        (7, 5, 3, 3),
        (6, 4, 5, 2),
        (5, 3, 4, 7),
        (3, 2, 7, 9),
        (2, 3, 12, 5),
        (1, 4, 6, 11),
        (4, 1, 13, 4),
        (1, 1, 5, 6),
    ]
    for width, height, kernel_width, kernel_height in sizes:
        for border, mode in SCIPY.items():
            for where in ("centre", "first", "last", "inside"):
                # SciPy's anchor is size // 2 + origin.
                def anchor(size):
                    inside = int(RNG.integers(0, size))
                    return {
                        "centre": size // 2,
                        "first": 0,
                        "last": size - 1,
                        "inside": inside,
                    }[where]

                ax, ay = anchor(kernel_width), anchor(kernel_height)
                origin = (ay - kernel_height // 2, ax - kernel_width // 2)
                source = image(width, height)
                integer = where in ("first", "inside")
                shape = (kernel_height, kernel_width)
                taps = RNG.integers(-3, 6, shape) if integer else float_taps(*shape)
                constant = int(RNG.integers(1, 200)) if border == "constant" else 0
                result = ndimage.correlate(
                    source, taps.astype(np.float64), mode=mode, cval=constant, origin=origin
                )
                # SciPy 1.17.1 mistakes index -4n (-6n, …) of a reflected axis of length n for -1
                # and reads what lies before the axis: such kernels are left out.
                far = any(n > 1 and a >= 4 * n for a, n in ((ax, width), (ay, height)))
                if border == "reflect" and far:
                    continue
                second = padded(source, taps, (ax, ay), border, constant)
                np.testing.assert_allclose(result, second, rtol=0, atol=1e-9)
                name = f"correlate {mode} {where}"
                yield case(name, source, taps, (ax, ay), (border, border), result, constant)

    # Another border on each axis: two passes of correlate1d. (Two passes agree with the 2D
    # definition only for a constant of 0.)
    for border_x, mode_x in SCIPY.items():
        for border_y, mode_y in SCIPY.items():
            if border_x == border_y:
                continue
            width, height, kernel_width, kernel_height = 5, 4, 8, 7
            ax, ay = int(RNG.integers(0, kernel_width)), int(RNG.integers(0, kernel_height))
            column, row = RNG.integers(-2, 4, kernel_height), RNG.integers(-2, 5, kernel_width)
            source = image(width, height)
            result = ndimage.correlate1d(
                source, column, axis=0, mode=mode_y, origin=ay - kernel_height // 2
            )
            result = ndimage.correlate1d(
                result, row, axis=1, mode=mode_x, origin=ax - kernel_width // 2
            )
            yield case(
                f"correlate1d {mode_x} {mode_y}",
                source,
                np.outer(column, row),
                (ax, ay),
                (border_x, border_y),
                result,
                factors=(column, row),
            )


def opencv_cases():
    for border, flag in OPENCV.items():
        width, height = 9, 7
        centre = lambda size: size // 2

        # filter2D in f64: dense, any anchor, even sizes.
        for kernel_width, kernel_height in ((3, 3), (4, 3), (5, 6), (2, 2)):
            for anchored in (False, True):
                source, taps = image(width, height), float_taps(kernel_height, kernel_width)
                ax, ay = centre(kernel_width), centre(kernel_height)
                if anchored:
                    ax, ay = int(RNG.integers(0, kernel_width)), int(RNG.integers(0, kernel_height))
                result = cv2.filter2D(source, cv2.CV_64F, taps, anchor=(ax, ay), borderType=flag)
                yield case("filter2D f64", source, taps, (ax, ay), (border, border), result)

        # sepFilter2D in f64.
        for kernel_width, kernel_height in ((5, 3), (7, 9)):
            source = image(width, height)
            column, row = float_taps(kernel_height), float_taps(kernel_width)
            ax, ay = int(RNG.integers(0, kernel_width)), int(RNG.integers(0, kernel_height))
            result = cv2.sepFilter2D(
                source, cv2.CV_64F, row, column, anchor=(ax, ay), borderType=flag
            )
            yield case(
                "sepFilter2D f64",
                source,
                np.outer(column, row),
                (ax, ay),
                (border, border),
                result,
                factors=(column, row),
            )

        # Derivatives of u8 into i16, or into f32 where i16 is too narrow: exact.
        for name, dx, dy, size in (
            ("Sobel", 1, 0, 3),
            ("Sobel", 0, 1, 3),
            ("Sobel", 1, 0, 5),
            ("Sobel", 0, 1, 7),
            ("Sobel", 1, 1, 3),
            ("Sobel", 2, 0, 5),
            ("Scharr", 1, 0, cv2.FILTER_SCHARR),
            ("Scharr", 0, 1, cv2.FILTER_SCHARR),
        ):
            source = image(width, height)
            row, column = (k.ravel() for k in cv2.getDerivKernels(dx, dy, size))
            bytes_ = source.astype(np.uint8)
            depth, label = (cv2.CV_32F, "f32") if size == 7 else (cv2.CV_16S, "i16")
            if name == "Sobel":
                result = cv2.Sobel(bytes_, depth, dx, dy, ksize=size, borderType=flag)
            else:
                result = cv2.Scharr(bytes_, depth, dx, dy, borderType=flag)
            yield case(
                f"{name} {label} dx={dx} dy={dy} size={len(row)}",
                source,
                np.outer(column, row),
                (centre(len(row)), centre(len(column))),
                (border, border),
                result,
                factors=(column, row),
            )
        for size, taps in (
            (1, [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
            (3, [[2, 0, 2], [0, -8, 0], [2, 0, 2]]),
        ):
            source = image(width, height)
            bytes_ = source.astype(np.uint8)
            result = cv2.Laplacian(bytes_, cv2.CV_16S, ksize=size, borderType=flag)
            yield case(f"Laplacian i16 {size}", source, taps, (1, 1), (border, border), result)

        # Blurs in f64.
        for size, sigma in (((5, 5), 1.1), ((7, 3), 2.0), ((9, 11), 3.3)):
            source = image(width, height)
            row, column = (cv2.getGaussianKernel(n, sigma, cv2.CV_64F).ravel() for n in size)
            result = cv2.GaussianBlur(source, size, sigma, borderType=flag)
            yield case(
                f"GaussianBlur f64 sigma={sigma}",
                source,
                np.outer(column, row),
                (centre(size[0]), centre(size[1])),
                (border, border),
                result,
                factors=(column, row),
            )
        for size in ((3, 3), (5, 2), (4, 7)):
            source = image(width, height)
            result = cv2.blur(source, size, borderType=flag)
            yield case(
                "blur f64",
                source,
                np.ones((size[1], size[0])),
                (centre(size[0]), centre(size[1])),
                (border, border),
                result,
                factors=(np.ones(size[1]), np.ones(size[0])),
                scale=1 / (size[0] * size[1]),
            )


def write(name, made_by, cases):
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    head = json.dumps(made_by)
    (HERE / name).write_text(f'{{"made_by":{head},"cases":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    import scipy

    # One path of code, whatever the machine.
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    write("scipy.json", f"scipy {scipy.__version__}, numpy {np.__version__}", scipy_cases())
    write("opencv.json", f"opencv {cv2.__version__}, numpy {np.__version__}", opencv_cases())
