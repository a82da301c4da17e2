/* perf.data files built by hand: headers, events, features, and what is left of broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf_data_build.h"
#include "pmuflame/mem.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FEAT_BUILD_ID = 2, FEAT_HOSTNAME, FEAT_OSRELEASE, FEAT_VERSION, FEAT_ARCH, FEAT_NRCPUS };
enum { FEAT_CPUDESC = 8, FEAT_CMDLINE = 11, FEAT_EVENT_DESC = 12, FEAT_STAT = 19 };
enum { FEAT_DIR_FORMAT = 24, FEAT_CLOCK_DATA = 29 };

static void test_attributes_of_any_size(void **state)
{
	static const size_t sizes[] = {64, 72, 80, 96, 104, 112, 120, 128, 136, 144, 200};

	(void)state;
	for (size_t i = 0; i < 2 * PMF_ARRAY_SIZE(sizes); i++) {
		struct pd_make m = {.attr_bytes = sizes[i / 2], .pipe = i % 2};
		struct pd_event *e = pd_event(&m, 1, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 5);
		struct pd_result r = {0};

		e->attr.sample_stack_user = 77; /* byte 88 */
		pd_sample(&m, e, 10, 3);
		pd_read_made(&r, &m);
		pd_assert_read(&r, 1, 3);
		assert_int_equal(r.info->nr_events, 1);
		assert_int_equal(r.info->events[0].attr.config, 1);
		assert_int_equal(
			r.info->events[0].attr.sample_stack_user, sizes[i / 2] > 88 ? 77 : 0);
		assert_int_equal(r.info->pipe, i % 2);
		pd_result_release(&r);
		pd_release(&m);
	}
}

/* Attributes that are older than their own size field say 0; one that is larger than its place is
 * no event. */
static void test_attribute_sizes_are_checked(void **state)
{
	static const uint32_t sizes[] = {0, 63, 64, 128, 129, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(sizes); i++) {
		struct pd_make m = {.attr_bytes = 128};
		struct pd_event *e = pd_event(&m, 1, PD_TYPE, 0);
		bool good = sizes[i] == 0 || (sizes[i] >= 64 && sizes[i] <= 128);
		struct pd_result r = {0};
		size_t attr_at;

		pd_sample(&m, e, 10, 3);
		pd_finish(&m);
		memcpy(&attr_at, m.file.data + 24, sizeof attr_at);
		memcpy(m.file.data + attr_at + 4, &sizes[i], sizeof sizes[i]);
		pd_read(&r, m.file.data, m.file.len);
		if (good) {
			pd_assert_read(&r, 1, 3);
		} else {
			assert_int_equal(r.ret, PMF_EFORMAT);
			assert_non_null(strstr(r.err.text, "describes no event"));
		}
		pd_result_release(&r);
		pd_release(&m);
	}
}

/* A file whose attributes all claim the whole of it as their ids must not be taken at its word. */
static void test_ids_that_overlap_have_a_limit(void **state)
{
	enum { ENTRY = 64 + 16, ENTRIES = 3000 };
	struct pd_make m = {.attr_bytes = 64};
	const uint64_t everything[2] = {0, UINT64_MAX}, bytes = ENTRY * ENTRIES;
	struct pd_result r = {0};
	uint64_t at, end;
	char entry[ENTRY];

	(void)state;
	pd_sample(&m, pd_event(&m, 0, PD_TYPE, 0), 10, 1);
	pd_finish(&m);
	memcpy(&at, m.file.data + 24, sizeof at);
	memcpy(entry, m.file.data + at, sizeof entry);
	memcpy(entry + 64, everything, sizeof everything);
	end = m.file.len;
	memcpy(m.file.data + 24, &end, sizeof end);
	memcpy(m.file.data + 32, &bytes, sizeof bytes);
	for (size_t i = 0; i < ENTRIES; i++)
		pmf_buf_add(&m.file, entry, sizeof entry);
	pd_read(&r, m.file.data, m.file.len);
	assert_int_equal(r.ret, 0);
	assert_in_range(r.info->nr_events, 1, (1 << 20) / (bytes / 8));
	assert_int_equal(r.info->nr_events + r.damage->malformed, ENTRIES);
	pd_result_release(&r);
	pd_release(&m);
}

static void assert_refused(const void *bytes, size_t len, int status, const char *why)
{
	struct pd_result r = {0};

	pd_read(&r, bytes, len);
	assert_int_equal(r.ret, status);
	if (!strstr(r.err.text, why))
		fail_msg("'%s' is not in: %s", why, r.err.text);
	pd_result_release(&r);
}

static void swap_words(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++, p += 8)
		for (size_t j = 0; j < 4; j++) {
			char c = p[j];

			p[j] = p[7 - j];
			p[7 - j] = c;
		}
}

static void test_what_is_no_recording_is_refused(void **state)
{
	struct pd_make m = {0};
	struct build b = {.len = 0};
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_perf_data *pd;
	int fd;

	(void)state;
	pd_event(&m, 0, PD_TYPE, 0);
	pd_finish(&m);
	assert_true(pmf_perf_data_is(m.file.data, m.file.len));
	assert_false(pmf_perf_data_is(m.file.data, 7));
	assert_false(pmf_perf_data_is("\x1f\x8bgzipped", 9));
	assert_refused("", 0, PMF_EFORMAT, "it is empty");
	assert_refused("PERFILE", 7, PMF_EFORMAT, "does not begin");
	assert_refused("a;b 12\na;c 3\n", 13, PMF_EFORMAT, "does not begin");
	assert_refused(m.file.data, 12, PMF_EFORMAT, "ends inside its header");
	assert_refused(m.file.data, 60, PMF_EFORMAT, "ends inside its header");
	swap_words(m.file.data, 9);
	assert_refused(m.file.data, m.file.len, PMF_EUNSUP, "big-endian");
	memcpy(m.file.data, "PERFFILE", 8);
	assert_refused(m.file.data, m.file.len, PMF_EUNSUP, "big-endian");
	pd_feature(&m, FEAT_DIR_FORMAT, &b);
	pd_finish(&m);
	assert_refused(m.file.data, m.file.len, PMF_EUNSUP, "--threads");
	pd_release(&m);
	m.pipe = true;
	pd_finish(&m);
	assert_refused(m.file.data, m.file.len, PMF_EFORMAT, "describes no event");
	pd_release(&m);
	fd = open("/", O_RDONLY);
	assert_int_equal(pmf_perf_data_open(&pd, fd, "/", NULL, 0, &err), PMF_EUNSUP);
	assert_non_null(strstr(err.text, "--threads"));
	close(fd);
	fd = open("/dev/null", O_WRONLY);
	assert_int_equal(pmf_perf_data_open(&pd, fd, "null", "PERF", 4, &err), PMF_EIO);
	assert_non_null(strstr(err.text, "cannot read 'null'"));
	close(fd);
}

static void test_ids_stand_where_the_first_event_says(void **state)
{
	static const uint64_t types[] = {
		PERF_SAMPLE_IDENTIFIER, PERF_SAMPLE_ID, PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_ID};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(types); i++) {
		struct pd_make m = {0};
		struct pd_event *a = pd_event(&m, 0, PD_TYPE | types[i], 21),
				*b = pd_event(&m, 1, PD_TYPE | types[i], 22), stranger;
		struct pd_result r = {0};

		pd_sample(&m, a, 10, 100);
		pd_sample(&m, b, 20, 7);
		pd_comm(&m, b, 25, "name");
		stranger = *b;
		stranger.ids[0] = 99;
		pd_sample(&m, &stranger, 30, 1);
		pd_sample(&m, b, 40, 8);
		pd_read_made(&r, &m);
		assert_int_equal(r.ret, 0);
		assert_int_equal(r.info->events[0].samples, 1);
		assert_int_equal(r.info->events[0].weight, 100);
		assert_int_equal(r.info->events[1].samples, 2);
		assert_int_equal(r.info->events[1].weight, 15);
		assert_int_equal(r.damage->unknown, 1);
		assert_int_equal(r.seen[2].type, PERF_RECORD_COMM);
		assert_int_equal(r.seen[2].time_ns, 25);
		assert_int_equal(r.seen[2].id, 22);
		pd_result_release(&r);
		pd_release(&m);
	}
}

/* The only event needs no id; without PERIOD its samples weigh attr.sample_period. */
static void test_a_single_event_without_ids(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE & ~(uint64_t)PERF_SAMPLE_PERIOD, 0);
	struct pd_result r = {0};

	(void)state;
	e->attr.sample_period = 4321;
	pd_sample(&m, e, 10, 0);
	pd_sample(&m, e, 20, 0);
	pd_read_made(&r, &m);
	pd_assert_read(&r, 2, 2 * 4321);
	pd_result_release(&r);
	pd_release(&m);
}

/* A dummy carries sideband and may have less in its samples; it is no event of the profile. */
static void test_dummies_are_sideband(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE | PERF_SAMPLE_IDENTIFIER, 3);
	struct pd_event *d =
		pd_event(&m, PERF_COUNT_SW_DUMMY, PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TIME, 4);
	struct pd_result r = {0};

	(void)state;
	d->attr.type = PERF_TYPE_SOFTWARE;
	pd_comm(&m, d, 5, "some name");
	pd_sample(&m, e, 10, 2);
	pd_read_made(&r, &m);
	pd_assert_read(&r, 1, 2);
	assert_false(r.info->events[0].sideband);
	assert_true(r.info->events[1].sideband);
	assert_int_equal(r.seen[0].event, PMF_NO_EVENT);
	assert_int_equal(r.seen[0].time_ns, 5);
	assert_int_equal(r.seen[1].event, 0);
	pd_result_release(&r);
	pd_release(&m);
}

/* The first format, and kernels that did not mark sideband: no trailer, no time, no order. */
static void test_v1_without_trailers(void **state)
{
	struct pd_make m = {.v1 = true, .attr_bytes = 64};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	e->attr.sample_id_all = 0;
	pd_sample(&m, e, 10, 1);
	pd_comm(&m, e, 0, "name");
	pd_sample(&m, e, 20, 1);
	pd_read_made(&r, &m);
	pd_assert_read(&r, 2, 2);
	assert_int_equal(r.nr_seen, 3);
	assert_int_equal(r.seen[0].type, PERF_RECORD_COMM); /* at once, as it has no time */
	assert_int_equal(r.seen[0].time_ns, 0);
	assert_int_equal(r.seen[0].tid, 8);
	pd_result_release(&r);
	pd_release(&m);
}

static void add_build_id(struct build *b, uint32_t pid, const char *path, int len)
{
	uint16_t misc = PERF_RECORD_MISC_USER, size;
	size_t from = b->len;
	uint8_t id[24] = {1, 2, 3, 4};

	if (len >= 0) {
		id[20] = (uint8_t)len;
		misc |= 1 << 15;
	}
	build_u32(b, 67);
	build_u16(b, misc);
	build_u16(b, 0);
	build_u32(b, pid);
	build_bytes(b, id, sizeof id);
	build_bytes(b, path, strlen(path) + 1);
	build_bytes(b, "\0\0\0\0\0\0\0", (8 - b->len % 8) % 8);
	size = (uint16_t)(b->len - from);
	memcpy(b->bytes + from + 6, &size, sizeof size);
}

static void add_features(struct pd_make *m)
{
	static struct build b;

	b.len = 0;
	add_build_id(&b, UINT32_MAX, "[kernel.kallsyms]", -1);
	add_build_id(&b, 0, "/usr/lib/x.so", 16);
	pd_feature(m, FEAT_BUILD_ID, &b);
	pd_text_feature(m, FEAT_HOSTNAME, "farm07");
	pd_text_feature(m, FEAT_OSRELEASE, "6.1.0");
	pd_text_feature(m, FEAT_VERSION, "6.2.g1");
	pd_text_feature(m, FEAT_ARCH, "aarch64");
	b.len = 0;
	build_u32(&b, 16); /* that could be there, and that are */
	build_u32(&b, 12);
	pd_feature(m, FEAT_NRCPUS, &b);
	pd_text_feature(m, FEAT_CPUDESC, "Neoverse");
	b.len = 0;
	build_u32(&b, 2);
	pd_text(&b, "perf");
	pd_text(&b, "an argument");
	pd_feature(m, FEAT_CMDLINE, &b);
	b.len = 0;
	pd_feature(m, FEAT_STAT, &b);
	b.len = 0;
	build_u32(&b, 1);
	build_u32(&b, CLOCK_MONOTONIC);
	build_words(&b, 2, 5000);
	pd_feature(m, FEAT_CLOCK_DATA, &b);
}

static void test_features(void **state)
{
	(void)state;
	for (int pipe = 0; pipe < 2; pipe++) {
		struct pd_make m = {.pipe = pipe};
		struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
		const struct pmf_perf_data_info *info;
		struct pd_result r = {0};

		add_features(&m);
		pd_sample(&m, e, 10, 1);
		pd_read_made(&r, &m);
		pd_assert_read(&r, 1, 1);
		info = r.info;
		assert_string_equal(info->hostname, "farm07");
		assert_string_equal(info->release, "6.1.0");
		assert_string_equal(info->perf_version, "6.2.g1");
		assert_string_equal(info->arch_name, "aarch64");
		assert_ptr_equal(info->arch, pmf_arch_by_name("aarch64"));
		assert_string_equal(info->cpu, "Neoverse");
		assert_int_equal(info->cpus_online, 12);
		assert_int_equal(info->argc, 2);
		assert_string_equal(info->argv[1], "an argument");
		assert_null(info->argv[2]);
		assert_true(info->stat);
		assert_true(info->has_clock);
		assert_int_equal(info->clockid, CLOCK_MONOTONIC);
		assert_int_equal(info->wall_ns, 5000);
		assert_int_equal(info->clock_ns, 5001);
		assert_int_equal(info->nr_build_ids, 2);
		assert_string_equal(info->build_ids[0].path, "[kernel.kallsyms]");
		assert_int_equal(info->build_ids[0].pid, UINT32_MAX);
		assert_int_equal(info->build_ids[0].len, 20);
		assert_int_equal(info->build_ids[1].len, 16);
		assert_memory_equal(info->build_ids[1].bytes, "\1\2\3\4", 4);
		pd_result_release(&r);
		pd_release(&m);
	}
}

static void test_an_architecture_without_a_row(void **state)
{
	struct pd_make m = {0};
	struct pd_result r = {0};

	(void)state;
	pd_sample(&m, pd_event(&m, 0, PD_TYPE, 0), 10, 1);
	pd_text_feature(&m, FEAT_ARCH, "ppc64le");
	pd_read_made(&r, &m);
	pd_assert_read(&r, 1, 1);
	assert_string_equal(r.info->arch_name, "ppc64le");
	assert_null(r.info->arch);
	pd_result_release(&r);
	pd_release(&m);
}

/* perf was killed: sizes are 0, the bits of features that were to come are set. */
static void test_unfinished(void **state)
{
	struct pd_make m = {.unfinished = true};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	add_features(&m);
	pd_sample(&m, e, 10, 1);
	pd_sample(&m, e, 20, 1);
	pd_read_made(&r, &m);
	pd_assert_read(&r, 2, 2);
	assert_true(r.damage->unfinished);
	assert_null(r.info->hostname);
	pd_result_release(&r);
	pd_release(&m);
}

/* Whatever the length, what stands before the end is read, and what is missing is said. */
static void test_truncated_anywhere(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	size_t data_at, sample_bytes, whole;

	(void)state;
	add_features(&m);
	for (uint64_t i = 1; i <= 5; i++)
		pd_sample(&m, e, 10 * i, 1);
	sample_bytes = m.records.len / 5;
	pd_finish(&m);
	memcpy(&data_at, m.file.data + 40, sizeof data_at);
	whole = m.file.len;
	for (size_t len = 0; len < whole; len++) {
		struct pd_result r = {0};
		char *exact = pmf_malloc(len);

		memcpy(exact, m.file.data, len);
		pd_read(&r, exact, len);
		if (len >= data_at) {
			size_t fit = PMF_MIN((len - data_at) / sample_bytes, (size_t)5),
			       left = data_at + m.records.len -
				      PMF_MIN(len, data_at + m.records.len);

			assert_int_equal(r.ret, 0);
			assert_int_equal(r.info->events[0].samples, fit);
			assert_int_equal(r.damage->missing, left);
		} else if (r.ret == 0) {
			assert_int_equal(r.nr_seen, 0);
		}
		pd_result_release(&r);
		free(exact);
	}
	pd_release(&m);
}

static void test_a_record_of_no_size_ends_the_reading(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};

	(void)state;
	pd_sample(&m, e, 10, 1);
	pmf_buf_add(&m.records, "\1\0\0\0\0\0\4\0", 8);
	pd_sample(&m, e, 20, 1);
	pd_read_made(&r, &m);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.info->events[0].samples, 1);
	assert_int_equal(r.damage->stopped.status, PMF_EFORMAT);
	assert_non_null(strstr(r.damage->stopped.text, "4 bytes long"));
	pd_result_release(&r);
	pd_release(&m);
}

static void test_malformed_records_are_counted(void **state)
{
	struct pd_make m = {0};
	struct pd_event *e = pd_event(&m, 0, PD_TYPE, 0);
	struct pd_result r = {0};
	struct build b;

	(void)state;
	build_start(&b, PERF_RECORD_SAMPLE, 0);
	build_words(&b, 2, 1); /* of the four words of PD_TYPE */
	pd_record(&m, &b);
	pd_sample(&m, e, 20, 1);
	pmf_buf_add(&m.records, "\0\0\0", 3); /* less than a header: not worth a word */
	pd_read_made(&r, &m);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.info->events[0].samples, 1);
	assert_int_equal(r.damage->malformed, 1);
	assert_int_equal(r.damage->missing, 0);
	pd_result_release(&r);
	pd_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attributes_of_any_size),
		cmocka_unit_test(test_attribute_sizes_are_checked),
		cmocka_unit_test(test_ids_that_overlap_have_a_limit),
		cmocka_unit_test(test_what_is_no_recording_is_refused),
		cmocka_unit_test(test_ids_stand_where_the_first_event_says),
		cmocka_unit_test(test_a_single_event_without_ids),
		cmocka_unit_test(test_dummies_are_sideband),
		cmocka_unit_test(test_v1_without_trailers),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_an_architecture_without_a_row),
		cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_a_record_of_no_size_ends_the_reading),
		cmocka_unit_test(test_malformed_records_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
