/* Other programs' pprof files as far as they go, and files that lie. */
#include "pprof_build.h"
#include "profile_check.h"
#include "profile_load_priv.h"
#include "sample_profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "skip.h"
#include <cmocka.h>

static void load_file(struct pprof_file *f, struct pmf_profile *p)
{
	pprof_end(f);
	load_profile(p, f->bytes.data, f->bytes.len);
	pmf_buf_release(&f->bytes);
}

static void assert_event(const struct pmf_profile *p, size_t e, const char *label, const char *unit,
	uint64_t weight, uint64_t samples)
{
	assert_true(e < p->nr_events);
	assert_string_equal(p->events[e].label, label);
	assert_string_equal(p->events[e].unit, unit);
	assert_int_equal(p->events[e].weight, weight);
	assert_int_equal(p->events[e].counted, weight);
	assert_int_equal(p->events[e].samples, samples);
	assert_int_equal(sum_column(p, p->weights, e), weight);
	assert_int_equal(sum_column(p, p->samples, e), samples);
	assert_false(p->events[e].lost_known);
}

static void written_by_go(void **state)
{
	struct pmf_profile p;
	struct pprof_file f;
	size_t len;
	char *folded;

	(void)state;
	pprof_begin(&f);
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "samples", "count");
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "cpu", "nanoseconds");
	pprof_add_type(&f, PPROF_PERIOD_TYPE, "cpu", "nanoseconds");
	pmf_pb_put_int(&f.bytes, PPROF_PERIOD, 10);
	pprof_add_stacks(&f, 2);
	load_file(&f, &p);
	assert_int_equal(p.nr_events, 1);
	assert_event(&p, 0, "cpu", "ns", 150, 15);
	assert_int_equal(p.events[0].period, 10);
	assert_string_equal(p.events[0].file_name, "cpu");
	folded = draw_profile(&p, &len);
	assert_non_null(strstr(
		folded, "\nhandler;[server+0x2000];outer;inner_[i];do_page_fault_[k] 150\n"));
	free(folded);
	assert_int_equal(p.frames[p.nodes[1].frame].kind, PMF_FRAME_PYTHON);
	assert_true(p.frames[p.nodes[2].frame].unresolved);
	assert_true(has_note(&p, "another program"));
	assert_survives(&p);
	pmf_profile_release(&p);
}

static void written_by_others(void **state)
{
	struct pmf_profile p;
	struct pprof_file f;

	(void)state;
	/* perf_data_converter: two events with a column of samples each. */
	pprof_begin(&f);
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "cycles_sample", "count");
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "cycles_event", "count");
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "../../etc_sample", "count");
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "../../etc_event", "count");
	pprof_add_stacks(&f, 4);
	load_file(&f, &p);
	assert_int_equal(p.nr_events, 2);
	assert_event(&p, 0, "cycles", "events", 150, 15);
	assert_event(&p, 1, "../../etc", "events", 15000, 1500);
	assert_string_equal(p.events[1].file_name, ".._.._etc");
	pmf_profile_release(&p);

	/* A heap: nothing says how many samples there were; and other units of time. */
	pprof_begin(&f);
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "inuse_space", "bytes");
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "wait", "milliseconds");
	pprof_add_stacks(&f, 2);
	load_file(&f, &p);
	assert_event(&p, 0, "inuse_space", "bytes", 15, 3);
	assert_event(&p, 1, "wait", "ns", 150000000, 3);
	assert_true(has_note(&p, "how many samples 'wait'"));
	pmf_profile_release(&p);

	/* Samples alone; a difference; types that seem to belong to each other in a circle. */
	pprof_begin(&f);
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "samples", "count");
	pprof_add_type(&f, PPROF_SAMPLE_TYPE, "samples.samples", "count");
	pprof_add_stacks(&f, 2);
	pprof_add_sample(&f, (const uint64_t[]){1}, 1, (const int64_t[]){-7, 0}, 2);
	load_file(&f, &p);
	assert_int_equal(p.nr_events, 1);
	assert_event(&p, 0, "samples", "events", 15, 150);
	assert_true(has_note(&p, "below 0"));
	pmf_profile_release(&p);
}

static void assert_refused(struct pprof_file *f, const char *words)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	int ret;

	pprof_end(f);
	ret = pmf_profile_load(&p, f->bytes.data, f->bytes.len, &err);
	if (ret == 0)
		fail_msg("this should be refused: '%s'", words);
	assert_int_equal(ret, err.status);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	pmf_buf_release(&f->bytes);
}

static void begin_valid(struct pprof_file *f)
{
	pprof_begin(f);
	pprof_add_type(f, PPROF_SAMPLE_TYPE, "cpu", "count");
	pprof_add_stacks(f, 1);
}

static void refused(void **state)
{
	struct pprof_file f;

	(void)state;
	pprof_begin(&f);
	assert_refused(&f, "no sample types");
	begin_valid(&f);
	pprof_add_sample(&f, (const uint64_t[]){55}, 1, (const int64_t[]){1}, 1);
	assert_refused(&f, "location is missing");
	begin_valid(&f);
	pprof_add_sample(&f, (const uint64_t[]){1}, 1, (const int64_t[]){1, 2}, 2);
	assert_refused(&f, "one value for each");
	begin_valid(&f);
	pprof_add_location(&f, 8, 9, 0, (const uint64_t[]){99, 0});
	assert_refused(&f, "function is missing");
	begin_valid(&f);
	pprof_add_location(&f, 8, 77, 0, (const uint64_t[]){70, 0});
	assert_refused(&f, "mapping is missing");
	begin_valid(&f);
	pprof_add_function(&f, 70, "twice", "");
	assert_refused(&f, "functions of the number 70 are there twice");
	begin_valid(&f);
	pprof_add_function(&f, 0, "none", "");
	assert_refused(&f, "which is none");
	begin_valid(&f);
	pprof_add_sample(&f, NULL, 0, (const int64_t[]){INT64_MAX}, 1);
	pprof_add_sample(&f, NULL, 0, (const int64_t[]){INT64_MAX}, 1);
	assert_refused(&f, "add up");
	begin_valid(&f);
	pmf_pb_put_int(&f.msg, FUNCTION_ID, 5);
	pmf_pb_put_int(&f.msg, FUNCTION_NAME, 1000);
	pprof_add(&f, PPROF_FUNCTION);
	assert_refused(&f, "string is missing");
	begin_valid(&f);
	pmf_buf_addstr(&f.bytes, "text");
	assert_refused(&f, "something else");
}

static void comments_refused(void **state)
{
	static const char *const wrong[] = {
		"pmuflame event 7 counted=1",
		"pmuflame event x",
		"pmuflame event 0 counted=-1",
		"pmuflame event 0 counted=18446744073709551616",
		"pmuflame event 0 counted",
		"pmuflame event 0 lost_known=2",
		"pmuflame event 0 scale=nan",
		"pmuflame event 0 scale=0.0000000000001",
		"pmuflame event 0 scale=1e300",
		"pmuflame warning 5 text",
		"pmuflame run cpus=99999999999",
		"pmuflame profile 2",
		"pmuflame profile",
	};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(wrong); i++) {
		struct pprof_file f;

		begin_valid(&f);
		pmf_pb_put_int(&f.bytes, PPROF_COMMENT, pprof_str(&f, wrong[i]));
		assert_refused(&f, strstr(wrong[i], "profile 2") ? "later version"
				   : strstr(wrong[i], "scale=0") || strstr(wrong[i], "scale=1")
					   ? "scale"
					   : "makes no sense");
	}
}

/* What says that it is ours, but was changed: the samples count. */
static void changed_by_others(void **state)
{
	struct pmf_profile p;
	struct pprof_file f;

	(void)state;
	begin_valid(&f);
	pmf_pb_put_int(&f.bytes, PPROF_COMMENT, pprof_str(&f, "pmuflame profile 1"));
	pmf_pb_put_int(&f.bytes, PPROF_COMMENT, pprof_str(&f, "pmuflame later words"));
	pmf_pb_put_int(&f.bytes, PPROF_COMMENT,
		pprof_str(
			&f, "pmuflame event 0 samples=99 weight=5 counted=7 throttled=4 later=x"));
	load_file(&f, &p);
	assert_int_equal(p.events[0].samples, 3);
	assert_int_equal(p.events[0].counted, 15);
	assert_int_equal(p.events[0].throttled, 4);
	assert_true(has_note(&p, "has changed this profile"));
	pmf_profile_release(&p);
}

/* On a slow machine, PMF_SPARSE=N: only every Nth length, and nothing large. */
static size_t sparse(void)
{
	const char *n = getenv("PMF_SPARSE");

	return n ? strtoul(n, NULL, 10) : 0;
}

/* No beginning of a file is a whole one, but for those that end between two fields. */
static void cut_files(void **state)
{
	struct pmf_buf raw = PMF_BUF_INIT;
	struct pmf_profile p, loaded;
	size_t len;
	char *bytes;

	(void)state;
	assert_true(sample_profile(&p, "normal"));
	pmf_profile_name_files(&p);
	bytes = save_profile(&p, &len);
	for (size_t cut = 2; cut < len; cut += PMF_MAX(sparse(), 1)) {
		struct pmf_err err = PMF_ERR_INIT;

		assert_int_equal(pmf_profile_load(&loaded, bytes, cut, &err), PMF_EFORMAT);
		assert_non_null(strstr(err.text, "end is missing"));
	}
	gunzip(bytes, len, &raw);
	for (size_t cut = 0; cut < raw.len; cut += PMF_MAX(sparse(), 1)) {
		char *exact =
			malloc(cut ? cut : 1); /* so that a sanitizer sees the first byte behind */
		struct pmf_err err = PMF_ERR_INIT;

		memcpy(exact, raw.data, cut);
		if (pmf_profile_load(&loaded, exact, cut, &err) == 0)
			pmf_profile_release(&loaded);
		else
			assert_int_not_equal(err.text[0], '\0');
		free(exact);
	}
	free(bytes);
	pmf_buf_release(&raw);
	pmf_profile_release(&p);
}

/* Some hundred kilobytes that are more than 256 MiB of zeros: gzip members, one behind the other. */
static void bomb(void **state)
{
	enum { MEMBER = 1 << 20, MEMBERS = PMF_PPROF_MAX_BYTES / MEMBER + 1 };
	static unsigned char zeros[MEMBER];
	unsigned char member[1 << 12];
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_buf bytes = PMF_BUF_INIT;
	struct pmf_profile p;
	z_stream z = {.next_in = zeros,
		.avail_in = MEMBER,
		.next_out = member,
		.avail_out = sizeof member};

	(void)state;
	if (sparse())
		skip_because("the machine is slow");
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	for (int i = 0; i < MEMBERS; i++)
		pmf_buf_add(&bytes, member, sizeof member - z.avail_out);
	deflateEnd(&z);
	assert_int_equal(pmf_profile_load(&p, bytes.data, bytes.len, &err), PMF_ELIMIT);
	assert_non_null(strstr(err.text, "more than 256 MiB"));
	pmf_buf_release(&bytes);
}

/* One location, called by itself for ever: a byte of the file for each frame. */
static void deep_stack(void **state)
{
	struct pprof_file f;

	(void)state;
	if (sparse())
		skip_because("the machine is slow");
	begin_valid(&f);
	for (size_t i = 0; i < PMF_PPROF_MAX_CELLS / 2 + 8; i++)
		pmf_buf_addch(&f.part, 1);
	pmf_pb_put_bytes(&f.msg, SAMPLE_LOCATION_ID, f.part.data, f.part.len);
	pmf_buf_clear(&f.part);
	pmf_pb_put_int(&f.msg, SAMPLE_VALUE, 1);
	pprof_add(&f, PPROF_SAMPLE);
	assert_refused(&f, "more stacks");
}

/* Some kilobytes of a location with many inlined functions, called by itself again and again: each call would
 * be as many nodes of the picture. */
static void inlined_again_and_again(void **state)
{
	enum { LINES = 8000, CALLS = PMF_PPROF_MAX_CELLS / 2 / LINES + 1 };
	uint64_t *lines = pmf_calloc(LINES + 1, sizeof *lines);
	uint64_t *stack = pmf_calloc(CALLS, sizeof *stack);
	struct pprof_file f;

	(void)state;
	begin_valid(&f);
	for (size_t i = 0; i < LINES; i++)
		lines[i] = 70;
	for (size_t i = 0; i < CALLS; i++)
		stack[i] = 8;
	pprof_add_location(&f, 8, 0, 0, lines);
	pprof_add_sample(&f, stack, CALLS, (const int64_t[]){1}, 1);
	assert_refused(&f, "more stacks");
	free(lines);
	free(stack);
}

static void long_comments(void **state)
{
	enum { LEN = 4096, N = PMF_PPROF_MAX_COMMENT_BYTES / LEN };
	char *note = pmf_asprintf("pmuflame note - %0*d", LEN, 1);
	struct pprof_file f;

	(void)state;
	begin_valid(&f);
	for (int i = 0; i <= N; i++)
		pmf_pb_put_int(&f.bytes, PPROF_COMMENT, pprof_str(&f, note));
	assert_refused(&f, "more comments");
	free(note);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_by_go),
		cmocka_unit_test(written_by_others),
		cmocka_unit_test(refused),
		cmocka_unit_test(comments_refused),
		cmocka_unit_test(changed_by_others),
		cmocka_unit_test(cut_files),
		cmocka_unit_test(bomb),
		cmocka_unit_test(deep_stack),
		cmocka_unit_test(inlined_again_and_again),
		cmocka_unit_test(long_comments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
