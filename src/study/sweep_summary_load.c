/* summary.json, read again. Whoever wrote it, nothing in it is taken on trust. */
#include "sweep_summary_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/json.h"
#include "pmuflame/mem.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Far beyond any sweep; what is done with the values is quadratic in some of these. */
enum {
	FILE_BYTES_MAX = 32 << 20,
	CASES_MAX = 10000,
	VALUES_MAX = 4096, /* of a case: quantities in passes */
	RUNS_MAX = 100000, /* of a pass */
	PASSES_MAX = 4096,
	TEXTS_MAX = 10000,
};

/* Above any count, and its square is still a number. */
#define NUMBER_MAX 1e60

struct loader {
	const char *path;
	char at[80]; /* where in the file: "cases[2].measured[0]" */
	struct pmf_err *err;
};

static int wrong(struct loader *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct loader *l, const char *fmt, ...)
{
	struct pmf_buf text = PMF_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	pmf_err_set(l->err, PMF_EFORMAT, "'%s' is no summary of a sweep: %s%s%s", l->path, l->at,
		*l->at ? ": " : "", pmf_buf_str(&text));
	pmf_buf_release(&text);
	return PMF_EFORMAT;
}

/* The string @key of @o, to be freed; NULL where it is null, if it may be. */
static int get_text(
	struct loader *l, const json_t *o, const char *key, bool may_be_null, char **out)
{
	const json_t *j = json_object_get(o, key);

	*out = NULL;
	if (may_be_null && json_is_null(j))
		return 0;
	if (!json_is_string(j)) {
		wrong(l, "'%s' is no text", key);
		return PMF_EFORMAT;
	}
	*out = pmf_strdup(json_string_value(j));
	return 0;
}

static int get_size(struct loader *l, const json_t *o, const char *key, json_int_t max, size_t *out)
{
	const json_t *j = json_object_get(o, key);
	json_int_t n = json_integer_value(j);

	if (!json_is_integer(j) || n < 0 || n > max)
		return wrong(l, "'%s' is no whole number from 0 to %lld", key, (long long)max);
	*out = (size_t)n;
	return 0;
}

static int get_array(
	struct loader *l, const json_t *o, const char *key, size_t max, const json_t **out)
{
	*out = json_object_get(o, key);
	if (!json_is_array(*out) || json_array_size(*out) > max)
		return wrong(l, "'%s' is no list of at most %zu", key, max);
	return 0;
}

static int load_numbers(struct loader *l, const json_t *list, struct pmf_sweep_value *v)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *j = json_array_get(list, i);
		double x = json_number_value(j);

		if (!json_is_number(j) || !(x >= 0 && x <= NUMBER_MAX))
			return wrong(l, "value %zu is no number from 0 to %g", i, NUMBER_MAX);
		PMF_PUSH(v->values, v->n, v->cap) = x;
	}
	return v->n ? 0 : wrong(l, "there are no values");
}

static int load_value(struct loader *l, const json_t *o, struct pmf_sweep_case *c)
{
	struct pmf_sweep_value *v = &PMF_PUSH(c->values, c->nr_values, c->cap_values);
	const json_t *list, *scale = json_object_get(o, "scale");
	int ret;

	*v = (struct pmf_sweep_value){0};
	ret = get_text(l, o, "name", false, &v->name);
	ret = ret ? ret : get_text(l, o, "unit", false, &v->unit);
	ret = ret ? ret : get_size(l, o, "pass", PASSES_MAX, &v->pass);
	ret = ret ? ret : get_array(l, o, "values", RUNS_MAX, &list);
	ret = ret ? ret : load_numbers(l, list, v);
	if (ret)
		return ret;
	v->scale = json_number_value(scale);
	v->anchor = json_is_true(json_object_get(o, "anchor"));
	if (!json_is_number(scale) || !(v->scale >= 1) || !isfinite(v->scale))
		return wrong(l, "'scale' is no number from 1 on");
	for (size_t i = 0; i + 1 < c->nr_values; i++) {
		if (c->values[i].pass != v->pass)
			continue;
		if (strcmp(c->values[i].name, v->name) == 0)
			return wrong(l, "pass %zu has '%s' twice", v->pass, v->name);
		if (c->values[i].n != v->n)
			return wrong(l, "pass %zu has %zu values before, and %zu here", v->pass,
				c->values[i].n, v->n);
	}
	return 0;
}

static int load_vary(struct loader *l, const json_t *vary, struct pmf_sweep_case *c)
{
	const char *key;
	json_t *value;

	if (!json_is_object(vary) || json_object_size(vary) > TEXTS_MAX)
		return wrong(l, "'vary' has no keys with texts");
	json_object_foreach((json_t *)vary, key, value)
	{
		if (!json_is_string(value))
			return wrong(l, "'%s' of 'vary' is no text", key);
		PMF_PUSH(c->vary, c->nr_vary, c->cap_vary) =
			pmf_asprintf("%s=%s", key, json_string_value(value));
	}
	return 0;
}

static int load_case(struct loader *l, const json_t *o, size_t place, struct pmf_sweep_result *r)
{
	struct pmf_sweep_case *c = &PMF_PUSH(r->cases, r->nr_cases, r->cap_cases);
	const json_t *list;
	int ret;

	*c = (struct pmf_sweep_case){0};
	snprintf(l->at, sizeof l->at, "cases[%zu]", place);
	ret = get_text(l, o, "target", false, &c->target);
	ret = ret ? ret : get_text(l, o, "command", true, &c->command);
	ret = ret ? ret : get_text(l, o, "unit", true, &c->unit);
	ret = ret ? ret : get_text(l, o, "units", !c->unit, &c->units);
	ret = ret ? ret : get_size(l, o, "failed", RUNS_MAX, &c->nr_failed);
	ret = ret ? ret : load_vary(l, json_object_get(o, "vary"), c);
	ret = ret ? ret : get_array(l, o, "measured", VALUES_MAX, &list);
	for (size_t i = 0; ret == 0 && i < json_array_size(list); i++) {
		snprintf(l->at, sizeof l->at, "cases[%zu].measured[%zu]", place, i);
		ret = load_value(l, json_array_get(list, i), c);
	}
	return ret;
}

/* What a summary says of itself, before all else. */
static int check_kind(struct loader *l, const json_t *root)
{
	const json_t *schema = json_object_get(root, "schema"),
		     *kind = json_object_get(root, "kind");

	if (!json_is_string(kind) || strcmp(json_string_value(kind), SWEEP_KIND) != 0)
		return wrong(l, "'kind' is not \"" SWEEP_KIND "\"");
	if (!json_is_integer(schema) || json_integer_value(schema) != SWEEP_SCHEMA)
		return wrong(
			l, "its schema is not %d, the one that this pmuflame knows", SWEEP_SCHEMA);
	return 0;
}

static int load_texts(struct loader *l, const json_t *root, struct pmf_sweep_result *r)
{
	const json_t *notes, *skipped = NULL;
	int ret = get_array(l, root, "notes", TEXTS_MAX, &notes);

	ret = ret ? ret : get_array(l, root, "skipped", TEXTS_MAX, &skipped);
	for (size_t i = 0; ret == 0 && i < json_array_size(notes); i++) {
		if (!json_is_string(json_array_get(notes, i)))
			return wrong(l, "notes[%zu] is no text", i);
		pmf_sweep_note(r, "%s", json_string_value(json_array_get(notes, i)));
	}
	for (size_t i = 0; ret == 0 && i < json_array_size(skipped); i++) {
		const json_t *o = json_array_get(skipped, i);
		struct pmf_sweep_skipped *s = &PMF_PUSH(r->skipped, r->nr_skipped, r->cap_skipped);

		*s = (struct pmf_sweep_skipped){0};
		snprintf(l->at, sizeof l->at, "skipped[%zu]", i);
		ret = get_text(l, o, "event", false, &s->event);
		ret = ret ? ret : get_text(l, o, "why", false, &s->why);
	}
	return ret;
}

static int load_root(struct loader *l, const json_t *root, struct pmf_sweep_result *r)
{
	const json_t *cases;
	size_t start = 0;
	int ret = check_kind(l, root);

	ret = ret ? ret : get_text(l, root, "host", false, &r->host);
	ret = ret ? ret : get_size(l, root, "start_unix_ns", INT64_MAX, &start);
	ret = ret ? ret : get_size(l, root, "repeats", RUNS_MAX, &r->repeats);
	ret = ret ? ret : get_size(l, root, "passes", PASSES_MAX, &r->passes);
	ret = ret ? ret : load_texts(l, root, r);
	l->at[0] = '\0';
	ret = ret ? ret : get_array(l, root, "cases", CASES_MAX, &cases);
	r->start_unix_ns = start;
	for (size_t i = 0; ret == 0 && i < json_array_size(cases); i++)
		ret = load_case(l, json_array_get(cases, i), i, r);
	return ret;
}

int pmf_sweep_load(struct pmf_sweep_result *r, const char *path, struct pmf_err *err)
{
	struct loader l = {.path = path, .err = err};
	struct pmf_buf text = PMF_BUF_INIT;
	json_error_t why;
	json_t *root;
	int ret;

	memset(r, 0, sizeof *r);
	ret = pmf_file_read(path, FILE_BYTES_MAX, &text, err);
	if (ret) {
		pmf_buf_release(&text);
		return ret;
	}
	root = json_loadb(pmf_buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &why);
	pmf_buf_release(&text);
	if (!root)
		return wrong(&l, "line %d: %s", why.line, why.text);
	ret = load_root(&l, root, r);
	json_decref(root);
	return ret;
}
