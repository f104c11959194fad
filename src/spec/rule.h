/* SPDX-License-Identifier: Apache-2.0
 *
 * rule.h - what setting, reading and emptying one field does
 *
 * set.c has a row of these per field. Fields that are a plain member (text, a switch, a size, a
 * list of words) share functions there; the others have their own in set_files.c and
 * set_process.c, which hand over whole rows.
 */
#ifndef HUTCH_SPEC_RULE_H
#define HUTCH_SPEC_RULE_H

#include <stdbool.h>
#include <stddef.h>

#include "spec/list.h"
#include "spec/spec.h"

struct spec_rule {
	/* On failure the spec is as before. */
	int (*set)(struct spec *s, const struct spec_rule *r, const char *text, struct err *e);
	/* Adds the field's text, one string per element; none when it is not set. Parsing them in
	 * this order gives the field again. False: no memory. */
	bool (*get)(const struct spec *s, const struct spec_rule *r, struct spec_list *to);
	void (*clear)(struct spec *s, const struct spec_rule *r);

	size_t at;						  /* offset of the member */
	int (*word)(const char *text, char **ret, struct err *e); /* text: check, normal form */
	const char *unset; /* what spec_get() says when it is not set */
	int which;	   /* of several rows with the same functions */
	bool empty_says; /* an empty list in JSON is set as "" and does not only empty the field */
};

/* "KEY=VALUE" of a pair and the like, printed. NULL: no memory. */
char *spec_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The rule of a field; NULL: a field of a later version. */
const struct spec_rule *spec_rule_of(int id);

/* set_files.c */
extern const struct spec_rule spec_rule_image, spec_rule_rootfs, spec_rule_host;
extern const struct spec_rule spec_rule_volumes, spec_rule_mounts, spec_rule_tmpfs;
extern const struct spec_rule spec_rule_devices, spec_rule_upper;

/* set_process.c */
extern const struct spec_rule spec_rule_env, spec_rule_env_file, spec_rule_entrypoint;
extern const struct spec_rule spec_rule_stop_signal, spec_rule_ulimits, spec_rule_oom_score_adj;

/* set_guard.c */
extern const struct spec_rule spec_rule_cap_add, spec_rule_cap_drop, spec_rule_security_opt;
extern const struct spec_rule spec_rule_sysctls, spec_rule_network, spec_rule_ids;

#endif
