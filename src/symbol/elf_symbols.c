/* Functions from ELF symbol tables. Headers come from libelf; the tables themselves are read here,
 * in pieces, so that a table is never in memory beside what is made of it. */
#include "symbol_priv.h"

#include "pmuflame/elf.h"
#include "pmuflame/file.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_SYMS = 2048 };
#define MAX_TABLE (UINT64_C(1) << 30) /* bytes: 40 million symbols */

bool pmf_elf_src_check(struct pmf_elf_src *src)
{
	GElf_Ehdr eh;

	if (!src->elf || elf_kind(src->elf) != ELF_K_ELF || !gelf_getehdr(src->elf, &eh) ||
		eh.e_ident[EI_DATA] != ELFDATA2LSB || (eh.e_type != ET_EXEC && eh.e_type != ET_DYN))
		return false;
	src->machine = eh.e_machine;
	src->elf32 = eh.e_ident[EI_CLASS] == ELFCLASS32;
	return true;
}

void pmf_elf_src_release(struct pmf_elf_src *src)
{
	if (!src->owned)
		return;
	elf_end(src->elf);
	if (src->fd >= 0)
		close(src->fd);
	free(src->mem);
}

size_t pmf_elf_src_build_id(const struct pmf_elf_src *src, uint8_t out[20])
{
	struct pmf_elf *e = pmf_elf_open(src->fd, src->mem, src->bytes);
	size_t len = e ? pmf_elf_build_id(e, out) : 0;

	pmf_elf_close(e);
	return len;
}

bool pmf_elf_src_read(const struct pmf_elf_src *src, uint64_t off, void *out, size_t len)
{
	if (off > src->bytes || len > src->bytes - off)
		return false;
	if (src->mem) {
		memcpy(out, src->mem + off, len);
		return true;
	}
	return pmf_file_pread(src->fd, off, out, len);
}

Elf_Scn *pmf_elf_src_next(const struct pmf_elf_src *src, Elf_Scn *scn, GElf_Shdr *sh)
{
	while ((scn = elf_nextscn(src->elf, scn)))
		if (gelf_getshdr(scn, sh) &&
			(sh->sh_type == SHT_NOBITS ||
				(sh->sh_offset <= src->bytes &&
					sh->sh_size <= src->bytes - sh->sh_offset)))
			return scn;
	return NULL;
}

void pmf_elf_add_code(struct pmf_symtab *t, const struct pmf_elf_src *src)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = pmf_elf_src_next(src, scn, &sh)))
		if ((sh.sh_flags & SHF_ALLOC) && (sh.sh_flags & SHF_EXECINSTR) && sh.sh_size &&
			sh.sh_size <= UINT64_MAX - sh.sh_addr)
			PMF_PUSH(t->code, t->nr_code, t->cap_code) =
				(struct pmf_sym_range){sh.sh_addr, sh.sh_addr + sh.sh_size};
}

/* The string table of section @sh, as a blob of @t. */
static int add_strings(struct pmf_symtab *t, const struct pmf_elf_src *src, const GElf_Shdr *sh)
{
	Elf_Scn *scn = elf_getscn(src->elf, sh->sh_link);
	GElf_Shdr str;
	char *bytes;

	if (!scn || !gelf_getshdr(scn, &str) || str.sh_type != SHT_STRTAB || !str.sh_size ||
		str.sh_size > MAX_TABLE || str.sh_offset > src->bytes ||
		str.sh_size > src->bytes - str.sh_offset || (str.sh_flags & SHF_COMPRESSED))
		return -1;
	bytes = pmf_malloc(str.sh_size + 1);
	if (!pmf_elf_src_read(src, str.sh_offset, bytes, str.sh_size)) {
		free(bytes);
		return -1;
	}
	bytes[str.sh_size] = '\0';
	return pmf_symtab_add_blob(t, bytes, str.sh_size);
}

/* Names that assemblers and linkers make for themselves: AAELF64 "Mapping symbols" and local
 * labels. */
static bool is_label(const char *name, unsigned type)
{
	if (name[0] == '\0' || strncmp(name, ".L", 2) == 0)
		return true;
	return type == STT_NOTYPE && name[0] == '$' && name[1] && strchr("xdat", name[1]) &&
	       (name[2] == '\0' || name[2] == '.');
}

static void add_symbol(struct pmf_symtab *t, int blob, const Elf64_Sym *s)
{
	unsigned type = ELF64_ST_TYPE(s->st_info), bind = ELF64_ST_BIND(s->st_info), base = 0;
	const char *name;

	if (s->st_shndx == SHN_UNDEF || s->st_shndx == SHN_ABS || s->st_shndx == SHN_COMMON ||
		(type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
		s->st_name >= t->blob_bytes[blob])
		return;
	name = t->blobs[blob] + s->st_name;
	if (is_label(name, type))
		return;
	if (type == STT_NOTYPE)
		base |= PMF_SYM_NO_FUNCTION;
	if (bind == STB_WEAK)
		base |= PMF_SYM_WEAK;
	else if (bind == STB_LOCAL)
		base |= PMF_SYM_LOCAL;
	PMF_PUSH(t->syms, t->n, t->cap) = (struct pmf_sym){
		.start = s->st_value,
		.size = (uint32_t)PMF_MIN(s->st_size, UINT32_MAX),
		.name = s->st_name,
		.blob = (uint8_t)blob,
		.rank = pmf_sym_rank(name, base, s->st_size),
	};
}

static void add_chunk(
	struct pmf_symtab *t, int blob, const struct pmf_elf_src *src, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const Elf32_Sym *narrow = (const Elf32_Sym *)bytes + i;

		if (!src->elf32) {
			add_symbol(t, blob, (const Elf64_Sym *)bytes + i);
			continue;
		}
		add_symbol(t, blob,
			&(Elf64_Sym){
				.st_name = narrow->st_name,
				.st_info = narrow->st_info,
				.st_shndx = narrow->st_shndx,
				.st_value = narrow->st_value,
				.st_size = narrow->st_size,
			});
	}
}

int pmf_elf_add_symbols(struct pmf_symtab *t, const struct pmf_elf_src *src, uint32_t sh_type)
{
	size_t entry = src->elf32 ? sizeof(Elf32_Sym) : sizeof(Elf64_Sym);
	Elf64_Sym chunk[CHUNK_SYMS] = {0};
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	size_t count;
	int blob;

	while ((scn = pmf_elf_src_next(src, scn, &sh)) && sh.sh_type != sh_type)
		;
	if (!scn || sh.sh_size > MAX_TABLE || (sh.sh_entsize && sh.sh_entsize != entry) ||
		(sh.sh_flags & SHF_COMPRESSED))
		return -1;
	blob = add_strings(t, src, &sh);
	count = blob < 0 ? 0 : sh.sh_size / entry;
	for (size_t i = 0, n; i < count; i += n) {
		n = PMF_MIN(count - i, (size_t)CHUNK_SYMS);
		if (!pmf_elf_src_read(src, sh.sh_offset + i * entry, chunk, n * entry))
			break;
		add_chunk(t, blob, src, chunk, n);
	}
	return blob;
}
