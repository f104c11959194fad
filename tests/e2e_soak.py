# SPDX-License-Identifier: Apache-2.0
"""Many lives of sandboxes in one process: nothing grows. tests/soak.c does the work and the counting; the long
form is `tests/soak`, which says in HUTCH_SOAK how long that is."""

import os
import re
import signal
import subprocess
import threading
import time

from lib import PERSONAS, only
from lib.case import Result
from lib.extra import RunCase

LONG = os.environ.get("HUTCH_SOAK", "").split()


class Soak(RunCase):
    def soak(self, *words, seconds: float = 100):
        program = self.session.program_for(self.persona, self.session.build / "tests" / "soak")
        process = self.persona.popen([str(program), *map(str, words)], env=self.environment(), cwd=self.tmp,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._started.append(process)
        return self.follow(process) if LONG else self.finish(process, timeout=seconds)

    def follow(self, process) -> Result:
        """As finish(), however long it takes; what it says is shown as it comes."""
        signal.alarm(0)
        since, out, err = time.monotonic(), [], []
        other = threading.Thread(target=lambda: err.append(process.stderr.read().decode()))
        other.start()
        for line in process.stdout:
            out.append(line.decode())
            print(f"  {out[-1]}", end="", flush=True)
        other.join()
        return Result(process.args, process.wait(), "".join(out), "".join(err), time.monotonic() - since)

    def assert_nothing_grew(self, result, least: int) -> None:
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        self.assertIn("\nleftovers: 0\n", result.out)
        self.assertGreaterEqual(int(re.search(r"^cycles: (\d+)", result.out, re.M)[1]), least, str(result))
        counts = dict(re.findall(r"([a-z ]+) (\d+)(?:,|$)", re.search(r"^create .*$", result.out, re.M)[0]))
        self.assertEqual([what for what, times in counts.items() if times == "0"], [], str(result))

    @only(*(PERSONAS if LONG else ("root", "plain")))
    def test_twenty_seconds_of_mixed_work_leave_everything_as_it_was(self):
        self.assert_nothing_grew(self.soak(*(LONG or ("--seconds", 20)), self.rootfs), 20)

    @only("subuid", "nested", "nested-range")
    def test_some_cycles_do_so_for_everybody(self):
        self.assert_nothing_grew(self.soak("--cycles", 20, self.rootfs), 20)

    @only("root", "plain")
    def test_some_cycles_with_the_machines_programs(self):
        self.assert_nothing_grew(self.soak("--cycles", 20), 20)
