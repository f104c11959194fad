# SPDX-License-Identifier: Apache-2.0
"""Sandbox as users of nitrobox and of hutch know it."""

import asyncio
import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings

import hutch
from hutch import CommandError, End, Sandbox, SandboxConfigError, SandboxError, SandboxInitError
from hutch.compat import nitrobox
from world import Case, config


class Run(Case):
    def setUp(self) -> None:
        super().setUp()
        self.sb = Sandbox(config())

    def tearDown(self) -> None:
        self.sb.delete()
        super().tearDown()

    def test_a_result_unpacks_and_says_more(self) -> None:
        out, code = self.sb.run("echo hi; echo err >&2; exit 3")
        self.assertEqual((out, code), ("hi\nerr\n", 3))
        result = self.sb.run("echo hi; echo err >&2", apart=True)
        self.assertEqual((result.stdout, result.stderr, result.end, result.ok), ("hi\n", "err\n", End.EXIT, True))
        self.assertIsNone(result.rusage)
        self.assertEqual(self.sb.run(""), ("", 0))
        self.assertEqual(self.sb.run("printf 'a\\377b\\0c'").stdout_bytes, b"a\xffb\0c")
        self.assertEqual(self.sb.run("printf 'a\\377b'").output, "a\\xffb")

    def test_what_a_result_says_can_be_set_copied_and_listed(self) -> None:
        facts = {"exit_code", "end", "signal", "message", "duration", "stdout", "stderr", "rusage", "stdout_bytes",
                 "stderr_bytes", "truncated"}
        result = self.sb.run("echo hi; exit 3")
        self.assertLessEqual(facts | {"ok", "output"}, set(dir(result)))
        result = self.sb.run("echo hi; exit 3")
        result.rusage = result.signal = 7  # before anything was asked for
        self.assertEqual((result.rusage, result.signal, result.exit_code), (7, 7, 3))
        for other in (copy.copy(self.sb.run("echo hi; exit 3")), pickle.loads(pickle.dumps(self.sb.run("echo hi; exit 3"))),
                      self.sb.run("echo ho; exit 3").with_output("hi\n")):
            self.assertEqual((other, set(vars(other))), (("hi\n", 3), facts))
            self.assertEqual((other.stdout, other.exit_code, other.end, other.stdout_bytes[:1]), ("hi\n", 3, End.EXIT, b"h"))
        with self.assertRaisesRegex(AttributeError, "'RunResult' object has no attribute 'exitcode'"):
            result.exitcode
        with self.assertRaisesRegex(AttributeError, "no attribute 'exitcode'"):
            self.sb.run("").exitcode

    def test_output_of_any_size_comes_whole(self) -> None:
        for size in (1, 4095, 4096, 4097, 8192, 65535, 65536, 65537, 69632, 1_000_000):
            text = f"head -c {size} /dev/zero | tr '\\0' x; head -c {size // 2} /dev/zero | tr '\\0' y >&2"
            for result in (self.sb.run(text, apart=True), self.sb.run(["sh", "-c", text], apart=True)):
                self.assertEqual((result.stdout == "x" * size, result.stderr == "y" * (size // 2), result.truncated),
                                 (True, True, 0), size)
            self.assertEqual(self.sb.session("s").run(text).stdout_bytes, b"x" * size + b"y" * (size // 2))

    def test_a_text_of_any_length_and_kind_comes_as_it_is(self) -> None:
        def texts(size: int) -> list[str]:
            begins, ends = ("", " \n\t", "#\1\n", "\u00e4"), ("", "\n", "\\\\", " \u20ac")
            return [begin + "z" * max(0, size - len(begin) - len(end)) + end for begin in begins for end in ends]

        wide = config(environment={"LC_ALL": "C.UTF-8"}, volumes=["/usr/lib/locale:/usr/lib/locale:ro"])
        unloaded = config(environment={"BASH_FUNC_enable%%": "() { return 1; }"})
        for sb, waits_by in ((self.sb, "builtin"), (Sandbox(wide), "builtin"), (Sandbox(unloaded), "function")):
            session = sb.session("s")
            self.assertEqual(sb.run("type -t _hp").output, waits_by + "\n")
            self.assertEqual(session.run("type -t _hp").output, waits_by + "\n" if waits_by == "builtin" else "")
            if waits_by == "builtin" and sb is not self.sb:  # of the other one the machine says what a character is
                self.assertEqual(session.run("x=\u00e4; echo ${#x}").output, "1\n")
            for size in (0, 1, 3, 11, 12, 13, 60, 380, 395, 3480, 3490, 3500, 5000, 70000):
                for text in texts(size):
                    command = f"printf %s '{text}'; exit 3"
                    self.assertEqual(sb.run(command), (text, 3), (size, text[:9], text[-9:]))
                    self.assertEqual(sb.run(command, env={"A": "b c"}, cwd="/usr"), (text, 3), (size, text[:9], text[-9:]))
                    self.assertEqual(sb.run(f"printf %s\\\\n '{text}'"), (text + "\n", 0), (size, text[:9], text[-9:]))
                    self.assertEqual(session.run(f"printf %s '{text}'; (exit 3)"), (text, 3), (size, text[:9], text[-9:]))
            for begin in ("\1", "\0012", "\00112 echo no"):
                for end in ("", " " * 50, " \u00e4" * 50):
                    self.assertEqual(sb.run(begin + end).exit_code, 127)
                    self.assertEqual(session.run(begin + end).exit_code, 127)
            self.assertEqual(session.run("echo $-").exit_code, 0)
            sb.delete()

    def test_the_shell_of_texts_may_be_named(self) -> None:
        for shell, fallen_back in (("sh", ""), ("/bin/sh", ""), ("bash", "5"), ("/bin/bash", "5")):
            with Sandbox(config(shell=shell, entrypoint=None)) as sb:
                for _ in range(2):
                    text, said = 'echo "$0 ${BASH_VERSION%%.*}"; exit 3', (f"{shell} {fallen_back}\n", 3)
                    for result in (sb.run(text), sb.run(text, clean=True), sb.run(text, stdin="x"), sb.session("s").run(text)):
                        self.assertEqual(result, said)
                    handle = sb.run_background(text)
                    while sb.check_background(handle)[1]:
                        time.sleep(0.01)
                    self.assertEqual(sb.session("s").run("cd /usr; v=1; f() { echo f$1; }; f 1"), ("f1\n", 0))
                    self.assertEqual(sb.session("s").run("pwd; f $v"), ("/usr\nf1\n", 0))
                    self.assertEqual(sb.session("s").run("while :; do :; done", timeout=0.1).end, End.TIMEOUT)
                    self.assertEqual(sb.session("s").run("pwd"), ("/usr\n", 0))
                    sb.reset()
        for shell, why in (("nosuch", "'nosuch': not found in PATH of the sandbox"), ("/nosuch", "'/nosuch': no such file in the sandbox"),
                           ("/bin/true", "the shell ended as soon as it was started")):
            with Sandbox(config(shell=shell)) as sb, self.assertRaisesRegex(SandboxError, f"start a shell: {why}|^{why}"):
                sb.run("echo x")
        with self.assertRaisesRegex(SandboxConfigError, "not a shell"):
            Sandbox(config(shell="sh -e"))

    def test_threads_may_ask_a_result_at_once(self) -> None:
        start, failed = threading.Barrier(4), []

        def ask() -> None:
            for result in results:
                start.wait(20)
                if (result.exit_code, result.end) != (0, End.EXIT):
                    failed.append(result)

        results = [self.sb.run("true") for _ in range(200)]
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])

    def test_text_is_for_the_shell_and_a_list_is_not(self) -> None:
        self.assertEqual(self.sb.run("x=1; echo $x*").output, "1*\n")
        self.assertEqual(self.sb.run(["sh", "-c", "printf '<%s>' \"$@\"", "sh", "a  b", "$HOME", "*"]).output,
                         "<a  b><$HOME><*>")
        result = self.sb.run(["sh", "-c", "kill -9 $$"])
        self.assertEqual((result.exit_code, result.end, result.signal), (137, End.SIGNAL, 9))
        self.assertGreater(result.rusage.max_rss_bytes, 0)
        missing = self.sb.run(["no-such-program"])
        self.assertEqual((missing.exit_code, missing.end), (127, End.NOT_RUN))
        self.assertIn("no-such-program", missing.output)
        self.assertEqual(self.sb.run("no-such-program").exit_code, 127)
        self.assertEqual(self.sb.run("/etc").exit_code, 126)

    def test_with_a_spare_the_shell_is_there_before_it_is_asked_for(self) -> None:
        second = ["sh", "-c", "while read -r name </proc/2/comm; [ $name = hutch-keeper ]; do :; done; echo $name"]
        self.assertNotIn(self.sb.run(second).output, ("bash\n",))
        with Sandbox(config(), spare=True) as sb:
            self.assertEqual(sb.run(second).output, "bash\n")
            for number in range(3):
                self.assertEqual(sb.run("echo $0; ls /left 2>/dev/null; echo x >/left").output, "bash\n")
                sb.reset()

    def test_each_run_is_fresh_and_a_session_lasts(self) -> None:
        self.sb.run("cd /usr; X=1")
        self.assertEqual(self.sb.run("pwd; echo [$X]").output, "/\n[]\n")
        session = self.sb.session("s")
        session.run("cd /usr; X=1; f() { echo \"f $1\"; }")
        self.assertEqual(session.run("pwd; f $X").output, "/usr\nf 1\n")
        self.assertEqual(session.run("exit 4").exit_code, 4)
        self.assertEqual(session.run("pwd; echo [$X]").output, "/usr\n[]\n")

    def test_environment_directory_and_input(self) -> None:
        self.assertEqual(self.sb.run("echo \"$A\"; pwd", env={"A": "it's $5"}, cwd="/usr").output, "it's $5\n/usr\n")
        self.assertEqual(self.sb.run(["cat"], stdin="in").output, "in")
        with self.sb.run("cat; exit 5", stdin="in\n" * 100_000, stream=True) as stream:
            self.assertEqual("".join(stream), "in\n" * 100_000)
            self.assertEqual(stream.result.exit_code, 5)
        self.assertRaises(TypeError, self.sb.run, "cat", stdin=5)
        for name in ("A=B", ""):
            self.assertRaises(SandboxConfigError, self.sb.run, "true", env={name: "1"})
            self.assertRaises(SandboxConfigError, self.sb.run, ["true"], env={name: "1"})
        self.assertEqual(self.sb.run("cat; exit 3", stdin=b"\xff\n"), ("\\xff\n", 3))
        self.assertEqual(self.sb.run("cat").output, "")
        self.assertEqual(self.sb.run("exit 5", clean=True).exit_code, 5)
        self.assertEqual(self.sb.run("cat >/dev/null; echo e >&2", stdin="x" * 300_000, apart=True).stderr, "e\n")

    def test_a_timeout_is_a_result_with_the_output_so_far(self) -> None:
        for options in ({}, {"clean": True}, {"stdin": "x"}):
            since = time.monotonic()
            result = self.sb.run("echo before; sleep 71 & sleep 72", timeout=0.3, **options)
            self.assertLess(time.monotonic() - since, 5)
            self.assertEqual((result, result.end), (("before\n", 124), End.TIMEOUT))
        self.assertEqual(self.sb.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 7[12]'").output, "0\n")
        self.assertEqual(self.sb.run("echo well", timeout=0).output, "well\n")

    def test_check_raises(self) -> None:
        with self.assertRaises(CommandError) as raised:
            self.sb.run("echo why; false", check=True)
        self.assertEqual(raised.exception.result.exit_code, 1)
        self.assertIn("why", str(raised.exception))

    def test_output_can_be_cut_and_that_is_told(self) -> None:
        result = self.sb.run("seq 100000", max_output=1000)
        self.assertEqual(len(result.stdout_bytes), 1000)
        self.assertEqual(result.truncated, 588_895 - 1000)
        self.assertTrue(result.output.startswith("1\n2\n") and result.output.endswith("\n100000\n"))
        self.assertIn(f"{result.truncated} bytes are missing", result.output)
        self.assertEqual(self.sb.run("seq 100000").truncated, 0)

    def test_output_comes_while_it_runs(self) -> None:
        stream = self.sb.run("for i in 1 2 3; do echo $i; sleep 0.1; done; exit 4", stream=True)
        times = []
        for part in stream:
            times.append((part, time.monotonic()))
        self.assertEqual("".join(part for part, _ in times), "1\n2\n3\n")
        self.assertGreater(times[-1][1] - times[0][1], 0.1)
        self.assertEqual(stream.result.exit_code, 4)
        with self.sb.run("echo x; sleep 73", stream=True) as stream:
            self.assertEqual(next(stream), "x\n")
        self.assertEqual(self.sb.run("echo well").output, "well\n")

    def test_what_is_no_command_is_refused(self) -> None:
        for bad in (None, 5, b"x", []):
            with self.assertRaises(SandboxConfigError):
                self.sb.run(bad)
        for bad in (-1, "x", float("nan")):
            with self.assertRaises(SandboxConfigError):
                self.sb.run("true", timeout=bad)
        with self.assertRaises((SandboxError, ValueError)):
            self.sb.run("a\0b")
        with self.assertRaises(TypeError):
            self.sb.run(["echo", 5])

    def test_threads_use_one_sandbox_at_once(self) -> None:
        results = {}

        def work(i: int) -> None:
            results[i] = [self.sb.run(f"sleep 0.2; echo {i}").output, self.sb.run(["sh", "-c", f"echo {i}"]).output]

        since = time.monotonic()
        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, {i: [f"{i}\n", f"{i}\n"] for i in range(8)})
        self.assertLess(time.monotonic() - since, 8 * 0.2 + 3)

    def test_ctrl_c_ends_the_command_and_spares_the_sandbox(self) -> None:
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        since = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            self.sb.run("sleep 74")
        timer.join()
        self.assertLess(time.monotonic() - since, 5)
        self.assertEqual(self.sb.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 7[4]'").output, "0\n")

    # ---- popen, jobs ------------------------------------------------------------------------------------

    def test_popen_is_a_popen(self) -> None:
        process = self.sb.popen("while read x; do echo \"<$x>\"; done; exit 3")
        self.assertIsInstance(process, subprocess.Popen)
        process.stdin.write(b"a\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"<a>\n")
        self.assertIsNone(process.poll())
        self.assertEqual(process.communicate(b"b\n"), (b"<b>\n", b""))
        self.assertEqual(process.returncode, 3)
        with self.sb.popen(["sh", "-c", "echo o; echo e >&2"], text=True, stderr=subprocess.STDOUT) as process:
            self.assertEqual(process.stdout.read(), "o\ne\n")
        with self.sb.popen("sleep 75") as process:
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.1)
            process.terminate()
            self.assertEqual(process.wait(), -15)
        with self.sb.popen(["no-such-program"]) as process:
            self.assertEqual(process.wait(), 127)
        with self.sb.popen(["tty"], tty=True) as process:
            self.assertEqual(process.stdout.readline(), b"/dev/pts/0\r\n")
        for bad in ({"preexec_fn": print}, {"nonsense": 1}):
            with self.assertRaises((SandboxError, TypeError)):
                self.sb.popen("true", **bad)

    def test_jobs(self) -> None:
        handle = self.sb.run_background("echo start; sleep 0.3; echo end; exit 4")
        self.assertRegex(handle, "^[0-9a-f]{8}$")
        self.assertTrue(self.sb.check_background(handle)[1])
        self.assertEqual(self.sb.list_background()[handle]["running"], True)
        self.assertEqual(self.sb.wait_background(handle, 10), 4)
        self.assertEqual(self.sb.check_background(handle), ("start\nend\n", False))
        self.assertEqual(self.sb.stop_background(handle), "start\nend\n")
        self.assertEqual(self.sb.list_background(), {})
        self.assertEqual((self.sb.check_background("none"), self.sb.stop_background("none")), (("", False), ""))
        handle = self.sb.run_background("trap '' TERM; echo x; (setsid sleep 76 &); while :; do sleep 0.1; done")
        while not self.sb.check_background(handle)[0]:
            time.sleep(0.01)
        self.assertEqual(self.sb.stop_background(handle, grace=0.2), "x\n")
        self.assertEqual(self.sb.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c 'sleep 7[6]'").output, "0\n")

    # ---- files and states -------------------------------------------------------------------------------

    def test_files(self) -> None:
        sb, here = self.sb, self.directory()
        sb.write_file("/a/b/c", "hé")
        self.assertEqual((sb.read_file("/a/b/c"), sb.run("cat /a/b/c").output), ("hé", "hé"))
        sb.write_file("/bytes", bytes(range(256)))
        self.assertEqual(sb.read_bytes("/bytes"), bytes(range(256)))
        self.assertEqual(sb.read_file("/bytes").encode("utf-8", "surrogateescape"), bytes(range(256)))
        with self.assertRaises(FileNotFoundError):
            sb.read_file("/none")
        (here / "tree" / "sub").mkdir(parents=True)
        (here / "tree" / "sub" / "file").write_text("local")
        (here / "tree" / "sub" / "file").chmod(0o750)
        sb.copy_to(here / "tree", "/x/tree")
        self.assertEqual(sb.run("stat -c %a /x/tree/sub/file; cat /x/tree/sub/file").output, "750\nlocal")
        sb.copy_from("/x/tree", here / "new" / "back")
        self.assertEqual((here / "new" / "back" / "sub" / "file").read_text(), "local")
        os.chdir(here)
        self.addCleanup(os.chdir, "/")
        sb.copy_from("/a/b/c", "bare.txt")
        self.assertEqual((here / "bare.txt").read_text(), "hé")
        with self.assertRaises(FileNotFoundError):
            sb.copy_from("/none", here / "x")
        with self.assertRaises(FileNotFoundError):
            sb.copy_to(here / "none", "/y")

    def test_paths(self) -> None:
        path = self.sb.files / "dir" / "sub"
        path.mkdir(parents=True)
        (path / "f").write_text("x")
        self.assertEqual([str(one) for one in path.iterdir()], ["/dir/sub/f"])
        self.assertTrue(path.is_dir() and (path / "f").is_file() and not (path / "g").exists())
        with (path / "f").open("a") as file:
            file.write("y")
        self.assertEqual((path / "f").read_text(), "xy")
        (path / "f").chmod(0o600)
        self.assertEqual((path / "f").stat().st_mode & 0o777, 0o600)
        (path / "l").symlink_to("/etc/passwd")
        self.assertTrue((path / "l").is_symlink())
        self.assertEqual((path / "l").readlink(), "/etc/passwd")
        moved = (path / "f").rename("g")
        self.assertEqual(str(moved), "/dir/sub/g")
        with self.assertRaises(NotADirectoryError):
            moved.rmdir()
        with self.assertRaises(NotADirectoryError):
            (path / "l").rmdir()
        (path / "empty").mkdir()
        with self.assertRaises(IsADirectoryError):
            (path / "empty").unlink()
        (path / "empty").rmdir()
        self.assertFalse((path / "empty").exists())
        self.assertEqual(moved.read_text(), "xy")
        moved.unlink()
        moved.unlink(missing_ok=True)
        with self.assertRaises(FileNotFoundError):
            moved.unlink()
        version = self.sb.run("cat /proc/version").stdout  # of a size of 0
        self.assertEqual((self.sb.files / "proc/version").read_text(), version)
        self.assertEqual(asyncio.run((self.sb.files / "proc/version").aread_bytes()).decode(), version)
        (self.sb.files / "dir").rmtree()
        self.assertFalse((self.sb.files / "dir").exists())

    def test_reset_and_snapshots(self) -> None:
        sb = self.sb
        sb.run("echo 0 >/state; rm -f /etc/hostname")
        self.assertEqual(sb.snapshot(), 0)
        sb.run("echo 1 >/state")
        self.assertEqual(sb.snapshot("one"), "one")
        with self.assertRaises(FileExistsError):
            sb.snapshot("one")
        self.assertEqual(sb.list_snapshots(), [0, "one"])
        sb.reset()
        self.assertEqual(sb.run("cat /state").exit_code, 1)
        sb.restore(0)
        self.assertEqual(sb.run("cat /state").output, "0\n")
        sb.restore()
        self.assertEqual(sb.run("cat /state").output, "1\n")
        self.assertIn(("A", "/state"), sb.diff())
        self.assertEqual(sb.diff(0, "one"), [("C", "/state")])
        sb.restore(0)
        self.assertEqual(sb.snapshot(), 1)
        sb.delete_snapshot("one")
        sb.delete_snapshot("never")
        with self.assertRaises(FileNotFoundError):
            sb.restore("one")
        self.assertEqual(sb.snapshot("007"), "007")
        sb.restore(sb.list_snapshots()[-1])
        with self.assertRaises(FileNotFoundError):
            Sandbox.restore(self.sandbox())

    def test_no_socket_of_a_session_is_left_by_a_reset(self) -> None:
        sb = self.sb
        sb.run("true")
        for _ in range(3):
            sb.reset()
            sb.reset()
            sb.session("s").run("exec 5<>/dev/udp/127.0.0.1/5000; printf -v x '%*s' 200000000 ''")
            sb.reset()
            self.assertEqual(sb.run("cat /proc/net/udp").stdout.count("\n"), 1)

    def test_fs_snapshots_go_to_the_host(self) -> None:
        here = self.directory()
        self.sb.run("echo x >/file; mkdir /dir; rm -rf /srv")
        self.sb.fs_snapshot(here / "kept")
        self.assertEqual((here / "kept" / "file").read_text(), "x\n")
        with self.assertRaises(FileExistsError):
            self.sb.fs_snapshot(here / "kept")
        self.sb.run("rm /file; echo y >/other")
        self.sb.fs_restore(here / "kept")
        self.assertEqual(self.sb.run("cat /file; ls /other; ls -d /dir; ls /srv").output.count("No such file"), 2)
        with self.assertRaises(FileNotFoundError):
            self.sb.fs_restore(here / "none")

    def test_forks(self) -> None:
        self.sb.run("echo x >/file")
        forks = self.sb.fork(3)
        for number, fork in enumerate(forks):
            fork.run(f"echo {number} >>/file")
        self.assertEqual([fork.run("cat /file").output for fork in forks], ["x\n0\n", "x\n1\n", "x\n2\n"])
        self.assertEqual(self.sb.run("cat /file").output, "x\n")
        for fork in forks:
            fork.delete()
        for n, names in ((0, None), (-1, None), (3, ["a", "b"]), (0, [])):
            with self.assertRaises(ValueError):
                self.sb.fork(n, names=names)
        two = self.sb.fork(names=["fork-a", "fork-b"])
        self.assertEqual([fork.name for fork in two], ["fork-a", "fork-b"])
        for fork in two:
            fork.delete()


class Life(Case):
    def test_after_delete_everything_says_so(self) -> None:
        sb = self.sandbox()
        run = sb.run("sleep 77", stream=True)
        sb.delete()
        sb.delete()
        for call in (lambda: sb.run("true"), sb.reset, sb.snapshot, lambda: sb.read_file("/etc/passwd"),
                     lambda: sb.popen("true"), sb.list_background, lambda: next(run)):
            with self.assertRaisesRegex(SandboxError, "deleted"):
                call()

    def test_with_and_exceptions(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with Sandbox(config()) as sb:
                1 / 0
        with self.assertRaises(SandboxError):
            sb.run("true")

    def test_one_that_is_forgotten_is_deleted_with_a_warning(self) -> None:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            Sandbox(config())
            gc.collect()
        self.assertEqual([one.category for one in seen], [ResourceWarning])

    ENTRYPOINT = ("sh", "-c", 'export FROM=there; echo noise; echo x >>/entered; exec "$@"', "sh")

    def test_shells_start_behind_the_entrypoint(self) -> None:
        for named in (Sandbox, nitrobox.Sandbox):
            with named(config(entrypoint=list(self.ENTRYPOINT))) as sb:
                self.assertEqual(sb.read_file("/entered"), "x\n", "it ran when the sandbox was made")
                self.assertEqual(tuple(sb.run("echo $FROM; cat /entered")), ("there\nx\n", 0))
                sb.reset()
                self.assertEqual(sb.run("echo $FROM; cat /entered").output, "there\nx\n")
                self.assertEqual(sb.run(["sh", "-c", "echo [$FROM]"]).output, "[]\n")
                self.assertEqual(sb.run("echo [$FROM]", clean=True).output, "[]\n")
                self.assertEqual(sb.session().run("echo $FROM").output, "there\n")
                (fork,) = sb.fork()
                with fork:
                    self.assertEqual(fork.run("echo $FROM").output, "there\n")
        with Sandbox(config(entrypoint=[])) as sb:
            self.assertEqual(sb.run("echo [$FROM]").output, "[]\n")

    def test_an_entrypoint_that_is_none_is_told_at_once(self) -> None:
        for entrypoint, why in ((["/no/such"], "'/no/such': no such file"), (["true"], "ended as soon as it was started")):
            with self.assertRaisesRegex(SandboxInitError, why):
                Sandbox(config(entrypoint=entrypoint))
            with self.assertRaisesRegex(SandboxInitError, why):
                asyncio.run(Sandbox.acreate(config(entrypoint=entrypoint)))

    def test_configurations(self) -> None:
        with Sandbox({"hostname": "boxy", **({} if config().host else {"image": config().image}),
                      **({"host": True} if config().host else {})}) as sb:
            self.assertEqual(sb.run("hostname").output, "boxy\n")
        with Sandbox(config(environment={"A": "1"}, working_dir="/made/here"), name="named") as sb:
            self.assertEqual((sb.name, sb.run("pwd; echo $A").output), ("named", "/made/here\n1\n"))
            with self.assertRaises(FileExistsError):
                Sandbox(config(), name="named")
        with self.assertRaisesRegex(SandboxConfigError, "hostname"):
            Sandbox(hostnam="x")
        with self.assertRaises(SandboxConfigError):
            Sandbox()
        with self.assertRaises(SandboxError):
            Sandbox(image="/no/such/directory")
        with self.assertRaisesRegex(hutch.NotSupportedError, "memory_max"):
            Sandbox(config(memory_max="1g"))

    def test_there_is_no_network_unless_asked_for(self) -> None:
        self.assertNotIn("eth", self.sandbox().run("cat /proc/net/dev").output)

    def test_state_can_be_kept_elsewhere(self) -> None:
        here = self.directory()
        with Sandbox(config(env_base_dir=str(here / "base")), name="elsewhere") as sb:
            self.assertEqual(sb.run("echo well").output, "well\n")
            self.assertTrue((here / "base" / "run" / "elsewhere").exists())
            self.assertEqual(Sandbox.cleanup_stale(str(here / "base")), 0)
        from hutch import _home
        _home._homes.pop((os.getpid(), str(here / "base")))

    def test_a_forked_child_has_its_own(self) -> None:
        sb = self.sandbox()
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                try:
                    sb.run("true")
                except hutch.SandboxStateError as failure:
                    os.write(writer, str(failure).encode() + b"\n")
                with Sandbox(config()) as own:
                    os.write(writer, own.run("echo own").output.encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader) as file:
            self.assertRegex(file.read(), "forked from\nown\n")
        os.waitpid(pid, 0)
        self.assertEqual(sb.run("echo well").output, "well\n")

    def test_nothing_outlives_a_killed_interpreter(self) -> None:
        code = ("import hutch, sys, time\nfrom world import config\nsb = hutch.Sandbox(config(), name='orphan')\n"
                "sb.run_background('sleep 78')\nprint('ready', flush=True)\ntime.sleep(60)\n")
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=os.path.dirname(__file__))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.kill()
        process.wait()
        process.stdout.close()
        deadline = time.monotonic() + 10
        while (removed := Sandbox.cleanup_stale()) == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(removed, 1)
        with Sandbox(config(), name="orphan") as sb:
            self.assertEqual(sb.run("echo well").output, "well\n")

    def test_a_reset_frees_the_processes_that_it_needs(self) -> None:
        code = ("import hutch, resource, time\nfrom world import config\nresource.setrlimit(resource.RLIMIT_NPROC, (300, 300))\n"
                "sb = hutch.Sandbox(config())\nsb.run_background('while sleep 1000 & do :; done >/dev/null 2>&1')\n"
                "until = time.monotonic() + 5\n"
                "while (said := sb.run(['true'], 1)).end is hutch.End.EXIT and time.monotonic() < until: time.sleep(0.1)\n"
                "print(said.end.name)\nsb.reset()\nprint(sb.run('echo fine').stdout, end='')\n")
        done = subprocess.run([sys.executable, "-c", code], cwd=os.path.dirname(__file__), capture_output=True, text=True)
        if done.stdout.startswith("EXIT"):
            self.skipTest("no limit of processes holds for this user")
        self.assertEqual((done.stderr, done.stdout), ("", "NOT_RUN\nfine\n"))

    def test_nothing_is_left_at_the_end_of_an_interpreter(self) -> None:
        code = "import hutch\nfrom world import config\nsb = hutch.Sandbox(config(), name='atexit')\nsb.run('true')\n"
        done = subprocess.run([sys.executable, "-c", code], cwd=os.path.dirname(__file__), capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Terminal(Case):
    def test_commands_see_a_terminal_and_can_be_typed_to(self) -> None:
        sb = self.sandbox(tty=True)
        self.assertEqual(sb.run("test -t 1 && echo tty; echo $TERM $NO_COLOR; exit 3"), ("tty\r\ndumb 1\r\n", 3))

        def type_it() -> None:
            while True:
                try:
                    return sb.write_stdin("typed\n")
                except hutch.SandboxStateError:
                    time.sleep(0.01)

        typist = threading.Thread(target=type_it)
        typist.start()
        self.assertEqual(sb.run("read x; echo \"got $x\"").output, "got typed\r\n")
        typist.join()
        with self.assertRaisesRegex(RuntimeError, "requires tty"):
            self.sandbox().write_stdin("x")
