/* Tracepoints (tracefs: Documentation/trace/events.rst) and breakpoints. */
#include "event_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char name_chars[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

/* The lengths of SYSTEM and NAME in "SYSTEM:NAME[:modifiers]"; false for anything else. */
static bool split_tracepoint(const char *text, size_t *sys, size_t *name)
{
	*sys = strspn(text, name_chars);
	if (*sys == 0 || text[*sys] != ':' || text[0] == '.')
		return false;
	*name = strspn(text + *sys + 1, name_chars);
	if (*name == 0 || text[*sys + 1] == '.')
		return false;
	return text[*sys + 1 + *name] == '\0' || text[*sys + 1 + *name] == ':';
}

/* The events folder that this user may search, or NULL with *@errnum saying why there is none. */
static char *events_dir(const struct pmf_event_env *env, int *errnum)
{
	*errnum = ENOENT;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(env->tracefs) && env->tracefs[i]; i++) {
		char *dir = pmf_asprintf("%s/events", env->tracefs[i]);

		if (access(dir, R_OK | X_OK) == 0)
			return dir;
		/* debugfs is closed to users where tracefs is not mounted at all: the first
		 * folder's answer is the one that counts. */
		if (i == 0)
			*errnum = errno;
		free(dir);
	}
	return NULL;
}

int pmf_event_tracefs_check_in(const struct pmf_event_env *env, struct pmf_err *err)
{
	int errnum;
	char *dir = events_dir(env, &errnum);

	if (dir) {
		free(dir);
		return 0;
	}
	if (errnum == EACCES || errnum == EPERM)
		return pmf_err_set(err, PMF_EPERM,
			"this user may not read tracefs at %s, where tracepoints are described: "
			"run as root, or 'sudo mount -o remount,mode=755 %s'",
			env->tracefs[0], env->tracefs[0]);
	return pmf_err_set(err, PMF_ENOTFOUND,
		"tracefs, where tracepoints are described, is not mounted: "
		"'sudo mount -t tracefs nodev %s'",
		env->tracefs[0]);
}

int pmf_event_tracefs_check(struct pmf_err *err)
{
	return pmf_event_tracefs_check_in(&pmf_event_env_here, err);
}

int pmf_event_from_tracepoint(const struct pmf_event_env *env, const char *text,
	struct pmf_event *ev, const char **mods, struct pmf_err *err)
{
	size_t sys, name;
	char *dir, *path;
	long long id;
	int errnum, ret = 1;
	struct stat st;

	if (!split_tracepoint(text, &sys, &name))
		return 1;
	dir = events_dir(env, &errnum);
	if (!dir)
		return 1;
	path = pmf_asprintf("%s/%.*s/%.*s/id", dir, (int)sys, text, (int)name, text + sys + 1);
	if (stat(path, &st) == 0 || errno == EACCES) {
		ret = pmf_file_read_s64(path, &id, err);
		if (ret == PMF_EPERM)
			pmf_err_set(err, PMF_EPERM,
				"this user may not read the tracepoint '%.*s': run as root, or "
				"'sudo chmod -R a+rX %s'",
				(int)(sys + 1 + name), text, dir);
		else if (ret == 0 && id < 0)
			ret = pmf_err_set(err, PMF_EFORMAT, "'%s' holds no tracepoint id", path);
		if (ret == 0) {
			pmf_event_add_attr(
				ev, PERF_TYPE_TRACEPOINT, (uint64_t)id, "tracepoint", NULL);
			ev->cls = PMF_EVENT_TRACEPOINT;
		}
	}
	free(path);
	free(dir);
	*mods = text + sys + 1 + name + (text[sys + 1 + name] == ':');
	return ret;
}

int pmf_event_tracepoint_trouble(
	const struct pmf_event_env *env, const char *text, struct pmf_err *err)
{
	size_t sys, name;
	int ret;

	/* Tracepoint systems are lower case, the PMU events that also have a colon are not. */
	if (!split_tracepoint(text, &sys, &name) || text[0] < 'a' || text[0] > 'z')
		return 0;
	ret = pmf_event_tracefs_check_in(env, err);
	if (ret)
		pmf_err_prefix(
			err, "cannot look up '%.*s'", (int)PMF_MIN(sys + 1 + name, 120), text);
	return ret;
}

static int walk_system(const char *dir, const char *sys, pmf_event_walk_cb *cb, void *ctx)
{
	char *path = pmf_asprintf("%s/%s", dir, sys), **names;
	size_t n = pmf_event_names_read(path, &names);
	int ret = 0;

	free(path);
	for (size_t i = 0; i < n && !ret; i++) {
		struct pmf_event_info info = {NULL, "tracepoint", "", "tracepoint"};
		char *id = pmf_asprintf("%s/%s/%s/id", dir, sys, names[i]), *name;

		name = pmf_asprintf("%s:%s", sys, names[i]);
		info.name = name;
		if (access(id, R_OK) == 0)
			ret = cb(ctx, &info);
		free(id);
		free(name);
	}
	pmf_free_strings(names, n);
	return ret;
}

int pmf_event_walk_tracepoints(const struct pmf_event_env *env, pmf_event_walk_cb *cb, void *ctx)
{
	int errnum, ret = 0;
	char *dir = events_dir(env, &errnum), **names;
	size_t n;

	if (!dir)
		return 0;
	n = pmf_event_names_read(dir, &names);
	for (size_t i = 0; i < n && !ret; i++)
		ret = walk_system(dir, names[i], cb, ctx);
	pmf_free_strings(names, n);
	free(dir);
	return ret;
}

/* "r", "w", "rw" or "x": the access that a breakpoint waits for; 0 for anything else. */
static uint32_t access_bits(const char *s, size_t len)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < len; i++) {
		uint32_t bit = s[i] == 'r'   ? HW_BREAKPOINT_R
			       : s[i] == 'w' ? HW_BREAKPOINT_W
			       : s[i] == 'x' ? HW_BREAKPOINT_X
					     : 0;

		if (!bit || bits & bit)
			return 0;
		bits |= bit;
	}
	return bits;
}

int pmf_event_from_breakpoint(const struct pmf_event_env *env, const char *text,
	struct pmf_event *ev, const char **mods, struct pmf_err *err)
{
	const char *p = text + 4;
	uint64_t addr, bytes = 0;
	uint32_t access = 0;
	struct perf_event_attr *attr;
	size_t len;

	(void)env;
	if (strncmp(text, "mem:", 4) != 0)
		return 1;
	len = strcspn(p, "/:");
	if (!pmf_event_number(p, len, &addr))
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' has no address: write mem:0xADDR[/len][:r|w|rw|x], with the address "
			"in the process",
			text);
	p += len;
	if (*p == '/') {
		len = strcspn(++p, ":");
		if (!pmf_event_number(p, len, &bytes) || bytes < 1 || bytes > 8)
			return pmf_err_set(err, PMF_EUSAGE,
				"'%s': a breakpoint watches 1 to 8 bytes, not '%.*s'", text,
				(int)PMF_MIN(len, 80), p);
		p += len;
	}
	if (*p == ':') {
		len = strcspn(p + 1, ":");
		access = access_bits(p + 1, len);
		if (access)
			p += 1 + len;
		else if (strspn(p + 1, PMF_EVENT_MODIFIERS) < len)
			return pmf_err_set(err, PMF_EUSAGE,
				"'%s': '%.*s' is no access: a breakpoint waits for r, w, rw or x; "
				"modifiers such as u stand behind a colon of their own",
				text, (int)PMF_MIN(len, 80), p + 1);
	}
	if (access & HW_BREAKPOINT_X && access != HW_BREAKPOINT_X)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s': a breakpoint waits for execution (x) or for data (r, w, rw), not "
			"for both",
			text);
	access = access ? access : HW_BREAKPOINT_RW;
	/* The kernel takes no other length for code. */
	if (!bytes || access == HW_BREAKPOINT_X)
		bytes = access == HW_BREAKPOINT_X ? sizeof(long) : HW_BREAKPOINT_LEN_4;
	attr = &pmf_event_add_attr(ev, PERF_TYPE_BREAKPOINT, 0, "breakpoint", NULL)->attr;
	attr->bp_type = access;
	attr->bp_addr = addr;
	attr->bp_len = bytes;
	ev->cls = PMF_EVENT_BREAKPOINT;
	*mods = *p == ':' ? p + 1 : p;
	return 0;
}
