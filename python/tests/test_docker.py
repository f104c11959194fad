# SPDX-License-Identifier: Apache-2.0
"""SandboxConfig.from_docker and from_docker_run: Docker's words, as fields."""

from __future__ import annotations

import os
import tempfile
import unittest
from types import SimpleNamespace
from typing import Any
from unittest import mock

from hutch import NotSupportedError, SandboxConfig, SandboxConfigError, _docker_run, _parse
from hutch.compat import nitrobox

ALL = list(_parse.CAP_NAME_TO_NUM)
Row = tuple[dict[str, Any], dict[str, Any]]

# ---- the SDK's keywords ------------------------------------------------------------------------------------

#: keywords, fields
KEYWORDS: list[Row] = [
    ({"cpus": 0.5}, {"cpu_max": "50000 100000"}), ({"cpus": "2"}, {"cpu_max": "200000 100000"}),
    ({"cpus": 0}, {"cpu_max": None}), ({"nano_cpus": 500_000_000}, {"cpu_max": "50000 100000"}),
    ({"cpu_quota": 25000}, {"cpu_max": "25000 100000"}), ({"cpu_quota": -1}, {"cpu_max": None}),
    ({"cpu_quota": 25000, "cpu_period": 50000}, {"cpu_max": "25000 50000"}), ({"cpu_period": 50000}, {"cpu_max": None}),
    ({"cpuset_cpus": "0-3", "cpuset_mems": "0"}, {"cpuset_cpus": "0-3", "cpuset_mems": "0"}),
    ({"cpu_shares": "512"}, {"cpu_shares": 512}), ({"mem_limit": "512m"}, {"memory_max": "536870912"}),
    ({"mem_limit": 1024}, {"memory_max": "1024"}), ({"mem_limit": 0}, {"memory_max": None}),
    ({"mem_limit": "1g", "memswap_limit": "2g"}, {"memory_swap": "1073741824"}),
    ({"memswap_limit": -1}, {"memory_swap": "max"}), ({"mem_reservation": "1k"}, {"memory_reservation": "1024"}),
    ({"pids_limit": 256}, {"pids_max": "256"}), ({"pids_limit": -1}, {"pids_max": "max"}),
    ({"shm_size": "2g"}, {"shm_size": str(2 << 30)}), ({"shm_size": 1024}, {"shm_size": "1024"}),
    ({"read_only": True}, {"read_only": True}), ({"working_dir": "/w"}, {"working_dir": "/w"}),
    ({"volumes": ["/a:/b:ro"]}, {"volumes": ["/a:/b:ro"]}),
    ({"volumes": {"/a": {"bind": "/b", "mode": "ro"}, "/c": {"bind": "/d"}, "/e": "/f"}},
     {"volumes": ["/a:/b:ro", "/c:/d:rw", "/e:/f:rw"]}),
    ({"tmpfs": {"/run": "size=1m", "/x": ""}}, {"tmpfs": ["/run:size=1m", "/x"]}),
    ({"tmpfs": ["/y"]}, {"tmpfs": ["/y"]}),
    ({"ports": ["8080:80"]}, {"port_map": ["8080:80"]}), ({"ports": {"80/tcp": 8080}}, {"port_map": ["8080:80"]}),
    ({"ports": {80: "8080"}}, {"port_map": ["8080:80"]}),
    ({"ports": {"80/tcp": [1, 2]}}, {"port_map": ["1:80", "2:80"]}),
    ({"ports": {"80/tcp": None}}, {"port_map": None}), ({"ports": {"53/udp": 53}}, {"port_map": ["53:53/udp"]}),
    ({"ports": {"80/tcp": ("127.0.0.1", 8080)}}, {"port_map": ["127.0.0.1:8080:80"]}),
    ({"ports": {"80/tcp": [("127.0.0.1", 8080), 81]}}, {"port_map": ["127.0.0.1:8080:80", "81:80"]}),
    ({"environment": {"A": 1, "B": None}}, {"environment": {"A": "1", "B": ""}}),
    ({"environment": ["A=b=c", "D"]}, {"environment": {"A": "b=c", "D": ""}}),
    ({"hostname": "h", "dns": ["1.1.1.1"]}, {"hostname": "h", "dns": ["1.1.1.1"]}),
    ({"network_mode": "none"}, {"net_isolate": True, "network": None}),
    ({"network_mode": "host"}, {"net_isolate": False, "network": None}),
    ({"network_mode": "bridge"}, {"net_isolate": None, "network": "bridge"}),
    ({"network": "mine"}, {"network": "mine"}), ({"network_disabled": True, "network": "mine"}, {"net_isolate": True}),
    ({"devices": ["/dev/kvm", "/dev/fuse:/dev/fuse:rwm", "/dev/a:/dev/b", "/dev/c:/dev/c:r", "/dev/d:rwm"]},
     {"devices": ["/dev/kvm", "/dev/fuse", "/dev/a:/dev/b", "/dev/c:/dev/c:r", "/dev/d"]}),
    ({"security_opt": ["seccomp=unconfined"]}, {"seccomp": False, "security_opt": []}),
    ({"security_opt": ["no-new-privileges"]}, {"seccomp": True, "security_opt": []}),
    ({"security_opt": ["no-new-privileges:false"]}, {"security_opt": ["no-new-privileges:false"]}),
    ({"privileged": True}, {"seccomp": False, "cap_add": ALL}),
    ({"privileged": False}, {"seccomp": True, "cap_add": []}),
    ({"privileged": True, "cap_add": ["NET_RAW"]}, {"seccomp": False, "cap_add": ["NET_RAW"]}),
    ({"cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"]}, {"cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"]}),
    ({"ulimits": {"nofile": 5}}, {"ulimits": {"nofile": (5, 5)}}),
    ({"ulimits": {"nofile": {"soft": 1, "hard": 2}}}, {"ulimits": {"nofile": (1, 2)}}),
    ({"ulimits": {"nofile": SimpleNamespace(name="nofile", soft=1, hard=2)}}, {"ulimits": {"nofile": (1, 2)}}),
    ({"ulimits": [SimpleNamespace(name="core", soft=0, hard=0)]}, {"ulimits": {"core": (0, 0)}}),
    ({"ulimits": [{"Name": "core", "Soft": 0, "Hard": 1}]}, {"ulimits": {"core": (0, 1)}}),
    ({"tty": True, "oom_score_adj": 500}, {"tty": True, "oom_score_adj": 500}),
    ({"entrypoint": "/a b"}, {"entrypoint": ["/a b"]}), ({"entrypoint": ["/a", "b"]}, {"entrypoint": ["/a", "b"]}),
    ({"entrypoint": ""}, {"entrypoint": None}), ({"entrypoint": []}, {"entrypoint": None}),
    ({"command": "sh -c 'a b'", "name": "w0"}, {"command": ["sh", "-c", "a b"], "name": "w0"}),
    ({"command": ["x"], "user": 1000}, {"command": ["x"], "user": "1000"}),
    ({"extra_hosts": {"db": "10.0.0.1"}}, {"add_host": ["db:10.0.0.1"]}),
    ({"sysctls": {"a.b": 1}}, {"sysctls": {"a.b": "1"}}),
    ({"mounts": [{"Target": "/b", "Source": "/a", "Type": "bind", "ReadOnly": True}]},
     {"mounts": ["type=bind,target=/b,source=/a,readonly"]}),
    ({"mounts": [{"Target": "/t,x", "Type": "tmpfs", "TmpfsOptions": {"SizeBytes": 5, "Mode": 0o700}}]},
     {"mounts": ['type=tmpfs,"target=/t,x",tmpfs-size=5,tmpfs-mode=700']}),
    ({"device_requests": [{"Count": -1}]}, {"gpus": "all"}),
    ({"device_requests": [{"DeviceIDs": ["0"]}]}, {"gpus": "device=0"}),
    ({"device_write_bps": [{"Path": "/dev/sda", "Rate": 9}]}, {"device_write_bps": ["/dev/sda:9"]}),
    ({"detach": True, "auto_remove": True, "labels": {"a": "b"}, "ipc_mode": "private", "mem_limit": None},
     {"memory_max": None}),
]


class Keywords(unittest.TestCase):
    """from_docker()."""

    def check(self, kind: type[SandboxConfig], given: dict[str, Any], wanted: dict[str, Any]) -> None:
        config = kind.from_docker("img", **given)
        wanted = {"image": "img", **wanted}
        self.assertEqual({name: getattr(config, name) for name in wanted}, wanted, given)

    def test_keywords(self) -> None:
        with self.assertNoLogs("hutch"):
            for given, wanted in KEYWORDS:
                self.check(SandboxConfig, given, wanted)

    def test_ignored(self) -> None:
        ignored = """detach remove auto_remove stdout stderr stream labels log_config platform runtime stdin_open
            stop_signal mem_swappiness restart_policy healthcheck init isolation publish_all_ports""".split()
        self.assertEqual(SandboxConfig.from_docker("img", **dict.fromkeys(ignored, "x")), SandboxConfig("img"))

    def test_unknown_ones_are_named_once(self) -> None:
        with self.assertLogs("hutch._docker", "WARNING") as log:
            SandboxConfig.from_docker("img", zzz=1, aaa=2, tty=True)
        self.assertEqual(len(log.output), 1)
        self.assertIn("aaa, zzz", log.output[0])

    def test_networks_of_nitrobox(self) -> None:
        for given, isolated in (("none", True), ("host", False), ("bridge", False), ("mine", False)):
            self.check(nitrobox.SandboxConfig, {"network_mode": given}, {"net_isolate": isolated, "network": None})

    def test_wrong(self) -> None:
        for given, why in (({"volumes": 5}, "volumes=5"), ({"ulimits": [5]}, "ulimits"),
    ({"cpu_shares": "x"}, "cpu_shares"),
                           ({"cpus": 1, "cpu_quota": 5}, "cpu_quota"), ({"cpus": -1}, "cpus=-1"),
                           ({"volumes": {"/a": {}}}, "volumes"),
                           ({"mem_limit": "much"}, "memory_max='much'"), ({"command": "'"}, "command")):
            with self.subTest(given=given):
                self.assertRaisesRegex(SandboxConfigError, why, SandboxConfig.from_docker, "img", **given)

    def test_sharing_is_refused(self) -> None:
        for name in ("pid_mode", "ipc_mode", "uts_mode", "userns_mode"):
            self.assertRaisesRegex(NotSupportedError, name, SandboxConfig.from_docker, "img", **{name: "host"})


# ---- the command line --------------------------------------------------------------------------------------

#: words between "docker run" and "img make", fields
FLAGS: list[tuple[str, dict[str, Any]]] = [
    ("-v /a:/b:ro --volume=/c:/d", {"volumes": ["/a:/b:ro", "/c:/d"]}), ("-v/a:/b", {"volumes": ["/a:/b"]}),
    ("-p 8080:80 --publish 127.0.0.1:1:2", {"port_map": ["8080:80", "127.0.0.1:1:2"]}),
    ("-p8080:80", {"port_map": ["8080:80"]}),
    ("-e A=b=c --env=B=", {"environment": {"A": "b=c", "B": ""}}), ("-eA=1", {"environment": {"A": "1"}}),
    ("-e HERE -e NOWHERE", {"environment": {"HERE": "yes"}}), ("-e 'A=b c'", {"environment": {"A": "b c"}}),
    ("--device /dev/kvm:/dev/kvm:rwm --device /dev/a:/dev/b", {"devices": ["/dev/kvm", "/dev/a:/dev/b"]}),
    ("--dns 1.1.1.1 --dns=8.8.8.8", {"dns": ["1.1.1.1", "8.8.8.8"]}),
    ("--cpus=0.5 --cpu-shares 512 --cpuset-cpus 0-3 --cpuset-mems 0",
     {"cpu_max": "50000 100000", "cpu_shares": 512, "cpuset_cpus": "0-3", "cpuset_mems": "0"}),
    ("-c 512", {"cpu_shares": 512}), ("--cpu-quota=25000 --cpu-period=50000", {"cpu_max": "25000 50000"}),
    ("-m 512m", {"memory_max": "536870912"}), ("-m512m", {"memory_max": "536870912"}),
    ("-m=512m", {"memory_max": "536870912"}),
    ("--memory=512m --memory-swap 1g", {"memory_max": "536870912", "memory_swap": "536870912"}),
    ("--memory-swap -1", {"memory_swap": "max"}), ("--memory-swap=0", {"memory_swap": None}),
    ("--memory-reservation 1k", {"memory_reservation": "1024"}), ("--pids-limit 256", {"pids_max": "256"}),
    ("--pids-limit -1", {"pids_max": "max"}), ("--shm-size 512m", {"shm_size": "536870912"}),
    ("--tmpfs /run:size=1m --tmpfs /x", {"tmpfs": ["/run:size=1m", "/x"]}),
    ("-h h -w /w", {"hostname": "h", "working_dir": "/w"}),
    ("--hostname=h --workdir=/w", {"hostname": "h", "working_dir": "/w"}), ("--read-only", {"read_only": True}),
    ("--read-only=false", {"read_only": False}), ("--read-only=T", {"read_only": True}), ("-t=0", {"tty": False}),
    ("--cap-add NET_ADMIN --cap-add=SYS_TIME --cap-drop ALL",
     {"cap_add": ["NET_ADMIN", "SYS_TIME"], "cap_drop": ["ALL"]}),
    ("--ulimit nofile=1:2 --ulimit core=0", {"ulimits": {"nofile": (1, 2), "core": (0, 0)}}),
    ("--ulimit core=-1", {"ulimits": {"core": (-1, -1)}}), ("--entrypoint /init.sh", {"entrypoint": ["/init.sh"]}),
    ("--entrypoint ''", {"entrypoint": []}), ("--privileged", {"seccomp": False, "cap_add": ALL}),
    ("--privileged=false", {"seccomp": True, "cap_add": []}), ("--security-opt seccomp=unconfined", {"seccomp": False}),
    ("--security-opt seccomp:unconfined", {"seccomp": False}),
    ("--security-opt=no-new-privileges", {"security_opt": []}),
    ("--security-opt apparmor=unconfined", {"security_opt": ["apparmor=unconfined"]}),
    ("--oom-score-adj 500", {"oom_score_adj": 500}), ("--oom-score-adj -500", {"oom_score_adj": -500}),
    ("--network none", {"net_isolate": True}), ("--net=none", {"net_isolate": True}),
    ("--network host", {"net_isolate": False}),
    ("--network none --network host", {"net_isolate": False, "network": None}), ("--network mine", {"network": "mine"}),
    ("-t", {"tty": True}), ("--tty", {"tty": True}), ("-dit", {"tty": True, "interactive": True}),
    ("-dqt", {"tty": True}),
    ("-itv /a:/b", {"tty": True, "volumes": ["/a:/b"]}), ("-itm512m", {"tty": True, "memory_max": "536870912"}),
    ("-d --detach --rm -i --interactive --init", {"interactive": True, "init": False}), ("--name w0", {"name": "w0"}),
    ("-P", {"publish_all": True}), ("-u 1000:1000", {"user": "1000:1000"}), ("--user=me", {"user": "me"}),
    ("--add-host db:10.0.0.1", {"add_host": ["db:10.0.0.1"]}),
    ("--mount type=bind,src=/a,dst=/b", {"mounts": ["type=bind,src=/a,dst=/b"]}),
    ("--gpus all", {"gpus": "all"}), ("-l a=b --label c", {"labels": {"a": "b", "c": ""}}),
    ("--restart always", {"restart": "always"}),
    ("--restart=no --pull missing", {"restart": None, "pull": None}), ("--group-add video", {"group_add": ["video"]}),
    ("--sysctl net.core.somaxconn=5", {"sysctls": {"net.core.somaxconn": "5"}}),
    ("--stop-signal INT", {"stop_signal": "INT"}),
    ("--health-cmd 'curl x' --health-retries 3", {"healthcheck": {"cmd": "curl x", "retries": 3}}),
    ("--device-write-bps /dev/sda:10mb", {"device_write_bps": ["/dev/sda:10mb"]}),
    ("--platform linux/arm64", {"platform": "linux/arm64"}),
    ("--sig-proxy=false --no-healthcheck --log-driver none -a stdout", {}),
    ("--pid '' --ipc private --cgroupns=private", {}),
    ("--", {}), ("-m\\\n  512m \\\n", {"memory_max": "536870912"}),
    ("-e 'A=\\\n' \\\r\n -t", {"environment": {"A": "\\\n"}, "tty": True}),
    ("-e \"A=x\\\ny\"", {"environment": {"A": "xy"}}),
]
#: what may stand before the flags
BEFORE = ["docker run", "sudo docker run", "sudo -E docker run", "sudo -u me docker run", "podman run",
          "docker container run", "podman container run", "/usr/bin/docker run", "docker --context x run",
          "docker -H unix:///x --debug run", "run", ""]
WRONG: list[tuple[str, str]] = [
    ("docker run", "No image found in docker run command"), ("", "No image found"),
    ("docker run -it --rm", "No image found"),
    ("docker run ''", "No image found"), ("docker run -it -m", "flag needs a value: '-m'"),
    ("docker run img -v", ""), ("docker run --name", "'--name' is the last word"), ("docker run -v", "'-v'"),
    ("docker run --memmory 5 img", "did you mean 'memory'"), ("docker run -X img", "unknown flag '-X'"),
    ("docker run --read-only=maybe img", "neither true nor false"), ("docker run 'img", "quot"),
    ("docker ps", "not a docker run"),
    ("docker run -e =x img", "no name"), ("docker run --env-file /none-such img", "No such file"),
    ("docker run --ulimit nofile img", "NAME=SOFT"), ("docker run --cpu-shares many img", "whole number"),
    ("docker run --cpus 1 --cpu-quota 5 img", "cpu_quota"), ("docker run -m lots img", "memory_max='lots'"),
    ("docker run --health-retries x img", "whole number"),
]
REFUSED = """--pid=host --ipc=host --uts=host --userns=host --cgroupns=host --volumes-from=x --volume-driver=x
    --storage-opt=size=1g --device-cgroup-rule=x --cgroup-parent=x --ip=x --ip6=x --mac-address=x --link=x
    --link-local-ip=x --network-alias=x --cpu-rt-period=1 --cpu-rt-runtime=1 --cpu-count=1 --cpu-percent=1
    --io-maxbandwidth=1 --io-maxiops=1 --isolation=x --blkio-weight-device=x --use-api-socket
    --ipc=container:x""".split()


class CommandLine(unittest.TestCase):
    """from_docker_run()."""

    def setUp(self) -> None:
        patch = mock.patch.dict(os.environ, {"HERE": "yes"})
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("NOWHERE", None)

    def test_flags(self) -> None:
        for words, wanted in FLAGS:
            with self.subTest(words=words):
                config = SandboxConfig.from_docker_run(f"docker run {words} img make -t")
                wanted = {"image": "img", "command": ["make", "-t"], **wanted}
                self.assertEqual({name: getattr(config, name) for name in wanted}, wanted)

    def test_before(self) -> None:
        for before in BEFORE:
            config = SandboxConfig.from_docker_run(f"{before} -dit -m 1k img")
            self.assertEqual((config.image, config.memory_max), ("img", "1024"), before)

    def test_flags_behind_the_image_are_the_commands(self) -> None:
        config = SandboxConfig.from_docker_run("docker run --rm img ls -v -m 512m --privileged -e A=b")
        self.assertEqual(config, SandboxConfig("img", command="ls -v -m 512m --privileged -e A=b".split()))

    def test_switches_do_not_eat_the_image(self) -> None:
        for name, flag in _docker_run.FLAGS.items():
            if flag.switch and not flag.why:
                with self.subTest(name=name), mock.patch.object(_docker_run.log, "warning"):
                    self.assertEqual(SandboxConfig.from_docker_run(f"docker run --{name} img").image, "img")

    def test_every_letter_has_its_flag(self) -> None:
        self.assertLessEqual(set(_docker_run.LETTERS.values()), set(_docker_run.FLAGS))

    def test_wrong(self) -> None:
        for cmd, why in WRONG:
            with self.subTest(cmd=cmd):
                if why:
                    self.assertRaisesRegex(SandboxConfigError, why, SandboxConfig.from_docker_run, cmd)
                else:
                    self.assertEqual(SandboxConfig.from_docker_run(cmd).command, ["-v"])
        self.assertRaises(ValueError, SandboxConfig.from_docker_run, "docker run -d")
        self.assertRaises(SandboxConfigError, SandboxConfig.from_docker_run, ["docker", "run", "img"])

    def test_refused(self) -> None:
        for flag in REFUSED:
            name = flag.partition("=")[0]
            with self.subTest(flag=flag):
                self.assertRaisesRegex(NotSupportedError, name, SandboxConfig.from_docker_run, f"docker run {flag} img")

    def test_what_cgroup_v2_has_not_is_warned_of(self) -> None:
        for flag in ("--memory-swappiness 5", "--kernel-memory=1g", "--oom-kill-disable", "--runtime runc"):
            with self.assertLogs("hutch._docker_run", "WARNING"):
                self.assertEqual(SandboxConfig.from_docker_run(f"docker run {flag} img").image, "img")

    def test_env_file(self) -> None:
        with tempfile.NamedTemporaryFile("wb", suffix=" x") as file:
            file.write(b"\xef\xbb\xbf# a comment\r\n\n  A=1 # no comment\r\nB=\"q\"\nHERE\nNOWHERE\nC=file\n")
            file.flush()
            config = SandboxConfig.from_docker_run(f"docker run -e C=flag --env-file '{file.name}' img")
            self.assertEqual(config.environment, {"A": "1 # no comment", "B": '"q"', "HERE": "yes", "C": "flag"})
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("A=1\nA B=1\n")
            file.flush()
            self.assertRaisesRegex(SandboxConfigError, "line 2: blank", SandboxConfig.from_docker_run,
                                   f"docker run --env-file {file.name} img")

    def test_nitrobox(self) -> None:
        for words, wanted in (("", (False, None)), ("--network bridge", (False, None)),
    ("--network none", (True, None)),
                              ("--network host", (False, None)), ("--network mine", (False, "mine"))):
            config = nitrobox.SandboxConfig.from_docker_run(f"docker run {words} img")
            self.assertEqual((config.net_isolate, config.network), wanted, words)

    def test_nothing_that_is_not_there_yet_is_lost(self) -> None:
        for words in ("-m 1g", "-P", "-p 1:2", "-l a=b", "--restart always", "--gpus all", "--network bridge"):
            with tempfile.TemporaryDirectory() as root:
                config = SandboxConfig.from_docker_run(f"docker run {words} {root}")
                self.assertRaises(NotSupportedError, config.to_fields)


if __name__ == "__main__":
    unittest.main()
