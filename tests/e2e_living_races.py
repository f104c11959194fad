# SPDX-License-Identifier: Apache-2.0
"""Callers that want something of one living sandbox, or of one name, at the same moment, many times over: each gets
what he asked for or one clear line, exactly one wins where only one can, and nothing half made is left. And no
deadline depends on the time of day, which somebody may set."""

import json
import re
from pathlib import Path

from e2e_living import LivingCase
from lib import only

SOURCES = Path(__file__).resolve().parent.parent / "src"
ENDED = ("no sandbox has the name", "it has ended", "is stopped")  # what somebody is told who came too late


class RaceCase(LivingCase):
    def tearDown(self) -> None:
        for name in self.hutch("ps", "-aq").out.split():
            self.hutch("rm", name)
        super().tearDown()

    def at_once(self, *calls: tuple) -> list:
        """All of them, each hutch with its words: their results, in that order."""
        results = [self.finish(process, timeout=20) for process in [self.start(*map(str, words)) for words in calls]]
        for result in results:
            self.assertGreaterEqual(result.code, 0, f"hutch crashed\n{result}")
            if result.code in (124, 125, 126, 127):
                self.assertEqual(len(result.err.strip().splitlines()), 1, str(result))
        return results

    def make(self, name: str) -> None:
        self.run_ok("create", "--rootfs", self.rootfs, name)

    def too_late(self, result) -> None:
        """It has no error but that the sandbox was gone before."""
        if result.code:
            self.assertEqual(result.code, 125, str(result))
            self.assertTrue(any(words in result.err for words in ENDED), str(result))


@only("root", "plain")
class Races(RaceCase):
    def test_of_two_who_remove_it_one_at_least_did(self):
        for number in range(15):
            self.make("one")
            results = self.at_once(*[("rm", "one")] * 3)
            self.assertIn(0, [result.code for result in results], str(results[0]))
            for result in results:
                self.too_late(result)
            self.assertEqual(self.run_ok("ps", "-aq").out, "", f"round {number}")
        self.nothing_left()

    def test_a_command_and_a_removal(self):
        for number in range(15):
            self.make("one")
            removal, *commands = self.at_once(("rm", "one"), ("exec", "one", "printf", "x"), ("exec", "--session", "s", "one", "printf x"),
                                              ("exec", "-d", "one", "sleep", "9"))
            self.assertEqual(removal.code, 0, str(removal))
            for result in commands:
                if result.code != 137:
                    self.assertIn(result.code, (0, 125), f"round {number}\n{result}")
                if result.code == 0 and "-d" not in result.argv:
                    self.assertEqual(result.out, "x", str(result))
            self.assertEqual(self.run_ok("ps", "-aq").out, "")
        self.nothing_left()

    def test_a_creation_and_a_removal_of_one_name(self):
        for number in range(15):
            self.make("one")
            made, removed = self.at_once(("create", "--rootfs", self.rootfs, "one"), ("rm", "one"))
            self.assertEqual(removed.code, 0, str(removed))
            if made.code:
                self.assertIn("'one' is taken", made.err, f"round {number}\n{made}")
            there = self.run_ok("ps", "-q").out
            self.assertEqual(self.run_ok("ps", "-aq").out, there, "nothing half made")
            if made.code == 0 and there:
                self.assertEqual(self.run_ok("exec", "one", "printf", "x").out, "x")
            self.hutch("rm", "one")
        self.nothing_left()

    def test_stops_starts_and_removals(self):
        self.make("one")
        self.run_ok("exec", "one", "sh", "-c", "echo kept >/root/f")
        for number in range(10):
            for result in self.at_once(("stop", "-t", "0", "one"), ("start", "one"), ("exec", "one", "printf", "x"), ("stop", "-t", "0", "one")):
                self.assertIn(result.code, (0, 125, 137), f"round {number}\n{result}")
            self.run_ok("start", "one")
            self.assertEqual(self.run_ok("exec", "one", "cat", "/root/f").out, "kept\n", f"round {number}")
        for number in range(10):
            self.run_ok("stop", "one")
            started, removed = self.at_once(("start", "one"), ("rm", "one"))
            self.assertEqual(removed.code, 0, str(removed))
            self.assertIn(started.code, (0, 125), str(started))
            self.hutch("rm", "one")
            self.assertEqual(self.run_ok("ps", "-aq").out, "", f"round {number}")
            self.make("one")
        self.run_ok("rm", "one")
        self.nothing_left()

    def test_of_several_snapshots_of_one_name_one_is_made_and_numbers_are_not_given_twice(self):
        self.make("one")
        for number in range(10):
            self.run_ok("exec", "one", "sh", "-c", f"echo {number} >/root/f")
            results = self.at_once(*[("snapshot", "one", f"t{number}")] * 3, *[("snapshot", "one")] * 3)
            self.assertEqual(sorted(result.code for result in results[:3]), [0, 125, 125], "\n".join(map(str, results[:3])))
            names = [result.out.strip() for result in results[3:] if result.code == 0]
            self.assertEqual(len(names), 3, "\n".join(map(str, results[3:])))
            self.assertEqual(len(set(names)), 3, str(names))
        listed = self.run_ok("snapshot", "--list", "-q", "one").out.split()
        self.assertEqual((len(listed), len(set(listed))), (40, 40))
        for number in (0, 9):
            self.run_ok("restore", "one", f"t{number}")
            self.assertEqual(self.run_ok("exec", "one", "cat", "/root/f").out, f"{number}\n")
        self.run_ok("rm", "one")
        self.run_ok("cleanup")
        self.nothing_left()

    def test_snapshots_resets_and_restores(self):
        self.make("one")
        self.run_ok("exec", "one", "sh", "-c", "echo first >/root/f")
        self.run_ok("snapshot", "one", "first")
        for number in range(10):
            results = self.at_once(("snapshot", "one"), ("reset", "one"), ("restore", "one", "first"), ("diff", "one"),
                                   ("exec", "one", "sh", "-c", "echo x >/root/g; cat /root/g"), ("fork", "one", f"f{number}"))
            for result in results:
                if "was reset meanwhile" not in result.err:
                    self.assertIn(result.code, (0, 137) if "exec" in result.argv else (0,), f"round {number}\n{result}")
            if results[-1].code == 0:
                self.assertIn(self.hutch("exec", f"f{number}", "cat", "/root/f").out, ("first\n", ""))
                self.run_ok("rm", f"f{number}")
            self.run_ok("restore", "one", "first")
            self.assertEqual(self.run_ok("exec", "one", "sh", "-c", "cd /root; echo *; cat f").out, "f\nfirst\n", f"round {number}")
        self.run_ok("rm", "one")
        self.run_ok("cleanup")
        self.nothing_left()

    def test_of_several_who_want_one_name_inside_one_gets_it(self):
        self.make("one")
        for number in range(10):
            jobs = self.at_once(*[("exec", "-d", "--job", f"j{number}", "one", "printf", "x")] * 3)
            self.assertEqual(sorted(result.code for result in jobs), [0, 125, 125], "\n".join(map(str, jobs)))
            forks = self.at_once(*[("fork", "one", f"f{number}")] * 3)
            self.assertEqual(sorted(result.code for result in forks), [0, 125, 125], "\n".join(map(str, forks)))
            self.run_ok("rm", f"f{number}")
            said = self.at_once(*[("exec", "--session", f"s{number}", "one", "N=$((N+1)); sleep 0.02; echo $N")] * 3)
            told = sorted(result.out for result in said if result.code == 0)
            self.assertEqual(told, [f"{n + 1}\n" for n in range(len(told))], "\n".join(map(str, said)))
            for result in said:
                self.assertTrue(result.code == 0 or "in use" in result.err, str(result))
        self.assertEqual(len(json.loads(self.run_ok("jobs", "--json", "one").out)), 10)
        self.run_ok("rm", "one")
        self.nothing_left()


# Where the time of day may be asked: what is shown to people, or is compared with times of files.
OF_THE_DAY = {
    "inside/jobs.c": "when a job began and ended, as it is listed",
    "cli/jobs.c": "how long ago that was",
    "cli/ps.c": "the age of a sandbox",
    "box/snapshot.c": "when a snapshot was made, as it is listed",
    "box/cleanup.c": "whether a file is older than a minute",
    "inside/unused.c": "whether a file was changed long before it was looked at",
}
ASKS_THE_DAY = re.compile(r"\bCLOCK_REALTIME\b|\bgettimeofday\s*\(|\btime\s*\(\s*(?:NULL|0|&)|\bTIMER_ABSTIME\b|\btimespec_get\s*\("
                          r"|\b(?:sem|pthread_cond|pthread_mutex|mq)_timed\w+\s*\(|\bFUTEX_CLOCK_REALTIME\b")


@only("root")
class Clock(RaceCase):
    takes_census = False

    def asking(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in sorted(SOURCES.rglob("*.[ch]")):
            if re.search(r"_(test|fuzz)\.[ch]$", path.name):
                continue
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            for line in text.splitlines():
                if ASKS_THE_DAY.search(line):
                    found.setdefault(str(path.relative_to(SOURCES)), []).append(line.strip())
        return found

    def test_no_deadline_is_a_time_of_day(self):
        """src/api/endure_test.c sets the clock of a program and looks; that of the keeper cannot be set alone."""
        found = self.asking()
        self.assertEqual({name: lines for name, lines in found.items() if name not in OF_THE_DAY}, {})
        self.assertEqual(set(OF_THE_DAY) - set(found), set(), "they do not ask any more")
        self.assertRegex((SOURCES / "sys/proc.c").read_text(), r"clock_gettime\(CLOCK_MONOTONIC", "what deadlines are made of")
