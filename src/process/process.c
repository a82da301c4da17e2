/* Processes as the records tell them: who exists, under which name, with which address space. */
#include "pmuflame/process.h"

#include "pmuflame/hotspot.h"
#include "process_priv.h"
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t pid_hash(pid_t pid)
{
	return pmf_hash_u64((uint64_t)pid);
}

static bool pid_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_process_table *t = ctx;

	return t->procs[value]->pid == *(const pid_t *)key;
}

void pmf_process_table_init(struct pmf_process_table *t, bool live)
{
	memset(t, 0, sizeof *t);
	pmf_index_init(&t->by_pid);
	pmf_index_init(&t->image_index);
	pmf_strtab_init(&t->strings);
	t->live = live;
	t->outside = live && !pmf_process_sees_all();
}

static void process_free(struct pmf_process *p)
{
	if (p->user_free)
		p->user_free(p->user);
	if (p->unwind_free)
		p->unwind_free(p->unwind_priv);
	pmf_hotspot_free(p->hotspot);
	free(p->maps);
	pmf_index_release(&p->tids);
	free(p);
}

void pmf_process_table_release(struct pmf_process_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		process_free(t->procs[i]);
	for (size_t i = 0; i < t->nr_images; i++)
		pmf_image_free(t->images[i]);
	pmf_roots_release(t);
	free(t->procs);
	free(t->images);
	pmf_index_release(&t->by_pid);
	pmf_index_release(&t->image_index);
	pmf_strtab_release(&t->strings);
	memset(t, 0, sizeof *t);
}

struct pmf_process *pmf_process_find(const struct pmf_process_table *t, pid_t pid)
{
	uint32_t i = pmf_index_find(&t->by_pid, pid_hash(pid), pid_eq, t, &pid);

	return i == UINT32_MAX ? NULL : t->procs[i];
}

/* ---- Threads ---- */

static bool tid_eq(const void *ctx, uint32_t value, const void *key)
{
	(void)ctx;
	return value == *(const uint32_t *)key;
}

static void add_tid(struct pmf_process *p, uint32_t tid)
{
	uint64_t hash = pmf_hash_u64(tid);

	if (tid > INT32_MAX || pmf_index_find(&p->tids, hash, tid_eq, NULL, &tid) != UINT32_MAX)
		return;
	pmf_index_add(&p->tids, hash, tid);
	p->nr_tids++;
}

static void remove_tid(struct pmf_process *p, uint32_t tid)
{
	p->nr_tids -= pmf_index_remove(&p->tids, pmf_hash_u64(tid), tid);
}

static struct pmf_process *process_new(struct pmf_process_table *t, pid_t pid)
{
	struct pmf_process *p = pmf_zalloc(sizeof *p);

	p->pid = pid;
	p->refs = 1;
	pmf_index_init(&p->tids);
	add_tid(p, (uint32_t)pid);
	pmf_index_add(&t->by_pid, pid_hash(pid), (uint32_t)t->n);
	PMF_PUSH(t->procs, t->n, t->cap) = p;
	return p;
}

struct pmf_process *pmf_process_get(struct pmf_process_table *t, pid_t pid)
{
	struct pmf_process *p = pmf_process_find(t, pid);

	return p ? p : process_new(t, pid);
}

static void apply_mmap(struct pmf_process_table *t, const struct pmf_record *rec)
{
	bool exec = rec->type == PERF_RECORD_MMAP ? !(rec->misc & PERF_RECORD_MISC_MMAP_DATA)
						  : (rec->mmap.prot & PROT_EXEC) != 0;
	uint64_t start = rec->mmap.start, end = start + rec->mmap.len;
	struct pmf_image *im;
	struct pmf_map m;

	/* The kernel's own records (pid -1) and code are not part of a user address space. */
	if (!exec || end <= start || (pid_t)rec->pid < 0 ||
		(rec->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL)
		return;
	im = pmf_image_get(t, rec->mmap.path, rec->mmap.dev, rec->mmap.ino, rec->mmap.build_id,
		rec->mmap.build_id_len, (pid_t)rec->pid, start, end);
	m = pmf_map_make(im, start, end, rec->mmap.pgoff);
	pmf_maps_insert(pmf_process_get(t, (pid_t)rec->pid), &m);
}

static void set_comm(struct pmf_process *p, const char *comm)
{
	size_t len = strnlen(comm, sizeof p->comm - 1);

	memcpy(p->comm, comm, len);
	p->comm[len] = '\0';
}

static void apply_comm(struct pmf_process_table *t, const struct pmf_record *rec)
{
	struct pmf_process *p = pmf_process_get(t, (pid_t)rec->pid);

	if (rec->comm.exec) {
		/* execve(2) ends every other thread and gives the caller the process's id. */
		pmf_maps_clear(p);
		pmf_index_release(&p->tids);
		p->nr_tids = 0;
		p->exited = false;
		p->maps_incomplete = false;
		p->in_exec = true;
	}
	add_tid(p, rec->tid);
	if (rec->pid == rec->tid)
		set_comm(p, rec->comm.comm);
}

static void apply_fork(struct pmf_process_table *t, const struct pmf_record *rec)
{
	pid_t pid = (pid_t)rec->pid;
	struct pmf_process *p = pmf_process_find(t, pid), *parent;

	t->tasks_started++;
	if (rec->pid == rec->task.ppid) {
		add_tid(pmf_process_get(t, pid), rec->tid);
		return;
	}
	/* Whoever had this pid before is gone, its EXIT record seen or lost. */
	if (p) {
		uint32_t i = pmf_index_find(&t->by_pid, pid_hash(pid), pid_eq, t, &pid);

		p->exited = true;
		pmf_index_remove(&t->by_pid, pid_hash(pid), i);
	}
	p = process_new(t, pid);
	parent = pmf_process_find(t, (pid_t)rec->task.ppid);
	if (!parent || parent->nr_maps > PMF_MAPS_INHERITED_MAX - t->nr_inherited) {
		p->maps_incomplete = true;
		return;
	}
	memcpy(p->comm, parent->comm, sizeof p->comm);
	p->container = parent->container;
	p->maps_incomplete = parent->maps_incomplete;
	p->maps_generation = 1;
	p->maps = pmf_grow(NULL, &p->cap_maps, parent->nr_maps, sizeof *p->maps);
	p->nr_maps = p->nr_inherited = parent->nr_maps;
	t->nr_inherited += p->nr_inherited;
	if (p->nr_maps)
		memcpy(p->maps, parent->maps, p->nr_maps * sizeof *p->maps);
}

static void apply_exit(struct pmf_process_table *t, const struct pmf_record *rec)
{
	struct pmf_process *p = pmf_process_find(t, (pid_t)rec->pid);

	/* The main thread may leave before the others; samples of those are still to come. */
	if (!p)
		return;
	remove_tid(p, rec->tid);
	p->exited = p->nr_tids == 0;
}

void pmf_process_apply(struct pmf_process_table *t, const struct pmf_record *rec)
{
	switch (rec->type) {
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		apply_mmap(t, rec);
		break;
	case PERF_RECORD_COMM:
		apply_comm(t, rec);
		break;
	case PERF_RECORD_FORK:
		apply_fork(t, rec);
		break;
	case PERF_RECORD_EXIT:
		apply_exit(t, rec);
		break;
	default:
		break;
	}
}

void pmf_process_table_reap(struct pmf_process_table *t)
{
	for (size_t i = t->n; i-- > 0;) {
		struct pmf_process *p = t->procs[i];
		size_t last = t->n - 1;

		if (!p->exited || p->refs > 1)
			continue;
		/* False for one whose pid was given away; the index names its heir then. */
		pmf_index_remove(&t->by_pid, pid_hash(p->pid), (uint32_t)i);
		if (i != last) {
			t->procs[i] = t->procs[last];
			if (pmf_index_remove(
				    &t->by_pid, pid_hash(t->procs[i]->pid), (uint32_t)last))
				pmf_index_add(&t->by_pid, pid_hash(t->procs[i]->pid), (uint32_t)i);
		}
		t->n--;
		t->nr_inherited -= p->nr_inherited;
		process_free(p);
	}
	pmf_images_trim(t, PMF_IMAGES_OPEN);
}
