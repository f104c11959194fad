# SPDX-License-Identifier: Apache-2.0
"""hutch: sandboxes for programs nobody trusts, without root, without a daemon."""

from ._builder import GB, KB, MB, ExecutionResult, NetworkMode, Permission, SandboxBuilder, SeccompProfile
from ._config import SandboxConfig
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
from ._pool import Pool
from ._popen import Popen
from ._result import CommandError, End, RunResult, Usage
from ._sandbox import Sandbox, Session
from ._stream import Stream

#: nitrobox' name of the class for ``SandboxBase.cleanup_stale()``.
SandboxBase = Sandbox

__all__ = [
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
