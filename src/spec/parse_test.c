/* SPDX-License-Identifier: Apache-2.0
 *
 * parse_test.c - the text of single values
 */
#include "spec/parse.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "spec/list.h"
#include "tap.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct err e;

/* ---- numbers and switches ---- */

static void sizes_are_what_docker_takes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} right[] = {
		{"0", 0},
		{"4096", 4096},
		{"512k", 524288},
		{"1.5g", 1610612736},
		{"1.5 GB", 1610612736},
		{"64MiB", 67108864},
		{"10b", 10},
		{"1K", 1024},
		{"1ki", 1024},
		{"2t", 2199023255552},
		{"1p", 1125899906842624},
		{"0.5k", 512},
		{"9223372036854775807", 9223372036854775807U},
	};
	static const char *const wrong[] = {
		"",    " ",    "k",   "-1",  "1x",	  "1kbb",
		"1 ",  "1  k", " 1k", "1.5", "1.b",	  "1..5k",
		"0x1", "1e3",  "1ib", "1kk", "99999999p", "9223372036854775808",
		"1k\n"};
	uint64_t n;

	for (size_t i = 0; i < COUNT(right); i++)
		ok(parse_size(right[i].text, &n, &e) == 0 && n == right[i].bytes, "'%s' is %llu",
		   right[i].text, (unsigned long long)n);
	for (size_t i = 0; i < COUNT(wrong); i++)
		is_int(parse_size(wrong[i], &n, &e), ERR_INVALID);
	is_int(parse_size("9999p", &n, &e), ERR_INVALID);
	is_str(e.msg, "too large a size");
	is_int(parse_size("x", &n, NULL), ERR_INVALID);
}

static void times_are_seconds_or_have_units(void)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} right[] = {{"0", 0},	       {"10", 10000},	{"1.5", 1500},	       {"200ms", 200},
		     {"2m", 120000},   {"1h", 3600000}, {"1m30s", 90000},      {"1.5h", 5400000},
		     {"1d", 86400000}, {"0.0001", 1},	{"1h1m1s1ms", 3661001}};
	static const char *const wrong[] = {"",	   "s",	 "10x", "-1",	"1m30",
					    "1 s", "1.", ".5",	"1sec", "10 "};
	uint64_t n;

	for (size_t i = 0; i < COUNT(right); i++)
		ok(parse_duration(right[i].text, &n, &e) == 0 && n == right[i].ms, "'%s' is %llu",
		   right[i].text, (unsigned long long)n);
	for (size_t i = 0; i < COUNT(wrong); i++)
		is_int(parse_duration(wrong[i], &n, &e), ERR_INVALID);
	is_int(parse_duration("99999999999999", &n, &e), ERR_INVALID);
	is_str(e.msg, "too long a time");
	is_int(parse_duration("1000000000s1ms", &n, &e), ERR_INVALID);
}

static void switches_and_whole_numbers_are_strict(void)
{
	static const char *const yes[] = {"true", "1", "yes", "TRUE", "t", "Y"};
	static const char *const no[] = {"false", "0", "no", "False", "f", "n"};
	bool on;
	int n = 0;

	for (size_t i = 0; i < COUNT(yes); i++)
		ok(parse_bool(yes[i], &on, &e) == 0 && on, "%s", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		ok(parse_bool(no[i], &on, &e) == 0 && !on, "%s", no[i]);
	is_int(parse_bool("", &on, &e), ERR_INVALID);
	is_int(parse_bool("maybe", &on, &e), ERR_INVALID);
	ok(parse_int("-5", -5, 5, &n, &e) == 0 && n == -5);
	is_int(parse_int("6", -5, 5, &n, &e), ERR_INVALID);
	is_str(e.msg, "not a whole number from -5 to 5");
}

/* ---- names of the kernel ---- */

static void capabilities_are_named_with_or_without_cap(void)
{
	uint64_t bits;

	ok(parse_cap("CHOWN", &bits, &e) == 0 && bits == 1);
	ok(parse_cap("cap_net_admin", &bits, &e) == 0 && bits == 1ULL << CAP_NET_ADMIN);
	ok(parse_cap("Cap_Checkpoint_Restore", &bits, &e) == 0 &&
	   bits == 1ULL << CAP_CHECKPOINT_RESTORE);
	ok(parse_cap("all", &bits, &e) == 0 && bits == UINT64_MAX);
	is_int(parse_cap("SYS_ADMN", &bits, &e), ERR_INVALID);
	is_str(e.msg, "no such capability; did you mean 'SYS_ADMIN'?");
	is_int(parse_cap("CAP_", &bits, &e), ERR_INVALID);
	is_int(parse_cap("", &bits, &e), ERR_INVALID);
	is_str(e.msg, "no such capability");
	is_str(parse_cap_name(CAP_SYSLOG), "SYSLOG");
	ok(!parse_cap_name(CAP_CHECKPOINT_RESTORE + 1));
}

static void signals_are_named_or_numbered(void)
{
	static const struct {
		const char *text;
		int n;
	} right[] = {{"TERM", SIGTERM},	  {"sigkill", SIGKILL}, {"9", 9},	    {"64", 64},
		     {"SIGCLD", SIGCHLD}, {"RTMIN", 34},	{"SIGRTMIN+3", 37}, {"rtmax-1", 63},
		     {"RTMAX", 64},	  {"INT", SIGINT},	{"SIGSYS", SIGSYS}};
	static const char *const wrong[] = {"",	      "0",	  "65",	     "-1",	   "SIG",
					    "RTMIN+", "RTMIN+31", "RTMAX+1", "SIGSIGTERM", "XYZZY"};
	int n;

	for (size_t i = 0; i < COUNT(right); i++)
		ok(parse_signal(right[i].text, &n, &e) == 0 && n == right[i].n, "'%s' is %d",
		   right[i].text, n);
	for (size_t i = 0; i < COUNT(wrong); i++)
		is_int(parse_signal(wrong[i], &n, &e), ERR_INVALID);
	is_int(parse_signal("TREM", &n, &e), ERR_INVALID);
	is_str(e.msg, "no such signal; did you mean 'TERM'?");
}

static void limits_of_processes_have_all_names(void)
{
	static const char *const wrong[] = {
		"nofile",     "nofile=",   "nofile=1:2:3",	"nofile=x",
		"nofile=1:",  "nofile=:1", "nofile=-2",		"=1",
		"nofile=2:1", "NOFILE=1",  "nofile=unlimited:5"};
	struct spec_rlimit l;

	ok(parse_rlimit("nofile=1024:2048", &l, &e) == 0);
	ok(l.which == RLIMIT_NOFILE && l.soft == 1024 && l.hard == 2048);
	ok(parse_rlimit("core=0", &l, &e) == 0 && l.soft == 0 && l.hard == 0);
	ok(parse_rlimit("stack=5:unlimited", &l, &e) == 0 && l.hard == UINT64_MAX);
	ok(parse_rlimit("as=-1", &l, &e) == 0 && l.soft == UINT64_MAX && l.hard == UINT64_MAX);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		char text[40];

		snprintf(text, sizeof(text), "%s=1", parse_rlimit_name(i));
		ok(parse_rlimit(text, &l, &e) == 0 && l.which == i, "%s", text);
	}
	ok(!parse_rlimit_name(RLIM_NLIMITS));
	for (size_t i = 0; i < COUNT(wrong); i++)
		is_int(parse_rlimit(wrong[i], &l, &e), ERR_INVALID);
	is_int(parse_rlimit("nofiles=1", &l, &e), ERR_INVALID);
	is_str(e.msg, "no limit 'nofiles'; did you mean 'nofile'?");
	is_int(parse_rlimit("a-name-longer-than-any-limit-has-in-linux=1", &l, &e), ERR_INVALID);
}

/* ---- words: each is kept as it is, or in a normal form ---- */

typedef int parse_fn(const char *text, char **ret, struct err *why);

static void keeps(parse_fn *fn, const char *text, const char *want)
{
	char *got = NULL;

	if (ok(fn(text, &got, &e) == 0, "'%s': %s", text, e.msg))
		is_str(got, want);
	free(got);
}

static void refuses(parse_fn *fn, const char *text, int code)
{
	char *got = NULL;
	int r = fn(text, &got, &e);

	ok(r == code && !got && e.code == code, "'%s' is taken as '%s' (%d)", text, got, r);
	free(got);
}

static void names_and_host_names_have_sane_characters(void)
{
	static const char long_name[] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	char longer[202];

	memset(longer, 'a', sizeof(longer));
	longer[201] = '\0';
	keeps(parse_name, "a_b.c-1", "a_b.c-1");
	keeps(parse_name, longer + 1, longer + 1);
	refuses(parse_name, longer, ERR_INVALID);
	refuses(parse_name, "", ERR_INVALID);
	refuses(parse_name, ".a", ERR_INVALID);
	refuses(parse_name, "a/b", ERR_INVALID);
	refuses(parse_name, "a\n", ERR_INVALID);
	keeps(parse_hostname, "box-1.example", "box-1.example");
	keeps(parse_hostname, long_name + 1, long_name + 1);
	refuses(parse_hostname, long_name, ERR_INVALID);
	refuses(parse_hostname, "", ERR_INVALID);
	refuses(parse_hostname, "-a", ERR_INVALID);
	refuses(parse_hostname, "a-", ERR_INVALID);
	refuses(parse_hostname, "a b", ERR_INVALID);
	refuses(parse_hostname, "gr\xc3\xbcn", ERR_INVALID);
	keeps(parse_image, "ghcr.io/o/r:v1@sha256:ab", "ghcr.io/o/r:v1@sha256:ab");
	refuses(parse_image, "", ERR_INVALID);
	refuses(parse_image, "/abs", ERR_INVALID);
	refuses(parse_image, "a b", ERR_INVALID);
}

static void users_and_groups_are_names_or_numbers(void)
{
	keeps(parse_user, "0", "0");
	keeps(parse_user, "nobody:nogroup", "nobody:nogroup");
	keeps(parse_user, "1000:4294967294", "1000:4294967294");
	refuses(parse_user, "", ERR_INVALID);
	refuses(parse_user, ":1", ERR_INVALID);
	refuses(parse_user, "1:", ERR_INVALID);
	refuses(parse_user, "1:2:3", ERR_INVALID);
	refuses(parse_user, "4294967295", ERR_INVALID);
	refuses(parse_user, "-1", ERR_INVALID);
	refuses(parse_user, "a b", ERR_INVALID);
	keeps(parse_group, "video", "video");
	refuses(parse_group, "a:b", ERR_INVALID);
	refuses(parse_group, "", ERR_INVALID);
	refuses(parse_group, "4294967295", ERR_INVALID);
}

static void working_directories_are_absolute(void)
{
	char path[5000];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[4999] = '\0';
	keeps(parse_workdir, "/src/../x y", "/src/../x y");
	refuses(parse_workdir, "src", ERR_INVALID);
	refuses(parse_workdir, "", ERR_INVALID);
	refuses(parse_workdir, path, ERR_INVALID);
}

static void networks_of_later_are_told_from_nonsense(void)
{
	enum spec_net net = SPEC_NET_NONE;

	ok(parse_network("host", &net, &e) == 0 && net == SPEC_NET_HOST);
	ok(parse_network("none", &net, &e) == 0 && net == SPEC_NET_NONE);
	is_int(parse_network("nat", &net, &e), ERR_UNSUPPORTED);
	is_int(parse_network("allow:a.com", &net, &e), ERR_UNSUPPORTED);
	is_int(parse_network("mynet", &net, &e), ERR_UNSUPPORTED);
	is_int(parse_network("", &net, &e), ERR_INVALID);
}

static void hosts_and_name_servers_are_addresses(void)
{
	keeps(parse_add_host, "db:10.0.0.1", "db:10.0.0.1");
	keeps(parse_add_host, "db=10.0.0.1", "db:10.0.0.1");
	keeps(parse_add_host, "db:::1", "db:::1");
	keeps(parse_add_host, "db=[2001:db8::1]", "db:2001:db8::1");
	refuses(parse_add_host, "db:host-gateway", ERR_UNSUPPORTED);
	refuses(parse_add_host, "db", ERR_INVALID);
	refuses(parse_add_host, ":1.2.3.4", ERR_INVALID);
	refuses(parse_add_host, "db:1.2.3", ERR_INVALID);
	refuses(parse_add_host, "db:", ERR_INVALID);
	refuses(parse_add_host, "a b:1.2.3.4", ERR_INVALID);
	refuses(parse_add_host, "a\n:1.2.3.4", ERR_INVALID);
	keeps(parse_dns, "1.1.1.1", "1.1.1.1");
	keeps(parse_dns, "[::1]", "::1");
	refuses(parse_dns, "dns.example", ERR_INVALID);
	refuses(parse_dns, "", ERR_INVALID);
	refuses(parse_dns, "[]", ERR_INVALID);
}

static void kernel_settings_are_those_of_namespaces(void)
{
	static const char *const right[] = {
		"net.core.somaxconn=1", "kernel.shmmax=1",     "kernel.shm_rmid_forced=0",
		"kernel.sem=1 2 3 4",	"fs.mqueue.msg_max=5", "kernel.msgmni=1",
		"kernel.domainname=x",
	};
	static const char *const wrong[] = {
		"kernel.panic=1",
		"vm.swappiness=1",
		"net.core.somaxconn",
		"net.x=",
		"=1",
		"net/core/x=1",
		"net...x=1",
		"net.=1",
		"fs.file-max=1",
		"net.a=1\n2",
		"kernel.shm=1",
		"kernel.msgs=1",
	};
	struct spec_pair p;

	for (size_t i = 0; i < COUNT(right); i++)
		if (ok(parse_sysctl(right[i], &p, &e) == 0, "%s: %s", right[i], e.msg)) {
			ok(p.key[0] && strncmp(right[i], p.key, strlen(p.key)) == 0);
			ok(strstr(right[i], p.value) != NULL);
			free(p.key);
			free(p.value);
		}
	for (size_t i = 0; i < COUNT(wrong); i++)
		ok(parse_sysctl(wrong[i], &p, &e) == ERR_INVALID, "%s", wrong[i]);
}

/* ---- environment ---- */

static void a_variable_without_value_is_the_callers(void)
{
	setenv("HUTCH_TEST_SET", "v=1", 1);
	unsetenv("HUTCH_TEST_UNSET");
	keeps(parse_env, "A=1", "A=1");
	keeps(parse_env, "A=", "A=");
	keeps(parse_env, "A==b\n\xff", "A==b\n\xff");
	keeps(parse_env, "HUTCH_TEST_SET", "HUTCH_TEST_SET=v=1");
	keeps(parse_env, "HUTCH_TEST_UNSET", "HUTCH_TEST_UNSET");
	refuses(parse_env, "", ERR_INVALID);
	refuses(parse_env, "=x", ERR_INVALID);
}

static void env_files_are_read_as_docker_reads_them(void)
{
	static const char text[] = "\xef\xbb\xbf# comment\n"
				   "\n"
				   "  A=1 \n"
				   "B=\"quoted\" # kept\r\n"
				   "HUTCH_TEST_SET\n"
				   "HUTCH_TEST_UNSET\n"
				   "\t#x=y\n"
				   "C=";
	struct spec_list l = {0};

	setenv("HUTCH_TEST_SET", "caller's", 1);
	if (!ok(parse_env_text(text, sizeof(text) - 1, &l, &e) == 0, "%s", e.msg))
		return;
	is_int(l.n, 4);
	is_str(l.v[0], "A=1 ");
	is_str(l.v[1], "B=\"quoted\" # kept");
	is_str(l.v[2], "HUTCH_TEST_SET=caller's");
	is_str(l.v[3], "C=");
	ok(!l.v[4], "the list ends with NULL");
	spec_list_done(&l);
}

static void a_wrong_line_of_an_env_file_is_named(void)
{
	struct spec_list l = {0};

	is_int(parse_env_text("A=1\nB C=2\n", 10, &l, &e), ERR_INVALID);
	is_str(e.msg, "line 2: blank in the name of a variable");
	is_int(parse_env_text("A=1\n\n=2\n", 8, &l, &e), ERR_INVALID);
	is_str(e.msg, "line 3: no name before the '='");
	is_int(parse_env_text("A=\0", 3, &l, &e), ERR_INVALID);
	is_str(e.msg, "line 1: a NUL byte");
	ok(!l.v && l.n == 0);
}

/* A file of @len bytes of @fill after @text; its path is in @path. */
static int file_of(const char *text, size_t len, char fill, char path[64])
{
	static char room[5 << 20];
	int fd = memfd_create("env", MFD_CLOEXEC);

	memset(room, fill, sizeof(room));
	memcpy(room, text, strlen(text));
	if (write(fd, room, strlen(text) + len) < 0)
		return -1;
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void an_env_file_that_cannot_be_read_is_told(void)
{
	struct spec_list l = {0};
	char path[64];
	int fd;

	is_int(parse_env_file("/nonexistent/env", &l, &e), ERR_NOT_FOUND);
	ok(parse_env_file("/", &l, &e) < 0);
	fd = file_of("A=1\n", 5000, 'b', path);
	ok(parse_env_file(path, &l, &e) == 0 && l.n == 1, "%s", e.msg);
	spec_list_done(&l);
	close(fd);
	fd = file_of("A=", 4500000, 'b', path);
	is_int(parse_env_file(path, &l, &e), ERR_LIMIT);
	close(fd);
	fd = file_of("", 0, 'b', path);
	ok(parse_env_file(path, &l, &e) == 0 && l.n == 0);
	spec_list_done(&l);
	close(fd);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(sizes_are_what_docker_takes),
		TAP_TEST(times_are_seconds_or_have_units),
		TAP_TEST(switches_and_whole_numbers_are_strict),
		TAP_TEST(capabilities_are_named_with_or_without_cap),
		TAP_TEST(signals_are_named_or_numbered),
		TAP_TEST(limits_of_processes_have_all_names),
		TAP_TEST(names_and_host_names_have_sane_characters),
		TAP_TEST(users_and_groups_are_names_or_numbers),
		TAP_TEST(working_directories_are_absolute),
		TAP_TEST(networks_of_later_are_told_from_nonsense),
		TAP_TEST(hosts_and_name_servers_are_addresses),
		TAP_TEST(kernel_settings_are_those_of_namespaces),
		TAP_TEST(a_variable_without_value_is_the_callers),
		TAP_TEST(env_files_are_read_as_docker_reads_them),
		TAP_TEST(a_wrong_line_of_an_env_file_is_named),
		TAP_TEST(an_env_file_that_cannot_be_read_is_told),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
