/* The agent is not left in the environment, where programs that break under LD_PRELOAD would find
 * it. The calls that execute a program put it back for those that may have it: an interpreter, or
 * something that may start one. */
#include "agent_elf.h"
#include "agent_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ENV_MAX = 8192, /* more variables than that are passed on as they are */
	ARGS_MAX = 16384,
	PRELOAD_BYTES = 8192, /* of LD_PRELOAD's value */
	AGENT_PATH_BYTES = 4096,
	SYSCALL_ARGS = 6,
};

static const char preload_name[] = "LD_PRELOAD=";
static const char agent_name[] = PMF_AGENT_ENV "=";
static char agent_path[AGENT_PATH_BYTES];
static char agent_env[AGENT_PATH_BYTES + 256];
static bool filtered;

void pmf_agent_exec_init(const char *path, const char *env)
{
	if (strlen(path) >= sizeof agent_path || strlen(env) >= sizeof agent_env)
		return;
	strcpy(agent_env, env);
	strcpy(agent_path, path);
}

bool pmf_agent_filtered(void)
{
	return filtered;
}

typedef int execve_fn(const char *, char *const *, char *const *);
typedef int spawn_fn(pid_t *, const char *, const posix_spawn_file_actions_t *,
	const posix_spawnattr_t *, char *const *, char *const *);

void *pmf_agent_next(void **cached, const char *name)
{
	if (!*cached)
		*cached = dlsym(RTLD_NEXT, name);
	return *cached;
}

/* ---- The environment of what is executed ---- */

/* Where execvp(3) would find @file, into @out; @file itself if it has a slash. */
static bool find_program(const char *file, char *out, size_t size)
{
	const char *path = NULL;
	size_t len = strlen(file);

	if (strchr(file, '/')) {
		if (len >= size)
			return false;
		memcpy(out, file, len + 1);
		return true;
	}
	for (char **e = environ; e && *e && !path; e++)
		if (strncmp(*e, "PATH=", 5) == 0)
			path = *e + 5;
	for (path = path ? path : "/bin:/usr/bin";; path++) {
		size_t dir = strcspn(path, ":");

		if (dir + 1 + len < size) {
			memcpy(out, path, dir);
			memcpy(out + dir, "/", 2);
			memcpy(out + (dir ? dir + 1 : 0), file, len + 1);
			if (access(out, X_OK) == 0)
				return true;
		}
		path += dir;
		if (!*path)
			return false;
	}
}

static size_t count(char *const *list, size_t most)
{
	size_t n = 0;

	while (list && n <= most && list[n])
		n++;
	return n;
}

bool pmf_agent_wanted_in(const char *path)
{
	return agent_path[0] && path && !pmf_agent_over() && pmf_agent_may_preload(path) &&
	       access(agent_path, R_OK) == 0;
}

/* Fill @out, of @n + 3 places, from @env with the agent put in; @preload has PRELOAD_BYTES. */
static void add_agent(char *const *env, size_t n, char **out, char *preload)
{
	const char *there = "";
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (strncmp(env[i], preload_name, sizeof preload_name - 1) == 0)
			there = env[i] + sizeof preload_name - 1;
		else if (strncmp(env[i], agent_name, sizeof agent_name - 1) != 0)
			out[k++] = env[i];
	}
	snprintf(preload, PRELOAD_BYTES, "%s%s%s%s", preload_name, agent_path, *there ? ":" : "",
		there);
	out[k++] = preload;
	out[k++] = agent_env;
	out[k] = NULL;
}

static bool preload_fits(char *const *env, size_t n)
{
	size_t room = PRELOAD_BYTES - sizeof preload_name - 1 - strlen(agent_path);

	for (size_t i = 0; i < n; i++)
		if (strncmp(env[i], preload_name, sizeof preload_name - 1) == 0 &&
			strlen(env[i]) > room)
			return false;
	return true;
}

/* The environment for executing @path: @env, or a copy of it on the caller's stack with the agent.
 * On the stack, for a child of vfork(2) must not allocate its parent's memory. */
#define ENV_FOR(path, env) \
	__extension__({ \
		char *const *env_is = (env); \
		size_t env_n = count(env_is, ENV_MAX); \
		if (pmf_agent_wanted_in(path) && env_n <= ENV_MAX && \
			preload_fits(env_is, env_n)) { \
			char **env_new = __builtin_alloca((env_n + 3) * sizeof *env_new); \
			add_agent(env_is, env_n, env_new, __builtin_alloca(PRELOAD_BYTES)); \
			env_is = env_new; \
		} \
		env_is; \
	})

/* ---- The calls ---- */

/* Execute by @call in the place of this program. */
#define EXECUTE(call) \
	__extension__({ \
		bool left = pmf_agent_leave(); \
		int result = (call); \
		if (left) \
			pmf_agent_stay(); \
		result; \
	})

PMF_AGENT_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	char *const *env = ENV_FOR(path, envp);

	return EXECUTE(PMF_AGENT_NEXT(execve_fn, "execve")(path, argv, env));
}

PMF_AGENT_EXPORT int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

PMF_AGENT_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	char found[PATH_MAX];
	const char *path = find_program(file, found, sizeof found) ? found : NULL;
	char *const *env = ENV_FOR(path, envp);

	return EXECUTE(PMF_AGENT_NEXT(execve_fn, "execvpe")(file, argv, env));
}

PMF_AGENT_EXPORT int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

PMF_AGENT_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	typedef int fexecve_fn(int, char *const *, char *const *);
	char path[32];
	char *const *env;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	env = ENV_FOR(path, envp);
	return EXECUTE(PMF_AGENT_NEXT(fexecve_fn, "fexecve")(fd, argv, env));
}

PMF_AGENT_EXPORT int posix_spawn(pid_t *pid, const char *path,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
	char *const argv[], char *const envp[])
{
	return PMF_AGENT_NEXT(spawn_fn, "posix_spawn")(
		pid, path, actions, attr, argv, ENV_FOR(path, envp));
}

PMF_AGENT_EXPORT int posix_spawnp(pid_t *pid, const char *file,
	const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
	char *const argv[], char *const envp[])
{
	char found[PATH_MAX];
	const char *path = find_program(file, found, sizeof found) ? found : NULL;

	return PMF_AGENT_NEXT(spawn_fn, "posix_spawnp")(
		pid, file, actions, attr, argv, ENV_FOR(path, envp));
}

/* The arguments behind @first up to the NULL, as an array on the caller's stack. */
#define ARGV_OF(first, ap) \
	__extension__({ \
		size_t argv_n = 1; \
		va_list argv_ap; \
		char **argv_new; \
		va_copy(argv_ap, ap); \
		while (argv_n < ARGS_MAX && va_arg(argv_ap, char *)) \
			argv_n++; \
		va_end(argv_ap); \
		argv_new = __builtin_alloca((argv_n + 1) * sizeof *argv_new); \
		argv_new[0] = (char *)(uintptr_t)(first); \
		for (size_t argv_i = 1; argv_i <= argv_n; argv_i++) \
			argv_new[argv_i] = va_arg(ap, char *); \
		argv_new[argv_n] = NULL; \
		argv_new; \
	})

PMF_AGENT_EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list ap;
	char **argv;

	va_start(ap, arg);
	argv = ARGV_OF(arg, ap);
	va_end(ap);
	return execve(path, argv, environ);
}

PMF_AGENT_EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list ap;
	char **argv;

	va_start(ap, arg);
	argv = ARGV_OF(arg, ap);
	va_end(ap);
	return execvpe(file, argv, environ);
}

PMF_AGENT_EXPORT int execle(const char *path, const char *arg, ...)
{
	va_list ap;
	char **argv, **envp;

	va_start(ap, arg);
	argv = ARGV_OF(arg, ap);
	envp = va_arg(ap, char **);
	va_end(ap);
	return execve(path, argv, envp);
}

/* ---- Filters of system calls ---- */

PMF_AGENT_EXPORT int prctl(int option, ...)
{
	typedef int prctl_fn(int, unsigned long, unsigned long, unsigned long, unsigned long);
	unsigned long a[4];
	va_list ap;

	va_start(ap, option);
	for (size_t i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_SECCOMP)
		filtered = true;
	return PMF_AGENT_NEXT(prctl_fn, "prctl")(option, a[0], a[1], a[2], a[3]);
}

PMF_AGENT_EXPORT long syscall(long number, ...)
{
	typedef long syscall_fn(long, long, long, long, long, long, long);
	long a[SYSCALL_ARGS];
	va_list ap;

	va_start(ap, number);
	for (size_t i = 0; i < SYSCALL_ARGS; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_seccomp)
		filtered = true;
	return PMF_AGENT_NEXT(syscall_fn, "syscall")(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
