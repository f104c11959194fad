/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - files of the inside, by way of its files helper
 *
 * How it works: the keeper starts the helper when one is needed first, and hands over a socket to it. Then each
 * operation is a question and an answer, with a descriptor where one was asked for. The helper ends with a
 * reset; then there is a new one. See inside/files.c for what it guards against.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "box/op.h"
#include "sys/proc.h"
#include "wire/msg.h"

enum { ANSWER_MS = 600000 }; /* to remove a large tree takes long */

void files_given(struct box *b, struct msg *m)
{
	if (!b->files_id || m->head.id != b->files_id)
		return;
	b->files_id = 0;
	if (m->nfds == 1)
		b->files = take_fd(&m->fds[0]);
	else if (m->head.body == sizeof(b->files_bad))
		memcpy(&b->files_bad, m->body, sizeof(b->files_bad));
	b->files_bad.msg[sizeof(b->files_bad.msg) - 1] = '\0';
}

static int have_helper(struct box *b, struct err *e)
{
	struct msg_head head = {.op = OP_FILES};
	int r = home_check_owner(b->home, e);

	if (r < 0 || b->files >= 0)
		return r;
	r = box_wait_ready(b, e);
	if (r < 0)
		return r;
	b->files_bad = (struct err){0};
	b->files_id = head.id = ++b->next_id;
	r = box_ask(b, &head, NULL, 0, NULL, 0, e);
	if (r < 0)
		return r;
	while (b->files_id) {
		r = box_talk(b, -1, e);
		if (r < 0)
			return r;
	}
	if (b->files >= 0)
		return 0;
	*e = b->files_bad;
	return e->code < 0 ? e->code : err_set(e, ERR_INTERNAL, "no files helper came");
}

static int gone_meanwhile(const char *path, struct err *e)
{
	return err_set(e, ERR_DIED, "'%s': the sandbox was reset or has ended meanwhile", path);
}

static int send_ask(struct box *b, const struct msg_head *head, const struct file_ask *a, const char *path,
		    const char *other, struct err *e)
{
	size_t n = strlen(path) + 1, n2 = strlen(other) + 1, len = sizeof(*a) + n + n2;
	auto_free char *body = malloc(len);
	int r = -EPIPE;

	if (!body)
		return err_oom(e);
	memcpy(body, a, sizeof(*a));
	memcpy(body + sizeof(*a), path, n);
	memcpy(body + sizeof(*a) + n, other, n2);
	for (int try = 0; try < 2 && (r == -EPIPE || r == -ECONNRESET); try++) {
		if (try) /* somebody has reset the sandbox */
			close_fd(&b->files);
		r = have_helper(b, e);
		if (r < 0)
			return r;
		r = msg_send(b->files, head, body, len, NULL, 0);
	}
	if (r == -EPIPE || r == -ECONNRESET) {
		close_fd(&b->files);
		return gone_meanwhile(path, e);
	}
	return r < 0 ? err_sys(e, r, "ask the files helper") : 0;
}

static int take_answer(struct box *b, struct msg *m, struct file_answer *ret, struct err *e)
{
	const struct file_said *said = m->body;
	const char *text = (const char *)(said + 1);

	if (m->head.op != OP_FILE_SAID || m->head.body <= sizeof(*said) ||
	    text[m->head.body - sizeof(*said) - 1]) {
		close_fd(&b->files);
		return err_set(e, ERR_INTERNAL, "an answer of another form");
	}
	if (said->e.code) {
		*e = said->e;
		e->msg[sizeof(e->msg) - 1] = '\0';
		if (e->code > 0)
			e->code = ERR_INTERNAL;
		return e->code;
	}
	ret->facts = said->facts;
	if (m->nfds == 1)
		ret->fd = take_fd(&m->fds[0]);
	ret->text = strdup(text);
	return ret->text ? 0 : err_oom(e);
}

int box_file(struct box *b, const struct file_ask *a, const char *path, const char *other,
	     struct file_answer *ret, struct err *e)
{
	auto_free char *buf = malloc(MSG_BUF);
	struct msg_head head = {.op = OP_FILE, .id = ++b->next_id};
	struct pollfd p = {.events = POLLIN};
	struct msg m = {.nfds = 0};
	int r;

	*ret = (struct file_answer){.fd = -1};
	if (*path != '/')
		return err_set(e, ERR_INVALID, "'%s' is no absolute path of the sandbox", path);
	freeze_end(b); /* another file tree is about to take its place */
	r = buf ? send_ask(b, &head, a, path, other ? other : "", e) : err_oom(e);
	if (r < 0)
		return r;
	p.fd = b->files;
	do {
		r = poll(&p, 1, ANSWER_MS);
	} while (r < 0 && errno == EINTR);
	r = r == 1 ? msg_recv(b->files, &m, buf, MSG_BUF, 0) : -ETIMEDOUT;
	if (r <= 0) {
		close_fd(&b->files);
		return r == -ETIMEDOUT ? err_set(e, ERR_TIMEOUT, "'%s': the files helper has not answered", path) :
		       r == -EMFILE    ? err_sys(e, r, "take the descriptor of '%s'", path) :
					 gone_meanwhile(path, e);
	}
	r = take_answer(b, &m, ret, e);
	msg_done(&m);
	if (r < 0)
		file_answer_done(ret);
	return r;
}

void file_answer_done(struct file_answer *a)
{
	close_fd(&a->fd);
	free(a->text);
	a->text = NULL;
}
