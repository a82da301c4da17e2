/* First fit of events into passes. */
#include "pmuflame/passes.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is scheduled together: an event, or the group that begins with it. */
struct unit {
	const struct pmf_event *events;
	size_t n;
	bool counted; /* by the kernel itself, in any number */
	size_t pass;
};

struct packing {
	struct unit *units;
	size_t n, cap;
	size_t nr_passes;
	const struct pmf_event *anchor; /* in every pass; NULL: none */
	const struct pmf_event **room;  /* for as many events as there are */
	unsigned *refused;              /* by pass, for as many passes as there are units */
	pmf_passes_fit *fit;
	void *ctx;
};

static bool is_counted_by_kernel(const struct pmf_event *ev)
{
	return ev->cls == PMF_EVENT_CLOCK || ev->cls == PMF_EVENT_FAULT ||
	       ev->cls == PMF_EVENT_SWITCH || ev->cls == PMF_EVENT_TRACEPOINT;
}

static void make_units(struct packing *k, const struct pmf_event_list *list)
{
	for (size_t e = 0; e < list->n; e += k->units[k->n - 1].n) {
		const struct pmf_event *ev = &list->events[e];
		struct unit u = {.events = ev, .n = 1, .counted = is_counted_by_kernel(ev)};

		while (ev->group >= 0 && e + u.n < list->n && ev[u.n].group == ev->group)
			u.counted &= is_counted_by_kernel(&ev[u.n++]);
		PMF_PUSH(k->units, k->n, k->cap) = u;
	}
}

static size_t add_events(const struct packing *k, size_t n, const struct unit *u)
{
	for (size_t i = 0; i < u->n; i++)
		k->room[n++] = &u->events[i];
	return n;
}

static bool is_anchor(const struct packing *k, const struct unit *u)
{
	return u->n == 1 && u->events == k->anchor;
}

/* Does unit @i fit into pass @pass beside those before it? */
static bool fits(const struct packing *k, size_t i, size_t pass)
{
	size_t n = 0;

	if (k->units[i].counted)
		return true;
	if (k->anchor && !is_counted_by_kernel(k->anchor))
		k->room[n++] = k->anchor;
	for (size_t u = 0; u < i; u++)
		if (k->units[u].pass == pass && !k->units[u].counted && !is_anchor(k, &k->units[u]))
			n = add_events(k, n, &k->units[u]);
	return k->fit(k->ctx, k->room, add_events(k, n, &k->units[i]));
}

/* The same, of a pass that is not full. Trials take milliseconds, and there may be a thousand events for six
 * counters: a pass that refused eight of them is not asked again. */
static bool takes(struct packing *k, size_t i, size_t pass)
{
	enum { FULL = 8 };

	if (k->units[i].counted)
		return true;
	if (k->refused[pass] == FULL)
		return false;
	if (fits(k, i, pass))
		return true;
	k->refused[pass]++;
	return false;
}

/* False if a unit does not even fit beside the anchor alone. */
static bool pack(struct packing *k)
{
	k->nr_passes = 1;
	memset(k->refused, 0, (k->n + 1) * sizeof *k->refused);
	for (size_t i = 0; i < k->n; i++) {
		size_t pass = 0;

		if (is_anchor(k, &k->units[i])) {
			k->units[i].pass = 0;
			continue;
		}
		while (pass < k->nr_passes && !takes(k, i, pass))
			pass++;
		k->units[i].pass = pass;
		if (pass < k->nr_passes)
			continue;
		k->nr_passes++;
		if (k->anchor && !is_counted_by_kernel(k->anchor) && !fits(k, i, pass))
			return false;
	}
	return true;
}

/* Do both count the same, in user code, the kernel or both? */
static bool counts_like(const struct pmf_event *a, const struct pmf_event *b)
{
	return a->attrs[0].attr.type == b->attrs[0].attr.type &&
	       a->attrs[0].attr.config == b->attrs[0].attr.config;
}

/* The event that is to be @wanted: one that is asked for anyway, or @wanted itself; NULL if a group
 * has it, where it cannot stand in all passes. */
static const struct pmf_event *find_anchor(const struct packing *k, const struct pmf_event *wanted)
{
	for (size_t i = 0; i < k->n; i++)
		for (size_t e = 0; e < k->units[i].n; e++)
			if (counts_like(&k->units[i].events[e], wanted))
				return k->units[i].n == 1 ? k->units[i].events : NULL;
	return wanted;
}

static void add_spec_text(struct pmf_buf *out, const struct pmf_event *ev)
{
	pmf_buf_addstr(out, ev->spec);
	if (ev->rate_given && ev->freq_hz)
		pmf_buf_printf(out, "@%" PRIu64 "hz", ev->freq_hz);
	else if (ev->rate_given)
		pmf_buf_printf(out, "@%" PRIu64, ev->period);
}

/* As --event takes it. free(3) it. */
static char *unit_spec(const struct pmf_event *events, size_t n)
{
	struct pmf_buf out = PMF_BUF_INIT;

	pmf_buf_addstr(&out, n > 1 ? "{" : "");
	for (size_t i = 0; i < n; i++) {
		pmf_buf_addstr(&out, i ? "," : "");
		add_spec_text(&out, &events[i]);
	}
	pmf_buf_addstr(&out, n > 1 ? "}" : "");
	return pmf_buf_detach(&out);
}

static void add_spec(struct pmf_pass *pass, const struct pmf_event *events, size_t n)
{
	PMF_PUSH(pass->specs, pass->nr_specs, pass->cap_specs) = unit_spec(events, n);
}

static void drop_unfit(struct packing *k, struct pmf_passes *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct unit *u = &k->units[i];

		if (u->counted || k->fit(k->ctx, k->room, add_events(k, 0, u))) {
			k->units[kept++] = *u;
			continue;
		}
		PMF_PUSH(p->unfit, p->nr_unfit, p->cap_unfit) = (struct pmf_unfit){
			.spec = unit_spec(u->events, u->n),
			.why = u->n > 1 ? "the PMU does not have counters for the whole group"
					: "it opens, but never gets a counter"};
	}
	k->n = kept;
}

static void write_passes(struct pmf_passes *p, const struct packing *k)
{
	if (k->anchor)
		p->anchor = pmf_strdup(k->anchor->label);
	for (size_t n = 0; n < k->nr_passes && k->n; n++) {
		struct pmf_pass pass = {0};

		if (k->anchor)
			add_spec(&pass, k->anchor, 1);
		for (size_t i = 0; i < k->n; i++)
			if (k->units[i].pass == n && !is_anchor(k, &k->units[i]))
				add_spec(&pass, k->units[i].events, k->units[i].n);
		PMF_PUSH(p->items, p->n, p->cap) = pass;
	}
}

void pmf_passes_pack(struct pmf_passes *p, const struct pmf_event_list *list,
	const struct pmf_event_list *anchors, pmf_passes_fit *fit, void *ctx)
{
	struct packing k = {.fit = fit, .ctx = ctx};

	memset(p, 0, sizeof *p);
	k.room = pmf_calloc(list->n + 1, sizeof *k.room);
	make_units(&k, list);
	k.refused = pmf_calloc(k.n + 1, sizeof *k.refused);
	drop_unfit(&k, p);
	pack(&k);
	for (size_t i = 0; i < anchors->n && k.nr_passes > 1; i++) {
		k.anchor = find_anchor(&k, &anchors->events[i]);
		if (k.anchor && pack(&k))
			break;
	}
	write_passes(p, &k);
	free(k.units);
	free(k.room);
	free(k.refused);
}

void pmf_passes_release(struct pmf_passes *p)
{
	for (size_t i = 0; i < p->n; i++) {
		for (size_t s = 0; s < p->items[i].nr_specs; s++)
			free(p->items[i].specs[s]);
		free(p->items[i].specs);
	}
	for (size_t i = 0; i < p->nr_unfit; i++)
		free(p->unfit[i].spec);
	free(p->items);
	free(p->unfit);
	free(p->anchor);
	memset(p, 0, sizeof *p);
}
