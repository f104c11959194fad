# SPDX-License-Identifier: Apache-2.0
"""What a timeout does to a session: the text ends, the session stays, and what comes next is its own."""

import random
import unittest

from hutch import End, Sandbox
from world import Case, config

#: None of them ends by itself, and nothing behind them may run.
ENDLESS = r"""
while :; do :; done; echo BEHIND
while true; do for i in 1 2; do :; done; done; echo BEHIND
while true; do sleep 0.01; done; echo BEHIND
until false; do until false; do sleep 0.01; done; done; echo BEHIND
for ((;;)); do :; done; echo BEHIND
while :; do case x in x) :;; esac; done; echo BEHIND
while :; do ((i++)); done; echo BEHIND
while :; do [[ a == a ]]; done; echo BEHIND
f() { while :; do :; done; echo BEHIND; }; f; echo BEHIND
g() { f; echo BEHIND; }; while :; do g; done; echo BEHIND
f() (while :; do :; done); f; echo BEHIND
while read -t 1 line; do :; done < <(while :; do echo x; done); echo BEHIND
x=$(while :; do :; done); echo BEHIND
while :; do :; done | while :; do :; done; echo BEHIND
eval 'while :; do :; done; echo BEHIND'; echo BEHIND
source /dev/stdin <<<'while :; do :; done; echo BEHIND'; echo BEHIND
shopt -s extdebug; while :; do :; done; echo BEHIND
set -m; while :; do :; done; echo BEHIND
set +m; trap ': of theirs' DEBUG; while :; do :; done; echo BEHIND
trap 'while :; do :; done; echo BEHIND' USR1; kill -USR1 $$; echo BEHIND
select x in a b; do :; done < <(while :; do echo 1; done) 2>/dev/null; echo BEHIND
while :; do :; done & wait; echo BEHIND
! while :; do :; done; echo BEHIND
while :; do :; done || echo BEHIND && echo BEHIND
if while :; do :; done; then echo BEHIND; fi
mapfile -n 1 -C 'while :; do :; done; echo' -c 1 l <<<x; echo BEHIND
set -e; while :; do :; done; echo BEHIND
""".strip().splitlines()


class Timeout(Case):
    def test_every_loop_is_left_and_the_session_stays(self) -> None:
        with Sandbox(config()) as sb:
            session = sb.session("s")
            session.run("kept=1; cd /usr")
            for text in ENDLESS:
                result = session.run(text, timeout=0.1)
                self.assertEqual((result.end, result.exit_code), (End.TIMEOUT, 124), text)
                self.assertNotRegex(result.stdout, "(?m)^BEHIND", text)
                self.assertEqual(session.run("echo $kept $PWD"), ("1 /usr\n", 0), text)

    def test_what_a_text_may_do_to_loops_stays_its_own(self) -> None:
        with Sandbox(config()) as sb:
            session = sb.session("s")
            session.run("kept=1")
            for word in ("break", "continue", "continue 2", "continue 9", "return", "for i in 1 2; do break 2; done"):
                session.run(word)
                self.assertEqual(session.run("echo $kept"), ("1\n", 0), word)

    def test_a_text_that_ends_as_its_time_is_over_leaves_nothing_to_the_next(self) -> None:
        chance = random.Random(1)
        with Sandbox(config()) as sb:
            session, ends = sb.session("s"), {End.EXIT: 0, End.TIMEOUT: 0}
            for number in range(10000):
                pad = "#" + "y" * chance.choice((5, 100, 1000, 3000))
                loop = f"i={chance.randrange(100, 900)}; while [ $i -gt 0 ]; do i=$((i-1)); done; echo hi; "
                result = session.run(loop + pad, timeout=chance.choice((0.001, 0.002, 0.003)))
                self.assertIn((result.end, result.stdout), ((End.EXIT, "hi\n"), (End.TIMEOUT, "hi\n"), (End.TIMEOUT, "")))
                ends[result.end] += 1
                self.assertEqual(session.run(f"echo {number} {pad}"), (f"{number}\n", 0), result)
                if min(ends.values()) > 200:
                    break
            self.assertGreater(min(ends.values()), 10)


if __name__ == "__main__":
    unittest.main()
