/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal.h - our terminal and the sandbox's, joined
 */
#ifndef HUTCH_CLI_TERMINAL_H
#define HUTCH_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "hutch.h"

struct terminal {
	bool raw; /* our own is in raw mode, and was as in `before` */
	struct termios before;
	bool reads; /* what is typed is passed on */
	bool in_set, master_set; /* in the epoll */
	int epoll;
	char held[4096]; /* typed, not yet taken by the other side */
	size_t nheld;
};

/* The size of our terminal; 0 and 0 when we have none. */
void terminal_size(uint16_t *ret_rows, uint16_t *ret_cols);

/* Raw mode, where standard input is a terminal and is passed on. */
int terminal_open(struct terminal *t, int epoll, bool reads);
void terminal_close(struct terminal *t);
/* Raw mode again, after we were stopped; not from the background, where it is another's terminal. */
void terminal_again(struct terminal *t);

/* Carries bytes between us and @master, as many as are there. */
void terminal_carry(struct terminal *t, int master);
/* What the other side has still to say. */
void terminal_drain(int master);
void terminal_resized(int master);

#endif
