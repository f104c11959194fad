/* SPDX-License-Identifier: Apache-2.0
 *
 * who_test.c - users and groups of an image, whose files may be anything
 *
 * The file under test is included: its parts take an open root and texts in memory.
 */
#include "inside/who.c"

#include "base/scratch.h"
#include "tap.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "daemon:x:1:1::/:/bin/false\n"
			     "user:x:1000:1000:A User,,,:/home/user:/bin/sh\n"
			     "homeless:x:1001:7::\n"
			     "twin:x:1000:2000::/twin:/bin/sh\n";
static const char group[] = "root:x:0:\nuser:x:1000:\nwheel:x:10:root,user\n"
			    "extra:x:2000:other,user,more\nusers:x:100:user2,use,xuser\n";

/* find() as the helper calls it, in a root with these files. */
static int look_up(const char *pw, const char *gr, const char *user, const char *const *groups,
		   uint32_t ngroups, struct who *w)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);
	struct call c = {0};
	struct scratch s;
	struct pack p;
	int r;

	if (!scratch_open(&s))
		exit(1);
	if (pw)
		scratch_file(&s, "etc/passwd", 0644, pw);
	if (gr)
		scratch_file(&s, "etc/group", 0644, gr);
	buf_add(&b, &c, sizeof(c));
	c.user = pack_str(&b, user);
	c.groups = pack_strs(&b, (char *const *)(uintptr_t)groups, ngroups);
	p = (struct pack){b.data, b.len};
	memset(w, 0, sizeof(*w));
	strcpy(w->home, "/"); /* as helper_main() has it */
	r = find(&p, &c, s.fd, w);
	scratch_close(&s);
	return r;
}

static int look(const char *user, struct who *w)
{
	return look_up(passwd, group, user, NULL, 0, w);
}

static bool has_groups(const struct who *w, uint32_t n, const uint32_t *want)
{
	return w->ngroups == n && !memcmp(w->groups, want, n * sizeof(*want));
}

/* ---- Docker's rules -------------------------------------------------------------------------- */

static void a_user_by_name_has_his_ids_groups_and_home(void)
{
	struct who w;

	is_int(look("user", &w), 0);
	is_int(w.uid, 1000);
	is_int(w.gid, 1000);
	is_str(w.home, "/home/user");
	ok(has_groups(&w, 2, (uint32_t[]){10, 2000}), "%u groups", w.ngroups);
}

static void a_user_by_number_is_the_first_who_has_it(void)
{
	struct who w;

	is_int(look("1000", &w), 0);
	is_int(w.gid, 1000);
	is_str(w.home, "/home/user");
	ok(has_groups(&w, 2, (uint32_t[]){10, 2000}));
}

static void a_number_that_nobody_has_is_taken_as_it_is(void)
{
	struct who w;

	is_int(look("4242", &w), 0);
	is_int(w.uid, 4242);
	is_int(w.gid, 0);
	is_int(w.ngroups, 0);
	is_str(w.home, "/");
	is_int(look_up(NULL, NULL, "7:8", NULL, 0, &w), 0);
	ok(w.uid == 7 && w.gid == 8);
}

static void a_name_that_nobody_has_is_an_error(void)
{
	struct who w;

	is_int(look("nobody", &w), ERR_NOT_FOUND);
	ok(strstr(w.e.msg, "user 'nobody'"), "%s", w.e.msg);
	is_int(look("use", &w), ERR_NOT_FOUND);
	is_int(look("user2", &w), ERR_NOT_FOUND);
	is_int(look_up(NULL, NULL, "root", NULL, 0, &w), ERR_NOT_FOUND);
	is_int(look("user:nogroup", &w), ERR_NOT_FOUND);
	ok(strstr(w.e.msg, "group 'nogroup'"), "%s", w.e.msg);
}

static void a_group_asked_for_is_the_only_one(void)
{
	struct who w;

	is_int(look("user:wheel", &w), 0);
	ok(w.uid == 1000 && w.gid == 10 && !w.ngroups);
	is_int(look("user:77", &w), 0);
	ok(w.gid == 77 && !w.ngroups);
	is_int(look("4242:extra", &w), 0);
	ok(w.uid == 4242 && w.gid == 2000);
}

static void without_a_user_it_is_uid_0(void)
{
	struct who w;

	is_int(look("", &w), 0);
	ok(w.uid == 0 && w.gid == 0);
	is_str(w.home, "/root");
	is_int(look(":extra", &w), 0);
	ok(w.uid == 0 && w.gid == 2000);
}

static void a_user_without_a_home_has_the_root(void)
{
	struct who w;

	is_int(look("homeless", &w), 0);
	is_int(w.gid, 7);
	is_str(w.home, "/");
}

static void groups_asked_for_are_added_by_name_and_number(void)
{
	static const char *const more[] = {"wheel", "4000", "users", "4000"};
	struct who w;

	is_int(look_up(passwd, group, "user", more, 4, &w), 0);
	ok(has_groups(&w, 4, (uint32_t[]){10, 2000, 4000, 100}), "%u groups", w.ngroups);
	is_int(look_up(passwd, group, "1", (const char *const[]){"none"}, 1, &w), ERR_NOT_FOUND);
}

/* ---- files that are hostile ------------------------------------------------------------------ */

static void lines_that_are_none_are_passed_over(void)
{
	static const char bad[] =
		"\n:\n::::::\nuser\nuser:x\nuser:x:\nuser:x:a:b\nuser:x:-1:0::/:\n"
		"user:x:4294967295:0::/:\nuser:x:99999999999999999999:0::/:\n"
		"user:x:+5:5::/:\nuser:x: 5:5::/:\nuser:x:0x5:5::/:\n#user:x:6:6::/:\n"
		"user:x:5:5:a:/five:sh:more:and:more\n";
	struct who w;

	is_int(look_up(bad, NULL, "user", NULL, 0, &w), 0);
	is_int(w.uid, 5);
	is_int(w.gid, 5);
	is_str(w.home, "/five");
}

static void ids_that_mean_nothing_to_the_kernel_are_no_ids(void)
{
	static const char *const bad[] = {"4294967295", "4294967296", "-1", "+1", " 1", "1 ", "0x1",
					  "99999999999999999999999"};
	struct who w;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(look(bad[i], &w) == ERR_NOT_FOUND, "user '%s' is uid %u", bad[i], w.uid);
	is_int(look("user:4294967295", &w), ERR_NOT_FOUND);
	is_int(look("4294967294", &w), 0);
}

static void a_nul_ends_the_file(void)
{
	char text[] = "a:x:1:1::/a:\nb:x:2:2::/b:\n";
	struct who w = {0};
	char name[NAME_ROOM];

	text[13] = '\0'; /* in place of the b */
	is_int(find_user(text, "a", &w, name), 0);
	memcpy(text, "a:x:1:1::/a:\n", 13);
	is_int(find_user(text, "b", &w, name), ERR_NOT_FOUND);
}

static void what_is_no_regular_file_is_refused(void)
{
	static const char *const names[] = {"/dir", "/fifo", "/loop"};
	struct scratch s;
	char *text;

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "dir", 0755);
	ok(mkfifoat(s.fd, "fifo", 0644) == 0);
	scratch_link(&s, "/../../../../../../etc/passwd", "out");
	scratch_link(&s, "loop", "loop");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		ok(!slurp(s.fd, names[i]), "%s", names[i]); /* and nobody waits for the fifo's writer */
	text = slurp(s.fd, "/missing");
	is_str(text, "");
	free(text);
	text = slurp(s.fd, "/out"); /* it leads to nowhere: not to the host's */
	is_str(text, "");
	free(text);
	scratch_close(&s);
}

static void a_link_leads_to_a_file_of_the_image_only(void)
{
	struct scratch s;
	char *text;

	if (!ok(scratch_open(&s)))
		return;
	scratch_file(&s, "usr/lib/passwd", 0644, "inside");
	scratch_link(&s, "/usr/lib/passwd", "etc/passwd");
	text = slurp(s.fd, "/etc/passwd");
	is_str(text, "inside");
	free(text);
	scratch_close(&s);
}

static void a_file_over_a_mebibyte_is_refused_and_one_of_that_size_is_not(void)
{
	char *large = malloc((1 << 20) + 2);
	struct scratch s;
	char *text;

	if (!ok(large) || !ok(scratch_open(&s)))
		return;
	memset(large, '\n', (1 << 20) + 1);
	large[(1 << 20) + 1] = '\0';
	scratch_file(&s, "over", 0644, large);
	scratch_file(&s, "full", 0644, large + 1);
	ok(!slurp(s.fd, "/over"));
	text = slurp(s.fd, "/full");
	ok(text && strlen(text) == 1 << 20);
	free(text);
	free(large);
	scratch_close(&s);
}

/* ---- nothing is cut without a word ----------------------------------------------------------- */

/* @n times the letter @c and then @rest. Return: @to. */
static char *repeated(char *to, char c, size_t n, const char *rest)
{
	memset(to, c, n);
	strcpy(to + n, rest);
	return to;
}

static void a_name_of_any_length_is_compared_whole(void)
{
	char pw[4096], user[600];
	struct who w;

	repeated(pw, 'n', 255, ":x:5:5::/five:\n");
	is_int(look_up(pw, NULL, repeated(user, 'n', 255, ""), NULL, 0, &w), 0);
	is_int(w.uid, 5);
	repeated(user, 'n', 300, ""); /* another one, whose name begins like his */
	is_int(look_up(pw, NULL, user, NULL, 0, &w), ERR_NOT_FOUND);
}

static void a_group_after_a_long_name_is_not_cut(void)
{
	char pw[4096], user[600];
	struct who w;

	repeated(pw, 'n', 250, ":x:5:5::/five:\n");
	is_int(look_up(pw, NULL, repeated(user, 'n', 250, ":123456"), NULL, 0, &w), 0);
	is_int(w.gid, 123456);
}

static void a_home_that_does_not_fit_is_not_another_directory(void)
{
	char pw[4096] = "user:x:5:5::/";
	struct who w;
	int r;

	repeated(pw + strlen(pw), 'h', 300, ":\n");
	r = look_up(pw, NULL, "user", NULL, 0, &w);
	ok(r < 0 || !strcmp(w.home, "/") || strlen(w.home) == 301, "HOME is cut to %zu bytes",
	   strlen(w.home));
}

/* Linux lets a process have 65,536. What was asked for is given, or it is an error. */
static void a_group_asked_for_is_never_dropped(void)
{
	static const char *const more[] = {"9999"};
	char *gr = malloc(64 * 1024);
	bool there = false;
	struct who w;
	int r;

	if (!ok(gr))
		return;
	gr[0] = '\0';
	for (int i = 0; i < 80; i++)
		sprintf(gr + strlen(gr), "g%d:x:%d:user\n", i, 5000 + i);
	r = look_up(passwd, gr, "user", more, 1, &w);
	for (uint32_t i = 0; i < w.ngroups; i++)
		there = there || w.groups[i] == 9999;
	ok(r < 0 || there, "%u groups, not that one", w.ngroups);
	free(gr);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_user_by_name_has_his_ids_groups_and_home),
		TAP_TEST(a_user_by_number_is_the_first_who_has_it),
		TAP_TEST(a_number_that_nobody_has_is_taken_as_it_is),
		TAP_TEST(a_name_that_nobody_has_is_an_error),
		TAP_TEST(a_group_asked_for_is_the_only_one),
		TAP_TEST(without_a_user_it_is_uid_0),
		TAP_TEST(a_user_without_a_home_has_the_root),
		TAP_TEST(groups_asked_for_are_added_by_name_and_number),
		TAP_TEST(lines_that_are_none_are_passed_over),
		TAP_TEST(ids_that_mean_nothing_to_the_kernel_are_no_ids),
		TAP_TEST(a_nul_ends_the_file),
		TAP_TEST(what_is_no_regular_file_is_refused),
		TAP_TEST(a_link_leads_to_a_file_of_the_image_only),
		TAP_TEST(a_file_over_a_mebibyte_is_refused_and_one_of_that_size_is_not),
		TAP_TEST(a_name_of_any_length_is_compared_whole),
		TAP_TEST(a_group_after_a_long_name_is_not_cut),
		TAP_TEST(a_home_that_does_not_fit_is_not_another_directory),
		TAP_TEST(a_group_asked_for_is_never_dropped),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
