# SPDX-License-Identifier: Apache-2.0
"""agentdocker-lite, over hutch: the older name of nitrobox, with images' entrypoints left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import _later
from . import nitrobox as _nitrobox
from ._nitrobox import NitroboxSandbox

__all__ = ["Sandbox", "SandboxBase", "SandboxConfig"]

_later.put_modules(__name__, _later.NITROBOX)


def __getattr__(name: str) -> Any:
    return _later.refuse(__name__, name, _later.NITROBOX_NAMES)


@dataclass
class SandboxConfig(_nitrobox.SandboxConfig):
    """nitrobox's configuration, without the image's entrypoint. Since 0.1."""

    entrypoint: list[str] | None = field(default_factory=list)


class Sandbox(NitroboxSandbox):
    """agentdocker_lite.Sandbox. Since 0.1."""

    @classmethod
    def _config_type(cls) -> type[SandboxConfig]:
        return SandboxConfig


#: The older name of the class, for ``SandboxBase.cleanup_stale()``.
SandboxBase = Sandbox
