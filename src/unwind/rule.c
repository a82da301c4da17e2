/* From a row of call frame information to a rule. */
#include "rule_priv.h"

#include "cfi_ops_priv.h"
#include <string.h>

enum { WORD = 8, MAX_ADD = 31 };

static bool words(int64_t bytes, int16_t *out)
{
	if (bytes % WORD || bytes / WORD > INT16_MAX || bytes / WORD < INT16_MIN)
		return false;
	*out = (int16_t)(bytes / WORD);
	return true;
}

/* Is the next operation DW_OP_breg of @reg? Then *off gets its offset. */
static bool take_breg(struct pmf_cfi_cursor *c, uint8_t reg, int64_t *off)
{
	if (reg > DW_OP_breg31 - DW_OP_breg0 || pmf_cfi_uint(c, 1) != (uint64_t)DW_OP_breg0 + reg)
		return false;
	*off = pmf_cfi_sleb(c);
	return !c->bad;
}

/* *(reg + off) + add: functions that align their stack, and assembly that keeps the caller's stack
 * pointer in its frame. */
static bool deref_cfa(struct pmf_cfi_cursor c, uint8_t reg, struct pmf_rule *rule)
{
	uint64_t add = 0;
	int64_t off;

	if (!take_breg(&c, reg, &off) || !words(off, &rule->cfa) ||
		pmf_cfi_uint(&c, 1) != DW_OP_deref)
		return false;
	if (c.p < c.end && pmf_cfi_uint(&c, 1) == DW_OP_plus_uconst)
		add = pmf_cfi_uleb(&c);
	else if (c.p < c.end)
		return false;
	rule->add = add / WORD & MAX_ADD;
	return !c.bad && c.p == c.end && add % WORD == 0 && add / WORD <= MAX_ADD;
}

/* What linkers say of a lazy PLT: CFA = sp + 8, and 8 more behind the push that stands at a place
 * that is the same in each stub of 16 bytes. */
static bool plt_cfa(
	struct pmf_cfi_cursor c, const struct pmf_arch *arch, uint64_t rva, struct pmf_rule *rule)
{
	static const uint8_t tail[] = {
		DW_OP_ge, DW_OP_lit0 + 3, DW_OP_shl, DW_OP_plus}; /* behind DW_OP_lit<push ends> */
	uint64_t push_end;
	int64_t sp_off, pc_off;

	if (!take_breg(&c, arch->perf_to_dwarf[arch->reg_sp], &sp_off) ||
		!take_breg(&c, arch->perf_to_dwarf[arch->reg_ip], &pc_off) || pc_off != 0 ||
		pmf_cfi_uint(&c, 1) != DW_OP_lit0 + 15 || pmf_cfi_uint(&c, 1) != DW_OP_and)
		return false;
	push_end = pmf_cfi_uint(&c, 1) - DW_OP_lit0;
	if (c.bad || push_end > 15 || (size_t)(c.end - c.p) != sizeof tail ||
		memcmp(c.p, tail, sizeof tail) != 0)
		return false;
	return words(sp_off + ((rva & 15) >= push_end ? WORD : 0), &rule->cfa);
}

static bool take_cfa(const struct pmf_cfi_row *row, const struct pmf_arch *arch, uint64_t rva,
	struct pmf_rule *rule)
{
	uint8_t sp = arch->perf_to_dwarf[arch->reg_sp], fp = arch->perf_to_dwarf[arch->reg_fp];

	if (row->cfa_expr.p) {
		rule->kind = PMF_RULE_SP;
		if (plt_cfa(row->cfa_expr, arch, rva, rule))
			return true;
		rule->kind = PMF_RULE_DEREF_FP;
		if (deref_cfa(row->cfa_expr, fp, rule))
			return true;
		rule->kind = PMF_RULE_DEREF_SP;
		return deref_cfa(row->cfa_expr, sp, rule);
	}
	rule->kind = row->cfa_reg == fp ? PMF_RULE_FP : PMF_RULE_SP;
	return (row->cfa_reg == sp || row->cfa_reg == fp) && words(row->cfa_off, &rule->cfa);
}

static bool take_fp(const struct pmf_cfi_rule *how, uint8_t fp, struct pmf_rule *rule)
{
	struct pmf_cfi_cursor expr;
	int64_t off;

	switch (how->how) {
	case PMF_CFI_SAME:
		rule->fp_how = PMF_RULE_FP_SAME;
		return true;
	case PMF_CFI_UNDEFINED:
		rule->fp_how = PMF_RULE_FP_LOST;
		return true;
	case PMF_CFI_AT_CFA:
		rule->fp_how = PMF_RULE_FP_AT_CFA;
		return words(how->n, &rule->fp);
	case PMF_CFI_AT_EXPR:
		expr = pmf_cfi_rule_expr(how);
		rule->fp_how = PMF_RULE_FP_AT_FP;
		return take_breg(&expr, fp, &off) && expr.p == expr.end && words(off, &rule->fp);
	default:
		return false;
	}
}

struct pmf_rule pmf_rule_of_row(
	const struct pmf_cfi_row *row, const struct pmf_arch *arch, uint64_t rva)
{
	const struct pmf_rule whole = {.kind = PMF_RULE_ROW};
	const struct pmf_cfi_rule *ra = &row->regs[arch->dwarf_ra];
	uint8_t sp = arch->perf_to_dwarf[arch->reg_sp], fp = arch->perf_to_dwarf[arch->reg_fp];
	struct pmf_rule rule = {.kind = PMF_RULE_EMPTY};

	if (ra->how == PMF_CFI_UNDEFINED)
		return (struct pmf_rule){.kind = PMF_RULE_ROOT};
	if (ra->how == PMF_CFI_AT_CFA) {
		if (!words(ra->n, &rule.ra))
			return whole;
	} else if (ra->how == PMF_CFI_SAME && arch->reg_ra != PMF_REG_NONE) {
		rule.in_lr = true;
	} else {
		return whole;
	}
	if (row->regs[sp].how != PMF_CFI_SAME || arch->word_bytes != WORD ||
		!take_cfa(row, arch, rva, &rule) || !take_fp(&row->regs[fp], fp, &rule))
		return whole;
	return rule;
}

struct pmf_rule pmf_rule_at(const struct pmf_cfi *cfi, const struct pmf_arch *arch, uint64_t rva)
{
	struct pmf_cfi_fde fde;
	struct pmf_cfi_row row;

	switch (cfi ? pmf_cfi_go_row(cfi, arch, rva, &row) : PMF_CFI_GO_NOTHING) {
	case PMF_CFI_GO_ROOT:
		return (struct pmf_rule){.kind = PMF_RULE_ROOT};
	case PMF_CFI_GO_ROW:
		return pmf_rule_of_row(&row, arch, rva);
	case PMF_CFI_GO_RESUMED:
	case PMF_CFI_GO_SWITCH:
		return (struct pmf_rule){.kind = PMF_RULE_ROW};
	case PMF_CFI_GO_NOTHING:
		break;
	}
	if (!cfi || !pmf_cfi_find(cfi, rva, &fde))
		return (struct pmf_rule){.kind = PMF_RULE_NONE};
	/* A return address at a function's end may be that of a signal trampoline behind it. */
	if (fde.signal_frame || (arch->sigreturn_code && rva + 1 >= fde.end) ||
		!pmf_cfi_row_at(&fde, rva, &row))
		return (struct pmf_rule){.kind = PMF_RULE_ROW};
	return pmf_rule_of_row(&row, arch, rva);
}
