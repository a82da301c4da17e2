#include "who_args.h"

#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <stdlib.h>
#include <string.h>

static void add_pid(struct pmf_who_args *a, pid_t pid)
{
	for (size_t i = 0; i < a->nr_pids; i++)
		if (a->pids[i] == pid)
			return;
	PMF_PUSH(a->pids, a->nr_pids, a->cap_pids) = pid;
}

static int parse_pids(
	struct pmf_who_args *a, const char *option, const char *text, struct pmf_err *err)
{
	for (;;) {
		size_t len = strcspn(text, ",");
		uint64_t pid = 0;

		if (pmf_parse_u64(text, len, &pid, option, NULL) || pid < 1 || pid > INT32_MAX)
			return pmf_err_set(err, PMF_EUSAGE,
				"%s '%.*s' is no number of a %s: 'ps -e%s' shows them", option,
				(int)len, text, a->threads ? "thread" : "process",
				a->threads ? "L" : "");
		add_pid(a, (pid_t)pid);
		if (!text[len])
			return 0;
		text += len + 1;
	}
}

int pmf_who_arg(struct pmf_who_args *a, int opt, const char *value, struct pmf_err *err)
{
	switch (opt) {
	case 'p':
		a->processes = true;
		return parse_pids(a, "-p", value, err);
	case 't':
		a->threads = true;
		return parse_pids(a, "-t", value, err);
	case 'a':
		a->all = true;
		return 0;
	case 'C':
		a->cpus = value;
		return 0;
	default:
		a->cgroup = value;
		return 0;
	}
}

int pmf_who_args_finish(struct pmf_who_args *a, struct pmf_collect_who *who, char *const *command,
	struct pmf_err *err)
{
	int said = a->processes + a->threads + a->all + (a->cgroup != NULL);

	if (said > 1)
		return pmf_err_set(err, PMF_EUSAGE,
			"-p, -t, -a and --cgroup exclude each other: each says who is recorded");
	if (a->cgroup && !a->cgroup[0])
		return pmf_err_set(err, PMF_EUSAGE,
			"--cgroup '' names no control group: -a records the whole machine");
	if (!said && !command[0])
		return pmf_err_set(err, PMF_EUSAGE,
			"no command to profile: 'pmuflame [options] COMMAND [ARG...]', or -p, -t, -a or "
			"--cgroup for what runs already");
	*who = (struct pmf_collect_who){.target = a->all      ? PMF_PERF_SYSTEM
						  : a->cgroup ? PMF_PERF_CGROUP
						  : said      ? PMF_PERF_TASKS
							      : PMF_PERF_COMMAND,
		.pids = a->pids,
		.nr_pids = a->nr_pids,
		.single = a->threads,
		.cgroup = a->cgroup,
		.cpus = a->cpus};
	return 0;
}

void pmf_who_args_release(struct pmf_who_args *a)
{
	free(a->pids);
	*a = (struct pmf_who_args){0};
}
