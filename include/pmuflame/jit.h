/* pmuflame/jit.h - names of the code that runtimes generate while they run, and how to unwind it, by what they
 * write for profilers: perf maps (/tmp/perf-PID.map; the kernel's tools/perf/Documentation/jit-interface.txt)
 * and jitdump files (jit-PID.dump; jitdump-specification.txt there), of live processes and of recordings.
 * Layer: symbol (uses base). Threads: one owner.
 *
 * Addresses are used again. A jitdump file has times; of a perf map, each line counts from when it was
 * seen first. Code that is known only later than a sample names it if nothing older stood there.
 *
 * The files are as hostile as the process that wrote them: only regular files of its user's or root's are
 * read, through the process's own root folder, without following a symlink in their place, within bounds,
 * and what stands in them is checked. */
#ifndef PMUFLAME_JIT_H
#define PMUFLAME_JIT_H

#include "pmuflame/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct pmf_jit;
struct pmf_jit_process;

struct pmf_jit_opts {
	bool live;     /* the processes are of this machine, now: files grow, /proc tells owners */
	bool timeless; /* samples' times are not of CLOCK_MONOTONIC: the newest code counts */
	time_t since;  /* no process started earlier; 0: not known */
	/* Borrowed. root: of a recording, the folder that stands for its machine's root, or NULL.
	 * folder: of the perf maps, "/tmp", or NULL: there are none. */
	const char *root, *folder;
};

struct pmf_jit *pmf_jit_new(const struct pmf_jit_opts *opts);
void pmf_jit_free(struct pmf_jit *j);

/* What is known of the generated code of @pid, which runs (or was recorded). It keeps the files open, and a
 * process that has gone can be asked about to the end. */
struct pmf_jit_process *pmf_jit_process_new(struct pmf_jit *j, pid_t pid);
void pmf_jit_process_free(struct pmf_jit_process *p);

/* Has @path the name of a jitdump file? */
bool pmf_jit_is_dump(const char *path);
/* @p mapped @path: if that is the name of its jitdump file, it will be read. */
void pmf_jit_mapped(struct pmf_jit_process *p, const char *path);

/* Read what @p's files have more than before, if that was longer ago than @time_ns. Changes
 * pmf_jit_stamp if there was something. */
void pmf_jit_look(struct pmf_jit *j, struct pmf_jit_process *p, uint64_t time_ns);
/* Read all that is left, without regard to time: @p is about to end. */
void pmf_jit_look_last(struct pmf_jit *j, struct pmf_jit_process *p);
/* Remove @p's perf map, if it is one that this process wrote. */
void pmf_jit_remove_map(const struct pmf_jit *j, const struct pmf_jit_process *p);
/* A number that stays the same as long as the answers for @p do. Never 0, and no two processes have the
 * same. */
uint64_t pmf_jit_stamp(const struct pmf_jit_process *p);
/* Was a jitdump file seen, so that addresses that nothing is known about yet may mean different code at
 * different times? */
bool pmf_jit_has_times(const struct pmf_jit_process *p);

struct pmf_jit_place {
	const char *name; /* as the runtime calls it; valid until the process is forgotten */
	const char *file; /* of the source line, or NULL */
	uint32_t line;
	uint64_t until_ns; /* the answer is good for later samples, before this time */
};

/* What stood at @va when a sample was taken at @time_ns; false if nothing is known about it so far
 * (out->until_ns is set all the same). */
bool pmf_jit_find(const struct pmf_jit *j, const struct pmf_jit_process *p, uint64_t va,
	uint64_t time_ns, struct pmf_jit_place *out);

/* The .eh_frame section that was written with the code at @va, *@size bytes, whose one FDE is about the code
 * from *@start on, wherever it says that this lies; NULL if there is none. Valid until @p's files are read
 * again. */
const uint8_t *pmf_jit_eh_frame(const struct pmf_jit *j, const struct pmf_jit_process *p,
	uint64_t va, uint64_t time_ns, uint64_t *start, size_t *size);

/* How many files were not read, or not to their end, and why the first of them. */
size_t pmf_jit_refused(const struct pmf_jit *j, const struct pmf_err **first);

/* ---- What runtimes put into one string ---- */

struct pmf_jit_label {
	char *name;    /* "fib (work.js)", "java.util.HashMap.get(Object)", or as it came */
	char *file;    /* of the function; NULL if it is not told */
	uint32_t line; /* where the function starts, 0 if it is not told */
	bool python;
};

/* Take @name, of V8, HotSpot or CPython, apart; that of others stays as it is. The strings are the
 * caller's: pmf_jit_label_release. */
void pmf_jit_label_init(struct pmf_jit_label *l, const char *name);
void pmf_jit_label_release(struct pmf_jit_label *l);

#endif
