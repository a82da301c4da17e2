/* The rows of the architecture table, one per file arch_NAME.c. */
#ifndef PMF_ARCH_PRIV_H
#define PMF_ARCH_PRIV_H

#include "pmuflame/arch.h"

extern const struct pmf_arch pmf_arch_arm64;
extern const struct pmf_arch pmf_arch_i386;
extern const struct pmf_arch pmf_arch_riscv64;
extern const struct pmf_arch pmf_arch_x86_64;

#endif
