/* One run: its records while it lasts, its totals after it. */
#include "run.h"

#include "pmuflame/clock.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
	PROGRESS_NS = 200000000,
	KILL_AFTER_NS_PER_S = 1000000000,
	KILL_AFTER_S = 5,
	WAIT_MS = 50,
	HIGHEST_PRIORITY = -20,
};

bool pmf_run_is_attached(const struct pmf_run *r)
{
	return r->opts->who.target != PMF_PERF_COMMAND;
}

void pmf_run_raise_priority(struct pmf_run *r, const struct pmf_event_list *list)
{
	struct pmf_schedule *before = &r->schedule;
	const struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};
	/* Which preempts who runs where we ran last, though another CPU be idle: a server's clients then wait for
	 * both (docs/benchmarks.md). */
	bool real_time = !pmf_run_is_attached(r);

	before->policy = sched_getscheduler(0);
	sched_getparam(0, &before->param);
	before->nice = getpriority(PRIO_PROCESS, 0);
	/* Not with a PMU's counters: a task that is preempted at each of our wake-ups was seen to count for
	 * over a thousandth less than it ran (arm64, 2 CPUs), as if counters had taken turns. */
	for (size_t e = 0; e < list->n; e++)
		real_time &= list->events[e].cls != PMF_EVENT_HARDWARE;
	if (!real_time || sched_setscheduler(0, SCHED_RR, &lowest))
		setpriority(PRIO_PROCESS, 0, HIGHEST_PRIORITY);
}

void pmf_run_restore_priority(const struct pmf_schedule *before)
{
	sched_setscheduler(0, before->policy, &before->param);
	setpriority(PRIO_PROCESS, 0, before->nice);
}

static void tell_progress(struct pmf_run *r)
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

/* --duration: end the command, first politely. False if the run is over: nothing was started, or a
 * set-uid command, which may not be ended, goes on without us. */
static bool check_duration(struct pmf_run *r, struct pmf_collect_result *res)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);

	if (!r->opts->duration_ns || now - r->start_ns < r->opts->duration_ns)
		return true;
	if (!r->term_ns) {
		r->term_ns = now;
		res->duration_over = true;
		return r->launch.pid && (kill(r->launch.pid, SIGTERM) == 0 || errno != EPERM);
	}
	if (now - r->term_ns >= (uint64_t)KILL_AFTER_S * KILL_AFTER_NS_PER_S)
		kill(r->launch.pid, SIGKILL);
	return true;
}

/* --delay: begin to count. */
static void check_delay(struct pmf_run *r)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);
	char text[PMF_UNITS_MAX];

	if (!r->stacks.not_started || now - r->start_ns < r->opts->delay_ns)
		return;
	pmf_perf_start(pmf_source_live_session(r->src));
	if (pmf_run_is_attached(r) && pmf_attach_has_idle(&r->attach))
		pmf_shards_idle(&r->shards, r->opts->who.cpus);
	r->stacks.not_started = false;
	if (r->opts->delay_ns)
		pmf_profile_note(r->stacks.profile, PMF_NOTE_INFO, -1,
			"counting began %s after the %s (--delay)",
			pmf_format_ns(text, now - r->start_ns),
			pmf_run_is_attached(r) ? "start" : "command's start");
}

/* What was recorded so far is to be named and written yet. */
static void check_memory(struct pmf_run *r)
{
	char text[PMF_UNITS_MAX];

	if (r->out_of_memory || !pmf_mem_is_low())
		return;
	r->out_of_memory = true;
	r->src->ops->stop(r->src);
	pmf_idle_look(&r->stacks.idle);
	pmf_profile_note(r->stacks.profile, PMF_NOTE_WARN, -1,
		"memory ran out %s after the start: what came later was not recorded",
		pmf_format_ns(text, pmf_clock_ns(CLOCK_MONOTONIC) - r->start_ns));
}

static int wait_ms(const struct pmf_run *r)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC), until = pmf_parts_due(&r->parts), left;

	if (r->stacks.not_started)
		until = PMF_MIN(until, r->start_ns + r->opts->delay_ns);
	else if (r->opts->duration_ns && !r->term_ns)
		until = PMF_MIN(until, r->start_ns + r->opts->duration_ns);
	left = until > now ? (until - now) / 1000000 + 1 : 0;
	return (int)PMF_MIN(left, (uint64_t)WAIT_MS);
}

static bool is_over(struct pmf_run *r)
{
	if (r->launch.pid)
		return r->launch.exited;
	return r->launch.stopped || r->out_of_memory || pmf_attach_over(&r->attach);
}

static int record_loop(struct pmf_run *r, struct pmf_collect_result *res, struct pmf_err *err)
{
	while (!is_over(r)) {
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
		check_memory(r);
		if (r->stacks.raw)
			pmf_perf_data_round(r->stacks.raw);
		if (!r->launch.exited && !check_duration(r, res))
			break;
		if (!is_over(r))
			pmf_parts_step(r);
		tell_progress(r);
	}
	return 0;
}

static void note_end(struct pmf_run *r, const struct pmf_collect_result *res)
{
	struct pmf_profile *p = r->stacks.profile;

	if (!r->launch.pid && !res->duration_over && !r->launch.stopped && !r->out_of_memory)
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "recording ended when all targets had");
	else if (!r->launch.pid)
		return;
	else if (!r->launch.exited)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"--duration is over, and the command runs on: this user may not end it");
	else if (res->duration_over)
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "the command was ended by --duration");
	else if (WIFSIGNALED(res->wait_status))
		pmf_profile_note(p, PMF_NOTE_INFO, -1, "the command was ended by signal %d (%s)",
			WTERMSIG(res->wait_status), strsignal(WTERMSIG(res->wait_status)));
}

/* The processes that run already, and the command. */
static int start(struct pmf_run *r, struct pmf_collect_result *res, struct pmf_err *err)
{
	struct pmf_profile *p = r->stacks.profile;
	int ret = 0;

	if (pmf_run_is_attached(r)) {
		ret = pmf_attach_adopt(&r->attach, &r->shards, r->opts->raw_path != NULL, err);
		if (ret)
			return ret;
		p->watched = pmf_attach_describe(&r->attach, &r->stacks);
		if (r->stacks.python && pmf_py_fd(r->stacks.python) >= 0)
			pmf_py_remote_start(r->stacks.python, &r->opts->who, r->src);
	} else {
		if (r->opts->who.cpus)
			pmf_profile_note(p, PMF_NOTE_INFO, -1,
				"only what ran on these CPUs was counted: %s (-C)",
				r->opts->who.cpus);
		ret = pmf_process_tell_exec(
			r->launch.pid, r->opts->argv[0], pmf_shards_tell, &r->shards);
		if (ret)
			return ret;
	}
	p->start_unix_ns = pmf_clock_ns(CLOCK_REALTIME);
	r->start_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	if (pmf_run_is_attached(r))
		check_delay(r);
	return r->launch.pid ? pmf_launch_go(&r->launch, &res->exec_errno, err) : 0;
}

pid_t pmf_run_main_pid(const struct pmf_run *r)
{
	return pmf_run_is_attached(r) ? r->attach.process : r->launch.pid;
}

int pmf_run_record(struct pmf_run *r, struct pmf_collect_result *res, struct pmf_err *err)
{
	struct pmf_profile *p = r->stacks.profile;
	int ret = start(r, res, err);

	if (ret || res->exec_errno)
		return ret;
	res->readers = r->src->facts.readers;
	pmf_parts_begin(r);
	ret = record_loop(r, res, err);
	res->end_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	p->duration_ns = res->end_ns - r->start_ns;
	res->wait_status = r->launch.wait_status;
	if (ret)
		return ret;
	r->src->ops->stop(r->src);
	pmf_idle_look(&r->stacks.idle);
	if (r->stacks.python)
		pmf_py_read(r->stacks.python);
	ret = r->src->ops->drain(r->src, true, pmf_shards_record, &r->shards);
	if (ret < 0)
		return pmf_err_set(err, PMF_EIO, "cannot read the rest of the rings");
	pmf_shards_merge(&r->shards);
	if (r->stacks.python)
		pmf_py_end(r->stacks.python);
	check_memory(r);
	note_end(r, res);
	if (!pmf_run_is_attached(r))
		pmf_dropped_note(p, r->opts->argv[0]);
	pmf_runtimes_note(&r->runtimes, p, r->stacks.generated.saw_node);
	pmf_parts_last(r, res);
	return pmf_totals_end(&r->stacks, r->src, pmf_run_main_pid(r), err);
}
