# SPDX-License-Identifier: Apache-2.0
"""asyncio: many sandboxes from one thread."""

import asyncio
import contextlib
import os
import threading
import time
import unittest

from hutch import (End, Pool, Sandbox, SandboxBusyError, SandboxConfigError, SandboxError, SandboxNotFoundError, SandboxPath,
                   Session)
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
            results = await asyncio.gather(*(box.arun(f"sleep 2; echo {i}") for i, box in enumerate(boxes)))
            self.assertEqual([result.output for result in results], [f"{i}\n" for i in range(10)])
            self.assertLess(time.monotonic() - since, 15, "one after the other it is 20")
            for box in boxes:
                await box.adelete()

        self.run_it(work)

    def test_many_in_one(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                results = await asyncio.gather(*(box.arun(["sh", "-c", f"sleep 0.{i}; exit {i}"]) for i in range(1, 9)))
                self.assertEqual([result.exit_code for result in results], list(range(1, 9)))
                result = await box.arun("sleep 0.1; cat; exit 3", stdin="in\n" * 100_000)
                self.assertEqual((result.exit_code, result.stdout == "in\n" * 100_000, result.rusage is None), (3, True, False))
                self.assertEqual("".join([part async for part in box.astream(["cat"], stdin=b"in")]), "in")
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
                    self.assertLess(time.monotonic() - since, 30)
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

    @staticmethod
    async def much(box) -> None:
        """So that a snapshot is a copy, of much."""
        await box.arun("head -c 150000000 /dev/urandom >/root/large; sleep 1000 >/dev/null 2>&1 &")
        while int((await box.arun(["stat", "-c", "%s", "/root/large"])).output or 0) < 150_000_000:
            await asyncio.sleep(0.05)

    def test_the_loop_goes_on(self) -> None:
        """However much is to be copied."""

        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                await self.much(box)
                for verb in (box.asnapshot(), box.afork()):
                    ticks = 0
                    task = asyncio.create_task(verb)
                    await asyncio.sleep(0)
                    while not task.done():
                        ticks += 1
                        await asyncio.sleep(0.001)
                    result = task.result()
                    self.assertGreater(ticks, 0)
                    if isinstance(result, list):
                        self.assertEqual((await result[0].arun("wc -c </root/large")).output, "150000000\n")
                        await result[0].adelete()

        self.run_it(work)

    def test_one_change_after_the_other(self) -> None:
        """And what runs in it before, or after, but not in the middle."""

        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                session = box.session()
                await session.arun("mkdir -p /root/d; cd /root/d")
                await box.awrite_file("/root/f", "1")
                tag, told, _, changed, again, there = await asyncio.gather(
                    box.asnapshot(), session.arun("echo 2 >x; pwd"), box.awrite_file("/root/f", "2"), box.adiff("0"),
                    box.asnapshot(), box.arun("cat /root/f"))
                self.assertEqual((tag, again), (0, 1))
                self.assertEqual((told.output, there.output), ("/root/d\n", "2"), "a session goes to its directory again")
                self.assertLessEqual(set(changed), {("C", "/root/f"), ("A", "/root/d/x"), ("C", "/root/d")})
                await asyncio.gather(box.arestore(0), box.areset(), *(box.arun("true") for _ in range(3)), box.aread_bytes("/etc/passwd"))
                self.assertEqual((await box.arun("ls /root")).output, "")

        self.run_it(work)

    def test_who_does_not_wait_is_told(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                await self.much(box)
                task = asyncio.create_task(box.asnapshot())
                await asyncio.sleep(0)
                for call in (lambda: box.run("true"), box.reset, box.snapshot, box.fork):
                    with self.assertRaisesRegex(SandboxBusyError, "a snapshot of sandbox .* is under way"):
                        call()
                self.assertEqual(await task, 0)
                task = asyncio.create_task(box.asnapshot())
                await asyncio.sleep(0)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                self.assertEqual(box.list_snapshots(), [0, 1], "it was done all the same")
                with self.assertRaises(SandboxNotFoundError):
                    await box.arestore("none")
            await box.adelete()

        self.run_it(work)

    def test_a_fork_of_the_program_is_held_up_by_nothing(self) -> None:
        """Another thread may have held the sandbox when it was forked: nobody lets go of it there."""

        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                await self.much(box)
                ended = box._box.diff_start(None, None, True)
                copies = box._box.snapshot_start(None, False)
                thread = threading.Thread(target=copies.wait, args=(True,))
                thread.start()
                await asyncio.sleep(0.01)
                pid = os.fork()
                if pid == 0:
                    try:
                        del ended
                        asyncio.run(box.adelete())  # as delete(): only memory is freed
                        os._exit(0)
                    finally:
                        os._exit(1)
                thread.join()
                for _ in range(500):
                    if (found := os.waitpid(pid, os.WNOHANG))[0]:
                        break
                    await asyncio.sleep(0.01)
                else:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
                self.assertEqual(found, (pid, 0))
                self.assertEqual((await box.arun("echo here")).output, "here\n", "it is the parent's as before")

        self.run_it(work)

    def test_creation_fails_as_it_does_in_a_constructor(self) -> None:
        async def work() -> None:
            for fields in ({"image": "/none"}, {"working_dir": "/etc/passwd/x"}):
                with self.assertRaises(SandboxError) as here:
                    Sandbox(config().replace(**fields))
                with self.assertRaises(SandboxError) as there:
                    await Sandbox.acreate(config().replace(**fields))
                self.assertIs(type(here.exception), type(there.exception))
            async with await Sandbox.acreate(config()) as box:
                with self.assertRaises(SandboxError):
                    await Sandbox.acreate(config(), box.name)

        self.run_it(work)

    def test_pipes(self) -> None:
        async def work() -> None:
            async with await Sandbox.acreate(config()) as box:
                async with await box.apopen("cat; echo err >&2; exit 3") as process:
                    out, err = await process.communicate(b"x" * 1_000_000)
                    self.assertEqual((len(out), err, process.returncode), (1_000_000, b"err\n", 3))
                async with await box.aexec(["cat"]) as process:
                    for line in (b"1\n", b"2\n"):
                        process.stdin.write(line)
                        self.assertEqual(await process.stdout.readline(), line)
                    self.assertIsNone(await process.wait(0.05))
                self.assertEqual(process.returncode, -9, "left before its end")
                async with await box.aexec(["cat"]) as process:
                    kill = process.kill  # a keeper that has a lot to do
                    process.kill = lambda: asyncio.get_running_loop().call_later(0.1, kill)
                self.assertEqual(process.returncode, -9, "its end of stdin comes after the signal")
                async with await box.apopen("sleep 0.2; echo at its end", stdin=-3, stderr=-2) as process:
                    self.assertEqual(await process.communicate(), (b"at its end\n", b""))
                async with await box.apopen("read x; echo got $x", tty=True) as process:
                    process.stdin.write(b"hi\n")
                    self.assertIn(b"got hi", await process.stdout.read())
                    self.assertEqual(await process.wait(), 0)
                with self.assertRaises(SandboxConfigError):
                    await box.apopen("true", text=True)

        self.run_it(work)

    def tree(self, name: str) -> str:
        top = self.directory() / name
        (top / "a" / "b").mkdir(parents=True)
        for i in range(300):
            (top / "a" / f"f{i}").write_text(str(i))
        (top / "a" / "b" / "deep").write_bytes(os.urandom(100))
        with open(top / "large", "wb") as file:
            file.write(os.urandom(9 << 20))
            file.seek(64 << 20)
            file.write(b"end")
        os.chmod(top / "large", 0o750)
        os.utime(top / "large", ns=(10**18, 10**18 + 5))
        (top / "to-a").symlink_to("a")
        (top / "dangling").symlink_to("/nowhere")
        os.mkfifo(top / "fifo")
        os.chmod(top / "a", 0o700)
        os.utime(top / "a", ns=(10**18, 10**18 + 7))
        return str(top)

    @staticmethod
    def facts(top: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for at, directories, files in os.walk(top):
            for name in [".", *directories, *files]:
                path = os.path.join(at, name)
                st = os.lstat(path)
                data: object = None
                if os.path.islink(path):
                    data = os.readlink(path)
                elif os.path.isfile(path):
                    with open(path, "rb") as file:
                        data = hash(file.read())
                found[os.path.relpath(path, top)] = (oct(st.st_mode), st.st_mtime_ns, data)
        return found

    def test_trees_and_large_files(self) -> None:
        """Forth and back, twice, with the loop alive all the time."""
        top, turns = self.tree("tree"), 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def work() -> None:
            nonlocal turns
            box, back = await Sandbox.acreate(config()), str(self.directory() / "new" / "back")
            task = asyncio.create_task(others())
            async with box:
                for step in (lambda: box.acopy_to(top, "/new/tree"), lambda: box.acopy_from("/new/tree", back)) * 2:
                    turns = 0
                    await step()
                    self.assertGreater(turns, 10)
                self.assertEqual(self.facts(back), self.facts(top))
                self.assertLess(os.stat(back + "/large").st_blocks * 512, 40 << 20, "a hole stays one")
                other = str(self.directory() / "sync")
                box.copy_from("/new/tree", other)
                self.assertEqual(self.facts(other), self.facts(top))
                for copied in (box.acopy_to(top + "/large", "/new/large"), box.acopy_from("/new/large", back + "/again")):
                    await copied
                self.assertEqual(os.stat(back + "/again").st_size, os.stat(top + "/large").st_size)
                self.assertEqual(self.facts(back)["again"], self.facts(top)["large"])
                with self.assertRaises(FileNotFoundError):
                    await box.acopy_to(top + "/none", "/new/x")
                with self.assertRaises(FileNotFoundError):
                    await box.acopy_from("/none", back + "/x")
                await box.files("/new/tree").armtree()
                self.assertFalse(box.files("/new/tree").exists())
                await box.awrite_file("/d/file", "text")
                turns = 0
                await box.files("/d/large").awrite_bytes(b"1" * (20 << 20))
                self.assertEqual(len(await box.aread_bytes("/d/large")), 20 << 20)
                self.assertGreater(turns, 2)
                box.files("/d/large").unlink()
                kept = str(self.directory() / "kept")
                await box.afs_snapshot(kept)
                self.assertEqual(len([one for one in await box.adiff() if one[1].endswith("/d/file")]), 1)
                await box.areset()
                await box.afs_restore(kept)
                self.assertEqual(await box.files("/d/file").aread_text(), "text")
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self.run_it(work)


class Forms(unittest.TestCase):
    """Every verb has its form for an event loop, or is over at once."""

    #: No command, no wait, no tree in them: a call takes microseconds, or nothing happens yet.
    AT_ONCE = {
        Sandbox: {"builder", "session", "sessions", "write_stdin", "check_background", "list_background", "list_snapshots",
                  "pressure", "reclaim_memory",
                  "cleanup_stale"},  # of all sandboxes: for the start of a program, before its loop
        SandboxPath: {"open", "stat", "exists", "is_file", "is_dir", "is_symlink", "iterdir", "readlink", "mkdir", "unlink",
                      "rmdir", "rename", "replace", "symlink_to", "chmod", "chown", "utime"},
        Session: set(),
        Pool: set(),
    }

    def test_each_verb(self) -> None:
        for kind, at_once in self.AT_ONCE.items():
            verbs = {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}
            forms = {name for name in verbs if name[0] == "a" and name[1:] in verbs | {"create", "stream"}}
            self.assertLessEqual(at_once, verbs)
            for verb in sorted(verbs - forms - at_once):
                self.assertIn("a" + verb, forms, f"{kind.__name__}.{verb} has no form for an event loop")
        self.assertTrue(hasattr(Sandbox, "await_background") and hasattr(Pool, "__aenter__"))
