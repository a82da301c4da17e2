#include "pmuflame/elf.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <elf.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	SEGMENTS_MAX = 4096, /* ld.so itself has no use for more */
	SECTIONS_MAX = 1 << 16,
	NAMES_MAX = 8 << 20, /* bytes */
	NOTES_MAX = 64 * 1024,
	NOTES_TRIED_MAX = 256, /* segments and sections of them, of which programs have three */
	NOTE_HEAD = 12,
};
enum {
	BLOCK = 512,
	COMPRESSED = 4,     /* times as long as its blocks may a file be on btrfs or ZFS; */
	ROOM_MIN = 1 << 20, /* and some file systems count no blocks at all */
};

/* By sections of all files that are open, in whatever thread. */
static _Atomic(uint64_t) all_held;

static bool read_at(const struct pmf_elf *e, uint64_t off, void *out, size_t len)
{
	if (off > e->bytes || len > e->bytes - off)
		return false;
	if (e->mem) {
		memcpy(out, e->mem + off, len);
		return true;
	}
	return pmf_file_pread(e->fd, off, out, len);
}

/* @n entries of @size bytes each, which the file has with @entry bytes; NULL if they are not there. */
static uint8_t *read_entries(
	const struct pmf_elf *e, uint64_t off, size_t n, size_t entry, size_t size)
{
	uint8_t *bytes;

	if (!n || entry != size)
		return NULL;
	bytes = pmf_calloc(n, size);
	if (read_at(e, off, bytes, n * size))
		return bytes;
	free(bytes);
	return NULL;
}

/* ---- Headers: the 64-bit ones, made of 32-bit ones where the file has those ---- */

static bool read_ehdr(struct pmf_elf *e, Elf64_Ehdr *eh)
{
	unsigned char ident[EI_NIDENT];
	Elf32_Ehdr narrow;

	if (!read_at(e, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG) != 0 ||
		ident[EI_DATA] != ELFDATA2LSB || ident[EI_VERSION] != EV_CURRENT)
		return false;
	e->elf32 = ident[EI_CLASS] == ELFCLASS32;
	if (!e->elf32)
		return ident[EI_CLASS] == ELFCLASS64 && read_at(e, 0, eh, sizeof *eh);
	if (!read_at(e, 0, &narrow, sizeof narrow))
		return false;
	*eh = (Elf64_Ehdr){.e_type = narrow.e_type,
		.e_machine = narrow.e_machine,
		.e_entry = narrow.e_entry,
		.e_phoff = narrow.e_phoff,
		.e_shoff = narrow.e_shoff,
		.e_phentsize = narrow.e_phentsize,
		.e_phnum = narrow.e_phnum,
		.e_shentsize = narrow.e_shentsize,
		.e_shnum = narrow.e_shnum,
		.e_shstrndx = narrow.e_shstrndx};
	return true;
}

static Elf64_Shdr take_shdr(const struct pmf_elf *e, const uint8_t *bytes, size_t i)
{
	Elf64_Shdr wide;
	Elf32_Shdr sh;

	if (!e->elf32) {
		memcpy(&wide, bytes + i * sizeof wide, sizeof wide);
		return wide;
	}
	memcpy(&sh, bytes + i * sizeof sh, sizeof sh);
	return (Elf64_Shdr){.sh_name = sh.sh_name,
		.sh_type = sh.sh_type,
		.sh_flags = sh.sh_flags,
		.sh_addr = sh.sh_addr,
		.sh_offset = sh.sh_offset,
		.sh_size = sh.sh_size,
		.sh_link = sh.sh_link,
		.sh_info = sh.sh_info,
		.sh_addralign = sh.sh_addralign};
}

static struct pmf_elf_segment take_phdr(const struct pmf_elf *e, const uint8_t *bytes, size_t i)
{
	Elf64_Phdr ph;
	Elf32_Phdr narrow;

	if (!e->elf32) {
		memcpy(&ph, bytes + i * sizeof ph, sizeof ph);
		return (struct pmf_elf_segment){ph.p_type, ph.p_flags, ph.p_offset, ph.p_vaddr,
			ph.p_filesz, ph.p_memsz, ph.p_align};
	}
	memcpy(&narrow, bytes + i * sizeof narrow, sizeof narrow);
	return (struct pmf_elf_segment){narrow.p_type, narrow.p_flags, narrow.p_offset,
		narrow.p_vaddr, narrow.p_filesz, narrow.p_memsz, narrow.p_align};
}

static size_t shdr_bytes(const struct pmf_elf *e)
{
	return e->elf32 ? sizeof(Elf32_Shdr) : sizeof(Elf64_Shdr);
}

static void read_segments(struct pmf_elf *e, const Elf64_Ehdr *eh, size_t n)
{
	size_t entry = e->elf32 ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr);
	uint8_t *bytes;

	n = PMF_MIN(n, (size_t)SEGMENTS_MAX);
	bytes = read_entries(e, eh->e_phoff, n, eh->e_phentsize, entry);
	if (!bytes)
		return;
	e->segments = pmf_calloc(n, sizeof *e->segments);
	e->nr_segments = n;
	for (size_t i = 0; i < n; i++)
		e->segments[i] = take_phdr(e, bytes, i);
	free(bytes);
}

/* Names end with the section that they stand in. */
static void read_names(struct pmf_elf *e, const Elf64_Shdr *sh)
{
	if (sh->sh_type != SHT_STRTAB || sh->sh_size > NAMES_MAX)
		return;
	e->names = pmf_malloc(sh->sh_size + 1);
	e->names[sh->sh_size] = '\0';
	if (read_at(e, sh->sh_offset, e->names, sh->sh_size))
		return;
	free(e->names);
	e->names = NULL;
}

static void read_sections(struct pmf_elf *e, const Elf64_Ehdr *eh, size_t n, size_t names)
{
	uint8_t *bytes;
	Elf64_Shdr sh = {0};

	if (n > SECTIONS_MAX)
		return;
	bytes = read_entries(e, eh->e_shoff, n, eh->e_shentsize, shdr_bytes(e));
	if (!bytes)
		return;
	if (names < n)
		sh = take_shdr(e, bytes, names);
	read_names(e, &sh);
	e->sections = pmf_calloc(n, sizeof *e->sections);
	e->nr_sections = n;
	for (size_t i = 0; i < n; i++) {
		struct pmf_elf_section *s = &e->sections[i];
		uint64_t room = e->names ? sh.sh_size : 0;
		Elf64_Shdr own = take_shdr(e, bytes, i);

		*s = (struct pmf_elf_section){
			.name = own.sh_name < room ? e->names + own.sh_name : "",
			.type = own.sh_type,
			.flags = own.sh_flags,
			.addr = own.sh_addr,
			.off = own.sh_offset,
			.size = own.sh_size,
			.align = own.sh_addralign};
	}
	free(bytes);
}

struct pmf_elf *pmf_elf_open(int fd, const uint8_t *mem, uint64_t bytes)
{
	struct pmf_elf *e = pmf_zalloc(sizeof *e);
	uint8_t *first;
	Elf64_Shdr zero = {0};
	Elf64_Ehdr eh;

	e->fd = fd;
	e->mem = mem;
	e->bytes = bytes;
	e->room = PMF_ELF_HELD_MAX;
	if (!read_ehdr(e, &eh)) {
		free(e);
		return NULL;
	}
	e->type = eh.e_type;
	e->machine = eh.e_machine;
	e->entry = eh.e_entry;
	/* Numbers that the header has no room for stand in the first section's. */
	first = eh.e_shoff ? read_entries(e, eh.e_shoff, 1, eh.e_shentsize, shdr_bytes(e)) : NULL;
	if (first)
		zero = take_shdr(e, first, 0);
	free(first);
	read_segments(e, &eh, eh.e_phnum == PN_XNUM ? zero.sh_info : eh.e_phnum);
	read_sections(e, &eh, eh.e_shnum ? eh.e_shnum : (size_t)zero.sh_size,
		eh.e_shstrndx == SHN_XINDEX ? zero.sh_link : eh.e_shstrndx);
	return e;
}

void pmf_elf_close(struct pmf_elf *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->nr_sections; i++)
		free(e->sections[i].bytes);
	atomic_fetch_sub(&all_held, e->held);
	free(e->sections);
	free(e->segments);
	free(e->names);
	free(e);
}

/* ---- What is in it ---- */

struct pmf_elf_section *pmf_elf_find(const struct pmf_elf *e, const char *name)
{
	for (size_t i = 0; i < e->nr_sections; i++)
		if (strcmp(e->sections[i].name, name) == 0)
			return &e->sections[i];
	return NULL;
}

void pmf_elf_limit(struct pmf_elf *e, uint64_t blocks)
{
	uint64_t most = PMF_MIN(blocks, PMF_ELF_HELD_MAX / BLOCK) * BLOCK * COMPRESSED;

	e->room = PMF_MIN(e->room, PMF_MAX(most, (uint64_t)ROOM_MIN));
}

bool pmf_elf_hold(struct pmf_elf *e, uint64_t bytes)
{
	bool fits = bytes <= PMF_ELF_HELD_MAX - e->held;

	if (fits && atomic_fetch_add(&all_held, bytes) + bytes > PMF_ELF_ALL_HELD_MAX) {
		atomic_fetch_sub(&all_held, bytes);
		fits = false;
	}
	if (fits)
		e->held += bytes;
	else
		e->left_out = true;
	return fits;
}

const uint8_t *pmf_elf_section_bytes(struct pmf_elf *e, struct pmf_elf_section *s)
{
	if (s->tried || s->type == SHT_NOBITS || !s->size || s->off > e->bytes ||
		s->size > e->bytes - s->off)
		return s->bytes;
	s->tried = true;
	if (s->size > e->room) {
		e->left_out = true;
		return NULL;
	}
	if (!pmf_elf_hold(e, s->size))
		return NULL;
	e->room -= s->size;
	s->bytes = pmf_malloc(s->size);
	s->nr_bytes = s->size;
	if (!read_at(e, s->off, s->bytes, s->size)) {
		free(s->bytes);
		s->bytes = NULL;
	}
	return s->bytes;
}

static size_t padded(size_t n, uint64_t align)
{
	return align == 8 ? (n + 7) & ~(size_t)7 : (n + 3) & ~(size_t)3;
}

static size_t id_in_notes(
	const struct pmf_elf *e, uint64_t off, uint64_t size, uint64_t align, uint8_t out[20])
{
	uint8_t *notes = size > NOTES_MAX ? NULL : pmf_malloc(size);
	size_t at = 0, len = 0;

	if (!notes || !read_at(e, off, notes, size))
		size = 0;
	while (!len && size - at >= NOTE_HEAD) {
		uint32_t head[3]; /* of the name, of what it says: bytes; the type */
		size_t desc;

		memcpy(head, notes + at, sizeof head);
		at += NOTE_HEAD;
		if (head[0] > size - at || head[1] > size - at)
			break;
		desc = at + padded(head[0], align);
		if (desc > size || head[1] > size - desc)
			break;
		if (head[2] == NT_GNU_BUILD_ID && head[0] == 4 && head[1] > 0 && head[1] <= 20 &&
			memcmp(notes + at, "GNU", 4) == 0) {
			memcpy(out, notes + desc, head[1]);
			len = head[1];
		}
		at = PMF_MIN(desc + padded(head[1], align), (size_t)size);
	}
	free(notes);
	return len;
}

size_t pmf_elf_build_id(const struct pmf_elf *e, uint8_t out[20])
{
	size_t len = 0, tried = 0;

	for (size_t i = 0; i < e->nr_segments && !len; i++) {
		const struct pmf_elf_segment *s = &e->segments[i];

		if (s->type == PT_NOTE && tried++ < NOTES_TRIED_MAX)
			len = id_in_notes(e, s->off, s->filesz, s->align, out);
	}
	/* Separate debug files keep the section, but may have no such segment. */
	for (size_t i = 0; i < e->nr_sections && !len; i++) {
		const struct pmf_elf_section *s = &e->sections[i];

		if (s->type == SHT_NOTE && tried++ < NOTES_TRIED_MAX)
			len = id_in_notes(e, s->off, s->size, s->align, out);
	}
	return len;
}
