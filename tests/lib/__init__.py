# SPDX-License-Identifier: Apache-2.0
"""The end-to-end harness: what a tests/e2e_*.py file imports.

    from lib import Case, only, needs

    class Run(Case):
        def test_exit_code_of_the_command_is_ours(self):
            self.assertEqual(self.hutch("run", "--", "sh", "-c", "exit 7").code, 7)

        @only("root", "subuid")
        def test_a_second_uid_is_mapped(self):
            ...

Every test runs once per persona (persona.py: who calls hutch) and ends with a census (census.py:
what was left behind). tests/run.py finds the files, makes the personas and counts.
"""

from .case import Case, Result, debug_build, needs, only, storm
from .persona import NAMES as PERSONAS

__all__ = ["Case", "Result", "debug_build", "needs", "only", "storm", "PERSONAS"]
