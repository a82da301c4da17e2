#include "code_files.h"

#include "pmuflame/file.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

enum { MAX_BYTES = 8 << 20 };

struct code_file {
	struct pmf_code_text text;
	char *path, *note, *data;
	const char **lines;
	size_t cap;
};

struct pmf_code_files {
	const struct pmf_code_args *args;
	uint64_t end_ns; /* of the run; 0: not known */
	struct pmf_strtab
		names; /* of the files asked for; one less than a name's id is its file's place */
	struct code_file **files; /* none moves */
	size_t n, cap;
};

int pmf_code_arg(struct pmf_code_args *a, int opt, const char *value, struct pmf_err *err)
{
	if (opt == PMF_OPT_SOURCE) {
		a->none = strcmp(value, "no") == 0;
		a->folder = a->none ? NULL : value;
		return 0;
	}
	if (*value == '=' || !strchr(value, '='))
		return pmf_err_set(err, PMF_EUSAGE,
			"--source-map '%s' is not FROM=TO, two folders: where sources were when the "
			"program was built, and where they are now",
			value);
	PMF_PUSH(a->maps, a->nr_maps, a->cap_maps) = value;
	return 0;
}

void pmf_code_args_release(struct pmf_code_args *a)
{
	free(a->maps);
	memset(a, 0, sizeof *a);
}

/* ---- What may be read ---- */

/* Is @path called as source code is? Compilers' headers have no suffix, but a folder. */
static bool is_source_name(const char *path)
{
	static const char suffixes[] =
		" ada adb ads asm bash c c++ cc cjs cl clj cpp cr cs cu cuh cxx d dart def erl ex exs f"
		" f03 f08 f77 f90 f95 for fs ftn go groovy h h++ hh hpp hs hxx inc inl ipp java jl js jsx"
		" kt kts l lex ll lua m mjs ml mli mm mts nim pas php pl pm pxd pxi py pyi pyx r rb rs s"
		" scala sh sv swift tcc tcl tpp ts tsx txx v vala y yy zig ";
	const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
	char word[12];
	int len;

	if (!dot || strchr(dot, ' '))
		return strstr(path, "/include/") != NULL;
	len = snprintf(word, sizeof word, " %s ", dot + 1);
	return len > 2 && (size_t)len < sizeof word && strcasestr(suffixes, word);
}

/* May the user whom root works for read it? Root alone stands for everybody. */
static bool is_readable_for(const struct stat *st, bool sudo, unsigned uid, unsigned gid)
{
	return (st->st_mode & S_IROTH) || (sudo && st->st_uid == uid && (st->st_mode & S_IRUSR)) ||
	       (sudo && st->st_gid == gid && (st->st_mode & S_IRGRP));
}

/* As pmf_file_open_regular, without root's powers (setfsuid(2)): folders count, too. */
static int open_for_user(const char *path, struct stat *st)
{
	unsigned uid, gid;
	bool sudo = pmf_file_sudo_user(&uid, &gid);
	int fd, saved;

	if (sudo) {
		setfsgid(gid);
		setfsuid(uid);
	}
	fd = pmf_file_open_regular(path, st);
	saved = errno;
	if (sudo) {
		setfsuid(geteuid());
		setfsgid(getegid());
	}
	if (fd >= 0 && geteuid() == 0 && !is_readable_for(st, sudo, uid, gid)) {
		close(fd);
		fd = -1;
		saved = EACCES;
	}
	errno = saved;
	return fd;
}

/* Open what may be shown of @path, links followed. */
static int open_source(const char *path, struct stat *st)
{
	char link[32], real[PATH_MAX], head[2] = "";
	int fd = open_for_user(path, st);
	ssize_t len;

	if (fd < 0)
		return -1;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, real, sizeof real - 1);
	real[PMF_MAX(len, 0)] = '\0';
	if (is_source_name(real) ||
		(pmf_file_pread(fd, 0, head, sizeof head) && memcmp(head, "#!", 2) == 0))
		return fd;
	close(fd);
	errno = ENOEXEC; /* no source code */
	return -1;
}

/* ---- Where it may be ---- */

/* @path as @map has it, or NULL; free(3) it. */
static char *mapped(const char *map, const char *path)
{
	const char *to = strchr(map, '=') + 1;
	size_t len = (size_t)(to - 1 - map);

	while (len > 1 && map[len - 1] == '/')
		len--;
	if (strncmp(path, map, len) != 0 || (path[len] != '/' && map[len - 1] != '/'))
		return NULL;
	return pmf_asprintf("%s/%s", to, path + len + (path[len] == '/'));
}

/* Try @path, which is freed; where it opens, it becomes the file's. */
static int try_path(struct code_file *f, char *path, struct stat *st)
{
	int fd = open_source(path, st);

	if (fd >= 0)
		f->path = path;
	else
		free(path);
	return fd;
}

/* The end of @path that is below @folder, the longest first. */
static int try_below(struct code_file *f, const char *folder, const char *path, struct stat *st)
{
	int fd = -1;

	while (fd < 0 && path) {
		while (*path == '/')
			path++;
		if (strncmp(path, "../", 3) != 0)
			fd = try_path(f, pmf_asprintf("%s/%s", folder, path), st);
		path = strchr(path, '/');
	}
	return fd;
}

static int find(
	const struct pmf_code_files *s, struct code_file *f, const char *name, struct stat *st)
{
	int fd = -1;

	for (size_t i = 0; i < s->args->nr_maps && fd < 0; i++) {
		char *path = mapped(s->args->maps[i], name);

		if (path)
			fd = try_path(f, path, st);
	}
	if (fd < 0 && s->args->folder)
		fd = try_below(f, s->args->folder, name, st);
	return fd < 0 ? try_path(f, pmf_strdup(name), st) : fd;
}

/* ---- Reading ---- */

static void split(struct code_file *f, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf"; /* that it is UTF-8 */
	char *at = f->data, *end = f->data + len;

	if (strncmp(at, mark, strlen(mark)) == 0)
		at += strlen(mark);
	while (at < end) {
		char *stop = memchr(at, '\n', (size_t)(end - at));

		stop = stop ? stop : end;
		PMF_PUSH(f->lines, f->text.n, f->cap) = at;
		*stop = '\0';
		if (stop > at && stop[-1] == '\r')
			stop[-1] = '\0';
		at = stop + 1;
	}
	f->text.lines = f->lines;
}

static char *not_opened(const char *name, int reason)
{
	if (reason == ENOEXEC || reason == EINVAL)
		return pmf_asprintf("'%s' is not shown: it does not look like source code", name);
	if (reason == EACCES && geteuid() == 0)
		return pmf_asprintf(
			"'%s' is not shown: of what debug information names, root is shown "
			"only what others may read, too",
			name);
	return pmf_asprintf(
		"cannot open '%s': %s; --source DIR or --source-map FROM=TO says where it is", name,
		strerror(reason));
}

static void load(const struct pmf_code_files *s, struct code_file *f, const char *name)
{
	struct pmf_buf bytes = PMF_BUF_INIT;
	struct pmf_err err = PMF_ERR_INIT;
	struct stat st;
	int fd;

	if (*name == '<') { /* "<string>", "<frozen importlib>": Python's code that no file has */
		f->note = pmf_asprintf("'%s' is no file", name);
		return;
	}
	fd = find(s, f, name, &st);
	if (fd < 0) {
		f->note = not_opened(name, errno);
		return;
	}
	if (pmf_file_read_fd(fd, f->path, MAX_BYTES, &bytes, &err)) {
		f->note = pmf_strdup(err.text);
	} else if (bytes.len && memchr(bytes.data, '\0', bytes.len)) {
		f->note = pmf_asprintf("'%s' is no text", f->path);
	} else {
		size_t len = bytes.len;

		f->data = pmf_buf_detach(&bytes);
		f->text.path = f->path;
		split(f, len);
		if (s->end_ns && (uint64_t)st.st_mtim.tv_sec > s->end_ns / 1000000000)
			f->note = pmf_asprintf(
				"'%s' has changed since the profile was taken: its lines "
				"may be others",
				f->path);
	}
	pmf_buf_release(&bytes);
	close(fd);
}

/* ---- The files of an output ---- */

struct pmf_code_files *pmf_code_files_new(
	const struct pmf_code_args *args, const struct pmf_profile *p)
{
	struct pmf_code_files *s = pmf_zalloc(sizeof *s);

	s->args = args;
	s->end_ns = p->start_unix_ns ? p->start_unix_ns + p->duration_ns : 0;
	pmf_strtab_init(&s->names);
	return s;
}

void pmf_code_files_free(struct pmf_code_files *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->files[i]->path);
		free(s->files[i]->note);
		free(s->files[i]->data);
		free(s->files[i]->lines);
		free(s->files[i]);
	}
	free(s->files);
	pmf_strtab_release(&s->names);
	free(s);
}

const struct pmf_code_text *pmf_code_files_get(void *sources, const char *file)
{
	static const struct pmf_code_text nothing;
	struct pmf_code_files *s = sources;
	struct code_file *f;
	uint32_t id;

	if (s->args->none || !*file)
		return &nothing;
	id = pmf_strtab_addz(&s->names, file);
	if (id <= s->n)
		return &s->files[id - 1]->text;
	f = pmf_zalloc(sizeof *f);
	PMF_PUSH(s->files, s->n, s->cap) = f;
	load(s, f, file);
	f->text.note = f->note;
	return &f->text;
}
