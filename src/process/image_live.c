/* The files of processes that run, or ran a moment ago. A path is one of the process's own tree of folders
 * (roots.c), and the file may have been replaced or removed since it was mapped. */
#include "process_priv.h"

#include "pmuflame/buf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes @path over. What "another file" or "no program" says of the image stays said. */
static void try_also(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, char *path, enum pmf_image_attempt *how)
{
	int why = errno;

	if (*how != PMF_IMAGE_OPENED && pmf_image_try(t, im, w, path) == PMF_IMAGE_OPENED)
		*how = PMF_IMAGE_OPENED;
	free(path);
	errno = why;
}

/* Below the roots that were met, where a container's next process finds what the last one found. */
static void try_roots(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, const char *path, enum pmf_image_attempt *how)
{
	struct pmf_image_want there = *w;

	there.exactly = true;
	for (size_t i = 0; i < t->nr_roots && *how != PMF_IMAGE_OPENED; i++) {
		try_also(t, im, &there, pmf_asprintf("%s%s", t->roots[i].path, path), how);
		if (*how == PMF_IMAGE_OPENED)
			im->root = t->roots[i].path;
	}
}

/* Other ways to the file: the process's own root folder, the mapping itself (needs CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE, proc(5)), and the program that it runs. */
static void try_proc(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, const char *path, enum pmf_image_attempt *how)
{
	int pid = (int)w->pid;

	if (!w->root)
		try_also(t, im, w, pmf_asprintf("/proc/%d/root%s", pid, path), how);
	if (w->end)
		try_also(t, im, w,
			pmf_asprintf("/proc/%d/map_files/%llx-%llx", pid,
				(unsigned long long)w->start, (unsigned long long)w->end),
			how);
	if (w->ino || w->build_id_len)
		try_also(t, im, w, pmf_asprintf("/proc/%d/exe", pid), how);
	if (w->ino || w->build_id_len)
		try_roots(t, im, w, path, how);
}

/* In the tree that the path is one of. Ours may have the same file, or another. */
static enum pmf_image_attempt try_its_root(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, const char *path)
{
	char *inside = pmf_asprintf("%s%s", w->root->path, path);
	enum pmf_image_attempt how = pmf_image_try(t, im, w, inside);
	struct pmf_image_want ours = *w;

	free(inside);
	if (how == PMF_IMAGE_OPENED) {
		im->root = w->root->path;
		return how;
	}
	ours.exactly = true;
	try_also(t, im, &ours, pmf_strdup(path), &how);
	if (how == PMF_IMAGE_OPENED)
		im->tree = 0;
	return how;
}

enum pmf_image_attempt pmf_image_try_live(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w)
{
	char *path = pmf_strndup(w->path, pmf_image_path_len(w->path));
	struct pmf_image_want want = *w;
	enum pmf_image_attempt how;

	if (!want.root && t->live)
		want.root = pmf_root_of(t, w->pid);
	how = want.root ? try_its_root(t, im, &want, path) : pmf_image_try(t, im, w, path);
	if (!want.root && how == PMF_IMAGE_OPENED)
		im->tree = 0;
	if ((how == PMF_IMAGE_FAILED || how == PMF_IMAGE_OTHER_FILE) && t->live && w->pid > 0)
		try_proc(t, im, &want, path, &how);
	free(path);
	return how;
}

bool pmf_image_own_id(struct pmf_process_table *t, struct pmf_image_want *w, uint8_t id[20])
{
	struct pmf_image probe = {.fd = -1, .kind = w->kind, .path = w->path};
	char *path = pmf_strndup(w->path, pmf_image_path_len(w->path));

	if (try_its_root(t, &probe, w, path) == PMF_IMAGE_OPENED) {
		memcpy(id, probe.build_id, sizeof probe.build_id);
		w->build_id = id;
		w->build_id_len = probe.build_id_len;
	}
	pmf_image_close(&probe);
	free(path);
	return w->build_id_len > 0;
}
