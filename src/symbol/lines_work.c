/* The thread that looks up lines. */
#include "lines_priv.h"

#include "reader_priv.h"

#include "pmuflame/units.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	DWARFS_OPEN = 16, /* their files stay open */
};
#define DWARF_BYTES (UINT64_C(1) << 30) /* of all that are open, unless it is one */

struct thread {
	struct pmf_lines *l;
	unsigned turn;
	bool idle;
};

bool pmf_lines_on_fetch(void *ctx, uint64_t done, uint64_t of)
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
static void keep(
	struct pmf_lines *l, struct pmf_lines_image *f, struct pmf_elf_src *src, const char *path)
{
	f->fd = fcntl(src->fd, F_DUPFD_CLOEXEC, 0);
	f->debug_path = pmf_strtab_get(&l->paths, pmf_strtab_addz(&l->paths, path));
	pmf_elf_src_release(src);
}

int pmf_lines_fetch(struct pmf_lines *l, const struct pmf_lines_image *f, char **path)
{
	*path = NULL;
	return l->servers ? pmf_debuginfod_fetch(l->servers, f->build_id, f->build_id_len, path)
			  : -1;
}

static void fetch(struct pmf_lines *l, struct pmf_lines_image *f, struct pmf_debug_want *want)
{
	struct pmf_elf_src src;
	struct stat st;
	char *path;
	int fd = pmf_lines_fetch(l, f, &path);

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
static void look(struct pmf_lines *l, struct pmf_lines_image *f)
{
	struct pmf_elf_src own, other;
	struct pmf_debug_want want = {.own = &own,
		.file = f->path,
		.mapped = f->mapped,
		.root = f->root,
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
	} else {
		fetch(l, f, &want);
	}
	pmf_elf_src_release(&own);
}

static bool has_dwarf(const struct pmf_lines_image *f)
{
	return f->dwarf || f->life;
}

void pmf_lines_close_dwarf(struct pmf_lines *l, struct pmf_lines_image *f)
{
	if (has_dwarf(f)) {
		l->nr_dwarfs--;
		l->dwarf_bytes -= f->dwarf_bytes;
	}
	if (f->life)
		pmf_lines_remote_close(l, f);
	if (f->dwarf)
		pmf_dwarf_close(f->dwarf);
	f->dwarf = NULL;
	f->dwarf_bytes = 0;
}

void pmf_lines_close_file(struct pmf_lines *l, struct pmf_lines_image *f)
{
	pmf_lines_close_dwarf(l, f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

void pmf_lines_blame(struct pmf_lines *l, struct pmf_lines_image *f, const char *why)
{
	/* Who stopped us reads it without the lock. */
	if (!l->stop)
		snprintf(f->why, sizeof f->why, "%s", why);
}

static void open_dwarf(struct pmf_lines *l, struct pmf_lines_image *f)
{
	struct pmf_err err = PMF_ERR_INIT;

	f->dwarf = pmf_debug_dwarf_open(f->fd, f->debug_path, f->root, &l->dirs, &err);
	l->nr_dwarfs += f->dwarf != NULL;
	if (f->dwarf)
		return;
	pthread_mutex_lock(&l->lock);
	pmf_lines_blame(l, f, err.text);
	pthread_mutex_unlock(&l->lock);
	pmf_lines_close_file(l, f);
}

static size_t find(
	struct pmf_lines *l, struct pmf_lines_image *f, uint64_t rva, struct pmf_line *out)
{
	size_t n;

	if (!f->looked)
		look(l, f);
	f->used = ++l->uses;
	if (!l->inlines && f->fd >= 0)
		pmf_lines_close_file(l, f);
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

void pmf_lines_store(
	struct pmf_lines *l, struct pmf_lines_image *f, const struct pmf_line *lines, size_t n)
{
	struct pmf_lines_answer *a = &f->answers[f->next++];

	a->first = (uint32_t)l->nr_places;
	a->n = l->nr_places + n < UINT32_MAX ? (uint32_t)n : 0;
	for (size_t i = 0; i < a->n; i++)
		PMF_PUSH(l->places, l->nr_places, l->cap_places) = (struct pmf_lines_place){
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
static struct pmf_lines_image *next_file(struct pmf_lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		size_t at = (l->current + i) % l->n;
		struct pmf_lines_image *f = l->files[at];

		if (f && f->next < f->n) {
			l->current = at;
			return f;
		}
	}
	return NULL;
}

/* Under the lock: the file that was not used for longest, of those that have something to close. */
static struct pmf_lines_image *least_used(const struct pmf_lines *l, bool dwarf)
{
	struct pmf_lines_image *least = NULL;

	for (size_t i = 0; i < l->n; i++) {
		struct pmf_lines_image *f = l->files[i];

		if (f && (dwarf ? has_dwarf(f) : f->held && f->next == f->n) &&
			(!least || f->used < least->used))
			least = f;
	}
	return least;
}

/* Under the lock, when nothing is worked on. */
static void make_room(struct pmf_lines *l)
{
	struct pmf_lines_image *f;

	while ((l->nr_dwarfs > DWARFS_OPEN || (l->nr_dwarfs > 1 && l->dwarf_bytes > DWARF_BYTES)) &&
		(f = least_used(l, true)))
		pmf_lines_close_dwarf(l, f);
	while (l->nr_held > PMF_LINES_FILES_HELD && (f = least_used(l, false))) {
		pmf_lines_close_file(l, f);
		f->looked = false;
		f->held = false;
		l->nr_held--;
	}
}

void pmf_lines_destroy(struct pmf_lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct pmf_lines_image *f = l->files[i];

		if (!f)
			continue;
		f->life = 0; /* it goes with its reader */
		pmf_lines_close_file(l, f);
		if (f->offered >= 0)
			close(f->offered);
		if (f->symbols_fd >= 0)
			close(f->symbols_fd);
		pmf_index_release(&f->by_rva);
		free(f->answers);
		free(f->path);
		free(f->mapped);
		free(f->root);
		free(f);
	}
	pmf_reader_free(l->reader);
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
static void answer_one(struct pmf_lines *l, struct pmf_lines_image *f)
{
	struct pmf_line lines[PMF_LINES_DEPTH];
	uint64_t rva = f->answers[f->next].rva;
	size_t n;

	pthread_mutex_unlock(&l->lock);
	n = find(l, f, rva, lines);
	pthread_mutex_lock(&l->lock);
	if (!l->stop)
		pmf_lines_store(l, f, lines, n);
}

/* The same for as many as are answered at once. */
static void answer(struct pmf_lines *l, struct pmf_lines_image *f)
{
	l->busy = f;
	if (f->offered >= 0) {
		f->fd = f->offered;
		f->offered = -1;
	}
	if (l->reader)
		pmf_lines_remote_answer(l, f);
	else
		answer_one(l, f);
	l->busy = NULL;
	make_room(l);
	pthread_cond_broadcast(&l->done);
}

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
		pmf_lines_take_over(l);
	else if (l->turn == t.turn)
		l->tid = gettid();
	while (!l->stop && l->turn == t.turn) {
		struct pmf_lines_image *f = l->busy ? NULL : next_file(l);

		if (f)
			answer(l, f);
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
		pmf_lines_destroy(l);
	return NULL;
}

void pmf_lines_start(struct pmf_lines *l, bool idle)
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

void pmf_lines_take_over(struct pmf_lines *l)
{
	l->turn++;
	pmf_lines_start(l, false);
	pthread_cond_broadcast(&l->work);
}
