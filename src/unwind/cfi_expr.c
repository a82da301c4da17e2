/* Evaluating the expressions of call frame information: DWARF 5, section 2.5. There is no operation
 * that branches, so the length bounds the work. */
#include "cfi_priv.h"

#include "cfi_ops_priv.h"
#include <limits.h>
#include <string.h>

enum { MAX_STACK = 32 };

struct machine {
	const struct pmf_cfi_env *env;
	uint64_t stack[MAX_STACK];
	size_t n;
	bool bad; /* too much on the stack, too little, or no value to be had */
};

static void push(struct machine *m, uint64_t v)
{
	if (m->n == MAX_STACK)
		m->bad = true;
	else
		m->stack[m->n++] = v;
}

static uint64_t pop(struct machine *m)
{
	if (m->n == 0) {
		m->bad = true;
		return 0;
	}
	return m->stack[--m->n];
}

static uint64_t pick(struct machine *m, uint64_t depth)
{
	if (depth >= m->n) {
		m->bad = true;
		return 0;
	}
	return m->stack[m->n - 1 - depth];
}

static void push_reg(struct machine *m, uint64_t reg, int64_t off)
{
	uint64_t v = 0;

	if (!m->env->reg(m->env->ctx, reg, &v))
		m->bad = true;
	push(m, v + (uint64_t)off);
}

static void deref(struct machine *m, uint64_t bytes)
{
	uint64_t v = 0, va = pop(m);

	if (m->bad || bytes == 0 || bytes > 8 || !m->env->read(m->env->ctx, va, &v)) {
		m->bad = true;
		return;
	}
	push(m, bytes == 8 ? v : v & ((UINT64_C(1) << bytes * CHAR_BIT) - 1));
}

/* Operations that push a constant from the expression; false if @op is none. */
static bool run_constant(struct machine *m, uint8_t op, struct pmf_cfi_cursor *c)
{
	switch (op) {
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s:
		push(m, pmf_cfi_uint(c, 8));
		return true;
	case DW_OP_const4u:
		push(m, pmf_cfi_uint(c, 4));
		return true;
	case DW_OP_const4s:
		push(m, (uint64_t)(int64_t)(int32_t)pmf_cfi_uint(c, 4));
		return true;
	case DW_OP_const2u:
		push(m, pmf_cfi_uint(c, 2));
		return true;
	case DW_OP_const2s:
		push(m, (uint64_t)(int64_t)(int16_t)pmf_cfi_uint(c, 2));
		return true;
	case DW_OP_const1u:
		push(m, pmf_cfi_uint(c, 1));
		return true;
	case DW_OP_const1s:
		push(m, (uint64_t)(int64_t)(int8_t)pmf_cfi_uint(c, 1));
		return true;
	case DW_OP_constu:
		push(m, pmf_cfi_uleb(c));
		return true;
	case DW_OP_consts:
		push(m, (uint64_t)pmf_cfi_sleb(c));
		return true;
	default:
		return false;
	}
}

static uint64_t shift_signed(uint64_t a, uint64_t by)
{
	uint64_t sign = a >> 63 ? UINT64_MAX : 0;

	if (by == 0)
		return a;
	return by > 63 ? sign : a >> by | sign << (64 - by);
}

/* Operations on the two upper values; false if @op is none. */
static bool run_binary(struct machine *m, uint8_t op)
{
	uint64_t b = pick(m, 0), a = pick(m, 1), v;

	switch (op) {
	case DW_OP_and:
		v = a & b;
		break;
	case DW_OP_or:
		v = a | b;
		break;
	case DW_OP_xor:
		v = a ^ b;
		break;
	case DW_OP_plus:
		v = a + b;
		break;
	case DW_OP_minus:
		v = a - b;
		break;
	case DW_OP_mul:
		v = a * b;
		break;
	case DW_OP_shl:
		v = b > 63 ? 0 : a << b;
		break;
	case DW_OP_shr:
		v = b > 63 ? 0 : a >> b;
		break;
	case DW_OP_shra:
		v = shift_signed(a, b);
		break;
	case DW_OP_eq:
		v = a == b;
		break;
	case DW_OP_ne:
		v = a != b;
		break;
	case DW_OP_ge:
		v = (int64_t)a >= (int64_t)b;
		break;
	case DW_OP_gt:
		v = (int64_t)a > (int64_t)b;
		break;
	case DW_OP_le:
		v = (int64_t)a <= (int64_t)b;
		break;
	case DW_OP_lt:
		v = (int64_t)a < (int64_t)b;
		break;
	default:
		return false;
	}
	if (m->n >= 2) {
		m->n--;
		m->stack[m->n - 1] = v;
	}
	return true;
}

static void rotate(struct machine *m, size_t n)
{
	uint64_t top = pick(m, 0);

	if (m->n < n) {
		m->bad = true;
		return;
	}
	memmove(&m->stack[m->n - n + 1], &m->stack[m->n - n], (n - 1) * sizeof top);
	m->stack[m->n - n] = top;
}

static bool run_one(struct machine *m, struct pmf_cfi_cursor *c)
{
	uint8_t op = (uint8_t)pmf_cfi_uint(c, 1);
	uint64_t reg, v;

	if (op >= DW_OP_lit0 && op <= DW_OP_lit31) {
		push(m, op - DW_OP_lit0);
		return true;
	}
	if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		push_reg(m, op - DW_OP_breg0, pmf_cfi_sleb(c));
		return true;
	}
	switch (op) {
	case DW_OP_nop:
		return true;
	case DW_OP_bregx:
		reg = pmf_cfi_uleb(c);
		push_reg(m, reg, pmf_cfi_sleb(c));
		return true;
	case DW_OP_deref:
		deref(m, 8);
		return true;
	case DW_OP_deref_size:
		deref(m, pmf_cfi_uint(c, 1));
		return true;
	case DW_OP_plus_uconst:
		v = pop(m);
		push(m, v + pmf_cfi_uleb(c));
		return true;
	case DW_OP_neg:
		push(m, -pop(m));
		return true;
	case DW_OP_not:
		push(m, ~pop(m));
		return true;
	case DW_OP_abs:
		v = pop(m);
		push(m, v >> 63 ? -v : v);
		return true;
	case DW_OP_dup:
		push(m, pick(m, 0));
		return true;
	case DW_OP_over:
		push(m, pick(m, 1));
		return true;
	case DW_OP_pick:
		push(m, pick(m, pmf_cfi_uint(c, 1)));
		return true;
	case DW_OP_drop:
		pop(m);
		return true;
	case DW_OP_swap:
		rotate(m, 2);
		return true;
	case DW_OP_rot:
		rotate(m, 3);
		return true;
	}
	return run_constant(m, op, c) || run_binary(m, op);
}

bool pmf_cfi_eval(struct pmf_cfi_cursor expr, const struct pmf_cfi_env *env, const uint64_t *first,
	uint64_t *out)
{
	struct machine m = {.env = env};

	if (first)
		push(&m, *first);
	while (expr.p < expr.end)
		if (!run_one(&m, &expr) || m.bad || expr.bad)
			return false;
	*out = pop(&m);
	return !m.bad;
}
