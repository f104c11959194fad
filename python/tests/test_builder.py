# SPDX-License-Identifier: Apache-2.0
"""The builder of nanobox, its presets, errors and results. Needs no library."""

import copy
import math
import pickle
import re
import sys
import tempfile
import types
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import mock

import hutch
from hutch import _builder, _errors, _nanobox_errors
from hutch.compat import nanobox
from hutch.compat.nanobox import (GB, KB, MB, ExecutionResult, NetworkMode, NotSupportedError, Permission,
                                  SandboxBuilder, SeccompProfile)

PRESETS = Path(__file__).resolve().parents[2] / "src" / "spec" / "presets.def"
BARE = [("host", "true"), ("hostname", "sandbox"), ("network", "none")]


@contextmanager
def library() -> Iterator[mock.Mock]:
    """The part of the package that knows the library, as one that only listens."""
    module = types.ModuleType("hutch._nanobox")
    called = mock.Mock(return_value="a sandbox")
    module.build_nanobox = called  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, {"hutch._nanobox": module}):
        yield called


def said(builder: SandboxBuilder) -> list[tuple[str, str]]:
    """The fields beside those of a builder with nothing said."""
    return [field for field in builder.fields() if field not in BARE]


class Fields(unittest.TestCase):
    """What each method comes to."""

    def test_nothing_said_is_no_network_and_the_machines_programs(self) -> None:
        self.assertEqual(SandboxBuilder().fields(), BARE)
        self.assertEqual(SandboxBuilder().later(), [])
        self.assertEqual(SandboxBuilder().options(),
                         {"wall_time": 3600.0, "uid": None, "gid": None, "clear_env": True, "later": []})

    def test_mounts_and_tmpfs(self) -> None:
        b = SandboxBuilder()
        self.assertEqual(said(b.mount("/a", "/b", Permission.READ_ONLY)),
                         [("mounts", "type=bind,source=/a,target=/b,readonly")])
        self.assertEqual(said(b.mount(Path("d"), "//b/../c/", Permission.ReadWrite)),
                         [("mounts", "type=bind,source=d,target=/c")])
        self.assertEqual(said(b.mount('/a,"b:c', "/x:y", Permission.READ_WRITE)),
                         [("mounts", 'type=bind,"source=/a,""b:c",target=/x:y')])
        self.assertEqual(said(b.tmpfs("/tmp", 64 * MB).tmpfs("/t", 1000)),
                         [("tmpfs", "/tmp:size=64m,exec"), ("tmpfs", "/t:size=1000,exec")])

    def test_the_last_one_at_a_place_counts(self) -> None:
        b = (SandboxBuilder().mount("/a", "/t", Permission.READ_ONLY).mount("/b", "/t/", Permission.READ_WRITE)
             .tmpfs("/x", KB).tmpfs("/x", 2 * KB))
        self.assertEqual(said(b), [("mounts", "type=bind,source=/b,target=/t"), ("tmpfs", "/x:size=2k,exec")])
        self.assertEqual(said(b.tmpfs("/t", KB)), [("tmpfs", "/x:size=2k,exec"), ("tmpfs", "/t:size=1k,exec")])
        self.assertEqual(said(b.mount("/c", "/x", Permission.READ_ONLY))[1][1],
                         "type=bind,source=/c,target=/x,readonly")

    def test_root_directory_and_names(self) -> None:
        fields = SandboxBuilder().rootfs("/r").working_dir("/w").hostname("h").fields()
        self.assertEqual(fields, [("rootfs", "/r"), ("working_dir", "/w"), ("hostname", "h"), ("network", "none")])

    def test_variables(self) -> None:
        b = SandboxBuilder().env("A", "1").envs({"B": "2", "A": "x=y"}).envs([("C", "")])
        self.assertEqual(said(b), [("env", "A=x=y"), ("env", "B=2"), ("env", "C=")])
        self.assertFalse(b.clear_env(False).options()["clear_env"])

    def test_limits_of_processes(self) -> None:
        b = SandboxBuilder().cpu_time_limit(1.2).max_file_size(5 * MB).max_open_files(20)
        self.assertEqual(said(b), [("ulimits", "cpu=2:3"), ("ulimits", f"fsize={5 * MB}"), ("ulimits", "nofile=20")])

    def test_network_and_guards(self) -> None:
        b = SandboxBuilder()
        self.assertEqual(said(b.host_network()), [("network", "host"), ("allow_abstract_sockets", "true")])
        self.assertEqual(said(b.host_network().no_network()), [])
        self.assertEqual(said(b.seccomp_profile(SeccompProfile.STRICT)), [("cap_drop", "ALL")])
        self.assertEqual(said(b.seccomp_profile(SeccompProfile.Disabled)), [("security_opt", "seccomp=unconfined")])
        self.assertEqual(said(b.seccomp_profile(SeccompProfile.PERMISSIVE)), [])

    def test_times_and_ids_are_options(self) -> None:
        b = SandboxBuilder().uid(0).gid(7)
        self.assertEqual(b.wall_time_limit(1.5).options()["wall_time"], 1.5)
        self.assertEqual(b.wall_time_limit(timedelta(minutes=2)).options()["wall_time"], 120.0)
        self.assertEqual((b.options()["uid"], b.options()["gid"]), (0, 7))

    def test_names_in_both_spellings(self) -> None:
        self.assertIs(Permission.ReadOnly, Permission.READ_ONLY)
        self.assertIs(NetworkMode.Proxied, NetworkMode.PROXIED)
        self.assertIs(SeccompProfile.Standard, SeccompProfile.STANDARD)
        self.assertEqual((KB, MB, GB), (1024, 1024 ** 2, 1024 ** 3))
        self.assertEqual([len(kind) for kind in (Permission, NetworkMode, SeccompProfile)], [2, 3, 4])


class Building(unittest.TestCase):
    def test_the_library_gets_fields_and_options(self) -> None:
        b = SandboxBuilder().mount("/", "/host", Permission.READ_ONLY).wall_time_limit(2).uid(5)
        with library() as called:
            self.assertEqual(b.build(), "a sandbox")
        called.assert_called_once_with(b.fields(), {"wall_time": 2.0, "uid": 5, "gid": None, "clear_env": True,
                                                    "later": []})

    def test_limits_that_cannot_be_enforced_are_named_and_refused(self) -> None:
        b = SandboxBuilder().memory_limit(512 * MB).cpu_limit(1.5).max_pids(9)
        later = [("limits.memory", "512m"), ("limits.cpus", "1.5"), ("limits.pids", "9")]
        with library() as called:
            with self.assertRaises(NotSupportedError) as caught:
                b.build()
            self.assertEqual(str(caught.exception), "limits.memory=512m, limits.cpus=1.5, limits.pids=9: not in this "
                             "version yet; without_limits() does without them")
            called.assert_not_called()
            b.without_limits().build()
            self.assertEqual(called.call_args.args[1]["later"], later)
            self.assertEqual(called.call_args.args[0], BARE)

    def test_a_limit_that_can_be_enforced_is_set(self) -> None:
        with library() as called, mock.patch.object(_builder, "NOT_YET", frozenset()):
            SandboxBuilder().memory_limit(GB).allow_network(["a.org", "*.b.org"]).build()
        self.assertEqual(called.call_args.args[0], [
            ("host", "true"), ("hostname", "sandbox"), ("limits.memory", "1g"), ("limits.pids", "64"),
            ("network", "allow:a.org,*.b.org")])
        self.assertEqual(called.call_args.args[1]["later"], [])

    def test_some_domains_are_never_all_or_none_without_a_word(self) -> None:
        with library() as called:
            with self.assertRaisesRegex(NotSupportedError, r"allow_network\(a\.org\)"):
                SandboxBuilder().allow_network(["a.org"]).without_limits().build()
            called.assert_not_called()
            SandboxBuilder().allow_network(["a.org"]).no_network().build()
        with self.assertRaisesRegex(NotSupportedError, "2 system calls"):
            SeccompProfile.custom(["read", "write"])

    def test_what_is_not_there_is_told(self) -> None:
        with library() as called, tempfile.NamedTemporaryFile() as file:
            for b, path in ((SandboxBuilder().mount("/absent", "/x", Permission.READ_ONLY), "/absent"),
                            (SandboxBuilder().rootfs("/absent"), "/absent"),
                            (SandboxBuilder().rootfs(file.name), file.name)):
                with self.assertRaises(nanobox.PathNotFound) as caught:
                    b.build()
                self.assertEqual((caught.exception.path, str(caught.exception)), (path, f"Path not found: {path}"))
                self.assertIsInstance(caught.exception, FileNotFoundError)
            called.assert_not_called()

    def test_another_system_is_told(self) -> None:
        with library(), mock.patch.object(sys, "platform", "darwin"):
            self.assertEqual((nanobox.platform_name(), nanobox.is_platform_supported()), ("macos", False))
            with self.assertRaisesRegex(nanobox.PlatformNotSupported, "macos"):
                SandboxBuilder().build()
        self.assertEqual((nanobox.platform_name(), nanobox.is_platform_supported()), ("linux", True))

    def test_what_is_wrong_is_told_when_it_is_said(self) -> None:
        b = SandboxBuilder()
        for wrong in (
            lambda: b.tmpfs("tmp", MB), lambda: b.tmpfs("/tmp", 0), lambda: b.tmpfs("/a:b", MB),
            lambda: b.mount("/a", "b", Permission.READ_ONLY), lambda: b.mount("/a\0", "/b", Permission.READ_ONLY),
            lambda: b.mount("/a", "/b", "ro"), lambda: b.mount(b"/a", "/b", Permission.READ_ONLY),
            lambda: b.memory_limit(0), lambda: b.memory_limit(1.5), lambda: b.memory_limit(True),
            lambda: b.cpu_limit(0), lambda: b.cpu_limit(math.nan), lambda: b.cpu_limit(math.inf),
            lambda: b.wall_time_limit(0), lambda: b.wall_time_limit(timedelta(seconds=-1)),
            lambda: b.wall_time_limit("5"), lambda: b.cpu_time_limit(math.inf), lambda: b.max_pids(0),
            lambda: b.max_file_size(-1), lambda: b.max_open_files(0), lambda: b.uid(-1), lambda: b.gid("1"),
            lambda: b.env("", "x"), lambda: b.env("A=B", "x"), lambda: b.env("A", "x\0"),
            lambda: b.allow_network("a.org"), lambda: b.allow_network([]), lambda: b.allow_network(["a b"]),
            lambda: b.allow_network(["a,b"]), lambda: b.seccomp_profile("strict"), lambda: b.working_dir("w"),
        ):
            with self.assertRaises((hutch._errors.SandboxConfigError, TypeError)):
                wrong()
        self.assertEqual(b.fields(), BARE)


class Reuse(unittest.TestCase):
    def test_a_builder_that_is_kept_is_not_changed(self) -> None:
        base = SandboxBuilder().env("A", "1").tmpfs("/tmp", MB)
        before = base.fields()
        one, two = base.env("A", "2").without_limits(), base.mount("/", "/m", Permission.READ_ONLY).max_pids(3)
        self.assertEqual((base.fields(), base.later()), (before, []))
        self.assertIn(("env", "A=2"), one.fields())
        self.assertIn(("env", "A=1"), two.fields())
        self.assertEqual(copy.deepcopy(two).fields(), two.fields())
        self.assertEqual(copy.copy(two).later(), two.later())
        self.assertIn("limits.pids", repr(two))

    def test_one_of_a_class_of_ones_own_stays_of_it(self) -> None:
        class Mine(SandboxBuilder):
            pass

        self.assertIsInstance(Mine.interactive("/").env("A", "1"), Mine)

    def test_it_begins_at_the_sandbox_too(self) -> None:
        self.assertEqual(nanobox.Sandbox.builder().fields(), BARE)
        self.assertIs(hutch.SandboxBuilder, SandboxBuilder)


class Presets(unittest.TestCase):
    """The same values as in the program's table."""

    def table(self, name: str) -> set[tuple[str, str]]:
        rows = re.findall(r'^ASK\((\w+), "([^"]+)", "([^"]+)"\)', PRESETS.read_text(), re.M)
        self.assertGreater(len(rows), 30)
        return {(field, text) for preset, field, text in rows if preset == name}

    @unittest.skipUnless(PRESETS.is_file(), "needs the source")
    def test_they_are_those_of_the_program(self) -> None:
        for name in ("agent_executor", "code_judge", "data_analysis", "interactive"):
            preset = getattr(SandboxBuilder, name)
            b = preset("/a", "/b") if name == "data_analysis" else preset("/")
            fields = {field for field in b.fields() if field[0] != "mounts"} | set(b.later())
            fields.add(("timeout", format(b.options()["wall_time"], "g")))
            self.assertEqual(fields - {("host", "true"), ("network", "none")}, self.table(name), name)

    def test_their_mounts(self) -> None:
        def mounts(b: SandboxBuilder) -> list[str]:
            return [text for name, text in b.fields() if name == "mounts"]

        self.assertEqual(mounts(SandboxBuilder.agent_executor("/")), ["type=bind,source=/,target=/workspace"])
        self.assertEqual(mounts(SandboxBuilder.interactive("/")), ["type=bind,source=/,target=/workspace"])
        self.assertEqual(mounts(SandboxBuilder.code_judge("/")), ["type=bind,source=/,target=/workspace,readonly"])
        self.assertEqual(mounts(SandboxBuilder.code_judge("/etc/passwd")),
                         ["type=bind,source=/etc/passwd,target=/workspace/passwd,readonly"])
        self.assertEqual(mounts(SandboxBuilder.data_analysis("/i", "/o")),
                         ["type=bind,source=/i,target=/input,readonly", "type=bind,source=/o,target=/output"])

    def test_they_can_be_refined(self) -> None:
        b = SandboxBuilder.agent_executor("/").tmpfs("/tmp", MB).wall_time_limit(1).host_network().env("HOME", "/h")
        self.assertIn(("tmpfs", "/tmp:size=1m,exec"), b.fields())
        self.assertNotIn(("tmpfs", "/tmp:size=512m,exec"), b.fields())
        self.assertIn(("env", "HOME=/h"), b.fields())
        self.assertEqual(b.options()["wall_time"], 1.0)
        with library():
            self.assertRaises(NotSupportedError, b.build)
            b.without_limits().build()


class Results(unittest.TestCase):
    def test_the_first_reason_that_holds_is_told(self) -> None:
        for result, reason in (
            (ExecutionResult(), None),
            (ExecutionResult(exit_code=3), "Exit code 3"),
            (ExecutionResult(exit_code=137, signal=9), "Killed by signal 9"),
            (ExecutionResult(exit_code=137, signal=9, killed_by_oom=True), "Out of memory"),
            (ExecutionResult(killed_by_timeout=True, killed_by_oom=True), "Execution timed out"),
        ):
            self.assertEqual((result.failure_reason(), result.success()), (reason, reason is None))


class Errors(unittest.TestCase):
    def kinds(self) -> list[type[_nanobox_errors._Told]]:
        found = [kind for kind in vars(_nanobox_errors).values() if isinstance(kind, type) and
                 issubclass(kind, _nanobox_errors._Told) and kind is not _nanobox_errors._Told]
        return list(dict.fromkeys(found))

    def test_each_is_one_of_ours_and_keeps_what_it_is_about(self) -> None:
        self.assertEqual(len(self.kinds()), 28)
        for kind in self.kinds():
            facts = {name: f"<{name}>" for name in kind.names}
            error = kind(**facts)
            self.assertIsInstance(error, _errors.SandboxError)
            self.assertEqual({name: getattr(error, name) for name in facts}, facts)
            for fact in facts.values():
                self.assertIn(fact, str(error))
            for again in (pickle.loads(pickle.dumps(error)), kind(*facts.values())):
                self.assertEqual((type(again), str(again), again.code), (kind, str(error), error.code))
            self.assertRaises(TypeError, kind, *facts.values(), "more")
            self.assertIs(getattr(nanobox, kind.__name__), kind)

    def test_some_are_pythons_too(self) -> None:
        self.assertIsInstance(nanobox.PathNotFound("/x"), FileNotFoundError)
        self.assertIsInstance(nanobox.Timeout(3), TimeoutError)
        self.assertIsInstance(nanobox.SyscallBlocked("mount"), PermissionError)
        self.assertIsInstance(nanobox.Config("x"), ValueError)
        self.assertEqual(nanobox.CommandNotFound("x").code, "NO_COMMAND")
        self.assertIs(nanobox.ConfigValidation, nanobox.Config)

    def test_all_names_are_there(self) -> None:
        for name in nanobox.__all__:
            self.assertTrue(hasattr(nanobox, name), name)
        self.assertEqual(len(set(nanobox.__all__)), len(nanobox.__all__))


if __name__ == "__main__":
    unittest.main()
