# SPDX-License-Identifier: Apache-2.0
"""hutch: sandboxes for programs nobody trusts, without root, without a daemon."""

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

__all__ = [
    "NotSupportedError",
    "SandboxBusyError",
    "SandboxConfig",
    "SandboxConfigError",
    "SandboxDiedError",
    "SandboxError",
    "SandboxExistsError",
    "SandboxInitError",
    "SandboxKernelError",
    "SandboxNotFoundError",
    "SandboxPermissionError",
    "SandboxStateError",
    "SandboxTimeoutError",
]
