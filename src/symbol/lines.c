/* The thread that looks up lines: questions by image, so that one file's debug info is at hand for all of
 * its addresses, and answers as numbers of strings, so that it need not stay open for them. */
#include "symbol_priv.h"

#include "pmuflame/lines.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	DWARFS_OPEN = 16, /* their files stay open */
	FILES_HELD = 64,  /* after that, those go that nothing is asked of */
	LEAVE_MS = 200,
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
};
#define DWARF_BYTES (UINT64_C(1) << 30) /* of all that are open, unless it is one */

struct place {
	uint32_t function, decl_file, file; /* in strings; 0: not known */
	uint32_t decl_line, line;
};

struct answer {
	uint64_t rva;
	uint32_t first, n; /* of places */
};

struct file {
	/* Does not change. */
	char *path, *mapped;
	uint8_t build_id[20];
	size_t build_id_len;
	uint64_t bytes;
	/* Under the lock. */
	int offered;   /* a descriptor for the thread, or -1 */
	bool held;     /* the thread has one, or is offered one */
	bool hopeless; /* it has no debug info */
	struct answer *answers;
	size_t n, cap, next; /* next: the first that is still a question */
	struct pmf_index by_rva;
	struct pmf_lines_file shown;
	/* The working thread's. */
	int fd; /* of what has the debug info; before the look, of the image; or -1 */
	bool looked;
	const char *debug_path; /* in l->paths */
	char why[200];
	int symbols_fd;
	struct pmf_dwarf *dwarf;
	uint64_t dwarf_bytes, used;
};

struct pmf_lines {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	bool inlines;
	char *symfs_root, *cache, *root;
	struct pmf_debug_dirs dirs;
	/* Under the lock. */
	struct file **files; /* by image; NULL: not asked about */
	size_t n, cap;
	struct place *places;
	size_t nr_places, cap_places;
	struct pmf_strtab strings;
	struct pmf_lines_state state;
	size_t nr_held;
	struct file *busy; /* what the working thread is at */
	size_t current;    /* the image that it asked about last */
	unsigned turn;     /* which thread works */
	unsigned nr_threads;
	pid_t tid;
	char server_why[200];
	bool stop, orphan; /* orphan: the last thread out frees it */
	/* The working thread's. */
	struct pmf_debuginfod *servers;
	struct pmf_strtab paths;
	uint64_t uses, dwarf_bytes;
	size_t nr_dwarfs;
};

struct thread {
	struct pmf_lines *l;
	unsigned turn;
	bool idle;
};

/* ---- The working thread ---- */

static bool on_fetch(void *ctx, uint64_t done, uint64_t of)
{
	struct pmf_lines *l = ctx;
	char got[PMF_UNITS_MAX], all[PMF_UNITS_MAX], share[3 * PMF_UNITS_MAX] = "";
	bool go_on;

	if (of)
		snprintf(share, sizeof share, "%s of %s of ", pmf_format_bytes(got, done),
			pmf_format_bytes(all, of));
	pthread_mutex_lock(&l->lock);
	go_on = !l->stop;
	snprintf(l->state.fetching, sizeof l->state.fetching, "%s%s", share, l->busy->path);
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

/* What @f->fd is to be from now on, whose file lies at @path. */
static void keep(struct pmf_lines *l, struct file *f, struct pmf_elf_src *src, const char *path)
{
	f->fd = fcntl(src->fd, F_DUPFD_CLOEXEC, 0);
	f->debug_path = pmf_strtab_get(&l->paths, pmf_strtab_addz(&l->paths, path));
	pmf_elf_src_release(src);
}

static void fetch(struct pmf_lines *l, struct file *f, struct pmf_debug_want *want)
{
	struct pmf_elf_src src;
	struct stat st;
	char *path = NULL;
	int fd = pmf_debuginfod_fetch(l->servers, f->build_id, f->build_id_len, &path);

	if (fd >= 0 && (fstat(fd, &st) || !pmf_elf_src_take(&src, fd, (uint64_t)st.st_size))) {
		fd = -1;
	} else if (fd >= 0 && !pmf_debug_file_fits(&src, want, NULL)) {
		pmf_elf_src_release(&src);
		fd = -1;
	}
	if (fd >= 0) {
		f->symbols_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		keep(l, f, &src, path);
	}
	free(path);
}

/* From the image's file to that with its debug info. */
static void look(struct pmf_lines *l, struct file *f)
{
	struct pmf_elf_src own, other;
	struct pmf_debug_want want = {.own = &own,
		.file = f->path,
		.mapped = f->mapped,
		.build_id = f->build_id,
		.build_id_len = f->build_id_len,
		.need = l->inlines ? PMF_DEBUG_DWARF : PMF_DEBUG_SYMBOLS,
		.dirs = &l->dirs};
	bool ok = pmf_elf_src_take(&own, f->fd, f->bytes);
	char *path;

	f->looked = true;
	f->fd = -1;
	if (!ok)
		return;
	/* Its file was closed to make room: what was fetched is still the answer. */
	if (f->symbols_fd >= 0) {
		f->fd = fcntl(f->symbols_fd, F_DUPFD_CLOEXEC, 0);
		pmf_elf_src_release(&own);
		return;
	}
	if (pmf_elf_src_has(&own, want.need)) {
		keep(l, f, &own, f->path);
		return;
	}
	if (pmf_debug_file_open(&other, &want, &path)) {
		keep(l, f, &other, path);
		free(path);
	} else if (l->servers) {
		fetch(l, f, &want);
	}
	pmf_elf_src_release(&own);
}

static void close_dwarf(struct pmf_lines *l, struct file *f)
{
	if (f->dwarf) {
		pmf_dwarf_close(f->dwarf);
		l->nr_dwarfs--;
		l->dwarf_bytes -= f->dwarf_bytes;
	}
	f->dwarf = NULL;
	f->dwarf_bytes = 0;
}

static void close_file(struct pmf_lines *l, struct file *f)
{
	close_dwarf(l, f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void open_dwarf(struct pmf_lines *l, struct file *f)
{
	struct pmf_dwarf_opts opts = {
		.fd = f->fd, .path = f->debug_path, .debug_root = l->dirs.root};
	struct pmf_err err = PMF_ERR_INIT;

	f->dwarf = pmf_dwarf_open(&opts, &err);
	l->nr_dwarfs += f->dwarf != NULL;
	if (f->dwarf)
		return;
	pthread_mutex_lock(&l->lock);
	/* Who stopped us reads it without the lock. */
	if (!l->stop)
		snprintf(f->why, sizeof f->why, "%s", err.text);
	pthread_mutex_unlock(&l->lock);
	close_file(l, f);
}

static size_t find(struct pmf_lines *l, struct file *f, uint64_t rva, struct pmf_line *out)
{
	size_t n;

	if (!f->looked)
		look(l, f);
	f->used = ++l->uses;
	if (!l->inlines && f->fd >= 0)
		close_file(l, f);
	else if (!f->dwarf && f->fd >= 0)
		open_dwarf(l, f);
	if (!f->dwarf)
		return 0;
	n = pmf_dwarf_find(f->dwarf, rva, out, PMF_LINES_DEPTH);
	l->dwarf_bytes -= f->dwarf_bytes;
	f->dwarf_bytes = pmf_dwarf_bytes(f->dwarf);
	l->dwarf_bytes += f->dwarf_bytes;
	return n;
}

/* Under the lock: the answer to the next question about @f, which was asked when there were no more than
 * the places so far. */
static void store(struct pmf_lines *l, struct file *f, const struct pmf_line *lines, size_t n)
{
	struct answer *a = &f->answers[f->next++];

	a->first = (uint32_t)l->nr_places;
	a->n = l->nr_places + n < UINT32_MAX ? (uint32_t)n : 0;
	for (size_t i = 0; i < a->n; i++)
		PMF_PUSH(l->places, l->nr_places, l->cap_places) = (struct place){
			.function = pmf_strtab_addz(
				&l->strings, lines[i].function ? lines[i].function : ""),
			.decl_file = pmf_strtab_addz(
				&l->strings, lines[i].decl_file ? lines[i].decl_file : ""),
			.file = pmf_strtab_addz(&l->strings, lines[i].file ? lines[i].file : ""),
			.decl_line = lines[i].decl_line,
			.line = lines[i].line};
	f->shown = (struct pmf_lines_file){
		l->inlines, f->fd >= 0 ? f->debug_path : NULL, f->why, f->symbols_fd};
	l->state.answered++;
	l->state.fetching[0] = '\0';
	if (l->servers)
		snprintf(l->server_why, sizeof l->server_why, "%s", pmf_debuginfod_why(l->servers));
	if (f->fd >= 0)
		return;
	/* No debug info: that is the answer to everything else, too. */
	l->state.answered += f->n - f->next;
	f->n = f->next;
	f->hopeless = true;
	f->held = false;
	l->nr_held--;
}

/* Under the lock: a file with questions, or NULL. */
static struct file *next_file(struct pmf_lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		size_t at = (l->current + i) % l->n;
		struct file *f = l->files[at];

		if (f && f->next < f->n) {
			l->current = at;
			return f;
		}
	}
	return NULL;
}

/* Under the lock: the file that was not used for longest, of those that have something to close. */
static struct file *least_used(const struct pmf_lines *l, bool dwarf)
{
	struct file *least = NULL;

	for (size_t i = 0; i < l->n; i++) {
		struct file *f = l->files[i];

		if (f && (dwarf ? f->dwarf != NULL : f->held && f->next == f->n) &&
			(!least || f->used < least->used))
			least = f;
	}
	return least;
}

/* Under the lock, when nothing is worked on. */
static void make_room(struct pmf_lines *l)
{
	struct file *f;

	while ((l->nr_dwarfs > DWARFS_OPEN || (l->nr_dwarfs > 1 && l->dwarf_bytes > DWARF_BYTES)) &&
		(f = least_used(l, true)))
		close_dwarf(l, f);
	while (l->nr_held > FILES_HELD && (f = least_used(l, false))) {
		close_file(l, f);
		f->looked = false;
		f->held = false;
		l->nr_held--;
	}
}

static void destroy(struct pmf_lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct file *f = l->files[i];

		if (!f)
			continue;
		close_file(l, f);
		if (f->offered >= 0)
			close(f->offered);
		if (f->symbols_fd >= 0)
			close(f->symbols_fd);
		pmf_index_release(&f->by_rva);
		free(f->answers);
		free(f->path);
		free(f->mapped);
		free(f);
	}
	pmf_debuginfod_free(l->servers);
	pmf_strtab_release(&l->paths);
	pmf_strtab_release(&l->strings);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->done);
	pthread_mutex_destroy(&l->lock);
	free(l->files);
	free(l->places);
	free(l->symfs_root);
	free(l->cache);
	free(l->root);
	free(l);
}

/* One question, under the lock but while it is worked on. */
static void answer_one(struct pmf_lines *l, struct file *f)
{
	struct pmf_line lines[PMF_LINES_DEPTH];
	uint64_t rva = f->answers[f->next].rva;
	size_t n;

	l->busy = f;
	if (f->offered >= 0) {
		f->fd = f->offered;
		f->offered = -1;
	}
	pthread_mutex_unlock(&l->lock);
	n = find(l, f, rva, lines);
	pthread_mutex_lock(&l->lock);
	if (!l->stop)
		store(l, f, lines, n);
	l->busy = NULL;
	make_room(l);
	pthread_cond_broadcast(&l->done);
}

static void take_over(struct pmf_lines *l);

/* From here on run only where nobody else wants to. False if that cannot be undone, which is not permitted
 * to everybody (sched(7)): such a thread may wait for a CPU for as long as the machine is busy. */
static bool stand_back(void)
{
	const struct sched_param none = {.sched_priority = 0};

	return sched_setscheduler(0, SCHED_IDLE, &none) ||
	       (sched_setscheduler(0, SCHED_OTHER, &none) == 0 &&
		       sched_setscheduler(0, SCHED_IDLE, &none) == 0);
}

static void *run(void *arg)
{
	struct thread t = *(struct thread *)arg;
	struct pmf_lines *l = t.l;
	bool last, stuck = t.idle && !stand_back();

	free(arg);
	pthread_mutex_lock(&l->lock);
	if (l->turn == t.turn && stuck)
		take_over(l);
	else if (l->turn == t.turn)
		l->tid = gettid();
	while (!l->stop && l->turn == t.turn) {
		struct file *f = l->busy ? NULL : next_file(l);

		if (f)
			answer_one(l, f);
		else
			pthread_cond_wait(&l->work, &l->lock);
		/* Another thread may wait for its turn. */
		if (f && l->turn != t.turn)
			pthread_cond_broadcast(&l->work);
	}
	last = --l->nr_threads == 0 && l->orphan;
	pthread_cond_broadcast(&l->done);
	pthread_mutex_unlock(&l->lock);
	if (last)
		destroy(l);
	return NULL;
}

/* Under the lock. A thread that cannot be had leaves everything unanswered. */
static void start(struct pmf_lines *l, bool idle)
{
	struct thread *t = pmf_malloc(sizeof *t);
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t id;

	*t = (struct thread){l, l->turn, idle};
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Signals are for the thread that began the run. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&id, &attr, run, t) == 0) {
		l->nr_threads++;
	} else {
		free(t);
		l->stop = true;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

/* Under the lock: another thread goes on, at the usual priority. */
static void take_over(struct pmf_lines *l)
{
	l->turn++;
	start(l, false);
	pthread_cond_broadcast(&l->work);
}

/* ---- Who asks ---- */

struct pmf_lines *pmf_lines_new(const struct pmf_image_search *search, bool inlines)
{
	struct pmf_lines *l = pmf_zalloc(sizeof *l);
	pthread_condattr_t attr;

	l->servers = pmf_debuginfod_new(on_fetch, l);
	if (!inlines && !l->servers) {
		free(l);
		return NULL;
	}
	elf_version(EV_CURRENT);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->work, &attr);
	pthread_cond_init(&l->done, &attr);
	pthread_condattr_destroy(&attr);
	pmf_strtab_init(&l->strings);
	pmf_strtab_init(&l->paths);
	l->inlines = inlines;
	if (search->symfs)
		l->symfs_root = pmf_asprintf("%s/usr/lib/debug", search->symfs);
	l->cache = pmf_strdup_or_null(search->cache);
	l->root = pmf_strdup_or_null(search->debug_root);
	l->dirs = (struct pmf_debug_dirs){l->symfs_root, l->root, l->cache};
	pthread_mutex_lock(&l->lock);
	start(l, true);
	pthread_mutex_unlock(&l->lock);
	return l;
}

static struct timespec in_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / MS_PER_S;
	t.tv_nsec += (long)(ms % MS_PER_S) * NS_PER_MS;
	if (t.tv_nsec >= (long)MS_PER_S * NS_PER_MS) {
		t.tv_nsec -= (long)MS_PER_S * NS_PER_MS;
		t.tv_sec++;
	}
	return t;
}

void pmf_lines_free(struct pmf_lines *l)
{
	struct timespec until = in_ms(LEAVE_MS);
	bool left;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->work);
	while (l->nr_threads && pthread_cond_timedwait(&l->done, &l->lock, &until) != ETIMEDOUT)
		;
	left = l->nr_threads == 0;
	l->orphan = true;
	pthread_mutex_unlock(&l->lock);
	if (left)
		destroy(l);
}

static bool answer_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct file *)ctx)->answers[value].rva == *(const uint64_t *)key;
}

static struct file *file_new(const struct pmf_image *im)
{
	struct file *f = pmf_zalloc(sizeof *f);

	f->path = pmf_strdup(im->file ? im->file : im->path);
	f->mapped = pmf_strdup(im->path);
	memcpy(f->build_id, im->build_id, sizeof f->build_id);
	f->build_id_len = im->build_id_len;
	f->bytes = im->file_bytes;
	f->offered = f->fd = f->symbols_fd = f->shown.symbols_fd = -1;
	f->shown.why = "";
	pmf_index_init(&f->by_rva);
	return f;
}

/* Give the thread a descriptor of @im's file, if it has none; false if it has too many. */
static bool offer(struct pmf_lines *l, struct file *f, const struct pmf_image *im)
{
	if (f->held)
		return true;
	if (l->nr_held >= 2 * FILES_HELD)
		return false;
	f->offered = fcntl(im->fd, F_DUPFD_CLOEXEC, 0);
	f->held = f->offered >= 0;
	l->nr_held += f->held;
	return f->held;
}

static bool ask(struct pmf_lines *l, const struct pmf_image *im, uint64_t rva)
{
	struct file *f = im->id < l->n ? l->files[im->id] : NULL;
	uint64_t hash = pmf_hash_u64(rva);

	if (l->stop || (f && f->hopeless) || (im->fd < 0 && (!f || !f->held)) ||
		(f && pmf_index_find(&f->by_rva, hash, answer_eq, f, &rva) != UINT32_MAX))
		return true;
	while (l->n <= im->id)
		PMF_PUSH(l->files, l->n, l->cap) = NULL;
	if (!f)
		f = l->files[im->id] = file_new(im);
	if (!offer(l, f, im))
		return false;
	pmf_index_add(&f->by_rva, hash, (uint32_t)f->n);
	PMF_PUSH(f->answers, f->n, f->cap) = (struct answer){.rva = rva};
	l->state.asked++;
	pthread_cond_broadcast(&l->work);
	return true;
}

bool pmf_lines_ask(struct pmf_lines *l, const struct pmf_image *im, uint64_t rva)
{
	bool taken;

	if (im->kind != PMF_IMAGE_FILE)
		return true;
	/* Who has the lock may wait for a CPU for long: nobody waits for an idle thread. */
	if (pthread_mutex_trylock(&l->lock))
		return false;
	taken = ask(l, im, rva);
	pthread_mutex_unlock(&l->lock);
	return taken;
}

void pmf_lines_hurry(struct pmf_lines *l)
{
	const struct sched_param none = {.sched_priority = 0};

	pthread_mutex_lock(&l->lock);
	/* It may not have begun, where the machine is busy. */
	if (!l->stop && (!l->tid || sched_setscheduler(l->tid, SCHED_OTHER, &none)))
		take_over(l);
	pthread_mutex_unlock(&l->lock);
}

bool pmf_lines_wait(struct pmf_lines *l, int ms, struct pmf_lines_state *state)
{
	struct timespec until = in_ms(ms);
	bool all;

	pthread_mutex_lock(&l->lock);
	while (!l->stop && l->state.answered < l->state.asked &&
		pthread_cond_timedwait(&l->done, &l->lock, &until) != ETIMEDOUT)
		;
	*state = l->state;
	all = l->stop || state->answered == state->asked;
	pthread_mutex_unlock(&l->lock);
	return all;
}

void pmf_lines_stop(struct pmf_lines *l)
{
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->lock);
}

static const char *string(const struct pmf_lines *l, uint32_t id)
{
	return id ? pmf_strtab_get(&l->strings, id) : NULL;
}

size_t pmf_lines_find(
	const struct pmf_lines *l, uint32_t image, uint64_t rva, struct pmf_line *out, size_t max)
{
	const struct file *f = image < l->n ? l->files[image] : NULL;
	uint32_t i =
		f ? pmf_index_find(&f->by_rva, pmf_hash_u64(rva), answer_eq, f, &rva) : UINT32_MAX;
	size_t n;

	if (i == UINT32_MAX || i >= f->next)
		return 0;
	n = PMF_MIN(f->answers[i].n, max);
	for (size_t k = 0; k < n; k++) {
		const struct place *p = &l->places[f->answers[i].first + k];

		out[k] = (struct pmf_line){.function = string(l, p->function),
			.decl_file = string(l, p->decl_file),
			.decl_line = p->decl_line,
			.file = string(l, p->file),
			.line = p->line};
	}
	return n;
}

struct pmf_lines_file pmf_lines_file(const struct pmf_lines *l, uint32_t image)
{
	return image < l->n && l->files[image]
		       ? l->files[image]->shown
		       : (struct pmf_lines_file){.why = "", .symbols_fd = -1};
}

const char *pmf_lines_server_why(const struct pmf_lines *l)
{
	return l->server_why;
}
