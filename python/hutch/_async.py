# SPDX-License-Identifier: Apache-2.0
"""Waiting in an event loop: on descriptors, without threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

# asyncio takes longer to import than all of hutch; who calls these has it.
if TYPE_CHECKING:
    import asyncio

    from . import _hutch

T = TypeVar("T")

_SELDOM = 0.1  # between two looks where a descriptor says when, as a rule
_STOP_SECONDS = 3.0  # what was stopped has ended by then
_SHORTEST, _LONGEST = 0.0005, 0.01  # between two looks where there is no descriptor to wait on


async def readable(fd: int, step: Callable[[], T | None]) -> T:
    """Calls @step whenever @fd is readable, until it returns something."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def look() -> None:
        if done.done():
            return
        try:
            result = step()
        except BaseException as failure:  # noqa: BLE001: it is raised where somebody waits
            done.set_exception(failure)
        else:
            if result is not None:
                done.set_result(result)

    loop.add_reader(fd, look)
    try:
        return await done
    finally:
        loop.remove_reader(fd)


async def told(fd: int, step: Callable[[], T | None], seconds: float | None = None) -> T | None:
    """Calls @step whenever @fd, of a sandbox, is readable, until it returns something or the time is over (then None).

    What it waits for may come with an answer to another call, so it is called now and then in any case. The reader is
    on a copy of @fd: a loop has one for each descriptor, and the sandbox may be deleted meanwhile.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    own = os.dup(fd)
    woken = asyncio.Event()
    loop.add_reader(own, woken.set)
    try:
        while (result := step()) is None and (end is None or loop.time() < end):
            woken.clear()
            timer = loop.call_later(_SELDOM if end is None else min(_SELDOM, max(0, end - loop.time())), woken.set)
            try:
                await woken.wait()
            finally:
                timer.cancel()
        return result
    finally:
        loop.remove_reader(own)
        os.close(own)


async def until(step: Callable[[], T | None], seconds: float | None = None) -> T | None:
    """Calls @step again and again, until it returns something or the time is over (then None)."""
    import asyncio

    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    pause = _SHORTEST
    while (result := step()) is None and (end is None or loop.time() < end):
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return result


async def finish(run: _hutch.Run) -> _hutch._Result:
    """The end of a run. Cancelled, it ends what the run has started before it says so."""
    import asyncio

    try:
        result = run.wait(0)
        return result if result is not None else await readable(run.fileno(), lambda: run.wait(0))
    except asyncio.CancelledError:
        run.stop()
        await until(lambda: run.wait(0), _STOP_SECONDS)
        raise


async def done(op: _hutch.Op) -> Any:
    """What came of what was begun. Cancelled, it is waited for all the same: half of it would be worse."""
    import asyncio

    try:
        await told(op.fileno(), lambda: op.wait(False) or None)
    except asyncio.CancelledError:
        op.wait(True)
        raise
    return op.result()
