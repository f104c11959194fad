# SPDX-License-Identifier: Apache-2.0
"""Pool: sandboxes that are used again."""

import asyncio
import threading

from hutch import Pool, SandboxConfigError, SandboxStateError, SandboxTimeoutError
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

    def test_what_is_no_pool(self) -> None:
        for bad in (0, -1, "x", True):
            with self.assertRaises(SandboxConfigError):
                Pool(config(), bad)
        with self.assertRaises(SandboxConfigError):
            Pool(config(), 1, uses=0)
        with self.assertRaises(SandboxConfigError):
            Pool({"nonsense": 1})
