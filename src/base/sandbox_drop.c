/* What sandboxed processes give up: rights of root's, room, and system calls. */
#include "config.h"

#include "sandbox_priv.h"

#include "pmuflame/mem.h"
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_LIBSECCOMP
#include <seccomp.h>
#endif

enum { NOBODY = 65534, FILES_MAX = 1 << 20 };
/* All that one image's debug info may take (docs/adr/0020), twice, and what else is known of others. */
#define MEMORY_MAX (UINT64_C(6) << 30)

/* ---- Capabilities ---- */

/* Keep of the capabilities that there are those in @keep, one bit each. */
static void keep_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(data); i++) {
		uint32_t mask = (uint32_t)(keep >> (32 * i));

		data[i].effective &= mask;
		data[i].permitted &= mask;
		data[i].inheritable = 0;
	}
	syscall(SYS_capset, &head, data);
}

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* <linux/capability.h> lacks them before Linux 5.8 and 5.9. */
enum { PERFMON = 38, BPF = 39, CHECKPOINT_RESTORE = 40 };

void pmf_sandbox_drop_capabilities(bool bpf)
{
	/* To read processes, their files and the kernel's symbols; to open events; to write as who called
	 * sudo(8); to be scheduled. */
	uint64_t keep = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) |
			CAP(IPC_LOCK) | CAP(KILL) | CAP(SETGID) | CAP(SETUID) | CAP(SYS_NICE) |
			CAP(SYS_PTRACE) | CAP(SYS_RESOURCE) | CAP(SYSLOG) | UINT64_C(1) << PERFMON |
			UINT64_C(1) << CHECKPOINT_RESTORE;

	if (bpf)
		keep |= UINT64_C(1) << BPF;
	/* What older kernels have in the place of the last ones. */
	if (prctl(PR_CAPBSET_READ, CHECKPOINT_RESTORE) < 0)
		keep |= CAP(SYS_ADMIN);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	keep_capabilities(keep);
}

/* ---- The keeper ---- */

static void forget_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	/* Who asks for a snapshot by the program's name asks all of its processes. */
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Close the descriptors @from to @to. */
static void close_range_of(unsigned from, unsigned to)
{
	struct rlimit files = {FILES_MAX, FILES_MAX};

	if (from > to || syscall(SYS_close_range, from, to, 0) == 0)
		return;
	/* Before Linux 5.9. */
	getrlimit(RLIMIT_NOFILE, &files);
	to = PMF_MIN(to, (unsigned)PMF_MIN(files.rlim_cur, (rlim_t)FILES_MAX));
	for (unsigned i = from; i <= to; i++)
		close((int)i);
}

static void forget_files(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* A sanitizer's last words are worth more than a silent stderr. */
	for (int i = 0; null >= 0 && i < (PMF_SANITIZED ? STDERR_FILENO : STDERR_FILENO + 1); i++)
		if (i != fd)
			dup2(null, i);
	close_range_of(STDERR_FILENO + 1, (unsigned)fd - 1);
	close_range_of((unsigned)PMF_MAX(fd, STDERR_FILENO) + 1, UINT_MAX);
}

void pmf_sandbox_drop_rights(int fd)
{
	prctl(PR_SET_NAME, "pmuflame-keeper");
	/* What the terminal signals is for the program, which decides when its keeper ends. */
	setsid();
	forget_signals();
	forget_files(fd);
	if (chdir("/") < 0)
		_exit(1);
	/* A user namespace may know nobody: then without capabilities, but as who we are. */
	if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(1);
	keep_capabilities(0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- A worker ---- */

#ifdef HAVE_LIBSECCOMP

int pmf_sandbox_probe(struct pmf_err *err)
{
	if (seccomp_api_get() < 3)
		return pmf_err_set(err, PMF_EUNSUP,
			"this kernel, or the container, does not let programs filter their own "
			"system calls (seccomp(2), Linux 4.14)");
	return 0;
}

static bool allow(scmp_filter_ctx f)
{
	static const int always[] = {SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(lseek),
		SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
		SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(futex),
		SCMP_SYS(clock_gettime), SCMP_SYS(getrandom), SCMP_SYS(setitimer),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
		SCMP_SYS(sysinfo) /* of qsort(3) */, SCMP_SYS(exit), SCMP_SYS(exit_group)};
	/* A sanitizer's stacks, and its report. */
	static const int sanitized[] = {SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(gettid),
		SCMP_SYS(sched_yield), SCMP_SYS(getrlimit), SCMP_SYS(prlimit64)};
	static const unsigned fcntls[] = {F_DUPFD_CLOEXEC, F_GETFD, F_GETFL};
	bool ok = true;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(always); i++)
		ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, always[i], 0) == 0;
	for (size_t i = 0; PMF_SANITIZED && i < PMF_ARRAY_SIZE(sanitized); i++)
		ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, sanitized[i], 0) == 0;
	if (PMF_SANITIZED)
		ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
			      SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO, 0)) == 0;
	/* Memory of its own that is not code. */
	ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
		      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
		      SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)) == 0;
	ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mremap), 0) == 0;
	ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
	/* glibc's fstat(3). */
	ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
		      SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0)) == 0;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(fcntls); i++)
		ok &= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			      SCMP_A1(SCMP_CMP_EQ, fcntls[i], 0)) == 0;
	return ok;
}

static bool filter_calls(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	/* Calls of another architecture, or of x32, are not looked at: that they are such is enough. */
	bool ok = f && seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
		  allow(f) && seccomp_load(f) == 0;

	seccomp_release(f);
	return ok;
}

#else

int pmf_sandbox_probe(struct pmf_err *err)
{
	return pmf_err_set(err, PMF_EUNSUP,
		"this build of pmuflame has no libseccomp: install libseccomp-dev and configure again");
}

static bool filter_calls(void)
{
	return false;
}

#endif

static void limit(int what, uint64_t most)
{
	struct rlimit rl;

	if (getrlimit((__rlimit_resource_t)what, &rl) < 0)
		return;
	rl.rlim_cur = rl.rlim_max = PMF_MIN(rl.rlim_max, (rlim_t)most);
	setrlimit((__rlimit_resource_t)what, &rl);
}

bool pmf_sandbox_confine(pid_t keeper)
{
	prctl(PR_SET_NAME, "pmuflame-reader");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		return false;
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_NOFILE, FILES_MAX);
	/* A sanitizer's shadow alone has terabytes of addresses. */
	if (!PMF_SANITIZED)
		limit(RLIMIT_AS, MEMORY_MAX);
	return filter_calls();
}
