# SPDX-License-Identifier: Apache-2.0
"""What all lanes of a run share, however far apart run.py puts them: the settings of the machine.

    with settings(change=True):   nobody else compares them, or changes them, meanwhile
    @settings()                   nobody changes them while that method runs
"""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

ALL_LANES_SEE = Path(__file__)


@contextmanager
def settings(*, change: bool = False):
    fd = os.open(ALL_LANES_SEE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if change else fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)
