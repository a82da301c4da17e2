/* Perf records built by hand, byte for byte, for the tests of the record module. */
#ifndef PMF_TEST_RECORD_BUILD_H
#define PMF_TEST_RECORD_BUILD_H

#include "pmuflame/record.h"

struct build {
	uint8_t bytes[65536];
	size_t len;
};

void build_start(struct build *b, uint32_t type, uint16_t misc);
void build_bytes(struct build *b, const void *data, size_t len);
void build_u16(struct build *b, uint16_t v);
void build_u32(struct build *b, uint32_t v);
void build_u64(struct build *b, uint64_t v);
/* @n words: @first, @first + 1, … */
void build_words(struct build *b, uint64_t n, uint64_t first);
/* With its NUL, padded to a multiple of eight bytes as the kernel does. */
void build_str(struct build *b, const char *s);

struct build_ids {
	uint64_t id, time_ns;
	uint32_t pid, tid, cpu;
};
/* The sample_id trailer for @sample_type. */
void build_trailer(struct build *b, uint64_t sample_type, const struct build_ids *ids);
/* Fill in header.size. */
void build_end(struct build *b);

/* A heap copy of exactly @len bytes, so that AddressSanitizer sees every read beyond it;
 * header.size becomes @size. */
uint8_t *build_exact(const struct build *b, size_t len, size_t size);

/* The same numbers in every run (xorshift64*, Vigna 2016). */
uint64_t test_random(uint64_t *state);

#endif
