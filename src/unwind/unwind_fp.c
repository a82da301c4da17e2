/* Steps without CFI: by frame pointer, and out of a leaf that has made no frame yet. */
#include "unwind_priv.h"

/* Frames larger than this are taken for a register that holds something else. */
enum { MAX_FRAME_BYTES = 4 * 1024 * 1024 };

static uint64_t reg(const struct pmf_walk *w, uint8_t dwarf, uint64_t otherwise)
{
	return w->known & (UINT64_C(1) << dwarf) ? w->regs[dwarf] : otherwise;
}

bool pmf_walk_is_code(const struct pmf_walk *w, uint64_t va)
{
	return va && pmf_process_map(w->in->process, va - 1);
}

enum pmf_step pmf_step_fp(struct pmf_walk *w)
{
	const struct pmf_arch *arch = w->in->arch;
	uint64_t sp = reg(w, w->dwarf_sp, UINT64_MAX), fp = reg(w, w->dwarf_fp, UINT64_MAX);
	uint64_t saved_fp, ra;

	/* The ABI's mark of the outermost frame (System V ABI, AMD64 supplement, 3.4.1). */
	if (fp == 0)
		return PMF_STEP_ROOT;
	if (fp < sp || fp - sp > MAX_FRAME_BYTES || fp % arch->word_bytes ||
		!pmf_walk_read(w, fp + (uint64_t)arch->fp_saved_fp, &saved_fp) ||
		!pmf_walk_read(w, fp + (uint64_t)arch->fp_saved_ra, &ra))
		return PMF_STEP_FAILED;
	ra &= arch->ip_mask;
	if (ra == 0)
		return PMF_STEP_ROOT;
	if (!pmf_walk_is_code(w, ra))
		return PMF_STEP_FAILED;
	w->pc = ra;
	w->regs[w->dwarf_fp] = saved_fp;
	w->regs[w->dwarf_sp] = fp + (uint64_t)arch->fp_cfa;
	/* Nothing tells what became of the others. */
	w->known = UINT64_C(1) << w->dwarf_fp | UINT64_C(1) << w->dwarf_sp;
	w->exact = false;
	return PMF_STEP_OK;
}

bool pmf_leaf_has_frame(struct pmf_walk *w)
{
	const struct pmf_arch *arch = w->in->arch;
	uint64_t fp = reg(w, w->dwarf_fp, 0), saved;

	return arch->reg_ra != PMF_REG_NONE &&
	       pmf_walk_try_read(w, fp + (uint64_t)arch->fp_saved_ra, &saved) &&
	       saved == reg(w, arch->dwarf_ra, ~saved);
}

enum pmf_step pmf_step_leaf(struct pmf_walk *w)
{
	const struct pmf_arch *arch = w->in->arch;
	uint64_t sp = reg(w, w->dwarf_sp, UINT64_MAX), ra;

	if (arch->reg_ra != PMF_REG_NONE) {
		ra = reg(w, arch->dwarf_ra, 0) & arch->ip_mask;
	} else {
		if (!pmf_walk_read(w, sp, &ra))
			return PMF_STEP_FAILED;
		sp += arch->word_bytes;
	}
	if (!pmf_walk_is_code(w, ra))
		return PMF_STEP_FAILED;
	w->pc = ra;
	w->regs[w->dwarf_sp] = sp;
	w->exact = false;
	return PMF_STEP_OK;
}

static enum pmf_step step(void *priv, struct pmf_walk *w)
{
	(void)priv;
	return pmf_step_fp(w);
}

const struct pmf_unwinder_ops pmf_unwind_fp = {.step = step};
