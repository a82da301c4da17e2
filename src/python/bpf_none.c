/* Instead of bpf_loader.c where there is no libbpf or no clang: nothing can be loaded, so that nothing else is
 * ever called. */
#include "pmuflame/python.h"

bool pmf_python_bpf_built(void)
{
	return false;
}

int pmf_python_bpf_load(struct pmf_python_bpf **out, struct pmf_err *err)
{
	*out = NULL;
	return pmf_err_set(err, PMF_EUNSUP,
		"this pmuflame was built without the BPF program that reads Python's frames: build it "
		"with libbpf and clang (Debian: libbpf-dev, clang)");
}

void pmf_python_bpf_free(struct pmf_python_bpf *b)
{
	(void)b;
}

int pmf_python_bpf_program(const struct pmf_python_bpf *b)
{
	(void)b;
	return -1;
}

int pmf_python_bpf_output(struct pmf_python_bpf *b, int cpu, int fd, struct pmf_err *err)
{
	(void)b, (void)cpu, (void)fd;
	return pmf_err_set(err, PMF_EUNSUP, "built without BPF");
}

int pmf_python_bpf_add(struct pmf_python_bpf *b, pid_t pid, const struct pmf_python_interpreter *in,
	struct pmf_err *err)
{
	(void)b, (void)pid, (void)in;
	return pmf_err_set(err, PMF_EUNSUP, "built without BPF");
}

void pmf_python_bpf_remove(struct pmf_python_bpf *b, pid_t pid)
{
	(void)b, (void)pid;
}
