# SPDX-License-Identifier: Apache-2.0
"""A terminal with a program on it, for tests of -t, Ctrl-C, Ctrl-Z and window sizes."""

import errno
import fcntl
import os
import pty
import select
import struct
import termios
import time


class Terminal:
    """The program is the leader of a session whose controlling terminal this is."""

    def __init__(self, persona, argv: list, env: dict, cwd, rows: int, columns: int):
        self.fd, program_side = pty.openpty()
        self.seen = ""  # all it ever wrote
        self._read = 0  # how much of it expect() has passed
        self.resize(rows, columns)
        if persona.changes_user():
            os.chown(os.ttyname(program_side), persona.uid, persona.gid)
        self.modes_before = termios.tcgetattr(self.fd)  # the program may change them at once
        self.process = persona.popen(
            argv, before_exec=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), start_new_session=True,
            stdin=program_side, stdout=program_side, stderr=program_side, env=env, cwd=cwd)
        os.close(program_side)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text: str) -> None:
        """What a user types; Ctrl-C is "\\x03", Ctrl-Z "\\x1a", end of input "\\x04"."""
        os.write(self.fd, text.encode())

    def _more(self, seconds: float) -> bool:
        """Reads what is there. False: nothing came, or there is nobody on the other side."""
        if self.fd < 0 or not select.select([self.fd], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError as failure:
            if failure.errno == errno.EIO:  # the last one on the other side has closed it
                return False
            raise
        self.seen += data.decode(errors="replace")
        return bool(data)

    def expect(self, text: str, seconds: float = 10) -> str:
        """Waits until @text is written; returns what came before it, since the last expect()."""
        deadline = time.monotonic() + seconds
        while text not in self.seen[self._read :]:
            left = deadline - time.monotonic()
            if left <= 0 or (not self._more(left) and self.process.poll() is not None):
                raise AssertionError(f"{text!r} did not come; so far:\n{self.seen}")
        at = self.seen.index(text, self._read)
        before = self.seen[self._read : at]
        self._read = at + len(text)
        return before

    def wait(self, seconds: float = 10) -> int:
        """The exit status, after reading all that is written until then."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self._more(0.05)
        while self._more(0):
            pass
        if self.process.poll() is None:
            raise AssertionError(f"still there after {seconds} s; so far:\n{self.seen}")
        return self.process.returncode

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
