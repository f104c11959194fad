# SPDX-License-Identifier: Apache-2.0
"""A sandbox that lives: create, exec by any process of the same user, reset, rm, ps; and what happens when
somebody else's process, the keeper or the reaper is killed in the middle of it."""

import ctypes
import difflib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lib import census, machine, needs, only, storm
from lib import rootfs as small_rootfs
from lib.extra import MANY_IDS, RunCase, fields_of, wait_for
from lib.persona import is_root_of_machine

PERL = shutil.which("perl", path="/usr/bin:/bin")
with_perl = needs(PERL is not None, "no perl here, in which the digest and the workload are written")
CALLERS_MAX = 250  # that a keeper serves at once

# What a reset has to put back, one line a thing. Names of directories in it that are to be left out are its
# arguments. No modules: the small root file system has the program alone.
DIGEST = r"""
my %left_out = map { $_ => 1 } @ARGV;
sub slurp { my $path = shift; open(my $file, '<', $path) or return "($!)"; local $/; my $text = <$file>;
            defined $text ? $text : "" }
sub names { my $dir = shift; opendir(my $list, $dir) or return (); sort grep { !/^\.\.?$/ } readdir $list }
sub files {
    my $dir = shift;
    print "files $dir: $!\n" if !-d $dir || !-r $dir;
    for my $name (names($dir)) {
        my $path = $dir eq '/' ? "/$name" : "$dir/$name";
        my @st = lstat $path;
        my ($is_dir, $is_link, $is_file) = (-d _, -l _, -f _);
        my $what = $is_link ? readlink $path : $is_file ? unpack('%32C*', slurp($path)) : $is_dir ? '' : $st[6];
        my $when = $is_dir || $path =~ m{^/dev/} ? '-' : $st[9];
        printf "files %s mode %o owner %d:%d links %d size %s time %s %s\n", $path, $st[2], $st[4], $st[5],
               $is_dir ? 1 : $st[3], $is_dir ? '-' : $st[7], $when, $what;
        files($path) if $is_dir && !$left_out{$path};
    }
}
sub settings {
    my $dir = shift;
    for my $name (names($dir)) {
        my $path = "$dir/$name";
        # what the machine counts for all: others move it (quota/syncs with every mount of a disk that ends)
        next if $path =~ m{/(random|inode-nr|inode-state|dentry-state|file-nr|ns_last_pid|ldisc_autoload|aio-nr|pty/nr|quota|hung_task_detect_count)};
        if (-d $path) { settings($path) } else { my $text = slurp($path); $text =~ s/\n/\\n/g; print "sysctls $path $text\n" }
    }
}
printf "files / mode %o owner %d:%d\n", (lstat '/')[2, 4, 5];
$left_out{'/proc'} = $left_out{'/sys'} = 1;
files('/');
for my $pid (grep { /^\d+$/ } names('/proc')) {
    my $status = slurp("/proc/$pid/status");
    next if $status =~ /^Name:\thutch-starter$/m;  # comes with the third command, of the digest too
    my @kept = $status =~ /^((?:Name|PPid|Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp|SigIgn|SigBlk):.*)$/mg;
    push @lines, "processes @kept\n" if @kept;
}
print sort @lines;
for (qw(shm sem msg)) { print "ipc $_ ", slurp("/proc/sysvipc/$_") =~ s/\n/\\n/gr, "\n" }
my @mounts = split /\n/, slurp('/proc/self/mountinfo');
for (@mounts) {
    s/^\d+ \d+ \d+:\d+ //;      # numbers that the kernel gives in turn
    s{/g\d+/}{/gN/}g;           # the directory of this generation's changes
}
print "mounts $_\n" for sort @mounts;  # the network comes when it is ready, and with it /sys
settings('/proc/sys');
for my $kind (qw(tcp tcp6 udp udp6 udplite udplite6 raw raw6 icmp icmp6 unix packet route if_inet6)) {
    my ($head, @rest) = split /\n/, slurp("/proc/net/$kind");
    unshift @rest, $head if $kind eq 'if_inet6';
    print "sockets $kind $_\n" for grep { !/^\s*\d+: \S+ \S+ 06 / } @rest;  # TIME_WAIT may remain
}
print "sockets interface $1\n" while slurp('/proc/net/dev') =~ /^\s*(\S+):/mg && !$seen{$1}++;
print "settings hostname ", slurp('/proc/sys/kernel/hostname');
print "settings $_ ", slurp("/proc/self/$_") =~ s/\s+/ /gr, "\n"
    for qw(limits uid_map gid_map setgroups timens_offsets oom_score_adj cgroup personality coredump_filter);
print "settings env $_=$ENV{$_}\n" for sort keys %ENV;
printf "settings umask %o cwd %s\n", umask, readlink('/proc/self/cwd');
"""

# Does all the harm that uid 0 inside can do, and prints what it got done.
HOSTILE = r"""
$SIG{__WARN__} = sub {};
my @done;
sub try { my ($what, $ok) = @_; push @done, $what if $ok }
sub put { my ($path, $text) = @_; open(my $file, '>', $path) or return 0; print $file $text; close $file }
sub setsid { syscall(112) }
for my $n (1 .. 5) {                    # daemons that ignore what can be ignored
    next if fork;
    setsid();
    exit if fork;
    $SIG{$_} = 'IGNORE' for qw(TERM HUP INT QUIT USR1);
    open STDIN, '</dev/null'; open STDOUT, '>/dev/null'; open STDERR, '>/dev/null';
    sleep 1000; exit;
}
if (!fork) { open STDOUT, '>/dev/null'; open STDERR, '>/dev/null'; setsid(); kill 'STOP', $$; exit }
try 'memory', put('/dev/shm/left', 'x' x 1_000_000) && put('/tmp/left', 'x') && put('/run/left', 'x') && put('/var/tmp/left', 'x');
try 'segment', defined shmget(4711, 65536, 01666);
try 'semaphores', defined semget(4712, 3, 01666);
my $queue = msgget(4713, 01666);
try 'messages', defined $queue && msgsnd($queue, pack('l! a*', 1, 'left'), 0);
try 'queue', syscall(240, my $mq = 'left', 0102, 0600, 0) >= 0;
put('/dev/mqueue/file', '');
socket(my $tcp, 2, 1, 0); setsockopt($tcp, 1, 2, pack('i', 1));
try 'listener', bind($tcp, pack('S n a4 x8', 2, 8080, "\x7f\0\0\1")) && listen($tcp, 5);
socket(my $client, 2, 1, 0);
try 'connection', connect($client, pack('S n a4 x8', 2, 8080, "\x7f\0\0\1"));
socket(my $udp, 2, 2, 0);
try 'datagrams', bind($udp, pack('S n a4 x8', 2, 8081, "\0\0\0\0"));
socket(my $unix, 1, 1, 0);
try 'path', bind($unix, pack('S a*', 1, "/tmp/socket\0")) && listen($unix, 5);
socket(my $abstract, 1, 1, 0);
try 'abstract', bind($abstract, pack('S a*', 1, "\0left")) && listen($abstract, 5);
if (!fork) { setsid(); open STDOUT, '>/dev/null'; open STDERR, '>/dev/null'; sleep 1000; exit }  # holds all five
try 'hostname', syscall(170, my $name = 'evil', 4) == 0;
try 'domain', syscall(171, my $domain = 'evil', 4) == 0;
for (qw(kernel/msgmax kernel/shm_rmid_forced fs/mqueue/queues_max net/ipv4/ip_forward net/core/somaxconn net/ipv4/conf/lo/forwarding)) {
    try "sysctl $_", put("/proc/sys/$_", "1\n");
}
for my $place (qw(/mnt /home /opt)) {
    try "mount $place", syscall(165, my $none = 'none', my $at = $place, my $kind = 'tmpfs', 0, 0) == 0;
}
try 'umount', syscall(166, my $shm = '/dev/shm', 2) == 0;
try 'address', ioctl($udp, 0x8916, my $new = pack('a16 S n a4 x8', 'lo:1', 2, 0, "\x0a\1\2\3"));
try 'interface', ioctl($udp, 0x8914, my $down = pack('a16 S x22', 'lo', 0));
mkdir '/junk';
my $n = 0;
for my $i (1 .. 3000) { mkdir '/junk/' . int($i / 100); $n += put('/junk/' . int($i / 100) . "/$i", $i) }
try 'files', $n == 3000;
link '/junk/1/150', '/junk/hard'; symlink '/junk', '/soft'; syscall(133, my $fifo = '/junk/fifo', 010666, 0);
try 'programs', unlink('/usr/bin/ls', '/usr/bin/cat', '/usr/bin/sh') == 3;
try 'moved', rename('/usr/bin/sort', '/usr/bin/gone');
try 'passwd', unlink('/etc/passwd') && syscall(133, my $passwd = '/etc/passwd', 010666, 0) == 0;
try 'group', put('/etc/group', "root:x:7:\n");
try 'cow', put('/cow/file', 'evil') && put('/cow/new', 'evil') if -d '/cow';
try 'one', put('/one', 'evil') if -e '/one';
try 'owner', chown 1000, 1000, '/', '/etc', '/usr';
chmod 0, '/etc', '/tmp', '/root', '/usr/bin/env';
try 'root', chmod 0, '/';
print join("\n", @done), "\n";
"""
ALWAYS = ("memory", "segment", "semaphores", "messages", "queue", "listener", "connection", "datagrams", "path",
          "abstract", "files", "root")
IN_ROOTFS = (*ALWAYS, "programs", "moved", "passwd", "group")

# A child that is no child of ours but of our parent, the keeper (CLONE_PARENT).
SIBLING = r"""
if (syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0) { exec 'sleep', '4714' }
sleep 100;
"""


@dataclass
class Box:
    name: str
    keeper: int  # its pid, as the test sees it


def named(pid: int | str) -> str:
    """The name of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def state(pid: int) -> str:
    """Its letter in /proc; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def keepers() -> set[int]:
    """Those below the test. A child of one has its name until it execs."""
    found = {pid for pid in census.count_processes() if named(pid) == "hutch-keeper"}
    return {pid for pid in found if parent(pid) not in found}


def parent(pid: int) -> int:
    try:
        return int(fields_of(Path(f"/proc/{pid}/status").read_text())["PPid"])
    except OSError:
        return 0


def reapers(keeper: int) -> list[int]:
    """The pid 1 of each generation that a keeper has: the one before the last reset for as long as it has not ended, the
    present one and, born after it, the spare."""
    found = []
    for pid in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split():
        with suppress(OSError):
            status = fields_of(Path(f"/proc/{pid}/status").read_text())
            if status["NSpid"].split()[-1] == "1" and status["State"][0] != "Z":
                found.append(int(pid))
    return found


def ticks(pid: int) -> int:
    """Time of processors that it has had, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 100 // os.sysconf("SC_CLK_TCK")


def changed(before: str, after: str) -> str:
    """The lines that differ."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "after start", "after reset", n=0, lineterm="")
    return "\n".join(line for line in lines if not line.startswith("@@"))[:4000]


def sections(before: str, after: str) -> set[str]:
    """Of what kind the lines are that differ."""
    return {line.split(" ", 1)[0] for line in set(before.splitlines()) ^ set(after.splitlines())}


class LivingCase(RunCase):
    """Short ways to make a sandbox that lives, and to run something in it."""

    def tearDown(self) -> None:
        # What a test that failed did not remove. Dead ones are not hidden from the census by this.
        for name in self.hutch("ps", "-q").out.split():
            self.hutch("rm", name)
        super().tearDown()

    def create(self, *words, root: tuple | None = None) -> Box:
        """hutch create OPTION... [NAME], which must print the name and nothing else."""
        before = keepers()
        result = self.hutch("create", *(("--rootfs", self.rootfs) if root is None else root), *words)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        (name,) = result.out.splitlines()
        (keeper,) = keepers() - before
        return Box(name, keeper)

    def inside(self, box: Box, *words, **options):
        """hutch exec OPTION... NAME sh -c SCRIPT: the last of @words is the script."""
        return self.hutch("exec", *words[:-1], box.name, "sh", "-c", words[-1], **options)

    def inside_ok(self, box: Box, *words, **options) -> str:
        result = self.inside(box, *words, **options)
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        return result.out

    def processes(self, box: Box) -> int:
        """How many there are inside, but for the one that begins commands."""
        text = "set --; for p in /proc/[0-9]*; do c=; read -r c <$p/comm; [ \"$c\" = hutch-starter ] || set -- \"$@\" x; done 2>/dev/null; echo $#"
        return int(self.inside(box, text).out or 0)

    def with_starter(self, box: Box) -> None:
        """From the third command on they are begun by a process that waits for them."""
        wait_for(lambda: "hutch-starter\n" in self.inside_ok(box, "cat /proc/[0-9]*/comm 2>/dev/null; :"), what="a starter")

    def begin(self, box: Box, *words, ready: str = "ready", **options) -> subprocess.Popen:
        """The same in the background, once it has written @ready."""
        process = self.start("exec", *words[:-1], box.name, "sh", "-c", words[-1], **options)
        line = process.stdout.readline().decode(errors="replace").strip()
        if line != ready:
            self.fail(f"{line!r} came instead of {ready!r}: {self.finish(process)}")
        return process

    def reset_ok(self, *boxes: Box) -> None:
        result = self.hutch("reset", *(box.name for box in boxes))
        self.assertEqual((result.code, result.out, result.err), (0, "", ""), str(result))

    def rm_ok(self, *boxes: Box) -> None:
        result = self.hutch("rm", *(box.name for box in boxes))
        self.assertEqual((result.code, result.out, result.err), (0, "", ""), str(result))

    def sleepers(self, box: Box) -> list[str]:
        """The arguments of all `sleep` that run inside: tests name their processes so."""
        out = self.inside_ok(box, r"for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline; echo; done 2>/dev/null; :")
        return sorted(line.split()[1] for line in out.splitlines() if re.fullmatch(r"sleep \d+ ?", line))

    def kill(self, pid: int) -> None:
        """SIGKILL, and the end of it."""
        os.kill(pid, signal.SIGKILL)
        def gone() -> bool:
            census.reap_orphans({process.pid for process in self._started})
            return named(pid) == ""

        wait_for(gone, what=f"the end of process {pid}")

    def nothing_left(self) -> None:
        left = self.left_behind()
        self.assertEqual(left, [], "left behind, before anybody cleaned up")

    def spare(self, box: Box) -> int:
        """Waits until the next generation stands ready: its pid 1."""
        def ready() -> int:
            found = reapers(box.keeper)
            if len(found) != 2 or named(found[-1]) != "hutch-init":
                return 0
            time.sleep(0.1)  # until the keeper has heard of it, and what was before the last reset has ended
            return found[-1] if reapers(box.keeper) == found else 0

        return wait_for(ready, what="a spare that is ready")

    # ---- for resets -------------------------------------------------------------------------------

    @property
    def rootfs_with_perl(self) -> Path:
        path = self.persona.dir / "rootfs-perl"
        if not path.exists():
            half = path.with_name("rootfs-perl.half")
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(self.rootfs, half, symlinks=True)
            shutil.copy(os.path.realpath(PERL), half / "usr/bin/perl")
            for library in small_rootfs._libraries(PERL):
                place = half / library.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():
                    shutil.copy(os.path.realpath(library), place)
            if self.persona.changes_user():
                small_rootfs.chown(half, self.persona.uid, self.persona.gid)
            half.rename(path)
        return path

    def perl(self, box: Box, program: str, *words) -> str:
        result = self.hutch("exec", "-e", "PERL_BADLANG=0", box.name, "perl", "-e", program, *words)
        self.assertEqual((result.code, result.err), (0, ""))
        return result.out

    @machine.settings()
    def put_back(self, *options, must: tuple = IN_ROOTFS, leave_out: tuple = (), root: tuple | None = None,
                 resets: int = 1, spare: bool = False) -> set[str]:
        """Start, digest, harm, reset, digest: equal, @resets times over. @must: what the workload has to get
        done. What it did get done."""
        box = self.create(*options, root=root or ("--rootfs", self.rootfs_with_perl))
        start = self.perl(box, DIGEST, *leave_out)
        again = self.perl(box, DIGEST, *leave_out)
        self.assertEqual(changed(start, again), "", "the digest changes of itself")
        for number in range(resets):
            done = set(self.perl(box, HOSTILE).splitlines())
            self.assertLessEqual(set(must), done, "the workload did not do what it is for")
            harmed = self.perl(box, DIGEST, *leave_out)
            self.assertLessEqual({"files", "processes", "ipc", "sockets"}, sections(start, harmed), "nothing to put back")
            if spare and number:
                self.spare(box)
            self.reset_ok(box)
            self.assertEqual(changed(start, self.perl(box, DIGEST, *leave_out)), "", f"reset {number + 1} did not put it back")
        self.rm_ok(box)
        return done


# ---- life -------------------------------------------------------------------------------------------


class Life(LivingCase):
    def test_what_one_command_leaves_the_next_one_finds_until_rm(self):
        box = self.create("kept")
        self.assertEqual(box.name, "kept")
        self.inside_ok(box, "echo one >/file; setsid sleep 4711 >/dev/null 2>&1 & echo two >/dev/shm/two")
        self.assertEqual(self.inside_ok(box, "cat /file /dev/shm/two; hostname"), "one\ntwo\nkept\n")
        self.assertEqual(self.sleepers(box), ["4711"])
        self.rm_ok(box)
        self.assertIn(state(box.keeper), ("", "Z"), "rm returned before the end")
        self.nothing_left()
        self.assert_fails(self.inside(box, "true"), 125, "no sandbox has the name 'kept'")

    def test_without_a_name_one_is_made_up_and_told(self):
        one, two = self.create(), self.create()
        self.assertNotEqual(one.name, two.name)
        self.assertEqual(self.inside_ok(one, "hostname"), one.name + "\n")
        self.rm_ok(one, two)

    def test_exit_statuses_are_those_of_run(self):
        box = self.create()
        for script, code in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)):
            result = self.inside(box, script)
            self.assertEqual((result.code, result.out, result.err), (code, "", ""), str(result))
        for command, code in (("/etc", 126), ("/etc/passwd", 126), ("nothing-of-that-name", 127), ("/no/such", 127), ("", 127)):
            self.assert_fails(self.hutch("exec", box.name, command), code, command)
        self.assert_fails(self.hutch("exec", "-w", "/no/such", box.name, "true"), 126, "/no/such")
        self.assert_fails(self.hutch("exec", "-u", "nobody-of-that-name", box.name, "true"), 125, "nobody-of-that-name")
        self.rm_ok(box)

    def test_how_it_ended_is_told_as_json(self):
        box = self.create()
        cases = (("exit 3", ("exit", 3, 0)), ("kill -USR1 $$", ("signal", 138, 10)))
        for script, wanted in cases:
            told = self.inside(box, "--json", script).verdict
            self.assertEqual((told["end"], told["exit_code"], told["signal"]), wanted)
        self.assertEqual(self.inside(box, "--json", "--timeout", "0.2", "sleep 9").verdict["end"], "timeout")
        for name, command, code in ((box.name, "nothing", 127), ("unknown", "true", 125)):
            told = self.hutch("exec", "--json", name, command)
            self.assertEqual((told.code, told.verdict["end"], told.verdict["exit_code"]), (code, "not_run", code), str(told))
            self.assertNotEqual(told.verdict["message"], "")
        self.rm_ok(box)

    def test_a_name_is_taken_as_long_as_somebody_has_it(self):
        box = self.create("taken")
        self.inside_ok(box, "echo mine >/file")
        for command in (("create", "--rootfs", self.rootfs, "taken"), ("run", "--name", "taken", "--host", "--", "true")):
            self.assert_fails(self.hutch(*command), 125, "'taken' is taken")
        self.assertEqual(self.inside_ok(box, "cat /file"), "mine\n")
        self.rm_ok(box)
        self.rm_ok(self.create("taken"))

    def test_of_many_who_want_one_name_at_once_one_gets_it(self):
        results = [self.finish(p) for p in [self.start("create", "--host", "one") for _ in range(8)]]
        self.assertEqual(sorted(r.code for r in results), [0] + [125] * 7)
        for result in results:
            self.assertTrue(result.code == 0 or "'one' is taken" in result.err, str(result))
        self.assertEqual(self.hutch("exec", "one", "hostname").out, "one\n")
        self.assertEqual(self.run_ok("rm", "one").err, "")
        self.nothing_left()

    def test_a_name_that_nobody_has_is_said(self):
        for words in (("exec", "nobody", "true"), ("reset", "nobody"), ("rm", "nobody"), ("rm", "-f", "nobody")):
            self.assert_fails(self.hutch(*words), 125, "no sandbox has the name 'nobody'")

    def test_a_word_that_is_no_name_finds_no_sandbox(self):
        box = self.create("box")
        (self.home / "run" / "elsewhere").mkdir(mode=0o700)
        self.give(self.home / "run" / "elsewhere")
        for word in ("", ".", "..", "../run/box", "./box", "box/", "box/.", "elsewhere/../box", ".free", "a" * 300):
            result = self.hutch("exec", word, "true")
            self.assertEqual(result.code, 125, f"{word!r} found one\n{result}")
            self.assertNotIn("belongs to a program", result.err, f"{word!r}: there is no such program")
        (self.home / "run" / "elsewhere").rmdir()
        self.rm_ok(box)

    def test_every_name_is_tried_and_the_failure_told(self):
        one, two = self.create("one"), self.create("two")
        for box in (one, two):
            self.inside_ok(box, "touch /dirty")
        self.assert_fails(self.hutch("reset", "one", "nobody", "two"), 125, "'nobody'")
        for box in (one, two):
            self.assertEqual(self.inside(box, "test -e /dirty").code, 1, box.name)
        self.assert_fails(self.hutch("rm", "one", "nobody", "two"), 125, "'nobody'")
        self.assertEqual(self.run_ok("ps", "-aq").out, "")

    def test_words_that_mean_nothing_are_refused(self):
        box = self.create("box")
        for words, said in ((("exec",), "name"), (("exec", "box"), "command"), (("reset",), "name"), (("rm",), "name"),
                            (("reset", "-f", "box"), "-f"), (("ps", "box"), "box"), (("create", "--host", "a", "b"), "'b'"),
                            (("create", "--host", "--name", "a", "b"), "'a' and 'b'"),
                            (("create", "c"), "root file system"), (("create", "--host", "-x"), "-x"),
                            (("create", "--host", ".c"), ".c"), (("exec", "--cpus", "1", "box", "true"), "--cpus")):
            with self.subTest(words):
                self.assert_fails(self.hutch(*words), 125, said)
        self.assertEqual(self.run_ok("ps", "-q").out, "box\n")
        self.rm_ok(box)

    def test_the_signals_of_its_makers_terminal_do_not_reach_it(self):
        terminal = self.terminal("create", "--rootfs", self.rootfs, "hup")
        terminal.expect("hup")
        self.assertEqual(terminal.wait(), 0)
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with suppress(ProcessLookupError):
                os.killpg(terminal.process.pid, sig)
        terminal.close()
        self.assertEqual(self.inside_ok(Box("hup", 0), "echo there"), "there\n")
        self.run_ok("rm", "hup")

    def test_a_maker_that_is_killed_leaves_a_whole_sandbox_or_none(self):
        for milliseconds in (1, 3, 5, 8, 12, 16, 20, 30, 45):
            process = self.start("create", "--rootfs", self.rootfs, "half", stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
            time.sleep(milliseconds / 1000)
            process.kill()
            process.wait()
            result = self.inside(Box("half", 0), "echo whole")
            self.assertIn((result.code, result.out), ((0, "whole\n"), (125, "")), f"{milliseconds} ms\n{result}")
            self.hutch("rm", "half")
            self.run_ok("cleanup")
            self.nothing_left()


class Options(LivingCase):
    def test_what_was_asked_for_at_the_start_holds_for_every_command(self):
        self.write("env", "FILE=file\nBOTH=file\n")
        self.write("data/note", "hello\n")
        box = self.create("-e", "OWN=own", "-e", "BOTH=own", "-e", "TAKEN", "--env-file", "./env", "-w", "/srv/here", "-h",
                          "other", "-v", "./data:/data:ro", "--tmpfs", "/scratch", "--ulimit", "nofile=321")
        script = 'echo $OWN $BOTH $FILE "$TAKEN"; pwd; hostname; cat /data/note; touch /scratch/x && ulimit -n'
        wanted = "own own file \n/srv/here\nother\nhello\n321\n"
        self.assertEqual(self.inside_ok(box, script), wanted)
        self.assertEqual(self.inside_ok(box, script, cwd="/"), wanted, "from another directory")
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, script, cwd="/"), wanted, "after a reset")
        self.rm_ok(box)

    def test_variables_of_the_callers_are_those_of_the_moment_in_which_they_were_asked_for(self):
        result = self.hutch("create", "--rootfs", self.rootfs, "-e", "KEY", "box", env={"KEY": "maker", "SECRET": "secret"})
        self.assertEqual(result.code, 0, str(result))
        box = Box("box", 0)
        env = {"KEY": "caller", "MINE": "caller"}
        self.assertEqual(self.inside_ok(box, "echo $KEY $MINE $SECRET", env=env), "maker\n")
        self.assertEqual(self.inside_ok(box, "-e", "KEY", "-e", "MINE", "echo $KEY $MINE", env=env), "caller caller\n")
        self.assertEqual(self.inside_ok(box, "echo $KEY $MINE", env=env), "maker\n", "and for that command only")
        self.rm_ok(box)

    def test_options_of_exec_go_before_those_of_the_start(self):
        box = self.create("-e", "A=start", "-e", "B=start", "-w", "/tmp")
        env = self.write("env", "B=file\nC=file\n")
        self.assertEqual(self.inside_ok(box, "-w", "/usr", "-e", "A=exec", "--env-file", env, "echo $A $B $C; pwd"),
                         "exec file file\n/usr\n")
        self.assertEqual(self.inside_ok(box, "echo $A $B $C; pwd"), "start start\n/tmp\n")
        self.rm_ok(box)

    @only(*MANY_IDS)
    def test_the_user_of_the_start_and_that_of_one_command(self):
        box = self.create("-u", "user")
        self.assertEqual(self.inside_ok(box, "id -u; id -g; echo $HOME"), "1000\n1000\n/home/user\n")
        self.assertEqual(self.inside_ok(box, "-u", "0", "id -u; echo $HOME"), "0\n/root\n")
        self.assertEqual(self.inside_ok(box, "-u", "7:8", "id -u; id -g"), "7\n8\n")
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, "id -u"), "1000\n")
        self.rm_ok(box)

    def test_the_sandbox_can_be_used_when_the_source_of_a_volume_was_moved_on_the_host(self):
        self.write("data/note", "hello\n")
        box = self.create("-v", "./data:/data")
        (self.tmp / "data").rename(self.tmp / "moved")
        failures = [str(r) for r in (self.inside(box, "cat /data/note"), self.hutch("reset", box.name),
                                     self.inside(box, "cat /data/note"), self.hutch("rm", box.name)) if r.code]
        (self.tmp / "moved").rename(self.tmp / "data")  # or it could not be removed
        self.assertEqual(failures, [], "what is mounted does not need its name any more")

    def test_the_root_file_system_may_be_moved_on_the_host_too(self):
        root = self.copy_of_rootfs()
        box = self.create(root=("--rootfs", root))
        root.rename(self.tmp / "moved")
        failures = [str(r) for r in (self.inside(box, "true"), self.hutch("reset", box.name), self.inside(box, "true"),
                                     self.hutch("rm", box.name)) if r.code]
        (self.tmp / "moved").rename(root)
        self.assertEqual(failures, [])

    def test_bytes_of_any_encoding_are_taken_as_run_takes_them(self):
        run = self.hutch("run", "--rootfs", self.rootfs, "-e", b"X=\xff\xfe", "--", "sh", "-c", "printf %s \"$X\"")
        self.assertEqual((run.code, run.out), (0, "\udcff\udcfe"), str(run))
        made = self.hutch("create", "--rootfs", self.rootfs, "-e", b"X=\xff\xfe", "bytes")
        self.assertEqual(made.code, 0, str(made))
        self.assertEqual(self.run_ok("exec", "bytes", "sh", "-c", "printf %s \"$X\"").out, "\udcff\udcfe")
        self.run_ok("rm", "bytes")

    def test_a_timeout_of_create_is_kept_or_refused(self):
        made = self.hutch("create", "--rootfs", self.rootfs, "--timeout", "0.3", "timed")
        if made.code == 0:
            result = self.hutch("exec", "timed", "sleep", "2")
            self.run_ok("rm", "timed")
            self.assertEqual(result.code, 124, f"--timeout was taken and means nothing\n{result}")
        else:
            self.assert_fails(made, 125, "timeout")

    def test_descriptors_that_are_named_are_passed_and_no_others(self):
        box = self.create()
        read, write = os.pipe()
        other, hidden = os.pipe()
        try:
            result = self.hutch("exec", "--preserve-fd", str(write), box.name, "bash", "-c",
                                f"echo through >&{write}; test -e /proc/self/fd/{hidden}; echo $?",
                                pass_fds=(write, hidden))
            self.assertEqual((result.code, result.out, result.err), (0, "1\n", ""), str(result))
            self.assertEqual(os.read(read, 100), b"through\n")
        finally:
            for fd in (read, write, other, hidden):
                os.close(fd)
        self.rm_ok(box)

    def test_standard_input_only_when_it_is_asked_for(self):
        box = self.create()
        self.assertEqual(self.hutch("exec", box.name, "wc", "-c", input="12345").out.strip(), "0")
        self.assertEqual(self.hutch("exec", "-i", box.name, "wc", "-c", input="12345").out.strip(), "5")
        big = "0123456789abcdef" * 65536
        self.assertEqual(self.hutch("exec", "-i", box.name, "cat", input=big).out, big)
        file = self.write("file", big)
        with open(file, "rb") as stdin, open(self.tmp / "out", "wb") as stdout:
            self.assertEqual(self.hutch("exec", "-i", box.name, "cat", stdin=stdin, stdout=stdout).code, 0)
        self.assertEqual((self.tmp / "out").read_text(), big, "files")
        self.rm_ok(box)


# ---- several callers --------------------------------------------------------------------------------


class Callers(LivingCase):
    def test_two_processes_are_attached_at_once_and_each_has_its_own(self):
        box = self.create()
        one = self.begin(box, "-i", "echo ready; read x; echo one $x; exit 11", stdin=subprocess.PIPE)
        two = self.begin(box, "-i", "echo ready; read x; echo two $x; exit 12", stdin=subprocess.PIPE)
        self.assertEqual(self.inside_ok(box, "echo between"), "between\n")
        second, first = self.finish(two, "b\n"), self.finish(one, "a\n")
        self.assertEqual((first.code, first.out), (11, "one a\n"), str(first))
        self.assertEqual((second.code, second.out), (12, "two b\n"), str(second))
        self.rm_ok(box)

    def test_of_many_at_once_none_gets_what_another_one_wrote(self):
        box = self.create()
        started = [self.start("exec", box.name, "sh", "-c", f"echo {n}; echo err {n} >&2; exit {n}") for n in range(24)]
        for n, process in enumerate(started):
            result = self.finish(process)
            self.assertEqual((result.code, result.out, result.err), (n, f"{n}\n", f"err {n}\n"), str(result))
        self.rm_ok(box)

    def test_the_end_of_one_caller_is_the_end_of_its_command_and_of_nothing_else(self):
        box = self.create()
        self.inside_ok(box, "setsid sleep 4710 >/dev/null 2>&1 &")
        other = self.begin(box, "-i", "sleep 4711 & echo ready; read x; kill $!", stdin=subprocess.PIPE)
        tree = "(setsid sh -c 'sleep 4712 & (sleep 4713 &)' &); setsid sleep 4714 & sleep 0.2; echo ready; exec sleep 4715"
        for number in range(6):
            doomed = self.begin(box, tree)
            self.assertEqual(self.sleepers(box), ["4710", "4711", "4712", "4713", "4714", "4715"])
            doomed.kill()
            doomed.wait()
            with suppress(AssertionError):
                wait_for(lambda: len(self.sleepers(box)) <= 2, seconds=2)
            self.assertEqual(self.sleepers(box), ["4710", "4711"], f"caller {number + 1}")
        self.assertEqual(self.finish(other, "go\n").code, 0)
        self.assertEqual(self.sleepers(box), ["4710"])
        self.rm_ok(box)

    def test_signals_to_the_caller_go_to_the_command(self):
        box = self.create()
        process = self.begin(box, "trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done")
        process.terminate()
        result = self.finish(process)
        self.assertEqual((result.code, result.out), (5, "term\n"), str(result))
        self.rm_ok(box)

    @only("root", "plain")
    @needs(is_root_of_machine, "the test connects in the persona's name")
    def test_more_callers_than_it_serves_at_once_wait_for_their_turn(self):
        box = self.create()
        place = f"{self.home}/run/{box.name}/sock"
        held = []
        try:
            for _ in range(CALLERS_MAX + 30):
                held.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                held[-1].connect(place)
            waiting = self.start("exec", box.name, "sh", "-c", "echo my turn")
            time.sleep(0.3)
            self.assertIsNone(waiting.poll(), "there was no room")
        finally:
            for one in held:
                one.close()
        self.assertEqual(self.finish(waiting, timeout=10).out, "my turn\n")
        self.rm_ok(box)

    @only("root", "plain")
    @needs(is_root_of_machine, "the test connects in the persona's name")
    def test_a_caller_that_talks_nonsense_disturbs_nobody(self):
        box = self.create()
        self.with_starter(box)
        other = self.begin(box, "-i", "echo ready; read x; exit 9", stdin=subprocess.PIPE)
        time.sleep(0.1)
        fds = len(os.listdir(f"/proc/{box.keeper}/fd"))
        for nonsense in (b"x", b"\0" * 7, b"\xff" * 16, b"\0" * 4096, bytes(range(256)) * 200, b""):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
                one.connect(f"{self.home}/run/{box.name}/sock")
                with suppress(OSError):
                    socket.send_fds(one, [nonsense], [0, 1, 2])
        self.assertEqual(self.inside_ok(box, "echo well"), "well\n")
        wait_for(lambda: len(os.listdir(f"/proc/{box.keeper}/fd")) == fds, what="the descriptors were closed")
        self.assertEqual(self.finish(other, "go\n").code, 9)
        self.rm_ok(box)


IN_UNMOUNT = 0x2000  # inotify(7): the file system below is gone


class ShellAndInspect(LivingCase):
    def test_a_shell_on_a_terminal_and_without(self):
        box = self.create()
        terminal = self.terminal("shell", "-e", "PS1=inside> ", box.name)
        terminal.expect("inside> ")
        terminal.send("echo $((40+2)); tty\n")
        terminal.expect("42")
        terminal.expect("/dev/pts/")
        terminal.send("exit 3\n")
        self.assertEqual(terminal.wait(), 3)
        result = self.hutch("shell", "-w", "/usr", box.name, input="pwd; tty; exit 4\n")
        self.assertEqual((result.code, result.out), (4, "/usr\nnot a tty\n"), str(result))
        other = self.create("--shell", "/bin/sh")
        result = self.hutch("shell", other.name, input="echo $0; exit 4\n")
        self.assertEqual((result.code, result.out), (4, "/bin/sh\n"), str(result))
        self.assertEqual(json.loads(self.hutch("inspect", other.name).out)[0]["spec"]["shell"], "/bin/sh")
        self.assert_fails(self.hutch("shell"), 125, "no name")
        self.assert_fails(self.hutch("shell", "nobody-of-this-name"), 125, "nobody-of-this-name")
        self.rm_ok(box)
        self.rm_ok(other)

    def test_inspect_says_what_was_asked_for(self):
        box = self.create("--hostname", "house", "-e", "A=b", "-w", "/tmp")
        result = self.hutch("inspect", box.name)
        (one,) = json.loads(result.out)
        self.assertEqual((one["name"], one["state"], one["kind"]), (box.name, "running", "detached"))
        self.assertLess(abs(one["started"] - time.time()), 60)
        spec = one["spec"]
        self.assertEqual((spec["hostname"], spec["env"], spec["working_dir"]), ("house", ["A=b"], "/tmp"))
        self.kill(box.keeper)
        (one,) = json.loads(self.hutch("inspect", box.name).out)
        self.assertEqual((one["state"], one["spec"]["hostname"]), ("dead", "house"))
        self.rm_ok(box)
        result = self.hutch("inspect", box.name)
        self.assertEqual((result.code, json.loads(result.out)), (125, []), str(result))


class Mounts(LivingCase):
    def is_let_go(self, begin, end, seconds: float = 2) -> bool:
        """Does a file system of the host end when the host unmounts it, which was there when @begin was called?"""
        libc = ctypes.CDLL(None, use_errno=True)
        place = self.mkdir("mounted")
        subprocess.run(["mount", "-t", "tmpfs", "probe", place], check=True)
        watch = libc.inotify_init1(os.O_CLOEXEC)
        try:
            self.assertGreaterEqual(libc.inotify_add_watch(watch, os.fsencode(place), IN_UNMOUNT), 0)
            begun = begin()
            time.sleep(0.3)
            subprocess.run(["umount", place], check=True)
            let_go, _, _ = select.select([watch], [], [], seconds)
            end(begun)
            return bool(let_go)
        finally:
            os.close(watch)
            subprocess.run(["umount", place], capture_output=True)
            place.rmdir()

    @only("root")
    @needs(is_root_of_machine, "only root can mount")
    def test_a_sandbox_holds_on_to_no_mount_of_the_host(self):
        def stop(process: subprocess.Popen) -> None:
            process.terminate()
            process.communicate()

        def reset() -> Box:
            box = self.create()
            self.reset_ok(box)
            return box

        holder = ["unshare", "-m", "sleep", "60"]
        self.assertFalse(self.is_let_go(lambda: subprocess.Popen(holder), stop, 0.3), "the test sees nothing")
        self.assertTrue(self.is_let_go(self.create, self.rm_ok), "create")
        self.assertTrue(self.is_let_go(reset, self.rm_ok), "create, reset")
        self.assertTrue(self.is_let_go(lambda: self.create("--network", "host"), self.rm_ok), "create --network host")
        self.assertTrue(self.is_let_go(lambda: self.start("run", "--host", "--", "sleep", "60"), stop), "run")


class Timeouts(LivingCase):
    measures_time = True

    def test_a_timeout_ends_the_whole_tree_of_its_command_and_nothing_else(self):
        box = self.create()
        self.inside_ok(box, "setsid sleep 4710 >/dev/null 2>&1 &")
        other = self.begin(box, "-i", "echo ready; read x; exit 3", stdin=subprocess.PIPE)
        result = self.inside(box, "--timeout", "0.4", """trap '' TERM HUP INT
            (setsid sh -c 'sleep 4711 & (setsid sleep 4712 &)' &)
            sh -c 'kill -STOP $$' &
            echo output; sleep 4713""")
        self.assertEqual((result.code, result.out), (124, "output\n"), str(result))
        self.assertIn("time is over", result.err)
        self.assertLess(result.seconds, 1.5, str(result))
        self.assertEqual(self.sleepers(box), ["4710"])
        self.assertEqual(self.inside_ok(box, "cat /proc/[0-9]*/stat | grep -c ' T ' || :"), "0\n", "the stopped one too")
        self.assertEqual(self.finish(other, "go\n").code, 3)
        self.rm_ok(box)

    def test_quiet_says_nothing_about_it(self):
        box = self.create()
        result = self.inside(box, "-q", "--timeout", "200ms", "sleep 9")
        self.assertEqual((result.code, result.err), (124, ""), str(result))
        self.rm_ok(box)

    @only("root", "plain")
    @storm
    def test_a_fork_bomb_ends_with_its_timeout_and_the_sandbox_goes_on(self):
        """Beside programs that want all processors: then somebody is in the middle of a fork whenever one looks."""
        box = self.create("--ulimit", "nproc=300")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for _ in range(4 * (os.cpu_count() or 1)):
            self._started.append(self.persona.popen(["sh", "-c", "while :; do :; done"], env=self.environment()))
        for bomb in ("while :; do sleep 4716 & done", "f() { f & f & }; f", "while :; do setsid sh -c 'sleep 4716 &' & done") * 5:
            result = self.hutch("exec", "--timeout", "0.3", box.name, "sh", "-c", 'sh -c "$0" & sleep 60', bomb, **quiet)
            self.assertEqual(result.code, 124, str(result))
            self.assertLess(result.seconds, 2, str(result))
            # The dead that nobody has reaped yet still count for nproc. Its pid 1, and who counts.
            wait_for(lambda: self.processes(box) == 2, what=f"the end of all that {bomb} made")
        self.assertEqual(self.inside_ok(box, "echo well"), "well\n")
        self.rm_ok(box)

    @with_perl
    def test_a_child_given_to_the_keeper_is_of_the_tree_too(self):
        box = self.create(root=("--rootfs", self.rootfs_with_perl))
        result = self.hutch("exec", "--timeout", "0.5", box.name, "perl", "-e", SIBLING, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
        self.assertEqual(result.code, 124, str(result))
        self.assertEqual(self.sleepers(box), [], "a clone with CLONE_PARENT outlived the timeout of its command")
        self.rm_ok(box)


class Terminals(LivingCase):
    def test_a_terminal_of_its_own_with_the_size_and_the_keys_of_ours(self):
        box = self.create()
        terminal = self.terminal("exec", "-it", "-e", "PS1=inside> ", box.name, "sh", rows=31, columns=97)
        terminal.expect("inside> ")
        terminal.send("stty size; tty; echo term $TERM\n")
        terminal.expect("31 97")
        terminal.expect("/dev/pts/")
        terminal.expect("term xterm")
        terminal.expect("inside> ")
        terminal.resize(40, 111)
        time.sleep(0.1)
        terminal.send("stty size\n")
        terminal.expect("40 111")
        terminal.expect("inside> ")  # so that the next one is what comes after Ctrl-C
        terminal.send("sleep 4711; echo status $?\n")
        wait_for(lambda: self.sleepers(box) == ["4711"], what="a sleep in the foreground")
        terminal.send("\x03")
        terminal.expect("inside> ")
        self.assertEqual(self.sleepers(box), [], "Ctrl-C")
        terminal.send("exit 6\n")
        self.assertEqual(terminal.wait(), 6)
        self.rm_ok(box)

    def test_two_terminals_at_once_are_two(self):
        box = self.create()
        one, two = (self.terminal("exec", "-it", "-e", "PS1=inside> ", box.name, "sh") for _ in range(2))
        names = []
        for terminal in (one, two):
            terminal.expect("inside> ")
            terminal.send("tty\n")
            terminal.expect("\n")
            names.append(terminal.expect("inside> ").strip())
        self.assertEqual(len(set(names)), 2, names)
        for terminal in (one, two):
            terminal.send("\x04")
            self.assertEqual(terminal.wait(), 0)
        self.rm_ok(box)

    def test_one_without_our_terminal_and_without_input(self):
        box = self.create()
        result = self.inside(box, "-t", "test -t 1 && echo terminal")
        self.assertEqual((result.code, result.out), (0, "terminal\r\n"), str(result))
        self.assert_fails(self.inside(box, "-it", "true"), 125, "not a terminal")
        self.rm_ok(box)

    def test_a_reset_ends_what_is_on_it_and_leaves_our_terminal_as_it_was(self):
        box = self.create()
        terminal = self.terminal("exec", "-it", "-e", "PS1=inside> ", box.name, "sh")
        terminal.expect("inside> ")
        before = subprocess.run(["stty", "-g"], stdin=terminal.fd, capture_output=True, text=True, check=True).stdout
        self.reset_ok(box)
        self.assertEqual(terminal.wait(), 137)
        after = subprocess.run(["stty", "-g"], stdin=terminal.fd, capture_output=True, text=True, check=True).stdout
        self.assertNotEqual(before, after, "it was raw in between")
        self.rm_ok(box)


# ---- sandboxes of programs --------------------------------------------------------------------------


class OfPrograms(LivingCase):
    """`hutch run --name` has a name too, and nobody else may use it."""

    def refused(self, name: str) -> None:
        for words in (("exec", name, "true"), ("reset", name), ("rm", "-f", name)):
            self.assert_fails(self.hutch(*words), 125, name, "belongs to a program")

    def test_one_that_belongs_to_a_program_says_so_and_goes_on(self):
        process = self.started_with("ready", "--name", "owned", "-i", "--rootfs", self.rootfs, "--", "sh", "-c",
                                    "echo ready; read x; echo $x; exit 4", stdin=subprocess.PIPE)
        self.refused("owned")
        (line,) = json.loads(self.run_ok("ps", "--json").out)
        self.assertEqual((line["name"], line["state"], line["kind"]), ("owned", "running", "attached"))
        result = self.finish(process, "undisturbed\n")
        self.assertEqual((result.code, result.out), (4, "undisturbed\n"), str(result))

    def test_also_where_the_name_was_one_that_lived_without_its_maker(self):
        for how in ("removed", "killed"):
            box = self.create("before")
            if how == "killed":
                self.kill(box.keeper)
            self.rm_ok(box)
            process = self.started_with("ready", "--name", "before", "-i", "--rootfs", self.rootfs, "--", "sh", "-c",
                                        "echo ready; read x", stdin=subprocess.PIPE)
            try:
                with self.subTest(how):
                    self.refused("before")
                    (line,) = json.loads(self.run_ok("ps", "--json").out)
                    self.assertEqual((line["name"], line["state"], line["kind"]), ("before", "running", "attached"))
            finally:
                self.finish(process, "end\n")

    def test_one_whose_program_was_killed_has_ended(self):
        process = self.started_with("ready", "--name", "orphan", "--rootfs", self.rootfs, "--", "sh", "-c",
                                    "echo ready; exec sleep 60")
        process.kill()
        process.wait()
        wait_for(lambda: self.hutch("ps", "-q").out == "", what="the end of the sandbox")
        result = self.hutch("exec", "orphan", "true")
        # With ids of /etc/subuid it came from a nursery, which removes what is left.
        says = "has ended|no sandbox has the name" if self.persona.name == "subuid" else "has ended"
        self.assertRegex(result.err, f"orphan.*({says})")
        self.assertEqual(result.code, 125)
        self.run_ok("cleanup")


# ---- reset ------------------------------------------------------------------------------------------


class Reset(LivingCase):
    @with_perl
    def test_everything_is_as_right_after_the_start(self):
        self.put_back()

    @with_perl
    def test_again_and_again_also_from_a_state_that_stood_ready(self):
        self.put_back(resets=3, spare=True)

    @with_perl
    def test_changes_in_memory_are_put_back_too(self):
        self.put_back("--upper", "tmpfs:64m")

    @with_perl
    def test_with_the_machines_own_programs(self):
        self.put_back(root=("--host",), must=ALWAYS, leave_out=("/usr", "/opt", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"))

    @with_perl
    def test_with_mounts_host_name_and_network_that_the_inside_rules_over(self):
        done = self.put_back("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", resets=2)
        self.assertLessEqual({"hostname", "domain", "mount /home", "address", "interface"}, done, "powers that were asked for")

    @with_perl
    def test_with_everything_given(self):
        done = self.put_back("--privileged", "--security-opt", "seccomp=unconfined", resets=2)
        self.assertLessEqual({"hostname", "mount /home"}, done, "powers that were asked for")

    @with_perl
    def test_queues_are_seen_where_they_belong_whatever_was_asked_for(self):
        for options in ((), ("--cap-add", "SYS_ADMIN"), ("--privileged",)):
            box = self.create(*options, root=("--rootfs", self.rootfs_with_perl))
            self.perl(box, "exit(syscall(240, my $name = 'seen', 0102, 0600, 0) < 0)")
            self.assertEqual(self.inside_ok(box, "ls /dev/mqueue"), "seen\n", options)
            self.reset_ok(box)
            self.assertEqual(self.inside_ok(box, "ls /dev/mqueue"), "")
            self.rm_ok(box)

    @with_perl
    def test_settings_of_the_kernel_that_were_asked_for_are_there_again(self):
        self.put_back("--sysctl", "net.core.somaxconn=99", "--sysctl", "kernel.msgmax=4242", "--ulimit", "nofile=512")

    @with_perl
    def test_volumes_that_are_copies_are_put_back_and_the_host_sees_nothing(self):
        self.write("dir/file", "mine")
        self.write("one", "mine")
        before = census.tree(self.tmp / "dir"), (self.tmp / "one").read_text()
        self.put_back("-v", "./dir:/cow:cow", "-v", "./one:/one:cow", must=(*IN_ROOTFS, "cow", "one"), resets=2)
        self.assertEqual((census.tree(self.tmp / "dir"), (self.tmp / "one").read_text()), before)

    def test_volumes_that_are_the_hosts_are_not_put_back(self):
        self.mkdir("dir")
        box = self.create("-v", "./dir:/data")
        self.inside_ok(box, "echo kept >/data/file; echo gone >/file")
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, "cat /data/file; ls /file 2>/dev/null || :"), "kept\n")
        self.assertEqual((self.tmp / "dir/file").read_text(), "kept\n")
        self.rm_ok(box)

    def test_room_for_changes_is_the_same_after_every_reset(self):
        box = self.create("--upper", "tmpfs:32m")
        for number in range(4):
            result = self.inside(box, "dd if=/dev/zero of=/big bs=1M count=20 2>&1")
            self.assertEqual(result.code, 0, f"after {number} resets there is no room for 20 of 32 MiB\n{result}")
            self.reset_ok(box)
        self.rm_ok(box)

    def test_commands_that_run_end_with_the_signal_that_killed_them(self):
        box = self.create()
        running = [self.begin(box, *options, "trap '' TERM; (setsid sleep 4711 &); echo ready; sleep 4712")
                   for options in ((), ("--timeout", "60"), (), ())]
        stopped = self.begin(box, "echo ready; kill -STOP $$")
        self.reset_ok(box)
        for process in (*running, stopped):
            result = self.finish(process, timeout=5)
            self.assertEqual((result.code, result.out, result.err), (137, "", ""), str(result))
        self.assertEqual(self.sleepers(box), [])
        self.rm_ok(box)

    def test_commands_started_all_the_while_run_before_or_after_it(self):
        box = self.create()
        started = []
        for number in range(20):
            started.append(self.start("exec", box.name, "sh", "-c", "echo begun; exec sleep 0.05"))
            if number % 5 == 4:
                self.reset_ok(box)
        for process in started:
            result = self.finish(process, timeout=10)
            self.assertIn((result.code, result.err), ((0, ""), (137, "")), str(result))
        self.assertEqual(self.inside_ok(box, "echo well"), "well\n")
        self.rm_ok(box)

    def test_several_at_once_are_several(self):
        box = self.create()
        for _ in range(3):
            self.inside_ok(box, "touch /dirty; setsid sleep 4711 >/dev/null 2>&1 &")
            for process in [self.start("reset", box.name) for _ in range(4)]:
                result = self.finish(process)
                self.assertEqual((result.code, result.err), (0, ""), str(result))
            self.assertEqual(self.inside(box, "test -e /dirty").code, 1)
            self.assertEqual(self.sleepers(box), [])
        self.rm_ok(box)

    @only("root", "plain")
    @storm
    def test_a_fork_bomb_does_not_hold_it_up(self):
        box = self.create("--ulimit", "nproc=300")
        for _ in range(2):
            bomb = self.start("exec", box.name, "sh", "-c", "f() { while :; do (f) & done; }; f", stderr=subprocess.DEVNULL)
            time.sleep(0.3)
            result = self.hutch("reset", box.name)
            self.assertEqual((result.code, result.err), (0, ""), str(result))
            self.assertLess(result.seconds, 3, str(result))
            self.assertIn(self.finish(bomb, timeout=5).code, (137, 2), "killed, or its shell could not fork")
            self.assertEqual(self.inside_ok(box, "echo well"), "well\n")
        self.rm_ok(box)

    def test_what_was_written_does_not_stay_on_disk(self):
        box = self.create()
        for _ in range(3):
            self.inside_ok(box, "mkdir -p /junk/deep; cd /junk; for i in $(seq 200); do echo $i >$i; done; chmod 0 /junk /; :")
            self.reset_ok(box)
        wait_for(lambda: not self.on_disk("junk"), what="the sweeper's work")
        self.rm_ok(box)

    def test_the_next_state_stands_ready_from_the_start_where_that_was_asked_for(self):
        usual, box = self.create(), self.create("--spare")
        ready = self.spare(box)
        self.assertEqual(len(reapers(usual.keeper)), 1)
        self.inside_ok(box, "echo x >/left")
        self.reset_ok(box)
        wait_for(lambda: reapers(box.keeper)[0] == ready, what="the end of the state before, after which that one is the present")
        self.assertEqual(self.inside_ok(box, "ls /left 2>&1 || echo none; cat /proc/1/comm").splitlines()[-2:], ["none", "hutch-init"])
        self.assertEqual(json.loads(self.run_ok("inspect", box.name).out)[0]["spec"]["spare"], True)
        for one in (usual, box):
            self.rm_ok(one)

    def test_with_a_state_that_stood_ready_from_the_start_all_is_put_back(self):
        self.put_back("--spare", resets=2, spare=True)

    @only("root", "subuid", "plain")
    @needs(is_root_of_machine, "the keeper's descriptors are root's to see")
    def test_fifty_leave_memory_descriptors_mounts_processes_and_disk_as_they_were(self):
        box = self.create()

        def of_the_keeper() -> dict[str, int]:
            self.spare(box)
            census.reap_orphans({process.pid for process in self._started})
            status = fields_of(Path(f"/proc/{box.keeper}/status").read_text())
            children = Path(f"/proc/{box.keeper}/task/{box.keeper}/children").read_text().split()
            return {"resident kB": int(status["VmRSS"].split()[0]), "data kB": int(status["VmData"].split()[0]),
                    "descriptors": len(os.listdir(f"/proc/{box.keeper}/fd")),
                    "mounts": len(Path(f"/proc/{box.keeper}/mountinfo").read_text().splitlines()),
                    "children": len(children), "processes": len(census.count_processes())}

        def one() -> None:
            self.inside_ok(box, "mkdir /d; for i in 1 2 3 4 5 6 7 8; do echo $i >/d/$i; done; rm -r /home; echo x >/dev/shm/x")
            self.reset_ok(box)

        for _ in range(5):
            one()
        before = of_the_keeper()
        files = len(self.on_disk()) + 20
        for _ in range(50):
            one()
        with suppress(AssertionError):
            wait_for(lambda: of_the_keeper()["processes"] <= before["processes"], what="the end of the sweepers")
        after = of_the_keeper()
        grown = {what: (before[what], after[what]) for what in after
                 if after[what] > before[what] + (64 if what.endswith("kB") else 0)}
        self.assertEqual(grown, {})
        wait_for(lambda: len(self.on_disk()) <= files, what=f"no more than {files} files on disk")
        self.rm_ok(box)

    def on_disk(self, name: str = "") -> list[str]:
        """The directories of what sandboxes wrote, or those files of them that have a name."""
        found = []
        for top in ("boxes", "trash", "pool"):
            for root, dirs, files in os.walk(self.home / "data" / top):
                found += [os.path.join(root, n) for n in dirs + files if not name or n == name]
        return found


# ---- the end ----------------------------------------------------------------------------------------


class Killed(LivingCase):
    def gone_keeper(self, name: str) -> Box:
        box = self.create(name)
        self.inside_ok(box, "echo old >/file; setsid sleep 4711 >/dev/null 2>&1 &")
        self.kill(box.keeper)
        return box

    def test_who_lost_his_keeper_has_ended_and_is_said_to(self):
        box = self.gone_keeper("dead")
        for words in (("exec", "dead", "true"), ("reset", "dead")):
            self.assert_fails(self.hutch(*words), 125, "dead", "ended")
        self.assertEqual(self.run_ok("ps", "-q").out, "")
        self.assertEqual(self.run_ok("ps", "-aq").out, "dead\n")
        (line,) = json.loads(self.run_ok("ps", "-a", "--json").out)
        self.assertEqual((line["name"], line["state"]), (box.name, "dead"))
        self.run_ok("cleanup")
        self.assertEqual(self.run_ok("ps", "-aq").out, "dead\n", "it can be started again")
        self.rm_ok(box)
        self.nothing_left()

    def test_once_it_is_removed_its_name_is_free_and_nothing_of_it_is_in_the_next_one(self):
        self.rm_ok(self.gone_keeper("again"))
        box = self.create("again")
        self.assertEqual(self.inside(box, "test -e /file").code, 1)
        self.assertEqual(self.sleepers(box), [])
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, "echo well"), "well\n")
        self.rm_ok(box)
        self.nothing_left()

    def test_rm_removes_a_dead_one(self):
        self.gone_keeper("dead")
        result = self.hutch("rm", "dead")
        self.assertEqual((result.code, result.err), (0, ""), str(result))
        self.assertEqual(self.run_ok("ps", "-aq").out, "")
        self.nothing_left()

    def test_commands_that_run_are_told_of_the_keepers_end(self):
        box = self.create()
        running = self.begin(box, "echo ready; exec sleep 60")
        self.kill(box.keeper)
        result = self.finish(running, timeout=5)
        self.assertIn(result.code, (125, 137), str(result))
        self.assertTrue(result.code == 137 or "ended" in result.err or "gone" in result.err, str(result))
        self.rm_ok(box)

    def test_rm_removes_the_dead_and_leaves_the_living(self):
        living = self.create("living")
        self.inside_ok(living, "echo kept >/file")
        self.rm_ok(*[self.gone_keeper(name) for name in ("dead1", "dead2")])
        self.assertEqual(self.run_ok("ps", "-aq").out, "living\n")
        self.assertEqual(self.inside_ok(living, "cat /file"), "kept\n")
        self.rm_ok(living)
        self.nothing_left()

    def test_who_lost_his_pid_1_begins_anew_on_the_same_files(self):
        self.mkdir("cow")
        self.write("cow/old", "old")
        for options in ((), ("--read-only", "--tmpfs", "/tmp"), ("--upper", "tmpfs:64m"), ("--cap-add", "SYS_ADMIN")):
            box = self.create(*options, "-v", f"{self.tmp}/cow:/cow:cow", "headless")
            root = "/etc" if "--read-only" not in options else "/cow"
            for number in range(3):
                self.inside_ok(box, f"echo {number} >>/cow/kept; echo {number} >>{root}/here; rm -f {root}/motd")
                result = self.hutch("exec", "--session", "s", box.name, "cd /cow; A=1")
                self.assertEqual((result.code, result.err), (0, ""), str(result))
                running = self.begin(box, "echo ready; exec sleep 60")
                (reaper,) = reapers(box.keeper)
                os.kill(reaper, signal.SIGKILL)
                self.assertIn(self.finish(running, timeout=5).code, (137, 125))
                lines = "".join(f"{i}\n" for i in range(number + 1))
                self.assertEqual(self.inside_ok(box, f"cat /cow/kept {root}/here; ls {root}/motd 2>/dev/null; hostname"),
                                 f"{lines}{lines}headless\n", str(options))
                result = self.hutch("exec", "--session", "s", box.name, "pwd; echo [$A]; cat old")
                self.assertEqual((result.out, result.err), ("/cow\n[]\nold", ""), str(options))
                self.run_ok("cp", "headless:/cow/kept", self.tmp / "copy")
                self.assertEqual((self.tmp / "copy").read_text(), lines)
            self.reset_ok(box)
            self.assertEqual(self.inside_ok(box, f"ls /cow; ls {root}/here 2>/dev/null; :"), "old\n", str(options))
            self.rm_ok(box)
        self.nothing_left()

    def test_a_reset_brings_back_who_lost_his_pid_1_or_says_why_not(self):
        box = self.create()
        (reaper,) = reapers(box.keeper)
        os.kill(reaper, signal.SIGKILL)
        wait_for(lambda: not reapers(box.keeper), what="its end")
        result = self.hutch("reset", box.name)
        if result.code == 0:
            self.assertEqual(self.inside_ok(box, "echo well"), "well\n")
            self.rm_ok(box)
        else:
            self.assert_fails(result, 125, box.name)
            self.assertEqual(self.run_ok("ps", "-q").out, "", "never half reset")
            self.rm_ok(box)

    def test_a_state_that_stood_ready_and_was_killed_is_not_used(self):
        box = self.create()
        self.reset_ok(box)
        spare = self.spare(box)
        os.kill(spare, signal.SIGKILL)
        wait_for(lambda: spare not in reapers(box.keeper), what="its end")
        self.assertEqual(self.inside_ok(box, "echo untouched"), "untouched\n")
        self.reset_ok(box)
        self.assertEqual(self.inside_ok(box, "echo well"), "well\n", "after the reset")
        self.rm_ok(box)

    def is_alive(self, pid: int) -> bool:
        with suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0] not in "ZX"
        return False

    def test_the_next_first_process_killed_in_the_middle_of_a_reset(self):
        """What the keeper waits for then, the end of 400 processes, gives time for it. Whoever comes next is served, and
        the keeper sleeps. What began in the very moment of that end is killed with it, as where one is killed right after a reset."""
        box = self.create("--spare")
        for number in range(8):
            self.inside_ok(box, "i=0; while [ $i -lt 400 ]; do sleep 99 >/dev/null 2>&1 & i=$((i+1)); done")
            ready = self.spare(box)
            asks = self.start("reset", box.name)
            time.sleep(0.002 + 0.001 * number)
            with suppress(ProcessLookupError):
                os.kill(ready, signal.SIGKILL)
            result = self.finish(asks, timeout=20)
            self.assertEqual(result.code, 0, str(result))
            left = ["exec", box.name, "sh", "-c", "echo $(ps x | grep -c '[s]leep 99') well"]
            dying = self.is_alive(ready)
            result = self.hutch(*left, timeout=20)
            if dying and (result.code, result.out, result.err) == (137, "", ""):
                result = self.hutch(*left, timeout=20)
            self.assertEqual((result.code, result.out, result.err), (0, "0 well\n", ""), f"after reset {number}: {result}")
        time.sleep(0.3)
        before = ticks(box.keeper)
        time.sleep(1)
        self.assertLess(ticks(box.keeper) - before, 20, "of 100 of a second that it was awake")
        self.rm_ok(box)

    def test_rm_ends_trees_that_are_stopped_and_files_that_are_closed(self):
        box = self.create()
        running = self.begin(box, "echo ready; kill -STOP $$")
        self.inside_ok(box, "exec >/dev/null 2>&1; for i in 1 2 3 4 5; do setsid sleep 4711 & kill -STOP $!; done; chmod 0 / /usr /tmp")
        self.rm_ok(box)
        self.assertIn(self.finish(running, timeout=5).code, (125, 137))
        self.nothing_left()


# ---- what is said of it -------------------------------------------------------------------------------


@only("root")
class Pages(LivingCase):
    MAN = Path(__file__).resolve().parent.parent / "man"

    def told(self, command: str) -> set[str]:
        return set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", self.run_ok(command, "--help").out, re.M))

    def listed(self, command: str) -> set[str]:
        page = (self.MAN / f"hutch-{command}.1.scd").read_text()
        return set(re.findall(r"^(?:\*-\w\*, )?\*--([\w-]+)\*(?:[ \[].*)?\n\t", page, re.M))

    def test_the_page_of_exec_and_that_of_ps_have_every_option_of_the_help_and_no_other(self):
        for command in ("exec", "ps"):
            self.assertGreater(len(self.told(command)), 3)
            self.assertEqual(self.told(command), self.listed(command), command)

    def test_create_has_the_options_of_run_that_say_what_a_sandbox_is(self):
        about_run = {"detach", "keep", "cidfile", "json", "preserve-fd", "rm", "pull"}
        self.assertEqual(self.told("run") - about_run, self.told("create"))
        self.assertEqual(self.listed("create"), {"quiet", "help", "preset"}, "and the page refers to those of run")

    def test_every_command_has_a_page_and_is_in_the_list_of_all(self):
        commands = re.findall(r"^  (\w+) {2,}\S", self.run_ok("help").out, re.M)
        self.assertLessEqual({"run", "create", "exec", "reset", "rm", "ps", "doctor", "cleanup"}, set(commands))
        index = (self.MAN / "hutch.1.scd").read_text()
        for command in commands:
            self.assertTrue((self.MAN / f"hutch-{command}.1.scd").is_file(), command)
            self.assertRegex(index, rf"(?m)^\*hutch-{command}\*\(1\)\n\t")
            self.assertEqual(self.run_ok(command, "--help").out, self.run_ok("help", command).out)


# ---- ps ---------------------------------------------------------------------------------------------


class Ps(LivingCase):
    def test_it_lists_by_name_what_lives_and_all_what_has_died(self):
        self.assertEqual(self.run_ok("ps", "--json").out, "[]\n")
        self.assertEqual(self.run_ok("ps").out.split(), ["NAME", "STATE", "PID", "AGE", "SNAPSHOTS", "MEMORY", "ROOT"])
        since = int(time.time())
        boxes = [self.create(name) for name in ("b-two", "a.one", "c_3")]
        self.kill(boxes[2].keeper)
        self.assertEqual(self.run_ok("ps", "-q").out, "a.one\nb-two\n")
        self.assertEqual(self.run_ok("ps", "-aq").out, "a.one\nb-two\nc_3\n")
        rows = [line.split() for line in self.run_ok("ps", "--all").out.splitlines()[1:]]
        self.assertEqual([row[:3] for row in rows], [["a.one", "running", str(boxes[1].keeper)],
                                                     ["b-two", "running", str(boxes[0].keeper)], ["c_3", "dead", "-"]])
        for row in rows:
            self.assertRegex(row[3], r"^\d+s$")
        for told in json.loads(self.run_ok("ps", "-a", "--json").out):
            self.assertLessEqual(abs(told["started"] - since), 30, told)
        self.rm_ok(*boxes)

    def test_a_long_name_is_shown_whole(self):
        name = "n" * 60
        box = self.create(name)
        self.assertEqual(self.run_ok("ps").out.splitlines()[1].split()[0], name)
        self.assertEqual(self.inside_ok(box, "echo reached"), "reached\n")
        self.rm_ok(box)

    def test_its_age_counts_from_the_start_also_after_a_reset(self):
        box = self.create()
        (before,) = json.loads(self.run_ok("ps", "--json").out)
        time.sleep(1.1)
        self.reset_ok(box)
        (after,) = json.loads(self.run_ok("ps", "--json").out)
        self.assertEqual(after["started"], before["started"])
        self.rm_ok(box)
