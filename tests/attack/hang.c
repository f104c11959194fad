/* SPDX-License-Identifier: Apache-2.0
 *
 * hang.c - a file system on /etc whose every answer is awaited for ever
 *
 * A FUSE that takes requests and does not answer them: who waits for one that was taken cannot even
 * be killed. Needs /dev/fuse and the power to mount. Prints "hanging" once it is there.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

int main(void)
{
	static char request[1 << 20];
	const struct fuse_in_header *in = (const void *)request;
	struct {
		struct fuse_out_header head;
		struct fuse_init_out init;
	} answer = {.init = {.major = 7, .minor = 31, .max_write = 4096}};
	int fd = open("/dev/fuse", O_RDWR);
	char options[64];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || mount("fuse", "/etc", "fuse", 0, options) < 0) {
		perror("fuse");
		return 77;
	}
	if (read(fd, request, sizeof(request)) < 0)
		return 1;
	answer.head.len = sizeof(answer);
	answer.head.unique = in->unique;
	if (write(fd, &answer, sizeof(answer)) < 0)
		return 1;
	printf("hanging\n");
	fflush(stdout);
	while (read(fd, request, sizeof(request)) > 0)
		;
	return 0;
}
