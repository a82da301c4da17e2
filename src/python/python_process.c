/* The shared memory of one process, from the reader's end, and the code objects that it told. */
#include "pmuflame/python.h"

#include "agent_protocol.h"
#include "pmuflame/buf.h"
#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "python_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RECORD_MAX = 65536 }; /* more than any has */

struct pmf_python_process {
	int fd;
	uint8_t *map;
	uint64_t tail; /* ours; what stands in the memory could be anybody's */
	bool broken;   /* the head makes no sense: nothing can be found any more */
	uint64_t malformed;
	unsigned minor;
	struct pmf_python_code **codes;  /* by number, PMF_AGENT_CODES_MAX */
	uint64_t record[RECORD_MAX / 8]; /* the one that is being read */
	struct pmf_python_frame frames[PMF_PYTHON_MAX_FRAMES];
};

int pmf_python_process_new(
	struct pmf_python_process **out, const struct pmf_python_greeting *g, struct pmf_err *err)
{
	int fd = memfd_create("pmuflame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct pmf_python_process *p;
	void *map = MAP_FAILED;

	/* Sealed: nobody can cut it short under our feet. Present, so that the program need not take
	 * page faults for it. */
	if (fd >= 0 && ftruncate(fd, PMF_AGENT_MEMORY_BYTES) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		map = mmap(NULL, PMF_AGENT_MEMORY_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED) {
		int errnum = errno;

		if (fd >= 0)
			close(fd);
		return pmf_err_errno(
			err, PMF_ELIMIT, errnum, "no shared memory for a Python process");
	}
	p = pmf_zalloc(sizeof *p);
	p->fd = fd;
	p->map = map;
	p->minor = g->minor;
	p->codes = pmf_calloc(PMF_AGENT_CODES_MAX, sizeof *p->codes);
	*out = p;
	return 0;
}

int pmf_python_process_memory(const struct pmf_python_process *p)
{
	return p->fd;
}

static void code_free(struct pmf_python_code *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->file);
	free(c->lines);
	free(c);
}

void pmf_python_process_free(struct pmf_python_process *p)
{
	if (!p)
		return;
	munmap(p->map, PMF_AGENT_MEMORY_BYTES);
	close(p->fd);
	for (size_t i = 0; i < PMF_AGENT_CODES_MAX; i++)
		code_free(p->codes[i]);
	free(p->codes);
	free(p);
}

static struct pmf_agent_ring *ring_of(const struct pmf_python_process *p)
{
	return (struct pmf_agent_ring *)(void *)p->map;
}

uint64_t pmf_python_dropped(const struct pmf_python_process *p)
{
	return __atomic_load_n(&ring_of(p)->dropped, __ATOMIC_RELAXED);
}

uint64_t pmf_python_malformed(const struct pmf_python_process *p)
{
	return p->malformed;
}

/* ---- Code objects ---- */

static void add_utf8(struct pmf_buf *b, uint32_t c)
{
	enum { REPLACEMENT = 0xfffd };

	/* Lone surrogates stand for bytes of a path that were no text. */
	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff || c == 0)
		c = REPLACEMENT;
	if (c < 0x80) {
		pmf_buf_addch(b, (char)c);
	} else if (c < 0x800) {
		pmf_buf_addch(b, (char)(0xc0 | c >> 6));
		pmf_buf_addch(b, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		pmf_buf_addch(b, (char)(0xe0 | c >> 12));
		pmf_buf_addch(b, (char)(0x80 | (c >> 6 & 0x3f)));
		pmf_buf_addch(b, (char)(0x80 | (c & 0x3f)));
	} else {
		pmf_buf_addch(b, (char)(0xf0 | c >> 18));
		pmf_buf_addch(b, (char)(0x80 | (c >> 12 & 0x3f)));
		pmf_buf_addch(b, (char)(0x80 | (c >> 6 & 0x3f)));
		pmf_buf_addch(b, (char)(0x80 | (c & 0x3f)));
	}
}

static char *text(const struct pmf_agent_text *t, const uint8_t *from)
{
	struct pmf_buf b = PMF_BUF_INIT;

	for (size_t i = 0; i < t->chars; i++) {
		uint32_t c = 0;

		memcpy(&c, from + i * t->width, t->width); /* little-endian, as all we run on */
		add_utf8(&b, c);
	}
	return pmf_buf_detach(&b);
}

static bool text_fits(const struct pmf_agent_text *t)
{
	return (t->width == 1 || t->width == 2 || t->width == 4) &&
	       t->chars <= PMF_AGENT_TEXT_MAX / t->width;
}

static bool add_code(struct pmf_python_process *p, const struct pmf_agent_code *rec, size_t size)
{
	struct pmf_python_code *c;
	size_t name_bytes, file_bytes;

	if (size < sizeof *rec || rec->code >= PMF_AGENT_CODES_MAX || !text_fits(&rec->name) ||
		!text_fits(&rec->file) || rec->line_bytes > PMF_AGENT_LINES_MAX)
		return false;
	name_bytes = (size_t)rec->name.chars * rec->name.width;
	file_bytes = (size_t)rec->file.chars * rec->file.width;
	if (name_bytes + file_bytes + rec->line_bytes > size - sizeof *rec)
		return false;
	/* Told twice by two threads: the first may be in use. */
	if (p->codes[rec->code])
		return true;
	c = pmf_zalloc(sizeof *c);
	c->name = text(&rec->name, rec->bytes);
	c->file = text(&rec->file, rec->bytes + name_bytes);
	/* A script has the path that it was started by, a module that of its folder. */
	if (c->file[0] == '/')
		pmf_file_fold(c->file);
	c->first_line = rec->first_line > INT32_MAX ? 0 : rec->first_line;
	c->line_bytes = rec->line_bytes;
	c->lines = pmf_malloc(c->line_bytes);
	if (c->line_bytes)
		memcpy(c->lines, rec->bytes + name_bytes + file_bytes, c->line_bytes);
	p->codes[rec->code] = c;
	return true;
}

const struct pmf_python_code *pmf_python_code(const struct pmf_python_process *p, uint32_t number)
{
	return number < PMF_AGENT_CODES_MAX ? p->codes[number] : NULL;
}

uint32_t pmf_python_line(const struct pmf_python_process *p, const struct pmf_python_frame *frame)
{
	const struct pmf_python_code *c = pmf_python_code(p, frame->code);

	return c ? pmf_python_table_line(
			   p->minor, c->first_line, c->lines, c->line_bytes, frame->lasti)
		 : 0;
}

/* ---- Stacks ---- */

static bool read_stack(struct pmf_python_process *p, const struct pmf_agent_stack *rec, size_t size,
	struct pmf_python_stack *out)
{
	if (size < sizeof *rec || rec->nr_frames > PMF_PYTHON_MAX_FRAMES ||
		rec->nr_frames > (size - sizeof *rec) / sizeof rec->frames[0])
		return false;
	for (size_t i = 0; i < rec->nr_frames; i++)
		p->frames[i] = (struct pmf_python_frame){.code = rec->frames[i].code,
			.lasti = rec->frames[i].lasti & ~PMF_AGENT_ENTRY,
			.entry = (rec->frames[i].lasti & PMF_AGENT_ENTRY) != 0};
	*out = (struct pmf_python_stack){.time_ns = rec->time_ns,
		.ip = rec->ip,
		.sp = rec->sp,
		.tid = rec->tid,
		.cut = rec->cut != 0,
		.entering = rec->entering != 0,
		.n = rec->nr_frames,
		.frames = p->frames};
	return true;
}

static void take(struct pmf_python_process *p, size_t size, pmf_python_stack_cb *cb, void *ctx)
{
	const struct pmf_agent_record *rec = (const void *)p->record;
	struct pmf_python_stack stack;
	bool good = true;

	if (rec->type == PMF_AGENT_STACK) {
		good = read_stack(p, (const void *)rec, size, &stack);
		if (good)
			cb(ctx, &stack);
	} else if (rec->type == PMF_AGENT_CODE) {
		good = add_code(p, (const void *)rec, size);
	} else if (rec->type != PMF_AGENT_PAD) {
		good = false;
	}
	p->malformed += !good;
}

void pmf_python_read(struct pmf_python_process *p, pmf_python_stack_cb *cb, void *ctx)
{
	struct pmf_agent_ring *ring = ring_of(p);
	uint8_t *data = p->map + PMF_AGENT_HEADER_BYTES;
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);

	if (p->broken || head - p->tail > PMF_AGENT_RING_BYTES) {
		p->malformed += !p->broken;
		p->broken = true;
		return;
	}
	while (p->tail != head) {
		size_t at = p->tail & (PMF_AGENT_RING_BYTES - 1);
		uint32_t *size_at = (uint32_t *)(void *)(data + at);
		size_t size = __atomic_load_n(size_at, __ATOMIC_ACQUIRE);

		if (size == 0)
			break; /* being written */
		if (size % PMF_AGENT_ALIGN || size > RECORD_MAX ||
			size > PMF_AGENT_RING_BYTES - at || size > head - p->tail) {
			p->broken = true;
			p->malformed++;
			return;
		}
		/* A copy: the process may still write where it should not. */
		memcpy(p->record, data + at, size);
		take(p, size, cb, ctx);
		memset(data + at, 0, size);
		p->tail += size;
		__atomic_store_n(&ring->tail, p->tail, __ATOMIC_RELEASE);
	}
}
