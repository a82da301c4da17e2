/* pmuflame/log.h - messages on stderr while working.
 * Layer: base. Threads: any; one line is one write(2). The level is the program's only changing
 * global. */
#ifndef PMUFLAME_LOG_H
#define PMUFLAME_LOG_H

#include <stdbool.h>

enum pmf_log_level { PMF_LOG_QUIET, PMF_LOG_WARN, PMF_LOG_INFO };

void pmf_log_set_level(enum pmf_log_level level);
enum pmf_log_level pmf_log_level(void);

/* One line on stderr, "pmuflame: " before it and control characters in it replaced, if the level
 * lets it through. */
void pmf_log(enum pmf_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define pmf_warn(...) pmf_log(PMF_LOG_WARN, __VA_ARGS__)
#define pmf_info(...) pmf_log(PMF_LOG_INFO, __VA_ARGS__)

#endif
