/* The files of a run and its closing words. */
#ifndef PMF_OUTPUT_H
#define PMF_OUTPUT_H

#include "code_files.h"

#include "pmuflame/collect.h"
#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/render.h"
#include <stdbool.h>
#include <stddef.h>

enum { PMF_OUTPUT_MAX_FORMATS = 8 };

struct pmf_output_opts {
	const char *path; /* -o: "DIR/" or a folder that exists, or PREFIX; NULL for here */
	char *name;       /* of the target; owned */
	const struct pmf_renderer *formats[PMF_OUTPUT_MAX_FORMATS];
	size_t nr_formats;
	/* Of a run: the profile is written whatever the formats, and what the run before left is kept as
	 * NAME.prev.*. */
	bool is_run;
	char *const *inputs; /* files that must not be overwritten; borrowed */
	size_t nr_inputs;
	struct pmf_render_opts picture;
	struct pmf_code_args code; /* of the report's source lines */
	/* Set by pmf_output_prepare. */
	bool made_folder;
	char *prefix;      /* "DIR/NAME" or PREFIX */
	char *prev_prefix; /* where the run before goes: "DIR/NAME.prev"; NULL for an own PREFIX */
};

struct pmf_output_list {
	char **paths;
	size_t n, cap;
};

void pmf_output_opts_release(struct pmf_output_opts *o);
void pmf_output_list_release(struct pmf_output_list *l);

/* --format: names between commas. */
int pmf_output_formats(struct pmf_output_opts *o, const char *list, struct pmf_err *err);

/* Find out where the files go and that they can be written; makes the folder of -o DIR/. @events are the
 * events as parts of file names; @summary_path may be NULL. */
int pmf_output_prepare(struct pmf_output_opts *o, char *const *events, size_t nr_events,
	const char *summary_path, struct pmf_err *err);

/* Nothing will be written after all: leave no empty folder behind. */
void pmf_output_undo(const struct pmf_output_opts *o);

/* Write every file; @written gets the paths. Goes on after a failure, whose sentence is kept. */
int pmf_output_write(const struct pmf_tree *t, const struct pmf_output_opts *o,
	struct pmf_output_list *written, struct pmf_err *err);

/* Remove the files that pmf_output_write writes, as many as are there. */
void pmf_output_remove(const struct pmf_output_opts *o, const struct pmf_profile *p);

/* The closing summary on stderr. */
void pmf_output_summary_text(
	const struct pmf_tree *t, const struct pmf_output_list *written, int status);
/* The run's numbers as JSON; the fields are described in man/pmuflame.1, SUMMARY. A @status below 0: the run
 * goes on. */
int pmf_output_summary_json(const struct pmf_tree *t, const struct pmf_output_list *written,
	const char *path, int status, const struct pmf_collect_result *res, struct pmf_err *err);

/* Append @arg as a shell would read it, the home folder as ~. */
void pmf_output_add_quoted(struct pmf_buf *out, const char *arg);
/* All of a command. free(3) it. */
char *pmf_output_quote_command(char *const *argv);
/* What outputs say was run by the command line @words: itself, or if its first word is a target that one's
 * @script and the other words. free(3) it. */
char *pmf_output_shown_command(const char *script, char *const *words);

#endif
