/* Rules in eight bytes, and the caches that hold them: docs/unwinding.md.
 *
 * A row of call frame information says for every register where the caller's value is. All but a
 * few rows say the same kind of thing about the three that a walk needs (the stack pointer, the
 * frame pointer, the return address), and that fits a machine word. What does not fit is
 * PMF_RULE_ROW: the row is evaluated again each time. */
#ifndef PMF_RULE_PRIV_H
#define PMF_RULE_PRIV_H

#include "cfi_priv.h"
#include "pmuflame/process.h"
#include <stddef.h>
#include <stdint.h>

/* How to get the CFA; or what else there is to know about a place. */
enum pmf_rule_kind {
	PMF_RULE_EMPTY,    /* no rule: an unused place of a cache */
	PMF_RULE_SP,       /* CFA = sp + cfa */
	PMF_RULE_FP,       /* CFA = fp + cfa */
	PMF_RULE_DEREF_SP, /* CFA = *(sp + cfa) + 8 × add */
	PMF_RULE_DEREF_FP, /* CFA = *(fp + cfa) + 8 × add */
	PMF_RULE_ROOT,     /* there is no caller */
	PMF_RULE_NONE,     /* no call frame information covers the place */
	PMF_RULE_ROW,      /* only the whole row tells */
};
/* Where the caller's frame pointer is. */
enum pmf_rule_fp { PMF_RULE_FP_SAME, PMF_RULE_FP_AT_CFA, PMF_RULE_FP_AT_FP, PMF_RULE_FP_LOST };

/* Offsets are in words of 8 bytes. */
struct pmf_rule {
	uint8_t kind;       /* enum pmf_rule_kind */
	uint8_t fp_how : 2; /* enum pmf_rule_fp */
	uint8_t in_lr : 1;  /* the return address is still in the link register, else at CFA + ra */
	uint8_t add : 5;
	int16_t cfa, fp, ra;
};
_Static_assert(sizeof(struct pmf_rule) == 8, "a rule is one word");

/* The rule of code at @rva of the image that @cfi (may be NULL) belongs to, as it stands at that
 * address: a return address is one before where the call returns to. */
struct pmf_rule pmf_rule_at(const struct pmf_cfi *cfi, const struct pmf_arch *arch, uint64_t rva);
/* @row as a rule; PMF_RULE_ROW if it does not fit. */
struct pmf_rule pmf_rule_of_row(
	const struct pmf_cfi_row *row, const struct pmf_arch *arch, uint64_t rva);

/* ---- Per image: rules by rva, for every process that maps it ---- */

struct pmf_image_rules {
	struct {
		uint64_t rva;
		struct pmf_rule rule;
	} * entries;
	size_t mask;   /* places - 1 */
	size_t filled; /* since it last grew */
};
void pmf_image_rules_release(struct pmf_image_rules *r);

/* ---- Per process: what is known about a code address while the maps stay as they are ---- */

struct pmf_pc {
	uint64_t va;
	struct pmf_rule rule;
	uint32_t map;   /* index into process->maps */
	uint32_t stamp; /* of the cache when this was written */
	uint32_t user;  /* pmf_unwind_remember */
};

/* Direct mapped: a new address takes the place of another. It starts small, for processes that
 * live for a few samples, and grows with what is put in. */
struct pmf_pc_cache {
	struct pmf_pc *entries;
	size_t mask;
	size_t filled;       /* since it last grew */
	uint64_t generation; /* of the maps */
	uint32_t stamp;      /* entries with another one are of older maps */
};

/* Forget everything if the maps of @p changed. Before each walk. */
void pmf_pc_cache_sync(struct pmf_pc_cache *c, const struct pmf_process *p);
void pmf_pc_cache_release(struct pmf_pc_cache *c);
/* Find out about @va, which @map of @p holds. The entry is valid until the next fill. */
const struct pmf_pc *pmf_pc_cache_fill(struct pmf_pc_cache *c, const struct pmf_process *p,
	const struct pmf_map *map, const struct pmf_arch *arch, uint64_t va);

static inline size_t pmf_pc_slot(uint64_t va, size_t mask)
{
	/* 2^64 / golden ratio: what is near, or a power of two apart, goes to different places. */
	return (size_t)(va * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

/* What is known about @va, or NULL. */
static inline struct pmf_pc *pmf_pc_cache_find(const struct pmf_pc_cache *c, uint64_t va)
{
	struct pmf_pc *e = &c->entries[pmf_pc_slot(va, c->mask)];

	return e->va == va && e->stamp == c->stamp ? e : NULL;
}

#endif
