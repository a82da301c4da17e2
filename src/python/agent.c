/* pmuflame-agent.so: preloaded into what pmuflame runs, or loaded into a CPython that runs already
 * (agent_remote.c). In a CPython process it tells the recorder, which then opens events that signal
 * each overflow to the thread that caused it, and writes the thread's Python stack to shared memory.
 * In every other program it only takes care to be passed on to those (agent_exec.c). Whatever goes
 * wrong, the program runs on without it. */
#include "agent_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 5, SOCKET_NAME_CHARS = 64 };

static char socket_name[SOCKET_NAME_CHARS + 1];
static char token[PMF_AGENT_TOKEN_CHARS];
static bool has_python;
static bool ready; /* to take part: the handler is there */
static unsigned minor;
static struct pmf_agent_ring *ring;
static bool over;           /* the recording has ended */
static pid_t connected_pid; /* whose ring it is: a child of vfork(2) sees it, too */
static uint32_t alone;

/* ---- The recorder ---- */

static int connect_socket(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval patience = {ANSWER_SECONDS, 0};
	bool is_file = socket_name[0] == '/';
	size_t len = strlen(socket_name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* Where it is no file, the name starts behind a NUL (unix(7), "abstract"). */
	memcpy(addr.sun_path + !is_file, socket_name, len);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The answer, and in @got the descriptor that came with it, or -1. */
static bool receive_answer(int fd, struct pmf_agent_answer *answer, int *got)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {answer, sizeof *answer};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*got = -1;
	c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof *got))
		memcpy(got, CMSG_DATA(c), sizeof *got);
	return n == sizeof *answer && answer->magic == PMF_AGENT_MAGIC && answer->ok;
}

bool pmf_agent_over(void)
{
	if (ring && __atomic_load_n(&ring->closed, __ATOMIC_ACQUIRE))
		over = true;
	return over;
}

/* Does this process take part in a recording? */
static bool is_recorded(void)
{
	return ring && connected_pid == getpid() && !pmf_agent_over();
}

/* Tell the recorder, and wait until it has done its part: false if there is none (any more). */
static bool ask(
	enum pmf_agent_origin origin, const char *why, struct pmf_agent_answer *answer, int *memory)
{
	struct pmf_agent_hello hello = {.magic = PMF_AGENT_MAGIC,
		.version = PMF_AGENT_VERSION,
		.origin = origin,
		.alone = alone,
		.python = minor};
	int fd = connect_socket();
	bool ok;

	*memory = -1;
	if (fd < 0)
		return false;
	memcpy(hello.token, token, sizeof hello.token);
	snprintf(hello.why, sizeof hello.why, "%s", why);
	ok = send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello &&
	     receive_answer(fd, answer, memory);
	close(fd);
	return ok;
}

/* Greet the recorder; if it takes part, start to write. */
static void greet(enum pmf_agent_origin origin, const char *why)
{
	struct pmf_agent_answer answer;
	void *map = MAP_FAILED;
	int memory;

	/* Present from the start: a first touch in the handler would be a page fault of the
	 * program's. */
	if (ask(origin, why, &answer, &memory) && memory >= 0)
		map = mmap(NULL, PMF_AGENT_MEMORY_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, memory, 0);
	if (memory >= 0)
		close(memory);
	if (map == MAP_FAILED)
		return;
	ring = map;
	alone = answer.alone;
	connected_pid = getpid();
	pmf_agent_signal_ring(ring);
}

bool pmf_agent_leave(void)
{
	struct pmf_agent_answer answer;
	int saved = errno, memory;

	if (!is_recorded())
		return false;
	if (pmf_agent_filtered()) {
		pmf_agent_signal_ignore(true);
	} else {
		ask(PMF_AGENT_LEAVING, "", &answer, &memory);
		if (memory >= 0)
			close(memory);
	}
	errno = saved;
	return true;
}

void pmf_agent_stay(void)
{
	struct pmf_agent_answer answer;
	int saved = errno, memory;

	if (pmf_agent_filtered()) {
		pmf_agent_signal_ignore(false);
	} else {
		ask(PMF_AGENT_STAYED, "", &answer, &memory);
		if (memory >= 0)
			close(memory);
	}
	errno = saved;
}

/* ---- Processes ---- */

/* The child of a fork has no events that signal, and its parent's ring. */
static void in_child(void)
{
	struct pmf_agent_ring *parents = ring;
	bool go_on = parents && !pmf_agent_over();

	pmf_agent_signal_forked();
	ring = NULL;
	if (parents)
		munmap(parents, PMF_AGENT_MEMORY_BYTES);
	/* A filter may answer a socket with death. */
	if (!go_on || pmf_agent_filtered())
		return;
	greet(PMF_AGENT_FORKED, "");
}

static bool has_threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink > 3; /* one beside "." and ".." */
}

/* Find the interpreter that dlsym(3) knows by @where. True if there is one; why it cannot be walked goes
 * to @why (PMF_AGENT_WHY_CHARS). */
static bool find_python(void *where, char *why)
{
	typedef const char *version_fn(void);
	typedef void *thread_state_fn(void);
	version_fn *version = (version_fn *)dlsym(where, "Py_GetVersion");
	struct pmf_agent_python python = {
		.thread_state = (thread_state_fn *)dlsym(where, "PyGILState_GetThisThreadState"),
		.code_type = (uintptr_t)dlsym(where, "PyCode_Type")};

	/* CPython's own evaluation loop: others that have its interface have another inside. */
	if (!version || !dlsym(where, "_PyEval_EvalFrameDefault") || !python.thread_state ||
		!python.code_type)
		return false;
	minor = pmf_agent_minor(version());
	python.layout = pmf_agent_layout_find(version(), dlsym(where, "_PyRuntime"), why);
	if (python.layout) {
		pmf_agent_walk_init(&python);
		pmf_agent_outer_init(where);
	}
	return true;
}

/* The handler first: once events are open, a SIGTRAP without it ends the program. */
static bool get_ready(void)
{
	if (!ready)
		ready = pmf_agent_signal_install() && pthread_atfork(NULL, NULL, in_child) == 0;
	return ready;
}

static bool look_for_python(void *where)
{
	char why[PMF_AGENT_WHY_CHARS] = "";

	if (!find_python(where, why))
		return false;
	if (has_threads())
		snprintf(why, sizeof why,
			"CPython was loaded when the program had started threads already");
	if (why[0])
		greet(PMF_AGENT_REFUSED, why);
	else if (get_ready())
		greet(PMF_AGENT_STARTED, "");
	return true;
}

const char *pmf_agent_file_of(void *address)
{
	/* <dlfcn.h> from glibc 2.35 on. */
	struct {
		unsigned long long flags;
		void *start, *end;
		struct link_map *map;
		void *others[8];
	} object;
	typedef int find_fn(void *, void *);
	static find_fn *find;

	if (!find)
		find = (find_fn *)dlsym(RTLD_NEXT, "_dl_find_object");
	return find && find(address, &object) == 0 ? object.map->l_name : NULL;
}

typedef int setclock_fn(pthread_condattr_t *, clockid_t);

static setclock_fn *real_setclock(void)
{
	return PMF_AGENT_NEXT(setclock_fn, "pthread_condattr_setclock");
}

/* Interpreters that were loaded after the program had started come by here when they begin: the
 * clock of their locks is the first thing that they set. */
PMF_AGENT_EXPORT int pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock)
{
	setclock_fn *real = real_setclock();
	const char *file = NULL;
	void *library = NULL;

	if (socket_name[0] && !has_python)
		file = pmf_agent_file_of(__builtin_return_address(0));
	/* It must not go away while a handler is in it. */
	if (file && strstr(file, "libpython"))
		library = dlopen(file, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
	if (library) {
		has_python = look_for_python(library);
		dlclose(library);
	}
	/* Before glibc 2.34 it is in a library that may have been loaded later than this one. */
	return real ? real(attr, clock) : EINVAL;
}

/* ---- The environment ---- */

static void drop_variable(const char *name)
{
	size_t len = strlen(name);
	char **to = environ;

	for (char **from = environ; from && *from; from++)
		if (strncmp(*from, name, len) != 0 || (*from)[len] != '=')
			*to++ = *from;
	if (to)
		*to = NULL;
}

/* Take @path out of LD_PRELOAD, which is then as the user had it. */
static void drop_preload(const char *path)
{
	char *value = getenv("LD_PRELOAD"), *at = value;
	size_t len = strlen(path);

	while (at && (at = strstr(at, path))) {
		char after = at[len];

		if ((at == value || at[-1] == ':' || at[-1] == ' ') &&
			(after == '\0' || after == ':' || after == ' ')) {
			memmove(at, at + len + (after != '\0'), strlen(at + len) + (after == 0));
			break;
		}
		at += len;
	}
	if (value && !*value)
		drop_variable("LD_PRELOAD");
}

/* PMF_AGENT_ENV into its parts; the agent's path, or NULL if it makes no sense. */
static const char *parse_env(const char *value)
{
	char *end;
	unsigned long version = strtoul(value, &end, 10);
	const char *name = end + 1, *secret;
	size_t len;

	if (version != PMF_AGENT_VERSION || *end != ':')
		return NULL;
	len = strcspn(name, ":");
	if (len == 0 || len > SOCKET_NAME_CHARS || name[len] != ':')
		return NULL;
	secret = name + len + 1;
	if (strcspn(secret, ":") != PMF_AGENT_TOKEN_CHARS || !secret[PMF_AGENT_TOKEN_CHARS])
		return NULL;
	memcpy(socket_name, name, len);
	memcpy(token, secret, PMF_AGENT_TOKEN_CHARS);
	return secret + PMF_AGENT_TOKEN_CHARS + 1;
}

__attribute__((constructor)) static void start(void)
{
	const char *value = getenv(PMF_AGENT_ENV);
	const char *path = value ? parse_env(value) : NULL;
	int saved = errno;

	if (!path)
		return;
	pmf_agent_exec_init(path, value - strlen(PMF_AGENT_ENV) - 1);
	drop_preload(path);
	drop_variable(PMF_AGENT_ENV);
	has_python = look_for_python(RTLD_DEFAULT);
	/* dlsym(3) takes that lock, too: now, for later. */
	real_setclock();
	pmf_agent_file_of(environ);
	errno = saved;
}

/* ---- A process that runs already ---- */

/* Does this process take part in the recording that @value names? Another thread may have been asked,
 * too. */
static bool takes_part_in(const char *value)
{
	const char *at = strstr(value, socket_name);

	return is_recorded() && at &&
	       strncmp(at + strlen(socket_name) + 1, token, sizeof token) == 0;
}

/* Take part in no recording: no handler writes to the old ring any more. */
static bool part(void)
{
	struct pmf_agent_ring *old = ring;
	int fd = is_recorded() ? connect_socket() : -1;

	if (fd >= 0) {
		close(fd);
		return false;
	}
	ring = NULL;
	/* Else it stays, for a thread that was held up in its handler. */
	if (old && pmf_agent_signal_quiet())
		munmap(old, PMF_AGENT_MEMORY_BYTES);
	return true;
}

const char *pmf_agent_join(const char *value, void *where)
{
	static char env[sizeof PMF_AGENT_ENV + PMF_AGENT_VALUE_CHARS];
	static char why[PMF_AGENT_WHY_CHARS];
	const char *path;

	if (takes_part_in(value))
		return "";
	if (dlsym(RTLD_DEFAULT, "__asan_init") || dlsym(RTLD_DEFAULT, "__tsan_init"))
		return "it is built with a sanitizer";
	if (pmf_agent_filtered())
		return "it has installed a filter of system calls";
	if (!part())
		return "another pmuflame is recording it";
	path = strlen(value) < PMF_AGENT_VALUE_CHARS ? parse_env(value) : NULL;
	if (!path)
		return "the agent in it is of another version of pmuflame; restart it";
	why[0] = '\0';
	if (!ready && !find_python(where, why))
		return "its interpreter does not show what is needed";
	if (why[0])
		return why;
	if (!pmf_agent_own_calls() || !get_ready())
		return "its calls of libc cannot be watched";
	has_python = true;
	over = false;
	alone = 0;
	snprintf(env, sizeof env, "%s=%s", PMF_AGENT_ENV, value);
	pmf_agent_exec_init(path, env);
	greet(PMF_AGENT_STARTED, "");
	return ring ? "" : "the recorder did not answer";
}
