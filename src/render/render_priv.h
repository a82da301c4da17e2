/* What the renderers of src/render share: text made safe, names made short, colours. */
#ifndef PMF_RENDER_PRIV_H
#define PMF_RENDER_PRIV_H

#include "pmuflame/buf.h"
#include "pmuflame/profile.h"
#include "pmuflame/render.h"

extern const struct pmf_renderer pmf_renderer_svg;
extern const struct pmf_renderer pmf_renderer_html;
extern const struct pmf_renderer pmf_renderer_folded;
extern const struct pmf_renderer pmf_renderer_speedscope;
extern const struct pmf_renderer pmf_renderer_callgrind;
extern const struct pmf_renderer pmf_renderer_json;
extern const struct pmf_renderer pmf_renderer_pprof;

/* ---- render_text.c ---- */

/* Decode one character of @s (@len > 0 bytes) into @cp; returns its bytes. What is not UTF-8 (RFC
 * 3629) is one byte long and U+FFFD. */
size_t pmf_text_decode(const char *s, size_t len, uint32_t *cp);

/* Append @s as a JSON string, quotes included. */
void pmf_json_text(struct pmf_buf *out, const char *s, size_t len);
void pmf_json_string(struct pmf_buf *out, const char *s);

/* Columns that @s takes in a fixed-width font; wide characters (CJK, emoji) count two. */
size_t pmf_text_columns(const char *s);

/* Append @name, made short so that it takes at most @columns: template arguments go first, then
 * parameters, then leading namespaces, then the end, each leaving "…" where something went. Adds
 * nothing when not even three columns are there. svg.js has the same rules. */
void pmf_text_shorten(struct pmf_buf *out, const char *name, size_t columns);

/* Append @line, of a source file, made safe: tabs are spaces up to the next multiple of 8, and it takes at
 * most @columns (SIZE_MAX: however many). */
void pmf_text_add_code(
	struct pmf_buf *out, const char *line, size_t columns, enum pmf_text_form form);

/* A function's own name, or "[unknown]"; what people are shown; what programs are told that know a function
 * by nothing else. */
const char *pmf_render_func_name(const struct pmf_tree *t, uint32_t func);
const char *pmf_render_func_label(const struct pmf_tree *t, uint32_t func);
const char *pmf_render_func_id(const struct pmf_tree *t, uint32_t func);

/* Scaled events as the whole number that formats without fractions show. */
uint64_t pmf_render_events(double weight);

/* Write @out to @f and empty it once it holds more than @bytes: files may be larger than memory
 * should be. */
enum { PMF_RENDER_CHUNK = 1 << 16 };
void pmf_render_flush(struct pmf_buf *out, FILE *f, size_t bytes);

/* ---- render_data.c ---- */

/* Ids of strings or functions → places in the table of one file, in the order of their first use. */
struct pmf_id_table {
	uint32_t *place; /* UINT32_MAX: not there */
	uint32_t *items;
	size_t n, cap;
};
void pmf_id_table_init(struct pmf_id_table *t, size_t ids);
void pmf_id_table_release(struct pmf_id_table *t);
uint32_t pmf_id_table_add(struct pmf_id_table *t, uint32_t id);

/* Append a part of JSON. A field puts a comma before itself, unless it is the first of its object. */
void pmf_json_comma(struct pmf_buf *out, size_t i); /* before element @i of an array */
void pmf_json_field(struct pmf_buf *out, const char *key);
void pmf_json_array(struct pmf_buf *out, const char *key); /* a field, up to its "[" */
/* Big counts are whole; small scaled ones keep their fraction. */
void pmf_json_weight(struct pmf_buf *out, double weight);
/* The field "strings": the table's strings. */
void pmf_json_strings(
	struct pmf_buf *out, const struct pmf_tree *t, const struct pmf_id_table *strings);
/* The field "labels", by place in @funcs (NULL: by number) of each function that is not shown by its name
 * alone: its place and its label's in @strings. */
void pmf_json_labels(struct pmf_buf *out, const struct pmf_tree *t,
	const struct pmf_id_table *funcs, struct pmf_id_table *strings);
/* An array: the lines of @text; those of event @event's ledger. */
void pmf_json_lines(struct pmf_buf *out, const char *text);
void pmf_json_ledger(struct pmf_buf *out, const struct pmf_tree *t, size_t event);

/* ---- render_table.c ---- */

bool pmf_view_wants(const struct pmf_table_view *v, size_t event);
/* How many of @n rows are shown. */
size_t pmf_view_rows(const struct pmf_table_view *v, size_t n);
/* Append what was counted of @event, what part of it @t shows, and what makes its numbers doubtful. */
void pmf_view_add_head(struct pmf_buf *out, const struct pmf_tree *t, size_t event);
/* The ratio in the table of @event, if there is one; @room is for that. */
const struct pmf_ratio *pmf_view_ratio(const struct pmf_table *t, const struct pmf_table_view *v,
	size_t event, struct pmf_ratio *room);
/* The ratio of what the table is sorted by, in @row. False where one of the two was not seen there. */
bool pmf_view_row_ratio(const struct pmf_table *t, const struct pmf_table_view *v,
	const struct pmf_ratio *r, size_t row, double *out, bool *few);
/* render_annotate.c: append what is wrong with a file of which line @last is to be shown, if anything. */
void pmf_code_note(struct pmf_buf *out, const struct pmf_code_text *text, uint32_t last);
/* render_lines.c: the text of a table by PMF_BY_LINE. */
void pmf_render_lines(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v);
/* Write @cost of event @ev into @out (PMF_UNITS_MAX bytes), in at most three digits where it counts
 * events: "1.23 s", "1.20 G". */
char *pmf_render_cost(const struct pmf_profile_event *ev, double cost, char *out);
/* Append the module of @row in @module_columns, where its table has one, and its name, so that the
 * line that @out holds is at most @columns wide (0: however wide). */
void pmf_table_add_name(struct pmf_buf *out, const struct pmf_table_row *row, enum pmf_table_by by,
	size_t module_columns, size_t columns);

/* ---- render_colour.c ---- */

enum { PMF_COLOUR_STEPS = 4, PMF_COLOURS_PER_KIND = PMF_COLOUR_STEPS * PMF_COLOUR_STEPS };

/* The colour's number of a function: kind × PMF_COLOURS_PER_KIND + a shade by module and name, the
 * same in every run. */
unsigned pmf_colour_of(enum pmf_frame_kind kind, const char *module, const char *name);
/* Its 0xrrggbb, for a light or a dark page. */
unsigned pmf_colour_rgb(unsigned colour, bool dark);
/* The colour that stands for the whole kind, in a legend. */
unsigned pmf_colour_of_kind(enum pmf_frame_kind kind);

/* Colours of changes, from the smallest to the largest. */
enum pmf_paint {
	PMF_PAINT_CHANCE,
	PMF_PAINT_GREW,
	PMF_PAINT_SHRANK = PMF_PAINT_GREW + 4,
	PMF_PAINTS = PMF_PAINT_SHRANK + 4,
};
/* The number of the colour, beyond those of kinds. */
unsigned pmf_colour_of_paint(enum pmf_paint paint);

#endif
