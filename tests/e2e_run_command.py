# SPDX-License-Identifier: Apache-2.0
"""hutch run: its words, the command and how it ends."""

import json
import os
import signal
import subprocess

from lib import only
from lib.extra import RunCase


class Ends(RunCase):
    """Exit codes as Docker: the command's own; 125, 126, 127, 128+n."""

    def test_the_exit_code_of_the_command_is_the_exit_code_of_hutch(self):
        for code in (0, 1, 7, 124, 125, 255):
            result = self.host(f"exit {code}")
            self.assertEqual((result.code, result.out, result.err), (code, "", ""), str(result))

    def test_a_command_ended_by_a_signal_gives_128_and_its_number(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGPIPE, signal.SIGUSR1, 64):
            self.assertEqual(self.host(f"kill -{int(number)} $$").code, 128 + number, number)

    def test_a_command_that_is_not_there_gives_127_and_its_name(self):
        for words in (["no-such-command"], ["/usr/bin/no-such-command"], ["./no-such-command"]):
            self.refused("--", *words, code=127, words=("no-such-command",))
        self.refused("--rootfs", self.rootfs, "python3", code=127, words=("python3",))
        self.refused("-e", "PATH=/tmp", "--", "sh", code=127, words=("sh",))

    def test_a_command_that_cannot_be_executed_gives_126_and_its_name(self):
        text = self.write("text", "no program\n", mode=0o644)
        binary = self.write("binary", b"\x7fELF\0\0\0\0", mode=0o755)
        self.refused("--", "/etc/passwd", code=126, words=("/etc/passwd",))
        self.refused("--", "/usr", code=126, words=("/usr",))
        self.refused("-v", f"{text}:/text", "--", "/text", code=126, words=("/text",))
        self.refused("-v", f"{binary}:/binary:ro", "--", "/binary", code=126, words=("/binary",))

    def test_a_script_whose_interpreter_is_missing_is_told_from_one_that_ran(self):
        script = self.write("script", "#!/no/such/interpreter\n", mode=0o755)
        result = self.hutch("run", "-v", f"{script}:/script:ro", "--", "/script")
        self.assertIn(result.code, (126, 127), str(result))
        self.assert_fails(result, result.code, "/script")

    def test_a_script_without_a_first_line_is_run_by_nobody(self):
        script = self.write("script", "exit 0\n", mode=0o755)
        self.refused("-v", f"{script}:/script:ro", "--", "/script", code=126, words=("/script",))

    def test_what_the_command_left_running_ends_with_it(self):
        result = self.host("sleep 300 & (setsid sleep 300 &) ; echo said; exit 5")
        self.assertEqual((result.code, result.out), (5, "said\n"), str(result))
        self.assertLess(result.seconds, 5)

    def test_orphans_are_reaped_while_the_command_runs(self):
        out = self.host_ok("for i in 1 2 3 4 5; do (sh -c 'sleep 0.01' & ) ; done; sleep 0.2; "
                           "cat /proc/[0-9]*/stat | grep -c ') Z ' || true")
        self.assertEqual(out.strip(), "0")


@only("root", "plain")
class Words(RunCase):
    """Whose words are whose."""

    def test_arguments_arrive_byte_for_byte(self):
        args = [b"", b" ", b"a b", b"'\"\\$x`", b"new\nline", b"\x01\x7f", b"\xff\xfe\xc3", "snowman ☃".encode(),
                b"-t", b"--", b"--name=x", b"*"]
        for root in (["--"], ["--rootfs", self.rootfs, "--"], ["--host"]):
            result = self.run_ok("run", *root, "sh", "-c", 'printf "%s\\0" "$@"', "sh", *args)
            self.assertEqual(os.fsencode(result.out), b"\0".join(args) + b"\0")

    def test_options_end_at_the_command(self):
        for root in (["--rootfs", self.rootfs], ["--host"], ["--host", "--"], ["--rootfs", self.rootfs, "--"]):
            result = self.run_ok("run", *root, "printf", "%s ", "--name", "x", "-t", "--", "--no-such-option")
            self.assertEqual(result.out, "--name x -t -- --no-such-option ")

    def test_a_double_dash_before_the_command_means_the_machines_own_programs(self):
        self.assertEqual(self.run_ok("run", "--", "cat", "/etc/passwd").out,
                         self.run_ok("run", "--host", "cat", "/etc/passwd").out)

    def test_a_first_word_is_an_image_and_the_error_names_the_two_other_ways(self):
        for words in (["alpine"], ["alpine", "true"], ["docker.io/library/alpine:3.20", "sh", "-c", "x"], ["-t",
                                                                                                           "true"]):
            image = next(word for word in words if not word.startswith("-"))
            self.refused(*words, words=(image, "image", "--rootfs", "--host"))

    def test_without_a_command_it_says_so(self):
        self.refused(words=("command",))
        self.refused("--", words=("command",))
        self.refused("--host", words=("command",))
        self.refused("--rootfs", self.rootfs, words=("command",))

    def test_two_root_file_systems_are_one_too_many(self):
        self.refused("--host", "--rootfs", self.rootfs, "true", words=("--rootfs", "--host"))

    def test_flags_may_be_written_in_all_of_dockers_ways(self):
        for words in (["-w", "/usr"], ["-w/usr"], ["-w=/usr"], ["--workdir", "/usr"], ["--workdir=/usr"],
                      ["--rm", "-w", "/usr"], ["-iw", "/usr"], ["-iw/usr"], ["--rm=true", "-w/usr"]):
            self.assertEqual(self.run_ok("run", *words, "--", "pwd").out, "/usr\n", words)

    def test_a_switch_can_be_switched_off(self):
        for words in (["--read-only=false"], ["--read-only", "--read-only=false"], ["--tty=false"], ["-t=false"]):
            self.run_ok("run", *words, "--", "sh", "-c", "echo x >/tmp/x && ! test -t 1")
        self.refused("--read-only=perhaps", "--", "true", words=("--read-only", "perhaps"))

    def test_an_unknown_option_gives_the_nearest_one(self):
        for wrong, right in (("--nmae", "--name"), ("--volum", "--volume"), ("--evn", "--env"), ("--rootf",
                                                                                                 "--rootfs"),
                             ("--hots", "--host"), ("--timeot", "--timeout"), ("--cap_add", "--cap-add"),
                             ("--shm_size", "--shm-size"), ("--cidfiel", "--cidfile"), ("--readonly", "--read-only")):
            self.refused(wrong, "x", "--", "true", words=(f"'{wrong}'", f"'{right}'"))
            self.refused(f"{wrong}=x", "--", "true", words=(wrong, f"'{right}'"))

    def test_an_unknown_option_that_is_like_none_is_named(self):
        self.refused("--xyzzyplugh", "--", "true", words=("--xyzzyplugh",))
        self.refused("-Z", "--", "true", words=("-Z",))
        self.refused("-iZ", "--", "true", words=("-Z",))

    def test_an_option_without_its_value_is_named(self):
        for option in ("--name", "--rootfs", "-v", "--cidfile"):
            self.refused(option, words=(option,))
        self.refused("--init=x=y", "--", "true", words=("--init",))

    def test_fields_of_later_versions_say_not_yet_by_name(self):
        for words, name in ((["-p", "8080:80"], "--publish"), (["--publish", "80"], "--publish"),
                            (["-m", "1g"], "--memory"), (["--memory=1g"], "--memory"), (["--cpus", "1.5"], "--cpus"),
                            (["--pids-limit", "10"], "--pids-limit"), (["--cpu-shares", "10"], "--cpu-shares"),
                            (["--memory-swap", "1g"], "--memory-swap"), (["--cpuset-cpus", "0"], "--cpuset-cpus")):
            result = self.refused(*words, "--", "true", words=(name, "yet"))
            self.assertNotIn("unknown", result.err)

    def test_networks_of_later_versions_say_not_yet_by_name(self):
        for name in ("nat", "allow:example.org,*.example.net", "some-network"):
            self.refused("--network", name, "--", "true", words=("--network", name, "yet"))

    def test_options_that_change_nothing_are_accepted(self):
        self.assertEqual(self.host_ok("--rm", "--init", "--pull", "never", "echo ok"), "ok\n")
        for when in ("always", "missing", "never"):
            self.assertEqual(self.hutch("run", "--pull", when, "--", "true").code, 0)

    def test_the_entrypoint_goes_before_the_command(self):
        self.assertEqual(self.run_ok("run", "--entrypoint", "echo", "--", "a", "b").out, "a b\n")
        self.assertEqual(self.run_ok("run", "--entrypoint=/bin/printf", "--rootfs", self.rootfs, "a").out, "a")
        self.assertEqual(self.run_ok("run", "--entrypoint", "", "--", "echo", "c").out, "c\n")
        self.assertEqual(self.run_ok("run", "--host", "--entrypoint", "pwd").out, "/\n")
        self.refused("--entrypoint", "no-such-entrypoint", "--", "a", code=127, words=("no-such-entrypoint",))

    def test_a_command_of_100000_arguments_runs(self):
        result = self.hutch("run", "--", "sh", "-c", "echo $#", "sh", *["a"] * 100_000)
        self.assertEqual((result.code, result.out), (0, "100000\n"), str(result.err))

    def test_arguments_that_the_kernel_refuses_inside_are_said_in_one_line(self):
        result = self.hutch("run", "--ulimit", "stack=1048576", "--", "echo", *["a" * 100] * 8_000)
        self.assertIn(result.code, (125, 126), result.err)
        self.assertIn("rgument list too long", result.err)
        self.assertEqual(len(result.err.splitlines()), 1, result.err)

    def test_a_short_command_and_a_huge_environment_run(self):
        env = {f"KEEP_{n}": "x" * 1000 for n in range(500)}
        words = [word for name in env for word in ("-e", name)]
        self.assertEqual(self.host_ok(*words, "env | grep -c ^KEEP_", env=env), "500\n")


@only("root", "plain")
class Environment(RunCase):
    """It starts empty but for PATH, HOME, TERM, LANG, HOSTNAME and what was asked."""

    def environment_of(self, *words, **options) -> dict[str, str]:
        result = self.run_ok("run", *words, "--", "env", "-0", **options)
        return dict(line.split("=", 1) for line in result.out.split("\0") if line)

    def test_nothing_of_the_callers_environment_is_inside(self):
        inside = self.environment_of(env={"SECRET": "1", "LD_PRELOAD": "", "LC_ALL": "C"})
        self.assertLessEqual(set(inside), {"PATH", "HOME", "TERM", "LANG", "HOSTNAME"})
        self.assertEqual(inside["HOME"], "/root")
        for directory in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
            self.assertIn(directory, inside["PATH"].split(":"))

    def test_variables_are_given_taken_from_the_caller_or_left_out(self):
        inside = self.environment_of("-e", "GIVEN=a=b c\nd", "--env=EMPTY=", "-e", "TAKEN", "-e", "ABSENT", "-e",
                                     "HOME=/h",
                                     env={"TAKEN": "from me", "OTHER": "x"})
        self.assertEqual(inside["GIVEN"], "a=b c\nd")
        self.assertEqual(inside["EMPTY"], "")
        self.assertEqual(inside["TAKEN"], "from me")
        self.assertEqual(inside["HOME"], "/h")
        self.assertNotIn("ABSENT", inside)
        self.assertNotIn("OTHER", inside)

    def test_bytes_of_any_encoding_arrive(self):
        self.assertEqual(self.environment_of("-e", b"B=\xff\x01\n")["B"], "\udcff\x01\n")

    def test_the_last_value_of_a_variable_counts(self):
        inside = self.environment_of("-e", "A=1", "-e", "A=2", "-e", "PATH=/usr/bin", "-e", "PATH=/bin:/usr/bin")
        self.assertEqual((inside["A"], inside["PATH"]), ("2", "/bin:/usr/bin"))

    def test_a_variable_without_a_name_is_refused(self):
        for value in ("=x", ""):
            self.refused("-e", value, "--", "true", words=("--env",))

    def test_a_file_of_variables_is_read_as_docker_does(self):
        file = self.write(
            "vars", "# a comment\n\nA=1\nB=with spaces and = signs \nC=\nTAKEN\nABSENT\nQ=\"kept\"\n#D=4\nLAST=no"
                    " newline")
        inside = self.environment_of("--env-file", file, env={"TAKEN": "mine"})
        expected = {"A": "1", "B": "with spaces and = signs ", "C": "",
            "TAKEN": "mine", "Q": '"kept"', "LAST": "no newline"}
        self.assertEqual({name: inside.get(name) for name in expected}, expected)
        self.assertFalse({"D", "#D", "ABSENT"} & set(inside), inside)

    def test_variables_of_the_command_line_win_over_those_of_files(self):
        first, second = self.write("one", "A=1\nB=1\nC=1\n"), self.write("two", "B=2\n")
        inside = self.environment_of("-e", "C=3", "--env-file", first, "--env-file", second)
        self.assertEqual((inside["A"], inside["B"], inside["C"]), ("1", "2", "3"))

    def test_a_file_of_variables_that_cannot_be_read_is_named(self):
        self.refused("--env-file", "./no-such-file", "--", "true", words=("--env-file", "no-such-file"))
        self.refused("--env-file", self.tmp, "--", "true", words=("--env-file", str(self.tmp)))
        self.refused("--env-file", self.write("bad", "A B=1\n"), "--", "true", words=("--env-file", "line 1"))


class Directory(RunCase):
    """-w: where the command starts."""

    def test_it_starts_in_the_root_directory_or_where_it_is_told(self):
        self.assertEqual(self.host_ok("pwd"), "/\n")
        self.assertEqual(self.host_ok("-w", "/usr/bin", "pwd; ls -d sh"), "/usr/bin\nsh\n")

    def test_a_directory_that_is_not_there_is_made(self):
        self.assertEqual(self.tiny_ok("-w", "/made/for me/here", "pwd; ls -A; echo x >file; cat file"),
                         "/made/for me/here\nx\n")
        self.assertFalse((self.rootfs / "made").exists())

    @only("root", "plain")
    def test_one_that_cannot_be_is_refused(self):
        self.refused("-w", "relative/path", "--", "true", words=("--workdir", "relative/path"))
        result = self.hutch("run", "-w", "/etc/passwd", "--", "true")
        self.assertIn(result.code, (125, 126, 127), str(result))
        self.assert_fails(result, result.code, "/etc/passwd")
        result = self.hutch("run", "-w", "/usr/no/such", "--", "true")  # /usr cannot be written with --host
        self.assertIn(result.code, (125, 126, 127), str(result))
        self.assert_fails(result, result.code, "/usr/no/such")


class Names(RunCase):
    """--name, --hostname, --cidfile."""

    def test_the_name_is_the_host_name(self):
        self.assertEqual(self.host_ok("--name", "some-name_1.x", "hostname; cat /etc/hostname; echo $HOSTNAME"),
                         "some-name_1.x\n" * 3)

    def test_a_host_name_of_its_own_goes_before_the_name(self):
        out = self.host_ok("--name", "one", "-h", "other",
                           "uname -n; cat /etc/hostname; echo $HOSTNAME; cat /etc/hosts")
        self.assertEqual(out.splitlines()[:3], ["other"] * 3)
        self.assertIn("other", [line.split()[-1] for line in out.splitlines()[3:]])
        self.assertNotIn("one", out.split())

    @only("root", "plain")
    def test_a_name_that_is_no_name_is_refused(self):
        for name in ("", ".", "..", "a/b", "../a", "a b", "new\nline", "-x", "ä", b"\xff", "x" * 300):
            self.refused(b"--name=" + (name if isinstance(name, bytes)
                         else name.encode()), "--", "true", words=("--name",))

    @only("root", "plain")
    def test_a_host_name_that_the_kernel_would_not_take_is_refused(self):
        for name in ("x" * 65, "a b", "new\nline", ""):
            self.refused(f"--hostname={name}", "--", "true", words=("--hostname",))

    def test_a_name_that_is_taken_is_refused_and_free_again_afterwards(self):
        first = self.started_with("ready", "-i", "--name", "taken", "--", "sh", "-c", "echo ready; cat",
                                  stdin=subprocess.PIPE)
        self.refused("--name", "taken", "--", "true", words=("taken",))
        result = self.finish(first, "still here\n")
        self.assertEqual((result.code, result.out), (0, "still here\n"), str(result))
        self.assertEqual(self.host_ok("--name", "taken", "hostname"), "taken\n")

    def test_of_many_runs_at_once_with_one_name_exactly_one_starts(self):
        release = self.tmp / "release"
        script = "until test -e /t/release; do sleep 0.01; done; echo won"
        runs = [self.start("run", "--name", "same", "-v", f"{self.tmp}:/t:ro", "--", "sh", "-c", script)
                for _ in range(4)]
        losers = []
        while len(losers) < len(runs) - 1:
            pid = next((p for p in runs if p not in losers and p.poll() is not None), None)
            if pid:
                losers.append(pid)
        release.write_text("")
        for process in losers:
            result = self.finish(process)
            self.assert_fails(result, 125, "same")
        (winner,) = [p for p in runs if p not in losers]
        result = self.finish(winner)
        self.assertEqual((result.code, result.out), (0, "won\n"), str(result))

    def test_runs_without_a_name_get_different_ones(self):
        runs = [self.start("run", "--", "hostname") for _ in range(4)]
        names = {self.finish(process).out for process in runs}
        self.assertEqual(len(names), 4, names)
        self.assertNotIn("", names)

    def test_the_name_is_written_to_the_cidfile(self):
        file = self.tmp / "id"
        out = self.host_ok("--cidfile", file, "hostname")
        self.assertEqual(file.read_text(), out.strip())
        self.host_ok("--cidfile", "./named", "--name", "given", "true")
        self.assertEqual((self.tmp / "named").read_text(), "given")

    @only("root", "plain")
    def test_a_cidfile_that_is_there_is_left_alone(self):
        file = self.write("id", "precious")
        self.refused("--cidfile", file, "--", "true", words=(str(file),))
        self.assertEqual(file.read_text(), "precious")
        self.refused("--cidfile", "./no/such/dir/id", "--", "true", words=("no/such/dir/id",))


@only("root", "plain")
class Verdict(RunCase):
    """--json[=FD] and -q."""

    def test_it_is_the_last_line_on_stderr(self):
        result = self.host("--json", "echo out; echo err >&2; exit 3")
        self.assertEqual((result.code, result.out), (3, "out\n"))
        self.assertEqual(result.err.splitlines()[0], "err")
        self.assertEqual(len(result.err.splitlines()), 2)
        self.assertEqual({k: result.verdict[k] for k in ("end", "exit_code", "signal", "message")},
                         {"end": "exit", "exit_code": 3, "signal": 0, "message": ""})

    def test_it_tells_signals_timeouts_and_commands_that_could_not_run(self):
        verdict = self.host("--json", "kill -TERM $$").verdict
        self.assertEqual((verdict["end"], verdict["exit_code"], verdict["signal"]), ("signal", 143, 15))
        verdict = self.host("--json", "--timeout", "100ms", "sleep 100").verdict
        self.assertEqual((verdict["end"], verdict["exit_code"]), ("timeout", 124))
        result = self.hutch("run", "--json", "--", "no-such-command")
        self.assertEqual((result.verdict["end"], result.verdict["exit_code"], result.code), ("not_run", 127, 127))
        self.assertIn("no-such-command", result.verdict["message"])
        result = self.hutch("run", "--json", "--rootfs", "/no/such/root", "--", "true")
        self.assertEqual((result.verdict["end"], result.verdict["exit_code"], result.code), ("not_run", 125, 125))
        self.assertIn("/no/such/root", result.verdict["message"])

    def test_it_measures_time_and_memory(self):
        verdict = self.host(
            "--json", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; head -c 30000000 /dev/zero | tail -1").verdict
        self.assertGreater(verdict["user_us"] + verdict["system_us"], 10_000)
        self.assertLess(verdict["user_us"] + verdict["system_us"], 60_000_000)
        self.assertGreater(verdict["maxrss_bytes"], 20_000_000)

    def test_it_tells_how_long_it_took(self):
        verdict = self.host("--json", "sleep 0.3").verdict
        self.assertGreaterEqual(verdict["duration_us"], 300_000)
        self.assertLess(verdict["duration_us"], 20_000_000)
        verdict = self.host("--json", "--timeout", "100ms", "sleep 100").verdict
        self.assertGreaterEqual(verdict["duration_us"], 100_000)
        self.assertLess(verdict["duration_us"], 20_000_000)
        self.assertEqual(self.hutch("run", "--json", "--", "no-such-command").verdict["duration_us"], 0)

    def test_it_goes_to_the_descriptor_asked_for(self):
        read, write = os.pipe()
        process = self.start("run", f"--json={write}", "--", "sh", "-c", "ls /proc/self/fd; exit 4", pass_fds=[write])
        os.close(write)
        result = self.finish(process)
        with os.fdopen(read) as stream:
            verdict = json.loads(stream.read())
        self.assertEqual((verdict["exit_code"], result.code, result.err), (4, 4, ""), str(result))
        self.assertEqual(result.out.split(), ["0", "1", "2", "3"], "the descriptor of the verdict is inside")

    def test_a_descriptor_that_is_not_open_is_refused(self):
        for value in ("77", "-1", "x", "99999999999"):
            self.refused(f"--json={value}", "--", "true", words=("--json",))

    def test_messages_with_odd_bytes_stay_json(self):
        result = self.hutch("run", "--json", "--", b'no"such\n\xff\\command')
        self.assertEqual(result.verdict["exit_code"], 127)
        self.assertIn('no"such', result.verdict["message"])
        self.assertEqual(len(result.err.splitlines()), 2, str(result))

    def test_quiet_says_nothing_of_itself(self):
        result = self.host("-q", "--timeout", "100ms", "echo out; echo err >&2; sleep 100")
        self.assertEqual((result.code, result.out, result.err), (124, "out\n", "err\n"), str(result))
