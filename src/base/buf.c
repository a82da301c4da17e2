#include "pmuflame/buf.h"

#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct pmf_buf *b, size_t extra)
{
	if (b->len + extra >= b->cap)
		b->data = pmf_grow(b->data, &b->cap, b->len + extra + 1, 1);
}

void pmf_buf_release(struct pmf_buf *b)
{
	free(b->data);
	*b = (struct pmf_buf)PMF_BUF_INIT;
}

void pmf_buf_clear(struct pmf_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

void pmf_buf_add(struct pmf_buf *b, const void *data, size_t len)
{
	reserve(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void pmf_buf_addstr(struct pmf_buf *b, const char *s)
{
	pmf_buf_add(b, s, strlen(s));
}

void pmf_buf_addch(struct pmf_buf *b, char c)
{
	pmf_buf_add(b, &c, 1);
}

void pmf_buf_addclean(struct pmf_buf *b, const char *s, char instead)
{
	reserve(b, strlen(s));
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
		/* U+0080 to U+009F in UTF-8; CSI is U+009B. */
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;

		b->data[b->len++] = c < 0x20 || c == 0x7f || c1 ? instead : *s;
		s += c1;
	}
	b->data[b->len] = '\0';
}

/* An underscore within a word is no markup, and names are full of them. */
static bool is_markup(const char *from, const char *c)
{
	if (*c == '_')
		return c == from || !isalnum((unsigned char)c[-1]) || !isalnum((unsigned char)c[1]);
	return strchr("\\`*[]<>|~@#&$!", *c);
}

void pmf_buf_addmarkdown(struct pmf_buf *b, const char *s)
{
	struct pmf_buf clean = PMF_BUF_INIT;

	pmf_buf_addclean(&clean, s, '?');
	for (const char *c = pmf_buf_str(&clean); *c; c++) {
		if (is_markup(clean.data, c))
			pmf_buf_addch(b, '\\');
		pmf_buf_addch(b, *c);
	}
	pmf_buf_release(&clean);
}

void pmf_buf_addshell(struct pmf_buf *b, const char *s)
{
	pmf_buf_addch(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			pmf_buf_addstr(b, "'\\''");
		else
			pmf_buf_addch(b, *s);
	}
	pmf_buf_addch(b, '\'');
}

void pmf_buf_addcsv(struct pmf_buf *b, const char *s)
{
	struct pmf_buf clean = PMF_BUF_INIT;

	pmf_buf_addclean(&clean, s, '?');
	pmf_buf_addch(b, '"');
	/* What these begin is a formula, quoted or not. */
	if (*s && strchr("=+-@", *s))
		pmf_buf_addch(b, '\'');
	for (const char *c = pmf_buf_str(&clean); *c; c++) {
		if (*c == '"')
			pmf_buf_addch(b, '"');
		pmf_buf_addch(b, *c);
	}
	pmf_buf_addch(b, '"');
	pmf_buf_release(&clean);
}

void pmf_buf_addu64(struct pmf_buf *b, uint64_t n)
{
	char digits[20]; /* of UINT64_MAX */
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	pmf_buf_add(b, digits + at, sizeof digits - at);
}

void pmf_buf_vprintf(struct pmf_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0)
		return;
	reserve(b, (size_t)len);
	vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
	b->len += (size_t)len;
}

void pmf_buf_printf(struct pmf_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pmf_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

char *pmf_buf_detach(struct pmf_buf *b)
{
	char *s = b->data ? b->data : pmf_strdup("");

	*b = (struct pmf_buf)PMF_BUF_INIT;
	return s;
}

const char *pmf_buf_str(const struct pmf_buf *b)
{
	return b->data ? b->data : "";
}

bool pmf_starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}
