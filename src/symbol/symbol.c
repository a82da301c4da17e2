/* The symbolizer: one table per image, filled from every provider that the image has. */
#include "symbol_priv.h"

#include <stdlib.h>
#include <string.h>

struct image_table {
	const struct pmf_image *image;
	struct pmf_symtab tab;
	bool read;
};

struct pmf_symbolizer {
	struct image_table **tables;
	size_t n, cap;
	struct pmf_index by_image;
	const char *debug_root;
	char *symfs_debug_root; /* below a recording's symfs, or NULL */
	struct pmf_kernel_symbols kernel;
};

struct pmf_symbolizer *pmf_symbolizer_new(void)
{
	struct pmf_symbolizer *s = pmf_zalloc(sizeof *s);

	elf_version(EV_CURRENT);
	pmf_index_init(&s->by_image);
	pmf_symtab_init(&s->kernel.tab);
	s->debug_root = "/usr/lib/debug";
	return s;
}

void pmf_symbolizer_free(struct pmf_symbolizer *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		pmf_symtab_release(&s->tables[i]->tab);
		free(s->tables[i]);
	}
	free(s->tables);
	pmf_index_release(&s->by_image);
	pmf_kernel_symbols_release(&s->kernel);
	free(s->symfs_debug_root);
	free(s);
}

void pmf_symbolizer_set_debug_root(struct pmf_symbolizer *s, const char *root)
{
	s->debug_root = root;
}

void pmf_symbolizer_use_recording(struct pmf_symbolizer *s, const struct pmf_symbol_kernel *k,
	const struct pmf_image_search *search)
{
	s->kernel.recorded = k;
	s->kernel.search = search;
	if (search->symfs)
		s->symfs_debug_root = pmf_asprintf("%s/usr/lib/debug", search->symfs);
}

/* Symbols from another file that belongs to the image. False if it had no table. */
static bool add_other(struct pmf_symtab *t, struct pmf_elf_src *src)
{
	bool got;

	if (!t->nr_code)
		pmf_elf_add_code(t, src);
	got = pmf_elf_add_symbols(t, src, SHT_SYMTAB) >= 0;
	pmf_elf_src_release(src);
	return got;
}

static bool open_debug_file(
	const struct pmf_symbolizer *s, struct pmf_elf_src *src, const struct pmf_image *im)
{
	return (s->symfs_debug_root && pmf_debug_file_open(src, im, s->symfs_debug_root)) ||
	       pmf_debug_file_open(src, im, s->debug_root);
}

static void read_image(
	const struct pmf_symbolizer *s, struct pmf_symtab *t, const struct pmf_image *im)
{
	struct pmf_elf_src src = {
		.elf = im->elf, .fd = im->fd, .mem = im->vdso, .bytes = im->file_bytes};
	struct pmf_elf_src other;
	int dynstr;
	bool full;

	if (!pmf_elf_src_check(&src))
		return;
	pmf_elf_add_code(t, &src);
	full = pmf_elf_add_symbols(t, &src, SHT_SYMTAB) >= 0;
	if (!full && im->kind == PMF_IMAGE_FILE && open_debug_file(s, &other, im))
		full = add_other(t, &other);
	dynstr = pmf_elf_add_symbols(t, &src, SHT_DYNSYM);
	if (!full && pmf_debug_data_open(&other, im))
		add_other(t, &other);
	/* Nothing says what is code: then nothing is. */
	if (!t->nr_code)
		t->n = 0;
	pmf_symtab_seal(t);
	if (pmf_plt_add(t, &src, dynstr))
		pmf_symtab_seal(t);
}

static bool table_eq(const void *ctx, uint32_t value, const void *key)
{
	const struct pmf_symbolizer *s = ctx;

	return s->tables[value]->image == key;
}

static struct image_table *find_table(struct pmf_symbolizer *s, const struct pmf_image *im)
{
	uint32_t i = pmf_index_find(&s->by_image, pmf_hash_u64((uintptr_t)im), table_eq, s, im);

	return i == UINT32_MAX ? NULL : s->tables[i];
}

static struct pmf_symtab *table_of(struct pmf_symbolizer *s, const struct pmf_image *im)
{
	struct image_table *it = find_table(s, im);

	if (!it) {
		it = pmf_zalloc(sizeof *it);
		it->image = im;
		pmf_symtab_init(&it->tab);
		pmf_index_add(&s->by_image, pmf_hash_u64((uintptr_t)im), (uint32_t)s->n);
		PMF_PUSH(s->tables, s->n, s->cap) = it;
	}
	if (!it->read)
		read_image(s, &it->tab, im);
	it->read = true;
	return &it->tab;
}

void pmf_symbolizer_forget(struct pmf_symbolizer *s, const struct pmf_image *im)
{
	struct image_table *it = find_table(s, im);

	if (!it)
		return;
	pmf_symtab_release(&it->tab);
	pmf_symtab_init(&it->tab);
	it->read = false;
}

bool pmf_symbol_find(
	struct pmf_symbolizer *s, const struct pmf_image *im, uint64_t rva, struct pmf_symbol *out)
{
	struct pmf_symtab *t;
	const struct pmf_sym *sym;

	if (im->kind == PMF_IMAGE_KERNEL) {
		t = &s->kernel.tab;
		sym = pmf_kernel_symbols_find(&s->kernel, rva);
	} else if (im->elf) {
		t = table_of(s, im);
		sym = pmf_symtab_find(t, rva);
	} else {
		return false;
	}
	if (!sym)
		return false;
	out->name = pmf_symtab_name(t, sym);
	out->module = sym->module ? pmf_strtab_get(&t->modules, sym->module) : NULL;
	out->start = sym->start;
	out->size = sym->size;
	return true;
}

int pmf_symbol_kernel_status(struct pmf_symbolizer *s, struct pmf_err *err)
{
	pmf_kernel_symbols_read(&s->kernel);
	if (s->kernel.why.status != PMF_OK && err)
		*err = s->kernel.why;
	return s->kernel.why.status;
}
