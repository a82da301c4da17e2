#include "pmuflame/log.h"

#include "pmuflame/buf.h"
#include <stdarg.h>
#include <stdio.h>
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
	char text[1150];
	struct pmf_buf line = PMF_BUF_INIT;
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	pmf_buf_addstr(&line, "pmuflame: ");
	pmf_buf_addclean(&line, text, '?');
	pmf_buf_addch(&line, '\n');
	/* Where nobody is left to tell, nothing can be done. */
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		line.len = 0;
	pmf_buf_release(&line);
}
