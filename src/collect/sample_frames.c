/* The frames of a sample: of its callchain, its dump or its branches, into the profile's numbers. */
#include "collect_priv.h"

#include "pmuflame/hotspot.h"
#include "pmuflame/mem.h"
#include <string.h>

static uint32_t kernel_frame(struct pmf_stacks *s, uint64_t va)
{
	const char *name = pmf_ksymbols_find(&s->ksymbols, va);

	return name ? pmf_ksymbol_frame(s->profile, name)
		    : pmf_stacks_image_frame(s, PMF_FRAME_KERNEL, pmf_image_kernel(&s->table), va);
}

static uint32_t user_frame(
	struct pmf_stacks *s, struct pmf_process *proc, const struct pmf_map *map, uint64_t va)
{
	/* One frame for all: garbage addresses have no end, and no name either. */
	if (!map)
		return pmf_profile_frame_at(s->profile, PMF_FRAME_NATIVE, UINT32_MAX,
			pmf_strtab_addz(&s->profile->strings, "[unknown]"), 0, 0);
	if (map->image->kind == PMF_IMAGE_ANON)
		return pmf_generated_frame(s, proc, map->image, va, 0);
	return pmf_stacks_image_frame(s, PMF_FRAME_NATIVE, map->image, va - map->bias);
}

bool pmf_sample_reg(const struct pmf_sample *smp, unsigned reg, uint64_t *out)
{
	uint64_t bit = UINT64_C(1) << reg;

	if (smp->regs_abi == PERF_SAMPLE_REGS_ABI_NONE || !(smp->regs_mask & bit))
		return false;
	*out = smp->regs[__builtin_popcountll(smp->regs_mask & (bit - 1))];
	return true;
}

/* The caller of a leaf that has no frame record. */
static size_t leaf_caller(struct pmf_stacks *s, struct pmf_process *proc,
	const struct pmf_sample *smp, const struct pmf_map *leaf, uint64_t va, size_t n)
{
	uint64_t ra;

	if (!s->arch || !s->arch->callchain_lacks_ra || !leaf ||
		leaf->image->kind == PMF_IMAGE_ANON || !pmf_sample_reg(smp, s->arch->reg_ra, &ra) ||
		!pmf_unwind_ra_in_register(leaf->image, s->arch, va - leaf->bias))
		return n;
	ra = (ra & s->arch->ip_mask) - 1;
	s->ids[n] =
		user_frame(s, proc, pmf_process_map_or_reread(&s->table, proc, ra, s->now_ns), ra);
	return n + 1;
}

/* What a frame of Java's interpreter says of its method; anything in other frames. */
static uint64_t interpreted_method(const struct pmf_unwind_in *in, const struct pmf_unwind_frame *f)
{
	uint64_t word = 0,
		 off = f->fp + (uint64_t)PMF_HOTSPOT_FP_METHOD - in->regs[in->arch->reg_sp];

	if (in->stack_bytes >= sizeof word && off <= in->stack_bytes - sizeof word)
		memcpy(&word, in->stack + off, sizeof word);
	return word;
}

/* The same for a frame of a dump: the unwinder keeps the answer for its address. */
static uint32_t unwound_frame(
	struct pmf_stacks *s, const struct pmf_unwind_in *in, const struct pmf_unwind_frame *f)
{
	struct pmf_process *proc = in->process;
	uint32_t id;

	if (f->user)
		return f->user - 1;
	/* Generated code may get a name later, or another one. */
	if (f->map && f->map->image->kind == PMF_IMAGE_ANON)
		return pmf_generated_frame(
			s, proc, f->map->image, f->va, interpreted_method(in, f));
	id = user_frame(s, proc, f->map, f->va);
	pmf_unwind_remember(proc, f, id + 1);
	return id;
}

/* Who ran when the sample was taken, as the context of a callchain. */
static uint64_t context_of(const struct pmf_record *rec)
{
	switch (rec->misc & PERF_RECORD_MISC_CPUMODE_MASK) {
	case PERF_RECORD_MISC_KERNEL:
		return (uint64_t)PERF_CONTEXT_KERNEL;
	case PERF_RECORD_MISC_HYPERVISOR:
		return (uint64_t)PERF_CONTEXT_HV;
	case PERF_RECORD_MISC_GUEST_KERNEL:
		return (uint64_t)PERF_CONTEXT_GUEST_KERNEL;
	case PERF_RECORD_MISC_GUEST_USER:
		return (uint64_t)PERF_CONTEXT_GUEST_USER;
	default:
		return (uint64_t)PERF_CONTEXT_USER;
	}
}

/* Below the kernel or in a virtual machine: nothing here can name that code. */
static size_t foreign_frame(struct pmf_stacks *s, uint64_t context, size_t n)
{
	const char *name;
	uint32_t id;

	switch (context) {
	case (uint64_t)PERF_CONTEXT_HV:
		name = "[hypervisor]";
		break;
	case (uint64_t)PERF_CONTEXT_GUEST_USER:
		name = "[guest]";
		break;
	case (uint64_t)PERF_CONTEXT_GUEST:
	case (uint64_t)PERF_CONTEXT_GUEST_KERNEL:
		name = "[guest kernel]";
		break;
	default: /* a newer kernel's, whose values may be no addresses */
		return n;
	}
	id = pmf_profile_frame_named(s->profile, PMF_FRAME_KERNEL, name);
	if (n == 0 || s->ids[n - 1] != id)
		s->ids[n++] = id;
	return n;
}

/* What the callchain says, innermost first, into s->ids. Contexts: linux/perf_event.h, enum
 * perf_callchain_context. Return addresses are moved into the call. */
static size_t chain_frames(struct pmf_stacks *s, struct pmf_process *proc,
	const struct pmf_record *rec, bool user, size_t *nr_user)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t context = context_of(rec), first = 1;
	size_t cap = PMF_ARRAY_SIZE(s->ids) - 1, n = 0;

	for (size_t i = 0; i < smp->nr_callchain && n < cap; i++) {
		uint64_t va = smp->callchain[i];

		if (va >= (uint64_t)PERF_CONTEXT_MAX) {
			context = va;
			first = 1;
			continue;
		}
		va -= !first;
		if (context == (uint64_t)PERF_CONTEXT_KERNEL) {
			s->ids[n++] = kernel_frame(s, va);
		} else if (context != (uint64_t)PERF_CONTEXT_USER) {
			n = foreign_frame(s, context, n);
		} else if (user) {
			const struct pmf_map *map =
				pmf_process_map_or_reread(&s->table, proc, va, s->now_ns);

			s->ids[n++] = user_frame(s, proc, map, va);
			++*nr_user;
			if (first)
				n = leaf_caller(s, proc, smp, map, va, n);
		}
		first = 0;
	}
	return n;
}

/* The user stack as the processor kept it (LBR): calls that have not returned, the innermost first. They
 * count where the callchain says that there is a user stack. */
static bool has_branch_stack(const struct pmf_stacks *s, const struct pmf_record *rec)
{
	const struct perf_event_attr *attr = &s->list->events[rec->event].attrs[0].attr;
	const struct pmf_sample *smp = &rec->sample;

	if (!(attr->branch_sample_type & PERF_SAMPLE_BRANCH_CALL_STACK) || !smp->nr_branches)
		return false;
	for (size_t i = 0; i < smp->nr_callchain; i++)
		if (smp->callchain[i] == (uint64_t)PERF_CONTEXT_USER)
			return true;
	return false;
}

static size_t branch_frames(
	struct pmf_stacks *s, struct pmf_process *proc, const struct pmf_record *rec, size_t n)
{
	const struct pmf_sample *smp = &rec->sample;
	size_t cap = PMF_ARRAY_SIZE(s->ids) - 1;

	for (size_t i = 0; i <= smp->nr_branches && n < cap; i++) {
		uint64_t va = i ? smp->branches[i - 1].from
			      : context_of(rec) == (uint64_t)PERF_CONTEXT_USER
				      ? smp->ip
				      : smp->branches[0].to;

		s->ids[n++] = user_frame(
			s, proc, pmf_process_map_or_reread(&s->table, proc, va, s->now_ns), va);
	}
	return n;
}

/* A sample that says no more than where it was taken. */
static size_t leaf_frame(
	struct pmf_stacks *s, struct pmf_process *proc, const struct pmf_record *rec)
{
	uint64_t context = context_of(rec), va = rec->sample.ip;

	if (context == (uint64_t)PERF_CONTEXT_KERNEL)
		s->ids[0] = kernel_frame(s, va);
	else if (context != (uint64_t)PERF_CONTEXT_USER)
		return foreign_frame(s, context, 0);
	else
		s->ids[0] = user_frame(
			s, proc, pmf_process_map_or_reread(&s->table, proc, va, s->now_ns), va);
	return 1;
}

/* With precise_ip the ip was latched before the registers: it names the leaf. Returns whether the
 * two lie in one function, so that the callers above fit the leaf. */
static bool fix_precise_leaf(struct pmf_stacks *s, struct pmf_process *proc,
	const struct pmf_sample *smp, struct pmf_unwind_frame *leaf)
{
	/* Reading maps again would free those that the callers' frames point to. */
	const struct pmf_map *map = pmf_process_map(proc, smp->ip);
	struct pmf_unwind_frame old = *leaf;
	struct pmf_symbol a, b;

	leaf->va = smp->ip;
	leaf->map = map;
	leaf->rva = map ? smp->ip - map->bias : smp->ip;
	leaf->user = 0;
	if (!map || !old.map || map->image != old.map->image)
		return map == old.map;
	if (!pmf_symbol_find(s->symbols, map->image, leaf->rva, &a) ||
		!pmf_symbol_find(s->symbols, map->image, old.rva, &b))
		return true; /* nothing says that they differ */
	return a.start == b.start;
}

/* The outermost frames of a cut stack, if an earlier one of the thread had the same. */
static size_t join(struct pmf_stacks *s, const struct pmf_record *rec,
	const struct pmf_unwind_in *in, const struct pmf_unwind_out *out, size_t n)
{
	const struct pmf_join_frame *outer;

	s->nr_joined = pmf_joins_find(&s->joins, rec->tid, in, out, &outer);
	for (size_t i = s->nr_joined; i > 0; i--)
		s->ids[n++] = outer[i - 1].id;
	return n;
}

/* Can the sample's dump be unwound? Then *arch is whose registers it has. */
static struct pmf_unwinder *unwinder_of(
	struct pmf_stacks *s, const struct pmf_sample *smp, const struct pmf_arch **arch)
{
	*arch = s->arch;
	if (!s->unwinder || s->mode == PMF_UNWIND_FP || smp->stack_asked == 0 ||
		smp->regs_abi == PERF_SAMPLE_REGS_ABI_NONE)
		return NULL;
	if (smp->regs_abi != PERF_SAMPLE_REGS_ABI_32 || s->arch->word_bytes == 4)
		return s->unwinder;
	*arch = s->arch->narrow;
	if (*arch && !s->narrow)
		s->narrow = pmf_unwinder_new(
			s->mode, pmf_unwinder_can(s->by, *arch) ? s->by : PMF_UNWIND_BY_CFI, *arch);
	s->narrow_unknown |= !*arch;
	return s->narrow;
}

/* A stack that was left for this one, as far as the kernel has followed the frame pointers: they are
 * those of the dump up to where it was left. Nothing of one that is deeper than the kernel goes. */
static size_t left_frames(struct pmf_stacks *s, const struct pmf_record *rec,
	const struct pmf_unwind_in *in, const struct pmf_unwind_out *out, size_t n)
{
	const struct pmf_sample *smp = &rec->sample;
	uint64_t last = out->frames[out->n - 1].va;
	size_t i = 0, after;

	while (i < smp->nr_callchain && smp->callchain[i] != (uint64_t)PERF_CONTEXT_USER)
		i++;
	/* First the pc, then return addresses. */
	after = ++i;
	while (i < smp->nr_callchain && smp->callchain[i] != last + 1)
		i++;
	if (i >= smp->nr_callchain && out->switched_fp == in->regs[in->arch->reg_fp])
		i = after;
	while (++i < smp->nr_callchain && n < PMF_ARRAY_SIZE(s->ids) - 1) {
		uint64_t va = smp->callchain[i] - 1;
		const struct pmf_map *map = pmf_process_map(in->process, va);

		if (!map)
			break;
		s->ids[n++] = user_frame(s, in->process, map, va);
	}
	return n;
}

static size_t dump_frames(struct pmf_stacks *s, struct pmf_process *proc,
	const struct pmf_record *rec, struct pmf_profile_event *pe, size_t n)
{
	const struct pmf_sample *smp = &rec->sample;
	const struct pmf_arch *arch;
	struct pmf_unwinder *unwinder = unwinder_of(s, smp, &arch);
	struct pmf_unwind_in in = {.arch = arch,
		.stack = smp->stack,
		.stack_bytes = smp->stack_bytes,
		.stack_asked = smp->stack_asked,
		.process = proc,
		.table = &s->table,
		.now_ns = rec->time_ns,
		.find_code = pmf_generated_find_code,
		.ctx = s};
	struct pmf_unwind_out out = {.frames = s->frames, .cap = PMF_UNWIND_MAX_FRAMES};
	size_t k = 0, first = n;

	for (unsigned r = 0; r < PMF_ARCH_MAX_REGS; r++)
		if (smp->regs_mask >> r & 1)
			in.regs[r] = smp->regs[k++];
	pmf_unwind(unwinder, &in, &out);
	s->nr_frames = out.n;
	s->rooted = out.end == PMF_END_ROOT;
	if (proc->in_exec && !out.frames[0].map) {
		pe->no_user_stack++;
		return n;
	}
	proc->in_exec = false;
	if (out.end != PMF_END_ROOT && s->table.live)
		pmf_holes_fill(&s->holes, rec, in.regs[arch->reg_sp]);
	if (pe->precise_ip > 0 && out.n &&
		(rec->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER &&
		smp->ip != out.frames[0].va && !fix_precise_leaf(s, proc, smp, &out.frames[0]))
		pe->skewed_stacks++;
	for (size_t i = 0; i < out.n && n < PMF_ARRAY_SIZE(s->ids) - 1; i++)
		s->ids[n++] = unwound_frame(s, &in, &out.frames[i]);
	if (out.end == PMF_END_TRUNCATED)
		n = join(s, rec, &in, &out, n);
	else if (out.switched_fp && smp->nr_callchain < PERF_MAX_STACK_DEPTH)
		n = left_frames(s, rec, &in, &out, n);
	s->rooted |= s->nr_joined > 0;
	if (out.end == PMF_END_ROOT || s->nr_joined)
		pmf_joins_keep(&s->joins, rec->tid, &in, &out, s->ids + first, s->nr_joined);
	if (out.end == PMF_END_ROOT) {
		pe->rooted_stacks++;
	} else if (s->nr_joined) {
		pe->joined_stacks++;
	} else if (out.end == PMF_END_TRUNCATED) {
		pe->cut_stacks++;
		s->ids[n++] = s->truncated_frame;
	} else {
		pe->broken_stacks++;
		s->ids[n++] = s->broken_frame;
	}
	return n;
}

size_t pmf_sample_frames(
	struct pmf_stacks *s, struct pmf_process *proc, const struct pmf_record *rec, bool known)
{
	struct pmf_profile_event *pe = &s->profile->events[rec->event];
	const struct pmf_arch *arch;
	bool dumped = known && unwinder_of(s, &rec->sample, &arch);
	bool branches = known && !dumped && s->mode != PMF_UNWIND_NONE && has_branch_stack(s, rec);
	size_t n, nr_user = 0;

	s->nr_frames = 0;
	s->nr_joined = 0;
	s->rooted = false;
	n = chain_frames(s, proc, rec, known && !dumped && !branches, &nr_user);
	if (dumped)
		n = dump_frames(s, proc, rec, pe, n);
	else if (branches)
		n = branch_frames(s, proc, rec, n);
	else if (s->mode != PMF_UNWIND_NONE && nr_user == 0)
		pe->no_user_stack++;
	if (n == 0 && !known)
		s->ids[n++] = pmf_profile_frame_named(s->profile, PMF_FRAME_SPECIAL, "[user code]");
	else if (n == 0) /* no call graph was asked for, or the kernel gave none */
		n = leaf_frame(s, proc, rec);
	return n;
}
