/* From the --event arguments to the events of a run. */
#include "pmuflame/collect.h"

#include "pmuflame/mem.h"
#include "pmuflame/perf.h"
#include <string.h>

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
				"would "
				"stand in for it)",
				ev->spec, why.text);
		pmf_event_fall_back_to_clock(ev, why.text);
	}
	return 0;
}

int pmf_plan_events(
	struct pmf_event_list *list, const struct pmf_plan_opts *opts, struct pmf_err *err)
{
	struct pmf_perf_limits limits;
	int ret = 0;

	pmf_perf_limits_read(&limits);
	for (size_t i = 0; i < opts->nr_specs && ret == 0; i++)
		ret = pmf_event_list_add(list, opts->specs[i], pmf_perf_can_open, NULL, err);
	if (ret == 0 && opts->strict && list->nr_dropped)
		ret = pmf_err_set(err, PMF_EUNSUP, "--strict: %s", list->dropped[0]);
	for (size_t e = 0; e < list->n && ret == 0; e++)
		ret = pmf_event_default_rate(&list->events[e], opts->period, opts->freq_hz,
			(uint64_t)PMF_MAX(limits.max_rate_hz, 0), err);
	if (ret == 0)
		ret = apply_fallback(list, opts, err);
	if (ret == 0 && list->n == 0)
		ret = pmf_err_set(err, PMF_EUNSUP, "none of these events can be sampled here: %s",
			list->nr_dropped ? list->dropped[0] : "no event was named");
	return ret;
}
