/* Records in, profile nodes out. */
#include "collect_priv.h"

#include "pmuflame/mem.h"
#include <stdlib.h>
#include <string.h>

void pmf_stacks_add_special(struct pmf_stacks *s)
{
	struct pmf_profile *p = s->profile;

	s->truncated_frame = pmf_profile_frame_named(p, PMF_FRAME_SPECIAL, "[truncated stack]");
	s->broken_frame = pmf_profile_frame_named(p, PMF_FRAME_SPECIAL, "[broken stack]");
	for (size_t e = 0; e < s->list->n; e++) {
		const char *name = p->events[e].unsampled_name;

		s->unsampled_frames[e] =
			pmf_profile_frame_named(p, PMF_FRAME_SPECIAL, name ? name : "[unsampled]");
	}
}

void pmf_stacks_init(struct pmf_stacks *s, struct pmf_profile *p, const struct pmf_event_list *list,
	const struct pmf_arch *arch, enum pmf_unwind_mode mode, enum pmf_unwind_by by, bool live)
{
	memset(s, 0, sizeof *s);
	s->profile = p;
	s->list = list;
	s->arch = arch;
	s->mode = mode;
	s->by = by;
	pmf_process_table_init(&s->table, live);
	if (mode != PMF_UNWIND_NONE && arch)
		s->unwinder = pmf_unwinder_new(mode, by, arch);
	s->symbols = pmf_symbolizer_new();
	pmf_generated_init(&s->generated,
		&(struct pmf_jit_opts){.live = live, .folder = live ? "/tmp" : NULL});
	pmf_ksymbols_init(&s->ksymbols);
	s->read_elsewhere = pmf_calloc(list->n, sizeof *s->read_elsewhere);
	s->unsampled_frames = pmf_calloc(list->n, sizeof *s->unsampled_frames);
	pmf_stacks_add_special(s);
}

enum pmf_unwind_by pmf_stacks_unwind_by(enum pmf_unwind_by by, const struct pmf_sandbox *sandbox)
{
	return sandbox && by == PMF_UNWIND_BY_AUTO ? PMF_UNWIND_BY_CFI : by;
}

void pmf_stacks_use_sandbox(struct pmf_stacks *s, struct pmf_sandbox *sandbox, const char *why_not)
{
	s->sandbox = sandbox;
	if (sandbox) {
		pmf_symbolizer_use_sandbox(s->symbols, sandbox);
		s->table.unpacker = (struct pmf_image_unpacker){pmf_symbolizer_unpack, s->symbols};
	} else if (why_not) {
		pmf_profile_note(s->profile, PMF_NOTE_WARN, -1,
			"files of others were read with all rights of this user: %s", why_not);
	}
}

void pmf_stacks_release(struct pmf_stacks *s)
{
	pmf_symbolizer_free(s->symbols);
	pmf_lines_free(s->lines);
	free(s->named);
	pmf_generated_release(&s->generated);
	pmf_java_release(&s->java);
	pmf_ksymbols_release(&s->ksymbols);
	/* The address spaces' caches belong to the unwinder: they go first. */
	pmf_process_table_release(&s->table);
	pmf_unwinder_free(s->unwinder);
	pmf_unwinder_free(s->narrow);
	pmf_weights_release(&s->weights);
	pmf_threads_release(&s->threads);
	pmf_containers_release(&s->containers);
	pmf_last_stacks_release(&s->last_stacks);
	pmf_joins_release(&s->joins);
	free(s->image_strings);
	pmf_index_release(&s->deficit_index);
	free(s->deficits);
	free(s->deficit_nodes);
	free(s->unsampled_frames);
	free(s->read_elsewhere);
	memset(s, 0, sizeof *s);
}

uint32_t pmf_stacks_image_frame(
	struct pmf_stacks *s, enum pmf_frame_kind kind, const struct pmf_image *im, uint64_t rva)
{
	while (s->nr_image_strings <= im->id) {
		const struct pmf_image *next =
			pmf_image_by_id(&s->table, (uint32_t)s->nr_image_strings);

		s->image_strings = pmf_grow(s->image_strings, &s->cap_image_strings,
			s->nr_image_strings + 1, sizeof *s->image_strings);
		s->image_strings[s->nr_image_strings].module =
			pmf_strtab_addz(&s->profile->strings, next->name);
		s->image_strings[s->nr_image_strings].path =
			pmf_strtab_addz(&s->profile->strings, next->path);
		s->nr_image_strings++;
	}
	return pmf_profile_frame_at(s->profile, kind, im->id, s->image_strings[im->id].module,
		s->image_strings[im->id].path, rva);
}

/* ---- Samples ---- */

void pmf_stacks_mark_joined(struct pmf_stacks *s, uint32_t event, uint32_t node, size_t inside)
{
	for (size_t i = 0; i < inside; i++)
		node = s->profile->nodes[node].parent;
	pmf_profile_add_joined(s->profile, event, node, 1);
}

/* Into the profile, below @node: the @n frames of s->ids, and Python's among them. */
static void draw(struct pmf_stacks *s, const struct pmf_record *rec, size_t n, uint32_t node,
	uint64_t weight)
{
	struct pmf_py_sample smp = {.tid = rec->tid,
		.node = node,
		.event = rec->event,
		.weight = weight,
		.ids = s->ids,
		.n = n,
		.rooted = s->rooted,
		.nr_joined = s->nr_joined,
		.user = s->frames,
		.nr_user = s->nr_frames};

	if (s->python) {
		pmf_sample_reg(&rec->sample, s->arch->reg_ip, &smp.ip);
		pmf_sample_reg(&rec->sample, s->arch->reg_sp, &smp.sp);
		if (pmf_py_sample(s->python, rec, &smp))
			return;
	}
	node = pmf_last_stacks_node(&s->last_stacks, s->profile, rec->tid, node, s->ids, n);
	pmf_profile_add(s->profile, rec->event, node, weight, 1);
	if (s->nr_joined)
		pmf_stacks_mark_joined(s, rec->event, node, n - s->nr_joined);
}

/* Of a task outside of this pid namespace, of which the kernel tells no number? */
static bool is_outside(const struct pmf_stacks *s, const struct pmf_record *rec)
{
	return s->table.outside && (pid_t)rec->pid <= 0;
}

static bool tells_of_task(const struct pmf_record *rec)
{
	return rec->type == PERF_RECORD_COMM || rec->type == PERF_RECORD_MMAP ||
	       rec->type == PERF_RECORD_MMAP2 || rec->type == PERF_RECORD_FORK ||
	       rec->type == PERF_RECORD_EXIT;
}

/* The process of a sample. One that ran before and that nobody told of joined the control group since, or
 * its records were lost. */
static struct pmf_process *process_of(struct pmf_stacks *s, const struct pmf_record *rec)
{
	pid_t pid = is_outside(s, rec) ? 0 : (pid_t)rec->pid;
	struct pmf_process *proc = pmf_process_find(&s->table, pid);

	if (proc)
		return proc;
	proc = pmf_process_get(&s->table, pid);
	if (s->table.live && s->target != PMF_PERF_COMMAND && proc->pid > 0)
		pmf_process_adopt(proc->pid, s->raw != NULL, pmf_stacks_record, s, NULL);
	return proc;
}

static void on_sample(struct pmf_stacks *s, const struct pmf_record *rec)
{
	uint64_t weight = pmf_weights_of(&s->weights, rec);
	struct pmf_profile_event *pe = &s->profile->events[rec->event];
	struct pmf_process *proc;
	struct pmf_proc_cost *cost;
	size_t n;

	s->counts_seen |= rec->sample.has_count;
	if (s->raw)
		pmf_perf_data_sample(s->raw, rec, weight);
	if (pmf_idle_hides(&s->idle, s->list->events[rec->event].cls, rec))
		return;
	proc = process_of(s, rec);
	cost = pmf_stacks_cost(s, proc);
	pmf_process_refresh(&s->table, proc, rec->time_ns);
	n = pmf_sample_frames(s, proc, rec, !is_outside(s, rec));
	draw(s, rec, n, pmf_threads_node(&s->threads, s->profile, rec, cost->comm, cost->node),
		weight);
	pe->samples++;
	pe->weight += weight;
	cost->counted[s->list->n + rec->event] += weight;
}

/* The last thread is gone, not just the first: no more samples. */
static void on_exit_applied(struct pmf_stacks *s, const struct pmf_record *rec)
{
	const struct pmf_process *proc = pmf_process_find(&s->table, (pid_t)rec->pid);

	if (proc && proc->exited)
		pmf_generated_end(s, proc->pid);
}

static void on_lost(struct pmf_stacks *s, const struct pmf_record *rec)
{
	/* LOST_SAMPLES tells the same losses again, per event. */
	if (rec->type != PERF_RECORD_LOST)
		return;
	s->lost_records += rec->lost.lost;
	/* Mappings may be among what was lost: ask /proc before the next look-up. */
	for (size_t i = 0; s->table.live && i < s->table.n; i++)
		s->table.procs[i]->maps_incomplete = !s->table.procs[i]->exited;
}

int pmf_stacks_record(void *ctx, const struct pmf_record *rec)
{
	struct pmf_stacks *s = ctx;

	s->now_ns = PMF_MAX(s->now_ns, rec->time_ns);
	/* They would tell of all such tasks as if of one. */
	if (is_outside(s, rec) && tells_of_task(rec))
		return 0;
	if (s->python)
		pmf_py_record(s->python, rec);
	pmf_joins_record(&s->joins, rec);
	pmf_threads_record(&s->threads, &s->table, rec);
	if (s->raw && rec->type != PERF_RECORD_SAMPLE)
		pmf_perf_data_record(s->raw, rec);
	switch (rec->type) {
	case PERF_RECORD_SAMPLE:
		if (rec->event >= s->list->n)
			break;
		if (s->python && pmf_py_drops(s->python, rec))
			pmf_weights_skip(&s->weights, rec);
		else
			on_sample(s, rec);
		break;
	case PERF_RECORD_READ:
		/* What a task counted over several intervals is no interval's. */
		if (rec->event < s->list->n && !s->intervals) {
			struct pmf_process *proc = pmf_process_get(&s->table, (pid_t)rec->pid);

			pmf_stacks_cost(s, proc)->counted[rec->event] += rec->read.value;
		}
		break;
	case PERF_RECORD_THROTTLE:
		if (rec->event < s->list->n)
			s->profile->events[rec->event].throttled++;
		break;
	case PERF_RECORD_COMM:
		if (rec->comm.exec)
			pmf_generated_end(s, (pid_t)rec->pid);
		pmf_process_apply(&s->table, rec);
		break;
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		pmf_generated_mapped(s, rec);
		pmf_process_apply(&s->table, rec);
		if (s->python)
			pmf_py_mapped(s->python, rec);
		break;
	case PERF_RECORD_EXIT:
		pmf_weights_forget(&s->weights, rec->tid);
		pmf_process_apply(&s->table, rec);
		on_exit_applied(s, rec);
		break;
	case PERF_RECORD_KSYMBOL:
		if (rec->ksymbol.flags & PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER)
			pmf_ksymbols_remove(&s->ksymbols, rec->ksymbol.addr, rec->ksymbol.len,
				rec->ksymbol.name);
		else
			pmf_ksymbols_add(&s->ksymbols, rec->ksymbol.addr, rec->ksymbol.len,
				rec->ksymbol.name);
		break;
	case PERF_RECORD_LOST:
	case PERF_RECORD_LOST_SAMPLES:
		on_lost(s, rec);
		break;
	case PERF_RECORD_FORK: {
		/* A pid that is used again belongs to somebody else now. */
		struct pmf_process *old = pmf_process_find(&s->table, (pid_t)rec->pid);

		if (old && old->exited)
			pmf_stacks_settle(s, old);
		if (rec->pid != rec->task.ppid)
			pmf_generated_end(s, (pid_t)rec->pid);
		s->has_descendants |= rec->pid != rec->task.ppid;
		pmf_process_apply(&s->table, rec);
		break;
	}
	default:
		pmf_process_apply(&s->table, rec);
	}
	pmf_stacks_sweep(s);
	return 0;
}
