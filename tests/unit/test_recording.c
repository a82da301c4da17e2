/* perf.data files made by hand, and the stacks and the ledger that become of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "skip.h"
#include <cmocka.h>

#include "perf_data_build.h"
#include "pmuflame/collect.h"
#include "pmuflame/mem.h"
#include "pmuflame/render.h"
#include "pmuflame/symbol.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { FEAT_HOSTNAME = 3, FEAT_ARCH = 6, FEAT_STAT = 19, FEAT_CLOCK_DATA = 29 };
enum { BUILD_ID_RECORD = 67, PID = 7 };
#define TYPE (PD_TYPE | PERF_SAMPLE_CALLCHAIN)
#define APP_VA UINT64_C(0x400000)
#define CODE_VA UINT64_C(0x10000000)

static struct build b;
static struct pd_make m;
static struct pmf_recording_opts opts;
static char workload[16];
static uint64_t now_ns; /* of the last sample */

static int setup(void **state)
{
	(void)state;
	opts = (struct pmf_recording_opts){.call_graph = PMF_UNWIND_AUTO};
	now_ns = 1000;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pd_release(&m);
	m = (struct pd_make){0};
	return 0;
}

/* ---- Records ---- */

static void end(uint64_t time_ns)
{
	struct build_ids ids = {.time_ns = time_ns, .pid = PID, .tid = PID};

	build_trailer(&b, m.events[0].attr.sample_type, &ids);
	pd_record(&m, &b);
}

static void comm(const char *name, uint16_t misc)
{
	build_start(&b, PERF_RECORD_COMM, misc);
	build_u32(&b, PID);
	build_u32(&b, PID);
	build_str(&b, name);
	end(1);
}

/* Code of @path from its offset @pgoff on, at @start. */
static void map(const char *path, uint64_t start, uint64_t pgoff)
{
	build_start(&b, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER);
	build_u32(&b, PID);
	build_u32(&b, PID);
	build_u64(&b, start);
	build_u64(&b, 0x1000);
	build_u64(&b, pgoff);
	build_words(&b, 3, 0);
	build_u32(&b, PROT_READ | PROT_EXEC);
	build_u32(&b, MAP_PRIVATE);
	build_str(&b, path);
	end(2);
}

/* The fields of TYPE; the caller adds what else the event has. */
static void sample(uint16_t mode, uint64_t ip, uint64_t weight, size_t n, const uint64_t *chain)
{
	build_start(&b, PERF_RECORD_SAMPLE, mode);
	build_u64(&b, ip);
	build_u32(&b, PID);
	build_u32(&b, PID);
	build_u64(&b, now_ns += 1000);
	build_u64(&b, weight);
	build_u64(&b, n);
	build_bytes(&b, chain, n * sizeof *chain);
}

static void sample_chain(uint16_t mode, uint64_t weight, size_t n, const uint64_t *chain)
{
	sample(mode, n > 1 ? chain[1] : 0, weight, n, chain);
	pd_record(&m, &b);
}

/* ---- What becomes of them ---- */

static int collect(struct pmf_profile *p, struct pmf_err *err)
{
	const struct pmf_buf *file = pd_finish(&m);
	struct pmf_perf_data *pd;
	int fd = memfd_create("perf.data", MFD_CLOEXEC), ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, file->data, file->len), file->len);
	ret = pmf_perf_data_open(&pd, fd, "perf.data", NULL, 0, err);
	assert_int_equal(ret, 0);
	ret = pmf_collect_recording(p, pd, &opts, workload, err);
	pmf_perf_data_free(pd);
	close(fd);
	return ret;
}

static void collect_well(struct pmf_profile *p)
{
	struct pmf_err err = PMF_ERR_INIT;

	if (collect(p, &err))
		fail_msg("%s", err.text);
}

static void assert_folded(const struct pmf_profile *p, size_t event, const char *want)
{
	struct pmf_tree t;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct pmf_render_opts ro = {0};

	pmf_tree_build(&t, p, NULL);
	assert_int_equal(pmf_renderer_by_name("folded", 6)->render(f, &t, event, &ro, NULL), 0);
	fclose(f);
	assert_string_equal(text, want);
	free(text);
	pmf_tree_release(&t);
}

static void assert_ledger(const struct pmf_profile *p, size_t event, const char *part, bool there)
{
	struct pmf_buf ledger = PMF_BUF_INIT;

	pmf_profile_ledger(p, event, &ledger);
	if ((strstr(pmf_buf_str(&ledger), part) != NULL) != there)
		fail_msg("'%s' is %sin: %s", part, there ? "not " : "", pmf_buf_str(&ledger));
	pmf_buf_release(&ledger);
}

static void every_context_of_a_callchain(void **state)
{
	static const uint64_t both[] = {PERF_CONTEXT_KERNEL, 0xffffffff81000100, 0xffffffff81000200,
		PERF_CONTEXT_USER, APP_VA + 1, APP_VA + 2},
			      guest[] = {PERF_CONTEXT_GUEST_KERNEL, 0xffffffff81000100,
				      0xffffffff81000200, PERF_CONTEXT_GUEST_USER, 0x1234},
			      hypervisor[] = {PERF_CONTEXT_HV, 0x1234},
			      /* Linux 6.18: what follows is a cookie, not an address. */
		deferred[] = {PERF_CONTEXT_USER, APP_VA + 1, (uint64_t)-640, 0x77};
	struct pmf_profile p;

	(void)state;
	pd_event(&m, 0, TYPE, 0);
	comm("app", 0);
	map("/gone/app", APP_VA, 0);
	sample_chain(PERF_RECORD_MISC_KERNEL, 1, 6, both);
	sample_chain(PERF_RECORD_MISC_GUEST_KERNEL, 10, 5, guest);
	sample_chain(PERF_RECORD_MISC_HYPERVISOR, 100, 2, hypervisor);
	sample_chain(PERF_RECORD_MISC_USER, 1000, 4, deferred);
	collect_well(&p);
	assert_folded(&p, 0,
		"app;[app] 1000\n"
		"app;[app];[app];[kernel]_[k];[kernel]_[k] 1\n"
		"app;[guest]_[k];[guest kernel]_[k] 10\n"
		"app;[hypervisor]_[k] 100\n");
	assert_int_equal(p.duration_ns, 3000);
	assert_ledger(&p, 0, "cycles: 1,111 events sampled · samples 4", true);
	assert_ledger(&p, 0, "1 recorded file is not here", true);
	assert_ledger(&p, 0, "/gone/app (the file cannot be opened: No such file", true);
	assert_ledger(&p, 0, "kernel functions have no names", true);
	assert_ledger(&p, 0, "counted", true); /* not counted beside them */
	assert_ledger(&p, 0, "events counted", false);
	pmf_profile_release(&p);
}

static void samples_without_a_callchain_are_where_they_were_taken(void **state)
{
	struct pmf_profile p;

	(void)state;
	pd_event(&m, 0, TYPE, 0);
	comm("app", 0);
	map("/gone/app", APP_VA, 0);
	sample(PERF_RECORD_MISC_USER, APP_VA + 9, 1, 0, NULL);
	pd_record(&m, &b);
	sample(PERF_RECORD_MISC_KERNEL, 0xffffffff81000100, 10, 0, NULL);
	pd_record(&m, &b);
	sample(PERF_RECORD_MISC_GUEST_USER, APP_VA + 9, 100, 0, NULL);
	pd_record(&m, &b);
	collect_well(&p);
	assert_folded(&p, 0, "app;[app] 1\napp;[guest]_[k] 100\napp;[kernel]_[k] 10\n");
	pmf_profile_release(&p);
}

static void what_has_no_call_graph_is_said_once(void **state)
{
	enum { FLAT = PD_TYPE | PERF_SAMPLE_IDENTIFIER };
	struct pd_event *events[3];
	struct pmf_profile p;

	(void)state;
	for (size_t n = 1; n <= 2; n++) {
		size_t notes = 0;

		events[0] = pd_event(&m, PERF_COUNT_HW_CPU_CYCLES, FLAT, 5);
		events[1] = pd_event(&m, PERF_COUNT_HW_INSTRUCTIONS, FLAT, 6);
		events[2] = pd_event(&m, PERF_COUNT_HW_CACHE_MISSES, FLAT, 7); /* never happens */
		for (size_t i = 0; i < n; i++)
			pd_sample(&m, events[i], 1000 + i, 1);
		collect_well(&p);
		assert_ledger(&p, 0,
			n == 1 ? "'cycles' was recorded without call graphs"
			       : "'cycles', 'instructions' were recorded without call",
			true);
		assert_ledger(&p, 1, "recorded without call graphs", n == 2);
		for (size_t i = 0; i < p.nr_notes; i++)
			notes += strstr(p.notes[i].text, "without call graphs") != NULL;
		assert_int_equal(notes, 1);
		pmf_profile_release(&p);
		teardown(NULL);
	}
}

/* The processor's call stack stands for the user part of the callchain. */
static void calls_that_the_processor_kept(void **state)
{
	static const uint64_t chain[] = {PERF_CONTEXT_USER, APP_VA + 0x10, 0x666},
			      kernel[] = {PERF_CONTEXT_KERNEL, 0xffffffff81000100};
	struct pmf_profile p;

	(void)state;
	for (int call_stack = 0; call_stack < 2; call_stack++) {
		struct pd_event *e = pd_event(&m, 0, TYPE | PERF_SAMPLE_BRANCH_STACK, 0);

		e->attr.branch_sample_type =
			PERF_SAMPLE_BRANCH_USER |
			(call_stack ? PERF_SAMPLE_BRANCH_CALL_STACK : PERF_SAMPLE_BRANCH_ANY);
		comm("app", 0);
		map("/gone/leaf", APP_VA, 0);
		map("/gone/mid", APP_VA + 0x1000, 0);
		map("/gone/main", APP_VA + 0x2000, 0);
		sample(PERF_RECORD_MISC_USER, APP_VA + 0x10, 1, 3, chain);
		build_u64(&b, 2);
		build_words(&b, 1, APP_VA + 0x1010); /* from, to, flags */
		build_words(&b, 1, APP_VA);
		build_u64(&b, 0);
		build_words(&b, 1, APP_VA + 0x2010);
		build_words(&b, 1, APP_VA + 0x1000);
		build_u64(&b, 0);
		pd_record(&m, &b);
		/* A kernel thread has no user stack, whatever the processor kept of the last one. */
		sample(PERF_RECORD_MISC_KERNEL, 0xffffffff81000100, 10, 2, kernel);
		build_u64(&b, 1);
		build_words(&b, 3, APP_VA);
		pd_record(&m, &b);
		collect_well(&p);
		assert_folded(&p, 0,
			call_stack ? "app;[kernel]_[k] 10\napp;[main];[mid];[leaf] 1\n"
				   : "app;[kernel]_[k] 10\napp;[no mapping];[leaf] 1\n");
		assert_ledger(&p, 0, "from the processor (LBR)", call_stack);
		pmf_profile_release(&p);
		teardown(NULL);
	}
}

static void dummies_have_no_picture(void **state)
{
	static const uint64_t chain[] = {PERF_CONTEXT_USER, APP_VA + 1};
	struct pd_event *dummy = pd_event(&m, PERF_COUNT_SW_DUMMY, TYPE | PERF_SAMPLE_ID, 5), *e;
	struct pmf_profile p;

	(void)state;
	dummy->attr.type = PERF_TYPE_SOFTWARE;
	e = pd_event(&m, PERF_COUNT_HW_INSTRUCTIONS, TYPE | PERF_SAMPLE_ID, 6);
	e->attr.freq = 1;
	e->attr.sample_freq = 99;
	e->attr.precise_ip = 2;
	build_start(&b, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
	build_u64(&b, APP_VA);
	build_u32(&b, PID);
	build_u32(&b, PID);
	build_u64(&b, 10);
	build_u64(&b, 6);
	build_u64(&b, 3);
	build_u64(&b, 2);
	build_bytes(&b, chain, sizeof chain);
	pd_record(&m, &b);
	collect_well(&p);
	assert_int_equal(p.nr_events, 1);
	assert_string_equal(p.events[0].label, "instructions:pp");
	assert_int_equal(p.events[0].weight, 3);
	assert_ledger(&p, 0, "rate 99 Hz · precise_ip 2", true);
	pmf_profile_release(&p);
}

static void the_workload_is_what_was_executed(void **state)
{
	static const uint64_t chain[] = {PERF_CONTEXT_USER, APP_VA + 1};
	struct pmf_profile p;

	(void)state;
	for (int waits = 0; waits < 2; waits++) {
		pd_event(&m, 0, TYPE, 0)->attr.enable_on_exec = waits;
		comm("perf-exec", 0);
		comm("backtest", PERF_RECORD_MISC_COMM_EXEC);
		comm("later", PERF_RECORD_MISC_COMM_EXEC);
		sample_chain(PERF_RECORD_MISC_USER, 1, 2, chain);
		collect_well(&p);
		assert_string_equal(workload, waits ? "backtest" : "");
		pmf_profile_release(&p);
		teardown(NULL);
	}
}

/* The count of a CPU goes on from thread to thread: each sample weighs what came to it. */
static void samples_that_say_their_count(void **state)
{
	struct pd_event *e = pd_event(
		&m, 0, PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_READ, 0);
	struct pmf_profile p;

	(void)state;
	e->attr.read_format = PERF_FORMAT_ID;
	for (uint32_t i = 1; i <= 3; i++) {
		build_start(&b, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
		build_u64(&b, APP_VA);
		build_u32(&b, PID);
		build_u32(&b, PID + i);
		build_u64(&b, i);
		build_u64(&b, 1000 * i);
		build_u64(&b, 5);
		pd_record(&m, &b);
	}
	collect_well(&p);
	assert_int_equal(p.events[0].samples, 3);
	assert_int_equal(p.events[0].weight, 3000);
	pmf_profile_release(&p);
}

static void when_and_how_long_the_samples_say(void **state)
{
	struct pmf_profile p;

	(void)state;
	for (int samples = 0; samples < 3; samples++) {
		struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);

		b.len = 0;
		build_u32(&b, 1);
		build_u32(&b, CLOCK_MONOTONIC);
		build_u64(&b, 5000); /* since 1970, when the clock said 700 */
		build_u64(&b, 700);
		pd_feature(&m, FEAT_CLOCK_DATA, &b);
		pd_sample(&m, e, samples ? 1000 : 0, 1);
		if (samples == 2)
			pd_sample(&m, e, 1400, 1);
		collect_well(&p);
		assert_int_equal(p.start_unix_ns, samples ? 5300 : 0);
		assert_int_equal(p.duration_ns, samples == 2 ? 400 : 0);
		pmf_profile_release(&p);
		teardown(NULL);
	}
}

/* ---- Files ---- */

static char *fixture(void)
{
	return pmf_asprintf("%s/tests/fixtures/elf/bin/based.so", getenv("builddir"));
}

/* The offset of sample_global in the fixture's code, which starts at 0x401000; and its build id. */
static uint64_t find_function(uint8_t id[20])
{
	struct pmf_symbolizer *s = pmf_symbolizer_new();
	struct pmf_process_table t;
	struct pmf_symbol sym = {.name = ""};
	struct pmf_image *im;
	char *path = fixture();
	uint64_t rva = 0x401000;

#if !defined(__x86_64__)
	skip_because("the program's code stands elsewhere but on x86-64");
#endif
	pmf_process_table_init(&t, false);
	im = pmf_image_get(&t, path, 0, 0, NULL, 0, -1, 0, 0);
	assert_int_equal(im->build_id_len, 20);
	memcpy(id, im->build_id, 20);
	while (rva < 0x402000 && strcmp(sym.name, "sample_global") != 0)
		pmf_symbol_find(s, im, ++rva, &sym);
	assert_true(rva < 0x402000);
	pmf_process_table_release(&t);
	pmf_symbolizer_free(s);
	free(path);
	return rva - 0x401000;
}

/* A stream tells build ids at its end, when the files were opened already. */
static void build_ids_that_come_late(void **state)
{
	uint8_t id[24] = {0};
	uint64_t off = find_function(id), chain[] = {PERF_CONTEXT_USER, CODE_VA + off};
	char *path = fixture();
	struct pmf_profile p;

	(void)state;
	for (int another = 0; another < 2; another++) {
		m.pipe = true;
		pd_event(&m, 0, TYPE, 0);
		comm("app", 0);
		map(path, CODE_VA, 0x1000);
		sample_chain(PERF_RECORD_MISC_USER, 1, 2, chain);
		build_start(&b, BUILD_ID_RECORD, PERF_RECORD_MISC_USER);
		build_u32(&b, UINT32_MAX);
		id[0] ^= (uint8_t)another;
		build_bytes(&b, id, sizeof id);
		build_str(&b, path);
		pd_record(&m, &b);
		collect_well(&p);
		assert_folded(&p, 0, another ? "app;[based.so] 1\n" : "app;sample_global 1\n");
		assert_ledger(&p, 0, "another build stands at this path", another);
		pmf_profile_release(&p);
		teardown(NULL);
	}
	free(path);
}

static void a_file_that_nothing_vouches_for(void **state)
{
	uint8_t id[20];
	uint64_t chain[] = {PERF_CONTEXT_USER, CODE_VA + find_function(id)};
	char *path = fixture();
	struct pmf_profile p;

	(void)state;
	pd_event(&m, 0, TYPE, 0);
	comm("app", 0);
	map(path, CODE_VA, 0x1000);
	sample_chain(PERF_RECORD_MISC_USER, 1, 2, chain);
	collect_well(&p);
	assert_folded(&p, 0, "app;sample_global 1\n");
	assert_ledger(&p, 0, "the recording has no build id for 1 file", true);
	pmf_profile_release(&p);
	free(path);
}

/* ---- What cannot be drawn ---- */

static void dumps_of_another_architecture(void **state)
{
	static const uint64_t chain[] = {PERF_CONTEXT_USER, APP_VA + 1, APP_VA + 2};
	struct pd_event *e =
		pd_event(&m, 0, TYPE | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER, 0);
	struct pmf_profile p;

	(void)state;
	pd_text_feature(&m, FEAT_ARCH, "ppc64le");
	e->attr.sample_regs_user = 3;
	e->attr.sample_stack_user = 16;
	comm("app", 0);
	map("/gone/app", APP_VA, 0);
	sample(PERF_RECORD_MISC_USER, APP_VA + 1, 1, 3, chain);
	build_u64(&b, PERF_SAMPLE_REGS_ABI_64);
	build_words(&b, 2, 0);
	build_u64(&b, 16);
	build_words(&b, 2, 0);
	build_u64(&b, 16);
	pd_record(&m, &b);
	collect_well(&p);
	assert_folded(&p, 0, "app;[app];[app] 1\n");
	assert_ledger(&p, 0, "stacks of ppc64le code cannot be unwound here", true);
	pmf_profile_release(&p);
}

static void no_samples_say_why(void **state)
{
	struct pmf_profile p;
	struct pmf_err err = PMF_ERR_INIT;

	(void)state;
	for (int stat = 0; stat < 2; stat++) {
		pd_event(&m, 0, TYPE, 0);
		comm("app", 0);
		b.len = 0;
		if (stat)
			pd_feature(&m, FEAT_STAT, &b);
		assert_int_equal(collect(&p, &err), PMF_ENOTFOUND);
		assert_non_null(strstr(err.text, stat ? "perf stat record" : "often enough"));
		teardown(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_context_of_a_callchain, setup, teardown),
		cmocka_unit_test_setup_teardown(
			samples_without_a_callchain_are_where_they_were_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_has_no_call_graph_is_said_once, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_that_the_processor_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(dummies_have_no_picture, setup, teardown),
		cmocka_unit_test_setup_teardown(the_workload_is_what_was_executed, setup, teardown),
		cmocka_unit_test_setup_teardown(samples_that_say_their_count, setup, teardown),
		cmocka_unit_test_setup_teardown(when_and_how_long_the_samples_say, setup, teardown),
		cmocka_unit_test_setup_teardown(build_ids_that_come_late, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_nothing_vouches_for, setup, teardown),
		cmocka_unit_test_setup_teardown(dumps_of_another_architecture, setup, teardown),
		cmocka_unit_test_setup_teardown(no_samples_say_why, setup, teardown),
	};

	return cmocka_run_group_tests_name("recording", tests, NULL, NULL);
}
