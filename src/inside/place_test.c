/* SPDX-License-Identifier: Apache-2.0
 *
 * place_test.c - the walk through a root file system never leaves it
 *
 * The file under test is included: its walk needs nothing but an open directory.
 */
#include "inside/place.c"

#include "base/scratch.h"
#include "tap.h"

/* Walks @path below @s. Return: 0, or the errno or code of the failure. */
static int go(const struct scratch *s, const char *path, struct walk *w)
{
	struct err e = {0};
	int r;

	w->view = s->fd;
	r = walk(w, path, &e);
	ok(r == 0 || e.msg[0], "%s fails without a word", path);
	return r < 0 && e.sys ? e.sys : r;
}

static bool make_tree(struct scratch *s)
{
	return scratch_open(s) && scratch_file(s, "etc/passwd", 0644, "") &&
	       scratch_dir(s, "var", 0755) && scratch_dir(s, "run", 0755) &&
	       scratch_link(s, "/run", "var/run") && scratch_link(s, "../etc", "var/etc") &&
	       scratch_link(s, "var/etc/passwd", "pw") &&
	       scratch_link(s, "nowhere/x", "dangling") && scratch_link(s, "loop", "loop") &&
	       scratch_link(s, "../../../..", "up") && scratch_link(s, "/", "slash") &&
	       scratch_link(s, "missing/../etc", "through");
}

/* Where @path ends: "PATH", with " (missing)" or " (file)" after it. */
static const char *end_of(const struct scratch *s, const char *path)
{
	static char text[PATH_MAX + 32];
	struct walk w;
	int r = go(s, path, &w);

	if (r)
		snprintf(text, sizeof(text), "error %d", r);
	else
		snprintf(text, sizeof(text), "%s%s", w.at,
			 w.missing ? " (missing)" : w.is_dir ? "" : " (file)");
	return text;
}

static void paths_without_links_stay_as_they_are(void)
{
	struct scratch s;

	if (!ok(make_tree(&s)))
		return;
	is_str(end_of(&s, "/"), "");
	is_str(end_of(&s, "/etc"), "/etc");
	is_str(end_of(&s, "//etc///passwd"), "/etc/passwd (file)");
	is_str(end_of(&s, "/./etc/."), "/etc");
	is_str(end_of(&s, "/var/../etc"), "/etc");
	is_str(end_of(&s, "/new"), "/new (missing)");
	is_str(end_of(&s, "/var/a/b/c"), "/var/a/b/c (missing)");
	scratch_close(&s);
}

static void links_are_followed_within_the_root(void)
{
	struct scratch s;

	if (!ok(make_tree(&s)))
		return;
	is_str(end_of(&s, "/var/run"), "/run");
	is_str(end_of(&s, "/var/run/x"), "/run/x (missing)");
	is_str(end_of(&s, "/var/etc/passwd"), "/etc/passwd (file)");
	is_str(end_of(&s, "/pw"), "/etc/passwd (file)");
	is_str(end_of(&s, "/dangling/y"), "/nowhere/x/y (missing)");
	is_str(end_of(&s, "/slash/slash/etc"), "/etc");
	scratch_close(&s);
}

static void nothing_leads_out(void)
{
	struct scratch s;

	if (!ok(make_tree(&s)))
		return;
	for (size_t i = 0; i < 4; i++) {
		static const char *const paths[] = {"/..", "/up", "/up/etc", "/var/../../etc"};
		struct walk w;
		int r = go(&s, paths[i], &w);

		ok(r != 0 || !strstr(w.at, ".."), "%s leads to '%s'", paths[i], w.at);
		ok(r != 0 || !strcmp(w.at, "") || !strcmp(w.at, "/etc"), "%s leads to '%s'",
		   paths[i], w.at);
	}
	scratch_close(&s);
}

static void a_loop_ends_and_so_does_what_grows(void)
{
	char path[PATH_MAX + 100];
	struct scratch s;
	struct walk w;

	if (!ok(make_tree(&s)))
		return;
	is_int(go(&s, "/loop", &w), ELOOP);
	is_int(go(&s, "/loop/x", &w), ELOOP);
	scratch_link(&s, "grow/grow", "grow");
	ok(go(&s, "/grow", &w) != 0);
	memset(path, 'n', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	is_int(go(&s, path, &w), ENAMETOOLONG);
	path[NAME_MAX + 2] = '\0';
	is_int(go(&s, path, &w), ENAMETOOLONG);
	path[NAME_MAX + 1] = '\0';
	is_int(go(&s, path, &w), 0);
	scratch_close(&s);
}

static void a_path_of_the_greatest_length_does_not_overflow(void)
{
	static char path[PATH_MAX], target[PATH_MAX];
	struct scratch s;
	struct walk w;

	if (!ok(scratch_open(&s)))
		return;
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? 'a' : '/';
	path[sizeof(path) - 1] = '\0';
	ok(go(&s, path, &w) == 0 || go(&s, path, &w) == ENAMETOOLONG);
	memset(target, 'x', sizeof(target));
	for (size_t i = 0; i < sizeof(target); i += 200)
		target[i] = '/';
	target[sizeof(target) - 1] = '\0';
	ok(scratch_link(&s, target, "long"));
	snprintf(path, sizeof(path), "/long/%0*d", 200, 0);
	is_int(go(&s, path, &w), ENAMETOOLONG);
	scratch_close(&s);
}

static void a_file_is_no_directory(void)
{
	struct scratch s;
	struct walk w;

	if (!ok(make_tree(&s)))
		return;
	is_int(go(&s, "/etc/passwd/x", &w), ENOTDIR);
	is_int(go(&s, "/pw/x", &w), ENOTDIR);
	scratch_close(&s);
}

/* struct walk: "missing: at does not exist in the root file system". */
static void what_comes_after_a_missing_directory_is_looked_at(void)
{
	struct scratch s;

	if (!ok(make_tree(&s)))
		return;
	ok(strcmp(end_of(&s, "/through"), "/etc (missing)"), "/etc is there");
	ok(strcmp(end_of(&s, "/through/passwd"), "/etc/passwd (missing)"), "/etc/passwd is there");
	ok(strcmp(end_of(&s, "/through/passwd/x"), "/etc/passwd/x (missing)"),
	   "a directory would be made over the file /etc/passwd");
	scratch_close(&s);
}

static void an_empty_root_has_everything_missing(void)
{
	struct scratch s;

	if (!ok(scratch_open(&s)))
		return;
	is_str(end_of(&s, "/etc/hosts"), "/etc/hosts (missing)");
	is_str(end_of(&s, ""), "");
	scratch_close(&s);
}

static void trees_of_the_kernel_are_known(void)
{
	ok(in_kernel_tree("/proc") && in_kernel_tree("/proc/x") && in_kernel_tree("/sys/fs") &&
	   in_kernel_tree("/dev") && in_kernel_tree("/dev/null"));
	ok(!in_kernel_tree("/procx") && !in_kernel_tree("/devices") && !in_kernel_tree("/a/proc") &&
	   !in_kernel_tree("/"));
	ok(!in_kernel_tree("/dev/shm/x"), "volumes may be there");
	ok(in_kernel_tree("/dev/shmx"), "which is another name");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(paths_without_links_stay_as_they_are),
		TAP_TEST(links_are_followed_within_the_root),
		TAP_TEST(nothing_leads_out),
		TAP_TEST(a_loop_ends_and_so_does_what_grows),
		TAP_TEST(a_path_of_the_greatest_length_does_not_overflow),
		TAP_TEST(a_file_is_no_directory),
		TAP_TEST(what_comes_after_a_missing_directory_is_looked_at),
		TAP_TEST(an_empty_root_has_everything_missing),
		TAP_TEST(trees_of_the_kernel_are_known),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
