/* Sample types of a pprof file as events. Ours stand in pairs; other programs have their own ways
 * to tell how many samples a weight comes from. */
#include "profile_load_priv.h"

#include <stdlib.h>
#include <string.h>

static const char *name_of(const struct pmf_pprof_loader *l, size_t type)
{
	return pmf_strtab_get(&l->p->strings, l->types[type].name);
}

static const char *unit_of(const struct pmf_pprof_loader *l, size_t type)
{
	return pmf_strtab_get(&l->p->strings, l->types[type].unit);
}

/* Go, Node and most others: one column of samples for all. */
static bool counts_samples(const struct pmf_pprof_loader *l, size_t type)
{
	const char *name = name_of(l, type);

	return strcmp(unit_of(l, type), "count") == 0 &&
	       (strcmp(name, "samples") == 0 || strcmp(name, "sample") == 0);
}

/* Is @type called as @name is, with @suffix in the place of @instead_of at its end? */
static bool is_called(const struct pmf_pprof_loader *l, size_t type, const char *name,
	const char *instead_of, const char *suffix)
{
	const char *this = name_of(l, type);
	size_t len = strlen(name), cut = strlen(instead_of);

	if (len < cut || strcmp(name + len - cut, instead_of) != 0)
		return false;
	len -= cut;
	return strncmp(this, name, len) == 0 && strcmp(this + len, suffix) == 0;
}

/* The first type that is called as the samples of @type (as ours are, or perf_data_converter's) and
 * is no other's yet: labels may be equal. Its name is the longer of the two, so this goes round in
 * no circle. */
static size_t samples_by_name(const struct pmf_pprof_loader *l, size_t type, const bool *taken)
{
	for (size_t i = 0; i < l->nr_types; i++)
		if (!taken[i] && (is_called(l, i, name_of(l, type), "", PMF_PPROF_SAMPLES) ||
					 is_called(l, i, name_of(l, type), "_event", "_sample")))
			return i;
	return SIZE_MAX;
}

/* pprof's units of time, in ns; anything else counts as it is. */
static uint64_t factor_of(const char *unit, const char **ours)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} times[] = {{"nanoseconds", 1}, {"microseconds", 1000}, {"milliseconds", 1000000},
		{"seconds", 1000000000}};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(times); i++) {
		if (strcmp(unit, times[i].unit) == 0) {
			*ours = "ns";
			return times[i].ns;
		}
	}
	*ours = *unit && strcmp(unit, "count") != 0 ? unit : "events";
	return 1;
}

static void make_event(struct pmf_pprof_loader *l, size_t type, size_t samples)
{
	struct pmf_profile *p = l->p;
	size_t e = pmf_profile_add_event(p);
	struct pmf_profile_event *ev = &p->events[e];
	const char *unit, *name = name_of(l, type);
	uint64_t factor = factor_of(unit_of(l, type), &unit);
	size_t len = strlen(name);

	if (samples != SIZE_MAX && is_called(l, samples, name, "_event", "_sample"))
		len -= strlen("_event");
	ev->label = pmf_strndup(name, len);
	ev->unit = pmf_strdup(unit);
	l->columns[e] =
		(struct pmf_pprof_column){.weights = type, .samples = samples, .factor = factor};
}

/* Find the samples of each type; @counts says of which types they are only that. */
static void pair_types(const struct pmf_pprof_loader *l, size_t *samples, bool *counts)
{
	size_t all = SIZE_MAX;

	for (size_t i = 0; i < l->nr_types; i++) {
		samples[i] = counts[i] ? SIZE_MAX : samples_by_name(l, i, counts);
		if (samples[i] != SIZE_MAX)
			counts[samples[i]] = true;
	}
	for (size_t i = 0; i < l->nr_types; i++)
		if (samples[i] == SIZE_MAX && !counts[i] && counts_samples(l, i))
			all = i;
	for (size_t i = 0; i < l->nr_types && all != SIZE_MAX; i++) {
		if (samples[i] != SIZE_MAX || counts[i])
			continue;
		samples[i] = all;
		counts[all] |= i != all;
	}
}

void pmf_pprof_make_events(struct pmf_pprof_loader *l)
{
	struct pmf_profile *p = l->p;
	size_t *samples = pmf_calloc(l->nr_types, sizeof *samples);
	bool *counts = pmf_calloc(l->nr_types, sizeof *counts);

	pair_types(l, samples, counts);
	l->columns = pmf_calloc(l->nr_types, sizeof *l->columns);
	for (size_t i = 0; i < l->nr_types; i++)
		if (!counts[i])
			make_event(l, i, samples[i]);
	free(samples);
	free(counts);
	pmf_profile_name_files(p);
	for (size_t e = 0; e < p->nr_events; e++) {
		char *key = pmf_asprintf("%s" PMF_PPROF_JOINED, p->events[e].file_name);

		l->columns[e].joined_key = pmf_strtab_addz(&p->strings, key);
		free(key);
	}
}

/* The file's period is that of one of its types. */
static uint64_t period_of(const struct pmf_pprof_loader *l, const struct pmf_pprof_column *c)
{
	const struct pmf_pprof_type *t = &l->types[c->weights];

	if (l->period_type.name != t->name || l->period_type.unit != t->unit ||
		l->period > UINT64_MAX / c->factor)
		return 0;
	return l->period * c->factor;
}

static void count_from_samples(struct pmf_profile_event *ev, const struct pmf_pprof_column *c)
{
	ev->samples = c->samples_sum;
	ev->weight = ev->counted = c->weight_sum;
	ev->weight_sq = c->weight_sq;
	ev->unsampled = 0;
}

void pmf_pprof_end_events(struct pmf_pprof_loader *l)
{
	struct pmf_profile *p = l->p;
	bool changed = false;

	for (size_t e = 0; e < p->nr_events; e++) {
		struct pmf_profile_event *ev = &p->events[e];
		const struct pmf_pprof_column *c = &l->columns[e];

		if (l->ours && ev->samples == c->samples_sum)
			continue;
		changed = true;
		count_from_samples(ev, c);
		if (!l->ours) {
			ev->lost_known = false;
			ev->only_samples = true;
			ev->period = period_of(l, c);
		}
		if (c->samples == SIZE_MAX)
			pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
				"the profile does not say how many samples '%s' has: each of its "
				"stacks counts as one, and errors are no better than that",
				ev->label);
	}
	if (changed)
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "%s",
			l->ours ? "another program has changed this profile: counts are those of "
				  "its samples, the rest of the ledger is that of the recording"
				: "another program wrote this profile: counts are those of its "
				  "samples, and what else a ledger says is not known");
	if (l->negative)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"values below 0, as in a difference of profiles, count as 0 here");
}
