/* The closing summary, for people and for scripts. */
#include "config.h"

#include "output.h"

#include "pmuflame/clock.h"
#include "pmuflame/file.h"
#include "pmuflame/json.h"
#include "pmuflame/mem.h"
#include "pmuflame/units.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { TOP = 5 };

/* Names come from hostile files and can be pages long: what a terminal line can take of one. */
static void add_name(struct pmf_buf *out, const char *name)
{
	enum { MOST = 100 };
	size_t len = strlen(name), shown = len;

	if (len > MOST)
		for (shown = MOST; shown > 0 && (name[shown] & 0xc0) == 0x80; shown--)
			; /* never half a character */
	if (shown < len) {
		char *cut = pmf_asprintf("%.*s…", (int)shown, name);

		pmf_buf_addclean(out, cut, '?');
		free(cut);
	} else {
		pmf_buf_addclean(out, name, '?');
	}
}

static void add_rate(struct pmf_buf *out, const struct pmf_profile_event *pe, bool clock)
{
	char a[PMF_UNITS_MAX];

	if (pe->freq_hz)
		pmf_buf_printf(out, "%" PRIu64 " Hz", pe->freq_hz);
	else if (clock)
		pmf_buf_printf(out, "every %s", pmf_format_ns(a, pe->period));
	else if (pe->period == 1)
		pmf_buf_addstr(out, "every one");
	else
		pmf_buf_printf(out, "1 in %s", pmf_format_count(a, pe->period));
}

static void add_event(struct pmf_buf *out, const struct pmf_tree *t, size_t e)
{
	const struct pmf_profile *p = t->profile;
	const struct pmf_profile_event *pe = &p->events[e];
	struct pmf_func_cost top[TOP];
	size_t n = pmf_tree_top(t, e, pe->in_kernel, top, TOP);
	double all = pmf_tree_total(t, e, 0);
	char a[PMF_UNITS_MAX], b[PMF_UNITS_MAX], c[PMF_UNITS_MAX];
	bool clock = pmf_profile_is_time(pe);
	double multiplexed = PMF_MAX(pe->scale, 1);
	uint64_t counted = (uint64_t)((double)pe->counted * multiplexed);

	pmf_buf_printf(out, "  %s (", pe->label);
	add_rate(out, pe, clock);
	pmf_buf_printf(out, "): %s counted%s, %s sample%s stand for %s of it, ",
		clock ? pmf_format_ns(a, counted) : pmf_format_count(a, counted),
		multiplexed > 1 ? " (scaled)" : "", pmf_format_count(b, pe->samples),
		pe->samples == 1 ? "" : "s",
		pmf_format_percent(
			c, (double)pe->weight * pe->scale, (double)pe->counted * multiplexed));
	if (pe->lost_known)
		pmf_buf_printf(out, "%s lost\n", pmf_format_count(a, pe->lost));
	else
		pmf_buf_addstr(out, "lost samples not known per event before Linux 6.0\n");
	if (pmf_tree_is_filtered(t)) {
		pmf_buf_addstr(out, "    ");
		pmf_tree_shown(t, e, out);
	}
	for (size_t i = 0; i < n && top[i].self >= all / 10000; i++) {
		const struct pmf_func *fn = &t->funcs[top[i].func];

		pmf_buf_printf(out, "    %7s  ", pmf_format_percent(a, top[i].self, all));
		add_name(out, pmf_tree_string(t, fn->label));
		pmf_buf_addstr(out, "  ");
		add_name(out, pmf_strtab_get(&p->strings, fn->module));
		pmf_buf_addch(out, '\n');
	}
}

void pmf_output_summary_text(
	const struct pmf_tree *t, const struct pmf_output_list *written, int status)
{
	const struct pmf_profile *p = t->profile;
	struct pmf_buf out = PMF_BUF_INIT;
	char a[PMF_UNITS_MAX];

	pmf_buf_addstr(&out, "pmuflame: ");
	add_name(&out, p->watched ? p->watched : p->title);
	pmf_buf_printf(
		&out, " %s %s", p->watched ? "for" : "ran", pmf_format_ns(a, p->duration_ns));
	/* Of what ran already there is none. */
	if (!p->watched || status)
		pmf_buf_printf(&out, ", status %d", status);
	pmf_buf_addch(&out, '\n');
	for (size_t e = 0; e < p->nr_events; e++)
		add_event(&out, t, e);
	for (size_t i = 0; i < p->nr_notes; i++) {
		pmf_buf_printf(
			&out, "  %s: ", p->notes[i].level == PMF_NOTE_WARN ? "warning" : "note");
		pmf_buf_addclean(&out, p->notes[i].text, '?');
		pmf_buf_addch(&out, '\n');
	}
	for (size_t i = 0; i < written->n; i++) {
		pmf_buf_addstr(&out, "  wrote ");
		pmf_buf_addclean(&out, written->paths[i], '?');
		pmf_buf_addch(&out, '\n');
	}
	fputs(pmf_buf_str(&out), stderr);
	pmf_buf_release(&out);
}

static json_t *event_functions(const struct pmf_tree *t, size_t e)
{
	enum { MOST = 100 };
	struct pmf_func_cost top[MOST];
	size_t n = pmf_tree_top(t, e, false, top, MOST);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct pmf_func *fn = &t->funcs[top[i].func];
		json_t *o = json_object();

		json_object_set_new(o, "name", pmf_json_of_text(pmf_tree_string(t, fn->name)));
		json_object_set_new(o, "module",
			pmf_json_of_text(pmf_strtab_get(&t->profile->strings, fn->module)));
		json_object_set_new(o, "self", json_real(top[i].self));
		json_object_set_new(o, "total", json_real(top[i].total));
		json_object_set_new(o, "samples", json_integer((json_int_t)top[i].samples_self));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *event_json(const struct pmf_tree *t, size_t e)
{
	const struct pmf_profile_event *pe = &t->profile->events[e];
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"period", pe->period},
		{"freq_hz", pe->freq_hz},
		{"counted", pe->counted},
		{"weight", pe->weight},
		{"unsampled", pe->unsampled},
		{"samples", pe->samples},
		{"throttled", pe->throttled},
		{"enabled_ns", pe->enabled_ns},
		{"running_ns", pe->running_ns},
		{"task_ns", pe->task_ns},
		{"rooted_stacks", pe->rooted_stacks},
		{"joined_stacks", pe->joined_stacks},
		{"cut_stacks", pe->cut_stacks},
		{"broken_stacks", pe->broken_stacks},
		{"no_user_stack", pe->no_user_stack},
		{"skewed_stacks", pe->skewed_stacks},
		{"frames", pe->frames},
		{"unresolved_frames", pe->unresolved_frames},
	};
	json_t *o = json_object();

	json_object_set_new(o, "event", pmf_json_of_text(pe->label));
	json_object_set_new(o, "asked", pmf_json_of_text(pe->spec));
	json_object_set_new(o, "unit", pmf_json_of_text(pe->unit));
	json_object_set_new(o, "scale", json_real(pe->scale));
	json_object_set_new(o, "precise_ip", json_integer(pe->precise_ip));
	json_object_set_new(o, "exclude_kernel", json_boolean(pe->exclude_kernel));
	json_object_set_new(o, "exclude_user", json_boolean(pe->exclude_user));
	json_object_set_new(o, "fallback_reason",
		pe->fallback_reason ? pmf_json_of_text(pe->fallback_reason) : json_null());
	json_object_set_new(
		o, "lost", pe->lost_known ? json_integer((json_int_t)pe->lost) : json_null());
	for (size_t i = 0; i < PMF_ARRAY_SIZE(numbers); i++)
		json_object_set_new(o, numbers[i].name, json_integer((json_int_t)numbers[i].value));
	json_object_set_new(o, "shown", json_real(pmf_tree_total(t, e, 0)));
	json_object_set_new(
		o, "shown_samples", json_integer((json_int_t)pmf_tree_samples(t, e, 0)));
	json_object_set_new(o, "functions", event_functions(t, e));
	return o;
}

static json_int_t bytes_of(const struct pmf_output_list *written)
{
	json_int_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < written->n; i++)
		if (stat(written->paths[i], &st) == 0)
			bytes += (json_int_t)st.st_size;
	return bytes;
}

/* The most memory that this process had at once. Not getrusage(2)'s, which is inherited from who
 * executed us where that was larger. */
static json_int_t peak_rss_bytes(void)
{
	struct pmf_buf text = PMF_BUF_INIT;
	const char *line = NULL;
	unsigned long long kib = 0;

	if (pmf_file_read("/proc/self/status", 1 << 16, &text, NULL) == 0)
		line = strstr(pmf_buf_str(&text), "\nVmHWM:");
	if (line)
		kib = strtoull(line + strlen("\nVmHWM:"), NULL, 10);
	pmf_buf_release(&text);
	return (json_int_t)(kib * 1024);
}

/* What the recording cost: all of this process until now. */
static json_t *recorder_json(
	const struct pmf_output_list *written, const struct pmf_collect_result *res)
{
	json_t *o = json_object();
	struct rusage ru = {0};

	getrusage(RUSAGE_SELF, &ru);
	json_object_set_new(o, "cpu_seconds",
		json_real((double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
			  (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6));
	json_object_set_new(o, "write_seconds",
		json_real((double)(pmf_clock_ns(CLOCK_MONOTONIC) - res->end_ns) / 1e9));
	json_object_set_new(o, "peak_rss_bytes", json_integer(peak_rss_bytes()));
	json_object_set_new(o, "readers", json_integer((json_int_t)res->readers));
	json_object_set_new(o, "written_bytes", json_integer(bytes_of(written)));
	return o;
}

static json_t *summary_json(const struct pmf_tree *t, const struct pmf_output_list *written,
	int status, const struct pmf_collect_result *res)
{
	const struct pmf_profile *p = t->profile;
	json_t *root = json_object(), *events = json_array(), *notes = json_array();
	json_t *files = json_array();

	for (size_t e = 0; e < p->nr_events; e++)
		json_array_append_new(events, event_json(t, e));
	for (size_t i = 0; i < p->nr_notes; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "level",
			json_string(p->notes[i].level == PMF_NOTE_WARN ? "warning" : "note"));
		json_object_set_new(o, "event",
			p->notes[i].event >= 0
				? pmf_json_of_text(p->events[p->notes[i].event].label)
				: json_null());
		json_object_set_new(o, "text", pmf_json_of_text(p->notes[i].text));
		json_array_append_new(notes, o);
	}
	for (size_t i = 0; i < written->n; i++)
		json_array_append_new(files, pmf_json_of_text(written->paths[i]));
	json_object_set_new(root, "schema", json_integer(1));
	json_object_set_new(root, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(root, "name", pmf_json_of_text(p->title));
	json_object_set_new(
		root, "command", p->command ? pmf_json_of_text(p->command) : json_null());
	json_object_set_new(
		root, "watched", p->watched ? pmf_json_of_text(p->watched) : json_null());
	json_object_set_new(root, "status", status < 0 ? json_null() : json_integer(status));
	json_object_set_new(root, "host", pmf_json_of_text(p->host_note ? p->host_note : ""));
	json_object_set_new(root, "start_unix_ns", json_integer((json_int_t)p->start_unix_ns));
	json_object_set_new(root, "duration_ns", json_integer((json_int_t)p->duration_ns));
	json_object_set_new(root, "ring_bytes", json_integer((json_int_t)p->ring_bytes));
	json_object_set_new(root, "lost_sideband", json_integer((json_int_t)p->lost_sideband));
	json_object_set_new(root, "recorder", recorder_json(written, res));
	json_object_set_new(root, "files", files);
	json_object_set_new(root, "events", events);
	json_object_set_new(root, "notes", notes);
	return root;
}

int pmf_output_summary_json(const struct pmf_tree *t, const struct pmf_output_list *written,
	const char *path, int status, const struct pmf_collect_result *res, struct pmf_err *err)
{
	struct pmf_outfile of;
	int ret = pmf_outfile_open(&of, path, err);
	json_t *root;

	if (ret)
		return ret;
	root = summary_json(t, written, status, res);
	json_dumpf(root, of.f, JSON_INDENT(2));
	fputc('\n', of.f);
	json_decref(root);
	return pmf_outfile_commit(&of, err);
}
