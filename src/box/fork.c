/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.c - new sandboxes on the files of one
 *
 * How it works: what was written in it is frozen, as for a snapshot without a name, and each new sandbox is an
 * ordinary start on that list of layers: from then on they share what was, and nothing of what comes. Those that end with their
 * maker start as soon as that list is known, while the sandbox itself gets another file tree on it. Should it get none, nothing
 * was forked: the layer is its directory of changes again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/own.h"
#include "box/nodes.h"
#include "box/op.h"

static int layers_of(struct op *o, const char *snapshot, struct err *e)
{
	auto_with(nodes_close) struct nodes n = {.dir = -1, .layers_lock = -1};
	int r = nodes_open(o->b->home, o->b->name, false, &n, e);

	if (r == 0)
		r = node_read(&n, snapshot, &o->node, e);
	if (r == 0)
		r = stack_copy(&o->on, &o->node.layers, e);
	o->frozen = r == 0;
	return r;
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
		r = err_set(e, ERR_STATE, "it is being removed, or somebody has deleted its record: it is not known what it was started with");
	if (r == 0)
		r = name ? spec_set(spec, "name", name, e) : spec_clear(spec, "name", e);
	if (r == 0 && spec->hostname && !strcmp(spec->hostname, b->name)) /* it was called so */
		r = spec_clear(spec, "hostname", e);
	if (r == 0)
		r = box_start_on(b->home, spec, on, false, life, ret, e);
	spec_free(spec);
	return r;
}

/* They are built beside each other. */
static int start_all(struct op *o, struct err *e)
{
	int r = 0;

	for (; r == 0 && o->made < o->n; o->made += r == 0)
		r = one(o->b, &o->on, o->names ? o->names[o->made] : NULL, o->life, &o->boxes[o->made], e);
	return r;
}

static int next(struct op *o, struct err *e)
{
	int r = o->frozen ? 1 : freeze_look(o, e);

	if (r <= 0)
		return r;
	o->frozen = true;
	r = o->made < o->n ? start_all(o, e) : 0;
	if (r == 0)
		r = freeze_over(o, e);
	if (r <= 0)
		return r;
	o->moves = false;
	for (r = 0; r == 0 && o->nready < o->made; o->nready++) {
		struct box *x = o->boxes[o->nready];

		if (!x->ready && !x->why.code && !x->dead) {
			if (o->talks != x)
				op_talks_to(o, x);
			return 0;
		}
		r = box_wait_ready(x, e);
	}
	return r < 0 ? r : 1;
}

static int look(struct op *o, struct err *e)
{
	int r = next(o, e);

	if (r < 0) {
		freeze_end(o->b);
		(void)freeze_over(o, &(struct err){0}); /* it stands on them all the same */
	}
	return r < 0 ? err_wrap(e, "fork '%s'", o->b->name) : r;
}

static int copy_names(struct op *o, const char *const *names, struct err *e)
{
	o->names = names ? calloc(o->n + 1, sizeof(*o->names)) : NULL;
	for (size_t i = 0; i < o->n && o->names; i++)
		if (!(o->names[i] = strdup(names[i])))
			return err_oom(e);
	return names && !o->names ? err_oom(e) : 0;
}

int box_fork_start(struct box *b, const char *snapshot, const char *const *names, size_t n, enum box_life life,
		   struct op **ret, struct err *e)
{
	struct op *o;
	int r = op_usable(b, e);

	if (r == 0)
		r = op_new(b, "fork", look, &o, e);
	if (r < 0)
		return err_wrap(e, "fork '%s'", b->name);
	o->keeps = true;
	o->n = n;
	o->life = life;
	o->boxes = calloc(n + 1, sizeof(struct box *));
	r = o->boxes ? copy_names(o, names, e) : err_oom(e);
	if (r == 0)
		r = o->file = hold_layers(b->home, e);
	if (r >= 0)
		r = snapshot ? layers_of(o, snapshot, e) : freeze_ask(o, e);
	if (r < 0)
		err_wrap(e, "fork '%s'", b->name);
	return op_began(o, r, ret, e);
}

int box_fork(struct box *b, const char *snapshot, const char *const *names, size_t n, enum box_life life,
	     struct box **ret, struct err *e)
{
	struct op *o;
	int r = box_fork_start(b, snapshot, names, n, life, &o, e);

	if (r < 0)
		return r;
	r = op_wait(o, -1, e);
	if (r == 1)
		(void)op_boxes(o, ret);
	op_free(o);
	return r < 0 ? r : 0;
}
