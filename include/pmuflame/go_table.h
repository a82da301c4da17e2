/* pmuflame/go_table.h - the table of functions that every Go program carries for its own tracebacks:
 * .gopclntab, which stripping leaves alone. It has the names, and how deep the stack is at each
 * instruction.
 * Layer: process (an image's contents). Threads: as the image.
 *
 * The formats of Go 1.2, 1.16, 1.18 and 1.20: Go's own debug/gosym/pclntab.go and
 * runtime/runtime2.go ("type _func"), design document "Go 1.2 Runtime Symbol Information". */
#ifndef PMUFLAME_GO_TABLE_H
#define PMUFLAME_GO_TABLE_H

#include "pmuflame/process.h"

struct pmf_go_bytes {
	const uint8_t *data;
	size_t size;
};

struct pmf_go_table {
	struct pmf_go_bytes names; /* NUL-terminated strings, but for a damaged last one */
	struct pmf_go_bytes index; /* where functions start and their records stand */
	struct pmf_go_bytes steps; /* depths by instruction */
	size_t nr_funcs;
	uint64_t text; /* rva that the index counts from */
	uint8_t version, quantum, ptr_bytes;
};

struct pmf_go_func {
	uint64_t start, end; /* rvas; the end is where the next one starts */
	uint32_t name_off, steps_off;
	bool outermost; /* the runtime calls it with nothing above */
	bool switches;  /* goes on to another stack */
};

/* Is the file at @path a program with such a table? */
bool pmf_go_is_program(const char *path);
/* The table of @im; false if it has none that makes sense. What it points to lives as long as @im. */
bool pmf_go_table_read(const struct pmf_image *im, struct pmf_go_table *out);
/* Function number @i of t->nr_funcs, in the order of their addresses; false if its record is damaged. */
bool pmf_go_table_func(const struct pmf_go_table *t, size_t i, struct pmf_go_func *out);
/* The function that holds @rva. */
bool pmf_go_table_find(const struct pmf_go_table *t, uint64_t rva, struct pmf_go_func *out);
/* Its name; "" if that is damaged. */
const char *pmf_go_func_name(const struct pmf_go_table *t, const struct pmf_go_func *f);
/* How many bytes below its place at @f's entry the stack pointer stands at @rva. */
bool pmf_go_func_depth(
	const struct pmf_go_table *t, const struct pmf_go_func *f, uint64_t rva, uint64_t *bytes);

#endif
