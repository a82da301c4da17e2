/* What this machine and this user may do: sysctls, capabilities, filters, kernel features. */
#include "perf_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BIT_CAP_IPC_LOCK = 14,
	BIT_CAP_SYS_PTRACE = 19,
	BIT_CAP_SYS_ADMIN = 21,
	BIT_CAP_PERFMON = 38,
	BIT_CAP_BPF = 39,
}; /* capabilities(7) */
enum { SECCOMP_FILTERED = 2 };

static long long read_sysctl(const char *name, long long missing)
{
	char path[128];
	long long value;

	snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
	return pmf_file_read_s64(path, &value, NULL) == 0 ? value : missing;
}

/* The number behind "@key:" in /proc/self/status (proc(5)), 0 if it is not there. */
static unsigned long long status_field(const char *status, const char *key, int base)
{
	const char *at = strstr(status, key);

	return at ? strtoull(at + strlen(key), NULL, base) : 0;
}

/* In a user namespace of its own a process may hold every capability, and none that counts for perf
 * events (user_namespaces(7)): only the first maps all ids onto themselves. */
static bool in_user_namespace(void)
{
	unsigned long long inside, outside, count;
	char line[128];

	if (pmf_file_read_line("/proc/self/uid_map", line, sizeof line, NULL))
		return false;
	return sscanf(line, "%llu %llu %llu", &inside, &outside, &count) == 3 &&
	       !(inside == 0 && outside == 0 && count == UINT32_MAX);
}

void pmf_perf_limits_read(struct pmf_perf_limits *l)
{
	struct pmf_buf status = PMF_BUF_INIT;
	unsigned long long caps;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	memset(l, 0, sizeof *l);
	l->paranoid = read_sysctl("perf_event_paranoid", PMF_PERF_PARANOID_UNKNOWN);
	l->mlock_kb = read_sysctl("perf_event_mlock_kb", 0);
	l->max_rate_hz = read_sysctl("perf_event_max_sample_rate", 0);
	l->max_stack = read_sysctl("perf_event_max_stack", 0);
	l->kptr_restrict = read_sysctl("kptr_restrict", 0);
	l->user_namespace = in_user_namespace();
	l->cpus_online = cpus > 0 ? (int)cpus : 1;
	pmf_file_read("/proc/self/status", 1 << 16, &status, NULL);
	caps = status_field(pmf_buf_str(&status), "\nCapEff:", 16);
	if (l->user_namespace)
		caps = 0;
	l->cap_perfmon = caps >> BIT_CAP_PERFMON & 1 || caps >> BIT_CAP_SYS_ADMIN & 1;
	l->cap_sys_ptrace = caps >> BIT_CAP_SYS_PTRACE & 1;
	l->cap_bpf = caps >> BIT_CAP_BPF & 1 || caps >> BIT_CAP_SYS_ADMIN & 1;
	l->cap_ipc_lock = caps >> BIT_CAP_IPC_LOCK & 1;
	l->seccomp_filter =
		status_field(pmf_buf_str(&status), "\nSeccomp:", 10) == SECCOMP_FILTERED;
	pmf_buf_release(&status);
}

bool pmf_perf_kernel_permitted(const struct pmf_perf_limits *l)
{
	return l->paranoid <= 1 || l->cap_perfmon;
}

/* Open the event that every kernel has and any user may, changed by @change; a negative errno if it
 * does not open. */
static int probe(void (*change)(struct perf_event_attr *attr))
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	int fd;

	if (change)
		change(&attr);
	fd = pmf_perf_sys_open(&attr, 0, -1, -1, 0);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static void with_build_id(struct perf_event_attr *attr)
{
	attr->mmap = 1;
	attr->mmap2 = 1;
	attr->build_id = 1;
}

static void with_ksymbol(struct perf_event_attr *attr)
{
	attr->ksymbol = 1;
}

static void with_lost(struct perf_event_attr *attr)
{
	attr->read_format = PERF_FORMAT_LOST;
}

static void with_inherited_read(struct perf_event_attr *attr)
{
	attr->inherit = 1;
	attr->sample_period = 1;
	attr->sample_type = PERF_SAMPLE_READ | PERF_SAMPLE_TID;
}

static void with_sigtrap(struct perf_event_attr *attr)
{
	attr->inherit = 1;
	attr->inherit_thread = 1;
	attr->remove_on_exec = 1;
	attr->sigtrap = 1;
}

int pmf_perf_features_probe(struct pmf_perf_features *f, struct pmf_err *err)
{
	struct pmf_perf_limits l;
	int ret = probe(NULL);

	memset(f, 0, sizeof *f);
	if (ret) {
		pmf_perf_limits_read(&l);
		return pmf_perf_explain(NULL, -ret, NULL, &l, err);
	}
	f->build_id = probe(with_build_id) == 0;
	f->ksymbol = probe(with_ksymbol) == 0;
	f->format_lost = probe(with_lost) == 0;
	f->inherited_read = probe(with_inherited_read) == 0;
	f->sigtrap = probe(with_sigtrap) == 0;
	return 0;
}
