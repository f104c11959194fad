#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# rooms.py - check that the code keeps to its house
#
# usage: rooms.py                 check src/; problems are printed as file:line: what
#        rooms.py --write-meson   write src/*/meson.build and man/meson.build anew from what is there
#
# How it works: src/meson.build says which room lies below which (the table `stairs`). A file may
# include headers of its own room, of the rooms below, and hutch.h. A library of others is included
# by one .c file, which the README of its room names. Every file begins by saying what it is for,
# every room has a README that names its files.
"""Check that the code keeps to its house."""

import argparse
import ast
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# Headers of libraries of others, by the name with which src/*/meson.build asks for them.
OTHERS = {
    "seccomp.h": "seccomp.h",
    "jansson.h": "jansson.h",
    "curl/curl.h": "curl/curl.h",
    "archive.h": "archive.h",
    "archive_entry.h": "archive.h",
    "criu/criu.h": "criu/criu.h",
}

# What every C library for Linux has, and the kernel's own.
SYSTEM_DIRS = ("linux/", "asm/", "sys/", "netinet/", "arpa/", "net/")
SYSTEM = set(
    """assert ctype dirent dlfcn elf endian errno fcntl fenv float fnmatch ftw getopt glob grp inttypes
    langinfo libgen limits link locale malloc math mntent netdb paths poll pthread pty pwd regex
    resolv sched semaphore setjmp shadow signal spawn stdalign stdarg stdatomic stdbool stddef stdint
    stdio stdlib stdnoreturn string strings sysexits syslog termios time ucontext unistd utime utmp
    wait wchar wctype""".split()
)

# Headers that the build makes (build/src/), and the one of the unit tests.
MADE = {"box/init_image_path.h", "inside/bash_module_path.h", "guard/baked_filters.inc"}
TEST_HEADERS = {"tap.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
# Programs that only run while building; they may ask a library of others, too.
BUILD_PROGRAMS = {"bake.c"}


def read_stairs() -> dict[str, list[str]]:
    """The table `stairs` of src/meson.build, which is written as Python would write it."""
    text = (SRC / "meson.build").read_text()
    table = re.search(r"^stairs = (\{.*?^\})", text, re.M | re.S)
    if not table:
        sys.exit("rooms.py: src/meson.build has no table `stairs`")
    return ast.literal_eval(table.group(1))


def includes(path: Path):
    """(line number, header, whether in quotes) of each include."""
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found.group(1) or found.group(2), found.group(1) is not None


def is_test(path: Path) -> bool:
    return path.stem.endswith("_test") or path.stem.endswith("_fuzz")


def room_files(room: str, *suffixes: str) -> list[Path]:
    return sorted(p for p in (SRC / room).iterdir() if p.suffix in suffixes and p.is_file())


class House:
    def __init__(self) -> None:
        self.stairs = read_stairs()
        self.problems: list[str] = []
        self.users: dict[str, list[tuple[str, Path, int]]] = {}  # library: who includes it

    def problem(self, path: Path, line: int, what: str) -> None:
        self.problems.append(f"{path.relative_to(ROOT)}:{line}: {what}")

    def check_own(self, room: str, path: Path, line: int, header: str) -> None:
        """An include in quotes."""
        if header == "hutch.h" or header in MADE:
            return
        if header in TEST_HEADERS:
            if not is_test(path):
                self.problem(path, line, f'"{header}" is for tests')
            return
        if "/" not in header:
            self.problem(path, line, f'"{header}": say the room too, "{room}/{header}"')
            return
        other = header.split("/", 1)[0]
        if other not in self.stairs:
            self.problem(path, line, f'"{header}": there is no room {other}/')
        elif other != room and other not in self.stairs[room]:
            below = ", ".join(self.stairs[room]) or "nothing"
            self.problem(path, line, f'"{header}": {room}/ sees {below}, not {other}/')
        elif not (SRC / header).is_file():
            self.problem(path, line, f'"{header}": there is no such file')

    def check_system(self, room: str, path: Path, line: int, header: str) -> None:
        """An include in angle brackets."""
        if header in OTHERS:
            if path.suffix != ".c":
                self.problem(path, line, f"<{header}> belongs into one .c file, not into a header")
            elif not is_test(path) and path.name not in BUILD_PROGRAMS:
                self.users.setdefault(OTHERS[header], []).append((room, path, line))
        elif not header.startswith(SYSTEM_DIRS) and header.removesuffix(".h") not in SYSTEM:
            self.problem(path, line, f"<{header}>: not known; SYSTEM or OTHERS in tools/rooms.py names it")

    def check_head(self, path: Path) -> None:
        lines = path.read_text(errors="replace").splitlines()[:4] + [""] * 4
        if lines[0] != "/* SPDX-License-Identifier: Apache-2.0" or lines[1] != " *":
            self.problem(path, 1, "begins with the SPDX line and an empty comment line")
        elif not lines[2].startswith(f" * {path.name} - "):
            self.problem(path, 3, f"says here what it is for: ' * {path.name} - ...'")

    def check_readme(self, room: str, files: list[Path]) -> None:
        readme = SRC / room / "README.md"
        if not readme.is_file():
            self.problem(readme, 1, "the room has no README.md")
            return
        text = readme.read_text()
        if len(text.splitlines()) > 60:
            self.problem(readme, 61, "is longer than a screen")
        for path in files:
            if path.suffix == ".c" and not is_test(path) and path.name not in text:
                self.problem(readme, 1, f"does not name {path.name}")

    def check_libraries(self) -> None:
        for library, users in sorted(self.users.items()):
            paths = {path for _, path, _ in users}
            if len(paths) == 1:
                continue
            home = sorted(paths)[0].relative_to(ROOT)
            for _, path, line in users:
                self.problem(path, line, f"<{library}> is included by one .c file only (also in {home})")

    def check(self) -> list[str]:
        rooms = [p.name for p in SRC.iterdir() if p.is_dir()]
        for room in sorted(rooms):
            files = room_files(room, ".c", ".h", ".def", ".S")
            if room not in self.stairs:
                if files:
                    self.problem(SRC / room, 1, "this room is not in `stairs` of src/meson.build")
                continue
            for path in files:
                self.check_head(path)
                for line, header, quoted in includes(path):
                    (self.check_own if quoted else self.check_system)(room, path, line, header)
            if files:
                self.check_readme(room, files)
        self.check_libraries()
        return self.problems


# ---- the lists for Meson --------------------------------------------------------------------------

HEAD = """\
# The files of {room}/, one a line. A new file gets its line here; `python3 tools/rooms.py --write-meson`
# writes all these lists anew from what is in the directories, and keeps what stands below "By hand".
#   sources: the room's library          tests: x_test.c, a program each
#   foreign: likewise, and includes a    fuzz: x_fuzz.c, a program each
#     library of others (named in needs)
"""
BY_HAND = "\n# By hand: "


def meson_list(name: str, files: list[Path]) -> str:
    if not files:
        return ""
    return f"{name} = files(\n" + "".join(f"  '{p.name}',\n" for p in files) + ")\n"


def meson_text(room: str) -> str:
    lists: dict[str, list[Path]] = {k: [] for k in ("sources", "foreign", "program", "tests", "fuzz")}
    needs: set[str] = set()
    for path in room_files(room, ".c", ".S"):
        if path.name in BUILD_PROGRAMS:
            continue
        theirs = {OTHERS[h] for _, h, quoted in includes(path) if not quoted and h in OTHERS}
        needs |= theirs
        if path.stem.endswith("_test"):
            lists["tests"].append(path)
        elif path.stem.endswith("_fuzz"):
            lists["fuzz"].append(path)
        elif path.name == "main.c":
            lists["program"].append(path)
        else:
            lists["foreign" if theirs else "sources"].append(path)
    text = HEAD.format(room=room)
    for name, files in lists.items():
        text += meson_list(name, files)
    if needs:
        text += "needs = [" + ", ".join(f"'{n}'" for n in sorted(needs)) + "]\n"
    return text + by_hand(SRC / room / "meson.build")


def by_hand(path: Path) -> str:
    """What of a meson.build is not made here."""
    return "".join(path.read_text().partition(BY_HAND)[1:]) if path.exists() else ""


def man_text() -> str:
    pages = sorted((ROOT / "man").glob("*.scd"))
    head = "# The manual pages, one a line; `python3 tools/rooms.py --write-meson` writes the list anew.\n"
    return head + (meson_list("pages", pages) or "pages = []\n") + by_hand(ROOT / "man/meson.build")


def write_whole(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(text)
    half.rename(path)
    print(f"wrote {path.relative_to(ROOT)}")


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--write-meson", action="store_true", help="write src/*/meson.build anew")
    args = ask.parse_args()
    if args.write_meson:
        for room in read_stairs():
            (SRC / room).mkdir(exist_ok=True)
            write_whole(SRC / room / "meson.build", meson_text(room))
        write_whole(ROOT / "man/meson.build", man_text())
        return 0
    problems = House().check()
    for line in problems:
        print(line)
    if problems:
        print(f"rooms.py: {len(problems)} problems", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
