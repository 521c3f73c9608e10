"""Draws time against size, both in powers, from a board's JSON.

    target/peers/venv/bin/python benches/peers/plot.py benches/peers/results/sizes.json docs/sizes.svg

Its points are the rows of `u8` × 1, those that are for the plot only among them.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from board import LIBBLUR

PANELS = (
    ("gaussian", "Gaussian", "σ"),
    ("box", "box", "taps a side"),
    ("unsharp", "unsharp", "σ"),
    ("disc", "disc", "taps a side"),
    ("dense", "dense", "taps a side"),
)
LINES = (
    ("twopass", ("twopass",), "#c0392b", "o"),
    ("OpenCV", ("OpenCV",), "#4a6fa5", "s"),
    ("libblur, its fastest", LIBBLUR, "#c98b1b", "^"),
    ("ffmpeg", ("ffmpeg",), "#5f6b6d", "D"),
)


def points(rows, op, by_sigma, names):
    """Size and milliseconds of the fastest of these, in the order of sizes."""
    found = {}
    for row in rows:
        if row["op"].removeprefix("curve-") != op or row["size"].startswith("sigma") != by_sigma:
            continue
        times = [row["contestants"].get(name, {}).get("ms") for name in names]
        if times := [ms for ms in times if ms is not None]:
            found[float(row["size"].removeprefix("sigma"))] = min(times)
    return sorted(found.items())


def main():
    path = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else path.with_suffix(".svg")
    board = json.loads(path.read_text())
    rows = [row for row in board["rows"] if (row["sample"], row["channels"]) == ("u8", 1)]
    # One size and one number of threads: those of the rows that are here for the plot.
    first = next(row for row in rows if row["curve"])
    same = ("width", "threads")
    rows = [row for row in rows if all(row[key] == first[key] for key in same)]
    matplotlib.rcParams["svg.hashsalt"] = "board"
    matplotlib.rcParams["font.size"] = 9
    figure, panels = plt.subplots(2, 3, figsize=(10.5, 6.6), sharey=True, constrained_layout=True)
    for panel, (op, title, label) in zip(panels.flat, PANELS):
        ticks = set()
        for name, names, colour, mark in LINES:
            line = points(rows, op, label == "σ", names)
            if not line:
                continue
            ticks |= {x for x, _ in line}
            ours = name == "twopass"
            panel.plot(
                *zip(*line), marker=mark, color=colour, label=name, markersize=4,
                linewidth=2 if ours else 1.3, zorder=3 if ours else 2,
            )  # fmt: skip
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.set_title(title, loc="left", fontweight="bold")
        # As many of the sizes as there is room for.
        kept = []
        for x in sorted(ticks, reverse=True):
            if not kept or x <= kept[-1] / 1.38:
                kept.append(x)
        panel.set_xticks(kept, [f"{x:g}" for x in kept])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(axis="x", which="minor", bottom=False)
        panel.yaxis.set_major_locator(LogLocator(10))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
        panel.grid(alpha=0.3, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelleft=True)
    for line in panels:
        line[0].set_ylabel("milliseconds")
    # The last place holds the legend.
    corner = panels.flat[-1]
    corner.set_axis_off()
    handles = {}
    for panel in panels.flat:
        for handle, name in zip(*panel.get_legend_handles_labels()):
            handles.setdefault(name, handle)
    order = [name for name, *_ in LINES if name in handles]
    corner.legend([handles[n] for n in order], order, loc="upper left", frameon=False, fontsize=10)
    about = board["about"]
    text = (
        f"{first['width']}×{first['height']} grey, 8 bits,\n{first['threads']} thread,"
        f" less is better.\n{about['cpu'].partition(' (')[0]}, {about['date']}."
        "\n\nffmpeg's Gaussian is recursive,\nand only near to the others'."
    )
    corner.text(0.04, 0.48, text, transform=corner.transAxes, va="top", linespacing=1.5)
    figure.patch.set_facecolor("white")
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()
