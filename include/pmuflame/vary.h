/* pmuflame/vary.h - {KEY} placeholders in commands and targets.
 * Layer: study (uses base). Threads: pure functions over the caller's values.
 *
 * A setting is "KEY=VALUE" with a KEY of letters, digits and '_'. Each {KEY} becomes VALUE; ${KEY}, a
 * shell's variable, and braces around anything else stay as they are. */
#ifndef PMUFLAME_VARY_H
#define PMUFLAME_VARY_H

#include "pmuflame/err.h"
#include "pmuflame/study.h"
#include <stdbool.h>
#include <stddef.h>

/* PMF_EUSAGE if @setting is no KEY=VALUE. */
int pmf_vary_check(const char *setting, struct pmf_err *err);
/* Does {KEY} of @setting stand in @text, or in what @t runs or its environment? @text and @t may be
 * NULL. */
bool pmf_vary_in_text(const char *text, const char *setting);
bool pmf_vary_in_target(const struct pmf_target *t, const char *setting);

/* @text with VALUEs as they are. free(3) it. */
char *pmf_vary_text(const char *text, char *const *settings, size_t n);
/* The same of each of @argv, NULL-terminated. */
char **pmf_vary_argv(char *const *argv, char *const *settings, size_t n);
/* Put the settings into @t's command, setup and teardown, quoted for the shell, and into its
 * environment. PMF_EUSAGE where a VALUE needs quotes and its {KEY} stands within some; @t is then to be
 * released as ever. */
int pmf_vary_target(struct pmf_target *t, char *const *settings, size_t n, struct pmf_err *err);

#endif
