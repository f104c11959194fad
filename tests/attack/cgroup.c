/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup.c - mount the cgroups that there are, and open what would kill or freeze everybody in them
 *
 * Nothing is written. Prints "FILE RESULT" for the root of the hierarchy as it is seen inside,
 * which is the cgroup that the sandbox was started in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	static const char *const files[] = {"cgroup.kill", "cgroup.freeze", "cgroup.procs"};
	char path[64];
	int r;

	mkdir("/dev/shm/c", 0755);
	r = mount("none", "/dev/shm/c", "cgroup2", 0, NULL);
	printf("mount %s\n", r < 0 ? strerrorname_np(errno) : "ok");
	for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(*files); i++) {
		int fd;

		snprintf(path, sizeof(path), "/dev/shm/c/%s", files[i]);
		fd = open(path, O_WRONLY);
		printf("%s %s\n", files[i], fd < 0 ? strerrorname_np(errno) : "ok");
	}
	return 0;
}
