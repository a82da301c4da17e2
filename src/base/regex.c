#include "pmuflame/regex.h"

#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
	PATTERN_MAX = 10000, /* bytes */
	/* Steps of one match: about a millisecond. Common patterns take as many as the name has
	 * bytes. */
	STEPS_MAX = 100000,
	HEAP_MAX_KIB = 4096,
	GIVE_UP_MAX = 16,
};

struct pmf_regex {
	struct pattern {
		pcre2_code *code;
		char *text;
	} * patterns;
	size_t n, cap;
	pcre2_match_context *limits;
	pcre2_match_data *data;
	uint64_t given_up;
};

static void *allocate(size_t size, void *ctx)
{
	(void)ctx;
	return pmf_malloc(size);
}

static void deallocate(void *p, void *ctx)
{
	(void)ctx;
	free(p);
}

static struct pmf_regex *regex_new(void)
{
	struct pmf_regex *re = pmf_zalloc(sizeof *re);
	pcre2_general_context *memory = pcre2_general_context_create(allocate, deallocate, NULL);

	re->limits = pcre2_match_context_create(memory);
	re->data = pcre2_match_data_create(2, memory);
	pcre2_general_context_free(memory);
	pcre2_set_match_limit(re->limits, STEPS_MAX);
	pcre2_set_heap_limit(re->limits, HEAP_MAX_KIB);
	return re;
}

void pmf_regex_free(struct pmf_regex *re)
{
	if (!re)
		return;
	for (size_t i = 0; i < re->n; i++) {
		pcre2_code_free(re->patterns[i].code);
		free(re->patterns[i].text);
	}
	free(re->patterns);
	pcre2_match_context_free(re->limits);
	pcre2_match_data_free(re->data);
	free(re);
}

/* Among what the pattern matches, not in what it says of that: \S, \pL or \QName\E's own two. */
static bool has_capital(const char *s)
{
	while (*s && !isupper((unsigned char)*s))
		s += *s == '\\' && s[1] ? 2 : 1;
	return *s;
}

/* The characters of the first @len bytes. */
static size_t characters(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += (s[i] & 0xc0) != 0x80;
	return n;
}

int pmf_regex_add(struct pmf_regex **re, const char *pattern, const char *what, struct pmf_err *err)
{
	uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
			   (has_capital(pattern) ? 0 : PCRE2_CASELESS);
	size_t len = strlen(pattern), at;
	PCRE2_UCHAR why[200];
	pcre2_code *code;
	int error;

	if (len > PATTERN_MAX)
		return pmf_err_set(err, PMF_EUSAGE,
			"%s is %zu bytes long: a regular expression may have %d", what, len,
			PATTERN_MAX);
	code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &error, &at, NULL);
	if (!code) {
		pcre2_get_error_message(error, why, sizeof why);
		return pmf_err_set(err, PMF_EUSAGE,
			"%s '%s' is no regular expression: %s, at character %zu", what, pattern,
			(const char *)why, characters(pattern, PMF_MIN(at, len)) + 1);
	}
	if (!*re)
		*re = regex_new();
	PMF_PUSH((*re)->patterns, (*re)->n, (*re)->cap) =
		(struct pattern){code, pmf_strdup(pattern)};
	return 0;
}

bool pmf_regex_match(struct pmf_regex *re, const char *s, size_t len)
{
	if (re->given_up >= GIVE_UP_MAX) {
		re->given_up++;
		return false;
	}
	for (size_t i = 0; i < re->n; i++) {
		int ret = pcre2_match(
			re->patterns[i].code, (PCRE2_SPTR)s, len, 0, 0, re->data, re->limits);

		if (ret >= 0)
			return true;
		if (ret != PCRE2_ERROR_NOMATCH)
			re->given_up++;
	}
	return false;
}

uint32_t pmf_regex_nr_groups(const struct pmf_regex *re)
{
	uint32_t n = 0;

	pcre2_pattern_info(re->patterns[0].code, PCRE2_INFO_CAPTURECOUNT, &n);
	return n;
}

bool pmf_regex_group(
	struct pmf_regex *re, const char *s, size_t len, const char **group, size_t *group_len)
{
	const PCRE2_SIZE *places = pcre2_get_ovector_pointer(re->data);

	if (pmf_regex_nr_groups(re) == 0 || !pmf_regex_match(re, s, len) ||
		places[2] == PCRE2_UNSET)
		return false;
	*group = s + places[2];
	*group_len = places[3] - places[2];
	return true;
}

uint64_t pmf_regex_given_up(const struct pmf_regex *re)
{
	return re->given_up;
}

void pmf_regex_describe(const struct pmf_regex *re, struct pmf_buf *out)
{
	for (size_t i = 0; i < re->n; i++)
		pmf_buf_printf(out, "%s'%s'", i ? ", " : "", re->patterns[i].text);
}
