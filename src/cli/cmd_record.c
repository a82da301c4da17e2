/* pmuflame [record] [options] [--] COMMAND [ARG...] */
#include "config.h"

#include "cli.h"
#include "output.h"
#include "picture_args.h"
#include "target.h"
#include "target_name.h"
#include "tree_args.h"

#include "pmuflame/collect.h"
#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	STACK_BYTES_DEFAULT = 32768,
	STACK_BYTES_MIN = 8,
	READERS_MAX = 256,
};

struct record_args {
	struct pmf_plan_opts plan;
	size_t cap_specs;
	struct pmf_collect_opts collect;
	struct pmf_output_opts output;
	struct pmf_tree_opts tree;
	char *name; /* of the target, as people see it */
	const char *summary_path;
	const char *title; /* for the outputs; NULL: the name */
	bool no_command;
	bool quiet;
	char **command; /* NULL-terminated rest of argv */
	struct pmf_cli_config config;
	const struct pmf_target *target; /* that the command names; NULL: it is a command */
	char **target_argv;              /* what runs then; owned */
};

static const char help[] =
	"usage: pmuflame [record] [options] [--] COMMAND|TARGET [ARG...]\n"
	"       pmuflame COMMAND-BELOW [options]\n\n"
	"Run COMMAND, or what pmuflame.ini calls TARGET ('all': every target), under hardware or\n"
	"software events and draw one flame graph per event.\n\n"
	"examples:\n"
	"  pmuflame --event cycles ./backtest\n"
	"  pmuflame -e cpu-clock,page-faults,context-switches -- python3 strategy.py\n"
	"  pmuflame -e '{cycles,instructions},cache-misses:u@10007' -o out/ make test\n\n"
	"what to record:\n"
	"  -e, --event SPEC[,SPEC...]  NAME[:modifiers][@PERIOD|@FREQhz], {A,B} for a group,\n"
	"                              or a preset: @default @cache @branch @tlb @software\n"
	"                              (default: cycles; 'pmuflame list' shows names)\n"
	"  -F, --freq HZ               samples a second (default 997)\n"
	"  -c, --count PERIOD          one sample every PERIOD events\n"
	"      --delay S               count only what happens after S seconds\n"
	"      --duration S            end the command after S seconds\n"
	"      --call-graph MODE       auto, dwarf, fp or none (default auto)\n"
	"      --unwinder WHO          auto, cfi, libunwind or fp: who walks dumped stacks\n"
	"      --stack-bytes N         stack copied with each sample, at most 65528\n"
	"                              (default 32768)\n"
	"      --inherit yes|no        record the command's children too (default yes)\n"
	"      --readers auto|N        threads that read the rings (default auto)\n"
	"      --python auto|yes|no    Python frames of CPython 3.8 to 3.14 (default auto)\n"
	"      --python-lines yes|no   Python frames by line, or by function (default yes)\n"
	"      --interpreter yes|no    also the interpreter's own frames (default no)\n"
	"      --strict                no cpu-clock for cycles, no dropped presets\n\n"
	"what to write:\n"
	"  -o, --output PATH           DIR/ or PREFIX of the files\n"
	"      --format LIST           svg, html, folded, speedscope, callgrind, json (default:\n"
	"                              svg, and html for two or more events); the profile,\n"
	"                              NAME.pb.gz, is always written\n" PMF_TREE_ARGS_HELP
		PMF_TREE_ARGS_THREADS_HELP PMF_PICTURE_ARGS_HELP
	"      --title TEXT            instead of the command's name\n"
	"      --summary FILE          the numbers of the run as JSON\n"
	"      --raw FILE              the recording too, for perf report and perf script\n"
	"      --no-command            leave the command's arguments out of all files\n"
	"  -q, --quiet   -v, --verbose   -h, --help   -V, --version\n\n"
	"commands:\n";

static void print_help(FILE *f)
{
	fputs(help, f);
	pmf_cli_print_commands(f);
	fputs("\nSee man pmuflame for events, files and exit statuses.\n", f);
}

enum {
	OPT_DELAY = 256,
	OPT_DURATION,
	OPT_CALL_GRAPH,
	OPT_UNWINDER,
	OPT_STACK_BYTES,
	OPT_INHERIT,
	OPT_READERS,
	OPT_PYTHON,
	OPT_PYTHON_LINES,
	OPT_INTERPRETER,
	OPT_STRICT,
	OPT_FORMAT,
	OPT_SUMMARY,
	OPT_RAW,
	OPT_TITLE,
	OPT_NO_COMMAND,
};

static const struct option long_options[] = {
	{"event", required_argument, NULL, 'e'},
	{"freq", required_argument, NULL, 'F'},
	{"count", required_argument, NULL, 'c'},
	{"delay", required_argument, NULL, OPT_DELAY},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"call-graph", required_argument, NULL, OPT_CALL_GRAPH},
	{"unwinder", required_argument, NULL, OPT_UNWINDER},
	{"stack-bytes", required_argument, NULL, OPT_STACK_BYTES},
	{"inherit", required_argument, NULL, OPT_INHERIT},
	{"readers", required_argument, NULL, OPT_READERS},
	{"python", required_argument, NULL, OPT_PYTHON},
	{"python-lines", required_argument, NULL, OPT_PYTHON_LINES},
	{"interpreter", required_argument, NULL, OPT_INTERPRETER},
	{"strict", no_argument, NULL, OPT_STRICT},
	{"output", required_argument, NULL, 'o'},
	{"format", required_argument, NULL, OPT_FORMAT},
	PMF_TREE_ARGS_FILTER,
	PMF_TREE_ARGS_THREADS,
	PMF_PICTURE_ARGS,
	{"summary", required_argument, NULL, OPT_SUMMARY},
	{"raw", required_argument, NULL, OPT_RAW},
	{"title", required_argument, NULL, OPT_TITLE},
	{"no-command", no_argument, NULL, OPT_NO_COMMAND},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

/* -F and -c: a whole number that is not 0. */
static int parse_rate(const char *text, uint64_t *out, const char *what, struct pmf_err *err)
{
	int ret = pmf_parse_u64(text, strlen(text), out, what, err);

	if (ret == 0 && *out == 0)
		ret = pmf_err_set(err, PMF_EUSAGE, "%s must be at least 1", what);
	return ret;
}

static const char *const unwinder_names[] = {[PMF_UNWIND_BY_AUTO] = "auto",
	[PMF_UNWIND_BY_CFI] = "cfi",
	[PMF_UNWIND_BY_LIBUNWIND] = "libunwind",
	[PMF_UNWIND_BY_FP] = "fp"};

static int parse_unwinder(const char *text, enum pmf_unwind_by *out, struct pmf_err *err)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(unwinder_names); i++) {
		if (strcmp(text, unwinder_names[i]) != 0)
			continue;
		*out = (enum pmf_unwind_by)i;
		if (!pmf_unwinder_can(*out, pmf_arch_native()))
			return pmf_err_set(err, PMF_EUSAGE,
				"--unwinder %s cannot be relied on for %s code: take auto, cfi or fp",
				text, pmf_arch_native()->name);
		return 0;
	}
	return pmf_err_set(
		err, PMF_EUSAGE, "--unwinder '%s' is none of auto, cfi, libunwind, fp", text);
}

/* An unwinder that was asked for needs dumps to walk, and must be one that the call graph allows. */
static int check_unwinder(const struct pmf_collect_opts *opts, struct pmf_err *err)
{
	if (opts->unwind_by == PMF_UNWIND_BY_AUTO || opts->call_graph == PMF_UNWIND_AUTO)
		return 0;
	if (opts->call_graph != PMF_UNWIND_DWARF)
		return pmf_err_set(err, PMF_EUSAGE,
			"--unwinder %s needs stacks to walk, and --call-graph fp and none dump "
			"none: leave one of the two out",
			unwinder_names[opts->unwind_by]);
	if (opts->unwind_by == PMF_UNWIND_BY_FP)
		return pmf_err_set(err, PMF_EUSAGE,
			"--call-graph dwarf forbids frame pointers, --unwinder fp uses nothing "
			"else: leave one of the two out");
	return 0;
}

static int parse_stack_bytes(const char *text, uint32_t *out, struct pmf_err *err)
{
	uint64_t n;
	int ret = pmf_parse_u64(text, strlen(text), &n, "--stack-bytes", err);

	if (ret)
		return ret;
	if (n < STACK_BYTES_MIN || n > PMF_STACK_BYTES_MAX)
		return pmf_err_set(err, PMF_EUSAGE,
			"--stack-bytes %" PRIu64 " is outside %d to %d: a sample holds no more", n,
			STACK_BYTES_MIN, PMF_STACK_BYTES_MAX);
	*out = (uint32_t)((n + 7) & ~(uint64_t)7);
	return 0;
}

static int parse_readers(const char *text, size_t *out, struct pmf_err *err)
{
	uint64_t n = 0;
	int ret = 0;

	if (strcmp(text, "auto") != 0) {
		ret = pmf_parse_u64(text, strlen(text), &n, "--readers", err);
		if (ret == 0 && (n < 1 || n > READERS_MAX))
			ret = pmf_err_set(err, PMF_EUSAGE,
				"--readers %" PRIu64 " is neither auto nor 1 to %d", n,
				READERS_MAX);
	}
	*out = (size_t)n;
	return ret;
}

/* The value of a switch, in optarg. */
static int parse_switch(const char *name, bool *out, struct pmf_err *err)
{
	*out = strcmp(optarg, "yes") == 0;
	if (!*out && strcmp(optarg, "no") != 0)
		return pmf_err_set(err, PMF_EUSAGE, "%s '%s' is neither yes nor no", name, optarg);
	return 0;
}

static int parse_python(const char *text, enum pmf_python_mode *out, struct pmf_err *err)
{
	static const char *const names[] = {
		[PMF_PYTHON_AUTO] = "auto", [PMF_PYTHON_YES] = "yes", [PMF_PYTHON_NO] = "no"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum pmf_python_mode)i;
			return 0;
		}
	}
	return pmf_err_set(err, PMF_EUSAGE, "--python '%s' is none of auto, yes, no", text);
}

static int parse_option(struct record_args *a, int opt, struct pmf_err *err)
{
	switch (opt) {
	case 'e':
		PMF_PUSH(a->plan.specs, a->plan.nr_specs, a->cap_specs) = optarg;
		return 0;
	case 'F':
		return parse_rate(optarg, &a->plan.freq_hz, "-F", err);
	case 'c':
		return parse_rate(optarg, &a->plan.period, "-c", err);
	case 'o':
		a->output.path = optarg;
		return 0;
	case 'q':
		a->quiet = true;
		pmf_log_set_level(PMF_LOG_QUIET);
		return 0;
	case 'v':
		pmf_log_set_level(PMF_LOG_INFO);
		return 0;
	case OPT_DELAY:
		return pmf_parse_seconds(optarg, &a->collect.delay_ns, "--delay", err);
	case OPT_DURATION:
		if (pmf_parse_seconds(optarg, &a->collect.duration_ns, "--duration", err))
			return PMF_EUSAGE;
		return a->collect.duration_ns
			       ? 0
			       : pmf_err_set(err, PMF_EUSAGE, "--duration must be more than 0");
	case OPT_CALL_GRAPH:
		return pmf_cli_call_graph(optarg, &a->collect.call_graph, err);
	case OPT_UNWINDER:
		return parse_unwinder(optarg, &a->collect.unwind_by, err);
	case OPT_STACK_BYTES:
		return parse_stack_bytes(optarg, &a->collect.stack_bytes, err);
	case OPT_INHERIT:
		return parse_switch("--inherit", &a->collect.inherit, err);
	case OPT_PYTHON:
		return parse_python(optarg, &a->collect.python, err);
	case OPT_PYTHON_LINES:
		return parse_switch("--python-lines", &a->collect.python_lines, err);
	case OPT_INTERPRETER:
		return parse_switch("--interpreter", &a->collect.interpreter, err);
	case OPT_READERS:
		return parse_readers(optarg, &a->collect.readers, err);
	case OPT_STRICT:
		a->plan.strict = true;
		return 0;
	case OPT_FORMAT:
		return pmf_output_formats(&a->output, optarg, err);
	case OPT_SUMMARY:
		a->summary_path = optarg;
		return 0;
	case OPT_TITLE:
		a->title = optarg;
		return 0;
	case OPT_RAW:
		a->collect.raw_path = optarg;
		return 0;
	case OPT_NO_COMMAND:
		a->no_command = true;
		return 0;
	case PMF_OPT_MIN_WIDTH:
	case PMF_OPT_REVERSE:
		return pmf_picture_arg(&a->output.picture, opt, optarg, err);
	default:
		return pmf_tree_arg(&a->tree, opt, optarg, err);
	}
}

/* 0 to go on, 1 when help or version was all that was asked, or a negative status. */
static int parse_args(struct record_args *a, int argc, char **argv, struct pmf_err *err)
{
	int opt, ret;

	a->collect.call_graph = PMF_UNWIND_AUTO;
	a->collect.stack_bytes = STACK_BYTES_DEFAULT;
	a->collect.inherit = true;
	a->collect.python_lines = true;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:e:F:c:o:qvhV", long_options, NULL)) != -1) {
		if (opt == 'h') {
			print_help(stdout);
			return 1;
		}
		if (opt == 'V') {
			puts("pmuflame " PACKAGE_VERSION);
			return 1;
		}
		if (opt == ':')
			return pmf_err_set(
				err, PMF_EUSAGE, "option '%s' needs a value", argv[optind - 1]);
		if (opt == '?')
			return pmf_err_set(err, PMF_EUSAGE,
				"'%s' is no option of pmuflame: 'pmuflame --help' lists them",
				argv[optind - 1]);
		ret = parse_option(a, opt, err);
		if (ret)
			return ret;
	}
	a->command = argv + optind;
	if (a->plan.period && a->plan.freq_hz)
		return pmf_err_set(err, PMF_EUSAGE,
			"-F and -c exclude each other: a frequency, or a fixed period");
	ret = check_unwinder(&a->collect, err);
	if (ret)
		return ret;
	if (a->collect.duration_ns && a->collect.delay_ns >= a->collect.duration_ns)
		return pmf_err_set(err, PMF_EUSAGE,
			"--duration, which counts from the start too, must be longer than --delay");
	if (!a->command[0])
		return pmf_err_set(err, PMF_EUSAGE,
			"no command to profile: 'pmuflame [options] COMMAND [ARG...]'");
	return 0;
}

#define CLEAR_LINE "\r\033[K"

/* The live line on a terminal: elapsed, samples per event, lost; as much of it as fits. */
static void show_progress(void *ctx, const struct pmf_progress *g)
{
	struct pmf_buf line = PMF_BUF_INIT;
	struct winsize size = {.ws_col = 0};
	bool *shown = ctx;
	char n[PMF_UNITS_MAX];
	int room;

	/* In the background a terminal may stop who writes to it (stty tostop). */
	if (tcgetpgrp(STDERR_FILENO) != getpgrp())
		return;
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	room = size.ws_col ? size.ws_col - 1 : 79;
	pmf_buf_printf(&line, "%.1f s", (double)g->elapsed_ns / 1e9);
	for (size_t e = 0; e < g->profile->nr_events; e++)
		pmf_buf_printf(&line, "  %s %s", g->profile->events[e].label,
			pmf_format_count(n, g->samples[e]));
	pmf_buf_printf(&line, "  lost %s", pmf_format_count(n, g->lost));
	fprintf(stderr, CLEAR_LINE "%.*s", room, pmf_buf_str(&line));
	*shown = true;
	pmf_buf_release(&line);
}

static void warn_about_plan(const struct pmf_event_list *list)
{
	for (size_t e = 0; e < list->n; e++)
		if (list->events[e].fallback_reason)
			pmf_warn("warning: %s; sampling %s instead of %s (--strict forbids it)",
				list->events[e].fallback_reason, list->events[e].label,
				list->events[e].spec);
	for (size_t i = 0; i < list->nr_dropped; i++)
		pmf_warn("warning: not recorded here: %s", list->dropped[i]);
}

static int exec_failed(const char *command, int errnum)
{
	char *local = pmf_asprintf("./%s", command);
	bool there = command[0] && !strchr(command, '/') && access(local, X_OK) == 0;
	int status = errnum == ENOENT ? PMF_EXIT_NOT_FOUND : PMF_EXIT_CANNOT_EXEC;

	if (status == PMF_EXIT_NOT_FOUND && strchr(command, '/') && access(command, F_OK) == 0)
		pmf_cli_failf(status,
			"cannot execute '%s': the interpreter that it names is missing", command);
	else if (status == PMF_EXIT_NOT_FOUND)
		pmf_cli_failf(status, "command '%s' was not found%s%s%s", command,
			there ? ": `" : "", there ? local : "",
			there ? "` exists: did you mean that?" : "");
	else
		pmf_cli_failf(status, "cannot execute '%s': %s", command, strerror(errnum));
	free(local);
	return status;
}

static int exit_status(const struct pmf_collect_result *res)
{
	if (res->duration_over)
		return PMF_EXIT_OK;
	if (WIFSIGNALED(res->wait_status))
		return 128 + WTERMSIG(res->wait_status);
	return WEXITSTATUS(res->wait_status);
}

/* Draw, write, report. Whatever can be written is, even when something else cannot. */
static int finish(struct record_args *a, struct pmf_profile *p,
	const struct pmf_collect_result *res, struct pmf_err *err)
{
	struct pmf_tree tree;
	struct pmf_output_list written = {0};
	int ret, ret2 = 0;

	pmf_tree_build(&tree, p, &a->tree);
	ret = pmf_output_write(&tree, &a->output, &written, err);
	if (a->collect.raw_path && res->raw.status == PMF_OK)
		PMF_PUSH(written.paths, written.n, written.cap) = pmf_strdup(a->collect.raw_path);
	else if (ret == 0 && res->raw.status != PMF_OK)
		ret = pmf_err_set(err, res->raw.status, "%s", res->raw.text);
	if (a->summary_path)
		ret2 = pmf_output_summary_json(
			&tree, &written, a->summary_path, exit_status(res), res, ret ? NULL : err);
	if (!a->quiet)
		pmf_output_summary_text(&tree, &written, exit_status(res));
	pmf_output_list_release(&written);
	pmf_tree_release(&tree);
	return ret ? ret : ret2;
}

static int prepare_output(
	struct record_args *a, const struct pmf_event_list *list, struct pmf_err *err)
{
	char **names = pmf_calloc(list->n, sizeof *names);
	int ret;

	for (size_t e = 0; e < list->n; e++)
		names[e] = pmf_file_safe_name(list->events[e].label);
	a->output.is_run = true;
	ret = pmf_output_prepare(&a->output, names, list->n, a->summary_path, err);
	for (size_t e = 0; e < list->n; e++)
		free(names[e]);
	free(names);
	return ret;
}

/* What the outputs say was run: of a target, its command as pmuflame.ini has it. */
static char *shown_command(const struct record_args *a)
{
	char *args, *all;

	if (!a->target)
		return pmf_output_quote_command(a->command);
	args = pmf_output_quote_command(a->command + 1);
	all = pmf_asprintf("%s%s%s", a->target->command, *args ? " " : "", args);
	free(args);
	return all;
}

static int record(struct record_args *a, struct pmf_event_list *list)
{
	struct pmf_collect_result res;
	struct pmf_profile profile;
	struct pmf_err err = PMF_ERR_INIT;
	bool progress_shown = false;
	int status, ret;

	if (prepare_output(a, list, &err)) {
		pmf_output_undo(&a->output);
		return pmf_cli_fail(PMF_EXIT_FAILED, &err);
	}
	warn_about_plan(list);
	a->collect.argv = a->target ? a->target_argv : a->command;
	if (!a->no_command)
		a->collect.raw_argv = a->collect.argv;
	if (!a->quiet && isatty(STDERR_FILENO))
		a->collect.progress = show_progress;
	a->collect.ctx = &progress_shown;
	ret = pmf_collect_run(&profile, list, &a->collect, &res, &err);
	/* Whoever read stderr may have ended with the command, whose status is to be passed on. */
	signal(SIGPIPE, SIG_IGN);
	if (progress_shown)
		fputs(CLEAR_LINE, stderr);
	if (ret || res.exec_errno)
		pmf_output_undo(&a->output);
	if (ret)
		return pmf_cli_fail(PMF_EXIT_FAILED, &err);
	if (res.exec_errno) {
		status = exec_failed(a->command[0], res.exec_errno);
	} else {
		profile.title = pmf_strdup(a->title ? a->title : a->name);
		if (!a->no_command)
			profile.command = shown_command(a);
		status = exit_status(&res);
		if (finish(a, &profile, &res, &err))
			status = pmf_cli_fail(PMF_EXIT_FAILED, &err);
	}
	pmf_profile_release(&profile);
	return status;
}

static bool names_preset(const struct pmf_plan_opts *plan)
{
	for (size_t i = 0; i < plan->nr_specs; i++)
		if (strchr(plan->specs[i], '@'))
			return true;
	return false;
}

/* What pmuflame.ini says, where the command line leaves that open. A word with a slash is a command. */
static int apply_config(struct record_args *a, struct pmf_err *err)
{
	static char default_spec[] = "cycles";
	bool word = !strchr(a->command[0], '/');
	const struct pmf_target *t;
	int ret;

	if (word || names_preset(&a->plan)) {
		ret = pmf_cli_config_load(&a->config, err);
		if (ret)
			return ret;
	}
	t = word ? pmf_config_target(&a->config.file, a->command[0]) : NULL;
	if (t) {
		if (a->plan.nr_specs == 0)
			for (size_t i = 0; i < t->nr_events; i++)
				PMF_PUSH(a->plan.specs, a->plan.nr_specs, a->cap_specs) =
					t->events[i];
		if (!a->plan.period && !a->plan.freq_hz) {
			a->plan.period = t->period;
			a->plan.freq_hz = t->freq_hz;
		}
		a->target = t;
		a->target_argv = pmf_target_argv(t, t->command, a->command + 1);
	}
	if (a->plan.nr_specs == 0)
		PMF_PUSH(a->plan.specs, a->plan.nr_specs, a->cap_specs) = default_spec;
	return 0;
}

/* The events and names of the run, and the run; of a target, with what comes before and after it. */
static int run(struct record_args *a, struct pmf_err *err)
{
	const struct pmf_target *t = a->target;
	struct pmf_event_list list;
	int status = PMF_EXIT_FAILED;

	pmf_event_list_init(&list);
	list.presets = a->config.presets;
	if (pmf_plan_events(&list, &a->plan, err) ||
		(t && pmf_target_step(t, t->setup, "setup", err))) {
		pmf_cli_fail(status, err);
	} else {
		a->name = t ? pmf_strdup(t->name) : pmf_target_name(a->command);
		a->output.name = pmf_target_file_name(a->name);
		status = record(a, &list);
		if (t && pmf_target_step(t, t->teardown, "teardown", err))
			pmf_warn("warning: %s", err->text);
	}
	pmf_event_list_release(&list);
	return status;
}

static int cmd_record(int argc, char **argv)
{
	struct record_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	int status, ret;

	if (argc < 2) {
		print_help(stderr);
		return PMF_EXIT_FAILED;
	}
	ret = parse_args(&a, argc, argv, &err);
	if (ret == 0)
		ret = apply_config(&a, &err);
	if (ret)
		status = ret > 0 ? PMF_EXIT_OK : pmf_cli_fail(PMF_EXIT_FAILED, &err);
	else if (!a.target && pmf_target_is_all(&a.config, a.command[0]))
		status = pmf_target_run_all(&a.config, argv, (int)(a.command - argv));
	else
		status = run(&a, &err);
	pmf_output_opts_release(&a.output);
	pmf_tree_args_release(&a.tree);
	pmf_target_argv_free(a.target_argv);
	pmf_cli_config_release(&a.config);
	free(a.name);
	free(a.plan.specs);
	return status;
}

const struct pmf_cmd pmf_cmd_record = {
	"record",
	"run a command and draw where its events went (the default command)",
	cmd_record,
};
