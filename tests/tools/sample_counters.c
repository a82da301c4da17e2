/* Made-up profiles of four hardware counters, for the report. */
#include "sample_profile_priv.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *label;
	uint64_t period;
	double scale;
} counters[] = {
	{"cycles", 1000003, 1},
	{"instructions", 1000003, 1.25},
	{"cache-references", 10007, 1},
	{"cache-misses", 10007, 1},
};
enum { COUNTERS = PMF_ARRAY_SIZE(counters) };

/* calculate_atr waits for memory, parse_csv does not; log_trade has too few samples to tell. */
static const struct {
	const char *stack;
	uint64_t samples[COUNTERS];
} lines[] = {
	{"p::backtest|t::backtest (41)|n:backtest:main|n:backtest:run|n:backtest:calculate_atr",
		{5200, 900, 2600, 1900}},
	{"p::backtest|t::worker (42)|n:backtest:start_thread|n:backtest:run|"
	 "n:backtest:calculate_atr",
		{1400, 240, 700, 500}},
	{"p::backtest|t::backtest (41)|n:backtest:main|n:backtest:run|n:backtest:step|"
	 "n:backtest:run|n:backtest:calculate_atr",
		{300, 60, 150, 90}},
	{"p::backtest|t::backtest (41)|n:backtest:main|n:backtest:parse_csv|n:libc.so.6:strtod",
		{1900, 6100, 120, 0}},
	{"p::backtest|t::backtest (41)|n:backtest:main|n:backtest:parse_csv", {600, 2000, 50, 2}},
	{"p::backtest|t::backtest (41)|n:backtest:main|n:backtest:parse_csv|k:[kernel]:ksys_read",
		{240, 120, 300, 210}},
	{"p::backtest|t::backtest (41)|n:backtest:main|n:backtest:log_trade", {9, 4, 1, 0}},
	{"p::python3|t::python3 (57)|y:load.py:<module> (load.py:12)|y:load.py:rows (load.py:7)",
		{400, 800, 40, 6}},
	{"p::python3|t::python3 (57)|y:load.py:<module> (load.py:12)|y:load.py:rows (load.py:8)",
		{350, 500, 30, 4}},
	{"p::python3|s::[unsampled]", {60, 40, 5, 5}},
};

static void describe(struct pmf_profile *p, size_t e)
{
	struct pmf_profile_event *ev = &p->events[e];

	ev->spec = pmf_strdup(counters[e].label);
	ev->label = pmf_strdup(counters[e].label);
	ev->file_name = pmf_strdup(counters[e].label);
	ev->unit = pmf_strdup("events");
	ev->period = counters[e].period;
	ev->scale = counters[e].scale;
	sample_add_up(p, e);
	ev->rooted_stacks = ev->samples;
	ev->frames = ev->samples * 5;
	ev->task_ns = ev->enabled_ns = 10000000000;
	ev->running_ns = (uint64_t)(10000000000 / ev->scale);
}

static void describe_run(struct pmf_profile *p, const char *title)
{
	for (size_t e = 0; e < COUNTERS; e++)
		describe(p, e);
	p->title = pmf_strdup(title);
	p->command = pmf_asprintf("./%s --bars 2000000", title);
	p->host_note = pmf_strdup("aarch64, Linux 6.18.44, 8 CPUs");
	p->start_unix_ns = UINT64_C(1790000000) * 1000000000;
	p->duration_ns = 3234567890;
	p->ring_bytes = 16 << 20;
}

static void fill_counters(struct pmf_profile *p)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(lines); i++) {
		uint32_t node = sample_stack(p, lines[i].stack);

		for (size_t e = 0; e < COUNTERS; e++)
			pmf_profile_add(p, e, node, lines[i].samples[e] * counters[e].period,
				strstr(lines[i].stack, "[unsampled]") ? 0 : lines[i].samples[e]);
	}
	/* Python names its lines. */
	for (uint32_t i = 0; i < p->nr_frames; i++) {
		const char *name = pmf_strtab_get(&p->strings, p->frames[i].name);
		unsigned line;

		if (p->frames[i].kind == PMF_FRAME_PYTHON && strchr(name, ':') &&
			sscanf(strchr(name, ':'), ":%u", &line) == 1) {
			p->frames[i].file = pmf_strtab_addz(&p->strings, "/srv/strategy/load.py");
			p->frames[i].line = line;
		}
	}
}

/* As many functions as frames, each with an own name: the most that a report may have to hold. */
static void fill_wide(struct pmf_profile *p, unsigned frames)
{
	enum { DEPTH = 21 };
	uint32_t seed = 7, root = sample_stack(p, "p::wide|n:wide:main"), path[DEPTH] = {root};

	for (unsigned i = 0, d = 1; i < frames; i++) {
		char name[96];
		int len = snprintf(name, sizeof name,
			"library::module_%u::Component<%u>::handle_%u(std::string const&)", i % 997,
			i % 31, i);

		path[d] = pmf_profile_node(p, path[d - 1],
			sample_frame(p, PMF_FRAME_NATIVE, "libwide.so", 10, name, (size_t)len));
		for (size_t e = 0; e < COUNTERS; e++) {
			uint64_t n = (seed >> (8 + 3 * e)) % 8;

			seed = seed * 1664525 + 1013904223;
			pmf_profile_add(p, e, path[d], n * counters[e].period, n);
		}
		d = d + 1 < DEPTH ? d + 1 : 1 + (seed >> 16) % (DEPTH - 1);
	}
}

bool sample_counters(struct pmf_profile *p, const char *kind)
{
	bool wide = strcmp(kind, "wide") == 0;

	if (!wide && strcmp(kind, "counters") != 0)
		return false;
	pmf_profile_init(p, COUNTERS);
	if (wide)
		fill_wide(p, 105000);
	else
		fill_counters(p);
	describe_run(p, wide ? "wide" : "backtest");
	return true;
}
