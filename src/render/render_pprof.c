/* The profile itself, whole: what was filtered out of the tree is in it. */
#include "render_priv.h"

static int render(FILE *f, const struct pmf_tree *t, size_t event,
	const struct pmf_render_opts *opts, struct pmf_err *err)
{
	(void)event;
	(void)opts;
	return pmf_profile_save(t->profile, f, err);
}

const struct pmf_renderer pmf_renderer_pprof = {
	.name = "pprof",
	.suffix = "pb.gz",
	.per_event = false,
	.desc = "the profile, for render, go tool pprof, speedscope and Pyroscope",
	.render = render,
};
