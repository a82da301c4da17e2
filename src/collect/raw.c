/* The recording beside the profile, for other programs (docs/adr/0011). */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's own code; what hides its addresses shows them as 0. */
static void add_kernel(struct pmf_perf_data_writer *w)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	uint64_t text = 0, end = 0;
	char line[1024];

	while (f && !end && fgets(line, sizeof line, f)) {
		char *name = strchr(line, ' ');

		if (!name || !name[1])
			continue;
		name += 3; /* " T " */
		if (strcmp(name, "_text\n") == 0)
			text = strtoull(line, NULL, 16);
		else if (strcmp(name, "_etext\n") == 0)
			end = strtoull(line, NULL, 16);
	}
	if (f)
		fclose(f);
	if (text && end > text)
		pmf_perf_data_kernel_map(w, "[kernel.kallsyms]_text", text, end - text, text);
}

/* "NAME SIZE USERS USED-BY STATE ADDRESS", proc(5). */
static void add_modules(struct pmf_perf_data_writer *w)
{
	FILE *f = fopen("/proc/modules", "re");
	char line[4096];

	while (f && fgets(line, sizeof line, f)) {
		char name[128], label[132];
		uint64_t size, start;

		if (sscanf(line, "%127s %" SCNu64 " %*s %*s %*s %" SCNx64, name, &size, &start) !=
				3 ||
			start == 0)
			continue;
		snprintf(label, sizeof label, "[%s]", name);
		pmf_perf_data_kernel_map(w, label, start, size, 0);
	}
	if (f)
		fclose(f);
}

int pmf_raw_open(struct pmf_perf_data_writer **out, const struct pmf_collect_opts *opts,
	const struct pmf_event_list *list, struct pmf_source *src, struct pmf_err *err)
{
	const struct pmf_perf_session *session = pmf_source_live_session(src);
	const char **names = pmf_calloc(list->n, sizeof *names);
	const struct perf_event_attr **attrs = pmf_calloc(list->n, sizeof *attrs);
	int ret;

	for (size_t e = 0; e < list->n; e++) {
		names[e] = list->events[e].label;
		attrs[e] = pmf_perf_opened_attr(session, e);
	}
	ret = pmf_perf_data_create(out,
		&(struct pmf_perf_data_out){opts->raw_path, names, attrs, list->n, opts->raw_argv},
		err);
	free(names);
	free(attrs);
	if (ret == 0) {
		add_kernel(*out);
		add_modules(*out);
	}
	return ret;
}
