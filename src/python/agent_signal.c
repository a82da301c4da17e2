/* SIGTRAP belongs to the agent while it is connected; the program is shown the SIGTRAP that it would
 * have without it. What the kernel sends for perf events is walked, all else goes where the program
 * wants it. */
#include "agent_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
	TRAP_PERF_CODE = 6,   /* asm-generic/siginfo.h, TRAP_PERF */
	PTHREAD_BYTES = 2304, /* how far the thread's id is looked for in glibc's descriptor */
	SAVED_ACTIONS = 2,
	QUIET_STEPS = 1000,
	QUIET_STEP_NS = 100000,
};

static struct pmf_agent_ring *active;
static unsigned writers; /* threads that may be writing to it */
static pid_t owner; /* whose SIGTRAP is ours: a child of vfork(2) shares this memory, not that */
/* What the program set, and a spare to write the next one to. */
static struct sigaction actions[SAVED_ACTIONS];
static unsigned current_action;
/* Where glibc keeps a thread's id; 0 if not found. A filter of system calls may forbid to ask. */
static size_t tid_offset;
/* Does this thread's program part block SIGTRAP, and did one come meanwhile? */
static __thread bool blocked __attribute__((tls_model("initial-exec")));
static __thread bool pending __attribute__((tls_model("initial-exec")));

typedef int sigaction_fn(int, const struct sigaction *, struct sigaction *);
typedef int sigmask_fn(int, const sigset_t *, sigset_t *);

static sigaction_fn *real_sigaction(void)
{
	static sigaction_fn *fn;

	if (!fn)
		fn = (sigaction_fn *)dlsym(RTLD_NEXT, "sigaction");
	return fn;
}

static sigmask_fn *real_sigprocmask(void)
{
	static sigmask_fn *fn;

	if (!fn)
		fn = (sigmask_fn *)dlsym(RTLD_NEXT, "sigprocmask");
	return fn;
}

static sigmask_fn *real_pthread_sigmask(void)
{
	static sigmask_fn *fn;

	if (!fn)
		fn = (sigmask_fn *)dlsym(RTLD_NEXT, "pthread_sigmask");
	return fn;
}

/* ---- The handler ---- */

static pid_t own_tid(void)
{
	int tid;

	if (!tid_offset)
		return (pid_t)syscall(SYS_gettid);
	memcpy(&tid, (const char *)pthread_self() + tid_offset, sizeof tid);
	return tid;
}

static void find_tid_offset(void)
{
	const char *thread = (const char *)pthread_self();
	pid_t tid = (pid_t)syscall(SYS_gettid);
	int at;

	tid_offset = 0;
	for (size_t off = sizeof(void *) * 4; !tid_offset && off < PTHREAD_BYTES;
		off += sizeof at) {
		memcpy(&at, thread + off, sizeof at);
		if (at == tid)
			tid_offset = off;
	}
}

static void interrupted(const ucontext_t *uc, uint64_t *ip, uint64_t *sp)
{
#if defined(__x86_64__)
	*ip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
	*sp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	*ip = uc->uc_mcontext.pc;
	*sp = uc->uc_mcontext.sp;
#elif defined(__riscv)
	*ip = uc->uc_mcontext.__gregs[REG_PC];
	*sp = uc->uc_mcontext.__gregs[REG_SP];
#endif
}

/* A SIGTRAP of the program's own. */
static void pass_on(int sig, siginfo_t *si, void *uc)
{
	const struct sigaction *a =
		&actions[__atomic_load_n(&current_action, __ATOMIC_ACQUIRE) % SAVED_ACTIONS];
	struct sigaction def = {.sa_handler = SIG_DFL};

	if (blocked && si->si_code <= 0) { /* sent, not trapped: it waits */
		pending = true;
		return;
	}
	if (a->sa_flags & SA_SIGINFO) {
		a->sa_sigaction(sig, si, uc);
	} else if (a->sa_handler == SIG_DFL || (a->sa_handler == SIG_IGN && si->si_code > 0)) {
		/* It ends the program, once this handler is left. */
		real_sigaction()(sig, &def, NULL);
		syscall(SYS_tgkill, getpid(), own_tid(), sig);
	} else if (a->sa_handler != SIG_IGN) {
		a->sa_handler(sig);
	}
}

static void on_trap(int sig, siginfo_t *si, void *uc)
{
	struct pmf_agent_ring *ring;
	int saved = errno;
	uint64_t ip = 0, sp = 0;

	if (si->si_code != TRAP_PERF_CODE) {
		pass_on(sig, si, uc);
		errno = saved;
		return;
	}
	__atomic_add_fetch(&writers, 1, __ATOMIC_SEQ_CST);
	ring = __atomic_load_n(&active, __ATOMIC_SEQ_CST);
	if (ring) {
		interrupted(uc, &ip, &sp);
		pmf_agent_walk(ring, own_tid(), ip, sp);
	}
	__atomic_sub_fetch(&writers, 1, __ATOMIC_RELEASE);
	errno = saved;
}

static struct sigaction trap_action(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	return sa;
}

bool pmf_agent_signal_install(void)
{
	struct sigaction sa = trap_action();

	find_tid_offset();
	if (!real_sigaction() || real_sigaction()(SIGTRAP, &sa, &actions[0]) < 0)
		return false;
	owner = getpid();
	return true;
}

void pmf_agent_signal_ring(struct pmf_agent_ring *ring)
{
	__atomic_store_n(&active, ring, __ATOMIC_RELEASE);
}

bool pmf_agent_signal_quiet(void)
{
	const struct timespec moment = {0, QUIET_STEP_NS};

	__atomic_store_n(&active, NULL, __ATOMIC_SEQ_CST);
	for (int i = 0; i < QUIET_STEPS; i++) {
		if (__atomic_load_n(&writers, __ATOMIC_SEQ_CST) == 0)
			return true;
		nanosleep(&moment, NULL);
	}
	return false;
}

void pmf_agent_signal_ignore(bool ignore)
{
	struct sigaction ign = {.sa_handler = SIG_IGN}, own = trap_action();

	real_sigaction()(SIGTRAP, ignore ? &ign : &own, NULL);
}

void pmf_agent_signal_forked(void)
{
	pmf_agent_signal_ring(NULL);
	writers = 0; /* the parent's */
	owner = getpid();
	pending = false;
}

/* ---- What the program is shown ---- */

static bool is_ours(void)
{
	return owner && owner == getpid();
}

PMF_AGENT_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	unsigned now;

	if (sig != SIGTRAP || !is_ours())
		return real_sigaction()(sig, act, old);
	now = __atomic_load_n(&current_action, __ATOMIC_ACQUIRE);
	if (old)
		*old = actions[now % SAVED_ACTIONS];
	if (act) {
		actions[(now + 1) % SAVED_ACTIONS] = *act;
		__atomic_store_n(&current_action, now + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

PMF_AGENT_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	typedef sighandler_t signal_fn(int, sighandler_t);
	static signal_fn *real;
	struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;

	if (!real)
		real = (signal_fn *)dlsym(RTLD_NEXT, "signal");
	if (sig != SIGTRAP || !is_ours())
		return real(sig, handler);
	sigaction(sig, &act, &old);
	return old.sa_handler;
}

static int change_mask(sigmask_fn *real, int how, const sigset_t *set, sigset_t *old)
{
	bool was = blocked, has = set && sigismember(set, SIGTRAP) == 1;
	sigset_t without;
	int ret;

	if (!is_ours())
		return real(how, set, old);
	if (has && how != SIG_UNBLOCK) {
		without = *set;
		sigdelset(&without, SIGTRAP);
		set = &without;
	}
	ret = real(how, set, old);
	if (ret != 0)
		return ret;
	if (old && was)
		sigaddset(old, SIGTRAP);
	if (set && how == SIG_SETMASK)
		blocked = has;
	else if (has)
		blocked = how == SIG_BLOCK;
	if (!blocked && pending) {
		pending = false;
		syscall(SYS_tgkill, getpid(), own_tid(), SIGTRAP);
	}
	return 0;
}

PMF_AGENT_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(real_sigprocmask(), how, set, old);
}

PMF_AGENT_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(real_pthread_sigmask(), how, set, old);
}
