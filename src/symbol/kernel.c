/* The kernel's functions. Those of a recording may be another kernel's than the one that runs here, or
 * the same one's after another boot, which puts it and its modules elsewhere. */
#include "symbol_priv.h"

#include "pmuflame/file.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NOTES = 64 * 1024, MAX_MODULES = 1 << 20, PAGE = 4096 };

void pmf_kernel_symbols_release(struct pmf_kernel_symbols *k)
{
	if (k->ahead)
		pthread_join(k->thread, NULL);
	pmf_symtab_release(&k->tab);
	pmf_buf_release(&k->modules);
	free(k->module_stays);
}

/* Does @id name the kernel that runs? Its notes are those of its ELF file (elf(5)). */
static bool runs_here(const uint8_t *id, size_t len)
{
	struct pmf_buf b = PMF_BUF_INIT;
	const Elf64_Nhdr *n;
	bool same = false;
	size_t at = 0, desc;

	if (pmf_file_read("/sys/kernel/notes", MAX_NOTES, &b, NULL) == 0) {
		for (; !same && at + sizeof *n <= b.len; at = desc + ((n->n_descsz + 3) & ~3u)) {
			n = (const void *)(b.data + at);
			desc = at + sizeof *n + ((n->n_namesz + 3) & ~3u);
			if (desc > b.len || n->n_descsz > b.len - desc)
				break;
			same = n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
			       memcmp(n + 1, "GNU", 4) == 0 &&
			       pmf_build_ids_equal(
				       (const uint8_t *)b.data + desc, n->n_descsz, id, len);
		}
	}
	pmf_buf_release(&b);
	return same;
}

/* The table from a vmlinux with the recorded build id. */
static bool read_vmlinux(struct pmf_kernel_symbols *k, const char *path, uint64_t *ref_va)
{
	const struct pmf_symbol_kernel *r = k->recorded;
	struct pmf_elf_src src;
	uint8_t id[20];

	if (!pmf_elf_src_open(&src, NULL, path))
		return false;
	if (pmf_build_ids_equal(id, pmf_elf_src_build_id(&src, id), r->build_id, r->build_id_len)) {
		pmf_elf_add_code(&k->tab, &src);
		pmf_elf_add_symbols(&k->tab, &src, SHT_SYMTAB);
		for (size_t i = 0; i < k->tab.n; i++)
			if (strcmp(pmf_symtab_raw_name(&k->tab, &k->tab.syms[i]), r->ref) == 0)
				*ref_va = k->tab.syms[i].start;
		pmf_symtab_seal(&k->tab);
	}
	pmf_elf_src_release(&src);
	return k->tab.n > 0;
}

/* Takes @path over. */
static bool read_found(struct pmf_kernel_symbols *k, char *path, bool elf, uint64_t *ref_va)
{
	bool got = path &&
		   (elf ? read_vmlinux(k, path, ref_va)
			: pmf_kallsyms_read(&k->tab, path, k->recorded->ref, ref_va, NULL) == 0);

	free(path);
	return got;
}

/* perf keeps the kallsyms of the kernels that it recorded, or the vmlinux that it was told of. */
static bool read_elsewhere(struct pmf_kernel_symbols *k, uint64_t *ref_va)
{
	const struct pmf_symbol_kernel *r = k->recorded;
	const char *cache = k->search->cache, *debug = k->search->debug_root;
	const uint8_t *id = r->build_id;
	size_t len = r->build_id_len;

	if (cache &&
		(read_found(k, pmf_build_id_path(cache, id, len, "/kallsyms"), false, ref_va) ||
			read_found(k, pmf_build_id_path(cache, id, len, "/elf"), true, ref_va)))
		return true;
	return debug && read_found(k, pmf_build_id_path(debug, id, len, ".debug"), true, ref_va);
}

/* A module is where it was if the table's first symbol of it is in its first page. */
static void compare_modules(struct pmf_kernel_symbols *k)
{
	const struct pmf_symbol_kernel *r = k->recorded;
	uint64_t *first = pmf_calloc(k->tab.modules.n, sizeof *first);

	k->module_stays = pmf_calloc(r->nr_modules, sizeof *k->module_stays);
	for (size_t i = k->tab.n; i-- > 0;) /* sorted by address */
		first[k->tab.syms[i].module] = k->tab.syms[i].start;
	for (size_t m = 0; m < r->nr_modules; m++)
		for (size_t id = 1; id < k->tab.modules.n; id++)
			if (strcmp(pmf_strtab_get(&k->tab.modules, (uint32_t)id),
				    r->modules[m].name) == 0)
				k->module_stays[m] = first[id] - r->modules[m].start < PAGE;
	free(first);
}

static int read_recorded(struct pmf_kernel_symbols *k)
{
	const struct pmf_symbol_kernel *r = k->recorded;
	bool here = r->build_id_len ? runs_here(r->build_id, r->build_id_len) : r->this_host;
	struct pmf_err why = PMF_ERR_INIT;
	uint64_t ref_va = 0;

	if (!r->ref_va)
		return pmf_err_set(&k->why, PMF_ENOTFOUND,
			"the recording does not say where its kernel was: perf could not read "
			"/proc/kallsyms when it was made (kernel.kptr_restrict)");
	if ((!here || pmf_kallsyms_read(&k->tab, "/proc/kallsyms", r->ref, &ref_va, &why)) &&
		!read_elsewhere(k, &ref_va))
		return here ? (k->why = why).status
			    : pmf_err_set(&k->why, PMF_ENOTFOUND,
				      "the recorded kernel is not the one that runs here, and perf's "
				      "build-id cache does not have it: render the recording on its own "
				      "machine, or unpack what `perf archive` makes there into ~/.debug");
	if (!ref_va) {
		k->tab.n = 0;
		return pmf_err_set(&k->why, PMF_EFORMAT,
			"the recorded kernel's symbols do not say where its '%s' is", r->ref);
	}
	k->slide = r->ref_va - ref_va;
	compare_modules(k);
	return 0;
}

/* Which modules are loaded, and where; empty if that cannot be read. */
static void list_modules(struct pmf_buf *out)
{
	pmf_buf_release(out);
	pmf_file_read("/proc/modules", MAX_MODULES, out, NULL);
}

static void *read_ahead(void *arg)
{
	struct pmf_kernel_symbols *k = arg;

	list_modules(&k->modules);
	pmf_kallsyms_read(&k->tab, "/proc/kallsyms", NULL, NULL, &k->why);
	return NULL;
}

void pmf_kernel_symbols_read_ahead(struct pmf_kernel_symbols *k)
{
	sigset_t all, before;

	if (k->read || k->ahead)
		return;
	/* Signals are for the thread that began the run. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	k->ahead = pthread_create(&k->thread, NULL, read_ahead, k) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Is what was read ahead good? Modules may have come or gone since; their places are used again. */
static bool have_ahead(struct pmf_kernel_symbols *k)
{
	struct pmf_buf now = PMF_BUF_INIT;
	bool same;

	if (!k->ahead)
		return false;
	k->ahead = false;
	pthread_join(k->thread, NULL);
	list_modules(&now);
	same = now.len == k->modules.len &&
	       (!now.len || memcmp(now.data, k->modules.data, now.len) == 0);
	pmf_buf_release(&now);
	if (same)
		return true;
	pmf_symtab_release(&k->tab);
	pmf_symtab_init(&k->tab);
	k->why = (struct pmf_err)PMF_ERR_INIT;
	return false;
}

void pmf_kernel_symbols_read(struct pmf_kernel_symbols *k)
{
	if (k->read)
		return;
	k->read = true;
	if (have_ahead(k))
		return;
	if (k->recorded)
		read_recorded(k);
	else
		pmf_kallsyms_read(&k->tab, "/proc/kallsyms", NULL, NULL, &k->why);
}

const struct pmf_sym *pmf_kernel_symbols_find(struct pmf_kernel_symbols *k, uint64_t va)
{
	const struct pmf_symbol_kernel *r = k->recorded;
	const struct pmf_sym *sym;

	pmf_kernel_symbols_read(k);
	if (!r)
		return pmf_symtab_find(&k->tab, va);
	if (k->why.status != PMF_OK)
		return NULL;
	for (size_t m = 0; m < r->nr_modules; m++) {
		if (va < r->modules[m].start || va >= r->modules[m].end)
			continue;
		sym = k->module_stays[m] ? pmf_symtab_find(&k->tab, va) : NULL;
		return sym && strcmp(pmf_strtab_get(&k->tab.modules, sym->module),
				      r->modules[m].name) == 0
			       ? sym
			       : NULL;
	}
	/* What lies outside was made at run time: BPF programs, trampolines. */
	if (va < r->start || va >= r->end)
		return NULL;
	sym = pmf_symtab_find(&k->tab, va - k->slide);
	return sym && sym->module == 0 ? sym : NULL;
}
