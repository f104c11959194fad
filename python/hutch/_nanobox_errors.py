# SPDX-License-Identifier: Apache-2.0
"""nanobox's errors, each a class of its own below one of hutch's.

Each is made from what it is about, by position or by name, keeps that as attributes, and can be pickled. Whoever
catches :class:`SandboxError`, ``FileNotFoundError`` and the like gets them too. Some belong to other systems, or tell
what ``run()`` tells in its result; they are here because programs name them. Since 0.1.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ._errors import (SandboxConfigError, SandboxDiedError, SandboxError, SandboxInitError, SandboxKernelError,
                      SandboxNotFoundError, SandboxPermissionError, SandboxTimeoutError)


class _Told(SandboxError):
    """An error that is made from facts."""

    #: What the message is, with the names of the facts in braces.
    text: ClassVar[str] = ""
    #: Names of the facts, in their order.
    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *facts: object, **named: object) -> None:
        given = dict(zip(self.names, facts))
        if len(facts) > len(self.names) or given.keys() & named.keys() or {*given, *named} != set(self.names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.names) or 'nothing'}")
        given.update(named)
        super().__init__(self.text.format(**given))
        self.__dict__.update(given)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.names)


# ---- this machine ---------------------------------------------------------------------------------


class PlatformNotSupported(_Told, SandboxKernelError):
    platform: str
    text, names = "Platform not supported: {platform}", ("platform",)


class PlatformFeatureUnavailable(_Told, SandboxKernelError):
    feature: str
    text, names = "Platform feature not available: {feature}", ("feature",)


class UserNamespaceDisabled(_Told, SandboxKernelError):
    text = "User namespaces are disabled; enable them: sysctl -w kernel.unprivileged_userns_clone=1"


class CgroupV2Unavailable(_Told, SandboxKernelError):
    text = "Cgroups v2 not available or not mounted"


class SandboxExecUnavailable(_Told, SandboxKernelError):
    text = "sandbox-exec is not available"


# ---- a sandbox is made ----------------------------------------------------------------------------


class NamespaceCreation(_Told, SandboxInitError):
    ns_type: str
    reason: str
    text, names = "Namespace '{ns_type}' could not be made: {reason}", ("ns_type", "reason")


class NamespaceEnter(_Told, SandboxInitError):
    reason: str
    text, names = "Namespace could not be entered: {reason}", ("reason",)


class SandboxProfileCreation(_Told, SandboxInitError):
    reason: str
    text, names = "Sandbox profile could not be made: {reason}", ("reason",)


class JobObjectCreation(_Told, SandboxInitError):
    reason: str
    text, names = "Job object could not be made: {reason}", ("reason",)


class RestrictedTokenCreation(_Told, SandboxInitError):
    reason: str
    text, names = "Restricted token could not be made: {reason}", ("reason",)


class MountFailed(_Told, SandboxInitError):
    src: str
    target: str
    reason: str
    text, names = "Mount of '{src}' at '{target}' failed: {reason}", ("src", "target", "reason")


class PathNotFound(_Told, SandboxNotFoundError):  # type: ignore[misc]  # errno is never None here
    path: str
    text, names = "Path not found: {path}", ("path",)


class InvalidMountPermission(_Told, SandboxConfigError):
    path: str
    reason: str
    text, names = "Invalid mount permission for '{path}': {reason}", ("path", "reason")


class CgroupCreation(_Told, SandboxInitError):
    reason: str
    text, names = "Cgroup could not be made: {reason}", ("reason",)


class CgroupSetting(_Told, SandboxInitError):
    controller: str
    setting: str
    value: str
    reason: str
    text = "Cgroup setting {controller}.{setting} = {value}: {reason}"
    names = ("controller", "setting", "value", "reason")


class SecurityFilterLoad(_Told, SandboxInitError):
    reason: str
    text, names = "Security filter could not be loaded: {reason}", ("reason",)


# ---- a command runs; run() tells most of these in its result ---------------------------------------


class SyscallBlocked(_Told, SandboxPermissionError):  # type: ignore[misc]  # errno is never None here
    syscall: str
    text, names = "System call blocked: {syscall}", ("syscall",)


class Timeout(_Told, SandboxTimeoutError):  # type: ignore[misc]  # errno is never None here
    duration: object
    text, names = "Execution timed out after {duration}", ("duration",)


class MemoryExceeded(_Told):
    code = "LIMIT"
    used: int
    limit: int
    text, names = "Memory limit exceeded: {used} of {limit} bytes", ("used", "limit")


class ProcessLimitExceeded(_Told):
    code = "LIMIT"
    count: int
    limit: int
    text, names = "Process limit exceeded: {count} of {limit}", ("count", "limit")


class Killed(_Told, SandboxDiedError):
    signal: int
    text, names = "Killed by signal {signal}", ("signal",)


class CommandNotFound(_Told, SandboxNotFoundError):  # type: ignore[misc]  # errno is never None here
    code = "NO_COMMAND"
    command: str
    text, names = "Command not found: {command}", ("command",)


class ExecutionFailed(_Told):
    reason: str
    text, names = "Execution failed: {reason}", ("reason",)


class NetworkDenied(_Told, SandboxPermissionError):  # type: ignore[misc]  # errno is never None here
    domain: str
    text, names = "Network access denied: {domain}", ("domain",)


# ---- what is asked --------------------------------------------------------------------------------


class Io(_Told):
    code = "SYSTEM"
    reason: str
    text, names = "I/O error: {reason}", ("reason",)


class NulError(_Told, SandboxConfigError):
    reason: str
    text, names = "A NUL byte in {reason}", ("reason",)


class Config(_Told, SandboxConfigError):
    reason: str
    text, names = "Configuration error: {reason}", ("reason",)


class Internal(_Told):
    code = "INTERNAL"
    reason: str
    text, names = "Internal error: {reason}", ("reason",)


# As nanobox's documentation has them, where its code differs.
ConfigValidation = Config
UnsupportedPlatform = PlatformNotSupported
SandboxProfile = SandboxProfileCreation
PermissionDenied = SandboxPermissionError
