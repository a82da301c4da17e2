/* Code objects that a process told: their names, files and line tables. */
#include "python_priv.h"

#include "agent_protocol.h"
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 256 << 20 }; /* of all that one process tells, which may make code without end */

struct pmf_python_codes {
	unsigned minor;
	size_t bytes;
	struct pmf_python_code **items; /* by number; NULL: not told */
	size_t n, cap;
	uint64_t *keys; /* of those that have one */
	size_t nr_keys, cap_keys;
	struct pmf_index by_key;
};

struct pmf_python_codes *pmf_python_codes_new(unsigned minor)
{
	struct pmf_python_codes *c = pmf_zalloc(sizeof *c);

	c->minor = minor;
	pmf_index_init(&c->by_key);
	return c;
}

static void code_free(struct pmf_python_code *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->file);
	free(c->lines);
	free(c);
}

void pmf_python_codes_free(struct pmf_python_codes *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		code_free(c->items[i]);
	pmf_index_release(&c->by_key);
	free(c->items);
	free(c->keys);
	free(c);
}

static void add_utf8(struct pmf_buf *b, uint32_t c)
{
	enum { REPLACEMENT = 0xfffd };

	/* Lone surrogates stand for bytes of a path that were no text. */
	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff || c == 0)
		c = REPLACEMENT;
	if (c < 0x80) {
		pmf_buf_addch(b, (char)c);
	} else if (c < 0x800) {
		pmf_buf_addch(b, (char)(0xc0 | c >> 6));
		pmf_buf_addch(b, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		pmf_buf_addch(b, (char)(0xe0 | c >> 12));
		pmf_buf_addch(b, (char)(0x80 | (c >> 6 & 0x3f)));
		pmf_buf_addch(b, (char)(0x80 | (c & 0x3f)));
	} else {
		pmf_buf_addch(b, (char)(0xf0 | c >> 18));
		pmf_buf_addch(b, (char)(0x80 | (c >> 12 & 0x3f)));
		pmf_buf_addch(b, (char)(0x80 | (c >> 6 & 0x3f)));
		pmf_buf_addch(b, (char)(0x80 | (c & 0x3f)));
	}
}

static char *text(const struct pmf_python_text *t)
{
	struct pmf_buf b = PMF_BUF_INIT;

	for (size_t i = 0; i < t->chars; i++) {
		uint32_t c = 0;

		memcpy(&c, t->bytes + i * t->width, t->width); /* little-endian, as all we run on */
		add_utf8(&b, c);
	}
	return pmf_buf_detach(&b);
}

static bool text_fits(const struct pmf_python_text *t)
{
	return (t->width == 1 || t->width == 2 || t->width == 4) &&
	       t->chars <= PMF_AGENT_TEXT_MAX / t->width;
}

size_t pmf_python_text_bytes(const struct pmf_python_text *t)
{
	return text_fits(t) ? (size_t)t->chars * t->width : SIZE_MAX;
}

void pmf_python_codes_add(
	struct pmf_python_codes *codes, uint32_t number, const struct pmf_python_told *told)
{
	struct pmf_python_code *c;

	if (number == UINT32_MAX || codes->bytes >= BYTES_MAX)
		return;
	while (codes->n <= number)
		PMF_PUSH(codes->items, codes->n, codes->cap) = NULL;
	/* Told twice by two threads: the first may be in use. */
	if (codes->items[number])
		return;
	c = pmf_zalloc(sizeof *c);
	c->name = text(&told->name);
	c->file = text(&told->file);
	/* A script has the path that it was started by, a module that of its folder. */
	if (c->file[0] == '/')
		pmf_file_fold(c->file);
	c->first_line = told->first_line > INT32_MAX ? 0 : told->first_line;
	c->line_bytes = told->line_bytes;
	c->lines = pmf_malloc(c->line_bytes);
	if (c->line_bytes)
		memcpy(c->lines, told->lines, c->line_bytes);
	codes->items[number] = c;
	codes->bytes += sizeof *c + strlen(c->name) + strlen(c->file) + c->line_bytes;
}

static bool key_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_python_codes *)ctx)->keys[value] == *(const uint64_t *)key;
}

uint32_t pmf_python_codes_number(struct pmf_python_codes *c, uint64_t key, bool make)
{
	uint32_t i = pmf_index_find(&c->by_key, pmf_hash_u64(key), key_eq, c, &key);

	if (i != UINT32_MAX || !make || c->bytes >= BYTES_MAX)
		return i;
	i = (uint32_t)c->nr_keys;
	PMF_PUSH(c->keys, c->nr_keys, c->cap_keys) = key;
	pmf_index_add(&c->by_key, pmf_hash_u64(key), i);
	return i;
}

const struct pmf_python_code *pmf_python_code(const struct pmf_python_codes *c, uint32_t number)
{
	return number < c->n ? c->items[number] : NULL;
}

uint32_t pmf_python_line(const struct pmf_python_codes *codes, const struct pmf_python_frame *frame)
{
	const struct pmf_python_code *c = pmf_python_code(codes, frame->code);

	return c ? pmf_python_table_line(
			   codes->minor, c->first_line, c->lines, c->line_bytes, frame->lasti)
		 : 0;
}
