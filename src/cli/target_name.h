/* What a run is called: the name in its files and titles. */
#ifndef PMF_TARGET_NAME_H
#define PMF_TARGET_NAME_H

/* The script's or module's name behind an interpreter or a runner (python3 -m pkg, env A=1 node
 * x.js, poetry run …), else the command's basename; fit for a file name. @argv is NULL-terminated
 * and not empty. free(3) the result. */
char *pmf_target_name(char *const *argv);

#endif
