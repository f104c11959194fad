# SPDX-License-Identifier: Apache-2.0
"""A small unpacked root file system, made of programs of this machine.

It has sh, the usual small programs, the shared libraries they need, users "root" and "user" (1000),
and no trace of the machine it was made on: what a minimal image has.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

PROGRAMS = """sh bash true false cat ls id env sleep stat touch mkdir rm chmod chown ln mv cp head tail wc sort
    readlink dd kill ps mount umount hostname uname seq tr mknod find grep sed timeout setpriv setsid stty tty df
    mkfifo printf test getfattr setfattr""".split()
DIRECTORIES = "dev etc home proc root run srv sys tmp usr/bin usr/lib usr/lib64 usr/sbin var/tmp".split()
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    "etc/group": "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
    "etc/os-release": 'ID=tiny\nPRETTY_NAME="a tiny root"\n',
}


def _libraries(program: str) -> set[str]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"(/\S+) \(0x", listed))


def build(path: Path) -> None:
    """Makes it at @path, whole or not at all."""
    half = path.with_name(path.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    for name in DIRECTORIES:
        (half / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (half / name).symlink_to(target)
    for name in ("tmp", "var/tmp"):
        (half / name).chmod(0o1777)
    (half / "root").chmod(0o700)
    (half / "home/user").mkdir()
    for name, content in FILES.items():
        (half / name).write_text(content)
    needed: set[str] = set()
    for name in PROGRAMS:
        program = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if program:
            shutil.copy(os.path.realpath(program), half / "usr/bin" / name)
            needed |= _libraries(program)
    for library in needed:
        place = half / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(os.path.realpath(library), place)
    _cache_libraries(half)
    half.rename(path)


def _cache_libraries(root: Path) -> None:
    """As every real image has it: without, each program looks for each library in a score of places. It takes a chroot."""
    (root / "etc/ld.so.conf").write_text("/usr/lib/x86_64-linux-gnu\n/usr/lib/aarch64-linux-gnu\n")
    command = ["/sbin/ldconfig", "-X", "-r", root]
    if os.geteuid():
        command[:0] = ["unshare", "--user", "--map-root-user"]
    subprocess.run(command, capture_output=True, check=False)  # musl has none; slower without, and the same otherwise


def chown(path: Path, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)
    for root, dirs, files in os.walk(path):
        for name in dirs + files:
            os.chown(os.path.join(root, name), uid, gid, follow_symlinks=False)
