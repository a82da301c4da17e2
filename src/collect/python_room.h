/* What the files about Python share. docs/adr/0004 has the whole. */
#ifndef PMF_PYTHON_ROOM_H
#define PMF_PYTHON_ROOM_H

#include "collect_priv.h"

/* A stack that the agent wrote, kept until the samples that it belongs to are past. */
struct pmf_py_stack {
	uint64_t time_ns, ip, sp;
	bool cut, entering;
	size_t first, n; /* in the thread's frames */
};

/* A sample whose Python stack has not come yet: it comes when the thread returns to user code. */
struct pmf_py_wait {
	uint64_t time_ns, ip, sp, weight;
	uint32_t node; /* of its process */
	uint32_t event;
	bool rooted;
	size_t first, n;            /* in the thread's ids */
	size_t nr_joined;           /* the outermost of those */
	size_t first_user, nr_user; /* in its user frames */
};

/* Queues whose elements are taken from the front; what is behind @next is live. They are emptied
 * often, and then start anew. */
struct pmf_py_thread {
	uint32_t tid;
	struct pmf_py_stack *stacks;
	size_t nr_stacks, cap_stacks, next_stack;
	struct pmf_python_frame *frames;
	size_t nr_frames, cap_frames;
	struct pmf_py_wait *waits;
	size_t nr_waits, cap_waits, next_wait;
	uint32_t *ids;
	size_t nr_ids, cap_ids;
	struct pmf_unwind_frame *user;
	size_t nr_user, cap_user;
	/* The one that was passed last: samples in its handler belong to it. */
	struct pmf_py_stack last;
	struct pmf_python_frame *last_frames;
	size_t cap_last_frames;
};

/* A process's threads, by the numbers that they have in its pid namespace. */
struct pmf_py_tids {
	pid_t pid;
	bool differ; /* from ours: it is in another namespace */
	struct pmf_py_tid {
		uint32_t inner, outer; /* outer: 0 if the thread was gone when it was asked for */
	} * items;
	size_t n, cap;
	struct pmf_index by_inner;
};

enum { PMF_PY_RECENT = 2048 };

/* A process with events of its own, from its greeting to its exit or exec. */
struct pmf_py_process {
	pid_t pid;
	uint64_t since_ns;
	bool alone;
	struct pmf_python_process *memory; /* NULL: no agent took part */
	struct pmf_python_codes *codes;    /* of that, or its own */
	/* Its events, which a task's later threads inherit. */
	struct pmf_py_task {
		pid_t tid;
		struct pmf_perf_process *events;
	} * tasks;
	size_t nr_tasks, cap_tasks;
	struct pmf_py_thread *threads;
	size_t nr_threads, cap_threads;
	struct pmf_index by_tid;
	struct pmf_py_tids tids;
	/* Frames of the profile, by code object and instruction. */
	struct pmf_py_frame_id {
		uint32_t code, lasti, frame;
	} * ids;
	size_t nr_ids, cap_ids;
	struct pmf_index id_index;
	/* The last one that was looked up of those whose hashes begin alike. */
	struct pmf_py_frame_id recent[PMF_PY_RECENT];
};

/* A child of a process whose events it did not inherit. */
struct pmf_py_child {
	pid_t pid;
	uint64_t deadline_ns;
};

/* A process that maps a CPython or has greeted. */
struct pmf_py_interpreter {
	pid_t pid;
	bool mapped, greeted;
	uint64_t since_ns;
};

struct pmf_py {
	struct pmf_stacks *stacks;
	struct pmf_python_server *server; /* NULL: nothing is preloaded */
	struct pmf_py_bpf *bpf;           /* NULL: no BPF program takes part */
	struct pmf_perf_session *session;
	pid_t main_pid;
	bool lines, interpreter;
	bool warned_left_out;
	struct pmf_py_process **procs;
	size_t n, cap;
	struct pmf_py_child *children;
	size_t nr_children, cap_children;
	struct pmf_py_interpreter *interpreters;
	size_t nr_interpreters, cap_interpreters;
	/* Attached: whose recording this is, and who was asked to load the agent. */
	const struct pmf_collect_who *who;
	struct pmf_py_request *requests;
	size_t nr_requests, cap_requests;
	/* By frame of the profile: enum pmf_python_native + 1, 0 not known yet. */
	uint8_t *native;
	size_t nr_native;
	enum pmf_python_native kinds[PMF_STACK_MAX_FRAMES];
	struct pmf_python_merged merged[PMF_MERGED_MAX_FRAMES];
	uint32_t ids[PMF_MERGED_MAX_FRAMES]; /* of merged */
	/* For the ledger. */
	uint64_t connected, doubled, adopted, silent, with_python, agreed, compared, unmatched,
		dropped, malformed;
	uint32_t minors; /* bit n: CPython 3.n took part */
};

/* python.c: do the inherited events of process @pid sleep until it executes a program? */
bool pmf_py_sleeps(const struct pmf_py *py, pid_t pid);

/* python_homes.c: take the inherited events from process @pid, which waits for its answer, if they can
 * be opened again in all others. May read records from @src. */
bool pmf_py_release(struct pmf_py *py, pid_t pid, struct pmf_source *src);

/* python.c: free what hangs on @proc, and itself. */
void pmf_py_process_free(struct pmf_py_process *proc);
/* The profile is another one. */
void pmf_py_forget_frames(struct pmf_py_process *proc);

/* python_bpf.c */
void pmf_py_bpf_free(struct pmf_py_bpf *bpf);
int pmf_py_bpf_start(struct pmf_py *py, struct pmf_err *err);
void pmf_py_bpf_record(struct pmf_py *py, const struct pmf_record *rec);
bool pmf_py_bpf_sample(
	struct pmf_py *py, const struct pmf_record *rec, const struct pmf_py_sample *smp);
/* Between drains: forget who has ended. */
void pmf_py_bpf_round(struct pmf_py *py);
void pmf_py_bpf_note(struct pmf_py *py);
/* As pmf_py_restart. */
void pmf_py_bpf_restart(struct pmf_py *py, const uint32_t *images);

/* python_events.c: open events on the process, or @all: on each of its threads. What could be opened when
 * that fails is closed with the rest. */
int pmf_py_events_open(struct pmf_py *py, struct pmf_py_process *proc, bool signals, bool all,
	struct pmf_err *err);
/* Adds to @counted, of as many places as there are events, what each counted. */
void pmf_py_events_close(struct pmf_py *py, struct pmf_py_process *proc, uint64_t *counted);
bool pmf_py_events_have(const struct pmf_py_process *proc, size_t event);
void pmf_py_events_pause(struct pmf_py_process *proc, bool pause);

/* python_remote.c: was @pid asked to load the agent, and has not done it yet? */
bool pmf_py_is_asked(const struct pmf_py *py, pid_t pid);
/* Is thread @tid to be recorded? (-t) */
bool pmf_py_wants(const struct pmf_py *py, pid_t tid);
/* See what became of the requests. */
void pmf_py_remote_check(struct pmf_py *py);
void pmf_py_remote_end(struct pmf_py *py);

/* python_names.c */
uint32_t pmf_py_frame(
	struct pmf_py *py, struct pmf_py_process *proc, const struct pmf_python_frame *frame);
enum pmf_python_native pmf_py_native(struct pmf_py *py, uint32_t frame);

/* python_match.c */
struct pmf_py_thread *pmf_py_thread(struct pmf_py_process *proc, uint32_t tid);
/* A stack has come from the agent: a pmf_python_stack_cb; @ctx is a struct pmf_py_arrival. */
struct pmf_py_arrival {
	struct pmf_py *py;
	struct pmf_py_process *proc;
};
void pmf_py_arrived(void *ctx, const struct pmf_python_stack *stack);
/* No more stacks come for what waits in thread @t: draw them as they are. */
void pmf_py_give_up(struct pmf_py *py, struct pmf_py_thread *t);
void pmf_py_match(struct pmf_py *py, struct pmf_py_process *proc, const struct pmf_record *rec,
	const struct pmf_py_sample *smp);
/* Draw @smp with the Python frames @stack, now. */
void pmf_py_draw(struct pmf_py *py, struct pmf_py_process *proc, const struct pmf_py_sample *smp,
	const struct pmf_python_stack *stack);
void pmf_py_thread_release(struct pmf_py_thread *t);
/* Forget what waits in thread @t. */
void pmf_py_thread_restart(struct pmf_py_thread *t);

/* python_tids.c */
void pmf_py_tids_init(struct pmf_py_tids *t, pid_t pid);
void pmf_py_tids_release(struct pmf_py_tids *t);
/* The thread that calls itself @inner, as we call it; 0 if it is not known. */
uint32_t pmf_py_outer_tid(struct pmf_py_tids *t, uint32_t inner);
/* Thread @outer has ended: another one may be called as it was. */
void pmf_py_tids_forget(struct pmf_py_tids *t, uint32_t outer);

#endif
