/* What the files of src/symbol share with each other. */
#ifndef PMF_SYMBOL_PRIV_H
#define PMF_SYMBOL_PRIV_H

#include "pmuflame/buf.h"
#include "pmuflame/dwarf.h"
#include "pmuflame/file.h"
#include "pmuflame/symbol.h"
#include <gelf.h>
#include <pthread.h>
#include <string.h>

/* ---- symtab.c: a sorted table of functions ---- */

enum {
	PMF_SYM_MAX_BLOBS = 8,
	PMF_SYM_PLT = 0x80, /* in blob: a stub that jumps to the function of that name */
};

/* The best of several names at one address is the one with the lowest rank (pmf_sym_rank). */
enum {
	PMF_SYM_NO_FUNCTION = 0x80,
	PMF_SYM_WEAK = 0x20,
	PMF_SYM_LOCAL = 0x40,
	PMF_SYM_WORST = 0xff
};

struct pmf_sym {
	uint64_t start;
	uint32_t size;
	uint32_t name;  /* offset into the blob of names */
	uint32_t outer; /* the symbol that this one lies in, or UINT32_MAX */
	uint8_t blob;   /* index of the blob, and PMF_SYM_PLT */
	uint8_t rank;
	uint16_t module; /* string id in modules, 0 for none */
};

struct pmf_sym_range {
	uint64_t start, end;
};

struct pmf_sym_name {
	uint32_t sym;
	char *text;
};

struct pmf_symtab {
	struct pmf_sym *syms;
	size_t n, cap;
	char *blobs[PMF_SYM_MAX_BLOBS]; /* NUL-terminated string tables */
	size_t blob_bytes[PMF_SYM_MAX_BLOBS];
	size_t nr_blobs;
	struct pmf_sym_range *code; /* executable sections, sorted; symbols elsewhere are dropped */
	size_t nr_code, cap_code;
	struct pmf_strtab modules;
	struct pmf_sym_name *names; /* demangled so far */
	size_t nr_names, cap_names;
	struct pmf_index name_index;
};

void pmf_symtab_init(struct pmf_symtab *t);
void pmf_symtab_release(struct pmf_symtab *t);
/* Take over @bytes (from malloc; bytes[len] is 0). Returns the blob's number, negative if full. */
int pmf_symtab_add_blob(struct pmf_symtab *t, char *bytes, size_t len);
uint8_t pmf_sym_rank(const char *name, unsigned base, uint64_t size);
/* Sort by start, symbols of one start by rank. */
void pmf_symtab_sort(struct pmf_symtab *t);
/* Sort, choose among names of one address, give sizes to those that have none. May be called again
 * after more was added. Afterwards @t->syms has no two symbols with one start. */
void pmf_symtab_seal(struct pmf_symtab *t);
const struct pmf_sym *pmf_symtab_find(const struct pmf_symtab *t, uint64_t addr);
const char *pmf_symtab_raw_name(const struct pmf_symtab *t, const struct pmf_sym *sym);
/* Demangled, "@plt" added, the symbol version removed; lives as long as the table. */
const char *pmf_symtab_name(struct pmf_symtab *t, const struct pmf_sym *sym);

/* ---- elf_symbols.c: ELF files as bytes and headers that nobody has checked ---- */

struct pmf_elf_src {
	Elf *elf;
	int fd;
	uint8_t *mem; /* the file's bytes where there is no descriptor */
	uint64_t bytes;
	bool elf32;
	uint16_t machine;
	bool owned; /* close fd, free mem and end elf on release */
};

/* Fill in the rest once elf and bytes stand; false if symbols of such a file cannot be read. */
bool pmf_elf_src_check(struct pmf_elf_src *src);
/* The file that @fd has open, which is taken over; false if it is no ELF program or library. */
bool pmf_elf_src_take(struct pmf_elf_src *src, int fd, uint64_t bytes);
/* The file at @path, opened by @opener (pmf_file_open_by); the same. */
bool pmf_elf_src_open(struct pmf_elf_src *src, const struct pmf_opener *opener, const char *path);
void pmf_elf_src_release(struct pmf_elf_src *src);
bool pmf_elf_src_read(const struct pmf_elf_src *src, uint64_t off, void *out, size_t len);
/* Its GNU build id into @out; the length, 0 if it has none. */
size_t pmf_elf_src_build_id(const struct pmf_elf_src *src, uint8_t out[20]);
/* The next section header whose bytes lie inside the file (NOBITS passes). */
Elf_Scn *pmf_elf_src_next(const struct pmf_elf_src *src, Elf_Scn *scn, GElf_Shdr *sh);
/* Add @src's executable sections to @t's code ranges. */
void pmf_elf_add_code(struct pmf_symtab *t, const struct pmf_elf_src *src);
/* Add the functions of the first section of type @sh_type (SHT_SYMTAB, SHT_DYNSYM); returns the
 * number of the blob with its names, or negative if there is no such table. */
int pmf_elf_add_symbols(struct pmf_symtab *t, const struct pmf_elf_src *src, uint32_t sh_type);

/* ---- plt.c ---- */

/* How an architecture's linkers write stubs; rows in plt.c, one file plt_NAME.c each. */
struct pmf_plt_arch {
	uint16_t elf_machine;
	uint32_t jump_slot, glob_dat, irelative; /* relocation types */
	/* The GOT slot through which the stub in code[0..len), which stands at @addr, jumps. */
	bool (*slot)(const uint8_t *code, size_t len, uint64_t addr, uint64_t *slot);
};
extern const struct pmf_plt_arch pmf_plt_arm64;
extern const struct pmf_plt_arch pmf_plt_riscv64;
extern const struct pmf_plt_arch pmf_plt_x86_64;

/* Name the PLT stubs of @src in the sealed table @t; @dynstr is the blob of .dynsym's names or
 * negative. If true, there were some, and @t must be sealed again. */
bool pmf_plt_add(struct pmf_symtab *t, const struct pmf_elf_src *src, int dynstr);

/* ---- go_symbols.c ---- */

/* Add the functions of a Go program; false if @im is none. */
bool pmf_go_add_symbols(struct pmf_symtab *t, const struct pmf_image *im);

/* ---- debug_file.c ---- */

enum pmf_debug_need { PMF_DEBUG_SYMBOLS, PMF_DEBUG_DWARF };

/* Folders; NULL: none. */
struct pmf_debug_dirs {
	const char *symfs_root; /* "SYMFS/usr/lib/debug" of a recording */
	const char *root;       /* "/usr/lib/debug" */
	const char *cache;      /* perf's build-id cache, "~/.debug" (perf-buildid-cache(1)) */
	const struct pmf_opener *opener; /* as in pmf_file_open_by */
};

/* Whose debug file is looked for, and what it is to have. All is borrowed. */
struct pmf_debug_want {
	const struct pmf_elf_src *own; /* the image's file */
	const char *file,
		*mapped;  /* where that lies, and where it lay when it was mapped; or NULL */
	const char *root; /* the tree that it lies in (pmf_image.root), or NULL */
	const uint8_t *build_id;
	size_t build_id_len;
	enum pmf_debug_need need;
	const struct pmf_debug_dirs *dirs;
};

/* Has the file itself what is needed? */
bool pmf_elf_src_has(const struct pmf_elf_src *src, enum pmf_debug_need need);
/* The separate debug file, checked to belong to the image: by build id in the roots, by .gnu_debuglink,
 * by build id in the cache. *found (may be NULL) gets its path; free(3) it. */
bool pmf_debug_file_open(struct pmf_elf_src *src, const struct pmf_debug_want *w, char **found);
/* Does @src belong to the image, by build id or by @crc, and has it what is needed? */
bool pmf_debug_file_fits(
	const struct pmf_elf_src *src, const struct pmf_debug_want *w, const uint32_t *crc);
/* The DWARF of the file at @path that @fd has open; @root is that of the image (pmf_image.root). */
struct pmf_dwarf *pmf_debug_dwarf_open(int fd, const char *path, const char *root,
	const struct pmf_debug_dirs *dirs, struct pmf_err *err);
/* The ELF file within .gnu_debugdata of @own. */
bool pmf_debug_data_open(struct pmf_elf_src *src, const struct pmf_elf_src *own);

/* ---- debuginfod.c ---- */

struct pmf_debuginfod;

/* Called while a file is fetched; @done of @of bytes, 0 of what is not known. False ends it. */
typedef bool pmf_debuginfod_progress(void *ctx, uint64_t done, uint64_t of);

/* NULL if DEBUGINFOD_URLS names no server. */
struct pmf_debuginfod *pmf_debuginfod_new(pmf_debuginfod_progress *progress, void *ctx);
void pmf_debuginfod_free(struct pmf_debuginfod *d);
/* The file with the debug info of @build_id, a descriptor to close and *path to free(3); -1 if it cannot
 * be had. */
int pmf_debuginfod_fetch(
	struct pmf_debuginfod *d, const uint8_t *build_id, size_t len, char **path);
/* Why a file could not be had that a server may have; "" if there was no such. */
const char *pmf_debuginfod_why(const struct pmf_debuginfod *d);

/* ---- kallsyms.c ---- */

/* Fill @t (initialized) from @path (proc(5), /proc/kallsyms) and seal it. *ref_va gets the address of
 * the symbol @ref, if it is there; both may be NULL. */
int pmf_kallsyms_read(struct pmf_symtab *t, const char *path, const char *ref, uint64_t *ref_va,
	struct pmf_err *err);

/* ---- kernel.c: the kernel's table, this machine's or a recording's ---- */

struct pmf_kernel_symbols {
	struct pmf_symtab tab;
	bool read;
	struct pmf_err why;                       /* status PMF_OK if it was read */
	const struct pmf_symbol_kernel *recorded; /* NULL: this machine's */
	const struct pmf_image_search *search;
	uint64_t slide;     /* what recorded addresses of the kernel itself are higher by */
	bool *module_stays; /* per recorded module: the table has it at the same place */
	pthread_t thread; /* that reads ahead, where @ahead says so: tab and why are its own then */
	bool ahead;
	struct pmf_buf modules; /* that were loaded when it began */
};

void pmf_kernel_symbols_release(struct pmf_kernel_symbols *k);
/* Begin to read this machine's table in a thread. */
void pmf_kernel_symbols_read_ahead(struct pmf_kernel_symbols *k);
/* Read the table, once, or wait for who does. */
void pmf_kernel_symbols_read(struct pmf_kernel_symbols *k);
/* The function at @va, or NULL. */
const struct pmf_sym *pmf_kernel_symbols_find(struct pmf_kernel_symbols *k, uint64_t va);

/* ---- symbol.c ---- */

/* Look for debug files there instead; borrowed. */
void pmf_symbolizer_set_dirs(struct pmf_symbolizer *s, const struct pmf_debug_dirs *dirs);

/* Look for debug files below @root instead of /usr/lib/debug; borrowed. For tests. */
void pmf_symbolizer_set_debug_root(struct pmf_symbolizer *s, const char *root);

/* The instruction at @at, where all have four bytes. */
static inline uint32_t pmf_plt_insn(const uint8_t *code, size_t at)
{
	uint32_t n;

	memcpy(&n, code + at, sizeof n);
	return n;
}

#endif
