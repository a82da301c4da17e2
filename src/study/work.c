/* How much a run did, as its target says or as its output does. */
#include "pmuflame/study.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/regex.h"
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_BYTES_MAX = 64 << 20, NUMBER_MAX = 64 };

/* Does @s begin with a comma that separates thousands? */
static bool is_separator(const char *s, size_t len)
{
	return len >= 4 && s[0] == ',' && isdigit((unsigned char)s[1]) &&
	       isdigit((unsigned char)s[2]) && isdigit((unsigned char)s[3]) &&
	       !(len > 4 && isdigit((unsigned char)s[4]));
}

/* A number above 0; otherwise -1. */
static double number_of(const char *s, size_t len)
{
	char text[NUMBER_MAX], *end;
	size_t n = 0;
	double value;

	if (len >= sizeof text)
		return -1;
	for (size_t i = 0; i < len; i++)
		if (!is_separator(s + i, len - i))
			text[n++] = s[i];
	text[n] = '\0';
	/* strtod(3) also takes spaces, names and hexadecimal. */
	if (n == 0 || text[strspn(text, "0123456789.eE+-")])
		return -1;
	value = strtod(text, &end);
	return *end == '\0' && isfinite(value) && value > 0 ? value : -1;
}

/* The last group that matches in a line of @text; *len of it. NULL: none does, or a line behind it cost
 * too much to tell. */
static const char *last_match(struct pmf_regex *re, const struct pmf_buf *text, size_t *len)
{
	const char *at = pmf_buf_str(text), *end = at + text->len, *found = NULL;
	uint64_t given_up = 0;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *group, *stop = newline ? newline : end;
		size_t line_len = (size_t)(stop - at), group_len;

		line_len -= line_len > 0 && stop[-1] == '\r';
		if (pmf_regex_group(re, at, line_len, &group, &group_len)) {
			found = group;
			*len = group_len;
			given_up = pmf_regex_given_up(re);
		}
		at = stop + 1;
	}
	return pmf_regex_given_up(re) > given_up ? NULL : found;
}

double pmf_target_work(const struct pmf_target *t, const char *out_path, struct pmf_err *err)
{
	struct pmf_buf text = PMF_BUF_INIT;
	struct pmf_regex *re = NULL;
	const char *group;
	double work = -1;
	size_t len = 0;

	if (!t->work_pattern)
		return t->work;
	if (pmf_file_read(out_path, OUTPUT_BYTES_MAX, &text, err) ||
		pmf_regex_add(&re, t->work_pattern, "work", err))
		goto out;
	group = last_match(re, &text, &len);
	if (!group) {
		pmf_err_set(err, PMF_EFORMAT,
			"the output of target '%s' does not say how much it did: %s its work, '%s'",
			t->name,
			pmf_regex_given_up(re) ? "it costs too much to compare its lines with"
					       : "no line of it matches",
			t->work_pattern);
		goto out;
	}
	work = number_of(group, len);
	if (work < 0)
		pmf_err_set(err, PMF_EFORMAT,
			"the output of target '%s' does not say how much it did: '%.*s' is no "
			"number above 0",
			t->name, (int)PMF_MIN(len, (size_t)NUMBER_MAX), group);
out:
	pmf_regex_free(re);
	pmf_buf_release(&text);
	return work;
}
