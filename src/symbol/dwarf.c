/* Source lines and inlined calls at an address: the unit whose code it is, the innermost of its scopes
 * there, and what each scope around that says of itself. */
#include "dwarf_priv.h"

#include "pmuflame/buf.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MAX_HOPS = 16, /* from an inlined call to its function, to the declaration of that */
	MAX_SPACES = 16,
	MAX_QUALIFIED = 4096,
};

/* What a function is called and where it is declared, found once for each DIE that says. */
struct pmf_dw_function {
	uint32_t file, die;
	const char *name, *decl_file;
	uint32_t decl_line;
};

bool pmf_dw_is_code(const struct pmf_dwarf *d, uint64_t rva)
{
	size_t i;

	for (i = 0; i < d->nr_code; i++)
		if (rva >= d->code[i].start && rva < d->code[i].end)
			return true;
	return false;
}

/* ---- Opening ---- */

static void index_units(struct pmf_dwarf *d)
{
	struct pmf_dw_file *f = d->files[0];
	struct pmf_dw_ranges ranges = {0};
	struct pmf_dw_die die;
	size_t i;

	for (i = 0; i < f->nr_units; i++) {
		struct pmf_dw_unit *u = &f->units[i];

		if (pmf_dw_unit_root(u, &die) &&
			(die.tag == PMF_DW_TAG_COMPILE_UNIT || die.tag == PMF_DW_TAG_SKELETON_UNIT))
			pmf_dw_ranges_of(u, &die, (uint32_t)i, &ranges);
	}
	pmf_dw_ranges_flatten(&ranges, &d->segments);
}

struct pmf_dwarf *pmf_dwarf_open(const struct pmf_dwarf_opts *opts, struct pmf_err *err)
{
	struct pmf_dwarf *d = pmf_zalloc(sizeof *d);
	struct pmf_dw_file *f = pmf_dw_file_new(d);

	d->path = pmf_strdup(opts->path);
	d->debug_root = pmf_strdup_or_null(opts->debug_root);
	d->opener = opts->opener;
	pmf_strtab_init(&d->strings);
	pmf_index_init(&d->abbrev_index);
	pmf_index_init(&d->function_index);
	if (pmf_dw_file_load(f, opts->fd, opts->path, false, err) != 0) {
		pmf_dwarf_close(d);
		return NULL;
	}
	pmf_dw_alt_open(f);
	pmf_dw_units_read(f);
	index_units(d);
	if (d->segments.n)
		return d;
	if (pmf_dw_spend(d, 0))
		pmf_err_set(err, PMF_ENOTFOUND, "the debug information of %s covers no code",
			opts->path);
	else
		pmf_err_set(err, PMF_EFORMAT,
			"the debug information of %s takes more time or memory than any of its "
			"size should, so it is not read",
			opts->path);
	pmf_dwarf_close(d);
	return NULL;
}

static void free_file(struct pmf_dw_file *f)
{
	size_t i;

	for (i = 0; i < f->nr_units; i++) {
		pmf_dw_scopes_free(f->units[i].scopes);
		pmf_dw_lines_free(f->units[i].lines);
	}
	for (i = 0; i < PMF_DW_NR_SECTIONS; i++)
		free(f->own[i]);
	free(f->units);
	free(f->alt_name);
	free(f);
}

void pmf_dwarf_close(struct pmf_dwarf *d)
{
	size_t i;

	if (!d)
		return;
	for (i = 0; i < d->nr_files; i++)
		free_file(d->files[i]);
	pmf_dw_abbrevs_release(d);
	pmf_index_release(&d->function_index);
	pmf_strtab_release(&d->strings);
	free(d->segments.items);
	free(d->functions);
	free(d->code);
	free(d->files);
	free(d->path);
	free(d->debug_root);
	free(d);
}

uint64_t pmf_dwarf_bytes(const struct pmf_dwarf *d)
{
	return d->loaded + d->held;
}

/* ---- Functions ---- */

static const char *demangled(struct pmf_dwarf *d, const char *name)
{
	char *text = pmf_symbol_demangle(name);
	uint32_t id = pmf_strtab_addz(&d->strings, text);

	free(text);
	return pmf_strtab_get(&d->strings, id);
}

/* What @die adds to @fn. A DIE says only what differs from the one it refers to. */
static void take_attributes(struct pmf_dw_function *fn, const char **plain_name,
	struct pmf_dw_unit *u, const struct pmf_dw_die *die)
{
	const struct pmf_dw_value *v;

	if (!fn->name)
		fn->name = pmf_dw_string(u, pmf_dw_get(die, PMF_DW_LINKAGE_NAME));
	if (!*plain_name)
		*plain_name = pmf_dw_string(u, pmf_dw_get(die, PMF_DW_NAME));
	if (!fn->decl_file && (v = pmf_dw_get(die, PMF_DW_DECL_FILE)))
		fn->decl_file = pmf_dw_lines_file(u, v->n);
	if (!fn->decl_line && (v = pmf_dw_get(die, PMF_DW_DECL_LINE)))
		fn->decl_line = v->n <= INT32_MAX ? (uint32_t)v->n : 0;
}

/* DW_LANG_C_plus_plus and its later versions: the only language with linkage names that leaves them out. */
static bool is_cxx(const struct pmf_dw_unit *u)
{
	return u->language == 0x04 || u->language == 0x1a || u->language == 0x21 ||
	       u->language == 0x2b || u->language == 0x3a;
}

/* A class without a name that has functions is mostly a lambda: where it stands tells it from others. */
static const char *unnamed_class(struct pmf_dwarf *d, const struct pmf_dw_die *die)
{
	const struct pmf_dw_value *line = pmf_dw_get(die, PMF_DW_DECL_LINE);
	char text[64];

	if (!line)
		return "(anonymous class)";
	snprintf(text, sizeof text, "(anonymous class at line %" PRIu64 ")", line->n);
	return pmf_strtab_get(&d->strings, pmf_strtab_addz(&d->strings, text));
}

/* @name, of the DIE at @off of @u, behind the namespaces and classes that it is in. */
static const char *qualified(struct pmf_dw_unit *u, uint64_t off, const char *name)
{
	const struct pmf_dw_scopes *s = pmf_dw_scopes_of(u);
	struct pmf_dwarf *d = u->file->d;
	struct pmf_buf text = PMF_BUF_INIT;
	const char *spaces[MAX_SPACES];
	uint32_t i = pmf_dw_space_around(s, off);
	size_t n = 0;

	for (; i != PMF_DW_NONE && n < MAX_SPACES; i = s->spaces[i].outer) {
		struct pmf_dw_die die;

		if (!pmf_dw_die_at(u, s->spaces[i].die, &die))
			return name;
		spaces[n] = pmf_dw_string(u, pmf_dw_get(&die, PMF_DW_NAME));
		if (!spaces[n])
			spaces[n] = die.tag == PMF_DW_TAG_NAMESPACE ? "(anonymous namespace)"
								    : unnamed_class(d, &die);
		n++;
	}
	if (!n)
		return name;
	while (n-- > 0 && text.len < MAX_QUALIFIED)
		pmf_buf_printf(&text, "%s::", spaces[n]);
	pmf_buf_addstr(&text, name);
	if (text.len < MAX_QUALIFIED)
		name = pmf_strtab_get(
			&d->strings, pmf_strtab_add(&d->strings, text.data, text.len));
	pmf_buf_release(&text);
	return name;
}

static struct pmf_dw_function describe(struct pmf_dwarf *d, struct pmf_dw_unit *u, uint64_t off)
{
	struct pmf_dw_function fn = {.file = u->file->number, .die = (uint32_t)off};
	const char *plain_name = NULL;
	const struct pmf_dw_value *next;
	struct pmf_dw_unit *first = u;
	struct pmf_dw_die die;
	unsigned hop;

	for (hop = 0; hop < MAX_HOPS && pmf_dw_die_at(u, off, &die); hop++) {
		take_attributes(&fn, &plain_name, u, &die);
		next = pmf_dw_get(&die, PMF_DW_ABSTRACT_ORIGIN);
		if (!next)
			next = pmf_dw_get(&die, PMF_DW_SPECIFICATION);
		if (!next || !pmf_dw_ref(u, next, &u, &off))
			break;
	}
	if (fn.name)
		fn.name = demangled(d, fn.name);
	else if (plain_name && (is_cxx(first) || is_cxx(u)))
		fn.name = qualified(u, off, plain_name);
	else
		fn.name = plain_name;
	/* Who asked keeps it, wherever it stands here; and demangled it may be longer. */
	pmf_dw_hold(d, sizeof fn + (fn.name ? strlen(fn.name) : 0));
	return fn;
}

static bool same_function(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_dw_function *a = &((const struct pmf_dwarf *)ctx)->functions[value],
				     *b = key;

	return a->file == b->file && a->die == b->die;
}

/* The function of @die, or of the one that it is an instance of: all calls of that share the answer. */
static const struct pmf_dw_function *function_of(
	struct pmf_dwarf *d, struct pmf_dw_unit *u, const struct pmf_dw_die *die)
{
	const struct pmf_dw_value *origin = pmf_dw_get(die, PMF_DW_ABSTRACT_ORIGIN);
	struct pmf_dw_unit *at = u;
	uint64_t off = die->off, hash;
	struct pmf_dw_function key;
	uint32_t i;

	if (origin && !pmf_dw_ref(u, origin, &at, &off)) {
		at = u;
		off = die->off;
	}
	key = (struct pmf_dw_function){.file = at->file->number, .die = (uint32_t)off};
	hash = pmf_hash_u64((uint64_t)key.file << 32 | key.die);
	i = pmf_index_find(&d->function_index, hash, same_function, d, &key);
	if (i == UINT32_MAX) {
		key = describe(d, at, off);
		i = (uint32_t)d->nr_functions;
		pmf_index_add(&d->function_index, hash, i);
		PMF_PUSH(d->functions, d->nr_functions, d->cap_functions) = key;
	}
	return &d->functions[i];
}

/* ---- Questions ---- */

/* The scopes around @innermost, how many there are. */
static size_t depth_of(const struct pmf_dw_scopes *s, uint32_t innermost)
{
	size_t n = 0;

	for (; innermost != PMF_DW_NONE; innermost = s->items[innermost].outer)
		n++;
	return n;
}

/* The place of scope @die itself into @out; where it was called from, into @caller if that is not NULL. */
static void describe_scope(
	struct pmf_dw_unit *u, uint32_t off, struct pmf_line *out, struct pmf_line *caller)
{
	const struct pmf_dw_function *fn;
	const struct pmf_dw_value *v;
	struct pmf_dw_die die;

	if (!pmf_dw_die_at(u, off, &die))
		return;
	if (out) {
		fn = function_of(u->file->d, u, &die);
		out->function = fn->name;
		out->decl_file = fn->decl_file;
		out->decl_line = fn->decl_line;
	}
	if (!caller)
		return;
	if ((v = pmf_dw_get(&die, PMF_DW_CALL_FILE)))
		caller->file = pmf_dw_lines_file(u, v->n);
	if ((v = pmf_dw_get(&die, PMF_DW_CALL_LINE)) && v->n <= INT32_MAX)
		caller->line = (uint32_t)v->n;
}

size_t pmf_dwarf_find(struct pmf_dwarf *d, uint64_t rva, struct pmf_line *out, size_t max)
{
	uint32_t i = pmf_dw_segments_find(&d->segments, rva), scope;
	const struct pmf_dw_scopes *scopes;
	struct pmf_dw_unit *u, *dies;
	size_t depth, at;

	if (i == PMF_DW_NONE || !max)
		return 0;
	d->questions++;
	u = &d->files[0]->units[i];
	dies = pmf_dw_split_of(u);
	scopes = pmf_dw_scopes_of(dies);
	scope = pmf_dw_segments_find(&scopes->segments, rva);
	depth = depth_of(scopes, scope);
	memset(out, 0, PMF_MIN(PMF_MAX(depth, 1U), max) * sizeof *out);
	/* From the innermost outwards, each says its caller's place. */
	for (at = depth; at-- > 0; scope = scopes->items[scope].outer)
		if (at <= max)
			describe_scope(dies, scopes->items[scope].die, at < max ? &out[at] : NULL,
				at ? &out[at - 1] : NULL);
	if (depth <= max)
		pmf_dw_lines_find(
			u, rva, &out[depth ? depth - 1 : 0].file, &out[depth ? depth - 1 : 0].line);
	return depth > 1 || out[0].function || out[0].file ? PMF_MIN(PMF_MAX(depth, 1U), max) : 0;
}
