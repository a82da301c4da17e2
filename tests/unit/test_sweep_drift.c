/* Passes that measured different things are told, and equal ones are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/measure.h"
#include "pmuflame/mem.h"
#include "pmuflame/sweep.h"
#include <string.h>

/* What the anchor counted in three runs of each of two passes. */
static struct pmf_sweep_result sweep_of(const double values[2][3], const char *anchor)
{
	struct pmf_sweep_result r = {0};
	struct pmf_sweep_case *c = pmf_sweep_add_case(&r, "spin", "spin", NULL);
	struct pmf_err err = PMF_ERR_INIT;

	pmf_sweep_add_vary(c, "n=1");
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < 3; i++) {
			struct pmf_count count = {.event = (char *)"cycles",
				.unit = (char *)"events",
				.count = values[pass][i],
				.scale = 1};
			const struct pmf_measured m = {
				.seconds = 1, .counts = &count, .nr_counts = 1};

			assert_int_equal(pmf_sweep_add_run(c, pass, &m, anchor, &err), 0);
		}
	}
	pmf_sweep_drift(&r);
	return r;
}

static void drift_is_more_than_noise(void **state)
{
	static const double same[2][3] = {{1000, 1003, 998}, {1002, 999, 1001}};
	static const double drifted[2][3] = {{1000, 1003, 998}, {1102, 1099, 1101}};
	struct pmf_sweep_result r = sweep_of(same, "cycles");

	(void)state;
	assert_int_equal(r.nr_notes, 0);
	pmf_sweep_release(&r);
	r = sweep_of(drifted, "cycles");
	assert_int_equal(r.nr_notes, 1);
	assert_non_null(strstr(r.notes[0], "pass 2 of 'spin n=1' counted +10.03 % cycles"));
	pmf_sweep_release(&r);
	/* Only the anchor is meant to be the same. */
	r = sweep_of(drifted, NULL);
	assert_int_equal(r.nr_notes, 0);
	pmf_sweep_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drift_is_more_than_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
