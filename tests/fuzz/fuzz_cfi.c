/* Call frame information and a stack of anybody's making: a walk must end soon, read nothing outside
 * and forget all. The input: how to read it, how long the stack is, the stack, the section. */
#include "pmuflame/mem.h"
#include "unwind_priv.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 4, SECTION_RVA = 0x100000, CODE_BYTES = 0x10000, MAX_FRAMES = 200 };
#define BIAS UINT64_C(0x7f0000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const struct pmf_arch *arch;
	bool debug_frame, whole;
	const uint8_t *stack, *section;
	size_t stack_bytes, section_bytes;
};

static bool take_input(const uint8_t *data, size_t size, struct input *in)
{
	static const char *const archs[] = {"x86_64", "aarch64", "riscv64", "i686"};
	size_t stack_bytes;

	if (size < HEAD_BYTES)
		return false;
	stack_bytes = (data[2] | (size_t)data[3] << 8) & 0xfff8;
	if (stack_bytes > size - HEAD_BYTES)
		return false;
	in->arch = pmf_arch_by_name(archs[data[0] % PMF_ARRAY_SIZE(archs)]);
	in->debug_frame = data[1] & 1;
	in->whole = data[1] & 2;
	in->stack = data + HEAD_BYTES;
	in->stack_bytes = stack_bytes;
	in->section = in->stack + stack_bytes;
	in->section_bytes = size - HEAD_BYTES - stack_bytes;
	return true;
}

static void read_cfi(struct pmf_cfi *cfi, const struct input *in)
{
	struct pmf_cfi_section *s = in->debug_frame ? &cfi->debug : &cfi->eh;

	cfi->dwarf_ra = in->arch->dwarf_ra;
	cfi->rules = pmf_zalloc(sizeof *cfi->rules);
	s->rva = SECTION_RVA;
	s->word_bytes = in->arch->word_bytes;
	s->data = in->section;
	s->size = in->section_bytes;
	if (in->debug_frame) {
		cfi->converted = pmf_cfi_convert_debug_frame(
			in->section, in->section_bytes, in->arch, s->rva, &s->size);
		s->data = cfi->converted;
	}
	if (s->data)
		pmf_cfi_build_table(s, cfi->dwarf_ra);
}

static void free_cfi(struct pmf_cfi *cfi)
{
	pmf_image_rules_release(cfi->rules);
	free(cfi->rules);
	free(cfi->eh.table);
	free(cfi->debug.table);
	free(cfi->converted);
}

/* Every register is the word of the stack at its number; pc and sp are where something is. */
static void set_regs(struct pmf_unwind_in *u, const struct input *in)
{
	const struct pmf_arch *arch = in->arch;

	for (size_t i = 0; i < PMF_ARCH_MAX_REGS && (i + 1) * 8 <= in->stack_bytes; i++)
		memcpy(&u->regs[i], in->stack + i * 8, 8);
	u->regs[arch->reg_ip] = BIAS + u->regs[arch->reg_ip] % CODE_BYTES;
	u->regs[arch->reg_sp] &= ~UINT64_C(7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pmf_unwind_frame frames[MAX_FRAMES];
	struct pmf_cfi cfi = {0};
	struct pmf_image im = {.kind = PMF_IMAGE_FILE, .fd = -1, .unwind_priv = &cfi};
	struct pmf_map map = {.start = BIAS, .end = BIAS + CODE_BYTES, .image = &im, .bias = BIAS};
	struct pmf_process p = {.maps = &map, .nr_maps = 1};
	struct pmf_unwind_out out = {.frames = frames, .cap = MAX_FRAMES};
	struct pmf_unwind_in u = {.process = &p};
	struct pmf_unwinder *unwinder;
	struct input in;

	if (!take_input(data, size, &in))
		return 0;
	read_cfi(&cfi, &in);
	u.arch = in.arch;
	u.stack = in.stack;
	u.stack_bytes = in.stack_bytes;
	u.stack_asked = in.stack_bytes + (in.whole ? 8 : 0);
	set_regs(&u, &in);
	unwinder = pmf_unwinder_with(&pmf_unwind_cfi, in.whole, in.arch);
	for (int pass = 0; pass < 2; pass++) {
		pmf_unwind(unwinder, &u, &out);
		if (out.n == 0 || out.n > MAX_FRAMES)
			abort();
	}
	pmf_unwinder_free(unwinder);
	pmf_unwind_forget(&p);
	free_cfi(&cfi);
	return 0;
}
