"""Writes kernels.json: the taps of OpenCV's and SciPy's kernels, and singular values from NumPy.

The library's named kernels and its SVD are compared with these numbers in tests/kernels.rs. The
file is committed; run this again only to add to it:

    pip install numpy==2.4.6 scipy==1.17.1 opencv-python-headless==5.0.0.93
    python kernels.py > kernels.json
"""

import json
import sys

import cv2
import numpy as np
from scipy import ndimage


def impulse_response(size, function):
    """The correlation taps of a linear filter: its answer to an impulse, turned by 180 degrees."""
    image = np.zeros((size, size))
    image[size // 2, size // 2] = 1.0
    return function(image)[::-1, ::-1]


def case(name, taps, params=None, tolerance=1e-15):
    taps = np.atleast_2d(np.asarray(taps, dtype=np.float64))
    return {
        "name": name,
        "params": params or {},
        "tolerance": tolerance,
        "width": taps.shape[1],
        "height": taps.shape[0],
        "taps": taps.ravel().tolist(),
    }


def opencv_cases():
    for size in (1, 3, 5, 7, 9, 11):
        line = cv2.getGaussianKernel(size, -1, cv2.CV_64F)
        yield case("gaussian", line @ line.T, {"size": size})
    x = cv2.getGaussianKernel(9, 1.3, cv2.CV_64F)
    y = cv2.getGaussianKernel(5, 0.7, cv2.CV_64F)
    params = {"sigma": 1.3, "sigma-y": 0.7, "size": 9, "size-y": 5}
    yield case("gaussian", y @ x.T, params)
    for size in (3, 5, 7, 9):
        row, column = cv2.getDerivKernels(1, 0, size, ktype=cv2.CV_64F)
        yield case("sobel-x", column @ row.T, {"size": size}, 0)
        row, column = cv2.getDerivKernels(0, 1, size, ktype=cv2.CV_64F)
        yield case("sobel-y", column @ row.T, {"size": size}, 0)
    row, column = cv2.getDerivKernels(1, 0, cv2.FILTER_SCHARR, ktype=cv2.CV_64F)
    yield case("scharr-x", column @ row.T, None, 0)
    row, column = cv2.getDerivKernels(0, 1, cv2.FILTER_SCHARR, ktype=cv2.CV_64F)
    yield case("scharr-y", column @ row.T, None, 0)
    for size in (1, 3, 5, 7):
        side = max(size, 3)
        taps = impulse_response(side, lambda image: cv2.Laplacian(
            image, cv2.CV_64F, ksize=size, borderType=cv2.BORDER_CONSTANT))
        yield case("laplacian", taps, {"size": size}, 0)
    gabors = [(7, 7, 2.0, 0, 4.0, 0.5, 90), (9, 5, 1.5, 30, 3.0, 0.8, 0),
              (0, 0, 1.2, 75, 5.0, 1.7, 20), (5, 9, 3.0, -130, 10.0, 1.0, 45)]
    for width, height, sigma, angle, wavelength, aspect, phase in gabors:
        taps = cv2.getGaborKernel((width or -1, height or -1), sigma, np.radians(angle),
                                  wavelength, aspect, np.radians(phase), cv2.CV_64F)
        params = {"sigma": sigma, "angle": angle, "wavelength": wavelength, "aspect": aspect,
                  "phase": phase}
        if width:
            params |= {"size": width, "size-y": height}
        yield case("gabor", taps, params, 1e-14)


def scipy_cases():
    for sigma, radius in ((1.0, 4), (0.6, 3), (1.9, 5)):
        size = 2 * radius + 1

        def derivative(order_y, order_x):
            return impulse_response(size, lambda image: ndimage.gaussian_filter(
                image, sigma, order=(order_y, order_x), mode="constant", radius=radius))

        def zero_sum(order_y, order_x):
            # SciPy's second derivative of a constant is not quite 0; the library takes off the
            # multiple of the Gaussian that is missing. The rest of the taps stay as they are.
            taps = derivative(order_y, order_x)
            return taps - taps.sum() * derivative(0, 0)

        params = {"sigma": sigma, "size": size}
        yield case("gaussian", derivative(0, 0), params)
        yield case("gaussian-dx", derivative(0, 1), params)
        yield case("gaussian-dy", derivative(1, 0), params)
        yield case("gaussian-dxy", derivative(1, 1), params)
        yield case("gaussian-dxx", zero_sum(0, 2), params, 1e-14)
        yield case("gaussian-dyy", zero_sum(2, 0), params, 1e-14)
        laplace = impulse_response(size, lambda image: ndimage.gaussian_laplace(
            image, sigma, mode="constant", radius=radius))
        gaussian = derivative(0, 0)
        yield case("log", laplace - laplace.sum() * gaussian, params, 1e-14)
    for sigma, ratio, radius in ((1.0, 1.6, 5), (0.8, 2.0, 4)):
        def blur(s):
            return impulse_response(2 * radius + 1, lambda image: ndimage.gaussian_filter(
                image, s, mode="constant", radius=radius))
        params = {"sigma": sigma, "ratio": ratio, "size": 2 * radius + 1}
        yield case("dog", blur(sigma) - blur(ratio * sigma), params)
    prewitt = impulse_response(3, lambda i: ndimage.prewitt(i, axis=1, mode="constant"))
    yield case("prewitt-x", prewitt, None, 0)
    prewitt = impulse_response(3, lambda i: ndimage.prewitt(i, axis=0, mode="constant"))
    yield case("prewitt-y", prewitt, None, 0)
    mean = impulse_response(9, lambda i: ndimage.uniform_filter(i, (3, 5), mode="constant"))
    yield case("box", mean[3:6, 2:7], {"size": 5, "size-y": 3})


def svd_cases():
    rng = np.random.default_rng(20240607)
    matrices = [rng.uniform(-1, 1, shape) for shape in ((2, 2), (3, 3), (5, 3), (3, 7), (8, 8), (16, 11))]
    for height, width, rank in ((6, 6, 2), (9, 5, 3), (4, 12, 1), (12, 12, 7)):
        matrices.append(rng.normal(size=(height, rank)) @ rng.normal(size=(rank, width)))
    # Whole numbers, and a matrix of two equal singular values.
    matrices.append(rng.integers(-9, 10, (5, 5)).astype(np.float64))
    matrices.append(np.diag([2.0, 2.0, 1.0, 0.0]))
    for matrix in matrices:
        values = np.linalg.svd(matrix, compute_uv=False)
        rank = int(np.linalg.matrix_rank(matrix))
        yield {
            "width": matrix.shape[1],
            "height": matrix.shape[0],
            "taps": matrix.ravel().tolist(),
            "rank": rank,
            "values": values[:rank].tolist(),
        }


def main():
    groups = {
        "kernels": [*opencv_cases(), *scipy_cases()],
        "svd": list(svd_cases()),
    }
    # One case per line.
    lines = [
        json.dumps(name) + ": [\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]"
        for name, cases in groups.items()
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
