/* Names of parts and copies of functions, as GCC and LLVM make them. */
#include "pmuflame/names.h"

#include "pmuflame/mem.h"
#include <string.h>

static const struct clone_word {
	const char *word;
	bool bare; /* may stand without a number, too */
	bool part;
} words[] = {
	{"cold", true, true},        /* GCC's and LLVM's: what is seldom executed */
	{"part", false, true},       /* GCC: what is left when the start was inlined */
	{"constprop", false, false}, /* GCC: parameters that are always the same are gone */
	{"isra", false, false},      /* GCC: parameters in parts, or unused ones gone */
	{"lto_priv", false, false},  /* GCC: a static function of one name in two files */
	{"localalias", true, false}, /* GCC: a name that cannot be interposed */
	{"llvm", false, false},      /* LLVM: a static function that other files call after LTO */
	{"__uniq", false, false},    /* LLVM: -funique-internal-linkage-names */
};

struct cut {
	size_t len; /* of what is left */
	bool part;
};

/* @s of @len bytes without the word that ends it, and a number behind that; false if none does. */
static bool cut_word(const char *s, size_t len, struct cut *out)
{
	size_t end = len, number = len;

	while (number > 0 && s[number - 1] >= '0' && s[number - 1] <= '9')
		number--;
	if (number < len && number > 0 && s[number - 1] == '.')
		end = number - 1;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i].word);

		if (end <= n || s[end - n - 1] != '.' || memcmp(s + end - n, words[i].word, n) != 0)
			continue;
		out->len = end - n - 1;
		out->part |= words[i].part;
		return end < len || words[i].bare;
	}
	return false;
}

static void cut_words(const char *s, size_t len, struct cut *out)
{
	struct cut shorter = {.len = len};

	do
		*out = shorter;
	while (cut_word(s, out->len, &shorter));
}

/* The same of what demanglers make of it: GNU's "f(int) [clone .isra.0] [clone .cold]", LLVM's "f(int)
 * (.isra.0.cold)". */
static bool cut_bracket(const char *s, size_t len, struct cut *out)
{
	static const struct {
		const char *open;
		char close;
	} brackets[] = {{" [clone ", ']'}, {" (", ')'}};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(brackets); i++) {
		size_t n = strlen(brackets[i].open), at = len;
		struct cut inside;

		if (len == 0 || s[len - 1] != brackets[i].close)
			continue;
		while (at > 0 && s[at - 1] != ' ' && s[at - 1] != '(')
			at--;
		if (at < n || memcmp(s + at - n, brackets[i].open, n) != 0)
			continue;
		cut_words(s + at, len - 1 - at, &inside);
		if (inside.len)
			return false;
		out->len = at - n;
		out->part |= inside.part;
		return true;
	}
	return false;
}

static struct cut cut(const char *name)
{
	size_t len = strlen(name);
	struct cut out = {.len = len};

	while (cut_bracket(name, out.len, &out))
		;
	if (out.len == len)
		cut_words(name, len, &out);
	return out.len ? out : (struct cut){.len = len};
}

size_t pmf_name_without_clone(const char *name)
{
	return cut(name).len;
}

bool pmf_name_is_part(const char *name)
{
	return cut(name).part;
}
