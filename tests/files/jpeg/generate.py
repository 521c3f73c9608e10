"""Makes samplings.bin.gz: JPEG files of every mix of sampling factors, and what djpeg makes of them.

Run with cjpeg and djpeg of libjpeg-turbo 2.1.5 (Debian 12: libjpeg-turbo-progs 1:2.1.5-2); the archive is a
list of records, each a line of JSON (name, bytes of the JPEG file, CRC-32 of what `djpeg -pnm` writes) and
the file.
"""

import gzip
import itertools
import json
import os
import random
import subprocess
import tempfile
import zlib

SIZES = [(1, 1), (2, 3), (7, 9), (16, 8), (17, 33), (40, 23), (33, 40)]
# Which components a scan has: in any order, alone or two together.
SCANS = ["0;1;2;", "1;0;2;", "2;1;0;", "0;1 2;", "1 2;0;", "0 1;2;"]


def picture(width, height):
    out = bytearray(b"P6\n%d %d\n255\n" % (width, height))
    for y in range(height):
        for x in range(width):
            edge = 90 if (x // 5 + y // 4) % 2 == 0 else 0
            texture = (x * 7919 + y * 104729) % 31
            out += bytes((x * k + y * 3 + texture + edge) % 256 for k in (5, 2, 9))
    return bytes(out)


def run(args, data):
    done = subprocess.run(args, input=data, capture_output=True)
    # A warning is as bad as a failure.
    return done.stdout if done.returncode == 0 and not done.stderr else None


def main():
    rng = random.Random(19)
    factors = list(itertools.product((1, 2, 4), repeat=2))
    kinds = ["baseline", "progressive", "restart", "arithmetic", *SCANS]
    records = []
    with tempfile.TemporaryDirectory() as folder:
        scans = os.path.join(folder, "scans")
        for i, mix in enumerate(itertools.product(factors, repeat=3)):
            # Units of more than ten blocks can't be interleaved; then it is one of the others' turn.
            for kind in kinds[i % len(kinds) :] + kinds[: i % len(kinds)]:
                args = ["cjpeg", "-quality", "85", "-sample", ",".join("%dx%d" % f for f in mix)]
                if kind in SCANS:
                    with open(scans, "w") as file:
                        file.write(kind.replace(";", ";\n"))
                    args += ["-scans", scans]
                else:
                    args += {"baseline": [], "restart": ["-restart", "3B"]}.get(kind, ["-" + kind])
                width, height = rng.choice(SIZES)
                jpeg = run(args, picture(width, height))
                pixels = jpeg and run(["djpeg", "-pnm"], jpeg)
                if pixels:
                    name = "%s %s %dx%d" % (args[4], kind, width, height)
                    records.append((name, jpeg, zlib.crc32(pixels)))
                    break
    with open("samplings.bin.gz", "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as out:
        for name, jpeg, crc in records:
            head = {"name": name, "bytes": len(jpeg), "crc": crc}
            out.write(json.dumps(head).encode() + b"\n" + jpeg)
    print(len(records), "files")


main()
