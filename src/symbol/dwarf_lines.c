/* Line programs: DWARF 5 section 6.2, and versions 2 to 4 of it. */
#include "dwarf_priv.h"

#include "pmuflame/file.h"
#include <stdlib.h>

enum {
	LNS_COPY = 1,
	LNS_ADVANCE_PC,
	LNS_ADVANCE_LINE,
	LNS_SET_FILE,
	LNS_SET_COLUMN,
	LNS_NEGATE_STMT,
	LNS_SET_BASIC_BLOCK,
	LNS_CONST_ADD_PC,
	LNS_FIXED_ADVANCE_PC,
};

enum { LNE_END_SEQUENCE = 1, LNE_SET_ADDRESS, LNE_DEFINE_FILE };

enum { LNCT_PATH = 1, LNCT_DIRECTORY_INDEX };

enum {
	ROW_COST = 8, /* in steps: a byte of a program can make a row */
	MAX_PATH = 4096,
	MAX_FORMATS = 16,
};

struct row {
	uint64_t addr;
	uint32_t file, line;
};

/* Rows of ascending addresses. */
struct sequence {
	uint64_t start, end;
	size_t first, n;
};

struct name {
	const char *text;
	uint64_t dir;
	const char *path; /* made when it is first asked for */
};

struct names {
	struct name *items;
	size_t n, cap;
};

struct pmf_dw_lines {
	struct row *rows;
	size_t nr_rows, cap_rows;
	struct sequence *sequences; /* sorted */
	size_t nr_sequences, cap_sequences;
	struct names dirs, files;
	struct pmf_dw_shape shape;
};

struct program {
	struct pmf_dw_unit *u;
	struct pmf_dw_lines *l;
	struct pmf_dw_cursor c;
	uint8_t min_insn, line_range, opcode_base;
	int8_t line_base;
	const uint8_t *nr_args; /* of opcode i at i - 1 */
	/* The registers. */
	uint64_t addr, file, line;
	size_t first; /* row of the sequence */
};

/* ---- Names ---- */

static void add_name(struct program *p, struct names *names, const char *text, uint64_t dir)
{
	pmf_dw_hold(p->u->file->d, sizeof *names->items);
	PMF_PUSH(names->items, names->n, names->cap) = (struct name){text, dir, NULL};
}

/* To find the end of @text took steps, too. */
static const char *counted(struct pmf_dw_unit *u, const char *text)
{
	if (text)
		pmf_dw_spend(u->file->d, strlen(text) / PMF_DW_STEP_BYTES);
	return text;
}

/* Version 5: a list of which fields an entry has, then the entries. */
static void read_names5(struct program *p, struct names *out)
{
	struct pmf_dw_cursor *c = &p->c;
	uint64_t what[MAX_FORMATS], form[MAX_FORMATS], n;
	size_t nr_formats = (size_t)pmf_dw_uint(c, 1), i;

	if (nr_formats > MAX_FORMATS) {
		c->bad = true;
		return;
	}
	for (i = 0; i < nr_formats; i++) {
		what[i] = pmf_dw_uleb(c);
		form[i] = pmf_dw_uleb(c);
	}
	for (n = pmf_dw_uleb(c); n && !c->bad && pmf_dw_spend(p->u->file->d, ROW_COST); n--) {
		struct name name = {0};
		const uint8_t *before = c->at;

		for (i = 0; i < nr_formats; i++) {
			struct pmf_dw_value v;

			pmf_dw_form_read(c, &p->l->shape, form[i], 0, &v);
			if (what[i] == LNCT_PATH)
				name.text = counted(p->u, pmf_dw_string(p->u, &v));
			else if (what[i] == LNCT_DIRECTORY_INDEX)
				name.dir = v.n;
		}
		if (c->at == before)
			c->bad = true;
		else
			add_name(p, out, name.text, name.dir);
	}
}

static bool read_file4(struct program *p)
{
	const char *text = pmf_dw_cstr(&p->c);
	uint64_t dir;

	if (!text || !*text)
		return false;
	dir = pmf_dw_uleb(&p->c);
	pmf_dw_uleb(&p->c); /* time */
	pmf_dw_uleb(&p->c); /* size */
	add_name(p, &p->l->files, text, dir);
	return pmf_dw_spend(p->u->file->d, ROW_COST);
}

static void read_names4(struct program *p)
{
	const char *text;

	add_name(p, &p->l->dirs, NULL, 0); /* the unit's own */
	while ((text = pmf_dw_cstr(&p->c)) && *text && pmf_dw_spend(p->u->file->d, ROW_COST))
		add_name(p, &p->l->dirs, text, 0);
	add_name(p, &p->l->files, NULL, 0); /* there is no number 0 */
	while (read_file4(p))
		;
}

static bool read_head(struct program *p)
{
	struct pmf_dw_cursor *c = &p->c, after;
	struct pmf_dw_shape *s = &p->l->shape;
	uint64_t version;

	*s = p->u->shape;
	pmf_dw_initial_length(c, &s->off_size);
	version = pmf_dw_uint(c, 2);
	if (c->bad || version < 2 || version > 5)
		return false;
	s->version = (uint8_t)version;
	if (version == 5) {
		s->addr_size = (uint8_t)pmf_dw_uint(c, 1);
		pmf_dw_uint(c, 1); /* size of a segment selector */
	}
	after = *c;
	pmf_dw_skip(&after, pmf_dw_uint(&after, s->off_size));
	pmf_dw_skip(c, s->off_size);
	p->min_insn = (uint8_t)pmf_dw_uint(c, 1);
	if (version >= 4)
		pmf_dw_uint(c, 1); /* operations of an instruction: 1 but for VLIW machines */
	pmf_dw_uint(c, 1);         /* default_is_stmt */
	p->line_base = (int8_t)pmf_dw_uint(c, 1);
	p->line_range = (uint8_t)pmf_dw_uint(c, 1);
	p->opcode_base = (uint8_t)pmf_dw_uint(c, 1);
	p->nr_args = c->at;
	pmf_dw_skip(c, p->opcode_base ? p->opcode_base - 1U : 0);
	if (c->bad || after.bad || !p->line_range || !p->opcode_base)
		return false;
	if (version == 5) {
		read_names5(p, &p->l->dirs);
		read_names5(p, &p->l->files);
	} else {
		read_names4(p);
	}
	pmf_dw_spend(p->u->file->d, (uint64_t)(c->at - p->nr_args) / PMF_DW_STEP_BYTES);
	/* Names that are damaged leave the lines as they are. */
	*c = after;
	return true;
}

/* ---- Rows ---- */

static void start_sequence(struct program *p)
{
	p->addr = 0;
	p->file = 1;
	p->line = 1;
	p->first = p->l->nr_rows;
}

/* Only the last row of an address counts, and only one that changes the place. */
static void add_row(struct program *p)
{
	struct pmf_dw_lines *l = p->l;
	struct row row = {p->addr, (uint32_t)PMF_MIN(p->file, (uint64_t)UINT32_MAX),
		p->line <= INT32_MAX ? (uint32_t)p->line : 0};
	struct row *last;

	if (l->nr_rows > p->first) {
		last = &l->rows[l->nr_rows - 1];
		/* Addresses only rise within a sequence (section 6.2.5). */
		if (last->addr > row.addr)
			p->c.bad = true;
		if (last->addr == row.addr)
			*last = row;
		if (last->addr >= row.addr || (last->file == row.file && last->line == row.line))
			return;
	}
	PMF_PUSH(l->rows, l->nr_rows, l->cap_rows) = row;
	pmf_dw_hold(p->u->file->d, sizeof row);
}

static void end_sequence(struct program *p)
{
	struct pmf_dw_lines *l = p->l;
	size_t n = l->nr_rows - p->first;

	if (n && l->rows[p->first].addr < p->addr &&
		pmf_dw_is_code(p->u->file->d, l->rows[p->first].addr))
		PMF_PUSH(l->sequences, l->nr_sequences, l->cap_sequences) =
			(struct sequence){l->rows[p->first].addr, p->addr, p->first, n};
	else
		l->nr_rows = p->first;
	start_sequence(p);
}

static void extended(struct program *p)
{
	uint64_t len = pmf_dw_uleb(&p->c), op;
	struct pmf_dw_cursor after = p->c;

	pmf_dw_skip(&after, len);
	if (!len || after.bad) {
		p->c.bad = true;
		return;
	}
	op = pmf_dw_uint(&p->c, 1);
	if (op == LNE_END_SEQUENCE)
		end_sequence(p);
	else if (op == LNE_SET_ADDRESS)
		p->addr = pmf_dw_uint(&p->c, PMF_MIN(len - 1, UINT64_C(8)));
	else if (op == LNE_DEFINE_FILE)
		read_file4(p);
	p->c.at = after.at;
}

static void standard(struct program *p, uint8_t op)
{
	struct pmf_dw_cursor *c = &p->c;
	uint8_t i;

	switch (op) {
	case LNS_COPY:
		add_row(p);
		break;
	case LNS_ADVANCE_PC:
		p->addr += pmf_dw_uleb(c) * p->min_insn;
		break;
	case LNS_ADVANCE_LINE:
		p->line = (uint32_t)(p->line + (uint64_t)pmf_dw_sleb(c));
		break;
	case LNS_SET_FILE:
		p->file = pmf_dw_uleb(c);
		break;
	case LNS_CONST_ADD_PC:
		p->addr += (uint64_t)((255 - p->opcode_base) / p->line_range) * p->min_insn;
		break;
	case LNS_FIXED_ADVANCE_PC:
		p->addr += pmf_dw_uint(c, 2);
		break;
	default: /* of no matter here, or of a later version: the head says how many operands it has */
		for (i = 0; i < p->nr_args[op - 1]; i++)
			pmf_dw_uleb(c);
	}
}

static void run(struct program *p)
{
	start_sequence(p);
	while (p->c.at < p->c.end && !p->c.bad && pmf_dw_spend(p->u->file->d, ROW_COST)) {
		uint8_t op = (uint8_t)pmf_dw_uint(&p->c, 1);

		if (op >= p->opcode_base) {
			op = (uint8_t)(op - p->opcode_base);
			p->addr += (uint64_t)(op / p->line_range) * p->min_insn;
			p->line =
				(uint32_t)(p->line + (uint64_t)(p->line_base + op % p->line_range));
			add_row(p);
		} else if (op == 0) {
			extended(p);
		} else {
			standard(p, op);
		}
	}
	p->l->nr_rows = p->first; /* of a sequence without an end */
}

static int by_start(const void *a, const void *b)
{
	const struct sequence *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static struct pmf_dw_lines *read_lines(struct pmf_dw_unit *u)
{
	struct pmf_dw_lines *l = pmf_zalloc(sizeof *l);
	struct program p = {
		.u = u, .l = l, .c = pmf_dw_at(u->file->sec[PMF_DW_LINE], u->stmt_list)};

	/* A .dwo's table has file names, and no program to speak of. */
	if (read_head(&p))
		run(&p);
	if (l->nr_sequences)
		qsort(l->sequences, l->nr_sequences, sizeof *l->sequences, by_start);
	return l;
}

/* Split units have a table in their own file from version 5 on, before they use the skeleton's. */
struct pmf_dw_lines *pmf_dw_lines_of(struct pmf_dw_unit *u)
{
	if (u->skeleton && !u->file->sec[PMF_DW_LINE].size)
		return pmf_dw_lines_of(u->skeleton);
	if (!u->lines && (u->has_line || u->skeleton))
		u->lines = read_lines(u);
	return u->lines;
}

void pmf_dw_lines_free(struct pmf_dw_lines *l)
{
	if (!l)
		return;
	free(l->rows);
	free(l->sequences);
	free(l->dirs.items);
	free(l->files.items);
	free(l);
}

/* ---- Answers ---- */

static const struct row *find_row(const struct pmf_dw_lines *l, uint64_t rva)
{
	const struct sequence *s;
	size_t lo = 0, hi = l->nr_sequences;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->sequences[mid].start <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	s = lo ? &l->sequences[lo - 1] : NULL;
	if (!s || rva >= s->end)
		return NULL;
	lo = s->first;
	hi = s->first + s->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->rows[mid].addr <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > s->first ? &l->rows[lo - 1] : NULL;
}

void pmf_dw_lines_find(struct pmf_dw_unit *u, uint64_t rva, const char **file, uint32_t *line)
{
	struct pmf_dw_lines *l = pmf_dw_lines_of(u);
	const struct row *row = l ? find_row(l, rva) : NULL;

	*file = row ? pmf_dw_lines_file(u, row->file) : NULL;
	*line = row ? row->line : 0;
}

/* @text below @dir below @top, unless the latter of those is a whole path itself. */
static const char *join(struct pmf_dwarf *d, const char *top, const char *dir, const char *text)
{
	const char *parts[] = {top, dir, text};
	char path[MAX_PATH];
	size_t i = PMF_ARRAY_SIZE(parts) - 1, n = 0, len;

	while (i > 0 && !(parts[i] && *parts[i] == '/'))
		i--;
	for (; i < PMF_ARRAY_SIZE(parts); i++) {
		len = parts[i] ? strlen(parts[i]) : 0;
		if (len + 1 >= sizeof path - n)
			return NULL;
		if (len && n)
			path[n++] = '/';
		memcpy(path + n, len ? parts[i] : "", len);
		n += len;
	}
	path[n] = '\0';
	n = pmf_file_fold(path);
	pmf_dw_hold(d, n);
	return pmf_strtab_get(&d->strings, pmf_strtab_add(&d->strings, path, n));
}

const char *pmf_dw_lines_file(struct pmf_dw_unit *u, uint64_t n)
{
	struct pmf_dw_lines *l = pmf_dw_lines_of(u);
	struct pmf_dwarf *d = u->file->d;
	const char *top = u->comp_dir || !u->skeleton ? u->comp_dir : u->skeleton->comp_dir, *dir;
	struct name *f;

	if (!l || n >= l->files.n || !l->files.items[n].text)
		return NULL;
	f = &l->files.items[n];
	if (f->path)
		return f->path;
	dir = f->dir < l->dirs.n ? l->dirs.items[f->dir].text : NULL;
	/* Version 5 has the unit's folder as number 0, and the others are below that. */
	if (l->shape.version >= 5 && (!top || !f->dir))
		top = l->dirs.n ? l->dirs.items[0].text : NULL;
	return f->path = join(d, top, f->dir ? dir : NULL, f->text);
}
