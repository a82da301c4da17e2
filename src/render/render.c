#include "render_priv.h"

#include <string.h>

static const struct pmf_renderer *const renderers[] = {
	&pmf_renderer_svg,
	&pmf_renderer_html,
	&pmf_renderer_folded,
	&pmf_renderer_speedscope,
	&pmf_renderer_callgrind,
	&pmf_renderer_json,
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
	const char *name = pmf_tree_string(t, t->funcs[func].name);

	return *name ? name : "[unknown]";
}

const char *pmf_render_func_label(const struct pmf_tree *t, uint32_t func)
{
	const char *label = pmf_tree_string(t, t->funcs[func].label);

	return *label ? label : "[unknown]";
}

const char *pmf_render_func_id(const struct pmf_tree *t, uint32_t func)
{
	const char *label = pmf_tree_string(t, t->funcs[func].full_label);

	if (t->opts.names == PMF_NAMES_SHORT || !*label)
		return pmf_render_func_label(t, func);
	return label;
}

uint64_t pmf_render_events(double weight)
{
	/* Above 2^63 a double no longer converts; nothing counts that far. */
	return weight > 0 && weight < 0x1p63 ? (uint64_t)(weight + 0.5) : 0;
}

void pmf_render_flush(struct pmf_buf *out, FILE *f, size_t bytes)
{
	if (out->len > bytes) {
		fwrite(out->data, 1, out->len, f);
		pmf_buf_clear(out);
	}
}
