/* SPDX-License-Identifier: Apache-2.0
 *
 * skeleton_test.c - what of the host a sandbox of --host sees, and that it is made once
 *
 * The file under test is included: its walk is tried on trees that the host's /etc is not.
 */
#include "layers/skeleton.c"

#include <pthread.h>

#include "base/scratch.h"
#include "tap.h"

struct made {
	struct scratch s; /* layers/ */
	char *name;
	struct err e;
	int r;
};

static void made_done(struct made *m)
{
	free(m->name);
	scratch_close(&m->s);
}

static void make_one(struct made *m)
{
	memset(m, 0, sizeof(*m));
	if (!scratch_open(&m->s))
		exit(1);
	m->r = layers_skeleton(m->s.fd, &m->name, &m->e);
	ok(m->r == 0, "%s", m->e.msg);
}

static mode_t mode_of(const struct made *m, const char *path)
{
	char full[256];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", m->name ? m->name : "none", path);
	return fstatat(m->s.fd, full, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mode;
}

static void the_empty_directories_of_a_system_are_there(void)
{
	auto_with(made_done) struct made m;

	make_one(&m);
	is_int(mode_of(&m, "."), S_IFDIR | 0755);
	is_int(mode_of(&m, "root"), S_IFDIR | 0700);
	is_int(mode_of(&m, "tmp"), S_IFDIR | 01777);
	is_int(mode_of(&m, "var/tmp"), S_IFDIR | 01777);
	is_int(mode_of(&m, "home"), S_IFDIR | 0755);
	is_int(mode_of(&m, "etc"), S_IFDIR | 0755);
	ok(S_ISDIR(mode_of(&m, "usr")));
	ok(S_ISREG(mode_of(&m, "etc/passwd")));
	is_int(mode_of(&m, "etc/passwd") & 07777, 0644);
}

static void nothing_of_the_host_that_was_not_allowed_is_there(void)
{
	static const char *const not_there[] = {
		"etc/shadow", "etc/gshadow", "etc/ssh", "etc/sudoers", "etc/machine-id",
		"etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/fstab", "etc/ssl/private",
		"etc/cron.d", "etc/passwd-", "etc/group-", "root/.bashrc", "root/.ssh",
	};
	static const char *const empty[] = {"root", "home", "tmp", "mnt", "srv", "media",
					    "dev",  "proc", "sys", "run", "usr", "opt"};
	auto_with(made_done) struct made m;
	char path[256];

	make_one(&m);
	for (size_t i = 0; i < sizeof(not_there) / sizeof(*not_there); i++)
		ok(!mode_of(&m, not_there[i]), "%s", not_there[i]);
	for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		snprintf(path, sizeof(path), "%s/%s", m.name ? m.name : "none", empty[i]);
		ok(scratch_names(&m.s, path) <= 0, "%s", empty[i]);
	}
}

static void it_is_made_once(void)
{
	auto_with(made_done) struct made m;
	auto_free char *again = NULL;
	struct stat one, two;

	make_one(&m);
	if (!m.name)
		return;
	ok(fstatat(m.s.fd, m.name, &one, 0) == 0);
	is_int(layers_skeleton(m.s.fd, &again, &m.e), 0);
	is_str(again, m.name);
	ok(fstatat(m.s.fd, again, &two, 0) == 0 && two.st_ino == one.st_ino);
	is_int(scratch_names(&m.s, "."), 1); /* nothing half made is left */
}

/* The disk was full, say, or the process was killed and the number is had by another now. */
static void what_an_earlier_attempt_left_is_no_obstacle(void)
{
	auto_with(made_done) struct made m;
	auto_free char *again = NULL;
	char half[128];

	make_one(&m);
	if (!m.name)
		return;
	scratch_remove(m.s.fd, m.name);
	snprintf(half, sizeof(half), ".new-%s-%d", m.name, (int)getpid());
	scratch_dir(&m.s, half, 0755);
	ok(layers_skeleton(m.s.fd, &again, &m.e) == 0, "%s", m.e.msg);
}

static void *in_thread(void *p)
{
	struct made *m = p;

	m->r = layers_skeleton(m->s.fd, &m->name, &m->e);
	return NULL;
}

/* hutch_box_start(): "Threads: safe on one handle". */
static void threads_may_make_it_at_the_same_time(void)
{
	struct scratch s;
	struct made m[4];
	pthread_t t[4];

	if (!ok(scratch_open(&s)))
		return;
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 4; i++) {
		m[i].s = s;
		ok(pthread_create(&t[i], NULL, in_thread, &m[i]) == 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		ok(m[i].r == 0, "thread %d: %s", i, m[i].e.msg);
		free(m[i].name);
	}
	scratch_close(&s);
}

/* ---- the walk -------------------------------------------------------------------------------- */

struct copied {
	struct scratch from, to;
	struct err e;
};

static void copied_done(struct copied *c)
{
	scratch_close(&c->from);
	scratch_close(&c->to);
}

static void copied_begin(struct copied *c)
{
	memset(c, 0, sizeof(*c));
	if (!scratch_open(&c->from) || !scratch_open(&c->to))
		exit(1);
}

static int copy(struct copied *c, const char *name)
{
	struct walk w = {.to = c->to.fd, .e = &c->e};

	return visit(&w, c->from.fd, c->to.fd, name, 0);
}

static void trees_are_copied_with_their_links(void)
{
	auto_with(copied_done) struct copied c;
	char target[16] = "";

	copied_begin(&c);
	scratch_file(&c.from, "d/a/file", 0644, "text");
	scratch_link(&c.from, "a/file", "d/link");
	ok(copy(&c, "d") == 0, "%s", c.e.msg);
	is_str(scratch_read(c.to.fd, "d/a/file"), "text");
	ok(readlinkat(c.to.fd, "d/link", target, sizeof(target) - 1) > 0);
	is_str(target, "a/file");
}

static void what_is_no_file_is_left_out(void)
{
	auto_with(copied_done) struct copied c;

	copied_begin(&c);
	scratch_dir(&c.from, "d", 0755);
	ok(mkfifoat(c.from.fd, "d/fifo", 0644) == 0);
	ok(copy(&c, "d") == 0, "and nobody waits for a writer: %s", c.e.msg);
	is_int(scratch_names(&c.to, "d"), 0);
	is_int(copy(&c, "missing"), 0);
}

static void set_id_bits_and_write_permissions_are_dropped(void)
{
	auto_with(copied_done) struct copied c;
	struct stat st;

	copied_begin(&c);
	scratch_file(&c.from, "d/tool", 06777, "x");
	ok(copy(&c, "d") == 0, "%s", c.e.msg);
	ok(fstatat(c.to.fd, "d/tool", &st, 0) == 0);
	is_int(st.st_mode & 07777, 0755);
}

/* "a root caller's sandbox reads only what everybody may", and no secret of the host is there. */
static void what_not_everybody_may_read_is_not_copied(void)
{
	auto_with(copied_done) struct copied c;

	if (geteuid() != 0) {
		skip("others cannot read it anyway");
		return;
	}
	copied_begin(&c);
	scratch_file(&c.from, "d/profile.sh", 0600, "export TOKEN=secret\n");
	scratch_file(&c.from, "d/closed/file", 0644, "secret");
	ok(fchmodat(c.from.fd, "d/closed", 0700, 0) == 0);
	ok(copy(&c, "d") == 0, "%s", c.e.msg);
	ok(!scratch_has(&c.to, "d/profile.sh"), "mode 0600");
	ok(!scratch_has(&c.to, "d/closed/file"), "in a directory of mode 0700");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(the_empty_directories_of_a_system_are_there),
		TAP_TEST(nothing_of_the_host_that_was_not_allowed_is_there),
		TAP_TEST(it_is_made_once),
		TAP_TEST(what_an_earlier_attempt_left_is_no_obstacle),
		TAP_TEST(threads_may_make_it_at_the_same_time),
		TAP_TEST(trees_are_copied_with_their_links),
		TAP_TEST(what_is_no_file_is_left_out),
		TAP_TEST(set_id_bits_and_write_permissions_are_dropped),
		TAP_TEST(what_not_everybody_may_read_is_not_copied),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
