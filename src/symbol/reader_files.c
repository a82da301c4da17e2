/* Which files a reader gets: it may have been taken over by the image that it reads, which must not make a
 * privileged program read for it what its owner may not. */
#include "reader_priv.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Does @path lie below @folder, whatever its symbolic links say? Who may plant one there is trusted. */
static bool is_below(const char *path, const char *folder)
{
	size_t len = folder ? strlen(folder) : 0;

	return len && strncmp(path, folder, len) == 0 && path[len] == '/';
}

static bool climbs(const char *path)
{
	for (const char *p = path; (p = strstr(p, "/..")); p += 3)
		if (p[3] == '/' || p[3] == '\0')
			return true;
	return false;
}

static bool may_have(const struct pmf_reader_files *f, const char *path, const struct stat *st)
{
	if (!climbs(path) &&
		(is_below(path, f->dirs->root) || is_below(path, f->dirs->symfs_root) ||
			is_below(path, f->dirs->cache)))
		return true;
	return (st->st_mode & S_IROTH) || st->st_uid == f->owner;
}

/* /proc/kcore is an ELF file, and all memory. */
static bool is_kernels(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC;
}

int pmf_reader_open_wanted(const struct pmf_reader_files *f, const char *path, struct stat *st)
{
	int fd = pmf_file_open_regular(path, st);
	char magic[SELFMAG];

	if (fd < 0)
		return -1;
	if (may_have(f, path, st) && !is_kernels(fd) &&
		pmf_file_pread(fd, 0, magic, sizeof magic) && memcmp(magic, ELFMAG, SELFMAG) == 0)
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}
