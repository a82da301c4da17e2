/* system(3) and popen(3), which start their shell inside of libc, where nobody can put the agent into
 * its environment. Here they start it by posix_spawn(3), which can. What else POSIX asks of them
 * is as in libc. */
#include "agent_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STREAMS_MAX = 256, EXIT_NOT_STARTED = 127 };

static const char shell[] = "/bin/sh";

static int start_shell(pid_t *pid, const char *command, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr)
{
	char name[] = "sh", option[] = "-c";
	char *argv[] = {name, option, (char *)(uintptr_t)command, NULL};

	return posix_spawn(pid, shell, actions, attr, argv, environ);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* ---- system ---- */

/* Nobody may change a signal's handling between two threads' calls: the first one in sets it, the
 * last one out sets it back. */
static pthread_mutex_t waiters_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned waiters;
static struct sigaction interrupt_was, quit_was;

static void ignore_interrupts(bool ignore)
{
	struct sigaction ign = {.sa_handler = SIG_IGN};

	pthread_mutex_lock(&waiters_lock);
	if (ignore && waiters++ == 0) {
		sigaction(SIGINT, &ign, &interrupt_was);
		sigaction(SIGQUIT, &ign, &quit_was);
	} else if (!ignore && --waiters == 0) {
		sigaction(SIGINT, &interrupt_was, NULL);
		sigaction(SIGQUIT, &quit_was, NULL);
	}
	pthread_mutex_unlock(&waiters_lock);
}

/* Start the shell as the program would have it: with the signals and the mask of before. */
static int spawn_waited(pid_t *pid, const char *command, const sigset_t *mask)
{
	posix_spawnattr_t attr;
	sigset_t defaults;
	int error;

	sigemptyset(&defaults);
	if (interrupt_was.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGINT);
	if (quit_was.sa_handler != SIG_IGN)
		sigaddset(&defaults, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, mask);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	error = start_shell(pid, command, NULL, &attr);
	posix_spawnattr_destroy(&attr);
	return error;
}

PMF_AGENT_EXPORT int system(const char *command)
{
	typedef int system_fn(const char *);
	sigset_t child, mask;
	int cancel, error, status, saved;
	pid_t pid;

	if (!command || !pmf_agent_wanted_in(shell))
		return PMF_AGENT_NEXT(system_fn, "system")(command);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	/* A thread that is cancelled here would leave all this as it is. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ignore_interrupts(true);
	pthread_sigmask(SIG_BLOCK, &child, &mask);
	error = spawn_waited(&pid, command, &mask);
	status = error ? W_EXITCODE(EXIT_NOT_STARTED, 0) : wait_for(pid);
	saved = error ? error : errno;
	ignore_interrupts(false);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_setcancelstate(cancel, NULL);
	if (error || status < 0)
		errno = saved;
	return status;
}

/* ---- popen ---- */

/* A stream whose other end is a shell. @pid: 0 for a free place, -1 for one that is being filled.
 * Without a lock, for a fork at any moment. */
static struct stream {
	pid_t pid;
	int fd;
	FILE *file;
} streams[STREAMS_MAX];

static struct stream *find_stream(const FILE *file)
{
	for (size_t i = 0; i < STREAMS_MAX; i++)
		if (__atomic_load_n(&streams[i].pid, __ATOMIC_ACQUIRE) > 0 &&
			streams[i].file == file)
			return &streams[i];
	return NULL;
}

static void free_stream(struct stream *s)
{
	__atomic_store_n(&s->pid, 0, __ATOMIC_RELEASE);
}

/* One that the program closed by fclose(3) may have had the same place in memory. */
static void forget_stream(const FILE *file)
{
	struct stream *s = file ? find_stream(file) : NULL;

	if (s)
		free_stream(s);
}

static struct stream *new_stream(void)
{
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		pid_t none = 0;

		if (__atomic_compare_exchange_n(
			    &streams[i].pid, &none, -1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &streams[i];
	}
	return NULL;
}

/* The shell's end of the pipe becomes its standard input or output; it has no end of other streams. */
static int spawn_piped(pid_t *pid, const char *command, int end, int standard)
{
	posix_spawn_file_actions_t actions;
	int error;

	posix_spawn_file_actions_init(&actions);
	for (size_t i = 0; i < STREAMS_MAX; i++)
		if (__atomic_load_n(&streams[i].pid, __ATOMIC_ACQUIRE) > 0)
			posix_spawn_file_actions_addclose(&actions, streams[i].fd);
	error = posix_spawn_file_actions_adddup2(&actions, end, standard);
	if (!error)
		error = start_shell(pid, command, &actions, NULL);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static FILE *open_stream(struct stream *s, const char *command, const char *type, bool reads)
{
	int fds[2], error;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	s->fd = fds[!reads];
	s->file = fdopen(s->fd, reads ? "r" : "w");
	forget_stream(s->file);
	error = s->file ? spawn_piped(&pid, command, fds[reads], reads) : errno;
	close(fds[reads]);
	if (error) {
		if (s->file)
			fclose(s->file);
		else
			close(s->fd);
		errno = error;
		return NULL;
	}
	if (!strchr(type, 'e'))
		fcntl(s->fd, F_SETFD, 0);
	__atomic_store_n(&s->pid, pid, __ATOMIC_RELEASE);
	return s->file;
}

PMF_AGENT_EXPORT FILE *popen(const char *command, const char *type)
{
	typedef FILE *popen_fn(const char *, const char *);
	bool reads = strchr(type, 'r') != NULL;
	struct stream *s = NULL;
	FILE *file;

	/* What it makes of a wrong type is libc's affair. */
	if (reads != (strchr(type, 'w') != NULL) && pmf_agent_wanted_in(shell))
		s = new_stream();
	if (!s)
		return PMF_AGENT_NEXT(popen_fn, "popen")(command, type);
	file = open_stream(s, command, type, reads);
	if (!file)
		free_stream(s);
	return file;
}

PMF_AGENT_EXPORT int pclose(FILE *file)
{
	typedef int pclose_fn(FILE *);
	struct stream *s = find_stream(file);
	pid_t pid;

	if (!s)
		return PMF_AGENT_NEXT(pclose_fn, "pclose")(file);
	pid = s->pid;
	free_stream(s);
	fclose(file);
	return wait_for(pid);
}
