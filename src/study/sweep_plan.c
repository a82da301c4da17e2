/* The runs of a sweep, and plan.json. */
#include "pmuflame/sweep_plan.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/json.h"
#include "pmuflame/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SCHEMA = 1,
	PLAN_BYTES_MAX = 16 << 20,
	NAME_MAX_BYTES = 120,
};

static void free_case(struct pmf_sweep_what *w)
{
	for (size_t i = 0; i < w->nr_vary; i++)
		free(w->vary[i]);
	free(w->vary);
	for (char **word = w->words; word && *word; word++)
		free(*word);
	free(w->words);
	free(w->name);
	free(w->title);
	free(w->label);
	free(w->command);
}

void pmf_sweep_plan_release(struct pmf_sweep_plan *plan)
{
	for (size_t i = 0; i < plan->nr_cases; i++)
		free_case(&plan->cases[i]);
	for (size_t i = 0; i < plan->nr_sets; i++) {
		pmf_event_list_release(&plan->sets[i].list);
		pmf_passes_release(&plan->sets[i].passes);
	}
	free(plan->cases);
	free(plan->sets);
	memset(plan, 0, sizeof *plan);
}

static bool is_taken(const struct pmf_sweep_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->nr_cases; i++)
		if (strcmp(plan->cases[i].name, name) == 0)
			return true;
	return false;
}

void pmf_sweep_plan_name(const struct pmf_sweep_plan *plan, struct pmf_sweep_what *w)
{
	struct pmf_buf name = PMF_BUF_INIT, title = PMF_BUF_INIT;
	char *safe;

	pmf_buf_addstr(&name, w->label);
	pmf_buf_addstr(&title, w->label);
	for (size_t i = 0; i < w->nr_vary; i++) {
		pmf_buf_printf(&title, " %s", w->vary[i]);
		pmf_buf_printf(&name, ".%.*s-%s", (int)strcspn(w->vary[i], "="), w->vary[i],
			strchr(w->vary[i], '=') + 1);
	}
	w->title = pmf_buf_detach(&title);
	safe = pmf_file_safe_name(pmf_buf_str(&name));
	if (strlen(safe) > NAME_MAX_BYTES)
		safe[NAME_MAX_BYTES] = '\0';
	w->name = pmf_strdup(safe);
	for (size_t n = 2; is_taken(plan, w->name); n++) {
		free(w->name);
		w->name = pmf_asprintf("%s-%zu", safe, n);
	}
	free(safe);
	pmf_buf_release(&name);
}

const struct pmf_passes *pmf_sweep_plan_passes(
	const struct pmf_sweep_plan *plan, const struct pmf_sweep_what *w)
{
	return &plan->sets[w->set].passes;
}

static size_t runs_of_a_repeat(const struct pmf_sweep_plan *plan)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->nr_cases; i++)
		n += pmf_sweep_plan_passes(plan, &plan->cases[i])->n;
	return n;
}

size_t pmf_sweep_plan_runs(const struct pmf_sweep_plan *plan)
{
	return runs_of_a_repeat(plan) * plan->repeats;
}

bool pmf_sweep_plan_at(const struct pmf_sweep_plan *plan, size_t i, struct pmf_sweep_at *at)
{
	size_t each = runs_of_a_repeat(plan);

	if (each == 0 || i / each >= plan->repeats)
		return false;
	at->repeat = i / each;
	i %= each;
	for (size_t c = 0; c < plan->nr_cases; c++) {
		size_t n = pmf_sweep_plan_passes(plan, &plan->cases[c])->n;

		if (i < n) {
			at->what = &plan->cases[c];
			at->nr = c;
			at->pass = i;
			return true;
		}
		i -= n;
	}
	return false;
}

char *pmf_sweep_plan_run_name(const struct pmf_sweep_at *at)
{
	return pmf_asprintf("%s.p%zu.r%zu", at->what->name, at->pass + 1, at->repeat + 1);
}

/* ---- plan.json ---- */

static json_t *texts_json(char *const *texts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, pmf_json_of_text(texts[i]));
	return list;
}

static json_t *case_json(const struct pmf_sweep_plan *plan, const struct pmf_sweep_what *w)
{
	const struct pmf_event_list *list = &plan->sets[w->set].list;
	const struct pmf_target *t = w->target;
	json_t *o = json_object(), *events = json_array();

	for (size_t e = 0; e < list->n; e++) {
		const struct pmf_event *ev = &list->events[e];

		json_array_append_new(events, json_pack("[sIIi]", ev->spec, (json_int_t)ev->period,
						      (json_int_t)ev->freq_hz, ev->group));
	}
	json_object_set_new(o, "name", pmf_json_of_text(w->name));
	json_object_set_new(o, "command", pmf_json_of_text(w->command));
	json_object_set_new(o, "vary", texts_json(w->vary, w->nr_vary));
	json_object_set_new(o, "folder", t ? pmf_json_of_text(t->folder) : json_null());
	json_object_set_new(o, "environment", t ? texts_json(t->env, t->nr_env) : json_null());
	json_object_set_new(o, "events", events);
	return o;
}

/* All that makes two sweeps the same but how the events are packed, which a trial found out. */
static json_t *asked_json(const struct pmf_sweep_plan *plan)
{
	json_t *o = json_object(), *cases = json_array();

	for (size_t i = 0; i < plan->nr_cases; i++)
		json_array_append_new(cases, case_json(plan, &plan->cases[i]));
	json_object_set_new(o, "repeats", json_integer((json_int_t)plan->repeats));
	json_object_set_new(o, "options", texts_json(plan->options, plan->nr_options));
	json_object_set_new(o, "cases", cases);
	return o;
}

static json_t *passes_json(const struct pmf_passes *p)
{
	json_t *o = json_object(), *list = json_array();

	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(list, texts_json(p->items[i].specs, p->items[i].nr_specs));
	json_object_set_new(o, "anchor", p->anchor ? pmf_json_of_text(p->anchor) : json_null());
	json_object_set_new(o, "passes", list);
	return o;
}

int pmf_sweep_plan_save(const struct pmf_sweep_plan *plan, const char *path, struct pmf_err *err)
{
	struct pmf_outfile of;
	int ret = pmf_outfile_open(&of, path, err);
	json_t *root, *sets;

	if (ret)
		return ret;
	root = json_object();
	sets = json_array();
	for (size_t i = 0; i < plan->nr_sets; i++)
		json_array_append_new(sets, passes_json(&plan->sets[i].passes));
	json_object_set_new(root, "schema", json_integer(SCHEMA));
	json_object_set_new(root, "asked", asked_json(plan));
	json_object_set_new(root, "sets", sets);
	json_dumpf(root, of.f, JSON_INDENT(1));
	fputc('\n', of.f);
	json_decref(root);
	return pmf_outfile_commit(&of, err);
}

static bool read_passes(struct pmf_passes *p, const json_t *o)
{
	const json_t *anchor = json_object_get(o, "anchor"), *list = json_object_get(o, "passes");
	size_t i, k;
	const json_t *specs, *spec;

	if (json_is_string(anchor))
		p->anchor = pmf_strdup(json_string_value(anchor));
	json_array_foreach(list, i, specs)
	{
		struct pmf_pass *pass = &PMF_PUSH(p->items, p->n, p->cap);

		*pass = (struct pmf_pass){0};
		json_array_foreach(specs, k, spec)
		{
			if (!json_is_string(spec))
				return false;
			PMF_PUSH(pass->specs, pass->nr_specs, pass->cap_specs) =
				pmf_strdup(json_string_value(spec));
		}
		if (pass->nr_specs == 0)
			return false;
	}
	return p->n > 0;
}

/* Whoever wrote the file can have the events packed otherwise, and no other command run: that is on
 * the command line and in pmuflame.ini. */
static int read_plan(
	struct pmf_sweep_plan *plan, const json_t *root, const char *path, struct pmf_err *err)
{
	const json_t *sets = json_object_get(root, "sets");
	json_t *asked = asked_json(plan);
	bool same = json_equal(asked, json_object_get(root, "asked")) &&
		    json_integer_value(json_object_get(root, "schema")) == SCHEMA;

	json_decref(asked);
	if (!same)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' is the plan of another sweep: resume with the options, the command and "
			"the pmuflame.ini that it began with, or begin anew in another folder (-o)",
			path);
	for (size_t i = 0; i < plan->nr_sets; i++)
		if (!read_passes(&plan->sets[i].passes, json_array_get(sets, i)))
			return pmf_err_set(
				err, PMF_EFORMAT, "'%s' has no passes: it is damaged", path);
	return 0;
}

int pmf_sweep_plan_resume(struct pmf_sweep_plan *plan, const char *path, struct pmf_err *err)
{
	struct pmf_buf text = PMF_BUF_INIT;
	json_error_t why;
	json_t *root;
	int ret = pmf_file_read(path, PLAN_BYTES_MAX, &text, err);

	if (ret)
		return ret;
	root = json_loadb(pmf_buf_str(&text), text.len, 0, &why);
	pmf_buf_release(&text);
	if (!root)
		return pmf_err_set(
			err, PMF_EFORMAT, "'%s' is no plan: line %d: %s", path, why.line, why.text);
	ret = read_plan(plan, root, path, err);
	json_decref(root);
	return ret;
}
