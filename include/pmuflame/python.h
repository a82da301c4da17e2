/* pmuflame/python.h - Python's part of a stack: the recorder's side of the agent that is preloaded
 * into CPython processes (src/python/agent.c), its records, line tables, and the merge into native
 * frames. docs/adr/0004 says how it fits together.
 * Layer: python (uses base). Threads: one owner for each value.
 *
 * Everything that comes from a process is checked: it could write there what it likes. */
#ifndef PMUFLAME_PYTHON_H
#define PMUFLAME_PYTHON_H

#include "pmuflame/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- The agent's file, and whom it may be preloaded into ---- */

/* The agent beside this program, in the build tree, or where it is installed; free(3) it. NULL with
 * the sentence if there is none. */
char *pmf_python_agent_path(struct pmf_err *err);
/* May the program at @path be started with the agent? No: 32-bit, static, musl and sanitized ones. */
bool pmf_python_may_preload(const char *path);

/* ---- Greetings ---- */

struct pmf_python_server;

int pmf_python_server_open(
	struct pmf_python_server **out, const char *agent_path, struct pmf_err *err);
void pmf_python_server_close(struct pmf_python_server *s);
/* Readable when somebody wants to be accepted. */
int pmf_python_server_fd(const struct pmf_python_server *s);
/* The environment of the command: the calling process's own with the agent in it. NULL-terminated;
 * lives as long as the server. */
char *const *pmf_python_server_env(const struct pmf_python_server *s);

enum pmf_python_origin {
	PMF_PYTHON_STARTED, /* a program was executed */
	PMF_PYTHON_FORKED,  /* a copy of a process that was connected */
	PMF_PYTHON_REFUSED, /* an interpreter whose structures are not known */
	PMF_PYTHON_LEAVING, /* its events must not signal until it has executed a program */
	PMF_PYTHON_STAYED,  /* it did not */
};

/* An agent that waits for its answer. */
struct pmf_python_greeting {
	int fd;
	pid_t pid; /* as the kernel says, not the sender */
	enum pmf_python_origin origin;
	bool alone;     /* FORKED: no plain events ran in the parent, nor do in this one */
	unsigned minor; /* 8 for 3.8 */
	char why[160];  /* REFUSED */
};

/* Take the next greeting of an agent of ours; false if there is none. Does not wait for those who connected and
 * have said nothing yet. */
bool pmf_python_accept(struct pmf_python_server *s, struct pmf_python_greeting *out);

/* ---- Records ---- */

struct pmf_python_frame {
	uint32_t code;  /* number of its code object */
	uint32_t lasti; /* where in it, or PMF_PYTHON_LASTI_NONE */
	bool entry;     /* native code called it: the frame outside is on another native frame */
};
enum { PMF_PYTHON_LASTI_NONE = 0x7fffffff, PMF_PYTHON_MAX_FRAMES = 1024 };

struct pmf_python_stack {
	uint64_t time_ns; /* CLOCK_MONOTONIC, when the signal arrived: not before its sample */
	uint64_t ip, sp;  /* what the signal interrupted */
	uint32_t tid;
	bool cut;      /* outer frames are missing */
	bool entering; /* the innermost loop is being entered, and has no frames yet */
	size_t n;
	const struct pmf_python_frame *frames; /* innermost first */
};

struct pmf_python_code {
	char *name; /* UTF-8; the qualified one where the interpreter knows it (3.11) */
	char *file;
	uint32_t first_line;
	uint8_t *lines; /* the line table, of line_bytes */
	size_t line_bytes;
};

/* The code objects that one process told. */
struct pmf_python_codes;
struct pmf_python_codes *pmf_python_codes_new(unsigned minor);
void pmf_python_codes_free(struct pmf_python_codes *codes);
/* Code object @number, or NULL if it was not told. Lives as long as @codes. */
const struct pmf_python_code *pmf_python_code(
	const struct pmf_python_codes *codes, uint32_t number);
/* The line of @frame, 0 if its table does not say. */
uint32_t pmf_python_line(
	const struct pmf_python_codes *codes, const struct pmf_python_frame *frame);

/* One process's shared memory. */
struct pmf_python_process;

/* Memory for the records of the process that sent @g, and our end of it. */
int pmf_python_process_new(
	struct pmf_python_process **out, const struct pmf_python_greeting *g, struct pmf_err *err);
void pmf_python_process_free(struct pmf_python_process *p);
/* Say yes to @g: it may write to @p from now on, so what makes it write is open. @alone goes back to
 * the agent, which tells it when it forks. Closes the connection in any case. */
int pmf_python_answer(struct pmf_python_greeting *g, bool alone, struct pmf_python_process *p,
	struct pmf_err *err);
/* Say that what was asked for is done: LEAVING, STAYED. */
void pmf_python_confirm(struct pmf_python_greeting *g);
/* Say no. */
void pmf_python_refuse(struct pmf_python_greeting *g);

/* Hand what the process has written to @cb; what a stack points to lives until the call returns. */
typedef void pmf_python_stack_cb(void *ctx, const struct pmf_python_stack *stack);
void pmf_python_read(struct pmf_python_process *p, pmf_python_stack_cb *cb, void *ctx);
/* Records that did not fit, and those that made no sense; so far. */
uint64_t pmf_python_dropped(const struct pmf_python_process *p);
uint64_t pmf_python_malformed(const struct pmf_python_process *p);
/* What it told; lives as long as @p. */
struct pmf_python_codes *pmf_python_process_codes(struct pmf_python_process *p);

/* The line that @lasti stands on in the table of a code object of CPython 3.@minor: co_lnotab (3.8,
 * 3.9; Objects/lnotab_notes.txt), co_linetable of 3.10 (PEP 626) or of 3.11 (Objects/
 * locations.md). 0 for none. */
uint32_t pmf_python_table_line(
	unsigned minor, uint32_t first_line, const uint8_t *table, size_t len, uint32_t lasti);

/* ---- The BPF program, for processes that had no agent preloaded (docs/adr/0024) ---- */

/* Was this program built with it? */
bool pmf_python_bpf_built(void);

struct pmf_python_bpf;

/* Load it, and let forks, execs and exits keep its list of processes. PMF_EUNSUP or PMF_EPERM with the
 * sentence where that cannot be. */
int pmf_python_bpf_load(struct pmf_python_bpf **out, struct pmf_err *err);
void pmf_python_bpf_free(struct pmf_python_bpf *b);
/* What is to run at each overflow (PERF_EVENT_IOC_SET_BPF). */
int pmf_python_bpf_program(const struct pmf_python_bpf *b);
/* Where it writes to on @cpu: an event of PERF_COUNT_SW_BPF_OUTPUT. */
int pmf_python_bpf_output(struct pmf_python_bpf *b, int cpu, int fd, struct pmf_err *err);

/* An interpreter, as its file has it. */
struct pmf_python_interpreter {
	char version[32];                  /* "3.11.2" */
	uint64_t runtime[64];              /* the start of _PyRuntime */
	uint64_t runtime_va, code_type_va; /* &_PyRuntime and &PyCode_Type in a process */
};

/* Process @pid runs @in, and so will its forks until they execute something else. PMF_EUNSUP with the
 * reason if that is none whose structures are known. */
int pmf_python_bpf_add(struct pmf_python_bpf *b, pid_t pid, const struct pmf_python_interpreter *in,
	struct pmf_err *err);
void pmf_python_bpf_remove(struct pmf_python_bpf *b, pid_t pid);

/* What the program wrote. */
struct pmf_python_bpf_record {
	bool is_code; /* a code object that is told; else a stack */
	pid_t pid, tid;
	unsigned minor; /* of the interpreter: 8 for 3.8 */
	/* Of a stack: the sample's ip. */
	uint64_t ip;
	bool cut, entering; /* as in struct pmf_python_stack */
	bool unread;        /* a page was not there: outer frames are missing */
	bool untold;        /* some of its code objects are told by a later sample */
	size_t n;
	const void *body;
};
/* False if @raw makes no sense. @out lives as long as @raw, which is 4-byte aligned. */
bool pmf_python_bpf_parse(const uint8_t *raw, size_t len, struct pmf_python_bpf_record *out);
/* The frames of a stack: @out has rec->n places. */
void pmf_python_bpf_frames(const struct pmf_python_bpf_record *rec, struct pmf_python_codes *codes,
	struct pmf_python_frame *out);
/* Note the code object. */
void pmf_python_bpf_tell(const struct pmf_python_bpf_record *rec, struct pmf_python_codes *codes);

/* ---- The merge ---- */

enum pmf_python_native {
	PMF_NATIVE_OTHER,
	PMF_NATIVE_EVAL, /* the interpreter's loop: one run of Python frames each */
	PMF_NATIVE_CALL, /* the interpreter's way to its loop */
};

/* One frame of the result: a Python frame, or a native one. */
struct pmf_python_merged {
	bool python;
	uint32_t index; /* in the stack's frames, or in the native ones */
};

struct pmf_python_merge {
	const enum pmf_python_native *native; /* innermost first */
	size_t n;
	bool rooted;      /* the native stack is whole */
	bool interpreter; /* keep the native frames that Python frames stand for */
	const struct pmf_python_stack *stack;
};

/* Merge into @out, innermost first, with room for all frames of both; *n gets how many there are.
 * Returns whether both agreed: as many loops as runs, or one loop more, which is being entered. Where
 * they do not, all Python frames stand between what is outside of the first loop and inside of the
 * last. */
bool pmf_python_merge(const struct pmf_python_merge *m, struct pmf_python_merged *out, size_t *n);

#endif
