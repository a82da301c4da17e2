/* The flame graph as one SVG file that needs nothing else.
 *
 * Everything that can be seen is drawn here, so that the picture is right where no script runs
 * (<img> on a code-hosting page). Frames of one colour are one <path>: a hundred thousand
 * rectangles as elements of their own are what makes other flame graphs slow to open. svg.js,
 * embedded behind its data, then draws from the data whatever the view needs, and finds the frame
 * under the pointer by arithmetic. */
#include "pmuflame/units.h"
#include "render_svg_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The sources in web/, embedded by scripts/embed. */
extern const unsigned char pmf_web_svg_css[], pmf_web_svg_js[];

/* Pixels; svg.js has the same. The chart begins below HEAD, unless the script finds less room.
 * Fixed-width fonts are 0.6 em wide (DejaVu, Menlo, Consolas: 0.55). */
enum { PAD = 10, ROW = 18, HEAD = 78, STATUS = 30, FOOT_LINE = 16, EMPTY_HEIGHT = 90 };
#define DEFAULT_WIDTH 1200.0
#define LABEL_EM 7.3 /* 12 px and a little */
#define FOOT_EM 6.7  /* 11 px */
#define LEGEND_EM 7.0
/* At least; and what is left out unasked, so that a file opens at once: a frame is a number per event
 * and a few more, and so many make less than 2 MB. What can be seen is never left out. */
#define MIN_PX 0.1
#define MIN_PX_UNASKED 1.0
enum { MAX_NUMBERS = 50000 };

static const struct {
	enum pmf_frame_kind kind;
	const char *text;
} legend[] = {
	{PMF_FRAME_NATIVE, "native"},
	{PMF_FRAME_INLINED, "inlined"},
	{PMF_FRAME_PYTHON, "Python"},
	{PMF_FRAME_JIT, "JIT"},
	{PMF_FRAME_KERNEL, "kernel"},
	{PMF_FRAME_SPECIAL, "not attributed"},
};

static const struct {
	enum pmf_paint paint;
	const char *text;
} paint_legend[] = {
	{PMF_PAINT_SHRANK + 3, "-50% or gone"},
	{PMF_PAINT_SHRANK + 2, "-25%"},
	{PMF_PAINT_SHRANK + 1, "-10%"},
	{PMF_PAINT_SHRANK, "shrank"},
	{PMF_PAINT_CHANCE, "not supported by the samples"},
	{PMF_PAINT_GREW, "grew"},
	{PMF_PAINT_GREW + 1, "+10%"},
	{PMF_PAINT_GREW + 2, "+25%"},
	{PMF_PAINT_GREW + 3, "+100% or new"},
};

static void add_xml(struct pmf_buf *out, const char *s)
{
	pmf_text_add(out, s, strlen(s), PMF_TEXT_XML);
}

static double chart_width(const struct svg *s)
{
	return s->width - 2 * PAD;
}

static double chart_height(const struct svg *s)
{
	return s->n ? (s->depth + 1.0) * ROW : EMPTY_HEIGHT;
}

/* Choose what is drawn and lay it out: callees from the left of their caller, what is left of it at
 * the right being its own weight and what was too narrow. */
static void lay_out_from(struct svg *s, double min_px)
{
	const struct pmf_tree *t = s->t;
	double scale = s->total > 0 ? chart_width(s) / s->total : 0;
	uint32_t *place = pmf_calloc(t->nr_nodes, sizeof *place);

	s->min_px = min_px;
	s->n = s->pruned = s->depth = 0;
	s->pruned_weight = 0;
	for (uint32_t i = 0; i < t->nr_nodes && s->total > 0; i++) {
		struct svg_frame f = {.node = i, .parent = UINT32_MAX, .x = PAD};
		double weight = pmf_tree_total(t, s->event, i);

		place[i] = UINT32_MAX;
		if (weight <= 0)
			continue;
		f.width = weight * scale;
		if (i > 0)
			f.parent = place[t->nodes[i].parent];
		if ((i > 0 && f.parent == UINT32_MAX) || f.width < min_px) {
			s->pruned++;
			if (f.parent != UINT32_MAX)
				s->pruned_weight += weight;
			continue;
		}
		if (i > 0 && s->frames) {
			f.x = s->frames[f.parent].next_x;
			s->frames[f.parent].next_x += f.width;
		}
		f.next_x = f.x;
		place[i] = (uint32_t)s->n;
		s->depth = PMF_MAX(s->depth, t->nodes[i].depth);
		PMF_PUSH(s->frames, s->n, s->cap) = f;
	}
	free(place);
}

static void lay_out(struct svg *s, double min_px)
{
	lay_out_from(s, min_px > 0 ? min_px : MIN_PX);
	while (min_px <= 0 && s->min_px < MIN_PX_UNASKED &&
		s->n * (s->t->profile->nr_events + 1) > MAX_NUMBERS)
		lay_out_from(s, fmin(s->min_px * M_SQRT2, MIN_PX_UNASKED));
}

unsigned pmf_svg_colour(const struct svg *s, size_t i)
{
	uint32_t node = s->frames[i].node;

	if (s->diff)
		return pmf_colour_of_paint((enum pmf_paint)s->diff->paints[node]);
	return s->colour_of_func[s->t->nodes[node].func];
}

static void choose_colours(struct svg *s)
{
	const struct pmf_tree *t = s->t;
	const struct pmf_strtab *strs = &t->profile->strings;
	size_t all = pmf_colour_of_paint(PMF_PAINTS);

	s->colour_of_func = pmf_calloc(t->nr_funcs, sizeof *s->colour_of_func);
	s->class_of_colour = pmf_calloc(all, sizeof *s->class_of_colour);
	memset(s->class_of_colour, 0xff, all * sizeof *s->class_of_colour);
	for (size_t i = 0; i < t->nr_funcs; i++)
		s->colour_of_func[i] =
			pmf_colour_of(t->funcs[i].kind, pmf_strtab_get(strs, t->funcs[i].module),
				pmf_tree_string(t, t->funcs[i].name));
	for (size_t i = 0; i < s->n; i++) {
		unsigned colour = pmf_svg_colour(s, i);

		if (s->class_of_colour[colour] == UINT32_MAX) {
			s->class_of_colour[colour] = (uint32_t)s->nr_colours;
			PMF_PUSH(s->colours, s->nr_colours, s->cap_colours) = colour;
		}
	}
}

static void add_palette(struct pmf_buf *out, const struct svg *s, bool dark)
{
	for (size_t i = 0; i < s->nr_colours; i++)
		if (s->colours[i] / PMF_COLOURS_PER_KIND != PMF_FRAME_SPECIAL)
			pmf_buf_printf(
				out, ".c%zu{fill:#%06x}\n", i, pmf_colour_rgb(s->colours[i], dark));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(paint_legend) && s->diff; i++)
		pmf_buf_printf(out, ".p%d{fill:#%06x}\n", (int)paint_legend[i].paint,
			pmf_colour_rgb(pmf_colour_of_paint(paint_legend[i].paint), dark));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(legend) && !s->diff; i++)
		if (legend[i].kind != PMF_FRAME_SPECIAL)
			pmf_buf_printf(out, ".k%d{fill:#%06x}\n", (int)legend[i].kind,
				pmf_colour_rgb(pmf_colour_of_kind(legend[i].kind), dark));
}

static void add_start(struct pmf_buf *out, const struct svg *s, double height)
{
	pmf_buf_printf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pmf\" width=\"%.0f\" "
		"height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"pmf-title pmf-desc\">\n"
		"<title id=\"pmf-title\">",
		s->width, height, s->width, height);
	add_xml(out, s->title);
	pmf_buf_addstr(out,
		"</title>\n<desc id=\"pmf-desc\">Flame graph: the width of a frame is its share "
		"of the event, its callees stand on it. ");
	pmf_text_add(
		out, pmf_buf_str(&s->ledger), strcspn(pmf_buf_str(&s->ledger), "\n"), PMF_TEXT_XML);
	pmf_buf_addstr(out, "</desc>\n<style><![CDATA[\n");
	pmf_buf_addstr(out, (const char *)pmf_web_svg_css);
	pmf_buf_addstr(out, "/* palette */\n");
	add_palette(out, s, false);
	pmf_buf_addstr(out, "@media (prefers-color-scheme:dark){\n");
	add_palette(out, s, true);
	pmf_buf_addstr(out,
		"}\n]]></style>\n"
		"<defs><pattern id=\"pmf-hatch\" width=\"6\" height=\"6\" "
		"patternUnits=\"userSpaceOnUse\" "
		"patternTransform=\"rotate(45)\"><rect class=\"h0\" width=\"6\" height=\"6\"/>"
		"<rect class=\"h1\" width=\"2\" height=\"6\"/></pattern></defs>\n"
		"<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n");
}

/* Coordinates in tenths of a pixel, without the ".0" that most have. */
static void add_px(struct pmf_buf *out, double px)
{
	uint64_t tenths = (uint64_t)llround(fmax(px, 0) * 10);

	pmf_buf_addu64(out, tenths / 10);
	if (tenths % 10) {
		pmf_buf_addch(out, '.');
		pmf_buf_addu64(out, tenths % 10);
	}
}

static double frame_top(const struct svg *s, const struct svg_frame *f)
{
	return HEAD + (double)(s->depth - s->t->nodes[f->node].depth) * ROW;
}

static void add_frames(struct pmf_buf *out, const struct svg *s)
{
	struct pmf_buf *paths = pmf_calloc(s->nr_colours, sizeof *paths);

	for (size_t i = 0; i < s->n; i++) {
		const struct svg_frame *f = &s->frames[i];
		struct pmf_buf *d = &paths[s->class_of_colour[pmf_svg_colour(s, i)]];
		double width = f->width > 2 ? f->width - 0.5 : f->width;

		pmf_buf_addch(d, 'M');
		add_px(d, f->x);
		pmf_buf_addch(d, ' ');
		add_px(d, frame_top(s, f));
		pmf_buf_addch(d, 'h');
		add_px(d, width);
		pmf_buf_addch(d, 'v');
		pmf_buf_addu64(d, ROW - 1);
		pmf_buf_addstr(d, "h-");
		add_px(d, width);
		pmf_buf_addch(d, 'z');
	}
	pmf_buf_addstr(out, "<g id=\"pmf-frames\">\n");
	for (size_t i = 0; i < s->nr_colours; i++) {
		if (s->colours[i] / PMF_COLOURS_PER_KIND == PMF_FRAME_SPECIAL)
			pmf_buf_addstr(out, "<path class=\"sp\" d=\"");
		else
			pmf_buf_printf(out, "<path class=\"c%zu\" d=\"", i);
		pmf_buf_add(out, paths[i].data, paths[i].len);
		pmf_buf_addstr(out, "\"/>\n");
		pmf_buf_release(&paths[i]);
	}
	pmf_buf_addstr(out, "</g>\n");
	free(paths);
}

static void add_labels(struct pmf_buf *out, const struct svg *s)
{
	struct pmf_buf label = PMF_BUF_INIT;

	pmf_buf_addstr(out, "<g id=\"pmf-labels\" class=\"lb\">\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct svg_frame *f = &s->frames[i];
		double room = (f->width - 6) / LABEL_EM;

		pmf_buf_clear(&label);
		if (room > 0)
			pmf_text_shorten(&label,
				pmf_render_func_label(s->t, s->t->nodes[f->node].func),
				(size_t)room);
		if (label.len == 0)
			continue;
		pmf_buf_addstr(out, "<text x=\"");
		add_px(out, f->x + 3);
		pmf_buf_printf(out, "\" y=\"%.0f\">", frame_top(s, f) + 12.5);
		pmf_text_add(out, label.data, label.len, PMF_TEXT_XML);
		pmf_buf_addstr(out, "</text>\n");
	}
	pmf_buf_addstr(out, "</g>\n");
	pmf_buf_release(&label);
}

static void add_swatch(
	struct pmf_buf *out, const char *class, int number, const char *text, double *x)
{
	pmf_buf_printf(out, "<rect class=\"%s", class);
	if (number >= 0)
		pmf_buf_printf(out, "%d", number);
	pmf_buf_printf(out,
		"\" x=\"%.0f\" y=\"57\" width=\"11\" height=\"11\" rx=\"2\"/>"
		"<text class=\"su\" x=\"%.0f\" y=\"66\">%s</text>\n",
		*x, *x + 16, text);
	*x += 32 + LEGEND_EM * (double)strlen(text);
}

static void add_legend(struct pmf_buf *out, const struct svg *s)
{
	bool drawn[PMF_FRAME_KINDS] = {false};
	double x = PAD;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(paint_legend) && s->diff; i++)
		add_swatch(out, "p", (int)paint_legend[i].paint, paint_legend[i].text, &x);
	for (size_t i = 0; i < s->nr_colours && !s->diff; i++)
		drawn[s->colours[i] / PMF_COLOURS_PER_KIND] = true;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(legend); i++) {
		if (!drawn[legend[i].kind])
			continue;
		if (legend[i].kind == PMF_FRAME_SPECIAL)
			add_swatch(out, "sp", -1, legend[i].text, &x);
		else
			add_swatch(out, "k", (int)legend[i].kind, legend[i].text, &x);
	}
}

static void add_head(struct pmf_buf *out, const struct svg *s)
{
	const char *main_line = pmf_buf_str(&s->ledger);
	struct pmf_buf text = PMF_BUF_INIT;

	pmf_buf_printf(out,
		"<g id=\"pmf-head\">\n<rect class=\"page\" width=\"100%%\" height=\"%d\"/>\n"
		"<text class=\"ti\" x=\"%d\" y=\"27\">",
		HEAD - 4, PAD);
	pmf_text_shorten(&text, s->title, (size_t)(chart_width(s) / 10));
	pmf_text_add(out, pmf_buf_str(&text), text.len, PMF_TEXT_XML);
	pmf_buf_printf(out, "</text>\n<text class=\"su\" x=\"%d\" y=\"46\">", PAD);
	pmf_text_add(out, main_line, strcspn(main_line, "\n"), PMF_TEXT_XML);
	pmf_buf_addstr(out, "</text>\n<g id=\"pmf-legend\">\n");
	add_legend(out, s);
	pmf_buf_addstr(out, "</g>\n</g>\n");
	pmf_buf_release(&text);
}

/* Append @line in lines of at most @columns, broken at spaces; returns how many. Without @out it
 * only counts. */
static size_t wrap(struct pmf_buf *out, const char *line, size_t len, size_t columns, double y)
{
	size_t lines = 0;

	while (len) {
		size_t i = 0, used = 0, space = 0, take;
		uint32_t cp;

		while (i < len && used < columns) {
			if (line[i] == ' ')
				space = i;
			i += pmf_text_decode(line + i, len - i, &cp);
			used++;
		}
		take = i < len && space ? space : i;
		if (out) {
			pmf_buf_printf(out, "<text class=\"fo\" x=\"%d\" y=\"%.0f\">",
				PAD + (lines ? 16 : 0), y + (double)lines * FOOT_LINE);
			pmf_text_add(out, line, take, PMF_TEXT_XML);
			pmf_buf_addstr(out, "</text>\n");
		}
		lines++;
		line += take;
		len -= take;
		if (len && *line == ' ') {
			line++;
			len--;
		}
	}
	return lines;
}

static size_t add_foot(struct pmf_buf *out, const struct svg *s, double y)
{
	size_t columns = (size_t)((chart_width(s) - 16) / FOOT_EM), lines = 0;
	const char *line = pmf_buf_str(&s->ledger);

	while (*line) {
		size_t len = strcspn(line, "\n");

		lines += wrap(out, line, len, columns, y + (double)lines * FOOT_LINE);
		line += len + (line[len] == '\n');
	}
	return lines;
}

static void add_empty(struct pmf_buf *out, const struct svg *s)
{
	pmf_buf_printf(out,
		"<g id=\"pmf-frames\"/>\n<g id=\"pmf-labels\" class=\"lb\">\n"
		"<rect class=\"em\" x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"%d\" rx=\"6\"/>\n"
		"<text class=\"ti\" x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">Nothing to draw: ",
		PAD, HEAD, chart_width(s), EMPTY_HEIGHT, s->width / 2, HEAD + 40);
	add_xml(out, s->ev->label ? s->ev->label : "the event");
	pmf_buf_printf(out,
		" has no samples</text>\n<text class=\"su\" x=\"%.0f\" y=\"%d\" "
		"text-anchor=\"middle\">%s</text>\n</g>\n",
		s->width / 2, HEAD + 62,
		pmf_tree_is_filtered(s->t) ? "The filter leaves nothing. What it was stands below."
		: s->ev->only_samples
			? "The recording has none. What is known about it stands below."
		: s->ev->counted == 0
			? "The counter stayed at 0. What is known about the run stands below."
			: "It counted, but no sample was taken. What is known about the run "
			  "stands below.");
}

static void make_ledger(struct svg *s)
{
	char n[PMF_UNITS_MAX], share[PMF_UNITS_MAX];

	if (s->diff)
		pmf_buf_addstr(&s->ledger, pmf_buf_str(&s->diff->ledger));
	else
		pmf_tree_ledger(s->t, s->event, &s->ledger);
	if (s->reversed)
		pmf_buf_addstr(&s->ledger,
			"picture: reversed: the functions where samples were taken stand on the "
			"root, their callers on them\n");
	if (s->pruned)
		pmf_buf_printf(&s->ledger,
			"picture: %s frames narrower than %.2g px are left out; they hold %s, "
			"which the frames below them show%s\n",
			pmf_format_count(n, s->pruned), s->min_px,
			pmf_format_percent(share, s->pruned_weight, s->total),
			s->reversed ? "" : " (--min-width draws more)");
}

static char *make_title(const struct svg *s, const struct pmf_render_opts *opts)
{
	const char *title = s->t->profile->title;

	if (opts->title)
		return pmf_strdup(opts->title);
	return pmf_asprintf(
		"%s%s%s", title ? title : "", title ? ": " : "", pmf_profile_label(s->ev));
}

static void draw(struct pmf_buf *out, const struct svg *s)
{
	double foot = HEAD + chart_height(s) + STATUS;
	double height = foot + (double)add_foot(NULL, s, 0) * FOOT_LINE + PAD;

	add_start(out, s, height);
	if (s->n) {
		add_frames(out, s);
		add_labels(out, s);
	} else {
		add_empty(out, s);
	}
	add_head(out, s);
	pmf_buf_addstr(out, "<g id=\"pmf-foot\">\n");
	add_foot(out, s, foot + 12);
	pmf_buf_addstr(out, "</g>\n<script type=\"application/json\" id=\"pmf-data\">\n");
	pmf_svg_add_data(out, s);
	pmf_buf_addstr(out, "\n</script>\n<script><![CDATA[\n(function () {\n");
	pmf_buf_addstr(out, (const char *)pmf_web_svg_js);
	pmf_buf_addstr(out, "})();\n]]></script>\n</svg>\n");
}

static void draw_tree(struct pmf_buf *out, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, const struct svg_diff *diff)
{
	struct svg s = {.t = t,
		.event = event,
		.diff = diff,
		.ev = &t->profile->events[event],
		.width = opts->width_px > 0 ? opts->width_px : DEFAULT_WIDTH,
		.total = pmf_tree_total(t, event, 0),
		.reversed = opts->reverse};

	s.title = make_title(&s, opts);
	lay_out(&s, opts->min_width_px);
	choose_colours(&s);
	make_ledger(&s);
	draw(out, &s);
	pmf_buf_release(&s.ledger);
	free(s.title);
	free(s.frames);
	free(s.colour_of_func);
	free(s.colours);
	free(s.class_of_colour);
}

int pmf_svg_render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, const struct svg_diff *diff, struct pmf_err *err)
{
	double width = opts->width_px > 0 ? opts->width_px : DEFAULT_WIDTH;
	struct pmf_buf out = PMF_BUF_INIT;

	if (width < 300 || width > 100000)
		return pmf_err_set(err, PMF_EUSAGE,
			"a flame graph %.0f px wide cannot be drawn: choose 300 to 100000", width);
	if (opts->reverse) {
		struct pmf_tree reversed;

		pmf_tree_reverse(&reversed, t, event,
			pmf_tree_total(t, event, 0) * fmax(opts->min_width_px, MIN_PX) / width);
		draw_tree(&out, &reversed, event, opts, diff);
		pmf_tree_release(&reversed);
	} else {
		draw_tree(&out, t, event, opts, diff);
	}
	fwrite(out.data, 1, out.len, f);
	pmf_buf_release(&out);
	return 0;
}

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	return pmf_svg_render(f, t, event, opts, NULL, err);
}

const struct pmf_renderer pmf_renderer_svg = {
	.name = "svg",
	.suffix = "svg",
	.per_event = true,
	.desc = "a flame graph for the browser, one self-contained file",
	.render = render,
};
