# SPDX-License-Identifier: Apache-2.0
"""What a builder builds: one command per call, each in a sandbox of its own that is gone afterwards."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from . import _hutch
from ._builder import ExecutionResult, Sandbox
from ._home import home
from ._popen import Popen
from ._result import End, RunResult

_numbers = itertools.count(1)
_ALL = (1 << 64) - 1
#: Where programs are looked for, unless the environment says otherwise.
_PATH = "PATH=/usr/local/bin:/usr/bin:/bin"


class OneShot(Sandbox):
    """A frozen configuration. Calls are independent, and may overlap in any number of threads. Since 0.1."""

    def __init__(self, fields: Sequence[tuple[str, str]], options: dict[str, Any]) -> None:
        self._fields = list(fields)
        self._timeout: float | None = options.get("wall_time")
        self._id = f"{int(time.time())}-{next(_numbers)}"
        if not options.get("clear_env", True):
            said = {text.split("=", 1)[0] for field, text in self._fields if field == "env"}
            self._fields += [("env", f"{key}={value}") for key, value in os.environ.items() if key not in said]
        elif not any(field == "env" and text.startswith("PATH=") for field, text in self._fields):
            self._fields.append(("env", _PATH))
        if options.get("uid") is not None or options.get("gid") is not None:
            self._fields.append(("user", f"{options.get('uid') or 0}:{options.get('gid') or 0}"))
        _hutch.spec_json(self._fields)  # what is wrong is told now

    def id(self) -> str:
        return self._id

    def run(self, cmd: str, args: Iterable[str] = ()) -> ExecutionResult:
        return self.run_with_input(cmd, args)

    def run_with_input(self, cmd: str, args: Iterable[str] = (), input: bytes | None = None) -> ExecutionResult:
        began = time.monotonic()
        argv = [cmd, *args]
        box = home().start(self._fields, _hutch.START_NOWAIT)
        try:
            if input is None:
                milliseconds = max(1, round(self._timeout * 1000)) if self._timeout else 0
                result = box.run(None, argv, _hutch.RUN_APART, None, None, None, milliseconds, _ALL, True)
            else:
                result = self._with_input(box, argv, input)
        finally:
            box.delete()
        return _as_theirs(result, time.monotonic() - began)

    def _with_input(self, box: _hutch.Box, argv: list[str], data: bytes) -> RunResult:
        process = Popen(_Holder(box), argv, timeout=self._timeout)
        out, err = process.communicate(data)
        assert process.told is not None
        return RunResult(process.told, (out, len(out), len(out)), (err, len(err), len(err)), 0, True)


class _Holder:
    """What Popen wants of a sandbox."""

    def __init__(self, box: _hutch.Box) -> None:
        self._box = box


def _as_theirs(result: RunResult, seconds: float) -> ExecutionResult:
    """A command that is not there is a result: 127, and why on standard error."""
    usage = result.rusage
    err = result.stderr if result.end is End.NOT_RUN else result.stderr_bytes.decode("utf-8", "replace")
    return ExecutionResult(
        stdout=result.stdout_bytes.decode("utf-8", "replace"), stderr=err,
        exit_code=result.exit_code, duration=timedelta(seconds=seconds), killed_by_timeout=result.timed_out,
        signal=result.signal or None, peak_memory=usage.max_rss_bytes if usage else None,
        cpu_time=timedelta(seconds=usage.user_seconds + usage.system_seconds) if usage else None)


def build_nanobox(fields: Sequence[tuple[str, str]], options: dict[str, Any]) -> OneShot:
    """What ``SandboxBuilder.build()`` calls."""
    return OneShot(fields, options)
