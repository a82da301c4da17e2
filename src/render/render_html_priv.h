/* The report in two files: render_html.c writes the page, render_html_data.c its block of data. */
#ifndef PMF_RENDER_HTML_PRIV_H
#define PMF_RENDER_HTML_PRIV_H

#include "render_priv.h"

/* Append the JSON object that web/report_model.js reads: all of @t, every event a column. */
void pmf_html_add_data(struct pmf_buf *out, const struct pmf_tree *t, const char *title);

#endif
