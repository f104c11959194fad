# SPDX-License-Identifier: Apache-2.0
"""Programs of others with nothing but the import changed: the first example of nitrobox' documentation, and its loop
over tasks; the image is a directory here."""

import io
import os
import unittest
from contextlib import redirect_stdout

from world import Case, ROOTFS

QUICK_START = '''
from {package} import Sandbox, SandboxConfig

config = SandboxConfig(
    image=IMAGE,
    working_dir="/workspace",
)

with Sandbox(config, name="worker-0") as sb:
    output, ec = sb.run("echo hello world")
    print(output)  # "hello world\\n"

    sb.write_file("/workspace/payload.py", "print('hello')")
    content = sb.read_file("/workspace/payload.py")

    sb.reset()   # instant filesystem reset
# auto cleanup on exit
'''

TASKS = '''
from {package} import Sandbox, SandboxConfig

sb = Sandbox(SandboxConfig(image=IMAGE), name="worker")
seen = []
for task in ("first", "second"):
    sb.write_file("/eval.sh", "echo $0 " + task + "; ls /left 2>/dev/null; echo x >/left")
    seen.append(sb.run("bash /eval.sh"))
    sb.reset()
sb.delete()
'''


@unittest.skipUnless(ROOTFS, "needs a root directory in place of the image")
class Switch(Case):
    def test_the_quick_start_of_nitrobox(self) -> None:
        for package in ("hutch", "hutch.compat.nitrobox", "hutch.compat.agentdocker_lite"):
            said, names = io.StringIO(), {"IMAGE": ROOTFS}
            with redirect_stdout(said):
                exec(QUICK_START.format(package=package), names)
            self.assertEqual(said.getvalue(), "hello world\n\n")
            self.assertEqual((names["output"], names["ec"], names["content"]), ("hello world\n", 0, "print('hello')"))
            self.assertFalse(os.path.exists(f"{ROOTFS}/workspace"))

    def test_its_loop_over_tasks(self) -> None:
        for package in ("hutch", "hutch.compat.nitrobox", "hutch.compat.agentdocker_lite"):
            names: dict = {"IMAGE": ROOTFS}
            exec(TASKS.format(package=package), names)
            self.assertEqual(names["seen"], [("/eval.sh first\n", 0), ("/eval.sh second\n", 0)])
