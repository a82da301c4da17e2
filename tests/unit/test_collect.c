/* A recorded run through source, process, unwind and profile: everything above the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect_priv.h"
#include "pmuflame/collect.h"
#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include "ring_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
	struct ring_fixture fixture;
	struct pmf_event_list list;
	struct pmf_profile profile;
};

static void replay_by(struct run *r, enum pmf_unwind_mode mode, size_t readers)
{
	struct pmf_source *src;
	struct pmf_err err = PMF_ERR_INIT;

	for (size_t i = 0; i < r->fixture.nr_rings; i++)
		r->fixture.rings[i].tail = 0;
	if (pmf_source_replay_by(&src, &r->fixture.layouts, r->fixture.ptrs, r->fixture.nr_rings,
		    readers, &err) ||
		pmf_collect_source(
			&r->profile, src, &r->list, mode, pmf_arch_by_name(r->fixture.arch), &err))
		fail_msg("%s", err.text);
	assert_int_equal(src->facts.malformed, 0);
	assert_int_equal(src->facts.readers, readers);
	src->ops->free(src);
}

static void replay(struct run *r, enum pmf_unwind_mode mode)
{
	replay_by(r, mode, 1);
}

static int setup(void **state)
{
	struct run *r = pmf_zalloc(sizeof *r);
	const char *folder = getenv("srcdir");
	char *path = pmf_asprintf("%s/tests/fixtures/sha256-pipe.ring", folder ? folder : ".");
	struct pmf_err err = PMF_ERR_INIT;

	pmf_event_list_init(&r->list);
	if (ring_fixture_load(&r->fixture, path, &err))
		fail_msg("%s", err.text);
	free(path);
	for (size_t e = 0; e < r->fixture.nr_events; e++)
		if (pmf_event_list_add(&r->list, r->fixture.events[e], NULL, NULL, &err))
			fail_msg("%s", err.text);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct run *r = *state;

	pmf_event_list_release(&r->list);
	ring_fixture_release(&r->fixture);
	free(r);
	return 0;
}

/* The counts are those of test_record_replay.c, which reads the records alone. */
static void assert_counts(const struct run *r)
{
	const struct pmf_profile_event *faults = &r->profile.events[0];
	const struct pmf_profile_event *clock = &r->profile.events[1];

	assert_int_equal(faults->samples, 48);
	assert_int_equal(faults->weight, 5 * 48);
	assert_int_equal(clock->samples, 27);
	assert_int_equal(clock->weight, 27081243);
	/* A recording has no totals: its samples are all that is counted. */
	assert_int_equal(clock->counted, clock->weight);
	assert_int_equal(clock->unsampled, 0);
}

static uint64_t sum(const struct pmf_profile *p, uint64_t *const *columns, size_t event)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->nr_nodes && i < p->cap_columns; i++)
		n += columns[event][i];
	return n;
}

static double process_total(const struct pmf_tree *t, size_t event, const char *comm)
{
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		const struct pmf_func *f = &t->funcs[t->nodes[i].func];

		if (f->kind == PMF_FRAME_PROCESS &&
			strcmp(pmf_strtab_get(&t->profile->strings, f->name), comm) == 0)
			return pmf_tree_total(t, event, i);
	}
	return 0;
}

static void every_sample_has_its_place(void **state)
{
	static const enum pmf_unwind_mode modes[] = {
		PMF_UNWIND_AUTO, PMF_UNWIND_FP, PMF_UNWIND_NONE};
	struct run *r = *state;

	for (size_t m = 0; m < PMF_ARRAY_SIZE(modes); m++) {
		replay(r, modes[m]);
		assert_counts(r);
		for (size_t e = 0; e < 2; e++) {
			assert_int_equal(sum(&r->profile, r->profile.weights, e),
				r->profile.events[e].weight);
			assert_int_equal(sum(&r->profile, r->profile.samples, e),
				r->profile.events[e].samples);
		}
		pmf_profile_release(&r->profile);
	}
}

static void samples_stand_under_who_took_them(void **state)
{
	struct run *r = *state;
	struct pmf_tree tree;
	double of[3];

	replay(r, PMF_UNWIND_AUTO);
	pmf_tree_build(&tree, &r->profile, NULL);
	of[0] = process_total(&tree, 1, "sh");
	of[1] = process_total(&tree, 1, "head");
	of[2] = process_total(&tree, 1, "sha256sum");
	/* Who computes pays; and nothing belongs to nobody. */
	assert_true(of[2] > of[0] && of[2] > of[1] && of[1] > 0);
	assert_true(of[0] + of[1] + of[2] == 27081243);
	pmf_tree_release(&tree);
	pmf_profile_release(&r->profile);
}

static void threads_are_drawn_if_asked_for(void **state)
{
	static const struct pmf_tree_opts with_threads = {.threads = true};
	struct run *r = *state;
	struct pmf_tree merged, split;
	size_t nr_threads = 0;

	replay(r, PMF_UNWIND_AUTO);
	pmf_tree_build(&merged, &r->profile, NULL);
	pmf_tree_build(&split, &r->profile, &with_threads);
	assert_true(pmf_tree_total(&split, 1, 0) == pmf_tree_total(&merged, 1, 0));
	for (uint32_t i = 1; i < split.nr_nodes; i++) {
		const struct pmf_tree_node *n = &split.nodes[i];

		if (split.funcs[n->func].kind != PMF_FRAME_THREAD)
			continue;
		nr_threads++;
		assert_int_equal(split.funcs[split.nodes[n->parent].func].kind, PMF_FRAME_PROCESS);
		/* Every sample was taken in a thread, and none is missing. */
		assert_true(pmf_tree_total(&split, 1, i) == pmf_tree_total(&split, 1, n->parent));
	}
	assert_true(nr_threads >= 3);
	for (uint32_t i = 0; i < merged.nr_nodes; i++)
		assert_int_not_equal(merged.funcs[merged.nodes[i].func].kind, PMF_FRAME_THREAD);
	pmf_tree_release(&split);
	pmf_tree_release(&merged);
	pmf_profile_release(&r->profile);
}

static void a_recording_is_the_same_twice(void **state)
{
	struct run *r = *state;
	size_t nodes, frames;

	replay(r, PMF_UNWIND_AUTO);
	nodes = r->profile.nr_nodes;
	frames = r->profile.nr_frames;
	pmf_profile_release(&r->profile);
	replay(r, PMF_UNWIND_AUTO);
	assert_int_equal(r->profile.nr_nodes, nodes);
	assert_int_equal(r->profile.nr_frames, frames);
	pmf_profile_release(&r->profile);
}

static char *folded(const struct pmf_profile *p, size_t event)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_tree tree;

	assert_non_null(f);
	pmf_tree_build(&tree, p, NULL);
	assert_int_equal(pmf_renderer_by_name("folded", 6)->render(f, &tree, event, NULL, &err), 0);
	pmf_tree_release(&tree);
	fclose(f);
	return text;
}

static void two_readers_see_what_one_sees(void **state)
{
	struct run *r = *state;
	char *one[2], *two;

	assert_true(r->fixture.nr_rings >= 2);
	replay(r, PMF_UNWIND_AUTO);
	for (size_t e = 0; e < 2; e++)
		one[e] = folded(&r->profile, e);
	pmf_profile_release(&r->profile);
	replay_by(r, PMF_UNWIND_AUTO, 2);
	assert_counts(r);
	for (size_t e = 0; e < 2; e++) {
		two = folded(&r->profile, e);
		assert_true(strlen(two) > 100);
		assert_string_equal(two, one[e]);
		free(two);
		free(one[e]);
	}
	pmf_profile_release(&r->profile);
}

static void a_stack_has_one_node_however_it_is_found(void **state)
{
	enum { NAMES = 4, THREADS = 40, DEPTH = 12 };
	struct pmf_last_stacks ls = {0};
	struct pmf_profile p;
	uint32_t names[NAMES], ids[DEPTH], roots[2];
	uint64_t seed = 11;
	size_t nr_shared = 0;

	(void)state;
	pmf_profile_init(&p, 1);
	for (size_t i = 0; i < NAMES; i++)
		names[i] = pmf_profile_frame_named(
			&p, PMF_FRAME_NATIVE, (const char *[]){"a", "b", "c", "d"}[i]);
	for (size_t i = 0; i < 2; i++)
		roots[i] = pmf_profile_node(&p, 0, names[i]);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t r = pmf_hash_u64(++seed);
		uint32_t root = roots[r & 1], want = root;
		size_t n = (r >> 1) % (DEPTH + 1), nodes;

		/* The outermost frames repeat, as they do in programs. */
		for (size_t k = 0; k < n; k++)
			ids[n - 1 - k] = names[k < 5 ? r >> 8 & 1 : (r >> (10 + 2 * k)) % NAMES];
		if (i & 1) {
			for (size_t k = n; k > 0; k--)
				want = pmf_profile_node(&p, want, ids[k - 1]);
			nodes = p.nr_nodes;
			assert_int_equal(
				pmf_last_stacks_node(&ls, &p, (r >> 40) % THREADS, root, ids, n),
				want);
			assert_int_equal(p.nr_nodes, nodes);
		} else {
			want = pmf_last_stacks_node(&ls, &p, (r >> 40) % THREADS, root, ids, n);
			for (size_t k = 0; k < n; k++) {
				assert_int_equal(p.nodes[want].frame, ids[k]);
				want = p.nodes[want].parent;
			}
			assert_int_equal(want, root);
		}
		nr_shared += n > 5;
	}
	assert_true(nr_shared > 1000);
	pmf_last_stacks_release(&ls);
	pmf_profile_release(&p);
}

static uint64_t counted_beside(
	const struct pmf_idle *idle, enum pmf_event_class cls, uint64_t weight, size_t *nr_notes)
{
	struct pmf_profile p;
	uint64_t counted;

	pmf_profile_init(&p, 1);
	p.events[0].counted = 1000;
	p.events[0].weight = weight;
	pmf_idle_leave_out(idle, cls, &p, 0);
	counted = p.events[0].counted;
	*nr_notes = p.nr_notes;
	pmf_profile_release(&p);
	return counted;
}

static void idle_time_is_no_part_of_a_clock(void **state)
{
	struct pmf_idle idle = {.hides = true, .before_ns = 100, .now_ns = 600};
	struct pmf_record rec = {.type = PERF_RECORD_SAMPLE};
	size_t notes;

	(void)state;
	assert_int_equal(counted_beside(&idle, PMF_EVENT_CLOCK, 300, &notes), 500);
	assert_int_equal(notes, 1);
	/* What was sampled was counted, however coarse the ticks are. */
	assert_int_equal(counted_beside(&idle, PMF_EVENT_CLOCK, 800, &notes), 800);
	assert_int_equal(counted_beside(&idle, PMF_EVENT_CLOCK, 1000, &notes), 1000);
	assert_int_equal(notes, 0);
	assert_int_equal(counted_beside(&idle, PMF_EVENT_FAULT, 300, &notes), 1000);
	assert_true(pmf_idle_hides(&idle, PMF_EVENT_CLOCK, &rec));
	assert_false(pmf_idle_hides(&idle, PMF_EVENT_HARDWARE, &rec));
	rec.pid = 1;
	assert_false(pmf_idle_hides(&idle, PMF_EVENT_CLOCK, &rec));
	/* The next part of the run has none yet; and ticks may go back when a CPU comes. */
	pmf_idle_next(&idle);
	assert_int_equal(counted_beside(&idle, PMF_EVENT_CLOCK, 300, &notes), 1000);
	idle.now_ns = 1;
	assert_int_equal(counted_beside(&idle, PMF_EVENT_CLOCK, 300, &notes), 1000);
	idle.hides = false;
	rec.pid = 0;
	assert_false(pmf_idle_hides(&idle, PMF_EVENT_CLOCK, &rec));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_sample_has_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(samples_stand_under_who_took_them, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_are_drawn_if_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_recording_is_the_same_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(two_readers_see_what_one_sees, setup, teardown),
		cmocka_unit_test(a_stack_has_one_node_however_it_is_found),
		cmocka_unit_test(idle_time_is_no_part_of_a_clock),
	};

	return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
