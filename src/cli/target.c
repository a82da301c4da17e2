#include "target.h"

#include "cli.h"

#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int pmf_cli_config_load(struct pmf_cli_config *c, struct pmf_err *err)
{
	struct pmf_err why = PMF_ERR_INIT;
	int ret = pmf_config_find(&c->file, ".", &why);

	if (ret == PMF_EPERM)
		pmf_warn("warning: %s", why.text);
	else if (ret && ret != PMF_ENOTFOUND)
		return pmf_err_set(err, why.status, "%s", why.text);
	c->presets = pmf_calloc(c->file.nr_presets + 1, sizeof *c->presets);
	for (size_t i = 0; i < c->file.nr_presets; i++)
		c->presets[i] = (struct pmf_event_preset){
			.name = pmf_asprintf("@%s", c->file.presets[i].name),
			.specs = c->file.presets[i].events,
			.desc = c->file.path};
	return 0;
}

void pmf_cli_config_release(struct pmf_cli_config *c)
{
	for (struct pmf_event_preset *p = c->presets; p && p->name; p++)
		free((char *)p->name);
	free(c->presets);
	pmf_config_release(&c->file);
}

/* A command that is one program and its arguments. The shell can then become that program, and is in
 * no picture and no exit status. */
static bool is_simple(const char *script)
{
	size_t first = strcspn(script, " \t");

	return !strpbrk(script, "\n;&|()<>{}`$!") && !memchr(script, '=', first);
}

char **pmf_target_argv(const struct pmf_target *t, const char *script, char *const *args)
{
	char **argv = NULL;
	size_t n = 0, cap = 0;

	PMF_PUSH(argv, n, cap) = pmf_strdup("env");
	PMF_PUSH(argv, n, cap) = pmf_strdup("-C");
	PMF_PUSH(argv, n, cap) = pmf_strdup(t->folder);
	for (size_t i = 0; i < t->nr_env; i++)
		PMF_PUSH(argv, n, cap) = pmf_strdup(t->env[i]);
	PMF_PUSH(argv, n, cap) = pmf_strdup("/bin/sh");
	PMF_PUSH(argv, n, cap) = pmf_strdup("-c");
	PMF_PUSH(argv, n, cap) =
		pmf_asprintf("%s%s \"$@\"", is_simple(script) ? "exec " : "", script);
	PMF_PUSH(argv, n, cap) = pmf_strdup(t->name);
	for (size_t i = 0; args && args[i]; i++)
		PMF_PUSH(argv, n, cap) = pmf_strdup(args[i]);
	PMF_PUSH(argv, n, cap) = NULL;
	return argv;
}

void pmf_target_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* Run @argv, found as @program, to its end, with @out_fd as its standard output. Its wait status, or -1
 * with errno where there was no process to be had. */
static int run_program(const char *program, char **argv, int out_fd)
{
	int wait_status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (dup2(out_fd, STDOUT_FILENO) >= 0)
			execvp(program, argv);
		_exit(PMF_EXIT_CANNOT_EXEC);
	}
	while (pid > 0 && waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? -1 : wait_status;
}

int pmf_target_step(
	const struct pmf_target *t, const char *script, const char *what, struct pmf_err *err)
{
	char **argv;
	int status;

	if (!script)
		return 0;
	argv = pmf_target_argv(t, script, NULL);
	status = run_program(argv[0], argv, STDERR_FILENO);
	pmf_target_argv_free(argv);
	if (status < 0)
		return pmf_err_errno(
			err, PMF_EIO, errno, "cannot start the %s of target '%s'", what, t->name);
	if (WIFSIGNALED(status))
		return pmf_err_set(err, PMF_EIO, "the %s of target '%s' was ended by signal %d",
			what, t->name, WTERMSIG(status));
	if (WEXITSTATUS(status))
		return pmf_err_set(err, PMF_EIO, "the %s of target '%s' failed with status %d: %s",
			what, t->name, WEXITSTATUS(status), script);
	return 0;
}

bool pmf_target_is_all(const struct pmf_cli_config *c, const char *word)
{
	return strcmp(word, "all") == 0 && c->file.nr_targets > 0;
}

int pmf_target_run_all(const struct pmf_cli_config *c, char **argv, int place)
{
	int first = 0, status = 0;
	char **own;
	size_t n = 0;

	while (argv[n])
		n++;
	/* argv[0] may be "record", the command's name. */
	own = pmf_calloc(n + 2, sizeof *own);
	own[0] = (char *)"pmuflame";
	own[1] = (char *)"record";
	memcpy(own + 2, argv + 1, n * sizeof *own);
	for (size_t i = 0; i < c->file.nr_targets && status < 128; i++) {
		own[place + 1] = c->file.targets[i].name;
		fflush(NULL);
		status = run_program("/proc/self/exe", own, STDOUT_FILENO);
		status = status < 0 ? PMF_EXIT_FAILED : pmf_cli_wait_status(status);
		first = first ? first : status;
	}
	free(own);
	return first;
}
