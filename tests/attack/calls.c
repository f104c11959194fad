/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - system calls that a sandbox is refused, with arguments that do no harm
 *
 * Each is called so that the kernel's own answer differs from that of a filter ("!" in front of the
 * name: it does not, because the kernel refuses as well without the capability). Prints "NAME
 * RESULT".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long zeros[64];

static void say(const char *name, long r)
{
	printf("%s %s\n", name, r < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

#define TRY(name, nr, ...) (errno = 0, say(name, syscall(nr, __VA_ARGS__)))

static void try_clone(const char *name, unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	say(name, pid);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
}

static void processes(void)
{
	char byte, other;
	struct {
		void *at;
		unsigned long len;
	} from = {&byte, 1}, to = {&other, 1};
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	TRY("ptrace", SYS_ptrace, 3 /* PEEKUSER */, getpid(), 0, 0);
	TRY("process_vm_readv", SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0);
	TRY("process_vm_writev", SYS_process_vm_writev, getpid(), &to, 1, &from, 1, 0);
	TRY("kcmp", SYS_kcmp, getpid(), getpid(), 0, 0, 0);
	TRY("pidfd_getfd", 438, self, 0, 0);
	TRY("process_madvise", 440, self, 0, 0, 99, 0);
	{
		struct {
			unsigned type, size;
			unsigned long config, period, sample, read, flags;
			char rest[80];
		} attr = {.type = 1, .size = 64, .config = 0, .flags = 1 << 5 | 1 << 6};

		TRY("perf_event_open", SYS_perf_event_open, &attr, 0, -1, -1, 0);
	}
}

static void namespaces_and_mounts(void)
{
	TRY("unshare", SYS_unshare, 0);
	TRY("setns", SYS_setns, -1, 0);
	TRY("clone3", 435, zeros, 1);
	TRY("mount", SYS_mount, "x", "/nowhere", "tmpfs", 0, 0);
	TRY("umount2", SYS_umount2, "/nowhere", 0);
	TRY("open_tree", 428, -1, "nowhere", 0);
	TRY("fsconfig", 431, -1, 99, 0, 0, 0);
	TRY("mount_setattr", 442, -1, "", 0, 0, 0);
	TRY("!fsopen", 430, "tmpfs", 0);
	TRY("!pivot_root", SYS_pivot_root, ".", ".");
	TRY("!sethostname", SYS_sethostname, "x", 1);
	TRY("fanotify_init", SYS_fanotify_init, 0x200, 0);
	TRY("!open_by_handle_at", SYS_open_by_handle_at, -1, zeros, 0);
	try_clone("clone with a user namespace", CLONE_NEWUSER);
	try_clone("!clone with a mount namespace", CLONE_NEWNS);
	try_clone("!clone with a pid namespace", CLONE_NEWPID);
}

static void machine(void)
{
	TRY("add_key", SYS_add_key, "user", "x", "y", 1, -2);
	TRY("request_key", SYS_request_key, "user", "nothing", 0, -2);
	TRY("keyctl", SYS_keyctl, 0, -2, 1);
	TRY("userfaultfd", SYS_userfaultfd, 1);
	TRY("io_uring_setup", 425, 1, zeros);
	TRY("io_uring_enter", 426, -1, 0, 0, 0, 0, 0);
	TRY("io_uring_register", 427, -1, 0, 0, 0);
	TRY("!bpf", SYS_bpf, 99, zeros, 8);
	TRY("!syslog", SYS_syslog, 3, zeros, 8);
	TRY("!init_module", SYS_init_module, zeros, 0, "");
	TRY("!delete_module", SYS_delete_module, "nothing", 0);
	TRY("!settimeofday", SYS_settimeofday, 0, 0);
	TRY("!reboot", SYS_reboot, 0, 0, 0, 0);
	TRY("!kexec_load", SYS_kexec_load, 0, 0, 0, 0);
	TRY("!swapoff", SYS_swapoff, "/nowhere");
	TRY("!vhangup", SYS_vhangup, 0);
	TRY("!acct", SYS_acct, 0);
	TRY("ioperm", SYS_ioperm, 0, 1, 0);
	TRY("iopl", SYS_iopl, 0);
	TRY("get_mempolicy", SYS_get_mempolicy, 0, 0, 0, 0, 0);
	TRY("set_mempolicy", SYS_set_mempolicy, 0, 0, 0);
	TRY("mbind", SYS_mbind, 0, 0, 0, 0, 0, 0);
	TRY("move_pages", SYS_move_pages, 0, 0, 0, 0, 0, 0);
	TRY("sysfs", SYS_sysfs, 3);
	TRY("personality", SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */);
}

int main(void)
{
	processes();
	namespaces_and_mounts();
	machine();
	return 0;
}
