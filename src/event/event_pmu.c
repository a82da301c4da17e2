/* pmu/term=value,.../ and bare sysfs names: from the terms to perf_event_attr, by the PMU's own
 * format files (Documentation/ABI/testing/sysfs-bus-event_source-devices-{format,events}). */
#include "event_priv.h"

#include "pmuflame/file.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct term_ctx {
	const struct pmf_event_env *env;
	const struct pmf_pmu *pmu;
	struct pmf_event *ev;
	struct perf_event_attr *attr;
	bool hybrid;
	struct pmf_err *err;
};

struct term {
	const char *name, *value; /* value: NULL without '=' */
	size_t name_len, value_len;
};

/* The word of the attr that a format file or a term calls "config", "config1" and so on. */
static bool get_word(
	const struct perf_event_attr *attr, const char *name, size_t len, uint64_t *out)
{
	if (len == 6 && memcmp(name, "config", 6) == 0)
		*out = attr->config;
	else if (len == 7 && memcmp(name, "config1", 7) == 0)
		*out = attr->config1;
	else if (len == 7 && memcmp(name, "config2", 7) == 0)
		*out = attr->config2;
#ifdef PERF_ATTR_SIZE_VER8
	else if (len == 7 && memcmp(name, "config3", 7) == 0)
		*out = attr->config3;
#endif
	else
		return false;
	return true;
}

/* @name is one that get_word knows. */
static void set_word(struct perf_event_attr *attr, const char *name, size_t len, uint64_t value)
{
	if (len == 6)
		attr->config = value;
	else if (name[6] == '1')
		attr->config1 = value;
	else if (name[6] == '2')
		attr->config2 = value;
#ifdef PERF_ATTR_SIZE_VER8
	else
		attr->config3 = value;
#endif
}

/* The next "lo-hi" or "bit" of a format's range list; false at its end. *lo > 63 says malformed. */
static bool next_range(const char **p, unsigned *lo, unsigned *hi)
{
	char *end;
	unsigned long a, b;

	if (!**p)
		return false;
	a = strtoul(*p, &end, 10);
	b = a;
	if (end != *p && *end == '-') {
		*p = end + 1;
		b = strtoul(*p, &end, 10);
	}
	if (end == *p || a > b || b > 63 || (*end && *end != ',')) {
		*lo = 64;
		return true;
	}
	*lo = (unsigned)a;
	*hi = (unsigned)b;
	*p = *end ? end + 1 : end;
	return true;
}

static int bad_format(const struct term_ctx *c, const struct term *t, const char *format)
{
	return pmf_err_set(c->err, PMF_EUNSUP,
		"the PMU '%s' describes its term '%.*s' as '%s', which this build of pmuflame "
		"does not understand",
		c->pmu->name, (int)t->name_len, t->name, format);
}

/* Put @value into the bits that @format ("config:0-7,32-35") names, lowest first. */
static int put_bits(
	const struct term_ctx *c, const struct term *t, const char *format, uint64_t value)
{
	size_t word_len = strcspn(format, ":");
	const char *p = format + word_len;
	uint64_t word, left = value;
	unsigned lo = 0, hi = 0, total = 0;

	if (!get_word(c->attr, format, word_len, &word) || *p != ':' || !p[1])
		return bad_format(c, t, format);
	p++;
	while (next_range(&p, &lo, &hi)) {
		unsigned width = hi - lo + 1;
		uint64_t mask;

		if (lo > 63)
			return bad_format(c, t, format);
		mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
		word = (word & ~(mask << lo)) | (left & mask) << lo;
		left = width == 64 ? 0 : left >> width;
		total += width;
	}
	if (left)
		return pmf_err_set(c->err, PMF_EUSAGE,
			"the value 0x%" PRIx64 " of '%.*s' is too large: the PMU '%s' has %u bits "
			"for it",
			value, (int)t->name_len, t->name, c->pmu->name, total);
	set_word(c->attr, format, word_len, word);
	return 0;
}

/* Does PMU folder @sub hold @name? Then its first line is in @line. */
static bool read_pmu_file(const struct term_ctx *c, const char *sub, const char *name, size_t len,
	char *line, size_t size)
{
	char *path;
	int ret;

	if (len == 0 || name[0] == '.' || memchr(name, '/', len))
		return false;
	path = pmf_asprintf("%s/%s/%s/%.*s", c->env->sysfs, c->pmu->name, sub, (int)len, name);
	ret = pmf_file_read_line(path, line, size, NULL);
	free(path);
	return ret == 0;
}

static int no_such_term(const struct term_ctx *c, const struct term *t)
{
	struct pmf_buf have = PMF_BUF_INIT, near = PMF_BUF_INIT;
	char *dir = pmf_asprintf("%s/%s/format", c->env->sysfs, c->pmu->name), **names, *name;
	size_t n = pmf_event_names_read(dir, &names);
	int ret;

	for (size_t i = 0; i < n && have.len < 300; i++)
		pmf_buf_printf(&have, "%s%s", i ? ", " : "", names[i]);
	pmf_free_strings(names, n);
	free(dir);
	name = pmf_asprintf("%s/%.*s/", c->pmu->name, (int)t->name_len, t->name);
	if (pmf_event_nearest(c->env, name, &near))
		pmf_buf_addstr(&near, " come near, and it");
	ret = pmf_err_set(c->err, PMF_ENOTFOUND,
		"the PMU '%s' has no term or event '%.*s': %s has the terms %s; 'pmuflame list "
		"%s/' shows its events",
		c->pmu->name, (int)PMF_MIN(t->name_len, 80), t->name, near.len ? near.data : "it",
		have.len ? have.data : "config, config1 and config2", c->pmu->name);
	free(name);
	pmf_buf_release(&have);
	pmf_buf_release(&near);
	return ret;
}

/* Terms that every PMU has, in perf as here. 1 if @t is none of them. */
static int put_common_term(const struct term_ctx *c, const struct term *t)
{
	static const char *const refused[] = {"call-graph", "stack-size", "inherit", "no-inherit",
		"max-stack", "overwrite", "no-overwrite", "driver-config", "percore", "aux-output",
		"aux-sample-size", "branch_type", "time", "max-events", "nr", "metric-id", "name"};
	uint64_t value, word;
	int ret;

	if (get_word(c->attr, t->name, t->name_len, &word)) {
		if (!t->value || !pmf_event_number(t->value, t->value_len, &value))
			return pmf_err_set(c->err, PMF_EUSAGE,
				"'%.*s' needs a number, such as %.*s=0x3c", (int)t->name_len,
				t->name, (int)t->name_len, t->name);
		set_word(c->attr, t->name, t->name_len, value);
		return 0;
	}
	if ((t->name_len == 6 && memcmp(t->name, "period", 6) == 0) ||
		(t->name_len == 4 && memcmp(t->name, "freq", 4) == 0)) {
		ret = pmf_parse_u64(t->value ? t->value : "", t->value_len, &value,
			t->name[0] == 'p' ? "the period" : "the frequency", c->err);
		if (ret == 0 && value == 0)
			ret = pmf_err_set(c->err, PMF_EUSAGE, "'%.*s' must be at least 1",
				(int)t->name_len, t->name);
		if (ret)
			return ret;
		c->ev->period = t->name[0] == 'p' ? value : 0;
		c->ev->freq_hz = t->name[0] == 'p' ? 0 : value;
		c->ev->rate_given = true;
		return 0;
	}
	for (size_t i = 0; i < PMF_ARRAY_SIZE(refused); i++)
		if (strlen(refused[i]) == t->name_len &&
			memcmp(refused[i], t->name, t->name_len) == 0)
			return pmf_err_set(c->err, PMF_EUSAGE,
				"perf's term '%s' is not an event's here: period= and freq= are, "
				"the rest are options of pmuflame",
				refused[i]);
	return 1;
}

/* One term by the PMU's own format file. 1 if it has none of that name. */
static int put_format_term(const struct term_ctx *c, const struct term *t)
{
	uint64_t value = 1;
	char format[256];

	if (!read_pmu_file(c, "format", t->name, t->name_len, format, sizeof format))
		return 1;
	if (t->value && !pmf_event_number(t->value, t->value_len, &value))
		return pmf_err_set(c->err, PMF_EUSAGE,
			"'%.*s=%.*s' of the PMU '%s' needs a number, decimal or 0x…",
			(int)t->name_len, t->name, (int)PMF_MIN(t->value_len, 80), t->value,
			c->pmu->name);
	return put_bits(c, t, format, value);
}

/* Cut the next term off *@p, a comma list of @end; false at its end. */
static bool next_term(const char **p, const char *end, struct term *t)
{
	const char *stop, *eq;

	if (*p >= end)
		return false;
	stop = memchr(*p, ',', (size_t)(end - *p));
	if (!stop)
		stop = end;
	eq = memchr(*p, '=', (size_t)(stop - *p));
	t->name = *p;
	t->name_len = (size_t)((eq ? eq : stop) - *p);
	t->value = eq ? eq + 1 : NULL;
	t->value_len = eq ? (size_t)(stop - eq - 1) : 0;
	*p = stop < end ? stop + 1 : end;
	return true;
}

/* Does [p, end) give the term @t a value? */
static bool gives(const char *p, const char *end, const struct term *t)
{
	struct term have;

	while (next_term(&p, end, &have))
		if (have.value && have.name_len == t->name_len &&
			memcmp(have.name, t->name, t->name_len) == 0)
			return true;
	return false;
}

/* The terms that an events/ file stands for: formats only, no event names within. Those that it
 * leaves open ("chip=?") must be given in [rest, end), the terms behind the event's name. */
static int put_event_file(const struct term_ctx *c, const struct term *event, const char *line,
	const char *rest, const char *rest_end)
{
	const char *p = line, *end = line + strlen(line);
	struct term t;

	while (next_term(&p, end, &t)) {
		bool open = t.value_len == 1 && t.value[0] == '?';
		int ret;

		if (open && gives(rest, rest_end, &t))
			continue;
		if (open)
			return pmf_err_set(c->err, PMF_EUSAGE,
				"'%s/%.*s/' needs a value for '%.*s': write %s/%.*s,%.*s=N/",
				c->pmu->name, (int)event->name_len, event->name, (int)t.name_len,
				t.name, c->pmu->name, (int)event->name_len, event->name,
				(int)t.name_len, t.name);
		ret = put_format_term(c, &t);
		if (ret == 1)
			ret = put_common_term(c, &t);
		if (ret == 1)
			ret = pmf_err_set(c->err, PMF_EUNSUP,
				"the PMU '%s' describes '%.*s' with the term '%.*s', which it does "
				"not have",
				c->pmu->name, (int)event->name_len, event->name, (int)t.name_len,
				t.name);
		if (ret)
			return ret;
	}
	return 0;
}

/* A term without a value that is no format: an event of the PMU, or the kernel's name for one. 1 if
 * it is neither. */
static int put_event_name(
	const struct term_ctx *c, const struct term *t, const char *rest, const char *end)
{
	char line[1024];
	uint64_t config;
	uint32_t type;

	if (pmf_event_is_event_file(t->name, t->name_len) &&
		read_pmu_file(c, "events", t->name, t->name_len, line, sizeof line))
		return put_event_file(c, t, line, rest, end);
	if (!c->pmu->core || !pmf_event_alias_find(t->name, t->name_len, &type, &config) ||
		type == PERF_TYPE_SOFTWARE)
		return 1;
	c->attr->type = type;
	c->attr->config = config | (c->hybrid ? (uint64_t)c->pmu->type << PERF_PMU_TYPE_SHIFT : 0);
	return 0;
}

static int put_terms(const struct term_ctx *c, const char *terms, size_t len)
{
	const char *p = terms, *end = terms + len;
	struct term t;

	while (next_term(&p, end, &t)) {
		int ret;

		if (t.name_len == 0)
			return pmf_err_set(c->err, PMF_EUSAGE,
				"'%s/%.*s/' has an empty term: write term=value,term=value",
				c->pmu->name, (int)PMF_MIN(len, 200), terms);
		ret = put_format_term(c, &t);
		if (ret == 1)
			ret = put_common_term(c, &t);
		if (ret == 1 && !t.value)
			ret = put_event_name(c, &t, p, end);
		if (ret == 1)
			ret = no_such_term(c, &t);
		if (ret)
			return ret;
	}
	return 0;
}

static int add_pmu_event(const struct pmf_event_env *env, const struct pmf_pmu_list *list,
	const struct pmf_pmu *pmu, const char *terms, size_t len, struct pmf_event *ev,
	struct pmf_err *err)
{
	struct term_ctx c = {env, pmu, ev, NULL, pmf_pmu_list_nr_cores(list) >= 2, err};
	int ret;

	c.attr = &pmf_event_add_attr(ev, pmu->type, 0, pmu->name, pmu->cpus)->attr;
	ret = put_terms(&c, terms, len);
	if (ret == 0)
		ev->cls = pmf_event_classify(c.attr->type, c.attr->config, pmu->on_core);
	return ret;
}

static int no_such_pmu(
	const struct pmf_pmu_list *list, const char *text, size_t len, struct pmf_err *err)
{
	struct pmf_buf have = PMF_BUF_INIT;
	int ret;

	for (size_t i = 0; i < list->n && have.len < 600; i++)
		pmf_buf_printf(&have, "%s%s", i ? ", " : "", list->pmus[i].name);
	ret = pmf_err_set(err, PMF_ENOTFOUND, "there is no PMU '%.*s' on this machine: %s%s",
		(int)PMF_MIN(len, 80), text, have.len ? "it has " : "the kernel names none",
		pmf_buf_str(&have));
	pmf_buf_release(&have);
	return ret;
}

int pmf_event_from_pmu(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err)
{
	const char *slash = strchr(text, '/'), *last;
	struct pmf_pmu_list list;
	const struct pmf_pmu *pmu;
	int ret;

	if (!slash || slash == text)
		return 1;
	last = strrchr(text, '/');
	if (last == slash)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' lacks the closing '/': write pmu/term=value,.../", text);
	pmf_pmu_list_read(env, &list);
	pmu = pmf_pmu_list_find(&list, text, (size_t)(slash - text));
	if (pmu)
		ret = add_pmu_event(
			env, &list, pmu, slash + 1, (size_t)(last - slash - 1), ev, err);
	else
		ret = no_such_pmu(&list, text, (size_t)(slash - text), err);
	pmf_pmu_list_release(&list);
	/* perf takes cpu/event/u and cpu/event/:u. */
	*mods = last[1] == ':' ? last + 2 : last + 1;
	return ret;
}

int pmf_event_from_sysfs_name(const struct pmf_event_env *env, const char *text,
	struct pmf_event *ev, const char **mods, struct pmf_err *err)
{
	size_t len = strcspn(text, ":");
	struct pmf_pmu_list list;
	char line[8];
	int ret = 1;

	if (text[len] == ':' && text[len + 1] == ':')
		return 1;
	pmf_pmu_list_read(env, &list);
	/* Core PMUs first: a name that a core has is not looked for elsewhere. */
	for (int core = 1; core >= 0 && ret == 1; core--) {
		for (size_t i = 0; i < list.n && ret >= 0; i++) {
			struct term_ctx c = {env, &list.pmus[i], ev, NULL, false, err};

			if (list.pmus[i].core != (core == 1) ||
				!pmf_event_is_event_file(text, len) ||
				!read_pmu_file(&c, "events", text, len, line, sizeof line))
				continue;
			ret = add_pmu_event(env, &list, &list.pmus[i], text, len, ev, err);
		}
	}
	pmf_pmu_list_release(&list);
	*mods = text[len] ? text + len + 1 : text + len;
	return ret;
}
