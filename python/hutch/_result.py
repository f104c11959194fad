# SPDX-License-Identifier: Apache-2.0
"""What came of a command."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _hutch


class End(enum.Enum):
    """How a command ended. Since 0.1."""

    EXIT = "exit"  #: by itself; the exit code is its own
    SIGNAL = "signal"  #: by a signal; the exit code is 128 + its number
    TIMEOUT = "timeout"  #: its time was over; the exit code is 124
    NOT_RUN = "not_run"  #: it could not be executed: 126 cannot be, 127 not found, 125 another reason
    SHELL_DIED = "shell_died"  #: its shell was killed; the exit code is 128 + the signal
    OUT_OF_MEMORY = "out_of_memory"  #: its limit of memory was reached (limits come with a later version)
    OUTPUT_LIMIT = "output_limit"  #: it was ended because it wrote too much (not in this version)


_ENDS = (End.EXIT, End.SIGNAL, End.TIMEOUT, End.NOT_RUN, End.SHELL_DIED)
_NOT_RUN = _ENDS.index(End.NOT_RUN)


class Usage(NamedTuple):
    """What a command took, as the kernel tells it."""

    user_seconds: float  #: CPU time in its own code
    system_seconds: float  #: CPU time in the kernel
    max_rss_bytes: int  #: its largest resident set


def _text(out: _hutch._Output) -> str:
    """Output as text: UTF-8, other bytes as ``\\xNN``; a line stands for what is missing."""
    data, total, cut_at = out
    if total <= len(data):
        return data.decode("utf-8", "backslashreplace")
    return (data[:cut_at].decode("utf-8", "backslashreplace")
            + f"\n[hutch: {total - len(data)} bytes are missing here]\n"
            + data[cut_at:].decode("utf-8", "backslashreplace"))


class RunResult(tuple[str, int]):
    """The result of a command. Unpacks as ``(output, exit_code)``.

    ``stdout``: what it wrote, as text; standard error too, in the order of writing, unless that was asked for apart
    (then it is in ``stderr``). ``stdout_bytes``, ``stderr_bytes``: the same, undecoded. ``end``: how it ended.
    ``signal``: the signal that ended it, 0 none. ``duration``: seconds. ``rusage``: a :class:`Usage`, or None where only
    the shell tells the status (warm shell and sessions). ``truncated``: how many bytes of output are missing.
    ``message``: why it could not be run. Since 0.1.
    """

    exit_code: int
    end: End
    signal: int
    duration: float
    rusage: Usage | None
    message: str
    stdout: str
    stderr: str
    stdout_bytes: bytes
    stderr_bytes: bytes
    truncated: int
    _told: tuple[_hutch._Result, _hutch._Output, _hutch._Output | None, float, bool]

    def __new__(cls, result: _hutch._Result, out: _hutch._Output, err: _hutch._Output | None,
                duration: float, counted: bool) -> RunResult:  # python/ext/result.c does the same where all is as usual
        stdout = _text(out) if out[0] or out[1] else ""
        if result[0] == _NOT_RUN and err is None and result[6]:  # as a shell says it on standard error
            stdout += result[6] + "\n"
        self = tuple.__new__(cls, (stdout, result[1]))
        self._told = result, out, err, duration, counted
        return self

    def _tell(self) -> dict[str, Any]:
        """The facts. Most callers take the output and the exit code: the others are put together once one is asked for."""
        facts = self.__dict__
        told = facts.get("_told")
        if told is not None:
            (end, code, signal, user, system, rss, message), out, err, duration, counted = told
            stderr = _text(err) if err is not None else ""
            if end == _NOT_RUN and err is not None and message:
                stderr += message + "\n"
            for name, fact in (
                    ("exit_code", code), ("end", _ENDS[end]), ("signal", signal), ("message", message), ("duration", duration),
                    ("stdout", self[0]), ("stderr", stderr),
                    ("rusage", Usage(user / 1e6, system / 1e6, rss) if counted else None),
                    ("stdout_bytes", out[0]), ("stderr_bytes", err[0] if err is not None else b""),
                    ("truncated", out[1] - len(out[0]) + (err[1] - len(err[0]) if err is not None else 0))):
                facts.setdefault(name, fact)  # one that was set stays so
            facts.pop("_told", None)  # another thread may be here
        return facts

    if not TYPE_CHECKING:  # for which the names above are all that there are
        def __getattr__(self, name: str) -> Any:
            try:
                return self._tell()[name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __dir__(self) -> list[str]:
        self._tell()
        return list(super().__dir__())

    def with_output(self, text: str) -> RunResult:
        """The same result with another text as its output."""
        other = tuple.__new__(type(self), (text, self.exit_code))
        other.__dict__.update(self._tell())
        other.stdout = text
        return other

    @property
    def output(self) -> str:
        """The same as ``stdout``."""
        return self[0]

    @property
    def ok(self) -> bool:
        """It ended by itself, with 0."""
        return self.end is End.EXIT and self.exit_code == 0

    @property
    def timed_out(self) -> bool:
        return self.end is End.TIMEOUT

    def __repr__(self) -> str:
        shown = self.stdout if len(self.stdout) <= 200 else self.stdout[:197] + "..."
        return f"RunResult(exit_code={self.exit_code}, end={self.end.name}, stdout={shown!r})"

    def __reduce__(self) -> Any:
        return _again, (tuple(self), self._tell().copy())


def _again(pair: tuple[str, int], facts: dict[str, Any]) -> RunResult:
    self = tuple.__new__(RunResult, pair)
    self.__dict__.update(facts)
    return self


_hutch.results_are(RunResult)


class CommandError(RuntimeError):
    """A command failed that was run with ``check=True``. ``result`` is its :class:`RunResult`."""

    def __init__(self, command: object, result: RunResult) -> None:
        how = f"timed out after {result.duration:.1f} s" if result.timed_out else f"ended with {result.exit_code}"
        super().__init__(f"{command!r} {how}: {result.stderr or result.stdout}"[:2000])
        self.command, self.result = command, result

    def __reduce__(self) -> Any:
        return type(self), (self.command, self.result)
