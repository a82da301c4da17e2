/* A request to an interpreter that runs already: a script in a folder that its process sees, and its path
 * written to where the interpreter looks when it next may stop. */
#include "pmuflame/remote.h"

#include "agent_protocol.h"
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/process.h"
#include "python_priv.h"
#include "remote_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AGENT_MAX = 16 << 20, WHY_MAX = 4096 };

static const char agent_file[] = "pmuflame-agent.so";

struct pmf_remote {
	struct pmf_remote_interpreter in;
	struct pmf_remote_threads threads;
	bool keeps_socket; /* its children need the folder */
	struct pmf_remote_place place;
	char script[PMF_REMOTE_SCRIPT_CHARS]; /* as the process says it */
};

/* ---- What it is to execute ---- */

/* @s as a literal of Python; bytes that are no ASCII as those that PEP 383 stands for them. */
static void add_literal(struct pmf_buf *b, const char *s)
{
	pmf_buf_addch(b, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x80)
			pmf_buf_printf(b, "\\udc%02x", c);
		else if (c < ' ' || c == '"' || c == '\\')
			pmf_buf_printf(b, "\\x%02x", c);
		else
			pmf_buf_addch(b, (char)c);
	}
	pmf_buf_addch(b, '"');
}

/* In no module, and in no name of the program's. */
static int write_script(
	struct pmf_remote_place *pl, const char *agent, const char *value, struct pmf_err *err)
{
	struct pmf_buf b = PMF_BUF_INIT;
	int ret;

	pmf_buf_addstr(&b, "# pmuflame attaches: https://peps.python.org/pep-0768/\n"
			   "def load():\n"
			   "    import _imp\n"
			   "    from _frozen_importlib import ModuleSpec\n"
			   "    try:\n"
			   "        spec = ModuleSpec(\"pmuflame_agent\", None, origin=");
	add_literal(&b, agent);
	pmf_buf_addstr(&b, ")\n        why = _imp.create_dynamic(spec).join(");
	add_literal(&b, value);
	pmf_buf_addstr(&b, ")\n"
			   "    except Exception as e:\n"
			   "        why = f\"{type(e).__name__}: {e}\"\n"
			   "    with open(");
	add_literal(&b, pl->path);
	pmf_buf_addstr(&b, " \"/why\", \"w\", errors=\"replace\") as file:\n"
			   "        file.write(why + \"\\n\")\n"
			   "load()\n");
	ret = pmf_remote_place_write(pl, "attach.py", b.data, b.len, err);
	pmf_buf_release(&b);
	return ret;
}

/* The agent's path as @p says it: an agent that is in it already comes first, for the second copy would
 * be another agent; then the one that is installed; then a copy. free(3) it. */
static int choose_agent(const struct pmf_process *p, const char *installed,
	struct pmf_remote_place *pl, char **out, struct pmf_err *err)
{
	struct pmf_buf b = PMF_BUF_INIT;
	int ret;

	for (size_t i = 0; i < p->nr_maps; i++) {
		const struct pmf_image *im = p->maps[i].image;
		const char *at = strstr(im->path, agent_file);

		if (at && at > im->path && at[-1] == '/') {
			*out = pmf_asprintf("%.*s%s", (int)(at - im->path), im->path, agent_file);
			return 0;
		}
	}
	if (pmf_remote_place_shares(pl, installed)) {
		*out = pmf_strdup(installed);
		return 0;
	}
	ret = pmf_file_read(installed, AGENT_MAX, &b, err);
	if (ret == 0)
		ret = pmf_remote_place_write(pl, agent_file, b.data, b.len, err);
	pmf_buf_release(&b);
	if (ret == 0)
		*out = pmf_asprintf("%s/%s", pl->path, agent_file);
	return ret;
}

/* Abstract sockets end at the border of a network namespace (network_namespaces(7)). */
static bool same_network(pid_t pid)
{
	struct stat ours, theirs;
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	return stat("/proc/self/ns/net", &ours) || stat(path, &theirs) ||
	       ours.st_ino == theirs.st_ino;
}

/* The socket is its user's, as the folder is: nobody else reaches it. */
static int listen_in(
	struct pmf_python_server *server, const struct pmf_remote_place *pl, struct pmf_err *err)
{
	int ret;

	if (!pmf_remote_place_enter(pl))
		return pmf_err_errno(
			err, PMF_EPERM, errno, "cannot listen as user %u", (unsigned)pl->uid);
	ret = pmf_python_server_listen_in(server, pl->fd, "socket", err);
	pmf_remote_place_leave(pl);
	return ret;
}

static int prepare(struct pmf_remote *r, const struct pmf_process *p,
	struct pmf_python_server *server, struct pmf_err *err)
{
	char *agent = NULL, *socket_path = NULL, *value;
	int ret = choose_agent(p, pmf_python_server_agent(server), &r->place, &agent, err);

	r->keeps_socket = !same_network(p->pid);
	if (ret == 0 && r->keeps_socket) {
		socket_path = pmf_asprintf("%s/socket", r->place.path);
		ret = listen_in(server, &r->place, err);
	}
	if (ret == 0) {
		value = pmf_python_server_value(server, socket_path, agent);
		ret = write_script(&r->place, agent, value, err);
		free(value);
	}
	free(socket_path);
	free(agent);
	return ret;
}

int pmf_remote_look(const struct pmf_process *p, struct pmf_err *err)
{
	struct pmf_remote_interpreter in;

	return pmf_remote_interpreter_find(p, &in, err);
}

int pmf_remote_ask(struct pmf_remote **out, const struct pmf_process *p,
	struct pmf_python_server *server, struct pmf_err *err)
{
	struct pmf_remote_interpreter in;
	struct pmf_remote *r;
	int ret = pmf_remote_interpreter_find(p, &in, err);

	if (ret)
		return ret;
	r = pmf_zalloc(sizeof *r);
	r->in = in;
	ret = pmf_remote_place_make(&r->place, in.pid, err);
	if (ret == 0) {
		snprintf(r->script, sizeof r->script, "%s/attach.py", r->place.path);
		ret = prepare(r, p, server, err);
	}
	if (ret == 0)
		ret = pmf_remote_ask_main(&r->threads, &r->in, r->script, err);
	if (ret == 0)
		*out = r;
	else
		pmf_remote_free(r);
	return ret;
}

pid_t pmf_remote_pid(const struct pmf_remote *r)
{
	return r->in.pid;
}

int pmf_remote_check(struct pmf_remote *r, struct pmf_err *err)
{
	struct pmf_buf b = PMF_BUF_INIT, clean = PMF_BUF_INIT;
	int fd = -1, ret = 0;

	if (pmf_remote_place_enter(&r->place)) {
		fd = openat(r->place.fd, "why", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		pmf_remote_place_leave(&r->place);
	}
	/* Its line is whole once it has an end. */
	if (fd >= 0 && pmf_file_read_fd(fd, "why", WHY_MAX, &b, NULL) == 0 && b.len &&
		b.data[b.len - 1] == '\n') {
		b.data[b.len - 1] = '\0';
		pmf_buf_addclean(&clean, b.data, '?');
		ret = clean.len ? pmf_err_set(err, PMF_EUNSUP, "%s", pmf_buf_str(&clean)) : 1;
	}
	if (fd >= 0)
		close(fd);
	pmf_buf_release(&clean);
	pmf_buf_release(&b);
	return ret;
}

void pmf_remote_ask_others(struct pmf_remote *r)
{
	pmf_remote_ask_running(&r->threads, &r->in, r->script);
}

void pmf_remote_settle(struct pmf_remote *r)
{
	size_t begun = pmf_remote_withdraw_all(&r->threads, &r->in, r->script);

	/* A second thread may be about to open the script. */
	if (begun <= 1 && !r->keeps_socket)
		pmf_remote_place_remove(&r->place);
}

void pmf_remote_free(struct pmf_remote *r)
{
	if (!r)
		return;
	pmf_remote_settle(r);
	pmf_remote_place_remove(&r->place);
	pmf_remote_place_close(&r->place);
	free(r);
}
