/* Profiles of a run that goes on: a copy of this program, made by fork(2), finishes and writes what there is
 * while the original reads on (docs/adr/0026). */
#include "run.h"

#include "pmuflame/clock.h"
#include "pmuflame/log.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITER_NICER = 10 }; /* what is profiled comes first */

void pmf_parts_begin(struct pmf_run *r)
{
	const struct pmf_part_opts *o = &r->opts->parts;
	struct pmf_parts *x = &r->parts;

	x->start_ns = pmf_clock_ns(CLOCK_MONOTONIC);
	/* The date may be set while the run lasts; this clock goes on alike, through suspend, too. */
	x->unix_offset_ns = r->stacks.profile->start_unix_ns - pmf_clock_ns(CLOCK_BOOTTIME);
	pmf_profile_init_like(&x->blank, r->stacks.profile);
	r->stacks.intervals = o->rotate_ns > 0;
	x->starts = pmf_calloc(o->keep, sizeof *x->starts);
}

void pmf_parts_release(struct pmf_parts *x)
{
	if (x->start_ns)
		pmf_profile_release(&x->blank);
	free(x->starts);
}

/* ---- In the copy ---- */

/* What the source knows of this part of the run alone. */
static void limit_facts(struct pmf_run *r)
{
	struct pmf_perf_session *session = pmf_source_live_session(r->src);
	const struct pmf_source_facts *before = &r->parts.before;
	struct pmf_source_facts *f = &r->src->facts;

	f->lost_sideband = pmf_perf_lost_sideband(session);
	f->hotplug = pmf_perf_hotplug(session);
	f->out_of_order -= before->out_of_order;
	f->malformed -= before->malformed;
	f->hotplug.came -= before->hotplug.came;
	f->hotplug.went -= before->hotplug.went;
}

static void note_interval(struct pmf_profile *p, uint64_t rotate_ns)
{
	char a[PMF_UNITS_MAX];

	pmf_profile_note(p, PMF_NOTE_INFO, -1,
		"one interval of a longer run (--rotate, %s): its counts are exact; samples of its last "
		"milliseconds are in the next one, and each stands for what its task counted since the "
		"one before, so together they can stand for more than was counted",
		pmf_format_ns(a, rotate_ns));
}

static int finish(struct pmf_run *r, const struct pmf_part *part, struct pmf_err *err)
{
	const struct pmf_collect_opts *o = r->opts;
	struct pmf_stacks *s = &r->stacks;
	int ret;

	s->goes_on = true;
	s->raw = NULL;
	s->generated.own_maps = false;
	/* The threads of the original are not here. */
	s->lines = pmf_lines_new(&r->search, o->inlines, o->sandbox);
	s->nr_asked = 0;
	limit_facts(r);
	s->profile->duration_ns = pmf_clock_ns(CLOCK_MONOTONIC) - r->parts.start_ns;
	pmf_shards_merge(&r->shards);
	if (s->python)
		pmf_py_end_part(s->python);
	pmf_runtimes_note(&r->runtimes, s->profile, s->generated.saw_node);
	if (part->kind == PMF_PART_INTERVAL)
		note_interval(s->profile, o->parts.rotate_ns);
	ret = pmf_totals_end(s, r->src, pmf_run_main_pid(r), err);
	if (ret)
		return ret;
	pmf_naming_run(s, NULL, NULL);
	return o->parts.write(o->parts.ctx, s->profile, part, err);
}

/* Rings, agents and descriptors of events are shared with the original: nothing of them is touched, and
 * nothing is released. */
static void run_copy(struct pmf_run *r, const struct pmf_part *part) __attribute__((noreturn));

static void run_copy(struct pmf_run *r, const struct pmf_part *part)
{
	const struct pmf_part_opts *o = &r->opts->parts;
	struct pmf_schedule own = r->schedule;
	struct pmf_err err = PMF_ERR_INIT;

	own.nice += WRITER_NICER;
	pmf_run_restore_priority(&own);
	if (finish(r, part, &err) == 0)
		_exit(0);
	o->failed(o->ctx, part, &err);
	_exit(1);
}

/* ---- In the original ---- */

/* Where the start of the present interval is kept: in the place of the one that then is one too many. */
static uint64_t *place_of_start(const struct pmf_run *r)
{
	size_t keep = r->opts->parts.keep;

	return keep ? &r->parts.starts[r->parts.made[PMF_PART_INTERVAL] % keep] : NULL;
}

/* The present part is number @part->number, and written. */
static void count(struct pmf_run *r, const struct pmf_part *part)
{
	uint64_t *place = place_of_start(r);

	if (place && part->kind == PMF_PART_INTERVAL)
		*place = r->stacks.profile->start_unix_ns;
	r->parts.made[part->kind]++;
}

static struct pmf_part next_part(const struct pmf_run *r, enum pmf_part_kind kind)
{
	const uint64_t *place = place_of_start(r);

	return (struct pmf_part){.kind = kind,
		.number = r->parts.made[kind] + 1,
		.expired_unix_ns = place && kind == PMF_PART_INTERVAL ? *place : 0};
}

static void forget_symbols(void *ctx, const struct pmf_image *im)
{
	pmf_symbolizer_forget(ctx, im);
}

/* s->profile begins after @old: forget what was in that, but not what processes and samples told that later ones
 * build on. */
static void restart_stacks(struct pmf_stacks *s, const struct pmf_profile *old)
{
	uint32_t *images = pmf_process_table_forget_images(&s->table, forget_symbols, s->symbols);

	pmf_joins_restart(&s->joins, s->profile, old, images);
	if (s->python)
		pmf_py_restart(s->python, images);
	free(images);
	pmf_threads_restart(&s->threads);
	pmf_generated_restart(&s->generated);
	pmf_java_release(&s->java);
	pmf_last_stacks_release(&s->last_stacks);
	pmf_containers_release(&s->containers); /* they come and go, too */
	s->ksymbols.nr_gone = 0;
	pmf_costs_restart(s);
	s->nr_adopted = 0;
	for (size_t i = 0; i < s->table.n; i++) {
		pmf_unwind_forget(s->table.procs[i]);
		s->nr_adopted += s->table.procs[i]->nr_tids;
	}
	s->nr_image_strings = 0;
	s->nr_asked = 0;
	s->lost_records = 0;
	s->table.tasks_started = s->table.maps_reread = 0;
	pmf_stacks_add_special(s);
}

/* A profile like @blank, which has no sample yet, in the place of @p. */
static void restart(struct pmf_stacks *s, struct pmf_profile *p, const struct pmf_profile *blank)
{
	struct pmf_profile old = *p;

	pmf_profile_init_like(p, blank);
	restart_stacks(s, &old);
	pmf_profile_release(&old);
}

static void next_interval(struct pmf_run *r, uint64_t now)
{
	uint64_t rotate_ns = r->opts->parts.rotate_ns;
	struct pmf_parts *x = &r->parts;

	restart(&r->stacks, r->stacks.profile, &x->blank);
	for (size_t i = 0; i < r->shards.n; i++)
		restart(&r->shards.items[i]->stacks, &r->shards.items[i]->profile, &x->blank);
	x->before = r->src->facts;
	x->before.hotplug = pmf_perf_hotplug(pmf_source_live_session(r->src));
	x->start_ns = now;
	/* It began when it was to begin, unless that is long ago. */
	if (now - x->due_ns >= rotate_ns / 2)
		x->due_ns = now;
	r->stacks.profile->start_unix_ns =
		x->unix_offset_ns + pmf_clock_ns(CLOCK_BOOTTIME) - (now - x->due_ns);
	x->due_ns += rotate_ns;
}

static int start_writer(struct pmf_run *r, const struct pmf_part *part, struct pmf_err *err)
{
	pid_t pid;

	pmf_symbolizer_end_ahead(r->stacks.symbols);
	pid = fork();
	if (pid == 0)
		run_copy(r, part);
	if (pid < 0)
		return pmf_err_errno(
			err, PMF_ELIMIT, errno, "cannot start a process that writes it");
	r->parts.writer = pid;
	r->parts.writing = *part;
	return 0;
}

/* Where that fails, its events and samples are the next one's, too. */
static void make(struct pmf_run *r, enum pmf_part_kind kind, uint64_t now)
{
	const struct pmf_part_opts *o = &r->opts->parts;
	struct pmf_perf_session *session = pmf_source_live_session(r->src);
	struct pmf_part part = next_part(r, kind);
	struct pmf_err err = PMF_ERR_INIT;
	char took[PMF_UNITS_MAX];
	int ret;

	pmf_perf_freeze(session, true);
	pmf_idle_look(&r->stacks.idle);
	ret = start_writer(r, &part, &err);
	if (ret)
		o->failed(o->ctx, &part, &err);
	else
		count(r, &part);
	if (kind == PMF_PART_INTERVAL && ret) {
		r->parts.due_ns = now + o->rotate_ns;
	} else if (kind == PMF_PART_INTERVAL) {
		pmf_perf_mark(session);
		pmf_idle_next(&r->stacks.idle);
		next_interval(r, now);
	}
	pmf_perf_freeze(session, false);
	pmf_info("rings were not read for %s, to begin a process that writes",
		pmf_format_ns(took, pmf_clock_ns(CLOCK_MONOTONIC) - now));
}

static void reap(struct pmf_run *r, int flags)
{
	const struct pmf_part_opts *o = &r->opts->parts;
	struct pmf_parts *x = &r->parts;
	struct pmf_err err = PMF_ERR_INIT;
	int status = 0;
	pid_t got;

	do
		got = x->writer ? waitpid(x->writer, &status, flags) : 0;
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return;
	x->writer = 0;
	/* Whatever else went wrong it has said itself. */
	if (got < 0 || !WIFSIGNALED(status))
		return;
	pmf_err_set(&err, PMF_EIO, "the process that wrote it was ended by signal %d (%s)",
		WTERMSIG(status), strsignal(WTERMSIG(status)));
	o->failed(o->ctx, &x->writing, &err);
}

uint64_t pmf_parts_due(const struct pmf_parts *x)
{
	return x->writer || !x->due_ns ? UINT64_MAX : x->due_ns;
}

void pmf_parts_step(struct pmf_run *r)
{
	uint64_t rotate_ns = r->opts->parts.rotate_ns, now = pmf_clock_ns(CLOCK_MONOTONIC);
	struct pmf_parts *x = &r->parts;

	if (r->stacks.not_started)
		return;
	if (rotate_ns && !x->due_ns)
		x->due_ns = now + rotate_ns;
	reap(r, WNOHANG);
	if (x->writer)
		return;
	if (r->launch.asked) {
		r->launch.asked = false;
		make(r, PMF_PART_SNAPSHOT, now);
	} else if (rotate_ns && now >= x->due_ns) {
		make(r, PMF_PART_INTERVAL, now);
	}
}

void pmf_parts_last(struct pmf_run *r, struct pmf_collect_result *res)
{
	if (r->launch.asked)
		pmf_profile_note(r->stacks.profile, PMF_NOTE_INFO, -1,
			"a snapshot was asked for at the end of the run: it would be this profile");
	if (!r->opts->parts.rotate_ns)
		return;
	res->expired_unix_ns = next_part(r, PMF_PART_INTERVAL).expired_unix_ns;
	limit_facts(r);
	r->stacks.profile->duration_ns = res->end_ns - r->parts.start_ns;
	note_interval(r->stacks.profile, r->opts->parts.rotate_ns);
}

void pmf_parts_wait(struct pmf_run *r)
{
	reap(r, 0);
}
