/* Profiles saved, loaded, drawn and added up: what their tests share. */
#ifndef PMF_TEST_PROFILE_CHECK_H
#define PMF_TEST_PROFILE_CHECK_H

#include "pmuflame/profile.h"

/* free(3) the bytes. */
char *save_profile(const struct pmf_profile *p, size_t *len);
void load_profile(struct pmf_profile *p, const void *bytes, size_t len);
/* Everything that is drawn of a profile, threads told apart; free(3) it. */
char *draw_profile(const struct pmf_profile *p, size_t *len);
/* The profile draws, and is saved, as before after a way through a file. */
void assert_survives(struct pmf_profile *p);
void gunzip(const char *bytes, size_t len, struct pmf_buf *out);
/* The sum of event @e in @p->weights or the like. */
uint64_t sum_column(const struct pmf_profile *p, uint64_t *const *columns, size_t e);
bool has_note(const struct pmf_profile *p, const char *words);

#endif
