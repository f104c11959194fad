# SPDX-License-Identifier: Apache-2.0
"""The demonstration of `make run`, and the line that the README shows."""

import re
import shutil
import subprocess
from pathlib import Path

from lib import needs
from lib.census import tree
from lib.extra import PYTHON, RunCase

DEMO = Path(__file__).resolve().parent.parent / "tools" / "demo"


class Demo(RunCase):
    """What a newcomer sees first."""

    @needs(shutil.which("cc") and PYTHON, "there is no compiler or no python3 here")
    def test_the_demonstration_runs_and_shows_what_is_promised(self):
        script = self.write("demo", DEMO.read_text(), mode=0o755)
        before = tree(self.tmp)
        process = self.persona.popen(["sh", str(script), self.persona.program],
                                     env=self.environment({"TMPDIR": str(self.tmp)}),
                                     cwd=self.tmp, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        self._started.append(process)
        result = self.finish(process)
        self.assertEqual(result.code, 0, str(result))
        self.assertRegex(result.err, r"\A(hutch: time is over: .*\n)?\Z")  # what a timeout says, if it shows one
        self.assertIn("348513 primes below 5000000, the largest is 4999999 (uid 0, pid ", result.out)
        self.assertRegex(result.out, r"/home, /root +nothing; nothing")
        self.assertRegex(result.out, r"/etc/shadow +No such file or directory")
        self.assertRegex(result.out, r"processes +hutch-init, python3")
        self.assertRegex(result.out, r"network interfaces +lo\n")
        self.assertRegex(result.out, r"write to /usr +Read-only file system")
        self.assertEqual(tree(self.tmp), before)

    @needs(shutil.which("ps", path="/usr/bin:/bin") is not None, "there is no ps")
    def test_a_look_around_shows_only_the_sandbox(self):
        lines = self.host_ok("id -u; ps ax; ls -A /home /root; cat /proc/1/comm").splitlines()
        self.assertEqual((lines[0], lines[-1]), ("0", "hutch-init"))
        processes = [line for line in lines if re.match(r" *\d+ ", line)]
        self.assertEqual(len(processes), 3, lines)
        self.assertTrue(processes[0].split()[0] == "1" and "hutch-init" in processes[0], lines)
        self.assertEqual([line for line in lines[-4:-1] if line], ["/home:", "/root:"])
