/* pmuflame advise FILE... */
#include "cli.h"
#include "input.h"
#include "output.h"
#include "pmf_paths.h"

#include "pmuflame/advise.h"
#include "pmuflame/json.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECES_DEFAULT = 10, PATH_BYTES = 4096 };

static const char help[] =
	"usage: pmuflame advise [options] FILE...\n\n"
	"Say what the frames and counters of a profile suggest to try, with the evidence: NAME.pb.gz of\n"
	"an earlier run, or any other file that 'pmuflame render' reads. Several are added up. '-' is\n"
	"standard input. What could gain most comes first.\n\n"
	"  -n, --pieces N   at most so many pieces of advice, 0 for all (default 10; all in JSON)\n"
	"      --rules FILE rules of your own, besides those installed and those in\n"
	"                   ~/.config/pmuflame/advice.ini (may be given several times)\n"
	"      --as EVENT   the counts of folded stacks, which do not say so, are samples of EVENT\n"
	"      --json       for programs\n"
	"  -h, --help\n";

enum { OPT_RULES = 256, OPT_AS, OPT_JSON };

static const struct option long_options[] = {
	{"pieces", required_argument, NULL, 'n'},
	{"rules", required_argument, NULL, OPT_RULES},
	{"as", required_argument, NULL, OPT_AS},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct advise_args {
	const char **rules;
	size_t nr_rules, cap_rules;
	const char *as;
	size_t max;
	bool max_given, json;
	const char *file; /* the last one */
	size_t nr_files;
};

static int take_option(void *ctx, int opt, struct pmf_err *err)
{
	struct advise_args *a = ctx;

	switch (opt) {
	case 'n':
		a->max_given = true;
		return pmf_cli_rows(optarg, &a->max, err);
	case OPT_RULES:
		PMF_PUSH(a->rules, a->nr_rules, a->cap_rules) = optarg;
		return 0;
	case OPT_AS:
		a->as = optarg;
		return 0;
	default:
		a->json = true;
		return 0;
	}
}

static int parse_args(struct advise_args *a, int argc, char **argv, struct pmf_err *err)
{
	int ret = pmf_cli_options(argc, argv, ":n:h", long_options, help, take_option, a, err);

	if (ret == 0 && optind == argc)
		ret = pmf_err_set(
			err, PMF_EUSAGE, "no profile to read: 'pmuflame advise [options] FILE...'");
	if (!a->max_given && !a->json)
		a->max = PIECES_DEFAULT;
	a->file = argv[argc - 1];
	a->nr_files = (size_t)(argc - optind);
	return ret;
}

/* ---- Rules ---- */

/* Those that came with the program: beside it in a build, else where they were installed. */
static int read_installed(struct pmf_rules *rules, struct pmf_err *err)
{
	char exe[PATH_BYTES], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	int ret;

	exe[PMF_MAX(n, 0)] = '\0';
	slash = strrchr(exe, '/');
	path = pmf_asprintf("%.*s/advice.ini", slash ? (int)(slash - exe) : 0, exe);
	ret = pmf_rules_read(
		rules, access(path, F_OK) == 0 ? path : PMF_PKGDATADIR "/advice.ini", err);
	free(path);
	return ret;
}

/* The user's own, where there are some: XDG Base Directory Specification. */
static int read_users(struct pmf_rules *rules, struct pmf_err *err)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int ret = 0;

	if (config && config[0] == '/')
		path = pmf_asprintf("%s/pmuflame/advice.ini", config);
	else if (home && home[0] == '/')
		path = pmf_asprintf("%s/.config/pmuflame/advice.ini", home);
	if (path && access(path, F_OK) == 0)
		ret = pmf_rules_read(rules, path, err);
	free(path);
	return ret;
}

static int read_rules(const struct advise_args *a, struct pmf_rules *rules, struct pmf_err *err)
{
	int ret = read_installed(rules, err);

	if (ret == 0)
		ret = read_users(rules, err);
	for (size_t i = 0; i < a->nr_rules && ret == 0; i++)
		ret = pmf_rules_read(rules, a->rules[i], err);
	return ret;
}

/* ---- Text ---- */

static void add_place(struct pmf_buf *out, const struct pmf_place *p)
{
	const char *slash = strrchr(p->file, '/'), *file = slash ? slash + 1 : p->file;

	pmf_buf_addclean(out, p->name, '?');
	if (!*file && !*p->module)
		return;
	pmf_buf_addstr(out, " (");
	pmf_buf_addclean(out, *file ? file : p->module, '?');
	if (*file && p->line)
		pmf_buf_printf(out, ":%u", (unsigned)p->line);
	pmf_buf_addch(out, ')');
}

static const char *label(const struct pmf_profile *p, size_t event)
{
	return pmf_profile_label(&p->events[event]);
}

/* What a finding counts. A ratio is of its rule's events, which may be of other size than the label's. */
static const char *counted(
	const struct pmf_profile *p, const struct pmf_rules *rules, const struct pmf_finding *f)
{
	const struct pmf_rule_event *event = &rules->classes[f->evidence->num];

	return f->evidence->den != PMF_NO_CLASS && event->each != 1 ? event->name
								    : label(p, f->event);
}

static void add_finding(struct pmf_buf *out, const struct pmf_profile *p,
	const struct pmf_rules *rules, const struct pmf_finding *f)
{
	const struct pmf_evidence *e = f->evidence;
	int decimals;

	if (e->den == PMF_NO_CLASS) {
		pmf_buf_printf(out, "%.1f%% ±%.1f of ", 100 * f->value, 100 * f->error);
		pmf_buf_addclean(out, label(p, f->event), '?');
		return;
	}
	decimals = PMF_MAX(2 - (int)floor(log10(f->value)), 0);
	pmf_buf_printf(out, "%.*f ±%.*f ", decimals, f->value, decimals, f->error);
	pmf_buf_addclean(out, counted(p, rules, f), '?');
	pmf_buf_printf(out, " per %s", rules->classes[e->den].name);
}

static void add_evidence(struct pmf_buf *out, const struct pmf_profile *p,
	const struct pmf_rules *rules, const struct pmf_advice *a)
{
	char n[PMF_UNITS_MAX];

	pmf_buf_addstr(out, "   path     ");
	for (size_t i = 0; i < a->nr_path; i++) {
		pmf_buf_addstr(out, i ? " > " : "");
		add_place(out, &a->path[i]);
	}
	if (a->loop.line) {
		pmf_buf_addstr(out, "\n   loop     ");
		add_place(out, &a->loop);
	}
	for (size_t i = 0; i < a->rule->nr_evidence; i++) {
		const struct pmf_evidence *e = a->findings[i].evidence;

		pmf_buf_addstr(out, i ? "\n            " : "\n   counted  ");
		add_finding(out, p, rules, &a->findings[i]);
		if (e->den == PMF_NO_CLASS)
			pmf_buf_printf(out, ", %s samples; limit %.3g%%",
				pmf_format_count(n, a->findings[i].samples), 100 * e->least);
		else
			pmf_buf_printf(out, "; limit %.3g", e->least);
	}
	pmf_buf_addch(out, '\n');
}

static void add_verify(struct pmf_buf *out, const struct advise_args *args,
	const struct pmf_profile *p, const struct pmf_finding *headline)
{
	static const char saved[] = ".pb.gz";
	size_t len = strlen(args->file);
	/* The run before is kept beside a profile of ours. */
	bool has_before = args->nr_files == 1 && len > strlen(saved) &&
			  strcmp(args->file + len - strlen(saved), saved) == 0;
	struct pmf_buf command = PMF_BUF_INIT;

	pmf_buf_addstr(&command, "pmuflame diff ");
	/* The name that --as gives is not in the file. */
	if (!args->as) {
		pmf_buf_addstr(&command, "-e ");
		pmf_output_add_quoted(&command, label(p, headline->event));
		pmf_buf_addch(&command, ' ');
	}
	if (has_before)
		pmf_output_add_quoted(&command, args->file);
	else
		pmf_buf_addstr(&command, "BEFORE AFTER");
	pmf_buf_addstr(out, "   verify   record again, then: ");
	pmf_buf_addclean(out, pmf_buf_str(&command), '?');
	pmf_buf_addstr(out, "\n\n");
	pmf_buf_release(&command);
}

static void add_advice(struct pmf_buf *out, const struct advise_args *args,
	const struct pmf_profile *p, const struct pmf_rules *rules, const struct pmf_advice *a,
	size_t number)
{
	pmf_buf_printf(out, "%zu. ", number);
	add_finding(out, p, rules, &a->findings[0]);
	pmf_buf_addstr(out, ": ");
	add_place(out, &a->at);
	pmf_buf_addstr(out, "\n   ");
	pmf_buf_addclean(out, a->rule->title, '?');
	pmf_buf_printf(out, " [%s]\n", a->rule->name);
	add_evidence(out, p, rules, a);
	for (const char *line = a->rule->advice, *before = "   try      "; *line;
		before = "            ") {
		char *one = pmf_strndup(line, strcspn(line, "\n"));

		pmf_buf_addstr(out, before);
		pmf_buf_addclean(out, one, '?');
		pmf_buf_addch(out, '\n');
		line += strlen(one);
		line += *line == '\n';
		free(one);
	}
	add_verify(out, args, p, &a->findings[0]);
}

static void add_closing(struct pmf_buf *out, const struct pmf_advices *found, size_t shown)
{
	struct pmf_buf events = PMF_BUF_INIT;

	if (!found->nr_judged)
		pmf_buf_addstr(out, "No rule could be judged.\n");
	else if (!found->n)
		pmf_buf_printf(out, "%zu rule%s judged, and none found its evidence.\n",
			found->nr_judged, found->nr_judged == 1 ? " was" : "s were");
	if (shown < found->n)
		pmf_buf_printf(out, "%zu more: -n 0 shows all.\n", found->n - shown);
	if (found->nr_near)
		pmf_buf_printf(out,
			"%zu place%s a rule's limit within the error of sampling only: a longer run, or "
			"a higher --freq, would tell.\n",
			found->nr_near, found->nr_near == 1 ? " passes" : "s pass");
	for (size_t i = 0; i < found->nr_notes; i++) {
		pmf_buf_addstr(out, "note: ");
		pmf_buf_addclean(out, found->notes[i], '?');
		pmf_buf_addch(out, '\n');
	}
	if (!found->nr_not_judged)
		return;
	pmf_buf_addstr(out,
		"Not judged, for the profile lacks their counters, or has those of different code: ");
	for (size_t i = 0; i < found->nr_not_judged; i++)
		pmf_buf_printf(out, "%s%s", i ? ", " : "", found->not_judged[i]->name);
	pmf_buf_addstr(out, "; record them by --event ");
	pmf_output_add_quoted(&events, found->missing);
	pmf_buf_addclean(out, pmf_buf_str(&events), '?');
	pmf_buf_release(&events);
	pmf_buf_addch(out, '\n');
}

static void print_text(const struct advise_args *args, const struct pmf_profile *p,
	const struct pmf_rules *rules, const struct pmf_advices *found, size_t shown)
{
	struct pmf_buf out = PMF_BUF_INIT;

	for (size_t i = 0; i < shown; i++)
		add_advice(&out, args, p, rules, &found->items[i], i + 1);
	add_closing(&out, found, shown);
	fputs(pmf_buf_str(&out), stdout);
	pmf_buf_release(&out);
}

/* ---- JSON ---- */

static json_t *json_place(const struct pmf_place *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "function", pmf_json_of_text(p->name));
	json_object_set_new(o, "module", pmf_json_of_text(p->module));
	json_object_set_new(o, "file", pmf_json_of_text(p->file));
	json_object_set_new(o, "line", p->line ? json_integer(p->line) : json_null());
	return o;
}

static json_t *json_finding(
	const struct pmf_profile *p, const struct pmf_rules *rules, const struct pmf_finding *f)
{
	const struct pmf_evidence *e = f->evidence;
	bool is_share = e->den == PMF_NO_CLASS;
	json_t *o = json_object();

	json_object_set_new(o, "event", pmf_json_of_text(counted(p, rules, f)));
	json_object_set_new(
		o, "per", is_share ? json_null() : pmf_json_of_text(rules->classes[e->den].name));
	json_object_set_new(o, is_share ? "share" : "ratio", json_real(f->value));
	json_object_set_new(o, "error", json_real(f->error));
	json_object_set_new(o, "limit", json_real(e->least));
	json_object_set_new(o, "samples", json_integer((json_int_t)f->samples));
	return o;
}

static json_t *json_advice(
	const struct pmf_profile *p, const struct pmf_rules *rules, const struct pmf_advice *a)
{
	json_t *o = json_object(), *path = json_array(), *evidence = json_array();

	for (size_t i = 0; i < a->nr_path; i++)
		json_array_append_new(path, json_place(&a->path[i]));
	for (size_t i = 0; i < a->rule->nr_evidence; i++)
		json_array_append_new(evidence, json_finding(p, rules, &a->findings[i]));
	json_object_set_new(o, "rule", pmf_json_of_text(a->rule->name));
	json_object_set_new(o, "title", pmf_json_of_text(a->rule->title));
	json_object_set_new(o, "at", json_place(&a->at));
	json_object_set_new(o, "loop", a->loop.line ? json_place(&a->loop) : json_null());
	json_object_set_new(o, "gain", json_real(a->gain));
	json_object_set_new(o, "path", path);
	json_object_set_new(o, "evidence", evidence);
	json_object_set_new(o, "try", pmf_json_of_text(a->rule->advice));
	return o;
}

static void print_json(const struct pmf_profile *p, const struct pmf_rules *rules,
	const struct pmf_advices *found, size_t shown)
{
	json_t *root = json_object(), *advice = json_array(), *names = json_array();
	json_t *notes = json_array();

	for (size_t i = 0; i < shown; i++)
		json_array_append_new(advice, json_advice(p, rules, &found->items[i]));
	for (size_t i = 0; i < found->nr_not_judged; i++)
		json_array_append_new(names, pmf_json_of_text(found->not_judged[i]->name));
	for (size_t i = 0; i < found->nr_notes; i++)
		json_array_append_new(notes, pmf_json_of_text(found->notes[i]));
	json_object_set_new(root, "schema", json_integer(1));
	json_object_set_new(root, "advice", advice);
	json_object_set_new(root, "judged", json_integer((json_int_t)found->nr_judged));
	json_object_set_new(root, "not_judged", names);
	json_object_set_new(
		root, "record", found->missing ? pmf_json_of_text(found->missing) : json_null());
	json_object_set_new(root, "within_error", json_integer((json_int_t)found->nr_near));
	json_object_set_new(root, "notes", notes);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

/* ---- The command ---- */

/* Folded stacks do not say what was counted, nor how often: take the user's word that each count is a
 * sample. */
static int name_event(struct pmf_profile *p, const char *as, struct pmf_err *err)
{
	struct pmf_profile_event *ev = p->events;

	if (!as)
		return 0;
	if (p->nr_events != 1 || strcmp(label(p, 0), "count") != 0)
		return pmf_err_set(err, PMF_EUSAGE,
			"--as is for files that do not say what they count, and this one says '%s'",
			p->nr_events ? label(p, 0) : "nothing");
	if (ev->scale < 1)
		return pmf_err_set(err, PMF_EUSAGE,
			"--as needs counts of samples, and this file's have fractions");
	free(ev->label);
	ev->label = pmf_strdup(as);
	ev->samples = ev->weight;
	ev->weight_sq = (double)ev->weight;
	for (size_t i = 0; i < p->nr_nodes; i++)
		p->samples[0][i] = p->weights[0][i];
	return 0;
}

static int advise(const struct advise_args *a, struct pmf_profile *p, struct pmf_err *err)
{
	struct pmf_rules rules = {0};
	struct pmf_advices found;
	struct pmf_tree tree;
	size_t shown;
	int ret = name_event(p, a->as, err);

	if (ret == 0)
		ret = read_rules(a, &rules, err);
	if (ret == 0) {
		pmf_tree_build(&tree, p, &(struct pmf_tree_opts){.lines = true});
		pmf_advise(&found, &rules, &tree);
		shown = a->max ? PMF_MIN(a->max, found.n) : found.n;
		if (a->json)
			print_json(p, &rules, &found, shown);
		else
			print_text(a, p, &rules, &found, shown);
		pmf_advices_release(&found);
		pmf_tree_release(&tree);
		ret = pmf_cli_flush(err);
	}
	pmf_rules_release(&rules);
	return ret;
}

static int cmd_advise(int argc, char **argv)
{
	struct advise_args a = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile profile;
	int ret = parse_args(&a, argc, argv, &err);

	if (ret == 0) {
		ret = pmf_input_load(&profile, argv + optind, (size_t)(argc - optind), NULL, &err);
		if (ret == 0) {
			ret = advise(&a, &profile, &err);
			pmf_profile_release(&profile);
		}
	}
	free(a.rules);
	return pmf_cli_status(ret, &err);
}

const struct pmf_cmd pmf_cmd_advise = {
	"advise",
	"say what a profile suggests to try, with the evidence",
	cmd_advise,
};
