/* A pprof file into a profile, whoever wrote it. Everything in it may be wrong: numbers are checked
 * where they are read, what the file can make us allocate is limited, nothing recurses. */
#include "profile_load_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* ---- The bytes ---- */

static bool is_gzip(const uint8_t *data, size_t len)
{
	return len >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

/* Members of a gzip file that stand one behind the other are one text (RFC 1952, 2.2). */
static int inflate_members(z_stream *z, struct pmf_buf *out, struct pmf_err *err)
{
	unsigned char chunk[16384];
	int status;

	for (;;) {
		z->next_out = chunk;
		z->avail_out = sizeof chunk;
		status = inflate(z, Z_NO_FLUSH);
		pmf_buf_add(out, chunk, sizeof chunk - z->avail_out);
		if (status == Z_BUF_ERROR)
			return pmf_err_set(err, PMF_EFORMAT,
				"its end is missing: was it written and copied in full?");
		if (status != Z_OK && status != Z_STREAM_END)
			return pmf_err_set(err, PMF_EFORMAT, "it is damaged: %s",
				z->msg ? z->msg : "it cannot be uncompressed");
		if (out->len > PMF_PPROF_MAX_BYTES)
			return pmf_err_set(err, PMF_ELIMIT,
				"it holds more than %d MiB, which no profile needs",
				PMF_PPROF_MAX_BYTES >> 20);
		if (status == Z_STREAM_END && !is_gzip(z->next_in, z->avail_in))
			return 0;
		if (status == Z_STREAM_END)
			inflateReset(z);
	}
}

static int uncompress_all(const void *data, size_t len, struct pmf_buf *out, struct pmf_err *err)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)data, .avail_in = (unsigned)len};
	int ret;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return pmf_err_set(err, PMF_ELIMIT, "no memory to uncompress it");
	ret = inflate_members(&z, out, err);
	inflateEnd(&z);
	return ret;
}

/* ---- Tables ---- */

int pmf_pprof_malformed(struct pmf_err *err, const char *what)
{
	return pmf_err_set(err, PMF_EFORMAT, "it is no valid pprof file: %s", what);
}

int pmf_pprof_too_many(struct pmf_err *err, const char *what)
{
	return pmf_err_set(err, PMF_ELIMIT, "it has more %s than a profile needs", what);
}

uint32_t pmf_pprof_string(struct pmf_pprof_loader *l, uint64_t id)
{
	if (id < l->nr_strings)
		return l->strings[id];
	/* A table that was left out has the empty string. */
	l->bad_string |= id > 0;
	return 0;
}

static bool id_eq(const void *ctx, uint32_t value, const void *key)
{
	return ((const struct pmf_pprof_ids *)ctx)->items[value] == *(const uint64_t *)key;
}

uint32_t pmf_pprof_place(const struct pmf_pprof_ids *ids, uint64_t id)
{
	return pmf_index_find(&ids->index, pmf_hash_u64(id), id_eq, ids, &id);
}

int pmf_pprof_add_id(struct pmf_pprof_ids *ids, uint64_t id, const char *what, struct pmf_err *err)
{
	if (id == 0 || pmf_pprof_place(ids, id) != UINT32_MAX)
		return pmf_err_set(err, PMF_EFORMAT,
			"it is no valid pprof file: %s of the number %" PRIu64 "%s", what, id,
			id ? " are there twice" : ", which is none");
	if (ids->n >= PMF_PPROF_MAX_ITEMS)
		return pmf_pprof_too_many(err, what);
	pmf_index_add(&ids->index, pmf_hash_u64(id), (uint32_t)ids->n);
	PMF_PUSH(ids->items, ids->n, ids->cap) = id;
	return 0;
}

static int add_string(struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	if (l->nr_strings >= PMF_PPROF_MAX_ITEMS)
		return pmf_pprof_too_many(err, "strings");
	PMF_PUSH(l->strings, l->nr_strings, l->cap_strings) =
		pmf_strtab_add(&l->p->strings, (const char *)f->data, f->len);
	return 0;
}

static int add_comments(
	struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct pmf_pb_reader r;
	uint64_t id;

	pmf_pb_read_ints(&r, f);
	while (pmf_pb_next_int(&r, f, &id)) {
		if (l->nr_comments >= PMF_PPROF_MAX_COMMENTS)
			return pmf_pprof_too_many(err, "comments");
		PMF_PUSH(l->comments, l->nr_comments, l->cap_comments) = id;
	}
	return r.bad ? pmf_pprof_malformed(err, "a comment is none") : 0;
}

static int read_type(struct pmf_pprof_loader *l, struct pmf_pprof_type *t,
	const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct pmf_pb_reader r;
	struct pmf_pb_field g;

	pmf_pb_read(&r, f->data, f->len);
	while (pmf_pb_next(&r, &g)) {
		if (g.number == VALUE_TYPE_TYPE)
			t->name = pmf_pprof_string(l, g.value);
		else if (g.number == VALUE_TYPE_UNIT)
			t->unit = pmf_pprof_string(l, g.value);
	}
	return r.bad ? pmf_pprof_malformed(err, "a sample type is none") : 0;
}

static int add_type(struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	if (l->nr_types >= PMF_PPROF_MAX_TYPES)
		return pmf_pprof_too_many(err, "sample types");
	PMF_PUSH(l->types, l->nr_types, l->cap_types) = (struct pmf_pprof_type){0};
	return read_type(l, &l->types[l->nr_types - 1], f, err);
}

static int add_mapping(
	struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct pmf_pprof_mapping m = {0};
	uint32_t build_id = 0;
	uint64_t id = 0;
	struct pmf_pb_reader r;
	struct pmf_pb_field g;

	pmf_pb_read(&r, f->data, f->len);
	while (pmf_pb_next(&r, &g)) {
		if (g.number == MAPPING_ID)
			id = g.value;
		else if (g.number == MAPPING_START)
			m.start = g.value;
		else if (g.number == MAPPING_OFFSET)
			m.offset = g.value;
		else if (g.number == MAPPING_FILENAME)
			m.path = pmf_pprof_string(l, g.value);
		else if (g.number == MAPPING_BUILD_ID)
			build_id = pmf_pprof_string(l, g.value);
	}
	if (r.bad)
		return pmf_pprof_malformed(err, "a mapping is none");
	PMF_PUSH(l->mappings, l->nr_mappings, l->cap_mappings) = m;
	PMF_PUSH(l->p->build_ids, l->p->nr_build_ids, l->p->cap_build_ids) = build_id;
	return pmf_pprof_add_id(&l->mapping_ids, id, "mappings", err);
}

static int add_function(
	struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct pmf_pprof_function fn = {0};
	uint64_t id = 0;
	struct pmf_pb_reader r;
	struct pmf_pb_field g;

	pmf_pb_read(&r, f->data, f->len);
	while (pmf_pb_next(&r, &g)) {
		if (g.number == FUNCTION_ID)
			id = g.value;
		else if (g.number == FUNCTION_NAME)
			fn.name = pmf_pprof_string(l, g.value);
		else if (g.number == FUNCTION_SYSTEM_NAME)
			fn.system_name = pmf_pprof_string(l, g.value);
		else if (g.number == FUNCTION_FILENAME)
			fn.file = pmf_pprof_string(l, g.value);
		else if (g.number == FUNCTION_START_LINE)
			fn.start_line = g.value > UINT32_MAX ? 0 : (uint32_t)g.value;
	}
	if (r.bad)
		return pmf_pprof_malformed(err, "a function is none");
	PMF_PUSH(l->functions, l->nr_functions, l->cap_functions) = fn;
	return pmf_pprof_add_id(&l->function_ids, id, "functions", err);
}

/* ---- Samples ---- */

static int read_ints(const struct pmf_pb_field *f, uint64_t **items, size_t *n, size_t *cap)
{
	struct pmf_pb_reader r;
	uint64_t value;

	pmf_pb_read_ints(&r, f);
	while (pmf_pb_next_int(&r, f, &value))
		PMF_PUSH(*items, *n, *cap) = value;
	return r.bad ? PMF_EFORMAT : 0;
}

/* What the labels of a sample say to us. */
struct labels {
	/* By place in pmf_pprof_labels: string ids of their names; 0: none. */
	uint32_t frames[PMF_PPROF_MAX_LABELS];
	uint32_t container; /* of the process, or 0 */
	size_t event;       /* whose stacks were joined here, SIZE_MAX: nobody's */
	uint64_t joined;
};

static int read_label(struct pmf_pprof_loader *l, struct labels *labels,
	const struct pmf_pb_field *f, struct pmf_err *err)
{
	uint32_t key = 0, str = 0;
	uint64_t num = 0;
	struct pmf_pb_reader r;
	struct pmf_pb_field g;

	pmf_pb_read(&r, f->data, f->len);
	while (pmf_pb_next(&r, &g)) {
		if (g.number == LABEL_KEY)
			key = pmf_pprof_string(l, g.value);
		else if (g.number == LABEL_STR)
			str = pmf_pprof_string(l, g.value);
		else if (g.number == LABEL_NUM)
			num = g.value;
	}
	for (size_t i = 0; i < pmf_pprof_nr_labels && str; i++)
		if (strcmp(pmf_strtab_get(&l->p->strings, key), pmf_pprof_labels[i].key) == 0)
			labels->frames[i] = str;
	if (str && strcmp(pmf_strtab_get(&l->p->strings, key), PMF_PPROF_CONTAINER) == 0)
		labels->container = str;
	for (size_t e = 0; e < l->p->nr_events && num && l->ours; e++) {
		if (key == l->columns[e].joined_key) {
			labels->event = e;
			labels->joined = num;
		}
	}
	return r.bad ? pmf_pprof_malformed(err, "a label is none") : 0;
}

/* Go to @node's child for @frame. Inlined callees will be nodes of the picture, so each new node
 * counts as many times as its frame has functions. */
static int step(struct pmf_pprof_loader *l, uint32_t *node, uint32_t frame, struct pmf_err *err)
{
	struct pmf_profile *p = l->p;
	size_t before = p->nr_nodes;

	*node = pmf_profile_node(p, *node, frame);
	if (p->nr_nodes > before)
		l->nr_cells += ((size_t)p->frames[frame].nr_inline + 1) * (p->nr_events + 1);
	return l->nr_cells > PMF_PPROF_MAX_CELLS ? pmf_pprof_too_many(err, "stacks") : 0;
}

/* The node of the stack that the labels and l->stack make. */
static int add_stack(struct pmf_pprof_loader *l, const struct labels *labels, uint32_t *node,
	struct pmf_err *err)
{
	struct pmf_profile *p = l->p;
	int ret = 0;

	*node = 0;
	for (size_t i = 0; i < pmf_pprof_nr_labels && ret == 0; i++) {
		uint32_t frame;

		if (!labels->frames[i])
			continue;
		frame = pmf_profile_frame_named(p, pmf_pprof_labels[i].kind,
			pmf_strtab_get(&p->strings, labels->frames[i]));
		if (pmf_pprof_labels[i].kind == PMF_FRAME_PROCESS)
			p->frames[frame].module = labels->container;
		ret = step(l, node, frame, err);
	}
	for (size_t i = l->nr_stack; i-- > 0 && ret == 0;) {
		uint32_t place = pmf_pprof_place(&l->location_ids, l->stack[i]);

		if (place == UINT32_MAX)
			return pmf_pprof_malformed(err, "a sample's location is missing");
		ret = step(l, node, l->frames[place], err);
	}
	return ret;
}

/* A value of the file as a number of ours; false if the sum of them gets more than @most. */
static bool take_value(struct pmf_pprof_loader *l, uint64_t value, uint64_t factor, uint64_t most,
	uint64_t *sum, uint64_t *out)
{
	if (value > INT64_MAX) {
		value = 0;
		l->negative++;
	}
	if (value > (most - *sum) / factor)
		return false;
	*out = value * factor;
	*sum += *out;
	return true;
}

static int add_values(struct pmf_pprof_loader *l, uint32_t node, struct pmf_err *err)
{
	for (size_t e = 0; e < l->p->nr_events; e++) {
		struct pmf_pprof_column *c = &l->columns[e];
		double scale = l->p->events[e].scale;
		/* Neither the values nor what they were before may become more. */
		uint64_t most = (uint64_t)(0x1p62 * PMF_MIN(scale, 1)), value, weight, samples, sum;

		if (!take_value(l, l->values[c->weights], c->factor, most, &c->value_sum, &value))
			return pmf_pprof_malformed(err, "its values add up to more than 2^62");
		samples = c->samples == SIZE_MAX ? value > 0 : l->values[c->samples];
		if (!take_value(l, samples, 1, UINT64_C(1) << 62, &c->samples_sum, &samples))
			return pmf_pprof_malformed(err, "its samples add up to more than 2^62");
		/* Values bring the sum of them to that of the weights (profile_save.c). */
		sum = pmf_profile_unscaled(c->value_sum, scale);
		weight = sum - c->weight_sum;
		c->weight_sum = sum;
		if (samples)
			c->weight_sq += (double)weight * (double)weight / (double)samples;
		l->p->weights[e][node] += weight;
		l->p->samples[e][node] += samples;
	}
	return 0;
}

static int add_sample(struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct labels labels = {.event = SIZE_MAX};
	struct pmf_pb_reader r;
	struct pmf_pb_field g;
	uint32_t node;
	int ret = 0;

	l->nr_stack = l->nr_values = 0;
	pmf_pb_read(&r, f->data, f->len);
	while (ret == 0 && pmf_pb_next(&r, &g)) {
		if (g.number == SAMPLE_LOCATION_ID)
			ret = read_ints(&g, &l->stack, &l->nr_stack, &l->cap_stack);
		else if (g.number == SAMPLE_VALUE)
			ret = read_ints(&g, &l->values, &l->nr_values, &l->cap_values);
		else if (g.number == SAMPLE_LABEL)
			ret = read_label(l, &labels, &g, err);
	}
	if (ret || r.bad)
		return pmf_pprof_malformed(err, "a sample is none");
	if (l->nr_values != l->nr_types)
		return pmf_pprof_malformed(err, "a sample has not one value for each sample type");
	ret = add_stack(l, &labels, &node, err);
	if (ret == 0 && labels.event != SIZE_MAX)
		pmf_profile_add_joined(l->p, labels.event, node, labels.joined);
	return ret ? ret : add_values(l, node, err);
}

/* ---- The whole ---- */

typedef int field_fn(struct pmf_pprof_loader *, const struct pmf_pb_field *, struct pmf_err *);

static int add_run(struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	if (f->number == PPROF_TIME_NANOS)
		l->p->start_unix_ns = f->value > INT64_MAX ? 0 : f->value;
	else if (f->number == PPROF_DURATION_NANOS)
		l->p->duration_ns = f->value > INT64_MAX ? 0 : f->value;
	else if (f->number == PPROF_PERIOD)
		l->period = f->value > INT64_MAX ? 0 : f->value;
	else if (f->number == PPROF_PERIOD_TYPE)
		return read_type(l, &l->period_type, f, err);
	return 0;
}

/* Fields come in any order, so each pass takes what the next one's need. */
static const struct {
	unsigned pass;
	uint32_t field;
	enum pmf_pb_type type;
	field_fn *add;
} fields[] = {
	{0, PPROF_STRING_TABLE, PMF_PB_BYTES, add_string},
	{1, PPROF_SAMPLE_TYPE, PMF_PB_BYTES, add_type},
	{1, PPROF_MAPPING, PMF_PB_BYTES, add_mapping},
	{1, PPROF_FUNCTION, PMF_PB_BYTES, add_function},
	{1, PPROF_COMMENT, PMF_PB_BYTES, add_comments},
	{1, PPROF_COMMENT, PMF_PB_VARINT, add_comments},
	{1, PPROF_TIME_NANOS, PMF_PB_VARINT, add_run},
	{1, PPROF_DURATION_NANOS, PMF_PB_VARINT, add_run},
	{1, PPROF_PERIOD, PMF_PB_VARINT, add_run},
	{1, PPROF_PERIOD_TYPE, PMF_PB_BYTES, add_run},
	{2, PPROF_LOCATION, PMF_PB_BYTES, pmf_pprof_add_location},
	{3, PPROF_SAMPLE, PMF_PB_BYTES, add_sample},
};

static int walk(struct pmf_pprof_loader *l, unsigned pass, const void *data, size_t len,
	struct pmf_err *err)
{
	struct pmf_pb_reader r;
	struct pmf_pb_field f;
	int ret = 0;

	pmf_pb_read(&r, data, len);
	while (ret == 0 && pmf_pb_next(&r, &f))
		for (size_t i = 0; i < PMF_ARRAY_SIZE(fields) && ret == 0; i++)
			if (fields[i].pass == pass && fields[i].field == f.number &&
				fields[i].type == f.type)
				ret = fields[i].add(l, &f, err);
	if (ret == 0 && r.bad)
		return pmf_pprof_malformed(err, "it ends early, or is something else");
	if (ret == 0 && l->bad_string)
		return pmf_pprof_malformed(err, "a string is missing");
	return ret;
}

static int read_comments(struct pmf_pprof_loader *l, struct pmf_err *err)
{
	size_t bytes = 0;
	int ret = 0;

	for (size_t i = 0; i < l->nr_comments && ret == 0; i++) {
		const char *text =
			pmf_strtab_get(&l->p->strings, pmf_pprof_string(l, l->comments[i]));

		if (pmf_pprof_is_ours(text)) {
			bytes += strlen(text);
			if (bytes > PMF_PPROF_MAX_COMMENT_BYTES)
				return pmf_pprof_too_many(err, "comments");
			l->ours = true;
			ret = pmf_pprof_read_comment(l->p, text, err);
		}
	}
	return ret;
}

static int load(struct pmf_pprof_loader *l, const void *data, size_t len, struct pmf_err *err)
{
	int ret = walk(l, 0, data, len, err);

	if (ret == 0)
		ret = walk(l, 1, data, len, err);
	if (ret == 0 && l->nr_types == 0)
		ret = pmf_pprof_malformed(err, "it names no sample types");
	if (ret)
		return ret;
	pmf_pprof_make_events(l);
	ret = read_comments(l, err);
	for (size_t e = 0; e < l->p->nr_events && ret == 0; e++)
		if (!PMF_PROFILE_SCALE_OK(l->p->events[e].scale))
			ret = pmf_pprof_malformed(err, "an event's scale is none");
	if (ret == 0)
		ret = walk(l, 2, data, len, err);
	if (ret == 0)
		ret = walk(l, 3, data, len, err);
	if (ret == 0)
		pmf_pprof_end_events(l);
	return ret;
}

static void ids_release(struct pmf_pprof_ids *ids)
{
	free(ids->items);
	pmf_index_release(&ids->index);
}

static void loader_release(struct pmf_pprof_loader *l)
{
	ids_release(&l->mapping_ids);
	ids_release(&l->function_ids);
	ids_release(&l->location_ids);
	free(l->strings);
	free(l->types);
	free(l->mappings);
	free(l->functions);
	free(l->frames);
	free(l->columns);
	free(l->comments);
	free(l->lines);
	free(l->stack);
	free(l->values);
}

int pmf_profile_load(struct pmf_profile *p, const void *data, size_t len, struct pmf_err *err)
{
	struct pmf_pprof_loader l = {.p = p};
	struct pmf_buf bytes = PMF_BUF_INIT;
	int ret = 0;

	pmf_index_init(&l.mapping_ids.index);
	pmf_index_init(&l.function_ids.index);
	pmf_index_init(&l.location_ids.index);
	pmf_profile_init(p, 0);
	if (len > PMF_PPROF_MAX_BYTES) {
		ret = pmf_err_set(err, PMF_ELIMIT, "it is longer than %d MiB, which no profile is",
			PMF_PPROF_MAX_BYTES >> 20);
	} else if (is_gzip(data, len)) {
		ret = uncompress_all(data, len, &bytes, err);
		data = pmf_buf_str(&bytes);
		len = bytes.len;
	}
	if (ret == 0)
		ret = load(&l, data, len, err);
	loader_release(&l);
	pmf_buf_release(&bytes);
	if (ret)
		pmf_profile_release(p);
	return ret;
}
