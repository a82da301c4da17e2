#include "render_svg_priv.h"

#include <inttypes.h>

static void add_weights(struct pmf_buf *out, const char *key, const struct svg *s, size_t event,
	double (*get)(const struct pmf_tree *, size_t, uint32_t))
{
	pmf_json_array(out, key);
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_json_weight(out, get(s->t, event, s->frames[i].node));
	}
	pmf_buf_addch(out, ']');
}

/* How many samples have the frame from an earlier stack; left out where none has. */
static void add_joined(struct pmf_buf *out, const struct svg *s, size_t event)
{
	if (pmf_tree_joined(s->t, event, 0) == 0)
		return;
	pmf_json_array(out, "joined");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, pmf_tree_joined(s->t, event, s->frames[i].node));
	}
	pmf_buf_addch(out, ']');
}

static void add_event(struct pmf_buf *out, const struct svg *s, size_t event)
{
	const struct pmf_profile_event *ev = &s->t->profile->events[event];

	pmf_buf_addch(out, '{');
	pmf_json_field(out, "label");
	pmf_json_string(out, pmf_profile_label(ev));
	pmf_json_field(out, "unit");
	pmf_json_string(out, pmf_profile_unit(ev));
	add_weights(out, "total", s, event, pmf_tree_total);
	if (event == s->event)
		add_weights(out, "self", s, event, pmf_tree_self);
	if (event == s->event)
		add_joined(out, s, event);
	/* What the ± of a share follows from: samples of unequal weight know less. */
	pmf_json_field(out, "effective");
	pmf_json_weight(out, pmf_tree_effective_samples(s->t, event));
	pmf_json_array(out, "samples");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, pmf_tree_samples(s->t, event, s->frames[i].node));
	}
	pmf_buf_addstr(out, "]}");
}

/* Functions, flat: name, kind, module, path, file, colour class, first line; strings by place. */
static void add_funcs(struct pmf_buf *out, const struct svg *s, const struct pmf_id_table *funcs,
	struct pmf_id_table *strings)
{
	pmf_json_array(out, "funcs");
	for (size_t i = 0; i < funcs->n; i++) {
		const struct pmf_func *f = &s->t->funcs[funcs->items[i]];
		uint32_t name = pmf_id_table_add(strings, f->name),
			 module = pmf_id_table_add(strings, f->module);
		uint32_t path = pmf_id_table_add(strings, f->path),
			 file = pmf_id_table_add(strings, f->file);

		pmf_json_comma(out, i);
		pmf_buf_printf(out,
			"%" PRIu32 ",%d,%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32,
			name, (int)f->kind, module, path, file,
			s->diff ? 0 : s->class_of_colour[s->colour_of_func[funcs->items[i]]],
			f->start_line);
	}
	pmf_buf_addch(out, ']');
	pmf_json_labels(out, s->t, funcs, strings);
}

static void add_frames(struct pmf_buf *out, const struct svg *s, struct pmf_id_table *funcs)
{
	pmf_json_array(out, "depth");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, s->t->nodes[s->frames[i].node].depth);
	}
	pmf_buf_addch(out, ']');
	pmf_json_array(out, "func");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, pmf_id_table_add(funcs, s->t->nodes[s->frames[i].node].func));
	}
	pmf_buf_addch(out, ']');
}

/* A change is what event "now" has more than event "before", which @scale makes comparable. */
static void add_diff(struct pmf_buf *out, const struct svg *s)
{
	const struct svg_diff *sd = s->diff;
	bool before = s->event != sd->event;
	size_t other = before ? sd->event : sd->d->nr_events + sd->event;
	/* Where it stands when the drawn one is put first. */
	size_t place = other < s->event ? other + 1 : other;

	pmf_json_field(out, "diff");
	pmf_buf_printf(out, "{\"now\":%zu,\"before\":%zu,\"scale\":%.15g", before ? place : 0,
		before ? 0 : place, sd->d->scale[sd->event]);
	pmf_json_array(out, "colour");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, s->class_of_colour[pmf_svg_colour(s, i)]);
	}
	pmf_buf_addch(out, ']');
	pmf_json_array(out, "error");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_json_weight(out, sd->changes[s->frames[i].node].error);
	}
	pmf_buf_addch(out, ']');
	pmf_json_array(out, "real");
	for (size_t i = 0; i < s->n; i++) {
		pmf_json_comma(out, i);
		pmf_buf_addu64(out, sd->changes[s->frames[i].node].real);
	}
	pmf_buf_addstr(out, "]}");
}

void pmf_svg_add_data(struct pmf_buf *out, const struct svg *s)
{
	struct pmf_id_table funcs, strings;

	pmf_id_table_init(&funcs, s->t->nr_funcs);
	pmf_id_table_init(&strings, pmf_tree_nr_strings(s->t));
	pmf_buf_addch(out, '{');
	pmf_json_field(out, "title");
	pmf_json_string(out, s->title);
	add_frames(out, s, &funcs);
	add_funcs(out, s, &funcs, &strings);
	pmf_json_strings(out, s->t, &strings);
	/* The event that is drawn comes first; the others are for the tooltip. */
	pmf_json_array(out, "events");
	add_event(out, s, s->event);
	for (size_t e = 0; e < s->t->profile->nr_events; e++) {
		if (e != s->event) {
			pmf_buf_addch(out, ',');
			add_event(out, s, e);
		}
	}
	pmf_buf_addch(out, ']');
	if (s->diff)
		add_diff(out, s);
	pmf_json_field(out, "ledger");
	pmf_json_lines(out, pmf_buf_str(&s->ledger));
	pmf_buf_addch(out, '}');
	pmf_id_table_release(&funcs);
	pmf_id_table_release(&strings);
}
