/* pmuflame/file.h - small files in, result files out.
 * Layer: base. Threads: any. */
#ifndef PMUFLAME_FILE_H
#define PMUFLAME_FILE_H

#include "pmuflame/buf.h"
#include "pmuflame/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Append all of @path (a sysfs, procfs or small text file) to @b, which may grow to @max_bytes; what is
 * longer is PMF_ELIMIT. */
int pmf_file_read(const char *path, size_t max_bytes, struct pmf_buf *b, struct pmf_err *err);
/* The same for descriptor @fd, from where it stands; @path is for the sentences. */
int pmf_file_read_fd(
	int fd, const char *path, size_t max_bytes, struct pmf_buf *b, struct pmf_err *err);
/* All of @len bytes of @fd from @off on; false if they are not there. */
bool pmf_file_pread(int fd, uint64_t off, void *out, size_t len);
/* The first line of @path without its newline into @out (NUL-terminated, cut at @size). */
int pmf_file_read_line(const char *path, char *out, size_t size, struct pmf_err *err);
int pmf_file_read_s64(const char *path, long long *out, struct pmf_err *err);

/* Take "." and "..", which lead nowhere else, out of @path, so that a file that is reached by different ways
 * has one name; its new length. Symbolic links are not asked about. */
size_t pmf_file_fold(char *path);
/* Open @path for reading if it is a regular file, and tell @st about it; a descriptor, or -1 with
 * errno, EINVAL where it is something else. A FIFO or a device that somebody put there is not
 * opened at all, for opening alone can make one act. A path that begins with PMF_FILE_ROOT and the
 * number of a descriptor is one in the tree of folders that this has open: no symbolic link there
 * leads out of it. Needs /proc. */
#define PMF_FILE_ROOT "/proc/self/fd/"
int pmf_file_open_regular(const char *path, struct stat *st);
/* Who opens the files that other files name, where that is not the caller: as pmf_file_open_regular. */
struct pmf_opener {
	int (*open)(void *ctx, const char *path, struct stat *st);
	void *ctx;
};
/* By @o, or by pmf_file_open_regular if that is NULL. */
int pmf_file_open_by(const struct pmf_opener *o, const char *path, struct stat *st);

/* The place @path, as a process finds it whose root folder @root_fd has open: links do not lead out.
 * @flags: O_NOFOLLOW or 0. A descriptor of O_PATH, or -1 with errno: ENOSYS before Linux 5.6. */
int pmf_file_place_in(int root_fd, const char *path, int flags);

/* Who called this program by sudo(8), if it runs as root for somebody else. */
bool pmf_file_sudo_user(unsigned *uid, unsigned *gid);

/* A result file: written without a name (where the file system has no such files, under a temporary one),
 * then renamed over its place, so that a reader sees the old file or the whole new one, whoever is killed
 * leaves nothing, and a symlink planted in its place is replaced, not followed (open(2) O_TMPFILE,
 * rename(2)). A device, or a symlink to one, is refused. Under sudo
 * the file belongs to the calling user. */
struct pmf_outfile {
	FILE *f;
	char *path;
	char *tmp_path; /* NULL while it has no name */
};

int pmf_outfile_open(struct pmf_outfile *of, const char *path, struct pmf_err *err);
/* The same for what is of use before it is whole: if this program is killed, it stays under its temporary
 * name, @path with something behind it. */
int pmf_outfile_open_named(struct pmf_outfile *of, const char *path, struct pmf_err *err);
/* Flush, check every write so far, rename into place. On failure nothing is left behind. */
int pmf_outfile_commit(struct pmf_outfile *of, struct pmf_err *err);
void pmf_outfile_abort(struct pmf_outfile *of);
/* 0 if a result file could be created at @path now (tries it), else the reason. */
int pmf_outfile_probe(const char *path, struct pmf_err *err);
/* @text as part of a file name: characters outside A-Z, a-z, 0-9, dot, underscore and hyphen become
 * '_'. free(3) it. */
char *pmf_file_safe_name(const char *text);
/* A folder for results; no error if @path exists. */
int pmf_outfolder_make(const char *path, struct pmf_err *err);

#endif
