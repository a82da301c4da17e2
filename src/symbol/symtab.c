/* A sorted table of functions: names stay in the string tables that they came in and are demangled
 * when somebody asks. */
#include "symbol_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
	MAX_NAME = 64 * 1024, /* bytes of a name that are shown */
	MAX_UNDERSCORES = 15, /* what a rank has room for */
	PLT_MASK = PMF_SYM_PLT - 1,
};

void pmf_symtab_init(struct pmf_symtab *t)
{
	memset(t, 0, sizeof *t);
	pmf_strtab_init(&t->modules);
	pmf_index_init(&t->name_index);
}

void pmf_symtab_release(struct pmf_symtab *t)
{
	for (size_t i = 0; i < t->nr_blobs; i++)
		free(t->blobs[i]);
	for (size_t i = 0; i < t->nr_names; i++)
		free(t->names[i].text);
	free(t->names);
	free(t->syms);
	free(t->code);
	pmf_strtab_release(&t->modules);
	pmf_index_release(&t->name_index);
}

int pmf_symtab_add_blob(struct pmf_symtab *t, char *bytes, size_t len)
{
	if (t->nr_blobs == PMF_SYM_MAX_BLOBS || len > UINT32_MAX) {
		free(bytes);
		return -1;
	}
	t->blobs[t->nr_blobs] = bytes;
	t->blob_bytes[t->nr_blobs] = len;
	return (int)t->nr_blobs++;
}

uint8_t pmf_sym_rank(const char *name, unsigned base, uint64_t size)
{
	size_t underscores = strspn(name, "_");

	/* glibc's second names of its own functions, for calls within it. */
	if (underscores > MAX_UNDERSCORES || strncmp(name, "__GI_", 5) == 0)
		underscores = MAX_UNDERSCORES;
	return (uint8_t)(base | underscores << 1 | (size == 0));
}

/* Of two symbols at one address. */
static int by_rank(const void *a, const void *b)
{
	const struct pmf_sym *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->blob != y->blob)
		return x->blob < y->blob ? -1 : 1;
	return (x->name > y->name) - (x->name < y->name);
}

static bool starts_in_order(const struct pmf_symtab *t)
{
	for (size_t i = 1; i < t->n; i++)
		if (t->syms[i].start < t->syms[i - 1].start)
			return false;
	return true;
}

/* Sort by start, byte by byte from the lowest, leaving out those that all share: tables of a
 * hundred thousand symbols are read while somebody waits for the picture. */
static void radix_sort(struct pmf_symtab *t)
{
	struct pmf_sym *from = t->syms, *to = pmf_calloc(t->n, sizeof *to), *swap;
	uint64_t differ = 0;

	for (size_t i = 1; i < t->n; i++)
		differ |= t->syms[i].start ^ t->syms[0].start;
	for (unsigned shift = 0; shift < 64; shift += 8) {
		size_t place[257] = {0};

		if (!(differ >> shift & 0xff))
			continue;
		for (size_t i = 0; i < t->n; i++)
			place[(from[i].start >> shift & 0xff) + 1]++;
		for (size_t b = 0; b < 256; b++)
			place[b + 1] += place[b];
		for (size_t i = 0; i < t->n; i++)
			to[place[from[i].start >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	t->syms = from;
	t->cap = t->n;
	free(to);
}

void pmf_symtab_sort(struct pmf_symtab *t)
{
	if (!starts_in_order(t))
		radix_sort(t);
	for (size_t i = 0, end; i < t->n; i = end) {
		for (end = i + 1; end < t->n && t->syms[end].start == t->syms[i].start;)
			end++;
		if (end - i > 1)
			qsort(t->syms + i, end - i, sizeof *t->syms, by_rank);
	}
}

static int by_range_start(const void *a, const void *b)
{
	const struct pmf_sym_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* The end of the executable section that holds @addr; 0 if none does. Without any known section,
 * everything is code. */
static uint64_t code_end(const struct pmf_symtab *t, uint64_t addr)
{
	size_t lo = 0, hi = t->nr_code;

	if (!t->nr_code)
		return UINT64_MAX;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->code[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && addr < t->code[lo - 1].end ? t->code[lo - 1].end : 0;
}

/* Drop what is not code, all names of an address but the best, and labels without a size inside a
 * function that has one. */
static void drop_needless(struct pmf_symtab *t)
{
	uint64_t covered = 0; /* up to here by functions with a size */
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct pmf_sym s = t->syms[i];
		uint64_t end = code_end(t, s.start);

		/* The best name may be an alias that an assembler gave no size. */
		for (; i + 1 < t->n && t->syms[i + 1].start == s.start; i++)
			if (!s.size)
				s.size = t->syms[i + 1].size;
		if (!end || (!s.size && s.start < covered))
			continue;
		s.size = (uint32_t)PMF_MIN(s.size, end - s.start);
		covered = PMF_MAX(covered, s.start + s.size);
		t->syms[n++] = s;
	}
	t->n = n;
}

void pmf_symtab_seal(struct pmf_symtab *t)
{
	if (t->nr_code)
		qsort(t->code, t->nr_code, sizeof *t->code, by_range_start);
	pmf_symtab_sort(t);
	drop_needless(t);
	for (size_t i = 0; i < t->n; i++) {
		struct pmf_sym *s = &t->syms[i];
		uint64_t end = code_end(t, s->start);

		if (!s->size) {
			if (i + 1 < t->n)
				end = PMF_MIN(end, t->syms[i + 1].start);
			s->size = (uint32_t)PMF_MIN(end - s->start, UINT32_MAX);
		}
		/* Where an address is past the end of the nearest symbol before it, the next one to
		 * ask is the nearest that had not ended there. */
		s->outer = i ? (uint32_t)i - 1 : UINT32_MAX;
		while (s->outer != UINT32_MAX &&
			s->start - t->syms[s->outer].start >= t->syms[s->outer].size)
			s->outer = t->syms[s->outer].outer;
	}
	t->syms = pmf_reallocarray(t->syms, t->n, sizeof *t->syms);
	t->cap = t->n;
}

const struct pmf_sym *pmf_symtab_find(const struct pmf_symtab *t, uint64_t addr)
{
	size_t lo = 0, hi = t->n;
	uint32_t i;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->syms[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (i = lo ? (uint32_t)lo - 1 : UINT32_MAX; i != UINT32_MAX; i = t->syms[i].outer)
		if (addr - t->syms[i].start < t->syms[i].size)
			return &t->syms[i];
	return NULL;
}

const char *pmf_symtab_raw_name(const struct pmf_symtab *t, const struct pmf_sym *sym)
{
	return t->blobs[sym->blob & PLT_MASK] + sym->name;
}

static bool name_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_symtab *t = ctx;

	return t->names[value].sym == *(const uint32_t *)key;
}

const char *pmf_symtab_name(struct pmf_symtab *t, const struct pmf_sym *sym)
{
	uint32_t key = (uint32_t)(sym - t->syms), i;
	uint64_t hash = pmf_hash_u64(key);
	const char *raw;
	char *bare, *text;

	i = pmf_index_find(&t->name_index, hash, name_eq, t, &key);
	if (i != UINT32_MAX)
		return t->names[i].text;
	raw = pmf_symtab_raw_name(t, sym);
	bare = pmf_strndup(raw, MAX_NAME);
	/* A version as in fopen@@GLIBC_2.2.5; a name does not begin with it. */
	if (bare[0])
		bare[1 + strcspn(bare + 1, "@")] = '\0';
	text = pmf_symbol_demangle(bare);
	free(bare);
	if (sym->blob & PMF_SYM_PLT) {
		char *stub = pmf_asprintf("%s@plt", text);

		free(text);
		text = stub;
	}
	pmf_index_add(&t->name_index, hash, (uint32_t)t->nr_names);
	PMF_PUSH(t->names, t->nr_names, t->cap_names) = (struct pmf_sym_name){key, text};
	return text;
}
