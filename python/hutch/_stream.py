# SPDX-License-Identifier: Apache-2.0
"""Output as it comes."""

from __future__ import annotations

import codecs
import select
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from ._async import finish, readable
from ._result import RunResult

if TYPE_CHECKING:
    from . import _hutch


class Stream:
    """A command whose output is read while it runs, by ``for`` or ``async for``: each part is a str.

    ``result`` is its :class:`~hutch.RunResult` once the output has ended (its ``stdout`` is empty: the parts were it), None
    before. :meth:`close` ends the command; so does leaving a ``with`` block before its end. Since 0.1.
    """

    def __init__(self, run: _hutch.Run, counted: bool, apart: bool) -> None:
        self._run, self._counted, self._apart = run, counted, apart
        self._began = time.monotonic()
        self._parts: deque[str] = deque()
        self._decoders = {which: codecs.getincrementaldecoder("utf-8")("backslashreplace") for which in (1, 2)}
        self.result: RunResult | None = None

    def _take(self, ended: bool) -> None:
        for which, data in self._run.chunks():
            if text := self._decoders[which].decode(data):
                self._parts.append(text)
        if ended:
            for decoder in self._decoders.values():
                if text := decoder.decode(b"", True):
                    self._parts.append(text)

    def _look(self, seconds: float) -> bool | None:
        """Return: True there is something to give, or it has ended; None not yet."""
        result = self._run.wait(seconds)
        self._take(result is not None)
        if result is not None:
            nothing: _hutch._Output = (b"", 0, 0)
            self.result = RunResult(result, nothing, nothing if self._apart else None,
                                    time.monotonic() - self._began, self._counted)
            self._run.free()
        return True if self._parts or self.result is not None else None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not self._parts:
            if self.result is not None:
                raise StopIteration
            if not self._look(0):  # not for the end: parts are given at once
                select.select([self._run.fileno()], [], [])
        return self._parts.popleft()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._parts:
            if self.result is not None:
                raise StopAsyncIteration
            if not self._look(0):
                await readable(self._run.fileno(), lambda: self._look(0))
        return self._parts.popleft()

    def close(self) -> None:
        """Ends the command, with all that it has started, if it has not ended."""
        if self.result is None:
            self._run.stop()
            self._run.free()

    async def aclose(self) -> None:
        """The same, without holding up the event loop."""
        if self.result is None:
            self._run.stop()
            await finish(self._run)
            self._run.free()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
