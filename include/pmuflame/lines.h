/* pmuflame/lines.h - source lines and inlined functions of addresses, looked up beside everything else.
 * Layer: symbol (uses base, process). Threads: one asks and takes the answers; a thread of this module
 * finds them. That shares nothing with an image but copies of its descriptor and name.
 *
 * The debug info of an image is its own, or that of a separate debug file, which is looked for where
 * <pmuflame/symbol.h> says, or of a server's file (debuginfod(8)) where DEBUGINFOD_URLS names a server;
 * all files together may take DEBUGINFOD_MAXTIME seconds to fetch, 60 where that is not set. */
#ifndef PMUFLAME_LINES_H
#define PMUFLAME_LINES_H

#include "pmuflame/dwarf.h"
#include "pmuflame/process.h"
#include "pmuflame/sandbox.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_lines;

/* Begin. @search: only its folders count; copied. Without @inlines no lines are looked for, only the files
 * that servers have of what has no symbols (pmf_lines_file). NULL where there is nothing to do: without
 * @inlines and without servers. Until pmf_lines_hurry the thread runs only when nobody else wants its CPU
 * (sched(7), SCHED_IDLE), if this user may end that again.
 * @sandbox: its processes, whose work is pmf_reader_serve, read the files, and it is they that stand back. */
struct pmf_lines *pmf_lines_new(
	const struct pmf_image_search *search, bool inlines, struct pmf_sandbox *sandbox);
/* Does not wait for a thread that is at work on a large file: it ends as soon as it can. */
void pmf_lines_free(struct pmf_lines *l);

/* What is at @rva of @im, whose number stands for it from now on? False: ask again later, for too much is
 * in work. Never waits, and asking twice costs little. */
bool pmf_lines_ask(struct pmf_lines *l, const struct pmf_image *im, uint64_t rva);

/* Nothing runs any more that the thread could disturb. */
void pmf_lines_hurry(struct pmf_lines *l);

struct pmf_lines_state {
	size_t asked, answered;
	char fetching[128]; /* what is being fetched from a server, and how far; "" */
};
/* Wait @ms at most for all that was asked; true if it is answered. */
bool pmf_lines_wait(struct pmf_lines *l, int ms, struct pmf_lines_state *state);

/* No more answers: what was not answered will not be. From here on the following may be called; what they
 * give lives as long as @l. */
void pmf_lines_stop(struct pmf_lines *l);

/* The places of @rva of image number @image, as pmf_dwarf_find has them. */
size_t pmf_lines_find(
	const struct pmf_lines *l, uint32_t image, uint64_t rva, struct pmf_line *out, size_t max);

enum { PMF_LINES_DEPTH = 64 }; /* places of an address, at most */

/* Where an image's debug info was. */
struct pmf_lines_file {
	bool looked;      /* for lines: somebody asked about the image, and it was its turn */
	const char *path; /* of the file with it; NULL: there is none */
	const char *why;  /* what is wrong with it; "" if nothing is */
	int symbols_fd;   /* a server's file, for pmf_symbolizer_add_file; -1: none */
};
struct pmf_lines_file pmf_lines_file(const struct pmf_lines *l, uint32_t image);
/* Why a server's file could not be had; "" where that did not happen. */
const char *pmf_lines_server_why(const struct pmf_lines *l);

#endif
