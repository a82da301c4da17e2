/* pmuflame/event.h - from what the user wrote (SPEC) to perf_event_attr.
 * Layer: event (uses base). Threads: one owner per value; libpfm4 keeps process-wide state, so call
 * from one thread. Nothing here opens an event: that is pmuflame/perf.h.
 *
 * SPEC = NAME[:modifiers][@PERIOD|@FREQhz], or {SPEC,SPEC} for a group. NAME: see docs in
 * man/pmuflame.1, "EVENTS". Encodings: libpfm4 (pfm_get_os_event_encoding(3)), the kernel's
 * /sys/bus/event_source/devices/PMU/{type,format,events,cpus}, tracefs events/SYSTEM/NAME/id,
 * include/uapi/linux/perf_event.h. */
#ifndef PMUFLAME_EVENT_H
#define PMUFLAME_EVENT_H

#include "pmuflame/err.h"
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pmf_event_class {
	PMF_EVENT_HARDWARE, /* counts on a PMU: hardware, cache, raw, any sysfs PMU of a core */
	PMF_EVENT_CLOCK,    /* cpu-clock, task-clock: counts nanoseconds */
	PMF_EVENT_FAULT,    /* page, alignment and emulation faults */
	PMF_EVENT_SWITCH, /* context switches, migrations, cgroup switches: happen in the kernel */
	PMF_EVENT_TRACEPOINT,
	PMF_EVENT_BREAKPOINT,
	PMF_EVENT_OTHER, /* counting-only software (dummy, bpf-output), uncore and other PMUs */
};

/* One way to open the event: a PMU and the CPUs that it covers. Hybrid machines need one per core
 * PMU; they add up to one column. */
struct pmf_event_attr {
	struct perf_event_attr
		attr; /* type, config*, bp_*, exclude_*, precise_ip; no sampling yet */
	char *pmu;    /* "cpu_core", "software", …; NULL if not known */
	char *cpus;   /* list as in sysfs ("0-7,16"), NULL for every CPU */
};

struct pmf_event {
	char *spec;  /* as written, without @rate: what the user will look for */
	char *label; /* what is really counted; differs from spec only after a named fallback */
	enum pmf_event_class cls;
	struct pmf_event_attr *attrs;
	size_t nr_attrs;
	uint64_t period;    /* fixed period in events (ns for clocks), or 0 */
	uint64_t freq_hz;   /* target frequency, or 0; one of the two is set after
			       pmf_event_default_rate */
	bool rate_given;    /* the SPEC itself had @… */
	uint8_t precise;    /* how much precise_ip was asked for by p modifiers (0 to 3) */
	bool precise_given; /* precise is what the user asked for; else the highest that opens is
			       taken */
	bool user_given;    /* u, k or h was given */
	int group;          /* events with the same number ≥ 0 are scheduled together; -1 alone */
	char *fallback_reason; /* why label differs from spec, or NULL */
};

/* A preset: "@default", and what it stands for. */
struct pmf_event_preset {
	const char *name;
	const char *specs;
	const char *without_pmu; /* used instead where there is no PMU, or NULL */
	const char *desc;
};

/* What one --event argument or preset became. */
struct pmf_event_list {
	const struct pmf_event_preset *presets; /* the user's, asked first; borrowed, may be NULL */
	struct pmf_event *events;
	size_t n, cap;
	int nr_groups;
	/* Preset members that this machine does not have, a sentence each ("cache-misses: …"). */
	char **dropped;
	size_t nr_dropped, cap_dropped;
};

void pmf_event_list_init(struct pmf_event_list *list);
void pmf_event_list_release(struct pmf_event_list *list);

/* Parse @arg (SPEC[,SPEC...]) and append its events. A preset's members come with @can_open
 * deciding which of them run here (NULL: all do): dropped ones are named in list->dropped. A NAME
 * that nothing knows is PMF_ENOTFOUND with the nearest names offered; bad grammar is PMF_EUSAGE; a
 * tracepoint that may not be read is PMF_EPERM. Each sentence says what to do. On failure @list is
 * unchanged. */
typedef bool pmf_event_can_open(void *ctx, const struct pmf_event *ev, struct pmf_err *why);
int pmf_event_list_add(struct pmf_event_list *list, const char *arg, pmf_event_can_open *can_open,
	void *ctx, struct pmf_err *err);

/* The length of the first SPEC, group or preset of the list @arg, without the comma behind it. */
size_t pmf_event_spec_len(const char *arg);
/* Do both count the same, whatever their names and rates? */
bool pmf_event_same(const struct pmf_event *a, const struct pmf_event *b);

/* Append an event that was recorded as @attr says, under the name @label. */
void pmf_event_list_add_recorded(
	struct pmf_event_list *list, const char *label, const struct perf_event_attr *attr);

/* Fill in period or freq_hz where the SPEC gave none: @period or @freq_hz if not 0 (from -c and
 * -F), else 997 Hz for hardware, clocks and faults and period 1 for the rest. Checks what the
 * kernel would clamp: PMF_EUSAGE for clock periods under 10,000 ns, frequencies above @max_hz (the
 * kernel's perf_event_max_sample_rate; 0 if not known) and period 0. */
int pmf_event_default_rate(struct pmf_event *ev, uint64_t period, uint64_t freq_hz, uint64_t max_hz,
	struct pmf_err *err);

/* Turn @ev (cycles without a period) into cpu-clock for machines without a PMU, keeping exclude_*:
 * label becomes "cpu-clock" (with its :modifiers), fallback_reason a copy of @reason. */
void pmf_event_fall_back_to_clock(struct pmf_event *ev, const char *reason);
/* Is @ev the plain `cycles` (any spelling, no @PERIOD), the only event with a fallback? */
bool pmf_event_is_plain_cycles(const struct pmf_event *ev);

/* The unit of counts, for text: "ns" for clocks, else "events". */
const char *pmf_event_unit(const struct pmf_event *ev);

/* Walk everything that this machine could be asked for: kernel aliases, sysfs events, libpfm4's
 * present PMUs, tracepoints. @cb gets borrowed strings; a non-zero return stops the walk and is
 * returned. */
struct pmf_event_info {
	const char *name; /* usable as NAME in a SPEC */
	const char *pmu;
	const char *desc; /* may be "" */
	const char *kind; /* "hardware", "cache", "software", "pmu", "libpfm4", "tracepoint" */
};
typedef int pmf_event_walk_cb(void *ctx, const struct pmf_event_info *info);
int pmf_event_walk(pmf_event_walk_cb *cb, void *ctx, struct pmf_err *err);

/* 0 if this user can look tracepoints up; PMF_ENOTFOUND where tracefs is not mounted, PMF_EPERM
 * where it may not be read. The sentence has the command that helps. */
int pmf_event_tracefs_check(struct pmf_err *err);

/* The presets of every machine. Ends with a NULL name. */
const struct pmf_event_preset *pmf_event_presets(void);

#endif
