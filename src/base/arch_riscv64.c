/* riscv64: perf's register numbers from arch/riscv/include/uapi/asm/perf_regs.h, which are the
 * machine's with the pc in the place of x0; DWARF's from the RISC-V ELF psABI, "DWARF register
 * numbers". */
#include "arch_priv.h"

enum { PC, RA, SP, S0 = 8, T6 = 31 };

#define X(n) [n] = n

const struct pmf_arch pmf_arch_riscv64 = {
	.name = "riscv64",
	.elf_machine = 243, /* EM_RISCV */
	.word_bytes = 8,
	.user_regs = (UINT64_C(1) << (T6 + 1)) - 1,
	.reg_ip = PC,
	.reg_sp = SP,
	.reg_fp = S0,
	.reg_ra = RA,
	.dwarf_ra = 1,
	/* A caller's pc stands in ra's column; the pc itself has none. */
	.perf_to_dwarf = {[PC] = PMF_REG_NONE,
		X(RA),
		X(SP),
		X(3),
		X(4),
		X(5),
		X(6),
		X(7),
		X(S0),
		X(9),
		X(10),
		X(11),
		X(12),
		X(13),
		X(14),
		X(15),
		X(16),
		X(17),
		X(18),
		X(19),
		X(20),
		X(21),
		X(22),
		X(23),
		X(24),
		X(25),
		X(26),
		X(27),
		X(28),
		X(29),
		X(30),
		X(T6),
		[T6 + 1 ... PMF_ARCH_MAX_REGS - 1] = PMF_REG_NONE},
	/* The frame pointer is the CFA. */
	.fp_saved_fp = -16,
	.fp_saved_ra = -8,
	.fp_cfa = 0,
	.sigreturn_code = UINT64_C(0x0000007308b00893), /* li a7, 139; ecall */
	/* struct rt_sigframe: siginfo, and in ucontext uc_mcontext.sc_regs. */
	.sigframe_regs = 128 + 176,
	.ip_mask = UINT64_MAX,
};
