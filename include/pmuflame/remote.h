/* pmuflame/remote.h - have a CPython that runs already load the agent, by the interface that it offers
 * to debuggers (PEP 768, CPython 3.14; Doc/howto/remote_debugging.rst), with no more rights than
 * ptrace(2) asks for. docs/adr/0028 says why and how.
 * Layer: python (uses base, process). Threads: one owner for each value.
 *
 * What stands in the process is checked: it could be anything. */
#ifndef PMUFLAME_REMOTE_H
#define PMUFLAME_REMOTE_H

#include "pmuflame/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pmf_process;
struct pmf_python_server;

/* ---- What an interpreter says of itself ---- */

enum { PMF_REMOTE_WORDS = 95 };

/* Offsets in bytes, of CPython 3.14's _Py_DebugOffsets (Include/internal/pycore_debug_offsets.h). */
struct pmf_remote_offsets {
	uint64_t interpreters; /* in the runtime: the first one */
	/* In an interpreter: its first and its main thread's state, and may it be asked? */
	uint64_t threads, main_thread, enabled;
	/* In a thread's state: the next one, the thread's id, what has it stop. */
	uint64_t next_thread, native_id, eval_breaker;
	uint64_t pending, path; /* there, too: that a script is to run, and which */
	uint64_t path_bytes;    /* room for it */
};

/* Read what stands at the start of an interpreter's runtime, @words of 64 bits. PMF_EFORMAT if that
 * is none, PMF_EUNSUP with the sentence for versions and builds that cannot be asked. */
int pmf_remote_offsets_read(const uint64_t words[PMF_REMOTE_WORDS], struct pmf_remote_offsets *out,
	struct pmf_err *err);

/* ---- A request ---- */

struct pmf_remote;

/* Has @p, whose maps are known, a CPython that can be asked? PMF_ENOTFOUND: it has none; the other
 * failures' sentences say why not, and what to do. */
int pmf_remote_look(const struct pmf_process *p, struct pmf_err *err);
/* Ask it to load @server's agent and to greet. It does when its main thread next executes Python
 * code, or another one that was asked. */
int pmf_remote_ask(struct pmf_remote **out, const struct pmf_process *p,
	struct pmf_python_server *server, struct pmf_err *err);
pid_t pmf_remote_pid(const struct pmf_remote *r);
/* What became of it: 1 if the process has executed what was asked, 0 if not yet, or a negative
 * status with what it said. */
int pmf_remote_check(struct pmf_remote *r, struct pmf_err *err);
/* The main thread takes its time: ask those other threads, too, that run at the moment. They are stopped
 * for that, for some 100 us each. */
void pmf_remote_ask_others(struct pmf_remote *r);
/* Withdraw it if it was not begun, and take its files away. Those through which the process's children
 * reach the recorder stay until @r is freed. */
void pmf_remote_settle(struct pmf_remote *r);
void pmf_remote_free(struct pmf_remote *r);

#endif
