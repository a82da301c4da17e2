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

/* ---- In a sandbox, questions go together ---- */

struct question {
	struct pmf_image *image;
	uint64_t rva;
};

static int by_image(const void *va, const void *vb)
{
	const struct question *a = va, *b = vb;

	if (a->image != b->image)
		return a->image->id < b->image->id ? -1 : 1;
	return (a->rva > b->rva) - (a->rva < b->rva);
}

static void ask_sorted(struct pmf_stacks *s, struct question *q, size_t n)
{
	uint64_t *rvas = pmf_calloc(n, sizeof *rvas);

	if (n)
		qsort(q, n, sizeof *q, by_image);
	for (size_t i = 0, k; i < n; i += k) {
		for (k = 0; i + k < n && q[i + k].image == q[i].image; k++)
			rvas[k] = q[i + k].rva;
		pmf_symbolizer_ask(s->symbols, q[i].image, rvas, k);
	}
	free(rvas);
}

/* Ask for the names of all frames of @images (by id; NULL: of all) that have none yet, and then for those
 * of functions' starts, as pmf_naming_symbol does one by one. */
static void ask_together(struct pmf_stacks *s, const bool *images)
{
	const struct pmf_profile *p = s->profile;
	struct question *q = NULL;
	size_t n = 0, cap = 0, nr_starts = 0;
	struct pmf_symbol sym;

	if (!pmf_symbolizer_wants_batches(s->symbols) || s->depth == PMF_NAMES_NONE)
		return;
	for (uint32_t id = 0; id < p->nr_frames; id++) {
		const struct pmf_frame *f = &p->frames[id];
		struct pmf_image *im = f->name || f->image == UINT32_MAX
					       ? NULL
					       : pmf_image_by_id(&s->table, f->image);

		if (im && im->elf && (!images || images[im->id]))
			PMF_PUSH(q, n, cap) = (struct question){im, f->rva};
	}
	ask_sorted(s, q, n);
	for (size_t i = 0; i < n; i++)
		if (q[i].image->kind == PMF_IMAGE_FILE &&
			!pmf_symbol_find(s->symbols, q[i].image, q[i].rva, &sym) &&
			pmf_unwind_function_start(q[i].image, s->arch, q[i].rva, &q[i].rva))
			q[nr_starts++] = q[i];
	ask_sorted(s, q, nr_starts);
	free(q);
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
		if (s->depth != PMF_NAMES_NONE)
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
	if (!im || im->kind == PMF_IMAGE_ANON || s->depth == PMF_NAMES_NONE ||
		!pmf_naming_symbol(s, im, f->rva, &sym)) {
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
	ask_together(s, closing);
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

void pmf_naming_choose(struct pmf_stacks *s, const struct pmf_image_search *search,
	const struct pmf_collect_opts *o)
{
	static const char *const left_out[] = {
		[PMF_NAMES_FUNCTIONS] = "source lines and inlined functions were",
		[PMF_NAMES_NONE] = "names of functions were"};

	if (!o->naming_depth || !pmf_mem_is_limited())
		return;
	/* Threads do not outlive a fork. */
	pmf_lines_free(s->lines);
	s->lines = NULL;
	s->nr_asked = 0;
	pmf_symbol_kernel_status(s->symbols, NULL);
	s->depth = o->naming_depth(o->ctx);
	if (s->depth == PMF_NAMES_LINES)
		s->lines = pmf_lines_new(search, o->inlines, s->sandbox);
	else
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"%s left out: memory did not suffice for them (ulimit -v)",
			left_out[s->depth]);
}

/* Images that cost their reader its life. */
static void note_lost(struct pmf_stacks *s)
{
	const char *why;

	for (size_t i = 0; i < s->table.nr_images; i++)
		if ((why = pmf_symbolizer_why(s->symbols, s->table.images[i]))[0])
			pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
				"'%s' has no function names: %s", s->table.images[i]->name, why);
}

void pmf_naming_run(struct pmf_stacks *s, pmf_naming_cb *on_progress, void *ctx)
{
	struct pmf_profile *p = s->profile;
	bool kernel_unnamed = false;
	struct pmf_err why = PMF_ERR_INIT;

	pmf_naming_wait(s, on_progress, ctx);
	pmf_generated_end_all(s);
	ask_together(s, NULL);
	for (uint32_t id = 0; id < p->nr_frames; id++) {
		name_frame(s, id);
		kernel_unnamed |=
			p->frames[id].kind == PMF_FRAME_KERNEL && p->frames[id].unresolved;
	}
	if (kernel_unnamed && pmf_symbol_kernel_status(s->symbols, &why))
		pmf_profile_note(
			p, PMF_NOTE_WARN, -1, "kernel functions have no names: %s", why.text);
	note_lost(s);
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
