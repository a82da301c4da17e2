/* Folded stacks, as stackcollapse scripts, inferno, py-spy, async-profiler and this program write
 * them: "outermost;...;innermost COUNT" on each line. What a frame is, its name has to say. */
#include "pmuflame/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_DECIMALS = 6,
	MAX_NODES = 1 << 24, /* gigabytes, with all that is made of them */
	SHOWN = 60,          /* of a line that is wrong */
};
static const uint64_t powers[MAX_DECIMALS + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000};

struct line {
	const char *stack;
	size_t stack_len;
	uint64_t whole;
	const char *decimals; /* behind the point */
	size_t nr_decimals;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The line @s of @len bytes from its end: blanks, the count, a blank, the stack. NULL, or what is
 * wrong. */
static const char *split(const char *s, size_t len, struct line *out)
{
	size_t end = len, at;

	while (end > 0 && (s[end - 1] == ' ' || s[end - 1] == '\t'))
		end--;
	at = end;
	while (at > 0 && (is_digit(s[at - 1]) || s[at - 1] == '.'))
		at--;
	*out = (struct line){.stack = s};
	if (at == end || (end - at == 1 && s[at] == '.') || at < 2 ||
		(s[at - 1] != ' ' && s[at - 1] != '\t'))
		return "it does not end with a stack's count";
	out->stack_len = at - 1;
	for (; at < end && s[at] != '.'; at++) {
		if (out->whole > (UINT64_MAX - 9) / 10)
			return "its count is too large";
		out->whole = 10 * out->whole + (uint64_t)(s[at] - '0');
	}
	if (at < end) {
		out->decimals = s + at + 1;
		out->nr_decimals = end - at - 1;
		if (memchr(out->decimals, '.', out->nr_decimals))
			return "its count is no number";
	}
	/* 1.500 is 1.5, and 1.0 is 1. */
	while (out->nr_decimals && out->decimals[out->nr_decimals - 1] == '0')
		out->nr_decimals--;
	return NULL;
}

/* Calls @see for each line that has a stack. */
static int walk(const char *data, size_t len, int (*see)(void *ctx, const struct line *line),
	void *ctx, struct pmf_err *err)
{
	const char *end = data + len, *next;
	int ret = 0;

	for (size_t number = 1; data < end && ret == 0; number++, data = next) {
		const char *newline = memchr(data, '\n', (size_t)(end - data)), *wrong;
		size_t n = (size_t)((newline ? newline : end) - data);
		struct line line;

		next = newline ? newline + 1 : end;
		if (n && data[n - 1] == '\r')
			n--;
		if (n == 0 || (n > 1 && memcmp(data, "# ", 2) == 0))
			continue;
		wrong = split(data, n, &line);
		if (!wrong && see(ctx, &line))
			wrong = "with it the counts, or the stacks, are too many";
		if (wrong) {
			struct pmf_buf shown = PMF_BUF_INIT;
			char *copy = pmf_strndup(data, PMF_MIN(n, (size_t)SHOWN));

			pmf_buf_addclean(&shown, copy, '?');
			ret = pmf_err_set(err, PMF_EFORMAT, "line %zu: %s ('%s%s')", number, wrong,
				pmf_buf_str(&shown), n > SHOWN ? "..." : "");
			free(copy);
			pmf_buf_release(&shown);
		}
	}
	return ret;
}

static int see_decimals(void *ctx, const struct line *line)
{
	size_t *most = ctx;

	*most = PMF_MAX(*most, PMF_MIN(line->nr_decimals, (size_t)MAX_DECIMALS));
	return 0;
}

struct folded {
	struct pmf_profile *p;
	size_t decimals; /* of the counts: weights are whole, in units of the last one */
	struct pmf_buf name;
};

/* Is there "(FILE.py:12)" or "(FILE.py)" behind the name? */
static bool is_python(const char *name, size_t len)
{
	const char *open = len > 5 && name[len - 1] == ')' ? memrchr(name, '(', len) : NULL;
	const char *end = name + len - 1;

	if (!open || open < name + 2 || open[-1] != ' ')
		return false;
	while (end > open && is_digit(end[-1]))
		end--;
	if (end[-1] == ':')
		end--;
	return end - open > 4 && (memcmp(end - 3, ".py", 3) == 0 || end[-1] == '>');
}

/* "[unsampled]" and its like are ours or perf's; "[libc.so.6+0x1234]" and "[unknown]" code without
 * a name. */
static enum pmf_frame_kind bracketed(const char *name, size_t len, bool *unresolved)
{
	*unresolved =
		memmem(name, len, "+0x", 3) || (len == 9 && memcmp(name, "[unknown]", 9) == 0);
	return *unresolved ? PMF_FRAME_NATIVE : PMF_FRAME_SPECIAL;
}

static uint32_t frame(struct folded *f, const char *name, size_t len)
{
	static const struct {
		char letter;
		enum pmf_frame_kind kind;
	} marks[] = {{'k', PMF_FRAME_KERNEL}, {'i', PMF_FRAME_INLINED}, {'j', PMF_FRAME_JIT}};
	enum pmf_frame_kind kind = PMF_FRAME_NATIVE;
	bool unresolved = len == 0;
	uint32_t id;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(marks) && kind == PMF_FRAME_NATIVE && len > 4; i++)
		if (memcmp(name + len - 4, (char[]){'_', '[', marks[i].letter, ']'}, 4) == 0)
			kind = marks[i].kind;
	if (kind != PMF_FRAME_NATIVE)
		len -= 4;
	else if (is_python(name, len))
		kind = PMF_FRAME_PYTHON;
	else if (len > 2 && name[0] == '[' && name[len - 1] == ']')
		kind = bracketed(name, len, &unresolved);
	pmf_buf_clear(&f->name);
	pmf_buf_add(&f->name, name, len);
	id = pmf_profile_frame_named(f->p, kind, len ? pmf_buf_str(&f->name) : "[unknown]");
	f->p->frames[id].unresolved = unresolved;
	return id;
}

/* The count in units of its last decimal; false if that is too much. */
static bool weight_of(const struct line *line, size_t decimals, uint64_t *out)
{
	uint64_t part = 0;

	for (size_t i = 0; i < decimals; i++)
		part = 10 * part +
		       (i < line->nr_decimals ? (uint64_t)(line->decimals[i] - '0') : 0);
	return !__builtin_mul_overflow(line->whole, powers[decimals], out) &&
	       !__builtin_add_overflow(*out, part, out);
}

static int see_stack(void *ctx, const struct line *line)
{
	struct folded *f = ctx;
	struct pmf_profile_event *ev = &f->p->events[0];
	const char *at = line->stack, *end = at + line->stack_len;
	uint32_t node = 0;
	uint64_t weight;

	if (!weight_of(line, f->decimals, &weight) ||
		__builtin_add_overflow(ev->weight, weight, &ev->weight))
		return -1;
	if (weight == 0)
		return 0;
	while (at <= end) {
		const char *semicolon = memchr(at, ';', (size_t)(end - at));
		const char *stop = semicolon ? semicolon : end;

		node = pmf_profile_node(f->p, node, frame(f, at, (size_t)(stop - at)));
		if (f->p->nr_nodes > MAX_NODES)
			return -1;
		at = stop + 1;
	}
	pmf_profile_add(f->p, 0, node, weight, 1);
	ev->samples++;
	return 0;
}

int pmf_profile_load_folded(
	struct pmf_profile *p, const void *data, size_t len, struct pmf_err *err)
{
	struct folded f = {.p = p};
	struct pmf_profile_event *ev;
	int ret = walk(data, len, see_decimals, &f.decimals, err);

	if (ret)
		return ret;
	pmf_profile_init(p, 1);
	ev = &p->events[0];
	ev->label = pmf_strdup("count");
	ev->unit = pmf_strdup("events");
	ev->scale = 1 / (double)powers[f.decimals];
	ev->lost_known = false;
	ev->only_samples = true;
	pmf_profile_name_files(p);
	ret = walk(data, len, see_stack, &f, err);
	pmf_buf_release(&f.name);
	if (ret == 0 && ev->weight == 0)
		ret = pmf_err_set(err, PMF_EFORMAT, "it has no stacks");
	if (ret) {
		pmf_profile_release(p);
		return ret;
	}
	ev->counted = ev->weight;
	pmf_profile_note(p, PMF_NOTE_WARN, 0, "%s",
		"folded stacks do not say what was counted, nor how many samples there were: each "
		"line counts as one, and errors are no better than that");
	return 0;
}
