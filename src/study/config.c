/* pmuflame.ini, by inih: sections [target NAME], [preset NAME] and [budget NAME]. */
#include "pmuflame/study.h"

#include "ini_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/regex.h"
#include "pmuflame/units.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "pmuflame.ini"

/* What inih calls back with: where it is, and what the section in hand is. */
struct reading {
	struct pmf_ini ini;
	struct pmf_config *config;
	char *folder;  /* of the file */
	int line;      /* of the key in hand */
	char *section; /* in hand; "" before the first */
	struct pmf_target *target;
	struct pmf_preset *preset;
	struct pmf_budget_set *budgets;
};

static int fail(struct reading *r, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Keep the first sentence, with its place in the file; 0 is inih's "stop". */
static int fail(struct reading *r, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pmf_ini_vfail(&r->ini, line, fmt, ap);
	va_end(ap);
	return 0;
}

static int open_target(struct reading *r, const char *name)
{
	struct pmf_config *c = r->config;

	if (pmf_config_target(c, name))
		return fail(r, r->line, "target '%s' is defined twice", name);
	if (strcmp(name, "all") == 0)
		return fail(r, r->line, "'all' stands for every target: take another name");
	r->target = &PMF_PUSH(c->targets, c->nr_targets, c->cap_targets);
	*r->target = (struct pmf_target){
		.name = pmf_strdup(name), .folder = pmf_strdup(r->folder), .line = r->line};
	return 1;
}

static int open_preset(struct reading *r, const char *name)
{
	struct pmf_config *c = r->config;

	for (size_t i = 0; i < c->nr_presets; i++)
		if (strcmp(c->presets[i].name, name) == 0)
			return fail(r, r->line, "preset '%s' is defined twice", name);
	r->preset = &PMF_PUSH(c->presets, c->nr_presets, c->cap_presets);
	*r->preset = (struct pmf_preset){.name = pmf_strdup(name), .line = r->line};
	return 1;
}

static int open_budgets(struct reading *r, const char *name)
{
	struct pmf_config *c = r->config;

	for (size_t i = 0; i < c->nr_budget_sets; i++)
		if (strcmp(c->budget_sets[i].name, name) == 0)
			return fail(r, r->line, "budget '%s' is defined twice", name);
	r->budgets = &PMF_PUSH(c->budget_sets, c->nr_budget_sets, c->cap_budget_sets);
	*r->budgets = (struct pmf_budget_set){.name = pmf_strdup(name), .line = r->line};
	return 1;
}

static int open_section(struct reading *r, const char *section)
{
	static const struct {
		const char *kind;
		int (*open)(struct reading *r, const char *name);
	} kinds[] = {{"target ", open_target}, {"preset ", open_preset}, {"budget ", open_budgets}};

	free(r->section);
	r->section = pmf_strdup(section);
	r->target = NULL;
	r->preset = NULL;
	r->budgets = NULL;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++) {
		const char *name = section + strlen(kinds[i].kind);

		if (strncmp(section, kinds[i].kind, strlen(kinds[i].kind)) == 0 &&
			pmf_ini_good_name(name))
			return kinds[i].open(r, name);
	}
	return fail(r, r->line,
		"'[%s]' is none of [target NAME], [preset NAME], [budget NAME], with a NAME of "
		"letters, digits, '.', '_' and '-'",
		section);
}

/* A path, from the file's folder on. */
static int set_path(struct reading *r, char **path, const char *value)
{
	free(*path);
	*path = value[0] == '/' ? pmf_strdup(value) : pmf_asprintf("%s/%s", r->folder, value);
	return 1;
}

/* "997hz", or a period: "1000003". As -F and -c, which exclude each other. */
static int set_rate(struct reading *r, const char *value)
{
	struct pmf_target *t = r->target;
	size_t len = strlen(value);
	bool hz = len > 2 && strcasecmp(value + len - 2, "hz") == 0;
	uint64_t n;
	struct pmf_err err;

	if (pmf_parse_u64(value, hz ? len - 2 : len, &n, "rate", &err))
		return fail(r, r->line, "%s", err.text);
	if (n == 0)
		return fail(r, r->line, "rate must be at least 1: '997hz', or a period in events");
	*(hz ? &t->freq_hz : &t->period) = n;
	*(hz ? &t->period : &t->freq_hz) = 0;
	return 1;
}

static int set_events(struct reading *r, const char *value)
{
	struct pmf_target *t = r->target;

	PMF_PUSH(t->events, t->nr_events, t->cap_events) = pmf_strdup(value);
	return 1;
}

static int set_env(struct reading *r, const char *name, const char *value)
{
	struct pmf_target *t = r->target;

	if (!*name || strchr(name, '='))
		return fail(r, r->line, "'env.%s' names no variable", name);
	PMF_PUSH(t->env, t->nr_env, t->cap_env) = pmf_asprintf("%s=%s", name, value);
	return 1;
}

/* "250", or "(\d+) bars" to look for in the output. */
static int set_work(struct reading *r, const char *value)
{
	struct pmf_target *t = r->target;
	struct pmf_regex *re = NULL;
	struct pmf_err err;
	uint32_t groups;
	char *end;

	t->work = strtod(value, &end);
	free(t->work_pattern);
	t->work_pattern = NULL;
	if (!*end)
		return t->work > 0 && isfinite(t->work)
			       ? 1
			       : fail(r, r->line, "work = %s: it must be more than 0", value);
	t->work = 0;
	if (pmf_regex_add(&re, value, "work", &err))
		return fail(r, r->line, "%s", err.text);
	groups = pmf_regex_nr_groups(re);
	pmf_regex_free(re);
	if (groups != 1)
		return fail(r, r->line,
			"work is a number, or a regular expression with one group in parentheses "
			"that matches the number in the output, as in '(\\d+) bars': this one has %u",
			groups);
	t->work_pattern = pmf_strdup(value);
	return 1;
}

/* "bar", or "query queries" where an s does not make it several. */
static int set_unit(struct reading *r, const char *value)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	struct pmf_target *t = r->target;
	size_t one = strspn(value, letters), space = strspn(value + one, " \t");
	const char *several = value + one + space;

	if (!one || several[strspn(several, letters)] || (*several && !space))
		return fail(r, r->line,
			"unit is one word, or one and its plural, of letters and '_': "
			"'bar', 'query queries'");
	free(t->unit);
	free(t->units);
	t->unit = pmf_strndup(value, one);
	t->units = *several ? pmf_strdup(several) : pmf_asprintf("%ss", t->unit);
	if (strcmp(t->unit, "s") == 0 || strcmp(t->unit, "seconds") == 0 ||
		strcmp(t->units, "seconds") == 0)
		return fail(r, r->line, "'%s' is a unit of time: name what a run does", t->unit);
	return 1;
}

static int target_key(struct reading *r, const char *key, const char *value)
{
	struct pmf_target *t = r->target;

	if (strcmp(key, "command") == 0)
		return pmf_ini_add_text(&t->command, value, " ");
	if (strcmp(key, "setup") == 0)
		return pmf_ini_add_text(&t->setup, value, "\n");
	if (strcmp(key, "teardown") == 0)
		return pmf_ini_add_text(&t->teardown, value, "\n");
	if (strcmp(key, "folder") == 0)
		return set_path(r, &t->folder, value);
	if (strcmp(key, "events") == 0)
		return set_events(r, value);
	if (strcmp(key, "rate") == 0)
		return set_rate(r, value);
	if (strcmp(key, "work") == 0)
		return set_work(r, value);
	if (strcmp(key, "unit") == 0)
		return set_unit(r, value);
	if (strncmp(key, "env.", 4) == 0)
		return set_env(r, key + 4, value);
	return fail(r, r->line,
		"a target has no '%s': command, folder, env.NAME, setup, teardown, events, rate, "
		"work, unit",
		key);
}

static int add_budget(struct reading *r, const char *text)
{
	struct pmf_budget_set *set = r->budgets;
	struct pmf_err err;

	if (pmf_budget_parse(
		    &PMF_PUSH(set->budgets, set->nr_budgets, set->cap_budgets), text, &err))
		return fail(r, r->line, "%s", err.text);
	return 1;
}

static int budget_key(struct reading *r, const char *key, const char *value)
{
	struct pmf_budget_set *set = r->budgets;

	if (strcmp(key, "expect") == 0)
		return add_budget(r, value);
	if (strcmp(key, "baseline") == 0)
		return set_path(r, &set->baseline, value);
	if (strcmp(key, "target") == 0) {
		free(set->target);
		set->target = pmf_strdup(value);
		return 1;
	}
	return fail(r, r->line, "a budget has no '%s': target, expect, baseline", key);
}

static int on_key(void *ctx, const char *section, const char *key, const char *value)
{
	struct reading *r = ctx;

	if (r->ini.failed)
		return 0;
	r->line = r->ini.line;
	if (strcmp(section, r->section) != 0 && !open_section(r, section))
		return 0;
	if (!*value)
		return fail(r, r->line, "'%s' has no value", key);
	if (r->target)
		return target_key(r, key, value);
	if (r->preset) {
		if (strcmp(key, "events") == 0)
			return pmf_ini_add_text(&r->preset->events, value, ",");
		return fail(r, r->line, "a preset has no '%s': events", key);
	}
	if (r->budgets)
		return budget_key(r, key, value);
	return fail(r, r->line, "'%s' stands before the first section: [target NAME]", key);
}

/* Where it does not say of which target it is, its name does. */
static void check_budgets(struct reading *r, struct pmf_budget_set *set)
{
	if (!set->target)
		set->target = pmf_strdup(set->name);
	if (!pmf_config_target(r->config, set->target))
		fail(r, set->line,
			"budget '%s' is for target '%s', which is not defined: 'target = NAME'",
			set->name, set->target);
	if (!set->nr_budgets)
		fail(r, set->line, "budget '%s' expects nothing: 'expect = cycles/bar < 12000'",
			set->name);
}

/* What only the whole file tells. */
static void check_whole(struct reading *r)
{
	const struct pmf_config *c = r->config;

	for (size_t i = 0; i < c->nr_targets; i++) {
		struct pmf_target *t = &c->targets[i];
		bool works = t->work > 0 || t->work_pattern;

		if (!t->command)
			fail(r, t->line, "target '%s' has no command", t->name);
		if (t->unit && !works)
			fail(r, t->line, "target '%s' has a unit, and no work", t->name);
		if (works && !t->unit) {
			t->unit = pmf_strdup("unit");
			t->units = pmf_strdup("units");
		}
	}
	for (size_t i = 0; i < c->nr_presets; i++)
		if (!c->presets[i].events)
			fail(r, c->presets[i].line, "preset '%s' has no events",
				c->presets[i].name);
	for (size_t i = 0; i < c->nr_budget_sets; i++)
		check_budgets(r, &c->budget_sets[i]);
}

/* May this user let the file say what to run? sudo(8) keeps the caller's id in SUDO_UID. */
static int trusted(const char *path, const struct stat *st, struct pmf_err *err)
{
	const char *caller = geteuid() == 0 ? getenv("SUDO_UID") : NULL;
	char owner[24];

	snprintf(owner, sizeof owner, "%lu", (unsigned long)st->st_uid);
	if (st->st_uid != 0 && st->st_uid != geteuid() && !(caller && strcmp(caller, owner) == 0))
		return pmf_err_set(err, PMF_EPERM,
			"'%s' is not used, for it names commands and belongs to user %s: it must be "
			"yours or root's",
			path, owner);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return pmf_err_set(err, PMF_EPERM,
			"'%s' is not used, for it names commands and others may write to it: "
			"'chmod go-w %s'",
			path, path);
	return 0;
}

int pmf_config_read(struct pmf_config *c, const char *path, struct pmf_err *err)
{
	const char *slash = strrchr(path, '/');
	struct reading r = {.ini = {.err = err}, .config = c};
	struct stat st;
	int fd = pmf_file_open_regular(path, &st), ret;

	memset(c, 0, sizeof *c);
	if (fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '%s'", path);
	c->path = pmf_strdup(path);
	ret = trusted(path, &st, err);
	r.ini.path = c->path;
	r.ini.f = ret ? NULL : fdopen(fd, "r");
	if (!r.ini.f) {
		close(fd);
		return ret ? ret : pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", path);
	}
	r.folder = slash ? pmf_strndup(path, slash == path ? 1 : (size_t)(slash - path))
			 : pmf_strdup(".");
	r.section = pmf_strdup("");
	pmf_ini_read(&r.ini, on_key, &r);
	check_whole(&r);
	fclose(r.ini.f);
	free(r.folder);
	free(r.section);
	return r.ini.failed ? PMF_EFORMAT : 0;
}

int pmf_config_find(struct pmf_config *c, const char *folder, struct pmf_err *err)
{
	char *at = realpath(folder, NULL), *path, *slash;
	struct stat here, st;
	int ret = 1;

	memset(c, 0, sizeof *c);
	if (!at || stat(at, &here) < 0) {
		free(at);
		return pmf_err_errno(err, pmf_status_of_errno(errno), errno,
			"cannot look for " FILE_NAME " in '%s'", folder);
	}
	while (ret > 0 && stat(at, &st) == 0 && st.st_dev == here.st_dev) {
		path = pmf_asprintf("%s/" FILE_NAME, strcmp(at, "/") == 0 ? "" : at);
		if (access(path, F_OK) == 0)
			ret = pmf_config_read(c, path, err);
		free(path);
		slash = strrchr(at, '/');
		if (strcmp(at, "/") == 0)
			break;
		slash[slash == at] = '\0';
	}
	free(at);
	return ret <= 0 ? ret
			: pmf_err_set(err, PMF_ENOTFOUND,
				  "there is no " FILE_NAME
				  " in '%s' or above: 'pmuflame init' writes one",
				  folder);
}

const struct pmf_target *pmf_config_target(const struct pmf_config *c, const char *name)
{
	for (size_t i = 0; i < c->nr_targets; i++)
		if (strcmp(c->targets[i].name, name) == 0)
			return &c->targets[i];
	return NULL;
}

void pmf_config_release(struct pmf_config *c)
{
	for (size_t i = 0; i < c->nr_targets; i++) {
		struct pmf_target *t = &c->targets[i];

		free(t->name);
		free(t->command);
		free(t->folder);
		free(t->setup);
		free(t->teardown);
		free(t->work_pattern);
		free(t->unit);
		free(t->units);
		pmf_free_strings(t->env, t->nr_env);
		pmf_free_strings(t->events, t->nr_events);
	}
	for (size_t i = 0; i < c->nr_presets; i++) {
		free(c->presets[i].name);
		free(c->presets[i].events);
	}
	for (size_t i = 0; i < c->nr_budget_sets; i++) {
		struct pmf_budget_set *set = &c->budget_sets[i];

		free(set->name);
		free(set->target);
		free(set->baseline);
		for (size_t k = 0; k < set->nr_budgets; k++)
			pmf_budget_release(&set->budgets[k]);
		free(set->budgets);
	}
	free(c->targets);
	free(c->presets);
	free(c->budget_sets);
	free(c->path);
	memset(c, 0, sizeof *c);
}
