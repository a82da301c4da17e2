/* Where the loops of a Python source are, by its tokens and indentation: Python language reference,
 * chapter 2, Lexical analysis. */
#include "advise_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A profile may name any files, and as many. */
enum { SOURCE_MAX = 16 << 20, ALL_SOURCES_MAX = 64 << 20, TAB = 8 };

/* A block that is open: a loop, or a function or class, where loops around it end. */
struct block {
	size_t indent;
	uint32_t loop; /* its line; 0: a function or class */
};

struct scan {
	const char *at, *end;
	uint32_t line;
	struct block *blocks;
	size_t nr_blocks, cap_blocks;
};

static bool is_in(const char *set, char c)
{
	return c && strchr(set, c);
}

/* Over a string, from its first quote on. One in single quotes ends with its line at the latest. */
static void skip_string(struct scan *s)
{
	char quote = *s->at;
	bool is_long = s->end - s->at > 2 && s->at[1] == quote && s->at[2] == quote;

	s->at += is_long ? 3 : 1;
	while (s->at < s->end) {
		if (*s->at == '\n') {
			if (!is_long)
				return;
			s->line++;
		} else if (*s->at == '\\' && s->end - s->at > 1) {
			s->line += s->at[1] == '\n';
			s->at++;
		} else if (*s->at == quote &&
			   (!is_long || (s->end - s->at > 2 && s->at[1] == quote &&
						s->at[2] == quote))) {
			s->at += is_long ? 3 : 1;
			return;
		}
		s->at++;
	}
}

/* To the end of a logical line: brackets, strings and backslashes continue it. */
static void skip_logical_line(struct scan *s)
{
	size_t open = 0;

	while (s->at < s->end) {
		char c = *s->at;

		if (c == '"' || c == '\'') {
			skip_string(s);
			continue;
		}
		if (c == '#') {
			const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));

			s->at = newline ? newline : s->end;
			continue;
		}
		s->at++;
		if (c == '\n') {
			s->line++;
			if (!open)
				return;
		} else if (c == '\\' && s->at < s->end && is_in("\r\n", *s->at)) {
			s->at += *s->at == '\r' && s->end - s->at > 1 && s->at[1] == '\n';
			s->line += *s->at == '\n';
			s->at++;
		} else if (is_in("([{", c)) {
			open++;
		} else if (is_in(")]}", c) && open) {
			open--;
		}
	}
}

static size_t skip_indent(struct scan *s)
{
	size_t column = 0;

	for (; s->at < s->end && is_in(" \t\f", *s->at); s->at++)
		column = *s->at == '\t' ? (column / TAB + 1) * TAB : column + 1;
	return column;
}

/* Does the line begin with keyword @word? */
static bool begins(const struct scan *s, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(s->end - s->at) > len && memcmp(s->at, word, len) == 0 &&
	       is_in(" \t(:\\", s->at[len]);
}

/* One logical line and the block that it opens. */
static void scan_line(struct scan *s, uint32_t *loops)
{
	size_t indent = skip_indent(s);
	uint32_t first = s->line, loop = 0, last;
	bool is_while, is_for, is_scope;

	if (s->at < s->end && is_in("#\r\n", *s->at)) {
		skip_logical_line(s);
		return;
	}
	while (s->nr_blocks && s->blocks[s->nr_blocks - 1].indent >= indent)
		s->nr_blocks--;
	if (s->nr_blocks)
		loop = s->blocks[s->nr_blocks - 1].loop;
	if (begins(s, "async"))
		for (s->at += strlen("async"); s->at < s->end && is_in(" \t", *s->at);)
			s->at++;
	is_while = begins(s, "while");
	is_for = begins(s, "for");
	is_scope = begins(s, "def") || begins(s, "class");
	skip_logical_line(s);
	/* The text may end without a newline. */
	last = s->at[-1] == '\n' ? s->line - 1 : s->line;
	for (uint32_t i = first; i <= last; i++)
		loops[i] = is_while ? first : loop;
	if (is_while || is_for || is_scope)
		PMF_PUSH(s->blocks, s->nr_blocks, s->cap_blocks) =
			(struct block){indent, is_scope ? 0 : first};
}

uint32_t *pmf_python_loops(const char *text, size_t len, size_t *nr_lines)
{
	struct scan s = {.at = text, .end = text + len, .line = 1};
	uint32_t *loops;

	*nr_lines = 1;
	for (size_t i = 0; i < len; i++)
		*nr_lines += text[i] == '\n';
	loops = pmf_calloc(*nr_lines + 1, sizeof *loops);
	while (s.at < s.end)
		scan_line(&s, loops);
	free(s.blocks);
	return loops;
}

/* ---- Files ---- */

static int read_source(struct pmf_sources *s, struct pmf_source *src, struct pmf_err *err)
{
	struct pmf_buf text = PMF_BUF_INIT;
	struct stat st;
	int fd = pmf_file_open_regular(src->path, &st), ret;
	uint64_t changed_ns;

	if (fd < 0)
		return pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"its source '%s' cannot be read", src->path);
	changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	if (s->before_unix_ns && changed_ns > s->before_unix_ns)
		ret = pmf_err_set(
			err, PMF_EUNSUP, "its source '%s' has changed since it ran", src->path);
	else if (!st.st_size) /* as those are, too, that the kernel makes up, some by waiting */
		ret = pmf_err_set(err, PMF_EUNSUP, "its source '%s' is empty", src->path);
	else
		ret = pmf_file_read_fd(fd, src->path,
			PMF_MIN((size_t)SOURCE_MAX, ALL_SOURCES_MAX - s->bytes), &text, err);
	s->bytes += text.len;
	if (ret == 0)
		src->loops = pmf_python_loops(pmf_buf_str(&text), text.len, &src->nr_lines);
	close(fd);
	pmf_buf_release(&text);
	return ret;
}

size_t pmf_sources_find(struct pmf_sources *s, const char *path)
{
	struct pmf_err err;
	size_t i;

	if (!s->n)
		pmf_strtab_init(&s->paths);
	i = pmf_strtab_addz(&s->paths, path) - 1; /* 0 is "" */
	if (i == s->n) {
		struct pmf_source *src = &PMF_PUSH(s->items, s->n, s->cap);

		*src = (struct pmf_source){.path = pmf_strtab_get(&s->paths, (uint32_t)i + 1)};
		if (read_source(s, src, &err))
			src->why = pmf_strdup(err.text);
	}
	return i;
}

uint32_t pmf_sources_loop(const struct pmf_sources *s, size_t i, uint32_t line)
{
	const struct pmf_source *src = &s->items[i];

	return src->loops && line > 0 && line <= src->nr_lines ? src->loops[line]
							       : PMF_LOOP_UNKNOWN;
}

void pmf_sources_release(struct pmf_sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].loops);
		free(s->items[i].why);
	}
	if (s->n)
		pmf_strtab_release(&s->paths);
	free(s->items);
	memset(s, 0, sizeof *s);
}
