# SPDX-License-Identifier: Apache-2.0
"""Search in a tree of states: each state of the files is a snapshot, from which any branch goes on.

The task stands for any: append digits until their sum is 12, with no digit twice; the sandbox tells how far one is.
"""

from __future__ import annotations

import heapq

from hutch import Sandbox

ACTIONS = (2, 3, 5, 7)
GOAL = 12


def state(sb: Sandbox) -> list[int]:
    return [int(line) for line in sb.run("cat /task/digits 2>/dev/null").output.split()]


def main() -> None:
    with Sandbox(host=True, working_dir="/task") as sb:
        sb.snapshot("root")
        frontier: list[tuple[int, str]] = [(GOAL, "root")]
        looked = 0
        while frontier:
            _, node = heapq.heappop(frontier)
            for action in ACTIONS:
                sb.restore(node)
                sb.run(f"echo {action} >>/task/digits")
                digits = state(sb)
                looked += 1
                left = GOAL - sum(digits)
                if left < 0 or len(digits) != len(set(digits)):
                    continue  # a dead end: nothing needs to be undone
                if left == 0:
                    print("found", digits, "after", looked, "states,", len(sb.list_snapshots()), "snapshots")
                    return
                heapq.heappush(frontier, (left, str(sb.snapshot())))


if __name__ == "__main__":
    main()
