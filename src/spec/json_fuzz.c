/* SPDX-License-Identifier: Apache-2.0
 *
 * json_fuzz.c - any bytes as the JSON of a spec
 *
 * What is taken is written, read again and written again: both texts must be the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec *s, *again;
	char *one = NULL, *two = NULL;
	struct err e;

	/* env_file would read any file of this machine; parse_env_text() has its own fuzzing. */
	if (memmem(data, size, "env_file", 8) || memmem(data, size, "\\u", 2))
		return 0;
	s = spec_new();
	again = spec_new();
	if (!s || !again)
		abort();
	if (spec_from_json(s, (const char *)data, size, &e) == 0) {
		if (spec_to_json(s, &one, &e) < 0 ||
		    spec_from_json(again, one, strlen(one), &e) < 0 ||
		    spec_to_json(again, &two, &e) < 0 || strcmp(one, two) != 0)
			abort();
		(void)spec_check(s, &e);
	}
	free(one);
	free(two);
	spec_free(s);
	spec_free(again);
	return 0;
}
