/* The label of a long name: one walk finds which brackets belong together, a second what the name
 * consists of outside them, a third copies what is kept. */
#include "pmuflame/names.h"

#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ELLIPSIS "…"
#define NOWHERE SIZE_MAX
enum {
	LONGEST = 1 << 16,
	MOST_KEPT = 4,
	SHORT_ARGS = 8, /* "<int>" says more than "<…>" and is no longer */
};

struct name {
	const char *s;
	size_t len, clone; /* clone: where a clone's mark begins, or len */
	uint32_t *close; /* by place: where the bracket that opens there is closed; 0: none does */
	struct pmf_name_keep keep;
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static bool starts(const struct name *n, size_t at, const char *text)
{
	return strncmp(n->s + at, text, strlen(text)) == 0;
}

static bool ends(const struct name *n, size_t at, const char *text)
{
	size_t len = strlen(text);

	return at >= len && memcmp(n->s + at - len, text, len) == 0;
}

/* Where an operator's name that begins at @at ends, the blank before template arguments ("operator<<
 * <char>") included; 0 if none begins there. Of a conversion it is the word alone. */
static size_t operator_end(const struct name *n, size_t at)
{
	static const char *const with_brackets[] = {
		"<=>", "->*", "<<=", ">>=", "->", "<<", ">>", "<=", ">=", "()", "[]", "<", ">"};
	static const char word[] = "operator";
	size_t end = at + sizeof word - 1;

	if (n->s[at] != 'o' || !starts(n, at, word) || (at > 0 && is_word(n->s[at - 1])) ||
		is_word(n->s[end]))
		return 0;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(with_brackets); i++) {
		if (starts(n, end, with_brackets[i])) {
			end += strlen(with_brackets[i]);
			break;
		}
	}
	while (n->s[end] && strchr("+-*/%^&|~!=,\"", n->s[end]))
		end++;
	return end + starts(n, end, " <");
}

/* ---- Brackets ---- */

static char opener_of(char c)
{
	return c == ')' ? '(' : c == ']' ? '[' : c == '}' ? '{' : c == '>' ? '<' : '\0';
}

/* May the '<' or '>' at @at be a bracket, not an operator of an expression or an arrow? */
static bool is_angle(const struct name *n, size_t at)
{
	char before = at ? n->s[at - 1] : '\0';

	return n->s[at] == '<' ? before != ')' && before != '=' : before != '-' && before != '=';
}

/* Find the pairs. What looks like a bracket and has no partner within its own is an operator:
 * "(N<8)". False if brackets of other kinds have none. */
static bool match_brackets(struct name *n)
{
	uint32_t *open = NULL;
	size_t depth = 0, cap = 0, op, op_end = NOWHERE;
	bool ok = true;

	for (size_t i = 0; i < n->len && ok; i++) {
		char c = n->s[i], opener = opener_of(c);

		if ((op = operator_end(n, i))) {
			op_end = op;
			i = op - 1;
		} else if (c == '(' || c == '[' || c == '{' ||
			   (c == '<' && (i == op_end || is_angle(n, i)))) {
			PMF_PUSH(open, depth, cap) = (uint32_t)i;
		} else if (opener && (c != '>' || is_angle(n, i))) {
			while (c != '>' && depth && n->s[open[depth - 1]] == '<')
				depth--;
			if (depth && n->s[open[depth - 1]] == opener)
				n->close[open[--depth]] = (uint32_t)i;
			else
				ok = c == '>';
		}
	}
	while (depth && n->s[open[depth - 1]] == '<')
		depth--;
	free(open);
	return ok && depth == 0;
}

/* ---- What the name consists of ---- */

/* Is the '(' at @at that of parameters? @op_end: where the last operator's name ended; @converts: that
 * was a conversion, behind which a type stands. */
static bool is_params(const struct name *n, size_t at, size_t op_end, bool converts)
{
	if (n->s[at] != '(' || at == 0)
		return false;
	if (op_end == at || converts)
		return true;
	return (is_word(n->s[at - 1]) || strchr(">]}'", n->s[at - 1])) &&
	       !ends(n, at, "decltype") && !ends(n, at, "noexcept");
}

/* The place behind "const" and the like, which may follow parameters. */
static size_t skip_qualifiers(const struct name *n, size_t at)
{
	static const char *const words[] = {
		" const", " volatile", " restrict", " noexcept", " &&", " &", "&&", "&"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(words); i++) {
		size_t end = at + strlen(words[i]);

		if (starts(n, at, words[i]) && (words[i][1] == '&' || !is_word(n->s[end]))) {
			at = end;
			i = (size_t)-1;
		}
	}
	return at;
}

/* Is what stands behind the parameters no longer the name: a clone's mark, a stub's? */
static bool is_tail(const struct name *n, size_t at)
{
	return at == n->clone || at == n->len || n->s[at] == '@';
}

/* Where the name begins behind the type that it returns, and where its last parameters end, or it
 * itself. */
struct shape {
	size_t start, tail;
};

/* False if the name is of no language known here that has parameters. */
static bool find_shape(const struct name *n, struct shape *out)
{
	size_t start = 0, op_end = NOWHERE, op;
	bool converts = false, fixed = false, params = false;

	*out = (struct shape){0, n->len};
	for (size_t i = 0; i < n->len;) {
		if ((op = operator_end(n, i))) {
			i = op_end = op;
			converts = n->s[i] == ' ';
		} else if (n->close[i] && is_params(n, i, op_end, converts)) {
			i = skip_qualifiers(n, n->close[i] + 1);
			params = true;
			converts = false;
			if (is_tail(n, i)) {
				*out = (struct shape){start, i};
				return true;
			}
			if (!starts(n, i, "::"))
				return false;
		} else if (n->s[i] == ' ') {
			/* "Swift.f() -> Int", and a blank within the name. */
			if (params || ends(n, i, " ->") || ends(n, i, " :"))
				return false;
			i++;
			/* "virtual thunk to f()": all of it is the name. */
			fixed |= ends(n, i, " to ") || ends(n, i, " for ");
			if (!converts)
				start = fixed ? 0 : i;
		} else if (!n->close[i] && !is_word(n->s[i]) && !strchr(":*&~.!'-#", n->s[i])) {
			return false;
		} else {
			i = n->close[i] ? n->close[i] + 1 : i + 1;
		}
	}
	out->start = params ? start : 0;
	return true;
}

/* ---- What is kept ---- */

/* Are there template arguments at @at that can be left out? D's stand behind an exclamation mark,
 * Rust's may behind "::", where implementations and lambdas have their names, too. */
static bool folds(const struct name *n, size_t at, size_t op_end)
{
	size_t inside = at + 1;
	char before = at ? n->s[at - 1] : '\0';

	if (!n->close[at])
		return false;
	if (n->s[at] == '(' ? before != '!' : n->s[at] != '<')
		return false;
	if (before == ':' ? starts(n, inside, "impl ") || starts(n, inside, "lambda")
			  : before != '!' && op_end != at && !(at && is_word(before)))
		return false;
	return n->close[at] - inside > SHORT_ARGS;
}

/* Append what everybody calls the class that is named in full at @at, if there is such a name; returns
 * where it ends, or @at. */
static size_t add_alias(struct pmf_buf *out, const struct name *n, size_t at)
{
	static const struct {
		const char *full, *alias;
	} aliases[] = {
		{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char>",
			"std::string"},
		{"std::basic_string<char, std::char_traits<char>, std::allocator<char>",
			"std::string"},
		{"std::__1::basic_string<char, std::__1::char_traits<char>, std::__1::allocator<char>",
			"std::string"},
		{"std::basic_string_view<char, std::char_traits<char>", "std::string_view"},
		{"std::__1::basic_string_view<char, std::__1::char_traits<char>",
			"std::string_view"},
	};

	if (n->s[at] != 's' || (at > 0 && (is_word(n->s[at - 1]) || n->s[at - 1] == ':')))
		return at;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(aliases); i++) {
		size_t end = at + strlen(aliases[i].full);

		if (!starts(n, at, aliases[i].full))
			continue;
		end += n->s[end] == ' ';
		if (n->s[end] != '>')
			continue;
		pmf_buf_addstr(out, aliases[i].alias);
		return end + 1;
	}
	return at;
}

/* Template arguments that are kept, of which the innermost ends first. */
struct kept {
	size_t ends[MOST_KEPT];
	unsigned n;
};

/* Are the arguments at @at within so many others that are kept that they are too deep? */
static bool too_deep(const struct name *n, struct kept *kept, size_t at)
{
	if (n->keep.args == PMF_NAME_ALL_ARGS)
		return false;
	while (kept->n && kept->ends[kept->n - 1] < at)
		kept->n--;
	if (kept->n == PMF_MIN(n->keep.args, (unsigned)MOST_KEPT))
		return true;
	kept->ends[kept->n++] = n->close[at];
	return false;
}

static void copy(struct pmf_buf *out, const struct name *n, const struct shape *shape)
{
	static const char lambda[] = "{lambda(";
	size_t op_end = NOWHERE, outside = shape->start, op; /* from there on no bracket is open */
	struct kept kept = {.n = 0};
	bool converts = false;

	for (size_t i = shape->start; i < shape->tail;) {
		if ((op = operator_end(n, i))) {
			pmf_buf_add(out, n->s + i, op - i);
			i = op_end = op;
			converts = n->s[i] == ' ' && i >= outside;
		} else if ((op = add_alias(out, n, i)) > i) {
			i = op;
		} else if (folds(n, i, op_end) && too_deep(n, &kept, i)) {
			pmf_buf_addch(out, n->s[i]);
			pmf_buf_addstr(out, ELLIPSIS);
			i = n->close[i];
			pmf_buf_addch(out, n->s[i++]);
		} else if (!n->keep.params && n->close[i] && i >= outside &&
			   is_params(n, i, op_end, converts)) {
			i = skip_qualifiers(n, n->close[i] + 1);
			converts = false;
		} else if (!n->keep.params && starts(n, i, lambda)) {
			pmf_buf_add(out, lambda, sizeof lambda - 2);
			outside = PMF_MAX(outside, (size_t)n->close[i]);
			i = n->close[i + sizeof lambda - 2] + 1;
		} else {
			outside = PMF_MAX(outside, (size_t)n->close[i]);
			pmf_buf_addch(out, n->s[i++]);
		}
	}
	pmf_buf_add(out, n->s + shape->tail, n->len - shape->tail);
}

void pmf_name_add_label(struct pmf_buf *out, const char *name, struct pmf_name_keep keep)
{
	struct name n = {.s = name,
		.len = strlen(name),
		.clone = pmf_name_without_clone(name),
		.keep = keep};
	struct shape shape;

	/* Most names are C's. */
	if (n.len > LONGEST || !strpbrk(name, "<(")) {
		pmf_buf_add(out, name, n.len);
		return;
	}
	n.close = pmf_calloc(n.len + 1, sizeof *n.close);
	if (match_brackets(&n) && find_shape(&n, &shape))
		copy(out, &n, &shape);
	else
		pmf_buf_add(out, name, n.len);
	free(n.close);
}
