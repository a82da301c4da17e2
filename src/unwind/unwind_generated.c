/* Steps out of generated code by the CFI that its runtime wrote for profilers. */
#include "cfi_priv.h"
#include "unwind_priv.h"

/* Of CFI in one walk: hostile ones are long, and for each frame. */
enum { WALK_BYTES_MAX = 4 << 20 };
/* Any address will do for the section, if nothing that is relative to it wraps. */
#define SECTION_RVA (UINT64_C(1) << 32)

static enum pmf_step step_by(struct pmf_walk *w, const struct pmf_unwind_code *code)
{
	const struct pmf_cfi_section s = {.data = code->eh_frame,
		.size = code->size,
		.rva = SECTION_RVA,
		.word_bytes = w->in->arch->word_bytes};
	uint64_t off = pmf_walk_lookup_va(w) - code->start;
	struct pmf_cfi_fde fde;

	/* The FDE says where the code lay while it was made: only how long it is counts. */
	if (!pmf_cfi_only_fde(&s, w->in->arch, &fde) || fde.signal_frame ||
		off >= fde.end - fde.start)
		return PMF_STEP_NO_RULE;
	return pmf_step_fde(w, &fde, fde.start + off);
}

enum pmf_step pmf_step_generated(struct pmf_walk *w)
{
	const struct pmf_unwind_in *in = w->in;
	struct pmf_unwind_code code;
	struct pmf_walk before;
	enum pmf_step ret;

	if (!in->find_code || !in->find_code(in->ctx, in, pmf_walk_lookup_va(w), &code) ||
		code.size > WALK_BYTES_MAX - w->code_bytes)
		return PMF_STEP_NO_RULE;
	w->code_bytes += code.size;
	before = *w;
	ret = step_by(w, &code);
	if (ret == PMF_STEP_OK ? pmf_walk_is_code(w, w->pc) : ret == PMF_STEP_ROOT)
		return ret;
	/* The caller stands behind the dump's end, or the walk must start again: no guess is as good. */
	if (ret == PMF_STEP_FAILED && (w->cut || w->missing))
		return ret;
	*w = before;
	return PMF_STEP_NO_RULE;
}
