/* SPDX-License-Identifier: Apache-2.0
 *
 * starve.c - make pid 1, and whoever shares something with it, slow, poor and the first to be
 * killed
 *
 * Nothing is printed: what counts is what became of the processes outside. Values that this process
 * may have itself are chosen, so that only reach is in question.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

int main(void)
{
	struct sched_param none = {0};
	struct rlimit files = {64, 64}, space = {1 << 24, 1 << 24}, cpu = {1, 1};
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	write_to("/proc/1/autogroup", "19");
	write_to("/proc/1/oom_score_adj", "1000");
	write_to("/proc/1/timerslack_ns", "4000000000");
	write_to("/proc/1/coredump_filter", "0x7f");
	sched_setscheduler(1, SCHED_IDLE, &none);
	sched_setaffinity(1, sizeof(one), &one);
	setpriority(PRIO_PROCESS, 1, 19);
	setpriority(PRIO_PGRP, 1, 19);
	setpriority(PRIO_USER, getuid(), 19);
	syscall(SYS_ioprio_set, 1 /* process */, 1, 3 << 13 /* idle */);
	syscall(SYS_ioprio_set, 3 /* user */, getuid(), 3 << 13);
	prlimit(1, RLIMIT_NOFILE, &files, NULL);
	prlimit(1, RLIMIT_AS, &space, NULL);
	prlimit(1, RLIMIT_CPU, &cpu, NULL);
	prlimit(1, RLIMIT_NPROC, &files, NULL);
	return 0;
}
