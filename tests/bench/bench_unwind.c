/* What a frame costs: records a command's stacks, then unwinds them again and again.
 *
 * usage: bench_unwind [-F HZ] [-s STACK_BYTES] [-n MAX_SAMPLES] [-u cfi|libunwind|fp] -- COMMAND...
 *
 * Thread CPU time per frame, as one line of JSON: "first" is a walk over all samples with empty
 * caches, "cold" the median of walks whose caches know the code (the dumps are not in the processor's
 * cache, as in a recorder), "warm" of walks that do each sample eight times in a row. */
#include "live_samples.h"
#include "pmuflame/mem.h"
#include "pmuflame/unwind.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PASSES = 5, WARM_REPEATS = 8 };

struct kept {
	struct pmf_unwind_in in;
	uint64_t generation;
};

struct bench {
	struct kept *kept;
	size_t n, cap, max;
	size_t frames, ends[PMF_END_FULL + 1]; /* of the last pass */
	struct pmf_unwind_frame out[PMF_UNWIND_MAX_FRAMES];
};

static void keep(void *ctx, const struct pmf_record *rec, const struct pmf_unwind_in *in)
{
	struct bench *b = ctx;
	uint8_t *copy;

	(void)rec;
	if (!in || b->n == b->max)
		return;
	copy = pmf_malloc(in->stack_bytes + 1);
	memcpy(copy, in->stack, in->stack_bytes);
	in->process->refs++;
	PMF_PUSH(b->kept, b->n, b->cap) = (struct kept){*in, in->process->maps_generation};
	b->kept[b->n - 1].in.stack = copy;
}

/* Samples of address spaces that changed since cannot be unwound any more: what is left are those of
 * the maps that each process ended with. */
static void drop_old(struct bench *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		if (b->kept[i].generation == b->kept[i].in.process->maps_generation)
			b->kept[n++] = b->kept[i];
		else
			free((void *)b->kept[i].in.stack);
	}
	b->n = n;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double pass(struct bench *b, struct pmf_unwinder *u, unsigned repeats)
{
	double start = cpu_ns();

	b->frames = 0;
	memset(b->ends, 0, sizeof b->ends);
	for (size_t i = 0; i < b->n; i++) {
		struct pmf_unwind_out out = {.frames = b->out, .cap = PMF_UNWIND_MAX_FRAMES};

		for (unsigned r = 0; r < repeats; r++) {
			pmf_unwind(u, &b->kept[i].in, &out);
			b->frames += out.n;
		}
		b->ends[out.end]++;
	}
	return (cpu_ns() - start) / (double)PMF_MAX(b->frames, (size_t)1);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_pass(struct bench *b, struct pmf_unwinder *u, unsigned repeats)
{
	double ns[PASSES];

	for (size_t i = 0; i < PASSES; i++)
		ns[i] = pass(b, u, repeats);
	qsort(ns, PASSES, sizeof *ns, by_value);
	return ns[PASSES / 2];
}

static void report(struct bench *b, struct pmf_unwinder *u)
{
	double first = pass(b, u, 1), cold = median_pass(b, u, 1),
	       warm = median_pass(b, u, WARM_REPEATS);

	printf("{\"samples\": %zu, \"frames_per_sample\": %.1f, \"first_ns\": %.1f, "
	       "\"cold_ns\": %.1f, \"warm_ns\": %.1f, \"rooted\": %zu, \"cut\": %zu, "
	       "\"broken\": %zu}\n",
		b->n, (double)b->frames / (double)(PMF_MAX(b->n, (size_t)1) * WARM_REPEATS), first,
		cold, warm, b->ends[PMF_END_ROOT], b->ends[PMF_END_TRUNCATED],
		b->ends[PMF_END_BROKEN]);
}

static bool parse_by(const char *text, enum pmf_unwind_by *by)
{
	static const char *const names[] = {[PMF_UNWIND_BY_AUTO] = "auto",
		[PMF_UNWIND_BY_CFI] = "cfi",
		[PMF_UNWIND_BY_LIBUNWIND] = "libunwind",
		[PMF_UNWIND_BY_FP] = "fp"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*by = (enum pmf_unwind_by)i;
			return pmf_unwinder_can(*by, pmf_arch_native());
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct bench *b = pmf_zalloc(sizeof *b);
	enum pmf_unwind_by by = PMF_UNWIND_BY_AUTO;
	struct pmf_process_table table;
	struct pmf_unwinder *u;
	unsigned long hz = 997, stack_bytes = 32768;
	bool ok = true;
	int c;

	b->max = 4000;
	while ((c = getopt(argc, argv, "+F:s:n:u:")) != -1) {
		if (c == 'F')
			hz = strtoul(optarg, NULL, 10);
		else if (c == 's')
			stack_bytes = strtoul(optarg, NULL, 10);
		else if (c == 'n')
			b->max = strtoul(optarg, NULL, 10);
		else
			ok = ok && c == 'u' && parse_by(optarg, &by);
	}
	if (!ok || optind == argc || stack_bytes > 65528 || stack_bytes % 8) {
		fputs("usage: bench_unwind [-F HZ] [-s STACK_BYTES] [-n MAX_SAMPLES] "
		      "[-u auto|cfi|libunwind|fp] -- COMMAND [ARG...]\n",
			stderr);
		return 2;
	}
	live_samples(&table, argv + optind, hz, (uint32_t)stack_bytes, keep, b);
	drop_old(b);
	u = pmf_unwinder_new(PMF_UNWIND_AUTO, by, pmf_arch_native());
	report(b, u);
	for (size_t i = 0; i < b->n; i++)
		free((void *)b->kept[i].in.stack);
	free(b->kept);
	pmf_process_table_release(&table);
	pmf_unwinder_free(u);
	free(b);
	return 0;
}
