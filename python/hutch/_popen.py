# SPDX-License-Identifier: Apache-2.0
"""A command in a sandbox as a subprocess.Popen."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from typing import IO, TYPE_CHECKING, Any

from . import _hutch
from ._errors import SandboxConfigError

if TYPE_CHECKING:
    from ._sandbox import Sandbox

_REFUSED = ("preexec_fn", "pass_fds", "startupinfo", "creationflags", "executable", "group", "extra_groups", "umask",
            "process_group", "shell")
_IGNORED = ("close_fds", "restore_signals", "start_new_session", "pipesize")


class Popen(subprocess.Popen[Any]):
    """What :meth:`hutch.Sandbox.popen` returns: ``stdin``, ``stdout``, ``stderr``, ``wait()``, ``poll()``,
    ``communicate()``, ``send_signal()``, ``terminate()``, ``kill()``, ``returncode`` as of a process of this machine. It
    is confined like any command of the sandbox. ``pid`` is 0: nothing outside has a use for its number. ``timeout``: seconds
    after which it is killed with all that it has started. Since 0.1.
    """

    def __init__(self, sandbox: Sandbox | Any, argv: list[str], *, stdin: Any = subprocess.PIPE, stdout: Any = subprocess.PIPE,
                 stderr: Any = subprocess.PIPE, bufsize: int = -1, text: bool | None = None,
                 universal_newlines: bool | None = None, encoding: str | None = None, errors: str | None = None,
                 env: dict[str, str] | None = None, cwd: str | None = None, user: str | None = None,
                 tty: bool = False, rows: int = 0, cols: int = 0, timeout: float | None = None, **others: Any) -> None:
        for name in others:
            if name not in _IGNORED:
                known = name in _REFUSED
                raise (SandboxConfigError if known else TypeError)(
                    f"popen: '{name}' " + ("cannot be had inside a sandbox" if known else "is no argument"))
        self._child_created = False  # for the __del__() of the class above
        self.args, self.pid = argv, 0
        self.returncode: int | None = None
        self.encoding, self.errors = encoding, errors
        self.text_mode = bool(text or universal_newlines or encoding or errors)
        self._communication_started = False
        self._input = None
        self._sandbox = sandbox
        self._tty = tty
        self._ours: list[int] = []
        self._sigint_wait_secs, self._closed_child_pipe_fds = 0.25, True
        self.told: _hutch._Result | None = None
        kinds, fds = self._ends(stdin, stdout, stderr) if not tty else ((0, 0, 0), (-1, -1, -1))
        words = None if env is None else [f"{key}={value}" for key, value in env.items()]
        milliseconds = max(1, round(timeout * 1000)) if timeout else 0
        try:
            self._proc = sandbox._box.exec(argv, _hutch.EXEC_TTY if tty else 0, words, cwd, user, kinds, fds,
                                           milliseconds, rows, cols)
        except BaseException:
            for fd in self._ours[:1]:
                os.close(fd)
            raise
        finally:
            for fd in self._ours[1:]:
                os.close(fd)
        self._open(kinds, bufsize)

    # ---- its ends -----------------------------------------------------------------------------------

    _merged = False

    def _ends(self, stdin: Any, stdout: Any, stderr: Any) -> tuple[Any, Any]:
        """The kind and descriptor of each, as Proc wants them. A pipe that two share is ours."""
        kinds, fds = [0, 0, 0], [-1, -1, -1]
        for which, end in enumerate((stdin, stdout, stderr)):
            if end == subprocess.PIPE:
                kinds[which] = _hutch.STDIO_PIPE
            elif end == subprocess.STDOUT:
                if which != 2:
                    raise SandboxConfigError("popen: STDOUT is for stderr only")
                if kinds[1] == _hutch.STDIO_PIPE:
                    self._ours = list(os.pipe())
                    self._merged = True
                    kinds[1] = _hutch.STDIO_FD
                    fds[1] = self._ours[1]
                kinds[2], fds[2] = kinds[1], fds[1]
            elif end == subprocess.DEVNULL:
                pass
            else:
                fd = {0: 0, 1: 1, 2: 2}[which] if end is None else end if isinstance(end, int) else end.fileno()
                kinds[which], fds[which] = _hutch.STDIO_FD, fd
        return tuple(kinds), tuple(fds)

    def _open(self, kinds: Any, bufsize: int) -> None:
        self.stdin: IO[Any] | None = None
        self.stdout: IO[Any] | None = None
        self.stderr: IO[Any] | None = None
        if self._tty:
            fd = self._terminal()
            self.stdout = self._file(fd, "rb", bufsize)
            self.stdin = self._file(os.dup(fd), "wb", 0)
            return
        if kinds[0] == _hutch.STDIO_PIPE:
            self.stdin = self._file(self._proc.take_fd(0), "wb", bufsize)
        if self._merged:
            self.stdout = self._file(self._ours[0], "rb", bufsize)
        elif kinds[1] == _hutch.STDIO_PIPE:
            self.stdout = self._file(self._proc.take_fd(1), "rb", bufsize)
        if kinds[2] == _hutch.STDIO_PIPE:
            self.stderr = self._file(self._proc.take_fd(2), "rb", bufsize)

    def _terminal(self) -> int:
        """It is there once the command has been started."""
        while True:
            ended = self._proc.wait(0.005)
            fd = self._proc.take_fd(0)
            if fd >= 0:
                return fd
            if ended is not None:
                self._look(0)
                raise SandboxConfigError(f"popen: {self._why or 'there is no terminal'}")

    def _file(self, fd: int, mode: str, bufsize: int) -> IO[Any]:
        raw = io.open(fd, mode, bufsize if not self.text_mode else -1)  # noqa: SIM115: the caller closes it
        if not self.text_mode:
            return raw
        return io.TextIOWrapper(raw, encoding=self.encoding, errors=self.errors, line_buffering=bufsize == 1,
                                write_through=mode == "wb")

    # ---- its end ------------------------------------------------------------------------------------

    _why = ""

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is not None:
            return self.returncode
        result = self._proc.wait(seconds)
        if result is None:
            return None
        self.told = result
        _, code, number, *_, message = result
        self._why = message
        self.returncode = -number if number else code
        self._proc.free()
        return self.returncode

    def poll(self) -> int | None:
        """The return code, or None: it runs. A signal is a negative number; 126 and 127: it could not be run."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The return code. :raises subprocess.TimeoutExpired:"""
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def _wait(self, timeout: float | None) -> int:
        return self.wait(timeout)

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        return self.poll()

    def box_fd(self) -> int:
        """Readable when :meth:`poll` may have something to tell; belongs to the sandbox."""
        return int(self._sandbox._box.fileno())

    def send_signal(self, sig: int) -> None:
        """Sends a signal to the command, not to what it has started."""
        if self.poll() is None:
            self._proc.signal(int(sig))

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __exit__(self, *_: Any) -> None:
        for file in (self.stdout, self.stderr):
            if file:
                file.close()
        try:
            if self.stdin:
                self.stdin.close()
        finally:
            self.wait()

    def __del__(self, *_: Any, **__: Any) -> None:
        pass  # the sandbox ends it

    def __repr__(self) -> str:
        return f"<hutch.Popen: returncode: {self.returncode} args: {self.args!r}>"
