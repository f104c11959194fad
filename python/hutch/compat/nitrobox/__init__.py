# SPDX-License-Identifier: Apache-2.0
"""nitrobox, over hutch: ``from hutch.compat.nitrobox import SandboxConfig`` where ``from nitrobox import`` stood.

``config`` is a module of it as there. What nitrobox has and this version has not (Compose, QEMU, checkpoints, registries)
is named in ``hutch.compat._later``, and using it is an error that says so.
"""

from __future__ import annotations

from typing import Any

from ..._errors import SandboxConfigError, SandboxError, SandboxInitError, SandboxKernelError, SandboxTimeoutError
from ..._hutch import VERSION as __version__
from .. import _later
from .._nitrobox import NitroboxSandbox
from . import config
from .config import CAP_NAME_TO_NUM, SandboxConfig, cap_names_to_numbers, detect_subuid_range

__all__ = [
    "CAP_NAME_TO_NUM", "Sandbox", "SandboxConfig", "SandboxConfigError", "SandboxError", "SandboxInitError",
    "SandboxKernelError", "SandboxTimeoutError", "__version__", "cap_names_to_numbers", "config", "detect_subuid_range",
]

_later.put_modules(__name__, _later.NITROBOX)


def __getattr__(name: str) -> Any:
    return _later.refuse(__name__, name, _later.NITROBOX_NAMES)


class Sandbox(NitroboxSandbox):
    """nitrobox.Sandbox. Since 0.1."""

    @classmethod
    def _config_type(cls) -> type[SandboxConfig]:
        return SandboxConfig
