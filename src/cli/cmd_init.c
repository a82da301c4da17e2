/* pmuflame init */
#include "cli.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/study.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
	"Usage: pmuflame init\n"
	"\n"
	"Write a commented pmuflame.ini into the current folder: targets, presets and what can be\n"
	"said of them. One that is there is left alone. In a git work tree, .gitignore gets the names of\n"
	"what runs write here, such as *.pb.gz, unless it has them.\n"
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

/* What runs write where they are started. The name of a flame graph holds its event, that of a report
 * only its target. */
static const char *const ignored[] = {
	"# what pmuflame writes; the report of a target is TARGET.html",
	"*.pb.gz",
	"*.*.svg",
	"*.folded",
	"*.speedscope.json",
	"*.callgrind",
	"*.sweep/",
	"*.prev.html",
	"backtest.html",
};

static bool in_work_tree(void)
{
	char *folder = realpath(".", NULL), *end;
	bool found = false;

	while (folder && !found) {
		char *git = pmf_asprintf("%s/.git", folder);

		found = access(git, F_OK) == 0;
		free(git);
		end = strrchr(folder, '/');
		if (!end)
			break;
		*end = '\0';
	}
	free(folder);
	return found;
}

static bool has_line(const char *text, const char *line)
{
	size_t len = strlen(line), here;

	for (; *text; text += here + (text[here] == '\n')) {
		here = strcspn(text, "\n");
		if (here == len && memcmp(text, line, len) == 0)
			return true;
	}
	return false;
}

/* Append to .gitignore, open as @fd, what it lacks. */
static int append_ignored(int fd, struct pmf_err *err)
{
	struct pmf_buf text = PMF_BUF_INIT, more = PMF_BUF_INIT;
	int ret = pmf_file_read_fd(fd, ".gitignore", 1 << 20, &text, err);

	if (text.len && text.data[text.len - 1] != '\n')
		pmf_buf_addch(&more, '\n');
	for (size_t i = 0; i < PMF_ARRAY_SIZE(ignored); i++)
		if (!has_line(pmf_buf_str(&text), ignored[i]))
			pmf_buf_printf(&more, "%s\n", ignored[i]);
	if (!ret && write(fd, pmf_buf_str(&more), more.len) != (ssize_t)more.len)
		ret = pmf_err_set(err, PMF_EIO, "cannot write '.gitignore': is the disk full?");
	pmf_buf_release(&more);
	pmf_buf_release(&text);
	return ret;
}

static int ignore_outputs(struct pmf_err *err)
{
	int fd = open(".gitignore",
		O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	struct stat st;
	int ret;

	if (fd < 0 && errno == ELOOP)
		return pmf_err_set(err, PMF_EUSAGE, "'.gitignore' is a symbolic link");
	if (fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '.gitignore'");
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		ret = append_ignored(fd, err);
	else
		ret = pmf_err_set(err, PMF_EUSAGE, "'.gitignore' is no regular file");
	close(fd);
	return ret;
}

static int run(int argc, char **argv)
{
	struct pmf_err err = PMF_ERR_INIT;
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
	if (!in_work_tree())
		return PMF_EXIT_OK;
	if (ignore_outputs(&err))
		pmf_log(PMF_LOG_WARN, "git is not told to ignore what runs write: %s", err.text);
	else
		puts(".gitignore names what runs write: profiles, flame graphs, sweeps, the report");
	return PMF_EXIT_OK;
}

const struct pmf_cmd pmf_cmd_init = {
	"init",
	"write a commented pmuflame.ini, which gives commands names",
	run,
};
