/* The walk: from frame to frame until there is no caller, no rule, no more of the dump, or no
 * room. */
#include "pmuflame/unwind.h"

#include "cfi_priv.h"
#include "pmuflame/mem.h"
#include "unwind_priv.h"
#include <stdlib.h>
#include <string.h>

enum {
	ENTRY_CODE_BYTES = 128,             /* what a start routine without CFI may be long */
	MAX_STACK_BYTES = 64 * 1024 * 1024, /* an address this far above sp is on no stack */
};

static void list_regs(struct pmf_unwinder *u)
{
	for (unsigned i = 0; i < PMF_ARCH_MAX_REGS; i++) {
		uint8_t dwarf = u->arch->perf_to_dwarf[i];

		if (!(u->arch->user_regs >> i & 1) || dwarf >= PMF_ARCH_MAX_REGS)
			continue;
		u->perf_regs[u->nr_regs] = (uint8_t)i;
		u->dwarf_regs[u->nr_regs++] = dwarf;
		u->known_regs |= UINT64_C(1) << dwarf;
	}
}

struct pmf_unwinder *pmf_unwinder_with(
	const struct pmf_unwinder_ops *ops, bool fp_without_rule, const struct pmf_arch *arch)
{
	struct pmf_unwinder *u = pmf_zalloc(sizeof *u);

	u->ops = ops;
	u->fp_without_rule = fp_without_rule;
	u->arch = arch;
	list_regs(u);
	if (ops && ops->new_priv)
		u->priv = ops->new_priv(arch);
	return u;
}

bool pmf_unwinder_can(enum pmf_unwind_by by, const struct pmf_arch *arch)
{
	return by != PMF_UNWIND_BY_LIBUNWIND || pmf_unwind_libunwind_can(arch);
}

static struct pmf_unwinder *new_by(
	enum pmf_unwind_by by, bool fp_without_rule, const struct pmf_arch *arch)
{
	struct pmf_unwinder *u;

	switch (by) {
	case PMF_UNWIND_BY_LIBUNWIND:
		return pmf_unwinder_with(&pmf_unwind_libunwind, fp_without_rule, arch);
	case PMF_UNWIND_BY_FP:
		return pmf_unwinder_with(&pmf_unwind_fp, false, arch);
	case PMF_UNWIND_BY_CFI:
	case PMF_UNWIND_BY_AUTO:
		break;
	}
	u = pmf_unwinder_with(&pmf_unwind_cfi, fp_without_rule, arch);
	if (by == PMF_UNWIND_BY_AUTO && pmf_unwind_libunwind_can(arch))
		u->spare = pmf_unwinder_with(&pmf_unwind_libunwind, fp_without_rule, arch);
	return u;
}

struct pmf_unwinder *pmf_unwinder_new(
	enum pmf_unwind_mode mode, enum pmf_unwind_by by, const struct pmf_arch *arch)
{
	switch (mode) {
	case PMF_UNWIND_AUTO:
		return new_by(by, true, arch);
	case PMF_UNWIND_DWARF:
		return new_by(by, false, arch);
	case PMF_UNWIND_FP:
		return pmf_unwinder_with(&pmf_unwind_fp, false, arch);
	case PMF_UNWIND_NONE:
		break;
	}
	return pmf_unwinder_with(NULL, false, arch);
}

void pmf_unwinder_free(struct pmf_unwinder *u)
{
	if (!u)
		return;
	pmf_unwinder_free(u->spare); /* which has none itself */
	if (u->ops && u->ops->free_priv)
		u->ops->free_priv(u->priv);
	free(u);
}

static void space_free(void *priv)
{
	struct pmf_unwind_space *s = priv;

	pmf_pc_cache_release(&s->pcs);
	if (s->lib_free)
		s->lib_free(s->lib);
	free(s);
}

struct pmf_unwind_space *pmf_unwind_space_of(struct pmf_process *p)
{
	if (!p->unwind_priv) {
		p->unwind_priv = pmf_zalloc(sizeof(struct pmf_unwind_space));
		p->unwind_free = space_free;
	}
	return p->unwind_priv;
}

void pmf_unwind_forget(struct pmf_process *p)
{
	if (p->unwind_free)
		p->unwind_free(p->unwind_priv);
	p->unwind_priv = NULL;
	p->unwind_free = NULL;
}

void pmf_walk_note_miss(struct pmf_walk *w, uint64_t va)
{
	const struct pmf_unwind_in *in = w->in;

	/* A dump that was not filled ends where the stack does, or at a page without memory: a
	 * larger one would not help. */
	if (in->stack_bytes >= in->stack_asked && va - in->regs[in->arch->reg_sp] < MAX_STACK_BYTES)
		w->cut = true;
}

void pmf_walk_show_exact(struct pmf_walk *w)
{
	struct pmf_unwind_frame *f = &w->out->frames[w->out->n - 1];

	if (!w->exact && f->map && w->pc < f->map->end) {
		f->va++;
		f->rva++;
		f->user = 0;
	}
}

/* A walk waits for memory from frame to frame; what it will read is known well enough to ask for it
 * all at once. */
static void prefetch(struct pmf_walk *w, const struct pmf_unwind_in *in)
{
	for (size_t i = 0; i < w->nr_ras; i++) {
		uint64_t off = w->ra_vas[i] - in->regs[in->arch->reg_sp];

		if (off < in->stack_bytes)
			__builtin_prefetch(in->stack + off);
	}
	w->nr_ras = 0;
}

static void walk_init(struct pmf_unwinder *u, const struct pmf_unwind_in *in,
	struct pmf_unwind_out *out, bool may_reread, bool whole)
{
	const struct pmf_arch *arch = u->arch;
	struct pmf_walk *w = &u->walk;

	w->in = in;
	w->out = out;
	prefetch(w, in);
	for (size_t i = 0; i < u->nr_regs; i++)
		w->regs[u->dwarf_regs[i]] = in->regs[u->perf_regs[i]];
	w->known = u->known_regs;
	w->dwarf_sp = arch->perf_to_dwarf[arch->reg_sp];
	w->dwarf_fp = arch->perf_to_dwarf[arch->reg_fp];
	w->pc = in->regs[arch->reg_ip];
	w->map = NULL;
	w->exact = true;
	w->code_bytes = 0;
	w->stack_may_jump = w->cut = w->partial = w->missing = w->unfit = false;
	w->may_reread = may_reread;
	w->whole = whole;
	w->pcs = NULL;
	if (u->ops && u->ops->has_rules) {
		w->pcs = &pmf_unwind_space_of(in->process)->pcs;
		pmf_pc_cache_sync(w->pcs, in->process);
	}
	out->n = 0;
	out->end = PMF_END_BROKEN;
	out->switched_fp = 0;
}

static const struct pmf_map *find_map(const struct pmf_walk *w, uint64_t va)
{
	const struct pmf_unwind_in *in = w->in;

	if (w->map && va >= w->map->start && va < w->map->end)
		return w->map;
	return w->may_reread ? pmf_process_map_or_reread(in->table, in->process, va, in->now_ns)
			     : pmf_process_map(in->process, va);
}

/* Add the current frame; *pc gets what is known about its place, NULL if nothing. False if it can
 * be no frame: a return address outside all code. */
static bool push_frame(struct pmf_walk *w, const struct pmf_pc **pc)
{
	const struct pmf_process *p = w->in->process;
	uint64_t va = pmf_walk_lookup_va(w);

	*pc = w->pcs ? pmf_pc_cache_find(w->pcs, va) : NULL;
	if (*pc) {
		w->map = &p->maps[(*pc)->map];
	} else {
		w->map = find_map(w, va);
		if (!w->map && w->out->n > 0)
			return false;
		/* Maps that were just read again are not the cache's. */
		if (w->map && w->pcs && w->pcs->generation == p->maps_generation)
			*pc = pmf_pc_cache_fill(w->pcs, p, w->map, w->in->arch, va);
	}
	w->out->frames[w->out->n++] = (struct pmf_unwind_frame){.va = va,
		.sp = w->regs[w->dwarf_sp],
		.fp = w->known >> w->dwarf_fp & 1 ? w->regs[w->dwarf_fp] : 0,
		.map = w->map,
		.rva = w->map ? va - w->map->bias : va,
		.user = *pc ? (*pc)->user : 0};
	return true;
}

/* Code at a program's entry point that has no CFI has no caller: ld.so's _dl_start_user, and the
 * start routines of libcs that do not mark theirs. */
static bool is_entry_code(const struct pmf_walk *w)
{
	const struct pmf_cfi *cfi = w->map && w->map->image->kind == PMF_IMAGE_FILE
					    ? pmf_cfi_of(w->map->image, w->in->arch)
					    : NULL;

	return cfi && cfi->entry_rva &&
	       pmf_walk_lookup_va(w) - w->map->bias - cfi->entry_rva < ENTRY_CODE_BYTES;
}

/* Static IFUNC stubs, _init, hand-written leaves: right after a call the return address is on top
 * of the stack. A JIT's code of which its runtime says nothing, and code that calls on, keep a frame
 * pointer, or cannot be left. */
static enum pmf_step step_without_rule(struct pmf_unwinder *u, struct pmf_walk *w)
{
	bool jit = !w->map || w->map->image->kind == PMF_IMAGE_ANON;
	enum pmf_step ret;

	if (is_entry_code(w))
		return PMF_STEP_ROOT;
	ret = jit ? pmf_step_generated(w) : PMF_STEP_NO_RULE;
	if (ret != PMF_STEP_NO_RULE)
		return ret;
	if (jit && (pmf_step_hotspot(w) || pmf_step_trampoline(u, w)))
		return PMF_STEP_OK;
	ret = PMF_STEP_FAILED;
	if (w->exact && !jit)
		ret = pmf_leaf_has_frame(w) ? pmf_step_fp(w) : pmf_step_leaf(w);
	if (ret == PMF_STEP_FAILED && u->fp_without_rule)
		ret = pmf_step_fp(w);
	if (ret == PMF_STEP_FAILED && w->exact && jit)
		ret = pmf_step_leaf(w);
	return ret;
}

static enum pmf_step step_slowly(struct pmf_unwinder *u, struct pmf_walk *w)
{
	/* Where calls push, only a leaf can have its return address in a register: vfork's
	 * does. */
	bool may_stay = w->exact || u->arch->reg_ra != PMF_REG_NONE;
	uint64_t sp = w->regs[w->dwarf_sp];
	enum pmf_step ret;

	w->stack_may_jump = false;
	ret = u->ops->step(u->priv, w);
	if (ret == PMF_STEP_NO_RULE)
		ret = step_without_rule(u, w);
	if (ret != PMF_STEP_OK)
		return ret;
	w->pc &= u->arch->ip_mask;
	if (w->pc == 0)
		return PMF_STEP_ROOT;
	/* A caller's frame lies further out; anything else is a loop. */
	if (w->regs[w->dwarf_sp] <= sp && !w->stack_may_jump &&
		!(w->regs[w->dwarf_sp] == sp && may_stay))
		return PMF_STEP_FAILED;
	return PMF_STEP_OK;
}

static enum pmf_step step(struct pmf_unwinder *u, struct pmf_walk *w, const struct pmf_pc *pc)
{
	enum pmf_step ret;

	if (!pc || w->whole)
		return step_slowly(u, w);
	if (pc->rule.kind == PMF_RULE_ROOT)
		return PMF_STEP_ROOT;
	return pmf_step_rule(w, &pc->rule, &ret) ? ret : step_slowly(u, w);
}

static void walk(struct pmf_unwinder *u, struct pmf_walk *w)
{
	uint64_t generation = w->in->process->maps_generation;
	const struct pmf_pc *pc;
	enum pmf_step ret;

	if (u->ops && u->ops->begin)
		u->ops->begin(u->priv, w);
	for (;;) {
		if (w->out->n == w->out->cap) {
			w->out->end = PMF_END_FULL;
			return;
		}
		if (!push_frame(w, &pc) || w->in->process->maps_generation != generation)
			return;
		if (!u->ops) {
			/* Nobody asked for callers, so none are missing. */
			w->out->end = PMF_END_ROOT;
			return;
		}
		ret = step(u, w, pc);
		if (ret == PMF_STEP_ROOT)
			w->out->end = PMF_END_ROOT;
		else if (ret != PMF_STEP_OK && w->cut)
			w->out->end = PMF_END_TRUNCATED;
		if (ret != PMF_STEP_OK)
			return;
	}
}

void pmf_unwind(struct pmf_unwinder *u, const struct pmf_unwind_in *in, struct pmf_unwind_out *out)
{
	bool may_reread = in->table, whole = false;
	uint64_t generation;

	for (;;) {
		generation = in->process->maps_generation;
		walk_init(u, in, out, may_reread, whole);
		walk(u, &u->walk);
		if (in->process->maps_generation != generation)
			/* New mappings move the old ones in memory and change the rules. */
			may_reread = false;
		else if (out->end != PMF_END_ROOT && u->walk.missing && !whole)
			whole = true;
		else
			break;
	}
	if (u->walk.unfit && u->spare)
		pmf_unwind(u->spare, in, out);
}

void pmf_unwind_remember(
	const struct pmf_process *p, const struct pmf_unwind_frame *f, uint32_t user)
{
	const struct pmf_unwind_space *space = p->unwind_priv;
	struct pmf_pc *pc;

	if (!space || !space->pcs.entries || space->pcs.generation != p->maps_generation)
		return;
	pc = pmf_pc_cache_find(&space->pcs, f->va);
	if (pc)
		pc->user = user;
}

bool pmf_unwind_function_start(
	struct pmf_image *im, const struct pmf_arch *arch, uint64_t rva, uint64_t *start)
{
	const struct pmf_cfi *cfi;
	struct pmf_cfi_fde fde;

	if (arch && im->elf32)
		arch = arch->narrow;
	cfi = arch ? pmf_cfi_of(im, arch) : NULL;
	if (!cfi || !pmf_cfi_find(cfi, rva, &fde))
		return false;
	*start = pmf_cfi_function_start(cfi, &fde);
	return true;
}

bool pmf_unwind_ra_in_register(struct pmf_image *im, const struct pmf_arch *arch, uint64_t rva)
{
	const struct pmf_cfi *cfi = arch->reg_ra == PMF_REG_NONE ? NULL : pmf_cfi_of(im, arch);
	struct pmf_cfi_fde fde;
	struct pmf_cfi_row row;

	return cfi && pmf_cfi_find(cfi, rva, &fde) && pmf_cfi_row_at(&fde, rva, &row) &&
	       row.regs[arch->dwarf_ra].how == PMF_CFI_SAME;
}
