/* SPDX-License-Identifier: Apache-2.0
 *
 * file_test.c - files of a living sandbox, as a caller sees them
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "api/world_test.h"
#include "base/own.h"

static bool put(struct world *w, struct hutch_box *box, const char *path, const char *text)
{
	auto_fd int fd = -1;

	return ok(hutch_file_open(box, path, HUTCH_FILE_WRITE | HUTCH_FILE_CREATE | HUTCH_FILE_TRUNC, 0644, &fd,
				  &w->e) == 0, "%s", w->e.message) &&
	       is_int(write(fd, text, strlen(text)), (long)strlen(text));
}

static void expect(struct world *w, struct hutch_box *box, const char *path, const char *text)
{
	char found[256] = "";
	auto_fd int fd = -1;

	if (ok(hutch_file_open(box, path, HUTCH_FILE_READ, 0, &fd, &w->e) == 0, "%s", w->e.message) &&
	    read(fd, found, sizeof(found) - 1) >= 0)
		is_str(found, text);
}

static int fails(struct world *w, struct hutch_box *box, const char *path, unsigned flags)
{
	int fd = -1, r = hutch_file_open(box, path, flags, 0600, &fd, &w->e);

	if (r == 0)
		close(fd);
	return r < 0 ? w->e.sys_errno : 0;
}

static void what_is_written_is_read_here_and_there(void)
{
	struct hutch_box *box;
	auto_world w;
	char *out = NULL;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	put(&w, box, "/tmp/a file", "hello\n");
	expect(&w, box, "/tmp/a file", "hello\n");
	world_sh(&w, box, "cat '/tmp/a file'; stat -c '%u:%g %a' '/tmp/a file'; printf more >>'/tmp/a file'", &out);
	is_str(out, "hello\n0:0 644\n");
	free(out);
	expect(&w, box, "/tmp/a file", "hello\nmore");
	put(&w, box, "/tmp/a file", "short");
	expect(&w, box, "/tmp/a file", "short");
	is_int(fails(&w, box, "/tmp/a file", HUTCH_FILE_WRITE | HUTCH_FILE_CREATE | HUTCH_FILE_EXCL), EEXIST);
	is_int(fails(&w, box, "/tmp/none", HUTCH_FILE_READ), ENOENT);
	is_int(fails(&w, box, "/tmp", HUTCH_FILE_READ), EISDIR);
	is_int(fails(&w, box, "/tmp/a file", HUTCH_FILE_DIRECTORY), ENOTDIR);
	is_int(hutch_file_open(box, "relative", HUTCH_FILE_READ, 0, &(int){0}, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_open(box, "/tmp", 0, 0, &(int){0}, &w.e), HUTCH_E_INVALID);
	hutch_box_delete(box, NULL);
}

static void names_come_and_go(void)
{
	struct hutch_stat st = {.size = sizeof(st)};
	struct hutch_box *box;
	char *text = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	is_int(hutch_file_mkdir(box, "/tmp/a/b/c", 0, 0700, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_file_mkdir(box, "/tmp/a/b/c", HUTCH_FILE_PARENTS, 0750, &w.e), 0);
	is_int(hutch_file_mkdir(box, "/tmp/a/b/c/", HUTCH_FILE_PARENTS, 0750, &w.e), 0);
	is_int(hutch_file_mkdir(box, "/tmp/a", 0, 0700, &w.e), HUTCH_E_EXISTS);
	is_int(hutch_file_stat(box, "/tmp/a/b/c", 0, &st, &w.e), 0);
	is_int(st.mode, S_IFDIR | 0750);
	put(&w, box, "/tmp/a/b/c/x", "x");
	is_int(hutch_file_symlink(box, "b/c/x", "/tmp/a/link", &w.e), 0);
	is_int(hutch_file_readlink(box, "/tmp/a/link", &text, &w.e), 0);
	is_str(text, "b/c/x");
	free(text);
	expect(&w, box, "/tmp/a/link", "x");
	is_int(hutch_file_stat(box, "/tmp/a/link", HUTCH_FILE_NOFOLLOW, &st, &w.e), 0);
	ok(S_ISLNK(st.mode));
	is_int(hutch_file_rename(box, "/tmp/a/b", "/tmp/moved", &w.e), 0);
	expect(&w, box, "/tmp/moved/c/x", "x");
	is_int(hutch_file_remove(box, "/tmp/moved", 0, &w.e) < 0 && w.e.sys_errno == ENOTEMPTY, 1);
	is_int(hutch_file_remove(box, "/tmp/moved", HUTCH_FILE_RECURSIVE, &w.e), 0);
	is_int(hutch_file_remove(box, "/tmp/a/link", 0, &w.e), 0);
	is_int(hutch_file_remove(box, "/tmp/a", 0, &w.e), 0);
	is_int(hutch_file_remove(box, "/tmp/a", HUTCH_FILE_RECURSIVE, &w.e), HUTCH_E_NOT_FOUND);
	ok(hutch_file_remove(box, "/", HUTCH_FILE_RECURSIVE, &w.e) < 0);
	hutch_box_delete(box, NULL);
}

static void a_directory_is_listed(void)
{
	struct hutch_box *box;
	auto_world w;
	struct dirent *x;
	auto_dir DIR *d = NULL;
	int fd = -1, n = 0;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	world_sh(&w, box, "mkdir /tmp/d; touch /tmp/d/1 /tmp/d/2 /tmp/d/.3", NULL);
	if (ok(hutch_file_open(box, "/tmp/d", HUTCH_FILE_DIRECTORY, 0, &fd, &w.e) == 0, "%s", w.e.message))
		d = fdopendir(fd);
	while (d && (x = readdir(d)))
		n += strcmp(x->d_name, ".") && strcmp(x->d_name, "..");
	is_int(n, 3);
	hutch_box_delete(box, NULL);
}

static void owner_mode_and_times_are_set(void)
{
	struct hutch_stat to = {.size = sizeof(to), .mode = 04751, .atime_ns = 1000000000, .mtime_ns = -1500000000},
			  st = {.size = sizeof(st)};
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	put(&w, box, "/tmp/x", "x");
	is_int(hutch_file_set(box, "/tmp/x", HUTCH_FILE_OWNER | HUTCH_FILE_MODE | HUTCH_FILE_TIMES, &to, &w.e), 0);
	is_int(hutch_file_stat(box, "/tmp/x", 0, &st, &w.e), 0);
	is_int(st.mode, S_IFREG | 04751);
	is_int(st.uid, 0);
	is_int(st.bytes, 1);
	is_int(st.atime_ns, 1000000000);
	is_int(st.mtime_ns, -1500000000);
	to.mode = 0600;
	is_int(hutch_file_set(box, "/tmp/x", HUTCH_FILE_MODE, &to, &w.e), 0);
	is_int(hutch_file_stat(box, "/tmp/x", 0, &st, &w.e), 0);
	is_int(st.mode, S_IFREG | 0600);
	is_int(st.mtime_ns, -1500000000);
	hutch_box_delete(box, NULL);
}

/* ---- hostile ---------------------------------------------------------------------------------- */

static void no_link_leads_out(void)
{
	struct hutch_box *box;
	char out[300], by_link[400];
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	/* A file of the host at a place of the same name as one of the sandbox. */
	snprintf(out, sizeof(out), "%s/secret", w.s.path);
	close(open(out, O_WRONLY | O_CREAT, 0600));
	is_int(hutch_file_symlink(box, out, "/tmp/absolute", &w.e), 0);
	is_int(hutch_file_symlink(box, "../../../../../../../../../..", "/tmp/up", &w.e), 0);
	is_int(hutch_file_symlink(box, "/proc/1/root", "/tmp/magic", &w.e), 0);
	is_int(hutch_file_symlink(box, "/proc/self/cwd", "/tmp/self", &w.e), 0);
	is_int(fails(&w, box, "/tmp/absolute", HUTCH_FILE_READ), ENOENT);
	is_int(fails(&w, box, "/../../../../../../etc/../../../nowhere", HUTCH_FILE_READ), ENOENT);
	ok(fails(&w, box, "/tmp/magic/etc/passwd", HUTCH_FILE_READ) != 0);
	ok(fails(&w, box, "/tmp/self/etc/passwd", HUTCH_FILE_READ) != 0);
	snprintf(by_link, sizeof(by_link), "/tmp/up%s", out);
	is_int(fails(&w, box, by_link, HUTCH_FILE_READ), ENOENT);
	is_int(fails(&w, box, "/tmp/up", HUTCH_FILE_DIRECTORY), 0);
	hutch_box_delete(box, NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fifos_devices_and_sockets_are_not_opened(void)
{
	struct hutch_box *box;
	double since;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	world_sh(&w, box, "mkfifo /tmp/fifo; ln -s /dev/zero /tmp/zero; ln -s fifo /tmp/link", NULL);
	since = now();
	is_int(fails(&w, box, "/tmp/fifo", HUTCH_FILE_READ), EINVAL);
	ok(strstr(w.e.message, "fifo"), "%s", w.e.message);
	is_int(fails(&w, box, "/tmp/link", HUTCH_FILE_WRITE | HUTCH_FILE_CREATE), EINVAL);
	is_int(fails(&w, box, "/tmp/zero", HUTCH_FILE_READ), EINVAL);
	is_int(fails(&w, box, "/dev/null", HUTCH_FILE_WRITE), EINVAL);
	ok(now() - since < 2);
	hutch_box_delete(box, NULL);
}

static void what_runs_inside_cannot_hold_it_up(void)
{
	static const char loop[] = "while :; do kill -STOP -1; kill -KILL -1; done";
	const char *const argv[] = {"sh", "-c", loop, NULL};
	struct hutch_exec_options o = {.size = sizeof(o), .argv = argv};
	struct hutch_proc *p = NULL;
	struct hutch_box *box;
	double since;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	ok(hutch_box_exec(box, &o, &p, &w.e) == 0, "%s", w.e.message);
	usleep(100000);
	since = now();
	for (int i = 0; i < 50; i++) {
		put(&w, box, "/tmp/x", "text");
		expect(&w, box, "/tmp/x", "text");
	}
	ok(now() - since < 5);
	hutch_proc_free(p);
	hutch_box_delete(box, NULL);
}

/* ---- life ------------------------------------------------------------------------------------- */

static void after_a_reset_there_is_a_new_helper(void)
{
	struct hutch_box *box;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	for (int i = 0; i < 3; i++) {
		is_int(fails(&w, box, "/tmp/x", HUTCH_FILE_READ), ENOENT);
		put(&w, box, "/tmp/x", "text");
		expect(&w, box, "/tmp/x", "text");
		is_int(hutch_box_reset(box, &w.e), 0);
	}
	hutch_box_delete(box, NULL);
}

static void a_deep_tree_is_removed(void)
{
	struct hutch_box *box;
	char *name = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	world_sh(&w, box, "i=0; mkdir /tmp/deep; cd /tmp/deep; while [ $i -lt 300 ]; do mkdir d; : >f; cd ./d; i=$((i+1)); done; chmod 0 /tmp/deep", NULL);
	is_int(hutch_file_remove(box, "/tmp/deep", HUTCH_FILE_RECURSIVE, &w.e), 0);
	is_int(fails(&w, box, "/tmp/deep", HUTCH_FILE_DIRECTORY), ENOENT);
	world_sh(&w, box, "i=0; mkdir /tmp/deep; cd /tmp/deep; while [ $i -lt 300 ]; do mkdir d; : >f; cd ./d; i=$((i+1)); done", NULL);
	is_int(hutch_box_snapshot(box, NULL, &name, &w.e), 0);
	free(name);
	ok(hutch_file_remove(box, "/tmp/deep", HUTCH_FILE_RECURSIVE, &w.e) == 0, "%s", w.e.message);
	is_int(fails(&w, box, "/tmp/deep", HUTCH_FILE_DIRECTORY), ENOENT);
	hutch_box_delete(box, NULL);
}

static void a_box_that_is_gone_is_said(void)
{
	struct hutch_start_options o = {.size = sizeof(o), .flags = HUTCH_START_DETACHED};
	struct hutch_box *box = NULL, *other = NULL;
	auto_world w;

	if (!world_open(&w))
		return;
	ok(hutch_box_start(w.hutch, w.spec, &o, &box, &w.e) == 0, "%s", w.e.message);
	ok(hutch_box_attach(w.hutch, hutch_box_name(box), &other, &w.e) == 0, "%s", w.e.message);
	put(&w, other, "/tmp/x", "both see it");
	expect(&w, box, "/tmp/x", "both see it");
	is_int(hutch_box_reset(box, &w.e), 0);
	is_int(fails(&w, other, "/tmp/x", HUTCH_FILE_READ), ENOENT); /* with a new helper */
	is_int(hutch_box_delete(box, &w.e), 0);
	is_int(hutch_file_open(other, "/tmp/x", HUTCH_FILE_READ, 0, &(int){0}, &w.e), HUTCH_E_DIED);
	hutch_box_close(other);
}

/* ---- copies ----------------------------------------------------------------------------------- */

static void a_tree_goes_in_and_comes_back(void)
{
	char from[300], to[300], path[3000], line[300];
	struct hutch_box *box;
	struct stat st;
	auto_world w;
	FILE *f;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	snprintf(from, sizeof(from), "%s/from", w.s.path);
	snprintf(to, sizeof(to), "%s/to", w.s.path);
	snprintf(path, sizeof(path), "mkdir -p %s/sub; echo hello >%s/sub/text; chmod 640 %s/sub/text; touch -d @5 %s/sub/text;"
		 "ln -s sub/text %s/link; mkfifo %s/fifo; truncate -s 3M %s/hole", from, from, from, from, from, from, from);
	is_int(system(path), 0);
	is_int(hutch_copy_in(box, from, "/tmp/new", 0, &w.e), 0);
	is_int(hutch_copy_in(box, from, "/tmp/new", 0, &w.e), 0); /* into it */
	world_sh(&w, box, "[ -d /tmp/new/from/sub ] && [ -p /tmp/new/fifo ] && "
			  "[ \"$(cat /tmp/new/link)\" = hello ] && echo changed >>/tmp/new/sub/text && chmod 4755 /tmp/new/hole && rm -r /tmp/new/from", NULL);
	is_int(hutch_copy_out(box, "/tmp/new/.", to, 0, &w.e), 0);
	snprintf(path, sizeof(path), "%s/link", to);
	f = fopen(path, "re");
	ok(f && fgets(line, sizeof(line), f) && fgets(line, sizeof(line), f) && !strcmp(line, "changed\n"));
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "%s/sub/text", to);
	ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_uid == geteuid());
	snprintf(path, sizeof(path), "%s/hole", to);
	ok(stat(path, &st) == 0 && st.st_size == 3 << 20 && st.st_blocks < 100, "it has %ld blocks", (long)st.st_blocks);
	is_int(st.st_mode & 07777, 0755); /* without set-user-id */
	snprintf(path, sizeof(path), "%s/sub/text", from);
	is_int(hutch_copy_in(box, path, "/tmp/a/b/file", 0, &w.e), HUTCH_E_NOT_FOUND);
	is_int(hutch_copy_in(box, path, "/tmp/a/b/file", HUTCH_COPY_PARENTS, &w.e), 0);
	expect(&w, box, "/tmp/a/b/file", "hello\n");
	is_int(hutch_copy_in(box, path, "/tmp/a", HUTCH_COPY_EXACT, &w.e) < 0, 1);
	is_int(hutch_copy_out(box, "/tmp/a/b/file", "/no such directory/x", 0, &w.e) < 0, 1);
	snprintf(path, sizeof(path), "chmod -R u+w %s %s; rm -r %s %s", from, to, from, to);
	is_int(system(path), 0);
	hutch_box_delete(box, NULL);
}

static void sockets_and_devices_are_left_out_and_counted(void)
{
	struct hutch_box *box;
	char to[300], remove[320];
	auto_world w;

	if (!world_open(&w))
		return;
	box = world_start(&w);
	snprintf(to, sizeof(to), "%s/to", w.s.path);
	is_int(hutch_copy_out(box, "/dev", to, 0, &w.e) >= 6, 1); /* null, zero, ... */
	snprintf(remove, sizeof(remove), "rm -r %s", to);
	is_int(system(remove), 0);
	is_int(hutch_copy_out(box, "/dev/null", to, 0, &w.e), HUTCH_E_INVALID);
	ok(strstr(w.e.message, "'/dev/null' is a device, which is not copied") != NULL, "%s", w.e.message);
	is_int(hutch_copy_in(box, "/dev/null", "/above/x", HUTCH_COPY_PARENTS, &w.e), HUTCH_E_INVALID);
	is_int(hutch_file_stat(box, "/above", 0, &(struct hutch_stat){.size = sizeof(struct hutch_stat)}, &w.e), HUTCH_E_NOT_FOUND);
	ok(access(to, F_OK) < 0, "something was made of a device");
	hutch_box_delete(box, NULL);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(what_is_written_is_read_here_and_there),
		TAP_TEST(names_come_and_go),
		TAP_TEST(a_directory_is_listed),
		TAP_TEST(owner_mode_and_times_are_set),
		TAP_TEST(no_link_leads_out),
		TAP_TEST(fifos_devices_and_sockets_are_not_opened),
		TAP_TEST(what_runs_inside_cannot_hold_it_up),
		TAP_TEST(after_a_reset_there_is_a_new_helper),
		TAP_TEST(a_deep_tree_is_removed),
		TAP_TEST(a_box_that_is_gone_is_said),
		TAP_TEST(a_tree_goes_in_and_comes_back),
		TAP_TEST(sockets_and_devices_are_left_out_and_counted),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
