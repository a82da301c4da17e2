/* Asking a reader, and ending one that crashed, spins or says nonsense. */
#include "reader_priv.h"

#include "pmuflame/clock.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	/* CPU time for an image's tables, or a batch of questions: eight times and more what the slowest
	 * that is known takes (docs/adr/0020: 5 ns a byte). */
	CPU_MS = 2000,
	CPU_NS_PER_BYTE = 40,
	CPU_MS_MAX = 90000,
	NS_PER_MS = 1000000,
	MS_PER_S = 1000,
	TICK_MS = 100,
	/* A reader that uses less CPU time in that time waits for a file that nobody delivers, or sleeps on
	 * purpose. */
	SILENT_S = 60,
	BUSY_NS = 100 * NS_PER_MS,
	WANTED_MAX = 1 << 16, /* files, of one question */
	PATH_BYTES_MAX = 8192,
};

struct pmf_reader {
	struct pmf_sandbox *sandbox;
	struct pmf_sandbox_worker worker;
	pid_t owner; /* the process whose it is: one that was forked from it has its own */
	uint64_t life;
	bool idle, cannot; /* cannot: no worker is to be had */
	bool babbled;      /* it said what nobody does who was not taken over */
	_Atomic(bool) hurry, cancelled;
	struct pmf_buf answer;
	char why[200];
};

struct pmf_reader *pmf_reader_new(struct pmf_sandbox *sandbox, bool idle)
{
	struct pmf_reader *r = pmf_zalloc(sizeof *r);

	r->sandbox = sandbox;
	r->idle = idle;
	r->worker.fd = -1;
	return r;
}

static void end_worker(struct pmf_reader *r, int *status)
{
	int unused;

	if (!r->worker.pid)
		return;
	if (r->owner == getpid())
		*(status ? status : &unused) = pmf_sandbox_end(r->sandbox, &r->worker);
	else
		close(r->worker.fd);
	r->worker = (struct pmf_sandbox_worker){0, -1};
}

void pmf_reader_free(struct pmf_reader *r)
{
	if (!r)
		return;
	end_worker(r, NULL);
	pmf_buf_release(&r->answer);
	free(r);
}

/* ---- Its process ---- */

static bool schedule(const struct pmf_reader *r, int policy)
{
	const struct sched_param none = {.sched_priority = 0};

	return sched_setscheduler(r->worker.pid, policy, &none) == 0;
}

void pmf_reader_hurry(struct pmf_reader *r)
{
	atomic_store(&r->hurry, true);
}

void pmf_reader_cancel(struct pmf_reader *r)
{
	atomic_store(&r->cancelled, true);
}

/* From now on it runs only where nobody else wants to; false if that cannot be undone, which is not permitted
 * to everybody (sched(7)). */
static bool stand_back(const struct pmf_reader *r)
{
	return !schedule(r, SCHED_IDLE) || (schedule(r, SCHED_OTHER) && schedule(r, SCHED_IDLE));
}

static void begin_worker(struct pmf_reader *r)
{
	const struct timeval patience = {.tv_sec = SILENT_S};
	struct pmf_err err = PMF_ERR_INIT;

	end_worker(r, NULL);
	r->owner = getpid();
	r->life++;
	if (atomic_load(&r->hurry))
		r->idle = false;
	if (pmf_sandbox_spawn(r->sandbox, &r->worker, &err) == 0 && r->idle && !stand_back(r)) {
		end_worker(r, NULL);
		r->idle = false;
		pmf_sandbox_spawn(r->sandbox, &r->worker, &err);
	}
	r->cannot = !r->worker.pid;
	if (r->cannot) {
		snprintf(r->why, sizeof r->why, "%s", err.text);
		return;
	}
	setsockopt(r->worker.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

uint64_t pmf_reader_life(struct pmf_reader *r)
{
	if (!r->cannot && (!r->worker.pid || r->owner != getpid()))
		begin_worker(r);
	return r->life;
}

/* ---- A question ---- */

/* What one question may cost, however many messages it takes. */
struct patience {
	uint64_t bytes;    /* of the files that it is about */
	uint64_t from_ns;  /* the reader's CPU time when it was asked */
	uint64_t busy_ns;  /* its CPU time when it was last seen to work, */
	uint64_t since_ns; /* and the clock then */
};

static uint32_t cpu_ms(const struct patience *p)
{
	uint64_t ms = CPU_MS + p->bytes / NS_PER_MS * CPU_NS_PER_BYTE;

	return (uint32_t)PMF_MIN(ms, (uint64_t)CPU_MS_MAX);
}

static uint64_t cpu_used_ns(const struct pmf_reader *r)
{
	clockid_t clock;

	return clock_getcpuclockid(r->worker.pid, &clock) ? 0 : pmf_clock_ns(clock);
}

/* What it holds, for holes are cheap to make. */
static uint64_t bytes_of(const struct stat *st)
{
	enum { BLOCK = 512 };

	return PMF_MIN((uint64_t)st->st_size, (uint64_t)st->st_blocks * BLOCK);
}

static struct patience patience_for(const struct pmf_reader *r, const struct pmf_reader_question *q)
{
	uint64_t used = cpu_used_ns(r);
	struct patience p = {q->bytes, used, used, pmf_clock_ns(CLOCK_MONOTONIC)};
	struct stat st;

	for (size_t i = 1; i < q->nr_fds; i++)
		if (fstat(q->fds[i], &st) == 0)
			p.bytes += bytes_of(&st);
	return p;
}

/* Until there is something to read. A reader has its time from the CPU that it used, which it limits by itself
 * and is not believed about, and from the clock once it need not stand back. */
static bool wait_for(struct pmf_reader *r, struct patience *p)
{
	struct pollfd fd = {.fd = r->worker.fd, .events = POLLIN};
	uint64_t used, now;
	int ret;

	for (;;) {
		if (r->idle && atomic_load(&r->hurry)) {
			schedule(r, SCHED_OTHER);
			r->idle = false;
		}
		ret = poll(&fd, 1, TICK_MS);
		if ((ret < 0 && errno != EINTR) || atomic_load(&r->cancelled))
			return false;
		used = cpu_used_ns(r);
		now = pmf_clock_ns(CLOCK_MONOTONIC);
		if (r->idle || used > p->busy_ns + BUSY_NS) {
			p->busy_ns = used;
			p->since_ns = now;
		}
		if (used > p->from_ns + (uint64_t)cpu_ms(p) * 2 * NS_PER_MS ||
			now - p->since_ns > (uint64_t)SILENT_S * MS_PER_S * NS_PER_MS)
			return false;
		if (ret > 0)
			return true;
	}
}

/* @len bytes from it, which may come one by one. Descriptors that it sends are not taken. */
static bool take(struct pmf_reader *r, struct patience *p, void *data, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n;

		if (!wait_for(r, p))
			return false;
		n = recv(r->worker.fd, (char *)data + got, len - got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		got += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool give_file(struct pmf_reader *r, const struct pmf_reader_question *q, struct patience *p,
	uint32_t bytes)
{
	const struct pmf_reader_files files = {q->dirs, q->owner};
	struct pmf_reader_head head = {.what = PMF_READ_FILE};
	char path[PATH_BYTES_MAX];
	struct stat st;
	int fd;
	bool ok;

	r->babbled = !bytes || bytes > sizeof path || !q->dirs;
	if (r->babbled || !take(r, p, path, bytes))
		return false;
	r->babbled = path[bytes - 1];
	if (r->babbled)
		return false;
	fd = pmf_reader_open_wanted(&files, path, &st);
	head.id = fd < 0 ? (uint32_t)errno : 0;
	if (fd >= 0)
		p->bytes += bytes_of(&st);
	head.cpu_ms = cpu_ms(p);
	ok = pmf_sandbox_send(r->worker.fd, &head, sizeof head, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool exchange(struct pmf_reader *r, const struct pmf_reader_question *q)
{
	struct patience p = patience_for(r, q);
	struct pmf_reader_head head = {(uint32_t)q->what, (uint32_t)q->data.len, q->id, cpu_ms(&p)};
	char *data;

	if (q->data.len > PMF_READ_QUESTION_MAX ||
		!pmf_sandbox_send(r->worker.fd, &head, sizeof head, q->fds, q->nr_fds) ||
		!pmf_sandbox_send(r->worker.fd, q->data.data, q->data.len, NULL, 0))
		return false;
	for (unsigned wanted = 0; wanted < WANTED_MAX; wanted++) {
		if (!take(r, &p, &head, sizeof head))
			return false;
		if (head.what == PMF_READ_WANTED) {
			if (!give_file(r, q, &p, head.bytes))
				return false;
			continue;
		}
		r->babbled = head.what != PMF_READ_ANSWER || head.bytes > PMF_READ_ANSWER_MAX;
		if (r->babbled)
			return false;
		data = pmf_malloc(head.bytes);
		pmf_buf_clear(&r->answer);
		if (take(r, &p, data, head.bytes))
			pmf_buf_add(&r->answer, data, head.bytes);
		free(data);
		return r->answer.len == head.bytes;
	}
	r->babbled = true;
	return false;
}

/* Why there is no answer, by how its process ended. */
static void explain(struct pmf_reader *r, int status)
{
	int sig = status >= 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (r->babbled)
		snprintf(r->why, sizeof r->why,
			"the process that read it answered what was not asked: its file may have taken "
			"it over");
	else if (sig == SIGPROF || sig == SIGKILL || sig == SIGXCPU)
		snprintf(r->why, sizeof r->why,
			"reading it takes more time or memory than any of its size should");
	else if (sig)
		snprintf(r->why, sizeof r->why, "the process that read it crashed (%s)",
			strsignal(sig));
	else
		snprintf(r->why, sizeof r->why, "the process that read it ran out of memory");
}

bool pmf_reader_ask(struct pmf_reader *r, struct pmf_reader_question *q,
	struct pmf_dw_cursor *answer, const char **why)
{
	int status = -1;
	bool ok;

	pmf_reader_life(r);
	r->babbled = false;
	ok = !r->cannot && !atomic_load(&r->cancelled) && exchange(r, q);
	pmf_buf_release(&q->data);
	*why = r->why;
	if (ok) {
		const uint8_t *bytes = (const uint8_t *)r->answer.data;

		*answer = (struct pmf_dw_cursor){bytes, bytes + r->answer.len, !bytes};
	} else if (!r->cannot) {
		end_worker(r, &status);
		explain(r, status);
	}
	return ok;
}
