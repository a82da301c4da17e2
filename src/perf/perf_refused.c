/* Why events that open on our own thread are refused on whom they are to count. */
#include "perf_priv.h"

#include "perf_session_priv.h"
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STATUS_MAX = 1 << 16 };

/* Who a task belongs to, and what it is called (proc(5), "status"). */
struct owner {
	char comm[64];
	unsigned euid;
	bool zombie;
};

static bool owner_of(pid_t tid, struct owner *o)
{
	struct pmf_buf status = PMF_BUF_INIT;
	const char *uids, *state;
	char path[64];
	bool known = false;

	snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
	if (pmf_file_read(path, STATUS_MAX, &status, NULL) == 0) {
		uids = strstr(pmf_buf_str(&status), "\nUid:");
		state = strstr(pmf_buf_str(&status), "\nState:\t");
		known = uids && sscanf(uids, "\nUid: %*u %u", &o->euid) == 1 &&
			sscanf(pmf_buf_str(&status), "Name: %63[^\n]", o->comm) == 1;
		o->zombie = state && state[8] == 'Z';
	}
	pmf_buf_release(&status);
	return known;
}

int pmf_perf_explain_gone(pid_t tid, bool single, struct pmf_err *err)
{
	const char *what = single ? "thread" : "process";
	struct owner o = {0};

	if (owner_of(tid, &o) && o.zombie)
		return pmf_err_set(err, PMF_ENOTFOUND,
			"%s %d (%s) has ended, and only waits for its parent to take note (a zombie)",
			what, (int)tid, o.comm);
	return pmf_err_set(err, PMF_ENOTFOUND, "there is no %s %d (any more)", what, (int)tid);
}

static int explain_task(pid_t tid, const struct pmf_perf_limits *l, struct pmf_err *err)
{
	const char *remedy = l->user_namespace
				     ? "run pmuflame outside this user namespace, as root"
				     : "run it with sudo, or give pmuflame the capabilities "
				       "CAP_PERFMON and CAP_SYS_PTRACE";
	struct owner o = {0};
	struct passwd entry, *user = NULL;
	char names[1024], number[16];

	if (!owner_of(tid, &o))
		return pmf_perf_explain_gone(tid, false, err);
	snprintf(number, sizeof number, "%u", o.euid);
	if (getpwuid_r(o.euid, &entry, names, sizeof names, &user))
		user = NULL;
	if (o.euid != geteuid())
		return pmf_err_set(err, PMF_EPERM,
			"may not look into task %d (%s), which belongs to user %s: %s", (int)tid,
			o.comm, user ? user->pw_name : number, remedy);
	return pmf_err_set(err, PMF_EPERM,
		"may not look into task %d (%s), though it is yours: it keeps others out (it has "
		"capabilities, runs a set-user-ID program or asked for it with PR_SET_DUMPABLE), or "
		"is in another user namespace: %s",
		(int)tid, o.comm, remedy);
}

static int explain_whole_cpus(bool cgroup, const struct pmf_perf_limits *l, struct pmf_err *err)
{
	return pmf_err_set(err, PMF_EPERM,
		"cannot count %s: kernel.perf_event_paranoid is %lld, and users may see what others do on a "
		"CPU up to 0: 'sudo sysctl kernel.perf_event_paranoid=0', or run it with sudo, or "
		"give pmuflame CAP_PERFMON%s",
		cgroup ? "in a control group" : "on whole CPUs", l->paranoid,
		l->user_namespace ? " outside this user namespace" : "");
}

static int explain_descriptors(const struct pmf_perf_session *s, struct pmf_err *err)
{
	struct rlimit files = {0, 0};

	getrlimit(RLIMIT_NOFILE, &files);
	return pmf_err_set(err, PMF_ELIMIT,
		"cannot open events on all threads: each takes %zu files on %zu CPUs, and %llu may be "
		"open: ask for fewer events, or for single threads (-t), or for whole CPUs (-a), or "
		"raise it ('ulimit -n', 'sysctl fs.nr_open')",
		s->nr_cpus * (s->nr_opened + 1) + 1, s->nr_cpus,
		(unsigned long long)files.rlim_cur);
}

int pmf_perf_explain_whom(const struct pmf_perf_session *s, const struct pmf_event *ev, int errnum,
	const struct perf_event_attr *attr, const struct pmf_perf_where *where, struct pmf_err *err)
{
	const struct pmf_perf_limits *l = &s->limits;
	bool refused = errnum == EACCES || (errnum == EPERM && !l->seccomp_filter),
	     cgroup = s->opts.target == PMF_PERF_CGROUP, whole_cpus = cgroup || where->pid < 0;

	if (refused && whole_cpus && !l->cap_perfmon && l->paranoid > 0)
		return explain_whole_cpus(cgroup, l, err);
	switch (s->opts.target) {
	case PMF_PERF_COMMAND:
		break;
	case PMF_PERF_TASKS:
		if (refused && !whole_cpus)
			return explain_task(where->pid, l, err);
		if (errnum == EMFILE)
			return explain_descriptors(s, err);
		break;
	case PMF_PERF_CGROUP:
	case PMF_PERF_SYSTEM:
		if (cgroup && (errnum == EBADF || errnum == ENOENT))
			return pmf_err_set(err, PMF_EUSAGE,
				"this control group has no perf events: with cgroup v1 they are in "
				"the groups below the mount with the option perf_event");
		if (cgroup && errnum == EINVAL)
			return pmf_err_set(err, PMF_EUNSUP,
				"cannot count in a control group: this kernel was built without "
				"CONFIG_CGROUP_PERF");
		break;
	}
	return pmf_perf_explain(ev, errnum, attr, l, err);
}

/* Up to the hard limit first. That can be doubled while fs.nr_open has room and CAP_SYS_RESOURCE is
 * there (setrlimit(2)); there is no descriptor left to read how far. */
bool pmf_perf_raise_nofile(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return false;
	if (files.rlim_cur == files.rlim_max)
		files.rlim_max *= 2;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) == 0;
}
