/* The caches of rules: one per image, which outlives every change of maps, and one per process. */
#include "rule_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

/* Places: 4 KiB of rules, 10 KiB of addresses at first; 1 and 2.5 MiB at most. */
enum { MIN_PLACES = 256, MAX_PLACES = 65536, GROW_BY = 4 };

/* How many places a cache should have that has @places now and got @filled entries since. */
static size_t next_places(size_t places, size_t filled)
{
	if (places == 0)
		return MIN_PLACES;
	return filled > places / 2 && places < MAX_PLACES ? places * GROW_BY : places;
}

/* ---- Images ---- */

void pmf_image_rules_release(struct pmf_image_rules *r)
{
	free(r->entries);
	memset(r, 0, sizeof *r);
}

static void grow_image(struct pmf_image_rules *r)
{
	struct pmf_image_rules old = *r;
	size_t n = old.entries ? old.mask + 1 : 0, places = next_places(n, old.filled);

	if (places == n)
		return;
	r->entries = pmf_calloc(places, sizeof *r->entries);
	r->mask = places - 1;
	r->filled = 0;
	for (size_t i = 0; i < n; i++)
		if (old.entries[i].rule.kind != PMF_RULE_EMPTY)
			r->entries[pmf_pc_slot(old.entries[i].rva, r->mask)] = old.entries[i];
	free(old.entries);
}

static struct pmf_rule rule_in_image(
	struct pmf_image *im, const struct pmf_arch *arch, uint64_t rva)
{
	const struct pmf_cfi *cfi = im->kind == PMF_IMAGE_ANON ? NULL : pmf_cfi_of(im, arch);
	struct pmf_image_rules *r;
	size_t slot;

	if (!cfi)
		return pmf_rule_at(NULL, arch, rva);
	r = cfi->rules;
	grow_image(r);
	slot = pmf_pc_slot(rva, r->mask);
	if (r->entries[slot].rva != rva || r->entries[slot].rule.kind == PMF_RULE_EMPTY) {
		r->entries[slot].rva = rva;
		r->entries[slot].rule = pmf_rule_at(cfi, arch, rva);
		r->filled++;
	}
	return r->entries[slot].rule;
}

/* ---- Processes ---- */

void pmf_pc_cache_release(struct pmf_pc_cache *c)
{
	free(c->entries);
	memset(c, 0, sizeof *c);
}

static void grow_pcs(struct pmf_pc_cache *c)
{
	struct pmf_pc_cache old = *c;
	size_t n = old.entries ? old.mask + 1 : 0, places = next_places(n, old.filled);

	if (places == n)
		return;
	c->entries = pmf_calloc(places, sizeof *c->entries);
	c->mask = places - 1;
	c->filled = 0;
	for (size_t i = 0; i < n; i++)
		if (old.entries[i].stamp == c->stamp)
			c->entries[pmf_pc_slot(old.entries[i].va, c->mask)] = old.entries[i];
	free(old.entries);
}

void pmf_pc_cache_sync(struct pmf_pc_cache *c, const struct pmf_process *p)
{
	if (c->entries && c->generation == p->maps_generation)
		return;
	c->generation = p->maps_generation;
	/* Zeroed entries must never look valid. */
	if (++c->stamp == 0) {
		free(c->entries);
		c->entries = NULL;
		c->stamp = 1;
	}
	c->filled = 0;
	grow_pcs(c);
}

const struct pmf_pc *pmf_pc_cache_fill(struct pmf_pc_cache *c, const struct pmf_process *p,
	const struct pmf_map *map, const struct pmf_arch *arch, uint64_t va)
{
	struct pmf_pc *e;

	grow_pcs(c);
	e = &c->entries[pmf_pc_slot(va, c->mask)];
	*e = (struct pmf_pc){
		.va = va,
		.rule = rule_in_image(map->image, arch, va - map->bias),
		.map = (uint32_t)(map - p->maps),
		.stamp = c->stamp,
	};
	c->filled++;
	return e;
}
