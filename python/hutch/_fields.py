# SPDX-License-Identifier: Apache-2.0
"""A configuration as fields of a spec: names and texts for ``hutch_spec_set()``.

How it works: every field of the configuration is told, one after the other in the order of ``src/spec/fields.def``, as
an Ask: by what name it was asked, the spec's name, the text. What asks for nothing is not told. The first Ask whose
spec name is in LATER raises NotSupportedError: when libhutch learns to honour a field, its line there goes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ._errors import NotSupportedError, SandboxConfigError

if TYPE_CHECKING:
    from ._config import SandboxConfig

_LIMITS = "limits are not in this version yet; run without it, or in a cgroup that has it"
_LANDLOCK = "rules for paths and ports are not in this version yet; show less (volumes), or use read_only"

#: Spec names (and, with a '+', wishes that have none) that this version cannot honour, and what to do instead.
LATER: dict[str, str] = {
    "image": "pulling images is not in this version yet; give a directory, or host=True",
    "pull": "there are no images to pull yet", "platform": "there are no images to choose from yet",
    "labels": "leave it out", "label_file": "leave it out", "domainname": "leave it out, or set the hostname",
    "stop_timeout": "leave it out", "restart": "start the command again yourself",
    "healthcheck.cmd": "run the check yourself", "healthcheck.interval": "run the check yourself",
    "healthcheck.timeout": "run the check yourself", "healthcheck.retries": "run the check yourself",
    "healthcheck.start_period": "run the check yourself", "healthcheck.start_interval": "run the check yourself",
    "gpus": "name its devices and the libraries of its driver (devices, volumes)",
    "ports": "forwarding ports is not in this version yet; use network='host'",
    "publish_all": "forwarding ports is not in this version yet; use network='host'", "expose": "leave it out",
    "dns_search": "leave it out", "dns_option": "leave it out",
    "limits.memory": _LIMITS, "limits.memory_swap": _LIMITS, "limits.memory_high": _LIMITS,
    "limits.memory_reservation": _LIMITS, "limits.cpu_period": _LIMITS, "limits.cpu_quota": _LIMITS,
    "limits.cpu_shares": _LIMITS, "limits.cpuset_cpus": _LIMITS, "limits.cpuset_mems": _LIMITS,
    "limits.pids": _LIMITS, "limits.device_read_bps": _LIMITS, "limits.device_write_bps": _LIMITS,
    "limits.device_read_iops": _LIMITS, "limits.device_write_iops": _LIMITS, "limits.blkio_weight": _LIMITS,
    "writable_paths": _LANDLOCK, "readable_paths": _LANDLOCK, "allowed_ports": _LANDLOCK,
    "+network": "there are 'none' and 'host'",
    "+net_ns": "joining a network is not in this version yet",
    "+shared_userns": "joining a user namespace is not in this version yet",
    "+ipv6": "it is for networks that reach out, which are not in this version yet; leave it out",
    "+fs_backend": "use 'overlayfs'",
    "+vm_mode": "leave it out; devices=['/dev/kvm'] works without it",
    "+mask_paths": "paths of /proc and /sys stay masked in this version; leave it out",
    "+volumes": "named and anonymous volumes are not in this version yet; give a directory ('./name:/target')",
}

#: Names of spec fields that the configuration calls otherwise.
NAMED_IN_SPEC: dict[str, str] = {
    "env": "environment", "shell_entrypoint": "entrypoint", "ports": "port_map",
    "limits.memory": "memory_max", "limits.memory_swap": "memory_swap",
    "limits.memory_reservation": "memory_reservation", "limits.cpus": "cpu_max", "limits.cpu_period": "cpu_max",
    "limits.cpu_quota": "cpu_max", "limits.cpu_shares": "cpu_shares", "limits.cpuset_cpus": "cpuset_cpus",
    "limits.cpuset_mems": "cpuset_mems", "limits.pids": "pids_max", "limits.device_read_bps": "device_read_bps",
    "limits.device_write_bps": "device_write_bps", "limits.device_read_iops": "device_read_iops",
    "limits.device_write_iops": "device_write_iops", "limits.blkio_weight": "blkio_weight",
    **{f"healthcheck.{key}": "healthcheck"
       for key in ("cmd", "interval", "timeout", "retries", "start_period", "start_interval")},
}

_IO_NAMES = {"rbps": "read_bps", "wbps": "write_bps", "riops": "read_iops", "wiops": "write_iops"}


class Ask(NamedTuple):
    """One thing that is asked for."""

    #: Field of the configuration.
    field: str
    #: Name in the spec, or of a wish in LATER.
    name: str
    text: str


def _one(field: str, value: object, name: str = "") -> Iterator[Ask]:
    """A plain field; None, False and "" ask for nothing."""
    if value is not None and value is not False and value != "":
        yield Ask(field, name or field, "true" if value is True else str(value))


def _each(field: str, values: Iterable[object] | None, name: str = "") -> Iterator[Ask]:
    for value in values or ():
        yield Ask(field, name or field, str(value))


def _plain(config: SandboxConfig, *names: str) -> Iterator[Ask]:
    for name in names:
        value = getattr(config, name)
        yield from _each(name, value) if isinstance(value, list) else _one(name, value)


def _root(config: SandboxConfig) -> Iterator[Ask]:
    image = config.image
    if image and os.path.isdir(image):
        yield Ask("image", "rootfs", image)
    elif image.startswith(("/", "./", "../")) or image in (".", ".."):
        raise SandboxConfigError(f"image={image!r}: no such directory")
    elif not image and not config.rootfs and not config.host:
        raise SandboxConfigError("SandboxConfig.image is required. Give an image, a directory, or host=True.")
    else:
        yield from _plain(config, "image")
    yield from _plain(config, "rootfs", "host", "pull", "platform")
    if config.fs_backend != "overlayfs":
        yield Ask("fs_backend", "+fs_backend", config.fs_backend)


def _environment(config: SandboxConfig) -> Iterator[Ask]:
    for key, value in {**config.builtin_environment(), **config.environment}.items():
        yield Ask("environment", "env", f"{key}={value}")


def _time(value: str | int | float | None) -> str | None:
    """A time as text; 0, which is no limit, is None."""
    if isinstance(value, float):
        value = f"{value:.3f}"
    return None if value in (None, 0, "0", "0.000") else str(value)


def _process(config: SandboxConfig) -> Iterator[Ask]:
    yield from _plain(config, "command")
    if config.entrypoint is not None:
        yield from _each("entrypoint", config.entrypoint or [""])
        if config.entrypoint:
            yield Ask("entrypoint", "shell_entrypoint", "true")
    yield from _plain(config, "shell")
    yield from _plain(config, "name")
    yield from _each("labels", [f"{key}={value}" for key, value in config.labels.items()])
    yield from _plain(config, "label_file")
    yield from _one("hostname", config.hostname or config.implied().get("hostname"))
    yield from _plain(config, "domainname")
    if config.working_dir != "/":
        yield Ask("working_dir", "working_dir", config.working_dir)
    yield from _plain(config, "user", "group_add")
    yield from _environment(config)
    yield from _plain(config, "env_file", "tty", "interactive", "init", "stop_signal")
    yield from _one("stop_timeout", _time(config.stop_timeout))
    yield from _one("timeout", _time(config.timeout))
    yield from _plain(config, "restart")
    for key, value in config.healthcheck.items():
        yield Ask("healthcheck", f"healthcheck.{key}", _time(value) or "0")


def _volumes(config: SandboxConfig) -> Iterator[Ask]:
    for volume in config.volumes:
        source, colon, _ = volume.partition(":")
        named = not colon or ("/" not in source and not source.startswith("."))
        yield Ask("volumes", "+volumes" if named else "volumes", volume)


def _files(config: SandboxConfig) -> Iterator[Ask]:
    yield from _volumes(config)
    yield from _plain(config, "mounts", "tmpfs", "read_only", "upper")
    yield from _one("shm_size", config.shm_size or config.implied().get("shm_size"))
    yield from _plain(config, "devices", "gpus")


def _port(text: str) -> str:
    """As Docker writes it: pasta's ``127.0.0.1/8080:80`` is ``127.0.0.1:8080:80``."""
    address, slash, ports = text.partition("/")
    return f"{address}:{ports}" if slash and ports not in ("tcp", "udp", "sctp") else text


def _network(config: SandboxConfig) -> Iterator[Ask]:
    kind = config.network_kind()
    if kind in ("host", "none"):
        yield Ask("network", "network", kind)
    elif kind not in ("nat", "join"):
        yield Ask("network", "+network", kind)
    yield from _one("net_ns", config.net_ns, "+net_ns")
    yield from _one("shared_userns", config.shared_userns, "+shared_userns")
    yield from _each("port_map", map(_port, config.port_map or ()), "ports")
    yield from _one("ipv6", config.ipv6, "+ipv6")
    yield from _plain(config, "publish_all", "expose", "add_host", "dns", "dns_search", "dns_option")
    if kind == "host":
        yield from _plain(config, "allow_abstract_sockets")


def _cpu(config: SandboxConfig) -> Iterator[Ask]:
    if config.cpu_max is None:
        return
    quota, period = str(config.cpu_max).split()
    if quota != "max":
        yield Ask("cpu_max", "limits.cpu_period", period)
        yield Ask("cpu_max", "limits.cpu_quota", quota)


def _io(config: SandboxConfig) -> Iterator[Ask]:
    device, *limits = (config.io_max or "none").split()
    for limit in limits:
        key, _, rate = limit.partition("=")
        if rate != "max":
            yield Ask("io_max", f"limits.device_{_IO_NAMES[key]}", f"{device}:{rate}")


def _limit(config: SandboxConfig, field: str, name: str) -> Iterator[Ask]:
    value = getattr(config, field)
    if value not in ("max", 0):
        yield from _one(field, value, f"limits.{name}")


def _limits(config: SandboxConfig) -> Iterator[Ask]:
    yield from _limit(config, "memory_max", "memory")
    if config.memory_swap != "max" or config.memory_max not in (None, "max"):
        yield from _one("memory_swap", config.swap_total(), "limits.memory_swap")
    yield from _limit(config, "memory_high", "memory_high")
    yield from _limit(config, "memory_reservation", "memory_reservation")
    yield from _cpu(config)
    for field in ("cpu_shares", "cpuset_cpus", "cpuset_mems"):
        yield from _limit(config, field, field)
    yield from _limit(config, "pids_max", "pids")
    yield from _io(config)
    for field in ("device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops"):
        yield from _each(field, getattr(config, field), f"limits.{field}")
    yield from _limit(config, "blkio_weight", "blkio_weight")
    for key, (soft, hard) in config.ulimits.items():
        yield Ask("ulimits", "ulimits", f"{key}={soft}:{hard}")
    yield from _plain(config, "oom_score_adj", "spare")


def _guards(config: SandboxConfig) -> Iterator[Ask]:
    yield from _plain(config, "cap_add", "cap_drop", "privileged", "security_opt")
    if not config.seccomp:
        yield Ask("seccomp", "security_opt", "seccomp=unconfined")
    if not config.mask_paths:
        yield Ask("mask_paths", "+mask_paths", "False")
    yield from _one("vm_mode", config.vm_mode, "+vm_mode")
    yield from _each("sysctls", [f"{key}={value}" for key, value in config.sysctls.items()])
    yield from _plain(config, "ids", "writable_paths", "readable_paths", "allowed_ports")


def asks(config: SandboxConfig) -> list[Ask]:
    """Everything that @config asks for, honoured or not. Raises SandboxConfigError: no root file system."""
    return [ask for part in (_root, _process, _files, _network, _limits, _guards) for ask in part(config)]


def to_fields(config: SandboxConfig) -> list[tuple[str, str]]:
    """See SandboxConfig.to_fields()."""
    found = asks(config)
    for ask in found:
        if ask.name in LATER:
            raise NotSupportedError(f"{ask.field}={getattr(config, ask.field)!r}: not supported yet: {LATER[ask.name]}")
    return [(ask.name, ask.text) for ask in found]
