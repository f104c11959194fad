# SPDX-License-Identifier: Apache-2.0
"""The next sandbox, made before it is asked for: nobody sees it, and it is like any other."""

import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hutch
from hutch import Sandbox, SandboxError
from world import ROOTFS, Case, config, names

HOME = Path(os.environ.get("HUTCH_HOME", "/nonexistent"))

#: What a text finds around it, without what every sandbox has of its own.
AROUND = """
exec 2>&1
echo "$0 $$ $- $PWD $UID $SHLVL"; set -o; shopt; alias; declare -F | grep -v ' _h'; trap; umask; ulimit -a; jobs; locale 2>/dev/null
env | sort
compgen -v | grep -vE '^(_|BASH.*|RANDOM|SRANDOM|EPOCH.*|SECONDS|LINENO|PPID|PIPESTATUS|_h.*)$' | sort |
    while read -r name; do echo "$name=${!name}"; done
ls -l /proc/self/fd | sed 's/.* \\([0-9]* ->\\)/\\1/; s/[0-9]*:\\[[0-9]*\\]/X/; s/[0-9]*\\.[oet]$/X/; s,/proc/[0-9]*,,'
cat /proc/1/comm; set -- /proc/[0-9]*; echo $#; grep -E '^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups|Cpus_allowed_list)' /proc/self/status
cat /proc/self/limits; sed -n '/policy\\|prio\\|slice/p' /proc/self/sched
sed 's/^[0-9]* [0-9]* [0-9]*:[0-9]* //; s/ master:[0-9]*//; s/,inode.*//; s/[ug]id=[0-9]*//g' /proc/self/mountinfo | sed 's/up.g[0-9]*.*//' | sort
cat /etc/hosts /etc/hostname /etc/resolv.conf; hostname; cat /proc/sys/kernel/domainname
ls -la / /etc /dev /dev/shm /tmp | grep -vE '^total| proc$' | sed 's/  */ /g; s/ [A-Z][a-z][a-z] .*[0-9] / /'
cat /proc/net/dev | wc -l; cat /proc/net/unix | wc -l; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/self/oom_score_adj
"""


def waiting() -> list[Path]:
    """What is on disk of those that nobody has asked for."""
    return list((HOME / "run").glob(".next.*"))


def inode(path: Path) -> int:
    return path.stat().st_ino


def shell_is_older(sb: Sandbox, than: float) -> bool:
    """Whether the shell of a sandbox was started before that moment of CLOCK_BOOTTIME."""
    for _ in range(5):  # as if it were younger than it is, when this takes long
        now, stat = sb.run("read -r up _ </proc/uptime; read -r stat </proc/$$/stat; echo $up; echo $stat").output.splitlines()
        age = float(now) - int(stat.rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        if time.clock_gettime(time.CLOCK_BOOTTIME) - age < than:
            return True
    return False


def made(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


class Twins(Case):
    def setUp(self) -> None:
        if not ROOTFS or not HOME.exists():
            self.skipTest("needs a root directory and a home of its own")
        super().setUp()

    def two(self, **fields: Any) -> None:
        """Two alike: the next one is being made."""
        for number in range(2):
            with Sandbox(config(**fields)) as sb:
                self.assertEqual(sb.run(f"echo {number}").output, f"{number}\n")
        self.assertEqual(len(waiting()), 1)

    @contextmanager
    def third(self, twin: bool, name: str = "third", **fields: Any) -> Iterator[Sandbox]:
        """One more. ``twin``: it must be the one that waits; or it must not."""
        self.assertEqual(len(waiting()), 1)
        time.sleep(0.3)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        with Sandbox(config(**fields), name=name) as sb:
            self.assertEqual(shell_is_older(sb, now - 0.05), twin)
            yield sb

    def tree(self) -> Path:
        """A root directory that may be changed."""
        assert ROOTFS
        path = self.directory() / "root"
        shutil.copytree(ROOTFS, path, symlinks=True)
        return path


class Resets(Twins):
    def waited(self, sb: Sandbox) -> bool:
        """Whether the shell after a reset is older than that."""
        sb.run("true")
        time.sleep(0.4)
        since = time.clock_gettime(time.CLOCK_BOOTTIME)
        time.sleep(0.1)
        sb.reset()
        self.assertEqual(sb.run("echo $HOSTNAME").output, f"{sb.name}\n")
        return shell_is_older(sb, since)

    def one(self, number: int, reset: bool = True) -> bool:
        with Sandbox(config(environment={"NUMBER": str(number)})) as sb:  # like no other
            return reset and self.waited(sb)

    def test_who_resets_one_sandbox_finds_the_next_generation_of_the_next_one_ready(self) -> None:
        self.one(0, reset=False)
        self.one(1, reset=False)
        self.assertFalse(self.one(2))
        self.assertTrue(self.one(3))
        self.assertTrue(self.one(4))
        self.one(5, reset=False)
        self.assertFalse(self.one(6), "the last was not reset")
        self.assertTrue(self.one(7))

    def test_but_not_where_there_are_many(self) -> None:
        self.one(0)
        self.assertTrue(self.one(1))
        many = [Sandbox(config(environment={"OTHER": str(number)})) for number in range(16)]
        self.assertFalse(self.one(2))
        for sb in many:  # or the last one would say that nobody resets any more
            sb.reset()
            sb.delete()
        self.assertTrue(self.one(3))

    def test_of_one_that_was_made_ahead_too(self) -> None:
        for _ in range(3):
            with Sandbox(config()) as sb:
                self.waited(sb)
        self.assertEqual(len(waiting()), 1)
        with self.third(True) as sb:
            self.assertTrue(self.waited(sb))
            self.assertTrue(self.waited(sb))

    def test_one_that_was_put_off_and_is_needed_at_once_is_as_any_other(self) -> None:
        """Right after a pause the next one is begun a moment later, or when it is asked for. How soon that is, is not looked at."""
        self.two()
        time.sleep(0.1)
        with self.third(True) as first, Sandbox(config()) as second, Sandbox(config()) as third:
            for sb in (first, second, third):
                self.assertEqual(sb.run("hostname").output, f"{sb.name}\n")


class Names(Twins):
    def everywhere(self, sb: Sandbox, name: str) -> None:
        text = "hostname; echo $HOSTNAME; cat /etc/hostname; tail -n 1 /etc/hosts; wc -l </etc/hosts; sh -c 'echo $HOSTNAME'"
        says = f"{name}\n{name}\n{name}\n127.0.0.1\t{name}\n7\n{name}\n"
        self.assertEqual(sb.run(text).output, says)
        self.assertEqual(sb.run(["sh", "-c", text]).output, says)
        self.assertEqual(sb.run(text, clean=True).output, says)
        session = sb.session("s")
        self.assertEqual(session.run(text).output, says)
        self.assertEqual(sb.name, "third")
        self.assertIn("third", names())

    def test_all_of_it_has_the_name_that_was_asked_for(self) -> None:
        self.two()
        with self.third(True) as sb:
            self.everywhere(sb, "third")
            for _ in range(3):
                sb.run("echo x >/etc/hosts; hostname y; echo z >/left")
                sb.reset()
                self.everywhere(sb, "third")
            sb.run("echo 1 >/one")
            sb.snapshot("one")
            sb.run("rm /one")
            sb.restore("one")
            self.everywhere(sb, "third")
            self.assertEqual(sb.run("cat /one").output, "1\n")
            with sb.fork(1)[0] as branch:
                self.assertEqual(branch.run("hostname; echo $HOSTNAME; cat /one").output,
                                 f"{branch.name[:63]}\n{branch.name[:63]}\n1\n")

    def test_and_the_host_name(self) -> None:
        self.two(hostname="other")
        with self.third(True, hostname="other") as sb:
            self.everywhere(sb, "other")
        with self.third(True, hostname="again") as sb:
            self.everywhere(sb, "again")
            sb.reset()
            self.everywhere(sb, "again")

    def test_one_whose_next_state_stands_ready(self) -> None:
        self.two(spare=True)
        with self.third(True, spare=True) as sb:
            self.everywhere(sb, "third")
            time.sleep(0.1)
            sb.reset()
            self.everywhere(sb, "third")

    def test_with_all_powers(self) -> None:
        fields = {"cap_add": ["ALL"]}
        self.two(**fields)
        with self.third(True, **fields) as sb:
            self.everywhere(sb, "third")
            sb.reset()
            self.everywhere(sb, "third")

    def test_on_an_image_without_bash(self) -> None:
        root = self.tree()
        for path in {*root.glob("bin/bash"), *root.glob("usr/bin/bash")}:
            path.unlink(missing_ok=True)
        self.two(image=str(root))
        with self.third(True, image=str(root)) as sb:
            self.assertEqual(sb.run("echo $0 $HOSTNAME; hostname").output, "sh third\nthird\n")

    def test_without_a_name_it_gets_one(self) -> None:
        self.two()
        time.sleep(0.3)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        with Sandbox(config()) as sb:
            self.assertTrue(shell_is_older(sb, now - 0.05))
            self.assertRegex(sb.name, "^[0-9a-f]{12}$")
            self.assertEqual(sb.run("hostname").output, f"{sb.name}\n")

    def test_a_name_that_is_taken_is_told_and_the_one_that_waits_is_not_lost(self) -> None:
        self.two()
        with Sandbox(config(), name="here"):
            was = waiting()
            with self.assertRaisesRegex(SandboxError, "name 'here' is taken") as raised:
                Sandbox(config(), name="here")
            self.assertEqual(raised.exception.code, "EXISTS")
            self.assertEqual(waiting(), was)
        with self.third(True, name="here") as sb:
            self.assertEqual(sb.run("echo well; hostname").output, "well\nhere\n")


class Same(Twins):
    maxDiff = None

    def around(self, sb: Sandbox) -> str:
        """Once nothing changes any more: what is made ready beside it has sockets for a moment."""
        said = [sb.run(AROUND).output]
        while len(said) < 50:
            time.sleep(0.2)
            said.append(sb.run(AROUND).output)
            if said[-1] == said[-2]:
                break
        return said[-1]

    def test_what_runs_in_it_finds_what_is_in_any_other(self) -> None:
        os.mkdir(volume := self.directory() / "v")
        fields = {"hostname": "h", "environment": {"A": "b c"}, "volumes": [f"{volume}:/v:cow"], "working_dir": "/tmp"}
        with Sandbox(config(**fields)) as sb:
            sb.run("true")
        with Sandbox(config(**fields), name="second") as sb:  # its shell was started with it, too
            first = self.around(sb)
        with self.third(True, **fields) as sb:
            self.assertEqual(self.around(sb), first)
            self.assertGreater(len(first.splitlines()), 200)
            sb.run("echo x >/left; cd /; x=1; false")
            sb.reset()
            self.assertEqual(self.around(sb), first)

    def test_its_age_is_from_when_it_was_asked_for(self) -> None:
        self.two()
        time.sleep(2.1)
        now = time.time()
        with self.third(True):
            self.assertGreaterEqual((HOME / "run" / "third").stat().st_mtime, now - 1)

    def test_nobody_sees_it(self) -> None:
        self.two()
        time.sleep(0.1)
        self.assertEqual(names(), set())
        Sandbox.cleanup_stale()
        self.assertEqual(waiting(), [])

    def test_many_threads(self) -> None:
        said: list[str] = []

        def lives(thread: int) -> None:
            for number in range(8):
                with Sandbox(config(), name=f"t{thread}-{number}") as sb:
                    said.append(sb.run("echo $HOSTNAME; ls /left 2>/dev/null; echo x >/left").output)

        threads = [threading.Thread(target=lives, args=(thread,)) for thread in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(said), sorted(f"t{thread}-{number}\n" for thread in range(6) for number in range(8)))


class Changes(Twins):
    """What a start would find otherwise by now: then it is another one."""

    def test_of_what_is_asked_for(self) -> None:
        self.two(environment={"A": "1"})
        with self.third(False, environment={"A": "2"}) as sb:
            self.assertEqual(sb.run("echo $A").output, "2\n")
        with self.third(True, environment={"A": "1"}) as sb:
            self.assertEqual(sb.run("echo $A").output, "1\n")
        for fields in ({"read_only": True}, {"ulimits": {"nofile": 100}}, {"shm_size": "1m"}, {"tmpfs": ["/t"]}, {"network": "host"},
                       {"cap_drop": ["ALL"]}, {"user": "1000"}, {"sysctls": {"net.ipv4.ip_forward": "1"}}):
            with self.subTest(str(fields)):
                try:
                    with self.third(False, environment={"A": "1"}, **fields):
                        pass
                except SandboxError as failure:  # a user without ids cannot have all of these
                    self.assertIn(failure.code, ("UNSUPPORTED", "PERMISSION"))

    def test_of_programs(self) -> None:
        root = self.tree()
        self.two(image=str(root))
        time.sleep(0.1)
        (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
        program = root / "usr/local/bin/env"
        program.write_text("#!/bin/sh\necho new\n")
        program.chmod(0o755)
        with self.third(False, image=str(root)) as sb:
            self.assertEqual(sb.run("env").output, "new\n")
        self.assertEqual(len(waiting()), 1)
        time.sleep(0.1)
        (root / "etc/profile.new").write_text("new\n")
        with self.third(False, image=str(root)) as sb:
            self.assertEqual(sb.run("cat /etc/profile.new").output, "new\n")

    def test_of_the_root_directory(self) -> None:
        root = self.tree()
        self.two(image=str(root))
        root.rename(root.with_name("old"))
        shutil.copytree(root.with_name("old"), root, symlinks=True)
        (root / "srv").mkdir(exist_ok=True)
        (root / "srv/mark").write_text("other")
        with self.third(False, image=str(root)) as sb:
            self.assertEqual(sb.run("cat /srv/mark").output, "other")
        shutil.rmtree(root)
        with self.assertRaisesRegex(SandboxError, "root"):
            Sandbox(config(image=str(root)))

    def test_of_volumes(self) -> None:
        top = self.directory()
        (top / "dir").mkdir()
        (top / "file").write_text("1")
        fields = {"volumes": [f"{top}/dir:/dir:rw", f"{top}/file:/file:cow"]}
        self.two(**fields)
        (top / "dir/in").write_text("in")  # what is shown is shown as it is
        with self.third(True, **fields) as sb:
            self.assertEqual(sb.run("cat /dir/in /file").output, "in1")
        (top / "file").write_text("23")  # this one is a copy
        with self.third(False, **fields) as sb:
            self.assertEqual(sb.run("cat /dir/in /file").output, "in23")
        (top / "dir").rename(top / "old")
        (top / "dir").mkdir()
        (top / "dir/in").write_text("another")
        with self.third(False, **fields) as sb:
            self.assertEqual(sb.run("cat /dir/in /file").output, "another23")

    @unittest.skipIf(os.geteuid(), "mounts are root's")
    def test_of_mounts_below_a_volume(self) -> None:
        top = self.directory()
        (top / "sub").mkdir()
        fields = {"volumes": [f"{top}:/v:ro"]}
        self.two(**fields)
        if subprocess.run(["mount", "-t", "tmpfs", "none", str(top / "sub")], capture_output=True).returncode:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", str(top / "sub")], check=True)
        (top / "sub/in").write_text("mounted")
        with self.third(False, **fields) as sb:
            self.assertEqual(sb.run("cat /v/sub/in").output, "mounted")

    KILLED = """
import ctypes, os, signal, time
from pathlib import Path
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: the nursery is ours, and no keeper of others is killed
from hutch import Sandbox
from world import config

def children(pid):
    return [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

def live(times):
    for number in range(times):
        with Sandbox(config(), name="third") as sb:
            assert sb.run(f"echo {number}; hostname").output == f"{number}\\nthird\\n"

def at_rest():  # those of the last ones take a moment to end, and the next one to begin
    seen = [[]]
    for _ in range(100):
        time.sleep(0.1)
        seen.append(sorted(pid for nursery in children(os.getpid()) for pid in children(nursery)))
        if seen[-1] == seen[-2] and len(seen[-1]) == 2:
            break
    return seen

for _ in range(3):
    live(2)
    *_, keepers = seen = at_rest()
    assert len(keepers) == 2, seen  # the one that waits, and one without a plan
    for pid in keepers:
        os.kill(pid, signal.SIGKILL)
    while any(os.path.exists(f"/proc/{pid}") for pid in keepers):
        time.sleep(0.001)
    live(4)
print("well")
"""

    def test_the_end_of_what_waits(self) -> None:
        done = subprocess.run([sys.executable, "-c", self.KILLED], capture_output=True, text=True,
                              cwd=os.path.dirname(os.path.abspath(__file__)))
        self.assertEqual((done.stdout, done.stderr), ("well\n", ""))


class Ends(Twins):
    CODE = """
import os, signal, sys
from hutch import Sandbox
from world import config
for number in range(int(sys.argv[1])):
    with Sandbox(config()) as sb:
        sb.run("true")
print("made", flush=True)
exec(sys.argv[2])
"""

    def program(self, end: str, times: int = 3) -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, "-c", self.CODE, str(times), end], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, cwd=os.path.dirname(os.path.abspath(__file__)))

    def nothing_is_left(self) -> None:
        deadline = time.monotonic() + 20
        while (waiting() or list((HOME / "data/boxes").glob(".next.*"))) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual([waiting(), list((HOME / "data/boxes").glob(".next.*"))], [[], []])

    def test_nothing_is_left_of_a_program_however_it_ends(self) -> None:
        """And nobody has to come by."""
        for end in ("signal.pause()", "pass", "os._exit(3)", "os.kill(os.getpid(), 9)", "raise SystemExit", "1 / 0"):
            with self.subTest(end):
                process = self.program(end)
                self.assertEqual(made(process), "made\n")
                if end == "signal.pause()":
                    self.assertEqual(len(waiting()), 1)
                    process.kill()
                process.communicate()
                self.nothing_is_left()

    def test_nor_of_those_that_it_had(self) -> None:
        code = """
import os, signal
from hutch import Sandbox
from world import config
boxes = [Sandbox(config()) for _ in range(5)]
for sb in boxes:
    sb.run("echo x >/left; sleep 1000 &")
boxes[0].reset()
print("made", flush=True)
signal.pause()
"""
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                                   cwd=os.path.dirname(os.path.abspath(__file__)))
        self.assertEqual(made(process), "made\n")
        self.assertEqual(len(names()), 5)
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 20
        left = [HOME / "run", HOME / "data/boxes", HOME / "data/trash"]
        while any(path.is_dir() and path.name != ".free" for top in left for path in top.iterdir()):
            self.assertLess(time.monotonic(), deadline, str([list(top.iterdir()) for top in left]))
            time.sleep(0.02)

    def test_a_forked_child_has_its_own(self) -> None:
        self.two()
        was = [inode(path) for path in waiting()]
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for number in range(3):
                    with Sandbox(config(), name="child") as sb:
                        assert sb.run("hostname").output == "child\n"
                        assert inode(HOME / "run/child") not in was
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual([inode(path) for path in waiting() if inode(path) in was], was)
        with Sandbox(config(), name="third") as sb:
            self.assertEqual(sb.run("hostname").output, "third\n")
            self.assertIn(inode(HOME / "run/third"), was)
