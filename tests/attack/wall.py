# SPDX-License-Identifier: Apache-2.0
"""What the e2e_wall_* files need, beside Case.

    WallCase     a Case with the attack programs of this directory at hand
    outcomes()   what an attack program printed, as a dict
    UNCONFINED   the options that leave the filter of system calls away

An attack program NAME.c is compiled when the first test asks for it, statically, and is at /attack/NAME
of a sandbox that attack() starts, and at self.program_of(NAME) outside. Most print one line for
each thing that they try, "WHAT RESULT", where RESULT is "ok" or the name of an errno: outcomes() makes
a dict of them. Where a guard has a switch, a test runs its attack twice: with the guard, where it must
fail, and without, where it must succeed; so an attack that is broken does not pass for a wall that
holds.
"""

import shutil
import subprocess
from pathlib import Path

from lib import Case, machine
from lib.case import Result
from lib.persona import is_root_of_machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
UNCONFINED = ("--security-opt", "seccomp=unconfined")


def outcomes(text: str) -> dict[str, str]:
    """Lines "WHAT RESULT" as a dict."""
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if " " in line)


def _compile(session, name: str) -> Path:
    """The program NAME, compiled once for all tests of a run."""
    directory = session.dir / "attack"
    directory.mkdir(mode=0o755, exist_ok=True)
    program = directory / name
    if not program.exists():
        words = ["cc", "-O1", "-static", "-w", "-o", str(program), str(HERE / (name + ".c"))]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}:\n{done.stderr}")
        program.chmod(0o755)
    return program


def _compile_driver(session) -> Path:
    """driver.c, which stands outside and calls libhutch: linked with a copy that every persona reaches."""
    directory = session.dir / "driver"
    program = directory / "driver"
    if not program.exists():
        directory.mkdir(mode=0o755, exist_ok=True)
        library = directory / "libhutch.so.0"
        shutil.copy(session.program.parent / "libhutch.so", library)
        library.chmod(0o755)
        sanitized = b"__asan_init" in library.read_bytes()
        words = ["cc", "-O1", "-o", str(program), str(HERE / "driver.c"), f"-I{ROOT}/include", str(library),
                 "-Wl,-rpath,$ORIGIN", *(["-fsanitize=address,undefined"] if sanitized else [])]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}:\n{done.stderr}")
        program.chmod(0o755)
    return program


class WallCase(Case):
    """Short ways to attack from inside."""

    def program_of(self, name: str) -> Path:
        return _compile(self.session, name)

    def attacks(self, *names: str) -> tuple:
        """The option that shows these programs inside."""
        for name in names:
            self.program_of(name)
        return ("-v", f"{self.session.dir}/attack:/attack:ro")

    def tiny(self, *words, **options) -> Result:
        """hutch run OPTION... in the small root file system: the last of @words is a script for sh."""
        return self.hutch("run", "--rootfs", self.rootfs, *words[:-1], "--", "sh", "-c", words[-1], **options)

    def tiny_ok(self, *words, **options) -> str:
        """The same, which must succeed and say nothing on stderr: its output."""
        result = self.tiny(*words, **options)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def attack(self, name: str, *words, options: tuple = (), **more) -> Result:
        """/attack/NAME WORD... in the small root file system."""
        return self.hutch("run", "--rootfs", self.rootfs, *self.attacks(name), *options, "--", f"/attack/{name}",
                          *words, **more)

    def attack_ok(self, name: str, *words, options: tuple = (), **more) -> str:
        """The same, which must end with 0: its output."""
        result = self.attack(name, *words, options=options, **more)
        self.assertEqual(result.code, 0, str(result))
        return result.out

    def outside(self, *argv, **options) -> Result:
        """A command outside, as the persona: what an attack does where there is no wall."""
        process = self.persona.popen([str(word) for word in argv], env=self.environment(), cwd=self.tmp,
                                     stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, **options)
        self._started.append(process)
        return self.finish(process)

    def drive(self, fields: dict, *words, **options) -> Result:
        """driver.c as the persona: a sandbox with @fields, in which several commands are run."""
        given = [f"{name}={value}" for name, value in
                 {"rootfs": self.rootfs, "volumes": f"{self.session.dir}/attack:/attack:ro", **fields}.items()]
        return self.outside(_compile_driver(self.session), *given, "--", *words, **options)

    def needs_root_of_machine(self, what: str) -> None:
        if not is_root_of_machine():
            self.skipTest(f"only root of the machine can {what}")

    def mount(self, *words) -> None:
        """A mount on the host, which is gone with the test. The last of @words is where."""
        self.needs_root_of_machine("mount for the test")
        done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"mount {' '.join(map(str, words))}: {done.stderr.strip()}")
        self.undo(subprocess.run, ["umount", "--lazy", str(words[-1])], capture_output=True)

    def setting(self, path: str, value: str) -> None:
        """Writes a file of /proc/sys until the end of the test."""
        self.needs_root_of_machine("change a setting of the machine")
        file = Path(path)
        if not self._settings_are_ours:
            lock = machine.settings(change=True)
            lock.__enter__()
            self.undo(lock.__exit__, None, None, None)
            self._settings_are_ours = True
        before = file.read_text().rstrip("\n")
        try:
            file.write_text(value)
        except OSError as failure:
            self.skipTest(f"{path}: {failure.strerror}")
        self.undo(file.write_text, before)

    # ---- around a test --------------------------------------------------------------------------

    def setUp(self) -> None:
        super().setUp()
        self._undo: list = []
        self._settings_are_ours = False

    def undo(self, function, *words, **options) -> None:
        """Calls @function at the end of the test, before the census (addCleanup() is after it)."""
        self._undo.append((function, words, options))

    def tearDown(self) -> None:
        while self._undo:
            function, words, options = self._undo.pop()
            function(*words, **options)
        super().tearDown()
