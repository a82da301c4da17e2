/* A profile into a pprof file. Messages go to the compressor one by one; the string table, which
 * the others fill, comes last, as the format permits. */
#include "pprof_priv.h"
#include "protobuf_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct mapping {
	uint32_t path, build_id; /* ids of the file's strings */
};

struct function {
	uint32_t name, system_name, file;
	uint32_t start_line;
};

struct saver {
	FILE *f;
	z_stream z;
	const struct pmf_profile *p;
	struct pmf_strtab strings;
	struct pmf_buf msg, part, text; /* a message, what is inside it, a string in the making */
	struct mapping *mappings;
	size_t nr_mappings, cap_mappings;
	struct pmf_index mapping_index;
	struct function *functions;
	size_t nr_functions, cap_functions;
	struct pmf_index function_index;
	uint8_t *label_of;     /* node → place in pmf_pprof_labels + 1, 0: it is a location */
	uint64_t *location_of; /* frame → its id; 0: none */
};

/* ---- The gzip stream ---- */

static void compress_bytes(struct saver *s, const void *data, size_t len, int flush)
{
	unsigned char out[16384];

	/* A message is far smaller than what avail_in can hold. */
	s->z.next_in = (unsigned char *)(uintptr_t)data;
	s->z.avail_in = (unsigned)len;
	do {
		s->z.next_out = out;
		s->z.avail_out = sizeof out;
		deflate(&s->z, flush);
		fwrite(out, 1, sizeof out - s->z.avail_out, s->f);
	} while (s->z.avail_out == 0);
}

/* Write field @field of the profile, whose message is in s->msg. */
static void emit(struct saver *s, uint32_t field)
{
	struct pmf_buf head = PMF_BUF_INIT;

	pmf_pb_put_varint(&head, (uint64_t)field << 3 | PMF_PB_BYTES);
	pmf_pb_put_varint(&head, s->msg.len);
	compress_bytes(s, head.data, head.len, Z_NO_FLUSH);
	compress_bytes(s, s->msg.data, s->msg.len, Z_NO_FLUSH);
	pmf_buf_release(&head);
	pmf_buf_clear(&s->msg);
}

static uint32_t string(struct saver *s, const char *text)
{
	return pmf_strtab_addz(&s->strings, text);
}

static uint32_t copy_string(struct saver *s, uint32_t id)
{
	return string(s, pmf_strtab_get(&s->p->strings, id));
}

/* ---- Frames: mappings, functions, locations ---- */

static bool mapping_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct mapping *a = &((const struct saver *)ctx)->mappings[value], *b = key;

	return a->path == b->path && a->build_id == b->build_id;
}

static void emit_mapping(struct saver *s, const struct mapping *m, size_t id)
{
	pmf_pb_put_int(&s->msg, MAPPING_ID, id);
	/* Addresses are those in the file: from 0, without an end that anybody told. */
	pmf_pb_put_int(&s->msg, MAPPING_LIMIT, INT64_MAX);
	pmf_pb_put_int(&s->msg, MAPPING_FILENAME, m->path);
	pmf_pb_put_int(&s->msg, MAPPING_BUILD_ID, m->build_id);
	/* So that nobody looks for names that we looked for. */
	pmf_pb_put_int(&s->msg, MAPPING_HAS_FUNCTIONS, true);
	pmf_pb_put_int(&s->msg, MAPPING_HAS_FILENAMES, true);
	pmf_pb_put_int(&s->msg, MAPPING_HAS_LINE_NUMBERS, true);
	pmf_pb_put_int(&s->msg, MAPPING_HAS_INLINE_FRAMES, true);
	emit(s, PPROF_MAPPING);
}

/* The id of the frame's mapping, which is written if new; 0 if it has none. */
static size_t mapping_of(struct saver *s, const struct pmf_frame *f)
{
	struct mapping m = {.path = copy_string(s, f->path)};
	uint64_t hash;
	uint32_t place;

	if (f->image < s->p->nr_build_ids)
		m.build_id = copy_string(s, s->p->build_ids[f->image]);
	if (!m.path && !m.build_id)
		return 0;
	hash = pmf_hash_u64((uint64_t)m.path << 32 | m.build_id);
	place = pmf_index_find(&s->mapping_index, hash, mapping_eq, s, &m);
	if (place == UINT32_MAX) {
		place = (uint32_t)s->nr_mappings;
		PMF_PUSH(s->mappings, s->nr_mappings, s->cap_mappings) = m;
		pmf_index_add(&s->mapping_index, hash, place);
		emit_mapping(s, &m, (size_t)place + 1);
	}
	return (size_t)place + 1;
}

static bool function_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct function *a = &((const struct saver *)ctx)->functions[value], *b = key;

	return a->name == b->name && a->system_name == b->system_name && a->file == b->file &&
	       a->start_line == b->start_line;
}

/* The id of the frame's function, which is written if new. Its system name is what pprof has no
 * place for: the kind and the module. */
static size_t function_of(struct saver *s, const struct pmf_frame *f)
{
	struct function fn = {
		.name = copy_string(s, f->name),
		.file = copy_string(s, f->file),
		.start_line = f->start_line,
	};
	uint64_t hash;
	uint32_t place;

	pmf_buf_clear(&s->text);
	pmf_buf_printf(&s->text, "%s%s %s", pmf_frame_kind_name(f->kind), f->unresolved ? "?" : "",
		pmf_strtab_get(&s->p->strings, f->module));
	fn.system_name = string(s, pmf_buf_str(&s->text));
	hash = pmf_hash_u64(pmf_hash_u64((uint64_t)fn.name << 32 | fn.system_name) ^
			    ((uint64_t)fn.file << 32 | fn.start_line));
	place = pmf_index_find(&s->function_index, hash, function_eq, s, &fn);
	if (place == UINT32_MAX) {
		place = (uint32_t)s->nr_functions;
		PMF_PUSH(s->functions, s->nr_functions, s->cap_functions) = fn;
		pmf_index_add(&s->function_index, hash, place);
		pmf_pb_put_int(&s->msg, FUNCTION_ID, (uint64_t)place + 1);
		pmf_pb_put_int(&s->msg, FUNCTION_NAME, fn.name);
		pmf_pb_put_int(&s->msg, FUNCTION_SYSTEM_NAME, fn.system_name);
		pmf_pb_put_int(&s->msg, FUNCTION_FILENAME, fn.file);
		pmf_pb_put_int(&s->msg, FUNCTION_START_LINE, fn.start_line);
		emit(s, PPROF_FUNCTION);
	}
	return (size_t)place + 1;
}

/* A line for each function of the frame, the innermost first. */
static void emit_location(struct saver *s, const struct pmf_frame *f, size_t id)
{
	size_t mapping = mapping_of(s, f), *functions;

	functions = pmf_calloc((size_t)f->nr_inline + 1, sizeof *functions);
	functions[0] = function_of(s, f);
	for (uint32_t i = 0; i < f->nr_inline; i++)
		functions[i + 1] = function_of(s, &s->p->frames[f->first_inline + i]);
	pmf_pb_put_int(&s->msg, LOCATION_ID, id);
	pmf_pb_put_int(&s->msg, LOCATION_MAPPING_ID, mapping);
	/* Without an image it is no address but what tells frames apart. */
	if (mapping && f->image != UINT32_MAX)
		pmf_pb_put_int(&s->msg, LOCATION_ADDRESS, f->rva);
	for (uint32_t i = f->nr_inline + 1; i-- > 0;) {
		const struct pmf_frame *at = i ? &s->p->frames[f->first_inline + i - 1] : f;

		pmf_buf_clear(&s->part);
		pmf_pb_put_int(&s->part, LINE_FUNCTION_ID, functions[i]);
		pmf_pb_put_int(&s->part, LINE_LINE, at->line);
		pmf_pb_put_bytes(&s->msg, LOCATION_LINE, s->part.data, s->part.len);
	}
	emit(s, PPROF_LOCATION);
	free(functions);
}

/* ---- Stacks ---- */

/* Which labels' kind the frame has, if it is nothing but a name: its place + 1. */
static uint8_t label_of_frame(const struct pmf_frame *f)
{
	for (size_t i = 0; i < pmf_pprof_nr_labels; i++)
		if (f->kind == pmf_pprof_labels[i].kind)
			return (f->module && f->kind != PMF_FRAME_PROCESS) || f->path || f->file ||
					       f->nr_inline || !f->name
				       ? 0
				       : (uint8_t)(i + 1);
	return 0;
}

static void choose_labels(struct saver *s)
{
	const struct pmf_profile *p = s->p;

	s->label_of = pmf_calloc(p->nr_nodes, sizeof *s->label_of);
	for (size_t i = 1; i < p->nr_nodes; i++) {
		uint32_t parent = p->nodes[i].parent;
		uint8_t label = label_of_frame(&p->frames[p->nodes[i].frame]);

		if ((parent == 0 || s->label_of[parent]) && label > s->label_of[parent])
			s->label_of[i] = label;
	}
}

/* Does the module of @f begin like the name of the process @of, without its container? */
static bool starts_with_comm(
	const struct pmf_profile *p, const struct pmf_frame *f, const struct pmf_frame *of)
{
	const char *name = pmf_strtab_get(&p->strings, of->name);
	size_t len = strlen(name);

	if (of->module)
		len -= PMF_MIN(
			len, strlen(pmf_strtab_get(&p->strings, of->module)) + strlen(" ()"));
	return len && strncmp(pmf_strtab_get(&p->strings, f->module), name, len) == 0;
}

/* pprof's first mapping is the main program: the file of the first native frame that is called as
 * its process is, whose name the kernel cuts at 15 bytes. */
static void emit_main_mapping(struct saver *s)
{
	const struct pmf_profile *p = s->p;
	uint32_t *process = pmf_calloc(p->nr_nodes, sizeof *process); /* the frame, by node */

	for (size_t i = 1; i < p->nr_nodes; i++) {
		const struct pmf_frame *f = &p->frames[p->nodes[i].frame], *of;

		process[i] = f->kind == PMF_FRAME_PROCESS ? p->nodes[i].frame
							  : process[p->nodes[i].parent];
		of = &p->frames[process[i]];
		if (f->kind == PMF_FRAME_NATIVE && process[i] && starts_with_comm(p, f, of)) {
			mapping_of(s, f);
			break;
		}
	}
	free(process);
}

static void emit_frames(struct saver *s)
{
	const struct pmf_profile *p = s->p;
	bool *used = pmf_calloc(p->nr_frames, sizeof *used);
	size_t n = 0;

	s->location_of = pmf_calloc(p->nr_frames, sizeof *s->location_of);
	for (size_t i = 1; i < p->nr_nodes; i++)
		if (!s->label_of[i])
			used[p->nodes[i].frame] = true;
	/* In the profile's order: where frames are one function, the first one's path counts. */
	for (size_t i = 0; i < p->nr_frames; i++) {
		if (!used[i])
			continue;
		s->location_of[i] = ++n;
		emit_location(s, &p->frames[i], n);
	}
	free(used);
}

static void put_label(struct saver *s, const char *key, uint32_t str, uint64_t num)
{
	pmf_buf_clear(&s->part);
	pmf_pb_put_int(&s->part, LABEL_KEY, string(s, key));
	pmf_pb_put_int(&s->part, LABEL_STR, str);
	pmf_pb_put_int(&s->part, LABEL_NUM, num);
	pmf_pb_put_bytes(&s->msg, SAMPLE_LABEL, s->part.data, s->part.len);
}

/* The stack of @node, innermost first, into the sample that s->msg becomes. */
static void put_stack(struct saver *s, size_t node)
{
	const struct pmf_profile *p = s->p;
	size_t at = node;

	pmf_buf_clear(&s->part);
	for (; at && !s->label_of[at]; at = p->nodes[at].parent)
		pmf_pb_put_varint(&s->part, s->location_of[p->nodes[at].frame]);
	if (s->part.len)
		pmf_pb_put_bytes(&s->msg, SAMPLE_LOCATION_ID, s->part.data, s->part.len);
	for (; at; at = p->nodes[at].parent) {
		const struct pmf_frame *f = &p->frames[p->nodes[at].frame];

		put_label(s, pmf_pprof_labels[s->label_of[at] - 1].key, copy_string(s, f->name), 0);
		if (f->module)
			put_label(s, PMF_PPROF_CONTAINER, copy_string(s, f->module), 0);
	}
}

/* Weights as drawn: each is how far it brings the sum of them, rounded, so that their sum is that
 * of the raw weights, scaled. @sums: of the raw weights so far. */
static void emit_samples(struct saver *s, uint64_t *sums)
{
	const struct pmf_profile *p = s->p;
	struct pmf_buf values = PMF_BUF_INIT;

	for (size_t i = 0; i < p->nr_nodes; i++) {
		bool any = false;

		pmf_buf_clear(&values);
		for (size_t e = 0; e < p->nr_events; e++) {
			double scale = p->events[e].scale;
			uint64_t before = pmf_profile_scaled(sums[e], scale);

			any |= p->weights[e][i] || p->samples[e][i];
			sums[e] += p->weights[e][i];
			pmf_pb_put_varint(&values, pmf_profile_scaled(sums[e], scale) - before);
			pmf_pb_put_varint(&values, p->samples[e][i]);
		}
		if (!any)
			continue;
		put_stack(s, i);
		pmf_pb_put_bytes(&s->msg, SAMPLE_VALUE, values.data, values.len);
		emit(s, PPROF_SAMPLE);
	}
	pmf_buf_release(&values);
}

/* Where stacks were joined: samples without values of their own, with the number as a label. */
static void emit_joined(struct saver *s)
{
	const struct pmf_profile *p = s->p;
	char *zeros = pmf_zalloc(2 * p->nr_events);

	for (size_t e = 0; e < p->nr_events; e++) {
		char *key = pmf_asprintf("%s" PMF_PPROF_JOINED, p->events[e].file_name);

		for (size_t i = 0; p->joined[e] && i < p->nr_nodes; i++) {
			if (!p->joined[e][i])
				continue;
			put_stack(s, i);
			pmf_pb_put_bytes(&s->msg, SAMPLE_VALUE, zeros, 2 * p->nr_events);
			put_label(s, key, 0, p->joined[e][i]);
			emit(s, PPROF_SAMPLE);
		}
		free(key);
	}
	free(zeros);
}

/* ---- The rest ---- */

static void put_value_type(struct saver *s, struct pmf_buf *out, const char *type, const char *unit)
{
	pmf_pb_put_int(out, VALUE_TYPE_TYPE, string(s, type));
	pmf_pb_put_int(out, VALUE_TYPE_UNIT, string(s, unit));
}

/* pprof's words for units. */
static const char *unit_of(const struct pmf_profile_event *ev)
{
	const char *unit = pmf_profile_unit(ev);

	return strcmp(unit, "ns") == 0       ? "nanoseconds"
	       : strcmp(unit, "events") == 0 ? "count"
					     : unit;
}

static void emit_sample_types(struct saver *s)
{
	for (size_t e = 0; e < s->p->nr_events; e++) {
		const struct pmf_profile_event *ev = &s->p->events[e];

		put_value_type(s, &s->msg, pmf_profile_label(ev), unit_of(ev));
		emit(s, PPROF_SAMPLE_TYPE);
		pmf_buf_clear(&s->text);
		pmf_buf_printf(&s->text, "%s" PMF_PPROF_SAMPLES, pmf_profile_label(ev));
		put_value_type(s, &s->msg, pmf_buf_str(&s->text), "count");
		emit(s, PPROF_SAMPLE_TYPE);
	}
}

/* How many of the first event stand between two samples, where that was fixed: clocks tick evenly,
 * while the kernel adapts the period of any other event to its frequency. */
static uint64_t period_of(const struct pmf_profile_event *ev)
{
	if (ev->freq_hz && strcmp(unit_of(ev), "nanoseconds") == 0)
		return 1000000000 / ev->freq_hz;
	return ev->period;
}

static void emit_run(struct saver *s)
{
	const struct pmf_profile *p = s->p;
	struct pmf_buf fields = PMF_BUF_INIT;

	if (p->nr_events) {
		const struct pmf_profile_event *ev = &p->events[0];

		put_value_type(s, &s->msg, pmf_profile_label(ev), unit_of(ev));
		emit(s, PPROF_PERIOD_TYPE);
		pmf_pb_put_int(&fields, PPROF_PERIOD, period_of(ev));
		/* Else readers show the last one first. */
		pmf_pb_put_int(
			&fields, PPROF_DEFAULT_SAMPLE_TYPE, string(s, pmf_profile_label(ev)));
	}
	pmf_pb_put_int(&fields, PPROF_TIME_NANOS, p->start_unix_ns);
	pmf_pb_put_int(&fields, PPROF_DURATION_NANOS, p->duration_ns);
	pmf_pprof_write_ledger(p, &s->strings, &s->msg);
	emit(s, PPROF_COMMENT);
	compress_bytes(s, fields.data, fields.len, Z_NO_FLUSH);
	pmf_buf_release(&fields);
}

static void emit_strings(struct saver *s)
{
	for (uint32_t id = 0; id < s->strings.n; id++) {
		pmf_buf_addstr(&s->msg, pmf_strtab_get(&s->strings, id));
		emit(s, PPROF_STRING_TABLE);
	}
}

/* pprof's numbers are signed. */
static int check_range(const struct pmf_profile *p, struct pmf_err *err)
{
	for (size_t e = 0; e < p->nr_events; e++) {
		double sum = 0;

		for (size_t i = 0; i < p->nr_nodes; i++)
			sum += (double)p->weights[e][i];
		if (!PMF_PROFILE_SCALE_OK(p->events[e].scale) ||
			sum * PMF_MAX(p->events[e].scale, 1) >= 0x1p62)
			return pmf_err_set(err, PMF_ELIMIT,
				"the profile cannot be saved: '%s' counts further than the format "
				"(pprof) can",
				pmf_profile_label(&p->events[e]));
	}
	return 0;
}

int pmf_profile_save(const struct pmf_profile *p, FILE *f, struct pmf_err *err)
{
	/* Stacks repeat each other at length: level 6 takes twice as long and saves a 20th. */
	enum { LEVEL = 4, GZIP = 15 + 16, MEMORY = 8 };
	struct saver s = {.f = f, .p = p};
	uint64_t *sums;
	int ret = check_range(p, err);

	if (ret)
		return ret;
	if (deflateInit2(&s.z, LEVEL, Z_DEFLATED, GZIP, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return pmf_err_set(err, PMF_ELIMIT, "no memory to compress the profile");
	pmf_strtab_init(&s.strings);
	pmf_index_init(&s.mapping_index);
	pmf_index_init(&s.function_index);
	sums = pmf_calloc(p->nr_events, sizeof *sums);
	emit_sample_types(&s);
	choose_labels(&s);
	emit_main_mapping(&s);
	emit_frames(&s);
	emit_samples(&s, sums);
	emit_joined(&s);
	emit_run(&s);
	emit_strings(&s);
	compress_bytes(&s, NULL, 0, Z_FINISH);
	deflateEnd(&s.z);
	free(sums);
	free(s.label_of);
	free(s.location_of);
	free(s.mappings);
	free(s.functions);
	pmf_buf_release(&s.msg);
	pmf_buf_release(&s.part);
	pmf_buf_release(&s.text);
	pmf_index_release(&s.mapping_index);
	pmf_index_release(&s.function_index);
	pmf_strtab_release(&s.strings);
	return 0;
}
