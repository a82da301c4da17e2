/* One walk up a stack, and the table of ways to take a step. */
#ifndef PMF_UNWIND_PRIV_H
#define PMF_UNWIND_PRIV_H

#include "pmuflame/unwind.h"
#include "rule_priv.h"
#include <stdbool.h>
#include <string.h>

enum {
	PMF_RED_ZONE = 4096, /* how far below sp a register may have been popped from */
	PMF_WALK_HINTS = 128,
};

enum pmf_step {
	PMF_STEP_OK,      /* walk->pc and its registers are the caller's now */
	PMF_STEP_ROOT,    /* there is no caller */
	PMF_STEP_NO_RULE, /* nothing is known about this code; the registers are as they were */
	PMF_STEP_FAILED,  /* memory or a rule made no sense; walk->cut says if the dump ended */
};

struct pmf_walk {
	const struct pmf_unwind_in *in;
	struct pmf_unwind_out *out;
	/* Registers of the current frame by DWARF number; bit n of known: regs[n] has a value. The
	 * program counter stands in pc only. */
	uint64_t regs[PMF_ARCH_MAX_REGS];
	uint64_t known;
	uint8_t dwarf_sp, dwarf_fp;
	uint64_t pc;
	bool exact; /* pc is where the code was stopped, not where a call returns to */
	/* Out of a signal frame the stack may continue anywhere; else it only grows outwards. */
	bool stack_may_jump;
	const struct pmf_map *map; /* of the current pc, NULL if none */
	bool may_reread;           /* /proc may be asked about code outside every mapping */
	bool cut;                  /* a read went past a dump that was filled to the brim */
	/* Steps by rules lose the registers that rules are not about (partial). Where a row asks
	 * for one of those (missing), the walk starts again by rows alone (whole). */
	bool partial, missing, whole;
	/* Where the return addresses of the last walk stood: the next stack is much the same, and
	 * its dump is in no cache of this processor yet. */
	uint64_t ra_vas[PMF_WALK_HINTS];
	size_t nr_ras;
	struct pmf_pc_cache *pcs; /* NULL for unwinders that have no use for rules */
	size_t code_bytes;        /* of generated code's CFI that was gone through */
	bool unfit; /* an FDE covers a frame, but its instructions cannot be run here */
};

/* A word of the dumped stack. The two are apart for a reader that has other memory to look into. */
static inline bool pmf_walk_try_read(const struct pmf_walk *w, uint64_t va, uint64_t *out)
{
	const struct pmf_unwind_in *in = w->in;
	uint64_t off = va - in->regs[in->arch->reg_sp];
	size_t bytes = in->arch->word_bytes;

	if (in->stack_bytes < bytes || off > in->stack_bytes - bytes)
		return false;
	*out = 0;
	/* A copy of known size is a load, of any other a call: that was a tenth of a walk. */
	if (bytes == sizeof *out)
		memcpy(out, in->stack + off, sizeof *out);
	else
		memcpy(out, in->stack + off, bytes);
	return true;
}
void pmf_walk_note_miss(struct pmf_walk *w, uint64_t va);
static inline bool pmf_walk_read(struct pmf_walk *w, uint64_t va, uint64_t *out)
{
	if (pmf_walk_try_read(w, va, out))
		return true;
	pmf_walk_note_miss(w, va);
	return false;
}
/* The address to look the current frame's code up by. */
static inline uint64_t pmf_walk_lookup_va(const struct pmf_walk *w)
{
	return w->exact ? w->pc : w->pc - 1;
}

/* A way to find the caller. begin (may be NULL) is called before the first step of a walk. */
struct pmf_unwinder_ops {
	void *(*new_priv)(const struct pmf_arch *arch);
	void (*free_priv)(void *priv);
	void (*begin)(void *priv, struct pmf_walk *w);
	enum pmf_step (*step)(void *priv, struct pmf_walk *w);
	bool has_rules; /* steps are by CFI, so a rule of it does as well */
};
extern const struct pmf_unwinder_ops pmf_unwind_libunwind;
extern const struct pmf_unwinder_ops pmf_unwind_cfi;
extern const struct pmf_unwinder_ops pmf_unwind_fp;

/* Pages of generated code that were asked about: are they of one known form? */
enum { PMF_TRAMPOLINES = 64 };
struct pmf_trampoline {
	uint64_t page;
	pid_t pid;
	bool found;
};

struct pmf_unwinder {
	const struct pmf_unwinder_ops *ops; /* NULL: the leaf is all */
	bool fp_without_rule;               /* code without a rule is stepped by frame pointer */
	const struct pmf_arch *arch;
	void *priv;
	struct pmf_unwinder *spare; /* walks again what this one is unfit for; may be NULL */
	uint8_t dwarf_regs[PMF_ARCH_MAX_REGS], perf_regs[PMF_ARCH_MAX_REGS];
	size_t nr_regs; /* pairs of numbers: the registers that DWARF knows too */
	uint64_t known_regs;
	struct pmf_walk walk;
	struct pmf_trampoline trampolines[PMF_TRAMPOLINES];
};

/* What unwinders keep with a process: in process->unwind_priv. */
struct pmf_unwind_space {
	struct pmf_pc_cache pcs;
	void *lib; /* libunwind's */
	void (*lib_free)(void *lib);
};
/* Made if new. */
struct pmf_unwind_space *pmf_unwind_space_of(struct pmf_process *p);

/* The unwinder of one row, whichever suits the architecture. */
struct pmf_unwinder *pmf_unwinder_with(
	const struct pmf_unwinder_ops *ops, bool fp_without_rule, const struct pmf_arch *arch);
/* Make the caller's frame current by @rule, *ret says how that went. False: nothing was changed, the
 * row must tell. */
bool pmf_step_rule(struct pmf_walk *w, const struct pmf_rule *rule, enum pmf_step *ret);
/* The current frame is a signal trampoline: it was never called, so its address is not one before
 * where it returns to. */
void pmf_walk_show_exact(struct pmf_walk *w);
/* Is libunwind here able to unwind code of @arch? */
bool pmf_unwind_libunwind_can(const struct pmf_arch *arch);
/* Evaluate every rule anew: what cached unwinding is checked against. Before the first use only. */
void pmf_unwind_libunwind_uncache(void *priv);
/* Make the caller's frame current by frame pointer. */
enum pmf_step pmf_step_fp(struct pmf_walk *w);
/* Make the caller's frame current if this is one of CPython's trampolines; false if it is not. */
bool pmf_step_trampoline(struct pmf_unwinder *u, struct pmf_walk *w);
/* Make the caller's frame current if this is code of a Java VM; false if it is not, or cannot be left so. */
bool pmf_step_hotspot(struct pmf_walk *w);
/* Make the caller's frame current by what the runtime says of its code; PMF_STEP_NO_RULE, and nothing was
 * changed, if that is nothing or makes no sense. */
enum pmf_step pmf_step_generated(struct pmf_walk *w);
struct pmf_cfi_fde;
/* Make the caller's frame current by the row of @fde, which is of the same file as @rva; PMF_STEP_NO_RULE if
 * its instructions cannot be run. */
enum pmf_step pmf_step_fde(struct pmf_walk *w, const struct pmf_cfi_fde *fde, uint64_t rva);
/* Could a call return to @va: does code lie there? */
bool pmf_walk_is_code(const struct pmf_walk *w, uint64_t va);
/* Make the caller's frame current as right after a call: the return address is in the link register
 * or on top of the stack. */
enum pmf_step pmf_step_leaf(struct pmf_walk *w);
/* Has this leaf saved its link register, which still holds the same, in a frame of its own? The
 * functions of riscv64's vDSO do, and have no CFI. */
bool pmf_leaf_has_frame(struct pmf_walk *w);

#endif
