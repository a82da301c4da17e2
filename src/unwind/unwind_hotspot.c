/* Steps out of code of a Java VM on x86-64, which was started without frame pointers: compiled methods have
 * frames of a fixed size, with the caller's rbp below the return address; the interpreter's have an rbp. */
#include "unwind_priv.h"

#include "pmuflame/hotspot.h"
#include <elf.h>

enum { WORD = 8, SENDER_MAX = 1 << 20, PUSHED_MAX = 4 };

/* Go on at the return address that stands at @ra_va, if it is one. @fp_va: where the caller's rbp is; 0: it is
 * what it was. */
static bool leave(struct pmf_walk *w, uint64_t ra_va, uint64_t fp_va)
{
	uint64_t ra, fp = w->regs[w->dwarf_fp];

	if (!pmf_walk_read(w, ra_va, &ra) || !pmf_walk_is_code(w, ra) ||
		(fp_va && !pmf_walk_read(w, fp_va, &fp)))
		return false;
	w->pc = ra;
	w->regs[w->dwarf_sp] = ra_va + WORD;
	w->regs[w->dwarf_fp] = fp;
	w->known = UINT64_C(1) << w->dwarf_sp | UINT64_C(1) << w->dwarf_fp;
	w->exact = false;
	return true;
}

/* A frame by rbp. An interpreter's caller may have had to make room for its locals: where its own frame ends
 * is kept below. */
static bool leave_by_fp(struct pmf_walk *w, bool interpreter)
{
	uint64_t fp = w->regs[w->dwarf_fp], sp = w->regs[w->dwarf_sp], sender;

	if (fp < sp || fp % WORD || !leave(w, fp + WORD, fp))
		return false;
	if (interpreter && pmf_walk_try_read(w, fp + (uint64_t)PMF_HOTSPOT_FP_SENDER_SP, &sender) &&
		sender > fp + WORD && sender - fp < SENDER_MAX && sender % WORD == 0)
		w->regs[w->dwarf_sp] = sender;
	return true;
}

/* Right after the call, or after the rbp was pushed; and the same at the end, on the way back. */
static bool leave_edge(struct pmf_walk *w)
{
	uint64_t sp = w->regs[w->dwarf_sp];

	return leave(w, sp, 0) || leave(w, sp + WORD, sp);
}

/* Compiled code pushes a few registers within its frame where it looks for a supertype. */
static bool leave_pushed(struct pmf_walk *w, uint64_t end)
{
	for (uint64_t n = 1; n <= PUSHED_MAX; n++)
		if (leave(w, end + (n - 1) * WORD, end + n * WORD - 2 * WORD))
			return true;
	return false;
}

static bool leave_sized(struct pmf_walk *w, const struct pmf_hotspot_code *code)
{
	uint64_t end = w->regs[w->dwarf_sp] + code->frame_bytes;

	if (w->exact && w->pc - code->start < code->frame_offset)
		return leave_edge(w);
	return leave(w, end - WORD, end - 2 * WORD) ||
	       (w->exact && (leave_edge(w) || leave_pushed(w, end)));
}

bool pmf_step_hotspot(struct pmf_walk *w)
{
	const struct pmf_unwind_in *in = w->in;
	const uint64_t needed = UINT64_C(1) << w->dwarf_sp | UINT64_C(1) << w->dwarf_fp;
	struct pmf_hotspot_code code;
	struct pmf_hotspot *h;

	if (in->arch->elf_machine != EM_X86_64 || !in->table || !in->table->live ||
		(w->known & needed) != needed)
		return false;
	h = pmf_hotspot_of(in->process, in->now_ns);
	if (!h || !pmf_hotspot_find(h, pmf_walk_lookup_va(w), in->now_ns, &code))
		return false;
	if (code.frame_bytes)
		return leave_sized(w, &code);
	if (code.kind == PMF_HOTSPOT_ADAPTER)
		return leave(w, w->regs[w->dwarf_sp], 0);
	return leave_by_fp(w, code.kind == PMF_HOTSPOT_INTERPRETER) || (w->exact && leave_edge(w));
}
