# SPDX-License-Identifier: Apache-2.0
"""hutch exec --session: a shell that lasts from call to call."""

import signal
import time

from lib import only
from lib.extra import BoxCase, states, wait_for


class SessionCase(BoxCase):
    def say(self, text: str, *options, session: str = "s", **more):
        return self.hutch("exec", "--session", session, *options, "box", text, **more)

    def assert_says(self, text: str, out: str, code: int = 0, **more):
        result = self.say(text, **more)
        self.assertEqual((result.code, result.out), (code, out), str(result))


class Deadlines(SessionCase):
    measures_time = True

    def test_a_timeout_ends_the_text_and_spares_the_session(self):
        self.assert_says("A=1", "")
        result = self.say("echo before; sleep 301; echo after; touch /after", "--timeout", "0.3")
        self.assertEqual(result.code, 124, str(result))
        self.assertTrue(result.out.startswith("before\n") and "after" not in result.out, str(result))
        self.assertLess(result.seconds, 1)
        self.assert_says("echo $A; ls /after 2>/dev/null; :", "1\n")
        self.assertEqual(states("sleep 301"), "")


class Sessions(SessionCase):
    def test_state_lasts_and_a_plain_command_is_fresh(self):
        self.assert_says("cd /usr; export A=1; B=2; f() { echo \"f $1\"; }; alias g='echo alias'; sleep 300 &", "")
        self.assert_says("pwd; sh -c 'echo $A'; echo $B; f x; g; jobs -r | wc -l", "/usr\n1\n2\nf x\nalias\n1\n")
        self.assert_says("pwd; echo [$B]", "/\n[]\n", session="other")
        result = self.hutch("exec", "box", "sh", "-c", "pwd; echo [$A]")
        self.assertEqual(result.out, "/\n[]\n")

    def test_words_are_joined_and_output_comes_apart(self):
        result = self.hutch("exec", "--session", "s", "box", "echo", "out;", "echo", "err", ">&2;", "(exit 4)")
        self.assertEqual((result.code, result.out, result.err), (4, "out\n", "err\n"))
        result = self.say("pwd; echo $A", "-w", "/usr", "-e", "A=it's")
        self.assertEqual(result.out, "/usr\nit's\n")

    def test_after_the_end_of_the_shell_there_is_a_new_one_in_the_same_directory(self):
        for end, code in (("exit 3", 3), ("exec sh -c 'exit 4'", 4), ("kill -9 $$", 137)):
            self.assert_says("cd /usr/bin; A=1", "")
            self.assert_says(end, "", code)
            self.assert_says("pwd; echo [$A]", "/usr/bin\n[]\n")

    def test_functions_and_aliases_may_have_the_names_of_builtins(self):
        """Also in a bash that has no module of ours."""
        self.hutch("rm", "box")
        self.run_ok("create", "--rootfs", self.rootfs, "-e", "BASH_ENV=/tmp/begin", "box")
        for session in ("module", "none"):
            self.assert_says("type -t _hp", "builtin\n" if session == "module" else "", code=session == "none", session=session)
            self.assert_says("for f in printf read cd export eval; do eval \"$f() { echo my $f; }\"; done; alias cd='echo alias'", "", session=session)
            self.assert_says("pwd; printf", "/\nmy printf\n", session=session)
            self.assert_says("eval echo x; (exit 3)", "my eval\n", code=3, session=session)
            self.assertEqual(self.say("pwd; echo $A; cd /", "-w", "/tmp", "-e", "A=1", session=session).out, "/tmp\n1\nalias /\n")
            self.assert_says(": " + 9000 * "x" + "; echo long", "long\n", session=session)
            self.run_ok("exec", "box", "sh", "-c", "echo 'enable() { return 1; }' >/tmp/begin")

    def test_every_byte_of_a_text_arrives(self):
        """Also those that are no characters, whatever the language; and blanks, which end a word of the request."""
        for language in ("C", "C.UTF-8"):
            for text in (b"\xff\xfe a  \xc3( \xe2\x82 b", b" x ", b"", b"%s %d", b"a\nb \n", b"\xe2\x82\xac 1"):
                for filler in (b"", b": " + 1200 * b"x" + b"; "):  # long ones go by a file
                    script = filler + b"LC_ALL=" + language.encode() + b"; printf %s '" + text + b"'"
                    result = self.hutch("exec", "--session", "s", "box", script)
                    self.assertEqual((result.code, result.out.encode("utf-8", "surrogateescape")), (0, text), str(result))

    @only("root", "plain")
    def test_ctrl_c_ends_the_text_and_spares_the_session(self):
        self.assert_says("A=1", "")
        process = self.start("exec", "--session", "s", "box", "sleep 302; echo after")
        wait_for(lambda: states("sleep 302"), what="the text")
        result = self.say("echo not")
        self.assert_fails(result, 125, "'s' is in use")
        process.send_signal(signal.SIGINT)
        result = self.finish(process)
        self.assertEqual((result.code, result.out), (130, ""), str(result))
        self.assert_says("echo $A", "1\n")

    @only("root", "plain")
    def test_when_hutch_exec_is_killed_its_text_ends_too(self):
        process = self.start("exec", "--session", "s", "box", "sleep 303")
        wait_for(lambda: states("sleep 303"), what="the text")
        process.kill()
        process.wait()
        wait_for(lambda: not states("sleep 303"), what="the end of the text")
        self.assert_says("echo well", "well\n")

    def test_a_reset_ends_sessions(self):
        self.assert_says("cd /usr; A=1; sleep 304 & touch /x", "")
        self.run_ok("reset", "box")
        self.assert_says("pwd; echo [$A]; ls /x 2>/dev/null; :", "/\n[]\n")
        self.assertEqual(states("sleep 304"), "")

    def test_long_text_and_output(self):
        self.assert_says("#" * 100_000 + "\necho end", "end\n")
        result = self.say("head -c 5000000 /dev/zero | tr '\\0' x")
        self.assertEqual(len(result.out), 5_000_000)

    @only("root", "plain")
    def test_what_cannot_be_had_is_refused(self):
        for option in ("-i", "-t", "-u0", "--preserve-fd=9"):
            self.assert_fails(self.say("true", option), 125, "--session")
        self.assert_fails(self.say("true", session=""), 125, "session")
        self.assert_fails(self.say("true", session="x" * 64), 125, "session")

    @only("root", "plain")
    def test_shells_start_behind_the_entrypoint(self):
        root = self.copy_of_rootfs()
        (root / "init.sh").write_text('#!/bin/sh\nexport FROM=there\necho noise\nexec "$@"\n')
        (root / "init.sh").chmod(0o755)
        self.hutch("rm", "box")
        self.run_ok("create", "--rootfs", root, "--entrypoint", "/init.sh", "--shell-entrypoint", "box")
        self.assert_says("echo $FROM", "there\n")
        self.assertEqual(self.run_ok("exec", "box", "sh", "-c", "echo [$FROM]").out, "[]\n")
        self.run_ok("stop", "box")
        self.run_ok("start", "box")
        self.assert_says("echo $FROM", "there\n")
        self.run_ok("rm", "-f", "box")
        self.run_ok("create", "--rootfs", root, "--entrypoint", "/no/such", "--shell-entrypoint", "box")
        self.assert_fails(self.say("true"), 125, "'/no/such': no such file")
        self.assert_fails(self.hutch("create", "--rootfs", root, "--entrypoint", "/init.sh"), 125, "--shell-entrypoint")

    @only("root", "plain")
    def test_where_there_is_no_bash_it_is_sh(self):
        root = self.copy_of_rootfs()
        for path in {(root / name).resolve() for name in ("bin/bash", "usr/bin/bash") if (root / name).exists()}:
            path.unlink()
        self.hutch("rm", "box")
        self.run_ok("create", "--rootfs", root, "box")
        self.assert_says("echo [$BASH_VERSION]; cd /usr; A=1; f() { echo f; }", "[]\n")
        self.assert_says("f; pwd; echo $A\n\necho 'a\n b'", "f\n/usr\n1\na\n b\n")
        self.assert_says("exit 3", "", 3)
        self.assert_says("pwd; echo [$A]", "/usr\n[]\n")
        result = self.say("echo before; sleep 305; echo after; touch /after", "--timeout", "0.3")
        self.assertEqual((result.code, result.out), (124, "before\n"), str(result))
        self.assert_says("ls /after 2>/dev/null; pwd", "/usr\n")
        self.assertEqual(states("sleep 305"), "")
        result = self.say("echo 'unclosed")
        self.assertEqual(result.code, 2, str(result))
        self.assert_says("echo well", "well\n")

    @only("root", "plain")
    def test_two_hundred_calls_one_after_the_other(self):
        since = time.monotonic()
        for n in range(200):
            self.assert_says(f"N=$((N+1)); echo $N", f"{n + 1}\n")
        self.assertLess(time.monotonic() - since, 30)
