/* Names of generated code: /tmp/perf-PID.map, lines of "START SIZE NAME" with hexadecimal numbers, which
 * a runtime writes when it is asked to (the kernel's tools/perf/Documentation/jit-interface.txt;
 * CPython: -X perf). The file grows while the process runs. */
#include "symbol_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAP_BYTES_MAX = 256 << 20,
	NAME_MAX_BYTES = 4096,
};
#define LOOK_AGAIN_NS UINT64_C(50000000)

struct perf_map {
	pid_t pid;
	uint64_t looked_ns;
	off_t read_bytes; /* of the file, whole lines */
	struct pmf_jit_code {
		uint64_t start, size;
		uint32_t name;
		uint32_t order; /* later ones replace earlier ones */
	} * codes;
	size_t n, cap;
};

struct pmf_perf_maps {
	struct perf_map *maps;
	size_t n, cap;
	struct pmf_strtab names;
	const char *folder;
};

struct pmf_perf_maps *pmf_perf_maps_new(const char *folder)
{
	struct pmf_perf_maps *m = pmf_zalloc(sizeof *m);

	pmf_strtab_init(&m->names);
	m->folder = folder;
	return m;
}

void pmf_perf_maps_free(struct pmf_perf_maps *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->maps[i].codes);
	free(m->maps);
	pmf_strtab_release(&m->names);
	free(m);
}

static int by_start(const void *a, const void *b)
{
	const struct pmf_jit_code *x = a, *y = b;

	if (x->start != y->start)
		return x->start > y->start ? 1 : -1;
	return (x->order < y->order) - (x->order > y->order);
}

static void add_line(struct pmf_perf_maps *m, struct perf_map *map, const char *line, size_t len)
{
	char text[64], *end;
	size_t head = PMF_MIN(len, sizeof text - 1);
	uint64_t start, size;
	const char *name;

	memcpy(text, line, head);
	text[head] = '\0';
	start = strtoull(text, &end, 16);
	if (end == text || *end != ' ')
		return;
	size = strtoull(end + 1, &end, 16);
	if (size == 0 || *end != ' ' || size > UINT64_MAX - start)
		return;
	name = line + (end + 1 - text);
	len -= (size_t)(name - line);
	if (len == 0)
		return;
	PMF_PUSH(map->codes, map->n, map->cap) = (struct pmf_jit_code){.start = start,
		.size = size,
		.name = pmf_strtab_add(&m->names, name, PMF_MIN(len, (size_t)NAME_MAX_BYTES)),
		.order = (uint32_t)map->n};
}

static void read_lines(struct pmf_perf_maps *m, struct perf_map *map, int fd, size_t bytes)
{
	char *text = pmf_malloc(bytes), *at = text, *end;
	ssize_t got = pread(fd, text, bytes, map->read_bytes);

	while (got > 0 && (end = memchr(at, '\n', (size_t)(text + got - at)))) {
		add_line(m, map, at, (size_t)(end - at));
		at = end + 1;
	}
	map->read_bytes += at - text;
	free(text);
	if (map->n)
		qsort(map->codes, map->n, sizeof *map->codes, by_start);
}

/* Read what the file of @map has more than before. Who could write it is its process's owner, or
 * root: names from anybody else are not taken. */
static void look(struct pmf_perf_maps *m, struct perf_map *map)
{
	char *path = pmf_asprintf("%s/perf-%d.map", m->folder, (int)map->pid);
	char *proc = pmf_asprintf("/proc/%d", (int)map->pid);
	struct stat st, owner;
	int fd = pmf_file_open_regular(path, &st);

	if (fd >= 0 && stat(proc, &owner) == 0 && (st.st_uid == 0 || st.st_uid == owner.st_uid) &&
		st.st_size > map->read_bytes && st.st_size <= MAP_BYTES_MAX)
		read_lines(m, map, fd, (size_t)(st.st_size - map->read_bytes));
	if (fd >= 0)
		close(fd);
	free(proc);
	free(path);
}

static struct perf_map *map_of(struct pmf_perf_maps *m, pid_t pid)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->maps[i].pid == pid)
			return &m->maps[i];
	PMF_PUSH(m->maps, m->n, m->cap) = (struct perf_map){.pid = pid};
	return &m->maps[m->n - 1];
}

static const struct pmf_jit_code *find(const struct perf_map *map, uint64_t va)
{
	size_t lo = 0, hi = map->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (map->codes[mid].start <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* Of those that start at one place the newest stands first. */
	while (lo > 1 && map->codes[lo - 2].start == map->codes[lo - 1].start)
		lo--;
	if (lo == 0 || va - map->codes[lo - 1].start >= map->codes[lo - 1].size)
		return NULL;
	return &map->codes[lo - 1];
}

const char *pmf_perf_maps_find(struct pmf_perf_maps *m, pid_t pid, uint64_t va, uint64_t now_ns)
{
	struct perf_map *map = map_of(m, pid);
	const struct pmf_jit_code *code = find(map, va);

	if (!code && now_ns - map->looked_ns >= LOOK_AGAIN_NS) {
		map->looked_ns = now_ns;
		look(m, map);
		code = find(map, va);
	}
	return code ? pmf_strtab_get(&m->names, code->name) : NULL;
}

void pmf_perf_maps_forget(struct pmf_perf_maps *m, pid_t pid)
{
	for (size_t i = m->n; i-- > 0;) {
		if (m->maps[i].pid != pid)
			continue;
		free(m->maps[i].codes);
		m->maps[i] = m->maps[--m->n];
	}
}
