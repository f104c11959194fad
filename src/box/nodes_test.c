/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes_test.c - what is on disk about snapshots: there and back, one at a time, and never half
 */
#include "box/nodes.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "base/own.h"
#include "base/scratch.h"
#include "tap.h"

#define A "s.00000000000000aa"
#define B "s.00000000000000bb"

struct made {
	struct scratch s;
	struct home h;
	struct err e;
};

static void begin(struct made *m)
{
	memset(m, 0, sizeof(*m));
	if (!scratch_open(&m->s) || !scratch_dir(&m->s, "boxes", 0700) || !scratch_dir(&m->s, "layers", 0700))
		exit(1);
	m->h.data_path = m->s.path;
	m->h.data = m->s.fd;
	m->h.boxes = openat(m->s.fd, "boxes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void made_done(struct made *m)
{
	close(m->h.boxes);
	scratch_close(&m->s);
}

static struct stack one(const char *name)
{
	struct stack s = {0};

	stack_push(&s, name, NULL);
	return s;
}

static void they_come_back_as_they_were(void)
{
	auto_with(made_done) struct made m;
	auto_with(stack_done) struct stack a = one(A), b = one(B);
	struct node *v, last;
	struct nodes n;
	size_t len = 9;

	begin(&m);
	is_int(nodes_open(&m.h, "box", true, &n, &m.e), 0);
	is_int(nodes_list(&n, &v, &len, &m.e), 0);
	is_int(len, 0);
	is_int(node_add(&n, "9", &a, 1000, &m.e), 0);
	is_int(nodes_set_at(&n, "9", &m.e), 0);
	is_int(node_add(&n, "a \"tag\" \\ of ü", &b, 2000, &m.e), 0);
	n.next = 7;
	n.generation = 9;
	is_int(stack_copy(&n.now, &b, &m.e), 0);
	is_int(layer_name_new(LAYER_FROZEN, n.next_layer, &m.e), 0);
	is_int(nodes_write(&n, &m.e), 0);
	nodes_close(&n);
	ok(nodes_exist(&m.h, "box"));
	is_int(nodes_open(&m.h, "box", false, &n, &m.e), 0);
	is_int(nodes_list(&n, &v, &len, &m.e), 0);
	if (is_int(len, 2)) {
		is_str(v[1].name, "a \"tag\" \\ of ü");
		is_str(v[1].parent, "9");
		ok(!v[0].parent);
		is_int(v[1].created_s, 2000);
		is_str(v[1].layers.v[0], B);
	}
	nodes_free(v, len);
	is_int(node_read(&n, NULL, &last, &m.e), 0);
	is_str(last.name, "a \"tag\" \\ of ü");
	node_done(&last);
	is_str(n.now.v[0], B);
	is_int(n.base.n + n.was.n, 0);
	is_str(n.at, "9");
	is_int(n.next, 7);
	is_int(n.generation, 9);
	ok(layer_name_ok(n.next_layer, strlen(n.next_layer)));
	is_str(n.next_merged, "");
	nodes_close(&n);
}

static void where_there_are_none_nothing_is_made(void)
{
	auto_with(made_done) struct made m;
	struct nodes n;

	begin(&m);
	ok(!nodes_exist(&m.h, "box"));
	is_int(nodes_open(&m.h, "box", false, &n, &m.e), 0);
	ok(!node_is_there(&n, "0"));
	nodes_close(&n);
	is_int(scratch_names(&m.s, "boxes"), 0);
}

static bool grows_from(const struct nodes *n, const char *name, const char *parent)
{
	auto_with(node_done) struct node x = {0};
	struct err e = {0};

	return node_read(n, name, &x, &e) == 0 && (parent ? x.parent && !strcmp(x.parent, parent) : !x.parent);
}

static void who_grew_from_what_is_removed_grows_from_its_parent(void)
{
	auto_with(made_done) struct made m;
	auto_with(stack_done) struct stack a = one(A);
	struct node last;
	struct nodes n;

	begin(&m);
	is_int(nodes_open(&m.h, "box", true, &n, &m.e), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"a", "b", "c"};

		is_int(node_add(&n, names[i], &a, 1, &m.e), 0);
		is_int(nodes_set_at(&n, names[i], &m.e), 0);
	}
	ok(grows_from(&n, "c", "b"));
	is_int(node_remove(&n, "b", &m.e), 0);
	ok(!node_is_there(&n, "b"));
	ok(grows_from(&n, "c", "a"));
	is_int(node_remove(&n, "c", &m.e), 0);
	is_str(n.at, "a");
	is_int(node_read(&n, NULL, &last, &m.e), 0); /* the one that was made last is not there any more */
	is_str(last.name, "a");
	node_done(&last);
	is_int(node_remove(&n, "a", &m.e), 0);
	ok(!n.at);
	nodes_close(&n);
}

static void what_is_missing_is_said_with_what_there_is(void)
{
	auto_with(made_done) struct made m;
	auto_with(stack_done) struct stack a = one(A);
	struct nodes n;
	struct node x;

	begin(&m);
	is_int(nodes_open(&m.h, "box", true, &n, &m.e), 0);
	is_int(node_read(&n, "x", &x, &m.e), ERR_NOT_FOUND);
	is_str(m.e.msg, "no snapshot is there: none was made");
	is_int(node_add(&n, "0", &a, 1, &m.e), 0);
	is_int(node_add(&n, "tag", &a, 1, &m.e), 0);
	is_int(node_remove(&n, "x", &m.e), ERR_NOT_FOUND);
	is_str(m.e.msg, "no snapshot 'x'; there are: 0, tag");
	nodes_close(&n);
}

static void a_file_that_is_none_is_an_error_with_its_path(void)
{
	static const char *const bad[] = {"", "{", "[1]", "{\"now\":\"../../etc\"}", "{\"base\":\"s.1\"}"};
	auto_with(made_done) struct made m;
	struct nodes n;
	struct node x;

	begin(&m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scratch_file(&m.s, "boxes/box/layers.json", 0600, bad[i]);
		ok(nodes_open(&m.h, "box", false, &n, &m.e) < 0 && strstr(m.e.msg, "boxes/box"), "%s: %s", bad[i],
		   m.e.msg);
		unlinkat(m.s.fd, "boxes/box/layers.json", 0);
	}
	scratch_file(&m.s, "boxes/box/snapshots/tag", 0600, "{\"layers\":\"/etc\"}");
	is_int(nodes_open(&m.h, "box", false, &n, &m.e), 0);
	ok(node_read(&n, "tag", &x, &m.e) < 0 && strstr(m.e.msg, "'tag'"), "%s", m.e.msg);
	nodes_close(&n);
}

static void one_at_a_time_and_the_sweeper_not_meanwhile(void)
{
	auto_with(made_done) struct made m;
	auto_fd int layers = -1;
	struct nodes n;
	int status;
	pid_t pid;

	begin(&m);
	is_int(nodes_open(&m.h, "box", true, &n, &m.e), 0);
	layers = openat(m.s.fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(flock(layers, LOCK_EX | LOCK_NB) < 0);
	pid = fork();
	if (pid == 0) {
		struct nodes mine;

		nodes_close(&n); /* its descriptors share our lock: those must not count */
		alarm(1);
		_exit(nodes_open(&m.h, "box", true, &mine, &m.e) == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM, "status %x", status);
	nodes_close(&n);
	is_int(flock(layers, LOCK_EX | LOCK_NB), 0);
}

static void a_fork_that_lives_on_holds_nobody_up(void)
{
	auto_with(made_done) struct made m;
	struct nodes n;
	pid_t pid;

	begin(&m);
	is_int(nodes_open(&m.h, "box", true, &n, &m.e), 0);
	pid = fork();
	if (pid == 0) {
		alarm(20); /* in any case */
		for (;;)
			pause();
	}
	nodes_close(&n);
	alarm(5);
	is_int(nodes_open(&m.h, "box", true, &n, &m.e), 0);
	alarm(0);
	nodes_close(&n);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(they_come_back_as_they_were),
		TAP_TEST(where_there_are_none_nothing_is_made),
		TAP_TEST(who_grew_from_what_is_removed_grows_from_its_parent),
		TAP_TEST(what_is_missing_is_said_with_what_there_is),
		TAP_TEST(a_file_that_is_none_is_an_error_with_its_path),
		TAP_TEST(one_at_a_time_and_the_sweeper_not_meanwhile),
		TAP_TEST(a_fork_that_lives_on_holds_nobody_up),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
