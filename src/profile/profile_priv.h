/* What the files of src/profile share. */
#ifndef PMF_PROFILE_PRIV_H
#define PMF_PROFILE_PRIV_H

#include "pmuflame/profile.h"

/* profile_take.c. @string, of @from, in @p. */
uint32_t pmf_profile_take_string(
	struct pmf_profile *p, const struct pmf_profile *from, uint32_t string);
/* Name @frame as @named, of @from, is. */
void pmf_profile_take_name(struct pmf_profile *p, uint32_t frame, const struct pmf_profile *from,
	const struct pmf_frame *named);
/* Add @from's column @of to event @event; @nodes[i] is @p's node for @from's i. */
void pmf_profile_take_columns(struct pmf_profile *p, size_t event, const struct pmf_profile *from,
	size_t of, const uint32_t *nodes);
/* Make @to, which holds nothing yet, a copy of @from. */
void pmf_profile_take_event(struct pmf_profile_event *to, const struct pmf_profile_event *from);
/* Add to @to what @from's samples were counted as. */
void pmf_profile_add_sampled(struct pmf_profile_event *to, const struct pmf_profile_event *from);

/* profile_labels.c. The label and full_label of each function of @t, which are in order. */
void pmf_tree_add_labels(struct pmf_tree *t);
/* profile_tree.c. The id of @text for pmf_tree_string(). */
uint32_t pmf_tree_add_string(struct pmf_tree *t, const char *text, size_t len);

/* A factor that pmf_profile_unscaled() takes. */
#define PMF_PROFILE_SCALE_OK(scale) ((scale) >= 0x1p-40 && (scale) <= 0x1p20)

/* @raw times @scale (2^-60 to 2^20), rounded to the nearest; the product must stay below 2^63. */
uint64_t pmf_profile_scaled(uint64_t raw, double scale);
/* The smallest number that pmf_profile_scaled() makes @value: where @scale is 1 or more, the one
 * that it was. That number must stay below 2^63, too. */
uint64_t pmf_profile_unscaled(uint64_t value, double scale);

#endif
