/* Rules against a profile: for each rule a walk over the tree that adds up, at lines of the user's, what
 * the rule is about; then its evidence against that. */
#include "advise_priv.h"
#include "ini_priv.h"

#include "pmuflame/mem.h"
#include "pmuflame/table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_SAMPLES = 10, PATH_MAX_FRAMES = 6, NONE = UINT32_MAX };

/* A place of the user's that has frames of the rule in hand. */
struct site {
	uint32_t anchor; /* a node of the place: the one with the largest part */
	uint32_t frame;  /* what was matched there; without a frame to match, what has most */
	double largest;
	uint32_t loop_at; /* the node whose line is in a loop, or may be; NONE: not asked for */
	bool in_doubt;    /* that it may be is all that is known */
	bool has_below, calls_own;
};

struct hunt {
	const struct pmf_rules *rules;
	const struct pmf_tree *tree;
	struct pmf_advices *out;
	struct pmf_sources sources;
	struct pmf_code *code;
	size_t *events; /* of the profile, by class; PMF_NO_CLASS: it has none */
	/* By node. */
	uint32_t *own;    /* the nearest frame of the user's, the node's own first */
	uint32_t *caller; /* the nearest frame above it that is Python's or the user's */
	/* The rule in hand. */
	const struct pmf_rule *rule;
	uint8_t *is_frame, *is_below, *is_except; /* by function */
	uint32_t *site_at; /* by node: the site of the outermost match that leads there */
	bool *excepted;    /* by node */
	uint32_t *by_key;  /* sites, by twice the number of the place, and one more in doubt */
	size_t nr_keys;
	struct site *sites;
	size_t nr_sites, cap_sites;
	double *sums;      /* by site and event */
	uint64_t *samples; /* the same */
	size_t cap_sums, cap_samples;
};

static const struct pmf_code *code_at(const struct hunt *h, uint32_t node)
{
	return &h->code[h->tree->nodes[node].func];
}

/* ---- What holds for all rules ---- */

static void know_callers(struct hunt *h)
{
	const struct pmf_tree *t = h->tree;

	h->own = pmf_calloc(t->nr_nodes, sizeof *h->own);
	h->caller = pmf_calloc(t->nr_nodes, sizeof *h->caller);
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t parent = t->nodes[i].parent;
		const struct pmf_code *c = code_at(h, i);

		h->own[i] = c->own ? i : parent == UINT32_MAX ? NONE : h->own[parent];
		if (parent == UINT32_MAX)
			h->caller[i] = NONE;
		else
			h->caller[i] = code_at(h, parent)->own || code_at(h, parent)->python
					       ? parent
					       : h->caller[parent];
	}
}

/* The event of each class: the first whose label is one of it. */
static void know_events(struct hunt *h)
{
	const struct pmf_profile *p = h->tree->profile;

	h->events = pmf_calloc(h->rules->nr_classes, sizeof *h->events);
	for (size_t c = 0; c < h->rules->nr_classes; c++) {
		h->events[c] = PMF_NO_CLASS;
		for (size_t e = p->nr_events; e-- > 0;) {
			const char *label = p->events[e].label;

			if (label && pmf_advise_match(h->rules->classes[c].labels, label))
				h->events[c] = e;
		}
	}
}

/* Both events of a ratio must be of the same code: the user's, or all. */
static bool can_judge(const struct hunt *h, const struct pmf_evidence *e)
{
	const struct pmf_profile_event *num, *den;

	if (h->events[e->num] == PMF_NO_CLASS)
		return false;
	if (e->den == PMF_NO_CLASS)
		return true;
	if (h->events[e->den] == PMF_NO_CLASS)
		return false;
	num = &h->tree->profile->events[h->events[e->num]];
	den = &h->tree->profile->events[h->events[e->den]];
	return num->exclude_kernel == den->exclude_kernel && num->exclude_user == den->exclude_user;
}

/* ---- One rule: which frames, at which of the user's lines ---- */

static bool agrees(struct pmf_regex *re, const char *s)
{
	return !re || pmf_advise_match(re, s);
}

static void match_functions(struct hunt *h)
{
	const struct pmf_rule *rule = h->rule;

	for (size_t f = 0; f < h->tree->nr_funcs; f++) {
		const struct pmf_code *c = &h->code[f];
		enum pmf_frame_kind kind = h->tree->funcs[f].kind;

		h->is_frame[f] = rule->frame && pmf_frame_is_code(kind) &&
				 (!rule->kinds || (rule->kinds >> kind & 1)) &&
				 (!rule->own || c->own) && agrees(rule->frame, c->place.name) &&
				 agrees(rule->module, c->place.module) &&
				 agrees(rule->file, c->place.file);
		h->is_below[f] = pmf_advise_match(rule->below, c->place.name);
		h->is_except[f] = pmf_advise_match(rule->except, c->place.name);
	}
}

/* Is the line of node @at, which is the user's, in a loop as the rule wants it, or may it be? Then
 * *@where is the node whose line it is. */
static bool in_loop(const struct hunt *h, uint32_t at, uint32_t *where, bool *in_doubt)
{
	*where = NONE;
	*in_doubt = false;
	for (; at != NONE && code_at(h, at)->own; at = h->caller[at]) {
		const struct pmf_code *c = code_at(h, at);

		if (c->loop && c->loop != PMF_LOOP_UNKNOWN) {
			*where = at;
			*in_doubt = false;
			return true;
		}
		/* Loops of other languages are never known. */
		if (c->loop && c->python && !*in_doubt) {
			*where = at;
			*in_doubt = true;
		}
		if (h->rule->loop == PMF_LOOP_LINE)
			break;
	}
	return *in_doubt;
}

static uint32_t find_site(struct hunt *h, uint32_t place, bool in_doubt)
{
	size_t nr_events = h->tree->profile->nr_events, need = (h->nr_sites + 1) * nr_events;
	uint32_t *i = &h->by_key[2 * (size_t)place + in_doubt];

	if (*i != NONE)
		return *i;
	*i = (uint32_t)h->nr_sites;
	PMF_PUSH(h->sites, h->nr_sites, h->cap_sites) =
		(struct site){.anchor = NONE, .in_doubt = in_doubt};
	h->sums = pmf_grow(h->sums, &h->cap_sums, need, sizeof *h->sums);
	h->samples = pmf_grow(h->samples, &h->cap_samples, need, sizeof *h->samples);
	for (size_t e = need - nr_events; e < need; e++) {
		h->sums[e] = 0;
		h->samples[e] = 0;
	}
	return *i;
}

/* Add node @i, with all that it calls or by itself, to the site of @anchor; returns that, or NONE if
 * the rule is not about it. */
static uint32_t add(struct hunt *h, uint32_t i, uint32_t anchor, bool total)
{
	const struct pmf_tree *t = h->tree;
	size_t nr_events = t->profile->nr_events, first = h->events[h->rule->evidence[0].num];
	const struct pmf_code *c;
	uint32_t loop_at = NONE, at;
	bool in_doubt = false;
	struct site *s;
	double part;

	if (anchor == NONE)
		return NONE;
	c = code_at(h, anchor);
	if (h->rule->at_kinds && !(h->rule->at_kinds >> t->funcs[t->nodes[anchor].func].kind & 1))
		return NONE;
	if (h->rule->loop != PMF_LOOP_ANY && !in_loop(h, anchor, &loop_at, &in_doubt))
		return NONE;
	at = find_site(h, total ? c->by_line : c->by_function, in_doubt);
	for (size_t e = 0; e < nr_events; e++) {
		h->sums[at * nr_events + e] +=
			total ? pmf_tree_total(t, e, i) : pmf_tree_self(t, e, i);
		h->samples[at * nr_events + e] +=
			total ? pmf_tree_samples(t, e, i) : pmf_tree_samples_self(t, e, i);
	}
	s = &h->sites[at];
	part = total ? pmf_tree_total(t, first, i) : pmf_tree_self(t, first, i);
	if (s->anchor == NONE || part > s->largest) {
		s->anchor = anchor;
		s->frame = i;
		s->loop_at = loop_at;
		s->largest = part;
	}
	return at;
}

static void add_up(struct hunt *h)
{
	const struct pmf_tree *t = h->tree;

	h->nr_sites = 0;
	memset(h->by_key, 0xff, h->nr_keys * sizeof *h->by_key);
	for (uint32_t i = 0; i < t->nr_nodes; i++) {
		uint32_t f = t->nodes[i].func, parent = t->nodes[i].parent, *at = &h->site_at[i];

		*at = NONE;
		h->excepted[i] = h->is_except[f];
		if (parent != UINT32_MAX) {
			*at = h->site_at[parent];
			h->excepted[i] |= h->excepted[parent];
		}
		if (*at != NONE) {
			h->sites[*at].has_below |= h->is_below[f];
			h->sites[*at].calls_own |= h->code[f].own;
		} else if (h->excepted[i]) {
			continue;
		} else if (!h->rule->frame) {
			add(h, i, h->own[i], false);
		} else if (h->is_frame[f] && parent != UINT32_MAX &&
			   (!h->rule->direct || h->caller[i] == h->own[parent])) {
			*at = add(h, i, h->own[parent], true);
		}
	}
}

/* ---- Its evidence ---- */

/* 1 if the limit is passed by more than the error, -1 if it is passed at all, else 0. */
static int find_evidence(
	const struct hunt *h, size_t site, const struct pmf_evidence *e, struct pmf_finding *out)
{
	const struct pmf_tree *t = h->tree;
	size_t num = h->events[e->num], at = site * t->profile->nr_events;
	double all = pmf_tree_total(t, num, 0), sum = h->sums[at + num];
	double effective = pmf_tree_effective_samples(t, num);

	*out = (struct pmf_finding){
		.evidence = e, .event = num, .per = num, .samples = h->samples[at + num]};
	if (!(sum > 0) || !(all > 0))
		return 0;
	out->value = sum / all;
	out->error = pmf_share_error(out->value, effective);
	if (e->den != PMF_NO_CLASS) {
		size_t den = h->events[e->den];
		double per = h->sums[at + den], all_per = pmf_tree_total(t, den, 0);
		double weight_a = effective * sum / all;
		double weight_b =
			all_per > 0 ? pmf_tree_effective_samples(t, den) * per / all_per : 0;

		if (!(per > 0) || !(weight_a > 0) || !(weight_b > 0))
			return 0;
		out->per = den;
		out->value = (sum / h->rules->classes[e->num].each) /
			     (per / h->rules->classes[e->den].each);
		/* Both are known to one in the square root of their samples. */
		out->error = 1.96 * out->value * sqrt(1 / weight_a + 1 / weight_b);
		out->samples = PMF_MIN(out->samples, h->samples[at + den]);
	}
	if (out->value < e->least)
		return 0;
	return out->samples >= LEAST_SAMPLES && out->value - out->error >= e->least ? 1 : -1;
}

static void note(struct pmf_advices *out, char *text)
{
	for (size_t i = 0; i < out->nr_notes; i++) {
		if (strcmp(out->notes[i], text) == 0) {
			free(text);
			return;
		}
	}
	PMF_PUSH(out->notes, out->nr_notes, out->cap_notes) = text;
}

static void note_doubt(struct hunt *h, const struct site *s)
{
	const struct pmf_place *at = &code_at(h, s->anchor)->place;
	size_t source = code_at(h, s->loop_at)->source;

	note(h->out,
		pmf_asprintf("rule '%s' was not judged at %s (%s:%u), for it is not known whether "
			     "that is in a loop: %s",
			h->rule->name, at->name, at->file, (unsigned)at->line,
			source == SIZE_MAX || !h->sources.items[source].why
				? "the profile does not say where its source is"
				: h->sources.items[source].why));
}

/* ---- What is said ---- */

/* The user's frames, the last of them being the site's, and what was matched there. */
static void set_path(struct hunt *h, struct pmf_advice *a, const struct site *s)
{
	uint32_t nodes[PATH_MAX_FRAMES], at = s->anchor;
	size_t n = 0;

	if (s->frame != s->anchor)
		nodes[n++] = s->frame;
	while (at != NONE && n < PATH_MAX_FRAMES) {
		uint32_t parent = h->tree->nodes[at].parent;

		nodes[n++] = at;
		at = parent == UINT32_MAX ? NONE : h->own[parent];
	}
	a->path = pmf_arena_alloc(&h->out->arena, n * sizeof *a->path);
	while (n > 0)
		a->path[a->nr_path++] = code_at(h, nodes[--n])->place;
}

/* The share of time at a site, or, of a profile without, @share. */
static double time_share(const struct hunt *h, size_t site, double share)
{
	const struct pmf_profile *p = h->tree->profile;

	for (size_t c = 0; c < h->rules->nr_classes; c++) {
		size_t e = h->events[c];
		double all;

		if (strcmp(h->rules->classes[c].name, "time") != 0 || e == PMF_NO_CLASS)
			continue;
		all = pmf_tree_total(h->tree, e, 0);
		return all > 0 ? h->sums[site * p->nr_events + e] / all : 0;
	}
	return share;
}

static bool same_place(const struct pmf_place *a, const struct pmf_place *b)
{
	return a->line == b->line && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->module, b->module) == 0 && strcmp(a->file, b->file) == 0;
}

/* Rules with the same title say the same: what the larger part is of is said once. */
static void say(struct pmf_advices *out, const struct pmf_advice *a)
{
	for (size_t i = 0; i < out->n; i++) {
		struct pmf_advice *b = &out->items[i];

		if (strcmp(a->rule->title, b->rule->title) == 0 && same_place(&a->at, &b->at)) {
			if (a->gain > b->gain)
				*b = *a;
			return;
		}
	}
	PMF_PUSH(out->items, out->n, out->cap) = *a;
}

static void judge_site(struct hunt *h, size_t i)
{
	const struct pmf_rule *rule = h->rule;
	const struct site *s = &h->sites[i];
	struct pmf_finding findings[PMF_EVIDENCE_MAX] = {{0}};
	struct pmf_advice a = {.rule = rule};
	bool near = false;

	if ((rule->below && !s->has_below) || (rule->calls_own && !s->calls_own))
		return;
	for (size_t e = 0; e < rule->nr_evidence; e++) {
		int found = find_evidence(h, i, &rule->evidence[e], &findings[e]);

		if (found == 0)
			return;
		near |= found < 0;
	}
	if (near) {
		h->out->nr_near++;
	} else if (s->in_doubt) {
		note_doubt(h, s);
	} else {
		a.at = code_at(h, s->anchor)->place;
		if (s->loop_at != NONE) {
			a.loop = code_at(h, s->loop_at)->place;
			a.loop.line = code_at(h, s->loop_at)->loop;
		}
		a.findings = pmf_arena_alloc(&h->out->arena, rule->nr_evidence * sizeof *findings);
		memcpy(a.findings, findings, rule->nr_evidence * sizeof *findings);
		a.gain = time_share(
			h, i, rule->evidence[0].den == PMF_NO_CLASS ? findings[0].value : 0);
		set_path(h, &a, s);
		say(h->out, &a);
	}
}

static void note_given_up(struct hunt *h)
{
	const struct pmf_rule *r = h->rule;
	struct pmf_regex *const all[] = {r->frame, r->module, r->file, r->below, r->except};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(all); i++)
		if (all[i] && pmf_regex_given_up(all[i]))
			note(h->out, pmf_asprintf("rule '%s' (%s:%d) has a pattern that costs too "
						  "much: some frames were not compared with it",
					     r->name, r->path, r->line));
}

static void judge(struct hunt *h, const struct pmf_rule *rule)
{
	for (size_t e = 0; e < rule->nr_evidence; e++) {
		if (!can_judge(h, &rule->evidence[e])) {
			PMF_PUSH(h->out->not_judged, h->out->nr_not_judged,
				h->out->cap_not_judged) = rule;
			return;
		}
	}
	h->rule = rule;
	h->out->nr_judged++;
	match_functions(h);
	add_up(h);
	for (size_t i = 0; i < h->nr_sites; i++)
		judge_site(h, i);
	note_given_up(h);
}

/* ---- All rules ---- */

/* What to record for class @c. An event of the profile is named without the ":u" or ":k" that would keep
 * it from a ratio with the others. free(3) it. */
static char *event_to_record(const struct hunt *h, size_t c)
{
	const struct pmf_profile_event *ev;
	const char *name;
	size_t len;

	if (h->events[c] == PMF_NO_CLASS)
		return pmf_strdup(h->rules->classes[c].record);
	ev = &h->tree->profile->events[h->events[c]];
	name = pmf_profile_label(ev);
	len = strlen(name);
	if ((ev->exclude_kernel || ev->exclude_user) && len > 2 && name[len - 2] == ':')
		len -= 2;
	return pmf_strndup(name, len);
}

/* Append the event to record for class @c to *@list, with commas between them, unless it is there. */
static void add_missing(const struct hunt *h, char **list, size_t c)
{
	char *name = event_to_record(h, c);
	size_t len = strlen(name);

	for (const char *at = *list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, len) == 0 && (!at[len] || at[len] == ',')) {
			free(name);
			return;
		}
	}
	pmf_ini_add_text(list, name, ",");
	free(name);
}

static void list_missing(struct hunt *h)
{
	for (size_t i = 0; i < h->out->nr_not_judged; i++) {
		const struct pmf_rule *rule = h->out->not_judged[i];

		for (size_t e = 0; e < rule->nr_evidence; e++) {
			add_missing(h, &h->out->missing, rule->evidence[e].num);
			if (rule->evidence[e].den != PMF_NO_CLASS)
				add_missing(h, &h->out->missing, rule->evidence[e].den);
		}
	}
}

static int compare_advice(const void *va, const void *vb)
{
	const struct pmf_advice *a = va, *b = vb;
	int order = strcmp(a->at.file, b->at.file);

	if (a->gain != b->gain)
		return a->gain < b->gain ? 1 : -1;
	if (order == 0)
		order = strcmp(a->at.name, b->at.name);
	if (order == 0)
		order = (a->at.line > b->at.line) - (a->at.line < b->at.line);
	return order ? order : strcmp(a->rule->name, b->rule->name);
}

void pmf_advise(struct pmf_advices *out, const struct pmf_rules *rules, const struct pmf_tree *tree)
{
	struct hunt h = {.rules = rules, .tree = tree, .out = out};

	memset(out, 0, sizeof *out);
	pmf_arena_init(&out->arena);
	h.sources.before_unix_ns = tree->profile->start_unix_ns;
	h.code = pmf_code_of(tree, rules, &h.sources, &out->arena);
	/* Each function has two numbers, and number 0 is none's. */
	h.nr_keys = 2 * (2 * tree->nr_funcs + 1);
	h.by_key = pmf_calloc(h.nr_keys, sizeof *h.by_key);
	h.is_frame = pmf_calloc(tree->nr_funcs, 1);
	h.is_below = pmf_calloc(tree->nr_funcs, 1);
	h.is_except = pmf_calloc(tree->nr_funcs, 1);
	h.site_at = pmf_calloc(tree->nr_nodes, sizeof *h.site_at);
	h.excepted = pmf_calloc(tree->nr_nodes, sizeof *h.excepted);
	know_callers(&h);
	know_events(&h);
	for (size_t i = 0; i < rules->nr_rules; i++)
		if (!rules->rules[i].off)
			judge(&h, &rules->rules[i]);
	list_missing(&h);
	if (out->n)
		qsort(out->items, out->n, sizeof *out->items, compare_advice);
	pmf_sources_release(&h.sources);
	free(h.code);
	free(h.by_key);
	free(h.is_frame);
	free(h.is_below);
	free(h.is_except);
	free(h.site_at);
	free(h.excepted);
	free(h.own);
	free(h.caller);
	free(h.events);
	free(h.sites);
	free(h.sums);
	free(h.samples);
}

void pmf_advices_release(struct pmf_advices *a)
{
	pmf_free_strings(a->notes, a->nr_notes);
	free(a->missing);
	free(a->items);
	free(a->not_judged);
	pmf_arena_release(&a->arena);
	memset(a, 0, sizeof *a);
}
