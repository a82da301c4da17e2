/* An ELF file with debug information of anybody's making: every address that it covers is asked for, within
 * the steps that the file's size allows. */
#include "dwarf_priv.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_QUESTIONS = 64, MAX_PLACES = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const char *s)
{
	if (s && strlen(s) == SIZE_MAX)
		abort();
}

static void ask(struct pmf_dwarf *d, const struct pmf_dw_segments *s)
{
	struct pmf_line l[MAX_PLACES];
	size_t i, k, n;

	for (i = 0; i < PMF_MIN(s->n, (size_t)MAX_QUESTIONS); i++) {
		n = pmf_dwarf_find(d, s->items[i].start, l, MAX_PLACES);
		if (n > MAX_PLACES)
			abort();
		for (k = 0; k < n; k++) {
			touch(l[k].function);
			touch(l[k].file);
			touch(l[k].decl_file);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pmf_dwarf_opts opts = {.fd = memfd_create("fuzz", MFD_CLOEXEC),
		.path = "/nowhere/fuzz",
		.debug_root = "/nowhere"};
	struct pmf_dwarf *d = NULL;
	struct pmf_dw_file *f;
	size_t i;

	if (opts.fd >= 0 && write(opts.fd, data, size) == (ssize_t)size)
		d = pmf_dwarf_open(&opts, NULL);
	if (d) {
		f = d->files[0];
		ask(d, &d->segments);
		for (i = 0; i < PMF_MIN(f->nr_units, (size_t)MAX_QUESTIONS); i++)
			if (f->units[i].scopes)
				ask(d, &f->units[i].scopes->segments);
		pmf_dwarf_close(d);
	}
	close(opts.fd);
	return 0;
}
