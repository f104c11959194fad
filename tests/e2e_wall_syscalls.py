# SPDX-License-Identifier: Apache-2.0
"""The wall: system calls that a sandbox is refused, and what frees them.

Which calls are refused is compared with Docker's profile by the unit tests of guard/; here the kernel is
asked, from inside, with the guard and without it.
"""

from pathlib import Path

from attack.wall import UNCONFINED, WallCase, outcomes
from lib import only

# What a program sees that tries a refused call: an error that makes it fall back, or EPERM.
AS_IF_ABSENT = {"unshare", "setns", "clone3", "mount", "userfaultfd"}
# Freed by an option, one each.
BY_PTRACE = {"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise"}
BY_USERNS = {"unshare", "setns", "clone3", "mount", "umount2", "open_tree", "fsconfig", "mount_setattr",
             "clone with a user namespace"}
ROUTE = 0


class Refused(WallCase):
    def calls(self, *options) -> dict[str, str]:
        """What calls.c said; the names of those that the kernel itself refuses begin with "!"."""
        return outcomes(self.attack_ok("calls", options=options))

    def answer(self, name: str) -> str:
        return "ENOSYS" if name in AS_IF_ABSENT else "EPERM"

    def test_every_dangerous_call_is_refused_and_only_by_the_filter(self):
        guarded, bare = self.calls(), self.calls(*UNCONFINED)
        self.assertGreater(len(guarded), 40)
        self.assertEqual(guarded, {name: self.answer(name.lstrip("!")) for name in guarded})
        unguarded = {name for name, result in bare.items() if result == guarded[name] and not name.startswith("!")}
        # A kernel that was built without one of them, or a setting that closes it, leaves few.
        self.assertLessEqual(unguarded, {"perf_event_open", "io_uring_setup", "userfaultfd", "sysfs", "kcmp"},
                             "these are refused without the filter too: the test shows nothing")

    def test_ptrace_and_its_kin_are_freed_by_their_option_and_nothing_else_is(self):
        guarded, freed = self.calls(), self.calls("--security-opt", "ptrace")
        self.assertEqual({n for n in guarded if freed[n] != guarded[n]}, BY_PTRACE)

    def test_user_namespaces_are_freed_by_their_option_and_nothing_else_is(self):
        guarded, freed = self.calls(), self.calls("--security-opt", "userns")
        different = {n for n in guarded if freed[n] != guarded[n]}
        self.assertEqual(different, BY_USERNS)
        self.assertEqual(freed["clone with a user namespace"], "ok")

    def test_privileged_has_no_filter(self):
        status = self.tiny_ok("--privileged", "grep Seccomp: /proc/self/status")
        self.assertEqual(status.split(), ["Seccomp:", "0"])
        self.assertEqual(self.tiny_ok("grep Seccomp: /proc/self/status").split(), ["Seccomp:", "2"])

    def test_no_other_way_to_the_kernel_and_no_number_of_the_future_passes_the_filter(self):
        guarded, bare = outcomes(self.attack_ok("abi")), outcomes(self.attack_ok("abi", options=UNCONFINED))
        self.assertEqual(guarded, dict.fromkeys(guarded, "ENOSYS"))
        self.assertGreater(len(guarded), 3)
        if bare == guarded:
            self.skipTest("this kernel has neither 32 bits nor x32 nor a newer call")

    def test_programs_of_32_bits_run_only_when_asked_for(self):
        bare = outcomes(self.attack_ok("abi", options=UNCONFINED))
        if bare.get("getpid by int 0x80") != "ok":
            self.skipTest("this kernel runs no programs of 32 bits")
        freed = outcomes(self.attack_ok("abi", options=("--security-opt", "i386")))
        self.assertEqual((freed["getpid by int 0x80"], freed["ptrace by int 0x80"]), ("ok", "EPERM"),
                         "32 bits are filtered like 64")


class Sockets(WallCase):
    def sockets(self, *words, options: tuple = ()) -> dict[str, str]:
        return outcomes(self.attack_ok("sockets", *words, options=options))

    def test_only_unix_inet_inet6_and_netlink_have_sockets(self):
        for words in ((), ("high bits",)):
            families = {n: r for n, r in self.sockets(*words).items() if n.startswith("family")}
            self.assertEqual({n for n, r in families.items() if r != "EAFNOSUPPORT"},
                             {"family 1", "family 2", "family 10", "family 16"})
            self.assertEqual({families[n] for n in ("family 1", "family 16")}, {"ok"})

    def test_without_the_filter_packet_sockets_can_be_had(self):
        self.assertEqual(self.sockets(options=UNCONFINED)["family 17"], "ok")

    def test_netlink_has_routing_only_and_the_filter_is_what_keeps_the_others(self):
        for words in ((), ("high bits",)):
            guarded = {n: r for n, r in self.sockets(*words).items() if n.startswith("netlink")}
            self.assertEqual(guarded, {n: "ok" if n == f"netlink {ROUTE}" else "EPROTONOSUPPORT" for n in guarded})
        bare = self.sockets(options=UNCONFINED)
        self.assertEqual(bare["netlink 4"], "ok", "NETLINK_SOCK_DIAG without the filter")

    def test_who_rules_its_network_has_the_netlink_for_that_but_no_uevents_and_no_audit(self):
        got = self.sockets(options=("--cap-add", "NET_ADMIN"))
        self.assertNotEqual(got["netlink 12"], "EPROTONOSUPPORT", "NETLINK_NETFILTER")
        self.assertEqual((got["netlink 9"], got["netlink 15"]), ("EPROTONOSUPPORT",) * 2)


class Terminals(WallCase):
    def on_terminal(self, *options) -> dict[str, str]:
        terminal = self.terminal("run", "-t", "--rootfs", self.rootfs, *self.attacks("tty"), *options, "--",
                                 "/attack/tty")
        self.assertEqual(terminal.wait(), 0, terminal.seen)
        return outcomes(terminal.seen.replace("\r", ""))

    def test_nothing_can_be_typed_into_a_terminal_from_inside(self):
        guarded = self.on_terminal()
        self.assertEqual(guarded, {"TIOCSTI": "EPERM", "TIOCSTI with high bits": "EPERM", "TIOCLINUX": "EPERM",
                                   "TIOCGWINSZ": "ok"})
        bare = self.on_terminal(*UNCONFINED)
        # Linux 6.2 can be told to refuse TIOCSTI by itself; it answers EIO then.
        allowed = Path("/proc/sys/dev/tty/legacy_tiocsti")
        expected = "ok" if not allowed.exists() or allowed.read_text().strip() == "1" else "EIO"
        self.assertEqual((bare["TIOCSTI"], bare["TIOCLINUX"]), (expected, "ENOTTY"))

    def test_the_callers_terminal_is_not_the_sandboxs_and_takes_no_input_from_it(self):
        terminal = self.terminal("run", "-i", "--rootfs", self.rootfs, *self.attacks("tty"), *UNCONFINED, "--",
                                 "sh", "-c", "/attack/tty; (exec 3</dev/tty) && echo reached; cat /proc/self/stat")
        terminal.wait()
        lines = terminal.seen.replace("\r", "").splitlines()
        self.assertIn("TIOCSTI EPERM", lines, terminal.seen)  # it is not the terminal of its session
        self.assertNotIn("reached", lines)
        stat = next((line for line in lines if " (cat) " in line), terminal.seen)
        self.assertEqual(stat.split()[6], "0", f"it has a controlling terminal\n{terminal.seen}")


@only("root", "plain")
class Groups(WallCase):
    """Capabilities free calls, as in Docker; the kernel still asks for them in the machine's own user
    namespace, which no sandbox has."""

    def test_a_capability_that_frees_a_call_gives_no_power_over_the_machine(self):
        got = outcomes(self.attack_ok("calls", options=("--cap-add", "ALL")))
        for name in ("!syslog", "!settimeofday", "!reboot", "!swapoff", "!acct", "!init_module", "!delete_module",
                     "!kexec_load", "iopl", "!bpf"):
            self.assertNotEqual(got[name], "ok", f"{name.lstrip('!')} worked with all capabilities")
        for name in ("keyctl", "add_key", "request_key", "io_uring_setup", "userfaultfd"):
            self.assertIn(got[name], ("EPERM", "ENOSYS"), f"no capability frees {name}")
