# SPDX-License-Identifier: Apache-2.0
"""hutch, hutch help, --version and completion."""

import re
import shutil
import subprocess
from pathlib import Path

from lib import needs, only
from lib.extra import RunCase

COMMANDS = ("run", "doctor", "cleanup", "completion")
# What the manual promises of `hutch run`, long and short.
LONG = """rootfs host name hostname workdir env env-file user group-add volume mount tmpfs shm-size read-only entrypoint
    network add-host dns cap-add cap-drop privileged device security-opt ulimit stop-signal timeout oom-score-adj sysctl
    cidfile rm quiet init pull json tty interactive""".split()
SHORT = {"i": "interactive", "t": "tty", "w": "workdir", "e": "env", "u": "user", "v": "volume", "q": "quiet"}
HEADER = Path(__file__).resolve().parent.parent / "include" / "hutch.h"


@only("root", "plain")
class Help(RunCase):
    """hutch help, in all ways it is asked for."""

    def test_the_version_is_that_of_the_header(self):
        version = re.search(r'#define HUTCH_VERSION "([^"]+)"', HEADER.read_text()).group(1)
        result = self.hutch("--version")
        self.assertEqual((result.code, result.out, result.err), (0, f"hutch {version}\n", ""), str(result))

    def test_help_names_every_command_and_goes_to_stdout(self):
        for words in (["help"], ["--help"], ["-h"]):
            result = self.hutch(*words)
            self.assertEqual((result.code, result.err), (0, ""), str(result))
            for command in COMMANDS:
                self.assertRegex(result.out, rf"(?m)^  {command} ")

    def test_without_a_word_it_says_how_to_go_on(self):
        result = self.hutch()
        self.assertIn("usage: hutch COMMAND", result.out + result.err)

    def test_help_of_a_command_is_the_same_in_both_ways(self):
        for command in COMMANDS:
            one, other = self.run_ok("help", command), self.run_ok(command, "--help")
            self.assertEqual((one.out, one.err), (other.out, other.err))
            self.assertIn(f"usage: hutch {command}", one.out.replace("Usage", "usage"))

    def test_help_of_run_has_every_option(self):
        text = self.run_ok("run", "--help").out
        for name in LONG:
            self.assertRegex(text, rf"(?m)^ .* --{name}\b", name)
        for short, name in SHORT.items():
            self.assertRegex(text, rf"(?m)^  -{short}, --{name}\b")
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 100)

    def test_what_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            for words in (["--version"], ["help"], ["run", "--help"], ["ps"], ["doctor"]):
                result = self.hutch(*words, stdout=full)
                self.assertEqual((result.code, result.err), (125, "hutch: write to standard output: No space left on device\n"),
                                 str(result))

    def test_a_word_that_is_no_command_is_named(self):
        for word in ("rnu", "frobnicate", "--bogus", "", "-x", "new\nline"):
            result = self.hutch(word)
            self.assertEqual((result.code, result.out), (125, ""), str(result))
            self.assertEqual(len(result.err.splitlines()), 1, str(result))
            self.assertIn(word.split("\n")[0], result.err)
        self.assert_fails(self.hutch("help", "frobnicate"), 125, "frobnicate")


@only("root", "plain")
class Completion(RunCase):
    """hutch completion bash|zsh|fish."""

    def flags(self) -> set[str]:
        return set(re.findall(r"(?m)^ .{0,5}(--[a-z-]+)", self.run_ok("run", "--help").out))

    def completed(self, *words: str) -> list[str]:
        """What bash offers for the last of @words."""
        script = self.write("completion", self.run_ok("completion", "bash").out)
        line = " ".join(f"'{word}'" for word in words)
        program = (f". {script}; complete -p hutch >/dev/null || exit 9; COMP_WORDS=({line});"
                   f" COMP_CWORD={len(words) - 1};"
                   f"COMP_LINE=\"${{COMP_WORDS[*]}}\"; COMP_POINT=${{#COMP_LINE}};"
                   f" $(complete -p hutch | sed 's/.*-F \\([^ ]*\\).*/\\1/') hutch;"
                   "printf '%s\\n' \"${COMPREPLY[@]}\"")
        return self.persona.run(["bash", "-c", program], cwd=self.tmp).stdout.decode().split()

    def test_bash_completes_commands_and_every_flag(self):
        self.assertEqual(self.completed("hutch", "do"), ["doctor"])
        self.assertEqual(set(self.completed("hutch", "")) & set(COMMANDS), set(COMMANDS))
        self.assertEqual(set(self.completed("hutch", "run", "--")), self.flags())
        self.assertEqual(self.completed("hutch", "run", "--nam"), ["--name"])
        self.assertEqual(self.completed("hutch", "run", "-it", "--cap-a"), ["--cap-add"])

    def test_bash_completes_files(self):
        self.mkdir("some-directory")
        self.assertEqual(self.completed("hutch", "run", "--rootfs", "./some-d"), ["./some-directory"])

    @needs(shutil.which("zsh") is not None, "there is no zsh")
    def test_zsh_takes_its_script(self):
        script = self.write("completion", self.run_ok("completion", "zsh").out)
        self.persona.run(["zsh", "-n", str(script)])

    @needs(shutil.which("fish") is not None, "there is no fish")
    def test_fish_takes_its_script(self):
        script = self.write("completion", self.run_ok("completion", "fish").out)
        self.persona.run(["fish", "--no-execute", str(script)])

    def test_every_shell_knows_every_flag(self):
        for shell in ("bash", "zsh", "fish"):
            text = self.run_ok("completion", shell).out
            for flag in self.flags():
                self.assertRegex(text, rf"(?<![a-z-]){flag}(?![a-z-])" if shell !=
                                 "fish" else rf"(?<![a-z-])({flag}|{flag[2:]})(?![a-z-])")
            for command in COMMANDS:
                self.assertIn(command, text)

    def test_another_shell_is_refused(self):
        for words in (["tcsh"], [], ["bash", "zsh"], ["--nosuch"]):
            result = self.hutch("completion", *words)
            self.assertEqual((result.code, result.out), (125, ""), str(result))
            self.assertEqual(len(result.err.splitlines()), 1, str(result))

    def test_the_script_is_good_bash(self):
        script = self.write("completion", self.run_ok("completion", "bash").out)
        self.assertEqual(subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode, 0)
