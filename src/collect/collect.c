/* What a run needs before it and after it. */
#include "run.h"

#include "pmuflame/buf.h"
#include "pmuflame/clock.h"
#include "pmuflame/go_table.h"
#include "pmuflame/mem.h"
#include "pmuflame/python.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	RING_MAX_BYTES = 16 << 20,
	RING_MIN_BYTES = 1 << 20,
	RINGS_TOTAL_BYTES = 256 << 20, /* over all CPUs, where the limits allow it */
	CPUS_PER_READER = 32,
	RESERVE_BYTES = 16 << 20, /* to end a run with that has used up all memory */
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

/* May samples stand in the kernel? */
static bool samples_kernel(const struct pmf_event_list *list)
{
	struct pmf_perf_limits limits;
	bool asked = false;

	for (size_t e = 0; e < list->n; e++)
		asked |= !list->events[e].attrs[0].attr.exclude_kernel;
	pmf_perf_limits_read(&limits);
	return asked && pmf_perf_kernel_permitted(&limits);
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
		p->events[e].cpu_timer = g->cpu_timer;
		forced |= g->exclude_kernel_forced;
		/* A clock runs on in the kernel where its samples are dropped. */
		if (s->list->events[e].cls == PMF_EVENT_CLOCK && g->exclude_kernel) {
			const char *name = g->exclude_kernel_forced ? "[kernel time, not permitted]"
								    : "[kernel time, excluded]";

			p->events[e].unsampled_name = pmf_strdup(name);
			s->unsampled_frames[e] =
				pmf_profile_frame_named(p, PMF_FRAME_SPECIAL, name);
		}
		if (g->cpu_timer)
			pmf_profile_note(p, PMF_NOTE_INFO, (int)e,
				"'%s' was sampled by timers of the CPUs (--timers): its samples share "
				"what the tasks' own clocks counted",
				p->events[e].label);
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

static int open_wake_fd(struct pmf_run *r, struct pmf_err *err)
{
	struct epoll_event ready = {.events = EPOLLIN};

	r->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->wake_fd < 0 ||
		epoll_ctl(r->wake_fd, EPOLL_CTL_ADD, r->launch.signal_fd, &ready) < 0 ||
		(r->stacks.python && pmf_py_fd(r->stacks.python) >= 0 &&
			epoll_ctl(r->wake_fd, EPOLL_CTL_ADD, pmf_py_fd(r->stacks.python), &ready) <
				0))
		return pmf_err_errno(err, PMF_EIO, errno, "cannot wait for the command");
	return 0;
}

/* Can Python frames be had of what is to be recorded, whichever way? */
static void check_python(const struct pmf_collect_opts *o, struct pmf_err *why)
{
	if (o->call_graph == PMF_UNWIND_NONE || o->call_graph == PMF_UNWIND_FP)
		pmf_err_set(why, PMF_EUNSUP,
			"Python frames need stacks that are unwound by CFI (--call-graph)");
	else if (o->readers > 1)
		pmf_err_set(why, PMF_EUSAGE,
			"Python frames are matched in one thread, and --readers asks for more");
}

static int open_agents(struct pmf_run *r, const struct pmf_py_opts *po, struct pmf_err *err)
{
	struct pmf_perf_features features;
	int ret = pmf_perf_features_probe(&features, err);

	if (ret)
		return ret;
	if (!features.sigtrap)
		return pmf_err_set(err, PMF_EUNSUP,
			"Python frames need events that signal to their thread (Linux 5.13)");
	return pmf_py_new(&r->stacks.python, po, &r->stacks, err);
}

/* What runs already has no agent: a BPF program stands in for it, or it is asked to load one. */
static int prepare_attached_python(
	struct pmf_run *r, const struct pmf_py_opts *po, struct pmf_err *err)
{
	const struct pmf_collect_opts *o = r->opts;
	struct pmf_err why = PMF_ERR_INIT, no_bpf = PMF_ERR_INIT, look = PMF_ERR_INIT;
	int asked;

	check_python(o, &why);
	if (why.status == PMF_OK && pmf_py_new_bpf(&r->stacks.python, po, &r->stacks, &no_bpf)) {
		asked = pmf_py_remote_look(&o->who, &look);
		if (asked == 0)
			open_agents(r, po, &why);
		else if (asked == PMF_ENOTFOUND && o->who.target != PMF_PERF_TASKS)
			why = no_bpf;
		else if (asked == PMF_ENOTFOUND && o->python == PMF_PYTHON_AUTO)
			return 0;
		else
			pmf_err_set(&why, look.status, "%s%s%s", look.text,
				no_bpf.status == PMF_EPERM ? ", or attach as root" : "; ",
				no_bpf.status == PMF_EPERM ? "" : no_bpf.text);
	}
	if (why.status == PMF_OK)
		return 0;
	if (o->python == PMF_PYTHON_YES)
		return pmf_err_set(err, why.status, "%s", why.text);
	r->no_python = why;
	return 0;
}

/* What could not be had for processes that ran already matters if one was a Python. */
static void note_no_python(const struct pmf_run *r)
{
	const struct pmf_process_table *t = &r->stacks.table;
	bool found = false;

	for (size_t i = 0; i < t->nr_images && !found; i++)
		found = pmf_starts_with(t->images[i]->name, "python3") ||
			pmf_starts_with(t->images[i]->name, "libpython3");
	if (found && r->no_python.status != PMF_OK)
		pmf_profile_note(r->stacks.profile, PMF_NOTE_WARN, -1,
			"Python processes without Python frames: %s", r->no_python.text);
}

/* Agents for the Python processes of the command, unless they are not wanted or cannot be had:
 * automatically, that is a note, not a failure. */
static int prepare_python(struct pmf_run *r, struct pmf_err *err)
{
	const struct pmf_collect_opts *o = r->opts;
	struct pmf_py_opts po = {.lines = o->python_lines, .interpreter = o->interpreter};
	struct pmf_err why = PMF_ERR_INIT;
	char *path;
	bool may;

	if (o->python == PMF_PYTHON_NO)
		return 0;
	if (pmf_run_is_attached(r))
		return prepare_attached_python(r, &po, err);
	path = pmf_find_on_path(o->argv[0]);
	may = path && pmf_python_may_preload(path);
	free(path);
	check_python(o, &why);
	if (why.status == PMF_OK && !may)
		pmf_err_set(&why, PMF_EUNSUP,
			"the agent for Python cannot be preloaded into '%s': only into 64-bit "
			"programs of glibc without sanitizers",
			o->argv[0]);
	else if (why.status == PMF_OK)
		open_agents(r, &po, &why);
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
static char *const *prepare_env(struct pmf_run *r)
{
	char *const *env = r->stacks.python ? pmf_py_env(r->stacks.python) : environ;

	if (pmf_run_is_attached(r) || !r->opts->jit || r->opts->call_graph == PMF_UNWIND_NONE)
		return env;
	pmf_runtimes_init(&r->runtimes, r->opts->argv, env);
	r->stacks.generated.own_maps = r->runtimes.node;
	return r->runtimes.env;
}

/* What agents write is matched in one thread (docs/adr/0004), and one writes --raw. */
static size_t choose_readers(struct pmf_run *r)
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

static bool is_go(char *path)
{
	bool go = path && pmf_go_is_program(path);

	free(path);
	return go;
}

/* Go's runtime goes from stack to stack, and a dump holds one. Its frame pointers lead on through all,
 * while the kernel is there to follow them. (perf report would draw both, one upon the other.) */
static bool follow_frame_pointers(const struct pmf_run *r)
{
	const struct pmf_collect_who *who = &r->opts->who;
	bool go = false;

	if (r->opts->call_graph != PMF_UNWIND_AUTO || r->opts->raw_path)
		return r->opts->call_graph == PMF_UNWIND_FP;
	if (!pmf_run_is_attached(r))
		return is_go(pmf_find_on_path(r->opts->argv[0]));
	for (size_t i = 0; i < who->nr_pids && !go; i++)
		go = is_go(pmf_asprintf("/proc/%d/exe", (int)who->pids[i]));
	return go;
}

static int start_python(struct pmf_run *r, struct pmf_err *err)
{
	struct pmf_err why = PMF_ERR_INIT;

	if (!r->stacks.python || pmf_py_start(r->stacks.python, pmf_source_live_session(r->src),
					 r->launch.pid, &why) == 0)
		return 0;
	if (r->opts->python == PMF_PYTHON_YES)
		return pmf_err_set(err, why.status, "%s", why.text);
	pmf_py_free(r->stacks.python);
	r->stacks.python = NULL;
	r->no_python = why;
	return 0;
}

static int open_source(struct pmf_run *r, const struct pmf_event_list *list, struct pmf_err *err)
{
	const struct pmf_collect_who *who = &r->opts->who;
	struct pmf_perf_opts po = {.target = who->target,
		.pid = r->launch.pid,
		.pids = who->pids,
		.nr_pids = who->nr_pids,
		.single = who->single,
		/* One reader knows whose samples those of the CPUs' timers are. */
		.timers = !r->opts->timers && r->opts->readers > 1 ? PMF_PERF_TIMERS_TASKS
								   : r->opts->timers,
		.cgroup_fd = r->attach.cgroup_fd,
		.cpus = who->cpus,
		.inherit = r->opts->inherit,
		.user_stacks = r->opts->call_graph == PMF_UNWIND_AUTO ||
			       r->opts->call_graph == PMF_UNWIND_DWARF,
		.stack_bytes = r->opts->stack_bytes,
		.callchain_kernel = r->opts->call_graph != PMF_UNWIND_NONE,
		.callchain_user = follow_frame_pointers(r),
		.readers = choose_readers(r),
		.attachable = r->stacks.python && pmf_py_fd(r->stacks.python) >= 0,
		.data_maps = r->opts->raw_path != NULL,
		.delayed = r->opts->delay_ns > 0,
		.ring_bytes = wanted_ring_bytes()};
	int ret = pmf_source_live(&r->src, list, &po, err);

	if (ret)
		return ret;
	note_granted(&r->stacks, r->src);
	pmf_shards_init(&r->shards, &r->stacks, r->stacks.by, r->src->facts.readers);
	if (r->opts->raw_path)
		ret = pmf_raw_open(&r->stacks.raw, r->opts, list, r->src, err);
	if (ret)
		return ret;
	ret = start_python(r, err);
	return ret ? ret : open_wake_fd(r, err);
}

/* An empty profile, and what is to fill it. */
static void begin(struct pmf_run *r, struct pmf_profile *p, const struct pmf_event_list *list)
{
	const struct pmf_collect_opts *opts = r->opts;

	r->search = (struct pmf_image_search){.cache = opts->cache, .debug_root = "/usr/lib/debug"};
	pmf_profile_init(p, list->n);
	p->start_unix_ns = pmf_clock_ns(CLOCK_REALTIME);
	pmf_totals_begin(p, list);
	describe_host(p);
	pmf_stacks_init(&r->stacks, p, list, pmf_arch_native(), opts->call_graph,
		pmf_stacks_unwind_by(opts->unwind_by, opts->sandbox), true);
	pmf_stacks_use_sandbox(&r->stacks, opts->sandbox, opts->no_sandbox);
	note_unwinder(p, opts->unwind_by);
	r->samples = pmf_calloc(list->n, sizeof *r->samples);
	r->stacks.stack_bytes = opts->stack_bytes;
	r->stacks.inherit = opts->inherit;
	r->stacks.target = opts->who.target;
	r->stacks.not_started = pmf_run_is_attached(r) || opts->delay_ns > 0;
	r->stacks.name_containers = opts->containers;
	if (r->stacks.table.outside && opts->who.target == PMF_PERF_SYSTEM)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"processes outside of this pid namespace (a container's) and idle CPUs are one "
			"frame, for the kernel does not tell them apart in here: run pmuflame with "
			"'--pid host' (docker, podman) or 'hostPID: true' (Kubernetes)");
}

static void release(struct pmf_run *r)
{
	pmf_perf_data_abort(r->stacks.raw);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	pmf_attach_release(&r->attach);
	pmf_py_free(r->stacks.python);
	pmf_runtimes_release(&r->runtimes);
	pmf_parts_wait(r);
	pmf_parts_release(&r->parts);
	pmf_shards_release(&r->shards);
	pmf_stacks_release(&r->stacks);
	free(r->samples);
	free(r);
}

int pmf_collect_run(struct pmf_profile *p, const struct pmf_event_list *list,
	const struct pmf_collect_opts *opts, struct pmf_collect_result *res, struct pmf_err *err)
{
	struct pmf_run *r = pmf_zalloc(sizeof *r);
	int ret;

	memset(res, 0, sizeof *res);
	pmf_mem_reserve(RESERVE_BYTES);
	r->opts = opts;
	begin(r, p, list);
	r->wake_fd = -1;
	ret = pmf_attach_open(&r->attach, &opts->who, err);
	if (ret == 0)
		ret = prepare_python(r, err);
	if (ret == 0)
		ret = pmf_launch_start(&r->launch, opts->argv, prepare_env(r), err);
	if (ret == 0) {
		/* A command may be one that gets rights by its file. */
		if (opts->sandbox && !opts->argv)
			pmf_sandbox_drop_capabilities(r->stacks.python != NULL);
		pmf_raise_nofile();
		/* Its thread is to have our usual priority. */
		if (!pmf_mem_is_limited() && !opts->parts.rotate_ns)
			r->stacks.lines = pmf_lines_new(&r->search, opts->inlines, opts->sandbox);
		if (samples_kernel(list) && !pmf_mem_is_limited())
			pmf_symbolizer_read_ahead(r->stacks.symbols);
		pmf_run_raise_priority(r, list);
		ret = open_source(r, list, err);
		if (ret == 0)
			ret = pmf_run_record(r, res, err);
		if (ret == 0)
			note_no_python(r);
		pmf_run_restore_priority(&r->schedule);
		pmf_launch_end(&r->launch);
	}
	/* The rings are room for names. */
	if (r->src)
		r->src->ops->free(r->src);
	if (ret == 0 && !res->exec_errno) {
		if (r->stacks.raw)
			pmf_perf_data_commit(r->stacks.raw, &res->raw);
		r->stacks.raw = NULL;
		/* Who writes an interval has lines of its own: only the last one needs them here. */
		if (opts->parts.rotate_ns && !pmf_mem_is_limited())
			r->stacks.lines = pmf_lines_new(&r->search, opts->inlines, opts->sandbox);
		pmf_naming_choose(&r->stacks, &r->search, opts);
		pmf_naming_run(&r->stacks, opts->naming, opts->ctx);
	}
	release(r);
	if (ret)
		pmf_profile_release(p);
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
