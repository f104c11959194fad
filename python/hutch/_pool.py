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
        self._coming = 0  # how many are being made
        self._closed = False
        self._changed = threading.Condition()
        self._awaiting: deque[asyncio.Future[None]] = deque()  # of who waits in an event loop

    # ---- take and give --------------------------------------------------------------------------------

    def _try_take(self) -> Sandbox | bool:
        """With the lock held: one that is free; True: one may be made, and counts as being there already; False: neither."""
        if self._closed:
            raise SandboxStateError("the pool was closed")
        if self._free:
            return self._free.pop()
        if len(self._used) + self._coming >= self.size:
            return False
        self._coming += 1
        return True

    def _made(self, sandbox: Sandbox | None) -> None:
        """What came of that."""
        with self._changed:
            self._coming -= 1
            if sandbox is None:
                self._wake()  # whoever waits may try, too
            else:
                self._used[sandbox] = 0

    def take(self, timeout: float | None = None) -> Sandbox:
        """One that is as it was made, to be handed to :meth:`give`. ``timeout``: seconds to wait for one; None: for ever.

        :raises SandboxTimeoutError: all of them are in use
        """
        with self._changed:
            found: Sandbox | bool = self._changed.wait_for(self._try_take, timeout)
        if not found:
            raise SandboxTimeoutError(f"all {self.size} sandboxes of the pool are in use")
        if isinstance(found, Sandbox):
            return found
        sandbox = None
        try:
            sandbox = Sandbox(self.config)
        finally:
            self._made(sandbox)
        return sandbox

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
                found = self._try_take()
                if isinstance(found, Sandbox):
                    return found
                if found:
                    break
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
        sandbox = None
        try:
            sandbox = await Sandbox.acreate(self.config)
        finally:
            self._made(sandbox)
        return sandbox

    def _used_again(self, sandbox: Sandbox) -> tuple[int, bool]:
        """How often it was used, and whether it may be once more."""
        uses = self._used.get(sandbox, -1) + 1
        if not uses:
            raise SandboxStateError(f"{sandbox!r} is not of this pool")
        return uses, not self._closed and (self._uses is None or uses < self._uses)

    def _put_back(self, sandbox: Sandbox, uses: int, good: bool) -> bool:
        """Return: whether it was kept; else it is to be deleted."""
        with self._changed:
            good = good and not self._closed
            if good:
                self._used[sandbox] = uses
                self._free.append(sandbox)
            else:
                del self._used[sandbox]
            self._wake()
        return good

    def give(self, sandbox: Sandbox) -> None:
        """Takes one back: it is reset. One that has died is forgotten, and replaced when it is needed."""
        uses, good = self._used_again(sandbox)
        try:
            if good:
                sandbox.reset()
        except SandboxError:
            good = False
        if not good:  # before another one takes its place
            sandbox.delete()
        if not self._put_back(sandbox, uses, good):
            sandbox.delete()

    async def agive(self, sandbox: Sandbox) -> None:
        """:meth:`give` in an event loop."""
        uses, good = self._used_again(sandbox)
        try:
            if good:
                await sandbox.areset()
        except SandboxError:
            good = False
        if not good:
            await sandbox.adelete()
        if not self._put_back(sandbox, uses, good):
            await sandbox.adelete()

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
            await self.agive(sandbox)

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
        """The same in an event loop."""
        with self._changed:
            self._end()
        while self._free:
            sandbox = self._free.pop()
            del self._used[sandbox]
            await sandbox.adelete()

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
