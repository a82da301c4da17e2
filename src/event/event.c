#include "event_priv.h"

#include "pmuflame/mem.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_HZ = 997, MIN_CLOCK_NS = 10000 };

const struct pmf_event_env pmf_event_env_here = {
	"/sys/bus/event_source/devices",
	{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"},
	true,
};

void pmf_event_release(struct pmf_event *ev)
{
	for (size_t i = 0; i < ev->nr_attrs; i++) {
		free(ev->attrs[i].pmu);
		free(ev->attrs[i].cpus);
	}
	free(ev->attrs);
	free(ev->spec);
	free(ev->label);
	free(ev->fallback_reason);
	memset(ev, 0, sizeof *ev);
}

struct pmf_event_attr *pmf_event_add_attr(
	struct pmf_event *ev, uint32_t type, uint64_t config, const char *pmu, const char *cpus)
{
	struct pmf_event_attr *a;

	ev->attrs = pmf_reallocarray(ev->attrs, ev->nr_attrs + 1, sizeof *ev->attrs);
	a = &ev->attrs[ev->nr_attrs++];
	memset(a, 0, sizeof *a);
	a->attr.size = sizeof a->attr;
	a->attr.type = type;
	a->attr.config = config;
	a->pmu = pmf_strdup_or_null(pmu);
	a->cpus = pmf_strdup_or_null(cpus);
	return a;
}

bool pmf_event_same(const struct pmf_event *a, const struct pmf_event *b)
{
	if (a->nr_attrs != b->nr_attrs)
		return false;
	for (size_t i = 0; i < a->nr_attrs; i++)
		if (memcmp(&a->attrs[i].attr, &b->attrs[i].attr, sizeof a->attrs[i].attr) != 0)
			return false;
	return true;
}

static enum pmf_event_class classify_software(uint64_t config)
{
	switch (config) {
	case PERF_COUNT_SW_CPU_CLOCK:
	case PERF_COUNT_SW_TASK_CLOCK:
		return PMF_EVENT_CLOCK;
	case PERF_COUNT_SW_PAGE_FAULTS:
	case PERF_COUNT_SW_PAGE_FAULTS_MIN:
	case PERF_COUNT_SW_PAGE_FAULTS_MAJ:
	case PERF_COUNT_SW_ALIGNMENT_FAULTS:
	case PERF_COUNT_SW_EMULATION_FAULTS:
		return PMF_EVENT_FAULT;
	case PERF_COUNT_SW_CONTEXT_SWITCHES:
	case PERF_COUNT_SW_CPU_MIGRATIONS:
	case PERF_COUNT_SW_CGROUP_SWITCHES:
		return PMF_EVENT_SWITCH;
	default:
		return PMF_EVENT_OTHER;
	}
}

enum pmf_event_class pmf_event_classify(uint32_t type, uint64_t config, bool core)
{
	switch (type) {
	case PERF_TYPE_HARDWARE:
	case PERF_TYPE_HW_CACHE:
	case PERF_TYPE_RAW:
		return PMF_EVENT_HARDWARE;
	case PERF_TYPE_SOFTWARE:
		return classify_software(config);
	case PERF_TYPE_TRACEPOINT:
		return PMF_EVENT_TRACEPOINT;
	case PERF_TYPE_BREAKPOINT:
		return PMF_EVENT_BREAKPOINT;
	default:
		return core ? PMF_EVENT_HARDWARE : PMF_EVENT_OTHER;
	}
}

void pmf_event_list_init(struct pmf_event_list *list)
{
	memset(list, 0, sizeof *list);
}

void pmf_event_list_release(struct pmf_event_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		pmf_event_release(&list->events[i]);
	free(list->events);
	pmf_free_strings(list->dropped, list->nr_dropped);
	pmf_event_list_init(list);
}

int pmf_event_list_add(struct pmf_event_list *list, const char *arg, pmf_event_can_open *can_open,
	void *ctx, struct pmf_err *err)
{
	return pmf_event_list_add_in(&pmf_event_env_here, list, arg, can_open, ctx, err);
}

void pmf_event_list_add_recorded(
	struct pmf_event_list *list, const char *label, const struct perf_event_attr *attr)
{
	struct pmf_event ev = {.spec = pmf_strdup(label),
		.label = pmf_strdup(label),
		/* Whose PMU a dynamic type meant there is not known; nothing but a core's samples. */
		.cls = pmf_event_classify(attr->type, attr->config, true),
		.period = attr->freq ? 0 : attr->sample_period,
		.freq_hz = attr->freq ? attr->sample_freq : 0,
		.precise = attr->precise_ip,
		.rate_given = true,
		.group = -1};

	pmf_event_add_attr(&ev, attr->type, attr->config, NULL, NULL)->attr = *attr;
	PMF_PUSH(list->events, list->n, list->cap) = ev;
}

static bool by_frequency(enum pmf_event_class cls)
{
	return cls == PMF_EVENT_HARDWARE || cls == PMF_EVENT_CLOCK || cls == PMF_EVENT_FAULT;
}

int pmf_event_default_rate(struct pmf_event *ev, uint64_t period, uint64_t freq_hz, uint64_t max_hz,
	struct pmf_err *err)
{
	uint64_t want_period = ev->period, want_hz = ev->freq_hz;

	if (!ev->rate_given && (period || freq_hz)) {
		want_period = period;
		want_hz = period ? 0 : freq_hz;
	} else if (!ev->rate_given) {
		/* A kernel that was told to interrupt less often than 997 Hz is obeyed. */
		uint64_t hz = max_hz && max_hz < DEFAULT_HZ ? max_hz : DEFAULT_HZ;

		want_hz = by_frequency(ev->cls) ? hz : 0;
		want_period = want_hz ? 0 : 1;
	}
	if (!want_period && !want_hz)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' has the period 0: give a period of at least 1 event", ev->spec);
	if (want_period >> 63)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s': the period %" PRIu64 " does not fit: the kernel takes 63 bits",
			ev->spec, want_period);
	if (ev->cls == PMF_EVENT_CLOCK && want_period && want_period < MIN_CLOCK_NS)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s' counts nanoseconds, and the kernel takes no clock period under "
			"10,000: %" PRIu64 " would not be what is measured; use @10000 or more",
			ev->spec, want_period);
	if (max_hz && want_hz > max_hz)
		return pmf_err_set(err, PMF_EUSAGE,
			"'%s': %" PRIu64 " Hz is more than this kernel samples: "
			"kernel.perf_event_max_sample_rate is %" PRIu64
			": ask for less, or raise that sysctl",
			ev->spec, want_hz, max_hz);
	ev->period = want_period;
	ev->freq_hz = want_hz;
	return 0;
}

bool pmf_event_is_plain_cycles(const struct pmf_event *ev)
{
	for (size_t i = 0; i < ev->nr_attrs; i++) {
		const struct perf_event_attr *a = &ev->attrs[i].attr;

		if (a->type != PERF_TYPE_HARDWARE ||
			(a->config & 0xffffffffu) != PERF_COUNT_HW_CPU_CYCLES || a->config1 ||
			a->config2)
			return false;
	}
	return ev->nr_attrs && !ev->period && !ev->precise_given;
}

void pmf_event_fall_back_to_clock(struct pmf_event *ev, const char *reason)
{
	struct perf_event_attr old = ev->attrs[0].attr;
	struct pmf_event_attr *a;
	char *why = pmf_strdup(reason);

	for (size_t i = 0; i < ev->nr_attrs; i++) {
		free(ev->attrs[i].pmu);
		free(ev->attrs[i].cpus);
	}
	ev->nr_attrs = 0;
	a = pmf_event_add_attr(ev, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, "software", NULL);
	a->attr.exclude_user = old.exclude_user;
	a->attr.exclude_kernel = old.exclude_kernel;
	a->attr.exclude_hv = old.exclude_hv;
	a->attr.exclude_host = old.exclude_host;
	a->attr.exclude_guest = old.exclude_guest;
	a->attr.pinned = old.pinned;
	ev->cls = PMF_EVENT_CLOCK;
	ev->precise = 0;
	free(ev->label);
	ev->label = ev->user_given
			    ? pmf_asprintf("cpu-clock:%s%s%s", old.exclude_user ? "" : "u",
				      old.exclude_kernel ? "" : "k", old.exclude_hv ? "" : "h")
			    : pmf_strdup("cpu-clock");
	free(ev->fallback_reason);
	ev->fallback_reason = why;
}

const char *pmf_event_unit(const struct pmf_event *ev)
{
	return ev->cls == PMF_EVENT_CLOCK ? "ns" : "events";
}

bool pmf_event_number(const char *s, size_t len, uint64_t *out)
{
	bool hex = len > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	uint64_t n = 0, base = hex ? 16 : 10;
	size_t i = hex ? 2 : 0;

	if (i == len)
		return false;
	for (; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		uint64_t digit;

		if (!(hex ? isxdigit(c) : isdigit(c)))
			return false;
		digit = (uint64_t)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
		if (n > (UINT64_MAX - digit) / base)
			return false;
		n = n * base + digit;
	}
	*out = n;
	return true;
}
