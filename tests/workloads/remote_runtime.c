/* What CPython 3.14 shows to those who attach (PEP 768), in a library that any interpreter can load:
 * so the whole way to an agent in a process that runs already is tested without one. The script that was
 * asked for is executed by whoever loads this (pyremote.py). */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { WORDS = 95, PATH_BYTES = 512, STOP_BIT = 1 << 5 };

struct thread {
	uint64_t pad[2];
	struct thread *next;
	uint64_t eval_breaker;
	uint64_t native_id;
	struct {
		int32_t pending;
		char path[PATH_BYTES];
	} support;
};

struct interpreter {
	uint64_t pad[2];
	int32_t enabled;
	struct thread *threads, *main_thread;
};

struct runtime {
	uint64_t words[WORDS];
	struct interpreter *interpreters;
};

/* The other thread's state comes first, as each new one does. */
static struct thread main_thread, other_thread = {.next = &main_thread};
static struct interpreter interpreter = {
	.enabled = 1, .threads = &other_thread, .main_thread = &main_thread};

/* Where the words stand: struct _Py_DebugOffsets of 3.14. */
__attribute__((section(".PyRuntime"), used)) static struct runtime runtime = {
	.words =
		{
			[0] = UINT64_C(0x7970677562656478), /* "xdebugpy" */
			[1] = 0x030e00f0,
			[3] = sizeof(struct runtime),
			[5] = offsetof(struct runtime, interpreters),
			[6] = sizeof(struct interpreter),
			[9] = offsetof(struct interpreter, threads),
			[10] = offsetof(struct interpreter, main_thread),
			[22] = sizeof(struct thread),
			[24] = offsetof(struct thread, next),
			[28] = offsetof(struct thread, native_id),
			[89] = offsetof(struct thread, eval_breaker),
			[90] = offsetof(struct thread, support),
			[91] = offsetof(struct interpreter, enabled),
			[93] = sizeof(int32_t),
			[94] = PATH_BYTES,
		},
	.interpreters = &interpreter,
};

EXPORT const char *remote_asked(int is_main);
EXPORT void remote_forbid(void);

/* The script that the calling thread is to execute, once; NULL if nobody asks. */
EXPORT const char *remote_asked(int is_main)
{
	struct thread *state = is_main ? &main_thread : &other_thread;
	volatile struct thread *t = state;

	t->native_id = (uint64_t)gettid();
	if (!(t->eval_breaker & STOP_BIT))
		return NULL;
	t->eval_breaker = 0;
	if (t->support.pending != 1)
		return NULL;
	t->support.pending = 0;
	return state->support.path;
}

/* As by -X disable-remote-debug. */
EXPORT void remote_forbid(void)
{
	interpreter.enabled = 0;
}
