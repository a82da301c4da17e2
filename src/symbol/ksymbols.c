/* What the kernel says of code that it makes and frees. Addresses are used again: names count at their
 * time. */
#include "pmuflame/symbol.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_KSYMBOLS = 65536 };

void pmf_ksymbols_init(struct pmf_ksymbols *k)
{
	memset(k, 0, sizeof *k);
	pmf_strtab_init(&k->names);
}

void pmf_ksymbols_release(struct pmf_ksymbols *k)
{
	free(k->live);
	free(k->gone);
	pmf_strtab_release(&k->names);
}

/* How many of @items start at or before @va. */
static size_t count_before(const struct pmf_ksymbol *items, size_t n, uint64_t va)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;

		if (items[mid].start <= va)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

static const struct pmf_ksymbol *find(const struct pmf_ksymbol *items, size_t n, uint64_t va)
{
	size_t i = count_before(items, n, va);

	return i && va < items[i - 1].end ? &items[i - 1] : NULL;
}

/* Put in @sym, which takes the place of all that it overlaps. */
static void insert(
	struct pmf_ksymbol **items, size_t *n, size_t *cap, const struct pmf_ksymbol *sym)
{
	size_t from = count_before(*items, *n, sym->start), to;

	if (from && (*items)[from - 1].end > sym->start)
		from--;
	for (to = from; to < *n && (*items)[to].start < sym->end;)
		to++;
	if (to == from && *n == MAX_KSYMBOLS)
		return;
	*items = pmf_grow(*items, cap, *n + 1, sizeof **items);
	memmove(*items + from + 1, *items + to, (*n - to) * sizeof **items);
	(*items)[from] = *sym;
	*n += 1 + from - to;
}

static bool make(struct pmf_ksymbols *k, uint64_t start, uint32_t len, const char *name,
	struct pmf_ksymbol *out)
{
	if (len == 0 || start > UINT64_MAX - len || !*name)
		return false;
	*out = (struct pmf_ksymbol){start, start + len, pmf_strtab_addz(&k->names, name)};
	return true;
}

void pmf_ksymbols_add(struct pmf_ksymbols *k, uint64_t start, uint32_t len, const char *name)
{
	struct pmf_ksymbol sym;

	if (make(k, start, len, name, &sym))
		insert(&k->live, &k->nr_live, &k->cap_live, &sym);
}

void pmf_ksymbols_remove(struct pmf_ksymbols *k, uint64_t start, uint32_t len, const char *name)
{
	size_t i = count_before(k->live, k->nr_live, start);
	struct pmf_ksymbol sym;

	if (i && k->live[i - 1].start == start)
		memmove(k->live + i - 1, k->live + i, (k->nr_live-- - i) * sizeof *k->live);
	else if (!find(k->gone, k->nr_gone, start) && make(k, start, len, name, &sym))
		insert(&k->gone, &k->nr_gone, &k->cap_gone, &sym);
}

static const char *name_of(const struct pmf_ksymbols *k, const struct pmf_ksymbol *sym)
{
	return sym ? pmf_strtab_get(&k->names, sym->name) : NULL;
}

const char *pmf_ksymbols_find(const struct pmf_ksymbols *k, uint64_t va)
{
	return name_of(k, find(k->live, k->nr_live, va));
}

const char *pmf_ksymbols_find_gone(const struct pmf_ksymbols *k, uint64_t va)
{
	return name_of(k, find(k->gone, k->nr_gone, va));
}
