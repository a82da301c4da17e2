/* The part of the command line that says who is recorded, where that is not a command to be started. */
#ifndef PMF_WHO_ARGS_H
#define PMF_WHO_ARGS_H

#include "pmuflame/collect.h"
#include <getopt.h>

enum { PMF_OPT_CGROUP = 1024 };

#define PMF_WHO_ARGS_SHORT "p:t:aC:"
#define PMF_WHO_ARGS \
	{"pid", required_argument, NULL, 'p'}, {"tid", required_argument, NULL, 't'}, \
		{"all-cpus", no_argument, NULL, 'a'}, {"cpu", required_argument, NULL, 'C'}, \
	{ \
		"cgroup", required_argument, NULL, PMF_OPT_CGROUP \
	}
#define PMF_WHO_ARGS_HELP \
	"  -p, --pid PID[,PID...]      processes, with the threads and children they start\n" \
	"  -t, --tid TID[,TID...]      just these threads\n" \
	"  -a, --all-cpus              the whole machine\n" \
	"      --cgroup PATH           a control group: a container, a service\n" \
	"  -C, --cpu LIST              only what runs on these CPUs: 0-3,8\n"

struct pmf_who_args {
	pid_t *pids;
	size_t nr_pids, cap_pids;
	bool processes, threads, all;
	const char *cgroup, *cpus;
};

/* Take option @opt, one of the above. */
int pmf_who_arg(struct pmf_who_args *a, int opt, const char *value, struct pmf_err *err);
/* All options are taken, and @command, NULL-terminated, is what follows them: fill in @who, which borrows
 * from @a. */
int pmf_who_args_finish(struct pmf_who_args *a, struct pmf_collect_who *who, char *const *command,
	struct pmf_err *err);
void pmf_who_args_release(struct pmf_who_args *a);

#endif
