# SPDX-License-Identifier: Apache-2.0
"""What this process holds of hutch: one handle for each place where state is kept, made with the first sandbox there.

A forked child gets its own; sandboxes belong to the process that made them.
"""

from __future__ import annotations

import os
import threading

from . import _hutch

_lock = threading.Lock()
_homes: dict[tuple[int, str], _hutch.Home] = {}


def home(directory: str = "") -> _hutch.Home:
    """The handle of this process. ``directory``: where state is kept; ``""``: where hutch keeps it."""
    key = os.getpid(), os.path.abspath(directory) if directory else ""
    found = _homes.get(key)
    if found is not None:
        return found
    with _lock:
        if key not in _homes:
            _homes[key] = _hutch.Home(key[1] or None)
        return _homes[key]


def _after_fork() -> None:
    """The lock may have been held by a thread that is not there any more."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
