/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.c - new sandboxes on the files of one
 *
 * How it works: what was written in it is frozen, as for a snapshot without a name, and each new sandbox is an
 * ordinary start on that list of layers: from then on they share what was, and nothing of what comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/own.h"
#include "box/box.h"
#include "box/nodes.h"

static int layers_of(struct box *b, const char *snapshot, struct stack *ret, struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	auto_with(node_done) struct node x = {0};
	int r;

	if (!snapshot)
		return box_freeze(b, ret, e);
	r = nodes_open(b->home, b->name, false, &n, e);
	if (r == 0)
		r = node_read(&n, snapshot, &x, e);
	return r < 0 ? r : stack_copy(ret, &x.layers, e);
}

/* As long as it is held, no layer is removed that nobody has noted yet. */
static int hold_layers(struct home *h, struct err *e)
{
	int fd = openat(h->data, "layers", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "open '%s/layers'", h->data_path);
	while (flock(fd, LOCK_SH) < 0)
		if (errno != EINTR) {
			(void)err_sys(e, errno, "lock the layers");
			close(fd);
			return e->code;
		}
	return fd;
}

static int one(struct box *b, const struct stack *on, const char *name, enum box_life life, struct box **ret, struct err *e)
{
	bool recorded = b->shared && kept_is(b->home, b->name); /* a handle of it knows no paths of the host */
	struct spec *spec = recorded ? spec_new() : spec_copy(b->spec);
	int r = spec ? 0 : err_oom(e);

	if (r == 0 && recorded)
		r = kept_read(b->home, b->name, spec, e);
	if (r == 0 && spec->root == SPEC_ROOT_UNSET)
		r = err_set(e, ERR_UNSUPPORTED, "it is not known any more what root file system it was started with");
	if (r == 0)
		r = name ? spec_set(spec, "name", name, e) : spec_clear(spec, "name", e);
	if (r == 0 && spec->hostname && !strcmp(spec->hostname, b->name)) /* it was called so */
		r = spec_clear(spec, "hostname", e);
	if (r == 0)
		r = box_start_on(b->home, spec, on, false, life, ret, e);
	spec_free(spec);
	return r;
}

int box_fork(struct box *b, const char *snapshot, const char *const *names, size_t n, enum box_life life,
	     struct box **ret, struct err *e)
{
	auto_with(stack_done) struct stack on = {0};
	auto_fd int held = -1;
	size_t made = 0;
	int r = home_check_owner(b->home, e);

	if (r == 0)
		r = box_wait_ready(b, e);
	if (r == 0) {
		held = hold_layers(b->home, e);
		r = held < 0 ? held : 0;
	}
	if (r == 0)
		r = layers_of(b, snapshot, &on, e);
	for (; r == 0 && made < n; made += r == 0)
		r = one(b, &on, names ? names[made] : NULL, life, &ret[made], e);
	for (size_t i = 0; r == 0 && i < made; i++) /* they are built beside each other */
		r = box_wait_ready(ret[i], e);
	if (r == 0)
		return 0;
	while (made)
		(void)box_delete(ret[--made], NULL);
	return err_wrap(e, "fork '%s'", b->name);
}
