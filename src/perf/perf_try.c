/* How far an event gets here, found out by opening it on this thread and making it happen. */
#include "perf_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	WORK_NS = 1200000,
	TOGETHER_NS = 4000000, /* several turns, where events take turns */
	SELDOM = 0x7fffffff,   /* a period that does not end meanwhile */
	WORK_BYTES = 1 << 20,
	RING_PAGES = 8,
	CLOCK_PERIOD_NS = 100000,
	FAULT_PAGES = 16,
	SLEEPS = 3,
	SLEEP_US = 100,
	WANTED_SAMPLES = 16,
};

/* One descriptor per way to open the event. */
struct trial {
	const struct pmf_event *ev;
	const struct pmf_perf_limits *limits;
	int *fds;
	size_t n;
	bool user_only;
	uint64_t read_format;
	bool exercised; /* the workload makes the event happen */
	int errnum;     /* of the open that failed */
	struct perf_event_attr last;
};

static void close_all(struct trial *t)
{
	for (size_t i = 0; i < t->n; i++)
		close(t->fds[i]);
	t->n = 0;
}

/* Open one attr on this thread, without the kernel's part where only that is permitted. */
static int open_one(
	struct trial *t, const struct pmf_event_attr *from, uint64_t period, int precise)
{
	int fd;

	t->last = from->attr;
	t->last.disabled = 1;
	t->last.sample_period = period;
	t->last.sample_type = period ? PERF_SAMPLE_IP | PERF_SAMPLE_TID : 0;
	t->last.precise_ip = (unsigned)precise & 3;
	t->last.read_format = t->read_format;
	if (t->user_only)
		t->last.exclude_kernel = t->last.exclude_hv = 1;
	fd = pmf_perf_sys_open(&t->last, 0, -1, -1, 0);
	if ((fd == -EACCES || fd == -EPERM) && !t->ev->user_given && !t->last.exclude_kernel &&
		!pmf_perf_kernel_permitted(t->limits)) {
		struct perf_event_attr refused = t->last;
		int user_fd;

		t->last.exclude_kernel = t->last.exclude_hv = 1;
		user_fd = pmf_perf_sys_open(&t->last, 0, -1, -1, 0);
		/* A PMU that cannot leave the kernel out: the permission is what is missing. */
		if (user_fd == -EINVAL && t->ev->cls == PMF_EVENT_OTHER)
			t->last = refused;
		else
			fd = user_fd;
		t->user_only = fd >= 0;
	}
	/* An uncore PMU counts on its CPU for everybody, or not at all. */
	if (fd == -EINVAL && !period && t->ev->cls == PMF_EVENT_OTHER && from->cpus) {
		int whole = pmf_perf_sys_open(&t->last, -1, atoi(from->cpus), -1, 0);

		fd = whole >= 0 ? whole : fd;
	}
	return fd;
}

static bool open_all(struct trial *t, uint64_t period, int precise)
{
	for (size_t i = 0; i < t->ev->nr_attrs; i++) {
		int fd = open_one(t, &t->ev->attrs[i], period, precise);

		if (fd < 0) {
			t->errnum = -fd;
			close_all(t);
			return false;
		}
		t->fds[t->n++] = fd;
	}
	return true;
}

static void trial_init(struct trial *t, const struct pmf_event *ev, const struct pmf_perf_limits *l)
{
	memset(t, 0, sizeof *t);
	t->ev = ev;
	t->limits = l;
	t->fds = pmf_calloc(ev->nr_attrs, sizeof *t->fds);
}

static void trial_release(struct trial *t)
{
	close_all(t);
	free(t->fds);
}

/* Touch @bytes of fresh memory, one write in each @stride bytes, until @until_ns. */
static void touch(size_t bytes, size_t stride, uint64_t until_ns)
{
	volatile unsigned char *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t random = 1;

	if (p == MAP_FAILED)
		return;
	do {
		/* Unforeseeable branches and addresses: something for every kind of counter. */
		for (size_t i = 0; i < bytes; i += stride) {
			random = random * 1664525u + 1013904223u;
			if (random >> 31)
				p[(i + (random >> 8)) % bytes]++;
			else
				p[i]++;
		}
	} while (pmf_clock_ns(CLOCK_MONOTONIC) < until_ns);
	munmap((void *)p, bytes);
}

/* Move this thread to another CPU and back. */
static bool migrate(void)
{
	cpu_set_t all, one;
	int here = sched_getcpu();

	if (here < 0 || sched_getaffinity(0, sizeof all, &all) < 0 || CPU_COUNT(&all) < 2)
		return false;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (cpu == here || !CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof one, &one) < 0)
			return false;
		return sched_setaffinity(0, sizeof all, &all) == 0;
	}
	return false;
}

/* Make the event happen; false if nothing here can. */
static bool exercise(const struct pmf_event *ev)
{
	const struct perf_event_attr *a = &ev->attrs[0].attr;
	const struct timespec nap = {0, SLEEP_US * 1000};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	switch (ev->cls) {
	case PMF_EVENT_FAULT:
		touch(FAULT_PAGES * page, page, 0);
		return a->config == PERF_COUNT_SW_PAGE_FAULTS ||
		       a->config == PERF_COUNT_SW_PAGE_FAULTS_MIN;
	case PMF_EVENT_SWITCH:
		if (a->config == PERF_COUNT_SW_CPU_MIGRATIONS)
			return migrate();
		for (int i = 0; i < SLEEPS; i++)
			nanosleep(&nap, NULL);
		return a->config == PERF_COUNT_SW_CONTEXT_SWITCHES;
	case PMF_EVENT_TRACEPOINT:
	case PMF_EVENT_BREAKPOINT:
		touch(FAULT_PAGES * page, page, 0);
		nanosleep(&nap, NULL);
		return false;
	case PMF_EVENT_HARDWARE:
	case PMF_EVENT_CLOCK:
	case PMF_EVENT_OTHER:
		touch(WORK_BYTES, 64, pmf_clock_ns(CLOCK_MONOTONIC) + WORK_NS);
		return a->type != PERF_TYPE_SOFTWARE || ev->cls == PMF_EVENT_CLOCK;
	}
	return false;
}

/* Run the workload with every descriptor counting. */
static void run(struct trial *t)
{
	for (size_t i = 0; i < t->n; i++)
		ioctl(t->fds[i], PERF_EVENT_IOC_ENABLE, 0);
	t->exercised = exercise(t->ev);
	for (size_t i = 0; i < t->n; i++)
		ioctl(t->fds[i], PERF_EVENT_IOC_DISABLE, 0);
}

static uint64_t read_sum(const struct trial *t)
{
	uint64_t sum = 0, value;

	for (size_t i = 0; i < t->n; i++)
		if (read(t->fds[i], &value, sizeof value) == (ssize_t)sizeof value)
			sum += value;
	return sum;
}

/* SAMPLE records in the ring; nothing was consumed, so it starts at its data's first byte. */
static size_t count_samples(const struct perf_event_mmap_page *meta, size_t page)
{
	const uint8_t *data = (const uint8_t *)meta + page;
	uint64_t head = __atomic_load_n(&meta->data_head, __ATOMIC_ACQUIRE), at = 0;
	size_t n = 0;

	head = PMF_MIN(head, (uint64_t)RING_PAGES * page);
	while (at + sizeof(struct perf_event_header) <= head) {
		struct perf_event_header h;

		memcpy(&h, data + at, sizeof h);
		if (h.size < sizeof h || h.size > head - at)
			break;
		n += h.type == PERF_RECORD_SAMPLE;
		at += h.size;
	}
	return n;
}

/* Run with a ring on every descriptor. Returns the number of samples, or a negative errno if there
 * is no memory for a ring. */
static long run_sampled(struct trial *t)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (RING_PAGES + 1) * page, n = 0;
	void **rings = pmf_calloc(t->n, sizeof *rings);
	long found = 0;

	for (; n < t->n; n++) {
		rings[n] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fds[n], 0);
		if (rings[n] == MAP_FAILED) {
			found = -errno;
			break;
		}
	}
	if (found == 0)
		run(t);
	for (size_t i = 0; i < n; i++) {
		if (found >= 0)
			found += (long)count_samples(rings[i], page);
		munmap(rings[i], bytes);
	}
	free(rings);
	return found;
}

/* A period that gives a few samples of what was counted in the first run. */
static uint64_t trial_period(const struct pmf_event *ev, uint64_t counted)
{
	if (ev->cls == PMF_EVENT_CLOCK)
		return CLOCK_PERIOD_NS;
	if (ev->cls == PMF_EVENT_HARDWARE)
		return counted ? counted / WANTED_SAMPLES + 1 : 100000;
	return 1;
}

/* Open for sampling with the highest precision that there is, or with the one asked for. */
static bool open_sampling(struct trial *t, uint64_t period, int *precise)
{
	const struct pmf_event *ev = t->ev;

	*precise = ev->precise_given ? ev->precise : ev->cls == PMF_EVENT_HARDWARE ? 3 : 0;
	for (;; --*precise) {
		if (open_all(t, period, *precise))
			return true;
		/* Precision that is not there is answered in several ways: only the last
		 * refusal, without any, says what is wrong with the event. */
		if (ev->precise_given || *precise == 0)
			return false;
	}
}

static void say(struct pmf_perf_try *out, const char *text)
{
	snprintf(out->why, sizeof out->why, "%s", text);
}

static void explain(const struct trial *t, struct pmf_perf_try *out)
{
	struct pmf_err err = PMF_ERR_INIT;

	pmf_perf_explain(t->ev, t->errnum, &t->last, t->limits, &err);
	say(out, err.text);
}

static void try_sampling(struct trial *t, uint64_t counted, struct pmf_perf_try *out)
{
	int precise;
	long found;

	if (!open_sampling(t, trial_period(t->ev, counted), &precise)) {
		explain(t, out);
		return;
	}
	out->opens = true;
	out->precise_ip = precise;
	found = run_sampled(t);
	out->counts |= read_sum(t) > 0;
	out->exercised = t->exercised || out->counts;
	out->samples = found > 0 || (found == 0 && !out->exercised);
	if (found < 0)
		snprintf(out->why, sizeof out->why,
			"no memory for a ring of %d pages (%s): kernel.perf_event_mlock_kb and "
			"'ulimit -l' limit it",
			RING_PAGES, strerror((int)-found));
	else if (!out->exercised)
		say(out, "not exercised: it opens for sampling, but the trial cannot make it "
			 "happen");
	else if (found == 0)
		say(out, out->counts ? "counts, but gave no sample in a millisecond of work"
				     : "opens, but counted nothing in a millisecond of work");
}

/* Where the period depends on how often the event happens, or where it may not sample at all. */
static bool count_first(const struct pmf_event *ev)
{
	return ev->cls == PMF_EVENT_HARDWARE || ev->cls == PMF_EVENT_OTHER;
}

void pmf_perf_try_event(const struct pmf_event *ev, struct pmf_perf_try *out)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_perf_limits l;
	struct trial t;
	uint64_t counted = 0;

	memset(out, 0, sizeof *out);
	pmf_perf_limits_read(&l);
	if (pmf_perf_refuse_kernel_only(ev, &l, &err)) {
		say(out, err.text);
		return;
	}
	trial_init(&t, ev, &l);
	if (count_first(ev) && open_all(&t, 0, 0)) {
		run(&t);
		counted = read_sum(&t);
		out->opens = true;
		out->counts = counted > 0;
		out->exercised = t.exercised || out->counts;
		close_all(&t);
	}
	/* A tracepoint costs tens of milliseconds to close: one open must do. */
	if (out->opens || !count_first(ev))
		try_sampling(&t, counted, out);
	else
		explain(&t, out);
	out->user_only = t.user_only && out->opens;
	trial_release(&t);
}

/* Of an event that several PMUs count, one does at any time: their times add up. */
static bool always_ran(const struct trial *t)
{
	struct {
		uint64_t value, enabled_ns, running_ns;
	} r;
	uint64_t enabled_ns = 0, running_ns = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (read(t->fds[i], &r, sizeof r) != (ssize_t)sizeof r)
			return false;
		enabled_ns = PMF_MAX(enabled_ns, r.enabled_ns);
		running_ns += r.running_ns;
	}
	/* Who waits for a counter loses far more than the time in which an event is switched on. */
	return running_ns > 0 && running_ns >= enabled_ns - enabled_ns / 100;
}

bool pmf_perf_together(const struct pmf_event *const *events, size_t n)
{
	struct trial *trials = pmf_calloc(n, sizeof *trials);
	struct pmf_perf_limits l;
	bool fit = true;
	int precise;

	pmf_perf_limits_read(&l);
	for (size_t i = 0; i < n; i++) {
		trial_init(&trials[i], events[i], &l);
		trials[i].read_format =
			PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	}
	for (size_t i = 0; i < n && fit; i++)
		fit = open_sampling(&trials[i], SELDOM, &precise);
	if (fit) {
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < trials[i].n; k++)
				ioctl(trials[i].fds[k], PERF_EVENT_IOC_ENABLE, 0);
		touch(WORK_BYTES, 64, pmf_clock_ns(CLOCK_MONOTONIC) + TOGETHER_NS);
	}
	for (size_t i = 0; i < n && fit; i++)
		fit = always_ran(&trials[i]);
	for (size_t i = 0; i < n; i++)
		trial_release(&trials[i]);
	free(trials);
	return fit;
}

bool pmf_perf_has_pmu(struct pmf_err *why)
{
	struct pmf_event_list list;
	struct pmf_perf_limits l;
	struct trial t;
	bool has = false;

	pmf_event_list_init(&list);
	if (pmf_event_list_add(&list, "cycles", NULL, NULL, why) != 0)
		return false;
	pmf_perf_limits_read(&l);
	trial_init(&t, &list.events[0], &l);
	/* For sampling: a PMU that cannot interrupt serves no profile. */
	if (open_all(&t, 1000000, 0)) {
		run(&t);
		has = read_sum(&t) > 0;
		if (!has)
			pmf_err_set(why, PMF_EUNSUP,
				"the cycles counter opens, but counts nothing over a millisecond "
				"of work (a virtual machine without a real PMU?)");
	} else if (t.errnum == ENOENT || t.errnum == EOPNOTSUPP) {
		pmf_err_set(why, PMF_EUNSUP,
			"this machine has no hardware PMU (a virtual machine without one?)");
	} else {
		pmf_perf_explain(t.ev, t.errnum, &t.last, &l, why);
	}
	trial_release(&t);
	pmf_event_list_release(&list);
	return has;
}

bool pmf_perf_can_open(void *ctx, const struct pmf_event *ev, struct pmf_err *why)
{
	uint32_t type = ev->attrs[0].attr.type;
	struct pmf_perf_limits l;
	struct trial t;
	int precise;
	bool ok;

	(void)ctx;
	/* A PMU that opens and never counts is none. */
	if ((type == PERF_TYPE_HARDWARE || type == PERF_TYPE_HW_CACHE) && !pmf_perf_has_pmu(why))
		return false;
	pmf_perf_limits_read(&l);
	if (pmf_perf_refuse_kernel_only(ev, &l, why))
		return false;
	trial_init(&t, ev, &l);
	ok = open_sampling(&t, 1000000, &precise);
	if (!ok)
		pmf_perf_explain(ev, t.errnum, &t.last, &l, why);
	trial_release(&t);
	return ok;
}
