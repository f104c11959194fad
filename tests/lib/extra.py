# SPDX-License-Identifier: Apache-2.0
"""What several of the e2e_run_* files need, beside Case.

    RunCase            a Case with short ways to say "run this in a sandbox"
    JobShell           an interactive bash on a terminal, in which hutch is a job
    inside_a_mount()   a file system of its own around a persona's command (root of the machine only)
    everybody(), states()  what runs on the machine
    where_all_wait()  the same for a failure, with what each waits for
    wait_for()         waits until something holds
"""

import json
import os
import select
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from .case import Case, Result
from .persona import is_root_of_machine
from .terminal import Terminal

SLACK_SECONDS = 0.6  # what a loaded machine may add to a deadline
MANY_IDS = ("root", "subuid", "nested-range")
ONE_ID = ("plain", "nested")
PYTHON = shutil.which("python3", path="/usr/local/bin:/usr/bin")  # one that --host shows
# Docker's default capabilities.
DEFAULT_CAPABILITIES = 0x00000000A80425FB
# A Python program that sets the MTU of the loopback (SIOCSIFMTU).
SET_MTU = """
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8922, struct.pack("16si20x", b"lo", 60000))
print("changed")
"""


def wait_for(condition, seconds: float = 5.0, what: str = "the condition"):
    """Waits until condition() is true, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {seconds} s")
        time.sleep(0.005)
    return found


def everybody() -> dict[int, tuple[int, str, str, str]]:
    """All processes of the machine: pid: (parent, state, name, command line)."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
            command = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # ended meanwhile
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        found[int(entry)] = (int(parent), state, stat[stat.index("(") + 1 : stat.rindex(")")], command)
    return found


def where_all_wait() -> str:
    """A line for each process: pid, parent, state, name, command line, and where it is in the kernel."""
    lines = []
    for pid, (parent, state, name, words) in sorted(everybody().items()):
        where = []
        for file in ("wchan", "syscall"):
            try:
                where.append(Path(f"/proc/{pid}/{file}").read_text().strip())
            except OSError as error:
                where.append(str(error.strerror))
        lines.append(f"{pid} {parent} {state} {name} [{words[:60]}] {' '.join(where)}")
    return "\n  ".join(lines)


def states(command: str) -> str:
    """The states of all processes with this command line: "S", "T", in any sandbox."""
    return "".join(state for _, state, _, words in everybody().values() if words == command)


def fields_of(status: str) -> dict[str, str]:
    """The lines "Name:\\tvalue" of /proc/PID/status."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}


class RunCase(Case):
    """Short ways to run a command in a sandbox. Options come first, as on the command line."""

    def host(self, *words, **options) -> Result:
        """hutch run OPTION... -- COMMAND...: the last of @words is a script for sh."""
        return self.hutch("run", *words[:-1], "--", "sh", "-c", words[-1], **options)

    def host_ok(self, *words, **options) -> str:
        """The same, which must succeed and say nothing on stderr: its output."""
        result = self.host(*words, **options)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def tiny(self, *words, **options) -> Result:
        """The same in the small root file system of the persona."""
        return self.host("--rootfs", self.rootfs, *words, **options)

    def tiny_ok(self, *words, **options) -> str:
        return self.host_ok("--rootfs", self.rootfs, *words, **options)

    def python(self, *words, **options) -> Result:
        """The same on the machine's programs: the last of @words is a Python program."""
        return self.hutch("run", *words[:-1], "--", PYTHON, "-c", words[-1], **options)

    def python_ok(self, *words, **options) -> str:
        result = self.python(*words, **options)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def shell(self, script: str, input: str = "", program: str = "sh", seconds: float = 30) -> str:
        """Runs a script outside, as the persona, in which "$HUTCH" is the program: its output. It must
        succeed."""
        process = self.persona.popen([program, "-c", script], env=self.environment({"HUTCH": self.persona.program}),
                                     cwd=self.tmp, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        self._started.append(process)
        result = self.finish(process, input, seconds)
        self.assertEqual(result.code, 0, str(result))
        return result.out

    def refused(self, *args, words: tuple = (), code: int = 125, **options) -> Result:
        """hutch run with @args must end with @code, in good time, and one line that has all @words."""
        result = self.hutch("run", *args, **options)
        self.assert_fails(result, code, *words)
        self.assertEqual(result.out, "", str(result))
        self.assertLess(result.seconds, 5, f"it took too long to say so\n{result}")
        return result

    def doctor(self) -> dict[str, dict]:
        """What `hutch doctor --json` says, by name."""
        return {check["name"]: check for check in json.loads(self.hutch("doctor", "--json").out)}

    def ids(self) -> int:
        """How many ids a sandbox of this persona has."""
        return 1 if self.persona.name in ONE_ID else 65536

    def processes(self) -> list[int]:
        """hutch processes with this test's HUTCH_HOME in their environment: the callers."""
        mark = b"HUTCH_HOME=" + os.fsencode(self.home) + b"\0"
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{entry}/environ").read_bytes():
                    found.append(int(entry))
            except OSError:
                pass  # ended meanwhile
        return found

    def started_with(self, ready: str, *words, **options) -> subprocess.Popen:
        """Starts hutch run with @words and waits until the command has written the line @ready. As from a terminal: where
        we were started by nohup it would rightly ignore a SIGHUP."""
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            options.setdefault("before_exec", lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
        process = self.start("run", *words, bufsize=0, **options)
        line = self.line_of(process)
        if line != ready:
            process.kill()
            self.fail(f"{line!r} came instead of {ready!r}: {self.finish(process)}")
        return process

    def line_of(self, process: subprocess.Popen, seconds: float = 10) -> str:
        """The next line on stdout of what was started without a buffer; "" when none comes."""
        line = b""
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n") and select.select([process.stdout], [], [], max(0,
                                                                                       deadline - time.monotonic()))[0]:
            byte = process.stdout.read(1)
            if not byte:
                break
            line += byte
        return line.decode(errors="replace").strip()

    def popen(self, before_exec, *args, **options) -> subprocess.Popen:
        """Starts hutch with @args; before_exec() runs in the child before it."""
        process = self.persona.popen([self.persona.program, *map(os.fspath, args)], before_exec=before_exec,
                                     env=self.environment(), cwd=self.tmp, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **options)
        self._started.append(process)
        return process


class BoxCase(RunCase):
    """Each test has a living sandbox "box", which is gone at its end."""

    def setUp(self):
        super().setUp()
        self.run_ok("create", "--rootfs", self.rootfs, "box")

    def tearDown(self):
        self.hutch("rm", "box")
        super().tearDown()


class JobShell(Terminal):
    """An interactive bash with job control on a terminal; `$HUTCH` is the program."""

    PROMPT = "prompt> "

    def __init__(self, case: Case, rows: int = 24, columns: int = 80):
        env = case.environment({"TERM": "xterm", "PS1": self.PROMPT, "HUTCH": case.persona.program, "HISTFILE": ""})
        super().__init__(case.persona, ["bash", "--norc", "--noprofile", "-i"], env=env, cwd=case.tmp,
                         rows=rows, columns=columns)
        case._terminals.append(self)
        case._started.append(self.process)
        self.expect(self.PROMPT)

    def type(self, line: str) -> None:
        """Types a line and passes over its echo."""
        self.send(line + "\n")
        self.expect("\n")

    def answer(self, line: str, seconds: float = 10) -> str:
        """Types a line and returns what was written until the next prompt."""
        self.type(line)
        return self.expect(self.PROMPT, seconds).replace("\r", "")


@contextmanager
def inside_a_mount(case: Case, name: str, kind: str, options: str, source: str = "none"):
    """A file system of @kind on a directory of the persona's, which is given to him: for tests of a
    full disk and the like. Only root of the machine can do that; others skip the test."""
    if not is_root_of_machine():
        case.skipTest("only root of the machine can mount for the test")
    path = case.mkdir(name)
    done = subprocess.run(["mount", "-t", kind, "-o", options, source, str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        case.skipTest(f"no {kind} here: {done.stderr.strip()}")
    try:
        path.chmod(0o700)
        yield case.give(path)
    finally:
        # What the sandbox's helpers still hold ends on its own; the census waits for them.
        deadline = time.monotonic() + 5
        while subprocess.run(["umount", str(path)], capture_output=True).returncode != 0:
            if time.monotonic() > deadline:
                subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=False)
                raise AssertionError(f"{path} is still in use")
            time.sleep(0.05)
