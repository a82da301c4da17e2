/* jit-PID.dump: records of code that was loaded, moved, of its source lines and how to unwind it (the
 * kernel's tools/perf/Documentation/jitdump-specification.txt). It grows while the process runs, in pieces
 * that need not end where records do. */
#include "jit_priv.h"

#include "pmuflame/file.h"
#include <byteswap.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HEADER_BYTES = 40,
	PREFIX_BYTES = 16,
	LOAD_BYTES = 40, /* behind the prefix: pid, tid, vma, address, size, index */
	MOVE_BYTES = 48,
	UNWINDING_BYTES = 24, /* sizes: of both sections, of .eh_frame_hdr, of what was mapped */
	WINDOW_BYTES = 64 << 10,
	NAME_BYTES = 4097,
	LINES_BYTES_MAX = 16 << 20, /* of one piece of code */
	MOVES_MAX = 1 << 17,        /* each searches what is known */
	CODE_LOAD = 0,
	CODE_MOVE = 1,
	CODE_DEBUG_INFO = 2,
	CODE_UNWINDING_INFO = 4,
	ARCH_TIMESTAMP = 1,
	ELF_HEADER_BYTES = 0x40,
};
#define MAGIC 0x4a695444u
#define FILE_BYTES_MAX (UINT64_C(2) << 30)
#define RECORD_BYTES_MAX (UINT32_C(1) << 30)

static uint32_t u32(const struct pmf_jitdump *d, const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof n);
	return d->swapped ? bswap_32(n) : n;
}

static uint64_t u64(const struct pmf_jitdump *d, const uint8_t *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof n);
	return d->swapped ? bswap_64(n) : n;
}

void pmf_jitdump_release(struct pmf_jitdump *d)
{
	free(d->lines);
	free(d->window);
}

/* Up to @max bytes (a window's at most) of the file from @off on, *@n of them; valid until the next call. */
static const uint8_t *bytes_at(struct pmf_jitdump *d, uint64_t off, size_t max, size_t *n)
{
	uint64_t in = off - d->window_at;

	if (off < d->window_at || in > d->window_bytes || d->window_bytes - in < max) {
		ssize_t got;

		if (!d->window)
			d->window = pmf_malloc(WINDOW_BYTES);
		got = pread(d->fd, d->window, WINDOW_BYTES, (off_t)off);
		d->window_at = off;
		d->window_bytes = got > 0 ? (size_t)got : 0;
		in = 0;
	}
	*n = PMF_MIN(d->window_bytes - (size_t)in, max);
	return d->window + in;
}

static int refuse(struct pmf_jitdump *d, struct pmf_err *err, const char *why)
{
	d->done = true;
	return pmf_err_set(err, PMF_EFORMAT, "%s", why);
}

/* 1: it is there and good; 0: not there yet. */
static int take_header(struct pmf_jitdump *d, struct pmf_err *err)
{
	size_t n;
	const uint8_t *p = bytes_at(d, 0, HEADER_BYTES, &n);
	uint32_t bytes;

	if (n < HEADER_BYTES)
		return 0;
	d->swapped = u32(d, p) == bswap_32(MAGIC);
	if (u32(d, p) != MAGIC)
		return refuse(d, err, "it is no jitdump file");
	if (u32(d, p + 4) != 1)
		return refuse(d, err, "its version is not 1");
	if (u64(d, p + 32) & ARCH_TIMESTAMP)
		return refuse(d, err,
			"its times are the processor's own (arch_timestamp), not CLOCK_MONOTONIC's");
	bytes = u32(d, p + 8);
	if (bytes < HEADER_BYTES || bytes > WINDOW_BYTES)
		return refuse(d, err, "its header has an impossible size");
	d->at = bytes;
	return 1;
}

/* The string at @off, which ends before @end, as a name; *@next is where the next one stands. */
static uint32_t name_at(
	struct pmf_jitdump *d, struct pmf_jit_codes *c, uint64_t off, uint64_t end, uint64_t *next)
{
	size_t n;
	const char *p =
		(const char *)bytes_at(d, off, PMF_MIN(end - off, (uint64_t)NAME_BYTES), &n);
	size_t len = strnlen(p, n);

	*next = len < n ? off + len + 1 : end;
	return pmf_jit_codes_name(c, p, len);
}

/* Lines come in front of their code. Entries: address, line, discriminator, file name; "\xff" is the name
 * before. */
static void take_lines(struct pmf_jitdump *d, struct pmf_jit_codes *c, uint64_t off, uint64_t end)
{
	size_t n;
	const uint8_t *p = bytes_at(d, off, 16, &n);
	uint64_t entries, last_va = 0;
	uint32_t file = 0;

	d->nr_lines = 0;
	if (n < 16 || end - off > LINES_BYTES_MAX)
		return;
	d->lines_va = u64(d, p);
	entries = u64(d, p + 8);
	for (off += 16; entries > 0 && end - off > 16; entries--) {
		struct pmf_jit_line line;
		uint64_t va;

		p = bytes_at(d, off, 18, &n);
		if (n < 17)
			return;
		va = u64(d, p);
		line.off = (uint32_t)(va - d->lines_va);
		line.line = u32(d, p + 8);
		if (n == 18 && end - off >= 18 && p[16] == 0xff && p[17] == 0)
			off += 18;
		else
			file = name_at(d, c, off + 16, end, &off);
		line.file = file;
		/* Compilers tell them in order, and only so are they of use. */
		if (va < d->lines_va || va - d->lines_va > UINT32_MAX || va < last_va)
			continue;
		last_va = va;
		PMF_PUSH(d->lines, d->nr_lines, d->cap_lines) = line;
	}
}

/* Comes in front of its code, too: .eh_frame, and .eh_frame_hdr behind it, which is of no use for one FDE.
 * Where V8 knows nothing, there is no .eh_frame in front. */
static void take_unwinding(
	struct pmf_jitdump *d, struct pmf_jit_codes *c, uint64_t off, uint64_t end)
{
	size_t n;
	const uint8_t *p = bytes_at(d, off, UNWINDING_BYTES, &n);
	uint64_t both, hdr;

	d->eh_frame_size = 0;
	if (n < UNWINDING_BYTES)
		return;
	both = u64(d, p);
	hdr = u64(d, p + 8);
	off += UNWINDING_BYTES;
	/* Nobody unwinds code of the other byte order. */
	if (d->swapped || both > end - off || hdr > both || both - hdr > WINDOW_BYTES)
		return;
	p = bytes_at(d, off, (size_t)(both - hdr), &n);
	if (n < both - hdr)
		return;
	d->eh_frame_size = (uint32_t)n;
	d->eh_frame_at = pmf_jit_codes_eh_frame(c, p, &d->eh_frame_size);
}

/* V8 tells the lines' addresses higher by the ELF header's size, for `perf inject` puts one in front. */
static uint32_t line_shift(const struct pmf_jit_codes *c, const struct pmf_jit_code *code)
{
	return pmf_jit_v8_function(pmf_strtab_get(&c->names, code->name)) ? ELF_HEADER_BYTES : 0;
}

static bool take_load(struct pmf_jitdump *d, struct pmf_jit_codes *c, uint64_t from_ns,
	uint64_t off, uint64_t end)
{
	size_t n;
	const uint8_t *p = bytes_at(d, off, LOAD_BYTES, &n);
	struct pmf_jit_code code = {.from_ns = from_ns};
	uint64_t vma, written_at, next;
	uint32_t shift;

	if (n < LOAD_BYTES)
		return true;
	vma = u64(d, p + 8);
	written_at = u64(d, p + 16);
	code.size = u64(d, p + 24);
	/* The two differ only where code is written at another place than it runs at. */
	code.start = vma ? vma : written_at;
	code.name = name_at(d, c, off + LOAD_BYTES, end, &next);
	if (d->nr_lines && d->lines_va == written_at) {
		shift = line_shift(c, &code);
		code.first_line = (uint32_t)c->nr_lines;
		code.nr_lines = (uint32_t)d->nr_lines;
		for (size_t i = 0; i < d->nr_lines; i++) {
			d->lines[i].off -= PMF_MIN(d->lines[i].off, shift);
			PMF_PUSH(c->lines, c->nr_lines, c->cap_lines) = d->lines[i];
		}
	}
	code.eh_frame_at = d->eh_frame_at;
	code.eh_frame_size = d->eh_frame_size;
	d->nr_lines = d->eh_frame_size = 0;
	return pmf_jit_codes_add(c, &code);
}

static bool take_move(
	struct pmf_jitdump *d, struct pmf_jit_codes *c, uint64_t from_ns, uint64_t off)
{
	size_t n;
	const uint8_t *p = bytes_at(d, off, MOVE_BYTES, &n);
	const struct pmf_jit_code *old;
	struct pmf_jit_code code;
	uint64_t until;

	if (n < MOVE_BYTES)
		return true;
	if (d->nr_moves++ == MOVES_MAX)
		return false;
	old = pmf_jit_codes_find(c, u64(d, p + 16), from_ns, &until);
	if (!old || old->start != u64(d, p + 16))
		return true;
	code = *old;
	code.from_ns = from_ns;
	code.start = u64(d, p + 24);
	return pmf_jit_codes_add(c, &code);
}

int pmf_jitdump_read(struct pmf_jitdump *d, struct pmf_jit_codes *c, struct pmf_err *err)
{
	struct stat st;
	int ret = 1;

	if (d->done || d->fd < 0 || fstat(d->fd, &st) < 0)
		return 0;
	d->window_bytes = 0; /* what it held may have grown */
	if (d->at == 0)
		ret = take_header(d, err);
	while (ret > 0) {
		size_t n;
		const uint8_t *p = bytes_at(d, d->at, PREFIX_BYTES, &n);
		uint64_t off = d->at + PREFIX_BYTES, from_ns;
		uint32_t id, bytes;
		bool room = true;

		if (n < PREFIX_BYTES)
			return 0;
		id = u32(d, p);
		bytes = u32(d, p + 4);
		from_ns = u64(d, p + 8);
		if (bytes < PREFIX_BYTES || bytes > RECORD_BYTES_MAX)
			return refuse(d, err, "it has a record of an impossible size");
		if (d->at + bytes > (uint64_t)st.st_size)
			return 0;
		if (id == CODE_LOAD && bytes > PREFIX_BYTES + LOAD_BYTES)
			room = take_load(d, c, from_ns, off, d->at + bytes);
		else if (id == CODE_MOVE && bytes >= PREFIX_BYTES + MOVE_BYTES)
			room = take_move(d, c, from_ns, off);
		else if (id == CODE_DEBUG_INFO && bytes >= PREFIX_BYTES + 16)
			take_lines(d, c, off, d->at + bytes);
		else if (id == CODE_UNWINDING_INFO && bytes >= PREFIX_BYTES + UNWINDING_BYTES)
			take_unwinding(d, c, off, d->at + bytes);
		d->at += bytes;
		if (!room || d->at > FILE_BYTES_MAX)
			return refuse(d, err, "it tells of more code than there is room for here");
	}
	return ret;
}
