#include "picture_args.h"

#include <math.h>
#include <stdlib.h>

enum { MIN_WIDTH_MAX = 1000 };
#define ALL_FRAMES 1e-9 /* 0 is the renderer's own choice */

int pmf_picture_arg(struct pmf_render_opts *o, int opt, const char *value, struct pmf_err *err)
{
	char *end;
	double px;

	if (opt == PMF_OPT_REVERSE) {
		o->reverse = true;
		return 0;
	}
	px = strtod(value, &end);
	if (end == value || *end || !(px >= 0 && px <= MIN_WIDTH_MAX))
		return pmf_err_set(err, PMF_EUSAGE,
			"--min-width '%s' is no number of pixels from 0 to %d", value,
			MIN_WIDTH_MAX);
	o->min_width_px = fmax(px, ALL_FRAMES);
	return 0;
}
