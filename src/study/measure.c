/* One run of a command in a recorder of its own. */
#include "pmuflame/measure.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/profile.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_NS = 200000000,
	PROFILE_BYTES_MAX = 1 << 30,
	FAILED = 125, /* of record, as of env(1) */
};

static char *file_of(const struct pmf_measure_opts *o, const char *suffix)
{
	return pmf_asprintf("%s/%s%s", o->folder, o->name, suffix);
}

struct words {
	char **argv;
	size_t n, cap;
};

static void add_word(struct words *w, const char *word)
{
	PMF_PUSH(w->argv, w->n, w->cap) = pmf_strdup(word);
}

static void record_words(struct words *w, const struct pmf_measure_opts *o)
{
	char *prefix = file_of(o, "");

	add_word(w, "pmuflame");
	add_word(w, "record");
	add_word(w, "-q");
	add_word(w, "--format");
	add_word(w, "pprof");
	add_word(w, "-o");
	add_word(w, prefix);
	for (size_t i = 0; i < o->nr_specs; i++) {
		add_word(w, "-e");
		add_word(w, o->specs[i]);
	}
	for (size_t i = 0; i < o->nr_record_args; i++)
		add_word(w, o->record_args[i]);
	add_word(w, "--");
	for (size_t i = 0; o->command[i]; i++)
		add_word(w, o->command[i]);
	PMF_PUSH(w->argv, w->n, w->cap) = NULL;
	free(prefix);
}

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

/* The child. Only async-signal-safe calls. */
static void become_record(char **argv, int out_fd, int null_fd, pid_t parent, const sigset_t *mask)
	__attribute__((noreturn));

static void become_record(char **argv, int out_fd, int null_fd, pid_t parent, const sigset_t *mask)
{
	struct sigaction action;

	/* A handler of the caller's would swallow what comes before its end by execve(2). */
	for (size_t i = 0; i < PMF_ARRAY_SIZE(ending_signals); i++)
		if (sigaction(ending_signals[i], NULL, &action) == 0 &&
			action.sa_handler != SIG_IGN)
			signal(ending_signals[i], SIG_DFL);
	/* Without who asked for it, the run would only disturb those that come after. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent ||
		dup2(null_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execv("/proc/self/exe", argv);
	_exit(FAILED);
}

/* Until it has exited; SIGCHLD is blocked, so that no exit falls between asking and waiting. */
static int wait_for(pid_t pid, const struct pmf_measure_opts *o, const sigset_t *chld)
{
	const struct timespec tick = {0, TICK_NS};
	int wait_status = 0, sent = 0;
	pid_t got;

	while ((got = waitpid(pid, &wait_status, WNOHANG)) == 0 || (got < 0 && errno == EINTR)) {
		int sig = o->tick ? o->tick(o->ctx) : 0;

		if (sig && sig != sent)
			kill(pid, sig);
		sent = sig;
		sigtimedwait(chld, NULL, &tick);
	}
	if (got < 0)
		return FAILED;
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static int run_record(
	struct pmf_measured *m, const struct pmf_measure_opts *o, int out_fd, struct pmf_err *err)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), ret = 0;
	struct words words = {0};
	sigset_t chld, ending, before_fork, mask;
	pid_t pid, self = getpid();

	record_words(&words, o);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask);
	sigemptyset(&ending);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(ending_signals); i++)
		sigaddset(&ending, ending_signals[i]);
	sigprocmask(SIG_BLOCK, &ending, &before_fork);
	pid = null_fd < 0 ? -1 : fork();
	if (pid == 0)
		become_record(words.argv, out_fd, null_fd, self, &mask);
	sigprocmask(SIG_SETMASK, &before_fork, NULL);
	if (pid < 0)
		ret = pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"cannot start a run of '%s'", o->command[0]);
	else
		m->status = wait_for(pid, o, &chld);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (null_fd >= 0)
		close(null_fd);
	pmf_free_strings(words.argv, words.n);
	return ret;
}

void pmf_measured_of(struct pmf_measured *m, const struct pmf_profile *p)
{
	m->counts = pmf_calloc(p->nr_events, sizeof *m->counts);
	for (size_t e = 0; e < p->nr_events; e++) {
		const struct pmf_profile_event *ev = &p->events[e];

		m->counts[m->nr_counts++] = (struct pmf_count){
			.event = pmf_strdup(ev->label ? ev->label : ""),
			.unit = pmf_strdup(ev->unit ? ev->unit : ""),
			.count = (double)ev->counted * ev->scale,
			.scale = ev->scale,
			.samples = ev->samples,
		};
	}
	m->seconds = (double)p->duration_ns / 1e9;
	m->host = pmf_strdup(p->host_note ? p->host_note : "");
}

static int read_profile(
	struct pmf_measured *m, const struct pmf_measure_opts *o, struct pmf_err *err)
{
	struct pmf_buf bytes = PMF_BUF_INIT;
	struct pmf_profile p;
	int ret = pmf_file_read(m->profile_path, PROFILE_BYTES_MAX, &bytes, err);

	if (ret == 0)
		ret = pmf_profile_load(&p, bytes.data, bytes.len, err);
	pmf_buf_release(&bytes);
	if (ret == 0) {
		pmf_measured_of(m, &p);
		pmf_profile_release(&p);
	}
	if (ret == 0 && m->status == 0 && o->target) {
		char *out_path = file_of(o, ".out");

		m->work = pmf_target_work(o->target, out_path, err);
		ret = m->work < 0 ? PMF_EFORMAT : 0;
		free(out_path);
	}
	return ret;
}

int pmf_measure_load(
	struct pmf_measured *m, const struct pmf_measure_opts *opts, struct pmf_err *err)
{
	memset(m, 0, sizeof *m);
	m->profile_path = file_of(opts, ".pb.gz");
	return read_profile(m, opts, err);
}

int pmf_measure_run(
	struct pmf_measured *m, const struct pmf_measure_opts *opts, struct pmf_err *err)
{
	char *out_path = file_of(opts, ".out");
	struct pmf_outfile out;
	int ret;

	memset(m, 0, sizeof *m);
	m->status = FAILED;
	m->profile_path = file_of(opts, ".pb.gz");
	/* An older one must not stand for a run that leaves none. */
	unlink(m->profile_path);
	ret = pmf_outfile_open(&out, out_path, err);
	free(out_path);
	if (ret)
		return ret;
	ret = run_record(m, opts, fileno(out.f), err);
	if (ret) {
		pmf_outfile_abort(&out);
		return ret;
	}
	ret = pmf_outfile_commit(&out, err);
	if (ret)
		return ret;
	if (m->status && access(m->profile_path, F_OK) < 0)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"a run of '%s' left no profile, and status %d", opts->command[0],
			m->status);
	return read_profile(m, opts, err);
}

void pmf_measured_release(struct pmf_measured *m)
{
	for (size_t i = 0; i < m->nr_counts; i++) {
		free(m->counts[i].event);
		free(m->counts[i].unit);
	}
	free(m->counts);
	free(m->profile_path);
	free(m->host);
	memset(m, 0, sizeof *m);
}
