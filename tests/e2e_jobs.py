# SPDX-License-Identifier: Apache-2.0
"""Jobs: hutch exec -d, hutch run -d, hutch jobs, logs, wait, job stop, job kill."""

import json
import re
import signal
import subprocess
import time

from lib import only
from lib.extra import BoxCase, RunCase, states, wait_for


class JobCase(RunCase):
    def jobs(self, name: str = "box") -> dict[str, dict]:
        """What `hutch jobs --json` says, by id."""
        return {job["id"]: job for job in json.loads(self.run_ok("jobs", "--json", name).out)}

    def assert_logs(self, out: str, *words) -> None:
        result = self.run_ok("logs", *words)
        self.assertEqual((result.out, result.err), (out, ""), str(result))

    def assert_waits(self, code: int, *words) -> None:
        self.assertEqual(self.run_ok("wait", *words).out, f"{code}\n")


class Jobs(JobCase, BoxCase):
    def job(self, *words) -> str:
        """Starts a job in the box: its id. The last of @words is a script for sh."""
        return self.run_ok("exec", "-d", *words[:-1], "box", "sh", "-c", words[-1]).out.strip()

    def test_a_job_goes_on_and_everybody_may_ask(self):
        job = self.job("echo out; echo err >&2; cat; sleep 0.5; echo end; exit 3")
        self.assertTrue(re.fullmatch("[0-9a-f]{8}", job), job)
        wait_for(lambda: self.run_ok("logs", "box", job).out == "out\nerr\n", what="the first lines")
        one = self.jobs()[job]
        self.assertEqual((one["state"], one["written"]), ("running", 8), one)
        self.assertEqual(one["command"], "sh -c echo out; echo err >&2; cat; sleep 0.5; echo end; exit 3")
        self.assertEqual(self.hutch("exec", "box", "cat", f"/proc/{one['pid']}/comm").out, "sh\n")
        self.assert_waits(3, "box", job)
        one = self.jobs()[job]
        self.assertEqual((one["state"], one["end"], one["exit_code"], one["written"], one["kept"]),
                         ("ended", "exit", 3, 12, 12), one)
        self.assertGreater(one["maxrss_bytes"], 100_000)
        self.assertGreaterEqual(one["duration_us"], 500_000)
        self.assertLess(abs(one["duration_us"] / 1000 - (one["ended_ms"] - one["started_ms"])), 1000)
        self.assertLess(abs(time.time() - one["ended_ms"] / 1000), 10)
        self.assert_logs("out\nerr\nend\n", "box", job)
        self.assert_waits(3, "box", job)
        table = self.run_ok("jobs", "box").out.splitlines()
        self.assertEqual(len(table), 2)
        self.assertTrue(table[1].startswith(job) and "exited (3)" in table[1], table)

    def test_options_are_those_of_exec(self):
        job = self.job("-w", "/usr", "-e", "A=it's", "--job", "web-1", "pwd; echo $A $0; id -u")
        self.assertEqual(job, "web-1")
        self.assert_waits(0, "box", job)
        self.assert_logs("/usr\nit's sh\n0\n", "box", job)
        job = self.job("--timeout", "0.3", "(setsid sleep 401 &); echo x; sleep 401")
        self.assert_waits(124, "box", job)
        self.assertEqual(self.jobs()[job]["end"], "timeout")
        wait_for(lambda: not states("sleep 401"), what="the end of the tree")
        self.assertIn("timeout", self.run_ok("jobs", "box").out)

    def test_a_lock_on_what_it_reads_ends_with_it(self):
        self.run_ok("create", "--host", "locks")
        job = self.run_ok("exec", "-d", "locks", "sh", "-c", "flock 0 && echo locked; sleep 402").out.strip()
        wait_for(lambda: self.run_ok("logs", "locks", job).out == "locked\n", what="the lock")
        self.run_ok("reset", "locks")
        self.assertEqual(self.run_ok("exec", "locks", "sh", "-c", "exec 9</dev/null; flock -n 9 && echo free").out, "free\n")
        self.run_ok("rm", "locks")

    def test_whether_it_can_be_executed_is_told_at_once(self):
        self.assert_fails(self.hutch("exec", "-d", "box", "/no/such"), 127, "/no/such")
        self.assert_fails(self.hutch("exec", "-d", "box", "/usr"), 126, "/usr")
        self.assert_fails(self.hutch("exec", "-d", "-w", "/no/such", "box", "true"), 126, "/no/such")
        self.assert_fails(self.hutch("exec", "-d", "nobox", "true"), 125, "nobox")
        self.assertEqual(self.jobs(), {})

    @only("root", "plain")
    def test_what_cannot_be_had_is_refused(self):
        for words, said in ((["-i"], "yet"), (["-t"], "yet"), (["--session", "s"], "--session"), (["--json"], "--json"),
                            (["--preserve-fd", "9"], "--preserve-fd"), (["--keep", "x"], "--keep"),
                            (["--keep", "0"], "--keep"), (["--keep", "10t"], "--keep"), (["--job", "a b"], "a b"),
                            (["--job", ""], "name"), (["--keep", "1000g"], "kept")):
            self.assert_fails(self.hutch("exec", "-d", *words, "box", "true"), 125, said)
        for words in (["--job", "x"], ["--keep", "1m"]):
            self.assert_fails(self.hutch("exec", *words, "box", "true"), 125, "--detach")
        self.job("--job", "x", "sleep 402")
        self.assert_fails(self.hutch("exec", "-d", "--job", "x", "box", "true"), 125, "'x'")
        for words in (["logs", "box", "y"], ["wait", "box", "y"], ["job", "stop", "box", "y"], ["job", "kill", "box", "y"]):
            self.assert_fails(self.hutch(*words), 125, "'y'")
        for words in (["logs", "box"], ["wait", "box"]):
            self.assert_fails(self.hutch(*words), 125, "main")
        for words in (["logs"], ["wait"], ["jobs"], ["job"], ["job", "stop"], ["job", "stop", "box"], ["job", "end", "box", "x"],
                      ["jobs", "a", "b"], ["logs", "a", "b", "c"], ["logs", "--tail", "x", "box", "x"],
                      ["job", "kill", "-t", "3", "box", "x"], ["job", "stop", "-s", "NO", "box", "x"],
                      ["job", "stop", "-t", "x", "box", "x"]):
            self.assert_fails(self.hutch(*words), 125)

    def test_nobody_reads_and_the_last_part_is_kept(self):
        job = self.job("head -c 100000000 /dev/zero | tr '\\0' x; printf 'a\\0\\377b'")
        self.assert_waits(0, "box", job)
        one = self.jobs()[job]
        self.assertEqual((one["written"], one["kept"]), (100_000_004, 1 << 20))
        out = self.mkdir("out") / "log"
        script = f'"$HUTCH" logs box {job} >"{out}"'
        self.shell(script)
        data = out.read_bytes()
        self.assertEqual((len(data), data[-5:], data[:9]), (1 << 20, b"xa\0\xffb", b"xxxxxxxxx"))
        result = self.run_ok("logs", "--tail", "1", "box", self.job_done("seq 100"))
        self.assertEqual((result.out, result.err), ("100\n", ""))

    def job_done(self, *words) -> str:
        job = self.job(*words)
        self.run_ok("wait", "box", job)
        return job

    def test_the_tail_is_exact(self):
        for size, kept in (("1k", 1024), ("10", 10), ("3k", 3072), ("2m", None)):
            job = self.job_done("--keep", size, "seq 100000")
            whole = "".join(f"{n}\n" for n in range(1, 100001))
            result = self.run_ok("logs", "box", job)
            self.assertEqual(result.out, whole[-kept:] if kept else whole)
            lost = f"hutch: {len(whole) - kept} bytes before this are not kept any more\n" if kept else ""
            self.assertEqual(result.err, lost)
            one = self.jobs()[job]
            self.assertEqual((one["written"], one["kept"]), (len(whole), kept or len(whole)))
        for lines, out in (("0", ""), ("1", "100000\n"), ("2", "99999\n100000\n"), ("all", whole), ("1000000", whole)):
            self.assert_logs(out, "--tail", lines, "box", job)
        job = self.job_done("printf 'a\\n\\nb'")
        for lines, out in (("1", "b"), ("2", "\nb"), ("3", "a\n\nb"), ("4", "a\n\nb")):
            self.assert_logs(out, "-n", lines, "box", job)

    def test_logs_follow(self):
        job = self.job("for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; exit 2")
        result = self.run_ok("logs", "-f", "box", job)
        self.assertEqual(result.out, "1\n2\n3\n4\n5\n")
        self.assertEqual(self.run_ok("logs", "-f", "--tail", "2", "box", job).out, "4\n5\n")
        job = self.job("seq 300000")
        self.assertEqual(self.run_ok("logs", "-f", "box", job).out.splitlines()[-1], "300000")

    @only("root", "plain")
    def test_who_stops_following_stops_nothing(self):
        job = self.job("while :; do echo x; sleep 0.01; done")
        process = self.start("logs", "-f", "box", job, bufsize=0)
        self.assertEqual(process.stdout.read(2), b"x\n")
        process.kill()
        process.wait()
        before = self.jobs()[job]["written"]
        wait_for(lambda: self.jobs()[job]["written"] > before, what="more output")

    def test_following_ends_with_its_reader(self):
        job = self.job("echo first; sleep 300")
        process = self.start("logs", "-f", "box", job, bufsize=0)
        self.assertEqual(process.stdout.read(6), b"first\n")
        process.stdout.close()
        self.assertEqual(process.wait(10), 0)
        self.assertEqual(self.jobs()[job]["state"], "running")

    def test_many_at_once(self):
        jobs = [self.job(f"sleep 0.5; seq 20000; exit {n}") for n in range(64)]
        self.assertEqual(list(self.jobs()), jobs)
        for n, job in enumerate(jobs):
            self.assert_waits(n, "box", job)
        self.assertEqual({job["written"] for job in self.jobs().values()}, {108894})

    def test_a_stop_ends_the_whole_tree_and_forgets(self):
        deaf = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; (sleep 403 & sleep 403)' &); "
        for end, options, seconds in (("exec sleep 404", [], 3), ("sleep 404", ["-t", "0.5"], 3), ("sleep 404", ["-t", "0"], 3),
                                      ("sleep 404", ["-s", "KILL"], 3)):
            stay = self.job("sleep 405")
            job = self.job(deaf + ("trap - TERM; " if not options else "") + end)
            wait_for(lambda: len(states("sleep 403")) == 2 and states("sleep 404") and states("sleep 405"), what="the tree")
            result = self.run_ok("job", "stop", *options, "box", job)
            self.assertLess(result.seconds, seconds)
            self.assertEqual((states("sleep 403"), states("sleep 404"), len(states("sleep 405"))), ("", "", 1), (end, options))
            self.assertEqual(list(self.jobs()), [stay])
            self.run_ok("job", "stop", "box", stay)
        self.assert_fails(self.hutch("logs", "box", job), 125, job)

    def test_a_kill_is_a_signal(self):
        job = self.job("trap 'echo hup' HUP; trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done")
        wait_for(lambda: self.run_ok("logs", "box", job).out == "up\n")
        self.run_ok("job", "kill", "-s", "HUP", "box", job)
        wait_for(lambda: self.run_ok("logs", "box", job).out == "up\nhup\n")
        self.run_ok("job", "kill", "-s", "SIGUSR1", "box", job)
        self.assert_waits(9, "box", job)
        self.run_ok("job", "kill", "box", job)
        job = self.job("(setsid sleep 406 &); sleep 406")
        wait_for(lambda: len(states("sleep 406")) == 2)
        self.run_ok("job", "kill", "box", job)
        self.assert_waits(137, "box", job)
        wait_for(lambda: not states("sleep 406"), what="the end of the tree")
        self.assertEqual(self.jobs()[job]["end"], "signal")

    def test_what_a_job_put_aside_lives_on_when_it_ends_by_itself(self):
        job = self.job_done("(setsid sh -c 'sleep 2; echo late; exec sleep 407' &)")
        self.assertEqual(len(states("sleep 407")) + self.jobs()[job]["written"], 0)
        wait_for(lambda: self.run_ok("logs", "box", job).out == "late\n", what="its output")
        wait_for(lambda: states("sleep 407"), what="the program after its output")
        self.run_ok("job", "stop", "box", job)
        self.assertEqual(len(states("sleep 407")), 1)

    def test_a_reset_forgets(self):
        job, ended = self.job("sleep 408"), self.job_done("true")
        waiting = self.start("wait", "box", job)
        wait_for(lambda: states("sleep 408"))
        time.sleep(0.2)
        self.run_ok("reset", "box")
        self.assertEqual(self.finish(waiting).out, "137\n")
        self.assertEqual((self.jobs(), states("sleep 408")), ({}, ""))
        for gone in (job, ended):
            self.assert_fails(self.hutch("logs", "box", gone), 125, gone)

    def test_removing_the_sandbox_ends_all(self):
        jobs = [self.job("(setsid sleep 409 &); while :; do echo y; done") for _ in range(8)]
        following = self.start("logs", "-f", "box", jobs[0], bufsize=0, stdout=subprocess.DEVNULL)
        waiting = self.start("wait", "box", jobs[1])
        time.sleep(0.3)
        self.run_ok("rm", "box")
        self.assertEqual(states("sleep 409"), "")
        result = self.finish(following)
        *before, last = result.err.strip().splitlines()
        self.assertEqual([x for x in before if "are not kept any more" not in x], [], str(result))  # it was too slow
        self.assertTrue(result.code == 125 and "ended" in last, str(result))
        self.assert_fails(self.finish(waiting), 125, "ended")

    @only("root", "plain")
    def test_too_many_are_refused(self):
        self.shell("for i in $(seq 256); do \"$HUTCH\" exec -d box true >>ids || exit 1; done", seconds=60)
        self.assert_fails(self.hutch("exec", "-d", "box", "true"), 125, "256")
        self.run_ok("job", "stop", "box", next(iter(self.jobs())))
        self.run_ok("exec", "-d", "box", "true")

    @only("root", "plain")
    def test_control_characters_do_not_reach_the_terminal(self):
        job = self.run_ok("exec", "-d", "box", "sh", "-c", "true", "\x1b[31m", b"\xff\n").out.strip()
        self.run_ok("wait", "box", job)
        self.assertNotIn("\x1b", self.run_ok("jobs", "box").out)
        self.assertEqual(len(self.run_ok("jobs", "box").out.splitlines()), 2)
        self.assertIn("\x1b", self.jobs()[job]["command"])


class Detached(JobCase):
    """hutch run -d."""

    def detach(self, *words, name: str = "box") -> None:
        result = self.run_ok("run", "-d", "--name", name, "--rootfs", self.rootfs, *words[:-1], "--", "sh", "-c", words[-1])
        self.assertEqual((result.out, result.err), (f"{name}\n", ""), str(result))

    def tearDown(self):
        self.hutch("rm", "box")
        self.hutch("cleanup")
        super().tearDown()

    def gone(self, name: str = "box") -> bool:
        return name not in self.run_ok("ps", "-q").out.split()

    def test_the_command_is_the_job_main(self):
        self.detach("-e", "A=1", "-w", "/usr", "echo $A; pwd; sleep 0.4; echo end >&2; exit 5")
        self.assertEqual(self.jobs()["main"]["state"], "running")
        self.assert_waits(5, "box")
        self.assert_logs("1\n/usr\nend\n", "box")
        self.assert_logs("end\n", "--tail", "1", "box")
        self.assertEqual(self.hutch("exec", "box", "sh", "-c", "echo alive; exit 3").out, "alive\n")
        self.assertEqual(self.jobs()["main"]["exit_code"], 5)
        self.run_ok("rm", "box")
        self.assertTrue(self.gone())

    def test_a_command_that_cannot_be_executed_leaves_nothing(self):
        for words, code in (("/no/such", 127), ("/usr", 126)):
            for options in ((), ("--rm",)):
                result = self.hutch("run", "-d", *options, "--name", "box", "--rootfs", self.rootfs, "--", words)
                self.assert_fails(result, code, words)
                self.assertEqual((result.out, self.run_ok("ps", "-aq").out), ("", ""))

    def test_with_rm_it_ends_with_its_command(self):
        self.detach("--rm", "(setsid sleep 411 &); echo begin; sleep 0.5; echo end; exit 6")
        following = self.start("logs", "-f", "box")
        self.assert_waits(6, "box")
        result = self.finish(following)
        self.assertEqual((result.code, result.out), (0, "begin\nend\n"), str(result))
        self.assertEqual((self.gone(), states("sleep 411")), (True, ""))
        self.assertEqual(self.run_ok("ps", "-aq").out, "")
        self.assert_fails(self.hutch("inspect", "box"), 125, "no sandbox has the name")
        self.assert_fails(self.hutch("logs", "box"), 125, "ended")
        self.detach("--rm", "sleep 412")  # the name is free
        self.run_ok("rm", "box")
        self.assertEqual((self.run_ok("ps", "-aq").out, states("sleep 412")), ("", ""))

    def test_when_the_end_of_one_with_rm_was_waited_for_it_is_not_there(self):
        for number in range(20):
            self.detach("--rm", "for i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do setsid sleep 418 & done; done; exit 7")
            if self.hutch("wait", "box").out == "7\n":  # else it has ended before
                self.assertEqual((self.run_ok("ps", "-q").out, states("sleep 418")), ("", ""))
            wait_for(self.gone, what="the end of it")

    def test_killed_at_any_moment_it_leaves_none_without_its_command(self):
        for number in range(40):
            process = self.start("run", "-d", "--name", "box", "--rootfs", self.rootfs, "--", "sleep", "419")
            time.sleep(number * 0.0004)
            process.kill()
            self.finish(process)
            time.sleep(0.05)
            wait_for(lambda: self.gone() or self.main_runs(), 2, f"its end or its command, after {number * 0.4} ms,")
            self.hutch("rm", "-f", "box")

    def main_runs(self) -> bool:
        result = self.hutch("jobs", "--json", "box")
        return result.code == 0 and any((job["id"], job["state"]) == ("main", "running") for job in json.loads(result.out))

    def test_a_timeout_is_that_of_main(self):
        self.detach("--timeout", "0.3", "(setsid sleep 413 &); sleep 413")
        self.assert_waits(124, "box")
        wait_for(lambda: not states("sleep 413"), what="the end of the tree")
        self.assertFalse(self.gone())
        self.run_ok("rm", "box")
        self.detach("--rm", "--timeout", "0.3", "(setsid sleep 413 &); sleep 413")
        wait_for(lambda: self.gone() and not states("sleep 413"), what="the end of it")

    def test_a_reset_forgets_main_and_ends_one_with_rm(self):
        self.detach("touch /x; sleep 414")
        wait_for(lambda: states("sleep 414"))
        self.run_ok("reset", "box")
        self.assertEqual((self.jobs(), states("sleep 414")), ({}, ""))
        self.assertEqual(self.hutch("exec", "box", "ls", "/x").code, 2)

    def test_what_a_job_wrote_can_be_read_when_the_sandbox_is_stopped(self):
        self.detach("trap 'echo bye >&2; exit 7' TERM; echo up; while :; do sleep 0.05; done")
        deaf = self.run_ok("exec", "-d", "--keep", "4k", "box", "sh", "-c", "trap '' TERM; seq 5000; sleep 417; echo no").out.strip()
        wait_for(lambda: self.jobs()[deaf]["written"] == 23893 and self.hutch("logs", "box").out, what="their words")
        following, waiting = self.start("logs", "-f", "box", deaf), self.start("wait", "box", deaf)
        time.sleep(0.3)
        self.run_ok("stop", "-t", "0.5", "box")
        result = self.finish(following)
        self.assertEqual((result.code, result.out.splitlines()[-1]), (0, "5000"), str(result))
        self.assertEqual(self.finish(waiting).out, "137\n")
        for _ in range(2):
            self.assert_logs("up\nbye\n", "box")
            self.assert_logs("up\nbye\n", "-f", "box")
            self.assert_waits(7, "box")
            self.assert_waits(137, "box", deaf)
            result = self.run_ok("logs", "box", deaf)
            self.assertEqual((len(result.out), result.out.splitlines()[-1]), (4096, "5000"))
            self.assertIn(f"{23893 - 4096} bytes", result.err)
            ended = {id: (job["state"], job["end"], job["exit_code"]) for id, job in self.jobs().items()}
            self.assertEqual(ended, {"main": ("ended", "exit", 7), deaf: ("ended", "signal", 137)})
            self.assert_fails(self.hutch("logs", "box", "other"), 125, "other")
        self.run_ok("start", "box")
        self.assertEqual(list(self.jobs()), ["main"])
        wait_for(lambda: self.hutch("logs", "box").out == "up\n", what="its first words")
        self.run_ok("kill", "box")
        self.assert_logs("up\n", "box")
        self.assert_waits(137, "box")
        self.run_ok("rm", "box")
        self.assert_fails(self.hutch("logs", "box"), 125, "box")

    def test_stop_asks_main_and_start_runs_it_again(self):
        self.detach("-e", "A=1", "trap 'echo asked >>/said; exit 3' TERM; echo begin $A >>/said; echo up; "
                    "while :; do sleep 0.05; done")
        wait_for(lambda: self.hutch("logs", "box").out, what="its first words")
        self.run_ok("stop", "box")
        self.run_ok("start", "box")
        wait_for(lambda: self.hutch("logs", "box").out, what="its first words")
        self.assertEqual(self.hutch("exec", "box", "cat", "/said").out, "begin 1\nasked\nbegin 1\n")
        self.assertEqual(self.jobs()["main"]["state"], "running")
        self.run_ok("start", "box")  # it runs
        self.run_ok("kill", "-s", "TERM", "box")
        self.assert_waits(3, "box")
        self.assertEqual(self.run_ok("ps", "-q").out, "box\n")

    def test_kill_is_for_main_where_there_is_one(self):
        self.detach("exec sleep 416")
        self.run_ok("exec", "-d", "box", "sleep", "417")
        wait_for(lambda: states("sleep 416") and states("sleep 417"), what="both")
        self.run_ok("kill", "-s", "INT", "box")
        self.assert_waits(130, "box")
        self.assertEqual((states("sleep 416"), states("sleep 417")), ("", "S"))

    def test_with_rm_a_stop_is_the_end(self):
        self.detach("--rm", "trap 'echo asked; sleep 0.1; exit 4' TERM; echo up; while :; do sleep 0.05; done")
        following = self.start("logs", "-f", "box", bufsize=0)
        self.assertEqual(self.line_of(following), "up")
        self.assertEqual(json.loads(self.run_ok("inspect", "box").out)[0]["spec"]["name"], "box")
        self.run_ok("stop", "box")
        self.assertEqual(self.line_of(following), "asked")
        self.finish(following)
        self.run_ok("cleanup")
        self.assertEqual(self.run_ok("ps", "-aq").out, "")

    def test_with_rm_nothing_is_kept_when_it_was_killed(self):
        self.detach("--rm", "sleep 418")
        pid = json.loads(self.run_ok("ps", "--json").out)[0]["pid"]
        self.shell(f"kill -9 {pid}")
        wait_for(lambda: not states("sleep 418"), what="the end of it")
        wait_for(lambda: not self.run_ok("ps", "-aq").out, what="no name")
        self.run_ok("cleanup")
        self.assertEqual(self.run_ok("ps", "-aq").out, "")

    @only("root", "plain")
    def test_the_entrypoint_and_the_machine(self):
        result = self.run_ok("run", "-d", "--name", "box", "--entrypoint", "echo", "--", "a", "b")
        self.assertEqual(result.out, "box\n")
        self.assert_waits(0, "box")
        self.assert_logs("a b\n", "box")

    @only("root", "plain")
    def test_a_name_is_made_and_told(self):
        self.run_ok("run", "-d", "--rm", "--cidfile", "cid", "--", "sleep", "415")
        name = (self.tmp / "cid").read_text()
        self.assertIn(name, self.run_ok("ps", "-q").out)
        self.run_ok("rm", name)

    @only("root", "plain")
    def test_what_cannot_be_had_is_refused(self):
        for words, said in ((["-i"], "yet"), (["-t"], "yet"), (["-it"], "yet"), (["--json"], "--json"),
                            (["--preserve-fd", "9"], "--preserve-fd"), (["--keep", "x"], "--keep")):
            self.assert_fails(self.hutch("run", "-d", *words, "--", "true"), 125, said)
        self.assert_fails(self.hutch("run", "--keep", "1m", "--", "true"), 125, "--detach")
        self.assertEqual(self.run_ok("ps", "-aq").out, "")

    @only("root", "plain")
    def test_it_lives_when_its_caller_is_killed_with_his_session(self):
        self.shell('setsid sh -c \'"$HUTCH" run -d --name box -- sh -c "trap \\"\\" HUP; echo up; sleep 416"; kill -9 0\' || :')
        wait_for(lambda: self.run_ok("logs", "box").out == "up\n")
        self.assertEqual(self.jobs()["main"]["state"], "running")
        self.run_ok("job", "kill", "-s", str(int(signal.SIGKILL)), "box", "main")
        self.assert_waits(137, "box")
