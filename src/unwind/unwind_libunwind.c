/* Steps by CFI with libunwind's remote interface (libunwind(3), "Remote unwinding"): it asks for
 * registers, memory and the FDE of an address; the dump and the images answer.
 *
 * Its cache of evaluated rules is keyed by the program counter alone, though the rule for the same
 * value differs between "stopped here" and "a call returns here". So each process has two address
 * spaces, one for either meaning, and the registers are carried over between them. */
#include "cfi_priv.h"
#include "unwind_priv.h"

#include "pmuflame/mem.h"
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

/* Exported and used by every remote unwinder, but in no header. */
#define dwarf_search_unwind_table UNW_OBJ(dwarf_search_unwind_table)
int dwarf_search_unwind_table(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di,
	unw_proc_info_t *pi, int need_unwind_info, void *arg);

#if defined(__x86_64__)
/* unw_get_reg's numbers are DWARF's here, so registers need no translation. */
_Static_assert(UNW_X86_64_RAX == 0 && UNW_X86_64_RBP == 6 && UNW_X86_64_RSP == 7 &&
		       UNW_X86_64_R15 == 15 && UNW_X86_64_RIP == 16,
	"libunwind numbers registers as DWARF does");
#endif

enum {
	NR_REGS = UNW_TDEP_IP + 1,
	CACHE_ENTRIES = 2048, /* rules per address space, about 200 bytes each */
	MAX_SIGNAL_RANGES = 16,
};
/* Where the one-entry search table stands: no process has memory there. */
#define ENTRY_VA (UINT64_C(1) << 63)

struct space {
	unw_addr_space_t exact, calls;
	struct space *next;
};

/* Address spaces not in use. unw_destroy_addr_space(3) forgets the memory of a resized cache, so
 * they are kept for the next process. */
struct pool {
	size_t refs; /* the unwinder and every process with a space */
	struct space *free;
	bool cached;
};

struct range {
	uint64_t start, end;
};

struct window {
	uint64_t start, end; /* va */
	const uint8_t *data;
};

/* A process's address space, in its pmf_unwind_space. */
struct rules {
	struct pool *pool;
	struct space *space;
	uint64_t generation;
	/* CFI sections that were used: expressions are read again at every evaluation. */
	struct window *windows;
	size_t nr_windows, cap_windows, last_window;
	struct range signals[MAX_SIGNAL_RANGES]; /* code of signal trampolines */
	size_t nr_signals;
};

struct lib {
	struct pool *pool;
	struct pmf_walk *w;
	struct rules *rules;
	unw_cursor_t cursor;
	bool live;     /* the cursor stands at the current frame */
	bool moved;    /* and has newer registers than the walk */
	bool finding;  /* an FDE is being read */
	bool no_rule;  /* none was found */
	bool below_sp; /* memory below the leaf's sp was asked for */
	int32_t entry[2];
};

/* ---- What libunwind asks for ---- */

static const struct window *find_window(struct rules *r, uint64_t va)
{
	for (size_t i = 0; i < r->nr_windows; i++) {
		size_t at = (r->last_window + i) % r->nr_windows;
		const struct window *win = &r->windows[at];

		if (va < win->end && va + sizeof(unw_word_t) > win->start) {
			r->last_window = at;
			return win;
		}
	}
	return NULL;
}

/* The word at @va as far as it lies inside the window, the rest zero: libunwind reads bytes by the
 * aligned words around them. */
static unw_word_t window_word(const struct window *win, uint64_t va)
{
	unw_word_t word = 0;
	uint64_t from = PMF_MAX(va, win->start);
	uint64_t to = PMF_MIN(va + sizeof word, win->end);

	memcpy((uint8_t *)&word + (from - va), win->data + (from - win->start), to - from);
	return word;
}

/* Code and constants, from the file; what the program may have written is not there. */
static bool read_image(const struct lib *l, uint64_t va, unw_word_t *out)
{
	const struct pmf_map *m = pmf_process_map(l->w->in->process, va);
	const struct pmf_image *im = m ? m->image : NULL;
	uint64_t rva = m ? va - m->bias : 0;

	for (size_t i = 0; im && i < im->nr_segments; i++) {
		const struct pmf_segment *s = &im->segments[i];

		if (rva - s->va < s->memsz)
			return !(s->flags & PF_W) && pmf_image_read(im, rva, out, sizeof *out);
	}
	return false;
}

static int access_mem(unw_addr_space_t as, unw_word_t va, unw_word_t *val, int write, void *arg)
{
	struct lib *l = arg;
	const struct window *win;
	uint64_t sp = l->w->in->regs[l->w->in->arch->reg_sp];

	(void)as;
	if (write)
		return -UNW_EINVAL;
	if (pmf_walk_try_read(l->w, va, val))
		return 0;
	if (va == ENTRY_VA) {
		memcpy(val, l->entry, sizeof l->entry);
		return 0;
	}
	win = find_window(l->rules, va);
	if (win) {
		*val = window_word(win, va);
		return 0;
	}
	if (l->finding) {
		/* The personality routine's address, which unwinding does not need. */
		*val = 0;
		return 0;
	}
	if (va < sp && sp - va <= PMF_RED_ZONE)
		l->below_sp = true;
	else if (read_image(l, va, val))
		return 0;
	else
		pmf_walk_note_miss(l->w, va);
	return -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *val, int write, void *arg)
{
	struct lib *l = arg;

	(void)as;
	if (write || reg < 0 || reg >= NR_REGS)
		return -UNW_EBADREG;
	if (reg == UNW_TDEP_IP) {
		*val = pmf_walk_lookup_va(l->w);
		return 0;
	}
	if (!(l->w->known >> reg & 1))
		return -UNW_EBADREG;
	*val = l->w->regs[reg];
	return 0;
}

static void add_window(struct rules *r, const struct pmf_cfi_section *s, uint64_t bias)
{
	uint64_t start = s->rva + bias;

	for (size_t i = 0; i < r->nr_windows; i++)
		if (r->windows[i].start == start && r->windows[i].data == s->data)
			return;
	PMF_PUSH(r->windows, r->nr_windows, r->cap_windows) =
		(struct window){start, start + s->size, s->data};
}

static bool is_signal_code(const struct rules *r, uint64_t va)
{
	for (size_t i = 0; i < r->nr_signals; i++)
		if (va >= r->signals[i].start && va < r->signals[i].end)
			return true;
	return false;
}

static int find_proc_info(
	unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need_unwind_info, void *arg)
{
	struct lib *l = arg;
	struct rules *r = l->rules;
	const struct pmf_map *m = l->w->map;
	const struct pmf_cfi *cfi;
	struct pmf_cfi_fde fde;
	unw_dyn_info_t di = {.format = UNW_INFO_FORMAT_REMOTE_TABLE};
	int ret;

	l->no_rule = true;
	/* Not UNW_ENOINFO: libunwind would go on by guessing. */
	if (!m || ip < m->start || ip >= m->end)
		m = pmf_process_map(l->w->in->process, ip);
	cfi = m ? pmf_cfi_of(m->image, l->w->in->arch) : NULL;
	if (!cfi || !pmf_cfi_find(cfi, ip - m->bias, &fde) || !pmf_cfi_fde_ok(&fde))
		return -UNW_EINVALIDIP;
	add_window(r, fde.section, m->bias);
	if (fde.signal_frame && r->nr_signals < MAX_SIGNAL_RANGES && !is_signal_code(r, ip))
		r->signals[r->nr_signals++] =
			(struct range){fde.start + m->bias, fde.end + m->bias};

	/* A search table of this one FDE: it is found already, and 32-bit offsets always fit. */
	di.start_ip = fde.start + m->bias;
	di.end_ip = fde.end + m->bias;
	di.u.rti.segbase = fde.rva + m->bias;
	di.u.rti.table_len = 1; /* in words: the two halves of l->entry */
	di.u.rti.table_data = ENTRY_VA;
	l->entry[0] = (int32_t)(ip - di.u.rti.segbase);
	l->entry[1] = 0;
	memset(pi, 0, sizeof *pi);
	l->finding = true;
	ret = dwarf_search_unwind_table(as, ip, &di, pi, need_unwind_info, arg);
	l->finding = false;
	if (ret < 0)
		return -UNW_EINVALIDIP;
	l->no_rule = false;
	return 0;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as;
	(void)pi;
	(void)arg;
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	(void)as;
	(void)addr;
	(void)arg;
	return -UNW_ENOINFO;
}

static int access_fpreg(
	unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *val, int write, void *arg)
{
	(void)as;
	(void)reg;
	(void)val;
	(void)write;
	(void)arg;
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as;
	(void)cursor;
	(void)arg;
	return -UNW_EINVAL;
}

static int get_proc_name(
	unw_addr_space_t as, unw_word_t ip, char *buf, size_t size, unw_word_t *off, void *arg)
{
	(void)as;
	(void)ip;
	(void)buf;
	(void)size;
	(void)off;
	(void)arg;
	return -UNW_EINVAL;
}

/* ---- Address spaces ---- */

static unw_addr_space_t new_addr_space(bool cached)
{
	static unw_accessors_t accessors = {
		.find_proc_info = find_proc_info,
		.put_unwind_info = put_unwind_info,
		.get_dyn_info_list_addr = get_dyn_info_list_addr,
		.access_mem = access_mem,
		.access_reg = access_reg,
		.access_fpreg = access_fpreg,
		.resume = resume,
		.get_proc_name = get_proc_name,
	};
	unw_addr_space_t as = unw_create_addr_space(&accessors, 0);

	if (!as)
		return NULL;
	unw_set_caching_policy(as, cached ? UNW_CACHE_GLOBAL : UNW_CACHE_NONE);
	if (cached) {
		/* The first call only makes the cache of the default size. */
		unw_set_cache_size(as, CACHE_ENTRIES, 0);
		unw_set_cache_size(as, CACHE_ENTRIES, 0);
	}
	return as;
}

static void free_addr_space(unw_addr_space_t as)
{
	if (!as)
		return;
	/* What a cache of one entry leaves behind is small. */
	unw_set_cache_size(as, 1, 0);
	unw_destroy_addr_space(as);
}

static struct space *take_space(struct pool *pool)
{
	struct space *s = pool->free;

	pool->refs++;
	if (s) {
		pool->free = s->next;
		return s;
	}
	s = pmf_zalloc(sizeof *s);
	s->exact = new_addr_space(pool->cached);
	s->calls = new_addr_space(pool->cached);
	return s;
}

static void drop_pool(struct pool *pool)
{
	struct space *next;

	if (--pool->refs)
		return;
	for (struct space *s = pool->free; s; s = next) {
		next = s->next;
		free_addr_space(s->exact);
		free_addr_space(s->calls);
		free(s);
	}
	free(pool);
}

static void rules_free(void *priv)
{
	struct rules *r = priv;

	r->space->next = r->pool->free;
	r->pool->free = r->space;
	drop_pool(r->pool);
	free(r->windows);
	free(r);
}

static void flush(unw_addr_space_t as)
{
	if (as)
		unw_flush_cache(as, 0, 0);
}

static struct rules *rules_of(struct lib *l, struct pmf_process *p)
{
	struct pmf_unwind_space *space = pmf_unwind_space_of(p);
	struct rules *r = space->lib;

	if (!r) {
		r = pmf_zalloc(sizeof *r);
		r->pool = l->pool;
		r->space = take_space(l->pool);
		r->generation = p->maps_generation - 1;
		space->lib = r;
		space->lib_free = rules_free;
	}
	if (r->generation != p->maps_generation) {
		flush(r->space->exact);
		flush(r->space->calls);
		r->nr_windows = r->last_window = r->nr_signals = 0;
		r->generation = p->maps_generation;
	}
	return r;
}

/* ---- Steps ---- */

bool pmf_unwind_libunwind_can(const struct pmf_arch *arch)
{
	/* Where calls push, its ports are sound: see unwind_cfi.c. */
	return arch == pmf_arch_native() && arch->reg_ra == PMF_REG_NONE &&
	       arch->dwarf_ra == UNW_TDEP_IP;
}

static void *new_priv(const struct pmf_arch *arch)
{
	struct lib *l = pmf_zalloc(sizeof *l);

	(void)arch;
	l->pool = pmf_zalloc(sizeof *l->pool);
	l->pool->refs = 1;
	l->pool->cached = true;
	return l;
}

void pmf_unwind_libunwind_uncache(void *priv)
{
	struct lib *l = priv;

	l->pool->cached = false;
}

static void free_priv(void *priv)
{
	struct lib *l = priv;

	drop_pool(l->pool);
	free(l);
}

static void begin(void *priv, struct pmf_walk *w)
{
	struct lib *l = priv;

	l->w = w;
	l->rules = rules_of(l, w->in->process);
	l->live = l->moved = false;
}

/* Give the walk the cursor's registers. One that was popped already, which CFI still places below
 * sp, has the value that it had. */
static void sync(struct lib *l)
{
	struct pmf_walk *w = l->w;
	unw_word_t val;

	for (int i = 0; l->moved && i < UNW_TDEP_IP; i++) {
		l->below_sp = false;
		if (unw_get_reg(&l->cursor, i, &val) == 0) {
			w->regs[i] = val;
			w->known |= UINT64_C(1) << i;
		} else if (!l->below_sp) {
			w->known &= ~(UINT64_C(1) << i);
		}
	}
	l->live = l->moved = false;
}

static enum pmf_step step(void *priv, struct pmf_walk *w)
{
	struct lib *l = priv;
	unw_addr_space_t as = w->exact ? l->rules->space->exact : l->rules->space->calls;
	unw_word_t pc, sp;
	bool signal;
	int ret;

	l->no_rule = false;
	if (!w->map || w->map->image->kind == PMF_IMAGE_ANON) {
		sync(l);
		return PMF_STEP_NO_RULE;
	}
	if (!l->live && (!as || unw_init_remote(&l->cursor, as, l) < 0))
		return PMF_STEP_FAILED;
	l->live = true;
	ret = unw_step(&l->cursor);
	if (ret < 0 && l->no_rule) {
		sync(l);
		return PMF_STEP_NO_RULE;
	}
	if (ret == 0)
		return PMF_STEP_ROOT;
	if (ret < 0 || unw_get_reg(&l->cursor, UNW_REG_IP, &pc) < 0 ||
		unw_get_reg(&l->cursor, UNW_REG_SP, &sp) < 0)
		return PMF_STEP_FAILED;
	l->moved = true;
	signal = is_signal_code(l->rules, pmf_walk_lookup_va(w));
	if (signal)
		pmf_walk_show_exact(w);
	if (signal || w->exact)
		sync(l);
	w->pc = pc;
	w->regs[w->dwarf_sp] = sp;
	w->exact = w->stack_may_jump = signal;
	return PMF_STEP_OK;
}

const struct pmf_unwinder_ops pmf_unwind_libunwind = {
	.new_priv = new_priv,
	.free_priv = free_priv,
	.begin = begin,
	.step = step,
};
