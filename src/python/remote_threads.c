/* Which thread is asked. The main thread's state lasts as long as the interpreter, so it can be written to
 * at any time; but a main thread may wait for others for hours. Another thread's state is freed when it
 * ends, so nothing is written there unless the thread stands still, by ptrace(2). Only those are stopped
 * that are running: they are about to execute Python code, and wait in no system call that this would
 * interrupt. */
#include "remote_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/file.h"
#include "pmuflame/tasks.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

/* More than run at once on any machine; looking for a thread's state takes long where there are many. */
enum { STAT_CHARS = 512, LOOKED_AT_MAX = 256 };
/* What is running stops at once, where it has a CPU. The recording waits meanwhile: for a process whose threads do
 * not, a second in all. */
enum { STOP_NS = 100000000, RESTLESS_MAX = 10 };

int pmf_remote_ask_main(struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in,
	const char *script, struct pmf_err *err)
{
	int ret = pmf_remote_post(in, in->main_state, script, err);

	if (ret == 0)
		t->asked[t->n++] = in->pid;
	return ret;
}

static bool is_running(pid_t pid, pid_t tid)
{
	char path[64], line[STAT_CHARS];
	const char *end;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	if (pmf_file_read_line(path, line, sizeof line, NULL))
		return false;
	end = strrchr(line, ')');
	return end && strncmp(end, ") R", 3) == 0;
}

static bool was_asked(const struct pmf_remote_threads *t, pid_t tid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->asked[i] == tid)
			return true;
	return false;
}

/* ---- A thread that stands still ---- */

struct errand {
	pid_t tid;
	void (*work)(void *ctx);
	void *ctx;
	enum pmf_remote_stop how;
};

/* Stop @tid; *sig gets the signal that it was about to take, or 0. */
static enum pmf_remote_stop stop(pid_t tid, int *sig)
{
	const struct timespec step = {.tv_nsec = 50000};
	uint64_t since = pmf_clock_ns(CLOCK_MONOTONIC);
	int status;
	pid_t got;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return PMF_REMOTE_UNTRACED;
	while ((got = waitpid(tid, &status, __WALL | WNOHANG)) == 0 &&
		pmf_clock_ns(CLOCK_MONOTONIC) - since < STOP_NS)
		nanosleep(&step, NULL);
	if (got == 0)
		return PMF_REMOTE_RESTLESS;
	if (got != tid || !WIFSTOPPED(status))
		return PMF_REMOTE_UNTRACED;
	*sig = status >> 16 ? 0 : WSTOPSIG(status);
	return PMF_REMOTE_STOPPED;
}

static void *run(void *ctx)
{
	struct errand *e = ctx;
	int sig;

	e->how = stop(e->tid, &sig);
	if (e->how != PMF_REMOTE_STOPPED)
		return NULL;
	e->work(e->ctx);
	ptrace(PTRACE_DETACH, e->tid, NULL, (void *)(intptr_t)sig);
	return NULL;
}

/* Who waits for a child of vfork(2), or for a device, stops when that is over, and only what has stopped can
 * be detached. But when a tracer ends, the kernel lets go whatever it traces, be it to stop or not: so the tracer
 * is a thread that ends. */
enum pmf_remote_stop pmf_remote_while_stopped(pid_t tid, void (*work)(void *ctx), void *ctx)
{
	struct errand e = {tid, work, ctx, PMF_REMOTE_UNTRACED};
	sigset_t all, before;
	pthread_t tracer;

	sigfillset(&all);
	/* Signals are for the thread that began the run. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&tracer, NULL, run, &e) == 0)
		pthread_join(tracer, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return e.how;
}

/* ---- Who is asked ---- */

/* A request to a thread. */
struct request {
	const struct pmf_remote_interpreter *in;
	pid_t tid;
	const char *script;
	bool asked, begun;
};

static void ask_stopped(void *ctx)
{
	struct request *r = ctx;
	uint64_t state = pmf_remote_state_of(r->in, r->tid);

	r->asked = state && pmf_remote_post(r->in, state, r->script, NULL) == 0;
}

static void withdraw_stopped(void *ctx)
{
	struct request *r = ctx;
	uint64_t state = pmf_remote_state_of(r->in, r->tid);

	r->begun = state && !pmf_remote_withdraw(r->in, state, r->script);
}

static enum pmf_remote_stop while_stopped(
	struct pmf_remote_threads *t, struct request *r, void (*work)(void *request))
{
	enum pmf_remote_stop how = PMF_REMOTE_RESTLESS;

	if (t->restless < RESTLESS_MAX)
		how = pmf_remote_while_stopped(r->tid, work, r);
	t->restless += how == PMF_REMOTE_RESTLESS;
	return how;
}

static void ask_one(struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in,
	pid_t tid, const char *script)
{
	struct request r = {in, tid, script, false, false};

	if (pmf_remote_state_of(in, tid) &&
		while_stopped(t, &r, ask_stopped) == PMF_REMOTE_STOPPED && r.asked)
		t->asked[t->n++] = tid;
}

void pmf_remote_ask_running(
	struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in, const char *script)
{
	DIR *tasks = pmf_tasks_open(in->pid);
	size_t looked_at = 0;
	pid_t tid;

	while (t->n < PMF_REMOTE_ASKED_MAX && looked_at < LOOKED_AT_MAX &&
		t->restless < RESTLESS_MAX && (tid = pmf_tasks_next(tasks)))
		if (!was_asked(t, tid) && is_running(in->pid, tid)) {
			ask_one(t, in, tid, script);
			looked_at++;
		}
	pmf_tasks_close(tasks);
}

size_t pmf_remote_withdraw_all(
	struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in, const char *script)
{
	size_t begun = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct request r = {in, t->asked[i], script, false, false};

		if (r.tid == in->pid)
			begun += !pmf_remote_withdraw(in, in->main_state, script);
		else if (pmf_remote_state_of(in, r.tid))
			/* What cannot be withdrawn may begin. */
			begun += while_stopped(t, &r, withdraw_stopped) == PMF_REMOTE_RESTLESS ||
				 r.begun;
	}
	t->n = 0;
	return begun;
}
