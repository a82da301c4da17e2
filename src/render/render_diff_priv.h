/* What the table and the pictures of a comparison share. */
#ifndef PMF_RENDER_DIFF_PRIV_H
#define PMF_RENDER_DIFF_PRIV_H

#include "pmuflame/diff.h"
#include "render_priv.h"

/* "+12.3 ms": @change of event @ev, with its sign. */
char *pmf_diff_format(const struct pmf_profile_event *ev, double change, char *out);
/* "+3.4%", "new" or "gone". */
char *pmf_diff_format_relative(double base, double now, char *out);

/* "cycles: 1.20 G before, 1.10 G now: -100 M (-8.33%) ± 2 M", a line. */
void pmf_diff_add_head(struct pmf_buf *out, const struct pmf_diff *d, size_t event);

#endif
