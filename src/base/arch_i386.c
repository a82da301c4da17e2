/* i386, as 32-bit programs on x86-64 have it: perf's register numbers from
 * arch/x86/include/uapi/asm/perf_regs.h, DWARF's from the System V ABI, Intel386 supplement, table 2.14. */
#include "arch_priv.h"

enum { AX, BX, CX, DX, SI, DI, BP, SP, IP };

const struct pmf_arch pmf_arch_i386 = {
	.name = "i686",
	.elf_machine = 3, /* EM_386 */
	.word_bytes = 4,
	.user_regs = (1u << (IP + 1)) - 1,
	.reg_ip = IP,
	.reg_sp = SP,
	.reg_fp = BP,
	.reg_ra = PMF_REG_NONE,
	.dwarf_ra = 8,
	.perf_to_dwarf = {[AX] = 0,
		[BX] = 3,
		[CX] = 1,
		[DX] = 2,
		[SI] = 6,
		[DI] = 7,
		[BP] = 5,
		[SP] = 4,
		[IP] = 8,
		[IP + 1 ... PMF_ARCH_MAX_REGS - 1] = PMF_REG_NONE},
	.fp_saved_fp = 0,
	.fp_saved_ra = 4,
	.fp_cfa = 8,
	.ip_mask = UINT32_MAX,
};
