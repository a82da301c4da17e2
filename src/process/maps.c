/* One address space: executable mappings in order of address, and /proc/PID/maps where the records
 * leave a gap. */
#include "process_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define REREAD_EVERY_NS UINT64_C(100000000)

/* The first mapping that ends above @va. */
static size_t first_above(const struct pmf_process *p, uint64_t va)
{
	size_t lo = 0, hi = p->nr_maps;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->maps[mid].end > va)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

const struct pmf_map *pmf_process_map(const struct pmf_process *p, uint64_t va)
{
	size_t i = first_above(p, va);

	return i < p->nr_maps && p->maps[i].start <= va ? &p->maps[i] : NULL;
}

/* Bytes that the file ranges [a, a + a_len) and [b, b + b_len) share. */
static uint64_t overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	uint64_t from = PMF_MAX(a, b), to = PMF_MIN(a + a_len, b + b_len);

	return to > from ? to - from : 0;
}

/* The segment that a mapping of @len bytes at file offset @pgoff shows: the mapping is rounded to
 * pages, so its ends may show bytes of the neighbours too; an executable segment wins, then the
 * larger share. */
static const struct pmf_segment *segment_of(
	const struct pmf_image *im, uint64_t pgoff, uint64_t len)
{
	const struct pmf_segment *best = NULL;
	uint64_t best_share = 0;

	for (size_t i = 0; i < im->nr_segments; i++) {
		const struct pmf_segment *s = &im->segments[i];
		uint64_t share = overlap(pgoff, len, s->off, s->filesz);
		bool exec = s->flags & PF_X;

		if (!share || (best && (best->flags & PF_X) && !exec))
			continue;
		if (!best || (exec && !(best->flags & PF_X)) || share > best_share) {
			best = s;
			best_share = share;
		}
	}
	return best;
}

static uint64_t bias_of(const struct pmf_image *im, uint64_t start, uint64_t pgoff, uint64_t len)
{
	const struct pmf_segment *s;

	if (im->kind == PMF_IMAGE_ANON || im->kind == PMF_IMAGE_KERNEL)
		return 0;
	s = segment_of(im, pgoff, len);
	/* Without a segment the file is no ELF: addresses in it are offsets. */
	return start - pgoff + (s ? s->off - s->va : 0);
}

struct pmf_map pmf_map_make(struct pmf_image *im, uint64_t start, uint64_t end, uint64_t pgoff)
{
	return (struct pmf_map){
		.start = start,
		.end = end,
		.pgoff = pgoff,
		.image = im,
		.bias = bias_of(im, start, pgoff, end - start),
	};
}

void pmf_maps_insert(struct pmf_process *p, const struct pmf_map *m)
{
	size_t first = first_above(p, m->start), last = first, nr_keep = 0, nr_new;
	struct pmf_map keep[3]; /* what replaces [first, last): a head, the new one, a tail */

	while (last < p->nr_maps && p->maps[last].start < m->end)
		last++;
	if (last > first && p->maps[first].start < m->start) {
		keep[nr_keep] = p->maps[first];
		keep[nr_keep++].end = m->start;
	}
	keep[nr_keep++] = *m;
	if (last > first && p->maps[last - 1].end > m->end) {
		keep[nr_keep] = p->maps[last - 1];
		keep[nr_keep].pgoff += m->end - keep[nr_keep].start;
		keep[nr_keep++].start = m->end;
	}
	nr_new = p->nr_maps - (last - first) + nr_keep;
	if (nr_new > PMF_MAPS_MAX && nr_new > p->nr_maps) {
		p->maps_incomplete = true;
		return;
	}
	p->maps = pmf_grow(p->maps, &p->cap_maps, nr_new, sizeof *p->maps);
	memmove(p->maps + first + nr_keep, p->maps + last, (p->nr_maps - last) * sizeof *p->maps);
	memcpy(p->maps + first, keep, nr_keep * sizeof *keep);
	p->nr_maps = nr_new;
	p->maps_generation++;
}

void pmf_maps_clear(struct pmf_process *p)
{
	p->nr_maps = 0;
	p->maps_generation++;
}

/* A number of @base digits at *@s that ends at @stop; moves *@s behind it. */
static bool take_number(char **s, int base, char stop, uint64_t *out)
{
	uint64_t n = 0;
	const char *from = *s;

	for (; isxdigit((unsigned char)**s); (*s)++) {
		int c = tolower((unsigned char)**s);
		int digit = c >= 'a' ? c - 'a' + 10 : c - '0';

		if (digit >= base || n > (UINT64_MAX - (uint64_t)digit) / (uint64_t)base)
			return false;
		n = n * (uint64_t)base + (uint64_t)digit;
	}
	if (*s == from || **s != stop)
		return false;
	(*s)++;
	*out = n;
	return true;
}

/* One line of proc_pid_maps(5): "start-end perms offset major:minor inode   path". */
bool pmf_maps_parse_line(char *line, struct pmf_maps_line *out)
{
	uint64_t major, minor;
	char *s = line;

	if (!take_number(&s, 16, '-', &out->start) || !take_number(&s, 16, ' ', &out->end) ||
		out->end <= out->start || strlen(s) < 5 || s[4] != ' ')
		return false;
	out->exec = s[2] == 'x';
	s += 5;
	if (!take_number(&s, 16, ' ', &out->pgoff) || !take_number(&s, 16, ':', &major) ||
		!take_number(&s, 16, ' ', &minor) || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	out->dev = makedev((unsigned)major, (unsigned)minor);
	/* The inode is padded up to the path; a line without a path may end behind it. */
	if (!take_number(&s, 10, ' ', &out->ino)) {
		if (*s != '\0')
			return false;
	}
	out->path = s + strspn(s, " ");
	return true;
}

void pmf_maps_unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		bool newline = strncmp(from, "\\012", 4) == 0;

		*to = newline ? '\n' : *from;
		from += newline ? 4 : 1;
	}
	*to = '\0';
}

static void add_line(struct pmf_process_table *t, struct pmf_process *fresh,
	const struct pmf_process *old, struct pmf_maps_line *l)
{
	const struct pmf_map *had = pmf_process_map(old, l->start);
	const char *path = l->path[0] ? l->path : "//anon"; /* as MMAP2 records name it */
	struct pmf_image *im;
	struct pmf_map m;

	pmf_maps_unescape(l->path);
	if (had && had->start == l->start && had->end == l->end && had->pgoff == l->pgoff &&
		strcmp(had->image->path, path) == 0 &&
		(!had->image->ino || !l->ino || had->image->ino == l->ino)) {
		/* Known already, by a record that may have told the build id too. */
		m = *had;
	} else {
		im = pmf_image_get(t, path, l->dev, l->ino, NULL, 0, old->pid, l->start, l->end);
		m = pmf_map_make(im, l->start, l->end, l->pgoff);
		m.from_proc = true;
	}
	pmf_maps_insert(fresh, &m);
}

static bool same_maps(const struct pmf_process *a, const struct pmf_process *b)
{
	if (a->nr_maps != b->nr_maps)
		return false;
	for (size_t i = 0; i < a->nr_maps; i++)
		if (a->maps[i].start != b->maps[i].start || a->maps[i].end != b->maps[i].end ||
			a->maps[i].pgoff != b->maps[i].pgoff ||
			a->maps[i].image != b->maps[i].image)
			return false;
	return true;
}

int pmf_process_reread(struct pmf_process_table *t, struct pmf_process *p, struct pmf_err *err)
{
	char path[64], *save = NULL;
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_process fresh = {.pid = p->pid};
	struct pmf_maps_line l;
	int ret;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)p->pid);
	ret = pmf_file_read(path, PMF_PROC_MAPS_MAX, &b, err);
	/* A zombie's and a kernel thread's file is empty; that is no news about its code. */
	if (ret == 0 && b.len == 0)
		ret = pmf_err_set(err, PMF_ENOTFOUND, "process %d has no mappings", (int)p->pid);
	if (ret)
		goto out;
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!pmf_maps_parse_line(line, &l)) {
			ret = pmf_err_set(
				err, PMF_EFORMAT, "'%s' has a line that is no mapping", path);
			goto out;
		}
		if (l.exec)
			add_line(t, &fresh, p, &l);
	}
	t->maps_reread++;
	p->maps_incomplete = false;
	if (!same_maps(p, &fresh)) {
		free(p->maps);
		p->maps = fresh.maps;
		p->nr_maps = fresh.nr_maps;
		p->cap_maps = fresh.cap_maps;
		p->maps_generation++;
		fresh.maps = NULL;
	}
out:
	free(fresh.maps);
	pmf_buf_release(&b);
	return ret;
}

uint64_t pmf_process_stack_end(pid_t pid, uint64_t sp)
{
	char path[64], *save = NULL;
	struct pmf_buf b = PMF_BUF_INIT;
	struct pmf_maps_line l;
	uint64_t end = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	if (pmf_file_read(path, PMF_PROC_MAPS_MAX, &b, NULL) == 0 && b.len)
		for (char *line = strtok_r(b.data, "\n", &save); line && !end;
			line = strtok_r(NULL, "\n", &save))
			if (pmf_maps_parse_line(line, &l) && l.start <= sp && sp < l.end)
				end = l.ino ? 1 : l.end; /* 1: a file's, which ends the search */
	pmf_buf_release(&b);
	return end > 1 ? end : 0;
}

void pmf_process_refresh(struct pmf_process_table *t, struct pmf_process *p, uint64_t now_ns)
{
	if (!p->maps_incomplete || !t->live || p->exited || p->pid <= 0)
		return;
	/* reread_ns 0: never yet. A clock that starts at 0 does not matter for long. */
	if (p->reread_ns && now_ns - p->reread_ns < REREAD_EVERY_NS)
		return;
	p->reread_ns = now_ns;
	/* A file that is gone tells nothing the next time either; a new gap asks again. */
	p->maps_incomplete = false;
	pmf_process_reread(t, p, NULL);
}

const struct pmf_map *pmf_process_map_or_reread(
	struct pmf_process_table *t, struct pmf_process *p, uint64_t va, uint64_t now_ns)
{
	const struct pmf_map *m = pmf_process_map(p, va);

	if (m)
		return m;
	p->maps_incomplete = true;
	pmf_process_refresh(t, p, now_ns);
	return pmf_process_map(p, va);
}
