# SPDX-License-Identifier: Apache-2.0
"""Trees and large files in an event loop, piece by piece.

How it works: the library copies a tree in one call, which holds up a loop for as long as that takes. Here directories are
walked one entry after the other and large files are copied a few MiB at a time, and after each piece that ended later than
a millisecond after the last pause the loop has its turn. What a piece does is what the library does (src/box/copy.c): the
same modes, times, links and holes, the same rules for what is in the way; what is neither a directory nor large is copied
by it. On the host every step starts from the descriptor of the directory above and follows no link, whatever the sandbox
calls its files.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import _hutch
from ._errors import SandboxError

PIECE = 4 << 20  # bytes between two pauses
MADE_UP_MAX = 64 << 20  # bytes
_TURN_SECONDS = 0.001
_DEPTH_MAX = 256
_SET = _hutch.FILE_MODE | _hutch.FILE_TIMES | _hutch.FILE_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Turns:
    """Gives the loop its turn, at most once in a millisecond."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def pause(self) -> None:
        if time.monotonic() - self._since >= _TURN_SECONDS:
            import asyncio

            await asyncio.sleep(0)
            self._since = time.monotonic()


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _not_too_deep(path: str, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise SandboxError(f"'{path}' is more than {_DEPTH_MAX} directories deep", "LIMIT")


# ---- bytes ----------------------------------------------------------------------------------------------


def _some(source: int, target: int, at: int, most: int) -> int:
    """Copies up to @most bytes at @at. Return: how many; 0: the file has become shorter."""
    try:
        return os.copy_file_range(source, target, most, at, at)
    except OSError:
        data = memoryview(os.pread(source, min(most, 1 << 20), at))  # not between these two, or it fails again below
    done = 0
    while done < len(data):
        done += os.pwrite(target, data[done:], at + done)
    return done


async def _bytes(source: int, target: int, size: int, turns: Turns) -> None:
    """All of @source to the empty file @target; holes stay holes."""
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
            end = min(size, os.lseek(source, at, os.SEEK_HOLE))
        except OSError:  # the rest is a hole
            break
        while at < end:
            n = _some(source, target, at, min(PIECE, end - at))
            if not n:
                end = size = at
                break
            at += n
            await turns.pause()
    os.ftruncate(target, size)


# ---- in -------------------------------------------------------------------------------------------------


async def _file_in(box: _hutch.Box, source: int, path: str, turns: Turns) -> None:
    about = os.fstat(source)
    flags = _hutch.FILE_WRITE | _hutch.FILE_CREATE | _hutch.FILE_TRUNC
    with _closing(box.file_open(path, flags, 0o600)) as target:
        try:
            await _bytes(source, target, about.st_size, turns)
        except BaseException:
            box.file_remove(path, 0)
            raise
    box.file_set(path, _SET, stat.S_IMODE(about.st_mode), 0, 0, about.st_atime_ns, about.st_mtime_ns)


def _link_in(box: _hutch.Box, above: int, name: str, about: os.stat_result, path: str) -> None:
    try:
        box.file_remove(path, 0)
    except SandboxError as failure:
        if failure.code != "NOT_FOUND":
            raise
    box.file_symlink(os.readlink(name, dir_fd=above), path)
    box.file_set(path, _SET, stat.S_IMODE(about.st_mode), 0, 0, about.st_atime_ns, about.st_mtime_ns)


async def _tree_in(box: _hutch.Box, source: int, path: str, depth: int, turns: Turns) -> None:
    _not_too_deep(path, depth)
    about = os.fstat(source)
    try:
        box.file_mkdir(path, 0, 0o700)
    except SandboxError as failure:
        if failure.code != "EXISTS" or not stat.S_ISDIR(box.file_stat(path, 0)[0]):
            raise
    with os.scandir(source) as entries:
        for entry in entries:
            await _one_in(box, source, entry.name, f"{path.rstrip('/')}/{entry.name}", depth + 1, turns)
    box.file_set(path, _SET, stat.S_IMODE(about.st_mode), 0, 0, about.st_atime_ns, about.st_mtime_ns)


async def _one_in(box: _hutch.Box, above: int, name: str, path: str, depth: int, turns: Turns) -> None:
    about = os.stat(name, dir_fd=above, follow_symlinks=False)
    if stat.S_ISDIR(about.st_mode):
        with _closing(os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)) as fd:
            await _tree_in(box, fd, path, depth, turns)
    elif stat.S_ISLNK(about.st_mode):
        _link_in(box, above, name, about, path)
    elif stat.S_ISREG(about.st_mode) and about.st_size > PIECE:
        with _closing(os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=above)) as fd:
            await _file_in(box, fd, path, turns)
    elif stat.S_ISREG(about.st_mode) or stat.S_ISFIFO(about.st_mode):  # sockets and devices are left out
        box.copy_in(f"/proc/self/fd/{above}/{name}", path, _hutch.COPY_EXACT)
    await turns.pause()


async def copy_in(box: _hutch.Box, local: str, path: str, flags: int, turns: Turns | None = None) -> None:
    """Box.copy_in() with COPY_EXACT, in pieces."""
    turns = turns or Turns()
    about = os.stat(local, follow_symlinks=bool(flags & _hutch.COPY_FOLLOW)) if os.path.lexists(local) else None
    above = os.path.dirname(path.rstrip("/"))
    if about is None or not (stat.S_ISDIR(about.st_mode) or (stat.S_ISREG(about.st_mode) and about.st_size > PIECE)):
        box.copy_in(local, path, flags)
        return
    if flags & _hutch.COPY_PARENTS and above not in ("", "/"):
        try:
            box.file_mkdir(above, _hutch.FILE_PARENTS, 0o755)
        except SandboxError as failure:
            if failure.code != "EXISTS":
                raise
    if stat.S_ISDIR(about.st_mode):
        with _closing(os.open(local, _DIRECTORY)) as fd:
            await _tree_in(box, fd, path, 0, turns)
        return
    with _closing(os.open(local, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as fd:
        await _file_in(box, fd, path, turns)


# ---- out ------------------------------------------------------------------------------------------------


def _finish_out(about: os.stat_result, fd: int, above: int, name: str) -> None:
    """Set-id bits are about owners, and the owner is another one here."""
    os.fchmod(fd, about.st_mode & 0o1777)
    os.utime(name, ns=(about.st_atime_ns, about.st_mtime_ns), dir_fd=above, follow_symlinks=False)


async def _file_out(box: _hutch.Box, path: str, above: int, name: str, nofollow: int, turns: Turns) -> None:
    with _closing(box.file_open(path, _hutch.FILE_READ | nofollow, 0)) as source:
        about = os.fstat(source)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with _closing(os.open(name, flags, 0o600, dir_fd=above)) as target:
            try:
                await _bytes(source, target, about.st_size, turns)
            except BaseException:
                os.unlink(name, dir_fd=above)
                raise
            _finish_out(about, target, above, name)


def _link_out(box: _hutch.Box, path: str, above: int, name: str) -> None:
    *_, atime, mtime, _ = box.file_stat(path, _hutch.FILE_NOFOLLOW)
    text = box.file_readlink(path)
    try:
        os.symlink(text, name, dir_fd=above)
    except FileExistsError:
        os.unlink(name, dir_fd=above)
        os.symlink(text, name, dir_fd=above)
    os.utime(name, ns=(atime, mtime), dir_fd=above, follow_symlinks=False)


async def _tree_out(box: _hutch.Box, path: str, above: int, name: str, nofollow: int, depth: int, turns: Turns) -> None:
    _not_too_deep(path, depth)
    with _closing(box.file_open(path, _hutch.FILE_READ | _hutch.FILE_DIRECTORY | nofollow, 0)) as source:
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            pass
        with _closing(os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)) as target, os.scandir(source) as entries:
            for entry in entries:
                if "/" in entry.name or entry.name in (".", ".."):
                    continue  # what a file system of theirs may call its files is not ours to trust
                below = f"{path.rstrip('/')}/{entry.name}"
                try:
                    await one_out(box, below, target, entry.name, _hutch.FILE_NOFOLLOW, depth + 1, turns)
                except SandboxError as failure:
                    if failure.code != "NOT_FOUND":  # removed while we were at it
                        raise
            _finish_out(os.fstat(source), target, above, name)


async def one_out(box: _hutch.Box, path: str, above: int, name: str, nofollow: int, depth: int, turns: Turns) -> None:
    """@path of the sandbox to @name below the directory @above of the host."""
    mode, _, _, _, size, *_ = box.file_stat(path, nofollow)
    if stat.S_ISDIR(mode):
        await _tree_out(box, path, above, name, nofollow, depth, turns)
    elif stat.S_ISLNK(mode):
        _link_out(box, path, above, name)
    elif stat.S_ISREG(mode) and size > PIECE:
        await _file_out(box, path, above, name, nofollow, turns)
    elif stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or not depth:  # sockets and devices in a tree are left out
        box.copy_out(path, f"/proc/self/fd/{above}/{name}", _hutch.COPY_EXACT | (0 if nofollow else _hutch.COPY_FOLLOW))
    await turns.pause()


async def copy_out(box: _hutch.Box, path: str, local: str, flags: int, turns: Turns | None = None) -> None:
    """Box.copy_out() with COPY_EXACT, in pieces."""
    if os.path.isdir(local):
        local = os.path.realpath(local)  # as the library: the directory that a link names is gone into
    nofollow = 0 if flags & _hutch.COPY_FOLLOW else _hutch.FILE_NOFOLLOW
    if not os.path.basename(local) or not stat.S_ISDIR(box.file_stat(path, nofollow)[0]) and os.path.isdir(local):
        box.copy_out(path, local, flags)  # which says what is wrong
        return
    with _closing(os.open(os.path.dirname(local), _DIRECTORY)) as above:
        await one_out(box, path, above, os.path.basename(local), nofollow, 0, turns or Turns())


# ---- the rest of what takes long ----------------------------------------------------------------------------


def _pieces(fd: int) -> Iterator[bytes]:
    """What the kernel makes up as it is read has a size of 0, and some of that no end."""
    left = None if os.fstat(fd).st_size else MADE_UP_MAX
    while data := os.read(fd, PIECE):
        if left is not None:
            left -= len(data)
            if left < 0:
                raise OSError(errno.EFBIG, f"a file of size 0 has more than {MADE_UP_MAX} bytes")
        yield data


def whole(fd: int) -> bytes:
    """All of it, and closes it."""
    with io.open(fd, "rb", 0) as file:
        return file.readall() if os.fstat(fd).st_size else b"".join(_pieces(fd))


async def read(fd: int) -> bytes:
    """All of it, and closes it."""
    turns, parts = Turns(), []
    with _closing(fd):
        for data in _pieces(fd):
            parts.append(data)
            await turns.pause()
    return b"".join(parts)


async def write(fd: int, data: bytes) -> None:
    """All of it, and closes it."""
    turns, view = Turns(), memoryview(data)
    with _closing(fd):
        while view:
            view = view[os.write(fd, view[:PIECE]):]
            await turns.pause()


async def remove(box: _hutch.Box, path: str, turns: Turns, depth: int = 0) -> None:
    """A file, or a directory with all that is in it."""
    _not_too_deep(path, depth)
    if stat.S_ISDIR(box.file_stat(path, _hutch.FILE_NOFOLLOW)[0]):
        flags = _hutch.FILE_READ | _hutch.FILE_DIRECTORY | _hutch.FILE_NOFOLLOW
        with _closing(box.file_open(path, flags, 0)) as fd:
            names = os.listdir(fd)
        for name in names:
            await remove(box, f"{path.rstrip('/')}/{name}", turns, depth + 1)
    box.file_remove(path, 0)
    await turns.pause()


