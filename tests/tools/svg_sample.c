/* svg_sample KIND [FORMAT [EVENT]]: a made-up profile on stdout, as a flame graph or in another format, for
 * the browser tests and for looking at. Kinds: see sample_profile.h. The format "diff", or "before", is
 * the comparison of "changed" with "normal", or of another kind with itself. */
#include "pmuflame/render.h"

#include <stdlib.h>
#include <string.h>

#include "sample_profile.h"

static int compare(const struct pmf_profile *now, const char *kind, size_t event, bool before,
	struct pmf_err *err)
{
	struct pmf_diff_opts opts = {.per = PMF_PER_RUN};
	struct pmf_profile base;
	struct pmf_diff d;
	int ret;

	sample_profile(&base, strcmp(kind, "changed") == 0 ? "normal" : kind);
	ret = pmf_diff_build(&d, &base, now, &opts, err);
	if (ret == 0) {
		ret = pmf_render_diff_svg(stdout, &d, event, before, NULL, err);
		pmf_diff_release(&d);
	}
	pmf_profile_release(&base);
	return ret;
}

/* The report's source: a file that is there, and for all others why they are not. */
static const struct pmf_code_text *read_code(void *ctx, const char *file)
{
	static const char *const code[] = {[30] = "\tif (*at == ',') /* \033[1m</script> */",
		[31] = "\t\tfield(at);",
		[39] = "\treturn fields;"};
	static const struct pmf_code_text missing = {.note = "cannot open it: not here"};
	static const char *lines[42];
	static struct pmf_code_text text = {.path = "/src/parse.c", .lines = lines, .n = 42};

	(void)ctx;
	for (size_t i = 0; i < 42; i++)
		lines[i] = i < 40 && code[i] ? code[i] : "";
	return strcmp(file, "/src/parse.c") == 0 ? &text : &missing;
}

int main(int argc, char **argv)
{
	const char *format = argc > 2 ? argv[2] : "svg";
	const struct pmf_renderer *r = pmf_renderer_by_name(format, strlen(format));
	size_t event = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	struct pmf_code_reader code = {read_code, NULL};
	struct pmf_render_opts opts = {.code = &code};
	bool before = strcmp(format, "before") == 0, diff = before || strcmp(format, "diff") == 0;
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	struct pmf_tree t;
	int ret;

	if (argc < 2 || (!r && !diff) || !sample_profile(&p, argv[1]) || event >= p.nr_events) {
		fputs("usage: svg_sample KIND [FORMAT [EVENT]]\n", stderr);
		return 2;
	}
	if (diff) {
		ret = compare(&p, argv[1], event, before, &err);
	} else {
		pmf_tree_build(&t, &p, NULL);
		ret = r->render(stdout, &t, event, &opts, &err);
		pmf_tree_release(&t);
	}
	if (ret)
		fprintf(stderr, "svg_sample: %s\n", err.text);
	pmf_profile_release(&p);
	return ret || fflush(stdout) ? 1 : 0;
}
