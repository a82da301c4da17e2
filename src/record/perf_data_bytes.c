/* The bytes of a recording: a regular file is mapped, a stream is read into chunks that live as long
 * as a record in them is waiting. */
#include "perf_data_priv.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pages of a mapped file count as this process's memory once they were read, until they are given
 * back. Reading them again costs a page fault each, not a read from the disk. */
enum { TOUCH_BYTES = 16 << 20 };

static struct pmf_pd_chunk *add_chunk(struct pmf_perf_data *pd, uint8_t *data, size_t cap)
{
	struct pmf_pd_chunk *c = pmf_zalloc(sizeof *c);

	c->data = data;
	c->cap = cap;
	c->base = pd->next_base;
	pd->next_base += cap;
	PMF_PUSH(pd->chunks, pd->nr_chunks, pd->cap_chunks) = c;
	return c;
}

static size_t chunk_place(const struct pmf_perf_data *pd, uint64_t pos)
{
	size_t lo = 0, hi = pd->nr_chunks;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (pd->chunks[mid]->base <= pos)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

struct pmf_pd_chunk *pmf_pd_chunk_at(const struct pmf_perf_data *pd, uint64_t pos)
{
	return pd->chunks[chunk_place(pd, pos)];
}

static void free_chunk(struct pmf_pd_chunk *c)
{
	if (c->mapped)
		munmap(c->data, c->cap);
	else
		free(c->data);
	free(c);
}

static void drop_if_done(struct pmf_perf_data *pd, struct pmf_pd_chunk *c)
{
	size_t i;

	if (c->waiting || c->mapped || c == pd->input.chunk || c == pd->unpacked.chunk)
		return;
	i = chunk_place(pd, c->base);
	pd->nr_chunks--;
	memmove(&pd->chunks[i], &pd->chunks[i + 1], (pd->nr_chunks - i) * sizeof pd->chunks[i]);
	pd->held_bytes -= c->cap;
	free_chunk(c);
}

void pmf_pd_chunk_leave(struct pmf_perf_data *pd, struct pmf_pd_chunk *chunk)
{
	chunk->waiting--;
	drop_if_done(pd, chunk);
}

uint8_t *pmf_pd_room(struct pmf_perf_data *pd, struct pmf_pd_stream *s, size_t min, size_t *room)
{
	struct pmf_pd_chunk *old = s->chunk;

	if (!old || old->cap - old->len < min) {
		size_t left = old ? old->len - s->at : 0,
		       cap = PMF_MAX((size_t)PMF_PD_CHUNK_BYTES, left + min);

		s->chunk = add_chunk(pd, pmf_malloc(cap), cap);
		pd->held_bytes += cap;
		if (old) {
			memcpy(s->chunk->data, old->data + s->at, left);
			drop_if_done(pd, old);
		}
		s->chunk->len = left;
		s->at = 0;
	}
	*room = s->chunk->cap - s->chunk->len;
	return s->chunk->data + s->chunk->len;
}

void pmf_pd_touch(struct pmf_perf_data *pd, const struct pmf_pd_chunk *chunk, size_t bytes)
{
	if (!chunk->mapped)
		return;
	pd->touched_bytes += bytes;
	if (pd->touched_bytes < TOUCH_BYTES)
		return;
	pd->touched_bytes = 0;
	madvise(chunk->data, chunk->cap, MADV_DONTNEED);
}

static int map_file(struct pmf_perf_data *pd, int fd, size_t size, struct pmf_err *err)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot map '%s'", pd->name);
	pd->input.chunk = add_chunk(pd, p, size);
	pd->input.chunk->mapped = true;
	pd->input.chunk->len = size;
	pd->input.at = 0;
	return 0;
}

int pmf_pd_input_open(struct pmf_perf_data *pd, const void *head, size_t len, struct pmf_err *err)
{
	struct stat st;
	size_t room;

	if (fstat(pd->fd, &st) < 0)
		return pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", pd->name);
	if (S_ISDIR(st.st_mode))
		return pmf_err_set(err, PMF_EUNSUP,
			"'%s' is a folder, as 'perf record --threads' makes it: record without "
			"--threads",
			pd->name);
	if (S_ISREG(st.st_mode) && st.st_size > 0)
		return map_file(pd, pd->fd, (size_t)st.st_size, err);
	if (len)
		memcpy(pmf_pd_room(pd, &pd->input, len, &room), head, len);
	else
		pmf_pd_room(pd, &pd->input, 1, &room);
	pd->input.chunk->len = len;
	return 0;
}

bool pmf_pd_input_more(struct pmf_perf_data *pd)
{
	size_t room;
	uint8_t *p;
	ssize_t n;

	if (pd->input.chunk->mapped)
		return false;
	p = pmf_pd_room(pd, &pd->input, PMF_PD_RECORD_MAX, &room);
	do
		n = read(pd->fd, p, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		pmf_err_errno(&pd->damage.stopped, PMF_EIO, errno, "cannot read '%s'", pd->name);
	if (n <= 0)
		return false;
	pd->input.chunk->len += (size_t)n;
	return true;
}

int pmf_pd_input_spool(struct pmf_perf_data *pd, struct pmf_err *err)
{
	struct pmf_pd_stream *in = &pd->input;
	FILE *f = tmpfile();
	size_t size = 0;
	bool ok;
	int ret;

	if (!f)
		return pmf_err_errno(
			err, PMF_EIO, errno, "cannot make a temporary file for '%s'", pd->name);
	do {
		size_t n = in->chunk->len - in->at;

		ok = fwrite(in->chunk->data + in->at, 1, n, f) == n;
		size += n;
		in->at = in->chunk->len;
	} while (ok && pmf_pd_input_more(pd));
	ok = ok && fflush(f) == 0;
	if (pd->damage.stopped.status)
		ret = pmf_err_set(err, PMF_EIO, "%s", pd->damage.stopped.text);
	else if (!ok)
		ret = pmf_err_errno(err, PMF_EIO, errno,
			"cannot copy '%s' to a temporary file, which its format needs: give it as "
			"a file",
			pd->name);
	else
		ret = map_file(pd, fileno(f), size, err);
	fclose(f);
	return ret;
}

void pmf_pd_bytes_release(struct pmf_perf_data *pd)
{
	for (size_t i = 0; i < pd->nr_chunks; i++)
		free_chunk(pd->chunks[i]);
	free(pd->chunks);
}
