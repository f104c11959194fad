/* SPDX-License-Identifier: Apache-2.0
 *
 * home_test.c - where things are kept, whose they are, and the nursery that comes and goes
 *
 * The file under test is included: which directories there are is asked without making them.
 */
#include "box/home.c"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/scratch.h"
#include "tap.h"

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

struct place {
	const char *hutch, *runtime, *data, *home; /* environment */
	enum ns_persona persona;
	const char *want_state, *want_data; /* NULL: an error */
};

static void check_place(const struct place *t)
{
	struct ns_ids ids = {.persona = t->persona};
	auto_free char *state = NULL, *data = NULL;
	struct err e = {0};

	set("HUTCH_HOME", t->hutch);
	set("XDG_RUNTIME_DIR", t->runtime);
	set("XDG_DATA_HOME", t->data);
	set("HOME", t->home);
	is_int(find_state(NULL, &ids, &state, &e), 0);
	is_str(state, t->want_state);
	is_int(find_data(NULL, &ids, &data, &e), t->want_data ? 0 : ERR_INVALID);
	is_str(data, t->want_data);
}

static void each_caller_has_his_directories(void)
{
	char tmp[64];
	const struct place t[] = {
		{NULL, NULL, NULL, "/root", NS_ROOT, "/run/hutch", "/var/lib/hutch"},
		{NULL, "/run/user/0", "/xdg", "/root", NS_ROOT, "/run/hutch", "/var/lib/hutch"},
		{"", NULL, NULL, "/root", NS_ROOT, "/run/hutch", "/var/lib/hutch"},
		{"/h", "/run/user/5", "/xdg", "/home/u", NS_SUBIDS, "/h/run", "/h/data"},
		{"/h", NULL, NULL, NULL, NS_ROOT, "/h/run", "/h/data"},
		{NULL, NULL, "/xdg", "/home/u", NS_SUBIDS, tmp, "/xdg/hutch"},
		{NULL, "/no such directory", NULL, "/home/u", NS_ONE_ID, tmp,
		 "/home/u/.local/share/hutch"},
		{NULL, "relative", "relative", "/home/u", NS_NESTED, tmp,
		 "/home/u/.local/share/hutch"},
		{NULL, "/tmp", NULL, "relative", NS_ONE_ID, tmp,
		 NULL}, /* others may write to /tmp */
		{NULL, NULL, NULL, NULL, NS_ONE_ID, tmp, NULL},
	};

	snprintf(tmp, sizeof(tmp), "/tmp/hutch-%u", (unsigned)geteuid());
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		check_place(&t[i]);
}

static void a_runtime_directory_that_is_ours_alone_is_used(void)
{
	struct ns_ids ids = {.persona = NS_SUBIDS};
	auto_free char *state = NULL, *other = NULL;
	struct scratch s;
	char want[100];

	if (!ok(scratch_open(&s)))
		return;
	set("HUTCH_HOME", NULL);
	set("XDG_RUNTIME_DIR", s.path); /* mkdtemp() makes it 0700 */
	is_int(find_state(NULL, &ids, &state, NULL), 0);
	snprintf(want, sizeof(want), "%s/hutch", s.path);
	is_str(state, want);
	ok(chmod(s.path, 0701) == 0);
	is_int(find_state(NULL, &ids, &other, NULL), 0);
	ok(other && strcmp(other, want), "others may enter it: %s", other);
	scratch_close(&s);
}

/* ---- whose they are -------------------------------------------------------------------------- */

static int open_at(const struct scratch *s, const char *name, struct err *e)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	fd = open_own(path, e);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void a_directory_is_made_closed_to_others(void)
{
	struct scratch s;
	struct err e = {0};
	struct stat st;

	if (!ok(scratch_open(&s)))
		return;
	is_int(open_at(&s, "a/b/c", &e), 0);
	ok(fstatat(s.fd, "a/b/c", &st, 0) == 0);
	is_int(st.st_mode & 07777, 0700);
	is_int(open_at(&s, "a/b/c", &e), 0);
	scratch_close(&s);
}

static void a_directory_open_to_others_is_refused(void)
{
	static const mode_t modes[] = {0755, 0710, 0701, 0770, 01777};
	struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "d", 0700);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		ok(fchmodat(s.fd, "d", modes[i], 0) == 0);
		ok(open_at(&s, "d", &e) == ERR_PERMISSION, "%04o", modes[i]);
		ok(strstr(e.msg, "chmod 700"), "%s", e.msg);
	}
	scratch_close(&s);
}

static void a_directory_of_somebody_else_is_refused(void)
{
	struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "d", 0700);
	if (fchownat(s.fd, "d", 12345, 12345, 0) == 0) {
		is_int(open_at(&s, "d", &e), ERR_PERMISSION);
		ok(strstr(e.msg, "uid 12345") && strstr(e.msg, "HUTCH_HOME"), "%s", e.msg);
	} else {
		skip("needs root");
	}
	scratch_close(&s);
}

static void what_is_no_directory_is_refused(void)
{
	struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "real", 0700);
	scratch_link(&s, "real", "link");
	scratch_file(&s, "file", 0600, "");
	scratch_link(&s, "nowhere", "dangling");
	ok(open_at(&s, "link", &e) < 0, "somebody could change where it leads: %s", e.msg);
	ok(open_at(&s, "file", &e) < 0, "%s", e.msg);
	ok(open_at(&s, "dangling", &e) < 0, "%s", e.msg);
	ok(open_at(&s, "file/below", &e) < 0, "%s", e.msg);
	scratch_close(&s);
}

/* ---- the nursery ----------------------------------------------------------------------------- */

/* Waits for the end of orphans, which are ours as long as we are their subreaper. */
static int collect_orphans(void)
{
	int n = 0;

	for (int i = 0; i < 300; i++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);

		if (pid < 0)
			return n;
		n += pid > 0;
		if (pid == 0)
			usleep(10000);
	}
	return -1;
}

static void a_home_leaves_nothing_when_it_closes(void)
{
	struct home_ask ask = {.keep_spare = true, .prepare = true, .net = true};
	int before = scratch_descriptors();
	struct home *h = NULL;
	struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s)))
		return;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	set("HUTCH_HOME", s.path);
	if (ok(home_open(&ask, &h, &e) == 0, "%s", e.msg)) {
		is_int(scratch_names(&s, "data"), 4);
		is_int(h->owner, getpid());
		is_int(home_check_owner(h, &e), 0);
		home_close(h);
	}
	ask.directory = s.path;
	set("HUTCH_HOME", "/no/such");
	if (ok(home_open(&ask, &h, &e) == 0, "%s", e.msg)) {
		ok(!strncmp(h->state_path, s.path, strlen(s.path)) && !strncmp(h->data_path, s.path, strlen(s.path)),
		   "%s %s", h->state_path, h->data_path);
		home_close(h);
	}
	is_int(collect_orphans() >= 1, 1); /* the nursery, and its keeper if that outlived it */
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	scratch_close(&s);
	is_int(scratch_descriptors(), before);
}

static void helpers_that_are_children_are_waited_for(void)
{
	struct home_ask ask = {.children = true, .keep_spare = true};
	struct home *h = NULL;
	struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s)))
		return;
	set("HUTCH_HOME", s.path);
	if (ok(home_open(&ask, &h, &e) == 0, "%s", e.msg)) {
		ok(h->nursery_pid > 0 && kill(h->nursery_pid, 0) == 0);
		home_close(h);
	}
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
	scratch_close(&s);
}

/* The name of a process of ours. */
static void name_of(pid_t pid, char name[32])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	*name = '\0';
	if (!f)
		return;
	if (fgets(name, 32, f))
		name[strcspn(name, "\n")] = '\0';
	fclose(f);
}

static void who_makes_one_sandbox_starts_its_keeper_himself(void)
{
	struct home_ask ask = {.children = true, .prepare = true, .net = true};
	int before = scratch_descriptors();
	struct spare k = SPARE_NONE;
	struct home *h = NULL;
	struct scratch s;
	struct err e = {0};
	siginfo_t which = {0};
	char name[32];

	if (!ok(scratch_open(&s)))
		return;
	set("HUTCH_HOME", s.path);
	if (ok(home_open(&ask, &h, &e) == 0, "%s", e.msg)) {
		is_int(h->nursery, -1);
		ok(home_take_keeper(h, true, false, 0, &k, &e) == 0, "%s", e.msg);
		ok(k.child && k.pidfd >= 0);
		is_int(k.userns >= 0, k.prep.ids == PLAN_IDS_MAP);
		sys_pidfd_signal(k.pidfd, SIGKILL);
		ok(waitid((idtype_t)3 /* P_PIDFD */, (id_t)k.pidfd, &which, WEXITED | WNOWAIT) == 0);
		name_of(which.si_pid, name);
		ok(strstr(name, "hutch-"), "its name is '%s'", name); /* of the program, until it has given itself one */
		home_drop_keeper(&k);
		home_close(h);
	}
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
	scratch_close(&s);
	is_int(scratch_descriptors(), before);
}

static void a_nursery_that_died_is_started_anew(void)
{
	struct home_ask ask = {.children = true, .keep_spare = true};
	struct spare k = SPARE_NONE;
	struct home *h = NULL;
	struct scratch s;
	struct err e = {0};
	siginfo_t end;
	pid_t old;

	if (!ok(scratch_open(&s)))
		return;
	set("HUTCH_HOME", s.path);
	if (ok(home_open(&ask, &h, &e) == 0, "%s", e.msg)) {
		old = h->nursery_pid;
		kill(old, SIGKILL);
		waitid(P_PID, (id_t)old, &end, WEXITED | WNOWAIT);
		ok(home_take_keeper(h, false, false, 0, &k, &e) == 0, "%s", e.msg);
		ok(h->nursery_pid != old && h->nursery_pid > 0);
		close_fd(&k.ctl);
		home_close(h);
	}
	scratch_close(&s);
}

static void a_home_that_cannot_be_opened_leaves_no_process(void)
{
	struct home_ask ask = {.children = true};
	int before = scratch_descriptors();
	struct home *h = NULL;
	struct scratch s;
	struct err e = {0};

	if (!ok(scratch_open(&s)))
		return;
	scratch_dir(&s, "data", 0755);
	set("HUTCH_HOME", s.path);
	is_int(home_open(&ask, &h, &e), ERR_PERMISSION);
	ok(strstr(e.msg, "data directory: "), "%s", e.msg);
	ok(!h);
	ok(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
	scratch_close(&s);
	is_int(scratch_descriptors(), before);
}

static void the_spare_is_given_to_who_wants_its_kind(void)
{
	struct home_ask ask = {.children = true, .keep_spare = true, .prepare = true, .net = true};
	struct spare k = SPARE_NONE, other = SPARE_NONE;
	struct home *h = NULL;
	struct scratch s;
	struct err e = {0};
	int spare;

	if (!ok(scratch_open(&s)))
		return;
	set("HUTCH_HOME", s.path);
	if (ok(home_open(&ask, &h, &e) == 0, "%s", e.msg)) {
		spare = h->spare.ctl;
		ok(home_take_keeper(h, false, false, 0, &other, &e) == 0, "%s", e.msg);
		ok(other.ctl != spare && h->spare.ctl == spare, "it has another network");
		ok(home_take_keeper(h, true, false, 0, &k, &e) == 0, "%s", e.msg);
		is_int(k.ctl, spare);
		is_int(h->spare.ctl, -1);
		home_fill_spare(h, true, false);
		ok(h->spare.ctl >= 0);
		close_fd(&k.ctl);
		close_fd(&other.ctl);
		home_close(h);
	}
	scratch_close(&s);
}

static void a_forked_child_is_told_to_open_its_own(void)
{
	struct home h = {.owner = getpid() + 1};
	struct err e = {0};

	is_int(home_check_owner(&h, &e), ERR_STATE);
	ok(strstr(e.msg, "forked child"), "%s", e.msg);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(each_caller_has_his_directories),
		TAP_TEST(a_runtime_directory_that_is_ours_alone_is_used),
		TAP_TEST(a_directory_is_made_closed_to_others),
		TAP_TEST(a_directory_open_to_others_is_refused),
		TAP_TEST(a_directory_of_somebody_else_is_refused),
		TAP_TEST(what_is_no_directory_is_refused),
		TAP_TEST(a_home_leaves_nothing_when_it_closes),
		TAP_TEST(helpers_that_are_children_are_waited_for),
		TAP_TEST(who_makes_one_sandbox_starts_its_keeper_himself),
		TAP_TEST(a_nursery_that_died_is_started_anew),
		TAP_TEST(a_home_that_cannot_be_opened_leaves_no_process),
		TAP_TEST(the_spare_is_given_to_who_wants_its_kind),
		TAP_TEST(a_forked_child_is_told_to_open_its_own),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
