/* What a tree's functions are shown as: short, as far as nobody takes one for another. */
#include "pmuflame/names.h"
#include "profile_priv.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A label in a module, and the name of the function that has it. */
struct owner {
	uint32_t label, module, name;
	bool shared; /* with one of another name */
};

struct owners {
	struct owner *items;
	size_t n, cap;
	struct pmf_index index;
};

static bool owner_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct owner *a = &((const struct owners *)ctx)->items[value], *b = key;

	return a->label == b->label && a->module == b->module;
}

static struct owner *owner_of(struct owners *o, const struct pmf_func *f)
{
	struct owner key = {.label = f->label, .module = f->module, .name = f->name};
	uint64_t hash = pmf_hash_u64((uint64_t)key.label << 32 | key.module);
	uint32_t id = pmf_index_find(&o->index, hash, owner_eq, o, &key);

	if (id == UINT32_MAX) {
		id = (uint32_t)o->n;
		PMF_PUSH(o->items, o->n, o->cap) = key;
		pmf_index_add(&o->index, hash, id);
	}
	return &o->items[id];
}

/* A label of @f that keeps @keep of its name. */
static uint32_t label_of(struct pmf_tree *t, const struct pmf_func *f, struct pmf_name_keep keep)
{
	struct pmf_buf label = PMF_BUF_INIT;
	uint32_t id;

	pmf_name_add_label(&label, pmf_tree_string(t, f->name), keep);
	id = pmf_tree_add_string(t, pmf_buf_str(&label), label.len);
	pmf_buf_release(&label);
	return id;
}

static bool may_be_short(const struct pmf_tree *t, const struct pmf_func *f)
{
	return t->opts.names != PMF_NAMES_FULL && pmf_frame_is_code(f->kind) &&
	       f->kind != PMF_FRAME_PYTHON && !f->unresolved;
}

/* Names are in order: those that are the same stand together. */
static void shorten(struct pmf_tree *t)
{
	const struct pmf_func *last = NULL;

	for (size_t i = 0; i < t->nr_funcs; i++) {
		struct pmf_func *f = &t->funcs[i];

		f->label = f->full_label = f->name;
		if (!may_be_short(t, f))
			continue;
		f->label = last && last->name == f->name
				   ? last->label
				   : label_of(t, f, (struct pmf_name_keep){0});
		last = f;
	}
}

/* How much of the names whose labels are shared they get, one after the other; at last all of it. */
static const struct pmf_name_keep forms[] = {{true, 0}, {false, 1}, {false, 2}, {true, 1},
	{false, PMF_NAME_ALL_ARGS}, {true, PMF_NAME_ALL_ARGS}};

/* Give all labels that two names of a module share more of their names, NULL: all; returns how many. */
static size_t lengthen(struct pmf_tree *t, const struct pmf_name_keep *keep)
{
	uint32_t *longer = pmf_calloc(t->nr_funcs, sizeof *longer);
	struct owners o = {0};
	size_t n = 0;

	pmf_index_init(&o.index);
	for (size_t i = 0; i < t->nr_funcs; i++) {
		struct owner *owner = owner_of(&o, &t->funcs[i]);

		owner->shared |= owner->name != t->funcs[i].name;
	}
	for (size_t i = 0; i < t->nr_funcs; i++) {
		const struct pmf_func *f = &t->funcs[i];

		longer[i] = f->label;
		if (f->label == f->name || !owner_of(&o, f)->shared)
			continue;
		longer[i] = keep ? label_of(t, f, *keep) : f->name;
		n++;
	}
	for (size_t i = 0; i < t->nr_funcs; i++)
		t->funcs[i].label = longer[i];
	free(longer);
	pmf_index_release(&o.index);
	free(o.items);
	return n;
}

/* ---- Functions of one name ---- */

/* How a place is written: so many of the folders above the file, and the line or not. */
struct place_form {
	unsigned folders;
	bool line;
};

/* The last part of @path, with the last @folders folders of it. */
static const char *tail_of(const char *path, unsigned folders)
{
	const char *at = path + strlen(path);

	for (unsigned slashes = 0; at > path; at--) {
		slashes += at[-1] == '/';
		if (slashes > folders)
			break;
	}
	return at;
}

/* Append @name of function @f with its place. A Python function's name has that already, without
 * folders: they come in. */
static void add_placed(struct pmf_buf *out, const struct pmf_tree *t, const struct pmf_func *f,
	const char *name, struct place_form form)
{
	const char *file = pmf_tree_string(t, f->file), *tail = tail_of(file, form.folders);
	const char *open = f->kind == PMF_FRAME_PYTHON ? strrchr(name, '(') : NULL;
	const char *base = tail_of(file, 0);

	if (open && strncmp(open + 1, base, strlen(base)) == 0) {
		pmf_buf_add(out, name, (size_t)(open + 1 - name));
		pmf_buf_add(out, tail, (size_t)(base - tail));
		pmf_buf_addstr(out, open + 1);
		return;
	}
	pmf_buf_printf(out, "%s (%s", name, tail);
	if (form.line && f->start_line)
		pmf_buf_printf(out, ":%" PRIu32, f->start_line);
	pmf_buf_addch(out, ')');
}

/* How many places the functions from @from to before @to have, written that way. */
static size_t count_places(const struct pmf_tree *t, size_t from, size_t to, struct place_form form)
{
	struct pmf_strtab seen;
	struct pmf_buf text = PMF_BUF_INIT;
	size_t n;

	pmf_strtab_init(&seen);
	for (size_t i = from; i < to; i++) {
		if (!t->funcs[i].file)
			continue;
		pmf_buf_clear(&text);
		add_placed(&text, t, &t->funcs[i], pmf_tree_string(t, t->funcs[i].name), form);
		pmf_strtab_add(&seen, pmf_buf_str(&text), text.len);
	}
	n = seen.n - 1;
	pmf_strtab_release(&seen);
	pmf_buf_release(&text);
	return n;
}

static uint32_t placed(
	struct pmf_tree *t, const struct pmf_func *f, uint32_t name, struct place_form form)
{
	struct pmf_buf text = PMF_BUF_INIT;
	uint32_t id;

	add_placed(&text, t, f, pmf_tree_string(t, name), form);
	id = pmf_tree_add_string(t, pmf_buf_str(&text), text.len);
	pmf_buf_release(&text);
	return id;
}

/* The functions from @from to before @to have one name and module: where they have several places, those
 * are told, as short as tells them apart. */
static void tell_apart(struct pmf_tree *t, size_t from, size_t to)
{
	enum { MOST_FOLDERS = 8 };
	struct place_form form = {UINT_MAX, true};
	size_t places = to - from > 1 ? count_places(t, from, to, form) : 0;

	for (unsigned i = 0; i < 2 * MOST_FOLDERS && places > 1; i++) {
		struct place_form shorter = {i / 2, i % 2};

		if (count_places(t, from, to, shorter) == places) {
			form = shorter;
			break;
		}
	}
	for (size_t i = from; i < to && places > 1; i++) {
		struct pmf_func *f = &t->funcs[i];

		if (!f->file)
			continue;
		f->label = placed(t, f, f->label, form);
		f->full_label = placed(t, f, f->full_label, form);
	}
}

void pmf_tree_add_labels(struct pmf_tree *t)
{
	shorten(t);
	for (size_t i = 0; i <= PMF_ARRAY_SIZE(forms); i++)
		if (lengthen(t, i < PMF_ARRAY_SIZE(forms) ? &forms[i] : NULL) == 0)
			break;
	for (size_t from = 0, to; from < t->nr_funcs; from = to) {
		for (to = from + 1; to < t->nr_funcs && t->funcs[to].name == t->funcs[from].name &&
				    t->funcs[to].module == t->funcs[from].module;)
			to++;
		tell_apart(t, from, to);
	}
}
