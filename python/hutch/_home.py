# SPDX-License-Identifier: Apache-2.0
"""What this process holds of hutch: one handle, made with the first sandbox.

A forked child gets one of its own; sandboxes belong to the process that made them.
"""

from __future__ import annotations

import os
import threading

from . import _hutch

_lock = threading.Lock()
_home: _hutch.Home | None = None
_owner = 0


def home() -> _hutch.Home:
    """The handle of this process."""
    global _home, _owner
    if _home is not None and _owner == os.getpid():
        return _home
    with _lock:
        if _home is None or _owner != os.getpid():
            _home, _owner = _hutch.Home(), os.getpid()
        return _home


def _after_fork() -> None:
    """The lock may have been held by a thread that is not there any more."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
