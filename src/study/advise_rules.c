/* Files of rules: sections [event NAME], [library], [own] and [rule NAME]. */
#include "pmuflame/advise.h"

#include "ini_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reading {
	struct pmf_ini ini;
	struct pmf_rules *rules;
	char *section; /* in hand; "" before the first */
	struct pmf_rule_event *class;
	struct pmf_rule *rule;
	struct pmf_regex **paths; /* of [library] or [own] */
	const char *path;         /* as rules keep it */
};

static int bad(struct reading *r, const struct pmf_err *err)
{
	return pmf_ini_fail(&r->ini, r->ini.line, "%s", err->text);
}

static int add_regex(struct reading *r, struct pmf_regex **re, const char *key, const char *pattern)
{
	struct pmf_err err;

	return pmf_regex_add(re, pattern, key, &err) ? bad(r, &err) : 1;
}

static int set_bool(struct reading *r, bool *out, const char *key, const char *value)
{
	*out = strcmp(value, "yes") == 0;
	if (!*out && strcmp(value, "no") != 0)
		return pmf_ini_fail(
			&r->ini, r->ini.line, "%s '%s' is neither yes nor no", key, value);
	return 1;
}

static int replace(char **text, const char *value)
{
	free(*text);
	*text = pmf_strdup(value);
	return 1;
}

/* ---- [event NAME] ---- */

static size_t find_class(const struct pmf_rules *rules, const char *name, size_t len)
{
	for (size_t i = 0; i < rules->nr_classes; i++)
		if (strlen(rules->classes[i].name) == len &&
			memcmp(rules->classes[i].name, name, len) == 0)
			return i;
	return PMF_NO_CLASS;
}

/* Another file may add labels to a class. */
static int open_event(struct reading *r, const char *name)
{
	struct pmf_rules *rules = r->rules;
	size_t i = find_class(rules, name, strlen(name));

	if (i == PMF_NO_CLASS) {
		i = rules->nr_classes;
		PMF_PUSH(rules->classes, rules->nr_classes, rules->cap_classes) =
			(struct pmf_rule_event){.name = pmf_strdup(name), .each = 1};
	}
	r->class = &rules->classes[i];
	return 1;
}

static int event_key(struct reading *r, const char *key, const char *value)
{
	struct pmf_rule_event *c = r->class;
	char *end;

	if (strcmp(key, "label") == 0)
		return add_regex(r, &c->labels, key, value);
	if (strcmp(key, "record") == 0)
		return replace(&c->record, value);
	if (strcmp(key, "each") != 0)
		return pmf_ini_fail(
			&r->ini, r->ini.line, "an event has no '%s': label, record, each", key);
	c->each = strtod(value, &end);
	if (*end || !(c->each > 0) || !isfinite(c->each))
		return pmf_ini_fail(
			&r->ini, r->ini.line, "each '%s' is no number of events above 0", value);
	return 1;
}

/* ---- [rule NAME] ---- */

static void release_rule(struct pmf_rule *rule)
{
	free(rule->name);
	free(rule->title);
	free(rule->advice);
	pmf_regex_free(rule->frame);
	pmf_regex_free(rule->module);
	pmf_regex_free(rule->file);
	pmf_regex_free(rule->below);
	pmf_regex_free(rule->except);
	memset(rule, 0, sizeof *rule);
}

static int open_rule(struct reading *r, const char *name)
{
	struct pmf_rules *rules = r->rules;
	size_t i = 0;

	while (i < rules->nr_rules && strcmp(rules->rules[i].name, name) != 0)
		i++;
	if (i == rules->nr_rules)
		(void)PMF_PUSH(rules->rules, rules->nr_rules, rules->cap_rules);
	else if (rules->rules[i].path == r->path)
		return pmf_ini_fail(&r->ini, r->ini.line, "rule '%s' is defined twice", name);
	else
		release_rule(&rules->rules[i]);
	r->rule = &rules->rules[i];
	*r->rule =
		(struct pmf_rule){.name = pmf_strdup(name), .path = r->path, .line = r->ini.line};
	return 1;
}

/* Kinds of frames, with commas between them. */
static int add_kinds(struct reading *r, unsigned *kinds, const char *value)
{
	for (const char *at = value; *at;) {
		size_t len = strcspn(at, ", ");
		unsigned k = 0;

		while (k < PMF_FRAME_KINDS &&
			(!pmf_frame_is_code(k) || strlen(pmf_frame_kind_name(k)) != len ||
				strncmp(pmf_frame_kind_name(k), at, len) != 0))
			k++;
		if (k == PMF_FRAME_KINDS)
			return pmf_ini_fail(&r->ini, r->ini.line,
				"'%.*s' is none of kernel, native, inlined, python, jit", (int)len,
				at);
		*kinds |= 1u << k;
		at += len;
		at += strspn(at, ", ");
	}
	return 1;
}

static int set_loop(struct reading *r, const char *value)
{
	r->rule->loop = strcmp(value, "line") == 0     ? PMF_LOOP_LINE
			: strcmp(value, "caller") == 0 ? PMF_LOOP_CALLER
						       : PMF_LOOP_ANY;
	if (r->rule->loop == PMF_LOOP_ANY)
		return pmf_ini_fail(
			&r->ini, r->ini.line, "loop '%s' is neither line nor caller", value);
	return 1;
}

/* Step over blanks and, if it comes next, @token. */
static bool take(const char **at, const char *token)
{
	*at += strspn(*at, " \t");
	if (strncmp(*at, token, strlen(token)) != 0)
		return false;
	*at += strlen(token);
	return true;
}

/* The name of a class at *@at; PMF_NO_CLASS, and failed, for anything else. */
static size_t take_class(struct reading *r, const char **at)
{
	size_t len, i;

	take(at, "");
	len = strcspn(*at, " \t/)>");
	i = find_class(r->rules, *at, len);
	if (i == PMF_NO_CLASS)
		pmf_ini_fail(&r->ini, r->ini.line, "there is no [event %.*s] before this", (int)len,
			*at);
	*at += len;
	return i;
}

/* "share(time) >= 5%" or "branch-misses / instruction >= 0.01" */
static int add_evidence(struct reading *r, const char *value)
{
	struct pmf_evidence e = {.den = PMF_NO_CLASS};
	const char *at = value;
	bool is_share = take(&at, "share("), good;
	char *end;

	e.num = take_class(r, &at);
	good = take(&at, is_share ? ")" : "/");
	if (!is_share && good)
		e.den = take_class(r, &at);
	if (r->ini.failed)
		return 0;
	good = good && take(&at, ">=");
	e.least = good ? strtod(at, &end) : 0;
	if (good && end > at) {
		at = end;
		good = !is_share || take(&at, "%");
		e.least /= is_share ? 100 : 1;
		take(&at, "");
	}
	if (!good || *at || !(e.least > 0) || !isfinite(e.least) || (is_share && e.least > 1))
		return pmf_ini_fail(&r->ini, r->ini.line,
			"evidence '%s' is neither 'share(EVENT) >= N%%' nor 'EVENT / EVENT >= N'",
			value);
	if (r->rule->nr_evidence == PMF_EVIDENCE_MAX)
		return pmf_ini_fail(&r->ini, r->ini.line, "a rule has at most %d lines of evidence",
			PMF_EVIDENCE_MAX);
	r->rule->evidence[r->rule->nr_evidence++] = e;
	return 1;
}

static int rule_key(struct reading *r, const char *key, const char *value)
{
	struct pmf_rule *rule = r->rule;
	const struct {
		const char *key;
		struct pmf_regex **re;
	} patterns[] = {{"frame", &rule->frame}, {"module", &rule->module}, {"file", &rule->file},
		{"below", &rule->below}, {"except", &rule->except}};
	const struct {
		const char *key;
		bool *set;
	} switches[] = {{"own", &rule->own}, {"direct", &rule->direct},
		{"calls-own", &rule->calls_own}, {"off", &rule->off}};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(patterns); i++)
		if (strcmp(key, patterns[i].key) == 0)
			return add_regex(r, patterns[i].re, key, value);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(switches); i++)
		if (strcmp(key, switches[i].key) == 0)
			return set_bool(r, switches[i].set, key, value);
	if (strcmp(key, "title") == 0)
		return pmf_ini_add_text(&rule->title, value, " ");
	if (strcmp(key, "try") == 0)
		return pmf_ini_add_text(&rule->advice, value, "\n");
	if (strcmp(key, "kind") == 0)
		return add_kinds(r, &rule->kinds, value);
	if (strcmp(key, "at") == 0)
		return add_kinds(r, &rule->at_kinds, value);
	if (strcmp(key, "loop") == 0)
		return set_loop(r, value);
	if (strcmp(key, "evidence") == 0)
		return add_evidence(r, value);
	return pmf_ini_fail(&r->ini, r->ini.line,
		"a rule has no '%s': title, frame, module, file, kind, own, direct, calls-own, "
		"below, except, at, loop, evidence, try, off",
		key);
}

static void check_rule(struct reading *r, const struct pmf_rule *rule)
{
	if (rule->off)
		return;
	if (!rule->title || !rule->advice || !rule->nr_evidence)
		pmf_ini_fail(&r->ini, rule->line, "rule '%s' has no '%s'", rule->name,
			!rule->title    ? "title"
			: !rule->advice ? "try"
					: "evidence");
	else if (!rule->frame && (rule->module || rule->file || rule->kinds || rule->own ||
					 rule->direct || rule->calls_own || rule->below))
		pmf_ini_fail(&r->ini, rule->line,
			"rule '%s' has no 'frame', which its module, file, kind, own, direct, "
			"calls-own or below is of",
			rule->name);
}

/* ---- The file ---- */

static int open_section(struct reading *r, const char *section)
{
	static const struct {
		const char *kind;
		int (*open)(struct reading *r, const char *name);
	} kinds[] = {{"event ", open_event}, {"rule ", open_rule}};

	free(r->section);
	r->section = pmf_strdup(section);
	r->class = NULL;
	r->rule = NULL;
	r->paths = NULL;
	if (strcmp(section, "library") == 0 || strcmp(section, "own") == 0) {
		r->paths = section[0] == 'l' ? &r->rules->library : &r->rules->own;
		return 1;
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++) {
		const char *name = section + strlen(kinds[i].kind);

		if (strncmp(section, kinds[i].kind, strlen(kinds[i].kind)) == 0 &&
			pmf_ini_good_name(name))
			return kinds[i].open(r, name);
	}
	return pmf_ini_fail(&r->ini, r->ini.line,
		"'[%s]' is none of [rule NAME], [event NAME], [library] and [own], with a NAME of "
		"letters, digits, '.', '_' and '-'",
		section);
}

static int on_key(void *ctx, const char *section, const char *key, const char *value)
{
	struct reading *r = ctx;

	if (r->ini.failed)
		return 0;
	if (strcmp(section, r->section) != 0 && !open_section(r, section))
		return 0;
	if (!*value)
		return pmf_ini_fail(&r->ini, r->ini.line, "'%s' has no value", key);
	if (r->class)
		return event_key(r, key, value);
	if (r->rule)
		return rule_key(r, key, value);
	if (r->paths && strcmp(key, "path") == 0)
		return add_regex(r, r->paths, key, value);
	if (r->paths)
		return pmf_ini_fail(&r->ini, r->ini.line, "[%s] has no '%s': path", section, key);
	return pmf_ini_fail(
		&r->ini, r->ini.line, "'%s' stands before the first section: [rule NAME]", key);
}

/* What only the whole file tells. */
static void check_whole(struct reading *r)
{
	const struct pmf_rules *rules = r->rules;

	for (size_t i = 0; i < rules->nr_classes; i++)
		if (!rules->classes[i].labels || !rules->classes[i].record)
			pmf_ini_fail(&r->ini, r->ini.line, "[event %s] has no '%s'",
				rules->classes[i].name,
				rules->classes[i].labels ? "record" : "label");
	for (size_t i = 0; i < rules->nr_rules; i++)
		if (rules->rules[i].path == r->path)
			check_rule(r, &rules->rules[i]);
}

int pmf_rules_read(struct pmf_rules *rules, const char *path, struct pmf_err *err)
{
	struct reading r = {.ini = {.err = err}, .rules = rules};
	struct stat st;
	int fd = pmf_file_open_regular(path, &st), ret;

	if (fd < 0 && errno == EINVAL)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' is no regular file, as one of rules has to be", path);
	if (fd < 0)
		return pmf_err_errno(
			err, pmf_status_of_errno(errno), errno, "cannot open '%s'", path);
	r.ini.f = fdopen(fd, "r");
	if (!r.ini.f) {
		close(fd);
		return pmf_err_errno(err, PMF_EIO, errno, "cannot read '%s'", path);
	}
	r.path = PMF_PUSH(rules->paths, rules->nr_paths, rules->cap_paths) = pmf_strdup(path);
	r.ini.path = r.path;
	r.section = pmf_strdup("");
	ret = pmf_ini_read(&r.ini, on_key, &r);
	if (ret == 0) {
		check_whole(&r);
		ret = r.ini.failed ? PMF_EFORMAT : 0;
	}
	fclose(r.ini.f);
	free(r.section);
	return ret;
}

void pmf_rules_release(struct pmf_rules *r)
{
	for (size_t i = 0; i < r->nr_classes; i++) {
		free(r->classes[i].name);
		free(r->classes[i].record);
		pmf_regex_free(r->classes[i].labels);
	}
	for (size_t i = 0; i < r->nr_rules; i++)
		release_rule(&r->rules[i]);
	free(r->classes);
	free(r->rules);
	pmf_free_strings(r->paths, r->nr_paths);
	pmf_regex_free(r->library);
	pmf_regex_free(r->own);
	memset(r, 0, sizeof *r);
}
