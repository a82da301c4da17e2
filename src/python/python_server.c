/* Where agents report: an abstract socket (unix(7)), which needs no file and asks for no rights, so
 * that a command that drops its privileges still reaches it. Whoever shows the token is one of
 * ours; who it is, the kernel says. */
#include "pmuflame/python.h"

#include "agent_elf.h"
#include "agent_protocol.h"
#include "pmf_paths.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "python_priv.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 50, /* for a greeting, which is sent right after connecting */
	BACKLOG = 128,
	NAME_BYTES = 8,
	AGENT_PATH_MAX = 3000,
};

struct pmf_python_server {
	int fd;
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

static int listen_at(struct pmf_python_server *s, const char *name, struct pmf_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));

	memcpy(addr.sun_path + 1, name, strlen(name));
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&addr, len) < 0 ||
		listen(s->fd, BACKLOG) < 0)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot listen for the agents of Python");
	return 0;
}

static void make_env(struct pmf_python_server *s, const char *agent_path, const char *name)
{
	static const char preload[] = "LD_PRELOAD=", agent[] = PMF_AGENT_ENV "=";
	const char *there = getenv("LD_PRELOAD");
	size_t n = 0, k = 0;

	while (environ[n])
		n++;
	s->env = pmf_calloc(n + 3, sizeof *s->env);
	s->own[0] = pmf_asprintf(
		"%s%s%s%s", preload, agent_path, there && *there ? ":" : "", there ? there : "");
	s->own[1] =
		pmf_asprintf("%s%d:%s:%s:%s", agent, PMF_AGENT_VERSION, name, s->token, agent_path);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], preload, sizeof preload - 1) != 0 &&
			strncmp(environ[i], agent, sizeof agent - 1) != 0)
			s->env[k++] = environ[i];
	s->env[k++] = s->own[0];
	s->env[k] = s->own[1];
}

int pmf_python_server_open(
	struct pmf_python_server **out, const char *agent_path, struct pmf_err *err)
{
	struct pmf_python_server *s = pmf_zalloc(sizeof *s);
	char id[2 * NAME_BYTES + 1], *name = NULL;
	int ret;

	s->fd = -1;
	ret = random_hex(s->token, PMF_AGENT_TOKEN_CHARS, err);
	if (ret == 0)
		ret = random_hex(id, 2 * NAME_BYTES, err);
	if (ret == 0) {
		name = pmf_asprintf("pmuflame-%s", id);
		ret = listen_at(s, name, err);
	}
	if (ret == 0) {
		make_env(s, agent_path, name);
		*out = s;
	} else {
		pmf_python_server_close(s);
	}
	free(name);
	return ret;
}

void pmf_python_server_close(struct pmf_python_server *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
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

/* ---- Greetings ---- */

static bool read_greeting(
	const struct pmf_python_server *s, int fd, struct pmf_python_greeting *out)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct pmf_agent_hello hello;
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (poll(&p, 1, PATIENCE_MS) != 1 ||
		recv(fd, &hello, sizeof hello, MSG_DONTWAIT) != sizeof hello ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	if (hello.magic != PMF_AGENT_MAGIC || hello.version != PMF_AGENT_VERSION ||
		memcmp(hello.token, s->token, PMF_AGENT_TOKEN_CHARS) != 0 || peer.pid <= 0 ||
		hello.origin > PMF_AGENT_STAYED)
		return false;
	*out = (struct pmf_python_greeting){.fd = fd,
		.pid = peer.pid,
		.origin = (enum pmf_python_origin)hello.origin,
		.alone = hello.alone == 1,
		.minor = hello.python};
	memcpy(out->why, hello.why, sizeof out->why - 1);
	out->why[sizeof out->why - 1] = '\0';
	return true;
}

bool pmf_python_accept(struct pmf_python_server *s, struct pmf_python_greeting *out)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof addr;
	int fd = accept4(s->fd, (struct sockaddr *)&addr, &len, SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	if (read_greeting(s, fd, out))
		return true;
	close(fd);
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
