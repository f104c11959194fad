/* SPDX-License-Identifier: Apache-2.0
 *
 * parse_mount_test.c - paths, devices, volumes, mounts, tmpfs
 */
#include "spec/parse.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct err e;

static void host_path_is(const char *text, const char *want)
{
	char *got = NULL;

	if (ok(parse_host_path(text, &got, &e) == 0, "'%s': %s", text, e.msg))
		is_str(got, want);
	free(got);
}

static void paths_of_the_host_are_made_absolute_and_nothing_else(void)
{
	char here[PATH_MAX], want[PATH_MAX + 20], longer[PATH_MAX + 10];
	char *got = NULL;

	if (!getcwd(here, sizeof(here)))
		return skip("no current directory");
	snprintf(want, sizeof(want), "%s/x/../y", here);
	host_path_is("./x/../y", want);
	host_path_is("x/../y", want);
	host_path_is(".//./x/../y", want);
	host_path_is(".", here);
	host_path_is("./", here);
	host_path_is("/a//b/..", "/a//b/..");
	snprintf(want, sizeof(want), "%s/..", here);
	host_path_is("..", want);
	is_int(parse_host_path("", &got, &e), ERR_INVALID);
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	is_int(parse_host_path(longer, &got, &e), ERR_INVALID);
	longer[0] = '/';
	is_int(parse_host_path(longer, &got, &e), ERR_INVALID);
	if (ok(chdir("/") == 0)) {
		host_path_is(".", "/");
		host_path_is("./etc", "/etc");
		ok(chdir(here) == 0);
	}
}

static void a_current_directory_that_is_gone_is_told(void)
{
	char here[PATH_MAX], dir[] = "/tmp/hutch-test-XXXXXX";
	char *got = NULL;

	if (!getcwd(here, sizeof(here)) || !mkdtemp(dir) || chdir(dir) < 0)
		return skip("no temporary directory");
	rmdir(dir);
	is_int(parse_host_path("x/y", &got, &e), ERR_NOT_FOUND);
	ok(chdir(here) == 0);
}

static void a_root_file_system_is_a_directory_that_is_there(void)
{
	char *got = NULL;

	ok(parse_rootfs("/", &got, &e) == 0);
	is_str(got, "/");
	free(got);
	got = NULL;
	is_int(parse_rootfs("/nonexistent/x", &got, &e), ERR_NOT_FOUND);
	is_str(e.msg, "'/nonexistent/x': No such file or directory");
	is_int(parse_rootfs("/dev/null", &got, &e), ERR_INVALID);
	is_str(e.msg, "'/dev/null' is not a directory");
	ok(!got);
}

static void targets_have_one_form_and_stay_inside(void)
{
	static const struct {
		const char *text, *want;
	} right[] = {{"/a", "/a"},
		     {"//a/./b/../c/", "/a/c"},
		     {"/devices", "/devices"},
		     {"/procfs", "/procfs"},
		     {"/a\nb", "/a\nb"}};
	static const char *const wrong[] = {
		"",	  "a",	      "/",	    "/..",	     "/a/../..",
		"/a/..",  "/proc",    "/proc/x",    "/sys/fs",	     "/dev",
		"/dev/x", "/dev/shm", "/a/../proc", "/dev/shm/x",   "./a"};
	char longer[PATH_MAX + 10], *got = NULL;

	for (size_t i = 0; i < COUNT(right); i++) {
		if (ok(parse_target(right[i].text, &got, &e) == 0, "'%s': %s", right[i].text,
		       e.msg))
			is_str(got, right[i].want);
		free(got);
		got = NULL;
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		ok(parse_target(wrong[i], &got, &e) == ERR_INVALID, "'%s'", wrong[i]);
	is_int(parse_target("/x/../proc/self", &got, &e), ERR_INVALID);
	is_str(e.msg, "nothing can be mounted in /proc ('/proc/self')");
	memset(longer, 'a', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	is_int(parse_target(longer, &got, &e), ERR_INVALID);
	memcpy(longer + sizeof(longer) - 4, "/..", 4);
	is_int(parse_target(longer, &got, &e), ERR_INVALID);
}

static void devices_have_a_place_and_a_mode(void)
{
	static const struct {
		const char *text, *target;
		bool read, write;
	} right[] = {{"/dev/null", "/dev/null", true, true},
		     {"/dev/null:/dev/x/../y", "/dev/y", true, true},
		     {"/dev/null:r", "/dev/null", true, false},
		     {"/dev/null:/dev/y:wm", "/dev/y", false, true},
		     {"/dev/null:/dev/y:rwm", "/dev/y", true, true}};
	static const char *const wrong[] = {
		"",
		"/dev/null:/dev/y:rw:x",
		"/dev/null:/dev/y:x",
		"/dev/null:x",
		"/dev/null:/dev/y:",
		"/dev/null:/dev/y:m",
		"/dev/null:/y",
		"/dev/null:/dev",
		"/dev/null:/dev/pts/0",
		"/dev/null:/dev/shm/x",
		"/etc/passwd:/dev/x",
		":/dev/x",
		"/dev/null:",
		"/dev/null:/dev/../y",
	};
	struct spec_device d = {0};

	for (size_t i = 0; i < COUNT(right); i++) {
		if (!ok(parse_device(right[i].text, &d, &e) == 0, "'%s': %s", right[i].text, e.msg))
			continue;
		is_str(d.source, "/dev/null");
		is_str(d.target, right[i].target);
		ok(d.read == right[i].read && d.write == right[i].write, "%s", right[i].text);
		free(d.source);
		free(d.target);
	}
	for (size_t i = 0; i < COUNT(wrong); i++)
		ok(parse_device(wrong[i], &d, &e) == ERR_INVALID, "'%s'", wrong[i]);
	is_int(parse_device("/dev/nonexistent", &d, &e), ERR_NOT_FOUND);
}

typedef int parse_fn(const char *text, struct spec_mount *ret, struct err *why);

/* Parses, compares, and checks that its own text parses to the same. */
static void mount_is(parse_fn *fn, const char *text, const struct spec_mount *want,
		     const char *want_text)
{
	struct spec_mount m = {0};
	char *again;

	if (!ok(fn(text, &m, &e) == 0, "'%s': %s", text, e.msg))
		return;
	is_int(m.kind, want->kind);
	is_str(m.target, want->target);
	ok(!m.source == !want->source && (!m.source || strcmp(m.source, want->source) == 0), "%s",
	   text);
	ok(m.size_bytes == want->size_bytes && m.exec == want->exec &&
		   m.nonrecursive == want->nonrecursive,
	   "%s", text);
	is_int(m.mode, want->kind == SPEC_TMPFS && !want->mode ? 01777 : want->mode);
	again = parse_mount_text(&m);
	is_str(again, want_text);
	free(again);
	free(m.source);
	free(m.target);
}

static void mount_fails(parse_fn *fn, const char *text, int code)
{
	struct spec_mount m = {0};
	int r = fn(text, &m, &e);

	ok(r == code && !m.target, "'%s' gave %d: %s", text, r, e.msg);
}

#define BIND(how, from, to)                               \
	&(struct spec_mount)                              \
	{                                                 \
		.kind = how, .source = from, .target = to \
	}

static char etc[] = "/etc", etcd[] = "/etc/", a[] = "/a";

static void volumes_are_source_target_and_options(void)
{
	static const char *const invalid[] = {"",
					      ":",
					      ":/a",
					      "/etc:",
					      "/etc:/a:",
					      "/etc:/a:ro,rw",
					      "/etc:/a:x",
					      "/etc:/a:ro:z",
					      "/etc:a",
					      "/etc:/",
					      "/etc:/proc/x",
					      "/etc::ro",
					      "/etc:/a:ro,"};
	static const char *const named[] = {"data:/a", "/a", "./x", "data", "data:/a:ro"};

	mount_is(parse_volume, "/etc:/a", BIND(SPEC_BIND_RW, etc, a), "/etc:/a");
	mount_is(parse_volume, "/etc:/a:rw", BIND(SPEC_BIND_RW, etc, a), "/etc:/a");
	mount_is(parse_volume, "/etc/:/b/../a/:ro", BIND(SPEC_BIND_RO, etcd, a), "/etc/:/a:ro");
	mount_is(parse_volume, "/etc:/a:cow", BIND(SPEC_BIND_COW, etc, a), "/etc:/a:cow");
	mount_is(parse_volume,
		 "/etc:/a:z,ro,Z,cached,delegated,consistent,nocopy,rprivate,"
		 "private,rshared,shared,rslave,slave",
		 BIND(SPEC_BIND_RO, etc, a), "/etc:/a:ro");
	for (size_t i = 0; i < COUNT(invalid); i++)
		mount_fails(parse_volume, invalid[i], ERR_INVALID);
	for (size_t i = 0; i < COUNT(named); i++)
		mount_fails(parse_volume, named[i], ERR_UNSUPPORTED);
	is_str(e.msg, "named volumes are not there yet; write ./name for a directory");
	mount_fails(parse_volume, "/nonexistent/x:/a", ERR_NOT_FOUND);
	is_str(e.msg, "source '/nonexistent/x': No such file or directory");
	mount_fails(parse_volume, "./nonexistent/x:/a", ERR_NOT_FOUND);
}

static void mounts_are_said_in_words(void)
{
	mount_is(parse_mount, "type=bind,source=/etc,target=/a", BIND(SPEC_BIND_RW, etc, a),
		 "/etc:/a");
	mount_is(parse_mount, "TYPE=bind,src=/etc,dst=/a,readonly", BIND(SPEC_BIND_RO, etc, a),
		 "/etc:/a:ro");
	mount_is(parse_mount, "type=bind,src=/etc,destination=/a,ro=true,consistency=cached",
		 BIND(SPEC_BIND_RO, etc, a), "/etc:/a:ro");
	mount_is(parse_mount, "type=bind,src=/etc,dst=/a,readonly=false,bind-propagation=rslave",
		 BIND(SPEC_BIND_RW, etc, a), "/etc:/a");
	mount_is(parse_mount, "type=bind,src=/etc,dst=/a,cow,bind-recursive=enabled",
		 BIND(SPEC_BIND_COW, etc, a), "/etc:/a:cow");
	mount_is(parse_mount, "type=bind,src=/etc,dst=/a,bind-nonrecursive,cow",
		 &(struct spec_mount){
			 .kind = SPEC_BIND_COW, .source = etc, .target = a, .nonrecursive = true},
		 "type=bind,source=/etc,target=/a,cow,bind-nonrecursive");
	mount_is(parse_mount, "type=bind,src=/etc,dst=/a,bind-recursive=disabled,ro",
		 &(struct spec_mount){
			 .kind = SPEC_BIND_RO, .source = etc, .target = a, .nonrecursive = true},
		 "type=bind,source=/etc,target=/a,readonly,bind-nonrecursive");
	mount_is(parse_mount, "type=tmpfs,dst=/a,tmpfs-size=1m,tmpfs-mode=700",
		 &(struct spec_mount){
			 .kind = SPEC_TMPFS, .target = a, .size_bytes = 1048576, .mode = 0700},
		 "/a:size=1048576,mode=0700");
}

static void paths_with_commas_quotes_and_colons_go_round(void)
{
	char odd[] = "/a,\"b\":c";
	struct spec_mount tmpfs = {
		.kind = SPEC_TMPFS, .target = odd, .size_bytes = 5, .mode = 0700};

	mount_is(parse_mount, "type=bind,src=/etc,\"dst=/a,\"\"b\"\":c\"",
		 BIND(SPEC_BIND_RW, etc, odd), "type=bind,source=/etc,\"target=/a,\"\"b\"\":c\"");
	mount_is(parse_mount, "type=tmpfs,\"dst=/a,\"\"b\"\":c\",tmpfs-size=5,tmpfs-mode=700",
		 &tmpfs, "type=tmpfs,\"target=/a,\"\"b\"\":c\",tmpfs-size=5,tmpfs-mode=0700");
}

static void wrong_mounts_say_what_is_wrong(void)
{
	static const struct {
		const char *text;
		int code;
		const char *msg;
	} wrong[] = {
		{"", ERR_INVALID, "unknown key ''"},
		{"type=bind,src=/etc", ERR_INVALID, "target= is missing"},
		{"type=bind,dst=/a", ERR_INVALID, "type=bind needs source="},
		{"type=bind,src=/etc,dst=/a,redonly", ERR_INVALID,
		 "unknown key 'redonly'; did you mean 'readonly'?"},
		{"type=bind,src=,dst=/a", ERR_INVALID, "'src' needs a value"},
		{"type,dst=/a", ERR_INVALID, "'type' needs a value"},
		{"type=bind,src=/etc,dst=/a,ro,cow", ERR_INVALID, "only one of readonly and cow"},
		{"type=bind,src=/etc,dst=/a,ro=x", ERR_INVALID,
		 "readonly 'x': neither true nor false"},
		{"type=bind,src=/etc,dst=/a,tmpfs-size=1", ERR_INVALID,
		 "tmpfs-… goes with type=tmpfs only"},
		{"type=bind,src=/etc,dst=/a,bind-propagation=x", ERR_INVALID, "no propagation 'x'"},
		{"type=bind,src=/etc,dst=/a,bind-recursive=readonly", ERR_UNSUPPORTED,
		 "bind-recursive is enabled or disabled"},
		{"type=bind,src=/nonexistent,dst=/a", ERR_NOT_FOUND,
		 "source '/nonexistent': No such file or directory"},
		{"type=bind,src=/etc,dst=/sys/x", ERR_INVALID,
		 "nothing can be mounted in /sys ('/sys/x')"},
		{"type=tmpfs,dst=/a,src=/etc", ERR_INVALID,
		 "type=tmpfs takes no source, cow or bind-…"},
		{"type=tmpfs,dst=/a,readonly", ERR_UNSUPPORTED,
		 "an empty tmpfs that cannot be written"},
		{"type=tmpfs,dst=/a,tmpfs-size=x", ERR_INVALID,
		 "size 'x': not a size (4096, 512k, 1.5g)"},
		{"type=tmpfs,dst=/a,tmpfs-mode=9", ERR_INVALID, "'9' is not a mode (1777)"},
		{"type=tmpfs,dst=/a,tmpfs-mode=77777", ERR_INVALID, "77777 is not a mode (1777)"},
		{"type=image,dst=/a", ERR_INVALID, "no type 'image' (bind, tmpfs)"},
		{"src=data,dst=/a", ERR_UNSUPPORTED,
		 "named volumes (type=volume, the default) are not there yet; write type=bind or "
		 "type=tmpfs"},
		{"type=volume,volume-nocopy,dst=/a", ERR_UNSUPPORTED,
		 "named volumes are not there yet; write ./name for a directory"},
		{"type=bind,\"src=/etc,dst=/a", ERR_INVALID, "a quote that is not closed"},
		{"\"type=bind\"x,dst=/a", ERR_INVALID, "a quote that is not closed"},
	};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		mount_fails(parse_mount, wrong[i].text, wrong[i].code);
		is_str(e.msg, wrong[i].msg);
	}
}

static void tmpfs_takes_size_mode_and_exec(void)
{
	static const char *const invalid[] = {"",	   "a",		  "/",	       "/a:x",
					      "/a:size=",  "/a:size=50%", "/a:size=0", "/a:mode=x",
					      "/a:mode=8", "/dev",	  ":size=1"};
	static const char *const refused[] = {"/a:ro",	  "/a:suid",  "/a:dev",
					      "/a:uid=1", "/a:gid=1", "/a:nr_inodes=5"};

	mount_is(parse_tmpfs, "/a", &(struct spec_mount){.kind = SPEC_TMPFS, .target = a}, "/a");
	mount_is(parse_tmpfs, "/a:", &(struct spec_mount){.kind = SPEC_TMPFS, .target = a}, "/a");
	mount_is(parse_tmpfs, "/a:rw,nosuid,nodev,noexec,noatime,size=64k,mode=1770,exec",
		 &(struct spec_mount){.kind = SPEC_TMPFS,
				      .target = a,
				      .size_bytes = 65536,
				      .mode = 01770,
				      .exec = true},
		 "/a:size=65536,mode=1770,exec");
	mount_is(parse_tmpfs, "/a:exec",
		 &(struct spec_mount){.kind = SPEC_TMPFS, .target = a, .exec = true}, "/a:exec");
	for (size_t i = 0; i < COUNT(invalid); i++)
		mount_fails(parse_tmpfs, invalid[i], ERR_INVALID);
	for (size_t i = 0; i < COUNT(refused); i++)
		mount_fails(parse_tmpfs, refused[i], ERR_UNSUPPORTED);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(paths_of_the_host_are_made_absolute_and_nothing_else),
		TAP_TEST(a_current_directory_that_is_gone_is_told),
		TAP_TEST(a_root_file_system_is_a_directory_that_is_there),
		TAP_TEST(targets_have_one_form_and_stay_inside),
		TAP_TEST(devices_have_a_place_and_a_mode),
		TAP_TEST(volumes_are_source_target_and_options),
		TAP_TEST(mounts_are_said_in_words),
		TAP_TEST(paths_with_commas_quotes_and_colons_go_round),
		TAP_TEST(wrong_mounts_say_what_is_wrong),
		TAP_TEST(tmpfs_takes_size_mode_and_exec),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
