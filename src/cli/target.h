/* Targets of pmuflame.ini: what their names on the command line stand for. */
#ifndef PMF_CLI_TARGET_H
#define PMF_CLI_TARGET_H

#include "pmuflame/err.h"
#include "pmuflame/event.h"
#include "pmuflame/study.h"
#include <stdbool.h>

/* The pmuflame.ini that holds here, and its presets as event lists take them. */
struct pmf_cli_config {
	struct pmf_config file;           /* file.path is NULL: there is none */
	struct pmf_event_preset *presets; /* "@NAME"; ends with a NULL name */
};

/* Read it, if there is one. One that is not to be trusted is warned about and left alone. */
int pmf_cli_config_load(struct pmf_cli_config *c, struct pmf_err *err);
void pmf_cli_config_release(struct pmf_cli_config *c);

/* What to run for @script, one of @t's: env(1), which sets folder and environment, and a shell, with
 * @args behind (NULL-terminated, may be NULL). Free with pmf_target_argv_free(). */
char **pmf_target_argv(const struct pmf_target *t, const char *script, char *const *args);
void pmf_target_argv_free(char **argv);

/* Run @script (setup, teardown; NULL: nothing to do) to its end; what it prints goes to stderr.
 * @what names it in the sentence. */
int pmf_target_step(
	const struct pmf_target *t, const char *script, const char *what, struct pmf_err *err);

/* Is @word 'all', with targets that it can mean? */
bool pmf_target_is_all(const struct pmf_cli_config *c, const char *word);
/* Run pmuflame itself with @argv for each target, whose name stands at @place for 'all'. Returns the
 * first status that is not 0; ends early where a signal ended a command. */
int pmf_target_run_all(const struct pmf_cli_config *c, char **argv, int place);

#endif
