#include "profile_check.h"

#include "pmuflame/render.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

char *save_profile(const struct pmf_profile *p, size_t *len)
{
	struct pmf_err err = PMF_ERR_INIT;
	char *bytes = NULL;
	FILE *f = open_memstream(&bytes, len);

	assert_non_null(f);
	if (pmf_profile_save(p, f, &err))
		fail_msg("%s", err.text);
	assert_int_equal(fclose(f), 0);
	return bytes;
}

void load_profile(struct pmf_profile *p, const void *bytes, size_t len)
{
	struct pmf_err err = PMF_ERR_INIT;

	if (pmf_profile_load(p, bytes, len, &err))
		fail_msg("%s", err.text);
}

char *draw_profile(const struct pmf_profile *p, size_t *len)
{
	struct pmf_err err = PMF_ERR_INIT;
	struct pmf_tree t;
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	size_t n;
	const struct pmf_renderer *const *all = pmf_renderers(&n);

	assert_non_null(f);
	pmf_tree_build(&t, p, &(struct pmf_tree_opts){.threads = true});
	for (size_t e = 0; e < p->nr_events; e++)
		for (size_t i = 0; i < n; i++)
			if (all[i]->per_event || e == 0)
				assert_int_equal(all[i]->render(f, &t, e,
							 &(struct pmf_render_opts){0}, &err),
					0);
	assert_int_equal(fclose(f), 0);
	pmf_tree_release(&t);
	return text;
}

void assert_survives(struct pmf_profile *p)
{
	size_t before_len, after_len, first_len, second_len;
	char *before = draw_profile(p, &before_len), *after, *first, *second;
	struct pmf_profile loaded;

	first = save_profile(p, &first_len);
	load_profile(&loaded, first, first_len);
	after = draw_profile(&loaded, &after_len);
	second = save_profile(&loaded, &second_len);
	assert_int_equal(before_len, after_len);
	assert_memory_equal(before, after, after_len);
	assert_int_equal(first_len, second_len);
	assert_memory_equal(first, second, first_len);
	assert_int_equal(loaded.start_unix_ns, p->start_unix_ns);
	assert_int_equal(loaded.cpus, p->cpus);
	pmf_profile_release(&loaded);
	free(before);
	free(after);
	free(first);
	free(second);
}

void gunzip(const char *bytes, size_t len, struct pmf_buf *out)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)bytes, .avail_in = (unsigned)len};
	unsigned char chunk[4096];
	int status = Z_OK;

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	while (status == Z_OK) {
		z.next_out = chunk;
		z.avail_out = sizeof chunk;
		status = inflate(&z, Z_NO_FLUSH);
		pmf_buf_add(out, chunk, sizeof chunk - z.avail_out);
	}
	assert_int_equal(status, Z_STREAM_END);
	inflateEnd(&z);
}

uint64_t sum_column(const struct pmf_profile *p, uint64_t *const *columns, size_t e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->nr_nodes; i++)
		sum += columns[e][i];
	return sum;
}

bool has_note(const struct pmf_profile *p, const char *words)
{
	for (size_t i = 0; i < p->nr_notes; i++)
		if (strstr(p->notes[i].text, words))
			return true;
	return false;
}
