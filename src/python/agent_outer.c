/* From 3.12 on, a thread's state is that of the interpreter which it runs at the moment. If that is a
 * sub-interpreter, who called into it stands in another state of the thread. The main interpreter's
 * is found by walking its list. Other threads may change that meanwhile: what is read is asked for
 * before, and only a state with this thread's id is taken. Sub-interpreters in sub-interpreters
 * lack those between. */
#include "agent_priv.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

enum { STATE_BYTES = 512, THREADS_MAX = 4096 };

static struct {
	void *(*main_interpreter)(void);
	void *(*interpreter_of)(void *state);
	void *(*first_state)(void *interpreter);
	void *(*next_state)(void *state);
} py;
static size_t id_offset; /* of the thread's id in its state; 0: not looked for yet */

void pmf_agent_outer_init(void *where)
{
	typedef void *get_fn(void);
	typedef void *get_of_fn(void *);

	py.main_interpreter = (get_fn *)dlsym(where, "PyInterpreterState_Main");
	py.interpreter_of = (get_of_fn *)dlsym(where, "PyThreadState_GetInterpreter");
	py.first_state = (get_of_fn *)dlsym(where, "PyInterpreterState_ThreadHead");
	py.next_state = (get_of_fn *)dlsym(where, "PyThreadState_Next");
}

static bool has_id(const void *state, size_t offset)
{
	pthread_t id;

	memcpy(&id, (const char *)state + offset, sizeof id);
	return id == pthread_self();
}

static bool find_id_offset(const void *own, uint64_t now_ns)
{
	if (!id_offset && !pmf_agent_readable((uintptr_t)own, STATE_BYTES, now_ns))
		return false;
	for (size_t at = sizeof(void *); !id_offset && at < STATE_BYTES; at += sizeof(pthread_t))
		if (has_id(own, at))
			id_offset = at;
	return id_offset != 0;
}

uintptr_t pmf_agent_outer_state(uintptr_t tstate, uint64_t now_ns)
{
	void *own = (void *)tstate, *state, *interpreter;

	if (!py.interpreter_of || !py.main_interpreter || !py.first_state || !py.next_state)
		return 0;
	interpreter = py.main_interpreter();
	if (!interpreter || py.interpreter_of(own) == interpreter || !find_id_offset(own, now_ns))
		return 0;
	state = py.first_state(interpreter);
	for (size_t i = 0; state && i < THREADS_MAX; i++) {
		if ((uintptr_t)state % sizeof state ||
			!pmf_agent_readable(
				(uintptr_t)state, id_offset + sizeof(pthread_t), now_ns))
			return 0;
		if (has_id(state, id_offset))
			return (uintptr_t)state;
		state = py.next_state(state);
	}
	return 0;
}
