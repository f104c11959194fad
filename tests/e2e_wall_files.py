# SPDX-License-Identifier: Apache-2.0
"""The wall: the file tree inside. Kernel files, devices, volumes, the overlay, and images made to hurt."""

import os
import re
import stat
import subprocess
from pathlib import Path

from attack.wall import UNCONFINED, WallCase, outcomes
from lib import census, only
from lib.persona import is_root_of_machine

# opencontainers/runc libcontainer/specconv/example.go: maskedPaths and readonlyPaths.
MASKED_FILES = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                "/proc/sched_debug")
MASKED_DIRS = ("/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
ALL = ("--cap-add", "ALL", *UNCONFINED)


class KernelFiles(WallCase):
    def test_what_runc_masks_is_masked_and_only_privileged_sees_it(self):
        script = ("for f in {}; do [ -e $f ] && echo $f $(head -c 99 $f 2>/dev/null | wc -c); done; "
                  "for d in {}; do [ -e $d ] && echo $d $(ls -A $d 2>/dev/null | wc -l); done; :")
        script = script.format(" ".join(MASKED_FILES), " ".join(MASKED_DIRS))
        for options in ((), ("--cap-add", "ALL"), ("-u", "0")):
            got = outcomes(self.tiny_ok(*options, script))
            self.assertEqual(got, dict.fromkeys(got, "0"), str(options))
        bare = outcomes(self.tiny_ok("--privileged", script))
        self.assertTrue(any(count != "0" for count in bare.values()), f"the test shows nothing: {bare}")

    def test_what_runc_makes_read_only_is_and_only_privileged_may_write(self):
        write = "echo 1 >/proc/sys/net/ipv4/ip_forward"
        for options in ((), ("--cap-add", "ALL"), ("--cap-add", "NET_ADMIN")):
            result = self.tiny(*options, write)
            self.assertIn("Read-only file system", result.err, str(result))
        self.tiny_ok("--privileged", write)
        mounts = self.tiny_ok("cat /proc/self/mountinfo")
        for path in READ_ONLY:
            if os.path.exists(path):
                self.assertRegex(mounts, rf"(?m)^\S+ \S+ \S+ \S+ {path} ro,nosuid,nodev,noexec", path)

    def test_sys_cannot_be_written_and_is_not_there_with_the_hosts_network(self):
        for options in ((), ("--cap-add", "ALL"), ("--privileged",)):
            line, = re.findall(r"(?m)^\S+ \S+ \S+ / /sys (\S+)", self.tiny_ok(*options, "cat /proc/self/mountinfo"))
            self.assertLessEqual({"ro", "nosuid", "nodev", "noexec"}, set(line.split(",")))
        self.assertEqual(self.tiny_ok("--network", "host", "ls -A /sys"), "")

    def test_masks_and_read_only_mounts_are_locked_against_the_power_to_mount(self):
        for options in (("--cap-add", "ALL"), ("--cap-add", "SYS_ADMIN", *UNCONFINED), ("--privileged",)):
            out = self.attack_ok("unlock", "/attack", options=options)
            got = outcomes(out)
            self.assertEqual(got.pop("mounting at all"), "ok", "the attack has not got the power it needs")
            got.pop("take away /dev/mqueue")  # hides nothing: it is of the namespace that they rule
            self.assertGreater(len(got), 15)
            self.assertEqual({what for what, result in got.items() if result == "ok"}, set(), str(options))

    @only("root")
    def test_a_root_caller_who_maps_ids_one_to_one_gives_no_machine_settings_away(self):
        """uid 0 inside is then the machine's, who may write /proc/sys without any capability."""
        script = ("for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/overcommit_memory "
                  "/proc/sysrq-trigger; do (exec 3>>$f) 2>/dev/null && echo $f; done; :")
        for options in ((), ("--cap-add", "ALL"), ("--privileged",)):
            self.assertEqual(self.tiny_ok("--ids", "host", *options, script), "", str(options))

    def test_the_list_of_mounts_shows_no_directory_of_hutch(self):
        volume = self.mkdir("volume")
        file = self.write("volume/file", "x")
        for options in ((), ("-v", f"{volume}:/v:cow"), ("-v", f"{file}:/etc/file:cow"), ("--tmpfs", "/t"),
                        ("--read-only",), ("--upper", "tmpfs")):
            for name in ("mountinfo", "mounts", "mountstats"):
                out = self.tiny(*options, f"cat /proc/self/{name} /proc/1/{name}").out
                self.assertNotIn(str(self.home), out, f"{name} with {options}")
                if self.persona.name != "plain":  # its rootfs lies elsewhere
                    self.assertNotIn(str(self.rootfs), out)

    def test_nothing_of_the_host_is_there(self):
        out = self.tiny_ok("ls -A /home /root /run /tmp; cat /proc/swaps /proc/1/cgroup; ls -d /proc/[0-9]* | wc -l")
        self.assertNotIn(self.session.dir.name, out)
        marker = self.write("marker")
        script = (f"ls -A /home /root /run /mnt /media /srv; ls {marker} {self.home}; "
                  "ls -A /etc/shadow /etc/ssh /etc/machine-id /var/lib/dpkg")
        found = self.hutch("run", "--", "sh", "-c", script)
        self.assertEqual(re.sub(r"(?m)^(/\w+:)?\n", "", found.out), "", str(found))

    @only("root")
    def test_files_of_the_hosts_etc_that_not_everybody_may_read_are_not_copied_for_the_sandbox(self):
        """A root caller's sandbox reads only what everybody may."""
        self.needs_root_of_machine("put a file into a copy of /etc")
        directory = self.mkdir("profile.d")
        self.write("profile.d/everybody.sh", "public\n")
        self.write("profile.d/password.sh", "hunter2\n", 0o600)
        self.write("profile.d/group.sh", "hunter3\n", 0o640)
        prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {directory} /etc/profile.d && exec "$@"', "sh"]
        if not os.path.isdir("/etc/profile.d"):
            self.skipTest("this machine has no /etc/profile.d")
        out = self.hutch("run", "--", "sh", "-c", "cat /etc/profile.d/*", prefix=prefix).out
        self.assertIn("public", out, "the directory is shown")
        self.assertNotIn("hunter", out)


class Devices(WallCase):
    def test_dev_has_what_is_needed_and_nothing_else(self):
        out = self.tiny_ok("cd /dev; find . -mindepth 1 -maxdepth 1 | sort | tr '\\n' ' '")
        self.assertEqual(set(out.replace("./", "").split()),
                         set(DEVICES) | {"fd", "stdin", "stdout", "stderr", "pts", "ptmx", "shm", "mqueue"})
        nodes = outcomes(self.tiny_ok("cd /dev; stat -c '%n %t:%T' " + " ".join(DEVICES)))
        self.assertEqual(nodes, {name: f"{major:x}:{minor:x}" for name, (major, minor) in DEVICES.items()})

    def test_nothing_can_be_made_in_dev(self):
        for options in ((), ("--privileged",)):
            result = self.tiny(*options, "cd /dev; touch x; mkdir y; mknod z c 1 3; ln -s / l; mv null n; rm zero; "
                                         "ls /dev/[xyzln]; ls /dev/zero")
            self.assertEqual(result.out.split(), ["/dev/zero"], str(result))

    def test_a_device_node_made_inside_is_of_no_use(self):
        places = "/ /tmp /dev/shm /t /v"
        script = (f"for d in {places}; do mknod $d/node c 1 5 2>/dev/null; mknod $d/disk b 254 0 2>/dev/null; "
                  "for n in node disk; do head -c 1 $d/$n >/dev/null 2>&1 && echo read $d/$n; done; done; :")
        volume = self.mkdir("volume")
        for options in ((), ("--cap-add", "ALL"), ("--privileged", *UNCONFINED)):
            self.assertEqual(self.tiny_ok(*options, "-v", f"{volume}:/v", "--tmpfs", "/t", script), "", str(options))

    @only("root")
    def test_nor_is_one_that_the_image_or_a_volume_has(self):
        root, volume = self.copy_of_rootfs(), self.mkdir("volume")
        for place in (root / "zero", volume / "zero"):
            os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))
            place.chmod(0o666)
        script = "head -c 1 /zero >/dev/null && echo image; head -c 1 /v/zero >/dev/null && echo volume; :"
        for options in ((), ("--ids", "host"), ("--privileged",)):
            result = self.hutch("run", "--rootfs", root, "-v", f"{volume}:/v", *options, "--", "sh", "-c", script)
            self.assertEqual(result.out, "", str(result))

    def test_a_device_of_the_host_is_there_only_when_asked_for_and_only_to_be_used(self):
        fuse = self.tiny("ls /dev/fuse")
        self.assertEqual(fuse.out, "")
        asked = self.tiny("--device", "/dev/zero:/dev/asked", "head -c 3 /dev/asked | wc -c")
        self.assertEqual((asked.code, asked.out.strip()), (0, "3"), str(asked))

    def test_no_device_of_the_host_is_changed_from_inside(self):
        """Mode, owner and times of /dev/null are the host's own: only its bytes are for the sandbox."""
        before = {name: os.stat(f"/dev/{name}") for name in DEVICES}
        script = ("for f in " + " ".join(f"/dev/{name}" for name in DEVICES) + "; do touch -d @1000 $f; chmod u-x $f; "
                  "done 2>/dev/null; :")
        ways = [(), ("--cap-add", "ALL")]
        if self.persona.name == "root":
            ways.append(("--ids", "host"))
        try:
            for options in ways:
                with self.subTest(" ".join(options)):
                    self.tiny_ok(*options, script)
                    for name in DEVICES:
                        now = os.stat(f"/dev/{name}")
                        self.assertEqual((now.st_mode, now.st_uid, int(now.st_mtime) == 1000),
                                         (before[name].st_mode, before[name].st_uid, False), f"/dev/{name}")
        finally:
            for name in DEVICES if is_root_of_machine() else ():
                if int(os.stat(f"/dev/{name}").st_mtime) == 1000:
                    os.utime(f"/dev/{name}", ns=(before[name].st_atime_ns, before[name].st_mtime_ns))


@only("root", "subuid", "plain")
class Limits(WallCase):
    def test_every_tmpfs_has_a_size_and_a_limit_of_files(self):
        mounts = self.tiny_ok("--tmpfs", "/t", "--upper", "tmpfs:16m", "cat /proc/self/mountinfo")
        found = re.findall(r"(?m)^\S+ \S+ \S+ \S+ (\S+) .* - tmpfs \S+ (\S+)$", mounts)
        self.assertLessEqual({"/dev", "/dev/shm", "/t"}, {at for at, _ in found})
        for at, options in found:
            for limit in ("size=", "nr_inodes="):
                self.assertIn(limit, options, at)

    def test_memory_files_end_at_their_size(self):
        script = ("head -c 20m /dev/zero >{0}/a 2>/dev/null; stat -c %s {0}/a")
        for options, directory in ((("--shm-size", "8m"), "/dev/shm"), (("--tmpfs", "/t:size=8m"), "/t"),
                                   (("--upper", "tmpfs:8m"), "/srv")):
            size = int(self.tiny_ok(*options, script.format(directory)))
            self.assertLessEqual(size, 8 << 20, str(options))
            self.assertGreater(size, 4 << 20, str(options))
        self.assertEqual(int(self.tiny_ok("--shm-size", "32m", script.format("/dev/shm"))), 20 << 20)

    @only("root", "plain")
    def test_files_without_content_are_limited_too(self):
        out = self.attack_ok("fill", "/dev/shm", "200000")
        number, why = out.split()
        self.assertEqual(why, "ENOSPC")
        self.assertLess(int(number), 100000)


class Volumes(WallCase):
    def test_a_read_only_volume_is_so_to_its_depths_and_cannot_be_made_writable(self):
        volume = self.mkdir("volume")
        self.mkdir("volume/below")
        self.mount("-t", "tmpfs", "-o", "mode=1777", "none", volume / "below")
        script = ("touch /v/x /v/below/x; for m in /v /v/below; do mount -o remount,rw,bind $m; done; "
                  "touch /v/x /v/below/x")
        for options in ((), ALL, ("--privileged",)):
            self.tiny(*options, "-v", f"{volume}:/v:ro", script)
            self.assertEqual(census.tree(volume).keys(), {"below"}, str(options))
        self.tiny("-v", f"{volume}:/v", "touch /v/x /v/below/x")
        self.assertIn("x", census.tree(volume), "a writable one can be written")

    def test_no_volume_has_devices_or_set_id_programs(self):
        volume = self.mkdir("volume")
        for mode in ("rw", "ro"):
            mounts = self.tiny_ok("-v", f"{volume}:/v:{mode}", "cat /proc/self/mountinfo")
            options, = re.findall(r"(?m)^\S+ \S+ \S+ \S+ /v (\S+)", mounts)
            self.assertLessEqual({"nosuid", "nodev", mode}, set(options.split(",")))

    def shared(self) -> Path:
        """A mount that passes on what is mounted below it, as every mount does where systemd runs."""
        path = self.mkdir("shared")
        self.mount("--bind", path, path)
        self.mount("--make-shared", path)
        (path / "below").mkdir()
        self.give(path / "below")
        return path

    def test_what_the_host_mounts_later_does_not_come_in(self):
        """As in Docker (rprivate): it would come without the read-only, nosuid and nodev of the volume."""
        path = self.shared()
        for mode in ("ro", "rw", "cow"):
            with self.subTest(mode):
                process = self.start("run", "-i", "--rootfs", self.rootfs, "-v", f"{path}:/v:{mode}", "--", "sh", "-c",
                                     "echo up; read go; ls /v/below/later; touch /v/below/written-$0; grep -c "
                                     "/v/below /proc/self/mountinfo", mode, stdin=subprocess.PIPE)
                self.assertEqual(process.stdout.readline(), b"up\n")
                subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "none", path / "below"], check=True)
                try:
                    (path / "below/later").touch()
                    result = self.finish(process, "go\n")
                    self.assertEqual(os.listdir(path / "below"), ["later"], "it was written to")
                    self.assertEqual(result.out.split(), ["0"], str(result))
                finally:
                    subprocess.run(["umount", "--lazy", path / "below"], check=True)

    def test_what_is_mounted_in_the_sandbox_does_not_come_out(self):
        path, other = self.shared(), self.mkdir("other")
        self.write("other/of-the-other", "x")
        before = Path("/proc/self/mountinfo").read_text()
        for options in (("-v", f"{path}:/v", "-v", f"{other}:/v/below"), ("-v", f"{path}:/v", "--tmpfs", "/v/below"),
                        ("-v", f"{path}:/v", "-v", f"{other}:/v/below:cow"),
                        ("--cap-add", "SYS_ADMIN", "-v", f"{path}:/v")):
            with self.subTest(" ".join(options)):
                self.tiny(*options, "mount -t tmpfs none /v/below 2>/dev/null; ls /v/below")
                self.assertEqual(os.listdir(path / "below"), [], "a directory of the host was covered by the sandbox")
                new = set(Path("/proc/self/mountinfo").read_text().splitlines()) - set(before.splitlines())
                for line in new:
                    subprocess.run(["umount", "--lazy", line.split()[4]], capture_output=True)
                self.assertEqual(new, set(), "mounts on the host that nobody takes away")

    def test_no_volume_goes_where_it_would_cover_what_the_kernel_shows(self):
        root = self.copy_of_rootfs()
        links = {"toproc": "/proc/sys", "todev": "dev/pts", "tosys": "/proc/../sys", "toroot": "/",
                 "out": "../../../etc", "loop": "loop", "magic": "/proc/self/root/etc", "deep": "a/../../../.."}
        for name, target in links.items():
            (root / name).symlink_to(target)
        volume = self.mkdir("volume")
        self.write("volume/mark")
        targets = ["/proc", "/proc/sys", "/sys/kernel", "/dev", "/dev/pts", "/x/../proc", "/", "/dev/shm/../null",
                   "//proc//", "/proc/./1", *("/" + name for name in links),
                   *(f"/{name}/x" for name in links if name != "toroot")]
        for target in targets:
            with self.subTest(target):
                result = self.hutch("run", "--rootfs", root, "-v", f"{volume}:{target}", "--", "true")
                self.assert_fails(result, 125)

    def test_a_link_in_a_volume_does_not_take_the_next_volume_elsewhere(self):
        root, one, two = self.copy_of_rootfs(), self.mkdir("one"), self.mkdir("two")
        self.write("two/mark")
        before = census.tree(root)
        for target in ("/etc", "/up", "/lower/0", "/vol/1", "/proc/1", "../../..", "/new/etc", "/"):
            (one / "x").unlink(missing_ok=True)
            (one / "x").symlink_to(target)
            for below in ("/v/x", "/v/x/y"):
                volumes = ("-v", f"{one}:/v", "-v", f"{two}:{below}")
                result = self.hutch("run", "--rootfs", root, *volumes, "--", "sh", "-c",
                                    "find / -xdev -name mark; ls -d /*/y /y")
                self.assertEqual((result.code, result.out), (125, ""), f"{target} {below}\n{result}")
        self.assertEqual(census.tree(root), before)

    def test_nor_does_a_link_that_comes_and_goes(self):
        """Somebody who can write to the first volume races with the start."""
        root, one, two = self.copy_of_rootfs(), self.mkdir("one"), self.mkdir("two")
        before = census.tree(root)
        race = "while :; do ln -s /lower/0 x; rm x; mkdir x; rmdir x; ln -s /up/g1 x; rm x; done 2>/dev/null"
        racer = self.persona.popen(["bash", "-c", race], cwd=one, env=self.environment())
        volumes = ("-v", f"{one}:/v", "-v", f"{two}:/v/x/y")
        try:
            for _ in range(25):
                result = self.hutch("run", "--rootfs", root, *volumes, "--", "sh", "-c",
                                    "ls -d /y /*/y 2>/dev/null; :")
                self.assertEqual(result.out, "", str(result))
        finally:
            racer.kill()
            racer.wait()
        self.assertEqual(census.tree(root), before, "a directory was made in the root file system on the host")

    def test_file_handles_lead_out_of_no_mount(self):
        volume = self.mkdir("volume")
        words = ("/", "/v", "/t", "/dev/shm", "/etc", "/dev", "/proc/acpi")
        for options in ((), ("--cap-add", "DAC_READ_SEARCH"), ("--cap-add", "ALL"), ("--privileged", *UNCONFINED)):
            got = outcomes(self.attack_ok("handle", *words, options=("-v", f"{volume}:/v", "--tmpfs", "/t", *options)))
            self.assertEqual({w for w, r in got.items() if w.startswith("root") and r == "ok"}, set(), str(options))
            own = {w for w, r in got.items() if w.startswith("own") and r == "ok"}
            self.assertEqual(own if "ALL" not in options else set(), set() if "--privileged" not in options else own)
        if is_root_of_machine():
            control = subprocess.run([self.program_of("handle"), "/", "/tmp"], capture_output=True, text=True)
            if os.stat("/").st_ino == 2:
                self.assertEqual(outcomes(control.stdout)["root of /"], "ok", "outside the attack works")


@only("root", "subuid", "plain")
class Overlay(WallCase):
    def test_no_attribute_or_device_of_the_overlays_own_can_be_made_to_act_inside(self):
        script = """
            mkdir /srv/d && cd /srv || exit 9
            setfattr -n user.overlay.redirect -v /../../../etc d
            setfattr -n user.overlay.opaque -v y /etc
            setfattr -n user.overlay.metacopy -v '' /etc/passwd
            setfattr -n user.overlay.whiteout -v y /etc/group
            setfattr -n trusted.overlay.redirect -v /etc d
            mknod /etc/os-release c 0 0; rm /etc/os-release; mknod /etc/os-release c 0 0
            mknod w c 0 0
        """
        check = "ls -A /srv/d; cat /etc/passwd | wc -l; ls /etc; ls -l /srv | grep -c ^c"
        for options in ((), ("--cap-add", "ALL"), ("--privileged",)):
            out = self.tiny(*options, f"({script}) >/dev/null 2>&1; {check}").out.split()
            self.assertEqual((out[0], out[-1]), ("2", "0"), str(out))
            self.assertIn("group", out)

    def test_attributes_left_in_a_volume_are_not_believed_when_it_becomes_a_lower_layer(self):
        volume = self.mkdir("volume")
        self.write("volume/secret/of", "x")
        self.mkdir("volume/d")
        for name, value in (("redirect", "/secret"), ("redirect", "/../../etc")):
            os.setxattr(volume / "d", f"user.overlay.{name}", value.encode())
            out = self.tiny("-v", f"{volume}:/v:cow", "ls -A /v/d; :").out
            self.assertEqual(out, "", value)

    def test_what_a_sandbox_does_to_its_root_directory_is_not_there_for_the_next(self):
        """Directories for changes are used again when nothing was written to them: then nothing of the
        last sandbox may be left on them, flags and attributes included."""
        dirty = ("chmod 1777 /", "setfattr -n user.mine -v 1 /", "chown 5:5 /; chown 0:0 /", "touch -d @5 /")
        for script in dirty:
            clean = self.tiny_ok("stat -c '%a %u %g' /; getfattr -d /")
            self.tiny(script + " 2>/dev/null; :")
            self.assertEqual(self.tiny_ok("stat -c '%a %u %g' /; getfattr -d /"), clean, script)
        flags = """
import fcntl, os, sys
fd = os.open("/", os.O_RDONLY)
now = int.from_bytes(fcntl.ioctl(fd, 0x80086601, b"\\0" * 8)[:4], "little")
print(now & 0x10008)
if len(sys.argv) > 1:
    fcntl.ioctl(fd, 0x40086602, (now | 0x10008).to_bytes(8, "little"))
"""
        python = ("--", "/usr/bin/python3", "-c", flags)
        first = self.hutch("run", *python)
        if first.code != 0 or self.hutch("run", *python, "set").code != 0:
            self.skipTest(f"no such flags here: {first.err.strip()[-200:]}")
        after = {self.hutch("run", *python).out.strip() for _ in range(4)}
        self.assertEqual(after, {"0"}, "the next sandbox got a root directory on which every write is synchronous")


@only("root", "subuid", "nested")
class Image(WallCase):
    """Images made to hurt: nothing of them is followed out, waited for, or believed."""

    def run_image(self, root: Path, *options, words=("true",)):
        result = self.hutch("run", "--rootfs", root, *options, "--", *words, timeout=20)
        self.assertLess(result.seconds, 4, str(result))
        return result

    def test_a_passwd_that_is_anything_but_a_file_is_refused_in_one_line_and_in_time(self):
        root = self.copy_of_rootfs()
        passwd = root / "etc/passwd"
        kinds = {
            "fifo": lambda: os.mkfifo(passwd),
            "directory": passwd.mkdir,
            "loop": lambda: passwd.symlink_to("passwd"),
            "huge": lambda: (passwd.touch(), os.truncate(passwd, 1 << 40)),
            "kernel file": lambda: passwd.symlink_to("/proc/1/environ"),
            "another's memory": lambda: passwd.symlink_to("/proc/self/mem"),
            "host": lambda: passwd.symlink_to("../../../../../../../etc/passwd"),
            "binary": lambda: passwd.write_bytes(b"\0\xff:" * 9999),
        }
        for kind, make in kinds.items():
            if passwd.is_dir() and not passwd.is_symlink():
                passwd.rmdir()
            passwd.unlink(missing_ok=True)
            make()
            self.give(passwd)
            with self.subTest(kind):
                many = self.persona.name in ("root", "subuid", "nested-range")
                said = "1 MiB" if kind == "huge" and many else "daemon"
                self.assert_fails(self.run_image(root, "-u", "daemon"), 125, said)
                self.assertEqual(self.run_image(root).code, 0, "without a name it is not needed")

    def test_links_where_hutch_puts_files_are_followed_within_the_image_only(self):
        outside = self.write("outside", "untouched\n")
        root = self.copy_of_rootfs()
        before = None
        for target in (outside, "../" * 12 + str(outside).lstrip("/"), "/proc/sys/kernel/hostname", "/proc/1/environ",
                       "/dev/null", "/dev/shm/x", "/"):
            for name in ("hosts", "resolv.conf", "hostname"):
                path = root / "etc" / name
                path.unlink(missing_ok=True)
                path.symlink_to(target)
                before = census.tree(root)
                options = ("--add-host", "a:1.2.3.4", "--hostname", "evil")
                result = self.run_image(root, *options, words=("cat", f"/etc/{name}"))
                if result.code == 125:
                    self.assertEqual(len(result.err.splitlines()), 1, str(result))
                self.assertEqual(census.tree(root), before)
                self.assertEqual(outside.read_text(), "untouched\n")
                path.unlink()

    def test_an_etc_a_proc_or_a_dev_that_is_a_link_is_no_way_out(self):
        for name in ("proc", "sys", "dev"):
            root = self.copy_of_rootfs()
            (root / name).rmdir()
            (root / name).symlink_to("/tmp")
            self.assert_fails(self.run_image(root), 125, f"/{name}", "link")
            subprocess.run(["rm", "-rf", str(root)], check=True)
        root = self.copy_of_rootfs()
        (root / "etc").rename(root / "etc.real")
        for target in ("/proc/1", "/dev/shm", "../../../../etc", "etc", "/nowhere"):
            (root / "etc").symlink_to(target)
            result = self.run_image(root, words=("sh", "-c", "cat /etc/shadow /etc/hostname; head -1 /proc/mounts"))
            self.assertIn(result.code, (0, 125), str(result))
            (root / "etc").unlink()

    def test_a_working_directory_that_is_a_link_stays_inside(self):
        root = self.copy_of_rootfs()
        for number, target in enumerate(("/proc/1/root", "/proc/1/cwd", "../../..", "/dev/pts", "w4")):
            (root / f"w{number}").symlink_to(target)
            result = self.run_image(root, "-w", f"/w{number}", words=("sh", "-c", "ls -A .. ../.. ../../.."))
            self.assertIn(result.code, (0, 125, 126), str(result))
            self.assertNotIn(self.session.dir.name, result.out)

    def test_no_descriptor_of_the_keeper_serves_as_working_directory(self):
        """As CVE-2024-21626 of runc: a command is a copy of the keeper until it execs, and a path through
        /proc/self/fd leads to what the keeper has open. An image can have a link with that name."""
        root = self.copy_of_rootfs()
        (root / "fds").symlink_to("/proc/self/fd")
        look = "for d in . .. ../.. ../../..; do ls -d $d/lower $d/gen $d/vol; cat $d/[0-9]*/comm; done 2>/dev/null; :"
        for number in range(3, 20):
            for path in (f"/proc/self/fd/{number}", f"/fds/{number}", f"/proc/thread-self/fd/{number}"):
                result = self.run_image(root, "-w", path, words=("sh", "-c", look))
                self.assertNotRegex(result.out, "lower|gen|vol|keeper", f"-w {path} leads to the storage\n{result}")

    def test_no_descriptor_of_the_keeper_serves_on_the_way_to_the_command(self):
        root = self.copy_of_rootfs()
        script = root / "usr/bin/entry"
        for number in range(3, 16):
            program = f"/proc/self/fd/{number}/../lower/0/usr/bin/true"
            script.write_text(f"#!{program}\n")
            script.chmod(0o755)
            self.give(script)
            for words in ((program,), ("entry",)):
                self.assertIn(self.run_image(root, words=words).code, (126, 127), f"{program} was run")

    def test_what_an_image_says_reaches_the_terminal_as_one_line_without_control_characters(self):
        root = self.copy_of_rootfs()
        name = "l\nhutch: all is well\033[31m\033]0;title\007"
        hosts = root / "etc/hosts"
        hosts.unlink(missing_ok=True)
        hosts.symlink_to(name)
        (root / "etc" / name).symlink_to("hosts")
        result = self.run_image(root)
        self.assert_fails(result, 125, "/etc/hosts")
        self.assertNotRegex(result.err.rstrip("\n"), r"[\x00-\x1f\x7f]")
