#include "pmuflame/arch.h"

#include "arch_priv.h"
#include <stddef.h>
#include <string.h>

static const struct pmf_arch *const archs[] = {
	&pmf_arch_arm64,
	&pmf_arch_i386,
	&pmf_arch_riscv64,
	&pmf_arch_x86_64,
};

const struct pmf_arch *pmf_arch_native(void)
{
#if defined(__x86_64__)
	return &pmf_arch_x86_64;
#elif defined(__aarch64__) && !defined(__ILP32__) && !defined(__AARCH64EB__)
	return &pmf_arch_arm64;
#elif defined(__riscv) && __riscv_xlen == 64
	return &pmf_arch_riscv64;
#else
#error "pmuflame has no row for this architecture yet: see include/pmuflame/arch.h"
#endif
}

const struct pmf_arch *pmf_arch_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++)
		if (strcmp(archs[i]->name, name) == 0)
			return archs[i];
	return NULL;
}

const struct pmf_arch *pmf_arch_by_elf(uint16_t elf_machine)
{
	for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++)
		if (archs[i]->elf_machine == elf_machine)
			return archs[i];
	return NULL;
}
