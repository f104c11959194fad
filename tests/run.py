#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# run.py - run the tests and count them
#
# usage: run.py [-k PATTERN] [--persona NAME]... [--kind unit|house|fuzz|e2e]... [--tap] [FILE...]
#               on what is in build/ (or --build DIR)
#        run.py --everything
#               the whole suite from nothing, as `make test` does
#
# How it works: four kinds of tests. unit: the programs of src/*/x_test.c, which speak TAP. house:
# checks of the source itself. fuzz: a short run of each x_fuzz.c from its corpus. e2e: the classes of
# tests/e2e_*.py, each test once per persona (tests/lib/). --everything builds four times (gcc; gcc
# with the sanitizers and the fault points; clang; clang with libFuzzer) and runs what fits each. The
# last line says "N passed, N failed, N skipped"; the exit status is 0 when none failed.
#
# As root of the machine --everything runs several lanes at once, each with process numbers, a /tmp and a
# /dev/shm of its own, so that no census sees another lane: callers that share a user share a lane, because
# limits count by user.
"""Run the tests and count them."""

import argparse
import fcntl
import importlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

from lib.case import Case  # noqa: E402
from lib.census import adopt_orphans  # noqa: E402
from lib.persona import NAMES, Session, is_root_of_machine, make_users, remove_tree, remove_users  # noqa: E402

KINDS = ("house", "unit", "fuzz", "e2e")
TEST_SECONDS = 120  # one end-to-end test, one unit test program
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def shortly(detail: str) -> str:
    """The lines of a failure's report that say what it was."""
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[+-]?([\w.]*(Error|Exception)\b|[-+?] |not ok|SUMMARY)", line)] or lines[-1:]
    return " / ".join(line[:300] for line in errors[-4:])


@dataclass
class Count:
    """What was found, and how it is shown."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    tap: bool = False
    numbers: int = 0
    failures: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    def one(self, name: str, outcome: str, detail: str = "") -> None:
        """One test: @outcome is passed, failed or skipped; @detail its report or the reason."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        self.numbers += 1
        if outcome == "failed":
            self.failures.append(f"{name}: {shortly(detail)}")
        if outcome == "skipped":
            self.reasons[detail] = self.reasons.get(detail, 0) + 1
        if self.tap:
            for line in detail.splitlines() if outcome == "failed" else []:
                print("# " + line)
            print(f"{'not ok' if outcome == 'failed' else 'ok'} {self.numbers} - {name}"
                  + (f" # SKIP {detail}" if outcome == "skipped" else ""))
        elif outcome == "failed":
            print("\n".join([f"  FAILED {name}", *(f"      {line}" for line in detail.rstrip().splitlines())]))
        sys.stdout.flush()

    def numbers_now(self) -> tuple[int, int, int]:
        return self.passed, self.failed, self.skipped

    @contextmanager
    def group(self, title: str):
        """A file or program: prints one line with what its tests came to."""
        before, since = self.numbers_now(), time.monotonic()
        yield
        passed, failed, skipped = (now - then for now, then in zip(self.numbers_now(), before))
        if self.tap or passed + failed + skipped == 0:
            return
        words = [f"{passed} passed"] + ([f"{failed} FAILED"] if failed else [])
        words += [f"{skipped} skipped"] if skipped else []
        print(f"  {title:<44} {', '.join(words):<34} {time.monotonic() - since:6.1f} s", flush=True)

    def add(self, other: dict) -> None:
        """What a lane has counted (save())."""
        for outcome in ("passed", "failed", "skipped"):
            setattr(self, outcome, getattr(self, outcome) + other[outcome])
        self.failures += other["failures"]
        for reason, times in other["reasons"].items():
            self.reasons[reason] = self.reasons.get(reason, 0) + times

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({key: getattr(self, key)
                                    for key in ("passed", "failed", "skipped", "failures", "reasons")}))

    def total(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass
class Options:
    build: Path
    kinds: tuple[str, ...] = KINDS
    pattern: str = ""
    personas: tuple[str, ...] = NAMES
    files: tuple[str, ...] = ()
    runs: int = 2000  # made inputs per fuzz target

    def wants(self, name: str) -> bool:
        return re.search(self.pattern, name) is not None


def meson(build: Path, what: str):
    """What Meson knows of a build directory."""
    out = subprocess.run(["meson", "introspect", what, str(build)], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def run_program(argv: list, seconds: float, **options) -> tuple[int, str]:
    """Exit status and output (both streams) of a program that is ended after a while."""
    with tempfile.TemporaryFile() as out:  # a file: what the program leaves running cannot hold us up
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True, **options)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = -signal.SIGALRM
        out.seek(0)
        return code, out.read().decode(errors="replace")


# ---- unit and house -------------------------------------------------------------------------------


def count_tap(count: Count, name: str, code: int, text: str, wants) -> None:
    """Counts the lines of a TAP report; one that breaks off has failed."""
    plan, seen, notes = None, 0, []
    for line in text.splitlines():
        if found := re.match(r"1\.\.(\d+)", line):
            plan = int(found.group(1))
        elif found := re.match(r"(not )?ok \d+ - ([^#]*)(?:# SKIP ?(.*))?", line):
            seen += 1
            full = f"{name}: {found.group(2).strip()}"
            if not found.group(1) and not wants(full):
                pass  # passed, and was not asked for
            elif found.group(1):
                count.one(full, "failed", "\n".join(notes))
            elif found.group(3) is not None:
                count.one(full, "skipped", found.group(3))
            else:
                count.one(full, "passed")
            notes = []
        else:
            notes.append(line)
    if plan is None or seen != plan or (code != 0 and "not ok" not in text):
        how = "ran too long" if code == -signal.SIGALRM else f"exit status {code}"
        count.one(name, "failed", f"{how}, {seen} of {plan} tests\n" + "\n".join(notes))


def run_meson_tests(options: Options, count: Count, suite: str) -> None:
    """The programs that Meson knows as tests: TAP ones of `unit`, plain ones of `house`."""
    for test in meson(options.build, "--tests"):
        if not any(s.split(":")[-1] == suite for s in test["suite"]):
            continue
        name = test["name"]
        if options.files and name not in options.files:
            continue
        if suite == "house" and not options.wants(name):
            continue
        env = {**os.environ, **SANITIZERS, **{k: str(v) for k, v in test["env"].items()}}
        with count.group(name):
            code, text = run_program(test["cmd"], TEST_SECONDS, env=env, cwd=test["workdir"] or options.build)
            if test["protocol"] == "tap":
                count_tap(count, name, code, text, options.wants)
            else:
                count.one(name, "failed" if code else "passed", text)


# ---- fuzz -----------------------------------------------------------------------------------------


def run_fuzz(options: Options, count: Count) -> None:
    for target in meson(options.build, "--targets"):
        name = target["name"]
        if not name.endswith("_fuzz") or target["type"] != "executable" or not options.wants(name):
            continue
        if options.files and name not in options.files:
            continue
        corpus = HERE / "corpus" / name.removesuffix("_fuzz")
        with tempfile.TemporaryDirectory(prefix="hutch-fuzz-") as scratch, count.group(name):
            seeds = [str(corpus)] if corpus.is_dir() else []
            argv = [target["filename"][0], f"-runs={options.runs}"]
            if options.runs > 10_000:  # libFuzzer: new inputs go to the first directory
                os.mkdir(scratch + "/new")
                argv += ["-max_total_time=10", "-timeout=10", "-rss_limit_mb=1024",
                         f"-artifact_prefix={scratch}/", scratch + "/new"]
            code, text = run_program(argv + seeds, TEST_SECONDS, env={**os.environ, **SANITIZERS})
            if code:
                keep_crash(name, Path(scratch))
            count.one(name, "failed" if code else "passed", text[-6000:])


def keep_crash(name: str, scratch: Path) -> None:
    """An input that broke something is kept, to become a seed of the corpus."""
    for crash in scratch.glob("*-*"):
        kept = ROOT / "build-test" / f"{name}-{crash.name}"
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(crash, kept)
        print(f"  kept {kept.relative_to(ROOT)}")


# ---- end to end -----------------------------------------------------------------------------------


class Outcome(unittest.TestResult):
    """Turns what unittest says into one outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome, self.detail = "passed", ""

    def _not_good(self, _test, failure) -> None:
        self.outcome = "failed"
        self.detail += self._exc_info_to_string(failure, _test)

    addError = addFailure = _not_good

    def addSubTest(self, test, subtest, failure) -> None:
        if failure:
            self._not_good(test, failure)

    def addSkip(self, test, reason) -> None:
        if self.outcome == "passed":
            self.outcome, self.detail = "skipped", reason


def classes_of(module) -> list[type]:
    found = [c for _, c in inspect.getmembers(module, inspect.isclass)
             if issubclass(c, Case) and c.__module__ == module.__name__]
    return sorted(found, key=lambda c: inspect.getsourcelines(c)[1])


def too_long(_signal, _frame) -> None:
    raise TimeoutError(f"the test took more than {TEST_SECONDS} s")


def run_case(test: Case) -> tuple[str, str]:
    outcome = Outcome()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_SECONDS)
    try:
        test.run(outcome)
    finally:
        signal.alarm(0)
    return outcome.outcome, outcome.detail


def run_class(cls: type, persona, session: Session, options: Options, count: Count, title: str) -> None:
    for method in unittest.TestLoader().getTestCaseNames(cls):
        name = f"{title} [{persona.name}] {method.removeprefix('test_').replace('_', ' ')}"
        allowed = getattr(getattr(cls, method), "only_personas", getattr(cls, "only_personas", NAMES))
        if persona.name not in allowed or not (options.wants(name) or options.wants(method)):
            continue
        if persona.reason:
            count.one(name, "skipped", f"{persona.name}: {persona.reason}")
            continue
        test = cls(method)
        test.persona, test.session = persona, session
        count.one(name, *run_case(test))


def run_e2e(options: Options, count: Count) -> None:
    files = sorted(HERE.glob("e2e_*.py"))
    wanted = {Path(f).stem for f in options.files}
    files = [f for f in files if not wanted or f.stem in wanted]
    if not files:
        return
    program = Path(os.environ.get("HUTCH_BIN") or options.build / "hutch")
    if not program.is_file():
        count.one("e2e", "failed", f"there is no {program}: `make` builds it")
        return
    debug = any(o["name"] == "buildtype" and o["value"].startswith("debug")
                for o in meson(options.build, "--buildoptions"))
    session = Session(program, options.build.resolve(), debug)
    os.environ.update(SANITIZERS)
    adopt_orphans()
    try:
        for file in files:
            module = importlib.import_module(file.stem)
            for persona in session.personas:
                if persona.name not in options.personas:
                    continue
                with count.group(f"{file.stem} [{persona.name}]"):
                    for cls in classes_of(module):
                        run_class(cls, persona, session, options, count, file.stem)
    finally:
        session.close()


# ---- one build, and all of them -------------------------------------------------------------------


def run_kinds(options: Options, count: Count) -> None:
    if "house" in options.kinds:
        run_meson_tests(options, count, "house")
    if "unit" in options.kinds:
        run_meson_tests(options, count, "unit")
    if "fuzz" in options.kinds:
        run_fuzz(options, count)
    if "e2e" in options.kinds:
        run_e2e(options, count)


@dataclass
class Build:
    """One way to build, and what is run on it."""

    name: str
    what: str
    setup: list[str]
    kinds: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    personas: tuple[str, ...] = NAMES
    runs: int = 2000


BUILDS = (
    Build("gcc", "gcc, as it ships", [], ("house", "unit", "e2e")),
    Build("sanitize", "gcc, address and undefined sanitizers, fault points, hutch-init with glibc",
          ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined"], ("unit", "fuzz", "e2e"),
          personas=("root", "subuid")),
    Build("clang", "clang", [], ("unit",), env={"CC": "clang"}),
    Build("fuzz", "clang, libFuzzer and the sanitizers",
          ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfuzzer=true"],
          ("fuzz",), env={"CC": "clang"}, runs=20_000),
)


# ---- lanes ----------------------------------------------------------------------------------------

LANES = (("unit", ()), ("e2e", ("root",)), ("e2e", ("subuid", "nested-range")), ("e2e", ("plain", "nested")))
LANE_SECONDS = 3000
APART = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc", """
	exec 9<"$1"
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	mount --bind "$2/tmp" /var/tmp
	mount --bind "$2/tmp" /tmp
	[ -e "$1/tests" ] || { mkdir -p "$1"; mount --no-canonicalize --bind /proc/self/fd/9 "$1"; }
	exec 9<&-
	shift 2
	exec "$@"
""", "sh", str(ROOT)]


@contextmanager
def apart():
    """The head of a command line that gives a command process numbers and temporary files of its own; those are where
    temporary files are anyway."""
    scratch = Path(tempfile.mkdtemp(prefix="hutch-tests-lane-"))
    (scratch / "tmp").mkdir()
    (scratch / "tmp").chmod(0o1777)
    try:
        yield [*APART, str(scratch)]
    finally:
        remove_tree(scratch)


def can_be_apart() -> bool:
    with apart() as head:
        return is_root_of_machine() and subprocess.run([*head, "true"], capture_output=True).returncode == 0


def run_lanes(options: Options, count: Count) -> None:
    """All lanes of one build, at once."""
    make_users()
    with ExitStack() as undo:
        run_in_lanes(options, count, undo)


def run_in_lanes(options: Options, count: Count, undo: ExitStack) -> None:
    lanes = []
    for kind, personas in LANES:
        kinds = [k for k in options.kinds if (k == "e2e") == (kind == "e2e")]
        personas = [p for p in personas if p in options.personas]
        if not kinds or (kind == "e2e" and not personas):
            continue
        said = options.build.parent / f"lane-{len(lanes)}.json"
        said.unlink(missing_ok=True)
        words = [f"--{name}={value}" for name, values in (("kind", kinds), ("persona", personas)) for value in values]
        argv = [*undo.enter_context(apart()), sys.executable, str(HERE / "run.py"), "--keep-users", f"--build={options.build}",
                f"--runs={options.runs}", f"--count={said}", "-k", options.pattern, *words]
        lanes.append((said, subprocess.Popen(argv, stdin=subprocess.DEVNULL)))
    deadline = time.monotonic() + LANE_SECONDS
    for said, process in lanes:
        try:
            process.wait(max(1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        try:
            count.add(json.loads(said.read_text()))
        except (OSError, ValueError):
            count.one(" ".join(process.args[len(APART) + 1:]), "failed", f"it broke off with {process.returncode}")


def without_progress(log: str) -> str:
    """What a build said, less what went well and the long command lines."""
    lines = [line[:300] for line in log.splitlines() if not re.match(r"\[\d+/\d+\] ", line)]
    return "\n".join(lines[-80:])


def set_up(build: Build, directory: Path, count: Count) -> bool:
    """Builds, with warnings as errors. The build is a test like others."""
    env = {**os.environ, **build.env}
    setup = ["meson", "setup", str(directory), str(ROOT), "-Dwerror=true", *build.setup]
    since = time.monotonic()
    for argv in (setup, ["ninja", "-C", str(directory)]):
        if argv[0] == "ninja" and build.kinds == ("fuzz",):
            argv += [os.path.relpath(t["filename"][0], directory)
                     for t in meson(directory, "--targets") if t["name"].endswith("_fuzz")]
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode:
            count.one(f"build with {build.what}", "failed", without_progress(done.stdout))
            return False
    count.one(f"build with {build.what}", "passed")
    if not count.tap:
        print(f"  built in {time.monotonic() - since:.1f} s", flush=True)
    return True


def run_everything(options: Options, count: Count) -> None:
    top = ROOT / "build-test"
    shutil.rmtree(top, ignore_errors=True)
    os.environ.pop("HUTCH_BIN", None)
    run = run_lanes if not count.tap and can_be_apart() else run_kinds
    for build in BUILDS:
        if not count.tap:
            print(f"== {build.what}", flush=True)
        directory = top / build.name
        if set_up(build, directory, count):
            run(Options(directory, build.kinds, options.pattern, build.personas, (), build.runs), count)


@contextmanager
def alone():
    """Two runs at once would find each other in their census: the second waits for the first."""
    path = Path(tempfile.gettempdir()) / "hutch-tests.lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("run.py: waiting for another run to end", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def parse() -> tuple[Options, argparse.Namespace]:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("-k", metavar="PATTERN", default="", help="only tests whose names match")
    ask.add_argument("--persona", action="append", choices=NAMES, help="only as this one")
    ask.add_argument("--kind", action="append", choices=KINDS, help="only this kind")
    ask.add_argument("--build", type=Path, default=ROOT / "build", help="the build directory")
    ask.add_argument("--tap", action="store_true", help="print TAP")
    ask.add_argument("--everything", action="store_true", help="the whole suite from nothing")
    ask.add_argument("--keep-users", action="store_true", help="leave the test users on the machine")
    ask.add_argument("--runs", type=int, default=Options.runs, help="made inputs per fuzz target")
    ask.add_argument("--count", type=Path, help="leave the numbers in this file")
    ask.add_argument("files", nargs="*", help="e2e_x, or the name of a unit test")
    args = ask.parse_args()
    names = tuple(Path(f).stem for f in args.files)
    options = Options(args.build, tuple(args.kind or KINDS), args.k, tuple(args.persona or NAMES), names,
                      args.runs)
    return options, args


def hear_signals() -> None:
    """A shell starts what it puts into the background with these ignored, and all that is started here would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def main() -> int:
    options, args = parse()
    count = Count(tap=args.tap)
    os.umask(0o022)
    hear_signals()
    with alone():
        try:
            (run_everything if args.everything else run_kinds)(options, count)
        finally:
            if is_root_of_machine() and not args.keep_users:
                remove_users()
    if args.count:
        count.save(args.count)
        return 0
    if args.tap:
        print(f"1..{count.numbers}")
        print(f"# {count.total()}")
        return 1 if count.failed else 0
    for reason, times in sorted(count.reasons.items()):
        print(f"skipped {times}: {reason}")
    for name in count.failures:
        print(f"failed: {name}")
    print(count.total())
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())
