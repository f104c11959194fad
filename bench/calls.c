/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - what bench/python/rollouts.py measures Python against: the same calls from C
 *
 * usage: calls ROOTFS
 *
 * How it works: a line on standard input asks for one figure, which is printed: "run N", "session N", "program N": the
 * median of N calls in microseconds; "many SECONDS BOXES": commands a second, one in flight in each sandbox,
 * from one thread that waits for all of them.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hutch.h"

enum { BOXES_MAX = 256, CALLS_MAX = 10000 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const struct hutch_error *e)
{
	fprintf(stderr, "calls: %s\n", e->message);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct hutch_run *begin(struct hutch_box *box, const char *what)
{
	static const char *const program[] = {"/bin/true", NULL};
	struct hutch_run_options o = {.size = sizeof(o)};
	struct hutch_run *run;
	struct hutch_error e;

	if (!strcmp(what, "program"))
		o.argv = program;
	else
		o.text = "true";
	if (!strcmp(what, "session"))
		o.session = "s";
	if (hutch_run_start(box, &o, &run, &e) < 0)
		die(&e);
	return run;
}

static double median(struct hutch_box *box, const char *what, int n)
{
	static double took[CALLS_MAX];

	n = n < CALLS_MAX ? n : CALLS_MAX;
	for (int i = 0; i < n; i++) {
		struct hutch_result res = {.size = sizeof(res)};
		struct hutch_output out = {.size = sizeof(out)};
		double since = now();
		struct hutch_run *run = begin(box, what);
		struct hutch_error e;

		if (hutch_run_wait(run, -1, -1, &res, &e) < 0 || hutch_run_output(run, 1, &out, &e) < 0)
			die(&e);
		hutch_run_free(run);
		took[i] = now() - since;
	}
	qsort(took, (size_t)n, sizeof(*took), compare);
	return took[n / 2] * 1e6;
}

static double many(struct hutch *h, struct hutch_spec *spec, double seconds, int n)
{
	static struct hutch_box *boxes[BOXES_MAX];
	static struct hutch_run *runs[BOXES_MAX];
	static struct pollfd p[BOXES_MAX];
	struct hutch_error e;
	double since;
	int done = 0;

	n = n < BOXES_MAX ? n : BOXES_MAX;
	for (int i = 0; i < n; i++) {
		if (hutch_box_start(h, spec, NULL, &boxes[i], &e) < 0)
			die(&e);
		runs[i] = begin(boxes[i], "program");
		p[i] = (struct pollfd){hutch_run_fd(runs[i], &e), POLLIN, 0};
	}
	for (since = now(); now() - since < seconds;) {
		(void)poll(p, (nfds_t)n, 1000);
		for (int i = 0; i < n; i++) {
			struct hutch_result res = {.size = sizeof(res)};
			struct hutch_output out = {.size = sizeof(out)};

			if (!p[i].revents || hutch_run_wait(runs[i], 0, -1, &res, &e) != 1)
				continue;
			(void)hutch_run_output(runs[i], 1, &out, &e);
			hutch_run_free(runs[i]);
			done++;
			runs[i] = begin(boxes[i], "program");
			p[i].fd = hutch_run_fd(runs[i], &e);
		}
	}
	seconds = now() - since;
	for (int i = 0; i < n; i++)
		hutch_box_delete(boxes[i], NULL);
	return done / seconds;
}

int main(int argc, char **argv)
{
	struct hutch_spec *spec;
	struct hutch_box *box;
	struct hutch_error e;
	struct hutch *h;
	char what[32];
	double number;
	int boxes;

	if (argc != 2 || hutch_open(NULL, &h, &e) < 0 || hutch_spec_new(&spec, &e) < 0 ||
	    hutch_spec_set(spec, "rootfs", argv[1], &e) < 0 || hutch_box_start(h, spec, NULL, &box, &e) < 0)
		return argc != 2 ? 2 : (die(&e), 1);
	while (scanf("%31s %lf", what, &number) == 2) {
		if (strcmp(what, "many"))
			printf("%.3f\n", median(box, what, (int)number));
		else if (scanf("%d", &boxes) == 1)
			printf("%.1f\n", many(h, spec, number, boxes));
		fflush(stdout);
	}
	hutch_box_delete(box, NULL);
	hutch_spec_free(spec);
	hutch_close(h);
	return 0;
}
