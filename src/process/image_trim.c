/* Images that no process maps any more, of which a day of builds leaves thousands: their descriptors,
 * tables and caches go before there are too many of them. The record of an image stays, for frames
 * name it, until a profile that has none of these begins. */
#include "process_priv.h"

#include <stdlib.h>

static bool is_open(const struct pmf_image *im)
{
	return im->kind == PMF_IMAGE_FILE && im->elf;
}

static bool *mark_mapped(const struct pmf_process_table *t)
{
	bool *mapped = pmf_calloc(t->nr_images, sizeof *mapped);

	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->procs[i]->nr_maps; k++)
			mapped[t->procs[i]->maps[k].image->id] = true;
	return mapped;
}

static int by_use(const void *a, const void *b)
{
	const struct pmf_image *x = *(struct pmf_image *const *)a;
	const struct pmf_image *y = *(struct pmf_image *const *)b;

	return (x->last_get > y->last_get) - (x->last_get < y->last_get);
}

void pmf_images_trim(struct pmf_process_table *t, size_t most)
{
	struct pmf_image **idle = NULL;
	size_t nr_idle = 0, cap_idle = 0, open = 0, keep = most / 2;
	bool *mapped;

	/* Opening adds, only this function takes away: no walk over all of them is needed to know
	 * that there are few. */
	if (t->nr_opened <= most)
		return;
	mapped = mark_mapped(t);
	for (size_t i = 0; i < t->nr_images; i++) {
		if (!is_open(t->images[i]))
			continue;
		open++;
		if (!mapped[i])
			PMF_PUSH(idle, nr_idle, cap_idle) = t->images[i];
	}
	if (nr_idle)
		qsort(idle, nr_idle, sizeof *idle, by_use);
	/* What is used again and again, a compiler, say, was got last. */
	nr_idle = PMF_MIN(nr_idle, open > keep ? open - keep : 0);
	if (nr_idle && t->images_closing)
		t->images_closing(t->closing_ctx, idle, nr_idle);
	for (size_t i = 0; i < nr_idle; i++)
		pmf_image_close(idle[i]);
	open -= nr_idle;
	/* When most are in use, wait for as many new ones before looking again. */
	t->nr_opened = open > keep ? most / 2 : open;
	free(idle);
	free(mapped);
}

/* *@text from the table's strings; NULL stays. */
static void renew(struct pmf_process_table *t, const char **text)
{
	if (*text)
		*text = pmf_strtab_get(&t->strings, pmf_strtab_addz(&t->strings, *text));
}

/* The table's strings anew: those of images that have gone are not among them. */
static void renew_strings(struct pmf_process_table *t)
{
	struct pmf_strtab old = t->strings;

	pmf_strtab_init(&t->strings);
	for (size_t i = 0; i < t->nr_images; i++) {
		renew(t, &t->images[i]->path);
		renew(t, &t->images[i]->file);
		renew(t, &t->images[i]->root);
		renew(t, &t->images[i]->name);
	}
	for (size_t i = 0; i < t->nr_roots; i++)
		renew(t, &t->roots[i].path);
	for (size_t i = 0; i < t->n; i++)
		renew(t, &t->procs[i]->container);
	pmf_strtab_release(&old);
}

uint32_t *pmf_process_table_forget_images(
	struct pmf_process_table *t, void (*gone)(void *ctx, const struct pmf_image *im), void *ctx)
{
	uint32_t *ids = pmf_calloc(t->nr_images, sizeof *ids);
	bool *mapped = mark_mapped(t);
	size_t n = t->nr_images;

	t->nr_images = 0;
	pmf_index_release(&t->image_index);
	for (size_t i = 0; i < n; i++) {
		struct pmf_image *im = t->images[i];

		if (im->kind == PMF_IMAGE_FILE && !mapped[i] && im->last_get <= t->gets_before) {
			ids[i] = UINT32_MAX;
			gone(ctx, im);
			pmf_image_free(im);
			continue;
		}
		ids[i] = im->id = (uint32_t)t->nr_images;
		t->images[t->nr_images++] = im;
		pmf_index_add(&t->image_index, pmf_image_hash(im->path), im->id);
	}
	t->gets_before = t->nr_gets;
	renew_strings(t);
	free(mapped);
	return ids;
}
