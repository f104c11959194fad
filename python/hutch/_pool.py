# SPDX-License-Identifier: Apache-2.0
"""Sandboxes that are used again and again."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._config import SandboxConfig
from ._errors import SandboxConfigError, SandboxError, SandboxStateError, SandboxTimeoutError
from ._sandbox import Sandbox

if TYPE_CHECKING:
    import asyncio


class Pool:
    """At most ``size`` sandboxes of one configuration; each is reset before somebody else gets it.

    ``with pool.use() as sb: ...`` from any thread, ``async with pool.ause() as sb: ...`` in an event loop. They are made when they are
    needed first. ``uses``: after so many uses one is replaced by a new one; None: never. Who waits gets the one that is given
    back first. Since 0.1.
    """

    def __init__(self, config: SandboxConfig | Mapping[str, Any], size: int = 4, *, uses: int | None = None) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise SandboxConfigError(f"size: {size!r} is no number of sandboxes, 1 or more")
        if uses is not None and uses < 1:
            raise SandboxConfigError(f"uses: {uses!r} is no number of uses, 1 or more")
        self.config = config if isinstance(config, SandboxConfig) else SandboxConfig.from_dict(config)
        self.size, self._uses = size, uses
        self._free: list[Sandbox] = []
        self._used: dict[Sandbox, int] = {}  # how often, also of those that are free
        self._closed = False
        self._changed = threading.Condition()
        self._awaiting: deque[asyncio.Future[None]] = deque()  # of who waits in an event loop

    # ---- take and give --------------------------------------------------------------------------------

    def _try_take(self) -> Sandbox | None:
        """With the lock held. A new one counts before it is there."""
        if self._closed:
            raise SandboxStateError("the pool was closed")
        if self._free:
            return self._free.pop()
        if len(self._used) >= self.size:
            return None
        try:
            sandbox = Sandbox(self.config)
        except BaseException:
            self._wake()  # whoever waits may try, too
            raise
        self._used[sandbox] = 0
        return sandbox

    def take(self, timeout: float | None = None) -> Sandbox:
        """One that is as it was made, to be handed to :meth:`give`. ``timeout``: seconds to wait for one; None: for ever.

        :raises SandboxTimeoutError: all of them are in use
        """
        with self._changed:
            found: list[Sandbox] = []

            def some() -> bool:
                one = self._try_take()
                if one is not None:
                    found.append(one)
                return one is not None

            if not self._changed.wait_for(some, timeout):
                raise SandboxTimeoutError(f"all {self.size} sandboxes of the pool are in use")
            return found[0]

    def _wake(self) -> None:
        """With the lock held: something may be had, so one thread and one loop's task look again."""
        self._changed.notify()
        while self._awaiting:
            waiter = self._awaiting.popleft()
            try:
                waiter.get_loop().call_soon_threadsafe(_look_again, waiter)
                return
            except RuntimeError:  # its loop was closed
                pass

    async def atake(self, timeout: float | None = None) -> Sandbox:
        """:meth:`take` in an event loop, which goes on meanwhile."""
        import asyncio

        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            with self._changed:
                sandbox = self._try_take()
                if sandbox is not None:
                    return sandbox
                waiter: asyncio.Future[None] = loop.create_future()
                self._awaiting.append(waiter)
            looks = False
            try:
                await asyncio.wait_for(waiter, None if end is None else max(0, end - loop.time()))
                looks = True
            except asyncio.TimeoutError:
                raise SandboxTimeoutError(f"all {self.size} sandboxes of the pool are in use") from None
            finally:
                with self._changed:
                    if waiter in self._awaiting:
                        self._awaiting.remove(waiter)
                    elif not looks:  # it was woken all the same: the next one's turn
                        self._wake()

    def give(self, sandbox: Sandbox) -> None:
        """Takes one back: it is reset. One that has died is forgotten, and replaced when it is needed."""
        uses = self._used.get(sandbox, -1) + 1
        if not uses:
            raise SandboxStateError(f"{sandbox!r} is not of this pool")
        good = not self._closed and (self._uses is None or uses < self._uses)
        try:
            if good:
                sandbox.reset()
        except SandboxError:
            good = False
        if not good:
            sandbox.delete()
        with self._changed:
            if good and not self._closed:
                self._used[sandbox] = uses
                self._free.append(sandbox)
            else:
                del self._used[sandbox]
                sandbox.delete()
            self._wake()

    async def agive(self, sandbox: Sandbox) -> None:
        """:meth:`give` in an event loop: a reset takes a millisecond or so."""
        self.give(sandbox)

    @contextlib.contextmanager
    def use(self, timeout: float | None = None) -> Iterator[Sandbox]:
        """``with pool.use() as sb:``"""
        sandbox = self.take(timeout)
        try:
            yield sandbox
        finally:
            self.give(sandbox)

    @contextlib.asynccontextmanager
    async def ause(self, timeout: float | None = None) -> AsyncIterator[Sandbox]:
        """``async with pool.ause() as sb:``"""
        sandbox = await self.atake(timeout)
        try:
            yield sandbox
        finally:
            self.give(sandbox)

    # ---- its end ----------------------------------------------------------------------------------------

    def _end(self) -> None:
        """With the lock held: whoever waits is told."""
        self._closed = True
        self._changed.notify_all()
        while self._awaiting:
            self._wake()

    def close(self) -> None:
        """Deletes those that are free now, and those in use when they are given back."""
        with self._changed:
            self._end()
            free, self._free = self._free, []
            for sandbox in free:
                del self._used[sandbox]
        for sandbox in free:
            sandbox.delete()

    async def aclose(self) -> None:
        """The same in an event loop, which has its turn after each sandbox."""
        import asyncio

        with self._changed:
            self._end()
        while self._free:
            sandbox = self._free.pop()
            del self._used[sandbox]
            sandbox.delete()
            await asyncio.sleep(0)

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Pool cannot be copied or sent to another process: its sandboxes belong to the process that made "
                        "them. Send its configuration (pool.config), and make a pool of it there")

    def __repr__(self) -> str:
        return f"Pool({len(self._used)} of {self.size} made, {len(self._free)} free)"


def _look_again(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
