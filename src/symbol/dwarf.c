/* Source lines and inlined calls by elfutils' libdw. */
#include "config.h"

#include "pmuflame/dwarf.h"

#include "pmuflame/hash.h"
#include "pmuflame/symbol.h"
#include <stdlib.h>

#ifdef HAVE_LIBDW
#include <dwarf.h>
#include <elfutils/libdw.h>

struct range {
	uint64_t start, end;
	uint32_t unit;
};

struct unit {
	Dwarf_Die skeleton, die; /* the same but in split DWARF */
};

struct pmf_dwarf {
	Elf *elf;
	Dwarf *dw;
	struct unit *units;
	size_t nr_units, cap_units;
	struct range *ranges; /* of units, sorted */
	size_t nr_ranges, cap_ranges;
	struct pmf_strtab names;
};

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static void add_ranges(struct pmf_dwarf *d, Dwarf_Die *die, uint32_t unit)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	/* Code that a linker dropped stands at 0, or where lld put it, at the last addresses. */
	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		if (start && start < end && start < UINT64_MAX - 1)
			PMF_PUSH(d->ranges, d->nr_ranges, d->cap_ranges) =
				(struct range){start, end, unit};
}

static void add_units(struct pmf_dwarf *d)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die, sub;

	while (dwarf_get_units(d->dw, cu, &cu, NULL, NULL, &die, &sub) == 0) {
		int tag = dwarf_tag(&die);

		if (tag != DW_TAG_compile_unit && tag != DW_TAG_skeleton_unit)
			continue;
		add_ranges(d, &die, (uint32_t)d->nr_units);
		PMF_PUSH(d->units, d->nr_units, d->cap_units) =
			(struct unit){die, dwarf_tag(&sub) > 0 ? sub : die};
	}
	if (d->nr_ranges)
		qsort(d->ranges, d->nr_ranges, sizeof *d->ranges, by_start);
}

struct pmf_dwarf *pmf_dwarf_open(const struct pmf_dwarf_opts *opts, struct pmf_err *err)
{
	struct pmf_dwarf *d = pmf_zalloc(sizeof *d);
	int code;

	pmf_strtab_init(&d->names);
	elf_version(EV_CURRENT);
	d->elf = elf_begin(opts->fd, ELF_C_READ, NULL);
	d->dw = d->elf ? dwarf_begin_elf(d->elf, DWARF_C_READ, NULL) : NULL;
	if (d->dw) {
		add_units(d);
		if (d->nr_units)
			return d;
		pmf_err_set(err, PMF_ENOTFOUND, "%s has no debug information", opts->path);
	} else {
		code = dwarf_errno();
		pmf_err_set(err, PMF_EFORMAT, "cannot read the debug information of %s: %s",
			opts->path, dwarf_errmsg(code ? code : -1));
	}
	pmf_dwarf_close(d);
	return NULL;
}

void pmf_dwarf_close(struct pmf_dwarf *d)
{
	if (!d)
		return;
	dwarf_end(d->dw);
	elf_end(d->elf);
	free(d->units);
	free(d->ranges);
	pmf_strtab_release(&d->names);
	free(d);
}

static const char *function_name(struct pmf_dwarf *d, Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;
	char *text;
	uint32_t id;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
		dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr) ||
		dwarf_attr_integrate(die, DW_AT_name, &attr))
		name = dwarf_formstring(&attr);
	if (!name)
		return NULL;
	text = pmf_symbol_demangle(name);
	id = pmf_strtab_addz(&d->names, text);
	free(text);
	return pmf_strtab_get(&d->names, id);
}

static void describe(struct pmf_dwarf *d, Dwarf_Die *die, struct pmf_line *out)
{
	int line;

	out->function = function_name(d, die);
	out->decl_file = dwarf_decl_file(die);
	if (dwarf_decl_line(die, &line) == 0 && line > 0)
		out->decl_line = (uint32_t)line;
}

/* Where the inlined function @die was called from. */
static void call_place(Dwarf_Die *cu, Dwarf_Die *die, struct pmf_line *out)
{
	Dwarf_Attribute attr;
	Dwarf_Word n;
	Dwarf_Files *files;
	size_t nr;

	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &n) == 0)
		out->line = (uint32_t)n;
	if (dwarf_getsrcfiles(cu, &files, &nr) == 0 &&
		dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &n) == 0 && n < nr)
		out->file = dwarf_filesrc(files, n, NULL, NULL);
}

static void line_place(Dwarf_Die *cu, uint64_t rva, struct pmf_line *out)
{
	Dwarf_Line *line = dwarf_getsrc_die(cu, rva);
	int n;

	if (!line)
		return;
	out->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &n) == 0 && n > 0)
		out->line = (uint32_t)n;
}

static struct unit *find_unit(struct pmf_dwarf *d, uint64_t rva)
{
	size_t lo = 0, hi = d->nr_ranges;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->ranges[mid].start <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && rva < d->ranges[lo - 1].end ? &d->units[d->ranges[lo - 1].unit] : NULL;
}

/* The function that @rva is in and the calls inlined there, outermost first, from the scopes around. */
static size_t find_functions(struct unit *u, uint64_t rva, Dwarf_Die **out)
{
	Dwarf_Die *at, *all;
	int nr_at = dwarf_getscopes(&u->die, rva, &at), nr_all, i, n = 0;

	*out = NULL;
	if (nr_at <= 0)
		return 0;
	nr_all = dwarf_getscopes_die(&at[0], &all);
	free(at);
	if (nr_all <= 0)
		return 0;
	*out = pmf_calloc((size_t)nr_all, sizeof **out);
	for (i = 0; i < nr_all; i++) {
		int tag = dwarf_tag(&all[i]);

		if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_subprogram)
			(*out)[n++] = all[i];
		if (tag == DW_TAG_subprogram)
			break;
	}
	free(all);
	for (i = 0; i < n / 2; i++) {
		Dwarf_Die die = (*out)[i];

		(*out)[i] = (*out)[n - 1 - i];
		(*out)[n - 1 - i] = die;
	}
	return (size_t)n;
}

size_t pmf_dwarf_find(struct pmf_dwarf *d, uint64_t rva, struct pmf_line *out, size_t max)
{
	struct unit *u = find_unit(d, rva);
	Dwarf_Die *functions;
	size_t n, i;

	if (!u || !max)
		return 0;
	n = find_functions(u, rva, &functions);
	for (i = 0; i < PMF_MIN(n, max); i++) {
		out[i] = (struct pmf_line){0};
		describe(d, &functions[i], &out[i]);
		if (i + 1 < n)
			call_place(&u->die, &functions[i + 1], &out[i]);
		else
			line_place(&u->skeleton, rva, &out[i]);
	}
	free(functions);
	if (n)
		return PMF_MIN(n, max);
	out[0] = (struct pmf_line){0};
	line_place(&u->skeleton, rva, &out[0]);
	return out[0].file ? 1 : 0;
}

#else

struct pmf_dwarf *pmf_dwarf_open(const struct pmf_dwarf_opts *opts, struct pmf_err *err)
{
	pmf_err_set(err, PMF_EUNSUP,
		"cannot read the debug information of %s: this pmuflame was configured --without-libdw",
		opts->path);
	return NULL;
}

void pmf_dwarf_close(struct pmf_dwarf *d)
{
	(void)d;
}

size_t pmf_dwarf_find(struct pmf_dwarf *d, uint64_t rva, struct pmf_line *out, size_t max)
{
	(void)d, (void)rva, (void)out, (void)max;
	return 0;
}
#endif
