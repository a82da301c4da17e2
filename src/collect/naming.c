/* Names for the frames of a finished profile, and how many of them have none. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool pmf_naming_symbol(
	struct pmf_stacks *s, struct pmf_image *im, uint64_t rva, struct pmf_symbol *out)
{
	uint64_t start;

	if (pmf_symbol_find(s->symbols, im, rva, out))
		return true;
	return im->kind == PMF_IMAGE_FILE && pmf_unwind_function_start(im, s->arch, rva, &start) &&
	       start != rva && pmf_symbol_find(s->symbols, im, start, out) && out->start == start;
}

static void note_named(struct pmf_stacks *s, uint32_t id, uint64_t start)
{
	const struct pmf_frame *f = &s->profile->frames[id];

	if (f->kind == PMF_FRAME_NATIVE && f->image != UINT32_MAX)
		PMF_PUSH(s->named, s->nr_named, s->cap_named) =
			(struct pmf_named){id, f->image, start, f->rva};
}

/* Without a name, the addresses of one function are still one frame where its bounds are known. */
static void name_unresolved(struct pmf_stacks *s, uint32_t id, struct pmf_image *im)
{
	struct pmf_profile *p = s->profile;
	struct pmf_frame *f = &p->frames[id];
	uint64_t start = f->rva;
	const char *module = pmf_strtab_get(&p->strings, f->module);
	char *name;

	if (f->kind == PMF_FRAME_JIT) {
		name = pmf_asprintf("[generated code: %s]", module);
	} else if (f->image == UINT32_MAX) {
		name = pmf_strdup("[no mapping]");
	} else if (f->kind == PMF_FRAME_KERNEL) {
		name = pmf_strdup("[kernel]");
	} else if (!im || !im->elf) {
		/* Nor are any bounds: each address by itself would say less than the file's name. */
		name = pmf_asprintf("[%s]", module);
	} else {
		pmf_unwind_function_start(im, s->arch, f->rva, &start);
		name = pmf_asprintf("[%s+0x%" PRIx64 "]", module, start);
	}
	pmf_profile_name_frame(p, id, name, NULL, 0);
	p->frames[id].unresolved = true;
	free(name);
	/* What was looked up of a file that turned out to be another is void. */
	if (im && im->elf)
		note_named(s, id, start);
}

/* The kernel's own table says so of what it has made itself: BPF programs and their trampolines. */
/* The kernel also tells of trampolines and of probes' code. */
static void note_bpf(struct pmf_profile *p, uint32_t id, const char *name)
{
	if (strncmp(name, "bpf_", 4) == 0)
		p->frames[id].module = pmf_strtab_addz(&p->strings, "[bpf]");
}

uint32_t pmf_ksymbol_frame(struct pmf_profile *p, const char *name)
{
	uint32_t id = pmf_profile_frame_named(p, PMF_FRAME_KERNEL, name);

	note_bpf(p, id, name);
	return id;
}

static void name_frame(struct pmf_stacks *s, uint32_t id)
{
	struct pmf_profile *p = s->profile;
	struct pmf_frame *f = &p->frames[id];
	const char *name;
	struct pmf_image *im;
	struct pmf_symbol sym;

	if (f->name)
		return;
	im = f->image == UINT32_MAX ? NULL : pmf_image_by_id(&s->table, f->image);
	if (im && im->kind == PMF_IMAGE_KERNEL &&
		(name = pmf_ksymbols_find_gone(&s->ksymbols, f->rva))) {
		pmf_profile_name_frame(p, id, name, NULL, 0);
		note_bpf(p, id, name);
		return;
	}
	if (!im || im->kind == PMF_IMAGE_ANON || !pmf_naming_symbol(s, im, f->rva, &sym)) {
		name_unresolved(s, id, im);
		return;
	}
	pmf_profile_name_frame(p, id, sym.name, NULL, 0);
	note_named(s, id, sym.start);
	if (sym.module)
		p->frames[id].module = pmf_strtab_addz(&p->strings, sym.module);
}

void pmf_naming_images(void *ctx, struct pmf_image *const *images, size_t n)
{
	struct pmf_stacks *s = ctx;
	struct pmf_profile *p = s->profile;
	bool *closing = pmf_calloc(s->table.nr_images, sizeof *closing);

	for (size_t i = 0; i < n; i++)
		closing[images[i]->id] = true;
	for (uint32_t id = 0; id < p->nr_frames; id++)
		if (p->frames[id].image != UINT32_MAX && closing[p->frames[id].image])
			name_frame(s, id);
	for (size_t i = 0; i < n; i++)
		pmf_symbolizer_forget(s->symbols, images[i]);
	free(closing);
}

/* Frames over all samples: a node counts once for every sample at or above it. */
static void count_unresolved(struct pmf_profile *p)
{
	uint64_t *inclusive = pmf_calloc(p->nr_nodes, sizeof *inclusive);

	for (size_t e = 0; e < p->nr_events; e++) {
		for (size_t i = 0; i < p->nr_nodes; i++)
			inclusive[i] = i < p->cap_columns ? p->samples[e][i] : 0;
		/* Children stand behind their parents. */
		for (size_t i = p->nr_nodes; i-- > 1;) {
			const struct pmf_frame *f = &p->frames[p->nodes[i].frame];

			inclusive[p->nodes[i].parent] += inclusive[i];
			if (f->kind == PMF_FRAME_PROCESS || f->kind == PMF_FRAME_THREAD ||
				f->kind == PMF_FRAME_SPECIAL)
				continue;
			p->events[e].frames += inclusive[i];
			if (f->unresolved)
				p->events[e].unresolved_frames += inclusive[i];
		}
	}
	free(inclusive);
}

void pmf_naming_run(struct pmf_stacks *s, pmf_naming_cb *on_progress, void *ctx)
{
	struct pmf_profile *p = s->profile;
	bool kernel_unnamed = false;
	struct pmf_err why = PMF_ERR_INIT;

	pmf_naming_wait(s, on_progress, ctx);
	pmf_generated_end_all(s);
	for (uint32_t id = 0; id < p->nr_frames; id++) {
		name_frame(s, id);
		kernel_unnamed |=
			p->frames[id].kind == PMF_FRAME_KERNEL && p->frames[id].unresolved;
	}
	if (kernel_unnamed && pmf_symbol_kernel_status(s->symbols, &why))
		pmf_profile_note(
			p, PMF_NOTE_WARN, -1, "kernel functions have no names: %s", why.text);
	pmf_naming_lines(s);
	if (s->narrow_unknown)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"32-bit programs on %s are not unwound: their samples show the function "
			"that ran, without its callers",
			s->arch->name);
	count_unresolved(p);
	for (size_t i = 0; i < s->table.nr_images; i++) {
		const struct pmf_image *im = s->table.images[i];

		if (im->build_id_len)
			pmf_profile_set_build_id(p, im->id, im->build_id, im->build_id_len);
	}
}
