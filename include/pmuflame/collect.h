/* pmuflame/collect.h - record a command, or what runs already, and make the profile.
 * Layer: collect (wires source → process → unwind → profile → symbol). Threads: the calling one
 * only; signals are blocked and read from a descriptor while a run lasts, and after one that a
 * signal ended SIGINT, SIGTERM and SIGHUP stay blocked, so that the profile can be written. While source
 * lines are waited for, those end the waiting instead of the program, and stay blocked, too. */
#ifndef PMUFLAME_COLLECT_H
#define PMUFLAME_COLLECT_H

#include "pmuflame/err.h"
#include "pmuflame/event.h"
#include "pmuflame/perf_data.h"
#include "pmuflame/profile.h"
#include "pmuflame/sandbox.h"
#include "pmuflame/source.h"
#include "pmuflame/unwind.h"
#include <stdbool.h>
#include <stdint.h>

/* ---- Which events ---- */

struct pmf_plan_opts {
	char **specs; /* the --event arguments */
	size_t nr_specs;
	uint64_t period, freq_hz; /* -c, -F; 0 if not given */
	bool strict;              /* neither the cycles fallback nor dropped preset members */
};

/* Parse the specs, drop from presets what cannot run here, fill in rates, and replace plain cycles
 * by cpu-clock where there is no PMU (event->fallback_reason then says why). @list must be
 * empty. */
int pmf_plan_events(
	struct pmf_event_list *list, const struct pmf_plan_opts *opts, struct pmf_err *err);

/* ---- One run ---- */

struct pmf_progress {
	const struct pmf_profile *profile; /* whose events they are */
	const uint64_t *samples;           /* per event, so far */
	uint64_t elapsed_ns;
	uint64_t lost; /* records lost so far, of any kind */
};
typedef void pmf_progress_cb(void *ctx, const struct pmf_progress *progress);

/* How far the naming of source lines is, once nothing is recorded any more. */
struct pmf_naming_progress {
	size_t done, total; /* addresses */
	uint64_t elapsed_ns;
	const char *fetching; /* what comes from a server of debug files, and how much of it; "" */
};
typedef void pmf_naming_cb(void *ctx, const struct pmf_naming_progress *progress);

/* What is looked up for the frames of a finished recording. */
enum pmf_naming_depth {
	PMF_NAMES_LINES, /* functions, and where asked for source lines and inlined functions */
	PMF_NAMES_FUNCTIONS,
	PMF_NAMES_NONE, /* modules and addresses have to do */
};
typedef enum pmf_naming_depth pmf_naming_depth_cb(void *ctx);

/* The most that a sample's dump can hold: perf_event_open(2), sample_stack_user. */
enum { PMF_STACK_BYTES_MAX = 65528 };

/* Whether Python frames are wanted: where they can be had, or else the run fails. */
enum pmf_python_mode { PMF_PYTHON_AUTO, PMF_PYTHON_YES, PMF_PYTHON_NO };

/* Who is recorded: the command, or whoever runs already. All is borrowed. */
struct pmf_collect_who {
	enum pmf_perf_target target;
	/* TASKS: processes with all their threads or, with @single, just these threads. */
	const pid_t *pids;
	size_t nr_pids;
	bool single;
	const char *cgroup; /* CGROUP: its folder, or the path of it below the mounted hierarchy */
	const char *cpus;   /* what runs there, "0-3,8"; NULL: everywhere */
};

/* Profiles of a run that goes on (docs/adr/0026): snapshots of what there is so far, when SIGUSR1 comes, and
 * intervals, each of which begins where the last one ended. */
enum pmf_part_kind { PMF_PART_SNAPSHOT, PMF_PART_INTERVAL };
struct pmf_part {
	enum pmf_part_kind kind;
	unsigned number; /* of its kind, from 1 */
	uint64_t
		expired_unix_ns; /* the start of the interval that is not to be kept any more; or 0 */
};
struct pmf_part_opts {
	uint64_t rotate_ns; /* how long an interval is; 0: the run is one */
	size_t keep;        /* so many intervals, 0: all */
	/* Write @p, whose start_unix_ns no other interval of the run has. This is called in a process of its
	 * own, a copy of this one, that ends with it. 0, or a negative status. */
	int (*write)(
		void *ctx, struct pmf_profile *p, const struct pmf_part *part, struct pmf_err *err);
	/* @part is not there, and why; in this process or in its copy. The run goes on. */
	void (*failed)(void *ctx, const struct pmf_part *part, const struct pmf_err *why);
	void *ctx;
};

struct pmf_collect_opts {
	struct pmf_collect_who who;
	/* The command, NULL-terminated. With who.target other than COMMAND it only says how long to record,
	 * or is NULL: until duration_ns is over, until a signal, or until all of who.pids have ended. */
	char *const *argv;
	enum pmf_python_mode python;
	bool python_lines; /* a frame for each line of a Python function, not one for all */
	bool interpreter;  /* also the native frames that Python frames stand for */
	bool inlines;      /* source lines and inlined functions; names come without them, too */
	const char *cache; /* as in struct pmf_image_search, for debug files */
	/* Whose processes read files of images and debug info; NULL: this one does, and, where it was to
	 * be another, @no_sandbox says why. */
	struct pmf_sandbox *sandbox;
	const char *no_sandbox;
	bool jit; /* runtimes that can are told to name the code that they generate */
	enum pmf_unwind_mode call_graph;
	enum pmf_unwind_by unwind_by; /* one that pmf_unwinder_can */
	uint32_t stack_bytes;
	bool inherit;
	enum pmf_perf_timers timers;
	bool containers; /* name those that processes run in */
	size_t readers;  /* threads that read the rings; 0: as many as the CPUs need */
	/* Also write the records as a perf.data file there, with raw_argv as its command line; NULL:
	 * don't. */
	const char *raw_path;
	char *const *raw_argv;
	uint64_t delay_ns; /* count only what happens later than that; 0: everything */
	/* Then a command gets SIGTERM, five seconds later SIGKILL; 0: no limit. */
	uint64_t duration_ns;
	pmf_progress_cb *progress; /* about five times a second; may be NULL */
	pmf_naming_cb *naming;     /* the same, after the run; may be NULL */
	/* Asked between the two where memory can run out (pmf_mem_is_limited): it may fork, so that something
	 * less is left to try. May be NULL. */
	pmf_naming_depth_cb *naming_depth;
	void *ctx;
	struct pmf_part_opts parts;
};

struct pmf_collect_result {
	int wait_status;    /* of waitpid(2); 0 without a command */
	int exec_errno;     /* not 0: the command did not start, and there is no profile */
	size_t readers;     /* threads that read the rings */
	bool duration_over; /* duration_ns was the end */
	struct pmf_err raw; /* why raw_path could not be written after all; PMF_OK if it was */
	uint64_t end_ns;    /* CLOCK_MONOTONIC when recording ended */
	uint64_t
		expired_unix_ns; /* as in struct pmf_part, where the profile is the last interval */
};

/* Record until the command has exited, or as opts->who says; name the frames, complete the ledger. @p is
 * initialised here for @list's events. A command that cannot be executed is not an error of this
 * function. */
int pmf_collect_run(struct pmf_profile *p, const struct pmf_event_list *list,
	const struct pmf_collect_opts *opts, struct pmf_collect_result *res, struct pmf_err *err);

/* ---- A recording ---- */

struct pmf_recording_opts {
	/* FP: only what the kernel walked; NONE: no callers. AUTO walks dumps, where there are some. */
	enum pmf_unwind_mode call_graph;
	/* As in struct pmf_image_search. */
	const char *symfs, *cache, *debug_root;
	bool inlines; /* as in struct pmf_collect_opts */
	struct pmf_sandbox *sandbox;
	const char *no_sandbox;
	pmf_naming_cb *naming;
	void *ctx;
};

/* The profile of the perf.data file @pd, which was opened and not drained: a column for each of its
 * events but those that only carry records of processes. @workload gets the name of the program that
 * perf ran, as the kernel says it, "" where perf recorded something else. PMF_ENOTFOUND if there is
 * no sample at all: the sentence says why. @p is initialised here; its title and command stay NULL. */
int pmf_collect_recording(struct pmf_profile *p, struct pmf_perf_data *pd,
	const struct pmf_recording_opts *opts, char workload[16], struct pmf_err *err);

/* The profile of a source that needs no command (a recording): what pmf_collect_run does with the
 * records of its own. */
int pmf_collect_source(struct pmf_profile *p, struct pmf_source *src,
	const struct pmf_event_list *list, enum pmf_unwind_mode call_graph,
	const struct pmf_arch *arch, struct pmf_err *err);

#endif
