#include "live.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR_LINE "\r\033[K"

bool pmf_live_show(const char *text)
{
	struct winsize size = {.ws_col = 0};
	struct pmf_buf line = PMF_BUF_INIT;

	if (tcgetpgrp(STDERR_FILENO) != getpgrp())
		return false;
	ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
	pmf_buf_addclean(&line, text, '?');
	fprintf(stderr, CLEAR_LINE "%.*s", size.ws_col ? size.ws_col - 1 : 79, pmf_buf_str(&line));
	pmf_buf_release(&line);
	return true;
}

void pmf_live_clear(void)
{
	fputs(CLEAR_LINE, stderr);
}

void pmf_live_naming(void *ctx, const struct pmf_naming_progress *g)
{
	char done[PMF_UNITS_MAX], total[PMF_UNITS_MAX];
	bool *shown = ctx;
	char *line = pmf_asprintf("naming %s of %s addresses, %.0f s (Ctrl-C: enough)%s%s",
		pmf_format_count(done, g->done), pmf_format_count(total, g->total),
		(double)g->elapsed_ns / 1e9, g->fetching[0] ? "; fetching " : "", g->fetching);

	*shown |= pmf_live_show(line);
	free(line);
}

static const int stop_signals[PMF_LIVE_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

/* The stop flag. */
static volatile sig_atomic_t stopped_by, pass_on;

static void on_stop(int sig, siginfo_t *info, void *context)
{
	(void)context;
	stopped_by = sig;
	/* kill(2) reached us alone. */
	pass_on = info->si_code == SI_KERNEL ? 0 : sig;
}

void pmf_live_catch(struct pmf_live_signals *s)
{
	struct sigaction action = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < PMF_LIVE_SIGNALS; i++)
		if (sigaction(stop_signals[i], NULL, &s->before[i]) == 0 &&
			s->before[i].sa_handler != SIG_IGN)
			sigaction(stop_signals[i], &action, NULL);
}

void pmf_live_restore(const struct pmf_live_signals *s)
{
	for (size_t i = 0; i < PMF_LIVE_SIGNALS; i++)
		sigaction(stop_signals[i], &s->before[i], NULL);
}

int pmf_live_stopped(void)
{
	return stopped_by;
}

int pmf_live_pass_on(void)
{
	return pass_on;
}
