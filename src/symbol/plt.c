/* Names for PLT stubs: decode the GOT slot that a stub jumps through, find the relocation that
 * fills that slot. Counting stubs instead would depend on each linker's layout. */
#include "symbol_priv.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_RELAS = 1024, STUB_ALIGN = 8 };
#define MAX_BYTES (UINT64_C(512) << 20) /* of relocations and stubs */

/* A GOT slot and who it will point to. */
struct fill {
	uint64_t slot;
	uint64_t resolver; /* of an IFUNC without a symbol, else 0 */
	uint32_t sym;      /* index in .dynsym */
};

struct fills {
	struct fill *items;
	size_t n, cap;
};

static const struct pmf_plt_arch *const archs[] = {
	&pmf_plt_arm64,
	&pmf_plt_riscv64,
	&pmf_plt_x86_64,
};

static int by_slot(const void *a, const void *b)
{
	const struct fill *x = a, *y = b;

	return (x->slot > y->slot) - (x->slot < y->slot);
}

static void add_fills(struct fills *f, const struct pmf_elf_src *src, const GElf_Shdr *sh,
	const struct pmf_plt_arch *arch)
{
	Elf64_Rela chunk[CHUNK_RELAS];
	size_t count = sh->sh_size / sizeof *chunk;

	for (size_t i = 0, n; i < count; i += n) {
		n = PMF_MIN(count - i, (size_t)CHUNK_RELAS);
		if (!pmf_elf_src_read(
			    src, sh->sh_offset + i * sizeof *chunk, chunk, n * sizeof *chunk))
			return;
		for (size_t k = 0; k < n; k++) {
			uint32_t type = (uint32_t)ELF64_R_TYPE(chunk[k].r_info);

			if (type != arch->jump_slot && type != arch->glob_dat &&
				type != arch->irelative)
				continue;
			PMF_PUSH(f->items, f->n, f->cap) = (struct fill){
				.slot = chunk[k].r_offset,
				.resolver =
					type == arch->irelative ? (uint64_t)chunk[k].r_addend : 0,
				.sym = (uint32_t)ELF64_R_SYM(chunk[k].r_info),
			};
		}
	}
}

/* Where the name of what @fill points to stands; false if it has none. */
static bool fill_name(const struct pmf_symtab *t, const struct pmf_elf_src *src,
	const GElf_Shdr *dynsym, int dynstr, const struct fill *fill, struct pmf_sym *out)
{
	Elf64_Sym s;

	if (fill->resolver) {
		const struct pmf_sym *to = pmf_symtab_find(t, fill->resolver);

		if (!to || to->start != fill->resolver)
			return false;
		out->blob = to->blob | PMF_SYM_PLT;
		out->name = to->name;
		return true;
	}
	if (dynstr < 0 || !fill->sym || fill->sym >= dynsym->sh_size / sizeof s ||
		!pmf_elf_src_read(
			src, dynsym->sh_offset + (uint64_t)fill->sym * sizeof s, &s, sizeof s) ||
		s.st_name >= t->blob_bytes[dynstr] || !t->blobs[dynstr][s.st_name])
		return false;
	out->blob = (uint8_t)dynstr | PMF_SYM_PLT;
	out->name = s.st_name;
	return true;
}

/* The stubs found, kept apart: the table must stay sorted while resolvers are looked up in it. */
struct stubs {
	struct pmf_sym *items;
	size_t n, cap;
};

static void add_stubs(struct stubs *stubs, const struct pmf_symtab *t,
	const struct pmf_elf_src *src, const GElf_Shdr *sh, const GElf_Shdr *dynsym, int dynstr,
	const struct fills *f, const struct pmf_plt_arch *arch)
{
	uint8_t *code = pmf_malloc(sh->sh_size);

	if (!pmf_elf_src_read(src, sh->sh_offset, code, sh->sh_size)) {
		free(code);
		return;
	}
	/* Stubs have 8, 16 or 24 bytes, which sh_entsize does not always tell. Code that is no stub's
	 * start does not lead to a slot that is filled. Each reaches to the next. */
	for (uint64_t at = 0; at < sh->sh_size; at += STUB_ALIGN) {
		struct pmf_sym sym = {.start = sh->sh_addr + at, .rank = PMF_SYM_WORST};
		struct fill key = {0}, *fill = NULL;

		if (arch->slot(code + at, sh->sh_size - at, sym.start, &key.slot))
			fill = bsearch(&key, f->items, f->n, sizeof *f->items, by_slot);
		if (fill && fill_name(t, src, dynsym, dynstr, fill, &sym))
			PMF_PUSH(stubs->items, stubs->n, stubs->cap) = sym;
	}
	free(code);
}

/* What lazy stubs jump to first, and with them where .plt.sec has the rest of each: one name for all, as
 * perf has it. */
static void add_head(struct stubs *stubs, struct pmf_symtab *t, const GElf_Shdr *sh, size_t before)
{
	static const char name[] = ".plt";
	struct pmf_sym sym = {.start = sh->sh_addr, .rank = PMF_SYM_WORST};
	int blob;

	if (stubs->n > before && stubs->items[before].start == sh->sh_addr)
		return;
	blob = pmf_symtab_add_blob(t, pmf_strdup(name), strlen(name));
	if (blob < 0)
		return;
	sym.blob = (uint8_t)blob;
	PMF_PUSH(stubs->items, stubs->n, stubs->cap) = sym;
}

static const struct pmf_plt_arch *find_arch(uint16_t elf_machine)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(archs); i++)
		if (archs[i]->elf_machine == elf_machine)
			return archs[i];
	return NULL;
}

/* Sections that claim the same bytes again and again must not cost more than the file is long. */
static bool spend(uint64_t *budget, const GElf_Shdr *sh)
{
	if (sh->sh_size > *budget)
		return false;
	*budget -= sh->sh_size;
	return true;
}

bool pmf_plt_add(struct pmf_symtab *t, const struct pmf_elf_src *src, int dynstr)
{
	const struct pmf_plt_arch *arch = find_arch(src->machine);
	uint64_t budget = PMF_MIN(src->bytes, MAX_BYTES);
	struct stubs stubs = {0};
	struct fills f = {0};
	GElf_Shdr sh, dynsym = {0};
	Elf_Scn *scn = NULL;
	size_t names;

	if (!arch || src->elf32 || elf_getshdrstrndx(src->elf, &names) < 0)
		return false;
	while ((scn = pmf_elf_src_next(src, scn, &sh))) {
		if (sh.sh_type == SHT_RELA && (sh.sh_flags & SHF_ALLOC) && spend(&budget, &sh))
			add_fills(&f, src, &sh, arch);
		else if (sh.sh_type == SHT_DYNSYM)
			dynsym = sh;
	}
	if (f.n)
		qsort(f.items, f.n, sizeof *f.items, by_slot);
	while (f.n && (scn = pmf_elf_src_next(src, scn, &sh))) {
		const char *name = elf_strptr(src->elf, names, sh.sh_name);

		/* .plt, .plt.sec, .plt.got, .plt.bnd, .iplt */
		if (name && (strncmp(name, ".plt", 4) == 0 || strcmp(name, ".iplt") == 0) &&
			sh.sh_type == SHT_PROGBITS && (sh.sh_flags & SHF_EXECINSTR) &&
			spend(&budget, &sh)) {
			size_t before = stubs.n;

			add_stubs(&stubs, t, src, &sh, &dynsym, dynstr, &f, arch);
			if (strcmp(name, ".plt") == 0)
				add_head(&stubs, t, &sh, before);
		}
	}
	for (size_t i = 0; i < stubs.n; i++)
		PMF_PUSH(t->syms, t->n, t->cap) = stubs.items[i];
	free(stubs.items);
	free(f.items);
	return stubs.n > 0;
}
