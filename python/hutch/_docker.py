# SPDX-License-Identifier: Apache-2.0
"""The keyword arguments of the Docker SDK's ``containers.run()``, as fields of a configuration.

How it works: each keyword that means something here has a function in ``KEYWORDS`` that puts it into the fields.
``IGNORED`` are those that change nothing about a sandbox; whatever else comes is left out with one warning.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _check, _parse
from ._errors import NotSupportedError, SandboxConfigError

log = logging.getLogger(__name__)

Fields = dict[str, Any]

#: Accepted, and without effect.
IGNORED = frozenset("""detach remove auto_remove stdout stderr stream labels log_config platform runtime stdin_open
    stop_signal mem_swappiness restart_policy healthcheck init isolation publish_all_ports""".split())
#: Where sharing is meant: what the words ask for that a sandbox has anyway.
_PRIVATE = (None, "", "private", "none", "shareable")


def all_capabilities() -> list[str]:
    """The 41 names, which is what Docker's ``privileged`` gives."""
    return list(_parse.CAP_NAME_TO_NUM)


def device(text: str) -> str:
    """Docker's ``host[:container[:rwm]]``; the host's path alone where the rest only says the same."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if target and not target.startswith("/") and not mode:
        target, mode = source, target
    same = target in ("", source) and sorted(mode or "rwm") in (sorted("rwm"), sorted("rw"))
    return source if same else text


def security(fields: Fields, options: Sequence[str]) -> None:
    """``security_opt``: the filter off is ``seccomp=False``, what is the default anyway is nothing."""
    for option in options:
        if option in ("seccomp=unconfined", "seccomp:unconfined"):
            fields["seccomp"] = False
        elif option not in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
            fields.setdefault("security_opt", []).append(option)


def quota(fields: Fields, cpus: object, period: object, quota_us: object) -> None:
    """Docker's three words for a processor quota; 0 and below are "no limit"."""
    given = [word for word in (period, quota_us) if word not in (None, "", 0, "0")]
    if given and cpus not in (None, "", 0, "0"):
        raise SandboxConfigError("cpus and cpu_quota/cpu_period contradict each other; leave one of them out")
    if cpus not in (None, "", 0, "0"):
        if str(cpus).startswith("-"):
            _check.refuse("cpus", cpus, "less than 0")
        fields["cpu_max"] = cpus
    elif quota_us not in (None, "", 0, "0", -1, "-1"):
        fields["cpu_max"] = f"{quota_us} {period or _parse.CPU_PERIOD_US}"


def limit(value: object) -> object:
    """Docker's 0 and -1, which are "no limit", as None."""
    return None if value in (0, "0", -1, "-1", "") else value


def _volumes(fields: Fields, value: Any) -> None:
    if not isinstance(value, Mapping):
        fields["volumes"] = list(value)
        return
    fields["volumes"] = [
        f"{host}:{to['bind']}:{to.get('mode') or 'rw'}" if isinstance(to, Mapping) else f"{host}:{to}:rw"
        for host, to in value.items()]


def _tmpfs(fields: Fields, value: Any) -> None:
    if isinstance(value, Mapping):
        value = [f"{path}:{options}" if options else path for path, options in value.items()]
    fields["tmpfs"] = list(value)


def _port(container: str, host: Any) -> list[str]:
    port, _, protocol = container.partition("/")
    end = f"{port}/{protocol}" if protocol not in ("", "tcp") else port
    if host is None:
        return []
    if isinstance(host, tuple):
        return [f"{host[0]}:{host[1]}:{end}" if len(host) > 1 else f"{host[0]}::{end}"]
    if isinstance(host, list):
        return [entry for one in host for entry in _port(container, one)]
    return [f"{host}:{end}"]


def _ports(fields: Fields, value: Any) -> None:
    if isinstance(value, Mapping):
        value = [entry for container, host in value.items() for entry in _port(str(container), host)]
    fields["port_map"] = list(value) or None


def _environment(fields: Fields, value: Any) -> None:
    if isinstance(value, Mapping):
        fields["environment"] = {key: "" if text is None else str(text) for key, text in value.items()}
    else:
        fields["environment"] = {key: text for key, _, text in (word.partition("=") for word in value)}


def network(fields: Fields, value: str) -> None:
    """``network_mode`` and ``--network``: none, host, or a name that ``network`` keeps."""
    if value in ("none", "host"):
        fields["net_isolate"] = value == "none"
    else:
        fields["network"] = value


def _privileged(fields: Fields, value: Any) -> None:
    if value:
        fields["seccomp"] = False
        fields.setdefault("cap_add", all_capabilities())


def _ulimit(one: Any) -> tuple[str, tuple[Any, Any]]:
    if isinstance(one, Mapping) and not hasattr(one, "soft"):
        low = {str(key).lower(): value for key, value in one.items()}
        name, soft, hard = low.get("name"), low.get("soft"), low.get("hard")
    else:
        name, soft, hard = one.name, one.soft, one.hard
    return str(name), (hard if soft is None else soft, soft if hard is None else hard)


def _ulimits(fields: Fields, value: Any) -> None:
    if not isinstance(value, Mapping):
        fields["ulimits"] = dict(map(_ulimit, value))
        return
    found = {}
    for name, both in value.items():
        if isinstance(both, Mapping) or hasattr(both, "soft"):
            _, both = _ulimit({"name": name, **both} if isinstance(both, Mapping) else both)
        found[name] = both
    fields["ulimits"] = found


def _mount(one: Any) -> str:
    """A docker.types.Mount (a dict in the words of the Engine API) as ``--mount`` takes it."""
    if isinstance(one, str):
        return one
    words = [f"type={one.get('Type') or 'volume'}", f"target={one['Target']}"]
    words += [f"source={one['Source']}"] if one.get("Source") else []
    words += ["readonly"] if one.get("ReadOnly") else []
    words += [f"bind-propagation={one['BindOptions']['Propagation']}"] if one.get("BindOptions") else []
    options = one.get("TmpfsOptions") or {}
    words += [f"tmpfs-size={options['SizeBytes']}"] if options.get("SizeBytes") else []
    words += [f"tmpfs-mode={options['Mode']:o}"] if options.get("Mode") else []
    return ",".join(f'"{word}"' if "," in word else word for word in words)


def _gpus(fields: Fields, value: Any) -> None:
    for request in value or ():
        ids = request.get("DeviceIDs") or request.get("device_ids")
        count = request.get("Count", request.get("count"))
        fields["gpus"] = f"device={','.join(ids)}" if ids else "all" if count in (None, -1) else str(count)


def _rates(field: str) -> Callable[[Fields, Any], None]:
    def put(fields: Fields, value: Any) -> None:
        fields[field] = [one if isinstance(one, str) else f"{one['Path']}:{one['Rate']}" for one in value or ()]
    return put


def _as(field: str, change: Callable[[Any], Any] = lambda value: value) -> Callable[[Fields, Any], None]:
    def put(fields: Fields, value: Any) -> None:
        fields[field] = change(value)
    return put


def _entrypoint(value: Any) -> list[str] | None:
    return [value] if isinstance(value, str) and value else list(value) or None


def _pids(value: Any) -> str:
    return "max" if limit(value) is None else str(value)


def _swap(value: Any) -> Any:
    return "-1" if value in (-1, "-1") else limit(value)


def _command(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else list(value)


#: How each keyword becomes fields. None is "not given", as in the SDK.
KEYWORDS: dict[str, Callable[[Fields, Any], None]] = {
    "cpuset_cpus": _as("cpuset_cpus"), "cpuset_mems": _as("cpuset_mems"), "cpu_shares": _as("cpu_shares", int),
    "mem_limit": _as("memory_max", limit), "memswap_limit": _as("memory_swap", _swap),
    "mem_reservation": _as("memory_reservation", limit), "pids_limit": _as("pids_max", _pids),
    "shm_size": _as("shm_size", limit), "read_only": _as("read_only", bool), "working_dir": _as("working_dir"),
    "volumes": _volumes, "tmpfs": _tmpfs, "ports": _ports, "environment": _environment, "hostname": _as("hostname"),
    "domainname": _as("domainname"), "dns": _as("dns", list), "dns_search": _as("dns_search", list),
    "dns_opt": _as("dns_option", list), "extra_hosts": _as("add_host"),
    "devices": _as("devices", lambda value: [device(one) for one in value]), "security_opt": security,
    "cap_add": _as("cap_add", list), "privileged": _privileged, "cap_drop": _as("cap_drop", list),
    "ulimits": _ulimits, "tty": _as("tty", bool), "oom_score_adj": _as("oom_score_adj"),
    "entrypoint": _as("entrypoint", _entrypoint), "command": _as("command", _command), "name": _as("name"),
    "user": _as("user"), "group_add": _as("group_add", list), "sysctls": _as("sysctls"),
    "mounts": _as("mounts", lambda value: [_mount(one) for one in value]), "device_requests": _gpus,
    "blkio_weight": _as("blkio_weight", limit), "device_read_bps": _rates("device_read_bps"),
    "device_write_bps": _rates("device_write_bps"), "device_read_iops": _rates("device_read_iops"),
    "device_write_iops": _rates("device_write_iops"),
}
_TOGETHER = ("cpus", "nano_cpus", "cpu_period", "cpu_quota", "network", "network_mode", "network_disabled", "ipc_mode",
             "pid_mode", "uts_mode", "userns_mode")


def _take(fields: Fields, name: str, value: Any) -> None:
    try:
        KEYWORDS[name](fields, value)
    except (TypeError, ValueError, KeyError, AttributeError) as why:
        if isinstance(why, SandboxConfigError):
            raise
        _check.refuse(name, value, "not a form that the Docker SDK takes")


def _take_together(fields: Fields, given: Mapping[str, Any], as_nitrobox: bool) -> None:
    """The keywords that are only understood several at a time, or not at all."""
    nano = given.get("nano_cpus")
    cpus = given.get("cpus") or (f"{nano / 1e9:.9f}" if isinstance(nano, int) and nano > 0 else None)
    quota(fields, cpus, given.get("cpu_period"), given.get("cpu_quota"))
    mode = "none" if given.get("network_disabled") else given.get("network_mode") or given.get("network")
    if mode and (mode == "none" or not as_nitrobox):
        network(fields, mode)
    for name in ("uts_mode", "userns_mode") if as_nitrobox else ("ipc_mode", "pid_mode", "uts_mode", "userns_mode"):
        if given.get(name) not in _PRIVATE:
            raise NotSupportedError(f"{name}={given[name]!r}: a sandbox shares no namespace of this kind; leave it out")


def keywords(image: str, given: Mapping[str, Any], as_nitrobox: bool) -> Fields:
    """The fields for ``containers.run(image, **given)``; @as_nitrobox: other networks than "none" are the host's."""
    fields: Fields = {"image": image}
    unknown = sorted(set(given) - set(KEYWORDS) - set(_TOGETHER) - IGNORED)
    if unknown:
        log.warning("from_docker: not supported, and left out: %s", ", ".join(unknown))
    for name in KEYWORDS:
        if given.get(name) is not None:
            _take(fields, name, given[name])
    _take_together(fields, given, as_nitrobox)
    return fields
