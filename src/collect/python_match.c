/* Which of the agent's stacks belongs to which sample. The kernel takes the sample at the overflow;
 * the signal, and with it the agent's stack, comes when the thread returns to user code: at once, or
 * after a system call that may take its time. No user code runs in between, so the registers of the
 * sample are those that the handler interrupted. That is what proves that they belong together; the
 * times only say which to compare. */
#include "python_room.h"

#include <stdlib.h>
#include <string.h>

enum {
	RESTART_BYTES = 4,    /* a system call that will be restarted has its ip set back */
	STACKS_MAX = 8192,    /* kept for one thread that has no samples */
	WAITS_MAX = 8192,     /* kept for one thread whose stacks do not come */
	COMPACT_AFTER = 1024, /* elements taken from a queue that never gets empty */
};

static bool tid_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_py_process *)ctx)->threads[value].tid == *(const uint32_t *)key;
}

struct pmf_py_thread *pmf_py_thread(struct pmf_py_process *proc, uint32_t tid)
{
	uint32_t i = pmf_index_find(&proc->by_tid, pmf_hash_u64(tid), tid_eq, proc, &tid);

	if (i == UINT32_MAX) {
		i = (uint32_t)proc->nr_threads;
		pmf_index_add(&proc->by_tid, pmf_hash_u64(tid), i);
		PMF_PUSH(proc->threads, proc->nr_threads, proc->cap_threads) =
			(struct pmf_py_thread){.tid = tid};
	}
	return &proc->threads[i];
}

void pmf_py_thread_release(struct pmf_py_thread *t)
{
	free(t->stacks);
	free(t->frames);
	free(t->waits);
	free(t->ids);
	free(t->user);
	free(t->last_frames);
	memset(t, 0, sizeof *t);
}

void pmf_py_thread_restart(struct pmf_py_thread *t)
{
	t->nr_waits = t->next_wait = 0;
	t->nr_ids = t->nr_user = 0;
}

/* ---- Queues ---- */

static void compact_stacks(struct pmf_py_thread *t)
{
	size_t gone = t->next_stack == t->nr_stacks ? t->nr_frames : t->stacks[t->next_stack].first;

	if (t->next_stack < t->nr_stacks && t->next_stack < COMPACT_AFTER)
		return;
	memmove(t->stacks, t->stacks + t->next_stack,
		(t->nr_stacks - t->next_stack) * sizeof *t->stacks);
	t->nr_stacks -= t->next_stack;
	t->next_stack = 0;
	if (t->nr_frames > gone)
		memmove(t->frames, t->frames + gone, (t->nr_frames - gone) * sizeof *t->frames);
	t->nr_frames -= gone;
	for (size_t i = 0; i < t->nr_stacks; i++)
		t->stacks[i].first -= gone;
}

static void compact_waits(struct pmf_py_thread *t)
{
	bool empty = t->next_wait == t->nr_waits;
	size_t ids = empty ? t->nr_ids : t->waits[t->next_wait].first;
	size_t user = empty ? t->nr_user : t->waits[t->next_wait].first_user;

	if (!empty && t->next_wait < COMPACT_AFTER)
		return;
	memmove(t->waits, t->waits + t->next_wait, (t->nr_waits - t->next_wait) * sizeof *t->waits);
	t->nr_waits -= t->next_wait;
	t->next_wait = 0;
	if (t->nr_ids > ids)
		memmove(t->ids, t->ids + ids, (t->nr_ids - ids) * sizeof *t->ids);
	t->nr_ids -= ids;
	if (t->nr_user > user)
		memmove(t->user, t->user + user, (t->nr_user - user) * sizeof *t->user);
	t->nr_user -= user;
	for (size_t i = 0; i < t->nr_waits; i++) {
		t->waits[i].first -= ids;
		t->waits[i].first_user -= user;
	}
}

static void push_stack(struct pmf_py_thread *t, const struct pmf_python_stack *stack)
{
	t->frames = pmf_grow(t->frames, &t->cap_frames, t->nr_frames + stack->n, sizeof *t->frames);
	if (stack->n)
		memcpy(t->frames + t->nr_frames, stack->frames, stack->n * sizeof *t->frames);
	PMF_PUSH(t->stacks, t->nr_stacks, t->cap_stacks) =
		(struct pmf_py_stack){.time_ns = stack->time_ns,
			.ip = stack->ip,
			.sp = stack->sp,
			.cut = stack->cut,
			.entering = stack->entering,
			.first = t->nr_frames,
			.n = stack->n};
	t->nr_frames += stack->n;
}

/* The first stack of the queue becomes the last one. */
static void pass_stack(struct pmf_py_thread *t)
{
	t->last = t->stacks[t->next_stack++];
	t->last_frames =
		pmf_grow(t->last_frames, &t->cap_last_frames, t->last.n, sizeof *t->last_frames);
	if (t->last.n)
		memcpy(t->last_frames, t->frames + t->last.first,
			t->last.n * sizeof *t->last_frames);
	compact_stacks(t);
}

/* ---- Into the profile ---- */

/* Below smp->node the @n frames @ids, innermost first; where it was joined, but for @inside of them. */
static void draw_frames(struct pmf_py *py, const struct pmf_py_sample *smp, const uint32_t *ids,
	size_t n, size_t inside)
{
	struct pmf_stacks *s = py->stacks;
	uint32_t node =
		pmf_last_stacks_node(&s->last_stacks, s->profile, smp->tid, smp->node, ids, n);

	pmf_profile_add(s->profile, smp->event, node, smp->weight, 1);
	if (smp->nr_joined)
		pmf_stacks_mark_joined(s, smp->event, node, inside);
}

static void draw(struct pmf_py *py, const struct pmf_py_sample *smp)
{
	draw_frames(py, smp, smp->ids, smp->n, smp->n - smp->nr_joined);
}

static void draw_merged(struct pmf_py *py, struct pmf_py_process *proc,
	const struct pmf_py_sample *smp, const struct pmf_py_stack *stack,
	const struct pmf_python_frame *frames)
{
	struct pmf_python_stack view = {
		.cut = stack->cut, .entering = stack->entering, .n = stack->n, .frames = frames};
	struct pmf_python_merge m = {.native = py->kinds,
		.n = smp->n,
		.rooted = smp->rooted,
		.interpreter = py->interpreter,
		.stack = &view};
	size_t n, inside;
	bool agree;

	if (stack->n == 0) {
		draw(py, smp);
		return;
	}
	for (size_t i = 0; i < smp->n; i++)
		py->kinds[i] = pmf_py_native(py, smp->ids[i]);
	agree = pmf_python_merge(&m, py->merged, &n);
	if (smp->rooted && !stack->cut) { /* else there is nothing to compare */
		py->compared++;
		py->agreed += agree;
	}
	inside = n;
	for (size_t k = n; k-- > 0;) {
		uint32_t i = py->merged[k].index;

		if (py->merged[k].python) {
			py->ids[k] = pmf_py_frame(py, proc, &frames[i]);
			continue;
		}
		py->ids[k] = smp->ids[i];
		if (i + smp->nr_joined >= smp->n)
			inside = k;
	}
	draw_frames(py, smp, py->ids, n, inside);
	py->with_python++;
}

void pmf_py_draw(struct pmf_py *py, struct pmf_py_process *proc, const struct pmf_py_sample *smp,
	const struct pmf_python_stack *stack)
{
	const struct pmf_py_stack s = {
		.cut = stack->cut, .entering = stack->entering, .n = stack->n};

	draw_merged(py, proc, smp, &s, stack->frames);
}

/* ---- Matching ---- */

static bool same_moment(const struct pmf_py_stack *stack, const struct pmf_py_sample *smp)
{
	return stack->sp == smp->sp && smp->ip - stack->ip + RESTART_BYTES <= 2 * RESTART_BYTES;
}

/* Was the sample taken in the handler that wrote @stack, or on the way into it? Then what that
 * interrupted is one of the callers, with its exact address, for a signal frame has no return
 * address. */
static bool in_handler(const struct pmf_py_stack *stack, const struct pmf_py_sample *smp)
{
	if (smp->sp >= stack->sp)
		return false;
	for (size_t i = 1; i < smp->nr_user; i++)
		if (smp->user[i].va == stack->ip)
			return true;
	return false;
}

static void draw_unmatched(struct pmf_py *py, const struct pmf_py_sample *smp)
{
	py->unmatched++;
	draw(py, smp);
}

/* The next sample that waits is drawn with @stack, or without (NULL). */
static void pass_wait(struct pmf_py *py, struct pmf_py_process *proc, struct pmf_py_thread *t,
	const struct pmf_python_stack *stack)
{
	const struct pmf_py_wait *w = &t->waits[t->next_wait++];
	struct pmf_py_sample smp = {.tid = t->tid,
		.node = w->node,
		.event = w->event,
		.weight = w->weight,
		.ids = w->n ? t->ids + w->first : NULL,
		.n = w->n,
		.nr_joined = w->nr_joined,
		.rooted = w->rooted,
		.user = w->nr_user ? t->user + w->first_user : NULL,
		.nr_user = w->nr_user,
		.ip = w->ip,
		.sp = w->sp};
	struct pmf_py_stack found;

	if (stack)
		found = (struct pmf_py_stack){.ip = stack->ip,
			.sp = stack->sp,
			.cut = stack->cut,
			.entering = stack->entering,
			.n = stack->n};
	if (stack && (same_moment(&found, &smp) || in_handler(&found, &smp)))
		draw_merged(py, proc, &smp, &found, stack->frames);
	else
		draw_unmatched(py, &smp);
	compact_waits(t);
}

void pmf_py_give_up(struct pmf_py *py, struct pmf_py_thread *t)
{
	while (t->next_wait < t->nr_waits)
		pass_wait(py, NULL, t, NULL);
}

void pmf_py_arrived(void *ctx, const struct pmf_python_stack *stack)
{
	struct pmf_py_arrival *a = ctx;
	uint32_t tid = pmf_py_outer_tid(&a->proc->tids, stack->tid);
	struct pmf_py_thread *t;

	if (!tid)
		return;
	t = pmf_py_thread(a->proc, tid);
	while (t->next_wait < t->nr_waits && t->waits[t->next_wait].time_ns <= stack->time_ns)
		pass_wait(a->py, a->proc, t, stack);
	/* Samples that are still in the kernel's rings may belong to it, too. */
	if (t->nr_stacks - t->next_stack == STACKS_MAX)
		pass_stack(t);
	push_stack(t, stack);
}

static void wait_for_stack(struct pmf_py *py, struct pmf_py_thread *t, const struct pmf_record *rec,
	const struct pmf_py_sample *smp)
{
	if (t->nr_waits - t->next_wait == WAITS_MAX)
		pass_wait(py, NULL, t, NULL);
	t->ids = pmf_grow(t->ids, &t->cap_ids, t->nr_ids + smp->n, sizeof *t->ids);
	if (smp->n)
		memcpy(t->ids + t->nr_ids, smp->ids, smp->n * sizeof *t->ids);
	t->user = pmf_grow(t->user, &t->cap_user, t->nr_user + smp->nr_user, sizeof *t->user);
	if (smp->nr_user)
		memcpy(t->user + t->nr_user, smp->user, smp->nr_user * sizeof *t->user);
	PMF_PUSH(t->waits, t->nr_waits, t->cap_waits) =
		(struct pmf_py_wait){.time_ns = rec->time_ns,
			.ip = smp->ip,
			.sp = smp->sp,
			.weight = smp->weight,
			.node = smp->node,
			.event = smp->event,
			.rooted = smp->rooted,
			.nr_joined = smp->nr_joined,
			.first = t->nr_ids,
			.n = smp->n,
			.first_user = t->nr_user,
			.nr_user = smp->nr_user};
	t->nr_ids += smp->n;
	t->nr_user += smp->nr_user;
}

void pmf_py_match(struct pmf_py *py, struct pmf_py_process *proc, const struct pmf_record *rec,
	const struct pmf_py_sample *smp)
{
	struct pmf_py_thread *t = pmf_py_thread(proc, rec->tid);
	const struct pmf_py_stack *stack;

	while (t->next_stack < t->nr_stacks && t->stacks[t->next_stack].time_ns < rec->time_ns)
		pass_stack(t);
	if (t->last.time_ns && in_handler(&t->last, smp)) {
		draw_merged(py, proc, smp, &t->last, t->last_frames);
		return;
	}
	if (t->next_stack == t->nr_stacks) {
		wait_for_stack(py, t, rec, smp);
		return;
	}
	stack = &t->stacks[t->next_stack];
	if (same_moment(stack, smp) || in_handler(stack, smp))
		draw_merged(py, proc, smp, stack, stack->n ? t->frames + stack->first : NULL);
	else
		draw_unmatched(py, smp);
}
