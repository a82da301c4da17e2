/* pmuflame/sandbox.h - child processes without privileges, for work on what strangers wrote.
 * Layer: base. Threads: any, after pmf_sandbox_start, which wants a program that has one.
 *
 * A keeper is forked while the program is small: it gives up root (user and group "nobody"), capabilities and
 * the terminal, and forks a worker whenever one is wanted, so that a crashed one is replaced at the cost of a
 * fork of few pages. A worker has one socket and may read, allocate and answer: a list of system calls
 * (seccomp(2)) ends it at any other, such as open, socket, exec, kill or ptrace. docs/adr/0025. */
#ifndef PMUFLAME_SANDBOX_H
#define PMUFLAME_SANDBOX_H

#include "pmuflame/err.h"
#include <stdbool.h>
#include <sys/types.h>

enum pmf_sandbox_mode { PMF_SANDBOX_AUTO, PMF_SANDBOX_YES, PMF_SANDBOX_NO };

struct pmf_sandbox;

/* What a worker does, until its socket @fd says that there is no more to do. */
typedef void pmf_sandbox_work(int fd);

struct pmf_sandbox_worker {
	pid_t pid; /* names nobody else until pmf_sandbox_end; 0: there is no worker */
	int fd;    /* a stream socket to it */
};

/* Fork the keeper. NULL with @err: the kernel, or who started this program, has no such filters, or it was
 * built without libseccomp (PMF_EUNSUP). */
struct pmf_sandbox *pmf_sandbox_start(pmf_sandbox_work *work, struct pmf_err *err);
/* NULL is nothing. The keeper ends with the last process that has it, and its workers with it. */
void pmf_sandbox_stop(struct pmf_sandbox *s);

/* A new worker. May be called by a process forked later, too: workers are not shared. */
int pmf_sandbox_spawn(struct pmf_sandbox *s, struct pmf_sandbox_worker *w, struct pmf_err *err);
/* End @w, if it has not ended by itself, and close its socket. What waitpid(2) says of it, -1 if nobody
 * knows. */
int pmf_sandbox_end(struct pmf_sandbox *s, struct pmf_sandbox_worker *w);

/* Messages between the two of @w, and of a worker with us: @len bytes and at most PMF_SANDBOX_FDS descriptors,
 * all or nothing. False if the other one has gone. @fds that came are the receiver's, *nr_fds says how many
 * there is room for, then how many came. */
enum { PMF_SANDBOX_FDS = 2 };
bool pmf_sandbox_send(int fd, const void *data, size_t len, const int *fds, size_t nr_fds);
bool pmf_sandbox_recv(int fd, void *data, size_t len, int *fds, size_t *nr_fds);

/* The calling thread, and those that it will start, need no more of root's rights than to read other processes
 * and their files, to open events, and to write results: give up all other capabilities (capabilities(7)) for
 * good, also for programs that are executed. @bpf: maps of BPF programs are still written. */
void pmf_sandbox_drop_capabilities(bool bpf);

#endif
