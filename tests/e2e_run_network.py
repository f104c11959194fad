# SPDX-License-Identifier: Apache-2.0
"""hutch run: --network none and host, --add-host, --dns."""

import os
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

from lib import needs, only
from lib.extra import PYTHON, SET_MTU, RunCase

CONNECT = ("import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2);"
           " print(s.recv(10).decode())")
ABSTRACT = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('\\0' + sys.argv[1]);"
            " print(s.recv(10).decode())")


@contextmanager
def greeter(family: int, address):
    """A server of the host that says "hello" to everybody: what it is bound to."""
    server = socket.socket(family)
    server.bind(address)
    server.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"hello")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


class Nothing(RunCase):
    """Without --network, and with none: a loopback of its own, which is up."""

    def test_there_is_a_loopback_only(self):
        for words in ([], ["--network", "none"], ["--network=none"]):
            out = self.host_ok(
                *words, "ls /sys/class/net; tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route | wc -l")
            self.assertEqual(out.split(), ["lo", "lo", "1"], words)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_loopback_works_and_low_ports_and_pings_are_free(self):
        program = """
import socket, threading
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    server = socket.socket(family); server.bind((host, 80)); server.listen()
    threading.Thread(target=lambda: server.accept()[0].sendall(b"hello")).start()
    print(socket.create_connection((host, 80), 2).recv(10).decode())
socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); print("ping")
"""
        self.assertEqual(self.python_ok("--cap-drop", "ALL", program).split(), ["hello", "hello", "ping"])

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_hosts_servers_are_out_of_reach(self):
        with greeter(socket.AF_INET, ("127.0.0.1", 0)) as (_, port):
            result = self.hutch("run", "--", PYTHON, "-c", CONNECT, str(port))
            self.assertIn("refused", result.err)
        name = f"hutch-tests-{os.urandom(8).hex()}"
        with greeter(socket.AF_UNIX, "\0" + name):
            result = self.hutch("run", "--", PYTHON, "-c", ABSTRACT, name)
            self.assertIn("ConnectionRefusedError", result.err)

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_world_is_out_of_reach(self):
        result = self.python("import socket; socket.create_connection(('192.0.2.1', 80), 2)")
        self.assertIn("unreachable", result.err)


class HostsNetwork(RunCase):
    """--network host: the machine's, but for its abstract sockets and its processes."""

    def setUp(self) -> None:
        super().setUp()
        self.words = ["--network", "host"]
        found = self.doctor()["Landlock"]["found"]
        abi = int(found.split("ABI")[1].split()[0]) if "ABI" in found else 0
        if abi < 6:
            self.refused("--network", "host", "--", "true", words=("--allow-abstract-sockets",))
            self.skipTest("this kernel's Landlock has no scopes")

    def test_the_interfaces_are_the_hosts(self):
        names = self.host_ok(*self.words, "tail -n +3 /proc/net/dev | cut -d: -f1").split()
        self.assertEqual(sorted(names), sorted(name for _, name in socket.if_nameindex()))

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_hosts_servers_are_in_reach(self):
        with greeter(socket.AF_INET, ("127.0.0.1", 0)) as (_, port):
            self.assertEqual(self.run_ok("run", *self.words, "--", PYTHON, "-c", CONNECT, str(port)).out, "hello\n")

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_abstract_sockets_of_the_host_are_out_of_reach_unless_allowed(self):
        name = f"hutch-tests-{os.urandom(8).hex()}"
        with greeter(socket.AF_UNIX, "\0" + name):
            result = self.hutch("run", *self.words, "--", PYTHON, "-c", ABSTRACT, name)
            self.assertIn("PermissionError", result.err)
            for words in ([], ["--privileged"], ["--cap-add", "ALL"]):
                self.assertNotIn("hello", self.hutch("run", *self.words, * \
                                 words, "--", PYTHON, "-c", ABSTRACT, name).out)
            result = self.run_ok("run", *self.words, "--allow-abstract-sockets", "--", PYTHON, "-c", ABSTRACT, name)
            self.assertEqual(result.out, "hello\n")

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_sandboxs_own_abstract_sockets_work(self):
        program = ("import socket, subprocess, sys; s = socket.socket(socket.AF_UNIX); s.bind('\\0own'); s.listen()\n"
                   "p = subprocess.Popen([sys.executable, '-c', \"import socket;"
                   " socket.socket(socket.AF_UNIX).connect('\\\\0own')\"])\n"
                   "s.accept(); print(p.wait())")
        self.assertEqual(self.python_ok(*self.words, program), "0\n")

    def test_processes_of_the_host_are_out_of_reach(self):
        process = self.persona.popen(["sleep", "300"], env=self.environment())
        self._started.append(process)
        out = self.host_ok(*self.words, f"for s in 0 19 9; do kill -$s {process.pid} 2>/dev/null && echo sent;"
                                        f" done; cat /proc/1/comm")
        self.assertEqual((out, process.poll()), ("hutch-init\n", None))

    @needs(bool(PYTHON), "there is no python3 in /usr")
    def test_the_network_cannot_be_changed(self):
        before = Path("/sys/class/net/lo/mtu").read_text()
        for words in ([], ["--cap-add", "NET_ADMIN"], ["--privileged"]):
            self.assertNotIn("changed", self.python(*self.words, *words, SET_MTU).out)
        self.assertEqual(Path("/sys/class/net/lo/mtu").read_text(), before)


class Names(RunCase):
    """--add-host, --dns, and the files they go to."""

    def test_lines_are_added_to_hosts(self):
        out = self.tiny_ok("--add-host", "db.example:192.0.2.7", "--add-host=six:2001:db8::1",
                           "--add-host", "eq=192.0.2.9", "cat /etc/hosts")
        lines = [line.split() for line in out.splitlines()]
        for line in (["192.0.2.7", "db.example"], ["2001:db8::1", "six"], ["192.0.2.9", "eq"]):
            self.assertIn(line, lines)
        self.assertIn("localhost", [name for line in lines if line[0] == "127.0.0.1" for name in line[1:]])
        self.assertIn("localhost", [name for line in lines if line[0] == "::1" for name in line[1:]])

    def test_they_are_found_by_programs(self):
        self.assertEqual(self.host_ok("--add-host", "db.example:192.0.2.7",
                                      "getent hosts db.example; getent hosts $(hostname) | wc -l").split(),
                         ["192.0.2.7", "db.example", "1"])

    def test_name_servers_are_those_asked_for(self):
        self.assertEqual(self.tiny_ok("--dns", "192.0.2.53", "--dns", "2001:db8::53",
                                      "grep ^nameserver /etc/resolv.conf").splitlines(),
                         ["nameserver 192.0.2.53", "nameserver 2001:db8::53"])

    def test_files_that_hutch_makes_can_be_changed_inside_and_are_not_on_disk(self):
        self.assertEqual(self.tiny_ok("echo x >/etc/hosts; echo y >>/etc/resolv.conf; cat /etc/hosts"), "x\n")
        self.assertFalse((self.rootfs / "etc/hosts").exists())

    @only("root", "plain")
    def test_what_is_no_address_is_refused(self):
        for value in ("", "x", "name:", ":192.0.2.1", "name:300.1.1.1", "name:x", "a b:192.0.2.1", "a\nb:192.0.2.1",
                      "name:192.0.2.1 other"):
            self.refused(f"--add-host={value}", "--", "true", words=("--add-host",))
        for value in ("", "x", "300.1.1.1", "192.0.2.1\nnameserver 192.0.2.2", "192.0.2"):
            self.refused(f"--dns={value}", "--", "true", words=("--dns",))

    @only("root", "plain")
    def test_a_network_that_there_is_not_is_refused(self):
        for value in ("", "no such", "container:x"):
            self.refused(f"--network={value}", "--", "true", words=("--network",))
