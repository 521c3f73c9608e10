#!/usr/bin/env python3
"""From a board's JSON: the tables of docs/benchmarks.md on standard output, and docs/bars.svg.

    target/peers/venv/bin/python benches/peers/summary.py benches/peers/results/4k.json

The picture needs matplotlib, which the board's virtual environment has.
"""

import json
import pathlib
import sys

from board import LIBBLUR, PLAIN, cell, fastest_libblur, geometric, ratio, table

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# The row of the picture, and its bars from the top.
BARS = "gaussian/sigma2/u8/1"
BAR_NAMES = ("twopass", "libblur", "OpenCV", "libvips", "SciPy", "imageproc")
# Bars are cut off here, in units of ours.
CUT = 14
NAMES = {
    "gaussian": "Gaussian", "sobel-x": "Sobel-x", "sobel": "Sobel magnitude",
    "scharr-x": "Scharr-x", "laplacian": "Laplacian", "dog": "difference of Gaussians",
    "log": "Laplacian of a Gaussian",
}  # fmt: skip
OTHERS = ("ffmpeg", "libvips", *PLAIN, "Pillow", "SciPy")


def short(value):
    return f"{value:.2g}" if value < 9.95 else f"{value:.0f}"


def marked(value):
    """A ratio; in bold where we lose."""
    if value is None:
        return "–"
    text = f"{value:.2f}" if value < 1.1 else f"{value:.1f}"
    return f"**{text}**" if value < 1.0 else text


def sizes(rows):
    labels = [row["size"].replace("sigma", "σ ") for row in rows]
    return ", ".join(labels)


def by_kind(rows):
    kinds = {}
    for row in rows:
        kinds.setdefault((row["op"], row["sample"], row["channels"]), []).append(row)
    return kinds


def compact(rows):
    """A line for each operation and kind of picture, its sizes in order."""
    find = {"OpenCV": lambda row: ratio(row, "OpenCV"), "libblur": fastest_libblur}
    # It stands in the newer tables.
    if any("ffmpeg" in row["contestants"] for row in rows):
        find["ffmpeg"] = lambda row: ratio(row, "ffmpeg")
    lines = []
    for (op, sample, channels), part in by_kind(rows).items():
        ours = " / ".join(short(row["contestants"]["twopass"]["ms"]) for row in part)
        name = f"{NAMES.get(op, op)}, {sample} × {channels}"
        ratios = [" / ".join(marked(of(row)) for row in part) for of in find.values()]
        lines.append([name, sizes(part), ours, *ratios])
    return table(["", "sizes", "ours, ms", *find], lines)


def losses(rows):
    found = []
    for row in rows:
        for peer in row["contestants"]:
            value = ratio(row, peer)
            if peer not in ("twopass", "apply") and value is not None and value < 1.0:
                found.append((value, f"{row['id']}: {peer} takes {value:.2f} of our time"))
    return [text for _, text in sorted(found)]


def nearest(rows, find, count=5):
    values = sorted((value, row["id"]) for row in rows if (value := find(row)) is not None)
    return ", ".join(f"{name} {value:.2f}" for value, name in values[:count])


def means(rows):
    find = {"OpenCV": lambda r: ratio(r, "OpenCV"), "libblur, its fastest mode": fastest_libblur}
    find |= {peer: lambda r, p=peer: ratio(r, p) for peer in OTHERS}
    lines = []
    for peer, of in find.items():
        values = [v for row in rows if (v := of(row)) is not None]
        if values:
            mean, least = geometric(values), min(values)
            lines.append([peer, str(len(values)), f"{mean:.2f}", f"{least:.2f}", f"{max(values):.1f}"])
    return table(["peer", "rows", "geometric mean", "least", "most"], lines)


def bars(board, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "bars"
    row = next(row for row in board["rows"] if row["id"] == BARS)
    times = {name: row["contestants"][name]["ms"] for name in BAR_NAMES if name != "libblur"}
    times["libblur"] = fastest_libblur(row) * times["twopass"]
    limit = CUT * times["twopass"]
    figure, axes = plt.subplots(figsize=(8, 2.7), constrained_layout=True)
    for place, name in enumerate(BAR_NAMES):
        ms, ours = times[name], name == "twopass"
        width = min(ms, limit)
        axes.barh(place, width, color="#c0392b" if ours else "#a5adb5", height=0.7)
        if ms > limit:
            # A bar that is too long has a gap.
            at = 0.93 * limit
            axes.plot([at - 0.2, at + 0.6], [place - 0.5, place + 0.5], color="white", linewidth=5)
        label = f"{ms:.1f} ms" if ms < 99.5 else f"{ms:.0f} ms"
        label += "" if ours else f"  ({ms / times['twopass']:.1f} ×)"
        axes.text(width + 0.01 * limit, place, label, va="center", fontsize=9)
    axes.set_yticks(range(len(BAR_NAMES)), BAR_NAMES, fontsize=10)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * limit)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    about = board["about"]
    size = f"{row['width']}×{row['height']}"
    axes.set_title(
        f"Gaussian blur of σ = 2, {row['taps']} × {row['taps']} taps, {size} grey, 8 bits, one thread",
        fontsize=10, loc="left",
    )  # fmt: skip
    axes.set_xlabel(f"less is better; {about['cpu'].partition(' (')[0]}, {about['date']}", fontsize=8)
    figure.patch.set_facecolor("white")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main():
    board = json.loads(pathlib.Path(sys.argv[1]).read_text())
    about = board["about"]
    rows = [row for row in board["rows"] if not row["curve"]]
    print(f"{about['date']}, {about['cpu']}, `{about['command']}`, commit {about['commit']}; ", end="")
    print("; ".join(f"{name} {version}" for name, version in about["versions"].items()) + ".\n")
    for threads in dict.fromkeys(row["threads"] for row in rows):
        here = [row for row in rows if row["threads"] == threads]
        print(f"### Where we lose, {threads} thread(s)\n")
        print("\n".join(f"- {text}" for text in losses(here)) or "No row of this run.")
        print(f"\nNearest: OpenCV {nearest(here, lambda r: ratio(r, 'OpenCV'))}; ", end="")
        print(f"libblur {nearest(here, fastest_libblur)}.\n")
        print("\n".join(means(here)))
        print("\n".join(compact(here)))
        if any(row["id"] == BARS for row in here):
            line = next(row for row in here if row["id"] == BARS)
            for name in ("OpenCV", *LIBBLUR, *OTHERS):
                print(f"{name}: {cell(line, name)}")
    # The picture is of the large size, with everybody.
    if any(r["id"] == BARS and r["width"] == 3840 and "SciPy" in r["contestants"] for r in rows):
        bars(board, ROOT / "docs/bars.svg")


if __name__ == "__main__":
    main()
