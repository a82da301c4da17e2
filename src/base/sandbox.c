/* The keeper, which forks workers, and the sockets to it. */
#include "sandbox_priv.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SPAWN = 1, /* with two descriptors: for the answer, and the worker's socket */
	END,       /* with one: for the answer */
	UNCLAIMED_MAX = 32,
};

/* To the keeper, and its answer: the worker's pid, or its status. */
struct request {
	int what;
	pid_t pid;
};

struct pmf_sandbox {
	pid_t keeper, owner;
	int fd;
};

/* ---- Messages ---- */

bool pmf_sandbox_send(int fd, const void *data, size_t len, const int *fds, size_t nr_fds)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(PMF_SANDBOX_FDS * sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)data, len};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (nr_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof *fds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(nr_fds * sizeof *fds);
		memcpy(CMSG_DATA(&control.head), fds, nr_fds * sizeof *fds);
	}
	while (part.iov_len) {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		part.iov_base = (char *)part.iov_base + n;
		part.iov_len -= (size_t)n;
	}
	return true;
}

/* Descriptors beyond the @room of @fds are closed. */
static void take_fds(struct msghdr *msg, int *fds, size_t room, size_t *n)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t came = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
				      ? (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds
				      : 0;

		for (size_t i = 0; i < came; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (*n < room)
				fds[(*n)++] = fd;
			else
				close(fd);
		}
	}
}

bool pmf_sandbox_recv(int fd, void *data, size_t len, int *fds, size_t *nr_fds)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(PMF_SANDBOX_FDS * sizeof(int))];
	} control;
	size_t room = nr_fds ? *nr_fds : 0, came = 0, got = 0;

	while (got < len) {
		struct iovec part = {(char *)data + got, len - got};
		struct msghdr msg = {.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof control};
		ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		take_fds(&msg, fds, room, &came);
		got += (size_t)n;
	}
	if (got < len)
		while (fds && came > 0)
			close(fds[--came]);
	if (nr_fds)
		*nr_fds = came;
	return got == len;
}

/* ---- The keeper ---- */

static _Noreturn void be_worker(pmf_sandbox_work *work, int fd, pid_t keeper)
{
	const char ready = 1;

	if (pmf_sandbox_confine(keeper) && pmf_sandbox_send(fd, &ready, 1, NULL, 0))
		work(fd);
	_exit(0);
}

static pid_t spawn(pmf_sandbox_work *work, int control, int answer, int fd)
{
	pid_t keeper = getpid(), pid = fork();

	if (pid == 0) {
		close(control);
		close(answer);
		be_worker(work, fd, keeper);
	}
	return pid;
}

/* What became of @pid, which is ended if it runs; -1 if it is no worker. A number that was given away is
 * nobody's of ours. */
static int end(pid_t pid)
{
	siginfo_t info;
	int status;

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return -1;
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static _Noreturn void keep(pmf_sandbox_work *work, int control)
{
	unsigned unclaimed = 0; /* workers whose end nobody has asked for: of snapshots, mostly */
	struct request r;
	int fds[PMF_SANDBOX_FDS];

	pmf_sandbox_drop_rights(control);
	for (;;) {
		size_t nr_fds = PMF_SANDBOX_FDS;

		if (!pmf_sandbox_recv(control, &r, sizeof r, fds, &nr_fds))
			_exit(0);
		if (r.what == SPAWN && nr_fds == 2) {
			for (; unclaimed > UNCLAIMED_MAX && waitpid(-1, NULL, WNOHANG) > 0;)
				unclaimed--;
			r.pid = spawn(work, control, fds[0], fds[1]);
			unclaimed += r.pid > 0;
		} else {
			r.pid = end(r.pid);
			unclaimed -= unclaimed > 0;
		}
		if (nr_fds)
			pmf_sandbox_send(fds[0], &r, sizeof r, NULL, 0);
		while (nr_fds > 0)
			close(fds[--nr_fds]);
	}
}

/* ---- Who asks it ---- */

struct pmf_sandbox *pmf_sandbox_start(pmf_sandbox_work *work, struct pmf_err *err)
{
	struct pmf_sandbox *s;
	int pair[2], why;
	pid_t pid;

	if (pmf_sandbox_probe(err))
		return NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		pmf_err_errno(err, PMF_ELIMIT, errno, "cannot make a socket for the sandbox");
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		keep(work, pair[1]);
	why = errno;
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		pmf_err_errno(err, PMF_ELIMIT, why, "cannot start a process for the sandbox");
		return NULL;
	}
	s = pmf_zalloc(sizeof *s);
	*s = (struct pmf_sandbox){.keeper = pid, .owner = getpid(), .fd = pair[0]};
	return s;
}

void pmf_sandbox_stop(struct pmf_sandbox *s)
{
	if (!s)
		return;
	close(s->fd);
	if (s->owner == getpid())
		waitpid(s->keeper, NULL, 0);
	free(s);
}

/* Ask the keeper, with @fd if that is not -1: processes and threads that ask at once get their own answers. */
static bool ask(struct pmf_sandbox *s, struct request *r, int fd)
{
	int pair[2];
	bool ok;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	ok = pmf_sandbox_send(s->fd, r, sizeof *r, (const int[]){pair[1], fd}, fd < 0 ? 1 : 2);
	close(pair[1]);
	ok = ok && pmf_sandbox_recv(pair[0], r, sizeof *r, NULL, NULL);
	close(pair[0]);
	return ok;
}

int pmf_sandbox_spawn(struct pmf_sandbox *s, struct pmf_sandbox_worker *w, struct pmf_err *err)
{
	struct request r = {.what = SPAWN};
	int pair[2];
	char ready;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return pmf_err_errno(
			err, PMF_ELIMIT, errno, "cannot make a socket for a sandboxed process");
	if (!ask(s, &r, pair[1]))
		r.pid = -1;
	close(pair[1]);
	if (r.pid > 0) {
		*w = (struct pmf_sandbox_worker){r.pid, pair[0]};
		if (pmf_sandbox_recv(w->fd, &ready, 1, NULL, NULL))
			return 0;
		pmf_sandbox_end(s, w);
	} else {
		close(pair[0]);
	}
	return pmf_err_set(err, PMF_ELIMIT, "cannot start a sandboxed process");
}

int pmf_sandbox_end(struct pmf_sandbox *s, struct pmf_sandbox_worker *w)
{
	struct request r = {END, w->pid};
	bool known = ask(s, &r, -1);

	close(w->fd);
	*w = (struct pmf_sandbox_worker){0, -1};
	return known ? r.pid : -1;
}
