/* SPDX-License-Identifier: Apache-2.0
 *
 * stop.c - the end of a sandbox whose commands are asked first
 *
 * How it works: every command that hutch started, but for shells that only wait for text, gets a signal. When
 * none of them is left, or the time is over, the keeper ends, and with it everything inside. What was written
 * stays where it is: that is the caller's to keep.
 *
 * A sandbox that lives on by itself is reached by its name alone. When that was removed below it (whoever logs out
 * loses $XDG_RUNTIME_DIR), nobody could use or end it any more, and its name and its changes would be taken for
 * those of a dead one: it ends by itself. No event tells of it without costing every sandbox an inotify instance, of
 * which a user has 128; so it looks from time to time, which is one fstat of a descriptor that it holds anyway.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inside/keeper.h"
#include "sys/proc.h"

static const uint64_t look_every_ns = 5000000000u;

static bool is_command(const struct keeper *k, const struct slot *s)
{
	return !s->pid || !(shell_is(k, s->pid) || starter_is(k, s->pid));
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

static void signal_one(struct slot *s, int sig)
{
	if (s->pid)
		(void)sys_pidfd_signal(s->pidfd, sig); /* no such signal: nothing happens */
	else
		s->early |= EARLY(sig);
}

/* @pid 0: to all. */
static void to_commands(struct keeper *k, int sig, pid_t pid)
{
	for (struct slot *s = k->slots; s; s = s->next)
		if (is_command(k, s) && (!pid || s->pid == pid))
			signal_one(s, sig);
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
	if (!commands_left(k) || k->stop_by_ns <= sys_now_ns()) {
		jobs_keep(k);
		keeper_end(k, true);
	}
	return due_ns && due_ns < k->stop_by_ns ? due_ns : k->stop_by_ns;
}

/* The file whose lock says that it lives has no name any more. */
static bool is_nameless(const struct keeper *k)
{
	struct stat st;

	return k->plan->lock >= 0 && (unsigned)k->plan->lock < k->start.nfds &&
	       fstat(k->start.fds[k->plan->lock], &st) == 0 && st.st_nlink == 0;
}

uint64_t stop_nameless(struct keeper *k, uint64_t now_ns, uint64_t due_ns)
{
	if (k->listen < 0)
		return due_ns;
	if (now_ns >= k->look_ns) {
		if (is_nameless(k))
			keeper_end(k, true);
		k->look_ns = now_ns + look_every_ns;
	}
	return due_ns && due_ns < k->look_ns ? due_ns : k->look_ns;
}
