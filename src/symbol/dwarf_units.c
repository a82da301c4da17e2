/* Units: their headers (DWARF 5 section 7.5.1) and first DIEs. */
#include "dwarf_priv.h"

static bool read_header(struct pmf_dw_unit *u, struct pmf_dw_cursor *c)
{
	const uint8_t *info = u->file->sec[PMF_DW_INFO].data;
	struct pmf_dw_shape *s = &u->shape;
	uint64_t version, type = PMF_DW_UT_COMPILE;

	u->off = (uint32_t)(c->at - info);
	pmf_dw_initial_length(c, &s->off_size);
	u->end = (uint32_t)(c->end - info);
	version = pmf_dw_uint(c, 2);
	if (version < 2 || version > 5)
		return false;
	s->version = (uint8_t)version;
	if (s->version == 5) {
		type = pmf_dw_uint(c, 1);
		s->addr_size = (uint8_t)pmf_dw_uint(c, 1);
		u->abbrev_off = (uint32_t)pmf_dw_uint(c, s->off_size);
		if (type == PMF_DW_UT_SKELETON || type == PMF_DW_UT_SPLIT_COMPILE)
			u->dwo_id = pmf_dw_uint(c, 8);
	} else {
		u->abbrev_off = (uint32_t)pmf_dw_uint(c, s->off_size);
		s->addr_size = (uint8_t)pmf_dw_uint(c, 1);
	}
	u->die = (uint32_t)(c->at - info);
	return !c->bad && (s->addr_size == 4 || s->addr_size == 8) && type != PMF_DW_UT_TYPE &&
	       type != PMF_DW_UT_SPLIT_TYPE;
}

void pmf_dw_units_read(struct pmf_dw_file *f)
{
	struct pmf_dw_bytes info = f->sec[PMF_DW_INFO];
	struct pmf_dw_cursor c = pmf_dw_at(info, 0);

	while (c.at < c.end && pmf_dw_spend(f->d, 1)) {
		struct pmf_dw_unit u = {.file = f};

		/* One of another version or kind is passed over; one that does not fit ends the list. */
		if (read_header(&u, &c)) {
			PMF_PUSH(f->units, f->nr_units, f->cap_units) = u;
			pmf_dw_hold(f->d, sizeof u);
		} else if (u.end == info.size) {
			break;
		}
		c = pmf_dw_at(info, u.end);
	}
}

struct pmf_dw_unit *pmf_dw_unit_at(struct pmf_dw_file *f, uint64_t off)
{
	size_t lo = 0, hi = f->nr_units;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->units[mid].off <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || off >= f->units[lo - 1].end)
		return NULL;
	pmf_dw_unit_root(&f->units[lo - 1], NULL);
	return &f->units[lo - 1];
}

/* Where the tables of @u start when its first DIE does not say: behind their heads (section 7.26 ff.). */
static void default_bases(struct pmf_dw_unit *u)
{
	bool wide = u->shape.off_size == 8;

	if (u->shape.version < 5)
		return;
	u->str_offsets_base = u->addr_base = wide ? 16 : 8;
	u->rnglists_base = wide ? 20 : 12;
}

bool pmf_dw_unit_root(struct pmf_dw_unit *u, struct pmf_dw_die *die)
{
	static const struct {
		enum pmf_dw_slot slot;
		size_t field;
	} bases[] = {
		{PMF_DW_STR_OFFSETS_BASE, offsetof(struct pmf_dw_unit, str_offsets_base)},
		{PMF_DW_ADDR_BASE, offsetof(struct pmf_dw_unit, addr_base)},
		{PMF_DW_RNGLISTS_BASE, offsetof(struct pmf_dw_unit, rnglists_base)},
		{PMF_DW_GNU_RANGES_BASE, offsetof(struct pmf_dw_unit, ranges_base)},
		{PMF_DW_STMT_LIST, offsetof(struct pmf_dw_unit, stmt_list)},
		{PMF_DW_LANGUAGE, offsetof(struct pmf_dw_unit, language)},
		{PMF_DW_GNU_DWO_ID, offsetof(struct pmf_dw_unit, dwo_id)},
	};
	struct pmf_dw_die local;
	const struct pmf_dw_value *v;
	size_t i;

	if (u->root_read && !die)
		return true;
	if (!die)
		die = &local;
	if (!pmf_dw_die_at(u, u->die, die))
		return false;
	if (u->root_read)
		return true;
	u->root_read = true;
	default_bases(u);
	for (i = 0; i < PMF_ARRAY_SIZE(bases); i++)
		if ((v = pmf_dw_get(die, bases[i].slot)))
			memcpy((char *)u + bases[i].field, &v->n, sizeof v->n);
	u->has_line = pmf_dw_get(die, PMF_DW_STMT_LIST);
	u->comp_dir = pmf_dw_string(u, pmf_dw_get(die, PMF_DW_COMP_DIR));
	u->dwo_name = pmf_dw_string(u, pmf_dw_get(die, PMF_DW_DWO_NAME));
	pmf_dw_addr(u, pmf_dw_get(die, PMF_DW_LOW_PC), &u->low_pc);
	return true;
}
