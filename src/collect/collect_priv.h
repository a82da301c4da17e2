/* The rooms of the collect module. */
#ifndef PMF_COLLECT_PRIV_H
#define PMF_COLLECT_PRIV_H

#include "pmuflame/collect.h"
#include "pmuflame/container.h"
#include "pmuflame/jit.h"
#include "pmuflame/lines.h"
#include "pmuflame/perf_data_write.h"
#include "pmuflame/process.h"
#include "pmuflame/python.h"
#include "pmuflame/symbol.h"
#include <signal.h>
#include <sys/types.h>

/* ---- launch.c: the command as a child that waits for its start ---- */

struct pmf_launch {
	pid_t pid;     /* 0: nothing was started */
	int go_fd;     /* closing it lets the child give up, writing lets it exec */
	int errno_fd;  /* the child's errno if exec failed, end of file if it worked */
	int signal_fd; /* SIGCHLD and what ends programs arrive here */
	sigset_t old_mask;
	bool stopped; /* somebody asked for the end */
	bool asked;   /* SIGUSR1 came: a snapshot is wanted */
	bool exited;
	int wait_status;
};

/* @env: the command's environment. Without @argv there are only the signals to take. */
int pmf_launch_start(
	struct pmf_launch *l, char *const *argv, char *const *env, struct pmf_err *err);
/* Let it exec. *exec_errno gets 0, or why it could not (it has then exited). */
int pmf_launch_go(struct pmf_launch *l, int *exec_errno, struct pmf_err *err);
/* Read what signal_fd holds: notes the child's exit, forwards what was meant for it. */
void pmf_launch_signals(struct pmf_launch *l);
/* Restore the signals; a child that was never let go is ended. Where a signal asked for the end,
 * its likes stay blocked (not SIGQUIT): who presses Ctrl-C twice, or whose terminal and shell both
 * hang up, still wants the profile. */
void pmf_launch_end(struct pmf_launch *l);

/* ---- weights.c: how many events a sample stands for ---- */

/* The counts that samples with PERF_SAMPLE_READ carried last, per task and event id. */
struct pmf_weights {
	struct pmf_weight_last {
		uint64_t id, count;
		uint32_t tid;
		uint32_t next; /* another of this task, or another unused place; UINT32_MAX: none */
	} * lasts;
	size_t n, cap;
	size_t nr_unused;
	uint32_t unused;        /* the first, if there are any */
	struct pmf_index index; /* by tid and id */
	struct pmf_index tasks; /* by tid: one of the task's */
};

void pmf_weights_release(struct pmf_weights *w);
/* The weight of the sample @rec: what its event counted in its task since that task's last sample,
 * if the sample says, else its period. */
uint64_t pmf_weights_of(struct pmf_weights *w, const struct pmf_record *rec);
/* The sample @rec is not used, for another stands for the same events: its task's next one then
 * weighs nothing, since it may count some of them again. */
void pmf_weights_skip(struct pmf_weights *w, const struct pmf_record *rec);
/* Task @tid has exited. */
void pmf_weights_forget(struct pmf_weights *w, uint32_t tid);

/* ---- holes.c: dumps that end within the stack ---- */

struct pmf_holes {
	struct pmf_hole {
		uint64_t va, retry_ns;
		uint32_t tid;
	} last[64]; /* tried, by hash */
};

/* The dump of sample @rec, whose stack pointer was @sp, did not reach the root: make present what
 * the kernel found missing. For processes that run, not for recordings. */
void pmf_holes_fill(struct pmf_holes *h, const struct pmf_record *rec, uint64_t sp);

/* ---- joins.c: stacks that are deeper than their dump (docs/adr/0007) ---- */

enum {
	PMF_JOIN_MAX_FRAMES = 16384,
	PMF_JOIN_THREADS = 256,
	PMF_JOIN_ARMED_FOR = 4096, /* stacks: then small ones are not worth their hashing */
};

/* A frame that called, in the last whole stack of its thread. */
struct pmf_join_frame {
	uint64_t sp, va; /* as in struct pmf_unwind_frame */
	uint64_t words;  /* a hash of the stack from sp to its caller's */
	uint64_t
		ra_va; /* where its callee keeps the return address to it; 0 if that is not known */
	uint32_t id;   /* in the profile */
};

struct pmf_joins {
	struct pmf_join_thread {
		uint32_t pid, tid;
		uint32_t keeps;
		uint64_t used;
		struct pmf_join_frame *frames; /* outermost first */
		size_t n, cap;
		/* The first nr_seen of them stood in the thread's memory at seen_ns. */
		size_t nr_seen;
		uint64_t seen_ns;
	} threads[PMF_JOIN_THREADS];
	uint64_t uses;
	size_t room;  /* frames allocated */
	size_t armed; /* for so many stacks to come: one was cut */
	uint64_t memory[2048];
};

void pmf_joins_release(struct pmf_joins *j);
/* The profile @p begins after @old: its frames stand for the old one's from now on; @images[i] is the number
 * of image i now. */
void pmf_joins_restart(struct pmf_joins *j, struct pmf_profile *p, const struct pmf_profile *old,
	const uint32_t *images);
/* The stack @out of thread @tid was cut: the frames that called its outermost one, *outer the outermost
 * of them, and their number; 0 if nothing proves which they are. They live until the next call. */
size_t pmf_joins_find(struct pmf_joins *j, uint32_t tid, const struct pmf_unwind_in *in,
	const struct pmf_unwind_out *out, const struct pmf_join_frame **outer);
/* Does memory of the thread, now, hold the return addresses to the @n outermost frames of @t? True if it
 * cannot be read. */
bool pmf_joins_in_memory(struct pmf_joins *j, const struct pmf_join_thread *t, size_t n,
	const struct pmf_arch *arch);
/* Remember @out, which is whole by itself or with the @joined frames that were found. @ids: the
 * profile's numbers of its frames. */
void pmf_joins_keep(struct pmf_joins *j, uint32_t tid, const struct pmf_unwind_in *in,
	const struct pmf_unwind_out *out, const uint32_t *ids, size_t joined);
/* Forget the threads that @rec says have gone, or may have. Samples say nothing. */
void pmf_joins_record(struct pmf_joins *j, const struct pmf_record *rec);

/* ---- thread_frames.c: from a thread to a node ---- */

enum { PMF_THREADS_MAX = 256 };

struct pmf_threads {
	struct pmf_thread {
		uint32_t tid;
		char name[16];
		uint32_t process, node; /* the node below the process's; UINT32_MAX: to be found */
	} * items;                      /* that run, as far as the records say */
	size_t n, cap;
	struct pmf_index by_tid;
	/* Per process frame, the thread frames below it: with a tid, and without. */
	struct pmf_thread_count {
		uint32_t process, numbered, named;
	} * counts;
	size_t nr_counts, cap_counts;
	struct pmf_index by_process;
};

void pmf_threads_release(struct pmf_threads *t);
/* Another profile begins: forget the last one's nodes. */
void pmf_threads_restart(struct pmf_threads *t);
/* Note the names of threads and who left; before the process table applies @rec. */
void pmf_threads_record(
	struct pmf_threads *t, const struct pmf_process_table *table, const struct pmf_record *rec);
/* The frame of @rec's thread below @process, the node of its process, whose name is @comm. Main
 * threads of one name are one frame, as their processes are. The others have their tid behind their
 * name, the first PMF_THREADS_MAX of a process frame: later ones share their name's frame, or, with
 * as many names, one frame. */
uint32_t pmf_threads_node(struct pmf_threads *t, struct pmf_profile *p,
	const struct pmf_record *rec, const char *comm, uint32_t process);

/* ---- last_stacks.c: from frames to a node ---- */

enum {
	PMF_STACK_MAX_FRAMES = PMF_JOIN_MAX_FRAMES + 256,
	PMF_MERGED_MAX_FRAMES = PMF_STACK_MAX_FRAMES + PMF_PYTHON_MAX_FRAMES,
};

/* Per thread, what the last call made; a slot is shared by the threads that hash to it. */
struct pmf_last_stacks {
	struct pmf_last_stack {
		uint32_t root;
		size_t n;
		/* Outermost first. */
		uint32_t frames[PMF_MERGED_MAX_FRAMES], nodes[PMF_MERGED_MAX_FRAMES];
	} * threads[16];
};

void pmf_last_stacks_release(struct pmf_last_stacks *ls);
/* The node below @root of the @n frames @ids, innermost first, at most PMF_MERGED_MAX_FRAMES: what
 * pmf_profile_node says from frame to frame. @tid makes it fast, nothing else. */
uint32_t pmf_last_stacks_node(struct pmf_last_stacks *ls, struct pmf_profile *p, uint32_t tid,
	uint32_t root, const uint32_t *ids, size_t n);

/* ---- python.c: Python's part of the stacks (docs/adr/0004) ---- */

struct pmf_py_opts {
	bool lines;       /* a frame for each line of a function */
	bool interpreter; /* the interpreter's native frames, too */
};

/* A sample on its way into the profile: its frames stand in ids, innermost first. */
struct pmf_py_sample {
	uint32_t tid;
	uint32_t node; /* of its thread */
	uint32_t event;
	uint64_t weight;
	const uint32_t *ids;
	size_t n;
	size_t nr_joined;                    /* the outermost of them, found by joining */
	bool rooted;                         /* the user stack is whole */
	const struct pmf_unwind_frame *user; /* the user frames among them */
	size_t nr_user;
	uint64_t ip, sp; /* where user code stood */
};

struct pmf_py;
struct pmf_stacks;

int pmf_py_new(struct pmf_py **out, const struct pmf_py_opts *opts, struct pmf_stacks *stacks,
	struct pmf_err *err);
/* For processes that run already: by a BPF program (docs/adr/0024). */
int pmf_py_new_bpf(struct pmf_py **out, const struct pmf_py_opts *opts, struct pmf_stacks *stacks,
	struct pmf_err *err);
void pmf_py_free(struct pmf_py *py);
/* The environment, with the agent preloaded where there is one. */
char *const *pmf_py_env(const struct pmf_py *py);
/* Readable when a process wants to connect; -1: none ever does. */
int pmf_py_fd(const struct pmf_py *py);
/* The session is open, and counts nothing yet. */
int pmf_py_start(
	struct pmf_py *py, struct pmf_perf_session *session, pid_t main_pid, struct pmf_err *err);
/* attach.c: the process that thread @tid belongs to, 0 if there is no such thread. */
pid_t pmf_attach_process_of(pid_t tid);
/* Attached: can one of @who be asked to load the agent? PMF_ENOTFOUND: none of them is a CPython. */
int pmf_py_remote_look(const struct pmf_collect_who *who, struct pmf_err *why);
/* Ask them, and wait a moment for their greetings. Before counting starts. */
void pmf_py_remote_start(
	struct pmf_py *py, const struct pmf_collect_who *who, struct pmf_source *src);
/* Let in who waits, if there are @some, and see to the forks that did not come. May read records from
 * @src. */
void pmf_py_greetings(struct pmf_py *py, struct pmf_source *src, bool some);
/* Take what the agents wrote: before the kernel's rings are read. */
void pmf_py_read(struct pmf_py *py);
/* A record that is no sample, before the process table gets it. */
void pmf_py_record(struct pmf_py *py, const struct pmf_record *rec);
/* The process table has applied @rec, a mapping. */
void pmf_py_mapped(struct pmf_py *py, const struct pmf_record *rec);
/* Is sample @rec there a second time, with Python frames? */
bool pmf_py_drops(const struct pmf_py *py, const struct pmf_record *rec);
/* Draw @smp with its Python frames, now or when they come; false if it has none to expect. */
bool pmf_py_sample(struct pmf_py *py, const struct pmf_record *rec, struct pmf_py_sample *smp);
/* Is @function one of the interpreter's that Python frames stand for? */
bool pmf_py_hides(const struct pmf_py *py, const char *function);
/* After the last record, before the totals: draw what waits, count, note. */
void pmf_py_end(struct pmf_py *py);
/* The same in a copy of this program, whose original goes on: the agents and their events are not touched. */
void pmf_py_end_part(struct pmf_py *py);
/* Another profile begins: forget the last one's frames and counts, and the samples that wait, which were
 * drawn there. @images[i] is the number of image i now, UINT32_MAX if it has gone. */
void pmf_py_restart(struct pmf_py *py, const uint32_t *images);

/* ---- runtimes.c: what runtimes that generate code are told ---- */

struct pmf_runtimes {
	char **env; /* for the command */
	char *node; /* the variable for Node.js, NULL if somebody else has decided on maps */
};

/* @env: the environment that the command would have. */
void pmf_runtimes_init(struct pmf_runtimes *rt, char *const *argv, char *const *env);
void pmf_runtimes_release(struct pmf_runtimes *rt);
/* Into the ledger: what was run in another way than it would have been. */
void pmf_runtimes_note(const struct pmf_runtimes *rt, struct pmf_profile *p, bool saw_node);

/* ---- generated.c: frames of generated code ---- */

struct pmf_generated {
	struct pmf_jit *jit;
	struct pmf_generated_process **procs, *last; /* that have some; the one asked for last */
	size_t n, cap;
	struct pmf_index by_pid;
	struct pmf_generated_memo *memos;
	uint64_t waited; /* frames that had no name at first */
	bool own_maps; /* Node.js writes maps because we asked it to: they are to be removed again */
	bool saw_node;
	bool nameless_node; /* one had code that nothing named */
};

void pmf_generated_init(struct pmf_generated *g, const struct pmf_jit_opts *opts);
void pmf_generated_release(struct pmf_generated *g);
/* What @opts say of a recording; before the first record. */
void pmf_generated_use_recording(struct pmf_generated *g, const struct pmf_jit_opts *opts);
/* Another profile begins: forget the last one's frames. */
void pmf_generated_restart(struct pmf_generated *g);
/* The frame of @va, which lies in generated code of @proc, mapped as @im. @interpreted: the method, where
 * this is a Java VM's interpreter; it may be anything elsewhere. */
uint32_t pmf_generated_frame(struct pmf_stacks *s, struct pmf_process *proc,
	const struct pmf_image *im, uint64_t va, uint64_t interpreted);
/* For the unwinder (struct pmf_unwind_in); @ctx is the struct pmf_stacks. Code that is told of only later is
 * not known yet. */
bool pmf_generated_find_code(
	void *ctx, const struct pmf_unwind_in *in, uint64_t va, struct pmf_unwind_code *out);
/* A file was mapped as code: a jitdump file, or Node.js, maybe. */
void pmf_generated_mapped(struct pmf_stacks *s, const struct pmf_record *rec);
/* Process @pid has ended, or executes another program: its frames get their names now. */
void pmf_generated_end(struct pmf_stacks *s, pid_t pid);
/* The run is over, for all of them. */
void pmf_generated_end_all(struct pmf_stacks *s);

/* ---- java.c: frames of a Java VM ---- */

struct pmf_java {
	struct pmf_java_method *methods; /* that were asked for lately */
};

void pmf_java_release(struct pmf_java *j);
/* As pmf_generated_frame; UINT32_MAX if this is no Java VM, or none that can still be asked. */
uint32_t pmf_java_frame(
	struct pmf_stacks *s, struct pmf_process *proc, uint64_t va, uint64_t interpreted);

/* ---- idle.c: CPUs with nothing to do ---- */

struct pmf_idle {
	bool hides; /* clocks of CPUs are counted, and the idle task can be told by its number */
	const char *cpus;           /* which; borrowed */
	uint64_t before_ns, now_ns; /* idle time at the beginning, and at the last look */
};

/* Counting clocks on @cpus (NULL: all) begins now. */
void pmf_idle_begin(struct pmf_idle *idle, const char *cpus);
/* Look how long it is so far. */
void pmf_idle_look(struct pmf_idle *idle);
/* The next part of the run begins with the last look. */
void pmf_idle_next(struct pmf_idle *idle);
/* Is the sample @rec of an event of class @cls the idle task's? */
bool pmf_idle_hides(
	const struct pmf_idle *idle, enum pmf_event_class cls, const struct pmf_record *rec);
/* Take the time up to the last look off what event @e counted, and say so. */
void pmf_idle_leave_out(
	const struct pmf_idle *idle, enum pmf_event_class cls, struct pmf_profile *p, size_t e);

/* ---- stacks.c: records into the profile ---- */

/* What the run knows of a process beside its maps. Hangs on pmf_process.user. */
struct pmf_proc_cost {
	uint32_t node; /* its frame below the root, of the comm below */
	char comm[16];
	uint64_t exit_ns;   /* 0 while it runs */
	uint64_t counted[]; /* per event: what exited tasks read; then per event: what samples
			     * weigh */
};

struct pmf_stacks {
	struct pmf_profile *profile;
	const struct pmf_event_list *list;
	const struct pmf_arch *arch;
	struct pmf_process_table table;
	struct pmf_unwinder *unwinder;
	struct pmf_unwinder *narrow; /* of 32-bit programs; made for the first sample of one */
	struct pmf_symbolizer *symbols;
	struct pmf_sandbox *sandbox; /* whose processes read files; NULL: this one */
	struct pmf_lines *lines;     /* of the main ones; NULL: none are wanted */
	size_t nr_asked;             /* frames whose lines were asked for */
	/* Frames of files that were named, and where their function begins. */
	struct pmf_named {
		uint32_t frame, image;
		uint64_t start, rva;
	} * named;
	size_t nr_named, cap_named;
	struct pmf_generated generated;
	struct pmf_java java;
	struct pmf_ksymbols ksymbols;
	enum pmf_unwind_mode mode;
	enum pmf_unwind_by by;
	bool narrow_unknown; /* there were samples of 32-bit programs that nothing here can unwind */
	struct {
		uint32_t module, path;
	} * image_strings; /* per image id */
	size_t nr_image_strings, cap_image_strings;
	struct pmf_py *python;            /* NULL: no agents */
	struct pmf_perf_data_writer *raw; /* NULL: no recording beside the profile */
	struct pmf_unwind_frame frames[PMF_UNWIND_MAX_FRAMES];
	size_t nr_frames;                   /* of the sample's user stack */
	bool rooted;                        /* it is whole */
	uint32_t ids[PMF_STACK_MAX_FRAMES]; /* frames of one stack, innermost first */
	struct pmf_threads threads;
	struct pmf_last_stacks last_stacks;
	struct pmf_joins joins;
	size_t nr_joined; /* of the sample's frames: the outermost, found by joining */
	uint32_t truncated_frame, broken_frame;
	uint32_t *unsampled_frames; /* per event */
	struct pmf_weights weights;
	struct pmf_holes holes;
	uint32_t stack_bytes; /* asked for with each sample; 0 if not known */
	bool name_containers;
	struct pmf_containers containers;
	bool inherit; /* children are recorded, and so are their exits */
	uint64_t lost_records;
	bool counts_seen;     /* samples of software events carry counts of their own */
	bool has_descendants; /* some process was forked */
	enum pmf_perf_target target;
	size_t nr_adopted; /* tasks that ran when the profile began */
	struct pmf_idle idle;
	bool not_started; /* counting has not begun yet */
	enum pmf_naming_depth depth;
	bool reads_missing; /* and none of them told what it counted */
	bool intervals;     /* the profile is one of several of the run, one after another */
	bool goes_on;       /* the profile ends, and the run does not */
	uint64_t swept_ns;
	size_t unswept; /* records since it was time for the next sweep */
	uint64_t now_ns;
	uint64_t *read_elsewhere; /* per event: READ of processes that were settled */
	/* Per process frame, events in a row: counted and not sampled; negative where the samples
	 * weigh more. */
	int64_t *deficits;
	uint32_t *deficit_nodes;
	size_t nr_deficits, cap_deficits, cap_deficit_nodes;
	struct pmf_index deficit_index; /* by node */
};

void pmf_stacks_init(struct pmf_stacks *s, struct pmf_profile *p, const struct pmf_event_list *list,
	const struct pmf_arch *arch, enum pmf_unwind_mode mode, enum pmf_unwind_by by, bool live);
/* Files are read by processes of @sandbox. Without one, the ledger says why there is none, if @why_not does. */
void pmf_stacks_use_sandbox(struct pmf_stacks *s, struct pmf_sandbox *sandbox, const char *why_not);
/* Who walks dumps, where @by was asked for: where files are not trusted, libunwind is not by default. */
enum pmf_unwind_by pmf_stacks_unwind_by(enum pmf_unwind_by by, const struct pmf_sandbox *sandbox);
void pmf_stacks_release(struct pmf_stacks *s);
/* Give s->profile the frames that stand for none. */
void pmf_stacks_add_special(struct pmf_stacks *s);
/* A pmf_record_cb, @ctx is the struct pmf_stacks. */
int pmf_stacks_record(void *ctx, const struct pmf_record *rec);
/* The frame at @rva of @im. */
uint32_t pmf_stacks_image_frame(
	struct pmf_stacks *s, enum pmf_frame_kind kind, const struct pmf_image *im, uint64_t rva);
/* The cost record of @proc, made if new. */
struct pmf_proc_cost *pmf_stacks_cost(struct pmf_stacks *s, struct pmf_process *proc);
/* Add what @proc counted beyond its samples to its name's deficit, and forget its numbers. */
void pmf_stacks_settle(struct pmf_stacks *s, struct pmf_process *proc);
/* A sample of @event at @node was joined, but for its @inside innermost frames. */
void pmf_stacks_mark_joined(struct pmf_stacks *s, uint32_t event, uint32_t node, size_t inside);
/* The deficits of the process frame @node, one per event; there are as many as names of
 * processes. */
int64_t *pmf_stacks_deficits(struct pmf_stacks *s, uint32_t node);
/* Another profile begins: what processes cost is nothing yet. */
void pmf_costs_restart(struct pmf_stacks *s);
/* Draw the deficits of event @e, so that samples and [unsampled] add up to the count. */
void pmf_stacks_draw_unsampled(struct pmf_stacks *s, size_t e);
/* Settle the processes that left a while ago and let the table forget them. */
void pmf_stacks_sweep(struct pmf_stacks *s);

/* ---- sample_frames.c: the frames of a sample ---- */

/* Register @reg, if the sample has it. */
bool pmf_sample_reg(const struct pmf_sample *smp, unsigned reg, uint64_t *out);
/* The frames of the sample @rec of @proc into s->ids, innermost first; returns how many. s->frames, nr_frames,
 * rooted and nr_joined say what they are. @known: it is known whose mappings and stack the sample's are. */
size_t pmf_sample_frames(
	struct pmf_stacks *s, struct pmf_process *proc, const struct pmf_record *rec, bool known);

/* ---- shards.c: one struct pmf_stacks per reader of the rings ---- */

struct pmf_shards {
	struct pmf_stacks *main; /* of the first reader, the calling thread; borrowed */
	struct pmf_shard {
		struct pmf_stacks stacks;
		struct pmf_profile profile;
	} * *items; /* of the others */
	size_t n;
};

/* @main is complete: what was granted stands in its profile. */
void pmf_shards_init(
	struct pmf_shards *sh, struct pmf_stacks *main, enum pmf_unwind_by by, size_t readers);
void pmf_shards_release(struct pmf_shards *sh);
/* pmf_idle_begin for all. */
void pmf_shards_idle(struct pmf_shards *sh, const char *cpus);
/* A pmf_record_cb, @ctx is the struct pmf_shards: to the stacks of rec->reader. */
int pmf_shards_record(void *ctx, const struct pmf_record *rec);
/* The same, to all stacks. */
int pmf_shards_tell(void *ctx, const struct pmf_record *rec);
/* Between drains: ask for the lines of what is new. */
void pmf_shards_ask(struct pmf_shards *sh);
/* Samples of event @event so far; between drains. */
uint64_t pmf_shards_samples(const struct pmf_shards *sh, size_t event);
/* After the last record: all that the shards have into the main one. */
void pmf_shards_merge(struct pmf_shards *sh);

/* ---- collect.c ---- */

/* Room for events × CPUs descriptors, or for the files of a whole machine. Called after the fork: the
 * command keeps the old limit. */
void pmf_raise_nofile(void);
/* ---- raw.c: the recording beside the profile ---- */

int pmf_raw_open(struct pmf_perf_data_writer **out, const struct pmf_collect_opts *opts,
	const struct pmf_event_list *list, struct pmf_source *src, struct pmf_err *err);

/* ---- totals.c: counters against samples, and the ledger ---- */

/* Facts of @list into the profile's events; before the run. */
void pmf_totals_begin(struct pmf_profile *p, const struct pmf_event_list *list);
/* After the last record: totals, scaling, unsampled shares. @main_pid: whose tasks' counts are the
 * remainder (0: none). */
int pmf_totals_end(
	struct pmf_stacks *s, struct pmf_source *src, pid_t main_pid, struct pmf_err *err);

/* ---- dropped.c: commands whose events end at exec ---- */

/* Where execvp(3) finds @name, or NULL; free(3) it. */
char *pmf_find_on_path(const char *name);
/* The reason for an empty profile, if that is it. */
void pmf_dropped_note(struct pmf_profile *p, const char *command);

/* ---- naming.c: names for the frames ---- */

/* The frame of code that the kernel has made and registered under @name. */
uint32_t pmf_ksymbol_frame(struct pmf_profile *p, const char *name);

/* The function at @rva of @im, or the one that the code there was put apart of. */
bool pmf_naming_symbol(
	struct pmf_stacks *s, struct pmf_image *im, uint64_t rva, struct pmf_symbol *out);

/* The rest is for the main stacks. Where memory is limited: find out how much may be looked up, if need be in a
 * copy of this program. */
void pmf_naming_choose(struct pmf_stacks *s, const struct pmf_image_search *search,
	const struct pmf_collect_opts *o);
/* @on_progress may be NULL. */
void pmf_naming_run(struct pmf_stacks *s, pmf_naming_cb *on_progress, void *ctx);
/* For images_closing of the process table; @ctx is the struct pmf_stacks. */
void pmf_naming_images(void *ctx, struct pmf_image *const *images, size_t n);

/* ---- naming_lines.c: source lines and inlined functions ---- */

/* Ask @main's lines for the frames that @s, @main itself or a shard, has more than last time. */
void pmf_naming_ask(struct pmf_stacks *main, struct pmf_stacks *s);
/* Ask for the rest, wait for the answers, and let the symbolizer have the files that came with them. */
void pmf_naming_wait(struct pmf_stacks *s, pmf_naming_cb *on_progress, void *ctx);
/* After the frames have names. */
void pmf_naming_lines(struct pmf_stacks *s);

#endif
