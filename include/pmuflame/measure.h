/* pmuflame/measure.h - run a command once under its events and get the numbers.
 * Layer: study (uses base, profile). Threads: the calling one.
 *
 * Each run is a `pmuflame record` of its own, so that a run which fails, crashes or is stopped leaves
 * its caller's numbers alone, and the next one starts like the first (docs/adr/0017). */
#ifndef PMUFLAME_MEASURE_H
#define PMUFLAME_MEASURE_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/study.h"
#include <stddef.h>
#include <stdint.h>

/* What one event counted in a run. */
struct pmf_count {
	char *event, *unit; /* the profile's label, and "ns" or "events" */
	double count;       /* scaled by multiplexing */
	double scale;       /* 1: the event always had a counter */
	uint64_t samples;
};

struct pmf_measured {
	int status;     /* of `pmuflame record`: the command's own, or 125 to 127 */
	double seconds; /* wall clock of the command */
	double work;    /* units that the run did; 0: the target has none */
	struct pmf_count *counts;
	size_t nr_counts;
	char *profile_path; /* FOLDER/NAME.pb.gz */
	char *host;         /* machine and kernel; "" if not known */
};

struct pmf_measure_opts {
	char *const *command;            /* NULL-terminated: COMMAND|TARGET [ARG...] */
	const struct pmf_target *target; /* that it names, for its work; NULL: it is a command */
	char *const *specs;              /* --event; none: what record takes then */
	size_t nr_specs;
	char *const *record_args; /* more options for record */
	size_t nr_record_args;
	const char *folder, *name; /* of the files that are written */
	/* Called about five times a second while the command runs: a signal to end it with, or 0 to go
	 * on. May be NULL. */
	int (*tick)(void *ctx);
	void *ctx;
};

/* Run it, with the profile in FOLDER/NAME.pb.gz and the command's standard output in FOLDER/NAME.out;
 * its standard input is empty, its standard error the caller's. A command that fails is no error here:
 * see m->status. A negative status if there is no profile, as for a command that cannot be executed;
 * m->status is set nonetheless, and record has said why on standard error; or if the output does not
 * say what the target's work was. Release @m whatever the result. */
int pmf_measure_run(
	struct pmf_measured *m, const struct pmf_measure_opts *opts, struct pmf_err *err);
/* The same of an earlier run that ended with status 0, from its files. */
int pmf_measure_load(
	struct pmf_measured *m, const struct pmf_measure_opts *opts, struct pmf_err *err);
/* What the run counted that made @p: all but the status, the work and the path. @m begins zeroed. */
void pmf_measured_of(struct pmf_measured *m, const struct pmf_profile *p);
void pmf_measured_release(struct pmf_measured *m);

#endif
