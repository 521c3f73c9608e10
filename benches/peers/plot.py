"""Draws time against kernel size from a board's JSON: board.svg beside it."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

PANELS = (
    ("curve-box", "box", "radius"),
    ("curve-gaussian", "Gaussian", "taps a side"),
    ("curve-dense", "dense", "taps a side"),
)


def main():
    path = pathlib.Path(sys.argv[1])
    board = json.loads(path.read_text())
    matplotlib.rcParams["svg.hashsalt"] = "board"
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), constrained_layout=True)
    rows = [row for row in board["rows"] if row["curve"]]
    for panel, (op, title, label) in zip(panels, PANELS):
        here = [row for row in rows if row["op"] == op]
        if op == "curve-box":
            x = [row["taps"] // 2 for row in here]
        else:
            x = [row["taps"] for row in here]
        for name, colour in (("OpenCV", "#999999"), ("twopass", "#c0392b")):
            y = [row["contestants"][name].get("ms") for row in here]
            panel.plot(x, y, "o-", color=colour, markersize=3.5, linewidth=1.4, label=name)
        panel.set(title=title, xlabel=label, ylabel="milliseconds", ylim=(0, None), xlim=(0, None))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    if rows:
        first = rows[0]
        size = f"{first['width']}×{first['height']}"
        title = f"{size}, u8, one channel, {first['threads']} thread(s)"
        figure.suptitle(f"{title}, {board['about']['cpu']}", fontsize=9)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
