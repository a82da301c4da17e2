/* /tmp/perf-PID.map: lines of "START SIZE NAME" with hexadecimal numbers, which a runtime writes when it
 * is asked to (the kernel's tools/perf/Documentation/jit-interface.txt). It grows while the process runs. */
#include "jit_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CHUNK_BYTES = 1 << 20, /* and the longest line */
	MAP_BYTES_MAX = 256 << 20,
	BAD_MAX = 1000, /* lines, beyond as many good ones */
};

/* A hexadecimal number at *@at that ends in a space; moves *@at behind that. */
static bool take_hex(const char **at, const char *end, uint64_t *out)
{
	const char *p = *at, *first;

	if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		p += 2;
	*out = 0;
	for (first = p; p < end && *p != ' '; p++) {
		int c = *p | 0x20;
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;

		if (digit < 0 || *out >> 60)
			return false;
		*out = *out << 4 | (uint64_t)digit;
	}
	if (p == first || p == end)
		return false;
	*at = p + 1;
	return true;
}

/* False if there is no room for more. */
static bool take_line(struct pmf_perf_map *m, struct pmf_jit_codes *c, uint64_t from_ns,
	const char *line, const char *end)
{
	struct pmf_jit_code code = {.from_ns = from_ns};

	if (!take_hex(&line, end, &code.start) || !take_hex(&line, end, &code.size) ||
		line == end) {
		m->bad++;
		return true;
	}
	m->good++;
	code.name = pmf_jit_codes_name(c, line, (size_t)(end - line));
	return pmf_jit_codes_add(c, &code);
}

static int refuse(struct pmf_perf_map *m, struct pmf_err *err, const char *why)
{
	m->done = true;
	return pmf_err_set(err, PMF_EFORMAT, "%s", why);
}

/* The whole lines of a chunk. */
static int take_lines(struct pmf_perf_map *m, struct pmf_jit_codes *c, uint64_t from_ns,
	const char *text, size_t len, struct pmf_err *err)
{
	const char *at = text, *end;

	while ((end = memchr(at, '\n', len - (size_t)(at - text)))) {
		if (!take_line(m, c, from_ns, at, end))
			return refuse(m, err, "it tells of more code than there is room for here");
		if (m->bad > m->good + BAD_MAX)
			return refuse(m, err, "most of its lines are not START SIZE NAME");
		at = end + 1;
	}
	if (at == text && len == CHUNK_BYTES)
		return refuse(m, err, "it has a line of over a megabyte");
	m->read_bytes += (uint64_t)(at - text);
	return 0;
}

int pmf_perf_map_read(struct pmf_perf_map *m, struct pmf_jit_codes *c, uint64_t from_ns, bool last,
	struct pmf_err *err)
{
	struct stat st;
	uint64_t before;
	char *text;
	ssize_t got;
	int ret = 0;

	if (m->done || m->fd < 0 || fstat(m->fd, &st) < 0)
		return 0;
	text = (uint64_t)st.st_size > m->read_bytes ? pmf_malloc(CHUNK_BYTES) : NULL;
	for (before = UINT64_MAX; text && ret == 0 && before != m->read_bytes;) {
		before = m->read_bytes;
		got = pread(m->fd, text, CHUNK_BYTES, (off_t)m->read_bytes);
		if (got <= 0)
			break;
		ret = take_lines(m, c, from_ns, text, (size_t)got, err);
		if (ret == 0 && m->read_bytes > MAP_BYTES_MAX)
			ret = refuse(
				m, err, "it is larger than 256 MiB: what follows was not read");
	}
	free(text);
	if (ret == 0 && last && m->good == 0 && st.st_size > 0)
		ret = refuse(m, err, "it has no line of START SIZE NAME");
	return ret;
}
