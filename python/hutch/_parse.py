# SPDX-License-Identifier: Apache-2.0
"""Limits as text, in the forms that nitrobox takes, to the text that a cgroup takes.

How it works: each function gives exactly what nitrobox gives, which passes on what it does not understand; whether the
outcome makes sense is told by ``_check.py``, which calls these. ``size()`` is hutch's own reading: it takes all that
Docker takes too, and refuses the rest. Nothing here looks at the machine but for the number of a block device and the
subordinate ids.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable

#: Length of the period of a processor quota, in microseconds.
CPU_PERIOD_US = 100000
#: Most bytes a size can say.
SIZE_MAX = 2**63 - 1

_CAPS = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE""".split()
#: Number of every capability of Linux, by its name without ``CAP_``.
CAP_NAME_TO_NUM: dict[str, int] = {name: number for number, name in enumerate(_CAPS)}

_UNITS = {letter: 1024**power for power, letter in enumerate("kmgtp", 1)}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([kmgt])b?", re.IGNORECASE)
_ANY_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([kmgtp])(?:i?b?)|b)?", re.IGNORECASE)
_CPUS = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(%?)")
_IO_KEYS = ("rbps", "wbps", "riops", "wiops")


def _times(number: str, scale: int) -> int:
    """A decimal @number times @scale, rounded down, exactly."""
    whole, _, part = number.partition(".")
    return int(whole or 0) * scale + int(part or 0) * scale // int("1" + "0" * len(part))


def parse_size(text: str) -> str:
    """A size as a decimal number of bytes: ``"512m"`` to ``"536870912"``; what has no unit stays as it is.

    Units are k, m, g and t in either case, steps of 1024, with or without a ``b`` behind.
    """
    text = text.strip()
    match = _SIZE.fullmatch(text)
    if not match:
        return text
    return str(_times(match[1], _UNITS[match[2].lower()]))


def size(text: str) -> int:
    """A size in bytes, in every form of nitrobox and of Docker: ``512m``, ``1.5 GB``, ``1GiB``, ``5b``, ``4096``.

    Raises ValueError: not a size, or more than 2**63 - 1.
    """
    match = _ANY_SIZE.fullmatch(text.strip())
    if not match or (not match[2] and "." in match[1]):
        raise ValueError("not a size (4096, 512m, 1.5g)")
    number = _times(match[1], _UNITS.get((match[2] or "").lower(), 1))
    if number > SIZE_MAX:
        raise ValueError("too large a size")
    return number


def parse_cpu(text: str) -> str:
    """Processors as a line of ``cpu.max``: ``"0.5"`` and ``"50%"`` to ``"50000 100000"`` (microseconds).

    What contains a blank is such a line already. The quota is 1 at least. Raises ValueError: not a number.
    """
    text = text.strip()
    if " " in text:
        return text
    match = _CPUS.fullmatch(text)
    if not match:
        raise ValueError("not a number of processors (0.5, 2, 50%, or '50000 100000')")
    quota = _times(match[2], CPU_PERIOD_US // 100 if match[3] else CPU_PERIOD_US)
    return f"{1 if match[1] == '-' else max(1, quota)} {CPU_PERIOD_US}"


def _device_number(name: str) -> str:
    try:
        status = os.stat(name)
    except (OSError, ValueError):
        return name
    if not stat.S_ISBLK(status.st_mode):
        return name
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def parse_io(text: str) -> str:
    """``"<device> <limit>..."`` as a line of ``io.max``: ``"/dev/sda 10mb"`` to ``"8:0 wbps=10485760"``.

    A bare size limits writing, and only the first one counts. A name that is no block device stays as it is.
    """
    words = text.split()
    if len(words) < 2:
        return text
    limits = [f"{key}={parse_size(value)}" for key, _, value in (word.partition("=") for word in words[1:])
              if key in _IO_KEYS]
    if not limits:
        limits = [f"wbps={parse_size(words[1])}"]
    return " ".join([_device_number(words[0]), *limits])


def parse_memory_swap(total: str, memory: str | None) -> str | None:
    """Docker's memory and swap together, to swap alone (``memory.swap.max``).

    ``-1`` is ``"max"``, ``0`` is None (not set); without @memory the total itself. Raises ValueError: no number.
    """
    total = parse_size(total)
    if total == "-1":
        return "max"
    if total == "0":
        return None
    return str(max(0, int(total) - (int(parse_size(memory)) if memory else 0)))


def cpu_weight(shares: int) -> int:
    """Docker's cpu shares (2 to 262144) as a ``cpu.weight`` (1 to 10000); 0, which is "not set", is 100."""
    if shares == 0:
        return 100
    return min(10000, max(1, (shares - 2) * 9999 // 262142 + 1))


def cap_name(name: str) -> str:
    """The name of a capability in capitals, without ``CAP_``."""
    return name.strip().upper().removeprefix("CAP_")


def cap_names_to_numbers(names: Iterable[str]) -> list[int]:
    """Capabilities by number, in order; ``ALL`` is all of them, an unknown one is left out with a warning."""
    numbers: list[int] = []
    for name in map(cap_name, names):
        if name == "ALL":
            numbers += CAP_NAME_TO_NUM.values()
        elif name in CAP_NAME_TO_NUM:
            numbers.append(CAP_NAME_TO_NUM[name])
        else:
            import logging  # not at the start of every program that imports hutch

            logging.getLogger(__name__).warning("capability '%s' is not known, and left out", name)
    return list(dict.fromkeys(numbers))


def _first_range(path: str, owners: tuple[str, str]) -> tuple[int, int] | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip().split(":") for line in file]
    except OSError:
        return None
    for line in lines:
        if len(line) == 3 and line[0] in owners and line[1].isdecimal() and line[2].isdecimal():
            return int(line[1]), int(line[2])
    return None


def detect_subuid_range(path: str = "/etc/subuid") -> tuple[int, int, int] | None:
    """``(uid of the caller, first subordinate id, how many)``; None: none, or newuidmap and newgidmap are missing."""
    import pwd
    import shutil

    if not (shutil.which("newuidmap") and shutil.which("newgidmap")):
        return None
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    found = _first_range(path, (name, str(uid)))
    return (uid, *found) if found else None
