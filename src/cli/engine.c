#include "engine.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/process.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_CHARS = 64 };

static enum pmf_engine by_name(const char *name)
{
	if (strcmp(name, "docker") == 0)
		return PMF_ENGINE_DOCKER;
	if (strcmp(name, "podman") == 0)
		return PMF_ENGINE_PODMAN;
	return *name ? PMF_ENGINE_OTHER : PMF_ENGINE_NONE;
}

enum pmf_engine pmf_engine_here(void)
{
	const char *container = getenv("container");
	char line[NAME_CHARS] = "";

	/* A pod's containers are an engine's as well: who started the pod comes first. */
	if (getenv("KUBERNETES_SERVICE_HOST"))
		return PMF_ENGINE_KUBERNETES;
	if (container && *container)
		return by_name(container);
	if (access("/.dockerenv", F_OK) == 0)
		return PMF_ENGINE_DOCKER;
	if (access("/run/.containerenv", F_OK) == 0)
		return PMF_ENGINE_PODMAN;
	/* What systemd found out when it started inside. */
	if (pmf_file_read_line("/run/systemd/container", line, sizeof line, NULL) == 0 && *line)
		return by_name(line);
	return pmf_process_sees_all() ? PMF_ENGINE_NONE : PMF_ENGINE_OTHER;
}

static bool is_way(enum pmf_engine engine, enum pmf_engine way)
{
	return engine == way || engine == PMF_ENGINE_OTHER || engine == PMF_ENGINE_NONE;
}

static void add_run(struct pmf_buf *b, const char *program, const char *cap, bool any_call)
{
	pmf_buf_printf(b, "%s%s run", b->len ? "\n" : "", program);
	if (cap)
		pmf_buf_printf(b, " --cap-add %s", cap);
	if (any_call)
		pmf_buf_addstr(b, " --security-opt seccomp=unconfined");
	pmf_buf_addstr(b, " ...");
}

char *pmf_engine_grant(enum pmf_engine engine, const char *cap, bool any_call)
{
	struct pmf_buf b = PMF_BUF_INIT;

	if (is_way(engine, PMF_ENGINE_DOCKER))
		add_run(&b, "docker", cap, any_call);
	if (is_way(engine, PMF_ENGINE_PODMAN))
		add_run(&b, "podman", cap, any_call);
	if (is_way(engine, PMF_ENGINE_KUBERNETES)) {
		pmf_buf_printf(&b, "%sKubernetes: securityContext: {", b.len ? "\n" : "");
		if (cap)
			pmf_buf_printf(&b, "capabilities: {add: [%s]}", cap);
		if (any_call)
			pmf_buf_printf(&b, "%sseccompProfile: {type: Unconfined}", cap ? ", " : "");
		pmf_buf_addstr(&b, "}");
	}
	return pmf_buf_detach(&b);
}

char *pmf_engine_show_processes(enum pmf_engine engine)
{
	struct pmf_buf b = PMF_BUF_INIT;

	if (is_way(engine, PMF_ENGINE_DOCKER))
		pmf_buf_addstr(&b, "docker run --pid host ...");
	if (is_way(engine, PMF_ENGINE_PODMAN))
		pmf_buf_printf(&b, "%spodman run --pid host ...", b.len ? "\n" : "");
	if (is_way(engine, PMF_ENGINE_KUBERNETES))
		pmf_buf_printf(
			&b, "%sKubernetes: hostPID: true in the pod's spec", b.len ? "\n" : "");
	return pmf_buf_detach(&b);
}
