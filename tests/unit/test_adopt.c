/* Processes that run already, told as records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/file.h"
#include "pmuflame/process.h"
#include <linux/perf_event.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct pmf_process_table table;

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_process_table_release(&table);
	return 0;
}

/* Of this process, a thread that it does not have. */
static void tell_of_thread(uint32_t type)
{
	const uint32_t pid = (uint32_t)getpid();
	struct pmf_record rec = {
		.type = type, .pid = pid, .tid = 77777, .task = {.ppid = pid, .ptid = pid}};

	pmf_process_apply(&table, &rec);
}

static int apply(void *ctx, const struct pmf_record *rec)
{
	(void)ctx;
	pmf_process_apply(&table, rec);
	return 0;
}

static void *wait_for_end(void *fd)
{
	char byte;

	prctl(PR_SET_NAME, "a thread");
	assert_int_equal(write(((int *)fd)[1], "x", 1), 1);
	assert_int_equal(read(((int *)fd)[2], &byte, 1), 0);
	return NULL;
}

static void a_process_that_runs_is_told_as_records(void **state)
{
	int fds[4];
	char byte, name[16];
	pthread_t thread;
	struct pmf_process *p;
	const struct pmf_map *m;
	struct pmf_map same;
	uint64_t here = (uint64_t)(uintptr_t)a_process_that_runs_is_told_as_records;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(fds + 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_end, fds), 0);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(pmf_process_adopt(getpid(), false, apply, NULL, &err), 0);
	p = pmf_process_find(&table, getpid());
	assert_non_null(p);
	prctl(PR_GET_NAME, name);
	assert_string_equal(p->comm, name);
	assert_int_equal(p->nr_tids, 2);
	m = pmf_process_map(p, here);
	assert_non_null(m);
	assert_true(pmf_image_read(m->image, here - m->bias, &byte, 1));
	assert_int_equal(byte, *(const char *)(uintptr_t)here);
	/* The thread ends, and the records of the time in between come late: it started, it ended. */
	close(fds[3]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	tell_of_thread(PERF_RECORD_FORK);
	tell_of_thread(PERF_RECORD_EXIT);
	assert_int_equal(p->nr_tids, 2);
	/* Told again, nothing changes. */
	same = *m;
	assert_int_equal(pmf_process_adopt(getpid(), false, apply, NULL, &err), 0);
	m = pmf_process_map(p, here);
	assert_int_equal(m->start, same.start);
	assert_ptr_equal(m->image, same.image);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

struct told {
	struct pmf_layouts layouts;
	size_t comms, code, data;
};

/* The bytes say what the record says. */
static int parse_again(void *ctx, const struct pmf_record *rec)
{
	struct told *told = ctx;
	struct pmf_record own;

	assert_int_equal(pmf_record_parse(&told->layouts, rec->bytes, rec->size, &own, NULL), 0);
	assert_int_equal(own.type, rec->type);
	assert_int_equal(own.misc, rec->misc);
	assert_int_equal(own.pid, getpid());
	assert_int_equal(own.tid, rec->tid);
	assert_int_equal(own.time_ns, 0);
	if (rec->type == PERF_RECORD_COMM) {
		assert_string_equal(own.comm.comm, rec->comm.comm);
		assert_false(own.comm.exec);
		told->comms++;
		return 0;
	}
	assert_string_equal(own.mmap.path, rec->mmap.path);
	assert_int_equal(own.mmap.start, rec->mmap.start);
	assert_int_equal(own.mmap.len, rec->mmap.len);
	assert_int_equal(own.mmap.pgoff, rec->mmap.pgoff);
	assert_int_equal(own.mmap.dev, rec->mmap.dev);
	assert_int_equal(own.mmap.ino, rec->mmap.ino);
	if (own.mmap.prot & PROT_EXEC)
		told->code++;
	else
		told->data++;
	return 0;
}

static void its_records_have_bytes_for_a_recording(void **state)
{
	const struct pmf_layout layout = {.event = PMF_NO_EVENT,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |
			       PERF_SAMPLE_CPU};
	struct told told = {0};
	size_t code;

	(void)state;
	pmf_layouts_add(&told.layouts, &layout);
	pmf_layouts_seal(&told.layouts);
	assert_int_equal(pmf_process_adopt(getpid(), false, parse_again, &told, NULL), 0);
	code = told.code;
	assert_true(told.comms >= 1);
	assert_true(code >= 2);
	assert_int_equal(told.data, 0);
	assert_int_equal(pmf_process_adopt(getpid(), true, parse_again, &told, NULL), 0);
	assert_true(told.data >= 2);
	pmf_layouts_release(&told.layouts);
}

static void all_that_runs_is_told(void **state)
{
	struct pmf_process *kthreadd;
	struct pmf_err err = PMF_ERR_INIT;
	size_t refused;
	char comm[32];

	(void)state;
	assert_int_equal(pmf_process_adopt_all(false, apply, NULL, &refused, &err), 0);
	assert_non_null(pmf_process_find(&table, getpid()));
	assert_non_null(pmf_process_find(&table, getppid()));
	assert_true(refused < table.n);
	/* Kernel threads have a name and no mappings; not everywhere one of them is number 2. */
	kthreadd = pmf_process_find(&table, 2);
	if (kthreadd && pmf_file_read_line("/proc/2/comm", comm, sizeof comm, NULL) == 0 &&
		strcmp(comm, "kthreadd") == 0) {
		assert_string_equal(kthreadd->comm, comm);
		assert_int_equal(kthreadd->nr_maps, 0);
	}
	/* Larger than any pid_max (proc(5)). */
	assert_int_equal(pmf_process_adopt(0x7ffffff0, false, apply, NULL, &err), PMF_ENOTFOUND);
	assert_null(pmf_process_find(&table, 0x7ffffff0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_process_that_runs_is_told_as_records, setup, teardown),
		cmocka_unit_test(its_records_have_bytes_for_a_recording),
		cmocka_unit_test_setup_teardown(all_that_runs_is_told, setup, teardown),
	};

	return cmocka_run_group_tests_name("adopt", tests, NULL, NULL);
}
