# SPDX-License-Identifier: Apache-2.0
"""hutch run and create --preset: whole sets of options by one name."""

import json
import os

from lib import only
from lib.extra import SLACK_SECONDS, RunCase

LIMITS = {
    "agent_executor": "limits.memory=4g, limits.cpus=4, limits.pids=256",
    "code_judge": "limits.memory=256m, limits.cpus=1, limits.pids=10",
    "data_analysis": "limits.memory=2g, limits.cpus=2, limits.pids=100",
    "interactive": "limits.memory=8g, limits.cpus=4, limits.pids=512",
}
SIZES = {"agent_executor": 512, "code_judge": 64, "data_analysis": 256, "interactive": 1024}  # MiB of /tmp
TIMES = {"agent_executor": 600, "code_judge": 10, "data_analysis": 300, "interactive": 3600}
VARIABLES = {
    "agent_executor": {"HOME": "/workspace", "USER": "sandbox"},
    "code_judge": {},
    "data_analysis": {},
    "interactive": {"HOME": "/workspace", "USER": "sandbox", "TERM": "xterm-256color", "SHELL": "/bin/bash"},
}


class PresetCase(RunCase):
    def setUp(self):
        super().setUp()
        self.write("ws/file", "work\n")
        self.write("in/data", "in\n")
        self.mkdir("out")

    def words(self, name: str) -> list[str]:
        """The option, with paths that are there."""
        return ["--preset", f"{name}={'in:out' if name == 'data_analysis' else 'ws'}"]

    def preset(self, name: str, *words, **options) -> str:
        """Runs a script in the small root file system with a preset, quietly: its output."""
        return self.tiny_ok(*self.words(name), "--without-limits", "-q", *words, **options)


class Presets(PresetCase):
    """What is inside."""

    def test_paths_are_shown_to_be_written_or_read(self):
        probe = "for d in $1; do (echo x >$d/new) 2>/dev/null && echo $d written || echo $d not; done"
        for name, want in (("agent_executor", "/workspace written"), ("code_judge", "/workspace not"),
                           ("interactive", "/workspace written"), ("data_analysis", "/input not\n/output written")):
            places = "/input /output" if name == "data_analysis" else "/workspace"
            self.assertEqual(self.preset(name, probe.replace("$1", places)), want + "\n", name)
            for path in ("ws/new", "out/new"):
                if (self.tmp / path).exists():
                    self.assertEqual((self.tmp / path).stat().st_uid, self.persona.uid)
                    (self.tmp / path).unlink()
        self.assertEqual(self.preset("data_analysis", "cat /input/data; pwd"), "in\n/workspace\n")
        self.assertEqual((sorted(os.listdir(self.tmp / "in")), os.listdir(self.tmp / "out")), (["data"], []))

    def test_a_file_is_judged_in_the_directory_that_the_command_starts_in(self):
        out = self.tiny_ok("--preset", "code-judge=ws/file", "--without-limits", "-q",
                           "pwd; cat file; (echo x >file) 2>/dev/null || echo kept")
        self.assertEqual(out, "/workspace\nwork\nkept\n")
        out = self.tiny_ok("--preset", "data_analysis=in/data:out", "--without-limits", "-q", "cat /input")
        self.assertEqual(out, "in\n")

    def test_tmp_is_in_memory_and_of_its_size(self):
        for name, mib in SIZES.items():
            out = self.preset(name, "stat -f -c '%T %b %S' /tmp; cp /bin/true /tmp/t && /tmp/t && echo runs")
            kind, blocks, size, runs = out.split()
            self.assertEqual((kind, int(blocks) * int(size), runs), ("tmpfs", mib << 20, "runs"), name)

    def test_directory_name_variables_and_network(self):
        for name, variables in VARIABLES.items():
            out = self.preset(name, "pwd; hostname; ls /sys/class/net 2>/dev/null || cut -d: -f1 /proc/net/dev; env")
            lines = out.splitlines()
            self.assertEqual(lines[:2], ["/workspace", "sandbox"], name)
            self.assertIn("lo", [line.strip() for line in lines])
            self.assertFalse([line for line in lines if line.strip().startswith(("eth", "en"))], out)
            env = dict(line.split("=", 1) for line in lines if "=" in line)
            self.assertEqual({key: env.get(key) for key in variables}, variables)
            self.assertNotIn("SHELL" if "SHELL" not in variables else "ABSENT", env)

    def test_a_judge_gives_no_capabilities_and_five_seconds_of_a_processor(self):
        out = self.preset("code_judge", "grep CapEff /proc/self/status; grep 'cpu time' /proc/self/limits")
        self.assertEqual(out.split(), "CapEff: 0000000000000000 Max cpu time 5 6 seconds".split())

    def test_inspect_tells_what_a_preset_came_to(self):
        for name in LIMITS:
            self.hutch("create", *self.words(name), "--without-limits", "-q", "--host", "box")
            told = json.loads(self.run_ok("inspect", "box").out)
            spec = json.dumps(told)
            self.assertIn("/workspace" if name != "data_analysis" else "/output", spec)
            self.assertIn(f"size={SIZES[name] << 20}", spec)
            self.run_ok("rm", "box")


@only("root", "plain")
class Time(PresetCase):
    measures_time = True

    def test_a_shorter_timeout_beside_a_preset_holds_on_either_side_of_it(self):
        for words in (["--timeout", "300ms", *self.words("interactive")],
                      [*self.words("interactive"), "--timeout", "300ms"]):
            result = self.tiny(*words, "--without-limits", "-q", "sleep 20")
            self.assertEqual(result.code, 124, str(result))
            self.assertLess(result.seconds, 0.3 + 3 * SLACK_SECONDS)

    def test_create_says_that_the_time_is_for_one_command(self):
        for name, seconds in TIMES.items():
            result = self.hutch("create", *self.words(name), "--without-limits", "--host", "box")
            self.assertEqual((result.code, result.out), (0, "box\n"), str(result))
            self.assertEqual(result.err, f"hutch: preset '{name}': not enforced: {LIMITS[name]}\n"
                             "hutch: the preset's time is for one command: give --timeout "
                             f"{seconds} to `hutch exec`\n")
            self.run_ok("exec", "box", "true")
            self.run_ok("rm", "box")
        self.assert_fails(self.hutch("create", *self.words("interactive"), "--without-limits", "--host", "--timeout",
                                     "3", "box"), 125, "--timeout", "hutch exec")


@only("root", "plain")
class Beside(PresetCase):
    """Other options win, whichever stands first."""

    def test_options_beside_a_preset_win(self):
        own = ["-w", "/w", "-h", "mine", "-e", "HOME=/h", "-e", "MORE=1", "--tmpfs", "/tmp:size=1m",
               "--ulimit", "cpu=7", "-v", "./in:/extra:ro"]
        script = ("pwd; hostname; echo $HOME $MORE $USER; stat -f -c %T /tmp; ls /extra /workspace;"
                  " grep -c ' /tmp ' /proc/self/mountinfo")
        want = "/w\nmine\n/h 1 sandbox\ntmpfs\n/extra:\ndata\n\n/workspace:\nfile\n1\n"
        preset = [*self.words("agent_executor"), "--without-limits", "-q"]
        self.assertEqual(self.tiny_ok(*own, *preset, script), want)
        self.assertEqual(self.tiny_ok(*preset, *own, script), want)

    def test_two_mounts_at_a_place_of_a_presets_path_are_told(self):
        self.refused(*self.words("agent_executor"), "--without-limits", "-q", "-v", "./in:/workspace", "--", "true",
                     words=("two mounts", "/workspace"))

    def test_all_spellings_of_a_name_and_any_bytes_in_a_path(self):
        self.write("a:b, c/file", "odd\n")
        for name in ("agent_executor", "agent-executor", "AgentExecutor", "agentExecutor"):
            self.assertEqual(self.tiny_ok("--preset", f"{name}=a:b, c", "--without-limits", "-q", "cat file"), "odd\n")

    def test_in_the_background_it_holds_too(self):
        self.run_ok("run", "-d", *self.words("agent_executor"), "--without-limits", "-q", "--timeout", "300ms", "--name",
                    "box", "--rootfs", self.rootfs, "--", "sh", "-c", "echo $PWD; sleep 30")
        self.assertEqual(self.hutch("wait", "box").out, "124\n")
        self.assertEqual(self.run_ok("logs", "box").out, "/workspace\n")
        self.run_ok("rm", "box")


@only("root", "plain")
class Refused(PresetCase):
    """Nothing weaker than asked for without a word, and one line about what is wrong."""

    def test_limits_that_are_not_enforced_are_named_and_refused(self):
        for name, limits in LIMITS.items():
            self.refused(*self.words(name), "--", "true", words=(name, limits, "--without-limits"))
            result = self.host(*self.words(name), "--without-limits", "exit 3")
            self.assertEqual((result.code, result.err),
                             (3, f"hutch: preset '{name}': not enforced: {limits}\n"), str(result))
            result = self.hutch("create", *self.words(name), "--host", "box")
            self.assert_fails(result, 125, limits, "--without-limits")

    def test_bad_words_are_told(self):
        for word, words in (
            ("agent_executer=ws", ("agent_executer", "did you mean 'agent_executor'")),
            ("x=ws", ("'x'", "agent_executor, code_judge, data_analysis, interactive")),
            ("=ws", ("unknown preset ''", "agent_executor")),
            ("code_judge", ("needs a path", "code_judge=PATH")),
            ("code_judge=", ("submission", "an empty path")),
            ("agent_executor=absent", ("workspace", "absent", "No such file")),
            ("agent_executor=ws/file", ("workspace", "not a directory")),
            ("data_analysis=in", ("takes 2 paths (INPUT:OUTPUT), not 1",)),
            ("data_analysis=in:out:in", ("takes 2 paths (INPUT:OUTPUT), not 3",)),
            ("data_analysis=in:out:a:b:c:d:e:f", ("takes 2 paths",)),
            ("data_analysis=in:ws/file", ("output", "not a directory")),
            ("code_judge=/dev/null", ("submission", "neither a directory nor a file")),
        ):
            self.refused("--preset", word, "--without-limits", "--", "true", words=words)
        self.refused("--without-limits", "--", "true", words=("--without-limits is for --preset",))
        self.refused("--preset", words=("--preset needs a value",))
        self.assertEqual(sorted(os.listdir(self.tmp)), ["in", "out", "ws"])
