# SPDX-License-Identifier: Apache-2.0
"""nitrobox.config, over hutch: the configuration, and what reads limits and capabilities from text.

The configuration differs from hutch's only in its defaults: the network is the host's (and its abstract sockets may be
in reach), /dev/shm has 256 MiB, the host name is the machine's, NET_RAW is not kept, and some capabilities switch the
filter of system calls off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..._config import SandboxConfig as _SandboxConfig
from ..._errors import SandboxConfigError
from ..._parse import (CAP_NAME_TO_NUM, cap_name, cap_names_to_numbers, cpu_weight, detect_subuid_range, parse_cpu, parse_io,
                       parse_memory_swap, parse_size)

__all__ = [
    "CAP_NAME_TO_NUM", "SandboxConfig", "SandboxConfigError", "cap_name", "cap_names_to_numbers", "cpu_weight",
    "detect_subuid_range", "parse_cpu", "parse_io", "parse_memory_swap", "parse_size",
]

_SHM_SIZE = str(256 << 20)
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?")


@dataclass
class SandboxConfig(_SandboxConfig):
    """hutch.SandboxConfig with nitrobox's defaults. Since 0.1."""

    net_isolate: bool | None = False
    allow_abstract_sockets: bool = True

    _as_nitrobox = True

    def builtin_environment(self) -> dict[str, str]:
        """What nitrobox sets in every sandbox; PATH and LANG are hutch's own, and the same."""
        found = {"HOME": "/root"} if self.user is None else {}
        return {**found, "TERM": "dumb", "NO_COLOR": "1"} if self.tty else {**found, "TERM": "xterm-256color"}

    def implied(self) -> dict[str, str]:
        """256 MiB of /dev/shm, and the machine's host name where it can be one inside."""
        import socket

        name = socket.gethostname()
        return {"shm_size": _SHM_SIZE, **({"hostname": name} if _HOSTNAME.fullmatch(name) else {})}

    def to_fields(self) -> list[tuple[str, str]]:
        """See hutch.SandboxConfig.to_fields()."""
        return [*super().to_fields(), *self._without_raw()]

    def _without_raw(self) -> Iterator[tuple[str, str]]:
        kept = {cap_name(name) for name in self.cap_add}
        if not self.privileged and not kept & {"NET_RAW", "ALL"}:
            yield "cap_drop", "NET_RAW"
