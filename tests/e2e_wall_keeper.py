# SPDX-License-Identifier: Apache-2.0
"""The wall: nothing inside can name, stop, starve or reach the keeper, its descriptors, its mount
namespace or the storage, whatever capabilities it was given."""

import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from attack.wall import UNCONFINED, WallCase, outcomes
from lib import only, storm
from lib.extra import MANY_IDS

CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
    SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
    AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
    PERFMON BPF CHECKPOINT_RESTORE""".split()
ADD_ALL = ("--cap-add", "ALL")
TRACING = ("--security-opt", "ptrace", "--security-opt", "userns")
# From nothing to all that one can ask for.
WAYS = {"nothing": (), "options": TRACING, "all capabilities": (*ADD_ALL, *TRACING),
        "all, no filter": (*ADD_ALL, *UNCONFINED), "privileged": ("--privileged", *UNCONFINED)}
SYS_IOPRIO_GET = 252  # x86-64


class PidOne(WallCase):
    """hutch-init inside: the only process of hutch that can be named."""

    def reached(self, *options) -> set[str]:
        """What pid1.c got at."""
        script = "/attack/pid1; grep -E '^(Name|State|CapPrm)' /proc/1/status"
        out = self.tiny_ok(*self.attacks("pid1"), *options, script)
        self.assertIn("descriptors 0", out.splitlines())
        status = re.findall(r"(Name|State|CapPrm):\s+(\S+)", out)
        self.assertEqual(status, [("Name", "hutch-init"), ("State", "S"), ("CapPrm", "0" * 16)],
                         "after all signals that there are")
        found = {what for what, result in outcomes(out).items() if result == "ok"}
        self.assertLessEqual({"stop", "kill"}, found, "they can be sent; nothing comes of them")
        return found - {"stop", "kill"}

    def test_nothing_of_pid_1_can_be_read_taken_or_stopped_with_whatever_was_asked_for(self):
        for name, options in WAYS.items():
            with self.subTest(name):
                self.assertEqual(self.reached(*options), set())

    @only("root", "plain")
    def test_no_single_capability_reaches_into_pid_1(self):
        for name in CAPABILITIES:
            with self.subTest(name):
                self.assertEqual(self.reached("--cap-add", name, *TRACING), set())

    def test_without_the_wall_the_same_attack_takes_pid_1(self):
        program = self.program_of("pid1")
        got = self.outside("unshare", "-Urpf", "--mount-proc", "sh", "-c", f"trap : INT; {program}; :")
        found = outcomes(got.out)
        if "process_vm_readv" not in found:
            self.skipTest(f"no namespaces to compare with: {got.err.strip()}")
        for what in ("/proc/1/environ", "/proc/1/maps", "open /proc/1/root", "open /proc/1/fd/0", "pidfd_getfd of 0"):
            self.assertEqual(found.get(what), "ok", f"{what}: the attack is broken\n{got.out}")

    def test_only_the_processes_of_the_sandbox_are_in_proc(self):
        out = self.tiny_ok("cd /proc; for p in [0-9]*; do cat $p/comm; done; grep PPid: /proc/self/status; echo $PPID")
        names = out.split()
        self.assertEqual((names[0], names[-1]), ("hutch-init", "0"), out)
        self.assertLessEqual(set(names[1:-3]), {"sh", "cat"}, out)


def keepers(before: set[int]) -> dict[str, int]:
    """The processes of hutch outside that are new: name to pid."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            name = Path(f"/proc/{entry}/comm").read_text().strip()
        except OSError:
            continue
        if name in ("hutch-keeper", "hutch-nursery", "hutch") and int(entry) not in before:
            found[f"{name} {entry}"] = int(entry)
    return found


def all_pids() -> set[int]:
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def standing(pid: int) -> dict[str, str]:
    """All that decides what the machine gives to a process."""
    libc = ctypes.CDLL(None)
    read = {"ioprio": str(libc.syscall(SYS_IOPRIO_GET, 1, pid))}
    for name in ("autogroup", "oom_score_adj", "limits", "coredump_filter", "timerslack_ns"):
        try:
            read[name] = Path(f"/proc/{pid}/{name}").read_text()
        except OSError as failure:
            read[name] = str(failure.errno)
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat[stat.rindex(")") :].split()
    read["nice"], read["policy"] = fields[17], fields[39]
    read["processors"] = str(os.sched_getaffinity(pid))
    return read


class Starved(WallCase):
    measures_time = True

    def test_nothing_inside_lowers_the_standing_of_the_keeper_or_of_the_caller(self):
        for name, options in (("nothing", ()), ("all capabilities", (*ADD_ALL, *UNCONFINED))):
            with self.subTest(name):
                before = all_pids()
                script = "echo up; read go; /attack/starve; echo done; read end; exit 7"
                process = self.start("run", "-i", "--rootfs", self.rootfs, *self.attacks("starve"), *options, "--",
                                     "sh", "-c", script, stdin=subprocess.PIPE)
                self.assertEqual(process.stdout.readline(), b"up\n")
                watched = keepers(before)
                self.assertTrue(any(n.startswith("hutch-keeper") for n in watched), watched)
                was = {who: standing(pid) for who, pid in watched.items()}
                process.stdin.write(b"go\n")
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), b"done\n")
                now = {who: standing(pid) for who, pid in watched.items()}
                self.assertEqual(self.finish(process, "end\n").code, 7, "it still works")
                changed = {f"{who}: {what}": (was[who][what], value)
                           for who, values in now.items() for what, value in values.items() if value != was[who][what]}
                self.assertEqual(changed, {})

    @only("root", "plain")
    def test_children_that_are_given_to_the_keeper_do_not_keep_it_from_ending_the_sandbox(self):
        """CLONE_PARENT makes a process inside a child of the keeper, which has to collect it."""

        def slowest(what: str, times: int) -> float:
            runs = [self.attack("parent", what, "16", options=("--timeout", "0.4")) for _ in range(times)]
            self.assertEqual({run.code for run in runs}, {124})
            return max(run.seconds for run in runs)

        own = max(slowest("fork", 3), 0.4)  # the clock leaves out pauses of the machine, also those of the timeout's own
        self.assertLess(slowest("flood", 6), own + 0.25, f"the same number of children of their own: {own:.3f} s")

    @only("root", "plain")
    @storm
    def test_a_fork_bomb_ends_with_the_timeout(self):
        result = self.attack("loop", "FORK", options=("--timeout", "0.5", "--ulimit", "nproc=200"))
        self.assertEqual(result.code, 124, str(result))
        self.assertLess(result.seconds, 1.5)

    def test_output_that_nobody_takes_does_not_hold_up_the_timeout(self):
        since = self.now()
        process = self.start("run", "--rootfs", self.rootfs, "--timeout", "0.3", "--", "sh", "-c",
                             "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done")
        self.assertEqual(process.wait(5), 124)
        self.assertLess(self.now() - since, 0.6)

    @only("root", "plain")
    def test_the_timeout_holds_under_a_loop_that_stops_or_kills_everything_new(self):
        for sig in ("STOP", "KILL"):
            result = self.attack("loop", sig, options=("--timeout", "0.3"))
            self.assertEqual(result.code, 124, str(result))
            self.assertLess(result.seconds, 0.6)


class Parent(WallCase):
    """A command is the keeper's child, and there are calls that reach a parent without naming it."""

    def test_the_keeper_is_not_made_a_tracer_that_takes_a_stop_for_the_end(self):
        self.assertEqual(self.attack("parent", "traced").code, 3, "refused without the option")
        result = self.attack("parent", "traced", options=("--security-opt", "ptrace", "--timeout", "0.5", "--json"))
        # It may be refused (3), go on (4), or stand still until its time is over; it has not ended.
        self.assertIn(result.code, (3, 4, 124), str(result))

    def execs(self, out: str) -> list[list[str]]:
        """The words of each "exec I END CODE MS MESSAGE"."""
        return [line.split(" ", 5)[1:] for line in out.splitlines() if line.startswith("exec ")]

    def reached(self, out: str) -> set[str]:
        """What the spy got: "mem", "fd/7" and the like."""
        return set(re.findall(r"(?m)^REACHED (.*) of \d+$", out))

    def spied(self, *spy, times: int = 40, run_as: str = "0", **fields) -> str:
        """What the spy printed while commands were started; it must have caught some."""
        words = (str(self.home), " /up ", " /lower/0 ", " /vol/0 ", " /gen ")
        for _ in range(3):
            got = self.drive(fields, times, run_as, "--", "/attack/spy", *spy, *words)
            self.assertEqual(got.code, 0, str(got))
            self.assertEqual(len(self.execs(got.out)), times * (4 if run_as == "starts" else 1), str(got))
            if "seen" in got.out.splitlines():
                return got.out
        self.skipTest("no command was caught before its exec, three times: nothing was shown")

    def test_neither_its_descriptors_nor_its_memory_nor_a_mount_of_the_storage_can_be_had(self):
        self.attacks("spy")
        for fields in ({}, {"cap_add": "ALL"}):
            out = self.spied(**fields)
            self.assertEqual(self.reached(out), set())
            self.assertEqual({(end, code) for _, end, code, *_ in self.execs(out)}, {("0", "0")}, out)

    def test_nor_when_it_is_held_in_that_state(self):
        self.attacks("spy")
        for fields in ({}, {"privileged": "true", "security_opt": "seccomp=unconfined"}):
            out = self.spied("stop", times=20, **fields)
            self.assertEqual(self.reached(out), set())

    def test_nor_of_what_starts_programs_in_its_place(self):
        """The runner says how commands ended: who could write to its memory, at any moment, could say it for it."""
        self.attacks("spy")
        several = [{"user": "1000"}, {"cap_drop": "ALL"}] if self.persona.name in MANY_IDS else []
        for fields in ({}, {"security_opt": "seccomp=unconfined"}, *several):
            for way in ((), ("stop",)):
                out = self.spied(*way, times=30, run_as="runs", **fields)
                self.assertEqual(self.reached(out), set(), str((fields, way)))

    def test_nor_of_what_begins_commands_in_the_keepers_place(self):
        """Whoever could write to its socket could have another process taken for a command; its key makes processes of no tree."""
        self.attacks("spy")
        for fields in ({}, {"cap_drop": "ALL"}):
            for way in ((), ("stop",)):
                out = self.spied(*way, times=15, run_as="starts", **fields)
                self.assertEqual(self.reached(out), set(), str((fields, way)))

    @only("root", "subuid")
    def test_nor_on_a_machine_where_programs_that_changed_their_ids_stay_dumpable(self):
        """fs.suid_dumpable=1: the kernel makes a process that becomes another user traceable again."""
        self.attacks("spy")
        self.setting("/proc/sys/fs/suid_dumpable", "1")
        out = self.spied("stop", times=20, run_as="1000")
        self.assertEqual(self.reached(out), set())

    @only("root", "plain")
    def test_one_that_is_stopped_for_ever_is_given_up_after_a_second_and_nobody_waits_for_it(self):
        self.attacks("loop")
        ends = []
        until = self.now() + 60  # with one processor free it is caught in one of twenty, else in most
        while not any(end == "3" for end in ends) and self.now() < until:
            got = self.drive({}, 2, "0", "--", "/attack/loop", "STOP")
            self.assertEqual(got.code, 0, str(got))
            self.assertLess(int(re.search(r"delete (\d+)", got.out).group(1)), 500, str(got))
            # 0: it got through; 2: it was stopped after its exec, and its timeout ended it.
            for _, end, code, ms, message in self.execs(got.out):
                ends.append(end)
                self.assertIn(end, ("0", "2", "3"), str(got))
                if end == "3":
                    self.assertEqual(code, "125", str(got))
                    self.assertIn("stopped", message)
                    self.assertLess(int(ms), 1500)
        self.assertIn("3", ends, "no command was caught before its exec in a minute: the attack is broken")

    @only("root", "plain")
    def test_one_that_is_killed_is_told_at_once(self):
        self.attacks("loop")
        got = self.drive({}, 5, "0", "--", "/attack/loop", "KILL")
        self.assertEqual(got.code, 0, str(got))
        for _, end, code, ms, _message in self.execs(got.out):
            self.assertIn((end, code), (("1", "137"), ("3", "125"), ("0", "0")), str(got))
            self.assertLess(int(ms), 500, str(got))
        self.assertLess(int(re.search(r"delete (\d+)", got.out).group(1)), 500, str(got))


class Outside(WallCase):
    """Processes of the host, of the very user whose id the sandbox has."""

    def test_a_signal_to_everybody_stays_inside(self):
        bystander = self.persona.popen(["sleep", "30"], env=self.environment(), stdin=subprocess.DEVNULL)
        self._started.append(bystander)
        kill = f"kill -9 {bystander.pid}; kill -9 -1; kill -9 -{os.getpgid(bystander.pid)}; :"
        for options in ((), ("--network", "host"), ("--cap-add", "ALL", *UNCONFINED)):
            self.assertNotEqual(self.tiny(*options, kill).code, 125)
            self.assertIsNone(bystander.poll(), f"it was killed from inside with {options}")
        control = self.outside("sh", "-c", f"kill -TERM {bystander.pid}")
        self.assertEqual((control.code, bystander.wait(5)), (0, -signal.SIGTERM), "the same user outside can")

    def cgroup(self) -> Path:
        """A cgroup of the persona's own, as systemd delegates one to a user."""
        self.needs_root_of_machine("make a cgroup for the test")
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2":
                path = Path(fields[4]) / f"wall-{os.getpid()}"
                try:
                    path.mkdir()
                except OSError as failure:
                    self.skipTest(f"no cgroup can be made: {failure}")
                self.addCleanup(path.rmdir)  # when its processes are gone
                for file in (path, *path.iterdir()):
                    self.give(file)
                return path
        self.skipTest("no cgroup2 is mounted")

    def test_the_callers_cgroup_cannot_be_killed_or_frozen_from_inside(self):
        group = self.cgroup()
        options = ("--ids", "host") if self.persona.name == "root" else ()
        process = self.start("run", "--rootfs", self.rootfs, *self.attacks("cgroup"), *ADD_ALL, *options, "--",
                             "/attack/cgroup", stdin=subprocess.PIPE,
                             prefix=["sh", "-c", 'read go; exec "$@" </dev/null', "sh"])
        (group / "cgroup.procs").write_text(str(process.pid))
        result = self.finish(process, "go\n")
        self.assertEqual(result.code, 0, str(result))
        got = outcomes(result.out)
        for file in ("cgroup.kill", "cgroup.freeze", "cgroup.procs"):
            self.assertNotEqual(got.get(file), "ok", f"{file}: the keeper and the caller are in there\n{result}")
