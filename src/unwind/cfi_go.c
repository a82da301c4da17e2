/* Rows from the table that Go's runtime unwinds by itself. */
#include "cfi_priv.h"

#include <string.h>

/* The frame that Go's compiler makes is as deep as the table says. It has the caller's frame pointer at
 * its outer end where calls push, below its inner end (out of the dump's reach) where they do not. */
static void make_row(const struct pmf_arch *arch, uint64_t depth, struct pmf_cfi_row *row)
{
	uint8_t fp = arch->perf_to_dwarf[arch->reg_fp];
	int64_t word = arch->word_bytes;

	memset(row, 0, sizeof *row);
	row->cfa_reg = arch->perf_to_dwarf[arch->reg_sp];
	row->cfa_off = (int64_t)depth;
	if (arch->reg_ra == PMF_REG_NONE) {
		row->cfa_off += word;
		row->regs[arch->dwarf_ra] =
			(struct pmf_cfi_rule){.how = PMF_CFI_AT_CFA, .n = -word};
		if (depth)
			row->regs[fp] =
				(struct pmf_cfi_rule){.how = PMF_CFI_AT_CFA, .n = -2 * word};
	} else if (depth) {
		row->regs[arch->dwarf_ra] =
			(struct pmf_cfi_rule){.how = PMF_CFI_AT_CFA, .n = -row->cfa_off};
		row->regs[fp].how = PMF_CFI_UNDEFINED;
	}
}

/* Before Go 1.20 a goroutine that has left its stack is said to stand at the first instruction of this
 * function. */
static bool is_resumed_at(const struct pmf_go_table *t, uint64_t rva, struct pmf_go_func *f)
{
	struct pmf_go_func next;

	if (rva != f->end || !pmf_go_table_find(t, rva, &next) ||
		strcmp(pmf_go_func_name(t, &next), "runtime.systemstack_switch") != 0)
		return false;
	*f = next;
	return true;
}

enum pmf_cfi_go pmf_cfi_go_row(const struct pmf_cfi *cfi, const struct pmf_arch *arch, uint64_t rva,
	struct pmf_cfi_row *row)
{
	struct pmf_go_func f;
	uint64_t depth;
	bool resumed;

	if (!cfi->go || !pmf_go_table_find(cfi->go, rva, &f))
		return PMF_CFI_GO_NOTHING;
	resumed = is_resumed_at(cfi->go, rva + 1, &f);
	if (f.outermost)
		return PMF_CFI_GO_ROOT;
	if (f.switches)
		return PMF_CFI_GO_SWITCH;
	if (!pmf_go_func_depth(cfi->go, &f, rva + resumed, &depth))
		return PMF_CFI_GO_NOTHING;
	make_row(arch, depth, row);
	return resumed ? PMF_CFI_GO_RESUMED : PMF_CFI_GO_ROW;
}
