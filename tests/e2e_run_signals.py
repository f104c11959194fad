# SPDX-License-Identifier: Apache-2.0
"""hutch run: signals that reach the command, and --timeout that ends everything."""

import os
import random
import signal
import subprocess
import time

from lib import needs, only
from lib.extra import PYTHON, SLACK_SECONDS, RunCase, states, wait_for

# Not sent on: KILL and STOP nobody can catch; CHLD and PIPE are hutch's own; ILL, TRAP, BUS, FPE, SEGV and
# SYS tell of a crash of its own; TSTP, TTIN and TTOU stop; 32 and 33 are the C library's. ABRT has its own test.
SENT_ON = [s for s in range(1, 65) if s not in (4, 5, 6, 7, 8, 9, 11, 13, 17, 19, 20, 21, 22, 31, 32, 33)]
LISTENER = """
import signal, sys
wanted = set(map(int, sys.argv[1].split(",")))
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print("ready", flush=True)
while True:
    number = signal.sigwait(wanted)
    print(int(number), flush=True)
    if number == signal.SIGTERM:
        sys.exit(3)
"""


@only("root", "plain", "nested")
class Signals(RunCase):
    """Signals sent to hutch run reach the command."""

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_every_signal_arrives_under_its_own_number(self):
        process = self.started_with("ready", "--", PYTHON, "-c", LISTENER, ",".join(map(str, SENT_ON)))
        for number in [n for n in SENT_ON if n != signal.SIGTERM] + [signal.SIGTERM]:
            process.send_signal(number)
            self.assertEqual(self.line_of(process, 2), str(number))
        self.assertEqual(self.finish(process).code, 3)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_an_abort_sent_from_outside_is_for_the_command(self):
        process = self.started_with("ready", "--", PYTHON, "-c", LISTENER, "6,15")
        process.send_signal(signal.SIGABRT)
        self.assertEqual(self.line_of(process, 2), "6")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process).code, 3)

    def test_a_signal_that_the_command_does_not_handle_ends_it(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2):
            process = self.started_with("ready", "--", "sh", "-c", "echo ready; exec sleep 300")
            process.send_signal(number)
            result = self.finish(process)
            self.assertEqual((result.code, result.err), (128 + number, ""), str(result))

    def test_a_command_that_handles_the_signal_decides_how_it_ends(self):
        script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done"
        process = self.started_with("ready", "--", "sh", "-c", script)
        process.send_signal(signal.SIGTERM)
        result = self.finish(process)
        self.assertEqual((result.code, result.out), (7, "bye\n"), str(result))

    def test_signals_arrive_also_where_the_caller_was_started_with_them_blocked(self):
        blocked = {signal.SIGTERM, signal.SIGINT}
        for number in blocked:
            process = self.popen(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked), "run", "--", "sh", "-c",
                                 "echo ready; exec sleep 300")
            self.assertEqual(self.line_of(process), "ready")
            process.send_signal(number)
            self.assertEqual(self.finish(process, timeout=10).code, 128 + number)

    def test_what_the_caller_was_started_with_ignored_stays_so_and_is_nothing_to_the_command(self):
        ignored = (signal.SIGHUP, signal.SIGRTMIN + 5)
        script = "for s in HUP RTMIN+5 TERM; do trap \"echo $s; test $s != TERM || exit 4\" $s; done; echo ready; while :; do sleep 0.02; done"
        process = self.popen(lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored], "run", "--", "bash", "-c", script)
        self.assertEqual(self.line_of(process), "ready")
        for number in (*ignored, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.1)
        result = self.finish(process, timeout=10)
        self.assertEqual((result.code, result.out), (4, "TERM\n"), str(result))

    def test_no_signal_is_lost_while_the_sandbox_starts(self):
        moments = random.Random(4)
        for _ in range(12):
            process = self.start("run", "--", "sleep", "300")
            time.sleep(moments.uniform(0, 0.03))
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                self.fail("a SIGTERM during the start was lost")
            self.assertIn(process.returncode, (128 + signal.SIGTERM, -signal.SIGTERM))

    def test_a_storm_of_signals_harms_no_start(self):
        def storm(process) -> None:
            for _ in range(300):
                for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGURG):
                    if process.poll() is not None:
                        return
                    process.send_signal(number)

        for _ in range(3):
            process = self.start("run", "--", "sh", "-c", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; exit 8")
            storm(process)
            result = self.finish(process)
            self.assertEqual((result.code, result.err), (8, ""), str(result))

    def test_a_stopped_and_continued_hutch_goes_on(self):
        process = self.started_with("ready", "-i", "--", "sh", "-c", "echo ready; cat; exit 6", stdin=subprocess.PIPE)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            process.send_signal(number)
            time.sleep(0.05)
        result = self.finish(process, "more\n")
        self.assertEqual((result.code, result.out), (6, "more\n"), str(result))

    @only("root", "plain")
    def test_a_stop_signal_is_one_that_there_is(self):
        for name in ("TERM", "SIGINT", "int", "9", "RTMIN+3"):
            self.assertEqual(self.hutch("run", "--stop-signal", name, "--", "true").code, 0, name)
        for name in ("", "NOSUCH", "SIG", "65", "-1", "0"):
            self.refused(f"--stop-signal={name}", "--", "true", words=("--stop-signal",))


class Timeouts(RunCase):
    """--timeout: 124, everything is killed, what was said so far is kept."""

    measures_time = True

    def ends_in_time(self, seconds: float, *words, **options):
        """hutch run --timeout @seconds must end with 124 at that time, not before and not much later. The first run of a home
        makes its layer for the machine's programs, which is not what is measured."""
        self.run_ok("run", "--", "true")
        since = time.monotonic()
        result = self.hutch("run", "--timeout", str(seconds), *words, **options)
        passed = time.monotonic() - since
        self.assertEqual(result.code, 124, str(result))
        self.assertGreaterEqual(passed, seconds, str(result))
        self.assertLess(result.seconds, seconds + SLACK_SECONDS, str(result))
        return result

    def test_what_was_said_until_then_is_kept_and_one_line_says_why(self):
        result = self.ends_in_time(0.3, "--", "sh", "-c", "echo out; echo err >&2; sleep 300; echo never")
        self.assertEqual((result.out, result.err.splitlines()[0]), ("out\n", "err"))
        self.assertEqual(len(result.err.splitlines()), 2)

    def test_double_forks_new_sessions_and_ignorers_of_sigterm_end_too(self):
        script = ("setsid sleep 312 & (setsid sh -c '(trap \"\" TERM HUP INT; sleep 313 & sleep 314) &' &);"
                  " (trap '' TERM; sleep 315)")
        self.ends_in_time(0.3, "--", "sh", "-c", script)
        self.assertEqual([states(f"sleep {n}") for n in range(312, 316)], [""] * 4)

    @only("root", "plain")
    def test_the_line_of_the_manual(self):
        self.ends_in_time(1, "--", "sh", "-c", 'setsid sleep 100 & (trap "" TERM; sleep 100)')

    @only("root", "plain")
    def test_a_busy_command_and_a_flood_of_output_end_too(self):
        self.ends_in_time(0.2, "--", "sh", "-c", "while :; do :; done")
        with open("/dev/null", "wb") as stdout:
            self.ends_in_time(0.2, "--", "yes", stdout=stdout)
        with open(self.write("out"), "wb") as stdout:
            self.ends_in_time(0.2, "--", "yes", stdout=stdout)
        self.assertGreater((self.tmp / "out").stat().st_size, 1000)

    @only("root", "plain")
    def test_a_reader_that_reads_nothing_does_not_hold_it_up(self):
        read, write = os.pipe()
        with os.fdopen(read):
            since = self.now()
            process = self.start("run", "--timeout", "0.3", "--", "yes", stdout=write)
            os.close(write)
            self.assertEqual(process.wait(10), 124)
            self.assertLess(self.now() - since, 0.3 + SLACK_SECONDS)

    @only("root", "plain")
    def test_stopped_processes_end_too(self):
        self.ends_in_time(0.3, "--", "sh", "-c", "sleep 300 & kill -STOP $!; kill -STOP $$; sleep 300")

    @only("root", "plain")
    def test_many_processes_end_in_time(self):
        self.ends_in_time(0.5, "--", "sh", "-c", "i=0; while [ $i -lt 100 ]; do sleep 300 & i=$((i+1)); done; wait")

    @only("root", "plain")
    def test_it_ends_under_a_terminal(self):
        terminal = self.terminal("run", "-it", "--timeout", "300ms", "--", "sh",
                                 "-c", "trap '' INT HUP TERM; echo ready; sleep 300")
        terminal.expect("ready")
        since = self.now()
        self.assertEqual(terminal.wait(), 124)
        self.assertLess(self.now() - since, 0.3 + SLACK_SECONDS)

    @only("root", "plain")
    def test_a_command_that_is_done_in_time_is_not_touched(self):
        result = self.hutch("run", "--timeout", "30", "--", "sh", "-c", "echo done; exit 5")
        self.assertEqual((result.code, result.out, result.err), (5, "done\n", ""), str(result))
        self.assertLess(result.seconds, 5)

    @only("root", "plain")
    def test_a_command_that_is_stopped_from_outside_times_out_when_it_should(self):
        process = self.started_with("ready", "--timeout", "500ms", "--", "sh", "-c", "echo ready; exec sleep 300")
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: "T" in open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()[0], what="stop")
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
        since = self.now()
        self.assertEqual(self.finish(process).code, 124)
        self.assertLess(self.now() - since, SLACK_SECONDS)

    @only("root", "plain")
    def test_times_are_written_in_many_ways(self):
        for text in ("30", "1.5", "500ms", "1m", "1h", "1h30m", "1m30s", "30s"):
            self.assertEqual(self.hutch("run", "--timeout", text, "--", "true").code, 0, text)
        for text in ("", "x", "-1", "1x", "1 s", "1.2.3", "nan", "inf", "99999999999999999999"):
            self.refused(f"--timeout={text}", "--", "true", words=("--timeout",))


class Caller(RunCase):
    """The sandbox lives no longer than hutch run."""

    def test_when_hutch_is_killed_everything_inside_ends_at_once(self):
        process = self.started_with("ready", "--", "sh", "-c",
                                    "(trap '' HUP TERM; setsid sleep 316 &); echo ready; sleep 316")
        process.kill()
        process.wait()
        wait_for(lambda: not states("sleep 316"), seconds=2, what="the end of the sandbox")
        self.assertEqual(self.hutch("cleanup").code, 0)

    def test_when_hutch_is_killed_its_reader_sees_the_end(self):
        process = self.started_with("ready", "--", "sh", "-c", "echo ready; sleep 300")
        process.kill()
        since = time.monotonic()
        self.assertEqual(process.stdout.read(), b"")
        self.assertLess(time.monotonic() - since, 2)
        process.wait()
        self.assertEqual(self.hutch("cleanup").code, 0)
