/* Frames of a Java VM: its methods, compiled and interpreted, by their names. */
#include "collect_priv.h"

#include "pmuflame/hotspot.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum { METHODS = 1 << 13 };
/* A class may be unloaded, and another method come to the place. */
#define FRESH_NS UINT64_C(1000000000)

struct pmf_java_method {
	pid_t pid;
	uint64_t method, asked_ns;
	uint32_t frame;
};

void pmf_java_release(struct pmf_java *j)
{
	free(j->methods);
	j->methods = NULL;
}

/* UINT32_MAX if there is no method, or no way to ask any more. */
static uint32_t method_frame(struct pmf_stacks *s, struct pmf_process *proc, uint64_t method)
{
	struct pmf_java_method *m;
	struct pmf_buf name = PMF_BUF_INIT;
	struct pmf_jit_label label;

	if (!method)
		return UINT32_MAX;
	if (!s->java.methods)
		s->java.methods = pmf_calloc(METHODS, sizeof *s->java.methods);
	m = &s->java.methods[pmf_hash_u64(method ^ (uint64_t)proc->pid << 48) % METHODS];
	if (m->pid == proc->pid && m->method == method && s->now_ns - m->asked_ns < FRESH_NS)
		return m->frame;
	if (pmf_hotspot_method_name(proc->hotspot, method, &name)) {
		pmf_jit_label_init(&label, pmf_buf_str(&name));
		*m = (struct pmf_java_method){.pid = proc->pid,
			.method = method,
			.frame = pmf_profile_frame_named(s->profile, PMF_FRAME_JIT, label.name)};
		pmf_jit_label_release(&label);
	} else if (m->pid != proc->pid || m->method != method) {
		*m = (struct pmf_java_method){
			.pid = proc->pid, .method = method, .frame = UINT32_MAX};
	}
	m->asked_ns = s->now_ns;
	pmf_buf_release(&name);
	return m->frame;
}

uint32_t pmf_java_frame(
	struct pmf_stacks *s, struct pmf_process *proc, uint64_t va, uint64_t interpreted)
{
	struct pmf_hotspot *h = s->table.live ? pmf_hotspot_of(proc, s->now_ns) : NULL;
	struct pmf_hotspot_code code;
	uint32_t frame = UINT32_MAX;

	if (!h || !pmf_hotspot_find(h, va, s->now_ns, &code))
		return UINT32_MAX;
	if (code.kind == PMF_HOTSPOT_METHOD)
		return method_frame(s, proc, code.method);
	if (code.kind == PMF_HOTSPOT_INTERPRETER)
		frame = method_frame(s, proc, interpreted);
	return frame != UINT32_MAX ? frame
				   : pmf_profile_frame_named(s->profile, PMF_FRAME_JIT,
					     pmf_hotspot_code_name(h, &code));
}
