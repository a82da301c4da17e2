/* The generated code of one process: pieces that may lie over each other, the later told ones over the
 * earlier. A runtime tells a million of them, a few at a time, so they are kept by page in the order in which
 * they came, and nothing is ever sorted. */
#include "jit_priv.h"

#include "pmuflame/buf.h"
#include <stdlib.h>
#include <string.h>

enum {
	CODES_MAX = 4 << 20,
	LINES_MAX = 16 << 20,
	PLACES_MAX = 8 << 20, /* in pages: a gigabyte at worst */
	NAME_BYTES_MAX = 4096,
	NAMES_BYTES_MAX = 256 << 20,
	EH_FRAMES_BYTES_MAX = 64 << 20,
	NAME_COST = 16, /* of one more, however short */
	PAGE_SHIFT = 12,
	PAGES_MAX = 64,            /* of one piece: more are `large` */
	CODES_PER_PAGE_MAX = 4096, /* a search looks at each: the oldest go */
};
#define CODE_BYTES_MAX (UINT64_C(1) << 30)

void pmf_jit_codes_init(struct pmf_jit_codes *c)
{
	memset(c, 0, sizeof *c);
	pmf_index_init(&c->by_number);
	pmf_strtab_init(&c->names);
}

void pmf_jit_codes_release(struct pmf_jit_codes *c)
{
	for (size_t i = 0; i < c->nr_pages; i++)
		free(c->pages[i].codes);
	free(c->pages);
	free(c->large.codes);
	free(c->items);
	free(c->lines);
	pmf_buf_release(&c->eh_frames);
	pmf_index_release(&c->by_number);
	pmf_strtab_release(&c->names);
}

uint32_t pmf_jit_codes_name(struct pmf_jit_codes *c, const char *name, size_t len)
{
	struct pmf_buf clean = PMF_BUF_INIT;
	char text[NAME_BYTES_MAX + 1];
	size_t before = c->names.n;
	uint32_t id;

	len = strnlen(name, PMF_MIN(len, (size_t)NAME_BYTES_MAX));
	memcpy(text, name, len);
	text[len] = '\0';
	pmf_buf_addclean(&clean, text, '?');
	/* Beyond, there is no room for their code either. */
	id = c->name_bytes > NAMES_BYTES_MAX
		     ? 0
		     : pmf_strtab_add(&c->names, pmf_buf_str(&clean), clean.len);
	if (c->names.n != before)
		c->name_bytes += clean.len + NAME_COST;
	pmf_buf_release(&clean);
	return id;
}

uint32_t pmf_jit_codes_eh_frame(struct pmf_jit_codes *c, const uint8_t *data, uint32_t *size)
{
	if (*size > EH_FRAMES_BYTES_MAX - c->eh_frames.len)
		*size = 0;
	pmf_buf_add(&c->eh_frames, data, *size);
	return (uint32_t)(c->eh_frames.len - *size);
}

static bool page_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_jit_codes *)ctx)->pages[value].number == *(const uint64_t *)key;
}

static struct pmf_jit_page *find_page(const struct pmf_jit_codes *c, uint64_t number)
{
	uint32_t i = pmf_index_find(&c->by_number, pmf_hash_u64(number), page_eq, c, &number);

	return i == UINT32_MAX ? NULL : &c->pages[i];
}

static struct pmf_jit_page *get_page(struct pmf_jit_codes *c, uint64_t number)
{
	struct pmf_jit_page *page = find_page(c, number);

	if (page)
		return page;
	pmf_index_add(&c->by_number, pmf_hash_u64(number), (uint32_t)c->nr_pages);
	page = &PMF_PUSH(c->pages, c->nr_pages, c->cap_pages);
	*page = (struct pmf_jit_page){.number = number};
	return page;
}

static void put(struct pmf_jit_page *page, uint32_t code)
{
	if (page->n == CODES_PER_PAGE_MAX) {
		page->n /= 2;
		memmove(page->codes, page->codes + page->n, page->n * sizeof *page->codes);
	}
	PMF_PUSH(page->codes, page->n, page->cap) = code;
}

bool pmf_jit_codes_add(struct pmf_jit_codes *c, const struct pmf_jit_code *code)
{
	uint64_t first = code->start >> PAGE_SHIFT, last;
	uint32_t id = (uint32_t)c->n;

	if (c->n >= CODES_MAX || c->nr_lines > LINES_MAX || c->nr_places > PLACES_MAX ||
		c->name_bytes > NAMES_BYTES_MAX)
		return false;
	if (code->size == 0 || code->size > CODE_BYTES_MAX || code->size > UINT64_MAX - code->start)
		return true;
	last = (code->start + code->size - 1) >> PAGE_SHIFT;
	PMF_PUSH(c->items, c->n, c->cap) = *code;
	if (last - first >= PAGES_MAX) {
		put(&c->large, id);
		return true;
	}
	c->nr_places += last - first + 1;
	for (uint64_t number = first; number <= last; number++)
		put(get_page(c, number), id);
	return true;
}

/* What a search has found. */
struct found {
	const struct pmf_jit_code *now,
		*later; /* the newest that had come, the first that came then */
	uint64_t until_ns;
};

static void search(const struct pmf_jit_codes *c, const struct pmf_jit_page *page, uint64_t va,
	uint64_t time_ns, struct found *f)
{
	for (size_t i = page->n; i-- > 0;) {
		const struct pmf_jit_code *code = &c->items[page->codes[i]];

		if (va - code->start >= code->size)
			continue;
		if (code->from_ns <= time_ns) {
			if (!f->now || code > f->now)
				f->now = code;
			return;
		}
		f->until_ns = PMF_MIN(f->until_ns, code->from_ns);
		if (!f->later || code->from_ns < f->later->from_ns)
			f->later = code;
	}
}

const struct pmf_jit_code *pmf_jit_codes_find(
	const struct pmf_jit_codes *c, uint64_t va, uint64_t time_ns, uint64_t *until_ns)
{
	const struct pmf_jit_page *page = find_page(c, va >> PAGE_SHIFT);
	struct found f = {.until_ns = UINT64_MAX};

	if (page)
		search(c, page, va, time_ns, &f);
	search(c, &c->large, va, time_ns, &f);
	*until_ns = f.until_ns;
	return f.now ? f.now : f.later;
}
