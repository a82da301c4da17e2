/* The command table, and the choice among it. */
#include "cli.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct pmf_cmd *const commands[] = {
	&pmf_cmd_record,
	&pmf_cmd_render,
	&pmf_cmd_list,
	&pmf_cmd_doctor,
	&pmf_cmd_view,
	&pmf_cmd_top,
	&pmf_cmd_annotate,
	&pmf_cmd_diff,
	&pmf_cmd_sweep,
	&pmf_cmd_check,
	&pmf_cmd_advise,
	&pmf_cmd_init,
};

int pmf_cli_fail(enum pmf_exit status, const struct pmf_err *err)
{
	return pmf_cli_failf(status, "%s", err->text);
}

int pmf_cli_failf(enum pmf_exit status, const char *fmt, ...)
{
	char text[sizeof((struct pmf_err *)0)->text + 100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	pmf_log(PMF_LOG_QUIET, "%s", text); /* no level hides an error */
	return status;
}

int pmf_cli_status(int ret, const struct pmf_err *err)
{
	if (ret >= 0)
		return PMF_EXIT_OK;
	return pmf_cli_fail(ret == PMF_EUSAGE ? PMF_EXIT_USAGE : PMF_EXIT_FAILED, err);
}

int pmf_cli_wait_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void pmf_cli_print_commands(FILE *f)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
}

/* A descriptor that is closed at the start would be given to the next file that is opened, and
 * messages would land in it. The command finds it closed as before. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_fds();
	/* Where it is ignored, as some that start programs leave it, nobody learns how a command ended. */
	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	/* Anything else is a recording, whose name may be left out. */
	return pmf_cmd_record.run(argc, argv);
}
