/* pmuflame view FILE: a report or a flame graph in the user's browser. The page is a file that needs
 * no server; where no browser can be started, say what to do instead. */
#include "cli.h"
#include "output.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	WAIT_STEP_MS = 50,
	WAIT_STEPS = 60, /* a starter that fails does so at once; a browser may run for hours */
};

static const char help[] =
	"usage: pmuflame view FILE\n\n"
	"Open FILE, a report (NAME.html) or a flame graph (NAME.EVENT.svg), in your browser:\n"
	"$BROWSER, else the desktop's. Over ssh, or without a display, print how to see it.\n";

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

/* Whether @path begins as what a browser shows. */
static int check_page(const char *path, struct pmf_err *err)
{
	static const char *const starts[] = {"<!DOCTYPE html", "<?xml", "<svg"};
	char head[16] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return pmf_err_set(err, PMF_EIO, "cannot open '%s': %s", path, strerror(errno));
	if (fread(head, 1, sizeof head - 1, f) == 0)
		head[0] = '\0'; /* a folder, say: no page in any case */
	fclose(f);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(starts); i++)
		if (strncmp(head, starts[i], strlen(starts[i])) == 0)
			return 0;
	return pmf_err_set(err, PMF_EFORMAT,
		"'%s' is no HTML or SVG file: 'pmuflame render --format html FILE' makes a report "
		"of a profile",
		path);
}

/* Why no browser can be started from here, or NULL. */
static const char *obstacle(void)
{
	if (is_set("SSH_CONNECTION") || is_set("SSH_TTY"))
		return "this shell is a remote one";
	if (geteuid() == 0 && is_set("SUDO_USER"))
		return "browsers do not run as root";
	if (!is_set("BROWSER") && !is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY") &&
		!is_set("WSL_DISTRO_NAME"))
		return "there is no display here";
	return NULL;
}

static void print_what_to_do(const char *path, const char *why)
{
	const char *user = is_set("USER") ? getenv("USER") : "USER";
	struct pmf_buf shown = PMF_BUF_INIT;
	char host[256] = "HOST", *from, *word;

	gethostname(host, sizeof host - 1);
	host[sizeof host - 1] = '\0';
	pmf_buf_addclean(&shown, path, '?');
	printf("%s\n\nNo browser was started: %s. The file needs nothing else: ",
		pmf_buf_str(&shown), why);
	from = pmf_asprintf("%s@%s:%s", user, host, pmf_buf_str(&shown));
	word = pmf_output_quote_command((char *[]){from, NULL});
	if (is_set("SSH_CONNECTION") || is_set("SSH_TTY"))
		printf("on your own machine,\n  scp %s .\nand open the copy in a browser.\n", word);
	else
		puts("open it, or a copy of it elsewhere, in a browser.");
	free(word);
	free(from);
	pmf_buf_release(&shown);
}

/* In the child: run @starter on @path; with no place for errors but the exit status. */
static void run_starter(const char *starter, const char *path)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	execlp(starter, starter, path, (char *)NULL);
	_exit(127);
}

/* True if @starter runs, or ended well. */
static bool starts(const char *starter, const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return false;
	if (pid == 0)
		run_starter(starter, path);
	for (int i = 0; i < WAIT_STEPS; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0;
		nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP_MS * 1000000L}, NULL);
	}
	return true;
}

/* $BROWSER has names between colons, the first that starts is taken (xdg-open(1)). */
static bool start_browser(const char *path)
{
	static const char *const usual[] = {"xdg-open", "wslview", "x-www-browser"};
	const char *list = getenv("BROWSER");

	while (list && *list) {
		size_t len = strcspn(list, ":");
		char *one = pmf_strndup(list, len);
		bool started = len && starts(one, path);

		free(one);
		if (started)
			return true;
		list += len + (list[len] == ':');
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(usual); i++)
		if (starts(usual[i], path))
			return true;
	return false;
}

static int view(const char *file)
{
	struct pmf_err err = PMF_ERR_INIT;
	const char *why = obstacle();
	char *path;

	if (check_page(file, &err))
		return pmf_cli_fail(PMF_EXIT_USAGE, &err);
	path = realpath(file, NULL); /* an absolute path is no option of any browser */
	if (!path)
		return pmf_cli_failf(PMF_EXIT_USAGE, "cannot find '%s': %s", file, strerror(errno));
	if (!why && !start_browser(path))
		why = "none of $BROWSER, xdg-open, wslview and x-www-browser could open it";
	if (why)
		print_what_to_do(path, why);
	free(path);
	return PMF_EXIT_OK;
}

static int cmd_view(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return PMF_EXIT_OK;
		}
		return pmf_cli_failf(PMF_EXIT_USAGE, "view does not know '%s': it takes a FILE",
			pmf_cli_culprit(c, argv));
	}
	if (argc - optind != 1)
		return pmf_cli_failf(PMF_EXIT_USAGE, "view takes one FILE: 'pmuflame view FILE'");
	return view(argv[optind]);
}

const struct pmf_cmd pmf_cmd_view = {
	"view",
	"open a report or a flame graph in the browser",
	cmd_view,
};
