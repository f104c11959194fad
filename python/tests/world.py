# SPDX-License-Identifier: Apache-2.0
"""What the tests of the package share: a root directory, and a census of what a test leaves."""

import gc
import os
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import hutch

#: A small root file system that the runner gives; without one the machine's own programs are used.
ROOTFS = os.environ.get("HUTCH_TEST_ROOTFS")


def config(**fields) -> hutch.SandboxConfig:
    if not {"image", "host", "rootfs"} & set(fields):
        fields.update({"image": ROOTFS} if ROOTFS else {"host": True})
    return hutch.SandboxConfig(**fields)


def descriptors() -> Counter[str]:
    """How many of each kind, or each path. (What stands ready for the next sandbox changes its number.)"""
    found: Counter[str] = Counter()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{fd}").split("[")[0]] += 1
        except OSError:
            pass  # the one of the list itself
    return found


def names() -> set[str]:
    """Of sandboxes that there are."""
    from hutch._home import home

    return {one[0] for one in home().list()}


class Case(unittest.TestCase):
    """Each test ends as it began: no descriptor, no sandbox, no child more."""

    def setUp(self) -> None:
        from hutch._home import home

        home()
        with hutch.Sandbox(config()):  # what stands ready for the next one is there from now on
            pass
        self.settle()
        self._boxes: list[hutch.Sandbox] = []
        self._before = descriptors(), names()

    def tearDown(self) -> None:
        for box in self._boxes:
            box.delete()
        self.settle()
        fds, boxes = descriptors(), names()
        self.assertEqual(fds - self._before[0], Counter(), "descriptors")
        self.assertEqual(boxes - self._before[1], set(), "sandboxes")
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def settle(self) -> None:
        """A sandbox that was made before it is asked for is none of those that a test has made."""
        gc.collect()
        hutch.Sandbox.cleanup_stale()

    def sandbox(self, **fields) -> hutch.Sandbox:
        """Deleted after the test."""
        box = hutch.Sandbox(config(**fields))
        self._boxes.append(box)
        return box

    def directory(self) -> Path:
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        return Path(held.name)
