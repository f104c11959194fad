/* SPDX-License-Identifier: Apache-2.0
 *
 * unused_test.c - which layers go, also where they are noted while somebody looks
 */
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/scratch.h"
#include "base/whole.h"
#include "inside/sweep.h"
#include "tap.h"

#define A "s.000000000000000a"
#define B "s.000000000000000b"
#define C "m.000000000000000c"
#define D "s.000000000000000d"

enum { OLD_US = 250000 /* so that what was read is not read again */ };

struct store {
	struct scratch s;
	int layers, boxes, trash;
};

static int make(struct store *t, const char *name)
{
	return mkdirat(t->s.fd, name, 0700) < 0 ? -1 : openat(t->s.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool store_open(struct store *t)
{
	static const char *const names[] = {A, B, C, D};

	t->layers = t->boxes = t->trash = -1;
	if (!ok(scratch_open(&t->s), "no directory"))
		return false;
	t->layers = make(t, "layers");
	t->boxes = make(t, "boxes");
	t->trash = make(t, "trash");
	for (int i = 0; i < 4; i++)
		ok(mkdirat(t->layers, names[i], 0700) == 0);
	ok(mkdirat(t->boxes, "one", 0700) == 0 && mkdirat(t->boxes, "one/snapshots", 0700) == 0 && mkdirat(t->boxes, "two", 0700) == 0);
	return true;
}

static void store_close(struct store *t)
{
	close_fd(&t->layers);
	close_fd(&t->boxes);
	close_fd(&t->trash);
	scratch_close(&t->s);
}

static void note(struct store *t, const char *dir, const char *name, const char *text)
{
	auto_fd int at = openat(t->boxes, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err e;

	ok(whole_write(at, name, text, strlen(text), &e) == 0);
}

static bool is_there(const struct store *t, const char *layer)
{
	return faccessat(t->layers, layer, F_OK, 0) == 0;
}

static void those_that_no_file_names_go(void)
{
	auto_with(store_close) struct store t;

	if (!store_open(&t))
		return;
	note(&t, "one", "layers.json", "{\"now\":[\"" A "\"]}");
	note(&t, "one/snapshots", "0", "{\"layers\":\"" B "\n\"}");
	note(&t, "two", "present", "3\n" C "\n");
	sweep_layers(t.layers, t.boxes, t.trash, true);
	ok(is_there(&t, A) && is_there(&t, B) && is_there(&t, C) && !is_there(&t, D));
	ok(unlinkat(t.boxes, "one/snapshots/0", 0) == 0);
	sweep_layers(t.layers, t.boxes, t.trash, false);
	ok(is_there(&t, A) && !is_there(&t, B) && is_there(&t, C));
}

static void while_somebody_makes_one_none_goes(void)
{
	auto_with(store_close) struct store t;
	auto_fd int lock = -1;

	if (!store_open(&t))
		return;
	lock = openat(t.layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(flock(lock, LOCK_SH) == 0);
	sweep_layers(t.layers, t.boxes, t.trash, false);
	ok(is_there(&t, A) && is_there(&t, D));
}

/* A sweep that has looked, and waits for the lock; what is noted meanwhile stays. */
static void what_was_noted_after_the_look_stays(void)
{
	auto_with(store_close) struct store t;
	auto_fd int lock = -1;
	int status = -1;
	pid_t pid;

	if (!store_open(&t))
		return;
	note(&t, "one", "layers.json", "{\"now\":[]}");
	note(&t, "one/snapshots", "0", "{\"layers\":\"" A "\"}");
	note(&t, "two", "layers.json", "{\"now\":[\"" A "\"]}");
	usleep(OLD_US);
	lock = openat(t.layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(flock(lock, LOCK_SH) == 0);
	pid = fork();
	if (pid == 0) {
		close(lock); /* the lock is of its description */
		sweep_layers(t.layers, t.boxes, t.trash, true);
		_exit(0);
	}
	usleep(OLD_US);
	ok(waitpid(pid, &status, WNOHANG) == 0, "it waits");
	note(&t, "one/snapshots", "1", "{\"layers\":\"" B "\"}");   /* a file more */
	note(&t, "two", "layers.json", "{\"now\":[\"" C "\"]}"); /* as long as before */
	ok(flock(lock, LOCK_UN) == 0);
	ok(waitpid(pid, &status, 0) == pid && status == 0);
	ok(is_there(&t, A) && is_there(&t, B) && is_there(&t, C), "a: %d b: %d c: %d", is_there(&t, A), is_there(&t, B), is_there(&t, C));
	ok(!is_there(&t, D));
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(those_that_no_file_names_go),
		TAP_TEST(while_somebody_makes_one_none_goes),
		TAP_TEST(what_was_noted_after_the_look_stays),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
