#include "pmuflame/hash.h"

#include <stdlib.h>
#include <string.h>

/* A slot's value is kept plus one, so that zeroed memory is an empty index; a removed slot keeps
 * its place in the probe chain as a tombstone. */
struct pmf_index_slot {
	uint32_t hash;
	uint32_t value_plus_1;
};

enum { INDEX_MIN = 64 };
#define TOMBSTONE UINT32_MAX

uint64_t pmf_hash_u64(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 32;
	return x;
}

uint64_t pmf_hash_bytes(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = len, word;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&word, p, 8);
		h = pmf_hash_u64(h ^ word);
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		h = pmf_hash_u64(h ^ word);
	}
	return h;
}

void pmf_index_init(struct pmf_index *ix)
{
	memset(ix, 0, sizeof *ix);
}

void pmf_index_release(struct pmf_index *ix)
{
	free(ix->slots);
	pmf_index_init(ix);
}

static void put(struct pmf_index *ix, uint32_t hash, uint32_t value_plus_1)
{
	size_t i = hash & ix->mask;

	while (ix->slots[i].value_plus_1)
		i = (i + 1) & ix->mask;
	ix->slots[i] = (struct pmf_index_slot){hash, value_plus_1};
}

static void rehash(struct pmf_index *ix)
{
	struct pmf_index_slot *old = ix->slots;
	size_t old_slots = old ? ix->mask + 1 : 0, live = 0, slots = INDEX_MIN;

	for (size_t i = 0; i < old_slots; i++)
		live += old[i].value_plus_1 && old[i].value_plus_1 != TOMBSTONE;
	while (slots < 4 * (live + 1))
		slots *= 2;
	ix->slots = pmf_calloc(slots, sizeof *ix->slots);
	ix->mask = slots - 1;
	ix->n = live;
	for (size_t i = 0; i < old_slots; i++)
		if (old[i].value_plus_1 && old[i].value_plus_1 != TOMBSTONE)
			put(ix, old[i].hash, old[i].value_plus_1);
	free(old);
}

uint32_t pmf_index_find(const struct pmf_index *ix, uint64_t hash, pmf_index_eq *eq,
	const void *ctx, const void *key)
{
	uint32_t h = (uint32_t)hash;

	if (!ix->slots)
		return UINT32_MAX;
	for (size_t i = h & ix->mask; ix->slots[i].value_plus_1; i = (i + 1) & ix->mask) {
		const struct pmf_index_slot *s = &ix->slots[i];

		if (s->hash == h && s->value_plus_1 != TOMBSTONE &&
			eq(ctx, s->value_plus_1 - 1, key))
			return s->value_plus_1 - 1;
	}
	return UINT32_MAX;
}

void pmf_index_prefetch(const struct pmf_index *ix, uint64_t hash)
{
	if (ix->slots)
		__builtin_prefetch(&ix->slots[hash & ix->mask]);
}

void pmf_index_add(struct pmf_index *ix, uint64_t hash, uint32_t value)
{
	/* Tombstones count as used until a rehash, so a chain always ends at an empty slot. */
	if (!ix->slots || 2 * (ix->n + 1) > ix->mask)
		rehash(ix);
	put(ix, (uint32_t)hash, value + 1);
	ix->n++;
}

bool pmf_index_remove(struct pmf_index *ix, uint64_t hash, uint32_t value)
{
	uint32_t h = (uint32_t)hash;

	if (!ix->slots)
		return false;
	for (size_t i = h & ix->mask; ix->slots[i].value_plus_1; i = (i + 1) & ix->mask) {
		if (ix->slots[i].hash == h && ix->slots[i].value_plus_1 == value + 1) {
			ix->slots[i].value_plus_1 = TOMBSTONE;
			return true;
		}
	}
	return false;
}

struct strkey {
	const char *s;
	size_t len;
};

static bool str_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_strtab *t = ctx;
	const struct strkey *k = key;

	return strncmp(t->strs[value], k->s, k->len) == 0 && t->strs[value][k->len] == '\0';
}

void pmf_strtab_init(struct pmf_strtab *t)
{
	memset(t, 0, sizeof *t);
	pmf_arena_init(&t->arena);
	pmf_index_init(&t->index);
	pmf_strtab_add(t, "", 0);
}

void pmf_strtab_release(struct pmf_strtab *t)
{
	pmf_arena_release(&t->arena);
	pmf_index_release(&t->index);
	free(t->strs);
	memset(t, 0, sizeof *t);
}

uint32_t pmf_strtab_add(struct pmf_strtab *t, const char *s, size_t len)
{
	struct strkey key = {s, strnlen(s, len)};
	uint64_t hash = pmf_hash_bytes(s, key.len);
	uint32_t id = pmf_index_find(&t->index, hash, str_eq, t, &key);

	if (id != UINT32_MAX)
		return id;
	id = (uint32_t)t->n;
	PMF_PUSH(t->strs, t->n, t->cap) = pmf_arena_strndup(&t->arena, s, key.len);
	pmf_index_add(&t->index, hash, id);
	return id;
}

uint32_t pmf_strtab_find(const struct pmf_strtab *t, const char *s, size_t len)
{
	struct strkey key = {s, strnlen(s, len)};

	return pmf_index_find(&t->index, pmf_hash_bytes(s, key.len), str_eq, t, &key);
}

uint32_t pmf_strtab_addz(struct pmf_strtab *t, const char *s)
{
	return pmf_strtab_add(t, s, strlen(s));
}

const char *pmf_strtab_get(const struct pmf_strtab *t, uint32_t id)
{
	return id < t->n ? t->strs[id] : "";
}
