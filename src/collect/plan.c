/* From the --event arguments to the events of a run. */
#include "pmuflame/collect.h"

#include "pmuflame/mem.h"
#include "pmuflame/perf.h"
#include <stdlib.h>
#include <string.h>

/* The kernel mixes up the samples of one software event that is opened twice: they share one set of
 * data while they are written (do_perf_sw_event in its core.c). Clocks have a timer each. */
static int refuse_twice(const struct pmf_event_list *list, struct pmf_err *err)
{
	for (size_t a = 0; a < list->n; a++) {
		const struct pmf_event *x = &list->events[a];

		if (x->attrs[0].attr.type != PERF_TYPE_SOFTWARE || x->cls == PMF_EVENT_CLOCK)
			continue;
		for (size_t b = a + 1; b < list->n; b++) {
			const struct pmf_event *y = &list->events[b];

			if (y->attrs[0].attr.type == PERF_TYPE_SOFTWARE &&
				y->attrs[0].attr.config == x->attrs[0].attr.config)
				return pmf_err_set(err, PMF_EUSAGE,
					"'%s' and '%s' are the same software event, whose samples "
					"the kernel mixes up when it is open twice: record it once",
					x->spec, y->spec);
		}
	}
	return 0;
}

static int apply_fallback(
	struct pmf_event_list *list, const struct pmf_plan_opts *opts, struct pmf_err *err)
{
	struct pmf_err why = PMF_ERR_INIT;
	bool asked = false, has_pmu = true;

	for (size_t e = 0; e < list->n; e++) {
		struct pmf_event *ev = &list->events[e];

		/* A period of cycles means nothing to a clock. */
		if (!pmf_event_is_plain_cycles(ev) || ev->period)
			continue;
		if (!asked)
			has_pmu = pmf_perf_has_pmu(&why);
		asked = true;
		if (has_pmu)
			continue;
		/* Not permitted, or somebody else's now: that is no reason to count another
		 * thing. */
		if (why.status != PMF_EUNSUP)
			return pmf_err_set(err, why.status, "%s", why.text);
		if (opts->strict)
			return pmf_err_set(err, PMF_EUNSUP,
				"event '%s' cannot be sampled: %s (without --strict, cpu-clock "
				"would stand in for it)",
				ev->spec, why.text);
		pmf_event_fall_back_to_clock(ev, why.text);
	}
	return 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), end_len = strlen(end);

	return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

/* "a: no PMU", "b: no PMU" → "a, b: no PMU": a preset mostly misses all it misses for one reason. */
static void join_dropped(struct pmf_event_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->nr_dropped; i++) {
		const char *why = strstr(list->dropped[i], ": ");
		char *joined;
		size_t k = 0;

		while (why && k < n && !ends_with(list->dropped[k], why))
			k++;
		if (!why || k == n) {
			list->dropped[n++] = list->dropped[i];
			continue;
		}
		joined = pmf_asprintf("%.*s, %.*s%s", (int)(strlen(list->dropped[k]) - strlen(why)),
			list->dropped[k], (int)(why - list->dropped[i]), list->dropped[i], why);

		free(list->dropped[k]);
		free(list->dropped[i]);
		list->dropped[k] = joined;
	}
	list->nr_dropped = n;
}

int pmf_plan_events(
	struct pmf_event_list *list, const struct pmf_plan_opts *opts, struct pmf_err *err)
{
	struct pmf_perf_limits limits;
	int ret = 0;

	pmf_perf_limits_read(&limits);
	for (size_t i = 0; i < opts->nr_specs && ret == 0; i++)
		ret = pmf_event_list_add(list, opts->specs[i], pmf_perf_can_open, NULL, err);
	join_dropped(list);
	if (ret == 0 && opts->strict && list->nr_dropped)
		ret = pmf_err_set(err, PMF_EUNSUP, "--strict: %s", list->dropped[0]);
	for (size_t e = 0; e < list->n && ret == 0; e++)
		ret = pmf_event_default_rate(&list->events[e], opts->period, opts->freq_hz,
			(uint64_t)PMF_MAX(limits.max_rate_hz, 0), err);
	if (ret == 0)
		ret = refuse_twice(list, err);
	if (ret == 0)
		ret = apply_fallback(list, opts, err);
	if (ret == 0 && list->n == 0)
		ret = pmf_err_set(err, PMF_EUNSUP, "none of these events can be sampled here: %s",
			list->nr_dropped ? list->dropped[0] : "no event was named");
	return ret;
}
