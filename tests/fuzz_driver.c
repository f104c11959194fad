/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_driver.c - run a fuzz target without libFuzzer
 *
 * usage: x_fuzz [-runs=N] [FILE|DIRECTORY]...
 *
 * How it works: every file given is handed to the target as it is, then N inputs made from them by
 * flipping, cutting, doubling and joining bytes (from nothing when there are no files). The random
 * numbers begin with the same seed each time, so a run that crashes can be repeated. The input of
 * the moment lies in memory that ends where it ends: the address sanitizer sees one byte too far.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST	    (1u << 16)
#define MOST_SEEDS  512
#define DEFAULT_RUNS 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
	uint8_t *data;
	size_t size;
};

struct fuzz {
	struct seed seeds[MOST_SEEDS];
	size_t nseeds;
	uint64_t random; /* state of xorshift */
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t next_random(struct fuzz *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

static size_t below(struct fuzz *f, size_t limit)
{
	return limit ? (size_t)(next_random(f) % limit) : 0;
}

static void try_input(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	if (!exact)
		die("malloc");
	if (size)
		memcpy(exact, data, size);
	(void)LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static void add_file(struct fuzz *f, const char *path)
{
	struct seed s = {.data = malloc(LARGEST)};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 || !s.data)
		die(path);
	while (s.size < LARGEST && (n = read(fd, s.data + s.size, LARGEST - s.size)) > 0)
		s.size += (size_t)n;
	close(fd);
	if (f->nseeds < MOST_SEEDS)
		f->seeds[f->nseeds++] = s;
	else
		free(s.data);
}

static void add_path(struct fuzz *f, const char *path)
{
	struct dirent *entry;
	char file[4096];
	struct stat st;
	DIR *dir;

	if (stat(path, &st) < 0)
		die(path);
	if (!S_ISDIR(st.st_mode)) {
		add_file(f, path);
		return;
	}
	dir = opendir(path);
	if (!dir)
		die(path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		add_file(f, file);
	}
	closedir(dir);
}

/* Changes @buf once; returns its new size. */
static size_t change(struct fuzz *f, uint8_t *buf, size_t size)
{
	static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '\n', '"', '{', '/', '-', ','};
	size_t at = below(f, size), len = below(f, size - at) + 1;

	if (size == 0 || below(f, 8) == 0) { /* one byte more */
		if (size >= LARGEST)
			return size;
		memmove(buf + at + 1, buf + at, size - at);
		buf[at] = (uint8_t)next_random(f);
		return size + 1;
	}
	switch (below(f, 5)) {
	case 0:
		buf[at] ^= (uint8_t)(1u << below(f, 8));
		return size;
	case 1:
		buf[at] = telling[below(f, sizeof(telling))];
		return size;
	case 2: /* cut out */
		memmove(buf + at, buf + at + len, size - at - len);
		return size - len;
	case 3: /* double */
		if (size + len > LARGEST)
			return size;
		memmove(buf + at + len, buf + at, size - at);
		return size + len;
	default: /* end here */
		return at;
	}
}

/* A new input in @buf: a seed, perhaps the end of another, then some changes. */
static size_t make_input(struct fuzz *f, uint8_t *buf)
{
	size_t size = 0, times = below(f, 6) + 1;

	for (size_t joined = below(f, 4) == 0 ? 2 : 1; f->nseeds && joined > 0; joined--) {
		const struct seed *s = &f->seeds[below(f, f->nseeds)];
		size_t from = size ? below(f, s->size) : 0, len = s->size - from;

		if (size + len > LARGEST)
			len = LARGEST - size;
		memcpy(buf + size, s->data + from, len);
		size += len;
	}
	while (times-- > 0)
		size = change(f, buf, size);
	return size;
}

int main(int argc, char **argv)
{
	static struct fuzz f = {.random = 0x9e3779b97f4a7c15u};
	static uint8_t buf[LARGEST + 1];
	unsigned long runs = DEFAULT_RUNS;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0)
			runs = strtoul(argv[i] + 6, NULL, 10);
		else if (argv[i][0] != '-') /* options of libFuzzer are let pass */
			add_path(&f, argv[i]);
	}
	for (size_t i = 0; i < f.nseeds; i++)
		try_input(f.seeds[i].data, f.seeds[i].size);
	try_input(buf, 0);
	for (unsigned long i = 0; i < runs; i++)
		try_input(buf, make_input(&f, buf));
	for (size_t i = 0; i < f.nseeds; i++)
		free(f.seeds[i].data);
	printf("%zu files and %lu made inputs\n", f.nseeds, runs);
	return 0;
}
