/* Processes with generated code: which files tell of it, whether they may be read, and when to look at them
 * again. */
#include "pmuflame/jit.h"

#include "jit_priv.h"
#include "pmuflame/buf.h"
#include "pmuflame/clock.h"
#include "pmuflame/file.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATUS_BYTES_MAX = 1 << 16, NS_PER_S = 1000000000 };

struct pmf_jit_process {
	pid_t pid, own_pid; /* own_pid: as it is called in its own pid namespace */
	uid_t uid;          /* who its files belong to */
	gid_t gid;
	time_t started; /* not earlier than that; 0: not known */
	int root_fd;    /* its root folder */
	uint64_t stamp, looked_ns;
	struct pmf_jit_codes codes;
	struct pmf_perf_map map;
	struct pmf_jitdump dump;
	char *dump_path;
};

struct pmf_jit {
	struct pmf_jit_opts opts;
	uint64_t stamps;
	size_t nr_refused;
	struct pmf_err first_refused;
};

struct pmf_jit *pmf_jit_new(const struct pmf_jit_opts *opts)
{
	struct pmf_jit *j = pmf_zalloc(sizeof *j);

	j->opts = *opts;
	return j;
}

void pmf_jit_free(struct pmf_jit *j)
{
	free(j);
}

/* ---- Who it is ---- */

/* The last number of the line that starts with @key, at most the @nth; -1 if there is none. */
static long status_number(const char *status, const char *key, unsigned nth)
{
	const char *line = strstr(status, key);
	long n = -1;

	if (!line)
		return -1;
	line += strlen(key);
	for (unsigned i = 0; i < nth; i++) {
		line += strspn(line, " \t");
		if (!isdigit((unsigned char)*line))
			break;
		n = strtol(line, (char **)(uintptr_t)&line, 10);
	}
	return n;
}

/* When process @pid started, by the clock that files' times have; 0 if it is gone. (proc_pid_stat(5): the
 * 22nd field, counted behind the name's last parenthesis, in clock ticks since boot.) */
static time_t start_of(pid_t pid)
{
	char *path = pmf_asprintf("/proc/%d/stat", (int)pid);
	struct pmf_buf stat = PMF_BUF_INIT;
	const char *at = NULL;
	time_t started = 0;

	if (pmf_file_read(path, STATUS_BYTES_MAX, &stat, NULL) == 0)
		at = strrchr(pmf_buf_str(&stat), ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		started = (time_t)(pmf_clock_ns(CLOCK_REALTIME) / NS_PER_S -
				   pmf_clock_ns(CLOCK_BOOTTIME) / NS_PER_S) +
			  strtol(at, NULL, 10) / sysconf(_SC_CLK_TCK);
	pmf_buf_release(&stat);
	free(path);
	return started;
}

/* Files are made with the fourth of the ids, and the last of the pids is what a process calls itself
 * (proc_pid_status(5)). Of one that has gone already, what our own children have is the best guess. */
static void identify(struct pmf_jit_process *p)
{
	char *path = pmf_asprintf("/proc/%d/status", (int)p->pid);
	struct pmf_buf status = PMF_BUF_INIT;
	long uid, gid, own;

	if (pmf_file_read(path, STATUS_BYTES_MAX, &status, NULL) == 0) {
		uid = status_number(pmf_buf_str(&status), "\nUid:", 4);
		gid = status_number(pmf_buf_str(&status), "\nGid:", 4);
		own = status_number(pmf_buf_str(&status), "\nNSpid:", 32);
		if (uid >= 0 && gid >= 0) {
			p->uid = (uid_t)uid;
			p->gid = (gid_t)gid;
		}
		if (own > 0)
			p->own_pid = (pid_t)own;
	}
	p->started = PMF_MAX(p->started, start_of(p->pid));
	pmf_buf_release(&status);
	free(path);
}

struct pmf_jit_process *pmf_jit_process_new(struct pmf_jit *j, pid_t pid)
{
	struct pmf_jit_process *p = pmf_zalloc(sizeof *p);
	char *root = j->opts.live ? pmf_asprintf("/proc/%d/root", (int)pid)
				  : pmf_strdup(j->opts.root ? j->opts.root : "/");

	p->pid = p->own_pid = pid;
	p->uid = getuid();
	p->gid = getgid();
	p->map.fd = p->dump.fd = -1;
	p->stamp = ++j->stamps;
	pmf_jit_codes_init(&p->codes);
	p->started = j->opts.since;
	if (j->opts.live)
		identify(p);
	p->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Of a process that is gone, or nobody's to look into: most share the root folder with us. */
	if (p->root_fd < 0 && j->opts.live)
		p->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(root);
	return p;
}

void pmf_jit_process_free(struct pmf_jit_process *p)
{
	const int fds[] = {p->root_fd, p->map.fd, p->dump.fd};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pmf_jit_codes_release(&p->codes);
	pmf_jitdump_release(&p->dump);
	free(p->dump_path);
	free(p);
}

/* ---- Its files ---- */

static void note_refused(struct pmf_jit *j, const char *path, const char *what, const char *why)
{
	if (j->nr_refused++ == 0)
		pmf_err_set(&j->first_refused, PMF_EFORMAT, "'%s' %s: %s", path, what, why);
}

static bool shares_our_root(const struct pmf_jit_process *p)
{
	struct stat a, b;

	return fstat(p->root_fd, &a) == 0 && stat("/", &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* A place in @p's own tree of folders: what is a symlink there leads nowhere outside of it. Before Linux 5.6
 * nothing promises that, and only our own tree is looked into. */
static int open_place(const struct pmf_jit_process *p, const char *path)
{
	int fd = pmf_file_place_in(p->root_fd, path, O_NOFOLLOW);

	if (fd < 0 && errno == ENOSYS && shares_our_root(p))
		fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

/* Why names are not taken from a file that somebody put there; NULL if they are. */
static const char *why_not(const struct pmf_jit_process *p, const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return "it is a symbolic link";
	if (!S_ISREG(st->st_mode))
		return "it is no regular file";
	if (st->st_uid != 0 && st->st_uid != p->uid)
		return "it belongs to another user than its process";
	if ((st->st_mode & S_IWOTH) || ((st->st_mode & S_IWGRP) && st->st_gid != p->gid))
		return "other users may write it";
	return NULL;
}

/* What was last written before the process started is of another that had its number. */
static bool is_fresh(const struct pmf_jit_process *p, const struct stat *st)
{
	return st->st_mtim.tv_sec + 1 >= p->started;
}

/* The file at @path, if it may be read: a descriptor, else -1; *refused if there is one that may not. */
static int open_file(
	struct pmf_jit *j, const struct pmf_jit_process *p, const char *path, bool *refused)
{
	int place = open_place(p, path), fd = -1;
	const char *why = NULL;
	char link[32];
	struct stat st;

	if (place < 0)
		return -1;
	snprintf(link, sizeof link, "/proc/self/fd/%d", place);
	if (fstat(place, &st) == 0)
		why = why_not(p, &st);
	if (!why && is_fresh(p, &st))
		fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	close(place);
	if (why) {
		note_refused(j, path, "was not read", why);
		*refused = true;
	}
	return fd;
}

bool pmf_jit_is_dump(const char *path)
{
	const char *slash = strrchr(path, '/');
	int end = 0;

	return path[0] == '/' && sscanf(slash, "/jit-%*9[0-9].dump%n", &end) == 0 && end &&
	       slash[end] == '\0';
}

void pmf_jit_mapped(struct pmf_jit_process *p, const char *path)
{
	char *name = pmf_asprintf("/jit-%d.dump", (int)p->own_pid);

	if (!p->dump_path && pmf_jit_is_dump(path) && strcmp(strrchr(path, '/'), name) == 0)
		p->dump_path = pmf_strdup(path);
	free(name);
}

static void look_at_map(struct pmf_jit *j, struct pmf_jit_process *p, bool last)
{
	char *path;
	struct pmf_err why;

	if (!j->opts.folder || p->map.done)
		return;
	path = pmf_asprintf("%s/perf-%d.map", j->opts.folder, (int)p->own_pid);
	if (p->map.fd < 0)
		p->map.fd = open_file(j, p, path, &p->map.done);
	if (pmf_perf_map_read(&p->map, &p->codes, p->looked_ns, last, &why))
		note_refused(j, path, "was not read, or not to its end", why.text);
	free(path);
}

static void look_at_dump(struct pmf_jit *j, struct pmf_jit_process *p)
{
	struct pmf_err why;

	if (!p->dump_path || p->dump.done)
		return;
	if (p->dump.fd < 0)
		p->dump.fd = open_file(j, p, p->dump_path, &p->dump.done);
	if (pmf_jitdump_read(&p->dump, &p->codes, &why))
		note_refused(j, p->dump_path, "was not read, or not to its end", why.text);
}

static void look(struct pmf_jit *j, struct pmf_jit_process *p, bool last)
{
	size_t before = p->codes.n;
	/* Taken before: what is written while we read is younger. */
	uint64_t now = j->opts.live ? pmf_clock_ns(CLOCK_MONOTONIC) : UINT64_MAX;

	look_at_map(j, p, last);
	look_at_dump(j, p);
	p->looked_ns = now;
	if (p->codes.n != before)
		p->stamp = ++j->stamps;
}

void pmf_jit_look(struct pmf_jit *j, struct pmf_jit_process *p, uint64_t time_ns)
{
	if (time_ns > p->looked_ns || p->looked_ns == 0)
		look(j, p, !j->opts.live);
}

void pmf_jit_remove_map(const struct pmf_jit *j, const struct pmf_jit_process *p)
{
	int folder = open_place(p, j->opts.folder);
	char name[32];
	struct stat st, known;

	snprintf(name, sizeof name, "perf-%d.map", (int)p->own_pid);
	if (folder >= 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!why_not(p, &st) && is_fresh(p, &st) &&
		(p->map.fd < 0 || (fstat(p->map.fd, &known) == 0 && known.st_ino == st.st_ino)))
		unlinkat(folder, name, 0);
	if (folder >= 0)
		close(folder);
}

void pmf_jit_look_last(struct pmf_jit *j, struct pmf_jit_process *p)
{
	look(j, p, true);
}

uint64_t pmf_jit_stamp(const struct pmf_jit_process *p)
{
	return p->stamp;
}

bool pmf_jit_has_times(const struct pmf_jit_process *p)
{
	return p->dump_path;
}

size_t pmf_jit_refused(const struct pmf_jit *j, const struct pmf_err **first)
{
	*first = &j->first_refused;
	return j->nr_refused;
}

/* ---- Addresses ---- */

static const struct pmf_jit_line *line_at(
	const struct pmf_jit_codes *c, const struct pmf_jit_code *code, uint64_t off)
{
	const struct pmf_jit_line *lines = c->lines + code->first_line;
	size_t lo = 0, hi = code->nr_lines;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (lines[mid].off <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &lines[lo - 1] : NULL;
}

static const struct pmf_jit_code *code_at(const struct pmf_jit *j, const struct pmf_jit_process *p,
	uint64_t va, uint64_t time_ns, uint64_t *until_ns)
{
	return pmf_jit_codes_find(&p->codes, va, j->opts.timeless ? UINT64_MAX : time_ns, until_ns);
}

bool pmf_jit_find(const struct pmf_jit *j, const struct pmf_jit_process *p, uint64_t va,
	uint64_t time_ns, struct pmf_jit_place *out)
{
	const struct pmf_jit_code *code = code_at(j, p, va, time_ns, &out->until_ns);
	const struct pmf_jit_line *line;

	if (!code)
		return false;
	line = line_at(&p->codes, code, va - code->start);
	out->name = pmf_strtab_get(&p->codes.names, code->name);
	out->file = line ? pmf_strtab_get(&p->codes.names, line->file) : NULL;
	out->line = line ? line->line : 0;
	return true;
}

const uint8_t *pmf_jit_eh_frame(const struct pmf_jit *j, const struct pmf_jit_process *p,
	uint64_t va, uint64_t time_ns, uint64_t *start, size_t *size)
{
	uint64_t until_ns;
	const struct pmf_jit_code *code = code_at(j, p, va, time_ns, &until_ns);

	if (!code || code->eh_frame_size == 0)
		return NULL;
	*start = code->start;
	*size = code->eh_frame_size;
	return (const uint8_t *)p->codes.eh_frames.data + code->eh_frame_at;
}
