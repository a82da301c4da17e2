/* PLT stubs of x86-64 linkers (System V ABI, AMD64 supplement, "Procedure Linkage Table"): GNU ld
 * and gold, with and without IBT or MPX prefixes, lld and mold all end in jmp *slot(%rip). */
#include "symbol_priv.h"

#include <string.h>

/* Skip @prefix if the code goes on with it. */
static size_t skip(const uint8_t *code, size_t len, size_t at, const char *prefix,
	size_t prefix_len, size_t whole)
{
	return len - at >= whole && memcmp(code + at, prefix, prefix_len) == 0 ? at + whole : at;
}

static bool slot(const uint8_t *code, size_t len, uint64_t addr, uint64_t *out)
{
	size_t at = 0;
	int32_t rel;

	at = skip(code, len, at, "\xf3\x0f\x1e\xfa", 4, 4);           /* endbr64 */
	at = skip(code, len, at, "\x41\xbb", 2, 6);                   /* mold: mov $index, %r11d */
	at = skip(code, len, at, "\xf2", 1, 1);                       /* bnd */
	if (len - at < 6 || code[at] != 0xff || code[at + 1] != 0x25) /* jmp *rel(%rip) */
		return false;
	memcpy(&rel, code + at + 2, sizeof rel);
	*out = addr + at + 6 + (uint64_t)(int64_t)rel;
	return true;
}

const struct pmf_plt_arch pmf_plt_x86_64 = {
	.elf_machine = EM_X86_64,
	.jump_slot = R_X86_64_JUMP_SLOT,
	.glob_dat = R_X86_64_GLOB_DAT,
	.irelative = R_X86_64_IRELATIVE,
	.slot = slot,
};
