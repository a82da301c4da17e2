/* Lines that a reader finds: many addresses of a file at once. What it had open is lost with it, and opened
 * again by the next one, but for the file that it came to its end over. */
#include "lines_priv.h"

#include "reader_priv.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 256 };

static bool ask(struct pmf_lines *l, struct pmf_lines_image *f, struct pmf_reader_question *q,
	struct pmf_dw_cursor *c)
{
	const char *why;

	q->id = f->id;
	q->bytes = f->bytes + f->dwarf_bytes;
	q->dirs = &l->dirs;
	if (pmf_reader_ask(l->reader, q, c, &why))
		return true;
	pthread_mutex_lock(&l->lock);
	pmf_lines_blame(l, f, why);
	pthread_mutex_unlock(&l->lock);
	pmf_lines_close_file(l, f);
	return false;
}

/* Have the debug info of @f opened, which may be in the server's file @fetched. False: there was no answer. */
static bool ask_open(struct pmf_lines *l, struct pmf_lines_image *f, int fetched, const char *path,
	struct pmf_reader_debug *debug)
{
	struct pmf_reader_question q = {.what = PMF_READ_DWARF_OPEN,
		.fds = {f->fd, fetched},
		.nr_fds = fetched < 0 ? 1 : 2};
	struct pmf_reader_image im = {.path = f->mapped,
		.file = f->path,
		.root = f->root,
		.build_id = f->build_id,
		.build_id_len = f->build_id_len,
		.bytes = f->bytes,
		.is_file = true,
		.dwarf = l->inlines,
		.fetched_path = path,
		.dirs = l->dirs};
	struct pmf_dw_cursor c;
	struct stat st;

	q.owner = fstat(f->fd, &st) == 0 ? st.st_uid : (uid_t)-1;
	pmf_reader_put_image(&q.data, &im);
	return ask(l, f, &q, &c) && pmf_reader_take_debug(&c, debug);
}

static void open_debug(struct pmf_lines *l, struct pmf_lines_image *f)
{
	uint64_t life = pmf_reader_life(l->reader);
	struct pmf_reader_debug debug = {0};
	char *path = NULL;
	int fetched = -1;
	bool ok = ask_open(l, f, f->symbols_fd, f->debug_path, &debug);

	if (ok && !debug.found && !debug.why && f->symbols_fd < 0) {
		fetched = pmf_lines_fetch(l, f, &path);
		ok = fetched >= 0 && ask_open(l, f, fetched, path, &debug);
	}
	if (ok && debug.found) {
		f->debug_path = pmf_strtab_get(&l->paths, pmf_strtab_addz(&l->paths, debug.path));
		if (fetched >= 0)
			f->symbols_fd = fcntl(fetched, F_DUPFD_CLOEXEC, 0);
		f->life = life;
		f->dwarf_bytes = debug.bytes;
		l->dwarf_bytes += debug.bytes;
		l->nr_dwarfs++;
	} else if (ok && debug.why) {
		pthread_mutex_lock(&l->lock);
		pmf_lines_blame(l, f, debug.why);
		pthread_mutex_unlock(&l->lock);
	}
	if (!f->life || !l->inlines)
		pmf_lines_close_file(l, f);
	if (fetched >= 0)
		close(fetched);
	free(path);
}

/* Ask for @rvas, of a file that is open; the answers, or a bad cursor. */
static struct pmf_dw_cursor ask_lines(
	struct pmf_lines *l, struct pmf_lines_image *f, const uint64_t *rvas, size_t n)
{
	struct pmf_reader_question q = {.what = PMF_READ_DWARF_FIND};
	struct pmf_dw_cursor c = {.bad = true};

	pmf_buf_add(&q.data, rvas, n * sizeof *rvas);
	if (!ask(l, f, &q, &c))
		return (struct pmf_dw_cursor){.bad = true};
	l->dwarf_bytes -= f->dwarf_bytes;
	f->dwarf_bytes = pmf_dw_uint(&c, 8);
	l->dwarf_bytes += f->dwarf_bytes;
	return c;
}

void pmf_lines_remote_answer(struct pmf_lines *l, struct pmf_lines_image *f)
{
	struct pmf_line lines[PMF_LINES_DEPTH];
	struct pmf_dw_cursor c = {.bad = true};
	uint64_t rvas[BATCH];
	size_t n = PMF_MIN(f->n - f->next, (size_t)BATCH), answered = 0, nr_lines;

	for (size_t i = 0; i < n; i++)
		rvas[i] = f->answers[f->next + i].rva;
	pthread_mutex_unlock(&l->lock);
	f->used = ++l->uses;
	if (f->life && f->life != pmf_reader_life(l->reader))
		pmf_lines_close_dwarf(l, f);
	if (!f->life && f->fd >= 0)
		open_debug(l, f);
	if (f->life)
		c = ask_lines(l, f, rvas, n);
	pthread_mutex_lock(&l->lock);
	for (; !l->stop && answered < n; answered++) {
		nr_lines = pmf_reader_take_lines(&c, lines);
		if (c.bad)
			break;
		pmf_lines_store(l, f, lines, nr_lines);
	}
	if (answered || l->stop)
		return;
	if (f->fd >= 0) {
		pmf_lines_blame(l, f, "the process that read it gave no answer");
		pmf_lines_close_file(l, f);
	}
	pmf_lines_store(l, f, NULL, 0);
}

void pmf_lines_remote_close(struct pmf_lines *l, struct pmf_lines_image *f)
{
	struct pmf_reader_question q = {
		.what = PMF_READ_DWARF_CLOSE, .id = f->id, .bytes = f->bytes};
	struct pmf_dw_cursor c;
	const char *why;

	if (f->life == pmf_reader_life(l->reader))
		pmf_reader_ask(l->reader, &q, &c, &why);
	f->life = 0;
}
