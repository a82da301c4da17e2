/* The process that reads files: the same code as without one, below a socket. */
#include "reader_priv.h"

#include "pmuflame/lines.h"
#include "pmuflame/reader.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	MS_PER_S = 1000,
	US_PER_MS = 1000,
	ANSWER_FULL = PMF_READ_ANSWER_MAX / 2, /* what is not answered is asked again */
	IDS_MAX = 1 << 20,
};

struct entry {
	struct pmf_image *image; /* for symbols */
	struct pmf_dwarf *dwarf;
};

struct reader {
	int fd;
	struct pmf_opener opener;
	struct pmf_symbolizer *symbols;
	struct pmf_strtab strings;
	struct entry *entries; /* by id */
	size_t n, cap;
	struct pmf_buf answer;
};

/* A question that runs out of its CPU time ends the process, by the signal's default. */
static void set_timer(uint32_t ms)
{
	struct itimerval t = {
		.it_value = {.tv_sec = ms / MS_PER_S, .tv_usec = (ms % MS_PER_S) * US_PER_MS}};

	setitimer(ITIMER_PROF, &t, NULL);
}

/* ---- Files that files name ---- */

static int open_wanted(void *ctx, const char *path, struct stat *st)
{
	const struct reader *r = ctx;
	struct pmf_reader_head head = {PMF_READ_WANTED, (uint32_t)strlen(path) + 1, 0, 0};
	size_t nr_fds = 1;
	int fd;

	if (!pmf_sandbox_send(r->fd, &head, sizeof head, NULL, 0) ||
		!pmf_sandbox_send(r->fd, path, head.bytes, NULL, 0) ||
		!pmf_sandbox_recv(r->fd, &head, sizeof head, &fd, &nr_fds))
		_exit(0);
	set_timer(head.cpu_ms);
	if (nr_fds && fstat(fd, st) == 0)
		return fd;
	errno = (int)head.id;
	return -1;
}

static const char *keep(struct reader *r, const char *s)
{
	return s ? pmf_strtab_get(&r->strings, pmf_strtab_addz(&r->strings, s)) : NULL;
}

static struct pmf_debug_dirs keep_dirs(struct reader *r, const struct pmf_debug_dirs *d)
{
	return (struct pmf_debug_dirs){.symfs_root = keep(r, d->symfs_root),
		.root = keep(r, d->root),
		.cache = keep(r, d->cache),
		.opener = &r->opener};
}

/* ---- Functions ---- */

static void close_symbols(struct reader *r, struct entry *e)
{
	if (!e->image)
		return;
	pmf_symbolizer_forget(r->symbols, e->image);
	pmf_image_of_file_free(e->image);
	e->image = NULL;
}

static void open_symbols(struct reader *r, struct entry *e, const struct pmf_reader_image *im,
	int *fds, size_t nr_fds)
{
	struct pmf_debug_dirs dirs = keep_dirs(r, &im->dirs);
	struct pmf_symbol sym;

	close_symbols(r, e);
	e->image = pmf_image_of_file(fds[0], im->bytes);
	fds[0] = -1;
	if (!e->image)
		return;
	e->image->kind = im->is_file ? PMF_IMAGE_FILE : PMF_IMAGE_VDSO;
	e->image->path = keep(r, im->path);
	e->image->file = keep(r, im->file);
	e->image->root = keep(r, im->root);
	pmf_symbolizer_set_dirs(r->symbols, &dirs);
	if (nr_fds > 1)
		pmf_symbolizer_add_file(r->symbols, e->image, fds[1]);
	/* Its tables are read now. */
	pmf_symbol_find(r->symbols, e->image, 0, &sym);
}

static void find_symbols(struct reader *r, struct entry *e, struct pmf_dw_cursor *c)
{
	struct pmf_symbol sym;

	while (c->at < c->end && r->answer.len < ANSWER_FULL) {
		uint64_t rva = pmf_dw_uint(c, 8);
		bool found = e->image && pmf_symbol_find(r->symbols, e->image, rva, &sym);

		pmf_reader_put_symbol(&r->answer, found ? &sym : NULL);
	}
}

static void unpack_section(struct reader *r, const struct entry *e, struct pmf_dw_cursor *c)
{
	const char *name = pmf_reader_take_str(c);
	const uint8_t *bytes = NULL;
	size_t size;

	if (e->image && name)
		bytes = pmf_image_section(e->image, name, &size, NULL);
	if (bytes && size <= PMF_READ_ANSWER_MAX)
		pmf_buf_add(&r->answer, bytes, size);
}

/* ---- Debug info ---- */

static void close_dwarf(struct entry *e)
{
	if (e->dwarf)
		pmf_dwarf_close(e->dwarf);
	e->dwarf = NULL;
}

/* From the image's file to that with its debug info: a server's is taken if it belongs to the image. */
static bool find_debug(const struct pmf_reader_image *im, const struct pmf_debug_dirs *dirs,
	int *fds, size_t nr_fds, struct pmf_elf_src *src, char **path)
{
	struct pmf_elf_src own, other;
	struct pmf_debug_want want = {.own = &own,
		.file = im->file,
		.mapped = im->path,
		.root = im->root,
		.build_id = im->build_id,
		.build_id_len = im->build_id_len,
		.need = im->dwarf ? PMF_DEBUG_DWARF : PMF_DEBUG_SYMBOLS,
		.dirs = dirs};
	struct stat st;
	bool ok = pmf_elf_src_take(&own, fds[0], im->bytes), own_has;

	fds[0] = -1;
	if (!ok)
		return false;
	own_has = nr_fds < 2 && pmf_elf_src_has(&own, want.need);
	if (own_has) {
		*src = own;
		*path = pmf_strdup_or_null(im->file);
		return true;
	}
	if (nr_fds > 1) {
		ok = fstat(fds[1], &st) == 0 &&
		     pmf_elf_src_take(&other, fds[1], (uint64_t)st.st_size);
		fds[1] = -1;
		*path = ok ? pmf_strdup_or_null(im->fetched_path) : NULL;
		if (ok && !pmf_debug_file_fits(&other, &want, NULL)) {
			pmf_elf_src_release(&other);
			ok = false;
		}
	} else {
		ok = pmf_debug_file_open(&other, &want, path);
	}
	pmf_elf_src_release(&own);
	if (ok)
		*src = other;
	return ok;
}

static void open_dwarf(struct reader *r, struct entry *e, const struct pmf_reader_image *im,
	int *fds, size_t nr_fds)
{
	struct pmf_debug_dirs dirs = keep_dirs(r, &im->dirs);
	struct pmf_reader_debug debug = {0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_elf_src src;
	char *path = NULL;
	bool found;

	close_dwarf(e);
	debug.found = found = find_debug(im, &dirs, fds, nr_fds, &src, &path);
	debug.path = path;
	if (found && im->dwarf) {
		e->dwarf = pmf_debug_dwarf_open(src.fd, path, im->root, &dirs, &err);
		debug.found = e->dwarf != NULL;
		debug.why = err.text;
		debug.bytes = e->dwarf ? pmf_dwarf_bytes(e->dwarf) : 0;
	}
	if (found)
		pmf_elf_src_release(&src);
	pmf_reader_put_debug(&r->answer, &debug);
	free(path);
}

static void find_lines(struct reader *r, struct entry *e, struct pmf_dw_cursor *c)
{
	struct pmf_line lines[PMF_LINES_DEPTH];

	pmf_reader_put_u64(&r->answer, 0);
	while (c->at < c->end && r->answer.len < ANSWER_FULL) {
		uint64_t rva = pmf_dw_uint(c, 8);
		size_t n = e->dwarf ? pmf_dwarf_find(e->dwarf, rva, lines, PMF_LINES_DEPTH) : 0;

		pmf_reader_put_lines(&r->answer, lines, n);
	}
	if (e->dwarf) {
		uint64_t bytes = pmf_dwarf_bytes(e->dwarf);

		memcpy(r->answer.data, &bytes, sizeof bytes);
	}
}

/* ---- Questions ---- */

static void answer(struct reader *r, const struct pmf_reader_head *head, struct pmf_dw_cursor *c,
	int *fds, size_t nr_fds)
{
	struct entry *e = &r->entries[head->id];
	struct pmf_reader_image im;

	switch ((enum pmf_reader_what)head->what) {
	case PMF_READ_SYMBOLS_OPEN:
		if (nr_fds && pmf_reader_take_image(c, &im))
			open_symbols(r, e, &im, fds, nr_fds);
		break;
	case PMF_READ_SYMBOLS_FIND:
		find_symbols(r, e, c);
		break;
	case PMF_READ_SYMBOLS_CLOSE:
		close_symbols(r, e);
		break;
	case PMF_READ_DWARF_OPEN:
		if (nr_fds && pmf_reader_take_image(c, &im))
			open_dwarf(r, e, &im, fds, nr_fds);
		break;
	case PMF_READ_DWARF_FIND:
		find_lines(r, e, c);
		break;
	case PMF_READ_DWARF_CLOSE:
		close_dwarf(e);
		break;
	case PMF_READ_SECTION:
		unpack_section(r, e, c);
		break;
	case PMF_READ_ANSWER:
	case PMF_READ_WANTED:
	case PMF_READ_FILE:
		break;
	}
}

static bool serve_one(struct reader *r)
{
	int fds[PMF_SANDBOX_FDS];
	size_t nr_fds = PMF_SANDBOX_FDS;
	struct pmf_reader_head head;
	struct pmf_dw_cursor c;
	uint8_t *data;
	bool ok;

	if (!pmf_sandbox_recv(r->fd, &head, sizeof head, fds, &nr_fds) || head.id >= IDS_MAX ||
		head.bytes > PMF_READ_QUESTION_MAX)
		return false;
	while (r->n <= head.id)
		PMF_PUSH(r->entries, r->n, r->cap) = (struct entry){0};
	data = pmf_malloc(head.bytes);
	ok = pmf_sandbox_recv(r->fd, data, head.bytes, NULL, NULL);
	if (ok) {
		c = (struct pmf_dw_cursor){data, data + head.bytes, false};
		pmf_buf_clear(&r->answer);
		set_timer(head.cpu_ms);
		answer(r, &head, &c, fds, nr_fds);
		set_timer(0);
		head = (struct pmf_reader_head){
			.what = PMF_READ_ANSWER, .bytes = (uint32_t)r->answer.len};
		ok = pmf_sandbox_send(r->fd, &head, sizeof head, NULL, 0) &&
		     pmf_sandbox_send(r->fd, r->answer.data, r->answer.len, NULL, 0);
	}
	free(data);
	for (size_t i = 0; i < nr_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return ok;
}

void pmf_reader_serve(int fd)
{
	struct reader r = {.fd = fd, .symbols = pmf_symbolizer_new()};

	r.opener = (struct pmf_opener){open_wanted, &r};
	pmf_strtab_init(&r.strings);
	while (serve_one(&r))
		;
}
