/* Two pictures of one stack become one. Each native frame of the interpreter's loop executes one run
 * of Python frames, up to the one that native code called. */
#include "pmuflame/python.h"

/* Where the Python frames of each loop end; see pair(). */
struct pairing {
	const struct pmf_python_merge *m;
	struct pmf_python_merged *out;
	size_t n;
	size_t next; /* of the Python frames, innermost first */
};

static size_t count_loops(const struct pmf_python_merge *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->native[i] == PMF_NATIVE_EVAL;
	return n;
}

static size_t count_runs(const struct pmf_python_stack *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->frames[i].entry;
	/* Where the walk ended early, the last run has no entry. */
	return n + (s->n && !s->frames[s->n - 1].entry);
}

static void put(struct pairing *p, bool python, size_t index)
{
	p->out[p->n++] = (struct pmf_python_merged){python, (uint32_t)index};
}

/* The next run, outwards. */
static void put_run(struct pairing *p)
{
	const struct pmf_python_stack *s = p->m->stack;

	while (p->next < s->n) {
		bool entry = s->frames[p->next].entry;

		put(p, true, p->next++);
		if (entry)
			return;
	}
}

static void put_rest(struct pairing *p)
{
	while (p->next < p->m->stack->n)
		put_run(p);
}

/* Loop after loop outwards, the innermost @skip of them without Python frames. */
static void pair(struct pairing *p, size_t skip)
{
	const struct pmf_python_merge *m = p->m;
	bool stands_for = false;

	for (size_t i = 0; i < m->n; i++) {
		if (m->native[i] == PMF_NATIVE_EVAL && skip == 0 && p->next < m->stack->n) {
			put_run(p);
			stands_for = !m->interpreter;
		} else if (m->native[i] == PMF_NATIVE_EVAL) {
			skip -= skip > 0;
			stands_for = false;
		} else if (m->native[i] == PMF_NATIVE_OTHER) {
			stands_for = false;
		}
		if (!stands_for)
			put(p, false, i);
	}
	put_rest(p);
}

/* No pairing: the Python frames in place of all from the innermost loop to the outermost. */
static void replace(struct pairing *p)
{
	const struct pmf_python_merge *m = p->m;
	size_t first = 0, last = m->n;

	while (first < m->n && m->native[first] != PMF_NATIVE_EVAL)
		first++;
	while (last > first && m->native[last - 1] != PMF_NATIVE_EVAL)
		last--;
	for (size_t i = 0; i < first; i++)
		put(p, false, i);
	put_rest(p);
	while (last < m->n && m->native[last] == PMF_NATIVE_CALL)
		last++;
	for (size_t i = last; i < m->n && first < m->n; i++)
		put(p, false, i);
}

bool pmf_python_merge(const struct pmf_python_merge *m, struct pmf_python_merged *out, size_t *n)
{
	struct pairing p = {.m = m, .out = out};
	size_t loops = count_loops(m), runs = count_runs(m->stack);
	bool agree = true;

	/* The loop that is being entered has no frames: those that seem to be its own are what is
	 * left of a call before. */
	if (m->stack->entering && m->rooted && loops == runs && runs > 0) {
		while (p.next < m->stack->n && !m->stack->frames[p.next].entry)
			p.next++;
		p.next += p.next < m->stack->n;
		runs--;
	}
	if (runs == 0 || !m->rooted || m->stack->cut) {
		/* Nothing says what is missing outside. */
		pair(&p, 0);
	} else if (loops == runs || loops == runs + 1) {
		pair(&p, loops - runs);
	} else {
		replace(&p);
		agree = false;
	}
	*n = p.n;
	return agree;
}
