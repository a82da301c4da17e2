/* What perf calls an event whose name a recording does not tell: tools/perf/util/evsel.c,
 * evsel__name(). */
#include "perf_data_priv.h"

#include "pmuflame/buf.h"
#include "pmuflame/mem.h"
#include <inttypes.h>

static const char *const hardware[] = {"cycles", "instructions", "cache-references", "cache-misses",
	"branches", "branch-misses", "bus-cycles", "stalled-cycles-frontend",
	"stalled-cycles-backend", "ref-cycles"};
static const char *const software[] = {"cpu-clock", "task-clock", "page-faults", "context-switches",
	"cpu-migrations", "minor-faults", "major-faults", "alignment-faults", "emulation-faults",
	"dummy", "bpf-output", "cgroup-switches"};
static const char *const caches[] = {
	"L1-dcache", "L1-icache", "LLC", "dTLB", "iTLB", "branch", "node"};
/* By operation, and whether misses are counted. */
static const char *const cache_ops[][2] = {{"-loads", "-load-misses"}, {"-stores", "-store-misses"},
	{"-prefetches", "-prefetch-misses"}};

/* The generic events of hybrid machines have the PMU's type above these bits. */
static uint32_t generic_config(const struct perf_event_attr *a)
{
	return (uint32_t)a->config;
}

static void add_cache(struct pmf_buf *b, uint32_t config)
{
	uint32_t cache = config & 0xff, op = config >> 8 & 0xff, miss = config >> 16;

	if (cache < PMF_ARRAY_SIZE(caches) && op < PMF_ARRAY_SIZE(cache_ops) && miss < 2)
		pmf_buf_printf(b, "%s%s", caches[cache], cache_ops[op][miss]);
	else
		pmf_buf_printf(b, "unknown-ext-hardware-cache-type 0x%x", config);
}

static void add_name(struct pmf_buf *b, const struct perf_event_attr *a)
{
	uint32_t config = generic_config(a);

	if (a->type == PERF_TYPE_HARDWARE && config < PMF_ARRAY_SIZE(hardware))
		pmf_buf_addstr(b, hardware[config]);
	else if (a->type == PERF_TYPE_SOFTWARE && a->config < PMF_ARRAY_SIZE(software))
		pmf_buf_addstr(b, software[a->config]);
	else if (a->type == PERF_TYPE_HW_CACHE)
		add_cache(b, config);
	else if (a->type == PERF_TYPE_TRACEPOINT)
		pmf_buf_printf(b, "tracepoint %" PRIu64, (uint64_t)a->config);
	else if (a->type == PERF_TYPE_BREAKPOINT)
		pmf_buf_printf(b, "mem:0x%" PRIx64, (uint64_t)a->bp_addr);
	else if (a->type == PERF_TYPE_RAW)
		pmf_buf_printf(b, "raw 0x%" PRIx64, (uint64_t)a->config);
	else
		pmf_buf_printf(b, "pmu%" PRIu32 "/config=0x%" PRIx64 "/", (uint32_t)a->type,
			(uint64_t)a->config);
}

char *pmf_pd_name_of(const struct perf_event_attr *a)
{
	struct pmf_buf b = PMF_BUF_INIT;
	bool part = a->exclude_user || a->exclude_kernel || a->exclude_hv;

	add_name(&b, a);
	if (part || a->precise_ip)
		pmf_buf_addch(&b, ':');
	if (part && !a->exclude_user)
		pmf_buf_addch(&b, 'u');
	if (part && !a->exclude_kernel)
		pmf_buf_addch(&b, 'k');
	if (part && !a->exclude_hv)
		pmf_buf_addch(&b, 'h');
	for (unsigned i = 0; i < a->precise_ip; i++)
		pmf_buf_addch(&b, 'p');
	return pmf_buf_detach(&b);
}
