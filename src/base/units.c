#include "pmuflame/units.h"

#include "pmuflame/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *pmf_format_count(char *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
	char *p = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*p++ = ',';
		*p++ = digits[i];
	}
	*p = '\0';
	return out;
}

char *pmf_format_si(char *out, double n)
{
	static const char *const suffix[] = {"", " k", " M", " G", " T", " P", " E"};
	size_t i = 0;

	while (fabs(n) >= 999.5 && i + 1 < sizeof suffix / sizeof suffix[0]) {
		n /= 1000;
		i++;
	}
	snprintf(out, PMF_UNITS_MAX, i ? "%.3g%s" : "%.4g%s", n, suffix[i]);
	return out;
}

char *pmf_format_percent(char *out, double part, double whole)
{
	if (whole > 0)
		snprintf(out, PMF_UNITS_MAX, "%.2f%%", 100 * part / whole);
	else
		snprintf(out, PMF_UNITS_MAX, "-");
	return out;
}

char *pmf_format_bytes(char *out, uint64_t bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double n = (double)bytes;
	size_t i = 0;

	while (n >= 1023.95 && i + 1 < sizeof unit / sizeof unit[0]) {
		n /= 1024;
		i++;
	}
	snprintf(out, PMF_UNITS_MAX, n == floor(n) ? "%.0f %s" : "%.1f %s", n, unit[i]);
	return out;
}

char *pmf_format_ns(char *out, uint64_t ns)
{
	double n = (double)ns;

	if (ns < 1000)
		snprintf(out, PMF_UNITS_MAX, "%" PRIu64 " ns", ns);
	else if (n < 999.5e3) /* more would round to "1e+03" */
		snprintf(out, PMF_UNITS_MAX, "%.3g µs", n / 1e3);
	else if (n < 999.5e6)
		snprintf(out, PMF_UNITS_MAX, "%.3g ms", n / 1e6);
	else
		snprintf(out, PMF_UNITS_MAX, "%.2f s", n / 1e9);
	return out;
}

int pmf_parse_u64(const char *s, size_t len, uint64_t *out, const char *what, struct pmf_err *err)
{
	char text[32], *end;
	uint64_t n, factor = 1;

	if (len == 0 || len >= sizeof text || s[0] < '0' || s[0] > '9')
		goto bad;
	memcpy(text, s, len);
	text[len] = '\0';
	errno = 0;
	n = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
	if (*end == 'k' || *end == 'K')
		factor = 1000;
	else if (*end == 'm' || *end == 'M')
		factor = 1000000;
	else if (*end == 'g' || *end == 'G')
		factor = 1000000000;
	if (factor != 1)
		end++;
	if (*end || errno || n > UINT64_MAX / factor)
		goto bad;
	*out = n * factor;
	return 0;
bad:
	return pmf_err_set(err, PMF_EUSAGE,
		"%s '%.*s' is not a whole number that fits (such as 1000, 10k, 0x1f)", what,
		(int)PMF_MIN(len, (size_t)PMF_UNITS_MAX), s);
}

int pmf_parse_seconds(const char *s, uint64_t *out_ns, const char *what, struct pmf_err *err)
{
	static const struct {
		const char *suffix;
		double factor;
	} units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}, {"h", 3600e9}};
	char *end;
	double n;

	/* strtod(3) also takes signs, names and hexadecimal. */
	if (((*s < '0' || *s > '9') && *s != '.') || s[1] == 'x' || s[1] == 'X')
		goto bad;
	n = strtod(s, &end);
	for (size_t i = 0; end != s && i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(end, units[i].suffix) == 0) {
			n *= units[i].factor;
			/* A hundred years: the clock arithmetic behind it stays far from 2^63. */
			if (!(n >= 0) || n > 3.15e18)
				break;
			*out_ns = (uint64_t)n;
			return 0;
		}
	}
bad:
	return pmf_err_set(
		err, PMF_EUSAGE, "%s '%s' is not a time (such as 10, 0.5, 250ms, 2m)", what, s);
}
