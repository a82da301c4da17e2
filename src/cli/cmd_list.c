/* pmuflame list: what events there are here, and how far each gets. */
#include "cli.h"

#include "pmuflame/buf.h"
#include "pmuflame/event.h"
#include "pmuflame/mem.h"
#include "pmuflame/perf.h"
#include "pmuflame/study.h"
#include "pmuflame/units.h"
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_COLUMN_MAX = 44 };

struct row {
	char *name, *pmu, *desc;
	const char *kind; /* one of kinds[] */
};

struct listing {
	const char *pattern; /* NULL for everything but tracepoints */
	bool has_pmu;
	struct pmf_err no_pmu; /* why not */
	struct row *rows;
	size_t n, cap;
	size_t tracepoints_left, pfm_left; /* known, but not tried */
	char pfm_pmu[64];                  /* a PMU that the latter are of */
	json_t *json;                      /* the array, or NULL for a table */
};

/* In the order of their groups. */
static const struct {
	const char *kind, *heading;
} kinds[] = {
	{"hardware", "Hardware events, by the kernel's names"},
	{"cache", "Cache events, by the kernel's names"},
	{"software", "Software events"},
	{"pmu", "Events that PMUs name in sysfs"},
	{"libpfm4", "Events that libpfm4 knows of this processor"},
	{"tracepoint", "Tracepoints"},
};

static bool matches(const char *pattern, const char *name)
{
	if (!pattern)
		return true;
	if (strpbrk(pattern, "*?["))
		return fnmatch(pattern, name, FNM_CASEFOLD) == 0;
	return strcasestr(name, pattern) != NULL;
}

static int collect(void *ctx, const struct pmf_event_info *info)
{
	struct listing *l = ctx;
	struct row row = {.kind = NULL};

	if (!matches(l->pattern, info->name))
		return 0;
	if (!l->pattern && strcmp(info->kind, "tracepoint") == 0) {
		l->tracepoints_left++;
		return 0;
	}
	if (!l->pattern && !l->has_pmu && strcmp(info->kind, "libpfm4") == 0) {
		l->pfm_left++;
		snprintf(l->pfm_pmu, sizeof l->pfm_pmu, "%s", info->pmu);
		return 0;
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].kind, info->kind) == 0)
			row.kind = kinds[i].kind;
	row.name = pmf_strdup(info->name);
	row.pmu = pmf_strdup(info->pmu);
	row.desc = pmf_strdup(info->desc);
	PMF_PUSH(l->rows, l->n, l->cap) = row;
	return 0;
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void print_row(const struct row *row, const struct pmf_perf_try *t, int width)
{
	const char *why = pmf_cli_short_reason(t->why), *counts = yes_no(t->counts);
	struct pmf_buf line = PMF_BUF_INIT;

	if (t->opens && !t->exercised)
		counts = "?";
	pmf_buf_printf(&line, "  %-*s  %-5s  %-6s  %-7s  ", width, row->name, yes_no(t->opens),
		counts, yes_no(t->samples));
	if (*why)
		/* Asides and suggestions belong to the error of a single event. */
		pmf_buf_printf(&line, "%.*s", (int)strcspn(why, ";("), why);
	else
		pmf_buf_addstr(&line, row->desc);
	while (line.len && line.data[line.len - 1] == ' ')
		line.len--;
	printf("%.*s%s\n", (int)line.len, line.data,
		!*why && t->user_only ? " (user code only)" : "");
	pmf_buf_release(&line);
	fflush(stdout);
}

static void add_json(const struct listing *l, const struct row *row, const struct pmf_perf_try *t)
{
	json_t *counts = t->opens && !t->exercised ? json_null() : json_boolean(t->counts);
	json_t *o = json_pack("{ss* ss* ss* sb so sb sb si ss* ss*}", "name", row->name, "kind",
		row->kind, "pmu", row->pmu, "opens", t->opens, "counts", counts, "samples",
		t->samples, "user_only", t->user_only, "precise_ip", t->precise_ip, "description",
		row->desc, "why", t->why);

	if (o)
		json_array_append_new(l->json, o);
}

static void try_row(const struct listing *l, const struct row *row, int width)
{
	struct pmf_event_list events;
	struct pmf_perf_try t = {.opens = false};
	struct pmf_err err = PMF_ERR_INIT;

	pmf_event_list_init(&events);
	if (pmf_event_list_add(&events, row->name, NULL, NULL, &err) == 0)
		pmf_perf_try_event(&events.events[0], &t);
	else
		snprintf(t.why, sizeof t.why, "%.*s", (int)sizeof t.why - 1, err.text);
	pmf_event_list_release(&events);
	if (l->json)
		add_json(l, row, &t);
	else
		print_row(row, &t, width);
}

static void list_kind(const struct listing *l, size_t kind)
{
	int width = 4;
	bool any = false;

	for (size_t i = 0; i < l->n; i++)
		if (l->rows[i].kind == kinds[kind].kind)
			width = PMF_MAX(width,
				(int)PMF_MIN(strlen(l->rows[i].name), (size_t)NAME_COLUMN_MAX));
	for (size_t i = 0; i < l->n; i++) {
		if (l->rows[i].kind != kinds[kind].kind)
			continue;
		if (!any && !l->json)
			printf("%s (%s)\n  %-*s  opens  counts  samples  description, or why not\n",
				kinds[kind].heading, kinds[kind].kind, width, "name");
		any = true;
		try_row(l, &l->rows[i], width);
	}
	if (any && !l->json)
		putchar('\n');
}

/* Presets: what is left of each on this machine. */
static size_t list_presets(const struct listing *l)
{
	size_t n = 0;

	for (const struct pmf_event_preset *p = pmf_event_presets(); p->name; p++) {
		struct pmf_event_list events;
		struct pmf_err err = PMF_ERR_INIT;
		struct pmf_buf here = PMF_BUF_INIT;

		if (!matches(l->pattern, p->name))
			continue;
		if (n++ == 0 && !l->json)
			printf("Presets (preset)\n  %-10s  runs here as\n", "name");
		pmf_event_list_init(&events);
		pmf_event_list_add(&events, p->name, pmf_perf_can_open, NULL, &err);
		for (size_t i = 0; i < events.n; i++)
			pmf_buf_printf(&here, "%s%s", i ? "," : "", events.events[i].spec);
		if (l->json)
			json_array_append_new(l->json,
				json_pack("{ss ss sb ss ss ss*}", "name", p->name, "kind", "preset",
					"opens", events.n > 0, "events", pmf_buf_str(&here),
					"description", p->desc, "why", err.text));
		else
			printf("  %-10s  %s\n", p->name, events.n ? here.data : err.text);
		pmf_event_list_release(&events);
		pmf_buf_release(&here);
	}
	if (n && !l->json)
		putchar('\n');
	return n;
}

/* What was not tried, and how to see it. Behind a table on stdout, beside JSON on stderr. */
static void closing_lines(const struct listing *l)
{
	FILE *f = l->json ? stderr : stdout;
	struct pmf_err err = PMF_ERR_INIT;
	char count[PMF_UNITS_MAX];

	if (l->pfm_left)
		fprintf(f,
			"%s events of libpfm4 were not tried, for %s: 'pmuflame list %s::' lists "
			"them.\n",
			pmf_format_count(count, l->pfm_left),
			l->no_pmu.status == PMF_EPERM ? "the kernel refuses plain cycles"
						      : "there is no hardware PMU here",
			l->pfm_pmu);
	if (l->tracepoints_left)
		fprintf(f,
			"%s tracepoints were not tried: 'pmuflame list sched:' tries those with "
			"sched: "
			"in their name (each takes some 50 ms).\n",
			pmf_format_count(count, l->tracepoints_left));
	/* With a pattern it matters only where it could have meant a tracepoint. */
	else if ((!l->pattern || l->n == 0) && pmf_event_tracefs_check(&err))
		fprintf(f, "No tracepoint is listed: %s.\n", err.text);
}

static int list(struct listing *l)
{
	size_t presets;
	int ret = PMF_EXIT_OK;

	l->has_pmu = pmf_perf_has_pmu(&l->no_pmu);
	pmf_event_walk(collect, l, NULL);
	presets = list_presets(l);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++)
		list_kind(l, i);
	if (l->json) {
		json_dumpf(l->json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	closing_lines(l);
	if (l->pattern && l->n + presets == 0)
		ret = pmf_cli_failf(PMF_EXIT_NO,
			"no event's name contains '%s': 'pmuflame list' shows all", l->pattern);
	if (fflush(stdout) != 0 || ferror(stdout))
		ret = pmf_cli_failf(
			PMF_EXIT_FAILED, "cannot write the list to the standard output");
	for (size_t i = 0; i < l->n; i++) {
		free(l->rows[i].name);
		free(l->rows[i].pmu);
		free(l->rows[i].desc);
	}
	free(l->rows);
	return ret;
}

static const char help[] =
	"Usage: pmuflame list [--json] [PATTERN]\n"
	"       pmuflame list [--json] --targets\n"
	"\n"
	"Show the events of this machine, and for each whether it opens, counts and samples, by\n"
	"trying it for a millisecond, or the reason why not.\n"
	"\n"
	"PATTERN is part of a name, or a pattern with * ? [ ]; case does not matter. Tracepoints\n"
	"are tried only when a PATTERN selects them. A ? under `counts' means that the trial\n"
	"cannot make the event happen.\n"
	"\n"
	"  --targets   show what pmuflame.ini calls targets, not events\n"
	"  --json      an array of objects instead of a table\n"
	"  -h, --help  this text\n";

/* The targets of pmuflame.ini that holds here. */
static int list_targets(bool as_json)
{
	struct pmf_config c;
	struct pmf_err err = PMF_ERR_INIT;
	json_t *all = json_array();
	int status = PMF_EXIT_OK;

	if (pmf_config_find(&c, ".", &err))
		status = pmf_cli_fail(
			err.status == PMF_ENOTFOUND ? PMF_EXIT_NO : PMF_EXIT_FAILED, &err);
	for (size_t i = 0; i < c.nr_targets && status == PMF_EXIT_OK; i++) {
		const struct pmf_target *t = &c.targets[i];

		json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "name", t->name, "command",
						   t->command, "folder", t->folder));
		if (!as_json)
			printf("%-16s %s\n", t->name, t->command);
	}
	if (as_json && status == PMF_EXIT_OK) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	pmf_config_release(&c);
	return status;
}

static int run(int argc, char **argv)
{
	int json = 0, targets = 0;
	const struct option options[] = {
		{"json", no_argument, &json, 1},
		{"targets", no_argument, &targets, 1},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct listing l = {.pattern = NULL};
	struct pmf_err err = PMF_ERR_INIT;
	int ret = pmf_cli_options(argc, argv, ":h", options, help, NULL, NULL, &err);

	if (ret)
		return pmf_cli_status(ret, &err);
	if (targets && argv[optind])
		return pmf_cli_failf(PMF_EXIT_USAGE,
			"list --targets takes no PATTERN, and '%s' is one", argv[optind]);
	if (targets)
		return list_targets(json);
	if (argc - optind > 1)
		return pmf_cli_failf(PMF_EXIT_USAGE,
			"list takes one PATTERN, and '%s' is a second one: quote a pattern with * "
			"so that the shell leaves it alone",
			argv[optind + 1]);
	l.pattern = argv[optind];
	l.json = json ? json_array() : NULL;
	ret = list(&l);
	json_decref(l.json);
	return ret;
}

const struct pmf_cmd pmf_cmd_list = {
	"list",
	"show the events here: what opens, counts and samples, and why not",
	run,
};
