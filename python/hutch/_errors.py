# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as exceptions.

Every exception of hutch is a :class:`SandboxError`. ``code`` is one of the names of ``enum hutch_code`` in hutch.h,
``errno`` the number of the system call that failed (0: none was involved). Since 0.1.
"""

from __future__ import annotations

#: Names of ``enum hutch_code``, by number.
CODES: dict[int, str] = {
    -1: "SYSTEM", -2: "NOMEM", -3: "INVALID", -4: "NOT_FOUND", -5: "EXISTS", -6: "PERMISSION", -7: "UNSUPPORTED",
    -8: "BUSY", -9: "TIMEOUT", -10: "DIED", -11: "LIMIT", -12: "CANNOT_EXEC", -13: "STATE", -14: "INTERNAL",
    -15: "NO_COMMAND",
}


class SandboxError(RuntimeError):
    """Anything that hutch could not do. The message is one line: what, why, and where there is one the way out."""

    #: A name of ``enum hutch_code``; ``""``: it does not come from the library.
    code: str = ""
    #: Number of the system error; 0: none.
    errno: int = 0

    def __init__(self, message: str = "", code: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.errno = errno


class SandboxInitError(SandboxError):
    """A sandbox could not be started."""


class SandboxTimeoutError(SandboxError, TimeoutError):  # type: ignore[misc]  # errno is never None here
    """A deadline passed. ``run()`` returns a result in that case and raises nothing."""

    code = "TIMEOUT"


class SandboxKernelError(SandboxError):
    """This machine cannot give what was asked for; ``hutch doctor`` says what it lacks."""

    code = "UNSUPPORTED"


class SandboxConfigError(SandboxError, ValueError):
    """A configuration that is wrong, or contradicts itself."""

    code = "INVALID"


class NotSupportedError(SandboxConfigError):
    """A field that this version knows and cannot honour yet. It is never passed over silently."""

    code = "UNSUPPORTED"


class SandboxDiedError(SandboxError):
    """The sandbox has ended, or was deleted."""

    code = "DIED"


class SandboxStateError(SandboxError):
    """Not in a state in which this can be done; also a handle in a forked child."""

    code = "STATE"


class SandboxBusyError(SandboxError):
    """In use by another call."""

    code = "BUSY"


class SandboxExistsError(SandboxError, FileExistsError):  # type: ignore[misc]  # errno is never None here
    """A name that is taken."""

    code = "EXISTS"


class SandboxNotFoundError(SandboxError, FileNotFoundError):  # type: ignore[misc]  # errno is never None here
    """A file, snapshot, command or sandbox that is not there."""

    code = "NOT_FOUND"


class SandboxPermissionError(SandboxError, PermissionError):  # type: ignore[misc]  # errno is never None here
    """The caller may not."""

    code = "PERMISSION"


_BY_CODE: dict[str, type[SandboxError]] = {
    "INVALID": SandboxConfigError,
    "NOT_FOUND": SandboxNotFoundError,
    "NO_COMMAND": SandboxNotFoundError,
    "EXISTS": SandboxExistsError,
    "PERMISSION": SandboxPermissionError,
    "UNSUPPORTED": SandboxKernelError,
    "BUSY": SandboxBusyError,
    "TIMEOUT": SandboxTimeoutError,
    "DIED": SandboxDiedError,
    "STATE": SandboxStateError,
}


_ending = False


def interpreter_ends() -> None:
    """From now on sandboxes are deleted under whoever uses them."""
    global _ending
    _ending = True


def make_error(number: int, errno: int, message: str) -> BaseException:
    """The exception for a failure that the library tells.

    A daemon thread that is in a call when the interpreter ends is not told: its sandbox was deleted because the
    program is over. ``SystemExit`` ends a thread without a word.
    """
    if _ending:
        import threading

        if threading.current_thread() is not threading.main_thread():
            return SystemExit(message)
    name = CODES.get(number, "INTERNAL")
    if name == "NOMEM":
        return MemoryError(message)
    kind = _BY_CODE.get(name, SandboxError)
    error = kind(message, name, errno)
    return error
