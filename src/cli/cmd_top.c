/* pmuflame top FILE... */
#include "cli.h"
#include "input.h"
#include "tree_args.h"

#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_DEFAULT = 20 };

static const char help[] =
	"usage: pmuflame top [options] FILE...\n\n"
	"Print what each counter of a saved profile was spent on: NAME.pb.gz of an earlier run, or any\n"
	"other file that 'pmuflame render' reads. Several are added up. '-' is standard input.\n\n"
	"  -e, --event EVENT           only this counter's table (may be given several times)\n"
	"      --by WHAT               function, line, module, thread or process\n"
	"                              (default function)\n"
	"      --lines                 source lines, all counters side by side: --by line\n"
	"      --sort self|total       (default self)\n"
	"  -n, --rows N                rows of a table, 0 for all (default 20; all in CSV and JSON)\n"
	"      --ratio A/B             also events of A per event of B (default: cycles per\n"
	"                              instruction, misses per 1000 instructions)\n" PMF_TREE_ARGS_HELP
	"      --csv   --json          for spreadsheets, for programs\n"
	"  -h, --help\n";

enum { OPT_BY = 256, OPT_LINES, OPT_SORT, OPT_RATIO, OPT_CSV, OPT_JSON };

static const struct option long_options[] = {
	{"event", required_argument, NULL, 'e'},
	{"by", required_argument, NULL, OPT_BY},
	{"lines", no_argument, NULL, OPT_LINES},
	{"sort", required_argument, NULL, OPT_SORT},
	{"rows", required_argument, NULL, 'n'},
	{"ratio", required_argument, NULL, OPT_RATIO},
	PMF_TREE_ARGS_FILTER,
	{"csv", no_argument, NULL, OPT_CSV},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct top_args {
	struct pmf_tree_opts tree;
	struct pmf_table_view view;
	enum pmf_table_by by;
	const char **events;
	size_t nr_events, cap_events;
	const char *ratio;
	bool rows_given;
};

static int parse_by(const char *text, enum pmf_table_by *out, struct pmf_err *err)
{
	const char *name;

	for (*out = PMF_BY_FUNCTION; (name = pmf_table_by_name(*out)); ++*out)
		if (strcmp(text, name) == 0)
			return 0;
	return pmf_err_set(err, PMF_EUSAGE,
		"--by '%s' is none of function, line, module, thread, process", text);
}

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	static const char *const sorts[] = {"self", "total", NULL};
	struct top_args *a = ctx;
	int i;

	switch (opt) {
	case 'e':
		PMF_PUSH(a->events, a->nr_events, a->cap_events) = optarg;
		return 0;
	case 'n':
		a->rows_given = true;
		return pmf_cli_rows(optarg, &a->view.max, err);
	case OPT_BY:
		return parse_by(optarg, &a->by, err);
	case OPT_LINES:
		a->by = PMF_BY_LINE;
		return 0;
	case OPT_SORT:
		i = pmf_cli_choice("--sort", optarg, sorts, err);
		a->view.by_total = i == 1;
		return PMF_MIN(i, 0);
	case OPT_RATIO:
		a->ratio = optarg;
		return 0;
	case OPT_CSV:
		a->view.form = PMF_TABLE_CSV;
		return 0;
	case OPT_JSON:
		a->view.form = PMF_TABLE_JSON;
		return 0;
	default:
		return pmf_tree_arg(&a->tree, opt, optarg, err);
	}
}

/* 0 to go on, 1 when help was all that was asked, or a negative status. */
static int parse_args(struct top_args *a, int argc, char **argv, struct pmf_err *err)
{
	int ret = pmf_cli_options(argc, argv, ":e:n:h", long_options, help, take_option, a, err);

	if (ret == 0 && optind == argc)
		ret = pmf_err_set(
			err, PMF_EUSAGE, "no profile to read: 'pmuflame top [options] FILE...'");
	if (!a->rows_given && a->view.form == PMF_TABLE_TEXT)
		a->view.max = ROWS_DEFAULT;
	pmf_table_needs(a->by, &a->tree);
	return ret;
}

static int parse_ratio(const struct pmf_profile *p, const char *text, struct pmf_ratio *out,
	char **name, struct pmf_err *err)
{
	/* A PMU's terms have slashes of their own: any of them may be the one between the two. */
	for (const char *slash = strchr(text, '/'); slash; slash = strchr(slash + 1, '/')) {
		char *num = pmf_strndup(text, (size_t)(slash - text));
		int a = pmf_cli_event(p, p->nr_events, num, NULL);
		int b = pmf_cli_event(p, p->nr_events, slash + 1, NULL);

		free(num);
		if (a < 0 || b < 0)
			continue;
		*name = pmf_asprintf("%s per %s", p->events[a].label, p->events[b].label);
		*out = (struct pmf_ratio){(size_t)a, (size_t)b, 1, *name};
		return 0;
	}
	return pmf_err_set(err, PMF_EUSAGE,
		"--ratio '%s' is not A/B with two events of this profile, such as %s/%s", text,
		p->events[0].label, p->events[p->nr_events - 1].label);
}

static int print(const struct top_args *a, const struct pmf_profile *p, struct pmf_err *err)
{
	struct pmf_table_view view = a->view;
	bool *wanted;
	struct pmf_ratio ratio;
	struct pmf_table table;
	struct pmf_tree tree;
	char *name = NULL;
	int ret = pmf_cli_events(p, p->nr_events, a->events, a->nr_events, &wanted, err);

	if (ret == 0 && a->ratio) {
		ret = parse_ratio(p, a->ratio, &ratio, &name, err);
		view.ratio = &ratio;
	}
	if (ret == 0) {
		view.events = wanted;
		view.columns = pmf_cli_columns();
		pmf_tree_build(&tree, p, &a->tree);
		pmf_table_build(&table, &tree, a->by);
		pmf_render_table(stdout, &table, &view);
		pmf_table_release(&table);
		pmf_tree_release(&tree);
		ret = pmf_cli_flush(err);
	}
	free(wanted);
	free(name);
	return ret;
}

static int cmd_top(int argc, char **argv)
{
	struct top_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile profile;
	int ret = parse_args(&a, argc, argv, &err);

	if (ret == 0) {
		ret = pmf_input_load(&profile, argv + optind, (size_t)(argc - optind), NULL, &err);
		if (ret == 0) {
			ret = print(&a, &profile, &err);
			pmf_profile_release(&profile);
		}
	}
	pmf_tree_args_release(&a.tree);
	free(a.events);
	return pmf_cli_status(ret, &err);
}

const struct pmf_cmd pmf_cmd_top = {
	"top",
	"print what each counter of a profile was spent on",
	cmd_top,
};
