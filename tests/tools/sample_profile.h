/* Made-up profiles that show every kind of frame, shared by the golden tests and svg_sample. */
#ifndef SAMPLE_PROFILE_H
#define SAMPLE_PROFILE_H

#include "pmuflame/profile.h"

/* Fill @p with the profile called @kind; false if there is none of that name: normal, hostile,
 * hostile-64k, empty, tall, deep, big, python; counters, wide. */
bool sample_profile(struct pmf_profile *p, const char *kind);

#endif
