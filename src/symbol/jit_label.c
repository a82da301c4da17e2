/* What runtimes put into the one string that perf's formats have for a function. */
#include "jit_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

void pmf_jit_label_release(struct pmf_jit_label *l)
{
	free(l->name);
	free(l->file);
}

/* CPython's trampolines: "py::QUALNAME:FILE". */
static bool take_python(struct pmf_jit_label *l, const char *name)
{
	const char *colon = pmf_starts_with(name, "py::") ? strchr(name + 4, ':') : NULL;

	if (!colon)
		return false;
	l->file = pmf_strdup(colon + 1);
	l->name = pmf_asprintf("%.*s (%s)", (int)(colon - (name + 4)), name + 4, base_of(l->file));
	l->python = true;
	return true;
}

/* The number behind the last colon of the first @len bytes of @s, which becomes the end; 0: there is none. */
static uint32_t cut_number(const char *s, size_t *len)
{
	size_t at = *len;
	unsigned long n;

	while (at > 0 && isdigit((unsigned char)s[at - 1]))
		at--;
	if (at == *len || *len - at > 9 || at == 0 || s[at - 1] != ':')
		return 0;
	n = strtoul(s + at, NULL, 10);
	*len = at - 1;
	return (uint32_t)n;
}

const char *pmf_jit_v8_function(const char *name)
{
	static const char *const kinds[] = {"JS:", "LazyCompile:", "Function:", "Script:", "Eval:"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++)
		if (pmf_starts_with(name, kinds[i]))
			return name + strlen(kinds[i]);
	return NULL;
}

/* Where the file begins in the first @len bytes of @s, "NAME FILE": names have spaces ("get size"), and so have paths.
 * NULL if there is no space. */
static const char *find_file(const char *s, size_t len)
{
	static const char *const roots[] = {"/", "node:", "file:"};
	const char *space = NULL;

	for (size_t i = 0; i < len; i++) {
		if (s[i] != ' ')
			continue;
		space = s + i;
		for (size_t k = 0; k < PMF_ARRAY_SIZE(roots); k++)
			if (pmf_starts_with(space + 1, roots[k]))
				return space + 1;
	}
	return space ? space + 1 : NULL;
}

/* V8: "JS:*NAME FILE:LINE:COLUMN"; the mark (~ interpreted, ^ baseline, + and * optimized) and the name may be
 * missing. A function is one whatever made its code, so the mark is left out. */
static bool take_v8(struct pmf_jit_label *l, const char *name)
{
	const char *at = pmf_jit_v8_function(name), *file;
	size_t len;

	if (!at)
		return false;
	at += *at && strchr("~^+*", *at);
	len = strlen(at);
	while (len && at[len - 1] == ' ')
		len--;
	file = find_file(at, len);
	if (!file)
		return false;
	len -= (size_t)(file - at);
	if (!cut_number(file, &len))
		return false;
	l->line = cut_number(file, &len);
	l->file = len ? pmf_strndup(file, len) : pmf_strdup("[eval]");
	if (file == at + 1)
		l->name = pmf_asprintf("(anonymous) (%s:%u)", base_of(l->file), (unsigned)l->line);
	else
		l->name = pmf_asprintf("%.*s (%s)", (int)(file - 1 - at), at, base_of(l->file));
	return true;
}

/* The type that a class file's descriptor has at *@at (JVM specification, 4.3), as in Java's source. */
static bool take_type(struct pmf_buf *b, const char **at)
{
	static const struct {
		char code;
		const char *name;
	} types[] = {{'B', "byte"}, {'C', "char"}, {'D', "double"}, {'F', "float"}, {'I', "int"},
		{'J', "long"}, {'S', "short"}, {'Z', "boolean"}};
	size_t dims = strspn(*at, "["), len;
	const char *p = *at + dims;

	if (*p == 'L') {
		len = strcspn(++p, ";");
		if (p[len] != ';')
			return false;
		/* A hidden class, as of a lambda, has its address in its name. */
		for (size_t i = 0; i < len && strncmp(p + i, "+0x", 3) != 0; i++)
			pmf_buf_addch(b, p[i] == '/' ? '.' : p[i]);
		p += len + 1;
	} else {
		size_t i = 0;

		while (i < PMF_ARRAY_SIZE(types) && types[i].code != *p)
			i++;
		if (i == PMF_ARRAY_SIZE(types))
			return false;
		pmf_buf_addstr(b, types[i].name);
		p++;
	}
	for (; dims; dims--)
		pmf_buf_addstr(b, "[]");
	*at = p;
	return true;
}

/* HotSpot's agent of perf's: "Ljava/lang/String;charAt(I)C". */
static bool take_descriptor(struct pmf_jit_label *l, const char *name)
{
	struct pmf_buf b = PMF_BUF_INIT;
	const char *at = name, *open = strchr(name, '(');
	bool ok = *at == 'L' && open && take_type(&b, &at) && at < open;

	if (ok) {
		pmf_buf_addch(&b, '.');
		pmf_buf_add(&b, at, (size_t)(open + 1 - at));
		for (at = open + 1; ok && *at != ')';) {
			if (at != open + 1)
				pmf_buf_addstr(&b, ", ");
			ok = take_type(&b, &at);
		}
		pmf_buf_addch(&b, ')');
	}
	if (ok)
		l->name = pmf_buf_detach(&b);
	pmf_buf_release(&b);
	return ok;
}

/* HotSpot's own map: "char java.lang.String.charAt(int)", with the type that it returns in front. */
static bool take_method(struct pmf_jit_label *l, const char *name)
{
	const char *open = strchr(name, '('), *space = strchr(name, ' ');
	size_t len = strlen(name);

	if (!open || !space || space > open || len == 0 || name[len - 1] != ')' ||
		!memchr(space, '.', (size_t)(open - space)) ||
		memchr(space + 1, ' ', (size_t)(open - space - 1)))
		return false;
	l->name = pmf_strdup(space + 1);
	return true;
}

void pmf_jit_label_init(struct pmf_jit_label *l, const char *name)
{
	*l = (struct pmf_jit_label){0};
	if (!take_python(l, name) && !take_v8(l, name) && !take_descriptor(l, name) &&
		!take_method(l, name))
		l->name = pmf_strdup(name);
}
