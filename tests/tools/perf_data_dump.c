/* What the perf.data reader finds in a recording, a line each: perf_data_dump [FILE]. */
#include "pmuflame/mem.h"
#include "pmuflame/perf_data.h"
#include "pmuflame/source.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct dump {
	uint64_t types[32], last_ns;
};

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct dump *d = ctx;

	if (rec->type < PMF_ARRAY_SIZE(d->types))
		d->types[rec->type]++;
	return 0;
}

static void print_text(const char *what, const char *text)
{
	if (text)
		printf("%s\t%s\n", what, text);
}

static void print(const struct pmf_perf_data *pd, const struct dump *d)
{
	const struct pmf_perf_data_info *info = pmf_perf_data_info(pd);
	const struct pmf_perf_data_damage *damage = pmf_perf_data_damage(pd);

	print_text("version", info->perf_version);
	print_text("arch", info->arch_name);
	print_text("host", info->hostname);
	print_text("release", info->release);
	print_text("cpu", info->cpu);
	for (size_t i = 0; i < info->argc; i++)
		print_text("arg", info->argv[i]);
	for (size_t i = 0; i < info->nr_events; i++) {
		const struct pmf_perf_data_event *e = &info->events[i];

		printf("event\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", e->name, e->samples,
			e->weight, e->lost_samples);
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(d->types); i++)
		if (d->types[i])
			printf("records\t%zu\t%" PRIu64 "\n", i, d->types[i]);
	printf("lost\t%" PRIu64 "\t%" PRIu64 "\n", pmf_perf_data_lost(pd)->records,
		pmf_perf_data_lost(pd)->samples);
	printf("build ids\t%zu\n", info->nr_build_ids);
	printf("damage\t%d\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
		damage->unfinished, damage->missing, damage->malformed, damage->unknown,
		damage->out_of_order);
	if (damage->stopped.status)
		print_text("stopped", damage->stopped.text);
	printf("flags\tpipe=%d\tstat=%d\taux=%d\n", info->pipe, info->stat, info->aux);
}

int main(int argc, char **argv)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_perf_data *pd;
	struct pmf_source *src;
	struct dump d = {0};
	int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : STDIN_FILENO;

	if (fd < 0) {
		fprintf(stderr, "perf_data_dump: %s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	if (pmf_perf_data_open(&pd, fd, argc > 1 ? argv[1] : "-", NULL, 0, &err)) {
		fprintf(stderr, "perf_data_dump: %s\n", err.text);
		return 1;
	}
	src = pmf_source_file(pd);
	src->ops->drain(src, true, on_record, &d);
	print(pd, &d);
	src->ops->free(src);
	pmf_perf_data_free(pd);
	return 0;
}
