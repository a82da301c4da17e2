/* Profiles through pprof files: our own and back without a difference, other programs' as far as they
 * go, and files that lie. */
#include "pmuflame/render.h"
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

/* ---- Helpers ---- */

static char *save(const struct pmf_profile *p, size_t *len)
{
	struct pmf_err err = PMF_ERR_INIT;
	char *bytes = NULL;
	FILE *f = open_memstream(&bytes, len);

	assert_non_null(f);
	if (pmf_profile_save(p, f, &err))
		fail_msg("%s", err.text);
	assert_int_equal(fclose(f), 0);
	return bytes;
}

static void load(struct pmf_profile *p, const void *bytes, size_t len)
{
	struct pmf_err err = PMF_ERR_INIT;

	if (pmf_profile_load(p, bytes, len, &err))
		fail_msg("%s", err.text);
}

/* Save, load, and release the one that was saved. */
static void through_file(struct pmf_profile *from, struct pmf_profile *to)
{
	size_t len;
	char *bytes = save(from, &len);

	load(to, bytes, len);
	free(bytes);
	pmf_profile_release(from);
}

/* Everything that is drawn of a profile, threads told apart. */
static char *draw(const struct pmf_profile *p, size_t *len)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_tree t;
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	size_t n;
	const struct pmf_renderer *const *all = pmf_renderers(&n);

	assert_non_null(f);
	pmf_tree_build(&t, p, &(struct pmf_tree_opts){.threads = true});
	for (size_t e = 0; e < p->nr_events; e++)
		for (size_t i = 0; i < n; i++)
			if (all[i]->per_event || e == 0)
				assert_int_equal(all[i]->render(f, &t, e,
							 &(struct pmf_render_opts){0}, &err),
					0);
	assert_int_equal(fclose(f), 0);
	pmf_tree_release(&t);
	return text;
}

/* The profile draws, and is saved, as before after a way through a file. */
static void assert_survives(struct pmf_profile *p)
{
	size_t before_len, after_len, first_len, second_len;
	char *before = draw(p, &before_len), *after, *first, *second;
	struct pmf_profile loaded;

	first = save(p, &first_len);
	load(&loaded, first, first_len);
	after = draw(&loaded, &after_len);
	second = save(&loaded, &second_len);
	assert_int_equal(before_len, after_len);
	assert_memory_equal(before, after, after_len);
	assert_int_equal(first_len, second_len);
	assert_memory_equal(first, second, first_len);
	assert_int_equal(loaded.start_unix_ns, p->start_unix_ns);
	assert_int_equal(loaded.cpus, p->cpus);
	pmf_profile_release(&loaded);
	free(before);
	free(after);
	free(first);
	free(second);
}

static void gunzip(const char *bytes, size_t len, struct pmf_buf *out)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)bytes, .avail_in = (unsigned)len};
	unsigned char chunk[4096];
	int status = Z_OK;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	while (status == Z_OK) {
		z.next_out = chunk;
		z.avail_out = sizeof chunk;
		status = inflate(&z, Z_NO_FLUSH);
		pmf_buf_add(out, chunk, sizeof chunk - z.avail_out);
	}
	assert_int_equal(status, Z_STREAM_END);
	inflateEnd(&z);
}

/* Add up each sample type as any reader would, without what we put around it. */
static void sum_values(const char *bytes, size_t len, uint64_t *sums, size_t n)
{
	struct pmf_buf raw = PMF_BUF_INIT;
	struct pmf_pb_reader r, values, ints;
	struct pmf_pb_field f, g;

	memset(sums, 0, n * sizeof *sums);
	gunzip(bytes, len, &raw);
	pmf_pb_read(&r, raw.data, raw.len);
	while (pmf_pb_next(&r, &f)) {
		if (f.number != PPROF_SAMPLE)
			continue;
		pmf_pb_read(&values, f.data, f.len);
		while (pmf_pb_next(&values, &g)) {
			if (g.number != SAMPLE_VALUE)
				continue;
			pmf_pb_read_ints(&ints, &g);
			for (size_t i = 0; i < n; i++) {
				uint64_t value;

				assert_true(pmf_pb_next_int(&ints, &g, &value));
				sums[i] += value;
			}
		}
	}
	assert_false(r.bad);
	pmf_buf_release(&raw);
}

static uint64_t sum_column(const struct pmf_profile *p, uint64_t *const *columns, size_t e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->nr_nodes; i++)
		sum += columns[e][i];
	return sum;
}

static bool has_note(const struct pmf_profile *p, const char *words)
{
	for (size_t i = 0; i < p->nr_notes; i++)
		if (strstr(p->notes[i].text, words))
			return true;
	return false;
}

/* ---- Our own ---- */

static void survives(void **state)
{
	static const char *const kinds[] = {"normal", "hostile", "empty", "tall", "deep", "big"};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(kinds); i++) {
		struct pmf_profile p;

		assert_true(sample_profile(&p, kinds[i]));
		p.cpus = 7;
		pmf_profile_name_files(&p);
		assert_survives(&p);
		pmf_profile_release(&p);
	}
}

/* Every number of the ledger is another one. */
static void whole_ledger(void **state)
{
	struct pmf_profile p;
	struct pmf_profile_event *ev;

	(void)state;
	pmf_profile_init(&p, 2);
	for (size_t e = 0; e < 2; e++) {
		ev = &p.events[e];
		*ev = (struct pmf_profile_event){.spec = pmf_strdup("cycles\nof what=5"),
			.label = pmf_strdup(e ? "cpu-clock" : "cycles"),
			.unit = pmf_strdup(e ? "ns" : "events"),
			.fallback_reason = pmf_strdup("why = not"),
			.unsampled_name = pmf_strdup("[kernel time, not permitted]"),
			.period = 100 + e,
			.freq_hz = 201,
			.precise_ip = 2,
			.exclude_kernel = true,
			.exclude_user = e,
			.in_kernel = true,
			.counted = UINT64_C(12345678901234567890),
			.enabled_ns = 3,
			.running_ns = 4,
			.task_ns = 5,
			.scale = 1,
			.weight = 6,
			.weight_sq = 1.0 / 3,
			.unsampled = 7,
			.lost = 8,
			.lost_known = e,
			.throttled = 9,
			.cut_stacks = 10,
			.joined_stacks = 11,
			.broken_stacks = 12,
			.rooted_stacks = 13,
			.no_user_stack = 14,
			.skewed_stacks = 15,
			.unresolved_frames = 16,
			.frames = 17};
	}
	p.lost_sideband = 18;
	p.lost_unattributed = 19;
	p.ring_bytes = 20;
	p.duration_ns = 21;
	p.title = pmf_strdup("a title");
	p.host_note = pmf_strdup("x86_64, Linux");
	pmf_profile_note(&p, PMF_NOTE_INFO, -1, "of the run");
	pmf_profile_note(&p, PMF_NOTE_WARN, 1, "of - the = event\n");
	pmf_profile_name_files(&p);
	assert_survives(&p);
	pmf_profile_release(&p);
}

/* Inlined callees, builds of files, and frames that are told apart by their address only. */
static void frames_survive(void **state)
{
	static const uint8_t id[] = {0xde, 0xad, 0x01};
	struct pmf_profile p, loaded;
	uint32_t path, module, outer, python, node;
	const struct pmf_frame *f;

	(void)state;
	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("cycles");
	p.events[0].unit = pmf_strdup("events");
	pmf_profile_name_files(&p);
	path = pmf_strtab_addz(&p.strings, "/usr/bin/a.out");
	module = pmf_strtab_addz(&p.strings, "a.out");
	outer = pmf_profile_frame_at(&p, PMF_FRAME_NATIVE, 3, module, path, 0x1234);
	pmf_profile_name_frame(&p, outer, "outer", "outer.c", 7);
	pmf_profile_add_inline(&p, outer, "middle", "middle.h", 8);
	pmf_profile_add_inline(&p, outer, "inner", "inner.h", 9);
	pmf_profile_set_build_id(&p, 3, id, sizeof id);
	python = pmf_profile_frame_at(&p, PMF_FRAME_PYTHON, UINT32_MAX,
		pmf_strtab_addz(&p.strings, "package"), pmf_strtab_addz(&p.strings, "/srv/x.py"),
		77);
	pmf_profile_name_frame(&p, python, "f (x.py:3)", "/srv/x.py", 3);
	node = pmf_profile_node(&p, 0, pmf_profile_frame_named(&p, PMF_FRAME_PROCESS, "python3"));
	node = pmf_profile_node(&p, pmf_profile_node(&p, node, python), outer);
	pmf_profile_add(&p, 0, node, 100, 1);
	p.events[0].samples = 1;
	p.events[0].weight = 100;
	assert_survives(&p);
	through_file(&p, &loaded);

	/* Root, process, Python, native: the last node is the stack's innermost. */
	f = &loaded.frames[loaded.nodes[3].frame];
	assert_int_equal(f->kind, PMF_FRAME_NATIVE);
	assert_int_equal(f->rva, 0x1234);
	assert_int_equal(f->line, 7);
	assert_int_equal(f->nr_inline, 2);
	assert_string_equal(pmf_strtab_get(&loaded.strings, loaded.build_ids[f->image]), "dead01");
	f = &loaded.frames[f->first_inline + 1];
	assert_int_equal(f->kind, PMF_FRAME_INLINED);
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->name), "inner");
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->file), "inner.h");
	f = &loaded.frames[loaded.nodes[2].frame];
	assert_int_equal(f->kind, PMF_FRAME_PYTHON);
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->module), "package");
	assert_string_equal(pmf_strtab_get(&loaded.strings, f->path), "/srv/x.py");
	assert_int_equal(loaded.frames[loaded.nodes[1].frame].kind, PMF_FRAME_PROCESS);
	pmf_profile_release(&loaded);
}

/* Values are scaled, rounded so that the total is right, and what they were before comes back. */
static void multiplexed(void **state)
{
	static const double scales[] = {1.0013, 1.5, 2.75, 3.0000000001, 1000.1};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(scales); i++) {
		struct pmf_profile p;
		uint64_t sums[4], weight;
		size_t len;
		char *bytes;

		assert_true(sample_profile(&p, "normal"));
		pmf_profile_name_files(&p);
		p.events[0].scale = scales[i];
		/* Many small numbers and a large one. */
		pmf_profile_add(&p, 0, 1, UINT64_C(1) << 48, 0);
		for (uint32_t n = 1; n < p.nr_nodes; n++)
			pmf_profile_add(&p, 0, n, n % 3, 0);
		assert_survives(&p);
		bytes = save(&p, &len);
		sum_values(bytes, len, sums, 4);
		weight = sum_column(&p, p.weights, 0);
		assert_int_equal(sums[0], (uint64_t)((long double)weight * scales[i] + 0.5L));
		assert_int_equal(sums[1], sum_column(&p, p.samples, 0));
		assert_int_equal(sums[2], sum_column(&p, p.weights, 1));
		assert_int_equal(sums[3], sum_column(&p, p.samples, 1));
		free(bytes);
		pmf_profile_release(&p);
	}
}

/* Events may have one label, and one that is another's samples'. */
static void equal_labels(void **state)
{
	static const char *const labels[] = {"a", "a", "a.samples", "samples"};
	struct pmf_profile p, loaded;

	(void)state;
	pmf_profile_init(&p, PMF_ARRAY_SIZE(labels));
	for (size_t e = 0; e < p.nr_events; e++) {
		p.events[e].label = pmf_strdup(labels[e]);
		p.events[e].unit = pmf_strdup("events");
		p.events[e].samples = e + 1;
		pmf_profile_add(&p, e, 0, 10 * (e + 1), e + 1);
	}
	pmf_profile_name_files(&p);
	assert_string_equal(p.events[1].file_name, "a-2");
	pmf_profile_add_joined(&p, 1, 0, 5);
	assert_survives(&p);
	through_file(&p, &loaded);
	assert_int_equal(loaded.nr_events, PMF_ARRAY_SIZE(labels));
	for (size_t e = 0; e < loaded.nr_events; e++) {
		assert_string_equal(loaded.events[e].label, labels[e]);
		assert_int_equal(sum_column(&loaded, loaded.weights, e), 10 * (e + 1));
		assert_int_equal(sum_column(&loaded, loaded.samples, e), e + 1);
	}
	assert_null(loaded.joined[0]);
	assert_int_equal(loaded.joined[1][0], 5);
	pmf_profile_release(&loaded);
}

/* Fractions of folded stacks are less than whole numbers can hold: what was rounded once stays so. */
static void fractions(void **state)
{
	struct pmf_profile p, loaded;
	uint64_t sums[2];
	size_t len, again_len;
	char *bytes, *again;

	(void)state;
	pmf_profile_init(&p, 1);
	p.events[0].label = pmf_strdup("ms");
	p.events[0].unit = pmf_strdup("events");
	p.events[0].scale = 0.01;
	pmf_profile_name_files(&p);
	for (size_t i = 0; i < 200; i++)
		pmf_profile_add(&p, 0,
			pmf_profile_node(&p, 0,
				(uint32_t)pmf_profile_frame_named(
					&p, PMF_FRAME_NATIVE, i % 2 ? "odd" : "even")),
			12345, 1);
	p.events[0].samples = 200;
	bytes = save(&p, &len);
	sum_values(bytes, len, sums, 2);
	assert_int_equal(sums[0], 24690);
	through_file(&p, &loaded);
	assert_true(loaded.events[0].scale == 0.01);
	again = save(&loaded, &again_len);
	assert_int_equal(len, again_len);
	assert_memory_equal(bytes, again, len);
	free(bytes);
	free(again);
	pmf_profile_release(&loaded);
}

/* As where the kernel's periods overstate: the sum is right, each weight to one. */
static void scaled_weights(void **state)
{
	static const double factors[] = {0.3, 1, 7.0 / 3, 1.0 / 1048576};

	(void)state;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(factors); i++) {
		struct pmf_profile p;
		uint64_t before, first;
		double squares;

		assert_true(sample_profile(&p, "normal"));
		before = sum_column(&p, p.weights, 0);
		first = p.weights[0][5];
		squares = p.events[0].weight_sq;
		pmf_profile_scale_weights(&p, 0, factors[i]);
		assert_int_equal(sum_column(&p, p.weights, 0),
			(uint64_t)((long double)before * factors[i] + 0.5L));
		assert_in_range(p.weights[0][5] + 1, (uint64_t)((double)first * factors[i]),
			(uint64_t)((double)first * factors[i]) + 2);
		assert_true(p.events[0].weight_sq == squares * factors[i] * factors[i]);
		pmf_profile_release(&p);
	}
}

static void too_large_to_save(void **state)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_true(sample_profile(&p, "normal"));
	p.events[0].scale = 1000;
	pmf_profile_add(&p, 0, 1, UINT64_C(1) << 60, 1);
	assert_int_equal(pmf_profile_save(&p, f, &err), PMF_ELIMIT);
	assert_int_equal(ftell(f), 0);
	fclose(f);
	pmf_profile_release(&p);
}

/* ---- Files of other programs ---- */

struct file {
	struct pmf_buf bytes, msg, part;
	const char *strings[32];
	size_t nr_strings;
};

static uint64_t str(struct file *f, const char *s)
{
	size_t i = 0;

	while (i < f->nr_strings && strcmp(f->strings[i], s) != 0)
		i++;
	assert_true(i < PMF_ARRAY_SIZE(f->strings));
	if (i == f->nr_strings)
		f->strings[f->nr_strings++] = s;
	return i;
}

static void begin(struct file *f)
{
	memset(f, 0, sizeof *f);
	str(f, "");
}

static void add(struct file *f, uint32_t field)
{
	pmf_pb_put_bytes(&f->bytes, field, f->msg.data, f->msg.len);
	pmf_buf_clear(&f->msg);
}

static void add_type(struct file *f, uint32_t field, const char *type, const char *unit)
{
	pmf_pb_put_int(&f->msg, VALUE_TYPE_TYPE, str(f, type));
	pmf_pb_put_int(&f->msg, VALUE_TYPE_UNIT, str(f, unit));
	add(f, field);
}

static void add_function(struct file *f, uint64_t id, const char *name, const char *file)
{
	pmf_pb_put_int(&f->msg, FUNCTION_ID, id);
	pmf_pb_put_int(&f->msg, FUNCTION_NAME, str(f, name));
	pmf_pb_put_int(&f->msg, FUNCTION_FILENAME, str(f, file));
	add(f, PPROF_FUNCTION);
}

static void add_mapping(struct file *f, uint64_t id, uint64_t start, const char *path)
{
	pmf_pb_put_int(&f->msg, MAPPING_ID, id);
	pmf_pb_put_int(&f->msg, MAPPING_START, start);
	pmf_pb_put_int(&f->msg, MAPPING_FILENAME, str(f, path));
	add(f, PPROF_MAPPING);
}

/* @functions: the innermost first, 0 at the end. */
static void add_location(
	struct file *f, uint64_t id, uint64_t mapping, uint64_t address, const uint64_t *functions)
{
	pmf_pb_put_int(&f->msg, LOCATION_ID, id);
	pmf_pb_put_int(&f->msg, LOCATION_MAPPING_ID, mapping);
	pmf_pb_put_int(&f->msg, LOCATION_ADDRESS, address);
	for (; *functions; functions++) {
		pmf_buf_clear(&f->part);
		pmf_pb_put_int(&f->part, LINE_FUNCTION_ID, *functions);
		pmf_pb_put_bytes(&f->msg, LOCATION_LINE, f->part.data, f->part.len);
	}
	add(f, PPROF_LOCATION);
}

/* Values and locations one by one: not packed. */
static void add_sample(struct file *f, const uint64_t *stack, size_t depth, const int64_t *values,
	size_t nr_values)
{
	for (size_t i = 0; i < depth; i++)
		pmf_pb_put_int(&f->msg, SAMPLE_LOCATION_ID, stack[i]);
	for (size_t i = 0; i < nr_values; i++) {
		pmf_pb_put_varint(&f->msg, SAMPLE_VALUE << 3);
		pmf_pb_put_varint(&f->msg, (uint64_t)values[i]);
	}
	add(f, PPROF_SAMPLE);
}

static void end(struct file *f)
{
	for (size_t i = 0; i < f->nr_strings; i++)
		pmf_pb_put_bytes(
			&f->bytes, PPROF_STRING_TABLE, f->strings[i], strlen(f->strings[i]));
	pmf_buf_release(&f->msg);
	pmf_buf_release(&f->part);
}

/* A stack of every kind of frame, in @nr_values columns of 5, 50, 500, …; 3 such samples. */
static void add_stacks(struct file *f, size_t nr_values)
{
	static const uint64_t stack[] = {1, 2, 3, 4};
	int64_t values[4] = {5, 50, 500, 5000};

	add_mapping(f, 9, 0x400000, "/opt/bin/server");
	add_mapping(f, 12, 0, "[kernel.kallsyms]");
	add_function(f, 70, "do_page_fault", "");
	add_function(f, 71, "inner", "a.go");
	add_function(f, 72, "outer", "a.go");
	add_function(f, 73, "handler", "/srv/app.py");
	add_location(f, 1, 12, 0xffff, (const uint64_t[]){70, 0});
	add_location(f, 2, 9, 0x401000, (const uint64_t[]){71, 72, 0});
	add_location(f, 3, 9, 0x402000, (const uint64_t[]){0});
	add_location(f, 4, 0, 0, (const uint64_t[]){73, 0});
	for (int i = 0; i < 3; i++)
		add_sample(f, stack, 4, values, nr_values);
}

static void load_file(struct file *f, struct pmf_profile *p)
{
	end(f);
	load(p, f->bytes.data, f->bytes.len);
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
	struct file f;
	size_t len;
	char *folded;

	(void)state;
	begin(&f);
	add_type(&f, PPROF_SAMPLE_TYPE, "samples", "count");
	add_type(&f, PPROF_SAMPLE_TYPE, "cpu", "nanoseconds");
	add_type(&f, PPROF_PERIOD_TYPE, "cpu", "nanoseconds");
	pmf_pb_put_int(&f.bytes, PPROF_PERIOD, 10);
	add_stacks(&f, 2);
	load_file(&f, &p);
	assert_int_equal(p.nr_events, 1);
	assert_event(&p, 0, "cpu", "ns", 150, 15);
	assert_int_equal(p.events[0].period, 10);
	assert_string_equal(p.events[0].file_name, "cpu");
	folded = draw(&p, &len);
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
	struct file f;

	(void)state;
	/* perf_data_converter: two events with a column of samples each. */
	begin(&f);
	add_type(&f, PPROF_SAMPLE_TYPE, "cycles_sample", "count");
	add_type(&f, PPROF_SAMPLE_TYPE, "cycles_event", "count");
	add_type(&f, PPROF_SAMPLE_TYPE, "../../etc_sample", "count");
	add_type(&f, PPROF_SAMPLE_TYPE, "../../etc_event", "count");
	add_stacks(&f, 4);
	load_file(&f, &p);
	assert_int_equal(p.nr_events, 2);
	assert_event(&p, 0, "cycles", "events", 150, 15);
	assert_event(&p, 1, "../../etc", "events", 15000, 1500);
	assert_string_equal(p.events[1].file_name, ".._.._etc");
	pmf_profile_release(&p);

	/* A heap: nothing says how many samples there were; and other units of time. */
	begin(&f);
	add_type(&f, PPROF_SAMPLE_TYPE, "inuse_space", "bytes");
	add_type(&f, PPROF_SAMPLE_TYPE, "wait", "milliseconds");
	add_stacks(&f, 2);
	load_file(&f, &p);
	assert_event(&p, 0, "inuse_space", "bytes", 15, 3);
	assert_event(&p, 1, "wait", "ns", 150000000, 3);
	assert_true(has_note(&p, "how many samples 'wait'"));
	pmf_profile_release(&p);

	/* Samples alone; a difference; types that seem to belong to each other in a circle. */
	begin(&f);
	add_type(&f, PPROF_SAMPLE_TYPE, "samples", "count");
	add_type(&f, PPROF_SAMPLE_TYPE, "samples.samples", "count");
	add_stacks(&f, 2);
	add_sample(&f, (const uint64_t[]){1}, 1, (const int64_t[]){-7, 0}, 2);
	load_file(&f, &p);
	assert_int_equal(p.nr_events, 1);
	assert_event(&p, 0, "samples", "events", 15, 150);
	assert_true(has_note(&p, "below 0"));
	pmf_profile_release(&p);
}

/* ---- Files that lie ---- */

static void assert_refused(struct file *f, const char *words)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_profile p;
	int ret;

	end(f);
	ret = pmf_profile_load(&p, f->bytes.data, f->bytes.len, &err);
	if (ret == 0)
		fail_msg("this should be refused: '%s'", words);
	assert_int_equal(ret, err.status);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	pmf_buf_release(&f->bytes);
}

static void begin_valid(struct file *f)
{
	begin(f);
	add_type(f, PPROF_SAMPLE_TYPE, "cpu", "count");
	add_stacks(f, 1);
}

static void refused(void **state)
{
	struct file f;

	(void)state;
	begin(&f);
	assert_refused(&f, "no sample types");
	begin_valid(&f);
	add_sample(&f, (const uint64_t[]){55}, 1, (const int64_t[]){1}, 1);
	assert_refused(&f, "location is missing");
	begin_valid(&f);
	add_sample(&f, (const uint64_t[]){1}, 1, (const int64_t[]){1, 2}, 2);
	assert_refused(&f, "one value for each");
	begin_valid(&f);
	add_location(&f, 8, 9, 0, (const uint64_t[]){99, 0});
	assert_refused(&f, "function is missing");
	begin_valid(&f);
	add_location(&f, 8, 77, 0, (const uint64_t[]){70, 0});
	assert_refused(&f, "mapping is missing");
	begin_valid(&f);
	add_function(&f, 70, "twice", "");
	assert_refused(&f, "functions of the number 70 are there twice");
	begin_valid(&f);
	add_function(&f, 0, "none", "");
	assert_refused(&f, "which is none");
	begin_valid(&f);
	add_sample(&f, NULL, 0, (const int64_t[]){INT64_MAX}, 1);
	add_sample(&f, NULL, 0, (const int64_t[]){INT64_MAX}, 1);
	assert_refused(&f, "add up");
	begin_valid(&f);
	pmf_pb_put_int(&f.msg, FUNCTION_ID, 5);
	pmf_pb_put_int(&f.msg, FUNCTION_NAME, 1000);
	add(&f, PPROF_FUNCTION);
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
		struct file f;

		begin_valid(&f);
		pmf_pb_put_int(&f.bytes, PPROF_COMMENT, str(&f, wrong[i]));
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
	struct file f;

	(void)state;
	begin_valid(&f);
	pmf_pb_put_int(&f.bytes, PPROF_COMMENT, str(&f, "pmuflame profile 1"));
	pmf_pb_put_int(&f.bytes, PPROF_COMMENT, str(&f, "pmuflame later words"));
	pmf_pb_put_int(&f.bytes, PPROF_COMMENT,
		str(&f, "pmuflame event 0 samples=99 weight=5 counted=7 throttled=4 later=x"));
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
	bytes = save(&p, &len);
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
	struct file f;

	(void)state;
	if (sparse())
		skip_because("the machine is slow");
	begin_valid(&f);
	for (size_t i = 0; i < PMF_PPROF_MAX_CELLS / 2 + 8; i++)
		pmf_buf_addch(&f.part, 1);
	pmf_pb_put_bytes(&f.msg, SAMPLE_LOCATION_ID, f.part.data, f.part.len);
	pmf_buf_clear(&f.part);
	pmf_pb_put_int(&f.msg, SAMPLE_VALUE, 1);
	add(&f, PPROF_SAMPLE);
	assert_refused(&f, "more stacks");
}

/* Some kilobytes of a location with many inlined functions, called by itself again and again: each call would
 * be as many nodes of the picture. */
static void inlined_again_and_again(void **state)
{
	enum { LINES = 8000, CALLS = PMF_PPROF_MAX_CELLS / 2 / LINES + 1 };
	uint64_t *lines = pmf_calloc(LINES + 1, sizeof *lines);
	uint64_t *stack = pmf_calloc(CALLS, sizeof *stack);
	struct file f;

	(void)state;
	begin_valid(&f);
	for (size_t i = 0; i < LINES; i++)
		lines[i] = 70;
	for (size_t i = 0; i < CALLS; i++)
		stack[i] = 8;
	add_location(&f, 8, 0, 0, lines);
	add_sample(&f, stack, CALLS, (const int64_t[]){1}, 1);
	assert_refused(&f, "more stacks");
	free(lines);
	free(stack);
}

static void long_comments(void **state)
{
	enum { LEN = 4096, N = PMF_PPROF_MAX_COMMENT_BYTES / LEN };
	char *note = pmf_asprintf("pmuflame note - %0*d", LEN, 1);
	struct file f;

	(void)state;
	begin_valid(&f);
	for (int i = 0; i <= N; i++)
		pmf_pb_put_int(&f.bytes, PPROF_COMMENT, str(&f, note));
	assert_refused(&f, "more comments");
	free(note);
}

/* ---- Several as one ---- */

static void merged_with_itself(void **state)
{
	struct pmf_profile p, other;
	uint64_t weight, samples, joined;
	size_t nr_nodes, nr_frames;

	(void)state;
	assert_true(sample_profile(&p, "normal"));
	pmf_profile_name_files(&p);
	weight = sum_column(&p, p.weights, 0);
	samples = sum_column(&p, p.samples, 1);
	joined = sum_column(&p, p.joined, 0);
	assert_true(sample_profile(&other, "normal"));
	pmf_profile_name_files(&other);
	nr_nodes = p.nr_nodes;
	nr_frames = p.nr_frames;
	pmf_profile_merge(&p, &other);
	assert_int_equal(p.nr_events, 2);
	assert_int_equal(p.nr_nodes, nr_nodes);
	assert_int_equal(p.nr_frames, nr_frames);
	assert_int_equal(sum_column(&p, p.weights, 0), 2 * weight);
	assert_int_equal(sum_column(&p, p.samples, 1), 2 * samples);
	assert_int_equal(sum_column(&p, p.joined, 0), 2 * joined);
	assert_int_equal(p.events[0].counted, 2 * other.events[0].counted);
	assert_int_equal(p.events[0].frames, 2 * other.events[0].frames);
	assert_int_equal(p.events[0].freq_hz, 997);
	assert_int_equal(p.duration_ns, 2 * other.duration_ns);
	assert_int_equal(p.nr_notes, other.nr_notes);
	assert_string_equal(p.command, other.command);
	assert_survives(&p);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

/* Files without a build id are many images; the same frames are one all the same. */
static void merged_frames(void **state)
{
	struct pmf_profile p, other;
	size_t nr_frames, nr_nodes;
	struct file f;

	(void)state;
	begin(&f);
	add_type(&f, PPROF_SAMPLE_TYPE, "cpu", "count");
	add_stacks(&f, 1);
	end(&f);
	load(&p, f.bytes.data, f.bytes.len);
	load(&other, f.bytes.data, f.bytes.len);
	pmf_buf_release(&f.bytes);
	nr_frames = p.nr_frames;
	nr_nodes = p.nr_nodes;
	pmf_profile_merge(&p, &other);
	assert_int_equal(p.nr_frames, nr_frames);
	assert_int_equal(p.nr_nodes, nr_nodes);
	assert_int_equal(sum_column(&p, p.weights, 0), 30);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

static void merged_with_another(void **state)
{
	struct pmf_profile p, other;
	uint64_t first, second;

	(void)state;
	assert_true(sample_profile(&p, "normal"));
	pmf_profile_name_files(&p);
	assert_true(sample_profile(&other, "tall"));
	pmf_profile_name_files(&other);
	free(other.title);
	other.title = pmf_strdup("another program");
	free(other.host_note);
	other.host_note = pmf_strdup("arm64, Linux 5.10");
	other.events[0].scale = 2.5;
	other.events[0].freq_hz = 99;
	other.events[0].only_samples = true;
	first = sum_column(&p, p.weights, 0);
	second = sum_column(&other, other.weights, 0);
	pmf_profile_merge(&other, &p);

	assert_int_equal(other.nr_events, p.nr_events);
	assert_string_equal(other.events[0].label, "cpu-clock");
	assert_string_equal(other.events[1].file_name, "page-faults");
	assert_int_equal(sum_column(&other, other.weights, 0), first + second * 5 / 2);
	assert_int_equal(other.events[0].counted, first + second * 5 / 2);
	assert_true(other.events[0].scale == 1);
	assert_int_equal(other.events[0].freq_hz, 0);
	assert_true(
		has_note(&other, "'cpu-clock' differs between the merged profiles in its rate"));
	assert_true(has_note(&other,
		"'cpu-clock' differs between the merged profiles in whether it was counted"));
	assert_true(has_note(&other, "only some of the merged profiles have 'page-faults'"));
	assert_true(has_note(&other, "different systems: arm64, Linux 5.10; x86_64"));
	assert_true(has_note(&other, "paranoid is 1"));
	assert_null(other.title);
	assert_survives(&other);
	pmf_profile_release(&p);
	pmf_profile_release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives),
		cmocka_unit_test(whole_ledger),
		cmocka_unit_test(frames_survive),
		cmocka_unit_test(multiplexed),
		cmocka_unit_test(equal_labels),
		cmocka_unit_test(fractions),
		cmocka_unit_test(scaled_weights),
		cmocka_unit_test(too_large_to_save),
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
		cmocka_unit_test(merged_with_itself),
		cmocka_unit_test(merged_frames),
		cmocka_unit_test(merged_with_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
