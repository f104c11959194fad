# SPDX-License-Identifier: Apache-2.0
"""Builds the wheel: meson-python does; then its tag is set to the oldest CPython that can load it, and it gets the libraries
that it needs.

How it works: meson-python calls a wheel after the interpreter that built it (cp312-abi3, which older ones refuse). The
extension keeps to the limited API of 3.10 whatever builds it (python/ext/ext.h), so one wheel, cp310-abi3, serves every
CPython from there on. ``wheel tags`` renames it and writes its WHEEL and RECORD anew. ``auditwheel repair`` copies
libseccomp (LGPL-2.1) and libjansson (MIT) of this machine into it, for machines that have neither, and names the oldest
glibc that has all its symbols (manylinux_2_34).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mesonpy
from mesonpy import (build_editable, build_sdist, get_requires_for_build_editable, get_requires_for_build_sdist,
                     get_requires_for_build_wheel)

__all__ = ["build_editable", "build_sdist", "build_wheel", "get_requires_for_build_editable", "get_requires_for_build_sdist",
           "get_requires_for_build_wheel"]

OLDEST = "cp310"


def build_wheel(wheel_directory: str, config_settings: dict[Any, Any] | None = None,
                metadata_directory: str | None = None) -> str:
    """A wheel that is not of the limited API (PyPy, free threads) keeps its tag: it serves only what built it."""
    name = mesonpy.build_wheel(wheel_directory, config_settings, metadata_directory)
    if "-abi3-" in name:
        done = _module("wheel", "tags", "--remove", "--python-tag", OLDEST, str(Path(wheel_directory) / name))
        name = done.stdout.split()[-1]
    return _with_libraries(Path(wheel_directory) / name)


def _module(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.PIPE, text=True)


def _with_libraries(wheel: Path) -> str:
    with tempfile.TemporaryDirectory(dir=wheel.parent) as made:
        _module("auditwheel", "repair", "--wheel-dir", made, str(wheel))
        (repaired,) = Path(made).iterdir()
        wheel.unlink()
        return repaired.rename(wheel.parent / repaired.name).name
