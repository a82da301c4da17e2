/* pmuflame/render.h - one file per output format behind one table.
 * Layer: render (uses base, profile). Threads: pure functions over a profile that does not change.
 * To add a format: one file src/render/render_NAME.c, one row in src/render/render.c, one golden
 * test. */
#ifndef PMUFLAME_RENDER_H
#define PMUFLAME_RENDER_H

#include "pmuflame/diff.h"
#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/table.h"
#include <stdbool.h>
#include <stdio.h>

/* A source file, as far as it could be read. */
struct pmf_code_text {
	const char *path;         /* where it was read; NULL: it was not */
	const char *note;         /* a sentence on what is wrong with it; NULL: nothing */
	const char *const *lines; /* line i is lines[i - 1], without its end; may hold anything */
	size_t n;
};

/* Where renderers have the text of source files from: they read none. */
struct pmf_code_reader {
	/* The text of @file, a path as profiles have it; it lives as long as @ctx. Never NULL. */
	const struct pmf_code_text *(*get)(void *ctx, const char *file);
	void *ctx;
};

struct pmf_render_opts {
	const char *title; /* NULL: made from the profile's title and the event's label */
	double width_px;   /* 0: the format's default */
	/* Frames of a picture that are narrower are left out. 0: as many are drawn as make a file that
	 * opens at once. */
	double min_width_px;
	const struct pmf_code_reader *code; /* for the report's source lines; NULL: without text */
	bool reverse; /* the functions where samples were taken stand below, their callers on them */
};

struct pmf_renderer {
	const char *name;   /* as in --format */
	const char *suffix; /* of the file: "svg" */
	bool per_event;     /* one file per event, else one for all (event is then 0) */
	const char *desc;
	/* Write event @event of @t to @f. Write errors are left in ferror(@f) for the caller; a
	 * negative status is for what the format cannot express. */
	int (*render)(FILE *f, const struct pmf_tree *t, size_t event,
		const struct pmf_render_opts *opts, struct pmf_err *err);
};

/* All renderers, in the order of help texts; *n of them. */
const struct pmf_renderer *const *pmf_renderers(size_t *n);
const struct pmf_renderer *pmf_renderer_by_name(const char *name, size_t len);

/* ---- Tables ---- */

enum pmf_table_form { PMF_TABLE_TEXT, PMF_TABLE_CSV, PMF_TABLE_JSON };

struct pmf_table_view {
	enum pmf_table_form form;
	bool by_total;      /* sorted by total, not by self */
	size_t max;         /* rows of an event; 0: all */
	const bool *events; /* which are wanted; NULL: all */
	const struct pmf_ratio
		*ratio; /* in every table; NULL: pmf_ratio_of's, where there is one */
	size_t columns; /* of a line of text; 0: names are never shortened */
};

/* Write a table for each event that is wanted. Write errors are left in ferror(@f). */
void pmf_render_table(FILE *f, const struct pmf_table *t, const struct pmf_table_view *v);
/* The same of a comparison; @t is a table of d->tree. v->form is text or JSON. */
void pmf_render_diff(FILE *f, const struct pmf_diff *d, const struct pmf_table *t,
	const struct pmf_table_view *v);
/* A flame graph of event @event whose colours are changes and whose widths are the costs now, or those
 * before, which shows what is gone. Errors as a renderer's. */
int pmf_render_diff_svg(FILE *f, const struct pmf_diff *d, size_t event, bool before,
	const struct pmf_render_opts *opts, struct pmf_err *err);
/* "function" and so on; NULL behind the last. */
const char *pmf_table_by_name(enum pmf_table_by by);

/* ---- Annotated source ---- */

/* Functions whose source is shown. */
struct pmf_annotation {
	const struct pmf_table *funcs; /* by PMF_BY_SOURCE */
	const struct pmf_table *lines; /* by PMF_BY_SOURCE_LINE, of the same tree */
	const uint32_t *wanted;        /* rows of @funcs, which have a file */
	size_t nr_wanted;
	struct pmf_code_reader code;
};

struct pmf_annotation_view {
	enum pmf_table_form form; /* text or JSON */
	const bool *events;       /* which are wanted; NULL: all */
	bool self_only;           /* no totals */
	/* Lines shown before and after those that cost something; SIZE_MAX: the whole function unless it
	 * is a long one. */
	size_t context;
	size_t columns; /* of a line of text; 0: none is cut */
	bool colours;   /* a terminal's */
};

/* Write the lines of each function with the costs of every event. Write errors are left in ferror(@f). */
void pmf_render_annotation(
	FILE *f, const struct pmf_annotation *a, const struct pmf_annotation_view *v);

/* ---- Text from outside, made safe ---- */

enum pmf_text_form {
	PMF_TEXT_PLAIN,
	PMF_TEXT_XML,  /* safe in elements and in quoted attributes */
	PMF_TEXT_JSON, /* the inside of a JSON string, safe in XML and in HTML's <script> too */
};
/* Append @s. Nothing in it stays unseen: ASCII's control characters become their pictures ("␛"),
 * characters that show nothing or turn text around their number ("<U+202E>"); invalid UTF-8 and what
 * else XML 1.0 does not allow ("Char", section 2.2) become U+FFFD. */
void pmf_text_add(struct pmf_buf *out, const char *s, size_t len, enum pmf_text_form form);

#endif
