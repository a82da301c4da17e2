/* Running an FDE's instructions up to one address: DWARF 5, section 6.4.2. */
#include "cfi_priv.h"

#include "cfi_ops_priv.h"
#include <string.h>

enum { MAX_REMEMBERED = 8 }; /* compilers nest one or two */

struct machine {
	const struct pmf_cfi_fde *fde;
	uint64_t loc, stop;      /* rva; the row wanted is the one in force at stop */
	struct pmf_cfi_row *row; /* as far as it is known */
	const struct pmf_cfi_row
		*cie; /* what DW_CFA_restore goes back to; NULL in the CIE itself */
	struct pmf_cfi_row *remembered;
	size_t nr_remembered;
};

static void set(struct machine *m, uint64_t reg, enum pmf_cfi_how how, int64_t n)
{
	if (reg < PMF_CFI_COLUMNS)
		m->row->regs[reg] = (struct pmf_cfi_rule){.how = (uint8_t)how, .n = n};
}

static struct pmf_cfi_cursor take_block(struct pmf_cfi_cursor *c)
{
	struct pmf_cfi_cursor block;
	uint64_t len = pmf_cfi_uleb(c);

	block = *c;
	pmf_cfi_skip(c, len);
	block.end = c->p;
	return block;
}

static void set_expr(struct machine *m, struct pmf_cfi_cursor *c, enum pmf_cfi_how how)
{
	uint64_t reg = pmf_cfi_uleb(c);
	struct pmf_cfi_cursor expr = take_block(c);

	if (reg < PMF_CFI_COLUMNS)
		m->row->regs[reg] = (struct pmf_cfi_rule){.how = (uint8_t)how,
			.expr_bytes = (uint32_t)(expr.end - expr.p), /* MAX_PROGRAM at most */
			.expr = expr.p};
}

static bool restore(struct machine *m, uint64_t reg)
{
	if (m->cie && reg < PMF_CFI_COLUMNS)
		m->row->regs[reg] = m->cie->regs[reg];
	return m->cie;
}

static void def_cfa(struct machine *m, uint64_t reg, int64_t off)
{
	m->row->cfa_reg = reg;
	m->row->cfa_off = off;
	m->row->cfa_expr = (struct pmf_cfi_cursor){0};
}

/* A factored offset; what does not fit leads to no memory anyway. */
static int64_t factored(const struct machine *m, int64_t n)
{
	return (int64_t)((uint64_t)n * (uint64_t)m->fde->data_align);
}

static bool remember(struct machine *m)
{
	if (m->nr_remembered == MAX_REMEMBERED)
		return false;
	m->remembered[m->nr_remembered++] = *m->row;
	return true;
}

static bool recall(struct machine *m)
{
	if (m->nr_remembered == 0)
		return false;
	*m->row = m->remembered[--m->nr_remembered];
	return true;
}

static void advance(struct machine *m, uint64_t n)
{
	m->loc += n * m->fde->code_align;
}

/* Instructions that say where the CFA is; false if @op is none. */
static bool run_cfa(struct machine *m, uint8_t op, struct pmf_cfi_cursor *c)
{
	uint64_t reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = pmf_cfi_uleb(c);
		def_cfa(m, reg, (int64_t)pmf_cfi_uleb(c));
		return true;
	case DW_CFA_def_cfa_sf:
		reg = pmf_cfi_uleb(c);
		def_cfa(m, reg, factored(m, pmf_cfi_sleb(c)));
		return true;
	case DW_CFA_def_cfa_register:
		def_cfa(m, pmf_cfi_uleb(c), m->row->cfa_off);
		return true;
	case DW_CFA_def_cfa_offset:
		m->row->cfa_off = (int64_t)pmf_cfi_uleb(c);
		return true;
	case DW_CFA_def_cfa_offset_sf:
		m->row->cfa_off = factored(m, pmf_cfi_sleb(c));
		return true;
	case DW_CFA_def_cfa_expression:
		m->row->cfa_expr = take_block(c);
		return true;
	default:
		return false;
	}
}

/* Instructions that say where one register was saved; false if @op is none. */
static bool run_reg(struct machine *m, uint8_t op, struct pmf_cfi_cursor *c)
{
	uint64_t reg;

	switch (op) {
	case DW_CFA_offset_extended:
		reg = pmf_cfi_uleb(c);
		set(m, reg, PMF_CFI_AT_CFA, factored(m, (int64_t)pmf_cfi_uleb(c)));
		return true;
	case DW_CFA_offset_extended_sf:
		reg = pmf_cfi_uleb(c);
		set(m, reg, PMF_CFI_AT_CFA, factored(m, pmf_cfi_sleb(c)));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		reg = pmf_cfi_uleb(c);
		set(m, reg, PMF_CFI_AT_CFA, -factored(m, (int64_t)pmf_cfi_uleb(c)));
		return true;
	case DW_CFA_val_offset:
		reg = pmf_cfi_uleb(c);
		set(m, reg, PMF_CFI_CFA_PLUS, factored(m, (int64_t)pmf_cfi_uleb(c)));
		return true;
	case DW_CFA_val_offset_sf:
		reg = pmf_cfi_uleb(c);
		set(m, reg, PMF_CFI_CFA_PLUS, factored(m, pmf_cfi_sleb(c)));
		return true;
	case DW_CFA_restore_extended:
		return restore(m, pmf_cfi_uleb(c));
	case DW_CFA_undefined:
		set(m, pmf_cfi_uleb(c), PMF_CFI_UNDEFINED, 0);
		return true;
	case DW_CFA_same_value:
		set(m, pmf_cfi_uleb(c), PMF_CFI_SAME, 0);
		return true;
	case DW_CFA_register:
		reg = pmf_cfi_uleb(c);
		set(m, reg, PMF_CFI_IN_REG, (int64_t)pmf_cfi_uleb(c));
		return true;
	case DW_CFA_expression:
		set_expr(m, c, PMF_CFI_AT_EXPR);
		return true;
	case DW_CFA_val_expression:
		set_expr(m, c, PMF_CFI_EXPR);
		return true;
	default:
		return false;
	}
}

static bool run_one(struct machine *m, struct pmf_cfi_cursor *c)
{
	uint8_t op = (uint8_t)pmf_cfi_uint(c, 1), low = op & 0x3f;

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		advance(m, low);
		return true;
	case DW_CFA_offset:
		set(m, low, PMF_CFI_AT_CFA, factored(m, (int64_t)pmf_cfi_uleb(c)));
		return true;
	case DW_CFA_restore:
		return restore(m, low);
	}
	switch (op) {
	case DW_CFA_nop:
	/* Signs or unsigns the return address: its signature is masked out wherever it is. */
	case DW_CFA_AARCH64_negate_ra_state:
		return true;
	case DW_CFA_GNU_args_size:
		pmf_cfi_uleb(c);
		return true;
	case DW_CFA_advance_loc1:
		advance(m, pmf_cfi_uint(c, 1));
		return true;
	case DW_CFA_advance_loc2:
		advance(m, pmf_cfi_uint(c, 2));
		return true;
	case DW_CFA_advance_loc4:
		advance(m, pmf_cfi_uint(c, 4));
		return true;
	case DW_CFA_remember_state:
		return remember(m);
	case DW_CFA_restore_state:
		return recall(m);
	}
	return run_cfa(m, op, c) || run_reg(m, op, c);
}

/* No compiler writes DW_CFA_set_loc. */
static bool run(struct machine *m, struct pmf_cfi_cursor c)
{
	while (c.p < c.end && m->loc <= m->stop)
		if (!run_one(m, &c) || c.bad)
			return false;
	return true;
}

bool pmf_cfi_row_at(const struct pmf_cfi_fde *fde, uint64_t rva, struct pmf_cfi_row *row)
{
	struct pmf_cfi_row cie, remembered[MAX_REMEMBERED];
	struct machine m = {
		.fde = fde, .loc = fde->start, .stop = rva, .row = row, .remembered = remembered};

	memset(row, 0, sizeof *row);
	row->cfa_reg = UINT64_MAX;
	if (!run(&m, fde->cie_program))
		return false;
	cie = *row;
	m.cie = &cie;
	m.loc = fde->start;
	return run(&m, fde->program);
}
