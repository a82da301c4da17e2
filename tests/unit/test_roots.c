#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "process_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process whose root folder is "FOLDER/root"; "FOLDER/lib.so" stands for a file of ours, and
 * "FOLDER/rootFOLDER/lib.so" is what that process has at the same path. */
struct scene {
	struct pmf_process_table table;
	char *folder, *ours, *inside;
	pid_t pid;
	bool ready;
};

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static void copy_fixture(const char *name, const char *to)
{
	run("cp '%s/tests/fixtures/elf/bin/%s' '%s'", getenv("builddir"), name, to);
}

/* False if this process may not change its root folder. */
static bool start_process(struct scene *s)
{
	char *root = pmf_asprintf("%s/root", s->folder), byte;
	int ready[2];

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	s->pid = fork();
	if (s->pid == 0) {
		if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0)
			_exit(1);
		if (chroot(root) == 0 && chdir("/") == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	free(root);
	close(ready[1]);
	byte = (char)read(ready[0], &byte, 1);
	close(ready[0]);
	return byte == 1;
}

static int setup(void **state)
{
	char name[] = "/tmp/pmuflame-roots.XXXXXX";
	struct scene *s = pmf_zalloc(sizeof *s);

	pmf_process_table_init(&s->table, true);
	s->folder = pmf_strdup(mkdtemp(name));
	s->ours = pmf_asprintf("%s/lib.so", s->folder);
	s->inside = pmf_asprintf("%s/root%s", s->folder, s->ours);
	run("mkdir -p '%s/root%s'", s->folder, s->folder);
	copy_fixture("shared.so", s->ours);
	*state = s;
	s->ready = start_process(s);
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	pmf_process_table_release(&s->table);
	run("rm -rf '%s'", s->folder);
	free(s->folder);
	free(s->ours);
	free(s->inside);
	free(s);
	return 0;
}

static struct scene *scene(void **state)
{
	struct scene *s = *state;

	if (!s->ready)
		skip_because("this process may not change its root folder");
	return s;
}

static struct pmf_image *get(struct scene *s, const struct stat *st, dev_t dev)
{
	return pmf_image_get(&s->table, s->ours, dev, st->st_ino, NULL, 0, s->pid, 0, 0);
}

static void test_roots(void **state)
{
	struct scene *s = scene(state);
	const struct pmf_root *root = pmf_root_of(&s->table, s->pid);

	assert_non_null(root);
	assert_ptr_equal(pmf_root_of(&s->table, s->pid), root);
	assert_int_equal(s->table.nr_roots, 1);
	assert_null(pmf_root_of(&s->table, getpid()));
	assert_null(pmf_root_of(&s->table, 0));
}

/* An inode number of another device proves nothing. */
static void test_other_device(void **state)
{
	struct scene *s = scene(state);
	struct pmf_image *im;
	struct stat st;

	assert_int_equal(stat(s->ours, &st), 0);
	im = get(s, &st, st.st_dev + 1);
	assert_null(im->elf);
	assert_null(im->root);
	im = get(s, &st, st.st_dev);
	assert_non_null(im->elf);
	assert_string_equal(im->file, s->ours);
}

static void test_inside(void **state)
{
	struct scene *s = scene(state);
	struct pmf_image *im, *ours;
	struct stat st;

	copy_fixture("based.so", s->inside);
	assert_int_equal(stat(s->inside, &st), 0);
	im = get(s, &st, st.st_dev);
	assert_non_null(im->elf);
	assert_ptr_equal(get(s, &st, st.st_dev), im);
	assert_true(pmf_starts_with(im->file, PMF_FILE_ROOT));
	assert_string_equal(im->root, s->table.roots[0].path);
	assert_int_equal(im->build_id_len, 20);
	/* A record that tells the build id means the same file. */
	assert_ptr_equal(pmf_image_get(&s->table, s->ours, 0, 0, im->build_id, im->build_id_len,
				 s->pid, 0, 0),
		im);
	assert_int_equal(stat(s->ours, &st), 0);
	ours = pmf_image_get(&s->table, s->ours, 0, st.st_ino, NULL, 0, getpid(), 0, 0);
	assert_ptr_not_equal(ours, im);
	assert_null(ours->root);
}

/* What stands at a path there under a build id is not what we have: who is root there made it up. */
static void test_forged(void **state)
{
	struct scene *s = scene(state);
	struct pmf_image *im, *ours;
	struct stat st;
	uint8_t id[20];

	copy_fixture("shared.so", s->inside);
	run("echo forged >> '%s'", s->inside);
	assert_int_equal(stat(s->inside, &st), 0);
	im = get(s, &st, st.st_dev);
	assert_non_null(im->root);
	memcpy(id, im->build_id, sizeof id);
	ours = pmf_image_get(&s->table, s->ours, 0, 0, id, sizeof id, getpid(), 0, 0);
	assert_ptr_not_equal(ours, im);
	assert_string_equal(ours->file, s->ours);
	assert_ptr_equal(
		pmf_image_get(&s->table, s->ours, 0, 0, id, sizeof id, getpid(), 0, 0), ours);
	/* Nor for one who was gone before anybody looked; but ours is good for all. */
	assert_ptr_equal(pmf_image_get(&s->table, s->ours, 0, 0, id, sizeof id, -1, 0, 0), ours);
	assert_ptr_equal(
		pmf_image_get(&s->table, s->ours, 0, 0, id, sizeof id, s->pid, 0, 0), ours);
}

/* When the process is gone, its root still leads to what the next one like it mapped. */
static void test_gone(void **state)
{
	struct scene *s = scene(state);
	struct pmf_image *im;
	uint8_t id[20];

	copy_fixture("based.so", s->inside);
	im = pmf_image_get(&s->table, s->inside, 0, 0, NULL, 0, getpid(), 0, 0);
	memcpy(id, im->build_id, sizeof id);
	assert_non_null(pmf_root_of(&s->table, s->pid));
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	im = pmf_image_get(&s->table, s->ours, 0, 0, id, sizeof id, s->pid, 0, 0);
	assert_non_null(im->elf);
	assert_string_equal(im->root, s->table.roots[0].path);
}

static void test_links_stay_inside(void **state)
{
	struct scene *s = scene(state);
	int here = pmf_file_place_in(AT_FDCWD, "/", 0);
	struct stat st;
	char *path;

	if (here < 0 && errno == ENOSYS)
		skip_because("there is no openat2(2): Linux 5.6 has it, valgrind may not");
	close(here);
	path = pmf_asprintf("%s%s", pmf_root_of(&s->table, s->pid)->path, s->ours);
	assert_int_equal(symlink(s->ours, s->inside), 0);
	assert_int_equal(pmf_file_open_regular(path, &st), -1);
	assert_int_equal(unlink(s->inside), 0);
	run("mkdir '%s/root/lib' && cp '%s' '%s/root/lib' && ln -s /lib/lib.so '%s'", s->folder,
		s->ours, s->folder, s->inside);
	close(pmf_file_open_regular(path, &st));
	assert_true(S_ISREG(st.st_mode));
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_roots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_stay_inside, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
