/* Who has whose events, as records of births and ends tell it. */
#include "../../src/perf/perf_session_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
	PID = 100,
	THREAD = 101,
	OTHER = 102,
	CHILD = 200, /* another process */
	BEGUN_NS = 1000,
	OPENED_NS = 2000,
	LATER_NS = 3000,         /* so soon that the fork can be one from before */
	LONG_AFTER_NS = 1 << 30, /* surely not */
};

static struct pmf_perf_tasks *tasks_new(bool inherit)
{
	struct pmf_perf_tasks *t = malloc(sizeof *t);
	const struct pmf_perf_opts opts = {
		.pids = (const pid_t[]){PID}, .nr_pids = 1, .inherit = inherit};

	pmf_perf_tasks_init(t, &opts);
	PMF_PUSH(t->items, t->n, t->cap) = (struct pmf_perf_task){
		.pid = PID, .tid = PID, .begun_ns = BEGUN_NS, .opened_ns = OPENED_NS, .times = 1};
	pmf_perf_holder_add(t, PID, PID, 0);
	return t;
}

static void tell(struct pmf_perf_tasks *t, uint32_t type, pid_t parent, pid_t tid, uint64_t time_ns)
{
	struct pmf_record rec = {.type = type,
		.pid = tid >= CHILD ? CHILD : PID,
		.tid = (uint32_t)tid,
		.time_ns = time_ns,
		.task = {.ppid = parent >= CHILD ? CHILD : PID, .ptid = (uint32_t)parent}};

	pmf_perf_tasks_record(t, &rec);
}

static bool holds(const struct pmf_perf_tasks *t, pid_t tid)
{
	return pmf_perf_holder_find(t, tid) != NULL;
}

static void test_before_and_while(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);

	(void)state;
	/* Of events that were closed again. */
	tell(t, PERF_RECORD_FORK, PID, THREAD, BEGUN_NS - 1);
	assert_false(holds(t, THREAD) || t->items[0].torn);
	tell(t, PERF_RECORD_FORK, PID, CHILD, BEGUN_NS + 1);
	assert_true(t->items[0].torn);
	assert_int_equal(1, t->nr_torn);
	assert_false(holds(t, CHILD));
	/* Its threads are looked for. */
	assert_int_equal(2, t->nr_pids);
	assert_int_equal(CHILD, t->pids[1]);
	pmf_perf_tasks_free(t);
}

static void test_first_is_in_doubt(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);

	(void)state;
	assert_true(pmf_perf_task_in_doubt(&t->items[0], LATER_NS));
	assert_false(pmf_perf_task_in_doubt(&t->items[0], LONG_AFTER_NS));
	tell(t, PERF_RECORD_FORK, PID, THREAD, LATER_NS);
	assert_true(t->items[0].torn);
	/* Opened again, and a thread that sleeps is in no fork. */
	t->items[0] = (struct pmf_perf_task){.pid = PID,
		.tid = PID,
		.begun_ns = BEGUN_NS,
		.opened_ns = OPENED_NS,
		.asleep = true,
		.holders = 1};
	assert_false(pmf_perf_task_in_doubt(&t->items[0], LATER_NS));
	tell(t, PERF_RECORD_FORK, PID, THREAD, LATER_NS);
	assert_false(t->items[0].torn);
	assert_true(holds(t, THREAD));
	pmf_perf_tasks_free(t);
}

/* After its first fork's end a thread's next one has begun after that. */
static void test_second_is_sure(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);

	(void)state;
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	tell(t, PERF_RECORD_FORK, PID, OTHER, LATER_NS);
	assert_false(t->items[0].torn);
	assert_true(holds(t, THREAD) && holds(t, OTHER));
	/* Those of a thread that was born with all. */
	tell(t, PERF_RECORD_FORK, OTHER, CHILD, LATER_NS);
	assert_true(holds(t, CHILD));
	assert_int_equal(4, t->items[0].holders);
	pmf_perf_tasks_free(t);
}

static void test_processes_to_come(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(false);

	(void)state;
	tell(t, PERF_RECORD_FORK, PID, CHILD, LONG_AFTER_NS);
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	assert_true(holds(t, THREAD));
	assert_false(holds(t, CHILD));
	pmf_perf_tasks_free(t);
}

/* What was read while events were opened is delivered again. */
static void test_told_again(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);

	(void)state;
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	t->opening = false;
	tell(t, PERF_RECORD_FORK, PID, OTHER, BEGUN_NS + 1);
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	assert_false(holds(t, OTHER) || t->items[0].torn);
	assert_int_equal(2, t->items[0].holders);
	pmf_perf_tasks_free(t);
}

static void test_ends(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);

	(void)state;
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	tell(t, PERF_RECORD_EXIT, PID, PID, LONG_AFTER_NS + 1);
	tell(t, PERF_RECORD_EXIT, PID, OTHER, LONG_AFTER_NS + 1); /* not known */
	assert_int_equal(0, t->ended);
	tell(t, PERF_RECORD_EXIT, THREAD, THREAD, LONG_AFTER_NS + 2);
	assert_int_equal(1, t->ended);
	assert_int_equal(0, t->nr_holders);
	assert_false(t->blind);
	tell(t, PERF_RECORD_LOST, 0, 0, LONG_AFTER_NS + 3);
	assert_true(t->blind);
	pmf_perf_tasks_free(t);
}

/* A thread that executes a program gets its process's number, after all others ended. */
static void test_exec_in_thread(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);
	struct pmf_record comm = {
		.type = PERF_RECORD_COMM, .pid = PID, .tid = PID, .comm = {"other", true}};

	(void)state;
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	pmf_perf_tasks_record(t, &comm); /* in the first thread: nothing changes */
	assert_true(holds(t, PID) && holds(t, THREAD));
	tell(t, PERF_RECORD_EXIT, PID, PID, LONG_AFTER_NS + 1);
	comm.comm.exec = false; /* just another name */
	pmf_perf_tasks_record(t, &comm);
	assert_true(holds(t, THREAD));
	comm.comm.exec = true;
	pmf_perf_tasks_record(t, &comm);
	pmf_perf_tasks_record(t, &comm); /* told again */
	assert_true(holds(t, PID));
	assert_false(holds(t, THREAD));
	assert_int_equal(1, t->items[0].holders);
	assert_int_equal(0, t->ended);
	tell(t, PERF_RECORD_FORK, PID, CHILD, LONG_AFTER_NS + 2);
	assert_true(holds(t, CHILD));
	/* Of a process that is not known. */
	comm.pid = comm.tid = OTHER;
	pmf_perf_tasks_record(t, &comm);
	assert_false(holds(t, OTHER));
	pmf_perf_tasks_free(t);
}

/* Without the events of a task, whoever had copies of them is to be found again. */
static void test_drop(void **state)
{
	struct pmf_perf_tasks *t = tasks_new(true);

	(void)state;
	PMF_PUSH(t->items, t->n, t->cap) = (struct pmf_perf_task){.pid = PID, .tid = OTHER};
	pmf_perf_holder_add(t, OTHER, PID, 1);
	tell(t, PERF_RECORD_FORK, PID, THREAD, LONG_AFTER_NS);
	tell(t, PERF_RECORD_FORK, THREAD, CHILD, LONG_AFTER_NS);
	pmf_perf_tasks_drop(t, 0);
	assert_false(holds(t, PID) || holds(t, THREAD) || holds(t, CHILD));
	assert_true(holds(t, OTHER));
	assert_int_equal(2, t->nr_pids);
	assert_int_equal(CHILD, t->pids[1]);
	pmf_perf_tasks_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_and_while),
		cmocka_unit_test(test_first_is_in_doubt),
		cmocka_unit_test(test_second_is_sure),
		cmocka_unit_test(test_processes_to_come),
		cmocka_unit_test(test_told_again),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_exec_in_thread),
		cmocka_unit_test(test_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
