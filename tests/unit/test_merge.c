/* Several profiles as one. */
#include "pprof_build.h"
#include "profile_check.h"
#include "sample_profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void merged_with_itself(void **state)
{
	struct pmf_profile p, other;
	uint64_t weight, samples, joined;
	size_t nr_nodes, nr_frames;

	(void)state;
	assert_true(sample_profile(&p, "normal"));
	pmf_profile_name_files(&p);
	weight = sum_column(&p, p.weights, 0);
	samples = sum_column(&p, p.samples, 1);
	joined = sum_column(&p, p.joined, 0);
	assert_true(sample_profile(&other, "normal"));
	pmf_profile_name_files(&other);
	nr_nodes = p.nr_nodes;
	nr_frames = p.nr_frames;
	pmf_profile_merge(&p, &other);
	assert_int_equal(p.nr_events, 2);
	assert_int_equal(p.nr_nodes, nr_nodes);
	assert_int_equal(p.nr_frames, nr_frames);
	assert_int_equal(sum_column(&p, p.weights, 0), 2 * weight);
	assert_int_equal(sum_column(&p, p.samples, 1), 2 * samples);
	assert_int_equal(sum_column(&p, p.joined, 0), 2 * joined);
	assert_int_equal(p.events[0].counted, 2 * other.events[0].counted);
	assert_int_equal(p.events[0].frames, 2 * other.events[0].frames);
	assert_int_equal(p.events[0].freq_hz, 997);
	assert_int_equal(p.duration_ns, 2 * other.duration_ns);
	assert_int_equal(p.nr_notes, other.nr_notes);
	assert_string_equal(p.command, other.command);
	assert_survives(&p);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

/* Files without a build id are many images; the same frames are one all the same. */
static void merged_frames(void **state)
{
	struct pmf_profile p, other;
	size_t nr_frames, nr_nodes;
	struct pprof_file f;

	(void)state;
	pprof_begin(&f);
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "cpu", "count");
	pprof_add_stacks(&f, 1);
	pprof_end(&f);
	load_profile(&p, f.bytes.data, f.bytes.len);
	load_profile(&other, f.bytes.data, f.bytes.len);
	pmf_buf_release(&f.bytes);
	nr_frames = p.nr_frames;
	nr_nodes = p.nr_nodes;
	pmf_profile_merge(&p, &other);
	assert_int_equal(p.nr_frames, nr_frames);
	assert_int_equal(p.nr_nodes, nr_nodes);
	assert_int_equal(sum_column(&p, p.weights, 0), 30);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

static void merged_with_another(void **state)
{
	struct pmf_profile p, other;
	uint64_t first, second;

	(void)state;
	assert_true(sample_profile(&p, "normal"));
	pmf_profile_name_files(&p);
	assert_true(sample_profile(&other, "tall"));
	pmf_profile_name_files(&other);
	free(other.title);
	other.title = pmf_strdup("another program");
	free(other.host_note);
	other.host_note = pmf_strdup("arm64, Linux 5.10");
	other.events[0].scale = 2.5;
	other.events[0].freq_hz = 99;
	other.events[0].only_samples = true;
	first = sum_column(&p, p.weights, 0);
	second = sum_column(&other, other.weights, 0);
	pmf_profile_merge(&other, &p);

	assert_int_equal(other.nr_events, p.nr_events);
	assert_string_equal(other.events[0].label, "cpu-clock");
	assert_string_equal(other.events[1].file_name, "page-faults");
	assert_int_equal(sum_column(&other, other.weights, 0), first + second * 5 / 2);
	assert_int_equal(other.events[0].counted, first + second * 5 / 2);
	assert_true(other.events[0].scale == 1);
	assert_int_equal(other.events[0].freq_hz, 0);
	assert_true(
		has_note(&other, "'cpu-clock' differs between the merged profiles in its rate"));
	assert_true(has_note(&other,
		"'cpu-clock' differs between the merged profiles in whether it was counted"));
	assert_true(has_note(&other, "only some of the merged profiles have 'page-faults'"));
	assert_true(has_note(&other, "different systems: arm64, Linux 5.10; x86_64"));
	assert_true(has_note(&other, "paranoid is 1"));
	assert_null(other.title);
	assert_survives(&other);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

/* Two runs of one thing under other events: what both have is taken once. */
static void joined_with_another_pass(void **state)
{
	struct pmf_profile p, other;
	uint64_t first, second;

	(void)state;
	assert_true(sample_profile(&p, "normal"));
	pmf_profile_name_files(&p);
	assert_true(sample_profile(&other, "normal"));
	free(other.events[1].label);
	other.events[1].label = pmf_strdup("alignment-faults");
	pmf_profile_note(&other, PMF_NOTE_INFO, 0, "of the event that both have");
	pmf_profile_note(&other, PMF_NOTE_INFO, 1, "of the new one");
	first = sum_column(&p, p.weights, 0);
	second = sum_column(&other, other.weights, 1);
	pmf_profile_join(&p, &other);
	assert_int_equal(p.nr_events, 3);
	assert_string_equal(p.events[2].file_name, "alignment-faults");
	assert_int_equal(sum_column(&p, p.weights, 0), first);
	assert_int_equal(sum_column(&p, p.weights, 2), second);
	assert_int_equal(p.events[0].counted, other.events[0].counted);
	assert_false(has_note(&p, "only some"));
	assert_false(has_note(&p, "of the event that both have"));
	assert_true(has_note(&p, "of the new one"));
	assert_survives(&p);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merged_with_itself),
		cmocka_unit_test(merged_frames),
		cmocka_unit_test(merged_with_another),
		cmocka_unit_test(joined_with_another_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
