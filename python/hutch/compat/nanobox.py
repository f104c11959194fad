# SPDX-License-Identifier: Apache-2.0
"""nanobox, over hutch: ``from hutch.compat.nanobox import SandboxBuilder`` where ``from nanobox import`` stood.

What differs: mounts, /tmp and read-only hold also without a rootfs; a filter of system calls is always on but for
``SeccompProfile.DISABLED``; limits that this version cannot enforce raise :class:`NotSupportedError` unless
``without_limits()`` was said; the user inside is 0 unless ``uid()`` was said, and outside it is the caller. The classes of
``nanobox.network`` (a proxy that lets some domains through) come with ``allow_network()``, in a later version.
"""

from __future__ import annotations

from .._builder import (GB, KB, MB, ExecutionResult, NetworkMode, Permission, Sandbox, SandboxBuilder, SeccompProfile,
                        is_platform_supported, platform_name)
from .._errors import NotSupportedError, SandboxError
from .._nanobox_errors import (CgroupCreation, CgroupSetting, CgroupV2Unavailable, CommandNotFound, Config,
                               ConfigValidation, ExecutionFailed, Internal, InvalidMountPermission, Io,
                               JobObjectCreation, Killed, MemoryExceeded, MountFailed, NamespaceCreation,
                               NamespaceEnter, NetworkDenied, NulError, PathNotFound, PermissionDenied,
                               PlatformFeatureUnavailable, PlatformNotSupported, ProcessLimitExceeded,
                               RestrictedTokenCreation, SandboxExecUnavailable, SandboxProfile,
                               SandboxProfileCreation, SecurityFilterLoad, SyscallBlocked, Timeout,
                               UnsupportedPlatform, UserNamespaceDisabled)
from . import _later

__all__ = [
    "GB", "KB", "MB", "CgroupCreation", "CgroupSetting", "CgroupV2Unavailable", "CommandNotFound", "Config",
    "ConfigValidation", "ExecutionFailed", "ExecutionResult", "Internal", "InvalidMountPermission", "Io",
    "JobObjectCreation", "Killed", "MemoryExceeded", "MountFailed", "NamespaceCreation", "NamespaceEnter",
    "NetworkDenied", "NetworkMode", "NotSupportedError", "NulError", "PathNotFound", "Permission", "PermissionDenied",
    "PlatformFeatureUnavailable", "PlatformNotSupported", "ProcessLimitExceeded", "RestrictedTokenCreation", "Sandbox",
    "SandboxBuilder", "SandboxError", "SandboxExecUnavailable", "SandboxProfile", "SandboxProfileCreation",
    "SeccompProfile", "SecurityFilterLoad", "SyscallBlocked", "Timeout", "UnsupportedPlatform",
    "UserNamespaceDisabled", "is_platform_supported", "platform_name",
]

_later.put_modules(__name__, _later.NANOBOX)
