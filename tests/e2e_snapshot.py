# SPDX-License-Identifier: Apache-2.0
"""hutch snapshot, restore, diff, fork, and reset --keep-processes: states of a sandbox's files."""

import json
import os
import signal
import time

from lib import census, needs, only
from lib.births import Births, depth
from lib.extra import MANY_IDS, PYTHON, BoxCase, everybody, inside_a_mount, states, wait_for
from lib.persona import is_root_of_machine

CLOSE_RANGE = 436  # on all architectures

# Everything of a tree that a snapshot must keep, as lines.
DIGEST = r"""
import hashlib, os, stat, sys
def facts(path):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    yield oct(s.st_mode)
    yield (s.st_uid, s.st_gid)
    if kind != stat.S_IFDIR:
        yield (s.st_nlink, s.st_rdev, s.st_mtime_ns)
    if kind == stat.S_IFREG:
        yield (s.st_size, hashlib.sha256(open(path, 'rb').read()).hexdigest() if s.st_size < 1 << 22 else s.st_blocks < 1000)
    if kind == stat.S_IFLNK:
        yield os.readlink(path)
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        yield sorted((name, os.getxattr(path, name)) for name in os.listxattr(path))
def walk(top):
    print(repr(top), *facts(top))
    if not os.path.islink(top) and os.path.isdir(top):
        for name in sorted(os.listdir(top)):
            walk(os.path.join(top, name))
for top in sys.argv[1:]:
    walk(top)
"""

# A tree with all that is hard to keep. Each step may be tried in a second generation, over the first.
MAKE = r"""
import os, shutil, socket, stat, sys
many, second = int(sys.argv[1]), int(sys.argv[2])
os.makedirs('/root/w/a/b/c', exist_ok=True)
os.chdir('/root/w')
w = lambda p, t: open(p, 'w').write(t)
w('a/file%d' % second, 'content %d' % second)
w("a/with\nnewline and '\"", 'x')
os.chmod('a/file%d' % second, 0o4755)
os.utime('a/file%d' % second, ns=(1, 10**18 + 7))
w('hard%d' % second, 'one inode'); os.link('hard%d' % second, 'a/b/hard%d' % second)
os.symlink('/nowhere/at all', 'a/link%d' % second)
os.mkfifo('a/fifo%d' % second)
s = socket.socket(socket.AF_UNIX); s.bind('a/sock%d' % second); s.close()
with open('a/holes%d' % second, 'wb') as f:
    f.truncate(1 << 33); f.seek(1 << 32); f.write(b'data in the middle')
os.mkdir('closed%d' % second); w('closed%d/in' % second, 'y'); os.chmod('closed%d' % second, 0)
os.setxattr('a/file%d' % second, 'user.mine', b'value \0 binary')
os.setxattr('a', 'user.dir', b'd')
if many:
    os.chown('a/file%d' % second, 1234, 5678); os.chmod('a/file%d' % second, 0o4755)
    os.chown('a/b', 1, 2)
    os.setxattr('hard%d' % second, 'security.capability', bytes.fromhex('0100000200040000000000000000000000000000'))
shutil.rmtree('/etc/alternatives', ignore_errors=True) if second else None
for name in os.listdir('/etc'):
    if name.startswith('l') and os.path.isfile('/etc/' + name): os.unlink('/etc/' + name)
shutil.rmtree('/etc/ssl', ignore_errors=True)
os.makedirs('/etc/ssl/new%d' % second)
os.chmod('/', 0o711)
"""


class HostBox(BoxCase):
    """A living sandbox on the machine's programs."""

    options = ()

    def setUp(self):
        super(BoxCase, self).setUp()
        self.run_ok("create", "--host", *self.options, "box")

    def box(self, *words, name: str = "box"):
        return self.hutch("exec", name, "sh", "-c", *words)

    def box_ok(self, script: str, name: str = "box") -> str:
        result = self.box(script, name=name)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def program(self, text: str, *words, name: str = "box") -> str:
        result = self.hutch("exec", name, PYTHON, "-c", text, *words)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def snapshot(self, *tag, name: str = "box") -> str:
        return self.run_ok("snapshot", name, *tag).out.strip()

    def restore(self, *tag, name: str = "box") -> None:
        self.run_ok("restore", name, *tag)

    def digest(self, name: str = "box") -> str:
        lines = self.program(DIGEST, "/root", "/etc", "/var", name=name).splitlines()
        generated = ("'/etc/hostname'", "'/etc/hosts'", "'/etc/resolv.conf'")  # a fork has its own
        return "\n".join(line for line in lines if not line.startswith(generated))

    def make(self, second: bool = False, name: str = "box") -> None:
        self.program(MAKE, str(int(self.persona.name in MANY_IDS)), str(int(second)), name=name)

    def busy(self) -> None:
        """Something runs inside: a snapshot must copy."""
        self.box_ok("exec >/dev/null 2>&1 </dev/null; setsid sleep 311 &")
        wait_for(lambda: states("sleep 311"), what="a process inside")

    def layers(self) -> list[str]:
        return sorted(name for name in os.listdir(self.home / "data/layers") if name[:2] in ("s.", "m."))

    def tearDown(self):
        self.hutch("rm", *self.hutch("ps", "-a", "-q").out.split(), "box")
        self.hutch("cleanup")
        self.assertEqual(self.layers(), [], "layers that no sandbox needs")
        super().tearDown()


class Snapshots(HostBox):
    def test_numbers_and_tags(self):
        self.assertEqual([self.snapshot(), self.snapshot(), self.snapshot("tag"), self.snapshot()],
                         ["0", "1", "tag", "2"])
        self.assertEqual(self.snapshot("7"), "7")
        self.assertEqual(self.snapshot(), "8")
        self.assert_fails(self.hutch("snapshot", "box", "tag"), 125, "'tag' already")
        self.restore("0")
        self.assertEqual(self.snapshot(), "9")
        names = self.run_ok("snapshot", "--list", "-q", "box").out.split()
        self.assertEqual(names, ["0", "1", "tag", "2", "7", "8", "9"])

    def test_the_tree_and_where_the_present_is(self):
        for script, tag in (("echo 1 >/root/f", "one"), ("echo 2 >/root/f", "two")):
            self.box_ok(script)
            self.snapshot(tag)
        self.restore("one")
        self.snapshot("other")
        said = json.loads(self.run_ok("snapshot", "--list", "--json", "box").out)
        self.assertEqual([(x["name"], x["parent"], x["present"]) for x in said],
                         [("one", None, False), ("two", "one", False), ("other", "one", True)])
        self.run_ok("reset", "box")
        said = json.loads(self.run_ok("snapshot", "--list", "--json", "box").out)
        self.assertEqual([x["present"] for x in said], [False, False, False])
        table = self.run_ok("snapshot", "--list", "box").out.splitlines()
        self.assertEqual([line.split()[:2] for line in table[1:]], [["one", "-"], ["two", "one"], ["other", "one"]])

    def test_any_order_of_going_back(self):
        for number in range(4):
            self.box_ok(f"echo {number} >/root/f; : >/root/only{number}; rm -f /root/only{number - 1}")
            self.snapshot()
        for number in (1, 3, 0, 2, 2, 0):
            self.restore(str(number))
            self.assertEqual(self.box_ok("cat /root/f; ls /root"), f"{number}\nf\nonly{number}\n")
        self.restore()
        self.assertEqual(self.box_ok("cat /root/f"), "3\n")
        self.run_ok("reset", "box")
        self.assertEqual(self.box_ok("ls /root"), "")
        self.restore("1")
        self.assertEqual(self.box_ok("cat /root/f"), "1\n")

    def test_a_snapshot_of_quiet_files_is_exact(self):
        self.make()
        first = self.digest()
        self.snapshot("first")
        self.assertEqual(self.digest(), first)
        self.make(second=True)
        second = self.digest()
        self.assertNotEqual(first, second)
        self.snapshot("second")
        self.box_ok("rm -rf /root/w; echo x >/etc/profile; chmod 0 /var; rm -rf /etc/ssl")
        self.restore("first")
        self.assertEqual(self.digest(), first)
        self.restore("second")
        self.assertEqual(self.digest(), second)
        self.assertEqual(self.box_ok("stat -c %a /"), "711\n")

    def test_a_copy_is_as_exact(self):
        self.busy()
        self.make()
        first = self.digest()
        self.snapshot("first")
        self.assertEqual(self.digest(), first)
        self.assertEqual(states("sleep 311"), "S")  # it goes on
        self.make(second=True)
        second = self.digest()
        self.snapshot("second")
        self.restore("first")
        self.assertEqual(self.digest(), first)
        self.assertEqual(states("sleep 311"), "")
        self.make(second=True)  # over layers, and copied again
        self.busy()
        again = self.digest()
        self.snapshot("again")
        self.restore("second")
        self.assertEqual(self.digest(), second)
        self.restore("again")
        self.assertEqual(self.digest(), again)

    def test_what_runs_is_held_while_it_is_copied_and_goes_on(self):
        script = "exec 2>/dev/null >/dev/null; cd /root; i=0; while :; do i=$((i+1)); echo $i >a.new; mv a.new a; " \
                 "cp a b.new; mv b.new b; done & :"
        self.box_ok(script)
        for number in range(5):
            self.snapshot(str(number))
        before = self.box_ok("cat /root/a 2>/dev/null || cat /root/b")
        wait_for(lambda: self.box("cat /root/a").out not in ("", before), what="the loop to go on")
        for number in range(5):
            self.restore(str(number))
            a, b = self.box("cat /root/a").out, self.box("cat /root/b").out
            self.assertIn(int(a or 0) - int(b or 0), (0, 1), f"not of one moment: a={a} b={b}")

    def test_an_open_file_is_never_written_into_a_snapshot(self):
        process = self.start("exec", "-i", "box", "sh", "-c", "exec 9>/root/f; echo one >&9; echo ready; read x; "
                             "echo two >&9; cat /root/f; read x", bufsize=0, stdin=-1)
        self.assertEqual(self.line_of(process), "ready")
        self.snapshot("s")
        process.stdin.write(b"go\n")
        self.assertEqual([self.line_of(process), self.line_of(process)], ["one", "two"])
        self.finish(process, "end\n")
        self.restore("s")
        self.assertEqual(self.box_ok("cat /root/f"), "one\n")

    def test_what_hutch_itself_has_put_there_is_kept_as_it_was_changed(self):
        """/etc/hosts and its like come from hutch: what a snapshot has of them is more."""
        look = "stat -c %a /etc; cat /etc/hosts /etc/hostname 2>&1; ls -d /etc/resolv.conf 2>&1; :"
        self.run_ok("exec", "box", "sh", "-c", "chmod 710 /etc; echo 10.0.0.1 mine >>/etc/hosts; rm -f /etc/resolv.conf")
        then = self.run_ok("exec", "box", "sh", "-c", look).out
        self.assertIn("710\n", then)
        self.run_ok("snapshot", "box")
        self.run_ok("reset", "box")
        self.assertNotEqual(self.run_ok("exec", "box", "sh", "-c", look).out, then)
        self.run_ok("restore", "box")
        self.assertEqual(self.run_ok("exec", "box", "sh", "-c", look).out, then)
        self.run_ok("fork", "box", "other")
        self.assertEqual(self.run_ok("exec", "other", "sh", "-c", look).out, then.replace("\nbox\n", "\nother\n"))
        self.run_ok("rm", "other")
        self.run_ok("exec", "box", "sh", "-c", "echo 10.0.0.2 more >>/etc/hosts")
        self.assertEqual([line[2:] for line in self.run_ok("diff", "box").out.splitlines()].count("/etc/hosts"), 1)

    @only("root", "plain")
    def test_a_command_that_is_begun_meanwhile_waits(self):
        """Each makes a file in one directory after the other: a snapshot has those of the first ones."""
        dirs = [f"/w/{i}" for i in range(8)]
        orders = (" ".join(dirs), " ".join(reversed(dirs)))  # whichever way the snapshot goes
        self.run_ok("exec", "box", "sh", "-c", "mkdir -p %s; for d in %s; do i=0; while [ $i -lt 1500 ]; do i=$((i+1)); "
                    "echo $i >$d/f$i; done; done" % (orders[0], orders[0]))
        self.run_ok("exec", "-d", "box", "sleep", "300")  # so it is a copy
        snapshot = self.start("snapshot", "box", "s")
        time.sleep(0.05)  # in the middle of it
        beside = [self.start("exec", "box", "sh", "-c", f"for d in {orders[i % 2]}; do : >$d/x-{i}; sleep 0.01; done")
                  for i in range(20)]
        for process in (snapshot, *beside):
            result = self.finish(process)
            self.assertEqual((result.code, result.err), (0, ""), str(result))
        self.run_ok("restore", "box", "s")
        for i in range(20):
            out = self.run_ok("exec", "box", "sh", "-c",
                              f"for d in {orders[i % 2]}; do [ -e $d/x-{i} ] && echo 1 || echo 0; done").out.split()
            self.assertEqual(out, sorted(out, reverse=True), str(i))

    def test_sessions_do_not_notice(self):
        say = lambda text: self.run_ok("exec", "--session", "s", "box", text).out
        say("mkdir -p /root/in; cd /root/in; A=1; f() { echo \"f $A\"; }; cd -; cd -")
        self.snapshot("s")
        self.assertEqual(say("pwd; f; echo x >x; ls; cd - >/dev/null; pwd"), "/root/in\nf 1\nx\n/\n")
        self.assertEqual(self.box_ok("cat /root/in/x"), "x\n")
        say("cd /root/in")
        self.run_ok("restore", "--keep-processes", "box", "s")
        self.assertEqual(say("pwd; f; ls; echo y >y"), "/root/in\nf 1\n")
        self.assertEqual(self.box_ok("ls /root/in"), "y\n")

    def test_shared_memory_and_mounts_stay(self):
        self.box_ok("echo x >/dev/shm/x; hostname >/tmp/h")
        self.snapshot("s")
        self.assertEqual(self.box_ok("cat /dev/shm/x; ls /proc/self/exe /dev/null >/dev/null && echo there"),
                         "x\nthere\n")
        mounts = self.box_ok("wc -l </proc/self/mountinfo")
        for _ in range(3):
            self.snapshot()
        self.assertEqual(self.box_ok("wc -l </proc/self/mountinfo"), mounts)

    def test_delete(self):
        for tag in "abc":
            self.box_ok(f"echo {tag} >/root/{tag}")
            self.snapshot(tag)
        self.run_ok("snapshot", "--delete", "box", "b")
        said = json.loads(self.run_ok("snapshot", "--list", "--json", "box").out)
        self.assertEqual([(x["name"], x["parent"]) for x in said], [("a", None), ("c", "a")])
        self.restore("c")
        self.assertEqual(self.box_ok("ls /root"), "a\nb\nc\n")
        self.restore("a")
        self.assertEqual(self.box_ok("ls /root"), "a\n")
        self.run_ok("snapshot", "--delete", "box", "c")
        wait_for(lambda: len(self.layers()) == 1, what="the end of what is not needed")
        self.assertEqual(self.box_ok("ls /root"), "a\n")
        result = self.hutch("snapshot", "--delete", "box", "c")
        self.assert_fails(result, 125, "no snapshot 'c'", "a")
        self.run_ok("snapshot", "--delete", "box", "a")
        self.assertEqual(self.box_ok("ls /root"), "a\n")  # it stands on it
        self.assert_fails(self.hutch("restore", "box"), 125, "none was made")

    def test_errors_name_what_there_is(self):
        self.assert_fails(self.hutch("restore", "box"), 125, "none was made")
        self.snapshot("here")
        self.assert_fails(self.hutch("restore", "box", "nowhere"), 125, "'nowhere'", "here")
        self.assert_fails(self.hutch("diff", "box", "nowhere"), 125, "'nowhere'", "here")
        self.assert_fails(self.hutch("fork", "--snapshot", "nowhere", "box", "new"), 125, "'nowhere'", "here")
        self.assert_fails(self.hutch("snapshot", "box", ""), 125, "1 to 200 bytes")
        self.assert_fails(self.hutch("snapshot", "box", "x" * 201), 125, "1 to 200 bytes")
        self.assert_fails(self.hutch("snapshot", "box", "a\nb"), 125, "control")
        for words in (("snapshot",), ("restore",), ("fork", "box"), ("snapshot", "box", "a", "b"),
                      ("snapshot", "--delete", "box"), ("snapshot", "--json", "box"), ("diff", "box", "a", "b", "c"),
                      ("snapshot", "nobody"), ("fork", "nobody", "x")):
            self.assert_fails(self.hutch(*words), 125)

    def test_many_become_few(self):
        for number in range(70):
            self.box_ok(f"echo {number} >/root/f; echo {number} >/root/f{number % 10}; "
                        f"rm -rf /root/d; mkdir /root/d; : >/root/d/{number}; ln /root/f /root/l{number}")
            self.snapshot()
        said = json.loads(self.run_ok("snapshot", "--list", "--json", "box").out)
        self.assertEqual(len(said), 70)
        self.assertLess(said[-1]["layers"], 45, "they were not made few")
        for number in (0, 28, 31, 45, 69):
            self.restore(str(number))
            out = self.box_ok("cat /root/f /root/f* | sort -n | tail -1; ls /root/d; ls /root/l* | wc -l")
            self.assertEqual(out, f"{number}\n{number}\n{number + 1}\n")

    def test_after_a_snapshot_everything_works(self):
        self.snapshot()
        self.run_ok("cp", "/etc/passwd", "box:/root/p")
        self.assertEqual(self.box_ok("cmp /root/p /etc/passwd && echo same") if self.persona.name == "root" else "same\n",
                         "same\n")
        self.assertEqual(self.run_ok("exec", "--session", "x", "box", "echo hi").out, "hi\n")
        self.assertEqual(self.run_ok("exec", "-u", "0", "-w", "/root", "box", "pwd").out, "/root\n")
        terminal = self.terminal("exec", "-t", "box", "sh", "-c", "tty; stty size")
        terminal.expect("/dev/pts/")


class OnTmpfs(HostBox):
    options = ("--upper", "tmpfs")

    def test_snapshots_of_what_is_in_memory(self):
        self.make()
        first = self.digest()
        self.snapshot()
        self.box_ok("rm -rf /root/w")
        self.snapshot()
        self.restore("0")
        self.assertEqual(self.digest(), first)
        self.run_ok("fork", "box", "new")
        self.assertEqual(self.digest(name="new"), first)
        self.run_ok("rm", "new")


class Volumes(HostBox):
    def setUp(self):
        super(BoxCase, self).setUp()
        self.write("cow/file", "host\n")
        self.write("alone", "host\n")
        self.write("rw/file", "host\n")
        self.run_ok("create", "--host", "-v", f"{self.tmp}/cow:/cow:cow", "-v", f"{self.tmp}/alone:/alone:cow",
                    "-v", f"{self.tmp}/rw:/rw", "box")

    def test_copies_on_write_follow_and_others_do_not(self):
        self.box_ok("echo 1 >/cow/file; echo 1 >/alone; echo 1 >/rw/file; : >/cow/new")
        self.snapshot("1")
        self.box_ok("echo 2 >/cow/file; echo 2 >/alone; echo 2 >/rw/file; rm /cow/new")
        self.snapshot("2")
        self.restore("1")
        self.assertEqual(self.box_ok("cat /cow/file /alone /rw/file; ls /cow"), "1\n1\n2\nfile\nnew\n")
        self.box_ok("echo 3 >/cow/file")
        self.snapshot("3")
        self.restore("2")
        self.assertEqual(self.box_ok("cat /cow/file /alone; ls /cow"), "2\n2\nfile\n")
        self.restore("3")
        self.assertEqual(self.box_ok("cat /cow/file /alone; ls /cow"), "3\n1\nfile\nnew\n")
        self.run_ok("reset", "box")
        self.assertEqual(self.box_ok("cat /cow/file /alone /rw/file; ls /cow"), "host\nhost\n2\nfile\n")
        self.assertEqual((self.tmp / "cow/file").read_text() + (self.tmp / "alone").read_text(), "host\nhost\n")
        self.assert_fails(self.hutch("reset", "--keep-processes", "box"), 125, "cow")
        self.assertEqual(self.box_ok("echo alive"), "alive\n")


class Diff(HostBox):
    def diff(self, *words) -> list[str]:
        return self.run_ok("diff", "box", *words).out.splitlines()

    def test_added_changed_deleted(self):
        self.assertEqual(self.diff(), [])
        self.box_ok("mkdir -p /root/d/e; echo 1 >/root/d/e/f; echo 1 >/root/x; rm /etc/profile; chmod 700 /srv")
        self.assertEqual(self.diff(), ["D /etc/profile", "A /root/d", "A /root/d/e", "A /root/d/e/f", "A /root/x",
                                       "C /srv"])
        self.snapshot("a")
        self.assertEqual(self.diff("a"), [])
        self.box_ok("rm -r /root/d; echo 22 >/root/x; ln -s x /root/l; mkdir /root/d; touch -d @1 /root/d")
        self.assertEqual(self.diff("a"), ["D /root/d/e", "A /root/l", "C /root/x"])
        self.snapshot("b")
        self.assertEqual(self.diff("a", "b"), ["D /root/d/e", "A /root/l", "C /root/x"])
        self.assertEqual(self.diff("b", "a"), ["A /root/d/e", "A /root/d/e/f", "D /root/l", "C /root/x"])
        self.assertEqual(self.diff("b"), [])
        self.restore("a")
        self.assertEqual(self.diff("b"), ["A /root/d/e", "A /root/d/e/f", "D /root/l", "C /root/x"])
        self.run_ok("reset", "box")
        self.assertEqual(self.diff(), [])

    def test_what_is_the_same_again_is_no_difference(self):
        self.box_ok("cp -p /etc/profile /root/p; echo >>/etc/profile; cp -p /root/p /etc/profile; rm /root/p; "
                    "chmod 700 /srv; chmod 755 /srv; mkdir /root/x; rmdir /root/x")
        self.assertEqual(self.diff(), [])

    def test_a_file_that_has_become_a_directory(self):
        self.box_ok("rm /etc/profile; mkdir /etc/profile; : >/etc/profile/in; rm -r /etc/ssl; : >/etc/ssl")
        self.assertEqual(self.diff(), ["C /etc/profile", "A /etc/profile/in", "C /etc/ssl"])

    def test_generated_files_and_odd_names(self):
        self.box_ok("echo x >\"/root/a\nb\"")
        self.assertEqual(self.run_ok("diff", "-z", "box").out, "A /root/a\nb\0")


class Forks(HostBox):
    def test_each_has_what_was_and_nothing_of_what_comes(self):
        self.make()
        first = self.digest()
        names = [f"new{number}" for number in range(4)]
        self.assertEqual(self.run_ok("fork", "box", *names).out.split(), names)
        for name in names:
            self.assertEqual(self.digest(name=name), first)
            self.box_ok(f"echo {name} >/root/mine", name=name)
        self.assertEqual(self.digest(), first)
        self.assertEqual([self.box_ok("cat /root/mine; hostname", name=name) for name in names],
                         [f"{name}\n{name}\n" for name in names])
        self.run_ok("rm", "box")
        self.run_ok("reset", *names)
        for name in names:
            self.assertEqual(self.digest(name=name), first)
        self.run_ok("fork", "new0", "newer")
        self.assertEqual(self.digest(name="newer"), first)
        self.run_ok("rm", "newer", *names)

    def test_from_a_snapshot(self):
        self.box_ok("echo 1 >/root/f")
        self.snapshot("one")
        self.box_ok("echo 2 >/root/f")
        self.run_ok("fork", "--snapshot", "one", "box", "new")
        self.assertEqual(self.box_ok("cat /root/f", name="new") + self.box_ok("cat /root/f"), "1\n2\n")
        self.box_ok("echo 3 >/root/f", name="new")
        self.snapshot("here", name="new")
        self.run_ok("reset", "new")
        self.assertEqual(self.box_ok("cat /root/f", name="new"), "1\n")
        self.restore("here", name="new")
        self.assertEqual(self.box_ok("cat /root/f", name="new"), "3\n")
        self.run_ok("rm", "new")

    def test_all_or_none(self):
        self.run_ok("create", "--host", "taken")
        self.assert_fails(self.hutch("fork", "box", "a", "b", "taken", "c"), 125, "'taken' is taken")
        self.assertEqual(sorted(self.run_ok("ps", "-a", "-q").out.split()), ["box", "taken"])
        self.run_ok("rm", "taken")

    def test_of_one_in_which_something_runs(self):
        self.busy()
        self.box_ok("echo 1 >/root/f")
        self.run_ok("fork", "box", "new")
        self.assertEqual(states("sleep 311"), "S")
        self.run_ok("rm", "box")
        self.hutch("cleanup")
        self.assertEqual(self.box_ok("cat /root/f", name="new"), "1\n")
        self.run_ok("rm", "new")


class KeepProcesses(HostBox):
    def test_reset_of_files_only(self):
        self.busy()
        self.box_ok("echo x >/root/f; echo x >/dev/shm/x; rm -rf /srv")
        self.run_ok("reset", "--keep-processes", "box")
        self.assertEqual(self.box_ok("ls /root; ls -d /srv; cat /dev/shm/x"), "/srv\nx\n")
        self.assertEqual(states("sleep 311"), "S")
        self.box_ok("echo y >/root/f")
        self.run_ok("reset", "box")
        self.assertEqual(self.box_ok("ls /root /dev/shm"), "/dev/shm:\n\n/root:\n")
        self.assertEqual(states("sleep 311"), "")


class Watched(HostBox):
    """Its keeper can be traced by root of the machine."""

    def setUp(self):
        super(BoxCase, self).setUp()
        owner = str(self.session.program_for(self.persona, self.session.build / "tests" / "owner"))
        self.persona.run([owner, "--make", "box", str(self.rootfs)], env=self.environment(), cwd=self.tmp)

    def keeper(self) -> int:
        everyone, below = everybody(), census.count_processes()
        return next(pid for pid in below if pid in everyone and everyone[pid][2] == "hutch-keeper")


class Rest(Watched):
    """A generation is ready before its pid 1 has closed its descriptors."""

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_no_command_begins_before_pid_1_has_nothing_open_any_more(self):
        keeper = self.keeper()
        with Births(keeper) as births:
            reset = self.start("reset", "box")
            pid = births.hold_before(CLOSE_RANGE, lambda pid: depth(pid) > depth(keeper))
            command = self.start("exec", "box", "sh", "-c", "ls /proc/1/fd 2>/dev/null; :")
            later = time.monotonic() + 0.5
            births.stop_until(lambda: time.monotonic() > later, lambda _: False)
            self.assertTrue(os.listdir(f"/proc/{pid}/fd"), "it was held too late: nothing was shown")
            self.assertIsNone(command.poll(), "it ran beside a pid 1 that had something open")
            births.let_go(pid)
            births.stop_until(lambda: command.poll() is not None, lambda _: False)
        self.assertEqual(self.finish(reset).code, 0)
        result = self.finish(command)
        self.assertEqual((result.code, result.out), (0, ""), str(result))


class OldGenerations(Watched):
    """The process that is the last to close the namespaces of an old generation lives as long as that takes: it is
    none of the inside, whatever it does. A user's keeper may not trace it, where both come from a nursery: to the
    kernel their memory belongs to who started that."""

    def held_after(self, *words) -> list[int]:
        """The keeper's children that are of its own pid namespace, which hutch with @words makes: stopped as they begin."""
        keeper = self.keeper()
        with Births(keeper) as births:
            process = self.start(*words)
            self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in births.stopped if os.path.exists(f"/proc/{pid}")])
            births.stop_until(lambda: process.poll() is not None and births.stopped, lambda pid: depth(pid) == depth(keeper))
            self.assertEqual(self.finish(process).code, 0)
        wait_for(lambda: all(everybody()[pid][1] == "T" for pid in births.stopped), what="that it is stopped")
        return births.stopped

    def look(self, *words) -> None:
        held = self.held_after(*words)
        self.assertEqual(len(held), 1, str(held))
        self.run_ok("exec", "-d", "box", "sleep", "311")  # so it is a copy
        self.run_ok("snapshot", "box", "two")
        self.run_ok("fork", "box", "new")
        self.assertEqual(everybody()[held[0]][1], "T", "it was there all the time")
        self.assertEqual(self.box_ok("ls /root", name="new"), "")
        self.run_ok("rm", "new")
        os.kill(held[0], signal.SIGKILL)
        wait_for(lambda: held[0] not in everybody(), what="that the keeper has taken its end")

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_one_that_ends_after_a_reset_is_not_held_for_a_copy(self):
        self.box_ok("echo 1 >/root/f")
        self.look("reset", "box")

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_one_that_ends_after_a_restore_is_not_held_for_a_copy(self):
        self.run_ok("snapshot", "box", "one")
        self.box_ok("echo 1 >/root/f")
        self.look("restore", "box", "one")

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_one_that_ends_is_not_what_a_timeout_ends(self):
        held = self.held_after("reset", "box")
        result = self.hutch("exec", "--timeout", "0.2", "box", "sleep", "1000")
        self.assertEqual(result.code, 124, str(result))
        self.assertEqual(everybody()[held[0]][1], "T")
        os.kill(held[0], signal.SIGCONT)
        wait_for(lambda: held[0] not in everybody(), what="its end")

    def trash(self) -> list[str]:
        return os.listdir(self.home / "data" / "trash")

    def cleanup_waits(self, *words) -> None:
        held = self.held_after(*words)
        cleanup = self.start("cleanup")
        time.sleep(0.3)
        self.assertIsNone(cleanup.poll(), "it did not wait for what is in use")
        self.assertNotEqual(self.trash(), [])
        os.kill(held[0], signal.SIGCONT)
        self.assertEqual(self.finish(cleanup).code, 0)
        self.assertEqual(self.trash(), [])

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_a_cleanup_after_a_reset_waits_for_the_mounts_that_keep_what_was_written(self):
        self.box_ok("echo 1 >/root/f")
        self.cleanup_waits("reset", "box")

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_a_cleanup_after_a_restore_waits_for_them_too(self):
        self.run_ok("snapshot", "box", "one")
        self.box_ok("echo 1 >/root/f")
        self.cleanup_waits("restore", "box", "one")

    @needs(is_root_of_machine, "only root of the machine may trace a keeper")
    def test_a_cleanup_does_not_wait_for_ever_and_the_next_removes_it(self):
        self.box_ok("echo 1 >/root/f")
        held = self.held_after("reset", "box")
        self.assertEqual(self.hutch("cleanup").code, 0)
        self.assertNotEqual(self.trash(), [])
        os.kill(held[0], signal.SIGCONT)
        wait_for(lambda: held[0] not in everybody(), what="its end")
        self.assertEqual(self.hutch("cleanup").code, 0)
        self.assertEqual(self.trash(), [])


class Faults(HostBox):
    @only("root", "plain")
    def test_a_full_disk_changes_nothing(self):
        with inside_a_mount(self, "small", "tmpfs", "size=24m") as small:
            env = {"HUTCH_HOME": str(small)}
            self.assertEqual(self.hutch("create", "--host", "full", env=env).code, 0)
            execute = lambda script: self.hutch("exec", "full", "sh", "-c", script, env=env)
            execute("exec >/dev/null 2>&1; setsid sleep 312 & head -c 15000000 /dev/urandom >/root/f")
            before = execute("sha256sum /root/f").out
            self.assert_fails(self.hutch("snapshot", "full", env=env), 125, "No space left")
            self.assertEqual(self.hutch("snapshot", "--list", "-q", "full", env=env).out, "")
            self.assertEqual(execute("sha256sum /root/f").out, before)
            self.assertEqual(self.hutch("rm", "full", env=env).code, 0)
            self.assertEqual(self.hutch("cleanup", env=env).code, 0)
            self.assertEqual([x for x in os.listdir(small / "data/layers") if x.startswith("s.")], [])

    @only("root", "plain")
    def test_a_stop_loop_inside_holds_nobody_up(self):
        # not before this command itself has ended: stopped, it would never
        begin = """while kill -0 $0; do :; done; exec sh -c "while :; do kill -STOP -1; done\""""
        self.box_ok(f"exec >/dev/null 2>&1; echo x >/root/f; setsid sh -c '{begin}' $$ & :")
        wait_for(lambda: states("sh -c while :; do kill -STOP -1; done"), what="the loop")
        for _ in range(3):
            result = self.hutch("snapshot", "box")
            self.assertEqual(result.code, 0, str(result))
            self.assertLess(result.seconds, 8, str(result))
        self.restore("1")
        self.assertEqual(self.box_ok("cat /root/f"), "x\n")
