/* Python frames of processes that run already: their interpreters are asked to load the agent. */
#include "python_room.h"

#include "pmuflame/buf.h"
#include "pmuflame/clock.h"
#include "pmuflame/remote.h"
#include "pmuflame/units.h"
#include <poll.h>
#include <stdlib.h>

enum {
	/* Counting waits for the answers for as long: a process that runs Python code needs less. */
	START_NS = 500000000,
	START_STEP_MS = 10,
	/* A main thread that has not answered by then waits for something: others are asked, soon again and
	 * then now and again. */
	OTHERS_NS = 30000000,
	OTHERS_LATER_NS = 250000000,
};

struct pmf_py_request {
	struct pmf_remote *remote;
	uint64_t since_ns, others_ns; /* when others are asked next */
	bool over;                    /* settled */
};

/* ---- Before anything is opened ---- */

static int look_at(struct pmf_process_table *t, pid_t pid, struct pmf_err *err)
{
	struct pmf_process *p = pmf_process_get(t, pid);
	int ret = pmf_process_reread(t, p, err);

	if (ret == 0)
		ret = pmf_remote_look(p, err);
	if (ret)
		pmf_err_prefix(err, "process %d", (int)pid);
	return ret;
}

int pmf_py_remote_look(const struct pmf_collect_who *who, struct pmf_err *err)
{
	struct pmf_err why = PMF_ERR_INIT, one;
	struct pmf_process_table t;
	int ret = -1;

	pmf_err_set(&why, PMF_ENOTFOUND, "nothing that is recorded has a CPython");
	if (who->target != PMF_PERF_TASKS)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"only processes that are named (-p) are asked to load the agent");
	pmf_process_table_init(&t, true);
	for (size_t i = 0; i < who->nr_pids && ret != 0; i++) {
		one = (struct pmf_err)PMF_ERR_INIT;
		ret = look_at(&t, pmf_attach_process_of(who->pids[i]), &one);
		if (ret != 0 && ret != PMF_ENOTFOUND)
			why = one;
	}
	pmf_process_table_release(&t);
	return ret ? pmf_err_set(err, why.status, "%s", why.text) : 0;
}

/* ---- Requests ---- */

static void note_failure(struct pmf_py *py, pid_t pid, const char *why)
{
	const struct pmf_process *p = pmf_process_find(&py->stacks->table, pid);
	struct pmf_buf comm = PMF_BUF_INIT;

	pmf_buf_addclean(&comm, p ? p->comm : "", '?');
	pmf_profile_note(py->stacks->profile, PMF_NOTE_WARN, -1,
		"no Python frames of process %d (%s): %s", (int)pid, pmf_buf_str(&comm), why);
	pmf_buf_release(&comm);
}

static void ask(struct pmf_py *py, pid_t pid)
{
	const struct pmf_process *p = pmf_process_find(&py->stacks->table, pid);
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_remote *remote;
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);
	int ret = p ? pmf_remote_ask(&remote, p, py->server, &err) : PMF_ENOTFOUND;

	if (ret == 0)
		PMF_PUSH(py->requests, py->nr_requests, py->cap_requests) =
			(struct pmf_py_request){remote, now, now + OTHERS_NS, false};
	else if (ret != PMF_ENOTFOUND)
		note_failure(py, pid, err.text);
}

static void settle(struct pmf_py_request *r)
{
	pmf_remote_settle(r->remote);
	r->over = true;
}

bool pmf_py_is_asked(const struct pmf_py *py, pid_t pid)
{
	for (size_t i = 0; i < py->nr_requests; i++)
		if (!py->requests[i].over && pmf_remote_pid(py->requests[i].remote) == pid)
			return true;
	return false;
}

static void note_late(struct pmf_py *py, pid_t pid, uint64_t ns)
{
	char text[PMF_UNITS_MAX];

	pmf_profile_note(py->stacks->profile, PMF_NOTE_INFO, -1,
		"process %d executed no Python code at first: it has Python frames from %s on",
		(int)pid, pmf_format_ns(text, ns));
}

void pmf_py_remote_check(struct pmf_py *py)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < py->nr_requests; i++) {
		struct pmf_py_request *r = &py->requests[i];
		uint64_t waited = now - r->since_ns;
		struct pmf_err err = PMF_ERR_INIT;
		int ret = r->over ? 0 : pmf_remote_check(r->remote, &err);

		if (ret == 0 && !r->over && now >= r->others_ns) {
			pmf_remote_ask_others(r->remote);
			r->others_ns = now + (waited < START_NS ? OTHERS_NS : OTHERS_LATER_NS);
		}
		if (ret == 0)
			continue;
		if (ret < 0)
			note_failure(py, pmf_remote_pid(r->remote), err.text);
		else if (waited > START_NS)
			note_late(py, pmf_remote_pid(r->remote), waited);
		settle(r);
	}
}

static bool has_open(const struct pmf_py *py)
{
	for (size_t i = 0; i < py->nr_requests; i++)
		if (!py->requests[i].over)
			return true;
	return false;
}

void pmf_py_remote_start(
	struct pmf_py *py, const struct pmf_collect_who *who, struct pmf_source *src)
{
	uint64_t start = pmf_clock_ns(CLOCK_MONOTONIC);
	struct pollfd greeting = {.fd = pmf_py_fd(py), .events = POLLIN};

	py->who = who;
	for (size_t i = 0; i < who->nr_pids; i++) {
		pid_t pid = pmf_attach_process_of(who->pids[i]);

		if (pid && !pmf_py_is_asked(py, pid))
			ask(py, pid);
	}
	while (has_open(py) && pmf_clock_ns(CLOCK_MONOTONIC) - start < START_NS)
		pmf_py_greetings(py, src, poll(&greeting, 1, START_STEP_MS) == 1);
}

bool pmf_py_wants(const struct pmf_py *py, pid_t tid)
{
	if (!py->who || !py->who->single)
		return true;
	for (size_t i = 0; i < py->who->nr_pids; i++)
		if (py->who->pids[i] == tid)
			return true;
	return false;
}

void pmf_py_remote_end(struct pmf_py *py)
{
	for (size_t i = 0; i < py->nr_requests; i++) {
		struct pmf_py_request *r = &py->requests[i];

		if (!r->over)
			note_failure(py, pmf_remote_pid(r->remote),
				"none of its threads executed Python code while it was recorded (or CPython "
				"was built --without-remote-debug)");
		pmf_remote_free(r->remote);
	}
	free(py->requests);
	py->requests = NULL;
	py->nr_requests = py->cap_requests = 0;
}
