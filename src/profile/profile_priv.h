/* What the files of src/profile share. */
#ifndef PMF_PROFILE_PRIV_H
#define PMF_PROFILE_PRIV_H

#include "pmuflame/profile.h"

/* Add to @to what @from's samples were counted as. (profile_absorb.c) */
void pmf_profile_add_sampled(struct pmf_profile_event *to, const struct pmf_profile_event *from);

/* A factor that pmf_profile_unscaled() can undo. */
#define PMF_PROFILE_SCALE_OK(scale) ((scale) >= 1 && (scale) <= 0x1p20)

/* @raw times @scale (2^-60 to 2^20), rounded to the nearest; the product must stay below 2^63. */
uint64_t pmf_profile_scaled(uint64_t raw, double scale);
/* The smallest number that pmf_profile_scaled() makes @value or more: where PMF_PROFILE_SCALE_OK, and
 * @value came from it, the one that it was. */
uint64_t pmf_profile_unscaled(uint64_t value, double scale);

#endif
