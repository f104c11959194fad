# SPDX-License-Identifier: Apache-2.0
"""Best of N: one prepared sandbox, N forks of it, a candidate in each, and the best one's files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hutch import Sandbox

CANDIDATES = ("sort -u", "sort", "cat", "false")


def main() -> None:
    with Sandbox(host=True, working_dir="/task") as base:
        base.run("printf '3\\n1\\n3\\n2\\n' >/task/in", check=True)  # what is dear is prepared once
        best, most = -1, -1
        forks = base.fork(len(CANDIDATES))
        try:
            for number, (sb, candidate) in enumerate(zip(forks, CANDIDATES)):
                sb.run(f"{candidate} </task/in >/task/out", timeout=5)
                checks = ("test -s /task/out", "sort -c /task/out", "test $(uniq /task/out | wc -l) -eq $(wc -l </task/out)")
                score = sum(sb.run(check, clean=True).ok for check in checks)
                print(f"{candidate!r}: {score} of {len(checks)}")
                if score > most:
                    best, most = number, score
            with tempfile.TemporaryDirectory() as here:
                forks[best].copy_from("/task/out", Path(here) / "out")
                print("best:", CANDIDATES[best], (Path(here) / "out").read_text().split())
        finally:
            for sb in forks:
                sb.delete()


if __name__ == "__main__":
    main()
