/* What a run is called: the name in its files and titles. */
#ifndef PMF_TARGET_NAME_H
#define PMF_TARGET_NAME_H

/* The script's or module's name behind an interpreter or a runner (python3 -m pkg, env A=1 node x.js,
 * poetry run …), else the command's basename. @argv is NULL-terminated and not empty. free(3) the
 * result. */
char *pmf_target_name(char *const *argv);
/* The same as part of a file name: ASCII that means something to a shell becomes '_'. free(3) it. */
char *pmf_target_file_name(const char *name);

#endif
