/* What an interpreter says of itself before it is asked for anything: it may say what it likes. And the folder
 * that it finds the agent in: its process may lead the way to it anywhere. */
#include "pmuflame/file.h"
#include "pmuflame/remote.h"

#include "remote_priv.h"
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "skip.h"
#include <cmocka.h>

enum {
	VERSION = 1,
	FREE_THREADED = 2,
	INTERPRETERS = 5,
	THREADS = 9,
	MAIN_THREAD = 10,
	THREAD_BYTES = 22,
	NEXT_THREAD = 24,
	NATIVE_ID = 28,
	EVAL_BREAKER = 89,
	SUPPORT = 90,
	ENABLED = 91,
	PENDING = 92,
	PATH = 93,
	PATH_BYTES = 94,
};

/* Read from the .PyRuntime section of Debian's python3.14 3.14.10-1, amd64. */
static const uint64_t recorded[PMF_REMOTE_WORDS] = {8750607829840520312U, 0x30e0af0, 0, 316616, 784,
	808, 225864, 7280, 7272, 7344, 7360, 7408, 7688, 7672, 7680, 16, 7784, 0, 7800, 7792, 7992,
	0, 832, 0, 8, 16, 72, 152, 160, 232, 32, 88, 8, 0, 56, 80, 74, 64, 0, 216, 112, 120, 128,
	136, 68, 52, 96, 104, 208, 0, 16, 8, 416, 24, 88, 168, 40, 32, 16, 40, 24, 16, 200, 24, 40,
	32, 48, 32, 40, 24, 16, 32, 16, 24, 40, 16, 32, 64, 32, 16, 40, 264, 192, 160, 24, 72, 67,
	0, 8, 24, 304, 8076, 0, 4, 512};

/* The sentence for @recorded with word @at changed to @value. */
static const char *refused(size_t at, uint64_t value)
{
	static struct pmf_err err;
	uint64_t words[PMF_REMOTE_WORDS];
	struct pmf_remote_offsets o;

	memcpy(words, recorded, sizeof words);
	words[at] = value;
	err = (struct pmf_err)PMF_ERR_INIT;
	assert_true(pmf_remote_offsets_read(words, &o, &err) < 0);
	return err.text;
}

static void test_recorded(void **state)
{
	struct pmf_remote_offsets o;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	assert_int_equal(pmf_remote_offsets_read(recorded, &o, &err), 0);
	assert_string_equal(err.text, "");
	assert_int_equal(o.interpreters, 808);
	assert_int_equal(o.threads, 7344);
	assert_int_equal(o.main_thread, 7360);
	assert_int_equal(o.next_thread, 8);
	assert_int_equal(o.native_id, 160);
	assert_int_equal(o.enabled, 8076);
	assert_int_equal(o.eval_breaker, 24);
	assert_int_equal(o.pending, 304);
	assert_int_equal(o.path, 308);
	assert_int_equal(o.path_bytes, 512);
}

static void test_versions(void **state)
{
	uint64_t words[PMF_REMOTE_WORDS] = {0};
	struct pmf_remote_offsets o;

	(void)state;
	assert_int_equal(pmf_remote_offsets_read(words, &o, NULL), PMF_EFORMAT);
	assert_non_null(strstr(refused(VERSION, 0x30d05f0), "CPython 3.13.5 has no interface"));
	assert_non_null(strstr(refused(VERSION, 0x30f00f0), "CPython 3.15.0 is later"));
	assert_non_null(
		strstr(refused(VERSION, 0x30e00b1), "not those of its version")); /* 3.14b1 */
	assert_non_null(strstr(refused(VERSION, 0x20712f0), "does not say what it is"));
	assert_non_null(strstr(refused(FREE_THREADED, 1), "3.14.10 is a free-threaded build"));
}

/* Nothing is written to where it points outside of its own structures. */
static void test_nonsense(void **state)
{
	static const size_t places[] = {INTERPRETERS, THREADS, MAIN_THREAD, NEXT_THREAD, NATIVE_ID,
		EVAL_BREAKER, SUPPORT, ENABLED, PENDING, PATH, PATH_BYTES};
	static const uint64_t values[] = {UINT64_MAX, UINT64_MAX - 7, INT64_MAX, 1 << 24};

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
			assert_non_null(
				strstr(refused(places[i], values[k]), "not those of its version"));
	assert_non_null(strstr(refused(THREAD_BYTES, 400), "not those of its version"));
	assert_non_null(strstr(refused(PATH_BYTES, 1), "not those of its version"));
}

enum { NOBODY = 65534 };

/* A process of nobody's whose root is @root. */
static pid_t start_in(const char *root)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		if (chroot(root) == 0 && chdir("/") == 0 && setgid(NOBODY) == 0 &&
			setuid(NOBODY) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
			write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* Root does there what nobody could, and no more: else its way would lead wherever nobody mounts something. */
static void test_place(void **state)
{
	char root[] = "/tmp/pmuflame-test-XXXXXX", tmp[sizeof root + 4];
	struct pmf_remote_place pl;
	struct pmf_err err = PMF_ERR_INIT;
	struct stat st;
	gid_t group = 0;
	pid_t pid;
	int top;

	(void)state;
	NEED_ROOT("has folders made in the name of others");
	if (setgroups(1, &group) != 0)
		skip_because("this root may not change its groups");
	top = pmf_file_place_in(AT_FDCWD, "/", O_DIRECTORY);
	if (top < 0)
		skip_because("no openat2(2) here, or valgrind does not know it");
	close(top);
	assert_non_null(mkdtemp(root));
	snprintf(tmp, sizeof tmp, "%s/tmp", root);
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(mkdir(tmp, 0755), 0);
	/* Our groups count no more than our user does. */
	assert_int_equal(chmod(tmp, 0775), 0);
	pid = start_in(root);
	assert_int_equal(pmf_remote_place_make(&pl, pid, &err), PMF_EPERM);
	assert_non_null(strstr(err.text, "its user 65534 can make no folder in its /tmp"));
	assert_int_equal(getgroups(1, &group), 1);
	assert_int_equal(rmdir(tmp), 0); /* nothing is left there */
	assert_int_equal(mkdir(tmp, 0755), 0);
	assert_int_equal(chmod(tmp, 01777), 0);
	assert_int_equal(pmf_remote_place_make(&pl, pid, &err), 0);
	assert_int_equal(fstat(pl.fd, &st), 0);
	assert_int_equal(st.st_uid, NOBODY);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(pmf_remote_place_write(&pl, "attach.py", "x", 1, &err), 0);
	assert_int_equal(fstatat(pl.fd, "attach.py", &st, 0), 0);
	assert_int_equal(st.st_uid, NOBODY);
	/* What it has the path of another's folder lead to is not written to. */
	assert_int_equal(fchmod(pl.fd, 0500), 0);
	assert_int_equal(pmf_remote_place_write(&pl, "why", "x", 1, &err), PMF_EIO);
	assert_int_equal(fchmod(pl.fd, 0700), 0);
	pmf_remote_place_remove(&pl);
	pmf_remote_place_close(&pl);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(rmdir(tmp), 0);
	assert_int_equal(rmdir(root), 0);
}

static void look_at_state(void *ctx)
{
	const pid_t *pid = ctx;
	char path[40], line[256] = "";
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)*pid);
	file = fopen(path, "r");
	assert_non_null(fgets(line, sizeof line, file));
	fclose(file);
	assert_non_null(strstr(line, ") t "));
}

static void test_stopped(void **state)
{
	int said[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(said), 0);
	pid = fork();
	if (pid == 0) {
		while (write(said[1], "", 1) == 1)
			;
		_exit(1);
	}
	assert_int_equal(pmf_remote_while_stopped(pid, look_at_state, &pid), PMF_REMOTE_STOPPED);
	assert_int_equal(read(said[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(pmf_remote_while_stopped(pid, look_at_state, &pid), PMF_REMOTE_UNTRACED);
	close(said[0]);
	close(said[1]);
}

/* Who waits for a child that has his memory does not stop; and he goes on when that is over. */
static void test_restless(void **state)
{
	const char *preloaded = getenv("LD_PRELOAD");
	int said[2], held[2];
	char byte;
	pid_t pid;

	(void)state;
	if (preloaded && strstr(preloaded, "valgrind"))
		skip_because("valgrind has no such clone(2)");
	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(held), 0);
	pid = fork();
	if (pid == 0) {
		close(held[1]);
		if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL) == 0)
			_exit(write(said[1], "c", 1) == 1 && read(held[0], &byte, 1) == 0 ? 0 : 1);
		_exit(write(said[1], "p", 1) == 1 ? 0 : 1);
	}
	assert_int_equal(read(said[0], &byte, 1), 1);
	assert_int_equal(pmf_remote_while_stopped(pid, look_at_state, &pid), PMF_REMOTE_RESTLESS);
	close(held[0]);
	close(held[1]);
	assert_int_equal(read(said[0], &byte, 1), 1);
	assert_int_equal(byte, 'p');
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(said[0]);
	close(said[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_restless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
