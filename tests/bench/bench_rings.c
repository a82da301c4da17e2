/* bench_rings RECORDING SAMPLES - what a drain of many rings costs. The recording (ringdump's, of a short
 * run) has the processes and real samples; copies of the samples are dealt out in turn to simulated
 * rings, a microsecond after each other, which is the order that costs a merge most. Printed are
 * medians per sample: walking over the records only, and all that recording does with them, by
 * the CPU time of all readers and by the wall clock. */
#include "collect_priv.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include "ring_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUNDS = 5,
	TIME_AT = 32, /* in a sample, behind header, id, ip, pid and tid */
	CLOCK = 1,    /* ringdump's event */
};

struct piece {
	uint64_t time_ns;
	const uint8_t *data;
	size_t len;
};

/* The recording's records. */
struct parts {
	struct piece *timeline, *samples; /* what makes processes and maps; samples with a dump */
	size_t nr_timeline, cap_timeline, nr_samples, cap_samples;
	uint64_t last_ns;
};

struct rings {
	struct pmf_ring *items, **ptrs;
	size_t n;
};

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "bench_rings: %s\n", why);
	exit(1);
}

static double now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void take_piece(struct parts *p, const struct pmf_layouts *layouts, const uint8_t *data)
{
	struct perf_event_header h;
	struct pmf_record rec;
	struct piece piece = {.data = data};

	memcpy(&h, data, sizeof h);
	piece.len = h.size;
	if (pmf_record_parse(layouts, data, h.size, &rec, NULL))
		die("the recording has a record that cannot be read");
	piece.time_ns = rec.time_ns;
	p->last_ns = PMF_MAX(p->last_ns, rec.time_ns);
	if (h.type == PERF_RECORD_MMAP2 || h.type == PERF_RECORD_COMM || h.type == PERF_RECORD_FORK)
		PMF_PUSH(p->timeline, p->nr_timeline, p->cap_timeline) = piece;
	else if (h.type == PERF_RECORD_SAMPLE && rec.event == CLOCK && rec.sample.stack_bytes)
		PMF_PUSH(p->samples, p->nr_samples, p->cap_samples) = piece;
}

static int by_time(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static void take_parts(struct parts *p, const struct ring_fixture *f)
{
	for (size_t i = 0; i < f->nr_rings; i++) {
		const struct pmf_ring *r = &f->rings[i];
		struct perf_event_header h;

		for (size_t at = 0; at + sizeof h <= r->head; at += h.size) {
			memcpy(&h, r->data + at, sizeof h);
			if (h.size < sizeof h || h.size > r->head - at)
				die("the recording is damaged");
			take_piece(p, &f->layouts, r->data + at);
		}
	}
	if (!p->nr_samples || !p->nr_timeline)
		die("the recording has no samples with a stack");
	qsort(p->timeline, p->nr_timeline, sizeof *p->timeline, by_time);
}

static void put(struct pmf_ring *r, const struct piece *piece, uint64_t time_ns)
{
	uint8_t *to = (uint8_t *)r->data + r->head;

	if (r->size - r->head < piece->len)
		die("a ring is too small for its samples");
	memcpy(to, piece->data, piece->len);
	if (time_ns)
		memcpy(to + TIME_AT, &time_ns, sizeof time_ns);
	r->head += piece->len;
}

static void make_rings(struct rings *rs, const struct parts *p, size_t n, size_t samples)
{
	size_t bytes = 65536, longest = 0, of_timeline = 0;

	for (size_t i = 0; i < p->nr_samples; i++)
		longest = PMF_MAX(longest, p->samples[i].len);
	for (size_t i = 0; i < p->nr_timeline; i++)
		of_timeline += p->timeline[i].len;
	while (bytes < (samples / n + 1) * longest + of_timeline)
		bytes *= 2;
	rs->n = n;
	rs->items = pmf_calloc(n, sizeof *rs->items);
	rs->ptrs = pmf_calloc(n, sizeof *rs->ptrs);
	for (size_t i = 0; i < n; i++) {
		rs->items[i] = (struct pmf_ring){.data = pmf_malloc(bytes), .size = bytes};
		rs->ptrs[i] = &rs->items[i];
	}
	for (size_t i = 0; i < p->nr_timeline; i++)
		put(&rs->items[0], &p->timeline[i], 0);
	for (size_t i = 0; i < samples; i++)
		put(&rs->items[i % n], &p->samples[i % p->nr_samples], p->last_ns + 1000 * (i + 1));
}

static void free_rings(struct rings *rs)
{
	for (size_t i = 0; i < rs->n; i++)
		free((void *)rs->items[i].data);
	free(rs->items);
	free(rs->ptrs);
}

static int ignore(void *ctx, const struct pmf_record *rec)
{
	(void)ctx, (void)rec;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The median time of draining all rings, once they have been drained one time before. */
static double drain_ns(struct rings *rs, const struct pmf_layouts *layouts, size_t readers,
	pmf_record_cb *cb, void *ctx, clockid_t clock)
{
	struct pmf_err err = PMF_ERR_INIT;
	double values[ROUNDS + 1];

	for (size_t round = 0; round <= ROUNDS; round++) {
		struct pmf_readers *r;

		for (size_t i = 0; i < rs->n; i++)
			rs->items[i].tail = 0;
		if (pmf_readers_new(&r, layouts, rs->ptrs, rs->n, readers, &err))
			die(err.text);
		values[round] = now_ns(clock);
		if (pmf_readers_drain(r, UINT64_MAX, cb, ctx))
			die("a drain failed");
		values[round] = now_ns(clock) - values[round];
		if (pmf_readers_malformed(r))
			die("records made no sense");
		pmf_readers_free(r);
	}
	qsort(values + 1, ROUNDS, sizeof values[0], by_value);
	return values[1 + ROUNDS / 2];
}

static void measure(struct rings *rs, const struct ring_fixture *f,
	const struct pmf_event_list *list, size_t readers, size_t samples)
{
	struct pmf_stacks *main = pmf_zalloc(sizeof *main);
	struct pmf_shards shards;
	struct pmf_profile profile;
	char n[PMF_UNITS_MAX];
	double walk, cpu, all;

	pmf_profile_init(&profile, list->n);
	pmf_stacks_init(main, &profile, list, pmf_arch_by_name(f->arch), PMF_UNWIND_AUTO,
		PMF_UNWIND_BY_AUTO, false);
	pmf_shards_init(&shards, main, PMF_UNWIND_BY_AUTO, readers);
	walk = drain_ns(rs, &f->layouts, readers, ignore, NULL, CLOCK_PROCESS_CPUTIME_ID);
	cpu = drain_ns(
		rs, &f->layouts, readers, pmf_shards_record, &shards, CLOCK_PROCESS_CPUTIME_ID);
	all = drain_ns(rs, &f->layouts, readers, pmf_shards_record, &shards, CLOCK_MONOTONIC);
	pmf_shards_merge(&shards);
	if (profile.events[CLOCK].samples != 2 * samples * (ROUNDS + 1))
		die("samples are missing");
	all /= (double)samples;
	printf("| %zu | %zu | %.0f | %.0f | %.0f | %s |\n", rs->n, readers, walk / (double)samples,
		cpu / (double)samples, all, pmf_format_count(n, (uint64_t)(1e9 / all)));
	pmf_shards_release(&shards);
	pmf_stacks_release(main);
	pmf_profile_release(&profile);
	free(main);
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = {1, 4, 16, 64, 256};
	struct ring_fixture f;
	struct pmf_event_list list;
	struct parts parts = {0};
	struct pmf_err err = PMF_ERR_INIT;
	size_t samples = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	size_t cpus = (size_t)PMF_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);

	if (samples < 256 || samples > 1000000) {
		fputs("usage: bench_rings RECORDING SAMPLES (256 to 1000000)\n", stderr);
		return 2;
	}
	if (ring_fixture_load(&f, argv[1], &err))
		die(err.text);
	pmf_event_list_init(&list);
	for (size_t e = 0; e < f.nr_events; e++)
		if (pmf_event_list_add(&list, f.events[e], NULL, NULL, &err))
			die(err.text);
	take_parts(&parts, &f);
	printf("%zu different samples, dealt out %zu times\n\n", parts.nr_samples, samples);
	puts("| rings | readers | CPU time, walking only, ns a sample | CPU time, all, ns a sample "
	     "| wall clock, all | samples/s |\n|---:|---:|---:|---:|---:|---:|");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(sizes); i++) {
		struct rings rs;

		make_rings(&rs, &parts, sizes[i], samples);
		for (size_t readers = 1; readers <= PMF_MIN(cpus, rs.n); readers *= 2)
			measure(&rs, &f, &list, readers, samples);
		free_rings(&rs);
	}
	free(parts.timeline);
	free(parts.samples);
	pmf_event_list_release(&list);
	ring_fixture_release(&f);
	return 0;
}
