# SPDX-License-Identifier: Apache-2.0
"""hutch run -t: a terminal of its own, Ctrl-C, Ctrl-Z, window sizes, job control."""

import os
import signal
import termios

from lib import only
from lib.extra import JobShell, RunCase, states, wait_for


def modes(fd: int) -> list:
    """What `stty` knows of a terminal."""
    return termios.tcgetattr(fd)


class Tty(RunCase):
    """-t on a terminal."""

    def test_the_three_descriptors_are_one_terminal_that_exists_only_inside(self):
        terminal = self.terminal("run", "-it", "--", "sh", "-c", "tty; tty <&1; tty <&2; ls /dev/pts; echo -$TERM-")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.seen.replace("\r", "").split(),
                         ["/dev/pts/0", "/dev/pts/0", "/dev/pts/0", "0", "ptmx", "-xterm-"])

    def test_the_command_leads_a_session_whose_terminal_it_is(self):
        terminal = self.terminal("run", "-it", "--", "sh", "-c",
                                 "echo in; echo x >/dev/tty; cut -d ' ' -f 1,5,6,8 /proc/$$/stat")
        self.assertEqual(terminal.wait(), 0)
        words = terminal.seen.split()
        self.assertEqual(words[:2], ["in", "x"])
        self.assertEqual(len(set(words[2:])), 1, terminal.seen)

    def test_what_is_typed_arrives_and_ctrl_d_ends_it(self):
        terminal = self.terminal("run", "-i", "-t", "--rootfs", self.rootfs,
                                 "sh", "-c", "read x; echo got $x; cat; exit 3")
        terminal.send("word\n")
        terminal.expect("got word")
        terminal.send("more\n")
        terminal.expect("more\r\nmore")
        terminal.send("\x04")
        self.assertEqual(terminal.wait(), 3)

    def test_the_size_of_the_window_is_the_callers_and_follows_it(self):
        script = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
        terminal = self.terminal("run", "-it", "--", "sh", "-c", script, rows=33, columns=101)
        terminal.expect("33 101")
        terminal.expect("ready")
        terminal.resize(50, 120)
        terminal.expect("50 120")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_interrupts_the_command(self):
        terminal = self.terminal("run", "-it", "--", "sh", "-c", "echo ready; exec sleep 300")
        terminal.expect("ready")
        terminal.send("\x03")
        self.assertEqual(terminal.wait(), 128 + signal.SIGINT)

    def test_ctrl_c_is_a_signal_that_the_command_may_handle(self):
        script = "trap 'echo caught' INT; echo ready; while :; do sleep 0.05; done"
        terminal = self.terminal("run", "-it", "--", "sh", "-c", script)
        terminal.expect("ready")
        for _ in range(3):
            terminal.send("\x03")
            terminal.expect("caught")
        terminal.send("\x1c")  # Ctrl-\
        self.assertEqual(terminal.wait(), 128 + signal.SIGQUIT)

    def test_ctrl_c_is_for_all_that_run_in_front_also_without_a_terminal_of_their_own(self):
        """A shell waits for its child, and ends when that has got the signal, too."""
        for flags in ((), ("-i",), ("-t",)):
            terminal = self.terminal("run", *flags, "--", "sh", "-c", "echo ready; sleep 300; echo after")
            terminal.expect("ready")
            wait_for(lambda: states("sleep 300") == "S", what="sleep")
            terminal.send("\x03")
            self.assertEqual(terminal.wait(), 128 + signal.SIGINT, flags)
            self.assertNotIn("after", terminal.seen)

    def test_job_control_works_inside(self):
        terminal = self.terminal("run", "-it", "-e", "PS1=inside> ", "--", "bash", "--norc", "-i")
        terminal.expect("inside> ")
        terminal.send("sleep 300\n")
        terminal.expect("\n")
        wait_for(lambda: states("sleep 300") == "S", what="sleep")
        terminal.send("\x1a")
        terminal.expect("inside> ")
        self.assertEqual(states("sleep 300"), "T")
        terminal.send("fg\n")
        wait_for(lambda: states("sleep 300") == "S", what="sleep, again")
        terminal.send("\x03")
        terminal.expect("inside> ")
        terminal.send("echo code $?\n")
        terminal.expect("code 130")
        self.assertNotIn("no job control", terminal.seen)
        terminal.send("exit 4\n")
        self.assertEqual(terminal.wait(), 4)

    def test_all_that_was_written_is_shown_before_the_end(self):
        terminal = self.terminal("run", "-t", "--", "seq", "1", "20000")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.seen.split(), [str(n) for n in range(1, 20001)])

    def test_the_callers_terminal_is_as_it_was_after_any_end(self):
        for script, ending, code in (("echo ready", None, 0), ("echo ready; exec sleep 300", signal.SIGTERM, 143),
                                     ("echo ready; kill -9 $$", None, 137)):
            terminal = self.terminal("run", "-it", "--", "sh", "-c", "stty raw -echo; " + script)
            before = terminal.modes_before
            terminal.expect("ready")
            if ending:
                terminal.process.send_signal(ending)
            self.assertEqual(terminal.wait(), code)
            self.assertEqual(modes(terminal.fd), before, script)

    def test_the_callers_terminal_is_as_it_was_after_an_error_and_a_timeout(self):
        for words, code in ((["--", "no-such-command"], 127), (["--timeout", "200ms", "--", "sleep", "300"], 124),
                            (["--rootfs", "/no/such", "--", "true"], 125)):
            terminal = self.terminal("run", "-it", *words)
            before = terminal.modes_before
            self.assertEqual(terminal.wait(), code)
            self.assertEqual(modes(terminal.fd), before, words)
            self.assertNotIn("\n", terminal.seen.replace("\r\n", ""), "a line without carriage return")

    def test_with_t_alone_nothing_typed_is_read(self):
        terminal = self.terminal("run", "-t", "--", "sh", "-c", "echo ready; read x; echo \"code $? $x\"")
        terminal.expect("ready")
        terminal.send("word\n")
        try:
            terminal.expect("code 1", 0.5)
        except AssertionError:
            pass  # it waits for input that never comes: as good as an end of input
        self.assertNotIn("code 0", terminal.seen)
        terminal.process.send_signal(signal.SIGTERM)
        terminal.wait()

    def test_without_t_the_callers_terminal_passes_as_it_is(self):
        terminal = self.terminal("run", "-i", "--", "sh", "-c",
                                 "test -t 0 && test -t 1 && test -t 2 && stty size", rows=31, columns=99)
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.seen.split(), ["31", "99"])

    def test_nothing_inside_reaches_the_callers_terminal(self):
        terminal = self.terminal("run", "-i", "--", "sh", "-c", "(echo stolen >/dev/tty) 2>/dev/null || echo none")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.seen.split(), ["none"])


@only("root", "plain")
class WithoutTerminal(RunCase):
    """-t where the caller has none."""

    def test_output_to_a_pipe_comes_from_a_terminal(self):
        result = self.hutch("run", "-t", "--", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo tty")
        self.assertEqual((result.code, result.out, result.err), (0, "tty\r\n", ""), str(result))

    def test_input_that_is_no_terminal_is_refused_as_docker_does(self):
        for input in (None, "word\n"):
            self.refused("-it", "--", "cat", input=input, words=("terminal", "-t", "-i"))

    def test_output_to_a_file_is_whole(self):
        with open(self.write("out"), "wb") as stdout:
            self.run_ok("run", "-t", "--", "seq", "1", "20000", stdout=stdout)
        self.assertEqual((self.tmp / "out").read_text().split(), [str(n) for n in range(1, 20001)])


@only("root", "plain")
class Jobs(RunCase):
    """hutch run as a job of an interactive shell."""

    def test_ctrl_z_stops_hutch_and_fg_goes_on(self):
        shell = JobShell(self)
        shell.type('"$HUTCH" run -- sleep 311')
        wait_for(lambda: states("sleep 311") == "S", what="the command")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect(shell.PROMPT)
        wait_for(lambda: states("sleep 311") == "T", what="a stopped command")
        shell.type("fg")
        wait_for(lambda: states("sleep 311") == "S", what="the command, again")
        shell.send("\x03")
        shell.expect(shell.PROMPT)
        self.assertIn("code 130", shell.answer('echo "code $?"'))

    def test_ctrl_z_goes_to_the_command_where_it_has_the_terminal(self):
        shell = JobShell(self)
        shell.type('"$HUTCH" run -it -e PS1="inside> " -- bash --norc -i')
        shell.expect("inside> ")
        shell.send("sleep 311\n")
        wait_for(lambda: states("sleep 311") == "S", what="the command")
        shell.send("\x1a")
        shell.expect("inside> ")
        self.assertEqual(states("sleep 311"), "T")
        shell.send("kill -9 %1; fg; exit 5\n")
        shell.expect(shell.PROMPT)
        self.assertIn("code 5", shell.answer('echo "code $?"'))

    def test_hutch_with_a_terminal_can_be_stopped_and_continued_from_elsewhere(self):
        shell = JobShell(self)
        shell.type('"$HUTCH" run -it -- sh -c "echo ready; read x; echo got \\$x"')
        shell.expect("ready")
        (pid,) = [p for p in self.processes() if "run" in self.words_of(p)]
        os.kill(pid, signal.SIGTSTP)
        shell.expect("Stopped")
        shell.expect(shell.PROMPT)
        self.assertIn("typed", shell.answer("echo typed"))  # the shell has its terminal as it was
        shell.send("fg\n")
        shell.send("word\n")
        shell.expect("got word")
        shell.expect(shell.PROMPT)

    def words_of(self, pid: int) -> list[str]:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().split("\0")

    def test_a_job_in_the_background_runs_and_reports(self):
        shell = JobShell(self)
        shell.answer('"$HUTCH" run -- sh -c "sleep 0.1; echo done >&2; exit 6" &')
        out = shell.answer('wait %1; echo "code $?"')
        self.assertIn("code 6", out)
