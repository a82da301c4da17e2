/* pmuflame/tasks.h - which threads a process has: what /proc/PID/task says, proc_pid_task(5).
 * Layer: base. Threads: any, each its own listing. */
#ifndef PMUFLAME_TASKS_H
#define PMUFLAME_TASKS_H

#include <dirent.h>
#include <stddef.h>
#include <sys/types.h>

/* Begin to list the threads of @pid; NULL with errno if it is gone or nobody may look. The functions below
 * take NULL for a process that has none. pmf_tasks_close it, be it at the end or before. */
DIR *pmf_tasks_open(pid_t pid);
/* The next thread of @tasks, or 0 at the end. One that starts or ends meanwhile is listed or not, and one that
 * ends can keep others from being listed (fs/proc/base.c, proc_task_readdir): whoever needs all lists them until
 * nobody is new. Of /proc itself, opened by opendir(3), these are the processes. */
pid_t pmf_tasks_next(DIR *tasks);
void pmf_tasks_close(DIR *tasks);
/* How many threads @pid has, in one system call; 0 if it is gone. One that has ended and was not waited for has
 * one still. */
size_t pmf_tasks_count(pid_t pid);
/* The processes that the first thread of @pid started and has not waited for, the first @max of some 500 that
 * are looked at; 0 also where the kernel does not say (CONFIG_PROC_CHILDREN). */
size_t pmf_tasks_children(pid_t pid, pid_t *children, size_t max);

#endif
