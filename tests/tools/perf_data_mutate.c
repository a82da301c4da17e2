/* Broken recordings: perf_data_mutate COUNT SEED FILE... reads COUNT copies of the files, each with
 * some bytes changed, moved or cut off, as a file and as a stream. Both must give the same records, in
 * a bounded time and memory, and the profile of a copy must have all its samples. The same SEED gives the
 * same copies; the last line says what was done. */
#include "../fuzz/perf_data_found.h"
#include "pmuflame/collect.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

/* Far above what any of them takes, sanitizers included: beyond them something runs away. */
enum { MAX_SECONDS = 20, MAX_KIB = 1 << 20 };

struct file {
	const char *path;
	uint8_t *bytes;
	size_t len;
};

/* xorshift64*, Vigna 2016. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

static size_t below(uint64_t *state, size_t n)
{
	return n ? (size_t)(draw(state) % n) : 0;
}

/* A length below @n that fits into @room. */
static size_t length(uint64_t *state, size_t n, size_t room)
{
	size_t len = below(state, n);

	return PMF_MIN(len, room);
}

/* Headers, attributes and the first records are a small part of a file, and most of what can go
 * wrong. */
static size_t place(uint64_t *state, size_t len)
{
	return below(state, draw(state) % 2 ? PMF_MIN(len, (size_t)4096) : len);
}

/* One change of @bytes, of which there are @len; returns how many there are then. */
static size_t change(uint64_t *state, uint8_t *bytes, size_t len)
{
	static const uint64_t words[] = {0, 1, 8, 64, 0x7fffffff, 0xffffffff, UINT64_MAX,
		UINT64_C(1) << 63, UINT64_MAX - 7, 0x10000};
	size_t at = place(state, len), width = (size_t)1 << draw(state) % 4, n;

	switch (draw(state) % 5) {
	case 0: /* a bit */
		bytes[at] ^= (uint8_t)(1u << draw(state) % 8);
		return len;
	case 1: /* a number that tests limits */
		at = at / width * width;
		memcpy(bytes + at, &words[below(state, PMF_ARRAY_SIZE(words))],
			PMF_MIN(width, len - at));
		return len;
	case 2: /* a run of noise */
		n = length(state, 64, len - at);
		for (size_t i = 0; i < n; i++)
			bytes[at + i] = (uint8_t)draw(state);
		return len;
	case 3: /* a piece of the file over another */
		n = length(state, 512, len - at);
		memmove(bytes + at, bytes + below(state, len - n), n);
		return len;
	default: /* the end is missing, or a piece in the middle */
		n = draw(state) % 2 ? len - at : length(state, 512, len - at);
		memmove(bytes + at, bytes + at + n, len - at - n);
		return len - n;
	}
}

/* Does the profile of what @fd has hold the samples that were @found? */
static bool draws_all(int fd, const struct found *found)
{
	struct pmf_recording_opts opts = {.call_graph = PMF_UNWIND_AUTO};
	uint64_t samples = 0, weight = 0;
	struct pmf_perf_data *pd;
	struct pmf_profile p;
	char workload[16];

	if (pmf_perf_data_open(&pd, fd, "copy", NULL, 0, NULL))
		return found->status != 0;
	if (pmf_collect_recording(&p, pd, &opts, workload, NULL) == 0) {
		for (size_t e = 0; e < p.nr_events; e++) {
			samples += p.events[e].samples;
			weight += p.events[e].weight;
		}
		pmf_profile_release(&p);
	}
	pmf_perf_data_free(pd);
	return samples == found->samples && (samples == 0 || weight == found->weight);
}

/* Both ways through @bytes: what they found, or why that is wrong. */
static const char *check(const uint8_t *bytes, size_t len, struct found *out)
{
	int fd = memfd_create("copy", MFD_CLOEXEC);
	struct timespec from, to;
	struct found stream;
	bool drawn;

	if (write(fd, bytes, len) != (ssize_t)len)
		return "the copy cannot be written";
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	*out = find_all(dup(fd), NULL, 0);
	stream = find_all(open("/dev/null", O_RDONLY | O_CLOEXEC), bytes, len);
	drawn = draws_all(fd, out);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	close(fd);
	if (!drawn)
		return "its profile has other samples";
	if (!found_same(out, &stream))
		return "the stream gives other records than the file";
	if (to.tv_sec - from.tv_sec > MAX_SECONDS)
		return "reading it does not end";
	return NULL;
}

static bool load(struct file *f, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && fstat(fd, &st) == 0;

	f->path = path;
	if (ok) {
		f->len = (size_t)st.st_size;
		f->bytes = pmf_malloc(f->len);
		ok = read(fd, f->bytes, f->len) == st.st_size;
	}
	if (!ok)
		fprintf(stderr, "perf_data_mutate: cannot read '%s': %s\n", path, strerror(errno));
	close(fd);
	return ok;
}

/* Copy number @i of @f's; false if something is wrong with how it is read. */
static bool try_copy(const struct file *f, uint64_t seed, uint64_t i, struct found *out)
{
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15u ^ (i + 1) * 0xbf58476d1ce4e5b9u;
	size_t len = f->len, changes;
	uint8_t *copy = pmf_malloc(len);
	const char *wrong;

	memcpy(copy, f->bytes, len);
	changes = 1 + below(&state, 8);
	for (size_t j = 0; j < changes && len > 0; j++)
		len = change(&state, copy, len);
	wrong = check(copy, len, out);
	if (wrong)
		fprintf(stderr,
			"perf_data_mutate: copy %" PRIu64 " of seed %" PRIu64 ", of '%s': %s\n", i,
			seed, f->path, wrong);
	free(copy);
	return !wrong;
}

int main(int argc, char **argv)
{
	size_t nr_files = argc > 3 ? (size_t)argc - 3 : 0, opened = 0;
	uint64_t count = argc > 3 ? strtoull(argv[1], NULL, 10) : 0, records = 0;
	struct file *files = pmf_calloc(nr_files, sizeof *files);
	struct rusage usage;
	int status = 0;

	if (nr_files == 0) {
		fprintf(stderr, "usage: perf_data_mutate COUNT SEED FILE...\n");
		return 2;
	}
	for (size_t i = 0; i < nr_files && status == 0; i++)
		status = load(&files[i], argv[3 + i]) ? 0 : 2;
	for (uint64_t i = 0; i < count && status == 0; i++) {
		struct found f = {0};

		status = !try_copy(&files[i % nr_files], strtoull(argv[2], NULL, 10), i, &f);
		opened += f.status == 0;
		records += f.records;
	}
	getrusage(RUSAGE_SELF, &usage);
	if (status == 0 && usage.ru_maxrss > MAX_KIB) {
		fprintf(stderr, "perf_data_mutate: reading them took %ld KiB\n", usage.ru_maxrss);
		status = 1;
	}
	printf("%" PRIu64 " copies, %zu of them readable, %" PRIu64 " records, %ld KiB\n", count,
		opened, records, usage.ru_maxrss);
	for (size_t i = 0; i < nr_files; i++)
		free(files[i].bytes);
	free(files);
	return status;
}
