/* Reading files of sections and keys, by inih: what all of them have in common. */
#ifndef PMF_INI_PRIV_H
#define PMF_INI_PRIV_H

#include "pmuflame/err.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct pmf_ini {
	const char *path;
	FILE *f;
	struct pmf_err *err;
	int line; /* read last, from 1 on */
	bool failed;
};

/* Gets each key with its section and value; a value's further lines come as the same key again. Returns
 * 1, or 0, which is what pmf_ini_fail() returns, to stop. */
typedef int pmf_ini_key(void *ctx, const char *section, const char *key, const char *value);

/* Read all of ini->f. PMF_EFORMAT, with the place, for what @key or the format refuses. */
int pmf_ini_read(struct pmf_ini *ini, pmf_ini_key *key, void *ctx);
/* Say what is wrong in line @line, if nothing was before. */
int pmf_ini_fail(struct pmf_ini *ini, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int pmf_ini_vfail(struct pmf_ini *ini, int line, const char *fmt, va_list ap);

/* May it be the NAME of a [section NAME]: letters, digits, '.', '_' and '-'? */
bool pmf_ini_good_name(const char *name);
/* Append a further line of a value to *@text, behind @by; NULL: it is the first. Returns 1. */
int pmf_ini_add_text(char **text, const char *value, const char *by);

#endif
