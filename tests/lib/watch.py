# SPDX-License-Identifier: Apache-2.0
"""A clock for tests of deadlines.

A machine that runs several test lanes keeps everybody waiting now and then: half a second in which not even a
process that does nothing but sleep is woken. A Watch has such a sleeper, and leaves those pauses out.
"""

import threading
import time

TICK_SECONDS = 0.005
PAUSE_SECONDS = 0.02  # later than this is no jitter of a wake-up


class Watch:
    """Runs from its making to close()."""

    def __init__(self):
        self._kept_back = 0.0
        self._stop = False
        self._sleeper = threading.Thread(target=self._sleep, daemon=True)
        self._sleeper.start()

    def _sleep(self) -> None:
        before = time.monotonic()
        while not self._stop:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            late = now - before - TICK_SECONDS
            self._kept_back += late if late > PAUSE_SECONDS else 0.0
            before = now

    def now(self) -> float:
        """Seconds since some moment, less all pauses since the Watch was made."""
        return time.monotonic() - self._kept_back

    def close(self) -> None:
        self._stop = True
        self._sleeper.join()
