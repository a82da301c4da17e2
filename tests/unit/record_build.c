#include "record_build.h"

#include "pmuflame/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

void build_bytes(struct build *b, const void *data, size_t len)
{
	assert(b->len + len <= sizeof b->bytes);
	if (len)
		memcpy(b->bytes + b->len, data, len);
	b->len += len;
}

void build_u16(struct build *b, uint16_t v)
{
	build_bytes(b, &v, sizeof v);
}

void build_u32(struct build *b, uint32_t v)
{
	build_bytes(b, &v, sizeof v);
}

void build_u64(struct build *b, uint64_t v)
{
	build_bytes(b, &v, sizeof v);
}

void build_words(struct build *b, uint64_t n, uint64_t first)
{
	for (uint64_t i = 0; i < n; i++)
		build_u64(b, first + i);
}

void build_str(struct build *b, const char *s)
{
	static const uint8_t zeroes[8];

	build_bytes(b, s, strlen(s) + 1);
	build_bytes(b, zeroes, (8 - b->len % 8) % 8);
}

void build_start(struct build *b, uint32_t type, uint16_t misc)
{
	b->len = 0;
	build_u32(b, type);
	build_u16(b, misc);
	build_u16(b, 0);
}

void build_trailer(struct build *b, uint64_t sample_type, const struct build_ids *ids)
{
	if (sample_type & PERF_SAMPLE_TID) {
		build_u32(b, ids->pid);
		build_u32(b, ids->tid);
	}
	if (sample_type & PERF_SAMPLE_TIME)
		build_u64(b, ids->time_ns);
	if (sample_type & PERF_SAMPLE_ID)
		build_u64(b, ids->id);
	if (sample_type & PERF_SAMPLE_STREAM_ID)
		build_u64(b, 0x57);
	if (sample_type & PERF_SAMPLE_CPU) {
		build_u32(b, ids->cpu);
		build_u32(b, 0);
	}
	if (sample_type & PERF_SAMPLE_IDENTIFIER)
		build_u64(b, ids->id);
}

void build_end(struct build *b)
{
	uint16_t size = (uint16_t)b->len;

	assert(b->len % 8 == 0 && b->len <= UINT16_MAX);
	memcpy(b->bytes + offsetof(struct perf_event_header, size), &size, sizeof size);
}

uint8_t *build_exact(const struct build *b, size_t len, size_t size)
{
	uint8_t *copy = pmf_malloc(len);
	uint16_t size16 = (uint16_t)size;

	memcpy(copy, b->bytes, len);
	if (len >= sizeof(struct perf_event_header))
		memcpy(copy + offsetof(struct perf_event_header, size), &size16, sizeof size16);
	return copy;
}

uint64_t test_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}
