#!/usr/bin/env python3
"""The board of the layers: this crate against the runtimes of networks.

Makes a virtual environment and builds this crate's contestant below the target folder, runs every
row in one process for each number of threads (`layers_contest.py`), and writes `layers.json` and
`layers.md`. Standard library only.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import sys
from dataclasses import dataclass

sys.dont_write_bytecode = True

import board

PEERS = ("LiteRT", "ONNX Runtime", "Keras", "OpenVINO", "OpenCV")
# Width, height, channels, side of the kernel, outputs, stride.
SHAPES = (
    (224, 224, 3, 5, 256, 1),
    (224, 224, 3, 5, 64, 1),
    (112, 112, 32, 3, 64, 1),
    (56, 56, 128, 3, 128, 1),
    (28, 28, 256, 3, 256, 1),
    (1920, 1080, 3, 3, 32, 1),
    (224, 224, 3, 3, 32, 2),
)
# The body of MobileNetV1 (1.0, 224): channels in, channels out, stride.
BLOCKS = (
    (32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2),
    *[(512, 512, 1)] * 5, (512, 1024, 2), (1024, 1024, 1),
)  # fmt: skip
# A picture beyond a usual second-level cache of 1 MB, in and out of the depthwise half.
BEYOND_L2 = 1 << 20


@dataclass(frozen=True)
class Layer:
    kind: str
    side: int
    stride: int
    inputs: int
    outputs: int
    activation: str = "none"

    def line(self):
        """As `rust/src/layers.rs` reads it."""
        sizes = {
            "depthwise": f"{self.side} {self.side} {self.stride}",
            "pointwise": f"{self.outputs}",
            "conv": f"{self.side} {self.side} {self.stride} {self.outputs}",
        }
        return f"{self.kind} {sizes[self.kind]} {self.activation}"

    def dims(self):
        """Of the weights, in Keras order."""
        last = (self.inputs, 1 if self.kind == "depthwise" else self.outputs)
        return (self.side, self.side, *last)


def depthwise(side, stride, channels, activation="none"):
    return Layer("depthwise", side, stride, channels, channels, activation)


def pointwise(inputs, outputs, activation="none"):
    return Layer("pointwise", 1, 1, inputs, outputs, activation)


@dataclass(frozen=True)
class Row:
    op: str
    width: int
    height: int
    channels: int
    layers: tuple
    sample: str = "f32"
    # The same window and output as one ordinary convolution.
    ordinary: tuple = ()

    @property
    def id(self):
        shape = f"{self.width}x{self.height}x{self.channels}"
        if self.op in ("mobilenet", "mix"):
            return f"{self.op}/{shape}/{self.sample}"
        window = next((f"{y.side}x{y.side}" for y in self.layers if y.kind != "pointwise"), "1x1")
        stride = "/2" if any(y.stride == 2 for y in self.layers) else ""
        return f"{self.op}/{shape}/{window}{stride}/{self.layers[-1].outputs}"

    def shapes(self, layers=None):
        """Width, height and channels of every layer's output."""
        width, height = self.width, self.height
        for layer in self.layers if layers is None else layers:
            width, height = -(-width // layer.stride), -(-height // layer.stride)
            yield width, height, layer.outputs

    def multiplications(self, layers=None):
        layers = self.layers if layers is None else layers
        total = 0
        for layer, (width, height, channels) in zip(layers, self.shapes(layers)):
            inputs = 1 if layer.kind == "depthwise" else layer.inputs
            total += width * height * channels * layer.side**2 * inputs
        return total

    def spec(self, how, level, threads, layers=None):
        lines = [layer.line() for layer in (self.layers if layers is None else layers)]
        sizes = f"{self.width} {self.height} {self.channels} {threads}"
        types = f"{self.sample} {self.sample}"
        return " | ".join([f"{how} {level}", types, sizes, *lines])


def all_rows():
    for width, height, channels, side, outputs, stride in SHAPES:
        first = depthwise(side, stride, channels)
        second = pointwise(channels, outputs)
        ordinary = Layer("conv", side, stride, channels, outputs)
        w, h = -(-width // stride), -(-height // stride)
        yield Row("depthwise", width, height, channels, (first,))
        yield Row("pointwise", w, h, channels, (second,))
        yield Row("separable", width, height, channels, (first, second), ordinary=(ordinary,))
        yield Row("conv", width, height, channels, (ordinary,))
    layers = []
    for inputs, outputs, stride in BLOCKS:
        layers += [depthwise(3, stride, inputs, "relu6"), pointwise(inputs, outputs, "relu6")]
    yield Row("mobilenet", 112, 112, 32, tuple(layers))
    for sample in ("u8", "f32"):
        yield Row("mix", 3840, 2160, 3, (pointwise(3, 3),), sample)


def unique(rows):
    """Two shapes differ only in outputs: their depthwise halves are one row."""
    return list({row.id: row for row in reversed(list(rows))}.values())[::-1]


def best(row):
    """The fastest peer, and its time ÷ ours."""
    found = [(r, p) for p in PEERS if (r := board.ratio(row, p)) is not None]
    return min(found, default=(None, None))


def milliseconds(row, name):
    return row["contestants"].get(name, {}).get("ms")


def share(row):
    """Of the machine's peak of multiply-adds."""
    return row["gfma"] / row["peak"]


def wanted(row, rows):
    """What a row must reach against its best peer."""
    op = row["op"]
    if op == "separable":
        # Where the mix alone is at the machine's limit, nobody can be much faster.
        mixes = [r for r in rows if r["op"] == "pointwise" and r["threads"] == row["threads"]]
        limit = any(r["mix"] == row["mix"] and share(r) >= 0.9 for r in mixes)
        return 0.95 if limit else 1.0
    if op == "mix":
        return 1.2 if row["sample"] == "u8" else 1.0
    return {"depthwise": 1.0, "pointwise": 0.9, "mobilenet": 0.95}.get(op)


def behind(rows):
    """Rows that miss what is asked of them: what, how much, and what was asked."""
    for row in rows:
        size = [row["id"], str(row["threads"])]
        (ratio, peer), least = best(row), wanted(row, rows)
        if ratio is not None and least is not None and ratio < least:
            yield [*size, f"{peer} {ratio:.2f}", f"{least:g}"]
        ours = milliseconds(row, "twopass")
        apart = milliseconds(row, "apart")
        if row["op"] == "separable" and apart and row["bytes"] > BEYOND_L2 and apart < 1.2 * ours:
            yield [*size, f"our two passes {apart / ours:.2f}", "1.2"]
        if row["op"] == "mix" and row["sample"] == "f32" and ours > 1.15 * row["copy_ms"]:
            yield [*size, f"a memory copy {row['copy_ms'] / ours:.2f}", f"{1 / 1.15:.2f}"]


MEANS = {"depthwise": 1.3, "pointwise": 1.0, "separable": 1.25}


def markdown(results):
    about = results["about"]
    yield "# The board of the layers"
    yield ""
    yield f"{about['date']}, {about['cpu']}, `{about['command']}`, commit {about['commit']}."
    yield ""
    yield "; ".join(f"{name} {version}" for name, version in about["versions"].items()) + "."
    yield ""
    for name, why in about["absent"].items():
        yield f"{name} does not take part: {why}"
        yield ""
    if about["clock"] == "cpu":
        yield "Times are those that the process had a core, since the machine was busy."
        yield ""
    yield (
        "Ratios are time of the peer ÷ time of ours, minima of one run: above 1 we are faster. In"
        " brackets the peer's time in milliseconds and its largest error against the definition,"
        " as a part of the largest output (in levels for u8). G/s are multiplications a second as"
        " written, padding included, in billions; the share is that of the fused multiply-adds"
        " that a loop of nothing else does in the same run. `copy` is a memory copy that moves as"
        " many bytes as input and output have. ONNX Runtime and OpenVINO read and write channel"
        " by channel (NCHW), the others pixel by pixel (NHWC)."
    )
    yield ""
    loads = [row["load"] for row in results["rows"]]
    if loads:
        yield f"Load average during the run: {min(loads):.1f} to {max(loads):.1f}."
        yield ""
    yield "## Behind"
    yield ""
    worst = list(behind(results["rows"]))
    if worst:
        yield from board.table(["row", "threads", "against", "wanted"], worst)
    else:
        yield "No row."
        yield ""
    for threads in dict.fromkeys(row["threads"] for row in results["rows"]):
        rows = [row for row in results["rows"] if row["threads"] == threads]
        yield f"## {threads} thread(s)"
        yield ""
        lines = []
        for op in dict.fromkeys(row["op"] for row in rows):
            ratios = [b[0] for row in rows if row["op"] == op and (b := best(row))[0]]
            if ratios:
                mean = board.geometric(ratios)
                want = f"{MEANS[op]:g}" if op in MEANS else ""
                lines.append([op, f"{min(ratios):.2f}", f"{mean:.2f}", want])
        if lines:
            yield from board.table(
                ["against the best peer", "least", "geometric mean", "wanted mean"], lines
            )
        peers = [p for p in PEERS if any(p in row["contestants"] for row in rows)]
        head = ["row", "ours, ms", "G/s", "share of peak", "error", "copy, ms", "best peer", *peers]
        lines = []
        for row in rows:
            ours = row["contestants"]["twopass"]
            ratio, peer = best(row)
            line = [row["id"], f"{ours['ms']:.3g}", f"{row['gfma']:.1f}", f"{share(row):.0%}"]
            line += [error(row, ours), f"{row['copy_ms']:.3g}"]
            line += [f"**{ratio:.2f}** {peer}" if peer else ""]
            lines.append(line + [cell(row, p) for p in peers])
        yield from board.table(head, lines)
        lines = []
        for row in rows:
            ours, apart = milliseconds(row, "twopass"), milliseconds(row, "apart")
            if not apart:
                continue
            line = [row["id"], f"{ours:.3g}", f"{apart / ours:.2f}"]
            if ordinary := milliseconds(row, "ordinary"):
                fewer = row["ordinary_multiplications"] / row["multiplications"]
                line += [f"{ordinary / ours:.1f}", f"{fewer:.1f}"]
            lines.append(line + [""] * (5 - len(line)))
        if lines:
            yield "What fusing buys, and what separability does, in our own passes:"
            yield ""
            yield from board.table(
                ["row", "ours, ms", "layer by layer ÷ fused", "ordinary convolution ÷ fused",
                 "its multiplications ÷ ours"], lines)  # fmt: skip


def error(row, entry):
    return f"±{entry['error']:.1e}" if row["sample"] == "f32" else f"±{entry['error']:g}"


def cell(row, peer):
    entry = row["contestants"].get(peer)
    if entry is None:
        return ""
    if "ms" not in entry:
        return entry["status"].partition(":")[0]
    return f"{board.ratio(row, peer):.2f} ({entry['ms']:.3g}, {error(row, entry)})"


def line_of(row):
    cells = [f"{p} {r:.2f}×" for p in PEERS if (r := board.ratio(row, p)) is not None]
    for name in ("apart", "ordinary"):
        if name in row["contestants"]:
            cells.append(f"{name} {board.ratio(row, name):.2f}×")
    ours = row["contestants"]["twopass"]["ms"]
    return f"{row['threads']} {row['id']:32} {ours:8.4f} ms {share(row):4.0%}  " + ", ".join(cells)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--rows", default="", metavar="REGEX", help="rows whose id matches")
    parser.add_argument("--threads", default="1", metavar="LIST", help="such as 1,2")
    parser.add_argument("--rounds", type=int, help="rounds of all contestants (15)")
    parser.add_argument("--budget", type=float, help="seconds a row, after three rounds (6)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: time of the process, for one thread on a busy machine",
    )  # fmt: skip
    parser.add_argument("--level", default="default", help="our instruction set")
    parser.add_argument("--no-peers", action="store_true", help="only our own passes")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results")
    return parser.parse_args()


def main():
    options = arguments()
    counts = [int(n) for n in options.threads.split(",")]
    if options.clock == "cpu" and counts != [1]:
        sys.exit("--clock cpu adds up the time of all threads: it is for one")
    target = board.ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "peers"
    out = options.out or target
    out.mkdir(parents=True, exist_ok=True)
    paths = board.libraries(target, ("twopass",))
    interpreter = board.python(target / "layers-venv", board.HERE / "layers-requirements.txt")
    settings = {
        "rounds": options.rounds or (4 if options.quick else 15),
        "slow_rounds": 1,
        "budget": options.budget or (1.0 if options.quick else 6.0),
        "clock": options.clock,
        "level": options.level,
        "peers": not options.no_peers,
    }
    rust = board.output("rustc", "--version")
    results = {
        "about": {
            "date": datetime.date.today().isoformat(),
            "cpu": board.cpu()[0],
            "command": "python3 benches/peers/layers.py " + " ".join(sys.argv[1:]),
            "commit": board.output("git", "describe", "--always", "--dirty") or "unknown",
            "clock": options.clock,
            "level": options.level,
            "versions": {"rustc": rust.split()[1] if rust else "?"},
            "absent": {},
        },
        "rows": [],
    }
    chosen = [row.id for row in unique(all_rows()) if re.search(options.rows, row.id)]
    for threads in counts:
        order = {"options": settings | {"threads": threads}, "rows": chosen, "libraries": paths}
        rows, said = board.run(interpreter, order, "layers_contest.py", line_of)
        results["rows"] += rows
        results["about"]["absent"] |= said.pop("absent", {})
        results["about"]["versions"] |= said
        (out / "layers.json").write_text(json.dumps(results, indent=1, ensure_ascii=False))
        (out / "layers.md").write_text("\n".join(markdown(results)))
    board.note(f"written: {out / 'layers.json'}, {out / 'layers.md'}")


if __name__ == "__main__":
    main()
