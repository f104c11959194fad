/* SPDX-License-Identifier: Apache-2.0
 *
 * handle.c - leave a mount by file handle, for which no path is walked
 *
 *	handle DIR...
 *
 * For the file system of each directory tries to open its root (inode 2 of ext4, as "shocker" did
 *with Docker), and by handle the directory above. Prints "WHAT RESULT"; "own" is a handle of the
 *directory itself, with which there is nothing wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct handle {
	struct file_handle h;
	unsigned char room[128];
};

static void try(const char *what, const char *dir, int mount, struct handle *h)
{
	int fd = open_by_handle_at(mount, &h->h, O_RDONLY | O_DIRECTORY);

	printf("%s of %s %s\n", what, dir, fd < 0 ? strerrorname_np(errno) : "ok");
	if (fd >= 0)
		close(fd);
}

static void one(const char *dir)
{
	unsigned root[2] = {2, 0};
	struct handle h = {.h.handle_bytes = sizeof(h.room)};
	int mount = open(dir, O_RDONLY | O_DIRECTORY), id;

	if (name_to_handle_at(AT_FDCWD, dir, &h.h, &id, 0) == 0)
		try("own", dir, mount, &h);
	h.h.handle_type = 1; /* FILEID_INO32_GEN */
	h.h.handle_bytes = sizeof(root);
	memcpy(h.h.f_handle, root, sizeof(root));
	try("root", dir, mount, &h);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		one(argv[i]);
	return 0;
}
