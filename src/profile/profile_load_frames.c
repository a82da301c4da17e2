/* Locations of a pprof file as frames. */
#include "profile_load_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool has_suffix(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return len > n && strcmp(s + len - n, suffix) == 0;
}

/* What @system_name, "KIND MODULE" or for what has no name "KIND? MODULE", says; false if it is not
 * ours. */
static bool read_system_name(struct pmf_profile *p, struct pmf_frame *f, const char *system_name)
{
	size_t len = strcspn(system_name, " ?");

	for (int kind = 0; kind < PMF_FRAME_KINDS; kind++) {
		const char *name = pmf_frame_kind_name((enum pmf_frame_kind)kind);

		if (strlen(name) != len || memcmp(name, system_name, len) != 0)
			continue;
		f->kind = (enum pmf_frame_kind)kind;
		f->unresolved = system_name[len] == '?';
		len += f->unresolved;
		if (system_name[len] != ' ')
			return false;
		f->module = pmf_strtab_addz(&p->strings, system_name + len + 1);
		return true;
	}
	return false;
}

/* Other programs do not say what a frame is, but their files' names do. */
static void guess_kind(struct pmf_profile *p, struct pmf_frame *f, bool inlined)
{
	const char *path = pmf_strtab_get(&p->strings, f->path);
	const char *file = pmf_strtab_get(&p->strings, f->file);

	if (inlined)
		f->kind = PMF_FRAME_INLINED;
	else if (strncmp(path, "[kernel", 7) == 0 || has_suffix(path, ".ko"))
		f->kind = PMF_FRAME_KERNEL;
	else if (has_suffix(file, ".py"))
		f->kind = PMF_FRAME_PYTHON;
	else if (has_suffix(file, ".js") || has_suffix(file, ".mjs") || has_suffix(file, ".ts"))
		f->kind = PMF_FRAME_JIT;
	else
		f->kind = PMF_FRAME_NATIVE;
	f->module = pmf_strtab_addz(&p->strings, base_name(*path ? path : file));
}

static int push_frame(struct pmf_pprof_loader *l, const struct pmf_frame *like,
	const struct pmf_pprof_line *line, bool inlined, struct pmf_err *err)
{
	struct pmf_profile *p = l->p;
	struct pmf_frame f = *like;
	uint32_t place = pmf_pprof_place(&l->function_ids, line->function_id), system_name;

	if (place == UINT32_MAX)
		return pmf_pprof_malformed(err, "a location's function is missing");
	if (p->nr_frames >= PMF_PPROF_MAX_ITEMS)
		return pmf_pprof_too_many(err, "frames");
	f.name = l->functions[place].name;
	f.file = l->functions[place].file;
	f.start_line = l->functions[place].start_line;
	f.line = line->line > UINT32_MAX ? 0 : (uint32_t)line->line;
	system_name = l->functions[place].system_name;
	if (!l->ours || !read_system_name(p, &f, pmf_strtab_get(&p->strings, system_name))) {
		guess_kind(p, &f, inlined);
		f.name = f.name ? f.name : system_name;
	}
	PMF_PUSH(p->frames, p->nr_frames, p->cap_frames) = f;
	return 0;
}

/* A location without functions has the name that a live run gives to such an address. */
static int push_unnamed(
	struct pmf_pprof_loader *l, const struct pmf_frame *like, struct pmf_err *err)
{
	struct pmf_profile *p = l->p;
	struct pmf_frame f = *like;
	char *name;

	if (p->nr_frames >= PMF_PPROF_MAX_ITEMS)
		return pmf_pprof_too_many(err, "frames");
	guess_kind(p, &f, false);
	name = pmf_asprintf("[%s+0x%" PRIx64 "]", pmf_strtab_get(&p->strings, f.module), f.rva);
	f.name = pmf_strtab_addz(&p->strings, name);
	f.unresolved = true;
	free(name);
	PMF_PUSH(p->frames, p->nr_frames, p->cap_frames) = f;
	return 0;
}

static int read_line(struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct pmf_pprof_line line = {0};
	struct pmf_pb_reader r;
	struct pmf_pb_field g;

	pmf_pb_read(&r, f->data, f->len);
	while (pmf_pb_next(&r, &g)) {
		if (g.number == LINE_FUNCTION_ID)
			line.function_id = g.value;
		else if (g.number == LINE_LINE)
			line.line = g.value;
	}
	PMF_PUSH(l->lines, l->nr_lines, l->cap_lines) = line;
	return r.bad ? pmf_pprof_malformed(err, "a line is none") : 0;
}

/* The last line is the function, those before it what was inlined, the innermost first. */
static int push_lines(struct pmf_pprof_loader *l, const struct pmf_frame *like, struct pmf_err *err)
{
	struct pmf_profile *p = l->p;
	size_t outer = p->nr_frames, n = l->nr_lines;
	int ret = push_frame(l, like, &l->lines[n - 1], false, err);

	for (size_t i = n - 1; i-- > 0 && ret == 0;)
		ret = push_frame(l, like, &l->lines[i], true, err);
	if (ret == 0 && n > 1) {
		p->frames[outer].first_inline = (uint32_t)outer + 1;
		p->frames[outer].nr_inline = (uint32_t)(n - 1);
	}
	return ret;
}

int pmf_pprof_add_location(
	struct pmf_pprof_loader *l, const struct pmf_pb_field *f, struct pmf_err *err)
{
	struct pmf_frame like = {.image = UINT32_MAX};
	uint64_t id = 0, mapping_id = 0;
	struct pmf_pb_reader r;
	struct pmf_pb_field g;
	int ret = 0;

	l->nr_lines = 0;
	pmf_pb_read(&r, f->data, f->len);
	while (ret == 0 && pmf_pb_next(&r, &g)) {
		if (g.number == LOCATION_ID)
			id = g.value;
		else if (g.number == LOCATION_MAPPING_ID)
			mapping_id = g.value;
		else if (g.number == LOCATION_ADDRESS)
			like.rva = g.value;
		else if (g.number == LOCATION_LINE)
			ret = read_line(l, &g, err);
	}
	if (ret == 0 && r.bad)
		ret = pmf_pprof_malformed(err, "a location is none");
	if (ret == 0 && mapping_id) {
		like.image = pmf_pprof_place(&l->mapping_ids, mapping_id);
		if (like.image == UINT32_MAX)
			return pmf_pprof_malformed(err, "a location's mapping is missing");
		like.path = l->mappings[like.image].path;
		like.rva -= l->mappings[like.image].start - l->mappings[like.image].offset;
	}
	PMF_PUSH(l->frames, l->nr_frames, l->cap_frames) = (uint32_t)l->p->nr_frames;
	if (ret == 0)
		ret = l->nr_lines ? push_lines(l, &like, err) : push_unnamed(l, &like, err);
	return ret ? ret : pmf_pprof_add_id(&l->location_ids, id, "locations", err);
}
