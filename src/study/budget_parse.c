/* Budgets as people write them. One pass, no recursion: the grammar has no nesting. */
#include "pmuflame/budget.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 2000 }; /* bytes of a budget; a symbol of C++ may be long */

static const char spaces[] = " \t\r\n";
static const char digits[] = "0123456789";

struct parser {
	struct pmf_budget *b;
	const char *at;
	struct pmf_err *err;
};

/* Characters, not bytes, from 1 on. */
static size_t column(const struct parser *p)
{
	size_t n = 1;

	for (const char *c = p->b->text; c < p->at; c++)
		n += (*c & 0xc0) != 0x80;
	return n;
}

static int fail(const struct parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The sentence, with the budget and the place where it stopped making sense. */
static int fail(const struct parser *p, const char *fmt, ...)
{
	enum { SHOWN_MAX = 24 };
	struct pmf_buf why = PMF_BUF_INIT, text = PMF_BUF_INIT, there = PMF_BUF_INIT;
	size_t rest = strlen(p->at), word = strcspn(p->at, " \t\r\n,()<>=/%");
	va_list ap;

	/* A cut character of UTF-8 ends in no continuation byte. */
	word = PMF_MIN(PMF_MAX(word, (size_t)1), (size_t)SHOWN_MAX);
	while (word < rest && (p->at[word] & 0xc0) == 0x80)
		word++;
	if (rest) {
		char *cut = pmf_strndup(p->at, word);

		pmf_buf_addclean(&there, cut, '?');
		free(cut);
	}
	va_start(ap, fmt);
	pmf_buf_vprintf(&why, fmt, ap);
	va_end(ap);
	pmf_buf_addclean(&text, p->b->text, '?');
	if (rest)
		pmf_err_set(p->err, PMF_EUSAGE, "budget \"%.300s\": at \"%s\" (column %zu): %s",
			pmf_buf_str(&text), pmf_buf_str(&there), column(p), pmf_buf_str(&why));
	else
		pmf_err_set(p->err, PMF_EUSAGE, "budget \"%.300s\": at its end: %s",
			pmf_buf_str(&text), pmf_buf_str(&why));
	pmf_buf_release(&why);
	pmf_buf_release(&text);
	pmf_buf_release(&there);
	return PMF_EUSAGE;
}

static void skip_spaces(struct parser *p)
{
	p->at += strspn(p->at, spaces);
}

static bool take(struct parser *p, char c)
{
	skip_spaces(p);
	if (*p->at != c)
		return false;
	p->at++;
	return true;
}

/* Text up to the next @end that is not doubled, into *@out; @p stands behind the first one. */
static int take_quoted(struct parser *p, char **out)
{
	const char *start = p->at - 1;
	struct pmf_buf text = PMF_BUF_INIT;

	for (; *p->at; p->at++) {
		if (*p->at == '\'' && *++p->at != '\'') {
			*out = pmf_buf_detach(&text);
			return **out ? 0 : fail(p, "there is nothing between the quotes");
		}
		pmf_buf_addch(&text, *p->at);
	}
	pmf_buf_release(&text);
	p->at = start;
	return fail(p, "the quote is not closed");
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80 || (c && strchr("_.:-", c));
}

static int take_name(struct parser *p, const char *what, char **out)
{
	size_t len = 0;

	if (take(p, '\''))
		return take_quoted(p, out);
	while (is_name_char(p->at[len]))
		len++;
	if (len == 0 || (*p->at >= '0' && *p->at <= '9') || *p->at == '-')
		return fail(
			p, "expected %s; one with other signs than _ . : - is put in '...'", what);
	*out = pmf_strndup(p->at, len);
	p->at += len;
	return 0;
}

/* "NAME" or "NAME/NAME" */
static int take_ratio(struct parser *p)
{
	int ret = take_name(p, "an event, 's', or a unit of work", &p->b->num);

	if (ret || !take(p, '/'))
		return ret;
	return take_name(p, "what to divide by", &p->b->den);
}

/* "/REGEX/", where \/ is a slash; @p stands behind the first slash. */
static int take_pattern(struct parser *p)
{
	const char *start = p->at - 1;
	struct pmf_buf text = PMF_BUF_INIT;
	struct pmf_err why = PMF_ERR_INIT;
	int ret;

	while (*p->at && *p->at != '/') {
		if (*p->at == '\\' && p->at[1] == '/')
			p->at++;
		else if (*p->at == '\\' && p->at[1])
			pmf_buf_addch(&text, *p->at++);
		pmf_buf_addch(&text, *p->at++);
	}
	p->b->function = pmf_buf_detach(&text);
	if (!take(p, '/') || !*p->b->function) {
		p->at = start;
		return fail(p, "a regular expression stands between two slashes: /REGEX/");
	}
	ret = pmf_regex_add(&p->b->pattern, p->b->function, "the pattern", &why);
	if (ret) {
		p->at = start;
		fail(p, "%s", why.text);
	}
	return ret;
}

/* "(EVENT, FUNCTION)" */
static int take_share(struct parser *p)
{
	int ret = take_name(p, "an event", &p->b->num);

	if (ret == 0 && !take(p, ','))
		ret = fail(p, "expected a comma: share(EVENT, FUNCTION)");
	if (ret)
		return ret;
	return take(p, '/') ? take_pattern(p)
			    : take_name(p, "a function, or /REGEX/", &p->b->function);
}

static int take_value(struct parser *p)
{
	static const struct {
		const char *name;
		enum pmf_budget_kind kind;
		int (*inside)(struct parser *p);
	} calls[] = {{"share", PMF_BUDGET_SHARE, take_share},
		{"regress", PMF_BUDGET_REGRESS, take_ratio}};

	skip_spaces(p);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(calls); i++) {
		size_t len = strlen(calls[i].name);
		const char *start = p->at;
		int ret;

		if (strncmp(p->at, calls[i].name, len) != 0)
			continue;
		p->at += len;
		if (!take(p, '(')) {
			p->at = start;
			continue;
		}
		p->b->kind = calls[i].kind;
		ret = calls[i].inside(p);
		if (ret == 0 && !take(p, ')'))
			ret = fail(p, "expected ')'");
		return ret;
	}
	return take_ratio(p);
}

static int take_operator(struct parser *p)
{
	bool less = take(p, '<');

	if (!less && !take(p, '>'))
		return fail(p, "expected <, <=, > or >= and a limit");
	p->b->at_most = less;
	if (*p->at == '=') {
		p->at++;
		p->b->or_equal = true;
	}
	return 0;
}

static int take_unit(struct parser *p)
{
	static const struct {
		const char *name;
		double factor;
		enum pmf_budget_limit written;
	} units[] = {{"", 1, PMF_LIMIT_NUMBER}, {"k", 1e3, PMF_LIMIT_NUMBER},
		{"M", 1e6, PMF_LIMIT_NUMBER}, {"G", 1e9, PMF_LIMIT_NUMBER},
		{"%", 0.01, PMF_LIMIT_PERCENT}, {"ns", 1e-9, PMF_LIMIT_TIME},
		{"us", 1e-6, PMF_LIMIT_TIME}, {"µs", 1e-6, PMF_LIMIT_TIME},
		{"ms", 1e-3, PMF_LIMIT_TIME}, {"s", 1, PMF_LIMIT_TIME}};

	skip_spaces(p);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(units); i++) {
		if (strcmp(p->at, units[i].name) != 0)
			continue;
		p->b->limit *= units[i].factor;
		p->b->written = units[i].written;
		return 0;
	}
	return fail(p, "the limit ends with a number and one of k, M, G, %%, ns, us, ms, s");
}

static int take_limit(struct parser *p)
{
	char number[40];
	const char *start;
	size_t len;
	bool negative = take(p, '-');

	skip_spaces(p);
	start = p->at;
	len = strspn(start, digits);
	if (start[len] == '.')
		len += 1 + strspn(start + len + 1, digits);
	if (len == 0 || len >= sizeof number || (len == 1 && *start == '.'))
		return fail(p, "expected a number");
	memcpy(number, start, len);
	number[len] = '\0';
	p->b->limit = strtod(number, NULL);
	if (negative && p->b->kind != PMF_BUDGET_REGRESS)
		return fail(p, "only regress() can be negative");
	p->b->limit *= negative ? -1 : 1;
	p->at += len;
	return take_unit(p);
}

/* What the grammar lets through and makes no sense. */
static int check(const struct parser *p)
{
	const struct pmf_budget *b = p->b;

	if (b->kind != PMF_BUDGET_VALUE && b->written != PMF_LIMIT_PERCENT)
		return fail(p, "a %s is limited by a percentage, such as 15%%",
			b->kind == PMF_BUDGET_SHARE ? "share" : "regression");
	if (b->written == PMF_LIMIT_PERCENT && b->kind == PMF_BUDGET_VALUE && !b->den)
		return fail(p, "a percentage of what? '%s' is not divided by anything", b->num);
	return 0;
}

int pmf_budget_parse(struct pmf_budget *b, const char *text, struct pmf_err *err)
{
	struct parser p = {.b = b, .err = err};
	size_t len;
	int ret;

	memset(b, 0, sizeof *b);
	text += strspn(text, spaces);
	len = strlen(text);
	if (len > TEXT_MAX)
		return pmf_err_set(err, PMF_EUSAGE,
			"a budget of %zu bytes is too long: it may have %d", len, TEXT_MAX);
	while (len > 0 && strchr(spaces, text[len - 1]))
		len--;
	b->text = pmf_strndup(text, len);
	p.at = b->text;
	ret = take_value(&p);
	if (ret == 0)
		ret = take_operator(&p);
	if (ret == 0)
		ret = take_limit(&p);
	return ret ? ret : check(&p);
}

void pmf_budget_release(struct pmf_budget *b)
{
	free(b->text);
	free(b->num);
	free(b->den);
	free(b->function);
	pmf_regex_free(b->pattern);
	memset(b, 0, sizeof *b);
}
