/* Reading CFI bytes, and checking instructions before libunwind runs them: its interpreter trusts
 * the register of DW_CFA_register, does not know DW_CFA_val_offset, loops as long as an expression
 * does and divides as told. */
#include "cfi_priv.h"

#include "cfi_ops_priv.h"
#include <string.h>

enum { MAX_REMEMBERED = 64, MAX_EXPRESSION = 512, NR_REGS = 17 };

uint64_t pmf_cfi_uint(struct pmf_cfi_cursor *c, size_t bytes)
{
	uint64_t n = 0;

	if (bytes > (size_t)(c->end - c->p)) {
		c->bad = true;
		c->p = c->end;
		return 0;
	}
	memcpy(&n, c->p, bytes);
	c->p += bytes;
	return n;
}

/* Seven bits a byte, the lowest first; *shift gets the number of bits, *last the last byte. */
static uint64_t leb128(struct pmf_cfi_cursor *c, unsigned *shift, uint64_t *last)
{
	uint64_t n = 0, byte;

	*shift = 0;
	do {
		byte = pmf_cfi_uint(c, 1);
		if (*shift < 64)
			n |= (byte & 0x7f) << *shift;
		*shift += 7;
	} while (byte & 0x80);
	*last = byte;
	return n;
}

uint64_t pmf_cfi_uleb(struct pmf_cfi_cursor *c)
{
	unsigned shift;
	uint64_t last;

	return leb128(c, &shift, &last);
}

int64_t pmf_cfi_sleb(struct pmf_cfi_cursor *c)
{
	unsigned shift;
	uint64_t last, n = leb128(c, &shift, &last);

	if (shift < 64 && (last & 0x40))
		n |= UINT64_MAX << shift;
	return (int64_t)n;
}

void pmf_cfi_skip(struct pmf_cfi_cursor *c, uint64_t bytes)
{
	if (bytes > (uint64_t)(c->end - c->p)) {
		c->bad = true;
		bytes = (uint64_t)(c->end - c->p);
	}
	c->p += bytes;
}

/* The operation behind @c: false if it is one that no compiler puts into CFI and that could make
 * the evaluation loop or trap. */
static bool expression_op_ok(struct pmf_cfi_cursor *c)
{
	uint8_t op = (uint8_t)pmf_cfi_uint(c, 1);

	if ((op >= DW_OP_lit0 && op <= DW_OP_lit31) || (op >= DW_OP_reg0 && op <= DW_OP_reg31))
		return true;
	if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		pmf_cfi_sleb(c);
		return true;
	}
	switch (op) {
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s:
		pmf_cfi_skip(c, 8);
		return true;
	case DW_OP_const4u:
	case DW_OP_const4s:
		pmf_cfi_skip(c, 4);
		return true;
	case DW_OP_const2u:
	case DW_OP_const2s:
		pmf_cfi_skip(c, 2);
		return true;
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_pick:
	case DW_OP_deref_size:
		pmf_cfi_skip(c, 1);
		return true;
	case DW_OP_constu:
	case DW_OP_consts:
	case DW_OP_plus_uconst:
	case DW_OP_regx:
		pmf_cfi_uleb(c);
		return true;
	case DW_OP_bregx:
		pmf_cfi_uleb(c);
		pmf_cfi_sleb(c);
		return true;
	case DW_OP_deref:
	case DW_OP_dup:
	case DW_OP_drop:
	case DW_OP_over:
	case DW_OP_swap:
	case DW_OP_rot:
	case DW_OP_abs:
	case DW_OP_and:
	case DW_OP_minus:
	case DW_OP_mul:
	case DW_OP_neg:
	case DW_OP_not:
	case DW_OP_or:
	case DW_OP_plus:
	case DW_OP_shl:
	case DW_OP_shr:
	case DW_OP_shra:
	case DW_OP_xor:
	case DW_OP_eq:
	case DW_OP_ge:
	case DW_OP_gt:
	case DW_OP_le:
	case DW_OP_lt:
	case DW_OP_ne:
	case DW_OP_nop:
		return true;
	default:
		return false;
	}
}

static bool expression_ok(struct pmf_cfi_cursor *c)
{
	uint64_t len = pmf_cfi_uleb(c);
	struct pmf_cfi_cursor e = {c->p, c->p, false};

	if (len > MAX_EXPRESSION || len > (uint64_t)(c->end - c->p))
		return false;
	e.end += len;
	c->p += len;
	while (e.p < e.end)
		if (!expression_op_ok(&e))
			return false;
	return !e.bad;
}

static bool instruction_ok(struct pmf_cfi_cursor *c, size_t pointer_bytes, unsigned *remembered)
{
	uint8_t op = (uint8_t)pmf_cfi_uint(c, 1);

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
	case DW_CFA_restore:
		return true;
	case DW_CFA_offset:
		pmf_cfi_uleb(c);
		return true;
	}
	switch (op) {
	case DW_CFA_nop:
		return true;
	case DW_CFA_set_loc:
		pmf_cfi_skip(c, pointer_bytes);
		return pointer_bytes != 0;
	case DW_CFA_advance_loc1:
		pmf_cfi_skip(c, 1);
		return true;
	case DW_CFA_advance_loc2:
		pmf_cfi_skip(c, 2);
		return true;
	case DW_CFA_advance_loc4:
		pmf_cfi_skip(c, 4);
		return true;
	case DW_CFA_restore_extended:
	case DW_CFA_undefined:
	case DW_CFA_same_value:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
	case DW_CFA_GNU_args_size:
		pmf_cfi_uleb(c);
		return true;
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_GNU_negative_offset_extended:
		pmf_cfi_uleb(c);
		pmf_cfi_uleb(c);
		return true;
	case DW_CFA_register:
		pmf_cfi_uleb(c);
		return pmf_cfi_uleb(c) < NR_REGS;
	case DW_CFA_remember_state:
		return ++*remembered <= MAX_REMEMBERED;
	case DW_CFA_restore_state:
		*remembered -= *remembered > 0;
		return true;
	case DW_CFA_def_cfa_expression:
		return expression_ok(c);
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		pmf_cfi_uleb(c);
		return expression_ok(c);
	default:
		return false;
	}
}

bool pmf_cfi_program_ok(const uint8_t *p, size_t len, size_t pointer_bytes)
{
	struct pmf_cfi_cursor c = {p, p + len, false};
	unsigned remembered = 0;

	while (c.p < c.end)
		if (!instruction_ok(&c, pointer_bytes, &remembered))
			return false;
	return !c.bad;
}

bool pmf_cfi_fde_ok(const struct pmf_cfi_fde *fde)
{
	const struct pmf_cfi_cursor *cie = &fde->cie_program, *own = &fde->program;

	return pmf_cfi_program_ok(cie->p, (size_t)(cie->end - cie->p), fde->pointer_bytes) &&
	       pmf_cfi_program_ok(own->p, (size_t)(own->end - own->p), fde->pointer_bytes);
}
