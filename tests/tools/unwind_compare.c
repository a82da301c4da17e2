/* Unwinds each sample of a command twice, as a run would and with libunwind that caches nothing, and
 * says how often they agree: the same frames at the same addresses, ended the same way.
 *
 * usage: unwind_compare [-F HZ] [-s STACK_BYTES] [-u auto|cfi] [-v N] -- COMMAND...
 *
 * Prints one line of JSON; -v shows the first N disagreements. Both unwinders leave code that no call
 * frame information covers by the same means, so beyond it their agreement says less: such samples are
 * counted as "bare". */
#include "live_samples.h"
#include "pmuflame/mem.h"
#include "unwind_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walked {
	struct pmf_unwind_frame frames[PMF_UNWIND_MAX_FRAMES];
	struct pmf_unwind_out out;
};

struct compare {
	struct pmf_unwinder *own, *lib;
	struct walked a, b; /* own's, libunwind's */
	size_t samples, differ, bare;
	size_t show;
	size_t own_ends[PMF_END_FULL + 1], lib_ends[PMF_END_FULL + 1];
};

static void walk(struct pmf_unwinder *u, const struct pmf_unwind_in *in, struct walked *w)
{
	w->out = (struct pmf_unwind_out){.frames = w->frames, .cap = PMF_UNWIND_MAX_FRAMES};
	pmf_unwind(u, in, &w->out);
}

/* The first frame that differs. */
static size_t common(const struct compare *c)
{
	size_t i = 0;

	while (i < c->a.out.n && i < c->b.out.n && c->a.frames[i].va == c->b.frames[i].va)
		i++;
	return i;
}

static void print_frame(const struct walked *w, size_t i)
{
	const struct pmf_unwind_frame *f = &w->frames[i];

	if (i < w->out.n)
		fprintf(stderr, " %s+%llx", f->map ? f->map->image->name : "?",
			(unsigned long long)f->rva);
	else
		fprintf(stderr, " end %d", w->out.end);
}

static void show(const struct compare *c, size_t same)
{
	fprintf(stderr, "%zu and %zu frames, %zu alike, ends %d %d; last alike", c->a.out.n,
		c->b.out.n, same, c->a.out.end, c->b.out.end);
	for (size_t i = same > 2 ? same - 2 : 0; i < same; i++)
		print_frame(&c->a, i);
	fputs("; then", stderr);
	print_frame(&c->a, same);
	fputs(" against", stderr);
	print_frame(&c->b, same);
	fputc('\n', stderr);
}

static bool crosses_bare_code(const struct walked *w)
{
	struct pmf_cfi_fde fde;

	for (size_t i = 0; i + 1 < w->out.n; i++) {
		const struct pmf_map *map = w->frames[i].map;
		const struct pmf_cfi *cfi = map ? pmf_cfi_of(map->image, pmf_arch_native()) : NULL;

		if (!cfi || !pmf_cfi_find(cfi, w->frames[i].rva, &fde))
			return true;
	}
	return false;
}

static void on_sample(void *ctx, const struct pmf_record *rec, const struct pmf_unwind_in *in)
{
	struct compare *c = ctx;
	size_t same;

	(void)rec;
	if (!in)
		return;
	walk(c->own, in, &c->a);
	walk(c->lib, in, &c->b);
	same = common(c);
	c->samples++;
	c->bare += crosses_bare_code(&c->a);
	c->own_ends[c->a.out.end]++;
	c->lib_ends[c->b.out.end]++;
	if (same == c->a.out.n && same == c->b.out.n && c->a.out.end == c->b.out.end)
		return;
	if (c->differ++ < c->show)
		show(c, same);
}

static void report(const struct compare *c)
{
	printf("{\"samples\": %zu, \"agree\": %zu, \"bare\": %zu, \"rooted\": %zu, \"cut\": %zu, "
	       "\"libunwind_rooted\": %zu}\n",
		c->samples, c->samples - c->differ, c->bare, c->own_ends[PMF_END_ROOT],
		c->own_ends[PMF_END_TRUNCATED], c->lib_ends[PMF_END_ROOT]);
}

int main(int argc, char **argv)
{
	struct compare *c = pmf_zalloc(sizeof *c);
	enum pmf_unwind_by by = PMF_UNWIND_BY_CFI;
	struct pmf_process_table table;
	unsigned long hz = 997, stack_bytes = 32768;
	int opt, status;

	while ((opt = getopt(argc, argv, "+F:s:u:v:")) != -1) {
		if (opt == 'F')
			hz = strtoul(optarg, NULL, 10);
		else if (opt == 's')
			stack_bytes = strtoul(optarg, NULL, 10);
		else if (opt == 'u')
			by = strcmp(optarg, "auto") == 0 ? PMF_UNWIND_BY_AUTO : PMF_UNWIND_BY_CFI;
		else if (opt == 'v')
			c->show = strtoul(optarg, NULL, 10);
	}
	if (optind >= argc || stack_bytes > 65528 || stack_bytes % 8) {
		fputs("usage: unwind_compare [-F HZ] [-s STACK_BYTES] [-u auto|cfi] [-v N] -- "
		      "COMMAND [ARG...]\n",
			stderr);
		return 2;
	}
	if (!pmf_unwinder_can(PMF_UNWIND_BY_LIBUNWIND, pmf_arch_native())) {
		fputs("unwind_compare: libunwind is no oracle on this machine\n", stderr);
		return 77;
	}
	c->own = pmf_unwinder_new(PMF_UNWIND_AUTO, by, pmf_arch_native());
	c->lib = pmf_unwinder_new(PMF_UNWIND_AUTO, PMF_UNWIND_BY_LIBUNWIND, pmf_arch_native());
	pmf_unwind_libunwind_uncache(c->lib->priv);
	status = live_samples(&table, argv + optind, hz, (uint32_t)stack_bytes, on_sample, c);
	report(c);
	pmf_process_table_release(&table);
	pmf_unwinder_free(c->own);
	pmf_unwinder_free(c->lib);
	free(c);
	return status;
}
