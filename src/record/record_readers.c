/* Readers: a drain goes in two steps, with all of them waiting for each other after each. First every
 * reader looks through its own rings and copies what all must know into an outbox per ring. Then each
 * merges its rings with the outboxes of the others by time. */
#include "record_priv.h"

#include "pmuflame/mem.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { OUTBOX_MIN = 4096 };

/* The timeline's records of one ring, for the readers that do not own it. */
struct outbox {
	uint8_t *data;
	size_t len, cap; /* cap: a power of two, or 0 */
};

struct reader {
	struct pmf_readers *all;
	pthread_t thread; /* of all but the first */
	struct pmf_merge merge;
	struct pmf_ring **rings; /* its own, and in the others' places its copies of them */
	struct pmf_ring *copies;
	int ret;
};

struct pmf_readers {
	const struct pmf_layouts *layouts; /* borrowed */
	struct pmf_ring **rings;           /* borrowed */
	struct outbox *outboxes;           /* one a ring */
	size_t n;
	struct reader *items;
	size_t nr, nr_threads; /* nr_threads: those that run */
	pthread_mutex_t mutex;
	pthread_cond_t start;
	pthread_barrier_t step;
	bool threaded; /* the three above are there */
	/* What is to be done: written under the mutex before a round, then only read. */
	uint64_t round;
	bool quit;
	uint64_t until_ns;
	pmf_record_cb *cb;
	void *ctx;
};

size_t pmf_readers_count(const struct pmf_readers *r)
{
	return r->nr;
}

size_t pmf_readers_of(const struct pmf_readers *r, size_t ring)
{
	return ring * r->nr / r->n;
}

/* Does the record concern every reader's timeline? */
static bool is_shared(uint32_t type)
{
	switch (type) {
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
	case PERF_RECORD_COMM:
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
	case PERF_RECORD_LOST:
	case PERF_RECORD_KSYMBOL:
		return true;
	default:
		return false;
	}
}

static void copy_record(struct outbox *o, const struct pmf_ring *r, size_t len)
{
	size_t at = (size_t)(r->tail & (r->size - 1)), first = PMF_MIN(len, r->size - at),
	       cap = PMF_MAX(o->cap, (size_t)OUTBOX_MIN);

	while (cap - o->len < len)
		cap *= 2;
	if (cap > o->cap)
		o->data = pmf_reallocarray(o->data, cap, 1);
	o->cap = cap;
	memcpy(o->data + o->len, r->data + at, first);
	memcpy(o->data + o->len + first, r->data, len - first);
	o->len += len;
}

/* The merge stops in each ring at the first record that is too young; so does this. */
static void fill_outbox(const struct pmf_readers *r, size_t ring)
{
	struct outbox *o = &r->outboxes[ring];
	struct pmf_ring view = *r->rings[ring];
	struct pmf_merge_entry e;
	uint64_t malformed = 0; /* the merge counts them */

	o->len = 0;
	while (pmf_ring_look(r->layouts, &view, &e, &malformed)) {
		if (e.time_ns >= r->until_ns && r->until_ns != UINT64_MAX)
			break;
		if (is_shared(e.type))
			copy_record(o, &view, e.len);
		view.tail += e.len;
	}
}

static void work(struct reader *me)
{
	struct pmf_readers *r = me->all;
	size_t number = (size_t)(me - r->items);

	for (size_t i = 0; i < r->n; i++)
		if (pmf_readers_of(r, i) == number)
			fill_outbox(r, i);
	pthread_barrier_wait(&r->step);
	for (size_t i = 0; i < r->n; i++) {
		const struct outbox *o = &r->outboxes[i];

		if (pmf_readers_of(r, i) != number && o->cap)
			me->copies[i] = (struct pmf_ring){
				.data = o->data, .size = o->cap, .head = o->len, .copied = true};
	}
	me->ret = pmf_merge_drain(&me->merge, r->until_ns, r->cb, r->ctx);
	pthread_barrier_wait(&r->step);
}

static void *run(void *arg)
{
	struct reader *me = arg;
	struct pmf_readers *r = me->all;
	bool quit;

	for (uint64_t round = 1;; round++) {
		pthread_mutex_lock(&r->mutex);
		while (r->round < round && !r->quit)
			pthread_cond_wait(&r->start, &r->mutex);
		quit = r->quit;
		pthread_mutex_unlock(&r->mutex);
		if (quit)
			return NULL;
		work(me);
	}
}

int pmf_readers_drain(struct pmf_readers *r, uint64_t until_ns, pmf_record_cb *cb, void *ctx)
{
	int ret = 0;

	if (r->nr == 1)
		return pmf_merge_drain(&r->items[0].merge, until_ns, cb, ctx);
	pthread_mutex_lock(&r->mutex);
	r->until_ns = until_ns;
	r->cb = cb;
	r->ctx = ctx;
	r->round++;
	pthread_cond_broadcast(&r->start);
	pthread_mutex_unlock(&r->mutex);
	work(&r->items[0]);
	for (size_t i = 0; i < r->nr; i++)
		ret = PMF_MIN(ret, r->items[i].ret);
	return ret;
}

/* Signals are the business of the thread that reads them. */
static int start_threads(struct pmf_readers *r, struct pmf_err *err)
{
	sigset_t all, old;
	int errnum = 0;

	pthread_mutex_init(&r->mutex, NULL);
	pthread_cond_init(&r->start, NULL);
	pthread_barrier_init(&r->step, NULL, (unsigned)r->nr);
	r->threaded = true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (size_t i = 1; i < r->nr && errnum == 0; i++) {
		errnum = pthread_create(&r->items[i].thread, NULL, run, &r->items[i]);
		r->nr_threads += errnum == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (errnum)
		return pmf_err_errno(err, PMF_ELIMIT, errnum,
			"cannot start %zu threads to read the rings", r->nr - 1);
	return 0;
}

static int init_reader(struct reader *me, struct pmf_readers *r, struct pmf_err *err)
{
	size_t number = (size_t)(me - r->items);
	int ret;

	me->all = r;
	me->rings = pmf_calloc(r->n, sizeof *me->rings);
	me->copies = pmf_calloc(r->n, sizeof *me->copies);
	for (size_t i = 0; i < r->n; i++) {
		me->copies[i] = (struct pmf_ring){.size = OUTBOX_MIN, .copied = true};
		me->rings[i] = pmf_readers_of(r, i) == number ? r->rings[i] : &me->copies[i];
	}
	ret = pmf_merge_init(&me->merge, r->layouts, me->rings, r->n, err);
	me->merge.reader = (uint32_t)number;
	return ret;
}

int pmf_readers_new(struct pmf_readers **out, const struct pmf_layouts *layouts,
	struct pmf_ring **rings, size_t n, size_t nr, struct pmf_err *err)
{
	struct pmf_readers *r = pmf_zalloc(sizeof *r);
	int ret = 0;

	r->layouts = layouts;
	r->rings = rings;
	r->n = n;
	r->nr = PMF_MAX(PMF_MIN(nr, n), (size_t)1);
	r->outboxes = pmf_calloc(n, sizeof *r->outboxes);
	r->items = pmf_calloc(r->nr, sizeof *r->items);
	for (size_t i = 0; i < r->nr && ret == 0; i++)
		ret = init_reader(&r->items[i], r, err);
	if (ret == 0 && r->nr > 1)
		ret = start_threads(r, err);
	if (ret) {
		pmf_readers_free(r);
		return ret;
	}
	*out = r;
	return 0;
}

void pmf_readers_free(struct pmf_readers *r)
{
	if (!r)
		return;
	if (r->threaded) {
		pthread_mutex_lock(&r->mutex);
		r->quit = true;
		pthread_cond_broadcast(&r->start);
		pthread_mutex_unlock(&r->mutex);
		for (size_t i = 1; i <= r->nr_threads; i++)
			pthread_join(r->items[i].thread, NULL);
		pthread_barrier_destroy(&r->step);
		pthread_cond_destroy(&r->start);
		pthread_mutex_destroy(&r->mutex);
	}
	for (size_t i = 0; i < r->nr; i++) {
		pmf_merge_release(&r->items[i].merge);
		free(r->items[i].rings);
		free(r->items[i].copies);
	}
	for (size_t i = 0; i < r->n; i++)
		free(r->outboxes[i].data);
	free(r->outboxes);
	free(r->items);
	free(r);
}

uint64_t pmf_readers_out_of_order(const struct pmf_readers *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->nr; i++)
		sum += r->items[i].merge.out_of_order;
	return sum;
}

uint64_t pmf_readers_malformed(const struct pmf_readers *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->nr; i++)
		sum += r->items[i].merge.malformed;
	return sum;
}
