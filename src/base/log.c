#include "pmuflame/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum pmf_log_level log_level = PMF_LOG_WARN;

void pmf_log_set_level(enum pmf_log_level level)
{
	log_level = level;
}

enum pmf_log_level pmf_log_level(void)
{
	return log_level;
}

void pmf_log(enum pmf_log_level level, const char *fmt, ...)
{
	char line[1200] = "pmuflame: ";
	size_t start = strlen(line), len;
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line + start, sizeof line - start - 1, fmt, ap);
	va_end(ap);
	len = strlen(line);
	/* Names of files and symbols are hostile: no escape sequence reaches the terminal. */
	for (size_t i = start; i < len; i++) {
		unsigned char c = (unsigned char)line[i], before = (unsigned char)line[i - 1];

		if (c < 0x20 || c == 0x7f)
			line[i] = '?';
		/* U+0080 to U+009F in UTF-8: CSI is U+009B. */
		if (before == 0xc2 && c >= 0x80 && c < 0xa0)
			line[i - 1] = line[i] = '?';
	}
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nobody is left to tell */
}
