/* One run: the command, its records while it runs, its totals after it. */
#include "collect_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/go_table.h"
#include "pmuflame/mem.h"
#include "pmuflame/python.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RING_MAX_BYTES = 16 << 20,
	RING_MIN_BYTES = 1 << 20,
	RINGS_TOTAL_BYTES = 256 << 20, /* over all CPUs, where the limits allow it */
	PROGRESS_NS = 200000000,
	KILL_AFTER_NS_PER_S = 1000000000,
	KILL_AFTER_S = 5,
	WAIT_MS = 50,
	HIGHEST_PRIORITY = -20,
	CPUS_PER_READER = 32,
};

/* How a thread is scheduled. */
struct schedule {
	int policy, nice;
	struct sched_param param;
};

static size_t wanted_ring_bytes(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t bytes = RING_MAX_BYTES;

	while (bytes > RING_MIN_BYTES && bytes * (size_t)PMF_MAX(cpus, 1) > RINGS_TOTAL_BYTES)
		bytes /= 2;
	return bytes;
}

/* One thread unwinds what this many CPUs sample at 10 kHz (docs/benchmarks.md). */
static size_t readers_for(int cpus)
{
	return (size_t)(PMF_MAX(cpus, 1) + CPUS_PER_READER - 1) / CPUS_PER_READER;
}

void pmf_raise_nofile(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* Where sixty threads of the command want every CPU, or other sessions do, a reader of their own
 * priority waits for its turn for longer than the rings last. So it takes its turn first, and gives
 * that up once the command has exited: real-time policy, else nice(1), else (no CAP_SYS_NICE) as it
 * was. What a policy takes from the command is what reading its samples takes anyway, and the kernel
 * leaves others a twentieth of every second (sched(7), sched_rt_runtime_us). Called after the fork,
 * so the command keeps its own, and before reader threads start, which inherit it. */
static void raise_priority(const struct pmf_event_list *list, struct schedule *before)
{
	bool hardware = false;
	const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};

	before->policy = sched_getscheduler(0);
	sched_getparam(0, &before->param);
	before->nice = getpriority(PRIO_PROCESS, 0);
	/* Not with a PMU's counters: a task that is preempted at each of our wake-ups was seen to count for
	 * over a thousandth less than it ran (arm64, 2 CPUs), as if counters had taken turns. */
	for (size_t e = 0; e < list->n; e++)
		hardware |= list->events[e].cls == PMF_EVENT_HARDWARE;
	if (hardware || sched_setscheduler(0, SCHED_RR, &lowest))
		setpriority(PRIO_PROCESS, 0, HIGHEST_PRIORITY);
}

static void restore_priority(const struct schedule *before)
{
	sched_setscheduler(0, before->policy, &before->param);
	setpriority(PRIO_PROCESS, 0, before->nice);
}

static void describe_host(struct pmf_profile *p)
{
	struct utsname u;

	p->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (uname(&u) == 0)
		p->host_note = pmf_asprintf("%s, Linux %s, %d CPU%s", u.machine, u.release, p->cpus,
			p->cpus == 1 ? "" : "s");
}

/* What the kernel granted, into the ledger; and what the unsampled share of each event is. */
static void note_granted(struct pmf_stacks *s, const struct pmf_source *src)
{
	struct pmf_profile *p = s->profile;
	bool forced = false;

	for (size_t e = 0; e < s->list->n; e++) {
		const struct pmf_perf_granted *g = pmf_source_live_granted(src, e);

		p->events[e].precise_ip = g->precise_ip;
		p->events[e].exclude_kernel = g->exclude_kernel;
		forced |= g->exclude_kernel_forced;
		/* A clock runs on in the kernel where its samples are dropped. */
		if (s->list->events[e].cls == PMF_EVENT_CLOCK && g->exclude_kernel) {
			const char *name = g->exclude_kernel_forced ? "[kernel time, not permitted]"
								    : "[kernel time, excluded]";

			p->events[e].unsampled_name = pmf_strdup(name);
			s->unsampled_frames[e] =
				pmf_profile_frame_named(p, PMF_FRAME_SPECIAL, name);
		}
		if (s->list->events[e].cls == PMF_EVENT_FAULT && g->exclude_kernel)
			pmf_profile_note(p, PMF_NOTE_INFO, (int)e,
				"'%s' counts user-mode faults only", p->events[e].label);
	}
	if (forced)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"user space only: this user may not sample the kernel; 'sysctl "
			"kernel.perf_event_paranoid=1' or CAP_PERFMON permits it");
	p->ring_bytes = src->facts.ring_bytes;
}

/* Another unwinder than usual may see other stacks. */
static void note_unwinder(struct pmf_profile *p, enum pmf_unwind_by by)
{
	static const char *const how[] = {[PMF_UNWIND_BY_CFI] = "our own reading of CFI alone",
		[PMF_UNWIND_BY_LIBUNWIND] = "libunwind",
		[PMF_UNWIND_BY_FP] = "frame pointers alone"};

	if (by != PMF_UNWIND_BY_AUTO)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"user stacks were unwound by %s (--unwinder)", how[by]);
}

struct run {
	struct pmf_launch launch;
	int wake_fd; /* readable when launch.signal_fd or a greeting is */
	struct pmf_source *src;
	struct pmf_stacks stacks;
	struct pmf_shards shards;
	struct pmf_runtimes runtimes;
	const struct pmf_collect_opts *opts;
	uint64_t *samples;                       /* per event, for the progress */
	uint64_t start_ns, progress_ns, term_ns; /* term_ns: when SIGTERM was sent, 0 before */
};

static void tell_progress(struct run *r)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);
	struct pmf_progress progress = {
		r->stacks.profile, r->samples, now - r->start_ns, r->stacks.lost_records};

	if (!r->opts->progress || now - r->progress_ns < PROGRESS_NS)
		return;
	r->progress_ns = now;
	for (size_t e = 0; e < r->stacks.list->n; e++)
		r->samples[e] = pmf_shards_samples(&r->shards, e);
	r->opts->progress(r->opts->ctx, &progress);
}

/* --duration: end the command, first politely. False if it may not be ended: the run is over then,
 * and a set-uid command goes on without us. */
static bool check_duration(struct run *r, struct pmf_collect_result *res)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);

	if (!r->opts->duration_ns || now - r->start_ns < r->opts->duration_ns)
		return true;
	if (!r->term_ns) {
		r->term_ns = now;
		res->duration_over = true;
		return kill(r->launch.pid, SIGTERM) == 0 || errno != EPERM;
	}
	if (now - r->term_ns >= (uint64_t)KILL_AFTER_S * KILL_AFTER_NS_PER_S)
		kill(r->launch.pid, SIGKILL);
	return true;
}

/* --delay: begin to count. */
static void check_delay(struct run *r)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);
	char text[PMF_UNITS_MAX];

	if (!r->stacks.not_started || now - r->start_ns < r->opts->delay_ns)
		return;
	pmf_perf_start(pmf_source_live_session(r->src));
	r->stacks.not_started = false;
	pmf_profile_note(r->stacks.profile, PMF_NOTE_INFO, -1,
		"counting began %s after the command's start (--delay)",
		pmf_format_ns(text, now - r->start_ns));
}

static int wait_ms(const struct run *r)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC), until, left;

	if (r->stacks.not_started)
		until = r->start_ns + r->opts->delay_ns;
	else if (r->opts->duration_ns && !r->term_ns)
		until = r->start_ns + r->opts->duration_ns;
	else
		return WAIT_MS;
	left = until > now ? (until - now) / 1000000 + 1 : 0;
	return (int)PMF_MIN(left, (uint64_t)WAIT_MS);
}

static int record_loop(struct run *r, struct pmf_collect_result *res, struct pmf_err *err)
{
	while (!r->launch.exited) {
		int ret = r->src->ops->wait(r->src, r->wake_fd, wait_ms(r), err);

		if (ret < 0)
			return ret;
		check_delay(r);
		if (ret > 0)
			pmf_launch_signals(&r->launch);
		if (r->stacks.python) {
			pmf_py_greetings(r->stacks.python, r->src, ret > 0);
			pmf_py_read(r->stacks.python);
		}
		ret = r->src->ops->drain(r->src, false, pmf_shards_record, &r->shards);
		if (ret < 0)
			return pmf_err_set(err, PMF_EIO, "cannot go on reading the rings");
		pmf_shards_ask(&r->shards);
		if (r->stacks.raw)
			pmf_perf_data_round(r->stacks.raw);
		if (!r->launch.exited && !check_duration(r, res))
			break;
		tell_progress(r);
	}
	return 0;
}

static void note_end(struct pmf_profile *p, const struct pmf_collect_result *res)
{
	if (res->duration_over)
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "the command was ended by --duration");
	else if (WIFSIGNALED(res->wait_status))
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "the command was ended by signal %d (%s)",
			WTERMSIG(res->wait_status), strsignal(WTERMSIG(res->wait_status)));
}

static int open_wake_fd(struct run *r, struct pmf_err *err)
{
	struct epoll_event ready = {.events = EPOLLIN};

	r->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->wake_fd < 0 ||
		epoll_ctl(r->wake_fd, EPOLL_CTL_ADD, r->launch.signal_fd, &ready) < 0 ||
		(r->stacks.python && epoll_ctl(r->wake_fd, EPOLL_CTL_ADD,
					     pmf_py_fd(r->stacks.python), &ready) < 0))
		return pmf_err_errno(err, PMF_EIO, errno, "cannot wait for the command");
	return 0;
}

/* Agents for the Python processes of the command, unless they are not wanted or cannot be had:
 * automatically, that is a note, not a failure. */
static int prepare_python(struct run *r, struct pmf_err *err)
{
	const struct pmf_collect_opts *o = r->opts;
	struct pmf_py_opts po = {.lines = o->python_lines, .interpreter = o->interpreter};
	struct pmf_perf_features features;
	struct pmf_err why = PMF_ERR_INIT;
	char *path;
	bool may;

	if (o->python == PMF_PYTHON_NO)
		return 0;
	path = pmf_find_on_path(o->argv[0]);
	may = path && pmf_python_may_preload(path);
	free(path);
	if (o->call_graph == PMF_UNWIND_NONE || o->call_graph == PMF_UNWIND_FP)
		pmf_err_set(&why, PMF_EUNSUP,
			"Python frames need stacks that are unwound by CFI (--call-graph)");
	else if (pmf_perf_features_probe(&features, &why) == 0 && !features.sigtrap)
		pmf_err_set(&why, PMF_EUNSUP,
			"Python frames need events that signal to their thread (Linux 5.13)");
	else if (o->readers > 1)
		pmf_err_set(&why, PMF_EUSAGE,
			"Python frames are matched in one thread, and --readers asks for more");
	else if (!may)
		pmf_err_set(&why, PMF_EUNSUP,
			"the agent for Python cannot be preloaded into '%s': only into 64-bit "
			"programs of glibc without sanitizers",
			o->argv[0]);
	else if (why.status == PMF_OK)
		pmf_py_new(&r->stacks.python, &po, &r->stacks, &why);
	if (why.status != PMF_OK && o->python == PMF_PYTHON_YES) {
		pmf_err_set(err, why.status, "%s", why.text);
		return why.status;
	}
	if (why.status != PMF_OK && why.status != PMF_EUNSUP)
		pmf_profile_note(
			r->stacks.profile, PMF_NOTE_INFO, -1, "no Python frames: %s", why.text);
	return 0;
}

/* The command's environment: with the agent for Python, and what makes runtimes name their code. */
static char *const *prepare_env(struct run *r)
{
	char *const *env = r->stacks.python ? pmf_py_env(r->stacks.python) : environ;

	if (!r->opts->jit || r->opts->call_graph == PMF_UNWIND_NONE)
		return env;
	pmf_runtimes_init(&r->runtimes, r->opts->argv, env);
	r->stacks.generated.own_maps = r->runtimes.node;
	return r->runtimes.env;
}

/* What agents write is matched in one thread (docs/adr/0004), and one writes --raw. */
static size_t choose_readers(struct run *r)
{
	struct pmf_profile *p = r->stacks.profile;
	size_t wanted = r->opts->readers ? r->opts->readers : readers_for(p->cpus);

	if (r->opts->raw_path)
		return 1;
	if (!r->stacks.python)
		return wanted;
	if (wanted > 1)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"one thread reads the rings of all %d CPUs, for Python frames; '--python "
			"no' has %zu",
			p->cpus, wanted);
	return 1;
}

/* Go's runtime goes from stack to stack, and a dump holds one. Its frame pointers lead on through all,
 * while the kernel is there to follow them. (perf report would draw both, one upon the other.) */
static bool follow_frame_pointers(const struct run *r)
{
	char *path;
	bool go;

	if (r->opts->call_graph != PMF_UNWIND_AUTO || r->opts->raw_path)
		return r->opts->call_graph == PMF_UNWIND_FP;
	path = pmf_find_on_path(r->opts->argv[0]);
	go = path && pmf_go_is_program(path);
	free(path);
	return go;
}

static int open_source(struct run *r, const struct pmf_event_list *list, struct pmf_err *err)
{
	struct pmf_perf_opts po = {.pid = r->launch.pid,
		.inherit = r->opts->inherit,
		.user_stacks = r->opts->call_graph == PMF_UNWIND_AUTO ||
			       r->opts->call_graph == PMF_UNWIND_DWARF,
		.stack_bytes = r->opts->stack_bytes,
		.callchain_kernel = r->opts->call_graph != PMF_UNWIND_NONE,
		.callchain_user = follow_frame_pointers(r),
		.readers = choose_readers(r),
		.attachable = r->stacks.python != NULL,
		.data_maps = r->opts->raw_path != NULL,
		.delayed = r->opts->delay_ns > 0,
		.ring_bytes = wanted_ring_bytes()};
	int ret = pmf_source_live(&r->src, list, &po, err);

	if (ret)
		return ret;
	note_granted(&r->stacks, r->src);
	pmf_shards_init(&r->shards, &r->stacks, r->opts->unwind_by, r->src->facts.readers);
	if (r->opts->raw_path)
		ret = pmf_raw_open(&r->stacks.raw, r->opts, list, r->src, err);
	if (ret)
		return ret;
	if (r->stacks.python)
		pmf_py_start(r->stacks.python, pmf_source_live_session(r->src), r->launch.pid);
	return open_wake_fd(r, err);
}

static int run_command(struct run *r, struct pmf_collect_result *res, struct pmf_err *err)
{
	struct pmf_profile *p = r->stacks.profile;
	int ret;

	p->start_unix_ns = pmf_clock_ns(CLOCK_REALTIME);
	r->start_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	ret = pmf_launch_go(&r->launch, &res->exec_errno, err);
	if (ret || res->exec_errno)
		return ret;
	ret = record_loop(r, res, err);
	res->readers = r->src->facts.readers;
	res->end_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	p->duration_ns = res->end_ns - r->start_ns;
	res->wait_status = r->launch.wait_status;
	if (ret)
		return ret;
	r->src->ops->stop(r->src);
	if (r->stacks.python)
		pmf_py_read(r->stacks.python);
	ret = r->src->ops->drain(r->src, true, pmf_shards_record, &r->shards);
	if (ret < 0)
		return pmf_err_set(err, PMF_EIO, "cannot read the rest of the rings");
	pmf_shards_merge(&r->shards);
	if (r->stacks.python)
		pmf_py_end(r->stacks.python);
	if (r->launch.exited)
		note_end(p, res);
	else
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"--duration is over, and the command runs on: this user may not end it");
	pmf_dropped_note(p, r->opts->argv[0]);
	pmf_runtimes_note(&r->runtimes, p, r->stacks.generated.saw_node);
	return pmf_totals_end(&r->stacks, r->src, r->launch.pid, err);
}

int pmf_collect_run(struct pmf_profile *p, const struct pmf_event_list *list,
	const struct pmf_collect_opts *opts, struct pmf_collect_result *res, struct pmf_err *err)
{
	const struct pmf_image_search search = {
		.cache = opts->cache, .debug_root = "/usr/lib/debug"};
	struct run *r = pmf_zalloc(sizeof *r);
	struct schedule before;
	int ret;

	memset(res, 0, sizeof *res);
	r->opts = opts;
	pmf_profile_init(p, list->n);
	p->start_unix_ns = pmf_clock_ns(CLOCK_REALTIME);
	pmf_totals_begin(p, list);
	describe_host(p);
	pmf_stacks_init(
		&r->stacks, p, list, pmf_arch_native(), opts->call_graph, opts->unwind_by, true);
	note_unwinder(p, opts->unwind_by);
	r->samples = pmf_calloc(list->n, sizeof *r->samples);
	r->stacks.stack_bytes = opts->stack_bytes;
	r->stacks.inherit = opts->inherit;
	r->stacks.not_started = opts->delay_ns > 0;
	r->wake_fd = -1;
	ret = prepare_python(r, err);
	if (ret == 0)
		ret = pmf_launch_start(&r->launch, opts->argv, prepare_env(r), err);
	if (ret == 0) {
		pmf_raise_nofile();
		/* Its thread is to have our usual priority. */
		r->stacks.lines = pmf_lines_new(&search, opts->inlines, NULL);
		raise_priority(list, &before);
		ret = open_source(r, list, err);
		if (ret == 0)
			ret = run_command(r, res, err);
		restore_priority(&before);
		pmf_launch_end(&r->launch);
	}
	if (ret == 0 && !res->exec_errno) {
		if (r->stacks.raw)
			pmf_perf_data_commit(r->stacks.raw, &res->raw);
		r->stacks.raw = NULL;
		pmf_naming_run(&r->stacks, opts->naming, opts->ctx);
	}
	pmf_perf_data_abort(r->stacks.raw);
	if (r->src)
		r->src->ops->free(r->src);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	pmf_py_free(r->stacks.python);
	pmf_runtimes_release(&r->runtimes);
	pmf_shards_release(&r->shards);
	pmf_stacks_release(&r->stacks);
	if (ret)
		pmf_profile_release(p);
	free(r->samples);
	free(r);
	return ret;
}

int pmf_collect_source(struct pmf_profile *p, struct pmf_source *src,
	const struct pmf_event_list *list, enum pmf_unwind_mode call_graph,
	const struct pmf_arch *arch, struct pmf_err *err)
{
	struct pmf_stacks *s = pmf_zalloc(sizeof *s);
	struct pmf_shards shards;
	int ret;

	pmf_profile_init(p, list->n);
	pmf_totals_begin(p, list);
	pmf_stacks_init(s, p, list, arch, call_graph, PMF_UNWIND_BY_AUTO, src->facts.live);
	pmf_shards_init(&shards, s, PMF_UNWIND_BY_AUTO, src->facts.readers);
	ret = src->ops->drain(src, true, pmf_shards_record, &shards);
	src->ops->stop(src);
	pmf_shards_merge(&shards);
	if (ret == 0)
		ret = pmf_totals_end(s, src, 0, err);
	if (ret == 0)
		pmf_naming_run(s, NULL, NULL);
	pmf_shards_release(&shards);
	pmf_stacks_release(s);
	if (ret)
		pmf_profile_release(p);
	free(s);
	return ret;
}
