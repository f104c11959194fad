/* SPDX-License-Identifier: Apache-2.0
 *
 * key.c - a key of the kernel's, held outside and looked for inside
 *
 *	key hold NAME COMMAND...	a session keyring with the key NAME, and the command in it
 *	key find NAME			prints "session RESULT" and "user RESULT"
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void find(const char *where, int keyring, const char *name)
{
	long r = syscall(SYS_keyctl, KEYCTL_SEARCH, keyring, "user", name, 0);

	printf("%s %s\n", where, r < 0 ? strerrorname_np(errno) : "ok");
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "find")) {
		find("session", KEY_SPEC_SESSION_KEYRING, argv[2]);
		find("user", KEY_SPEC_USER_KEYRING, argv[2]);
		return 0;
	}
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
	    syscall(SYS_add_key, "user", argv[2], "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0) {
		perror("key");
		return 77;
	}
	execvp(argv[3], argv + 3);
	return 78;
}
