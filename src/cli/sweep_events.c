/* Which events a sweep can count here. */
#include "sweep_steps.h"

#include "cli.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/perf.h"
#include <stdlib.h>
#include <string.h>

/* Presets and targets have events in common: one reason is enough. */
static void skip(struct pmf_sweep_result *r, const char *event, const char *why)
{
	for (size_t i = 0; i < r->nr_skipped; i++)
		if (strcmp(r->skipped[i].event, event) == 0)
			return;
	pmf_sweep_skip(r, event, why);
}

/* "SPEC: why", as event lists keep it. */
static void skip_dropped(struct pmf_sweep_result *r, const char *text)
{
	const char *colon = strstr(text, ": ");
	char *spec = pmf_strndup(text, colon ? (size_t)(colon - text) : strlen(text));

	skip(r, spec, colon ? colon + 2 : "");
	free(spec);
}

/* The place in @list of what counts the same as @ev; its end if nothing does. */
static size_t place_of(const struct pmf_event_list *list, const struct pmf_event *ev)
{
	size_t i = 0;

	while (i < list->n && !pmf_event_same(&list->events[i], ev))
		i++;
	return i;
}

/* Can all of @more, a SPEC's events, be measured beside those of @list? */
static bool can_add(
	const struct pmf_event_list *list, const struct pmf_event_list *more, struct pmf_err *why)
{
	for (size_t i = 0; i < more->n; i++) {
		size_t same = place_of(list, &more->events[i]);

		if (same < list->n) {
			pmf_err_set(why, PMF_EUSAGE, "it counts the same as '%s'",
				list->events[same].spec);
			return false;
		}
		if (!pmf_perf_can_open(NULL, &more->events[i], why))
			return false;
	}
	return true;
}

static void move_event(struct pmf_event_list *to, struct pmf_event *ev)
{
	PMF_PUSH(to->events, to->n, to->cap) = *ev;
	memset(ev, 0, sizeof *ev);
}

/* Add what @spec, one of a list, stands for; what cannot be measured goes to @r. */
static int add_spec(struct pmf_event_list *list, const char *spec, struct pmf_sweep_result *r,
	struct pmf_err *err)
{
	bool preset = spec[strspn(spec, " \t\n")] == '@';
	struct pmf_err why = PMF_ERR_INIT;
	struct pmf_event_list more;
	int ret;

	pmf_event_list_init(&more);
	more.presets = list->presets;
	more.nr_groups = list->nr_groups;
	ret = pmf_event_list_add(&more, spec, pmf_perf_can_open, NULL, &why);
	if (ret == PMF_EUSAGE || (preset && ret == PMF_ENOTFOUND)) {
		pmf_event_list_release(&more);
		return pmf_err_set(err, PMF_EUSAGE, "%s", why.text);
	}
	for (size_t i = 0; i < more.nr_dropped; i++)
		skip_dropped(r, more.dropped[i]);
	if (preset && ret == 0) {
		for (size_t i = 0; i < more.n; i++)
			if (place_of(list, &more.events[i]) == list->n)
				move_event(list, &more.events[i]);
	} else if (ret == 0 && can_add(list, &more, &why)) {
		for (size_t i = 0; i < more.n; i++)
			move_event(list, &more.events[i]);
		list->nr_groups = more.nr_groups;
	} else {
		skip(r, spec, pmf_cli_short_reason(why.text));
	}
	pmf_event_list_release(&more);
	return 0;
}

struct walk {
	struct pmf_event_list *list;
	struct pmf_sweep_result *result;
	bool has_pmu;
};

/* Of no use to a sweep: another name of what is there already, or no event that ever happens. */
static bool is_idle(const struct pmf_event_list *list, const struct pmf_event *ev)
{
	return place_of(list, ev) < list->n ||
	       (ev->cls == PMF_EVENT_OTHER && ev->attrs[0].attr.type == PERF_TYPE_SOFTWARE);
}

static int add_known(void *ctx, const struct pmf_event_info *info)
{
	struct walk *w = ctx;
	struct pmf_event_list one;
	struct pmf_err err = PMF_ERR_INIT;

	if (strcmp(info->kind, "tracepoint") == 0 ||
		(!w->has_pmu && strcmp(info->kind, "libpfm4") == 0))
		return 0;
	pmf_event_list_init(&one);
	if (pmf_event_list_add(&one, info->name, NULL, NULL, NULL) ||
		!is_idle(w->list, &one.events[0]))
		if (add_spec(w->list, info->name, w->result, &err))
			skip(w->result, info->name, err.text);
	pmf_event_list_release(&one);
	return 0;
}

static int add_list(struct pmf_event_list *list, const char *arg, struct pmf_sweep_result *r,
	struct pmf_err *err)
{
	int ret = 0;

	while (*arg && ret == 0) {
		size_t len = pmf_event_spec_len(arg);
		char *spec = pmf_strndup(arg, len);

		ret = add_spec(list, spec, r, err);
		free(spec);
		arg += len + (arg[len] == ',');
	}
	return ret;
}

int pmf_sweep_events(struct pmf_event_list *list, const struct pmf_sweep_args *a,
	char *const *specs, size_t nr_specs, struct pmf_sweep_result *r, struct pmf_err *err)
{
	struct walk walk = {.list = list, .result = r};
	struct pmf_perf_limits limits;
	int ret = 0;

	if (a->all_events) {
		walk.has_pmu = pmf_perf_has_pmu(NULL);
		ret = pmf_event_walk(add_known, &walk, err);
	}
	for (size_t i = 0; i < nr_specs && ret == 0; i++)
		ret = add_list(list, specs[i], r, err);
	pmf_perf_limits_read(&limits);
	for (size_t e = 0; e < list->n && ret == 0; e++)
		ret = pmf_event_default_rate(
			&list->events[e], 0, 0, (uint64_t)PMF_MAX(limits.max_rate_hz, 0), err);
	return ret;
}

static bool fits_here(void *ctx, const struct pmf_event *const *events, size_t n)
{
	(void)ctx;
	return pmf_perf_together(events, n);
}

void pmf_sweep_pack(struct pmf_sweep_set *set, struct pmf_sweep_result *r)
{
	static const char *const wanted[] = {"cycles", "cpu-clock"};
	struct pmf_event_list anchors;

	pmf_event_list_init(&anchors);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(wanted); i++) {
		struct pmf_event_list one;

		pmf_event_list_init(&one);
		if (pmf_event_list_add(&one, wanted[i], NULL, NULL, NULL) == 0 &&
			pmf_perf_can_open(NULL, &one.events[0], NULL))
			move_event(&anchors, &one.events[0]);
		pmf_event_list_release(&one);
	}
	pmf_passes_pack(&set->passes, &set->list, &anchors, fits_here, NULL);
	for (size_t i = 0; i < set->passes.nr_unfit; i++)
		skip(r, set->passes.unfit[i].spec, set->passes.unfit[i].why);
	pmf_event_list_release(&anchors);
}
