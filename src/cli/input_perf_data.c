/* perf.data files and streams. */
#include "cli.h"
#include "input.h"
#include "live.h"
#include "output.h"
#include "sandbox_args.h"
#include "target_name.h"

#include "pmuflame/collect.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pmf_input_is_perf_data(const struct pmf_input *in)
{
	return pmf_perf_data_is(in->head, in->head_len);
}

/* Where in perf's own command line the command stands that it ran, and that the kernel calls
 * @comm. */
static char **find_workload(const struct pmf_perf_data_info *info, const char *comm)
{
	for (size_t i = 1; i < info->argc && comm[0]; i++) {
		const char *slash = strrchr(info->argv[i], '/');
		const char *base = slash ? slash + 1 : info->argv[i];
		bool is_value = strcmp(info->argv[i - 1], "-o") == 0 ||
				strcmp(info->argv[i - 1], "--output") == 0;

		/* The kernel keeps 15 characters (prctl(2), PR_SET_NAME). */
		if (!is_value && strncmp(base, comm, 15) == 0)
			return info->argv + i;
	}
	return NULL;
}

static void name_run(
	struct pmf_profile *p, const struct pmf_perf_data_info *info, const char *workload)
{
	char **command = find_workload(info, workload);

	if (command)
		p->title = pmf_target_name(command);
	else if (workload[0])
		p->title = pmf_strdup(workload);
	if (info->argc)
		p->command = pmf_output_quote_command(info->argv);
}

/* Not every output has a ledger. */
static void say_warnings(const struct pmf_profile *p, const char *name)
{
	for (size_t i = 0; i < p->nr_notes; i++)
		if (p->notes[i].level == PMF_NOTE_WARN)
			pmf_warn("warning: '%s': %s", name, p->notes[i].text);
}

int pmf_input_load_perf_data(struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err)
{
	char *cache = pmf_cli_build_id_cache();
	bool shown = false;
	struct pmf_recording_opts opts = {.call_graph = in->opts->call_graph,
		.symfs = in->opts->symfs,
		.cache = cache,
		.debug_root = "/usr/lib/debug",
		.inlines = !in->opts->no_inlines,
		.naming = isatty(STDERR_FILENO) ? pmf_live_naming : NULL,
		.ctx = &shown};
	struct pmf_err no_sandbox;
	struct pmf_perf_data *pd;
	char workload[16];
	int ret = pmf_sandbox_begin(in->opts->sandbox, true, &opts.sandbox, &no_sandbox, err);

	if (no_sandbox.status != PMF_OK)
		opts.no_sandbox = no_sandbox.text;
	if (ret == 0)
		ret = pmf_perf_data_open(
			&pd, in->fd, in->name, in->head, in->is_stream ? in->head_len : 0, err);
	if (ret == 0) {
		ret = pmf_collect_recording(p, pd, &opts, workload, err);
		if (shown)
			pmf_live_clear();
		if (ret == 0) {
			name_run(p, pmf_perf_data_info(pd), workload);
			say_warnings(p, in->name);
		} else {
			pmf_err_prefix(err, "'%s'", in->name);
		}
		pmf_perf_data_free(pd);
	}
	pmf_sandbox_stop(opts.sandbox);
	free(cache);
	return ret;
}
