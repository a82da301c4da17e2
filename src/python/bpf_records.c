/* What the BPF program writes, from the reader's end. */
#include "pmuflame/python.h"

#include "bpf_protocol.h"
#include "pmuflame/buf.h"
#include "python_priv.h"
#include <stddef.h>
#include <string.h>

/* Records stand in the ring 4 bytes off the alignment of their words: what is taken is copied. */
#define U32(raw, type, member) pmf_u32_at((raw) + offsetof(struct type, member))
#define U64(raw, type, member) pmf_u64_at((raw) + offsetof(struct type, member))

static bool parse_stack(const uint8_t *raw, size_t len, struct pmf_python_bpf_record *out)
{
	const size_t head = offsetof(struct pmf_bpf_stack, frames);
	uint32_t flags;

	if (len < head)
		return false;
	flags = U32(raw, pmf_bpf_stack, flags);
	out->n = U32(raw, pmf_bpf_stack, nr_frames);
	out->ip = U64(raw, pmf_bpf_stack, ip);
	out->unread = flags & PMF_BPF_UNREAD;
	out->cut = flags & (PMF_BPF_CUT | PMF_BPF_UNREAD);
	out->entering = flags & PMF_BPF_ENTERING;
	out->untold = flags & PMF_BPF_UNTOLD;
	out->body = raw + head;
	return out->n <= PMF_PYTHON_MAX_FRAMES &&
	       out->n <= (len - head) / sizeof(struct pmf_bpf_frame);
}

/* A text whose head is @head and whose characters are at @bytes. */
static struct pmf_python_text text_at(const uint8_t *head, const uint8_t *bytes)
{
	return (struct pmf_python_text){.chars = U32(head, pmf_bpf_text, chars),
		.width = U32(head, pmf_bpf_text, width),
		.bytes = bytes};
}

static struct pmf_python_text name_of(const uint8_t *raw)
{
	return text_at(raw + offsetof(struct pmf_bpf_code, name),
		raw + offsetof(struct pmf_bpf_code, bytes));
}

/* Behind the name, which is known to fit. */
static struct pmf_python_text file_of(const uint8_t *raw)
{
	struct pmf_python_text name = name_of(raw);

	return text_at(raw + offsetof(struct pmf_bpf_code, file),
		name.bytes + pmf_python_text_bytes(&name));
}

/* Take what @text has from the @left bytes that there are. */
static bool take_text(const struct pmf_python_text *text, size_t *left)
{
	size_t bytes = pmf_python_text_bytes(text);

	if (bytes > PMF_BPF_TEXT_MAX || bytes > *left)
		return false;
	*left -= bytes;
	return true;
}

static bool parse_code(const uint8_t *raw, size_t len, struct pmf_python_bpf_record *out)
{
	const size_t head = offsetof(struct pmf_bpf_code, bytes);
	struct pmf_python_text text;
	size_t left;

	out->is_code = true;
	out->body = raw;
	if (len < head)
		return false;
	left = len - head;
	text = name_of(raw);
	if (!take_text(&text, &left))
		return false;
	text = file_of(raw);
	return take_text(&text, &left) && U32(raw, pmf_bpf_code, line_bytes) <= left;
}

bool pmf_python_bpf_parse(const uint8_t *raw, size_t len, struct pmf_python_bpf_record *out)
{
	memset(out, 0, sizeof *out);
	if (len < sizeof(struct pmf_bpf_record))
		return false;
	out->pid = (pid_t)U32(raw, pmf_bpf_record, pid);
	out->tid = (pid_t)U32(raw, pmf_bpf_record, tid);
	out->minor = U32(raw, pmf_bpf_record, minor);
	switch (U32(raw, pmf_bpf_record, type)) {
	case PMF_BPF_STACK:
		return parse_stack(raw, len, out);
	case PMF_BPF_CODE:
		return parse_code(raw, len, out);
	default:
		return false;
	}
}

void pmf_python_bpf_frames(const struct pmf_python_bpf_record *rec, struct pmf_python_codes *codes,
	struct pmf_python_frame *out)
{
	const uint8_t *raw = rec->body;

	for (size_t i = 0; i < rec->n; i++, raw += sizeof(struct pmf_bpf_frame)) {
		uint32_t lasti = U32(raw, pmf_bpf_frame, lasti);

		out[i] = (struct pmf_python_frame){.code = pmf_python_codes_number(codes,
							   U64(raw, pmf_bpf_frame, code), false),
			.lasti = lasti & ~PMF_BPF_ENTRY,
			.entry = (lasti & PMF_BPF_ENTRY) != 0};
	}
}

void pmf_python_bpf_tell(const struct pmf_python_bpf_record *rec, struct pmf_python_codes *codes)
{
	const uint8_t *raw = rec->body;
	struct pmf_python_told told = {.first_line = U32(raw, pmf_bpf_code, first_line),
		.name = name_of(raw),
		.file = file_of(raw),
		.line_bytes = U32(raw, pmf_bpf_code, line_bytes)};

	told.lines = told.file.bytes + pmf_python_text_bytes(&told.file);
	pmf_python_codes_add(
		codes, pmf_python_codes_number(codes, U64(raw, pmf_bpf_code, code), true), &told);
}
