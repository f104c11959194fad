# SPDX-License-Identifier: Apache-2.0
"""hutch: sandboxes for programs nobody trusts, without root, without a daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import (
    NotSupportedError,
    SandboxBusyError,
    SandboxConfigError,
    SandboxDiedError,
    SandboxError,
    SandboxExistsError,
    SandboxInitError,
    SandboxKernelError,
    SandboxNotFoundError,
    SandboxPermissionError,
    SandboxStateError,
    SandboxTimeoutError,
)
from ._files import SandboxPath
from ._hutch import VERSION as __version__
from ._result import CommandError, End, RunResult, Usage
from ._sandbox import Sandbox, Session
from ._stream import Stream

if TYPE_CHECKING:
    from ._apopen import AsyncPopen
    from ._builder import GB, KB, MB, ExecutionResult, NetworkMode, Permission, SandboxBuilder, SeccompProfile
    from ._config import SandboxConfig
    from ._pool import Pool
    from ._popen import Popen

#: Where names are that few need, or that take a while: they are imported with their first use.
_LATER = {
    "AsyncPopen": "_apopen",
    "GB": "_builder", "KB": "_builder", "MB": "_builder", "ExecutionResult": "_builder", "NetworkMode": "_builder",
    "Permission": "_builder", "SandboxBuilder": "_builder", "SeccompProfile": "_builder", "Pool": "_pool", "Popen": "_popen",
    "SandboxConfig": "_config",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'hutch' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module("." + _LATER[name], __name__), name)
    return found


#: nitrobox' name of the class for ``SandboxBase.cleanup_stale()``.
SandboxBase = Sandbox

__all__ = [
    "AsyncPopen",
    "CommandError",
    "End",
    "ExecutionResult",
    "GB",
    "KB",
    "MB",
    "NetworkMode",
    "NotSupportedError",
    "Permission",
    "Pool",
    "Popen",
    "RunResult",
    "Sandbox",
    "SandboxBase",
    "SandboxBuilder",
    "SandboxBusyError",
    "SandboxConfig",
    "SandboxConfigError",
    "SandboxDiedError",
    "SandboxError",
    "SandboxExistsError",
    "SandboxInitError",
    "SandboxKernelError",
    "SandboxNotFoundError",
    "SandboxPath",
    "SandboxPermissionError",
    "SandboxStateError",
    "SandboxTimeoutError",
    "SeccompProfile",
    "Session",
    "Stream",
    "Usage",
    "__version__",
]
