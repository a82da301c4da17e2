/* pmuflame/units.h - numbers as people write and read them.
 * Layer: base. Threads: pure functions. */
#ifndef PMUFLAME_UNITS_H
#define PMUFLAME_UNITS_H

#include "pmuflame/err.h"
#include <stddef.h>
#include <stdint.h>

enum { PMF_UNITS_MAX = 40 }; /* no formatter writes more bytes, the NUL included */

/* Each writes into @out, of PMF_UNITS_MAX bytes at least, and returns it. */
char *pmf_format_count(char *out, uint64_t n);                  /* "1,234,567" */
char *pmf_format_si(char *out, double n);                       /* "1.23 M" */
char *pmf_format_percent(char *out, double part, double whole); /* "12.34%", "-" of nothing */
char *pmf_format_bytes(char *out, uint64_t bytes);              /* "32 KiB" */
char *pmf_format_ns(char *out, uint64_t ns);                    /* "1.23 s", "45.6 ms" */

/* Whole decimal or 0x numbers, with an optional suffix k, M, G (powers of 1000). PMF_EUSAGE, with
 * @what named in the sentence, for anything else and for what does not fit. */
int pmf_parse_u64(const char *s, size_t len, uint64_t *out, const char *what, struct pmf_err *err);
/* Seconds with a fraction, and an optional suffix ms, s, m, h; result in ns. */
int pmf_parse_seconds(const char *s, uint64_t *out_ns, const char *what, struct pmf_err *err);

#endif
