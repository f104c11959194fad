#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# symbols.py - check that hutch.h, libhutch.map and the libraries name the same functions
#
# usage: symbols.py [--library libhutch.so] [--archive libhutch.a]
#        symbols.py --write      write libhutch.map anew from hutch.h
#
# How it works: every function of include/hutch.h carries HUTCH_PUBLIC and ends its comment with
# "Since: X.Y"; libhutch.map gives it the version HUTCH_X.Y (its first release, never changed). What
# the libraries export is asked of nm.
"""Check that hutch.h, libhutch.map and the libraries name the same functions."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/hutch.h"
MAP = ROOT / "libhutch.map"


def of_header() -> dict[str, str]:
    """Each public function, with the version that has it first."""
    found: dict[str, str] = {}
    since = None
    text = HEADER.read_text()
    pattern = r"Since: (\d+\.\d+)|^HUTCH_PUBLIC\b[^;{]*?\b(hutch_\w+)\s*\("
    for match in re.finditer(pattern, text, re.M):
        if match.group(1):
            since = match.group(1)
        elif since:
            found[match.group(2)] = since
    return found


def of_map() -> dict[str, str]:
    found: dict[str, str] = {}
    for version, body in re.findall(r"^HUTCH_([\d.]+) \{(.*?)^\}", MAP.read_text(), re.M | re.S):
        for name in re.findall(r"^\s*(hutch_\w+);", body, re.M):
            found[name] = version
    return found


def exported(nm: list[str], path: str) -> set[str]:
    """The names a library defines for others."""
    out = subprocess.run([*nm, "--defined-only", path], capture_output=True, text=True, check=True).stdout
    names = set()
    for line in out.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "TDBRWV":
            names.add(words[2].split("@")[0])
    return names


def map_text() -> str:
    versions: dict[str, list[str]] = {}
    for name, since in of_header().items():
        versions.setdefault(since, []).append(name)
    text = "# The functions of libhutch with their first release. `tools/symbols.py --write` takes them from\n"
    text += "# include/hutch.h; a test compares. A name never moves to another version.\n"
    before = ""
    for since in sorted(versions, key=lambda v: [int(n) for n in v.split(".")]):
        names = "".join(f"\t{name};\n" for name in sorted(versions[since]))
        hide = "" if before else "local:\n\t*;\n"
        text += f"HUTCH_{since} {{\nglobal:\n{names}{hide}}}{before};\n"
        before = f" HUTCH_{since}"
    return text


def compare(what: str, names: set[str], wanted: set[str]) -> int:
    for name in sorted(wanted - names):
        print(f"symbols.py: {what} lacks {name}")
    for name in sorted(names - wanted):
        print(f"symbols.py: {what} has {name}, which hutch.h does not declare")
    return len(names ^ wanted)


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--write", action="store_true")
    ask.add_argument("--library")
    ask.add_argument("--archive")
    args = ask.parse_args()
    if args.write:
        MAP.write_text(map_text())
        return 0
    header = of_header()
    wanted = set(header)
    problems = compare("libhutch.map", set(of_map()), wanted)
    for name, since in of_map().items():
        if header.get(name, since) != since:
            problems += 1
            print(f"symbols.py: {name} is of {since} in libhutch.map, of {header[name]} in hutch.h")
    if args.library:
        names = {n for n in exported(["nm", "-D"], args.library) if not n.startswith("HUTCH_")}
        problems += compare(args.library, names, wanted)
    if args.archive:
        problems += compare(args.archive, exported(["nm", "-g"], args.archive), wanted)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
