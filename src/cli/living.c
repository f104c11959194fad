/* SPDX-License-Identifier: Apache-2.0
 *
 * living.c - hutch reset and rm: sandboxes that somebody made before
 */
#include "cli/living.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/opt.h"

int living_hutch(struct hutch **ret, struct err *e)
{
	struct hutch_open_options opts = {.size = sizeof(opts),
					  .flags = HUTCH_OPEN_CHILDREN | HUTCH_OPEN_NO_SPARE};
	struct hutch_error why;

	return hutch_open(&opts, ret, &why) < 0 ? cli_carry(&why, e) : 0;
}

int living_list(struct hutch_listed **ret, size_t *ret_n, struct err *e)
{
	struct hutch_error why;
	struct hutch *h;
	int r = living_hutch(&h, e);

	if (r < 0)
		return r;
	r = hutch_list(h, ret, ret_n, &why);
	hutch_close(h);
	return r < 0 ? cli_carry(&why, e) : 0;
}

int living_open(struct living *l, const char *name, struct err *e)
{
	struct hutch_error why;
	int r = living_hutch(&l->hutch, e);

	if (r < 0)
		return r;
	if (hutch_box_attach(l->hutch, name, &l->box, &why) < 0) {
		r = cli_carry(&why, e);
		living_close(l);
	}
	return r;
}

int living_open_any(struct living *l, const char *name, struct err *e)
{
	struct hutch_job *v = NULL;
	struct hutch_error why;
	size_t n;
	int r = living_open(l, name, e);

	if (r != ERR_DIED || living_hutch(&l->hutch, e) < 0)
		return r;
	if (hutch_stopped_job_list(l->hutch, name, &v, &n, &why) < 0) {
		living_close(l);
		return why.code == HUTCH_E_NOT_FOUND ? r : cli_carry(&why, e);
	}
	free(v);
	return 1;
}

void living_close(struct living *l)
{
	hutch_box_close(l->box);
	hutch_close(l->hutch);
	l->box = NULL;
	l->hutch = NULL;
}

/* Every name in turn; all are tried, the first failure decides. */
static int each(char **names, int (*act)(struct living *l, struct hutch_error *why),
		int (*on_ended)(const char *name, struct err *e))
{
	int status = 0;

	for (; *names; names++) {
		struct living l = {0};
		struct hutch_error why;
		struct err e = {0};
		int r = living_open(&l, *names, &e);

		if (r == ERR_DIED && on_ended)
			r = on_ended(*names, &e);
		else if (r == 0 && act(&l, &why) < 0)
			r = cli_carry(&why, &e);
		if (r == ERR_STATE && !l.box && l.hutch && on_ended) /* it was ended, and somebody has started it again */
			r = on_ended(*names, &e);
		if (r < 0)
			status = cli_fail(e.msg);
		living_close(&l);
	}
	return status;
}

static int words_only(char **argv, const char *usage, const char *flag, bool *on, struct opt_rest *rest)
{
	bool help = false;
	const struct opt own[] = {{.name = "help", .on = &help},
				  {.name = flag, .letter = *flag == 'f' ? 'f' : 0, .on = on},
				  {0}};
	struct err e = {0};

	if (opt_parse(argv + 1, own, NULL, rest, &e) < 0)
		return cli_fail(e.msg);
	if (help) {
		fputs(usage, stdout);
		return -1;
	}
	return rest->n ? 0 : cli_fail("no name was given");
}

static int reset(struct living *l, struct hutch_error *why)
{
	return hutch_box_reset(l->box, why);
}

static int reset_files(struct living *l, struct hutch_error *why)
{
	return hutch_box_reset_files(l->box, why);
}

int cli_reset(int argc, char **argv)
{
	bool keep = false;
	struct opt_rest rest;
	int r = words_only(argv, "usage: hutch reset [--keep-processes] NAME...\n\nPut sandboxes back to how they were "
				 "right after start; or their files only.\n", "keep-processes", &keep, &rest);

	(void)argc;
	return r < 0 ? 0 : r ? r : each(rest.words, keep ? reset_files : reset, NULL);
}

static int end(struct living *l, struct hutch_error *why)
{
	struct hutch_box *box = l->box;

	l->box = NULL;
	return hutch_box_delete(box, why);
}

enum { TRIES = 100, NAP_MS = 20 };

/* A stopped one, or a dead one: there is nobody to ask. Somebody may start it meanwhile, or remove it too. */
static int remove_or_end(struct hutch *h, const char *name, struct hutch_error *why)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000};
	struct hutch_box *box;
	int r = HUTCH_E_STATE;

	for (int i = 0; i < TRIES; i++) {
		r = hutch_remove(h, name, why);
		if (r != HUTCH_E_STATE)
			return r;
		r = hutch_box_attach(h, name, &box, why);
		if (r == 0)
			return hutch_box_delete(box, why);
		if (r != HUTCH_E_DIED)
			return r;
		nanosleep(&nap, NULL);
	}
	return r;
}

static int removed(const char *name, struct err *e)
{
	struct hutch_error why;
	struct hutch *h;
	int r = living_hutch(&h, e);

	if (r < 0)
		return r;
	r = remove_or_end(h, name, &why);
	hutch_close(h);
	return r < 0 && r != HUTCH_E_NOT_FOUND ? cli_carry(&why, e) : 0; /* somebody was quicker */
}

int cli_rm(int argc, char **argv)
{
	bool force = false;
	struct opt_rest rest;
	int r = words_only(argv, "usage: hutch rm [-f] NAME...\n\nEnd sandboxes and remove what they "
				 "left. -f is accepted: they need not be stopped first.\n", "force", &force, &rest);

	(void)argc;
	return r < 0 ? 0 : r ? r : each(rest.words, end, removed);
}
