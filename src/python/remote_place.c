/* Files that a process sees: below its root folder, which /proc leads to. The process may have put
 * anything there, and mounted anything (user_namespaces(7)) where something else was a moment ago: so all is
 * done with its own rights at files, nothing is followed out of that root, and nothing is opened that was
 * there before. */
#include "remote_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STATUS_MAX = 16384 };

static int open_below(int root_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

/* The ids that the process has at files. */
static int read_ids(struct pmf_remote_place *pl, pid_t pid, struct pmf_err *err)
{
	struct pmf_buf b = PMF_BUF_INIT;
	char path[40];
	const char *uids, *gids;
	unsigned uid = 0, gid = 0;
	int ret;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	ret = pmf_file_read(path, STATUS_MAX, &b, err);
	if (ret == 0) {
		uids = strstr(pmf_buf_str(&b), "\nUid:");
		gids = strstr(pmf_buf_str(&b), "\nGid:");
		if (!uids || !gids || sscanf(uids, "\nUid: %*u %*u %*u %u", &uid) != 1 ||
			sscanf(gids, "\nGid: %*u %*u %*u %u", &gid) != 1)
			ret = pmf_err_set(err, PMF_EFORMAT, "%s does not say whose it is", path);
	}
	pl->uid = uid;
	pl->gid = gid;
	pmf_buf_release(&b);
	return ret;
}

static bool read_groups(struct pmf_remote_place *pl)
{
	int room = getgroups(0, NULL);

	if (room > 0)
		pl->groups = pmf_calloc((size_t)room, sizeof *pl->groups);
	pl->nr_groups = room > 0 ? getgroups(room, pl->groups) : room;
	return pl->nr_groups >= 0;
}

/* Of the calling thread alone: the C library's setgroups(3) would have all threads follow. */
static bool set_groups(const gid_t *groups, int n)
{
	return syscall(SYS_setgroups, n, groups) == 0;
}

bool pmf_remote_place_enter(const struct pmf_remote_place *pl)
{
	const uid_t none = (uid_t)-1;

	if (pl->uid == geteuid())
		return true;
	/* What our groups may, it may not. */
	if (pl->nr_groups > 0 && !set_groups(NULL, 0))
		return false;
	/* Of the calling thread alone, and its capabilities at files go with it (setfsuid(2)). */
	setfsgid(pl->gid);
	setfsuid(pl->uid);
	/* Only asking says whether it was permitted. */
	if ((uid_t)setfsuid(none) == pl->uid && (gid_t)setfsgid(none) == pl->gid)
		return true;
	pmf_remote_place_leave(pl);
	errno = EPERM;
	return false;
}

void pmf_remote_place_leave(const struct pmf_remote_place *pl)
{
	int saved = errno;

	if (pl->uid == geteuid())
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
	if (pl->nr_groups > 0)
		set_groups(pl->groups, pl->nr_groups);
	errno = saved;
}

/* @name in the parent, if it is what was made there. */
static bool open_folder(struct pmf_remote_place *pl)
{
	struct stat st;

	pl->fd = openat(pl->parent_fd, pl->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pl->fd >= 0 && fstat(pl->fd, &st) == 0 && st.st_uid == pl->uid)
		return true;
	if (pl->fd >= 0)
		close(pl->fd);
	pl->fd = -1;
	return false;
}

static bool make_folder(struct pmf_remote_place *pl, const char *parent)
{
	uint64_t id;

	pl->parent_fd = open_below(pl->root_fd, parent, O_PATH | O_DIRECTORY);
	if (pl->parent_fd < 0)
		return false;
	if (getrandom(&id, sizeof id, 0) == sizeof id) {
		snprintf(pl->name, sizeof pl->name, "pmuflame-%016llx", (unsigned long long)id);
		snprintf(pl->path, sizeof pl->path, "%s/%s", parent, pl->name);
		if (mkdirat(pl->parent_fd, pl->name, S_IRWXU) == 0) {
			if (open_folder(pl))
				return true;
			unlinkat(pl->parent_fd, pl->name, AT_REMOVEDIR);
		}
	}
	close(pl->parent_fd);
	pl->parent_fd = -1;
	return false;
}

int pmf_remote_place_make(struct pmf_remote_place *pl, pid_t pid, struct pmf_err *err)
{
	static const char *const parents[] = {"/tmp", "/var/tmp", "/dev/shm"};
	char root[40];
	bool made = false;
	int ret;

	*pl = (struct pmf_remote_place){.root_fd = -1, .parent_fd = -1, .fd = -1};
	ret = read_ids(pl, pid, err);
	if (ret)
		return ret;
	snprintf(root, sizeof root, "/proc/%d/root", (int)pid);
	pl->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pl->root_fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot enter %s", root);
	if (!read_groups(pl) || !pmf_remote_place_enter(pl)) {
		pmf_remote_place_close(pl);
		return pmf_err_set(err, PMF_EPERM,
			"cannot make a folder for user %u: this user may not act as that one",
			(unsigned)pl->uid);
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(parents) && !made; i++)
		made = make_folder(pl, parents[i]);
	pmf_remote_place_leave(pl);
	if (made)
		return 0;
	pmf_remote_place_close(pl);
	return pmf_err_set(err, PMF_EPERM,
		"its user %u can make no folder in its /tmp, /var/tmp or /dev/shm, where it could find "
		"the agent",
		(unsigned)pl->uid);
}

int pmf_remote_place_write(struct pmf_remote_place *pl, const char *name, const void *data,
	size_t len, struct pmf_err *err)
{
	const char *from = data;
	bool good = false;
	int fd = -1, errnum;

	if (pmf_remote_place_enter(pl)) {
		fd = openat(pl->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			S_IRUSR | S_IWUSR);
		pmf_remote_place_leave(pl);
		good = fd >= 0;
	}
	for (size_t at = 0; good && at < len;) {
		ssize_t n = write(fd, from + at, len - at);

		good = n > 0;
		at += good ? (size_t)n : 0;
	}
	errnum = errno;
	if (fd >= 0)
		close(fd);
	return good ? 0 : pmf_err_errno(err, PMF_EIO, errnum, "cannot write %s/%s", pl->path, name);
}

bool pmf_remote_place_shares(const struct pmf_remote_place *pl, const char *path)
{
	struct stat ours, theirs;
	bool same;
	int fd;

	if (stat(path, &ours) || !pmf_remote_place_enter(pl))
		return false;
	fd = open_below(pl->root_fd, path, O_RDONLY);
	pmf_remote_place_leave(pl);
	if (fd < 0)
		return false;
	same = fstat(fd, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
	close(fd);
	return same;
}

void pmf_remote_place_remove(struct pmf_remote_place *pl)
{
	static const char *const files[] = {"attach.py", "why", "pmuflame-agent.so", "socket"};

	if (pl->fd < 0 || !pmf_remote_place_enter(pl))
		return;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(files); i++)
		unlinkat(pl->fd, files[i], 0);
	unlinkat(pl->parent_fd, pl->name, AT_REMOVEDIR);
	pmf_remote_place_leave(pl);
}

void pmf_remote_place_close(struct pmf_remote_place *pl)
{
	int *fds[] = {&pl->root_fd, &pl->parent_fd, &pl->fd};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(pl->groups);
	pl->groups = NULL;
	pl->nr_groups = 0;
}
