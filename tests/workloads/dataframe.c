/* A frame of numbers, row after row (numpy's order), summed along both axes: the same additions, once
 * in the order of memory and once across it. "dataframe rows" or "dataframe columns", before all options,
 * makes only the one. */
#include "workload.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct frame {
	size_t rows, cols;
	double *data; /* row after row */
};

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (!p)
		wl_die(1, "cannot allocate %zu numbers; ask for fewer --rows or --cols", n);
	return p;
}

/* Small whole numbers: their sums are exact in a double, whatever the order. */
static WL_FRAME void fill_frame(struct frame *f)
{
	uint64_t x = 1;
	for (size_t i = 0; i < f->rows * f->cols; i++) {
		x = x * UINT64_C(6364136223846793005) + 1;
		f->data[i] = (double)(x >> 56);
	}
}

static WL_FRAME void sum_by_columns(const struct frame *f, double *sums)
{
	for (size_t c = 0; c < f->cols; c++) {
		double sum = 0;
		for (size_t r = 0; r < f->rows; r++)
			sum += f->data[r * f->cols + c];
		sums[c] = sum;
	}
}

static WL_FRAME void sum_by_rows(const struct frame *f, double *sums)
{
	for (size_t r = 0; r < f->rows; r++) {
		double sum = 0;
		for (size_t c = 0; c < f->cols; c++)
			sum += f->data[r * f->cols + c];
		sums[r] = sum;
	}
}

static double add_up(const double *values, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

int main(int argc, char **argv)
{
	/* 2,000 minutes of 10,000 instruments: 160 MB. */
	uint64_t rows = 2000, cols = 10000, passes = 5, row_passes = 1;
	const struct wl_option options[] = {
		{"--rows", &rows, NULL, 1, 1 << 24, "number of rows"},
		{"--cols", &cols, NULL, 1, 1 << 24, "number of columns"},
		{"--passes", &passes, NULL, 1, 1000000, "times that each sum is made"},
		{"--row-passes", &row_passes, NULL, 1, 1000000, "sums by rows for each by columns"},
		{NULL, NULL, NULL, 0, 0, NULL},
	};
	bool rows_only = argc > 1 && strcmp(argv[1], "rows") == 0;
	bool columns_only = argc > 1 && strcmp(argv[1], "columns") == 0;
	bool one = rows_only || columns_only;
	wl_parse(argc - one, argv + one, options);

	struct frame f = {rows, cols, allocate(rows * cols, sizeof(double))};
	double *row_sums = allocate(rows, sizeof *row_sums);
	double *col_sums = allocate(cols, sizeof *col_sums);
	fill_frame(&f);
	double row_time = 0, col_time = 0;
	for (uint64_t p = 0; p < passes; p++) {
		double start = wl_now();
		for (uint64_t i = 0; i < row_passes && !columns_only; i++)
			sum_by_rows(&f, row_sums);
		double middle = wl_now();
		if (!rows_only)
			sum_by_columns(&f, col_sums);
		row_time += middle - start;
		col_time += wl_now() - middle;
	}
	double by_columns = add_up(col_sums, cols), by_rows = add_up(row_sums, rows);
	free(col_sums);
	free(row_sums);
	free(f.data);

	if (!rows_only)
		printf("by columns  %.0f in %.3f s\n", by_columns, col_time);
	if (!columns_only)
		printf("by rows     %.0f in %.3f s\n", by_rows, row_time);
	if (!one && by_columns != by_rows)
		wl_die(1, "the two sums differ");
	return 0;
}
