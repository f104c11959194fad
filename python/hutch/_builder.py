# SPDX-License-Identifier: Apache-2.0
"""A sandbox said step by step: nanobox's builder, its presets and what it hands back.

How it works: a :class:`SandboxBuilder` is never changed. Each method hands back a new one with one thing more, so that
one that is kept can be gone on from several times. ``build()`` puts what was said into fields of a spec (names and
texts as in hutch-spec(5)) and hands them to the part of the package that knows the library, which is not loaded before.

Limits that this version cannot enforce are named by ``build()`` in a :class:`NotSupportedError`, unless
``without_limits()`` said to do without them. Since 0.1.
"""

from __future__ import annotations

import abc
import copy
import enum
import importlib
import math
import os
import posixpath
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, Union

from ._errors import NotSupportedError
from ._nanobox_errors import Config, InvalidMountPermission, NulError, PathNotFound, PlatformNotSupported

KB = 1024
MB = 1024 * KB
GB = 1024 * MB

#: Where nothing is said: nanobox's.
DEFAULT_WALL_TIME = 3600.0
DEFAULT_PIDS = 64
DEFAULT_HOSTNAME = "sandbox"

#: Fields that this version knows and cannot honour. One that it can is taken out of here, and is set.
#: "network.allow" stands for a network that leads to some domains only.
NOT_YET = frozenset({"limits.memory", "limits.cpus", "limits.pids", "network.allow"})

PathLike = Union[str, "os.PathLike[str]"]
Seconds = Union[float, int, timedelta]
_B = TypeVar("_B", bound="SandboxBuilder")


class Permission(enum.Enum):
    """Whether what is mounted can be written."""

    READ_ONLY = "ro"
    READ_WRITE = "rw"
    ReadOnly = "ro"
    ReadWrite = "rw"


class NetworkMode(enum.Enum):
    """What a sandbox reaches: nothing, what the machine reaches, or some domains."""

    NONE = "none"
    HOST = "host"
    PROXIED = "proxied"
    None_ = "none"
    Host = "host"
    Proxied = "proxied"


class SeccompProfile(enum.Enum):
    """Which system calls are let through.

    The filter of hutch refuses all that nanobox says to refuse always (ptrace, mount, namespaces, modules and the
    like), and STANDARD and PERMISSIVE are that filter. STRICT is the filter without any capability besides. DISABLED is
    no filter; that set-id programs give nothing stays.
    """

    DISABLED = "disabled"
    STRICT = "strict"
    STANDARD = "standard"
    PERMISSIVE = "permissive"
    Disabled = "disabled"
    Strict = "strict"
    Standard = "standard"
    Permissive = "permissive"

    @staticmethod
    def custom(calls: Iterable[str]) -> SeccompProfile:
        """A list of one's own comes with a later version.

        Raises :class:`NotSupportedError`, always: a wider filter in its place would be a weaker sandbox.
        """
        raise NotSupportedError(f"a list of {len(list(calls))} system calls of one's own: not in this version yet; "
                                "SeccompProfile.STRICT is the narrowest")


@dataclass
class ExecutionResult:
    """How a command ended. Signals, timeouts and lack of memory are results, not exceptions."""

    stdout: str = ""
    stderr: str = ""
    #: 128 and the number of the signal, where one ended it.
    exit_code: int = 0
    #: Of the whole call.
    duration: timedelta = timedelta(0)
    killed_by_timeout: bool = False
    killed_by_oom: bool = False
    signal: int | None = None
    #: In bytes; None: not known.
    peak_memory: int | None = None
    #: User and system time; None: not known.
    cpu_time: timedelta | None = None

    def success(self) -> bool:
        """It ended by itself, with 0."""
        return self.failure_reason() is None

    def failure_reason(self) -> str | None:
        """What ended it, the first that holds; None: success."""
        if self.killed_by_timeout:
            return "Execution timed out"
        if self.killed_by_oom:
            return "Out of memory"
        if self.signal is not None:
            return f"Killed by signal {self.signal}"
        if self.exit_code != 0:
            return f"Exit code {self.exit_code}"
        return None


class Sandbox(abc.ABC):
    """What ``build()`` hands back: it runs one command per call, each in a sandbox of its own."""

    @staticmethod
    def builder() -> SandboxBuilder:
        """A builder with nothing said."""
        return SandboxBuilder()

    @abc.abstractmethod
    def run(self, cmd: str, args: Iterable[str] = ()) -> ExecutionResult:
        """Runs a program, without a shell, to its end."""

    @abc.abstractmethod
    def run_with_input(self, cmd: str, args: Iterable[str] = (), input: bytes | None = None) -> ExecutionResult:
        """The same, with bytes on its standard input."""

    @abc.abstractmethod
    def id(self) -> str:
        """A name that no other one has: letters, digits, ``-`` and ``_``."""

    def platform(self) -> str:
        """``"linux"``."""
        return platform_name()


def platform_name() -> str:
    """``linux``, ``macos`` or ``windows``."""
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)


def is_platform_supported() -> bool:
    """Whether there can be sandboxes on this system; ``hutch doctor`` says whether this machine lets them start."""
    return sys.platform == "linux"


# ---- checks and texts -----------------------------------------------------------------------------


def _text(what: str, value: PathLike) -> str:
    text = os.fspath(value)
    if not isinstance(text, str):
        raise Config(f"{what} {text!r} is not text")
    if "\0" in text:
        raise NulError(f"{what} {text!r}")
    return text


def _target(what: str, value: PathLike) -> str:
    """In the form by which two ways to write one place are known to be one."""
    text = _text(what, value)
    if not text.startswith("/"):
        raise Config(f"{what} '{text}' is not an absolute path")
    return "/" + posixpath.normpath(text).lstrip("/")


def _count(what: str, value: int, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Config(f"{what} {value!r} is not a whole number of at least {least}")
    return value


def _seconds(what: str, value: Seconds) -> float:
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number) or number <= 0:
        raise Config(f"{what} {value!r} is not a time of more than 0 seconds")
    return float(number)


def _size_text(size: int) -> str:
    """As people write it: 4g."""
    for unit, scale in (("g", GB), ("m", MB), ("k", KB)):
        if size % scale == 0:
            return f"{size // scale}{unit}"
    return str(size)


def _mount_text(source: str, target: str, permission: Permission) -> str:
    """For the field mounts, which takes any path: words of a line of CSV."""
    words = ["type=bind", f"source={source}", f"target={target}"]
    if permission is Permission.READ_ONLY:
        words.append("readonly")
    return ",".join('"' + word.replace('"', '""') + '"' if "," in word else word for word in words)


# ---- the builder ----------------------------------------------------------------------------------


class SandboxBuilder:
    """Says step by step what a sandbox shall be.

    Where nothing is said: no network, no rootfs (the machine's own programs, without its homes and secrets), host name
    ``sandbox``, an hour, an empty environment. nanobox's default of 64 processes is set by versions that can
    enforce it.
    """

    def __init__(self) -> None:
        self._mounts: dict[str, tuple[str, Permission]] = {}  # by target
        self._tmpfs: dict[str, int] = {}
        self._env: dict[str, str] = {}
        self._domains: tuple[str, ...] = ()
        self._network = NetworkMode.NONE
        self._profile = SeccompProfile.STANDARD
        self._rootfs: str | None = None
        self._working_dir: str | None = None
        self._hostname = DEFAULT_HOSTNAME
        self._memory: int | None = None
        self._cpus: float | None = None
        self._pids: int | None = None
        self._wall_time = DEFAULT_WALL_TIME
        self._cpu_time: float | None = None
        self._file_size: int | None = None
        self._open_files: int | None = None
        self._uid: int | None = None
        self._gid: int | None = None
        self._clear_env = True
        self._without = False

    def _with(self: _B, **changes: Any) -> _B:
        new = copy.copy(self)
        new.__dict__.update(changes)
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fields() + self.later()!r})"

    # ---- files ----

    def mount(self: _B, source: PathLike, target: PathLike, permission: Permission) -> _B:
        """Shows a file or directory of the machine; the last one at a target counts. ``build()`` looks for it."""
        place = _target("mount target", target)
        if not isinstance(permission, Permission):
            raise InvalidMountPermission(place, f"{permission!r} is neither READ_ONLY nor READ_WRITE")
        tmpfs = {at: size for at, size in self._tmpfs.items() if at != place}
        return self._with(_mounts={**self._mounts, place: (_text("mount source", source), permission)}, _tmpfs=tmpfs)

    def tmpfs(self: _B, path: PathLike, size_bytes: int) -> _B:
        """An empty directory in memory, in which programs can be run."""
        place = _target("tmpfs path", path)
        if ":" in place:
            raise Config(f"tmpfs path '{place}' has a colon in it")
        mounts = {at: mount for at, mount in self._mounts.items() if at != place}
        return self._with(_tmpfs={**self._tmpfs, place: _count("tmpfs size", size_bytes)}, _mounts=mounts)

    def working_dir(self: _B, path: PathLike) -> _B:
        """Where commands start; made if it is not there."""
        return self._with(_working_dir=_target("working directory", path))

    def rootfs(self: _B, path: PathLike) -> _B:
        """An unpacked root file system; what is written goes elsewhere and is dropped. ``build()`` looks for it."""
        return self._with(_rootfs=_text("rootfs", path))

    # ---- limits ----

    def memory_limit(self: _B, size_bytes: int) -> _B:
        """Most memory of all processes together."""
        return self._with(_memory=_count("memory limit", size_bytes))

    def cpu_limit(self: _B, cores: float) -> _B:
        """Most processors: 0.5, 2."""
        if isinstance(cores, bool) or not isinstance(cores, (int, float)) or not math.isfinite(cores) or cores <= 0:
            raise Config(f"cpu limit {cores!r} is not a number of more than 0")
        return self._with(_cpus=float(cores))

    def wall_time_limit(self: _B, limit: Seconds) -> _B:
        """Kill everything after this time: seconds, or a timedelta."""
        return self._with(_wall_time=_seconds("wall time limit", limit))

    def cpu_time_limit(self: _B, limit: Seconds) -> _B:
        """Processor time of each process, in whole seconds: SIGXCPU then, SIGKILL a second later."""
        return self._with(_cpu_time=_seconds("cpu time limit", limit))

    def max_pids(self: _B, count: int) -> _B:
        """Most processes and threads."""
        return self._with(_pids=_count("max pids", count))

    def max_file_size(self: _B, size_bytes: int) -> _B:
        """Most bytes in one file that is written."""
        return self._with(_file_size=_count("max file size", size_bytes, 0))

    def max_open_files(self: _B, count: int) -> _B:
        """Most descriptors of one process."""
        return self._with(_open_files=_count("max open files", count))

    def without_limits(self: _B) -> _B:
        """Do without those of the limits that this version cannot enforce. hutch's own; nanobox passes over them."""
        return self._with(_without=True)

    # ---- network and guards ----

    def no_network(self: _B) -> _B:
        """Nothing but a loopback of its own. The default."""
        return self._with(_network=NetworkMode.NONE, _domains=())

    def host_network(self: _B) -> _B:
        """The machine's network."""
        return self._with(_network=NetworkMode.HOST, _domains=())

    def allow_network(self: _B, domains: Iterable[str]) -> _B:
        """These domains and nothing else: ``"example.org"``, ``"*.example.com"``."""
        if isinstance(domains, str):
            raise Config(f"allow_network takes a list of domains: [{domains!r}]")
        names = tuple(_text("domain", name) for name in domains)
        if not names or any(not name or "," in name or name.split() != [name] for name in names):
            raise Config(f"domains {list(names)!r}: at least one, without blanks and commas")
        return self._with(_network=NetworkMode.PROXIED, _domains=names)

    def seccomp_profile(self: _B, profile: SeccompProfile) -> _B:
        """Which system calls are let through."""
        if not isinstance(profile, SeccompProfile):
            raise Config(f"{profile!r} is not a SeccompProfile")
        return self._with(_profile=profile)

    # ---- the process ----

    def uid(self: _B, number: int) -> _B:
        """User inside. Not said: 0, who is the caller outside, so that what he mounts can be written."""
        return self._with(_uid=_count("uid", number, 0))

    def gid(self: _B, number: int) -> _B:
        """Group inside."""
        return self._with(_gid=_count("gid", number, 0))

    def env(self: _B, key: str, value: str) -> _B:
        """A variable; the last one of a name counts."""
        name, text = _text("variable", key), _text("value of a variable", value)
        if not name or "=" in name:
            raise Config(f"variable {name!r}: a name is not empty and has no '=' in it")
        return self._with(_env={**self._env, name: text})

    def envs(self: _B, variables: Mapping[str, str] | Iterable[tuple[str, str]]) -> _B:
        """Several variables."""
        new = self
        for key, value in variables.items() if isinstance(variables, Mapping) else variables:
            new = new.env(key, value)
        return new

    def clear_env(self: _B, clear: bool) -> _B:
        """False: variables of the caller are inside too. True is the default."""
        return self._with(_clear_env=bool(clear))

    def hostname(self: _B, name: str) -> _B:
        """Host name inside."""
        return self._with(_hostname=_text("host name", name))

    # ---- what it came to ----

    def _limits(self) -> list[tuple[str, str]]:
        pids = DEFAULT_PIDS if self._pids is None and "limits.pids" not in NOT_YET else self._pids
        found = []
        if self._memory is not None:
            found.append(("limits.memory", _size_text(self._memory)))
        if self._cpus is not None:
            found.append(("limits.cpus", format(self._cpus, ".10g")))
        if pids is not None:
            found.append(("limits.pids", str(pids)))
        return found

    def _ulimits(self) -> list[tuple[str, str]]:
        found = []
        if self._cpu_time is not None:
            seconds = math.ceil(self._cpu_time)
            found.append(("ulimits", f"cpu={seconds}:{seconds + 1}"))
        if self._file_size is not None:
            found.append(("ulimits", f"fsize={self._file_size}"))
        if self._open_files is not None:
            found.append(("ulimits", f"nofile={self._open_files}"))
        return found

    def _guards(self) -> list[tuple[str, str]]:
        found = []
        if self._network is NetworkMode.HOST:
            found += [("network", "host"), ("allow_abstract_sockets", "true")]
        elif self._network is NetworkMode.PROXIED and "network.allow" not in NOT_YET:
            found.append(("network", "allow:" + ",".join(self._domains)))
        else:
            found.append(("network", "none"))
        if self._profile is SeccompProfile.STRICT:
            found.append(("cap_drop", "ALL"))
        elif self._profile is SeccompProfile.DISABLED:
            found.append(("security_opt", "seccomp=unconfined"))
        return found

    def fields(self) -> list[tuple[str, str]]:
        """Fields of a spec and their texts, in an order in which they can be set."""
        found = [("host", "true") if self._rootfs is None else ("rootfs", self._rootfs)]
        found += [("mounts", _mount_text(source, target, permission))
                  for target, (source, permission) in self._mounts.items()]
        found += [("tmpfs", f"{place}:size={_size_text(size)},exec") for place, size in self._tmpfs.items()]
        if self._working_dir is not None:
            found.append(("working_dir", self._working_dir))
        found += [("env", f"{key}={value}") for key, value in self._env.items()]
        found.append(("hostname", self._hostname))
        found += [(name, text) for name, text in self._limits() if name not in NOT_YET]
        return found + self._ulimits() + self._guards()

    def later(self) -> list[tuple[str, str]]:
        """Limits that were asked for and that this version cannot enforce."""
        return [(name, text) for name, text in self._limits() if name in NOT_YET]

    def options(self) -> dict[str, Any]:
        """What is no field of a spec."""
        return {"wall_time": self._wall_time, "uid": self._uid, "gid": self._gid, "clear_env": self._clear_env,
                "later": self.later()}

    def _check(self) -> None:
        if not is_platform_supported():
            raise PlatformNotSupported(platform_name())
        if self._rootfs is not None and not os.path.isdir(self._rootfs):
            raise PathNotFound(self._rootfs)
        for source, _ in self._mounts.values():
            if not os.path.exists(source):
                raise PathNotFound(source)
        if self._network is NetworkMode.PROXIED and "network.allow" in NOT_YET:
            raise NotSupportedError(f"allow_network({', '.join(self._domains)}): not in this version yet; "
                                    "no_network() and host_network() are")
        if self.later() and not self._without:
            raise NotSupportedError(", ".join(f"{name}={text}" for name, text in self.later()) +
                                    ": not in this version yet; without_limits() does without them")

    def build(self) -> Any:
        """Checks what was said and hands back a :class:`Sandbox`; starts nothing.

        Raises :class:`PathNotFound`, :class:`NotSupportedError` for what this version cannot give, and
        :class:`SandboxConfigError` for what is wrong otherwise.
        """
        self._check()
        return importlib.import_module("._nanobox", __package__).build_nanobox(self.fields(), self.options())

    # ---- presets; src/spec/presets.def has the same values ----

    @classmethod
    def data_analysis(cls: type[_B], input: PathLike, output: PathLike) -> _B:
        """A program over data: ``/input`` is only read, ``/output`` is written, five minutes."""
        return (cls().mount(input, "/input", Permission.READ_ONLY).mount(output, "/output", Permission.READ_WRITE)
                .tmpfs("/tmp", 256 * MB).working_dir("/workspace")
                .memory_limit(2 * GB).cpu_limit(2).wall_time_limit(300).max_pids(100))

    @classmethod
    def code_judge(cls: type[_B], code: PathLike) -> _B:
        """A submission that nobody trusts, a directory or a file, in ``/workspace``: only read, ten seconds."""
        path = _text("code", code)
        target = f"/workspace/{os.path.basename(path)}" if os.path.isfile(path) else "/workspace"
        return (cls().mount(path, target, Permission.READ_ONLY).tmpfs("/tmp", 64 * MB).working_dir("/workspace")
                .memory_limit(256 * MB).cpu_limit(1).wall_time_limit(10).cpu_time_limit(5).max_pids(10)
                .seccomp_profile(SeccompProfile.STRICT))

    @classmethod
    def agent_executor(cls: type[_B], workspace: PathLike) -> _B:
        """What an agent does in a project, which is ``/workspace`` and can be written: ten minutes a command."""
        return (cls().mount(workspace, "/workspace", Permission.READ_WRITE).tmpfs("/tmp", 512 * MB)
                .working_dir("/workspace").memory_limit(4 * GB).cpu_limit(4).wall_time_limit(600).max_pids(256)
                .env("HOME", "/workspace").env("USER", "sandbox"))

    @classmethod
    def interactive(cls: type[_B], workspace: PathLike) -> _B:
        """Somebody at a terminal: ``/workspace`` can be written, an hour."""
        return (cls().mount(workspace, "/workspace", Permission.READ_WRITE).tmpfs("/tmp", GB)
                .working_dir("/workspace").memory_limit(8 * GB).cpu_limit(4).max_pids(512)
                .env("TERM", "xterm-256color").env("HOME", "/workspace").env("USER", "sandbox")
                .env("SHELL", "/bin/bash").seccomp_profile(SeccompProfile.PERMISSIVE))
