# SPDX-License-Identifier: Apache-2.0
"""Many lives of sandboxes in one process: nothing grows. tests/soak.c does the work and the counting; the long
form is `HUTCH_HOME=DIR build/tests/soak --cycles 100000`."""

import re
import subprocess

from lib import only
from lib.extra import RunCase


class Soak(RunCase):
    def soak(self, *words, seconds: float = 100):
        program = self.session.program_for(self.persona, self.session.build / "tests" / "soak")
        process = self.persona.popen([str(program), *map(str, words)], env=self.environment(), cwd=self.tmp,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._started.append(process)
        return self.finish(process, timeout=seconds)

    def assert_nothing_grew(self, result, least: int) -> None:
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        self.assertIn("\nleftovers: 0\n", result.out)
        self.assertGreaterEqual(int(re.search(r"^cycles: (\d+)", result.out)[1]), least, str(result))
        counts = dict(re.findall(r"([a-z ]+) (\d+)(?:,|$)", re.search(r"^create .*$", result.out, re.M)[0]))
        self.assertEqual([what for what, times in counts.items() if times == "0"], [], str(result))

    @only("root", "plain")
    def test_twenty_seconds_of_mixed_work_leave_everything_as_it_was(self):
        self.assert_nothing_grew(self.soak("--seconds", 20, self.rootfs), 20)

    @only("subuid", "nested", "nested-range")
    def test_some_cycles_do_so_for_everybody(self):
        self.assert_nothing_grew(self.soak("--cycles", 20, self.rootfs), 20)

    @only("root", "plain")
    def test_some_cycles_with_the_machines_programs(self):
        self.assert_nothing_grew(self.soak("--cycles", 20), 20)
