# SPDX-License-Identifier: Apache-2.0
"""hutch run: -u, --group-add and the ids of a sandbox."""

import os
import re
import subprocess

from lib import only
from lib.extra import MANY_IDS, ONE_ID, RunCase


def huge_file(path) -> None:
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)


class Default(RunCase):
    """Who the command is when nobody is asked for."""

    def test_it_is_uid_0_with_no_group_of_the_callers(self):
        self.assertEqual(self.tiny_ok("id -u; id -g; id -G; echo $HOME; id -un").split(),
                         ["0", "0", "0", "/root", "root"])

    def test_the_ids_are_as_many_as_the_caller_has(self):
        extents = [tuple(map(int, line.split())) for line in self.host_ok(
            "cat /proc/self/uid_map; cat /proc/self/gid_map").splitlines()]
        uids = extents[: len(extents) // 2]
        self.assertEqual(sum(count for _, _, count in uids), self.ids(), extents)
        self.assertEqual(uids[0][0], 0)
        if self.persona.name == "plain":
            self.assertEqual(uids[0][1], self.persona.uid)
        if self.persona.name == "root":
            self.assertGreaterEqual(uids[0][1], 65536, "a root caller's sandbox has ids of the machine")

    @only("root")
    def test_every_sandbox_of_a_root_caller_has_a_range_of_its_own(self):
        runs = [self.started_with("ready", "-i", "--", "sh", "-c", "echo ready; cat /proc/self/uid_map; cat", 
                                  stdin=subprocess.PIPE) for _ in range(4)]
        ranges = [tuple(map(int, self.finish(process, "").out.split())) for process in runs]
        self.assertEqual(len(set(ranges)), 4, ranges)
        firsts = sorted(first for _, first, _ in ranges)
        self.assertTrue(all(b - a >= 65536 for a, b in zip(firsts, firsts[1:])), ranges)
        with open("/etc/passwd") as file:
            people = [int(line.split(":")[2]) for line in file]
        self.assertFalse([p for p in people for f in firsts if f <= p < f + 65536])

    @only("root")
    def test_the_ids_of_the_host_can_be_asked_for(self):
        self.assertEqual(self.tiny_ok("--ids", "host", "cat /proc/self/uid_map").split()[:2], ["0", "0"])
        self.assertEqual(self.tiny_ok("--ids", "auto", "cat /proc/self/uid_map").split()[0], "0")

    @only("root", "plain")
    def test_other_words_for_ids_are_refused(self):
        for value in ("", "other", "0"):
            self.refused(f"--ids={value}", "--", "true", words=("--ids",))


@only(*MANY_IDS)
class Users(RunCase):
    """-u where there are many ids: names and numbers, as Docker takes them."""

    def who(self, *words) -> str:
        return self.tiny_ok(*words, "echo $(id -u):$(id -g):$(id -G):$HOME")

    def test_names_and_numbers_are_looked_up_in_the_sandbox(self):
        for user, expected in (("user", "1000:1000:1000 2000:/home/user"), ("1000", "1000:1000:1000 2000:/home/user"),
                               ("user:extra", "1000:2000:2000:/home/user"), ("1000:3000",
                                                                             "1000:3000:3000:/home/user"),
                               ("root", "0:0:0:/root"), ("0:0", "0:0:0:/root"), ("4711",
                                "4711:0:0:/"), ("4711:4712", "4711:4712:4712:/"),
                               ("65534:65534", "65534:65534:65534:/")):
            self.assertEqual(self.who("-u", user), expected + "\n", user)

    def test_further_groups_are_added_by_name_and_number(self):
        self.assertEqual(self.who("-u", "4711", "--group-add", "extra",
                         "--group-add", "5000"), "4711:0:0 2000 5000:/\n")
        self.assertEqual(self.who("--group-add", "5000"), "0:0:0 5000:/root\n")
        self.assertEqual(self.who("-u", "user", "--group-add", "user"), "1000:1000:1000 2000:/home/user\n")

    def test_names_that_are_not_there_are_refused(self):
        for words, name in ((["-u", "nobody-here"], "nobody-here"), (["-u", "user:no-such-group"], "no-such-group"),
                            (["--group-add", "no-such-group"], "no-such-group")):
            self.refused(*words, "--rootfs", self.rootfs, "true", words=(name,))

    def test_ids_that_the_sandbox_does_not_have_are_refused(self):
        for value in ("70000", "4294967295", "1000:70000", "99999999999", "-1"):
            self.refused(f"--user={value}", "--rootfs", self.rootfs, "--", "true", words=(value.split(":")[-1],))
        self.refused("--group-add", "70000", "--rootfs", self.rootfs, "--", "true", words=("70000",))

    def test_another_user_has_no_capability_and_no_power(self):
        out = self.tiny_ok(
            "-u", "user", "grep -E '^Cap(Prm|Eff|Inh|Amb)' /proc/self/status; touch /etc/x 2>/dev/null || echo no;"
                          " touch /tmp/x && echo tmp")
        self.assertEqual(out.split()[1::2][:4], ["0" * 16] * 4, out)
        self.assertTrue(out.endswith("no\ntmp\n"), out)

    def test_the_callers_terminal_and_pipes_can_be_used_by_another_user(self):
        result = self.run_ok("run", "-i", "-u", "user", "--rootfs", self.rootfs,
                             "--", "sh", "-c", "cat; echo err >&2", input="in\n")
        self.assertEqual((result.out, result.err), ("in\n", "err\n"))
        terminal = self.terminal("run", "-it", "-u", "user", "--rootfs", self.rootfs,
                                 "--", "sh", "-c", "tty; echo x >/dev/tty")
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(terminal.seen.split(), ["/dev/pts/0", "x"])

    def test_a_file_of_users_that_is_a_trap_is_no_trap(self):
        root = self.copy_of_rootfs()
        file = root / "etc/passwd"
        for trap in (os.mkfifo, lambda path: path.symlink_to("/proc/1/environ"),
                     lambda path: path.symlink_to("/dev/zero"),
                     lambda path: path.mkdir(), huge_file):
            self.persona.run(["rm", "-rf", str(file)])
            trap(file)
            self.give(file)
            self.refused("-u", "user", "--rootfs", root, "--", "true")


@only(*ONE_ID)
class OneId(RunCase):
    """-u where there is one id: by number, and it is the caller."""

    def test_a_number_is_the_caller_under_that_name(self):
        self.write("d/file", "x")
        out = self.tiny_ok("-u", "1000", "-v", "./d:/v",
                           "id -u; stat -c %u /v/file; touch /v/new /tmp/x; stat -c %u /v/new")
        self.assertEqual(out.split(), ["1000", "1000", "1000"])
        self.assertEqual((self.tmp / "d/new").stat().st_uid, self.persona.uid)
        self.assertEqual(self.tiny_ok("-u", "4711:4712", "id -u; id -g").split(), ["4711", "4712"])

    def test_uid_0_needs_no_map(self):
        self.assertEqual(self.tiny_ok("-u", "0", "id -u"), "0\n")
        self.assertEqual(self.tiny_ok("-u", "0:0", "id -u"), "0\n")

    def test_it_has_no_capability(self):
        out = self.tiny_ok("-u", "1000:1000", "grep -E '^Cap(Prm|Eff)' /proc/self/status")
        self.assertEqual(re.findall(r"\d{16}|[0-9a-f]{16}", out), ["0" * 16] * 2)

    def test_names_and_groups_that_cannot_be_are_refused_with_the_reason(self):
        for words in (["-u", "nobody-here"], ["--group-add", "5000"], ["-u", "1000:1000", "--group-add", "5000"]):
            self.refused(*words, "--rootfs", self.rootfs, "--", "true", words=("one id", "hutch doctor"))
