/* The kernel's own event names, as perf prints them (perf-list(1)), and the presets. */
#include "event_priv.h"

#include "pmuflame/mem.h"
#include <stdio.h>
#include <string.h>

struct alias {
	const char *name, *other; /* other: a second spelling, or NULL */
	uint32_t type;
	uint64_t config;
	const char *desc;
};

#define HW(name, other, id, desc) \
	{ \
		name, other, PERF_TYPE_HARDWARE, PERF_COUNT_HW_##id, desc \
	}
#define SW(name, other, id, desc) \
	{ \
		name, other, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_##id, desc \
	}

static const struct alias aliases[] = {
	HW("cycles", "cpu-cycles", CPU_CYCLES, "clock cycles of the core while it runs"),
	HW("instructions", NULL, INSTRUCTIONS, "instructions that retired"),
	HW("cache-references", NULL, CACHE_REFERENCES, "accesses to the last-level cache, usually"),
	HW("cache-misses", NULL, CACHE_MISSES, "misses of the last-level cache, usually"),
	HW("branches", "branch-instructions", BRANCH_INSTRUCTIONS, "branches that retired"),
	HW("branch-misses", NULL, BRANCH_MISSES, "branches that were predicted wrongly"),
	HW("bus-cycles", NULL, BUS_CYCLES, "cycles of the bus clock"),
	HW("stalled-cycles-frontend", "idle-cycles-frontend", STALLED_CYCLES_FRONTEND,
		"cycles in which nothing was issued for want of instructions"),
	HW("stalled-cycles-backend", "idle-cycles-backend", STALLED_CYCLES_BACKEND,
		"cycles in which nothing was issued for want of data or units"),
	HW("ref-cycles", NULL, REF_CPU_CYCLES, "cycles of a clock of steady frequency"),
	SW("cpu-clock", NULL, CPU_CLOCK, "nanoseconds on a CPU, by its high-resolution timer"),
	SW("task-clock", NULL, TASK_CLOCK, "nanoseconds on a CPU, by the task's clock"),
	SW("page-faults", "faults", PAGE_FAULTS, "page faults"),
	SW("minor-faults", NULL, PAGE_FAULTS_MIN, "page faults answered from memory"),
	SW("major-faults", NULL, PAGE_FAULTS_MAJ, "page faults that waited for a disk"),
	SW("context-switches", "cs", CONTEXT_SWITCHES, "times a task left its CPU"),
	SW("cpu-migrations", "migrations", CPU_MIGRATIONS, "times a task moved to another CPU"),
	SW("alignment-faults", NULL, ALIGNMENT_FAULTS, "unaligned accesses that the kernel fixed"),
	SW("emulation-faults", NULL, EMULATION_FAULTS, "instructions that the kernel emulated"),
	SW("cgroup-switches", NULL, CGROUP_SWITCHES, "switches to a task of another cgroup"),
	SW("bpf-output", NULL, BPF_OUTPUT, "records written by a BPF program"),
	SW("dummy", NULL, DUMMY, "counts nothing"),
};

enum {
	OP_R = 1 << PERF_COUNT_HW_CACHE_OP_READ,
	OP_W = 1 << PERF_COUNT_HW_CACHE_OP_WRITE,
	OP_P = 1 << PERF_COUNT_HW_CACHE_OP_PREFETCH
};

static const struct {
	const char *name;
	unsigned id, ops; /* the operations that make sense */
	const char *desc;
} caches[] = {
	{"L1-dcache", PERF_COUNT_HW_CACHE_L1D, OP_R | OP_W | OP_P, "level 1 data cache"},
	{"L1-icache", PERF_COUNT_HW_CACHE_L1I, OP_R | OP_P, "level 1 instruction cache"},
	{"LLC", PERF_COUNT_HW_CACHE_LL, OP_R | OP_W | OP_P, "last-level cache"},
	{"dTLB", PERF_COUNT_HW_CACHE_DTLB, OP_R | OP_W | OP_P, "data TLB"},
	{"iTLB", PERF_COUNT_HW_CACHE_ITLB, OP_R, "instruction TLB"},
	{"branch", PERF_COUNT_HW_CACHE_BPU, OP_R, "branch predictor"},
	{"node", PERF_COUNT_HW_CACHE_NODE, OP_R | OP_W | OP_P, "memory of the own NUMA node"},
};

static const struct {
	const char *suffix;
	unsigned op, result;
	const char *desc;
} cache_ops[] = {
	{"-loads", PERF_COUNT_HW_CACHE_OP_READ, PERF_COUNT_HW_CACHE_RESULT_ACCESS, "loads"},
	{"-load-misses", PERF_COUNT_HW_CACHE_OP_READ, PERF_COUNT_HW_CACHE_RESULT_MISS,
		"loads that missed"},
	{"-stores", PERF_COUNT_HW_CACHE_OP_WRITE, PERF_COUNT_HW_CACHE_RESULT_ACCESS, "stores"},
	{"-store-misses", PERF_COUNT_HW_CACHE_OP_WRITE, PERF_COUNT_HW_CACHE_RESULT_MISS,
		"stores that missed"},
	{"-prefetches", PERF_COUNT_HW_CACHE_OP_PREFETCH, PERF_COUNT_HW_CACHE_RESULT_ACCESS,
		"prefetches"},
	{"-prefetch-misses", PERF_COUNT_HW_CACHE_OP_PREFETCH, PERF_COUNT_HW_CACHE_RESULT_MISS,
		"prefetches that missed"},
};

static const struct pmf_event_preset presets[] = {
	{"@default", "cycles,instructions,cache-misses,branch-misses", "cpu-clock,page-faults",
		"where time goes and what it does meanwhile; without a PMU: clock and page faults"},
	{"@cache",
		"cache-references,cache-misses,L1-dcache-loads,L1-dcache-load-misses,LLC-loads,"
		"LLC-load-misses",
		NULL, "data caches: accesses and misses"},
	{"@branch", "branches,branch-misses", NULL, "branches and wrong predictions"},
	{"@tlb", "dTLB-loads,dTLB-load-misses,dTLB-store-misses,iTLB-load-misses", NULL,
		"address translation"},
	{"@software", "cpu-clock,page-faults,major-faults,context-switches,cpu-migrations", NULL,
		"what the kernel counts on any machine"},
	{NULL, NULL, NULL, NULL},
};

const struct pmf_event_preset *pmf_event_presets(void)
{
	return presets;
}

const struct pmf_event_preset *pmf_event_preset_find(
	const struct pmf_event_preset *among, const char *name, size_t len)
{
	for (const struct pmf_event_preset *p = among; p && p->name; p++)
		if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
			return p;
	return NULL;
}

static bool is(const char *known, const char *name, size_t len)
{
	return known && strlen(known) == len && memcmp(known, name, len) == 0;
}

bool pmf_event_alias_find(const char *name, size_t len, uint32_t *type, uint64_t *config)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(aliases); i++) {
		if (is(aliases[i].name, name, len) || is(aliases[i].other, name, len)) {
			*type = aliases[i].type;
			*config = aliases[i].config;
			return true;
		}
	}
	for (size_t c = 0; c < PMF_ARRAY_SIZE(caches); c++) {
		size_t head = strlen(caches[c].name);

		if (len <= head || memcmp(caches[c].name, name, head) != 0)
			continue;
		for (size_t o = 0; o < PMF_ARRAY_SIZE(cache_ops); o++) {
			if (!is(cache_ops[o].suffix, name + head, len - head) ||
				!(caches[c].ops & 1u << cache_ops[o].op))
				continue;
			*type = PERF_TYPE_HW_CACHE;
			*config = caches[c].id | cache_ops[o].op << 8 | cache_ops[o].result << 16;
			return true;
		}
	}
	return false;
}

void pmf_event_add_generic(
	const struct pmf_event_env *env, struct pmf_event *ev, uint32_t type, uint64_t config)
{
	struct pmf_pmu_list list;
	const struct pmf_pmu *only = NULL;

	if (type == PERF_TYPE_SOFTWARE) {
		pmf_event_add_attr(ev, type, config, "software", NULL);
		return;
	}
	pmf_pmu_list_read(env, &list);
	if (pmf_pmu_list_nr_cores(&list) >= 2) {
		for (size_t i = 0; i < list.n; i++) {
			const struct pmf_pmu *p = &list.pmus[i];

			/* linux/perf_event.h: the PMU stands in bits 32+ of config; a raw
			 * config has no room for it and goes to the PMU's own type. */
			if (p->core && p->cpus && type == PERF_TYPE_RAW)
				pmf_event_add_attr(ev, p->type, config, p->name, p->cpus);
			else if (p->core && p->cpus)
				pmf_event_add_attr(ev, type,
					config | (uint64_t)p->type << PERF_PMU_TYPE_SHIFT, p->name,
					p->cpus);
		}
	} else {
		for (size_t i = 0; i < list.n && !only; i++)
			only = list.pmus[i].core ? &list.pmus[i] : NULL;
		pmf_event_add_attr(ev, type, config, only ? only->name : NULL, NULL);
	}
	pmf_pmu_list_release(&list);
}

int pmf_event_from_alias(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err)
{
	size_t len = strcspn(text, ":");
	uint64_t config;
	uint32_t type;

	(void)err;
	/* "cycles::x" would be libpfm4's way to name a PMU. */
	if (text[len] == ':' && text[len + 1] == ':')
		return 1;
	if (!pmf_event_alias_find(text, len, &type, &config))
		return 1;
	pmf_event_add_generic(env, ev, type, config);
	ev->cls = pmf_event_classify(type, config, true);
	*mods = text[len] ? text + len + 1 : text + len;
	return 0;
}

int pmf_event_from_raw(const struct pmf_event_env *env, const char *text, struct pmf_event *ev,
	const char **mods, struct pmf_err *err)
{
	size_t len = strcspn(text, ":"), digits;
	char hex[24];
	uint64_t config;

	if (text[0] != 'r' || len < 2 || (text[len] == ':' && text[len + 1] == ':'))
		return 1;
	digits = len - 1;
	if (strspn(text + 1, "0123456789abcdefABCDEF") != digits)
		return 1;
	snprintf(hex, sizeof hex, "0x%.*s", (int)PMF_MIN(digits, 17), text + 1);
	if (!pmf_event_number(hex, strlen(hex), &config))
		return pmf_err_set(err, PMF_EUSAGE,
			"the raw event '%.*s' has more than 16 hexadecimal digits",
			(int)PMF_MIN(len, 80), text);
	pmf_event_add_generic(env, ev, PERF_TYPE_RAW, config);
	ev->cls = PMF_EVENT_HARDWARE;
	*mods = text[len] ? text + len + 1 : text + len;
	return 0;
}

int pmf_event_walk_aliases(pmf_event_walk_cb *cb, void *ctx)
{
	char name[64], desc[96];
	int ret = 0;

	for (size_t i = 0; i < PMF_ARRAY_SIZE(aliases) && !ret; i++) {
		bool hw = aliases[i].type == PERF_TYPE_HARDWARE;
		struct pmf_event_info info = {aliases[i].name, hw ? "" : "software",
			aliases[i].desc, hw ? "hardware" : "software"};

		ret = cb(ctx, &info);
		if (!ret && aliases[i].other) {
			snprintf(desc, sizeof desc, "another name of %s", aliases[i].name);
			info.name = aliases[i].other;
			info.desc = desc;
			ret = cb(ctx, &info);
		}
	}
	for (size_t c = 0; c < PMF_ARRAY_SIZE(caches) && !ret; c++) {
		for (size_t o = 0; o < PMF_ARRAY_SIZE(cache_ops) && !ret; o++) {
			struct pmf_event_info info = {name, "", desc, "cache"};

			if (!(caches[c].ops & 1u << cache_ops[o].op))
				continue;
			snprintf(name, sizeof name, "%s%s", caches[c].name, cache_ops[o].suffix);
			snprintf(desc, sizeof desc, "%s: %s", caches[c].desc, cache_ops[o].desc);
			ret = cb(ctx, &info);
		}
	}
	return ret;
}
