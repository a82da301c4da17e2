/* The runs of a sweep, one after the other. */
#include "live.h"
#include "sweep_steps.h"

#include "pmuflame/buf.h"
#include "pmuflame/clock.h"
#include "pmuflame/log.h"
#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In the names of what a run writes until it has succeeded, and in no case's: pmf_file_safe_name() leaves
 * no tilde. */
#define PART ".~part-"

static const char *const suffixes[] = {".out", ".pb.gz"};

struct progress {
	const struct pmf_sweeping *s;
	struct pmf_sweep_at at;
	size_t nr, all; /* of the run; runs */
	uint64_t run_began_ns;
	double *case_s;   /* how long the last run of each case took; 0: not known */
	bool shown, live; /* a line stands there; it may */
};

/* How many runs of case @c are still to come, that in hand among them. */
static size_t runs_left(const struct progress *g, size_t c)
{
	const struct pmf_sweep_plan *plan = &g->s->plan;
	size_t passes = pmf_sweep_plan_passes(plan, &plan->cases[c])->n;
	size_t done = c < g->at.nr ? passes : c == g->at.nr ? g->at.pass : 0;

	return passes * (plan->repeats - g->at.repeat) - done;
}

/* What the runs to come take, by the last one of their case or else by the average; below 0: not known. */
static double seconds_left(const struct progress *g)
{
	double known = 0, left = 0;
	size_t nr_known = 0, nr_other = 0;

	for (size_t c = 0; c < g->s->plan.nr_cases; c++) {
		size_t runs = runs_left(g, c);

		known += g->case_s[c];
		nr_known += g->case_s[c] > 0;
		left += g->case_s[c] * (double)runs;
		nr_other += g->case_s[c] > 0 ? 0 : runs;
	}
	if (!nr_known)
		return -1;
	left += known / (double)nr_known * (double)nr_other;
	left -= (double)(pmf_clock_ns(CLOCK_MONOTONIC) - g->run_began_ns) / 1e9;
	return PMF_MAX(left, 0);
}

static void show(struct progress *g)
{
	struct pmf_buf line = PMF_BUF_INIT;
	double left;

	if (!g->live)
		return;
	left = seconds_left(g);
	pmf_buf_printf(&line, "run %zu of %zu  ", g->nr + 1, g->all);
	if (left >= 100)
		pmf_buf_printf(&line, "%.0f min left  ", left / 60);
	else if (left >= 0)
		pmf_buf_printf(&line, "%.0f s left  ", left);
	pmf_buf_printf(&line, "%s  pass %zu of %zu, repeat %zu of %zu", g->at.what->title,
		g->at.pass + 1, pmf_sweep_plan_passes(&g->s->plan, g->at.what)->n, g->at.repeat + 1,
		g->s->plan.repeats);
	g->shown |= pmf_live_show(pmf_buf_str(&line));
	pmf_buf_release(&line);
}

static int tick(void *ctx)
{
	show(ctx);
	return pmf_live_pass_on();
}

static void clear(struct progress *g)
{
	if (g->shown)
		pmf_live_clear();
	g->shown = false;
}

bool pmf_sweep_has_runs(const struct pmf_sweeping *s)
{
	DIR *dir = opendir(s->runs);
	const struct dirent *e;
	bool any = false;

	while (dir && !any && (e = readdir(dir)))
		any = strstr(e->d_name, ".pb.gz") && !strstr(e->d_name, PART);
	if (dir)
		closedir(dir);
	return any;
}

/* What a sweep that was killed left of its last run. */
static void remove_parts(const struct pmf_sweeping *s)
{
	DIR *dir = opendir(s->runs);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strstr(e->d_name, PART))
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

/* Give the files of run @part the name @name, the profile last: with that the run is finished. */
static int settle(
	const struct pmf_sweeping *s, const char *part, const char *name, struct pmf_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(suffixes); i++) {
		char *from = pmf_asprintf("%s/%s%s", s->runs, part, suffixes[i]);
		char *to = name ? pmf_asprintf("%s/%s%s", s->runs, name, suffixes[i]) : NULL;

		if (!to)
			unlink(from);
		else if (rename(from, to) < 0 && ret == 0)
			ret = pmf_err_errno(err, PMF_EIO, errno, "cannot write '%s'", to);
		free(from);
		free(to);
	}
	return ret;
}

/* What record is told besides the events. free(3) the list; the texts are the plan's. */
static char **record_args(const struct pmf_sweeping *s, const struct pmf_sweep_what *w, size_t *n)
{
	char **args = NULL;
	size_t cap = 0;

	*n = 0;
	for (size_t i = 0; i < s->plan.nr_options; i++)
		PMF_PUSH(args, *n, cap) = s->plan.options[i];
	for (size_t i = 0; i < w->nr_vary; i++) {
		PMF_PUSH(args, *n, cap) = (char *)"--set";
		PMF_PUSH(args, *n, cap) = w->vary[i];
	}
	PMF_PUSH(args, *n, cap) = (char *)"--title";
	PMF_PUSH(args, *n, cap) = w->title;
	return args;
}

static void failed(struct progress *g, struct pmf_sweep_case *c, const struct pmf_measured *m,
	const struct pmf_err *why)
{
	const struct pmf_sweep_what *w = g->at.what;

	c->nr_failed++;
	clear(g);
	if (why->status != PMF_OK)
		pmf_warn("warning: run %zu of '%s' does not count: %s", g->nr + 1, w->title,
			why->text);
	else
		pmf_warn("warning: run %zu of '%s' does not count: it ended with status %d",
			g->nr + 1, w->title, m->status);
}

/* Run it, or take what is there of an earlier call. An error is one that ends the sweep. */
static int do_run(struct pmf_sweeping *s, struct progress *g, bool *hopeless, struct pmf_err *err)
{
	struct pmf_sweep_case *c = &s->result.cases[g->at.nr];
	const struct pmf_passes *passes = pmf_sweep_plan_passes(&s->plan, g->at.what);
	const struct pmf_pass *pass = &passes->items[g->at.pass];
	char *name = pmf_sweep_plan_run_name(&g->at);
	char *part = pmf_asprintf("%s" PART "%ld", name, (long)getpid());
	struct pmf_measure_opts o = {.command = g->at.what->words,
		.target = g->at.what->target,
		.specs = pass->specs,
		.nr_specs = pass->nr_specs,
		.folder = s->runs,
		.name = name,
		.tick = tick,
		.ctx = g};
	struct pmf_err why = PMF_ERR_INIT;
	struct pmf_measured m;
	int ret = s->args.resume ? pmf_measure_load(&m, &o, NULL) : PMF_ENOTFOUND;
	bool loaded = ret == 0, good;
	char **args;

	if (!loaded) {
		if (s->args.resume)
			pmf_measured_release(&m);
		args = record_args(s, g->at.what, &o.nr_record_args);
		o.record_args = args;
		o.name = part;
		g->run_began_ns = pmf_clock_ns(CLOCK_MONOTONIC);
		show(g);
		ret = pmf_measure_run(&m, &o, &why);
		free(args);
	}
	/* Of a run that was stopped the command may say that all is well. */
	good = ret == 0 && m.status == 0 && (loaded || !pmf_live_stopped());
	if (good)
		good = pmf_sweep_add_run(c, g->at.pass, &m, passes->anchor, &why) == 0;
	if (!good && !pmf_live_stopped()) {
		failed(g, c, &m, &why);
		/* Not this command, and not with these options. */
		*hopeless = ret && m.status >= 125 && m.status <= 127;
	}
	s->finished += good;
	ret = loaded ? 0 : settle(s, part, good ? name : NULL, err);
	if (!loaded && good)
		g->case_s[g->at.nr] =
			(double)(pmf_clock_ns(CLOCK_MONOTONIC) - g->run_began_ns) / 1e9;
	if (!s->result.host && m.host && *m.host)
		s->result.host = pmf_strdup(m.host);
	pmf_measured_release(&m);
	free(name);
	free(part);
	return ret;
}

static void add_cases(struct pmf_sweeping *s)
{
	s->result.repeats = s->plan.repeats;
	for (size_t i = 0; i < s->plan.nr_cases; i++) {
		const struct pmf_sweep_what *w = &s->plan.cases[i];
		struct pmf_sweep_case *c =
			pmf_sweep_add_case(&s->result, w->label, w->command, w->target);

		for (size_t v = 0; v < w->nr_vary; v++)
			pmf_sweep_add_vary(c, w->vary[v]);
		s->result.passes = PMF_MAX(s->result.passes, pmf_sweep_plan_passes(&s->plan, w)->n);
	}
}

int pmf_sweep_run(struct pmf_sweeping *s, struct pmf_err *err)
{
	struct progress g = {.s = s, .all = pmf_sweep_plan_runs(&s->plan)};
	bool *hopeless = pmf_calloc(s->plan.nr_cases, sizeof *hopeless);
	struct pmf_live_signals before;
	int ret = 0;

	g.case_s = pmf_calloc(s->plan.nr_cases, sizeof *g.case_s);
	g.live = !s->args.quiet && isatty(STDERR_FILENO);
	add_cases(s);
	remove_parts(s);
	pmf_live_catch(&before);
	for (; ret == 0 && !pmf_live_stopped() && pmf_sweep_plan_at(&s->plan, g.nr, &g.at);
		g.nr++) {
		if (hopeless[g.at.nr])
			s->result.cases[g.at.nr].nr_failed++;
		else
			ret = do_run(s, &g, &hopeless[g.at.nr], err);
	}
	pmf_live_restore(&before);
	/* The last run of a sweep that was killed may have outlived it, and this one's beginning. */
	remove_parts(s);
	clear(&g);
	s->stopped_by = pmf_live_stopped();
	free(g.case_s);
	free(hopeless);
	return ret;
}
