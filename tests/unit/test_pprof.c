/* Our own profiles through pprof files, and back without a difference. */
#include "profile_check.h"
#include "profile_load_priv.h"
#include "sample_profile.h"
#include "skip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Save, load, and release the one that was saved. */
static void through_file(struct pmf_profile *from, struct pmf_profile *to)
{
	size_t len;
	char *bytes = save_profile(from, &len);

	load_profile(to, bytes, len);
	free(bytes);
	pmf_profile_release(from);
}

/* Add up each sample type as any reader would, without what we put around it. */
static void sum_values(const char *bytes, size_t len, uint64_t *sums, size_t n)
{
	struct pmf_buf raw = PMF_BUF_INIT;
	struct pmf_pb_reader r, values, ints;
	struct pmf_pb_field f, g;

	memset(sums, 0, n * sizeof *sums);
	gunzip(bytes, len, &raw);
	pmf_pb_read(&r, raw.data, raw.len);
	while (pmf_pb_next(&r, &f)) {
		if (f.number != PPROF_SAMPLE)
			continue;
		pmf_pb_read(&values, f.data, f.len);
		while (pmf_pb_next(&values, &g)) {
			if (g.number != SAMPLE_VALUE)
				continue;
			pmf_pb_read_ints(&ints, &g);
			for (size_t i = 0; i < n; i++) {
				uint64_t value;

				assert_true(pmf_pb_next_int(&ints, &g, &value));
				sums[i] += value;
			}
		}
	}
	assert_false(r.bad);
	pmf_buf_release(&raw);
}

static void survives(void **state)
{
	static const char *const kinds[] = {"normal", "hostile", "empty", "tall", "deep", "big"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++) {
		struct pmf_profile p;

		assert_true(sample_profile(&p, kinds[i]));
		p.cpus = 7;
		pmf_profile_name_files(&p);
		assert_survives(&p);
		pmf_profile_release(&p);
	}
}

/* Every number of the ledger is another one. */
static void whole_ledger(void **state)
{
	struct pmf_profile p;
	struct pmf_profile_event *ev;

	(void)state;
	pmf_profile_init(&p, 2);
	for (size_t e = 0; e < 2; e++) {
		ev = &p.events[e];
		*ev = (struct pmf_profile_event){.spec = pmf_strdup("cycles\nof what=5"),
			.label = pmf_strdup(e ? "cpu-clock" : "cycles"),
			.unit = pmf_strdup(e ? "ns" : "events"),
			.fallback_reason = pmf_strdup("why = not"),
			.unsampled_name = pmf_strdup("[kernel time, not permitted]"),
			.period = 100 + e,
			.freq_hz = 201,
			.precise_ip = 2,
			.exclude_kernel = true,
			.exclude_user = e,
			.in_kernel = true,
			.counted = UINT64_C(12345678901234567890),
			.enabled_ns = 3,
			.running_ns = 4,
			.task_ns = 5,
			.scale = 1,
			.weight = 6,
			.weight_sq = 1.0 / 3,
			.unsampled = 7,
			.lost = 8,
			.lost_known = e,
			.throttled = 9,
			.cut_stacks = 10,
			.joined_stacks = 11,
			.broken_stacks = 12,
			.rooted_stacks = 13,
			.no_user_stack = 14,
			.skewed_stacks = 15,
			.unresolved_frames = 16,
			.frames = 17};
	}
	p.lost_sideband = 18;
	p.lost_unattributed = 19;
	p.ring_bytes = 20;
	p.duration_ns = 21;
	p.title = pmf_strdup("a title");
	p.host_note = pmf_strdup("x86_64, Linux");
	pmf_profile_note(&p, PMF_NOTE_INFO, -1, "of the run");
	pmf_profile_note(&p, PMF_NOTE_WARN, 1, "of - the = event\n");
	pmf_profile_name_files(&p);
	assert_survives(&p);
	pmf_profile_release(&p);
}

/* Inlined callees, builds of files, and frames that are told apart by their address only. */
static void frames_survive(void **state)
{
	static const uint8_t id[] = {0xde, 0xad, 0x01};
	struct pmf_profile p, loaded;
	uint32_t path, module, outer, inner, python, node;
	const struct pmf_frame *f;

	(void)state;
	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("cycles");
	p.events[0].unit = pmf_strdup("events");
	pmf_profile_name_files(&p);
	path = pmf_strtab_addz(&p.strings, "/usr/bin/a.out");
	module = pmf_strtab_addz(&p.strings, "a.out");
	outer = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 3, module, path, 0x1234);
	pmf_profile_name_frame(&p, outer, "outer", "outer.c", 7);
	pmf_profile_add_inline(&p, outer, "middle", "middle.h", 8);
	inner = pmf_profile_add_inline(&p, outer, "inner", "inner.h", 9);
	pmf_profile_set_start_line(&p, outer, 5);
	pmf_profile_set_start_line(&p, inner, 2);
	pmf_profile_set_build_id(&p, 3, id, sizeof id);
	python = pmf_profile_frame_at(&p, PMF_FRAME_PYTHON, UINT32_MAX,
		pmf_strtab_addz(&p.strings, "package"), pmf_strtab_addz(&p.strings, "/srv/x.py"),
		77);
	pmf_profile_name_frame(&p, python, "f (x.py:3)", "/srv/x.py", 3);
	node = pmf_profile_node(&p, 0, pmf_profile_frame_named(&p, PMF_FRAME_PROCESS, "python3"));
	node = pmf_profile_node(&p, pmf_profile_node(&p, node, python), outer);
	pmf_profile_add(&p, 0, node, 100, 1);
	p.events[0].samples = 1;
	p.events[0].weight = 100;
	assert_survives(&p);
	through_file(&p, &loaded);

	/* Root, process, Python, native: the last node is the stack's innermost. */
	f = &loaded.frames[loaded.nodes[3].frame];
	assert_int_equal(f->kind, PMF_FRAME_NATIVE);
	assert_int_equal(f->rva, 0x1234);
	assert_int_equal(f->line, 7);
	assert_int_equal(f->start_line, 5);
	assert_int_equal(f->nr_inline, 2);
	assert_string_equal(pmf_strtab_get(&loaded.strings, loaded.build_ids[f->image]), "dead01");
	f = &loaded.frames[f->first_inline + 1];
	assert_int_equal(f->kind, PMF_FRAME_INLINED);
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->name), "inner");
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->file), "inner.h");
	assert_int_equal(f->start_line, 2);
	f = &loaded.frames[loaded.nodes[2].frame];
	assert_int_equal(f->kind, PMF_FRAME_PYTHON);
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->module), "package");
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->path), "/srv/x.py");
	assert_int_equal(loaded.frames[loaded.nodes[1].frame].kind, PMF_FRAME_PROCESS);
	pmf_profile_release(&loaded);
}

/* Values are scaled, rounded so that the total is right, and what they were before comes back. */
static void multiplexed(void **state)
{
	static const double scales[] = {1.0013, 1.5, 2.75, 3.0000000001, 1000.1};
	volatile long double next = 1;

	(void)state;
	next += 0x1p-60L;
	if (next == 1)
		skip_because(
			"valgrind computes with doubles, which do not have the last unit of a sum");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(scales); i++) {
		struct pmf_profile p;
		uint64_t sums[4], weight;
		size_t len;
		char *bytes;

		assert_true(sample_profile(&p, "normal"));
		pmf_profile_name_files(&p);
		p.events[0].scale = scales[i];
		/* Many small numbers and a large one. */
		pmf_profile_add(&p, 0, 1, UINT64_C(1) << 48, 0);
		for (uint32_t n = 1; n < p.nr_nodes; n++)
			pmf_profile_add(&p, 0, n, n % 3, 0);
		assert_survives(&p);
		bytes = save_profile(&p, &len);
		sum_values(bytes, len, sums, 4);
		weight = sum_column(&p, p.weights, 0);
		assert_int_equal(sums[0], (uint64_t)((long double)weight * scales[i] + 0.5L));
		assert_int_equal(sums[1], sum_column(&p, p.samples, 0));
		assert_int_equal(sums[2], sum_column(&p, p.weights, 1));
		assert_int_equal(sums[3], sum_column(&p, p.samples, 1));
		free(bytes);
		pmf_profile_release(&p);
	}
}

/* Events may have one label, and one that is another's samples'. */
static void equal_labels(void **state)
{
	static const char *const labels[] = {"a", "a", "a.samples", "samples"};
	struct pmf_profile p, loaded;

	(void)state;
	pmf_profile_init(&p, PMF_ARRAY_SIZE(labels));
	for (size_t e = 0; e < p.nr_events; e++) {
		p.events[e].label = pmf_strdup(labels[e]);
		p.events[e].unit = pmf_strdup("events");
		p.events[e].samples = e + 1;
		pmf_profile_add(&p, e, 0, 10 * (e + 1), e + 1);
	}
	pmf_profile_name_files(&p);
	assert_string_equal(p.events[1].file_name, "a-2");
	pmf_profile_add_joined(&p, 1, 0, 5);
	assert_survives(&p);
	through_file(&p, &loaded);
	assert_int_equal(loaded.nr_events, PMF_ARRAY_SIZE(labels));
	for (size_t e = 0; e < loaded.nr_events; e++) {
		assert_string_equal(loaded.events[e].label, labels[e]);
		assert_int_equal(sum_column(&loaded, loaded.weights, e), 10 * (e + 1));
		assert_int_equal(sum_column(&loaded, loaded.samples, e), e + 1);
	}
	assert_null(loaded.joined[0]);
	assert_int_equal(loaded.joined[1][0], 5);
	pmf_profile_release(&loaded);
}

/* Fractions of folded stacks are less than whole numbers can hold: what was rounded once stays so. */
static void fractions(void **state)
{
	struct pmf_profile p, loaded;
	uint64_t sums[2];
	size_t len, again_len;
	char *bytes, *again;

	(void)state;
	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("ms");
	p.events[0].unit = pmf_strdup("events");
	p.events[0].scale = 0.01;
	pmf_profile_name_files(&p);
	for (size_t i = 0; i < 200; i++)
		pmf_profile_add(&p, 0,
			pmf_profile_node(&p, 0,
				(uint32_t)pmf_profile_frame_named(
					&p, PMF_FRAME_NATIVE, i % 2 ? "odd" : "even")),
			12345, 1);
	p.events[0].samples = 200;
	bytes = save_profile(&p, &len);
	sum_values(bytes, len, sums, 2);
	assert_int_equal(sums[0], 24690);
	through_file(&p, &loaded);
	assert_true(loaded.events[0].scale == 0.01);
	again = save_profile(&loaded, &again_len);
	assert_int_equal(len, again_len);
	assert_memory_equal(bytes, again, len);
	free(bytes);
	free(again);
	pmf_profile_release(&loaded);
}

/* As where the kernel's periods overstate: the sum is right, each weight to one. */
static void scaled_weights(void **state)
{
	static const double factors[] = {0.3, 1, 7.0 / 3, 1.0 / 1048576};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(factors); i++) {
		struct pmf_profile p;
		uint64_t before, first;
		double squares;

		assert_true(sample_profile(&p, "normal"));
		before = sum_column(&p, p.weights, 0);
		first = p.weights[0][5];
		squares = p.events[0].weight_sq;
		pmf_profile_scale_weights(&p, 0, factors[i]);
		assert_int_equal(sum_column(&p, p.weights, 0),
			(uint64_t)((long double)before * factors[i] + 0.5L));
		assert_in_range(p.weights[0][5] + 1, (uint64_t)((double)first * factors[i]),
			(uint64_t)((double)first * factors[i]) + 2);
		assert_true(p.events[0].weight_sq == squares * factors[i] * factors[i]);
		pmf_profile_release(&p);
	}
}

static void too_large_to_save(void **state)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_true(sample_profile(&p, "normal"));
	p.events[0].scale = 1000;
	pmf_profile_add(&p, 0, 1, UINT64_C(1) << 60, 1);
	assert_int_equal(pmf_profile_save(&p, f, &err), PMF_ELIMIT);
	assert_int_equal(ftell(f), 0);
	fclose(f);
	pmf_profile_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives),
		cmocka_unit_test(whole_ledger),
		cmocka_unit_test(frames_survive),
		cmocka_unit_test(multiplexed),
		cmocka_unit_test(equal_labels),
		cmocka_unit_test(fractions),
		cmocka_unit_test(scaled_weights),
		cmocka_unit_test(too_large_to_save),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
