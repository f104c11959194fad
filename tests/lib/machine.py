# SPDX-License-Identifier: Apache-2.0
"""What all lanes of a run share, however far apart run.py puts them: the settings of the machine, and its processors.

    with settings(change=True):   nobody else compares them, or changes them, meanwhile
    @settings()                   nobody changes them while that method runs
    with processors(all_of_them=True):   nobody measures time meanwhile
    with processors():            nobody takes them all meanwhile
"""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__)  # all lanes see it


@contextmanager
def _turn(path: Path, alone: bool):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


@contextmanager
def settings(*, change: bool = False):
    with _turn(HERE, change):
        yield


@contextmanager
def processors(*, all_of_them: bool = False):
    with _turn(HERE.with_name("watch.py"), all_of_them):
        yield
