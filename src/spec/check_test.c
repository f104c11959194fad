/* SPDX-License-Identifier: Apache-2.0
 *
 * check_test.c - what can only be said about the whole spec; the capabilities it comes to
 */
#include "spec/spec.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static struct err e;

/* A spec of the given name, value pairs, NULL at the end. */
static struct spec *spec_of(const char *const *pairs)
{
	struct spec *s = spec_new();

	for (; *pairs; pairs += 2)
		ok(spec_set(s, pairs[0], pairs[1], &e) == 0, "%s", e.msg);
	return s;
}

#define SPEC(...) spec_of((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void check_fails(struct spec *s, int code, const char *msg)
{
	is_int(spec_check(s, &e), code);
	is_str(e.msg, msg);
	is_int(spec_check(s, NULL), code);
	spec_free(s);
}

static void a_root_file_system_must_be_asked_for(void)
{
	check_fails(SPEC("name", "x"), ERR_INVALID,
		    "no root file system: give an image, --rootfs DIR, or --host");
}

static void two_root_file_systems_contradict(void)
{
	check_fails(SPEC("rootfs", "/", "host", "true"), ERR_INVALID,
		    "one root file system only: --rootfs or --host");
	check_fails(SPEC("rootfs", "/", "image", "a"), ERR_INVALID,
		    "one root file system only: --rootfs or an image");
	check_fails(SPEC("host", "true", "image", "a"), ERR_INVALID,
		    "one root file system only: --host or an image");
	check_fails(SPEC("host", "true", "image", "a", "rootfs", "/"), ERR_INVALID,
		    "one root file system only: --rootfs or an image");
}

static void images_come_later_and_the_other_ways_are_named(void)
{
	check_fails(SPEC("image", "alpine:3"), ERR_UNSUPPORTED,
		    "image 'alpine:3': images are not in this version yet; give --rootfs DIR, or "
		    "--host");
}

static void settings_of_the_hosts_network_are_refused(void)
{
	struct spec *s = SPEC("host", "true", "sysctls", "net.a=1");

	is_int(spec_check(s, &e), 0);
	spec_free(s);
	s = SPEC("host", "true", "network", "host", "sysctls", "kernel.sem=1 2 3 4");
	is_int(spec_check(s, &e), 0);
	spec_free(s);
	check_fails(SPEC("host", "true", "network", "host", "sysctls", "net.a=1"), ERR_INVALID,
		    "--sysctl 'net.a': with --network host it is the machine's");
}

static void defaults_are_filled_in_once(void)
{
	struct spec *s = SPEC("host", "true", "upper", "tmpfs");

	for (int i = 0; i < 2; i++) {
		is_int(spec_check(s, &e), 0);
		is_str(s->working_dir, "/");
		is_str(s->user, "0");
		is_int(s->shm_size_bytes, 64 << 20);
		is_int(s->upper_size_bytes, 1 << 30);
		is_int(s->stop_signal_number, SIGTERM);
	}
	spec_free(s);
	s = SPEC("rootfs", "/", "working_dir", "/w", "user", "5", "shm_size", "1m", "upper",
		 "tmpfs:1m", "stop_signal", "INT");
	is_int(spec_check(s, &e), 0);
	is_str(s->working_dir, "/w");
	is_str(s->user, "5");
	is_int(s->shm_size_bytes, 1 << 20);
	is_int(s->upper_size_bytes, 1 << 20);
	is_int(s->stop_signal_number, SIGINT);
	spec_free(s);
	s = SPEC("host", "true");
	is_int(spec_check(s, &e), 0);
	is_int(s->upper_size_bytes, 0);
	spec_free(s);
}

static void no_mount_hides_another(void)
{
	static const char *const want[] = {"/a", "/b", "/a/b", "/a/c", "/a/b/c"};
	struct spec *s = SPEC("host", "true", "tmpfs", "/a/b/c", "tmpfs", "/a/b", "tmpfs", "/a",
			      "tmpfs", "/a/c", "tmpfs", "/b");

	is_int(spec_check(s, &e), 0);
	is_int(s->nmounts, 5);
	for (size_t i = 0; i < 5; i++)
		is_str(s->mounts[i].target, want[i]);
	spec_free(s);
}

static void one_place_is_for_one_mount(void)
{
	check_fails(SPEC("host", "true", "tmpfs", "/a", "tmpfs", "/b", "tmpfs", "/x/../a/"), ERR_INVALID,
		    "two mounts at '/a'");
}

#define BIT(cap)     (1ULL << (cap))
#define DEFAULT_CAPS 0xa80425fbULL /* Docker's, as /proc/self/status shows them */
#define ALL_CAPS     0x1ffffffffffULL

static void caps_are(struct spec *s, uint64_t want, bool nested)
{
	ok(spec_caps(s) == want, "%llx, not %llx", (unsigned long long)spec_caps(s),
	   (unsigned long long)want);
	is_int(spec_wants_nested(s), nested);
	spec_free(s);
}

static void capabilities_are_added_and_dropped_as_docker_does(void)
{
	caps_are(spec_new(), DEFAULT_CAPS, false);
	caps_are(SPEC("cap_drop", "CHOWN"), DEFAULT_CAPS & ~BIT(CAP_CHOWN), false);
	caps_are(SPEC("cap_drop", "ALL"), 0, false);
	caps_are(SPEC("cap_drop", "ALL", "cap_add", "CHOWN"), BIT(CAP_CHOWN), false);
	caps_are(SPEC("cap_add", "NET_ADMIN"), DEFAULT_CAPS | BIT(CAP_NET_ADMIN), false);
	caps_are(SPEC("cap_add", "CHOWN", "cap_drop", "CHOWN"), DEFAULT_CAPS, false);
	caps_are(SPEC("cap_add", "SYS_ADMIN"), DEFAULT_CAPS | BIT(CAP_SYS_ADMIN), true);
	caps_are(SPEC("cap_add", "ALL"), ALL_CAPS, true);
	caps_are(SPEC("cap_add", "ALL", "cap_drop", "SYS_ADMIN"), ALL_CAPS & ~BIT(CAP_SYS_ADMIN),
		 true);
	caps_are(SPEC("cap_add", "ALL", "cap_drop", "ALL"), ALL_CAPS, true);
	caps_are(SPEC("privileged", "true", "cap_drop", "ALL"), ALL_CAPS, true);
}

int main(void)
{
	static const struct tap_test t[] = {
		TAP_TEST(a_root_file_system_must_be_asked_for),
		TAP_TEST(two_root_file_systems_contradict),
		TAP_TEST(images_come_later_and_the_other_ways_are_named),
		TAP_TEST(settings_of_the_hosts_network_are_refused),
		TAP_TEST(defaults_are_filled_in_once),
		TAP_TEST(no_mount_hides_another),
		TAP_TEST(one_place_is_for_one_mount),
		TAP_TEST(capabilities_are_added_and_dropped_as_docker_does),
	};

	return tap_run(t, sizeof(t) / sizeof(*t));
}
