/* pprof files as other programs write them, field by field. */
#ifndef PMF_TEST_PPROF_BUILD_H
#define PMF_TEST_PPROF_BUILD_H

#include "pprof_priv.h"
#include "protobuf_priv.h"

struct pprof_file {
	struct pmf_buf bytes; /* of the file */
	struct pmf_buf msg, part;
	const char *strings[32];
	size_t nr_strings;
};

void pprof_begin(struct pprof_file *f);
/* The place of @s, which is borrowed, in the table of strings that stands at the end. */
uint64_t pprof_str(struct pprof_file *f, const char *s);
/* f->msg, which is empty then, as @field of the file. */
void pprof_add(struct pprof_file *f, uint32_t field);
void pprof_add_type(struct pprof_file *f, uint32_t field, const char *type, const char *unit);
void pprof_add_function(struct pprof_file *f, uint64_t id, const char *name, const char *file);
void pprof_add_mapping(struct pprof_file *f, uint64_t id, uint64_t start, const char *path);
/* @functions: the innermost first, 0 at the end. */
void pprof_add_location(struct pprof_file *f, uint64_t id, uint64_t mapping, uint64_t address,
	const uint64_t *functions);
/* Values and locations one by one: not packed. */
void pprof_add_sample(struct pprof_file *f, const uint64_t *stack, size_t depth,
	const int64_t *values, size_t nr_values);
/* A stack of every kind of frame, in @nr_values columns of 5, 50, 500, …; 3 such samples. */
void pprof_add_stacks(struct pprof_file *f, size_t nr_values);
/* f->bytes, to be released, is whole. */
void pprof_end(struct pprof_file *f);

#endif
