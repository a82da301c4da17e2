/* The base module's dealings with the world: files in and out, messages, who runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/tasks.h"
#include "skip.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A fresh folder that the test's files live in; gone again after it. */
static int folder_setup(void **state)
{
	char *dir = pmf_strdup("/tmp/pmuflame-test.XXXXXX");

	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

static size_t count_files(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static int folder_teardown(void **state)
{
	char *dir = *state;
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
	free(dir);
	return 0;
}

static void write_text(const char *path, const void *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void assert_text(const char *path, const char *want)
{
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_err err = PMF_ERR_INIT;

	assert_int_equal(pmf_file_read(path, 4096, &b, &err), 0);
	assert_string_equal(pmf_buf_str(&b), want);
	pmf_buf_release(&b);
}

/* ---- file ---- */

static void test_file_read(void **state)
{
	char *path = pmf_asprintf("%s/text", (char *)*state);
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_err err = PMF_ERR_INIT;
	char line[8];
	long long n;

	write_text(path, "first line\nsecond", 17);
	assert_int_equal(pmf_file_read(path, 17, &b, &err), 0);
	assert_string_equal(pmf_buf_str(&b), "first line\nsecond");
	assert_int_equal(pmf_file_read(path, 34, &b, &err), 0); /* behind what is there */
	assert_string_equal(pmf_buf_str(&b), "first line\nsecondfirst line\nsecond");
	assert_int_equal(pmf_file_read(path, 50, &b, &err), PMF_ELIMIT);
	pmf_buf_release(&b);
	assert_int_equal(pmf_file_read(path, 16, &b, &err), PMF_ELIMIT);
	assert_int_equal(pmf_file_read_line(path, line, sizeof line, &err), 0);
	assert_string_equal(line, "first l");
	assert_int_equal(pmf_file_read_s64(path, &n, &err), PMF_EFORMAT);

	write_text(path, "-1\n", 3);
	assert_int_equal(pmf_file_read_s64(path, &n, &err), 0);
	assert_int_equal(n, -1);
	write_text(path, "0-7\n", 4);
	assert_int_equal(pmf_file_read_s64(path, &n, &err), PMF_EFORMAT);
	write_text(path, "99999999999999999999\n", 21);
	assert_int_equal(pmf_file_read_s64(path, &n, &err), PMF_EFORMAT);
	write_text(path, "", 0);
	assert_int_equal(pmf_file_read_s64(path, &n, &err), PMF_EFORMAT);

	unlink(path);
	assert_int_equal(pmf_file_read(path, 100, &b, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(pmf_file_read(*state, 100, &b, &err), PMF_EIO); /* a folder */
	pmf_buf_release(&b);
	free(path);
}

static void test_pread(void **state)
{
	char *path = pmf_asprintf("%s/text", (char *)*state), out[4];
	int fd;

	write_text(path, "0123456789", 10);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(pmf_file_pread(fd, 6, out, 4));
	assert_memory_equal(out, "6789", 4);
	assert_true(pmf_file_pread(fd, 100, out, 0));
	assert_false(pmf_file_pread(fd, 7, out, 4));
	assert_false(pmf_file_pread(fd, UINT64_MAX, out, 1));
	close(fd);
	free(path);
}

static void test_outfile(void **state)
{
	char *path = pmf_asprintf("%s/out.svg", (char *)*state);
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;
	struct stat st;
	mode_t mask = umask(027);

	write_text(path, "old", 3);
	assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
	fputs("new", of.f);
	assert_text(path, "old"); /* until it is whole */
	assert_int_equal(pmf_outfile_commit(&of, &err), 0);
	umask(mask);
	assert_text(path, "new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(count_files(*state), 1);

	assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
	fputs("never", of.f);
	pmf_outfile_abort(&of);
	pmf_outfile_abort(&of); /* once is enough, twice does no harm */
	assert_text(path, "new");
	assert_int_equal(count_files(*state), 1);
	free(path);
}

static void test_outfile_replaces_symlink(void **state)
{
	char *path = pmf_asprintf("%s/out.svg", (char *)*state);
	char *victim = pmf_asprintf("%s/victim", (char *)*state);
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;
	struct stat st;

	write_text(victim, "precious", 8);
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(pmf_outfile_probe(path, &err), 0);
	assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
	fputs("graph", of.f);
	assert_int_equal(pmf_outfile_commit(&of, &err), 0);
	assert_text(victim, "precious");
	assert_text(path, "graph");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	free(path);
	free(victim);
}

static void test_outfile_refuses_devices(void **state)
{
	char *fifo = pmf_asprintf("%s/fifo", (char *)*state);
	char *null = pmf_asprintf("%s/null", (char *)*state);
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;
	struct stat st;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink("/dev/null", null), 0);
	assert_int_equal(pmf_outfile_probe(fifo, &err), PMF_EUSAGE);
	assert_int_equal(pmf_outfile_open(&of, fifo, &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "no regular file"));
	assert_int_equal(pmf_outfile_open(&of, null, &err), PMF_EUSAGE);
	assert_int_equal(lstat(null, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(count_files(*state), 2);
	free(fifo);
	free(null);
}

static void test_open_regular(void **state)
{
	char *path = pmf_asprintf("%s/file", (char *)*state);
	char *fifo = pmf_asprintf("%s/fifo", (char *)*state);
	struct stat st;
	char byte;
	int fd;

	write_text(path, "x", 1);
	fd = pmf_file_open_regular(path, &st);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	errno = 0;
	assert_int_equal(pmf_file_open_regular(fifo, &st), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pmf_file_open_regular("/dev/null", &st), -1);
	assert_int_equal(errno, EINVAL);
	unlink(path);
	assert_int_equal(pmf_file_open_regular(path, &st), -1);
	assert_int_equal(errno, ENOENT);
	free(path);
	free(fifo);
}

/* Whoever opens a file that its owner has a lease of waits for the owner, 45 seconds by default. */
static void test_open_leased(void **state)
{
	char *path = pmf_asprintf("%s/file", (char *)*state);
	int ready[2], fd;
	struct stat st;
	char leased = 0;
	pid_t pid;

	write_text(path, "x", 1);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGIO, SIG_IGN);
		fd = open(path, O_RDWR | O_CLOEXEC);
		leased = fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
		if (write(ready[1], &leased, 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &leased, 1), 1);
	close(ready[0]);
	fd = leased ? pmf_file_open_regular(path, &st) : -1;
	if (leased)
		assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd, -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(path);
	if (!leased)
		skip_because("this file system has no leases");
}

/* Who gets the file at @path when it is written with these in the environment. */
static uid_t owner_with(const char *path, const char *uid, const char *gid)
{
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;
	struct stat st;

	assert_int_equal(setenv("SUDO_UID", uid, 1), 0);
	assert_int_equal(setenv("SUDO_GID", gid, 1), 0);
	assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
	assert_int_equal(pmf_outfile_commit(&of, &err), 0);
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	assert_int_equal(stat(path, &st), 0);
	return st.st_uid;
}

static void test_outfile_under_sudo(void **state)
{
	static const char *const bad[] = {"", "12x", "-5", " 5", "4294967295", "99999999999999"};
	char *path;

	NEED_ROOT("writes in the name of others");
	path = pmf_asprintf("%s/out.svg", (char *)*state);
	assert_int_equal(owner_with(path, "1234", "55"), 1234);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(bad); i++)
		assert_int_equal(owner_with(path, bad[i], "55"), 0);
	free(path);
}

static void test_outfile_failures_leave_nothing(void **state)
{
	char *path = pmf_asprintf("%s/out.svg", (char *)*state);
	char *missing = pmf_asprintf("%s/missing/out.svg", (char *)*state);
	struct pmf_outfile of;
	struct pmf_err err = PMF_ERR_INIT;
	int full;

	assert_int_equal(pmf_outfile_open(&of, missing, &err), PMF_ENOTFOUND);
	assert_non_null(strstr(err.text, missing));
	assert_int_equal(pmf_outfile_probe(missing, &err), PMF_ENOTFOUND);
	assert_int_equal(pmf_outfile_probe(*state, &err), PMF_EUSAGE);
	assert_non_null(strstr(err.text, "folder"));
	assert_int_equal(pmf_outfile_probe(path, &err), 0);
	assert_int_equal(count_files(*state), 0);

	/* A folder comes to stand in the file's place: the rename fails. */
	assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(pmf_outfile_commit(&of, &err), PMF_EIO);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(count_files(*state), 0);

	/* The disk is full: /dev/full in the place of the temporary file's descriptor. */
	for (int flushed = 0; flushed < 2; flushed++) {
		assert_int_equal(pmf_outfile_open(&of, path, &err), 0);
		full = open("/dev/full", O_WRONLY | O_CLOEXEC);
		assert_true(full >= 0);
		assert_int_equal(dup2(full, fileno(of.f)), fileno(of.f));
		close(full);
		fputs("graph", of.f);
		if (flushed) /* the write fails before the commit, which must remember it */
			assert_int_equal(fflush(of.f), EOF);
		assert_int_equal(pmf_outfile_commit(&of, &err), PMF_EIO);
		assert_null(strstr(err.text, "Success"));
		assert_int_equal(count_files(*state), 0);
	}
	free(path);
	free(missing);
}

/* ---- log ---- */

/* What pmf_log writes to stderr for @text at @level. */
static char *logged(const char *dir, enum pmf_log_level level, const char *text)
{
	char *path = pmf_asprintf("%s/log", dir);
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600), saved = dup(2);
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_err err = PMF_ERR_INIT;

	assert_true(fd >= 0 && saved >= 0);
	assert_int_equal(dup2(fd, 2), 2);
	pmf_log(level, "%s", text);
	assert_int_equal(dup2(saved, 2), 2);
	close(saved);
	close(fd);
	assert_int_equal(pmf_file_read(path, 4096, &b, &err), 0);
	free(path);
	return pmf_buf_detach(&b);
}

static void assert_logged(
	const char *dir, enum pmf_log_level level, const char *text, const char *want)
{
	char *got = logged(dir, level, text);

	assert_string_equal(got, want);
	free(got);
}

static void test_log(void **state)
{
	const char *dir = *state;
	char long_text[3000], *got;

	assert_logged(dir, PMF_LOG_WARN, "plain", "pmuflame: plain\n");
	assert_logged(dir, PMF_LOG_INFO, "not at this level", "");
	assert_logged(dir, PMF_LOG_WARN, "a\033[31mb\nc\td\177e\r", "pmuflame: a?[31mb?c?d?e?\n");
	/* C1 control characters in UTF-8; other letters stay. */
	assert_logged(dir, PMF_LOG_WARN,
		"\xc2\x9b"
		"31m µ é",
		"pmuflame: ?31m µ é\n");
	pmf_log_set_level(PMF_LOG_QUIET);
	assert_logged(dir, PMF_LOG_WARN, "quiet", "");
	pmf_log_set_level(PMF_LOG_INFO);
	assert_int_equal(pmf_log_level(), PMF_LOG_INFO);
	assert_logged(dir, PMF_LOG_INFO, "now", "pmuflame: now\n");
	pmf_log_set_level(PMF_LOG_WARN);

	memset(long_text, 'x', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	got = logged(dir, PMF_LOG_WARN, long_text);
	assert_in_range(strlen(got), 1000, 1200);
	assert_int_equal(got[strlen(got) - 1], '\n');
	free(got);
}

static void test_safe_name(void **state)
{
	char *name = pmf_file_safe_name("mem:0x10/4:rw:u");

	(void)state;
	assert_string_equal(name, "mem_0x10_4_rw_u");
	free(name);
	name = pmf_file_safe_name("../a\n\xff.b-c_D");
	assert_string_equal(name, ".._a__.b-c_D");
	free(name);
}

/* ---- tasks ---- */

static pthread_barrier_t meeting;

static void *attend(void *tid)
{
	*(pid_t *)tid = gettid();
	pthread_barrier_wait(&meeting); /* all are there */
	pthread_barrier_wait(&meeting); /* they were listed */
	return NULL;
}

static void test_tasks(void **state)
{
	enum { OTHERS = 3 };
	pid_t tids[1 + OTHERS] = {getpid()}, tid;
	unsigned seen[1 + OTHERS] = {0};
	pthread_t threads[OTHERS];
	DIR *tasks;
	size_t n;

	(void)state;
	assert_int_equal(pthread_barrier_init(&meeting, NULL, 1 + OTHERS), 0);
	for (size_t i = 0; i < OTHERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, attend, &tids[1 + i]), 0);
	pthread_barrier_wait(&meeting);
	tasks = pmf_tasks_open(getpid());
	for (n = 0; (tid = pmf_tasks_next(tasks)); n++)
		for (size_t i = 0; i < PMF_ARRAY_SIZE(tids); i++)
			seen[i] += tid == tids[i];
	pmf_tasks_close(tasks);
	assert_int_equal(pmf_tasks_count(getpid()), n);
	pthread_barrier_wait(&meeting);
	for (size_t i = 0; i < OTHERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&meeting);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(seen); i++)
		assert_int_equal(seen[i], 1);
}

static void test_tasks_of_nobody(void **state)
{
	pid_t pid = fork();
	siginfo_t ended;
	DIR *tasks;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
	assert_int_equal(pmf_tasks_count(pid), 1);
	waitpid(pid, NULL, 0);
	assert_int_equal(pmf_tasks_count(pid), 0);
	errno = 0;
	tasks = pmf_tasks_open(pid);
	assert_null(tasks);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(pmf_tasks_next(tasks), 0);
	pmf_tasks_close(tasks);
}

static void test_tasks_children(void **state)
{
	pid_t pids[2], found[3];
	size_t n;

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			for (;;)
				pause();
	}
	n = pmf_tasks_children(getpid(), found, PMF_ARRAY_SIZE(found));
	if (n > 0) { /* the kernel says */
		assert_int_equal(n, PMF_ARRAY_SIZE(pids));
		assert_memory_equal(found, pids, sizeof pids);
		assert_int_equal(pmf_tasks_children(getpid(), found, 1), 1);
		assert_int_equal(pmf_tasks_children(pids[0], found, PMF_ARRAY_SIZE(found)), 0);
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(pids); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	assert_int_equal(pmf_tasks_children(getpid(), found, PMF_ARRAY_SIZE(found)), 0);
}

static void test_tasks_are_numbers(void **state)
{
	static const char *const names[] = {"self", "12k", "0", "-3", "4294967296", "12"};
	DIR *dir;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(names); i++) {
		char *path = pmf_asprintf("%s/%s", (char *)*state, names[i]);

		write_text(path, "", 0);
		free(path);
	}
	dir = opendir(*state);
	assert_non_null(dir);
	assert_int_equal(pmf_tasks_next(dir), 12);
	assert_int_equal(pmf_tasks_next(dir), 0);
	pmf_tasks_close(dir);
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe_name),
		FOLDER_TEST(test_file_read),
		FOLDER_TEST(test_pread),
		FOLDER_TEST(test_outfile),
		FOLDER_TEST(test_outfile_replaces_symlink),
		FOLDER_TEST(test_outfile_refuses_devices),
		FOLDER_TEST(test_outfile_under_sudo),
		FOLDER_TEST(test_open_regular),
		FOLDER_TEST(test_open_leased),
		FOLDER_TEST(test_outfile_failures_leave_nothing),
		FOLDER_TEST(test_log),
		cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_tasks_of_nobody),
		cmocka_unit_test(test_tasks_children),
		FOLDER_TEST(test_tasks_are_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
