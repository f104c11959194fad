# SPDX-License-Identifier: Apache-2.0
"""The Python package: its own tests, python/tests/test_*.py, as everybody; and the wheel."""

import os
import re
import shutil
import signal
import sys
import zipfile
from pathlib import Path

from lib import needs, only
from lib.extra import RunCase

ROOT = Path(__file__).resolve().parent.parent


QUICK_START_SAYS = "hello\n 3\nno shell\n/usr 1\n\nkept\n['0\\n', '1\\n', '2\\n']\n"

LIBRARIES = """import hutch._hutch
loaded = {line.split()[-1] for line in open("/proc/self/maps")}
print(*sorted(path for path in loaded if "jansson" in path or "seccomp" in path))
"""


def quick_start() -> str:
    """README's Python."""
    (example,) = re.findall(r"<!-- run python -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    return example


def built(case) -> bool:
    return bool(list((case.session.build / "python" / "hutch").glob("_hutch.abi3.so")))


class Package(RunCase):
    """The package as it stands in the build directory."""

    def python(self) -> str:
        """One that this persona can reach: /usr/bin/python3 where the present one is in a home of root's."""
        try:
            self.persona.run(["test", "-x", sys.executable])
            return sys.executable
        except RuntimeError:
            return "/usr/bin/python3"

    def package(self) -> Path:
        """A copy: users cannot look into every build directory."""
        path = self.persona.dir / "python"
        if not path.exists():
            path.mkdir()
            for tree in (self.session.build / "python" / "hutch", ROOT / "python" / "tests"):
                shutil.copytree(tree, path / tree.name, ignore=shutil.ignore_patterns("*.p", "__pycache__"))
            shutil.copy(self.session.build / "libhutch.so.0", path / "libhutch.so.0")
            (self.persona.dir / "src" / "spec").mkdir(parents=True)
            for table in ("fields.def", "presets.def"):
                shutil.copy(ROOT / "src" / "spec" / table, self.persona.dir / "src" / "spec")
        return path

    def run_tests(self, name: str, *, rootfs: bool = True) -> None:
        path = self.package()
        env = {**self.environment(), "PYTHONPATH": str(path), "LD_LIBRARY_PATH": str(path),
               "PYTHONDONTWRITEBYTECODE": "1"}
        if rootfs:
            env["HUTCH_TEST_ROOTFS"] = str(self.rootfs)
        argv = [self.python(), "-W", "error::DeprecationWarning", "-m", "unittest", "-v", name]
        process = self.persona.popen(argv, env=env, cwd=path / "tests", stdin=-3, stdout=-1, stderr=-2)
        self._started.append(process)
        out, _ = process.communicate()
        self.assertEqual(process.returncode, 0, out.decode(errors="replace")[-6000:])

    @needs(built, "this build has no Python package")
    def test_sandbox(self):
        self.run_tests("test_sandbox")

    @needs(built, "this build has no Python package")
    def test_sandbox_on_the_machines_programs(self):
        self.run_tests("test_sandbox", rootfs=False)

    @needs(built, "this build has no Python package")
    def test_async(self):
        self.run_tests("test_async")
        self.run_tests("test_pool")

    @needs(built, "this build has no Python package")
    def test_twins(self):
        self.run_tests("test_twin")

    @needs(built, "this build has no Python package")
    def test_sessions_whose_time_is_over(self):
        self.run_tests("test_session")

    @needs(built, "this build has no Python package")
    def test_single_programs(self):
        self.run_tests("test_runner")

    @needs(built, "this build has no Python package")
    def test_commands_begun_in_the_keepers_place(self):
        self.run_tests("test_starter")

    @only("root", "plain")
    @needs(built, "this build has no Python package")
    def test_leaks(self):
        self.run_tests("test_leaks")

    @needs(built, "this build has no Python package")
    def test_programs_of_others_with_the_import_changed(self):
        self.run_tests("test_switch")

    @needs(built, "this build has no Python package")
    def test_processes(self):
        self.run_tests("test_processes")

    @needs(built, "this build has no Python package")
    def test_builder(self):
        self.run_tests("test_nanobox")

    @only("root", "plain")
    @needs(built, "this build has no Python package")
    def test_the_examples_of_the_readme(self):
        path = self.package()
        env = {**self.environment(), "PYTHONPATH": str(path), "LD_LIBRARY_PATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
        done = self.persona.run([self.python(), "-W", "error", "-c", quick_start()], env=env, cwd=self.tmp)
        self.assertEqual(done.stdout.decode(), QUICK_START_SAYS)

    @only("root", "plain")
    @needs(built, "this build has no Python package")
    def test_configurations(self):
        for name in ("test_config", "test_docker", "test_builder"):
            self.run_tests(name)

    @only("root", "plain")
    @needs(built, "this build has no Python package")
    def test_the_examples(self):
        says = {
            "rollouts.py": r"16 rollouts, scores \d to \d\n",
            "tree_search.py": r"found \[[0-9, ]+\] after \d+ states, \d+ snapshots\n",
            "best_of_n.py": r"'sort -u': 3 of 3\n'sort': 2 of 3\n'cat': 2 of 3\n'false': .*\nbest: sort -u \['1', '2', '3'\]\n",
            "code_judge.py": "right: accepted\nwrong: wrong answer\nloops: time limit\npeeks: runtime error\n"
                             "forks: wrong answer\n",
            "from_docker_py.py": r"0 \['file', '1'\]\n\['content', '/task'\]\n\['2', 'content'\]\n",
        }
        directory = ROOT / "examples" / "python"
        self.assertEqual({path.name for path in directory.glob("*.py")}, set(says))
        path = self.package()
        env = {**self.environment(), "PYTHONPATH": str(path), "LD_LIBRARY_PATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
        for name, pattern in says.items():
            copy = self.write(name, (directory / name).read_text())
            done = self.persona.run([self.python(), "-W", "error", str(copy), *([str(self.rootfs)] if "docker" in name else [])],
                                    env=env, cwd=self.tmp)
            self.assertRegex(done.stdout.decode(), f"^{pattern}$", name)


class Wheel(RunCase):
    """What `python -m build` makes, in environments that have nothing else."""

    takes_census = False  # pip leaves its cache where caches go

    def in_venv(self, name: str, *packages: str) -> Path:
        venv = self.tmp / name
        self.persona.run([sys.executable, "-m", "venv", str(venv)])
        try:
            self.persona.run([str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])
        except RuntimeError as failure:
            if name == "builder":
                self.skipTest(f"the tools that build a wheel cannot be had: {str(failure)[-200:]}")
            raise
        return venv / "bin"

    @only("root")
    @needs(built, "this build has no Python package")
    def test_it_is_built_and_works_where_nothing_else_is(self):
        signal.alarm(600)  # a compiler and an index of packages are asked
        tree = self.tmp / "tree"
        shutil.copytree(ROOT, tree, ignore=lambda at, names: [n for n in names if n.startswith("build") and at == str(ROOT)],
                        symlinks=True)
        builder = self.in_venv("builder", "build")
        self.persona.run([str(builder / "python"), "-m", "build", "--outdir", str(self.tmp / "dist"), str(tree)])
        self.assertEqual(len(list((self.tmp / "dist").glob("hutch-*.tar.gz"))), 1)
        (wheel,) = (self.tmp / "dist").glob("hutch-*.whl")
        self.assertIn("-cp310-abi3-manylinux", wheel.name)
        with zipfile.ZipFile(wheel) as inside:
            (told,) = (name for name in inside.namelist() if name.endswith(".dist-info/WHEEL"))
            self.assertIn(b"Tag: cp310-abi3-", inside.read(told))
            (told,) = (name for name in inside.namelist() if name.endswith(".dist-info/METADATA"))
            self.assertIn(b"\nRequires-Python: >=3.10\n", inside.read(told))
            self.assertIn("hutch/_hutch.abi3.so", inside.namelist())
        fresh = self.in_venv("fresh", str(wheel), "mypy")
        env = {"PATH": os.environ["PATH"], "HUTCH_HOME": str(self.home), "HOME": str(self.tmp)}
        done = self.persona.run([str(fresh / "python"), "-W", "error", "-c", quick_start()], env=env, cwd=self.tmp)
        self.assertEqual(done.stdout.decode(), QUICK_START_SAYS)
        done = self.persona.run([str(fresh / "python"), "-c", LIBRARIES], env=env, cwd=self.tmp)
        self.assertRegex(done.stdout.decode(), rf"^{fresh.parent}\S*/libjansson\S* {fresh.parent}\S*/libseccomp\S*\n$", "not the machine's")
        done = self.persona.run([str(fresh / "hutch"), "run", "--", "echo", "well"], env=env)
        self.assertEqual(done.stdout, b"well\n")
        self.persona.run([str(fresh / "mypy"), "--strict", "-p", "hutch"], env=env, cwd=self.tmp)
