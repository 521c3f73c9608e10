#!/usr/bin/env python3
"""The board: this crate against what a user would pick instead.

Makes a virtual environment and builds the Rust contestants below the target folder, runs every
row in a process of its own kind (`contest.py`), and writes `board.json` and `board.md`. Standard
library only.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import venv

sys.dont_write_bytecode = True

from rows import LARGE, SIZES, all_rows

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Library → features, profile, further environment.
BUILDS = {
    "twopass": ("twopass", "release", {}),
    "libblur": ("libblur", "peers", {}),
    # Its feature gates need a nightly compiler, or this, for that one crate.
    "libblur-avx512": ("libblur-avx512", "peers", {"RUSTC_BOOTSTRAP": "libblur"}),
    "imageproc": ("imageproc", "peers", {}),
}
LIBBLUR = ("libblur exact", "libblur fixed", "libblur avx512", "libblur fft")
PEERS = ("OpenCV", *LIBBLUR, "ffmpeg", "libvips", "image", "imageproc", "Pillow", "SciPy")
OURS = ("twopass", "apply", "copy")
FAMILIES = tuple(dict.fromkeys(name.partition(" ")[0] for name in PEERS))
# Pure Rust without instruction sets of its own: what our portable level is held against.
PLAIN = ("image", "imageproc")
# Time of `apply` ÷ time of `run`, at most.
FRESH_LIMIT = 1.5


def note(text):
    print(text, file=sys.stderr, flush=True)


def python(place, requirements):
    """The interpreter of a virtual environment, with everything installed that can be."""
    wanted = requirements.read_text()
    stamp = place / "installed.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        note("installing the Python peers")
        venv.create(place, with_pip=True, clear=True)
        pip = [place / "bin/python", "-m", "pip", "install", "--quiet"]
        if subprocess.run([*pip, "--requirement", requirements]).returncode:
            # Then as many as possible.
            for line in wanted.split():
                if subprocess.run([*pip, line]).returncode:
                    note(f"{line} cannot be installed and does not take part")
        stamp.write_text(wanted)
    return place / "bin/python"


def libraries(target, builds=tuple(BUILDS)):
    """Builds the Rust contestants; one that cannot be built is left out."""
    (target / "lib").mkdir(parents=True, exist_ok=True)
    paths = {}
    for name in builds:
        features, profile, more = BUILDS[name]
        command = ["cargo", "build", "--quiet", "--locked", "--profile", profile]
        # In one folder they would overwrite each other's library, and be built again each time.
        place = target / "build" / name
        command += ["--features", features, "--target-dir", place]
        built = subprocess.run(command, cwd=HERE / "rust", env=os.environ | more)
        paths[name] = str(target / "lib" / f"{name}.so")
        if built.returncode == 0:
            # Another board that runs from this folder keeps the file that it has opened.
            shutil.copy(place / profile / "libboard.so", paths[name] + ".new")
            os.replace(paths[name] + ".new", paths[name])
        elif name == "twopass":
            sys.exit("this crate cannot be built")
        else:
            note(f"{name} cannot be built and does not take part")
            pathlib.Path(paths[name]).unlink(missing_ok=True)
    return paths


def builds_for(peers):
    """The libraries that hold ours and these peers."""
    wanted = {"twopass"} | {"imageproc" if peer == "image" else peer for peer in peers}
    return [name for name in BUILDS if name.partition("-")[0] in wanted]


def run(interpreter, order, script="contest.py", summary=None):
    """Rows at one size and number of threads. Whoever crashes is left out of that row."""
    threads = str(order["options"]["threads"])
    environment = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "RAYON_NUM_THREADS": threads,
        "VIPS_CONCURRENCY": threads,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }
    left, rows, versions = list(order["rows"]), [], {}
    skip = {}
    while left:
        with tempfile.NamedTemporaryFile() as marker:
            marker.write(bytes(256))
            marker.flush()
            now = order | {"rows": left, "skip": skip, "marker": marker.name}
            worker = subprocess.Popen(
                [interpreter, HERE / script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
            json.dump(now, worker.stdin)
            worker.stdin.close()
            for line in worker.stdout:
                message = json.loads(line)
                versions |= message.get("versions", {})
                if "row" in message:
                    rows.append(message["row"])
                    left.remove(message["row"]["id"])
                    note((summary or line_of)(message["row"]))
            code = worker.wait()
            if code == 0:
                return rows, versions
            row, _, name = open(marker.name, "rb").read().rstrip(b"\0").decode().partition("\n")
            if code > 0 or not name or name in OURS or name in skip.get(row, ()):
                sys.exit(f"the contest failed at {row or 'its start'} ({name}, status {code})")
            note(f"{row}: {name} crashed (signal {-code})")
            skip.setdefault(row, []).append(name)
    return rows, versions


def ratio(row, peer):
    """Time of the peer ÷ time of ours."""
    ours, theirs = row["contestants"]["twopass"], row["contestants"].get(peer, {})
    return theirs["ms"] / ours["ms"] if "ms" in theirs and "ms" in ours else None


def fastest_libblur(row):
    found = [r for r in (ratio(row, name) for name in LIBBLUR) if r is not None]
    return min(found, default=None)


def size_of(row):
    return f"{row['width']}×{row['height']}, {row['threads']} thread(s)"


def line_of(row):
    cells = [f"{p} {r:.2f}×" for p in PEERS if (r := ratio(row, p)) is not None]
    ours = row["contestants"]["twopass"]
    return f"{size_of(row)}  {row['id']:28} {ours['ms']:8.3f} ms  " + ", ".join(cells)


def number(error):
    return f"{error:.0f}" if error == int(error) else f"{error:.1e}"


def accuracy(entry):
    """The error, and that at the edges where it is larger."""
    inside, edges = entry["error"], entry["edge_error"]
    text = f"±{number(inside)}"
    if edges is not None and edges > 2 * inside + 1e-6:
        text += f", edges ±{number(edges)}"
    return text


def cell(row, peer):
    entry = row["contestants"].get(peer)
    if entry is None:
        return ""
    if "ms" not in entry:
        return entry["status"].partition(":")[0]
    return f"{ratio(row, peer):.2f} ({entry['ms']:.3g} ms, {accuracy(entry)})"


def geometric(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def table(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for line in lines:
        yield "| " + " | ".join(line) + " |"
    yield ""


def behind(rows):
    """Rows that miss the least that is asked for, worst first."""
    found = []
    for row in rows:
        opencv = ratio(row, "OpenCV")
        if opencv is not None:
            copied = row["copy_ms"] >= 0.9 * row["contestants"]["OpenCV"]["ms"]
            if opencv < (1.0 if copied else 1.1):
                found.append((opencv, "OpenCV", row))
        libblur = fastest_libblur(row)
        if row["op"] == "gaussian" and libblur is not None and libblur < 1.0:
            found.append((libblur, "libblur", row))
        for peer in PLAIN:
            plain = ratio(row, peer)
            if plain is not None and plain < 1.0:
                found.append((plain, peer, row))
    found.sort(key=lambda f: f[0])
    for value, peer, row in found:
        ours = row["contestants"]["twopass"]["ms"]
        yield [row["id"], size_of(row), peer, f"{value:.2f}", f"{ours:.3g}",
               f"{ours * value:.3g}", f"{row['copy_ms']:.3g}"]  # fmt: skip


def markdown(board):
    yield "# The board"
    yield ""
    about = board["about"]
    yield f"{about['date']}, {about['cpu']}, `{about['command']}`, commit {about['commit']}."
    yield ""
    yield "; ".join(f"{name} {version}" for name, version in about["versions"].items()) + "."
    yield ""
    yield (
        "Ratios are time of the peer ÷ time of ours, minima of one run: above 1 we are faster. In"
        " brackets the peer's time and its largest error against the definition, in units of the"
        " output sample (f32 images hold 0 to 1), apart at the edges where it is larger there."
        " Border reflect-101; `*` marks peers that have only a border of their own and are checked"
        " away from the edges. `copy` is a memory copy that moves as many bytes as"
        " input and output have."
    )
    yield ""
    if about.get("clock") == "cpu":
        yield "Times are those that the process had a core, since the machine was busy."
        yield ""
    loads = [row["load"] for row in board["rows"]]
    yield f"Load average during the run: {min(loads):.1f} to {max(loads):.1f}."
    yield ""
    rows = [row for row in board["rows"] if not row["curve"]]
    worst = list(behind(rows))
    yield "## Behind"
    yield ""
    if worst:
        head = ["row", "size", "peer", "ratio", "ours, ms", "peer, ms", "copy, ms"]
        yield from table(head, worst)
    else:
        yield "No row."
        yield ""
    fresh = [(row, r) for row in rows if (r := ratio(row, "apply")) is not None]
    if fresh:
        yield "## A fresh output"
        yield ""
        yield (
            "`run` with plan, workspace and output kept, and `apply`, which makes all of them in"
            f" every call; at most {FRESH_LIMIT:g} is wanted."
        )
        yield ""
        lines = []
        for row, r in fresh:
            times = (row["contestants"][name]["ms"] for name in ("twopass", "apply"))
            cells = [row["id"], size_of(row), *(f"{ms:.3g}" for ms in times)]
            lines.append([*cells, f"{r:.2f}" if r <= FRESH_LIMIT else f"**{r:.2f}**"])
        yield from table(["row", "size", "run, ms", "apply, ms", "apply ÷ run"], lines)
    for size in dict.fromkeys(map(size_of, rows)):
        here = [row for row in rows if size_of(row) == size]
        yield f"## {size}"
        yield ""
        peers = [p for p in PEERS if any(p in row["contestants"] for row in here)]
        lines = []
        for group in [*dict.fromkeys(row["group"] for row in here), "all"]:
            part = [row for row in here if group in ("all", row["group"])]
            line = [group]
            for find in [lambda r: ratio(r, "OpenCV"), fastest_libblur] + [
                lambda r, p=p: ratio(r, p) for p in peers if p not in ("OpenCV", *LIBBLUR)
            ]:
                mean = geometric(v for v in map(find, part) if v is not None)
                line.append(f"{mean:.2f}" if mean else "")
            lines.append(line)
        others = [p for p in peers if p not in ("OpenCV", *LIBBLUR)]
        yield from table(["geometric mean", "OpenCV", "fastest libblur", *others], lines)
        width = here[0]["width"]
        single = {r["id"]: r for r in rows if r["threads"] == 1 and r["width"] == width}
        scaled = here[0]["threads"] > 1 and single
        own = {p for p in peers for row in here
               if row["contestants"].get(p, {}).get("border")}  # fmt: skip
        head = ["row", "ours, ms", "error", "copy, ms"]
        head += ["1 thread ÷ this"] if scaled else []
        head += [p + "*" * (p in own) for p in peers]
        lines = []
        for row in here:
            ours = row["contestants"]["twopass"]
            line = [row["id"], f"{ours['ms']:.3g}", accuracy(ours), f"{row['copy_ms']:.3g}"]
            if scaled:
                one = single.get(row["id"])
                before = one and one["contestants"]["twopass"]["ms"]
                line.append(f"{before / ours['ms']:.2f}" if one else "")
            lines.append(line + [cell(row, p) for p in peers])
        yield from table(head, lines)
    curves = [row for row in board["rows"] if row["curve"]]
    if curves:
        yield f"## Time against size, u8, one channel, {size_of(curves[0])}"
        yield ""
        peers = [p for p in PEERS if any(p in row["contestants"] for row in curves)]
        lines = [
            [row["id"], f"{row['contestants']['twopass']['ms']:.3g}", *(cell(row, p) for p in peers)]
            for row in curves
        ]
        yield from table(["row", "ours, ms", *peers], lines)


def cpu():
    """Name, family and model: virtual machines often give no better name."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    value = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        value.setdefault(key.strip(), rest.strip())
    name = value.get("model name", "unknown CPU")
    place = f"family {value.get('cpu family', '?')} model {value.get('model', '?')}"
    return f"{name} ({place}), {os.cpu_count()} CPUs", value.get("flags", "").split()


def locked(name):
    text = (HERE / "rust/Cargo.lock").read_text()
    found = re.search(rf'name = "{name}"\nversion = "([^"]+)"', text)
    return found.group(1) if found else "?"


def output(*command):
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def families(text):
    names = tuple(text.split(","))
    for name in names:
        if name not in FAMILIES:
            raise argparse.ArgumentTypeError(f"no peer {name!r}; there are {', '.join(FAMILIES)}")
    return names


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1080p, one thread, few rounds")
    parser.add_argument("--rows", default="", metavar="REGEX", help="rows whose id matches")
    parser.add_argument("--size", action="append", choices=SIZES, help="may be repeated")
    parser.add_argument("--threads", action="append", type=int, help="may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of the fast contestants (15)")
    parser.add_argument("--budget", type=float, help="seconds a row, after three rounds (4)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: time of the process, for one thread on a busy machine",
    )  # fmt: skip
    parser.add_argument("--level", default="default", help="our instruction set")
    parser.add_argument(
        "--peers", type=families, default=FAMILIES, metavar="LIST",
        help=f"such as imageproc,image; of {', '.join(FAMILIES)}",
    )  # fmt: skip
    parser.add_argument(
        "--no-slow", action="store_const", dest="peers", const=("OpenCV", "libblur"),
        help="--peers OpenCV,libblur",
    )  # fmt: skip
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results")
    return parser.parse_args()


def main():
    options = arguments()
    quick = options.quick
    sizes = options.size or (["1080p"] if quick else list(SIZES))
    threads = options.threads or ([1] if quick else [1, 2])
    if options.clock == "cpu" and threads != [1]:
        sys.exit("--clock cpu adds up the time of all threads: it is for --threads 1")
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "peers"
    out = options.out or target
    out.mkdir(parents=True, exist_ok=True)
    paths = libraries(target, builds_for(options.peers))
    interpreter = python(target / "venv", HERE / "requirements.txt")
    name, flags = cpu()
    settings = {
        "rounds": options.rounds or (4 if quick else 15),
        "slow_rounds": 1 if quick else 2,
        "budget": options.budget or (0.5 if quick else 4.0),
        "clock": options.clock,
        "level": options.level,
        "peers": options.peers,
        "avx512": "avx512bw" in flags and os.path.exists(paths.get("libblur-avx512", "")),
    }
    rust = output("rustc", "--version")
    board = {
        "about": {
            "date": datetime.date.today().isoformat(),
            "cpu": name,
            "command": "python3 benches/peers/board.py " + " ".join(sys.argv[1:]),
            "commit": output("git", "describe", "--always", "--dirty") or "unknown",
            "clock": options.clock,
            "level": options.level,
            "versions": {"rustc": rust.split()[1] if rust else "?"},
        },
        "rows": [],
    }
    board["about"]["versions"] |= {n: locked(n) for n in ("libblur", "imageproc", "image")}
    for size in sizes:
        for count in threads:
            # The curves are drawn for one size and one thread, and show ours beside OpenCV's, libblur's and ffmpeg's.
            place = size == "4k" and count == min(threads) or "curve" in options.rows
            place = place and "OpenCV" in options.peers
            chosen = [
                row.id
                for row in all_rows()
                if re.search(options.rows, row.id)
                and (size != "8k" or row.id in LARGE)
                and (not row.curve or place)
                and (not row.asked or row.op in options.rows)
            ]
            if not chosen:
                continue
            order = {"options": settings | {"size": size, "threads": count}, "rows": chosen}
            rows, versions = run(interpreter, order | {"libraries": paths})
            board["rows"] += rows
            board["about"]["versions"] |= versions
            (out / "board.json").write_text(json.dumps(board, indent=1, ensure_ascii=False))
            (out / "board.md").write_text("\n".join(markdown(board)))
    note(f"written: {out / 'board.json'}, {out / 'board.md'}")
    if any(row["curve"] for row in board["rows"]):
        subprocess.run([interpreter, HERE / "plot.py", out / "board.json"], check=True)


if __name__ == "__main__":
    main()
