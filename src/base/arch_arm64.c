/* arm64: perf's register numbers from arch/arm64/include/uapi/asm/perf_regs.h, DWARF's from the
 * DWARF for the Arm 64-bit Architecture ABI, "DWARF register names". */
#include "arch_priv.h"

enum { X0, X28 = 28, X29, LR, SP, PC };

#define X(n) [n] = n

const struct pmf_arch pmf_arch_arm64 = {
	.name = "aarch64",
	.elf_machine = 183, /* EM_AARCH64 */
	.word_bytes = 8,
	.user_regs = (UINT64_C(1) << (PC + 1)) - 1,
	.reg_ip = PC,
	.reg_sp = SP,
	.reg_fp = X29,
	.reg_ra = LR,
	.dwarf_ra = 30,
	/* A caller's pc stands in lr's column; the pc itself has none. */
	.perf_to_dwarf = {X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11),
		X(12), X(13), X(14), X(15), X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23),
		X(24), X(25), X(26), X(27), X(X28), X(X29), X(LR), X(SP),
		[PC... PMF_ARCH_MAX_REGS - 1] = PMF_REG_NONE},
	.fp_saved_fp = 0,
	.fp_saved_ra = 8,
	.fp_cfa = 16,               /* at least: gcc puts the locals above the frame record */
	.callchain_lacks_ra = true, /* arch/arm64/kernel/perf_callchain.c */
	.sigreturn_code = UINT64_C(0xd4000001d2801168), /* mov x8, #139; svc #0 */
	/* struct rt_sigframe: siginfo, and in ucontext uc_mcontext.regs. */
	.sigframe_regs = 128 + 176 + 8,
	/* A user address has 48 bits unless the program asked mmap(2) for more; the code of pointer
	 * authentication stands above them. */
	.ip_mask = (UINT64_C(1) << 48) - 1,
};
