#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/process.h"
#include "process_priv.h"
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct pmf_process_table table;

static int setup(void **state)
{
	(void)state;
	pmf_process_table_init(&table, false);
	return 0;
}

static int setup_live(void **state)
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

static void apply_mmap(
	uint32_t pid, uint64_t start, uint64_t end, uint64_t pgoff, uint32_t prot, const char *path)
{
	struct pmf_record rec = {.type = PERF_RECORD_MMAP2,
		.misc = PERF_RECORD_MISC_USER,
		.pid = pid,
		.tid = pid,
		.mmap = {.start = start,
			.len = end - start,
			.pgoff = pgoff,
			.prot = prot,
			.path = path}};

	pmf_process_apply(&table, &rec);
}

static void map_code(uint32_t pid, uint64_t start, uint64_t end, const char *path)
{
	apply_mmap(pid, start, end, 0, PROT_READ | PROT_EXEC, path);
}

static void apply_comm(uint32_t pid, uint32_t tid, const char *comm, bool exec)
{
	struct pmf_record rec = {.type = PERF_RECORD_COMM,
		.pid = pid,
		.tid = tid,
		.comm = {.comm = comm, .exec = exec}};

	pmf_process_apply(&table, &rec);
}

static void apply_task(uint32_t type, uint32_t pid, uint32_t tid, uint32_t ppid)
{
	struct pmf_record rec = {
		.type = type, .pid = pid, .tid = tid, .task = {.ppid = ppid, .ptid = ppid}};

	pmf_process_apply(&table, &rec);
}

static const char *path_at(pid_t pid, uint64_t va)
{
	const struct pmf_map *m = pmf_process_map(pmf_process_get(&table, pid), va);

	return m ? m->image->path : "-";
}

static void only_code_is_mapped(void **state)
{
	struct pmf_record old = {.type = PERF_RECORD_MMAP,
		.misc = PERF_RECORD_MISC_USER,
		.pid = 1,
		.mmap = {.start = 0x5000, .len = 0x1000, .path = "/old"}};

	(void)state;
	apply_mmap(1, 0x1000, 0x2000, 0, PROT_READ, "/data");
	apply_mmap(1, 0x3000, 0x3000, 0, PROT_EXEC, "/empty");
	apply_mmap(1, UINT64_MAX - 10, 100, 0, PROT_EXEC, "/wraps");
	assert_int_equal(pmf_process_get(&table, 1)->nr_maps, 0);
	pmf_process_apply(&table, &old);
	assert_string_equal(path_at(1, 0x5fff), "/old");
	old.misc |= PERF_RECORD_MISC_MMAP_DATA;
	old.mmap.start = 0x7000;
	pmf_process_apply(&table, &old);
	assert_string_equal(path_at(1, 0x7000), "-");
}

static void new_mappings_cut_old_ones(void **state)
{
	struct pmf_process *p = pmf_process_get(&table, 7);
	uint64_t generation;

	(void)state;
	map_code(7, 0x10000, 0x20000, "/a");
	map_code(7, 0x30000, 0x40000, "/b");
	map_code(7, 0x20000, 0x30000, "/between");
	assert_int_equal(p->nr_maps, 3);
	generation = p->maps_generation;

	/* A hole in the middle leaves two parts that still show the right offsets. */
	apply_mmap(7, 0x14000, 0x15000, 0, PROT_EXEC, "/c");
	assert_int_equal(p->nr_maps, 5);
	assert_true(p->maps_generation > generation);
	assert_string_equal(path_at(7, 0x13fff), "/a");
	assert_string_equal(path_at(7, 0x14000), "/c");
	assert_string_equal(path_at(7, 0x14fff), "/c");
	assert_string_equal(path_at(7, 0x15000), "/a");
	assert_int_equal(pmf_process_map(p, 0x15000)->pgoff, 0x5000);
	assert_int_equal(pmf_process_map(p, 0x15000)->bias, pmf_process_map(p, 0x10000)->bias);

	/* One over the end of one, all of the next and the start of a third. */
	map_code(7, 0x18000, 0x38000, "/d");
	assert_string_equal(path_at(7, 0x17fff), "/a");
	assert_string_equal(path_at(7, 0x18000), "/d");
	assert_string_equal(path_at(7, 0x2ffff), "/d");
	assert_string_equal(path_at(7, 0x38000), "/b");
	assert_int_equal(pmf_process_map(p, 0x38000)->pgoff, 0x8000);
	assert_string_equal(path_at(7, 0x40000), "-");

	/* The same place again replaces. */
	map_code(7, 0x10000, 0x40000, "/e");
	assert_int_equal(p->nr_maps, 1);
	assert_string_equal(path_at(7, 0x10000), "/e");
	assert_string_equal(path_at(7, 0xffff), "-");
}

static void thousands_of_mappings_stay_sorted(void **state)
{
	enum { N = 5000 };
	struct pmf_process *p = pmf_process_get(&table, 3);

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		uint64_t at = 0x100000 + (i * 7919 % N) * 0x2000;

		map_code(3, at, at + 0x1000, i & 1 ? "//anon" : "/lib.so");
	}
	assert_int_equal(p->nr_maps, N);
	for (size_t i = 1; i < p->nr_maps; i++)
		assert_true(p->maps[i - 1].end <= p->maps[i].start);
	for (uint64_t i = 0; i < N; i++) {
		assert_non_null(pmf_process_map(p, 0x100000 + i * 0x2000 + 0xfff));
		assert_null(pmf_process_map(p, 0x100000 + i * 0x2000 + 0x1000));
	}
}

/* A recording says what it likes: a megabyte of forks must not cost gigabytes. */
static void copies_have_a_limit(void **state)
{
	enum { N = 1 << 14, CHILDREN = 300 };
	struct pmf_process *p = pmf_process_get(&table, 1);
	size_t copied = 0;

	(void)state;
	for (uint64_t i = 0; i < N; i++)
		map_code(1, 0x100000 + i * 0x2000, 0x101000 + i * 0x2000, "/lib.so");
	for (pid_t child = 2; child < 2 + CHILDREN; child++) {
		apply_task(PERF_RECORD_FORK, child, child, 1);
		copied += pmf_process_get(&table, child)->nr_maps;
	}
	assert_int_equal(copied, 256 * N);
	assert_true(pmf_process_get(&table, 1 + CHILDREN)->maps_incomplete);

	/* Those that leave make room. */
	apply_task(PERF_RECORD_EXIT, 2, 2, 1);
	pmf_process_table_reap(&table);
	apply_task(PERF_RECORD_FORK, 2, 2, 1);
	assert_int_equal(pmf_process_get(&table, 2)->nr_maps, N);

	for (uint64_t i = N; i < 5 * N; i++)
		map_code(1, 0x100000 + i * 0x2000, 0x101000 + i * 0x2000, "/lib.so");
	assert_int_equal(p->nr_maps, 4 * N);
	assert_true(p->maps_incomplete);
}

static void exec_empties_the_address_space(void **state)
{
	struct pmf_process *p = pmf_process_get(&table, 5);

	(void)state;
	map_code(5, 0x1000, 0x2000, "/sh");
	apply_comm(5, 5, "sh", false);
	apply_comm(5, 6, "a thread", false);
	assert_string_equal(p->comm, "sh");
	assert_int_equal(p->nr_maps, 1);
	apply_task(PERF_RECORD_FORK, 5, 6, 5);
	assert_int_equal(p->nr_tids, 2);
	apply_comm(5, 5, "a-name-longer-than-fifteen", true);
	assert_int_equal(p->nr_maps, 0);
	assert_int_equal(p->nr_tids, 1);
	assert_string_equal(p->comm, "a-name-longer-t");
}

static void fork_copies_and_pids_are_used_again(void **state)
{
	struct pmf_process *parent = pmf_process_get(&table, 10), *child, *heir;

	(void)state;
	map_code(10, 0x1000, 0x2000, "/sh");
	apply_comm(10, 10, "sh", true);
	map_code(10, 0x1000, 0x2000, "/sh");
	apply_task(PERF_RECORD_FORK, 11, 11, 10);
	child = pmf_process_find(&table, 11);
	assert_non_null(child);
	assert_string_equal(child->comm, "sh");
	assert_string_equal(path_at(11, 0x1fff), "/sh");
	map_code(11, 0x1000, 0x2000, "/other");
	assert_string_equal(path_at(10, 0x1000), "/sh");
	assert_string_equal(path_at(11, 0x1000), "/other");

	apply_task(PERF_RECORD_EXIT, 11, 11, 10);
	assert_true(child->exited);
	assert_false(parent->exited);
	assert_ptr_equal(pmf_process_find(&table, 11), child);
	apply_task(PERF_RECORD_FORK, 11, 11, 10);
	heir = pmf_process_find(&table, 11);
	assert_ptr_not_equal(heir, child);
	assert_false(heir->exited);
	assert_string_equal(path_at(11, 0x1000), "/sh");

	apply_task(PERF_RECORD_FORK, 12, 12, 999);
	assert_true(pmf_process_find(&table, 12)->maps_incomplete);
}

static void the_last_thread_ends_the_process(void **state)
{
	struct pmf_process *p = pmf_process_get(&table, 20);

	(void)state;
	apply_task(PERF_RECORD_FORK, 20, 21, 20);
	apply_task(PERF_RECORD_EXIT, 20, 20, 1);
	assert_false(p->exited);
	assert_int_equal(p->nr_tids, 1);
	apply_task(PERF_RECORD_EXIT, 20, 21, 20);
	assert_true(p->exited);
	apply_task(PERF_RECORD_EXIT, 20, 22, 20);
	assert_int_equal(p->nr_tids, 0);
	apply_task(PERF_RECORD_EXIT, 4242, 4242, 1);
	assert_null(pmf_process_find(&table, 4242));
}

static void count_free(void *counter)
{
	++*(int *)counter;
}

static void reap_drops_what_nobody_holds(void **state)
{
	enum { N = 100 };
	int user = 0, unwind = 0;

	(void)state;
	for (uint32_t pid = 1; pid <= N; pid++) {
		struct pmf_process *p = pmf_process_get(&table, (pid_t)pid);

		p->user = &user;
		p->user_free = count_free;
		p->unwind_priv = &unwind;
		p->unwind_free = count_free;
		map_code(pid, 0x1000, 0x2000, "//anon");
		if (pid % 2 == 0)
			apply_task(PERF_RECORD_EXIT, pid, pid, 1);
	}
	pmf_process_find(&table, 50)->refs++;
	/* Pid 60 has an heir: reaping the old one must not lose the new one. */
	apply_task(PERF_RECORD_FORK, 60, 60, 1);
	pmf_process_table_reap(&table);
	assert_int_equal(user, N / 2 - 1);
	assert_int_equal(unwind, N / 2 - 1);
	assert_int_equal(table.n, N / 2 + 2);
	for (pid_t pid = 1; pid <= N; pid++) {
		struct pmf_process *p = pmf_process_find(&table, pid);

		if (pid % 2 || pid == 50 || pid == 60) {
			assert_non_null(p);
			assert_int_equal(p->pid, pid);
		} else {
			assert_null(p);
		}
	}
	pmf_process_find(&table, 50)->refs--;
	pmf_process_table_reap(&table);
	assert_null(pmf_process_find(&table, 50));
	assert_int_equal(user, N / 2);
	/* The two counters live on this stack: nothing may count after it is gone. */
	for (size_t i = 0; i < table.n; i++)
		table.procs[i]->user_free = table.procs[i]->unwind_free = NULL;
}

static void bias_follows_the_segments(void **state)
{
	/* As lld lays files out: each segment's address runs ahead of its offset by one page
	 * more. */
	struct pmf_segment lld[] = {
		{.off = 0, .va = 0, .filesz = 0x1890, .memsz = 0x1890, .flags = PF_R},
		{.off = 0x1890,
			.va = 0x2890,
			.filesz = 0x3000,
			.memsz = 0x3000,
			.flags = PF_R | PF_X},
		{.off = 0x4890,
			.va = 0x6890,
			.filesz = 0x500,
			.memsz = 0x900,
			.flags = PF_R | PF_W},
	};
	/* A static program without PIE. */
	struct pmf_segment fixed[] = {
		{.off = 0, .va = 0x400000, .filesz = 0x900, .memsz = 0x900, .flags = PF_R},
		{.off = 0x1000,
			.va = 0x401000,
			.filesz = 0x8000,
			.memsz = 0x8000,
			.flags = PF_R | PF_X},
	};
	struct pmf_image im = {.kind = PMF_IMAGE_FILE, .segments = lld, .nr_segments = 3};
	struct pmf_map m;

	(void)state;
	m = pmf_map_make(&im, 0x7f0000002000, 0x7f0000006000, 0x1000);
	assert_int_equal(m.bias, 0x7f0000000000);
	/* The part of a mapping behind a hole starts in the middle of the segment. */
	m = pmf_map_make(&im, 0x7f0000004000, 0x7f0000005000, 0x3000);
	assert_int_equal(m.bias, 0x7f0000000000);
	im.segments = fixed;
	im.nr_segments = 2;
	m = pmf_map_make(&im, 0x401000, 0x409000, 0x1000);
	assert_int_equal(m.bias, 0);
	m = pmf_map_make(&im, 0x555555555000, 0x55555555d000, 0x1000);
	assert_int_equal(m.bias, 0x555555154000);
	/* No segment covers the offset, or there are none: an offset is its own address. */
	m = pmf_map_make(&im, 0x10000, 0x11000, 0x20000);
	assert_int_equal(m.bias, (uint64_t)0x10000 - 0x20000);
	im.nr_segments = 0;
	m = pmf_map_make(&im, 0x30000, 0x31000, 0x1000);
	assert_int_equal(m.bias, 0x2f000);
	im.kind = PMF_IMAGE_ANON;
	m = pmf_map_make(&im, 0x30000, 0x31000, 0x1000);
	assert_int_equal(m.bias, 0);
}

static void lines_of_proc_are_parsed_strictly(void **state)
{
	static const char *const bad[] = {"", "zz", "1000-2000", "1000-2000 r-xp",
		"2000-1000 r-xp 0 08:01 1 /x", "1000-1000 r-xp 0 08:01 1 /x",
		"1000-2000 r-x 00000000 08:01 1 /x", "1000-2000 r-xp 0g 08:01 1 /x",
		"1000-2000 r-xp 0 0801 1 /x", "1000-2000 r-xp 0 08:01 a /x",
		"10000000000000000-2 r-xp 0 08:01 1 /x", "-2000 r-xp 0 08:01 1 /x"};
	char line[200];
	struct pmf_maps_line l;

	(void)state;
	strcpy(line,
		"55d0a2c00000-55d0a2c80000 r-xp 00002000 08:01 123456   /usr/bin/a b (deleted)");
	assert_true(pmf_maps_parse_line(line, &l));
	assert_int_equal(l.start, 0x55d0a2c00000);
	assert_int_equal(l.end, 0x55d0a2c80000);
	assert_int_equal(l.pgoff, 0x2000);
	assert_int_equal(l.dev, 0x801);
	assert_int_equal(l.ino, 123456);
	assert_true(l.exec);
	assert_string_equal(l.path, "/usr/bin/a b (deleted)");
	strcpy(line, "1000-2000 rw-p 00000000 00:00 0 ");
	assert_true(pmf_maps_parse_line(line, &l));
	assert_false(l.exec);
	assert_string_equal(l.path, "");
	strcpy(line, "1000-2000 rw-p 00000000 00:00 0");
	assert_true(pmf_maps_parse_line(line, &l));
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++) {
		strcpy(line, bad[i]);
		assert_false(pmf_maps_parse_line(line, &l));
	}
}

static void proc_fills_the_gaps(void **state)
{
	uint64_t here = (uint64_t)(uintptr_t)proc_fills_the_gaps, generation;
	struct pmf_process *p = pmf_process_get(&table, getpid());
	const struct pmf_map *m;
	uint8_t byte, *jit;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	assert_null(pmf_process_map(p, here));
	m = pmf_process_map_or_reread(&table, p, here, 1000);
	assert_non_null(m);
	assert_true(m->from_proc);
	assert_int_equal(table.maps_reread, 1);
	/* The bias leads to this very byte of the file. */
	assert_true(pmf_image_read(m->image, here - m->bias, &byte, 1));
	assert_int_equal(byte, *(const uint8_t *)(uintptr_t)here);
	assert_int_equal(m->image->kind, PMF_IMAGE_FILE);

	/* Nothing new is no change; valgrind may map code of its own meanwhile. */
	for (int i = 0; i < 20; i++) {
		generation = p->maps_generation;
		assert_int_equal(pmf_process_reread(&table, p, &err), 0);
		if (p->maps_generation == generation)
			break;
	}
	assert_int_equal(p->maps_generation, generation);

	/* Anonymous code that no record told: found once 100 ms have passed. */
	jit = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(jit, MAP_FAILED);
	assert_null(pmf_process_map_or_reread(&table, p, (uintptr_t)jit, 2000));
	m = pmf_process_map_or_reread(&table, p, (uintptr_t)jit, 100001000);
	assert_non_null(m);
	assert_int_equal(m->image->kind, PMF_IMAGE_ANON);
	assert_int_equal(m->bias, 0);
	assert_true(p->maps_generation > generation);

	munmap(jit, 4096);
	assert_int_equal(pmf_process_reread(&table, p, &err), 0);
	assert_null(pmf_process_map(p, (uintptr_t)jit));
}

static void a_recording_never_asks_proc(void **state)
{
	struct pmf_process *p = pmf_process_get(&table, getpid());

	(void)state;
	assert_null(pmf_process_map_or_reread(
		&table, p, (uint64_t)(uintptr_t)a_recording_never_asks_proc, 1));
	assert_true(p->maps_incomplete);
	pmf_process_refresh(&table, p, 1);
	assert_int_equal(table.maps_reread, 0);
}

static void losses_in_a_row_read_proc_once(void **state)
{
	struct pmf_process *p = pmf_process_get(&table, getpid());

	(void)state;
	pmf_process_refresh(&table, p, 1000);
	assert_int_equal(table.maps_reread, 0); /* nothing is missing */
	for (uint64_t ns = 1000; ns < 100001000; ns += 1000000) {
		p->maps_incomplete = true;
		pmf_process_refresh(&table, p, ns);
		assert_int_equal(table.maps_reread, 1);
	}
	pmf_process_refresh(&table, p, 100001000);
	assert_int_equal(table.maps_reread, 2);
	assert_false(p->maps_incomplete);
}

static void a_process_that_is_gone_says_so(void **state)
{
	/* Larger than any pid_max (proc(5)). */
	struct pmf_process *p = pmf_process_get(&table, 0x7ffffff0);
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	map_code(0x7ffffff0, 0x1000, 0x2000, "/kept");
	assert_int_equal(pmf_process_reread(&table, p, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, "/proc/"));
	assert_int_equal(p->nr_maps, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_code_is_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(new_mappings_cut_old_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(thousands_of_mappings_stay_sorted, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_have_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(exec_empties_the_address_space, setup, teardown),
		cmocka_unit_test_setup_teardown(
			fork_copies_and_pids_are_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_thread_ends_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(reap_drops_what_nobody_holds, setup, teardown),
		cmocka_unit_test(bias_follows_the_segments),
		cmocka_unit_test(lines_of_proc_are_parsed_strictly),
		cmocka_unit_test_setup_teardown(proc_fills_the_gaps, setup_live, teardown),
		cmocka_unit_test_setup_teardown(
			losses_in_a_row_read_proc_once, setup_live, teardown),
		cmocka_unit_test_setup_teardown(a_recording_never_asks_proc, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_process_that_is_gone_says_so, setup_live, teardown),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
