/* Ranges of code: DWARF 5 sections 2.17 and 7.25, .debug_ranges of version 4 and before. */
#include "dwarf_priv.h"

#include <stdlib.h>

enum {
	RLE_END,
	RLE_BASE_ADDRESSX,
	RLE_STARTX_ENDX,
	RLE_STARTX_LENGTH,
	RLE_OFFSET_PAIR,
	RLE_BASE_ADDRESS,
	RLE_START_END,
	RLE_START_LENGTH,
};

enum {
	RANGE_COST = 32 /* in steps: each takes memory, and any number of DIEs may name one list */
};

static void add(struct pmf_dw_unit *u, uint64_t start, uint64_t end, uint32_t what,
	struct pmf_dw_ranges *out)
{
	if (start >= end || !pmf_dw_is_code(u->file->d, start))
		return;
	PMF_PUSH(out->items, out->n, out->cap) = (struct pmf_dw_range){start, end, what};
	pmf_dw_hold(u->file->d, 2 * sizeof(struct pmf_dw_segment)); /* what it becomes */
}

/* The address at which a unit's ranges start. */
static uint64_t unit_base(const struct pmf_dw_unit *u)
{
	return u->skeleton ? u->skeleton->low_pc : u->low_pc;
}

static void old_list(struct pmf_dw_unit *u, uint64_t off, uint32_t what, struct pmf_dw_ranges *out)
{
	/* A split unit's lists stay in the program, in its part of the section. */
	struct pmf_dw_unit *at = u->skeleton ? u->skeleton : u;
	size_t size = at->shape.addr_size;
	struct pmf_dw_cursor c =
		pmf_dw_at(at->file->sec[PMF_DW_RANGES], u->skeleton ? off + at->ranges_base : off);
	uint64_t base = unit_base(u), select = size == 4 ? UINT32_MAX : UINT64_MAX;

	while (!c.bad && pmf_dw_spend(u->file->d, RANGE_COST)) {
		uint64_t start = pmf_dw_uint(&c, size), end = pmf_dw_uint(&c, size);

		if (c.bad || (!start && !end))
			break;
		if (start == select)
			base = end;
		else
			add(u, base + start, base + end, what, out);
	}
}

static uint64_t indexed(struct pmf_dw_unit *u, struct pmf_dw_cursor *c)
{
	uint64_t addr = 0;

	if (!pmf_dw_addrx(u, pmf_dw_uleb(c), &addr))
		c->bad = true;
	return addr;
}

static void new_list(struct pmf_dw_unit *u, uint64_t off, uint32_t what, struct pmf_dw_ranges *out)
{
	struct pmf_dw_cursor c = pmf_dw_at(u->file->sec[PMF_DW_RNGLISTS], off);
	size_t size = u->shape.addr_size;
	uint64_t base = unit_base(u), start, end;

	while (!c.bad && pmf_dw_spend(u->file->d, RANGE_COST)) {
		start = end = 0;
		switch (pmf_dw_uint(&c, 1)) {
		case RLE_END:
			return;
		case RLE_BASE_ADDRESSX:
			base = indexed(u, &c);
			break;
		case RLE_BASE_ADDRESS:
			base = pmf_dw_uint(&c, size);
			break;
		case RLE_STARTX_ENDX:
			start = indexed(u, &c);
			end = indexed(u, &c);
			break;
		case RLE_STARTX_LENGTH:
			start = indexed(u, &c);
			end = start + pmf_dw_uleb(&c);
			break;
		case RLE_OFFSET_PAIR:
			start = base + pmf_dw_uleb(&c);
			end = base + pmf_dw_uleb(&c);
			break;
		case RLE_START_END:
			start = pmf_dw_uint(&c, size);
			end = pmf_dw_uint(&c, size);
			break;
		case RLE_START_LENGTH:
			start = pmf_dw_uint(&c, size);
			end = start + pmf_dw_uleb(&c);
			break;
		default:
			return;
		}
		if (!c.bad)
			add(u, start, end, what, out);
	}
}

/* Where list number @n stands: a table of offsets is behind the section's head. */
static bool list_of_index(struct pmf_dw_unit *u, uint64_t n, uint64_t *off)
{
	struct pmf_dw_bytes b = u->file->sec[PMF_DW_RNGLISTS];
	struct pmf_dw_cursor c;

	if (n > b.size || u->rnglists_base > b.size)
		return false;
	c = pmf_dw_at(b, u->rnglists_base + n * u->shape.off_size);
	*off = u->rnglists_base + pmf_dw_uint(&c, u->shape.off_size);
	return !c.bad;
}

void pmf_dw_ranges_of(struct pmf_dw_unit *u, const struct pmf_dw_die *die, uint32_t what,
	struct pmf_dw_ranges *out)
{
	const struct pmf_dw_value *v = pmf_dw_get(die, PMF_DW_RANGES_AT),
				  *high = pmf_dw_get(die, PMF_DW_HIGH_PC);
	uint64_t start, end, off;

	if (v) {
		off = v->n;
		if (u->shape.version < 5)
			old_list(u, off, what, out);
		else if (v->form != PMF_DW_FORM_RNGLISTX || list_of_index(u, v->n, &off))
			new_list(u, off, what, out);
	} else if (high && pmf_dw_addr(u, pmf_dw_get(die, PMF_DW_LOW_PC), &start)) {
		if (!pmf_dw_addr(u, high, &end))
			end = start + high->n;
		add(u, start, end, what, out);
	}
}

static int by_start(const void *a, const void *b)
{
	const struct pmf_dw_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->what > y->what) - (x->what < y->what);
}

/* From @start on it is @what. One that begins where another ended wins. */
static void emit(struct pmf_dw_segments *s, uint64_t start, uint32_t what)
{
	if (s->n && start <= s->items[s->n - 1].start)
		s->items[s->n - 1].what = what;
	else if (!s->n || s->items[s->n - 1].what != what)
		PMF_PUSH(s->items, s->n, s->cap) = (struct pmf_dw_segment){start, what};
}

void pmf_dw_ranges_flatten(struct pmf_dw_ranges *r, struct pmf_dw_segments *out)
{
	size_t open = 0, i; /* items[0..open) are a stack of those that were not ended yet */

	if (!r->n)
		return;
	qsort(r->items, r->n, sizeof *r->items, by_start);
	for (i = 0; i <= r->n; i++) {
		struct pmf_dw_range next = {UINT64_MAX, 0, 0};

		if (i < r->n)
			next = r->items[i];
		while (open && r->items[open - 1].end <= next.start) {
			uint64_t end = r->items[--open].end;

			emit(out, end, open ? r->items[open - 1].what : PMF_DW_NONE);
		}
		if (i == r->n)
			break;
		emit(out, next.start, next.what);
		r->items[open++] = next;
	}
	free(r->items);
	*r = (struct pmf_dw_ranges){0};
}

uint32_t pmf_dw_segments_find(const struct pmf_dw_segments *s, uint64_t rva)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->items[mid].start <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? s->items[lo - 1].what : PMF_DW_NONE;
}
