/* The shared memory of one process, from the reader's end, and the code objects that it told. */
#include "pmuflame/python.h"

#include "agent_protocol.h"
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
	struct pmf_python_codes *codes;
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
	p->codes = pmf_python_codes_new(g->minor);
	*out = p;
	return 0;
}

int pmf_python_process_memory(const struct pmf_python_process *p)
{
	return p->fd;
}

static struct pmf_agent_ring *ring_of(const struct pmf_python_process *p)
{
	return (struct pmf_agent_ring *)(void *)p->map;
}

void pmf_python_process_free(struct pmf_python_process *p)
{
	if (!p)
		return;
	__atomic_store_n(&ring_of(p)->closed, 1, __ATOMIC_RELEASE);
	munmap(p->map, PMF_AGENT_MEMORY_BYTES);
	close(p->fd);
	pmf_python_codes_free(p->codes);
	free(p);
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

static bool add_code(struct pmf_python_process *p, const struct pmf_agent_code *rec, size_t size)
{
	struct pmf_python_told told = {.first_line = rec->first_line,
		.name = {rec->name.chars, rec->name.width, NULL},
		.file = {rec->file.chars, rec->file.width, NULL},
		.line_bytes = rec->line_bytes};
	size_t name_bytes = pmf_python_text_bytes(&told.name);
	size_t file_bytes = pmf_python_text_bytes(&told.file);

	if (size < sizeof *rec || rec->code >= PMF_AGENT_CODES_MAX || name_bytes == SIZE_MAX ||
		file_bytes == SIZE_MAX || rec->line_bytes > PMF_AGENT_LINES_MAX ||
		name_bytes + file_bytes + rec->line_bytes > size - sizeof *rec)
		return false;
	told.name.bytes = rec->bytes;
	told.file.bytes = rec->bytes + name_bytes;
	told.lines = rec->bytes + name_bytes + file_bytes;
	pmf_python_codes_add(p->codes, rec->code, &told);
	return true;
}

struct pmf_python_codes *pmf_python_process_codes(struct pmf_python_process *p)
{
	return p->codes;
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
