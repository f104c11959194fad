# SPDX-License-Identifier: Apache-2.0
"""A test that calls hutch as somebody, and looks what is left.

A Case is a unittest.TestCase with:
    self.persona       who calls (self.persona.name is one of PERSONAS)
    self.home          HUTCH_HOME, kept from test to test as a user's would be
    self.tmp           an empty directory of the persona's, removed after the test
    self.rootfs        a small unpacked root file system that the persona owns
    self.hutch(...)    runs hutch to its end, a Result
    self.start(...)    starts it, a Popen that is ended with the test
    self.terminal(...) starts it on a terminal of its own, a Terminal
    self.write(...)    a file below self.tmp, owned by the persona
    self.now()         a clock in seconds
A class that tests deadlines says measures_time = True. What it measures shall not be the machine: self.home is in
memory then (on a disk one mkdir() may take a second), and self.now(), which also gives Result.seconds, is a Watch's.
A test that takes all processors (a fork bomb) says @storm: no test of another lane measures time meanwhile.
The census is taken around every test. A subclass that has setUp() or tearDown() calls super()'s.
"""

import functools
import json
import os
import shutil
import subprocess
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

from . import census, machine, rootfs
from .persona import NAMES, Persona, Session, remove_tree
from .terminal import Terminal
from .watch import Watch


@dataclass
class Result:
    """How a run of hutch ended."""

    argv: list
    code: int  # exit status; -N when a signal ended hutch itself
    out: str
    err: str
    seconds: float

    @property
    def verdict(self) -> dict:
        """What --json said: the last line of stderr."""
        return json.loads(self.err.splitlines()[-1])

    def __str__(self) -> str:
        words = " ".join(map(str, self.argv))
        return f"{words}\n-- exit {self.code} after {self.seconds:.3f} s\n-- stdout\n{self.out}\n-- stderr\n{self.err}"


def storm(test):
    """The test takes all processors: meanwhile nobody measures time, in no lane."""
    test.storms = True
    return test


def only(*names: str):
    """The test (or class) is for these personas; for others it does not exist."""
    for name in names:
        if name not in NAMES:
            raise ValueError(f"no such persona: {name}")

    def mark(thing):
        thing.only_personas = names
        return thing

    return mark


def needs(condition, reason: str):
    """The test is skipped, for @reason, unless condition(case) (or condition(), or a bool) holds."""

    def mark(test):
        @functools.wraps(test)
        def wrapper(self):
            held = condition
            if callable(condition):
                held = condition(self) if condition.__code__.co_argcount else condition()
            if not held:
                self.skipTest(reason)
            test(self)

        return wrapper

    return mark


def debug_build(case: "Case") -> bool:
    """The hutch that is tested has fault points: @needs(debug_build, "not a debug build")."""
    return case.session.debug


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


class Case(unittest.TestCase):
    """See above."""

    persona: Persona
    session: Session
    takes_census = True
    measures_time = False
    maxDiff = None

    # ---- around a test --------------------------------------------------------------------------

    def setUp(self) -> None:
        storms = getattr(getattr(self, self._testMethodName), "storms", False)
        if storms or self.measures_time:
            turn = machine.processors(all_of_them=storms)
            turn.__enter__()
            self.addCleanup(turn.__exit__, None, None, None)
        self.home = (self.persona.memory if self.measures_time else self.persona.dir) / "home"
        self.tmp = self.persona.dir / "tmp"
        for directory in (self.home, self.tmp):
            directory.mkdir(mode=0o700, exist_ok=True)
            self.give(directory)
        self._watch = Watch() if self.measures_time else None
        self._started: list[subprocess.Popen] = []
        self._terminals: list[Terminal] = []
        self._before = census.take(self.home)

    def tearDown(self) -> None:
        if self._watch:
            self._watch.close()
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        for terminal in self._terminals:
            terminal.close()
        remove_tree(self.tmp)
        left = self.left_behind() if self.takes_census else []
        if left:
            census.clean_up(self._before)
            self.fail("left behind:\n  " + "\n  ".join(left))

    def now(self) -> float:
        return self._watch.now() if self._watch else time.monotonic()

    def left_behind(self, seconds: float = census.SETTLE_SECONDS) -> list[str]:
        """The census until now, one line for each thing that should not be there."""
        waited_for = {process.pid for process in self._started}
        return census.left_behind(self._before, self.home, waited_for, seconds)

    # ---- files ----------------------------------------------------------------------------------

    def give(self, path: Path) -> Path:
        """Makes the persona the owner."""
        if self.persona.changes_user():
            os.chown(path, self.persona.uid, self.persona.gid, follow_symlinks=False)
        return path

    def write(self, name: str, content: str | bytes = "", mode: int = 0o644) -> Path:
        """A file below self.tmp, with the directories it needs."""
        path = self.tmp / name
        for parent in reversed(path.relative_to(self.tmp).parents):
            directory = self.tmp / parent
            if not directory.exists():
                directory.mkdir()
                self.give(directory)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return self.give(path)

    def mkdir(self, name: str, mode: int = 0o755) -> Path:
        path = self.tmp / name
        path.mkdir(parents=True)
        path.chmod(mode)
        return self.give(path)

    @property
    def rootfs(self) -> Path:
        """A small root file system (rootfs.py says what is in it). Not to be changed."""
        path = self.persona.dir / "rootfs"
        if not path.exists():
            rootfs.build(path)
            if self.persona.changes_user():
                rootfs.chown(path, self.persona.uid, self.persona.gid)
        return path

    def copy_of_rootfs(self) -> Path:
        """One below self.tmp that the test may change."""
        path = self.tmp / "rootfs"
        shutil.copytree(self.rootfs, path, symlinks=True)
        if self.persona.changes_user():
            rootfs.chown(path, self.persona.uid, self.persona.gid)
        return path

    # ---- running hutch --------------------------------------------------------------------------

    def environment(self, env: dict[str, str] | None = None) -> dict[str, str]:
        return {**self.persona.environment(self.home), **(env or {})}

    def start(self, *args, program: str | None = None, env: dict[str, str] | None = None,
              prefix: list | None = None, without: str = "", **options) -> subprocess.Popen:
        """hutch with @args, in the persona's name; @prefix is what stands before it on the line. The
        system calls of @without ("mount_setattr,openat2") do not exist for it (tests/without.c)."""
        argv = [*(prefix or []), program or self.persona.program, *map(_argument, args)]
        if without:
            argv, as_root = self.session.without(self.persona, without, argv)
            options["as_root"] = as_root
            env = {"ASAN_OPTIONS": "detect_leaks=0", **(env or {})}  # to look for leaks takes some of them
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("cwd", self.tmp)
        process = self.persona.popen(argv, env=self.environment(env), **options)
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen, input: bytes | str | None = None,
               timeout: float = 60, since: float | None = None) -> Result:
        """Waits for the end of what start() started."""
        since = self.now() if since is None else since
        data = input.encode() if isinstance(input, str) else input
        try:
            out, err = process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"did not end within {timeout} s: {process.args}\n{_text(out or b'')}\n{_text(err or b'')}")
        seconds = self.now() - since
        return Result(process.args, process.returncode, _text(out or b""), _text(err or b""), seconds)

    def hutch(self, *args, input: bytes | str | None = None, timeout: float = 60, **options) -> Result:
        """Runs hutch to its end. Without @input its stdin is /dev/null."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        since = self.now()
        return self.finish(self.start(*args, **options), input, timeout, since)

    def run_ok(self, *args, **options) -> Result:
        """hutch with @args, which must end with 0."""
        result = self.hutch(*args, **options)
        self.assertEqual(result.code, 0, str(result))
        return result

    def terminal(self, *args, env: dict[str, str] | None = None, rows: int = 24, columns: int = 80) -> Terminal:
        """hutch with @args on a terminal of its own."""
        terminal = Terminal(self.persona, [self.persona.program, *map(_argument, args)],
                            env=self.environment({"TERM": "xterm", **(env or {})}), cwd=self.tmp,
                            rows=rows, columns=columns)
        self._terminals.append(terminal)
        self._started.append(terminal.process)
        return terminal

    # ---- checks ---------------------------------------------------------------------------------

    def assert_fails(self, result: Result, code: int, *words: str) -> None:
        """hutch ended with @code and one line on stderr that contains all @words."""
        self.assertEqual(result.code, code, str(result))
        self.assertEqual(len(result.err.strip().splitlines()), 1, str(result))
        for word in words:
            self.assertIn(word, result.err, str(result))


def _argument(value) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else str(value)
