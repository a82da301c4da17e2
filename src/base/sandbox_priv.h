/* What the files of the sandbox share. */
#ifndef PMF_SANDBOX_PRIV_H
#define PMF_SANDBOX_PRIV_H

#include "pmuflame/sandbox.h"

/* ---- sandbox_drop.c: what processes give up ---- */

/* 0, or why no worker could be confined here. */
int pmf_sandbox_probe(struct pmf_err *err);
/* The keeper: another user than root, no capabilities, nothing of ours open but @fd. */
void pmf_sandbox_drop_rights(int fd);
/* A worker, whose parent is @keeper: limits, and the list of system calls. False if that cannot be had. */
bool pmf_sandbox_confine(pid_t keeper);

#endif
