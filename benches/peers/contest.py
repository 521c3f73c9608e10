"""One process of the board: runs all contestants on the rows that it reads from standard input.

Every contestant's first result is compared with the definition; then all are timed in turn, round
by round, on the same source and into the same output. Results go to standard output as lines of
JSON. What runs at the moment stands in a small shared file, so that the parent knows whom a crash
belongs to.
"""

import dataclasses
import gc
import json
import mmap
import os
import sys
import time
from fractions import Fraction
from functools import partial

import av
import av.filter
import cv2
import numpy as np
import pyvips
import PIL
import scipy
from PIL import Image, ImageFilter
from scipy import ndimage, signal

from calls import Contestant, Library, aligned, clock_of, copying, say, take_turns
from rows import FRESH, SIZES, all_rows

TYPES = {"u8": np.uint8, "u16": np.uint16, "i16": np.int16, "f32": np.float32}
DEPTHS = {"u8": cv2.CV_8U, "u16": cv2.CV_16U, "i16": cv2.CV_16S, "f32": cv2.CV_32F}
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
BORDER = cv2.BORDER_REFLECT_101
# Multiplications that SciPy may spend on a row.
PATIENCE = 1.5e9
# And that libblur and imageproc may spend on a 2D kernel.
DIRECT, PLODDING = 4e10, 2.5e9
# Multiplications that the definition may spend on a row.
CHECKED = 6e7


def picture(shape, sample):
    """Waves and noise, over most of the range."""
    dice = np.random.default_rng(1)
    height, width = shape[:2]
    image = aligned(shape, TYPES[sample])
    full = {"u8": 255.0, "u16": 65535.0, "f32": 1.0}[sample]
    across = np.sin(np.arange(width, dtype=np.float32) * 0.013)
    across = across.reshape((width,) + (1,) * (len(shape) - 2))
    for y in range(height):
        noise = dice.random(shape[1:], dtype=np.float32) * 0.3 - 0.15
        line = (0.5 + 0.35 * np.cos(y * 0.021) * across + noise) * full
        image[y] = line if sample == "f32" else np.floor(line + 0.5)
    return image


def fastest(calls):
    """The call that takes least the second time, and its name."""
    times = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        times[name] = time.perf_counter() - start
    name = min(times, key=times.get)
    return calls[name], None, name


def opencv_blurs(source, size):
    """Its Gaussian, and the two passes with the same taps, which are faster for large σ."""

    def one(sigma, out):
        cv2.GaussianBlur(source, size, sigma, dst=out, borderType=BORDER)

    def two(sigma, out):
        taps = cv2.getGaussianKernel(size[0], sigma, cv2.CV_32F)
        cv2.sepFilter2D(source, -1, taps, taps, dst=out, borderType=BORDER)

    return {"GaussianBlur": one, "sepFilter2D": two}


def opencv(row, source, out, taps):
    k = (row.taps, row.taps)
    if taps is not None:
        taps = taps.astype(np.float32)
        depth = DEPTHS[row.output]
        calls = {"filter2D": lambda: cv2.filter2D(source, depth, taps, dst=out, borderType=BORDER)}

        narrow, wide = (aligned(source.shape, source.dtype) for _ in range(2))

        def unsharp(blur):
            blur(row.sigma, wide)
            cv2.addWeighted(source, 2.0, wide, -1.0, 0.0, dst=out)

        def difference(blur):
            blur(row.sigma, narrow)
            blur(1.6 * row.sigma, wide)
            cv2.subtract(narrow, wide, dst=out, dtype=depth)

        for name, blur in opencv_blurs(source, k).items():
            if row.operation == "unsharp":
                calls[f"{name}, addWeighted"] = partial(unsharp, blur)
            elif row.operation == "dog":
                calls[f"two of {name}, subtract"] = partial(difference, blur)
        return fastest(calls) if len(calls) > 1 else calls["filter2D"]
    if row.op in ("gaussian", "curve-gaussian"):
        if not row.sigma:
            return lambda: cv2.GaussianBlur(source, k, 0.0, dst=out, borderType=BORDER)
        blurs = opencv_blurs(source, k)
        return fastest({name: partial(blur, row.sigma, out) for name, blur in blurs.items()})
    if row.op == "separable":
        column, line = (np.array(n, np.float32) for n in row.numbers)
        return lambda: cv2.sepFilter2D(source, -1, line, column, dst=out, borderType=BORDER)
    if row.operation == "box":
        return lambda: cv2.blur(source, k, dst=out, borderType=BORDER)
    depth = DEPTHS[row.output]
    if row.op == "sobel-x":
        return lambda: cv2.Sobel(source, depth, 1, 0, ksize=row.taps, dst=out, borderType=BORDER)
    if row.op == "scharr-x":
        return lambda: cv2.Scharr(source, depth, 1, 0, dst=out, borderType=BORDER)
    if row.op == "laplacian":
        return lambda: cv2.Laplacian(source, depth, ksize=3, dst=out, borderType=BORDER)
    x, y, both = (aligned(source.shape, np.float32) for _ in range(3))

    def magnitude():
        cv2.Sobel(source, cv2.CV_32F, 1, 0, dst=x, borderType=BORDER)
        cv2.Sobel(source, cv2.CV_32F, 0, 1, dst=y, borderType=BORDER)
        cv2.magnitude(x, y, both)
        cv2.convertScaleAbs(both, out)

    return magnitude


def with_scipy(row, source, out, taps):
    between = aligned(source.shape, np.float32)

    def saturated():
        # Into integers it would wrap around.
        np.rint(between, out=between)
        limits = np.iinfo(out.dtype)
        np.clip(between, limits.min, limits.max, out=between)
        np.copyto(out, between, casting="unsafe")

    if taps is not None and taps.size * source.size > PATIENCE:
        high, wide = (n // 2 for n in taps.shape)
        turned = taps[::-1, ::-1].astype(np.float32)

        def blocks():
            image = np.pad(source.astype(np.float32), ((high, high), (wide, wide)), "reflect")
            result = between if row.output != "f32" else out
            result[:] = signal.oaconvolve(image, turned, mode="valid")
            if row.output != "f32":
                saturated()

        return blocks, None, "oaconvolve"
    if row.op in ("gaussian", "separable"):
        column, line = row.numbers

        def two():
            ndimage.correlate1d(source, column, axis=0, output=between, mode="mirror")
            ndimage.correlate1d(between, line, axis=1, output=out, mode="mirror")

        return two
    if taps is not None:
        if row.sample == "f32":
            return lambda: ndimage.correlate(source, taps, output=out, mode="mirror")

        def direct():
            ndimage.correlate(source, taps, output=between, mode="mirror")
            saturated()

        return direct
    if row.op == "box":
        return lambda: ndimage.uniform_filter(source, row.taps, output=out, mode="mirror")
    if row.op == "sobel-x" and row.taps == 3:
        return lambda: ndimage.sobel(source, axis=1, output=out, mode="mirror")
    return None


def with_pillow(row, source):
    if row.sample != "u8":
        return None
    if row.op == "gaussian" and row.sigma:
        how, note = ImageFilter.GaussianBlur(row.sigma), "three boxes instead of a Gaussian"
    elif row.op == "unsharp":
        how = ImageFilter.UnsharpMask(row.sigma, percent=100, threshold=0)
        note = "three boxes instead of a Gaussian"
    elif row.op == "box":
        how, note = ImageFilter.BoxBlur(row.taps // 2), ""
    elif row.op == "dense" and row.taps in (3, 5) and row.channels in MODES:
        # Its kernels stand on their heads.
        taps = np.array(row.numbers[0]).reshape(row.taps, row.taps)[::-1].ravel().tolist()
        how, note = ImageFilter.Kernel((row.taps, row.taps), taps, scale=1), ""
    else:
        return None
    image = Image.fromarray(source)
    assert image.mode == MODES[row.channels]
    kept = []

    def call():
        kept[:] = [image.filter(how)]

    return call, lambda: np.asarray(kept[0]), note


def with_vips(row, source):
    if row.sample not in ("u8", "u16") or row.op not in ("gaussian", "box"):
        return None
    image = pyvips.Image.new_from_array(source)
    if row.op == "gaussian" and row.sigma:
        # The least amplitude that a tap may have, for a reach of 3σ.
        smallest = 0.999 * float(np.exp(-0.5 * (row.taps // 2 / row.sigma) ** 2))
        start, note = lambda: image.gaussblur(row.sigma, min_ampl=smallest), "integer taps"
    else:
        scale = row.taps if row.op == "box" else {3: 4, 5: 16, 7: 64}[row.taps]
        taps = [1] * row.taps if row.op == "box" else [t * scale for t in row.numbers[0]]
        mask = pyvips.Image.new_from_array([taps], scale=scale)
        start, note = lambda: image.convsep(mask, precision="integer"), ""
    kept = []

    def call():
        kept[:] = [start().write_to_memory()]

    return call, lambda: np.frombuffer(kept[0], source.dtype).reshape(source.shape), note


def with_ffmpeg(row, source, threads):
    """A filter of libavfilter between two frames in memory."""
    if row.sample != "u8" or row.channels != 1:
        return None
    (height, width), layout, planes = source.shape, "gray", source
    if row.operation == "box":
        how, options, note = "avgblur", f"sizeX={row.taps // 2}", ""
    elif row.op in ("gaussian", "curve-gaussian") and row.sigma:
        how, options, note = "gblur", f"sigma={row.sigma}", "recursive, one step, its default"
    elif row.operation == "unsharp" and row.sigma == 1.0:
        # Its kernel is a row of Pascal's triangle, and no larger than 13 × 13.
        how, options = "unsharp", "lx=5:ly=5:la=1"
        # It takes no grey: colours are copied, half as many samples again.
        note = "binomial taps; copies colours"
        layout = "yuv420p"
        planes = np.vstack([source, np.full((height // 2, width), 128, np.uint8)])
    else:
        return None
    graph = av.filter.Graph()
    graph.threads = threads
    first = graph.add_buffer(width=width, height=height, format=layout, time_base=Fraction(1, 25))
    graph.link_nodes(first, graph.add(how, options), graph.add("buffersink")).configure()
    frame = av.VideoFrame.from_ndarray(planes, format=layout)
    kept = []

    def call():
        graph.vpush(frame)
        kept[:] = [graph.vpull()]

    return call, lambda: kept[0].to_ndarray()[:height], note


def of_image(row):
    """The operation of the crate `image`, its numbers and a note, where it has one."""
    if row.op == "gaussian" and row.sigma:
        return "blur", [[row.sigma]], ""
    if row.op == "unsharp":
        return "unsharp", [[row.sigma]], "its own blur"
    if row.op == "gaussian":
        return "smoothing", [[row.taps]], "the size's σ instead of fixed taps"
    if row.op in ("separable", "box") and row.taps == 3:
        column, line = row.numbers if row.op == "separable" else [[1 / 3] * 3] * 2
        return "3x3", [[c * r for c in column for r in line]], "in 2D"
    return None


class Contest:
    """A row at one size, with everybody who takes part."""

    def __init__(self, row, options, libraries, source, skip):
        self.row, self.options, self.libraries, self.source = row, options, libraries, source
        self.out = aligned(source.shape, TYPES[row.output])
        self.skip, self.handles, self.list = set(skip), [], []
        self.width, self.height = source.shape[1], source.shape[0]

    def enter(self, name, make, **more):
        """`make` gives a call, or a call and how to fetch its result; `None` is no such row."""
        family = name.partition(" ")[0]
        if family not in ("twopass", "apply", *self.options["peers"]):
            return
        if name in self.skip:
            crashed = Contestant(name, None)
            crashed.status = "crashed"
            self.list.append(crashed)
            return
        try:
            made = make()
        except Exception as error:  # noqa: BLE001 — a peer's failure is a result
            absent = Contestant(name, None)
            absent.status = f"unavailable: {error}"
            self.list.append(absent)
            return
        if isinstance(made, tuple):
            call, result, note = made
            self.list.append(Contestant(name, call, result, note=note, **more))
        elif made is not None:
            self.list.append(Contestant(name, made, **more))

    def rust(self, library, contestant, mode, operation=None, numbers=None):
        def make():
            threads = self.options["threads"]
            spec = self.row.spec(
                contestant, mode, self.width, self.height, threads, operation, numbers
            )
            handle = self.libraries[library].contestant(spec)
            self.handles.append(handle)
            return handle.call(self.source, self.out)

        return make

    def taps(self):
        """A 2D kernel, one of ours only by name as the definition of an impulse. Else nothing."""
        row, k = self.row, self.row.taps
        if row.operation == "dense":
            return np.array(row.numbers[0]).reshape(k, k)
        if row.operation not in ("unsharp", "dog", "log", "disc", "motion"):
            return None
        impulse = np.zeros((k + 2, k + 2), np.float32)
        impulse[k // 2 + 1, k // 2 + 1] = 1.0
        plain = dataclasses.replace(row, sample="f32", out="f32")
        handle = self.libraries["twopass"].contestant(
            plain.spec("twopass", "portable", k + 2, k + 2, 1)
        )
        taps = handle.exact(impulse, (1, 1, k, k), 1)[::-1, ::-1, 0]
        handle.close()
        # A motion's window is flatter than wide.
        empty = [np.flatnonzero(taps.any(axis=axis))[0] for axis in (1, 0)]
        return np.ascontiguousarray(taps[empty[0] : k - empty[0], empty[1] : k - empty[1]])

    def invite(self):
        row, source, out = self.row, self.source, self.out
        taps = self.taps()
        work = 0 if taps is None else taps.size * source.size
        self.enter("twopass", self.rust("twopass", "twopass", self.options["level"]))
        if row.id in FRESH:
            self.enter("apply", self.rust("twopass", "apply", self.options["level"]))
        self.enter("OpenCV", lambda: opencv(row, source, out, taps))
        threads = self.options["threads"]
        self.enter("ffmpeg", lambda: with_ffmpeg(row, source, threads), interior=True)
        # What the others are told of a kernel.
        told = None if taps is None else ("dense", [taps.ravel(), taps.shape])
        if row.operation == "separable":
            self.enter("libblur exact", self.rust("libblur", "libblur", "exact"))
            if row.sample != "f32":
                self.enter("libblur fixed", self.rust("libblur", "libblur", "fixed"))
            gaussian = row.op in ("gaussian", "curve-gaussian")
            if row.sample == "u8" and gaussian and self.options["avx512"]:
                self.enter("libblur avx512", self.rust("libblur-avx512", "libblur", "fixed"))
        elif taps is not None:
            if row.output == row.sample and work <= DIRECT:
                self.enter("libblur exact", self.rust("libblur", "libblur", "exact", *told))
            if row.output == row.sample == "u8" and row.channels == 1 and row.taps > 9:
                self.enter("libblur fft", self.rust("libblur", "libblur", "fft", *told))
        elif row.operation == "box":
            self.enter("libblur exact", self.rust("libblur", "libblur", "exact"), interior=True)
        if row.curve:
            return
        slow = {"slow": True}
        edges = {"slow": True, "interior": True}
        if row.op == "unsharp":
            self.enter("imageproc", self.rust("imageproc", "imageproc", "default"), **edges)
        elif work <= PLODDING:
            self.enter(
                "imageproc", self.rust("imageproc", "imageproc", "default", *(told or ())), **edges
            )
        if found := of_image(row):
            *operation, note = found
            make = self.rust("imageproc", "image", "default", *operation)
            self.enter("image", lambda: (make(), None, note), **edges)
        self.enter("libvips", lambda: with_vips(row, source), **edges)
        self.enter("Pillow", lambda: with_pillow(row, source), **edges)
        if row.channels == 1 and (taps is not None or row.taps * source.size <= PATIENCE):
            self.enter("SciPy", lambda: with_scipy(row, source, out, taps), **slow)

    def rectangles(self):
        """Places to check, and whether each is far from all edges."""
        taps = self.row.taps
        kernels = 2 if self.row.op == "sobel" else 1
        pixels = CHECKED / (16 * kernels * taps**2 * self.row.channels)
        height = min(self.height // 8, 12)
        width = int(min(max(pixels / height, 8), self.width // 8, 512))
        # A third of the image is more than any kernel reaches.
        for j in range(4):
            for i in range(4):
                x = (self.width - width) * i // 3
                y = (self.height - height) * j // 3
                yield (x, y, width, height), i in (1, 2) and j in (1, 2)

    def check(self):
        """Everybody's first call. Ours comes first and is what the others are held against."""
        integer = self.row.output != "f32"
        expected, first = [], None
        # An eighth of the range is no inaccuracy.
        wrong = (np.iinfo(TYPES[self.row.output]).max if integer else 1.0) / 8
        clock = clock_of(self.options)
        for contestant in self.list:
            if contestant.status != "ok":
                continue
            self.out.fill(77)
            self.options["running"](self.row.id, contestant.name)
            start = clock()
            try:
                contestant.call()
            except Exception as error:  # noqa: BLE001 — a peer's failure is a result
                contestant.status = f"failed: {error}"
                continue
            if contestant.slow:
                contestant.times.append((clock() - start) / 1e6)
            if not expected:
                # The definition belongs to the first contestant's library.
                for rect, inside in self.rectangles():
                    values = self.handles[0].exact(self.source, rect, self.row.channels)
                    if integer:
                        limits = np.iinfo(TYPES[self.row.output])
                        values = np.clip(np.floor(values + 0.5), limits.min, limits.max)
                    expected.append((rect, inside, values))
            found = self.out if contestant.result is None else contestant.result()
            errors = {True: 0.0, False: 0.0}
            for (x, y, width, height), inside, values in expected:
                part = found[y : y + height, x : x + width].reshape(values.shape)
                error = float(np.abs(part.astype(np.float64) - values).max())
                errors[inside] = max(errors[inside], error)
            contestant.error = errors[True]
            if not contestant.interior:
                contestant.edges = errors[False]
            if first is not None and errors[True] > wrong:
                contestant.status = f"wrong: by {errors[True]:g}"
                continue
            if first is None:
                first = found.copy()
            elif not contestant.interior:
                contestant.difference = max(
                    float(np.abs(a.astype(np.float64) - b).max())
                    for a, b in zip(np.array_split(found, 64), np.array_split(first, 64))
                )
        ours = self.list[0]
        if ours.status != "ok":
            raise SystemExit(f"{self.row.id}: {ours.status}")
        error = max(ours.error, ours.edges)
        if error > (1.0 if integer else 1e-4):
            raise SystemExit(f"{self.row.id}: our error is {error}")

    def time(self):
        copy = copying((self.source.nbytes + self.out.nbytes) // 2)
        turns = [c for c in self.list if c.status == "ok"] + [copy]
        take_turns(turns, self.options, lambda name: self.options["running"](self.row.id, name))
        self.copy = min(copy.times)

    def run(self):
        self.invite()
        about = self.handles[0].about() if self.handles else ""
        self.check()
        gc.disable()
        self.time()
        gc.enable()
        for handle in self.handles:
            handle.close()
        contestants = {}
        for c in self.list:
            entry = {"status": c.status}
            if c.times and c.status == "ok":
                entry |= {"ms": min(c.times), "median_ms": float(np.median(c.times))}
                entry |= {"calls": len(c.times), "error": c.error}
                if c.difference is not None:
                    entry["difference_from_ours"] = c.difference
                entry["edge_error"] = c.edges
                if c.interior:
                    entry["border"] = "own"
                if c.note:
                    entry["note"] = c.note
            contestants[c.name] = entry
        row = self.row
        return {
            "id": row.id, "op": row.op, "size": row.size, "taps": row.taps, "group": row.group,
            "sample": row.sample, "output": row.output, "channels": row.channels,
            "curve": row.curve, "width": self.width, "height": self.height,
            "threads": self.options["threads"], "copy_ms": self.copy, "plan": about,
            # Above the number of threads, somebody else was at work too.
            "load": os.getloadavg()[0],
            "contestants": contestants,
        }  # fmt: skip


def main():
    order = json.load(sys.stdin)
    options = order["options"]
    with open(order["marker"], "r+b") as file:
        marker = mmap.mmap(file.fileno(), 256)

    def running(row, name):
        marker[:] = f"{row}\n{name}".encode().ljust(256, b"\0")

    options["running"] = running
    cv2.setNumThreads(options["threads"])
    pyvips.cache_set_max(0)
    libraries = {}
    for name, path in order["libraries"].items():
        if os.path.exists(path):
            libraries[name] = Library(path)
    vips = ".".join(str(pyvips.version(i)) for i in range(3))
    say({
        "versions": {
            "OpenCV": f"{cv2.__version__} ({cv2.getCPUFeaturesLine().strip()};"
            f" IPP {'on' if cv2.ipp.useIPP() else 'off'})",
            "libvips": f"{vips} (pyvips {pyvips.__version__})",
            "Pillow": PIL.__version__,
            "SciPy": scipy.__version__,
            "NumPy": np.__version__,
            "ffmpeg": f"{av.ffmpeg_version_info} (PyAV {av.__version__})",
        }
    })  # fmt: skip
    width, height = SIZES[options["size"]]
    rows = {row.id: row for row in all_rows()}
    sources = {}
    for name in order["rows"]:
        row = rows[name]
        shape = (height, width) if row.channels == 1 else (height, width, row.channels)
        key = (row.sample, row.channels)
        if key not in sources:
            sources.clear()
            sources[key] = picture(shape, row.sample)
        skip = order["skip"].get(name, [])
        say({"row": Contest(row, options, libraries, sources[key], skip).run()})


if __name__ == "__main__":
    main()
