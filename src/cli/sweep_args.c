/* The command line of a sweep. */
#include "sweep_args.h"

#include "cli.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/vary.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: pmuflame sweep [options] [--] COMMAND|TARGET|all [ARG...]\n\n"
	"Run a command, a target of pmuflame.ini, or all of them again and again, until each event\n"
	"was counted by a counter of its own in every run. Events that cannot run here are named and\n"
	"left out. Prints a table, and fills a folder with report, flame graphs, profiles and\n"
	"summary.json, .csv and .md.\n\n"
	"examples:\n"
	"  pmuflame sweep --repeat 5 -e @default,@cache backtest\n"
	"  pmuflame sweep --vary layout=rows,columns -e dTLB-load-misses -- ./frame {layout}\n\n"
	"  -e, --event SPEC[,SPEC...]  as in a run; {A,B} are counted together (default: the\n"
	"                              target's, or @default)\n"
	"      --all                   every event of this machine but tracepoints\n"
	"  -r, --repeat N              runs of each pass (default 3)\n"
	"      --vary KEY=V1,V2...     with each value in the place of {KEY}; several make every\n"
	"                              combination\n"
	"  -o, --output DIR/           the folder (default NAME.sweep/)\n"
	"      --resume                go on with the sweep in that folder\n"
	"      --strict                status 1 if an event could not be measured\n"
	"  -F, --freq HZ   -c, --count PERIOD   --call-graph MODE   --duration S\n"
	"                              as in a run\n"
	"  -q, --quiet   -v, --verbose   -h, --help\n";

enum { OPT_ALL = 256, OPT_VARY, OPT_RESUME, OPT_STRICT, OPT_CALL_GRAPH, OPT_DURATION };

static const struct option long_options[] = {
	{"event", required_argument, NULL, 'e'},
	{"all", no_argument, NULL, OPT_ALL},
	{"repeat", required_argument, NULL, 'r'},
	{"vary", required_argument, NULL, OPT_VARY},
	{"output", required_argument, NULL, 'o'},
	{"resume", no_argument, NULL, OPT_RESUME},
	{"strict", no_argument, NULL, OPT_STRICT},
	{"freq", required_argument, NULL, 'F'},
	{"count", required_argument, NULL, 'c'},
	{"call-graph", required_argument, NULL, OPT_CALL_GRAPH},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int add_vary(struct pmf_sweep_args *a, char *text, struct pmf_err *err)
{
	size_t len = strcspn(text, "=") + 1;
	int ret = pmf_vary_check(text, err);

	if (ret)
		return pmf_err_prefix(err, "--vary");
	for (size_t i = 0; i < a->nr_vary; i++)
		if (strncmp(a->vary[i], text, len) == 0)
			return pmf_err_set(err, PMF_EUSAGE,
				"--vary names '%.*s' twice: give all its values at once, with commas "
				"between them",
				(int)len - 1, text);
	PMF_PUSH(a->vary, a->nr_vary, a->cap_vary) = text;
	return 0;
}

/* An option that record takes, too, and checks. */
static void hand_on(struct pmf_sweep_args *a, const char *option)
{
	PMF_PUSH(a->options, a->nr_options, a->cap_options) = (char *)option;
	PMF_PUSH(a->options, a->nr_options, a->cap_options) = optarg;
}

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	struct pmf_sweep_args *a = ctx;

	switch (opt) {
	case 'e':
		PMF_PUSH(a->specs, a->nr_specs, a->cap_specs) = optarg;
		return 0;
	case OPT_ALL:
		a->all_events = true;
		return 0;
	case 'r':
		return pmf_cli_repeats(optarg, "--repeat", &a->repeats, err);
	case OPT_VARY:
		return add_vary(a, optarg, err);
	case 'o':
		a->path = optarg;
		return *optarg ? 0 : pmf_err_set(err, PMF_EUSAGE, "-o needs a folder");
	case OPT_RESUME:
		a->resume = true;
		return 0;
	case OPT_STRICT:
		a->strict = true;
		return 0;
	case 'F':
		hand_on(a, "-F");
		return 0;
	case 'c':
		hand_on(a, "-c");
		return 0;
	case OPT_CALL_GRAPH:
		hand_on(a, "--call-graph");
		return 0;
	case OPT_DURATION:
		hand_on(a, "--duration");
		return 0;
	case 'q':
		a->quiet = true;
		pmf_log_set_level(PMF_LOG_QUIET);
		return 0;
	default:
		pmf_log_set_level(PMF_LOG_INFO);
		return 0;
	}
}

int pmf_sweep_args_parse(struct pmf_sweep_args *a, int argc, char **argv, struct pmf_err *err)
{
	int ret;

	a->repeats = 3;
	a->argv = argv;
	ret = pmf_cli_options(
		argc, argv, "+:e:r:o:F:c:qvh", long_options, help, take_option, a, err);
	a->words = argv + optind;
	if (ret == 0 && a->all_events && a->nr_specs)
		ret = pmf_err_set(err, PMF_EUSAGE,
			"--all and -e exclude each other: every event, or those that are named");
	if (ret == 0 && !a->words[0])
		ret = pmf_err_set(err, PMF_EUSAGE,
			"nothing to run: 'pmuflame sweep [options] COMMAND|TARGET|all [ARG...]'");
	return ret;
}

void pmf_sweep_args_release(struct pmf_sweep_args *a)
{
	free(a->specs);
	free(a->vary);
	free(a->options);
}
