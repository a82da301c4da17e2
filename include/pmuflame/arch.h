/* pmuflame/arch.h - what differs between processor architectures, as one table row each.
 * Layer: base. Threads: constant data.
 * A recording names its architecture; it may differ from the machine that reads it. To add one:
 * write src/base/arch_NAME.c and add its row to src/base/arch.c. */
#ifndef PMUFLAME_ARCH_H
#define PMUFLAME_ARCH_H

#include <stdbool.h>
#include <stdint.h>

enum { PMF_ARCH_MAX_REGS = 64, PMF_ARCH_MAX_DWARF = 128, PMF_REG_NONE = 255 };

struct pmf_arch {
	const char *name;     /* as uname -m prints it: "x86_64" */
	uint16_t elf_machine; /* EM_X86_64, … (elf(5)) */
	uint8_t word_bytes;
	/* Registers to ask for: perf_event_attr.sample_regs_user, numbered as in the kernel's
	 * arch/…/include/uapi/asm/perf_regs.h. */
	uint64_t user_regs;
	uint8_t reg_ip, reg_sp, reg_fp; /* perf register numbers */
	uint8_t reg_ra;                 /* the link register, or PMF_REG_NONE where calls push */
	uint8_t dwarf_ra;               /* DWARF number of the return-address column: the pc's
				* number, or the link register's */
	/* perf register number → DWARF number, PMF_REG_NONE where DWARF has none. */
	uint8_t perf_to_dwarf[PMF_ARCH_MAX_REGS];
	/* A frame made with a frame pointer: where the caller's fp and the return address stand,
	 * relative to the fp register, in bytes. */
	int8_t fp_saved_fp, fp_saved_ra;
	int8_t fp_cfa; /* and the caller's sp, from the same */
	/* The kernel's user callchain starts with the pc and goes on with the frame record: it has
	 * no place for the caller of a leaf that made none. */
	bool callchain_lacks_ra;
	/* The two instructions that return from a signal handler, and where the registers that the
	 * handler interrupted stand above sp then, in perf's order. 0 where CFI says it all. */
	uint64_t sigreturn_code;
	uint16_t sigframe_regs;
	uint64_t ip_mask; /* bits of a code address that count: all, but for pointer
			   * authentication */
	/* What 32-bit programs under the same kernel are, whose samples have this row's register
	 * numbers; NULL if there is no row for it. */
	const struct pmf_arch *narrow;
};

/* The row of the machine that this program was built for; never NULL. */
const struct pmf_arch *pmf_arch_native(void);
/* The row for a uname -m name or an ELF machine number, or NULL. */
const struct pmf_arch *pmf_arch_by_name(const char *name);
const struct pmf_arch *pmf_arch_by_elf(uint16_t elf_machine);

#endif
