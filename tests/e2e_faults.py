# SPDX-License-Identifier: Apache-2.0
"""Steps that fail and system calls that are not there: a working sandbox or one clear line, exit 125,
and nothing left behind.

Faults       HUTCH_FAULT=STEP:N makes the N-th pass of a step of src/box/start.c fail (debug builds).
OldKernels   tests/without.c answers ENOSYS to calls that a kernel may lack. Linux 5.11 has all that
             are required; what came later has a fallback, or an error that names the way out.
"""

import re
import resource
from pathlib import Path

from lib import debug_build, needs, only
from lib.extra import RunCase

ROOT = Path(__file__).resolve().parent.parent

# Linux 5.11 lacks these, and lets users have sandboxes all the same.
LATER_THAN_5_11 = """mount_setattr landlock_create_ruleset landlock_add_rule landlock_restrict_self quotactl_fd
    memfd_secret process_mrelease futex_waitv set_mempolicy_home_node""".split()
# Linux 5.11 has these; a policy (the filter of a container) may still refuse them.
MAY_BE_REFUSED = """clone3 openat2 pidfd_open pidfd_send_signal fsopen fsconfig fsmount move_mount open_tree
    close_range execveat memfd_create seccomp keyctl setns unshare pivot_root capset socketpair pipe2
    getrandom renameat2 clone setsid""".split()


def steps() -> list[str]:
    """The names in the table of src/box/start.c, in order."""
    text = (ROOT / "src/box/start.c").read_text()
    table = text.partition("} steps[] = {")[2].partition("};")[0]
    return re.findall(r'\{"([^"]+)",', table)


class Careful(RunCase):
    """Looks for leftovers in between, so that they are told with what left them."""

    def assert_nothing_left(self, result, may_wait: str = "no line") -> None:
        """@may_wait: what only a later run can remove; `hutch cleanup` must do it at once."""
        left = self.left_behind()
        if left:
            self.run_ok("cleanup")
            self.assertEqual(self.left_behind(), [], f"hutch cleanup does not remove it\n{result}")
        self.assertEqual([line for line in left if not re.match(may_wait, line)], [], str(result))


@only("root", "subuid", "plain")
class Faults(Careful):
    def with_fault(self, point: str, *options, **more):
        return self.hutch("run", "--rootfs", self.rootfs, "--name", "faulty", *options, "--", "printf", "ran\\n",
                          env={"HUTCH_FAULT": point}, **more)

    def assert_fault(self, step: str, *options) -> None:
        """The first pass of @step fails: one line, in good time, and nothing is left."""
        result = self.with_fault(f"{step}:1", *options)
        self.assert_fails(result, 125, f"fault point '{step}'")
        self.assertEqual(result.out, "", str(result))
        self.assertLess(result.seconds, 3, f"it took too long to say so\n{result}")
        self.assert_nothing_left(result)

    def test_there_is_a_table_of_steps(self):
        self.assertGreater(len(steps()), 5)
        self.assertEqual(steps()[0], "name")
        self.assertEqual(steps()[-1], "plan")

    @needs(debug_build, "not a debug build: it has no fault points")
    def test_a_start_that_fails_at_any_step_says_so_and_leaves_nothing(self):
        for step in steps():
            with self.subTest(step=step):
                self.assert_fault(step)

    @needs(debug_build, "not a debug build: it has no fault points")
    def test_the_same_with_volumes_devices_and_all_that_a_start_can_hold(self):
        volume = self.mkdir("volume")
        for step in steps():
            with self.subTest(step=step):
                self.assert_fault(step, "-v", f"{volume}:/a", "-v", f"{volume}:/b:cow", "--tmpfs", "/c",
                                  "--add-host", "a:10.0.0.1", "--ulimit", "nofile=100", "--hostname", "other")
        self.assertEqual(list(volume.iterdir()), [])

    @needs(debug_build, "not a debug build: it has no fault points")
    def test_the_same_with_a_terminal_and_the_machines_programs(self):
        for step in steps():
            with self.subTest(step=step):
                terminal = self.terminal_with_fault(step)
                self.assertEqual(terminal.wait(), 125, terminal.seen)
                self.assertIn(f"fault point '{step}'", terminal.seen)

    def terminal_with_fault(self, step: str):
        return self.terminal("run", "-it", "--host", "--", "true", env={"HUTCH_FAULT": f"{step}:1"})

    @needs(debug_build, "not a debug build: it has no fault points")
    def test_the_name_can_be_used_right_after_a_failure(self):
        for step in steps():
            with self.subTest(step=step):
                self.with_fault(f"{step}:1")
                result = self.with_fault("none:1")
                self.assertEqual((result.code, result.out), (0, "ran\n"), str(result))

    @needs(debug_build, "not a debug build: it has no fault points")
    def test_a_second_pass_that_never_comes_fails_nothing(self):
        for step in steps():
            with self.subTest(step=step):
                result = self.with_fault(f"{step}:2")
                self.assertEqual((result.code, result.out, result.err), (0, "ran\n", ""), str(result))

    @needs(debug_build, "not a debug build: it has no fault points")
    def test_the_verdict_of_a_failed_start_is_json_too(self):
        result = self.with_fault("network:1", "--json")
        self.assertEqual(result.code, 125, str(result))
        self.assertIn("fault point 'network'", str(result.verdict))

    @needs(lambda case: not debug_build(case), "a debug build")
    def test_a_release_build_does_not_listen(self):
        result = self.with_fault("name:1")
        self.assertEqual((result.code, result.out, result.err), (0, "ran\n", ""), str(result))

    def test_too_few_descriptors_are_told_in_time_and_leave_nothing(self):
        """From none to enough: each is one clear line, or it works."""
        worked = False
        for most in range(3, 48):
            result = None
            with self.subTest(descriptors=most):
                result = self.with_limit(most)
                if most >= 8 or result.err.startswith("hutch:"):  # fewer, and the loader speaks
                    self.assert_said_or_worked(result)
                self.assertLess(result.seconds, 3, f"it took too long to say so\n{result}")
            with self.subTest(left_with=most):
                self.assert_nothing_left(result)
            worked = result is not None and result.code == 0
        self.assertTrue(worked, f"47 descriptors are not enough: {result}")

    def with_limit(self, most: int):
        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        return self.hutch("run", "--rootfs", self.rootfs, "--", "printf", "ran\\n", before_exec=limit, timeout=12)

    def assert_said_or_worked(self, result) -> None:
        if result.code == 0:
            self.assertEqual((result.out, result.err), ("ran\n", ""), str(result))
        else:
            self.assert_fails(result, 125, "hutch: ")


@only("root", "subuid", "plain")
class OldKernels(Careful):
    # Where no process can be made, there is no sweeper either.
    WAITS = r"file in HUTCH_HOME: data/trash/|and \d+ more"

    def lacking(self, calls: str, *options, script: str = "id -u; echo text > /new; cat /new"):
        """A sandbox on a kernel without @calls."""
        return self.tiny(*options, script, without=calls)

    def assert_works(self, result, out: str = "0\ntext\n") -> None:
        self.assertEqual((result.code, result.out, result.err), (0, out, ""), str(result))

    def assert_works_or_says_why(self, result, out: str = "0\ntext\n") -> None:
        if result.code == 0:
            self.assert_works(result, out)
        else:
            self.assert_fails(result, 125, "hutch: ")
            self.assertEqual(result.out, "", str(result))
            self.assertNotRegex(result.err, r"has ended$", f"that is no reason\n{result}")
        self.assertLess(result.seconds, 5, f"it took too long\n{result}")

    @only("subuid", "plain")
    def test_users_need_nothing_that_linux_5_11_lacks(self):
        for call in LATER_THAN_5_11:
            with self.subTest(call=call):
                self.assert_works(self.lacking(call))
        self.assert_works(self.lacking(",".join(LATER_THAN_5_11)))

    @only("root")
    def test_without_idmapped_mounts_a_root_caller_is_told_the_two_ways_out(self):
        self.assert_fails(self.lacking("mount_setattr"), 125, "ordinary user", "--ids host")
        self.assert_works(self.lacking("mount_setattr", "--ids", "host"))

    @only("root")
    def test_a_root_caller_needs_nothing_else_that_linux_5_11_lacks(self):
        for call in LATER_THAN_5_11:
            if call != "mount_setattr":
                with self.subTest(call=call):
                    self.assert_works(self.lacking(call))

    def test_any_call_that_is_refused_gives_a_sandbox_or_one_clear_line(self):
        for call in MAY_BE_REFUSED:
            with self.subTest(call=call):
                result = self.lacking(call)
                self.assert_works_or_says_why(result)
            with self.subTest(left_without=call):
                self.assert_nothing_left(result, self.WAITS)

    def test_the_same_for_the_machines_programs(self):
        for call in LATER_THAN_5_11 + MAY_BE_REFUSED:
            with self.subTest(call=call):
                result = self.host("touch /usr/x 2>/dev/null && echo written; id -u", without=call)
                self.assert_works_or_says_why(result, "0\n")
            with self.subTest(left_without=call):
                self.assert_nothing_left(result, self.WAITS)

    def test_what_is_asked_to_be_read_only_is_never_written_to(self):
        volume = self.mkdir("volume")
        script = "touch /volume/x 2>/dev/null && echo written; echo ran"
        self.assert_works_or_says_why(
            self.lacking("mount_setattr", "-v", f"{volume}:/volume:ro", script=script), "ran\n")
        self.assertEqual(list(volume.iterdir()), [])
        script = "touch /x 2>/dev/null && echo written; echo ran"
        self.assert_works_or_says_why(self.lacking("mount_setattr", "--read-only", script=script), "ran\n")

    @only("subuid", "plain")
    def test_volumes_of_users_need_no_mount_setattr(self):
        volume = self.mkdir("volume")
        self.assert_works(self.lacking("mount_setattr", "-v", f"{volume}:/volume",
                                       script="touch /volume/x; ls /volume"), "x\n")
        self.assert_works_or_says_why(self.lacking("mount_setattr", "-v", f"{volume}:/volume:cow",
                                                   script="rm /volume/x; touch /volume/y; ls /volume"), "y\n")
        self.assertEqual([p.name for p in volume.iterdir()], ["x"])

    @only("root", "subuid")
    def test_the_hosts_network_needs_a_scope_for_sockets_or_a_word(self):
        for call in ("landlock_create_ruleset", "landlock_restrict_self"):
            with self.subTest(call=call):
                result = self.lacking(call, "--network", "host")
                self.assert_fails(result, 125, "--allow-abstract-sockets")
                result = self.lacking(call, "--network", "host", "--allow-abstract-sockets")
                self.assert_works(result)

    def test_the_doctor_says_what_is_missing(self):
        for call in ("mount_setattr", "openat2", "clone3", "landlock_create_ruleset", "pidfd_open"):
            with self.subTest(call=call):
                result = self.hutch("doctor", "--json", without=call)
                self.assertIn(result.code, (0, 1), str(result))
                self.assertTrue(result.out.startswith(("{", "[")), str(result))
