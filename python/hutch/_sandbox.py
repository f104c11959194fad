# SPDX-License-Identifier: Apache-2.0
"""The class Sandbox."""

from __future__ import annotations

import atexit
import contextlib
import os
import posixpath
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import _hutch
from ._async import done, finish, told
from ._errors import (SandboxConfigError, SandboxError, SandboxInitError, SandboxNotFoundError, SandboxStateError,
                      interpreter_ends)
from ._files import SandboxPath
from ._home import home
from ._result import CommandError, RunResult
from ._stream import Stream

if TYPE_CHECKING:
    import asyncio
    import logging
    from pathlib import Path

    from ._apopen import AsyncPopen
    from ._builder import SandboxBuilder
    from ._config import SandboxConfig
    from ._popen import Popen

Command = str | Sequence[str]
Self = TypeVar("Self", bound="Sandbox")

#: What Box.run() takes: text, argv, flags, session, cwd, env, timeout_ms, cap.
_Ask = tuple[str | None, list[str] | None, int, str | None, str | None, list[str] | None, int, int]
_ALL = (1 << 64) - 1  # of output: no cap; of a job: its end only
_GRACE_SECONDS = 10.0
_alive: weakref.WeakSet[Sandbox] = weakref.WeakSet()


_DEBUG = 10  # logging.DEBUG
_logger: logging.Logger | None = None


def _log() -> logging.Logger:
    """hutch.sandbox. Who has not imported logging takes no part in it, and need not wait for the import."""
    global _logger
    if _logger is None:
        import logging

        _logger = logging.getLogger("hutch.sandbox")
    return _logger


def _milliseconds(seconds: float | None) -> int:
    """0: no limit."""
    if seconds is None or seconds == 0:
        return 0
    if not isinstance(seconds, (int, float)) or seconds != seconds or seconds < 0:
        raise SandboxConfigError(f"timeout: {seconds!r} is no number of seconds, 0 or more")
    return min(max(1, round(seconds * 1000)), 1 << 40)


def _words(command: Command) -> tuple[str | None, list[str] | None]:
    """A text for the shell, or words to be executed."""
    if isinstance(command, str):
        return command or ":", None
    if isinstance(command, (bytes, bytearray)) or not isinstance(command, Iterable):
        raise SandboxConfigError(f"a command is a str or a list of words, not {type(command).__name__}")
    words = [os.fspath(word) for word in command]
    if not words:
        raise SandboxConfigError("a command of no words")
    return None, words


def _environment(env: Mapping[str, str] | None) -> list[str] | None:
    if env is None:
        return None
    for key in env:
        if not key or "=" in key:
            raise SandboxConfigError(f"env: {key!r} is no name for a variable")
    return [f"{key}={value}" for key, value in env.items()]


class Sandbox:
    """A sandbox: a small box that code can do no harm in, ready when this returns.

    ``config``: a :class:`SandboxConfig`, or a dict of its fields; ``name``: None: made up. Further keywords are fields:
    ``Sandbox(image="/srv/root")``, ``Sandbox(host=True)``. It belongs to this process and ends with it, however that
    ends; ``with`` ends it earlier, and so does :meth:`delete`. Any thread may use it; calls that take long
    do not keep others waiting.

    :raises SandboxConfigError: a field that is wrong; NotSupportedError: one that this version cannot honour yet
    :raises SandboxKernelError: this machine cannot give what was asked (``hutch doctor`` says what it lacks)
    :raises SandboxExistsError: the name is taken
    :raises SandboxError: anything else; nothing is left of it then

    Since 0.1.
    """

    #: The file systems that ``fs_backend`` may name.
    SUPPORTED_FS_BACKENDS = ("overlayfs",)

    def __init__(self, config: SandboxConfig | Mapping[str, Any] | None = None, name: str | None = None,
                 **fields: Any) -> None:
        waits = fields.pop("_waits", True)  # acreate() does that itself, and enters
        if config is None or isinstance(config, Mapping):
            config = self._config_type().from_dict({**(config or {}), **fields})
        elif fields:
            config = config.replace(**fields)
        self._setup(config, self._start(config, name, 0 if waits else _hutch.START_NOWAIT))
        if config.entrypoint and waits:
            with self._entered():
                self.run("true")

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """Around the first start of a shell behind the entrypoint: what is wrong with that, the constructor says."""
        try:
            yield
        except BaseException as failure:
            self.delete()
            if not isinstance(failure, SandboxError):
                raise
            raise SandboxInitError(f"entrypoint {self._config.entrypoint}: {failure}", failure.code, failure.errno) from None

    @staticmethod
    def builder() -> SandboxBuilder:
        """Says step by step what a sandbox for one command shall be: see :class:`SandboxBuilder`."""
        from ._builder import SandboxBuilder

        return SandboxBuilder()

    @classmethod
    def _config_type(cls) -> type[SandboxConfig]:
        from ._config import SandboxConfig  # with what it takes, a third of the import of the package

        return SandboxConfig

    @classmethod
    def _start(cls, config: SandboxConfig, name: str | None, flags: int = 0) -> _hutch.Box:
        asked = config.to_fields()
        if name is not None:
            asked = [(field, value) for field, value in asked if field != "name"] + [("name", name)]
        try:
            return home(config.env_base_dir).start(asked, flags)
        except SandboxError as failure:
            raise _init_error(failure) from None

    def _setup(self, config: SandboxConfig, box: _hutch.Box) -> None:
        self._box, self._config = box, config
        self._began = time.time()
        self._name = box.name
        self._terminals: list[int] = []
        self._jobs: dict[str, int] = {}
        self._lock = threading.Lock()
        self._changing: asyncio.Future[None] | None = None
        _alive.add(self)
        if box.remark:
            _log().warning("%s: %s", self._name, box.remark)
        if "logging" in sys.modules:
            _log().info("sandbox %s is ready", self._name)

    # ---- what it is -----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._name

    @property
    def config(self) -> SandboxConfig:
        """What it was made with."""
        return self._config

    @property
    def files(self) -> SandboxPath:
        """Its root directory, from which ``sb.files / "tmp" / "x"`` and ``sb.files("/tmp/x")`` go on."""
        return SandboxPath(self)

    @property
    def features(self) -> dict[str, Any]:
        """Which facilities are in force, under nitrobox' names."""
        import json

        spec = json.loads(self._box.spec())
        network = spec.get("network", "none")
        options = spec.get("security_opt", [])
        return {
            "userns": True, "pidfd": True, "timens": True, "netns": network != "host", "layer_cache": False,
            "seccomp": not spec.get("privileged") and not any("seccomp" in one and "unconfined" in one for one in options),
            "landlock": network == "host", "devices": bool(spec.get("devices")), "mask_paths": not spec.get("privileged"),
            "cap_drop": True, "cgroup_v2": False, "whiteout": "xattr",
            "cpuset_cpus": None, "oom_score_adj": spec.get("oom_score_adj"),
        }

    @property
    def rootfs(self) -> Path:
        """Its file system, as root of this machine can look into it. What is there is not to be trusted: symbolic links in it
        lead anywhere; :attr:`files` does not follow them out."""
        from pathlib import Path

        pid = next((one[4] for one in home(self._config.env_base_dir).list() if one[0] == self._name), 0)
        return Path(f"/proc/{pid}/root") if pid else Path("/nonexistent")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r}, {'alive' if self._box.alive else 'deleted'})"

    # ---- run ------------------------------------------------------------------------------------------

    def _ask(self, command: Command, timeout: float | None, env: Mapping[str, str] | None, cwd: str | None, clean: bool,
             apart: bool, session: str | None, max_output: int | None) -> _Ask:
        text, words = _words(command)
        if session is not None and words is not None:
            raise SandboxConfigError("a session takes a text, not a list of words")
        flags = (_hutch.RUN_CLEAN if clean else 0) | (_hutch.RUN_APART if apart else 0)
        if max_output is not None and max_output < 0:
            raise SandboxConfigError(f"max_output: {max_output} is less than nothing")
        return (text, words, flags, session, cwd, _environment(env), _milliseconds(timeout), max_output or _ALL)

    @overload
    def run(self, command: Command, timeout: float | None = ..., *, env: Mapping[str, str] | None = ...,
            cwd: str | None = ..., stdin: str | bytes | None = ..., clean: bool = ..., apart: bool = ...,
            check: bool = ..., max_output: int | None = ..., stream: Literal[False] = ...) -> RunResult: ...

    @overload
    def run(self, command: Command, timeout: float | None = ..., *, env: Mapping[str, str] | None = ...,
            cwd: str | None = ..., stdin: str | bytes | None = ..., clean: bool = ..., apart: bool = ...,
            stream: Literal[True]) -> Stream: ...

    def run(self, command: Command, timeout: float | None = None, *, env: Mapping[str, str] | None = None,
            cwd: str | None = None, stdin: str | bytes | None = None, clean: bool = False, apart: bool = False,
            check: bool = False, max_output: int | None = None, stream: bool = False) -> RunResult | Stream:
        """Runs a command to its end.

        ``command``: a str is run by the sandbox' warm shell, in a fresh sub-shell each time (a single program in place of
        it); a list is executed without a shell. ``timeout``: seconds, after which all that it started is killed; None or 0:
        none. ``env``: variables over those of the configuration. ``cwd``: None: ``working_dir``. ``stdin``: what it can read,
        in a new shell then, as with ``clean``; None: nothing. ``clean``: in a new shell, whose result nothing inside can forge (so it is of a list). ``apart``: standard error by itself. ``check``:
        raise :class:`CommandError` when it does not end with 0. ``max_output``: bytes of each output that are kept, the
        first and the last half; None: all. ``stream``: return at once, a :class:`Stream` to iterate over.

        The end does not wait for what a job in the background does with the output later. A timeout is a result, whose
        exit code is 124. Since 0.1.
        """
        if stream:
            return self._stream(command, timeout, env, cwd, clean, apart, stdin=stdin)
        ask = self._ask(command, timeout, env, cwd, clean, apart, None, max_output)
        if self._config.tty:
            result = self._run_on_terminal(ask, stdin)
        elif stdin is not None:
            result = self._box.run(*ask, True, stdin)
        else:
            result = self._box.run(*ask, clean or ask[1] is not None)
        return self._given(command, result, check)

    def _given(self, command: Command, result: RunResult, check: bool) -> RunResult:
        if "logging" in sys.modules and _log().isEnabledFor(_DEBUG):
            _log().debug("%s: %r took %.1f ms, exit code %d: %.200s", self._name, command, result.duration * 1e3,
                         result.exit_code, result.stdout)
        if check and not result.ok:
            raise CommandError(command, result)
        return result

    async def arun(self, command: Command, timeout: float | None = None, *, env: Mapping[str, str] | None = None,
                   cwd: str | None = None, stdin: str | bytes | None = None, clean: bool = False, apart: bool = False,
                   check: bool = False, max_output: int | None = None) -> RunResult:
        """:meth:`run` in an event loop, without threads. Cancelled, it kills what the command has started."""
        ask = self._ask(command, timeout, env, cwd, clean, apart, None, max_output)
        return self._given(command, await self._arun(ask, stdin), check)

    async def _arun(self, ask: _Ask, stdin: str | bytes | None = None) -> RunResult:
        if self._changing is not None:
            await self._settled()
        began = time.monotonic()
        run = self._box.run_start(*ask, False, stdin)
        try:
            told = await finish(run)
            err = run.output(2) if ask[2] & _hutch.RUN_APART else None
            return RunResult(told, run.output(1), err, time.monotonic() - began,
                             bool(ask[2] & _hutch.RUN_CLEAN) or ask[1] is not None or stdin is not None)
        finally:
            run.free()

    def _stream(self, command: Command, timeout: float | None, env: Mapping[str, str] | None, cwd: str | None,
                clean: bool, apart: bool, session: str | None = None, stdin: str | bytes | None = None) -> Stream:
        ask = self._ask(command, timeout, env, cwd, clean, apart, session, None)
        return Stream(self._box.run_start(*ask, True, stdin), clean or ask[1] is not None or stdin is not None, apart)

    def astream(self, command: Command, timeout: float | None = None, *, env: Mapping[str, str] | None = None,
                cwd: str | None = None, stdin: str | bytes | None = None, clean: bool = False, apart: bool = False) -> Stream:
        """``async for part in sb.astream("make"): ...``: see :class:`Stream`."""
        return self._stream(command, timeout, env, cwd, clean, apart, stdin=stdin)

    def _argv(self, text: str | None, words: list[str] | None) -> list[str]:
        """As the library runs a text in a new shell."""
        if words is not None:
            return words
        shell = self._config.shell or ("bash" if self._has_bash() else "sh")
        return [shell, "-c", text or ":"]

    def _has_bash(self) -> bool:
        return any(self.files(path).exists() for path in ("/bin/bash", "/usr/bin/bash"))

    def _run_on_terminal(self, ask: _Ask, stdin: str | bytes | None) -> RunResult:
        from ._popen import Popen

        text, words, _, _, cwd, env, timeout, cap = ask
        began = time.monotonic()
        process = Popen(self, self._argv(text, words), tty=True, cwd=cwd, timeout=timeout / 1000, bufsize=0,
                        env={"TERM": "dumb", "NO_COLOR": "1", **(dict(one.split("=", 1) for one in env) if env else {})})
        assert process.stdin is not None and process.stdout is not None
        fd = process.stdout.fileno()
        _no_echo(fd)
        with self._lock:
            self._terminals.append(fd)
        try:
            if stdin is not None:
                process.stdin.write(stdin.encode() if isinstance(stdin, str) else stdin)
            out = _until_hangup(fd)
        finally:
            with self._lock:
                self._terminals.remove(fd)
            process.wait()
            process.stdin.close()
            process.stdout.close()
        assert process.told is not None
        return RunResult(process.told, _capped(out, cap), None, time.monotonic() - began, True)

    def write_stdin(self, data: str | bytes) -> None:
        """Types on the terminal of the program that runs now (from another thread), where ``tty=True``."""
        if not self._config.tty:
            raise SandboxStateError("write_stdin() requires tty=True")
        with self._lock:
            if not self._terminals:
                raise SandboxStateError("no program runs that could read it")
            os.write(self._terminals[-1], data.encode() if isinstance(data, str) else data)

    # ---- sessions ---------------------------------------------------------------------------------------

    def session(self, name: str = "main") -> Session:
        """A shell that lasts from call to call: directory, variables, functions, options, aliases, jobs."""
        return Session(self, name)

    def sessions(self, *names: str) -> list[Session]:
        """Several of them."""
        return [Session(self, name) for name in names]

    # ---- processes --------------------------------------------------------------------------------------

    def popen(self, command: Command, **kwargs: Any) -> Popen:
        """A command with pipes (or ``tty=True``: a terminal), as :class:`subprocess.Popen`; confined like any other.

        A str is for ``bash -c`` (``sh -c`` where there is no bash), a list is executed. All of Popen's keywords that make
        sense in a sandbox: stdin, stdout, stderr (PIPE by default), text, encoding, errors, bufsize, env (over that of the
        sandbox), cwd, user; and ``timeout``, ``rows``, ``cols``. Since 0.1.
        """
        from ._popen import Popen

        return Popen(self, self._argv(*_words(command)), **kwargs)

    exec = popen

    # ---- jobs -------------------------------------------------------------------------------------------

    def run_background(self, command: Command, *, env: Mapping[str, str] | None = None, cwd: str | None = None,
                       timeout: float | None = None, keep: int = 0) -> str:
        """Starts a command that goes on beside others. Return: its handle, for the calls below.

        ``keep``: bytes of its output that are kept, the last ones; 0: 1 MiB. A job is never held up because nobody reads.
        """
        text, words = _words(command)
        return self._box.job_start(text, words, 0, _environment(env), cwd, None, None, _milliseconds(timeout), keep)

    def check_background(self, handle: str) -> tuple[str, bool]:
        """Its output so far, and whether it runs. ``("", False)``: there is no such job."""
        try:
            (_, running, *_), data, *_ = self._box.job_check(handle, 0)
        except SandboxNotFoundError:
            return "", False
        return data.decode("utf-8", "backslashreplace"), running

    def list_background(self) -> dict[str, dict[str, Any]]:
        """The jobs that were not stopped: ``{handle: {"pid": "12", "running": True, "exit_code": None}}``."""
        return {one[0]: {"pid": str(one[2]), "running": one[1], "exit_code": one[8][1] if one[8] else None,
                         "command": one[7]} for one in self._box.job_list()}

    def wait_background(self, handle: str, timeout: float | None = None) -> int | None:
        """Waits for its end. Return: its exit code; None: it runs. :raises SandboxNotFoundError:"""
        said = self._box.job_wait(handle, _ALL, timeout)
        return _exit_code(said)

    async def await_background(self, handle: str, timeout: float | None = None) -> int | None:
        """:meth:`wait_background` in an event loop."""
        return _exit_code(await told(self._box.fileno(), lambda: self._box.job_wait(handle, _ALL, 0), timeout))

    def stop_background(self, handle: str, grace: float = _GRACE_SECONDS) -> str:
        """Ends it with all that it has started, and forgets it. Return: its output; ``""``: there is no such job.

        ``grace``: seconds from SIGTERM to SIGKILL.
        """
        try:
            said = self._box.job_stop(handle, 0, max(1, round(grace * 1000)), 0)
        except SandboxNotFoundError:
            return ""
        return said[1].decode("utf-8", "backslashreplace")

    async def astop_background(self, handle: str, grace: float = _GRACE_SECONDS) -> str:
        """:meth:`stop_background` in an event loop."""
        try:
            self._box.job_signal(handle, 15)
            await told(self._box.fileno(), lambda: self._box.job_wait(handle, _ALL, 0), grace)
        except SandboxNotFoundError:
            return ""
        return self.stop_background(handle, 0.001)

    # ---- files ------------------------------------------------------------------------------------------

    def write_file(self, path: str | os.PathLike[str], content: str | bytes) -> None:
        """Makes or replaces a file; directories above it are made; str is UTF-8."""
        data = content.encode() if isinstance(content, str) else bytes(content)
        target = self.files(path)
        try:
            target.write_bytes(data)
        except SandboxNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def read_file(self, path: str | os.PathLike[str]) -> str:
        """A whole file as text: UTF-8; other bytes as lone surrogates (``.encode(errors="surrogateescape")``)."""
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def read_bytes(self, path: str | os.PathLike[str]) -> bytes:
        """A whole file. :raises SandboxNotFoundError: a FileNotFoundError"""
        return self.files(path).read_bytes()

    def copy_to(self, local: str | os.PathLike[str], container: str | os.PathLike[str]) -> None:
        """Copies a file or a tree of this machine to that very name in the sandbox; a directory that is there is merged into.
        Sockets and devices in a tree are left out."""
        self._box.copy_in(os.path.abspath(local), posixpath.join("/", os.fspath(container)),
                          _hutch.COPY_EXACT | _hutch.COPY_PARENTS | _hutch.COPY_FOLLOW)

    def copy_from(self, container: str | os.PathLike[str], local: str | os.PathLike[str]) -> None:
        """The other way round. Directories above ``local`` are made."""
        target = os.path.abspath(local)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        self._box.copy_out(posixpath.join("/", os.fspath(container)), target, _hutch.COPY_EXACT | _hutch.COPY_FOLLOW)

    # ---- states -----------------------------------------------------------------------------------------

    def reset(self, keep_processes: bool = False) -> None:
        """Back to how it was right after the start: files, processes, shells, jobs, memory, in a time that does not depend on
        what was written. ``keep_processes``: files only."""
        self._box.reset_start(keep_processes, True)

    def snapshot(self, tag: str | int | None = None) -> str | int:
        """Keeps how its files are now. Return: the tag; None makes 0, 1, 2... :raises SandboxExistsError:"""
        return _tag(self._box.snapshot_start(_text(tag), True).result())

    def restore(self, tag: str | int | None = None, keep_processes: bool = False) -> None:
        """Puts its files back; None: the snapshot that was made last. :raises SandboxNotFoundError:"""
        self._box.restore_start(_text(tag), _hutch.RESTORE_KEEP_PROCESSES if keep_processes else 0, True)

    def list_snapshots(self) -> list[str | int]:
        """Tags, in the order in which they were made."""
        return [_tag(one[0]) for one in self._box.snapshots()]

    def delete_snapshot(self, tag: str | int) -> None:
        """Forgets one; one that is not there is no failure."""
        try:
            self._box.snapshot_delete(str(tag))
        except SandboxNotFoundError:
            pass

    def diff(self, start: str | int | None = None, end: str | int | None = None) -> list[tuple[str, str]]:
        """Which paths differ: ``("A", path)`` added, ``("C", path)`` changed, ``("D", path)`` deleted. ``start``, ``end``: snapshots;
        None: right after the start, and now."""
        found: list[tuple[str, str]] = self._box.diff_start(_text(start), _text(end), True).result()
        return found

    def fs_snapshot(self, path: str | os.PathLike[str]) -> None:
        """Copies what was changed since the start to the directory @path of this machine, which must not be there; with a
        file ``.deleted`` that names what was deleted."""
        for name, target in self._fs_snapshot(path, self.diff()):
            if target is not None:
                self._box.copy_out(name, target, _hutch.COPY_EXACT)

    def _fs_snapshot(self, path: str | os.PathLike[str], changes: list[tuple[str, str]]) -> Iterator[tuple[str, str | None]]:
        """What is to be copied, and whereto; None: nothing, it was a directory or is gone."""
        from pathlib import Path

        target = Path(path)
        target.mkdir()
        deleted = []
        for kind, name in changes:
            there = target / name.lstrip("/")
            if kind == "D":
                deleted.append(name)
                yield name, None
            elif self.files(name).is_dir() and not self.files(name).is_symlink():
                there.mkdir(parents=True, exist_ok=True)
                yield name, None
            else:
                there.parent.mkdir(parents=True, exist_ok=True)
                yield name, str(there)
        if deleted:
            (target / ".deleted").write_text("".join(f"{name}\n" for name in deleted), errors="surrogateescape")

    def fs_restore(self, path: str | os.PathLike[str]) -> None:
        """Puts the files back to what :meth:`fs_snapshot` kept in @path. :raises FileNotFoundError:"""
        kept = _kept(path)
        self.reset()
        for source, name in self._fs_restore(kept):
            if source is not None:
                self._box.copy_in(source, name, _hutch.COPY_EXACT)
            else:
                self.files(name).rmtree()

    def _fs_restore(self, kept: Path) -> Iterator[tuple[str | None, str]]:
        """What is to be copied, and whereto; None: that is to be removed."""
        for entry in kept.iterdir():
            if entry.name != ".deleted":
                yield str(entry), "/" + entry.name
        if (kept / ".deleted").exists():
            for name in (kept / ".deleted").read_text(errors="surrogateescape").splitlines():
                if self.files(name).exists() or self.files(name).is_symlink():
                    yield None, name

    def fork(self: Self, n: int = 1, *, snapshot: str | int | None = None, names: Sequence[str] | None = None) -> list[Self]:
        """New sandboxes that begin with the files of this one (or of a snapshot of it). Nothing of what one of them writes is
        seen by another; processes are not copied. All are made, or none. ``names``: how they are called, and so how many there
        are."""
        return self._forks(self._box.fork_start(_text(snapshot), names, _how_many(n, names), 0, True).result())

    def _forks(self: Self, boxes: list[_hutch.Box]) -> list[Self]:
        forks = []
        for box in boxes:
            fork = type(self).__new__(type(self))
            fork._setup(self._config, box)
            forks.append(fork)
        return forks

    # ---- its end ----------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Ends it, and removes what it left. A second call does nothing."""
        _alive.discard(self)
        self._box.delete()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()

    def __reduce__(self) -> Any:
        return self._box.__reduce__()  # refuses: the end of a copy would be that of the sandbox

    def __del__(self) -> None:
        box = getattr(self, "_box", None)
        if box is not None and box.alive:
            warnings.warn(f"{self!r} was not deleted: use `with`, or delete()", ResourceWarning, stacklevel=2, source=self)
            box.delete()

    # ---- the same in an event loop ------------------------------------------------------------------------
    # What can take longer than a call goes piece by piece (_copy.py), or waits on a descriptor.

    @classmethod
    async def acreate(cls: type[Self], config: SandboxConfig | Mapping[str, Any] | None = None,
                      name: str | None = None, **fields: Any) -> Self:
        """``await Sandbox.acreate(...)``: as the constructor."""
        self = cls(config, name, _waits=False, **fields)
        try:
            await done(self._box.ready_start())
        except SandboxError as failure:
            self.delete()
            raise _init_error(failure) from None
        except BaseException:
            self.delete()
            raise
        if self._config.entrypoint:
            with self._entered():
                await self.arun("true")
        return self

    async def _settled(self) -> None:
        """When nothing that this loop has begun changes the state of the sandbox."""
        import asyncio

        loop = asyncio.get_running_loop()
        while self._changing is not None and self._changing.get_loop() is loop:
            await asyncio.shield(self._changing)

    async def _change(self, begin: Callable[[], _hutch.Op | None]) -> Any:
        """One after the other, and what is called meanwhile waits for its turn."""
        import asyncio

        await self._settled()
        op = begin()
        if op is None:
            return None
        mine = self._changing = asyncio.get_running_loop().create_future()
        try:
            return await done(op)
        finally:
            self._changing = None
            mine.set_result(None)

    async def adelete(self) -> None:
        """:meth:`delete`"""
        _alive.discard(self)
        await self._change(self._box.delete_start)

    async def areset(self, keep_processes: bool = False) -> None:
        """:meth:`reset`. What is called in the same loop meanwhile waits until it is done; in another thread it is refused
        (SandboxBusyError). Cancelled, it is done all the same."""
        await self._change(lambda: self._box.reset_start(keep_processes, False))

    async def asnapshot(self, tag: str | int | None = None) -> str | int:
        """:meth:`snapshot`; see :meth:`areset`."""
        return _tag(await self._change(lambda: self._box.snapshot_start(_text(tag), False)))

    async def arestore(self, tag: str | int | None = None, keep_processes: bool = False) -> None:
        """:meth:`restore`; see :meth:`areset`."""
        flags = _hutch.RESTORE_KEEP_PROCESSES if keep_processes else 0
        await self._change(lambda: self._box.restore_start(_text(tag), flags, False))

    async def adelete_snapshot(self, tag: str | int) -> None:
        await self._settled()
        self.delete_snapshot(tag)  # that is a note on the disk

    async def adiff(self, start: str | int | None = None, end: str | int | None = None) -> list[tuple[str, str]]:
        """:meth:`diff`; see :meth:`areset`."""
        found: list[tuple[str, str]] = await self._change(lambda: self._box.diff_start(_text(start), _text(end), False))
        return found

    async def afork(self: Self, n: int = 1, *, snapshot: str | int | None = None,
                    names: Sequence[str] | None = None) -> list[Self]:
        """:meth:`fork`; see :meth:`areset`."""
        count = _how_many(n, names)
        return self._forks(await self._change(lambda: self._box.fork_start(_text(snapshot), names, count, 0, False)))

    async def apopen(self, command: Command, **kwargs: Any) -> AsyncPopen:
        """:meth:`popen` for an event loop: ``stdin``, ``stdout``, ``stderr`` are asyncio's streams, ``await process.wait()``,
        ``await process.communicate()``. See :class:`AsyncPopen`."""
        from ._apopen import AsyncPopen

        if any(kwargs.get(name) for name in ("text", "universal_newlines", "encoding", "errors")):
            raise SandboxConfigError("apopen: its streams are of bytes; text, encoding and errors are popen()'s")
        await self._settled()
        return await AsyncPopen.start(self.popen(command, **{**kwargs, "bufsize": 0}))

    async def aexec(self, command: Command, **kwargs: Any) -> AsyncPopen:
        """The same as :meth:`apopen`."""
        return await self.apopen(command, **kwargs)

    async def arun_background(self, command: Command, *, env: Mapping[str, str] | None = None, cwd: str | None = None,
                              timeout: float | None = None, keep: int = 0) -> str:
        await self._settled()
        return self.run_background(command, env=env, cwd=cwd, timeout=timeout, keep=keep)

    async def awrite_file(self, path: str | os.PathLike[str], content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else bytes(content)
        target = self.files(path)
        await self._settled()
        try:
            await target.awrite_bytes(data)
        except SandboxNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            await target.awrite_bytes(data)

    async def aread_file(self, path: str | os.PathLike[str]) -> str:
        return (await self.aread_bytes(path)).decode("utf-8", "surrogateescape")

    async def aread_bytes(self, path: str | os.PathLike[str]) -> bytes:
        await self._settled()
        return await self.files(path).aread_bytes()

    async def acopy_to(self, local: str | os.PathLike[str], container: str | os.PathLike[str]) -> None:
        """:meth:`copy_to`, which lets the loop go on between pieces. Cancelled, it leaves what was copied until then."""
        from ._copy import copy_in

        await self._settled()
        await copy_in(self._box, os.path.abspath(local), posixpath.join("/", os.fspath(container)),
                      _hutch.COPY_EXACT | _hutch.COPY_PARENTS | _hutch.COPY_FOLLOW)

    async def acopy_from(self, container: str | os.PathLike[str], local: str | os.PathLike[str]) -> None:
        """:meth:`copy_from`, in the same way."""
        from ._copy import copy_out

        await self._settled()
        target = os.path.abspath(local)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        await copy_out(self._box, posixpath.join("/", os.fspath(container)), target, _hutch.COPY_EXACT | _hutch.COPY_FOLLOW)

    async def afs_snapshot(self, path: str | os.PathLike[str]) -> None:
        """:meth:`fs_snapshot`, which lets the loop go on between pieces."""
        from ._copy import Turns, copy_out

        turns = Turns()
        for name, target in self._fs_snapshot(path, await self.adiff()):
            if target is not None:
                await copy_out(self._box, name, target, _hutch.COPY_EXACT, turns)
            await turns.pause()

    async def afs_restore(self, path: str | os.PathLike[str]) -> None:
        """:meth:`fs_restore`, in the same way."""
        from ._copy import Turns, copy_in, remove

        turns = Turns()
        kept = _kept(path)
        await self.areset()
        for source, name in self._fs_restore(kept):
            if source is not None:
                await copy_in(self._box, source, name, _hutch.COPY_EXACT, turns)
            else:
                await remove(self._box, name, turns)

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.adelete()

    # ---- of all sandboxes -----------------------------------------------------------------------------------

    def pressure(self) -> dict[str, dict[str, float]]:
        """Pressure stall information of its cgroup; ``{}``: it has none (limits come with a later version)."""
        return {}

    def reclaim_memory(self) -> bool:
        """Asks the kernel to take back memory that is not used. False: this version cannot."""
        return False

    @staticmethod
    def cleanup_stale(env_base_dir: str = "") -> int:
        """Removes what sandboxes of programs that were killed have left. Return: how many there were.

        ``env_base_dir``: as that of the configuration.
        """
        here = home(env_base_dir)
        before = {one[0]: one[1] for one in here.list() if not one[2]}
        here.cleanup(60_000)
        left = {one[0] for one in here.list()}
        return sum(1 for name, state in before.items() if state != 0 or name not in left)  # of some the end came meanwhile


class Session:
    """A shell of a sandbox that lasts from call to call. ``with`` is not needed: it ends with the sandbox, or a reset. Since 0.1."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox, self.name = sandbox, name

    def run(self, text: str, timeout: float | None = None, *, env: Mapping[str, str] | None = None,
            cwd: str | None = None, check: bool = False, max_output: int | None = None) -> RunResult:
        """Runs @text in it. ``env`` and ``cwd`` stay. A timeout ends what the text has started, and spares the session."""
        sandbox = self.sandbox
        if timeout is None and env is None and cwd is None and max_output is None and type(text) is str:
            result = sandbox._box.say(text or ":", self.name)
        else:
            result = sandbox._box.run(*sandbox._ask(text, timeout, env, cwd, False, False, self.name, max_output))
        return sandbox._given(text, result, check)

    async def arun(self, text: str, timeout: float | None = None, *, env: Mapping[str, str] | None = None,
                   cwd: str | None = None, check: bool = False, max_output: int | None = None) -> RunResult:
        """The same in an event loop."""
        ask = self.sandbox._ask(text, timeout, env, cwd, False, False, self.name, max_output)
        return self.sandbox._given(text, await self.sandbox._arun(ask), check)

    def stream(self, text: str, timeout: float | None = None) -> Stream:
        """See :class:`Stream`."""
        return self.sandbox._stream(text, timeout, None, None, False, False, self.name)

    astream = stream

    def __repr__(self) -> str:
        return f"Session({self.name!r} of {self.sandbox.name!r})"


# ---- helpers --------------------------------------------------------------------------------------------


def _init_error(failure: SandboxError) -> SandboxError:
    """What a constructor raises for it."""
    if failure.code not in ("SYSTEM", "DIED", "LIMIT", "INTERNAL", "TIMEOUT"):
        return failure
    return SandboxInitError(str(failure), failure.code, failure.errno)


def _kept(path: str | os.PathLike[str]) -> Path:
    """Where :meth:`Sandbox.fs_snapshot` kept something."""
    from pathlib import Path

    kept = Path(path)
    if not kept.is_dir():
        raise FileNotFoundError(f"no snapshot in {os.fspath(path)!r}")
    return kept


def _how_many(n: int, names: Sequence[str] | None) -> int:
    if n < 1 or (names is not None and n not in (1, len(names))):
        raise ValueError(f"n={n}: " + ("at least one fork" if n < 1 else f"there are {len(names or ())} names"))
    return n


def _text(tag: str | int | None) -> str | None:
    return None if tag is None else str(tag)


def _tag(name: str) -> str | int:
    return int(name) if name.isdigit() and name.isascii() and str(int(name)) == name else name  # "007" is no 7


def _exit_code(said: _hutch._JobSaid | None) -> int | None:
    result = said[0][8] if said else None
    return result[1] if result else None


def _capped(data: bytes, cap: int) -> _hutch._Output:
    if len(data) <= cap:
        return data, len(data), len(data)
    head = cap // 2
    return data[:head] + data[len(data) - (cap - head):], len(data), head


def _no_echo(fd: int) -> None:
    import termios

    modes = termios.tcgetattr(fd)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSANOW, modes)


def _until_hangup(fd: int) -> bytes:
    parts = []
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError:  # EIO: nobody has the other side any more
            break
        if not data:
            break
        parts.append(data)
    return b"".join(parts)


@atexit.register
def _delete_all() -> None:
    interpreter_ends()
    for sandbox in list(_alive):
        if sandbox._box.alive:
            sandbox.delete()
