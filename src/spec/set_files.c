/* SPDX-License-Identifier: Apache-2.0
 *
 * set_files.c - the fields that say what files a box has
 *
 * How it works: image, rootfs and host are kept side by side, so that check.c can say when two were
 * asked for; `root` follows from them. All mounts are in one array, whichever flag they came by.
 */
#include "spec/rule.h"

#include <stdlib.h>
#include <string.h>

#include "spec/parse.h"

/* ---- the root file system -------------------------------------------------------------------- */

static void find_root(struct spec *s, bool host)
{
	s->root = host	      ? SPEC_ROOT_HOST
		  : s->rootfs ? SPEC_ROOT_DIR
		  : s->image  ? SPEC_ROOT_IMAGE
			      : SPEC_ROOT_UNSET;
}

static char **root_text(struct spec *s, const struct spec_rule *r)
{
	return r->which == SPEC_ROOT_DIR ? &s->rootfs : &s->image;
}

static int set_root(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	char *word = NULL;
	int n = r->word(text, &word, e);

	if (n < 0)
		return n;
	free(*root_text(s, r));
	*root_text(s, r) = word;
	find_root(s, s->root == SPEC_ROOT_HOST);
	return 0;
}

static bool get_root(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	const char *text = r->which == SPEC_ROOT_DIR ? s->rootfs : s->image;

	return !text || spec_list_add_copy(to, text);
}

static void clear_root(struct spec *s, const struct spec_rule *r)
{
	free(*root_text(s, r));
	*root_text(s, r) = NULL;
	find_root(s, s->root == SPEC_ROOT_HOST);
}

static int set_host(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	bool on;
	int n = parse_bool(text, &on, e);

	(void)r;
	if (n < 0)
		return n;
	find_root(s, on);
	return 0;
}

static bool get_host(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	return s->root != SPEC_ROOT_HOST || spec_list_add_copy(to, "true");
}

static void clear_host(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	find_root(s, false);
}

const struct spec_rule spec_rule_image = {
	.set = set_root,
	.get = get_root,
	.clear = clear_root,
	.word = parse_image,
	.which = SPEC_ROOT_IMAGE,
};
const struct spec_rule spec_rule_rootfs = {
	.set = set_root,
	.get = get_root,
	.clear = clear_root,
	.word = parse_rootfs,
	.which = SPEC_ROOT_DIR,
};
const struct spec_rule spec_rule_host = {
	.set = set_host,
	.get = get_host,
	.clear = clear_host,
	.unset = "false",
};

/* ---- mounts ---------------------------------------------------------------------------------- */

static void mount_remove(struct spec *s, size_t i)
{
	free(s->mounts[i].source);
	free(s->mounts[i].target);
	memmove(s->mounts + i, s->mounts + i + 1, (s->nmounts - i - 1) * sizeof(*s->mounts));
	s->nmounts--;
}

static int mount_parse(int form, const char *text, struct spec_mount *ret, struct err *e)
{
	switch (form) {
	case PARSE_VOLUME:
		return parse_volume(text, ret, e);
	case PARSE_TMPFS:
		return parse_tmpfs(text, ret, e);
	default:
		return parse_mount(text, ret, e);
	}
}

/* A preset's mount gives way to one at the same target. */
static void drop_preset(struct spec *s, const char *target)
{
	for (size_t i = s->nmounts; i-- > 0;)
		if (s->mounts[i].preset && strcmp(s->mounts[i].target, target) == 0)
			mount_remove(s, i);
}

static int set_mount(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	struct spec_mount m = {0}, *room;
	int n = mount_parse(r->which, text, &m, e);

	if (n < 0)
		return n;
	room = reallocarray(s->mounts, s->nmounts + 1, sizeof(m));
	if (!room) {
		free(m.source);
		free(m.target);
		return err_oom(e);
	}
	s->mounts = room;
	drop_preset(s, m.target);
	room[s->nmounts++] = m;
	return 0;
}

static bool get_mount(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	for (size_t i = 0; i < s->nmounts; i++)
		if ((int)parse_mount_form(&s->mounts[i]) == r->which &&
		    !spec_list_add(to, parse_mount_text(&s->mounts[i])))
			return false;
	return true;
}

static void clear_mount(struct spec *s, const struct spec_rule *r)
{
	for (size_t i = s->nmounts; i-- > 0;)
		if ((int)parse_mount_form(&s->mounts[i]) == r->which)
			mount_remove(s, i);
}

const struct spec_rule spec_rule_volumes = {
	.set = set_mount,
	.get = get_mount,
	.clear = clear_mount,
	.which = PARSE_VOLUME,
};
const struct spec_rule spec_rule_mounts = {
	.set = set_mount,
	.get = get_mount,
	.clear = clear_mount,
	.which = PARSE_MOUNT,
};
const struct spec_rule spec_rule_tmpfs = {
	.set = set_mount,
	.get = get_mount,
	.clear = clear_mount,
	.which = PARSE_TMPFS,
};

/* ---- devices --------------------------------------------------------------------------------- */

static void device_remove(struct spec *s, size_t i)
{
	free(s->devices[i].source);
	free(s->devices[i].target);
	memmove(s->devices + i, s->devices + i + 1, (s->ndevices - i - 1) * sizeof(*s->devices));
	s->ndevices--;
}

static int set_device(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	struct spec_device d = {0}, *room;
	int n = parse_device(text, &d, e);

	(void)r;
	if (n < 0)
		return n;
	room = reallocarray(s->devices, s->ndevices + 1, sizeof(d));
	if (!room) {
		free(d.source);
		free(d.target);
		return err_oom(e);
	}
	s->devices = room;
	for (size_t i = 0; i < s->ndevices; i++)
		if (strcmp(room[i].target, d.target) == 0) {
			device_remove(s, i);
			break;
		}
	room[s->ndevices++] = d;
	return 0;
}

static bool get_device(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	for (size_t i = 0; i < s->ndevices; i++) {
		const struct spec_device *d = &s->devices[i];
		const char *mode = d->read && d->write ? "" : d->read ? ":r" : ":w";

		if (!spec_list_add(to, spec_text("%s:%s%s", d->source, d->target, mode)))
			return false;
	}
	return true;
}

static void clear_device(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	while (s->ndevices)
		device_remove(s, s->ndevices - 1);
}

const struct spec_rule spec_rule_devices = {
	.set = set_device,
	.get = get_device,
	.clear = clear_device,
};

/* ---- where writes go ------------------------------------------------------------------------- */

static int set_upper(struct spec *s, const struct spec_rule *r, const char *text, struct err *e)
{
	bool tmpfs = strncmp(text, "tmpfs", 5) == 0 && (!text[5] || text[5] == ':');
	uint64_t bytes = 0;

	(void)r;
	if (!tmpfs && strcmp(text, "disk") != 0)
		return err_set(e, ERR_INVALID, "not disk or tmpfs[:SIZE]");
	if (tmpfs && text[5]) {
		int n = parse_size(text + 6, &bytes, e);

		if (n < 0)
			return n;
		if (bytes == 0)
			return err_set(e, ERR_INVALID, "the size must be more than 0");
	}
	s->upper = tmpfs ? SPEC_UPPER_TMPFS : SPEC_UPPER_DISK;
	s->upper_size_bytes = bytes;
	return 0;
}

static bool get_upper(const struct spec *s, const struct spec_rule *r, struct spec_list *to)
{
	(void)r;
	if (s->upper == SPEC_UPPER_DISK)
		return true;
	if (!s->upper_size_bytes)
		return spec_list_add_copy(to, "tmpfs");
	return spec_list_add(to, spec_text("tmpfs:%llu", (unsigned long long)s->upper_size_bytes));
}

static void clear_upper(struct spec *s, const struct spec_rule *r)
{
	(void)r;
	s->upper = SPEC_UPPER_DISK;
	s->upper_size_bytes = 0;
}

const struct spec_rule spec_rule_upper = {
	.set = set_upper,
	.get = get_upper,
	.clear = clear_upper,
	.unset = "disk",
};
