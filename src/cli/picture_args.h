/* The options that say how pictures are drawn, the same in every command that draws some. */
#ifndef PMF_PICTURE_ARGS_H
#define PMF_PICTURE_ARGS_H

#include "pmuflame/err.h"
#include "pmuflame/render.h"

/* getopt_long(3)'s val of the options, beyond those of any command. */
enum { PMF_OPT_MIN_WIDTH = 1100, PMF_OPT_REVERSE };

/* clang-format off */
#define PMF_PICTURE_ARGS \
	{"min-width", required_argument, NULL, PMF_OPT_MIN_WIDTH}, \
	{"reverse", no_argument, NULL, PMF_OPT_REVERSE}
/* clang-format on */

#define PMF_PICTURE_ARGS_HELP \
	"      --min-width PX          draw no narrower frames in SVGs (default: as many as\n" \
	"                              open at once)\n" \
	"      --reverse               SVGs with callers on top of what they call\n"

/* Take one of these options, with its @value. */
int pmf_picture_arg(struct pmf_render_opts *o, int opt, const char *value, struct pmf_err *err);

#endif
