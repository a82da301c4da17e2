/* The symbolizer: one table per image, filled from every provider that the image has. */
#include "symbol_priv.h"

#include "reader_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct image_table {
	const struct pmf_image *image;
	struct pmf_symtab tab;
	int fd; /* of one more file that may have its .symtab, or -1 */
	bool read;
	bool full; /* it has a .symtab, not only what is exported */
};

struct pmf_symbolizer {
	struct image_table **tables;
	size_t n, cap;
	struct pmf_index by_image;
	struct pmf_debug_dirs dirs;
	char *symfs_root; /* dirs.symfs_root, or NULL */
	struct pmf_kernel_symbols kernel;
	struct pmf_symbol_remote *remote; /* who reads images; NULL: we */
};

struct pmf_symbolizer *pmf_symbolizer_new(void)
{
	struct pmf_symbolizer *s = pmf_zalloc(sizeof *s);

	elf_version(EV_CURRENT);
	pmf_index_init(&s->by_image);
	pmf_symtab_init(&s->kernel.tab);
	s->dirs.root = "/usr/lib/debug";
	return s;
}

void pmf_symbolizer_free(struct pmf_symbolizer *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		pmf_symtab_release(&s->tables[i]->tab);
		if (s->tables[i]->fd >= 0)
			close(s->tables[i]->fd);
		free(s->tables[i]);
	}
	free(s->tables);
	pmf_index_release(&s->by_image);
	pmf_symbol_remote_free(s->remote);
	pmf_kernel_symbols_release(&s->kernel);
	free(s->symfs_root);
	free(s);
}

void pmf_symbolizer_set_dirs(struct pmf_symbolizer *s, const struct pmf_debug_dirs *dirs)
{
	s->dirs = *dirs;
}

void pmf_symbolizer_use_sandbox(struct pmf_symbolizer *s, struct pmf_sandbox *sandbox)
{
	s->remote = pmf_symbol_remote_new(sandbox, &s->dirs);
}

void pmf_symbolizer_set_debug_root(struct pmf_symbolizer *s, const char *root)
{
	s->dirs.root = root;
}

void pmf_symbolizer_use_recording(struct pmf_symbolizer *s, const struct pmf_symbol_kernel *k,
	const struct pmf_image_search *search)
{
	s->kernel.recorded = k;
	s->kernel.search = search;
	s->dirs.cache = search->cache;
	if (search->symfs)
		s->dirs.symfs_root = s->symfs_root =
			pmf_asprintf("%s/usr/lib/debug", search->symfs);
}

void pmf_symbolizer_read_ahead(struct pmf_symbolizer *s)
{
	pmf_kernel_symbols_read_ahead(&s->kernel);
}

void pmf_symbolizer_end_ahead(struct pmf_symbolizer *s)
{
	if (s->kernel.ahead)
		pmf_kernel_symbols_read(&s->kernel);
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

/* The file that was added for @it. */
static bool open_added(struct pmf_elf_src *src, const struct image_table *it)
{
	struct stat st;
	int fd = it->fd >= 0 && fstat(it->fd, &st) == 0 ? fcntl(it->fd, F_DUPFD_CLOEXEC, 0) : -1;

	return fd >= 0 && pmf_elf_src_take(src, fd, (uint64_t)st.st_size);
}

static void read_tables(
	const struct pmf_symbolizer *s, struct image_table *it, const struct pmf_elf_src *src)
{
	const struct pmf_image *im = it->image;
	struct pmf_symtab *t = &it->tab;
	struct pmf_debug_want want = {.own = src,
		.file = im->file,
		.mapped = im->path,
		.root = im->root,
		.build_id = im->build_id,
		.build_id_len = im->build_id_len,
		.need = PMF_DEBUG_SYMBOLS,
		.dirs = &s->dirs};
	struct pmf_elf_src other;
	int dynstr;

	pmf_elf_add_code(t, src);
	it->full = pmf_elf_add_symbols(t, src, SHT_SYMTAB) >= 0;
	if (!it->full && im->kind == PMF_IMAGE_FILE &&
		(pmf_debug_file_open(&other, &want, NULL) || open_added(&other, it)))
		it->full = add_other(t, &other);
	if (!it->full)
		it->full = pmf_go_add_symbols(t, im);
	dynstr = pmf_elf_add_symbols(t, src, SHT_DYNSYM);
	if (!it->full && pmf_debug_data_open(&other, src))
		add_other(t, &other);
	/* Nothing says what is code: then nothing is. */
	if (!t->nr_code)
		t->n = 0;
	pmf_symtab_seal(t);
	if (pmf_plt_add(t, src, dynstr))
		pmf_symtab_seal(t);
}

static void read_image(const struct pmf_symbolizer *s, struct image_table *it)
{
	const struct pmf_image *im = it->image;
	struct pmf_elf_src src = {.fd = im->fd, .mem = im->vdso, .bytes = im->file_bytes};

	src.elf = im->vdso ? elf_memory((char *)im->vdso, im->file_bytes)
			   : elf_begin(im->fd, ELF_C_READ, NULL);
	if (pmf_elf_src_check(&src))
		read_tables(s, it, &src);
	elf_end(src.elf);
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
		it->fd = -1;
		pmf_symtab_init(&it->tab);
		pmf_index_add(&s->by_image, pmf_hash_u64((uintptr_t)im), (uint32_t)s->n);
		PMF_PUSH(s->tables, s->n, s->cap) = it;
	}
	if (!it->read)
		read_image(s, it);
	it->read = true;
	return &it->tab;
}

void pmf_symbolizer_forget(struct pmf_symbolizer *s, const struct pmf_image *im)
{
	struct image_table *it = find_table(s, im);

	if (s->remote)
		pmf_symbol_remote_forget(s->remote, im);
	if (!it)
		return;
	pmf_symtab_release(&it->tab);
	pmf_symtab_init(&it->tab);
	it->read = it->full = false;
}

void pmf_symbolizer_add_file(struct pmf_symbolizer *s, const struct pmf_image *im, int fd)
{
	struct image_table *it;

	if (!im->elf)
		return;
	if (s->remote) {
		pmf_symbol_remote_add_file(s->remote, im, fd);
		return;
	}
	table_of(s, im);
	it = find_table(s, im);
	if (it->full || it->fd >= 0)
		return;
	it->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	pmf_symbolizer_forget(s, im);
}

void pmf_symbolizer_ask(
	struct pmf_symbolizer *s, const struct pmf_image *im, const uint64_t *rvas, size_t n)
{
	if (s->remote && im->elf && im->kind != PMF_IMAGE_KERNEL)
		pmf_symbol_remote_ask(s->remote, im, rvas, n);
}

bool pmf_symbolizer_unpack(
	void *symbolizer, const struct pmf_image *im, const char *name, uint8_t **out, size_t *size)
{
	struct pmf_symbolizer *s = symbolizer;

	return pmf_symbol_remote_unpack(s->remote, im, name, out, size);
}

bool pmf_symbolizer_wants_batches(const struct pmf_symbolizer *s)
{
	return s->remote != NULL;
}

const char *pmf_symbolizer_why(const struct pmf_symbolizer *s, const struct pmf_image *im)
{
	return s->remote ? pmf_symbol_remote_why(s->remote, im) : "";
}

bool pmf_symbol_find(
	struct pmf_symbolizer *s, const struct pmf_image *im, uint64_t rva, struct pmf_symbol *out)
{
	struct pmf_symtab *t;
	const struct pmf_sym *sym;

	if (im->kind == PMF_IMAGE_KERNEL) {
		t = &s->kernel.tab;
		sym = pmf_kernel_symbols_find(&s->kernel, rva);
	} else if (im->elf && s->remote) {
		return pmf_symbol_remote_find(s->remote, im, rva, out);
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
