/* Events on whole CPUs, all of them or those of a control group, and totals from a mark on. */
#include "perf_server.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "skip.h"
#include <cmocka.h>

/* A group of our own below a mounted hierarchy that can have perf events. */
static int make_cgroup(char path[128])
{
	static const char *const roots[] = {
		"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/perf_event"};

	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		char procs[160];

		snprintf(path, 128, "%s/pmuflame-test-%d", roots[i], (int)getpid());
		snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
		if (mkdir(path, 0755) == 0 && access(procs, W_OK) == 0)
			return open(path, O_RDONLY | O_CLOEXEC);
		rmdir(path);
	}
	return -1;
}

static void enter_cgroup(const char *path, pid_t pid)
{
	char procs[160];
	FILE *f;

	snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
	f = fopen(procs, "w");
	assert_non_null(f);
	fprintf(f, "%d\n", (int)pid);
	assert_int_equal(0, fclose(f));
}

/* Who is in the group is counted, and nobody else; children are born in it. */
static void test_cgroup(void **state)
{
	struct server inside, outside;
	struct counting c;
	char path[128];
	int fd = may_count_cpus() ? make_cgroup(path) : -1;

	(void)state;
	if (fd < 0)
		skip_because("this user may make no control group, or not count in it");
	server_start(&inside);
	server_start(&outside);
	enter_cgroup(path, inside.pid);
	counting_open(&c, (struct pmf_perf_opts){
				  .target = PMF_PERF_CGROUP, .cgroup_fd = fd, .inherit = true});
	pmf_perf_start(c.session);
	ask_all(&inside, 'p');
	ask_all(&outside, 'p');
	ask_all(&outside, 'f');
	counting_end(&c);
	assert_int_equal(THREADS * PAGES, count(&c));
	assert_int_equal(THREADS * PAGES, c.samples);
	assert_int_equal(0, c.forks);
	counting_close(&c);
	server_end(&inside);
	server_end(&outside);
	close(fd);
	assert_int_equal(0, rmdir(path));
}

static void test_system(void **state)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct server s;
	struct counting c;

	(void)state;
	if (!may_count_cpus()) {
		assert_int_equal(PMF_EPERM,
			try_open(&c, (struct pmf_perf_opts){.target = PMF_PERF_SYSTEM}, &err));
		pmf_event_list_release(&c.list);
		return;
	}
	server_start(&s);
	counting_open(&c, (struct pmf_perf_opts){.target = PMF_PERF_SYSTEM});
	pmf_perf_start(c.session);
	ask_all(&s, 'p');
	ask_all(&s, 'f');
	counting_end(&c);
	assert_true(count(&c) >= 2 * THREADS * PAGES);
	assert_true(c.forks >= THREADS);
	counting_close(&c);
	server_end(&s);
}

static void test_cpus(void **state)
{
	static const char *const wrong[] = {"", "x", "0-", "1-0", "0,,1", "0 1", "-1", "8191"};
	const struct pmf_perf_opts opts = {
		.target = PMF_PERF_TASKS, .pids = (const pid_t[]){getpid()}, .nr_pids = 1};
	struct counting c;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pmf_err err = PMF_ERR_INIT;
		struct pmf_perf_opts with = opts;

		with.cpus = wrong[i];
		assert_int_equal(PMF_EUSAGE, try_open(&c, with, &err));
		assert_non_null(strstr(err.text, wrong[i]));
		pmf_event_list_release(&c.list);
	}
}

static void test_marks(void **state)
{
	struct server s;
	struct counting c;

	(void)state;
	server_start(&s);
	counting_open(
		&c, (struct pmf_perf_opts){.target = PMF_PERF_TASKS, .pids = &s.pid, .nr_pids = 1});
	pmf_perf_start(c.session);
	ask_all(&s, 'p');
	pmf_perf_freeze(c.session, true);
	ask(&s, 0, 'p');
	assert_int_equal(THREADS * PAGES, count(&c));
	pmf_perf_mark(c.session); /* at the moment that was frozen */
	assert_int_equal(0, count(&c));
	pmf_perf_freeze(c.session, false);
	assert_int_equal(PAGES, count(&c));
	pmf_perf_mark(c.session);
	ask(&s, 1, 'p');
	ask(&s, 2, 'p');
	counting_end(&c);
	assert_int_equal(2 * PAGES, count(&c));
	counting_close(&c);
	server_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
