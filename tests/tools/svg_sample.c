/* svg_sample KIND: a flame graph of a made-up profile on stdout, for the browser tests and for
 * looking at. Kinds: normal, hostile, empty, tall, deep, big. */
#include "pmuflame/render.h"

#include <stdlib.h>
#include <string.h>

#include "sample_profile.h"

int main(int argc, char **argv)
{
	struct pmf_render_opts opts = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree t;
	int ret;

	if (argc != 2 || !sample_profile(&p, argv[1])) {
		fputs("usage: svg_sample normal|hostile|empty|tall|deep|big\n", stderr);
		return 2;
	}
	pmf_tree_build(&t, &p, NULL);
	ret = pmf_renderer_by_name("svg", 3)->render(stdout, &t, 0, &opts, &err);
	if (ret)
		fprintf(stderr, "svg_sample: %s\n", err.text);
	pmf_tree_release(&t);
	pmf_profile_release(&p);
	return ret || fflush(stdout) ? 1 : 0;
}
