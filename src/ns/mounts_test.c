/* SPDX-License-Identifier: Apache-2.0
 *
 * mounts_test.c - volumes, tmpfs and devices as parts of a plan
 */
#include "ns/mounts.h"

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

/* A spec's mounts as a plan. */
struct made {
	struct scratch s;
	struct spec *spec;
	struct prepare ids;
	struct draft d;
	struct pack p;
	const struct plan *pl;
	struct err e;
	int r;
};

static const char *const own[2] = {"/nonexistent-data", "/nonexistent-state"};

static void made_done(struct made *m)
{
	draft_done(&m->d);
	spec_free(m->spec);
	scratch_close(&m->s);
}

static void made_begin(struct made *m)
{
	memset(m, 0, sizeof(*m));
	m->spec = spec_new();
	draft_init(&m->d);
	if (!m->spec || !scratch_open(&m->s))
		exit(1);
	scratch_dir(&m->s, "dir", 0755);
	scratch_file(&m->s, "file", 0644, "text");
}

/* A field whose value begins with a path below the scratch directory. */
static void ask(struct made *m, const char *field, const char *name, const char *rest)
{
	char text[256];

	snprintf(text, sizeof(text), "%s/%s%s", m->s.path, name, rest);
	ok(spec_set(m->spec, field, text, &m->e) == 0, "%s", m->e.msg);
}

static void make(struct made *m)
{
	m->r = ns_mounts_plan(&m->d, -1, &m->ids, m->spec, own, &m->e);
	m->d.plan.name = m->d.plan.hostname = m->d.plan.working_dir = draft_str(&m->d, "/");
	ok(draft_finish(&m->d, &m->e) == 0);
	m->p = (struct pack){m->d.blob.data, m->d.blob.len};
	m->pl = plan_open(&m->p, &m->e);
}

/* Mount @i of the plan; one with a kind that does not exist where there is none. */
static const struct plan_mount *mount_of(const struct made *m, uint32_t i)
{
	static const struct plan_mount none = {.kind = 99};
	const struct plan_mount *v;

	if (!m->pl || i >= m->pl->mounts.count)
		return &none;
	v = pack_at(&m->p, m->pl->mounts.at, m->pl->mounts.count * sizeof(*v));
	return v ? &v[i] : &none;
}

static bool goes_to(const struct made *m, uint32_t i, const char *target)
{
	const struct plan_mount *v = mount_of(m, i);

	const char *at = pack_get_str(&m->p, v->target);

	return at && !strcmp(at, target);
}

static void a_volume_is_named_by_its_path_where_the_keeper_can_open_it(void)
{
	auto_with(made_done) struct made m;
	const struct plan_mount *v;
	char source[128];

	made_begin(&m);
	ask(&m, "volumes", "dir", ":/data:ro");
	make(&m);
	is_int(m.r, 0);
	v = mount_of(&m, 0);
	snprintf(source, sizeof(source), "%s/dir", m.s.path);
	is_int(v->kind, PLAN_BIND);
	is_int(v->readonly, 1);
	is_int(v->is_dir, 1);
	is_int(v->tree.fd, -1);
	is_int(v->tree.recursive, 1);
	is_str(pack_get_str(&m.p, v->tree.path), source);
	ok(goes_to(&m, 0, "/data"));
	is_int(m.d.nfds, 0);
}

static void files_and_copies_are_told_apart(void)
{
	auto_with(made_done) struct made m;

	made_begin(&m);
	ask(&m, "volumes", "file", ":/a");
	ask(&m, "volumes", "file", ":/b:cow");
	ask(&m, "volumes", "dir", ":/c:cow");
	make(&m);
	is_int(m.r, 0);
	if (!ok(m.pl && m.pl->mounts.count == 3, "%s", m.e.msg))
		return;
	ok(mount_of(&m, 0)->kind == PLAN_BIND && !mount_of(&m, 0)->is_dir &&
	   !mount_of(&m, 0)->readonly);
	ok(mount_of(&m, 1)->kind == PLAN_COW && !mount_of(&m, 1)->is_dir);
	ok(mount_of(&m, 2)->kind == PLAN_COW && mount_of(&m, 2)->is_dir);
}

static void what_lies_higher_is_mounted_first_and_equals_as_asked(void)
{
	static const char *const want[] = {"/b", "/a", "/a/b", "/x/y", "/a/b/c"};
	auto_with(made_done) struct made m;

	made_begin(&m);
	ask(&m, "volumes", "dir", ":/a/b/c");
	ask(&m, "volumes", "dir", ":/b");
	ask(&m, "volumes", "dir", ":/a/b");
	ask(&m, "volumes", "dir", ":/x/y");
	ok(spec_set(m.spec, "tmpfs", "/a", &m.e) == 0, "%s", m.e.msg);
	make(&m);
	is_int(m.r, 0);
	for (uint32_t i = 0; i < 5 && ok(m.pl, "%s", m.e.msg); i++)
		ok(goes_to(&m, i, want[i]), "mount %u is not at %s", i, want[i]);
}

static void a_tmpfs_has_a_size_and_a_mode(void)
{
	auto_with(made_done) struct made m;

	made_begin(&m);
	ok(spec_set(m.spec, "tmpfs", "/a", &m.e) == 0, "%s", m.e.msg);
	ok(spec_set(m.spec, "tmpfs", "/b:size=1m,mode=700", &m.e) == 0, "%s", m.e.msg);
	make(&m);
	is_int(m.r, 0);
	if (!ok(m.pl && m.pl->mounts.count == 2, "%s", m.e.msg))
		return;
	is_int(mount_of(&m, 0)->kind, PLAN_TMPFS);
	ok(mount_of(&m, 0)->size > 0, "a tmpfs without a limit could eat the host's memory");
	is_int(mount_of(&m, 0)->mode, 01777);
	is_int(mount_of(&m, 1)->size, 1 << 20);
	is_int(mount_of(&m, 1)->mode, 0700);
}

/* The spec has it from a time when it was there. */
static void a_source_that_is_gone_is_told(void)
{
	auto_with(made_done) struct made m;

	made_begin(&m);
	ask(&m, "volumes", "dir", ":/data");
	scratch_remove(m.s.fd, "dir");
	make(&m);
	is_int(m.r, ERR_NOT_FOUND);
	ok(strstr(m.e.msg, "/dir'") || !m.pl, "%s", m.e.msg);
}

static void what_cannot_be_copied_is_refused(void)
{
	auto_with(made_done) struct made m;

	made_begin(&m);
	ok(mkfifoat(m.s.fd, "fifo", 0600) == 0);
	ask(&m, "volumes", "fifo", ":/f:cow");
	m.r = ns_mounts_plan(&m.d, -1, &m.ids, m.spec, own, &m.e);
	is_int(m.r, ERR_INVALID);
	ok(strstr(m.e.msg, "fifo' is neither a directory nor a regular file"), "%s", m.e.msg);
}

static void devices_are_devices(void)
{
	auto_with(made_done) struct made m;

	made_begin(&m);
	ok(spec_set(m.spec, "devices", "/dev/null:/dev/mine", &m.e) == 0, "%s", m.e.msg);
	make(&m);
	is_int(m.r, 0);
	if (ok(m.pl && m.pl->devices.count == 1, "%s", m.e.msg)) {
		const struct plan_device *d = pack_at(&m.p, m.pl->devices.at, sizeof(*d));

		is_str(pack_get_str(&m.p, d->source), "/dev/null");
		is_str(pack_get_str(&m.p, d->target), "/dev/mine");
		is_int(m.pl->nodes, -1); /* the keeper binds the host's own */
	}
	ok(spec_set(m.spec, "devices", "/etc/passwd:/dev/x", &m.e) < 0 ||
	   ns_mounts_plan(&m.d, -1, &m.ids, m.spec, own, &m.e) == ERR_INVALID, "%s", m.e.msg);
}

static void the_hosts_programs_are_read_only_and_by_path(void)
{
	auto_with(made_done) struct made m;
	bool usr = false;

	made_begin(&m);
	is_int(ns_host_plan(&m.d, &m.e), 0);
	make(&m);
	for (uint32_t i = 0; m.pl && i < m.pl->mounts.count; i++) {
		const struct plan_mount *v = mount_of(&m, i);
		struct stat st;

		usr = usr || goes_to(&m, i, "/usr");
		ok(v->kind == PLAN_HOST_TREE && v->readonly && v->is_dir && v->tree.fd < 0 &&
		   v->tree.recursive, "mount %u", i);
		ok(lstat(pack_get_str(&m.p, v->target), &st) == 0 && S_ISDIR(st.st_mode),
		   "mount %u", i);
	}
	ok(usr);
}

static void descriptors_are_for_root_callers_with_ranges(void)
{
	struct spec auto_ids = {.ids = SPEC_IDS_AUTO}, host_ids = {.ids = SPEC_IDS_HOST};
	struct ns_ids ids = {.persona = NS_ROOT};

	ok(ns_by_fd(&ids, &auto_ids));
	ok(!ns_by_fd(&ids, &host_ids));
	for (int p = NS_SUBIDS; p <= NS_NESTED; p++) {
		ids.persona = (enum ns_persona)p;
		ok(!ns_by_fd(&ids, &auto_ids), "persona %d", p);
	}
}

static void a_tree_that_cannot_be_idmapped_names_the_ways_out(void)
{
	int before = scratch_descriptors();
	struct plan_tree t;
	struct err e = {0};
	struct draft d;

	draft_init(&d);
	ok(ns_tree(&d, 0, "/no such path", false, &t, &e) < 0);
	ok(strstr(e.msg, "/no such path"), "%s", e.msg);
	if (geteuid() == 0) { /* descriptor 0 is no user namespace */
		ok(ns_tree(&d, 0, "/", false, &t, &e) < 0);
		ok(strstr(e.msg, "--ids host"), "%s", e.msg);
	}
	draft_done(&d);
	is_int(scratch_descriptors(), before);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_volume_is_named_by_its_path_where_the_keeper_can_open_it),
		TAP_TEST(files_and_copies_are_told_apart),
		TAP_TEST(what_lies_higher_is_mounted_first_and_equals_as_asked),
		TAP_TEST(a_tmpfs_has_a_size_and_a_mode),
		TAP_TEST(a_source_that_is_gone_is_told),
		TAP_TEST(what_cannot_be_copied_is_refused),
		TAP_TEST(devices_are_devices),
		TAP_TEST(the_hosts_programs_are_read_only_and_by_path),
		TAP_TEST(descriptors_are_for_root_callers_with_ranges),
		TAP_TEST(a_tree_that_cannot_be_idmapped_names_the_ways_out),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
