# SPDX-License-Identifier: Apache-2.0
"""hutch stop, start, restart, kill; and sandboxes that outlive their keeper, and a reboot."""

import json
import os
import shutil
import time

from e2e_living import Box, LivingCase, state
from lib import only
from lib.extra import MANY_IDS, wait_for

TREE = r"""
umask 022
echo old >/kept; chmod 640 /kept; mkdir -p /empty /deep/a/b; chmod 1777 /empty
echo deep >/deep/a/b/file; ln -s kept /link; ln /kept /hard
rm /etc/passwd; rm -rf /home; mkdir /home; echo new >/home/only
touch -d @1000000000 /deep/a/b/file 2>/dev/null
"""
LOOK = r"""
ls -ldn /kept /empty /deep/a/b/file /link /hard /home /root 2>&1 | sed 's/  */ /g'
cat /kept /deep/a/b/file /home/*; ls -A /empty /home; ls /etc/passwd 2>&1; [ /kept -ef /hard ] && echo one
"""
UNCLEAN = "what was written last may be missing"


class KeptCase(LivingCase):
    def tearDown(self) -> None:
        for name in self.hutch("ps", "-aq").out.split():
            self.hutch("rm", name)
        super().tearDown()

    def ok(self, *words, err: str = "") -> str:
        result = self.hutch(*words)
        self.assertEqual((result.code, result.err), (0, err), str(result))
        return result.out

    def listed(self, name: str) -> str:
        return {one["name"]: one["state"] for one in json.loads(self.ok("ps", "-a", "--json"))}.get(name, "")

    def gone(self, box: Box) -> None:
        """The keeper is killed, as the machine's end would."""
        self.kill(box.keeper)
        self.assertEqual(self.listed(box.name), "dead")


class StopAndStart(KeptCase):
    def test_files_are_as_they_were_and_processes_are_gone(self):
        box = self.create("box")
        self.inside_ok(box, TREE)
        before = self.inside_ok(box, LOOK)
        self.assertIn("one", before)
        for how in (("stop", "-t", "1"), ("stop", "-t", "1"), ("kill",)):
            self.inside_ok(box, "sleep 4711 >/dev/null 2>&1 &")
            self.ok(*how, "box")
            self.assertEqual(self.listed("box"), "stopped")
            self.assertIn(state(box.keeper), ("", "Z"))
            self.assertEqual(self.ok("ps", "-q"), "")
            self.ok("stop", "box")  # it is
            self.ok("start", "box")
            (box.keeper,) = [one["pid"] for one in json.loads(self.ok("ps", "--json"))]
            self.assertEqual(self.inside_ok(box, LOOK), before)
            self.assertEqual(self.sleepers(box), [])
        self.ok("rm", "box")
        self.nothing_left()

    def test_it_is_what_it_was_made_as(self):
        volume, cow = self.give(self.mkdir("volume")), self.give(self.mkdir("cow"))
        self.give(self.write("volume/file", "of the host"))
        box = self.create("--hostname", "house", "-e", "A=b c", "-e", "EMPTY=", "-w", "/work", "-v", f"{volume}:/v",
                          "-v", f"{cow}:/cow:cow", "--tmpfs", "/t", "--stop-signal", "USR1", "box")
        script = "hostname; pwd; echo $A ${EMPTY-unset}; cat /v/file; id -u; ls -A /cow /t"
        before = self.inside_ok(box, script)
        self.inside_ok(box, "echo new >/cow/new; echo x >/t/x; echo w >w; echo v >/v/new")
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, script), before.replace("/cow:\n", "/cow:\nnew\n"))
        self.assertEqual(self.inside_ok(box, "cat w /cow/new"), "w\nnew\n")
        self.assertEqual((volume / "new").read_text(), "v\n")
        self.assertEqual(os.listdir(cow), [])
        (one,) = json.loads(self.ok("inspect", "box"))
        self.ok("stop", "box")
        (two,) = json.loads(self.ok("inspect", "box"))
        self.assertEqual((one["spec"], one["state"], two["state"]), (two["spec"], "running", "stopped"))
        self.assertEqual(two["spec"]["env"], ["A=b c", "EMPTY="])
        self.ok("rm", "box")
        self.nothing_left()

    def test_what_else_was_asked_for_is_there_again(self):
        variables = self.give(self.write("variables", "FROM=file\n"))
        one = self.give(self.write("one", "of the host\n"))
        box = self.create("--env-file", variables, "-e", "BYTES=\udcff x", "--ulimit", "nofile=77", "--add-host", "there:1.2.3.4",
                          "--cap-drop", "CHOWN", "--mount", "type=tmpfs,dst=/m,tmpfs-size=64k", "--shm-size", "1m",
                          "-v", f"{one}:/one:cow", "box")
        script = "echo $FROM; echo ${#BYTES}; ulimit -n; grep there /etc/hosts; grep CapEff " \
                 "/proc/self/status; grep -E ' /m | /dev/shm ' /proc/mounts | sed 's/uid=.*//' | sort; cat /one"
        before = self.inside_ok(box, script)
        self.assertIn("of the host", before)
        self.inside_ok(box, "echo changed >/one")
        variables.unlink()
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, script), before, "a copy of one file is made anew")
        self.ok("rm", "box")
        self.nothing_left()

    def test_a_copy_of_a_file_below_a_read_only_root_lasts(self):
        one = self.give(self.write("one", "of the host\n"))
        box = self.create("--read-only", "-v", f"{one}:/etc/group:cow", "box")
        self.inside_ok(box, "echo changed:x:7: >/etc/group")
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, "cat /etc/group"), "changed:x:7:\n")
        self.ok("rm", "box")
        self.nothing_left()

    @only(*MANY_IDS)
    def test_owners_and_the_user_stay(self):
        box = self.create("-u", "1000:1000", "box")
        self.inside_ok(box, "-u", "0", "mkdir -m 700 /mine; chown 1000:1000 /mine; echo >/other; chown 3:4 /other")
        self.inside_ok(box, "echo x >/mine/x; chmod 0 /mine/x")
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, "id -u; id -g; ls -ln /mine/x /other | sed 's/  */ /g' | while read a b c d e; "
                                             "do echo $a $c $d; done"), "1000\n1000\n---------- 1000 1000\n-rw-r--r-- 3 4\n")
        self.ok("rm", "box")

    def test_reset_and_what_follows_are_kept_too(self):
        box = self.create("box")
        for number in range(3):
            self.inside_ok(box, f"echo {number} >/f{number}")
            self.reset_ok(box)
        self.spare(box)
        self.inside_ok(box, "echo last >/last")
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, "cat /last; ls /f0 /f1 /f2 2>/dev/null; :"), "last\n")
        self.reset_ok(box)
        self.assertEqual(self.inside(box, "ls /last").code, 2)
        self.ok("rm", "box")
        self.nothing_left()

    def test_a_command_is_asked_to_end_and_its_last_words_are_kept(self):
        box = self.create("box")
        asked = self.begin(box, "trap 'echo asked >/said; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
        since = time.monotonic()
        self.ok("stop", "box")
        self.assertLess(time.monotonic() - since, 5)
        self.assertEqual(self.finish(asked).code, 7)
        self.ok("start", "box")
        self.assertEqual(self.inside_ok(box, "cat /said"), "asked\n")
        other = self.begin(box, "trap 'echo usr >>/said; exit 0' USR1; echo ready; while :; do sleep 0.05; done")
        self.ok("kill", "-s", "USR1", "box")
        self.finish(other)
        self.assertEqual(self.inside_ok(box, "cat /said"), "asked\nusr\n")
        self.ok("rm", "box")

    def test_one_that_does_not_want_to_end_is_killed(self):
        box = self.create("box")
        stubborn = self.begin(box, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
        since = time.monotonic()
        self.ok("stop", "-t", "0.5", "box")
        self.assertGreater(time.monotonic() - since, 0.4)
        self.assertLess(time.monotonic() - since, 4)
        self.assertNotEqual(self.finish(stubborn).code, 0)
        self.assertEqual(self.listed("box"), "stopped")
        self.ok("rm", "box")
        self.nothing_left()

    def test_changes_in_memory_are_gone_and_that_is_said(self):
        box = self.create("--upper", "tmpfs", "box")
        self.inside_ok(box, "echo x >/file")
        self.ok("stop", "box", err="hutch: sandbox 'box': its changes were in memory (upper=tmpfs) and are gone\n")
        self.ok("start", "box")
        self.assertNotEqual(self.inside(box, "cat /file").code, 0)
        self.ok("rm", "box")
        self.nothing_left()

    def test_a_read_only_one(self):
        box = self.create("--read-only", "box")
        self.ok("restart", "box")
        self.assertEqual(self.inside(box, "echo x >/file").code, 2)
        self.ok("rm", "box")
        self.nothing_left()

    def test_snapshots_last(self):
        box = self.create("box")
        self.inside_ok(box, "echo 1 >/f")
        self.ok("snapshot", "box", "one")
        self.inside_ok(box, "echo 2 >/f; echo >/g")
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, "cat /f; ls /g"), "2\n/g\n")
        self.ok("restore", "box", "one")
        self.ok("restart", "box")
        self.assertEqual(self.inside_ok(box, "cat /f; ls /g 2>/dev/null; :"), "1\n")
        self.reset_ok(box)
        self.assertEqual(self.inside(box, "cat /f").code, 1)
        self.ok("rm", "box")


class Names(KeptCase):
    def test_what_is_stopped_keeps_its_name(self):
        box = self.create("box")
        self.inside_ok(box, "echo kept >/file")
        self.ok("stop", "box")
        for words in (("create", "--rootfs", self.rootfs, "box"), ("run", "--name", "box", "--rootfs", self.rootfs, "true")):
            self.assert_fails(self.hutch(*words), 125, "the name 'box' is taken", "is stopped", "hutch start box", "hutch rm box")
        for words in (("exec", "box", "true"), ("reset", "box"), ("kill", "box")):
            self.assert_fails(self.hutch(*words), 125, "box", "it is stopped", "hutch start box")
        for words in (("start", "nobody"), ("stop", "nobody"), ("restart", "nobody"), ("kill", "nobody"), ("rm", "nobody")):
            self.assert_fails(self.hutch(*words), 125, "no sandbox has the name 'nobody'")
        self.ok("start", "box")
        self.ok("start", "box")  # it runs
        self.assertEqual(self.inside_ok(box, "cat /file"), "kept\n")
        self.ok("rm", "box")
        self.nothing_left()

    def test_bad_words(self):
        for command in ("stop", "start", "restart", "kill"):
            self.assert_fails(self.hutch(command), 125, "no name")
            self.assert_fails(self.hutch(command, "../x"), 125, "a name is letters")
        self.assert_fails(self.hutch("stop", "-t", "soon", "x"), 125, "soon")
        self.assert_fails(self.hutch("kill", "-s", "FOO", "x"), 125, "FOO")

    def test_a_program_keeps_what_is_its_own(self):
        running = self.started_with("ready", "--name", "mine", "--rootfs", self.rootfs, "--", "sh", "-c", "echo ready; sleep 60")
        for command in ("stop", "start", "kill"):
            self.assert_fails(self.hutch(command, "mine"), 125, "belongs to a program")
        running.kill()
        running.wait()
        wait_for(lambda: self.listed("mine") in ("", "dead"), what="its end")

    def test_what_it_needs_of_the_host_is_gone(self):
        volume = self.give(self.mkdir("volume"))
        box = self.create("-v", f"{volume}:/v", "box")
        self.inside_ok(box, "echo kept >/file")
        self.ok("stop", "box")
        volume.rename(volume.with_name("away"))
        self.assert_fails(self.hutch("start", "box"), 125, "box", str(volume), "No such file")
        self.assertEqual(self.listed("box"), "stopped")
        (one,) = json.loads(self.ok("inspect", "box"))
        self.assertEqual(one["spec"]["volumes"], [f"{volume}:/v"])
        volume.with_name("away").rename(volume)
        self.ok("start", "box")
        self.assertEqual(self.inside_ok(box, "cat /file"), "kept\n")
        self.ok("rm", "box")
        self.nothing_left()

    def test_two_starts_at_once(self):
        box = self.create("box")
        self.inside_ok(box, "echo kept >/file")
        for _ in range(3):
            self.ok("stop", "box")
            both = [self.start("start", "box") for _ in range(3)]
            for process in both:
                result = self.finish(process)
                self.assertEqual((result.code, result.err), (0, ""), str(result))
            self.assertEqual(self.inside_ok(box, "cat /file"), "kept\n")
        self.ok("rm", "box")
        self.nothing_left()


class Commands(KeptCase):
    def test_the_end_of_a_sandbox_is_that_of_its_commands(self):
        for how in (("stop", "-t", "0"), ("kill",), ("rm",)):
            self.create("box")
            running = [self.start("exec", "box", "sh", "-c", "echo ready; sleep 4711; :", bufsize=0),
                       self.start("exec", "--session", "s", "box", "echo ready; sleep 4711; :", bufsize=0)]
            for process in running:
                self.assertEqual(self.line_of(process), "ready")
            self.ok(*how, "box")
            for process in running:
                result = self.finish(process)
                self.assertEqual((result.code, result.out), (137, ""), f"{how}: {result}")
                self.assertRegex(result.err, "^hutch: .*'box' has ended\n$")
            self.hutch("rm", "box")


class Unclean(KeptCase):
    def test_the_keeper_was_killed(self):
        box = self.create("box")
        self.inside_ok(box, "echo kept >/file; sleep 4711 >/dev/null 2>&1 &")
        self.gone(box)
        self.assert_fails(self.hutch("create", "--rootfs", self.rootfs, "box"), 125, "taken", "has ended", "hutch start box")
        self.assert_fails(self.hutch("exec", "box", "true"), 125, "has ended", "hutch start box")
        result = self.hutch("start", "box")
        self.assertEqual(result.code, 0, str(result))
        self.assertIn(UNCLEAN, result.err)
        self.assertEqual(len(result.err.splitlines()), 1)
        self.assertEqual(self.inside_ok(box, "cat /file"), "kept\n")
        self.assertEqual(self.sleepers(box), [])
        self.ok("restart", "box")  # clean again
        self.ok("rm", "box")
        self.nothing_left()

    def test_nobody_who_sweeps_touches_it(self):
        box, stopped = self.create("box"), self.create("stopped")
        for one in (box, stopped):
            self.inside_ok(one, "echo kept >/file")
        self.ok("stop", "stopped")
        self.gone(box)
        for number in range(3):
            self.tiny_ok("--name", f"other{number}", "echo x >/x")
        self.ok("cleanup")
        self.assertEqual((self.listed("box"), self.listed("stopped")), ("dead", "stopped"))
        self.assertIn(UNCLEAN, self.hutch("start", "box").err)
        self.ok("start", "stopped")
        for one in (box, stopped):
            self.assertEqual(self.inside_ok(one, "cat /file"), "kept\n")
        self.ok("rm", "box", "stopped")
        self.nothing_left()

    def test_a_reboot(self):
        box, stopped, third = self.create("box"), self.create("stopped"), self.create("third")
        for one in (box, stopped, third):
            self.inside_ok(one, "echo kept >/file")
        self.ok("stop", "stopped")
        self.kill(box.keeper)
        self.kill(third.keeper)
        shutil.rmtree(self.home / "run")
        self.ok("cleanup")
        self.assertEqual(self.ok("ps", "-aq"), "box\nstopped\nthird\n")
        self.assertEqual((self.listed("box"), self.listed("stopped")), ("dead", "stopped"))
        self.assertIn(UNCLEAN, self.hutch("start", "box").err)
        self.ok("start", "stopped")
        for one in (box, stopped):
            self.assertEqual(self.inside_ok(one, "cat /file"), "kept\n")
        self.ok("rm", "third", "stopped", "box")
        self.nothing_left()

    def test_rm_removes_the_one_and_leaves_the_others(self):
        boxes = [self.create(name) for name in ("a", "b")]
        for box in boxes:
            self.inside_ok(box, "echo kept >/file; mkdir -m 0 /closed")
        self.gone(boxes[0])
        self.ok("stop", "b")
        self.ok("rm", "a")
        self.assertEqual(self.ok("ps", "-aq"), "b\n")
        self.ok("start", "b")
        self.assertEqual(self.inside_ok(boxes[1], "cat /file"), "kept\n")
        self.ok("stop", "b")
        self.ok("rm", "b")
        self.nothing_left()


class Hostile(KeptCase):
    def test_what_was_written_leads_nowhere_at_the_next_start(self):
        outside = self.give(self.mkdir("outside"))
        volume = self.give(self.mkdir("volume"))
        box = self.create("-v", f"{volume}:/a/b/v", "--tmpfs", "/v2/x/t", "-w", "/work", "box")
        self.inside(box, f"mv /a /old; ln -s {outside} /a; rm -rf /v2; ln -s {outside} /v2; rm -rf /work; cd /; rm -rf /work;"
                         f"ln -s {outside} /work; mkdir /.hutch-cow; ln -sf / /etc/hosts; rm -rf /tmp; ln -s / /tmp; :")
        self.ok("stop", "box")
        self.hutch("start", "box")
        self.assertEqual((os.listdir(outside), os.listdir(volume)), ([], []))
        self.ok("rm", "box")
        self.nothing_left()


class PsAndCleanup(KeptCase):
    def test_ps_says_pid_root_and_memory(self):
        box = self.create("box")
        self.inside_ok(box, "sleep 4711 >/dev/null 2>&1 &")
        (one,) = json.loads(self.ok("ps", "--json"))
        self.assertEqual((one["state"], one["root"]), ("running", str(self.rootfs)))
        self.assertEqual(one["pid"], box.keeper)
        self.assertGreater(one["memory_bytes"], 10000)
        self.assertLess(one["memory_bytes"], 50 << 20)
        row = self.ok("ps").splitlines()[1].split()
        self.assertEqual((row[:3], row[6]), (["box", "running", str(box.keeper)], str(self.rootfs)))
        self.assertRegex(row[5], r"^\d+\.\d[KM]$")
        self.ok("stop", "box")
        self.assertEqual(json.loads(self.ok("ps", "--json")), [])
        (one,) = json.loads(self.ok("ps", "-a", "--json"))
        self.assertEqual((one["state"], one["pid"], one["memory_bytes"]), ("stopped", None, None))
        self.ok("rm", "box")

    def test_cleanup_of_all(self):
        boxes = [self.create(name) for name in ("alive", "stopped", "dead")]
        for box in boxes:
            self.inside_ok(box, "echo x >/file")
        self.ok("stop", "stopped")
        self.gone(boxes[2])
        self.ok("cleanup")
        self.assertEqual(self.ok("ps", "-aq"), "alive\ndead\nstopped\n")
        self.ok("cleanup", "--all")
        self.assertEqual(self.ok("ps", "-aq"), "")
        self.nothing_left()

    def test_cleanup_of_all_leaves_programs_alone(self):
        running = self.started_with("ready", "--name", "mine", "--rootfs", self.rootfs, "--", "sh", "-c", "echo ready; sleep 60")
        self.assert_fails(self.hutch("cleanup", "--all"), 125, "mine", "belongs to a program")
        self.assertIsNone(running.poll())
        running.kill()
        running.wait()

    def test_the_memory_of_many_processes(self):
        box = self.create("box")
        (before,) = json.loads(self.ok("ps", "--json"))
        self.inside_ok(box, "for i in 1 2 3 4 5 6 7 8; do sleep 4711 >/dev/null 2>&1 & done")
        wait_for(lambda: len(self.sleepers(box)) == 8)
        (after,) = json.loads(self.ok("ps", "--json"))
        self.assertGreater(after["memory_bytes"], before["memory_bytes"])
        self.ok("rm", "box")
