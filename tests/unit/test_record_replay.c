/* A recorded run, merged and parsed, against what it is known to hold and a line for each
 * record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include "ring_fixture.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES = PERF_RECORD_MAX };

struct replay {
	struct ring_fixture fixture;
	struct pmf_merge merge;
	struct pmf_buf text;
	uint64_t by_type[TYPES], weight[RING_FIXTURE_EVENTS], samples[RING_FIXTURE_EVENTS];
	uint64_t last_ns, first_ns, disorder;
};

static char *test_path(const char *folder_variable, const char *name)
{
	const char *folder = getenv(folder_variable);

	return pmf_asprintf("%s/%s", folder ? folder : ".", name);
}

static const char *event_name(const struct replay *r, uint32_t event)
{
	return event == PMF_NO_EVENT ? "sideband" : r->fixture.events[event];
}

static void print_sample(struct replay *r, const struct pmf_record *rec)
{
	const struct pmf_sample *s = &rec->sample;
	uint64_t regs = pmf_hash_bytes(s->regs, 8 * (size_t)__builtin_popcountll(s->regs_mask));

	pmf_buf_printf(&r->text, "SAMPLE %s weight=%" PRIu64 " ip=%#" PRIx64 " kernel=%zu",
		event_name(r, rec->event), s->weight, s->ip, s->nr_callchain);
	pmf_buf_printf(&r->text, " regs=%" PRIu64 ":%#" PRIx64 ":%08" PRIx32, s->regs_abi,
		s->regs_mask, (uint32_t)regs);
	pmf_buf_printf(&r->text, " stack=%zu/%zu:%08" PRIx32 "\n", s->stack_bytes, s->stack_asked,
		(uint32_t)pmf_hash_bytes(s->stack, s->stack_bytes));
}

static void print_mmap(struct replay *r, const struct pmf_record *rec)
{
	pmf_buf_printf(&r->text, "MMAP2 %#" PRIx64 "+%#" PRIx64 " @%#" PRIx64 " prot=%#x %s",
		rec->mmap.start, rec->mmap.len, rec->mmap.pgoff, rec->mmap.prot, rec->mmap.path);
	for (uint8_t i = 0; i < rec->mmap.build_id_len; i++)
		pmf_buf_printf(&r->text, "%s%02x", i ? "" : " ", rec->mmap.build_id[i]);
	pmf_buf_addch(&r->text, '\n');
}

static void print_record(struct replay *r, const struct pmf_record *rec)
{
	pmf_buf_printf(&r->text, "%9" PRIu64 " cpu%" PRIu32 " %" PRIu32 "/%" PRIu32 " ",
		rec->time_ns - r->first_ns, rec->cpu, rec->pid, rec->tid);
	switch (rec->type) {
	case PERF_RECORD_SAMPLE:
		print_sample(r, rec);
		break;
	case PERF_RECORD_MMAP2:
		print_mmap(r, rec);
		break;
	case PERF_RECORD_COMM:
		pmf_buf_printf(
			&r->text, "COMM%s %s\n", rec->comm.exec ? " exec" : "", rec->comm.comm);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		pmf_buf_printf(&r->text, "%s from %" PRIu32 "/%" PRIu32 "\n",
			rec->type == PERF_RECORD_FORK ? "FORK" : "EXIT", rec->task.ppid,
			rec->task.ptid);
		break;
	case PERF_RECORD_READ:
		pmf_buf_printf(&r->text,
			"READ %s value=%" PRIu64 " enabled=%" PRIu64 " running=%" PRIu64
			" lost=%" PRIu64 "\n",
			event_name(r, rec->event), rec->read.value, rec->read.enabled_ns,
			rec->read.running_ns, rec->read.lost);
		break;
	default:
		pmf_buf_printf(&r->text, "type %" PRIu32 "\n", rec->type);
		break;
	}
}

static int on_record(void *ctx, const struct pmf_record *rec)
{
	struct replay *r = ctx;

	assert_in_range(rec->type, 1, TYPES - 1);
	r->by_type[rec->type]++;
	if (!r->first_ns)
		r->first_ns = rec->time_ns;
	r->disorder += rec->time_ns < r->last_ns;
	r->last_ns = rec->time_ns;
	if (rec->type == PERF_RECORD_SAMPLE) {
		assert_in_range(rec->event, 0, r->fixture.nr_events - 1);
		r->weight[rec->event] += rec->sample.weight;
		r->samples[rec->event]++;
	}
	print_record(r, rec);
	return 0;
}

static int setup(void **state)
{
	struct replay *r = pmf_zalloc(sizeof *r);
	char *path = test_path("srcdir", "tests/fixtures/sha256-pipe.ring");
	struct pmf_err err = PMF_ERR_INIT;

	if (ring_fixture_load(&r->fixture, path, &err) ||
		pmf_merge_init(
			&r->merge, &r->fixture.layouts, r->fixture.ptrs, r->fixture.nr_rings, &err))
		fail_msg("%s", err.text);
	free(path);
	assert_int_equal(pmf_merge_drain(&r->merge, UINT64_MAX, on_record, r), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct replay *r = *state;

	pmf_merge_release(&r->merge);
	ring_fixture_release(&r->fixture);
	pmf_buf_release(&r->text);
	free(r);
	return 0;
}

static void test_fixture_header(void **state)
{
	const struct ring_fixture *f = &((struct replay *)*state)->fixture;

	assert_string_equal(f->arch, "x86_64");
	assert_int_equal(f->nr_events, 2);
	assert_string_equal(f->events[0], "page-faults");
	assert_string_equal(f->events[1], "cpu-clock");
	assert_int_equal(f->nr_rings, 2);
	assert_int_equal(f->cpus[1], 1);
	assert_int_equal(f->layouts.n, 6);
}

static void test_nothing_is_lost_or_refused(void **state)
{
	const struct replay *r = *state;

	assert_int_equal(r->merge.malformed, 0);
	assert_int_equal(r->merge.out_of_order, r->disorder);
	for (size_t i = 0; i < r->fixture.nr_rings; i++)
		assert_int_equal(r->fixture.rings[i].tail, r->fixture.rings[i].head);
}

static void test_numbers_of_records(void **state)
{
	static const uint64_t want[TYPES] = {
		[PERF_RECORD_COMM] = 3,
		[PERF_RECORD_EXIT] = 3,
		[PERF_RECORD_FORK] = 2,
		[PERF_RECORD_READ] = 8,
		[PERF_RECORD_SAMPLE] = 75,
		[PERF_RECORD_MMAP2] = 12,
	};
	const struct replay *r = *state;

	for (size_t i = 0; i < TYPES; i++)
		assert_int_equal(r->by_type[i], want[i]);
}

static void test_order(void **state)
{
	const struct replay *r = *state;

	assert_int_equal(r->disorder, 0);
	assert_true(r->last_ns > r->first_ns);
}

static void test_weights(void **state)
{
	const struct replay *r = *state;

	/* Every fifth fault, by the layout's period: the records do not say it. */
	assert_int_equal(r->samples[0], 48);
	assert_int_equal(r->weight[0], 5 * 48);
	assert_int_equal(r->samples[1], 27);
	assert_int_equal(r->weight[1], 27081243);
}

/* On a difference the new text stays beside the build, and diff shows what changed. */
static void test_every_record(void **state)
{
	const struct replay *r = *state;
	char *expected_path = test_path("srcdir", "tests/fixtures/sha256-pipe.ring.expected");
	char *actual_path = test_path("builddir", "sha256-pipe.ring.actual");
	struct pmf_buf expected = PMF_BUF_INIT;
	struct pmf_err err = PMF_ERR_INIT;
	bool same;

	same = pmf_file_read(expected_path, 1 << 20, &expected, &err) == 0 &&
	       strcmp(pmf_buf_str(&expected), pmf_buf_str(&r->text)) == 0;
	if (!same) {
		struct pmf_outfile of;
		char *diff = pmf_asprintf("diff -u '%s' '%s' >&2", expected_path, actual_path);

		assert_int_equal(pmf_outfile_open(&of, actual_path, &err), 0);
		fputs(pmf_buf_str(&r->text), of.f);
		assert_int_equal(pmf_outfile_commit(&of, &err), 0);
		assert_int_not_equal(system(diff), 0);
		free(diff);
	}
	pmf_buf_release(&expected);
	free(expected_path);
	free(actual_path);
	assert_true(same);
}

/* A reader that gets the rings piece by piece, with a margin, sees the same records. */
static void test_piecemeal(void **state)
{
	struct replay *whole = *state, *r;
	void *again = NULL;
	struct pmf_err err = PMF_ERR_INIT;
	uint64_t ends[8];
	bool more = true;

	setup(&again);
	r = again;
	pmf_merge_release(&r->merge);
	pmf_buf_clear(&r->text);
	memset(r->by_type, 0, sizeof r->by_type);
	r->last_ns = r->first_ns = r->disorder = 0;
	assert_int_equal(pmf_merge_init(&r->merge, &r->fixture.layouts, r->fixture.ptrs,
				 r->fixture.nr_rings, &err),
		0);
	assert_true(r->fixture.nr_rings <= PMF_ARRAY_SIZE(ends));
	for (size_t i = 0; i < r->fixture.nr_rings; i++) {
		ends[i] = r->fixture.rings[i].head;
		r->fixture.rings[i].head = r->fixture.rings[i].tail = 0;
	}
	for (uint64_t now = whole->first_ns; more; now += 1000000) {
		more = false;
		for (size_t i = 0; i < r->fixture.nr_rings; i++) {
			struct pmf_ring *ring = &r->fixture.rings[i];

			while (ring->head < ends[i]) {
				const uint8_t *at = ring->data + ring->head;
				struct perf_event_header h;

				memcpy(&h, at, sizeof h);
				if (pmf_record_time(&r->fixture.layouts, at, h.size) > now)
					break;
				ring->head += h.size;
			}
			more |= ring->head < ends[i];
		}
		assert_int_equal(pmf_merge_drain(&r->merge, now - 2000000, on_record, r), 0);
	}
	assert_int_equal(pmf_merge_drain(&r->merge, UINT64_MAX, on_record, r), 0);
	assert_string_equal(pmf_buf_str(&r->text), pmf_buf_str(&whole->text));
	teardown(&again);
}

static void test_loader_refuses(void **state)
{
	char *path = test_path("builddir", "sha256-pipe.ring.cut");
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;
	struct ring_fixture f;

	(void)state;
	assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
	fputs("pmuflame-ring 1\nring 0 64\nshort\nend\n", of.f);
	assert_int_equal(pmf_outfile_commit(&of, &err), 0);
	assert_int_equal(ring_fixture_load(&f, path, &err), PMF_EFORMAT);
	remove(path);
	assert_int_equal(ring_fixture_load(&f, path, &err), PMF_ENOTFOUND);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixture_header),
		cmocka_unit_test(test_nothing_is_lost_or_refused),
		cmocka_unit_test(test_numbers_of_records),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_every_record),
		cmocka_unit_test(test_piecemeal),
		cmocka_unit_test(test_loader_refuses),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
