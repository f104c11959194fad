# SPDX-License-Identifier: Apache-2.0
"""Rollouts of an agent, many at once from one thread: each in a sandbox of its own, which is reset for the next one.

usage: rollouts.py [ROLLOUTS]
"""

from __future__ import annotations

import asyncio
import random
import sys

from hutch import Pool, Sandbox, SandboxConfig

STEPS = 4


def policy(seed: int, step: int, last_output: str) -> str:
    """Stands for a model: what to type next. It does harm now and then, which is nobody's loss."""
    chance = random.Random(seed * 1000 + step)
    return chance.choice(("echo 1 >>/task/score", "echo 1 >>/task/score", "rm -rf /task/*", "rm -rf /etc; kill -9 -1", "sleep 60"))


async def rollout(sb: Sandbox, seed: int) -> int:
    output = ""
    for step in range(STEPS):
        result = await sb.arun(policy(seed, step, output), timeout=0.3)
        output = result.output
    # What untrusted code cannot forge: a new shell, started from outside.
    score = await sb.arun("wc -l </task/score", clean=True)
    return int(score.output) if score.ok else 0


async def main(rollouts: int) -> None:
    with Pool(SandboxConfig(host=True, working_dir="/task"), size=8) as pool:

        async def one(seed: int) -> int:
            async with pool.ause() as sb:
                return await rollout(sb, seed)

        scores = await asyncio.gather(*(one(seed) for seed in range(rollouts)))
    print(f"{rollouts} rollouts, scores {min(scores)} to {max(scores)}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 16))
