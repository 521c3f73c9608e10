"""One process of a peer in `files.py`: filters files, and imports nothing that it does not need.

    files_peer.py NAME THREADS KERNEL SUFFIX OUT FILE…
"""

import os
import sys


def each(work, files, threads):
    """One file after the other, or a pool of threads: both libraries let go of Python's lock."""
    if threads == 1 or len(files) == 1:
        for file in files:
            work(file)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, files))


def opencv(name, threads, kernel, out, files):
    import cv2

    # A loop uses the threads in the filter, a pool over the files.
    pool = name == "opencv-pool"
    cv2.setNumThreads(1 if pool else threads)
    same = [
        cv2.IMWRITE_JPEG_QUALITY, 90,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]  # fmt: skip

    def work(file):
        image = cv2.imread(file)
        if kernel == "gaussian":
            image = cv2.GaussianBlur(image, (13, 13), 2)
        else:
            x = cv2.Sobel(image, cv2.CV_32F, 1, 0)
            y = cv2.Sobel(image, cv2.CV_32F, 0, 1)
            image = cv2.convertScaleAbs(cv2.magnitude(x, y))
        jpeg = file.endswith("jpg")
        assert cv2.imwrite(os.path.join(out, os.path.basename(file)), image, same if jpeg else [])

    each(work, files, threads if pool else 1)


def vips(threads, suffix, out, files):
    import pyvips

    def work(file):
        image = pyvips.Image.new_from_file(file, access="sequential")
        # The least tap that is not cut off: 6 to each side, like the others.
        image = image.gaussblur(2, min_ampl=0.011)
        image.write_to_file(os.path.join(out, os.path.basename(file)) + suffix)

    each(work, files, threads)


def compare(files):
    """The largest differences from the first file, inside, for each of the others."""
    import cv2

    first = cv2.imread(files[0])[16:-16, 16:-16]
    for file in files[1:]:
        print(int(cv2.absdiff(first, cv2.imread(file)[16:-16, 16:-16]).max()))


def draw(out, scene):
    """A picture like a photograph: a scene in 4K, with texture and the noise of a sensor."""
    import cv2
    import numpy as np

    width, height = 3840, 2160
    dice = np.random.default_rng(1)
    scene = cv2.imread(scene)
    image = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC) * 0.85 + 20
    for k in range(1, 8):
        texture = dice.standard_normal((height >> k | 1, width >> k | 1), np.float32)
        texture = cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)
        image += texture[..., None] * (1.5 * k**0.7)
    image += dice.standard_normal(image.shape, np.float32) * 2
    image = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    convert(out, image)


def convert(out, image):
    """The picture as a camera or an editor would have written it: 4:2:0, adaptive filters."""
    import PIL.Image

    picture = PIL.Image.fromarray(image[..., ::-1].copy())
    picture.save(os.path.join(out, "photo.png"), compress_level=6)
    picture.save(os.path.join(out, "photo.jpg"), quality=92, subsampling=2)


def main():
    name, *rest = sys.argv[1:]
    if name == "compare":
        return compare(rest)
    if name == "draw":
        return draw(*rest)
    if name == "convert":
        import cv2

        return convert(rest[0], cv2.imread(rest[1]))
    threads, kernel, suffix, out, *files = rest
    if name == "pyvips":
        vips(int(threads), suffix, out, files)
    else:
        opencv(name, int(threads), kernel, out, files)


main()
