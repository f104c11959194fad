# SPDX-License-Identifier: Apache-2.0
"""A judge of submissions: each is compiled and run against cases, with nothing of the machine in reach."""

from __future__ import annotations

from hutch import Sandbox

SUBMISSIONS = {
    "right": "a, b = map(int, input().split())\nprint(a + b)",
    "wrong": "a, b = map(int, input().split())\nprint(a - b)",
    "loops": "while True: pass",
    "peeks": "print(open('/root/.ssh/id_rsa').read())",
    "forks": "import os\nfor _ in range(3): os.fork()\nprint(3)",
}
CASES = (("1 2\n", "3\n"), ("10 -3\n", "7\n"))


def judge(source: str) -> str:
    with Sandbox(host=True, working_dir="/task", ulimits={"nofile": (64, 64)}) as sb:
        sb.write_file("/task/main.py", source)
        for given, wanted in CASES:
            result = sb.run(["/usr/bin/python3", "main.py"], timeout=2, stdin=given, max_output=1 << 20)
            if result.timed_out:
                return "time limit"
            if not result.ok:
                return "runtime error"
            if result.stdout != wanted:
                return "wrong answer"
            sb.reset()  # nothing is handed from case to case
            sb.write_file("/task/main.py", source)
    return "accepted"


if __name__ == "__main__":
    for name, source in SUBMISSIONS.items():
        print(f"{name}: {judge(source)}")
