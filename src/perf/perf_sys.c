#include "perf_priv.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int pmf_perf_sys_open(
	struct perf_event_attr *attr, pid_t pid, int cpu, int group_fd, unsigned long flags)
{
	long fd;

	attr->size = sizeof *attr;
	fd = syscall(SYS_perf_event_open, attr, pid, cpu, group_fd, flags | PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}
