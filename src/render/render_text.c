#include "render_priv.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLACEMENT = 0xfffd, MIN_COLUMNS = 3 };
#define ELLIPSIS "…"

size_t pmf_text_decode(const char *s, size_t len, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	uint32_t c;

	*cp = REPLACEMENT;
	if (n == 0 || n > len || p[0] > 0xf4)
		return 1;
	c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 1;
	*cp = c;
	return n;
}

/* What shows nothing, or turns around what stands beside it: soft hyphens, zero-width characters, line
 * separators and the controls of bidirectional text (Unicode, UAX #9), by which one name looks like
 * another. */
static bool is_unseen(uint32_t cp)
{
	return cp == 0xad || cp == 0x61c || cp == 0x180e || (cp >= 0x200b && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff ||
	       (cp >= 0xe0000 && cp <= 0xe007f);
}

/* Columns of "<U+202E>"; the longest has a digit more, which few will see. */
enum { UNSEEN_COLUMNS = 8 };

/* What @cp is shown as instead, in @out, if not as itself. */
static const char *stand_in(uint32_t cp, enum pmf_text_form form, char out[static 24])
{
	if (cp < 0x20 || cp == 0x7f) {
		/* Control Pictures, U+2400 and on. */
		snprintf(out, 24, "\xe2\x90%c", cp == 0x7f ? 0xa1 : (int)(0x80 + cp));
		return out;
	}
	if (is_unseen(cp)) {
		snprintf(out, 24,
			form == PMF_TEXT_XML    ? "&lt;U+%04X&gt;"
			: form == PMF_TEXT_JSON ? "\\u003cU+%04X\\u003e"
						: "<U+%04X>",
			(unsigned)cp);
		return out;
	}
	if ((cp >= 0x80 && cp <= 0x9f) || cp == 0xfffe || cp == 0xffff || cp == REPLACEMENT)
		return "\xef\xbf\xbd";
	return NULL;
}

static const char *escape(uint32_t cp, enum pmf_text_form form)
{
	if (form == PMF_TEXT_PLAIN)
		return NULL;
	switch (cp) {
	case '<':
		return form == PMF_TEXT_XML ? "&lt;" : "\\u003c";
	case '>':
		return form == PMF_TEXT_XML ? "&gt;" : "\\u003e";
	case '&':
		return form == PMF_TEXT_XML ? "&amp;" : "\\u0026";
	case '"':
		return form == PMF_TEXT_XML ? "&quot;" : "\\\"";
	case '\'':
		return form == PMF_TEXT_XML ? "&#39;" : NULL;
	case '\\':
		return form == PMF_TEXT_XML ? NULL : "\\\\";
	default:
		return NULL;
	}
}

void pmf_text_add(struct pmf_buf *out, const char *s, size_t len, enum pmf_text_form form)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = pmf_text_decode(s + i, len - i, &cp);
		char text[24];
		const char *instead = stand_in(cp, form, text);

		if (!instead)
			instead = escape(cp, form);
		if (instead)
			pmf_buf_addstr(out, instead);
		else
			pmf_buf_add(out, s + i, n);
		i += n;
	}
}

void pmf_json_text(struct pmf_buf *out, const char *s, size_t len)
{
	pmf_buf_addch(out, '"');
	pmf_text_add(out, s, len, PMF_TEXT_JSON);
	pmf_buf_addch(out, '"');
}

void pmf_json_string(struct pmf_buf *out, const char *s)
{
	pmf_json_text(out, s, strlen(s));
}

static size_t char_columns(uint32_t cp)
{
	if (is_unseen(cp))
		return UNSEEN_COLUMNS;
	return (cp >= 0x1100 && cp <= 0x115f) || (cp >= 0x2e80 && cp <= 0xa4cf) ||
			       (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xf900 && cp <= 0xfaff) ||
			       (cp >= 0xfe30 && cp <= 0xfe6f) || (cp >= 0xff00 && cp <= 0xff60) ||
			       cp >= 0x1f000
		       ? 2
		       : 1;
}

/* Columns of @s, but no more than @stop: names may be megabytes long. */
static size_t columns_up_to(const char *s, size_t len, size_t stop)
{
	size_t columns = 0;

	for (size_t i = 0; i < len && columns < stop;) {
		uint32_t cp;

		i += pmf_text_decode(s + i, len - i, &cp);
		columns += char_columns(cp);
	}
	return columns;
}

size_t pmf_text_columns(const char *s)
{
	return columns_up_to(s, strlen(s), SIZE_MAX);
}

/* Whether the bracket at @p, of the name that begins at @s, holds what a reader can do without: a
 * word's template arguments or parameters, but not "<lambda>", "(anonymous namespace)", Rust's "<T
 * as U>" or the name of an operator. */
static bool may_fold(const char *s, const char *p)
{
	if (p == s || (p - s >= 8 && memcmp(p - 8, "operator", 8) == 0))
		return false;
	if (*p == '<')
		return isalnum((unsigned char)p[-1]) || p[-1] == '_';
	return !strchr(" :,", p[-1]);
}

/* Replace what stands between an outermost @open and its @close by "…"; @out stays as it is when
 * the brackets do not match. */
static void fold_brackets(struct pmf_buf *out, const char *s, char open, char close)
{
	struct pmf_buf b = PMF_BUF_INIT;
	size_t depth = 0;

	for (const char *p = s; *p; p++) {
		bool arrow = p > s && p[-1] == '-';

		if (*p == open && (depth || may_fold(s, p))) {
			if (depth++ == 0)
				pmf_buf_printf(&b, "%c" ELLIPSIS, open);
		} else if (*p == close && depth && !arrow) {
			depth--;
		}
		if (depth == 0)
			pmf_buf_addch(&b, *p);
	}
	if (depth == 0 && b.data) {
		pmf_buf_clear(out);
		pmf_buf_add(out, b.data, b.len);
	}
	pmf_buf_release(&b);
}

/* The name behind its first "::" that stands outside brackets, or NULL. */
static const char *without_namespace(const char *s)
{
	int depth = 0;

	for (const char *p = s; *p; p++) {
		if (*p == '<' || *p == '(' || *p == '{')
			depth++;
		else if (*p == '>' || *p == ')' || *p == '}')
			depth--;
		else if (depth == 0 && *p == ' ')
			return NULL; /* "void a::f" and "operator new" */
		else if (depth == 0 && p[0] == ':' && p[1] == ':' && p[2])
			return p + 2;
	}
	return NULL;
}

void pmf_text_shorten(struct pmf_buf *out, const char *name, size_t columns)
{
	/* What can be shown in a frame is short; brackets in a name beyond this are not looked
	 * at. */
	enum { LONGEST = 4096 };
	struct pmf_buf text = PMF_BUF_INIT;
	const char *rest, *next;
	size_t len, used = 0, i = 0;

	if (columns < MIN_COLUMNS)
		return;
	pmf_buf_add(&text, name, strnlen(name, LONGEST));
	if (columns_up_to(text.data, text.len, columns + 1) > columns)
		fold_brackets(&text, pmf_buf_str(&text), '<', '>');
	if (columns_up_to(text.data, text.len, columns + 1) > columns)
		fold_brackets(&text, pmf_buf_str(&text), '(', ')');
	rest = pmf_buf_str(&text);
	len = text.len;
	while (columns_up_to(rest, len, columns + 1) > columns &&
		(next = without_namespace(rest))) {
		len -= (size_t)(next - rest);
		rest = next;
	}
	if (columns_up_to(rest, len, columns + 1) <= columns) {
		pmf_buf_add(out, rest, len);
	} else {
		while (i < len) {
			uint32_t cp;
			size_t n = pmf_text_decode(rest + i, len - i, &cp);

			if (used + char_columns(cp) > columns - 1)
				break;
			used += char_columns(cp);
			i += n;
		}
		pmf_buf_add(out, rest, i);
		pmf_buf_addstr(out, ELLIPSIS);
	}
	pmf_buf_release(&text);
}

void pmf_text_add_code(
	struct pmf_buf *out, const char *line, size_t columns, enum pmf_text_form form)
{
	enum { TAB = 8 };
	size_t len = strlen(line), used = 0;

	for (size_t i = 0, n; i < len; i += n) {
		uint32_t cp;
		size_t width;

		n = pmf_text_decode(line + i, len - i, &cp);
		width = cp == '\t' ? TAB - used % TAB : char_columns(cp);
		if (width > columns - used || (width == columns - used && i + n < len)) {
			pmf_buf_addstr(out, ELLIPSIS);
			return;
		}
		used += width;
		if (cp == '\t')
			pmf_buf_printf(out, "%*s", (int)width, "");
		else
			pmf_text_add(out, line + i, n, form);
	}
}
