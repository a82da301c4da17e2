/* pmuflame diff [BASE] NEW */
#include "cli.h"
#include "input.h"
#include "output.h"
#include "target_name.h"
#include "tree_args.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_DEFAULT = 20 };

static const char help[] =
	"usage: pmuflame diff [options] [BASE] NEW\n\n"
	"Compare two profiles: what each counter was spent on before and now, and which changes the\n"
	"samples support. Prints a table, and draws two flame graphs per counter, coloured by change:\n"
	"PREFIX.EVENT.diff.svg, as wide as the costs now, and PREFIX.EVENT.diff-before.svg, which shows\n"
	"what is gone. Without BASE, NEW is compared with the run before it, NAME.prev.pb.gz.\n\n"
	"      --by PER                what costs are compared per: run (both did the same work, the\n"
	"                              default), total (shares), time, the name of a counter that\n"
	"                              both have, or work=N,M units done before and now\n"
	"  -e, --event EVENT           only this counter (may be given several times)\n"
	"  -n, --rows N                rows of a table, 0 for all (default 20; all in JSON)\n"
	"  -o, --output PATH           DIR/ or PREFIX of the flame graphs\n"
	"      --no-svg                the table alone\n" PMF_TREE_ARGS_HELP
	"      --json                  the table for programs\n"
	"  -h, --help\n";

enum { OPT_BY = 256, OPT_NO_SVG, OPT_JSON };

static const struct option long_options[] = {
	{"by", required_argument, NULL, OPT_BY},
	{"event", required_argument, NULL, 'e'},
	{"rows", required_argument, NULL, 'n'},
	{"output", required_argument, NULL, 'o'},
	{"no-svg", no_argument, NULL, OPT_NO_SVG},
	PMF_TREE_ARGS_FILTER,
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct diff_args {
	struct pmf_diff_opts diff;
	struct pmf_table_view view;
	struct pmf_output_opts output;
	const char **events;
	size_t nr_events, cap_events;
	bool rows_given, no_svg;
	char *paths[2]; /* of the base and the new profile; both owned */
};

/* "N,M", as numbers of at least a part of a unit. */
static int parse_work(struct pmf_diff_opts *o, const char *text, struct pmf_err *err)
{
	char *end;

	o->per = PMF_PER_WORK;
	o->work_base = strtod(text, &end);
	if (end > text && *end == ',') {
		text = end + 1;
		o->work_new = strtod(text, &end);
		if (end > text && !*end && o->work_base > 0 && o->work_new > 0 &&
			o->work_base < 1e300 && o->work_new < 1e300)
			return 0;
	}
	return pmf_err_set(err, PMF_EUSAGE,
		"--by work=N,M needs two numbers above 0: the units of work done before and now");
}

static int parse_by(struct pmf_diff_opts *o, const char *text, struct pmf_err *err)
{
	if (strncmp(text, "work=", 5) == 0)
		return parse_work(o, text + 5, err);
	if (strcmp(text, "run") == 0) {
		o->per = PMF_PER_RUN;
	} else if (strcmp(text, "total") == 0) {
		o->per = PMF_PER_TOTAL;
	} else if (strcmp(text, "time") == 0) {
		o->per = PMF_PER_TIME;
	} else {
		o->per = PMF_PER_COUNTER;
		o->counter = text;
	}
	return 0;
}

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	struct diff_args *a = ctx;

	switch (opt) {
	case OPT_BY:
		return parse_by(&a->diff, optarg, err);
	case 'e':
		PMF_PUSH(a->events, a->nr_events, a->cap_events) = optarg;
		return 0;
	case 'n':
		a->rows_given = true;
		return pmf_cli_rows(optarg, &a->view.max, err);
	case 'o':
		a->output.path = optarg;
		return 0;
	case OPT_NO_SVG:
		a->no_svg = true;
		return 0;
	case OPT_JSON:
		a->view.form = PMF_TABLE_JSON;
		return 0;
	default:
		return pmf_tree_arg(&a->diff.tree, opt, optarg, err);
	}
}

/* What the run before left, beside "DIR/NAME.pb.gz": "DIR/NAME.prev.pb.gz". */
static int find_base(struct diff_args *a, struct pmf_err *err)
{
	static const char suffix[] = ".pb.gz";
	const char *path = a->paths[1];
	size_t len = strlen(path), cut = strlen(suffix);

	if (len <= cut || strcmp(path + len - cut, suffix) != 0)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' does not end in %s, so there is no run before it: 'pmuflame diff BASE "
			"NEW'",
			path, suffix);
	if (access(path, F_OK) < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '%s'", path);
	a->paths[0] = pmf_asprintf("%.*s.prev%s", (int)(len - cut), path, suffix);
	if (access(a->paths[0], F_OK) < 0)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"there is no run before '%s': '%s' is missing; 'pmuflame diff BASE NEW' "
			"compares with any other",
			path, a->paths[0]);
	return 0;
}

/* 0 to go on, 1 when help was all that was asked, or a negative status. */
static int parse_args(struct diff_args *a, int argc, char **argv, struct pmf_err *err)
{
	int ret = pmf_cli_options(argc, argv, ":e:n:o:h", long_options, help, take_option, a, err);

	if (ret)
		return ret;
	if (argc - optind < 1 || argc - optind > 2)
		return pmf_err_set(err, PMF_EUSAGE,
			"one or two profiles are compared: 'pmuflame diff [options] [BASE] NEW'");
	if (!a->rows_given && a->view.form == PMF_TABLE_TEXT)
		a->view.max = ROWS_DEFAULT;
	a->paths[1] = pmf_strdup(argv[argc - 1]);
	if (argc - optind == 1)
		return find_base(a, err);
	a->paths[0] = pmf_strdup(argv[optind]);
	return 0;
}

static int build(struct diff_args *a, struct pmf_diff *d, struct pmf_err *err)
{
	struct pmf_profile base, now;
	int ret = pmf_input_load(&base, &a->paths[0], 1, NULL, err);

	if (ret)
		return ret;
	ret = pmf_input_load(&now, &a->paths[1], 1, NULL, err);
	if (ret == 0) {
		ret = pmf_diff_build(d, &base, &now, &a->diff, err);
		pmf_profile_release(&now);
	}
	pmf_profile_release(&base);
	return ret;
}

static int write_picture(const struct diff_args *a, const struct pmf_diff *d, size_t event,
	bool before, const char *name, struct pmf_err *err)
{
	char *path = pmf_asprintf("%s.%s.svg", a->output.prefix, name);
	struct pmf_outfile of;
	int ret = pmf_outfile_open(&of, path, err);

	if (ret == 0) {
		ret = pmf_render_diff_svg(of.f, d, event, before, NULL, err);
		if (ret)
			pmf_outfile_abort(&of);
		else
			ret = pmf_outfile_commit(&of, err);
	}
	if (ret == 0)
		fprintf(stderr, "wrote %s\n", path);
	free(path);
	return ret;
}

/* Two pictures of each event that is wanted. */
static int write_pictures(struct diff_args *a, const struct pmf_diff *d, struct pmf_err *err)
{
	char **names = pmf_calloc(2 * d->nr_events, sizeof *names);
	char *stem = pmf_input_stem(&a->paths[1], 1, d->joined.title);
	size_t n = 0;
	int ret;

	a->output.name = pmf_target_file_name(stem);
	a->output.inputs = a->paths;
	a->output.nr_inputs = PMF_ARRAY_SIZE(a->paths);
	a->output.formats[a->output.nr_formats++] = pmf_renderer_by_name("svg", 3);
	for (size_t e = 0; e < d->nr_events; e++) {
		if (a->view.events && !a->view.events[e])
			continue;
		names[n++] = pmf_asprintf("%s.diff", d->joined.events[e].file_name);
		names[n++] = pmf_asprintf("%s.diff-before", d->joined.events[e].file_name);
	}
	ret = pmf_output_prepare(&a->output, names, n, NULL, err);
	if (ret)
		pmf_output_undo(&a->output);
	n = 0;
	for (size_t e = 0; e < d->nr_events && ret == 0; e++) {
		if (a->view.events && !a->view.events[e])
			continue;
		ret = write_picture(a, d, e, false, names[n++], err);
		if (ret == 0)
			ret = write_picture(a, d, e, true, names[n++], err);
	}
	pmf_free_strings(names, 2 * d->nr_events);
	free(stem);
	return ret;
}

static int show(struct diff_args *a, const struct pmf_diff *d, struct pmf_err *err)
{
	bool *wanted = NULL;
	struct pmf_table table;
	int ret = pmf_cli_events(&d->joined, d->nr_events, a->events, a->nr_events, &wanted, err);

	if (ret)
		return ret;
	a->view.events = wanted;
	a->view.columns = pmf_cli_columns();
	pmf_table_build(&table, &d->tree, PMF_BY_FUNCTION);
	pmf_render_diff(stdout, d, &table, &a->view);
	pmf_table_release(&table);
	ret = pmf_cli_flush(err);
	if (ret == 0 && !a->no_svg)
		ret = write_pictures(a, d, err);
	free(wanted);
	return ret;
}

static int cmd_diff(int argc, char **argv)
{
	struct diff_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_diff diff;
	int ret = parse_args(&a, argc, argv, &err);

	if (ret == 0) {
		ret = build(&a, &diff, &err);
		if (ret == 0) {
			ret = show(&a, &diff, &err);
			pmf_diff_release(&diff);
		}
	}
	pmf_tree_args_release(&a.diff.tree);
	pmf_output_opts_release(&a.output);
	free(a.events);
	free(a.paths[0]);
	free(a.paths[1]);
	return pmf_cli_status(ret, &err);
}

const struct pmf_cmd pmf_cmd_diff = {
	"diff",
	"compare two profiles: what changed, and what is only chance",
	cmd_diff,
};
