/* JSON for the scripts of a page: tables of what is in use, columns, text that is safe anywhere. */
#include "render_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void pmf_id_table_init(struct pmf_id_table *t, size_t ids)
{
	memset(t, 0, sizeof *t);
	t->place = pmf_calloc(ids, sizeof *t->place);
	memset(t->place, 0xff, ids * sizeof *t->place);
}

void pmf_id_table_release(struct pmf_id_table *t)
{
	free(t->place);
	free(t->items);
}

uint32_t pmf_id_table_add(struct pmf_id_table *t, uint32_t id)
{
	if (t->place[id] == UINT32_MAX) {
		t->place[id] = (uint32_t)t->n;
		PMF_PUSH(t->items, t->n, t->cap) = id;
	}
	return t->place[id];
}

void pmf_json_comma(struct pmf_buf *out, size_t i)
{
	if (i)
		pmf_buf_addch(out, ',');
}

void pmf_json_field(struct pmf_buf *out, const char *key)
{
	pmf_buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",\n", key);
}

void pmf_json_array(struct pmf_buf *out, const char *key)
{
	pmf_json_field(out, key);
	pmf_buf_addch(out, '[');
}

void pmf_json_weight(struct pmf_buf *out, double weight)
{
	if (weight >= 0 && weight < 0x1p53 && (weight >= 1000 || weight == floor(weight)))
		pmf_buf_addu64(out, (uint64_t)nearbyint(weight));
	else
		pmf_buf_printf(out, weight >= 1000 ? "%.0f" : "%.6g", weight);
}

void pmf_json_strings(
	struct pmf_buf *out, const struct pmf_tree *t, const struct pmf_id_table *strings)
{
	pmf_json_array(out, "strings");
	for (size_t i = 0; i < strings->n; i++) {
		pmf_json_comma(out, i);
		pmf_json_string(out, pmf_tree_string(t, strings->items[i]));
	}
	pmf_buf_addch(out, ']');
}

void pmf_json_labels(struct pmf_buf *out, const struct pmf_tree *t,
	const struct pmf_id_table *funcs, struct pmf_id_table *strings)
{
	size_t nr_funcs = funcs ? funcs->n : t->nr_funcs, n = 0;

	pmf_json_array(out, "labels");
	for (size_t i = 0; i < nr_funcs; i++) {
		const struct pmf_func *f = &t->funcs[funcs ? funcs->items[i] : i];

		if (f->label == f->name)
			continue;
		pmf_json_comma(out, n++);
		pmf_buf_printf(out, "%zu,%" PRIu32, i, pmf_id_table_add(strings, f->label));
	}
	pmf_buf_addch(out, ']');
}

void pmf_json_lines(struct pmf_buf *out, const char *text)
{
	pmf_buf_addch(out, '[');
	for (size_t i = 0; *text; i++) {
		size_t len = strcspn(text, "\n");

		pmf_json_comma(out, i);
		pmf_json_text(out, text, len);
		text += len + (text[len] == '\n');
	}
	pmf_buf_addch(out, ']');
}

void pmf_json_ledger(struct pmf_buf *out, const struct pmf_tree *t, size_t event)
{
	struct pmf_buf ledger = PMF_BUF_INIT;

	pmf_tree_ledger(t, event, &ledger);
	pmf_json_lines(out, pmf_buf_str(&ledger));
	pmf_buf_release(&ledger);
}
