/* SPDX-License-Identifier: Apache-2.0
 *
 * present.c - on what the sandbox stands now, for who starts it again
 *
 * How it works: resets, snapshots and restores are asked for by clients, who note on disk what came of it
 * (box/nodes.h). A client may be killed in between, and the sandbox lives on. So the keeper of one that can be
 * started again writes down itself which generation has its changes and on what layers, whenever that has changed:
 * the file `present` in its directory, the number and the list, which is believed before all else (box/kept.c).
 *
 * Where it cannot be written (the disk is full) it is removed: no word is better than an old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/whole.h"
#include "inside/keeper.h"

static const char FILE_NAME[] = "present";

/* At home. */
int present_open(struct keeper *k, struct err *e)
{
	if (k->listen < 0 || !k->plan->box)
		return 0;
	k->up = open("up", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return k->up < 0 ? err_sys(e, errno, "open the directory for changes") : 0;
}

void present_note(const struct keeper *k)
{
	auto_buf struct buf text = BUF_INIT(STACK_MAX * LAYER_NAME + 64);
	struct err e;

	if (k->up < 0)
		return;
	buf_fmt(&text, "%u\n", k->now.number);
	stack_to_text(&k->stack, &text);
	if (buf_bad(&text) || whole_write(k->up, FILE_NAME, text.data, text.len, &e) < 0)
		(void)unlinkat(k->up, FILE_NAME, 0);
}
