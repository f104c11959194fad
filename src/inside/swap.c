/* SPDX-License-Identifier: Apache-2.0
 *
 * swap.c - another root file tree under what runs inside
 *
 * How it works: a new overlay is stacked at home and attached on top of the generation's root; the mounts of the
 * old root move over, and pivot_root() takes along whoever has the root as its root or working directory. Shells
 * of ours that stood elsewhere are told to go there again with their next text (box/shell.c).
 *
 * For a snapshot what was written shall never change again. So the old mount is made read-only first: the kernel
 * refuses that as long as somebody has a file open for writing or mapped. All that can fail is done before the first
 * mount moves, and undone; what comes then does not fail, or the sandbox ends. Whoever wants only the layer can go on
 * when that has its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "inside/keeper.h"
#include "inside/layer.h"
#include "sys/fsmount.h"
#include "sys/proc.h"

enum { MOVES_MAX = MSG_FDS_MAX + 3 };

/* One at a time. What it has open is closed after the answer (swap_done()): the end of the old tree is that of a mount, which takes
 * the kernel a while. */
static struct swap {
	int old_root, new_root;
	int from[MOVES_MAX], to[MOVES_MAX];
	const char *at[MOVES_MAX];
	unsigned n;
	struct stack stack; /* of the new one */
	struct generation next; /* its number only */
	const char *frozen; /* as it was given */
	bool readonly, renamed;
	bool at_home; /* we stand there */
} the_swap = {.old_root = -1, .new_root = -1};

void swap_done(void)
{
	struct swap *s = &the_swap;

	close_fd(&s->old_root);
	close_fd(&s->new_root);
	for (unsigned i = 0; i < s->n; i++) {
		close_fd(&s->from[i]);
		close_fd(&s->to[i]);
	}
	stack_done(&s->stack);
	*s = (struct swap){.old_root = -1, .new_root = -1};
}

/* ---- what moves over -------------------------------------------------------------------------- */

/* A mount that lies in another one goes with that. */
static bool lies_in_another(const struct keeper *k, const char *path)
{
	for (uint32_t i = 0; i < k->plan->mounts.count; i++) {
		size_t n = strlen(k->targets[i]);

		if (strncmp(path, k->targets[i], n) == 0 && path[n] == '/')
			return true;
	}
	return false;
}

static bool is_mount(int fd)
{
	struct statx st;

	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) == 0 &&
	       st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

/* Is it still where it was mounted? Somebody inside may have renamed a directory above it. */
static bool add_move(struct swap *s, const char *path)
{
	unsigned i = s->n;

	s->at[i] = path + (*path == '/');
	s->to[i] = -1;
	s->from[i] = sys_open_no_links(s->old_root, s->at[i], O_PATH);
	if (s->from[i] < 0)
		return false;
	s->n++;
	return is_mount(s->from[i]);
}

static bool find_moves(const struct keeper *k, struct swap *s)
{
	const struct plan_mount *m = pack_at(&k->pack, k->plan->mounts.at, 0);

	if (!add_move(s, "dev") || !add_move(s, "proc") || (k->prep.net && !add_move(s, "sys")))
		return false;
	for (uint32_t i = 0; i < k->plan->mounts.count; i++) {
		if (m[i].kind == PLAN_COW) /* an overlay of its own, which would have to be replaced too */
			return false;
		if (!lies_in_another(k, k->targets[i]) && !add_move(s, k->targets[i]))
			return false;
	}
	return true;
}

/* ---- steps ------------------------------------------------------------------------------------ */

static void path_of(const char *name, char ret[64])
{
	snprintf(ret, 64, "store/layers/%s", name);
}

/* Return: 0, SWAP_CANNOT: somebody writes, or less than 0. */
static int no_more_writes(struct swap *s, struct err *e)
{
	int r = sys_set_attr(s->old_root, "", MOUNT_ATTR_RDONLY, 0);

	if (r == -EBUSY || r == -ENOSYS)
		return SWAP_CANNOT;
	if (r < 0)
		return err_sys(e, r, "make the present file tree read-only");
	s->readonly = true;
	return 0;
}

static int go_home(struct keeper *k, struct swap *s, struct err *e)
{
	s->at_home = true; /* or half of the way */
	return reset_go_home(k, e);
}

static void come_back(struct keeper *k, struct swap *s)
{
	struct err e;

	if (s->at_home && generation_return(k, &e) < 0)
		_exit(1); /* nothing could be started any more */
	s->at_home = false;
}

/* At home: the layer gets its name. Return: 0, SWAP_UNWRITTEN, or less than 0. */
static int name_layer(struct keeper *k, struct swap *s, const char *frozen, struct err *e)
{
	char old[32], layer[64];
	int r;

	if (overlay_unwritten(k))
		return SWAP_UNWRITTEN;
	snprintf(old, sizeof(old), "up/g%u", k->now.number);
	path_of(frozen, layer);
	r = sys_rename_new(AT_FDCWD, old, AT_FDCWD, layer);
	if (r < 0)
		return err_sys(e, r, "put what was written among the layers");
	s->renamed = true;
	return 0;
}

static void undo(struct keeper *k, struct swap *s)
{
	char old[32], layer[64];
	struct err e;

	if (s->renamed) {
		snprintf(old, sizeof(old), "up/g%u", k->now.number);
		path_of(s->frozen, layer);
		if ((!s->at_home && go_home(k, s, &e) < 0) || sys_rename_new(AT_FDCWD, layer, AT_FDCWD, old) < 0)
			_exit(1); /* better no sandbox than one whose changes are elsewhere */
	}
	come_back(k, s);
	if (s->readonly && sys_clear_attr(s->old_root, "", MOUNT_ATTR_RDONLY) < 0)
		_exit(1);
	swap_done();
}

static int open_places(struct swap *s, struct err *e)
{
	for (unsigned i = 0; i < s->n; i++) {
		s->to[i] = sys_open_no_links(s->new_root, s->at[i], O_PATH);
		if (s->to[i] < 0)
			return err_sys(e, s->to[i], "'/%s' in the new file tree", s->at[i]);
	}
	return 0;
}

/* Nothing of this fails; if it does, nobody knows what the inside sees. */
static void exchange(struct swap *s)
{
	int r = sys_attach(s->new_root, s->old_root, "");

	for (unsigned i = 0; r == 0 && i < s->n; i++)
		r = sys_attach(s->from[i], s->to[i], "");
	if (r < 0 || fchdir(s->new_root) < 0 || sys_pivot_here() < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0)
		_exit(1);
}

static int begin(struct keeper *k, struct swap *s, const struct stack *on, const char *frozen, struct err *e)
{
	int r = stack_copy(&s->stack, on, e);

	if (r == 0 && frozen)
		r = stack_push(&s->stack, frozen, e);
	if (r < 0)
		return r;
	s->old_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC); /* the generation's, in which we stand */
	if (s->old_root < 0)
		return err_sys(e, errno, "open the root of the inside");
	if (!find_moves(k, s))
		return SWAP_CANNOT;
	r = frozen ? no_more_writes(s, e) : 0;
	if (r == 0)
		r = go_home(k, s, e);
	if (r == 0 && frozen)
		r = name_layer(k, s, frozen, e);
	return r;
}

int swap_begin(struct keeper *k, const struct stack *on, const char *frozen, struct err *e)
{
	struct swap *s = &the_swap;
	int r;

	if (k->plan->flags & (PLAN_NESTED | PLAN_READONLY_ROOT) || (frozen && !k->plan->box))
		return SWAP_CANNOT;
	s->frozen = frozen;
	r = begin(k, s, on, frozen, e);
	if (r != 0)
		undo(k, s);
	else
		generation_init(k, &s->next, &s->stack);
	return r;
}

const struct stack *swap_stack(uint32_t *ret_number)
{
	*ret_number = the_swap.next.number;
	return &the_swap.stack;
}

int swap_ready(struct keeper *k, struct err *e)
{
	struct swap *s = &the_swap;
	int r = root_overlay(k, &s->next, e);

	if (r == 0)
		s->new_root = take_fd(&s->next.root);
	come_back(k, s);
	if (r == 0)
		r = open_places(s, e);
	if (r < 0)
		undo(k, s);
	return r;
}

uint32_t swap_go(struct keeper *k)
{
	struct swap *s = &the_swap;
	uint32_t left = k->now.number;
	struct err e;

	exchange(s);
	files_reset(k);
	shell_moved(k);
	if (!s->frozen && reset_go_home(k, &e) == 0) { /* what is in memory is given back */
		root_overlay_done(k, &k->now);
		if (generation_return(k, &e) < 0)
			_exit(1);
	}
	k->now.number = s->next.number;
	close_fd(&k->now.in_use); /* that was the other's */
	stack_done(&k->stack);
	k->stack = s->stack;
	s->stack = (struct stack){0};
	return left;
}
