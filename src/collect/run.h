/* One live run, for the files that prepare it, do it and look into it. */
#ifndef PMF_COLLECT_RUN_H
#define PMF_COLLECT_RUN_H

#include "collect_priv.h"

#include <sched.h>

/* ---- attach.c: who runs already ---- */

struct pmf_attach {
	const struct pmf_collect_who *who;
	int cgroup_fd; /* -1: none */
	char *cgroup_path;
	/* Of who->pids, those that have not ended. */
	struct pmf_attach_task {
		pid_t pid;
		char comm[64];
		int fd;
		bool is_pidfd; /* else a folder of /proc: before Linux 5.3, threads before 6.9 */
	} * tasks;
	size_t nr_tasks;
	pid_t process;    /* that they all belong to; 0: there are several */
	size_t nr_unread; /* processes whose mappings this user may not read */
};

/* Find them. A task that has ended, or whose number means something else, is a sentence. */
int pmf_attach_open(struct pmf_attach *a, const struct pmf_collect_who *who, struct pmf_err *err);
void pmf_attach_release(struct pmf_attach *a);
/* After the sideband is on and before anything is counted: tell @shards what runs. */
int pmf_attach_adopt(
	struct pmf_attach *a, struct pmf_shards *shards, bool data_maps, struct pmf_err *err);
/* Who that is, for people: "attached to nginx (pid 12, 64 threads)". free(3) it. */
char *pmf_attach_describe(const struct pmf_attach *a, const struct pmf_stacks *s);
/* Is the idle task one of them, as it is of the whole machine and of a hierarchy's first group? */
bool pmf_attach_has_idle(const struct pmf_attach *a);
/* Have all tasks ended? No control group and no machine ever has. */
bool pmf_attach_over(struct pmf_attach *a);

/* ---- snapshot.c: profiles of a run that goes on ---- */

struct pmf_parts {
	struct pmf_profile blank; /* the profile before its first sample */
	uint64_t start_ns;        /* of the present profile; 0: of none yet */
	uint64_t due_ns;          /* when the next interval begins; 0: not known yet */
	uint64_t unix_offset_ns;  /* from CLOCK_BOOTTIME to the time since 1970, modulo 2^64 */
	unsigned made[2];         /* so far, by kind */
	uint64_t *starts;         /* of the last intervals, those that are kept: a ring */
	struct pmf_source_facts before; /* when the present profile began */
	pid_t writer;                   /* the copy that is at work, or 0 */
	struct pmf_part writing;
};

struct pmf_run;

/* The run has started. */
void pmf_parts_begin(struct pmf_run *r);
void pmf_parts_release(struct pmf_parts *x);
/* Between drains: do what is due. One part is written at a time; what comes meanwhile waits for it. */
void pmf_parts_step(struct pmf_run *r);
/* When a step is due next (CLOCK_MONOTONIC), besides when a child ends; UINT64_MAX: at no time. */
uint64_t pmf_parts_due(const struct pmf_parts *x);
/* The run is over, its last record read: before the totals. */
void pmf_parts_last(struct pmf_run *r, struct pmf_collect_result *res);
/* Wait for who is still writing. */
void pmf_parts_wait(struct pmf_run *r);

/* ---- run.c: from the first record to the last ---- */

/* How a thread is scheduled. */
struct pmf_schedule {
	int policy, nice;
	struct sched_param param;
};

struct pmf_run {
	const struct pmf_collect_opts *opts;
	struct pmf_launch launch;
	struct pmf_attach attach;
	struct pmf_err
		no_python; /* why processes that run already have no Python frames; PMF_OK: they do */
	int wake_fd;       /* readable when launch.signal_fd or a greeting is */
	struct pmf_source *src;
	struct pmf_stacks stacks;
	struct pmf_shards shards;
	struct pmf_runtimes runtimes;
	bool out_of_memory; /* recording ended early */
	struct pmf_parts parts;
	struct pmf_schedule schedule;            /* before the priority was raised */
	struct pmf_image_search search;          /* for lines */
	uint64_t *samples;                       /* per event, for the progress */
	uint64_t start_ns, progress_ns, term_ns; /* term_ns: when SIGTERM was sent, 0 before */
};

/* Nobody was started to be recorded. */
bool pmf_run_is_attached(const struct pmf_run *r);
/* Where sixty threads of the command want every CPU, or other sessions do, a reader of their own
 * priority waits for its turn for longer than the rings last. So it takes its turn first, and gives
 * that up once recording is over: real-time policy, else (and beside a server) nice(1), else (no
 * CAP_SYS_NICE) as it was. What a policy takes from the command is what reading its samples takes anyway, and the kernel
 * leaves others a twentieth of every second (sched(7), sched_rt_runtime_us). Called after the fork,
 * so the command keeps its own, and before reader threads start, which inherit it. */
void pmf_run_raise_priority(struct pmf_run *r, const struct pmf_event_list *list);
void pmf_run_restore_priority(const struct pmf_schedule *before);
/* Whose counts are what no other task told of: the command, or the one process; else 0. */
pid_t pmf_run_main_pid(const struct pmf_run *r);
/* Record from the start to the end, and complete the numbers; the source is open. */
int pmf_run_record(struct pmf_run *r, struct pmf_collect_result *res, struct pmf_err *err);

#endif
