/* From the thread state to the frames. The thread that is interrupted owns all that is read: its
 * frames cannot change under the walk, and what they refer to lives. What may be garbage is the
 * innermost frame while the interpreter is setting it up, and the thread state of a thread that
 * ends: pages are asked for before they are read, code objects must be of the type of code objects,
 * and what fails that is left out. */
#include "agent_priv.h"

#include <string.h>
#include <time.h>

enum {
	TYPE_OFFSET = 8,      /* of a PyObject */
	SIZE_OFFSET = 16,     /* of a PyVarObject, and the length of a str */
	BYTES_DATA = 32,      /* of a bytes object */
	STATE_KIND_SHIFT = 2, /* in the state of a str */
	STATE_KIND_MASK = 7,
	STATE_COMPACT = 1 << 5,
	STATE_ASCII = 1 << 6,
	PROBES = 32,
	SHIMS_MAX = 4 * PMF_AGENT_FRAMES_MAX, /* frames that are passed over, too */
	CODE_UNIT_BYTES = 2,
};

static struct pmf_agent_python py;

struct walk {
	struct pmf_agent_ring *ring;
	uint64_t now_ns;
	uintptr_t outer; /* the frame that called into a sub-interpreter, or 0 */
};

/* ---- Reading ---- */

static bool read_word(const struct walk *w, uintptr_t at, uintptr_t *out)
{
	if (!pmf_agent_readable(at, sizeof *out, w->now_ns))
		return false;
	memcpy(out, (const void *)at, sizeof *out);
	return true;
}

static uintptr_t word_at(uintptr_t base, size_t offset)
{
	uintptr_t word;

	memcpy(&word, (const void *)(base + offset), sizeof word);
	return word;
}

static int int_at(uintptr_t base, size_t offset)
{
	int value;

	memcpy(&value, (const void *)(base + offset), sizeof value);
	return value;
}

/* The frame's code object, 0 if it is none. */
static uintptr_t code_of(const struct walk *w, uintptr_t frame)
{
	uintptr_t code = word_at(frame, py.layout->frame_code);

	if (py.layout->tagged)
		code &= ~(uintptr_t)3;
	if (code % sizeof(uintptr_t) || !pmf_agent_readable(code, py.layout->code_bytes, w->now_ns))
		return 0;
	return word_at(code, TYPE_OFFSET) == py.code_type ? code : 0;
}

static bool is_shim(uintptr_t frame)
{
	return py.layout->entries == PMF_ENTRY_SHIM &&
	       *(const uint8_t *)(frame + py.layout->frame_entry) == py.layout->entry_value;
}

/* ---- Code objects ---- */

struct text {
	uintptr_t data;
	struct pmf_agent_text shape;
	size_t bytes;
};

static void find_text(const struct walk *w, uintptr_t str, struct text *out)
{
	const struct pmf_agent_layout *l = py.layout;
	uint32_t state;
	size_t length;

	memset(out, 0, sizeof *out);
	out->shape.width = 1;
	if (!pmf_agent_readable(str, l->text_other, w->now_ns))
		return;
	memcpy(&state, (const void *)(str + l->text_state), sizeof state);
	length = word_at(str, SIZE_OFFSET);
	if (!(state & STATE_COMPACT))
		return;
	out->shape.width = state >> STATE_KIND_SHIFT & STATE_KIND_MASK;
	out->data = str + (state & STATE_ASCII ? l->text_ascii : l->text_other);
	if (out->shape.width != 1 && out->shape.width != 2 && out->shape.width != 4)
		out->shape.width = 1;
	else if (length > PMF_AGENT_TEXT_MAX / out->shape.width)
		length = PMF_AGENT_TEXT_MAX / out->shape.width;
	out->bytes = length * out->shape.width;
	if (out->bytes > PMF_AGENT_TEXT_MAX ||
		(out->bytes && !pmf_agent_readable(out->data, out->bytes, w->now_ns)))
		out->bytes = 0;
	out->shape.chars = (uint32_t)(out->bytes / out->shape.width);
}

static void put_bytes(uint8_t *to, uintptr_t from, size_t n)
{
	if (n)
		memcpy(to, (const void *)from, n);
}

/* Tell the recorder of code object number @number; false if the ring is full. */
static bool tell_code(const struct walk *w, uintptr_t code, uint32_t number)
{
	const struct pmf_agent_layout *l = py.layout;
	uintptr_t lines = word_at(code, l->code_lines);
	struct text name, file;
	struct pmf_agent_code *out;
	size_t line_bytes = 0, size;

	find_text(w, word_at(code, l->code_name), &name);
	find_text(w, word_at(code, l->code_file), &file);
	if (pmf_agent_readable(lines, BYTES_DATA, w->now_ns))
		line_bytes = word_at(lines, SIZE_OFFSET);
	if (line_bytes > PMF_AGENT_LINES_MAX)
		line_bytes = PMF_AGENT_LINES_MAX;
	if (line_bytes && !pmf_agent_readable(lines + BYTES_DATA, line_bytes, w->now_ns))
		line_bytes = 0;
	size = sizeof *out + name.bytes + file.bytes + line_bytes;
	out = pmf_agent_ring_reserve(w->ring, size);
	if (!out)
		return false;
	out->code = number;
	out->first_line = (uint32_t)int_at(code, l->code_first_line);
	out->name = name.shape;
	out->file = file.shape;
	out->line_bytes = (uint32_t)line_bytes;
	put_bytes(out->bytes, name.data, name.bytes);
	put_bytes(out->bytes + name.bytes, file.data, file.bytes);
	put_bytes(out->bytes + name.bytes + file.bytes, lines + BYTES_DATA, line_bytes);
	pmf_agent_ring_commit(out, PMF_AGENT_CODE, size);
	return true;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* What makes this code object another than one that was at its address before. What its fields point to
 * is often at its old address, too (exec and eval of strings in turn), so the word behind its header
 * counts: since 3.11 the number of its instructions, before that of its arguments. */
static uint64_t code_key(uintptr_t code)
{
	const struct pmf_agent_layout *l = py.layout;
	uint64_t h = mix(0, code);

	h = mix(h, word_at(code, SIZE_OFFSET));
	h = mix(h, word_at(code, l->code_name));
	h = mix(h, word_at(code, l->code_file));
	h = mix(h, word_at(code, l->code_lines));
	h = mix(h, (uint64_t)int_at(code, l->code_first_line));
	return (h | 2) & ~UINT64_C(1); /* neither free nor told */
}

/* The number of a code object, which the recorder knows when this returns: its place in a table of
 * hashes, whose lowest bit says that it was told. */
static uint32_t code_number(const struct walk *w, uintptr_t code)
{
	uint64_t *codes = (uint64_t *)(void *)((uint8_t *)w->ring + PMF_AGENT_CODES_AT);
	uint64_t key = code_key(code);

	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t n = ((uint32_t)(key >> 8) + i) & (PMF_AGENT_CODES_MAX - 1);
		uint64_t there = __atomic_load_n(&codes[n], __ATOMIC_ACQUIRE);

		if (there == (key | 1))
			return n;
		if (there == 0)
			__atomic_compare_exchange_n(
				&codes[n], &there, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		if (there != 0 && there != key && there != (key | 1))
			continue;
		/* Two threads may both tell it: the same, then. */
		if (!tell_code(w, code, n))
			return PMF_AGENT_CODES_MAX;
		__atomic_store_n(&codes[n], key | 1, __ATOMIC_RELEASE);
		return n;
	}
	return PMF_AGENT_CODES_MAX;
}

/* ---- Frames ---- */

/* Is the run of frames that starts at @frame the one that native frame @cframe executes? Its
 * outermost frame was called from where the next native frame stands. 3.11 and 3.12 link a native
 * frame before they set its current frame. */
static bool run_is_settled(const struct walk *w, uintptr_t cframe, uintptr_t frame)
{
	const struct pmf_agent_layout *l = py.layout;
	uintptr_t outer, expected = 0;

	if (!read_word(w, cframe + l->cframe_previous, &outer))
		return false;
	if (outer && !read_word(w, outer + l->cframe_frame, &expected))
		return false;
	for (size_t i = 0; frame && i < SHIMS_MAX; i++) {
		bool entry;

		if (!pmf_agent_readable(frame, l->frame_bytes, w->now_ns))
			return false;
		entry = *(const uint8_t *)(frame + l->frame_entry) == l->entry_value;
		/* Shims run the interpreter's own code. */
		if (!is_shim(frame) && !code_of(w, frame))
			return false;
		frame = word_at(frame, l->frame_previous);
		if (entry)
			return frame == expected;
	}
	return frame == expected;
}

/* The frame that settled native frame @cframe executes; 0 if it is none, or none that is settled. */
static uintptr_t settled_frame(const struct walk *w, uintptr_t cframe)
{
	const struct pmf_agent_layout *l = py.layout;
	uintptr_t frame;

	if (cframe % sizeof frame ||
		!pmf_agent_readable_now(cframe, l->cframe_previous + sizeof cframe))
		return 0;
	frame = word_at(cframe, l->cframe_frame);
	if (frame == 0 || frame % sizeof frame || !pmf_agent_readable_now(frame, l->frame_bytes) ||
		!run_is_settled(w, cframe, frame))
		return 0;
	return frame;
}

/* While a native frame is linked and not yet set, even its link outwards may be missing: compilers
 * order these stores as they like. The one outside of it lies further up the stack, and is linked
 * to one still further, or to the thread's first, which is part of the thread state. */
static uintptr_t search_outer(const struct walk *w, uintptr_t tstate, uintptr_t cframe)
{
	const struct pmf_agent_layout *l = py.layout;
	enum { SEARCHED_BYTES = 32768, STACK_BYTES = 8 << 20, TSTATE_BYTES = 1024 };

	for (uintptr_t at = cframe + sizeof at; at < cframe + SEARCHED_BYTES; at += sizeof at) {
		uintptr_t outer, frame;

		if (!pmf_agent_readable(at, l->cframe_previous + sizeof outer, w->now_ns))
			return 0;
		outer = word_at(at, l->cframe_previous);
		if (outer - at - 1 >= STACK_BYTES && outer - tstate >= TSTATE_BYTES)
			continue;
		frame = settled_frame(w, at);
		if (frame)
			return frame;
	}
	return 0;
}

/* The innermost frame, 0 if there is none. *entering: native code is about to execute another one,
 * and the search for its caller may have found what is left of an earlier one. */
static uintptr_t first_frame(const struct walk *w, uintptr_t tstate, bool *entering)
{
	const struct pmf_agent_layout *l = py.layout;
	uintptr_t cframe, outer, frame;

	if (!l->tstate_cframe)
		return read_word(w, tstate + l->tstate_frame, &frame) ? frame : 0;
	if (!read_word(w, tstate + l->tstate_cframe, &cframe))
		return 0;
	frame = settled_frame(w, cframe);
	if (frame || !read_word(w, cframe + l->cframe_previous, &outer) || outer == 0)
		return frame;
	*entering = true;
	frame = settled_frame(w, outer);
	return frame ? frame : search_outer(w, tstate, cframe);
}

static uint32_t last_instruction(uintptr_t frame, uintptr_t code)
{
	const struct pmf_agent_layout *l = py.layout;
	intptr_t offset;

	if (l->code_instrs) {
		offset = (intptr_t)(word_at(frame, l->frame_instr) - (code + l->code_instrs));
		offset = offset < 0 ? -1 : offset / CODE_UNIT_BYTES;
	} else {
		offset = int_at(frame, l->frame_instr);
	}
	return offset < 0 || offset >= PMF_AGENT_LASTI_NONE ? PMF_AGENT_LASTI_NONE
							    : (uint32_t)offset;
}

/* Cleaning up behind __init__ is code of the interpreter's own, with one name for all. */
static bool is_internal(uintptr_t code)
{
	return word_at(code, py.layout->code_name) == word_at(code, py.layout->code_file);
}

/* Go through the frames from @frame outwards. @out gets them, or, if it is NULL, their code objects
 * are told. Returns how many there are, at most PMF_AGENT_FRAMES_MAX; *cut: there are more. */
static uint32_t visit(
	const struct walk *w, uintptr_t frame, struct pmf_agent_frame *out, uint32_t *cut)
{
	const struct pmf_agent_layout *l = py.layout;
	uintptr_t outer = w->outer;
	uint32_t n = 0;

	*cut = 0;
	for (size_t i = 0; i < SHIMS_MAX; i++) {
		uintptr_t code;

		if (!frame) {
			frame = outer;
			outer = 0;
		}
		if (!frame)
			break;
		if (frame % sizeof frame || !pmf_agent_readable(frame, l->frame_bytes, w->now_ns))
			return n;
		if (is_shim(frame)) {
			if (n && out)
				out[n - 1].lasti |= PMF_AGENT_ENTRY;
			frame = word_at(frame, l->frame_previous);
			continue;
		}
		code = code_of(w, frame);
		if (!code)
			return n;
		if (!is_internal(code)) {
			if (n == PMF_AGENT_FRAMES_MAX) {
				*cut = 1;
				return n;
			}
			if (!out)
				code_number(w, code);
			else
				out[n] = (struct pmf_agent_frame){
					code_number(w, code), last_instruction(frame, code)};
			n++;
		}
		if (out && n &&
			(l->entries == PMF_ENTRY_EVERY ||
				(l->entries == PMF_ENTRY_FLAG &&
					*(const uint8_t *)(frame + l->frame_entry) ==
						l->entry_value)))
			out[n - 1].lasti |= PMF_AGENT_ENTRY;
		frame = word_at(frame, l->frame_previous);
	}
	*cut = frame != 0;
	return n;
}

void pmf_agent_walk(struct pmf_agent_ring *ring, pid_t tid, uint64_t ip, uint64_t sp)
{
	struct walk w = {.ring = ring};
	struct timespec now;
	uintptr_t tstate, outer, frame = 0;
	struct pmf_agent_stack *out;
	uint32_t n = 0, cut;
	bool entering = false, called = false;
	size_t size;

	clock_gettime(CLOCK_MONOTONIC, &now);
	w.now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	tstate = (uintptr_t)py.thread_state();
	if (tstate)
		frame = first_frame(&w, tstate, &entering);
	outer = frame ? pmf_agent_outer_state(tstate, w.now_ns) : 0;
	if (outer)
		w.outer = first_frame(&w, outer, &called);
	/* Twice: the first round tells code objects, and then the size is known. */
	n = visit(&w, frame, NULL, &cut);
	size = sizeof *out + n * sizeof out->frames[0];
	out = pmf_agent_ring_reserve(ring, size);
	if (!out)
		return;
	out->time_ns = w.now_ns;
	out->ip = ip;
	out->sp = sp;
	out->tid = (uint32_t)tid;
	out->nr_frames = n;
	visit(&w, frame, out->frames, &cut);
	out->cut = cut;
	out->entering = entering;
	pmf_agent_ring_commit(out, PMF_AGENT_STACK, size);
}

void pmf_agent_walk_init(const struct pmf_agent_python *python)
{
	py = *python;
	/* Now, so that the loader is not asked to resolve anything inside the handler. */
	py.thread_state();
}
