/* The ledger as comments of a pprof file: "pmuflame KEY VALUE" each. A value that is text runs to
 * the comment's end, so that nothing in it needs an escape; numbers are NAME=VALUE between
 * spaces. */
#include "pprof_priv.h"
#include "protobuf_priv.h"

#include "pmuflame/units.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define OURS "pmuflame "
enum { VERSION = 1 };

enum fact_type { U64, SIZE, INT, BOOL, REAL };
static const size_t sizes[] = {
	sizeof(uint64_t), sizeof(size_t), sizeof(int), sizeof(bool), sizeof(double)};

struct fact {
	const char *name;
	enum fact_type type;
	size_t offset;
};

#define RUN(type, field) \
	{ \
#field, type, offsetof(struct pmf_profile, field) \
	}
#define EVENT(type, field) \
	{ \
#field, type, offsetof(struct pmf_profile_event, field) \
	}

static const struct fact run_facts[] = {
	RUN(INT, cpus),
	RUN(SIZE, ring_bytes),
	RUN(U64, lost_sideband),
	RUN(U64, lost_unattributed),
};

static const struct fact event_facts[] = {
	EVENT(U64, period),
	EVENT(U64, freq_hz),
	EVENT(INT, precise_ip),
	EVENT(BOOL, exclude_kernel),
	EVENT(BOOL, exclude_user),
	EVENT(BOOL, in_kernel),
	EVENT(U64, counted),
	EVENT(BOOL, only_samples),
	EVENT(U64, enabled_ns),
	EVENT(U64, running_ns),
	EVENT(U64, task_ns),
	EVENT(REAL, scale),
	EVENT(U64, samples),
	EVENT(U64, weight),
	EVENT(REAL, weight_sq),
	EVENT(U64, unsampled),
	EVENT(BOOL, lost_known),
	EVENT(U64, lost),
	EVENT(U64, throttled),
	EVENT(U64, rooted_stacks),
	EVENT(U64, joined_stacks),
	EVENT(U64, cut_stacks),
	EVENT(U64, broken_stacks),
	EVENT(U64, no_user_stack),
	EVENT(U64, skewed_stacks),
	EVENT(U64, frames),
	EVENT(U64, unresolved_frames),
};

struct text {
	const char *key;
	size_t offset;
};

static const struct text run_texts[] = {
	{"title", offsetof(struct pmf_profile, title)},
	{"command", offsetof(struct pmf_profile, command)},
	{"watched", offsetof(struct pmf_profile, watched)},
	{"host", offsetof(struct pmf_profile, host_note)},
};

static const struct text event_texts[] = {
	{"asked", offsetof(struct pmf_profile_event, spec)},
	{"fallback", offsetof(struct pmf_profile_event, fallback_reason)},
	{"unsampled", offsetof(struct pmf_profile_event, unsampled_name)},
};

/* The text's place in @of. */
static char **text_in(const void *of, const struct text *t)
{
	return (char **)((uintptr_t)of + t->offset);
}

/* ---- Writing ---- */

struct writer {
	struct pmf_strtab *strings;
	struct pmf_buf *ids;
	struct pmf_buf text;
};

__attribute__((format(printf, 2, 3))) static void begin(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	pmf_buf_clear(&w->text);
	pmf_buf_addstr(&w->text, OURS);
	va_start(ap, fmt);
	pmf_buf_vprintf(&w->text, fmt, ap);
	va_end(ap);
}

static void end(struct writer *w)
{
	pmf_pb_put_varint(w->ids, pmf_strtab_addz(w->strings, pmf_buf_str(&w->text)));
}

/* The facts of @of that are not as in @fresh, which is what the reader begins with. */
static void add_facts(
	struct writer *w, const struct fact *facts, size_t n, const void *of, const void *fresh)
{
	for (size_t i = 0; i < n; i++) {
		const void *at = (const char *)of + facts[i].offset;

		if (memcmp(at, (const char *)fresh + facts[i].offset, sizes[facts[i].type]) == 0)
			continue;
		pmf_buf_printf(&w->text, " %s=", facts[i].name);
		switch (facts[i].type) {
		case U64:
			pmf_buf_addu64(&w->text, *(const uint64_t *)at);
			break;
		case SIZE:
			pmf_buf_addu64(&w->text, *(const size_t *)at);
			break;
		case INT:
			pmf_buf_printf(&w->text, "%d", *(const int *)at);
			break;
		case BOOL:
			pmf_buf_addch(&w->text, *(const bool *)at ? '1' : '0');
			break;
		case REAL:
			pmf_buf_printf(&w->text, "%.17g", *(const double *)at);
			break;
		}
	}
	end(w);
}

void pmf_pprof_write_ledger(
	const struct pmf_profile *p, struct pmf_strtab *strings, struct pmf_buf *ids)
{
	struct writer w = {.strings = strings, .ids = ids, .text = PMF_BUF_INIT};
	struct pmf_profile fresh;

	pmf_profile_init(&fresh, 1);

	begin(&w, "profile %d", VERSION);
	end(&w);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(run_texts); i++) {
		const char *text = *text_in(p, &run_texts[i]);

		if (text) {
			begin(&w, "%s %s", run_texts[i].key, text);
			end(&w);
		}
	}
	begin(&w, "run");
	add_facts(&w, run_facts, PMF_ARRAY_SIZE(run_facts), p, &fresh);
	for (size_t e = 0; e < p->nr_events; e++) {
		const struct pmf_profile_event *ev = &p->events[e];

		begin(&w, "event %zu", e);
		add_facts(&w, event_facts, PMF_ARRAY_SIZE(event_facts), ev, fresh.events);
		for (size_t i = 0; i < PMF_ARRAY_SIZE(event_texts); i++) {
			const char *text = *text_in(ev, &event_texts[i]);

			if (text) {
				begin(&w, "%s %zu %s", event_texts[i].key, e, text);
				end(&w);
			}
		}
	}
	for (size_t i = 0; i < p->nr_notes; i++) {
		const struct pmf_note *note = &p->notes[i];
		const char *level = note->level == PMF_NOTE_WARN ? "warning" : "note";

		if (note->event < 0)
			begin(&w, "%s - %s", level, note->text);
		else
			begin(&w, "%s %d %s", level, note->event, note->text);
		end(&w);
	}
	pmf_profile_release(&fresh);
	pmf_buf_release(&w.text);
}

/* ---- Reading ---- */

bool pmf_pprof_is_ours(const char *text)
{
	return strncmp(text, OURS, strlen(OURS)) == 0;
}

static bool parse_u64(const char *s, size_t len, uint64_t most, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned char)s[i] - '0';

		if (digit > 9 || digit > most || *out > (most - digit) / 10)
			return false;
		*out = *out * 10 + digit;
	}
	return len > 0;
}

static bool parse_real(const char *s, size_t len, double *out)
{
	char text[64], *stop;

	if (len == 0 || len >= sizeof text)
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	*out = strtod(text, &stop);
	return !*stop && isfinite(*out) && *out >= 0;
}

static bool set_fact(const struct fact *fact, void *of, const char *s, size_t len)
{
	void *at = (char *)of + fact->offset;
	uint64_t n;

	switch (fact->type) {
	case U64:
		return parse_u64(s, len, UINT64_MAX, at);
	case SIZE:
		if (!parse_u64(s, len, SIZE_MAX, &n))
			return false;
		*(size_t *)at = (size_t)n;
		return true;
	case INT:
		if (!parse_u64(s, len, INT32_MAX, &n))
			return false;
		*(int *)at = (int)n;
		return true;
	case BOOL:
		if (!parse_u64(s, len, 1, &n))
			return false;
		*(bool *)at = n;
		return true;
	case REAL:
		return parse_real(s, len, at);
	}
	return false;
}

/* A name that is not known was written by a later version, and says nothing to this one. */
static bool read_facts(const char *s, const struct fact *facts, size_t n, void *of)
{
	for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
		size_t len = strcspn(s, " "), name = strcspn(s, "=");

		if (name >= len)
			return false;
		for (size_t i = 0; i < n; i++)
			if (strlen(facts[i].name) == name && memcmp(facts[i].name, s, name) == 0 &&
				!set_fact(&facts[i], of, s + name + 1, len - name - 1))
				return false;
		s += len;
	}
	return true;
}

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static void set_text(void *of, const struct text *t, const char *text)
{
	char **at = text_in(of, t);

	free(*at);
	*at = pmf_strdup(text);
}

/* What belongs to an event, or, notes only, to the whole run; @s is what stands behind the key. */
static bool read_of_event(struct pmf_profile *p, const char *key, size_t key_len, const char *s)
{
	size_t len = strcspn(s, " ");
	bool of_run = is_word(s, len, "-");
	struct pmf_profile_event *ev = NULL;
	uint64_t e = 0;

	if (!of_run && parse_u64(s, len, p->nr_events - 1, &e))
		ev = &p->events[e];
	s += len + (s[len] == ' ');
	for (int level = PMF_NOTE_INFO; level <= PMF_NOTE_WARN; level++) {
		if (is_word(key, key_len, level == PMF_NOTE_WARN ? "warning" : "note")) {
			if (of_run || ev)
				pmf_profile_note(p, level, of_run ? -1 : (int)e, "%s", s);
			return of_run || ev;
		}
	}
	if (is_word(key, key_len, "event"))
		return ev && read_facts(s, event_facts, PMF_ARRAY_SIZE(event_facts), ev);
	for (size_t i = 0; i < PMF_ARRAY_SIZE(event_texts); i++) {
		if (is_word(key, key_len, event_texts[i].key)) {
			if (ev)
				set_text(ev, &event_texts[i], s);
			return ev;
		}
	}
	return true;
}

int pmf_pprof_read_comment(struct pmf_profile *p, const char *text, struct pmf_err *err)
{
	const char *key = text + strlen(OURS), *value;
	size_t len = strcspn(key, " ");
	uint64_t version;
	bool ok = true;

	value = key + len + (key[len] == ' ');
	if (is_word(key, len, "profile")) {
		ok = parse_u64(value, strlen(value), UINT64_MAX, &version);
		if (ok && version > VERSION)
			return pmf_err_set(err, PMF_EUNSUP,
				"the profile was written by a later version of pmuflame");
	} else if (is_word(key, len, "run")) {
		ok = read_facts(value, run_facts, PMF_ARRAY_SIZE(run_facts), p);
	} else {
		for (size_t i = 0; i < PMF_ARRAY_SIZE(run_texts); i++) {
			if (is_word(key, len, run_texts[i].key)) {
				set_text(p, &run_texts[i], value);
				return 0;
			}
		}
		ok = read_of_event(p, key, len, value);
	}
	if (!ok)
		return pmf_err_set(err, PMF_EFORMAT, "its comment '%.100s' makes no sense", text);
	return 0;
}
