# SPDX-License-Identifier: Apache-2.0
"""One value of a configuration, checked and brought into its form.

How it works: a check is called with the name of the field and the value, and gives what the field then holds. What is
wrong raises a SandboxConfigError that says which field, what it held, why that is wrong, and the way out.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from . import _parse
from ._errors import SandboxConfigError

Check = Callable[[str, Any], Any]

#: Limits of a process, as the kernel names them (``ulimits``).
ULIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+")
_PORT = re.compile(r"(?:(?:\[[^\]]+\]|[0-9]+(?:\.[0-9]+)+):|[^:]+/)?"
                   r"((?:(?:[0-9]{1,5}(?:-[0-9]{1,5})?)?:)?[0-9]{1,5}(?:-[0-9]{1,5})?)(?:/(?:tcp|udp|sctp))?")
_IO_LIMIT = re.compile(r"(rbps|wbps|riops|wiops)=([0-9]+|max)")


def refuse(field: str, value: object, why: str) -> NoReturn:
    """Raises the SandboxConfigError for @value of @field."""
    raise SandboxConfigError(f"{field}={value!r}: {why}")


def nearest(word: str, words: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or nothing when no word is near."""
    import difflib  # not at the start of every program that imports hutch

    found = difflib.get_close_matches(word, list(words), 1)
    return f"; did you mean '{found[0]}'?" if found else ""


def optional(check: Check) -> Check:
    """The same @check, for a field that may be None."""
    return lambda field, value: None if value is None else check(field, value)


def text(field: str, value: Any) -> str:
    """A string, or a path."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        refuse(field, value, f"{type(value).__name__} where a string is wanted")
    if "\0" in value:
        refuse(field, value, "a NUL byte cannot be passed on")
    return value


def text_or_number(field: str, value: Any) -> str:
    """A string, or a whole number that becomes one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(field, value)


def switch(field: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        refuse(field, value, "neither True nor False")
    return value


def number(low: int, high: int = 2**63 - 1) -> Check:
    """A whole number from @low to @high."""
    def check(field: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            refuse(field, value, f"{type(value).__name__} where a whole number is wanted")
        if not low <= value <= high:
            refuse(field, value, f"not from {low} to {high}" if high < 2**63 - 1 else f"less than {low}")
        return value
    return check


def one_of(*words: str) -> Check:
    """One of the words."""
    def check(field: str, value: Any) -> str:
        if text(field, value) not in words:
            refuse(field, value, f"not one of {', '.join(words)}{nearest(value, words)}")
        return str(value)
    return check


def path(field: str, value: Any) -> str:
    """An absolute path of the inside."""
    if not text(field, value).startswith("/"):
        refuse(field, value, "not an absolute path")
    return text(field, value)


def list_of(check: Check) -> Check:
    """A list of what @check takes; a copy."""
    def each(field: str, value: Any) -> list[Any]:
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            refuse(field, value, "not a list; write [...] around it")
        return [check(f"{field}[{i}]", element) for i, element in enumerate(value)]
    return each


def _word(field: str, value: Any) -> str:
    if not text_or_number(field, value):
        refuse(field, value, "an empty element")
    return text_or_number(field, value)


words = list_of(_word)
#: Words of a command, of which one may be empty.
argv = list_of(text)


def pairs(field: str, value: Any) -> dict[str, str]:
    """A dict of strings, or a list of ``"KEY=VALUE"``; numbers become strings."""
    if not isinstance(value, Mapping):
        value = dict(_pair(field, word) for word in words(field, value))
    for key in value:
        if not text(field, key) or "=" in key:
            refuse(field, key, "a name that is empty or has a '=' in it")
    return {key: text_or_number(f"{field}[{key!r}]", element) for key, element in value.items()}


def _pair(field: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        refuse(field, word, "not KEY=VALUE")
    return key, value


def hosts(field: str, value: Any) -> list[str]:
    """A list of ``"name:ip"``, or a dict of names and addresses."""
    if isinstance(value, Mapping):
        value = [f"{text(field, name)}:{text(field, ip)}" for name, ip in value.items()]
    return [str(word) for word in words(field, value)]


def capabilities(field: str, value: Any) -> list[str]:
    """Names of capabilities, as they were given; with or without ``CAP_``, in either case, or ``ALL``."""
    names: list[str] = words(field, value)
    for name in names:
        plain = _parse.cap_name(name)
        if plain != "ALL" and plain not in _parse.CAP_NAME_TO_NUM:
            refuse(field, name, f"no such capability{nearest(plain, _parse.CAP_NAME_TO_NUM)}")
    return names


def size(field: str, value: Any) -> str | None:
    """A size as bytes in decimal; ``""`` is "not set". Never 0: that would be no room at all."""
    given = text_or_number(field, value)
    if not given.strip():
        return None
    try:
        found = _parse.size(given)
    except ValueError as why:
        refuse(field, value, str(why))
    if found == 0:
        refuse(field, value, "must be more than 0; None is for no limit")
    return str(found)


def size_or_max(field: str, value: Any) -> str | None:
    """A size, or ``"max"``: no limit."""
    return "max" if value == "max" else size(field, value)


def swap(value: Any, memory: str | None) -> str | None:
    """``memory_swap``: memory and swap together, to swap alone; ``-1``: no limit, ``0``: not set."""
    given = text_or_number("memory_swap", value).strip()
    if given not in ("-1", "0", "max", ""):
        given = size("memory_swap", given) or "0"
    if memory == "max" and given not in ("-1", "0", "max", ""):
        refuse("memory_swap", value, "memory and swap together, while memory_max='max' is no number to take off it")
    return "max" if given == "max" else _parse.parse_memory_swap(given or "0", memory)


def cpu(field: str, value: Any) -> str | None:
    """Processors: ``"0.5"``, ``2``, ``"50%"``, or a line of ``cpu.max``."""
    if isinstance(value, float) and math.isfinite(value):
        value = f"{value:.9f}"
    given = text_or_number(field, value).strip()
    if not given:
        return None
    try:
        line = _parse.parse_cpu(given)
    except ValueError as why:
        refuse(field, value, str(why))
    if not re.fullmatch(r"(max|[1-9][0-9]*) +[1-9][0-9]*", line):
        refuse(field, value, "not QUOTA PERIOD in microseconds ('50000 100000'), nor a number of processors")
    return line


def io(field: str, value: Any) -> str | None:
    """``"<device> <size>"`` or ``"<device> rbps= wbps= riops= wiops="``; see _parse.parse_io()."""
    line = _parse.parse_io(text(field, value))
    if not line.strip():
        return None
    limits = line.split()[1:]
    if not limits or not all(_IO_LIMIT.fullmatch(limit) for limit in limits):
        refuse(field, value, "not DEVICE and a limit ('/dev/sda 10mb', '8:0 rbps=5mb wiops=100')")
    return line


def pids(field: str, value: Any) -> str | int | None:
    """A number of processes, as it was given; ``"max"``: no limit."""
    given = text_or_number(field, value).strip()
    if given and given != "max" and not re.fullmatch("0*[1-9][0-9]*", given):
        refuse(field, value, "not a number of processes above 0, nor 'max'")
    return value if given else None


def duration(field: str, value: Any) -> str | int | float:
    """Seconds as a number, or text with units: ``10``, ``1.5``, ``"200ms"``, ``"1h30m"``."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        refuse(field, value, f"{type(value).__name__} where a time is wanted")
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        refuse(field, value, "not a time (10, 1.5, 200ms, 2m, 1h30m)")
    if not isinstance(value, str) and not 0 <= value < math.inf:
        refuse(field, value, "not a number of seconds")
    return value


def _ulimit(field: str, value: Any) -> int:
    if value in ("unlimited", "-1"):
        return -1
    if isinstance(value, str) and re.fullmatch("[0-9]+", value):
        value = int(value)
    return int(number(-1)(field, value))


def ulimits(field: str, value: Any) -> dict[str, tuple[int, int]]:
    """``{name: (soft, hard)}`` or ``{name: both}``; -1 and ``"unlimited"``: no limit."""
    if not isinstance(value, Mapping):
        refuse(field, value, "not a dict of name: (soft, hard)")
    found: dict[str, tuple[int, int]] = {}
    for name, limit in value.items():
        if name not in ULIMITS:
            refuse(field, name, f"no such limit{nearest(str(name), ULIMITS)}")
        both = tuple(limit) if isinstance(limit, (tuple, list)) else (limit, limit)
        if len(both) != 2:
            refuse(f"{field}[{name!r}]", limit, "not (soft, hard)")
        soft, hard = (_ulimit(f"{field}[{name!r}]", one) for one in both)
        if hard != -1 and (soft == -1 or soft > hard):
            refuse(f"{field}[{name!r}]", limit, "the soft limit is above the hard one")
        found[name] = (soft, hard)
    return found


def volume(field: str, value: Any) -> str:
    """``"source:target[:options]"``; a target alone is an anonymous volume."""
    source, *rest = parts = text(field, value).split(":")
    target = rest[0] if rest else source
    if len(parts) > 3 or not source:
        refuse(field, value, "not SOURCE:TARGET[:ro|rw|cow]")
    if not target.startswith("/"):
        refuse(field, value, f"'{target}' is not an absolute path")
    return text(field, value)


def port(field: str, value: Any) -> str:
    """``"[ip:][host:]container[/udp]"``, ranges too, and pasta's ``"ip/host:container"``."""
    given = text_or_number(field, value)
    match = _PORT.fullmatch(given)
    if not match or any(not 0 < int(number) <= 65535 for number in re.findall("[0-9]+", match[1])):
        refuse(field, value, "not [IP:][HOST:]PORT[/udp] with ports from 1 to 65535")
    return given


def form(pattern: str, why: str) -> Check:
    """Text that is wholly as the regular expression @pattern; @why it is refused otherwise."""
    def check(field: str, value: Any) -> str:
        given = text_or_number(field, value)
        if not re.fullmatch(pattern, given):
            refuse(field, value, why)
        return given
    return check


#: Numbers of processors or memory nodes.
cpuset = form(r"\s*[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*\s*", "not a list of numbers (0-3,7)")
#: ``"device:rate"``: bytes as a size, or a number of operations.
rate_bytes = form(r"[^:].*:[0-9.]+\s*[a-zA-Z]*", "not DEVICE:RATE (/dev/sda:10mb)")
rate = form(r"[^:].*:[0-9]+", "not DEVICE:RATE (/dev/sda:1000)")
restart = form(r"no|always|unless-stopped|on-failure(:[0-9]+)?", "not no, always, unless-stopped or on-failure[:N]")
upper = form(r"disk|tmpfs(:[0-9.]+\s*[a-zA-Z]*)?", "not disk or tmpfs[:SIZE]")


def health(field: str, value: Any) -> dict[str, Any]:
    """A dict of cmd, interval, timeout, retries, start_period, start_interval."""
    known: dict[str, Check] = {"cmd": text, "interval": duration, "timeout": duration, "retries": number(0),
                               "start_period": duration, "start_interval": duration}
    if not isinstance(value, Mapping):
        refuse(field, value, "not a dict")
    for key in value:
        if key not in known:
            refuse(field, key, f"no such key{nearest(str(key), known)}")
    return {key: known[key](f"{field}[{key!r}]", one) for key, one in value.items()}
