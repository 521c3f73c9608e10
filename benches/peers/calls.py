"""What both contests share: the Rust contestants, and how everybody is timed."""

import ctypes
import json
import time

import numpy as np


class Library:
    """A build of the Rust crate."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.board_new.restype = ctypes.c_void_p
        self.text = ctypes.create_string_buffer(1 << 14)

    def contestant(self, spec):
        spec = spec.encode()
        handle = self.lib.board_new(
            spec, ctypes.c_size_t(len(spec)), self.text, ctypes.c_size_t(len(self.text))
        )
        return self.handle(handle)

    def layers(self, spec, weights):
        """A contestant of layers; `weights` are `float32`, in the order of the layers."""
        self.lib.board_layers.restype = ctypes.c_void_p
        spec = spec.encode()
        handle = self.lib.board_layers(
            spec,
            ctypes.c_size_t(len(spec)),
            ctypes.c_void_p(weights.ctypes.data),
            ctypes.c_size_t(weights.size),
            self.text,
            ctypes.c_size_t(len(self.text)),
        )
        return self.handle(handle)

    def peak(self):
        """Does fused multiply-adds for a moment; how many."""
        self.lib.board_peak.restype = ctypes.c_double
        return self.lib.board_peak()

    def handle(self, handle):
        if not handle:
            raise RuntimeError(self.text.value.decode())
        return Handle(self, handle)


class Handle:
    def __init__(self, library, handle):
        self.library, self.handle = library, ctypes.c_void_p(handle)

    def call(self, source, out):
        """A function without arguments that filters `source` into `out`."""
        run, text = self.library.lib.board_run, self.library.text
        arguments = (
            self.handle,
            ctypes.c_void_p(source.ctypes.data),
            ctypes.c_void_p(out.ctypes.data),
            text,
            ctypes.c_size_t(len(text)),
        )

        def call():
            if run(*arguments):
                raise RuntimeError(text.value.decode())

        return call

    def exact(self, source, rect, channels):
        """The definition of a rectangle of the output; of layers, of all of it."""
        x, y, width, height = rect
        values = np.empty((height, width, channels))
        text = self.library.text
        failed = self.library.lib.board_exact(
            self.handle,
            ctypes.c_void_p(source.ctypes.data),
            (ctypes.c_size_t * 4)(*rect),
            ctypes.c_void_p(values.ctypes.data),
            text,
            ctypes.c_size_t(len(text)),
        )
        if failed:
            raise RuntimeError(text.value.decode())
        return values

    def about(self):
        text = self.library.text
        self.library.lib.board_about(self.handle, text, ctypes.c_size_t(len(text)))
        return text.value.decode()

    def close(self):
        self.library.lib.board_free(self.handle)


class Contestant:
    """`call` filters the source; `result` is the output, or a function that fetches it."""

    def __init__(self, name, call, result=None, slow=False, interior=False, note=""):
        self.name, self.call, self.result = name, call, result
        self.slow, self.interior, self.note = slow, interior, note
        self.times, self.status = [], "ok"
        # Largest errors far from the edges and at them, and largest difference from ours.
        self.error = self.edges = self.difference = None


def aligned(shape, dtype):
    """Uninitialised, on a page boundary: no contestant is favoured by chance."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = np.empty(size + 4096, np.uint8)
    start = -block.ctypes.data % 4096
    return block[start : start + size].view(dtype).reshape(shape)


def clock_of(options):
    """What calls are timed with, in nanoseconds."""
    return time.process_time_ns if options["clock"] == "cpu" else time.perf_counter_ns


def take_turns(turns, options, running):
    """Times all contestants in turn, round by round; `running` is told whose turn it is."""
    clock = clock_of(options)
    begun = time.perf_counter()
    for number in range(options["rounds"]):
        for i in range(len(turns)):
            contestant = turns[(i + number) % len(turns)]
            if contestant.slow and (
                number >= options["slow_rounds"] or contestant.times[0] > 1e3
            ):
                continue
            running(contestant.name)
            best = min(contestant.times, default=0.0)
            for _ in range(1 if contestant.slow else 3 if best < 20.0 else 2):
                start = clock()
                contestant.call()
                contestant.times.append((clock() - start) / 1e6)
        if number >= 2 and time.perf_counter() - begun > options["budget"]:
            break


def copying(size):
    """A copy of so many bytes."""
    here, there = aligned((size,), np.uint8), aligned((size,), np.uint8)
    here.fill(1)
    there.fill(2)
    return Contestant("copy", lambda: np.copyto(there, here))


def say(message, file=None):
    print(json.dumps(message), file=file, flush=True)
