/* Fields taken one after the other from bytes that may end anywhere. */
#ifndef PMF_RECORD_CURSOR_H
#define PMF_RECORD_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is still unread of a record. The first take that asks for more than there is says for what
 * field that was, and gives zeroes from then on, so that callers check once, at the end. */
struct cursor {
	const uint8_t *p;
	size_t left;
	const char *missing;
};

static inline void refuse(struct cursor *c, const char *field)
{
	if (!c->missing)
		c->missing = field;
}

static inline const uint8_t *take(struct cursor *c, uint64_t n, const char *field)
{
	const uint8_t *p = c->p;

	if (n > c->left)
		refuse(c, field);
	if (c->missing)
		return NULL;
	c->p += n;
	c->left -= (size_t)n;
	return p;
}

/* Leaves @to as it is where there is too little. */
static inline void take_into(struct cursor *c, void *to, size_t n, const char *field)
{
	const uint8_t *p = take(c, n, field);

	if (p)
		memcpy(to, p, n);
}

static inline uint64_t take_u64(struct cursor *c, const char *field)
{
	uint64_t v = 0;

	take_into(c, &v, sizeof v, field);
	return v;
}

static inline uint32_t take_u32(struct cursor *c, const char *field)
{
	uint32_t v = 0;

	take_into(c, &v, sizeof v, field);
	return v;
}

static inline uint16_t take_u16(struct cursor *c, const char *field)
{
	uint16_t v = 0;

	take_into(c, &v, sizeof v, field);
	return v;
}

/* @n elements of @size bytes. */
static inline const void *take_array(struct cursor *c, uint64_t n, size_t size, const char *field)
{
	return take(c, n > c->left / size ? UINT64_MAX : n * size, field);
}

static inline const char *take_string(struct cursor *c, const char *field)
{
	size_t len = c->missing ? 0 : strnlen((const char *)c->p, c->left);

	return (const char *)take(c, len + 1, field);
}

#endif
