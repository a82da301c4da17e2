#include "pmuflame/go_table.h"

#include "pmuflame/mem.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_FRAME = 1 << 24, /* deeper than any frame is */
	MAX_FUNCS = 1 << 22,
	MAX_NAME = 1 << 14,  /* bytes: that of generic functions grow */
	MAX_STEPS = 1 << 16, /* of one function */
	/* Words of the header behind its first eight bytes, from 1.16 on. */
	HEADER_NR_FUNCS = 0,
	HEADER_TEXT = 2, /* from 1.18 on; 0 from 1.26 on */
	/* Of struct moduledata: pcHeader, six slices, findfunctab, minpc, maxpc. */
	MODULE_TEXT = 22,
	/* Of a function's record, behind its entry. */
	FUNC_STEPS = 12,
	FLAG_TOP_FRAME = 1,
	FLAG_SP_WRITE = 2,
};

static bool take(const struct pmf_go_bytes *b, uint64_t off, size_t bytes, uint64_t *out)
{
	*out = 0;
	if (off > b->size || bytes > b->size - off)
		return false;
	memcpy(out, b->data + off, bytes);
	return true;
}

/* Everything of @b from @off on. */
static bool tail(const struct pmf_go_bytes *b, uint64_t off, struct pmf_go_bytes *out)
{
	if (off >= b->size)
		return false;
	*out = (struct pmf_go_bytes){b->data + off, b->size - (size_t)off};
	return true;
}

/* What the loader adds to the image's bias to fill the word at @rva, for it is 0 in files that the
 * system's linker made to be moved. */
static uint64_t relocation(const struct pmf_image *im, uint64_t rva)
{
	for (size_t i = 0; i < im->elf->nr_sections; i++) {
		struct pmf_elf_section *s = &im->elf->sections[i];
		const uint8_t *bytes;
		Elf64_Rela r;

		if (s->type != SHT_RELA || !(s->flags & SHF_ALLOC) || im->elf32 ||
			!(bytes = pmf_elf_section_bytes(im->elf, s)))
			continue;
		for (uint64_t at = 0; s->nr_bytes - at >= sizeof r; at += sizeof r) {
			memcpy(&r, bytes + at, sizeof r);
			if (r.r_offset == rva)
				return (uint64_t)r.r_addend;
		}
	}
	return 0;
}

static uint64_t moved_word(const struct pmf_image *im, const struct pmf_go_bytes *b, uint64_t b_rva,
	uint64_t off, uint8_t bytes)
{
	uint64_t n;

	return take(b, off, bytes, &n) && n ? n : relocation(im, b_rva + off);
}

/* Where the code begins that the table counts from. */
static uint64_t text_start(const struct pmf_image *im, const struct pmf_go_bytes *table,
	uint64_t rva, const struct pmf_go_table *t)
{
	struct pmf_go_bytes module;
	uint64_t module_rva, text, at = 8 + (uint64_t)HEADER_TEXT * t->ptr_bytes;
	const struct pmf_elf_section *code;

	text = moved_word(im, table, rva, at, t->ptr_bytes);
	module.data = text ? NULL : pmf_image_section(im, ".go.module", &module.size, &module_rva);
	if (module.data)
		text = moved_word(im, &module, module_rva, (uint64_t)MODULE_TEXT * t->ptr_bytes,
			t->ptr_bytes);
	/* Without a C compiler in it, a program's code begins there. */
	code = text ? NULL : pmf_elf_find(im->elf, ".text");
	return code ? code->addr : text;
}

static size_t index_bytes(const struct pmf_go_table *t)
{
	return t->version >= 18 ? 4 : t->ptr_bytes;
}

static bool take_header(struct pmf_go_table *t, const struct pmf_go_bytes *table)
{
	static const struct {
		uint32_t magic;
		uint8_t version;
	} versions[] = {{0xfffffffb, 2}, {0xfffffffa, 16}, {0xfffffff0, 18}, {0xfffffff1, 20}};
	uint64_t magic, word, names, names_end, steps, index;
	const uint8_t *h = table->data;

	if (!take(table, 0, 4, &magic) || !take(table, 4, 4, &word) || h[4] || h[5] || !h[6] ||
		(h[7] != 4 && h[7] != 8))
		return false;
	t->version = 0;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(versions); i++)
		if (versions[i].magic == magic)
			t->version = versions[i].version;
	t->quantum = h[6];
	t->ptr_bytes = h[7];
	if (!t->version || !take(table, 8 + HEADER_NR_FUNCS * t->ptr_bytes, t->ptr_bytes, &word))
		return false;
	t->nr_funcs = (size_t)word;
	if (t->version == 2) {
		/* One table for all. */
		t->names = t->steps = t->index = *table;
		return true;
	}
	h = t->version == 16 ? h + 8 + 2 * t->ptr_bytes : h + 8 + 3 * t->ptr_bytes;
	word = (uint64_t)(h - table->data);
	if (!take(table, word, t->ptr_bytes, &names) ||
		!take(table, word + t->ptr_bytes, t->ptr_bytes, &names_end) ||
		!take(table, word + 3u * t->ptr_bytes, t->ptr_bytes, &steps) ||
		!take(table, word + 4u * t->ptr_bytes, t->ptr_bytes, &index) ||
		!tail(table, names, &t->names) || !tail(table, steps, &t->steps) ||
		!tail(table, index, &t->index) || names_end <= names)
		return false;
	t->names.size = PMF_MIN(t->names.size, (size_t)(names_end - names));
	return true;
}

/* Where the pairs of the index stand. */
static uint64_t pairs_off(const struct pmf_go_table *t)
{
	return t->version == 2 ? 8u + t->ptr_bytes : 0;
}

bool pmf_go_table_read(const struct pmf_image *im, struct pmf_go_table *out)
{
	struct pmf_go_bytes table;
	uint64_t rva, room;

	table.data = pmf_image_section(im, ".gopclntab", &table.size, &rva);
	if (!table.data)
		table.data = pmf_image_section(im, ".data.rel.ro.gopclntab", &table.size, &rva);
	if (!table.data || !take_header(out, &table))
		return false;
	/* Behind the pairs stands where the last function ends. */
	room = out->index.size - PMF_MIN(out->index.size, (size_t)pairs_off(out));
	if (out->nr_funcs == 0 || out->nr_funcs > MAX_FUNCS ||
		out->nr_funcs >= room / (2 * index_bytes(out)))
		return false;
	out->text = out->version >= 18 ? text_start(im, &table, rva, out) : 0;
	return true;
}

bool pmf_go_is_program(const char *path)
{
	char *full = realpath(path, NULL);
	struct pmf_process_table t;
	struct pmf_go_table go;
	bool is = false;

	pmf_process_table_init(&t, false);
	if (full)
		is = pmf_go_table_read(pmf_image_get(&t, full, 0, 0, NULL, 0, -1, 0, 0), &go);
	pmf_process_table_release(&t);
	free(full);
	return is;
}

static bool take_start(const struct pmf_go_table *t, size_t i, uint64_t *start)
{
	size_t bytes = index_bytes(t);

	if (!take(&t->index, pairs_off(t) + 2 * bytes * (uint64_t)i, bytes, start))
		return false;
	*start += t->text;
	return true;
}

/* Functions that no flag tells of before Go 1.17, and that leave their stack, or end it. */
static void know_by_name(const struct pmf_go_table *t, struct pmf_go_func *f)
{
	static const char *const outermost[] = {
		"runtime.goexit", "runtime.mstart", "runtime.rt0_go", "runtime.sigtramp"};
	static const char *const switches[] = {"runtime.asmcgocall", "runtime.gogo",
		"runtime.mcall", "runtime.morestack", "runtime.nanotime", "runtime.nanotime1",
		"runtime.systemstack", "runtime.walltime", "runtime.walltime1", "time.now"};
	const char *name = pmf_go_func_name(t, f);

	for (size_t i = 0; i < PMF_ARRAY_SIZE(outermost); i++)
		f->outermost |= strcmp(name, outermost[i]) == 0;
	for (size_t i = 0; i < PMF_ARRAY_SIZE(switches); i++)
		f->switches |= strcmp(name, switches[i]) == 0;
}

bool pmf_go_table_func(const struct pmf_go_table *t, size_t i, struct pmf_go_func *out)
{
	size_t bytes = index_bytes(t);
	uint64_t record, name, steps, flags;

	if (i >= t->nr_funcs || !take_start(t, i, &out->start) ||
		!take_start(t, i + 1, &out->end) || out->end <= out->start ||
		!take(&t->index, pairs_off(t) + bytes * (2 * (uint64_t)i + 1), bytes, &record) ||
		record > t->index.size)
		return false;
	record += bytes; /* the function's entry, once more */
	if (!take(&t->index, record, 4, &name) || !take(&t->index, record + FUNC_STEPS, 4, &steps))
		return false;
	out->name_off = (uint32_t)name;
	out->steps_off = (uint32_t)steps;
	out->outermost = out->switches = false;
	if (t->version < 18) {
		know_by_name(t, out);
		return true;
	}
	if (!take(&t->index, record + (t->version == 18 ? 33 : 37), 1, &flags))
		return false;
	out->outermost = flags & FLAG_TOP_FRAME;
	/* It makes its frame on both stacks, so that callers are found from either. */
	out->switches = flags & FLAG_SP_WRITE &&
			strcmp(pmf_go_func_name(t, out), "runtime.cgocallback") != 0;
	return true;
}

bool pmf_go_table_find(const struct pmf_go_table *t, uint64_t rva, struct pmf_go_func *out)
{
	size_t lo = 0, hi = t->nr_funcs;
	uint64_t start;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (!take_start(t, mid, &start))
			return false;
		if (start <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pmf_go_table_func(t, lo - 1, out) && rva >= out->start && rva < out->end;
}

const char *pmf_go_func_name(const struct pmf_go_table *t, const struct pmf_go_func *f)
{
	const char *name = (const char *)t->names.data + f->name_off;
	size_t room = t->names.size - PMF_MIN(t->names.size, (size_t)f->name_off);

	return memchr(name, 0, PMF_MIN(room, (size_t)MAX_NAME)) ? name : "";
}

static bool take_uleb(const struct pmf_go_bytes *b, uint64_t *off, uint32_t *out)
{
	uint64_t byte;

	*out = 0;
	for (unsigned shift = 0; shift < 32; shift += 7) {
		if (!take(b, (*off)++, 1, &byte))
			return false;
		*out |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Pairs of how much the depth, -1 at first, grows (zigzag) and for how many instructions it stays. */
bool pmf_go_func_depth(
	const struct pmf_go_table *t, const struct pmf_go_func *f, uint64_t rva, uint64_t *bytes)
{
	uint64_t off = f->steps_off, pc = f->start;
	uint32_t depth = UINT32_MAX, zigzag, len;

	if (!f->steps_off)
		return false;
	for (int i = 0; pc <= rva; i++) {
		if (i == MAX_STEPS || !take_uleb(&t->steps, &off, &zigzag) || (!zigzag && i) ||
			!take_uleb(&t->steps, &off, &len))
			return false;
		depth += zigzag & 1 ? ~(zigzag >> 1) : zigzag >> 1;
		pc += (uint64_t)len * t->quantum;
	}
	*bytes = depth;
	return depth <= MAX_FRAME;
}
