/* pmuflame/container.h - which container a process runs in, and what that is called.
 * Layer: process (uses base). Threads: one owner per struct pmf_containers.
 *
 * The kernel knows no containers. Engines give theirs a cgroup (cgroups(7)) that is called by the container's
 * id, and keep its name in files of their own; what they do not name has a host name (uts_namespaces(7)).
 * All of these are from outside, some from within the container: they are cut and cleaned. */
#ifndef PMUFLAME_CONTAINER_H
#define PMUFLAME_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pmf_container_kind {
	PMF_CONTAINER_DOCKER,
	PMF_CONTAINER_PODMAN,
	PMF_CONTAINER_KUBERNETES, /* containerd's or CRI-O's */
	PMF_CONTAINER_CONTAINERD, /* nerdctl's, ctr's */
	PMF_CONTAINER_LXC,
	PMF_CONTAINER_MACHINE,    /* systemd-nspawn's, libvirt's */
	PMF_CONTAINER_NAMESPACES, /* pid and UTS namespaces, and a host name, of its own */
};

enum { PMF_CONTAINER_CHARS = 64 };

/* Texts have none but A-Z, a-z, 0-9 and "._-/". */
struct pmf_container {
	enum pmf_container_kind kind;
	char id[PMF_CONTAINER_CHARS + 1]; /* hexadecimal, or the name if the engine has no other */
	char name[PMF_CONTAINER_CHARS + 1]; /* "web-1", "POD/CONTAINER"; else the first of the id */
};

/* Kind, id and, where it is all that there is, name from the text of /proc/PID/cgroup; false if it names no
 * container: a unit of systemd's is none. Of containers in a container it is the outer one. */
bool pmf_container_of_cgroup(const char *text, struct pmf_container *out);
/* The name that the engine keeps for out->id in its files below the folder @root ("": this machine's) into
 * out->name; false, and nothing is changed, if there is none that may be read. */
bool pmf_container_engine_name(const char *root, struct pmf_container *out);

/* Containers that processes were seen in. Zeroed is empty. */
struct pmf_containers {
	uint64_t own_mnt_ns;
	struct pmf_container *items;
	size_t n, cap;
};

enum pmf_container_answer {
	PMF_CONTAINER_SAME,    /* where this process is, or in none */
	PMF_CONTAINER_OTHER,   /* in another one */
	PMF_CONTAINER_UNKNOWN, /* the process is gone, or nobody's to look at */
};
/* Does @pid run in another container than this process? Then *name, which is valid until the next call, says
 * in which. Files are read once per container. */
enum pmf_container_answer pmf_containers_ask(
	struct pmf_containers *c, pid_t pid, const char **name);
void pmf_containers_release(struct pmf_containers *c);

#endif
