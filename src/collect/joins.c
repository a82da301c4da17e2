/* Stacks that are deeper than their dump. The dump of a cut stack still holds its inner frames, and the
 * outermost of them may be calls that the thread's last whole stack had too: then what called those is
 * known. docs/adr/0007 says what is taken for proof. */
#include "collect_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

enum {
	WAYS = 4,          /* threads that share a hash have as many places */
	ROOM = 256 * 1024, /* frames over all threads */
	REFRESH_EVERY = 16,
	/* So much must be the same, innermost of what both stacks have. */
	PROOF_FRAMES = 4,
	PROOF_BYTES = 512,
};

/* ---- Threads ---- */

static void give_back(struct pmf_joins *j, struct pmf_join_thread *t)
{
	j->room -= t->cap;
	free(t->frames);
	t->frames = NULL;
	t->n = t->cap = 0;
}

void pmf_joins_release(struct pmf_joins *j)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(j->threads); i++)
		free(j->threads[i].frames);
	memset(j, 0, sizeof *j);
}

/* A thread that never comes out of its deep stack would not be joined any more, were they forgotten. */
void pmf_joins_restart(struct pmf_joins *j, struct pmf_profile *p, const struct pmf_profile *old,
	const uint32_t *images)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(j->threads); i++) {
		struct pmf_join_thread *t = &j->threads[i];

		for (size_t k = 0; k < t->n; k++) {
			uint32_t image = old->frames[t->frames[k].id].image;

			if (image != UINT32_MAX && images[image] == UINT32_MAX)
				t->n = 0; /* nothing maps that code any more */
			else
				t->frames[k].id =
					pmf_profile_take_frame(p, old, t->frames[k].id, images);
		}
	}
}

static struct pmf_join_thread *ways_of(struct pmf_joins *j, uint32_t tid)
{
	return &j->threads[pmf_hash_u64(tid) % (PMF_ARRAY_SIZE(j->threads) / WAYS) * WAYS];
}

static struct pmf_join_thread *find_thread(struct pmf_joins *j, uint32_t tid)
{
	struct pmf_join_thread *t = ways_of(j, tid);

	for (size_t i = 0; i < WAYS; i++)
		if (t[i].tid == tid && t[i].n)
			return &t[i];
	return NULL;
}

/* The thread's place, which may have been that of one which had no sample for longer. */
static struct pmf_join_thread *take_thread(struct pmf_joins *j, uint32_t pid, uint32_t tid)
{
	struct pmf_join_thread *t = find_thread(j, tid), *ways = ways_of(j, tid);

	if (!t) {
		t = ways;
		for (size_t i = 1; i < WAYS; i++)
			if (!ways[i].n || (t->n && ways[i].used < t->used))
				t = &ways[i];
		t->tid = tid;
		t->n = t->nr_seen = t->keeps = 0;
	}
	t->pid = pid;
	t->used = ++j->uses;
	return t;
}

void pmf_joins_record(struct pmf_joins *j, const struct pmf_record *rec)
{
	bool all = rec->type == PERF_RECORD_LOST; /* whatever it was */
	bool exec = rec->type == PERF_RECORD_COMM && rec->comm.exec;

	if (!all && !exec && rec->type != PERF_RECORD_FORK && rec->type != PERF_RECORD_EXIT)
		return;
	for (size_t i = 0; j->room && i < PMF_ARRAY_SIZE(j->threads); i++) {
		struct pmf_join_thread *t = &j->threads[i];

		if (all || t->tid == rec->tid || (exec && t->pid == rec->pid))
			give_back(j, t);
	}
}

/* Room for @n frames, of which there are at most PMF_JOIN_MAX_FRAMES. */
static void make_room(struct pmf_joins *j, struct pmf_join_thread *t, size_t n)
{
	if (n <= t->cap)
		return;
	while (j->room + 2 * n > ROOM) {
		struct pmf_join_thread *oldest = NULL;

		for (size_t i = 0; i < PMF_ARRAY_SIZE(j->threads); i++) {
			struct pmf_join_thread *o = &j->threads[i];

			if (o != t && o->cap && (!oldest || o->used < oldest->used))
				oldest = o;
		}
		if (!oldest)
			break;
		give_back(j, oldest);
	}
	j->room -= t->cap;
	t->frames = pmf_grow(t->frames, &t->cap, n, sizeof *t->frames);
	j->room += t->cap;
}

/* ---- Words ---- */

/* What the dump holds from @from up to @to, as one number. */
static bool words_between(const struct pmf_unwind_in *in, uint64_t from, uint64_t to, uint64_t *out)
{
	uint64_t sp = in->regs[in->arch->reg_sp], off = from - sp, len = to - from;
	uint64_t a = len, b = UINT64_C(0x9e3779b97f4a7c15), word[2];

	if (to <= from || off > in->stack_bytes || len > in->stack_bytes - off)
		return false;
	for (const uint8_t *p = in->stack + off; len > 0; p += sizeof word) {
		size_t part = PMF_MIN(len, sizeof word);

		word[1] = 0;
		memcpy(word, p, part);
		/* Odd multipliers lose nothing; two chains keep the processor busy. */
		a = (a ^ word[0]) * UINT64_C(0x9e3779b97f4a7c15);
		b = (b ^ word[1]) * UINT64_C(0xbf58476d1ce4e5b9);
		a ^= a >> 32;
		b ^= b >> 29;
		len -= part;
	}
	*out = pmf_hash_u64(a ^ pmf_hash_u64(b));
	return true;
}

/* Where frame @i of @out has the return address to it: a call pushes it, or the callee has saved it
 * somewhere in its frame. */
static uint64_t find_ra(const struct pmf_unwind_in *in, const struct pmf_unwind_out *out, size_t i)
{
	const struct pmf_unwind_frame *f = &out->frames[i];
	uint64_t sp = in->regs[in->arch->reg_sp], from = out->frames[i - 1].sp, word;
	size_t bytes = in->arch->word_bytes;

	for (uint64_t va = f->sp - bytes; va >= from && va - sp < in->stack_bytes; va -= bytes) {
		word = 0;
		memcpy(&word, in->stack + (va - sp), bytes);
		if ((word & in->arch->ip_mask) == f->va + 1)
			return va;
	}
	return 0;
}

/* ---- Joining ---- */

/* The frame of @t whose calls began at @sp, or t->n. */
static size_t frame_at(const struct pmf_join_thread *t, uint64_t sp)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->frames[mid].sp > sp)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && t->frames[lo].sp == sp ? lo : t->n;
}

/* Are the @out->n - 1 outer frames of the dump those of @t from its frame @at inwards, long enough to
 * be the same calls? */
static bool is_proof(const struct pmf_join_thread *t, size_t at, const struct pmf_unwind_in *in,
	const struct pmf_unwind_out *out)
{
	uint64_t end = out->frames[out->n - 1].sp, words;
	size_t frames = 0;

	if (t->frames[at].va != out->frames[out->n - 1].va)
		return false;
	/* The leaf is nobody's caller. */
	for (size_t i = out->n - 1; i-- > 1 && ++at < t->n;) {
		const struct pmf_join_frame *f = &t->frames[at];

		if (f->sp != out->frames[i].sp || f->va != out->frames[i].va ||
			!words_between(in, f->sp, out->frames[i + 1].sp, &words) ||
			words != f->words)
			return false;
		if (++frames >= PROOF_FRAMES && end - f->sp >= PROOF_BYTES)
			return true;
	}
	return false;
}

/* What the dump shows and @t has otherwise has returned since. */
static void drop_dead(struct pmf_join_thread *t, const struct pmf_unwind_in *in)
{
	uint64_t end = in->regs[in->arch->reg_sp] + in->stack_bytes;

	if (end > t->frames[0].sp)
		return; /* another stack */
	while (t->n && t->frames[t->n - 1].sp < end)
		t->n--;
}

/* Do the @n outermost frames of @t still stand, or have they stood since the sample? One look does for
 * all the samples that were taken before it. */
static bool still_there(
	struct pmf_joins *j, struct pmf_join_thread *t, size_t n, const struct pmf_unwind_in *in)
{
	if (!in->table->live || (n <= t->nr_seen && in->now_ns <= t->seen_ns))
		return true;
	t->seen_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	t->nr_seen = pmf_joins_in_memory(j, t, n, in->arch) ? n : 0;
	return t->nr_seen == n;
}

size_t pmf_joins_find(struct pmf_joins *j, uint32_t tid, const struct pmf_unwind_in *in,
	const struct pmf_unwind_out *out, const struct pmf_join_frame **outer)
{
	struct pmf_join_thread *t = find_thread(j, tid);
	size_t at;

	j->armed = PMF_JOIN_ARMED_FOR;
	if (!t || out->n < 2)
		return 0;
	at = frame_at(t, out->frames[out->n - 1].sp);
	if (at == 0 || at == t->n || at + out->n > PMF_JOIN_MAX_FRAMES ||
		!is_proof(t, at, in, out)) {
		drop_dead(t, in);
		return 0;
	}
	if (!still_there(j, t, at, in)) {
		t->n = 0;
		return 0;
	}
	*outer = t->frames;
	return at;
}

/* ---- Keeping ---- */

/* Only a stack that grows outwards all the way can be told from another by addresses. */
static bool grows_outwards(const struct pmf_unwind_out *out)
{
	for (size_t i = 2; i < out->n; i++)
		if (out->frames[i].sp <= out->frames[i - 1].sp)
			return false;
	return true;
}

/* A dump that stacks like this one fill to less than half: the next will not be cut. */
static bool has_space(const struct pmf_unwind_in *in, const struct pmf_unwind_out *out)
{
	return 2 * (out->frames[out->n - 1].sp - in->regs[in->arch->reg_sp]) < in->stack_asked;
}

void pmf_joins_keep(struct pmf_joins *j, uint32_t tid, const struct pmf_unwind_in *in,
	const struct pmf_unwind_out *out, const uint32_t *ids, size_t joined)
{
	struct pmf_join_thread *t;
	/* A joined stack's outermost frame is not all in the dump: what is known of it stays. */
	size_t first = joined ? joined + 1 : 0, same = 0, n = out->n - 1;
	bool refresh;

	j->armed -= j->armed > 0;
	if (n < 1 || (!j->armed && !joined && has_space(in, out)) || !grows_outwards(out)) {
		t = j->room ? find_thread(j, tid) : NULL;
		if (t)
			t->n = 0;
		return;
	}
	t = take_thread(j, (uint32_t)in->process->pid, tid);
	make_room(j, t, joined + n);
	refresh = t->keeps++ % REFRESH_EVERY == 0;
	for (size_t at = first, i = out->n - 1 - (joined != 0); i > 0; i--, at++) {
		const struct pmf_unwind_frame *f = &out->frames[i];
		struct pmf_join_frame *kept = &t->frames[at];

		if (at == first + same && at < t->n && kept->sp == f->sp && kept->va == f->va) {
			same++;
			kept->id = ids[i];
			if (!refresh)
				continue;
		}
		*kept = (struct pmf_join_frame){
			.sp = f->sp, .va = f->va, .id = ids[i], .ra_va = find_ra(in, out, i)};
		if (i + 1 < out->n)
			words_between(in, f->sp, out->frames[i + 1].sp, &kept->words);
	}
	t->n = joined + n;
	t->nr_seen = PMF_MIN(t->nr_seen, first + same);
}
