/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_test.c - snapshots, comparisons and forks, of sandboxes that belong to this program
 */
#include <time.h>

#include "api/world_test.h"
#include "base/own.h"

static void snapshot(struct world *w, struct hutch_box *box, const char *tag, const char *want)
{
	char *name = NULL;

	ok(hutch_box_snapshot(box, tag, &name, &w->e) == 0, "%s", w->e.message);
	is_str(name ? name : "", want);
	free(name);
}

static void there_and_back_in_shells_that_live(void)
{
	auto_with(world_done) struct world w;
	struct hutch_box *box;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	world_text(&w, box, "echo 1 >/root/f; cat /root/f", NULL, "1\n");
	world_text(&w, box, "mkdir /root/d; cd /root/d; A=1", "s", "");
	snapshot(&w, box, NULL, "0");
	world_text(&w, box, "cat /root/f; echo 2 >/root/f", NULL, "1\n");
	world_text(&w, box, "pwd; echo $A; echo x >x; ls /root", "s", "/root/d\n1\nd\nf\n");
	snapshot(&w, box, "two", "two");
	world_text(&w, box, "ls; echo 3 >/root/f", "s", "x\n");
	ok(hutch_box_restore(box, "0", HUTCH_RESTORE_KEEP_PROCESSES, &w.e) == 0, "%s", w.e.message);
	world_text(&w, box, "pwd; ls; cat /root/f", "s", "/root/d\n1\n");
	world_text(&w, box, "cat /root/f", NULL, "1\n");
	ok(hutch_box_restore(box, NULL, 0, &w.e) == 0, "%s", w.e.message);
	world_text(&w, box, "cat /root/f /root/d/x; echo [$A]", "s", "2\nx\n[]\n");
	ok(hutch_box_reset(box, &w.e) == 0, "%s", w.e.message);
	world_text(&w, box, "ls /root", NULL, "");
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void the_cost_of_a_quiet_one_is_no_copy(void)
{
	auto_with(world_done) struct world w;
	struct hutch_box *box;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	/* The file is a file of the layer afterwards, the same one. */
	world_text(&w, box, "echo 1 >/root/f; stat -c %i /root/f >/dev/shm/ino", NULL, "");
	snapshot(&w, box, NULL, "0");
	world_text(&w, box, "mountpoint -q /dev/shm && [ $(stat -c %i /root/f) = $(cat /dev/shm/ino) ] && echo same", NULL,
	    "same\n");
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void list_and_delete(void)
{
	auto_with(world_done) struct world w;
	struct hutch_snapshot *v = NULL;
	struct hutch_box *box;
	size_t n = 9;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	is_int(hutch_box_snapshots(box, &v, &n, &w.e), 0);
	is_int(n, 0);
	free(v);
	snapshot(&w, box, "a", "a");
	snapshot(&w, box, NULL, "0");
	is_int(hutch_box_snapshots(box, &v, &n, &w.e), 0);
	if (is_int(n, 2)) {
		is_str(v[1].name, "0");
		is_str(v[1].parent, "a");
		is_int(v[0].present * 10 + v[1].present, 1);
		ok(time(NULL) - v[0].created < 60);
	}
	free(v);
	is_int(hutch_box_snapshot(box, "a", &(char *){NULL}, &w.e), HUTCH_E_EXISTS);
	is_int(hutch_box_snapshot_delete(box, "a", &w.e), 0);
	is_int(hutch_box_snapshot_delete(box, "a", &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_box_restore(box, "a", 0, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_box_snapshot(box, "", &(char *){NULL}, &w.e), HUTCH_E_INVALID);
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void records_of_a_comparison(void)
{
	auto_with(world_done) struct world w;
	struct hutch_box *box;
	char *v = NULL;
	size_t len = 0;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	ok(hutch_box_diff(box, NULL, NULL, &v, &len, &w.e) == 0, "%s", w.e.message);
	is_int(len, 0);
	free(v);
	world_text(&w, box, "mkdir /root/d; echo 1 >/root/d/f; rmdir /srv", NULL, "");
	ok(hutch_box_diff(box, NULL, NULL, &v, &len, &w.e) == 0, "%s", w.e.message);
	is_int(len, sizeof("A /root/d\0A /root/d/f\0D /srv"));
	ok(len && !memcmp(v, "A /root/d\0A /root/d/f\0D /srv", len));
	free(v);
	is_int(hutch_box_diff(box, "none", NULL, &v, &len, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void forks_share_what_was(void)
{
	auto_with(world_done) struct world w;
	struct hutch_box *box, *made[3] = {NULL};

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	world_text(&w, box, "echo 1 >/root/f", NULL, "");
	if (ok(hutch_box_fork(box, NULL, NULL, 3, 0, made, &w.e) == 0, "%s", w.e.message)) {
		is_int(hutch_box_delete(box, &w.e), 0);
		for (int i = 0; i < 3; i++) {
			world_text(&w, made[i], "cat /root/f; echo $RANDOM >/root/f", NULL, "1\n");
			is_int(hutch_box_reset(made[i], &w.e), 0);
			world_text(&w, made[i], "cat /root/f", NULL, "1\n");
		}
		for (int i = 0; i < 3; i++)
			is_int(hutch_box_delete(made[i], &w.e), 0);
	} else {
		is_int(hutch_box_delete(box, &w.e), 0);
	}
	ok(hutch_cleanup(w.hutch, 10000, &w.e) == 0, "%s", w.e.message);
	is_int(scratch_names(&w.s, "data/layers"), 1); /* the skeleton of --host */
}

static bool write_number(struct world *w, struct hutch_box *box, int number)
{
	char text[32];
	int fd, n = snprintf(text, sizeof(text), "%d\n", number);
	bool r = ok(hutch_file_open(box, "/root/f", HUTCH_FILE_WRITE | HUTCH_FILE_CREATE | HUTCH_FILE_TRUNC, 0644, &fd,
				    &w->e) == 0, "%s", w->e.message);

	if (!r)
		return false;
	r = write(fd, text, (size_t)n) == n;
	close(fd);
	return r;
}

/* What @change made, @look shows, in one that begins with it. */
static void is_forked(struct world *w, struct hutch_box *box, const char *change, const char *look, const char *want)
{
	struct hutch_box *made;

	world_text(w, box, change, NULL, "");
	usleep(20000); /* where its shell does not wait yet, which takes a busy machine a while, what was written is copied */
	if (!ok(hutch_box_fork(box, NULL, NULL, 1, 0, &made, &w->e) == 0, "%s", w->e.message))
		return;
	world_text(w, made, look, NULL, want);
	world_text(w, made, "cat /root/f", NULL, "1\n");
	is_int(hutch_box_delete(made, &w->e), 0);
}

/* What was written is frozen by then, and the others have been told so before it has a file tree of its own again. */
static void a_fork_that_fails_leaves_it_on_files_of_its_own(void)
{
	enum { OFTEN = 30 };
	auto_with(world_done) struct world w;
	struct hutch_box *box, *made;
	char text[64], want[16];

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	world_text(&w, box, "mkdir /root/d; cd /root/d", "s", "");
	for (int i = 0; i < OFTEN; i++) {
		const char *taken = hutch_box_name(box);

		is_int(hutch_box_fork(box, NULL, &taken, 1, 0, &made, &w.e), HUTCH_E_EXISTS);
		snprintf(text, sizeof(text), "echo %d >>/root/g; tail -n 1 /root/g", i);
		snprintf(want, sizeof(want), "%d\n", i);
		if (i % 3 == 0)
			ok(write_number(&w, box, i));
		if (i % 2)
			world_text(&w, box, text, NULL, want);
		else
			world_text(&w, box, text, "s", want);
	}
	world_text(&w, box, "pwd; wc -l </root/g", "s", "/root/d\n30\n");
	ok(hutch_box_fork(box, NULL, NULL, 1, 0, &made, &w.e) == 0, "%s", w.e.message);
	world_text(&w, box, "echo x >>/root/g", NULL, "");
	world_text(&w, made, "cat /root/f; wc -l </root/g", NULL, "27\n30\n");
	is_int(hutch_box_delete(made, &w.e), 0);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* Whether files stand where its next directories of changes are made: then it gets no other file tree. */
static void bar(const struct world *w, const char *name, bool yes)
{
	char path[300];

	for (int i = 2; i < 8; i++) {
		snprintf(path, sizeof(path), "data/boxes/%s/g%d", name, i);
		if (yes)
			close(openat(w->s.fd, path, O_CREAT | O_EXCL | O_CLOEXEC, 0600));
		else
			(void)unlinkat(w->s.fd, path, 0);
	}
}

/* The others have begun by then. */
static void one_that_gets_no_files_anew_keeps_its_own_and_nothing_is_forked(void)
{
	auto_with(world_done) struct world w;
	struct hutch_box *box, *made[2];
	int layers, boxes;
	char want[32];

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	world_text(&w, box, "mkdir /root/d; cd /root/d; echo 1 >/root/f", "s", "");
	usleep(20000);
	layers = scratch_names(&w.s, "data/layers");
	boxes = scratch_names(&w.s, "data/boxes");
	bar(&w, hutch_box_name(box), true);
	for (int i = 0; i < 4; i++) {
		if (ok(hutch_box_fork(box, NULL, NULL, 2, i % 2 ? HUTCH_START_DETACHED : 0, made, &w.e) < 0))
			ok(strstr(w.e.message, "mkdir 'up/g"), "%s", w.e.message);
		snprintf(want, sizeof(want), "/root/d\n%d\n", i + 2);
		world_text(&w, box, "pwd; echo 2 >>/root/f; wc -l </root/f", "s", want);
		usleep(20000);
	}
	is_int(scratch_names(&w.s, "data/layers"), layers);
	is_int(scratch_names(&w.s, "data/boxes"), boxes);
	bar(&w, hutch_box_name(box), false);
	if (ok(hutch_box_fork(box, NULL, NULL, 1, 0, made, &w.e) == 0, "%s", w.e.message)) {
		world_text(&w, box, "echo 3 >/root/f", "s", "");
		world_text(&w, made[0], "wc -l </root/f", NULL, "5\n");
		is_int(hutch_box_delete(made[0], &w.e), 0);
	}
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* As where there was no room to note on what it stands: then only the name of the next layer says so, until the next one. */
static void a_layer_that_could_not_be_noted_stays(void)
{
	auto_with(world_done) struct world w;
	struct hutch_box *box, *made;
	char path[300], was[8192];

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	snapshot(&w, box, "first", "first");
	snprintf(path, sizeof(path), "data/boxes/%s/layers.json", hutch_box_name(box));
	snprintf(was, sizeof(was), "%s", scratch_read(w.s.fd, path));
	is_forked(&w, box, "echo 1 >/root/f", "cat /root/f", "1\n");
	ok(scratch_file(&w.s, path, 0600, was));
	world_text(&w, box, "echo 2 >/root/g", NULL, "");
	usleep(20000);
	bar(&w, hutch_box_name(box), true);
	ok(hutch_box_fork(box, NULL, NULL, 1, 0, &made, &w.e) < 0 && strstr(w.e.message, "mkdir 'up/g"), "%s", w.e.message);
	ok(hutch_cleanup(w.hutch, 10000, &w.e) == 0, "%s", w.e.message);
	world_text(&w, box, "cat /root/f /root/g", NULL, "1\n2\n");
	bar(&w, hutch_box_name(box), false);
	is_forked(&w, box, ":", "cat /root/f /root/g", "1\n2\n");
	is_int(hutch_box_delete(box, &w.e), 0);
}

static void one_that_cannot_be_gone_back_to_is_not_the_present_one(void)
{
	auto_with(world_done) struct world w;
	struct hutch_snapshot *v = NULL;
	struct hutch_box *box;
	char volume[128];
	size_t n = 0;

	if (!world_open(&w))
		return;
	snprintf(volume, sizeof(volume), "%s/volume:/mnt:cow", w.s.path);
	scratch_dir(&w.s, "volume", 0777);
	ok(hutch_spec_set(w.spec, "volumes", volume, &w.e) == 0, "%s", w.e.message);
	if (!(box = world_start(&w)))
		return;
	world_text(&w, box, "echo 1 >/root/f", NULL, "");
	snapshot(&w, box, "a", "a");
	world_text(&w, box, "echo 2 >/root/f", NULL, "");
	snapshot(&w, box, "b", "b");
	is_int(hutch_box_restore(box, "a", HUTCH_RESTORE_KEEP_PROCESSES, &w.e), HUTCH_E_UNSUPPORTED);
	world_text(&w, box, "cat /root/f", NULL, "2\n");
	snapshot(&w, box, "c", "c");
	is_int(hutch_box_snapshots(box, &v, &n, &w.e), 0);
	if (is_int((int)n, 3)) {
		is_str(v[2].parent, "b");
		ok(!v[0].present && !v[1].present && v[2].present);
	}
	free(v);
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* And of the root directory every change counts. */
static void where_nothing_was_written_there_is_no_layer(void)
{
	static const char *const changes[][3] = {
		{"chmod 711 /", "stat -c %a /", "711\n"},
		{"touch -d @5 /", "stat -c %Y /", "5\n"},
		{": >/new", "ls /new", "/new\n"},
		{"rm /new; touch -d @5 /", "ls /new 2>&1 | wc -l; stat -c %Y /", "1\n5\n"},
		{"echo x >/root/y", "cat /root/y", "x\n"},
	};
	auto_with(world_done) struct world w;
	struct hutch_box *box;
	int layers;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	world_text(&w, box, "echo 1 >/root/f", NULL, "");
	snapshot(&w, box, "one", "one");
	layers = scratch_names(&w.s, "data/layers");
	snapshot(&w, box, "two", "two");
	for (int i = 0; i < 3; i++)
		is_forked(&w, box, ":", "ls /root", "f\n");
	is_int(scratch_names(&w.s, "data/layers"), layers);
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
		is_forked(&w, box, changes[i][0], changes[i][1], changes[i][2]);
	is_int(scratch_names(&w.s, "data/layers"), layers + 5);
	ok(hutch_box_restore(box, "two", 0, &w.e) == 0, "%s", w.e.message);
	is_forked(&w, box, ":", "[ -e /new ] || echo none; ls /root", "none\nf\n");
	ok(scratch_names(&w.s, "data/layers") <= layers + 5, "those that none needs any more may be gone");
	is_int(hutch_box_delete(box, &w.e), 0);
}

/* Layers are made one again and again, and what was made one, too. */
static void a_chain_of_a_thousand(void)
{
	enum { LONG = 1000 };
	static const int back[] = {0, 29, 30, 31, 500, 899, 931, LONG - 1};
	auto_with(world_done) struct world w;
	struct hutch_snapshot *v = NULL;
	struct hutch_box *box;
	char name[16], want[16], *got;
	size_t n = 0;

	if (!world_open(&w) || !(box = world_start(&w)))
		return;
	for (int i = 0; i < LONG; i++) {
		if (!write_number(&w, box, i) ||
		    !ok(hutch_box_snapshot(box, NULL, &got, &w.e) == 0, "number %d: %s", i, w.e.message))
			break;
		free(got);
	}
	is_int(hutch_box_snapshots(box, &v, &n, &w.e), 0);
	is_int(n, LONG);
	for (size_t i = 0; i < n; i++)
		ok(v[i].layers < 100, "snapshot %zu stands on %u layers", i, v[i].layers);
	free(v);
	for (size_t i = 0; i < sizeof(back) / sizeof(*back) && n == LONG; i++) {
		snprintf(name, sizeof(name), "%d", back[i]);
		snprintf(want, sizeof(want), "%d\n", back[i]);
		ok(hutch_box_restore(box, name, 0, &w.e) == 0, "%s: %s", name, w.e.message);
		world_text(&w, box, "cat /root/f", NULL, want);
	}
	is_int(hutch_box_delete(box, &w.e), 0);
	ok(hutch_cleanup(w.hutch, 90000, &w.e) == 0, "%s", w.e.message);
	is_int(scratch_names(&w.s, "data/layers"), 1); /* the skeleton of --host */
}

static void what_is_missing_is_an_error(void)
{
	struct hutch_error e;

	is_int(hutch_box_snapshot(NULL, NULL, &(char *){NULL}, &e), HUTCH_E_INVALID);
	is_int(hutch_box_restore(NULL, NULL, 0, &e), HUTCH_E_INVALID);
	is_int(hutch_box_snapshots(NULL, NULL, NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_box_snapshot_delete(NULL, NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_box_diff(NULL, NULL, NULL, NULL, NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_box_fork(NULL, NULL, NULL, 1, 0, NULL, &e), HUTCH_E_INVALID);
	is_int(hutch_box_reset_files(NULL, &e), HUTCH_E_INVALID);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(there_and_back_in_shells_that_live),
		TAP_TEST(the_cost_of_a_quiet_one_is_no_copy),
		TAP_TEST(list_and_delete),
		TAP_TEST(records_of_a_comparison),
		TAP_TEST(forks_share_what_was),
		TAP_TEST(a_fork_that_fails_leaves_it_on_files_of_its_own),
		TAP_TEST(one_that_gets_no_files_anew_keeps_its_own_and_nothing_is_forked),
		TAP_TEST(a_layer_that_could_not_be_noted_stays),
		TAP_TEST(one_that_cannot_be_gone_back_to_is_not_the_present_one),
		TAP_TEST(where_nothing_was_written_there_is_no_layer),
		TAP_TEST(a_chain_of_a_thousand),
		TAP_TEST(what_is_missing_is_an_error),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
