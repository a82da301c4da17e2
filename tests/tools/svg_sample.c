/* svg_sample KIND [FORMAT [EVENT]]: a made-up profile on stdout, as a flame graph or in another format, for
 * the browser tests and for looking at. Kinds: see sample_profile.h. */
#include "pmuflame/render.h"

#include <stdlib.h>
#include <string.h>

#include "sample_profile.h"

int main(int argc, char **argv)
{
	const char *format = argc > 2 ? argv[2] : "svg";
	const struct pmf_renderer *r = pmf_renderer_by_name(format, strlen(format));
	size_t event = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	struct pmf_render_opts opts = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree t;
	int ret;

	if (argc < 2 || !r || !sample_profile(&p, argv[1]) || event >= p.nr_events) {
		fputs("usage: svg_sample KIND [FORMAT [EVENT]]\n", stderr);
		return 2;
	}
	pmf_tree_build(&t, &p, NULL);
	ret = r->render(stdout, &t, event, &opts, &err);
	if (ret)
		fprintf(stderr, "svg_sample: %s\n", err.text);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
	return ret || fflush(stdout) ? 1 : 0;
}
