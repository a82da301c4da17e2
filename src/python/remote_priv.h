/* The rooms of a request to an interpreter. */
#ifndef PMF_REMOTE_PRIV_H
#define PMF_REMOTE_PRIV_H

#include "pmuflame/remote.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Behind "its CPython 3.11": what that lacks. */
#define PMF_REMOTE_TOO_OLD \
	" has no interface for what attaches without privileges, as 3.14 has: start it by pmuflame"

enum { PMF_REMOTE_SCRIPT_CHARS = 96 };

/* ---- remote_mailbox.c: the interpreter, and what is written to it ---- */

struct pmf_remote_interpreter {
	pid_t pid;
	uint64_t va, main_state; /* of the interpreter, and of its main thread's state */
	struct pmf_remote_offsets offsets;
};

/* The one in @p that can be asked; PMF_ENOTFOUND: there is none at all. */
int pmf_remote_interpreter_find(
	const struct pmf_process *p, struct pmf_remote_interpreter *out, struct pmf_err *err);
/* The state of thread @tid, 0 if it has none (any more). */
uint64_t pmf_remote_state_of(const struct pmf_remote_interpreter *in, pid_t tid);
/* Ask the thread whose state that is to execute @script. */
int pmf_remote_post(const struct pmf_remote_interpreter *in, uint64_t state, const char *script,
	struct pmf_err *err);
/* No more, unless something else stands there now. False if it has been begun. */
bool pmf_remote_withdraw(
	const struct pmf_remote_interpreter *in, uint64_t state, const char *script);

/* ---- remote_threads.c: which threads ---- */

enum { PMF_REMOTE_ASKED_MAX = 16 };

struct pmf_remote_threads {
	pid_t asked[PMF_REMOTE_ASKED_MAX];
	size_t n;
	unsigned restless; /* how many would not stop */
};

enum pmf_remote_stop {
	PMF_REMOTE_STOPPED,
	PMF_REMOTE_UNTRACED, /* it may not be traced, or has ended */
	PMF_REMOTE_RESTLESS, /* it has not stopped within 100 ms */
};
/* Have @work done while thread @tid stands still. */
enum pmf_remote_stop pmf_remote_while_stopped(pid_t tid, void (*work)(void *ctx), void *ctx);
int pmf_remote_ask_main(struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in,
	const char *script, struct pmf_err *err);
/* Those that are running now and were not asked yet. */
void pmf_remote_ask_running(
	struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in, const char *script);
/* How many have begun? */
size_t pmf_remote_withdraw_all(
	struct pmf_remote_threads *t, const struct pmf_remote_interpreter *in, const char *script);

/* ---- remote_place.c: files that a process sees, in whatever root folder it lives ---- */

/* A folder of its own, which the process's user has made, as it were, and which is closed to others. */
struct pmf_remote_place {
	uid_t uid;
	gid_t gid;
	int root_fd, parent_fd, fd; /* the process's root, where the folder is, and the folder */
	char name[32];
	char path[64]; /* as the process says it */
	gid_t *groups; /* our own supplementary ones */
	int nr_groups;
};

/* Make one for @pid. On failure there is nothing to remove. */
int pmf_remote_place_make(struct pmf_remote_place *pl, pid_t pid, struct pmf_err *err);
/* From here to pmf_remote_place_leave this thread has the process's rights at files, no more: for all that is
 * done there. False with errno. */
bool pmf_remote_place_enter(const struct pmf_remote_place *pl);
/* errno stays. */
void pmf_remote_place_leave(const struct pmf_remote_place *pl);
/* Write a file there. */
int pmf_remote_place_write(struct pmf_remote_place *pl, const char *name, const void *data,
	size_t len, struct pmf_err *err);
/* Can the process read at @path what this program reads there? */
bool pmf_remote_place_shares(const struct pmf_remote_place *pl, const char *path);
/* Remove the folder, which may have been done before. */
void pmf_remote_place_remove(struct pmf_remote_place *pl);
void pmf_remote_place_close(struct pmf_remote_place *pl);

#endif
