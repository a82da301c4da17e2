/* What a sweep runs: targets times what varies. */
#include "sweep_steps.h"

#include "cli.h"
#include "output.h"
#include "target_name.h"

#include "pmuflame/mem.h"
#include "pmuflame/vary.h"
#include <stdlib.h>
#include <string.h>

enum { CASES_MAX = 10000 };

/* One of the values of "KEY=V1,V2,...", from 0, as "KEY=VALUE"; NULL behind the last. free(3) it. */
static char *setting_of(const char *vary, size_t nr)
{
	size_t key_len = strcspn(vary, "=");
	const char *value = vary + key_len + 1;

	for (; nr; nr--) {
		value += strcspn(value, ",");
		if (!*value++)
			return NULL;
	}
	return pmf_asprintf("%.*s=%.*s", (int)key_len, vary, (int)strcspn(value, ","), value);
}

/* Words and target of a case before anything varies. */
struct subject {
	const struct pmf_target *target;
	char **words;
	size_t set;
};

static bool says(const struct subject *sub, const char *vary)
{
	bool found = pmf_vary_in_target(sub->target, vary);

	for (char **word = sub->words; *word && !found; word++)
		found = pmf_vary_in_text(*word, vary);
	return found;
}

/* As people read it, with all values in their places. */
static int case_command(struct pmf_sweep_what *w, struct pmf_err *err)
{
	const struct pmf_target *t = w->target;
	char **words = pmf_vary_argv(w->words, w->vary, w->nr_vary);
	struct pmf_target copy = {.command = t ? pmf_strdup(t->command) : NULL};
	int ret = t ? pmf_vary_target(&copy, w->vary, w->nr_vary, err) : 0;

	w->command = pmf_output_shown_command(copy.command, words);
	free(copy.command);
	pmf_target_argv_free(words);
	return ret;
}

static int add_case(
	struct pmf_sweeping *s, const struct subject *sub, const size_t *nr, struct pmf_err *err)
{
	struct pmf_sweep_what w = {.target = sub->target, .set = sub->set};
	int ret;

	w.words = pmf_vary_argv(sub->words, NULL, 0);

	for (size_t i = 0; i < s->args.nr_vary; i++)
		if (says(sub, s->args.vary[i]))
			PMF_PUSH(w.vary, w.nr_vary, w.cap_vary) =
				setting_of(s->args.vary[i], nr[i]);
	w.label = sub->target ? pmf_strdup(sub->target->name) : pmf_target_name(sub->words);
	ret = case_command(&w, err);
	pmf_sweep_plan_name(&s->plan, &w);
	PMF_PUSH(s->plan.cases, s->plan.nr_cases, s->plan.cap_cases) = w;
	if (ret == 0 && s->plan.nr_cases > CASES_MAX)
		ret = pmf_err_set(err, PMF_EUSAGE,
			"--vary makes more than %d combinations: give fewer values", CASES_MAX);
	return ret;
}

/* Go on to the next combination, the last key's values changing first; false behind the last one. Keys
 * that the subject does not say stay at their first value. */
static bool next_values(const struct pmf_sweeping *s, const struct subject *sub, size_t *nr)
{
	for (size_t i = s->args.nr_vary; i-- > 0;) {
		char *setting;

		if (!says(sub, s->args.vary[i]))
			continue;
		setting = setting_of(s->args.vary[i], ++nr[i]);
		free(setting);
		if (setting)
			return true;
		nr[i] = 0;
	}
	return false;
}

/* A set for @sub: its own, or the one that -e or --all make for all subjects. */
static int add_set(struct pmf_sweeping *s, struct subject *sub, struct pmf_err *err)
{
	static char default_spec[] = "@default", *defaults[] = {default_spec};
	const struct pmf_sweep_args *a = &s->args;
	bool asked = a->nr_specs || a->all_events;
	const struct pmf_target *t = sub->target;
	struct pmf_sweep_set *set;

	if (asked && s->plan.nr_sets)
		return 0;
	sub->set = s->plan.nr_sets;
	set = &PMF_PUSH(s->plan.sets, s->plan.nr_sets, s->plan.cap_sets);
	*set = (struct pmf_sweep_set){.list = {.presets = s->config.presets}};
	if (asked)
		return pmf_sweep_events(&set->list, a, a->specs, a->nr_specs, &s->result, err);
	if (t && t->nr_events)
		return pmf_sweep_events(&set->list, a, t->events, t->nr_events, &s->result, err);
	return pmf_sweep_events(&set->list, a, defaults, 1, &s->result, err);
}

static int add_subject(struct pmf_sweeping *s, const struct pmf_target *t, struct pmf_err *err)
{
	struct subject sub = {.target = t, .words = s->args.words};
	size_t *nr = pmf_calloc(s->args.nr_vary, sizeof *nr), n = 0;
	int ret;

	/* The target's own name in the place of 'all'. */
	while (sub.words[n++])
		;
	sub.words = pmf_calloc(n, sizeof *sub.words);
	memcpy(sub.words, s->args.words, n * sizeof *sub.words);
	if (t)
		sub.words[0] = t->name;
	ret = add_set(s, &sub, err);
	if (ret == 0)
		do
			ret = add_case(s, &sub, nr, err);
		while (ret == 0 && next_values(s, &sub, nr));
	free(sub.words);
	free(nr);
	return ret;
}

static int check_vary(const struct pmf_sweeping *s, struct pmf_err *err)
{
	for (size_t i = 0; i < s->args.nr_vary; i++) {
		size_t len = strcspn(s->args.vary[i], "=");
		bool used = false;

		for (size_t c = 0; c < s->plan.nr_cases && !used; c++)
			for (size_t v = 0; v < s->plan.cases[c].nr_vary && !used; v++)
				used = strncmp(s->plan.cases[c].vary[v], s->args.vary[i],
					       len + 1) == 0;
		if (!used)
			return pmf_err_set(err, PMF_EUSAGE,
				"--vary %s changes nothing: '%s' does not say {%.*s}",
				s->args.vary[i], s->args.words[0], (int)len, s->args.vary[i]);
	}
	return 0;
}

int pmf_sweep_cases(struct pmf_sweeping *s, struct pmf_err *err)
{
	const struct pmf_config *config = &s->config.file;
	const char *word = s->args.words[0];
	int ret = 0;

	s->plan.repeats = s->args.repeats;
	s->plan.options = s->args.options;
	s->plan.nr_options = s->args.nr_options;
	if (pmf_target_is_all(&s->config, word)) {
		for (size_t i = 0; i < config->nr_targets && ret == 0; i++)
			ret = add_subject(s, &config->targets[i], err);
	} else {
		ret = add_subject(
			s, strchr(word, '/') ? NULL : pmf_config_target(config, word), err);
	}
	return ret ? ret : check_vary(s, err);
}
