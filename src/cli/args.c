/* What commands share of their options and results. */
#include "cli.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const char *pmf_cli_culprit(int opt, char **argv)
{
	static char letter[] = "-?";
	const char *arg = argv[optind - 1];

	/* Of several letters behind one '-', the argument is only done with the last. */
	if (opt == ':' || optopt <= 0 || optopt > UCHAR_MAX || strchr(arg, '='))
		return arg;
	letter[1] = (char)optopt;
	return letter;
}

static int bad_option(int opt, char **argv, struct pmf_err *err)
{
	const char *arg = pmf_cli_culprit(opt, argv);

	if (opt == ':')
		return pmf_err_set(err, PMF_EUSAGE, "option '%s' needs a value", arg);
	return pmf_err_set(err, PMF_EUSAGE,
		"%s does not know '%s': 'pmuflame %s --help' shows its options", argv[0], arg,
		argv[0]);
}

int pmf_cli_options(int argc, char **argv, const char *shorts, const struct option *longs,
	const char *help, int (*take)(void *ctx, int opt, struct pmf_err *err), void *ctx,
	struct pmf_err *err)
{
	int opt, ret = 0;

	opterr = 0;
	while (ret == 0 && (opt = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			ret = 1;
		} else if (opt == ':' || opt == '?') {
			ret = bad_option(opt, argv, err);
		} else if (opt != 0) {
			ret = take(ctx, opt, err);
		}
	}
	return ret;
}

int pmf_cli_choice(
	const char *option, const char *text, const char *const *names, struct pmf_err *err)
{
	struct pmf_buf all = PMF_BUF_INIT;
	bool two = names[1] && !names[2];
	int n = 0;

	for (; names[n]; n++) {
		if (strcmp(text, names[n]) == 0) {
			pmf_buf_release(&all);
			return n;
		}
		pmf_buf_printf(&all, "%s%s", n == 0 ? "" : two ? " nor " : ", ", names[n]);
	}
	pmf_err_set(err, PMF_EUSAGE, "%s '%s' is %s %s", option, text, two ? "neither" : "none of",
		pmf_buf_str(&all));
	pmf_buf_release(&all);
	return PMF_EUSAGE;
}

int pmf_cli_switch(const char *option, const char *text, bool *out, struct pmf_err *err)
{
	static const char *const names[] = {"yes", "no", NULL};
	int i = pmf_cli_choice(option, text, names, err);

	*out = i == 0;
	return PMF_MIN(i, 0);
}

int pmf_cli_call_graph(const char *text, enum pmf_unwind_mode *out, struct pmf_err *err)
{
	static const char *const names[] = {[PMF_UNWIND_AUTO] = "auto",
		[PMF_UNWIND_DWARF] = "dwarf",
		[PMF_UNWIND_FP] = "fp",
		[PMF_UNWIND_NONE] = "none",
		NULL};
	int i = pmf_cli_choice("--call-graph", text, names, err);

	if (i < 0)
		return i;
	*out = (enum pmf_unwind_mode)i;
	return 0;
}

char *pmf_cli_build_id_cache(void)
{
	const char *home = getenv("HOME");

	return home ? pmf_asprintf("%s/.debug", home) : NULL;
}

const char *pmf_cli_short_reason(const char *why)
{
	const char *colon = strstr(why, "': ");

	return strncmp(why, "cannot ", 7) == 0 && colon ? colon + 3 : why;
}

int pmf_cli_event(const struct pmf_profile *p, size_t n, const char *name, struct pmf_err *err)
{
	struct pmf_buf names = PMF_BUF_INIT;

	for (size_t e = 0; e < n; e++) {
		const struct pmf_profile_event *ev = &p->events[e];

		if ((ev->label && strcmp(ev->label, name) == 0) ||
			(ev->spec && strcmp(ev->spec, name) == 0)) {
			pmf_buf_release(&names);
			return (int)e;
		}
		pmf_buf_addstr(&names, e ? ", " : "");
		pmf_buf_addclean(&names, ev->label ? ev->label : "", '?');
	}
	pmf_err_set(err, PMF_EUSAGE, "the profile has no event '%s', but %s", name,
		pmf_buf_str(&names));
	pmf_buf_release(&names);
	return PMF_EUSAGE;
}

int pmf_cli_events(const struct pmf_profile *p, size_t n, const char *const *names, size_t nr_names,
	bool **wanted, struct pmf_err *err)
{
	*wanted = nr_names ? pmf_calloc(n, sizeof **wanted) : NULL;
	for (size_t i = 0; i < nr_names; i++) {
		int e = pmf_cli_event(p, n, names[i], err);

		if (e < 0) {
			free(*wanted);
			*wanted = NULL;
			return e;
		}
		(*wanted)[e] = true;
	}
	return 0;
}

int pmf_cli_rows(const char *text, size_t *out, struct pmf_err *err)
{
	uint64_t n = 0;
	int ret = pmf_parse_u64(text, strlen(text), &n, "-n", err);

	*out = (size_t)n;
	return ret;
}

int pmf_cli_repeats(const char *text, const char *option, size_t *out, struct pmf_err *err)
{
	enum { MOST = 10000 };
	uint64_t n = 0;
	int ret = pmf_parse_u64(text, strlen(text), &n, option, err);

	if (ret == 0 && (n < 1 || n > MOST))
		ret = pmf_err_set(
			err, PMF_EUSAGE, "%s %s is not within 1 to %d", option, text, MOST);
	*out = (size_t)n;
	return ret;
}

size_t pmf_cli_columns(void)
{
	enum { LEAST = 80 };
	struct winsize size = {.ws_col = 0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return 0;
	return PMF_MAX(size.ws_col, (size_t)LEAST);
}

int pmf_cli_flush(struct pmf_err *err)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return pmf_err_errno(err, PMF_EIO, errno, "cannot write to standard output");
	return 0;
}
