/* .debug_frame rewritten as .eh_frame, so that everything behind it knows one format only. The
 * differences: DWARF 5, section 6.4.1, against LSB Core, "Exception Frames". */
#include "cfi_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/hash.h"
#include <stdlib.h>
#include <string.h>

enum { PE_PCREL_SDATA8 = 0x1c, MAX_RECORD = 16 * 1024 * 1024 };

struct moved {
	uint64_t from; /* offset of a CIE in .debug_frame */
	uint64_t to;   /* offset of its rewritten form, UINT64_MAX if it cannot be used */
};

struct convert {
	const uint8_t *data;
	size_t size;
	const struct pmf_arch *arch;
	uint64_t rva;
	struct pmf_buf out;
	struct pmf_index index;
	struct moved *moved;
	size_t nr_moved, cap_moved;
};

static void add_uint(struct pmf_buf *b, uint64_t n, size_t bytes)
{
	pmf_buf_add(b, &n, bytes);
}

static void add_uleb(struct pmf_buf *b, uint64_t n)
{
	do {
		uint8_t byte = n & 0x7f;

		n >>= 7;
		pmf_buf_addch(b, (char)(n ? byte | 0x80 : byte));
	} while (n);
}

static void add_sleb(struct pmf_buf *b, int64_t n)
{
	for (;;) {
		uint8_t byte = (uint64_t)n & 0x7f;

		/* An arithmetic shift, as gcc and clang define it. */
		/* cppcheck-suppress shiftNegativeLHS */
		n >>= 7;
		if ((n == 0 && !(byte & 0x40)) || (n == -1 && (byte & 0x40))) {
			pmf_buf_addch(b, (char)byte);
			return;
		}
		pmf_buf_addch(b, (char)(byte | 0x80));
	}
}

/* The length in front of the record that starts at @from. */
static void close_record(struct pmf_buf *b, size_t from)
{
	uint32_t len = (uint32_t)(b->len - from - 4);

	memcpy(b->data + from, &len, sizeof len);
}

static bool moved_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct convert *v = ctx;

	return v->moved[value].from == *(const uint64_t *)key;
}

/* A record of .debug_frame: its id (a CIE's is all ones) and what follows. */
static bool take_record(const struct convert *v, uint64_t off, struct pmf_cfi_cursor *body,
	uint64_t *id, bool *is_cie)
{
	struct pmf_cfi_cursor c;
	uint64_t len;
	size_t bytes = 4;

	if (off >= v->size)
		return false;
	c = (struct pmf_cfi_cursor){v->data + off, v->data + v->size, false};
	len = pmf_cfi_uint(&c, 4);
	if (len == UINT32_MAX) {
		len = pmf_cfi_uint(&c, 8);
		bytes = 8;
	}
	if (c.bad || len > (uint64_t)(c.end - c.p))
		return false;
	c.end = c.p + len;
	*id = pmf_cfi_uint(&c, bytes);
	*is_cie = *id == (bytes == 8 ? UINT64_MAX : UINT32_MAX);
	*body = c;
	return true;
}

static bool write_cie(struct convert *v, uint64_t from)
{
	static const char head[] = "\1zR"; /* version 1, augmentation with its NUL */
	struct pmf_cfi_cursor c;
	uint64_t id, code_align, ra;
	size_t start = v->out.len;
	int64_t data_align;
	uint8_t version;
	bool is_cie;

	if (!take_record(v, from, &c, &id, &is_cie) || !is_cie)
		return false;
	version = (uint8_t)pmf_cfi_uint(&c, 1);
	/* No compiler uses an augmentation here. */
	if ((version != 1 && version != 3 && version != 4) || pmf_cfi_uint(&c, 1) != 0)
		return false;
	/* Version 4 has the sizes of an address and of a segment selector. */
	if (version == 4 && (pmf_cfi_uint(&c, 1) != v->arch->word_bytes || pmf_cfi_uint(&c, 1)))
		return false;
	code_align = pmf_cfi_uleb(&c);
	data_align = pmf_cfi_sleb(&c);
	ra = version == 1 ? pmf_cfi_uint(&c, 1) : pmf_cfi_uleb(&c);
	if (c.bad || ra > UINT8_MAX || c.end - c.p > MAX_RECORD)
		return false;
	add_uint(&v->out, 0, 4); /* length, filled in below */
	add_uint(&v->out, 0, 4);
	pmf_buf_add(&v->out, head, sizeof head);
	add_uleb(&v->out, code_align);
	add_sleb(&v->out, data_align);
	add_uint(&v->out, ra, 1);
	add_uleb(&v->out, 1);
	add_uint(&v->out, PE_PCREL_SDATA8, 1);
	pmf_buf_add(&v->out, c.p, (size_t)(c.end - c.p));
	close_record(&v->out, start);
	return true;
}

static uint64_t moved_cie(struct convert *v, uint64_t from)
{
	uint64_t hash = pmf_hash_u64(from), to = v->out.len;
	uint32_t i = pmf_index_find(&v->index, hash, moved_eq, v, &from);

	if (i != UINT32_MAX)
		return v->moved[i].to;
	if (!write_cie(v, from))
		to = UINT64_MAX;
	pmf_index_add(&v->index, hash, (uint32_t)v->nr_moved);
	PMF_PUSH(v->moved, v->nr_moved, v->cap_moved) = (struct moved){from, to};
	return to;
}

static void write_fde(struct convert *v, struct pmf_cfi_cursor c, uint64_t cie_from)
{
	uint64_t start = pmf_cfi_uint(&c, 8), len = pmf_cfi_uint(&c, 8), cie;
	size_t at;

	/* Start 0, or all ones with newer linkers: the function was dropped. */
	if (c.bad || start == 0 || len == 0 || start + len < start || c.end - c.p > MAX_RECORD)
		return;
	cie = moved_cie(v, cie_from);
	if (cie == UINT64_MAX || v->out.len > INT32_MAX)
		return;
	at = v->out.len;
	add_uint(&v->out, 0, 4);
	add_uint(&v->out, v->out.len - cie, 4);
	add_uint(&v->out, start - (v->rva + v->out.len), 8);
	add_uint(&v->out, len, 8);
	add_uleb(&v->out, 0);
	pmf_buf_add(&v->out, c.p, (size_t)(c.end - c.p));
	close_record(&v->out, at);
}

uint8_t *pmf_cfi_convert_debug_frame(const uint8_t *data, size_t size, const struct pmf_arch *arch,
	uint64_t rva, size_t *out_size)
{
	struct convert v = {.data = data, .size = size, .arch = arch, .rva = rva};
	struct pmf_cfi_cursor body;
	uint64_t id;
	bool is_cie;

	if (arch->word_bytes != 8)
		return NULL;
	pmf_index_init(&v.index);
	for (uint64_t off = 0; take_record(&v, off, &body, &id, &is_cie);
		off = (uint64_t)(body.end - data))
		if (!is_cie)
			write_fde(&v, body, id);
	pmf_index_release(&v.index);
	free(v.moved);
	*out_size = v.out.len;
	return v.out.len ? (uint8_t *)pmf_buf_detach(&v.out) : NULL;
}
