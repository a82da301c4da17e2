/* What the files of src/profile share. */
#ifndef PMF_PROFILE_PRIV_H
#define PMF_PROFILE_PRIV_H

#include "pmuflame/profile.h"

/* Add to @to what @from's samples were counted as. (profile_absorb.c) */
void pmf_profile_add_sampled(struct pmf_profile_event *to, const struct pmf_profile_event *from);

#endif
