/* pmuflame/sweep.h - the result of a sweep: what every run counted, and the files that say it.
 * Layer: study (uses base, profile). Threads: one owner per object.
 *
 * A sweep runs its cases (a target or command, with what was varied) several times in several passes,
 * each of which counts some of the events, never multiplexed. docs/adr/0018 says what the statistics
 * are, docs/summary.schema.json what is in summary.json. */
#ifndef PMUFLAME_SWEEP_H
#define PMUFLAME_SWEEP_H

#include "pmuflame/buf.h"
#include "pmuflame/err.h"
#include "pmuflame/stats.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_measured;
struct pmf_target;

/* Intervals in the files: 95 %. */
#define PMF_SWEEP_LEVEL 0.95

/* Quantities of every run that are no events: of wall clock, and of work where the case has a unit. */
#define PMF_SWEEP_SECONDS "seconds"
#define PMF_SWEEP_WORK "work"

/* One quantity in one pass; what every pass has (the anchor event, seconds) has one of these for each. */
struct pmf_sweep_value {
	char *name; /* an event as counted, "cycles:u", or one of the above */
	char *unit; /* "events", "ns", "s", or that of work */
	size_t pass;
	bool anchor;
	double scale; /* the largest factor for multiplexing of its runs: 1, if all is well */
	double *values; /* of the runs that succeeded: place i of all values of a pass is the same run */
	size_t n, cap;
};

struct pmf_sweep_case {
	char *target;  /* its name, or the command's */
	char *command; /* NULL: left out */
	char **vary;   /* "KEY=VALUE" */
	size_t nr_vary, cap_vary;
	char *unit, *units;             /* of work: "bar" and "bars"; NULL: the runs say of none */
	struct pmf_sweep_value *values; /* in the order in which they came */
	size_t nr_values, cap_values;
	size_t nr_failed; /* runs that did not succeed */
};

struct pmf_sweep_skipped {
	char *event, *why;
};

struct pmf_sweep_result {
	struct pmf_sweep_case *cases;
	size_t nr_cases, cap_cases;
	struct pmf_sweep_skipped *skipped; /* events that cannot run here */
	size_t nr_skipped, cap_skipped;
	char **notes; /* drift, failures: sentences */
	size_t nr_notes, cap_notes;
	char *host;
	size_t repeats, passes;
	uint64_t start_unix_ns;
};

/* A zeroed struct is an empty result. */
void pmf_sweep_release(struct pmf_sweep_result *r);

/* A new case; @command may be NULL, @t too (its unit of work is copied). It moves when another is added. */
struct pmf_sweep_case *pmf_sweep_add_case(struct pmf_sweep_result *r, const char *target,
	const char *command, const struct pmf_target *t);
void pmf_sweep_add_vary(struct pmf_sweep_case *c, const char *key_value);
/* Take what a run that succeeded counted in @pass; @anchor is that event's label, or NULL. PMF_EFORMAT
 * where it counted other events than the runs of that pass before it, or does not say its work. */
int pmf_sweep_add_run(struct pmf_sweep_case *c, size_t pass, const struct pmf_measured *m,
	const char *anchor, struct pmf_err *err);
void pmf_sweep_skip(struct pmf_sweep_result *r, const char *event, const char *why);
/* Append the names of all events, at most six, that were skipped for the same reason as event @i. False, and
 * nothing, if it was not the first of them. */
bool pmf_sweep_skipped_alike(const struct pmf_sweep_result *r, size_t i, struct pmf_buf *names);
/* The same sentence is kept once. */
void pmf_sweep_note(struct pmf_sweep_result *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Note where a case's anchor differs between its first pass and another by more than chance. */
void pmf_sweep_drift(struct pmf_sweep_result *r);

/* ---- What the runs say ---- */

/* A quantity over a case's runs, or one quantity per another. */
struct pmf_sweep_series {
	double *values; /* one per run */
	size_t n, cap;
	/* False: the two were never counted in the same run. Then there are no values; stats.n is the
	 * smaller number of runs, median and mean are the quantities' medians and means divided, the
	 * interval is that of the means' ratio, and sd, min and max are NAN. */
	bool paired;
	char *unit; /* "events", "ns", "s"; or of both: "events/bar" */
	struct pmf_stats stats;
};

/* @of, per @per if that is not NULL. Each is an event by its label, PMF_SWEEP_SECONDS or "s", or
 * PMF_SWEEP_WORK or its unit's name ("bar", "bars"). All passes that have it count. PMF_ENOTFOUND, with
 * what there is instead, for what the case does not have; PMF_EUSAGE where @per was 0 in a run. Release
 * @s if 0 was returned. Intervals are at @level. */
int pmf_sweep_series(struct pmf_sweep_series *s, const struct pmf_sweep_case *c, const char *of,
	const char *per, double level, struct pmf_err *err);
void pmf_sweep_series_release(struct pmf_sweep_series *s);

/* ---- Files ---- */

/* Append the result in one of its forms: JSON with every run's values, CSV with a row for each case and
 * quantity, a Markdown table for each case, whose columns are aligned for the terminal. What comes from
 * outside is escaped. */
void pmf_sweep_json(const struct pmf_sweep_result *r, struct pmf_buf *out);
void pmf_sweep_csv(const struct pmf_sweep_result *r, struct pmf_buf *out);
void pmf_sweep_markdown(const struct pmf_sweep_result *r, struct pmf_buf *out);
/* Write them all into @folder: summary.json, summary.csv, summary.md. */
int pmf_sweep_save(const struct pmf_sweep_result *r, const char *folder, struct pmf_err *err);

/* Read a summary.json. Release @r whatever the result; PMF_EFORMAT says where the file is wrong. */
int pmf_sweep_load(struct pmf_sweep_result *r, const char *path, struct pmf_err *err);

#endif
