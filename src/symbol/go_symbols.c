/* Functions from Go's own table: all that a stripped program says of their names. */
#include "symbol_priv.h"

#include "pmuflame/go_table.h"
#include <string.h>

bool pmf_go_add_symbols(struct pmf_symtab *t, const struct pmf_image *im)
{
	struct pmf_go_table go;
	struct pmf_go_func f;
	char *names;
	int blob;

	if (!pmf_go_table_read(im, &go))
		return false;
	names = pmf_malloc(go.names.size + 1);
	memcpy(names, go.names.data, go.names.size);
	names[go.names.size] = '\0';
	blob = pmf_symtab_add_blob(t, names, go.names.size);
	for (size_t i = 0; blob >= 0 && i < go.nr_funcs; i++) {
		const char *name;

		if (!pmf_go_table_func(&go, i, &f) || !*(name = pmf_go_func_name(&go, &f)))
			continue;
		PMF_PUSH(t->syms, t->n, t->cap) = (struct pmf_sym){
			.start = f.start,
			.size = (uint32_t)PMF_MIN(f.end - f.start, UINT32_MAX),
			.name = f.name_off,
			.blob = (uint8_t)blob,
			.rank = pmf_sym_rank(name, PMF_SYM_LOCAL, f.end - f.start),
		};
	}
	return blob >= 0;
}
