/* Workers without privileges: what they may do, and what ends them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/sandbox.h"
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct pmf_sandbox *box;

/* ---- In the worker ---- */

static void do_open(void)
{
	close(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static void do_openat(void)
{
	close(openat(AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC));
}

static void do_stat(void)
{
	struct stat st;

	stat("/etc/passwd", &st);
}

static void do_socket(void)
{
	close(socket(AF_INET, SOCK_STREAM, 0));
}

static void do_fork(void)
{
	fork();
}

static void do_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void do_kill(void)
{
	kill(getppid(), SIGKILL);
}

static void do_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void do_write(void)
{
	if (write(STDOUT_FILENO, "x", 1) < 0)
		_exit(0);
}

static void do_setuid(void)
{
	if (setuid(0))
		_exit(0);
}

static void do_make_code(void)
{
	munmap(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}

static void do_prctl(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
}

static void do_raise(void)
{
	raise(SIGSEGV);
}

static const struct {
	const char *name;
	void (*call)(void);
} forbidden[] = {
	{"open", do_open},
	{"openat", do_openat},
	{"stat", do_stat},
	{"socket", do_socket},
	{"fork", do_fork},
	{"exec", do_exec},
	{"kill", do_kill},
	{"ptrace", do_ptrace},
	{"write to stdout", do_write},
	{"setuid", do_setuid},
	{"mmap code", do_make_code},
	{"prctl", do_prctl},
	{"raise", do_raise},
};

enum { READ_FILE = 'r', SPIN = 's', LOOK = 'l', FORBIDDEN = 0x80 };

enum { HIGH_FD = 5000 };

/* Read the file that comes, and send its first bytes back. */
static void work(int fd)
{
	char c, text[5];
	int file;
	size_t n = 1;
	volatile char *room;

	while (pmf_sandbox_recv(fd, &c, 1, &file, &n)) {
		if ((unsigned char)c >= FORBIDDEN)
			forbidden[(unsigned char)c - FORBIDDEN].call();
		while (c == SPIN)
			;
		if (c == LOOK) {
			c = fcntl(HIGH_FD, F_GETFD) < 0 ? 'n' : 'y';
			if (!pmf_sandbox_send(fd, &c, 1, NULL, 0))
				return;
			n = 1;
			continue;
		}
		/* What it may: memory, and what it was given. */
		room = pmf_malloc(1 << 22);
		room[0] = 1;
		free((void *)(uintptr_t)room);
		if (n != 1 || !pmf_file_pread(file, 0, text, sizeof text))
			return;
		close(file);
		if (!pmf_sandbox_send(fd, text, sizeof text, NULL, 0))
			return;
	}
}

/* ---- Outside ---- */

static int setup(void **state)
{
	const char *preloaded = getenv("LD_PRELOAD");
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	box = NULL;
	if (preloaded && strstr(preloaded, "valgrind"))
		return 0;
	box = pmf_sandbox_start(work, &err);
	if (!box && err.status != PMF_EUNSUP)
		fail_msg("%s", err.text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pmf_sandbox_stop(box);
	return 0;
}

static struct pmf_sandbox_worker spawn(void)
{
	struct pmf_sandbox_worker w;

	assert_int_equal(pmf_sandbox_spawn(box, &w, NULL), 0);
	assert_true(w.pid > 0);
	return w;
}

static bool order(const struct pmf_sandbox_worker *w, char what, int file)
{
	return pmf_sandbox_send(w->fd, &what, 1, &file, file >= 0);
}

static void test_files_are_read(void **state)
{
	struct pmf_sandbox_worker w;
	char text[6] = "";
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	NEED_SANDBOX(box);
	w = spawn();
	assert_int_equal(pwrite(fd, "hello", 5, 0), 5);
	for (int i = 0; i < 3; i++) {
		assert_true(order(&w, READ_FILE, fd));
		assert_true(pmf_sandbox_recv(w.fd, text, 5, NULL, NULL));
		assert_string_equal(text, "hello");
	}
	close(fd);
	pmf_sandbox_end(box, &w);
	assert_int_equal(w.pid, 0);
}

/* However many files were open when the keeper began. */
static void test_no_file_is_left_to_it(void **state)
{
	struct pmf_sandbox_worker w;
	struct rlimit files;
	char answer = 0;
	int high;

	(void)state;
	NEED_SANDBOX(box);
	pmf_sandbox_stop(box);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	high = dup2(STDERR_FILENO, HIGH_FD);
	box = pmf_sandbox_start(work, NULL);
	if (high < 0)
		skip_because("fewer files may be open here");
	close(high);
	w = spawn();
	assert_true(order(&w, LOOK, -1));
	assert_true(pmf_sandbox_recv(w.fd, &answer, 1, NULL, NULL));
	assert_int_equal(answer, 'n');
	pmf_sandbox_end(box, &w);
}

static void test_calls_end_it(void **state)
{
	(void)state;
	NEED_SANDBOX(box);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(forbidden); i++) {
		struct pmf_sandbox_worker w = spawn();
		char c;
		int status;

		assert_true(order(&w, (char)(FORBIDDEN + i), -1));
		assert_false(pmf_sandbox_recv(w.fd, &c, 1, NULL, NULL));
		status = pmf_sandbox_end(box, &w);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x", forbidden[i].name, (unsigned)status);
	}
}

/* The line of @pid's /proc/PID/status that begins with @field, without that. */
static char *status_of(pid_t pid, const char *field)
{
	struct pmf_buf b = PMF_BUF_INIT;
	char *path = pmf_asprintf("/proc/%d/status", (int)pid), *line, *value;

	assert_int_equal(pmf_file_read(path, 1 << 16, &b, NULL), 0);
	line = strstr(b.data, field);
	assert_non_null(line);
	line += strlen(field) + 1;
	value = pmf_strndup(line, strcspn(line, "\n"));
	free(path);
	pmf_buf_release(&b);
	return value;
}

static void assert_status(pid_t pid, const char *field, const char *want)
{
	char *value = status_of(pid, field);

	assert_string_equal(value, want);
	free(value);
}

static void test_nothing_is_left_to_it(void **state)
{
	struct pmf_sandbox_worker w;

	(void)state;
	NEED_SANDBOX(box);
	w = spawn();
	assert_status(w.pid, "Name:", "pmuflame-reader");
	assert_status(w.pid, "\nCapPrm:", "0000000000000000");
	assert_status(w.pid, "\nCapEff:", "0000000000000000");
	assert_status(w.pid, "\nNoNewPrivs:", "1");
	assert_status(w.pid, "\nSeccomp:", "2");
	if (geteuid() == 0) {
		assert_status(w.pid, "\nUid:", "65534\t65534\t65534\t65534");
		assert_status(w.pid, "\nGid:", "65534\t65534\t65534\t65534");
		assert_status(w.pid, "\nGroups:", " ");
	}
	pmf_sandbox_end(box, &w);
}

static void test_one_that_spins_is_ended(void **state)
{
	struct pmf_sandbox_worker w;
	int status;

	(void)state;
	NEED_SANDBOX(box);
	w = spawn();
	assert_true(order(&w, SPIN, -1));
	status = pmf_sandbox_end(box, &w);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* No worker outlives the keeper, whatever it does. */
static void test_all_end_together(void **state)
{
	struct pmf_sandbox_worker w;
	struct timespec ms = {.tv_nsec = 1000000};
	int tries = 0;

	(void)state;
	NEED_SANDBOX(box);
	w = spawn();
	assert_true(order(&w, SPIN, -1));
	pmf_sandbox_stop(box);
	box = NULL;
	/* It is nobody's child now, and init may take its time. */
	while (kill(w.pid, 0) == 0 && tries++ < 10000) {
		char *is = status_of(w.pid, "\nState:");
		bool zombie = is[0] == 'Z';

		free(is);
		if (zombie)
			break;
		nanosleep(&ms, NULL);
	}
	assert_true(tries < 10000);
	close(w.fd);
}

static bool churn(void)
{
	struct pmf_sandbox_worker w;
	bool ok = true;

	for (int i = 0; ok && i < 50; i++)
		ok = pmf_sandbox_spawn(box, &w, NULL) == 0 && pmf_sandbox_end(box, &w) >= 0;
	return ok;
}

/* A process forked later has workers of its own by the same keeper, at the same time. */
static void test_forks_share_the_keeper(void **state)
{
	int status;
	bool ok;
	pid_t pid;

	(void)state;
	NEED_SANDBOX(box);
	pid = fork();
	ok = churn();
	if (pid == 0)
		_exit(ok ? 0 : 1);
	assert_true(ok);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file_is_left_to_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls_end_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_left_to_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_spins_is_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_end_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forks_share_the_keeper, setup, teardown),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
