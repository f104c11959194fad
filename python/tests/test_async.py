# SPDX-License-Identifier: Apache-2.0
"""asyncio: many sandboxes from one thread."""

import asyncio
import threading
import time

from hutch import End, Sandbox
from world import Case, config


class Async(Case):
    def run_it(self, what) -> None:
        threads = threading.active_count()

        async def checked() -> None:
            await asyncio.wait_for(what(), 60)
            self.assertEqual(threading.active_count(), threads, "no thread is used")

        asyncio.run(checked())

    def test_many_at_once(self) -> None:
        async def work() -> None:
            boxes = [await Sandbox.acreate(config()) for _ in range(10)]
            since = time.monotonic()
            results = await asyncio.gather(*(box.arun(f"sleep 0.5; echo {i}") for i, box in enumerate(boxes)))
            self.assertEqual([result.output for result in results], [f"{i}\n" for i in range(10)])
            self.assertLess(time.monotonic() - since, 4)
            for box in boxes:
                await box.adelete()

        self.run_it(work)

    def test_many_in_one(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                results = await asyncio.gather(*(box.arun(["sh", "-c", f"sleep 0.{i}; exit {i}"]) for i in range(1, 9)))
                self.assertEqual([result.exit_code for result in results], list(range(1, 9)))
                session = box.session()
                await session.arun("X=1; cd /usr")
                self.assertEqual((await session.arun("echo $X; pwd")).output, "1\n/usr\n")

        self.run_it(work)

    def test_timeouts_and_cancellation(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                result = await box.arun("echo x; sleep 81", timeout=0.2)
                self.assertEqual((result, result.end), (("x\n", 124), End.TIMEOUT))
                for command in ("sleep 82 & sleep 83", ["sleep", "84"]):
                    task = asyncio.create_task(box.arun(command))
                    await asyncio.sleep(0.3)
                    since = time.monotonic()
                    task.cancel()
                    with self.assertRaises(asyncio.CancelledError):
                        await task
                    self.assertLess(time.monotonic() - since, 3)
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(box.arun("while :; do :; done"), 0.3)
                left = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 8[1234]'"
                self.assertEqual((await box.arun(left)).output, "0\n")

        self.run_it(work)

    def test_streams_and_jobs(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                parts = []
                async with box.astream("echo 1; sleep 0.2; echo 2; exit 3") as stream:
                    async for part in stream:
                        parts.append(part)
                self.assertEqual((parts, stream.result.exit_code), (["1\n", "2\n"], 3))
                async with box.astream("echo 1; sleep 85") as stream:
                    self.assertEqual(await stream.__anext__(), "1\n")
                handle = box.run_background("sleep 0.2; exit 6")
                self.assertEqual(await box.await_background(handle), 6)
                handle = box.run_background("trap '' TERM; echo x; while :; do sleep 0.1; done")
                while not box.check_background(handle)[0]:
                    await asyncio.sleep(0.01)
                self.assertEqual(await box.astop_background(handle, grace=0.3), "x\n")

        self.run_it(work)

    def test_states(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                await box.awrite_file("/x", "1")
                self.assertEqual(await box.asnapshot(), 0)
                await box.areset()
                await box.arestore(0)
                self.assertEqual(await box.aread_file("/x"), "1")
                (fork,) = await box.afork()
                self.assertEqual((await fork.arun("cat /x")).output, "1")
                await fork.adelete()

        self.run_it(work)
