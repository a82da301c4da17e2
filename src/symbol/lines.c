/* Questions about lines, and the answers that the thread found. */
#include "lines_priv.h"

#include "reader_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

enum {
	LEAVE_MS = 200,
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
};

struct pmf_lines *pmf_lines_new(
	const struct pmf_image_search *search, bool inlines, struct pmf_sandbox *sandbox)
{
	struct pmf_lines *l = pmf_zalloc(sizeof *l);
	pthread_condattr_t attr;

	l->servers = pmf_debuginfod_new(pmf_lines_on_fetch, l);
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
	l->dirs = (struct pmf_debug_dirs){l->symfs_root, l->root, l->cache, NULL};
	if (sandbox)
		l->reader = pmf_reader_new(sandbox, true);
	pthread_mutex_lock(&l->lock);
	pmf_lines_start(l, !sandbox);
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
	if (l->reader)
		pmf_reader_cancel(l->reader);
	/* A reader's end is soon noticed, and what it takes may not be there for longer. */
	while (l->nr_threads && l->reader)
		pthread_cond_wait(&l->done, &l->lock);
	while (l->nr_threads && pthread_cond_timedwait(&l->done, &l->lock, &until) != ETIMEDOUT)
		;
	left = l->nr_threads == 0;
	l->orphan = true;
	pthread_mutex_unlock(&l->lock);
	if (left)
		pmf_lines_destroy(l);
}

static bool answer_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_lines_image *)ctx)->answers[value].rva == *(const uint64_t *)key;
}

static struct pmf_lines_image *file_new(const struct pmf_image *im)
{
	struct pmf_lines_image *f = pmf_zalloc(sizeof *f);

	f->id = im->id;
	f->path = pmf_strdup(im->file ? im->file : im->path);
	f->mapped = pmf_strdup(im->path);
	f->root = pmf_strdup_or_null(im->root);
	memcpy(f->build_id, im->build_id, sizeof f->build_id);
	f->build_id_len = im->build_id_len;
	f->bytes = im->file_bytes;
	f->offered = f->fd = f->symbols_fd = f->shown.symbols_fd = -1;
	f->shown.why = "";
	pmf_index_init(&f->by_rva);
	return f;
}

/* Give the thread a descriptor of @im's file, if it has none; false if it has too many. */
static bool offer(struct pmf_lines *l, struct pmf_lines_image *f, const struct pmf_image *im)
{
	if (f->held)
		return true;
	if (l->nr_held >= 2 * PMF_LINES_FILES_HELD)
		return false;
	f->offered = fcntl(im->fd, F_DUPFD_CLOEXEC, 0);
	f->held = f->offered >= 0;
	l->nr_held += f->held;
	return f->held;
}

static bool ask(struct pmf_lines *l, const struct pmf_image *im, uint64_t rva)
{
	struct pmf_lines_image *f = im->id < l->n ? l->files[im->id] : NULL;
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
	PMF_PUSH(f->answers, f->n, f->cap) = (struct pmf_lines_answer){.rva = rva};
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

	if (l->reader) {
		pmf_reader_hurry(l->reader);
		return;
	}
	pthread_mutex_lock(&l->lock);
	/* It may not have begun, where the machine is busy. */
	if (!l->stop && (!l->tid || sched_setscheduler(l->tid, SCHED_OTHER, &none)))
		pmf_lines_take_over(l);
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
	const struct pmf_lines_image *f = image < l->n ? l->files[image] : NULL;
	uint32_t i =
		f ? pmf_index_find(&f->by_rva, pmf_hash_u64(rva), answer_eq, f, &rva) : UINT32_MAX;
	size_t n;

	if (i == UINT32_MAX || i >= f->next)
		return 0;
	n = PMF_MIN(f->answers[i].n, max);
	for (size_t k = 0; k < n; k++) {
		const struct pmf_lines_place *p = &l->places[f->answers[i].first + k];

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
