/* pmuflame/symbol.h - turn (image, address in the image) into function names.
 * Layer: symbol (uses base, process). Threads: one owner.
 *
 * A file's names come from .symtab; if it has none, from a separate debug file, found by build id
 * (/usr/lib/debug/.build-id/xx/yyyy.debug, and in perf's cache) or .gnu_debuglink (GDB manual,
 * "Separate Debug Files", with the CRC checked); if there is none either, from the table of a Go
 * program (go_table.h) or .gnu_debugdata (MiniDebugInfo, xz); always also from .dynsym. PLT stubs
 * are named "NAME@plt". A symbol without a size reaches to the next
 * one. The kernel's names come from /proc/kallsyms, a recorded kernel's from wherever its build id is
 * known. */
#ifndef PMUFLAME_SYMBOL_H
#define PMUFLAME_SYMBOL_H

#include "pmuflame/err.h"
#include "pmuflame/hash.h"
#include "pmuflame/process.h"
#include "pmuflame/sandbox.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pmf_symbolizer;

struct pmf_symbol {
	const char *name;     /* demangled; lives as long as the symbolizer */
	const char *module;   /* for kernel modules "[ext4]", else NULL: the image's own name */
	uint64_t start, size; /* address in the image */
};

struct pmf_symbolizer *pmf_symbolizer_new(void);
/* From now on have images read by processes of @sandbox, whose work is pmf_reader_serve. Only the kernel's
 * tables are still read here. Before the first question. */
void pmf_symbolizer_use_sandbox(struct pmf_symbolizer *s, struct pmf_sandbox *sandbox);
void pmf_symbolizer_free(struct pmf_symbolizer *s);

/* Read this machine's kernel's functions now, in a thread, until the first question about them: that takes
 * some 30 ms, which nobody then waits for at the end of a run. No thread is left once
 * pmf_symbol_kernel_status was asked, so that fork(2) is safe. */
void pmf_symbolizer_read_ahead(struct pmf_symbolizer *s);
/* The same where nobody wants to know: wait for the thread, if there is one. */
void pmf_symbolizer_end_ahead(struct pmf_symbolizer *s);

/* The function at @rva of @im. False if none is known (out is then untouched). Tables are read at
 * the first question about an image and kept. */
bool pmf_symbol_find(
	struct pmf_symbolizer *s, const struct pmf_image *im, uint64_t rva, struct pmf_symbol *out);

/* In a sandbox each question costs a round trip: ask many of @im before they are needed. */
void pmf_symbolizer_ask(
	struct pmf_symbolizer *s, const struct pmf_image *im, const uint64_t *rvas, size_t n);
/* @symbolizer, in a sandbox, as struct pmf_image_unpacker has it. */
bool pmf_symbolizer_unpack(void *symbolizer, const struct pmf_image *im, const char *name,
	uint8_t **out, size_t *size);
bool pmf_symbolizer_wants_batches(const struct pmf_symbolizer *s);
/* Why @im has no functions, if that is because the process that read it came to its end; else "". */
const char *pmf_symbolizer_why(const struct pmf_symbolizer *s, const struct pmf_image *im);

/* @fd has a debug file of @im open that nobody would find (a server's, <pmuflame/lines.h>): take @im's
 * functions from there if there is no other .symtab. @fd is borrowed for this call. Names that were given
 * for @im are void. */
void pmf_symbolizer_add_file(struct pmf_symbolizer *s, const struct pmf_image *im, int fd);

/* Forget what was read of @im: it is about to be closed. Names that were given for it are void. */
void pmf_symbolizer_forget(struct pmf_symbolizer *s, const struct pmf_image *im);

/* ---- A recording ---- */

/* What a recording tells of its kernel; it may run here, or not any more. */
struct pmf_symbol_kernel {
	uint8_t build_id[20];
	size_t build_id_len; /* 0: not told */
	bool this_host;      /* recorded on this machine, under the release that runs now */
	/* Its code, and the symbol that stood at @ref_va, which says how far it was moved at boot
	 * (KASLR): "_text". Without them no address means anything. */
	uint64_t start, end, ref_va;
	char ref[32];
	struct pmf_symbol_module {
		uint64_t start, end;
		char name[64]; /* as /proc/kallsyms has it: "[ext4]" */
	} * modules;
	size_t nr_modules, cap_modules;
};

/* Name the functions of @k instead of this machine's kernel: from /proc/kallsyms if it is the same
 * one, else from @search's cache and debug folder by build id. Modules are named where they stood
 * then. Separate debug files are looked for below search->symfs, too. Before the first question;
 * both are borrowed. */
void pmf_symbolizer_use_recording(struct pmf_symbolizer *s, const struct pmf_symbol_kernel *k,
	const struct pmf_image_search *search);

/* Whether the kernel's functions have names: 0, or a status with the reason and the remedy
 * (kernel.kptr_restrict, proc(5)). */
int pmf_symbol_kernel_status(struct pmf_symbolizer *s, struct pmf_err *err);

/* ---- Code that the kernel makes and frees while it runs: BPF programs, trampolines ---- */

struct pmf_ksymbol {
	uint64_t start, end;
	uint32_t name; /* in names */
};

/* As PERF_RECORD_KSYMBOL tells (perf_event_open(2)), in the order of time. */
struct pmf_ksymbols {
	struct pmf_ksymbol *live, *gone; /* sorted by start, never overlapping */
	size_t nr_live, cap_live, nr_gone, cap_gone;
	struct pmf_strtab names;
};

void pmf_ksymbols_init(struct pmf_ksymbols *k);
void pmf_ksymbols_release(struct pmf_ksymbols *k);
/* The code @name at [start, start + len) is there from now on, or is freed. */
void pmf_ksymbols_add(struct pmf_ksymbols *k, uint64_t start, uint32_t len, const char *name);
void pmf_ksymbols_remove(struct pmf_ksymbols *k, uint64_t start, uint32_t len, const char *name);
/* The name of the code at @va now, or NULL; it lives until the next change. */
const char *pmf_ksymbols_find(const struct pmf_ksymbols *k, uint64_t va);
/* The same for code that was there before the first record and that was freed later. */
const char *pmf_ksymbols_find_gone(const struct pmf_ksymbols *k, uint64_t va);

/* Demangle C++ (Itanium), Rust (legacy and v0) and D names by libiberty; others are returned as
 * they are. free(3) the result. */
char *pmf_symbol_demangle(const char *name);

#endif
