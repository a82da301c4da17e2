/* Ring bytes: whatever stands in a ring, looking for records in it, merging rings by time and parsing
 * must read nothing outside a record and end. The first byte chooses the number of rings and readers,
 * the second where in the ring its first record starts (so that some wrap); the rest is dealt out to
 * the rings. */
#include "pmuflame/mem.h"
#include "pmuflame/record.h"
#include "record_touch.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_RINGS = 4 };

#define SIDE \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | (uint64_t)PERF_SAMPLE_CPU)
#define ALL_FIELDS ((UINT64_C(1) << 25) - 1)

static const struct pmf_layout known[] = {
	{.id = 1, .event = PMF_NO_EVENT, .sample_type = SIDE},
	{.id = 2,
		.event = 0,
		.sample_type = SIDE | PERF_SAMPLE_IP | PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN |
			       PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.regs_user = 0x105},
	{.id = 3,
		.event = 1,
		.sample_type = SIDE | PERF_SAMPLE_IP | PERF_SAMPLE_READ,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING |
			       PERF_FORMAT_ID | PERF_FORMAT_LOST,
		.period = 1},
	{.id = 4,
		.event = 2,
		.sample_type = SIDE | PERF_SAMPLE_READ | PERF_SAMPLE_STACK_USER,
		.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_LOST},
	{.id = 5,
		.event = 3,
		.sample_type = ALL_FIELDS,
		.regs_user = 0x105,
		.regs_intr = 0x30,
		.branch_sample_type = PERF_SAMPLE_BRANCH_HW_INDEX},
};

static int on_record(void *ctx, const struct pmf_record *rec)
{
	uint64_t *sums = ctx;

	sums[rec->reader] += touch_record(rec);
	return 0;
}

/* Each record once more by itself, in memory that ends where it does. Returns a sum of all that was
 * read. */
static uint64_t parse_alone(const struct pmf_layouts *layouts, const uint8_t *data, size_t size)
{
	struct perf_event_header h;
	struct pmf_record rec;
	uint64_t sum = 0;

	for (size_t at = 0; size - at >= sizeof h; at += h.size) {
		uint8_t *exact;

		memcpy(&h, data + at, sizeof h);
		if (h.size < sizeof h || h.size % 8 || h.size > size - at)
			break;
		exact = pmf_malloc(h.size);
		memcpy(exact, data + at, h.size);
		sum += pmf_record_time(layouts, exact, h.size);
		if (pmf_record_parse(layouts, exact, h.size, &rec, NULL) == 0)
			sum += touch_record(&rec);
		free(exact);
	}
	return sum;
}

static void fill_ring(struct pmf_ring *r, const uint8_t *bytes, size_t n, uint8_t start)
{
	uint8_t *data;

	r->size = 64;
	while (r->size < n)
		r->size *= 2;
	data = pmf_zalloc(r->size);
	r->tail = r->head = start * UINT64_C(8);
	for (size_t i = 0; i < n; i++)
		data[r->head++ & (r->size - 1)] = bytes[i];
	r->data = data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_layouts layouts = {0};
	struct pmf_ring rings[MAX_RINGS] = {0}, *ptrs[MAX_RINGS];
	struct pmf_readers *readers;
	uint64_t sums[MAX_RINGS] = {0}, whole[MAX_RINGS];
	size_t n, part;

	if (size < 2)
		return 0;
	n = data[0] % MAX_RINGS + 1u;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(known); i++)
		pmf_layouts_add(&layouts, &known[i]);
	pmf_layouts_seal(&layouts);
	part = (size - 2) / n / 8 * 8;
	for (size_t i = 0; i < n; i++) {
		fill_ring(&rings[i], data + 2 + i * part, part, data[1]);
		ptrs[i] = &rings[i];
		whole[i] = rings[i].head;
	}
	if (pmf_readers_new(&readers, &layouts, ptrs, n, data[0] & 0x80 ? 2 : 1, NULL))
		abort();
	/* First as if the kernel had written half of it, and only the older records counted. */
	for (size_t i = 0; i < n; i++)
		rings[i].head = rings[i].tail + part / 16 * 8;
	pmf_readers_drain(readers, 1 << 20, on_record, sums);
	for (size_t i = 0; i < n; i++)
		rings[i].head = whole[i];
	pmf_readers_drain(readers, UINT64_MAX, on_record, sums);
	pmf_readers_free(readers);
	for (size_t i = 0; i < n; i++) {
		if (rings[i].tail > rings[i].head)
			abort();
		free((void *)rings[i].data);
	}
	sums[0] += parse_alone(&layouts, data + 2, size - 2);
	pmf_layouts_release(&layouts);
	return 0;
}
