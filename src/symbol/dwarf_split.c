/* Debug information that a program's only names: units in .dwo files (gcc -gsplit-dwarf; DWARF 5 section
 * 7.3.2) or together in a .dwp (7.3.5, and GNU's of before), and what dwz(1) took out of many files.
 * Names come from the file, so only what is regular is opened, and only what has the id is used. */
#include "dwarf_priv.h"

#include <stdlib.h>

enum { MAX_COLUMNS = 8 };

/* "DIR-OF-BESIDE/NAME"; free(3) it. */
static char *beside(const char *beside_path, const char *name)
{
	const char *slash = strrchr(beside_path, '/');

	return pmf_asprintf(
		"%.*s%s", slash ? (int)(slash + 1 - beside_path) : 0, beside_path, name);
}

/* The unit of @f with @id. */
static struct pmf_dw_unit *unit_of_id(struct pmf_dw_file *f, uint64_t id)
{
	size_t i;

	pmf_dw_units_read(f);
	for (i = 0; i < f->nr_units; i++) {
		struct pmf_dw_unit *u = &f->units[i];

		if (pmf_dw_unit_root(u, NULL) && u->dwo_id == id)
			return u;
	}
	return NULL;
}

static struct pmf_dw_unit *try_dwo(struct pmf_dw_unit *skeleton, char *path)
{
	struct pmf_dw_file *f = pmf_dw_file_open(skeleton->file->d, path, true, NULL, 0);

	free(path);
	return f ? unit_of_id(f, skeleton->dwo_id) : NULL;
}

/* As written, below the folder of compilation, and beside the program, whose tree may have moved. */
static struct pmf_dw_unit *find_dwo(struct pmf_dw_unit *u)
{
	const char *name = u->dwo_name, *slash = strrchr(name, '/');
	const char *image = u->file->d->path;
	struct pmf_dw_unit *split = NULL;

	if (*name == '/')
		split = try_dwo(u, pmf_strdup(name));
	else if (u->comp_dir && *u->comp_dir)
		split = try_dwo(u, pmf_asprintf("%s/%s", u->comp_dir, name));
	if (!split && *name != '/')
		split = try_dwo(u, beside(image, name));
	if (!split && slash)
		split = try_dwo(u, beside(image, slash + 1));
	return split;
}

/* ---- .dwp ---- */

struct index {
	struct pmf_dw_bytes bytes;
	uint64_t version, nr_columns, nr_units, nr_slots;
	uint64_t slots, rows; /* where they stand */
	uint64_t columns[MAX_COLUMNS];
};

static uint64_t u32_at(const struct index *ix, uint64_t off)
{
	struct pmf_dw_cursor c = pmf_dw_at(ix->bytes, off);

	return pmf_dw_uint(&c, 4);
}

static bool read_index(struct index *ix, struct pmf_dw_bytes b)
{
	struct pmf_dw_cursor c = pmf_dw_at(b, 0);
	uint64_t i;

	ix->bytes = b;
	ix->version = pmf_dw_uint(&c, 4) &
		      UINT16_MAX; /* version 5 has two bytes for it, and two of padding */
	ix->nr_columns = pmf_dw_uint(&c, 4);
	ix->nr_units = pmf_dw_uint(&c, 4);
	ix->nr_slots = pmf_dw_uint(&c, 4);
	ix->slots = 16;
	if (c.bad || (ix->version != 2 && ix->version != 5) || ix->nr_columns > MAX_COLUMNS ||
		ix->nr_slots > b.size / 12 || (ix->nr_slots & (ix->nr_slots - 1)) || !ix->nr_slots)
		return false;
	ix->rows = ix->slots + ix->nr_slots * 12;
	for (i = 0; i < ix->nr_columns; i++)
		ix->columns[i] = u32_at(ix, ix->rows + i * 4);
	return true;
}

/* The row of the unit with @id, counted from 1; 0: it is not there. */
static uint64_t find_row(const struct index *ix, uint64_t id)
{
	uint64_t mask = ix->nr_slots - 1, at = id & mask, step = (id >> 32 & mask) | 1, tried, row;

	for (tried = 0; tried < ix->nr_slots; tried++) {
		struct pmf_dw_cursor c = pmf_dw_at(ix->bytes, ix->slots + at * 8);
		uint64_t found = pmf_dw_uint(&c, 8);

		row = u32_at(ix, ix->slots + ix->nr_slots * 8 + at * 4);
		if (found == id || !row)
			return row <= ix->nr_units ? row : 0;
		at = (at + step) & mask;
	}
	return 0;
}

/* Which section a column is of; the numbers are the same in both versions for all that are read. */
static enum pmf_dw_section section_of_column(const struct index *ix, uint64_t column)
{
	switch (column) {
	case 1:
		return PMF_DW_INFO;
	case 3:
		return PMF_DW_ABBREV;
	case 4:
		return PMF_DW_LINE;
	case 6:
		return PMF_DW_STR_OFFSETS;
	case 8:
		return ix->version == 5 ? PMF_DW_RNGLISTS : PMF_DW_NR_SECTIONS;
	default:
		return PMF_DW_NR_SECTIONS;
	}
}

/* The unit with the id of @u as a file of its own, whose sections are its parts of the .dwp's. */
static struct pmf_dw_unit *find_in_dwp(struct pmf_dw_file *dwp, struct pmf_dw_unit *u)
{
	struct index ix;
	struct pmf_dw_file *f;
	uint64_t row, i;

	if (!read_index(&ix, dwp->sec[PMF_DW_CU_INDEX]))
		return NULL;
	row = find_row(&ix, u->dwo_id);
	if (!row)
		return NULL;
	f = pmf_dw_file_new(dwp->d);
	f->sec[PMF_DW_STR] = dwp->sec[PMF_DW_STR];
	for (i = 0; i < ix.nr_columns; i++) {
		enum pmf_dw_section s = section_of_column(&ix, ix.columns[i]);
		uint64_t at = ix.rows + (row * ix.nr_columns + i) * 4;
		uint64_t off = u32_at(&ix, at),
			 size = u32_at(&ix, at + ix.nr_units * ix.nr_columns * 4);

		if (s < PMF_DW_NR_SECTIONS && off <= dwp->sec[s].size &&
			size <= dwp->sec[s].size - off)
			f->sec[s] = (struct pmf_dw_bytes){dwp->sec[s].data + off, size};
	}
	return unit_of_id(f, u->dwo_id);
}

static struct pmf_dw_file *dwp_of(struct pmf_dwarf *d)
{
	char *path;

	if (!d->dwp_tried) {
		d->dwp_tried = true;
		path = pmf_asprintf("%s.dwp", d->path);
		d->dwp = pmf_dw_file_open(d, path, true, NULL, 0);
		free(path);
	}
	return d->dwp;
}

struct pmf_dw_unit *pmf_dw_split_of(struct pmf_dw_unit *u)
{
	struct pmf_dw_file *dwp;

	if (!u->dwo_name)
		return u;
	if (!u->split_tried) {
		u->split_tried = true;
		dwp = dwp_of(u->file->d);
		u->split = dwp ? find_in_dwp(dwp, u) : NULL;
		if (!u->split)
			u->split = find_dwo(u);
		if (u->split)
			u->split->skeleton = u;
	}
	return u->split ? u->split : u;
}

/* ---- dwz ---- */

void pmf_dw_alt_open(struct pmf_dw_file *f)
{
	struct pmf_dwarf *d = f->d;
	char *path;

	if (!f->alt_name)
		return;
	path = *f->alt_name == '/' ? pmf_strdup(f->alt_name) : beside(d->path, f->alt_name);
	f->alt = pmf_dw_file_open(d, path, false, f->alt_id, f->alt_id_len);
	free(path);
	path = d->debug_root && !f->alt
		       ? pmf_build_id_path(d->debug_root, f->alt_id, f->alt_id_len, ".debug")
		       : NULL;
	if (path)
		f->alt = pmf_dw_file_open(d, path, false, f->alt_id, f->alt_id_len);
	free(path);
	if (f->alt)
		pmf_dw_units_read(f->alt);
}
