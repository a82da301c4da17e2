/* pmuflame annotate FUNCTION FILE... */
#include "cli.h"
#include "code_files.h"
#include "input.h"
#include "tree_args.h"

#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include "pmuflame/units.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"usage: pmuflame annotate [options] FUNCTION FILE...\n\n"
	"Print the source of a function with what each counter of a saved profile was spent on beside\n"
	"every line. FUNCTION is a name, or else a regular expression; 'NAME (FILE:LINE)' tells functions\n"
	"of one name apart. Native code has lines where there is debug information (-g).\n\n"
	"  -e, --event EVENT           only this counter (may be given several times)\n"
	"      --all                   every function that matches, the costliest first\n"
	"      --self                  no totals\n"
	"      --context N             N lines around those that cost something (default: the\n"
	"                              whole function, or 5 where that is long)\n" PMF_CODE_ARGS_HELP
		PMF_TREE_ARGS_HELP "      --json                  for programs\n"
	"  -h, --help\n";

enum { OPT_ALL = 256, OPT_SELF, OPT_CONTEXT, OPT_JSON };

static const struct option long_options[] = {
	{"event", required_argument, NULL, 'e'},
	{"all", no_argument, NULL, OPT_ALL},
	{"self", no_argument, NULL, OPT_SELF},
	{"context", required_argument, NULL, OPT_CONTEXT},
	PMF_CODE_ARGS,
	PMF_TREE_ARGS_FILTER,
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct annotate_args {
	struct pmf_tree_opts tree;
	struct pmf_code_args source;
	struct pmf_annotation_view view;
	const char **events;
	size_t nr_events, cap_events;
	bool all;
};

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	struct annotate_args *a = ctx;
	uint64_t n = 0;
	int ret;

	switch (opt) {
	case 'e':
		PMF_PUSH(a->events, a->nr_events, a->cap_events) = optarg;
		return 0;
	case OPT_ALL:
		a->all = true;
		return 0;
	case OPT_SELF:
		a->view.self_only = true;
		return 0;
	case OPT_CONTEXT:
		ret = pmf_parse_u64(optarg, strlen(optarg), &n, "--context", err);
		a->view.context = (size_t)PMF_MIN(n, UINT32_MAX);
		return ret;
	case OPT_JSON:
		a->view.form = PMF_TABLE_JSON;
		return 0;
	case PMF_OPT_SOURCE:
	case PMF_OPT_SOURCE_MAP:
		return pmf_code_arg(&a->source, opt, optarg, err);
	default:
		return pmf_tree_arg(&a->tree, opt, optarg, err);
	}
}

/* ---- Which functions ---- */

/* Python's names have the file behind them: how long the name alone is. */
static size_t name_length(const struct pmf_table_row *r)
{
	const char *file = r->kind == PMF_FRAME_PYTHON ? strrchr(r->name, '(') : NULL;

	return file && file > r->name + 1 && file[-1] == ' ' ? (size_t)(file - 1 - r->name)
							     : strlen(r->name);
}

/* "NAME (FILE:LINE)", as far as known; free(3) it. */
static char *label_of(const struct pmf_table_row *r, bool whole_path, bool line)
{
	const char *slash = strrchr(r->file, '/');
	const char *file = slash && !whole_path ? slash + 1 : r->file;
	char *name = pmf_strndup(r->name, name_length(r)), *label;

	label = line && r->start_line
			? pmf_asprintf("%s (%s:%" PRIu32 ")", name, file, r->start_line)
			: pmf_asprintf("%s (%s)", name, file);
	free(name);
	return label;
}

/* Is it called @name, in full, short or without parameters, or its file and line? */
static bool is_called(const struct pmf_table_row *r, const char *name)
{
	size_t len = strlen(name);
	bool found = strcmp(r->label, name) == 0 ||
		     (strncmp(r->name, name, len) == 0 &&
			     (len == name_length(r) || r->name[len] == '('));

	for (int form = 0; form < 4 && !found; form++) {
		char *label = label_of(r, form & 1, form & 2);

		found = strcmp(label, name) == 0;
		free(label);
	}
	return found;
}

enum how { EXACT, NAME, LABEL, HOWS };

static bool matches(
	const struct pmf_table_row *r, const char *name, struct pmf_regex *re, enum how how)
{
	char *label;
	bool found;

	if (how == EXACT)
		return is_called(r, name);
	if (how == NAME)
		return pmf_regex_match(re, r->name, name_length(r));
	label = label_of(r, false, true);
	found = pmf_regex_match(re, label, strlen(label));
	free(label);
	return found;
}

/* Rows of @t, in @order, of functions that @name means, to @out; only those with a file if @with_file. */
static size_t select_rows(const struct pmf_table *t, const uint32_t *order, size_t n,
	const char *name, struct pmf_regex *re, bool with_file, uint32_t *out)
{
	size_t found = 0;

	for (enum how how = EXACT; how < HOWS && found == 0 && (re || how == EXACT); how++)
		for (size_t i = 0; i < n; i++) {
			const struct pmf_table_row *r = &t->rows[order[i]];

			if (pmf_frame_is_code(r->kind) && (*r->file || !with_file) &&
				matches(r, name, re, how))
				out[found++] = order[i];
		}
	return found;
}

static bool has_file(const struct pmf_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (*t->rows[i].file)
			return true;
	return false;
}

static void print_choices(
	const struct pmf_table *t, const bool *events, const uint32_t *rows, size_t n)
{
	struct pmf_buf out = PMF_BUF_INIT;
	size_t event = 0;
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX];
	double all;

	while (events && !events[event])
		event++;
	all = pmf_tree_total(t->tree, event, 0);
	pmf_buf_addstr(&out, "    self    total  function\n");
	for (size_t i = 0; i < n; i++) {
		char *label = label_of(&t->rows[rows[i]], true, true);

		pmf_buf_printf(&out, "%8s %8s  ",
			pmf_format_percent(a, pmf_table_self(t, event, rows[i]), all),
			pmf_format_percent(b, pmf_table_total(t, event, rows[i]), all));
		pmf_text_add(&out, label, strlen(label), PMF_TEXT_PLAIN);
		pmf_buf_addch(&out, '\n');
		free(label);
	}
	fputs(pmf_buf_str(&out), stdout);
	fflush(stdout); /* the sentence comes behind them */
	pmf_buf_release(&out);
}

static int no_match(const char *name, bool has_files, bool is_known, struct pmf_err *err)
{
	if (!has_files)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"no function of this profile has source lines: folded stacks never have, native "
			"code needs debug information (-g)");
	if (is_known)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"no source lines are known of '%s': is there debug information (-g) of it?",
			name);
	return pmf_err_set(err, PMF_ENOTFOUND,
		"no function with samples matches '%s': 'pmuflame top --lines' shows those there are",
		name);
}

/* Fill @rows with what is to be shown, *@n of them. */
static int choose(const struct annotate_args *a, const struct pmf_table *t, const char *name,
	uint32_t *rows, size_t *n, struct pmf_err *err)
{
	struct pmf_regex *re = NULL;
	size_t nr_rows;
	uint32_t *order = pmf_table_order_all(t, a->view.events, true, &nr_rows);
	/* What is no regular expression may be a name: "operator()". */
	int ret = pmf_regex_add(&re, name, "FUNCTION", err);

	*n = select_rows(t, order, nr_rows, name, ret ? NULL : re, true, rows);
	if (*n == 1 || (*n && (a->all || a->view.form == PMF_TABLE_JSON))) {
		ret = 0;
	} else if (*n) {
		print_choices(t, a->view.events, rows, *n);
		ret = pmf_err_set(err, PMF_EUSAGE,
			"'%s' matches %zu functions: write one's name as above, or --all", name,
			*n);
	} else if (ret == 0) {
		bool is_known = select_rows(t, order, nr_rows, name, re, false, rows) > 0;

		ret = no_match(name, has_file(t), is_known, err);
	}
	pmf_regex_free(re);
	free(order);
	return ret;
}

/* ---- The command ---- */

static bool wants_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

static int print(
	struct annotate_args *a, const struct pmf_profile *p, const char *name, struct pmf_err *err)
{
	struct pmf_code_files *files;
	struct pmf_table funcs, lines;
	struct pmf_tree tree;
	bool *wanted;
	uint32_t *rows;
	size_t n;
	int ret = pmf_cli_events(p, p->nr_events, a->events, a->nr_events, &wanted, err);

	if (ret)
		return ret;
	a->view.events = wanted;
	a->view.columns = pmf_cli_columns();
	a->view.colours = wants_colours();
	pmf_table_needs(PMF_BY_SOURCE, &a->tree);
	pmf_tree_build(&tree, p, &a->tree);
	pmf_table_build(&funcs, &tree, PMF_BY_SOURCE);
	rows = pmf_calloc(funcs.n, sizeof *rows);
	ret = choose(a, &funcs, name, rows, &n, err);
	if (ret == 0) {
		pmf_table_build(&lines, &tree, PMF_BY_SOURCE_LINE);
		files = pmf_code_files_new(&a->source, p);
		pmf_render_annotation(stdout,
			&(struct pmf_annotation){
				&funcs, &lines, rows, n, {pmf_code_files_get, files}},
			&a->view);
		pmf_code_files_free(files);
		pmf_table_release(&lines);
		ret = pmf_cli_flush(err);
	}
	free(rows);
	pmf_table_release(&funcs);
	pmf_tree_release(&tree);
	free(wanted);
	return ret;
}

static int cmd_annotate(int argc, char **argv)
{
	struct annotate_args a = {.view.context = SIZE_MAX};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile profile;
	int ret = pmf_cli_options(argc, argv, ":e:h", long_options, help, take_option, &a, &err);

	if (ret == 0 && argc - optind < 2)
		ret = pmf_err_set(&err, PMF_EUSAGE,
			"a function and a profile are needed: 'pmuflame annotate [options] FUNCTION "
			"FILE...'");
	if (ret == 0) {
		ret = pmf_input_load(
			&profile, argv + optind + 1, (size_t)(argc - optind - 1), NULL, &err);
		if (ret == 0) {
			ret = print(&a, &profile, argv[optind], &err);
			pmf_profile_release(&profile);
		}
	}
	pmf_tree_args_release(&a.tree);
	pmf_code_args_release(&a.source);
	free(a.events);
	return pmf_cli_status(ret, &err);
}

const struct pmf_cmd pmf_cmd_annotate = {
	"annotate",
	"print a function's source with every counter's costs beside it",
	cmd_annotate,
};
