# SPDX-License-Identifier: Apache-2.0
"""Code in a living sandbox that wants to outlive what ends it, or to harm what others do there."""

import random
import shutil
import subprocess
import time

from lib import needs, only
from lib.extra import PYTHON, BoxCase, RunCase, states, wait_for

# A daemon that a command makes which does not inherit its orphans any more.
LEAVES = """
import ctypes, os, time
print(ctypes.CDLL(None).prctl(36, 0, 0, 0, 0), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "7201"])
    os._exit(0)
os.wait()
print("ready", flush=True)
time.sleep(300)
"""
# At SIGTERM a process is left whose first thread has ended, while another goes on.
HALF_DEAD = """
import ctypes, os, signal, sys, threading, time
def other():
    while True:
        open("/tmp/alive", "w").close()
        time.sleep(0.01)
def leave(*_):
    if os.fork() == 0:
        os.setsid()
        threading.Thread(target=other).start()
        ctypes.CDLL(None).syscall(60, 0)
    time.sleep(0.3)
    os._exit(3)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(300)
"""

class Outliving(RunCase):
    def setUp(self):
        super().setUp()
        self.run_ok("create", "--host", "box")

    def tearDown(self):
        self.hutch("rm", "box")
        super().tearDown()

    def job(self, program: str) -> str:
        job = self.run_ok("exec", "-d", "box", PYTHON, "-c", program).out.strip()
        wait_for(lambda: "ready" in self.run_ok("logs", "box", job).out, 15, "the begin of the job")
        return job

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_a_command_stays_who_inherits_its_orphans(self):
        result = self.hutch("exec", "--timeout", "1.5", "box", PYTHON, "-c", LEAVES)
        self.assertEqual((result.code, result.out), (124, "-1\nready\n"), str(result))
        wait_for(lambda: not states("sleep 7201"), what="the end of the daemon")
        job = self.job(LEAVES)
        self.run_ok("job", "stop", "-t", "0.2", "box", job)
        wait_for(lambda: not states("sleep 7201"), what="the end of the daemon of a job")

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_who_lets_its_first_thread_end_is_no_zombie(self):
        job = self.job(HALF_DEAD)
        self.run_ok("job", "stop", "-t", "10", "box", job)
        result = self.hutch("exec", "box", "sh", "-c", "rm -f /tmp/alive; sleep 0.5; ls /tmp")
        self.assertNotIn("alive", result.out, str(result))


class Quick(RunCase):
    """Processes that make the next one and end, faster than they are found."""

    # Who is dead may be in the list for a moment yet; and who makes the next one and ends is mostly not met there.
    LEFT = ("for p in /proc/[0-9]*; do s=; read -r s <$p/stat; case $s in *'(hostile) '[ZX]*) ;; *'(hostile) '*) echo $p $s;; esac; "
            "done 2>/dev/null; read -r _ _ _ _ a </proc/loadavg; sleep 0.1; read -r _ _ _ _ b </proc/loadavg; "
            "[ $((b - a)) -lt 10 ] || echo $((b - a)) new ones")

    def setUp(self):
        super().setUp()
        instruments = self.mkdir("instruments")
        shutil.copy2(self.session.build / "tests" / "hostile", instruments / "hostile")
        (instruments / "hostile").chmod(0o755)
        self.give(instruments / "hostile")
        self.run_ok("create", "--rootfs", self.rootfs, "-v", f"{instruments}:/instruments:ro", "box")

    def tearDown(self):
        self.hutch("rm", "box")
        super().tearDown()

    def test_none_outlives_a_timeout_and_that_holds(self):
        text = "/instruments/hostile quick; sleep 40"
        for words in (["box", "sh", "-c", text], ["--session", "s", "box", text]):
            for _ in range(4):
                since = time.monotonic()
                result = self.hutch("exec", "--timeout", "0.3", *words)
                took = time.monotonic() - since
                self.assertEqual((result.code, result.out), (124, ""), str(result))
                self.assertLess(took, 15, "they would have ended by themselves in 30 s")
                self.assertEqual(self.run_ok("exec", "box", "sh", "-c", self.LEFT).out, "", words)

    def test_one_that_was_stopped_before_stays_so(self):
        job = self.run_ok("exec", "-d", "box", "sh", "-c", "kill -STOP $$; echo went on").out.strip()
        state = "for p in /proc/[0-9]*; do read -r s <$p/stat; case $s in *') T '*) echo $p;; esac; done 2>/dev/null"
        wait_for(lambda: self.run_ok("exec", "box", "sh", "-c", state).out, what="a stopped one")
        for _ in range(3):
            self.hutch("exec", "--timeout", "0.3", "box", "sh", "-c", "/instruments/hostile quick; sleep 40")
        self.assertEqual(self.run_ok("logs", "box", job).out, "")


class Killed(BoxCase):
    """Who asks for a change is killed in the middle of it; the sandbox lives on, is stopped, and started again."""

    def files(self) -> str:
        return self.run_ok("exec", "box", "sh", "-c", "cd /f 2>/dev/null && for i in *; do echo $i; done").out

    @only("root", "plain", "subuid")
    def test_what_it_has_is_what_it_has_again(self):
        chance = random.Random(f"hutch {self.persona.name}")
        seconds = {"snapshot": 0.02, "restore": 0.02, "reset": 0.02}
        self.run_ok("exec", "box", "mkdir", "/f")
        self.run_ok("snapshot", "box")
        for number in range(24):
            words = ["snapshot", "restore", "reset"][number % 3]
            self.run_ok("exec", "box", "sh", "-c", f"mkdir -p /f; : >/f/before-{number}")
            process = self.start(words, "box", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, seconds[words]))
            process.kill()
            process.wait()
            self.run_ok("exec", "box", "sh", "-c", f"mkdir -p /f; : >/f/after-{number}")
            files = self.files()
            self.run_ok("stop", "-t", "0", "box")
            self.run_ok("start", "box")
            self.assertEqual(self.files(), files, f"{words} was killed, number {number}")
