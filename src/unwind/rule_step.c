/* A step by rule: what unwind_cfi.c does with a row, for the three registers that a rule is about.
 * What is not plain (a register that is not known, a caller that lies further in) is left to it. */
#include "unwind_priv.h"

static inline uint64_t words(int16_t n)
{
	return (uint64_t)((int64_t)n * 8);
}

static inline bool take_cfa(const struct pmf_walk *w, const struct pmf_rule *rule, uint64_t sp,
	uint64_t fp, uint64_t *cfa)
{
	uint64_t at = rule->kind == PMF_RULE_DEREF_SP ? sp : fp;

	switch (rule->kind) {
	case PMF_RULE_SP:
		*cfa = sp + words(rule->cfa);
		return true;
	case PMF_RULE_FP:
		*cfa = fp + words(rule->cfa);
		return true;
	case PMF_RULE_DEREF_SP:
	case PMF_RULE_DEREF_FP:
		if (!pmf_walk_try_read(w, at + words(rule->cfa), cfa))
			return false;
		*cfa += words(rule->add);
		return true;
	default:
		return false;
	}
}

/* Replace @fp, which *known says to be one, by the caller's. */
static inline void take_fp(struct pmf_walk *w, const struct pmf_rule *rule, uint64_t sp,
	uint64_t cfa, uint64_t *fp, bool *known)
{
	uint64_t va = (rule->fp_how == PMF_RULE_FP_AT_FP ? *fp : cfa) + words(rule->fp);

	if (rule->fp_how == PMF_RULE_FP_SAME)
		return;
	if (rule->fp_how == PMF_RULE_FP_LOST || (rule->fp_how == PMF_RULE_FP_AT_FP && !*known)) {
		*known = false;
		return;
	}
	/* Popped already, though the rule does not say so yet. */
	if (va < sp && sp - va <= PMF_RED_ZONE)
		return;
	*known = pmf_walk_read(w, va, fp);
}

bool pmf_step_rule(struct pmf_walk *w, const struct pmf_rule *rule, enum pmf_step *ret)
{
	const struct pmf_arch *arch = w->in->arch;
	const uint64_t sp_bit = UINT64_C(1) << w->dwarf_sp, fp_bit = UINT64_C(1) << w->dwarf_fp;
	const bool has_lr = arch->reg_ra != PMF_REG_NONE;
	uint64_t sp = w->regs[w->dwarf_sp], fp = w->regs[w->dwarf_fp], cfa, ra, ra_va;
	bool fp_known = w->known & fp_bit;
	bool by_fp = rule->kind == PMF_RULE_FP || rule->kind == PMF_RULE_DEREF_FP;

	if (!(w->known & sp_bit) || (by_fp && !fp_known) || !take_cfa(w, rule, sp, fp, &cfa))
		return false;
	ra_va = cfa + words(rule->ra);
	if (rule->in_lr) {
		if (!(w->known >> arch->dwarf_ra & 1))
			return false;
		ra = w->regs[arch->dwarf_ra];
	} else if (ra_va < sp) {
		return false;
	} else if (!pmf_walk_read(w, ra_va, &ra)) {
		*ret = PMF_STEP_FAILED;
		return true;
	}
	/* Only where a link register may hold the return address can a caller have the same sp. */
	if (cfa < sp || (cfa == sp && (!has_lr || (ra & arch->ip_mask) == w->pc)))
		return false;
	take_fp(w, rule, sp, cfa, &fp, &fp_known);
	if (w->nr_ras < PMF_WALK_HINTS)
		w->ra_vas[w->nr_ras++] = ra_va;
	w->pc = ra & arch->ip_mask;
	w->regs[w->dwarf_sp] = cfa;
	w->regs[w->dwarf_fp] = fp;
	w->known = sp_bit | (fp_known ? fp_bit : 0);
	if (has_lr) {
		w->regs[arch->dwarf_ra] = ra;
		w->known |= UINT64_C(1) << arch->dwarf_ra;
	}
	w->exact = w->stack_may_jump = false;
	w->partial = true;
	*ret = w->pc ? PMF_STEP_OK : PMF_STEP_ROOT;
	return true;
}
