#include "attempts.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The signals that ask for an end are the copy's, which takes them for that of its naming. */
static void hold_signals(sigset_t *before)
{
	sigset_t stops;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGHUP);
	sigprocmask(SIG_BLOCK, &stops, before);
}

enum pmf_naming_depth pmf_attempts_depth(void *ctx)
{
	enum pmf_naming_depth depth;
	sigset_t before;

	(void)ctx;
	fflush(NULL); /* once, not by each copy */
	hold_signals(&before);
	for (depth = PMF_NAMES_LINES; depth != PMF_NAMES_NONE; depth++) {
		pid_t pid = fork(), got;
		int status = 0;

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sigprocmask(SIG_SETMASK, &before, NULL);
			pmf_mem_fail_silently();
			return depth;
		}
		do
			got = pid < 0 ? -1 : waitpid(pid, &status, 0);
		while (got < 0 && pid > 0 && errno == EINTR);
		if (got == pid && WIFEXITED(status))
			_exit(WEXITSTATUS(status));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return depth;
}
