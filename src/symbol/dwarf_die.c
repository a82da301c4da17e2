/* Abbreviations and attributes: DWARF 5 sections 7.5.2 to 7.5.6. */
#include "dwarf_priv.h"

#include <stdlib.h>

enum {
	NO_FIXED_SIZE = UINT16_MAX,
	MAX_STRING = 64 * 1024,
	MAX_LEB = 16 * 7, /* bits: some are padded, none as far as this */
};

struct attr {
	int64_t implicit;
	uint16_t form;
	uint8_t slot;
};

struct abbrev {
	uint64_t code;
	uint32_t first_attr, nr_attrs;
	uint16_t tag;
	uint16_t fixed; /* bytes of all attributes, or NO_FIXED_SIZE */
	bool children;
};

/* What one offset into .debug_abbrev stands for, as far as it was asked for. */
struct pmf_dw_abbrevs {
	struct pmf_dw_file *file;
	uint32_t off;
	struct pmf_dw_shape shape;
	struct pmf_dw_cursor rest;
	struct abbrev *items;
	size_t n, cap;
	struct attr *attrs;
	size_t nr_attrs, cap_attrs;
	struct pmf_index by_code; /* of those that do not stand at their code less 1 */
};

/* ---- Bytes ---- */

/* The bits of a LEB128 number, how many they are, and its last byte, whose 0x40 is the sign of a signed one. */
static uint64_t leb(struct pmf_dw_cursor *c, unsigned *bits, uint8_t *last)
{
	uint64_t v = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)pmf_dw_uint(c, 1);
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && shift < MAX_LEB);
	c->bad |= byte & 0x80;
	*bits = shift;
	*last = byte;
	return v;
}

uint64_t pmf_dw_uleb_long(struct pmf_dw_cursor *c)
{
	unsigned bits;
	uint8_t last;

	return leb(c, &bits, &last);
}

int64_t pmf_dw_sleb(struct pmf_dw_cursor *c)
{
	unsigned bits;
	uint8_t last;
	uint64_t v = leb(c, &bits, &last);

	if (bits < 64 && (last & 0x40))
		v |= ~UINT64_C(0) << bits;
	return (int64_t)v;
}

const char *pmf_dw_cstr(struct pmf_dw_cursor *c)
{
	const char *s = (const char *)c->at;
	const uint8_t *nul = c->bad ? NULL : memchr(c->at, 0, (size_t)(c->end - c->at));

	if (!nul) {
		c->bad = true;
		c->at = c->end;
		return NULL;
	}
	c->at = nul + 1;
	return s;
}

const char *pmf_dw_cstr_at(struct pmf_dw_bytes b, uint64_t off)
{
	/* A file may name the same megabytes a million times. */
	if (off >= b.size || !memchr(b.data + off, 0, PMF_MIN(b.size - off, (size_t)MAX_STRING)))
		return NULL;
	return (const char *)b.data + off;
}

void pmf_dw_initial_length(struct pmf_dw_cursor *c, uint8_t *off_size)
{
	uint64_t len = pmf_dw_uint(c, 4);

	*off_size = 4;
	if (len == UINT32_MAX) {
		*off_size = 8;
		len = pmf_dw_uint(c, 8);
	}
	if (c->bad || len > (uint64_t)(c->end - c->at))
		c->bad = true;
	else
		c->end = c->at + len;
}

/* ---- Abbreviations ---- */

static uint8_t slot_of(uint64_t attr)
{
	switch (attr) {
	case 0x03:
		return PMF_DW_NAME;
	case 0x10:
		return PMF_DW_STMT_LIST;
	case 0x11:
		return PMF_DW_LOW_PC;
	case 0x12:
		return PMF_DW_HIGH_PC;
	case 0x13:
		return PMF_DW_LANGUAGE;
	case 0x1b:
		return PMF_DW_COMP_DIR;
	case 0x31:
		return PMF_DW_ABSTRACT_ORIGIN;
	case 0x3a:
		return PMF_DW_DECL_FILE;
	case 0x3b:
		return PMF_DW_DECL_LINE;
	case 0x47:
		return PMF_DW_SPECIFICATION;
	case 0x55:
		return PMF_DW_RANGES_AT;
	case 0x58:
		return PMF_DW_CALL_FILE;
	case 0x59:
		return PMF_DW_CALL_LINE;
	case 0x6e:
		return PMF_DW_LINKAGE_NAME;
	case 0x72:
		return PMF_DW_STR_OFFSETS_BASE;
	case 0x73:
		return PMF_DW_ADDR_BASE;
	case 0x74:
		return PMF_DW_RNGLISTS_BASE;
	case 0x76:
		return PMF_DW_DWO_NAME;
	case 0x2007:
		return PMF_DW_LINKAGE_NAME; /* DW_AT_MIPS_linkage_name */
	case 0x2130:
		return PMF_DW_DWO_NAME; /* DW_AT_GNU_dwo_name and so on */
	case 0x2131:
		return PMF_DW_GNU_DWO_ID;
	case 0x2132:
		return PMF_DW_GNU_RANGES_BASE;
	case 0x2133:
		return PMF_DW_ADDR_BASE;
	default:
		return PMF_DW_NR_SLOTS;
	}
}

/* Bytes of a value of @form, or NO_FIXED_SIZE. */
static unsigned fixed_size(uint64_t form, const struct pmf_dw_shape *shape)
{
	switch (form) {
	case PMF_DW_FORM_FLAG_PRESENT:
	case PMF_DW_FORM_IMPLICIT_CONST:
		return 0;
	case PMF_DW_FORM_DATA1:
	case PMF_DW_FORM_REF1:
	case PMF_DW_FORM_FLAG:
	case PMF_DW_FORM_STRX1:
	case PMF_DW_FORM_ADDRX1:
		return 1;
	case PMF_DW_FORM_DATA2:
	case PMF_DW_FORM_REF2:
	case PMF_DW_FORM_STRX2:
	case PMF_DW_FORM_ADDRX2:
		return 2;
	case PMF_DW_FORM_STRX3:
	case PMF_DW_FORM_ADDRX3:
		return 3;
	case PMF_DW_FORM_DATA4:
	case PMF_DW_FORM_REF4:
	case PMF_DW_FORM_REF_SUP4:
	case PMF_DW_FORM_STRX4:
	case PMF_DW_FORM_ADDRX4:
		return 4;
	case PMF_DW_FORM_DATA8:
	case PMF_DW_FORM_REF8:
	case PMF_DW_FORM_REF_SUP8:
	case PMF_DW_FORM_REF_SIG8:
		return 8;
	case PMF_DW_FORM_DATA16:
		return 16;
	case PMF_DW_FORM_ADDR:
		return shape->addr_size;
	case PMF_DW_FORM_REF_ADDR:
		return shape->version == 2 ? shape->addr_size : shape->off_size;
	case PMF_DW_FORM_STRP:
	case PMF_DW_FORM_SEC_OFFSET:
	case PMF_DW_FORM_STRP_SUP:
	case PMF_DW_FORM_LINE_STRP:
	case PMF_DW_FORM_GNU_REF_ALT:
	case PMF_DW_FORM_GNU_STRP_ALT:
		return shape->off_size;
	default:
		return NO_FIXED_SIZE;
	}
}

static uint64_t code_hash(uint64_t code)
{
	return pmf_hash_u64(code);
}

static bool same_code(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_dw_abbrevs *)ctx)->items[value].code == *(const uint64_t *)key;
}

/* The attributes of the abbreviation that comes next; false at the end of what can be read. */
static bool read_attrs(struct pmf_dw_abbrevs *t, struct abbrev *ab)
{
	struct pmf_dw_cursor *c = &t->rest;
	uint32_t fixed = 0;

	for (;;) {
		uint64_t name = pmf_dw_uleb(c), form = pmf_dw_uleb(c);
		struct attr a = {0, (uint16_t)form, slot_of(name)};
		unsigned size;

		if (c->bad || form > UINT16_MAX || !pmf_dw_spend(t->file->d, 1))
			return false;
		if (!name && !form)
			break;
		if (form == PMF_DW_FORM_IMPLICIT_CONST)
			a.implicit = pmf_dw_sleb(c);
		size = fixed_size(form, &t->shape);
		fixed = size == NO_FIXED_SIZE ? NO_FIXED_SIZE
					      : PMF_MIN(fixed + size, (uint32_t)NO_FIXED_SIZE);
		PMF_PUSH(t->attrs, t->nr_attrs, t->cap_attrs) = a;
		pmf_dw_hold(t->file->d, sizeof a);
		ab->nr_attrs++;
	}
	ab->fixed = (uint16_t)fixed;
	return true;
}

static const struct abbrev *next_abbrev(struct pmf_dw_abbrevs *t)
{
	struct abbrev ab = {.first_attr = (uint32_t)t->nr_attrs};

	ab.code = t->rest.bad ? 0 : pmf_dw_uleb(&t->rest);
	ab.tag = (uint16_t)pmf_dw_uleb(&t->rest);
	ab.children = pmf_dw_uint(&t->rest, 1) == 1;
	if (!ab.code || t->rest.bad || !read_attrs(t, &ab)) {
		t->rest.bad = true;
		return NULL;
	}
	if (ab.code != t->n + 1)
		pmf_index_add(&t->by_code, code_hash(ab.code), (uint32_t)t->n);
	PMF_PUSH(t->items, t->n, t->cap) = ab;
	pmf_dw_hold(t->file->d, sizeof ab);
	return &t->items[t->n - 1];
}

static const struct abbrev *find_abbrev(struct pmf_dw_abbrevs *t, uint64_t code)
{
	const struct abbrev *ab;
	uint32_t i;

	if (code - 1 < t->n && t->items[code - 1].code == code)
		return &t->items[code - 1];
	i = pmf_index_find(&t->by_code, code_hash(code), same_code, t, &code);
	if (i != UINT32_MAX)
		return &t->items[i];
	while ((ab = next_abbrev(t)))
		if (ab->code == code)
			break;
	return ab;
}

static bool same_table(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_dw_abbrevs *a = ((const struct pmf_dwarf *)ctx)->abbrevs[value];
	const struct pmf_dw_unit *u = key;

	return a->file == u->file && a->off == u->abbrev_off &&
	       memcmp(&a->shape, &u->shape, sizeof a->shape) == 0;
}

/* Units share tables: dwz's and clang's link-time optimisation have one for thousands. */
static struct pmf_dw_abbrevs *abbrevs_of(struct pmf_dw_unit *u)
{
	struct pmf_dwarf *d = u->file->d;
	uint64_t hash = pmf_hash_u64((uint64_t)u->file->number << 32 | u->abbrev_off);
	struct pmf_dw_abbrevs *t;
	uint32_t i;

	if (u->abbrevs)
		return u->abbrevs;
	i = pmf_index_find(&d->abbrev_index, hash, same_table, d, u);
	if (i != UINT32_MAX)
		return u->abbrevs = d->abbrevs[i];
	t = pmf_zalloc(sizeof *t);
	t->file = u->file;
	t->off = u->abbrev_off;
	t->shape = u->shape;
	t->rest = pmf_dw_at(u->file->sec[PMF_DW_ABBREV], u->abbrev_off);
	pmf_index_init(&t->by_code);
	pmf_index_add(&d->abbrev_index, hash, (uint32_t)d->nr_abbrevs);
	PMF_PUSH(d->abbrevs, d->nr_abbrevs, d->cap_abbrevs) = t;
	return u->abbrevs = t;
}

void pmf_dw_abbrevs_release(struct pmf_dwarf *d)
{
	size_t i;

	for (i = 0; i < d->nr_abbrevs; i++) {
		pmf_index_release(&d->abbrevs[i]->by_code);
		free(d->abbrevs[i]->items);
		free(d->abbrevs[i]->attrs);
		free(d->abbrevs[i]);
	}
	free(d->abbrevs);
	pmf_index_release(&d->abbrev_index);
}

/* ---- Attributes ---- */

void pmf_dw_form_read(struct pmf_dw_cursor *c, const struct pmf_dw_shape *shape, uint64_t form,
	int64_t implicit, struct pmf_dw_value *v)
{
	unsigned size;

	if (form == PMF_DW_FORM_INDIRECT) {
		form = pmf_dw_uleb(c);
		/* Its constant would stand in the abbreviation; twice indirect means nothing. */
		if (form == PMF_DW_FORM_INDIRECT || form == PMF_DW_FORM_IMPLICIT_CONST)
			c->bad = true;
	}
	*v = (struct pmf_dw_value){.form = (uint16_t)form};
	size = fixed_size(form, shape);
	if (size <= 8) {
		v->n = form == PMF_DW_FORM_IMPLICIT_CONST ? (uint64_t)implicit
							  : pmf_dw_uint(c, size);
		return;
	}
	switch (form) {
	case PMF_DW_FORM_DATA16:
		pmf_dw_skip(c, 16);
		break;
	case PMF_DW_FORM_STRING:
		v->s = pmf_dw_cstr(c);
		break;
	case PMF_DW_FORM_SDATA:
		v->n = (uint64_t)pmf_dw_sleb(c);
		break;
	case PMF_DW_FORM_UDATA:
	case PMF_DW_FORM_REF_UDATA:
	case PMF_DW_FORM_STRX:
	case PMF_DW_FORM_ADDRX:
	case PMF_DW_FORM_LOCLISTX:
	case PMF_DW_FORM_RNGLISTX:
	case PMF_DW_FORM_GNU_ADDR_INDEX:
	case PMF_DW_FORM_GNU_STR_INDEX:
		v->n = pmf_dw_uleb(c);
		break;
	case PMF_DW_FORM_BLOCK1:
		pmf_dw_skip(c, pmf_dw_uint(c, 1));
		break;
	case PMF_DW_FORM_BLOCK2:
		pmf_dw_skip(c, pmf_dw_uint(c, 2));
		break;
	case PMF_DW_FORM_BLOCK4:
		pmf_dw_skip(c, pmf_dw_uint(c, 4));
		break;
	case PMF_DW_FORM_BLOCK:
	case PMF_DW_FORM_EXPRLOC:
		pmf_dw_skip(c, pmf_dw_uleb(c));
		break;
	default:
		c->bad = true; /* of unknown size: nothing behind it can be read */
	}
}

static bool read_die(
	struct pmf_dw_unit *u, struct pmf_dw_cursor *c, struct pmf_dw_die *die, bool functions_only)
{
	const uint8_t *info = u->file->sec[PMF_DW_INFO].data;
	struct pmf_dw_abbrevs *t = abbrevs_of(u);
	const struct abbrev *ab;
	struct pmf_dw_value v;
	uint64_t code;
	uint32_t i;

	die->off = (uint32_t)(c->at - info);
	die->have = 0;
	code = pmf_dw_uleb(c);
	if (!code)
		return false;
	ab = find_abbrev(t, code);
	if (!ab || !pmf_dw_spend(u->file->d, 1)) {
		c->bad = true;
		return false;
	}
	die->tag = ab->tag;
	die->children = ab->children;
	if (functions_only && ab->fixed != NO_FIXED_SIZE && ab->tag != PMF_DW_TAG_SUBPROGRAM &&
		ab->tag != PMF_DW_TAG_INLINED) {
		pmf_dw_skip(c, ab->fixed);
		return !c->bad;
	}
	if (!pmf_dw_spend(u->file->d, ab->nr_attrs))
		c->bad = true;
	for (i = 0; i < ab->nr_attrs && !c->bad; i++) {
		const struct attr *a = &t->attrs[ab->first_attr + i];

		pmf_dw_form_read(c, &u->shape, a->form, a->implicit, &v);
		if (a->slot < PMF_DW_NR_SLOTS) {
			die->v[a->slot] = v;
			die->have |= 1U << a->slot;
		}
	}
	pmf_dw_spend(u->file->d, (uint64_t)(c->at - info - die->off) / PMF_DW_STEP_BYTES);
	return !c->bad;
}

bool pmf_dw_die_walk(struct pmf_dw_unit *u, struct pmf_dw_cursor *c, struct pmf_dw_die *die)
{
	return read_die(u, c, die, true);
}

bool pmf_dw_die_at(struct pmf_dw_unit *u, uint64_t off, struct pmf_dw_die *die)
{
	struct pmf_dw_cursor c;

	if (off < u->die || off >= u->end)
		return false;
	c = pmf_dw_at((struct pmf_dw_bytes){u->file->sec[PMF_DW_INFO].data, u->end}, off);
	return read_die(u, &c, die, false);
}

/* The entry @index of a table of numbers of @size bytes. */
static bool table_entry(
	struct pmf_dw_bytes b, uint64_t base, uint64_t index, uint8_t size, uint64_t *out)
{
	struct pmf_dw_cursor c;

	if (index > b.size / size || base > b.size)
		return false;
	c = pmf_dw_at(b, base + index * size);
	*out = pmf_dw_uint(&c, size);
	return !c.bad;
}

const char *pmf_dw_string(struct pmf_dw_unit *u, const struct pmf_dw_value *v)
{
	struct pmf_dw_file *f = u->file;
	uint64_t off;

	if (!v)
		return NULL;
	switch (v->form) {
	case PMF_DW_FORM_STRING:
		return v->s && strnlen(v->s, MAX_STRING) < MAX_STRING ? v->s : NULL;
	case PMF_DW_FORM_STRP:
		return pmf_dw_cstr_at(f->sec[PMF_DW_STR], v->n);
	case PMF_DW_FORM_LINE_STRP:
		return pmf_dw_cstr_at(f->sec[PMF_DW_LINE_STR], v->n);
	case PMF_DW_FORM_STRP_SUP:
	case PMF_DW_FORM_GNU_STRP_ALT:
		return f->alt ? pmf_dw_cstr_at(f->alt->sec[PMF_DW_STR], v->n) : NULL;
	case PMF_DW_FORM_STRX:
	case PMF_DW_FORM_STRX1:
	case PMF_DW_FORM_STRX2:
	case PMF_DW_FORM_STRX3:
	case PMF_DW_FORM_STRX4:
	case PMF_DW_FORM_GNU_STR_INDEX:
		return table_entry(f->sec[PMF_DW_STR_OFFSETS], u->str_offsets_base, v->n,
			       u->shape.off_size, &off)
			       ? pmf_dw_cstr_at(f->sec[PMF_DW_STR], off)
			       : NULL;
	default:
		return NULL;
	}
}

bool pmf_dw_addrx(struct pmf_dw_unit *u, uint64_t index, uint64_t *addr)
{
	/* A split unit's addresses stay in the program. */
	struct pmf_dw_unit *at = u->skeleton ? u->skeleton : u;

	return table_entry(
		at->file->sec[PMF_DW_ADDR], at->addr_base, index, at->shape.addr_size, addr);
}

bool pmf_dw_addr(struct pmf_dw_unit *u, const struct pmf_dw_value *v, uint64_t *addr)
{
	if (!v)
		return false;
	switch (v->form) {
	case PMF_DW_FORM_ADDR:
		*addr = v->n;
		return true;
	case PMF_DW_FORM_ADDRX:
	case PMF_DW_FORM_ADDRX1:
	case PMF_DW_FORM_ADDRX2:
	case PMF_DW_FORM_ADDRX3:
	case PMF_DW_FORM_ADDRX4:
	case PMF_DW_FORM_GNU_ADDR_INDEX:
		return pmf_dw_addrx(u, v->n, addr);
	default:
		return false;
	}
}

bool pmf_dw_ref(
	struct pmf_dw_unit *u, const struct pmf_dw_value *v, struct pmf_dw_unit **to, uint64_t *off)
{
	*to = u;
	*off = v->n;
	switch (v->form) {
	case PMF_DW_FORM_REF1:
	case PMF_DW_FORM_REF2:
	case PMF_DW_FORM_REF4:
	case PMF_DW_FORM_REF8:
	case PMF_DW_FORM_REF_UDATA:
		*off = u->off + PMF_MIN(v->n, (uint64_t)UINT32_MAX);
		return true;
	case PMF_DW_FORM_REF_ADDR:
		*to = pmf_dw_unit_at(u->file, v->n);
		return *to;
	case PMF_DW_FORM_REF_SUP4:
	case PMF_DW_FORM_REF_SUP8:
	case PMF_DW_FORM_GNU_REF_ALT:
		*to = u->file->alt ? pmf_dw_unit_at(u->file->alt, v->n) : NULL;
		return *to;
	default:
		return false;
	}
}
