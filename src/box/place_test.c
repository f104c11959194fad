/* SPDX-License-Identifier: Apache-2.0
 *
 * place_test.c - names and directories: taken once, given back whole, and taken over from the dead
 */
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/own.h"
#include "base/scratch.h"
#include "box/box.h"
#include "tap.h"

static void spec_free_at(struct spec **s)
{
	spec_free(*s);
}

/* A home with directories and without a nursery, so nobody sweeps. */
struct made {
	struct scratch s;
	struct home h;
	struct err e;
};

static int below(struct made *m, const char *name)
{
	if (!scratch_dir(&m->s, name, 0700))
		exit(1);
	return openat(m->s.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void begin(struct made *m)
{
	memset(m, 0, sizeof(*m));
	if (!scratch_open(&m->s))
		exit(1);
	m->h.owner = getpid();
	m->h.nursery = -1;
	pthread_mutex_init(&m->h.lock, NULL);
	m->h.state_path = m->h.data_path = m->s.path;
	m->h.data = m->s.fd;
	m->h.state = below(m, "run");
	m->h.boxes = below(m, "boxes");
	m->h.pool = below(m, "pool");
	m->h.trash = below(m, "trash");
}

static void made_done(struct made *m)
{
	close(m->h.state);
	close(m->h.boxes);
	close(m->h.pool);
	close(m->h.trash);
	pthread_mutex_destroy(&m->h.lock);
	scratch_close(&m->s);
}

/* Names that are there, but for those that wait for their next use. */
static int names(const struct made *m)
{
	return scratch_names(&m->s, "run") - scratch_has(&m->s, "run/.free");
}

/* ---- names ----------------------------------------------------------------------------------- */

static void a_name_is_taken_once_and_is_free_again_when_its_lock_closes(void)
{
	auto_with(made_done) struct made m;
	int lock = -1, second = -1;

	begin(&m);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	is_int(fcntl(lock, F_GETFD), FD_CLOEXEC);
	is_int(place_take(&m.h, "ab", &second, &m.e), ERR_EXISTS);
	is_str(m.e.msg, "the name 'ab' is taken");
	is_int(second, -1);
	close(lock); /* as when its keeper was killed */
	is_int(place_take(&m.h, "ab", &second, &m.e), 0);
	close(second);
	place_give_back(&m.h, "ab", true);
	is_int(names(&m), 0);
}

static void a_name_that_is_held_is_not_given_back(void)
{
	auto_with(made_done) struct made m;
	int lock = -1;

	begin(&m);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	place_give_back(&m.h, "ab", true);
	ok(scratch_has(&m.s, "run/ab/lock"));
	close(lock);
	place_give_back(&m.h, "ab", true);
	place_give_back(&m.h, "ab", true);
	is_int(names(&m), 0);
}

/* Who gives a name back renames it first, and may be interrupted then. */
static void an_unused_name_that_is_locked_for_a_moment_yet_is_waited_for(void)
{
	auto_with(made_done) struct made m;
	int lock = -1, other = -1;
	pid_t pid;

	begin(&m);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	close(below(&m, "run/.free"));
	is_int(renameat(m.h.state, "ab", m.h.state, ".free/ab"), 0);
	pid = fork(); /* it has the lock, too */
	if (pid == 0) {
		usleep(20000);
		_exit(0);
	}
	close_fd(&lock);
	is_int(place_take(&m.h, "cd", &lock, &m.e), 0);
	is_int(waitpid(pid, NULL, 0), pid);
	is_int(place_take(&m.h, "cd", &other, &m.e), ERR_EXISTS);
	is_int(scratch_names(&m.s, "run/.free"), 0);
	close(lock);
	close_fd(&other);
}

static void what_the_dead_left_goes_to_the_trash_before_the_name_is_used(void)
{
	auto_with(made_done) struct made m;
	int lock = -1;

	begin(&m);
	scratch_file(&m.s, "run/ab/lock", 0600, "");
	scratch_file(&m.s, "boxes/ab/g1/upper/secret", 0600, "of the dead one");
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	is_int(scratch_names(&m.s, "boxes"), 0);
	is_int(scratch_names(&m.s, "trash"), 1);
	close(lock);
}

static void keep(struct made *m, const char *name)
{
	auto_with(spec_free_at) struct spec *spec = spec_new();
	int lock = -1;

	is_int(place_take(&m->h, name, &lock, &m->e), 0);
	is_int(place_upper_take(&m->h, name, &m->e), 0);
	is_int(spec_set(spec, "host", "true", &m->e), 0);
	is_int(spec_set(spec, "env", "A=\xff b", &m->e), 0);
	is_int(kept_write(&m->h, name, spec, &m->e), 0);
	close(lock);
}

static void what_is_kept_is_thrown_away_by_nobody_but_who_removes_it(void)
{
	auto_with(made_done) struct made m;
	auto_with(spec_free_at) struct spec *spec = spec_new();
	int lock = -1;

	begin(&m);
	keep(&m, "ab");
	scratch_file(&m.s, "boxes/ab/g1/upper/mine", 0600, "of the first");
	is_int(place_take(&m.h, "ab", &lock, &m.e), ERR_EXISTS);
	ok(strstr(m.e.msg, "has ended") && strstr(m.e.msg, "hutch start ab"), "%s", m.e.msg);
	is_int(kept_set_clean(&m.h, "ab", &m.e), 0);
	is_int(place_take(&m.h, "ab", &lock, &m.e), ERR_EXISTS);
	ok(strstr(m.e.msg, "is stopped") && strstr(m.e.msg, "hutch rm ab"), "%s", m.e.msg);
	is_int(names(&m), 0); /* a reboot would leave no more */
	is_int(lock, -1);
	is_int(place_take_kept(&m.h, "cd", &lock, &m.e), ERR_NOT_FOUND);
	is_int(names(&m), 0);
	is_int(place_take_kept(&m.h, "ab", &lock, &m.e), 0);
	is_int(box_remove(&m.h, "ab", &m.e), ERR_STATE);
	is_int(kept_read(&m.h, "ab", spec, &m.e), 0);
	is_str(spec->name, "ab");
	is_str(spec->env.v[0], "A=\xff b");
	is_int(spec->root, SPEC_ROOT_HOST);
	ok(scratch_has(&m.s, "boxes/ab/kept") && scratch_has(&m.s, "boxes/ab/g1/upper/mine"));
	place_let_go(&m.h, "ab", &lock);
	is_int(box_remove(&m.h, "ab", &m.e), 0);
	is_int(scratch_names(&m.s, "boxes"), 0);
	is_int(names(&m), 0);
	is_int(box_remove(&m.h, "ab", &m.e), ERR_NOT_FOUND);
	is_int(names(&m), 0);
}

static void the_lowest_generation_is_continued_with_new_work_directories(void)
{
	auto_with(made_done) struct made m;
	struct kept_state s = {0};

	begin(&m);
	keep(&m, "ab");
	is_int(kept_state(&m.h, "ab", &s, &m.e), 0);
	ok(!s.continued && !s.generation);
	scratch_file(&m.s, "boxes/ab/g7/upper/mine", 0600, "");
	scratch_file(&m.s, "boxes/ab/g7/work/work/incompat/volatile", 0600, "");
	scratch_file(&m.s, "boxes/ab/g7/cow0/work/work/incompat/volatile", 0600, "");
	scratch_file(&m.s, "boxes/ab/g10/upper/spare", 0600, "");
	scratch_file(&m.s, "boxes/ab/g0x/other", 0600, "");
	is_int(kept_state(&m.h, "ab", &s, &m.e), 0);
	ok(s.continued && s.generation == 7, "%u", s.generation);
	ok(scratch_has(&m.s, "boxes/ab/g7/upper/mine") && !scratch_has(&m.s, "boxes/ab/g7/work"));
	ok(scratch_has(&m.s, "boxes/ab/g7/cow0") && !scratch_has(&m.s, "boxes/ab/g7/cow0/work"));
	ok(!scratch_has(&m.s, "boxes/ab/g10") && scratch_has(&m.s, "boxes/ab/g0x"));
	kept_state_done(&s);
}

static void a_damaged_record_says_so_and_can_be_removed(void)
{
	static const char *const bad[] = {"", "{", "x", "{\"host\":true}"};
	auto_with(made_done) struct made m;
	char *json = NULL;

	begin(&m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		auto_with(spec_free_at) struct spec *spec = spec_new();

		scratch_file(&m.s, "boxes/ab/kept", 0600, bad[i]);
		ok(kept_read(&m.h, "ab", spec, &m.e) < 0, "%s", bad[i]);
		ok(kept_json(&m.h, "ab", &json, &m.e) < 0, "%s", bad[i]);
		is_int(box_remove(&m.h, "ab", &m.e), 0);
	}
}

static void a_name_without_a_lock_file_is_free(void)
{
	auto_with(made_done) struct made m;
	int lock = -1;

	begin(&m);
	scratch_dir(&m.s, "run/ab", 0700); /* killed between the two steps */
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	close(lock);
}

static void a_sweeper_that_removes_what_has_no_lock_yet_stops_nobody(void)
{
	auto_with(made_done) struct made m;
	struct stat st;
	pid_t sweeper;

	begin(&m);
	sweeper = fork();
	if (sweeper == 0)
		for (;; usleep(20))
			(void)unlinkat(m.h.state, "ab", AT_REMOVEDIR);
	for (int i = 0; i < 2000; i++) {
		int lock = -1, r = place_take(&m.h, "ab", &lock, &m.e);

		is_int(r, 0);
		ok(r == 0 && fstat(lock, &st) == 0 && st.st_nlink == 1, "%s", m.e.msg);
		(void)unlinkat(m.h.state, "ab/lock", 0);
		close(lock);
		if (r < 0)
			break;
	}
	kill(sweeper, SIGKILL);
	waitpid(sweeper, NULL, 0);
}

static void a_name_that_is_being_removed_is_not_listed_and_is_waited_for(void)
{
	auto_with(made_done) struct made m;
	struct box_listed *v = NULL;
	size_t n = 0;
	struct flock l = {.l_type = F_WRLCK, .l_len = 2};
	int sweepers, lock = -1;
	pid_t sweeper;

	begin(&m);
	scratch_file(&m.s, "run/ab/lock", 0600, "");
	sweepers = openat(m.h.state, "ab/lock", O_RDWR | O_CLOEXEC);
	is_int(fcntl(sweepers, F_OFD_SETLK, &l), 0);
	sweeper = fork();
	if (sweeper == 0) {
		usleep(30000);
		(void)unlinkat(m.h.state, "ab/lock", 0);
		(void)unlinkat(m.h.state, "ab", AT_REMOVEDIR);
		_exit(0);
	}
	close(sweepers);
	is_int(box_list(&m.h, &v, &n, &m.e), 0);
	is_int((int)n, 0);
	free(v);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	close(lock);
	waitpid(sweeper, NULL, 0);
}

static void what_is_no_directory_or_no_lock_is_refused(void)
{
	auto_with(made_done) struct made m;
	int before, lock = -1;

	begin(&m);
	before = scratch_descriptors();
	scratch_file(&m.s, "run/file", 0600, "");
	scratch_link(&m.s, "/tmp", "run/link");
	scratch_link(&m.s, "/etc/passwd", "run/locklink/lock");
	scratch_dir(&m.s, "run/lockdir/lock", 0700);
	ok(place_take(&m.h, "file", &lock, &m.e) < 0 && m.e.sys == ENOTDIR, "%s", m.e.msg);
	ok(place_take(&m.h, "link", &lock, &m.e) < 0, "%s", m.e.msg);
	ok(place_take(&m.h, "locklink", &lock, &m.e) < 0 && m.e.sys == ELOOP, "%s", m.e.msg);
	ok(place_take(&m.h, "lockdir", &lock, &m.e) < 0 && m.e.sys == EISDIR, "%s", m.e.msg);
	is_int(lock, -1);
	is_int(scratch_descriptors(), before);
}

/* A name is at most 200 bytes, but the file system may take less. */
static void names_are_used_again_and_nothing_is_in_them(void)
{
	static const char *const files[] = {"run/ab/sock", "run/ab/spec.json", "run/ab/.new-spec.json"};
	auto_with(made_done) struct made m;
	int lock = -1;

	begin(&m);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	close(lock);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		scratch_file(&m.s, files[i], 0600, "of the first");
	place_give_back(&m.h, "ab", true);
	is_int(scratch_names(&m.s, "run/.free"), 1);
	is_int(place_take(&m.h, "cd", &lock, &m.e), 0);
	is_int(scratch_names(&m.s, "run/.free"), 0);
	is_int(scratch_names(&m.s, "run/cd"), 1);
	close(lock);
}

/* One in .free that is in use, or is no directory of ours, is no name to give away. */
static void what_waits_is_looked_at_before_it_is_used(void)
{
	auto_with(made_done) struct made m;
	int lock = -1, other = -1;

	begin(&m);
	scratch_dir(&m.s, "run/.free", 0700);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	ok(renameat(m.h.state, "ab", m.h.state, ".free/x") == 0); /* still locked */
	ok(place_take(&m.h, "cd", &other, &m.e) < 0 || other != lock, "%s", m.e.msg);
	ok(other < 0 || fcntl(other, F_GETFD) >= 0);
	close(lock);
	close_fd(&other);
}

static void a_name_the_file_system_refuses_is_told(void)
{
	auto_with(made_done) struct made m;
	char name[300];
	int lock = -1;

	begin(&m);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ok(place_take(&m.h, name, &lock, &m.e) < 0 && m.e.sys == ENAMETOOLONG, "%s", m.e.msg);
	name[200] = '\0';
	is_int(place_take(&m.h, name, &lock, &m.e), 0);
	close(lock);
	place_give_back(&m.h, name, false);
	is_int(names(&m), 0);
}

/* ---- where changes go ------------------------------------------------------------------------ */

static void a_directory_is_made_or_taken_from_the_pool(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	is_int(place_upper_take(&m.h, "ab", &m.e), 0);
	is_int(scratch_names(&m.s, "boxes/ab"), 0);
	scratch_dir(&m.s, "pool/old/g1/upper", 0755);
	is_int(place_upper_take(&m.h, "cd", &m.e), 0);
	ok(scratch_has(&m.s, "boxes/cd/g1"));
	is_int(scratch_names(&m.s, "pool"), 0);
}

/* By what was killed as it was given back, and has ended since then. */
static void one_that_was_written_to_in_the_pool_is_not_taken(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	scratch_file(&m.s, "pool/old/g1/upper/planted", 0600, "x");
	is_int(place_upper_take(&m.h, "ab", &m.e), 0);
	is_int(scratch_names(&m.s, "boxes/ab"), 0);
	is_int(scratch_names(&m.s, "pool"), 0);
	is_int(scratch_names(&m.s, "trash"), 1);
}

/* Nobody would sweep what was put into the trash, and it may be as good as ever. */
static void one_that_cannot_be_looked_at_stays_in_the_pool(void)
{
	auto_with(made_done) struct made m;
	struct rlimit was, few;

	begin(&m);
	scratch_dir(&m.s, "pool/old/g1/upper", 0755);
	is_int(getrlimit(RLIMIT_NOFILE, &was), 0);
	for (rlim_t n = 3; n < 64; n++) {
		bool taken;

		few = (struct rlimit){n, was.rlim_max};
		is_int(setrlimit(RLIMIT_NOFILE, &few), 0);
		taken = place_upper_reuse(&m.h, "ab");
		is_int(setrlimit(RLIMIT_NOFILE, &was), 0);
		if (taken)
			break;
		is_int(scratch_names(&m.s, "pool"), 1);
		is_int(scratch_names(&m.s, "trash"), 0);
	}
	ok(scratch_has(&m.s, "boxes/ab/g1/upper"), "there were enough in the end");
}

/* An overlay upon it has not ended yet; to mount it once more is undefined (overlayfs.rst). */
static void one_that_is_mounted_yet_is_not_taken_from_the_pool(void)
{
	auto_with(made_done) struct made m;
	int lock;

	begin(&m);
	scratch_dir(&m.s, "pool/old/g1/upper", 0755);
	lock = openat(m.s.fd, "pool/old", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(flock(lock, LOCK_SH), 0);
	is_int(place_upper_take(&m.h, "ab", &m.e), 0);
	ok(!scratch_has(&m.s, "boxes/ab/g1"));
	scratch_dir(&m.s, "pool/next/g1/upper", 0755);
	is_int(place_upper_take(&m.h, "cd", &m.e), 0);
	ok(scratch_has(&m.s, "boxes/cd/g1"), "another was there");
	ok(scratch_has(&m.s, "pool/old/g1"));
	close_fd(&lock);
	is_int(place_upper_take(&m.h, "ef", &m.e), 0);
	ok(scratch_has(&m.s, "boxes/ef/g1"));
}

/* The state directory lies on a tmpfs: after a reboot the names are gone, boxes/ is as it was. */
static void what_a_lost_name_left_is_moved_aside(void)
{
	auto_with(made_done) struct made m;
	int lock = -1;

	begin(&m);
	scratch_file(&m.s, "boxes/ab/g1/upper/old", 0600, "of before");
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	ok(place_upper_take(&m.h, "ab", &m.e) == 0, "%s", m.e.msg);
	ok(!scratch_has(&m.s, "boxes/ab/g1/upper/old"), "the new one would see it");
	close_fd(&lock);
}

/* What a sandbox leaves that wrote nothing. */
static void unused(struct made *m, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "boxes/%s/g1/upper", name);
	scratch_dir(&m->s, path, 0755);
	snprintf(path, sizeof(path), "boxes/%s/g1/work/work/incompat/volatile/dirty", name);
	scratch_file(&m->s, path, 0600, "");
	snprintf(path, sizeof(path), "boxes/%s/g1/work/work", name);
	ok(fchmodat(m->s.fd, path, 0, 0) == 0); /* as overlayfs makes it */
}

static void a_directory_nobody_wrote_to_goes_to_the_pool_without_its_work(void)
{
	const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	auto_with(made_done) struct made m;
	struct stat st;

	begin(&m);
	unused(&m, "ab");
	is_int(utimensat(m.s.fd, "boxes/ab/g1/upper", long_ago, 0), 0);
	place_upper_give_back(&m.h, "ab");
	is_int(scratch_names(&m.s, "boxes"), 0);
	is_int(scratch_names(&m.s, "trash"), 0);
	ok(scratch_has(&m.s, "pool/ab/g1/upper"));
	ok(fstatat(m.s.fd, "pool/ab/g1/upper", &st, 0) == 0 && st.st_mtim.tv_sec > 1 && st.st_atim.tv_sec > 1);
	is_int(scratch_names(&m.s, "pool/ab/g1/work"), 0); /* the next overlay refuses its mark */
	place_upper_give_back(&m.h, "ab");
	is_int(scratch_names(&m.s, "trash"), 0);
}

/* It stood on layers of another, and has no snapshots itself. */
static void a_fork_nobody_wrote_to_goes_to_the_pool_without_its_layers(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	unused(&m, "ab");
	scratch_file(&m.s, "boxes/ab/layers.json", 0600, "{}");
	place_upper_give_back(&m.h, "ab");
	ok(scratch_has(&m.s, "pool/ab/g1/upper"));
	ok(!scratch_has(&m.s, "pool/ab/layers.json"), "the next one would stand on them");
	unused(&m, "cd");
	scratch_file(&m.s, "boxes/cd/layers.json", 0600, "{}");
	scratch_file(&m.s, "boxes/cd/snapshots/0", 0600, "{}");
	place_upper_give_back(&m.h, "cd");
	is_int(scratch_names(&m.s, "pool"), 1);
	is_int(scratch_names(&m.s, "trash"), 1);
}

static void change_a_file(struct made *m)
{
	scratch_file(&m->s, "boxes/ab/g1/upper/file", 0644, "");
}

static void change_the_mode(struct made *m)
{
	ok(fchmodat(m->s.fd, "boxes/ab/g1/upper", 0, 0) == 0);
}

static void change_an_attribute(struct made *m)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/boxes/ab/g1/upper", m->s.path);
	(void)setxattr(path, "user.mine", "x", 1, 0); /* none here: there is nothing to see */
	if (getxattr(path, "user.mine", NULL, 0) < 0)
		scratch_file(&m->s, "boxes/ab/g1/upper/file", 0644, "");
}

static void change_the_owner(struct made *m)
{
	if (fchownat(m->s.fd, "boxes/ab/g1/upper", 12345, 12345, 0) < 0)
		scratch_file(&m->s, "boxes/ab/g1/upper/file", 0644, "");
}

static void change_the_group(struct made *m)
{
	if (fchownat(m->s.fd, "boxes/ab/g1/upper", (uid_t)-1, 12345, 0) < 0)
		scratch_file(&m->s, "boxes/ab/g1/upper/file", 0644, "");
}

static void change_to_a_link(struct made *m)
{
	scratch_remove(m->s.fd, "boxes/ab/g1/upper");
	scratch_link(&m->s, "/tmp", "boxes/ab/g1/upper");
}

static void another_generation(struct made *m)
{
	scratch_dir(&m->s, "boxes/ab/g2", 0700);
}

static void a_copy_beside_it(struct made *m)
{
	scratch_file(&m->s, "boxes/ab/g1/file0", 0600, "");
}

static void no_work(struct made *m)
{
	scratch_remove(m->s.fd, "boxes/ab/g1/work");
	scratch_dir(&m->s, "boxes/ab/g1/work", 0700);
}

/* A next sandbox would find what this one left. */
static void a_directory_that_is_not_as_it_was_goes_to_the_trash(void)
{
	static const struct {
		const char *what;
		void (*change)(struct made *m);
	} t[] = {
		{"a file", change_a_file},
		{"the mode of /", change_the_mode},
		{"an attribute of /", change_an_attribute},
		{"the owner of /", change_the_owner},
		{"the group of /", change_the_group},
		{"a link in its place", change_to_a_link},
		{"a second generation", another_generation},
		{"a private copy", a_copy_beside_it},
		{"work that is not there", no_work},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		auto_with(made_done) struct made m;

		begin(&m);
		unused(&m, "ab");
		t[i].change(&m);
		place_upper_give_back(&m.h, "ab");
		ok(scratch_names(&m.s, "pool") == 0, "%s", t[i].what);
		ok(scratch_names(&m.s, "trash") == 1, "%s", t[i].what);
		ok(scratch_names(&m.s, "boxes") == 0, "%s", t[i].what);
	}
}

/* The pool has one of that name already: rename refuses to replace one that is not empty. */
static void a_full_pool_is_no_loss(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	scratch_dir(&m.s, "pool/ab/g1", 0700);
	unused(&m, "ab");
	place_upper_give_back(&m.h, "ab");
	is_int(scratch_names(&m.s, "boxes"), 0);
	is_int(scratch_names(&m.s, "pool") + scratch_names(&m.s, "trash"), 2);
}

/* However many sandboxes there were at once, what waits for the next ones is bounded. */
static void what_waits_is_bounded(void)
{
	auto_with(made_done) struct made m;
	char name[32];
	int lock = -1;

	begin(&m);
	scratch_dir(&m.s, "run/.free", 0700);
	for (int i = 0; i < 1024; i++) {
		snprintf(name, sizeof(name), "pool/%d", i);
		scratch_dir(&m.s, name, 0700);
		snprintf(name, sizeof(name), "run/.free/%d", i);
		scratch_dir(&m.s, name, 0700);
	}
	unused(&m, "ab");
	place_upper_give_back(&m.h, "ab");
	is_int(scratch_names(&m.s, "pool"), 1024);
	is_int(scratch_names(&m.s, "trash"), 1);
	scratch_dir(&m.s, "run/ab", 0700); /* not one of those that wait */
	place_give_back(&m.h, "ab", true);
	is_int(scratch_names(&m.s, "run/.free"), 1024);
	is_int(names(&m), 0);
	is_int(place_take(&m.h, "cd", &lock, &m.e), 0);
	is_int(scratch_names(&m.s, "run/.free"), 1023);
	close(lock);
}

static void what_waits_can_be_removed(void)
{
	auto_with(made_done) struct made m;
	int lock = -1;

	begin(&m);
	place_drop_unused(&m.h); /* nothing yet */
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	close(lock);
	place_give_back(&m.h, "ab", true);
	unused(&m, "ab");
	place_upper_give_back(&m.h, "ab");
	scratch_dir(&m.s, "run/.free/.half-removed", 0700);
	is_int(scratch_names(&m.s, "run/.free"), 2);
	is_int(scratch_names(&m.s, "pool"), 1);
	place_drop_unused(&m.h);
	is_int(scratch_names(&m.s, "run/.free"), 0);
	is_int(scratch_names(&m.s, "pool"), 0);
	is_int(scratch_names(&m.s, "trash"), 1);
}

/* As a keeper has it, of a sandbox that nobody has asked for. */
static int twin(struct made *m)
{
	int lock = -1;

	is_int(place_take(&m->h, TWIN_PREFIX "x", &lock, &m->e), 0);
	scratch_file(&m->s, "boxes/" TWIN_PREFIX "x/g1/upper/file", 0644, "its");
	return lock;
}

static void another_name_comes_with_lock_and_changes(void)
{
	auto_with(made_done) struct made m;
	int held, lock = -1;

	begin(&m);
	held = twin(&m);
	ok(place_rename(&m.h, TWIN_PREFIX "x", "ab", true, &m.e) == 0, "%s", m.e.msg);
	ok(!scratch_has(&m.s, "run/" TWIN_PREFIX "x") && !scratch_has(&m.s, "boxes/" TWIN_PREFIX "x"));
	ok(scratch_has(&m.s, "boxes/ab/g1/upper/file"));
	is_int(place_take(&m.h, "ab", &lock, &m.e), ERR_EXISTS);
	is_int(scratch_names(&m.s, "run/.free"), 1);
	close(held);
	ok(place_take(&m.h, "ab", &lock, &m.e) == 0, "whose keeper has ended");
	close(lock);
	ok(place_take(&m.h, "cd", &lock, &m.e) == 0, "in the directory that was free");
	is_int(scratch_names(&m.s, "run/.free"), 0);
	close(lock);
}

static void a_name_that_is_taken_or_kept_is_refused_and_nothing_has_changed(void)
{
	auto_with(made_done) struct made m;
	int held, lock = -1, none = -1;

	begin(&m);
	held = twin(&m);
	is_int(place_take(&m.h, "ab", &lock, &m.e), 0);
	is_int(place_rename(&m.h, TWIN_PREFIX "x", "ab", true, &m.e), ERR_EXISTS);
	scratch_file(&m.s, "boxes/cd/kept", 0600, "{}");
	is_int(place_rename(&m.h, TWIN_PREFIX "x", "cd", true, &m.e), ERR_EXISTS);
	ok(scratch_has(&m.s, "boxes/cd/kept"));
	ok(place_rename(&m.h, TWIN_PREFIX "y", "ef", true, &m.e) < 0, "there is none");
	ok(!scratch_has(&m.s, "run/ef"));
	ok(scratch_has(&m.s, "boxes/" TWIN_PREFIX "x/g1/upper/file"));
	is_int(place_take(&m.h, TWIN_PREFIX "x", &none, &m.e), ERR_EXISTS);
	close(lock);
	close(held);
}

/* Of one whose name was lost, as above. */
static void what_lies_where_its_changes_go_is_moved_aside(void)
{
	auto_with(made_done) struct made m;
	int held;

	begin(&m);
	held = twin(&m);
	scratch_file(&m.s, "boxes/ab/g1/upper/old", 0600, "of before");
	is_int(place_rename(&m.h, TWIN_PREFIX "x", "ab", true, &m.e), 0);
	ok(scratch_has(&m.s, "boxes/ab/g1/upper/file") && !scratch_has(&m.s, "boxes/ab/g1/upper/old"));
	close(held);
}

static void what_a_twin_leaves_is_used_again(void)
{
	auto_with(made_done) struct made m;
	int held;

	begin(&m);
	is_int(place_take(&m.h, TWIN_PREFIX "x", &held, &m.e), 0);
	unused(&m, TWIN_PREFIX "x");
	place_upper_give_back(&m.h, TWIN_PREFIX "x");
	close(held);
	place_give_back(&m.h, TWIN_PREFIX "x", false);
	is_int(scratch_names(&m.s, "boxes"), 0);
	is_int(scratch_names(&m.s, "pool"), 1);
	is_int(place_take(&m.h, "ab", &held, &m.e), 0);
	is_int(place_upper_take(&m.h, "ab", &m.e), 0);
	is_int(scratch_names(&m.s, "pool"), 0);
	is_int(scratch_names(&m.s, "run/.free"), 0);
	close(held);
}

static void giving_back_what_is_not_there_does_nothing(void)
{
	auto_with(made_done) struct made m;

	begin(&m);
	place_upper_give_back(&m.h, "ab");
	place_give_back(&m.h, "ab", true);
	scratch_link(&m.s, "/tmp", "boxes/link");
	place_upper_give_back(&m.h, "link");
	ok(scratch_has(&m.s, "boxes/link"), "what is no directory of ours is not followed");
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_name_is_taken_once_and_is_free_again_when_its_lock_closes),
		TAP_TEST(a_name_that_is_held_is_not_given_back),
		TAP_TEST(an_unused_name_that_is_locked_for_a_moment_yet_is_waited_for),
		TAP_TEST(what_the_dead_left_goes_to_the_trash_before_the_name_is_used),
		TAP_TEST(what_is_kept_is_thrown_away_by_nobody_but_who_removes_it),
		TAP_TEST(the_lowest_generation_is_continued_with_new_work_directories),
		TAP_TEST(a_damaged_record_says_so_and_can_be_removed),
		TAP_TEST(a_name_without_a_lock_file_is_free),
		TAP_TEST(a_sweeper_that_removes_what_has_no_lock_yet_stops_nobody),
		TAP_TEST(a_name_that_is_being_removed_is_not_listed_and_is_waited_for),
		TAP_TEST(what_is_no_directory_or_no_lock_is_refused),
		TAP_TEST(names_are_used_again_and_nothing_is_in_them),
		TAP_TEST(what_waits_is_looked_at_before_it_is_used),
		TAP_TEST(a_name_the_file_system_refuses_is_told),
		TAP_TEST(a_directory_is_made_or_taken_from_the_pool),
		TAP_TEST(one_that_is_mounted_yet_is_not_taken_from_the_pool),
		TAP_TEST(one_that_was_written_to_in_the_pool_is_not_taken),
		TAP_TEST(one_that_cannot_be_looked_at_stays_in_the_pool),
		TAP_TEST(what_a_lost_name_left_is_moved_aside),
		TAP_TEST(a_directory_nobody_wrote_to_goes_to_the_pool_without_its_work),
		TAP_TEST(a_directory_that_is_not_as_it_was_goes_to_the_trash),
		TAP_TEST(a_fork_nobody_wrote_to_goes_to_the_pool_without_its_layers),
		TAP_TEST(a_full_pool_is_no_loss),
		TAP_TEST(what_waits_is_bounded),
		TAP_TEST(what_waits_can_be_removed),
		TAP_TEST(another_name_comes_with_lock_and_changes),
		TAP_TEST(a_name_that_is_taken_or_kept_is_refused_and_nothing_has_changed),
		TAP_TEST(what_lies_where_its_changes_go_is_moved_aside),
		TAP_TEST(what_a_twin_leaves_is_used_again),
		TAP_TEST(giving_back_what_is_not_there_does_nothing),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
