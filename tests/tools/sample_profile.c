#include "sample_profile_priv.h"

#include <stdio.h>
#include <string.h>

/* "kind:module:name" per frame, outermost first, separated by '|'; kinds by their first letter. */
struct line {
	const char *stack;
	uint64_t samples;
};

static const struct line normal[] = {
	{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|n:backtest:main|"
	 "n:backtest:market::Engine::run(market::Config const&)|"
	 "n:backtest:std::vector<market::Bar, std::allocator<market::Bar> >::push_back(market::Bar "
	 "const&)|i:backtest:std::vector<market::Bar, std::allocator<market::Bar> "
	 ">::_M_realloc_insert|"
	 "n:libc.so.6:malloc|n:libc.so.6:_int_malloc|n:libc.so.6:sysmalloc|k:[kernel]:"
	 "entry_SYSCALL_64_"
	 "after_hwframe|k:[kernel]:do_syscall_64|k:[kernel]:__x64_sys_brk|k:[kernel]:do_brk_flags",
		640},
	{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|n:backtest:main|"
	 "n:backtest:market::Engine::run(market::Config const&)|"
	 "n:backtest:market::Strategy::on_bar(market::Bar const&)|i:backtest:ema_update|"
	 "i:backtest:std::max<double>",
		2890},
	{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|n:backtest:main|"
	 "n:backtest:market::Engine::run(market::Config const&)|"
	 "n:backtest:market::Strategy::on_bar(market::Bar const&)|"
	 "n:backtest:market::Portfolio::mark_to_market(double)",
		1710},
	{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|n:backtest:main|"
	 "n:backtest:market::Engine::run(market::Config const&)|"
	 "n:backtest:market::Portfolio::mark_to_market(double)|n:libm.so.6:__exp_fma",
		930},
	{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|n:backtest:main|"
	 "n:backtest:load_csv(char const*)|n:libc.so.6:__strtod_internal|"
	 "n:libc.so.6:____strtod_l_internal",
		1220},
	{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|n:backtest:main|"
	 "n:backtest:load_csv(char const*)|n:libc.so.6:read|k:[kernel]:entry_SYSCALL_64_after_"
	 "hwframe|k:[kernel]:do_syscall_64|k:[kernel]:ksys_read|k:[ext4]:ext4_file_read_iter|"
	 "k:[kernel]:copy_page_to_iter",
		480},
	{"p::python3|n:python3.11:_start|n:libc.so.6:__libc_start_main|n:python3.11:Py_RunMain|"
	 "y:strategy.py:<module>|y:strategy.py:Portfolio.rebalance|y:frame.py:DataFrame.__getitem__"
	 "|"
	 "n:_libs.so:__pyx_pw_6pandas_5_libs_7hashtable_lookup|n:libc.so.6:__memcmp_avx2_movbe",
		760},
	{"p::python3|n:python3.11:_start|n:libc.so.6:__libc_start_main|n:python3.11:Py_RunMain|"
	 "y:strategy.py:<module>|y:strategy.py:Portfolio.rebalance|"
	 "n:_multiarray_umath.so:DOUBLE_add_AVX2",
		1140},
	{"p::python3|n:python3.11:_start|n:libc.so.6:__libc_start_main|n:python3.11:Py_RunMain|"
	 "y:strategy.py:<module>|y:strategy.py:signals|y:strategy.py:signals.<locals>.<lambda>",
		610},
	{"p::node|n:node:node::Start(int, char**)|j::LazyCompile:*tick "
	 "/srv/feed.js:12|j::LazyCompile:~parse /srv/feed.js:40",
		520},
	{"p::node|n:node:node::Start(int, char**)|n:libv8.so:[libv8.so+0x1f30]", 210},
	{"p::backtest|s::[truncated stack]|n:libc.so.6:__memmove_avx_unaligned_erms", 150},
};

static const struct line hostile[] = {
	{"p::<b>|n:a&b:<script>alert(1)</script>&\"'|n::]]>|n::</script><script>alert(2)</script>",
		500},
	{"p::<b>|n::bad \xff\xc0\xaf\xed\xa0\x80 utf-8 \x01\x1b[31m|n::semi;colon and\nnewline",
		300},
	{"p::<b>|n::\\u003c \\\\ \" {{7*7}} ${alert(3)} javascript:alert(4)", 200},
	{"p::<b>|n::日本語の関数名 ünïcödé \xf0\x9f\x94\xa5", 200},
	{"p::<b>|n::__proto__|n::constructor|n::%s%n%s", 100},
	{"p::<b>|t::\xe2\x80\xae<u>gnp.exe|n:\xe2\x81\xa6<i>.so:turned "
	 "\xe2\x80\xae"
	 "around\xe2\x80\xa8 zero\xe2\x80\x8bwidth",
		250},
};

/* A Python program, whose native functions tell little of it. */
static const struct line python[] = {
	{"p::python3|n:python3:Py_Main|y:load.py:<module> (load.py:30)|n:python3:vectorcall|"
	 "y:load.py:rows (load.py:21)|n:python3:vectorcall|y:load.py:parse (load.py:7)|"
	 "n:libc.so.6:memcpy",
		250},
	{"p::python3|n:python3:Py_Main|y:load.py:<module> (load.py:30)|"
	 "y:load.py:rows (load.py:21)|y:load.py:parse (load.py:7)",
		50},
	{"p::python3|n:python3:Py_Main|y:load.py:<module> (load.py:30)|n:python3:vectorcall|"
	 "y:load.py:rows (load.py:21)|y:load.py:parse (load.py:8)",
		200},
	{"p::python3|n:python3:Py_Main|y:load.py:<module> (load.py:30)|"
	 "y:load.py:rows (load.py:21)|n:libc.so.6:malloc",
		100},
	{"p::python3|n:python3:Py_Main|y:load.py:<module> (load.py:30)|y:load.py:make (load.py:3)",
		200},
	{"p::python3|n:python3:Py_Main|n:python3:gc_collect", 200},
};

static enum pmf_frame_kind kind_of(char c)
{
	switch (c) {
	case 'p':
		return PMF_FRAME_PROCESS;
	case 'k':
		return PMF_FRAME_KERNEL;
	case 'i':
		return PMF_FRAME_INLINED;
	case 'y':
		return PMF_FRAME_PYTHON;
	case 'j':
		return PMF_FRAME_JIT;
	case 's':
		return PMF_FRAME_SPECIAL;
	case 't':
		return PMF_FRAME_THREAD;
	default:
		return PMF_FRAME_NATIVE;
	}
}

/* A frame by kind, module and name: its place in the string table stands for its address. */
uint32_t sample_frame(struct pmf_profile *p, enum pmf_frame_kind kind, const char *module,
	size_t module_len, const char *name, size_t name_len)
{
	uint32_t module_id = pmf_strtab_add(&p->strings, module, module_len);
	uint32_t name_id = pmf_strtab_add(&p->strings, name, name_len);
	uint32_t id = pmf_profile_frame_at(p, kind, 0, module_id, 0, name_id);

	p->frames[id].name = name_id;
	p->frames[id].unresolved = name_len > 0 && name[0] == '[' && kind == PMF_FRAME_NATIVE;
	return id;
}

uint32_t sample_stack(struct pmf_profile *p, const char *s)
{
	uint32_t node = 0;

	while (*s) {
		size_t len = strcspn(s, "|");
		size_t module_len = strcspn(s + 2, ":");
		const char *name = s + 3 + module_len;

		node = pmf_profile_node(p, node,
			sample_frame(
				p, kind_of(*s), s + 2, module_len, name, (size_t)(s + len - name)));
		s += len + (s[len] == '|');
	}
	return node;
}

static void add_lines(struct pmf_profile *p, const struct line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t node = sample_stack(p, lines[i].stack);

		pmf_profile_add(p, 0, node, lines[i].samples * 1003009, lines[i].samples);
		if (p->nr_events > 1)
			pmf_profile_add(
				p, 1, node, lines[i].samples % 7 * 10000, lines[i].samples % 7);
	}
}

void sample_add_up(struct pmf_profile *p, size_t e)
{
	struct pmf_profile_event *ev = &p->events[e];

	for (size_t i = 0; i < p->nr_nodes; i++) {
		*(p->samples[e][i] ? &ev->weight : &ev->unsampled) += p->weights[e][i];
		ev->samples += p->samples[e][i];
	}
	ev->counted = ev->weight + ev->unsampled;
}

static void finish(struct pmf_profile *p)
{
	struct pmf_profile_event *ev = &p->events[0];
	uint64_t samples;

	for (size_t e = 0; e < p->nr_events; e++)
		sample_add_up(p, e);
	samples = ev->samples;
	ev->spec = pmf_strdup("cycles");
	ev->label = pmf_strdup(p->command ? "<b>cpu-clock</b>\xe2\x80\xae" : "cpu-clock");
	ev->unit = pmf_strdup("ns");
	ev->fallback_reason = pmf_strdup(
		"this machine's processor offers no cycles counter to programs (ENOENT)");
	ev->freq_hz = 997;
	ev->rooted_stacks = samples - samples / 50 - ev->joined_stacks;
	ev->cut_stacks = samples / 80;
	ev->broken_stacks = samples / 50 - samples / 80;
	ev->frames = samples * 8;
	ev->unresolved_frames = samples / 50;
	ev->running_ns = ev->task_ns = ev->enabled_ns = ev->weight;
	for (size_t e = 1; e < p->nr_events; e++) {
		p->events[e].spec = pmf_strdup("page-faults");
		p->events[e].label = pmf_strdup("page-faults");
		p->events[e].unit = pmf_strdup("events");
		p->events[e].period = 10000;
	}
	if (!p->title)
		p->title = pmf_strdup("backtest");
	if (!p->command)
		p->command = pmf_strdup("./backtest --from 2019-01-01 --symbols 'ES NQ'");
	if (!p->host_note)
		p->host_note = pmf_strdup("x86_64, Linux 6.18.44, 2 CPUs");
	p->start_unix_ns = UINT64_C(1790000000) * 1000000000;
	p->duration_ns = 11234567890;
	p->ring_bytes = 16 << 20;
}

/* Few functions and @stacks deep stacks, each of which leaves the one before it somewhere: what a
 * big program's profile looks like, hardly a frame of which is too narrow to draw. */
static void fill_big(struct pmf_profile *p, unsigned stacks)
{
	enum { DEPTH = 110 };
	uint32_t seed = 1, path[DEPTH] = {0};

	for (unsigned i = 0; i < stacks; i++) {
		unsigned from = i ? 1 + (seed >> 16) % 12 : 1;

		for (unsigned d = from; d < DEPTH; d++) {
			enum pmf_frame_kind kind = d > 100 ? PMF_FRAME_KERNEL : PMF_FRAME_NATIVE;
			char name[96], module[16];
			int len;

			seed = seed * 1664525 + 1013904223;
			snprintf(module, sizeof module, "lib%u.so", (seed >> 9) % 9);
			len = snprintf(name, sizeof name,
				"library::component<%u>::function_%u(std::string const&)",
				(seed >> 12) % 7, (seed >> 8) % 3000);
			path[d] = pmf_profile_node(p, path[d - 1],
				sample_frame(p, kind, module, strlen(module), name, (size_t)len));
		}
		pmf_profile_add(p, 0, path[DEPTH - 1], 1000000 + seed % 1000000, 1);
	}
}

static void fill_deep(struct pmf_profile *p, unsigned depth)
{
	uint32_t node = sample_stack(p, "p::deep|n:deep:main");

	for (unsigned i = 0; i < depth; i++) {
		node = pmf_profile_node(
			p, node, sample_frame(p, PMF_FRAME_NATIVE, "deep", 4, "recurse", 7));
		if (i % 500 == 0)
			pmf_profile_add(p, 0, node, 1000000, 1);
	}
	pmf_profile_add(p, 0, node, 1000000, 1);
}

/* The stacks of whatever stands below main and run. */
enum { JOINED = 70 };

static void fill_normal(struct pmf_profile *p)
{
	add_lines(p, normal, PMF_ARRAY_SIZE(normal));
	pmf_profile_add(p, 0, sample_stack(p, "p::backtest|s::[unsampled]"), 112000000, 0);
	pmf_profile_add_joined(p, 0,
		sample_stack(p,
			"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|"
			"n:backtest:main|n:backtest:market::Engine::run(market::Config const&)"),
		JOINED);
	p->events[0].joined_stacks = JOINED;
	pmf_profile_note(p, PMF_NOTE_WARN, -1, "%s",
		"kernel.perf_event_paranoid is 1: kernel addresses of other users' processes are "
		"hidden");
}

/* As normal, but that one function takes half as much again, one is gone, and one is new. */
static void fill_changed(struct pmf_profile *p)
{
	enum { GONE = 7 };

	add_lines(p, normal, GONE);
	add_lines(p, normal + GONE + 1, PMF_ARRAY_SIZE(normal) - GONE - 1);
	add_lines(p,
		(const struct line[]){{normal[2].stack, normal[2].samples / 2},
			{"p::backtest|n:backtest:_start|n:libc.so.6:__libc_start_main|"
			 "n:backtest:main|n:backtest:save_state(std::string const&)",
				700}},
		2);
	pmf_profile_add(p, 0, sample_stack(p, "p::backtest|s::[unsampled]"), 112000000, 0);
}

bool sample_profile(struct pmf_profile *p, const char *kind)
{
	if (sample_counters(p, kind))
		return true;
	pmf_profile_init(p, strcmp(kind, "normal") == 0 || strcmp(kind, "changed") == 0 ? 2 : 1);
	if (strcmp(kind, "normal") == 0) {
		fill_normal(p);
	} else if (strcmp(kind, "changed") == 0) {
		fill_changed(p);
	} else if (strcmp(kind, "python") == 0) {
		add_lines(p, python, PMF_ARRAY_SIZE(python));
	} else if (strcmp(kind, "hostile") == 0 || strcmp(kind, "hostile-64k") == 0) {
		char longest[65536] = "";

		add_lines(p, hostile, PMF_ARRAY_SIZE(hostile));
		memset(longest, 'x', kind[7] ? sizeof longest - 1 : 3000);
		longest[0] = 'n';
		longest[1] = longest[2] = ':';
		pmf_profile_add(p, 0, sample_stack(p, longest), 300000000, 300);
		pmf_profile_note(
			p, PMF_NOTE_INFO, 0, "%s", "]]></script><script>alert(5)</script>");
		p->title = pmf_strdup("戦略 ü</title><script>alert(6)</script>&\"'\x1b]]>\xff");
		p->command = pmf_strdup("<script>alert(7)</script>\xe2\x80\xae\x07");
		p->host_note = pmf_strdup("<img src=x onerror=alert(8)>");
		p->events[0].unsampled_name = pmf_strdup("[<i>&\n]]>]");
	} else if (strcmp(kind, "empty") == 0) {
		pmf_profile_note(p, PMF_NOTE_WARN, -1, "%s",
			"the program ended before its first period was over: try a smaller -c");
	} else if (strcmp(kind, "deep") == 0) {
		fill_deep(p, 5000);
	} else if (strcmp(kind, "tall") == 0) {
		fill_deep(p, 58);
	} else if (strcmp(kind, "big") == 0) {
		fill_big(p, 1000);
	} else {
		pmf_profile_release(p);
		return false;
	}
	finish(p);
	return true;
}
