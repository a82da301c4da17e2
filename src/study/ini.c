#include "ini_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <ini.h>
#include <stdlib.h>
#include <string.h>

enum { SECTION_MAX = 48 }; /* inih cuts what is longer */

int pmf_ini_vfail(struct pmf_ini *ini, int line, const char *fmt, va_list ap)
{
	struct pmf_buf text = PMF_BUF_INIT;

	if (ini->failed)
		return 0;
	pmf_buf_vprintf(&text, fmt, ap);
	pmf_err_set(ini->err, PMF_EFORMAT, "%s:%d: %s", ini->path, line, pmf_buf_str(&text));
	pmf_buf_release(&text);
	ini->failed = true;
	return 0;
}

int pmf_ini_fail(struct pmf_ini *ini, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pmf_ini_vfail(ini, line, fmt, ap);
	va_end(ap);
	return 0;
}

/* A line for inih, as fgets(3). What inih would drop without a word is refused: the end of a line
 * that is too long for it, and what follows " ;", which it takes for a comment. */
static char *next_line(char *room, int size, void *ctx)
{
	struct pmf_ini *ini = ctx;
	size_t len;

	if (ini->failed || !fgets(room, size, ini->f))
		return NULL;
	ini->line++;
	len = strlen(room);
	if (len + 1 == (size_t)size && room[len - 1] != '\n')
		pmf_ini_fail(ini, ini->line,
			"the line is longer than %d bytes: continue it on the next one, indented",
			size - 2);
	else if (!strchr("#;", room[strspn(room, " \t")]) &&
		 (strstr(room, " ;") || strstr(room, "\t;")))
		pmf_ini_fail(ini, ini->line,
			"';' after a space would begin a comment: put comments on lines of their "
			"own, and write '&&' or a script where a command needs it");
	else if (room[0] == '[' && strcspn(room, "]\n") > SECTION_MAX)
		pmf_ini_fail(
			ini, ini->line, "the section's name is longer than %d bytes", SECTION_MAX);
	return ini->failed ? NULL : room;
}

int pmf_ini_read(struct pmf_ini *ini, pmf_ini_key *key, void *ctx)
{
	int bad_line = ini_parse_stream(next_line, ini, key, ctx);

	if (bad_line)
		pmf_ini_fail(ini, bad_line, "neither '[section]' nor 'key = value'");
	return ini->failed ? PMF_EFORMAT : 0;
}

bool pmf_ini_good_name(const char *name)
{
	return *name && name[0] != '-' && name[0] != '.' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-")] == '\0';
}

int pmf_ini_add_text(char **text, const char *value, const char *by)
{
	char *longer = *text ? pmf_asprintf("%s%s%s", *text, by, value) : pmf_strdup(value);

	free(*text);
	*text = longer;
	return 1;
}
