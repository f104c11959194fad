# SPDX-License-Identifier: Apache-2.0
"""Who calls hutch.

    root     uid 0 of the machine
    subuid   a user with ranges in /etc/subuid and /etc/subgid
    plain    a user without
    nested   uid 0 of a user namespace in which only that one id is mapped (as `unshare -Ur` makes it)
    nested-range  uid 0 of a user namespace with 65,536 ids (as rootless podman makes it)

How it works: as root the harness makes the two users hutch-sub and hutch-plain (remove_users() takes
them away again), and for the nested ones a user namespace, which an open descriptor keeps; a command
enters it between fork and exec. Not as root there is only the persona that the present user is; the
others say why they are skipped.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

NAMES = ("root", "subuid", "plain", "nested", "nested-range")

SUB = ("hutch-sub", 64211)
PLAIN = ("hutch-plain", 64212)
SUB_FIRST, SUB_COUNT = 1_610_612_736, 65_536
WHOLE_RANGE = ["0", "0", "4294967295"]
CLONE_NEWUSER = 0x10000000

libc = ctypes.CDLL(None, use_errno=True)


def is_root_of_machine() -> bool:
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == WHOLE_RANGE


# ---- the two users --------------------------------------------------------------------------------


def _tool(name: str) -> str:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or name


def _call(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _ours(user: tuple[str, int]) -> bool:
    """The user is there and is the one that the harness makes."""
    try:
        return pwd.getpwnam(user[0]).pw_uid == user[1]
    except KeyError:
        return False


def _subid_lines(file: str, name: str) -> list[str]:
    try:
        return [line for line in Path(file).read_text().splitlines() if line.startswith(name + ":")]
    except OSError:
        return []


def make_users() -> None:
    """Makes what is missing; a second call changes nothing."""
    for user in (SUB, PLAIN):
        if not _ours(user):
            _call(_tool("useradd"), "--system", "--no-create-home", "--home-dir", "/nonexistent",
                  "--shell", "/bin/sh", "--uid", str(user[1]), "--user-group", user[0])
    last = SUB_FIRST + SUB_COUNT - 1
    for file, flag in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        if not _subid_lines(file, SUB[0]):
            _call(_tool("usermod"), flag, f"{SUB_FIRST}-{last}", SUB[0])
        if _subid_lines(file, PLAIN[0]):
            raise RuntimeError(f"{file} has a range for {PLAIN[0]}, who must have none")


def remove_users() -> None:
    """Removes the two users and their ranges, if they are the ones that were made here."""
    for user in (SUB, PLAIN):
        if _ours(user):
            subprocess.run([_tool("userdel"), user[0]], capture_output=True, check=False)


# ---- user namespaces ------------------------------------------------------------------------------


def _unshare_and_wait(ready: int, go: int) -> None:
    """In a fresh child: a user namespace of its own, kept until the parent has opened it (and
    closes its end of @go)."""
    if libc.unshare(CLONE_NEWUSER) < 0:
        os.write(ready, b"E")
        os._exit(1)
    os.write(ready, b"K")
    os.read(go, 1)
    os._exit(0)


def open_user_namespace(uid: int, gid: int, extents: list[tuple[int, int, int]]) -> int:
    """A descriptor of a new user namespace, owned by @uid, with the map @extents (same for gids)."""
    ready_r, ready_w = os.pipe()
    go_r, go_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_w)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        _unshare_and_wait(ready_w, go_r)
    os.close(ready_w)
    os.close(go_r)
    try:
        if os.read(ready_r, 1) != b"K":
            raise RuntimeError("this machine lets users make no user namespaces")
        text = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in extents)
        if len(extents) == 1:
            Path(f"/proc/{pid}/setgroups").write_text("deny")
        Path(f"/proc/{pid}/uid_map").write_text(text)
        Path(f"/proc/{pid}/gid_map").write_text(text.replace(f" {uid} ", f" {gid} ", 1))
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_r)
        os.close(go_w)
        os.waitpid(pid, 0)


# ---- personas -------------------------------------------------------------------------------------


class Persona:
    """Somebody who can run commands. `reason` says why not, if not."""

    def __init__(self, name: str, uid: int = -1, gid: int = -1, user: str = "", reason: str = ""):
        self.name, self.uid, self.gid, self.user, self.reason = name, uid, gid, user, reason
        self.namespace = -1  # descriptor of the user namespace to enter
        self.dir = Path()  # a directory of this persona's own
        self.memory = Path()  # another, in memory where there is a tmpfs
        self.program = ""  # hutch, where this persona can reach it

    def changes_user(self) -> bool:
        return self.uid not in (-1, os.geteuid())

    def close(self) -> None:
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1

    def make_dirs(self, session: Path, memory: Path) -> None:
        self.dir, self.memory = session / self.name, memory / self.name
        for directory in (self.dir, self.memory):
            directory.mkdir(mode=0o700, exist_ok=True)
            if self.changes_user():
                os.chown(directory, self.uid, self.gid)

    def environment(self, home: Path) -> dict[str, str]:
        keep = {k: os.environ[k] for k in ("PATH", "LANG", "LC_ALL", "TERM", "TZ") if k in os.environ}
        # What the sanitizers of a test build shall do.
        keep.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        user = self.user or pwd.getpwuid(os.geteuid()).pw_name
        return {**keep, "HOME": str(self.dir), "USER": user, "LOGNAME": user, "HUTCH_HOME": str(home)}

    def popen(self, argv: list, before_exec=None, as_root: bool = False, **options) -> subprocess.Popen:
        """subprocess.Popen() as this persona; @before_exec runs in the child. @as_root: the command
        becomes the user itself."""

        def enter() -> None:
            if before_exec:
                before_exec()
            if self.namespace >= 0 and libc.setns(self.namespace, CLONE_NEWUSER) < 0:
                os._exit(99)

        if self.changes_user() and not as_root:
            options.update(user=self.uid, group=self.gid, extra_groups=[])
        if before_exec or self.namespace >= 0:
            options["preexec_fn"] = enter
        return subprocess.Popen(argv, **options)

    def run(self, argv: list, **options) -> subprocess.CompletedProcess:
        """Runs a helper command to its end; it must succeed."""
        process = self.popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, **options)
        out, err = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{argv}: {err.decode(errors='replace').strip()}")
        return subprocess.CompletedProcess(argv, 0, out, err)


def _nested(name: str, user: tuple[str, int], extents: list[tuple[int, int, int]]) -> Persona:
    persona = Persona(name, user[1], pwd.getpwnam(user[0]).pw_gid, user[0])
    try:
        persona.namespace = open_user_namespace(persona.uid, persona.gid, extents)
    except (OSError, RuntimeError) as failure:
        persona.reason = str(failure)
    return persona


def _all_as_root() -> list[Persona]:
    make_users()
    users = {name: Persona(name, user[1], pwd.getpwnam(user[0]).pw_gid, user[0])
             for name, user in (("subuid", SUB), ("plain", PLAIN))}
    return [
        Persona("root", 0, 0),
        users["subuid"],
        users["plain"],
        _nested("nested", PLAIN, [(0, PLAIN[1], 1)]),
        _nested("nested-range", SUB, [(0, SUB[1], 1), (1, SUB_FIRST, SUB_COUNT - 1)]),
    ]


def _present_user() -> str:
    """Which persona the user is who runs the tests."""
    if os.geteuid() == 0:
        count = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
        return "nested" if count == 1 else "nested-range"
    name = pwd.getpwuid(os.geteuid()).pw_name
    mine = _subid_lines("/etc/subuid", name) + _subid_lines("/etc/subuid", str(os.geteuid()))
    return "subuid" if mine and shutil.which("newuidmap") else "plain"


def all_personas() -> list[Persona]:
    """Everybody in NAMES, with a reason where this run cannot be him."""
    if is_root_of_machine():
        try:
            return _all_as_root()
        except (RuntimeError, OSError, KeyError) as failure:
            others = [Persona(n, reason=f"no users to test with: {failure}") for n in NAMES[1:]]
            return [Persona("root", 0, 0), *others]
    present = _present_user()
    return [Persona(n, os.geteuid(), os.getegid()) if n == present
            else Persona(n, reason=f"not run as root of the machine, only as {present}") for n in NAMES]


# ---- the session ----------------------------------------------------------------------------------


def reachable(persona: Persona, path: Path) -> bool:
    try:
        persona.run(["test", "-x", str(path)])
        return True
    except (RuntimeError, OSError):
        return False


class Session:
    """The personas of one run of the suite, their directories and the program they call."""

    def __init__(self, program: Path, build: Path, debug: bool):
        self.build = build  # Meson's directory, for what the tests use of it
        self.debug = debug  # hutch has fault points
        self.dir, self.memory = scratch(), scratch("/dev/shm" if is_tmpfs("/dev/shm") else None)
        self.program = program.resolve()
        self.personas = all_personas()
        self.owner = os.getpid()
        for persona in self.personas:
            if not persona.reason:
                persona.make_dirs(self.dir, self.memory)
                persona.program = str(self.program_for(persona, self.program))

    def program_for(self, persona: Persona, program: Path) -> Path:
        """A program of the build directory, or a copy where a user cannot reach that."""
        if reachable(persona, program):
            return program
        copy = self.dir / "bin" / program.name
        if not copy.exists():
            copy.parent.mkdir(mode=0o755, exist_ok=True)
            shutil.copy2(program, copy)
            copy.chmod(0o755)
        return copy

    def without(self, persona: Persona, names: str, argv: list) -> tuple[list, bool]:
        """A command line under tests/without, and whether it has to start as root: only so a user
        can go on to use newuidmap."""
        program = str(self.program_for(persona, self.build / "tests" / "without"))
        if persona.changes_user() and persona.namespace < 0:
            return [program, "--as", f"{persona.uid}:{persona.gid}", names, "--", *argv], True
        return [program, names, "--", *argv], False

    def close(self) -> None:
        if os.getpid() != self.owner:
            return
        for persona in self.personas:
            persona.close()
        remove_tree(self.dir)
        remove_tree(self.memory)


def scratch(where: str | None = None) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="hutch-tests-", dir=where))
    directory.chmod(0o711)
    return directory


def is_tmpfs(path: str) -> bool:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [kind for _, at, kind, *_ in mounts if at == path][-1:] == ["tmpfs"]


def remove_tree(path: Path) -> None:
    """Also where a test took permissions away from directories."""
    for root, dirs, _ in os.walk(path):
        for name in dirs:
            full = os.path.join(root, name)
            if not os.path.islink(full):
                try:
                    os.chmod(full, 0o700)
                except OSError:
                    pass  # somebody else's; the removal says so if it matters
    shutil.rmtree(path, ignore_errors=True)


def kill_quietly(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass  # gone already
