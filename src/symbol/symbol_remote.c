/* Functions that a reader finds. What it answered is kept, so that each address is asked about once, and its
 * end costs no answers but those about the image that it was at. */
#include "reader_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BATCH = 4096 };

struct answer {
	uint64_t rva, start, size;
	const char *name; /* NULL: no function is known there */
};

struct table {
	const struct pmf_image *image;
	uint32_t id;
	uint64_t life; /* of the reader that has it open */
	int added;     /* one more file that may have its .symtab, or -1 */
	struct answer *answers;
	size_t n, cap;
	struct pmf_index by_rva;
	struct pmf_arena names;
	char *why; /* it is read no more: its reader came to an end */
};

struct pmf_symbol_remote {
	struct pmf_reader *reader;
	const struct pmf_debug_dirs *dirs;
	struct table **tables;
	size_t n, cap;
	struct pmf_index by_image;
};

struct pmf_symbol_remote *pmf_symbol_remote_new(
	struct pmf_sandbox *sandbox, const struct pmf_debug_dirs *dirs)
{
	struct pmf_symbol_remote *m = pmf_zalloc(sizeof *m);

	m->reader = pmf_reader_new(sandbox, false);
	m->dirs = dirs;
	pmf_index_init(&m->by_image);
	return m;
}

static void drop_answers(struct table *t)
{
	pmf_index_release(&t->by_rva);
	pmf_arena_release(&t->names);
	free(t->answers);
	pmf_index_init(&t->by_rva);
	pmf_arena_init(&t->names);
	t->answers = NULL;
	t->n = t->cap = 0;
}

void pmf_symbol_remote_free(struct pmf_symbol_remote *m)
{
	if (!m)
		return;
	pmf_reader_free(m->reader);
	for (size_t i = 0; i < m->n; i++) {
		drop_answers(m->tables[i]);
		if (m->tables[i]->added >= 0)
			close(m->tables[i]->added);
		free(m->tables[i]->why);
		free(m->tables[i]);
	}
	free(m->tables);
	pmf_index_release(&m->by_image);
	free(m);
}

static bool image_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_symbol_remote *)ctx)->tables[value]->image == key;
}

static struct table *find_table(const struct pmf_symbol_remote *m, const struct pmf_image *im)
{
	uint32_t i = pmf_index_find(&m->by_image, pmf_hash_u64((uintptr_t)im), image_eq, m, im);

	return i == UINT32_MAX ? NULL : m->tables[i];
}

static struct table *table_of(struct pmf_symbol_remote *m, const struct pmf_image *im)
{
	struct table *t = find_table(m, im);

	if (t)
		return t;
	t = pmf_zalloc(sizeof *t);
	t->image = im;
	t->id = (uint32_t)m->n;
	t->added = -1;
	drop_answers(t);
	pmf_index_add(&m->by_image, pmf_hash_u64((uintptr_t)im), t->id);
	PMF_PUSH(m->tables, m->n, m->cap) = t;
	return t;
}

/* ---- Questions ---- */

static bool ask(struct pmf_symbol_remote *m, struct table *t, struct pmf_reader_question *q,
	struct pmf_dw_cursor *c)
{
	const char *why;

	q->id = t->id;
	q->dirs = m->dirs;
	q->bytes = t->image->file_bytes;
	if (pmf_reader_ask(m->reader, q, c, &why))
		return true;
	free(t->why);
	t->why = pmf_strdup(why);
	t->life = 0;
	return false;
}

/* A vDSO is in memory, and goes as a file. */
static int file_of(const struct pmf_image *im)
{
	int fd;

	if (!im->vdso)
		return fcntl(im->fd, F_DUPFD_CLOEXEC, 0);
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd >= 0 && pwrite(fd, im->vdso, im->file_bytes, 0) == (ssize_t)im->file_bytes)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool open_image(struct pmf_symbol_remote *m, struct table *t)
{
	const struct pmf_image *im = t->image;
	struct pmf_reader_question q = {.what = PMF_READ_SYMBOLS_OPEN, .nr_fds = 1};
	struct pmf_reader_image about = {.path = im->path,
		.file = im->file,
		.root = im->root,
		.build_id = im->build_id,
		.build_id_len = im->build_id_len,
		.bytes = im->file_bytes,
		.is_file = im->kind == PMF_IMAGE_FILE,
		.dirs = *m->dirs};
	uint64_t life = pmf_reader_life(m->reader);
	struct pmf_dw_cursor c;
	struct stat st;
	bool ok;

	if (t->life == life)
		return true;
	q.fds[0] = file_of(im);
	if (q.fds[0] < 0 || fstat(q.fds[0], &st) < 0) {
		if (q.fds[0] >= 0)
			close(q.fds[0]);
		return false;
	}
	q.owner = st.st_uid;
	if (t->added >= 0)
		q.fds[q.nr_fds++] = t->added;
	pmf_reader_put_image(&q.data, &about);
	ok = ask(m, t, &q, &c);
	close(q.fds[0]);
	if (ok)
		t->life = life;
	return ok;
}

static bool answer_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct table *)ctx)->answers[value].rva == *(const uint64_t *)key;
}

static const struct answer *find_answer(const struct table *t, uint64_t rva)
{
	uint32_t i = pmf_index_find(&t->by_rva, pmf_hash_u64(rva), answer_eq, t, &rva);

	return i == UINT32_MAX ? NULL : &t->answers[i];
}

static void store(struct table *t, uint64_t rva, const struct pmf_symbol *sym)
{
	struct answer a = {.rva = rva, .start = sym->start, .size = sym->size};

	if (find_answer(t, rva))
		return;
	if (sym->name)
		a.name = pmf_arena_strndup(&t->names, sym->name, strlen(sym->name));
	pmf_index_add(&t->by_rva, pmf_hash_u64(rva), (uint32_t)t->n);
	PMF_PUSH(t->answers, t->n, t->cap) = a;
}

/* As many of @rvas as one answer tells of; 0 if there is none. */
static size_t ask_batch(
	struct pmf_symbol_remote *m, struct table *t, const uint64_t *rvas, size_t n)
{
	struct pmf_reader_question q = {.what = PMF_READ_SYMBOLS_FIND};
	struct pmf_dw_cursor c;
	struct pmf_symbol sym;
	size_t i;

	if (!open_image(m, t))
		return 0;
	pmf_buf_add(&q.data, rvas, n * sizeof *rvas);
	if (!ask(m, t, &q, &c))
		return 0;
	for (i = 0; i < n && c.at < c.end; i++) {
		pmf_reader_take_symbol(&c, &sym);
		if (c.bad)
			break;
		store(t, rvas[i], &sym);
	}
	/* One that answers like that is not asked about it for each address again. */
	if (i == 0)
		t->why = pmf_strdup("the process that read it gave no answer");
	return i;
}

void pmf_symbol_remote_ask(
	struct pmf_symbol_remote *m, const struct pmf_image *im, const uint64_t *rvas, size_t n)
{
	struct table *t = table_of(m, im);
	uint64_t *new_ones = pmf_calloc(n, sizeof *new_ones);
	size_t nr_new = 0, done = 1;

	for (size_t i = 0; i < n; i++)
		if (!find_answer(t, rvas[i]))
			new_ones[nr_new++] = rvas[i];
	for (size_t i = 0; i < nr_new && done && !t->why; i += done)
		done = ask_batch(m, t, &new_ones[i], PMF_MIN(nr_new - i, (size_t)BATCH));
	free(new_ones);
}

bool pmf_symbol_remote_find(struct pmf_symbol_remote *m, const struct pmf_image *im, uint64_t rva,
	struct pmf_symbol *out)
{
	struct table *t = table_of(m, im);
	const struct answer *a = find_answer(t, rva);

	if (!a && !t->why) {
		ask_batch(m, t, &rva, 1);
		a = find_answer(t, rva);
	}
	if (!a || !a->name)
		return false;
	*out = (struct pmf_symbol){.name = a->name, .start = a->start, .size = a->size};
	return true;
}

bool pmf_symbol_remote_unpack(struct pmf_symbol_remote *m, const struct pmf_image *im,
	const char *name, uint8_t **out, size_t *size)
{
	struct pmf_reader_question q = {.what = PMF_READ_SECTION};
	struct table *t = table_of(m, im);
	struct pmf_dw_cursor c;

	if (t->why || !open_image(m, t))
		return false;
	pmf_reader_put_str(&q.data, name);
	if (!ask(m, t, &q, &c) || c.at == c.end)
		return false;
	*size = (size_t)(c.end - c.at);
	*out = pmf_malloc(*size);
	memcpy(*out, c.at, *size);
	return true;
}

/* ---- Changes ---- */

void pmf_symbol_remote_forget(struct pmf_symbol_remote *m, const struct pmf_image *im)
{
	struct pmf_reader_question q = {.what = PMF_READ_SYMBOLS_CLOSE};
	struct table *t = find_table(m, im);
	struct pmf_dw_cursor c;

	if (!t)
		return;
	if (t->life == pmf_reader_life(m->reader))
		ask(m, t, &q, &c);
	t->life = 0;
	drop_answers(t);
}

void pmf_symbol_remote_add_file(struct pmf_symbol_remote *m, const struct pmf_image *im, int fd)
{
	struct table *t = table_of(m, im);

	if (t->added >= 0)
		return;
	pmf_symbol_remote_forget(m, im);
	t->added = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

const char *pmf_symbol_remote_why(const struct pmf_symbol_remote *m, const struct pmf_image *im)
{
	const struct table *t = find_table(m, im);

	return t && t->why ? t->why : "";
}
