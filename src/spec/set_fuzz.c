/* SPDX-License-Identifier: Apache-2.0
 *
 * set_fuzz.c - fields set from any text: "name\0text" again and again
 *
 * After each, the field is read; at the end the whole is copied, checked and freed. The field
 * "env_file" is given the text as the file's content.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "spec/list.h"
#include "spec/parse.h"
#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(struct spec *s, const char *name, const char *text)
{
	struct spec_list l = {0};
	char *got = NULL;
	struct err e;

	if (strcmp(name, "env_file") == 0) {
		if (parse_env_text(text, strlen(text), &l, &e) == 0)
			spec_list_done(&l);
		return;
	}
	if (spec_set(s, name, text, &e) < 0) {
		if (e.code >= 0 || !e.msg[0] || strchr(e.msg, '\n'))
			abort();
		return;
	}
	if (spec_get(s, name, &got, &e) < 0 && str_utf8(text, strlen(text)) &&
	    e.code != ERR_INVALID) /* an earlier element may be what JSON cannot hold */
		abort();
	free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);
	struct spec *s = spec_new(), *c;
	const char *at = copy, *end;
	struct err e;

	if (!copy || !s)
		abort();
	memcpy(copy, data, size);
	copy[size] = '\0';
	end = copy + size;
	while (at < end) {
		const char *name = at, *text = at + strlen(at) + 1;

		if (text > end)
			break;
		one(s, name, text);
		at = text + strlen(text) + 1;
	}
	c = spec_copy(s);
	if (!c)
		abort();
	(void)spec_check(c, &e);
	(void)spec_caps(c);
	(void)spec_clear(c, "volumes", &e);
	spec_free(c);
	spec_free(s);
	free(copy);
	return 0;
}
