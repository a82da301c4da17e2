/* Python frames of processes that had no agent preloaded: a BPF program walks them at the overflow. Its
 * stack stands right before its sample in the same ring, so that the two meet by their order
 * (docs/adr/0024). Which processes to walk is told by what they map. */
#include "python_room.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	NESTED_MAX = 2, /* an overflow within another one's */
	CPUS_MAX = 8192,
	MINOR_MAX = 31,
	SYMBOLS_MAX = 1 << 20, /* of one file */
};

/* A stack whose sample comes next. */
struct leading {
	pid_t pid, tid;
	uint64_t ip;
	struct pmf_python_stack stack;
	struct pmf_python_frame frames[PMF_PYTHON_MAX_FRAMES];
};

struct cpu {
	struct leading *items[NESTED_MAX]; /* made when needed */
	size_t n;
};

/* What a file is. */
struct file {
	enum { UNASKED, NONE, INTERPRETER } kind;
	struct pmf_python_interpreter *in; /* its addresses are those in the image */
	bool refused;
};

struct pmf_py_bpf {
	struct pmf_python_bpf *program;
	bool *missing; /* events that it does not run for */
	struct pmf_py_process **procs;
	size_t n, cap;
	struct pmf_index by_pid;
	struct cpu *cpus;
	size_t nr_cpus, cap_cpus;
	struct file *files; /* by id of their image */
	size_t nr_files, cap_files;
	uint64_t unread, cut, untold;
};

int pmf_py_new_bpf(struct pmf_py **out, const struct pmf_py_opts *opts, struct pmf_stacks *stacks,
	struct pmf_err *err)
{
	struct pmf_python_bpf *program;
	int ret = pmf_python_bpf_load(&program, err);
	struct pmf_py *py;

	if (ret)
		return ret;
	py = pmf_zalloc(sizeof *py);
	py->stacks = stacks;
	py->lines = opts->lines;
	py->interpreter = opts->interpreter;
	py->bpf = pmf_zalloc(sizeof *py->bpf);
	py->bpf->program = program;
	py->bpf->missing = pmf_calloc(stacks->list->n, sizeof *py->bpf->missing);
	pmf_index_init(&py->bpf->by_pid);
	*out = py;
	return 0;
}

void pmf_py_bpf_free(struct pmf_py_bpf *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		pmf_py_process_free(b->procs[i]);
	for (size_t i = 0; i < b->nr_cpus; i++)
		for (size_t k = 0; k < NESTED_MAX; k++)
			free(b->cpus[i].items[k]);
	for (size_t i = 0; i < b->nr_files; i++)
		free(b->files[i].in);
	pmf_index_release(&b->by_pid);
	pmf_python_bpf_free(b->program);
	free(b->procs);
	free(b->cpus);
	free(b->files);
	free(b->missing);
	free(b);
}

static int take_output(void *ctx, int cpu, int fd, struct pmf_err *err)
{
	return pmf_python_bpf_output(ctx, cpu, fd, err);
}

int pmf_py_bpf_start(struct pmf_py *py, struct pmf_err *err)
{
	struct pmf_py_bpf *b = py->bpf;
	const struct pmf_perf_bpf bpf = {.prog_fd = pmf_python_bpf_program(b->program),
		.output = take_output,
		.ctx = b->program,
		.missing = b->missing};

	return pmf_perf_set_bpf(py->session, &bpf, err);
}

/* ---- Who is a Python ---- */

/* Find the symbols @names, that @im defines, in @section. Those found get their address. */
static void find_symbols(const struct pmf_image *im, const char *section, const char *strings,
	const char *const *names, uint64_t *out, size_t n)
{
	size_t bytes = 0, text_bytes = 0;
	const uint8_t *syms = pmf_image_section(im, section, &bytes, NULL);
	const char *text = (const char *)pmf_image_section(im, strings, &text_bytes, NULL);
	Elf64_Sym sym;

	if (!syms || !text)
		return;
	for (size_t i = 0; i < PMF_MIN(bytes / sizeof sym, (size_t)SYMBOLS_MAX); i++) {
		memcpy(&sym, syms + i * sizeof sym, sizeof sym);
		if (sym.st_shndx == SHN_UNDEF || sym.st_name >= text_bytes)
			continue;
		for (size_t k = 0; k < n; k++)
			if (strncmp(text + sym.st_name, names[k], text_bytes - sym.st_name) == 0 &&
				strlen(names[k]) < text_bytes - sym.st_name)
				out[k] = sym.st_value;
	}
}

/* "3.8" of "libpython3.8.so.1.0" and "python3.8". */
static void version_of_name(const char *name, char *out, size_t size)
{
	static const char before[] = "python";
	const char *at = strstr(name, before);

	if (at)
		at += sizeof before - 1;
	snprintf(out, size, "%.*s", at ? (int)strspn(at, "0123456789.") : 0, at ? at : "");
}

static void read_version(const struct pmf_image *im, uint64_t version_rva, char *out, size_t size)
{
	uint32_t hex;

	/* Py_Version, since 3.11: PY_VERSION_HEX. */
	if (version_rva && pmf_image_read(im, version_rva, &hex, sizeof hex))
		snprintf(out, size, "%u.%u.%u", hex >> 24, hex >> 16 & 0xff, hex >> 8 & 0xff);
	else
		version_of_name(im->name, out, size);
}

static void look_at_file(struct file *f, const struct pmf_image *im)
{
	static const char *const names[] = {"_PyRuntime", "PyCode_Type", "Py_Version"};
	uint64_t found[PMF_ARRAY_SIZE(names)] = {0};

	f->kind = NONE;
	if (!im->elf || im->elf32 || im->elf_machine != pmf_arch_native()->elf_machine)
		return;
	find_symbols(im, ".dynsym", ".dynstr", names, found, PMF_ARRAY_SIZE(names));
	if (!found[0] && strstr(im->name, "python"))
		find_symbols(im, ".symtab", ".strtab", names, found, PMF_ARRAY_SIZE(names));
	if (!found[0] || !found[1])
		return;
	f->kind = INTERPRETER;
	f->in = pmf_zalloc(sizeof *f->in);
	f->in->runtime_va = found[0];
	f->in->code_type_va = found[1];
	read_version(im, found[2], f->in->version, sizeof f->in->version);
	/* Without data in the file (to 3.12) it stays zero. */
	pmf_image_read(im, found[0], f->in->runtime, sizeof f->in->runtime);
}

static void refuse(struct pmf_py *py, struct file *f, const struct pmf_err *why)
{
	if (!f->refused)
		pmf_profile_note(py->stacks->profile, PMF_NOTE_WARN, -1,
			"Python processes without Python frames: %s", why->text);
	f->refused = true;
}

/* Process @pid runs what @map shows, if that is an interpreter. */
static void add_python(struct pmf_py *py, pid_t pid, const struct pmf_map *map)
{
	struct pmf_py_bpf *b = py->bpf;
	struct pmf_python_interpreter in;
	struct pmf_err why = PMF_ERR_INIT;
	struct file *f;

	if (map->image->kind != PMF_IMAGE_FILE)
		return;
	while (b->nr_files <= map->image->id)
		PMF_PUSH(b->files, b->nr_files, b->cap_files) = (struct file){.kind = UNASKED};
	f = &b->files[map->image->id];
	if (f->kind == UNASKED)
		look_at_file(f, map->image);
	if (f->kind != INTERPRETER)
		return;
	in = *f->in;
	in.runtime_va += map->bias;
	in.code_type_va += map->bias;
	if (pmf_python_bpf_add(b->program, pid, &in, &why))
		refuse(py, f, &why);
}

void pmf_py_mapped(struct pmf_py *py, const struct pmf_record *rec)
{
	const struct pmf_process *p = pmf_process_find(&py->stacks->table, (pid_t)rec->pid);
	const struct pmf_map *map = p ? pmf_process_map(p, rec->mmap.start) : NULL;

	if (py->bpf && map)
		add_python(py, p->pid, map);
}

/* The program makes a fork what its parent is, which we may not have known yet then. */
static void on_fork(struct pmf_py *py, const struct pmf_record *rec)
{
	const struct pmf_process *parent =
		pmf_process_find(&py->stacks->table, (pid_t)rec->task.ppid);

	for (size_t i = 0; parent && i < parent->nr_maps; i++)
		add_python(py, (pid_t)rec->pid, &parent->maps[i]);
}

/* ---- Processes ---- */

static bool pid_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_py_bpf *)ctx)->procs[value]->pid == *(const pid_t *)key;
}

static uint32_t find(const struct pmf_py_bpf *b, pid_t pid)
{
	return pmf_index_find(&b->by_pid, pmf_hash_u64((uint64_t)pid), pid_eq, b, &pid);
}

static struct pmf_py_process *process_of(struct pmf_py *py, pid_t pid, unsigned minor)
{
	struct pmf_py_bpf *b = py->bpf;
	uint32_t i = find(b, pid);
	struct pmf_py_process *proc;

	if (i != UINT32_MAX)
		return b->procs[i];
	proc = pmf_zalloc(sizeof *proc);
	proc->pid = pid;
	proc->codes = pmf_python_codes_new(minor);
	pmf_index_init(&proc->by_tid);
	pmf_py_tids_init(&proc->tids, pid);
	pmf_index_init(&proc->id_index);
	pmf_index_add(&b->by_pid, pmf_hash_u64((uint64_t)pid), (uint32_t)b->n);
	PMF_PUSH(b->procs, b->n, b->cap) = proc;
	py->connected++;
	if (minor <= MINOR_MAX)
		py->minors |= UINT32_C(1) << minor;
	return proc;
}

static void forget(struct pmf_py_bpf *b, uint32_t i)
{
	uint32_t last = (uint32_t)b->n - 1;

	pmf_index_remove(&b->by_pid, pmf_hash_u64((uint64_t)b->procs[i]->pid), i);
	pmf_py_process_free(b->procs[i]);
	b->procs[i] = b->procs[last];
	if (i != last) {
		uint64_t hash = pmf_hash_u64((uint64_t)b->procs[i]->pid);

		pmf_index_remove(&b->by_pid, hash, last);
		pmf_index_add(&b->by_pid, hash, i);
	}
	b->n--;
}

void pmf_py_bpf_round(struct pmf_py *py)
{
	struct pmf_py_bpf *b = py->bpf;

	for (size_t i = b->n; i-- > 0;) {
		const struct pmf_process *p =
			pmf_process_find(&py->stacks->table, b->procs[i]->pid);

		if (!p || p->exited)
			forget(b, (uint32_t)i);
	}
}

/* Another program has this pid now. */
static void on_other_program(struct pmf_py_bpf *b, pid_t pid, bool exec)
{
	uint32_t i = find(b, pid);

	if (i != UINT32_MAX)
		forget(b, i);
	if (exec)
		pmf_python_bpf_remove(b->program, pid);
}

/* ---- Records ---- */

static struct leading *push_leading(struct pmf_py_bpf *b, uint32_t cpu)
{
	struct cpu *c;
	struct leading *l;

	while (b->nr_cpus <= cpu)
		PMF_PUSH(b->cpus, b->nr_cpus, b->cap_cpus) = (struct cpu){.n = 0};
	c = &b->cpus[cpu];
	if (c->n == NESTED_MAX) {
		/* The sample of the first one was lost. */
		l = c->items[0];
		memmove(c->items, c->items + 1, (NESTED_MAX - 1) * sizeof *c->items);
		c->items[--c->n] = l;
	}
	if (!c->items[c->n])
		c->items[c->n] = pmf_malloc(sizeof *c->items[0]);
	return c->items[c->n++];
}

static void on_program_record(struct pmf_py *py, const struct pmf_record *rec)
{
	struct pmf_python_bpf_record r;
	struct pmf_py_process *proc;
	struct leading *l;

	if (!pmf_python_bpf_parse(rec->sample.raw, rec->sample.raw_bytes, &r) ||
		rec->cpu >= CPUS_MAX) {
		py->malformed++;
		return;
	}
	proc = process_of(py, r.pid, r.minor);
	if (r.is_code) {
		pmf_python_bpf_tell(&r, proc->codes);
		return;
	}
	l = push_leading(py->bpf, rec->cpu);
	l->pid = r.pid;
	l->tid = r.tid;
	l->ip = r.ip;
	l->stack = (struct pmf_python_stack){
		.cut = r.cut, .entering = r.entering, .n = r.n, .frames = l->frames};
	pmf_python_bpf_frames(&r, proc->codes, l->frames);
	py->bpf->unread += r.unread;
	py->bpf->untold += r.untold;
	py->bpf->cut += r.cut && !r.unread;
}

void pmf_py_bpf_record(struct pmf_py *py, const struct pmf_record *rec)
{
	switch (rec->type) {
	case PERF_RECORD_SAMPLE:
		if (rec->event == PMF_NO_EVENT && rec->sample.raw)
			on_program_record(py, rec);
		break;
	case PERF_RECORD_COMM:
		if (rec->comm.exec)
			on_other_program(py->bpf, (pid_t)rec->pid, true);
		break;
	case PERF_RECORD_FORK:
		if (rec->pid == rec->task.ppid)
			break;
		on_other_program(py->bpf, (pid_t)rec->pid, false);
		on_fork(py, rec);
		break;
	default:
		break;
	}
}

/* The stack that stood before sample @rec, or NULL. */
static const struct leading *take_leading(struct pmf_py_bpf *b, const struct pmf_record *rec)
{
	struct cpu *c = rec->cpu < b->nr_cpus ? &b->cpus[rec->cpu] : NULL;

	for (size_t i = c ? c->n : 0; i-- > 0;) {
		const struct leading *l = c->items[i];

		if ((uint32_t)l->tid == rec->tid && l->ip == rec->sample.ip) {
			c->n = i;
			return l;
		}
	}
	return NULL;
}

bool pmf_py_bpf_sample(
	struct pmf_py *py, const struct pmf_record *rec, const struct pmf_py_sample *smp)
{
	struct pmf_py_bpf *b = py->bpf;
	uint32_t i = find(b, (pid_t)rec->pid);
	const struct leading *l = take_leading(b, rec);

	if (i == UINT32_MAX || b->missing[rec->event])
		return false;
	if (!l) {
		py->unmatched++;
		return false;
	}
	pmf_py_draw(py, b->procs[i], smp, &l->stack);
	return true;
}

/* ---- The end ---- */

void pmf_py_bpf_note(struct pmf_py *py)
{
	struct pmf_profile *p = py->stacks->profile;
	char text[PMF_UNITS_MAX];

	for (size_t e = 0; e < p->nr_events; e++)
		if (py->bpf->missing[e])
			pmf_profile_note(p, PMF_NOTE_WARN, (int)e,
				"'%s' has no Python frames in processes that ran already: the kernel runs no "
				"BPF program at its overflows (nor of any tracepoint)",
				p->events[e].label);
	if (py->bpf->cut)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%s samples have more than %d Python frames: the outer ones are missing",
			pmf_format_count(text, py->bpf->cut), PMF_PYTHON_MAX_FRAMES);
	if (py->bpf->unread)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%s samples lack Python frames, all or the outer ones: at the overflow, memory that "
			"they stand in was not present, or the interpreter was between two of them",
			pmf_format_count(text, py->bpf->unread));
	if (py->bpf->untold)
		pmf_profile_note(p, PMF_NOTE_WARN, -1,
			"%s samples may have frames called [Python function]: more code was new in them "
			"than is told at once",
			pmf_format_count(text, py->bpf->untold));
}

/* What was found out of each file stands under its new number. */
static void renumber_files(struct pmf_py_bpf *b, const uint32_t *images)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nr_files; i++) {
		struct file f = b->files[i];

		b->files[i] = (struct file){.kind = UNASKED};
		f.refused = false;
		if (images[i] == UINT32_MAX) {
			free(f.in);
			continue;
		}
		/* Numbers only fall. */
		b->files[images[i]] = f;
		n = (size_t)images[i] + 1;
	}
	b->nr_files = n;
}

void pmf_py_bpf_restart(struct pmf_py *py, const uint32_t *images)
{
	struct pmf_py_bpf *b = py->bpf;

	for (size_t i = 0; i < b->n; i++)
		pmf_py_forget_frames(b->procs[i]);
	py->connected = b->n;
	b->unread = b->cut = b->untold = 0;
	renumber_files(b, images);
}
