/* pmuflame/dwarf.h - source lines and inlined calls at an address, by an image's DWARF 2 to 5.
 * Layer: symbol (uses base). Threads: one owner per struct pmf_dwarf, any number of those.
 *
 * Debug information is hostile input: whatever a file says costs bounded time and memory, and at worst
 * places are not known. docs/debug-info.md says what is read, and where answers differ from
 * eu-addr2line's and llvm-symbolizer's. */
#ifndef PMUFLAME_DWARF_H
#define PMUFLAME_DWARF_H

#include "pmuflame/err.h"
#include "pmuflame/file.h"
#include <stddef.h>
#include <stdint.h>

/* One place in the source, in a function that may be inlined. Strings live as long as the struct
 * pmf_dwarf, and are what the file says: any bytes but NUL. */
struct pmf_line {
	const char *function;  /* demangled linkage name, else the name; NULL: not known */
	const char *decl_file; /* where the function is declared: who it is; NULL, 0: not known */
	uint32_t decl_line;
	const char *file; /* where in it the address stands: for a frame with an inlined callee the
			     call's place; NULL, 0: not known */
	uint32_t line;
};

/* One image's debug info. */
struct pmf_dwarf;

struct pmf_dwarf_opts {
	int fd;           /* of the file with .debug_info: the image or its debug file; borrowed */
	const char *path; /* where that lies: .dwo, .dwp and dwz's file are looked for from here */
	const char *debug_root; /* "/usr/lib/debug": dwz's file by build id; NULL: nowhere */
	const struct pmf_opener *opener; /* of those files, as in pmf_file_open_by; not copied */
};

/* NULL with @err: there is no DWARF (PMF_ENOTFOUND), or the file is none to be read (PMF_EFORMAT,
 * PMF_EUNSUP). All that is needed is read now: nothing of @opts is used afterwards,
 * but the opener, for units that stand in other files. */
struct pmf_dwarf *pmf_dwarf_open(const struct pmf_dwarf_opts *opts, struct pmf_err *err);
void pmf_dwarf_close(struct pmf_dwarf *d);
/* About how much memory it takes by now. */
uint64_t pmf_dwarf_bytes(const struct pmf_dwarf *d);

/* The places of @rva (an address in the image), outermost function first: each but the last is where
 * the next was inlined. At most @max: of more, the outermost. 0: nothing known. */
size_t pmf_dwarf_find(struct pmf_dwarf *d, uint64_t rva, struct pmf_line *out, size_t max);

#endif
