#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# rollouts.py - what calls from Python cost beside those from C, and many sandboxes from one asyncio program
#
# usage: bench/python/rollouts.py [--boxes N]      (HUTCH_BUILD: the build directory, "build")
#
# How it works: Python and C (bench/calls.c) take turns, block by block, so that both see the same machine. Figures
# are medians of the blocks' medians; x bare is Python's divided by a bare posix_spawn of /bin/true before and after them (not
# between: to make processes moves us and the shell to one processor here, for some milliseconds).
# Goals are those of the project: at most 30 us more than C for a run, at most 30 us in all for a session's (0.06 x bare on the
# machine for which they were set: 530 us), 0.7 of C's commands a second with 64 sandboxes, an import in 30 ms.
"""What calls from Python cost."""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("HUTCH_BUILD") or ROOT / "build").resolve()
sys.path[:0] = [str(BUILD / "python"), str(ROOT / "tests")]
BLOCKS, CALLS = 15, 60
NITROBOX = "nitrobox' own figures: create 25 ms, command 11 ms, reset 16 ms, delete 2 ms; 94 commands/s; 62.8 resets/s"


def row(name: str, call, c: "Calls", what: str, goal: str) -> None:
    bares = [median(bare)]
    call()
    blocks = [(median(call), c.ask(what, CALLS)) for _ in range(BLOCKS)]
    bares.append(median(bare))
    python, in_c = (statistics.median(block[i] for block in blocks) for i in (0, 1))
    print(f"  {name:<34} {python:9.1f}   {in_c:9.1f}   {python - in_c:+9.1f}   {python / in_c:6.2f}"
          f"   {python / statistics.mean(bares):6.2f}   {goal}")


class Calls:
    """The C program."""

    def __init__(self, rootfs: Path) -> None:
        self.process = subprocess.Popen([str(BUILD / "bench" / "bench_calls"), str(rootfs)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, *words: object) -> float:
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def median(call) -> float:
    took = []
    for _ in range(CALLS):
        since = time.perf_counter()
        call()
        took.append(time.perf_counter() - since)
    return statistics.median(took) * 1e6


def bare() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def calls(hutch, c: Calls, rootfs: Path) -> None:
    print(f"  {'microseconds a call':<34} {'Python':>9}   {'C':>9}   {'more':>9}   {'ratio':>6}   x bare   goal")
    with hutch.Sandbox(image=str(rootfs)) as sb:
        session = sb.session()
        for name, what, call, goal in (("run(\"true\")", "run", lambda: sb.run("true"), "at most +30"),
                                       ("session.run(\"true\")", "session", lambda: session.run("true"), "at most 30: 0.06 x bare"),
                                       ("run([\"/bin/true\"])", "program", lambda: sb.run(["/bin/true"]), "")):
            row(name, call, c, what, goal)


def on_one_processor(hutch, rootfs: Path) -> None:
    """What a call costs: across two processors most of it is the kernel, which wakes up the other one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})  # what is started now stays there, too; in a directory of its own all is
    c = Calls(rootfs)
    with hutch.Sandbox(image=str(rootfs), env_base_dir=str(rootfs.parent / "pinned")) as sb:
        session = sb.session()
        row("session.run, all on one processor", lambda: session.run("true"), c, "session", "at most 30: 0.06 x bare")
    c.end()
    os.sched_setaffinity(0, before)


async def at_once(hutch, rootfs: Path, boxes: int, seconds: float) -> float:
    found = [await hutch.Sandbox.acreate(image=str(rootfs)) for _ in range(boxes)]
    done = 0
    end = time.perf_counter() + seconds

    async def one(sb) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await sb.arun(["/bin/true"])
            done += 1

    since = time.perf_counter()
    await asyncio.gather(*(one(sb) for sb in found))
    took = time.perf_counter() - since
    for sb in found:
        await sb.adelete()
    return done / took


def many(hutch, c: Calls, rootfs: Path) -> None:
    blocks = [(asyncio.run(at_once(hutch, rootfs, 64, 1)), c.ask("many", 1, 64)) for _ in range(5)]
    python, in_c = (statistics.median(block[i] for block in blocks) for i in (0, 1))
    print(f"  commands a second, 64 sandboxes, one thread: asyncio {python:.0f}, C {in_c:.0f}: {python / in_c:.2f} (goal: 0.7)")


async def all_life(hutch, rootfs: Path, boxes: int) -> None:
    since = time.perf_counter()

    async def one() -> None:
        async with await hutch.Sandbox.acreate(image=str(rootfs)) as sb:
            assert (await sb.arun("echo x")).output == "x\n"

    for start in range(0, boxes, 100):
        await asyncio.gather(*(one() for _ in range(min(100, boxes - start))))
    took = time.perf_counter() - since
    print(f"  {boxes} sandboxes created, run once and deleted, 100 at a time: {took:.2f} s, {took / boxes * 1e3:.2f} ms each")


def imports() -> None:
    took = []
    with tempfile.TemporaryDirectory() as compiled:  # as pip compiles what it installs
        env = {**os.environ, "PYTHONPATH": str(BUILD / "python"), "PYTHONPYCACHEPREFIX": compiled}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run([sys.executable, "-c", "import hutch"], env=env, check=True)
        for _ in range(15):
            for code, sign in (("import hutch", 1), ("pass", -1)):
                since = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], env=env, check=True)
                took.append(sign * (time.perf_counter() - since))
    more = [took[i] + took[i + 1] for i in range(0, len(took), 2)]
    print(f"  import hutch: {statistics.median(more) * 1e3:.1f} ms more than an interpreter takes alone (goal: 30)")


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--boxes", type=int, default=1000, help="of the last row")
    args = ask.parse_args()
    import hutch
    from lib import rootfs as tree

    with tempfile.TemporaryDirectory(prefix="hutch-bench-") as scratch:
        rootfs = Path(scratch) / "rootfs"
        tree.build(rootfs)
        os.environ["HUTCH_HOME"] = str(Path(scratch) / "home")
        c = Calls(rootfs)
        calls(hutch, c, rootfs)
        on_one_processor(hutch, rootfs)
        many(hutch, c, rootfs)
        asyncio.run(all_life(hutch, rootfs, args.boxes))
        imports()
        c.end()
        hutch.Sandbox.cleanup_stale()
    print("  " + NITROBOX)


if __name__ == "__main__":
    main()
