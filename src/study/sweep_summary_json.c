/* summary.json: docs/summary.schema.json says what the fields mean. Every run's values are kept, so that
 * the file can be read again as a baseline; what is derived is for other programs. */
#include "config.h"

#include "sweep_summary_priv.h"

#include "pmuflame/json.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Counts are whole numbers up to here. */
#define WHOLE_MAX 0x1p53

static json_t *number(double x)
{
	if (!isfinite(x))
		return json_null();
	return x == floor(x) && fabs(x) <= WHOLE_MAX ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *text_or_null(const char *s)
{
	return s ? pmf_json_of_text(s) : json_null();
}

static json_t *value_json(const struct pmf_sweep_value *v)
{
	json_t *o = json_object(), *values = json_array();

	for (size_t i = 0; i < v->n; i++)
		json_array_append_new(values, number(v->values[i]));
	json_object_set_new(o, "name", pmf_json_of_text(v->name));
	json_object_set_new(o, "unit", pmf_json_of_text(v->unit));
	json_object_set_new(o, "pass", json_integer((json_int_t)v->pass));
	json_object_set_new(o, "anchor", json_boolean(v->anchor));
	json_object_set_new(o, "scale", number(v->scale));
	json_object_set_new(o, "values", values);
	return o;
}

static json_t *row_json(const struct sweep_row *row)
{
	const struct pmf_stats *s = &row->stats;
	const struct {
		const char *name;
		double value;
	} numbers[] = {{"median", s->median}, {"mean", s->mean}, {"mean_low", s->low},
		{"mean_high", s->high}, {"sd", s->sd}, {"min", s->min}, {"max", s->max}};
	json_t *o = json_object();

	json_object_set_new(o, "name", pmf_json_of_text(row->name));
	json_object_set_new(o, "kind", json_string(sweep_row_kinds[row->kind]));
	json_object_set_new(o, "unit", pmf_json_of_text(row->unit));
	json_object_set_new(o, "n", json_integer((json_int_t)s->n));
	json_object_set_new(o, "same_runs", json_boolean(row->paired));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(numbers); i++)
		json_object_set_new(o, numbers[i].name, number(numbers[i].value));
	return o;
}

static json_t *vary_json(const struct pmf_sweep_case *c)
{
	json_t *o = json_object();

	for (size_t i = 0; i < c->nr_vary; i++) {
		char *key = pmf_strndup(c->vary[i], strcspn(c->vary[i], "="));
		const char *value = c->vary[i] + strlen(key);

		json_object_set_new(o, key, pmf_json_of_text(*value ? value + 1 : value));
		free(key);
	}
	return o;
}

static json_t *case_json(const struct pmf_sweep_case *c)
{
	json_t *o = json_object(), *values = json_array(), *summary = json_array();
	struct sweep_row *rows;
	size_t n;

	for (size_t i = 0; i < c->nr_values; i++)
		json_array_append_new(values, value_json(&c->values[i]));
	rows = sweep_rows(c, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(summary, row_json(&rows[i]));
	sweep_rows_free(rows, n);
	json_object_set_new(o, "target", pmf_json_of_text(c->target));
	json_object_set_new(o, "command", text_or_null(c->command));
	json_object_set_new(o, "vary", vary_json(c));
	json_object_set_new(o, "unit", text_or_null(c->unit));
	json_object_set_new(o, "units", text_or_null(c->units));
	json_object_set_new(o, "failed", json_integer((json_int_t)c->nr_failed));
	json_object_set_new(o, "summary", summary);
	json_object_set_new(o, "measured", values);
	return o;
}

void pmf_sweep_json(const struct pmf_sweep_result *r, struct pmf_buf *out)
{
	json_t *root = json_object(), *cases = json_array(), *skipped = json_array();
	json_t *notes = json_array();
	char *text;

	for (size_t i = 0; i < r->nr_cases; i++)
		json_array_append_new(cases, case_json(&r->cases[i]));
	for (size_t i = 0; i < r->nr_skipped; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "event", pmf_json_of_text(r->skipped[i].event));
		json_object_set_new(o, "why", pmf_json_of_text(r->skipped[i].why));
		json_array_append_new(skipped, o);
	}
	for (size_t i = 0; i < r->nr_notes; i++)
		json_array_append_new(notes, pmf_json_of_text(r->notes[i]));
	json_object_set_new(root, "schema", json_integer(SWEEP_SCHEMA));
	json_object_set_new(root, "kind", json_string(SWEEP_KIND));
	json_object_set_new(root, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(root, "host", pmf_json_of_text(r->host ? r->host : ""));
	json_object_set_new(root, "start_unix_ns", json_integer((json_int_t)r->start_unix_ns));
	json_object_set_new(root, "repeats", json_integer((json_int_t)r->repeats));
	json_object_set_new(root, "passes", json_integer((json_int_t)r->passes));
	json_object_set_new(root, "level", json_real(PMF_SWEEP_LEVEL));
	json_object_set_new(root, "cases", cases);
	json_object_set_new(root, "skipped", skipped);
	json_object_set_new(root, "notes", notes);
	text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	pmf_buf_addstr(out, text ? text : "");
	pmf_buf_addch(out, '\n');
	free(text);
	json_decref(root);
}
