/* What the made-up profiles share. */
#ifndef SAMPLE_PROFILE_PRIV_H
#define SAMPLE_PROFILE_PRIV_H

#include "sample_profile.h"

/* A frame by kind, module and name: its place in the string table stands for its address. */
uint32_t sample_frame(struct pmf_profile *p, enum pmf_frame_kind kind, const char *module,
	size_t module_len, const char *name, size_t name_len);
/* The node of a stack: "kind:module:name" per frame, outermost first, separated by '|'; kinds by their
 * first letter. */
uint32_t sample_stack(struct pmf_profile *p, const char *s);
/* The sums of event @e from the samples that were added. */
void sample_add_up(struct pmf_profile *p, size_t e);

/* The profiles of hardware counters, in sample_counters.c. */
bool sample_counters(struct pmf_profile *p, const char *kind);

#endif
