/* Source lines and inlined functions for the frames, which <pmuflame/lines.h> looks up while the command
 * runs; what it has not got to by then is waited for, until somebody has had enough of it. */
#include "collect_priv.h"

#include "pmuflame/clock.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 200 };

void pmf_naming_ask(struct pmf_stacks *main, struct pmf_stacks *s)
{
	const struct pmf_profile *p = s->profile;

	for (; main->lines && s->nr_asked < p->nr_frames; s->nr_asked++) {
		const struct pmf_frame *f = &p->frames[s->nr_asked];
		const struct pmf_image *im = NULL;

		if (f->image != UINT32_MAX)
			im = pmf_image_by_id(&s->table, f->image);
		if (im && s != main)
			im = pmf_image_like(&main->table, im);
		if (im && !pmf_lines_ask(main->lines, im, f->rva))
			return;
	}
}

/* ---- Waiting ---- */

/* The signals that ask for an end, but for those that the program was started to ignore (nohup(1)). */
static void stop_signals(sigset_t *set)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;

	sigemptyset(set);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(set, signals[i]);
}

static void note_stopped(struct pmf_profile *p, const struct pmf_lines_state *state)
{
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX];

	pmf_profile_note(p, PMF_NOTE_WARN, -1,
		"%s of %s addresses have neither source lines nor inlined functions: a signal ended "
		"their naming early",
		pmf_format_count(a, state->asked - state->answered),
		pmf_format_count(b, state->asked));
}

void pmf_naming_wait(struct pmf_stacks *s, pmf_naming_cb *on_progress, void *ctx)
{
	const struct timespec now = {0};
	uint64_t start_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	struct pmf_lines_state state;
	bool all = false, stopped = false;
	sigset_t stops, before;

	if (!s->lines)
		return;
	pmf_lines_hurry(s->lines);
	stop_signals(&stops);
	pthread_sigmask(SIG_BLOCK, &stops, &before);
	while (!all && !stopped) {
		pmf_naming_ask(s, s);
		all = pmf_lines_wait(s->lines, TICK_MS, &state) &&
		      s->nr_asked == s->profile->nr_frames;
		stopped = !all && sigtimedwait(&stops, NULL, &now) > 0;
		if (!all && on_progress)
			on_progress(ctx,
				&(struct pmf_naming_progress){state.answered, state.asked,
					pmf_clock_ns(CLOCK_MONOTONIC) - start_ns, state.fetching});
	}
	pmf_lines_stop(s->lines);
	/* As after a run that a signal ended: one more must not cost the profile. */
	if (stopped)
		note_stopped(s->profile, &state);
	else
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (uint32_t i = 0; i < s->table.nr_images; i++) {
		struct pmf_lines_file file = pmf_lines_file(s->lines, i);

		if (file.symbols_fd >= 0)
			pmf_symbolizer_add_file(s->symbols, s->table.images[i], file.symbols_fd);
	}
}

/* ---- Into the profile ---- */

static int by_function(const void *va, const void *vb)
{
	const struct pmf_named *a = va, *b = vb;

	if (a->image != b->image)
		return a->image < b->image ? -1 : 1;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->rva > b->rva) - (a->rva < b->rva);
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* The file that the function of @line is told by: where it is declared, else where the address stands. */
static const char *file_of(const struct pmf_line *line)
{
	return line->decl_file ? line->decl_file : line->file;
}

/* A line means nothing without its file, and a frame has one for both. */
static uint32_t line_in(const struct pmf_line *line, const char *file)
{
	return same(line->file, file) ? line->line : 0;
}

static void add_inline(struct pmf_profile *p, uint32_t frame, const struct pmf_line *line)
{
	const char *file = file_of(line);
	uint32_t id = pmf_profile_add_inline(
		p, frame, line->function ? line->function : "[inlined]", file, line_in(line, file));

	if (line->decl_file)
		pmf_profile_set_start_line(p, id, line->decl_line);
}

/* @f is an address of the function that debug info calls @function. */
static void apply(struct pmf_stacks *s, const struct pmf_named *f, const struct pmf_line *function)
{
	struct pmf_profile *p = s->profile;
	struct pmf_line lines[PMF_LINES_DEPTH];
	size_t n = pmf_lines_find(s->lines, f->image, f->rva, lines, PMF_LINES_DEPTH);
	const char *file = file_of(function);
	const char *name = pmf_strtab_get(&p->strings, p->frames[f->frame].name);

	if (p->frames[f->frame].unresolved && function->function) {
		name = function->function;
		p->frames[f->frame].unresolved = false;
	}
	pmf_profile_name_frame(p, f->frame, name, file, n ? line_in(&lines[0], file) : 0);
	if (function->decl_file)
		pmf_profile_set_start_line(p, f->frame, function->decl_line);
	/* Behind them stands the Python function that they run. */
	while (n > 1 && s->python && lines[n - 1].function &&
		pmf_py_hides(s->python, lines[n - 1].function))
		n--;
	for (size_t i = 1; i < n; i++)
		add_inline(p, f->frame, &lines[i]);
}

/* Who the function of the @n frames at @f is. It is one however its addresses are covered: the first one
 * of which it is known says it for all. */
static struct pmf_line function_of(const struct pmf_lines *l, const struct pmf_named *f, size_t n)
{
	struct pmf_line line, found = {0};

	for (size_t i = 0; i < n && !found.decl_file; i++)
		if (pmf_lines_find(l, f[i].image, f[i].rva, &line, 1) &&
			(line.decl_file || !found.file))
			found = line;
	return found;
}

/* ---- What the ledger says ---- */

/* The image in which at least half of all samples were taken, or NULL; and where there are Python frames,
 * for whose code it is that they say. */
static const struct pmf_image *main_image(const struct pmf_stacks *s)
{
	const struct pmf_profile *p = s->profile;
	uint64_t *samples = pmf_calloc(s->table.nr_images, sizeof *samples), all = 0;
	const struct pmf_image *found = NULL;
	bool python = false;

	for (size_t i = 0; i < p->nr_nodes && i < p->cap_columns; i++) {
		const struct pmf_frame *f = &p->frames[p->nodes[i].frame];

		python |= f->kind == PMF_FRAME_PYTHON;
		for (size_t e = 0; e < p->nr_events; e++) {
			all += p->samples[e][i];
			if (f->image != UINT32_MAX)
				samples[f->image] += p->samples[e][i];
		}
	}
	for (uint32_t i = 0; i < s->table.nr_images && !python; i++)
		if (samples[i] && samples[i] >= all - samples[i])
			found = s->table.images[i];
	free(samples);
	return found;
}

/* One sentence, where that is what the reader would ask about; --verbose has all files. */
static void note_missing(struct pmf_stacks *s)
{
	const struct pmf_image *im = main_image(s);
	struct pmf_lines_file file;

	for (uint32_t i = 0; i < s->table.nr_images; i++) {
		file = pmf_lines_file(s->lines, i);
		if (file.looked && (file.why[0] || !file.path))
			pmf_info("%s: no source lines: %s", s->table.images[i]->path,
				file.why[0] ? file.why
					    : "neither it nor a debug file has debug info");
	}
	if (pmf_lines_server_why(s->lines)[0])
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"no debug info from the servers that DEBUGINFOD_URLS names: %s",
			pmf_lines_server_why(s->lines));
	if (!im)
		return;
	file = pmf_lines_file(s->lines, im->id);
	if (file.why[0])
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"'%s' has neither source lines nor inlined functions: %s", im->name,
			file.why);
	else if (file.looked && !file.path)
		pmf_profile_note(s->profile, PMF_NOTE_INFO, -1,
			"'%s' has no debug info, so neither source lines nor inlined functions: -g "
			"makes it, or install its debug package",
			im->name);
}

void pmf_naming_lines(struct pmf_stacks *s)
{
	size_t end;

	if (!s->lines)
		return;
	if (s->nr_named)
		qsort(s->named, s->nr_named, sizeof *s->named, by_function);
	for (size_t i = 0; i < s->nr_named; i = end) {
		struct pmf_line function;

		for (end = i + 1; end < s->nr_named && s->named[end].image == s->named[i].image &&
				  s->named[end].start == s->named[i].start;)
			end++;
		function = function_of(s->lines, &s->named[i], end - i);
		for (size_t k = i; k < end && file_of(&function); k++)
			apply(s, &s->named[k], &function);
	}
	note_missing(s);
}
