/* pmuflame render FILE... */
#include "cli.h"
#include "input.h"
#include "output.h"
#include "picture_args.h"
#include "sandbox_args.h"
#include "target_name.h"
#include "tree_args.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"usage: pmuflame render [options] FILE...\n\n"
	"Draw a profile that was saved: NAME.pb.gz of an earlier run, what other programs write as\n"
	"pprof or as folded stacks, or a recording of perf's (perf.data), whose programs and libraries\n"
	"are looked up here by build id. Several are added up. '-' is standard input, and may be a\n"
	"pipe. Prints the paths that were written.\n\n"
	"  -o, --output PATH           DIR/ or PREFIX of the files\n"
	"      --format LIST           svg, html, folded, speedscope, callgrind, json, pprof\n"
	"                              (default: svg, and html for two or more events)\n" PMF_TREE_ARGS_HELP
		PMF_TREE_ARGS_THREADS_HELP PMF_PICTURE_ARGS_HELP PMF_CODE_ARGS_HELP
	"      --title TEXT            instead of the profile's own name\n"
	"      --symfs DIR             the recorded machine's files are below DIR\n"
	"      --call-graph MODE       callers: auto, dwarf, fp (what the kernel walked) or none\n"
	"      --inline yes|no         inlined functions and source lines (default yes)\n" PMF_SANDBOX_ARGS_HELP
	"  -h, --help\n";

enum { OPT_FORMAT = 256, OPT_TITLE, OPT_SYMFS, OPT_CALL_GRAPH, OPT_INLINE, OPT_SANDBOX };

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},
	{"format", required_argument, NULL, OPT_FORMAT},
	PMF_TREE_ARGS_FILTER,
	PMF_TREE_ARGS_THREADS,
	{"title", required_argument, NULL, OPT_TITLE},
	{"symfs", required_argument, NULL, OPT_SYMFS},
	{"call-graph", required_argument, NULL, OPT_CALL_GRAPH},
	{"inline", required_argument, NULL, OPT_INLINE},
	{"sandbox", required_argument, NULL, OPT_SANDBOX},
	PMF_PICTURE_ARGS,
	PMF_CODE_ARGS,
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct render_args {
	struct pmf_input_opts input;
	struct pmf_output_opts output;
	struct pmf_tree_opts tree;
	const char *title;
	char **files;
	size_t nr_files;
};

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	struct render_args *a = ctx;
	bool inlines;
	int ret;

	switch (opt) {
	case 'o':
		a->output.path = optarg;
		return 0;
	case OPT_FORMAT:
		return pmf_output_formats(&a->output, optarg, err);
	case OPT_TITLE:
		a->title = optarg;
		return 0;
	case OPT_SYMFS:
		a->input.symfs = optarg;
		return 0;
	case OPT_CALL_GRAPH:
		return pmf_cli_call_graph(optarg, &a->input.call_graph, err);
	case OPT_INLINE:
		ret = pmf_cli_switch("--inline", optarg, &inlines, err);
		a->input.no_inlines = !inlines;
		return ret;
	case OPT_SANDBOX:
		return pmf_sandbox_arg(optarg, &a->input.sandbox, err);
	case PMF_OPT_MIN_WIDTH:
	case PMF_OPT_REVERSE:
		return pmf_picture_arg(&a->output.picture, opt, optarg, err);
	case PMF_OPT_SOURCE:
	case PMF_OPT_SOURCE_MAP:
		return pmf_code_arg(&a->output.code, opt, optarg, err);
	default:
		return pmf_tree_arg(&a->tree, opt, optarg, err);
	}
}

/* 0 to go on, 1 when help was all that was asked, or a negative status. */
static int parse_args(struct render_args *a, int argc, char **argv, struct pmf_err *err)
{
	int ret = pmf_cli_options(argc, argv, ":o:h", long_options, help, take_option, a, err);

	a->files = argv + optind;
	a->nr_files = (size_t)(argc - optind);
	if (ret == 0 && a->nr_files == 0)
		ret = pmf_err_set(
			err, PMF_EUSAGE, "no profile to draw: 'pmuflame render [options] FILE...'");
	return ret;
}

static int draw(struct render_args *a, struct pmf_profile *p, struct pmf_err *err)
{
	struct pmf_output_list written = {0};
	struct pmf_tree tree;
	char *stem = pmf_input_stem(a->files, a->nr_files, p->title);
	char **events = pmf_calloc(p->nr_events, sizeof *events);
	int ret;

	if (a->title || !p->title) {
		free(p->title);
		p->title = pmf_strdup(a->title ? a->title : stem);
	}
	a->output.name = pmf_target_file_name(stem);
	a->output.inputs = a->files;
	a->output.nr_inputs = a->nr_files;
	for (size_t e = 0; e < p->nr_events; e++)
		events[e] = p->events[e].file_name;
	ret = pmf_output_prepare(&a->output, events, p->nr_events, NULL, err);
	free(events);
	free(stem);
	if (ret) {
		pmf_output_undo(&a->output);
		return ret;
	}
	pmf_tree_build(&tree, p, &a->tree);
	ret = pmf_output_write(&tree, &a->output, &written, err);
	for (size_t i = 0; i < written.n; i++)
		puts(written.paths[i]);
	pmf_output_list_release(&written);
	pmf_tree_release(&tree);
	return ret;
}

static int cmd_render(int argc, char **argv)
{
	struct render_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile profile;
	int ret = parse_args(&a, argc, argv, &err), status;

	if (ret) {
		status = pmf_cli_status(ret, &err);
	} else if (pmf_input_load(&profile, a.files, a.nr_files, &a.input, &err)) {
		status = pmf_cli_fail(PMF_EXIT_FAILED, &err);
	} else {
		status = draw(&a, &profile, &err) ? pmf_cli_fail(PMF_EXIT_FAILED, &err)
						  : PMF_EXIT_OK;
		pmf_profile_release(&profile);
	}
	pmf_output_opts_release(&a.output);
	pmf_tree_args_release(&a.tree);
	return status;
}

const struct pmf_cmd pmf_cmd_render = {
	"render",
	"draw profiles that were saved, one or several added up",
	cmd_render,
};
