/* A profile out of the files that a command was given. */
#ifndef PMF_INPUT_H
#define PMF_INPUT_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/sandbox.h"
#include "pmuflame/unwind.h"
#include <stdbool.h>
#include <stdint.h>

enum { PMF_INPUT_HEAD = 512 };

/* How recordings are read; zeroed memory is the default. */
struct pmf_input_opts {
	const char *symfs;               /* a folder with the files of the recorded machine */
	enum pmf_unwind_mode call_graph; /* whose callers */
	bool no_inlines;                 /* neither source lines nor inlined functions */
	enum pmf_sandbox_mode sandbox;   /* for the files behind them */
};

/* A file to load, at its start, and seekable but for streams. */
struct pmf_input {
	const struct pmf_input_opts *opts;
	const char *name; /* for sentences: the path, or "standard input" */
	int fd;
	uint8_t head[PMF_INPUT_HEAD]; /* its first bytes */
	size_t head_len;
	bool is_stream; /* can be read once only, and the head was */
};

/* What a file can be: one row in input.c each. */
struct pmf_input_kind {
	const char *name;                          /* as the sentence about unknown files has it */
	bool (*sniff)(const struct pmf_input *in); /* is it one, by its head? */
	/* Fill @p, which is initialised here, and released on failure. */
	int (*load)(struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err);
};

/* input_perf_data.c */
bool pmf_input_is_perf_data(const struct pmf_input *in);
int pmf_input_load_perf_data(
	struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err);

/* The profile of all @paths, of which one may be "-", standard input, added up. @p is initialised here,
 * and released on failure. @opts may be NULL. */
int pmf_input_load(struct pmf_profile *p, char *const *paths, size_t n,
	const struct pmf_input_opts *opts, struct pmf_err *err);

/* What outputs of these files are called: "backtest" for "runs/backtest.pb.gz". What perf calls every
 * recording, and standard input, are no names: then it is the profile's @title, if it has one. free(3) it. */
char *pmf_input_stem(char *const *paths, size_t n, const char *title);

#endif
