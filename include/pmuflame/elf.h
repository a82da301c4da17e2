/* pmuflame/elf.h - what identity and unwinding need of an ELF file: its headers, and bytes of sections.
 * Layer: process (uses base). Threads: one owner.
 *
 * Everything is read with pread(2) and bounds of its own, for this part reads files of strangers with all rights
 * of the program; symbols and debug info are for <pmuflame/symbol.h>. Little-endian files only. elf(5). */
#ifndef PMUFLAME_ELF_H
#define PMUFLAME_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_elf_segment {
	uint32_t type, flags;
	uint64_t off, va, filesz, memsz, align;
};

struct pmf_elf_section {
	const char *name; /* "" if it has none that makes sense */
	uint32_t type;
	uint64_t flags, addr, off, size, align;
	uint8_t *bytes; /* once they were asked for */
	size_t nr_bytes;
	bool tried;
};

struct pmf_elf {
	int fd;
	const uint8_t *mem; /* instead of a descriptor */
	uint64_t bytes;
	uint16_t type, machine;
	bool elf32;
	uint64_t entry;
	struct pmf_elf_segment *segments;
	size_t nr_segments;
	struct pmf_elf_section *sections;
	size_t nr_sections;
	char *names;
	uint64_t held, room; /* bytes of sections: in memory, and that may be read of the file */
	bool left_out;       /* a section was too much */
};

/* What sections may take in memory: of one file, and of all that are open. */
#define PMF_ELF_HELD_MAX (UINT64_C(256) << 20)
#define PMF_ELF_ALL_HELD_MAX (UINT64_C(1) << 30)

/* The headers of a file of @bytes bytes, in memory at @mem, or, if that is NULL, open as @fd; both are borrowed.
 * NULL if it is no little-endian ELF file. Program and section headers that lie outside of it are left out. */
struct pmf_elf *pmf_elf_open(int fd, const uint8_t *mem, uint64_t bytes);
void pmf_elf_close(struct pmf_elf *e);

/* The section called @name, NULL if there is none. */
struct pmf_elf_section *pmf_elf_find(const struct pmf_elf *e, const char *name);
/* Its bytes as they stand in the file, for as long as @e lives; NULL if they are not there, or too many. */
const uint8_t *pmf_elf_section_bytes(struct pmf_elf *e, struct pmf_elf_section *s);
/* Holes are cheap to make: read no more than goes into @blocks of 512 bytes, as stat(2) counts them, on a file
 * system that compresses. */
void pmf_elf_limit(struct pmf_elf *e, uint64_t blocks);
/* Count @bytes more as held until @e is closed; false, and left_out, if that is too much. */
bool pmf_elf_hold(struct pmf_elf *e, uint64_t bytes);
/* The GNU build id into @out; its length, 0 if there is none. */
size_t pmf_elf_build_id(const struct pmf_elf *e, uint8_t out[20]);

#endif
