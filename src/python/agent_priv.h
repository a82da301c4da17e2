/* The rooms of the agent. What runs in its signal handler is async-signal-safe: it allocates
 * nothing, takes no lock, and makes no system call but the one that asks whether a page may be
 * read. */
#ifndef PMF_AGENT_PRIV_H
#define PMF_AGENT_PRIV_H

#include "agent_layout.h"
#include "agent_protocol.h"
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PMF_AGENT_EXPORT __attribute__((visibility("default")))

/* ---- agent.c: the recorder ---- */

/* About to execute a program in the place of this one: a signal that came after the handlers are
 * gone would end it. False if there is nothing to stop: this is a child of vfork(2), or not
 * connected. */
bool pmf_agent_leave(void);
/* Has the recording that this process took part in ended? */
bool pmf_agent_over(void);
/* It could not be executed. */
void pmf_agent_stay(void);
/* Take part in the recording that @value, as PMF_AGENT_ENV has it, names; dlsym(3) knows the
 * interpreter by @where. "" or why not. */
const char *pmf_agent_join(const char *value, void *where);
/* The file that the code at @address was loaded from, "" for the program, NULL if it is not known.
 * Without the loader's lock, which a thread may hold while it waits for this one. */
const char *pmf_agent_file_of(void *address);

/* ---- agent_walk.c: the thread's Python stack ---- */

struct pmf_agent_python {
	const struct pmf_agent_layout *layout;
	void *(*thread_state)(void);
	uintptr_t code_type; /* &PyCode_Type */
};

/* Settle what to walk. */
void pmf_agent_walk_init(const struct pmf_agent_python *python);
/* Write this thread's stack to @ring. For the signal handler. */
void pmf_agent_walk(struct pmf_agent_ring *ring, pid_t tid, uint64_t ip, uint64_t sp);

/* ---- agent_outer.c: threads that are in a sub-interpreter ---- */

/* Find what is needed in the interpreter that dlsym(3) knows by @where. */
void pmf_agent_outer_init(void *where);
/* This thread's state in the main interpreter, if @tstate, which it runs, is of another one; else 0. */
uintptr_t pmf_agent_outer_state(uintptr_t tstate, uint64_t now_ns);

/* ---- agent_read.c: memory that may not be there ---- */

/* May @len bytes at @address be read? Asks the kernel when that is not known of their pages; @now_ns
 * says how long ago they were asked for. */
bool pmf_agent_readable(uintptr_t address, size_t len, uint64_t now_ns);
/* The same, asking in any case. */
bool pmf_agent_readable_now(uintptr_t address, size_t len);

/* ---- agent_ring.c ---- */

/* @size bytes for a record, which is not seen before the commit; NULL if the ring is full. */
void *pmf_agent_ring_reserve(struct pmf_agent_ring *ring, size_t size);
void pmf_agent_ring_commit(void *record, uint32_t type, size_t size);

/* ---- agent_signal.c: SIGTRAP ---- */

/* Take SIGTRAP: the handler walks for signals of perf events while there is a ring, and passes all
 * others on to whatever the program set or sets. */
bool pmf_agent_signal_install(void);
/* Start or stop (NULL) writing to a ring. */
void pmf_agent_signal_ring(struct pmf_agent_ring *ring);
/* Stop, and wait until no thread is writing any more; false if one does not end. */
bool pmf_agent_signal_quiet(void);
/* Ignore SIGTRAP, now and in the program that is executed. */
void pmf_agent_signal_ignore(bool ignore);
/* Note that this is another process now. */
void pmf_agent_signal_forked(void);

/* ---- agent_patch.c, agent_remote.c: an agent that was not preloaded ---- */

struct pmf_agent_own {
	const char *name;
	void *function;
};

/* Have all loaded files but libc call the @n functions @own by these names. False if that could not be
 * done everywhere. */
bool pmf_agent_patch(const struct pmf_agent_own *own, size_t n);
/* Have them call the agent, as if it had been preloaded; does it once. */
bool pmf_agent_own_calls(void);

/* ---- agent_exec.c: what the process executes ---- */

/* Preload the agent at @path into what may run it, with @env ("NAME=value") in its environment. Both
 * are kept. */
void pmf_agent_exec_init(const char *path, const char *env);
/* Do we want to be in the program at @path (may be NULL), and can we? */
bool pmf_agent_wanted_in(const char *path);
/* The function that the program would call without the agent, of the given type. */
#define PMF_AGENT_NEXT(type, name) \
	__extension__({ \
		static void *cached_fn; \
		(type *)pmf_agent_next(&cached_fn, name); \
	})
void *pmf_agent_next(void **cached, const char *name);
/* Did this process install a system call filter, as far as is known? */
bool pmf_agent_filtered(void);

#endif
