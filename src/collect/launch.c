#include "collect_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child: waits for a byte, then becomes the command. Only async-signal-safe calls. */
static void child_main(int go_fd, int errno_fd, const sigset_t *mask, char *const *argv,
	char *const *env) __attribute__((noreturn));

static void child_main(
	int go_fd, int errno_fd, const sigset_t *mask, char *const *argv, char *const *env)
{
	char byte;
	int e;
	ssize_t n;

	do
		n = read(go_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(125); /* the recorder gave up */
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvpe(argv[0], argv, env);
	e = errno;
	if (write(errno_fd, &e, sizeof e) < 0)
		_exit(125);
	_exit(126);
}

int pmf_launch_start(struct pmf_launch *l, char *const *argv, char *const *env, struct pmf_err *err)
{
	int go[2] = {-1, -1}, back[2] = {-1, -1};
	sigset_t set;

	memset(l, 0, sizeof *l);
	l->go_fd = l->errno_fd = l->signal_fd = -1;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGXFSZ);
	sigaddset(&set, SIGUSR1);
	/* Blocked before the fork, so that none falls between; the child takes the old mask
	 * back. */
	sigprocmask(SIG_BLOCK, &set, &l->old_mask);
	l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signal_fd < 0)
		goto fail;
	if (!argv)
		return 0;
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
		goto fail;
	l->pid = fork();
	if (l->pid < 0)
		goto fail;
	if (l->pid == 0) {
		close(go[1]);
		close(back[0]);
		child_main(go[0], back[1], &l->old_mask, argv, env);
	}
	close(go[0]);
	close(back[1]);
	l->go_fd = go[1];
	l->errno_fd = back[0];
	return 0;
fail:
	pmf_err_errno(err, pmf_status_of_errno(errno), errno,
		argv ? "cannot start the command" : "cannot wait for signals");
	for (int i = 0; i < 2; i++) {
		if (go[i] >= 0)
			close(go[i]);
		if (back[i] >= 0)
			close(back[i]);
	}
	l->pid = 0;
	pmf_launch_end(l);
	return err ? (int)err->status : PMF_EIO;
}

/* A command that asked to be traced by its parent (PTRACE_TRACEME, as programs do that want no debugger) stops
 * at its next signal, or exec, until that lets it go on: we are the parent, and want none of it. */
static void let_go_on(pid_t pid, int signal)
{
	siginfo_t why = {.si_code = SI_USER};

	/* The trap of an exec is for tracers alone: it has no other sender than the program itself. */
	if (signal == SIGTRAP && ptrace(PTRACE_GETSIGINFO, pid, NULL, &why) == 0 &&
		why.si_code == SI_USER && why.si_pid == pid)
		signal = 0;
	ptrace(PTRACE_DETACH, pid, NULL, signal);
}

static void reap(struct pmf_launch *l, int flags)
{
	int status;
	pid_t got;

	do {
		got = waitpid(l->pid, &status, flags);
		if (got == l->pid && WIFSTOPPED(status))
			let_go_on(l->pid, WSTOPSIG(status));
	} while ((got < 0 && errno == EINTR) || (got == l->pid && WIFSTOPPED(status)));
	if (got == l->pid) {
		l->wait_status = status;
		l->exited = true;
	}
}

int pmf_launch_go(struct pmf_launch *l, int *exec_errno, struct pmf_err *err)
{
	ssize_t n = write(l->go_fd, "g", 1);

	close(l->go_fd);
	l->go_fd = -1;
	if (n != 1)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot start the command");
	do
		n = read(l->errno_fd, exec_errno, sizeof *exec_errno);
	while (n < 0 && errno == EINTR);
	if (n != sizeof *exec_errno)
		*exec_errno = 0;
	else
		reap(l, 0);
	return 0;
}

void pmf_launch_signals(struct pmf_launch *l)
{
	struct signalfd_siginfo si;

	while (read(l->signal_fd, &si, sizeof si) == sizeof si) {
		/* Several SIGCHLD may have become one: asked below. A pipe that nobody reads, and a
		 * file that may not grow, are told by write(2) too. */
		if (si.ssi_signo == SIGCHLD || si.ssi_signo == SIGPIPE || si.ssi_signo == SIGXFSZ)
			continue;
		if (si.ssi_signo == SIGUSR1) {
			l->asked = true;
			continue;
		}
		l->stopped = true;
		/* The terminal sends its signals to the whole foreground group, the command too;
		 * kill(2) reached us alone. */
		if (si.ssi_code != SI_KERNEL && l->pid > 0 && !l->exited)
			kill(l->pid, (int)si.ssi_signo);
	}
	if (l->pid > 0 && !l->exited)
		reap(l, WNOHANG);
}

void pmf_launch_end(struct pmf_launch *l)
{
	sigset_t mask = l->old_mask;

	if (l->go_fd >= 0)
		close(l->go_fd);
	if (l->errno_fd >= 0)
		close(l->errno_fd);
	if (l->pid > 0 && !l->exited && l->go_fd >= 0)
		reap(l, 0); /* it reads the end of its pipe and leaves */
	if (l->signal_fd >= 0) {
		/* What came since the command's exit was meant for the command. */
		pmf_launch_signals(l);
		close(l->signal_fd);
	}
	if (l->stopped) {
		sigaddset(&mask, SIGINT);
		sigaddset(&mask, SIGTERM);
		sigaddset(&mask, SIGHUP);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	l->go_fd = l->errno_fd = l->signal_fd = -1;
}
