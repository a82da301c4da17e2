/* Whether runs keep to a budget, as far as their noise lets that be told (docs/adr/0019). */
#include "pmuflame/budget.h"

#include "pmuflame/mem.h"
#include "pmuflame/profile.h"
#include "pmuflame/stats.h"
#include "pmuflame/sweep.h"
#include "pmuflame/table.h"
#include "pmuflame/units.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Shares ---- */

/* "name (file.py:12)" is what Python's functions are called, also as "name (file.py)" and "name". */
static bool is_python_name(const char *shown, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(shown, name, len) == 0 && strncmp(shown + len, " (", 2) == 0)
		return true;
	return len > 1 && name[len - 1] == ')' && strncmp(shown, name, len - 1) == 0 &&
	       shown[len - 1] == ':';
}

static bool is_function(
	const struct pmf_budget *b, const struct pmf_tree *t, const struct pmf_func *fn)
{
	const char *name = pmf_tree_string(t, fn->name);

	if (!pmf_frame_is_code(fn->kind) && fn->kind != PMF_FRAME_SPECIAL)
		return false;
	if (b->pattern)
		return pmf_regex_match(b->pattern, name, strlen(name));
	return strcmp(name, b->function) == 0 ||
	       strcmp(pmf_tree_string(t, fn->label), b->function) == 0 ||
	       (fn->kind == PMF_FRAME_PYTHON && is_python_name(name, b->function));
}

static int event_of(const struct pmf_profile *p, const char *name)
{
	for (size_t e = 0; e < p->nr_events; e++)
		if (p->events[e].label && strcmp(p->events[e].label, name) == 0)
			return (int)e;
	return -1;
}

int pmf_budget_share(struct pmf_share *out, const struct pmf_budget *b, const struct pmf_tree *t,
	struct pmf_err *err)
{
	/* pmf_share_error() is at 95 %, 1.96 standard errors; PMF_BUDGET_LEVEL is 3.29. */
	const double wider = 3.29 / 1.96;
	int e = event_of(t->profile, b->num);
	double inside = 0, all = e < 0 ? 0 : pmf_tree_total(t, (size_t)e, 0);
	bool *is, *below;

	if (!(all > 0))
		return pmf_err_set(err, PMF_ENOTFOUND,
			e < 0 ? "the run has no event '%s'" : "'%s' counted nothing in the run",
			b->num);
	is = pmf_calloc(t->nr_funcs, sizeof *is);
	below = pmf_calloc(t->nr_nodes, sizeof *below);
	out->found = false;
	for (size_t f = 0; f < t->nr_funcs; f++) {
		is[f] = is_function(b, t, &t->funcs[f]);
		out->found |= is[f];
	}
	/* Parents stand before their children. */
	for (uint32_t i = 1; i < t->nr_nodes; i++) {
		below[i] = below[t->nodes[i].parent] || is[t->nodes[i].func];
		if (below[i])
			inside += pmf_tree_self(t, (size_t)e, i);
	}
	out->share = inside / all;
	out->error = wider * pmf_share_error(out->share, pmf_tree_effective_samples(t, (size_t)e));
	free(is);
	free(below);
	return 0;
}

/* ---- Values ---- */

static void unknown(struct pmf_verdict *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void unknown(struct pmf_verdict *v, const char *fmt, ...)
{
	struct pmf_buf why = PMF_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(&why, fmt, ap);
	va_end(ap);
	free(v->why);
	v->why = pmf_buf_detach(&why);
	v->kind = PMF_VERDICT_UNKNOWN;
	v->unsure = false;
}

/* What a name stands for in a case. */
struct quantity {
	double factor; /* to seconds, of a time; else 1 */
	bool is_time, is_seconds, is_work;
};

/* A count that stands for more than was counted is an estimate, and its error is not in its spread. */
static bool is_multiplexed(const struct pmf_sweep_case *c, const char *name)
{
	for (size_t i = 0; i < c->nr_values; i++)
		if (strcmp(c->values[i].name, name) == 0 && c->values[i].scale > 1)
			return true;
	return false;
}

static int look_up(
	struct quantity *q, const struct pmf_sweep_case *c, const char *name, struct pmf_err *err)
{
	struct pmf_sweep_series s;
	int ret;

	*q = (struct quantity){.factor = 1};
	if (!name)
		return 0;
	ret = pmf_sweep_series(&s, c, name, NULL, PMF_BUDGET_LEVEL, err);
	if (ret)
		return ret;
	q->is_seconds = strcmp(s.unit, "s") == 0;
	q->is_time = q->is_seconds || strcmp(s.unit, "ns") == 0;
	q->factor = q->is_time && !q->is_seconds ? 1e-9 : 1;
	q->is_work = c->unit && strcmp(s.unit, c->unit) == 0;
	pmf_sweep_series_release(&s);
	if (is_multiplexed(c, name))
		return pmf_err_set(err, PMF_ELIMIT,
			"'%s' shared its counter with others, so that its count is an estimate: "
			"measure fewer events at a time",
			name);
	return 0;
}

/* What b->num and b->den stand for; whether a value of them can have the limit that was written. */
static int look_up_both(struct quantity q[2], bool *is_time, const struct pmf_budget *b,
	const struct pmf_sweep_case *c, struct pmf_err *err)
{
	int ret = look_up(&q[0], c, b->num, err);

	if (ret == 0)
		ret = look_up(&q[1], c, b->den, err);
	if (ret)
		return ret;
	*is_time = q[0].is_time && !q[1].is_time;
	if (b->kind == PMF_BUDGET_REGRESS)
		return 0;
	if (b->written == PMF_LIMIT_TIME && !*is_time)
		return pmf_err_set(
			err, PMF_EUSAGE, "the limit is a time, and what it limits is none");
	if (b->written == PMF_LIMIT_PERCENT && *is_time)
		return pmf_err_set(err, PMF_EUSAGE,
			"the limit is a percentage of a time: write it with ns, us, ms or s");
	if (b->written == PMF_LIMIT_NUMBER && *is_time && !q[0].is_seconds)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' is a time: write its limit with ns, us, ms or s", b->num);
	return 0;
}

/* Is @value on the right side? */
static bool keeps(const struct pmf_budget *b, double value)
{
	if (value == b->limit)
		return b->or_equal;
	return b->at_most == (value < b->limit);
}

/* With value, low and high set. Where the interval holds the limit, the median tells; of a regression,
 * nothing does. */
static void decide(struct pmf_verdict *v, const struct pmf_budget *b)
{
	bool low = keeps(b, v->low), high = keeps(b, v->high), met = low;

	v->unsure = low != high;
	if (v->unsure)
		met = b->kind == PMF_BUDGET_REGRESS || keeps(b, v->value);
	v->kind = met ? PMF_VERDICT_MET : PMF_VERDICT_MISSED;
}

static void judge_values(
	struct pmf_verdict *v, const struct pmf_budget *b, const struct pmf_sweep_case *now)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_sweep_series s;
	struct quantity q[2];
	double factor;

	if (look_up_both(q, &v->is_time, b, now, &err) ||
		pmf_sweep_series(&s, now, b->num, b->den, PMF_BUDGET_LEVEL, &err)) {
		unknown(v, "%s", err.text);
		return;
	}
	factor = q[0].factor / q[1].factor;
	v->n = s.stats.n;
	v->value = s.stats.median * factor;
	/* Nothing that is counted is below 0, whatever a bell-shaped curve says. */
	v->low = s.stats.n > 1 ? PMF_MAX(s.stats.low, 0) * factor : -INFINITY;
	v->high = s.stats.high * factor;
	pmf_sweep_series_release(&s);
	decide(v, b);
}

static void judge_shares(
	struct pmf_verdict *v, const struct pmf_budget *b, const struct pmf_share *shares, size_t n)
{
	double *values = pmf_calloc(n, sizeof *values);
	struct pmf_stats stats;
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		values[i] = shares[i].share;
		found |= shares[i].found;
	}
	pmf_stats_of(&stats, values, n, PMF_BUDGET_LEVEL);
	free(values);
	v->n = n;
	v->value = stats.median;
	v->low = stats.low;
	v->high = stats.high;
	/* Nought and one are no counts that could be off by a fraction. */
	if (n > 1 && !(stats.sd > 0))
		v->low = v->high = v->value;
	if (n == 1 && shares[0].error > 0) {
		v->low = v->value - shares[0].error;
		v->high = v->value + shares[0].error;
	}
	if (isfinite(v->low)) {
		v->low = PMF_MAX(v->low, 0);
		v->high = PMF_MIN(v->high, 1);
	}
	if (n == 0)
		unknown(v, "no profile tells what '%s' spent", b->function);
	else
		decide(v, b);
	if (n && !found)
		v->why = pmf_asprintf(
			"no sample has a function '%s': is that its name?", b->function);
}

/* ---- Regressions ---- */

/* The change between runs and one run: that one is as noisy as they are. */
static void change_of_one(
	struct pmf_change *c, double base, double now, const double *many, size_t n)
{
	struct pmf_stats s;
	double half;

	pmf_stats_of(&s, many, n, PMF_BUDGET_LEVEL);
	/* A mean's interval has 1/n of the variance, a difference of one more from it 1 + 1/n. */
	half = (s.high - s.mean) * sqrt((double)n + 1);
	*c = (struct pmf_change){now / base - 1, (now - half) / base - 1, (now + half) / base - 1};
}

static int change_of(struct pmf_change *c, const struct pmf_sweep_series *base,
	const struct pmf_sweep_series *now, struct pmf_err *err)
{
	double from = base->stats.mean, to = now->stats.mean;

	if (!base->paired || !now->paired)
		return pmf_err_set(err, PMF_EUSAGE,
			"its two events were never counted in the same run, so no change can be told");
	if (!(from > 0)) {
		*c = (struct pmf_change){0, 0, 0};
		return to > 0 ? pmf_err_set(err, PMF_EUSAGE,
					"it was 0 in the baseline, of which there is no percentage")
			      : 0;
	}
	if (base->n > 1 && now->n > 1)
		return pmf_stats_change(
			c, base->values, base->n, now->values, now->n, PMF_BUDGET_LEVEL);
	if (base->n == 1 && now->n == 1)
		return pmf_err_set(err, PMF_EUSAGE,
			"one run before and one now do not tell a change from noise: repeat either");
	if (base->n == 1)
		change_of_one(c, from, to, now->values, now->n);
	else
		change_of_one(c, from, to, base->values, base->n);
	return 0;
}

static void judge_change(struct pmf_verdict *v, const struct pmf_budget *b,
	const struct pmf_sweep_case *now, const struct pmf_sweep_case *base)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_sweep_series s[2] = {0};
	struct quantity q[2];
	struct pmf_change change = {0};
	const char *num = b->num, *den = b->den;
	bool is_time;
	int ret = look_up_both(q, &is_time, b, now, &err);

	/* More work per second is no regression: then it is time per work that may not grow. */
	if (ret == 0 && q[0].is_work && den) {
		num = b->den;
		den = b->num;
	}
	if (ret == 0)
		ret = pmf_sweep_series(&s[1], now, num, den, PMF_BUDGET_LEVEL, &err);
	if (ret == 0) {
		ret = look_up_both(q, &is_time, b, base, &err);
		if (ret == 0)
			ret = pmf_sweep_series(&s[0], base, num, den, PMF_BUDGET_LEVEL, &err);
		if (ret)
			pmf_err_prefix(&err, "in the baseline");
	}
	if (ret == 0)
		ret = change_of(&change, &s[0], &s[1], &err);
	if (ret) {
		unknown(v, "%s", err.text);
	} else {
		v->n = s[1].n;
		v->n_base = s[0].n;
		v->value = change.ratio;
		v->low = change.low;
		v->high = change.high;
		decide(v, b);
	}
	pmf_sweep_series_release(&s[0]);
	pmf_sweep_series_release(&s[1]);
}

void pmf_budget_judge(struct pmf_verdict *v, const struct pmf_budget *b,
	const struct pmf_sweep_case *now, const struct pmf_sweep_case *base,
	const struct pmf_share *shares, size_t nr_shares)
{
	*v = (struct pmf_verdict){.value = NAN, .low = -INFINITY, .high = INFINITY};
	if (b->kind == PMF_BUDGET_SHARE)
		judge_shares(v, b, shares, nr_shares);
	else if (b->kind == PMF_BUDGET_VALUE)
		judge_values(v, b, now);
	else if (base)
		judge_change(v, b, now, base);
	else
		unknown(v, "there is no baseline to compare with: --baseline FILE, and "
			   "--save-baseline makes one");
}

void pmf_verdict_release(struct pmf_verdict *v)
{
	free(v->why);
	memset(v, 0, sizeof *v);
}

/* ---- Text ---- */

const char *pmf_verdict_name(enum pmf_verdict_kind kind)
{
	static const char *const names[] = {[PMF_VERDICT_MET] = "met",
		[PMF_VERDICT_MISSED] = "missed",
		[PMF_VERDICT_UNKNOWN] = "unknown"};

	return names[kind];
}

static void add_number(
	const struct pmf_verdict *v, const struct pmf_budget *b, double n, struct pmf_buf *out)
{
	char text[PMF_UNITS_MAX];

	if (b->written == PMF_LIMIT_PERCENT)
		pmf_buf_printf(out, b->kind == PMF_BUDGET_REGRESS ? "%+.2f%%" : "%.2f%%", 100 * n);
	else if (v->is_time)
		pmf_buf_printf(out, n < 1 ? "%.4g ms" : "%.4g s", n < 1 ? 1e3 * n : n);
	else if (n >= 1000 && n < 1e18)
		pmf_buf_addstr(out, pmf_format_count(text, (uint64_t)(n + 0.5)));
	else
		pmf_buf_printf(out, "%.4g", n);
}

void pmf_verdict_describe(
	const struct pmf_verdict *v, const struct pmf_budget *b, struct pmf_buf *out)
{
	bool known = isfinite(v->low) && isfinite(v->high);

	if (v->kind != PMF_VERDICT_UNKNOWN) {
		add_number(v, b, v->value, out);
		pmf_buf_addstr(out, " (");
		if (known) {
			add_number(v, b, v->low, out);
			pmf_buf_addstr(out, " to ");
			add_number(v, b, v->high, out);
			pmf_buf_addstr(out, " in ");
		}
		pmf_buf_printf(out, "%zu run%s", v->n, v->n == 1 ? "" : "s");
		if (v->n_base)
			pmf_buf_printf(out, ", baseline %zu", v->n_base);
		pmf_buf_addstr(out, known && v->unsure ? "), within noise"
				    : known            ? ")"
				    : v->n > 1         ? ", too different to tell)"
						       : ", whose noise is not known)");
	}
	if (v->why)
		pmf_buf_printf(out, "%s%s", v->kind == PMF_VERDICT_UNKNOWN ? "" : "; ", v->why);
}
