#include "pmuflame/profile.h"
#include "pmuflame/units.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

const char *pmf_profile_label(const struct pmf_profile_event *ev)
{
	return ev->label ? ev->label : "";
}

const char *pmf_profile_unit(const struct pmf_profile_event *ev)
{
	return ev->unit ? ev->unit : "events";
}

bool pmf_profile_is_time(const struct pmf_profile_event *ev)
{
	return ev->unit && strcmp(ev->unit, "ns") == 0;
}

char *pmf_profile_format(const struct pmf_profile_event *ev, double weight, char *out)
{
	/* Above 2^63 a double no longer converts; nothing counts that far. */
	uint64_t n = weight > 0 && weight < 0x1p63 ? (uint64_t)(weight + 0.5) : 0;

	return pmf_profile_is_time(ev) ? pmf_format_ns(out, n) : pmf_format_count(out, n);
}

static void add_count(struct pmf_buf *out, const char *before, uint64_t n)
{
	char text[PMF_UNITS_MAX];

	pmf_buf_addstr(out, before);
	pmf_buf_addstr(out, pmf_format_count(text, n));
}

/* Few heavy samples among many light ones know less than their number says. */
static void samples_part(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	double worth = pmf_profile_effective_samples(ev);
	const char *end = ev->only_samples ? "" : ",";
	char text[PMF_UNITS_MAX];

	add_count(out, " · samples ", ev->samples);
	if (worth >= 0.9 * (double)ev->samples)
		return;
	if (worth < 100)
		pmf_buf_printf(out, ", worth %.1f of equal weight%s", worth, end);
	else
		pmf_buf_printf(out, ", worth %s of equal weight%s",
			pmf_format_count(text, (uint64_t)worth), end);
}

static void main_line(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	char counted[PMF_UNITS_MAX], share[PMF_UNITS_MAX];
	double unsampled = (double)ev->unsampled, total = (double)ev->counted;

	pmf_buf_addclean(out, pmf_profile_label(ev), ' ');
	pmf_buf_printf(out, ": %s%s %s", pmf_profile_format(ev, total * ev->scale, counted),
		pmf_profile_is_time(ev) ? "" : " events", ev->only_samples ? "sampled" : "counted");
	if (ev->scale > 1)
		pmf_buf_addstr(out, " (scaled)");
	samples_part(ev, out);
	if (ev->only_samples)
		pmf_buf_addstr(out, " · what was counted beside them is not recorded");
	else if (total > 0)
		pmf_buf_printf(out, " stand for %s of the count",
			pmf_format_percent(share, total - unsampled, total));
	if (ev->lost_known)
		add_count(out, " · lost ", ev->lost);
	else if (ev->only_samples)
		pmf_buf_addstr(out, " · lost: not recorded per event");
	else
		pmf_buf_addstr(out, " · lost: not known (Linux 6.0 and later tell)");
	pmf_buf_addch(out, '\n');
}

static void event_line(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	if (!ev->spec || !ev->label || strcmp(ev->spec, ev->label) == 0)
		return;
	pmf_buf_addstr(out, "asked for ");
	pmf_buf_addclean(out, ev->spec, ' ');
	pmf_buf_addstr(out, ", counted ");
	pmf_buf_addclean(out, ev->label, ' ');
	if (ev->fallback_reason) {
		pmf_buf_addstr(out, ": ");
		pmf_buf_addclean(out, ev->fallback_reason, ' ');
	}
	pmf_buf_addch(out, '\n');
}

static void rate_line(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	char period[PMF_UNITS_MAX];

	if (ev->freq_hz)
		pmf_buf_printf(out, "rate %" PRIu64 " Hz", ev->freq_hz);
	else if (ev->period == 1)
		pmf_buf_addstr(out, "rate: every event is a sample");
	else if (ev->period)
		pmf_buf_printf(out, "rate: 1 sample per %s%s",
			pmf_profile_format(ev, (double)ev->period, period),
			pmf_profile_is_time(ev) ? "" : " events");
	else
		pmf_buf_addstr(out, "rate not known");
	pmf_buf_printf(out, " · precise_ip %d · %s\n", ev->precise_ip,
		ev->exclude_kernel && ev->exclude_user ? "neither user nor kernel"
		: ev->exclude_kernel                   ? "user only"
		: ev->exclude_user                     ? "kernel only"
						       : "user and kernel");
}

static void weight_line(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	char weight[PMF_UNITS_MAX], rest[PMF_UNITS_MAX], share[PMF_UNITS_MAX];

	if (ev->only_samples) {
		if (ev->throttled) {
			add_count(out, "throttled ", ev->throttled);
			pmf_buf_addch(out, '\n');
		}
		return;
	}
	pmf_buf_printf(out, "sampled weight %s · ",
		pmf_profile_format(ev, (double)ev->weight * ev->scale, weight));
	pmf_buf_addclean(out, ev->unsampled_name ? ev->unsampled_name : "[unsampled]", ' ');
	pmf_buf_printf(out, " %s (%s)",
		pmf_profile_format(ev, (double)ev->unsampled * ev->scale, rest),
		pmf_format_percent(share, (double)ev->unsampled, (double)ev->counted));
	if (ev->scale > 1) {
		/* scale is task_ns / running_ns, so its inverse is the share of time that it
		 * ran. */
		pmf_buf_printf(out, " · multiplexed: ran %s of the time, scaled by %.3f",
			pmf_format_percent(share, 1, ev->scale), ev->scale);
	} else if (ev->running_ns) {
		pmf_buf_addstr(out, " · ran all the time, not scaled");
	}
	add_count(out, " · throttled ", ev->throttled);
	pmf_buf_addch(out, '\n');
}

static void share_of_samples(
	struct pmf_buf *out, const char *what, uint64_t n, const struct pmf_profile_event *ev)
{
	char share[PMF_UNITS_MAX];

	add_count(out, what, n);
	pmf_buf_printf(out, " (%s)", pmf_format_percent(share, (double)n, (double)ev->samples));
}

static void walked_part(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	share_of_samples(out, "stacks: rooted ", ev->rooted_stacks, ev);
	if (ev->joined_stacks)
		share_of_samples(out, " · joined ", ev->joined_stacks, ev);
	share_of_samples(out, " · cut ", ev->cut_stacks, ev);
	share_of_samples(out, " · broken ", ev->broken_stacks, ev);
}

static void stack_lines(const struct pmf_profile_event *ev, struct pmf_buf *out)
{
	char share[PMF_UNITS_MAX];

	if (ev->samples == 0)
		return;
	if (!ev->only_samples || ev->rooted_stacks || ev->joined_stacks || ev->cut_stacks ||
		ev->broken_stacks)
		walked_part(ev, out);
	else
		pmf_buf_addstr(out, "stacks: none unwound from a dump");
	if (ev->no_user_stack)
		share_of_samples(out, " · without a user stack ", ev->no_user_stack, ev);
	if (ev->skewed_stacks)
		share_of_samples(out, " · skewed ", ev->skewed_stacks, ev);
	pmf_buf_addch(out, '\n');
	if (ev->frames) {
		add_count(out, "frames: ", ev->unresolved_frames);
		add_count(out, " of ", ev->frames);
		pmf_buf_printf(out, " without a name (%s)\n",
			pmf_format_percent(
				share, (double)ev->unresolved_frames, (double)ev->frames));
	}
}

/* Part of a line whose parts may all be missing: the line's name stands before the first. */
static void add_part(struct pmf_buf *out, size_t line_start, const char *name, const char *part)
{
	pmf_buf_addstr(out, out->len == line_start ? name : " · ");
	pmf_buf_addclean(out, part, ' ');
}

static void run_line(const struct pmf_profile *p, struct pmf_buf *out)
{
	time_t start = (time_t)(p->start_unix_ns / 1000000000u);
	char when[64], duration[PMF_UNITS_MAX], ring[PMF_UNITS_MAX];
	size_t line_start = out->len;
	struct tm tm;

	if (p->command)
		add_part(out, line_start, "run: ", p->command);
	if (p->watched)
		add_part(out, line_start, "run: ", p->watched);
	if (p->host_note)
		add_part(out, line_start, "run: ", p->host_note);
	if (p->start_unix_ns && gmtime_r(&start, &tm) &&
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm))
		add_part(out, line_start, "run: ", when);
	if (p->duration_ns)
		add_part(out, line_start, "run: ", pmf_format_ns(duration, p->duration_ns));
	if (p->ring_bytes) {
		add_part(out, line_start, "run: ", "rings ");
		pmf_buf_printf(out, "%s per CPU", pmf_format_bytes(ring, p->ring_bytes));
	}
	if (out->len > line_start)
		pmf_buf_addch(out, '\n');
}

static void note_lines(const struct pmf_profile *p, size_t event, struct pmf_buf *out)
{
	if (p->lost_sideband) {
		add_count(out, "warning: records of maps and tasks lost: ", p->lost_sideband);
		pmf_buf_addch(out, '\n');
	}
	if (p->lost_unattributed) {
		add_count(out, "warning: records lost, event unknown: ", p->lost_unattributed);
		pmf_buf_addch(out, '\n');
	}
	for (size_t i = 0; i < p->nr_notes; i++) {
		if (p->notes[i].event >= 0 && (size_t)p->notes[i].event != event)
			continue;
		pmf_buf_addstr(out, p->notes[i].level == PMF_NOTE_WARN ? "warning: " : "note: ");
		pmf_buf_addclean(out, p->notes[i].text, ' ');
		pmf_buf_addch(out, '\n');
	}
}

static void add_regex(struct pmf_buf *out, const char *what, const struct pmf_regex *re)
{
	struct pmf_buf text = PMF_BUF_INIT;

	if (!re)
		return;
	pmf_regex_describe(re, &text);
	pmf_buf_addstr(out, what);
	pmf_buf_addclean(out, pmf_buf_str(&text), ' ');
	if (pmf_regex_given_up(re))
		add_count(out, ", too costly to match names given up: ", pmf_regex_given_up(re));
	pmf_buf_release(&text);
}

void pmf_tree_shown(const struct pmf_tree *t, size_t event, struct pmf_buf *out)
{
	const struct pmf_profile_event *ev = &t->profile->events[event];
	double shown = pmf_tree_total(t, event, 0), whole = t->whole[event];
	char share[PMF_UNITS_MAX], a[PMF_UNITS_MAX], b[PMF_UNITS_MAX];

	if (!pmf_tree_is_filtered(t))
		return;
	pmf_buf_addstr(out, "shown: ");
	pmf_buf_addclean(out, pmf_profile_label(ev), ' ');
	pmf_buf_printf(out, " %s of %s (%s), ", pmf_profile_format(ev, shown, a),
		pmf_profile_format(ev, whole, b), pmf_format_percent(share, shown, whole));
	add_count(out, "", pmf_tree_samples(t, event, 0));
	add_count(out, " of ", ev->samples);
	pmf_buf_addstr(out, " samples");
	add_regex(out, " · only stacks with ", t->opts.focus);
	add_regex(out, " · without ", t->opts.ignore);
	pmf_buf_addch(out, '\n');
}

void pmf_tree_ledger(const struct pmf_tree *t, size_t event, struct pmf_buf *out)
{
	pmf_tree_shown(t, event, out);
	pmf_profile_ledger(t->profile, event, out);
}

void pmf_profile_ledger(const struct pmf_profile *p, size_t event, struct pmf_buf *out)
{
	const struct pmf_profile_event *ev = &p->events[event];

	main_line(ev, out);
	event_line(ev, out);
	rate_line(ev, out);
	weight_line(ev, out);
	stack_lines(ev, out);
	note_lines(p, event, out);
	run_line(p, out);
}
