/* Who runs already: finding them, telling the run of them, and noticing that they have ended. */
#include "run.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/tasks.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/magic.h>
#include <mntent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	STATUS_MAX = 1 << 16,
	PROCS_MAX = 64 << 20,       /* bytes of cgroup.procs */
	NAMED_MAX = 5,              /* processes in one sentence */
	PIDFD_THREAD_FLAG = O_EXCL, /* PIDFD_THREAD of linux/pidfd.h, since Linux 6.9 */
};

/* ---- Tasks ---- */

pid_t pmf_attach_process_of(pid_t tid)
{
	static const char key[] = "\nTgid:";
	char path[64];
	struct pmf_buf status = PMF_BUF_INIT;
	const char *at = NULL;
	long pid = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
	if (pmf_file_read(path, STATUS_MAX, &status, NULL) == 0)
		at = strstr(pmf_buf_str(&status), key);
	if (at)
		pid = strtol(at + sizeof key - 1, NULL, 10);
	pmf_buf_release(&status);
	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static const char ended[] = "a process that has ended";

static void comm_of(pid_t pid, char comm[64])
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	if (pmf_file_read_line(path, comm, 64, NULL))
		memcpy(comm, ended, sizeof ended);
}

static bool has_ended(const struct pmf_attach_task *t)
{
	struct pollfd poll_fd = {.fd = t->fd, .events = POLLIN};

	if (t->is_pidfd)
		return poll(&poll_fd, 1, 0) == 1;
	/* The folder stays what it was opened as, whoever gets the number next. */
	return faccessat(t->fd, "comm", F_OK, 0) < 0;
}

static int open_task(struct pmf_attach *a, pid_t pid, struct pmf_err *err)
{
	bool single = a->who->single;
	struct pmf_attach_task t = {.pid = pid, .is_pidfd = true};
	pid_t process = pmf_attach_process_of(pid);
	char path[64];

	if (!process)
		return pmf_err_set(err, PMF_ENOTFOUND, "there is no %s %d (any more)",
			single ? "thread" : "process", (int)pid);
	comm_of(single ? pid : process, t.comm);
	if (!single && process != pid)
		return pmf_err_set(err, PMF_EUSAGE,
			"%d is a thread of process %d (%s): '-p %d' records all of that, '-t %d' "
			"the thread alone",
			(int)pid, (int)process, t.comm, (int)process, (int)pid);
	if (process == getpid())
		return pmf_err_set(
			err, PMF_EUSAGE, "%d is pmuflame itself, which records others", (int)pid);
	t.fd = (int)syscall(SYS_pidfd_open, pid, single ? PIDFD_THREAD_FLAG : 0);
	if (t.fd < 0) {
		snprintf(path, sizeof path, "/proc/%d", (int)pid);
		t.is_pidfd = false;
		t.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (t.fd < 0)
		return pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"cannot watch process %d", (int)pid);
	a->process = a->nr_tasks == 0 || a->process == process ? process : 0;
	a->tasks[a->nr_tasks++] = t;
	if (has_ended(&t))
		return pmf_err_set(err, PMF_ENOTFOUND, "%s %d has ended",
			single ? "thread" : "process", (int)pid);
	return 0;
}

/* ---- Control groups ---- */

static bool is_cgroup(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC);
}

/* Open @path, which is ours then or freed, if it is a control group's folder. */
static bool take_folder(struct pmf_attach *a, char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && is_cgroup(fd)) {
		a->cgroup_fd = fd;
		a->cgroup_path = path;
		return true;
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return false;
}

/* Below the hierarchies that can have perf events: the unified one, and perf_event's own. */
static bool find_below_mounts(struct pmf_attach *a, const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	path += strspn(path, "/");
	while (mounts && !found && (m = getmntent(mounts)))
		if (strcmp(m->mnt_type, "cgroup2") == 0 ||
			(strcmp(m->mnt_type, "cgroup") == 0 && hasmntopt(m, "perf_event")))
			found = take_folder(a, pmf_asprintf("%s/%s", m->mnt_dir, path));
	if (mounts)
		endmntent(mounts);
	return found;
}

static int open_cgroup(struct pmf_attach *a, struct pmf_err *err)
{
	const char *path = a->who->cgroup;

	if (take_folder(a, pmf_strdup(path)) || find_below_mounts(a, path))
		return 0;
	return pmf_err_set(err, PMF_ENOTFOUND,
		"'%s' is no control group: neither a folder of a mounted hierarchy nor the path of "
		"one below it; 'systemd-cgls' and '/proc/PID/cgroup' show some",
		path);
}

/* ---- Telling ---- */

/* What may not be read is known by its names at least, and told in the ledger. */
static void adopt_one(struct pmf_attach *a, struct pmf_shards *shards, bool data_maps, pid_t pid)
{
	a->nr_unread +=
		pmf_process_adopt(pid, data_maps, pmf_shards_tell, shards, NULL) == PMF_EPERM;
}

static void adopt_listed(
	struct pmf_attach *a, struct pmf_shards *shards, bool data_maps, const char *path)
{
	struct pmf_buf pids = PMF_BUF_INIT;
	char *at, *end;

	/* In a group whose threads are dealt out one by one it cannot be read; their process is in the
	 * group above. */
	if (pmf_file_read(path, PROCS_MAX, &pids, NULL) == 0 && pids.len)
		for (at = pids.data;; at = end) {
			long pid = strtol(at, &end, 10);

			if (end == at)
				break;
			if (pid > 0 && pid <= INT32_MAX)
				adopt_one(a, shards, data_maps, (pid_t)pid);
		}
	pmf_buf_release(&pids);
}

/* The events of a group are those of the groups in it, too. */
static int adopt_cgroup(
	struct pmf_attach *a, struct pmf_shards *shards, bool data_maps, struct pmf_err *err)
{
	char *const roots[] = {a->cgroup_path, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	if (!walk)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot list '%s'", a->cgroup_path);
	while ((entry = fts_read(walk)))
		if (entry->fts_info == FTS_F && strcmp(entry->fts_name, "cgroup.procs") == 0)
			adopt_listed(a, shards, data_maps, entry->fts_path);
	fts_close(walk);
	return 0;
}

static bool is_asked_for(const struct pmf_attach *a, pid_t pid)
{
	for (size_t i = 0; i < a->nr_tasks; i++)
		if (a->tasks[i].pid == pid)
			return true;
	return false;
}

/* Servers work in processes that they started before: who names the first one only may not expect that. */
static void note_children(const struct pmf_attach *a, struct pmf_profile *p)
{
	enum { LOOKED_AT = 500 };
	struct pmf_buf pids = PMF_BUF_INIT;
	pid_t children[LOOKED_AT];
	size_t left_out = 0;

	for (size_t i = 0; i < a->nr_tasks; i++) {
		size_t n = pmf_tasks_children(a->tasks[i].pid, children, LOOKED_AT);

		for (size_t k = 0; k < n; k++)
			if (!is_asked_for(a, children[k]) && left_out++ < NAMED_MAX)
				pmf_buf_printf(&pids, ",%d", (int)children[k]);
	}
	if (left_out)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"%zu process%s of %s had been started before and %s not recorded: '-p %d%s%s' "
			"names %s too",
			left_out, left_out == 1 ? "" : "es", a->tasks[0].comm,
			left_out == 1 ? "is" : "are", (int)a->tasks[0].pid, pmf_buf_str(&pids),
			left_out > NAMED_MAX ? ",..." : "", left_out == 1 ? "it" : "them");
	pmf_buf_release(&pids);
}

int pmf_attach_adopt(
	struct pmf_attach *a, struct pmf_shards *shards, bool data_maps, struct pmf_err *err)
{
	struct pmf_perf_limits limits;
	int ret = 0;

	switch (a->who->target) {
	case PMF_PERF_SYSTEM:
		ret = pmf_process_adopt_all(data_maps, pmf_shards_tell, shards, &a->nr_unread, err);
		break;
	case PMF_PERF_CGROUP:
		ret = adopt_cgroup(a, shards, data_maps, err);
		break;
	default:
		for (size_t i = 0; i < a->nr_tasks; i++) {
			pid_t pid = pmf_attach_process_of(a->tasks[i].pid);

			if (pid)
				adopt_one(a, shards, data_maps, pid);
		}
		if (!a->who->single && shards->main->inherit)
			note_children(a, shards->main->profile);
	}
	for (size_t i = 0; i < shards->main->table.n; i++)
		shards->main->nr_adopted += shards->main->table.procs[i]->nr_tids;
	pmf_perf_limits_read(&limits);
	if (ret == 0 && a->nr_unread)
		pmf_profile_note(shards->main->profile, PMF_NOTE_WARN, -1,
			"the mappings of %zu process%s may not be read%s, so their functions have no "
			"names",
			a->nr_unread, a->nr_unread == 1 ? "" : "es",
			limits.cap_sys_ptrace ? ", not even with CAP_SYS_PTRACE (a security module)"
					      : " without CAP_SYS_PTRACE");
	return ret;
}

/* ---- Words ---- */

/* "nginx 12, worker 34, …" */
static void add_names(struct pmf_buf *b, const struct pmf_attach *a)
{
	for (size_t i = 0; i < a->nr_tasks && i < NAMED_MAX; i++)
		pmf_buf_printf(b, "%s%s %d", i ? ", " : "", a->tasks[i].comm, (int)a->tasks[i].pid);
	pmf_buf_addstr(b, a->nr_tasks > NAMED_MAX ? ", …" : "");
}

static void add_tasks(struct pmf_buf *b, const struct pmf_attach *a, const struct pmf_stacks *s)
{
	const struct pmf_attach_task *first = &a->tasks[0];
	const struct pmf_process *proc = pmf_process_find(&s->table, a->process);
	size_t threads = proc ? proc->nr_tids : 0;

	if (a->nr_tasks > 1) {
		pmf_buf_printf(b, "attached to %zu %s (", a->nr_tasks,
			a->who->single ? "threads" : "processes");
		add_names(b, a);
		pmf_buf_addch(b, ')');
	} else if (a->who->single) {
		pmf_buf_printf(b, "attached to thread %d (%s) of %s (pid %d)", (int)first->pid,
			first->comm, proc ? proc->comm : ended, (int)a->process);
	} else {
		pmf_buf_printf(b, "attached to %s (pid %d, %zu thread%s)", first->comm,
			(int)first->pid, threads, threads == 1 ? "" : "s");
	}
}

char *pmf_attach_describe(const struct pmf_attach *a, const struct pmf_stacks *s)
{
	struct pmf_buf b = PMF_BUF_INIT;

	switch (a->who->target) {
	case PMF_PERF_SYSTEM:
		pmf_buf_printf(&b, "the whole machine (%d CPU%s)", s->profile->cpus,
			s->profile->cpus == 1 ? "" : "s");
		break;
	case PMF_PERF_CGROUP:
		pmf_buf_printf(&b, "control group %s", a->cgroup_path);
		break;
	default:
		add_tasks(&b, a, s);
	}
	if (a->who->cpus)
		pmf_buf_printf(
			&b, ", on CPU%s %s", strpbrk(a->who->cpus, ",-") ? "s" : "", a->who->cpus);
	return pmf_buf_detach(&b);
}

/* ---- From the beginning to the end ---- */

int pmf_attach_open(struct pmf_attach *a, const struct pmf_collect_who *who, struct pmf_err *err)
{
	int ret = 0;

	*a = (struct pmf_attach){.who = who, .cgroup_fd = -1};
	a->tasks = pmf_calloc(who->nr_pids, sizeof *a->tasks);
	for (size_t i = 0; i < who->nr_pids && ret == 0; i++)
		ret = open_task(a, who->pids[i], err);
	if (ret == 0 && who->target == PMF_PERF_CGROUP)
		ret = open_cgroup(a, err);
	return ret;
}

bool pmf_attach_has_idle(const struct pmf_attach *a)
{
	enum { FIRST_INO = 1 };
	struct stat st;

	return a->who->target == PMF_PERF_SYSTEM ||
	       (a->who->target == PMF_PERF_CGROUP && fstat(a->cgroup_fd, &st) == 0 &&
		       st.st_ino == FIRST_INO);
}

bool pmf_attach_over(struct pmf_attach *a)
{
	if (a->who->target != PMF_PERF_TASKS)
		return false;
	/* One that lives is enough. */
	while (a->nr_tasks && has_ended(&a->tasks[a->nr_tasks - 1]))
		close(a->tasks[--a->nr_tasks].fd);
	return a->nr_tasks == 0;
}

void pmf_attach_release(struct pmf_attach *a)
{
	for (size_t i = 0; i < a->nr_tasks; i++)
		close(a->tasks[i].fd);
	if (a->who && a->cgroup_fd >= 0)
		close(a->cgroup_fd);
	free(a->cgroup_path);
	free(a->tasks);
	memset(a, 0, sizeof *a);
}
