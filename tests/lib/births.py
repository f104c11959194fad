# SPDX-License-Identifier: Apache-2.0
"""A process whose children are met at their birth: some of them are stopped before they have done anything.

    with Births(pid) as births:
        ... start what makes it fork ...
        births.stop_until(done, wanted)     # [pid, ...]: stopped by SIGSTOP, untraced
        births.hold_before(call, wanted)    # pid: it is about to ask the kernel for that; goes on with let_go(pid)

For what lives too briefly to be met otherwise. Needs the right to trace, as root of the machine has it.
"""

import ctypes
import os
import signal
import time
from pathlib import Path

from .persona import libc

SEIZE, INTERRUPT, CONT, DETACH, GETEVENTMSG, SYSCALL, GET_SYSCALL_INFO = 0x4206, 0x4207, 7, 17, 0x4201, 24, 0x420E
# PTRACE_O_TRACEFORK, _TRACEVFORK, _TRACECLONE: they are traced from their birth; _TRACESYSGOOD: their calls can be told
OF_CHILDREN = 2 | 4 | 8 | 1
BORN = (1, 2, 3)  # PTRACE_EVENT_FORK, _VFORK, _CLONE
WALL = 0x40000000  # __WALL

libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if libc.ptrace(request, pid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request:#x} of {pid}: {os.strerror(number)}")


def depth(pid: int) -> int:
    """In how many pid namespaces a process is."""
    status = Path(f"/proc/{pid}/status").read_text()
    return len(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()) - 1


class SyscallInfo(ctypes.Structure):  # struct ptrace_syscall_info of <linux/ptrace.h>, up to the number of a call
    _fields_ = [("op", ctypes.c_uint8), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64), ("sp", ctypes.c_uint64),
                ("number", ctypes.c_uint64)]


def run_until_call(pid: int, call: int) -> None:
    """Until a process that is traced and stands still is about to make that system call."""
    info = SyscallInfo()
    while info.op != 1 or info.number != call:  # PTRACE_SYSCALL_INFO_ENTRY
        ptrace(SYSCALL, pid)
        _, status = os.waitpid(pid, WALL)
        if not os.WIFSTOPPED(status):
            raise AssertionError(f"it ended before call {call}: {status}")
        ptrace(GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))


class Births:
    def __init__(self, pid: int):
        self.pid, self.stopped = pid, []
        self.before, self.held = None, 0  # what hold_before() is after, and has

    def __enter__(self):
        ptrace(SEIZE, self.pid, 0, OF_CHILDREN)
        return self

    def __exit__(self, *_):
        if self.held:
            self.let_go(self.held)
        ptrace(INTERRUPT, self.pid)
        while not self.next_stop(lambda child: False):
            time.sleep(0.0005)
            ptrace(INTERRUPT, self.pid)  # any other stop on the way has taken the first one with it
        ptrace(DETACH, self.pid)

    def next_stop(self, wanted) -> bool:
        """Handles one event of the process. Return: it stands still, and not because of a birth."""
        pid, status = os.waitpid(self.pid, os.WNOHANG | WALL)
        if not pid:
            return False
        if not os.WIFSTOPPED(status):
            raise AssertionError(f"the process ended while it was traced: {status}")
        if status >> 16 in BORN:
            child = ctypes.c_ulong()
            ptrace(GETEVENTMSG, self.pid, 0, ctypes.addressof(child))
            self.born(child.value, wanted)
        elif status >> 16:
            return True
        ptrace(CONT, self.pid, 0, 0 if status >> 16 else os.WSTOPSIG(status))
        return False

    def born(self, child: int, wanted) -> None:
        os.waitpid(child, WALL)  # its first stop
        if self.before and wanted(child):
            run_until_call(child, self.before)
            self.held, self.before = child, None
            return
        if not self.before and wanted(child):
            os.kill(child, signal.SIGSTOP)  # it meets that when it is let go
            self.stopped.append(child)
        ptrace(DETACH, child)

    def stop_until(self, done, wanted, seconds: float = 20) -> list[int]:
        """Until done(): stops each new child for which wanted(pid) holds."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.next_stop(wanted):
                ptrace(CONT, self.pid)
            if time.monotonic() > deadline:
                raise AssertionError(f"it was not done within {seconds} s")
            time.sleep(0.0002)
        return self.stopped

    def hold_before(self, call: int, wanted, seconds: float = 20) -> int:
        """The next child for which wanted(pid) holds, traced, before its first system call of this number."""
        self.before = call
        self.stop_until(lambda: self.held, wanted, seconds)
        return self.held

    def let_go(self, child: int) -> None:
        self.held = 0
        ptrace(DETACH, child)
