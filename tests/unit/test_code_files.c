/* Source files: where they are looked for, what is shown of them, and what never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/cli/code_files.h"
#include "pmuflame/mem.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *folder;

static int set_up(void **state)
{
	(void)state;
	folder = pmf_strdup("/tmp/pmf-code.XXXXXX");
	return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(folder);
	return 0;
}

/* FOLDER/NAME, until the next call but three. */
static const char *in(const char *name)
{
	static char paths[4][200];
	static unsigned n;
	char *path = paths[n++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const char *text, size_t len, mode_t mode)
{
	int fd = open(in(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0 && fchmod(fd, mode) == 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void puts_in(const char *name, const char *text)
{
	put(name, text, strlen(text), 0644);
}

/* "LINES: first|second|..." of @path, or the note. */
static char *look(const struct pmf_code_args *args, const char *path, uint64_t start_s)
{
	struct pmf_profile p = {.start_unix_ns = start_s * 1000000000};
	struct pmf_code_files *files = pmf_code_files_new(args, &p);
	const struct pmf_code_text *text = pmf_code_files_get(files, path);
	struct pmf_buf out = PMF_BUF_INIT;

	assert_ptr_equal(pmf_code_files_get(files, path), text);
	if (text->path) {
		pmf_buf_printf(&out, "%zu:", text->n);
		for (size_t i = 0; i < text->n; i++)
			pmf_buf_printf(&out, " %s|", text->lines[i]);
	}
	if (text->note)
		pmf_buf_printf(&out, "%s%s", text->path ? " " : "", text->note);
	pmf_code_files_free(files);
	return pmf_buf_detach(&out);
}

#define assert_look(args, path, expected) \
	do { \
		char *found_ = look(args, path, 0); \
		assert_string_equal(found_, expected); \
		free(found_); \
	} while (0)

#define assert_refused(path, part) \
	do { \
		char *found_ = look(&(struct pmf_code_args){0}, path, 0); \
		if (!strstr(found_, part)) \
			fail_msg("%s: %s", path, found_); \
		free(found_); \
	} while (0)

static void lines_are_split_whatever_ends_them(void **state)
{
	struct pmf_code_args args = {0};

	(void)state;
	puts_in("a.c", "one\ntwo\r\n\nlast");
	assert_look(&args, in("a.c"), "4: one| two| | last|");
	puts_in("b.py", "\xef\xbb\xbfimport os\n");
	assert_look(&args, in("b.py"), "1: import os|");
	puts_in("c.rs", "");
	assert_look(&args, in("c.rs"), "0:");
	args.none = true;
	assert_look(&args, in("a.c"), "");
}

static void only_source_code_is_shown(void **state)
{
	(void)state;
	puts_in("secret", "root:x:0\n");
	puts_in("key.pem", "-----BEGIN\n");
	assert_refused(in("secret"), "does not look like source code");
	assert_refused(in("key.pem"), "does not look like source code");
	assert_int_equal(symlink(in("secret"), in("link.c")), 0);
	assert_refused(in("link.c"), "does not look like source code");
	put("zero.c", "a\0b", 3, 0644);
	assert_refused(in("zero.c"), "is no text");
	assert_int_equal(mkfifo(in("pipe.c"), 0644), 0);
	assert_refused(in("pipe.c"), "does not look like source code");
	assert_int_equal(mkdir(in("folder.c"), 0755), 0);
	assert_refused(in("folder.c"), "does not look like source code");
	assert_refused("/proc/self/environ", "is not shown");
	assert_refused("<frozen importlib._bootstrap>", "is no file");
	assert_refused(in("missing.c"), "--source DIR or --source-map FROM=TO says where it is");
	puts_in("script", "#!/usr/bin/python3\n");
	assert_look(&(struct pmf_code_args){0}, in("script"), "1: #!/usr/bin/python3|");
	assert_int_equal(mkdir(in("include"), 0755), 0);
	puts_in("include/vector", "x\n");
	assert_look(&(struct pmf_code_args){0}, in("include/vector"), "1: x|");
}

static void root_shows_only_what_others_may_read(void **state)
{
	(void)state;
	put("own.c", "x\n", 2, 0600);
	if (geteuid() != 0) {
		assert_look(&(struct pmf_code_args){0}, in("own.c"), "1: x|");
		return;
	}
	assert_refused(in("own.c"), "root is shown only what others may read");
	/* sudo's user: what is theirs, and nothing in root's folders. */
	setenv("SUDO_UID", "12345", 1);
	setenv("SUDO_GID", "12345", 1);
	assert_refused(in("own.c"), "own.c");
	assert_int_equal(chown(in("own.c"), 12345, 0), 0);
	assert_look(&(struct pmf_code_args){0}, in("own.c"), "1: x|");
	assert_int_equal(mkdir(in("closed"), 0700), 0);
	puts_in("closed/open.c", "x\n");
	assert_refused(in("closed/open.c"), "open.c");
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	assert_look(&(struct pmf_code_args){0}, in("closed/open.c"), "1: x|");
}

static void files_are_found_where_they_are_now(void **state)
{
	struct pmf_code_args args = {0};
	struct pmf_err err = PMF_ERR_INIT;
	char *map = pmf_asprintf("/build=%s/now", folder);
	char *whole = pmf_asprintf("/=%s", folder);

	(void)state;
	assert_int_equal(mkdir(in("now"), 0755), 0);
	assert_int_equal(mkdir(in("now/lib"), 0755), 0);
	puts_in("now/lib/x.go", "package x\n");
	assert_int_equal(pmf_code_arg(&args, PMF_OPT_SOURCE, in("now"), &err), 0);
	assert_look(&args, "/build/app/lib/x.go", "1: package x|");
	assert_look(&args, "../../lib/x.go", "1: package x|");
	pmf_code_args_release(&args);
	assert_int_equal(pmf_code_arg(&args, PMF_OPT_SOURCE_MAP, "/buil=/x", &err), 0);
	assert_int_equal(pmf_code_arg(&args, PMF_OPT_SOURCE_MAP, map, &err), 0);
	assert_look(&args, "/build/lib/x.go", "1: package x|");
	assert_refused("/build/lib/x.go", "cannot open '/build/lib/x.go'");
	assert_int_equal(pmf_code_arg(&args, PMF_OPT_SOURCE_MAP, whole, &err), 0);
	assert_look(&args, "/now/lib/x.go", "1: package x|");
	pmf_code_args_release(&args);
	assert_int_equal(pmf_code_arg(&args, PMF_OPT_SOURCE_MAP, "/build", &err), PMF_EUSAGE);
	assert_int_equal(pmf_code_arg(&args, PMF_OPT_SOURCE_MAP, "=/x", &err), PMF_EUSAGE);
	free(map);
	free(whole);
}

static void what_changed_since_is_said(void **state)
{
	struct pmf_code_args args = {0};
	char *found;

	(void)state;
	puts_in("new.c", "x\n");
	found = look(&args, in("new.c"), (uint64_t)time(NULL) - 3600);
	assert_non_null(strstr(found, "1: x| "));
	assert_non_null(strstr(found, "has changed since the profile was taken"));
	free(found);
	found = look(&args, in("new.c"), (uint64_t)time(NULL) + 3600);
	assert_string_equal(found, "1: x|");
	free(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lines_are_split_whatever_ends_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_source_code_is_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			root_shows_only_what_others_may_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			files_are_found_where_they_are_now, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_changed_since_is_said, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("code_files", tests, NULL, NULL);
}
