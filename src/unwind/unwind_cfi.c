/* Steps by CFI evaluated here, for any architecture. libunwind's own ports to machines with a link
 * register cannot be relied on: 1.6.2 guesses from the link register where it fails, refuses the
 * mark that pointer authentication leaves, loses the pc of a signal frame; 1.8 takes a zero in the
 * frame pointer's register for the root even in code without frame pointers. */
#include "cfi_priv.h"
#include "unwind_priv.h"

#include <string.h>

static bool get_reg(void *ctx, uint64_t reg, uint64_t *out)
{
	const struct pmf_walk *w = ctx;

	if (reg >= PMF_ARCH_MAX_REGS || !(w->known >> reg & 1))
		return false;
	*out = w->regs[reg];
	return true;
}

/* The same for a register without which there is no step. */
static bool need_reg(void *ctx, uint64_t reg, uint64_t *out)
{
	struct pmf_walk *w = ctx;

	if (get_reg(w, reg, out))
		return true;
	w->missing = w->partial;
	return false;
}

static bool read_word(void *ctx, uint64_t va, uint64_t *out)
{
	return pmf_walk_read(ctx, va, out);
}

static bool find_cfa(struct pmf_walk *w, const struct pmf_cfi_row *row,
	const struct pmf_cfi_env *env, uint64_t *cfa)
{
	if (row->cfa_expr.p)
		return pmf_cfi_eval(row->cfa_expr, env, NULL, cfa);
	if (!need_reg(w, row->cfa_reg, cfa))
		return false;
	*cfa += (uint64_t)row->cfa_off;
	return true;
}

/* What register @reg held in the caller; false if that is lost. */
static bool caller_reg(struct pmf_walk *w, const struct pmf_cfi_rule *rule,
	const struct pmf_cfi_env *env, uint64_t reg, uint64_t cfa, uint64_t *out)
{
	uint64_t sp = w->regs[w->dwarf_sp], va = cfa + (uint64_t)rule->n;

	switch ((enum pmf_cfi_how)rule->how) {
	case PMF_CFI_SAME:
		return get_reg(w, reg, out);
	case PMF_CFI_CFA_PLUS:
		*out = va;
		return true;
	case PMF_CFI_IN_REG:
		return need_reg(w, (uint64_t)rule->n, out);
	case PMF_CFI_EXPR:
		return pmf_cfi_eval(pmf_cfi_rule_expr(rule), env, &cfa, out);
	case PMF_CFI_AT_CFA:
		break;
	case PMF_CFI_AT_EXPR:
		if (!pmf_cfi_eval(pmf_cfi_rule_expr(rule), env, &cfa, &va))
			return false;
		break;
	case PMF_CFI_UNDEFINED:
		return false;
	}
	/* Popped already, though the rule does not say so yet. */
	if (va < sp && sp - va <= PMF_RED_ZONE)
		return get_reg(w, reg, out);
	return pmf_walk_read(w, va, out);
}

/* The caller's registers in place of this frame's. */
static enum pmf_step apply(struct pmf_walk *w, const struct pmf_cfi_row *row)
{
	const struct pmf_cfi_env env = {.ctx = w, .reg = need_reg, .read = read_word};
	const struct pmf_arch *arch = w->in->arch;
	uint64_t regs[PMF_CFI_COLUMNS], known = 0, cfa, sp = w->regs[w->dwarf_sp], pc;

	if (row->regs[arch->dwarf_ra].how == PMF_CFI_UNDEFINED)
		return PMF_STEP_ROOT;
	if (!find_cfa(w, row, &env, &cfa))
		return PMF_STEP_FAILED;
	for (uint64_t i = 0; i < PMF_CFI_COLUMNS; i++)
		if (caller_reg(w, &row->regs[i], &env, i, cfa, &regs[i]))
			known |= UINT64_C(1) << i;
	if (!(known >> arch->dwarf_ra & 1))
		return PMF_STEP_FAILED;
	if (row->regs[w->dwarf_sp].how == PMF_CFI_SAME) {
		regs[w->dwarf_sp] = cfa;
		known |= UINT64_C(1) << w->dwarf_sp;
	}
	pc = regs[arch->dwarf_ra] & arch->ip_mask;
	/* A link register that a call overwrote leads to where we are. */
	if (pc == w->pc && regs[w->dwarf_sp] == sp)
		return PMF_STEP_FAILED;
	memcpy(w->regs, regs, sizeof regs);
	w->known = known;
	w->pc = pc;
	return PMF_STEP_OK;
}

/* Does the code at @va return from a signal handler? The kernel's CFI says where to: not at all, or
 * (arm64 before Linux 5.8) without the place that was interrupted. */
static bool is_sigreturn_at(const struct pmf_walk *w, uint64_t va)
{
	uint64_t code;

	return w->map && va >= w->map->start && va < w->map->end &&
	       pmf_image_read(w->map->image, va - w->map->bias, &code, sizeof code) &&
	       code == w->in->arch->sigreturn_code;
}

/* The trampoline is two instructions: a leaf may stand at each, or behind the system call. */
static bool is_sigreturn(const struct pmf_walk *w)
{
	if (w->in->arch->sigreturn_code == 0)
		return false;
	for (uint64_t back = 0; back <= (w->exact ? 8 : 0); back += 4)
		if (is_sigreturn_at(w, w->pc - back))
			return true;
	return false;
}

/* To the interrupted code: its registers are in the signal frame, in perf's order. */
static enum pmf_step step_sigreturn(struct pmf_walk *w)
{
	const struct pmf_arch *arch = w->in->arch;
	uint64_t at = w->regs[w->dwarf_sp] + arch->sigframe_regs, pc = 0, v;

	pmf_walk_show_exact(w);
	w->known = 0;
	for (unsigned i = 0; i < PMF_ARCH_MAX_REGS; i++, at += arch->word_bytes) {
		if (!(arch->user_regs >> i & 1))
			continue;
		if (!pmf_walk_read(w, at, &v))
			return PMF_STEP_FAILED;
		if (i == arch->reg_ip) {
			pc = v;
		} else {
			w->regs[arch->perf_to_dwarf[i]] = v;
			w->known |= UINT64_C(1) << arch->perf_to_dwarf[i];
		}
	}
	w->pc = pc;
	w->exact = w->stack_may_jump = true;
	return PMF_STEP_OK;
}

/* The runtime goes to another stack here and back: where the frame pointer leads to memory that was
 * dumped, that is the caller's. Else this stack ends. */
static enum pmf_step step_switch(struct pmf_walk *w)
{
	const struct pmf_arch *arch = w->in->arch;
	uint64_t fp, word;

	if (!get_reg(w, w->dwarf_fp, &fp))
		return PMF_STEP_ROOT;
	if (pmf_walk_try_read(w, fp + (uint64_t)arch->fp_saved_fp, &word) &&
		pmf_walk_try_read(w, fp + (uint64_t)arch->fp_saved_ra, &word) &&
		pmf_step_fp(w) == PMF_STEP_OK)
		return PMF_STEP_OK;
	w->out->switched_fp = fp;
	return PMF_STEP_ROOT;
}

static void know_pc(struct pmf_walk *w)
{
	const struct pmf_arch *arch = w->in->arch;

	if (arch->reg_ra == PMF_REG_NONE) {
		w->regs[arch->dwarf_ra] = w->pc;
		w->known |= UINT64_C(1) << arch->dwarf_ra;
	}
}

static enum pmf_step step_go(struct pmf_walk *w, const struct pmf_cfi *cfi, uint64_t rva)
{
	struct pmf_cfi_row row;
	enum pmf_step ret;

	switch (pmf_cfi_go_row(cfi, w->in->arch, rva, &row)) {
	case PMF_CFI_GO_RESUMED:
		pmf_walk_show_exact(w);
		break;
	case PMF_CFI_GO_ROW:
		break;
	case PMF_CFI_GO_ROOT:
		return PMF_STEP_ROOT;
	case PMF_CFI_GO_SWITCH:
		return step_switch(w);
	case PMF_CFI_GO_NOTHING:
		return PMF_STEP_NO_RULE;
	}
	know_pc(w);
	ret = apply(w, &row);
	if (ret == PMF_STEP_OK)
		w->exact = false;
	return ret;
}

enum pmf_step pmf_step_fde(struct pmf_walk *w, const struct pmf_cfi_fde *fde, uint64_t rva)
{
	struct pmf_cfi_row row;
	enum pmf_step ret;

	if (!pmf_cfi_row_at(fde, rva, &row))
		return PMF_STEP_NO_RULE;
	know_pc(w);
	ret = apply(w, &row);
	if (ret == PMF_STEP_OK) {
		if (fde->signal_frame)
			pmf_walk_show_exact(w);
		w->exact = w->stack_may_jump = fde->signal_frame;
	}
	return ret;
}

static enum pmf_step step(void *priv, struct pmf_walk *w)
{
	const struct pmf_cfi *cfi;
	struct pmf_cfi_fde fde;
	uint64_t rva;
	enum pmf_step ret;
	bool found;

	(void)priv;
	if (!w->map || w->map->image->kind == PMF_IMAGE_ANON)
		return PMF_STEP_NO_RULE;
	cfi = pmf_cfi_of(w->map->image, w->in->arch);
	rva = pmf_walk_lookup_va(w) - w->map->bias;
	ret = cfi ? step_go(w, cfi, rva) : PMF_STEP_NO_RULE;
	if (ret != PMF_STEP_NO_RULE)
		return ret;
	found = cfi && pmf_cfi_find(cfi, rva, &fde);
	/* In the system call that leaves a signal handler, which returns elsewhere: nothing stands
	 * behind it. */
	if (!found && cfi && w->exact && pmf_cfi_find(cfi, rva - 1, &fde) && fde.signal_frame) {
		found = true;
		rva--;
	}
	/* A trampoline's own address is not behind a call: its function starts there. */
	if ((!found || fde.signal_frame || w->pc - w->map->bias >= fde.end) && is_sigreturn(w))
		return step_sigreturn(w);
	if (!found)
		return PMF_STEP_NO_RULE;
	ret = pmf_step_fde(w, &fde, rva);
	if (ret == PMF_STEP_NO_RULE)
		w->unfit = true;
	return ret;
}

const struct pmf_unwinder_ops pmf_unwind_cfi = {.step = step, .has_rules = true};
