/* What a sweep's runs counted, kept by case and pass, and what that says of a quantity. */
#include "sweep_summary_priv.h"

#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void release_case(struct pmf_sweep_case *c)
{
	for (size_t i = 0; i < c->nr_values; i++) {
		free(c->values[i].name);
		free(c->values[i].unit);
		free(c->values[i].values);
	}
	free(c->values);
	pmf_free_strings(c->vary, c->nr_vary);
	free(c->target);
	free(c->command);
	free(c->unit);
	free(c->units);
}

void pmf_sweep_release(struct pmf_sweep_result *r)
{
	for (size_t i = 0; i < r->nr_cases; i++)
		release_case(&r->cases[i]);
	for (size_t i = 0; i < r->nr_skipped; i++) {
		free(r->skipped[i].event);
		free(r->skipped[i].why);
	}
	free(r->cases);
	free(r->skipped);
	pmf_free_strings(r->notes, r->nr_notes);
	free(r->host);
	memset(r, 0, sizeof *r);
}

struct pmf_sweep_case *pmf_sweep_add_case(struct pmf_sweep_result *r, const char *target,
	const char *command, const struct pmf_target *t)
{
	struct pmf_sweep_case *c = &PMF_PUSH(r->cases, r->nr_cases, r->cap_cases);

	*c = (struct pmf_sweep_case){.target = pmf_strdup(target)};
	if (command)
		c->command = pmf_strdup(command);
	if (t && t->unit) {
		c->unit = pmf_strdup(t->unit);
		c->units = pmf_strdup(t->units);
	}
	return c;
}

void pmf_sweep_add_vary(struct pmf_sweep_case *c, const char *key_value)
{
	PMF_PUSH(c->vary, c->nr_vary, c->cap_vary) = pmf_strdup(key_value);
}

struct pmf_sweep_value *sweep_find(
	const struct pmf_sweep_case *c, const char *name, const size_t *pass)
{
	for (size_t i = 0; i < c->nr_values; i++)
		if (strcmp(c->values[i].name, name) == 0 && (!pass || c->values[i].pass == *pass))
			return &c->values[i];
	return NULL;
}

static bool counted(const struct pmf_measured *m, const char *event)
{
	for (size_t i = 0; i < m->nr_counts; i++)
		if (strcmp(m->counts[i].event, event) == 0)
			return true;
	return false;
}

/* Did @m count what the runs of @pass before it did, if there are any? */
static bool same_events(const struct pmf_sweep_case *c, size_t pass, const struct pmf_measured *m)
{
	if (!sweep_find(c, PMF_SWEEP_SECONDS, &pass))
		return true;
	for (size_t i = 0; i < m->nr_counts; i++)
		if (!sweep_find(c, m->counts[i].event, &pass))
			return false;
	for (size_t i = 0; i < c->nr_values; i++) {
		const struct pmf_sweep_value *v = &c->values[i];

		if (v->pass == pass && strcmp(v->name, PMF_SWEEP_SECONDS) != 0 &&
			strcmp(v->name, PMF_SWEEP_WORK) != 0 && !counted(m, v->name))
			return false;
	}
	return true;
}

static struct pmf_sweep_value *add_number(
	struct pmf_sweep_case *c, size_t pass, const char *name, const char *unit, double number)
{
	struct pmf_sweep_value *v = sweep_find(c, name, &pass);

	if (!v) {
		v = &PMF_PUSH(c->values, c->nr_values, c->cap_values);
		*v = (struct pmf_sweep_value){.name = pmf_strdup(name),
			.unit = pmf_strdup(unit),
			.pass = pass,
			.scale = 1};
	}
	PMF_PUSH(v->values, v->n, v->cap) = number;
	return v;
}

int pmf_sweep_add_run(struct pmf_sweep_case *c, size_t pass, const struct pmf_measured *m,
	const char *anchor, struct pmf_err *err)
{
	size_t runs;

	if (c->unit && !(m->work > 0))
		return pmf_err_set(err, PMF_EFORMAT,
			"a run of '%s' does not say how many %s it did", c->target, c->units);
	if (!same_events(c, pass, m))
		return pmf_err_set(err, PMF_EFORMAT,
			"a run of '%s' counted other events than those before it in pass %zu",
			c->target, pass + 1);
	runs = add_number(c, pass, PMF_SWEEP_SECONDS, "s", m->seconds)->n;
	if (c->unit)
		add_number(c, pass, PMF_SWEEP_WORK, c->unit, m->work);
	for (size_t i = 0; i < m->nr_counts; i++) {
		const struct pmf_count *count = &m->counts[i];
		struct pmf_sweep_value *v = sweep_find(c, count->event, &pass);

		if (v && v->n == runs)
			continue; /* the same event twice in a run */
		v = add_number(c, pass, count->event, count->unit, count->count);
		v->scale = PMF_MAX(v->scale, count->scale);
		v->anchor = anchor && strcmp(anchor, count->event) == 0;
	}
	return 0;
}

void pmf_sweep_skip(struct pmf_sweep_result *r, const char *event, const char *why)
{
	PMF_PUSH(r->skipped, r->nr_skipped, r->cap_skipped) =
		(struct pmf_sweep_skipped){pmf_strdup(event), pmf_strdup(why)};
}

bool pmf_sweep_skipped_alike(const struct pmf_sweep_result *r, size_t i, struct pmf_buf *names)
{
	enum { NAMED = 6 };
	size_t n = 0;

	for (size_t k = 0; k < r->nr_skipped; k++) {
		if (strcmp(r->skipped[k].why, r->skipped[i].why) != 0)
			continue;
		if (k < i)
			return false;
		if (n++ < NAMED)
			pmf_buf_printf(names, "%s%s", n > 1 ? ", " : "", r->skipped[k].event);
	}
	if (n > NAMED)
		pmf_buf_printf(names, " and %zu more", n - NAMED);
	return true;
}

void pmf_sweep_note(struct pmf_sweep_result *r, const char *fmt, ...)
{
	struct pmf_buf text = PMF_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < r->nr_notes; i++)
		if (strcmp(r->notes[i], pmf_buf_str(&text)) == 0) {
			pmf_buf_release(&text);
			return;
		}
	PMF_PUSH(r->notes, r->nr_notes, r->cap_notes) = pmf_buf_detach(&text);
}

/* ---- Series ---- */

/* The quantity that a user calls @name, as in the values; NULL, with what there is in @err. */
static const struct pmf_sweep_value *quantity(
	const struct pmf_sweep_case *c, const char *name, struct pmf_err *err)
{
	const struct pmf_sweep_value *v = sweep_find(c, name, NULL);
	struct pmf_buf known = PMF_BUF_INIT;

	if (!v && strcmp(name, "s") == 0)
		v = sweep_find(c, PMF_SWEEP_SECONDS, NULL);
	if (!v && c->unit && (strcmp(name, c->unit) == 0 || strcmp(name, c->units) == 0))
		v = sweep_find(c, PMF_SWEEP_WORK, NULL);
	if (v)
		return v;
	for (size_t i = 0; i < c->nr_values; i++)
		if (sweep_find(c, c->values[i].name, NULL) == &c->values[i])
			pmf_buf_printf(&known, "%s%s", i ? ", " : "", c->values[i].name);
	pmf_err_set(err, PMF_ENOTFOUND, "'%s' was not measured of '%s': there is %s", name,
		c->target, known.len ? known.data : "nothing, for no run succeeded");
	pmf_buf_release(&known);
	return NULL;
}

/* Add all values called @name, of every pass. */
static void collect(struct pmf_sweep_series *s, const struct pmf_sweep_case *c, const char *name)
{
	for (size_t i = 0; i < c->nr_values; i++)
		for (size_t j = 0; strcmp(c->values[i].name, name) == 0 && j < c->values[i].n; j++)
			PMF_PUSH(s->values, s->n, s->cap) = c->values[i].values[j];
}

/* The ratios of the runs that have both. False where @per is 0 in one. */
static bool divide(
	struct pmf_sweep_series *s, const struct pmf_sweep_case *c, const char *of, const char *per)
{
	for (size_t i = 0; i < c->nr_values; i++) {
		const struct pmf_sweep_value *v = &c->values[i], *w;

		w = strcmp(v->name, of) == 0 ? sweep_find(c, per, &v->pass) : NULL;
		for (size_t j = 0; w && j < PMF_MIN(v->n, w->n); j++) {
			if (!(w->values[j] > 0))
				return false;
			PMF_PUSH(s->values, s->n, s->cap) = v->values[j] / w->values[j];
		}
	}
	return true;
}

/* The ratio of two quantities that no run had both of. */
static bool divide_apart(struct pmf_stats *out, const struct pmf_sweep_case *c, const char *of,
	const char *per, double level)
{
	struct pmf_sweep_series a = {0}, b = {0};
	struct pmf_change change = {.low = -INFINITY, .high = INFINITY};
	struct pmf_stats sa, sb;
	bool possible;

	collect(&a, c, of);
	collect(&b, c, per);
	pmf_stats_of(&sa, a.values, a.n, level);
	pmf_stats_of(&sb, b.values, b.n, level);
	possible = sb.mean > 0 && sb.median > 0;
	pmf_stats_change(&change, b.values, b.n, a.values, a.n, level);
	*out = (struct pmf_stats){.n = PMF_MIN(a.n, b.n),
		.median = sa.median / sb.median,
		.mean = sa.mean / sb.mean,
		.sd = NAN,
		.min = NAN,
		.max = NAN,
		.low = change.low + 1,
		.high = change.high + 1};
	pmf_sweep_series_release(&a);
	pmf_sweep_series_release(&b);
	return possible;
}

int pmf_sweep_series(struct pmf_sweep_series *s, const struct pmf_sweep_case *c, const char *of,
	const char *per, double level, struct pmf_err *err)
{
	const struct pmf_sweep_value *v = quantity(c, of, err), *w;
	bool possible;

	*s = (struct pmf_sweep_series){.paired = true};
	if (!v)
		return PMF_ENOTFOUND;
	if (!per) {
		collect(s, c, v->name);
		pmf_stats_of(&s->stats, s->values, s->n, level);
		s->unit = pmf_strdup(v->unit);
		return 0;
	}
	w = quantity(c, per, err);
	if (!w)
		return PMF_ENOTFOUND;
	possible = divide(s, c, v->name, w->name);
	s->paired = s->n > 0;
	if (possible && s->paired)
		pmf_stats_of(&s->stats, s->values, s->n, level);
	else if (possible)
		possible = divide_apart(&s->stats, c, v->name, w->name, level);
	if (!possible) {
		pmf_sweep_series_release(s);
		return pmf_err_set(
			err, PMF_EUSAGE, "'%s' cannot be divided by '%s', which was 0", of, per);
	}
	s->unit = pmf_asprintf("%s/%s", v->unit, w->unit);
	return 0;
}

void pmf_sweep_series_release(struct pmf_sweep_series *s)
{
	free(s->values);
	free(s->unit);
	memset(s, 0, sizeof *s);
}
