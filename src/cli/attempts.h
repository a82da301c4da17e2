/* The end of a recording where memory can run out. */
#ifndef PMF_ATTEMPTS_H
#define PMF_ATTEMPTS_H

#include "pmuflame/collect.h"

/* A pmf_naming_depth_cb. Returns in a copy of this program, which goes on with everything: names, files, what is
 * printed, the status, with which then the original ends, too. Where the copy does not come through, because
 * its memory ran out or the kernel ended it for its size, another one tries with less; in the end the original
 * itself returns and does without names. */
enum pmf_naming_depth pmf_attempts_depth(void *ctx);

#endif
