/* SPDX-License-Identifier: Apache-2.0
 *
 * job_test.c - jobs, as a caller sees them
 */
#include <string.h>
#include <time.h>

#include "api/world_test.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Starts @script as job @id (NULL: any), of whose output @keep bytes are kept. */
static bool begin(struct world *w, struct hutch_box *box, const char *script, const char *id, uint64_t keep,
		  char ret_id[HUTCH_JOB_ID_SIZE])
{
	struct hutch_job_options o = {.size = sizeof(o), .text = script, .id = id, .keep = keep};

	return ok(hutch_job_start(box, &o, ret_id, &w->e) == 0, "%s", w->e.message);
}

static struct hutch_job finish(struct world *w, struct hutch_box *box, const char *id)
{
	struct hutch_job j = {.size = sizeof(j), .running = -1};

	ok(hutch_job_wait(box, id, UINT64_MAX, 20000, -1, &j, NULL, &w->e) == 1, "%s", w->e.message);
	is_int(j.running, 0);
	return j;
}

static struct hutch_job_output look(struct world *w, struct hutch_box *box, const char *id, uint64_t from)
{
	struct hutch_job_output o = {.size = sizeof(o)};

	ok(hutch_job_check(box, id, from, NULL, &o, &w->e) == 0, "%s", w->e.message);
	return o;
}

static void a_job_is_started_watched_and_forgotten(void)
{
	struct hutch_job j = {.size = sizeof(j)}, *list = NULL;
	struct hutch_job_output o = {.size = sizeof(o)};
	char id[HUTCH_JOB_ID_SIZE] = "";
	struct hutch_box *box;
	auto_world w;
	size_t n = 9;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (!begin(&w, box, "echo out; echo err >&2; read x; test -e /go || sleep 0.2; echo end; exit 3", NULL, 0, id))
		return;
	is_int(strlen(id), 8);
	is_int(strspn(id, "0123456789abcdef"), 8);
	is_int(hutch_job_check(box, id, 0, &j, NULL, &w.e), 0);
	ok(j.running && j.pid > 1 && !j.ended_ms && j.started_ms, "%d %d", j.running, j.pid);
	j = finish(&w, box, id);
	ok(j.result.end == HUTCH_END_EXIT && j.result.exit_code == 3 && j.ended_ms >= j.started_ms && j.written == 12);
	ok(j.result.maxrss_bytes > 0, "the kernel counted it");
	o = look(&w, box, id, 0);
	is_str(o.data, "out\nerr\nend\n");
	ok(o.next == 12 && !o.lost);
	o = look(&w, box, id, 4);
	is_str(o.data, "err\nend\n");
	o = look(&w, box, id, 12);
	ok(!o.len && o.next == 12);
	o = look(&w, box, id, 1000);
	ok(!o.len && o.next == 12 && !o.lost);
	is_int(hutch_job_list(box, &list, &n, &w.e), 0);
	is_int(n, 1);
	is_str(list[0].id, id);
	ok(!strncmp(list[0].command, "bash -c echo out", 16), "%s", list[0].command);
	free(list);
	is_int(hutch_job_stop(box, id, NULL, &j, &o, &w.e), 0);
	is_int(j.result.exit_code, 3);
	is_str(o.data, "out\nerr\nend\n");
	is_int(hutch_job_check(box, id, 0, &j, NULL, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_job_wait(box, id, UINT64_MAX, -1, -1, &j, NULL, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_job_stop(box, id, NULL, &j, &o, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_job_signal(box, id, SIGTERM, &w.e), HUTCH_E_NOT_FOUND);
	ok(strstr(w.e.message, id) != NULL, "%s", w.e.message);
	hutch_box_delete(box, NULL);
}

/* The ring is exact at its bounds: one byte less than it holds, as many, one more, many more. */
static void the_last_part_of_the_output_is_kept(void)
{
	static const unsigned lengths[] = {0, 1, 99, 100, 101, 199, 200, 201, 70000, 1000000};
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		unsigned len = lengths[i], kept = len < 100 ? len : 100;
		char id[HUTCH_JOB_ID_SIZE], script[200], want[32];
		struct hutch_job_output o;
		struct hutch_job j;

		/* Every 8 bytes say which they are. */
		snprintf(script, sizeof(script), "seq -f %%07.0f 0 %u | head -c %u", len / 8 + 1, len);
		if (!begin(&w, box, script, NULL, 100, id))
			break;
		j = finish(&w, box, id);
		ok(j.written == len && j.kept == kept, "%u: %llu", len, (unsigned long long)j.written);
		o = look(&w, box, id, 0);
		ok(o.len == kept && o.next == len && o.lost == len - kept, "%u: %zu", len, o.len);
		for (size_t k = 0; k < o.len; k++) {
			snprintf(want, sizeof(want), "%07llu\n", (unsigned long long)(o.lost + k) / 8);
			if (!ok(o.data[k] == want[(o.lost + k) % 8], "%u: byte %zu", len, k))
				break;
		}
		is_int(hutch_job_stop(box, id, NULL, NULL, NULL, &w.e), 0);
	}
	hutch_box_delete(box, NULL);
}

static void a_long_output_comes_in_parts(void)
{
	const uint64_t all = 9000000;
	char id[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	uint64_t at = 0;
	auto_world w;
	int parts = 0;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (!begin(&w, box, "head -c 9000000 /dev/zero | tr '\\0' '\\377'", NULL, 10000000, id))
		return;
	(void)finish(&w, box, id);
	for (; at < all && parts < 10; parts++) {
		struct hutch_job_output o = look(&w, box, id, at);

		for (size_t i = 0; i < o.len; i += 4093)
			if (!ok((unsigned char)o.data[i] == 255, "byte %zu", i))
				break;
		at = o.next;
	}
	ok(at == all && parts == 3, "%llu in %d", (unsigned long long)at, parts);
	hutch_box_delete(box, NULL);
}

static void nobody_reads_and_nobody_waits(void)
{
	char id[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	struct hutch_job j;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (!begin(&w, box, "head -c 100000000 /dev/zero && printf 'a\\0b'", NULL, 0, id))
		return;
	j = finish(&w, box, id);
	ok(j.written == 100000003 && j.kept == 1 << 20 && j.result.exit_code == 0, "%llu %d",
	   (unsigned long long)j.written, j.result.exit_code);
	ok(!memcmp(look(&w, box, id, 100000000).data, "a\0b", 4));
	hutch_box_delete(box, NULL);
}

static void waits_wake(void)
{
	struct hutch_job j = {.size = sizeof(j)};
	char id[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	double since;
	auto_world w;
	int fd[2];

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (pipe(fd) < 0 || !begin(&w, box, "sleep 0.3; echo x; sleep 0.3; echo y; sleep 30", NULL, 0, id))
		return;
	is_int(hutch_job_wait(box, id, UINT64_MAX, 0, -1, &j, NULL, &w.e), 0);
	is_int(hutch_job_wait(box, id, 0, 0, -1, &j, NULL, &w.e), 0);
	since = now();
	is_int(hutch_job_wait(box, id, UINT64_MAX, 100, -1, &j, NULL, &w.e), 0);
	ok(now() - since >= 0.09);
	is_int(hutch_job_wait(box, id, 0, 10000, -1, &j, NULL, &w.e), 1);
	ok(j.running && j.written == 2, "%llu", (unsigned long long)j.written);
	is_int(hutch_job_wait(box, id, 2, 10000, -1, &j, NULL, &w.e), 1);
	ok(j.running && j.written == 4, "%llu", (unsigned long long)j.written);
	ok(write(fd[1], "x", 1) == 1);
	is_int(hutch_job_wait(box, id, 4, -1, fd[0], &j, NULL, &w.e), 0);
	is_int(hutch_job_signal(box, id, SIGKILL, &w.e), 0);
	is_int(hutch_job_wait(box, id, UINT64_MAX, 10000, -1, &j, NULL, &w.e), 1);
	ok(!j.running && j.result.end == HUTCH_END_SIGNAL && j.result.signal == SIGKILL);
	is_int(hutch_job_wait(box, id, UINT64_MAX, 0, -1, &j, NULL, &w.e), 1);
	is_int(hutch_job_wait(box, id, UINT64_MAX, -1, -1, &j, NULL, &w.e), 1);
	ok(now() - since < 10);
	close(fd[0]);
	close(fd[1]);
	hutch_box_delete(box, NULL);
}

static void what_cannot_be_executed_is_no_job(void)
{
	const char *const nothing[] = {"/no/such", NULL}, *const dir[] = {"/usr", NULL};
	struct hutch_job_options o = {.size = sizeof(o), .argv = nothing};
	struct hutch_job *list = NULL;
	struct hutch_box *box;
	auto_world w;
	size_t n = 9;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_NO_COMMAND);
	ok(strstr(w.e.message, "/no/such") != NULL, "%s", w.e.message);
	o.argv = dir;
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_CANNOT_EXEC);
	o.argv = NULL;
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_INVALID);
	o.text = "true";
	o.user = "nobody-of-that-name";
	ok(hutch_job_start(box, &o, NULL, &w.e) < 0);
	o.user = NULL;
	o.id = "a b";
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_INVALID);
	o.id = "";
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_INVALID);
	o.id = "x234567890123456789012345678901x";
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_INVALID);
	is_int(hutch_job_check(box, o.id, 0, NULL, NULL, &w.e), HUTCH_E_NOT_FOUND);
	o.id = NULL;
	o.flags = HUTCH_JOB_MAIN;
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_STATE);
	o.flags = 0;
	o.keep = 1ull << 40;
	is_int(hutch_job_start(box, &o, NULL, &w.e), HUTCH_E_LIMIT);
	is_int(hutch_job_start(NULL, &o, NULL, &w.e), HUTCH_E_INVALID);
	is_int(hutch_job_signal(box, "x", 65, &w.e), HUTCH_E_INVALID);
	is_int(hutch_job_list(box, &list, &n, &w.e), 0);
	is_int(n, 0);
	free(list);
	hutch_box_delete(box, NULL);
}

static void a_name_may_be_given_and_is_unique(void)
{
	struct hutch_job_options o = {.size = sizeof(o), .text = "sleep 100", .id = "web-1.x_Y"};
	char id[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	is_int(hutch_job_start(box, &o, id, &w.e), 0);
	is_str(id, o.id);
	is_int(hutch_job_start(box, &o, id, &w.e), HUTCH_E_EXISTS);
	is_int(hutch_job_stop(box, o.id, NULL, NULL, NULL, &w.e), 0);
	is_int(hutch_job_start(box, &o, id, &w.e), 0);
	hutch_box_delete(box, NULL);
}

/* How many processes inside have @what in their command line. */
static int count(struct world *w, struct hutch_box *box, const char *what)
{
	char script[200], *out;
	int n;

	snprintf(script, sizeof(script), "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '%.60s' | wc -l",
		 what);
	(void)world_sh(w, box, script, &out);
	n = atoi(out ? out : "-1");
	free(out);
	return n;
}

static void a_stop_ends_the_whole_tree(void)
{
	/* Its leader ends at the signal, or does not; its children never do. */
	static const char *const scripts[] = {
		"trap '' TERM; (setsid sh -c \"trap '' TERM; (sleep 3''11 & sleep 3''11) & sleep 3''11\" &) ; sleep 3''11",
		"(setsid sh -c \"trap '' TERM; (sleep 3''11 & sleep 3''11) & sleep 3''11\" &) ; exec sleep 3''11",
	};
	struct hutch_job_stop_options o = {.size = sizeof(o), .grace_ms = 300};
	struct hutch_job j = {.size = sizeof(j)};
	char id[HUTCH_JOB_ID_SIZE], other[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	(void)world_sh(&w, box, "(setsid sleep 322 &) >/dev/null 2>&1", NULL); /* an orphan of another */
	if (!begin(&w, box, "sleep 333", NULL, 0, other))
		return;
	for (int i = 0; i < 4; i++) {
		if (!begin(&w, box, scripts[i % 2], NULL, 0, id))
			break;
		for (int k = 0; k < 200 && count(&w, box, "sleep 31[1]") < 4; k++)
			usleep(10000);
		is_int(count(&w, box, "sleep 31[1]"), 4);
		o.signal = i == 3 ? SIGKILL : 0;
		is_int(hutch_job_stop(box, id, &o, &j, NULL, &w.e), 0);
		ok(j.result.end == HUTCH_END_SIGNAL && j.result.signal == (i == 1 ? SIGTERM : SIGKILL), "%d: %d", i,
		   j.result.signal);
		is_int(count(&w, box, "sleep 31[1]"), 0);
		is_int(count(&w, box, "sleep 32[2]"), 1);
		is_int(count(&w, box, "sleep 33[3]"), 1);
	}
	hutch_box_delete(box, NULL);
}

static void a_timeout_ends_the_tree(void)
{
	struct hutch_job_options o = {.size = sizeof(o), .text = "(setsid sleep 344 &); echo x; sleep 344",
				      .timeout_ms = 300};
	char id[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	struct hutch_job j;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (!ok(hutch_job_start(box, &o, id, &w.e) == 0, "%s", w.e.message))
		return;
	j = finish(&w, box, id);
	ok(j.result.end == HUTCH_END_TIMEOUT && j.result.exit_code == 124, "%d", j.result.end);
	for (int i = 0; i < 100 && count(&w, box, "sleep 34[4]"); i++)
		usleep(10000);
	is_int(count(&w, box, "sleep 34[4]"), 0);
	is_str(look(&w, box, id, 0).data, "x\n");
	hutch_box_delete(box, NULL);
}

static void many_at_once(void)
{
	char ids[64][HUTCH_JOB_ID_SIZE];
	struct hutch_job *list = NULL;
	struct hutch_box *box;
	size_t n = 0, more = 0;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 64; i++) {
		char script[100];

		snprintf(script, sizeof(script), "echo %d; sleep 0.2; seq 10000; exit %d", i, i);
		if (!begin(&w, box, script, NULL, 0, ids[i]))
			return;
	}
	is_int(hutch_job_list(box, &list, &n, &w.e), 0);
	is_int(n, 64);
	for (size_t i = 0; i < n; i++)
		is_str(list[i].id, ids[i]);
	free(list);
	for (int i = 0; i < 64; i++) {
		struct hutch_job j = finish(&w, box, ids[i]);

		ok(j.result.exit_code == i && j.written == 48894u + (i < 10 ? 2 : 3), "%d: %d, %llu", i,
		   j.result.exit_code, (unsigned long long)j.written);
	}
	for (; more < 300 && w.e.code != HUTCH_E_LIMIT; more++) {
		struct hutch_job_options o = {.size = sizeof(o), .text = ":", .keep = 1};

		(void)hutch_job_start(box, &o, NULL, &w.e);
	}
	is_int(more, 256 - 64 + 1);
	is_int(hutch_job_stop(box, ids[0], NULL, NULL, NULL, &w.e), 0);
	begin(&w, box, ":", NULL, 1, ids[0]);
	hutch_box_delete(box, NULL);
}

static void a_reset_forgets_all(void)
{
	struct hutch_job j = {.size = sizeof(j)}, *list = NULL;
	char id[HUTCH_JOB_ID_SIZE], ended[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box;
	auto_world w;
	size_t n = 9;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	if (!begin(&w, box, "echo x; sleep 100", NULL, 0, id) || !begin(&w, box, "echo y", NULL, 0, ended))
		return;
	is_int(hutch_job_wait(box, id, UINT64_MAX, 0, -1, &j, NULL, &w.e), 0);
	is_int(hutch_box_reset(box, &w.e), 0);
	is_int(hutch_job_wait(box, id, UINT64_MAX, 10000, -1, &j, NULL, &w.e), 1); /* asked before */
	ok(!j.running && j.result.signal == SIGKILL);
	is_int(hutch_job_check(box, id, 0, &j, NULL, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_job_check(box, ended, 0, &j, NULL, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_job_list(box, &list, &n, &w.e), 0);
	is_int(n, 0);
	free(list);
	begin(&w, box, "true", id, 0, id);
	is_int(finish(&w, box, id).result.exit_code, 0);
	hutch_box_delete(box, NULL);
}

static void other_handles_know_it(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_box *box = NULL, *other = NULL;
	char id[HUTCH_JOB_ID_SIZE], name[256];
	struct hutch_job j = {.size = sizeof(j)};
	auto_world w;

	if (!world_open(&w))
		return;
	if (!ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	snprintf(name, sizeof(name), "%s", hutch_box_name(box));
	begin(&w, box, "echo x; sleep 0.3; echo y; kill -9 $$", NULL, 0, id);
	is_int(hutch_job_wait(box, id, UINT64_MAX, 0, -1, &j, NULL, &w.e), 0); /* and goes without an answer */
	hutch_box_close(box);
	if (!ok(hutch_box_attach(w.hutch, name, &other, &w.e) == 0, "%s", w.e.message))
		return;
	j = finish(&w, other, id);
	is_int(j.result.signal, 9);
	is_str(look(&w, other, id, 0).data, "x\ny\n");
	hutch_box_delete(other, NULL);
}

static void who_follows_main_hears_its_last_words(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_job_options job = {.size = sizeof(job), .flags = HUTCH_JOB_MAIN, .text = "echo x; sleep 0.2; echo y"};
	struct hutch_job_output out = {.size = sizeof(out)};
	struct hutch_job j = {.size = sizeof(j)};
	char id[HUTCH_JOB_ID_SIZE];
	struct hutch_box *box = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	if (!ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	is_int(hutch_job_start(box, &job, id, &w.e), 0);
	is_int(hutch_job_wait(box, id, 0, 10000, -1, &j, &out, &w.e), 1);
	is_str(out.data, "x\n");
	usleep(500000); /* it has ended meanwhile */
	is_int(hutch_job_wait(box, id, out.next, 10000, -1, &j, &out, &w.e), 1);
	is_str(out.data, "y\n");
	is_int(j.running, 0);
	is_int(hutch_job_wait(box, id, UINT64_MAX, 10000, -1, &j, NULL, &w.e), HUTCH_E_DIED);
	hutch_box_delete(box, NULL);
}

static void of_a_stopped_sandbox_they_are_known(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_job_options job = {.size = sizeof(job), .text = "printf 'a\\0b'; exit 3", .id = "one"};
	struct hutch_job_options runs = {.size = sizeof(runs), .text = "exec sleep 356", .id = "two"};
	struct hutch_job j = {.size = sizeof(j)}, *v = NULL;
	struct hutch_box *box = NULL;
	auto_world w;
	char *text, path[300];
	size_t n;

	if (!world_open(&w))
		return;
	is_int(hutch_spec_set(w.spec, "name", "kept", &w.e), 0);
	if (!ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	is_int(hutch_job_start(box, &job, NULL, &w.e), 0);
	is_int(hutch_job_wait(box, "one", UINT64_MAX, 10000, -1, NULL, NULL, &w.e), 1);
	is_int(hutch_job_start(box, &runs, NULL, &w.e), 0);
	is_int(hutch_stopped_job_list(w.hutch, "kept", &v, &n, &w.e), 0);
	is_int(n, 0); /* it runs */
	free(v);
	is_int(hutch_box_stop(box, 0, &w.e), 0);
	hutch_box_close(box);
	is_int(hutch_stopped_job_list(w.hutch, "kept", &v, &n, &w.e), 0);
	if (!is_int(n, 2))
		return;
	is_str(v[0].id, "one");
	ok(!v[1].running && !strcmp(v[1].id, "two") && v[1].result.signal == 9 && v[1].ended_ms >= v[1].started_ms);
	free(v);
	is_int(hutch_stopped_job(w.hutch, "kept", "one", &j, &text, &w.e), 0);
	ok(j.kept == 3 && !memcmp(text, "a\0b", 4) && j.result.exit_code == 3);
	free(text);
	is_int(hutch_stopped_job(w.hutch, "kept", "two", NULL, NULL, &w.e), 0);
	is_int(hutch_stopped_job(w.hutch, "kept", "three", NULL, NULL, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_stopped_job(w.hutch, "nobody", "one", NULL, NULL, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_stopped_job(w.hutch, "../kept", "one", NULL, NULL, &w.e), HUTCH_E_INVALID);
	snprintf(path, sizeof(path), "%s/data/boxes/kept/jobs", w.s.path);
	for (off_t cut = 500; cut >= 0; cut -= 499) { /* a damaged file */
		ok(truncate(path, cut) == 0, "%s", path);
		ok(hutch_stopped_job(w.hutch, "kept", "two", NULL, NULL, &w.e) == HUTCH_E_INTERNAL && strstr(w.e.message, "jobs"));
	}
	is_int(hutch_remove(w.hutch, "kept", &w.e), 0);
	is_int(hutch_spec_clear(w.spec, "name", &w.e), 0);
}

/* HUTCH_JOB_MAIN: its end is that of the sandbox, and is told before. */
static void the_end_of_main_is_that_of_the_sandbox(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_job_options job = {.size = sizeof(job), .flags = HUTCH_JOB_MAIN, .id = "main",
					.text = "(sleep 355 &); echo x; sleep 0.3; echo y; exit 4"};
	struct hutch_job j = {.size = sizeof(j)};
	struct hutch_box *box = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	if (!ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
		return;
	is_int(hutch_job_start(box, &job, NULL, &w.e), 0);
	is_int(hutch_job_wait(box, "main", 0, 10000, -1, &j, NULL, &w.e), 1);
	j = finish(&w, box, "main");
	ok(j.result.exit_code == 4 && j.written == 4 && j.main == 1);
	is_int(hutch_job_wait(box, "main", UINT64_MAX, 10000, -1, &j, NULL, &w.e), HUTCH_E_DIED);
	is_int(hutch_job_start(box, &job, NULL, &w.e), HUTCH_E_DIED);
	hutch_box_delete(box, NULL);
}

/* HUTCH_START_FOR_JOB: closed before it has a job it ends, and lives on when it has one. */
static void one_for_a_job_ends_with_its_maker_until_it_has_it(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED | HUTCH_START_FOR_JOB};
	struct hutch_job_options job = {.size = sizeof(job), .text = "sleep 356", .id = "main"};
	struct hutch_box *box = NULL;
	struct hutch_job j = {.size = sizeof(j)};
	auto_world w;

	if (!world_open(&w))
		return;
	for (int with = 0; with < 2; with++) {
		char name[64];
		int r = 0;

		if (!ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message))
			return;
		snprintf(name, sizeof(name), "%s", hutch_box_name(box));
		if (with)
			is_int(hutch_job_start(box, &job, NULL, &w.e), 0);
		hutch_box_close(box);
		for (int i = 0; i < 200 && r == 0; i++) {
			usleep(5000);
			r = hutch_box_attach(w.hutch, name, &box, &w.e);
			if (r == 0 && with)
				break;
			if (r == 0)
				hutch_box_close(box);
		}
		if (!with) {
			ok(r < 0, "it is not there any more");
			is_int(hutch_remove(w.hutch, name, &w.e), 0);
			continue;
		}
		is_int(hutch_job_check(box, "main", 0, &j, NULL, &w.e), 0);
		ok(j.running == 1 && j.main == 0);
		is_int(hutch_box_delete(box, &w.e), 0);
	}
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(one_for_a_job_ends_with_its_maker_until_it_has_it),
		TAP_TEST(a_job_is_started_watched_and_forgotten),
		TAP_TEST(the_last_part_of_the_output_is_kept),
		TAP_TEST(a_long_output_comes_in_parts),
		TAP_TEST(nobody_reads_and_nobody_waits),
		TAP_TEST(waits_wake),
		TAP_TEST(what_cannot_be_executed_is_no_job),
		TAP_TEST(a_name_may_be_given_and_is_unique),
		TAP_TEST(a_stop_ends_the_whole_tree),
		TAP_TEST(a_timeout_ends_the_tree),
		TAP_TEST(many_at_once),
		TAP_TEST(a_reset_forgets_all),
		TAP_TEST(other_handles_know_it),
		TAP_TEST(who_follows_main_hears_its_last_words),
		TAP_TEST(of_a_stopped_sandbox_they_are_known),
		TAP_TEST(the_end_of_main_is_that_of_the_sandbox),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
