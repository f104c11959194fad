# SPDX-License-Identifier: Apache-2.0
"""SandboxConfig: forms of every field, contradictions, the fields of a spec that it becomes, dict and JSON and TOML."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
import tempfile
import unittest
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest import mock

import hutch
from hutch import NotSupportedError, SandboxConfig, SandboxConfigError, _config, _fields, _parse
from hutch.compat import agentdocker_lite, nitrobox

HERE = Path(__file__).resolve().parent
FIELDS_DEF = HERE.parents[1] / "src/spec/fields.def"

# ---- parsers: the tables of the reference, row by row ------------------------------------------------------

SIZES = [("512m", "536870912"), ("2g", "2147483648"), ("1gb", "1073741824"), ("1t", "1099511627776"),
         ("4096", "4096"), ("1.5G", "1610612736"), ("10mb", "10485760"), (" 64K ", "65536"), ("10 m", "10485760"),
         ("", ""), ("abc", "abc"), ("max", "max"), ("-1", "-1"), ("1GiB", "1GiB"), ("5b", "5b")]
CPUS = [("0.5", "50000 100000"), ("2", "200000 100000"), ("50%", "50000 100000"), ("150%", "150000 100000"),
        ("50000 100000", "50000 100000"), ("max 100000", "max 100000"), ("0", "1 100000"), ("-1", "1 100000"),
        ("0.000001", "1 100000")]
IO = [("259:0 10mb", "259:0 wbps=10485760"), ("259:0 rbps=5mb wbps=10mb", "259:0 rbps=5242880 wbps=10485760"),
      ("259:0 riops=100", "259:0 riops=100"), ("259:0 10mb 20mb", "259:0 wbps=10485760"), ("259:0", "259:0"),
      ("/dev/none-such 1k", "/dev/none-such wbps=1024"), ("/dev/null 1k", "/dev/null wbps=1024")]
SWAPS = [(("1g", "512m"), "536870912"), (("-1", None), "max"), (("0", "1g"), None), (("1g", None), "1073741824"),
         (("512m", "1g"), "0")]
WEIGHTS = [(2, 1), (0, 100), (1024, 39), (262144, 10000), (10**9, 10000), (1, 1)]


class Parsers(unittest.TestCase):
    """What nitrobox.config gives, exactly."""

    def test_sizes(self) -> None:
        for given, wanted in SIZES:
            self.assertEqual(_parse.parse_size(given), wanted, given)

    def test_cpus(self) -> None:
        for given, wanted in CPUS:
            self.assertEqual(_parse.parse_cpu(given), wanted, given)
        for given in ("abc", "max", "", "1/2", "1e9", "nan"):
            self.assertRaises(ValueError, _parse.parse_cpu, given)

    def test_io(self) -> None:
        for given, wanted in IO:
            self.assertEqual(_parse.parse_io(given), wanted, given)

    def test_io_of_a_block_device(self) -> None:
        status = os.stat_result([0o060660, 0, 0, 0, 0, 0, 0, 0, 0, 0], {"st_rdev": os.makedev(8, 16)})
        with mock.patch("os.stat", return_value=status):
            self.assertEqual(_parse.parse_io("/dev/sdb 10mb"), "8:16 wbps=10485760")

    def test_swap(self) -> None:
        for given, wanted in SWAPS:
            self.assertEqual(_parse.parse_memory_swap(*given), wanted, given)
        self.assertRaises(ValueError, _parse.parse_memory_swap, "1g", "max")

    def test_weights(self) -> None:
        for given, wanted in WEIGHTS:
            self.assertEqual(_parse.cpu_weight(given), wanted, given)

    def test_capabilities(self) -> None:
        self.assertEqual(len(_parse.CAP_NAME_TO_NUM), 41)
        for name, number in (("CHOWN", 0), ("NET_RAW", 13), ("SYS_ADMIN", 21), ("CHECKPOINT_RESTORE", 40)):
            self.assertEqual(_parse.CAP_NAME_TO_NUM[name], number)
        self.assertEqual(_parse.cap_names_to_numbers(["cap_net_raw", "Chown", "NET_RAW"]), [13, 0])
        self.assertEqual(_parse.cap_names_to_numbers(["ALL"]), list(range(41)))
        with self.assertLogs("hutch._parse", "WARNING") as log:
            self.assertEqual(_parse.cap_names_to_numbers(["NONE_SUCH"]), [])
        self.assertIn("NONE_SUCH", log.output[0])

    def test_subuids(self) -> None:
        with tempfile.NamedTemporaryFile("w") as file, mock.patch("shutil.which", return_value="/x"):
            file.write(f"#\nothers:1:2\n{os.getuid()}:100000:65536\n{os.getuid()}:1:1\n")
            file.flush()
            self.assertEqual(_parse.detect_subuid_range(file.name), (os.getuid(), 100000, 65536))
        self.assertIsNone(_parse.detect_subuid_range("/none-such"))
        with mock.patch("shutil.which", return_value=None):
            self.assertIsNone(_parse.detect_subuid_range())

    def test_compat_names(self) -> None:
        self.assertIs(nitrobox.config.cap_names_to_numbers, nitrobox.cap_names_to_numbers)
        self.assertIs(nitrobox.config.CAP_NAME_TO_NUM, nitrobox.CAP_NAME_TO_NUM)
        self.assertIs(nitrobox.config.detect_subuid_range, nitrobox.detect_subuid_range)
        from hutch.compat.nitrobox.config import SandboxConfig, parse_size

        self.assertIs(SandboxConfig, nitrobox.SandboxConfig)
        self.assertEqual(parse_size("1k"), "1024")

    def test_what_comes_later_says_so(self) -> None:
        for statement in (
                "from hutch.compat.nitrobox import ComposeProject", "from hutch.compat.nitrobox.compose import SharedNetwork",
                "import hutch.compat.nitrobox.vm as vm; vm.QemuVM", "from hutch.compat.nitrobox.docker_api import get_client",
                "from hutch.compat.nitrobox._registry import get_manifest",
                "from hutch.compat.nitrobox.image.buildkit import BuildKitManager",
                "from hutch.compat.nitrobox.rootfs import rmtree_mapped", "from hutch.compat.agentdocker_lite import QemuVM",
                "from hutch.compat.agentdocker_lite.vm import QemuVM", "from hutch.compat.nanobox.network import HttpProxy"):
            with self.assertRaises(NotSupportedError, msg=statement) as caught:
                exec(statement, {})
            self.assertIsInstance(caught.exception, ImportError)
            self.assertRegex(str(caught.exception), r"^hutch\.compat\.[\w.]+\.\w+: not in this version$")
            if statement.endswith(("SharedNetwork", "lite.vm import QemuVM", "HttpProxy")):
                done = subprocess.run([sys.executable, "-c", statement], stderr=subprocess.PIPE, text=True, check=False)
                self.assertIn("NotInThisVersion: " + str(caught.exception), done.stderr, "as the first import of a program")
        for name in ("no_such_name", "__wrapped__"):
            self.assertFalse(hasattr(nitrobox, name))
        with self.assertRaises(ImportError):
            exec("from hutch.compat.nitrobox.vm import NoSuchName", {})


class Import(unittest.TestCase):
    def test_what_few_need_is_not_imported_with_the_package(self) -> None:
        code = "import sys; before = set(sys.modules); import hutch; print(*set(sys.modules) - before)"
        done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
                              stdout=subprocess.PIPE, text=True, check=True)
        slow = {"asyncio", "dataclasses", "hutch._builder", "hutch._config", "hutch._docker", "hutch._popen", "inspect", "json",
                "logging", "pathlib", "shlex", "shutil", "socket", "subprocess", "tempfile"}
        self.assertEqual(slow & set(done.stdout.split()), set())
        self.assertIs(hutch.SandboxConfig, _config.SandboxConfig)
        for name in hutch.__all__:
            self.assertTrue(hasattr(hutch, name), name)


# ---- fields ------------------------------------------------------------------------------------------------

#: field, given, what is held
HELD: list[tuple[str, Any, Any]] = [
    *[("memory_max", given, wanted) for given, wanted in SIZES if wanted.isdecimal()],
    ("memory_max", "", None), ("memory_max", "max", "max"), ("memory_max", "1GiB", "1073741824"),
    ("memory_max", "5b", "5"), ("memory_max", "1.5 GB", "1610612736"), ("memory_max", 4096, "4096"),
    ("memory_max", "1p", str(2**50)), ("shm_size", "256m", "268435456"), ("shm_size", 1024, "1024"),
    ("memory_high", "1k", "1024"), ("memory_reservation", "1k", "1024"),
    ("memory_swap", "-1", "max"), ("memory_swap", -1, "max"), ("memory_swap", "0", None), ("memory_swap", "1k", "1024"),
    *[("cpu_max", given, wanted) for given, wanted in CPUS],
    ("cpu_max", 2, "200000 100000"), ("cpu_max", 0.5, "50000 100000"), ("cpu_max", "", None),
    *[("io_max", given, wanted) for given, wanted in IO if " " in wanted],
    ("pids_max", "256", "256"), ("pids_max", 256, 256), ("pids_max", "max", "max"),
    ("image", Path("/srv/x"), "/srv/x"), ("volumes", ("/a:/b",), ["/a:/b"]), ("environment", {"A": 1}, {"A": "1"}),
    ("environment", ["A=b=c"], {"A": "b=c"}), ("add_host", {"db": "10.0.0.1"}, ["db:10.0.0.1"]),
    ("add_host", ["db:::1"], ["db:::1"]), ("ulimits", {"nofile": [1, 2]}, {"nofile": (1, 2)}),
    ("ulimits", {"nofile": 5}, {"nofile": (5, 5)}), ("ulimits", {"core": "unlimited"}, {"core": (-1, -1)}),
    ("ulimits", {"core": ("1", "-1")}, {"core": (1, -1)}), ("user", 1000, "1000"), ("entrypoint", [], []),
    ("group_add", [10, "video"], ["10", "video"]), ("cap_add", ["cap_net_raw"], ["cap_net_raw"]),
    ("cap_add", ["ALL"], ["ALL"]), ("allowed_ports", (80, 443), [80, 443]), ("timeout", 1.5, 1.5),
    ("timeout", "1h30m", "1h30m"), ("sysctls", {"net.core.somaxconn": 5}, {"net.core.somaxconn": "5"}),
    ("cpuset_cpus", 3, "3"), ("command", ["echo", ""], ["echo", ""]),
    ("healthcheck", {"cmd": "true", "retries": 3}, {"cmd": "true", "retries": 3}),
]
#: field, given, words of the message
WRONG: list[tuple[str, Any, str]] = [
    ("memory_max", "abc", "not a size"), ("memory_max", "-1", "not a size"), ("memory_max", -1, "not a size"),
    ("memory_max", 0, "more than 0"), ("memory_max", 1.5, "float"), ("memory_max", True, "bool"),
    ("memory_max", "9999999t", "too large"), ("shm_size", "max", "not a size"), ("shm_size", "-5m", "not a size"),
    ("memory_swap", "-2", "not a size"), ("memory_swap", "abc", "not a size"), ("cpu_max", "abc", "processors"),
    ("cpu_max", "max", "processors"), ("cpu_max", "a b", "QUOTA PERIOD"), ("cpu_max", float("nan"), "float"),
    ("cpu_max", float("inf"), "float"), ("io_max", "259:0", "limit"), ("io_max", "259:0 fast", "limit"),
    ("io_max", "259:0 wbps=-1", "limit"), ("pids_max", 0, "processes"), ("pids_max", "-1", "processes"),
    ("pids_max", "abc", "processes"), ("oom_score_adj", 1001, "-1000 to 1000"), ("oom_score_adj", "5", "whole number"),
    ("cpu_shares", -1, "less than 0"), ("read_only", "yes", "neither True nor False"), ("tty", 1, "neither"),
    ("volumes", "/a:/b", "not a list"), ("volumes", ["/a:/b:ro:x"], "SOURCE:TARGET"),
    ("volumes", ["a"], "absolute"), ("port_map", ["abc"], "PORT"), ("port_map", ["a:80"], "PORT"),
    ("port_map", ["70000:80"], "65535"), ("port_map", ["80:0"], "65535"), ("port_map", ["80:"], "PORT"),
    ("port_map", "80:80", "not a list"), ("cpuset_cpus", "abc", "0-3,7"), ("device_read_bps", ["/dev/sda"], "RATE"),
    ("device_read_iops", ["/dev/sda:1m"], "RATE"), ("restart", "often", "always"), ("upper", "ram", "tmpfs"),
    ("volumes", ["/a:b"], "absolute"),
    ("volumes", [3], "int"), ("environment", {"A=B": "x"}, "'='"), ("environment", {"": "x"}, "empty"),
    ("environment", {"A": None}, "NoneType"), ("environment", ["A"], "KEY=VALUE"), ("environment", {"A": "\0"}, "NUL"),
    ("entrypoint", "/init.sh", "not a list"), ("command", "make", "not a list"), ("dns", "8.8.8.8", "not a list"),
    ("dns", [""], "empty"), ("working_dir", "work", "absolute"), ("tmpfs", ["run"], "absolute"),
    ("fs_backend", "zfs", "overlayfs, btrfs"), ("fs_backend", "btrf", "did you mean 'btrfs'"),
    ("cap_add", ["NET_ADMN"], "did you mean 'NET_ADMIN'"), ("cap_drop", ["WHATEVER_ELSE"], "no such capability"),
    ("ulimits", {"nofiles": 1}, "did you mean 'nofile'"), ("ulimits", {"nofile": (2, 1)}, "above"),
    ("ulimits", {"nofile": (-1, 1)}, "above"), ("ulimits", {"nofile": (1, 2, 3)}, "(soft, hard)"),
    ("ulimits", {"nofile": None}, "NoneType"), ("ulimits", ["nofile=1"], "not a dict"),
    ("allowed_ports", [70000], "65535"), ("allowed_ports", ["80"], "whole number"), ("pull", "often", "always"),
    ("timeout", "soon", "not a time"), ("timeout", -1, "seconds"), ("timeout", True, "bool"), ("ids", "x", "auto"),
    ("healthcheck", {"tests": "x"}, "no such key"), ("image", None, "NoneType"), ("image", 5, "int"),
    ("readable_paths", ["etc"], "absolute"), ("sysctls", ["a"], "KEY=VALUE"), ("blkio_weight", 5, "10 to 1000"),
]
CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"image": "x", "host": True}, "image and host"), ({"image": "x", "rootfs": "/"}, "image and rootfs"),
    ({"net_isolate": True, "network": "host"}, "net_isolate=True"),
    ({"port_map": ["1:2"], "network": "none"}, "port_map"),
    ({"port_map": ["1:2"], "network": "host"}, "port_map"), ({"port_map": ["1:2"], "net_isolate": False}, "port_map"),
    ({"net_isolate": False, "network": "none"}, "net_isolate=False"), ({"net_ns": "/x", "net_isolate": True}, "net_ns"),
    ({"net_ns": "/x", "port_map": ["1:2"]}, "net_ns"), ({"net_ns": "/x", "network": "host"}, "net_ns"),
    ({"memory_swap": "1g", "memory_max": "max"}, "memory_swap"),
]


class Fields(unittest.TestCase):
    """Values of one field, and of several that do not go together."""

    def test_every_field_is_checked(self) -> None:
        names = [field.name for field in fields(SandboxConfig)]
        self.assertEqual([name for name in names if name != "memory_swap"], list(_config.CHECKS))

    def test_held(self) -> None:
        for field, given, wanted in HELD:
            with self.subTest(field=field, given=given):
                self.assertEqual(getattr(SandboxConfig(**{field: given}), field), wanted)

    def test_wrong(self) -> None:
        for field, given, why in WRONG:
            with self.subTest(field=field, given=given), self.assertRaises(SandboxConfigError) as told:
                SandboxConfig(**{field: given})
            self.assertIn(field, str(told.exception))
            self.assertIn(why, str(told.exception))
            self.assertIsInstance(told.exception, ValueError)

    def test_contradictions(self) -> None:
        for given, why in CONTRADICTIONS:
            with self.subTest(given=given), self.assertRaises(SandboxConfigError) as told:
                SandboxConfig(**given)
            self.assertIn(why, str(told.exception))

    def test_swap_is_what_is_left_of_the_total(self) -> None:
        config = SandboxConfig(memory_max="512m", memory_swap="1g")
        self.assertEqual((config.memory_swap, config.swap_total()), ("536870912", "1073741824"))
        self.assertEqual(config.replace(hostname="x").memory_swap, "536870912")
        self.assertEqual(config.replace(memory_max="1g").memory_swap, "0")

    def test_lists_are_copies(self) -> None:
        given = ["/a:/b"]
        config = SandboxConfig(volumes=given)
        given.append("/c:/d")
        self.assertEqual(config.volumes, ["/a:/b"])

    def test_later_assignment_is_not_parsed(self) -> None:
        config = SandboxConfig()
        config.memory_max = "1g"
        self.assertEqual(config.memory_max, "1g")

    def test_native_defaults_are_the_safe_ones(self) -> None:
        config = SandboxConfig(host=True)
        self.assertEqual(config.network_kind(), "none")
        self.assertTrue(config.seccomp and config.mask_paths and not config.allow_abstract_sockets)
        self.assertTrue(SandboxConfig(cap_add=["SYS_ADMIN"]).seccomp)

    def test_copies(self) -> None:
        config = SandboxConfig(memory_max="1g", memory_swap="2g", ulimits={"core": 0})
        self.assertEqual(copy.deepcopy(config), config)
        self.assertEqual(pickle.loads(pickle.dumps(config)), config)


# ---- what it becomes ---------------------------------------------------------------------------------------

#: given (beside host=True), asked of the spec (beside host and network=none)
ASKED: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"working_dir": "/w"}, [("working_dir", "/w")]), ({"working_dir": "/"}, []),
    ({"environment": {"A": "1", "B": ""}}, [("env", "A=1"), ("env", "B=")]),
    ({"volumes": ["/a:/b:cow", "./c:/d"]}, [("volumes", "/a:/b:cow"), ("volumes", "./c:/d")]),
    ({"devices": ["/dev/kvm"]}, [("devices", "/dev/kvm")]), ({"tty": True}, [("tty", "true")]),
    ({"entrypoint": ["/e", "x"]}, [("entrypoint", "/e"), ("entrypoint", "x"), ("shell_entrypoint", "true")]),
    ({"entrypoint": []}, [("entrypoint", "")]), ({"shell": "zsh"}, [("shell", "zsh")]),
    ({"entrypoint": None}, []), ({"hostname": "h"}, [("hostname", "h")]),
    ({"dns": ["1.1.1.1", "8.8.8.8"]}, [("dns", "1.1.1.1"), ("dns", "8.8.8.8")]),
    ({"read_only": True}, [("read_only", "true")]),
    ({"tmpfs": ["/run:size=1m"]}, [("tmpfs", "/run:size=1m")]), ({"shm_size": "1m"}, [("shm_size", "1048576")]),
    ({"ulimits": {"nofile": (1, -1)}}, [("ulimits", "nofile=1:-1")]), ({"oom_score_adj": 0}, [("oom_score_adj", "0")]),
    ({"seccomp": False}, [("security_opt", "seccomp=unconfined")]),
    ({"cap_add": ["net_raw"]}, [("cap_add", "net_raw")]),
    ({"cap_drop": ["ALL"]}, [("cap_drop", "ALL")]), ({"command": ["make", ""]}, [("command", "make"), ("command", "")]),
    ({"name": "w0"}, [("name", "w0")]), ({"user": 1000}, [("user", "1000")]),
    ({"group_add": [5]}, [("group_add", "5")]),
    ({"env_file": ["/e"]}, [("env_file", "/e")]), ({"interactive": True}, [("interactive", "true")]),
    ({"init": True}, [("init", "true")]), ({"stop_signal": "INT"}, [("stop_signal", "INT")]),
    ({"timeout": 1.5}, [("timeout", "1.500")]), ({"timeout": 0}, []), ({"timeout": "2m"}, [("timeout", "2m")]),
    ({"mounts": ["type=tmpfs,dst=/x"]}, [("mounts", "type=tmpfs,dst=/x")]),
    ({"upper": "tmpfs:1g"}, [("upper", "tmpfs:1g")]),
    ({"add_host": ["db:10.0.0.1"]}, [("add_host", "db:10.0.0.1")]), ({"privileged": True}, [("privileged", "true")]),
    ({"security_opt": ["ptrace"]}, [("security_opt", "ptrace")]), ({"sysctls": {"a.b": "1"}}, [("sysctls", "a.b=1")]),
    ({"ids": "host"}, [("ids", "host")]), ({"env_base_dir": "/x", "rootfs_cache_dir": "/y"}, []),
    ({"memory_max": "max", "pids_max": "max", "cpu_max": "max 100000", "memory_swap": -1, "cpu_shares": 0}, []),
    ({"port_map": [], "dns": [], "environment": {}}, []), ({"allow_abstract_sockets": True}, []),
]
#: given, names that the spec has for it one day
NOT_YET: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"memory_max": "1k"}, [("limits.memory", "1024")]),
    ({"memory_max": "1k", "memory_swap": "3k"}, [("limits.memory", "1024"), ("limits.memory_swap", "3072")]),
    ({"memory_max": "1k", "memory_swap": "-1"}, [("limits.memory", "1024"), ("limits.memory_swap", "-1")]),
    ({"memory_high": "1k"}, [("limits.memory_high", "1024")]),
    ({"memory_reservation": "1k"}, [("limits.memory_reservation", "1024")]),
    ({"cpu_max": "0.5"}, [("limits.cpu_period", "100000"), ("limits.cpu_quota", "50000")]),
    ({"cpu_shares": 512}, [("limits.cpu_shares", "512")]), ({"cpuset_cpus": "0-3"}, [("limits.cpuset_cpus", "0-3")]),
    ({"cpuset_mems": "0"}, [("limits.cpuset_mems", "0")]), ({"pids_max": 9}, [("limits.pids", "9")]),
    ({"io_max": "8:0 rbps=1k wiops=5"},
     [("limits.device_read_bps", "8:0:1024"), ("limits.device_write_iops", "8:0:5")]),
    ({"device_read_bps": ["/dev/sda:1m"]}, [("limits.device_read_bps", "/dev/sda:1m")]),
    ({"blkio_weight": 100}, [("limits.blkio_weight", "100")]), ({"writable_paths": ["/w"]}, [("writable_paths", "/w")]),
    ({"readable_paths": ["/r"]}, [("readable_paths", "/r")]), ({"allowed_ports": [443]}, [("allowed_ports", "443")]),
    ({"labels": {"a": "b"}}, [("labels", "a=b")]), ({"domainname": "d"}, [("domainname", "d")]),
    ({"restart": "always"}, [("restart", "always")]), ({"stop_timeout": 10}, [("stop_timeout", "10")]),
    ({"healthcheck": {"cmd": "true", "interval": 2}}, [("healthcheck.cmd", "true"), ("healthcheck.interval", "2")]),
    ({"gpus": "all"}, [("gpus", "all")]), ({"publish_all": True}, [("publish_all", "true")]),
    ({"expose": [80]}, [("expose", "80")]), ({"dns_search": ["x"]}, [("dns_search", "x")]),
    ({"dns_option": ["x"]}, [("dns_option", "x")]), ({"fs_backend": "btrfs"}, [("+fs_backend", "btrfs")]),
    ({"ipv6": True}, [("+ipv6", "true")]), ({"vm_mode": True}, [("+vm_mode", "true")]),
    ({"mask_paths": False}, [("+mask_paths", "False")]), ({"shared_userns": "/x"}, [("+shared_userns", "/x")]),
    ({"volumes": ["data:/x", "/y"]}, [("+volumes", "data:/x"), ("+volumes", "/y")]),
    ({"pull": "always"}, [("pull", "always")]),
    ({"platform": "linux/arm64"}, [("platform", "linux/arm64")]), ({"label_file": ["/f"]}, [("label_file", "/f")]),
]
NETWORKS: list[tuple[dict[str, Any], list[tuple[str, str]], str]] = [
    ({}, [("network", "none")], ""), ({"net_isolate": True}, [("network", "none")], ""),
    ({"net_isolate": False}, [("network", "host")], ""), ({"network": "host"}, [("network", "host")], ""),
    ({"network": "none"}, [("network", "none")], ""),
    ({"net_isolate": True, "network": "none"}, [("network", "none")], ""),
    ({"network": "host", "allow_abstract_sockets": True}, [("network", "host"),
    ("allow_abstract_sockets", "true")], ""),
    ({"network": "bridge"}, [("+network", "bridge")], "network"), ({"net_ns": "/n"}, [("+net_ns", "/n")], "net_ns"),
    ({"port_map": ["8080:80", "127.0.0.1/81:82", "53:53/udp", "80/tcp", "1-2:3-4", "[::1]:5:6", "1.2.3.4::7"]},
     [("ports", "8080:80"), ("ports", "127.0.0.1:81:82"), ("ports", "53:53/udp"), ("ports", "80/tcp"),
      ("ports", "1-2:3-4"), ("ports", "[::1]:5:6"), ("ports", "1.2.3.4::7")], "port_map"),
]


class ToFields(unittest.TestCase):
    """What libhutch is asked for."""

    def test_asked(self) -> None:
        for given, wanted in ASKED:
            got = SandboxConfig(host=True, **given).to_fields()
            self.assertEqual([pair for pair in got if pair not in [("host", "true"),
    ("network", "none")]], wanted, given)

    def test_not_yet(self) -> None:
        for given, wanted in NOT_YET:
            config = SandboxConfig(host=True, **given)
            asked = [ask[1:] for ask in _fields.asks(config)]
            self.assertEqual([pair for pair in asked if pair not in [("host", "true"), ("network", "none")]], wanted)
            with self.subTest(given=given), self.assertRaises(NotSupportedError) as told:
                config.to_fields()
            first = next(iter(given))
            self.assertTrue(str(told.exception).startswith(f"{first}={getattr(config, first)!r}: "), told.exception)

    def test_turning_one_on_is_one_line(self) -> None:
        with mock.patch.dict(_fields.LATER):
            del _fields.LATER["limits.memory"]
            self.assertIn(("limits.memory", "1024"), SandboxConfig(host=True, memory_max="1k").to_fields())

    def test_networks(self) -> None:
        for given, wanted, refused in NETWORKS:
            config = SandboxConfig(host=True, **given)
            self.assertEqual([ask[1:] for ask in _fields.asks(config)][1:], wanted, given)
            if refused:
                self.assertRaisesRegex(NotSupportedError, f"^{refused}=", config.to_fields)

    def test_roots(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            for given in ({"image": directory}, {"image": Path(directory)}, {"rootfs": directory}):
                self.assertEqual(SandboxConfig(**given).to_fields()[0], ("rootfs", directory))
        self.assertRaisesRegex(NotSupportedError, "image='ubuntu:22.04'", SandboxConfig("ubuntu:22.04").to_fields)
        self.assertRaisesRegex(SandboxConfigError, "no such directory", SandboxConfig("/none-such").to_fields)
        self.assertRaisesRegex(SandboxConfigError, "SandboxConfig.image is required.", SandboxConfig().to_fields)

    @unittest.skipUnless(FIELDS_DEF.exists(), "not in the source tree")
    def test_every_field_of_the_spec_can_be_reached(self) -> None:
        found = re.findall(r'^FIELD\("([^"]+)", (?:[^"]|"(?!later|0\.))*?"(later|0\.\d)"', FIELDS_DEF.read_text(), re.M)
        known = {field.name for field in fields(SandboxConfig)}
        self.assertGreater(len(found), 70)
        for name, since in found:
            self.assertIn(_fields.NAMED_IN_SPEC.get(name, name), known)
            if name not in ("limits.cpus", "image"):  # cpu_max is told as quota and period; images are refused
                self.assertEqual(name in _fields.LATER, since == "later", name)

    def test_nothing_unknown_is_later(self) -> None:
        text = FIELDS_DEF.read_text() if FIELDS_DEF.exists() else self.skipTest("not in the source tree")
        for name in _fields.LATER:
            if not name.startswith("+") and name != "limits.memory_high":  # which the spec has no name for
                self.assertIn(f'FIELD("{name}"', text)


# ---- dict, JSON, TOML --------------------------------------------------------------------------------------

class Sources(unittest.TestCase):
    """A configuration from other forms, and back."""

    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def file(self, name: str, text: str) -> str:
        path = Path(self.directory.name, name)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_there_and_back(self) -> None:
        for kind in (SandboxConfig, nitrobox.SandboxConfig, agentdocker_lite.SandboxConfig):
            config = kind("x", memory_max="1g", memory_swap="2g", cpu_max="50%", ulimits={"core": 0}, cap_add=["ALL"])
            self.assertEqual(kind.from_dict(config.to_dict()), config)

    def test_dict_of_plain_types(self) -> None:
        import json
        config = SandboxConfig("x", ulimits={"core": (0, 1)}, environment={"A": "é"})
        self.assertEqual(SandboxConfig.from_json(json.dumps(config.to_dict())), config)

    def test_replace(self) -> None:
        config = nitrobox.SandboxConfig("x", memory_max="1g")
        other = config.replace(image="y", hostname="h")
        self.assertIs(type(other), type(config))
        self.assertEqual((other.image, other.memory_max, config.image), ("y", "1073741824", "x"))
        self.assertRaisesRegex(SandboxConfigError, "did you mean 'hostname'", config.replace, hostnam="h")
        self.assertRaisesRegex(TypeError, "SandboxConfig: unknown field 'hostnam'; did you mean 'hostname'?", SandboxConfig, hostnam="h")
        self.assertRaisesRegex(TypeError, "unknown field 'qqq'$", SandboxConfig, image="x", qqq=1)
        self.assertEqual(pickle.loads(pickle.dumps(config)), copy.deepcopy(config))

    def test_unknown_names(self) -> None:
        for name, near in (("memory_maxx", "memory_max"), ("env", "environment"), ("ports", "port_map"),
                           ("limits.memory", "memory_max"), ("readonly", "read_only")):
            self.assertRaisesRegex(SandboxConfigError, f"'{near}'", SandboxConfig.from_dict, {name: "x"})
            self.assertRaisesRegex(TypeError, f"'{near}'", lambda: SandboxConfig(**{name: "x"}))
        self.assertRaisesRegex(SandboxConfigError, "'zzzzzz'$", SandboxConfig.from_dict, {"zzzzzz": 1})

    def test_json(self) -> None:
        text = ' {"image": "x", "volumes": ["/a:/b"], "ulimits": {"core": [0, 1]}}'
        for source in (text, self.file("a.json", text), Path(self.file("a.json", text))):
            config = SandboxConfig.from_json(source)
            self.assertEqual((config.image, config.volumes, config.ulimits), ("x", ["/a:/b"], {"core": (0, 1)}))
        for source, why in (("{", "not JSON"), (self.file("b", "[1]"), "not an object"), ("/none-such", "No such file"),
                            (self.directory.name, "Is a directory")):
            self.assertRaisesRegex(SandboxConfigError, why, SandboxConfig.from_json, source)

    @unittest.skipIf(sys.version_info < (3, 11), "no tomllib")
    def test_toml(self) -> None:
        text = 'image = "x"\nmemory_max = 4096\n[environment]\nA = "1"\n'
        for source in (text, self.file("a.toml", text)):
            config = SandboxConfig.from_toml(source)
            self.assertEqual((config.image, config.memory_max, config.environment), ("x", "4096", {"A": "1"}))
        self.assertRaisesRegex(SandboxConfigError, "not TOML", SandboxConfig.from_toml, "a = = b")

    def test_toml_without_a_parser(self) -> None:
        with mock.patch.dict(sys.modules, {"tomllib": None, "tomli": None}):
            self.assertRaisesRegex(SandboxConfigError, "Python 3.11", SandboxConfig.from_toml, "a = 1")


# ---- the defaults of others --------------------------------------------------------------------------------

class Compat(unittest.TestCase):
    """nitrobox's defaults, in classes of their own."""

    def asked(self, **given: Any) -> list[tuple[str, str]]:
        with mock.patch("socket.gethostname", return_value="machine"):
            return nitrobox.SandboxConfig("/", **given).to_fields()

    def test_defaults(self) -> None:
        self.assertEqual(self.asked(), [
            ("rootfs", "/"), ("hostname", "machine"), ("env", "HOME=/root"), ("env", "TERM=xterm-256color"),
            ("shm_size", "268435456"), ("network", "host"), ("allow_abstract_sockets", "true"),
    ("cap_drop", "NET_RAW")])

    def test_what_is_given_goes_before(self) -> None:
        asked = self.asked(hostname="h", shm_size="1m", net_isolate=True, cap_add=["cap_net_raw"], tty=True,
                           environment={"TERM": "vt100"})
        for pair in (("hostname", "h"), ("shm_size", "1048576"), ("network", "none"), ("env", "TERM=vt100"),
                     ("env", "NO_COLOR=1")):
            self.assertIn(pair, asked)
        self.assertFalse({("cap_drop", "NET_RAW"), ("allow_abstract_sockets", "true")} & set(asked))

    def test_a_host_name_that_cannot_be_one(self) -> None:
        with mock.patch("socket.gethostname", return_value="x" * 64):
            self.assertNotIn("hostname", dict(nitrobox.SandboxConfig("/").to_fields()))

    def test_fields_of_theirs_have_their_defaults(self) -> None:
        config = nitrobox.SandboxConfig()
        wanted = {"image": "", "working_dir": "/", "environment": {}, "volumes": [], "devices": [], "tty": False,
                  "entrypoint": None, "hostname": None, "dns": None, "fs_backend": "overlayfs", "env_base_dir": "",
                  "rootfs_cache_dir": "", "read_only": False, "tmpfs": [], "shm_size": None, "cpu_max": None,
                  "memory_max": None, "pids_max": None, "io_max": None, "oom_score_adj": None, "cpuset_cpus": None,
                  "cpuset_mems": None, "cpu_shares": None, "memory_swap": None, "memory_high": None, "ulimits": {},
                  "net_isolate": False, "net_ns": None, "shared_userns": None, "port_map": None, "ipv6": False,
                  "seccomp": True, "cap_add": [], "cap_drop": [], "writable_paths": None, "readable_paths": None,
                  "allowed_ports": None, "vm_mode": False, "mask_paths": True}
        self.assertEqual({name: getattr(config, name) for name in wanted}, wanted)

    def test_capabilities_that_switch_the_filter_off(self) -> None:
        for cap, on in (("SYS_ADMIN", False), ("ALL", False), ("SYS_PTRACE", False), ("SYS_RAWIO", False),
                        ("NET_ADMIN", True), ("sys_admin", True), ("CAP_SYS_ADMIN", True)):
            self.assertEqual(nitrobox.SandboxConfig(cap_add=[cap]).seccomp, on, cap)

    def test_networks(self) -> None:
        self.assertEqual(nitrobox.SandboxConfig(port_map=["1:2"]).network_kind(), "nat")
        self.assertEqual(nitrobox.SandboxConfig(net_isolate=True, port_map=["1:2"]).network_kind(), "nat")
        self.assertEqual(nitrobox.SandboxConfig(net_ns="/x", shared_userns="/y").network_kind(), "join")
        self.assertEqual(nitrobox.SandboxConfig(network="none").network_kind(), "none")

    def test_agentdocker_lite_leaves_entrypoints(self) -> None:
        self.assertIn(("entrypoint", ""), agentdocker_lite.SandboxConfig("/").to_fields())
        self.assertIsInstance(agentdocker_lite.SandboxConfig(), hutch.SandboxConfig)


if __name__ == "__main__":
    unittest.main()
