/* pmuflame/buf.h - a growing byte buffer, for building text.
 * Layer: base. Threads: one owner. */
#ifndef PMUFLAME_BUF_H
#define PMUFLAME_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pmf_buf {
	char *data; /* NUL-terminated once anything was added; NULL before */
	size_t len;
	size_t cap;
};

#define PMF_BUF_INIT \
	{ \
		NULL, 0, 0 \
	}

void pmf_buf_release(struct pmf_buf *b);
void pmf_buf_clear(struct pmf_buf *b);
void pmf_buf_add(struct pmf_buf *b, const void *data, size_t len);
void pmf_buf_addstr(struct pmf_buf *b, const char *s);
void pmf_buf_addch(struct pmf_buf *b, char c);
/* Decimal digits; an SVG holds so many numbers that printf(3) would be half its cost. */
void pmf_buf_addu64(struct pmf_buf *b, uint64_t n);
void pmf_buf_printf(struct pmf_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pmf_buf_vprintf(struct pmf_buf *b, const char *fmt, va_list ap);
/* Append text from outside (names in files, of processes): every control character becomes
 * @instead, so that it stays on its line and steers no terminal. C1 controls count, for terminals
 * read UTF-8. */
void pmf_buf_addclean(struct pmf_buf *b, const char *s, char instead);
/* The same as text in a Markdown table or paragraph: nothing in it is markup, a mention or an end of
 * the cell. */
void pmf_buf_addmarkdown(struct pmf_buf *b, const char *s);
/* One word of a POSIX shell that means @s. */
void pmf_buf_addshell(struct pmf_buf *b, const char *s);
/* The same as a field of a CSV file (RFC 4180); a spreadsheet takes it for text, never for a formula. */
void pmf_buf_addcsv(struct pmf_buf *b, const char *s);

/* The text, for the caller to free(3); the buffer is empty afterwards. Never NULL. */
char *pmf_buf_detach(struct pmf_buf *b);
/* The text while the buffer lives and is not changed; "" when nothing was added. */
const char *pmf_buf_str(const struct pmf_buf *b);

/* Words that need not be aligned. */
static inline uint32_t pmf_u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t pmf_u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

bool pmf_starts_with(const char *s, const char *prefix);

#endif
