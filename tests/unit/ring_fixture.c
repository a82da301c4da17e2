#include "ring_fixture.h"

#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_MAX_BYTES = 16 << 20 };

void ring_fixture_release(struct ring_fixture *f)
{
	for (size_t i = 0; i < f->nr_rings; i++)
		free((void *)f->rings[i].data);
	free(f->rings);
	free(f->ptrs);
	free(f->cpus);
	pmf_layouts_release(&f->layouts);
	memset(f, 0, sizeof *f);
}

static bool add_layout(struct ring_fixture *f, const char *line)
{
	struct pmf_layout l = {.event = PMF_NO_EVENT};
	char event[16];

	if (sscanf(line, "layout %" SCNu64 " %15s %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNu64,
		    &l.id, event, &l.sample_type, &l.read_format, &l.regs_user, &l.period) != 6)
		return false;
	if (strcmp(event, "-") != 0) {
		l.event = (uint32_t)strtoul(event, NULL, 10);
		if (l.event >= f->nr_events)
			return false;
	}
	pmf_layouts_add(&f->layouts, &l);
	return true;
}

/* The ring's bytes follow at @bytes; *used gets how many of them belong to it. */
static bool add_ring(
	struct ring_fixture *f, const char *line, const char *bytes, size_t left, size_t *used)
{
	struct pmf_ring *r;
	uint32_t cpu;
	size_t n, size = 8;
	uint8_t *data;

	if (sscanf(line, "ring %" SCNu32 " %zu", &cpu, &n) != 2 || n >= left || bytes[n] != '\n')
		return false;
	while (size < n)
		size *= 2;
	data = pmf_zalloc(size);
	memcpy(data, bytes, n);
	f->cpus = pmf_reallocarray(f->cpus, f->nr_rings + 1, sizeof *f->cpus);
	f->cpus[f->nr_rings] = cpu;
	r = &PMF_PUSH(f->rings, f->nr_rings, f->cap_rings);
	*r = (struct pmf_ring){.data = data, .size = size, .head = n};
	*used = n + 1;
	return true;
}

static bool add_line(struct ring_fixture *f, const char *line)
{
	unsigned nr;

	if (f->nr_events < RING_FIXTURE_EVENTS &&
		sscanf(line, "event %u %63s", &nr, f->events[f->nr_events]) == 2)
		return nr == f->nr_events++;
	return strcmp(line, "pmuflame-ring 1") == 0 || sscanf(line, "arch %63s", f->arch) == 1 ||
	       sscanf(line, "command %255[^\n]", f->command) == 1 || add_layout(f, line);
}

static int load(struct ring_fixture *f, const char *path, struct pmf_buf *b, struct pmf_err *err)
{
	size_t at = 0;

	while (at < b->len) {
		char *line = b->data + at, *end = memchr(line, '\n', b->len - at);
		size_t used = 0;

		if (!end)
			break;
		*end = '\0';
		at += (size_t)(end - line) + 1;
		if (strcmp(line, "end") == 0 && at == b->len)
			return 0;
		if (!add_ring(f, line, b->data + at, b->len - at, &used) && !add_line(f, line))
			return pmf_err_set(err, PMF_EFORMAT,
				"'%s' has a line that is not understood: '%.80s'", path, line);
		at += used;
	}
	return pmf_err_set(err, PMF_EFORMAT, "'%s' ends early", path);
}

int ring_fixture_load(struct ring_fixture *f, const char *path, struct pmf_err *err)
{
	struct pmf_buf b = PMF_BUF_INIT;
	int ret;

	memset(f, 0, sizeof *f);
	ret = pmf_file_read(path, FIXTURE_MAX_BYTES, &b, err);
	if (ret == 0)
		ret = load(f, path, &b, err);
	pmf_buf_release(&b);
	if (ret) {
		ring_fixture_release(f);
		return ret;
	}
	pmf_layouts_seal(&f->layouts);
	f->ptrs = pmf_calloc(f->nr_rings, sizeof *f->ptrs);
	for (size_t i = 0; i < f->nr_rings; i++)
		f->ptrs[i] = &f->rings[i];
	return 0;
}
