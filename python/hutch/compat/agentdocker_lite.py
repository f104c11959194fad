# SPDX-License-Identifier: Apache-2.0
"""agentdocker-lite, over hutch: the older name of nitrobox, with images' entrypoints left alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import nitrobox as _nitrobox
from ._nitrobox import NitroboxSandbox

__all__ = ["Sandbox", "SandboxBase", "SandboxConfig"]


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
