/* Python processes of a run: greetings, events of their own, and their end. */
#include "python_room.h"

#include "pmuflame/buf.h"
#include "pmuflame/clock.h"
#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/units.h"
#include <stdlib.h>
#include <string.h>

enum {
	MINOR_MAX = 31,
	/* How long a fork of a process may take to greet: after that it will not. */
	GREETING_NS = 20000000,
};

int pmf_py_new(struct pmf_py **out, const struct pmf_py_opts *opts, struct pmf_stacks *stacks,
	struct pmf_err *err)
{
	char *agent = pmf_python_agent_path(err);
	struct pmf_py *py;
	int ret;

	if (!agent)
		return PMF_ENOTFOUND;
	py = pmf_zalloc(sizeof *py);
	py->stacks = stacks;
	py->lines = opts->lines;
	py->interpreter = opts->interpreter;
	ret = pmf_python_server_open(&py->server, agent, err);
	free(agent);
	if (ret) {
		free(py);
		return ret;
	}
	*out = py;
	return 0;
}

char *const *pmf_py_env(const struct pmf_py *py)
{
	return py->server ? pmf_python_server_env(py->server) : environ;
}

int pmf_py_fd(const struct pmf_py *py)
{
	return py->server ? pmf_python_server_fd(py->server) : -1;
}

int pmf_py_start(
	struct pmf_py *py, struct pmf_perf_session *session, pid_t main_pid, struct pmf_err *err)
{
	py->session = session;
	py->main_pid = main_pid;
	return py->bpf ? pmf_py_bpf_start(py, err) : 0;
}

/* ---- Processes ---- */

static void read_memory(struct pmf_py *py, struct pmf_py_process *proc)
{
	struct pmf_py_arrival a = {py, proc};

	if (proc->memory)
		pmf_python_read(proc->memory, pmf_py_arrived, &a);
}

void pmf_py_read(struct pmf_py *py)
{
	for (size_t i = 0; i < py->n; i++)
		read_memory(py, py->procs[i]);
	if (py->bpf)
		pmf_py_bpf_round(py);
}

void pmf_py_process_free(struct pmf_py_process *proc)
{
	for (size_t i = 0; i < proc->nr_threads; i++)
		pmf_py_thread_release(&proc->threads[i]);
	if (proc->memory)
		pmf_python_process_free(proc->memory);
	else
		pmf_python_codes_free(proc->codes);
	pmf_index_release(&proc->by_tid);
	pmf_py_tids_release(&proc->tids);
	pmf_index_release(&proc->id_index);
	free(proc->tasks);
	free(proc->threads);
	free(proc->ids);
	free(proc);
}

/* Process number @i has no events any more: it is gone, or executes another program. */
static void end_process(struct pmf_py *py, size_t i)
{
	struct pmf_py_process *proc = py->procs[i];
	struct pmf_stacks *s = py->stacks;
	uint64_t *counted = pmf_calloc(s->list->n, sizeof *counted);

	read_memory(py, proc);
	for (size_t k = 0; k < proc->nr_threads; k++)
		pmf_py_give_up(py, &proc->threads[k]);
	if (proc->memory) {
		py->dropped += pmf_python_dropped(proc->memory);
		py->malformed += pmf_python_malformed(proc->memory);
	}
	pmf_py_events_close(py, proc, counted);
	/* Beside inherited events these counted the same once more; and over all intervals, not this one. */
	if (proc->alone && !s->intervals) {
		struct pmf_proc_cost *c = pmf_stacks_cost(s, pmf_process_get(&s->table, proc->pid));

		for (size_t e = 0; e < s->list->n; e++)
			c->counted[e] += counted[e];
	}
	free(counted);
	pmf_py_process_free(proc);
	py->procs[i] = py->procs[--py->n];
}

static struct pmf_py_process *find(const struct pmf_py *py, pid_t pid, uint64_t time_ns)
{
	struct pmf_py_process *found = NULL;

	for (size_t i = 0; i < py->n; i++) {
		struct pmf_py_process *proc = py->procs[i];

		if (proc->pid == pid && proc->since_ns <= time_ns &&
			(!found || proc->since_ns > found->since_ns))
			found = proc;
	}
	return found;
}

/* Is there a later one with this pid? Then the earlier's program is no more. */
static void end_before(struct pmf_py *py, pid_t pid, uint64_t time_ns)
{
	for (size_t i = py->n; i-- > 0;)
		if (py->procs[i]->pid == pid && py->procs[i]->since_ns <= time_ns)
			end_process(py, i);
}

/* ---- Children that inherit nothing ---- */

static void forget_child(struct pmf_py *py, pid_t pid)
{
	for (size_t i = py->nr_children; i-- > 0;)
		if (py->children[i].pid == pid)
			py->children[i] = py->children[--py->nr_children];
}

bool pmf_py_sleeps(const struct pmf_py *py, pid_t pid)
{
	const struct pmf_py_process *proc = find(py, pid, UINT64_MAX);

	for (size_t i = 0; i < py->nr_children; i++)
		if (py->children[i].pid == pid)
			return true;
	return proc && proc->alone;
}

/* ---- Interpreters whose agent cannot reach us ---- */

static struct pmf_py_interpreter *interpreter(struct pmf_py *py, pid_t pid, uint64_t now_ns)
{
	for (size_t i = 0; i < py->nr_interpreters; i++)
		if (py->interpreters[i].pid == pid)
			return &py->interpreters[i];
	PMF_PUSH(py->interpreters, py->nr_interpreters, py->cap_interpreters) =
		(struct pmf_py_interpreter){.pid = pid, .since_ns = now_ns};
	return &py->interpreters[py->nr_interpreters - 1];
}

static void on_mapped(struct pmf_py *py, const struct pmf_record *rec)
{
	const char *slash = strrchr(rec->mmap.path, '/');

	/* Nothing is preloaded into what runs already. */
	if (py->stacks->target == PMF_PERF_COMMAND && slash &&
		(pmf_starts_with(slash, "/libpython3.") || pmf_starts_with(slash, "/python3.")))
		interpreter(py, (pid_t)rec->pid, rec->time_ns)->mapped = true;
}

static void end_interpreter(struct pmf_py *py, pid_t pid, uint64_t time_ns)
{
	for (size_t i = py->nr_interpreters; i-- > 0;) {
		struct pmf_py_interpreter *in = &py->interpreters[i];

		if ((pid && in->pid != pid) || in->since_ns > time_ns)
			continue;
		py->silent += in->mapped && !in->greeted;
		*in = py->interpreters[--py->nr_interpreters];
	}
}

/* Open events on @pid, which signal to the agent if @signals. */
static struct pmf_py_process *attach(
	struct pmf_py *py, pid_t pid, bool signals, bool alone, struct pmf_err *err)
{
	struct pmf_py_process *proc = pmf_zalloc(sizeof *proc);
	uint64_t *none;

	proc->pid = pid;
	proc->alone = alone;
	proc->since_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	pmf_index_init(&proc->by_tid);
	pmf_py_tids_init(&proc->tids, pid);
	pmf_index_init(&proc->id_index);
	if (pmf_py_events_open(py, proc, signals, pmf_py_is_asked(py, pid), err)) {
		none = pmf_calloc(py->stacks->list->n, sizeof *none);
		pmf_py_events_close(py, proc, none);
		free(none);
		pmf_py_process_free(proc);
		return NULL;
	}
	PMF_PUSH(py->procs, py->n, py->cap) = proc;
	return proc;
}

/* Forks whose parents' events are not inherited, and that did not greet: what cannot be had with
 * Python frames is had without. */
static void adopt_children(struct pmf_py *py)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);
	struct pmf_err err = PMF_ERR_INIT;

	for (size_t i = py->nr_children; i-- > 0;) {
		pid_t pid = py->children[i].pid;

		if (py->children[i].deadline_ns > now)
			continue;
		py->children[i] = py->children[--py->nr_children];
		py->adopted += attach(py, pid, false, true, &err) != NULL;
	}
}

/* ---- Greetings ---- */

/* May the events that @g's process gets be the only ones that count in it? */
static bool can_be_alone(
	struct pmf_py *py, const struct pmf_python_greeting *g, struct pmf_source *src)
{
	if (py->who) /* attached: other tasks' events are not of one tree */
		return false;
	return g->origin == PMF_PYTHON_FORKED ? g->alone : pmf_py_release(py, g->pid, src);
}

static void note_left_out(struct pmf_py *py, const struct pmf_py_process *proc)
{
	struct pmf_profile *p = py->stacks->profile;

	for (size_t e = 0; e < p->nr_events && !py->warned_left_out; e++)
		if (!pmf_py_events_have(proc, e))
			pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
				"'%s' has no Python frames in interpreters that other programs "
				"start: "
				"this kernel mixes up a software event that is open twice (Linux "
				"6.12 does not)",
				p->events[e].label);
	py->warned_left_out = true;
}

/* A debugger stops at each of our signals, and strace(1) tells of it. */
static bool is_traced(pid_t pid)
{
	static const char key[] = "\nTracerPid:";
	struct pmf_buf status = PMF_BUF_INIT;
	char *path = pmf_asprintf("/proc/%d/status", (int)pid);
	const char *at = NULL;
	bool traced;

	if (pmf_file_read(path, 1 << 16, &status, NULL) == 0)
		at = strstr(pmf_buf_str(&status), key);
	traced = at && strtol(at + strlen(key), NULL, 10) != 0;
	pmf_buf_release(&status);
	free(path);
	return traced;
}

static void connect_process(
	struct pmf_py *py, struct pmf_python_greeting *g, struct pmf_source *src)
{
	struct pmf_profile *p = py->stacks->profile;
	struct pmf_err err = PMF_ERR_INIT;
	bool alone = can_be_alone(py, g, src);
	struct pmf_python_process *memory;
	struct pmf_py_process *proc = find(py, g->pid, UINT64_MAX);

	if (proc && !proc->memory && g->origin == PMF_PYTHON_FORKED)
		py->adopted--; /* it was only late */
	proc = NULL;
	forget_child(py, g->pid);
	end_before(py, g->pid, UINT64_MAX); /* of a program that was executed, or adopted */
	if (is_traced(g->pid)) {
		pmf_err_set(&err, PMF_EUNSUP, "it is traced, and its tracer would see our signals");
	} else if (pmf_python_process_new(&memory, g, &err) == 0) {
		proc = attach(py, g->pid, true, alone, &err);
		if (!proc)
			pmf_python_process_free(memory);
	}
	if (!proc) {
		pmf_profile_note(p, PMF_NOTE_WARN, -1, "a Python process has no Python frames: %s",
			err.text);
		if (alone)
			attach(py, g->pid, false, true, &err);
		pmf_python_refuse(g);
		return;
	}
	proc->memory = memory;
	proc->codes = pmf_python_process_codes(memory);
	if (pmf_python_answer(g, alone, memory, &err)) {
		pmf_info("%s", err.text);
		return;
	}
	py->connected++;
	py->doubled += !alone;
	if (g->minor <= MINOR_MAX)
		py->minors |= UINT32_C(1) << g->minor;
	if (!alone)
		note_left_out(py, proc);
}

void pmf_py_greetings(struct pmf_py *py, struct pmf_source *src, bool some)
{
	struct pmf_python_greeting g;

	while (some && py->server && pmf_python_accept(py->server, &g)) {
		struct pmf_py_interpreter *in;

		in = interpreter(py, g.pid, 0);
		in->greeted = true;
		in->since_ns = pmf_clock_ns(CLOCK_MONOTONIC);
		if (g.origin == PMF_PYTHON_REFUSED) {
			struct pmf_buf why = PMF_BUF_INIT;

			pmf_buf_addclean(&why, g.why, '?');
			pmf_profile_note(py->stacks->profile, PMF_NOTE_WARN, -1,
				"Python processes without Python frames: %s", pmf_buf_str(&why));
			pmf_buf_release(&why);
			pmf_python_refuse(&g);
		} else if (g.origin == PMF_PYTHON_LEAVING || g.origin == PMF_PYTHON_STAYED) {
			struct pmf_py_process *proc = find(py, g.pid, UINT64_MAX);

			if (proc)
				pmf_py_events_pause(proc, g.origin == PMF_PYTHON_LEAVING);
			pmf_python_confirm(&g);
		} else {
			connect_process(py, &g, src);
		}
	}
	adopt_children(py);
	pmf_py_remote_check(py);
}

/* ---- Records ---- */

static void on_fork(struct pmf_py *py, const struct pmf_record *rec)
{
	const struct pmf_py_process *parent;

	if (rec->pid == rec->task.ppid)
		return;
	parent = find(py, (pid_t)rec->task.ppid, rec->time_ns);
	if (parent && parent->alone && !find(py, (pid_t)rec->pid, UINT64_MAX))
		PMF_PUSH(py->children, py->nr_children, py->cap_children) = (struct pmf_py_child){
			(pid_t)rec->pid, pmf_clock_ns(CLOCK_MONOTONIC) + GREETING_NS};
}

/* @rec: its exit, or its exec of another one. */
static void end_program(struct pmf_py *py, const struct pmf_record *rec)
{
	forget_child(py, (pid_t)rec->pid);
	end_interpreter(py, (pid_t)rec->pid, rec->time_ns);
	end_before(py, (pid_t)rec->pid, rec->time_ns);
}

static void on_leave(struct pmf_py *py, const struct pmf_record *rec)
{
	const struct pmf_process *proc = pmf_process_find(&py->stacks->table, (pid_t)rec->pid);
	struct pmf_py_process *own = find(py, (pid_t)rec->pid, rec->time_ns);

	if (own && own->tids.differ) {
		read_memory(py, own); /* what the thread told is there by now */
		pmf_py_tids_forget(&own->tids, rec->tid);
	}
	/* It has not been applied yet: this is the last thread's. */
	if (!proc || proc->nr_tids > 1)
		return;
	end_program(py, rec);
}

void pmf_py_record(struct pmf_py *py, const struct pmf_record *rec)
{
	if (py->bpf) {
		pmf_py_bpf_record(py, rec);
		return;
	}
	switch (rec->type) {
	case PERF_RECORD_FORK:
		on_fork(py, rec);
		break;
	case PERF_RECORD_EXIT:
		on_leave(py, rec);
		break;
	case PERF_RECORD_COMM:
		if (rec->comm.exec)
			end_program(py, rec);
		break;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		on_mapped(py, rec);
		break;
	default:
		break;
	}
}

bool pmf_py_drops(const struct pmf_py *py, const struct pmf_record *rec)
{
	const struct pmf_py_process *proc;

	if (rec->signals)
		return false;
	proc = find(py, (pid_t)rec->pid, rec->time_ns);
	return proc && proc->memory && !proc->alone && pmf_py_events_have(proc, rec->event);
}

bool pmf_py_sample(struct pmf_py *py, const struct pmf_record *rec, struct pmf_py_sample *smp)
{
	struct pmf_py_process *proc;

	if (py->bpf)
		return pmf_py_bpf_sample(py, rec, smp);
	if (!rec->signals)
		return false;
	proc = find(py, (pid_t)rec->pid, rec->time_ns);
	if (!proc || !proc->memory)
		return false;
	pmf_py_match(py, proc, rec, smp);
	return true;
}

/* ---- The end ---- */

static void note_counts(struct pmf_py *py)
{
	struct pmf_profile *p = py->stacks->profile;
	struct pmf_buf versions = PMF_BUF_INIT;
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], c[PMF_UNITS_MAX];

	for (unsigned m = 0; m <= MINOR_MAX; m++)
		if (py->minors >> m & 1)
			pmf_buf_printf(&versions, "%s3.%u", versions.len ? ", " : "", m);
	pmf_profile_note(p, PMF_NOTE_INFO, -1,
		"Python %s: %s process%s, %s samples with Python frames, %s of whose native "
		"frames agree; %s samples whose Python frames are not known",
		pmf_buf_str(&versions), pmf_format_count(a, py->connected),
		py->connected == 1 ? "" : "es", pmf_format_count(b, py->with_python),
		pmf_format_percent(c, (double)py->agreed, (double)py->compared),
		pmf_format_count((char[PMF_UNITS_MAX]){0}, py->unmatched));
	pmf_buf_release(&versions);
	if (py->doubled)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"%s Python process%s%s had every counter twice: once like all others, once "
			"for Python frames; samples of the first were left out",
			pmf_format_count(a, py->doubled), py->doubled == 1 ? "" : "es",
			py->who ? "" : ", started by other programs,");
	if (py->adopted)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%s fork%s of a Python process did not connect (a filter of system calls?): "
			"recorded without Python frames, and without the first milliseconds",
			pmf_format_count(a, py->adopted), py->adopted == 1 ? "" : "s");
	if (py->dropped || py->malformed)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%s records of Python stacks did not fit into their memory, %s made no "
			"sense",
			pmf_format_count(a, py->dropped), pmf_format_count(b, py->malformed));
	if (py->bpf)
		pmf_py_bpf_note(py);
}

void pmf_py_end(struct pmf_py *py)
{
	char n[PMF_UNITS_MAX];

	while (py->n)
		end_process(py, py->n - 1);
	pmf_py_remote_end(py);
	if (py->connected)
		note_counts(py);
	end_interpreter(py, 0, UINT64_MAX);
	/* What others started on the machine was never preloaded. */
	if (py->silent && py->stacks->target == PMF_PERF_COMMAND)
		pmf_profile_note(py->stacks->profile, PMF_NOTE_WARN, -1,
			"%s process%s with CPython did not connect: native frames only. From "
			"another network namespace the agent does not reach pmuflame, and in another "
			"root folder, or in static and set-uid programs, it is not loaded",
			pmf_format_count(n, py->silent), py->silent == 1 ? "" : "es");
}

void pmf_py_end_part(struct pmf_py *py)
{
	for (size_t i = 0; i < py->n; i++) {
		struct pmf_py_process *proc = py->procs[i];

		for (size_t k = 0; k < proc->nr_threads; k++)
			pmf_py_give_up(py, &proc->threads[k]);
		if (proc->memory) {
			py->dropped += pmf_python_dropped(proc->memory);
			py->malformed += pmf_python_malformed(proc->memory);
		}
	}
	if (py->connected)
		note_counts(py);
}

void pmf_py_forget_frames(struct pmf_py_process *proc)
{
	pmf_index_release(&proc->id_index);
	proc->nr_ids = 0;
	memset(proc->recent, 0, sizeof proc->recent);
}

void pmf_py_restart(struct pmf_py *py, const uint32_t *images)
{
	free(py->native);
	py->native = NULL;
	py->nr_native = 0;
	py->connected = py->doubled = py->adopted = py->silent = 0;
	py->with_python = 0;
	py->agreed = py->compared = py->unmatched = py->dropped = py->malformed = 0;
	if (py->bpf)
		pmf_py_bpf_restart(py, images);
	for (size_t i = 0; i < py->n; i++) {
		struct pmf_py_process *proc = py->procs[i];

		pmf_py_forget_frames(proc);
		for (size_t k = 0; k < proc->nr_threads; k++)
			pmf_py_thread_restart(&proc->threads[k]);
		if (!proc->memory) {
			py->adopted++;
			continue;
		}
		py->connected++;
		py->doubled += !proc->alone;
		/* Modulo 2^64: what it had already dropped comes back when it ends. */
		py->dropped -= pmf_python_dropped(proc->memory);
		py->malformed -= pmf_python_malformed(proc->memory);
	}
}

void pmf_py_free(struct pmf_py *py)
{
	if (!py)
		return;
	for (size_t i = 0; i < py->n; i++)
		pmf_py_process_free(py->procs[i]);
	pmf_py_remote_end(py);
	pmf_python_server_close(py->server);
	pmf_py_bpf_free(py->bpf);
	free(py->procs);
	free(py->children);
	free(py->interpreters);
	free(py->native);
	free(py);
}
