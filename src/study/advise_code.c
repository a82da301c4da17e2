/* The functions of a profile's tree as rules of advice see them: whose they are, where, in what loop. */
#include "advise_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

/* Take the place off a Python function's label: "name (file.py:12)", "name (file.py)". What the frame
 * says of it by itself is better. */
static void split_label(struct pmf_place *at, struct pmf_arena *arena)
{
	size_t len = strlen(at->name);
	const char *open = len > 2 && at->name[len - 1] == ')' ? strrchr(at->name, '(') : NULL;
	const char *colon = open ? strrchr(open, ':') : NULL, *end = at->name + len - 1;
	char *digits = NULL;
	unsigned long line;

	if (!open || open < at->name + 2 || open[-1] != ' ')
		return;
	line = colon ? strtoul(colon + 1, &digits, 10) : 0;
	if (digits != end || digits == colon + 1 || line > UINT32_MAX - 1)
		line = 0;
	if (line)
		end = colon;
	if (!*at->file)
		at->file = pmf_arena_strndup(arena, open + 1, (size_t)(end - open - 1));
	if (!at->line)
		at->line = (uint32_t)line;
	at->name = pmf_arena_strndup(arena, at->name, (size_t)(open - at->name - 1));
}

bool pmf_advise_match(struct pmf_regex *re, const char *s)
{
	return re && *s && pmf_regex_match(re, s, strlen(s));
}

/* Code that the user can change: with a name, and not of a library's file. */
static bool is_own(const struct pmf_func *fn, const struct pmf_code *c, const char *path,
	const struct pmf_rules *rules)
{
	if (fn->kind == PMF_FRAME_KERNEL || !pmf_frame_is_code(fn->kind) || fn->unresolved)
		return false;
	if (pmf_advise_match(rules->own, c->place.file) || pmf_advise_match(rules->own, path))
		return true;
	/* Generated code has no file but in its name. */
	return !pmf_advise_match(rules->library, c->place.file) &&
	       !pmf_advise_match(rules->library, path) &&
	       !(fn->kind == PMF_FRAME_JIT && pmf_advise_match(rules->library, c->place.name));
}

/* Functions that Python makes of the inside of a loop. */
static bool is_comprehension(const char *name)
{
	static const char *const inside[] = {"<listcomp>", "<genexpr>", "<setcomp>", "<dictcomp>"};
	size_t len = strlen(name);

	for (size_t i = 0; i < PMF_ARRAY_SIZE(inside); i++) {
		size_t n = strlen(inside[i]);

		if (len >= n && strcmp(name + len - n, inside[i]) == 0)
			return true;
	}
	return false;
}

static void find_loop(struct pmf_code *c, struct pmf_sources *sources)
{
	const struct pmf_place *at = &c->place;

	c->source = SIZE_MAX;
	c->loop = PMF_LOOP_UNKNOWN;
	if (c->python && is_comprehension(at->name)) {
		c->loop = at->line ? at->line : PMF_LOOP_UNKNOWN;
	} else if (c->python && c->own && at->file[0] == '/' && at->line) {
		c->source = pmf_sources_find(sources, at->file);
		c->loop = pmf_sources_loop(sources, c->source, at->line);
	}
}

static uint32_t number(struct pmf_strtab *places, const struct pmf_func *fn,
	const struct pmf_place *at, uint32_t line)
{
	char *key = pmf_asprintf("%d\n%s\n%s\n%s\n%u", (int)fn->kind, at->name, at->module,
		at->file, (unsigned)line);
	uint32_t id = pmf_strtab_addz(places, key);

	free(key);
	return id;
}

struct pmf_code *pmf_code_of(const struct pmf_tree *t, const struct pmf_rules *rules,
	struct pmf_sources *sources, struct pmf_arena *arena)
{
	const struct pmf_strtab *strs = &t->profile->strings;
	struct pmf_code *code = pmf_calloc(t->nr_funcs, sizeof *code);
	struct pmf_strtab places;

	pmf_strtab_init(&places);
	for (size_t f = 0; f < t->nr_funcs; f++) {
		const struct pmf_func *fn = &t->funcs[f];
		struct pmf_code *c = &code[f];

		c->python = fn->kind == PMF_FRAME_PYTHON;
		c->place = (struct pmf_place){.name = pmf_tree_string(t, fn->name),
			.module = pmf_strtab_get(strs, fn->module),
			.file = pmf_strtab_get(strs, fn->file),
			.line = fn->line};
		if (c->python)
			split_label(&c->place, arena);
		c->own = is_own(fn, c, pmf_strtab_get(strs, fn->path), rules);
		c->by_line = number(&places, fn, &c->place, c->place.line);
		c->by_function = number(&places, fn, &c->place, 0);
		find_loop(c, sources);
	}
	pmf_strtab_release(&places);
	return code;
}
