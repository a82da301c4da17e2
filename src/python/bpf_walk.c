/* The BPF program that runs at each overflow of a sampling event in a process which is known to be a
 * Python, and writes down where its thread's Python code stands. docs/adr/0024 has the whole, and
 * agent_walk.c walks the same structures from inside.
 *
 * The thread that is interrupted owns what is read. What may be garbage all the same is a thread's state
 * that has ended, and the innermost frame while it is being set up: states are taken that bear the thread's
 * id, and code objects that are of their type. A page that is not there is not brought: what stands there
 * is unknown.
 *
 * Loops call global functions, which the verifier checks once each, and long ones are loops of loops: so
 * kernels before bpf_loop() (Linux 5.17) take them, too. No two of these run on one CPU at a time (bpf_prog_active in the kernel), so a
 * CPU's room is its own. */
#include "bpf_room.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

enum {
	SIZE_OFFSET = 16,     /* of a PyVarObject, and the length of a str */
	TYPE_OFFSET = 8,      /* of a PyObject */
	BYTES_DATA = 32,      /* of a bytes object */
	STATE_KIND_SHIFT = 2, /* in the state of a str */
	STATE_KIND_MASK = 7,
	STATE_COMPACT = 1 << 5,
	STATE_ASCII = 1 << 6,
	STATUS_BOUND = 1 << 3, /* bound_gilstate in the status of a thread's state */
	CODE_UNIT_BYTES = 2,
	BATCH = 64, /* as many steps of a loop as the verifier follows at once */
	FRAME_BATCHES = 4 * PMF_BPF_FRAMES_MAX / BATCH, /* frames that are passed over, too */
	STATE_BATCHES = 64,
	LEVELS_MAX = 32, /* of pid namespaces; the kernel's own limit */
#ifdef __TARGET_ARCH_x86
	PTHREAD_TID = 720, /* of the thread's id in glibc's struct pthread */
#else
	PTHREAD_TID = 208,
#endif
	TELL_AGAIN_NS = 5000000,
	/* What one CPU tells of code objects: two thousand usual ones at once, 4 MB/s in the long run. With
	 * 50 ms between two looks at it that is less than the smallest ring, where others' samples are. */
	TELL_BYTES = 512 * 1024,
	TELL_NS_PER_BYTE = 250,
};

/* ---- Pids ---- */

/* The pid of task @t in the recorder's namespace, 0 if it has none there. */
static __always_inline uint32_t pid_for_recorder(struct task_struct *t)
{
	struct pid *p = BPF_CORE_READ(t, thread_pid);
	uint32_t level = BPF_CORE_READ(p, level);
	const char *numbers = (const char *)__builtin_preserve_access_index(&p->numbers);

	for (uint32_t i = 0; i < LEVELS_MAX; i++) {
		struct upid *u = (struct upid *)(numbers + i * sizeof(struct upid));

		if (i > level)
			break;
		if (BPF_CORE_READ(u, ns, ns.inum) == recorder_ns)
			return BPF_CORE_READ(u, nr);
	}
	return 0;
}

/* The pid of task @t in its own namespace, which is what its interpreter knows. */
static __always_inline uint32_t own_pid(struct task_struct *t)
{
	struct pid *p = BPF_CORE_READ(t, thread_pid);
	uint32_t level = BPF_CORE_READ(p, level);
	const char *numbers = (const char *)__builtin_preserve_access_index(&p->numbers);
	struct upid *u;

	if (level > LEVELS_MAX)
		return 0;
	u = (struct upid *)(numbers + level * sizeof(struct upid));
	return BPF_CORE_READ(u, nr);
}

/* ---- The thread's state ---- */

/* Read the state at @tstate into the room. Is it this thread's? */
static __always_inline bool is_own_state(struct room *r, uint64_t tstate)
{
	const struct pmf_agent_threads *t = &r->py.threads;
	uint32_t bytes = t->tstate_id + WORD, tid;
	uint64_t id;

	if (tstate == 0 || tstate % WORD || bytes > STATE_ROOM ||
		bpf_probe_read_user(r->state, bytes, (const void *)tstate))
		return false;
	id = word_in(r->state, STATE_ROOM, t->tstate_id);
	if (!t->id_in_pthread)
		return id == r->tid;
	return bpf_probe_read_user(&tid, sizeof tid, (const void *)(id + PTHREAD_TID)) == 0 &&
	       tid == r->tid;
}

/* Of several states that one thread has, the last one that ran is bound to it. */
static __always_inline bool is_bound(const struct room *r)
{
	uint32_t status = r->py.threads.tstate_status;

	return status == 0 || int_in(r->state, STATE_ROOM, status) & STATUS_BOUND;
}

/* The next state in the lists of all interpreters. */
__attribute__((noinline)) int look_at_state(void)
{
	struct room *r = own_room();
	uint64_t tstate;

	if (!r)
		return DONE;
	if (r->tstate == 0) {
		uint64_t interp = r->interp;

		if (interp == 0 || !read_word(interp + r->py.threads.interp_threads, &r->tstate) ||
			!read_word(interp + r->py.threads.interp_next, &r->interp))
			return DONE;
		return GO_ON;
	}
	tstate = r->tstate;
	if (is_own_state(r, tstate)) {
		bool main = word_in(r->state, STATE_ROOM, r->py.threads.tstate_interp) ==
			    r->main_interp;

		/* To 3.11 nothing says which one ran last: the main interpreter's stands for all. */
		if (is_bound(r) && !r->found.own && (main || r->py.threads.tstate_status))
			r->found.own = tstate;
		else if (main)
			r->found.outer = tstate;
		/* Others of this thread are met before the main interpreter's, which is the oldest. */
		if (main)
			return DONE;
	}
	if (!read_word(tstate + r->py.threads.tstate_next, &r->tstate))
		return DONE;
	return GO_ON;
}

__attribute__((noinline)) int look_at_states(void)
{
	for (uint32_t i = 0; i < BATCH; i++)
		if (look_at_state() == DONE)
			return DONE;
	return GO_ON;
}

/* Leaves the state's bytes in the room. */
static __always_inline bool find_state(struct room *r)
{
	uint64_t at = r->py.runtime + r->py.threads.runtime_interpreters;
	uint32_t thread = (uint32_t)bpf_get_current_pid_tgid();
	struct states *known = bpf_map_lookup_elem(&threads, &thread);

	if (known && is_own_state(r, known->own) && is_bound(r)) {
		r->found = *known;
		return true;
	}
	r->found.own = r->found.outer = r->tstate = 0;
	if (!read_word(at, &r->interp) || !read_word(at + WORD, &r->main_interp)) {
		r->stack.flags |= PMF_BPF_UNREAD;
		return false;
	}
	for (uint32_t i = 0; i < STATE_BATCHES; i++)
		if (look_at_states() == DONE)
			break;
	if (!r->found.own)
		return false;
	bpf_map_update_elem(&threads, &thread, &r->found, BPF_ANY);
	return is_own_state(r, r->found.own);
}

/* ---- Frames ---- */

static __always_inline uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* What makes the code object in the room another than one that was at its address before; see
 * agent_walk.c. */
static __always_inline uint64_t code_key(const struct room *r, uint64_t code)
{
	const struct pmf_agent_layout *l = &r->py.layout;
	uint64_t h = mix(r->stack.rec.pid, code);

	h = mix(h, word_in(r->code_bytes, CODE_ROOM, SIZE_OFFSET));
	h = mix(h, word_in(r->code_bytes, CODE_ROOM, l->code_name));
	h = mix(h, word_in(r->code_bytes, CODE_ROOM, l->code_file));
	h = mix(h, word_in(r->code_bytes, CODE_ROOM, l->code_lines));
	h = mix(h, int_in(r->code_bytes, CODE_ROOM, l->code_first_line));
	return h | 1;
}

static __always_inline uint32_t last_instruction(const struct room *r, uint64_t code)
{
	const struct pmf_agent_layout *l = &r->py.layout;
	uint64_t at = int_in(r->frame_bytes, FRAME_ROOM, l->frame_instr);

	if (l->code_instrs)
		at = (word_in(r->frame_bytes, FRAME_ROOM, l->frame_instr) - code - l->code_instrs) /
		     CODE_UNIT_BYTES;
	/* Before the first one: what is below 0 is large. */
	return at >= PMF_BPF_LASTI_NONE ? PMF_BPF_LASTI_NONE : (uint32_t)at;
}

static __always_inline void mark_entry(struct room *r)
{
	uint32_t last = r->stack.nr_frames - 1;

	if (last < PMF_BPF_FRAMES_MAX)
		r->stack.frames[last].lasti |= PMF_BPF_ENTRY;
}

/* The frame behind the innermost run says whether that was the one that native code executes: 3.11 and 3.12
 * link a native frame before they set its current frame. */
static __always_inline bool is_settled(struct room *r, bool entry, uint64_t previous)
{
	if (!r->unsettled || (!entry && previous))
		return true;
	r->unsettled = 0;
	r->bad_run = previous != r->expected;
	return !r->bad_run;
}

/* Take one frame, and go to its caller. */
__attribute__((noinline)) int take_frame(void)
{
	struct room *r = own_room();
	const struct pmf_agent_layout *l;
	uint64_t code, previous, frame;
	uint32_t bytes, n, code_bytes;
	bool marked;

	if (!r)
		return DONE;
	l = &r->py.layout;
	if (!r->frame) {
		r->frame = r->outer_frame;
		r->outer_frame = 0;
	}
	frame = r->frame;
	if (!frame)
		return DONE;
	bytes = l->frame_bytes;
	if (frame % WORD || bytes > FRAME_ROOM ||
		bpf_probe_read_user(r->frame_bytes, bytes, (const void *)frame)) {
		r->stack.flags |= PMF_BPF_UNREAD;
		r->bad_run = r->unsettled;
		return DONE;
	}
	previous = word_in(r->frame_bytes, FRAME_ROOM, l->frame_previous);
	marked = l->entries != PMF_ENTRY_EVERY &&
		 r->frame_bytes[l->frame_entry & (FRAME_ROOM - 1)] == l->entry_value;
	if (!is_settled(r, marked, previous))
		return DONE;
	r->frame = previous;
	if (marked && l->entries == PMF_ENTRY_SHIM) {
		mark_entry(r);
		return GO_ON;
	}
	code = word_in(r->frame_bytes, FRAME_ROOM, l->frame_code);
	if (l->tagged)
		code &= ~UINT64_C(3);
	n = r->stack.nr_frames;
	if (n >= PMF_BPF_FRAMES_MAX) {
		r->stack.flags |= PMF_BPF_CUT;
		return DONE;
	}
	code_bytes = l->code_lines + WORD;
	if (code % WORD || code_bytes > CODE_ROOM) {
		r->stack.flags |= PMF_BPF_UNREAD;
		r->bad_run = r->unsettled;
		return DONE;
	}
	if (bpf_probe_read_user(r->code_bytes, code_bytes, (const void *)code)) {
		r->codes[n] = 0;
		r->stack.frames[n].code = 0;
	} else if (word_in(r->code_bytes, CODE_ROOM, TYPE_OFFSET) != r->py.code_type) {
		r->bad_run = r->unsettled;
		return DONE;
	} else if (word_in(r->code_bytes, CODE_ROOM, l->code_name) ==
		   word_in(r->code_bytes, CODE_ROOM, l->code_file)) {
		/* Cleaning up behind __init__ is code of the interpreter's own, with one name for
		 * all. */
		if (marked)
			mark_entry(r);
		return GO_ON;
	} else {
		r->codes[n] = code;
		r->stack.frames[n].code = code_key(r, code);
	}
	r->stack.frames[n].lasti = last_instruction(r, code);
	r->stack.nr_frames = n + 1;
	if (marked || l->entries == PMF_ENTRY_EVERY)
		mark_entry(r);
	return GO_ON;
}

__attribute__((noinline)) int take_frames(void)
{
	for (uint32_t i = 0; i < BATCH; i++)
		if (take_frame() == DONE)
			return DONE;
	return GO_ON;
}

/* Walk from @frame outwards. Returns whether that was what ran: @expected, if @unsettled, is what its
 * innermost run was called from. */
static __always_inline bool walk(struct room *r, uint64_t frame, bool unsettled, uint64_t expected)
{
	int verdict = GO_ON;

	r->frame = frame;
	r->unsettled = unsettled;
	r->expected = expected;
	r->bad_run = 0;
	r->stack.nr_frames = 0;
	for (uint32_t i = 0; i < FRAME_BATCHES && verdict == GO_ON; i++)
		verdict = take_frames();
	if (verdict == GO_ON)
		r->stack.flags |= PMF_BPF_CUT;
	return !r->bad_run;
}

/* Walk from what native frame @cframe executes. */
static __always_inline bool walk_native(struct room *r, uint64_t cframe)
{
	const struct pmf_agent_layout *l = &r->py.layout;
	uint64_t frame, outer, expected = 0;

	if (cframe % WORD || !read_word(cframe + l->cframe_frame, &frame) ||
		!read_word(cframe + l->cframe_previous, &outer) ||
		(outer && !read_word(outer + l->cframe_frame, &expected)))
		return false;
	return walk(r, frame, true, expected);
}

/* Walk from the state whose bytes are in the room. */
static __always_inline void walk_state(struct room *r)
{
	const struct pmf_agent_layout *l = &r->py.layout;
	uint64_t cframe, outer, frame = word_in(r->state, STATE_ROOM, l->tstate_frame);

	if (!l->tstate_cframe) {
		walk(r, frame, false, 0);
		return;
	}
	cframe = word_in(r->state, STATE_ROOM, l->tstate_cframe);
	if (walk_native(r, cframe))
		return;
	r->stack.flags = PMF_BPF_ENTERING; /* what garbage led to says nothing */
	if (!read_word(cframe + l->cframe_previous, &outer) || !walk_native(r, outer)) {
		r->stack.nr_frames = 0;
		r->stack.flags |= PMF_BPF_UNREAD;
	}
}

/* The frame from which the main interpreter's code has called into another interpreter. */
static __always_inline uint64_t outer_frame(struct room *r)
{
	const struct pmf_agent_layout *l = &r->py.layout;
	uint64_t frame = 0;

	if (!r->found.outer || !is_own_state(r, r->found.outer))
		return 0;
	frame = word_in(r->state, STATE_ROOM, l->tstate_frame);
	if (l->tstate_cframe &&
		!read_word(
			word_in(r->state, STATE_ROOM, l->tstate_cframe) + l->cframe_frame, &frame))
		return 0;
	return frame;
}

/* ---- Code objects ---- */

/* Put the characters of the str at @str behind the first @at bytes of r->code. Returns where they end. */
static __always_inline uint32_t take_text(
	struct room *r, uint64_t str, struct pmf_bpf_text *out, uint32_t at)
{
	const struct pmf_agent_layout *l = &r->py.layout;
	uint32_t head = l->text_other, state, width, bytes;
	uint64_t length;

	out->chars = 0;
	out->width = 1;
	if (head > TEXT_ROOM || bpf_probe_read_user(r->text, head, (const void *)str))
		return at;
	state = int_in(r->text, TEXT_ROOM, l->text_state);
	length = word_in(r->text, TEXT_ROOM, SIZE_OFFSET);
	width = state >> STATE_KIND_SHIFT & STATE_KIND_MASK;
	if (!(state & STATE_COMPACT) || (width != 1 && width != 2 && width != 4))
		return at;
	if (length > PMF_BPF_TEXT_MAX / width)
		length = PMF_BPF_TEXT_MAX / width;
	bytes = (uint32_t)length * width;
	if (bytes > PMF_BPF_TEXT_MAX || at > PMF_BPF_TEXT_MAX)
		return at;
	str += state & STATE_ASCII ? l->text_ascii : l->text_other;
	if (bpf_probe_read_user(r->code.bytes + at, bytes, (const void *)str))
		return at;
	out->width = width;
	out->chars = (uint32_t)length;
	return at + bytes;
}

static __always_inline void earn_credit(struct room *r)
{
	uint64_t more = (r->now_ns - r->credit_ns) / TELL_NS_PER_BYTE;

	r->credit += more;
	if (more > TELL_BYTES || r->credit > TELL_BYTES)
		r->credit = TELL_BYTES;
	r->credit_ns = r->now_ns;
}

/* Tell of frame @i's code object, unless that was done. */
__attribute__((noinline)) int tell_code(struct bpf_perf_event_data *ctx, uint32_t i)
{
	struct room *r = own_room();
	const struct pmf_agent_layout *l;
	uint64_t key, code, lines, size;
	uint32_t code_bytes, at, bytes, line_bytes = 0;
	struct telling now, *before;

	if (!r || i >= PMF_BPF_FRAMES_MAX || i >= r->stack.nr_frames)
		return DONE;
	l = &r->py.layout;
	key = r->stack.frames[i].code;
	code = r->codes[i];
	before = bpf_map_lookup_elem(&told, &key);
	now.ns = before ? before->ns : r->now_ns;
	now.cpu = bpf_get_smp_processor_id();
	now.pad = 0;
	/* What was told on another CPU a moment ago may reach the recorder behind this stack; it is told again
	 * where that leaves enough for what is new. */
	if (!key || (before && (before->cpu == now.cpu || r->now_ns - now.ns > TELL_AGAIN_NS ||
				       r->credit < TELL_BYTES / 2)))
		return GO_ON;
	if (r->credit < sizeof r->code) {
		r->stack.flags |= PMF_BPF_UNTOLD;
		return DONE;
	}
	code_bytes = l->code_lines + WORD;
	if (code_bytes > CODE_ROOM ||
		bpf_probe_read_user(r->code_bytes, code_bytes, (const void *)code))
		return GO_ON;
	r->code.rec = r->stack.rec;
	r->code.rec.type = PMF_BPF_CODE;
	r->code.code = key;
	r->code.first_line = int_in(r->code_bytes, CODE_ROOM, l->code_first_line);
	at = take_text(r, word_in(r->code_bytes, CODE_ROOM, l->code_name), &r->code.name, 0);
	at = take_text(r, word_in(r->code_bytes, CODE_ROOM, l->code_file), &r->code.file, at);
	if (at > 2 * PMF_BPF_TEXT_MAX)
		return DONE;
	lines = word_in(r->code_bytes, CODE_ROOM, l->code_lines);
	if (read_word(lines + SIZE_OFFSET, &size)) {
		line_bytes = size > PMF_BPF_LINES_MAX ? PMF_BPF_LINES_MAX : (uint32_t)size;
		if (bpf_probe_read_user(
			    r->code.bytes + at, line_bytes, (const void *)(lines + BYTES_DATA)))
			line_bytes = 0;
	}
	r->code.line_bytes = line_bytes;
	bytes = __builtin_offsetof(struct pmf_bpf_code, bytes) + at + line_bytes;
	r->credit -= bytes;
	if (bpf_perf_event_output(ctx, &outputs, BPF_F_CURRENT_CPU, &r->code, bytes) == 0)
		bpf_map_update_elem(&told, &key, &now, BPF_ANY);
	return GO_ON;
}

__attribute__((noinline)) int tell_codes(struct bpf_perf_event_data *ctx, uint32_t first)
{
	for (uint32_t i = 0; i < BATCH; i++)
		if (tell_code(ctx, first + i) == DONE)
			return DONE;
	return GO_ON;
}

/* ---- Programs ---- */

SEC("perf_event")
int pmf_python_walk(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	uint64_t ids = bpf_get_current_pid_tgid();
	uint32_t pid = (uint32_t)(ids >> 32), tid = (uint32_t)ids, n;
	struct pmf_bpf_python *py;
	struct room *r;

	if (recorder_ns) {
		pid = pid_for_recorder(BPF_CORE_READ(task, group_leader));
		tid = pid_for_recorder(task);
	}
	py = bpf_map_lookup_elem(&processes, &pid);
	if (!py)
		return 1;
	r = own_room();
	if (!r)
		return 1;
	r->py = *py;
	r->tid = own_pid(task);
	r->now_ns = bpf_ktime_get_ns();
	r->stack.rec.type = PMF_BPF_STACK;
	r->stack.rec.pid = pid;
	r->stack.rec.tid = tid;
	r->stack.rec.minor = r->py.layout.minor;
	r->stack.ip = PT_REGS_IP(&ctx->regs);
	r->stack.flags = 0;
	r->stack.nr_frames = 0;
	if (find_state(r)) {
		if (r->found.outer) {
			r->outer_frame = outer_frame(r);
			is_own_state(r, r->found.own);
		} else {
			r->outer_frame = 0;
		}
		walk_state(r);
	} else {
		r->stack.flags |= PMF_BPF_NO_STATE;
	}
	earn_credit(r);
	for (uint32_t i = 0; i < PMF_BPF_FRAMES_MAX; i += BATCH)
		if (tell_codes(ctx, i) == DONE)
			break;
	n = r->stack.nr_frames;
	if (n > PMF_BPF_FRAMES_MAX)
		n = PMF_BPF_FRAMES_MAX;
	bpf_perf_event_output(ctx, &outputs, BPF_F_CURRENT_CPU, &r->stack,
		__builtin_offsetof(struct pmf_bpf_stack, frames) + n * sizeof r->stack.frames[0]);
	return 1;
}

/* A fork is what its parent is, at once; whoever had this pid before is gone. */
SEC("raw_tp/sched_process_fork")
int pmf_python_forked(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx->args[0];
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	uint32_t pid = BPF_CORE_READ(child, tgid), from = BPF_CORE_READ(parent, tgid);
	struct pmf_bpf_python *py;

	if ((int)pid != BPF_CORE_READ(child, pid))
		return 0; /* a thread */
	if (recorder_ns) {
		pid = pid_for_recorder(child);
		from = pid_for_recorder(BPF_CORE_READ(parent, group_leader));
	}
	py = bpf_map_lookup_elem(&processes, &from);
	if (py)
		bpf_map_update_elem(&processes, &pid, py, BPF_ANY);
	else
		bpf_map_delete_elem(&processes, &pid);
	return 0;
}

static __always_inline int forget(struct task_struct *task)
{
	uint32_t pid = BPF_CORE_READ(task, tgid);

	if (recorder_ns)
		pid = pid_for_recorder(BPF_CORE_READ(task, group_leader));
	bpf_map_delete_elem(&processes, &pid);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int pmf_python_executed(struct bpf_raw_tracepoint_args *ctx)
{
	return forget((struct task_struct *)ctx->args[0]);
}

SEC("raw_tp/sched_process_exit")
int pmf_python_exited(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];

	/* The last thread's. */
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	return forget(task);
}

const char LICENSE[] SEC("license") = "Dual MIT/GPL";
