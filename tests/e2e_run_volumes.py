# SPDX-License-Identifier: Apache-2.0
"""hutch run: -v, --mount, --tmpfs, --shm-size, --device."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from lib import needs, only
from lib.census import count_processes, tree
from lib.extra import RunCase
from lib.persona import is_root_of_machine
from lib.slow_file import SlowFile

C_PROJECT_FILES = 24


class Volumes(RunCase):
    """-v SRC:DST[:ro|rw|cow], for directories and files."""

    def test_a_directory_is_shown_and_can_be_written_as_with_docker(self):
        self.write("d/file", "old\n")
        for mode in ("", ":rw"):
            out = self.tiny_ok("-v", f"{self.tmp}/d:/v{mode}",
                               "cat /v/file; echo new >/v/file; echo x >/v/made; rm -f /v/gone; mkdir -p /v/s")
            self.assertEqual(out, "old\n")
            self.assertEqual((self.tmp / "d/file").read_text(), "new\n")
            made = (self.tmp / "d/made").stat()
            self.assertEqual((made.st_uid, made.st_gid), (self.persona.uid, self.persona.gid))
            self.write("d/file", "old\n")

    def test_a_file_is_shown_and_can_be_written_as_with_docker(self):
        file = self.write("file", "old\n")
        for target in ("/v", "/new/dir/v", "/etc/passwd", "/tmp/v"):
            file.write_text("old\n")
            self.assertEqual(self.tiny_ok(
                "-v", f"{file}:{target}", f"cat {target}; echo new >{target}; ls -A {target}"), f"old\n{target}\n")
            self.assertEqual(file.read_text(), "new\n")

    def test_read_only_is_read_only_all_the_way_down(self):
        self.write("d/sub/file", "old\n")
        before = tree(self.tmp / "d")
        script = ("cat $1/sub/file; for f in $1/new $1/sub/new $1/sub/file;"
                  " do (echo x >$f) 2>/dev/null && echo written; done;"
                  "rm -rf $1/sub 2>/dev/null; chmod 777 $1 2>/dev/null;"
                  " mount -o remount,bind,rw $1 2>/dev/null && echo remounted; true")
        for options in ([], ["--cap-add", "SYS_ADMIN"], ["--privileged"]):
            result = self.hutch("run", *options, "-v", "./d:/v:ro", "--", "sh", "-c", script, "sh", "/v")
            self.assertEqual(result.out, "old\n", str(result))
        self.assertEqual(tree(self.tmp / "d"), before)
        file = self.write("file", "old\n")
        self.assertNotEqual(self.host("-v", f"{file}:/v:ro", "echo x >/v").code, 0)
        self.assertEqual(file.read_text(), "old\n")

    @only("root")
    def test_read_only_holds_for_file_systems_mounted_below(self):
        below = self.mkdir("d/below")
        subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
        try:
            self.write("d/below/file", "old\n")
            result = self.tiny("-v", f"{self.tmp}/d:/v:ro",
                               "cat /v/below/file; echo x >/v/below/file; echo y >/v/below/new; true")
            self.assertEqual(result.out, "old\n", str(result))
            self.assertEqual(tree(below)["file"][3], b"old\n")
            self.assertEqual(os.listdir(below), ["file"])
            self.assertEqual(self.tiny_ok("-v", f"{self.tmp}/d:/v:rw",
                             "echo x >/v/below/new; ls /v/below"), "file\nnew\n")
        finally:
            subprocess.run(["umount", "-l", str(below)], check=True)

    def test_copy_on_write_leaves_the_directory_byte_for_byte(self):
        for name in ("file", "sub/deep/file", "sub/other", "gone"):
            self.write(f"d/{name}", name)
        (self.tmp / "d/link").symlink_to("file")
        before, times = tree(self.tmp / "d"), self.times(self.tmp / "d")
        script = ("cd /v; echo new >file; echo more >>sub/other; rm gone; rm -r sub/deep; mv sub moved;"
                  " chmod 600 link; ln -sf x link;"
                  "touch -d 2001-01-01 moved/other; mkdir a b; ls -A; cat file moved/other")
        self.assertEqual(self.tiny_ok("-v", "./d:/v:cow", script).split(),
                         "a b file link moved new sub/othermore".split())
        self.assertEqual(self.tiny_ok("-v", "./d:/v:cow", "cat /v/file /v/sub/deep/file /v/gone"),
                         "filesub/deep/filegone")
        self.assertEqual((tree(self.tmp / "d"), self.times(self.tmp / "d")), (before, times))

    def times(self, path: Path) -> dict[str, tuple]:
        """When each file below @path was written, and which inode it is."""
        found = {}
        for top, directories, files in os.walk(path):
            for name in directories + files:
                status = os.lstat(os.path.join(top, name))
                found[os.path.join(top, name)] = (status.st_mtime_ns, status.st_ino)
        return found

    def test_a_copy_on_write_file_is_a_private_copy(self):
        file = self.write("file", "old\n", mode=0o640)
        before = self.times(self.tmp)
        for target in ("/v", "/etc/passwd", "/a/b/v"):
            self.assertEqual(self.tiny_ok("-v", f"{file}:{target}:cow",
                                          f"cat {target}; echo new >>{target}; cat {target}; stat -c %a {target}"),
                             "old\nold\nnew\n640\n")
        self.assertEqual((file.read_text(), self.times(self.tmp)), ("old\n", before))

    def test_copy_on_write_belongs_to_uid_0_inside(self):
        self.write("d/file", "x")
        self.assertEqual(self.tiny_ok("-v", "./d:/v:cow",
                         "stat -c %u,%g /v /v/file; chmod 600 /v/file; touch /v/new"), "0,0\n0,0\n")

    @only("subuid", "plain")
    @needs(lambda case: case.persona.changes_user(), "needs files of others")
    def test_copy_on_write_says_whose_files_it_cannot_copy(self):
        path = self.write("d/file", "x")
        ask = ("run", "--rootfs", self.rootfs, "-v", "./d:/v:cow", "--", "sh", "-c", "echo y >>/v/file")
        result = self.hutch(*ask)
        self.assertEqual((result.code, result.err), (0, ""))
        for one in (path, path.parent):
            os.chown(one, self.persona.uid, 0)
        result = self.hutch(*ask)
        self.assertNotEqual(result.code, 0)
        self.assertIn(f"'{path.parent}' belongs to group 0, whom the sandbox does not know", result.err)
        self.assertIn("Value too large for defined data type", result.err)
        self.assertEqual(path.read_text(), "x")

    @only("subuid", "plain")
    @needs(lambda case: case.persona.changes_user(), "needs files of others")
    def test_a_root_file_system_of_others_is_remarked(self):
        root = self.tmp / "root"
        shutil.copytree(self.rootfs, root, symlinks=True)
        ask = ("run", "--rootfs", root, "--", "sh", "-c", "echo x >/srv/new")
        ours = (self.persona.uid, self.persona.gid)
        for uid, gid, whose in ((*ours, ""), (ours[0], 0, "group 0"), (0, ours[1], "uid 0"), (0, 0, "uid 0")):
            for path in (root, root / "srv"):
                path.mkdir(exist_ok=True)
                os.chown(path, uid, gid)
            result = self.hutch(*ask)
            if not whose:
                self.assertEqual((result.code, result.err), (0, ""))
                continue
            self.assertNotEqual(result.code, 0, whose)
            self.assertIn(f"the root file system belongs to {whose}, whom the sandbox does not know", result.err)
            said = "Permission denied" if uid == 0 else "Value too large for defined data type"
            self.assertEqual(result.err.count(said), 2, result.err)
            result = self.hutch("run", "--read-only", *ask[1:])
            self.assertNotIn("belongs to", result.err)
            result = self.hutch("run", "-q", *ask[1:])
            self.assertNotIn("belongs to", result.err)

    def test_a_source_is_taken_from_the_current_directory(self):
        self.write("sub/d/file", "x")
        for source in ("./d", ".", "../sub/d", "./d/../d/."):
            out = self.tiny_ok("-v", f"{source}:/v:ro", "ls /v", cwd=self.tmp / "sub")
            self.assertEqual(out, "d\n" if source == "." else "file\n", source)

    def test_a_source_that_is_a_link_is_what_it_points_to(self):
        self.write("d/file", "x")
        (self.tmp / "link").symlink_to("d")
        (self.tmp / "flink").symlink_to("d/file")
        self.assertEqual(self.tiny_ok("-v", "./link:/v:ro", "-v", "./flink:/f:cow", "ls /v; cat /f"), "file\nx")

    @only("root", "plain")
    def test_an_absent_source_is_an_error_and_is_not_made(self):
        for option in (["-v", "./absent:/v"], ["-v", f"{self.tmp}/absent:/v:ro"], ["-v", "./absent:/v:cow"],
                       ["--mount", "type=bind,source=./absent,target=/v"]):
            self.refused(*option, "--", "true", words=("absent", "No such file"))
        self.assertEqual(os.listdir(self.tmp), [])

    @only("root", "plain")
    def test_a_bare_name_is_a_named_volume_and_comes_later(self):
        self.mkdir("d")
        self.refused("-v", "d:/v", "--", "true", words=("'d:/v'", "named volume", "yet"))
        self.refused("--mount", "type=volume,source=d,target=/v", "--", "true", words=("--mount", "volume", "yet"))

    @only("subuid", "plain")
    def test_a_source_that_the_caller_may_not_read_stays_closed(self):
        secret = self.write("closed/secret", "secret")
        os.chown(secret, 0, 0)
        secret.chmod(0o600)
        os.chown(secret.parent, 0, 0)
        secret.parent.chmod(0o700)
        for mode in ("ro", "rw", "cow"):
            self.refused("-v", f"{secret}:/v:{mode}", "--", "cat", "/v", words=("closed", "ermission denied"))
            result = self.host("-v", f"{secret.parent}:/v:{mode}", "cat /v/secret")
            self.assertNotEqual(result.code, 0)
            self.assertNotIn("secret", result.out)

    @only("root", "plain")
    def test_words_that_are_no_volume_are_refused(self):
        directory = self.mkdir("d")
        for value in (f"{directory}:relative", f"{directory}:", ":/v", "", f"{directory}:/v:xx",
                      f"{directory}:/v:ro:rw", f"{directory}:/v:ro,cow",
                      f"{directory}:/", f"{directory}:/..", f"{directory}:/v/../.."):
            self.refused(f"--volume={value}", "--", "true", words=("--volume",))

    @only("root", "plain")
    def test_dockers_other_words_on_a_volume_are_accepted(self):
        directory = self.mkdir("d")
        for words in ("z", "Z", "ro,z", "rw,Z", "cached", "delegated", "consistent", "ro,rprivate"):
            self.assertEqual(self.hutch("run", "-v", f"{directory}:/v:{words}", "--", "true").code, 0, words)

    def test_a_target_in_proc_sys_and_dev_is_refused(self):
        directory = self.mkdir("d")
        for target in ("/proc", "/proc/x", "/sys", "/sys/fs", "/dev", "/dev/x", "/dev/shm/x", "//proc", "/./proc/1",
                       "/usr/../proc/x", "/proc/"):
            self.refused("-v", f"{directory}:{target}", "--", "true", words=(target,))
            self.refused("--tmpfs", target, "--", "true", words=(target,))
        self.refused("--mount", f"type=bind,source={directory},target=/proc", "--", "true", words=("/proc",))

    def test_a_target_that_a_link_of_the_root_leads_elsewhere_harms_nobody(self):
        root = self.copy_of_rootfs()
        outside = self.mkdir("outside")
        (root / "out").symlink_to(outside)
        (root / "up").symlink_to("../../../../../../../.." + str(outside))
        (root / "p").symlink_to("proc")
        (root / "d").symlink_to("/dev")
        (root / "loop").symlink_to("loop")
        self.write("v/file", "x")
        before = tree(root)
        for target in ("/out", "/up", "/out/x", "/up/x"):
            result = self.hutch("run", "--rootfs", root, "-v", "./v:" + target, "--", "cat", target + "/file")
            if result.code == 0:  # taken as a path of the root: what the link says, inside
                self.assertEqual(result.out, "x", str(result))
            else:
                self.assert_fails(result, 125, target)
        for target in ("/p", "/p/x", "/d/x", "/loop", "/loop/x"):
            result = self.hutch("run", "--rootfs", root, "-v", "./v:" + target, "--", "true")
            self.assert_fails(result, 125)
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(tree(root), before)

    def test_the_place_of_a_target_is_made_and_not_in_the_root_on_disk(self):
        self.write("d/file", "x")
        before = tree(self.rootfs)
        out = self.tiny_ok("-v", "./d:/made/for/it", "-v", "./d/file:/made/a-file", "-v", "./d:/usr/bin/made:ro",
                           "ls /made/for/it; cat /made/a-file; ls /usr/bin/made")
        self.assertEqual(out, "file\nxfile\n")
        self.assertEqual(tree(self.rootfs), before)

    def test_volumes_may_lie_in_each_other_in_any_order(self):
        self.write("a/file", "a")
        self.write("b/file", "b")
        self.mkdir("a/sub")
        for words in (["-v", "./a:/v", "-v", "./b:/v/sub"], ["-v", "./b:/v/sub", "-v", "./a:/v"],
                      ["-v", "./a:/v:cow", "-v", "./b:/v/sub:ro"], ["-v", "./b:/t/v:ro", "--tmpfs", "/t"]):
            target = "/t/v" if "--tmpfs" in words else "/v/sub"
            self.assertEqual(self.tiny_ok(*words, f"cat {target}/file"), "b", words)

    @only("root", "plain")
    def test_one_target_twice_is_refused(self):
        self.mkdir("a"), self.mkdir("b")
        self.refused("-v", "./a:/v", "-v", "./b:/v", "--", "true", words=("/v",))
        self.refused("-v", "./a:/v", "--tmpfs", "/v", "--", "true", words=("/v",))
        self.refused("-v", "./a:/v", "-v", "./b:/x/../v/", "--", "true", words=("/v",))

    @only("root", "plain")
    def test_volumes_carry_no_set_id_bits_and_no_devices_in(self):
        program = Path(shutil.copy("/usr/bin/id", self.tmp / "id"))
        program.chmod(0o4755)
        mounts = self.host_ok("-v", f"{self.tmp}:/v:rw", "-v", f"{program}:/f:ro",
                              "grep -E ' (/v|/f) ' /proc/self/mountinfo")
        for line in mounts.splitlines():
            self.assertLessEqual({"nosuid", "nodev"}, set(line.split()[5].split(",")), line)

    def test_names_of_odd_bytes_are_names(self):
        for name in (b"new\nline", b"\xff\xfe", b"comma,space \t", b"'\"\\", b"-v", b"$(x)"):
            path = os.fsencode(self.tmp) + b"/" + name
            with open(path, "wb") as file:
                file.write(b"content of " + name)
            self.give(Path(os.fsdecode(path)))
            result = self.run_ok("run", "--rootfs", self.rootfs, "-v", path + \
                                 b":/t/" + name + b":ro", "--", "cat", b"/t/" + name)
            self.assertEqual(os.fsencode(result.out), b"content of " + name)
            target = b"/workdir of " + name
            result = self.run_ok("run", "--rootfs", self.rootfs, b"--tmpfs=/t/" + \
                                 name, "-w", target, "--", "sh", "-c", "pwd; ls /t")
            self.assertEqual(os.fsencode(result.out), target + b"\n" + name + b"\n")

    @only("root", "plain")
    def test_sockets_and_fifos_can_be_shown(self):
        path = self.tmp / "s"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            self.give(path)
            path.chmod(0o777)
            os.mkfifo(self.tmp / "fifo", 0o666)
            self.give(self.tmp / "fifo")
            out = self.host_ok("-v", f"{path}:/run/s", "-v", f"{self.tmp}/fifo:/run/f", "stat -c %F /run/s /run/f")
        self.assertEqual(out, "socket\nfifo\n")

    def test_many_volumes_are_possible(self):
        words = []
        for number in range(60):
            self.write(f"many/{number}", str(number))
            words += ["-v", f"./many/{number}:/v/{number}:{('ro', 'rw', 'cow')[number % 3]}"]
        self.assertEqual(self.tiny_ok(*words, "cd /v; cat $(seq 0 59)"), "".join(map(str, range(60))))


@only("subuid", "plain")  # the kernel does not map the ids of such a file system, as a root caller would have it
class SlowCopies(RunCase):
    """A file that is a volume of kind cow is read at the start and at a reset. Its file system may answer as late as it
    likes: that holds up who waits for it, and is no reason to outlive him, or not to be ended."""

    def wait_for_the_end(self, before: dict) -> None:
        def left() -> list[str]:
            return [what for pid, (_, what) in count_processes().items() if pid not in before and "(Z)" not in what]

        deadline = time.monotonic() + 10
        while left() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(left(), [])
        self.run_ok("cleanup")

    @needs(is_root_of_machine, "only root of the machine can mount a file system that does not answer")
    def test_it_is_copied_when_it_answers(self):
        with SlowFile(self.tmp / "slow", b"content\n") as slow:
            self.assertEqual(self.tiny_ok("-v", f"{slow.path}:/v:cow", "cat /v; echo x >>/v; cat /v"), "content\ncontent\nx\n")

    @needs(is_root_of_machine, "only root of the machine can mount a file system that does not answer")
    def test_a_start_that_waits_for_it_ends_with_its_owner(self):
        with SlowFile(self.tmp / "slow", b"content\n") as slow:
            slow.answers, before = False, count_processes()
            process = self.start("run", "--rootfs", self.rootfs, "-v", f"{slow.path}:/v:cow", "--", "cat", "/v")
            self.assertTrue(slow.asked.wait(20))
            process.kill()
            process.wait()
            self.wait_for_the_end(before)

    @needs(is_root_of_machine, "only root of the machine can mount a file system that does not answer")
    def test_a_sandbox_whose_reset_waits_for_it_can_be_stopped_and_removed(self):
        for words in (("rm", "box"), ("stop", "-t", "1", "box"), ("kill", "box")):
            with SlowFile(self.tmp / words[0], b"content\n") as slow:
                before = count_processes()
                self.run_ok("create", "--rootfs", self.rootfs, "-v", f"{slow.path}:/v:cow", "box")
                slow.answers = False
                reset = self.start("reset", "box")
                self.assertTrue(slow.asked.wait(20))
                self.run_ok(*words, timeout=20)
                self.assertNotEqual(self.finish(reset, timeout=20).code, 0)
                self.hutch("rm", "box")
                self.wait_for_the_end(before)


class Project(RunCase):
    """hutch run -v $PWD:/src:cow -w /src -- make, on a C project of some size."""

    def make_project(self) -> Path:
        """A program of C_PROJECT_FILES modules in a library, with generated headers, a test and an install."""
        numbers = range(C_PROJECT_FILES)
        for n in numbers:
            self.write(f"p/lib/f{n}.h", f"int f{n}(int x);\n")
            calls = f" + f{n - 1}(x)" if n else ""
            include = f'#include "f{n - 1}.h"\n' if n else ""
            self.write(
                f"p/lib/f{n}.c", f'#include "f{n}.h"\n#include "config.h"\n{include}int f{n}(int x)'
                                 f' {{ return STEP{calls}; }}\n')
        self.write("p/main.c", f'#include <stdio.h>\n#include "f{numbers[-1]}.h"\n'
                               f'int main(void) {{ printf("%d\\n", f{numbers[-1]}(1)); return 0; }}\n')
        self.write("p/configure", "#!/bin/sh\nset -e\necho 'int main(void){return 0;}' >conftest.c\n${CC:-cc} -o"
                                  " conftest conftest.c\n./conftest\n"
                                  "echo '#define STEP 2' >lib/config.h\nrm conftest*\n", mode=0o755)
        objects = " ".join(f"lib/f{n}.o" for n in numbers)
        self.write("p/Makefile",
                   "CFLAGS = -O1 -Ilib -MMD\nall: prog\nprog: main.o lib/libf.a\n\t$(CC) -o $@ main.o lib/libf.a\n"
                                 f"lib/libf.a: {objects}\n\t$(AR) rcs $@ {objects}\n{objects} main.o: lib/config.h\n"
                                 "lib/config.h: configure\n\t./configure\ncheck: prog\n\ttest \"$$(./prog)\" = "
                                 f"{2 * C_PROJECT_FILES}\ninstall: prog\n\tmkdir -p $(DESTDIR)/bin && cp prog"
                                 f" $(DESTDIR)/bin/\n"
                                 "clean:\n\trm -f prog *.o *.d lib/*.o lib/*.d lib/*.a lib/config.h\n-include"
                                 " $(wildcard *.d lib/*.d)\n")
        return self.tmp / "p"

    @needs(shutil.which("make") and shutil.which("cc"), "there is no compiler here")
    def test_a_project_is_built_and_tested_and_the_directory_stays_as_it_was(self):
        project = self.make_project()
        before, times = tree(project), {p: p.stat().st_mtime_ns for p in project.rglob("*")}
        out = self.mkdir("out")
        result = self.run_ok("run", "-v", ".:/src:cow", "-v", f"{out}:/out", "-w", "/src", "--", "make", "-s", "-j2",
                             "check",
                             "install", "DESTDIR=/out", cwd=project)
        self.assertEqual(result.err, "")
        self.assertEqual(tree(project), before)
        self.assertEqual({p: p.stat().st_mtime_ns for p in project.rglob("*")}, times)
        self.assertEqual(self.persona.run([str(out / "bin/prog")]).stdout, f"{2 * C_PROJECT_FILES}\n".encode())

    @only("root", "plain")
    @needs(shutil.which("make") and shutil.which("cc"), "there is no compiler here")
    def test_a_build_that_fails_tells_so_and_leaves_nothing(self):
        project = self.make_project()
        self.write("p/lib/f3.c", "not C\n")
        before = tree(project)
        result = self.hutch("run", "-v", ".:/src:cow", "-w", "/src", "--", "make", "-s", cwd=project)
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("f3.c", result.err)
        self.assertEqual(tree(project), before)


@only("root", "subuid", "plain")
class Mount(RunCase):
    """--mount: the same in words."""

    def test_all_its_words(self):
        self.write("d/file", "old\n")
        for words, writable in (("type=bind,source=./d,target=/v", "there"), ("type=bind,src=./d,dst=/v,readonly",
                                                                              ""),
                                ("source=./d,destination=/v,type=bind,ro",
                                 ""), ("type=bind,src=./d,target=/v,readonly=true", ""),
                                ("type=bind,src=./d,target=/v,readonly=false",
                                 "there"), ("type=bind,src=./d,target=/v,cow", "inside"),
                                ("type=tmpfs,target=/v", "tmpfs")):
            self.write("d/file", "old\n")
            result = self.tiny(
                "--mount", words, "test -e /v/file && cat /v/file; (echo new >/v/file) 2>/dev/null; cat /v/file")
            self.assertEqual(result.out, {"": "old\nold\n", "tmpfs": "new\n"}.get(
                writable, "old\nnew\n"), f"{words}\n{result}")
            self.assertEqual((self.tmp / "d/file").read_text(), "new\n" if writable == "there" else "old\n", words)

    def test_a_value_may_have_a_comma_in_quotes(self):
        self.write("a,b/file", "x")
        self.assertEqual(self.tiny_ok("--mount", f'type=bind,"source={self.tmp}/a,b",target=/v', "cat /v/file"), "x")

    @only("root", "plain")
    def test_what_is_wrong_is_named(self):
        self.mkdir("d")
        for words, named in (("type=bind,source=./d", "target"), ("type=bind,target=/v", "source"),
                             ("type=nosuch,target=/v", "nosuch"),
                             ("type=bind,source=./d,target=/v,nosuch=1",
                              "nosuch"), ("", "--mount"), ("type=tmpfs,target=v", "v"),
                             ("type=tmpfs,target=/v,source=./d", "source"), ("type=tmpfs,target=/v,tmpfs-size=x",
                                                                             "x"),
                             ("type=bind,source=./d,target=/v,readonly=perhaps", "perhaps"),
                             ("type=bind,source=./d,target=/v,readonly,cow", "cow")):
            self.refused(f"--mount={words}", "--", "true", words=("--mount", named))


@only("root", "subuid", "plain")
class Memory(RunCase):
    """--tmpfs and --shm-size."""

    def test_a_tmpfs_is_empty_writable_and_bounded(self):
        result = self.tiny("--tmpfs", "/t:size=1m,mode=711", "--mount",
                           "type=tmpfs,target=/m,tmpfs-size=2m,tmpfs-mode=1700",
                           "stat -c %a,%u /t /m; for d in /t /m; do ls -A $d; head -c 4000000 /dev/zero >$d/x;"
                           " stat -c %s $d/x; done")
        self.assertEqual(result.out.split(), ["711,0", "1700,0", str(1 << 20), str(2 << 20)], str(result))

    def test_a_tmpfs_lies_over_what_the_root_has_there(self):
        self.assertEqual(self.tiny_ok("--tmpfs", "/etc", "ls -A /etc; touch /etc/x; ls -A /etc"), "x\n")

    def test_programs_run_from_a_tmpfs_only_when_asked(self):
        script = "cp /bin/true /t/true && /t/true && echo ran"
        self.assertEqual(self.tiny_ok("--tmpfs", "/t:exec", script), "ran\n")
        result = self.tiny("--tmpfs", "/t", script)
        self.assertNotIn("ran", result.out)
        self.assertIn("ermission denied", result.err)
        flags = self.tiny_ok("--tmpfs", "/t:exec", "grep ' /t ' /proc/self/mountinfo").split()[5].split(",")
        self.assertLessEqual({"nosuid", "nodev"}, set(flags))

    @only("root", "plain")
    def test_options_that_are_none_are_refused(self):
        for value in ("/t:size=x", "/t:mode=999", "/t:nosuch", "t", "", "/", "/t:size=-1", "/t:suid"):
            self.refused(f"--tmpfs={value}", "--", "true", words=("--tmpfs",))

    def test_shared_memory_is_64_mib_or_what_is_asked(self):
        script = "df -k --output=size /dev/shm | tail -1; stat -c %a /dev/shm; echo x >/dev/shm/x && cat /dev/shm/x"
        self.assertEqual(self.tiny_ok(script).split(), ["65536", "1777", "x"])
        self.assertEqual(self.tiny_ok("--shm-size", "2m", script).split(), ["2048", "1777", "x"])
        result = self.tiny("--shm-size=1048576", "head -c 3000000 /dev/zero >/dev/shm/x; stat -c %s /dev/shm/x")
        self.assertEqual(result.out, "1048576\n", str(result))

    @only("root", "plain")
    def test_a_size_is_a_number_with_a_unit(self):
        for value in ("x", "-1", "", "1z", "99999999999999999999g"):
            self.refused(f"--shm-size={value}", "--", "true", words=("--shm-size",))


@only("root", "subuid", "plain")
class Devices(RunCase):
    """--device SRC[:DST][:rwm]."""

    def test_a_device_is_shown_under_its_name_or_another(self):
        out = self.tiny_ok("--device", "/dev/zero:/dev/nothing", "--device", "/dev/full:/dev/sub/full:rw",
                           "stat -c %F,%t,%T /dev/nothing /dev/sub/full; head -c 2 /dev/nothing | wc -c; ls /dev")
        lines = out.splitlines()
        self.assertEqual(lines[:3], ["character special file,1,5", "character special file,1,7", "2"])
        self.assertEqual(set(lines[3:]) - {"nothing", "sub"},
                         set("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split()))

    def test_rights_that_were_not_given_are_not_there(self):
        result = self.tiny("--device", "/dev/zero:/dev/r:r",
                           "head -c 1 /dev/r | wc -c; (echo x >/dev/r) && echo written")
        if result.code == 125:  # never a weaker sandbox than was asked for
            self.assert_fails(result, 125, "/dev/zero", ":r")
        else:
            self.assertEqual(result.out, "1\n", str(result))

    @only("root", "plain")
    def test_what_is_no_device_is_refused(self):
        file = self.write("file")
        for value in ("/dev/no-such-device", str(file), str(self.tmp), "", "dev/null", "/dev/null:relative",
                      "/dev/null:/dev/x:q"):
            self.refused(f"--device={value}", "--", "true", words=("--device",))

    @only("subuid", "plain")
    def test_a_device_that_the_caller_may_not_open_is_refused(self):
        disk = next((d for d in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop-control",
                    "/dev/kmsg", "/dev/mem") if os.path.exists(d)), None)
        if not disk or self.shell(f"test -r {disk} && echo yes || true"):
            self.skipTest("no device here is closed to users")
        self.refused("--device", disk, "--", "true", words=(disk, "ermission denied"))
