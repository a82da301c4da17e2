/* Call frame information of one image: which FDE covers an address.
 *
 * Sources, in order: .eh_frame through .eh_frame_hdr's table, .eh_frame through a table built once
 * (static programs have no .eh_frame_hdr), .debug_frame (Go, and C without asynchronous tables).
 * The formats: LSB Core "Exception Frames", DWARF 5 section 6.4.
 *
 * What they lead to is inside the section. Instructions are checked by whoever runs them. */
#ifndef PMF_CFI_PRIV_H
#define PMF_CFI_PRIV_H

#include "pmuflame/arch.h"
#include "pmuflame/go_table.h"
#include "pmuflame/process.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place in bytes from outside: a read past the end gives 0 and sets bad. */
struct pmf_cfi_cursor {
	const uint8_t *p, *end;
	bool bad;
};

/* Bytes of a section in .eh_frame format, and where they are to be found in the image. */
struct pmf_cfi_section {
	const uint8_t *data;
	size_t size;
	uint64_t rva;
	uint8_t word_bytes;          /* of an address */
	struct pmf_cfi_entry *table; /* sorted by address; NULL where .eh_frame_hdr does */
	size_t nr_table;
};

struct pmf_cfi {
	struct pmf_cfi_section eh, debug;
	const uint8_t *hdr_table; /* pairs of int32: address, FDE, both relative to hdr_rva */
	size_t nr_hdr;
	uint64_t hdr_rva;
	uint8_t *converted; /* owns debug.data */
	uint64_t entry_rva; /* where the program starts; 0 if the image says nothing */
	uint8_t dwarf_ra;
	struct pmf_go_table *go;       /* NULL: no code of Go's compiler is in it */
	struct pmf_image_rules *rules; /* what was evaluated already; rule_priv.h */
	struct pmf_cfi_parts *parts;
};

/* What compilers put apart of a function because it seldom runs ("name.cold"). */
struct pmf_cfi_parts {
	struct pmf_cfi_part {
		uint64_t start, function; /* the rvas of the part and of its function */
	} * items;                        /* sorted by start */
	size_t n;
	bool known; /* they have been looked for */
};

struct pmf_cfi_fde {
	const struct pmf_cfi_section *section;
	uint64_t start, end; /* the rvas that it covers */
	uint64_t rva;        /* of the FDE itself */
	bool signal_frame;
	struct pmf_cfi_cursor cie_program, program;
	uint64_t code_align;
	int64_t data_align;
	uint8_t pointer_bytes; /* of DW_CFA_set_loc's operand */
};

/* How to get what a register held in the caller. */
enum pmf_cfi_how {
	PMF_CFI_SAME,      /* it still holds it */
	PMF_CFI_UNDEFINED, /* it is lost; the return address: there is no caller */
	PMF_CFI_AT_CFA,    /* in memory at CFA + n */
	PMF_CFI_CFA_PLUS,  /* it was CFA + n */
	PMF_CFI_IN_REG,    /* in register n */
	PMF_CFI_AT_EXPR,   /* in memory where the expression says */
	PMF_CFI_EXPR,      /* it was what the expression says */
};

enum { PMF_CFI_COLUMNS = 32 }; /* the integer registers of every architecture */

/* Rows are copied a lot, so this is kept small. */
struct pmf_cfi_rule {
	uint8_t how;         /* enum pmf_cfi_how */
	uint32_t expr_bytes; /* of PMF_CFI_AT_EXPR and PMF_CFI_EXPR */
	union {
		int64_t n;
		const uint8_t *expr;
	};
};
static inline struct pmf_cfi_cursor pmf_cfi_rule_expr(const struct pmf_cfi_rule *rule)
{
	return (struct pmf_cfi_cursor){rule->expr, rule->expr + rule->expr_bytes, false};
}

struct pmf_cfi_row {
	struct pmf_cfi_cursor cfa_expr; /* p is NULL: the CFA is cfa_reg + cfa_off */
	uint64_t cfa_reg;
	int64_t cfa_off;
	struct pmf_cfi_rule regs[PMF_CFI_COLUMNS];
};

/* The CFI of @im, read at the first call and kept in im->unwind_priv; NULL if there is none that
 * @arch could use. */
const struct pmf_cfi *pmf_cfi_of(struct pmf_image *im, const struct pmf_arch *arch);
bool pmf_cfi_find(const struct pmf_cfi *cfi, uint64_t rva, struct pmf_cfi_fde *out);
/* Where the function starts that the code of @fde belongs to. Compilers write the FDE of a part right
 * behind its function's, and it starts with registers saved. Reads all FDEs at the first call. */
uint64_t pmf_cfi_function_start(const struct pmf_cfi *cfi, const struct pmf_cfi_fde *fde);
/* The FDE of a section that has just one; false if there is none, or another. */
bool pmf_cfi_only_fde(
	const struct pmf_cfi_section *s, const struct pmf_arch *arch, struct pmf_cfi_fde *out);
/* The rules in force at @rva, which @fde covers; false if its instructions make no sense. */
bool pmf_cfi_row_at(const struct pmf_cfi_fde *fde, uint64_t rva, struct pmf_cfi_row *row);

/* What Go's own table says of its code. The C code beside it has CFI; Go's .debug_frame is made of the
 * same table, but goes with stripping, and knows neither roots nor where the runtime changes stacks. */
enum pmf_cfi_go {
	PMF_CFI_GO_NOTHING,
	PMF_CFI_GO_ROW,
	PMF_CFI_GO_RESUMED, /* the same, but the address behind @rva is no call's: code is made to
			     * look as if it had been called from there */
	PMF_CFI_GO_ROOT,
	PMF_CFI_GO_SWITCH, /* the caller may be on another stack */
};
enum pmf_cfi_go pmf_cfi_go_row(const struct pmf_cfi *cfi, const struct pmf_arch *arch, uint64_t rva,
	struct pmf_cfi_row *row);

/* What an expression may look at; each gives false for what is not to be had. */
struct pmf_cfi_env {
	void *ctx;
	bool (*reg)(void *ctx, uint64_t reg, uint64_t *out);
	bool (*read)(void *ctx, uint64_t va, uint64_t *out);
};
/* The value of @expr, which starts with *@first on its stack unless that is NULL. */
bool pmf_cfi_eval(struct pmf_cfi_cursor expr, const struct pmf_cfi_env *env, const uint64_t *first,
	uint64_t *out);
/* May libunwind run the instructions of @fde? */
bool pmf_cfi_fde_ok(const struct pmf_cfi_fde *fde);

/* ---- Between the files of this folder ---- */

uint64_t pmf_cfi_uint(struct pmf_cfi_cursor *c, size_t bytes);
uint64_t pmf_cfi_uleb(struct pmf_cfi_cursor *c);
int64_t pmf_cfi_sleb(struct pmf_cfi_cursor *c);
void pmf_cfi_skip(struct pmf_cfi_cursor *c, uint64_t bytes);

/* May libunwind run these instructions? @pointer_bytes: size of DW_CFA_set_loc's operand. */
bool pmf_cfi_program_ok(const uint8_t *p, size_t len, size_t pointer_bytes);

/* Fill s->table with the FDEs of the section. */
void pmf_cfi_build_table(struct pmf_cfi_section *s, uint8_t dwarf_ra);

/* Rewrite a .debug_frame section as .eh_frame, as if it stood at @rva; returns NULL if nothing is
 * in it. The caller frees. */
uint8_t *pmf_cfi_convert_debug_frame(const uint8_t *data, size_t size, const struct pmf_arch *arch,
	uint64_t rva, size_t *out_size);

#endif
