# SPDX-License-Identifier: Apache-2.0
"""A file of the host on a file system that answers as long as it likes.

    with SlowFile(path, b"content") as file:
        file.answers = False    # from now on nobody who reads it gets an answer

How it works: the file is a FUSE file system whose root is a regular file, mounted on an empty one; a thread speaks the
protocol (include/uapi/linux/fuse.h). Only root of the machine can mount it; everybody can read it.
"""

import ctypes
import errno
import os
import struct
import threading
from pathlib import Path

from .persona import libc

HEAD, ANSWER = struct.Struct("=IIQQIIIHH"), struct.Struct("=IiQ")
FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, INTERRUPT, FORGET_MANY = 2, 3, 14, 15, 18, 25, 26, 36, 42
MNT_DETACH = 2
FUSE_ASYNC_READ = 1  # as libfuse has it: who waits for an answer can be killed


class SlowFile:
    def __init__(self, path: Path, content: bytes):
        self.path, self.content, self.answers = path, content, True
        self.asked = threading.Event()  # somebody reads it and gets no answer

    def __enter__(self):
        self.path.touch(0o644)
        self.fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fuse},rootmode=100644,user_id=0,group_id=0,allow_other"
        if libc.mount(b"slow", os.fsencode(self.path), b"fuse.slow", 0, options.encode()) < 0:
            number = ctypes.get_errno()
            os.close(self.fuse)
            raise OSError(number, f"mount: {os.strerror(number)}")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        libc.umount2(os.fsencode(self.path), MNT_DETACH)  # with its last user it ends, and so does serve()
        self.thread.join(5)
        os.close(self.fuse)

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self.fuse, 1 << 18)
            except OSError as failure:
                if failure.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # ENODEV: unmounted
            if not request:
                return
            _, what, unique, *_ = HEAD.unpack_from(request)
            if what in (FORGET, INTERRUPT, FORGET_MANY):
                continue
            if what == READ and not self.answers:
                self.asked.set()
                continue
            body = self.answer(what, request[HEAD.size:])
            head = ANSWER.pack(ANSWER.size + len(body or b""), 0 if body is not None else -errno.ENOSYS, unique)
            try:
                os.write(self.fuse, head + (body or b""))
            except OSError:
                pass  # who asked has gone

    def answer(self, what: int, body: bytes) -> bytes | None:
        if what == INIT:
            return struct.pack("=IIIIHHIIHHI7I", 7, 31, 1 << 17, FUSE_ASYNC_READ, 8, 8, 4096, 1, 0, 0, 0, *[0] * 7)
        if what == GETATTR:
            size = len(self.content)
            return struct.pack("=QII6Q10I", 0, 0, 0, 1, size, 1, 1, 1, 1, 0, 0, 0, 0o100644, 1, 0, 0, 0, 4096, 0)
        if what == OPEN:
            return struct.pack("=QIi", 1, 0, 0)
        if what == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            return self.content[offset:offset + size]
        return b"" if what in (RELEASE, FLUSH) else None
