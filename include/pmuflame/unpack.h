/* pmuflame/unpack.h - sections of ELF files as linkers compress them: by zlib or zstd (ELF gABI, "Section
 * Compression"), or by zlib in GNU's older way (".zdebug_info").
 * Layer: base. Threads: any. */
#ifndef PMUFLAME_UNPACK_H
#define PMUFLAME_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_packed {
	const uint8_t *data;
	size_t bytes;
	uint64_t size; /* once it is unpacked */
	bool (*unpack)(uint8_t *out, size_t out_bytes, const uint8_t *in, size_t in_bytes);
};

/* What the section of @n bytes at @in, which are borrowed, says of itself; @gnu: in the older way. False if it is
 * packed in no known way, or claims to be larger than it could be. */
bool pmf_packed_take(struct pmf_packed *p, const uint8_t *in, size_t n, bool elf32, bool gnu);
/* Into p->size bytes at @out; false if it is damaged. */
bool pmf_packed_unpack(const struct pmf_packed *p, uint8_t *out);

#endif
