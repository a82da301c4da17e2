/* pmuflame/symbol.h - turn (image, address in the image) into function names.
 * Layer: symbol (uses base, process). Threads: one owner.
 *
 * A file's names come from .symtab; if it has none, from a separate debug file, found by build id
 * (/usr/lib/debug/.build-id/xx/yyyy.debug) or .gnu_debuglink (GDB manual, "Separate Debug Files",
 * with the CRC checked); if there is none either, from .gnu_debugdata (MiniDebugInfo, xz); always
 * also from .dynsym. PLT stubs are named "NAME@plt". A symbol without a size reaches to the next
 * one. The kernel's names come from /proc/kallsyms. */
#ifndef PMUFLAME_SYMBOL_H
#define PMUFLAME_SYMBOL_H

#include "pmuflame/err.h"
#include "pmuflame/process.h"
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
void pmf_symbolizer_free(struct pmf_symbolizer *s);

/* The function at @rva of @im. False if none is known (out is then untouched). Tables are read at
 * the first question about an image and kept. */
bool pmf_symbol_find(
	struct pmf_symbolizer *s, const struct pmf_image *im, uint64_t rva, struct pmf_symbol *out);

/* Forget what was read of @im: it is about to be closed. Names that were given for it are void. */
void pmf_symbolizer_forget(struct pmf_symbolizer *s, const struct pmf_image *im);

/* Whether /proc/kallsyms shows addresses: 0, or a status with the reason and the remedy
 * (kernel.kptr_restrict, proc(5)). */
int pmf_symbol_kernel_status(struct pmf_symbolizer *s, struct pmf_err *err);

/* ---- Generated code, by the maps that runtimes write: FOLDER/perf-PID.map ---- */

struct pmf_perf_maps;

struct pmf_perf_maps *pmf_perf_maps_new(const char *folder);
void pmf_perf_maps_free(struct pmf_perf_maps *m);
/* The name of the code at @va of process @pid, while it runs; NULL if no map of its owner's says.
 * Looks for new lines when it does not know, but not at every call. The name lives as long as @m. */
const char *pmf_perf_maps_find(struct pmf_perf_maps *m, pid_t pid, uint64_t va, uint64_t now_ns);
/* Process @pid executes another program, or is gone. */
void pmf_perf_maps_forget(struct pmf_perf_maps *m, pid_t pid);

/* Demangle C++ (Itanium), Rust (legacy and v0) and D names by libiberty; others are returned as
 * they are. free(3) the result. */
char *pmf_symbol_demangle(const char *name);

#endif
