/* SPDX-License-Identifier: Apache-2.0
 *
 * proc.h - processes, namespaces, capabilities, by system call
 *
 * The wrappers return -errno.
 */
#ifndef HUTCH_SYS_PROC_H
#define HUTCH_SYS_PROC_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

/* A fork with namespaces: the child returns 0 with a copy of the memory. *ret_pidfd (may be NULL)
 * is close-on-exec. Only for programs with one thread: no handlers of pthread_atfork() run. */
pid_t sys_fork(uint64_t flags, int *ret_pidfd);

int sys_pidfd_open(pid_t pid);
int sys_pidfd_signal(int pidfd, int sig);
/* A descriptor of its user namespace; -ENOTTY before Linux 6.11. Cheaper than /proc/PID/ns/user. */
int sys_pidfd_userns(int pidfd);
int sys_setns(int fd, int flags);
int sys_close_range(unsigned first, unsigned last);

/* Gives back what deeper calls than this one have left of the stack, but for the next @keep bytes. For the first thread. */
void sys_stack_trim(size_t keep);

/* Effective and permitted set (and inheritable: none). */
int sys_capset(uint64_t caps);
int sys_capget(uint64_t *ret_effective);
/* The same, with @through as well, which stays over the next exec, whoever we are. */
int sys_capset_through(uint64_t caps, unsigned through);
/* Takes out of the bounding set all that is not in @keep. */
int sys_cap_bound(uint64_t keep);

/* All signals to their default; those that are ignored stay ignored over exec otherwise. */
void sys_signals_default(void);

/* Those that wait, blocked, are dropped; all may be ignored afterwards. */
void sys_signals_forget(void);
/* Blocks or frees all signals (raw, also those libc keeps for itself). */
void sys_signals_mask(int block_all);

/* As write(), but where nobody reads any more: -EPIPE, and no SIGPIPE for the program around us. */
ssize_t sys_write_quiet(int fd, const void *data, size_t len);

int sys_seccomp_load(const void *code, unsigned short n);
/* Enters a Landlock domain that only scopes abstract sockets (ABI 6, Linux 6.12). -ENOSYS before. */
int sys_landlock_scope_abstract(void);
int sys_keyring_join(void);

/* Our own limits. */
void sys_limits(struct rlimit ret[RLIM_NLIMITS]);
/* Raises the hard limits of a process (0: ourselves), which has these @now, as far as we may. */
void sys_limits_raise(pid_t pid, const struct rlimit now[RLIM_NLIMITS]);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t sys_now_ns(void);
uint64_t sys_deadline_ns(uint64_t from_ns, uint64_t ms); /* so much later; at most UINT64_MAX */

/* Of a process (0: ourselves), whose work nobody waits for: whoever wakes up beside it has the processor at once (Linux 6.12; nothing before), not when
 * its slice is over. Its share stays as it is, and it can be taken back without powers. */
void sys_background(pid_t pid, bool on);

/* Of a process that is about to be killed, and whose end nobody waits for: when it wakes up it takes the processor from nobody who runs
 * there. Its share stays as it is, so nobody who waits for a lock that it has waits long. */
void sys_defer(pid_t pid);

/* write() of a whole short text into a file below @dir. */
int sys_write_file(int dir, const char *path, const char *text);

/* mkdirat(), whatever the umask of the program around us is. */
int sys_mkdir(int dir, const char *path, mode_t mode);

/* Of a file, by chattr(1); 0 where the file system has no such thing. */
int sys_inode_flags(int fd);

/* renameat2() that replaces nothing: -EEXIST when @to is there. */
int sys_rename_new(int from_dir, const char *from, int to_dir, const char *to);
/* Two names of one directory change places. */
int sys_rename_swap(int dir, const char *one, const char *other);

#endif
