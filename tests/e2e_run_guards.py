# SPDX-License-Identifier: Apache-2.0
"""hutch run: --cap-add, --cap-drop, --privileged, --security-opt, and the limits of a command."""

import resource
import subprocess

from lib import needs, only
from lib.extra import DEFAULT_CAPABILITIES, MANY_IDS, PYTHON, SET_MTU, RunCase, fields_of

ALL_CAPABILITIES = int(open("/proc/sys/kernel/cap_last_cap").read())
FULL = (1 << (ALL_CAPABILITIES + 1)) - 1
CHOWN, NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN, SYS_TIME = 0, 12, 13, 19, 21, 25
# Exit status 0 when the call of the name is allowed.
CALLS = {
    "ptrace": "import ctypes; exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0)",
    "userns": "import ctypes; exit(ctypes.CDLL(None).unshare(0x10000000) != 0)",
    "keyctl": "import ctypes; exit(ctypes.CDLL(None, use_errno=True).syscall(250, 0, -3, 1) < 0)",
    "bpf": "import ctypes; c = ctypes.CDLL(None, use_errno=True); c.syscall(321, 0, 0, 0);"
           " exit(ctypes.get_errno() in (1, 38))",
}


class Status(RunCase):
    """Looks at /proc/self/status of a command."""

    def status(self, *words, root: bool = False) -> dict[str, str]:
        return fields_of((self.host_ok if not root else self.tiny_ok)(*words, "cat /proc/self/status"))

    def capabilities(self, *words) -> int:
        status = self.status(*words)
        self.assertEqual(status["CapPrm"], status["CapEff"])
        self.assertEqual((int(status["CapInh"], 16), int(status["CapAmb"], 16)), (0, 0))
        return int(status["CapEff"], 16)


class Capabilities(Status):
    """--cap-add and --cap-drop."""

    def test_the_default_ones_are_dockers(self):
        self.assertEqual(self.capabilities(), DEFAULT_CAPABILITIES)

    def test_one_can_be_dropped_and_one_added_under_any_of_its_names(self):
        for name in ("NET_RAW", "net_raw", "CAP_NET_RAW", "cap_Net_Raw"):
            self.assertEqual(self.capabilities("--cap-drop", name), DEFAULT_CAPABILITIES & ~(1 << NET_RAW), name)
        for name in ("NET_ADMIN", "CAP_NET_ADMIN", "net_admin"):
            self.assertEqual(self.capabilities("--cap-add", name), DEFAULT_CAPABILITIES | 1 << NET_ADMIN, name)

    def test_all_can_be_dropped_and_one_kept(self):
        self.assertEqual(self.capabilities("--cap-drop", "ALL"), 0)
        self.assertEqual(self.capabilities("--cap-drop=all", "--cap-add=CHOWN"), 1 << CHOWN)
        self.assertEqual(self.capabilities("--cap-add", "chown", "--cap-drop", "ALL"), 1 << CHOWN)

    def test_all_can_be_added_and_one_kept_away(self):
        self.assertEqual(self.capabilities("--cap-add", "ALL"), FULL)
        self.assertEqual(self.capabilities("--cap-add", "ALL", "--cap-drop", "SYS_TIME"), FULL & ~(1 << SYS_TIME))

    def test_a_dropped_one_cannot_be_had_again(self):
        result = self.tiny("--cap-drop", "CHOWN", "--cap-drop", "FOWNER", "--cap-drop", "DAC_OVERRIDE", "--cap-drop",
                           "SETUID", "-w", "/tmp",
                           "cp /bin/true x; chown 1 x 2>/dev/null && echo chowned; grep CapEff /proc/self/status")
        self.assertNotIn("chowned", result.out)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_network_can_be_changed_only_with_net_admin(self):
        self.assertIn("PermissionError", self.python(SET_MTU).err)
        self.assertEqual(self.python_ok("--cap-add", "NET_ADMIN", SET_MTU), "changed\n")

    def test_mounts_can_be_made_only_with_sys_admin_and_masks_stay(self):
        script = ("mount -t tmpfs none /mnt 2>/dev/null && echo mounted;"
                  " umount /proc/keys 2>/dev/null && echo unmasked;"
                  "mount -o remount,bind,rw /proc/sys 2>/dev/null && echo remounted; cat /proc/keys; true")
        self.assertEqual(self.host_ok(script), "")
        self.assertEqual(self.host_ok("--cap-add", "SYS_ADMIN", script), "mounted\n")

    @only("root", "plain")
    def test_a_capability_that_there_is_none_of_is_refused(self):
        for option in ("--cap-add", "--cap-drop"):
            for name in ("", "NOSUCH", "CAP_", "40", "NET_ADMIN,CHOWN", "ÄLL"):
                self.refused(f"{option}={name}", "--", "true", words=(option,))


class Privileged(Status):
    """--privileged: all capabilities in a nested user namespace, no system call filter."""

    def test_it_has_all_capabilities_and_no_filter(self):
        status = self.status("--privileged")
        self.assertEqual(int(status["CapEff"], 16), FULL)
        self.assertEqual(status["Seccomp"], "0")

    def test_it_has_no_power_over_the_machine(self):
        script = ("mount -t tmpfs none /mnt && echo mounted; (echo x >/proc/sysrq-trigger) 2>/dev/null && echo sysrq;"
                  "(echo 7 >/proc/sys/vm/swappiness) 2>/dev/null && echo swappiness;"
                  " mknod /tmp/m c 1 1 2>/dev/null && cat /tmp/m && echo memory;"
                  "hostname other && hostname; date -s 2001-01-01 >/dev/null 2>&1 && echo date;"
                  " (echo 0 >/proc/1/oom_score_adj) 2>/dev/null;"
                  "umount /proc/keys 2>/dev/null && echo unmasked; true")
        self.assertEqual(self.host_ok("--privileged", "--name", "one", script).split(), ["mounted", "other"])

    def test_it_sees_no_process_but_its_own(self):
        self.assertEqual(self.host_ok(
            "--privileged", "cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l").split()[0], "hutch-init")
        result = self.host(
            "--privileged", "ls /proc/1/root/ /proc/1/cwd/ /proc/1/fd/ 2>&1; cat /proc/1/environ /proc/1/maps 2>&1")
        self.assertNotIn(str(self.home), result.out)
        self.assertIn("Permission denied", result.out)


class SecurityOptions(Status):
    """--security-opt."""

    def test_without_any_there_is_a_filter_and_no_way_to_more_powers(self):
        status = self.status()
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))

    def test_the_filter_can_be_left_away(self):
        for words in ("seccomp=unconfined", "seccomp:unconfined"):
            status = self.status("--security-opt", words)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "0"))

    def test_new_privileges_can_be_allowed(self):
        for words, expected in (("no-new-privileges", "1"), ("no-new-privileges=true", "1"),
                                ("no-new-privileges:true", "1"),
                                ("no-new-privileges=false", "0"), ("no-new-privileges:false", "0")):
            self.assertEqual(self.status("--security-opt", words)["NoNewPrivs"], expected, words)

    @only(*MANY_IDS)
    def test_set_user_id_programs_work_only_where_new_privileges_are_allowed(self):
        root = self.copy_of_rootfs()
        self.persona.run(["chmod", "4755", str(root / "usr/bin/id")])
        words = ["--rootfs", root, "-u", "user", "--", "id", "-u"]
        self.assertEqual(self.run_ok("run", *words).out, "1000\n")
        self.assertEqual(self.run_ok("run", "--security-opt", "no-new-privileges=false", *words).out, "0\n")

    def test_capabilities_that_were_dropped_stay_away_from_set_user_id_programs(self):
        status = self.status("--security-opt", "no-new-privileges=false")
        self.assertEqual(int(status["CapBnd"], 16), DEFAULT_CAPABILITIES)
        status = self.status("--security-opt", "no-new-privileges=false", "--cap-drop", "ALL")
        self.assertEqual((int(status["CapBnd"], 16), int(status["CapEff"], 16)), (0, 0))

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_ptrace_and_user_namespaces_are_refused_unless_asked_for(self):
        for name in ("ptrace", "userns"):
            self.assertEqual(self.python(CALLS[name]).code, 1, name)
            self.assertEqual(self.python("--security-opt", name, CALLS[name]).code, 0, name)
            other = "userns" if name == "ptrace" else "ptrace"
            self.assertEqual(self.python("--security-opt", other, CALLS[name]).code, 1, name)
        both = CALLS["ptrace"].replace("exit", "assert not ") + "; " + CALLS["userns"]
        self.assertEqual(self.python("--security-opt", "ptrace", "--security-opt", "userns", both).code, 0)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_keyrings_and_bpf_are_refused(self):
        for name in ("keyctl", "bpf"):
            self.assertEqual(self.python(CALLS[name]).code, 1, name)

    @only("root", "plain")
    def test_an_option_that_there_is_not_is_refused(self):
        for value in ("", "nosuch", "seccomp", "seccomp=", "seccomp=/no/such/file", "no-new-privileges=perhaps",
                      "userns=x"):
            self.refused(f"--security-opt={value}", "--", "true", words=("--security-opt",))


@only("root", "plain", "nested-range")
class Limits(RunCase):
    """--ulimit, --oom-score-adj, --sysctl."""

    def test_limits_are_set_soft_and_hard(self):
        out = self.host_ok("--ulimit", "nofile=100:200", "--ulimit", "nproc=300", "--ulimit", "fsize=4096",
                           "--ulimit", "core=0",
                           "cat /proc/self/limits")
        limits = {line[:25].strip(): line[25:].split()[:2] for line in out.splitlines()}
        for name, expected in (("Max open files", ["100", "200"]), ("Max processes", ["300", "300"]),
                               ("Max file size", ["4096", "4096"]),
                               ("Max core file size", ["0", "0"])):
            self.assertEqual(limits[name], expected)

    @only("root", "plain")
    def test_all_of_dockers_names_are_known(self):
        names = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
        for name in names.split():
            hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}", resource.RLIMIT_CORE))[1]
            value = 100000 if hard in (-1, 0) or hard > 100000 else hard
            if name in ("nice", "rtprio"):
                value = 0
            result = self.hutch("run", "--ulimit",
                                f"{name}={8 << 20 if name in ('stack', 'data', 'memlock') else value}", "--", "true")
            self.assertNotIn("no limit", result.err)
            self.assertEqual(result.code, 0, str(result))

    def test_a_limit_is_felt(self):
        result = self.host("--ulimit", "fsize=1000", "--ulimit", "nofile=20",
                           "head -c 5000 /dev/zero >/tmp/x; stat -c %s /tmp/x; ulimit -n")
        self.assertEqual(result.out.split(), ["1000", "20"], str(result))

    def test_unlimited_is_a_limit_and_core_files_never_reach_the_hosts_handler(self):
        self.assertEqual(self.host_ok("--ulimit", "stack=unlimited", "--ulimit",
                         "cpu=-1", "ulimit -s; ulimit -t").split(), ["unlimited"] * 2)
        out = self.host_ok("grep core /proc/self/limits; ulimit -c 0")
        self.assertEqual(out.split()[4:6], ["1", "1"], "0 still feeds a piped core handler of the host")

    @only("plain")
    def test_more_than_the_caller_may_have_is_refused(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.refused("--ulimit", f"nofile={hard + 1}", "--", "true", words=("nofile",))

    def test_the_callers_soft_limits_are_the_commands(self):
        def less() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (77, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        process = self.popen(less, "run", "--", "sh", "-c", "ulimit -n")
        result = self.finish(process)
        self.assertEqual(result.out, "77\n", str(result))

    @only("root", "plain")
    def test_words_that_are_no_limit_are_refused(self):
        for value in ("", "nofile", "nofile=", "nofile=x", "nofile=2:1", "nosuch=1", "=1", "nofile=1:2:3",
                      "nofile=-2"):
            self.refused(f"--ulimit={value}", "--", "true", words=("--ulimit",))

    def test_the_score_of_the_oom_killer_can_be_raised(self):
        own = int(open("/proc/self/oom_score_adj").read())
        for score in (500, 1000):
            self.assertEqual(self.host_ok("--oom-score-adj", str(score),
                                          "cat /proc/self/oom_score_adj; sh -c 'cat /proc/self/oom_score_adj'"),
                             f"{score}\n{score}\n")
        self.assertEqual(self.host_ok("cat /proc/self/oom_score_adj"), f"{own}\n")

    @only("plain", "subuid", "nested-range")
    def test_a_score_that_the_caller_may_not_give_is_refused(self):
        self.refused("--oom-score-adj", "-500", "--", "true", words=("oom_score_adj", "-500"))

    @only("root")
    def test_root_may_protect_a_command(self):
        if subprocess.run(["sh", "-c", "echo -500 >/proc/self/oom_score_adj"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("this root may not lower its own oom_score_adj (CAP_SYS_RESOURCE)")
        self.assertEqual(self.host_ok("--oom-score-adj", "-500", "cat /proc/self/oom_score_adj"), "-500\n")

    @only("root", "plain")
    def test_a_score_is_from_minus_1000_to_1000(self):
        for value in ("1001", "-1001", "x", "", "1.5"):
            self.refused(f"--oom-score-adj={value}", "--", "true", words=("--oom-score-adj",))

    def test_settings_of_the_sandboxs_own_namespaces_can_be_set(self):
        out = self.host_ok("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.shmmax=12345",
                           "--sysctl=fs.mqueue.msg_max=20",
                           "--sysctl", "kernel.msgmax=4096", "--sysctl", "net.ipv4.ping_group_range=0 0",
                           "cd /proc/sys; cat net/ipv4/ip_forward kernel/shmmax fs/mqueue/msg_max kernel/msgmax"
                           " net/ipv4/ping_group_range")
        self.assertEqual(out.split(), ["1", "12345", "20", "4096", "0", "0"])

    def test_settings_of_the_machine_are_refused(self):
        before = open("/proc/sys/vm/swappiness").read()
        for value in ("vm.swappiness=1", "kernel.panic=1", "kernel.core_pattern=|/bin/x", "fs.file-max=1",
                      "user.max_user_namespaces=1"):
            self.refused("--sysctl", value, "--", "true", words=("--sysctl", value))
        self.assertEqual(open("/proc/sys/vm/swappiness").read(), before)

    def test_settings_of_the_hosts_network_are_refused(self):
        self.refused("--network", "host", "--allow-abstract-sockets", "--sysctl", "net.ipv4.ip_forward=1", "--",
                     "true",
                     words=("net.ipv4.ip_forward", "host"))

    @only("root", "plain")
    def test_words_that_are_no_setting_are_refused(self):
        for value in ("", "x", "=1", "net.ipv4.no_such_setting=1", "net/../../vm/swappiness=1",
                      "net.ipv4.ip_forward=perhaps", "kernel.shmmax"):
            result = self.hutch("run", f"--sysctl={value}", "--", "true")
            self.assertEqual((result.code, len(result.err.splitlines())), (125, 1), str(result))
            self.assertIn(value.split("=")[0], result.err.replace("net/ipv4/", "net.ipv4."))
