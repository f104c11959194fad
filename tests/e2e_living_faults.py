# SPDX-License-Identifier: Apache-2.0
"""What a living sandbox must survive: floods of output, bytes that are no text, texts and environments that are too
large, no space and no inodes, stopped trees, orphans, limits set from inside, files that are taken away, and state and
data directories that are removed below it.

In each case a call has the right result or one clear line, in good time; a reset mends all. e2e_living_races.py
has callers that want the same thing at once; src/api/endure_test.c is about the same for programs.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path

from e2e_living import Box, LivingCase, keepers
from lib import census, needs, only
from lib.extra import MANY_IDS, PYTHON, fields_of, inside_a_mount, states, wait_for
from lib.persona import is_root_of_machine

HOST = ("--host",)
GIGABYTE = 1 << 30
EVERY_BYTE = bytes(range(256))
EVERY_WORD = bytes(range(1, 256))  # what an argument can have
ODD_NAME = b"\xff\xfe \n\t\"\\\x1b[31m-\xc3("
with_python = needs(bool(PYTHON), "there is no python3 in /usr")


def peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    return int(fields_of(Path(f"/proc/{pid}/status").read_text())["VmHWM"].split()[0]) << 10


class FaultCase(LivingCase):
    def tearDown(self) -> None:
        for name in self.hutch("ps", "-aq").out.split():
            self.hutch("rm", name)
        super().tearDown()

    def say(self, box: Box, *words, **options):
        """hutch exec --session s: the last of @words is the text."""
        return self.hutch("exec", "--session", "s", *words[:-1], box.name, words[-1], **options)

    def bytes_of(self, *words, stream: str = "out", code: int = 0, **options) -> bytes:
        result = self.hutch(*words, **options)
        self.assertEqual(result.code, code, str(result))
        return getattr(result, stream).encode("utf-8", "surrogateescape")

    def right_or_clear(self, result, out: str | None = None, seconds: float = 5) -> bool:
        """It did what it was asked for, or said in one line why not. Whether it did."""
        self.assertLess(result.seconds, seconds, str(result))
        if result.code == 0:
            if out is not None:
                self.assertEqual(result.out, out, str(result))
            return True
        self.assertGreater(result.code, 0, str(result))
        if result.code in (124, 125, 126, 127):
            self.assertEqual(len(result.err.strip().splitlines()), 1, str(result))
        return False

    def assert_well(self, box: Box, what: str = "") -> None:
        """All ways in work."""
        self.assertEqual(self.inside_ok(box, "echo x >/tmp/well; cat /tmp/well; rm /tmp/well"), "x\n", what)
        result = self.say(box, "echo y; sh -c 'exit 3'")
        self.assertEqual((result.code, result.out), (3, "y\n"), f"{what}\n{result}")
        self.run_ok("exec", "-d", "--job", "well", box.name, "sh", "-c", "echo z")
        self.assertEqual(self.run_ok("wait", box.name, "well").out, "0\n", what)
        self.assertEqual(self.run_ok("logs", box.name, "well").out, "z\n", what)
        self.run_ok("job", "stop", box.name, "well")


# ---- output -----------------------------------------------------------------------------------------


class Output(FaultCase):
    def flooded(self, *words) -> tuple[int, bytes, int]:
        """What hutch with @words writes on a pipe: how many bytes, the last ones, and the most memory it had."""
        process = self.start(*words, bufsize=0)
        count, last, most = 0, b"", 0
        while part := os.read(process.stdout.fileno(), 1 << 20):
            count += len(part)
            last = (last + part)[-8:]
            if count > GIGABYTE - (64 << 20) and not most:
                most = peak(process.pid)
        result = self.finish(process)
        self.assertEqual((result.code, result.err), (3, ""), str(result))
        return count, last, most

    @only("root", "plain")
    def test_a_gigabyte_comes_whole_and_takes_no_memory(self):
        box = self.create()
        text = f"head -c {GIGABYTE} /dev/zero; echo end; exit 3"
        for words in (("exec", box.name, "sh", "-c", text), ("exec", "--session", "s", box.name, f"({text})")):
            count, last, most = self.flooded(*words)
            self.assertEqual((count, last), (GIGABYTE + 4, b"\0\0\0\0end\n"), words[1])
            self.assertLess(most, 24 << 20, f"{words[1]}: bytes of memory")
        self.rm_ok(box)

    @only("root", "plain")
    def test_a_gigabyte_of_a_job_is_counted_and_takes_no_memory(self):
        box = self.create()
        self.run_ok("exec", "-d", "--job", "big", "--keep", "1k", box.name, "sh", "-c",
                    f"head -c {GIGABYTE} /dev/zero; echo end")
        before = peak(box.keeper)
        self.assertEqual(self.run_ok("wait", box.name, "big").out, "0\n")
        (one,) = json.loads(self.run_ok("jobs", "--json", box.name).out)
        self.assertEqual((one["written"], one["kept"]), (GIGABYTE + 4, 1024))
        self.assertEqual(self.bytes_of("logs", box.name, "big"), b"\0" * 1020 + b"end\n")
        self.assertLess(peak(box.keeper) - before, 4 << 20, "bytes of the keeper")
        self.rm_ok(box)


# ---- bytes ------------------------------------------------------------------------------------------


class Bytes(FaultCase):
    def test_output_of_any_bytes_comes_as_it_was_written(self):
        box = self.create()
        data = EVERY_BYTE * 1000
        self.run_ok("cp", self.write("bytes", data), f"{box.name}:/tmp/bytes")
        for stream, to in (("out", ""), ("err", " >&2")):
            text = "cat /tmp/bytes" + to
            self.assertEqual(self.bytes_of("exec", box.name, "sh", "-c", text, stream=stream), data)
            self.assertEqual(self.bytes_of("exec", "--session", "s", box.name, text, stream=stream), data)
            self.run_ok("exec", "-d", "--job", "j" + stream, box.name, "sh", "-c", text)
            self.run_ok("wait", box.name, "j" + stream)
            self.assertEqual(self.bytes_of("logs", box.name, "j" + stream), data)
        self.assertEqual(self.bytes_of("exec", "-i", box.name, "cat", input=data), data)
        self.rm_ok(box)

    def test_words_texts_and_variables_of_any_bytes_arrive(self):
        box = self.create()
        self.assertEqual(self.bytes_of("exec", box.name, "printf", "%s", EVERY_WORD), EVERY_WORD)
        self.assertEqual(self.bytes_of("exec", "-e", b"X=" + EVERY_WORD, box.name, "sh", "-c", 'printf %s "$X"'), EVERY_WORD)
        quoted = b"'" + EVERY_WORD.replace(b"'", b"'\\''") + b"'"
        self.assertEqual(self.bytes_of("exec", "--session", "s", box.name, b"printf %s " + quoted), EVERY_WORD)
        self.assertEqual(self.bytes_of("exec", "--session", "s", "-e", b"X=" + EVERY_WORD, box.name, 'printf %s "$X"'), EVERY_WORD)
        self.run_ok("exec", "-d", "--job", "odd", box.name, "printf", "%s", EVERY_WORD)
        self.run_ok("wait", box.name, "odd")
        self.assertEqual(self.bytes_of("logs", box.name, "odd"), EVERY_WORD)
        (one,) = json.loads(self.run_ok("jobs", "--json", box.name).out)  # which is UTF-8, whatever the words were
        self.assertEqual(one["id"], "odd")
        self.assertEqual(len(self.run_ok("jobs", box.name).out.splitlines()), 2, "a line break of a word is none of the list")
        self.rm_ok(box)

    def test_names_of_any_bytes_are_copied_compared_kept_and_put_back(self):
        box = self.create()
        place = os.fsencode(self.mkdir("odd"))
        with open(os.path.join(place, ODD_NAME), "wb") as file:
            file.write(EVERY_BYTE)
        os.symlink(ODD_NAME, os.path.join(place, b"link\xff"))
        inside = box.name.encode() + b":/root/"
        self.run_ok("cp", place, inside + ODD_NAME)
        want = [b"", b"A /root/" + ODD_NAME, b"A /root/" + ODD_NAME + b"/" + ODD_NAME, b"A /root/" + ODD_NAME + b"/link\xff"]
        self.assertEqual(sorted(self.bytes_of("diff", "-z", box.name).split(b"\0")), sorted(want))
        self.run_ok("snapshot", box.name, "odd")
        self.run_ok("exec", box.name, "rm", "-r", b"/root/" + ODD_NAME)
        self.assertEqual(self.bytes_of("diff", "-z", box.name, "odd"), b"D /root/" + ODD_NAME + b"\0")
        self.run_ok("restore", box.name, "odd")
        self.assertEqual(self.bytes_of("exec", "-w", b"/root/" + ODD_NAME, box.name, "cat", b"link\xff"), EVERY_BYTE)
        result = self.hutch("exec", "--session", "s", "-w", b"/root/" + ODD_NAME, box.name, "pwd; ls | wc -l")
        self.assertEqual((result.code, result.out.encode("utf-8", "surrogateescape")), (0, b"/root/" + ODD_NAME + b"\n3\n"))
        self.run_ok("cp", inside + ODD_NAME, self.tmp / "back")
        back, odd = ({name: (was[0], was[3]) for name, was in census.tree(self.tmp / at).items()} for at in ("back", "odd"))
        self.assertEqual(back, odd)
        self.rm_ok(box)

    def test_names_that_are_no_text_are_refused_where_names_are_text(self):
        box = self.create()
        for words in (("create", *HOST, b"\xff"), ("snapshot", box.name, b"\xff"), ("snapshot", box.name, b"a\nb"),
                      ("exec", "-d", "--job", b"\xff", box.name, "true"), ("fork", box.name, b"\xff\n")):
            self.assert_fails(self.hutch(*words), 125)
        self.assert_well(box)
        self.rm_ok(box)


# ---- large ------------------------------------------------------------------------------------------


class Large(FaultCase):
    WORDS = ["x" * 100_000] * 10

    def test_a_megabyte_of_words_or_text_arrives(self):
        box = self.create()
        count = 'echo $#; for w; do n=$((n + ${#w})); done; echo $n'
        self.assertEqual(self.run_ok("exec", box.name, "sh", "-c", count, "sh", *self.WORDS).out, "10\n1000000\n")
        self.run_ok("exec", "-d", "--job", "j", box.name, "sh", "-c", count, "sh", *self.WORDS)
        self.assertEqual(self.run_ok("wait", box.name, "j").out, "0\n")
        self.assertEqual(self.run_ok("logs", box.name, "j").out, "10\n1000000\n")
        text = ("f() { echo $#; }; f", *self.WORDS, "; echo end")
        self.assertEqual(self.run_ok("exec", "--session", "s", box.name, *text).out, "10\nend\n")
        self.rm_ok(box)

    def test_what_execve_refuses_is_said_in_one_line(self):
        box = self.create("--ulimit", "stack=1048576")
        for words in ((), ("-d",), ("--timeout", "5")):
            result = self.hutch("exec", *words, box.name, "printf", *["a" * 100] * 8_000)
            self.assert_fails(result, 126, "printf", "rgument list too long")
            self.assertEqual(result.out, "")
        result = self.say(box, "x=$(printf %0300000d 1); /usr/bin/true $x; echo $?")
        self.assertEqual((result.code, result.out), (0, "126\n"), str(result))
        self.assertIn("rgument list too long", result.err)
        self.assertEqual(json.loads(self.run_ok("jobs", "--json", box.name).out), [])
        self.assert_well(box)
        self.rm_ok(box)

    def test_an_environment_that_is_too_large_is_said_in_one_line(self):
        box = self.create()
        one = self.write("one", "BIG=" + "x" * 200_000 + "\n")  # Linux: 131,072 bytes at most
        many = self.write("many", "".join(f"V{n}={'x' * 1000}\n" for n in range(4000)))
        for variables in (one, many):
            for words in (("exec",), ("exec", "-d"), ("exec", "--session", "s")):
                result = self.hutch(*words, "--env-file", variables, box.name, "true")
                if words[-1] == "s" and result.code == 0:  # a shell keeps what no command can be given
                    self.assertEqual(self.say(box, "exit 0").code, 0)
                    continue
                self.assertIn(result.code, (125, 126), str(result)[:2000])
                self.assertEqual(len(result.err.strip().splitlines()), 1, str(result)[:2000])
                self.assertIn("too long", result.err, str(result)[:2000])
        self.assert_well(box)
        self.rm_ok(box)


# ---- no room ----------------------------------------------------------------------------------------

FILL = "exec 2>/dev/null; head -c 200m /dev/zero >/big; while head -c 512 /dev/zero >>/rest; do :; done; :"
MANY = "exec 2>/dev/null; mkdir -p /many; cd /many; i=$$00000; while : >f$i; do i=$((i+1)); done; :"


class NoRoom(FaultCase):
    def everything(self, box: Box) -> None:
        """Each call does what it is asked for or says in one line why not; a reset mends all."""
        data = self.write("more", b"y" * 50_000)
        self.right_or_clear(self.inside(box, "echo x"), "x\n")
        self.right_or_clear(self.hutch("exec", "--timeout", "9", box.name, "cat", "/etc/passwd"))
        self.right_or_clear(self.say(box, "echo x"), "x\n")
        self.right_or_clear(self.say(box, "A=1; cd /usr; pwd"), "/usr\n")
        self.right_or_clear(self.hutch("exec", "-d", "--job", "j", box.name, "sh", "-c", "echo x"))
        self.right_or_clear(self.hutch("cp", data, f"{box.name}:/tmp/more"))
        self.right_or_clear(self.hutch("cp", f"{box.name}:/etc/passwd", self.tmp / "passwd"))
        self.right_or_clear(self.hutch("diff", box.name))
        self.right_or_clear(self.hutch("snapshot", box.name, "full"))
        self.right_or_clear(self.hutch("fork", box.name, "forked"))
        self.hutch("rm", "forked")
        self.reset_ok(box)
        self.assert_well(box)

    def test_no_space_in_memory(self):
        box = self.create("--upper", "tmpfs:8m")
        for _ in range(2):
            self.inside(box, FILL)
            self.assertNotEqual(self.inside(box, "echo xxxx >/etc/new").code, 0, "there is room still")
            self.everything(box)
        self.rm_ok(box)

    def on_a_small_disk(self, options: str, fill: str) -> None:
        """Changes, names and snapshots are on a disk that the inside fills."""
        with inside_a_mount(self, "small", "tmpfs", options) as small:
            env = {"HUTCH_HOME": str(small)}

            def hutch(*words):
                return self.hutch(*words, env=env)

            self.assertEqual((made := hutch("create", "--rootfs", self.rootfs, "full")).code, 0, str(made))
            for _ in range(2):
                for _ in range(2):  # what the first pass made room for, by its end
                    self.assertEqual(hutch("exec", "full", "bash", "-c", fill).code, 0)
                self.assertNotEqual(hutch("exec", "full", "sh", "-c", "mkdir /etc/new && head -c 100000 /dev/zero >/etc/new/x").code,
                                    0, "there is room still")
                self.right_or_clear(hutch("exec", "full", "printf", "x\\n"), "x\n")
                self.right_or_clear(hutch("exec", "--session", "s", "full", "echo x"), "x\n")
                self.right_or_clear(hutch("exec", "-d", "full", "printf", "x\\n"))
                self.right_or_clear(hutch("create", "--rootfs", self.rootfs, "other"))
                self.right_or_clear(hutch("snapshot", "full"))
                self.right_or_clear(hutch("diff", "full"))
                if not self.right_or_clear(hutch("reset", "full")):  # then it is stopped, and can be made anew
                    self.assertEqual(hutch("rm", "full").code, 0)
                    self.assertEqual(hutch("cleanup", "--all").code, 0)
                    self.assertEqual((made := hutch("create", "--rootfs", self.rootfs, "full")).code, 0, str(made))
                hutch("rm", "other")
                self.assertEqual(hutch("cleanup").code, 0)
                result = hutch("exec", "--session", "s", "full", "echo x >/etc/new; cat /etc/new; ls /big /many 2>/dev/null")
                self.assertEqual(result.out, "x\n", str(result))
            self.assertEqual(hutch("rm", "full").code, 0)
            self.assertEqual(hutch("cleanup", "--all").code, 0)

    @only("root", "plain")
    def test_no_space_on_disk(self):
        self.on_a_small_disk("size=8m", FILL)

    @only("root", "plain")
    def test_no_inodes_on_disk(self):
        self.on_a_small_disk("size=64m,nr_inodes=600", MANY)

    @only("root", "plain")
    def test_few_inodes_on_disk(self):
        """Each step gets a little further. What is said to be done is, and what was there stays, and can be written to."""
        steps = ("create --rootfs ROOT made", "snapshot full", "fork full made", "restore --keep-processes full zero", "restore full zero",
                 "exec full sh -c 'echo x >/d/x'")
        with inside_a_mount(self, "small", "tmpfs", "size=64m,nr_inodes=1500") as small:
            env = {"HUTCH_HOME": str(small)}

            def hutch(*words):
                return self.hutch(*words, env=env)

            self.assertEqual((made := hutch("create", "--rootfs", self.rootfs, "full")).code, 0, str(made))
            self.assertEqual(hutch("exec", "full", "sh", "-c", "echo here >/here; mkdir /d").code, 0)
            self.assertEqual((made := hutch("snapshot", "full", "zero")).code, 0, str(made))
            ballast = small / "ballast"
            ballast.mkdir()
            for free in range(0, 26):
                for step in steps:
                    what = f"{free} free: {step}"
                    self.assertEqual((done := hutch("exec", "full", "sh", "-c", "echo new >/new")).code, 0, f"{what}\n{done}")
                    n = 0
                    while os.statvfs(small).f_favail > free:
                        (ballast / str(n)).touch()
                        n += 1
                    done = hutch(*[str(self.rootfs) if word == "ROOT" else word for word in shlex.split(step)])
                    shutil.rmtree(ballast)
                    ballast.mkdir()
                    self.assertIn(done.code, (0, 1, 2, 125), f"{what}\n{done}")
                    self.assertEqual(hutch("cleanup").code, 0, what)
                    if step.split()[0] in ("create", "fork") and done.code == 0:
                        self.assertEqual((now := hutch("exec", "made", "touch", "/w")).code, 0, f"{what}\n{now}")
                    hutch("rm", "-f", "made")
                    now = hutch("exec", "full", "sh", "-c", "cat /here; echo w >/w; cat /w; rm /w")
                    self.assertEqual(now.out, "here\nw\n", f"{what}\n{done}\n{now}")
                    restored = step.split()[0] == "restore" and (done.code == 0 or "it was done" in done.err)
                    now = hutch("exec", "full", "cat", "/new")
                    self.assertEqual(now.out, "" if restored else "new\n", f"{what}\n{done}\n{now}")
            self.assertEqual(hutch("rm", "full").code, 0)
            self.assertEqual(hutch("cleanup", "--all").code, 0)


# ---- limits set from inside -------------------------------------------------------------------------

SET_LIMITS = """
import os, resource, sys
kind, value = getattr(resource, "RLIMIT_" + sys.argv[1]), int(sys.argv[2])
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    try:
        if pid != os.getpid():
            resource.prlimit(pid, kind, (value, value))
            print(pid)
    except OSError:
        pass
"""


class Limits(FaultCase):
    @only("root", "plain")
    @with_python
    def test_those_of_all_that_can_be_named_harm_nothing_that_comes_later(self):
        box = self.create(root=HOST)
        data = self.write("data", b"y" * 1000)
        for kind in ("NOFILE", "NPROC", "CPU", "FSIZE", "AS", "DATA", "STACK"):
            for value in ("0", "1"):
                what = f"RLIMIT_{kind} {value}"
                self.assertEqual(self.say(box, "A=1; echo warm").out, "warm\n", what)
                done = self.hutch("exec", box.name, PYTHON, "-c", SET_LIMITS, kind, value)
                self.assertGreaterEqual(len(done.out.split()), 1, f"{what}: none could be set\n{done}")
                # What the shell of the session says is its own affair; it is over in time.
                result = self.say(box, "--timeout", "1", "echo x; /usr/bin/true; echo y >/tmp/y")
                self.assertLess(result.seconds, 4, f"{what}\n{result}")
                self.assertTrue(result.code != 0 or result.out == "x\n", f"{what}\n{result}")
                # What is new has the limits of the start.
                self.assertEqual(self.inside_ok(box, "echo x >/tmp/x; cat /tmp/x; (echo y)"), "x\ny\n", what)
                result = self.hutch("exec", "--session", "new", box.name, "sh -c 'echo x'")
                self.assertEqual((result.code, result.out, result.err), (0, "x\n", ""), f"{what}\n{result}")
                self.run_ok("cp", data, f"{box.name}:/tmp/data")
                self.run_ok("cp", f"{box.name}:/tmp/data", self.tmp / "back")
                self.assertEqual((self.tmp / "back").read_bytes(), data.read_bytes(), what)
                self.run_ok("snapshot", box.name)
                self.reset_ok(box)
                self.assert_well(box, what)
        self.rm_ok(box)


# ---- what is stopped, what has ended ----------------------------------------------------------------


class Descriptors(FaultCase):
    @only("root", "plain")
    @needs(is_root_of_machine, "the test connects in the persona's name")
    def test_a_keeper_that_has_none_left_lets_others_wait_and_does_not_spin(self):
        before = keepers()
        self.shell(f'ulimit -n 60; "$HUTCH" create --rootfs {self.rootfs} box')
        (keeper,) = keepers() - before
        held = []
        try:
            for _ in range(80):
                held.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                held[-1].connect(f"{self.home}/run/box/sock")
            waiting = self.start("exec", "box", "sh", "-c", "echo x")
            time.sleep(0.3)
            used = self.processor_seconds(keeper)
            time.sleep(0.7)
            if waiting.poll() is not None:
                self.fail(f"there was no room\n{self.finish(waiting)}")
            self.assertLess(self.processor_seconds(keeper) - used, 0.2)
        finally:
            for one in held:
                one.close()
        self.right_or_clear(self.finish(waiting, timeout=10), "x\n")  # the first that left may have made room for it alone
        self.assertEqual(self.run_ok("exec", "box", "sh", "-c", "echo y").out, "y\n")
        self.run_ok("rm", "box")

    def processor_seconds(self, pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Processes(FaultCase):
    STOPPED = "exec >/dev/null 2>&1; for i in 1 2 3; do setsid sleep 4731 & done; echo x >/root/f; sleep 0.2; kill -STOP -1; :"

    def test_what_is_stopped_stays_so_through_a_snapshot_and_is_gone_after_a_restore(self):
        box = self.create()
        self.say(box, "A=1")
        self.inside(box, self.STOPPED)
        wait_for(lambda: states("sleep 4731") == "TTT", what="three that are stopped")
        for words in (("snapshot", box.name, "one"), ("diff", box.name), ("fork", box.name, "forked"), ("snapshot", box.name, "two")):
            result = self.run_ok(*words)
            self.assertLess(result.seconds, 5, str(result))
            wait_for(lambda: states("sleep 4731") == "TTT", seconds=1, what="nobody let them go on")  # for a moment they are held
        self.assertEqual(self.run_ok("exec", "forked", "cat", "/root/f").out, "x\n")
        self.run_ok("rm", "forked")
        self.assertEqual(self.inside_ok(box, "cat /root/f; rm /root/f"), "x\n")
        self.run_ok("restore", box.name, "one")
        self.assertEqual(states("sleep 4731"), "")
        self.assertEqual(self.inside_ok(box, "cat /root/f"), "x\n")
        self.assert_well(box)
        self.rm_ok(box)

    def test_a_session_whose_shell_is_stopped_holds_up_nobody_but_its_caller(self):
        box = self.create()
        shell = self.say(box, "echo $$").out.strip()
        self.inside_ok(box, f"kill -STOP {shell}")
        result = self.say(box, "--timeout", "0.3", "echo x")
        self.assertEqual(result.code, 124, str(result))
        self.assertLess(result.seconds, 3, str(result))
        self.assertEqual(self.hutch("exec", "--session", "other", box.name, "echo y").out, "y\n")
        self.assertEqual(self.inside_ok(box, "echo z"), "z\n")
        self.assertLess(self.run_ok("snapshot", box.name).seconds, 5)
        shell = self.say(box, "echo $$").out.strip()
        self.inside_ok(box, f"kill -STOP {shell}")
        waits = self.start("exec", "--session", "s", box.name, "echo x")
        time.sleep(1)  # it has asked; to look would be to ask, too
        self.reset_ok(box)
        self.assertNotEqual(self.finish(waits, timeout=5).code, 0, "what was asked of a stopped shell")
        self.assert_well(box)
        self.rm_ok(box)

    def test_orphans_are_reaped_whoever_left_them(self):
        box = self.create()
        leave = "i=0; while [ $i -lt 60 ]; do (sh -c 'sh -c \"exit 3\" & exit 4' &); i=$((i+1)); done; (setsid sleep 0.2 &)"
        for words in (("exec", box.name, "sh", "-c", leave), ("exec", "--timeout", "9", box.name, "sh", "-c", leave),
                      ("exec", "--session", "s", box.name, leave), ("exec", "-d", "--job", "j", box.name, "sh", "-c", leave)):
            self.run_ok(*words)
            children = Path(f"/proc/{box.keeper}/task/{box.keeper}/children")

            def zombies() -> list[str]:
                found = [line for line in self.inside_ok(box, "cat /proc/[0-9]*/stat 2>/dev/null; :").splitlines() if ") Z " in line]
                for pid in children.read_text().split():
                    if " Z " in (Path(f"/proc/{pid}/stat").read_text() if Path(f"/proc/{pid}").exists() else ""):
                        found.append(pid)
                return found

            wait_for(lambda: zombies() == [] and states("sleep 0.2") == "", what=f"the end of all zombies of {words[1]}")
        self.rm_ok(box)


# ---- files ------------------------------------------------------------------------------------------

LEASE = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = [os.open(path, os.O_RDWR) for path in sys.argv[1:]]
for fd in held:
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
time.sleep(60)
"""


class Files(FaultCase):
    def test_a_root_that_is_closed_to_all_is_kept_compared_and_put_back(self):
        box = self.create()
        owner = "chown 1000:1000 / /srv;" if self.persona.name in MANY_IDS else ""
        self.inside_ok(box, f"echo x >/root/f; {owner} chmod 0 /root /srv /")
        look = "stat -c '%a %u' / /root /srv; cat /root/f"
        closed = "0 1000\n0 0\n0 1000\nx\n" if owner else "0 0\n0 0\n0 0\nx\n"
        self.assertEqual(self.inside_ok(box, look), closed)
        self.run_ok("snapshot", box.name, "closed")
        self.assertEqual(self.run_ok("diff", box.name, "closed").out, "")
        self.run_ok("cp", f"{box.name}:/root/f", self.tmp / "f")
        self.assertEqual((self.tmp / "f").read_text(), "x\n")
        self.run_ok("cp", self.tmp / "f", f"{box.name}:/srv/f")
        self.run_ok("fork", box.name, "forked")
        self.assertEqual(self.run_ok("exec", "forked", "sh", "-c", look).out, closed)
        self.run_ok("rm", "forked")
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, "stat -c %a /"), "755\n")
        self.run_ok("restore", box.name, "closed")
        self.assertEqual(self.inside_ok(box, look), closed)
        self.run_ok("stop", box.name)
        self.run_ok("start", box.name)
        self.assertEqual(self.inside_ok(box, look), closed)
        self.run_ok("rm", box.name)
        self.run_ok("cleanup")
        self.nothing_left()

    @only("root", "plain")
    @with_python
    def test_leases_hold_up_nobody_for_long(self):
        box = self.create(root=HOST)
        self.inside_ok(box, "echo x >/root/f")
        files = ("/etc/passwd", "/etc/group", "/root/f")
        holder = self.start("exec", box.name, PYTHON, "-c", LEASE, *files)
        if holder.stdout.readline() != b"leased\n":
            self.skipTest("no leases here")
        calls = [("exec", "-u", "root", box.name, "true"), ("exec", "-d", "-u", "root:root", box.name, "true"),
                 ("cp", f"{box.name}:/root/f", self.tmp / "f"), ("cp", self.write("g", "y\n"), f"{box.name}:/root/f"),
                 ("diff", box.name), ("snapshot", box.name)]
        running = [(words, self.start(*words)) for words in calls]  # at once: each has its own second to wait
        since = time.monotonic()
        for words, process in running:
            result = self.finish(process, timeout=20, since=since)
            self.right_or_clear(result, seconds=12)
        self.reset_ok(box)
        self.assertEqual(self.finish(holder, timeout=5).code, 137)
        self.assertEqual(self.run_ok("exec", "-u", "root", box.name, "id", "-u").out, "0\n")
        self.rm_ok(box)

    def test_fifos_in_the_place_of_files_are_not_waited_for(self):
        box = self.create()
        self.inside_ok(box, "rm /etc/passwd /etc/group; mkfifo /etc/passwd /etc/group; mkdir /root/d; mkfifo /root/d/p; echo x >/root/d/x")
        for words in (("exec", "-u", "user", box.name, "true"), ("exec", "-d", "-u", "user:user", box.name, "true"),
                      ("cp", self.write("g", "y\n"), f"{box.name}:/etc/group")):
            result = self.hutch(*words)
            self.assert_fails(result, 125)
            self.assertLess(result.seconds, 3, str(result))
        self.assertLess(self.hutch("cp", f"{box.name}:/root/d", self.tmp / "d").seconds, 3)
        self.assertEqual((self.tmp / "d/x").read_text(), "x\n")
        self.assertIn("C /etc/passwd\n", self.run_ok("diff", box.name).out)
        self.run_ok("snapshot", box.name, "fifos")
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, "cat /etc/group >/dev/null && echo file"), "file\n")
        self.run_ok("restore", box.name, "fifos")
        self.assertEqual(self.inside_ok(box, "test -p /etc/passwd && test -p /root/d/p && cat /root/d/x"), "x\n")
        self.rm_ok(box)


# ---- its directories --------------------------------------------------------------------------------


class Directories(FaultCase):
    def all_ended(self, seconds: float = 8) -> None:
        """No process is left, whoever could have been asked to end it."""
        def left() -> list[str]:
            census.reap_orphans({process.pid for process in self._started})
            return [what for _, what in census.count_processes().values()]

        wait_for(lambda: left() == [], seconds=seconds, what="the end of all processes")

    @only("root", "plain")
    def test_without_its_state_directory_it_ends_and_can_be_started_again(self):
        box = self.create("lost")
        self.inside_ok(box, "echo kept >/root/f; setsid sleep 4732 >/dev/null 2>&1 &")
        running = self.begin(box, "echo ready; sleep 0.3; exit 3")
        shutil.rmtree(self.home / "run")
        self.assert_fails(self.hutch("exec", "lost", "true"), 125, "lost")
        self.assertEqual(self.finish(running, timeout=9).code, 3, "what runs goes on for a moment")
        self.all_ended()
        result = self.run_ok("start", "lost")
        self.assertIn("may be missing", result.err)
        self.assertEqual(self.run_ok("exec", "lost", "cat", "/root/f").out, "kept\n")
        self.assertEqual(states("sleep 4732"), "")
        self.run_ok("rm", "lost")
        self.nothing_left()

    @only("root", "plain")
    def test_a_start_waits_for_the_end_of_one_that_lost_its_state_directory(self):
        """Else two would write to the same files."""
        self.create("lost")
        self.run_ok("exec", "-d", "lost", "sh", "-c", "while :; do echo x >/root/f; sleep 0.01; done")
        before = {pid for pid, (_, what) in census.count_processes().items() if "keeper" in what}
        shutil.rmtree(self.home / "run")
        self.run_ok("start", "lost")
        census.reap_orphans({process.pid for process in self._started})
        self.assertTrue(before)
        self.assertEqual(before & set(census.count_processes()), set(), "it is there beside the new one")
        self.run_ok("exec", "lost", "true")
        self.run_ok("rm", "lost")
        self.nothing_left()

    @only("root", "plain")
    def test_without_any_directory_a_clean_up_and_a_new_one_work_and_no_process_stays(self):
        self.create("lost")
        self.run_ok("exec", "-d", "lost", "sleep", "4733")
        shutil.rmtree(self.home)
        self.assert_fails(self.hutch("exec", "lost", "true"), 125, "no sandbox has the name 'lost'")
        self.assertEqual(self.run_ok("cleanup", "--all").err, "")
        self.run_ok("create", "--rootfs", self.rootfs, "lost")
        self.assertEqual(self.run_ok("exec", "lost", "printf", "x\\n").out, "x\n")
        self.run_ok("rm", "lost")
        self.all_ended()

    def test_without_the_data_directory_everything_says_so_in_one_line(self):
        box = self.create("lost")
        self.say(box, "A=1")
        shutil.rmtree(self.home / "data")
        for words in (("exec", "lost", "true"), ("exec", "--session", "s", "lost", "true"), ("exec", "-d", "lost", "true"), ("diff", "lost"),
                      ("cp", "lost:/etc/passwd", self.tmp / "f"), ("cp", self.write("g", "y"), "lost:/root/g"), ("snapshot", "lost"),
                      ("fork", "lost", "x"), ("reset", "lost"), ("exec", "lost", "true"), ("reset", "lost")):
            self.right_or_clear(self.hutch(*words))
        result = self.hutch("inspect", "lost")
        self.assertEqual([one["name"] for one in json.loads(result.out)], ["lost"], "JSON, whatever is missing")
        self.assertEqual(self.run_ok("cleanup", "--all").err, "")
        self.create("lost")
        self.run_ok("rm", "lost")
        self.nothing_left()

    def test_without_its_directories_one_of_a_program_goes_on_and_leaves_nothing(self):
        for what in ("run", "data", "."):
            process = self.started_with("ready", "-i", "--name", "own", "--rootfs", self.rootfs, "--", "sh", "-c",
                                        "echo ready; read go; echo x; exit 3", stdin=subprocess.PIPE)
            shutil.rmtree(self.home / what)  # before it ends, and removes things itself
            result = self.finish(process, "go\n", timeout=9)
            self.assertEqual((result.code, result.out), (3, "x\n"), f"{what}\n{result}")
            self.assertEqual(self.run_ok("run", "--name", "own", "--rootfs", self.rootfs, "--", "printf", "x\\n").out, "x\n")
        self.nothing_left()
