/* Line tables of code objects: three encodings. */
#include "pmuflame/python.h"

enum {
	LNOTAB_PAIR = 2,
	NO_LINE_310 = -128,
	CODE_UNIT = 2,
	ENTRY_LENGTH_MASK = 7,
	ENTRY_KIND_SHIFT = 3,
	ENTRY_KIND_MASK = 15,
	KIND_ONE_LINE = 10, /* to 12: the line moves by 0 to 2 */
	KIND_ONE_LINE_LAST = 12,
	KIND_NO_COLUMNS = 13,
	KIND_LONG = 14,
	KIND_NONE = 15,
	VARINT_BITS = 6,
	VARINT_MORE = 1 << VARINT_BITS,
	VARINT_MAX_SHIFT = 30,
};

/* Lines are added to with wrap-around and checked once, at the end. */
static uint32_t checked(uint32_t line)
{
	return line > INT32_MAX ? 0 : line;
}

/* Pairs of (bytes of code, lines) as increments; where the code is still before, the line holds. */
static uint32_t line_lnotab(uint32_t line, const uint8_t *t, size_t len, uint32_t lasti)
{
	uint32_t at = 0;

	for (size_t i = 0; i + LNOTAB_PAIR <= len; i += LNOTAB_PAIR) {
		at += t[i];
		if (at > lasti)
			break;
		line += (uint32_t)(int8_t)t[i + 1];
	}
	return checked(line);
}

/* Pairs of (bytes of code, lines): the line moves first, and holds for these bytes. */
static uint32_t line_310(uint32_t line, const uint8_t *t, size_t len, uint32_t lasti)
{
	uint32_t at = 0, offset = lasti * CODE_UNIT;

	for (size_t i = 0; i + LNOTAB_PAIR <= len; i += LNOTAB_PAIR) {
		int8_t delta = (int8_t)t[i + 1];

		if (delta != NO_LINE_310)
			line += (uint32_t)delta;
		at += t[i];
		if (at > offset)
			return delta == NO_LINE_310 ? 0 : checked(line);
	}
	return 0;
}

/* A signed number in groups of six bits, its sign in the lowest. */
static bool read_svarint(const uint8_t *t, size_t len, size_t *i, uint32_t *out)
{
	uint32_t value = 0;

	for (unsigned shift = 0; *i < len && shift <= VARINT_MAX_SHIFT; shift += VARINT_BITS) {
		uint8_t byte = t[(*i)++];

		value |= (uint32_t)(byte & (VARINT_MORE - 1)) << shift;
		if (byte & VARINT_MORE)
			continue;
		*out = value & 1 ? 0u - (value >> 1) : value >> 1;
		return true;
	}
	return false;
}

/* Entries of a head byte (its top bit set) and operands, of which only the line's matter here. */
static uint32_t line_311(uint32_t line, const uint8_t *t, size_t len, uint32_t lasti)
{
	uint32_t at = 0;

	for (size_t i = 0; i < len;) {
		unsigned kind = t[i] >> ENTRY_KIND_SHIFT & ENTRY_KIND_MASK;
		uint32_t delta = 0;

		at += (t[i] & ENTRY_LENGTH_MASK) + 1u;
		i++;
		if (kind >= KIND_ONE_LINE && kind <= KIND_ONE_LINE_LAST)
			delta = kind - KIND_ONE_LINE;
		else if ((kind == KIND_NO_COLUMNS || kind == KIND_LONG) &&
			 !read_svarint(t, len, &i, &delta))
			return 0;
		line += delta;
		if (at > lasti)
			return kind == KIND_NONE ? 0 : checked(line);
		while (i < len && !(t[i] & 0x80))
			i++;
	}
	return 0;
}

uint32_t pmf_python_table_line(
	unsigned minor, uint32_t first_line, const uint8_t *table, size_t len, uint32_t lasti)
{
	enum { LINETABLE = 10, LOCATIONS = 11 };

	/* Nothing has run yet: the function is being entered. */
	if (lasti == PMF_PYTHON_LASTI_NONE)
		return first_line;
	if (minor < LINETABLE)
		return line_lnotab(first_line, table, len, lasti);
	if (minor < LOCATIONS)
		return line_310(first_line, table, len, lasti);
	return line_311(first_line, table, len, lasti);
}
