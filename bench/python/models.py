#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The life of a sandbox in hutch beside other packages that have nitrobox's names: create, run, reset, delete.

usage: models.py [--rootfs DIR] [--rounds N] [MODULE[=COMMAND]]...

Each MODULE (nitrobox, agentdocker_lite) is imported by the Python interpreter COMMAND, which is this one unless given;
without any, agentdocker_lite is taken if it is installed. The packages take turns, so that all see the same machine.
Figures are medians in milliseconds. The sum is one of each: create, the first command, a command, a reset, a delete.
"""

import argparse
import concurrent.futures
import importlib
import importlib.util
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(globals().get("__file__", "/a/b/c")).resolve().parent.parent.parent  # another interpreter has the text alone
BUILD = Path(os.environ.get("HUTCH_BUILD") or ROOT / "build").resolve()
SUM = ("create", "first command", "command", "reset", "delete")
STEPS = ("create", "first command", "command", "program", "reset", "first after reset", "delete")
AT_ONCE, SECONDS = 16, 2.0
AT_ONCE_TEXTS = ("true", "/bin/true")


# ---- in the interpreter that has the package --------------------------------------------------------


class Package:
    def __init__(self, module: str, rootfs: str) -> None:
        self.package = importlib.import_module(module)
        self.rootfs = rootfs
        self.count = 0
        if module == "nitrobox":  # it asks a registry about an image that is a directory, three times, with pauses
            importlib.import_module("nitrobox.image.store").get_image_config = lambda *_, **__: None

    def sandbox(self):
        self.count += 1
        config = self.package.SandboxConfig(image=self.rootfs, working_dir="/")
        return self.package.Sandbox(config, name=f"bench-{os.getpid()}-{self.count}")

    def rounds(self, count: int) -> dict:
        took: dict = {step: [] for step in STEPS}

        def timed(step, call, *args):
            since = time.perf_counter()
            result = call(*args)
            took[step].append((time.perf_counter() - since) * 1e3)
            return result

        for _ in range(count):
            sb = timed("create", self.sandbox)
            output, code = timed("first command", sb.run, "echo x")
            assert (output.strip(), code) == ("x", 0), (output, code)
            for _ in range(5):
                timed("command", sb.run, "true")
                timed("program", sb.run, "/bin/true")
            timed("reset", sb.reset)
            timed("first after reset", sb.run, "true")
            timed("delete", sb.delete)
        return took

    def at_once(self, text: str) -> float:
        """Commands a second in 16 sandboxes, a thread for each."""
        boxes = [self.sandbox() for _ in range(AT_ONCE)]
        end = time.perf_counter() + SECONDS

        def one(sb) -> int:
            done = 0
            while time.perf_counter() < end:
                sb.run(text)
                done += 1
            return done

        since = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            done = sum(pool.map(one, boxes))
        took = time.perf_counter() - since
        for sb in boxes:
            sb.delete()
        return done / took


def serve(module: str, rootfs: str) -> None:
    """Does what the lines on stdin say; one line of JSON for each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # for what the package prints
    package = Package(module, rootfs)
    for line in sys.stdin:
        what, arg = line.rstrip("\n").split(" ", 1)
        print(json.dumps(package.rounds(int(arg)) if what == "rounds" else package.at_once(arg)), file=answers, flush=True)


# ---- around it --------------------------------------------------------------------------------------


class Other:
    """The package in its interpreter."""

    def __init__(self, spec: str, rootfs: str) -> None:
        self.name, _, command = spec.partition("=")
        ours = os.pathsep.join(filter(None, (str(BUILD / "python"), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [*(shlex.split(command) or [sys.executable]), "-c", Path(__file__).read_text(), "--serve", self.name,
             "--rootfs", rootfs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=None if command else {**os.environ, "PYTHONPATH": ours})
        self.took: dict = {step: [] for step in STEPS}
        self.rates: dict = {text: [] for text in AT_ONCE_TEXTS}

    def ask(self, what: str, arg: object):
        self.process.stdin.write(f"{what} {arg}\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise SystemExit(f"{self.name} has ended")
        return json.loads(answer)

    def measure_rounds(self, count: int) -> None:
        for step, took in self.ask("rounds", count).items():
            self.took[step] += took

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(specs: list, rootfs: str, rounds: int) -> None:
    found = [Other(spec, rootfs) for spec in specs]
    for other in found:
        other.ask("rounds", 1)
    for _ in range(rounds):
        for other in found:
            other.measure_rounds(1)
    for text in AT_ONCE_TEXTS * 3:
        for other in found:
            other.rates[text].append(other.ask("at_once", text))
    for other in found:
        other.end()

    def row(name: str, values: list, better: int, form: str) -> None:
        ratios = "".join(f"{(value / values[0]) ** better:12.1f}" for value in values[1:])
        print(f"  {name:<36}" + "".join(f"{value:18{form}}" for value in values) + ratios)

    print(f"  {'milliseconds, medians':<36}" + "".join(f"{other.name:>18}" for other in found)
          + "".join(f"{'x':>12}" for _ in found[1:]))
    medians = {step: [statistics.median(other.took[step]) for other in found] for step in STEPS}
    for step in STEPS:
        row(step, medians[step], 1, ".2f")
    row("sum: " + "+".join(word[0] for word in SUM), [sum(column) for column in zip(*(medians[step] for step in SUM))], 1, ".2f")
    for text in AT_ONCE_TEXTS:
        row(f"{AT_ONCE} at once, {text}: commands/s", [statistics.median(other.rates[text]) for other in found], -1, ".0f")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("modules", nargs="*", metavar="MODULE[=COMMAND]")
    ask.add_argument("--rootfs", help="default: a small one, built for this")
    ask.add_argument("--rounds", type=int, default=20)
    ask.add_argument("--serve", help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.serve:
        serve(args.serve, args.rootfs)
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from lib import rootfs as tree

    modules = args.modules or ["agentdocker_lite"] * (importlib.util.find_spec("agentdocker_lite") is not None)
    with tempfile.TemporaryDirectory(prefix="hutch-bench-") as scratch:
        os.environ["HUTCH_HOME"] = str(Path(scratch) / "home")
        if not args.rootfs:
            args.rootfs = str(Path(scratch) / "rootfs")
            tree.build(Path(args.rootfs))
        compare(["hutch", *modules], args.rootfs, args.rounds)


if __name__ == "__main__":
    main()
