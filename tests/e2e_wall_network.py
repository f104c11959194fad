# SPDX-License-Identifier: Apache-2.0
"""The wall: networks, and what of a machine's network goes by other ways than addresses."""

import os
import re
import socket
from contextlib import closing
from pathlib import Path

from attack.wall import UNCONFINED, WallCase, outcomes
from lib import only
from lib.persona import libc

HOST = ("--network", "host")


def landlock_abi() -> int:
    """0: the kernel has no Landlock."""
    return max(libc.syscall(444, None, 0, 1), 0)


class Network(WallCase):
    def test_there_is_a_loopback_of_its_own_and_nothing_else(self):
        out = self.tiny_ok("cat /proc/net/dev; cat /proc/net/tcp /proc/net/unix | wc -l")
        self.assertEqual(re.findall(r"(?m)^\s*(\S+):", out), ["lo"])
        self.assertEqual(out.split()[-1], "2", "no sockets but the headers of the two lists")

    def test_a_service_of_the_host_is_reached_only_with_the_hosts_network(self):
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            connect = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]} && echo connected"
            for options in ((), ("--cap-add", "ALL"), ("--privileged",)):
                result = self.hutch("run", "--rootfs", self.rootfs, *options, "--", "bash", "-c", connect)
                self.assertEqual(result.out, "", str(result))
            result = self.hutch("run", "--rootfs", self.rootfs, *HOST, "--", "bash", "-c", connect)
            self.assertEqual(result.out, "connected\n", str(result))

    def test_power_over_the_network_is_power_over_its_own(self):
        script = """
import fcntl, socket, struct
def flags():
    s = socket.socket()
    return struct.unpack("16sh", fcntl.ioctl(s, 0x8913, struct.pack("16sh", b"lo", 0))[:18])[1]
now = flags()
try:
    fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", now))
    print("set ok")
except OSError as failure:
    print("set", failure.errno)
"""
        def run(*options) -> str:
            result = self.hutch("run", *options, "--", "/usr/bin/python3", "-c", script)
            if "No module" in result.err or result.code == 127:
                self.skipTest("no python3 in /usr/bin")
            return result.out
        self.assertEqual(run("--cap-add", "NET_ADMIN"), "set ok\n")
        self.assertEqual(run(), "set 1\n", "not without the capability")
        for options in (("--cap-add", "NET_ADMIN"), ("--cap-add", "ALL"), ("--privileged",)):
            self.assertEqual(run(*HOST, *options), "set 1\n", f"it changed the loopback of the machine with {options}")

    def test_low_ports_are_free_inside_and_the_machines_own_are_not(self):
        listen = "import socket; socket.create_server(('127.0.0.1', 81)); print('listens')"
        result = self.hutch("run", "--", "/usr/bin/python3", "-c", listen)
        if result.code == 127:
            self.skipTest("no python3 in /usr/bin")
        self.assertEqual(result.out, "listens\n", str(result))
        if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 81:
            result = self.hutch("run", *HOST, "--cap-add", "ALL", "--", "/usr/bin/python3", "-c", listen)
            self.assertIn("PermissionError", result.err, str(result))


class Abstract(WallCase):
    """Abstract unix sockets belong to the network, not to a file system."""

    def sockets(self) -> str:
        """Two of the host's that anybody may connect to, and their name."""
        name = f"wall-{os.getpid()}-{self.persona.name}"
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            made = socket.socket(socket.AF_UNIX, kind)
            made.bind(f"\0{name}" if kind == socket.SOCK_STREAM else f"\0{name}-d")
            if kind == socket.SOCK_STREAM:
                made.listen()
            self.undo(made.close)
        return name

    def tries(self, name: str, *options, **more) -> tuple[str, str]:
        stream = outcomes(self.attack_ok("abstract", name, options=options, **more))["stream"]
        return stream, outcomes(self.attack_ok("abstract", name + "-d", options=options, **more))["datagram"]

    def test_those_of_the_host_are_out_of_reach_also_with_its_network(self):
        name, program = self.sockets(), self.program_of("abstract")
        self.assertEqual(outcomes(self.outside(program, name).out)["stream"], "ok", "outside it can be reached")
        self.assertEqual(self.tries(name), ("ECONNREFUSED",) * 2, "not there in a network of its own")
        if landlock_abi() < 6:
            self.assert_fails(self.hutch("run", *HOST, "--", "true"), 125, "Landlock", "--allow-abstract-sockets")
            self.skipTest("this kernel has no Landlock scopes")
        for options in ((), ("--cap-add", "ALL", *UNCONFINED), ("--privileged", *UNCONFINED)):
            self.assertEqual(self.tries(name, *HOST, *options), ("EPERM",) * 2, str(options))

    @only("root", "plain")
    def test_it_is_landlock_that_keeps_them_out_of_reach(self):
        without = self.session.program.parent / "tests" / "without"
        if not without.exists():
            without = self.session.program.parent / "without"
        if not without.exists():
            self.skipTest("tests/without was not built")
        prefix = [self.copied(without), "landlock_create_ruleset", "--"]
        name = self.sockets()
        refused = self.hutch("run", "--rootfs", self.rootfs, *HOST, "--", "true", prefix=prefix)
        self.assert_fails(refused, 125, "--allow-abstract-sockets")
        got = self.tries(name, *HOST, "--allow-abstract-sockets", prefix=prefix)
        self.assertEqual(got, ("ok", "ok"), "without it they are in reach, which had to be accepted")

    def copied(self, program: Path) -> Path:
        """Where the persona can reach it."""
        copy = self.session.dir / "attack" / program.name
        copy.parent.mkdir(mode=0o755, exist_ok=True)
        copy.write_bytes(program.read_bytes())
        copy.chmod(0o755)
        return copy

    def test_commands_of_one_sandbox_reach_each_others(self):
        script = ("import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0own'); s.listen(); "
                  "socket.socket(socket.AF_UNIX).connect('\\0own'); print('ok')")
        for options in ((), HOST):
            if options and landlock_abi() < 6:
                continue
            result = self.hutch("run", *options, "--", "/usr/bin/python3", "-c", script)
            if result.code == 127:
                self.skipTest("no python3 in /usr/bin")
            self.assertEqual(result.out, "ok\n", str(result))
