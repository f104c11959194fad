/* SPDX-License-Identifier: Apache-2.0
 *
 * ids_test.c - which ids a sandbox gets, of whom
 */
#include "ns/ids.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/scratch.h"
#include "sys/proc.h"
#include "tap.h"

struct list {
	struct plan_extent x[PLAN_EXTENTS_MAX];
	uint32_t n;
};

/* What a user gets who has himself as uid 0 already. */
static struct list parse(const char *text, size_t len, const char *name, uint32_t id)
{
	struct list l = {.x = {{0, id, 1}}, .n = 1};
	char *exact = malloc(len ? len : 1); /* the address sanitizer sees one byte too far */

	if (!exact)
		exit(1);
	memcpy(exact, text, len);
	ns_ids_parse(exact, len, name, id, l.x, &l.n);
	free(exact);
	return l;
}

static struct list parse_text(const char *text)
{
	return parse(text, strlen(text), "alice", 1000);
}

static bool is_extent(const struct list *l, uint32_t i, uint32_t inside, uint32_t outside,
		      uint32_t count)
{
	return i < l->n && l->x[i].inside == inside && l->x[i].outside == outside &&
	       l->x[i].count == count;
}

static uint64_t total(const struct list *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->n; i++)
		sum += l->x[i].count;
	return sum;
}

static void a_range_follows_on_what_is_there(void)
{
	struct list l = parse_text("bob:1:5\nalice:100000:65535\n");

	is_int(l.n, 2);
	ok(is_extent(&l, 0, 0, 1000, 1));
	ok(is_extent(&l, 1, 1, 100000, 65535));
}

static void ranges_by_name_and_by_number_are_put_together(void)
{
	struct list l = parse_text("alice:100000:10\n1000:200000:20\nalice:300000:30");

	is_int(l.n, 4);
	ok(is_extent(&l, 1, 1, 100000, 10));
	ok(is_extent(&l, 2, 11, 200000, 20));
	ok(is_extent(&l, 3, 31, 300000, 30), "also without an end of line");
}

static void a_sandbox_has_65536_ids_at_most(void)
{
	struct list l = parse_text("alice:100000:4000000\n");

	is_int(total(&l), 65536);
	ok(is_extent(&l, 1, 1, 100000, 65535));
	l = parse_text("alice:100000:60000\nalice:200000:60000\nalice:300000:5\n");
	is_int(l.n, 3);
	is_int(total(&l), 65536);
}

static void others_are_not_taken_for_him(void)
{
	static const char text[] = "ali:1:9\nalice2:1:9\nAlice:1:9\n10000:1:9\n:1:9\n#alice:1:9\n";
	struct list l = parse_text(text);

	is_int(l.n, 1);
	l = parse("alice:5:9\n", 10, "", 1000); /* somebody passwd does not know */
	is_int(l.n, 1);
	l = parse(":5:9\n1000:6:9\n", 14, "", 1000);
	is_int(l.n, 2);
	ok(is_extent(&l, 1, 1, 6, 9));
}

static void lines_that_are_none_are_passed_over(void)
{
	struct list l = parse_text("\n\nalice\nalice:\nalice:1\nalice:x:5\nalice:5:x\nalice:5:0\n"
				   "alice::5\n# comment\nalice:100000:7\n");

	is_int(l.n, 2);
	ok(is_extent(&l, 1, 1, 100000, 7));
}

/* newuidmap refuses a map that has one of these, and then nothing would start. */
static void ranges_that_cannot_be_are_passed_over(void)
{
	static const char *const lines[] = {"alice:4294967290:65536\n", "alice:4294967296:5\n",
					    "alice:100000:-1\n", "alice:-5:5\n",
					    "alice:99999999999999999999999:5\n"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct list l = parse_text(lines[i]);

		ok(l.n == 1, "%zu extents of %s", (size_t)l.n, lines[i]);
	}
}

static void more_ranges_than_fit_are_left_out(void)
{
	char text[4096] = "";
	struct list l;

	for (int i = 0; i < 40; i++)
		sprintf(text + strlen(text), "alice:%d:2\n", 100000 + 10 * i);
	l = parse_text(text);
	is_int(l.n, PLAN_EXTENTS_MAX);
	is_int(total(&l), 1 + 2 * (PLAN_EXTENTS_MAX - 1));
}

static void a_file_of_any_bytes_is_read_within_its_bounds(void)
{
	char text[700];
	struct list l;

	memset(text, 'a', sizeof(text));
	l = parse(text, sizeof(text), "alice", 1000);
	is_int(l.n, 1);
	memset(text, ':', sizeof(text));
	l = parse(text, sizeof(text), "alice", 1000);
	is_int(l.n, 1);
	memset(text, 0, sizeof(text));
	l = parse(text, sizeof(text), "alice", 1000);
	is_int(l.n, 1);
	memset(text, '0', 600);
	memcpy(text, "alice:", 6);
	memcpy(text + 600, "\nalice:7:7\n", 11);
	l = parse(text, 611, "alice", 1000);
	is_int(l.n, 2);
	ok(is_extent(&l, 1, 1, 7, 7), "the line after one that is too long");
	l = parse("", 0, "alice", 1000);
	is_int(l.n, 1);
}

/* ---- ranges of a root caller ----------------------------------------------------------------- */

static void the_window_is_as_asked_or_refused(void)
{
	static const char bad[][16] = {"x", "1", "1:", ":5", "0:5", "5:0", "1:1:1", "1:1x",
					  "4294967296:1", "4294900000:2", "1:70000", "-1:5"};
	struct ns_window w;
	struct err e = {0};

	unsetenv("HUTCH_IDS");
	is_int(ns_window_find(&w, &e), 0);
	is_int(w.first, 0x70000000);
	ok((uint64_t)w.first + (uint64_t)w.ranges * 65536 <= 0x80000000u);
	setenv("HUTCH_IDS", "1000000:3", 1);
	is_int(ns_window_find(&w, &e), 0);
	is_int(w.first, 1000000);
	is_int(w.ranges, 3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		setenv("HUTCH_IDS", bad[i], 1);
		ok(ns_window_find(&w, &e) == ERR_INVALID, "'%s'", bad[i]);
		ok(strstr(e.msg, bad[i]), "%s", e.msg);
	}
	unsetenv("HUTCH_IDS");
}

static void each_sandbox_has_a_range_until_its_lock_closes(void)
{
	struct ns_window w = {1000000, 3};
	uint32_t hint = 2, first[3] = {0}, again = 0;
	int lock[3] = {-1, -1, -1}, more = -1;
	struct err e = {0};
	struct scratch s;

	if (!ok(scratch_open(&s)))
		return;
	for (int i = 0; i < 3; i++) {
		is_int(ns_range_take(s.fd, &w, &hint, &first[i], &lock[i], &e), 0);
		ok((first[i] - 1000000) % 65536 == 0 && first[i] < 1000000 + 3 * 65536, "%u",
		   first[i]);
		is_int(fcntl(lock[i], F_GETFD), FD_CLOEXEC);
	}
	ok(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
	is_int(ns_range_take(s.fd, &w, &hint, &again, &more, &e), ERR_LIMIT);
	ok(strstr(e.msg, "all 3 ranges"), "%s", e.msg);
	is_int(more, -1);
	close(lock[1]);
	is_int(ns_range_take(s.fd, &w, &hint, &again, &more, &e), 0);
	is_int(again, first[1]);
	close(lock[0]);
	close(lock[2]);
	close(more);
	scratch_close(&s);
}

static void a_range_is_not_taken_through_a_link(void)
{
	struct ns_window w = {1000000, 3};
	uint32_t hint = 0, first;
	struct err e = {0};
	struct scratch s;
	int lock = -1;

	if (!ok(scratch_open(&s)))
		return;
	scratch_file(&s, "elsewhere", 0600, "");
	scratch_link(&s, "elsewhere", "ranges");
	ok(ns_range_take(s.fd, &w, &hint, &first, &lock, &e) < 0);
	is_int(e.sys, ELOOP);
	is_int(lock, -1);
	scratch_close(&s);
}

/* ---- maps ------------------------------------------------------------------------------------ */

static void each_caller_has_his_map(void)
{
	struct ns_ids ids = {.persona = NS_ROOT, .uid = 0};
	struct prepare p = {0};
	struct hello h;

	ns_ids_prepare(&ids, false, 0x70010000, &p);
	ok(p.ids == PLAN_IDS_MAP && p.nuid == 1 && p.uid[0].outside == 0x70010000 &&
	   p.uid[0].count == 65536 && p.gid[0].outside == 0x70010000);
	ns_ids_prepare(&ids, true, 0, &p);
	ok(p.uid[0].outside == 0 && p.gid[0].outside == 0, "--ids host");
	ns_ids_hello(&ids, &h);
	is_int(h.ids, PLAN_IDS_SELF);

	ids = (struct ns_ids){.persona = NS_ONE_ID, .uid = 1000, .gid = 100};
	p = (struct prepare){0};
	ns_ids_prepare(&ids, false, 0, &p);
	ok(p.ids == PLAN_IDS_SELF && p.uid[0].outside == 1000 && p.gid[0].outside == 100 &&
	   p.uid[0].count == 1);
}

static void below_a_mapped_namespace_ids_are_one_to_one(void)
{
	struct ns_ids ids = {.persona = NS_SUBIDS, .uid = 1000, .nuid = 2, .ngid = 2,
			     .uids = {{0, 1000, 1}, {1, 100000, 65535}},
			     .gids = {{0, 100, 1}, {1, 200000, 65535}}};
	struct prepare p = {0};
	struct hello h;

	ns_ids_hello(&ids, &h);
	ok(h.ids == PLAN_IDS_SUB && h.uids == 2 && h.uid[1].outside == 100000 &&
	   h.gid[1].outside == 200000);
	ns_ids_prepare(&ids, false, 0, &p);
	ok(p.ids == PLAN_IDS_SUB && p.nuid == 2 && p.uid[1].inside == 1 && p.uid[1].outside == 1 &&
	   p.uid[1].count == 65535 && p.gid[0].outside == 0);
	ids.persona = NS_NESTED;
	ns_ids_prepare(&ids, false, 0, &p);
	is_int(p.ids, PLAN_IDS_MAP);
}

/* The sysctl that draft @d got under @key. */
static const char *sysctl_of(const struct pack *p, const struct plan *pl, const char *key)
{
	const struct plan_pair *s = pack_at(p, pl->sysctls.at, pl->sysctls.count * sizeof(*s));

	for (uint32_t i = 0; s && i < pl->sysctls.count; i++)
		if (!strcmp(pack_get_str(p, s[i].key), key))
			return pack_get_str(p, s[i].value);
	return NULL;
}

static void those_may_ping_who_are_mapped(void)
{
	static const struct {
		uint32_t n;
		struct plan_extent x[3];
		const char *want;
	} t[] = {
		{1, {{0, 5, 1}}, "0 0"},
		{1, {{0, 5, 65536}}, "0 65535"},
		{2, {{0, 5, 1}, {1, 9, 65535}}, "0 65535"},
		{2, {{0, 5, 1}, {10, 9, 5}}, "0 0"}, /* a hole: only what lies before it */
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		auto_with(draft_done) struct draft d;
		struct prepare p = {.ngid = t[i].n};
		const struct plan *pl;
		struct err e = {0};
		struct pack pack;

		memcpy(p.gid, t[i].x, sizeof(t[i].x));
		draft_init(&d);
		d.plan.name = d.plan.hostname = d.plan.working_dir = draft_str(&d, "/");
		ns_ids_plan(&d, &p);
		is_int(draft_finish(&d, &e), 0);
		pack = (struct pack){d.blob.data, d.blob.len};
		pl = plan_open(&pack, &e);
		if (!ok(pl, "%s", e.msg))
			return;
		is_str(sysctl_of(&pack, pl, "net/ipv4/ping_group_range"), t[i].want);
		is_str(sysctl_of(&pack, pl, "net/ipv4/ip_unprivileged_port_start"), "0");
	}
}

static void the_present_process_is_somebody(void)
{
	auto_fd int self = sys_pidfd_open(getpid());
	struct ns_ids ids, by_proc;
	struct err e = {0};

	memset(&ids, 0, sizeof(ids));
	memset(&by_proc, 0, sizeof(by_proc));
	if (!ok(ns_ids_find(&ids, self, &e) == 0 && ns_ids_find(&by_proc, -1, &e) == 0, "%s", e.msg))
		return;
	is_int(ids.persona, by_proc.persona);
	is_int(ids.nuid, by_proc.nuid);
	is_int(memcmp(ids.uids, by_proc.uids, ids.nuid * sizeof(*ids.uids)), 0);
	is_int(ids.uid, geteuid());
	ok(ids.persona == NS_ROOT || (ids.nuid >= 1 && ids.ngid >= 1));
	ok(ids.persona != NS_ONE_ID || (ids.nuid == 1 && ids.uids[0].outside == geteuid()));
	ok(ids.persona != NS_SUBIDS || (ids.nuid > 1 && ids.uids[0].outside == geteuid()));
	ok(geteuid() == 0 || (ids.persona != NS_ROOT && ids.persona != NS_NESTED));
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_range_follows_on_what_is_there),
		TAP_TEST(ranges_by_name_and_by_number_are_put_together),
		TAP_TEST(a_sandbox_has_65536_ids_at_most),
		TAP_TEST(others_are_not_taken_for_him),
		TAP_TEST(lines_that_are_none_are_passed_over),
		TAP_TEST(ranges_that_cannot_be_are_passed_over),
		TAP_TEST(more_ranges_than_fit_are_left_out),
		TAP_TEST(a_file_of_any_bytes_is_read_within_its_bounds),
		TAP_TEST(the_window_is_as_asked_or_refused),
		TAP_TEST(each_sandbox_has_a_range_until_its_lock_closes),
		TAP_TEST(a_range_is_not_taken_through_a_link),
		TAP_TEST(each_caller_has_his_map),
		TAP_TEST(below_a_mapped_namespace_ids_are_one_to_one),
		TAP_TEST(those_may_ping_who_are_mapped),
		TAP_TEST(the_present_process_is_somebody),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
