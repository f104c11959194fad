/* SPDX-License-Identifier: Apache-2.0
 *
 * own_test.c - what a declaration owns goes away with it, once, and errno stays
 */
#include "base/own.h"

#include "base/scratch.h"
#include "tap.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int open_one(bool keep)
{
	auto_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int seen = fd;

	errno = 77;
	return keep ? take_fd(&fd) : seen;
}

static void a_descriptor_closes_on_every_way_out_and_errno_stays(void)
{
	int fd = open_one(false);

	is_int(errno, 77);
	ok(!is_open(fd));
}

static void a_descriptor_that_is_taken_stays_open(void)
{
	int fd = open_one(true);

	ok(is_open(fd));
	close_fd(&fd);
	is_int(fd, -1);
	close_fd(&fd);
	is_int(fd, -1);
}

static void closing_keeps_errno_also_when_it_fails(void)
{
	int fd = 1 << 20; /* not open */

	errno = 55;
	close_fd(&fd);
	is_int(errno, 55);
	is_int(fd, -1);
}

static void descriptor_zero_is_a_descriptor(void)
{
	int keep = fcntl(0, F_DUPFD_CLOEXEC, 3), fd;

	if (keep >= 0)
		close(0);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	is_int(fd, 0);
	close_fd(&fd);
	ok(!is_open(0));
	if (keep >= 0) {
		dup2(keep, 0);
		close(keep);
	}
}

static char *make_text(bool keep)
{
	auto_free char *text = strdup("text");
	auto_free char *none = NULL;

	return keep ? take_ptr(&text) : none;
}

static void memory_is_freed_or_handed_over(void)
{
	char *text = make_text(true);

	is_str(text, "text");
	free(text);
	ok(!make_text(false)); /* the leak check says the rest */
}

static void a_list_of_a_directory_is_closed(void)
{
	int before = scratch_descriptors();

	{
		auto_dir DIR *d = opendir("/");
		auto_dir DIR *none = NULL;

		ok(d && !none);
		is_int(scratch_descriptors(), before + 1);
		errno = 12;
	}
	is_int(errno, 12);
	is_int(scratch_descriptors(), before);
}

struct half {
	const char *name;
	int *undone;
};

static void undo(struct half *h)
{
	if (h->name)
		++*h->undone;
}

static void half_done_work_undoes_itself_unless_kept(void)
{
	int undone = 0;

	{
		auto_with(undo) struct half h = {.undone = &undone};

		h.name = "made";
	}
	is_int(undone, 1);
	{
		auto_with(undo) struct half h = {.undone = &undone};

		h.name = "made";
		h.name = NULL;
	}
	is_int(undone, 1);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_descriptor_closes_on_every_way_out_and_errno_stays),
		TAP_TEST(a_descriptor_that_is_taken_stays_open),
		TAP_TEST(closing_keeps_errno_also_when_it_fails),
		TAP_TEST(descriptor_zero_is_a_descriptor),
		TAP_TEST(memory_is_freed_or_handed_over),
		TAP_TEST(a_list_of_a_directory_is_closed),
		TAP_TEST(half_done_work_undoes_itself_unless_kept),
	};
	return tap_run(t, sizeof(t) / sizeof(*t));
}
