# SPDX-License-Identifier: Apache-2.0
"""hutch run: code inside that wants to stop, starve or outlive its caller."""

import os
import random
import resource
import signal
import subprocess
import time

from lib import debug_build, needs, only, storm
from lib.extra import PYTHON, SLACK_SECONDS, RunCase, everybody, wait_for

# One process that signals everybody else in a loop, in a session of its own.
EVERYBODY = ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    while True:\n        try: os.kill(-1,"
             " {signal})\n        except OSError: pass\n")
MOMENTS = 30


class Signals(RunCase):
    """kill(-1, …) in a loop."""

    measures_time = True

    def attack(self, number: int, *words, rest: str = "time.sleep(300)"):
        since = self.now()
        result = self.hutch("run", *words, "--", PYTHON, "-c", EVERYBODY.format(signal=number) + rest, timeout=20)
        return result, self.now() - since

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_a_loop_that_stops_everybody_ends_at_the_deadline(self):
        result, seconds = self.attack(signal.SIGSTOP, "--timeout", "0.4")
        self.assertEqual(result.code, 124, str(result))
        self.assertLess(seconds, 0.4 + SLACK_SECONDS)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_a_loop_that_kills_everybody_kills_the_command_only(self):
        result, seconds = self.attack(signal.SIGKILL, "--timeout", "10")
        self.assertEqual(result.code, 137, str(result))
        self.assertLess(seconds, 5)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_a_command_that_ends_beside_such_a_loop_is_told_of(self):
        # The command itself ends before it can be stopped: the loop begins a moment later.
        program = EVERYBODY.format(signal=int(signal.SIGSTOP)).replace(
            "    os.setsid()", "    os.setsid(); time.sleep(0.1)")
        result = self.hutch("run", "--timeout", "10", "--", PYTHON, "-c",
                            program + "print('said', flush=True)\nos._exit(7)")
        self.assertEqual((result.code, result.out), (7, "said\n"), str(result))
        self.assertLess(result.seconds, 5)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_such_loops_end_when_hutch_is_told_to_and_when_it_is_killed(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            program = EVERYBODY.format(signal=int(signal.SIGUSR1)) + "print('ready', flush=True)\nsignal.pause()"
            program = "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n" + program
            process = self.started_with("ready", "--", PYTHON, "-c", program)
            process.send_signal(how)
            since = self.now()
            process.wait(10)
            self.assertLess(self.now() - since, 2)
            self.assertEqual(process.returncode, -9 if how == signal.SIGKILL else 143)
        self.assertEqual(self.hutch("cleanup").code, 0)

    def test_the_reaper_and_its_files_are_out_of_reach(self):
        script = ("for s in 9 15 19 1 2; do kill -$s 1 2>/dev/null; done; sleep 0.05; cat /proc/1/comm;"
                  " for f in root cwd exe fd/0 ns/mnt; do"
                  " readlink /proc/1/$f 2>/dev/null && echo $f; done; ls /proc/1/fd 2>/dev/null;"
                  " (echo x >/proc/1/mem) 2>/dev/null && echo mem; exit 4")
        for words in ([], ["--cap-add", "ALL"], ["--privileged"], ["--security-opt", "ptrace"]):
            result = self.host(*words, script)
            self.assertEqual((result.code, result.out), (4, "hutch-init\n"), f"{words} {result}")

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_a_reaper_that_is_ended_by_a_limit_ends_the_sandbox_and_hutch_says_so(self):
        program = ("import resource, time\ntry: resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))\nexcept OSError:"
                   " pass\ntime.sleep(0.2)\nprint('alive')")
        result = self.python("--timeout", "5", program)
        self.assertIn(result.code, (0, 125, 137), str(result))
        self.assertLess(result.seconds, 4)


class Starving(RunCase):
    """Fork bombs and floods."""

    measures_time = True
    BOMB = "import os\nprint('ready', flush=True)\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"

    @needs(bool(PYTHON), "there is no python3 in /usr")
    @storm
    def test_a_bounded_fork_bomb_ends_at_the_deadline(self):
        since = self.now()
        result = self.hutch("run", "--ulimit", "nproc=200", "--timeout",
                            "0.6", "--", PYTHON, "-c", self.BOMB, timeout=30)
        self.assertEqual(result.code, 124, str(result))
        self.assertLess(self.now() - since, 0.6 + 2 * SLACK_SECONDS)
        self.assertEqual(self.host_ok("echo well"), "well\n")

    @only("root", "plain")
    @needs(bool(PYTHON), "there is no python3 in /usr")
    @storm
    def test_a_fork_bomb_ends_with_its_hutch(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            process = self.started_with("ready", "--ulimit", "nproc=150", "--", PYTHON, "-c", self.BOMB)
            time.sleep(0.1)
            since = self.now()
            process.send_signal(how)
            process.wait(10)
            self.assertLess(self.now() - since, 3)
        self.assertEqual(self.hutch("cleanup").code, 0)

    # Descriptors in flight are counted per user of the machine, against the sender's limit of open files.
    FLOOD = """
import array, os, signal, socket
message = array.array("i", [os.open("/dev/null", os.O_RDONLY)] * 250)
keep = []
try:
    while True:
        keep += socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        keep[-2].setblocking(False)
        try:
            while True:
                keep[-2].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, message)])
        except BlockingIOError:
            pass
except OSError:
    print("ready", flush=True)
signal.pause()
"""

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_a_flood_of_descriptors_in_flight_keeps_nobody_else_from_starting(self):
        flood = self.started_with("ready", "--", PYTHON, "-c", self.FLOOD)
        result = self.host("echo well")
        flood.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(flood).code, 143)
        self.assertEqual((result.code, result.out), (0, "well\n"), str(result))

    @only("root", "plain")
    def test_ten_thousand_files_do_not_hold_up_the_end(self):
        result = self.tiny("mkdir /d; cd /d; seq 1 10000 | while read n; do : >$n; done; ls | wc -l; exit 3")
        self.assertEqual((result.code, result.out), (3, "10000\n"), str(result))


class Permissions(RunCase):
    """chmod and chown of everything, while it runs and at its end."""

    SCRIPT = ("mkdir -p /a/b/c/d /tmp/x; echo x >/a/b/c/d/file; chmod 0 /a/b/c/d /a/b/c /a/b /a /tmp /etc; {};"
              " chmod 0 /; echo said; {}")

    def test_a_root_without_permissions_is_removed_all_the_same(self):
        for end in ("exit 5", "kill -9 $$"):
            result = self.tiny(self.SCRIPT.format("true", end))
            self.assertEqual((result.code, result.out), (5 if "exit" in end else 137, "said\n"), str(result))
        result = self.tiny("--timeout", "300ms", self.SCRIPT.format("true", "sleep 300"))
        self.assertEqual((result.code, result.out), (124, "said\n"), str(result))
        self.assertEqual(self.tiny_ok("stat -c %a /tmp; ls -d /a 2>/dev/null; true"), "1777\n")

    def test_the_same_with_the_machines_programs_and_a_volume(self):
        self.write("d/file", "x")
        result = self.host("-v", "./d:/v:cow", self.SCRIPT.format("chmod 0 /v /v/file", "exit 5"))
        self.assertEqual((result.code, result.out), (5, "said\n"), str(result))
        self.assertEqual(oct((self.tmp / "d").stat().st_mode), "0o40755")

    @only("root", "subuid", "nested-range")
    def test_a_root_that_belongs_to_somebody_else_is_removed_all_the_same(self):
        script = self.SCRIPT.format("chown -R 4711:4712 /a /tmp /etc /home; chown 1:1 /", "exit 5")
        result = self.tiny(script)
        self.assertEqual((result.code, result.out), (5, "said\n"), str(result))
        self.assertEqual(self.tiny_ok("stat -c %u / /tmp; true"), "0\n0\n")

    def test_deep_and_odd_trees_are_removed(self):
        script = ("i=0; while [ $i -lt 120 ]; do mkdir $(printf 'd%200s' x) && cd d*; i=$((i+1)); done; cd /;"
                  "mkfifo /tmp/fifo; ln -s /nowhere /tmp/link; : >\"/tmp/$(printf 'a\\nb\\377')\";"
                  " mkdir /tmp/only; chmod 111 /tmp/only; exit 6")
        self.assertEqual(self.tiny(script).code, 6)

    def test_immutable_or_busy_things_do_not_stop_the_end(self):
        script = "exec 5>/tmp/open; cd /tmp; mkdir gone; cd gone; rmdir /tmp/gone; (sleep 300 <&5 &); exit 6"
        self.assertEqual(self.tiny(script).code, 6)


class Callers(RunCase):
    """A caller in trouble: SIGKILL at any moment, few descriptors, no namespaces, odd homes."""

    def test_sigkill_at_random_moments_leaves_nothing_that_a_later_run_does_not_remove(self):
        moments = random.Random(f"hutch {self.persona.name}")
        root = self.rootfs
        for number in range(MOMENTS):
            words = (["--", "true"], ["--rootfs", root, "--", "sh", "-c",
                     "mkdir -m 0 /x; sleep 300 & sleep 300"])[number % 2]
            process = self.start("run", *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(moments.uniform(0, 0.025))
            process.kill()
            process.wait()
        wait_for(lambda: not self.processes(), seconds=3, what="the end of every process")
        if self.persona.name in ("root", "plain"):
            self.assertEqual(self.hutch("cleanup").code, 0)
        else:
            for _ in range(2):
                self.assertEqual(self.tiny_ok("echo well"), "well\n")

    def helpers(self, process) -> dict[str, int]:
        """The hutch processes below @process: name: pid."""
        below, found = {process.pid}, {}
        for pid, (parent, _, name, _) in sorted(everybody().items()):
            if parent in below:
                below.add(pid)
                if name.startswith("hutch"):
                    found[name] = pid
        return found

    def test_when_a_helper_of_hutch_is_killed_from_outside_it_goes_on_or_ends_and_says_so(self):
        process = self.started_with("ready", "--", "sh", "-c", "echo ready; exec sleep 300")
        names = sorted(self.helpers(process))
        self.assertNotEqual(names, [])
        for name in names:
            os.kill(self.helpers(process)[name], signal.SIGKILL)
            try:
                process.wait(0.3)
                expected = (125, 137)
            except subprocess.TimeoutExpired:  # the command does not need this one any more
                process.send_signal(signal.SIGTERM)
                expected = (143,)
            result = self.finish(process, timeout=10)
            self.assertIn(result.code, expected, f"{name} {result}")
            self.assertLessEqual(len(result.err.splitlines()), 1, f"{name} {result}")
            process = self.started_with("ready", "--", "sh", "-c", "echo ready; exec sleep 300")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process).code, 143)
        self.assertEqual(self.hutch("cleanup").code, 0)

    def test_names_of_killed_runs_are_free_again(self):
        process = self.started_with("ready", "--name", "one", "--", "sh", "-c", "echo ready; sleep 300")
        process.kill()
        process.wait()
        since = time.monotonic()
        while (result := self.hutch("run", "--name", "one", "--",
                                    "hostname")).code == 125 and time.monotonic() - since < 2:
            self.assertIn("taken", result.err)  # its keeper has not ended yet
        self.assertEqual((result.code, result.out), (0, "one\n"), str(result))

    @only("root", "plain")
    @needs(lambda case: not debug_build(case), "the sanitizers need descriptors of their own")
    def test_too_few_descriptors_are_said_in_one_line_and_leave_nothing(self):
        self.tiny_ok("true")
        worked = []
        for limit in [*range(3, 40), 64]:
            def few(limit=limit) -> None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

            process = self.popen(few, "run", "--rootfs", self.rootfs, "--", "true")
            result = self.finish(process, timeout=10)
            if result.code == 0:
                worked.append(limit)
                continue
            self.assertIn(result.code, (125, 126, 127), f"{limit} descriptors\n{result}")
            self.assertEqual(len(result.err.splitlines()), 1, f"{limit} descriptors\n{result}")
            self.assertRegex(result.err, "open files|descriptors", f"{limit} descriptors")
        self.assertIn(64, worked)

    @only("plain", "subuid")
    @needs(lambda case: not debug_build(case), "the sanitizers need processes of their own")
    def test_too_few_processes_are_said_in_one_line_and_leave_nothing(self):
        for limit in (1, 2, 3):
            def few(limit=limit) -> None:
                resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))

            process = self.popen(few, "run", "--rootfs", self.rootfs, "--", "true")
            result = self.finish(process, timeout=15)
            if result.code != 0:
                self.assertIn(result.code, (125, 126), f"{limit} processes\n{result}")
                self.assertEqual(len(result.err.splitlines()), 1, f"{limit} processes\n{result}")
                self.assertLess(result.seconds, 5, str(result))

    @only("plain", "root")
    def test_a_kernel_without_user_namespaces_is_said_in_one_line(self):
        words = ["unshare", "--user", "--map-root-user", "sh", "-c",
            'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"']
        process = self.start("run", "--rootfs", self.rootfs, "--", "true",
                             prefix=words, env={"HUTCH_HOME": str(self.tmp / "other")})
        result = self.finish(process)
        self.assert_fails(result, 125, "namespace", "hutch doctor")
        self.assertNotIn("No space left", result.err)
        self.assertLess(result.seconds, 5)

    @only("root", "plain")
    def test_a_directory_that_is_gone_is_no_obstacle(self):
        gone = self.mkdir("gone")
        script = 'cd gone && rmdir ../gone && "$HUTCH" run -- pwd'
        self.assertEqual(self.shell(script), "/\n")
        self.assertFalse(gone.exists())

    @only("root", "plain")
    def test_the_caller_keeps_what_is_his(self):
        script = ('umask 077; "$HUTCH" run -- true; umask; pwd; "$HUTCH" run -v .:/v -- touch /v/made;'
                  ' stat -c %a made; ulimit -n; id -u')
        before = self.shell("umask 077; umask; pwd; echo 644; ulimit -n; id -u")
        self.assertEqual(self.shell(script), before)
