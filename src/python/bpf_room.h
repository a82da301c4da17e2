/* What the BPF program works with: the kernel's structures, as far as they are looked into, its maps, and the
 * room of one walk. */
#ifndef PMF_BPF_ROOM_H
#define PMF_BPF_ROOM_H

#include <linux/bpf.h>

#include <linux/bpf_perf_event.h>

#include "bpf_protocol.h"
#include <bpf/bpf_helpers.h>

/* Every read of a structure goes through one of these; offsets into it are masked. */
enum { STATE_ROOM = 256, FRAME_ROOM = 128, CODE_ROOM = 256, TEXT_ROOM = 128, WORD = 8 };

/* ---- What is used of the kernel's structures; the loader finds their offsets (CO-RE) ---- */

#define KERNEL_TYPE __attribute__((preserve_access_index))
struct ns_common {
	unsigned inum;
} KERNEL_TYPE;
struct pid_namespace {
	struct ns_common ns;
} KERNEL_TYPE;
struct upid {
	int nr;
	struct pid_namespace *ns;
} KERNEL_TYPE;
struct pid {
	unsigned level;
	struct upid numbers[1];
} KERNEL_TYPE;
typedef struct {
	int counter;
} KERNEL_TYPE atomic_t;
struct signal_struct {
	atomic_t live;
} KERNEL_TYPE;
struct task_struct {
	int pid, tgid;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct signal_struct *signal;
} KERNEL_TYPE;

/* ---- Maps ---- */

/* The pid namespace of the recorder, 0 if it is the first one. */
const volatile uint32_t recorder_ns = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PMF_BPF_PROCESSES_MAX);
	__type(key, uint32_t);
	__type(value, struct pmf_bpf_python);
} processes SEC(".maps");

/* The states that a thread had last, which are verified before they are used. */
struct states {
	uint64_t own;   /* what it runs */
	uint64_t outer; /* that of the main interpreter, where that has called another; else 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PMF_BPF_THREADS_MAX);
	__type(key, uint32_t);
	__type(value, struct states);
} threads SEC(".maps");

/* Where and when a code object was told. */
struct telling {
	uint64_t ns;       /* the first time */
	uint32_t cpu, pad; /* the last time */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PMF_BPF_CODES_MAX);
	__type(key, uint64_t);
	__type(value, struct telling);
} told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(uint32_t));
} outputs SEC(".maps");

enum verdict { GO_ON, DONE };

/* One walk. */
struct room {
	struct pmf_bpf_python py;
	uint32_t tid; /* as the interpreter sees it */
	uint64_t now_ns;
	/* Bytes that may be told of code objects, and since when there are so many. */
	uint64_t credit, credit_ns;
	/* Looking for the thread's state. */
	uint64_t interp, main_interp, tstate;
	struct states found;
	/* Going from frame to frame. */
	uint64_t frame, outer_frame;
	uint64_t
		expected; /* what the innermost run's outermost frame was called from; if unsettled */
	uint32_t unsettled;
	uint32_t bad_run;                   /* it was not */
	uint64_t codes[PMF_BPF_FRAMES_MAX]; /* addresses */
	uint8_t state[STATE_ROOM], frame_bytes[FRAME_ROOM], code_bytes[CODE_ROOM], text[TEXT_ROOM];
	struct pmf_bpf_stack stack;
	struct pmf_bpf_code code;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* as many as CPUs, set by the loader */
	__type(key, uint32_t);
	__type(value, struct room);
} rooms SEC(".maps");

static __always_inline struct room *own_room(void)
{
	uint32_t cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&rooms, &cpu);
}

/* ---- Reading ---- */

static __always_inline bool read_word(uint64_t at, uint64_t *out)
{
	return bpf_probe_read_user(out, sizeof *out, (const void *)at) == 0;
}

/* What stands at @offset of @bytes, a room of @size. */
static __always_inline uint64_t word_in(const uint8_t *bytes, uint32_t size, uint32_t offset)
{
	return *(const uint64_t *)(bytes + (offset & (size - sizeof(uint64_t))));
}

static __always_inline uint32_t int_in(const uint8_t *bytes, uint32_t size, uint32_t offset)
{
	return *(const uint32_t *)(bytes + (offset & (size - sizeof(uint32_t))));
}

#endif
