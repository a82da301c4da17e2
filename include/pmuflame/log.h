/* pmuflame/log.h - messages on stderr while working, and the stop flag.
 * Layer: base. Threads: any; one line is one write(2). The level and the stop flag are the
 * program's only changing globals. */
#ifndef PMUFLAME_LOG_H
#define PMUFLAME_LOG_H

#include <stdbool.h>

enum pmf_log_level { PMF_LOG_QUIET, PMF_LOG_WARN, PMF_LOG_INFO, PMF_LOG_DEBUG };

void pmf_log_set_level(enum pmf_log_level level);
enum pmf_log_level pmf_log_level(void);

/* One line on stderr, "pmuflame: " before it and control characters in it replaced, if the level
 * lets it through. */
void pmf_log(enum pmf_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define pmf_warn(...) pmf_log(PMF_LOG_WARN, __VA_ARGS__)
#define pmf_info(...) pmf_log(PMF_LOG_INFO, __VA_ARGS__)
#define pmf_debug(...) pmf_log(PMF_LOG_DEBUG, __VA_ARGS__)

/* Set from a signal handler (async-signal-safe), read by every long loop. The value is the signal
 * that asked for the stop, 0 while none did. */
void pmf_stop_request(int signo);
int pmf_stop_requested(void);

#endif
