/* The grammar of --event: lists, groups, presets, modifiers and rates. What a NAME means is the
 * resolvers' business. */
#include "event_priv.h"

#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { QUOTE_MAX = 120 }; /* bytes of the user's text that a sentence repeats */

struct mods {
	bool user, kernel, hv, guest, host, pinned;
	uint8_t precise;
};

/* ":modifiers" and "@rate" that stand behind a preset or a group and hold for all of it. */
struct tail {
	const char *mods; /* NUL-terminated, "" if none; points into buf */
	uint64_t period, freq_hz;
	char *buf;
};

struct parse {
	const struct pmf_event_env *env;
	struct pmf_event_list *list;
	pmf_event_can_open *can_open;
	void *ctx;
	struct pmf_err *err;
};

static int parse_mods(const char *text, const char *spec, struct mods *m, struct pmf_err *err)
{
	for (const char *p = text; *p; p++) {
		switch (*p) {
		case 'u':
			m->user = true;
			break;
		case 'k':
			m->kernel = true;
			break;
		case 'h':
			m->hv = true;
			break;
		case 'G':
			m->guest = true;
			break;
		case 'H':
			m->host = true;
			break;
		case 'D':
			m->pinned = true;
			break;
		case 'P':
			break; /* the highest that opens is what is taken anyway */
		case 'p':
			if (++m->precise <= 3)
				break;
			return pmf_err_set(err, PMF_EUSAGE,
				"'%.*s' asks for more precision than there is: ppp is the highest",
				QUOTE_MAX, spec);
		default:
			return pmf_err_set(err, PMF_EUSAGE,
				"'%.*s': '%c' is no modifier: there are u (user), k (kernel), h "
				"(hypervisor), p to ppp (precision), P (the highest precision), D "
				"(pinned to the counter), G (guest) and H (host)",
				QUOTE_MAX, spec, *p);
		}
	}
	return 0;
}

static int apply_mods(struct pmf_event *ev, const char *text, struct pmf_err *err)
{
	struct mods m = {0};
	int ret = parse_mods(text, ev->spec, &m, err);
	bool privilege = m.user || m.kernel || m.hv;

	if (ret)
		return ret;
	if (m.precise && ev->cls != PMF_EVENT_HARDWARE && ev->cls != PMF_EVENT_OTHER)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%.*s' is not a hardware event, and only those have a precision: leave p "
			"away",
			QUOTE_MAX, ev->spec);
	for (size_t i = 0; i < ev->nr_attrs; i++) {
		struct perf_event_attr *a = &ev->attrs[i].attr;

		/* The first level that is named leaves the others out. */
		if (privilege && !ev->user_given)
			a->exclude_user = a->exclude_kernel = a->exclude_hv = 1;
		if (m.user)
			a->exclude_user = 0;
		if (m.kernel)
			a->exclude_kernel = 0;
		if (m.hv)
			a->exclude_hv = 0;
		if (m.guest || m.host) {
			a->exclude_guest = !m.guest;
			a->exclude_host = !m.host;
		}
		if (m.pinned)
			a->pinned = 1;
		if (m.precise)
			a->precise_ip = m.precise & 3;
	}
	ev->user_given |= privilege;
	if (m.precise) {
		ev->precise = m.precise;
		ev->precise_given = true;
	}
	return 0;
}

/* "1000", "10k", "997hz", "4khz". */
static int parse_rate(const char *text, uint64_t *period, uint64_t *freq_hz, struct pmf_err *err)
{
	size_t len = strlen(text);
	bool hz = len > 2 && strcasecmp(text + len - 2, "hz") == 0;
	uint64_t n;
	int ret = pmf_parse_u64(text, hz ? len - 2 : len, &n,
		hz ? "the frequency behind '@'" : "the period behind '@'", err);

	if (ret)
		return ret;
	if (n == 0)
		return pmf_err_set(err, PMF_EUSAGE,
			"'@%s': a %s of 0 samples nothing: give at least 1", text,
			hz ? "frequency" : "period");
	*period = hz ? 0 : n;
	*freq_hz = hz ? n : 0;
	return 0;
}

/* The '@' of "@rate" in @text, or NULL: not a preset's own and not inside pmu/.../. */
static char *find_rate(char *text)
{
	char *at = strrchr(text, '@'), *slash = strrchr(text, '/');

	return at && at != text && (!slash || slash < at) ? at : NULL;
}

/* Split "[:modifiers][@rate]". */
static int parse_tail(const char *text, size_t len, struct tail *t, struct pmf_err *err)
{
	char *at;
	int ret = 0;

	memset(t, 0, sizeof *t);
	/* The first byte is a guard, so that an '@' at the start is found. */
	t->buf = pmf_asprintf("}%.*s", (int)len, text);
	at = find_rate(t->buf);
	if (at) {
		*at = '\0';
		ret = parse_rate(at + 1, &t->period, &t->freq_hz, err);
	}
	t->mods = t->buf + 1;
	if (*t->mods == ':')
		t->mods++;
	else if (*t->mods && ret == 0)
		ret = pmf_err_set(err, PMF_EUSAGE,
			"'%.*s' stands where ':modifiers', '@rate' or a comma is expected",
			QUOTE_MAX, t->mods);
	if (ret)
		free(t->buf);
	return ret;
}

static int unknown(const struct pmf_event_env *env, const char *text, struct pmf_err *err)
{
	struct pmf_buf near = PMF_BUF_INIT;
	char *name = pmf_strdup(text), *colon = strrchr(name, ':');
	int ret;

	if (colon && colon != name && colon[-1] != ':' && colon[1] &&
		strspn(colon + 1, PMF_EVENT_MODIFIERS) == strlen(colon + 1))
		*colon = '\0';
	if (strpbrk(name, "*?["))
		ret = pmf_err_set(err, PMF_EUSAGE,
			"'%.*s' is a pattern, and an event is named in full: 'pmuflame list "
			"\"%.*s\"' shows those that match",
			QUOTE_MAX, name, QUOTE_MAX, name);
	else
		ret = pmf_event_tracepoint_trouble(env, name, err);
	if (ret == 0) {
		if (pmf_event_nearest(env, name, &near))
			ret = pmf_err_set(err, PMF_ENOTFOUND,
				"no event is called '%.*s' here: did you mean %s? 'pmuflame list' "
				"shows all",
				QUOTE_MAX, name, near.data);
		else
			ret = pmf_err_set(err, PMF_ENOTFOUND,
				"no event is called '%.*s' here: 'pmuflame list' shows all",
				QUOTE_MAX, name);
	}
	pmf_buf_release(&near);
	free(name);
	return ret;
}

static int resolve(const struct parse *p, const char *text, struct pmf_event *ev, const char **mods)
{
	static int (*const resolvers[])(const struct pmf_event_env *, const char *,
		struct pmf_event *, const char **, struct pmf_err *) = {
		pmf_event_from_breakpoint,
		pmf_event_from_pmu,
		pmf_event_from_alias,
		pmf_event_from_raw,
		pmf_event_from_tracepoint,
		pmf_event_from_sysfs_name,
		pmf_event_from_pfm,
	};

	for (size_t i = 0; i < PMF_ARRAY_SIZE(resolvers); i++) {
		int ret = resolvers[i](p->env, text, ev, mods, p->err);

		if (ret <= 0)
			return ret;
	}
	return unknown(p->env, text, p->err);
}

/* One NAME[:modifiers][@rate] of @len bytes into @ev, with what @tail adds. */
static int parse_spec(const struct parse *p, const char *spec, size_t len, const struct tail *tail,
	struct pmf_event *ev)
{
	char *text = pmf_strndup(spec, len), *at = find_rate(text);
	const char *mods = "", *colon;
	uint64_t period = 0, freq_hz = 0;
	int ret;

	memset(ev, 0, sizeof *ev);
	ev->group = -1;
	if (at)
		*at = '\0';
	ret = *text ? resolve(p, text, ev, &mods)
		    : pmf_err_set(p->err, PMF_EUSAGE,
			      "an event's name is missing: write NAME[:modifiers][@rate], with one "
			      "comma between two events");
	if (ret == 0 && at)
		ret = parse_rate(at + 1, &period, &freq_hz, p->err);
	if (ret == 0 && at && ev->rate_given)
		ret = pmf_err_set(p->err, PMF_EUSAGE,
			"'%.*s' has a rate both as a term and behind '@': keep one", QUOTE_MAX,
			text);
	if (ret)
		goto out;
	if (!at && tail && !ev->rate_given) {
		period = tail->period;
		freq_hz = tail->freq_hz;
	}
	if (period || freq_hz) {
		ev->period = period;
		ev->freq_hz = freq_hz;
		ev->rate_given = true;
	}
	colon = tail && *tail->mods && !*mods ? ":" : "";
	ev->spec = pmf_asprintf("%s%s%s", text, colon, tail ? tail->mods : "");
	ev->label = pmf_strdup(ev->spec);
	ret = apply_mods(ev, mods, p->err);
	if (ret == 0 && tail)
		ret = apply_mods(ev, tail->mods, p->err);
out:
	if (ret)
		pmf_event_release(ev);
	free(text);
	return ret;
}

/* Where the spec that starts at @s ends: at a comma or brace outside pmu/.../, or at the end. */
static const char *spec_end(const char *s)
{
	/* In mem:ADDR/LEN the slash opens nothing. */
	bool slashes = strncmp(s, "mem:", 4) != 0, inside = false;

	for (; *s; s++) {
		if (*s == '/' && slashes)
			inside = !inside;
		else if (!inside && (*s == ',' || *s == '}' || *s == '{'))
			break;
	}
	return s;
}

size_t pmf_event_spec_len(const char *arg)
{
	const char *from = arg;

	if (arg[strspn(arg, " \t\n")] == '{')
		from = strchr(arg, '}');
	return from ? (size_t)(spec_end(from + (*from == '}')) - arg) : strlen(arg);
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t\n");
}

/* The length of [s, end) without blanks at its end. */
static size_t trimmed(const char *s, const char *end)
{
	while (end > s && strchr(" \t\n", end[-1]))
		end--;
	return (size_t)(end - s);
}

/* "SPEC: reason": without the event that the reason starts with, it is the same text for all that
 * share it. */
static char *dropped_text(const char *spec, const char *reason)
{
	const char *colon = strstr(reason, "': ");

	return pmf_asprintf(
		"%s: %s", spec, strncmp(reason, "cannot ", 7) == 0 && colon ? colon + 3 : reason);
}

/* Try each of a preset's members; what cannot open is named in the list. The first reason is left
 * in
 * @why. */
static int add_members(const struct parse *p, const char *specs, const struct tail *tail,
	size_t *kept, struct pmf_err *why)
{
	struct pmf_event_list *list = p->list;

	while (*specs) {
		const char *end = spec_end(specs);
		struct pmf_err reason = PMF_ERR_INIT;
		struct pmf_event ev;
		int ret = parse_spec(p, specs, (size_t)(end - specs), tail, &ev);

		if (ret)
			return ret;
		if (!p->can_open || p->can_open(p->ctx, &ev, &reason)) {
			PMF_PUSH(list->events, list->n, list->cap) = ev;
			++*kept;
		} else {
			PMF_PUSH(list->dropped, list->nr_dropped, list->cap_dropped) =
				dropped_text(ev.spec, reason.text);
			if (why->status == PMF_OK)
				*why = reason;
			pmf_event_release(&ev);
		}
		specs = *end ? end + 1 : end;
	}
	return 0;
}

static void name_presets(struct pmf_buf *out, const struct pmf_event_preset *preset)
{
	for (; preset && preset->name; preset++)
		pmf_buf_printf(out, "%s%s", out->len ? ", " : "", preset->name);
}

static int add_preset(const struct parse *p, const char *item, size_t len)
{
	size_t name_len = 1, kept = 0;
	struct pmf_err why = PMF_ERR_INIT;
	const struct pmf_event_preset *preset;
	struct tail tail;
	int ret;

	while (name_len < len && item[name_len] != ':' && item[name_len] != '@')
		name_len++;
	preset = pmf_event_preset_find(p->list->presets, item, name_len);
	if (!preset)
		preset = pmf_event_preset_find(pmf_event_presets(), item, name_len);
	if (!preset) {
		struct pmf_buf have = PMF_BUF_INIT;

		name_presets(&have, p->list->presets);
		name_presets(&have, pmf_event_presets());
		ret = pmf_err_set(p->err, PMF_ENOTFOUND, "there is no preset '%.*s': there are %s",
			(int)PMF_MIN(name_len, (size_t)QUOTE_MAX), item, have.data);
		pmf_buf_release(&have);
		return ret;
	}
	ret = parse_tail(item + name_len, len - name_len, &tail, p->err);
	if (ret)
		return ret;
	ret = add_members(p, preset->specs, &tail, &kept, &why);
	if (ret == 0 && kept == 0 && preset->without_pmu)
		ret = add_members(p, preset->without_pmu, &tail, &kept, &why);
	if (ret == 0 && kept == 0)
		ret = pmf_err_set(p->err, why.status, "no event of %s can run here: %s",
			preset->name, why.text);
	free(tail.buf);
	return ret;
}

/* Parse the group at @item ("{"); *@end is set behind it and its tail. */
static int add_group(const struct parse *p, const char *item, const char **end)
{
	struct pmf_event_list *list = p->list;
	const char *s, *close = strchr(item, '}');
	struct tail tail;
	int ret, group = list->nr_groups++;
	bool leader = true;

	if (!close)
		return pmf_err_set(p->err, PMF_EUSAGE, "the group '%.*s' lacks its closing '}'",
			QUOTE_MAX, item);
	*end = spec_end(close + 1);
	ret = parse_tail(close + 1, trimmed(close + 1, *end), &tail, p->err);
	if (ret)
		return ret;
	for (s = item + 1; ret == 0 && s <= close;) {
		const char *stop = spec_end(s = skip_blanks(s));
		struct pmf_event ev;

		if (*stop == '{' || *s == '@' || stop > close) {
			ret = pmf_err_set(p->err, PMF_EUSAGE,
				"'%.*s' cannot stand inside a group: a group holds single events",
				(int)PMF_MIN(strcspn(s, "}"), (size_t)QUOTE_MAX), s);
			break;
		}
		ret = parse_spec(p, s, trimmed(s, stop), &tail, &ev);
		if (ret)
			break;
		/* perf_event_open(2): only a group's leader may be pinned. */
		for (size_t i = 0; i < ev.nr_attrs && !leader; i++)
			ev.attrs[i].attr.pinned = 0;
		leader = false;
		ev.group = group;
		PMF_PUSH(list->events, list->n, list->cap) = ev;
		s = stop + 1;
	}
	free(tail.buf);
	return ret;
}

static int parse_list(const struct parse *p, const char *arg)
{
	const char *s = skip_blanks(arg), *end = s;
	int ret = 0;

	for (;;) {
		if (*s == '{') {
			ret = add_group(p, s, &end);
		} else {
			end = spec_end(s);
			if (*s == '@') {
				ret = add_preset(p, s, trimmed(s, end));
			} else {
				struct pmf_event ev;

				ret = parse_spec(p, s, trimmed(s, end), NULL, &ev);
				if (ret == 0)
					PMF_PUSH(p->list->events, p->list->n, p->list->cap) = ev;
			}
		}
		if (ret)
			return ret;
		if (!*end)
			return 0;
		if (*end != ',')
			return pmf_err_set(p->err, PMF_EUSAGE,
				"'%c' in '%.*s' stands outside a group: write {event,event}", *end,
				QUOTE_MAX, arg);
		s = skip_blanks(end + 1);
	}
}

int pmf_event_list_add_in(const struct pmf_event_env *env, struct pmf_event_list *list,
	const char *arg, pmf_event_can_open *can_open, void *ctx, struct pmf_err *err)
{
	struct pmf_event_list more;
	struct parse p = {env, &more, can_open, ctx, err};
	int ret;

	pmf_event_list_init(&more);
	more.nr_groups = list->nr_groups;
	more.presets = list->presets;
	ret = parse_list(&p, arg);
	if (ret == 0) {
		for (size_t i = 0; i < more.n; i++)
			PMF_PUSH(list->events, list->n, list->cap) = more.events[i];
		for (size_t i = 0; i < more.nr_dropped; i++)
			PMF_PUSH(list->dropped, list->nr_dropped, list->cap_dropped) =
				more.dropped[i];
		list->nr_groups = more.nr_groups;
		more.n = more.nr_dropped = 0;
	}
	pmf_event_list_release(&more);
	return ret;
}
