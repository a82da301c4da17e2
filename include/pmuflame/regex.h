/* pmuflame/regex.h - does a name match one of a set of regular expressions?
 * Layer: base. Threads: one owner; matching uses the set's own memory.
 *
 * Patterns are PCRE2's (pcre2pattern(3)), which is what the pictures' search understands, too; and as
 * there, case matters only to a pattern with a capital letter. Patterns and names may be hostile:
 * what a match may cost is bounded (docs/adr/0016). */
#ifndef PMUFLAME_REGEX_H
#define PMUFLAME_REGEX_H

#include "pmuflame/buf.h"
#include "pmuflame/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pmf_regex;

/* Add @pattern to the set *@re, which is made if it is NULL. @what names the pattern in a sentence:
 * "--focus". PMF_EUSAGE, with the place in the pattern, for one that makes no sense. */
int pmf_regex_add(
	struct pmf_regex **re, const char *pattern, const char *what, struct pmf_err *err);
void pmf_regex_free(struct pmf_regex *re);

/* Whether any of the set matches somewhere in @s, which need not be UTF-8. A match that costs too
 * much is given up and is none; once that has happened 16 times, nothing matches any more. */
bool pmf_regex_match(struct pmf_regex *re, const char *s, size_t len);
/* The same for a set of one pattern that has a group in parentheses, and where the first of them
 * matched, in @s: false where it did not take part. */
bool pmf_regex_group(
	struct pmf_regex *re, const char *s, size_t len, const char **group, size_t *group_len);
/* The groups of the pattern that was added first. */
uint32_t pmf_regex_nr_groups(const struct pmf_regex *re);
/* How many were given up, or not tried since. */
uint64_t pmf_regex_given_up(const struct pmf_regex *re);

/* Append the patterns as they were written, in quotes, with ", " between them. */
void pmf_regex_describe(const struct pmf_regex *re, struct pmf_buf *out);

#endif
