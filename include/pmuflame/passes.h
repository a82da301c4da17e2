/* pmuflame/passes.h - which events a sweep counts together.
 * Layer: study (uses base, event). Threads: one owner per value.
 *
 * A PMU has few counters. Events that fit them at once make a pass; what does not fit waits for
 * another run, so that no event is ever multiplexed. With several passes one event, the anchor, is in
 * all of them: what it counts says whether the passes measured the same thing. */
#ifndef PMUFLAME_PASSES_H
#define PMUFLAME_PASSES_H

#include "pmuflame/event.h"
#include <stdbool.h>
#include <stddef.h>

/* Do these events count all the time when they are opened together? */
typedef bool pmf_passes_fit(void *ctx, const struct pmf_event *const *events, size_t n);

/* As --event takes them: single events and groups, with their rates. */
struct pmf_pass {
	char **specs;
	size_t nr_specs, cap_specs;
};

struct pmf_unfit {
	char *spec;
	const char *why;
};

struct pmf_passes {
	struct pmf_pass *items;
	size_t n, cap;
	char *anchor; /* its label; NULL with one pass */
	/* What fits no pass, not even alone. */
	struct pmf_unfit *unfit;
	size_t nr_unfit, cap_unfit;
};

/* Pack the events of @list, groups staying together, into as few passes as first fit finds, asking
 * @fit, and software events without asking; at most some ten questions for each event. @anchors are tried in this order as the anchor, and the
 * last, a software event, fits everywhere; one that is in @list, whatever
 * its modifiers, is not counted twice. */
void pmf_passes_pack(struct pmf_passes *p, const struct pmf_event_list *list,
	const struct pmf_event_list *anchors, pmf_passes_fit *fit, void *ctx);
void pmf_passes_release(struct pmf_passes *p);

#endif
