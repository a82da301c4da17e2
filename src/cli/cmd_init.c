/* pmuflame init */
#include "cli.h"

#include "pmuflame/study.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
	"Usage: pmuflame init\n"
	"\n"
	"Write a commented pmuflame.ini into the current folder: targets, presets and what can be\n"
	"said of them. One that is there is left alone.\n"
	"\n"
	"  -h, --help  this text\n";

/* All of @text into a file that was not there; "" or what went wrong. */
static const char *write_new(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t len = strlen(text);
	bool ok;

	if (fd < 0)
		return strerror(errno);
	/* Whatever the umask: others that may write would make it useless. */
	ok = fchmod(fd, 0644) == 0 && write(fd, text, len) == (ssize_t)len;
	if (close(fd) < 0 || !ok) {
		unlink(path);
		return strerror(errno ? errno : EIO);
	}
	return "";
}

static int run(int argc, char **argv)
{
	const char *why;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(help, stdout);
		return PMF_EXIT_OK;
	}
	if (argc > 1)
		return pmf_cli_failf(PMF_EXIT_USAGE,
			"init takes no '%s': 'pmuflame init' writes pmuflame.ini here", argv[1]);
	why = write_new("pmuflame.ini", pmf_config_example);
	if (*why)
		return pmf_cli_failf(PMF_EXIT_FAILED,
			"cannot write pmuflame.ini, and nothing was changed: %s", why);
	puts("pmuflame.ini is written: change its target, then 'pmuflame backtest' profiles that");
	return PMF_EXIT_OK;
}

const struct pmf_cmd pmf_cmd_init = {
	"init",
	"write a commented pmuflame.ini, which gives commands names",
	run,
};
