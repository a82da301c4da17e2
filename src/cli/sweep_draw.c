/* The pictures of a sweep. */
#include "sweep_steps.h"

#include "input.h"
#include "output.h"

#include "pmuflame/mem.h"
#include "pmuflame/profile.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All finished runs of a pass as one profile. 0, 1 if there is none, or a negative status. */
static int merge_repeats(const struct pmf_sweeping *s, struct pmf_sweep_at *at,
	struct pmf_profile *p, size_t *runs, struct pmf_err *err)
{
	bool any = false;
	int ret = 0;

	for (at->repeat = 0; at->repeat < s->plan.repeats && ret == 0; at->repeat++) {
		char *name = pmf_sweep_plan_run_name(at);
		char *path = pmf_asprintf("%s/%s.pb.gz", s->runs, name);
		struct pmf_profile one;

		if (access(path, F_OK) == 0) {
			ret = pmf_input_load(any ? &one : p, &path, 1, NULL, err);
			if (ret == 0 && any) {
				pmf_profile_merge(p, &one);
				pmf_profile_release(&one);
			}
			any |= ret == 0;
			++*runs;
		}
		free(name);
		free(path);
	}
	if (ret && any)
		pmf_profile_release(p);
	return ret ? ret : !any;
}

/* The same of a case: the events of all its passes, each as often as there were repeats. */
static int merge_case(
	const struct pmf_sweeping *s, size_t nr, struct pmf_profile *p, struct pmf_err *err)
{
	size_t runs = 0;
	struct pmf_sweep_at at = {.what = &s->plan.cases[nr], .nr = nr};
	size_t passes = pmf_sweep_plan_passes(&s->plan, at.what)->n;
	bool any = false;
	int ret = 0;

	for (at.pass = 0; at.pass < passes && ret >= 0; at.pass++) {
		struct pmf_profile one;

		ret = merge_repeats(s, &at, any ? &one : p, &runs, err);
		if (ret == 0 && any) {
			pmf_profile_join(p, &one);
			pmf_profile_release(&one);
		}
		any |= ret == 0;
	}
	if (ret < 0 && any) {
		pmf_profile_release(p);
	} else if (any) {
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"all runs of a sweep: %zu in %zu pass%s, whose sums are shown", runs,
			passes, passes == 1 ? "" : "es");
		/* Beside the medians of the summary, sums without a word look wrong. */
		if (runs > passes) {
			free(p->title);
			p->title = pmf_asprintf("%s: the sum of all runs", at.what->title);
		}
	}
	return ret < 0 ? ret : !any;
}

static int write_formats(const struct pmf_sweeping *s, const struct pmf_tree *tree,
	const char *stem, const char *formats, struct pmf_err *err)
{
	const struct pmf_profile *p = tree->profile;
	char *path = pmf_asprintf("%s/%s", s->folder, stem);
	char **events = pmf_calloc(p->nr_events, sizeof *events);
	struct pmf_output_opts o = {.path = path};
	struct pmf_output_list written = {0};
	int ret;

	for (size_t e = 0; e < p->nr_events; e++)
		events[e] = p->events[e].file_name;
	ret = pmf_output_formats(&o, formats, err);
	if (ret == 0)
		ret = pmf_output_prepare(&o, events, p->nr_events, NULL, err);
	if (ret == 0)
		ret = pmf_output_write(tree, &o, &written, err);
	pmf_output_list_release(&written);
	pmf_output_opts_release(&o);
	free(events);
	free(path);
	return ret;
}

static int draw_case(struct pmf_sweeping *s, size_t nr, struct pmf_err *err)
{
	const struct pmf_sweep_what *w = &s->plan.cases[nr];
	const char *report = s->plan.nr_cases == 1 ? "report" : w->name;
	struct pmf_profile p;
	struct pmf_tree tree;
	int ret = merge_case(s, nr, &p, err);

	if (ret)
		return ret < 0 ? ret : 0;
	pmf_tree_build(&tree, &p, NULL);
	ret = write_formats(s, &tree, w->name, "svg,pprof", err);
	if (ret == 0)
		ret = write_formats(s, &tree, report, "html", err);
	pmf_tree_release(&tree);
	pmf_profile_release(&p);
	return ret;
}

int pmf_sweep_draw(struct pmf_sweeping *s, struct pmf_err *err)
{
	int ret = 0;

	for (size_t i = 0; i < s->plan.nr_cases && ret == 0; i++)
		ret = draw_case(s, i, err);
	return ret;
}
