/* PLT stubs of riscv64 linkers (RISC-V ELF psABI, "Procedure Linkage Table"): auipc and ld of the
 * slot, then jalr and nop, with or without a landing pad in front. */
#include "symbol_priv.h"

#define LPAD 0x00000017     /* lpad 0 */
#define AUIPC_T3 0x00000e17 /* auipc t3, imm20 */
#define AUIPC_MASK 0x00000fff
#define LD_T3_T3 0x000e3e03 /* ld t3, imm12(t3) */
#define LD_MASK 0x000fffff

static bool slot(const uint8_t *code, size_t len, uint64_t addr, uint64_t *out)
{
	size_t at = len >= 4 && pmf_plt_insn(code, 0) == LPAD ? 4 : 0;
	uint32_t auipc, ld;
	int64_t upper, lower;

	if (len - at < 8)
		return false;
	auipc = pmf_plt_insn(code, at);
	ld = pmf_plt_insn(code, at + 4);
	if ((auipc & AUIPC_MASK) != AUIPC_T3 || (ld & LD_MASK) != LD_T3_T3)
		return false;
	upper = (int32_t)(auipc & ~AUIPC_MASK);
	lower = (int32_t)(ld & ~LD_MASK) / (1 << 20);
	*out = addr + at + (uint64_t)(upper + lower);
	return true;
}

const struct pmf_plt_arch pmf_plt_riscv64 = {
	.elf_machine = EM_RISCV,
	.jump_slot = R_RISCV_JUMP_SLOT,
	.glob_dat = R_RISCV_64,
	.irelative = R_RISCV_IRELATIVE,
	.slot = slot,
};
