"""The rows of the board: what is filtered, and with which taps. Standard library only."""

import math
import random
import struct
from dataclasses import dataclass

SIZES = {"1080p": (1920, 1080), "4k": (3840, 2160), "8k": (7680, 4320)}
# The rows that are also run on images that fit no cache.
LARGE = ("gaussian/3/u8/3", "sobel-x/3/u8/1", "separable/9/f32/3")

# The rows where ours also makes its output anew.
FRESH = ("gaussian/5/u8/3", "separable/9/f32/1")

# OpenCV's fixed taps for σ = 0 and small sizes.
FIXED = {
    3: [1 / 4, 1 / 2, 1 / 4],
    5: [1 / 16, 1 / 4, 3 / 8, 1 / 4, 1 / 16],
    7: [1 / 32, 7 / 64, 7 / 32, 9 / 32, 7 / 32, 7 / 64, 1 / 32],
    9: [n / 256 for n in (4, 13, 30, 51, 60, 51, 30, 13, 4)],
}


@dataclass(frozen=True)
class Row:
    op: str
    size: str
    sample: str
    channels: int
    operation: str  # what the contestants of the Rust library are told
    taps: int  # a side
    out: str = ""
    sigma: float = 0.0  # of a Gaussian; 0 is OpenCV's for the size
    numbers: tuple = ()  # lists of taps, or one number
    curve: bool = False  # for the plot only: ours, OpenCV, libblur and ffmpeg
    asked: bool = False  # only where `--rows` has the operation's name

    @property
    def id(self):
        return f"{self.op}/{self.size}/{self.sample}/{self.channels}"

    @property
    def output(self):
        return self.out or self.sample

    @property
    def group(self):
        if self.curve:
            return self.op
        if self.op in ("dog", "log"):
            return "differences"
        if self.op in ("sobel-x", "scharr-x", "laplacian"):
            return "derivatives"
        if self.op == "gaussian" and self.sample == "u8":
            return "gaussian u8, σ" if self.sigma else "gaussian u8, size"
        return self.op if self.op == "sobel" else f"{self.op} {self.sample}"

    def spec(self, contestant, mode, width, height, threads, operation=None, numbers=None):
        """The line that `rust/src/spec.rs` reads."""
        lists = self.numbers if numbers is None else numbers
        text = " | ".join(" ".join(repr(float(n)) for n in line) for line in lists)
        return (
            f"{contestant} {mode} | {self.sample} {self.output} | "
            f"{width} {height} {self.channels} {threads} | {operation or self.operation} {text}"
        )


def single(value):
    """The nearest `f32`, so that all contestants have the same taps."""
    return struct.unpack("f", struct.pack("f", value))[0]


def gaussian_taps(size, sigma=0.0):
    if sigma == 0.0:
        if size in FIXED:
            return FIXED[size]
        sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    bell = [math.exp(-0.5 * ((i - size // 2) / sigma) ** 2) for i in range(size)]
    total = math.fsum(bell)
    return [b / total for b in bell]


def gaussian(sample, channels, size=0, sigma=0.0, op="gaussian", curve=False):
    size = size or 2 * math.ceil(3 * sigma) + 1
    taps = tuple(gaussian_taps(size, sigma))
    label = f"sigma{sigma:g}" if sigma else str(size)
    return Row(op, label, sample, channels, "separable", size, sigma=sigma, numbers=(taps, taps),
               curve=curve)  # fmt: skip


def separable(sample, channels, size):
    def taps(seed):
        dice = random.Random(seed)
        values = [dice.uniform(0.2, 1.0) * (i + 1) for i in range(size)]
        total = math.fsum(values)
        return tuple(single(v / total) for v in values)

    return Row("separable", str(size), sample, channels, "separable", size,
               numbers=(taps(size), taps(1000 + size)))  # fmt: skip


def dense(sample, channels, size, op="dense", curve=False, asked=False):
    dice = random.Random(size)
    taps = tuple(single(dice.gauss(0.0, 1.0) / size) for _ in range(size * size))
    return Row(op, str(size), sample, channels, "dense", size, numbers=(taps,), curve=curve,
               asked=asked)  # fmt: skip


def box(sample, channels, size, op="box", curve=False):
    return Row(op, str(size), sample, channels, "box", size, numbers=((size,),),
               curve=curve)  # fmt: skip


def named(op, size, out="i16"):
    numbers = ((size,),) if op in ("sobel-x", "sobel", "laplacian") else ()
    return Row(op, str(size), "u8", 1, op, size, out=out, numbers=numbers)


def by_sigma(op, sigma, reach, out="", curve=False):
    """A kernel of a Gaussian of which only ours is told the name; the others get its taps."""
    size = 2 * math.ceil(reach * sigma) + 1
    return Row(op, f"sigma{sigma:g}", "u8", 1, op.removeprefix("curve-"), size, out, sigma,
               ((sigma,),), curve)  # fmt: skip


def shape(op, size, *numbers, curve=False):
    """A kernel of a shape, likewise."""
    return Row(op, str(size), "u8", 1, op.removeprefix("curve-"), size, numbers=(numbers,),
               curve=curve)  # fmt: skip


def all_rows():
    rows = []
    for channels in (1, 3, 4):
        rows += [gaussian("u8", channels, size=k) for k in (3, 5, 7)]
        rows += [gaussian("u8", channels, sigma=s) for s in (2.0, 5.0, 10.0)]
    rows += [gaussian("u16", 1, size=k) for k in (3, 5, 7)]
    rows += [gaussian("f32", 1, size=k) for k in (5, 9, 31)]
    rows += [named("sobel-x", 3), named("sobel-x", 5), named("sobel", 3, out="u8")]
    rows += [named("scharr-x", 3), named("laplacian", 3)]
    for sample, channels in (("u8", 1), ("u8", 3), ("u8", 4), ("u16", 1), ("f32", 1)):
        rows += [box(sample, channels, k) for k in (3, 15, 101)]
    for channels in (1, 3):
        rows += [separable("f32", channels, k) for k in (3, 5, 9, 15, 31)]
    for channels in (1, 3, 4):
        rows += [separable("u8", channels, k) for k in (5, 9)]
    for sample in ("u8", "f32"):
        for channels in (1, 3):
            rows += [dense(sample, channels, k) for k in (3, 5, 7, 11, 15)]
    # Large kernels, and those that are not products.
    rows += [gaussian("u8", 1, sigma=s) for s in (25.0, 50.0, 100.0)]
    rows += [by_sigma("unsharp", s, 3.0) for s in (1.0, 3.0, 10.0, 20.0)]
    rows += [by_sigma("dog", 2.0, 3.0 * 1.6, "i16"), by_sigma("log", 2.0, 4.0, "i16")]
    rows += [shape("disc", k, k // 2) for k in (15, 31, 63)]
    rows += [shape("motion", k, k, 30) for k in (31, 63)]
    rows += [dense("u8", 1, k) for k in (31, 63, 127)]
    # The plot has the rows of u8 × 1 above, and between them these.
    rows += [gaussian("u8", 1, sigma=s, op="curve-gaussian", curve=True) for s in (1.0, 3.0, 7.0, 16.0)]
    rows += [box("u8", 1, k, op="curve-box", curve=True) for k in (5, 9, 33, 201, 401)]
    rows += [by_sigma("curve-unsharp", s, 3.0, curve=True) for s in (2.0, 6.0, 40.0)]
    rows += [shape("curve-disc", k, k // 2, curve=True) for k in (5, 9, 21, 101)]
    rows += [dense("u8", 1, k, op="curve-dense", curve=True) for k in (21, 45, 91)]
    # OpenCV takes transforms from 11 taps a side on.
    for sample in ("u8", "f32"):
        for channels in (1, 3):
            sizes = (11, 15, 21, 31, 45, 63, 91, 127, 191, 255)
            rows += [dense(sample, channels, k, op="large-dense", asked=True) for k in sizes]
    return rows
