#include "render_svg_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Old ids of strings or functions → places in the tables of this file. */
struct table {
	uint32_t *place; /* UINT32_MAX: not there */
	uint32_t *items;
	size_t n, cap;
};

static void table_init(struct table *t, size_t ids)
{
	memset(t, 0, sizeof *t);
	t->place = pmf_calloc(ids, sizeof *t->place);
	memset(t->place, 0xff, ids * sizeof *t->place);
}

static void table_release(struct table *t)
{
	free(t->place);
	free(t->items);
}

static uint32_t table_add(struct table *t, uint32_t id)
{
	if (t->place[id] == UINT32_MAX) {
		t->place[id] = (uint32_t)t->n;
		PMF_PUSH(t->items, t->n, t->cap) = id;
	}
	return t->place[id];
}

/* Big counts are whole; small scaled ones keep their fraction. */
static void add_weight(struct pmf_buf *out, double weight)
{
	if (weight >= 0 && weight < 0x1p53 && (weight >= 1000 || weight == floor(weight)))
		pmf_buf_addu64(out, (uint64_t)nearbyint(weight));
	else
		pmf_buf_printf(out, weight >= 1000 ? "%.0f" : "%.6g", weight);
}

static void add_field(struct pmf_buf *out, const char *key)
{
	pmf_buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",\n", key);
}

static void add_comma(struct pmf_buf *out, size_t i)
{
	if (i)
		pmf_buf_addch(out, ',');
}

static void add_weights(struct pmf_buf *out, const char *key, const struct svg *s, size_t event,
	double (*get)(const struct pmf_tree *, size_t, uint32_t))
{
	add_field(out, key);
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < s->n; i++) {
		add_comma(out, i);
		add_weight(out, get(s->t, event, s->frames[i].node));
	}
	pmf_buf_addch(out, ']');
}

/* How many samples have the frame from an earlier stack; left out where none has. */
static void add_joined(struct pmf_buf *out, const struct svg *s, size_t event)
{
	if (pmf_tree_joined(s->t, event, 0) == 0)
		return;
	add_field(out, "joined");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < s->n; i++) {
		add_comma(out, i);
		pmf_buf_addu64(out, pmf_tree_joined(s->t, event, s->frames[i].node));
	}
	pmf_buf_addch(out, ']');
}

static void add_event(struct pmf_buf *out, const struct svg *s, size_t event)
{
	const struct pmf_profile_event *ev = &s->t->profile->events[event];

	pmf_buf_addch(out, '{');
	add_field(out, "label");
	pmf_json_string(out, ev->label ? ev->label : "");
	add_field(out, "unit");
	pmf_json_string(out, ev->unit ? ev->unit : "events");
	add_weights(out, "total", s, event, pmf_tree_total);
	if (event == s->event)
		add_weights(out, "self", s, event, pmf_tree_self);
	if (event == s->event)
		add_joined(out, s, event);
	/* What the ± of a share follows from: samples of unequal weight know less. */
	add_field(out, "effective");
	add_weight(out, pmf_tree_effective_samples(s->t, event));
	add_field(out, "samples");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < s->n; i++) {
		add_comma(out, i);
		pmf_buf_addu64(out, pmf_tree_samples(s->t, event, s->frames[i].node));
	}
	pmf_buf_addstr(out, "]}");
}

/* Functions, flat: name, kind, module, path, file, colour class; strings by place. */
static void add_funcs(
	struct pmf_buf *out, const struct svg *s, const struct table *funcs, struct table *strings)
{
	add_field(out, "funcs");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < funcs->n; i++) {
		const struct pmf_func *f = &s->t->funcs[funcs->items[i]];
		uint32_t name = table_add(strings, f->name), module = table_add(strings, f->module);
		uint32_t path = table_add(strings, f->path), file = table_add(strings, f->file);

		add_comma(out, i);
		pmf_buf_printf(out, "%" PRIu32 ",%d,%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32,
			name, (int)f->kind, module, path, file,
			s->class_of_colour[s->colour_of_func[funcs->items[i]]]);
	}
	pmf_buf_addch(out, ']');
}

static void add_strings(struct pmf_buf *out, const struct svg *s, const struct table *strings)
{
	add_field(out, "strings");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < strings->n; i++) {
		add_comma(out, i);
		pmf_json_string(out, pmf_strtab_get(&s->t->profile->strings, strings->items[i]));
	}
	pmf_buf_addch(out, ']');
}

static void add_ledger(struct pmf_buf *out, const struct svg *s)
{
	const char *line = pmf_buf_str(&s->ledger);

	add_field(out, "ledger");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; *line; i++) {
		size_t len = strcspn(line, "\n");

		add_comma(out, i);
		pmf_buf_addch(out, '"');
		pmf_text_add(out, line, len, PMF_TEXT_JSON);
		pmf_buf_addch(out, '"');
		line += len + (line[len] == '\n');
	}
	pmf_buf_addch(out, ']');
}

static void add_frames(struct pmf_buf *out, const struct svg *s, struct table *funcs)
{
	add_field(out, "depth");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < s->n; i++) {
		add_comma(out, i);
		pmf_buf_addu64(out, s->t->nodes[s->frames[i].node].depth);
	}
	pmf_buf_addch(out, ']');
	add_field(out, "func");
	pmf_buf_addch(out, '[');
	for (size_t i = 0; i < s->n; i++) {
		add_comma(out, i);
		pmf_buf_addu64(out, table_add(funcs, s->t->nodes[s->frames[i].node].func));
	}
	pmf_buf_addch(out, ']');
}

void pmf_svg_add_data(struct pmf_buf *out, const struct svg *s)
{
	struct table funcs, strings;

	table_init(&funcs, s->t->nr_funcs);
	table_init(&strings, s->t->profile->strings.n);
	pmf_buf_addch(out, '{');
	add_field(out, "title");
	pmf_json_string(out, s->title);
	add_frames(out, s, &funcs);
	add_funcs(out, s, &funcs, &strings);
	add_strings(out, s, &strings);
	/* The event that is drawn comes first; the others are for the tooltip. */
	add_field(out, "events");
	pmf_buf_addch(out, '[');
	add_event(out, s, s->event);
	for (size_t e = 0; e < s->t->profile->nr_events; e++) {
		if (e != s->event) {
			pmf_buf_addch(out, ',');
			add_event(out, s, e);
		}
	}
	pmf_buf_addch(out, ']');
	add_ledger(out, s);
	pmf_buf_addch(out, '}');
	table_release(&funcs);
	table_release(&strings);
}
