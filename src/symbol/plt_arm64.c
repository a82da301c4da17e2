/* PLT stubs of arm64 linkers (System V ABI for the Arm 64-bit Architecture, "Procedure Linkage
 * Table"): adrp and ldr of the slot, then add and br, with or without a landing pad in front. */
#include "symbol_priv.h"

#define BTI_C 0xd503245f
#define ADRP_X16 0x90000010
#define ADRP_MASK 0x9f00001f
#define LDR_X17_X16 0xf9400211 /* ldr x17, [x16, #imm12 * 8] */
#define LDR_MASK 0xffc003ff

static bool slot(const uint8_t *code, size_t len, uint64_t addr, uint64_t *out)
{
	size_t at = len >= 4 && pmf_plt_insn(code, 0) == BTI_C ? 4 : 0;
	uint32_t adrp, ldr;
	uint64_t pages;

	if (len - at < 8)
		return false;
	adrp = pmf_plt_insn(code, at);
	ldr = pmf_plt_insn(code, at + 4);
	if ((adrp & ADRP_MASK) != ADRP_X16 || (ldr & LDR_MASK) != LDR_X17_X16)
		return false;
	pages = (adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
	if (pages & 0x100000)
		pages |= ~UINT64_C(0x1fffff);
	*out = ((addr + at) & ~UINT64_C(0xfff)) + (pages << 12) + (ldr >> 10 & 0xfff) * 8;
	return true;
}

const struct pmf_plt_arch pmf_plt_arm64 = {
	.elf_machine = EM_AARCH64,
	.jump_slot = R_AARCH64_JUMP_SLOT,
	.glob_dat = R_AARCH64_GLOB_DAT,
	.irelative = R_AARCH64_IRELATIVE,
	.slot = slot,
};
