/* Frames and samples as they are added, and what the ledger says of an event. */
#include "pmuflame/profile.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void frames_are_interned_by_address(void **state)
{
	struct pmf_profile p;
	uint32_t lib, path, a;

	(void)state;
	pmf_profile_init(&p, 1);
	lib = pmf_strtab_addz(&p.strings, "libx.so");
	path = pmf_strtab_addz(&p.strings, "/usr/lib/libx.so");
	a = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 3, lib, path, 0x1000);
	assert_int_equal(pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 3, lib, path, 0x1000), a);
	assert_int_not_equal(pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 3, lib, path, 0x1001), a);
	assert_int_not_equal(pmf_profile_frame_at(&p, PMF_FRAME_KERNEL, 3, lib, path, 0x1000), a);
	/* Two libraries of one name are two. */
	assert_int_not_equal(pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 4, lib, path, 0x1000), a);
	pmf_profile_name_frame(&p, a, "f", NULL, 0);
	assert_int_equal(pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 3, lib, path, 0x1000), a);
	a = pmf_profile_frame_named(&p, PMF_FRAME_PYTHON, "f");
	assert_int_equal(pmf_profile_frame_named(&p, PMF_FRAME_PYTHON, "f"), a);
	assert_int_not_equal(pmf_profile_frame_named(&p, PMF_FRAME_JIT, "f"), a);
	pmf_profile_release(&p);
}

static void adding_samples_allocates_nothing_once_warm(void **state)
{
	struct pmf_profile p;
	struct mallinfo2 before, after;
	uint32_t node = 0;

	(void)state;
	pmf_profile_init(&p, 2);
	for (int round = 0; round < 2; round++) {
		before = mallinfo2();
		for (int i = 0; i < 1000; i++) {
			uint32_t frame = pmf_profile_frame_at(
				&p, PMF_FRAME_NATIVE, 0, 0, 0, (uint64_t)(i % 500));

			node = pmf_profile_node(&p, i % 100 ? node : 0, frame);
			pmf_profile_add(&p, (size_t)i % 2, node, 10, 1);
		}
		after = mallinfo2();
	}
	assert_int_equal(after.uordblks, before.uordblks);
	pmf_profile_release(&p);
}

static void fill_event(struct pmf_profile_event *ev)
{
	ev->spec = pmf_strdup("cycles:u");
	ev->label = pmf_strdup("cpu-clock:u");
	ev->unit = pmf_strdup("ns");
	ev->fallback_reason = pmf_strdup("this machine has no PMU");
	ev->freq_hz = 997;
	ev->exclude_kernel = true;
	ev->counted = 2000000000;
	ev->unsampled = 20000000;
	ev->weight = 1980000000;
	ev->samples = 1980;
	ev->rooted_stacks = 1960;
	ev->cut_stacks = 15;
	ev->broken_stacks = 5;
	ev->frames = 19800;
	ev->unresolved_frames = 99;
	ev->running_ns = 1;
}

static void the_ledger_says_it_all(void **state)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct pmf_profile p;

	(void)state;
	pmf_profile_init(&p, 2);
	fill_event(&p.events[0]);
	p.command = pmf_strdup("./backtest 'a\nb'");
	p.host_note = pmf_strdup("x86_64, Linux 6.18, 2 CPUs");
	p.start_unix_ns = 1790000000u * UINT64_C(1000000000);
	p.duration_ns = 2100000000;
	p.ring_bytes = 16 << 20;
	pmf_profile_note(&p, PMF_NOTE_WARN, 0, "kernel time is %s", "not permitted");
	pmf_profile_note(&p, PMF_NOTE_WARN, 0, "kernel time is not permitted");
	pmf_profile_note(&p, PMF_NOTE_INFO, 1, "of the other event");
	pmf_profile_note(&p, PMF_NOTE_INFO, -1, "of the run");
	assert_int_equal(p.nr_notes, 3);
	pmf_profile_ledger(&p, 0, &out);
	assert_string_equal(pmf_buf_str(&out),
		"cpu-clock:u: 2.00 s counted · samples 1,980 stand for 99.00% of the count · lost "
		"0\n"
		"asked for cycles:u, counted cpu-clock:u: this machine has no PMU\n"
		"rate 997 Hz · precise_ip 0 · user only\n"
		"sampled weight 1.98 s · [unsampled] 20 ms (1.00%) · ran all the time, not scaled "
		"· "
		"throttled 0\n"
		"stacks: rooted 1,960 (98.99%) · cut 15 (0.76%) · broken 5 (0.25%)\n"
		"frames: 99 of 19,800 without a name (0.50%)\n"
		"warning: kernel time is not permitted\n"
		"note: of the run\n"
		"run: ./backtest 'a b' · x86_64, Linux 6.18, 2 CPUs · 2026-09-21 14:13:20 UTC · "
		"2.10 s · rings 16 MiB per CPU\n");
	pmf_buf_release(&out);
	pmf_profile_release(&p);
}

static void the_ledger_names_scaling_and_unknown_loss(void **state)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct pmf_profile p;
	struct pmf_profile_event *ev;

	(void)state;
	pmf_profile_init(&p, 1);
	ev = &p.events[0];
	ev->spec = pmf_strdup("cache-misses");
	ev->label = pmf_strdup("cache-misses");
	ev->unit = pmf_strdup("events");
	ev->period = 10000;
	ev->precise_ip = 2;
	ev->counted = 1000000;
	ev->weight = 1000000;
	ev->samples = 100;
	ev->scale = 2;
	ev->lost_known = false;
	p.lost_unattributed = 12;
	pmf_profile_ledger(&p, 0, &out);
	assert_string_equal(pmf_buf_str(&out),
		"cache-misses: 2,000,000 events counted (scaled) · samples 100 stand for "
		"100.00% of the count · lost: not known (Linux 6.0 and later tell)\n"
		"rate: 1 sample per 10,000 events · precise_ip 2 · user and kernel\n"
		"sampled weight 2,000,000 · [unsampled] 0 (0.00%) · multiplexed: ran 50.00% of the "
		"time, scaled by 2.000 · throttled 0\n"
		"stacks: rooted 0 (0.00%) · cut 0 (0.00%) · broken 0 (0.00%)\n"
		"warning: records lost, event unknown: 12\n");
	pmf_buf_release(&out);
	pmf_profile_release(&p);
}

static void the_ledger_of_a_recording_invents_no_count(void **state)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct pmf_profile p;
	struct pmf_profile_event *ev;

	(void)state;
	pmf_profile_init(&p, 1);
	ev = &p.events[0];
	ev->label = pmf_strdup("cycles:u");
	ev->unit = pmf_strdup("events");
	ev->freq_hz = 4000;
	ev->exclude_kernel = true;
	ev->only_samples = true;
	ev->counted = ev->weight = 2000000;
	ev->samples = 100;
	ev->lost_known = false;
	pmf_profile_ledger(&p, 0, &out);
	assert_string_equal(pmf_buf_str(&out),
		"cycles:u: 2,000,000 events sampled · samples 100 · what was counted beside them is "
		"not recorded · lost: not recorded per event\n"
		"rate 4000 Hz · precise_ip 0 · user only\n"
		"stacks: none unwound from a dump\n");
	pmf_buf_release(&out);
	pmf_profile_release(&p);
}

/* 22 samples of one event each and one of 100: what is known of a share comes from the last. */
static void samples_of_unequal_weight_are_worth_fewer(void **state)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct pmf_profile p;
	struct pmf_profile_event *ev;

	(void)state;
	pmf_profile_init(&p, 1);
	ev = &p.events[0];
	ev->label = pmf_strdup("page-faults");
	ev->unit = pmf_strdup("events");
	ev->unsampled_name = pmf_strdup("[kernel time,\tnot permitted]");
	ev->counted = 200;
	ev->unsampled = 78;
	ev->weight = 122;
	ev->samples = 23;
	/* Nobody added up the squares. */
	assert_true(pmf_profile_effective_samples(ev) == 23);
	for (int i = 0; i < 22; i++)
		pmf_profile_add(&p, 0, 0, 1, 1);
	pmf_profile_add(&p, 0, 0, 100, 1);
	pmf_profile_add(&p, 0, 0, 78, 0); /* no sample: knows nothing */
	assert_true(ev->weight_sq == 22 + 100 * 100);
	pmf_profile_ledger(&p, 0, &out);
	assert_non_null(strstr(pmf_buf_str(&out), "samples 23, worth 1.5 of equal weight, stand "
						  "for 61.00% of the count · lost 0\n"));
	assert_non_null(strstr(pmf_buf_str(&out),
		"sampled weight 122 · [kernel time, not permitted] 78 (39.00%)"));
	pmf_buf_release(&out);
	pmf_profile_release(&p);
}

static void samples_of_equal_weight_are_worth_their_number(void **state)
{
	struct pmf_profile p;

	(void)state;
	pmf_profile_init(&p, 1);
	pmf_profile_add(&p, 0, 0, 3 * 1003009, 3);
	for (int i = 0; i < 997; i++)
		pmf_profile_add(&p, 0, 0, 1003009, 1);
	p.events[0].samples = 1000;
	p.events[0].weight = UINT64_C(1000) * 1003009;
	assert_true(fabs(pmf_profile_effective_samples(&p.events[0]) - 1000) < 1e-6);
	pmf_profile_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_interned_by_address),
		cmocka_unit_test(adding_samples_allocates_nothing_once_warm),
		cmocka_unit_test(the_ledger_says_it_all),
		cmocka_unit_test(the_ledger_names_scaling_and_unknown_loss),
		cmocka_unit_test(the_ledger_of_a_recording_invents_no_count),
		cmocka_unit_test(samples_of_unequal_weight_are_worth_fewer),
		cmocka_unit_test(samples_of_equal_weight_are_worth_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
