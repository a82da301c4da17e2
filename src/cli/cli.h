/* The command line: one struct pmf_cmd per command file. Only this folder prints results or
 * exits. */
#ifndef PMF_CLI_H
#define PMF_CLI_H

#include "pmuflame/err.h"
#include "pmuflame/profile.h"
#include "pmuflame/unwind.h"
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

enum pmf_exit {
	PMF_EXIT_OK = 0,
	PMF_EXIT_NO = 1,       /* a command's "no": doctor found something that blocks */
	PMF_EXIT_USAGE = 2,    /* misuse of a command other than record */
	PMF_EXIT_FAILED = 125, /* pmuflame failed, or record was misused */
	PMF_EXIT_CANNOT_EXEC = 126,
	PMF_EXIT_NOT_FOUND = 127,
};

struct pmf_cmd {
	const char *name;
	const char *summary; /* one line for the help's list of commands */
	/* argv[0] is the command's name; returns the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct pmf_cmd pmf_cmd_record;
extern const struct pmf_cmd pmf_cmd_render;
extern const struct pmf_cmd pmf_cmd_list;
extern const struct pmf_cmd pmf_cmd_doctor;
extern const struct pmf_cmd pmf_cmd_init;
extern const struct pmf_cmd pmf_cmd_view;
extern const struct pmf_cmd pmf_cmd_top;
extern const struct pmf_cmd pmf_cmd_annotate;
extern const struct pmf_cmd pmf_cmd_diff;
extern const struct pmf_cmd pmf_cmd_advise;
extern const struct pmf_cmd pmf_cmd_sweep;
extern const struct pmf_cmd pmf_cmd_check;

/* Print "pmuflame: TEXT" on stderr, whatever the log level, and return @status. */
int pmf_cli_fail(enum pmf_exit status, const struct pmf_err *err);
/* The same for a sentence made here. */
int pmf_cli_failf(enum pmf_exit status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The exit status of any command but record for @ret, a result of its work: a negative one is said
 * with @err's sentence first. */
int pmf_cli_status(int ret, const struct pmf_err *err);

/* The exit status that a shell makes of @wait_status (waitpid(2)): 128+N for signal N. */
int pmf_cli_wait_status(int wait_status);

/* Read the options of a command, argv[0] being its name, as getopt_long(3) does: @shorts begins with
 * ':', and both @shorts and @longs have 'h', at which @help is printed. @take gets every other option
 * that sets no flag by itself, its value in optarg; NULL if there is none. 0 to go on, with optind at
 * the first argument; 1 when help was all that was asked; or a negative status. */
int pmf_cli_options(int argc, char **argv, const char *shorts, const struct option *longs,
	const char *help, int (*take)(void *ctx, int opt, struct pmf_err *err), void *ctx,
	struct pmf_err *err);

/* The place of @text, the value of @option, among @names, which end with NULL; or PMF_EUSAGE with a
 * sentence that names them. */
int pmf_cli_choice(
	const char *option, const char *text, const char *const *names, struct pmf_err *err);
/* The same for yes or no. */
int pmf_cli_switch(const char *option, const char *text, bool *out, struct pmf_err *err);
/* The value of --call-graph. */
int pmf_cli_call_graph(const char *text, enum pmf_unwind_mode *out, struct pmf_err *err);
/* perf's build-id cache of this user (perf-buildid-cache(1)), or NULL; free(3) it. */
char *pmf_cli_build_id_cache(void);
/* What getopt_long(3) did not know, or found without its value, when it answered with @opt. */
const char *pmf_cli_culprit(int opt, char **argv);
/* Why an event does not open, without the event: for where that stands anyway. */
const char *pmf_cli_short_reason(const char *why);
/* The place among @p's first @n events of the one that is called @name, or PMF_EUSAGE with a sentence
 * that names those there are. */
int pmf_cli_event(const struct pmf_profile *p, size_t n, const char *name, struct pmf_err *err);
/* Which of @p's first @n events are among @names, into *@wanted; NULL, for all, if there are no names.
 * free(3) it. */
int pmf_cli_events(const struct pmf_profile *p, size_t n, const char *const *names, size_t nr_names,
	bool **wanted, struct pmf_err *err);
/* -n: rows, 0 for all. */
int pmf_cli_rows(const char *text, size_t *out, struct pmf_err *err);
/* How often something is run: the value of @option. */
int pmf_cli_repeats(const char *text, const char *option, size_t *out, struct pmf_err *err);
/* How wide lines on standard output may be: the terminal's width, 0 where it is none. */
size_t pmf_cli_columns(void);
/* Are the results on standard output written? */
int pmf_cli_flush(struct pmf_err *err);

/* The list of commands, as help shows it. */
void pmf_cli_print_commands(FILE *f);

#endif
