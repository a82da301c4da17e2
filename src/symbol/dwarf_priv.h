/* What the files of src/symbol/dwarf*.c share: sections, units, DIEs, and what is indexed of them.
 * The numbers are DWARF 5's (sections 7.5 to 7.25), GNU's from the DebugFission and dwz documents.
 *
 * All of a section is in memory, so an offset fits 32 bits (PMF_DW_MAX_BYTES), and what is read of one is
 * read by a cursor that does not leave it. Loops over what a file says spend from the struct
 * pmf_dwarf's budget, a few times the file's size: no file can make a question cost more. */
#ifndef PMF_DWARF_PRIV_H
#define PMF_DWARF_PRIV_H

#include "pmuflame/dwarf.h"
#include "pmuflame/hash.h"
#include "symbol_priv.h"

#define PMF_DW_MAX_BYTES (UINT64_C(2) << 30) /* of sections, of all files of one image */
#define PMF_DW_NONE UINT32_MAX

enum pmf_dw_section {
	PMF_DW_INFO,
	PMF_DW_ABBREV,
	PMF_DW_LINE,
	PMF_DW_STR,
	PMF_DW_LINE_STR,
	PMF_DW_RANGES,
	PMF_DW_RNGLISTS,
	PMF_DW_ADDR,
	PMF_DW_STR_OFFSETS,
	PMF_DW_CU_INDEX,
	PMF_DW_NR_SECTIONS
};

enum pmf_dw_tag {
	PMF_DW_TAG_CLASS = 0x02,
	PMF_DW_TAG_COMPILE_UNIT = 0x11,
	PMF_DW_TAG_STRUCTURE = 0x13,
	PMF_DW_TAG_UNION = 0x17,
	PMF_DW_TAG_INLINED = 0x1d,
	PMF_DW_TAG_SUBPROGRAM = 0x2e,
	PMF_DW_TAG_NAMESPACE = 0x39,
	PMF_DW_TAG_SKELETON_UNIT = 0x4a,
};

enum pmf_dw_unit_type {
	PMF_DW_UT_COMPILE = 1,
	PMF_DW_UT_TYPE = 2,
	PMF_DW_UT_SKELETON = 4,
	PMF_DW_UT_SPLIT_COMPILE = 5,
	PMF_DW_UT_SPLIT_TYPE = 6,
};

enum pmf_dw_form {
	PMF_DW_FORM_ADDR = 0x01,
	PMF_DW_FORM_BLOCK2 = 0x03,
	PMF_DW_FORM_BLOCK4 = 0x04,
	PMF_DW_FORM_DATA2 = 0x05,
	PMF_DW_FORM_DATA4 = 0x06,
	PMF_DW_FORM_DATA8 = 0x07,
	PMF_DW_FORM_STRING = 0x08,
	PMF_DW_FORM_BLOCK = 0x09,
	PMF_DW_FORM_BLOCK1 = 0x0a,
	PMF_DW_FORM_DATA1 = 0x0b,
	PMF_DW_FORM_FLAG = 0x0c,
	PMF_DW_FORM_SDATA = 0x0d,
	PMF_DW_FORM_STRP = 0x0e,
	PMF_DW_FORM_UDATA = 0x0f,
	PMF_DW_FORM_REF_ADDR = 0x10,
	PMF_DW_FORM_REF1 = 0x11,
	PMF_DW_FORM_REF2 = 0x12,
	PMF_DW_FORM_REF4 = 0x13,
	PMF_DW_FORM_REF8 = 0x14,
	PMF_DW_FORM_REF_UDATA = 0x15,
	PMF_DW_FORM_INDIRECT = 0x16,
	PMF_DW_FORM_SEC_OFFSET = 0x17,
	PMF_DW_FORM_EXPRLOC = 0x18,
	PMF_DW_FORM_FLAG_PRESENT = 0x19,
	PMF_DW_FORM_STRX = 0x1a,
	PMF_DW_FORM_ADDRX = 0x1b,
	PMF_DW_FORM_REF_SUP4 = 0x1c,
	PMF_DW_FORM_STRP_SUP = 0x1d,
	PMF_DW_FORM_DATA16 = 0x1e,
	PMF_DW_FORM_LINE_STRP = 0x1f,
	PMF_DW_FORM_REF_SIG8 = 0x20,
	PMF_DW_FORM_IMPLICIT_CONST = 0x21,
	PMF_DW_FORM_LOCLISTX = 0x22,
	PMF_DW_FORM_RNGLISTX = 0x23,
	PMF_DW_FORM_REF_SUP8 = 0x24,
	PMF_DW_FORM_STRX1 = 0x25,
	PMF_DW_FORM_STRX2 = 0x26,
	PMF_DW_FORM_STRX3 = 0x27,
	PMF_DW_FORM_STRX4 = 0x28,
	PMF_DW_FORM_ADDRX1 = 0x29,
	PMF_DW_FORM_ADDRX2 = 0x2a,
	PMF_DW_FORM_ADDRX3 = 0x2b,
	PMF_DW_FORM_ADDRX4 = 0x2c,
	PMF_DW_FORM_GNU_ADDR_INDEX = 0x1f01,
	PMF_DW_FORM_GNU_STR_INDEX = 0x1f02,
	PMF_DW_FORM_GNU_REF_ALT = 0x1f20,
	PMF_DW_FORM_GNU_STRP_ALT = 0x1f21,
};

/* The attributes that are read, each at its own place in a struct pmf_dw_die. */
enum pmf_dw_slot {
	PMF_DW_NAME,
	PMF_DW_LINKAGE_NAME,
	PMF_DW_DECL_FILE,
	PMF_DW_DECL_LINE,
	PMF_DW_CALL_FILE,
	PMF_DW_CALL_LINE,
	PMF_DW_LOW_PC,
	PMF_DW_HIGH_PC,
	PMF_DW_RANGES_AT,
	PMF_DW_ABSTRACT_ORIGIN,
	PMF_DW_SPECIFICATION,
	PMF_DW_STMT_LIST,
	PMF_DW_LANGUAGE,
	PMF_DW_COMP_DIR,
	PMF_DW_STR_OFFSETS_BASE,
	PMF_DW_ADDR_BASE,
	PMF_DW_RNGLISTS_BASE,
	PMF_DW_GNU_RANGES_BASE,
	PMF_DW_DWO_NAME,
	PMF_DW_GNU_DWO_ID,
	PMF_DW_NR_SLOTS /* also: an attribute that is not read */
};

/* ---- Bytes ---- */

struct pmf_dw_bytes {
	const uint8_t *data;
	size_t size;
};

/* Reads little-endian numbers. Behind the end it gives zeros and sets bad. */
struct pmf_dw_cursor {
	const uint8_t *at, *end;
	bool bad;
};

/* From @off of @b on; bad if that lies behind its end. */
static inline struct pmf_dw_cursor pmf_dw_at(struct pmf_dw_bytes b, uint64_t off)
{
	if (!b.data || off > b.size)
		return (struct pmf_dw_cursor){NULL, NULL, true};
	return (struct pmf_dw_cursor){b.data + off, b.data + b.size, false};
}

static inline void pmf_dw_skip(struct pmf_dw_cursor *c, uint64_t n)
{
	if (n > (uint64_t)(c->end - c->at)) {
		c->bad = true;
		c->at = c->end;
	} else {
		c->at += n;
	}
}

/* A number of @n bytes, at most 8. */
static inline uint64_t pmf_dw_uint(struct pmf_dw_cursor *c, size_t n)
{
	uint64_t v = 0;

	if (c->bad || n > (size_t)(c->end - c->at)) {
		c->bad = true;
		c->at = c->end;
		return 0;
	}
	memcpy(&v, c->at, n);
	c->at += n;
	return v;
}

uint64_t pmf_dw_uleb_long(struct pmf_dw_cursor *c);
int64_t pmf_dw_sleb(struct pmf_dw_cursor *c);
/* The string here, NULL if it does not end within the section. */
const char *pmf_dw_cstr(struct pmf_dw_cursor *c);
const char *pmf_dw_cstr_at(struct pmf_dw_bytes b, uint64_t off);
/* A unit's length, and by that the size of its offsets; the cursor then ends where the unit does. */
void pmf_dw_initial_length(struct pmf_dw_cursor *c, uint8_t *off_size);

static inline uint64_t pmf_dw_uleb(struct pmf_dw_cursor *c)
{
	return c->at < c->end && *c->at < 0x80 ? *c->at++ : pmf_dw_uleb_long(c);
}

/* ---- dwarf_file.c: the sections of an ELF file ---- */

struct pmf_dw_unit;

struct pmf_dw_file {
	struct pmf_dwarf *d;
	struct pmf_dw_bytes sec[PMF_DW_NR_SECTIONS];
	uint8_t *own[PMF_DW_NR_SECTIONS]; /* free(3) these; a part of a .dwp has none */
	struct pmf_dw_unit *units;        /* sorted by offset */
	size_t nr_units, cap_units;
	uint32_t number; /* in the struct pmf_dwarf */
	char *alt_name;  /* dwz's alternate, and its build id */
	uint8_t alt_id[20];
	size_t alt_id_len;
	struct pmf_dw_file *alt; /* NULL: none was found */
};

/* Add the sections of descriptor @fd to @f; @dwo: those of split units (.debug_info.dwo), else those of a
 * program. For a program its code is told to f->d, too. */
int pmf_dw_file_load(
	struct pmf_dw_file *f, int fd, const char *path, bool dwo, struct pmf_err *err);
/* The same of the regular file at @path, NULL if it cannot be read. @build_id: only if it has that. */
struct pmf_dw_file *pmf_dw_file_open(struct pmf_dwarf *d, const char *path, bool dwo,
	const uint8_t *build_id, size_t build_id_len);
struct pmf_dw_file *pmf_dw_file_new(struct pmf_dwarf *d);

/* ---- dwarf_die.c: abbreviations, attributes ---- */

struct pmf_dw_shape {
	uint8_t version, addr_size, off_size;
};

struct pmf_dw_value {
	uint64_t n;    /* a number, an offset or an index, by form */
	const char *s; /* DW_FORM_string */
	uint16_t form;
};

struct pmf_dw_die {
	uint32_t off;
	uint16_t tag;
	bool children;
	uint32_t have; /* 1 << slot */
	struct pmf_dw_value v[PMF_DW_NR_SLOTS];
};

struct pmf_dw_unit {
	struct pmf_dw_file *file;
	uint32_t off, die, end; /* in INFO: its header, its first DIE, behind its last */
	uint32_t abbrev_off;
	struct pmf_dw_shape shape;
	bool root_read, has_line, split_tried;
	uint64_t dwo_id;
	struct pmf_dw_abbrevs *abbrevs; /* the file's */
	/* What its first DIE says. */
	uint64_t low_pc, str_offsets_base, addr_base, rnglists_base, ranges_base, stmt_list,
		language;
	const char *comp_dir, *dwo_name;
	struct pmf_dw_unit *split;    /* of a skeleton */
	struct pmf_dw_unit *skeleton; /* of a split unit */
	struct pmf_dw_scopes *scopes;
	struct pmf_dw_lines *lines;
};

/* The DIE at @c into @die, without attributes that only others than functions have. False at a null entry
 * and where it cannot be read (c->bad). */
bool pmf_dw_die_walk(struct pmf_dw_unit *u, struct pmf_dw_cursor *c, struct pmf_dw_die *die);
/* The whole DIE that stands at @off of @u. */
bool pmf_dw_die_at(struct pmf_dw_unit *u, uint64_t off, struct pmf_dw_die *die);
void pmf_dw_form_read(struct pmf_dw_cursor *c, const struct pmf_dw_shape *shape, uint64_t form,
	int64_t implicit, struct pmf_dw_value *v);
/* What a value means; NULL or false where it means no such thing. */
const char *pmf_dw_string(struct pmf_dw_unit *u, const struct pmf_dw_value *v);
bool pmf_dw_addr(struct pmf_dw_unit *u, const struct pmf_dw_value *v, uint64_t *addr);
bool pmf_dw_addrx(struct pmf_dw_unit *u, uint64_t index, uint64_t *addr);
bool pmf_dw_ref(struct pmf_dw_unit *u, const struct pmf_dw_value *v, struct pmf_dw_unit **to,
	uint64_t *off);
void pmf_dw_abbrevs_release(struct pmf_dwarf *d);

static inline const struct pmf_dw_value *pmf_dw_get(
	const struct pmf_dw_die *die, enum pmf_dw_slot slot)
{
	return die->have & 1U << slot ? &die->v[slot] : NULL;
}

/* ---- dwarf_units.c ---- */

/* Find the units of @f by their headers. */
void pmf_dw_units_read(struct pmf_dw_file *f);
/* The unit of @f that the DIE at @off is in, or NULL. */
struct pmf_dw_unit *pmf_dw_unit_at(struct pmf_dw_file *f, uint64_t off);
/* Read the first DIE of @u, once, into @die if that is not NULL; false if there is none. */
bool pmf_dw_unit_root(struct pmf_dw_unit *u, struct pmf_dw_die *die);

/* ---- dwarf_ranges.c: which code belongs to what ---- */

struct pmf_dw_range {
	uint64_t start, end;
	uint32_t what; /* of nested ranges the inner one's is the higher */
};

struct pmf_dw_ranges {
	struct pmf_dw_range *items;
	size_t n, cap;
};

/* Disjoint, sorted: from start on to the next one's it is @what, PMF_DW_NONE for nothing. */
struct pmf_dw_segment {
	uint64_t start;
	uint32_t what;
};

struct pmf_dw_segments {
	struct pmf_dw_segment *items;
	size_t n, cap;
};

/* Add the code of @die, which is in @u, as @what's. Code that a linker dropped is left out. */
void pmf_dw_ranges_of(struct pmf_dw_unit *u, const struct pmf_dw_die *die, uint32_t what,
	struct pmf_dw_ranges *out);
/* What is innermost where. Empties @r. */
void pmf_dw_ranges_flatten(struct pmf_dw_ranges *r, struct pmf_dw_segments *out);
uint32_t pmf_dw_segments_find(const struct pmf_dw_segments *s, uint64_t rva);

/* ---- dwarf_scopes.c: the functions of a unit and what is inlined in them ---- */

struct pmf_dw_scope {
	uint32_t die;
	uint32_t outer; /* the scope that it is inlined in, PMF_DW_NONE for a function */
};

/* The DIE of a namespace or a class, which has others in it. */
struct pmf_dw_space {
	uint32_t die, end;
	uint32_t outer; /* the space around it; PMF_DW_NONE: none, or a function */
};

struct pmf_dw_scopes {
	struct pmf_dw_scope *items;
	size_t n, cap;
	struct pmf_dw_space *spaces; /* sorted by DIE */
	size_t nr_spaces, cap_spaces;
	struct pmf_dw_segments segments;
};

/* Those of @u, read once. */
const struct pmf_dw_scopes *pmf_dw_scopes_of(struct pmf_dw_unit *u);
void pmf_dw_scopes_free(struct pmf_dw_scopes *s);
/* The innermost space around the DIE at @off, or PMF_DW_NONE. */
uint32_t pmf_dw_space_around(const struct pmf_dw_scopes *s, uint64_t off);

/* ---- dwarf_lines.c: line programs ---- */

/* The line table of @u, read once; NULL if it has none. A split unit's is that of its own file where there
 * is one: it names files, never lines. */
struct pmf_dw_lines *pmf_dw_lines_of(struct pmf_dw_unit *u);
void pmf_dw_lines_free(struct pmf_dw_lines *l);
/* Where @rva comes from. */
void pmf_dw_lines_find(struct pmf_dw_unit *u, uint64_t rva, const char **file, uint32_t *line);
/* The path of file number @n of @u's table, NULL if there is none. */
const char *pmf_dw_lines_file(struct pmf_dw_unit *u, uint64_t n);

/* ---- dwarf_split.c: what lies in other files ---- */

/* The unit with the DIEs of @u: @u, or that of its .dwo or in the .dwp, where it is found. */
struct pmf_dw_unit *pmf_dw_split_of(struct pmf_dw_unit *u);
/* Find dwz's alternate of the image's file. */
void pmf_dw_alt_open(struct pmf_dw_file *f);

/* ---- dwarf.c ---- */

struct pmf_dwarf {
	char *path, *debug_root;
	const struct pmf_opener *opener;
	struct pmf_dw_file **files; /* the first is the image's */
	size_t nr_files, cap_files;
	uint64_t loaded, spent; /* bytes of sections; steps */
	uint64_t held;          /* bytes of what was made of them */
	uint64_t questions;
	struct pmf_sym_range *code; /* executable sections */
	size_t nr_code, cap_code;
	struct pmf_dw_segments segments; /* of the first file's units */
	struct pmf_dw_abbrevs **abbrevs;
	size_t nr_abbrevs, cap_abbrevs;
	struct pmf_index abbrev_index;
	struct pmf_dw_file *dwp; /* NULL: there is none */
	bool dwp_tried;
	struct pmf_dw_function *functions;
	size_t nr_functions, cap_functions;
	struct pmf_index function_index;
	struct pmf_strtab strings; /* names and paths that were made up */
};

/* To read every unit, line and name once takes fewer steps than three times the bytes. */
enum { PMF_DW_BUDGET_FACTOR = 8, PMF_DW_BUDGET_LEAST = 16 << 20, PMF_DW_BUDGET_QUESTION = 10000 };
/* Bytes that are passed over, as those of strings, count less. */
enum { PMF_DW_STEP_BYTES = 16 };
/* And what is kept of all of that takes less memory than it itself. */
enum { PMF_DW_HELD_LEAST = 64 << 20 };

static inline uint64_t pmf_dw_budget(const struct pmf_dwarf *d)
{
	return PMF_DW_BUDGET_LEAST + d->loaded * PMF_DW_BUDGET_FACTOR +
	       d->questions * PMF_DW_BUDGET_QUESTION;
}

/* @n more bytes are kept; pmf_dw_spend says when it is enough. */
static inline void pmf_dw_hold(struct pmf_dwarf *d, uint64_t n)
{
	d->held += n;
}

/* Whether @n more steps may be done. */
static inline bool pmf_dw_spend(struct pmf_dwarf *d, uint64_t n)
{
	d->spent += n;
	return d->spent <= pmf_dw_budget(d) && d->held <= PMF_DW_HELD_LEAST + d->loaded;
}

/* Whether code starts at @rva: a linker gives dropped code no place, or one at 0, 1 or the end. */
bool pmf_dw_is_code(const struct pmf_dwarf *d, uint64_t rva);

#endif
