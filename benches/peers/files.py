#!/usr/bin/env python3
"""Files: the program against other ways to filter photographs on disk.

Whole processes, from start to exit, on one 4K photograph at one thread and on a folder of them at
two, as PNG and as JPEG. Writes `files.json` and `files.md`. Standard library only; the Python peers
come from the virtual environment of the board.
"""

import argparse
import datetime
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from board import HERE, ROOT, cpu, note, output, python, table

OURS = "filter"
# A peer's files count as similar up to this, as a part of ours.
SIMILAR = 1.15
# What is asked for: our time in the best peer's.
WANTED = {"png": 3.0, "jpg": 1.1}
# libvips' PNG files are twice as large as ours by default. These are its settings that come
# closest to our size in the least time, of those with levels 1 to 6 and any filter.
VIPS_TUNED = "[compression=3,filter=up]"
# All write JPEG files of one quality, with whole colour.
JPEG = "[Q=90]"
QUALITY = ["--quality", "90"]


class Peer:
    """`command` makes the command line from (threads, kernel, extension, out folder, files)."""

    def __init__(self, name, command, folder=True, kernels=("gaussian",), only=None):
        self.name, self.command, self.folder = name, command, folder
        self.kernels, self.only = kernels, only


def peers(program, interpreter):
    script = [interpreter, HERE / "files_peer.py"]

    def ours(threads, kernel, extension, out, files):
        flags = ["--sigma", "2", "--size", "13"] if kernel == "gaussian" else []
        flags += QUALITY if extension == "jpg" else []
        return [program, *files, "--kernel", kernel, *flags, "--out-dir", out,
                "--threads", threads, "--quiet"]  # fmt: skip

    def own(name, tuned=""):
        def command(threads, kernel, extension, out, files):
            suffix = JPEG if extension == "jpg" else tuned
            return [*script, name, threads, kernel, suffix, out, *files]

        return command

    def each(one):
        """A tool that takes one file: as many at a time as there are threads."""

        def command(threads, kernel, extension, out, files):
            if len(files) == 1:
                return one(files[0], os.path.join(out, os.path.basename(files[0])), extension)
            line = one('"$1"', f'{out}/"$(basename "$1")"', extension)
            line = " ".join(map(str, line)).replace("[", "'['").replace("]", "']'")
            run = f"printf '%s\\0' \"$@\" | xargs -0 -n 1 -P {threads} sh -c '{{}}' sh"
            # The line stands in a file of its own: no quoting of quotes.
            script = os.path.join(out, "one.sh")
            pathlib.Path(script).write_text(line + "\n")
            return ["sh", "-c", run.replace("sh -c '{}' sh", f"sh {script}"), "sh", *files]

        return command

    def vips(tuned=""):
        def one(file, out, extension):
            suffix = JPEG if extension == "jpg" else tuned
            return ["vips", "gaussblur", file, out + suffix, "2", "--min-ampl", "0.011"]

        return each(one)

    def magick(file, out, extension):
        quality = ["-quality", "90"] if extension == "jpg" else []
        return ["convert", "-limit", "thread", "1", file, "-blur", "6x2", *quality, out]

    both = ("gaussian", "sobel")
    found = [
        Peer(OURS, ours, kernels=both),
        Peer("OpenCV", own("opencv"), kernels=both),
        Peer("OpenCV, pool", own("opencv-pool"), kernels=both),
        Peer("pyvips", own("pyvips")),
        Peer("pyvips, tuned", own("pyvips", VIPS_TUNED), only="png"),
    ]
    if shutil.which("vips"):
        found.append(Peer("vips", vips()))
        found.append(Peer("vips, tuned", vips(VIPS_TUNED), only="png"))
    if "ImageMagick 6" in output("convert", "--version"):
        # Takes minutes for a folder.
        found.append(Peer("ImageMagick", each(magick), folder=False))
    return found


def timed(command, threads, cpus):
    """Seconds from start to exit, and seconds of all processors in it."""
    count = str(threads)
    environment = os.environ | {
        "VIPS_CONCURRENCY": "1",
        "OMP_NUM_THREADS": "1",
        "MAGICK_THREAD_LIMIT": "1",
        "RAYON_NUM_THREADS": count,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)),
        env=environment,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, used


def row(contestants, kernel, extension, files, threads, options, place, interpreter):
    """All contestants in turn, round by round; the least time of each."""
    several = len(files) > 1
    chosen = [
        p for p in contestants
        if kernel in p.kernels and p.only in (None, extension) and (p.folder or not several)
        and (several or p.name != "OpenCV, pool")
    ]  # fmt: skip
    allowed = sorted(os.sched_getaffinity(0))
    cpus = allowed[-threads:]
    found = {p.name: {"wall": [], "cpu": []} for p in chosen}
    rounds = options.folder_rounds if several else options.rounds
    start = time.perf_counter()
    for turn in range(rounds):
        for peer in chosen:
            entry = found[peer.name]
            slow = turn and min(entry["wall"]) * (turn + 1) > options.patience
            if slow:
                continue
            out = place / peer.name.replace(", ", "-")
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            command = peer.command(threads, kernel, extension, str(out), list(map(str, files)))
            wall, used = timed(command, threads, cpus)
            entry["wall"].append(wall)
            entry["cpu"].append(used)
            made = out / files[0].name
            entry["bytes"] = made.stat().st_size
            if len(list(out.glob(f"*.{extension}"))) != len(files):
                sys.exit(f"{peer.name} did not write all files")
            keep = place / f"keep-{peer.name.replace(', ', '-')}.{extension}"
            shutil.copy(made, keep)
            entry["kept"] = str(keep)
            shutil.rmtree(out)
    if extension == "png" and not several:
        names = [OURS, *(n for n in found if n != OURS)]
        kept = [found[n]["kept"] for n in names]
        lines = output(interpreter, HERE / "files_peer.py", "compare", *kept).split()
        for name, line in zip(names[1:], lines, strict=True):
            found[name]["difference"] = int(line)
    for entry in found.values():
        del entry["kept"]
        entry["ms"] = 1e3 * min(entry.pop("wall")) / len(files)
        entry["cpu_ms"] = 1e3 * min(entry.pop("cpu")) / len(files)
    ours = found[OURS]
    for entry in found.values():
        entry["ratio"] = entry["ms"] / ours["ms"]
        entry["cpu_ratio"] = entry["cpu_ms"] / ours["cpu_ms"]
    similar = {n: e for n, e in found.items()
               if n != OURS and e["bytes"] <= SIMILAR * ours["bytes"]}  # fmt: skip
    best = min(similar, key=lambda n: similar[n]["ms"], default=None)
    what = f"{kernel}, {extension}, {len(files)} file(s), {threads} thread(s)"
    note(f"{what}: " + ", ".join(
        f"{n} {e['ms']:.0f} ms ({e['ratio']:.2f}×)" for n, e in found.items()
    ) + f"; {time.perf_counter() - start:.0f} s")  # fmt: skip
    return {
        "kernel": kernel,
        "format": extension,
        "files": len(files),
        "threads": threads,
        "load": os.getloadavg()[0],
        "best": best,
        "ratio": found[best]["ratio"] if best else None,
        "wanted": WANTED[extension],
        "contestants": found,
    }


def split(program, photo, place, rounds):
    """Where our own time goes, of the fastest run."""
    runs = []
    for _ in range(rounds):
        command = [program, photo, "--kernel", "gaussian", "--sigma", "2", "--size", "13",
                   "--threads", "1", *(QUALITY if photo.suffix == ".jpg" else []), "--json", "-o", place / f"split{photo.suffix}"]  # fmt: skip
        cpus = sorted(os.sched_getaffinity(0))[-1:]
        start = time.perf_counter()
        done = subprocess.run(
            list(map(str, command)), capture_output=True, check=True, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )  # fmt: skip
        whole = 1e3 * (time.perf_counter() - start)
        runs.append({"whole_ms": whole} | json.loads(done.stdout)["times"])
    return min(runs, key=lambda r: r["whole_ms"])


def start_up(program, place):
    """Milliseconds of doing nothing, and of one pixel."""
    pixel = place / "pixel.pgm"
    pixel.write_bytes(b"P5\n1 1\n255\n\x80")
    found = {}
    for name, command in {
        "--version": [program, "--version"],
        "1×1": [program, pixel, "--kernel", "box", "-o", place / "out.pgm", "--quiet"],
    }.items():
        found[name] = 1e3 * min(timed(command, 1, os.sched_getaffinity(0))[0] for _ in range(20))
    return found


def markdown(board):
    about = board["about"]
    yield "# Files"
    yield ""
    yield f"{about['date']}, {about['cpu']}, `{about['command']}`, commit {about['commit']}."
    yield ""
    yield "; ".join(f"{name} {version}" for name, version in about["versions"].items()) + "."
    yield ""
    yield (
        f"{about['photo']}. Milliseconds a file, of whole processes: minima of interleaved rounds;"
        " in brackets time of all processors. Ratios are time of the peer ÷ time of ours. The"
        f" best peer is the fastest whose files are at most {SIMILAR} times as large as ours."
        " Differences are from our picture, 16 pixels away from its edges."
    )
    yield ""
    for row in board["rows"]:
        many = "one file" if row["files"] == 1 else f"{row['files']} files"
        yield f"## {row['kernel']}, {row['format']}, {many}, {row['threads']} thread(s)"
        yield ""
        if row["best"]:
            verdict = "reached" if row["ratio"] >= row["wanted"] else "missed"
            used = row["contestants"][row["best"]]["cpu_ratio"]
            yield (f"Best peer: {row['best']}, {row['ratio']:.2f}× (of processor time"
                   f" {used:.2f}×); {row['wanted']}× is wanted: {verdict}.")  # fmt: skip
            yield ""
        yield f"Load average at the end: {row['load']:.1f}."
        yield ""
        lines = []
        for name, entry in row["contestants"].items():
            difference = entry.get("difference")
            lines.append([
                name, f"{entry['ms']:.0f} ({entry['cpu_ms']:.0f})", f"{entry['ratio']:.2f}",
                f"{entry['cpu_ratio']:.2f}", f"{entry['bytes'] / 1e6:.2f}",
                "" if difference is None else f"±{difference}",
            ])  # fmt: skip
        yield from table(["", "ms", "ratio", "CPU ratio", "MB a file", "difference"], lines)
    yield "## Where our time goes, one thread"
    yield ""
    lines = [
        [name, *(f"{part[key]:.1f}" for key in
                 ("whole_ms", "decode_ms", "filter_ms", "encode_ms", "write_ms"))]
        for name, part in board["split"].items()
    ]  # fmt: skip
    yield from table(["", "whole process, ms", "decode", "filter", "encode", "write"], lines)
    for name, ms in board["start_up"].items():
        yield f"Start-up, `{name}`: {ms:.1f} ms (10 ms is wanted)."
        yield ""


def versions(interpreter):
    text = "import cv2, pyvips; print(cv2.__version__); print(*map(pyvips.version, range(3)), sep='.')"
    cv, vips = output(interpreter, "-c", text).split()
    found = {"OpenCV": cv, "pyvips-binary": vips}
    tool = output("vips", "--version").split()
    magick = output("convert", "--version").split()
    found |= {"vips": tool[0].removeprefix("vips-")} if tool else {}
    found |= {"ImageMagick": magick[2]} if len(magick) > 2 and magick[1] == "ImageMagick" else {}
    rust = output("rustc", "--version").split()
    return found | {"rustc": rust[1] if rust else "?"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=pathlib.Path, help="a picture instead of the drawn one")
    parser.add_argument("--program", type=pathlib.Path, help="a release build [default: made now]")
    parser.add_argument("--format", action="append", choices=["png", "jpg"])
    parser.add_argument("--kernel", action="append", choices=["gaussian", "sobel"])
    parser.add_argument("--rounds", type=int, default=7, help="of one file (7)")
    parser.add_argument("--folder-rounds", type=int, default=2, help="of the folder (2)")
    parser.add_argument("--files", type=int, default=50, help="in the folder (50; 0 leaves it out)")
    parser.add_argument("--patience", type=float, default=15.0, metavar="S",
                        help="seconds for all rounds of one contestant, after its first (15)")  # fmt: skip
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results")
    return parser.parse_args()


def main():
    options = arguments()
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    out = options.out or target / "peers"
    out.mkdir(parents=True, exist_ok=True)
    program = options.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "filter"],
                       cwd=ROOT, check=True)  # fmt: skip
        program = target / "release/filter"
    interpreter = python(target / "peers/venv", HERE / "requirements.txt")
    with tempfile.TemporaryDirectory(prefix="twopass-files-") as folder:
        place = pathlib.Path(folder)
        script = [interpreter, HERE / "files_peer.py"]
        if options.photo:
            subprocess.run([*script, "convert", place, options.photo], check=True)
            photo = f"{options.photo.name}, as PNG and as JPEG of quality 92, 4:2:0"
        else:
            subprocess.run([*script, "draw", place, ROOT / "assets/scene.png"], check=True)
            photo = "A drawn scene of 3840×2160 with texture and noise, as PNG and as JPEG 4:2:0"
        board = {
            "about": {
                "date": datetime.date.today().isoformat(),
                "cpu": cpu()[0],
                "command": " ".join(["python3 benches/peers/files.py", *sys.argv[1:]]),
                "commit": output("git", "describe", "--always", "--dirty") or "unknown",
                "photo": photo,
                "versions": versions(interpreter),
            },
            "start_up": start_up(program, place),
            "split": {},
            "rows": [],
        }
        contestants = peers(program, interpreter)
        for extension in options.format or ["png", "jpg"]:
            one = place / f"photo.{extension}"
            board["split"][extension] = split(program, one, place, options.rounds)
            album = place / f"album-{extension}"
            album.mkdir()
            many = [album / f"{n:03}.{extension}" for n in range(options.files)]
            for path in many:
                os.link(one, path)
            for kernel in options.kernel or ["gaussian"]:
                for files, threads in ([one], 1), (many, 2):
                    if files:
                        board["rows"].append(row(
                            contestants, kernel, extension, files, threads, options, place,
                            interpreter,
                        ))  # fmt: skip
                    (out / "files.json").write_text(json.dumps(board, indent=1, ensure_ascii=False))
                    (out / "files.md").write_text("\n".join(markdown(board)))
    note(f"written: {out / 'files.json'}, {out / 'files.md'}")


if __name__ == "__main__":
    main()
