#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record_check.h"
#include <stdlib.h>
#include <string.h>

void check_layouts_make(struct pmf_layouts *ls, const struct pmf_layout *event_layout)
{
	struct pmf_layout side = {.id = SIDE_ID, .event = PMF_NO_EVENT, .sample_type = SIDE_TYPE};

	memset(ls, 0, sizeof *ls);
	pmf_layouts_add(ls, &side);
	if (event_layout)
		pmf_layouts_add(ls, event_layout);
	pmf_layouts_seal(ls);
}

void check_refused(const struct pmf_layouts *ls, const uint8_t *data, size_t len)
{
	struct pmf_record rec;
	struct pmf_err err = PMF_ERR_INIT;

	assert_int_equal(pmf_record_parse(ls, data, len, &rec, &err), PMF_EFORMAT);
	assert_int_equal(err.status, PMF_EFORMAT);
	assert_true(strlen(err.text) > 20);
}

void check_truncations_refused(const struct pmf_layouts *ls, const struct build *b)
{
	for (size_t len = 0; len < b->len; len++) {
		uint8_t *lying = build_exact(b, len, b->len), *honest = build_exact(b, len, len);

		check_refused(ls, lying, len);
		assert_int_equal(pmf_record_time(ls, lying, len), 0);
		check_refused(ls, honest, len);
		pmf_record_time(ls, honest, len); /* any answer, no read outside */
		free(lying);
		free(honest);
	}
}

void check_parse(
	const struct pmf_layouts *ls, const struct build *b, uint8_t **copy, struct pmf_record *rec)
{
	struct pmf_err err = PMF_ERR_INIT;

	*copy = build_exact(b, b->len, b->len);
	if (pmf_record_parse(ls, *copy, b->len, rec, &err))
		fail_msg("%s", err.text);
	assert_int_equal(rec->time_ns, pmf_record_time(ls, *copy, b->len));
}

void check_build_read(struct build *b, uint64_t format)
{
	static const uint64_t group_ids[] = {0xa, EVENT_ID, 0xc};
	bool group = format & PERF_FORMAT_GROUP;

	build_u64(b, group ? 3 : 20);
	if (format & PERF_FORMAT_TOTAL_TIME_ENABLED)
		build_u64(b, 4000);
	if (format & PERF_FORMAT_TOTAL_TIME_RUNNING)
		build_u64(b, 3000);
	for (uint64_t i = group ? 0 : 1; i < (group ? 3 : 2); i++) {
		if (group)
			build_u64(b, 10 * (i + 1));
		if (format & PERF_FORMAT_ID)
			build_u64(b, group_ids[i]);
		if (format & PERF_FORMAT_LOST)
			build_u64(b, i + 1);
	}
}
