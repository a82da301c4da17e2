/* pmuflame/unwind.h - turn one sample's user registers and stack bytes into frames.
 * Layer: unwind (uses base, process). One struct pmf_unwinder per thread.
 *
 * The unwinders: our own reading of CFI for every architecture, libunwind over our own accessors for
 * what that does not fit and to compare with, and frame pointers where there is no CFI. How they work
 * together: docs/unwinding.md. */
#ifndef PMUFLAME_UNWIND_H
#define PMUFLAME_UNWIND_H

#include "pmuflame/arch.h"
#include "pmuflame/process.h"
#include <stddef.h>
#include <stdint.h>

/* As many as return addresses fit into a dump, and more than compilers leave in one. */
enum { PMF_UNWIND_MAX_FRAMES = 8192 };

enum pmf_unwind_end {
	PMF_END_ROOT,      /* the outermost frame was reached */
	PMF_END_TRUNCATED, /* the dump was too short */
	PMF_END_BROKEN,    /* no rule, a loop, or memory that cannot be read */
	PMF_END_FULL,      /* no room for more frames */
};

/* How to leave a piece of generated code, as its runtime says: an .eh_frame section whose one FDE is about
 * the code from @start on, wherever it says that this lies. */
struct pmf_unwind_code {
	uint64_t start;
	const uint8_t *eh_frame;
	size_t size;
};

/* A user-space moment. Nothing here is copied or kept. */
struct pmf_unwind_in {
	const struct pmf_arch *arch;
	uint64_t regs[PMF_ARCH_MAX_REGS]; /* by perf register number */
	const uint8_t *stack;             /* bytes from regs[sp] upwards */
	size_t stack_bytes;
	uint64_t stack_asked; /* how much the dump would have held; == stack_bytes if cut */
	struct pmf_process *process;
	struct pmf_process_table *table;
	uint64_t now_ns;
	/* What is known of the generated code at @va; false: nothing. The answer is good until the next
	 * question. May be NULL. */
	bool (*find_code)(void *ctx, const struct pmf_unwind_in *in, uint64_t va,
		struct pmf_unwind_code *out);
	void *ctx;
};

struct pmf_unwind_frame {
	uint64_t va;               /* process virtual address; return addresses are moved by -1 */
	uint64_t sp;               /* the stack pointer there: all below is its callees' */
	uint64_t fp;               /* the frame pointer, where code keeps one; 0 if it is lost */
	const struct pmf_map *map; /* NULL if outside every mapping; valid until the next record */
	uint64_t rva;              /* address in map->image (va - bias), or va without a map */
	uint32_t user; /* what pmf_unwind_remember was told about va, 0 if nothing is known */
};

struct pmf_unwind_out {
	struct pmf_unwind_frame *frames; /* the caller's, of cap places; innermost first */
	size_t n, cap;
	enum pmf_unwind_end end;
	/* Where the outermost frame's code has come from another stack, which no dump of this one
	 * holds: the frame pointer that leads there; else 0. */
	uint64_t switched_fp;
};

struct pmf_unwinder;

enum pmf_unwind_mode { PMF_UNWIND_AUTO, PMF_UNWIND_DWARF, PMF_UNWIND_FP, PMF_UNWIND_NONE };
/* Who walks dumped stacks. AUTO: CFI, and libunwind, where there is one for the architecture, for the
 * samples that CFI does not fit. FP: frame pointers alone. */
enum pmf_unwind_by {
	PMF_UNWIND_BY_AUTO,
	PMF_UNWIND_BY_CFI,
	PMF_UNWIND_BY_LIBUNWIND,
	PMF_UNWIND_BY_FP,
};

/* Can code of @arch be unwound here that way? */
bool pmf_unwinder_can(enum pmf_unwind_by by, const struct pmf_arch *arch);
/* @by must be one that pmf_unwinder_can; it only matters for AUTO and DWARF. */
struct pmf_unwinder *pmf_unwinder_new(
	enum pmf_unwind_mode mode, enum pmf_unwind_by by, const struct pmf_arch *arch);
void pmf_unwinder_free(struct pmf_unwinder *u);

/* Unwind @in into @out: at least the leaf is there. Addresses are process virtual addresses; return
 * addresses are already moved to the call (-1), but not above a signal frame. Frames borrow the
 * maps of @in->process. Takes bounded time whatever the dump and the files say. */
void pmf_unwind(struct pmf_unwinder *u, const struct pmf_unwind_in *in, struct pmf_unwind_out *out);

/* Let later frames at the address of @f, one of the last walk's, show @user (not 0) until @p's maps
 * change. It may be forgotten sooner. */
void pmf_unwind_remember(
	const struct pmf_process *p, const struct pmf_unwind_frame *f, uint32_t user);

/* Forget what was remembered of @p; it is found out again. */
void pmf_unwind_forget(struct pmf_process *p);

/* Where the function at @rva of @im starts, as its call frame information says: what a stripped
 * file still tells about its functions. For a part that stands elsewhere ("name.cold") that is the
 * start of the function that it belongs to. False if nothing covers @rva, or
 * @arch is NULL: one whose files are not read. */
bool pmf_unwind_function_start(
	struct pmf_image *im, const struct pmf_arch *arch, uint64_t rva, uint64_t *start);

/* Does the return address still stand in the link register at @rva of @im, as in a leaf? False where
 * nothing says so. */
bool pmf_unwind_ra_in_register(struct pmf_image *im, const struct pmf_arch *arch, uint64_t rva);

#endif
