/* Several readers: each records into a shard of its own, a whole struct pmf_stacks, and the run's end
 * puts them together. docs/adr/0005 says why nothing is shared before. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

/* Images that are closed while the run goes on take their symbols with them. */
static void name_in_time(struct pmf_stacks *s)
{
	s->table.images_closing = pmf_naming_images;
	s->table.closing_ctx = s;
}

void pmf_shards_init(
	struct pmf_shards *sh, struct pmf_stacks *main, enum pmf_unwind_by by, size_t readers)
{
	size_t nr_events = main->list->n;

	sh->main = main;
	name_in_time(main);
	sh->n = readers - 1;
	sh->items = pmf_calloc(sh->n, sizeof *sh->items);
	for (size_t i = 0; i < sh->n; i++) {
		struct pmf_shard *s = pmf_zalloc(sizeof *s);

		sh->items[i] = s;
		pmf_profile_init(&s->profile, nr_events);
		for (size_t e = 0; e < nr_events; e++)
			s->profile.events[e].precise_ip = main->profile->events[e].precise_ip;
		pmf_stacks_init(&s->stacks, &s->profile, main->list, main->arch, main->mode, by,
			main->table.live);
		pmf_stacks_use_sandbox(&s->stacks, main->sandbox, NULL);
		name_in_time(&s->stacks);
		s->stacks.stack_bytes = main->stack_bytes;
		s->stacks.inherit = main->inherit;
		s->stacks.target = main->target;
		s->stacks.name_containers = main->name_containers;
	}
}

void pmf_shards_idle(struct pmf_shards *sh, const char *cpus)
{
	pmf_idle_begin(&sh->main->idle, cpus);
	for (size_t i = 0; i < sh->n; i++)
		sh->items[i]->stacks.idle = sh->main->idle;
}

void pmf_shards_release(struct pmf_shards *sh)
{
	for (size_t i = 0; i < sh->n; i++) {
		pmf_stacks_release(&sh->items[i]->stacks);
		pmf_profile_release(&sh->items[i]->profile);
		free(sh->items[i]);
	}
	free(sh->items);
	*sh = (struct pmf_shards){0};
}

int pmf_shards_record(void *ctx, const struct pmf_record *rec)
{
	struct pmf_shards *sh = ctx;

	/* What there is is to be named and written yet. */
	if (pmf_mem_is_low())
		return 0;
	return pmf_stacks_record(rec->reader ? &sh->items[rec->reader - 1]->stacks : sh->main, rec);
}

int pmf_shards_tell(void *ctx, const struct pmf_record *rec)
{
	struct pmf_shards *sh = ctx;
	struct pmf_record own = *rec;
	int ret = 0;

	for (size_t i = 0; i <= sh->n && ret == 0; i++) {
		own.reader = (uint32_t)i;
		ret = pmf_shards_record(sh, &own);
	}
	return ret;
}

void pmf_shards_ask(struct pmf_shards *sh)
{
	pmf_naming_ask(sh->main, sh->main);
	for (size_t i = 0; i < sh->n; i++)
		pmf_naming_ask(sh->main, &sh->items[i]->stacks);
}

uint64_t pmf_shards_samples(const struct pmf_shards *sh, size_t event)
{
	uint64_t n = sh->main->profile->events[event].samples;

	for (size_t i = 0; i < sh->n; i++)
		n += sh->items[i]->profile.events[event].samples;
	return n;
}

/* The main table's number of each image of @from; it knows nearly all of them by the same records. */
static uint32_t *map_images(struct pmf_process_table *t, const struct pmf_process_table *from)
{
	uint32_t *ids = pmf_calloc(from->nr_images, sizeof *ids);

	for (size_t i = 0; i < from->nr_images; i++) {
		const struct pmf_image *im = from->images[i], *own = pmf_image_like(t, im);

		if (!own)
			own = pmf_image_get(t, im->path, im->dev, im->ino, im->build_id,
				im->build_id_len, -1, 0, 0);
		ids[i] = own->id;
	}
	return ids;
}

/* What a process of the shard counted and sampled belongs to the same process of the main table,
 * whose numbers are still in the making; or, where that has let it go, to its name. */
static void give_cost(struct pmf_stacks *main, struct pmf_stacks *from, struct pmf_process *proc)
{
	struct pmf_process *own = pmf_process_find(&main->table, proc->pid);
	struct pmf_proc_cost *c = proc->user, *to;

	if (!c)
		return;
	if (!own || own->exited != proc->exited ||
		pmf_process_find(&from->table, proc->pid) != proc) {
		pmf_stacks_settle(from, proc);
		return;
	}
	to = pmf_stacks_cost(main, own);
	for (size_t i = 0; i < 2 * main->list->n; i++) {
		to->counted[i] += c->counted[i];
		c->counted[i] = 0;
	}
}

static void merge_one(struct pmf_stacks *main, struct pmf_stacks *from)
{
	uint32_t *images = map_images(&main->table, &from->table), *nodes;
	size_t n = main->list->n;

	pmf_generated_end_all(from);
	for (size_t i = 0; i < from->table.n; i++)
		give_cost(main, from, from->table.procs[i]);
	nodes = pmf_profile_absorb(main->profile, from->profile, images);
	for (size_t i = 0; i < from->nr_deficits; i++) {
		int64_t *deficits = pmf_stacks_deficits(main, nodes[from->deficit_nodes[i]]);

		for (size_t e = 0; e < n; e++)
			deficits[e] += from->deficits[i * n + e];
	}
	for (size_t e = 0; e < n; e++)
		main->read_elsewhere[e] += from->read_elsewhere[e];
	main->narrow_unknown |= from->narrow_unknown;
	main->counts_seen |= from->counts_seen;
	main->table.maps_reread += from->table.maps_reread;
	free(nodes);
	free(images);
}

void pmf_shards_merge(struct pmf_shards *sh)
{
	for (size_t i = 0; i < sh->n; i++)
		merge_one(sh->main, &sh->items[i]->stacks);
}
