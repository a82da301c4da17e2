/* The frames of threads: their names through fork, rename and exit, and how many there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect_priv.h"
#include "pmuflame/mem.h"
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

enum { PID = 100 };

struct world {
	struct pmf_profile p;
	struct pmf_process_table table;
	struct pmf_threads threads;
	uint32_t process; /* the node */
};

static void record(struct world *w, const struct pmf_record *rec)
{
	pmf_threads_record(&w->threads, &w->table, rec);
	pmf_process_apply(&w->table, rec);
}

static void comm(struct world *w, uint32_t tid, const char *name)
{
	struct pmf_record rec = {.type = PERF_RECORD_COMM, .pid = PID, .tid = tid};

	rec.comm.comm = name;
	record(w, &rec);
}

static void fork_from(struct world *w, uint32_t parent, uint32_t tid)
{
	struct pmf_record rec = {.type = PERF_RECORD_FORK, .pid = PID, .tid = tid};

	rec.task.ppid = PID;
	rec.task.ptid = parent;
	record(w, &rec);
}

static void leave(struct world *w, uint32_t tid)
{
	record(w, &(struct pmf_record){.type = PERF_RECORD_EXIT, .pid = PID, .tid = tid});
}

static uint32_t node_of(struct world *w, uint32_t tid)
{
	struct pmf_record rec = {.type = PERF_RECORD_SAMPLE, .pid = PID, .tid = tid};

	return pmf_threads_node(
		&w->threads, &w->p, &rec, pmf_process_get(&w->table, PID)->comm, w->process);
}

static const char *name_of(struct world *w, uint32_t tid)
{
	const struct pmf_node *n = &w->p.nodes[node_of(w, tid)];

	assert_int_equal(w->p.frames[n->frame].kind, PMF_FRAME_THREAD);
	assert_int_equal(n->parent, w->process);
	return pmf_strtab_get(&w->p.strings, w->p.frames[n->frame].name);
}

static int setup(void **state)
{
	struct world *w = pmf_zalloc(sizeof *w);

	pmf_profile_init(&w->p, 1);
	pmf_process_table_init(&w->table, false);
	w->process = pmf_profile_node(
		&w->p, 0, pmf_profile_frame_named(&w->p, PMF_FRAME_PROCESS, "app"));
	comm(w, PID, "app");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	pmf_threads_release(&w->threads);
	pmf_process_table_release(&w->table);
	pmf_profile_release(&w->p);
	free(w);
	return 0;
}

static void threads_are_called_as_they_are_at_the_time(void **state)
{
	struct world *w = *state;

	assert_string_equal(name_of(w, PID), "app");
	assert_string_equal(name_of(w, 7), "app (7)"); /* no record told of it */
	fork_from(w, PID, 101);
	assert_string_equal(name_of(w, 101), "app (101)");
	comm(w, 101, "worker");
	assert_string_equal(name_of(w, 101), "worker (101)");
	fork_from(w, 101, 102);
	assert_string_equal(name_of(w, 102), "worker (102)");
	comm(w, 101, "pool");
	comm(w, PID, "renamed");
	assert_string_equal(name_of(w, 102), "worker (102)");
	assert_string_equal(name_of(w, 101), "pool (101)");
	leave(w, 101);
	fork_from(w, 102, 101);
	assert_string_equal(name_of(w, 101), "worker (101)");
}

static void what_is_known_and_drawn_of_threads_is_bounded(void **state)
{
	struct world *w = *state;
	size_t nodes, places;

	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 2000; i++) {
			uint32_t tid = 1000 + round * 2000 + i;
			char *name = pmf_asprintf("job %u", round * 2000 + i);

			fork_from(w, PID, tid);
			comm(w, tid, name);
			node_of(w, tid);
			leave(w, tid);
			free(name);
		}
		if (round == 0) {
			nodes = w->p.nr_nodes;
			places = w->threads.cap;
		}
	}
	assert_int_equal(w->p.nr_nodes, nodes);
	assert_int_equal(w->threads.cap, places);
	assert_int_equal(w->threads.n, 0);
	/* all, app, the numbered, the named, and the one for the others. */
	assert_int_equal(nodes, 2 + 2 * PMF_THREADS_MAX + 1);
	assert_string_equal(name_of(w, 9), "[other threads]");
}

static void a_process_that_forks_is_no_thread(void **state)
{
	struct world *w = *state;
	struct pmf_record rec = {.type = PERF_RECORD_FORK, .pid = 200, .tid = 200};

	rec.task.ppid = PID;
	rec.task.ptid = PID;
	record(w, &rec);
	assert_int_equal(w->threads.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			threads_are_called_as_they_are_at_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_known_and_drawn_of_threads_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_process_that_forks_is_no_thread, setup, teardown),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
