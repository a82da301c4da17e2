/* The command line of a recording. */
#include "config.h"

#include "record_args.h"

#include "cli.h"
#include "picture_args.h"
#include "sandbox_args.h"
#include "tree_args.h"
#include "who_args.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include "pmuflame/vary.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	STACK_BYTES_DEFAULT = 32768,
	STACK_BYTES_MIN = 8,
	READERS_MAX = 256,
	ROTATE_MIN_NS = 1000000000,
	KEEP_DEFAULT = 10,
	KEEP_MAX = 1000000,
};

static const char help[] =
	"usage: pmuflame [record] [options] [--] COMMAND|TARGET [ARG...]\n"
	"       pmuflame [record] -p PID|-t TID|-a|--cgroup PATH [options] [-- COMMAND [ARG...]]\n"
	"       pmuflame COMMAND-BELOW [options]\n\n"
	"Run COMMAND, or what pmuflame.ini calls TARGET ('all': every target), under hardware or\n"
	"software events, or watch what runs already, and draw one flame graph per event.\n\n"
	"examples:\n"
	"  pmuflame --event cycles ./backtest\n"
	"  pmuflame -e cpu-clock,page-faults,context-switches -- python3 strategy.py\n"
	"  pmuflame -e '{cycles,instructions},cache-misses:u@10007' -o out/ make test\n"
	"  pmuflame -p 1234 --duration 10\n\n"
	"who runs already (until Ctrl-C, --duration, their end, or COMMAND's):\n" PMF_WHO_ARGS_HELP
	"\n"
	"what to record:\n"
	"  -e, --event SPEC[,SPEC...]  NAME[:modifiers][@PERIOD|@FREQhz], {A,B} for a group,\n"
	"                              or a preset: @default @cache @branch @tlb @software\n"
	"                              (default: cycles; 'pmuflame list' shows names)\n"
	"  -F, --freq HZ               samples a second (default 997)\n"
	"  -c, --count PERIOD          one sample every PERIOD events\n"
	"      --delay S               count only what happens after S seconds\n"
	"      --duration S            end the recording, and the command, after S seconds\n"
	"      --call-graph MODE       auto, dwarf, fp or none (default auto)\n"
	"      --unwinder WHO          auto, cfi, libunwind or fp: who walks dumped stacks\n"
	"      --stack-bytes N         stack copied with each sample, at most 65528\n"
	"                              (default 32768)\n"
	"      --inherit yes|no        record the command's children too (default yes)\n"
	"      --timers auto|tasks|cpus\n"
	"                              whose timers sample clocks: the CPUs' cost a server\n"
	"                              of many threads less (default auto: with -p, for more\n"
	"                              threads than CPUs)\n"
	"      --container yes|no      name the containers of processes that run in others than\n"
	"                              pmuflame (default yes)\n"
	"      --readers auto|N        threads that read the rings (default auto)\n"
	"      --python auto|yes|no    Python frames of CPython 3.8 to 3.14 (default auto)\n"
	"      --python-lines yes|no   Python frames by line, or by function (default yes)\n"
	"      --interpreter yes|no    also the interpreter's own frames (default no)\n"
	"      --inline yes|no         inlined functions and source lines (default yes)\n" PMF_SANDBOX_ARGS_HELP
	"      --jit auto|off          have Node.js name the code that it generates (default\n"
	"                              auto)\n"
	"      --set KEY=VALUE         {KEY} in the command, or in TARGET's, becomes VALUE\n"
	"      --strict                no cpu-clock for cycles, no dropped presets\n\n"
	"what to write:\n"
	"  -o, --output PATH           DIR/ or PREFIX of the files\n"
	"      --format LIST           svg, html, folded, speedscope, callgrind, json (default:\n"
	"                              svg, and html for two or more events); the profile,\n"
	"                              NAME.pb.gz, is always written\n" PMF_TREE_ARGS_HELP
		PMF_TREE_ARGS_THREADS_HELP PMF_PICTURE_ARGS_HELP PMF_CODE_ARGS_HELP
	"      --title TEXT            instead of the command's name\n"
	"      --summary FILE          the numbers of the run as JSON\n"
	"      --raw FILE              the recording too, for perf report and perf script\n"
	"      --rotate S              a profile for every S seconds, named by its start\n"
	"      --keep N                the last N of those stay (default 10; 0: all)\n"
	"      --no-command            leave the command's arguments out of all files\n"
	"  -q, --quiet   -v, --verbose   -h, --help   -V, --version\n\n"
	"commands:\n";

void pmf_record_args_help(FILE *f)
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
	OPT_TIMERS,
	OPT_CONTAINER,
	OPT_READERS,
	OPT_PYTHON,
	OPT_PYTHON_LINES,
	OPT_INTERPRETER,
	OPT_INLINE,
	OPT_JIT,
	OPT_SANDBOX,
	OPT_STRICT,
	OPT_SET,
	OPT_FORMAT,
	OPT_SUMMARY,
	OPT_RAW,
	OPT_TITLE,
	OPT_NO_COMMAND,
	OPT_ROTATE,
	OPT_KEEP,
};

static const struct option long_options[] = {
	PMF_WHO_ARGS,
	{"event", required_argument, NULL, 'e'},
	{"freq", required_argument, NULL, 'F'},
	{"count", required_argument, NULL, 'c'},
	{"delay", required_argument, NULL, OPT_DELAY},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"call-graph", required_argument, NULL, OPT_CALL_GRAPH},
	{"unwinder", required_argument, NULL, OPT_UNWINDER},
	{"stack-bytes", required_argument, NULL, OPT_STACK_BYTES},
	{"inherit", required_argument, NULL, OPT_INHERIT},
	{"timers", required_argument, NULL, OPT_TIMERS},
	{"container", required_argument, NULL, OPT_CONTAINER},
	{"readers", required_argument, NULL, OPT_READERS},
	{"python", required_argument, NULL, OPT_PYTHON},
	{"python-lines", required_argument, NULL, OPT_PYTHON_LINES},
	{"interpreter", required_argument, NULL, OPT_INTERPRETER},
	{"inline", required_argument, NULL, OPT_INLINE},
	{"jit", required_argument, NULL, OPT_JIT},
	{"sandbox", required_argument, NULL, OPT_SANDBOX},
	{"strict", no_argument, NULL, OPT_STRICT},
	{"set", required_argument, NULL, OPT_SET},
	{"output", required_argument, NULL, 'o'},
	{"format", required_argument, NULL, OPT_FORMAT},
	PMF_TREE_ARGS_FILTER,
	PMF_TREE_ARGS_THREADS,
	PMF_PICTURE_ARGS,
	PMF_CODE_ARGS,
	{"summary", required_argument, NULL, OPT_SUMMARY},
	{"raw", required_argument, NULL, OPT_RAW},
	{"title", required_argument, NULL, OPT_TITLE},
	{"no-command", no_argument, NULL, OPT_NO_COMMAND},
	{"rotate", required_argument, NULL, OPT_ROTATE},
	{"keep", required_argument, NULL, OPT_KEEP},
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
	[PMF_UNWIND_BY_FP] = "fp",
	NULL};

static int parse_unwinder(const char *text, enum pmf_unwind_by *out, struct pmf_err *err)
{
	int i = pmf_cli_choice("--unwinder", text, unwinder_names, err);

	if (i < 0)
		return i;
	*out = (enum pmf_unwind_by)i;
	if (!pmf_unwinder_can(*out, pmf_arch_native()))
		return pmf_err_set(err, PMF_EUSAGE,
			"--unwinder %s cannot be relied on for %s code: take auto, cfi or fp", text,
			pmf_arch_native()->name);
	return 0;
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

static int parse_python(const char *text, enum pmf_python_mode *out, struct pmf_err *err)
{
	static const char *const names[] = {
		[PMF_PYTHON_AUTO] = "auto", [PMF_PYTHON_YES] = "yes", [PMF_PYTHON_NO] = "no", NULL};
	int i = pmf_cli_choice("--python", text, names, err);

	if (i < 0)
		return i;
	*out = (enum pmf_python_mode)i;
	return 0;
}

static int parse_timers(const char *text, enum pmf_perf_timers *out, struct pmf_err *err)
{
	static const char *const names[] = {[PMF_PERF_TIMERS_AUTO] = "auto",
		[PMF_PERF_TIMERS_TASKS] = "tasks",
		[PMF_PERF_TIMERS_CPUS] = "cpus",
		NULL};
	int i = pmf_cli_choice("--timers", text, names, err);

	if (i < 0)
		return i;
	*out = (enum pmf_perf_timers)i;
	return 0;
}

static int parse_jit(const char *text, bool *out, struct pmf_err *err)
{
	static const char *const names[] = {"off", "auto", NULL};
	int i = pmf_cli_choice("--jit", text, names, err);

	if (i < 0)
		return i;
	*out = i == 1;
	return 0;
}

static int parse_rotate(const char *text, uint64_t *out, struct pmf_err *err)
{
	int ret = pmf_parse_seconds(text, out, "--rotate", err);

	/* The files of an interval are named after the second in which it began. */
	if (ret == 0 && *out < ROTATE_MIN_NS)
		ret = pmf_err_set(err, PMF_EUSAGE, "--rotate must be at least one second");
	return ret;
}

static int parse_keep(const char *text, size_t *out, struct pmf_err *err)
{
	uint64_t n = 0;
	int ret = pmf_parse_u64(text, strlen(text), &n, "--keep", err);

	if (ret == 0 && n > KEEP_MAX)
		ret = pmf_err_set(
			err, PMF_EUSAGE, "--keep %" PRIu64 " is more than %d", n, KEEP_MAX);
	*out = (size_t)n;
	return ret;
}

static int parse_option(struct pmf_record_args *a, int opt, struct pmf_err *err)
{
	switch (opt) {
	case 'p':
	case 't':
	case 'a':
	case 'C':
	case PMF_OPT_CGROUP:
		return pmf_who_arg(&a->who, opt, optarg, err);
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
		return pmf_cli_switch("--inherit", optarg, &a->collect.inherit, err);
	case OPT_TIMERS:
		return parse_timers(optarg, &a->collect.timers, err);
	case OPT_CONTAINER:
		return pmf_cli_switch("--container", optarg, &a->collect.containers, err);
	case OPT_PYTHON:
		return parse_python(optarg, &a->collect.python, err);
	case OPT_PYTHON_LINES:
		return pmf_cli_switch("--python-lines", optarg, &a->collect.python_lines, err);
	case OPT_INTERPRETER:
		return pmf_cli_switch("--interpreter", optarg, &a->collect.interpreter, err);
	case OPT_INLINE:
		return pmf_cli_switch("--inline", optarg, &a->collect.inlines, err);
	case OPT_SANDBOX:
		return pmf_sandbox_arg(optarg, &a->sandbox, err);
	case OPT_JIT:
		return parse_jit(optarg, &a->collect.jit, err);
	case OPT_READERS:
		return parse_readers(optarg, &a->collect.readers, err);
	case OPT_SET:
		PMF_PUSH(a->settings, a->nr_settings, a->cap_settings) = optarg;
		return pmf_vary_check(optarg, err);
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
	case OPT_ROTATE:
		return parse_rotate(optarg, &a->collect.parts.rotate_ns, err);
	case OPT_KEEP:
		return parse_keep(optarg, &a->collect.parts.keep, err);
	case OPT_NO_COMMAND:
		a->no_command = true;
		return 0;
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

static int check_timers(const struct pmf_collect_opts *o, struct pmf_err *err)
{
	if (o->timers && o->who.target != PMF_PERF_TASKS)
		return pmf_err_set(err, PMF_EUSAGE,
			"--timers is for -p and -t: a command has its own, -a and --cgroup those of the CPUs");
	if (o->timers == PMF_PERF_TIMERS_CPUS && o->readers > 1)
		return pmf_err_set(err, PMF_EUSAGE,
			"--timers cpus needs one reader, which knows whose each sample is: "
			"leave '--readers %zu' out",
			o->readers);
	return 0;
}

int pmf_record_args_parse(struct pmf_record_args *a, int argc, char **argv, struct pmf_err *err)
{
	int opt, ret;

	a->collect.call_graph = PMF_UNWIND_AUTO;
	a->collect.stack_bytes = STACK_BYTES_DEFAULT;
	a->collect.inherit = true;
	a->collect.containers = true;
	a->collect.python_lines = true;
	a->collect.inlines = true;
	a->collect.jit = true;
	a->collect.parts.keep = KEEP_DEFAULT;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+:e:F:c:o:qvhV" PMF_WHO_ARGS_SHORT, long_options,
			NULL)) != -1) {
		if (opt == 'h') {
			pmf_record_args_help(stdout);
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
				pmf_cli_culprit(opt, argv));
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
	if (a->collect.parts.keep != KEEP_DEFAULT && !a->collect.parts.rotate_ns)
		return pmf_err_set(err, PMF_EUSAGE,
			"--keep says how many intervals stay, and there are none without --rotate");
	if (a->nr_settings && !a->command[0])
		return pmf_err_set(
			err, PMF_EUSAGE, "--set %s has no command to say it to", a->settings[0]);
	ret = pmf_who_args_finish(&a->who, &a->collect.who, a->command, err);
	return ret ? ret : check_timers(&a->collect, err);
}
