/* SPDX-License-Identifier: Apache-2.0
 *
 * stop.c - the end of a sandbox whose commands are asked first
 *
 * How it works: every command that hutch started, but for shells that only wait for text, gets a signal. When
 * none of them is left, or the time is over, the keeper ends, and with it everything inside. What was written
 * stays where it is: that is the caller's to keep.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inside/keeper.h"
#include "sys/proc.h"

static bool is_command(const struct keeper *k, const struct slot *s)
{
	return !shell_is(k, s->pid);
}

static bool commands_left(const struct keeper *k)
{
	for (const struct slot *s = k->slots; s; s = s->next)
		if (is_command(k, s))
			return true;
	return false;
}

/* 0: there is none. */
static pid_t main_pid(const struct keeper *k)
{
	for (const struct slot *s = k->slots; s; s = s->next)
		if (s->flags & CALL_MAIN)
			return s->pid;
	return jobs_pid(k, "main");
}

/* @pid 0: to all. */
static void to_commands(struct keeper *k, int sig, pid_t pid)
{
	for (struct slot *s = k->slots; s; s = s->next)
		if (is_command(k, s) && (!pid || s->pid == pid))
			(void)sys_pidfd_signal(s->pidfd, sig); /* no such signal: nothing happens */
}

void stop_signal(struct keeper *k, int sig)
{
	to_commands(k, sig, main_pid(k));
}

void stop_begin(struct keeper *k, const struct msg *m)
{
	uint64_t ms, by;

	if (m->head.body != sizeof(ms))
		return;
	memcpy(&ms, m->body, sizeof(ms));
	by = sys_deadline_ns(sys_now_ns(), ms);
	if (!k->stop_by_ns || by < k->stop_by_ns) /* of several who ask the most impatient decides */
		k->stop_by_ns = by;
	to_commands(k, (int)m->head.arg, 0);
}

uint64_t stop_due(struct keeper *k, uint64_t due_ns)
{
	if (!k->stop_by_ns)
		return due_ns;
	if (!commands_left(k) || k->stop_by_ns <= sys_now_ns())
		_exit(0);
	return due_ns && due_ns < k->stop_by_ns ? due_ns : k->stop_by_ns;
}
