/* SPDX-License-Identifier: Apache-2.0
 *
 * draft_test.c - what is put into a draft is what a plan says
 */
#include "wire/draft.h"

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

static void name_it(struct draft *d)
{
	d->plan.name = draft_str(d, "ab");
	d->plan.hostname = draft_str(d, "host");
	d->plan.working_dir = draft_str(d, "/");
}

static struct pack blob_of(const struct draft *d)
{
	return (struct pack){d->blob.data, d->blob.len};
}

static void an_empty_draft_with_names_is_a_plan(void)
{
	auto_with(draft_done) struct draft d;
	const struct plan *pl;
	struct err e = {0};
	struct pack p;

	draft_init(&d);
	name_it(&d);
	is_int(draft_finish(&d, &e), 0);
	p = blob_of(&d);
	pl = plan_open(&p, &e);
	if (!ok(pl, "%s", e.msg))
		return;
	is_str(pack_get_str(&p, pl->name), "ab");
	is_str(pack_get_str(&p, pl->hostname), "host");
	is_int(pl->lock, -1);
	is_int(pl->store.fd, -1);
	is_int(pl->lowers.count + pl->mounts.count + pl->filter.count, 0);
}

static void a_draft_without_a_name_is_no_plan(void)
{
	auto_with(draft_done) struct draft d;
	struct err e = {0};
	struct pack p;

	draft_init(&d);
	is_int(draft_finish(&d, &e), 0);
	p = blob_of(&d);
	ok(!plan_open(&p, &e));
	is_int(e.code, ERR_INTERNAL);
}

static void add_everything(struct draft *d)
{
	struct sock_filter code[3] = {{.k = 1}, {.k = 2}, {.k = 3}};

	name_it(d);
	draft_lower(d, &(struct plan_tree){.path = draft_str(d, "/top"), .fd = -1});
	draft_sysctl(d, "net/ipv4/x", "1 2");
	draft_lower(
		d, &(struct plan_tree){.fd = draft_fd(d, open("/dev/null", O_RDONLY | O_CLOEXEC))});
	draft_mount(d, &(struct plan_mount){.kind = PLAN_BIND, .readonly = 1,
					    .tree = {.path = draft_str(d, "/src"), .fd = -1},
					    .target = draft_str(d, "/dst")});
	draft_device(d, &(struct plan_device){draft_str(d, "/dev/fuse"), draft_str(d, "/dev/f")});
	draft_rlimit(d, 7, "nofile", 10, 20);
	draft_filter(d, code, 3);
	d->plan.hosts = draft_str(d, "127.0.0.1\tlocalhost\n");
}

static void everything_comes_back_in_order(void)
{
	auto_with(draft_done) struct draft d;
	const struct plan_tree *low;
	const struct plan_mount *m;
	const struct plan_pair *s;
	const struct plan *pl;
	struct err e = {0};
	struct pack p;

	draft_init(&d);
	add_everything(&d);
	is_int(draft_finish(&d, &e), 0);
	p = blob_of(&d);
	pl = plan_open(&p, &e);
	if (!ok(pl, "%s", e.msg))
		return;
	low = pack_at(&p, pl->lowers.at, 2 * sizeof(*low));
	m = pack_at(&p, pl->mounts.at, sizeof(*m));
	s = pack_at(&p, pl->sysctls.at, sizeof(*s));
	if (!ok(low && m && s && pl->lowers.count == 2 && pl->mounts.count == 1))
		return;
	is_str(pack_get_str(&p, low[0].path), "/top");
	is_int(low[1].fd, 0);
	is_int(d.nfds, 1);
	is_str(pack_get_str(&p, m->target), "/dst");
	is_str(pack_get_str(&p, m->tree.path), "/src");
	is_str(pack_get_str(&p, s->key), "net/ipv4/x");
	is_str(pack_get_str(&p, s->value), "1 2");
	is_int(pl->rlimits.count, 1);
	is_int(((const struct plan_rlimit *)pack_at(&p, pl->rlimits.at, 24))->hard, 20);
	is_str(pack_get_str(&p,
			    ((const struct plan_rlimit *)pack_at(&p, pl->rlimits.at, 24))->name),
	       "nofile");
	is_int(pl->filter.count, 3);
	is_int(((const struct sock_filter *)pack_at(&p, pl->filter.at, 24))[2].k, 3);
	is_str(pack_get_str(&p, pl->hosts), "127.0.0.1\tlocalhost\n");
}

static void descriptors_belong_to_the_draft(void)
{
	int before = scratch_descriptors();
	struct draft d;

	draft_init(&d);
	is_int(draft_fd(&d, open("/dev/null", O_RDONLY | O_CLOEXEC)), 0);
	is_int(draft_fd(&d, open("/dev/null", O_RDONLY | O_CLOEXEC)), 1);
	is_int(scratch_descriptors(), before + 2);
	draft_done(&d);
	is_int(scratch_descriptors(), before);
	draft_done(&d);
}

static void too_many_descriptors_are_told_and_none_is_left_open(void)
{
	int before = scratch_descriptors();
	struct err e = {0};
	struct draft d;

	draft_init(&d);
	name_it(&d);
	for (int i = 0; i < MSG_FDS_MAX + 5; i++) {
		int32_t at = draft_fd(&d, open("/dev/null", O_RDONLY | O_CLOEXEC));

		ok(at == (i < MSG_FDS_MAX - 1 ? i : -1), "descriptor %d is %d", i, at);
	}
	is_int(draft_finish(&d, &e), ERR_LIMIT);
	draft_done(&d);
	is_int(scratch_descriptors(), before);
}

/* "Return: 0, NOMEM or LIMIT": memory there is, it is the ceiling that was reached. */
static void a_plan_that_is_too_long_is_told_as_such(void)
{
	auto_with(draft_done) struct draft d;
	struct err e = {0};
	char *text = malloc(5 << 20);

	draft_init(&d);
	name_it(&d);
	if (ok(text)) {
		memset(text, 't', 5 << 20);
		text[(5 << 20) - 1] = '\0';
		draft_str(&d, text);
	}
	is_int(draft_finish(&d, &e), ERR_LIMIT);
	free(text);
}

static void arrays_that_are_too_long_are_refused(void)
{
	auto_with(draft_done) struct draft d;
	struct err e = {0};

	draft_init(&d);
	name_it(&d);
	for (int i = 0; i < 200000; i++)
		draft_rlimit(&d, 1, NULL, 2, 3);
	ok(draft_finish(&d, &e) < 0);
	ok(e.code < 0 && e.msg[0], "%s", e.msg);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(an_empty_draft_with_names_is_a_plan),
		TAP_TEST(a_draft_without_a_name_is_no_plan),
		TAP_TEST(everything_comes_back_in_order),
		TAP_TEST(descriptors_belong_to_the_draft),
		TAP_TEST(too_many_descriptors_are_told_and_none_is_left_open),
		TAP_TEST(a_plan_that_is_too_long_is_told_as_such),
		TAP_TEST(arrays_that_are_too_long_are_refused),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
