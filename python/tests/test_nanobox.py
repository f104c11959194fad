# SPDX-License-Identifier: Apache-2.0
"""Builder and presets, run for real."""

import threading

from hutch import NotSupportedError, SandboxError
from hutch.compat.nanobox import MB, Permission, Sandbox, SandboxBuilder
from world import ROOTFS, Case


class Nanobox(Case):
    def builder(self) -> SandboxBuilder:
        return Sandbox.builder().rootfs(ROOTFS) if ROOTFS else Sandbox.builder()

    def test_one_command_per_call(self) -> None:
        here = self.directory()
        (here / "in").write_text("data")
        sandbox = (self.builder().mount(here, "/data", Permission.READ_ONLY).tmpfs("/tmp", 64 * MB).working_dir("/tmp")
                   .env("A", "1").wall_time_limit(30).no_network().build())
        result = sandbox.run("sh", ["-c", "cat /data/in; pwd; echo $A $PATH; echo err >&2; touch /tmp/x; exit 3"])
        self.assertEqual((result.stdout, result.stderr, result.exit_code),
                         ("data/tmp\n1 /usr/local/bin:/usr/bin:/bin\n", "err\n", 3))
        self.assertEqual((result.success(), result.failure_reason()), (False, "Exit code 3"))
        self.assertGreater(result.peak_memory, 0)
        self.assertNotEqual(sandbox.run("ls", ["/tmp/x"]).exit_code, 0, "nothing is kept between calls")
        self.assertNotEqual(sandbox.run("sh", ["-c", "echo x >/data/new"]).exit_code, 0, "read only")
        self.assertEqual(sandbox.run_with_input("cat", [], b"x" * 200_000).stdout, "x" * 200_000)
        missing = sandbox.run("no-such-program")
        self.assertEqual(missing.exit_code, 127)
        self.assertIn("no-such-program", missing.stderr)

    def test_timeouts_and_signals_are_results(self) -> None:
        result = self.builder().wall_time_limit(0.3).build().run("sh", ["-c", "echo x; (sleep 60 &); sleep 60"])
        self.assertEqual((result.killed_by_timeout, result.stdout, result.failure_reason()), (True, "x\n", "Execution timed out"))
        result = self.builder().build().run("sh", ["-c", "kill -9 $$"])
        self.assertEqual((result.signal, result.exit_code, result.failure_reason()), (9, 137, "Killed by signal 9"))

    def test_presets_and_limits(self) -> None:
        here = self.directory()
        with self.assertRaises(NotSupportedError):
            SandboxBuilder.agent_executor(here).build()
        if ROOTFS:
            preset = SandboxBuilder.agent_executor(here).rootfs(ROOTFS)
        else:
            preset = SandboxBuilder.agent_executor(here)
        result = preset.without_limits().build().run("sh", ["-c", "echo $HOME $USER; echo x >made; pwd"])
        self.assertEqual((result.stdout, result.stderr), ("/workspace sandbox\n/workspace\n", ""))
        self.assertEqual((here / "made").read_text(), "x\n")
        with self.assertRaises(NotSupportedError):
            self.builder().allow_network(["example.com"]).build()
        with self.assertRaises(SandboxError):
            self.builder().mount(here / "none", "/x", Permission.READ_ONLY).build()

    def test_it_begins_at_the_sandbox(self) -> None:
        import hutch

        self.assertIsInstance(hutch.Sandbox.builder(), SandboxBuilder)
        self.assertIs(hutch.Permission.ReadOnly, Permission.READ_ONLY)
        with self.assertRaises(AttributeError):
            hutch.no_such_name

    def test_runs_overlap(self) -> None:
        sandbox = self.builder().build()
        results = []
        threads = [threading.Thread(target=lambda i=i: results.append(sandbox.run("sh", ["-c", f"sleep 0.2; echo {i}"]).stdout))
                   for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [f"{i}\n" for i in range(6)])
        self.assertRegex(sandbox.id(), "^[A-Za-z0-9_-]+$")
