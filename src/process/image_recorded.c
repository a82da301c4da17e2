/* The files of a recording, which was made elsewhere or long ago. Its build ids say which file it was:
 * one at the same path may be another build, and the same build may stand at another path. */
#include "process_priv.h"

#include "pmuflame/buf.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pmf_build_ids_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t n = PMF_MIN(a_len, b_len);

	if (n == 0 || memcmp(a, b, n) != 0)
		return false;
	for (size_t i = n; i < a_len; i++)
		if (a[i])
			return false;
	for (size_t i = n; i < b_len; i++)
		if (b[i])
			return false;
	return true;
}

char *pmf_build_id_path(const char *folder, const uint8_t *id, size_t len, const char *suffix)
{
	struct pmf_buf path = PMF_BUF_INIT;

	if (len < 2)
		return NULL;
	pmf_buf_printf(&path, "%s/.build-id/%02x/", folder, id[0]);
	for (size_t i = 1; i < len; i++)
		pmf_buf_printf(&path, "%02x", id[i]);
	pmf_buf_addstr(&path, suffix);
	return pmf_buf_detach(&path);
}

/* Takes @path over. What was seen first of "no program" and "another file" says more about the image
 * than "no such file" elsewhere. */
static void try_next(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, char *path, enum pmf_image_attempt *how)
{
	enum pmf_image_attempt now;

	if (path && *how != PMF_IMAGE_OPENED) {
		now = pmf_image_try(t, im, w, path);
		if (now == PMF_IMAGE_OPENED || *how == PMF_IMAGE_FAILED)
			*how = now;
	}
	free(path);
}

static void try_build_id(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, const char *folder, const char *suffix,
	enum pmf_image_attempt *how)
{
	if (folder)
		try_next(t, im, w, pmf_build_id_path(folder, w->build_id, w->build_id_len, suffix),
			how);
}

enum pmf_image_attempt pmf_image_try_recorded(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w)
{
	const struct pmf_image_search *s = t->search;
	struct pmf_image_want here = *w;
	enum pmf_image_attempt how = PMF_IMAGE_FAILED;
	size_t len;
	int why = ENOENT;

	/* An inode number says nothing about another machine's files, nor about a copy. */
	here.ino = 0;
	if (im->kind == PMF_IMAGE_FILE) {
		len = pmf_image_path_len(w->path);
		try_next(t, im, &here,
			pmf_asprintf("%s%.*s", s->symfs ? s->symfs : "", (int)len, w->path), &how);
		why = errno;
		if (s->symfs)
			try_next(t, im, &here, pmf_asprintf("%s/%s", s->symfs, im->name), &how);
	}
	/* Since Linux 4.8 perf keeps a folder per build id, with the file under a name that says
	 * what it is; before, the file itself. */
	try_build_id(t, im, &here, s->cache, im->kind == PMF_IMAGE_VDSO ? "/vdso" : "/elf", &how);
	try_build_id(t, im, &here, s->cache, "", &how);
	try_build_id(t, im, &here, s->debug_root, "", &how);
	errno = why;
	return how;
}

void pmf_images_recheck(struct pmf_process_table *t)
{
	for (size_t i = 0; i < t->nr_images; i++) {
		struct pmf_image *im = t->images[i];
		uint8_t id[20];
		size_t len = im->elf ? t->search->build_id(t->search->ctx, im->path, id) : 0;

		if (!len || pmf_build_ids_equal(id, len, im->build_id, im->build_id_len))
			continue;
		pmf_image_close(im);
		im->file = NULL;
		t->images_replaced++;
		snprintf(im->why, sizeof im->why,
			"another build stands at this path now than was recorded");
	}
}
