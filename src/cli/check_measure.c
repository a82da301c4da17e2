/* Runs for budgets: as many as a verdict needs. */
#include "check.h"

#include "live.h"
#include "target_name.h"

#include "pmuflame/collect.h"
#include "pmuflame/file.h"
#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include "pmuflame/perf.h"
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Events that are counted in the same runs. */
struct pass {
	char **specs;
	size_t n, cap;
};

struct measuring {
	struct pmf_check *c;
	struct pmf_check_group *g;
	char *folder;
	char *name;              /* of the group, as part of file names */
	bool progress, shown;    /* a line may stand there; it does */
	size_t nr_runs, planned; /* done, and to be done in all as far as is known */
	struct pass *passes;
	size_t n, cap;
	size_t first_pass; /* number of the first of them: those of a plan before keep theirs */
	bool apart;        /* a pass for each budget */
};

static int tick(void *ctx)
{
	(void)ctx;
	return pmf_live_pass_on();
}

/* ---- Which events ---- */

static bool is_event(const struct pmf_target *t, const char *name)
{
	static const char *const others[] = {"s", "seconds", "work"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(others); i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return !(t && t->unit && (strcmp(name, t->unit) == 0 || strcmp(name, t->units) == 0));
}

/* Can the event be counted here, and as itself? */
static int try_event(const struct pmf_check *c, char *spec, struct pmf_err *err)
{
	const struct pmf_plan_opts opts = {.specs = &spec, .nr_specs = 1, .strict = true};
	struct pmf_event_list list;
	struct pmf_perf_try how;
	int ret;

	pmf_event_list_init(&list);
	list.presets = c->config.presets;
	ret = pmf_plan_events(&list, &opts, err);
	for (size_t i = 0; i < list.n && ret == 0; i++) {
		pmf_perf_try_event(&list.events[i], &how);
		if (!how.opens)
			ret = pmf_err_set(
				err, PMF_EUNSUP, "'%s' cannot be counted here: %s", spec, how.why);
	}
	if (ret == PMF_ENOTFOUND)
		pmf_err_prefix(
			err, "'%s' is neither an event nor the unit of a target's work", spec);
	pmf_event_list_release(&list);
	return ret;
}

static void add_spec(struct pass *p, char *spec)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->specs[i], spec) == 0)
			return;
	PMF_PUSH(p->specs, p->n, p->cap) = spec;
}

static struct pass events_of(const struct measuring *m, const struct pmf_check_item *item)
{
	char *names[] = {item->budget->num, item->budget->den};
	struct pass p = {0};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(names) && names[i]; i++)
		if (is_event(m->g->target, names[i]))
			add_spec(&p, names[i]);
	return p;
}

/* Of a budget with an event that cannot be counted, that is the verdict. */
static void try_events(struct measuring *m)
{
	for (size_t i = 0; i < m->g->n; i++) {
		struct pmf_check_item *item = &m->g->items[i];
		struct pass p = events_of(m, item);
		struct pmf_err err = PMF_ERR_INIT;

		for (size_t k = 0; k < p.n && !item->cannot; k++) {
			if (try_event(m->c, p.specs[k], &err))
				pmf_check_cannot(item, "%s", err.text);
		}
		free(p.specs);
	}
}

static void release_passes(struct measuring *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->passes[i].specs);
	free(m->passes);
	m->passes = NULL;
	m->n = m->cap = 0;
}

static bool has_pass(const struct measuring *m, const struct pass *p)
{
	for (size_t i = 0; i < m->n; i++) {
		size_t same = 0;

		while (same < p->n && same < m->passes[i].n &&
			strcmp(m->passes[i].specs[same], p->specs[same]) == 0)
			same++;
		if (same == p->n)
			return true;
	}
	return false;
}

/* All events in one pass, or those of each budget in one of its own, which has two at most. */
static void plan_passes(struct measuring *m)
{
	m->first_pass += m->g->measured->nr_values ? m->n : 0;
	release_passes(m);
	for (size_t i = 0; i < m->g->n; i++) {
		struct pass p;

		if (m->g->items[i].cannot)
			continue;
		p = events_of(m, &m->g->items[i]);
		for (size_t k = 0; k < p.n && m->n && !m->apart; k++)
			add_spec(&m->passes[0], p.specs[k]);
		if (has_pass(m, &p) || (m->n && !m->apart))
			free(p.specs);
		else
			PMF_PUSH(m->passes, m->n, m->cap) = p;
	}
}

/* ---- Runs ---- */

static void show_progress(struct measuring *m)
{
	char *line;

	if (!m->progress)
		return;
	line = pmf_asprintf("%s: run %zu of %zu", m->g->label, m->nr_runs + 1, m->planned);
	m->shown |= pmf_live_show(line);
	free(line);
}

static bool is_multiplexed(const struct pmf_measured *run)
{
	for (size_t i = 0; i < run->nr_counts; i++)
		if (run->counts[i].scale > 1)
			return true;
	return false;
}

static bool wants_shares(const struct pmf_check_group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->items[i].budget->kind == PMF_BUDGET_SHARE)
			return true;
	return false;
}

/* Take what a run counted, if it is what it should be. */
static int take_run(
	struct measuring *m, size_t pass, const struct pmf_measured *run, struct pmf_err *err)
{
	int ret;

	if (run->status)
		return pmf_err_set(err, PMF_EIO, "a run of '%s' ended with status %d", m->g->label,
			run->status);
	/* Too many for the counters at once: such counts are estimates. */
	if (!m->apart && m->passes[pass].n > 1 && is_multiplexed(run)) {
		m->apart = true;
		return 0;
	}
	if (!m->c->result.host)
		m->c->result.host = pmf_strdup(run->host);
	m->c->result.passes = PMF_MAX(m->c->result.passes, m->first_pass + m->n);
	ret = pmf_sweep_add_run(m->g->measured, m->first_pass + pass, run, NULL, err);
	if (ret == 0 && wants_shares(m->g))
		ret = pmf_check_add_shares(m->g, run->profile_path, err);
	return ret;
}

static int run_once(struct measuring *m, size_t pass, struct pmf_err *err)
{
	char strict[] = "--strict", *record_args[] = {strict};
	char *name = pmf_asprintf("%s.%zu", m->name, m->nr_runs + 1);
	const struct pmf_measure_opts opts = {
		.command = m->g->command,
		.target = m->g->target,
		.specs = m->passes[pass].specs,
		.nr_specs = m->passes[pass].n,
		.record_args = record_args,
		.nr_record_args = m->passes[pass].n > 0,
		.folder = m->folder,
		.name = name,
		.tick = tick,
	};
	struct pmf_measured run;
	int ret;

	show_progress(m);
	ret = pmf_measure_run(&run, &opts, err);
	if (pmf_live_stopped())
		ret = pmf_err_set(err, PMF_EIO, "stopped by signal %d", pmf_live_stopped());
	else if (ret == 0)
		ret = take_run(m, pass, &run, err);
	m->nr_runs++;
	pmf_measured_release(&run);
	free(name);
	return ret;
}

/* ---- Groups ---- */

void pmf_check_cannot(struct pmf_check_item *item, const char *fmt, ...)
{
	struct pmf_buf why = PMF_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(&why, fmt, ap);
	va_end(ap);
	pmf_verdict_release(&item->verdict);
	item->cannot = true;
	item->verdict.kind = PMF_VERDICT_UNKNOWN;
	item->verdict.why = pmf_buf_detach(&why);
}

void pmf_check_judge(const struct pmf_check *c, struct pmf_check_group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		struct pmf_check_item *item = &g->items[i];
		/* What is saved as the baseline is compared with itself, which shows its noise. */
		const struct pmf_sweep_case *base = c->save_baseline ? g->measured : item->baseline;

		if (item->cannot)
			continue;
		pmf_verdict_release(&item->verdict);
		pmf_budget_judge(&item->verdict, item->budget, g->measured, base, item->shares,
			item->nr_shares);
	}
}

static bool may_learn_more(const struct pmf_check_group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (!g->items[i].cannot && g->items[i].verdict.unsure)
			return true;
	return false;
}

static int measure_group(struct measuring *m, struct pmf_err *err)
{
	size_t want = m->c->repeat, done = 0, pass = 0;
	bool apart = false;
	int ret = 0;

	try_events(m);
	plan_passes(m);
	while (ret == 0 && m->n && done < want) {
		m->planned = m->nr_runs + (want - done) * m->n - pass;
		ret = run_once(m, pass++, err);
		if (m->apart != apart) {
			apart = m->apart;
			plan_passes(m);
			pass = 0;
		}
		if (pass == m->n) {
			pass = 0;
			done++;
		}
		if (ret || done < want)
			continue;
		pmf_check_judge(m->c, m->g);
		if (may_learn_more(m->g))
			want = PMF_MIN(2 * want, m->c->max_repeat);
	}
	release_passes(m);
	return ret;
}

/* No run, no verdict. */
static void give_up(struct pmf_check_group *g, const struct pmf_err *err)
{
	g->failed = true;
	for (size_t i = 0; i < g->n; i++)
		if (!g->items[i].cannot)
			pmf_check_cannot(&g->items[i], "%s", err->text);
}

static void measure_groups(struct pmf_check *c, char *folder)
{
	for (size_t i = 0; i < c->n && !pmf_live_stopped(); i++) {
		struct pmf_err err = PMF_ERR_INIT;
		struct measuring m = {.c = c,
			.g = &c->groups[i],
			.folder = folder,
			.name = pmf_target_file_name(c->groups[i].label),
			.progress = isatty(STDERR_FILENO)};

		if (measure_group(&m, &err))
			give_up(m.g, &err);
		if (m.shown)
			pmf_live_clear();
		free(m.name);
	}
}

/* ---- The folder of the runs ---- */

static int make_folder(const struct pmf_check *c, char **folder, struct pmf_err *err)
{
	const char *tmp = getenv("TMPDIR");

	if (c->folder) {
		*folder = pmf_strdup(c->folder);
		return pmf_outfolder_make(c->folder, err);
	}
	*folder = pmf_asprintf("%s/pmuflame-check-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(*folder))
		return pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"cannot make the folder '%s' for the runs", *folder);
	return 0;
}

static void remove_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(folder);
}

int pmf_check_measure(struct pmf_check *c, int *sig, struct pmf_err *err)
{
	struct pmf_live_signals before;
	char *folder;
	int ret = make_folder(c, &folder, err);

	c->result.repeats = c->repeat;
	c->result.start_unix_ns = (uint64_t)time(NULL) * 1000000000;
	pmf_live_catch(&before);
	if (ret == 0)
		measure_groups(c, folder);
	if (ret == 0 && !c->folder)
		remove_folder(folder);
	else if (ret == 0 && !pmf_live_stopped())
		ret = pmf_sweep_save(&c->result, folder, err);
	pmf_live_restore(&before);
	*sig = pmf_live_stopped();
	free(folder);
	return ret;
}
