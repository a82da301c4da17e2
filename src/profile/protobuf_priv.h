/* The part of protobuf's wire format that pprof uses (protobuf.dev, "Encoding"): varints and
 * length-delimited fields to write, and every type but the deprecated groups to read. */
#ifndef PMF_PROTOBUF_PRIV_H
#define PMF_PROTOBUF_PRIV_H

#include "pmuflame/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Writing: append to a buffer ---- */

void pmf_pb_put_varint(struct pmf_buf *out, uint64_t value);
/* A field of type int64, uint64 or bool; 0, which is what a reader takes for a missing one, is left
 * out. */
void pmf_pb_put_int(struct pmf_buf *out, uint32_t field, uint64_t value);
/* A string, a message or packed numbers, also when empty. */
void pmf_pb_put_bytes(struct pmf_buf *out, uint32_t field, const void *data, size_t len);

/* ---- Reading ---- */

struct pmf_pb_reader {
	const uint8_t *at, *end;
	bool bad; /* what is left at @at is no field */
};

enum pmf_pb_type { PMF_PB_VARINT = 0, PMF_PB_FIXED64 = 1, PMF_PB_BYTES = 2, PMF_PB_FIXED32 = 5 };

struct pmf_pb_field {
	uint32_t number;
	enum pmf_pb_type type;
	uint64_t value;      /* of the numeric types, else 0 */
	const uint8_t *data; /* of BYTES, inside the reader's bytes */
	size_t len;
};

void pmf_pb_read(struct pmf_pb_reader *r, const void *data, size_t len);
/* The next field; false at the end, and where the bytes make no field (r->bad is then set). */
bool pmf_pb_next(struct pmf_pb_reader *r, struct pmf_pb_field *f);

/* The numbers of a repeated integer field, one occurrence of it being packed or a single number. */
void pmf_pb_read_ints(struct pmf_pb_reader *r, const struct pmf_pb_field *f);
/* The next of them; false at the end, or with r->bad set. */
bool pmf_pb_next_int(struct pmf_pb_reader *r, const struct pmf_pb_field *f, uint64_t *value);

#endif
