# SPDX-License-Identifier: Apache-2.0
"""What a sandbox shall be: SandboxConfig.

How it works: the fields are those of nitrobox, under its names and in all forms that it takes, and behind them what
hutch has besides, under the names of ``hutch-spec(5)``. The constructor checks every field (``CHECKS``) and brings it
into its form; what contradicts itself is an error there. Assigning to an attribute later is not checked. The fields
become a spec of libhutch in ``_fields.py``; other ways to make a configuration are in ``_docker.py`` and
``_docker_run.py`` (words of Docker; imported when asked for) and below (dict, JSON, TOML).

The defaults are the safe ones: no network, every guard on. ``hutch.compat.nitrobox`` has nitrobox's.
"""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from . import _check, _fields
from ._check import list_of, number, optional, path, pairs, size_or_max, switch, text, text_or_number, words
from ._errors import SandboxConfigError

Self = TypeVar("Self", bound="SandboxConfig")


@dataclass
class SandboxConfig:
    """Everything that is asked of one sandbox. Every field has a default; None is "not said".

    Sizes are bytes or text (``"512m"``, ``"1.5 GB"``), held as text of a decimal number of bytes. Times are seconds or
    text (``"200ms"``). Raises SandboxConfigError (a ValueError): a wrong type or value, or a contradiction.
    Since 0.1.
    """

    #: Image, or an existing directory that is the root file system (never written to).
    image: str = ""
    #: Where every command starts; made if it is not there. ``"/"``: the image's, if it has one.
    working_dir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    #: ``"source:target[:ro|rw|cow]"``
    volumes: list[str] = field(default_factory=list)
    #: ``"source[:target][:rwm]"``
    devices: list[str] = field(default_factory=list)
    tty: bool = False
    #: The shell of ``run(text)`` and those of sessions start behind it, when the sandbox is made, after a reset, and in a fork:
    #: what it exports they have. It must end with ``exec "$@"``. Lists, ``clean=True`` and jobs run without.
    #: None: the image's; []: none.
    entrypoint: list[str] | None = None
    hostname: str | None = None
    dns: list[str] | None = None
    fs_backend: str = "overlayfs"
    #: Where state is kept, and images; ``""``: where hutch keeps it. Read by Sandbox, no field of a spec.
    env_base_dir: str = ""
    rootfs_cache_dir: str = ""
    read_only: bool = False
    #: ``"/path[:size=...,mode=...]"``
    tmpfs: list[str] = field(default_factory=list)
    shm_size: str | int | None = None
    #: Processors (``"0.5"``, 2, ``"50%"``) or ``"quota period"`` in microseconds; held as the latter.
    cpu_max: str | int | float | None = None
    memory_max: str | int | None = None
    pids_max: str | int | None = None
    #: ``"device size"`` (writes) or ``"device rbps= wbps= riops= wiops="``
    io_max: str | None = None
    oom_score_adj: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    cpu_shares: int | None = None
    #: Given: memory and swap together, as Docker; -1: no limit. Held: swap alone, or ``"max"``.
    memory_swap: str | int | None = None
    memory_high: str | int | None = None
    #: ``{name: (soft, hard)}``; -1: no limit
    ulimits: dict[str, Any] = field(default_factory=dict)
    #: True: no network. False: the host's. None: as ``network`` and ``port_map`` say, which is none by default.
    net_isolate: bool | None = None
    #: Path of a network namespace to join.
    net_ns: str | None = None
    #: Path of a user namespace to join.
    shared_userns: str | None = None
    #: ``"[ip:]host:container"``; means a network of its own that reaches out.
    port_map: list[str] | None = None
    ipv6: bool = False
    #: The filter of system calls.
    seccomp: bool = True
    cap_add: list[str] = field(default_factory=list)
    cap_drop: list[str] = field(default_factory=list)
    #: Landlock: only these may be written, read, connected to.
    writable_paths: list[str] | None = None
    readable_paths: list[str] | None = None
    allowed_ports: list[int] | None = None
    vm_mode: bool = False
    mask_paths: bool = True

    # What nitrobox does not have; names and meanings as in hutch-spec(5).
    rootfs: str | None = None
    #: The machine's own programs are the root file system.
    host: bool = False
    pull: str | None = None
    platform: str | None = None
    command: list[str] = field(default_factory=list)
    #: Name of the sandbox, where none is given beside the configuration.
    name: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    label_file: list[str] = field(default_factory=list)
    domainname: str | None = None
    user: str | int | None = None
    group_add: list[str] = field(default_factory=list)
    env_file: list[str] = field(default_factory=list)
    interactive: bool = False
    #: What the next reset needs, and a shell, stand ready from the start, not from the first reset on (0.5 MB more).
    spare: bool = False
    #: What runs texts: a name or a path inside, of a shell as POSIX has it. None: bash, or sh where there is none. Not bash: without
    #: what only that can do, as a session that outlives the timeout of a text.
    shell: str | None = None
    init: bool = False
    stop_signal: str | int | None = None
    stop_timeout: str | int | float | None = None
    #: Everything is killed after this time.
    timeout: str | int | float | None = None
    restart: str | None = None
    #: cmd, interval, timeout, retries, start_period, start_interval
    healthcheck: dict[str, Any] = field(default_factory=dict)
    mounts: list[str] = field(default_factory=list)
    #: Where writes to the root file system go: ``"disk"``, ``"tmpfs"``, ``"tmpfs:SIZE"``.
    upper: str | None = None
    gpus: str | int | None = None
    #: ``"none"`` or ``"host"``; None: as net_isolate says.
    network: str | None = None
    publish_all: bool = False
    expose: list[str] = field(default_factory=list)
    #: ``"name:ip"``, or a dict.
    add_host: list[str] = field(default_factory=list)
    dns_search: list[str] = field(default_factory=list)
    dns_option: list[str] = field(default_factory=list)
    allow_abstract_sockets: bool = False
    memory_reservation: str | int | None = None
    #: ``"device:rate"``
    device_read_bps: list[str] = field(default_factory=list)
    device_write_bps: list[str] = field(default_factory=list)
    device_read_iops: list[str] = field(default_factory=list)
    device_write_iops: list[str] = field(default_factory=list)
    blkio_weight: int | None = None
    privileged: bool = False
    #: ``"ptrace"``, ``"userns"``, ``"no-new-privileges=false"``, ...
    security_opt: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    ids: str | None = None

    #: How nitrobox differs where it is not a default: capabilities that switch the filter off, Docker's networks.
    _as_nitrobox: ClassVar[bool] = False

    if not TYPE_CHECKING:  # which knows what __init__() takes
        def __new__(cls, *args: Any, **given: Any) -> Any:
            for name in given:
                if name not in cls.__dataclass_fields__:
                    raise TypeError(f"{cls.__name__}: unknown field {name!r}{_suggest(name, set(cls.__dataclass_fields__))}")
            return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            setattr(self, name, check(name, getattr(self, name)))
        if self.memory_swap is not None:
            self.memory_swap = _check.swap(self.memory_swap, _text(self.memory_max))
        self._check_root()
        self._check_network()
        if self._as_nitrobox and any(cap in _UNFILTERED for cap in self.cap_add):
            self.seccomp = False

    def _check_root(self) -> None:
        said = [name for name in ("image", "rootfs", "host") if getattr(self, name)]
        if len(said) > 1:
            raise SandboxConfigError(f"{said[0]} and {said[1]} are both given: a sandbox has one root file system")

    def _check_network(self) -> None:
        said_host = self.network == "host" or (self.net_isolate is False and not type(self).net_isolate is False)
        for one, two, contradicts in (
            ("net_isolate=True", f"network={self.network!r}", self.net_isolate and self.network not in (None, "none")),
            ("net_isolate=False", "network='none'", said_host and self.network == "none"),
            ("port_map", "network='none'", self.port_map and self.network == "none"),
            ("port_map", "the network of the host", self.port_map and said_host),
            ("net_ns", "net_isolate=True", self.net_ns and self.net_isolate),
            ("net_ns", "port_map", self.net_ns and self.port_map),
            ("net_ns", f"network={self.network!r}", self.net_ns and self.network is not None),
        ):
            if contradicts:
                raise SandboxConfigError(f"{one} and {two} contradict each other; leave one of them out")

    def network_kind(self) -> str:
        """The network that all fields together come to.

        Return: ``"none"``, ``"host"``, ``"nat"`` (port_map), ``"join"`` (net_ns), or what ``network`` holds.
        """
        if self.net_ns:
            return "join"
        if self.port_map:
            return "nat"
        if self.network is not None:
            return self.network
        return "host" if self.net_isolate is False else "none"

    def builtin_environment(self) -> dict[str, str]:
        """Variables that are set before those of the image and of ``environment``."""
        return {}

    def implied(self) -> dict[str, str]:
        """Texts of ``shm_size`` and ``hostname`` where they are None; what is missing is libhutch's (64 MiB, the name).
        """
        return {}

    def to_fields(self) -> list[tuple[str, str]]:
        """What libhutch is to be asked for: names and texts for ``hutch_spec_set()``, in order.

        Raises NotSupportedError: a field that this version cannot honour; SandboxConfigError: no root file system.
        """
        return _fields.to_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """All fields, of plain types (JSON takes them); from_dict() makes the same configuration of them."""
        found = {one.name: copy.deepcopy(getattr(self, one.name)) for one in fields(self)}
        found["memory_swap"] = self.swap_total()
        found["ulimits"] = {name: list(both) for name, both in self.ulimits.items()}
        return found

    def replace(self: Self, **changes: Any) -> Self:
        """A copy with some fields changed, checked anew. (dataclasses.replace() would take memory_max off twice.)"""
        return type(self).from_dict({**self.to_dict(), **changes})

    def swap_total(self) -> str | None:
        """``memory_swap`` as it was given: bytes of memory and swap together, ``"-1"``: no limit, None: not set."""
        if self.memory_swap is None or self.memory_swap == "max":
            return None if self.memory_swap is None else "-1"
        return str(int(self.memory_swap) + int(self.memory_max or 0))

    @classmethod
    def from_dict(cls: type[Self], values: Mapping[str, Any]) -> Self:
        """A configuration from names and values. Raises SandboxConfigError: a field that is not known."""
        known = {one.name for one in fields(cls)}
        for name in values:
            if name not in known:
                raise SandboxConfigError(f"unknown field {name!r}{_suggest(str(name), known)}")
        return cls(**values)

    @classmethod
    def from_json(cls: type[Self], source: str | os.PathLike[str]) -> Self:
        """A configuration from JSON: a text that begins with ``{``, or the path of a file."""
        import json

        given = _read(source, isinstance(source, str) and source.lstrip().startswith("{"))
        try:
            values = json.loads(given)
        except ValueError as why:
            raise SandboxConfigError(f"not JSON: {why}") from None
        if not isinstance(values, dict):
            raise SandboxConfigError("the JSON is not an object of fields")
        return cls.from_dict(values)

    @classmethod
    def from_toml(cls: type[Self], source: str | os.PathLike[str]) -> Self:
        """A configuration from TOML: a text with a ``=`` or a line end in it, or the path of a file.

        Raises SandboxConfigError; also on Python 3.10 where the package tomli is not installed.
        """
        parser = _toml()
        given = _read(source, isinstance(source, str) and ("=" in source or "\n" in source))
        try:
            return cls.from_dict(parser.loads(given))
        except parser.TOMLDecodeError as why:
            raise SandboxConfigError(f"not TOML: {why}") from None

    @classmethod
    def from_docker(cls: type[Self], image: str, **kwargs: Any) -> Self:
        """A configuration from the keyword arguments of the Docker SDK's ``containers.run()``.

        What is not known is left out with one warning in the log that names it. Raises SandboxConfigError.
        """
        from . import _docker

        return cls(**_docker.keywords(image, kwargs, cls._as_nitrobox))

    @classmethod
    def from_docker_run(cls: type[Self], cmd: str) -> Self:
        """A configuration from the text of a ``docker run ...``; the words behind the image are ``command``.

        Raises SandboxConfigError: no image, an unknown flag, a flag that nothing here can honour.
        """
        from . import _docker_run

        return cls(**_docker_run.keywords(cmd, cls._as_nitrobox))


#: How each field is checked, in the order of the fields.
CHECKS: dict[str, _check.Check] = {
    "image": text, "working_dir": path, "environment": pairs, "volumes": list_of(_check.volume), "devices": words,
    "tty": switch, "entrypoint": optional(_check.argv), "hostname": optional(text), "dns": optional(words),
    "fs_backend": _check.one_of("overlayfs", "btrfs"), "env_base_dir": text, "rootfs_cache_dir": text,
    "read_only": switch, "tmpfs": list_of(path), "shm_size": optional(_check.size), "cpu_max": optional(_check.cpu),
    "memory_max": optional(size_or_max), "pids_max": optional(_check.pids), "io_max": optional(_check.io),
    "oom_score_adj": optional(number(-1000, 1000)), "cpuset_cpus": optional(_check.cpuset),
    "cpuset_mems": optional(_check.cpuset), "cpu_shares": optional(number(0)),
    "memory_high": optional(size_or_max), "ulimits": _check.ulimits, "net_isolate": optional(switch),
    "net_ns": optional(text), "shared_userns": optional(text), "port_map": optional(list_of(_check.port)),
    "ipv6": switch, "seccomp": switch, "cap_add": _check.capabilities, "cap_drop": _check.capabilities,
    "writable_paths": optional(list_of(path)), "readable_paths": optional(list_of(path)),
    "allowed_ports": optional(list_of(number(0, 65535))), "vm_mode": switch, "mask_paths": switch,
    "rootfs": optional(text), "host": switch, "pull": optional(_check.one_of("always", "missing", "never")),
    "platform": optional(text), "command": _check.argv, "name": optional(text), "labels": pairs, "label_file": words,
    "domainname": optional(text), "user": optional(text_or_number), "group_add": words, "env_file": words,
    "interactive": switch, "spare": switch, "shell": optional(text), "init": switch, "stop_signal": optional(text_or_number),
    "stop_timeout": optional(_check.duration), "timeout": optional(_check.duration),
    "restart": optional(_check.restart), "healthcheck": _check.health, "mounts": words, "upper": optional(_check.upper),
    "gpus": optional(text_or_number),
    "network": optional(text), "publish_all": switch, "expose": words, "add_host": _check.hosts, "dns_search": words,
    "dns_option": words, "allow_abstract_sockets": switch, "memory_reservation": optional(_check.size),
    "device_read_bps": list_of(_check.rate_bytes), "device_write_bps": list_of(_check.rate_bytes),
    "device_read_iops": list_of(_check.rate), "device_write_iops": list_of(_check.rate),
    "blkio_weight": optional(number(10, 1000)), "privileged": switch, "security_opt": words, "sysctls": pairs,
    "ids": optional(_check.one_of("auto", "host")),
}

#: Capabilities that in nitrobox switch the filter of system calls off; exactly so spelled.
_UNFILTERED = ("SYS_ADMIN", "ALL", "SYS_PTRACE", "SYS_RAWIO")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _suggest(name: str, known: set[str]) -> str:
    other = _fields.NAMED_IN_SPEC.get(name)
    return f"; here it is {other!r}" if other else _check.nearest(name, known)


def _read(source: str | os.PathLike[str], is_text: bool) -> str:
    if is_text:
        return str(source)
    try:
        with open(source, encoding="utf-8") as file:
            return file.read()
    except OSError as why:
        raise SandboxConfigError(f"configuration {os.fspath(source)!r}: {why.strerror}", errno=why.errno or 0) from why
    except ValueError as why:
        raise SandboxConfigError(f"configuration {os.fspath(source)!r}: {why}") from None


def _toml() -> Any:
    for module in ("tomllib", "tomli"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise SandboxConfigError("TOML needs Python 3.11 or newer, or the package tomli; JSON works everywhere")
