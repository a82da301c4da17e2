/* An agent that comes when the program has been bound to libc already is called by nobody. The slots
 * through which loaded files call the functions that it has to see are filled again, with its own.
 * (ELF gABI, "Relocation"; the psABIs of x86-64, AArch64 and RISC-V.) */
#include "agent_priv.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { SLOT_CALL = R_X86_64_JUMP_SLOT, SLOT_DATA = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { SLOT_CALL = R_AARCH64_JUMP_SLOT, SLOT_DATA = R_AARCH64_GLOB_DAT };
#elif defined(__riscv)
enum { SLOT_CALL = R_RISCV_JUMP_SLOT, SLOT_DATA = R_RISCV_64 };
#endif

struct patch {
	const struct pmf_agent_own *own;
	size_t n;
	bool failed;
};

/* What is needed of one loaded file. */
struct object {
	uintptr_t base;
	const ElfW(Sym) * symbols;
	const char *names;
	const ElfW(Rela) * tables[2];
	size_t counts[2];
	uintptr_t relro, relro_end; /* pages that are read-only since the file was bound */
};

/* riscv64 leaves addresses in the dynamic section as they are in the file. */
static uintptr_t pointer(const struct object *o, uintptr_t value)
{
	return value < o->base ? o->base + value : value;
}

static void read_dynamic(struct object *o, const ElfW(Dyn) * dyn)
{
	for (; dyn->d_tag != DT_NULL; dyn++) {
		uintptr_t value = dyn->d_un.d_val;

		switch (dyn->d_tag) {
		case DT_SYMTAB:
			o->symbols = (const ElfW(Sym) *)pointer(o, value);
			break;
		case DT_STRTAB:
			o->names = (const char *)pointer(o, value);
			break;
		case DT_RELA:
			o->tables[0] = (const ElfW(Rela) *)pointer(o, value);
			break;
		case DT_RELASZ:
			o->counts[0] = value / sizeof(ElfW(Rela));
			break;
		case DT_JMPREL:
			o->tables[1] = (const ElfW(Rela) *)pointer(o, value);
			break;
		case DT_PLTRELSZ:
			o->counts[1] = value / sizeof(ElfW(Rela));
			break;
		default:
			break;
		}
	}
}

/* Fill the slot at @at with @function. */
static bool fill(const struct object *o, uintptr_t at, void *function)
{
	uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE), page = at & ~(page_bytes - 1);
	bool locked = at >= o->relro && at < o->relro_end;

	if (locked && mprotect((void *)page, page_bytes, PROT_READ | PROT_WRITE))
		return false;
	__atomic_store_n((void **)at, function, __ATOMIC_RELEASE);
	if (locked)
		mprotect((void *)page, page_bytes, PROT_READ);
	return true;
}

static void patch_table(struct patch *p, const struct object *o, const ElfW(Rela) * rel, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const ElfW(Sym) *sym = &o->symbols[ELF64_R_SYM(rel[i].r_info)];
		uint32_t type = ELF64_R_TYPE(rel[i].r_info);
		uintptr_t at = o->base + rel[i].r_offset;

		if ((type != SLOT_CALL && type != SLOT_DATA) || sym->st_shndx != SHN_UNDEF)
			continue;
		for (size_t k = 0; k < p->n; k++)
			if (strcmp(o->names + sym->st_name, p->own[k].name) == 0 &&
				!fill(o, at, p->own[k].function))
				p->failed = true;
	}
}

/* libc calls itself without detours, and is what the agent calls. */
static bool is_libc(const char *file)
{
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;

	return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libpthread.so", 13) == 0 ||
	       strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "linux-vdso", 10) == 0 ||
	       strncmp(name, "libdl.so", 8) == 0;
}

static int patch_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct object o = {.base = info->dlpi_addr};
	const ElfW(Dyn) *dyn = NULL;
	uintptr_t page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1),
		  self = (uintptr_t)patch_object;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t start = o.base + ph->p_vaddr;

		if (ph->p_type == PT_LOAD && self >= start && self - start < ph->p_memsz)
			return 0;
		if (ph->p_type == PT_DYNAMIC)
			dyn = (const ElfW(Dyn) *)start;
		if (ph->p_type == PT_GNU_RELRO) {
			o.relro = start & page_mask;
			o.relro_end = (start + ph->p_memsz) & page_mask;
		}
	}
	if (!dyn || is_libc(info->dlpi_name))
		return 0;
	read_dynamic(&o, dyn);
	for (size_t t = 0; t < 2; t++)
		if (o.symbols && o.names && o.tables[t])
			patch_table(ctx, &o, o.tables[t], o.counts[t]);
	return 0;
}

bool pmf_agent_patch(const struct pmf_agent_own *own, size_t n)
{
	struct patch p = {own, n, false};

	dl_iterate_phdr(patch_object, &p);
	return !p.failed;
}
