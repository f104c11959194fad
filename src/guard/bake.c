/* SPDX-License-Identifier: Apache-2.0
 *
 * bake.c - a program of the build: compiles the usual filters and writes them as C tables
 *
 *	bake OUTPUT
 *
 * How it works: each ask below is compiled by guard_seccomp_compile(), as it would be at run time,
 * and written as an array of instructions; baked.c includes the result. Which are worth it: the
 * default, and what the switches --security-opt ptrace and userns, --cap-drop ALL and --cap-add
 * NET_ADMIN make of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guard/bpf_seccomp.h"
#include "guard/caps.h"
#include "guard/refused.h"

#define ADMIN (GUARD_CAPS_DOCKER | GUARD_CAP(NET_ADMIN))

static const struct guard_ask asks[] = {
	{.caps = GUARD_CAPS_DOCKER},
	{.caps = GUARD_CAPS_DOCKER, .allow_ptrace = true},
	{.caps = GUARD_CAPS_DOCKER, .allow_userns = true},
	{.caps = GUARD_CAPS_DOCKER, .allow_ptrace = true, .allow_userns = true},
	{.caps = 0},
	{.caps = 0, .allow_ptrace = true},
	{.caps = 0, .allow_userns = true},
	{.caps = 0, .allow_ptrace = true, .allow_userns = true},
	{.caps = ADMIN},
	{.caps = ADMIN, .allow_ptrace = true},
};

enum { ASKS = sizeof(asks) / sizeof(*asks) };

static void write_code(FILE *f, size_t i, const struct sock_filter *code, size_t n)
{
	fprintf(f, "\nstatic const struct sock_filter code_%zu[] = {\n", i);
	for (size_t j = 0; j < n; j++)
		fprintf(f, "\t{0x%02x, %u, %u, 0x%08x},\n", (unsigned)code[j].code,
			(unsigned)code[j].jt, (unsigned)code[j].jf, (unsigned)code[j].k);
	fprintf(f, "};\n");
}

static void write_table(FILE *f, const size_t *n)
{
	fprintf(f, "\nstatic const struct baked_filter baked_filters[] = {\n");
	for (size_t i = 0; i < ASKS; i++) {
		struct guard_ask a = refused_relevant(&asks[i]);

		fprintf(f, "\t{{UINT64_C(0x%" PRIx64 "), %d, %d, %d}, code_%zu, %zu},\n", a.caps,
			a.allow_ptrace, a.allow_userns, a.allow_i386, i, n[i]);
	}
	fprintf(f, "};\n");
}

static int bake(FILE *f, struct err *e)
{
	struct sock_filter code[GUARD_SECCOMP_MAX];
	size_t n[ASKS];

	fprintf(f, "/* Made by src/guard/bake.c during the build: do not edit. */\n");
	for (size_t i = 0; i < ASKS; i++) {
		struct guard_ask a = refused_relevant(&asks[i]);
		int r = guard_seccomp_compile(&a, code, GUARD_SECCOMP_MAX, &n[i], e);

		if (r < 0)
			return r;
		write_code(f, i, code, n[i]);
	}
	write_table(f, n);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e;
	FILE *f;

	if (argc != 2) {
		fprintf(stderr, "usage: bake OUTPUT\n");
		return 2;
	}
	f = fopen(argv[1], "we");
	if (!f) {
		fprintf(stderr, "bake: open '%s': %s\n", argv[1], strerror(errno));
		return 1;
	}
	if (bake(f, &e) < 0) {
		fprintf(stderr, "bake: %s\n", e.msg);
		fclose(f);
		return 1;
	}
	if (ferror(f) | fclose(f)) {
		fprintf(stderr, "bake: write '%s': %s\n", argv[1], strerror(errno));
		return 1;
	}
	return 0;
}
