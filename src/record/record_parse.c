/* One record's bytes as struct pmf_record. The order of fields is linux/perf_event.h's, "enum
 * perf_event_type"; where the kernel leaves fields out, kernel/events/core.c
 * perf_output_sample(). */
#include "record_cursor.h"
#include "record_priv.h"

#include "pmuflame/mem.h"
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

/* From Linux 6.8's linux/perf_event.h: a u64 per branch behind the branch stack. */
#define BRANCH_COUNTERS (1u << 19)
enum { BUILD_ID_MAX = 20 };
static_assert(sizeof(struct perf_branch_entry) == 24, "from, to and flags");

static const char *type_name(uint32_t type)
{
	static const char *const names[] = {
		[PERF_RECORD_MMAP] = "MMAP",
		[PERF_RECORD_LOST] = "LOST",
		[PERF_RECORD_COMM] = "COMM",
		[PERF_RECORD_EXIT] = "EXIT",
		[PERF_RECORD_THROTTLE] = "THROTTLE",
		[PERF_RECORD_UNTHROTTLE] = "UNTHROTTLE",
		[PERF_RECORD_FORK] = "FORK",
		[PERF_RECORD_READ] = "READ",
		[PERF_RECORD_SAMPLE] = "SAMPLE",
		[PERF_RECORD_MMAP2] = "MMAP2",
		[PERF_RECORD_LOST_SAMPLES] = "LOST_SAMPLES",
		[PERF_RECORD_KSYMBOL] = "KSYMBOL",
	};

	return type < PMF_ARRAY_SIZE(names) && names[type] ? names[type] : "side-band";
}

/* struct read_format, of which the member @id (or the first) is wanted. */
static void take_read(struct cursor *c, uint64_t format, struct pmf_record *out)
{
	uint64_t nr = 1, enabled_ns = 0, running_ns = 0;
	size_t member_bytes =
		8 + (format & PERF_FORMAT_ID ? 8 : 0) + (format & PERF_FORMAT_LOST ? 8 : 0);
	uint64_t value = 0;

	if (format & PERF_FORMAT_GROUP)
		nr = take_u64(c, "group of counters");
	else
		value = take_u64(c, "count");
	if (format & PERF_FORMAT_TOTAL_TIME_ENABLED)
		enabled_ns = take_u64(c, "time enabled");
	if (format & PERF_FORMAT_TOTAL_TIME_RUNNING)
		running_ns = take_u64(c, "time running");
	if (nr > c->left / member_bytes + 1) {
		refuse(c, "group of counters");
		return;
	}
	for (uint64_t i = 0; i < nr && !c->missing; i++) {
		uint64_t id = out->id, lost = 0;

		if (format & PERF_FORMAT_GROUP)
			value = take_u64(c, "group of counters");
		if (format & PERF_FORMAT_ID)
			id = take_u64(c, "counter id");
		if (format & PERF_FORMAT_LOST)
			lost = take_u64(c, "lost count");
		if (i > 0 && (id != out->id || !(format & PERF_FORMAT_ID)))
			continue;
		out->read.value = value;
		out->read.enabled_ns = enabled_ns;
		out->read.running_ns = running_ns;
		out->read.id = id;
		out->read.lost = lost;
	}
}

/* The counts that a sample carries: its own event's, or those of a group. */
static void take_sample_read(struct cursor *c, uint64_t format, struct pmf_sample *s)
{
	uint64_t nr = 1, one = format & (PERF_FORMAT_ID | PERF_FORMAT_LOST);
	uint64_t times = format & (PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING);
	size_t member_bytes = 8 * (size_t)__builtin_popcountll(one);

	if (format & PERF_FORMAT_GROUP) {
		nr = take_u64(c, "group of counters");
		member_bytes += 8;
	} else {
		s->count = take_u64(c, "count");
		s->has_count = true;
	}
	take(c, 8 * (uint64_t)__builtin_popcountll(times), "counter times");
	if (format & PERF_FORMAT_ID && s->has_count) {
		s->count_id = take_u64(c, "counter id");
		member_bytes -= sizeof s->count_id;
	}
	if (s->has_count) {
		take(c, member_bytes, "lost count");
		return;
	}
	s->group = take_array(c, nr, member_bytes, "counter values");
	s->group_words = member_bytes / sizeof *s->group;
	s->nr_group = s->group ? (size_t)nr : 0;
}

static const uint64_t *take_regs(struct cursor *c, uint64_t mask, uint64_t *abi)
{
	*abi = take_u64(c, "register ABI");
	if (*abi == PERF_SAMPLE_REGS_ABI_NONE)
		return NULL;
	return take_array(c, (uint64_t)__builtin_popcountll(mask), 8, "registers");
}

/* Everything up to the branch stack. */
static void take_sample_head(struct cursor *c, const struct pmf_layout *l, struct pmf_record *out)
{
	struct pmf_sample *s = &out->sample;
	uint64_t st = l->sample_type;

	if (st & PERF_SAMPLE_IDENTIFIER)
		out->id = take_u64(c, "identifier");
	if (st & PERF_SAMPLE_IP)
		s->ip = take_u64(c, "ip");
	if (st & PERF_SAMPLE_TID) {
		out->pid = take_u32(c, "pid");
		out->tid = take_u32(c, "tid");
	}
	if (st & PERF_SAMPLE_TIME)
		out->time_ns = take_u64(c, "time");
	if (st & PERF_SAMPLE_ADDR)
		take_u64(c, "address");
	if (st & PERF_SAMPLE_ID)
		out->id = take_u64(c, "id");
	if (st & PERF_SAMPLE_STREAM_ID)
		take_u64(c, "stream id");
	if (st & PERF_SAMPLE_CPU) {
		out->cpu = take_u32(c, "cpu");
		take_u32(c, "cpu");
	}
	s->weight = st & PERF_SAMPLE_PERIOD ? take_u64(c, "period") : l->period;
	if (st & PERF_SAMPLE_READ)
		take_sample_read(c, l->read_format, s);
	if (st & PERF_SAMPLE_CALLCHAIN) {
		uint64_t nr = take_u64(c, "callchain");

		s->callchain = take_array(c, nr, 8, "callchain");
		s->nr_callchain = s->callchain ? (size_t)nr : 0;
	}
	if (st & PERF_SAMPLE_RAW) {
		uint32_t size = take_u32(c, "raw data");

		if (size % 8 != 4) /* the kernel pads it, so that what follows is aligned */
			refuse(c, "raw data");
		s->raw = take(c, size, "raw data");
		s->raw_bytes = s->raw ? size : 0;
	}
}

static void take_stack(struct cursor *c, struct pmf_sample *s)
{
	uint64_t size = take_u64(c, "stack"), copied;

	if (size == 0)
		return; /* a kernel thread: no bytes and no dyn_size */
	s->stack = take(c, size, "stack");
	copied = take_u64(c, "stack's copied size");
	if (copied > size)
		refuse(c, "stack's copied size");
	if (c->missing)
		return;
	s->stack_bytes = (size_t)copied;
	s->stack_asked = (size_t)size;
}

/* The branch stack and all behind it. @hw_index: an empty branch stack still has its hw_idx. */
static void take_sample_tail(
	struct cursor *c, const struct pmf_layout *l, bool hw_index, struct pmf_sample *s)
{
	uint64_t st = l->sample_type;
	static const uint64_t words_behind_regs_intr[] = {PERF_SAMPLE_PHYS_ADDR, PERF_SAMPLE_CGROUP,
		PERF_SAMPLE_DATA_PAGE_SIZE, PERF_SAMPLE_CODE_PAGE_SIZE};
	uint64_t abi;

	if (st & PERF_SAMPLE_BRANCH_STACK) {
		uint64_t nr = take_u64(c, "branch stack");

		if (l->branch_sample_type & PERF_SAMPLE_BRANCH_HW_INDEX && (nr || hw_index))
			take_u64(c, "branch index");
		s->branches = take_array(c, nr, sizeof *s->branches, "branch stack");
		s->nr_branches = s->branches ? (size_t)nr : 0;
		if (l->branch_sample_type & BRANCH_COUNTERS)
			take_array(c, nr, 8, "branch counters");
	}
	if (st & PERF_SAMPLE_REGS_USER) {
		s->regs = take_regs(c, l->regs_user, &s->regs_abi);
		s->regs_mask = s->regs ? l->regs_user : 0;
	}
	if (st & PERF_SAMPLE_STACK_USER)
		take_stack(c, s);
	if (st & (PERF_SAMPLE_WEIGHT | PERF_SAMPLE_WEIGHT_STRUCT))
		take_u64(c, "weight");
	if (st & PERF_SAMPLE_DATA_SRC)
		take_u64(c, "data source");
	if (st & PERF_SAMPLE_TRANSACTION)
		take_u64(c, "transaction");
	if (st & PERF_SAMPLE_REGS_INTR)
		take_regs(c, l->regs_intr, &abi);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(words_behind_regs_intr); i++)
		if (st & words_behind_regs_intr[i])
			take_u64(c, "memory access");
	if (st & PERF_SAMPLE_AUX)
		take(c, take_u64(c, "aux data"), "aux data");
}

static void take_sample(struct cursor *c, const struct pmf_layout *l, struct pmf_record *out)
{
	struct cursor at_branches;

	take_sample_head(c, l, out);
	at_branches = *c;
	take_sample_tail(c, l, true, &out->sample);
	/* Events that have no branch stack to give (software ones) write its 0 without the hw_idx;
	 * which of the two it is shows in whether the record comes out even. */
	if ((c->missing || c->left) && !at_branches.missing &&
		l->sample_type & PERF_SAMPLE_BRANCH_STACK &&
		l->branch_sample_type & PERF_SAMPLE_BRANCH_HW_INDEX) {
		struct pmf_sample *s = &out->sample;

		s->branches = NULL;
		s->nr_branches = 0;
		s->regs = NULL;
		s->regs_abi = s->regs_mask = 0;
		s->stack = NULL;
		s->stack_bytes = s->stack_asked = 0;
		*c = at_branches;
		take_sample_tail(c, l, false, s);
	}
	/* Bits that this program does not know stand for fields behind the others. */
	if (!c->missing && c->left && l->sample_type < PERF_SAMPLE_MAX)
		refuse(c, "fields: bytes are left over");
}

static void take_mmap(struct cursor *c, struct pmf_record *out)
{
	out->pid = take_u32(c, "pid");
	out->tid = take_u32(c, "tid");
	out->mmap.start = take_u64(c, "start");
	out->mmap.len = take_u64(c, "length");
	out->mmap.pgoff = take_u64(c, "file offset");
	if (out->mmap.len > UINT64_MAX - out->mmap.start)
		refuse(c, "length");
	if (out->type == PERF_RECORD_MMAP) {
		out->mmap.prot = PROT_READ;
		if (!(out->misc & PERF_RECORD_MISC_MMAP_DATA))
			out->mmap.prot |= PROT_EXEC;
	} else if (out->misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		const uint8_t *b = take(c, 24, "build id");

		if (b && b[0] > BUILD_ID_MAX) {
			refuse(c, "build id");
		} else if (b) {
			out->mmap.build_id_len = b[0];
			out->mmap.build_id = b + 4;
		}
	} else {
		uint32_t maj = take_u32(c, "device"), min = take_u32(c, "device");

		out->mmap.dev = makedev(maj, min);
		out->mmap.ino = take_u64(c, "inode");
		take_u64(c, "inode generation");
	}
	if (out->type == PERF_RECORD_MMAP2) {
		out->mmap.prot = take_u32(c, "protection");
		take_u32(c, "flags");
	}
	out->mmap.path = take_string(c, "path");
}

static void take_body(struct cursor *c, const struct pmf_layout *l, struct pmf_record *out)
{
	switch (out->type) {
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		take_mmap(c, out);
		break;
	case PERF_RECORD_COMM:
		out->pid = take_u32(c, "pid");
		out->tid = take_u32(c, "tid");
		out->comm.comm = take_string(c, "name");
		out->comm.exec = out->misc & PERF_RECORD_MISC_COMM_EXEC;
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		out->pid = take_u32(c, "pid");
		out->task.ppid = take_u32(c, "parent's pid");
		out->tid = take_u32(c, "tid");
		out->task.ptid = take_u32(c, "parent's tid");
		take_u64(c, "time");
		break;
	case PERF_RECORD_LOST:
		take_u64(c, "id");
		out->lost.lost = take_u64(c, "number of lost records");
		break;
	case PERF_RECORD_LOST_SAMPLES:
		out->lost.lost = take_u64(c, "number of lost samples");
		break;
	case PERF_RECORD_READ:
		out->pid = take_u32(c, "pid");
		out->tid = take_u32(c, "tid");
		take_read(c, l->read_format, out);
		break;
	case PERF_RECORD_KSYMBOL:
		out->ksymbol.addr = take_u64(c, "address");
		out->ksymbol.len = take_u32(c, "length");
		out->ksymbol.ksym_type = take_u16(c, "kind");
		out->ksymbol.flags = take_u16(c, "flags");
		out->ksymbol.name = take_string(c, "name");
		break;
	case PERF_RECORD_THROTTLE:
	case PERF_RECORD_UNTHROTTLE: /* time, id, stream_id: as in the trailer */
		take(c, 24, "ids");
		break;
	default: /* the trailer says all that is used */
		break;
	}
}

/* Split the sample_id trailer off the end of @c and read it. */
static void take_trailer(struct cursor *c, uint64_t st, struct pmf_record *out)
{
	size_t bytes = 8 * (size_t)__builtin_popcountll(st & PMF_TRAILER_FIELDS);
	struct cursor t = {NULL, bytes, NULL};

	if (bytes > c->left) {
		c->missing = "sample_id trailer";
		return;
	}
	c->left -= bytes;
	t.p = c->p + c->left;
	if (st & PERF_SAMPLE_TID) {
		out->pid = take_u32(&t, "pid");
		out->tid = take_u32(&t, "tid");
	}
	if (st & PERF_SAMPLE_TIME)
		out->time_ns = take_u64(&t, "time");
	if (st & PERF_SAMPLE_ID)
		out->id = take_u64(&t, "id");
	if (st & PERF_SAMPLE_STREAM_ID)
		take_u64(&t, "stream id");
	if (st & PERF_SAMPLE_CPU) {
		out->cpu = take_u32(&t, "cpu");
		take_u32(&t, "cpu");
	}
	if (st & PERF_SAMPLE_IDENTIFIER)
		out->id = take_u64(&t, "identifier");
}

int pmf_record_parse_shaped(const struct pmf_record_shape *shape, const void *data, size_t len,
	struct pmf_record *out, struct pmf_err *err)
{
	const struct pmf_layout *l = shape->layout;
	struct perf_event_header h;
	struct cursor c = {(const uint8_t *)data + sizeof h, len - sizeof h, NULL};

	memcpy(&h, data, sizeof h);
	memset(out, 0, sizeof *out);
	if (!l && (h.type == PERF_RECORD_SAMPLE || h.type == PERF_RECORD_READ))
		return pmf_err_set(err, PMF_EFORMAT, "a record names an event that is not open");
	out->bytes = data;
	out->size = len;
	out->type = h.type;
	out->misc = h.misc;
	out->event = l ? l->event : PMF_NO_EVENT;
	out->signals = l && l->signals;
	out->cpu_wide = l && l->cpu_wide;
	if (h.type == PERF_RECORD_SAMPLE) {
		take_sample(&c, l, out);
	} else {
		take_trailer(&c, shape->sample_type, out);
		take_body(&c, l, out);
	}
	if (c.missing)
		return pmf_err_set(err, PMF_EFORMAT, "a %s record of %zu bytes does not fit its %s",
			type_name(h.type), len, c.missing);
	return 0;
}

int pmf_record_parse(const struct pmf_layouts *ls, const void *data, size_t len,
	struct pmf_record *out, struct pmf_err *err)
{
	struct perf_event_header h;
	struct pmf_record_shape shape;
	uint64_t id;

	if (len < sizeof h)
		return pmf_err_set(
			err, PMF_EFORMAT, "a record of %zu bytes is shorter than its header", len);
	memcpy(&h, data, sizeof h);
	if (h.size != len)
		return pmf_err_set(err, PMF_EFORMAT,
			"a %s record says that it is %u bytes long, but %zu are there",
			type_name(h.type), (unsigned)h.size, len);
	if (len < sizeof h + sizeof id)
		return pmf_err_set(err, PMF_EFORMAT,
			"a %s record of %zu bytes has no room for its event's id",
			type_name(h.type), len);
	memcpy(&id, (const uint8_t *)data + pmf_record_id_offset(h.type, len), sizeof id);
	if (!pmf_record_shape_find(ls, h.type, id, &shape))
		return pmf_err_set(err, PMF_EFORMAT,
			"a %s record has id %llu, which no event of this recording has",
			type_name(h.type), (unsigned long long)id);
	return pmf_record_parse_shaped(&shape, data, len, out, err);
}

uint64_t pmf_record_time(const struct pmf_layouts *ls, const void *data, size_t len)
{
	struct perf_event_header h;
	struct pmf_record_shape shape;
	uint64_t id, time_ns = 0;
	size_t off;

	if (len < sizeof h + sizeof id)
		return 0;
	memcpy(&h, data, sizeof h);
	memcpy(&id, (const uint8_t *)data + pmf_record_id_offset(h.type, len), sizeof id);
	if (h.size != len || !pmf_record_shape_find(ls, h.type, id, &shape))
		return 0;
	off = pmf_record_time_offset(&shape, h.type, len);
	if (off)
		memcpy(&time_ns, (const uint8_t *)data + off, sizeof time_ns);
	return time_ns;
}
