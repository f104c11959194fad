# SPDX-License-Identifier: Apache-2.0
"""Files of a sandbox, as pathlib has those of this machine."""

from __future__ import annotations

import io
import os
import posixpath
import stat as _stat
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from . import _hutch
from ._errors import SandboxError

if TYPE_CHECKING:
    from ._sandbox import Sandbox

_MODES = {
    "r": _hutch.FILE_READ,
    "w": _hutch.FILE_WRITE | _hutch.FILE_CREATE | _hutch.FILE_TRUNC,
    "a": _hutch.FILE_WRITE | _hutch.FILE_CREATE | _hutch.FILE_APPEND,
    "x": _hutch.FILE_WRITE | _hutch.FILE_CREATE | _hutch.FILE_EXCL,
}


class Stat(NamedTuple):
    """What is known about a file. Owners are those that the sandbox sees; times are nanoseconds since 1970."""

    st_mode: int
    st_uid: int
    st_gid: int
    st_nlink: int
    st_size: int
    st_ino: int
    st_atime_ns: int
    st_mtime_ns: int
    st_ctime_ns: int

    @property
    def st_mtime(self) -> float:
        """Seconds since 1970."""
        return self.st_mtime_ns / 1e9


class SandboxPath(os.PathLike[str]):
    """An absolute path in a sandbox, and what can be done with it. No link leads out of the sandbox; fifos and devices
    are never opened. ``sb.files / "tmp" / "x"``, ``sb.files("/tmp/x")``. Since 0.1.
    """

    __slots__ = ("_sandbox", "_path")

    def __init__(self, sandbox: Sandbox, path: str = "/") -> None:
        self._sandbox, self._path = sandbox, posixpath.join("/", path)

    def __call__(self, path: str | os.PathLike[str]) -> SandboxPath:
        return SandboxPath(self._sandbox, posixpath.join(self._path, os.fspath(path)))

    def __truediv__(self, name: str | os.PathLike[str]) -> SandboxPath:
        return self(name)

    def __fspath__(self) -> str:
        return self._path

    def __str__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"SandboxPath({self._path!r} in {self._sandbox.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SandboxPath) and (self._path, self._sandbox) == (other._path, other._sandbox)

    def __hash__(self) -> int:
        return hash((self._path, id(self._sandbox)))

    @property
    def name(self) -> str:
        return posixpath.basename(self._path)

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self._path)[1]

    @property
    def parent(self) -> SandboxPath:
        return SandboxPath(self._sandbox, posixpath.dirname(self._path))

    @property
    def _box(self) -> _hutch.Box:
        return self._sandbox._box

    # ---- content ------------------------------------------------------------------------------------

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None,
             newline: str | None = None) -> IO[Any]:
        """As :func:`open`: ``r``, ``w``, ``a``, ``x``, with ``b``, ``t`` and ``+``."""
        kind = mode.replace("b", "").replace("t", "").replace("+", "")
        if kind not in _MODES or len(mode) != len(set(mode)):
            raise ValueError(f"invalid mode: {mode!r}")
        flags = _MODES[kind] | (_hutch.FILE_READ | _hutch.FILE_WRITE if "+" in mode else 0)
        fd = self._box.file_open(self._path, flags, 0o644)
        if "b" not in mode and encoding is None:
            encoding = "utf-8"
        return io.open(fd, mode.replace("x", "w"), buffering, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        from ._copy import whole

        return whole(self._box.file_open(self._path, _hutch.FILE_READ, 0))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> int:
        """Makes the file, or replaces what is in it. Return: how many bytes."""
        fd = self._box.file_open(self._path, _MODES["w"], 0o644)
        with io.open(fd, "wb", 0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view):]
        return len(data)

    def write_text(self, text: str, encoding: str = "utf-8", errors: str = "strict") -> int:
        return self.write_bytes(text.encode(encoding, errors))

    # In an event loop: the same, with a turn for the loop between pieces. The calls that are not here take microseconds.

    async def aread_bytes(self) -> bytes:
        from ._copy import read

        return await read(self._box.file_open(self._path, _hutch.FILE_READ, 0))

    async def aread_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return (await self.aread_bytes()).decode(encoding, errors)

    async def awrite_bytes(self, data: bytes) -> int:
        from ._copy import write

        await write(self._box.file_open(self._path, _MODES["w"], 0o644), data)
        return len(data)

    async def awrite_text(self, text: str, encoding: str = "utf-8", errors: str = "strict") -> int:
        return await self.awrite_bytes(text.encode(encoding, errors))

    async def armtree(self) -> None:
        from ._copy import Turns, remove

        await remove(self._box, self._path, Turns())

    # ---- what it is -----------------------------------------------------------------------------------

    def stat(self, *, follow_symlinks: bool = True) -> Stat:
        return Stat(*self._box.file_stat(self._path, 0 if follow_symlinks else _hutch.FILE_NOFOLLOW))

    def _is(self, test: Any) -> bool:
        try:
            return bool(test(self.stat().st_mode))
        except SandboxError as failure:
            if failure.code in ("NOT_FOUND", "SYSTEM"):
                return False
            raise

    def exists(self) -> bool:
        return self._is(lambda mode: True)

    def is_file(self) -> bool:
        return self._is(_stat.S_ISREG)

    def is_dir(self) -> bool:
        return self._is(_stat.S_ISDIR)

    def is_symlink(self) -> bool:
        try:
            return _stat.S_ISLNK(self.stat(follow_symlinks=False).st_mode)
        except SandboxError as failure:
            if failure.code in ("NOT_FOUND", "SYSTEM"):
                return False
            raise

    def iterdir(self) -> Iterator[SandboxPath]:
        """What is in a directory, in no order."""
        fd = self._box.file_open(self._path, _hutch.FILE_READ | _hutch.FILE_DIRECTORY, 0)
        try:
            names = os.listdir(fd)
        finally:
            os.close(fd)
        return (self(name) for name in names)

    def readlink(self) -> str:
        return self._box.file_readlink(self._path)

    # ---- changes ------------------------------------------------------------------------------------

    def mkdir(self, mode: int = 0o755, parents: bool = False, exist_ok: bool = False) -> None:
        """``parents``: those above too. ``exist_ok``: none the worse if it is there."""
        if parents and not exist_ok and self.exists():
            raise FileExistsError(f"'{self._path}' is there")
        if exist_ok and self.is_dir():
            return
        self._box.file_mkdir(self._path, _hutch.FILE_PARENTS if parents else 0, mode)

    def _mode(self) -> int:
        return self.stat(follow_symlinks=False).st_mode

    def unlink(self, missing_ok: bool = False) -> None:
        """Anything but a directory. :raises IsADirectoryError:"""
        try:
            if _stat.S_ISDIR(self._mode()):
                raise IsADirectoryError(f"'{self._path}' is a directory")
            self._box.file_remove(self._path, 0)
        except SandboxError as failure:
            if not (missing_ok and failure.code == "NOT_FOUND"):
                raise

    def rmdir(self) -> None:
        """An empty directory. :raises NotADirectoryError:"""
        if not _stat.S_ISDIR(self._mode()):
            raise NotADirectoryError(f"'{self._path}' is no directory")
        self._box.file_remove(self._path, 0)

    def rmtree(self) -> None:
        """A directory with all that is in it."""
        self._box.file_remove(self._path, _hutch.FILE_RECURSIVE)

    def rename(self, to: str | os.PathLike[str]) -> SandboxPath:
        """What has the new name is replaced."""
        target = self.parent(to)
        self._box.file_rename(self._path, os.fspath(target))
        return target

    replace = rename

    def symlink_to(self, text: str | os.PathLike[str]) -> None:
        """Makes this a symbolic link that says @text."""
        self._box.file_symlink(os.fspath(text), self._path)

    def chmod(self, mode: int) -> None:
        self._box.file_set(self._path, _hutch.FILE_MODE, mode, 0, 0, 0, 0)

    def chown(self, uid: int, gid: int) -> None:
        """Ids are those of the sandbox."""
        self._box.file_set(self._path, _hutch.FILE_OWNER, 0, uid, gid, 0, 0)

    def utime(self, atime_ns: int, mtime_ns: int) -> None:
        """Nanoseconds since 1970."""
        self._box.file_set(self._path, _hutch.FILE_TIMES, 0, 0, 0, atime_ns, mtime_ns)
