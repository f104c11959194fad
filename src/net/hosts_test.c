/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts_test.c - /etc/hosts and /etc/resolv.conf of a sandbox
 */
#include "net/hosts.h"

#include "base/own.h"
#include "tap.h"

enum { ROOM = 65536 };

static char *words(const char *a) /* what spec lists own */
{
	char *copy = strdup(a);

	if (!copy)
		exit(1);
	return copy;
}

static void names_asked_for_stand_beside_loopback_and_the_own(void)
{
	auto_buf struct buf b = BUF_INIT(ROOM);
	auto_free char *one = words("db:10.0.0.5"), *two = words("six:fd00::1");
	struct spec s = {.add_host = {.v = (char *[]){one, two}, .n = 2}};

	net_hosts(&b, &s, "box");
	ok(!buf_bad(&b));
	ok(!strncmp(b.data, "127.0.0.1\tlocalhost\n", 20), "%s", b.data);
	ok(strstr(b.data, "\n::1\tlocalhost "), "%s", b.data);
	ok(strstr(b.data, "\n10.0.0.5\tdb\n"), "%s", b.data);
	ok(strstr(b.data, "\nfd00::1\tsix\n"), "only the first colon parts them: %s", b.data);
	ok(strstr(b.data, "\n127.0.0.1\tbox\n"), "%s", b.data);
	is_str(b.data + b.len - 1, "\n");
}

static void a_sandbox_called_localhost_stands_there_once(void)
{
	auto_buf struct buf b = BUF_INIT(ROOM);
	struct spec s = {0};

	net_hosts(&b, &s, "localhost");
	ok(strstr(b.data, "127.0.0.1\tlocalhost\n") == b.data);
	ok(!strstr(b.data + 1, "127.0.0.1\tlocalhost\n"), "%s", b.data);
}

static void name_servers_asked_for_replace_the_hosts(void)
{
	auto_buf struct buf b = BUF_INIT(ROOM);
	auto_free char *one = words("1.1.1.1"), *two = words("::1");
	struct spec s = {.dns = {.v = (char *[]){one, two}, .n = 2}};

	net_resolv(&b, &s, "nameserver 9.9.9.9\n", 19);
	is_str(b.data, "nameserver 1.1.1.1\nnameserver ::1\n");
}

static void without_them_the_hosts_text_is_taken(void)
{
	auto_buf struct buf b = BUF_INIT(ROOM), none = BUF_INIT(ROOM);
	struct spec s = {0};

	net_resolv(&b, &s, "nameserver 9.9.9.9\nsearch x\ngarbage", 19);
	is_str(b.data, "nameserver 9.9.9.9\n");
	net_resolv(&none, &s, "", 0);
	ok(!buf_bad(&none));
	is_int(none.len, 0);
}

/* A plan, with the network's part in it. */
static void plan(struct draft *d, struct spec *s, struct pack *p, const struct plan **pl)
{
	struct err e = {0};

	draft_init(d);
	ok(net_plan(d, s, "box", &e) == 0, "%s", e.msg);
	d->plan.name = d->plan.hostname = d->plan.working_dir = draft_str(d, "/");
	is_int(draft_finish(d, &e), 0);
	*p = (struct pack){d->blob.data, d->blob.len};
	*pl = plan_open(p, &e);
	ok(*pl, "%s", e.msg);
}

static void no_network_means_a_namespace_and_an_empty_resolv_conf(void)
{
	auto_with(draft_done) struct draft d;
	struct spec s = {.network = SPEC_NET_NONE};
	const struct plan *pl;
	struct pack p;

	plan(&d, &s, &p, &pl);
	ok(pl->flags & PLAN_NET);
	ok(!(pl->flags & PLAN_SCOPE_ABSTRACT), "its abstract sockets are its own");
	is_str(pack_get_str(&p, pl->resolv_conf), "");
	ok(strstr(pack_get_str(&p, pl->hosts), "127.0.0.1\tbox\n"));
}

static void the_hosts_network_comes_with_its_sockets_out_of_reach(void)
{
	auto_with(draft_done) struct draft d, allowed;
	struct spec s = {.network = SPEC_NET_HOST};
	const struct plan *pl;
	struct pack p;

	plan(&d, &s, &p, &pl);
	ok(!(pl->flags & PLAN_NET));
	ok(pl->flags & PLAN_SCOPE_ABSTRACT);
	s.allow_abstract_sockets = true;
	plan(&allowed, &s, &p, &pl);
	ok(!(pl->flags & (PLAN_NET | PLAN_SCOPE_ABSTRACT)));
}

/* /etc/hosts has a ceiling of 1 MiB; memory there is. */
static void too_many_names_are_told_as_such(void)
{
	auto_with(draft_done) struct draft d;
	static char *many[60000];
	struct spec s = {.add_host = {.v = many, .n = 60000}};
	struct err e = {0};

	for (size_t i = 0; i < 60000; i++)
		many[i] = (char *)(uintptr_t)"a.long.name.of.a.host:10.20.30.40";
	draft_init(&d);
	is_int(net_plan(&d, &s, "box", &e), ERR_LIMIT);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(names_asked_for_stand_beside_loopback_and_the_own),
		TAP_TEST(a_sandbox_called_localhost_stands_there_once),
		TAP_TEST(name_servers_asked_for_replace_the_hosts),
		TAP_TEST(without_them_the_hosts_text_is_taken),
		TAP_TEST(no_network_means_a_namespace_and_an_empty_resolv_conf),
		TAP_TEST(the_hosts_network_comes_with_its_sockets_out_of_reach),
		TAP_TEST(too_many_names_are_told_as_such),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
