# SPDX-License-Identifier: Apache-2.0
"""A reset puts everything back: what the inside can see of its sandbox is the same, byte for byte, right after
the start and after a reset that followed all the harm that code inside can do.

tests/digest.c says what is looked at, and what is left out and why; tests/hostile.c does the harm, and prints
what of it was done. Both are seen inside in a read-only volume. e2e_living.py has more about resets.
"""

import hashlib
import shutil
import time
from pathlib import Path

from e2e_living import Box, LivingCase, changed
from lib import census, machine, only, storm
from lib.extra import MANY_IDS

DONE_BY_ALL = {"jobs", "segment", "semaphores", "messages", "queue", "memory", "listener", "connection", "datagrams",
               "path", "abstract", "lease", "lock", "mapped", "nameless", "10,000 files", "links", "fifo", "deep",
               "root"}
IN_ROOTFS = DONE_BY_ALL | {"passwd", "group", "resolver", "programs", "links to programs", "moved"}
NEVER_DONE = {"device", "trusted"}  # a device of the host; attributes that steer overlays
OF_THE_HOST = ("/usr", "/opt", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32")  # read-only binds


class DigestCase(LivingCase):
    def setUp(self):
        super().setUp()
        self.instruments = self.mkdir("instruments")
        for name in ("digest", "hostile"):
            shutil.copy2(self.session.build / "tests" / name, self.instruments / name)
            (self.instruments / name).chmod(0o755)
            self.give(self.instruments / name)

    def start_box(self, *options, root: tuple | None = None) -> Box:
        return self.create("-v", f"{self.instruments}:/instruments:ro", *options, root=root)

    def digest(self, box: Box, *left_out) -> str:
        result = self.hutch("exec", box.name, "/instruments/digest", *left_out)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def harm(self, box: Box, way: str) -> set[str]:
        result = self.hutch("exec", box.name, "/instruments/hostile", way)
        self.assertEqual(result.code, 137 if way == "stopped" and not result.out else 0, str(result))
        return set(result.out.splitlines())

    def timed_reset(self, box: Box, what: str) -> None:
        since = time.monotonic()
        self.reset_ok(box)
        print(f"# {self.persona.name}: reset after {what}: {(time.monotonic() - since) * 1e3:.1f} ms, with `hutch reset`", flush=True)

    def tell_digests(self, *digests: str) -> None:
        told = [f"{hashlib.sha256(one.encode()).hexdigest()[:16]} of {one.count(chr(10))} lines" for one in digests]
        print(f"# {self.persona.name}: digest at the start {told[0]}, after the reset {told[1]}", flush=True)

    @machine.settings()
    def put_back(self, *options, way: str = "all", must: set = IN_ROOTFS, left_out: tuple = (),
                 root: tuple | None = None, resets: int = 2) -> set[str]:
        """Start, digest, harm, reset, digest: equal, @resets times. What harm was done."""
        box = self.start_box(*options, root=root)
        start = self.digest(box, *left_out)
        self.assertEqual(changed(start, self.digest(box, *left_out)), "", "the digest changes of itself")
        for number in range(resets):
            done = self.harm(box, way)
            self.assertEqual(must - done, set(), "harm that was not done")
            self.timed_reset(box, f"'{way}' {' '.join(options)}".strip())
            after = self.digest(box, *left_out)
            self.tell_digests(start, after)
            self.assertEqual(changed(start, after), "", f"reset {number + 1} did not put it back")
        self.rm_ok(box)
        return done


class ResetDigest(DigestCase):
    def test_the_digest_sees_harm(self):
        box = self.start_box()
        start = self.digest(box)
        self.inside_ok(box, "echo x >>/etc/group; chmod 700 /etc; setfattr -n user.x -v 1 /srv; "
                            "setsid sleep 1000 >/dev/null 2>&1 & echo y >/dev/shm/y; rm /etc/os-release")
        seen = {line.split()[0][1:] for line in changed(start, self.digest(box)).splitlines() if line[0] in "+-"}
        self.assertLessEqual({"file", "process"}, seen)
        self.rm_ok(box)

    def test_after_all_the_harm_that_code_inside_can_do(self):
        done = self.put_back()
        self.assertEqual(NEVER_DONE & done, set())

    def test_with_changes_in_memory(self):
        self.put_back("--upper", "tmpfs:64m", resets=1)

    def test_with_the_machines_programs(self):
        self.put_back(root=("--host",), must=DONE_BY_ALL, left_out=OF_THE_HOST)

    def test_with_volumes_that_are_copies(self):
        self.write("dir/file", "mine")
        self.write("one", "mine")
        before = census.tree(self.tmp / "dir"), (self.tmp / "one").read_text()
        self.put_back("-v", "./dir:/cow:cow", "-v", "./one:/one:cow", must=IN_ROOTFS | {"cow", "one"})
        self.assertEqual((census.tree(self.tmp / "dir"), (self.tmp / "one").read_text()), before)

    def test_with_powers_over_mounts_and_names(self):
        self.put_back("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", must=IN_ROOTFS | {"hostname", "domain", "mount"})

    @only(*MANY_IDS)
    def test_with_everything_given(self):
        self.put_back("--privileged", "--security-opt", "seccomp=unconfined", must=IN_ROOTFS | {"hostname", "mount"})

    def test_after_trees_that_are_stopped(self):
        self.put_back(way="stopped", must=set(), resets=1)

    @storm
    def test_after_and_in_a_fork_bomb(self):
        self.put_back(way="bomb", must={"bomb"}, resets=1)

    def test_after_all_descriptors_were_taken(self):
        self.put_back(way="descriptors", must={"descriptors"}, resets=1)

    def test_after_a_full_disk(self):
        self.put_back("--upper", "tmpfs:8m", way="full", must={"full"}, resets=1)


class DeleteAfterHarm(DigestCase):
    @storm
    def test_nothing_is_left_of_it_whatever_was_done(self):
        for way in ("all", "stopped", "bomb", "descriptors"):
            box = self.start_box()
            self.harm(box, way)
            self.rm_ok(box)
            self.nothing_left()
        box = self.start_box("--upper", "tmpfs:8m")
        self.harm(box, "full")
        self.rm_ok(box)
        self.nothing_left()
