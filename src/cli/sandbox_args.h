/* --sandbox, and what it starts. */
#ifndef PMF_SANDBOX_ARGS_H
#define PMF_SANDBOX_ARGS_H

#include "pmuflame/sandbox.h"

#define PMF_SANDBOX_ARGS_HELP \
	"      --sandbox auto|yes|no   read programs' files in a process without privileges\n" \
	"                              (default auto: where they may be other people's)\n"

int pmf_sandbox_arg(const char *text, enum pmf_sandbox_mode *mode, struct pmf_err *err);

/* Start it where @mode wants it; @others: the files may be other people's. *out is NULL where none is wanted,
 * or can be had: *why_not then says why, or is empty. Negative with @err if "yes" cannot be obeyed. */
int pmf_sandbox_begin(enum pmf_sandbox_mode mode, bool others, struct pmf_sandbox **out,
	struct pmf_err *why_not, struct pmf_err *err);

#endif
