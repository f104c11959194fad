/* SPDX-License-Identifier: Apache-2.0
 *
 * parse.h - the text of one value, as `hutch run` takes it, to plain data
 *
 * Each function takes NUL-terminated text and writes *ret on success only. Strings in *ret are the
 * caller's to free. Messages do not repeat the whole text and do not name the field: set.c puts
 * both in front.
 */
#ifndef HUTCH_SPEC_PARSE_H
#define HUTCH_SPEC_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spec/spec.h"

/* ---- parse.c: numbers, switches, names of the kernel ---- */

int parse_size(const char *text, uint64_t *ret_bytes, struct err *e);  /* 512k 1.5g "1.5 GB" 4096 */
int parse_duration(const char *text, uint64_t *ret_ms, struct err *e); /* 10 1.5 200ms 1m30s */
int parse_bool(const char *text, bool *ret, struct err *e);
int parse_int(const char *text, int min, int max, int *ret, struct err *e);

int parse_cap(const char *text, uint64_t *ret_bits, struct err *e); /* ALL: every bit */
const char *parse_cap_name(unsigned cap);			    /* "CHOWN"; NULL: not known */
int parse_signal(const char *text, int *ret, struct err *e);
int parse_rlimit(const char *text, struct spec_rlimit *ret, struct err *e);
const char *parse_rlimit_name(int which); /* "nofile"; NULL: not known */

/* ---- parse_word.c: names, users, hosts; *ret is the text in its normal form ---- */

int parse_name(const char *text, char **ret, struct err *e);
int parse_hostname(const char *text, char **ret, struct err *e);
int parse_image(const char *text, char **ret, struct err *e);
int parse_user(const char *text, char **ret, struct err *e);
int parse_group(const char *text, char **ret, struct err *e);
int parse_shell(const char *text, char **ret, struct err *e);
int parse_workdir(const char *text, char **ret, struct err *e);
int parse_network(const char *text, enum spec_net *ret, struct err *e);
int parse_add_host(const char *text, char **ret, struct err *e); /* "name:ip" */
int parse_dns(const char *text, char **ret, struct err *e);
int parse_sysctl(const char *text, struct spec_pair *ret, struct err *e);

/* ---- parse_env.c ---- */

/* "K=V", or "K" for the caller's value: *ret is "K=V", or "K" when the caller has no K. */
int parse_env(const char *text, char **ret, struct err *e);

/* Docker's format: KEY=VALUE lines, "#" comments; KEY alone is the caller's, if he has it. */
int parse_env_text(const char *text, size_t len, struct spec_list *ret, struct err *e);
int parse_env_file(const char *path, struct spec_list *ret, struct err *e);

/* ---- parse_path.c: paths of the host and of the inside, devices ---- */

/* Absolute, from the current directory; links and ".." in it stay as they are. */
int parse_host_path(const char *text, char **ret, struct err *e);
int parse_rootfs(const char *text, char **ret, struct err *e); /* a directory that is there */
int parse_device(const char *text, struct spec_device *ret, struct err *e);

/* Absolute, without "//", "." and ".."; not "/", not in a place that hutch itself makes. */
int parse_target(const char *text, char **ret, struct err *e);

/* ---- parse_mount.c ---- */

int parse_volume(const char *text, struct spec_mount *ret, struct err *e);
int parse_mount(const char *text, struct spec_mount *ret, struct err *e);
int parse_tmpfs(const char *text, struct spec_mount *ret, struct err *e);

enum { PARSE_TMPFS_MODE = 01777 }; /* unless asked */

/* mount_text.c: which of the three says it in the fewest words, and text that parses to it again.
 */
enum parse_mount_form { PARSE_VOLUME, PARSE_TMPFS, PARSE_MOUNT };
enum parse_mount_form parse_mount_form(const struct spec_mount *m);
char *parse_mount_text(const struct spec_mount *m); /* NULL: no memory */

#endif
