/* {KEY} placeholders. */
#include "pmuflame/vary.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define KEY_LETTERS LETTERS "_"
/* What means itself to a shell, within quotes and without. */
#define PLAIN LETTERS "_@%+:,./-"

int pmf_vary_check(const char *setting, struct pmf_err *err)
{
	size_t len = strspn(setting, KEY_LETTERS);

	if (len == 0 || setting[len] != '=')
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' is no KEY=VALUE with a KEY of letters, digits and '_'", setting);
	return 0;
}

/* The value of the placeholder at @s ("{KEY}...") of @text and the placeholder's length; NULL if it is none,
 * or "${KEY}", a shell's variable. */
static const char *value_at(
	const char *text, const char *s, char *const *settings, size_t n, size_t *len)
{
	size_t key_len = *s == '{' ? strspn(s + 1, KEY_LETTERS) : 0;

	if (key_len == 0 || s[1 + key_len] != '}' || (s > text && s[-1] == '$'))
		return NULL;
	*len = key_len + 2;
	for (size_t i = 0; i < n; i++)
		if (strncmp(settings[i], s + 1, key_len) == 0 && settings[i][key_len] == '=')
			return settings[i] + key_len + 1;
	return NULL;
}

bool pmf_vary_in_text(const char *text, const char *setting)
{
	char *const settings[] = {(char *)setting};
	size_t len;

	for (const char *s = text; s && *s; s++)
		if (value_at(text, s, settings, 1, &len))
			return true;
	return false;
}

bool pmf_vary_in_target(const struct pmf_target *t, const char *setting)
{
	bool found;

	if (!t)
		return false;
	found = pmf_vary_in_text(t->command, setting) || pmf_vary_in_text(t->setup, setting) ||
		pmf_vary_in_text(t->teardown, setting);
	for (size_t i = 0; i < t->nr_env && !found; i++)
		found = pmf_vary_in_text(t->env[i], setting);
	return found;
}

char *pmf_vary_text(const char *text, char *const *settings, size_t n)
{
	struct pmf_buf out = PMF_BUF_INIT;
	size_t len;

	for (const char *s = text; *s; s += len) {
		const char *value = value_at(text, s, settings, n, &len);

		if (value) {
			pmf_buf_addstr(&out, value);
		} else {
			pmf_buf_addch(&out, *s);
			len = 1;
		}
	}
	return pmf_buf_detach(&out);
}

char **pmf_vary_argv(char *const *argv, char *const *settings, size_t n)
{
	char **out = NULL;
	size_t nr = 0, cap = 0;

	for (; *argv; argv++)
		PMF_PUSH(out, nr, cap) = pmf_vary_text(*argv, settings, n);
	PMF_PUSH(out, nr, cap) = NULL;
	return out;
}

/* Where in a script a value would stand: only outside of quotes can it have its own. */
struct quotes {
	char open;   /* ' or ", or 0 */
	bool nested; /* a command within "..." has quotes of its own: not followed further */
};

/* Take in the character at @s, and the one behind a backslash with it; returns how many. */
static size_t follow(struct quotes *q, const char *s)
{
	if (*s == '\\' && q->open != '\'' && s[1])
		return 2;
	if (q->open == '"' && (*s == '`' || strncmp(s, "$(", 2) == 0))
		q->nested = true;
	if (*s == q->open)
		q->open = 0;
	else if (!q->open && (*s == '\'' || *s == '"'))
		q->open = *s;
	return 1;
}

/* As pmf_vary_text, for /bin/sh; replaces *@script, which may be NULL. */
static int vary_script(char **script, char *const *settings, size_t n, struct pmf_err *err)
{
	struct pmf_buf out = PMF_BUF_INIT;
	struct quotes quotes = {0};
	size_t len;

	for (const char *s = *script; s && *s; s += len) {
		const char *value = value_at(*script, s, settings, n, &len);
		bool plain = value && *value && value[strspn(value, PLAIN)] == '\0';

		if (plain) {
			pmf_buf_addstr(&out, value);
		} else if (value && (quotes.open || quotes.nested)) {
			pmf_buf_release(&out);
			return pmf_err_set(err, PMF_EUSAGE,
				"'%s' cannot take the place of %.*s within quotes: write %.*s outside "
				"of them in '%s'",
				value, (int)len, s, (int)len, s, *script);
		} else if (value) {
			pmf_buf_addshell(&out, value);
		} else {
			len = follow(&quotes, s);
			pmf_buf_add(&out, s, len);
		}
	}
	if (*script) {
		free(*script);
		*script = pmf_buf_detach(&out);
	}
	return 0;
}

int pmf_vary_target(struct pmf_target *t, char *const *settings, size_t n, struct pmf_err *err)
{
	char **const scripts[] = {&t->command, &t->setup, &t->teardown};
	int ret = 0;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(scripts) && ret == 0; i++)
		ret = vary_script(scripts[i], settings, n, err);
	for (size_t i = 0; i < t->nr_env; i++) {
		char *text = pmf_vary_text(t->env[i], settings, n);

		free(t->env[i]);
		t->env[i] = text;
	}
	return ret;
}
