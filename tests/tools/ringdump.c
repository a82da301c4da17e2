/* ringdump - record the rings of a short real run as a test fixture.
 *
 *	ringdump -o FILE [-s STACK_BYTES] [-f HZ] [-n FAULTS] -- COMMAND [ARG...]
 *
 * Opens page-faults (every FAULTS-th) and cpu-clock (by frequency) on every CPU for COMMAND and
 *what it starts, in the rings of sideband events, as the profiler itself does. The command runs in
 * /tmp with nothing but PATH and LC_ALL in its environment, because stack dumps carry both away.
 *The rings are read once, at the end: they must be large enough for the whole run. The file's
 *format is in tests/unit/ring_fixture.h. This is a tool for who makes fixtures; the tests only read
 *them. */
#include "pmuflame/arch.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NR_EVENTS = 2, RING_PAGES = 256 };

struct options {
	const char *out;
	char **command;
	unsigned long stack_bytes, freq_hz, fault_period;
};

struct cpu_ring {
	int cpu;
	struct perf_event_mmap_page *page;
	int fds[1 + NR_EVENTS]; /* sideband first */
};

/* In this order because of inherit_stat: when two tasks with the same events switch, the kernel
 * (6.3 to 6.18 at least, perf_event_sync_stat) swaps their counts pairwise along two lists, of
 * which the child's is sorted by PMU and the parent's by opening. The dummy and page-faults share a
 * PMU. */
static const char *const event_names[NR_EVENTS] = {"page-faults", "cpu-clock"};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "ringdump: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct perf_event_attr attr_common(void)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.type = PERF_TYPE_SOFTWARE,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_CPU,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING |
			       PERF_FORMAT_ID | PERF_FORMAT_LOST,
		.disabled = 1,
		.inherit = 1,
		.inherit_stat = 1,
		.enable_on_exec = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}

static struct perf_event_attr attr_sideband(void)
{
	struct perf_event_attr a = attr_common();

	a.config = PERF_COUNT_SW_DUMMY;
	a.mmap = a.mmap2 = a.build_id = a.comm = a.comm_exec = a.task = 1;
	a.inherit_stat = 0; /* it counts nothing: no READ records */
	return a;
}

static struct perf_event_attr attr_event(size_t event, const struct options *o)
{
	struct perf_event_attr a = attr_common();

	a.sample_type |= PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |
			 PERF_SAMPLE_STACK_USER;
	a.exclude_callchain_user = 1;
	a.sample_regs_user = pmf_arch_native()->user_regs;
	a.sample_stack_user = (uint32_t)o->stack_bytes;
	if (event == 1) {
		a.config = PERF_COUNT_SW_CPU_CLOCK;
		a.sample_type |= PERF_SAMPLE_PERIOD;
		a.freq = 1;
		a.sample_freq = o->freq_hz;
	} else {
		/* With PERF_SAMPLE_PERIOD the kernel would sample every fault. */
		a.config = PERF_COUNT_SW_PAGE_FAULTS;
		a.sample_period = o->fault_period;
	}
	return a;
}

static void write_layout(FILE *f, int fd, long event, const struct perf_event_attr *a)
{
	uint64_t id;
	char number[16] = "-";

	if (ioctl(fd, PERF_EVENT_IOC_ID, &id) < 0)
		die("cannot ask for an event's id");
	if (event >= 0)
		snprintf(number, sizeof number, "%ld", event);
	fprintf(f, "layout %" PRIu64 " %s 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 " %" PRIu64 "\n",
		id, number, (uint64_t)a->sample_type, (uint64_t)a->read_format,
		(uint64_t)a->sample_regs_user, a->freq ? 0 : (uint64_t)a->sample_period);
}

static int open_one(struct perf_event_attr *a, pid_t pid, int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, a, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		die("cannot open an event");
	return fd;
}

static void open_cpu(struct cpu_ring *r, pid_t pid, const struct options *o, FILE *f)
{
	struct perf_event_attr a = attr_sideband();
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	r->fds[0] = open_one(&a, pid, r->cpu);
	write_layout(f, r->fds[0], -1, &a);
	r->page = mmap(NULL, (1 + RING_PAGES) * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		r->fds[0], 0);
	if (r->page == MAP_FAILED)
		die("cannot map a ring");
	for (size_t e = 0; e < NR_EVENTS; e++) {
		a = attr_event(e, o);
		r->fds[1 + e] = open_one(&a, pid, r->cpu);
		write_layout(f, r->fds[1 + e], (long)e, &a);
		if (ioctl(r->fds[1 + e], PERF_EVENT_IOC_SET_OUTPUT, r->fds[0]) < 0)
			die("cannot redirect an event into the ring");
	}
}

static void write_ring(FILE *f, const struct cpu_ring *r)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);

	if (head > r->page->data_size - 65536) {
		fprintf(stderr, "ringdump: the ring of CPU %d is full: run something shorter\n",
			r->cpu);
		exit(1);
	}
	fprintf(f, "ring %d %" PRIu64 "\n", r->cpu, head);
	fwrite((const char *)r->page + r->page->data_offset, 1, head, f);
	fputc('\n', f);
}

/* A child that waits for a byte on the pipe whose end *go_fd gets, then becomes the command. */
static pid_t start(const struct options *o, int *go_fd)
{
	static char path[] = "PATH=/usr/bin:/bin", locale[] = "LC_ALL=C";
	static char *const env[] = {path, locale, NULL};
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		die("cannot start a child");
	if (pid == 0) {
		close(fds[1]);
		if (chdir("/tmp") < 0 || read(fds[0], &c, 1) != 1)
			_exit(127);
		close(fds[0]);
		execve(o->command[0], o->command, env);
		_exit(127);
	}
	close(fds[0]);
	*go_fd = fds[1];
	return pid;
}

static void record(const struct options *o, FILE *f)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), go_fd, status = 0;
	struct cpu_ring *rings = pmf_calloc((size_t)cpus, sizeof *rings);
	pid_t pid = start(o, &go_fd);

	fprintf(f, "pmuflame-ring 1\narch %s\ncommand", pmf_arch_native()->name);
	for (char **arg = o->command; *arg; arg++)
		fprintf(f, " %s", *arg);
	fputc('\n', f);
	for (size_t e = 0; e < NR_EVENTS; e++)
		fprintf(f, "event %zu %s\n", e, event_names[e]);
	for (int i = 0; i < cpus; i++) {
		rings[i].cpu = i;
		open_cpu(&rings[i], pid, o, f);
	}
	if (write(go_fd, "g", 1) != 1 || waitpid(pid, &status, 0) != pid)
		die("cannot run the child");
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 127) {
		fprintf(stderr, "ringdump: '%s' did not run\n", o->command[0]);
		exit(1);
	}
	for (int i = 0; i < cpus; i++)
		write_ring(f, &rings[i]);
	fputs("end\n", f);
	free(rings);
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "+o:s:f:n:")) != -1) {
		if (c == 'o')
			o->out = optarg;
		else if (c == 's')
			o->stack_bytes = strtoul(optarg, NULL, 10);
		else if (c == 'f')
			o->freq_hz = strtoul(optarg, NULL, 10);
		else if (c == 'n')
			o->fault_period = strtoul(optarg, NULL, 10);
		else
			return false;
	}
	o->command = argv + optind;
	return o->out && o->command[0] && o->stack_bytes % 8 == 0 && o->stack_bytes <= 32768;
}

int main(int argc, char **argv)
{
	struct options o = {.stack_bytes = 1024, .freq_hz = 997, .fault_period = 5};
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;

	if (!parse_options(argc, argv, &o)) {
		fputs("usage: ringdump -o FILE [-s STACK_BYTES] [-f HZ] [-n FAULTS] -- "
		      "/PATH/TO/COMMAND [ARG...]\n",
			stderr);
		return 2;
	}
	if (pmf_outfile_open(&of, o.out, &err) == 0) {
		record(&o, of.f);
		if (pmf_outfile_commit(&of, &err) == 0)
			return 0;
	}
	fprintf(stderr, "ringdump: %s\n", err.text);
	return 1;
}
