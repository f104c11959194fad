# SPDX-License-Identifier: Apache-2.0
"""hutch cleanup: removes at once what killed sandboxes left, and nothing else."""

import os
import subprocess

from lib import only
from lib.extra import RunCase, wait_for


class Cleanup(RunCase):
    """hutch cleanup."""

    def killed_run(self, *words, script: str = "echo ready; sleep 300") -> None:
        process = self.started_with("ready", *words, "--", "sh", "-c", script)
        process.kill()
        process.wait()

    def boxes(self) -> list[str]:
        """Names and directories of sandboxes, dead or alive."""
        names = []
        for part in ("run", "data/boxes", "data/trash"):
            if (self.home / part).exists():
                names += [f"{part}/{name}" for name in os.listdir(self.home / part)
                                                                  if name not in ("ranges", "lock", ".free")]
        return names

    def test_it_has_nothing_to_do_and_says_nothing(self):
        for _ in range(2):
            result = self.hutch("cleanup")
            self.assertEqual((result.code, result.out, result.err), (0, "", ""), str(result))
        self.host_ok("true")
        self.assertEqual(self.hutch("cleanup").code, 0)

    def test_it_works_where_hutch_never_was(self):
        home = self.mkdir("fresh", 0o700)
        result = self.hutch("cleanup", env={"HUTCH_HOME": str(home / "new")})
        self.assertEqual((result.code, result.err), (0, ""), str(result))

    def test_when_it_returns_nothing_of_killed_runs_is_left(self):
        for number in range(4):
            self.killed_run("--name", f"killed-{number}", "--rootfs", self.rootfs,
                            script="mkdir -p /a/b; : >/a/b/c; chmod 0 /a/b /a; mkdir -m 0 /d; echo ready; sleep 300")
        self.assertNotEqual(self.boxes(), [])
        result = self.hutch("cleanup")
        self.assertEqual((result.code, result.out, result.err), (0, "", ""), str(result))
        self.assertEqual(self.boxes(), [])
        # The sweeper of an earlier run may be on its last steps; descriptors: the test's own pipes.
        left = [line for line in self.left_behind(1) if not line.startswith("descriptor")]
        self.assertEqual(left, [])

    def test_what_waits_for_later_sandboxes_is_removed_too(self):
        for _ in range(2):
            self.run_ok("run", "--rootfs", self.rootfs, "true")
        self.assertNotEqual(os.listdir(self.home / "data/pool"), [])
        self.assertNotEqual(os.listdir(self.home / "run/.free"), [])
        self.run_ok("cleanup")
        self.assertEqual([os.listdir(self.home / path) for path in ("data/pool", "data/trash", "run/.free")], [[], [], []])
        self.run_ok("run", "--rootfs", self.rootfs, "true")

    def test_it_does_so_right_after_the_kill(self):
        for _ in range(3):
            self.killed_run()
            self.assertEqual(self.hutch("cleanup").code, 0)
            self.assertEqual(self.boxes(), [])

    def test_living_sandboxes_are_left_alone(self):
        alive = self.started_with("ready", "-i", "--name", "alive", "--", "sh", "-c",
                                  "echo ready; : >/file; cat; ls /file", stdin=subprocess.PIPE)
        self.killed_run("--name", "dead")
        self.assertEqual(self.hutch("cleanup").code, 0)
        self.assertEqual([name for name in self.boxes() if "alive" not in name], [])
        self.assertTrue([name for name in self.boxes() if "alive" in name])
        result = self.finish(alive, "more\n")
        self.assertEqual((result.code, result.out), (0, "more\n/file\n"), str(result))

    def test_several_at_once_do_not_disturb_each_other(self):
        for number in range(3):
            self.killed_run("--name", f"killed-{number}")
        several = [self.start("cleanup") for _ in range(4)] + [self.start("run", "--", "echo", "well")]
        for process in several:
            result = self.finish(process)
            self.assertEqual((result.code, result.err), (0, ""), str(result))
        self.assertEqual(self.boxes(), [])

    def test_what_a_killed_run_left_goes_with_a_later_run_too(self):
        self.killed_run("--name", "killed")
        self.host_ok("true")
        wait_for(lambda: not self.boxes(), 3, "the end of what was left")

    def test_files_that_are_not_hutchs_stay(self):
        self.host_ok("true")
        for name in ("data/keep", "data/boxes/.keep", "run/.keep"):
            self.assertTrue((self.home / name).parent.is_dir())
        layers = sorted(os.listdir(self.home / "data/layers"))
        self.killed_run()
        self.assertEqual(self.hutch("cleanup").code, 0)
        self.assertEqual(sorted(os.listdir(self.home / "data/layers")), layers)

    @only("subuid", "plain")
    def test_a_home_of_somebody_else_is_refused(self):
        home = self.mkdir("theirs", 0o777)
        for part in ("run", "data"):
            (home / part).mkdir(mode=0o700)
            os.chown(home / part, 0, 0)
        self.assert_fails(self.hutch("cleanup", env={"HUTCH_HOME": str(home)}), 125, str(home))

    @only("root", "plain")
    def test_wrong_words_are_refused(self):
        self.assert_fails(self.hutch("cleanup", "x"), 125, "cleanup", "words")
        for word in ("--everything", "--force"):
            self.assert_fails(self.hutch("cleanup", word), 125, word)
        self.assertIn("usage: hutch cleanup", self.run_ok("cleanup", "--help").out)
