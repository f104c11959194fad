# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any moment, of anybody, and code inside that stops or kills everybody.

How it works: tests/owner.c is a program that does all kinds of work with sandboxes and tells how each step
went. At moments made by chance one of its processes is killed, in turn: itself, its nursery, a keeper, a pid 1
of the inside (also of a state that stands ready), a warm shell or a session's, a command of a shell, a files
helper; or it is asked for a loop of kill(-1, SIGSTOP) or kill(-1, SIGKILL) inside. Then the work must go on: each
step is right, or says that the sandbox or its command was killed, and none hangs. Of a killed program nothing may
be left but its detached sandboxes: each that it had said to be made, whose keeper was not killed and which it was not
about to delete, is there and works. At the end nothing at all.

HUTCH_KILL_SEED and HUTCH_KILL_MOMENTS are those of `tests/kill-anywhere`. A failure names its seed.
"""

import os
import random
import re
import select
import signal
import subprocess
import time
from collections import Counter

from lib import census
from lib.extra import RunCase, everybody, wait_for, where_all_wait

INSIDE = ("stop loop", "kill loop")
VICTIMS = ("owner", "nursery", "keeper", "reaper", "shell", "session", "command", "files") + INSIDE
SHELL_BEGINS = 'bash -c if [ -n "$BASH_VERSION"'
STEPS_AFTER = 6  # that have to go well after each moment
STEP_SECONDS = 60  # the longest a step may take on a loaded machine, before it is said to hang
LOOP_LETTERS = {"stop loop": b"s", "kill loop": b"k"}


def cwd_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def usual_moments(case) -> int:
    """Of the short form: each victim six times, and less often for callers and builds that have others like them."""
    return 6 * len(VICTIMS) if case.persona.name in ("root", "plain") and not case.session.debug else 2 * len(VICTIMS)


class KillAnywhere(RunCase):
    owner = None

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("HUTCH_KILL_SEED") or random.SystemRandom().randrange(1 << 30))
        self.moments = int(os.environ.get("HUTCH_KILL_MOMENTS") or usual_moments(self))
        self.chance = random.Random(f"{self.seed} {self.persona.name} {self._testMethodName}")
        self.counts, self.told = Counter(), Counter()
        self.dead: set[int] = set()  # whom we have killed
        signal.alarm(200 + 4 * self.moments)  # run.py's own limit is for usual tests

    def tearDown(self):
        if self.owner:
            self.owner.kill()
            self.owner.wait()
        for name in self.hutch("ps", "-aq").out.split():
            self.hutch("rm", name)
        super().tearDown()

    # ---- the program -----------------------------------------------------------------------------

    def begin(self, *options) -> None:
        program = self.session.program_for(self.persona, self.session.build / "tests" / "owner")
        words = [str(program), *options, "--seed", str(self.chance.randrange(1 << 30)), str(self.rootfs)]
        self.owner = self.persona.popen(words, env=self.environment(), cwd=self.tmp, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self._started.append(self.owner)
        self.rest, self.last = b"", ""
        self.made: dict[str, int] = {}  # detached sandboxes: name, pid of the keeper
        self.ending, self.starting = set(), False
        self.lines: list[str] = []

    def line(self) -> str:
        """The next line of the program. It must come."""
        while b"\n" not in self.rest:
            if not select.select([self.owner.stdout], [], [], STEP_SECONDS)[0]:
                self.wrong(f"no step has ended for {STEP_SECONDS} s; there are\n  {where_all_wait()}")
            data = os.read(self.owner.stdout.fileno(), 65536)
            if not data:
                self.wrong(f"the program has ended with {self.owner.wait()}: {self.owner.stderr.read().decode()}")
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        self.lines.append(line.decode(errors="replace"))
        return self.lines[-1]

    def drain(self, victim: str = "") -> None:
        """Takes what was said until now."""
        while b"\n" in self.rest or select.select([self.owner.stdout], [], [], 0)[0]:
            self.judge(self.line(), victim)

    def wrong(self, what: str) -> None:
        self.fail(f"--seed {self.seed}: {what}\nlast was {self.last}, after {dict(self.counts)}; the last lines were\n  "
                  + "\n  ".join(self.lines[-12:]))

    def rest_of_it(self) -> None:
        """All that the program said before it was killed."""
        while data := os.read(self.owner.stdout.fileno(), 65536):
            self.rest += data
        while b"\n" in self.rest:
            self.judge(self.line(), "")

    def note(self, how: str, name: str = "", pid: str = "") -> None:
        """What the program says of a detached sandbox."""
        self.starting = how == "starting"
        if how == "made":
            self.made[name] = int(pid)
        elif how == "ending":
            self.made.pop(name, None)
            self.ending.add(name)
        elif how == "ended":
            self.ending.discard(name)

    def judge(self, line: str, victim: str) -> None:
        how = line.split()[0]
        if how in ("starting", "made", "ending", "ended"):
            return self.note(*line.split())
        self.told[how] += 1
        if how == "wrong" and not self.may_be(line, victim):
            self.wrong(f"{victim or 'nobody'} was killed: {line}")

    def may_be(self, line: str, victim: str) -> bool:
        """What is right although it is not what was asked for: a start in the middle of which somebody was killed
        fails; a session whose shell was killed, by itself or with all inside, begins anew, so what one text set the
        next does not find; and a text goes on without a command of its own that was killed, as its shell says."""
        if line.startswith("wrong start: "):
            return self.last in ("nursery", "keeper", "reaper") and re.search(r"ended|killed", line) is not None
        if line.startswith("wrong session: "):
            return bool({"session", "reaper"} & {victim, self.last}) and re.match(r"wrong session: 1 '/var ' came", line) is not None
        return "command" in (victim, self.last) and " Killed " in line

    def go_on(self, victim: str) -> None:
        """Some steps more, whose results are right."""
        well = 0
        while well < STEPS_AFTER:
            line = self.line()
            self.judge(line, victim)
            well += line.startswith("ok ")

    # ---- moments ---------------------------------------------------------------------------------

    def candidates(self, victim: str) -> list[int]:
        """The processes of the program that are such a one."""
        everyone = everybody()
        found = []
        for pid in census.count_processes():
            parent, state, comm, words = everyone.get(pid, (0, "Z", "", ""))
            above = everyone.get(parent, (0, "", "", ""))
            is_shell = words.startswith(SHELL_BEGINS) and above[2] == "hutch-keeper"
            kind = {"hutch-keeper": "keeper", "hutch-files": "files", "hutch-nursery": "nursery"}.get(comm, "")
            if comm == "hutch-init" and above[2] == "hutch-keeper":
                kind = "reaper"
            elif is_shell:
                kind = "session" if cwd_of(pid) == "/var" else "shell"
            elif not kind and above[3].startswith(SHELL_BEGINS):
                kind = "command"
            if kind == victim and state != "Z":
                found.append(pid)
        return sorted(found)

    def kill_one(self, victim: str) -> None:
        deadline = time.monotonic() + 5
        while not (found := self.candidates(victim)):
            self.drain()
            if time.monotonic() > deadline:
                return  # none for a while: not counted
        pid = self.chance.choice(found)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.dead.add(pid)
        self.counts[victim] += 1
        self.drain(victim)  # this may have been said before, and be the doing of the one before
        self.last = victim
        self.go_on(victim)

    def loop(self, victim: str) -> None:
        self.owner.stdin.write(LOOP_LETTERS[victim])
        while not (line := self.line()).startswith(("looped", "unlooped")):
            self.judge(line, victim)
        self.counts[victim] += line.startswith("looped")
        self.go_on(victim)

    def kill_owner(self, *options) -> None:
        """What is its own ends with it; what is detached lives on, and can be used and removed."""
        before = {pid for pid in census.count_processes()}
        self.owner.kill()
        self.owner.wait()
        self.rest_of_it()
        for stream in (self.owner.stdin, self.owner.stdout, self.owner.stderr):
            stream.close()
        self.counts["owner"] += 1
        if options:
            self.live_on()

        def gone() -> bool:
            census.reap_orphans({process.pid for process in self._started})
            return not [p for p, (_, what) in census.count_processes().items() if p in before and "sweep" not in what]

        try:
            wait_for(gone, 15, "the end of all that belonged to the program")
        except AssertionError:
            self.wrong(f"they outlive the program: {sorted(census.count_processes().items())}")
        self.begin(*options)

    def live_on(self) -> None:
        """The detached sandboxes of a killed program, which are removed."""
        there = self.hutch("ps", "-q").out.split()
        must = {name for name, pid in self.made.items() if pid not in self.dead}
        if missing := must - set(there):
            self.wrong(f"with the program ended {sorted(missing)}; there are {there}")
        for name in there:
            result = self.hutch("exec", name, "sh", "-c", "exit 5")
            ends = name in self.ending or (self.starting and name not in self.made)  # the program was killed in the middle
            if result.code != 5 and not (ends and result.code == 125):
                self.wrong(f"'{name}' lives on and is no good: {result}")
            result = self.hutch("rm", name)
            if result.code and name in must:
                self.wrong(f"'{name}' lives on and cannot be removed: {result}")
            self.counts["lived on"] += name in must

    def kill_anywhere(self, *options) -> None:
        self.begin(*options)
        self.go_on("")
        order: list[str] = []
        for _ in range(self.moments):
            if not order:
                order = self.chance.sample(VICTIMS, len(VICTIMS))
            victim = order.pop()
            deadline = time.monotonic() + self.chance.random() * 0.06
            while time.monotonic() < deadline:
                self.drain()
                time.sleep(0.001)
            if victim == "owner":
                self.kill_owner(*options)
            else:
                self.loop(victim) if victim in INSIDE else self.kill_one(victim)
        self.at_the_end()

    def at_the_end(self) -> None:
        self.owner.stdin.close()
        while select.select([self.owner.stdout], [], [], STEP_SECONDS)[0] and (data := os.read(self.owner.stdout.fileno(), 65536)):
            self.rest += data
        if self.owner.wait(STEP_SECONDS):
            self.wrong(f"the program ended with {self.owner.returncode}")
        for stream in (self.owner.stdout, self.owner.stderr):
            stream.close()
        result = self.hutch("cleanup", "--all")  # those that were killed are kept
        if (result.code, result.err) != (0, ""):
            self.wrong(str(result))
        if os.environ.get("HUTCH_KILL_MOMENTS"):
            counts = ", ".join(f"{victim} {self.counts[victim]}" for victim in VICTIMS)
            print(f"  seed {self.seed}, {self.persona.name}, {self._testMethodName}\n    killed: {counts}\n"
                  f"    steps: {dict(self.told)}", flush=True)
        left = self.left_behind()
        if left:
            self.wrong("left behind after hutch cleanup:\n  " + "\n  ".join(left))
        missing = [victim for victim in VICTIMS if not self.counts[victim]]
        if self.moments >= 60 and missing:
            self.wrong(f"there was no moment for {missing}")

    def test_sandboxes_of_a_program(self):
        self.kill_anywhere()

    def test_detached_sandboxes(self):
        self.kill_anywhere("--detached")
