/* The ledger of a recording: what perf was told, what it lost, and what is not here any more. */
#include "recording_priv.h"

#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <stdlib.h>
#include <sys/stat.h>

enum { NAMED = 3 }; /* files in a sentence */

static void note_losses(const struct recording *r, struct pmf_profile *p)
{
	const struct pmf_perf_data_lost *lost = pmf_perf_data_lost(r->pd);
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX];

	p->lost_unattributed = 0;
	for (size_t i = 0; i < r->info->nr_events; i++) {
		struct pmf_profile_event *pe;

		if (r->columns[i] == PMF_NO_EVENT)
			continue;
		pe = &p->events[r->columns[i]];
		pe->lost = r->info->events[i].lost_samples;
		pe->lost_known = lost->samples > 0 || lost->records == 0;
		if (!pe->lost)
			continue;
		pmf_profile_note(p, PMF_NOTE_WARN, (int)r->columns[i],
			"%s samples of '%s' were lost (%s): perf's buffers were full; fewer samples "
			"(-F, -c) or larger buffers (-m) avoid it",
			pmf_format_count(a, pe->lost), pe->label,
			pmf_format_percent(b, (double)pe->lost, (double)(pe->lost + pe->samples)));
	}
	if (lost->records > lost->samples)
		p->lost_unattributed = lost->records - lost->samples;
}

static void note_damage(const struct recording *r, struct pmf_profile *p)
{
	const struct pmf_perf_data_damage *d = pmf_perf_data_damage(r->pd);
	char a[PMF_UNITS_MAX];

	if (d->stopped.status != PMF_OK)
		pmf_profile_note(p, PMF_NOTE_WARN, -1, "the recording was not read to its end: %s",
			d->stopped.text);
	else if (d->missing)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"the recording is incomplete: %s that it promises are missing",
			pmf_format_bytes(a, d->missing));
	else if (d->unfinished)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"perf did not finish the recording: what it says of its machine and of "
			"build ids is missing");
	if (r->info->aux)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"the recording also holds a hardware trace (Intel PT, Arm SPE), which is "
			"not decoded here");
}

static void note_stacks(const struct recording *r, struct pmf_profile *p, size_t e)
{
	const struct perf_event_attr *attr = &r->list.events[e].attrs[0].attr;
	struct pmf_profile_event *pe = &p->events[e];
	char a[PMF_UNITS_MAX];

	if (r->stacks.mode == PMF_UNWIND_NONE || !pe->samples)
		return;
	if (attr->branch_sample_type & PERF_SAMPLE_BRANCH_CALL_STACK)
		pmf_profile_note(p, PMF_NOTE_INFO, (int)e,
			"'%s' has its user stacks from the processor (LBR), which keeps 8 to 32 "
			"callers: deeper ones lack their outer frames",
			pe->label);
	if (pe->cut_stacks * 100 > pe->samples)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"%s of the stacks of '%s' were cut, deeper than the %u bytes copied with "
			"each: `perf record --call-graph dwarf,65528` copies more",
			pmf_format_percent(a, (double)pe->cut_stacks, (double)pe->samples),
			pe->label, attr->sample_stack_user);
	if (pe->throttled)
		pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
			"'%s' was throttled %s times: the kernel then stops it until its next tick, "
			"so all its numbers are too low",
			pe->label, pmf_format_count(a, pe->throttled));
}

/* Mostly it is all events or none (perf-record(1), -g): one sentence for them all. */
static void note_flat(const struct recording *r, struct pmf_profile *p)
{
	struct pmf_buf labels = PMF_BUF_INIT;
	size_t n = 0, last = 0;

	for (size_t e = 0; e < p->nr_events && r->stacks.mode != PMF_UNWIND_NONE; e++) {
		const struct perf_event_attr *attr = &r->list.events[e].attrs[0].attr;

		if (!p->events[e].samples ||
			(attr->sample_type & (PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_STACK_USER)))
			continue;
		p->events[e].no_user_stack = 0; /* nobody asked for one */
		pmf_buf_printf(&labels, "%s'%s'", n ? ", " : "", p->events[e].label);
		last = e;
		n++;
	}
	if (n)
		pmf_profile_note(p, PMF_NOTE_WARN, n == 1 ? (int)last : -1,
			"%s %s recorded without call graphs, so every stack is one function: "
			"`perf record --call-graph dwarf` (or fp, with frame pointers) takes whole ones",
			pmf_buf_str(&labels), n == 1 ? "was" : "were");
	pmf_buf_release(&labels);
}

/* ---- Files ---- */

struct used_image {
	const struct pmf_image *image;
	uint64_t samples; /* whose leaf is in it */
};

static int by_samples(const void *a, const void *b)
{
	const struct used_image *x = a, *y = b;

	return (x->samples < y->samples) - (x->samples > y->samples);
}

/* The files that have frames, those with the most samples first. free(3) the result. */
static struct used_image *used_images(
	const struct recording *r, const struct pmf_profile *p, size_t *n)
{
	size_t all = r->stacks.table.nr_images;
	struct used_image *used = pmf_calloc(all, sizeof *used);

	for (size_t i = 0; i < p->nr_nodes && i < p->cap_columns; i++) {
		uint32_t image = p->frames[p->nodes[i].frame].image;

		if (image == UINT32_MAX)
			continue;
		used[image].image = r->stacks.table.images[image];
		for (size_t e = 0; e < p->nr_events; e++)
			used[image].samples += p->samples[e][i];
	}
	*n = 0;
	for (size_t i = 0; i < all; i++)
		if (used[i].image && used[i].image->kind != PMF_IMAGE_KERNEL &&
			used[i].image->kind != PMF_IMAGE_ANON)
			used[(*n)++] = used[i];
	qsort(used, *n, sizeof *used, by_samples);
	return used;
}

static void add_name(struct pmf_buf *names, size_t nr, const struct pmf_image *im, bool why)
{
	if (nr > NAMED)
		return;
	pmf_buf_printf(names, "%s%s", nr > 1 ? ", " : "", im->path);
	if (why)
		pmf_buf_printf(names, " (%s)", im->why);
}

/* Is that what was mapped, by its build id or by being the same file still? */
static bool is_certain(const struct recording *r, const struct pmf_image *im)
{
	struct stat st;
	uint8_t id[20];

	return im->told_build_id || r->search.build_id(r->search.ctx, im->path, id) ||
	       (r->kernel.this_host && im->fd >= 0 && fstat(im->fd, &st) == 0 &&
		       im->ino == st.st_ino);
}

static void note_files(const struct recording *r, struct pmf_profile *p)
{
	struct pmf_buf missing = PMF_BUF_INIT, unchecked = PMF_BUF_INIT;
	size_t n, nr_missing = 0, nr_unchecked = 0;
	struct used_image *used = used_images(r, p, &n);

	for (size_t i = 0; i < n; i++) {
		const struct pmf_image *im = used[i].image;

		if (!im->file && im->why[0])
			add_name(&missing, ++nr_missing, im, true);
		else if (im->kind == PMF_IMAGE_FILE && im->file && !is_certain(r, im))
			add_name(&unchecked, ++nr_unchecked, im, false);
	}
	if (nr_missing)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%zu recorded file%s not here, and the functions in %s have no names: %s%s; "
			"--symfs names a folder with the recorded machine's files, or unpack what "
			"`perf archive` makes there into ~/.debug",
			nr_missing, nr_missing == 1 ? " is" : "s are",
			nr_missing == 1 ? "it" : "them", pmf_buf_str(&missing),
			nr_missing > NAMED ? ", …" : "");
	if (nr_unchecked)
		pmf_profile_note(p, PMF_NOTE_INFO, -1,
			"the recording has no build id for %zu file%s, so whatever stands at the "
			"path now was taken: %s%s",
			nr_unchecked, nr_unchecked == 1 ? "" : "s", pmf_buf_str(&unchecked),
			nr_unchecked > NAMED ? ", …" : "");
	pmf_buf_release(&missing);
	pmf_buf_release(&unchecked);
	free(used);
}

void pmf_recording_notes(struct recording *r, struct pmf_profile *p)
{
	note_losses(r, p);
	note_damage(r, p);
	for (size_t e = 0; e < p->nr_events; e++)
		note_stacks(r, p, e);
	note_flat(r, p);
	if (r->foreign_dumps && r->stacks.mode != PMF_UNWIND_NONE)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"stacks of %s code cannot be unwound here: callers are what the kernel walked "
			"(callchains) alone",
			r->info->arch_name ? r->info->arch_name : "another machine's");
	note_files(r, p);
}
