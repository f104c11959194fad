# SPDX-License-Identifier: Apache-2.0
"""Pool: sandboxes that are used again."""

import asyncio
import threading

from hutch import Pool, SandboxConfigError, SandboxError, SandboxStateError, SandboxTimeoutError
from world import Case, config


class Pools(Case):
    def test_each_use_finds_it_as_it_was_made(self) -> None:
        with Pool(config(), 2) as pool:
            seen = set()
            for _ in range(4):
                with pool.use() as sb:
                    seen.add(sb.name)
                    self.assertEqual(sb.run("ls /left; touch /left").output.count("No such file"), 1)
            self.assertEqual(len(seen), 1)
            with pool.use() as one, pool.use() as other:
                self.assertNotEqual(one.name, other.name)
                with self.assertRaises(SandboxTimeoutError):
                    pool.take(0.1)
        with self.assertRaises(SandboxStateError):
            pool.take()

    def test_many_threads_share_few(self) -> None:
        outputs = []
        with Pool(config(), 3) as pool:
            def work(i: int) -> None:
                for _ in range(3):
                    with pool.use() as sb:
                        outputs.append(sb.run(f"ls /mark; touch /mark; echo {i}").output.count("No such"))

            threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertLessEqual(len(pool._used), 3)
        self.assertEqual(outputs, [1] * 24)

    def test_one_that_died_is_replaced(self) -> None:
        with Pool(config(), 1, uses=2) as pool:
            with pool.use() as sb:
                sb.delete()
            with pool.use() as sb:
                self.assertEqual(sb.run("echo well").output, "well\n")
                name = sb.name
            with pool.use() as sb:
                self.assertEqual(sb.name, name)
            with pool.use() as sb:
                self.assertNotEqual(sb.name, name, "after two uses")
            with self.assertRaises(ZeroDivisionError):
                with pool.use():
                    1 / 0
            with pool.use(1):
                pass
            with self.assertRaises(SandboxStateError):
                pool.give(self.sandbox())

    def test_in_an_event_loop(self) -> None:
        async def work() -> None:
            with Pool(config(), 2) as pool:
                async def one(i: int) -> str:
                    async with pool.ause() as sb:
                        return (await sb.arun(f"ls /mark; touch /mark; echo {i}")).output

                results = await asyncio.gather(*(one(i) for i in range(8)))
                self.assertEqual([text.endswith(f"\n{i}\n") and "No such" in text for i, text in enumerate(results)], [True] * 8)

        asyncio.run(work())

    def test_who_waits_in_a_loop_is_woken(self) -> None:
        """By who gives one back, in the loop or from a thread; and nobody's turn is lost with who gives up."""

        async def work() -> None:
            loop = asyncio.get_running_loop()
            pool = Pool(config(), 1)
            held = pool.take()
            with self.assertRaises(SandboxTimeoutError):
                await pool.atake(0.05)
            gave_up = asyncio.ensure_future(pool.atake())
            first, second = asyncio.ensure_future(pool.atake()), asyncio.ensure_future(pool.atake(60))
            await asyncio.sleep(0.02)
            gave_up.cancel()
            threading.Timer(0.05, pool.give, [held]).start()
            self.assertIs(await asyncio.wait_for(first, 30), held)
            self.assertTrue(gave_up.cancelled())
            given_up_when_woken = asyncio.ensure_future(pool.atake())
            third = asyncio.ensure_future(pool.atake())
            await asyncio.sleep(0)
            pool.give(held)
            self.assertIs(await asyncio.wait_for(second, 30), held)
            pool.give(held)  # the next one is told in the next turn of the loop
            loop.call_soon(given_up_when_woken.cancel)
            self.assertIs(await asyncio.wait_for(third, 30), held)
            self.assertTrue(given_up_when_woken.cancelled())
            last = asyncio.ensure_future(pool.atake())
            await asyncio.sleep(0)
            pool.close()
            with self.assertRaises(SandboxStateError):
                await asyncio.wait_for(last, 30)
            pool.give(held)

        asyncio.run(work())

    def test_one_that_cannot_be_made_keeps_nobody_waiting(self) -> None:
        pool = Pool(config(), 1)
        held = pool.take()
        results = []

        def work() -> None:
            try:
                pool.take(60)
            except SandboxError as failure:
                results.append(type(failure))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        pool.config = config(rootfs="/nowhere")
        held.delete()
        pool.give(held)
        for thread in threads:
            thread.join(30)
        self.assertEqual(len(results), 3)
        self.assertTrue(all(kind is not SandboxTimeoutError for kind in results), results)
        pool.close()

    def test_what_is_no_pool(self) -> None:
        for bad in (0, -1, "x", True):
            with self.assertRaises(SandboxConfigError):
                Pool(config(), bad)
        with self.assertRaises(SandboxConfigError):
            Pool(config(), 1, uses=0)
        with self.assertRaises(SandboxConfigError):
            Pool({"nonsense": 1})
