/* SPDX-License-Identifier: Apache-2.0
 *
 * set_test.c - fields of a spec: set, read, emptied
 */
#include "spec/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "spec/fields.h"
#include "spec/list.h"
#include "spec/rule.h"
#include "tap.h"

static struct err e;

static void sets(struct spec *s, const char *name, const char *text)
{
	ok(spec_set(s, name, text, &e) == 0, "%s '%s': %s", name, text, e.msg);
}

static void refuses(struct spec *s, const char *name, const char *text, int code, const char *msg)
{
	is_int(spec_set(s, name, text, &e), code);
	is_str(e.msg, msg);
	is_int(e.code, code);
}

static void reads(const struct spec *s, const char *name, const char *want)
{
	char *got = NULL;

	if (ok(spec_get(s, name, &got, &e) == 0, "%s: %s", name, e.msg))
		is_str(got, want);
	free(got);
}

static void every_field_is_one_of_now_or_of_later(void)
{
	const struct hutch_field *f;
	size_t n = spec_fields(&f);

	ok(n == SPEC_NFIELDS && n > 70);
	for (size_t i = 0; i < n; i++) {
		const struct spec_rule *rule = spec_rule_of((int)i);

		ok(spec_field_is_later(&f[i]) == !rule, "%s", f[i].name);
		ok(!rule || (rule->set && rule->get && rule->clear), "%s", f[i].name);
		ok(f[i].help[0] && f[i].unit && f[i].value, "%s", f[i].name);
		ok((f[i].type == HUTCH_FIELD_BOOL) == !f[i].value[0], "%s: switches take no value",
		   f[i].name);
		ok(!f[i].short_flag || f[i].flag, "%s", f[i].name);
	}
}

static void names_and_flags_are_unique_and_groups_stand_together(void)
{
	const struct hutch_field *f;
	size_t n = spec_fields(&f);

	for (size_t i = 0; i < n; i++) {
		const char *dot = strchr(f[i].name, '.');
		bool left = false;

		ok(!dot || !strchr(dot + 1, '.'), "%s has one dot at most", f[i].name);
		for (size_t j = i + 1; j < n; j++) {
			bool same = dot && strncmp(f[i].name, f[j].name,
						   (size_t)(dot - f[i].name) + 1) == 0;

			ok(strcmp(f[i].name, f[j].name) != 0, "%s", f[i].name);
			ok(!f[i].flag || !f[j].flag || strcmp(f[i].flag, f[j].flag) != 0, "%s",
			   f[i].name);
			ok(!f[i].short_flag || f[i].short_flag != f[j].short_flag, "%s", f[i].name);
			ok(!(same && left), "%s and %s are apart", f[i].name, f[j].name);
			left = left || !same;
		}
	}
}

/* name, text to set, text that is read */
static const char *const plain[][3] = {
	{"image", "alpine:3.20", "alpine:3.20"},
	{"rootfs", "/", "/"},
	{"host", "true", "true"},
	{"name", "box-1", "box-1"},
	{"hostname", "h", "h"},
	{"working_dir", "/src", "/src"},
	{"user", "1000:video", "1000:video"},
	{"tty", "1", "true"},
	{"interactive", "yes", "true"},
	{"init", "true", "true"},
	{"stop_signal", "SIGINT", "SIGINT"},
	{"timeout", "1m0.5s", "60.500"},
	{"timeout", "2m", "120"},
	{"read_only", "true", "true"},
	{"upper", "tmpfs", "tmpfs"},
	{"upper", "tmpfs:1m", "tmpfs:1048576"},
	{"shm_size", "1k", "1024"},
	{"network", "host", "host"},
	{"allow_abstract_sockets", "true", "true"},
	{"spare", "true", "true"},
	{"shell_entrypoint", "true", "true"},
	{"shell", "zsh", "zsh"},
	{"oom_score_adj", "-1000", "-1000"},
	{"privileged", "true", "true"},
	{"ids", "host", "host"},
};

static void single_values_are_replaced_read_and_emptied(void)
{
	static const char *const unset[][2] = {
		{"network", "none"}, {"ids", "auto"}, {"upper", "disk"}, {"host", "false"},
		{"tty", "false"},    {"name", ""},    {"timeout", ""},	 {"oom_score_adj", ""}};
	struct spec *s = spec_new(), *empty = spec_new();

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		sets(s, plain[i][0], plain[i][1]);
		reads(s, plain[i][0], plain[i][2]);
	}
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		is_int(spec_clear(s, plain[i][0], &e), 0);
	for (size_t i = 0; i < sizeof(unset) / sizeof(*unset); i++)
		reads(s, unset[i][0], unset[i][1]);
	ok(memcmp(s, empty, sizeof(*s)) == 0, "all members are as in a new one");
	spec_free(empty);
	spec_free(s);
}

/* name, text to set, JSON that is read */
static const char *const lists[][3] = {
	{"command", "a\"b", "[\"a\\\"b\"]"},
	{"entrypoint", "/init", "[\"/init\"]"},
	{"group_add", "video", "[\"video\"]"},
	{"env", "A=1", "[\"A=1\"]"},
	{"volumes", "/etc:/a:ro", "[\"/etc:/a:ro\"]"},
	{"mounts", "type=bind,src=/etc,dst=/b:c", "[\"type=bind,source=/etc,target=/b:c\"]"},
	{"tmpfs", "/t:size=1k", "[\"/t:size=1024\"]"},
	{"devices", "/dev/null:/dev/x:r", "[\"/dev/null:/dev/x:r\"]"},
	{"devices", "/dev/null:/dev/x:w", "[\"/dev/null:/dev/x:w\"]"},
	{"devices", "/dev/null:/dev/x", "[\"/dev/null:/dev/x\"]"},
	{"add_host", "a=[::1]", "[\"a:::1\"]"},
	{"dns", "1.1.1.1", "[\"1.1.1.1\"]"},
	{"ulimits", "core=0:-1", "[\"core=0:-1\"]"},
	{"cap_add", "cap_net_admin", "[\"NET_ADMIN\"]"},
	{"cap_drop", "all", "[\"ALL\"]"},
	{"security_opt", "seccomp=unconfined", "[\"seccomp=unconfined\"]"},
	{"sysctls", "net.core.somaxconn=5", "[\"net.core.somaxconn=5\"]"},
};

static void lists_grow_are_read_and_emptied(void)
{
	struct spec *s = spec_new();

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		sets(s, lists[i][0], lists[i][1]);
		reads(s, lists[i][0], lists[i][2]);
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		is_int(spec_clear(s, lists[i][0], &e), 0);
		reads(s, lists[i][0], "[]");
	}
	for (int i = 0; i < 1000; i++)
		sets(s, "command", "x");
	is_int(s->command.n, 1000);
	ok(s->command.v && !s->command.v[1000], "the list is an argv");
	spec_free(s);
}

static void later_ones_of_a_kind_win(void)
{
	struct spec *s = spec_new();

	sets(s, "devices", "/dev/null");
	sets(s, "devices", "/dev/zero:/dev/null");
	reads(s, "devices", "[\"/dev/zero:/dev/null\"]");
	sets(s, "ulimits", "nofile=1");
	sets(s, "ulimits", "core=2");
	sets(s, "ulimits", "nofile=3");
	reads(s, "ulimits", "[\"nofile=3:3\",\"core=2:2\"]");
	sets(s, "sysctls", "net.a=1");
	sets(s, "sysctls", "net.a=2");
	reads(s, "sysctls", "[\"net.a=2\"]");
	sets(s, "env", "A=1");
	sets(s, "env", "AB=1");
	sets(s, "env", "A=2");
	reads(s, "env", "[\"AB=1\",\"A=2\"]");
	spec_free(s);
}

/* A file with @text as env_file; -1: none. */
static void set_env_text(struct spec *s, const char *text)
{
	int fd = memfd_create("env", MFD_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	sets(s, "env_file", path);
	close(fd);
}

static void variables_win_over_env_files_wherever_they_stand(void)
{
	struct spec *s = spec_new();

	unsetenv("HUTCH_TEST_UNSET");
	sets(s, "env", "A=flag");
	set_env_text(s, "A=file\nB=file\nC=file\n");
	set_env_text(s, "B=second\nD=second\nE=second\n");
	reads(s, "env", "[\"B=second\",\"C=file\",\"D=second\",\"E=second\",\"A=flag\"]");
	is_int(s->nenv_from_file, 4);
	sets(s, "env", "C=flag");
	is_int(s->nenv_from_file, 3);
	reads(s, "env", "[\"B=second\",\"D=second\",\"E=second\",\"A=flag\",\"C=flag\"]");
	sets(s, "env", "HUTCH_TEST_UNSET=1");
	sets(s, "env", "HUTCH_TEST_UNSET");
	is_int(s->env.n, 5);
	reads(s, "env_file", "[]");
	is_int(spec_clear(s, "env_file", &e), 0);
	reads(s, "env", "[\"A=flag\",\"C=flag\"]");
	refuses(s, "env_file", "/nonexistent/e", ERR_NOT_FOUND,
		"--env-file '/nonexistent/e': open: No such file or directory");
	spec_free(s);
}

static void an_entrypoint_of_nothing_is_not_none_asked(void)
{
	struct spec *s = spec_new();

	reads(s, "entrypoint", "[]");
	sets(s, "entrypoint", "/init");
	sets(s, "entrypoint", "-v");
	reads(s, "entrypoint", "[\"/init\",\"-v\"]");
	sets(s, "entrypoint", "");
	ok(s->entrypoint_set && s->entrypoint.n == 0);
	reads(s, "entrypoint", "[\"\"]");
	is_int(spec_clear(s, "entrypoint", &e), 0);
	ok(!s->entrypoint_set);
	spec_free(s);
}

static void options_of_security_are_switches(void)
{
	struct spec *s = spec_new();

	sets(s, "security_opt", "seccomp:unconfined");
	sets(s, "security_opt", "no-new-privileges:false");
	sets(s, "security_opt", "ptrace");
	sets(s, "security_opt", "userns=true");
	sets(s, "security_opt", "i386");
	sets(s, "security_opt", "apparmor=unconfined");
	sets(s, "security_opt", "label:disable");
	reads(s, "security_opt",
	      "[\"seccomp=unconfined\",\"no-new-privileges=false\",\"ptrace\","
	      "\"userns\",\"i386\"]");
	sets(s, "security_opt", "no-new-privileges");
	sets(s, "security_opt", "seccomp=builtin");
	sets(s, "security_opt", "ptrace=no");
	ok(!s->allow_new_privileges && !s->seccomp_unconfined && !s->allow_ptrace &&
	   s->allow_userns);
	refuses(s, "security_opt", "seccomp=/p.json", ERR_UNSUPPORTED,
		"--security-opt 'seccomp=/p.json': profiles from a file are not in this version yet "
		"(unconfined)");
	refuses(s, "security_opt", "apparmor=x", ERR_UNSUPPORTED,
		"--security-opt 'apparmor=x': not in this version yet");
	refuses(s, "security_opt", "systempaths=unconfined", ERR_UNSUPPORTED,
		"--security-opt 'systempaths=unconfined': not in this version yet");
	refuses(s, "security_opt", "userns=x", ERR_INVALID,
		"--security-opt 'userns=x': neither true nor false");
	ok(spec_set(s, "security_opt", "seccomp", &e) == ERR_INVALID);
	ok(spec_set(s, "security_opt", "", &e) == ERR_INVALID);
	spec_free(s);
}

static void fields_of_later_say_so_by_name(void)
{
	struct spec *s = spec_new();

	refuses(s, "limits.memory", "1g", ERR_UNSUPPORTED,
		"--memory (limits.memory): not in this version yet");
	refuses(s, "restart", "no", ERR_UNSUPPORTED, "--restart: not in this version yet");
	refuses(s, "dns_search", "x", ERR_UNSUPPORTED, "--dns-search: not in this version yet");
	is_int(spec_clear(s, "limits.memory", &e), 0);
	reads(s, "limits.memory", "");
	reads(s, "ports", "[]");
	spec_free(s);
}

static void unknown_fields_name_the_nearest(void)
{
	struct spec *s = spec_new();
	char *got = NULL;

	refuses(s, "hostnme", "x", ERR_INVALID,
		"unknown field 'hostnme'; did you mean 'hostname'?");
	refuses(s, "workdir", "x", ERR_INVALID,
		"unknown field 'workdir'; did you mean 'working_dir'?");
	refuses(s, "limits.memroy", "x", ERR_INVALID,
		"unknown field 'limits.memroy'; did you mean 'limits.memory'?");
	refuses(s, "zz\nz", "x", ERR_INVALID, "unknown field 'zz?z'");
	refuses(s, NULL, "x", ERR_INVALID, "no field named");
	refuses(s, "name", NULL, ERR_INVALID, "--name: no value");
	is_int(spec_get(s, "nmae", &got, &e), ERR_INVALID);
	is_int(spec_clear(s, "nmae", &e), ERR_INVALID);
	ok(!got);
	is_int(spec_set(s, "nmae", "x", NULL), ERR_INVALID);
	spec_free(s);
}

static void failures_name_field_and_value_on_one_line(void)
{
	struct spec *s = spec_new();

	refuses(s, "working_dir", "src", ERR_INVALID,
		"--workdir (working_dir) 'src': not an absolute path");
	refuses(s, "name", "a\nb", ERR_INVALID,
		"--name 'a?b': a name is letters, digits and '_.-', a letter or digit first");
	refuses(s, "volumes", "/nonexistent:/a", ERR_NOT_FOUND,
		"--volume (volumes) '/nonexistent:/a': source '/nonexistent': No such file or "
		"directory");
	is_int(e.sys, ENOENT);
	refuses(s, "shm_size", "0", ERR_INVALID, "--shm-size '0': must be more than 0");
	refuses(s, "upper", "ram", ERR_INVALID, "--upper 'ram': not disk or tmpfs[:SIZE]");
	refuses(s, "upper", "tmpfs:0", ERR_INVALID,
		"--upper 'tmpfs:0': the size must be more than 0");
	refuses(s, "upper", "tmpfs:", ERR_INVALID,
		"--upper 'tmpfs:': not a size (4096, 512k, 1.5g)");
	refuses(s, "ids", "x", ERR_INVALID, "--ids 'x': not auto or host");
	refuses(s, "shell", "./zsh", ERR_INVALID,
		"--shell './zsh': not a shell: a name, as zsh, or a path, as /bin/zsh, without options");
	sets(s, "ids", "auto");
	is_int(s->ids, SPEC_IDS_AUTO);
	refuses(s, "image", "", ERR_INVALID,
		"image '': not an image (alpine, debian:12, host/name@sha256:…)");
	is_int(spec_set(s, "name", "", NULL), ERR_INVALID);
	spec_free(s);
}

static void a_failure_leaves_the_spec_as_it_was(void)
{
	static const char *const wrong[][2] = {
		{"image", " "},	      {"rootfs", "/nonexistent"},
		{"host", "x"},	      {"name", ""},
		{"hostname", "-"},    {"working_dir", ""},
		{"shell", ""},	      {"shell", "./sh"},
		{"shell", "sh -e"},
		{"user", ""},	      {"tty", "x"},
		{"stop_signal", "x"}, {"timeout", "x"},
		{"upper", "x"},	      {"shm_size", "x"},
		{"network", "x"},     {"oom_score_adj", "1001"},
		{"ids", "x"},	      {"env", ""},
		{"volumes", "x"},     {"mounts", "x"},
		{"tmpfs", "x"},	      {"devices", "x"},
		{"add_host", "x"},    {"dns", "x"},
		{"ulimits", "x"},     {"cap_add", "x"},
		{"cap_drop", "x"},    {"security_opt", "x"},
		{"sysctls", "x"},     {"env_file", "/"},
		{"group_add", ""},
	};
	struct spec *s = spec_new(), before;

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		sets(s, plain[i][0], plain[i][1]);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		sets(s, lists[i][0], lists[i][1]);
	before = *s;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		ok(spec_set(s, wrong[i][0], wrong[i][1], &e) < 0, "%s", wrong[i][0]);
		ok(memcmp(s, &before, sizeof(before)) == 0, "%s", wrong[i][0]);
	}
	spec_free(s);
}

static void root_follows_from_what_was_asked(void)
{
	struct spec *s = spec_new();

	is_int(s->root, SPEC_ROOT_UNSET);
	sets(s, "image", "alpine");
	is_int(s->root, SPEC_ROOT_IMAGE);
	sets(s, "rootfs", "/");
	is_int(s->root, SPEC_ROOT_DIR);
	sets(s, "host", "true");
	is_int(s->root, SPEC_ROOT_HOST);
	sets(s, "rootfs", "/usr");
	is_int(s->root, SPEC_ROOT_HOST);
	sets(s, "host", "false");
	is_int(s->root, SPEC_ROOT_DIR);
	spec_clear(s, "rootfs", NULL);
	is_int(s->root, SPEC_ROOT_IMAGE);
	spec_clear(s, "image", NULL);
	is_int(s->root, SPEC_ROOT_UNSET);
	spec_free(s);
}

static void a_copy_is_equal_and_its_own(void)
{
	struct spec *s = spec_new(), *c;
	char *one = NULL, *two = NULL;

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		sets(s, plain[i][0], plain[i][1]);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		sets(s, lists[i][0], lists[i][1]);
	c = spec_copy(s);
	is_int(spec_to_json(s, &one, &e), 0);
	spec_free(s);
	is_int(spec_to_json(c, &two, &e), 0);
	is_str(two, one);
	sets(c, "command", "more");
	sets(c, "tmpfs", "/more");
	sets(c, "sysctls", "net.more=1");
	sets(c, "ulimits", "nice=1");
	sets(c, "devices", "/dev/zero");
	free(one);
	free(two);
	spec_free(c);
	c = spec_copy((s = spec_new()));
	ok(c && memcmp(c, s, sizeof(*s)) == 0, "an empty one too");
	spec_free(c);
	spec_free(s);
	spec_free(NULL);
}

static void what_is_not_utf8_is_kept_and_said_when_it_must_be_json(void)
{
	struct spec *s = spec_new();
	char *got = NULL;

	sets(s, "command", "\xff");
	is_str(s->command.v[0], "\xff");
	is_int(spec_get(s, "command", &got, &e), ERR_INVALID);
	is_str(e.msg, "command: an element is not UTF-8, which JSON must be");
	ok(!got);
	spec_free(s);
}

static void a_list_made_by_hand_can_grow(void)
{
	struct spec_list l = {.v = malloc(sizeof(char *)), .n = 1};

	l.v[0] = strdup("a");
	ok(spec_list_add_copy(&l, "b") && l.n == 2 && !l.v[2]);
	ok(!spec_list_add(&l, NULL) && l.n == 2, "NULL is lack of memory");
	spec_list_done(&l);
	ok(!l.v && l.n == 0);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(every_field_is_one_of_now_or_of_later),
		TAP_TEST(names_and_flags_are_unique_and_groups_stand_together),
		TAP_TEST(single_values_are_replaced_read_and_emptied),
		TAP_TEST(lists_grow_are_read_and_emptied),
		TAP_TEST(later_ones_of_a_kind_win),
		TAP_TEST(variables_win_over_env_files_wherever_they_stand),
		TAP_TEST(an_entrypoint_of_nothing_is_not_none_asked),
		TAP_TEST(options_of_security_are_switches),
		TAP_TEST(fields_of_later_say_so_by_name),
		TAP_TEST(unknown_fields_name_the_nearest),
		TAP_TEST(failures_name_field_and_value_on_one_line),
		TAP_TEST(a_failure_leaves_the_spec_as_it_was),
		TAP_TEST(root_follows_from_what_was_asked),
		TAP_TEST(a_copy_is_equal_and_its_own),
		TAP_TEST(what_is_not_utf8_is_kept_and_said_when_it_must_be_json),
		TAP_TEST(a_list_made_by_hand_can_grow),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
