# SPDX-License-Identifier: Apache-2.0
"""What was left behind.

A census is a snapshot of everything a sandbox could leave: processes (zombies too), mounts, cgroups,
descriptors of the test itself, files of HUTCH_HOME, of /tmp, /run and the like. Taken before a test
and compared after it; what is new and may not stay fails the test. hutch removes some things off the
path of the caller (the sweeper), so the comparison waits up to three seconds for a clean result.

The test is a subreaper: orphans of what it started, and of what those started, become its children.
So the processes that count are simply those below it, whatever they are called and wherever they live,
and strangers on the same machine do not count. Orphans that have ended are collected, as init would.
"""

import os
import re
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from .persona import PLAIN, SUB, SUB_COUNT, SUB_FIRST, kill_quietly, libc

SETTLE_SECONDS = 15.0
SWEEP_SECONDS = 90.0  # more, while a sweeper is at it: it yields to everybody else on the machine (SCHED_IDLE)
PR_SET_CHILD_SUBREAPER = 36
SHOWN = 20  # lines of a report

# What HUTCH_HOME may hold when no sandbox lives: caches, the fixtures of a store, and emptied
# wrappers of writable layers, kept for the next sandbox.
MAY_STAY = re.compile(
    r"run|run/ranges|run/\.free(/[^/]+(/lock)?)?|data|data/ranges|data/(boxes|trash|pool|layers|images)"
    r"|data/(layers|images)/.*|data/pool/[^/]+(/g\d+(/(upper|work))?|/old(/\d+(/work|/incompat.*)?)?)?"
)
# Scratch directories of other programs of this project.
SCRATCH = re.compile(r"hutch-(tests|bench|fuzz)[-.]")
WATCHED = ("/tmp", "/var/tmp", "/run", "/dev/shm", "/run/lock", "/var/lib")


@dataclass
class Snapshot:
    processes: dict[int, tuple[int, str]] = field(default_factory=dict)  # pid: start time, what it is
    mounts: set[str] = field(default_factory=set)
    cgroups: set[str] = field(default_factory=set)
    descriptors: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)


# ---- processes ------------------------------------------------------------------------------------


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _processes() -> dict[int, dict]:
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        status = _read(f"/proc/{entry}/stat")
        if not status:
            continue
        comm = status[status.index(b"(") + 1 : status.rindex(b")")].decode(errors="replace")
        rest = status[status.rindex(b")") + 2 :].split()
        command = _read(f"/proc/{entry}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        found[int(entry)] = {"comm": comm, "state": rest[0].decode(), "parent": int(rest[1]),
                             "started": int(rest[19]), "command": command}
    return found


def adopt_orphans() -> None:
    """From now on this process is what init is to the orphans below it."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(keep: set[int]) -> None:
    """Collects ended children, but for those in @keep, for which somebody waits."""
    for pid, process in _processes().items():
        if process["parent"] == os.getpid() and process["state"] == "Z" and pid not in keep:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass  # collected meanwhile


def count_processes() -> dict[int, tuple[int, str]]:
    """All processes below this one: pid: (start time, description)."""
    everybody = _processes()
    counted = {}
    for pid, process in everybody.items():
        above, seen = process["parent"], {pid}
        while above in everybody and above not in seen and above != os.getpid():
            seen.add(above)
            above = everybody[above]["parent"]
        if above == os.getpid():
            what = f"{process['comm']} ({process['state']}) {process['command'][:100]}"
            counted[pid] = (process["started"], what)
    return counted


# ---- the rest -------------------------------------------------------------------------------------


def _cgroups() -> set[str]:
    """Directories of all hierarchies that bear our name."""
    found = set()
    for top in ("/sys/fs/cgroup",):
        for root, dirs, _ in os.walk(top):
            found.update(os.path.join(root, d) for d in dirs if "hutch" in d)
    return found


def _descriptors() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} -> {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:
            pass  # the one that listed
    return found


def _files(home: Path) -> set[str]:
    found = set()
    for root, dirs, files in os.walk(home):
        for name in dirs + files:
            path = os.path.relpath(os.path.join(root, name), home)
            if not MAY_STAY.fullmatch(path):
                found.add(path)
    return found


def _ours(path: str, name: str) -> bool:
    """An entry of a shared directory that hutch or one of the test users made."""
    if "hutch" in name:
        return not SCRATCH.match(name)
    try:
        uid = os.lstat(path).st_uid
    except OSError:
        return False
    return uid in (SUB[1], PLAIN[1]) or SUB_FIRST <= uid < SUB_FIRST + SUB_COUNT


def _entries() -> set[str]:
    found = set()
    for top in WATCHED:
        try:
            names = os.listdir(top)
        except OSError:
            continue
        for name in names:
            path = os.path.join(top, name)
            if not _ours(path, name):
                continue
            found.add(path)
            if name.startswith("hutch"):
                for root, dirs, files in os.walk(path):
                    found.update(os.path.join(root, n) for n in dirs + files)
    return found


def take(home: Path) -> Snapshot:
    return Snapshot(
        processes=count_processes(),
        mounts=set(Path("/proc/self/mountinfo").read_text().splitlines()),
        cgroups=_cgroups(),
        descriptors=_descriptors(),
        files=_files(home),
        entries=_entries(),
    )


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """What @after has and @before has not, one line each."""
    new = [f"process {pid}: {what}" for pid, (started, what) in after.processes.items()
           if before.processes.get(pid, (None, ""))[0] != started]
    for name, old, now in (
        ("mount", before.mounts, after.mounts),
        ("cgroup", before.cgroups, after.cgroups),
        ("descriptor", before.descriptors, after.descriptors),
        ("file in HUTCH_HOME", before.files, after.files),
        ("entry", before.entries, after.entries),
    ):
        new += [f"{name}: {thing}" for thing in sorted(now - old)]
    return new


def left_behind(before: Snapshot, home: Path, waited_for: set[int],
                seconds: float = SETTLE_SECONDS) -> list[str]:
    """The differences that stay after a while; empty: none. @waited_for: see reap_orphans()."""
    deadline = time.monotonic() + seconds
    while True:
        reap_orphans(waited_for)
        new = differences(before, take(home))
        sweeps = any("hutch-sweeper" in line for line in new)
        if not new or time.monotonic() > deadline + sweeps * SWEEP_SECONDS:
            return new[:SHOWN] + ([f"and {len(new) - SHOWN} more"] if len(new) > SHOWN else [])
        time.sleep(0.05)


def clean_up(before: Snapshot) -> None:
    """After a test that failed: ends what it left, so that the next one starts clean."""
    for pid, (started, _) in count_processes().items():
        if before.processes.get(pid, (None, ""))[0] != started:
            kill_quietly(pid)
    for line in set(Path("/proc/self/mountinfo").read_text().splitlines()) - before.mounts:
        target = line.split()[4]
        if "hutch" in target:
            subprocess.run(["umount", "--lazy", target], capture_output=True, check=False)


def tree(path: Path) -> dict[str, tuple]:
    """A directory as it is (type, mode, owner, size, content or target), to see that it stayed so."""
    found = {}
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            full = os.path.join(root, name)
            st = os.lstat(full)
            what: object = st.st_rdev
            if stat.S_ISREG(st.st_mode):
                what = _read(full)
            elif stat.S_ISLNK(st.st_mode):
                what = os.readlink(full)
            found[os.path.relpath(full, path)] = (st.st_mode, st.st_uid, st.st_gid, what)
    return found
