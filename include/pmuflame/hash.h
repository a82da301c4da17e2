/* pmuflame/hash.h - hashing, an integer map and string interning.
 * Layer: base. Threads: one owner. */
#ifndef PMUFLAME_HASH_H
#define PMUFLAME_HASH_H

#include "pmuflame/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t pmf_hash_u64(uint64_t x);
uint64_t pmf_hash_bytes(const void *data, size_t len);

/* An index: 32-bit values (places in the caller's own array) found by a hash, open addressing. The
 * caller compares the candidates, so one implementation serves every key type. */
struct pmf_index {
	struct pmf_index_slot *slots;
	size_t mask; /* number of slots - 1 */
	size_t n;
};

typedef bool pmf_index_eq(const void *ctx, uint32_t value, const void *key);

void pmf_index_init(struct pmf_index *ix);
void pmf_index_release(struct pmf_index *ix);
/* The value stored under @hash for which @eq(ctx, value, key) holds, or UINT32_MAX. */
uint32_t pmf_index_find(const struct pmf_index *ix, uint64_t hash, pmf_index_eq *eq,
	const void *ctx, const void *key);
/* @hash will be looked for soon. */
void pmf_index_prefetch(const struct pmf_index *ix, uint64_t hash);
/* Store @value, at most UINT32_MAX - 2; the caller knows that it is not there yet. */
void pmf_index_add(struct pmf_index *ix, uint64_t hash, uint32_t value);
/* Forget @value stored under @hash; false if it is not there. */
bool pmf_index_remove(struct pmf_index *ix, uint64_t hash, uint32_t value);

/* Interned strings: the same bytes get the same id; id 0 is the empty string. Strings stay where
 * they are for the table's life and are NUL-terminated (a NUL inside @s cuts it there). */
struct pmf_strtab {
	struct pmf_arena arena;
	struct pmf_index index;
	const char **strs;
	size_t n, cap;
};

void pmf_strtab_init(struct pmf_strtab *t);
void pmf_strtab_release(struct pmf_strtab *t);
uint32_t pmf_strtab_add(struct pmf_strtab *t, const char *s, size_t len);
/* Its id, or UINT32_MAX if it is not there. */
uint32_t pmf_strtab_find(const struct pmf_strtab *t, const char *s, size_t len);
uint32_t pmf_strtab_addz(struct pmf_strtab *t, const char *s);
const char *pmf_strtab_get(const struct pmf_strtab *t, uint32_t id);

#endif
