/* Are joined stacks the true ones? Records a command with the largest dumps there are, and joins what
 * only the first bytes of each would show. Where the whole dump reaches the root, it tells.
 *
 * usage: join_check [-F HZ] [-s STACK_BYTES] [-v N] -- COMMAND...
 *
 * Prints one line of JSON: "cut" are the stacks that STACK_BYTES do not hold; of those "joined" were
 * completed, of which "wrong" have not the frames of the whole dump and "unknown" have no whole dump to
 * compare with. -v shows the first N wrong ones. */
#include "collect_priv.h"
#include "live_samples.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walked {
	struct pmf_unwind_frame frames[PMF_UNWIND_MAX_FRAMES];
	struct pmf_unwind_out out;
};

struct check {
	struct pmf_unwinder *unwinder;
	struct pmf_joins joins;
	struct walked whole, part;
	uint32_t ids[PMF_UNWIND_MAX_FRAMES];
	size_t stack_bytes, show;
	size_t samples, rooted, cut, joined, wrong, unknown;
};

static void walk(struct check *c, const struct pmf_unwind_in *in, struct walked *w)
{
	w->out = (struct pmf_unwind_out){.frames = w->frames, .cap = PMF_UNWIND_MAX_FRAMES};
	pmf_unwind(c->unwinder, in, &w->out);
}

/* The frame of the joined stack that is not the whole one's, or the number of both. */
static size_t first_wrong(
	const struct check *c, const struct pmf_join_frame *outer, size_t nr_outer)
{
	size_t n = c->part.out.n + nr_outer, i = 0;

	for (; i < n && i < c->whole.out.n; i++) {
		uint64_t va = i < c->part.out.n ? c->part.frames[i].va : outer[n - 1 - i].va;

		if (c->whole.frames[i].va != va)
			return i;
	}
	return n == c->whole.out.n ? n : i;
}

static void check_joined(struct check *c, const struct pmf_join_frame *outer, size_t nr_outer)
{
	size_t n = c->part.out.n + nr_outer, at;

	c->joined++;
	if (c->whole.out.end != PMF_END_ROOT) {
		c->unknown++;
		return;
	}
	at = first_wrong(c, outer, nr_outer);
	if (at == n)
		return;
	if (c->wrong++ < c->show)
		fprintf(stderr, "%zu frames, joined to %zu, should be %zu: differs at %zu\n",
			c->part.out.n, n, c->whole.out.n, at);
}

static void on_sample(struct check *c, uint32_t tid, const struct pmf_unwind_in *in)
{
	struct pmf_unwind_in part = *in;
	const struct pmf_join_frame *outer;
	size_t joined = 0;

	part.stack_bytes = PMF_MIN(in->stack_bytes, c->stack_bytes);
	part.stack_asked = c->stack_bytes;
	walk(c, in, &c->whole);
	walk(c, &part, &c->part);
	c->samples++;
	if (c->part.out.end == PMF_END_TRUNCATED) {
		c->cut++;
		joined = pmf_joins_find(&c->joins, tid, &part, &c->part.out, &outer);
		if (joined)
			check_joined(c, outer, joined);
	}
	c->rooted += c->part.out.end == PMF_END_ROOT;
	if (joined || c->part.out.end == PMF_END_ROOT)
		pmf_joins_keep(&c->joins, tid, &part, &c->part.out, c->ids, joined);
}

static void on_record(void *ctx, const struct pmf_record *rec, const struct pmf_unwind_in *in)
{
	struct check *c = ctx;

	if (in)
		on_sample(c, rec->tid, in);
	else
		pmf_joins_record(&c->joins, rec);
}

int main(int argc, char **argv)
{
	struct check *c = pmf_zalloc(sizeof *c);
	struct pmf_process_table table;
	unsigned long hz = 997;
	int opt, status;

	c->stack_bytes = 8192;
	while ((opt = getopt(argc, argv, "+F:s:v:")) != -1) {
		if (opt == 'F')
			hz = strtoul(optarg, NULL, 10);
		else if (opt == 's')
			c->stack_bytes = strtoul(optarg, NULL, 10);
		else if (opt == 'v')
			c->show = strtoul(optarg, NULL, 10);
	}
	if (optind >= argc || c->stack_bytes % 8) {
		fputs("usage: join_check [-F HZ] [-s STACK_BYTES] [-v N] -- COMMAND [ARG...]\n",
			stderr);
		return 2;
	}
	c->unwinder = pmf_unwinder_new(PMF_UNWIND_AUTO, PMF_UNWIND_BY_AUTO, pmf_arch_native());
	status = live_samples(&table, argv + optind, hz, PMF_STACK_BYTES_MAX, on_record, c);
	printf("{\"samples\": %zu, \"rooted\": %zu, \"cut\": %zu, \"joined\": %zu, \"wrong\": %zu, "
	       "\"unknown\": %zu}\n",
		c->samples, c->rooted, c->cut, c->joined, c->wrong, c->unknown);
	pmf_joins_release(&c->joins);
	pmf_process_table_release(&table);
	pmf_unwinder_free(c->unwinder);
	free(c);
	return status;
}
