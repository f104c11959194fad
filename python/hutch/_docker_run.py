# SPDX-License-Identifier: Apache-2.0
"""The text of a ``docker run ...``, as fields of a configuration.

How it works: the text is cut into words as a shell would, the words before the flags go, then flags are read as Docker
reads them until the image; what follows is the command. Every flag of Docker is in ``FLAGS`` (and podman's usual ones):
whether it takes a value, and what is done with it. A flag that is in no table is an error, since nobody could say
whether the next word is its value or the image.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Callable, Iterator
from typing import NamedTuple

from . import _check, _docker
from ._docker import Fields
from ._errors import NotSupportedError, SandboxConfigError

log = logging.getLogger(__name__)

Put = Callable[[Fields, str], None]


class Flag(NamedTuple):
    """What is known of one flag."""

    #: None: accepted, and without effect.
    put: Put | None
    #: It takes no value, but for ``--flag=false``.
    switch: bool = False
    #: Why it is refused, unless its value is one of ``but``.
    why: str = ""
    but: tuple[str, ...] = ()
    #: Why it is without effect, where that is worth a warning.
    warn: str = ""


def _set(field: str) -> Put:
    return lambda fields, value: fields.__setitem__(field, value)


def _limit(field: str) -> Put:
    return lambda fields, value: fields.__setitem__(field, _docker.limit(value))


def _add(field: str) -> Put:
    return lambda fields, value: fields.setdefault(field, []).append(value)


def _on(field: str) -> Put:
    return lambda fields, value: fields.__setitem__(field, value == "true")


def _pair(field: str) -> Put:
    def put(fields: Fields, value: str) -> None:
        key, _, text = value.partition("=")
        fields.setdefault(field, {})[key] = text
    return put


def _number(field: str) -> Put:
    def put(fields: Fields, value: str) -> None:
        if not re.fullmatch(r"-?\d+", value):
            _check.refuse(field, value, "not a whole number")
        fields[field] = int(value)
    return put


def _refuse(why: str, switch: bool = False) -> Flag:
    return Flag(None, switch, why, ("false",) if switch else ())


def _private(*words: str) -> Flag:
    """A kind of namespace that is always the sandbox's own."""
    return Flag(None, False, "a sandbox shares no namespace of this kind", ("", "private", *words))


def _env(fields: Fields, value: str) -> None:
    """``K=V``, or ``K``: the caller's, left out where he has none."""
    key, equals, text = value.partition("=")
    if not key:
        _check.refuse("--env", value, "no name before the '='")
    if equals or key in os.environ:
        fields.setdefault("environment", {})[key] = text if equals else os.environ[key]


def _env_lines(text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r").lstrip(" \t\v\f\r")
        if line and not line.startswith("#"):
            if re.search(r"\s", line.partition("=")[0]):
                _check.refuse("--env-file", line, f"line {number}: blank in the name of a variable")
            yield line


def _env_file(fields: Fields, value: str) -> None:
    """Variables that give way to those of --env, in Docker's form: no quotes, ``#`` at the start of a line."""
    try:
        with open(value, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except (OSError, UnicodeError) as why:
        raise SandboxConfigError(f"--env-file {value!r}: {getattr(why, 'strerror', None) or why}") from why
    found: Fields = {}
    for line in _env_lines(text):
        _env(found, line)
    fields.setdefault("_env_files", {}).update(found.get("environment", {}))


def _privileged(fields: Fields, value: str) -> None:
    if value == "true":
        fields["seccomp"] = False
        fields.setdefault("cap_add", []).extend(_docker.all_capabilities())


def _ulimit(fields: Fields, value: str) -> None:
    name, equals, both = value.partition("=")
    soft, colon, hard = both.partition(":")
    if not equals:
        _check.refuse("--ulimit", value, "not NAME=SOFT[:HARD]")
    fields.setdefault("ulimits", {})[name] = (soft, hard if colon else soft)


def _pids(fields: Fields, value: str) -> None:
    fields["pids_max"] = "max" if _docker.limit(value) is None else value


def _swap(fields: Fields, value: str) -> None:
    fields["memory_swap"] = value


def _network(fields: Fields, value: str) -> None:
    fields.pop("network", None)
    fields.pop("net_isolate", None)
    _docker.network(fields, value)


def _health(key: str) -> Put:
    def put(fields: Fields, value: str) -> None:
        if key == "retries" and not value.isdecimal():
            _check.refuse("--health-retries", value, "not a whole number")
        fields.setdefault("healthcheck", {})[key] = int(value) if key == "retries" else value
    return put


_CGROUP1 = _refuse("there is nothing of the kind in cgroup v2")
_GONE = Flag(None, warn="there is nothing of the kind in cgroup v2")
_WINDOWS = _refuse("it is for Windows")
_NETWORKS = _refuse("there are no networks with addresses of their own in this version")
_NOTHING = Flag(None)
_NOTHING_ON = Flag(None, True)

#: Flags of ``docker run`` by name.
FLAGS: dict[str, Flag] = {
    # what
    "name": Flag(_set("name")), "hostname": Flag(_set("hostname")), "domainname": Flag(_set("domainname")),
    "entrypoint": Flag(lambda fields, value: fields.__setitem__("entrypoint", [value] if value else [])),
    "platform": Flag(_set("platform")), "label": Flag(_pair("labels")), "label-file": Flag(_add("label_file")),
    "pull": Flag(lambda fields, value: None if value == "missing" else fields.__setitem__("pull", value)),
    "annotation": _NOTHING, "detach": _NOTHING_ON, "rm": _NOTHING_ON, "init": _NOTHING_ON, "quiet": _NOTHING_ON,
    "attach": _NOTHING, "sig-proxy": _NOTHING_ON, "detach-keys": _NOTHING, "cidfile": _NOTHING,
    "no-healthcheck": _NOTHING_ON, "disable-content-trust": _NOTHING_ON, "log-driver": _NOTHING, "log-opt": _NOTHING,
    "runtime": Flag(None, warn="there is one runtime"),
    "interactive": Flag(_on("interactive"), True), "tty": Flag(_on("tty"), True),
    # process
    "workdir": Flag(_set("working_dir")), "user": Flag(_set("user")), "group-add": Flag(_add("group_add")),
    "env": Flag(_env), "env-file": Flag(_env_file), "stop-signal": Flag(_set("stop_signal")),
    "stop-timeout": Flag(_set("stop_timeout")), "restart": Flag(
        lambda fields, value: None if value == "no" else fields.__setitem__("restart", value)),
    "health-cmd": Flag(_health("cmd")), "health-interval": Flag(_health("interval")),
    "health-timeout": Flag(_health("timeout")), "health-retries": Flag(_health("retries")),
    "health-start-period": Flag(_health("start_period")), "health-start-interval": Flag(_health("start_interval")),
    # files
    "volume": Flag(_add("volumes")), "mount": Flag(_add("mounts")), "tmpfs": Flag(_add("tmpfs")),
    "read-only": Flag(_on("read_only"), True), "shm-size": Flag(_limit("shm_size")),
    "device": Flag(lambda fields, value: fields.setdefault("devices", []).append(_docker.device(value))),
    "gpus": Flag(_set("gpus")), "volumes-from": _refuse("sandboxes share no volumes"),
    "volume-driver": _refuse("there are no volume drivers"),
    "storage-opt": _refuse("use upper='tmpfs:SIZE' for a limit of what is written"),
    "device-cgroup-rule": _refuse("devices are given one by one"),
    # network
    "network": Flag(_network), "net": Flag(_network), "publish": Flag(_add("port_map")),
    "publish-all": Flag(_on("publish_all"), True), "expose": Flag(_add("expose")), "dns": Flag(_add("dns")),
    "dns-search": Flag(_add("dns_search")), "dns-option": Flag(_add("dns_option")), "dns-opt": Flag(_add("dns_option")),
    "add-host": Flag(_add("add_host")), "ip": _NETWORKS, "ip6": _NETWORKS, "mac-address": _NETWORKS,
    "link": _NETWORKS, "link-local-ip": _NETWORKS, "network-alias": _NETWORKS,
    "net-alias": _NETWORKS,
    # limits
    "cpus": Flag(_set("_cpus")), "cpu-period": Flag(_set("_period")), "cpu-quota": Flag(_set("_quota")),
    "cpu-shares": Flag(_number("cpu_shares")), "cpuset-cpus": Flag(_set("cpuset_cpus")),
    "cpuset-mems": Flag(_set("cpuset_mems")), "memory": Flag(_limit("memory_max")), "memory-swap": Flag(_swap),
    "memory-reservation": Flag(_limit("memory_reservation")), "pids-limit": Flag(_pids), "ulimit": Flag(_ulimit),
    "oom-score-adj": Flag(_number("oom_score_adj")), "blkio-weight": Flag(_number("blkio_weight")),
    "blkio-weight-device": _refuse("weights are for all devices together"),
    "device-read-bps": Flag(_add("device_read_bps")), "device-write-bps": Flag(_add("device_write_bps")),
    "device-read-iops": Flag(_add("device_read_iops")), "device-write-iops": Flag(_add("device_write_iops")),
    "cpu-rt-period": _CGROUP1, "cpu-rt-runtime": _CGROUP1, "kernel-memory": _GONE,
    "memory-swappiness": _GONE, "oom-kill-disable": _GONE._replace(switch=True),
    "cpu-count": _WINDOWS, "cpu-percent": _WINDOWS, "io-maxbandwidth": _WINDOWS,
    "io-maxiops": _WINDOWS, "isolation": _WINDOWS,
    "cgroup-parent": _refuse("the place of its cgroup cannot be chosen in this version"),
    # guards
    "cap-add": Flag(_add("cap_add")), "cap-drop": Flag(_add("cap_drop")), "privileged": Flag(_privileged, True),
    "security-opt": Flag(lambda fields, value: _docker.security(fields, [value])), "sysctl": Flag(_pair("sysctls")),
    "userns": _private(), "pid": _private(), "uts": _private(), "cgroupns": _private(),
    "ipc": _private("none", "shareable"),
    "use-api-socket": _refuse("no sandbox gets the socket of a daemon", True), "help": _NOTHING_ON,
    # podman's
    "replace": _NOTHING_ON, "rmi": _NOTHING_ON, "tls-verify": _NOTHING_ON, "authfile": _NOTHING, "systemd": _NOTHING,
    "pidfile": _NOTHING, "conmon-pidfile": _NOTHING, "cgroups": _NOTHING, "sdnotify": _NOTHING,
}
#: Flags of one letter.
LETTERS = {
    "a": "attach", "c": "cpu-shares", "d": "detach", "e": "env", "h": "hostname", "i": "interactive", "l": "label",
    "m": "memory", "p": "publish", "P": "publish-all", "q": "quiet", "t": "tty", "u": "user", "v": "volume",
    "w": "workdir",
}
#: Options of the programs before ``run`` that take a value.
_BEFORE = ("--config", "-c", "--context", "-H", "--host", "-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey",
           "--root", "--runroot", "--url", "--connection", "--namespace", "-u", "-g")
_PROGRAMS = ("docker", "podman", "nerdctl")
#: Go, strconv.ParseBool.
_BOOLS = {**dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), "true"),
          **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), "false")}


def _split(cmd: str) -> list[str]:
    """The words of a shell's line; a backslash at the end of a line joins it with the next one."""
    joined = re.sub(r"('[^']*')|\\\r?\n|(\\.)", lambda found: found[1] or found[2] or "", cmd, flags=re.DOTALL)
    try:
        return shlex.split(joined)
    except ValueError as why:
        raise SandboxConfigError(f"docker run command {cmd[:80]!r}: {why}") from None


def _program(words: list[str], *names: str) -> list[str]:
    """Without one of the programs @names at the front, and its options."""
    if not words or os.path.basename(words[0]) not in names:
        return words
    words = words[1:]
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _BEFORE else 1:]
    return words


def _behind_run(cmd: str) -> list[str]:
    words = _program(_split(cmd), "sudo")
    known = _program(words, *_PROGRAMS)
    if known[:1] == ["container"]:
        known = known[1:]
    if known[:1] in (["run"], ["create"]):
        return known[1:]
    if known and known is not words:
        raise SandboxConfigError(f"not a docker run command, but {' '.join(known)[:60]!r}")
    return known


def _find(name: str, shown: str) -> Flag:
    if name not in FLAGS:
        raise SandboxConfigError(f"unknown flag {shown!r} in a docker run command{_check.nearest(name, FLAGS)}")
    return FLAGS[name]


def _put(fields: Fields, name: str, value: str) -> None:
    flag = FLAGS[name]
    if flag.switch:
        if value not in _BOOLS:
            _check.refuse(f"--{name}", value, "neither true nor false")
        value = _BOOLS[value]
    if flag.why and value not in flag.but:
        raise NotSupportedError(f"--{name} {value!r}: {flag.why}; leave it out")
    if flag.warn:
        log.warning("from_docker_run: --%s is left out: %s", name, flag.warn)
    if flag.put:
        flag.put(fields, value)


def _next_value(rest: list[str], shown: str) -> str:
    if not rest:
        raise SandboxConfigError(f"flag needs a value: {shown!r} is the last word")
    return rest.pop(0)


def _long(fields: Fields, word: str, rest: list[str]) -> None:
    name, equals, value = word[2:].partition("=")
    flag = _find(name, f"--{name}")
    if not equals:
        value = "true" if flag.switch else _next_value(rest, word)
    _put(fields, name, value)


def _short(fields: Fields, word: str, rest: list[str]) -> None:
    """``-it``, ``-m512m``, ``-m=512m``, ``-m 512m``, ``-itv /a:/b``."""
    letters = word[1:]
    while letters:
        if letters[0] not in LETTERS:
            raise SandboxConfigError(f"unknown flag '-{letters[0]}' ({word!r}) in a docker run command")
        name, letters = LETTERS[letters[0]], letters[1:]
        if FLAGS[name].switch and not letters.startswith("="):
            _put(fields, name, "true")
            continue
        _put(fields, name, letters.removeprefix("=") if letters else _next_value(rest, word))
        return


def keywords(cmd: str, as_nitrobox: bool) -> Fields:
    """The fields for the command line @cmd; @as_nitrobox: without --network the network is the class's default."""
    rest = _behind_run(_check.text("docker run command", cmd))
    fields: Fields = {}
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        (_long if word.startswith("--") else _short)(fields, word, rest)
    if not rest or not rest[0]:
        raise SandboxConfigError("No image found in docker run command")
    fields["image"], fields["command"] = rest[0], rest[1:]
    if "_env_files" in fields:
        fields["environment"] = {**fields["_env_files"], **fields.get("environment", {})}
    _docker.quota(fields, fields.get("_cpus"), fields.get("_period"), fields.get("_quota"))
    if as_nitrobox and fields.get("network") in ("bridge", "default"):
        del fields["network"]
    return {name: value for name, value in fields.items() if not name.startswith("_")}
