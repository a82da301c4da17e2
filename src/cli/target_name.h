/* What a run is called: the name in its files and titles. */
#ifndef PMF_TARGET_NAME_H
#define PMF_TARGET_NAME_H

#include <sys/types.h>

/* The script's or module's name behind an interpreter or a runner (python3 -m pkg, env A=1 node x.js,
 * poetry run …), else the command's basename. @argv is NULL-terminated and not empty. free(3) the
 * result. */
char *pmf_target_name(char *const *argv);
/* What process @pid, or the one of thread @pid, is called by the same rules: its command line is in /proc. Of
 * one that cannot be seen "pid-1234". free(3) it. */
char *pmf_target_name_of_pid(pid_t pid);
/* Its command line, NULL-terminated; NULL for a kernel thread, or one that cannot be seen. free(3) every word
 * and the list. */
char **pmf_target_command_of_pid(pid_t pid);
/* The same as part of a file name: ASCII that means something to a shell becomes '_'. free(3) it. */
char *pmf_target_file_name(const char *name);

#endif
