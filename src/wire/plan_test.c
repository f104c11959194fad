/* SPDX-License-Identifier: Apache-2.0
 *
 * plan_test.c - a plan or a call that refers to what is not there is refused
 */
#include "wire/plan.h"

#include "base/own.h"
#include "tap.h"
#include "wire/draft.h"

/* A plan with one element of each kind, in memory that ends where it ends. */
static char *make_plan(size_t *ret_len)
{
	auto_with(draft_done) struct draft d;
	struct err e = {0};
	char *copy;

	draft_init(&d);
	d.plan.name = draft_str(&d, "ab");
	d.plan.hostname = draft_str(&d, "host");
	d.plan.working_dir = draft_str(&d, "/");
	d.plan.hosts = draft_str(&d, "hosts");
	d.plan.store.path = draft_str(&d, "/store");
	d.plan.box = draft_str(&d, "ab");
	d.plan.stack = draft_str(&d, "s.0123456789abcdef");
	draft_lower(&d, &(struct plan_tree){.path = draft_str(&d, "/top"), .fd = -1});
	draft_mount(&d, &(struct plan_mount){.tree = {.path = draft_str(&d, "/src"), .fd = -1},
					     .target = draft_str(&d, "/dst")});
	draft_device(&d, &(struct plan_device){draft_str(&d, "/dev/a"), draft_str(&d, "/dev/b")});
	draft_sysctl(&d, "key", "value");
	draft_rlimit(&d, 1, "nproc", 2, 3);
	draft_filter(&d, (struct sock_filter[]){{.k = 1}}, 1);
	if (draft_finish(&d, &e) < 0)
		exit(1);
	copy = malloc(d.blob.len);
	if (!copy)
		exit(1);
	memcpy(copy, d.blob.data, d.blob.len);
	*ret_len = d.blob.len;
	return copy;
}

static bool opens(const void *data, size_t len)
{
	struct pack p = {data, len};
	struct err e = {0};
	bool yes = plan_open(&p, &e) != NULL;

	ok(yes || e.code == ERR_INTERNAL);
	return yes;
}

static void a_whole_plan_is_taken(void)
{
	auto_free char *blob = NULL;
	size_t len;

	blob = make_plan(&len);
	ok(opens(blob, len));
}

static void a_plan_cut_anywhere_is_read_within_its_bounds(void)
{
	auto_free char *blob = NULL;
	size_t len;

	blob = make_plan(&len);
	for (size_t n = 0; n < len; n++) {
		char *cut = malloc(n ? n : 1); /* the address sanitizer sees one byte too far */

		memcpy(cut, blob, n);
		ok(!opens(cut, n), "%zu of %zu bytes", n, len);
		free(cut);
	}
}

static void a_plan_of_another_kind_is_refused(void)
{
	auto_free char *blob = NULL;
	size_t len;

	blob = make_plan(&len);
	((struct plan *)blob)->magic ^= 1;
	ok(!opens(blob, len));
}

/* Each reference of a plan, one after the other, to where nothing is. */
static void references_to_nowhere_are_refused(void)
{
	static const size_t at[] = {
		offsetof(struct plan, name), offsetof(struct plan, hostname),
		offsetof(struct plan, working_dir), offsetof(struct plan, hosts),
		offsetof(struct plan, store.path), offsetof(struct plan, box),
		offsetof(struct plan, stack), offsetof(struct plan, lowers.at),
		offsetof(struct plan, mounts.at), offsetof(struct plan, devices.at),
		offsetof(struct plan, sysctls.at), offsetof(struct plan, rlimits.at),
		offsetof(struct plan, filter.at), offsetof(struct plan, lowers.count),
		offsetof(struct plan, mounts.count), offsetof(struct plan, devices.count),
		offsetof(struct plan, sysctls.count), offsetof(struct plan, rlimits.count),
		offsetof(struct plan, filter.count),
	};
	static const uint32_t wrong[] = {0x7ffffff8, 0xfffffff8, 0xffffffff};

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++)
		for (size_t k = 0; k < sizeof(wrong) / sizeof(*wrong); k++) {
			auto_free char *blob = NULL;
			size_t len;

			blob = make_plan(&len);
			memcpy(blob + at[i], &wrong[k], sizeof(*wrong));
			ok(!opens(blob, len), "offset %zu is 0x%x", at[i], wrong[k]);
		}
}

/* The same for the references within arrays. */
static void elements_that_refer_to_nowhere_are_refused(void)
{
	for (int which = 0; which < 8; which++) {
		auto_free char *blob = NULL;
		struct plan *pl;
		size_t len;

		blob = make_plan(&len);
		pl = (struct plan *)blob;
		pack_ref *refs[] = {
			&((struct plan_tree *)(blob + pl->lowers.at))->path,
			&((struct plan_mount *)(blob + pl->mounts.at))->target,
			&((struct plan_mount *)(blob + pl->mounts.at))->tree.path,
			&((struct plan_device *)(blob + pl->devices.at))->source,
			&((struct plan_device *)(blob + pl->devices.at))->target,
			&((struct plan_pair *)(blob + pl->sysctls.at))->key,
			&((struct plan_pair *)(blob + pl->sysctls.at))->value,
			&((struct plan_rlimit *)(blob + pl->rlimits.at))->name,
		};
		*refs[which] = (pack_ref)len;
		ok(!opens(blob, len), "reference %d", which);
		if (which != 2 && which != 7) { /* a mount without a tree: a tmpfs */
			*refs[which] = 0;
			ok(!opens(blob, len), "reference %d is missing", which);
		}
	}
}

static void a_tree_that_comes_by_descriptor_needs_no_path(void)
{
	auto_free char *blob = NULL;
	struct plan_tree *t;
	size_t len;

	blob = make_plan(&len);
	t = (struct plan_tree *)(blob + ((struct plan *)blob)->lowers.at);
	t->path = 0;
	t->fd = 3;
	ok(opens(blob, len));
}

/* ---- a call ---------------------------------------------------------------------------------- */

static void make_call(struct buf *b, size_t args)
{
	char *words[] = {(char[]){"sh"}, (char[]){"-c"}};
	struct call c = {.umask = 022};

	buf_add(b, &c, sizeof(c));
	c.argv = pack_strs(b, words, args);
	c.cwd = pack_str(b, "/");
	c.user = pack_str(b, "1000");
	memcpy(b->data, &c, sizeof(c));
}

static void a_call_is_taken_and_one_without_a_command_is_not(void)
{
	auto_buf struct buf one = BUF_INIT(4096), none = BUF_INIT(4096);
	struct pack p;
	struct err e;

	make_call(&one, 2);
	make_call(&none, 0);
	p = (struct pack){one.data, one.len};
	ok(call_open(&p, &e));
	p = (struct pack){none.data, none.len};
	ok(!call_open(&p, &e));
	is_int(e.code, ERR_INTERNAL);
	p = (struct pack){one.data, sizeof(struct call) - 1};
	ok(!call_open(&p, &e));
}

static void a_call_that_refers_to_nowhere_is_refused(void)
{
	static const size_t at[] = {offsetof(struct call, argv.at),
				    offsetof(struct call, argv.count), offsetof(struct call, env.count), offsetof(struct call, cwd),
				    offsetof(struct call, user)};

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		auto_buf struct buf b = BUF_INIT(4096);
		struct pack p;
		struct err e;

		make_call(&b, 2);
		memset(b.data + at[i], 0xff, sizeof(pack_ref));
		p = (struct pack){b.data, b.len};
		ok(!call_open(&p, &e), "offset %zu", at[i]);
	}
}

static void a_name_must_be_whole(void)
{
	static const size_t at[] = {offsetof(struct naming, hostname), offsetof(struct naming, hosts), offsetof(struct naming, box)};

	for (size_t i = 0; i <= sizeof(at) / sizeof(*at); i++) {
		auto_buf struct buf b = BUF_INIT(4096);
		struct naming n = {0};
		struct pack p;
		struct err e;

		buf_add(&b, &n, sizeof(n));
		n.hostname = pack_str(&b, "host");
		n.hosts = pack_str(&b, "hosts");
		n.box = pack_str(&b, i & 1 ? "box" : NULL);
		memcpy(b.data, &n, sizeof(n));
		p = (struct pack){b.data, b.len};
		ok(naming_open(&p, &e));
		if (i == sizeof(at) / sizeof(*at)) {
			p.len = sizeof(n) - 1;
			ok(!naming_open(&p, &e));
			continue;
		}
		memset(b.data + at[i], 0xff, sizeof(pack_ref));
		ok(!naming_open(&p, &e), "offset %zu", at[i]);
		is_int(e.code, ERR_INTERNAL);
	}
}

/* box/talk.c prints them; keeper.h's marks are as many as there are names. */
static void the_marks_have_names_without_holes(void)
{
	int n = 0;

	while (n < READY_MARKS && ready_names[n])
		n++;
	ok(n >= 15, "%d names", n);
	for (; n < READY_MARKS; n++)
		ok(!ready_names[n], "mark %d", n);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_whole_plan_is_taken),
		TAP_TEST(a_plan_cut_anywhere_is_read_within_its_bounds),
		TAP_TEST(a_plan_of_another_kind_is_refused),
		TAP_TEST(references_to_nowhere_are_refused),
		TAP_TEST(elements_that_refer_to_nowhere_are_refused),
		TAP_TEST(a_tree_that_comes_by_descriptor_needs_no_path),
		TAP_TEST(a_call_is_taken_and_one_without_a_command_is_not),
		TAP_TEST(a_call_that_refers_to_nowhere_is_refused),
		TAP_TEST(a_name_must_be_whole),
		TAP_TEST(the_marks_have_names_without_holes),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
