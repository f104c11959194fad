/* SPDX-License-Identifier: Apache-2.0
 *
 * spec.c - hutch_spec_*: what a sandbox shall be, field by field
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/own.h"
#include "spec/fields.h"
#include "spec/preset.h"

size_t hutch_fields(const struct hutch_field **ret_fields)
{
	return spec_fields(ret_fields);
}

int hutch_spec_new(struct hutch_spec **ret_spec, struct hutch_error *err)
{
	struct err e = {0};
	struct spec *s = spec_new();

	if (!s)
		return api_give(err_oom(&e), &e, err);
	*ret_spec = (struct hutch_spec *)s;
	return 0;
}

void hutch_spec_free(struct hutch_spec *spec)
{
	spec_free(to_spec(spec));
}

int hutch_spec_set(struct hutch_spec *spec, const char *field, const char *text,
		   struct hutch_error *err)
{
	struct err e = {0};

	if (!spec || !field || !text)
		return api_missing("spec, field or value", err);
	return api_give(spec_set(to_spec(spec), field, text, &e), &e, err);
}

int hutch_spec_get(const struct hutch_spec *spec, const char *field, char **ret_text,
		   struct hutch_error *err)
{
	struct err e = {0};

	if (!spec || !field)
		return api_missing("spec or field", err);
	return api_give(spec_get(to_const_spec(spec), field, ret_text, &e), &e, err);
}

int hutch_spec_clear(struct hutch_spec *spec, const char *field, struct hutch_error *err)
{
	struct err e = {0};

	if (!spec || !field)
		return api_missing("spec or field", err);
	return api_give(spec_clear(to_spec(spec), field, &e), &e, err);
}

int hutch_spec_to_json(const struct hutch_spec *spec, char **ret_json, struct hutch_error *err)
{
	struct err e = {0};

	if (!spec)
		return api_missing("spec", err);
	return api_give(spec_to_json(to_const_spec(spec), ret_json, &e), &e, err);
}

int hutch_spec_from_json(struct hutch_spec *spec, const char *json, size_t len,
			 struct hutch_error *err)
{
	struct err e = {0};

	if (!spec || !json)
		return api_missing("spec or text", err);
	return api_give(spec_from_json(to_spec(spec), json, len, &e), &e, err);
}

size_t hutch_presets(const struct hutch_preset **ret_presets)
{
	return spec_presets(ret_presets);
}

int hutch_preset_find(const char *name, const struct hutch_preset **ret_preset, struct hutch_error *err)
{
	struct err e = {0};

	if (!name)
		return api_missing("name", err);
	return api_give(spec_preset_find(name, ret_preset, &e), &e, err);
}

int hutch_spec_preset(struct hutch_spec *spec, const char *name, const char *const *paths, size_t npaths,
		      unsigned flags, char **ret_left_out, struct hutch_error *err)
{
	struct err e = {0};
	char *left = NULL;
	int r;

	if (!spec || !name || (npaths && !paths))
		return api_missing("spec, name or paths", err);
	r = api_check_flags(flags, HUTCH_PRESET_WITHOUT_LIMITS, &e);
	if (r == 0)
		r = spec_preset(to_spec(spec), name, paths, npaths, flags & HUTCH_PRESET_WITHOUT_LIMITS, &left, &e);
	if (r == 0 && ret_left_out)
		*ret_left_out = take_ptr(&left);
	free(left);
	return api_give(r, &e, err);
}

/* Fields that are kept as lists of strings, and as numbers. */
static const struct {
	const char *name;
	size_t offset;
} lists[] = {
	{"env", offsetof(struct spec, env)},
	{"command", offsetof(struct spec, command)},
	{"entrypoint", offsetof(struct spec, entrypoint)},
	{"group_add", offsetof(struct spec, group_add)},
	{"add_host", offsetof(struct spec, add_host)},
	{"dns", offsetof(struct spec, dns)},
}, numbers[] = {
	{"timeout", offsetof(struct spec, timeout_ms)},
	{"shm_size", offsetof(struct spec, shm_size_bytes)},
};

int hutch_spec_list(const struct hutch_spec *spec, const char *field, const char *const **ret_items,
		    size_t *ret_n, struct hutch_error *err)
{
	struct err e = {0};

	if (!spec || !field)
		return api_missing("spec or field", err);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (!strcmp(lists[i].name, field)) {
			const struct spec_list *l = (const void *)((const char *)spec +
								   lists[i].offset);

			*ret_items = (const char *const *)l->v;
			*ret_n = l->n;
			return 0;
		}
	return api_give(err_set(&e, ERR_INVALID, "'%s' is not a field that is a list of words", field),
			&e, err);
}

int hutch_spec_number(const struct hutch_spec *spec, const char *field, uint64_t *ret_number,
		      struct hutch_error *err)
{
	struct err e = {0};

	if (!spec || !field)
		return api_missing("spec or field", err);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!strcmp(numbers[i].name, field)) {
			memcpy(ret_number, (const char *)spec + numbers[i].offset,
			       sizeof(*ret_number));
			return 0;
		}
	return api_give(err_set(&e, ERR_INVALID, "'%s' is not a field that is a number", field), &e,
			err);
}
