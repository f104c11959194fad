# SPDX-License-Identifier: Apache-2.0
"""The wall of a sandbox that lives: what one command left behind does nothing to the keeper, to later
commands or to resets."""

import os
import re
import time
from pathlib import Path

from attack.wall import UNCONFINED, WallCase
from lib import only
from lib.persona import kill_quietly


class Live(WallCase):
    """Each test has a sandbox "live", which is gone at its end."""

    def create(self, *options) -> None:
        root = () if "--host" in options else ("--rootfs", self.rootfs)
        result = self.hutch("create", *root, *self.attacks("parent", "loop", "hang", "key"), *options, "live")
        self.assertEqual(result.code, 0, str(result))
        self.undo(self.hutch, "cleanup")  # where the test killed its keeper
        self.undo(self.hutch, "rm", "live")

    def exec(self, *words, options: tuple = (), **more):
        return self.hutch("exec", *options, "live", *words, **more)

    def commands(self) -> list[str]:
        """What runs inside, beside hutch-init and the question itself."""
        out = self.exec("ps", "ax", "-o", "args").out.splitlines()[1:]
        return [line for line in out if line != "hutch-init" and not line.startswith("ps ax")]


class Ends(Live):
    measures_time = True

    def test_a_timeout_ends_all_that_a_command_started_also_what_it_gave_to_the_keeper(self):
        self.create()
        for script in ("setsid sleep 60 & (trap '' TERM; sleep 60)",
                       "(setsid sh -c 'sleep 60 & sleep 60' &) ; sleep 60"):
            result = self.exec("sh", "-c", script, options=("--timeout", "0.3"))
            self.assertEqual((result.code, self.commands()), (124, []), script)
        result = self.exec("/attack/parent", "stray", options=("--timeout", "0.3"))
        self.assertEqual((result.code, self.commands()), (124, []), "CLONE_PARENT")

    @only("root", "plain")
    def test_a_timeout_holds_while_the_keeper_is_flooded_with_children(self):
        self.create()
        for _ in range(5):
            result = self.exec("/attack/parent", "flood", "16", options=("--timeout", "0.4"))
            self.assertLess(result.seconds, 0.8, str(result))

    @only("root", "plain")
    def test_a_reset_and_a_removal_are_not_held_up_by_a_loop_that_stops_or_kills(self):
        self.create()
        for sig in ("STOP", "KILL"):
            loop = self.start("exec", "live", "/attack/loop", sig)
            self.assertEqual(loop.stdout.readline(), b"looping\n")
            since = self.now()
            self.assertEqual(self.hutch("reset", "live").code, 0)
            self.assertLess(self.now() - since, 1)
            self.finish(loop)
            self.assertEqual(self.exec("true").code, 0, "the next generation works")
        loop = self.start("exec", "live", "/attack/loop", "STOP")
        self.assertEqual(loop.stdout.readline(), b"looping\n")
        since = self.now()
        self.assertEqual(self.hutch("rm", "live").code, 0)
        self.assertLess(self.now() - since, 1)
        self.finish(loop)


class Later(Live):
    def test_a_working_directory_that_was_replaced_by_a_link_leads_to_nothing_of_the_keeper(self):
        self.create("-w", "/srv/work")
        look = "for d in . .. ../.. ../../..; do ls -d $d/lower $d/gen $d/vol; cat $d/[0-9]*/comm; done 2>/dev/null; :"
        for number in range(3, 30):
            self.exec("sh", "-c", f"rm -rf /srv/work; ln -s /proc/self/fd/{number} /srv/work", options=("-w", "/"))
            result = self.exec("sh", "-c", look)
            self.assertNotRegex(result.out, "lower|gen|vol|keeper", f"descriptor {number}\n{result}")

    @only("root", "subuid", "nested-range")
    def test_a_passwd_that_was_replaced_is_neither_waited_for_nor_believed_outside(self):
        self.create()
        for script in ("mkfifo p", "ln -s p p", "ln -s /proc/self/mem p", "mkdir p", "head -c 3m /dev/zero >p",
                       "mknod p c 1 5"):
            self.exec("sh", "-c", f"cd /etc; rm -rf passwd p; {script}; mv p passwd")
            result = self.exec("true", options=("-u", "user"))
            self.assertEqual(result.code, 125, f"{script}\n{result}")
            self.assertLess(result.seconds, 3)
        self.exec("sh", "-c", "rm -rf /etc/passwd; echo user:x:7:7::/:/bin/sh >/etc/passwd")
        self.assertEqual(self.exec("id", "-u", options=("-u", "user")).out, "7\n")

    @only("root", "subuid", "nested-range")
    def test_a_passwd_that_is_leased_does_not_make_a_user_a_member_of_group_0(self):
        """An open of a leased file says EAGAIN: it is not as if the file were not there."""
        self.create("--host")
        lease = ("import fcntl, os, signal, time; signal.signal(signal.SIGIO, signal.SIG_IGN); "
                 "fcntl.fcntl(os.open('/etc/passwd', os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK); "
                 "print('leased', flush=True); time.sleep(30)")
        self.assertEqual(self.exec("sh", "-c", "echo $(id -g)", options=("-u", "1")).out, "1\n")
        holder = self.start("exec", "--timeout", "20", "live", "/usr/bin/python3", "-c", lease)
        if holder.stdout.readline() != b"leased\n":
            self.skipTest("no leases here")
        result = self.exec("sh", "-c", "grep Gid: /proc/self/status", options=("-u", "1"))
        self.assertLess(result.seconds, 4)
        self.assertNotRegex(result.out, r"Gid:\s+0", str(result))

    @only("root")
    def test_the_keeper_does_not_hang_on_a_file_system_of_the_inside(self):
        """Whoever asked for /dev/fuse and the power to mount can make any open of the inside's files hang."""
        if not os.path.exists("/dev/fuse"):
            self.skipTest("no /dev/fuse here")
        before = {entry for entry in os.listdir("/proc") if entry.isdigit()}
        self.create("--cap-add", "SYS_ADMIN", "--device", "/dev/fuse")
        for entry in set(os.listdir("/proc")) - before:
            if entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().strip() == "hutch-keeper":
                self.undo(kill_quietly, int(entry))
        hang = self.start("exec", "live", "/attack/hang")
        if hang.stdout.readline() != b"hanging\n":
            self.skipTest("FUSE cannot be mounted here")
        asks = self.start("exec", "-u", "user", "live", "true")
        self.assertEqual(asks.wait(4), 125, "to look up the user is given up")
        held = self.exec("/attack/key", "find", "none", timeout=5)  # a program that reads no file of /etc
        self.assertEqual(held.out, "session EPERM\nuser EPERM\n", f"others are not held up\n{held}")
        self.assertEqual(self.hutch("rm", "live", timeout=5).code, 0)

    def test_powers_given_to_one_command_are_gone_with_a_reset(self):
        self.create("--cap-add", "SYS_ADMIN")
        self.exec("sh", "-c", "mount -t tmpfs none /srv && touch /srv/mine; echo evil >/etc/profile; "
                              "ln -sf /srv /usr/lib/x")
        self.assertEqual(self.exec("ls", "-A", "/srv").out, "mine\n", "the mount stays for later commands")
        self.assertEqual(self.hutch("reset", "live").code, 0)
        out = self.exec("sh", "-c", "ls -A /srv; cat /etc/profile; ls /usr/lib/x; cat /proc/self/mountinfo").out
        self.assertNotRegex(out, r"(?m)mine|evil|^\S+ \S+ \S+ \S+ /srv ")
        self.assertNotIn(str(self.home), out)

    def test_no_command_sees_or_reaches_the_socket_of_the_sandbox(self):
        self.create("--cap-add", "ALL", *UNCONFINED)
        out = self.exec("sh", "-c", "cat /proc/net/unix; ls -lR /proc/[0-9]*/fd; "
                                    "find / -xdev -name sock -o -name spec.json").out
        self.assertNotRegex(out, r"sock$|spec\.json|" + re.escape(str(self.home)))
