#include "pmuflame/file.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int pmf_file_read_fd(
	int fd, const char *path, size_t max_bytes, struct pmf_buf *b, struct pmf_err *err)
{
	char chunk[16384];

	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", path);
		if (n == 0)
			return 0;
		if (b->len + (size_t)n > max_bytes)
			return pmf_err_set(
				err, PMF_ELIMIT, "'%s' is longer than %zu bytes", path, max_bytes);
		pmf_buf_add(b, chunk, (size_t)n);
	}
}

int pmf_file_read(const char *path, size_t max_bytes, struct pmf_buf *b, struct pmf_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;

	if (fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '%s'", path);
	ret = pmf_file_read_fd(fd, path, max_bytes, b, err);
	close(fd);
	return ret;
}

bool pmf_file_pread(int fd, uint64_t off, void *out, size_t len)
{
	uint8_t *p = out;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

int pmf_file_read_line(const char *path, char *out, size_t size, struct pmf_err *err)
{
	struct pmf_buf b = PMF_BUF_INIT;
	int ret = pmf_file_read(path, 1 << 20, &b, err);

	if (ret == 0)
		snprintf(out, size, "%.*s", (int)strcspn(pmf_buf_str(&b), "\n"), pmf_buf_str(&b));
	pmf_buf_release(&b);
	return ret;
}

int pmf_file_read_s64(const char *path, long long *out, struct pmf_err *err)
{
	char line[64], *end;
	int ret = pmf_file_read_line(path, line, sizeof line, err);

	if (ret)
		return ret;
	errno = 0;
	*out = strtoll(line, &end, 10);
	if (end == line || errno || end[strspn(end, " \t")])
		return pmf_err_set(err, PMF_EFORMAT, "'%s' holds no number", path);
	return 0;
}

int pmf_file_place_in(int root_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(O_PATH | O_CLOEXEC | flags),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

/* A descriptor of the place alone. */
static int open_place(const char *path)
{
	int root_fd, end = 0, fd;

	if (sscanf(path, PMF_FILE_ROOT "%d%n", &root_fd, &end) == 1 && path[end] == '/') {
		fd = pmf_file_place_in(root_fd, path + end, 0);
		if (fd >= 0 || errno != ENOSYS)
			return fd;
	}
	return open(path, O_PATH | O_CLOEXEC);
}

int pmf_file_open_regular(const char *path, struct stat *st)
{
	char link[32];
	int place = open_place(path), fd = -1, saved;

	if (place < 0)
		return -1;
	if (fstat(place, st) == 0) {
		errno = EINVAL;
		snprintf(link, sizeof link, "/proc/self/fd/%d", place);
		if (S_ISREG(st->st_mode))
			/* A lease of its owner's would have us wait (fcntl(2)). */
			fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	}
	saved = errno;
	close(place);
	errno = saved;
	return fd;
}

int pmf_file_open_by(const struct pmf_opener *o, const char *path, struct stat *st)
{
	return o ? o->open(o->ctx, path, st) : pmf_file_open_regular(path, st);
}

char *pmf_file_safe_name(const char *text)
{
	char *name = pmf_strdup(text);

	for (char *p = name; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    *p))
			*p = '_';
	return name;
}

static bool sudo_id(const char *name, unsigned *out)
{
	const char *s = getenv(name);
	unsigned long id;
	char *end;

	if (!s || *s < '0' || *s > '9')
		return false;
	errno = 0;
	id = strtoul(s, &end, 10);
	*out = (unsigned)id;
	return !*end && !errno && id < UINT_MAX; /* the last one means "leave it" to chown(2) */
}

bool pmf_file_sudo_user(unsigned *uid, unsigned *gid)
{
	return geteuid() == 0 && sudo_id("SUDO_UID", uid) && sudo_id("SUDO_GID", gid);
}

/* Under sudo a result belongs to who called it. */
static void give_to_caller(int fd)
{
	unsigned uid, gid;

	if (pmf_file_sudo_user(&uid, &gid) && fchown(fd, uid, gid) < 0)
		return; /* the file is still right, only root's */
}

int pmf_outfolder_make(const char *path, struct pmf_err *err)
{
	int fd;

	if (mkdir(path, 0777) < 0)
		return errno == EEXIST ? 0
				       : pmf_err_errno(err, pmf_status_of_errno(errno), errno,
						 "cannot make the folder '%s'", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		give_to_caller(fd);
		close(fd);
	}
	return 0;
}

/* The rename would put a file in the place of a device (as root: of /dev/null) or of a terminal
 * that /dev/stdout leads to. */
static int refuse_place(const char *path, struct pmf_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	/* /dev/stdout is a link, to a regular file too where output goes to one. */
	if (S_ISREG(st.st_mode) && strncmp(path, "/dev/", 5) != 0 &&
		strncmp(path, "/proc/", 6) != 0)
		return 0;
	return pmf_err_set(err, PMF_EUSAGE, "cannot write '%s': it is %s", path,
		S_ISDIR(st.st_mode) ? "a folder" : "no regular file");
}

/* The name that @path's file has before it is whole; free(3) it. */
static char *name_before(const char *path, unsigned n)
{
	return pmf_asprintf("%s.%d-%u", path, (int)getpid(), n);
}

/* A file without a name in the folder of @path, which is gone if this program is killed; -1 where the
 * file system has none, /proc is not there to name it, or it could not be named. */
static int open_nameless(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? pmf_strndup(path, (size_t)(slash - path) + 1) : pmf_strdup("."),
	     *later = name_before(path, 0);
	struct stat st;
	int fd = -1;

	if (access("/proc/self/fd", X_OK) == 0 && (lstat(later, &st) == 0 || errno == ENOENT))
		fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	free(later);
	free(folder);
	return fd;
}

static void drop_name(const struct pmf_outfile *of)
{
	if (of->tmp_path)
		unlink(of->tmp_path);
}

/* Give the file a temporary name, if it has none yet (open(2), O_TMPFILE). A link replaces nothing. */
static bool name_file(struct pmf_outfile *of)
{
	char link[32];

	snprintf(link, sizeof link, "/proc/self/fd/%d", fileno(of->f));
	for (unsigned n = 0; !of->tmp_path; n++) {
		of->tmp_path = name_before(of->path, n);
		if (linkat(AT_FDCWD, link, AT_FDCWD, of->tmp_path, AT_SYMLINK_FOLLOW) == 0)
			break;
		free(of->tmp_path);
		of->tmp_path = NULL;
		if (errno != EEXIST)
			return false;
	}
	return true;
}

static int outfile_open(struct pmf_outfile *of, const char *path, bool named, struct pmf_err *err)
{
	mode_t mask;
	int fd = refuse_place(path, err);

	if (fd)
		return fd;
	mask = umask(0);
	umask(mask);
	of->f = NULL;
	of->path = pmf_strdup(path);
	of->tmp_path = NULL;
	fd = named ? -1 : open_nameless(path);
	if (fd < 0) {
		of->tmp_path = pmf_asprintf("%s.XXXXXX", path);
		fd = mkostemp(of->tmp_path, O_CLOEXEC);
	}
	if (fd >= 0) {
		if (fchmod(fd, 0666 & ~mask) == 0)
			give_to_caller(fd);
		of->f = fdopen(fd, "w");
		if (!of->f) {
			int saved = errno;

			drop_name(of);
			close(fd);
			errno = saved;
		}
	}
	if (!of->f) {
		int ret = pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot write '%s'", path);

		free(of->path);
		free(of->tmp_path);
		of->path = of->tmp_path = NULL;
		return ret;
	}
	return 0;
}

int pmf_outfile_open(struct pmf_outfile *of, const char *path, struct pmf_err *err)
{
	return outfile_open(of, path, false, err);
}

int pmf_outfile_open_named(struct pmf_outfile *of, const char *path, struct pmf_err *err)
{
	return outfile_open(of, path, true, err);
}

static void outfile_free(struct pmf_outfile *of)
{
	free(of->path);
	free(of->tmp_path);
	memset(of, 0, sizeof *of);
}

int pmf_outfile_commit(struct pmf_outfile *of, struct pmf_err *err)
{
	/* errno may be that of an earlier write, and gone. */
	bool whole = !ferror(of->f);
	int ret = 0, failed = fflush(of->f) || !whole || !name_file(of) ? errno : 0;

	if (fclose(of->f) != 0 && whole && !failed)
		failed = errno;
	if (!whole)
		ret = pmf_err_set(err, PMF_EIO,
			"cannot write '%s': not all of it could be written; is the disk full, or a limit (ulimit -f) reached?",
			of->path);
	else if (failed || rename(of->tmp_path, of->path) != 0)
		ret = pmf_err_errno(
			err, PMF_EIO, failed ? failed : errno, "cannot write '%s'", of->path);
	if (ret)
		drop_name(of);
	outfile_free(of);
	return ret;
}

void pmf_outfile_abort(struct pmf_outfile *of)
{
	if (of->f) {
		fclose(of->f);
		drop_name(of);
	}
	outfile_free(of);
}

int pmf_outfile_probe(const char *path, struct pmf_err *err)
{
	struct pmf_outfile of;
	int ret = pmf_outfile_open(&of, path, err);

	if (ret == 0)
		pmf_outfile_abort(&of);
	return ret;
}

size_t pmf_file_fold(char *path)
{
	char *first = path + (*path == '/'), *least = first, *out = first, *at = path;
	size_t n;

	for (; at += strspn(at, "/"), *at; at += n) {
		bool up;

		n = strcspn(at, "/");
		up = n == 2 && at[0] == '.' && at[1] == '.';
		if ((n == 1 && *at == '.') || (up && out == least && first != path))
			continue;
		if (up && out > least) {
			while (out > least && *--out != '/')
				;
			continue;
		}
		if (out > first)
			*out++ = '/';
		memmove(out, at, n);
		out += n;
		if (up)
			least = out; /* it leads out of where the path starts */
	}
	*out = '\0';
	return (size_t)(out - path);
}
