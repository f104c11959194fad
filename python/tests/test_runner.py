# SPDX-License-Identifier: Apache-2.0
"""Words, and a text that is one program with plain ones, are started by a process that waits for them: nobody sees a difference."""

import asyncio
import re
import threading
import time
from typing import Any

from hutch import End, RunResult, Sandbox, SandboxError
from world import ROOTFS, Case, config

WHO = "read -r comm </proc/{}/comm; echo $comm"
SIGNALS = [s for s in (*range(1, 32), 34, 40, 64) if s not in (19, 20, 21, 22)]  # those stop it

#: Texts that end by themselves, whichever way they are started.
TEXTS = [
    "id", "id -u", "seq 3", "seq 100000", "cat /etc/passwd\n", "sh -c 'exit 3'", "sh -c 'echo out; echo err >&2; exit 7'", "env -i env",
    "printf %s.%s a", "/usr/bin/printf <%s>\\n a", "/usr/bin/printf '<%s>' a 'b  c' \"d  e\" '' a'b'\"c\"d", "/usr/bin/printf %s a=b a:b a,b @ % +",
    "/usr/bin/printf %s 'a$b' '*' '`' \"a'b\" 'a\"b' 'a\nb'", "/usr/bin/printf %s a  b\t\tc   \n\n", "/usr/bin/printf %s $HOME", "/usr/bin/printf %s /etc/p*",
    "/usr/bin/printf %s {a,b}", "/usr/bin/printf %s ~", "/usr/bin/test -d /", "/usr/bin/test -d /none", "ls /none", "nosuchprogram a", "/no/such/program",
    "/etc/passwd", "/etc", "etc", "..", "../bin/true", "./usr/bin/id -u", "usr/bin/id -u", "/srv/plain", "/srv/nothing", "/srv/none", "plain", "/srv/empty",
    "sh -c '(sleep 0.1; kill -CONT $$) & kill -STOP $$; echo on'", "sh -c 'ulimit -a; umask; pwd'", "sh -c 'cat /proc/self/limits; ls -l /proc/self/fd'",
    "sh -c 'grep -E \"^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups|SigBlk|SigIgn|SigCgt|SigPnd|Shd|Cpus_allowed_list)\" /proc/self/status; cat /proc/self/oom_score_adj'",
    "sh -c 'trap; kill -l 3'", "sh -c 'test -t 0 -o -t 1 -o -t 2'", "head -c 1 /dev/stdin", "setsid sh -c 'echo leader'", "timeout 0.1 sleep 5",
    *(f"sh -c 'kill -{s} $$'" for s in SIGNALS), *(f"bash -c 'ulimit -c 0; kill -{s} $$' a b  \n" for s in (6, 9, 11, 15)),
]

MAKE_FILES = """
echo 'echo no first line $0 $1' >/srv/plain; chmod 755 /srv/plain; cp /srv/plain /usr/local/bin/plain 2>/dev/null || cp /srv/plain /usr/bin/plain
echo id >/srv/nothing; chmod 644 /srv/nothing
printf '#!/no/interpreter\\n' >/srv/none; chmod 755 /srv/none
: >/srv/empty; chmod 755 /srv/empty
"""


def parent(sb: Sandbox) -> str:
    """What has started a plain text."""
    stat = sb.run("cat /proc/self/stat").output
    return sb.run(WHO.format(stat.rsplit(") ", 1)[1].split()[1])).output.strip()


def runners(sb: Sandbox) -> list[int]:
    text = "for p in /proc/[0-9]*; do c=; read -r c <$p/comm; [ \"$c\" = hutch-runner ] && echo ${p#/proc/}; done 2>/dev/null; :"
    out = sb.run(["sh", "-c", text], cwd="/").output  # by the keeper, with a directory
    return [int(pid) for pid in out.split()]


def warm(sb: Sandbox) -> Sandbox:
    """Until plain texts go by its runner."""
    until = time.monotonic() + 10
    while parent(sb) != "hutch-runner":
        assert time.monotonic() < until, "no runner came"
    return sb


def shape(result: RunResult) -> tuple[Any, ...]:
    """All of a result that does not change from one to the next."""
    def less(text: str) -> str:
        text = re.sub(r"(bash: line 1:) +\d+ ", r"\1 PID ", text)
        return re.sub(r"(pipe|socket):\[\d+\]|\d+\.[oe]\b|/proc/\d+|[A-Z][a-z]{2} +\d+ [0-9:]+", "X", text)

    return less(result.stdout), less(result.stderr), result.exit_code, result.end, result.signal, result.rusage, result.truncated


class Runner(Case):
    def setUp(self) -> None:
        if not ROOTFS:
            self.skipTest("needs a root directory")
        super().setUp()

    def with_runner(self, **fields: Any) -> Sandbox:
        return warm(self.sandbox(**fields))


class Same(Runner):
    def test_it_comes_with_the_third_of_such_texts(self) -> None:
        sb = self.sandbox()
        for _ in range(20):
            sb.run("echo a; id")
        self.assertEqual(runners(sb), [])
        self.assertEqual(parent(sb), "bash")
        self.assertEqual(runners(sb), [])
        self.assertEqual(sb.run("id -u").exit_code, 0)
        until = time.monotonic() + 10
        while len(runners(sb)) != 1 and time.monotonic() < until:
            pass
        self.assertEqual(parent(sb), "hutch-runner")
        self.assertEqual(len(runners(sb)), 1)

    def compare(self, **fields: Any) -> None:
        """With a variable that bash might read a file by there is no runner."""
        environment = {"B": "1", "HOSTNAME": "b", **fields.pop("environment", {})}
        with Sandbox(config(environment={**environment, "BASH_NO": "1"}, **fields)) as shell, \
                Sandbox(config(environment=environment, **fields)) as sb:
            for box in (shell, sb):
                self.assertEqual(box.run(MAKE_FILES).exit_code, 0)
            warm(sb)
            for text in TEXTS:
                for apart in (False, True):
                    self.assertEqual(shape(sb.run(text, apart=apart)), shape(shell.run(text, apart=apart)), text)
            self.assertEqual(parent(sb), "hutch-runner", "the runner is another one now")
            self.assertEqual(runners(shell), [])
            ours, theirs = sb.run("env").stdout.splitlines(), shell.run("env").stdout.splitlines()
            self.assertEqual(sorted(ours), sorted(line for line in theirs if line != "BASH_NO=1"))

    def test_what_it_tells_is_what_bash_tells(self) -> None:
        self.compare()

    def test_the_same_elsewhere_and_with_other_variables(self) -> None:
        self.compare(working_dir="/usr", environment={"HOME": "/srv", "LC_ALL": "C", "PATH": "/none:/usr/bin:/srv:bin"})

    def test_output_is_whole_and_the_own_of_each_call(self) -> None:
        sb = self.with_runner()
        self.assertEqual(len(sb.run("seq 300000").stdout), len("".join(f"{n}\n" for n in range(1, 300001))))
        self.assertEqual(sb.run("head -c 300000 /dev/zero").stdout_bytes, bytes(300000))
        result = sb.run("seq 300000", max_output=1000)
        self.assertEqual((len(result.stdout_bytes), result.truncated > 1_000_000), (1000, True))
        with sb.run("seq 100000", stream=True) as stream:
            self.assertEqual("".join(stream).count("\n"), 100000)

    def test_texts_that_bash_makes_more_of_go_to_bash(self) -> None:
        sb = self.with_runner()
        for text in ("sh -c 'cat /proc/$PPID/comm';", "X=1 sh -c 'cat /proc/$PPID/comm'", "sh -c 'cat /proc/$PPID/comm' | cat"):
            self.assertEqual(sb.run(text).stdout, "bash\n", text)
        self.assertEqual(sb.run("sh -c 'cat /proc/$PPID/comm'").stdout, "hutch-runner\n")

    def test_where_bash_would_take_more_over_there_is_none(self) -> None:
        for name, value in {"BASH_ENV": "/srv/x", "BASH_FUNC_id%%": "() { echo mine; }", "SHELLOPTS": "xtrace", "LC_ALL": "xx_XX.UTF-8"}.items():
            with self.subTest(name=name), Sandbox(config(environment={name: value})) as sb:
                for _ in range(10):
                    sb.run("id -u")
                self.assertEqual(runners(sb), [])


class Ends(Runner):
    def test_a_timeout_ends_all_of_it_and_nothing_else(self) -> None:
        sb = self.with_runner()
        sb.run("sh -c 'sleep 311 >/dev/null 2>&1 &'")
        time.sleep(0.1)
        result = sb.run("sh -c 'echo begun; (setsid sleep 312 & setsid sleep 312 & exit); sleep 312'", 0.4)
        self.assertEqual((result.stdout, result.exit_code, result.end), ("begun\n", 124, End.TIMEOUT))
        self.assertEqual(self.sleepers(sb), ["311"])
        self.assertEqual(parent(sb), "hutch-runner")

    def sleepers(self, sb: Sandbox) -> list[str]:
        out = sb.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null; :").stdout
        return sorted(line.split()[1] for line in out.splitlines() if re.fullmatch(r"sleep \d+ ?", line))

    def test_many_timeouts_are_told_in_time(self) -> None:
        sb = self.with_runner()
        for n in range(30):
            since = time.monotonic()
            self.assertEqual(sb.run("sleep 5", 0.001 + n / 1000).end, End.TIMEOUT)
            self.assertLess(time.monotonic() - since, 1.5)
        self.assertEqual(self.sleepers(sb), [])
        self.assertEqual(sb.run("id -u").exit_code, 0)

    def test_what_a_call_leaves_behind_does_not_hold_it_nor_speak_in_another(self) -> None:
        sb = self.with_runner()
        since = time.monotonic()
        self.assertEqual(sb.run("sh -c '(sleep 0.3; echo late; echo late >/srv/late) & echo now'").stdout, "now\n")
        self.assertLess(time.monotonic() - since, 0.29)
        until = time.monotonic() + 10
        while "late" not in sb.run("ls /srv").stdout:
            assert time.monotonic() < until
        for _ in range(5):
            self.assertEqual(sb.run("/usr/bin/printf mine").stdout, "mine")
        self.assertNotIn("Z", sb.run("cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //; s/ .*//'").stdout)

    def test_when_it_is_killed_the_call_tells_and_the_next_has_bash_or_another(self) -> None:
        sb = self.with_runner()
        result = sb.run("sh -c 'kill -9 $PPID; sleep 2'")
        self.assertEqual((result.end, result.exit_code), (End.SHELL_DIED, 137))
        for _ in range(3):
            self.assertEqual(sb.run("/usr/bin/printf well").stdout, "well")
        warm(sb)
        for _ in range(20):
            sb.run(["sh", "-c", "kill -9 $0; while kill -0 $0; do :; done 2>/dev/null", str(runners(sb)[0])], cwd="/")
            self.assertEqual(sb.run("/usr/bin/printf well").stdout, "well")
            warm(sb)

    def test_a_reset_ends_it_and_another_comes(self) -> None:
        sb = self.with_runner()
        for _ in range(3):
            sb.run("sh -c 'echo x >/srv/x'")
            sb.reset()
            self.assertEqual(sb.run("cat /srv/x").exit_code, 1)
            warm(sb)

    def test_snapshots_and_forks_are_made_beside_it(self) -> None:
        sb = self.with_runner()
        sb.run("sh -c 'echo one >/srv/x'")
        first = sb.snapshot()
        sb.run("sh -c 'echo two >/srv/x; sleep 313 >/dev/null 2>&1 &'")
        second = sb.snapshot()
        sb.restore(first)
        self.assertEqual(sb.run("cat /srv/x").stdout, "one\n")
        warm(sb)
        sb.restore(second)
        self.assertEqual([sb.run("cat /srv/x").stdout for _ in range(4)], ["two\n"] * 4)
        self.assertEqual(warm(sb).run("/usr/bin/printf %s /srv/x").stdout, "/srv/x")
        for child in sb.fork(2):
            self.assertEqual([child.run("cat /srv/x").stdout for _ in range(4)], ["two\n"] * 4)
            child.delete()
        self.assertEqual([sb.run("cat /srv/x").stdout for _ in range(4)], ["two\n"] * 4)

    def test_a_snapshot_while_its_program_runs(self) -> None:
        sb = self.with_runner()
        thread = threading.Thread(target=lambda: self.assertEqual(sb.run("sh -c 'sleep 0.5; echo end'").stdout, "end\n"))
        thread.start()
        time.sleep(0.1)
        sb.snapshot()
        thread.join()
        self.assertEqual([sb.run("id -u").exit_code for _ in range(3)], [0, 0, 0])


class Beside(Runner):
    def test_many_at_once_in_one_sandbox(self) -> None:
        sb = self.with_runner()
        bad: list[str] = []

        def work(number: int) -> None:
            for n in range(40):
                said = sb.run(f"/usr/bin/printf %s {number}.{n}").stdout
                if said != f"{number}.{n}":
                    bad.append(said)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bad, [])

    def test_from_asyncio_also_what_it_hands_back(self) -> None:
        sb = self.with_runner()

        async def program() -> None:
            for _ in range(5):
                self.assertEqual((await sb.arun("/usr/bin/printf well")).stdout, "well")
                self.assertEqual((await sb.arun("nosuchprogram")).exit_code, 127)
                self.assertEqual((await sb.arun("/srv/script a")).stdout, "by bash a\n")
                self.assertEqual((await asyncio.gather(*(sb.arun(f"/usr/bin/printf {n}") for n in range(5))))[3].stdout, "3")
                self.assertEqual((await sb.arun("sleep 9", timeout=0.05)).end, End.TIMEOUT)
                task = asyncio.ensure_future(sb.arun("sleep 314"))
                await asyncio.sleep(0.05)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
            self.assertEqual((await sb.arun("/srv/script b", timeout=5)).stdout, "by bash b\n")

        sb.run("echo 'echo by bash $1' >/srv/script; chmod 755 /srv/script")
        asyncio.run(program())
        self.assertEqual(sb.run("/usr/bin/printf well").stdout, "well")

    def test_a_stopped_one_costs_the_timeout(self) -> None:
        sb = self.with_runner()
        sb.run(f"kill -STOP {runners(sb)[0]}")
        since = time.monotonic()
        self.assertEqual(sb.run("sleep 3", 0.3).end, End.TIMEOUT)
        self.assertLess(time.monotonic() - since, 2.5)
        self.assertEqual(sb.run("/usr/bin/printf well", 5).stdout, "well")


class Words(Runner):
    WHO = ["sh", "-c", "read -r comm </proc/$PPID/comm && echo $comm"]
    COMMANDS = [
        ["id"], ["seq", "1000"], ["sh", "-c", "echo out; echo err >&2; exit 7"], ["env"], ["printf", "<%s>", "", "a b", "$x", "a\nb", "\u00e9"],
        ["nosuchprogram"], ["/no/such"], ["/etc"], ["/srv/plain"], ["/srv/nothing"], ["/srv/none"], ["/srv/empty"], ["../bin/true"], ["usr/bin/id"],
        ["sh", "-c", "ulimit -a; umask; pwd"], ["sh", "-c", "cat /proc/self/limits; ls /proc/self/fd"], ["head", "-c", "1"],
        ["sh", "-c", "grep -E '^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups|SigBlk|SigIgn|SigCgt|SigPnd|Shd|Cpus_allowed_list)' /proc/self/status; cat /proc/self/oom_score_adj"],
        ["sh", "-c", "read -r _ _ _ _ group session _ </proc/$$/stat; test $$ = $group -a $$ = $session"], ["printf", "%s", "x" * 5000],
        ["sh", "-c", "(setsid sh -c 'sleep 0.1; read -r _ _ _ p _ </proc/self/stat; test $p = '$$' && echo below') & sleep 0.3"],
        *(["sh", "-c", f"kill -{s} $$"] for s in SIGNALS),
    ]

    def test_words_are_told_of_as_the_keeper_does(self) -> None:
        """With a directory it starts them itself."""
        self.compare(working_dir="/usr", environment={"A": "b c", "BASH_ENV": "/srv/none"})

    def test_the_same_as_another_user(self) -> None:
        try:
            self.compare(user="1000")
        except SandboxError as failure:
            self.skipTest(str(failure))

    def compare(self, **fields: Any) -> None:
        sb = self.with_runner(**{"working_dir": "/usr", **fields})
        sb.run(MAKE_FILES)
        for command in self.COMMANDS:
            for apart in (False, True):
                ours, keepers = sb.run(command, apart=apart), sb.run(command, apart=apart, cwd="/usr")
                self.assertEqual((ours.message, ours.rusage is None), (keepers.message, keepers.rusage is None), command)
                ours.rusage = keepers.rusage = None
                self.assertEqual(shape(ours), shape(keepers), command)
        self.assertEqual(sb.run(self.WHO).stdout, "hutch-runner\n")

    def with_runner(self, **fields: Any) -> Sandbox:
        sb, until = self.sandbox(**fields), time.monotonic() + 10
        while sb.run(self.WHO).stdout != "hutch-runner\n":
            assert time.monotonic() < until, "no runner came"
        return sb

    def test_the_time_it_took_is_counted(self) -> None:
        usage = self.with_runner().run(["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]).rusage
        assert usage is not None
        self.assertGreater(usage.user_seconds, 0.01)
        self.assertGreater(usage.max_rss_bytes, 100_000)

    def test_a_timeout_ends_all_of_it_and_nothing_else(self) -> None:
        sb = self.with_runner()
        sb.run(["sh", "-c", "sleep 321 >/dev/null 2>&1 &"])
        time.sleep(0.1)
        result = sb.run(["sh", "-c", "echo begun; (setsid sleep 322 & setsid sleep 322 & exit); sleep 322"], 0.4)
        self.assertEqual((result.stdout, result.exit_code, result.end), ("begun\n", 124, End.TIMEOUT))
        out = sb.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null; :").stdout
        self.assertEqual([line.split()[1] for line in out.splitlines() if re.fullmatch(r"sleep \d+ ?", line)], ["321"])

    def test_when_the_runner_is_killed_what_it_runs_is_killed_and_told_so(self) -> None:
        sb = self.with_runner()
        result = sb.run(["sh", "-c", "kill -9 $PPID; sleep 2; echo x >/srv/x; sleep 9"])
        self.assertEqual((result.end, result.exit_code), (End.SHELL_DIED, 137))
        self.assertEqual(sb.run(["ls", "/srv"]).stdout, "")
        self.assertEqual(sb.run(["printf", "well"]).stdout, "well")

    def test_who_kills_the_runner_chooses_no_end_and_outlives_nothing(self) -> None:
        """A program may have said that it shall not be killed with the runner; a change of ids says so, too."""
        for sig in (9, 11, 15):
            sb = self.with_runner()
            sb.run("sleep 323 >/dev/null 2>&1 &")
            time.sleep(0.1)
            script = f"kill -{sig} $PPID; sleep 0.5; echo x >/srv/x; exec sleep 324"
            since = time.monotonic()
            result = sb.run(["setpriv", "--pdeathsig", "clear", "sh", "-c", script], 2)
            self.assertEqual((result.end, result.exit_code), (End.SHELL_DIED, 137))
            self.assertLess(time.monotonic() - since, 1)
            time.sleep(0.6)
            self.assertEqual(sb.run(["ls", "/srv"]).stdout, "")
            out = sb.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done 2>/dev/null; :").stdout
            self.assertEqual([line.split()[1] for line in out.splitlines() if re.fullmatch(r"sleep \d+ ?", line)], ["323"])

    def test_one_that_its_program_has_stopped_is_continued(self) -> None:
        sb = self.with_runner()
        since = time.monotonic()
        self.assertEqual(sb.run(["sh", "-c", "kill -STOP $PPID; echo well"]).stdout, "well\n")
        self.assertEqual(sb.run("sh -c 'kill -STOP $PPID; echo well'").stdout, "well\n")
        self.assertLess(time.monotonic() - since, 6)
        self.assertEqual(sb.run(self.WHO).stdout, "hutch-runner\n")

    def test_a_stopped_one_is_continued(self) -> None:
        sb = self.with_runner()
        for command in (["printf", "well"], "/usr/bin/printf well"):
            sb.run(["sh", "-c", f"kill -STOP {runners(sb)[0]}"], cwd="/")
            since = time.monotonic()
            self.assertEqual(sb.run(command).stdout, "well")
            self.assertLess(time.monotonic() - since, 4)
            self.assertEqual(sb.run(["printf", "well"]).stdout, "well")
            sb.run("true")
            warm(sb)

    def test_who_may_trace_has_none(self) -> None:
        """What it tells must be true."""
        for cap in ("SYS_PTRACE", "SYS_ADMIN"):
            with Sandbox(config(cap_add=[cap])) as sb:
                for _ in range(10):
                    self.assertEqual(sb.run(self.WHO).exit_code, 2)
                    self.assertEqual(parent(sb), "bash")

    def test_from_asyncio(self) -> None:
        sb = self.with_runner()

        async def program() -> None:
            for n in range(5):
                self.assertEqual((await sb.arun(["printf", "well"])).stdout, "well")
                self.assertEqual((await sb.arun(["nosuchprogram"])).end, End.NOT_RUN)
                self.assertEqual((await asyncio.gather(*(sb.arun(["printf", str(m)]) for m in range(5))))[3].stdout, "3")
                self.assertEqual((await sb.arun(["sleep", "9"], timeout=0.05)).end, End.TIMEOUT)

        asyncio.run(program())


class Wall(Runner):
    def test_nothing_inside_can_look_into_it(self) -> None:
        sb = self.with_runner()
        (pid,) = runners(sb)
        for name in ("mem", "environ", "exe", "fd/7", "fd/8", "fd/9/.", "maps", "cwd/.", "root/."):
            self.assertEqual(sb.run(f"head -c 1 /proc/{pid}/{name}; :").stdout.count("ermission denied"), 1, name)
            self.assertEqual(sb.run(f"echo 'E1 0' >/proc/{pid}/{name}; :").stdout.count("ermission denied"), 1, name)

    def test_its_programs_have_nothing_of_it(self) -> None:
        sb = self.with_runner()
        self.assertEqual(sb.run("sh -c 'exec ls /proc/$$/fd'").stdout.split(), ["0", "1", "2", "3"])
        self.assertEqual(sb.run("cat /proc/self/comm").stdout, "cat\n")

    def test_small_limits_are_no_worse_than_with_bash(self) -> None:
        for limit in ("nproc=40", "as=60000000", "nofile=12", "stack=300000"):
            with self.subTest(limit=limit), Sandbox(config(ulimits={limit.split("=")[0]: int(limit.split("=")[1])})) as sb:
                self.assertEqual([sb.run("/usr/bin/printf well").stdout for _ in range(10)], ["well"] * 10)
