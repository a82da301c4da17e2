#include "render_priv.h"

#include <string.h>

static const struct pmf_renderer *const renderers[] = {
	&pmf_renderer_svg,
	&pmf_renderer_folded,
	&pmf_renderer_pprof,
};

const struct pmf_renderer *const *pmf_renderers(size_t *n)
{
	*n = PMF_ARRAY_SIZE(renderers);
	return renderers;
}

const struct pmf_renderer *pmf_renderer_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < PMF_ARRAY_SIZE(renderers); i++)
		if (strlen(renderers[i]->name) == len && memcmp(renderers[i]->name, name, len) == 0)
			return renderers[i];
	return NULL;
}

const char *pmf_render_func_name(const struct pmf_tree *t, uint32_t func)
{
	const char *name = pmf_strtab_get(&t->profile->strings, t->funcs[func].name);

	return *name ? name : "[unknown]";
}
