#include "perf_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "skip.h"
#include <cmocka.h>

/* ---- The process that is counted: each of its threads does what a byte in its pipe says ---- */

struct worker {
	int in, out; /* its ends of the two pipes */
};

void touch(size_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *p = mmap(
		NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	madvise((void *)p, pages * page, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i++)
		p[i * page] = 1;
	munmap((void *)p, pages * page);
}

static void work(void)
{
	volatile unsigned n = 0;

	while (n < ITERATIONS)
		n++;
}

static void *touch_in_thread(void *arg)
{
	touch(PAGES);
	return arg;
}

static void serve(const struct worker *w)
{
	pid_t tid = gettid();
	pthread_t thread;
	char what;

	while (read(w->in, &what, 1) == 1) {
		if (what == 'p') {
			touch(PAGES);
		} else if (what == 'w') {
			work();
		} else if (what == 't') {
			pthread_create(&thread, NULL, touch_in_thread, NULL);
			pthread_join(thread, NULL);
		} else if (what == 'f') {
			pid_t pid = fork();

			if (pid == 0) {
				touch(PAGES);
				_exit(0);
			}
			waitpid(pid, NULL, 0);
		}
		if (write(w->out, &tid, sizeof tid) != sizeof tid)
			break;
	}
}

static void *serve_in_thread(void *arg)
{
	serve(arg);
	return NULL;
}

/* Let thread @i of @s do @what, and wait for it. */
void ask(struct server *s, size_t i, char what)
{
	assert_int_equal(1, write(s->to[i], &what, 1));
	assert_int_equal(sizeof s->tids[i], read(s->from, &s->tids[i], sizeof s->tids[i]));
}

void ask_all(struct server *s, char what)
{
	for (size_t i = 0; i < THREADS; i++)
		ask(s, i, what);
}

void server_start(struct server *s)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	int back[2], pipes[THREADS][2];

	assert_int_equal(0, pipe(back));
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(0, pipe(pipes[i]));
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t i = 0; i < THREADS; i++) {
			close(pipes[i][1]);
			workers[i] = (struct worker){pipes[i][0], back[1]};
			if (i)
				pthread_create(&threads[i], NULL, serve_in_thread, &workers[i]);
		}
		serve(&workers[0]);
		_exit(0);
	}
	close(back[1]);
	s->from = back[0];
	for (size_t i = 0; i < THREADS; i++) {
		close(pipes[i][0]);
		s->to[i] = pipes[i][1];
	}
	/* What the first time needs of stacks, libraries and caches. */
	ask_all(s, 'p');
	ask_all(s, 't');
	ask_all(s, 'f');
	ask_all(s, 'p');
}

void server_end(struct server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	close(s->from);
	for (size_t i = 0; i < THREADS; i++)
		close(s->to[i]);
}

/* ---- Sessions ---- */

static int take(void *ctx, const struct pmf_record *rec)
{
	struct counting *c = ctx;

	if (rec->type == PERF_RECORD_SAMPLE) {
		c->samples++;
		c->weight += rec->sample.weight;
	}
	c->forks += rec->type == PERF_RECORD_FORK;
	return 0;
}

static int try_open_event(
	struct counting *c, const char *event, struct pmf_perf_opts opts, struct pmf_err *err)
{
	struct pmf_perf_features f;

	if (pmf_perf_features_probe(&f, err))
		skip_because("%s", err->text);
	memset(c, 0, sizeof *c);
	opts.ring_bytes = 1 << 20;
	pmf_event_list_init(&c->list);
	assert_int_equal(0, pmf_event_list_add(&c->list, event, NULL, NULL, err));
	return pmf_perf_open(&c->session, &c->list, &opts, err);
}

int try_open(struct counting *c, struct pmf_perf_opts opts, struct pmf_err *err)
{
	return try_open_event(c, "page-faults@1", opts, err);
}

void counting_open_event(struct counting *c, const char *event, struct pmf_perf_opts opts)
{
	struct pmf_err err = PMF_ERR_INIT;

	if (try_open_event(c, event, opts, &err))
		fail_msg("%s", err.text);
}

void counting_open(struct counting *c, struct pmf_perf_opts opts)
{
	counting_open_event(c, "page-faults@1", opts);
}

uint64_t count(struct counting *c)
{
	struct pmf_perf_totals t;

	assert_int_equal(0, pmf_perf_totals(c->session, 0, &t, NULL));
	return t.value;
}

void counting_drain(struct counting *c)
{
	assert_true(pmf_perf_drain(c->session, true, take, c) >= 0);
}

void counting_end(struct counting *c)
{
	pmf_perf_disable(c->session);
	counting_drain(c);
}

void counting_close(struct counting *c)
{
	pmf_perf_close(c->session);
	pmf_event_list_release(&c->list);
}

bool may_count_cpus(void)
{
	struct pmf_perf_limits limits;

	pmf_perf_limits_read(&limits);
	return limits.paranoid <= 0 || limits.cap_perfmon;
}
