/* A profile out of the files that a command was given. */
#ifndef PMF_INPUT_H
#define PMF_INPUT_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include <stdint.h>
#include <sys/types.h>

enum { PMF_INPUT_HEAD = 512 };

/* A file to load, whatever it was given as: seekable, at its start. */
struct pmf_input {
	const char *name; /* for sentences: the path, or "standard input" */
	int fd;
	off_t bytes;
	uint8_t head[PMF_INPUT_HEAD]; /* its first bytes */
	size_t head_len;
};

/* What a file can be: one row in input.c each. */
struct pmf_input_kind {
	const char *name;                          /* as the sentence about unknown files has it */
	bool (*sniff)(const struct pmf_input *in); /* is it one, by its head? */
	/* Fill @p, which is initialised here, and released on failure. */
	int (*load)(struct pmf_profile *p, const struct pmf_input *in, struct pmf_err *err);
};

/* The profile of all @paths, of which one may be "-", standard input, added up. @p is initialised here,
 * and released on failure. */
int pmf_input_load(struct pmf_profile *p, char *const *paths, size_t n, struct pmf_err *err);

/* What outputs of these files are called: "backtest" for "runs/backtest.pb.gz". free(3) it. */
char *pmf_input_stem(char *const *paths, size_t n);

#endif
