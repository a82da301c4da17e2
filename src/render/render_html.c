/* The report: one HTML page that needs nothing else and shows the same stacks through every event.
 *
 * All that comes from the profiled program is in the data block, deflated and in base64, where no
 * name can end an element, and in the few lines for browsers without scripts. The page's policy lets
 * run the one script and the one style that were embedded, by their hashes, and load nothing. */
#include "pmuflame/units.h"
#include "render_html_priv.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* The sources in web/, embedded by scripts/embed, and the base64 of their SHA-256. */
extern const unsigned char pmf_web_report_css[], pmf_web_report_css_sha256[];
extern const unsigned char pmf_web_report_js[], pmf_web_report_js_sha256[];
extern const unsigned char pmf_web_report_html[];

enum { PLAIN_ROWS = 5 }; /* per event, where no script runs */

static void add_source(struct pmf_buf *out, const unsigned char *text)
{
	pmf_buf_addstr(out, (const char *)text);
}

static void add_text(struct pmf_buf *out, const char *s)
{
	pmf_text_add(out, s, strlen(s), PMF_TEXT_XML);
}

/* RFC 4648, section 4. */
static void add_base64(struct pmf_buf *out, const unsigned char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)data[i] << 16;
		char text[4];

		if (left > 1)
			bits |= (uint32_t)data[i + 1] << 8;
		if (left > 2)
			bits |= data[i + 2];
		text[0] = digits[bits >> 18];
		text[1] = digits[bits >> 12 & 63];
		text[2] = left > 1 ? digits[bits >> 6 & 63] : '=';
		text[3] = left > 2 ? digits[bits & 63] : '=';
		pmf_buf_add(out, text, sizeof text);
	}
}

static int add_data(struct pmf_buf *out, const struct pmf_tree *t, const char *title,
	const struct pmf_code_reader *code, struct pmf_err *err)
{
	struct pmf_buf json = PMF_BUF_INIT;
	unsigned char *packed;
	uLongf len;
	int ret;

	pmf_html_add_data(&json, t, title, code);
	len = compressBound((uLong)json.len);
	packed = pmf_malloc(len);
	ret = compress2(
		packed, &len, (const Bytef *)json.data, (uLong)json.len, Z_DEFAULT_COMPRESSION);
	if (ret == Z_OK)
		add_base64(out, packed, len);
	else
		pmf_err_set(
			err, PMF_ELIMIT, "zlib cannot compress the report's data: %s", zError(ret));
	free(packed);
	pmf_buf_release(&json);
	return ret == Z_OK ? 0 : PMF_ELIMIT;
}

static void add_head(struct pmf_buf *out, const char *title)
{
	pmf_buf_printf(out,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		"script-src 'sha256-%s'; style-src 'sha256-%s'; base-uri 'none'; "
		"form-action 'none'\">\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		"<meta name=\"color-scheme\" content=\"light dark\">\n"
		"<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
		(const char *)pmf_web_report_js_sha256, (const char *)pmf_web_report_css_sha256);
	add_text(out, title);
	pmf_buf_addstr(out, "</title>\n<style>");
	add_source(out, pmf_web_report_css);
	pmf_buf_addstr(out, "</style>\n</head>\n<body>\n");
	add_source(out, pmf_web_report_html);
}

/* The widest functions and the ledger of an event. */
static void add_plain_event(struct pmf_buf *out, const struct pmf_tree *t, size_t event)
{
	const struct pmf_profile_event *ev = &t->profile->events[event];
	struct pmf_buf ledger = PMF_BUF_INIT;
	struct pmf_func_cost top[PLAIN_ROWS];
	size_t n = pmf_tree_top(t, event, ev->in_kernel, top, PLAIN_ROWS);
	char share[PMF_UNITS_MAX];

	pmf_buf_addstr(out, "<h2>");
	add_text(out, pmf_profile_label(ev));
	pmf_buf_addstr(out, "</h2>\n<table><tr><th>self</th><th>function</th></tr>\n");
	for (size_t i = 0; i < n; i++) {
		pmf_buf_printf(out, "<tr><td>%s</td><td>",
			pmf_format_percent(share, top[i].self, pmf_tree_total(t, event, 0)));
		add_text(out, pmf_render_func_label(t, top[i].func));
		pmf_buf_addstr(out, "</td></tr>\n");
	}
	pmf_tree_ledger(t, event, &ledger);
	pmf_buf_addstr(out, "</table>\n<pre>");
	for (const char *line = pmf_buf_str(&ledger); *line;) {
		size_t len = strcspn(line, "\n");

		pmf_text_add(out, line, len, PMF_TEXT_XML);
		pmf_buf_addch(out, '\n');
		line += len + (line[len] == '\n');
	}
	pmf_buf_addstr(out, "</pre>\n");
	pmf_buf_release(&ledger);
}

static void add_plain(struct pmf_buf *out, const struct pmf_tree *t, const char *title)
{
	pmf_buf_addstr(out, "<noscript>\n<h1>");
	add_text(out, title);
	pmf_buf_addstr(out,
		"</h1>\n<p>The flame graphs need scripts, which this browser does not run. "
		"The functions with the most of each event:</p>\n");
	for (size_t e = 0; e < t->profile->nr_events; e++)
		add_plain_event(out, t, e);
	pmf_buf_addstr(out, "</noscript>\n");
}

static bool has_threads(const struct pmf_profile *p)
{
	for (size_t i = 0; i < p->nr_frames; i++)
		if (p->frames[i].kind == PMF_FRAME_THREAD)
			return true;
	return false;
}

/* The page shows threads apart or together, as its reader likes: its data has them apart. */
static int add_threads_data(struct pmf_buf *out, const struct pmf_tree *t, const char *title,
	const struct pmf_code_reader *code, struct pmf_err *err)
{
	struct pmf_tree_opts opts = t->opts;
	struct pmf_tree apart;
	int ret;

	if (t->opts.threads || !has_threads(t->profile))
		return add_data(out, t, title, code, err);
	opts.threads = true;
	pmf_tree_build(&apart, t->profile, &opts);
	ret = add_data(out, &apart, title, code, err);
	pmf_tree_release(&apart);
	return ret;
}

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	const char *title = opts->title ? opts->title : t->profile->title;
	struct pmf_buf out = PMF_BUF_INIT;
	int ret;

	(void)event;
	if (!title)
		title = "pmuflame";
	add_head(&out, title);
	add_plain(&out, t, title);
	pmf_buf_addstr(&out, "<script type=\"application/octet-stream\" id=\"data\">");
	ret = add_threads_data(&out, t, title, opts->code, err);
	pmf_buf_addstr(&out, "</script>\n<script>");
	add_source(&out, pmf_web_report_js);
	pmf_buf_addstr(&out, "</script>\n</body>\n</html>\n");
	if (ret == 0)
		fwrite(out.data, 1, out.len, f);
	pmf_buf_release(&out);
	return ret;
}

const struct pmf_renderer pmf_renderer_html = {
	.name = "html",
	.suffix = "html",
	.per_event = false,
	.desc = "a report for the browser: all events, linked, in one self-contained file",
	.render = render,
};
