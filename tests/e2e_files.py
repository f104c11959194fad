# SPDX-License-Identifier: Apache-2.0
"""hutch cp: files and trees between the host and a living sandbox."""

import os
import socket
import stat
import subprocess

from lib import only
from lib.extra import BoxCase


class Copies(BoxCase):
    def cp_ok(self, *words) -> None:
        result = self.hutch("cp", *words)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""), str(result))

    def inside(self, script: str) -> str:
        result = self.hutch("exec", "box", "sh", "-c", script)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def test_where_it_goes_is_as_with_docker_cp(self):
        self.write("a", "text")
        tree = self.mkdir("tree")
        self.write("tree/x", "in the tree")
        there = self.mkdir("there")
        for source, to, found in (
            (tree.parent / "a", "/tmp/new", "/tmp/new"),
            (tree.parent / "a", "/tmp", "/tmp/a"),
            (tree.parent / "a", "/tmp/new", "/tmp/new"),  # over it
            (tree, "/tmp/as", "/tmp/as/x"),
            (tree, "/tmp", "/tmp/tree/x"),
            (f"{tree}/.", "/srv", "/srv/x"),
        ):
            self.cp_ok(source, f"box:{to}")
            self.assertIn(self.inside(f"cat {found}"), ("text", "in the tree"))
        self.cp_ok("box:/tmp/tree", there)
        self.assertEqual((there / "tree/x").read_text(), "in the tree")
        self.cp_ok("box:/tmp/tree/.", there)
        self.assertEqual((there / "x").read_text(), "in the tree")
        self.cp_ok("box:/tmp/a", there / "b")
        self.assertEqual((there / "b").read_text(), "text")
        self.cp_ok("box:tmp/a", there)  # from the root
        self.assertEqual((there / "a").read_text(), "text")

    def test_what_cannot_be_is_one_line_and_125(self):
        self.write("a", "text")
        tree = self.mkdir("tree")
        for words, said in (
            ((tree.parent / "a", "box:/nowhere/x"), "No such file or directory"),
            ((tree.parent / "a", "box:/tmp/x/"), "No such file or directory"),
            ((tree, "box:/etc/hosts"), "Not a directory"),
            (("box:/nowhere", tree), "No such file or directory"),
            (("box:/etc", tree.parent / "a"), "Not a directory"),
            ((tree, tree), "neither"),
            (("box:/tmp", "box:/srv"), "both"),
            (("box:/etc/hosts", "-"), "hutch exec NAME tar"),
            (("-", "box:/tmp"), "hutch exec -i NAME tar"),
            ((tree.parent / "none", "box:/tmp"), "none"),
            (("nobody:/tmp", tree), "no sandbox has the name 'nobody'"),
            ((tree,), "a source and a destination"),
        ):
            self.assert_fails(self.hutch("cp", *words), 125, said)
        self.assertEqual(list(tree.iterdir()), [])
        self.assertFalse((self.tmp / "-").exists())
        self.cp_ok("box:/etc/hosts", "./-")
        self.assertTrue((self.tmp / "-").exists())

    def test_modes_times_links_and_kinds_are_kept(self):
        tree = self.mkdir("tree")
        self.write("tree/x", "x", mode=0o751)
        os.utime(tree / "x", ns=(1_000_000_001, 2_000_000_002))
        (tree / "link").symlink_to("/etc/hosts")
        os.mkfifo(tree / "fifo", 0o640)
        self.cp_ok(tree, "box:/tmp")
        self.assertEqual(self.inside("cd /tmp/tree; stat -c '%a %u %Y' x; readlink link; [ -p fifo ] && echo fifo"),
                         "751 0 2\n/etc/hosts\nfifo\n")
        self.inside("chmod 6711 /tmp/tree/x")
        self.cp_ok("box:/tmp/tree", tree / "back")
        back = os.stat(tree / "back/x")
        self.assertEqual((back.st_mode & 0o7777, back.st_mtime_ns, back.st_uid), (0o711, 2_000_000_002, self.persona.uid))
        self.assertEqual(os.readlink(tree / "back/link"), "/etc/hosts")
        self.assertTrue(stat.S_ISFIFO(os.lstat(tree / "back/fifo").st_mode))

    def test_links_inside_lead_nowhere_else(self):
        secret = self.write("secret", "of the host")
        place = self.mkdir("place")
        self.inside(f"ln -s {secret} /tmp/link; ln -s {place} /tmp/dir; ln -s /proc/1/root /tmp/magic")
        self.cp_ok("box:/tmp/link", place / "got")
        self.assertEqual(os.readlink(place / "got"), str(secret))  # itself
        (place / "got").unlink()
        self.assert_fails(self.hutch("cp", "-L", "box:/tmp/link", place / "got"), 125, "No such file")
        self.assert_fails(self.hutch("cp", secret, "box:/tmp/dir/x"), 125, "No such file")
        self.assert_fails(self.hutch("cp", "box:/tmp/magic/etc", place), 125, "")
        self.assertEqual(list(place.iterdir()), [])

    def test_a_link_that_takes_the_place_of_a_directory_is_not_followed(self):
        place = self.mkdir("place")
        other = self.mkdir("other")
        (place / "tree").symlink_to(other)
        self.inside("mkdir /tmp/tree; echo x >/tmp/tree/x")
        self.assertNotEqual(self.hutch("cp", "box:/tmp/tree/.", place / "tree2").code, 125)
        self.hutch("cp", "box:/tmp", place)  # whose tmp/ is new
        self.assertEqual(list(other.iterdir()), [])

    def test_what_is_left_out_is_said(self):
        tree = self.mkdir("tree")
        self.write("tree/x", "x")
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(tree / "sock"))
            result = self.hutch("cp", tree, "box:/tmp")
            self.assertEqual((result.code, result.err), (0, "hutch: 1 sockets and devices were left out\n"))
            self.cp_ok("-q", tree, "box:/tmp/again")
        self.assertEqual(self.inside("ls /tmp/tree"), "x\n")

    def test_what_the_kernel_makes_up_is_whole(self):
        place = self.mkdir("place")
        self.cp_ok("box:/proc/version", place)
        self.assertEqual((place / "version").read_text(), self.inside("cat /proc/version"))
        self.cp_ok("/proc/version", "box:/tmp/there")
        self.assertEqual(self.inside("cat /tmp/there"), (place / "version").read_text())
        self.cp_ok("box:/proc/sys/net/unix", place)  # in a tree it is empty: some have no end
        self.assertEqual((place / "unix/max_dgram_qlen").stat().st_size, 0)

    @only("root", "plain")
    def test_large_and_sparse_files(self):
        place = self.mkdir("place")
        with open(place / "big", "wb") as file:
            file.truncate(20 << 30)
            file.seek(10 << 30)
            file.write(b"in the middle")
        self.cp_ok(place / "big", "box:/tmp")
        self.assertEqual(self.inside("stat -c %s /tmp/big; tail -c +10737418241 /tmp/big | head -c 13"),
                         f"{20 << 30}\nin the middle")
        self.cp_ok("box:/tmp/big", place / "back")
        back = os.stat(place / "back")
        self.assertEqual(back.st_size, 20 << 30)
        self.assertLess(back.st_blocks, 1000)

    @only("root", "plain")
    def test_a_full_sandbox_leaves_no_half_of_a_file(self):
        self.run_ok("create", "--rootfs", self.rootfs, "--upper", "tmpfs:8m", "small")
        try:
            big = self.write("big", b"x" * (20 << 20))
            self.assert_fails(self.hutch("cp", big, "small:/tmp/big"), 125, "No space left on device")
            self.assertEqual(self.hutch("exec", "small", "ls", "/tmp").out, "")
        finally:
            self.hutch("rm", "small")

    @only("root", "subuid")
    def test_files_of_other_users_of_the_sandbox_are_copied(self):
        place = self.mkdir("place")
        self.inside("echo x >/tmp/x; chown 1000:1000 /tmp/x; chmod 600 /tmp/x")
        self.cp_ok("box:/tmp/x", place / "x")
        self.assertEqual((place / "x").read_text(), "x\n")
        self.assertEqual(os.stat(place / "x").st_uid, self.persona.uid)

    @only("root", "plain")
    def test_a_tree_that_changes_meanwhile_holds_nobody_up(self):
        place = self.mkdir("place")
        churn = self.start("exec", "box", "sh", "-c", """mkdir -p /tmp/t/d; echo ready
            while :; do ln -sfn /proc/1 /tmp/t/l; rm -rf /tmp/t/d; mkfifo /tmp/t/d; rm /tmp/t/d; mkdir /tmp/t/d; echo x >/tmp/t/d/x; done""",
            stdout=subprocess.PIPE)
        self.assertEqual(churn.stdout.readline(), b"ready\n")
        try:
            for number in range(10):
                result = self.hutch("cp", "box:/tmp/t", place / str(number))
                self.assertLess(result.seconds, 5, str(result))
        finally:
            churn.terminate()
            churn.communicate()
