/* Containers by the marks that engines leave. */
#include "pmuflame/container.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CGROUP_BYTES_MAX = 1 << 16,
	ENGINE_BYTES_MAX = 16 << 20, /* podman has one file for all containers */
	ID_CHARS = 64,
	SHORT_ID = 12, /* characters of an id that engines show */
	CONTAINERS_MAX = 1024,
};

/* @text, at most @len bytes of it, as one of the texts of a container. */
static void set_text(char out[PMF_CONTAINER_CHARS + 1], const char *text, size_t len)
{
	size_t n = 0;

	for (; n < PMF_CONTAINER_CHARS && n < len && text[n]; n++)
		out[n] = isalnum((unsigned char)text[n]) || strchr("._-/", text[n]) ? text[n] : '_';
	out[n] = '\0';
}

/* ---- cgroups ---- */

/* How engines call the last folder of their containers' cgroups, but for ".scope" or ".service". */
static const struct {
	const char *prefix;
	enum pmf_container_kind kind;
	bool named;        /* what follows is the name; else it is the id */
	const char *above; /* the folder that it must be in, or NULL */
} marks[] = {
	{"docker-", PMF_CONTAINER_DOCKER, false, NULL},
	{"libpod-", PMF_CONTAINER_PODMAN, false, NULL},
	{"cri-containerd-", PMF_CONTAINER_KUBERNETES, false, NULL},
	{"crio-", PMF_CONTAINER_KUBERNETES, false, NULL},
	{"nerdctl-", PMF_CONTAINER_CONTAINERD, false, NULL},
	{"lxc.payload.", PMF_CONTAINER_LXC, true, NULL},
	{"systemd-nspawn@", PMF_CONTAINER_MACHINE, true, NULL},
	{"machine-", PMF_CONTAINER_MACHINE, true, "machine.slice"},
};

static bool is_id(const char *s, size_t len)
{
	return len == ID_CHARS && strspn(s, "0123456789abcdef") >= len;
}

/* A name of systemd's: "\x2d" stands for '-' (systemd.unit(5)). */
static void set_unit_name(char out[PMF_CONTAINER_CHARS + 1], const char *s, size_t len)
{
	char plain[PMF_CONTAINER_CHARS + 1];
	size_t n = 0;
	unsigned byte;

	for (size_t i = 0; i < len && n < PMF_CONTAINER_CHARS; i++, n++) {
		plain[n] = s[i];
		if (s[i] == '\\' && len - i >= 4 && sscanf(s + i, "\\x%2x", &byte) == 1) {
			plain[n] = (char)byte;
			i += 3;
		}
	}
	set_text(out, plain, n);
}

static bool is_part(const char *part, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(part, what, len) == 0;
}

/* Part @part of a path, which stands below @above (of @above_len bytes, "" if it is the first). */
static bool read_part(const char *path, const char *above, size_t above_len, const char *part,
	size_t len, struct pmf_container *out)
{
	static const char *const ends[] = {".scope", ".service"};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(ends); i++)
		if (len > strlen(ends[i]) &&
			memcmp(part + len - strlen(ends[i]), ends[i], strlen(ends[i])) == 0)
			len -= strlen(ends[i]);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(marks); i++) {
		size_t skip = strlen(marks[i].prefix);

		if (marks[i].above && !is_part(above, above_len, marks[i].above))
			continue;
		if (!pmf_starts_with(part, marks[i].prefix) || len <= skip ||
			(!marks[i].named && !is_id(part + skip, len - skip)))
			continue;
		out->kind = marks[i].kind;
		if (marks[i].named)
			set_unit_name(out->id, part + skip, len - skip);
		else
			set_text(out->id, part + skip, len - skip);
		return true;
	}
	if (is_part(above, above_len, "lxc") || is_part(above, above_len, "lxc.payload")) {
		out->kind = PMF_CONTAINER_LXC;
		set_text(out->id, part, len);
		return len > 0;
	}
	if (!is_id(part, len))
		return false;
	out->kind = is_part(above, above_len, "docker") ? PMF_CONTAINER_DOCKER
		    : strstr(path, "kubepods")          ? PMF_CONTAINER_KUBERNETES
		    : strstr(path, "libpod")            ? PMF_CONTAINER_PODMAN
							: PMF_CONTAINER_CONTAINERD;
	set_text(out->id, part, len);
	return true;
}

static bool read_path(const char *path, struct pmf_container *out)
{
	const char *above = "";
	size_t above_len = 0;

	for (const char *part = path; *part;) {
		size_t len;

		part += strspn(part, "/");
		len = strcspn(part, "/");
		if (len && read_part(path, above, above_len, part, len, out))
			return true;
		above = part;
		above_len = len;
		part += len;
	}
	return false;
}

bool pmf_container_of_cgroup(const char *text, struct pmf_container *out)
{
	char *copy = pmf_strdup(text), *save = NULL;
	bool found = false;

	/* "NUMBER:CONTROLLERS:PATH", a line for each hierarchy. */
	for (char *line = strtok_r(copy, "\n", &save); line && !found;
		line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, ':');

		path = path ? strchr(path + 1, ':') : NULL;
		found = path && read_path(path + 1, out);
	}
	free(copy);
	if (found)
		set_text(out->name, out->id, is_id(out->id, strlen(out->id)) ? SHORT_ID : SIZE_MAX);
	return found;
}

/* ---- Names ---- */

static bool take_name(struct pmf_container *out, const char *name)
{
	while (name && *name == '/')
		name++;
	if (!name || !*name)
		return false;
	set_text(out->name, name, SIZE_MAX);
	return true;
}

static json_t *read_json(char *path)
{
	struct pmf_buf b = PMF_BUF_INIT;
	json_t *root = NULL;

	if (pmf_file_read(path, ENGINE_BYTES_MAX, &b, NULL) == 0)
		root = json_loadb(pmf_buf_str(&b), b.len, 0, NULL);
	pmf_buf_release(&b);
	free(path);
	return root;
}

static bool docker_name(const char *root, struct pmf_container *out)
{
	json_t *config = read_json(
		pmf_asprintf("%s/var/lib/docker/containers/%s/config.v2.json", root, out->id));
	bool got = take_name(out, json_string_value(json_object_get(config, "Name")));

	json_decref(config);
	return got;
}

static bool podman_name(const char *root, struct pmf_container *out)
{
	json_t *all = read_json(pmf_asprintf(
		"%s/var/lib/containers/storage/overlay-containers/containers.json", root));
	json_t *one;
	bool got = false;
	size_t i;

	json_array_foreach(all, i, one)
	{
		const char *id = json_string_value(json_object_get(one, "id"));
		json_t *names = json_object_get(one, "names");

		if (id && strcmp(id, out->id) == 0)
			got = take_name(out, json_string_value(json_array_get(names, 0)));
	}
	json_decref(all);
	return got;
}

/* The kubelet links each container's log as POD_NAMESPACE_CONTAINER-ID.log. */
static bool kubernetes_name(const char *root, struct pmf_container *out)
{
	char *folder = pmf_asprintf("%s/var/log/containers", root);
	char *end = pmf_asprintf("-%s.log", out->id);
	DIR *logs = opendir(folder);
	struct dirent *entry;
	bool got = false;

	while (logs && !got && (entry = readdir(logs))) {
		char *name = entry->d_name, *container;
		size_t len = strlen(name), pod = strcspn(name, "_");

		container = strrchr(name, '_');
		if (len <= strlen(end) || strcmp(name + len - strlen(end), end) != 0 ||
			!container || container == name + pod)
			continue;
		name[len - strlen(end)] = name[pod] = '\0';
		container = pmf_asprintf("%s/%s", name, container + 1);
		got = take_name(out, container);
		free(container);
	}
	if (logs)
		closedir(logs);
	free(folder);
	free(end);
	return got;
}

bool pmf_container_engine_name(const char *root, struct pmf_container *out)
{
	switch (out->kind) {
	case PMF_CONTAINER_DOCKER:
		return docker_name(root, out);
	case PMF_CONTAINER_PODMAN:
		return podman_name(root, out);
	case PMF_CONTAINER_KUBERNETES:
		return kubernetes_name(root, out);
	default:
		return false;
	}
}

/* The host name that it has, as far as a file says so: only a process in there could ask the kernel. */
static bool host_name(pid_t pid, struct pmf_container *out)
{
	char path[64], name[PMF_CONTAINER_CHARS + 1] = "";
	struct stat st;
	int root, fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return false;
	snprintf(path, sizeof path, PMF_FILE_ROOT "%d/etc/hostname", root);
	fd = pmf_file_open_regular(path, &st);
	close(root);
	if (fd < 0)
		return false;
	n = read(fd, name, sizeof name - 1);
	close(fd);
	name[n > 0 ? strcspn(name, " \t\r\n") : 0] = '\0';
	return take_name(out, name);
}

/* ---- Processes ---- */

/* The number of a namespace, 0 if it may not be seen. */
static uint64_t namespace_of(const char *pid, const char *kind)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kind);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static bool has_own(const char *pid, const char *kind, uint64_t *number)
{
	*number = namespace_of(pid, kind);
	return *number && *number != namespace_of("self", kind);
}

/* But for the name that files tell. */
static bool identify(pid_t pid, struct pmf_container *out)
{
	struct pmf_buf cgroup = PMF_BUF_INIT;
	char path[32], number[16];
	uint64_t pid_ns, uts_ns;
	bool found;

	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	found = pmf_file_read(path, CGROUP_BYTES_MAX, &cgroup, NULL) == 0 &&
		pmf_container_of_cgroup(pmf_buf_str(&cgroup), out);
	pmf_buf_release(&cgroup);
	snprintf(number, sizeof number, "%d", (int)pid);
	if (found || !has_own(number, "pid", &pid_ns) || !has_own(number, "uts", &uts_ns))
		return found;
	out->kind = PMF_CONTAINER_NAMESPACES;
	snprintf(out->id, sizeof out->id, "%llu", (unsigned long long)pid_ns);
	return true;
}

/* False if nobody gave it a name. */
static bool find_name(pid_t pid, struct pmf_container *c)
{
	return c->kind == PMF_CONTAINER_LXC || c->kind == PMF_CONTAINER_MACHINE ||
	       pmf_container_engine_name("", c) || host_name(pid, c) ||
	       c->kind != PMF_CONTAINER_NAMESPACES;
}

/* Every container has a mount namespace, which hardly anything else has, and then a root folder of its own: who
 * has ours is on the way there, and would give the container the host's name. */
static enum pmf_container_answer is_elsewhere(struct pmf_containers *c, pid_t pid)
{
	char text[32];
	struct stat root, own;
	uint64_t mnt_ns;

	if (!c->own_mnt_ns)
		c->own_mnt_ns = namespace_of("self", "mnt");
	snprintf(text, sizeof text, "%d", (int)pid);
	mnt_ns = namespace_of(text, "mnt");
	if (mnt_ns == c->own_mnt_ns)
		return PMF_CONTAINER_SAME;
	snprintf(text, sizeof text, "/proc/%d/root", (int)pid);
	if (!mnt_ns || stat(text, &root) < 0 || stat("/", &own) < 0)
		return PMF_CONTAINER_UNKNOWN;
	return root.st_dev == own.st_dev && root.st_ino == own.st_ino ? PMF_CONTAINER_SAME
								      : PMF_CONTAINER_OTHER;
}

enum pmf_container_answer pmf_containers_ask(struct pmf_containers *c, pid_t pid, const char **name)
{
	enum pmf_container_answer answer = is_elsewhere(c, pid);
	struct pmf_container found;
	size_t i = 0;

	if (answer != PMF_CONTAINER_OTHER)
		return answer;
	if (!identify(pid, &found))
		return PMF_CONTAINER_SAME;
	while (i < c->n &&
		(c->items[i].kind != found.kind || strcmp(c->items[i].id, found.id) != 0))
		i++;
	if (i == c->n) {
		if (!find_name(pid, &found))
			found.name[0] = '\0';
		if (c->n == CONTAINERS_MAX)
			i = c->n = 0;
		PMF_PUSH(c->items, c->n, c->cap) = found;
	}
	*name = c->items[i].name;
	return **name ? PMF_CONTAINER_OTHER : PMF_CONTAINER_SAME;
}

void pmf_containers_release(struct pmf_containers *c)
{
	free(c->items);
	*c = (struct pmf_containers){0};
}
