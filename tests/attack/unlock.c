/* SPDX-License-Identifier: Apache-2.0
 *
 * unlock.c - with the power to mount, undo what the mounts of the sandbox keep out
 *
 *	unlock [VOLUME]
 *
 * Tries to take every mount away, to make the read-only ones writable, to allow devices and set-id
 * programs again, and to mount anew what is masked. Prints "WHAT RESULT"; "mounting at all" is what
 *the caller may do, and must be "ok" for the rest to mean anything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void say(const char *what, const char *object, int r)
{
	printf("%s %s %s\n", what, object, r < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

static void remount(const char *at, unsigned long flags)
{
	say("make writable", at, mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | flags, NULL));
}

static void umount_all(void)
{
	char line[4096], at[1024];
	FILE *f = fopen("/proc/self/mountinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %1023s", at) == 1 && strcmp(at, "/") &&
		    strcmp(at, "/proc") && strncmp(at, "/dev/shm/", 9))
			say("take away", at, umount2(at, MNT_DETACH));
}

int main(int argc, char **argv)
{
	const unsigned long kept = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	mkdir("/dev/shm/a", 0700);
	say("mounting at", "all", mount("none", "/dev/shm/a", "tmpfs", 0, NULL));
	umount_all();
	remount("/proc/sys", kept);
	remount("/proc/irq", kept);
	remount("/sys", kept);
	remount("/dev", MS_NOSUID);
	if (argc > 1) {
		say("make writable", "the volume",
		    mount(NULL, argv[1], NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL));
		say("allow devices", "on the volume",
		    mount(NULL, argv[1], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	}
	say("mount anew", "proc", mount("proc", "/dev/shm/a", "proc", 0, NULL));
	say("mount anew", "sysfs, writable,", mount("sysfs", "/dev/shm/a", "sysfs", 0, NULL));
	say("mount anew", "the machine's /dev", mount("none", "/dev/shm/a", "devtmpfs", 0, NULL));
	say("mount anew", "debugfs", mount("none", "/dev/shm/a", "debugfs", 0, NULL));
	say("mount anew", "securityfs", mount("none", "/dev/shm/a", "securityfs", 0, NULL));
	return 0;
}
