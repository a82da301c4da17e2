/* Where agents report: an abstract socket (unix(7)), which needs no file and asks for no rights, so
 * that a command that drops its privileges still reaches it; and files for those that live in another
 * network namespace. Whoever shows the token is one of ours; who it is, the kernel says. */
#include "pmuflame/python.h"

#include "agent_elf.h"
#include "agent_protocol.h"
#include "pmf_paths.h"
#include "pmuflame/clock.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "python_priv.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PATIENCE_NS = 500000000, /* for a greeting, which is sent right after connecting */
	PENDING_MAX = 64,
	BACKLOG = 128,
	NAME_BYTES = 8,
	AGENT_PATH_MAX = 3000,
};

/* Who has connected and said nothing yet: anybody may, and nobody is waited for. */
struct pending {
	int fd;
	pid_t pid;
	uint64_t since_ns;
};

struct pmf_python_server {
	int fd; /* readable when one of the sockets is, or of those pending (epoll(7)) */
	struct pending pending[PENDING_MAX]; /* oldest first */
	size_t nr_pending;
	int *sockets;
	size_t nr_sockets, cap_sockets;
	char *name; /* of the first */
	char *agent_path;
	char token[PMF_AGENT_TOKEN_CHARS + 1];
	char **env;
	char *own[2]; /* those of env that are not the process's */
};

/* ---- The agent's file ---- */

static char *beside_program(void)
{
	char exe[AGENT_PATH_MAX], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n <= 0)
		return NULL;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	path = pmf_asprintf("%.*s/pmuflame-agent.so", slash ? (int)(slash - exe) : 0, exe);
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return NULL;
}

char *pmf_python_agent_path(struct pmf_err *err)
{
	char *path = beside_program();

	if (!path)
		path = pmf_strdup(PMF_PKGLIBDIR "/pmuflame-agent.so");
	if (access(path, R_OK) != 0)
		pmf_err_errno(err, PMF_ENOTFOUND, errno,
			"the agent for Python is not installed: cannot read '%s'", path);
	else if (strpbrk(path, ": ") || strlen(path) > AGENT_PATH_MAX)
		pmf_err_set(err, PMF_EUNSUP,
			"the agent for Python cannot be preloaded: its path '%s' has a colon or a "
			"blank, or is too long",
			path);
	else
		return path;
	free(path);
	return NULL;
}

bool pmf_python_may_preload(const char *path)
{
	return pmf_agent_may_preload(path);
}

/* ---- The socket ---- */

static int random_hex(char *out, size_t chars, struct pmf_err *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[PMF_AGENT_TOKEN_CHARS];

	if (getrandom(bytes, chars, 0) != (ssize_t)chars)
		return pmf_err_errno(err, PMF_EIO, errno, "no random numbers for the agent");
	for (size_t i = 0; i < chars; i++)
		out[i] = digits[bytes[i] % 16];
	out[chars] = '\0';
	return 0;
}

static int listen_at(struct pmf_python_server *s, const struct sockaddr_un *addr, size_t path_len,
	struct pmf_err *err)
{
	struct epoll_event ready = {.events = EPOLLIN};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		PMF_PUSH(s->sockets, s->nr_sockets, s->cap_sockets) = fd;
	if (fd < 0 ||
		bind(fd, (const struct sockaddr *)addr,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len)) < 0 ||
		listen(fd, BACKLOG) < 0 || epoll_ctl(s->fd, EPOLL_CTL_ADD, fd, &ready) < 0)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot listen for the agents of Python");
	return 0;
}

int pmf_python_server_listen_in(
	struct pmf_python_server *s, int dir_fd, const char *name, struct pmf_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int len =
		snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);

	return listen_at(s, &addr, (size_t)len + 1, err);
}

char *pmf_python_server_value(
	const struct pmf_python_server *s, const char *socket_path, const char *agent_path)
{
	return pmf_asprintf("%d:%s:%s:%s", PMF_AGENT_VERSION, socket_path ? socket_path : s->name,
		s->token, agent_path);
}

static void make_env(struct pmf_python_server *s)
{
	static const char preload[] = "LD_PRELOAD=", agent[] = PMF_AGENT_ENV "=";
	const char *there = getenv("LD_PRELOAD");
	char *value = pmf_python_server_value(s, NULL, s->agent_path);
	size_t n = 0, k = 0;

	while (environ[n])
		n++;
	s->env = pmf_calloc(n + 3, sizeof *s->env);
	s->own[0] = pmf_asprintf(
		"%s%s%s%s", preload, s->agent_path, there && *there ? ":" : "", there ? there : "");
	s->own[1] = pmf_asprintf("%s%s", agent, value);
	free(value);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], preload, sizeof preload - 1) != 0 &&
			strncmp(environ[i], agent, sizeof agent - 1) != 0)
			s->env[k++] = environ[i];
	s->env[k++] = s->own[0];
	s->env[k] = s->own[1];
}

/* At a name that nobody has. */
static int listen_anew(struct pmf_python_server *s, struct pmf_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char id[2 * NAME_BYTES + 1];
	int ret = random_hex(id, 2 * NAME_BYTES, err);

	if (ret)
		return ret;
	s->name = pmf_asprintf("pmuflame-%s", id);
	memcpy(addr.sun_path + 1, s->name, strlen(s->name));
	return listen_at(s, &addr, 1 + strlen(s->name), err);
}

int pmf_python_server_open(
	struct pmf_python_server **out, const char *agent_path, struct pmf_err *err)
{
	struct pmf_python_server *s = pmf_zalloc(sizeof *s);
	int ret = 0;

	s->fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->fd < 0)
		ret = pmf_err_errno(err, PMF_EIO, errno, "cannot wait for the agents of Python");
	if (ret == 0)
		ret = random_hex(s->token, PMF_AGENT_TOKEN_CHARS, err);
	if (ret == 0)
		ret = listen_anew(s, err);
	if (ret) {
		pmf_python_server_close(s);
		return ret;
	}
	s->agent_path = pmf_strdup(agent_path);
	make_env(s);
	*out = s;
	return 0;
}

/* Returns its descriptor, which a fork may have, too: closing it does not end the watch on it. */
static int take_pending(struct pmf_python_server *s, size_t i)
{
	int fd = s->pending[i].fd;

	epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL);
	s->nr_pending--;
	memmove(&s->pending[i], &s->pending[i + 1], (s->nr_pending - i) * sizeof s->pending[0]);
	return fd;
}

void pmf_python_server_close(struct pmf_python_server *s)
{
	if (!s)
		return;
	while (s->nr_pending > 0)
		close(take_pending(s, s->nr_pending - 1));
	for (size_t i = 0; i < s->nr_sockets; i++)
		close(s->sockets[i]);
	if (s->fd >= 0)
		close(s->fd);
	free(s->sockets);
	free(s->name);
	free(s->agent_path);
	free(s->env);
	free(s->own[0]);
	free(s->own[1]);
	free(s);
}

int pmf_python_server_fd(const struct pmf_python_server *s)
{
	return s->fd;
}

char *const *pmf_python_server_env(const struct pmf_python_server *s)
{
	return s->env;
}

const char *pmf_python_server_agent(const struct pmf_python_server *s)
{
	return s->agent_path;
}

/* ---- Greetings ---- */

/* Who connects is of those that may be recorded; *pid gets who it is. */
static bool may_greet(int fd, pid_t *pid)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	*pid = peer.pid;
	return peer.pid > 0 && (geteuid() == 0 || peer.uid == geteuid());
}

/* Does not wait: 1 for a greeting, 0 if nothing came so far, -1 if it is none. */
static int read_greeting(
	const struct pmf_python_server *s, const struct pending *p, struct pmf_python_greeting *out)
{
	struct pmf_agent_hello hello;
	ssize_t n = recv(p->fd, &hello, sizeof hello, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n != sizeof hello || hello.magic != PMF_AGENT_MAGIC ||
		hello.version != PMF_AGENT_VERSION ||
		memcmp(hello.token, s->token, PMF_AGENT_TOKEN_CHARS) != 0 ||
		hello.origin > PMF_AGENT_STAYED)
		return -1;
	*out = (struct pmf_python_greeting){.fd = p->fd,
		.pid = p->pid,
		.origin = (enum pmf_python_origin)hello.origin,
		.alone = hello.alone == 1,
		.minor = hello.python};
	memcpy(out->why, hello.why, sizeof out->why - 1);
	out->why[sizeof out->why - 1] = '\0';
	return 1;
}

/* The next one that connects to @socket joins those that are waited for. Where they are too many, the one that
 * has been silent for longest gives way: an agent sends right after connecting. False if there is none. */
static bool accept_one(struct pmf_python_server *s, int socket)
{
	struct epoll_event ready = {.events = EPOLLIN};
	struct pending p = {.since_ns = pmf_clock_ns(CLOCK_MONOTONIC)};

	/* cppcheck-suppress nullPointer; nobody asks for the address */
	p.fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
	if (p.fd < 0)
		return false;
	if (!may_greet(p.fd, &p.pid) || epoll_ctl(s->fd, EPOLL_CTL_ADD, p.fd, &ready) < 0) {
		close(p.fd);
		return true;
	}
	if (s->nr_pending == PENDING_MAX)
		close(take_pending(s, 0));
	s->pending[s->nr_pending++] = p;
	return true;
}

static bool next_greeting(struct pmf_python_server *s, struct pmf_python_greeting *out)
{
	uint64_t now = pmf_clock_ns(CLOCK_MONOTONIC);

	for (size_t i = 0; i < s->nr_pending;) {
		int is = read_greeting(s, &s->pending[i], out), fd;

		if (is == 0 && now - s->pending[i].since_ns < PATIENCE_NS) {
			i++;
			continue;
		}
		fd = take_pending(s, i);
		if (is > 0)
			return true;
		close(fd);
	}
	return false;
}

bool pmf_python_accept(struct pmf_python_server *s, struct pmf_python_greeting *out)
{
	if (next_greeting(s, out))
		return true;
	for (size_t i = 0; i < s->nr_sockets; i++) {
		/* Who connects without end has his turn, no more. */
		for (int n = 0; n < PENDING_MAX / 2 && accept_one(s, s->sockets[i]); n++)
			;
		if (next_greeting(s, out))
			return true;
	}
	return false;
}

void pmf_python_refuse(struct pmf_python_greeting *g)
{
	close(g->fd);
	g->fd = -1;
}

void pmf_python_confirm(struct pmf_python_greeting *g)
{
	struct pmf_agent_answer answer = {.magic = PMF_AGENT_MAGIC, .ok = 1};

	/* Who does not get it goes on after a while. */
	if (send(g->fd, &answer, sizeof answer, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		pmf_info("a Python process did not wait for its answer");
	pmf_python_refuse(g);
}

static bool send_answer(int fd, bool alone, int memory)
{
	struct pmf_agent_answer answer = {PMF_AGENT_MAGIC, 1, alone};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {&answer, sizeof answer};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof memory);
	memcpy(CMSG_DATA(c), &memory, sizeof memory);
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof answer;
}

int pmf_python_answer(struct pmf_python_greeting *g, bool alone, struct pmf_python_process *p,
	struct pmf_err *err)
{
	bool sent = send_answer(g->fd, alone, pmf_python_process_memory(p));

	pmf_python_refuse(g);
	return sent ? 0 : pmf_err_errno(err, PMF_EIO, errno, "a Python process went away");
}
