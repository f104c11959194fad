# SPDX-License-Identifier: Apache-2.0
"""What the other projects have and this version has not: by name, so that using it says so.

How it works: a module whose every name is of a later version has no file. ``put_modules()`` enters it among the imported
ones, as an object that knows the names; ``from hutch.compat.nitrobox.compose import ComposeProject`` finds it there, asks
it for the name, and gets the error of ``refuse()``. That is an ImportError too, so programs that can do without go on.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any, NoReturn

from .._errors import NotSupportedError

#: Modules of nitrobox, and what programs take from them.
NITROBOX: dict[str, tuple[str, ...]] = {
    "_registry": ("download_layer", "get_image_metadata_from_registry", "get_manifest", "iter_image_layers",
                  "parse_image_ref", "pull_image_layers"),
    "compose": ("ComposeProject", "SharedNetwork"),
    "docker_api": ("DockerAPIError", "DockerClient", "DockerSocketError", "ImageNotFoundError", "get_client"),
    "image": (),
    "image.buildkit": ("BuildKitManager",),
    "rootfs": ("get_image_config", "prepare_rootfs_layers_from_docker", "rmtree_mapped"),
    "vm": ("QemuVM",),
}
#: What programs take from nitrobox itself.
NITROBOX_NAMES = ("CheckpointManager", "ComposeProject", "QemuVM", "SharedNetwork", "get_image_config")
#: Modules of nanobox.
NANOBOX: dict[str, tuple[str, ...]] = {"network": ("HttpProxy", "ProxiedNetwork")}


class NotInThisVersion(NotSupportedError, ImportError):
    """Something of another project that a later version of hutch will have."""


def refuse(module: str, name: str, names: Collection[str]) -> NoReturn:
    """What a module's ``__getattr__`` does with @name. :raises NotInThisVersion: @names has it; AttributeError"""
    if name not in names:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    raise NotInThisVersion(f"{module}.{name}: not in this version")


class _Later(ModuleType):
    """A module of which everything comes later."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(name, "Not in this version: " + ", ".join(names))
        self._names = names

    def __getattr__(self, name: str) -> Any:
        return refuse(self.__name__, name, self.__dict__.get("_names", ()))

    def __dir__(self) -> list[str]:
        return []


def put_modules(package: str, modules: Mapping[str, tuple[str, ...]]) -> None:
    """Makes the @modules of @package importable, and attributes of it."""
    for short, names in modules.items():
        parent, _, own = f"{package}.{short}".rpartition(".")
        module = _Later(f"{parent}.{own}", names)
        sys.modules[module.__name__] = module
        setattr(sys.modules[parent], own, module)
