/* x86-64: perf's register numbers from arch/x86/include/uapi/asm/perf_regs.h, DWARF's from the
 * System V ABI, AMD64 supplement, figure 3.36. */
#include "arch_priv.h"

enum { AX, BX, CX, DX, SI, DI, BP, SP, IP, FLAGS, CS, SS, DS, ES, FS, GS, R8, R15 = R8 + 7 };

const struct pmf_arch pmf_arch_x86_64 = {
	.name = "x86_64",
	.elf_machine = 62, /* EM_X86_64 */
	.word_bytes = 8,
	/* AX to IP and R8 to R15; the kernel refuses the data segment registers for user space. */
	.user_regs = ((1u << (IP + 1)) - 1) | (0xffu << R8),
	.reg_ip = IP,
	.reg_sp = SP,
	.reg_fp = BP,
	.reg_ra = PMF_REG_NONE,
	.dwarf_ra = 16,
	.perf_to_dwarf = {[AX] = 0,
		[BX] = 3,
		[CX] = 2,
		[DX] = 1,
		[SI] = 4,
		[DI] = 5,
		[BP] = 6,
		[SP] = 7,
		[IP] = 16,
		[FLAGS] = PMF_REG_NONE,
		[CS] = PMF_REG_NONE,
		[SS] = PMF_REG_NONE,
		[DS] = PMF_REG_NONE,
		[ES] = PMF_REG_NONE,
		[FS] = PMF_REG_NONE,
		[GS] = PMF_REG_NONE,
		[R8] = 8,
		[R8 + 1] = 9,
		[R8 + 2] = 10,
		[R8 + 3] = 11,
		[R8 + 4] = 12,
		[R8 + 5] = 13,
		[R8 + 6] = 14,
		[R15] = 15,
		[R15 + 1 ... PMF_ARCH_MAX_REGS - 1] = PMF_REG_NONE},
	.fp_saved_fp = 0,
	.fp_saved_ra = 8,
	.fp_cfa = 16,
	.ip_mask = UINT64_MAX,
	.narrow = &pmf_arch_i386,
};
