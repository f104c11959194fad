# SPDX-License-Identifier: Apache-2.0
"""The wall: what a command is when it starts. No powers beyond those asked for, nothing inherited."""

import os
import re
import subprocess
import time
from pathlib import Path

from attack.wall import UNCONFINED, WallCase, outcomes
from lib import needs, only
from lib.persona import is_root_of_machine

DEFAULT_CAPS = 0xA80425FB
NEW_PRIVS = ("--security-opt", "no-new-privileges=false")
NAMES = {"PATH", "HOME", "TERM", "LANG", "HOSTNAME"}
NAMESPACES = ("user", "mnt", "pid", "ipc", "uts", "cgroup", "time", "net")


def status(text: str) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def caps(fields: dict[str, str], which: str) -> int:
    return int(fields[which], 16)


class Powers(WallCase):
    def status(self, *options) -> dict[str, str]:
        return status(self.tiny_ok(*options, "cat /proc/self/status"))

    def test_a_command_has_dockers_capabilities_and_no_way_to_more(self):
        got = self.status()
        self.assertEqual({caps(got, name) for name in ("CapPrm", "CapEff")}, {DEFAULT_CAPS})
        self.assertEqual((caps(got, "CapInh"), caps(got, "CapAmb"), got["NoNewPrivs"]), (0, 0, "1"))

    def test_capabilities_are_added_and_dropped_and_nothing_else_comes_with_them(self):
        self.assertEqual(caps(self.status("--cap-add", "NET_ADMIN"), "CapEff"), DEFAULT_CAPS | 1 << 12)
        self.assertEqual(caps(self.status("--cap-add", "SYS_PTRACE"), "CapEff"), DEFAULT_CAPS | 1 << 19)
        self.assertEqual(caps(self.status("--cap-drop", "NET_RAW"), "CapEff"), DEFAULT_CAPS & ~(1 << 13))
        self.assertEqual(caps(self.status("--cap-drop", "ALL"), "CapEff"), 0)

    @only("root", "subuid", "nested-range")
    def test_another_user_has_no_capabilities(self):
        for options in ((), ("--cap-add", "SYS_ADMIN"), NEW_PRIVS):
            got = self.status("-u", "1000", *options)
            self.assertEqual((caps(got, "CapPrm"), caps(got, "CapEff"), caps(got, "CapAmb")), (0, 0, 0))
            self.assertEqual(got["Uid"].split(), ["1000"] * 4)

    def with_setid(self) -> Path:
        """A root file system with setid.c as a set-uid program of its root."""
        root = self.copy_of_rootfs()
        program = root / "usr/bin/setid"
        program.write_bytes(self.program_of("setid").read_bytes())
        self.give(program)
        program.chmod(0o4755)
        return root

    def run_setid(self, root: Path, *options, words: tuple = ()) -> dict[str, str]:
        result = self.hutch("run", "--rootfs", root, *options, "--", "setid", *words)
        self.assertEqual(result.code, 0, str(result))
        return status(result.out.replace(" ok", ":ok"))

    @only("root", "subuid", "nested-range")
    def test_a_set_uid_program_gains_nothing_unless_new_privileges_were_asked_for(self):
        root = self.with_setid()
        got = self.run_setid(root, "-u", "1000")
        self.assertEqual((got["Uid"].split(), caps(got, "CapEff")), (["1000"] * 4, 0))
        gained = self.run_setid(root, "-u", "1000", *NEW_PRIVS)
        self.assertEqual(gained["Uid"].split()[1], "0", "without no_new_privs it works, as sudo must")
        self.assertEqual(gained["NoNewPrivs"], "0")

    @only("root", "subuid", "nested-range")
    def test_a_set_uid_program_never_has_more_than_the_capabilities_asked_for(self):
        """Commands have at most Docker's default capabilities; who asks for more gets a nested namespace."""
        root = self.with_setid()
        for more in ((), UNCONFINED):
            with self.subTest(" ".join(more)):
                got = self.run_setid(root, "-u", "1000", *NEW_PRIVS, *more, words=("unmask",))
                self.assertNotIn("unmask", got, "it took a mask away")
                self.assertEqual([hex(caps(got, which)) for which in ("CapEff", "CapBnd")], [hex(DEFAULT_CAPS)] * 2)

    def test_root_inside_cannot_raise_itself_when_new_privileges_are_allowed(self):
        root = self.with_setid()
        for more in ((), UNCONFINED):
            got = self.run_setid(root, *NEW_PRIVS, *more, words=("unmask",))
            self.assertEqual((caps(got, "CapEff"), caps(got, "CapBnd")), (DEFAULT_CAPS,) * 2)
            self.assertNotIn("unmask", got)

    def test_the_namespaces_are_the_sandboxs_own(self):
        script = "for n in " + " ".join(NAMESPACES) + "; do echo $n $(readlink /proc/self/ns/$n); done"
        mine = outcomes(self.outside("sh", "-c", script).out)
        inside = outcomes(self.tiny_ok(script))
        self.assertEqual({n for n in NAMESPACES if inside[n] == mine[n]}, set())
        shared = outcomes(self.tiny_ok("--network", "host", script))
        self.assertEqual({n for n in NAMESPACES if shared[n] == mine[n]}, {"net"})

    def test_every_command_starts_clean_whatever_the_caller_is(self):
        dirty = ["setarch", "-R", "sh", "-c", "trap '' PIPE USR1; umask 077; exec \"$@\"", "sh"]
        users = ((), ("-u", "1000")) if self.persona.name in ("root", "subuid", "nested-range") else ((),)
        for user in users:
            result = self.tiny(*user, "cat /proc/self/personality /proc/self/status", prefix=dirty)
            self.assertEqual(result.code, 0, str(result))
            got = status("Personality:" + result.out)
            self.assertEqual({got[n] for n in ("SigIgn", "SigBlk", "SigCgt")}, {"0" * 16})
            self.assertEqual((got["Umask"], int(got["Personality"], 16)), ("0022", 0), str(user))


class Inherited(WallCase):
    def test_the_environment_is_empty_but_for_five_names_and_what_was_asked_for(self):
        out = self.hutch("run", "--rootfs", self.rootfs, "-e", "ASKED=1", "--", "env",
                         env={"SECRET": "x", "LD_PRELOAD": "", "HUTCH_TRACE": "", "TERM": "screen"}).out
        self.assertEqual({line.split("=")[0] for line in out.splitlines()}, NAMES | {"ASKED"})

    def opens(self, *options) -> set[str]:
        """The descriptors of a command whose caller has three more than the usual ones, which are not
        close-on-exec."""
        prefix = ["bash", "-c", 'exec 5</etc/hostname 9</dev/null 77>/dev/null; exec "$@"', "bash"]
        script = "for n in $(seq 0 300); do [ -L /proc/$$/fd/$n ] && echo $n; done; :"
        return set(self.tiny_ok(*options, script, prefix=prefix).split())

    def test_no_descriptor_of_the_caller_is_inherited_but_those_asked_for_by_number(self):
        self.assertEqual(self.opens(), {"0", "1", "2"})
        self.assertEqual(self.opens("--preserve-fd", "9"), {"0", "1", "2", "9"})

    def test_a_descriptor_of_hutch_is_not_inherited_either(self):
        out = self.tiny_ok("ls -l /proc/self/fd")
        self.assertEqual(len(re.findall(r" -> ", out)), 4, out)  # three, and the directory itself
        self.assertNotRegex(out, r"memfd|socket:|anon_inode|ns/")

    def test_regular_files_given_as_stdin_and_stdout_cannot_be_opened_anew_with_more_rights(self):
        attack = ("exec 3>&1; echo changed >/proc/self/fd/0; "
                  "dd if=/proc/self/fd/3 iflag=nonblock bs=99 count=1 >&2 2>/dev/null; :")
        for run in (self.outside_sh, self.tiny_sh):
            read = self.write("read", "as it was\n")
            written = self.write("written", "a secret of before\n")
            with read.open() as stdin, written.open("a") as stdout:
                err = run(attack, stdin, stdout)
            if run == self.outside_sh:
                self.assertEqual((read.read_text(), "a secret of before" in err), ("changed\n", True),
                                 "without a wall both work")
            else:
                self.assertEqual((read.read_text(), "secret" in err), ("as it was\n", False))

    def outside_sh(self, script: str, stdin, stdout) -> str:
        process = self.persona.popen(["sh", "-c", script], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        return process.communicate()[1].decode()

    def tiny_sh(self, script: str, stdin, stdout) -> str:
        process = self.start("run", "-i", "--rootfs", self.rootfs, "--timeout", "5", "--", "sh", "-c", script,
                             stdin=stdin, stdout=stdout)
        return self.finish(process).err

    def test_a_directory_given_as_stdin_does_not_lead_out_of_the_sandbox(self):
        secret = self.write("dir/secret", "of the host\n")
        fd = os.open(secret.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            script = "cat /proc/self/fd/0/secret /dev/stdin/secret; cd /proc/self/fd/0 && cat secret; :"
            result = self.tiny("-i", script, stdin=fd)
            self.assertNotIn("of the host", result.out, str(result))
        finally:
            os.close(fd)

    def test_the_command_leads_a_session_without_a_terminal(self):
        fields = self.tiny_ok("cat /proc/self/stat; cat /proc/$$/stat").splitlines()[1].split()
        pid, group, session, terminal = fields[0], fields[4], fields[5], fields[6]
        self.assertEqual((group, session, terminal), (pid, pid, "0"))

    def test_a_key_of_the_caller_is_not_found_inside(self):
        program, name = self.program_of("key"), f"wall-{os.getpid()}"
        control = self.outside(program, "hold", name, program, "find", name)
        if control.code != 0:
            self.skipTest(f"no keys here: {control.err.strip()}")
        self.assertEqual(outcomes(control.out)["session"], "ok", "outside it is found")
        prefix = [str(program), "hold", name]
        for options, answers in (((), {"EPERM"}), (UNCONFINED, {"ENOKEY"}),
                                 (("--cap-add", "ALL", *UNCONFINED), {"ENOKEY"})):
            got = outcomes(self.attack_ok("key", "find", name, options=options, prefix=prefix))
            self.assertEqual(got["session"] in answers, True, str(got))
            self.assertNotEqual(got["user"], "ok")


@only("root", "plain")
class Core(WallCase):
    def test_the_core_limit_is_one_byte_and_cannot_be_raised(self):
        """0 would still feed a core handler that is a pipe."""
        for options in ((), ("--cap-add", "SYS_RESOURCE"), ("--privileged",)):
            out = self.tiny_ok(*options, "ulimit -Sc; ulimit -Hc; ulimit -c unlimited 2>/dev/null && echo raised; "
                                         "grep core /proc/self/limits")
            self.assertNotIn("raised", out, str(options))
            self.assertRegex(out, r"Max core file size\s+1\s+1\s")

    @needs(is_root_of_machine, "only root of the machine can change its core handler")
    def test_a_crash_inside_never_reaches_the_core_handler_of_the_host(self):
        told = self.session.dir / f"told-{self.persona.name}"
        handler = self.session.dir / "handler"
        handler.write_text(f"#!/bin/sh\necho $1 >>{self.session.dir}/told-$2\n")
        handler.chmod(0o755)
        for crash in ("ulimit -c 0; kill -SEGV $$", "ulimit -c unlimited; kill -ABRT $$"):
            self.setting("/proc/sys/kernel/core_pattern", f"|{handler} %P {self.persona.name}")
            self.outside("sh", "-c", crash)
            deadline = time.monotonic() + 1
            while not told.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            if not told.exists():
                self.skipTest("the kernel does not call a core handler here")
            told.unlink()
            for options in ((), ("--privileged",)):
                self.assertIn(self.tiny(*options, crash).code, (139, 134))
        time.sleep(0.3)
        self.assertFalse(told.exists(), "the handler of the host was called for a process of a sandbox")


class Program(WallCase):
    """hutch-init runs from a sealed copy: nothing inside can overwrite a program of the host."""

    def test_no_program_that_runs_can_be_written_to(self):
        before = Path(self.persona.program).read_bytes()
        for options in ((), ("--privileged", *UNCONFINED)):
            got = outcomes(self.attack_ok("exe", options=options))
            self.assertEqual({pid for pid, result in got.items() if result == "ok"}, set())
            self.assertIn("1", got)
        self.assertEqual(Path(self.persona.program).read_bytes(), before)

    def test_hutch_init_started_again_by_the_command_is_harmless(self):
        """As with runc: the command is /proc/self/exe, or names it as its interpreter."""
        before = Path(self.persona.program).read_bytes()
        root = self.copy_of_rootfs()
        evil = root / "usr/bin/evil"
        evil.write_text("#!/proc/self/exe\n")
        evil.chmod(0o755)
        self.give(evil)
        for words in (["/proc/self/exe"], ["evil"], ["/proc/1/exe"]):
            result = self.hutch("run", "--rootfs", root, "--timeout", "5", "--", *words)
            self.assertIn(result.code, (2, 126, 127), str(result))
        script = "exec 3</proc/self/exe; (sleep 0.05; echo x >/proc/self/fd/3) 2>/dev/null; :"
        self.hutch("run", "--rootfs", root, "--", "sh", "-c", script)
        self.assertEqual(Path(self.persona.program).read_bytes(), before)
        self.assertEqual(self.hutch("run", "--rootfs", root, "--", "true").code, 0)
