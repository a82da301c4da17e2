/* The BPF program, which is built into this one, into the kernel. */
#include "pmuflame/python.h"

#include "agent_protocol.h"
#include "bpf_protocol.h"
#include "pmuflame/mem.h"
#include "python_priv.h"
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LOG_MAX = 256 };

struct pmf_python_bpf {
	struct bpf_object *object;
	struct bpf_link *links[3]; /* to fork, exec and exit */
	int program_fd, processes_fd, outputs_fd;
};

/* What libbpf said last of what went wrong. It knows no object of ours to hang it on. */
static _Thread_local char complaint[LOG_MAX];

static int keep_complaint(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && !complaint[0])
		vsnprintf(complaint, sizeof complaint, format, args);
	return 0;
}

bool pmf_python_bpf_built(void)
{
	return true;
}

static int explain(int errnum, struct pmf_err *err)
{
	struct stat st;

	complaint[strcspn(complaint, "\n")] = '\0';
	if (errnum == EPERM || errnum == EACCES)
		return pmf_err_set(err, PMF_EPERM,
			"this user may not load the BPF program that reads Python's frames: it takes root, "
			"or CAP_BPF and CAP_PERFMON");
	if (stat("/sys/kernel/btf/vmlinux", &st) != 0)
		return pmf_err_set(err, PMF_EUNSUP,
			"the BPF program that reads Python's frames needs a kernel with "
			"CONFIG_DEBUG_INFO_BTF (/sys/kernel/btf/vmlinux is missing)");
	return pmf_err_set(err, PMF_EUNSUP,
		"the kernel does not take the BPF program that reads Python's frames: %s (%s)",
		strerror(errnum), complaint[0] ? complaint : "no reason given");
}

/* Recorders in the first pid namespace need not look for theirs at each overflow. */
static uint32_t own_namespace(void)
{
	enum { FIRST = 0xeffffffc }; /* PROC_PID_INIT_INO in the kernel's proc_ns.h */
	struct stat st;

	return stat("/proc/self/ns/pid", &st) != 0 || st.st_ino == FIRST ? 0 : (uint32_t)st.st_ino;
}

static int map_fd(const struct bpf_object *o, const char *name)
{
	return bpf_object__find_map_fd_by_name(o, name);
}

static int load(struct pmf_python_bpf *b)
{
	static const char *const followers[] = {
		"pmf_python_forked", "pmf_python_executed", "pmf_python_exited"};
	static_assert(PMF_ARRAY_SIZE(followers) == PMF_ARRAY_SIZE(b->links), "one link each");
	const uint32_t ns = own_namespace();
	int cpus = libbpf_num_possible_cpus();
	struct bpf_map *rooms, *constants;
	size_t bytes = 0;
	uint32_t *constant;

	b->object = bpf_object__open_mem(pmf_bpf_program, pmf_bpf_program_bytes, NULL);
	if (!b->object)
		return -errno;
	rooms = bpf_object__find_map_by_name(b->object, "rooms");
	constants = bpf_object__find_map_by_name(b->object, ".rodata");
	constant = constants ? (uint32_t *)bpf_map__initial_value(constants, &bytes) : NULL;
	if (cpus < 0 || !rooms || !constant || bytes < sizeof ns)
		return -EINVAL;
	*constant = ns;
	bpf_map__set_max_entries(rooms, (uint32_t)cpus);
	bpf_map__set_max_entries(
		bpf_object__find_map_by_name(b->object, "outputs"), (uint32_t)cpus);
	if (bpf_object__load(b->object))
		return -errno;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(followers); i++) {
		b->links[i] = bpf_program__attach(
			bpf_object__find_program_by_name(b->object, followers[i]));
		if (!b->links[i])
			return -errno;
	}
	b->program_fd =
		bpf_program__fd(bpf_object__find_program_by_name(b->object, "pmf_python_walk"));
	b->processes_fd = map_fd(b->object, "processes");
	b->outputs_fd = map_fd(b->object, "outputs");
	return 0;
}

int pmf_python_bpf_load(struct pmf_python_bpf **out, struct pmf_err *err)
{
	struct pmf_python_bpf *b = pmf_zalloc(sizeof *b);
	libbpf_print_fn_t before = libbpf_set_print(keep_complaint);
	int ret;

	complaint[0] = '\0';
	ret = load(b);
	libbpf_set_print(before);
	if (ret) {
		pmf_python_bpf_free(b);
		return explain(-ret, err);
	}
	*out = b;
	return 0;
}

void pmf_python_bpf_free(struct pmf_python_bpf *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(b->links); i++)
		bpf_link__destroy(b->links[i]);
	bpf_object__close(b->object);
	free(b);
}

int pmf_python_bpf_program(const struct pmf_python_bpf *b)
{
	return b->program_fd;
}

int pmf_python_bpf_output(struct pmf_python_bpf *b, int cpu, int fd, struct pmf_err *err)
{
	if (bpf_map_update_elem(b->outputs_fd, &cpu, &fd, BPF_ANY))
		return pmf_err_errno(err, PMF_EIO, errno,
			"cannot tell the BPF program where to write on CPU %d", cpu);
	return 0;
}

int pmf_python_bpf_add(struct pmf_python_bpf *b, pid_t pid, const struct pmf_python_interpreter *in,
	struct pmf_err *err)
{
	enum { FREE_THREADED = 2 }; /* as a word of struct _Py_DebugOffsets */
	struct pmf_bpf_python python = {.runtime = in->runtime_va, .code_type = in->code_type_va};
	const struct pmf_agent_layout *l;
	char version[sizeof in->version + 32], why[PMF_AGENT_WHY_CHARS];
	bool described = memcmp(in->runtime, "xdebugpy", 8) == 0;

	snprintf(version, sizeof version, "%s%s", in->version,
		described && in->runtime[FREE_THREADED] ? " free-threading" : "");
	l = pmf_agent_layout_find(version, in->runtime, why);
	if (!l)
		return pmf_err_set(err, PMF_EUNSUP, "%s", why);
	python.layout = *l;
	pmf_agent_threads_find(l, in->runtime, &python.threads);
	if (bpf_map_update_elem(b->processes_fd, &pid, &python, BPF_ANY))
		return pmf_err_errno(err, PMF_ELIMIT, errno,
			"no room for another process among those with Python frames");
	return 0;
}

void pmf_python_bpf_remove(struct pmf_python_bpf *b, pid_t pid)
{
	bpf_map_delete_elem(b->processes_fd, &pid);
}
