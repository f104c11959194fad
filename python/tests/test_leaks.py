# SPDX-License-Identifier: Apache-2.0
"""No function of the extension keeps what it was given, or what it made: neither where it succeeds nor where it fails.

Each is called many times with what it wants, then with each argument spoiled in turn, then on a sandbox that was
deleted. What this process holds is counted before and after: Python's blocks, bytes of malloc(), references to what
everybody shares, open descriptors. A function that leaks grows one of them in each round; what is only kept ready
grows none in at least one.
"""

import ctypes
import gc
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hutch import RunResult, SandboxDiedError, SandboxNotFoundError, _home, _hutch
from world import Case, config, descriptors

ALL = (1 << 64) - 1
PIPES = (_hutch.STDIO_PIPE,) * 3
NOTHING = (_hutch.STDIO_NULL,) * 3
ROUNDS = 3


class World:
    """What the calls are made with."""

    def __init__(self, directory: str) -> None:
        self.home = _home.home()
        self.fields = config().to_fields()
        self.box = self.start()
        self.gone = self.start()
        self.gone.delete()
        self.here = directory
        self.job = self.box.job_start("sleep 1000", None, 0, None, None, None, None, 0, 0)
        self.ended = self.box.job_start("echo x", None, 0, None, None, None, None, 0, 0)
        self.box.job_wait(self.ended, 0, None)
        with open(directory + "/file", "w") as file:
            file.write("x" * 10_000)
        os.close(self.box.file_open("/file", _hutch.FILE_WRITE | _hutch.FILE_CREATE, 0o644))
        self.box.file_symlink("file", "/link")
        self.numbers = itertools.count()
        self.detached = ""  # the name of the one that was made last

    def start(self, flags: int = 0) -> _hutch.Box:
        return self.home.start(self.fields, flags)

    def run(self) -> _hutch.Run:
        return self.box.run_start("echo x; echo y >&2", None, _hutch.RUN_APART, None, None, None, 0, ALL, True)

    def proc(self) -> _hutch.Proc:
        return self.box.exec(["cat"], 0, None, None, None, PIPES, (-1, -1, -1), 0, 0, 0)

    def name(self) -> str:
        """Another each time, and of the same length."""
        return f"/made{next(self.numbers):08}"

    def finish(self, of: object) -> None:
        """Ends a sandbox that a function was called of."""
        if isinstance(of, _hutch.Box) and of not in (self.box, self.gone):
            of.delete()
        if self.detached:
            try:
                self.home.attach(self.detached, False).delete()
            except SandboxNotFoundError:
                pass
            except SandboxDiedError:  # it was stopped
                self.home.remove(self.detached)
            self.detached = ""


def ended_run(w: World) -> _hutch.Run:
    run = w.run()
    run.wait(None)
    return run


def ended_proc(w: World) -> _hutch.Proc:
    proc = w.box.exec(["true"], 0, None, None, None, NOTHING, (-1, -1, -1), 0, 0, 0)
    proc.wait(None)
    return proc


def nothing(w: World, result: Any) -> None:
    """What was made goes with its last reference."""


@dataclass
class Call:
    """How a function is called. ``of``: what it belongs to; ``undo``: what puts back what a success has changed."""

    args: Callable[[World], tuple[Any, ...]] = lambda w: ()
    of: Callable[[World], Any] = lambda w: w.box
    undo: Callable[[World, Any], Any] = nothing
    times: int = 15
    #: Further calls, each of which must fail.
    wrong: tuple[Callable[[World, Any], Any], ...] = ()
    never: bool = False  # it only fails


def closed(fd: int) -> None:
    assert fd == -1
    raise ValueError("there is none")


def of_home(w: World) -> _hutch.Home:
    return w.home


def new_box(w: World) -> _hutch.Box:
    return w.start()


def detached(w: World) -> _hutch.Box:
    box = w.start(_hutch.START_DETACHED)
    w.detached = box.name
    return box


def stopped(w: World) -> str:
    box = detached(w)
    box.stop(0)
    box.close()
    return w.detached


def with_snapshot(w: World) -> _hutch.Box:
    box = w.start()
    box.snapshot_start("kept", True)
    return box


def made(w: World) -> str:
    name = w.name()
    w.box.file_mkdir(name, 0, 0o755)
    return name


def kept(w: World) -> str:
    return w.box.snapshot_start(None, True).result()


def copied(w: World) -> str:
    return w.here + "/copy"


def leave(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)


def forget(w: World, name: str) -> None:
    w.box.file_remove(name, _hutch.FILE_RECURSIVE)


def comparison(w: World) -> _hutch.Op:
    op = w.box.diff_start(None, None, False)
    op.wait(True)
    op.result()
    return op


def forked(w: World) -> _hutch.Op:
    op = w.box.fork_start(None, None, 2, 0, False)
    op.wait(True)
    return op


BOXES = 3  # of calls that make one: they take longest

#: All that the extension has.
TABLE: dict[str, Call] = {
    "results_are": Call(lambda w: (RunResult,), of=lambda w: _hutch,
                        wrong=(lambda w, of: of.results_are(5), lambda w, of: of.results_are(int))),
    "spec_json": Call(lambda w: (w.fields,), of=lambda w: _hutch,
                      wrong=(lambda w, of: of.spec_json([("hostname", "a"), ("nonsense", "x")]),
                             lambda w, of: of.spec_json([("hostname", "a"), ("hostname",)]),
                             lambda w, of: of.spec_json([("hostname", "a"), ("hostname", None)]),
                             lambda w, of: of.spec_json([("hostname", "a"), 5]))),
    "spec_fields": Call(of=lambda w: _hutch),
    "Home": Call(lambda w: (w.here + "/home",), of=lambda w: _hutch,
                 wrong=(lambda w, of: of.Home("/proc/self/nothing"), lambda w, of: of.Home("a\0b"))),
    "Home.__reduce__": Call(of=of_home, never=True),
    "Home.start": Call(lambda w: (w.fields, 0), of=of_home, undo=lambda w, box: box.delete(), times=BOXES,
                       wrong=(lambda w, of: of.start([*w.fields, ("nonsense", "x")], 0),
                              lambda w, of: of.start([*w.fields, ("name", w.box.name)], 0))),
    "Home.attach": Call(lambda w: (detached(w).name, False), of=of_home, undo=lambda w, box: box.close(), times=BOXES,
                        wrong=(lambda w, of: of.attach(w.box.name, False), lambda w, of: of.attach("nobody", False),
                               lambda w, of: of.attach("nobody", True))),
    "Home.remove": Call(lambda w: (stopped(w),), of=of_home, times=BOXES,
                        wrong=(lambda w, of: of.remove("nobody"), lambda w, of: of.remove("../x"))),
    "Home.list": Call(of=of_home),
    "Home.cleanup": Call(lambda w: (1000,), of=of_home, times=3),
    "Box.__reduce__": Call(never=True),
    "Box.name": Call(),
    "Box.remark": Call(),
    "Box.alive": Call(),
    "Box.wait_ready": Call(of=lambda w: w.start(_hutch.START_NOWAIT), times=BOXES),
    "Box.delete": Call(of=new_box, times=BOXES),
    "Box.close": Call(of=detached, times=BOXES),
    "Box.stop": Call(lambda w: (0,), of=detached, times=BOXES),
    "Box.kill": Call(lambda w: (15,), of=detached, times=BOXES,
                     wrong=(lambda w, of: of.kill(9999), lambda w, of: w.box.kill(15), lambda w, of: w.box.stop(0))),
    "Box.spec": Call(),
    "Box.fileno": Call(),
    "Box.run": Call(lambda w: ("echo x; echo y >&2", None, _hutch.RUN_APART, None, "/usr", ["A=1", b"B=2"], 0, ALL),
                    wrong=(lambda w, of: of.run(None, None, 0, None, None, None, 0, ALL),
                           lambda w, of: of.run(None, ["y", "a\0b"], 0, None, None, None, 0, ALL),
                           lambda w, of: of.run(None, ["y"], 0, "session", None, None, 0, ALL))),
    "Box.say": Call(lambda w: ("echo x; exit 3", "s"),
                    wrong=(lambda w, of: of.say("x"), lambda w, of: of.say(5, "s"), lambda w, of: of.say("x", "a\0b"),
                           lambda w, of: of.say(None, "s"))),
    "Box.run_start": Call(lambda w: (None, ["echo", "x"], 0, None, "/usr", ["A=1"], 0, ALL, True),
                          undo=lambda w, run: (run.wait(None), run.free()),
                          wrong=(lambda w, of: of.run_start(None, None, 0, None, None, None, 0, ALL),)),
    "Box.exec": Call(lambda w: (["true", b"x"], 0, ["A=1"], "/usr", "0", PIPES, (-1, -1, -1), 0, 0, 0),
                     undo=lambda w, proc: (proc.wait(None), proc.free()),
                     wrong=(lambda w, of: of.exec([], 0, None, None, None, PIPES, (-1, -1, -1), 0, 0, 0),
                            lambda w, of: of.exec(["x"], 0, None, None, None, (_hutch.STDIO_FD,) * 3, (-1,) * 3, 0, 0, 0),
                            lambda w, of: of.exec(["x"], 0, None, None, None, (99,) * 3, (-1,) * 3, 0, 0, 0))),
    "Box.snapshots": Call(of=lambda w: with_snapshot(w), times=BOXES),
    "Box.snapshot_delete": Call(lambda w: (kept(w),), times=10, wrong=(lambda w, of: of.snapshot_delete("none"),)),
    "Box.ready_start": Call(of=lambda w: w.start(_hutch.START_NOWAIT), times=BOXES, undo=lambda w, op: op.wait(True)),
    "Box.reset_start": Call(lambda w: (False, False), of=new_box, times=BOXES, undo=lambda w, op: op.wait(True)),
    "Box.snapshot_start": Call(lambda w: (w.name()[1:], True), undo=lambda w, op: w.box.snapshot_delete(op.result()),
                               times=10, wrong=(lambda w, of: of.snapshot_start("/", True), lambda w, of: of.snapshot_start("a\0b", True))),
    "Box.restore_start": Call(lambda w: ("kept", _hutch.RESTORE_KEEP_PROCESSES, True), of=lambda w: with_snapshot(w),
                              times=BOXES, wrong=(lambda w, of: of.restore_start("none", 0, True),)),
    "Box.diff_start": Call(lambda w: (None, None, False), undo=lambda w, op: op.wait(True),
                           wrong=(lambda w, of: of.diff_start("none", "none", True),)),
    "Box.fork_start": Call(lambda w: (None, [w.name()[1:], w.name()[1:]], 0, 0, False), times=BOXES,
                           wrong=(lambda w, of: of.fork_start("none", None, 2, 0, True), lambda w, of: of.fork_start(None, None, 0, 0, True),
                                  lambda w, of: of.fork_start(None, ["fresh", w.box.name], 0, 0, True))),
    "Box.delete_start": Call(of=new_box, times=BOXES),
    "Op.__reduce__": Call(of=comparison, never=True),
    "Op.fileno": Call(of=comparison),
    "Op.wait": Call(lambda w: (True,), of=comparison),
    "Op.result": Call(of=forked, times=BOXES, undo=lambda w, boxes: [box.delete() for box in boxes]),
    "Box.job_start": Call(lambda w: ("echo x", None, 0, ["A=1"], "/usr", "0", w.name()[1:], 0, 0),
                          undo=lambda w, job: w.box.job_stop(job, 9, 1, 0),
                          wrong=(lambda w, of: of.job_start("x", None, 0, None, None, None, w.job, 0, 0),
                                 lambda w, of: of.job_start(None, None, 0, None, None, None, None, 0, 0))),
    "Box.job_check": Call(lambda w: (w.ended, 0), wrong=(lambda w, of: of.job_check("none", 0),)),
    "Box.job_wait": Call(lambda w: (w.ended, 0, None), wrong=(lambda w, of: of.job_wait("none", 0, None),)),
    "Box.job_list": Call(),
    "Box.job_signal": Call(lambda w: (w.job, 0), wrong=(lambda w, of: of.job_signal("none", 1),)),
    "Box.job_stop": Call(lambda w: (w.box.job_start("echo x", None, 0, None, None, None, None, 0, 0), 9, 1, 0),
                         wrong=(lambda w, of: of.job_stop("none", 9, 1, 0),)),
    "Box.file_open": Call(lambda w: ("/file", _hutch.FILE_READ, 0), undo=lambda w, fd: os.close(fd),
                          wrong=(lambda w, of: of.file_open("/none", _hutch.FILE_READ, 0),
                                 lambda w, of: of.file_open("/none\udc80", _hutch.FILE_READ, 0),
                                 lambda w, of: of.file_open(None, _hutch.FILE_READ, 0))),
    "Box.file_stat": Call(lambda w: (b"/file", 0), wrong=(lambda w, of: of.file_stat("/none", 0),)),
    "Box.file_set": Call(lambda w: ("/file", _hutch.FILE_MODE, 0o600, 0, 0, 0, 0),
                         wrong=(lambda w, of: of.file_set("/none", _hutch.FILE_MODE, 0o600, 0, 0, 0, 0),)),
    "Box.file_readlink": Call(lambda w: ("/link",), wrong=(lambda w, of: of.file_readlink("/file"),)),
    "Box.file_symlink": Call(lambda w: ("text", "/new"), undo=lambda w, _: forget(w, "/new"),
                             wrong=(lambda w, of: of.file_symlink("text", "/none/x"),
                                    lambda w, of: of.file_symlink("text", None))),
    "Box.file_rename": Call(lambda w: (made(w), "/renamed"), undo=lambda w, _: forget(w, "/renamed"),
                            wrong=(lambda w, of: of.file_rename("/none", "/x"),)),
    "Box.file_mkdir": Call(lambda w: ("/new/sub", _hutch.FILE_PARENTS, 0o755), undo=lambda w, _: forget(w, "/new"),
                           wrong=(lambda w, of: of.file_mkdir("/file/x", 0, 0o755),)),
    "Box.file_remove": Call(lambda w: (made(w), 0), wrong=(lambda w, of: of.file_remove("/none", 0),)),
    "Box.copy_in": Call(lambda w: (w.here + "/file", "/copy", _hutch.COPY_EXACT), undo=lambda w, _: forget(w, "/copy"),
                        wrong=(lambda w, of: of.copy_in("/none", "/x", 0), lambda w, of: of.copy_in("/", None, 0))),
    "Box.copy_out": Call(lambda w: ("/file", copied(w), _hutch.COPY_EXACT), undo=lambda w, _: leave(copied(w)),
                         wrong=(lambda w, of: of.copy_out("/none", copied(w), 0),)),
    "Run.__reduce__": Call(of=World.run, never=True),
    "Run.fileno": Call(of=World.run),
    "Run.wait": Call(lambda w: (None,), of=World.run),
    "Run.output": Call(lambda w: (1,), of=ended_run, wrong=(lambda w, of: of.output(9),)),
    "Run.chunks": Call(of=ended_run),
    "Run.stop": Call(of=World.run),
    "Run.free": Call(of=ended_run),
    "Proc.__reduce__": Call(of=World.proc, never=True),
    "Proc.wait": Call(lambda w: (None,), of=ended_proc),
    "Proc.signal": Call(lambda w: (9,), of=World.proc, wrong=(lambda w, of: of.signal(9999),)),
    "Proc.take_fd": Call(lambda w: (1,), of=World.proc, undo=lambda w, fd: os.close(fd),
                         wrong=(lambda w, of: closed(of.take_fd(9)),)),
    "Proc.free": Call(of=World.proc),
}


def exported() -> set[str]:
    """What the extension has: functions, types that can be made, and what is in each type."""
    found = set()
    for name, one in vars(_hutch).items():
        if isinstance(one, type):
            found |= {f"{name}.{inner}" for inner in vars(one) if inner in ("__reduce__", "__reduce_ex__") or inner[:2] != "__"}
            if "__new__" in vars(one):
                found.add(name)
        elif callable(one):
            found.add(name)
    return found


def short(full: str) -> str:
    """Its name in what it belongs to; always the same str, since the interpreter's cache of attributes keeps each."""
    return sys.intern(full.split(".")[-1])


def fresh(arg: Any) -> Any:
    """A copy: a reference to it that is kept keeps a block, one to a literal would not."""
    if isinstance(arg, str):
        return arg[:1] + arg[1:]
    if isinstance(arg, bytes):
        return bytes(bytearray(arg))
    if isinstance(arg, (list, tuple)):
        return type(arg)(fresh(one) for one in arg)
    return arg


def invoke(of: Any, name: str, args: tuple[Any, ...]) -> Any:
    found = getattr(of, name)
    return found(*fresh(args)) if callable(found) else found


def spoiled(args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Too many and too few of them, and each in turn of a wrong type, with a NUL, with something wrong in it."""
    found = [(*args, None, None, None)] if args else [(None,)]
    if len(args) > 1:
        found.append(args[:1])
    for i, arg in enumerate(args):
        bad: list[Any] = [object()]
        if isinstance(arg, (str, bytes)):
            bad += ["a\0b", b"a\0b", "\udc80\0", "\ud800"]
        elif isinstance(arg, (list, tuple)):
            bad += ["text", [*arg, 5], [*arg, None], [*arg, "a\0b"]]
        found += [(*args[:i], one, *args[i + 1:]) for one in bad if not isinstance(arg, bool)]
    return found


class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                                                     "uordblks", "fordblks", "keepcost")]


def in_use() -> Callable[[], int]:
    """How many bytes malloc() has given away; 0 where the C library does not tell."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return lambda: 0
    mallinfo.restype = Mallinfo2

    def told() -> int:
        info = mallinfo()
        return int(info.uordblks + info.hblkhd)

    return told


SHARED = (None, True, False, (), "", b"", _hutch, *(one for one in vars(_hutch).values() if isinstance(one, type)))


class Held:
    """What this process holds now."""

    malloc = staticmethod(in_use())

    def __init__(self, world: World) -> None:
        self.references = sum(sys.getrefcount(one) for one in (*SHARED, world.home, world.box, world.gone, world.fields, world.job))
        self.descriptors = sum(descriptors().values())
        gc.collect()
        self.blocks = sys.getallocatedblocks()
        self.bytes = self.malloc()

    def more_than(self, before: "Held") -> dict[str, int]:
        return {"descriptors": self.descriptors - before.descriptors, "blocks of Python": self.blocks - before.blocks,
                "bytes of malloc()": self.bytes - before.bytes,
                "references": self.references - before.references}


def least(times: int) -> dict[str, int]:
    """What grows by so much in each round leaks: one in each call, or eight bytes."""
    return {"descriptors": 1, "blocks of Python": times, "bytes of malloc()": 8 * times, "references": times}


class Leaks(Case):
    def setUp(self) -> None:
        super().setUp()
        self.world = World(str(self.directory()))
        self._boxes.append(self.world.box)  # the census deletes it

    def rounds(self, what: str, times: int, work: Callable[[], None]) -> None:
        """After one that is not counted."""
        growth: list[dict[str, int]] = []
        work()
        for _ in range(ROUNDS):
            before = Held(self.world)
            for _ in range(times):
                work()
            growth.append(Held(self.world).more_than(before))
            if all(growth[-1][kind] < bound for kind, bound in least(times).items()):
                return
        leaks = {kind: [one[kind] for one in growth] for kind, bound in least(times).items()
                 if all(one[kind] >= bound for one in growth)}
        self.assertEqual(leaks, {}, f"{what}, {times} times in a round")

    def succeed(self, name: str, call: Call) -> None:
        world, of = self.world, call.of(self.world)
        try:
            call.undo(world, invoke(of, name, call.args(world)))
        except TypeError:
            self.assertTrue(call.never)
        finally:
            world.finish(of)

    def must_fail(self, name: str, call: Call, of: Any, args: tuple[Any, ...]) -> None:
        calls = list(call.wrong)
        if callable(getattr(of, name)):
            calls += [lambda world, of, bad=bad: invoke(of, name, bad) for bad in spoiled(args)]
        for number, one in enumerate(calls):
            try:
                one(self.world, of)
            except Exception:  # noqa: BLE001: which one is told elsewhere
                continue
            raise AssertionError(f"{name}: call {number} of {len(calls)} must fail, and does not")

    def test_every_function_is_in_the_table(self) -> None:
        self.assertEqual(exported(), set(TABLE))

    def test_none_leaks_where_it_succeeds(self) -> None:
        for full, call in TABLE.items():
            with self.subTest(full):
                self.rounds(full, call.times, lambda: self.succeed(short(full), call))

    def test_none_leaks_where_it_fails(self) -> None:
        for full, call in TABLE.items():
            with self.subTest(full):
                of, args = call.of(self.world), call.args(self.world)
                self.rounds(full, 12, lambda: self.must_fail(short(full), call, of, args))
                self.world.finish(of)

    def test_none_leaks_on_a_sandbox_that_is_gone(self) -> None:
        for full, call in TABLE.items():
            if full.startswith("Box."):
                with self.subTest(full):
                    args = call.args(self.world)
                    self.rounds(full, 12, lambda: self.on_nothing(short(full), args))

    def on_nothing(self, name: str, args: tuple[Any, ...]) -> None:
        try:
            invoke(self.world.gone, name, args)
        except Exception:  # noqa: BLE001
            return
        self.assertIn(name, ("delete", "delete_start", "close", "remark", "alive"))
