/* The agent's entry in a process that it was not preloaded into: a script that the recorder has the
 * interpreter execute (PEP 768) loads it as an extension module, and calls its one function with what is
 * otherwise in the environment. The module is never imported: it leaves no trace in sys.modules.
 * The few structures of CPython that are needed are of its stable interface (Python's
 * documentation, "C API Stability"). */
#include "agent_priv.h"

#include <dlfcn.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { METHOD_OF_ONE_ARGUMENT = 8 }; /* METH_O */

struct method {
	const char *name;
	void *(*call)(void *self, void *argument);
	int flags;
	const char *doc;
};

struct module {
	struct {
		intptr_t refs;
		void *type;
		void *(*init)(void);
		intptr_t index;
		void *copy;
	} base;
	const char *name, *doc;
	intptr_t size;
	struct method *methods;
	void *slots, *traverse, *clear, *free;
};

typedef const char *text_fn(void *);
typedef void *from_text_fn(const char *);
typedef void *define_fn(struct module *);

/* The file that the interpreter's code is in, by dlopen(3). */
static void *interpreter;

/* join(text): "" or why not. The interpreter's lock is kept until the recorder has answered, so that no
 * Python thread starts while events are opened on all that there are. */
static void *join(void *self, void *argument)
{
	text_fn *text = (text_fn *)dlsym(interpreter, "PyUnicode_AsUTF8");
	from_text_fn *from_text = (from_text_fn *)dlsym(interpreter, "PyUnicode_FromString");
	const char *value = text && from_text ? text(argument) : NULL;

	(void)self;
	return value ? from_text(pmf_agent_join(value, interpreter)) : NULL;
}

PMF_AGENT_EXPORT void *PyInit_pmuflame_agent(void);

void *PyInit_pmuflame_agent(void)
{
	static struct method methods[] = {{"join", join, METHOD_OF_ONE_ARGUMENT, NULL}, {0}};
	static struct module module = {
		.base = {.refs = 1}, .name = "pmuflame_agent", .methods = methods};
	const char *file = pmf_agent_file_of(__builtin_return_address(0));
	define_fn *define;

	/* "" is the program itself, for which dlopen(3) wants NULL. */
	interpreter = dlopen(file && *file ? file : NULL, RTLD_LAZY | RTLD_NOLOAD);
	define = interpreter ? (define_fn *)dlsym(interpreter, "PyModuleDef_Init") : NULL;
	return define ? define(&module) : NULL;
}

bool pmf_agent_own_calls(void)
{
	/* By a cast, for they have as many types. */
#define OWN(name) \
	{ \
#name, (void *)(uintptr_t)(name) \
	}
	static bool done;
	const struct pmf_agent_own own[] = {OWN(execve), OWN(execv), OWN(execvpe), OWN(execvp),
		OWN(fexecve), OWN(execl), OWN(execlp), OWN(execle), OWN(posix_spawn),
		OWN(posix_spawnp), OWN(prctl), OWN(syscall), OWN(sigaction), OWN(signal),
		OWN(sigprocmask), OWN(pthread_sigmask)};
#undef OWN

	if (!done)
		done = pmf_agent_patch(own, sizeof own / sizeof own[0]);
	return done;
}
