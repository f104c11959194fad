# SPDX-License-Identifier: Apache-2.0
"""A command with pipes in an event loop."""

from __future__ import annotations

import asyncio
import errno
from typing import IO, Any

from ._async import told
from ._popen import Popen


class _Output(asyncio.StreamReaderProtocol):
    """A terminal that nobody has any more ends with EIO, which is its end of file."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None if isinstance(exc, OSError) and exc.errno == errno.EIO else exc)


class AsyncPopen:
    """What :meth:`hutch.Sandbox.apopen` returns, as asyncio's ``Process``: ``stdin`` is a StreamWriter, ``stdout`` and ``stderr``
    are StreamReaders, or None where there is no pipe. They ride on their descriptors in the running loop. Since 0.1.
    """

    def __init__(self, process: Popen) -> None:
        self._process = process
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []

    @classmethod
    async def start(cls, process: Popen) -> AsyncPopen:
        """Takes over the pipes of @process."""
        self = cls(process)
        self.stdout = await self._reader(process.stdout)
        self.stderr = await self._reader(process.stderr)
        if process.stdin is not None:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, process.stdin)
            self._transports.append(transport)
            self.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        return self

    async def _reader(self, pipe: IO[Any] | None) -> asyncio.StreamReader | None:
        if pipe is None:
            return None
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _Output(reader), pipe)
        self._transports.append(transport)
        return reader

    @property
    def returncode(self) -> int | None:
        """None: it runs. A signal is a negative number."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """0: nothing outside has a use for its number."""
        return self._process.pid

    async def wait(self, timeout: float | None = None) -> int | None:
        """The return code; None: @timeout seconds were over."""
        code = self._process.poll()
        return code if code is not None else await told(self._process.box_fd(), self._process.poll, timeout)

    async def communicate(self, input: bytes | None = None) -> tuple[bytes, bytes]:
        """Writes @input and closes ``stdin``, reads all output, waits for the end. Return: standard output and error, b"" where
        there is no pipe."""
        out, err, _ = await asyncio.gather(self._all(self.stdout), self._all(self.stderr), self._feed(input))
        await self.wait()
        return out, err

    @staticmethod
    async def _all(reader: asyncio.StreamReader | None) -> bytes:
        return await reader.read() if reader is not None else b""

    async def _feed(self, data: bytes | None) -> None:
        if self.stdin is None:
            return
        try:
            if data:
                self.stdin.write(data)
                await self.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it does not want it
        self.stdin.close()

    def send_signal(self, sig: int) -> None:
        """Sends a signal to the command, not to what it has started."""
        self._process.send_signal(sig)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    async def aclose(self) -> None:
        """Kills the command where it has not ended, closes the pipes, and waits for it."""
        self.kill()
        try:
            await self.wait()  # before its pipes: it shall not come to an end of its own when stdin ends
        finally:
            for transport in self._transports:
                transport.close()
        await asyncio.sleep(0)  # the loop closes descriptors in its next turn

    async def __aenter__(self) -> AsyncPopen:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<hutch.AsyncPopen: returncode: {self._process.returncode} args: {self._process.args!r}>"
