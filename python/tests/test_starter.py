# SPDX-License-Identifier: Apache-2.0
"""Commands are begun by a process that waits for them, from the third on: nobody sees a difference."""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from typing import Any

from hutch import Sandbox
from test_runner import MAKE_FILES
from world import ROOTFS, Case

FIND = "for p in /proc/[0-9]*; do c=; read -r c <$p/comm; [ \"$c\" = hutch-starter ] && echo ${p#/proc/}; done 2>/dev/null; :"


def sh(text: str, *args: str) -> list[str]:
    return ["sh", "-c", text, *args]


class Starter(Case):
    def setUp(self) -> None:
        if not ROOTFS:
            self.skipTest("needs a root directory")
        super().setUp()

    def starters(self, sb: Sandbox) -> list[int]:
        return [int(pid) for pid in sb.run(FIND).stdout.split()]  # by the shell

    def has_begun(self, sb: Sandbox) -> int:
        """How often the starter, if there is one, had something to do. That a command has ended is heard before it waits again."""
        pids = self.starters(sb)
        until, seen = time.monotonic() + 10, [("", 0)]
        while pids and (len(seen) < 3 or seen[-1] != seen[-2] or seen[-1][0] != "S"):
            text = sb.run(f"cat /proc/{pids[0]}/status").stdout
            state, slept = re.search(r"^State:\s+(\S)", text, re.M), re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)
            seen.append((state[1], int(slept[1])) if state and slept else ("S", 0))  # it may have ended
            assert time.monotonic() < until, seen
        return seen[-1][1]

    def with_starter(self, **fields: Any) -> Sandbox:
        return self.warm(self.sandbox(**fields))

    def warm(self, sb: Sandbox) -> Sandbox:
        until = time.monotonic() + 10
        while True:
            before = self.has_begun(sb)
            self.said(sb, ["true"])
            if before and self.has_begun(sb) > before:
                return sb
            assert time.monotonic() < until, "no starter came"

    def said(self, sb: Sandbox, argv: list[str], **kwargs: Any) -> tuple[Any, ...]:
        with sb.popen(argv, **kwargs) as process:
            out, err = process.communicate()
            return out, err, process.returncode


class Same(Starter):
    SIGNALS = [s for s in (*range(1, 32), 34, 40, 64) if s not in (19, 20, 21, 22)]
    COMMANDS = [
        ["id"], ["env"], ["seq", "1000"], sh("echo out; echo err >&2; exit 7"), ["printf", "<%s>", "", "a b", "$x", "a\nb", "\u00e9"], ["nosuchprogram"],
        ["/no/such"], ["/etc"], ["/srv/plain"], ["/srv/nothing"], ["/srv/none"], ["/srv/empty"], ["../bin/true"], ["usr/bin/id"], ["plain"],
        sh("ulimit -a; umask; pwd"), sh("cat /proc/self/limits; ls /proc/self/fd"), sh("cat; echo end"), ["printf", "%s", "x" * 20000],
        sh("grep -E '^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups|NSpgid|NSsid|TracerPid|SigBlk|SigIgn|SigCgt|SigPnd|Shd|Cpus_allowed_list)' /proc/self/status | grep -v NS; cat /proc/self/oom_score_adj"),
        sh("read -r _ _ _ parent group session _ </proc/$$/stat; test $$ = $group -a $$ = $session && echo $parent"),
        sh("(setsid sh -c 'sleep 0.1; read -r _ _ _ p _ </proc/self/stat; test $p = '$$' && echo below') & sleep 0.3"),
        *(sh(f"kill -{s} $$") for s in SIGNALS),
    ]

    def test_it_comes_with_the_third(self) -> None:
        sb = self.sandbox()
        for _ in range(2):
            self.assertEqual(self.starters(sb), [])
            self.said(sb, ["true"])
        self.assertEqual(len(self.starters(self.warm(sb))), 1)

    def test_it_is_no_one_elses_business(self) -> None:
        for fields in ({"cap_add": ["SYS_PTRACE"]}, {"cap_add": ["SYS_ADMIN"]}, {"security_opt": ["seccomp=unconfined"]}):
            with self.subTest(**fields):
                try:
                    sb = self.sandbox(**fields)
                except Exception as failure:  # noqa: BLE001 - not everybody may give that
                    self.skipTest(str(failure))
                for _ in range(10):
                    self.said(sb, ["true"])
                time.sleep(0.1)
                self.assertEqual(self.starters(sb), [])

    def compare(self, kwargs: dict[str, Any], **fields: Any) -> None:
        """Whoever is to be another user, also the same one, is started by the keeper."""
        sb = self.with_starter(**fields)
        sb.run(MAKE_FILES)
        for command in self.COMMANDS:
            before = self.has_begun(sb)
            ours = self.said(sb, command, **kwargs)
            after = self.has_begun(sb)
            self.assertGreater(after, before, command)
            keepers = self.said(sb, command, user="0:0", **kwargs)
            self.assertEqual(self.has_begun(sb), after, command)
            self.assertEqual(ours, keepers, command)

    def test_what_comes_of_it_is_what_the_keeper_makes(self) -> None:
        self.compare({})

    def test_the_same_elsewhere_and_with_other_variables(self) -> None:
        self.compare({"cwd": "/srv", "env": {"PATH": "/none:/srv:/usr/bin", "A": "b c"}}, working_dir="/usr")

    def test_a_directory_that_is_not_there(self) -> None:
        sb = self.with_starter()
        sb.run("ln -s /proc/self/fd/7 /srv/link; ln -s /etc /srv/etc")
        for cwd in ("/none", "/etc/passwd", "/proc/self/fd/0", "/srv/link", "/srv/etc"):
            self.assertEqual(self.said(sb, ["pwd"], cwd=cwd), self.said(sb, ["pwd"], cwd=cwd, user="0:0"), cwd)

    def test_the_terminal_is_the_keepers(self) -> None:
        sb = self.with_starter()
        with sb.popen(sh("test -t 0 && test -t 1 && echo tty >/dev/tty"), tty=True) as process:
            assert process.stdout
            self.assertEqual(process.stdout.read(5), b"tty\r\n")

    def test_files_are_carried(self) -> None:
        sb = self.with_starter()
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(b"x" * 300000)
            source.seek(0)
            with sb.popen(["cat"], stdin=source, stdout=target) as process:
                self.assertEqual(process.wait(), 0)
            target.seek(0)
            self.assertEqual(target.read(), b"x" * 300000)


class Ends(Starter):
    def test_output_ends_where_it_is_closed_and_not_later(self) -> None:
        """What was handed on is kept until it is heard that it has begun: not longer."""
        sb = self.with_starter()
        for _ in range(5):
            with sb.popen(sh("echo a; exec >&- 2>&-; exec sleep 5")) as process:
                assert process.stdout
                since = time.monotonic()
                self.assertEqual(process.stdout.read(), b"a\n")
                self.assertLess(time.monotonic() - since, 2)
                process.kill()

    def test_signals_reach_it_at_any_moment(self) -> None:
        sb = self.with_starter()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1):
            for n in range(40):
                with sb.popen(["sleep", "5"], stdin=subprocess.DEVNULL) as process:
                    time.sleep((n % 20) / 20000)
                    process.send_signal(number)
                    self.assertEqual(process.wait(4), -number)

    def test_a_timeout_ends_the_tree_of_one_and_spares_the_others(self) -> None:
        sb = self.with_starter()
        with sb.popen(["sleep", "331"]) as other:
            codes = set()
            for n in range(20):
                with sb.popen(sh("(setsid sleep 332 & setsid sleep 332 &); sleep 332"), timeout=0.01 + n / 200) as process, \
                        sb.popen(sh("sleep 0.1; exit 3")) as third:
                    codes.add((process.wait(), third.wait()))
            out = sb.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null; :").stdout
            other.kill()
        self.assertEqual([line.strip() for line in out.splitlines() if line.startswith("sleep")], ["sleep 331"])
        self.assertEqual(codes, {(-9, 3)})

    def test_killed_at_any_moment_every_command_is_begun_once(self) -> None:
        """By the starter, or by the keeper where that was killed. Until its exec a command bears its name, and may be killed, too."""
        sb = self.sandbox()
        sb.run("mkdir -m 777 /srv/d")
        killer = sb.popen(sh(f"while :; do for p in $({FIND}); do kill -9 $p; done; sleep 0.0$((RANDOM % 4)); done 2>/dev/null"))
        told = {}
        for n in range(400):
            with sb.popen(sh("echo x >>/srv/d/$0", str(n)), stdin=subprocess.DEVNULL) as process:
                told[n] = process.wait(20)
        killer.kill()
        killer.wait()
        self.assertLessEqual(set(told.values()), {0, -9})
        self.assertGreater(list(told.values()).count(0), 300)
        lines = sb.run("cd /srv/d; for f in *; do echo $f $(wc -l <$f); done").stdout.splitlines()
        counts = {int(number): int(count) for number, count in map(str.split, lines)}
        self.assertEqual({n: counts.get(n, 0) for n, code in told.items() if counts.get(n, 0) != (code == 0)}, {})

    def test_one_that_is_stopped_is_seen_to_be(self) -> None:
        took = []
        for _ in range(3):
            sb = self.with_starter()
            for _ in range(2):
                for pid in self.starters(sb):
                    sb.run(f"kill -STOP {pid}")
                since = time.monotonic()
                self.assertEqual(self.said(sb, sh("echo x >>/srv/once; echo well"))[0], b"well\n")
                took.append(time.monotonic() - since)
            self.assertEqual(sb.run("cat /srv/once").stdout, "x\nx\n")
            for _ in range(5):
                self.said(sb, ["true"])
            time.sleep(0.1)
            self.assertEqual(self.starters(sb), [], "there is no other")
            sb.delete()
        self.assertLess(min(took[::2]), 0.7, "less than the second for an exec, on a machine that others use, too")
        self.assertLess(max(took), 3)

    def test_one_that_its_command_has_stopped_holds_up_no_end(self) -> None:
        for _ in range(10):
            sb = self.with_starter()
            pid = self.starters(sb)[0]
            since = time.monotonic()
            with sb.popen(sh(f"kill -STOP {pid}; exit 3"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                self.assertEqual(process.wait(5), 3)
            with sb.popen(["/no/such"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                self.assertEqual(process.wait(5), 127)
            self.assertLess(time.monotonic() - since, 4)
            sb.delete()

    def test_who_changes_what_commands_inherit_of_it_changes_only_it(self) -> None:
        """Limits, niceness and processors: what is new has those of the start."""
        sb, changed = self.with_starter(host=True), 0
        shown = sh("ulimit -a; ulimit -Ha; nice; chrt -p 0 | sed 's/pid [0-9]*//'; ionice; grep Cpus_allowed_list /proc/self/status; cat /proc/self/oom_score_adj")
        first = self.said(sb, shown, stderr=subprocess.STDOUT)
        for change in ("prlimit --pid {} --nofile=7:7", "prlimit --pid {} --cpu=1:1", "prlimit --pid {} --nproc=1:1", "renice 7 -p {}", "taskset -p 1 {}",
                       "chrt -b -p 0 {}", "ionice -c 3 -p {}", "echo 1000 >/proc/{}/oom_score_adj"):
            for pid in self.starters(sb) + [int(pid) for pid in sb.run(FIND.replace("starter", "runner")).stdout.split()]:
                done = sb.run(change.format(pid) + " 2>&1; exit $?")
                changed += done.exit_code == 0
            for _ in range(3):
                self.assertEqual(sb.run(shown).stdout_bytes, first[0], change)
            self.assertEqual(self.said(sb, shown, stderr=subprocess.STDOUT), first, change)
            self.warm(sb)
        self.assertGreaterEqual(changed, 12)

    def test_a_reset_ends_it_and_another_comes(self) -> None:
        sb = self.with_starter()
        for _ in range(3):
            self.said(sb, sh("echo x >/srv/x"))
            sb.reset()
            self.assertEqual(self.said(sb, ["cat", "/srv/x"])[2], 1)
            self.warm(sb)

    def test_a_reset_in_the_midst_of_beginnings(self) -> None:
        sb = self.with_starter()
        for n in range(30):
            processes = [sb.popen(["sleep", "341"], stdin=subprocess.DEVNULL) for _ in range(5)]
            time.sleep((n % 10) / 5000)
            sb.reset()
            for process in processes:
                with process:
                    self.assertEqual(process.communicate(timeout=5), (b"", b""))
                    self.assertIn(process.returncode, (-9, 137))
            if n % 3 == 0:
                self.warm(sb)
        self.assertEqual(sb.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; done 2>/dev/null").stdout.count("341"), 0)

    def test_snapshots_are_made_beside_it_and_restored_over_it(self) -> None:
        sb = self.with_starter()
        self.said(sb, sh("echo one >/srv/x"))
        first = sb.snapshot()
        for n in range(10):
            self.said(sb, sh(f"echo {n} >/srv/x"))
            sb.snapshot()
        sb.restore(first)
        for _ in range(5):
            self.assertEqual(self.said(sb, ["cat", "/srv/x"])[0], b"one\n")
        for child in sb.fork(2):
            for _ in range(5):
                self.assertEqual(self.said(child, ["cat", "/srv/x"])[0], b"one\n")
            child.delete()

    def test_the_keeper_ends_with_many_of_them_begun(self) -> None:
        sb = self.with_starter()
        for _ in range(20):
            sb.popen(["sleep", "351"], stdin=subprocess.DEVNULL)
        sb.delete()


class Beside(Starter):
    def test_many_at_once(self) -> None:
        sb = self.with_starter()
        bad: list[Any] = []

        def work(number: int) -> None:
            for n in range(30):
                said = self.said(sb, sh("cat; exit $0", str(n % 100)), stdin=subprocess.DEVNULL)
                if said != (b"", b"", n % 100):
                    bad.append(said)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bad, [])
        self.assertEqual(len(self.starters(sb)), 1)

    def test_three_hundred_at_once_and_as_many_descriptors_as_before(self) -> None:
        sb = self.with_starter()
        seen: list[int] = []
        while len(seen) < 6 or len(set(seen[-5:])) > 1:  # what such texts have the keeper begin ahead has come
            sb.run("cat /dev/null")
            time.sleep(0.05)
            seen.append(len(os.listdir("/proc/self/fd")))
        before = seen[-1]
        processes = [sb.popen(sh("read -r x; echo $x"), stderr=subprocess.DEVNULL) for _ in range(300)]
        for number, process in enumerate(processes):
            with process:
                self.assertEqual(process.communicate(b"%d\n" % number)[0], b"%d\n" % number)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
