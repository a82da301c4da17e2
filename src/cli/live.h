/* What commands that run for long share: the line that shows how far they are, and the signals that end
 * them early. */
#ifndef PMF_LIVE_H
#define PMF_LIVE_H

#include "pmuflame/collect.h"
#include <signal.h>
#include <stdbool.h>

/* Put @text, which may come from outside, in the place of the terminal's last line on standard error, as
 * much of it as fits. False where that is not ours: in the background a terminal may stop who writes to it
 * (stty tostop). */
bool pmf_live_show(const char *text);
void pmf_live_clear(void);
/* A pmf_naming_cb; @ctx is a bool that becomes true when something is shown. */
void pmf_live_naming(void *ctx, const struct pmf_naming_progress *progress);

enum { PMF_LIVE_SIGNALS = 3 };

/* What was in the place of our handlers. */
struct pmf_live_signals {
	struct sigaction before[PMF_LIVE_SIGNALS];
};

/* From here on SIGINT, SIGTERM and SIGHUP only ask for an end, those that are not ignored. */
void pmf_live_catch(struct pmf_live_signals *s);
void pmf_live_restore(const struct pmf_live_signals *s);
/* The signal that asked for an end, or 0. */
int pmf_live_stopped(void);
/* The same if a run in our process group has to be told of it: the terminal's signals reach the whole
 * group, and what a command gets twice may end its own cleaning up. */
int pmf_live_pass_on(void);

#endif
