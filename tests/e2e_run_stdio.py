# SPDX-License-Identifier: Apache-2.0
"""hutch run: standard input, output and error."""

import hashlib
import os
import signal
import socket
import subprocess

from lib import only
from lib.extra import RunCase, fields_of, inside_a_mount

MIB = 1 << 20


@only("root", "plain", "nested-range")
class Input(RunCase):
    """-i; without it stdin is /dev/null."""

    def test_without_i_nothing_of_stdin_is_read(self):
        result = self.hutch("run", "--", "cat", input="for somebody else\n")
        self.assertEqual((result.code, result.out), (0, ""), str(result))
        with open(self.write("file", "text\n"), "rb", buffering=0) as stdin:
            self.assertEqual(self.host_ok("cat; stat -Lc %t,%T /proc/self/fd/0", stdin=stdin), "1,3\n")
            self.assertEqual(stdin.tell(), 0)

    def test_without_i_what_is_on_the_callers_stdin_is_left_to_him(self):
        self.assertEqual(self.shell('"$HUTCH" run -- cat; read line; echo "$line"', "mine\n"), "mine\n")

    def test_a_pipe_is_passed_on(self):
        self.assertEqual(self.run_ok("run", "-i", "--", "cat", input="some\ntext").out, "some\ntext")
        self.assertEqual(self.run_ok("run", "--interactive", "--rootfs", self.rootfs, "cat", input="").out, "")

    def test_a_regular_file_is_read_from_where_it_stands(self):
        with open(self.write("file", "first\nsecond\n"), "rb", buffering=0) as stdin:
            stdin.seek(6)
            self.assertEqual(self.run_ok("run", "-i", "--", "cat", stdin=stdin).out, "second\n")

    def test_a_command_may_end_without_reading_its_input(self):
        with open(self.write("file", b"x" * 4 * MIB), "rb") as stdin:
            result = self.host("-i", "exit 6", stdin=stdin)
        self.assertEqual((result.code, result.err), (6, ""))
        result = self.host("-i", "head -c 3; exit 6", input=b"x" * 4 * MIB)
        self.assertEqual((result.code, result.out, result.err), (6, "xxx", ""))

    def test_large_binary_data_goes_through_unchanged(self):
        data = os.urandom(MIB) * 6
        digest = hashlib.sha256(data).hexdigest() + "  -\n"
        self.assertEqual(self.run_ok("run", "-i", "--", "sha256sum", input=data).out, digest)
        with open(self.write("in", data), "rb") as stdin, open(self.write("out"), "wb") as stdout:
            self.run_ok("run", "-i", "--", "cat", stdin=stdin, stdout=stdout)
        self.assertEqual(hashlib.sha256((self.tmp / "out").read_bytes()).hexdigest() + "  -\n", digest)

    def test_input_arrives_as_it_comes(self):
        script = "echo ready; while read x; do echo got $x; done"
        process = self.started_with("ready", "-i", "--", "sh", "-c", script, stdin=subprocess.PIPE)
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            self.assertEqual(self.line_of(process), f"got {word.decode()}")
        self.assertEqual(self.finish(process, "").code, 0)


@only("root", "plain", "nested-range")
class Output(RunCase):
    """Where what the command writes goes."""

    def test_output_and_errors_stay_apart(self):
        result = self.host("echo out; echo err >&2; echo out2")
        self.assertEqual((result.code, result.out, result.err), (0, "out\nout2\n", "err\n"))

    def test_a_file_has_all_of_it_when_hutch_ends(self):
        for attempt in range(3):
            file = self.write("out")
            with open(file, "wb") as stdout:
                self.run_ok("run", "--", "head", "-c", str(3 * MIB + attempt), "/dev/zero", stdout=stdout)
            self.assertEqual(file.stat().st_size, 3 * MIB + attempt)

    def test_a_file_has_what_was_said_before_a_crash_and_before_a_timeout(self):
        for words in (["kill -9 $$"], ["--timeout", "300ms", "sleep 100"]):
            file = self.write("out")
            with open(file, "wb") as stdout:
                self.host(*words[:-1], "head -c 300000 /dev/zero; echo end; " + words[-1], stdout=stdout)
            self.assertTrue(file.read_bytes() == b"\0" * 300000 + b"end\n", words)

    def test_files_are_written_where_they_stand(self):
        self.shell('exec >file; echo a; "$HUTCH" run -- echo b; echo c; "$HUTCH" run -- echo d;'
                   'exec >>file; "$HUTCH" run -- echo e; echo f')
        self.assertEqual((self.tmp / "file").read_text(), "a\nb\nc\nd\ne\nf\n")

    def test_one_file_for_output_and_errors_gets_both(self):
        with open(self.write("both"), "wb") as both:
            self.assertEqual(self.host("echo out; echo err >&2", stdout=both, stderr=both).code, 0)
        self.assertEqual(sorted((self.tmp / "both").read_text().splitlines()), ["err", "out"])

    def test_a_file_for_errors_gets_those_of_hutch_too(self):
        with open(self.write("err"), "wb") as stderr:
            self.assertEqual(self.hutch("run", "--", "no-such-command", stderr=stderr).code, 127)
        self.assertIn("no-such-command", (self.tmp / "err").read_text())

    def test_a_reader_that_goes_away_ends_the_command(self):
        out = self.shell('"$HUTCH" run -- yes | head -1; echo ${PIPESTATUS[0]}', program="bash")
        self.assertEqual(out.split(), ["y", str(128 + signal.SIGPIPE)])

    def test_what_still_holds_the_output_does_not_hold_the_caller(self):
        with open(self.write("out"), "wb") as file:
            for stdout in (subprocess.PIPE, file):
                result = self.host("(trap '' HUP TERM; setsid sleep 300 &) ; echo said", stdout=stdout)
                self.assertEqual(result.code, 0)
                self.assertLess(result.seconds, 5)
        self.assertEqual((self.tmp / "out").read_text(), "said\n")

    @only("root")
    def test_a_file_on_a_full_disk_is_no_success(self):
        with inside_a_mount(self, "small", "tmpfs", "size=256k") as small, open(small / "out", "wb") as stdout:
            result = self.host("head -c 3000000 /dev/zero; exit 0", stdout=stdout)
            self.assertNotEqual(result.code, 0, "output was lost and nobody said so")
            self.assertLess(result.seconds, 10)


@only("root", "plain", "nested-range")
class Descriptors(RunCase):
    """What the command gets as descriptors, and what not."""

    def test_only_the_three_standard_descriptors_are_open(self):
        opened = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(3)]
        try:  # ls has a fourth, for the directory
            self.assertEqual(self.host_ok("exec ls /proc/self/fd", pass_fds=opened).split(), ["0", "1", "2", "3"])
            self.assertEqual(self.tiny_ok("-i", "exec ls /proc/self/fd",
                             pass_fds=opened).split(), ["0", "1", "2", "3"])
        finally:
            for fd in opened:
                os.close(fd)

    def test_regular_files_are_relayed_so_that_nobody_opens_them_anew(self):
        stdin_file, stdout_file = self.write("in", "precious\n"), self.write("out", "secret\n")
        script = ("exec 5>&1; for n in 0 5 2; do stat -Lc %F /proc/self/fd/$n; readlink /proc/self/fd/$n;"
                  " done >/tmp/seen;"
                  "(timeout 0.2 sh -c 'echo gone >/proc/self/fd/0'); (timeout 0.2 cat /proc/self/fd/1 >/tmp/stolen);"
                  "exec 3>&2; cat /tmp/seen /tmp/stolen >&3")
        with open(stdin_file, "rb") as stdin, open(stdout_file, "r+b") as stdout, open(self.write("err"),
                                                                                       "wb") as stderr:
            self.host("-i", "--timeout", "20", script, stdin=stdin, stdout=stdout, stderr=stderr)
        seen = (self.tmp / "err").read_text()
        self.assertEqual(seen.splitlines()[0:6:2], ["fifo"] * 3, seen)
        self.assertNotIn(str(self.tmp), seen)
        self.assertNotIn("secret", seen)
        self.assertEqual(stdin_file.read_text(), "precious\n")

    def test_pipes_and_sockets_pass_as_they_are(self):
        (read, write), (left, right) = os.pipe(), socket.socketpair()
        with os.fdopen(read), left, right:
            process = self.start("run", "-i", "--", "sh", "-c",
                                 "exec 5>&1; stat -Lc %i,%F /proc/self/fd/0 /proc/self/fd/5 >&2",
                                 stdin=read, stdout=right)
            os.close(write)
            expected = [f"{os.fstat(fd).st_ino},{what}" for fd, what in ((read, "fifo"), (right.fileno(), "socket"))]
            result = self.finish(process)
        self.assertEqual(result.err.splitlines(), expected, str(result))

    def test_devices_pass_as_they_are(self):
        script = "exec 5>&1; head -c 3 | od -An -tx1 >&2; stat -Lc %t,%T /proc/self/fd/0 /proc/self/fd/5 >&2"
        with open("/dev/zero", "rb") as stdin, open("/dev/null", "wb") as stdout:
            result = self.host("-i", script, stdin=stdin, stdout=stdout)
        self.assertEqual(result.err.split(), ["00", "00", "00", "1,5", "1,3"], str(result))

    def test_closed_descriptors_do_no_harm(self):
        for closing in ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", ">&- 2>&-"):
            inside = "ls /proc/self/fd >/t/fds; echo out; echo err >&2; exit 9"
            out = self.shell(f'"$HUTCH" run -i -v .:/t -- sh -c "{inside}" {closing}; echo $?')
            self.assertEqual(out.splitlines()[-1:], ["9"], closing)
            self.assertLessEqual({"0", "1", "2"}, set((self.tmp / "fds").read_text().split()), closing)

    def test_closed_descriptors_do_not_swallow_an_error(self):
        out = self.shell('"$HUTCH" run --no-such-option -- true 2>err <&- >&-; echo $?; cat err')
        self.assertEqual(out.splitlines()[0], "125")
        self.assertIn("--no-such-option", out)

    def test_every_command_starts_with_clean_signals_umask_and_personality(self):
        def spoil() -> None:
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD,
                           signal.SIGRTMIN):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2, signal.SIGRTMAX})
            os.umask(0o077)

        process = self.popen(spoil, "run", "--", "sh", "-c", "cat /proc/self/status; umask", restore_signals=False)
        result = self.finish(process)
        status = fields_of(result.out)
        self.assertEqual((int(status["SigIgn"], 16), int(status["SigBlk"], 16)), (0, 0), str(result))
        self.assertEqual(result.out.splitlines()[-1], "0022")
