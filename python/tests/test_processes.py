# SPDX-License-Identifier: Apache-2.0
"""Sandboxes among several processes: workers of all kinds, forks, pickles, and how a process ends.

What workers call stands at the top of this file: those that are spawned import it.
"""

import concurrent.futures
import copy
import gc
import importlib.util
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import unittest
import warnings
from typing import Any

import hutch
from hutch import CommandError, Pool, Sandbox, SandboxConfig, SandboxError
from world import Case, config, names

METHODS = ("fork", "spawn", "forkserver")
SECONDS = 60.0  # what takes longer hangs


def work(asked: SandboxConfig, number: int) -> tuple[str, Any]:
    with Sandbox(asked) as sb:
        return sb.name, sb.run(f"echo {number}")


def works_on(fields: dict[str, Any], number: int) -> str:
    with Sandbox(fields) as sb:
        return str(sb.run(f"echo {number}").output)


def fails(asked: SandboxConfig) -> None:
    with Sandbox(asked) as sb:
        sb.run("echo why; exit 3", check=True)


def forgets(asked: SandboxConfig, name: str) -> None:
    globals()["kept"] = Sandbox(asked, name=name)


def touches(sandbox: Any) -> str:
    return str(sandbox)


def python(code: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Another interpreter that has hutch, Sandbox and config()."""
    begin = "import gc, os, signal, sys, threading, time\nimport hutch\nfrom hutch import Sandbox\nfrom world import config\n"
    return subprocess.Popen([sys.executable, "-c", begin + code], cwd=os.path.dirname(os.path.abspath(__file__)),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def listed(name: str) -> bool:
    return name in names()


class Processes(Case):
    def gone(self, name: str) -> None:
        """What a process that was killed has left goes as soon as somebody cleans up."""
        deadline = time.monotonic() + SECONDS
        while listed(name) and time.monotonic() < deadline:
            Sandbox.cleanup_stale()
            time.sleep(0.02)
        self.assertFalse(listed(name))
        with Sandbox(config(), name=name) as sb:  # and its name is free
            self.assertEqual(sb.run("echo well").output, "well\n")


class Workers(Processes):
    def tearDown(self) -> None:
        """What multiprocessing keeps for the next time is no leftover of a test."""
        from multiprocessing import forkserver, resource_tracker

        gc.collect()
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
        super().tearDown()

    def test_in_workers_of_multiprocessing(self) -> None:
        for method in METHODS:
            with self.subTest(method), multiprocessing.get_context(method).Pool(2) as pool:
                found = pool.starmap_async(work, [(config(), number) for number in range(4)]).get(SECONDS)
                self.assertEqual([result.output for _, result in found], [f"{number}\n" for number in range(4)])
                self.assertEqual([result.end for _, result in found], [hutch.End.EXIT] * 4)
                self.assertEqual(len({name for name, _ in found}), 4)
                pool.close()
                pool.join()

    def test_in_workers_of_an_executor(self) -> None:
        for method in METHODS:
            with self.subTest(method), concurrent.futures.ProcessPoolExecutor(
                    2, mp_context=multiprocessing.get_context(method)) as executor:
                futures = [executor.submit(work, config(), number) for number in range(4)]
                self.assertEqual([future.result(SECONDS)[1].output for future in futures], [f"{number}\n" for number in range(4)])
                with self.assertRaises(CommandError) as raised:
                    executor.submit(fails, config()).result(SECONDS)
                self.assertEqual((raised.exception.result, raised.exception.command), (("why\n", 3), "echo why; exit 3"))
                with self.assertRaisesRegex(hutch.SandboxConfigError, "nonsense") as wrong:
                    executor.submit(works_on, {"nonsense": 1}, 0).result(SECONDS)
                self.assertEqual(wrong.exception.code, "INVALID")
                with self.sandbox() as sb:
                    with self.assertRaisesRegex(TypeError, "belongs to the process"):
                        executor.submit(touches, sb).result(SECONDS)
                self.assertEqual(executor.submit(work, config(), 5).result(SECONDS)[1].output, "5\n")

    def test_a_worker_that_forgets_one_leaves_nothing(self) -> None:
        for method in METHODS:
            with self.subTest(method):
                worker = multiprocessing.get_context(method).Process(target=forgets, args=(config(), "forgotten"))
                worker.start()
                worker.join(SECONDS)
                self.assertEqual(worker.exitcode, 0)
                worker.close()
                self.gone("forgotten")

    @unittest.skipUnless(importlib.util.find_spec("ray"), "ray is not installed")
    def test_in_workers_of_ray(self) -> None:
        """In an interpreter of its own: ray leaves threads, descriptors, and files in the home directory."""
        home = self.directory()
        here = os.path.dirname(os.path.abspath(__file__))
        path = ":".join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        process = python("import test_processes\ntest_processes.in_ray()\n",
                         env={**os.environ, "HOME": str(home), "RAY_TMPDIR": str(home), "PYTHONPATH": path})
        out, err = process.communicate(timeout=2 * SECONDS)
        self.assertEqual((process.returncode, out.splitlines()[-1:]), (0, [b"well"]), err.decode()[-3000:])


def in_ray() -> None:
    import ray  # type: ignore[import-not-found,import-untyped,unused-ignore]

    test = unittest.TestCase()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        futures = [ray.remote(work).remote(config(), number) for number in range(4)]
        test.assertEqual([result.output for _, result in ray.get(futures, timeout=SECONDS)], [f"{n}\n" for n in range(4)])
        with test.assertRaisesRegex(CommandError, "why"):
            ray.get(ray.remote(fails).remote(config()), timeout=SECONDS)
        with Sandbox(config()) as sb, test.assertRaisesRegex(TypeError, "belong.*to the process that made"):
            ray.get(ray.remote(touches).remote(sb), timeout=SECONDS)
    finally:
        ray.shutdown()
    print("well")


class Forks(Processes):
    def test_all_of_the_parents_says_so_in_a_forked_child(self) -> None:
        sb = self.sandbox()
        session, process, stream = sb.session(), sb.popen("cat"), sb.run("sleep 81", stream=True)
        pool = Pool(config(), 1)
        job = sb.run_background("sleep 82")
        calls = (lambda: sb.run("true"), lambda: sb.run("true", stream=True), lambda: session.run("true"), process.poll,
                 process.kill, lambda: next(stream), stream.close, stream._run.chunks, sb.reset, sb.snapshot, sb.fork,
                 lambda: sb.read_file("/etc/passwd"), lambda: sb.popen("true"), lambda: sb.check_background(job),
                 lambda: sb.wait_background(job), lambda: sb.stop_background(job), lambda: sb.features)
        reader, writer = os.pipe()
        busy = threading.Thread(target=lambda: sb.run("sleep 0.5"))
        busy.start()  # locks are held at the moment of the fork
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads
            pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(int(SECONDS))
                for number, call in enumerate(calls):
                    try:
                        call()
                    except hutch.SandboxStateError as failure:
                        if "forked from" in str(failure):
                            continue
                        os.write(writer, f"{number}: {failure}\n".encode())
                    except BaseException as failure:  # noqa: BLE001
                        os.write(writer, f"{number}: {failure!r}\n".encode())
                    else:
                        os.write(writer, f"{number}: nothing is said\n".encode())
                with pool.use() as own:
                    os.write(writer, own.run("echo own").output.encode())
                sb.delete()  # frees memory, and ends nothing
                os.write(writer, b"end\n")
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader) as file:
            self.assertEqual(file.read(), "own\nend\n")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        busy.join()
        self.assertEqual(sb.run("echo well").output, "well\n")
        self.assertTrue(sb.check_background(job)[1])
        self.assertEqual(process.communicate(b"x")[0], b"x")
        stream.close()
        pool.close()

    def test_one_that_a_forked_child_collects_stays(self) -> None:
        sb = self.sandbox()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pid = os.fork()
            if pid == 0:
                signal.alarm(int(SECONDS))
                try:
                    self._boxes.clear()
                    del sb
                    gc.collect()
                    os._exit(0)
                finally:
                    os._exit(1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual(sb.run("echo well").output, "well\n")

    def test_a_forked_child_keeps_none_alive(self) -> None:
        process = python("sb = Sandbox(config(), name='inherited')\n"
                         "if os.fork() == 0:\n    time.sleep(600)\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n",
                         start_new_session=True)
        try:
            process.stdout.readline()
            process.kill()
            process.wait()
            self.gone("inherited")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()
            process.stderr.close()


class Pickles(Case):
    def test_what_belongs_to_a_process_is_refused(self) -> None:
        with self.sandbox() as sb, Pool(config(), 1) as pool, sb.run("sleep 83", stream=True) as stream:
            process = sb.popen("true")
            for one in (sb, sb.session(), process, pool, stream, sb.files / "etc"):
                for call in (pickle.dumps, copy.deepcopy, copy.copy):
                    if call is copy.copy and one not in (sb, pool):
                        continue  # another name for the same, which ends nothing
                    with self.subTest(type(one).__name__), self.assertRaisesRegex(
                            TypeError, "belong.*to the process that made.*Send its .*make a"):
                        call(one)
            process.communicate()

    def test_what_is_but_told_is_not(self) -> None:
        asked = config(environment={"A": "1"}, working_dir="/usr")
        self.assertEqual(pickle.loads(pickle.dumps(asked)), asked)
        with self.sandbox() as sb:
            result = sb.run(["sh", "-c", "echo x; exit 3"])
        again = pickle.loads(pickle.dumps(result))
        self.assertEqual((again, vars(again)), (result, vars(result)))
        failures = [one for one in vars(hutch).values() if isinstance(one, type) and issubclass(one, SandboxError)]
        for kind in failures:
            failure = pickle.loads(pickle.dumps(kind("why", "SYSTEM", 5)))
            self.assertEqual((type(failure), str(failure), failure.code, failure.errno), (kind, "why", "SYSTEM", 5))
        command = pickle.loads(pickle.dumps(CommandError(["x"], result)))
        self.assertEqual((str(command), command.command, command.result), (str(CommandError(["x"], result)), ["x"], result))


class Ends(Processes):
    """How an interpreter ends, and what is then left."""

    def ended(self, code: str) -> tuple[int, str]:
        process = python(code)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out.decode() + err.decode()

    def test_an_exception_nobody_catches(self) -> None:
        code, said = self.ended("sb = Sandbox(config(), name='uncaught')\nsb.popen('sleep 84')\n1 / 0\n")
        self.assertEqual(code, 1)
        self.assertIn("ZeroDivisionError", said)
        self.assertFalse(listed("uncaught"))

    def test_an_exit_in_the_middle(self) -> None:
        code, said = self.ended("sb = Sandbox(config(), name='exit')\nstream = sb.run('sleep 85', stream=True)\n"
                                "process = sb.popen('cat')\nsb.run_background('sleep 86')\nwith sb:\n    sys.exit(3)\n")
        self.assertEqual((code, said), (3, ""))
        self.assertFalse(listed("exit"))

    def test_an_end_without_farewell(self) -> None:
        self.assertEqual(self.ended("sb = Sandbox(config(), name='abrupt')\nsb.run('true')\nos._exit(4)\n"), (4, ""))
        self.gone("abrupt")

    def test_an_end_while_a_thread_is_in_run(self) -> None:
        code, said = self.ended("sb = Sandbox(config(), name='thread')\n"
                                "threading.Thread(target=lambda: sb.run('sleep 87'), daemon=True).start()\ntime.sleep(0.3)\n")
        self.assertEqual((code, said), (0, ""))
        self.assertFalse(listed("thread"))

    def test_a_thread_that_is_in_run_says_nothing_at_the_end(self) -> None:
        code, said = self.ended("import atexit\nother = threading.Thread(target=lambda: sb.run('sleep 87'), daemon=True)\n"
                                "def last():\n    other.join(60)\n    print(other.is_alive())\n    try:\n"
                                "        sb.run('true')\n    except hutch.SandboxStateError as e:\n        print(e)\n"
                                "atexit.unregister(hutch._sandbox._delete_all)\natexit.register(last)\n"
                                "atexit.register(hutch._sandbox._delete_all)\n"
                                "sb = Sandbox(config(), name='silent')\nother.start()\ntime.sleep(0.3)\n")
        self.assertEqual((code, said), (0, "False\nthe sandbox was deleted\n"))

    def test_signals_in_the_middle_of_run(self) -> None:
        for number, code in ((signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
            with self.subTest(number.name):
                process = python("with Sandbox(config(), name='signalled') as sb:\n    print('ready', flush=True)\n    sb.run('sleep 88')\n")
                self.assertEqual(process.stdout.readline(), b"ready\n")
                time.sleep(0.2)
                process.send_signal(number)
                _, err = process.communicate(timeout=SECONDS)
                self.assertEqual(process.returncode, code)
                self.assertEqual(b"KeyboardInterrupt" in err, number == signal.SIGINT, err)
                if number == signal.SIGINT:
                    self.assertFalse(listed("signalled"))
                self.gone("signalled")

    def test_interrupts_everywhere(self) -> None:
        """Wherever a SIGINT comes, the sandbox can be used afterwards."""
        sb = self.sandbox()
        job = sb.run_background("sleep 89")
        process = sb.popen("sleep 90")
        session = sb.session()
        for call in (lambda: sb.run(["sleep", "91"]), lambda: session.run("sleep 92"), lambda: sb.wait_background(job, 30),
                     lambda: process.wait(30), lambda: list(sb.run("sleep 93", stream=True)),
                     lambda: sb.run("cat; sleep 94", stdin="x")):
            timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
            timer.start()
            since = time.monotonic()
            with self.assertRaises(KeyboardInterrupt):
                call()
            timer.join()
            self.assertLess(time.monotonic() - since, 10)
            self.assertEqual(sb.run("echo well").output, "well\n")
        process.kill()
        process.communicate()

    def test_garbage_is_collected_and_told(self) -> None:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            sb = Sandbox(config(), name="garbage")
            sb.itself = sb  # type: ignore[attr-defined]  # a cycle: the collector finds it
            del sb
            gc.collect()
        self.assertEqual([one.category for one in seen], [ResourceWarning])
        self.assertRegex(str(seen[0].message), "'garbage'.*was not deleted: use `with`, or delete")
        self.assertFalse(listed("garbage"))
        code, said = self.ended("import warnings\nwarnings.simplefilter('always')\ndef f():\n    sb = Sandbox(config(), name='local')\nf()\nprint(len(hutch._sandbox._alive))\n")
        self.assertEqual(code, 0)
        self.assertIn("ResourceWarning", said)
        self.assertFalse(listed("local"))

    def test_an_exception_in_with_ends_what_runs(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with Sandbox(config(), name="with") as sb:
                stream, process = sb.run("sleep 95", stream=True), sb.popen("cat")
                1 / 0
        self.assertFalse(listed("with"))
        with self.assertRaisesRegex(SandboxError, "deleted"):
            next(stream)
        with self.assertRaisesRegex(SandboxError, "deleted"):
            process.wait(1)
        for file in (process.stdin, process.stdout, process.stderr):
            file.close()


if __name__ == "__main__":
    unittest.main()
