/* The report in three files: render_html.c writes the page, render_html_data.c its block of data, of which
 * render_html_code.c has the text of source files. */
#ifndef PMF_RENDER_HTML_PRIV_H
#define PMF_RENDER_HTML_PRIV_H

#include "render_priv.h"

/* Append the JSON object that web/report_model.js reads: all of @t, every event a column; and text of source
 * files unless @code is NULL. */
void pmf_html_add_data(struct pmf_buf *out, const struct pmf_tree *t, const char *title,
	const struct pmf_code_reader *code);
/* Its field "code", by @lines, a tree by line. */
void pmf_html_add_code(
	struct pmf_buf *out, const struct pmf_tree *lines, const struct pmf_code_reader *code);

#endif
