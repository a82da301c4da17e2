#include "pprof_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

uint64_t pprof_str(struct pprof_file *f, const char *s)
{
	size_t i = 0;

	while (i < f->nr_strings && strcmp(f->strings[i], s) != 0)
		i++;
	assert_true(i < PMF_ARRAY_SIZE(f->strings));
	if (i == f->nr_strings)
		f->strings[f->nr_strings++] = s;
	return i;
}

void pprof_begin(struct pprof_file *f)
{
	memset(f, 0, sizeof *f);
	pprof_str(f, "");
}

void pprof_add(struct pprof_file *f, uint32_t field)
{
	pmf_pb_put_bytes(&f->bytes, field, f->msg.data, f->msg.len);
	pmf_buf_clear(&f->msg);
}

void pprof_add_type(struct pprof_file *f, uint32_t field, const char *type, const char *unit)
{
	pmf_pb_put_int(&f->msg, VALUE_TYPE_TYPE, pprof_str(f, type));
	pmf_pb_put_int(&f->msg, VALUE_TYPE_UNIT, pprof_str(f, unit));
	pprof_add(f, field);
}

void pprof_add_function(struct pprof_file *f, uint64_t id, const char *name, const char *file)
{
	pmf_pb_put_int(&f->msg, FUNCTION_ID, id);
	pmf_pb_put_int(&f->msg, FUNCTION_NAME, pprof_str(f, name));
	pmf_pb_put_int(&f->msg, FUNCTION_FILENAME, pprof_str(f, file));
	pprof_add(f, PPROF_FUNCTION);
}

void pprof_add_mapping(struct pprof_file *f, uint64_t id, uint64_t start, const char *path)
{
	pmf_pb_put_int(&f->msg, MAPPING_ID, id);
	pmf_pb_put_int(&f->msg, MAPPING_START, start);
	pmf_pb_put_int(&f->msg, MAPPING_FILENAME, pprof_str(f, path));
	pprof_add(f, PPROF_MAPPING);
}

void pprof_add_location(struct pprof_file *f, uint64_t id, uint64_t mapping, uint64_t address,
	const uint64_t *functions)
{
	pmf_pb_put_int(&f->msg, LOCATION_ID, id);
	pmf_pb_put_int(&f->msg, LOCATION_MAPPING_ID, mapping);
	pmf_pb_put_int(&f->msg, LOCATION_ADDRESS, address);
	for (; *functions; functions++) {
		pmf_buf_clear(&f->part);
		pmf_pb_put_int(&f->part, LINE_FUNCTION_ID, *functions);
		pmf_pb_put_bytes(&f->msg, LOCATION_LINE, f->part.data, f->part.len);
	}
	pprof_add(f, PPROF_LOCATION);
}

void pprof_add_sample(struct pprof_file *f, const uint64_t *stack, size_t depth,
	const int64_t *values, size_t nr_values)
{
	for (size_t i = 0; i < depth; i++)
		pmf_pb_put_int(&f->msg, SAMPLE_LOCATION_ID, stack[i]);
	for (size_t i = 0; i < nr_values; i++) {
		pmf_pb_put_varint(&f->msg, SAMPLE_VALUE << 3);
		pmf_pb_put_varint(&f->msg, (uint64_t)values[i]);
	}
	pprof_add(f, PPROF_SAMPLE);
}

void pprof_end(struct pprof_file *f)
{
	for (size_t i = 0; i < f->nr_strings; i++)
		pmf_pb_put_bytes(
			&f->bytes, PPROF_STRING_TABLE, f->strings[i], strlen(f->strings[i]));
	pmf_buf_release(&f->msg);
	pmf_buf_release(&f->part);
}

void pprof_add_stacks(struct pprof_file *f, size_t nr_values)
{
	static const uint64_t stack[] = {1, 2, 3, 4};
	int64_t values[4] = {5, 50, 500, 5000};

	pprof_add_mapping(f, 9, 0x400000, "/opt/bin/server");
	pprof_add_mapping(f, 12, 0, "[kernel.kallsyms]");
	pprof_add_function(f, 70, "do_page_fault", "");
	pprof_add_function(f, 71, "inner", "a.go");
	pprof_add_function(f, 72, "outer", "a.go");
	pprof_add_function(f, 73, "handler", "/srv/app.py");
	pprof_add_location(f, 1, 12, 0xffff, (const uint64_t[]){70, 0});
	pprof_add_location(f, 2, 9, 0x401000, (const uint64_t[]){71, 72, 0});
	pprof_add_location(f, 3, 9, 0x402000, (const uint64_t[]){0});
	pprof_add_location(f, 4, 0, 0, (const uint64_t[]){73, 0});
	for (int i = 0; i < 3; i++)
		pprof_add_sample(f, stack, 4, values, nr_values);
}
