/* pmuflame/profile.h - what a run cost, by stack: interned frames, a stack tree, a column per
 * event. Layer: profile (uses base). Threads: one owner.
 *
 * While recording, frames are addresses (module, rva); names are filled in later, once per frame.
 * The call tree by name, which renderers draw, is built on demand (struct pmf_tree). */
#ifndef PMUFLAME_PROFILE_H
#define PMUFLAME_PROFILE_H

#include "pmuflame/buf.h"
#include "pmuflame/err.h"
#include "pmuflame/hash.h"
#include "pmuflame/mem.h"
#include "pmuflame/regex.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum pmf_frame_kind {
	PMF_FRAME_ROOT,    /* "all" */
	PMF_FRAME_PROCESS, /* a process, by its comm */
	PMF_FRAME_KERNEL,
	PMF_FRAME_NATIVE,
	PMF_FRAME_INLINED,
	PMF_FRAME_PYTHON,
	PMF_FRAME_JIT,
	PMF_FRAME_SPECIAL, /* "[unsampled]", "[kernel time, not permitted]", "[truncated stack]" */
	PMF_FRAME_THREAD,  /* a thread, by its name; below its process */
};
enum { PMF_FRAME_KINDS = PMF_FRAME_THREAD + 1 };
/* How a kind is called in files: "kernel", "native" and so on. */
const char *pmf_frame_kind_name(enum pmf_frame_kind kind);

/* Functions, as opposed to what groups and explains them. */
bool pmf_frame_is_code(enum pmf_frame_kind kind);

/* One interned frame. Key while recording: (kind, image, module, path, rva); frames made by name
 * have rva 0, no image, and differ by kind and name. All strings are ids in the profile's string
 * table. */
struct pmf_frame {
	enum pmf_frame_kind kind;
	uint32_t module; /* file name of the mapping: "libc.so.6", "[kernel]", ""; of a process: its
			  * container */
	uint32_t path;   /* the whole path, for tooltips and later look-ups */
	uint64_t rva;    /* address in the image, 0 when made by name */
	uint32_t image; /* the recorder's number of the file, for symbolizing; UINT32_MAX if none */
	uint32_t name;  /* function, demangled; 0 until named */
	uint32_t file;  /* source file, 0 if not known */
	uint32_t line;
	uint32_t start_line; /* where in it the function begins, 0 if not known */
	/* Inlined callees at this address, outermost first: frames of kind INLINED, or none. */
	uint32_t first_inline, nr_inline;
	bool unresolved; /* no name could be found; name is then "[libfoo.so+0x1234]" */
};

/* A node of the stack tree: the frame @frame called from @parent. Node 0 is the root. */
struct pmf_node {
	uint32_t parent;
	uint32_t frame;
	uint64_t hash; /* of all frames from the root to here */
};

/* Per-event facts, the numeric half of the ledger. Counts are in events (ns for clocks). */
struct pmf_profile_event {
	char *spec;       /* asked for */
	char *label;      /* counted */
	char *unit;       /* "ns" or "events" */
	char *file_name;  /* label made safe, unique among the run's events */
	uint64_t period;  /* fixed, or 0 */
	uint64_t freq_hz; /* asked for, or 0 */
	int precise_ip;   /* granted */
	bool exclude_kernel, exclude_user;
	bool cpu_timer; /* sampled by timers of the CPUs: samples share what was counted */
	bool in_kernel; /* only ever happens there: what called into it is of interest */
	char *fallback_reason;
	uint64_t counted;  /* Σ read() over CPUs, not scaled */
	bool only_samples; /* a recording: what was counted is not known, and counted is weight */
	uint64_t enabled_ns, running_ns,
		task_ns;          /* Σ over CPUs; task_ns: the dummy's running time */
	double scale;             /* multiplexing: ≥ 1; exactly 1 if it always ran */
	uint64_t samples, weight; /* taken, and Σ of their raw weights */
	double weight_sq;         /* Σ of their squared raw weights; pmf_profile_add() adds it */
	uint64_t unsampled;       /* counted beyond samples, raw */
	char *unsampled_name;     /* the frame that holds it; NULL: "[unsampled]" */
	uint64_t lost;            /* samples lost; valid if lost_known */
	bool lost_known;
	uint64_t throttled; /* THROTTLE records */
	/* Per sample-column counts, filled by the recorder. */
	uint64_t cut_stacks;    /* the dump ended before the stack did */
	uint64_t joined_stacks; /* so it did, but an earlier stack of the thread had the rest */
	uint64_t broken_stacks; /* the unwinder gave up elsewhere */
	uint64_t rooted_stacks; /* reached the outermost frame */
	uint64_t
		no_user_stack; /* no user registers: kernel threads, exiting tasks; or within execve */
	uint64_t skewed_stacks; /* precise ip outside the function of the dumped registers */
	uint64_t unresolved_frames, frames; /* leaf and inner frames, over all samples */
};

/* A sentence of the ledger that is no number. */
enum pmf_note_level { PMF_NOTE_INFO, PMF_NOTE_WARN };
struct pmf_note {
	enum pmf_note_level level;
	int event; /* index, or -1 for the whole run */
	char *text;
};

struct pmf_profile {
	struct pmf_strtab strings;
	struct pmf_frame *frames;
	size_t nr_frames, cap_frames;
	struct pmf_index frame_index;
	struct pmf_node *nodes;
	size_t nr_nodes, cap_nodes;
	struct pmf_index node_index;
	struct pmf_profile_event *events;
	size_t nr_events;
	/* Column e: weights[e][node] and samples[e][node], self values; both have cap_columns
	 * places, zeroed beyond what was added. */
	uint64_t **weights, **samples;
	/* The same for samples whose stack was joined to an earlier one: at the innermost frame
	 * that came from that. A column is NULL until there are some. */
	uint64_t **joined;
	size_t cap_columns;
	/* String ids of the images' build ids in hexadecimal, by pmf_frame.image; 0: not known. */
	uint32_t *build_ids;
	size_t nr_build_ids, cap_build_ids;
	struct pmf_note *notes;
	size_t nr_notes, cap_notes;
	/* The run. */
	char *title;   /* the target's or command's name */
	char *command; /* the command line, shell-quoted, home as ~; NULL if left out */
	/* Who was recorded that ran already, "attached to nginx (pid 12, 64 threads)"; NULL: a command that
	 * was started for it. */
	char *watched;
	char *host_note; /* machine, kernel: "x86_64, Linux 6.18.44, 2 CPUs" */
	uint64_t start_unix_ns, duration_ns;
	uint64_t lost_sideband;     /* non-sample records lost */
	uint64_t lost_unattributed; /* LOST records' sum where the kernel has no PERF_FORMAT_LOST */
	size_t ring_bytes;          /* per CPU; 0: not known */
	int cpus;
};

/* Frame 0 and node 0 are the root, "all". Every event's scale is 1 and its lost is known. */
void pmf_profile_init(struct pmf_profile *p, size_t nr_events);
/* Begin @p as @like stands, which has no sample yet: its events, notes and machine. */
void pmf_profile_init_like(struct pmf_profile *p, const struct pmf_profile *like);
void pmf_profile_release(struct pmf_profile *p);
/* One more event, with empty columns; returns its number. */
size_t pmf_profile_add_event(struct pmf_profile *p);

/* Say which build of its file image @image is; @build_id is copied as hexadecimal digits. */
void pmf_profile_set_build_id(
	struct pmf_profile *p, uint32_t image, const uint8_t *build_id, size_t len);
/* Give every event, by its label, a file_name that is safe and no other event's ("cycles-2"). */
void pmf_profile_name_files(struct pmf_profile *p);

/* Intern an address. The ids are string-table ids. Returns the frame's id; names come later. */
uint32_t pmf_profile_frame_at(struct pmf_profile *p, enum pmf_frame_kind kind, uint32_t image,
	uint32_t module, uint32_t path, uint64_t rva);
/* Intern a frame that is only a name. */
uint32_t pmf_profile_frame_named(struct pmf_profile *p, enum pmf_frame_kind kind, const char *name);
/* The frame of a process called @comm in the container @container, which may be NULL: "COMM (CONTAINER)",
 * with the container as its module. */
uint32_t pmf_profile_process_frame(struct pmf_profile *p, const char *comm, const char *container);
/* Name a frame once known: the strings are copied. */
void pmf_profile_name_frame(
	struct pmf_profile *p, uint32_t frame, const char *name, const char *file, uint32_t line);
/* Say in which line of its file the function of @frame, which was named, begins. */
void pmf_profile_set_start_line(struct pmf_profile *p, uint32_t frame, uint32_t line);
/* Frame @frame, of its own key, turned out to be what @as is: they look the same from now on. */
void pmf_profile_alias_frame(struct pmf_profile *p, uint32_t frame, uint32_t as);
/* Give @frame one more inlined callee, outermost first. Returns the callee's frame; those returned
 * for the same @frame before may have moved. */
uint32_t pmf_profile_add_inline(
	struct pmf_profile *p, uint32_t frame, const char *name, const char *file, uint32_t line);

/* The child of node @parent for @frame, made if new. Parents stand before their children. */
uint32_t pmf_profile_node(struct pmf_profile *p, uint32_t parent, uint32_t frame);
/* The same for @n frames on end, outermost first, below @parent: their nodes go to @nodes. It waits for
 * memory once where one by one would wait for each. */
void pmf_profile_nodes(
	struct pmf_profile *p, uint32_t parent, const uint32_t *frames, size_t n, uint32_t *nodes);
/* Add to event @event at @node: @weight events from @samples samples of equal weight; no samples:
 * counted only. Of the event's sums only weight_sq is kept here. Never allocates. */
void pmf_profile_add(
	struct pmf_profile *p, size_t event, uint32_t node, uint64_t weight, uint64_t samples);

/* Add all of @from, a profile of the same events whose frames have no inlined callees yet, to @p:
 * frames, stacks, columns and what samples add to the events. @images[i] is @p's number of @from's
 * image i. Returns @p's node for each of @from's; free(3) it. */
uint32_t *pmf_profile_absorb(
	struct pmf_profile *p, const struct pmf_profile *from, const uint32_t *images);
/* @p's frame for @from's frame @frame, made if new; @images as above. */
uint32_t pmf_profile_take_frame(struct pmf_profile *p, const struct pmf_profile *from,
	uint32_t frame, const uint32_t *images);
/* Multiply the weights of event @event by @scale (2^-60 to 2^20), in such a way that their sum is
 * right to the last unit, and with them weight, unsampled and weight_sq. */
void pmf_profile_scale_weights(struct pmf_profile *p, size_t event, double scale);
/* @samples of event @event were joined: @node and its callers are an earlier stack's. */
void pmf_profile_add_joined(struct pmf_profile *p, size_t event, uint32_t node, uint64_t samples);

/* How many samples of equal weight would know a share as well as @ev's do (Kish's effective sample
 * size: weight² / weight_sq); its samples where the squares are not known. */
double pmf_profile_effective_samples(const struct pmf_profile_event *ev);

/* A sentence for the ledger. Identical sentences are kept once. */
void pmf_profile_note(struct pmf_profile *p, enum pmf_note_level level, int event, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

/* The ledger of event @event as lines of text ("samples 19,998 · lost 0 …"), the main one first,
 * notes of the run included; what an SVG's footer and the summary print. Control characters in text
 * from outside are replaced. */
void pmf_profile_ledger(const struct pmf_profile *p, size_t event, struct pmf_buf *out);

/* What was counted, and in what unit, also where nobody said so. */
const char *pmf_profile_label(const struct pmf_profile_event *ev);
const char *pmf_profile_unit(const struct pmf_profile_event *ev);
/* Does the event count ns, not events? */
bool pmf_profile_is_time(const struct pmf_profile_event *ev);
/* Write @weight of event @ev into @out (PMF_UNITS_MAX bytes) and return it: time for clocks ("1.23
 * s"), else a whole count with separators. */
char *pmf_profile_format(const struct pmf_profile_event *ev, double weight, char *out);

/* ---- On disk: a pprof file, gzip'd protobuf (docs/adr/0008) ---- */

/* Write @p to @f. Loaded again it draws the same pictures; what has neither weight nor samples is
 * left out. Write errors are left in ferror(@f); PMF_ELIMIT if the format's numbers are too
 * small. */
int pmf_profile_save(const struct pmf_profile *p, FILE *f, struct pmf_err *err);
/* Read a pprof file, compressed or not, of ours or of another program, whose sample types then are
 * the events. @p is initialised here, and released on failure: PMF_EFORMAT, PMF_ELIMIT (it would
 * take gigabytes), PMF_EUNSUP (a later version's). */
int pmf_profile_load(struct pmf_profile *p, const void *data, size_t len, struct pmf_err *err);
/* Read folded stacks, "outer;inner COUNT" on each line, fractions allowed, of one event called
 * "count"; _[k], _[i] and _[j] behind a name say what it is. As pmf_profile_load otherwise; the
 * sentence has the number of a line that is none. */
int pmf_profile_load_folded(
	struct pmf_profile *p, const void *data, size_t len, struct pmf_err *err);
/* Add all of @from to @p, events with the same label being one. Counts, samples, times and losses
 * add up, notes are joined; what cannot be added (rates, precision) stays where both agree, else a
 * note says so. Where an event was multiplexed differently, both are scaled before they are added:
 * @from changes, too. */
void pmf_profile_merge(struct pmf_profile *p, struct pmf_profile *from);

/* Add to @p the events of @from that it does not have, as they are: @from ran the same under other
 * events. */
void pmf_profile_join(struct pmf_profile *p, struct pmf_profile *from);

/* ---- The call tree by name ---- */

/* A function as drawn: frames with the same kind, module, name, source file and first line are one;
 * and the same line, if the tree has lines. Strings are ids of pmf_tree_string(). */
struct pmf_func {
	enum pmf_frame_kind kind;
	uint32_t name, module, path, file;
	/* What it is shown as: its name made short (pmuflame/names.h), as far as that tells it from the
	 * others of its module; where its name alone does not, with its place behind it:
	 * "std::vector<…>::push_back", "init (a.c)". And the same with all of its name. */
	uint32_t label, full_label;
	uint32_t start_line; /* where in file it begins, 0 if not known */
	uint32_t line;       /* 0 unless asked for */
	bool unresolved;
};

struct pmf_tree_node {
	uint32_t func;
	uint32_t parent;                    /* UINT32_MAX for the root, node 0 */
	uint32_t first_child, next_sibling; /* UINT32_MAX at the end */
	uint32_t depth;                     /* root 0 */
};

/* How functions are called in what is drawn and written. */
enum pmf_tree_names {
	PMF_NAMES_AUTO, /* short for people, in full for programs */
	PMF_NAMES_SHORT,
	PMF_NAMES_FULL,
};

/* What a tree holds of its profile. */
struct pmf_tree_opts {
	bool threads;        /* frames of threads are drawn, too, not left out */
	bool lines;          /* a function's lines are told apart */
	bool fold_recursion; /* a function that calls itself is one frame, however often it does */
	bool keep_clones; /* parts and copies of functions that compilers made are not the function */
	enum pmf_tree_names names;
	/* Only stacks with a frame whose name, in full or short, matches @focus, and with none that
	 * matches @ignore. NULL: all. Borrowed, for as long as the tree lives. */
	struct pmf_regex *focus, *ignore;
};

/* Columns are scaled weights and sample counts: total[e * nr_nodes + node] and so on. Functions are
 * ordered by name, then module, kind, file and first line, and siblings as their functions, so that the
 * same program draws the same picture. Nodes stand in preorder: a parent before its children, a
 * subtree in one piece. */
struct pmf_tree {
	const struct pmf_profile *profile; /* borrowed */
	struct pmf_func *funcs;
	size_t nr_funcs, cap_funcs;
	struct pmf_tree_node *nodes;
	size_t nr_nodes, cap_nodes;
	double *total, *self;
	uint64_t *samples_total, *samples_self;
	uint64_t *joined; /* samples that have the node from an earlier stack; NULL: none. In a
			   * filtered tree at most so many. */
	uint32_t max_depth;
	struct pmf_strtab strings; /* those that the profile has not */
	struct pmf_tree_opts opts;
	/* Per event: all of the profile, scaled, of which a filter leaves the root's total. */
	double *whole;
};

/* @opts: NULL for all false, and no filter. */
void pmf_tree_build(
	struct pmf_tree *t, const struct pmf_profile *p, const struct pmf_tree_opts *opts);
void pmf_tree_release(struct pmf_tree *t);

/* A string of a function, and how many ids there are. */
const char *pmf_tree_string(const struct pmf_tree *t, uint32_t id);
size_t pmf_tree_nr_strings(const struct pmf_tree *t);

/* Make @out of @t from the other end: on the root stand the functions where samples were taken, on
 * those their callers. A node with less than @least of @event has no callers made, for there may be
 * many more than in @t. What was joined is not known of it. Release it as any tree. */
void pmf_tree_reverse(struct pmf_tree *out, const struct pmf_tree *t, size_t event, double least);

double pmf_tree_total(const struct pmf_tree *t, size_t event, uint32_t node);
double pmf_tree_self(const struct pmf_tree *t, size_t event, uint32_t node);
uint64_t pmf_tree_samples(const struct pmf_tree *t, size_t event, uint32_t node); /* inclusive */
uint64_t pmf_tree_samples_self(const struct pmf_tree *t, size_t event, uint32_t node);
/* As pmf_profile_effective_samples, of the samples in the tree. */
double pmf_tree_effective_samples(const struct pmf_tree *t, size_t event);
bool pmf_tree_is_filtered(const struct pmf_tree *t);
/* A line that says how much of event @event a filter shows, and which; nothing without a filter. */
void pmf_tree_shown(const struct pmf_tree *t, size_t event, struct pmf_buf *out);
/* That line, and then the profile's ledger. */
void pmf_tree_ledger(const struct pmf_tree *t, size_t event, struct pmf_buf *out);
uint64_t pmf_tree_joined(const struct pmf_tree *t, size_t event, uint32_t node);

/* What every function costs of @event, by its number; @out has t->nr_funcs places. Total counts
 * recursion once.
 * With @user_side, self weight in the kernel is that of the function which called into it, the
 * nearest caller that is not of the kernel: for events that are only ever seen there (context
 * switches, tracepoints). Without such a caller it stays with the kernel's function. */
struct pmf_func_cost {
	uint32_t func;
	double self, total;
	uint64_t samples_self;
};
void pmf_tree_costs(
	const struct pmf_tree *t, size_t event, bool user_side, struct pmf_func_cost *out);

/* The functions with the most self weight, widest first, at most @max; returns how many. Frames
 * that are no code are left out. */
size_t pmf_tree_top(const struct pmf_tree *t, size_t event, bool user_side,
	struct pmf_func_cost *out, size_t max);

#endif
