/* What a recording says of itself: the file's header, its attributes and features, and the records
 * that stand for these in a stream. */
#include "perf_data_priv.h"
#include "record_cursor.h"

#include "pmuflame/mem.h"
#include <stdlib.h>

enum {
	ARGS_MAX = 65536,
	BUILD_ID_MAX = 20,
	BUILD_ID_SIZED = 1 << 15, /* misc: the id's size stands behind it */
	UPDATE_UNIT = 0,
	UPDATE_NAME = 2,
	PIPE_HEADER_BYTES = 16,
	HEADER_BYTES = 104,
};

static struct pmf_pd_section take_section(struct cursor *c)
{
	struct pmf_pd_section s;

	s.off = take_u64(c, "section");
	s.size = take_u64(c, "section");
	return s;
}

bool pmf_perf_data_is(const void *head, size_t len)
{
	return len >= PMF_PERF_DATA_MAGIC_BYTES &&
	       (memcmp(head, "PERFILE2", 8) == 0 || memcmp(head, "PERFFILE", 8) == 0 ||
		       memcmp(head, "2ELIFREP", 8) == 0);
}

/* A copy of a string of @len bytes that should end with a NUL. */
static char *copy_text(const uint8_t *p, size_t len)
{
	return pmf_strndup((const char *)p, strnlen((const char *)p, len));
}

/* struct perf_header_string. NULL if it does not fit. */
static char *take_text(struct cursor *c)
{
	uint32_t len = take_u32(c, "length");
	const uint8_t *p = take(c, len, "string");

	return p ? copy_text(p, len) : NULL;
}

static void set_text(char **to, struct cursor *c)
{
	free(*to);
	*to = take_text(c);
}

static void read_cmdline(struct pmf_perf_data_info *info, struct cursor *c)
{
	uint32_t nr = take_u32(c, "arguments");

	if (info->argv || nr > ARGS_MAX || nr > c->left / sizeof(uint32_t))
		return;
	info->argv = pmf_calloc((size_t)nr + 1, sizeof *info->argv);
	for (uint32_t i = 0; i < nr; i++) {
		char *arg = take_text(c);

		if (!arg)
			break;
		info->argv[info->argc++] = arg;
	}
}

static void read_event_desc(struct pmf_perf_data *pd, struct cursor *c)
{
	uint32_t nr = take_u32(c, "events"), attr_bytes = take_u32(c, "attribute's size");

	if (pd->nr_desc)
		return;
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t nr_ids;
		char *name;

		take(c, attr_bytes, "attribute");
		nr_ids = take_u32(c, "ids");
		name = take_text(c);
		if (!name)
			return;
		PMF_PUSH(pd->desc_names, pd->nr_desc, pd->cap_desc) = name;
		take_array(c, nr_ids, sizeof(uint64_t), "ids");
	}
}

/* struct perf_record_header_build_id from behind its header. */
static void read_build_id(struct pmf_perf_data *pd, uint16_t misc, struct cursor *c)
{
	struct pmf_perf_data_build_id b = {
		.misc = misc & PERF_RECORD_MISC_CPUMODE_MASK, .len = BUILD_ID_MAX};
	const uint8_t *id, *path;
	size_t path_bytes;

	b.pid = take_u32(c, "pid");
	id = take(c, 24, "build id");
	path_bytes = c->left;
	path = take(c, path_bytes, "path");
	if (misc & BUILD_ID_SIZED && id)
		b.len = id[BUILD_ID_MAX];
	if (!id || !path || b.len == 0 || b.len > BUILD_ID_MAX) {
		pd->damage.malformed++;
		return;
	}
	memcpy(b.bytes, id, b.len);
	b.path = copy_text(path, path_bytes);
	PMF_PUSH(pd->info.build_ids, pd->info.nr_build_ids, pd->cap_build_ids) = b;
}

static void read_build_ids(struct pmf_perf_data *pd, struct cursor *c)
{
	while (c->left >= sizeof(struct perf_event_header)) {
		struct perf_event_header h;
		struct cursor body = {c->p + sizeof h, 0, NULL};

		memcpy(&h, c->p, sizeof h);
		if (h.size < sizeof h || !take(c, h.size, "build id")) {
			pd->damage.malformed++;
			return;
		}
		body.left = h.size - sizeof h;
		read_build_id(pd, h.misc, &body);
	}
}

static void read_clock(struct pmf_perf_data_info *info, struct cursor *c)
{
	uint32_t version = take_u32(c, "version"), clockid = take_u32(c, "clock");
	uint64_t wall = take_u64(c, "time"), clock = take_u64(c, "time");

	if (c->missing || version != 1)
		return;
	info->has_clock = true;
	info->clockid = clockid;
	info->wall_ns = wall;
	info->clock_ns = clock;
}

static void read_feature(struct pmf_perf_data *pd, uint64_t bit, struct cursor c)
{
	struct pmf_perf_data_info *info = &pd->info;

	switch (bit) {
	case PMF_PD_FEAT_BUILD_ID:
		read_build_ids(pd, &c);
		break;
	case PMF_PD_FEAT_HOSTNAME:
		set_text(&info->hostname, &c);
		break;
	case PMF_PD_FEAT_OSRELEASE:
		set_text(&info->release, &c);
		break;
	case PMF_PD_FEAT_VERSION:
		set_text(&info->perf_version, &c);
		break;
	case PMF_PD_FEAT_ARCH:
		set_text(&info->arch_name, &c);
		info->arch = info->arch_name ? pmf_arch_by_name(info->arch_name) : NULL;
		break;
	case PMF_PD_FEAT_NRCPUS:
		take_u32(&c, "processors that could be");
		info->cpus_online = take_u32(&c, "processors");
		break;
	case PMF_PD_FEAT_CPUDESC:
		set_text(&info->cpu, &c);
		break;
	case PMF_PD_FEAT_CMDLINE:
		read_cmdline(info, &c);
		break;
	case PMF_PD_FEAT_EVENT_DESC:
		read_event_desc(pd, &c);
		break;
	case PMF_PD_FEAT_STAT:
		info->stat = true;
		break;
	case PMF_PD_FEAT_CLOCK_DATA:
		read_clock(info, &c);
		break;
	default: /* nothing here needs it */
		break;
	}
}

/* PERF_RECORD_EVENT_UPDATE: type, id, and for these two types a string. */
static void read_update(struct pmf_perf_data *pd, struct cursor *c)
{
	uint64_t kind = take_u64(c, "kind"), id = take_u64(c, "id");
	uint32_t event = c->missing ? PMF_NO_EVENT : pmf_pd_event_by_id(pd, id);
	struct pmf_perf_data_event *e;
	char **to;

	if (event == PMF_NO_EVENT || pd->finished || (kind != UPDATE_UNIT && kind != UPDATE_NAME))
		return;
	e = &pd->info.events[event];
	to = kind == UPDATE_UNIT ? &e->unit : &e->name;
	free(*to);
	*to = copy_text(c->p, c->left);
}

static void read_event_type(struct pmf_perf_data *pd, struct cursor *c)
{
	uint64_t config = take_u64(c, "event");
	const uint8_t *name = take(c, 64, "name");

	if (name)
		PMF_PUSH(pd->types, pd->nr_types, pd->cap_types) =
			(struct pmf_pd_type){config, copy_text(name, 64)};
}

static void read_attr_record(struct pmf_perf_data *pd, struct cursor *c)
{
	struct perf_event_attr attr;
	size_t used;

	/* A file has them in its header; who makes a profile wants to know all before the first
	 * sample. */
	if (!pd->info.pipe || pd->finished)
		return;
	if (!pmf_pd_attr(c->p, c->left, &attr, &used)) {
		pd->damage.malformed++;
		return;
	}
	pmf_pd_add_event(pd, &attr, c->p + used, (c->left - used) / sizeof(uint64_t));
}

void pmf_pd_header_record(
	struct pmf_perf_data *pd, uint32_t type, uint16_t misc, const uint8_t *data, size_t len)
{
	struct cursor c = {data + sizeof(struct perf_event_header),
		len - sizeof(struct perf_event_header), NULL};

	switch (type) {
	case PMF_PD_HEADER_ATTR:
		read_attr_record(pd, &c);
		break;
	case PMF_PD_HEADER_EVENT_TYPE:
		read_event_type(pd, &c);
		break;
	case PMF_PD_BUILD_ID:
		read_build_id(pd, misc, &c);
		break;
	case PMF_PD_AUXTRACE_INFO:
	case PMF_PD_AUXTRACE:
		pd->info.aux = true;
		break;
	case PMF_PD_STAT:
		pd->info.stat = true;
		break;
	case PMF_PD_EVENT_UPDATE:
		read_update(pd, &c);
		break;
	case PMF_PD_FEATURE: {
		uint64_t bit = take_u64(&c, "feature");

		if (!c.missing)
			read_feature(pd, bit, c);
		break;
	}
	default: /* nothing here needs it */
		break;
	}
}

/* The part of the mapped file that @s names, cut at its end. */
static struct cursor inside(const struct pmf_perf_data *pd, const struct pmf_pd_section *s)
{
	const struct pmf_pd_chunk *file = pd->input.chunk;
	size_t off = s->off < file->len ? (size_t)s->off : file->len;
	size_t left = file->len - off, size = s->size < left ? (size_t)s->size : left;

	return (struct cursor){file->data + off, size, NULL};
}

static void read_attrs(
	struct pmf_perf_data *pd, const struct pmf_pd_section *attrs, uint64_t attr_bytes)
{
	size_t size = (size_t)attr_bytes - sizeof(struct pmf_pd_section);
	struct cursor c = inside(pd, attrs);

	while (c.left >= attr_bytes) {
		const uint8_t *p = take(&c, attr_bytes, "attribute");
		struct cursor tail = {p + size, sizeof(struct pmf_pd_section), NULL}, ids;
		struct pmf_pd_section where = take_section(&tail);
		struct perf_event_attr attr;
		size_t used;

		if (!pmf_pd_attr(p, size, &attr, &used)) {
			pd->damage.malformed++;
			continue;
		}
		ids = inside(pd, &where);
		pmf_pd_add_event(pd, &attr, ids.p, ids.left / sizeof(uint64_t));
	}
}

static void read_event_types(struct pmf_perf_data *pd, const struct pmf_pd_section *types)
{
	enum { TYPE_BYTES = 72 };
	struct cursor c = inside(pd, types);

	while (c.left >= TYPE_BYTES)
		read_event_type(pd, &c);
}

/* Behind the records: a section for each bit that is set, in their order. */
static void read_features(
	struct pmf_perf_data *pd, const struct pmf_pd_section *data, const uint64_t *flags)
{
	struct pmf_pd_section table = {0};
	struct cursor c;

	if (__builtin_add_overflow(data->off, data->size, &table.off))
		return;
	for (size_t i = 0; i < PMF_PD_FEAT_BITS; i++)
		table.size += flags[i / 64] >> i % 64 & 1 ? 2 * sizeof(uint64_t) : 0;
	c = inside(pd, &table);
	for (size_t i = 0; i < PMF_PD_FEAT_BITS && c.left; i++) {
		struct pmf_pd_section s;

		if (!(flags[i / 64] >> i % 64 & 1))
			continue;
		s = take_section(&c);
		if (!c.missing)
			read_feature(pd, i, inside(pd, &s));
	}
}

static int refuse_file(struct pmf_perf_data *pd, struct pmf_err *err, const char *why)
{
	return pmf_err_set(
		err, PMF_EFORMAT, "'%s' is no perf.data file that can be read: %s", pd->name, why);
}

/* The header of a file behind its magic and size. That of the oldest files has no flags. */
static int read_file(
	struct pmf_perf_data *pd, uint64_t header_bytes, struct cursor *c, struct pmf_err *err)
{
	uint64_t attr_bytes = take_u64(c, "attribute's size"), flags[PMF_PD_FEAT_BITS / 64] = {0};
	struct pmf_pd_section attrs = take_section(c), data = take_section(c);
	struct pmf_pd_section types = take_section(c);
	struct cursor records;

	if (c->missing)
		return refuse_file(pd, err, "it ends inside its header");
	for (size_t i = 0; i < PMF_ARRAY_SIZE(flags) && header_bytes >= HEADER_BYTES; i++)
		flags[i] = take_u64(c, "flags");
	if (attr_bytes < PERF_ATTR_SIZE_VER0 + 2 * sizeof(uint64_t) || attr_bytes > UINT16_MAX)
		return refuse_file(pd, err, "its events have an impossible size");
	if (flags[0] >> PMF_PD_FEAT_DIR_FORMAT & 1)
		return pmf_err_set(err, PMF_EUNSUP,
			"'%s' is one of the files that 'perf record --threads' makes, and the others "
			"are missing in it: record without --threads",
			pd->name);
	read_attrs(pd, &attrs, attr_bytes);
	read_event_types(pd, &types);
	pd->damage.unfinished = data.size == 0;
	if (data.size == 0)
		data.size = pd->input.chunk->len - PMF_MIN(pd->input.chunk->len, data.off);
	else
		read_features(pd, &data, flags);
	records = inside(pd, &data);
	pd->damage.missing = data.size - records.left;
	pd->input.at = (size_t)(records.p - pd->input.chunk->data);
	pd->input.chunk->len = pd->input.at + records.left;
	return 0;
}

/* The magic of v2 says the byte order; that of v1 does not, but no header has 4 GiB. */
static bool is_big_endian(const uint8_t *data, uint64_t header_bytes)
{
	return data[0] == '2' || header_bytes >> 32;
}

int pmf_pd_read_header(struct pmf_perf_data *pd, struct pmf_err *err)
{
	const struct pmf_pd_stream *in = &pd->input;
	struct cursor c;
	uint64_t header_bytes;
	int ret;

	while (in->chunk->len < PIPE_HEADER_BYTES && pmf_pd_input_more(pd))
		;
	if (pd->damage.stopped.status)
		return pmf_err_set(err, PMF_EIO, "%s", pd->damage.stopped.text);
	if (in->chunk->len == 0)
		return refuse_file(pd, err, "it is empty");
	if (!pmf_perf_data_is(in->chunk->data, in->chunk->len))
		return refuse_file(pd, err, "it does not begin with PERFILE2");
	c = (struct cursor){in->chunk->data + 8, in->chunk->len - 8, NULL};
	header_bytes = take_u64(&c, "header's size");
	if (is_big_endian(in->chunk->data, header_bytes))
		return pmf_err_set(err, PMF_EUNSUP,
			"'%s' was recorded on a big-endian machine, whose files this program does "
			"not read: use perf there",
			pd->name);
	pd->info.pipe = header_bytes == PIPE_HEADER_BYTES;
	if (pd->info.pipe) {
		pd->input.at = PIPE_HEADER_BYTES;
		return 0;
	}
	if (!in->chunk->mapped) {
		ret = pmf_pd_input_spool(pd, err);
		if (ret)
			return ret;
	}
	c = (struct cursor){in->chunk->data + PIPE_HEADER_BYTES,
		in->chunk->len - PMF_MIN(in->chunk->len, (size_t)PIPE_HEADER_BYTES), NULL};
	return read_file(pd, header_bytes, &c, err);
}

void pmf_pd_header_release(struct pmf_perf_data *pd)
{
	struct pmf_perf_data_info *info = &pd->info;

	free(info->hostname);
	free(info->release);
	free(info->perf_version);
	free(info->cpu);
	free(info->arch_name);
	pmf_free_strings(info->argv, info->argc);
	for (size_t i = 0; i < info->nr_build_ids; i++)
		free((char *)info->build_ids[i].path);
	free(info->build_ids);
}
