#include "protobuf_priv.h"

#include <string.h>

void pmf_pb_put_varint(struct pmf_buf *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		pmf_buf_addch(out, (char)(value | 0x80));
	pmf_buf_addch(out, (char)value);
}

void pmf_pb_put_int(struct pmf_buf *out, uint32_t field, uint64_t value)
{
	if (value == 0)
		return;
	pmf_pb_put_varint(out, (uint64_t)field << 3 | PMF_PB_VARINT);
	pmf_pb_put_varint(out, value);
}

void pmf_pb_put_bytes(struct pmf_buf *out, uint32_t field, const void *data, size_t len)
{
	pmf_pb_put_varint(out, (uint64_t)field << 3 | PMF_PB_BYTES);
	pmf_pb_put_varint(out, len);
	if (len)
		pmf_buf_add(out, data, len);
}

void pmf_pb_read(struct pmf_pb_reader *r, const void *data, size_t len)
{
	*r = (struct pmf_pb_reader){.at = data, .end = len ? (const uint8_t *)data + len : data};
}

static bool fail(struct pmf_pb_reader *r)
{
	r->bad = true;
	return false;
}

static bool get_varint(struct pmf_pb_reader *r, uint64_t *value)
{
	const uint8_t *p = r->at;

	*value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (p == r->end)
			return fail(r);
		*value |= (uint64_t)(*p & 0x7f) << shift;
		if (!(*p++ & 0x80)) {
			r->at = p;
			return true;
		}
	}
	return fail(r);
}

static bool get_fixed(struct pmf_pb_reader *r, size_t bytes, uint64_t *value)
{
	if ((size_t)(r->end - r->at) < bytes)
		return fail(r);
	*value = 0;
	for (size_t i = 0; i < bytes; i++)
		*value |= (uint64_t)r->at[i] << (8 * i);
	r->at += bytes;
	return true;
}

bool pmf_pb_next(struct pmf_pb_reader *r, struct pmf_pb_field *f)
{
	uint64_t tag, len;

	if (r->bad || r->at == r->end || !get_varint(r, &tag))
		return false;
	if (tag >> 3 == 0 || tag > UINT32_MAX)
		return fail(r);
	*f = (struct pmf_pb_field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
	switch (f->type) {
	case PMF_PB_VARINT:
		return get_varint(r, &f->value);
	case PMF_PB_FIXED64:
		return get_fixed(r, 8, &f->value);
	case PMF_PB_FIXED32:
		return get_fixed(r, 4, &f->value);
	case PMF_PB_BYTES:
		if (!get_varint(r, &len))
			return false;
		if (len > (size_t)(r->end - r->at))
			return fail(r);
		f->data = r->at;
		f->len = (size_t)len;
		r->at += len;
		return true;
	default:
		return fail(r);
	}
}

void pmf_pb_read_ints(struct pmf_pb_reader *r, const struct pmf_pb_field *f)
{
	if (f->type == PMF_PB_BYTES)
		pmf_pb_read(r, f->data, f->len);
	else /* one number, which pmf_pb_next_int() takes from @f */
		*r = (struct pmf_pb_reader){.bad = f->type != PMF_PB_VARINT};
}

bool pmf_pb_next_int(struct pmf_pb_reader *r, const struct pmf_pb_field *f, uint64_t *value)
{
	static const uint8_t done;

	if (r->bad)
		return false;
	if (f->type == PMF_PB_BYTES)
		return r->at != r->end && get_varint(r, value);
	if (r->at)
		return false;
	r->at = r->end = &done;
	*value = f->value;
	return true;
}
