# SPDX-License-Identifier: Apache-2.0
"""What Sandbox does otherwise under nitrobox' names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from .._config import SandboxConfig
from .._errors import SandboxExistsError
from .._result import End, RunResult
from .._sandbox import Command, Sandbox
from .._stream import Stream

_numbers = itertools.count(1)


def _as_nitrobox(result: RunResult, timeout: float | None) -> RunResult:
    """After a timeout the output ends with nitrobox' words."""
    if result.end is not End.TIMEOUT:
        return result
    said = f"Command timed out after {timeout} seconds"
    text = f"{result.stdout}{'' if not result.stdout or result.stdout.endswith(chr(10)) else chr(10)}{said}"
    return result.with_output(text)


class NitroboxSandbox(Sandbox):
    """:class:`hutch.Sandbox`, with nitrobox' name "default" (made unique where it is taken), its words for a timeout (behind the
    output so far), and files as latin-1."""

    def __init__(self, config: SandboxConfig | Mapping[str, Any] | None = None, name: str = "default",
                 **fields: Any) -> None:
        if name != "default":
            super().__init__(config, name, **fields)
            return
        while True:
            try:
                super().__init__(config, name, **fields)
                return
            except SandboxExistsError:
                name = f"default-{os.getpid()}-{next(_numbers)}"

    def run(self, command: Command, timeout: float | None = None, **options: Any) -> Any:
        """See :meth:`hutch.Sandbox.run`."""
        result = super().run(command, timeout, **options)
        return result if isinstance(result, Stream) else _as_nitrobox(result, timeout)

    async def arun(self, command: Command, timeout: float | None = None, **options: Any) -> RunResult:
        """See :meth:`hutch.Sandbox.arun`."""
        return _as_nitrobox(await super().arun(command, timeout, **options), timeout)

    def read_file(self, path: str | os.PathLike[str]) -> str:
        """A whole file, each byte one character (latin-1): ``.encode("latin-1")`` are its bytes."""
        return self.read_bytes(path).decode("latin-1")

    async def aread_file(self, path: str | os.PathLike[str]) -> str:
        """See :meth:`read_file`."""
        return (await self.aread_bytes(path)).decode("latin-1")
