/* What the files of advice share: whose code a frame is, and the loops of Python sources. */
#ifndef PMF_ADVISE_PRIV_H
#define PMF_ADVISE_PRIV_H

#include "pmuflame/advise.h"
#include "pmuflame/hash.h"

/* ---- advise_loops.c ---- */

#define PMF_LOOP_UNKNOWN UINT32_MAX

/* For each line of the Python source @text, from 1 on, the line where the innermost loop around it
 * begins, in its function; 0: none does. The expression that a 'for' goes through is no part of its
 * loop, a 'while' is of its own. free(3) it. */
uint32_t *pmf_python_loops(const char *text, size_t len, size_t *nr_lines);

/* Sources by path, read once. */
struct pmf_sources {
	struct pmf_source {
		const char *path;
		uint32_t *loops; /* NULL: not to be used */
		size_t nr_lines;
		char *why; /* then, the reason */
	} * items;
	size_t n, cap;
	struct pmf_strtab paths;
	size_t bytes;            /* read */
	uint64_t before_unix_ns; /* younger files are not those that ran; 0: not known */
};
void pmf_sources_release(struct pmf_sources *s);
/* The place among them of the file at @path, an absolute one. */
size_t pmf_sources_find(struct pmf_sources *s, const char *path);
/* The loop around line @line of file @i; PMF_LOOP_UNKNOWN if that cannot be told. */
uint32_t pmf_sources_loop(const struct pmf_sources *s, size_t i, uint32_t line);

/* ---- advise_code.c ---- */

/* Does @s have something that @re matches? NULL matches nothing. */
bool pmf_advise_match(struct pmf_regex *re, const char *s);

/* A function of the tree, as rules see it. */
struct pmf_code {
	struct pmf_place place;
	uint32_t by_line, by_function; /* the same number for the same place */
	uint32_t loop;                 /* the line of one around it, 0, or PMF_LOOP_UNKNOWN */
	size_t source;                 /* the file's place, SIZE_MAX if none is known */
	bool own;                      /* the user's */
	bool python;
};

/* One per function of @t; free(3) it. Strings live in @arena, or as long as @t. */
struct pmf_code *pmf_code_of(const struct pmf_tree *t, const struct pmf_rules *rules,
	struct pmf_sources *sources, struct pmf_arena *arena);

#endif
