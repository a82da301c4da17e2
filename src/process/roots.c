/* Root folders of other mount namespaces and of chroot(2): a mapping's path is one in the tree of the
 * process that has it, and ours may have another file there. Roots that were met are held open, so that
 * what lies beside an image (debug files) can be opened when its process is gone. */
#include "process_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOTS_MAX = 64 };

/* What @pid calls "/", into @r without a path; false if that cannot be seen. */
static bool open_root(const char *pid, struct pmf_root *r)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%s/ns/mnt", pid);
	if (stat(path, &st) < 0)
		return false;
	r->mnt_ns = st.st_ino;
	snprintf(path, sizeof path, "/proc/%s/root", pid);
	r->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		return false;
	if (fstat(r->fd, &st) < 0) {
		close(r->fd);
		return false;
	}
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	return true;
}

static bool same_root(const struct pmf_root *a, const struct pmf_root *b)
{
	return a->mnt_ns == b->mnt_ns && a->dev == b->dev && a->ino == b->ino;
}

/* Images of a root that gave way keep its path. What that leads to later is held to their build ids, as
 * all is. */
static struct pmf_root *place_for_one_more(struct pmf_process_table *t)
{
	struct pmf_root *oldest = &t->roots[0];

	if (t->nr_roots < ROOTS_MAX)
		return &PMF_PUSH(t->roots, t->nr_roots, t->cap_roots);
	for (size_t i = 1; i < t->nr_roots; i++)
		if (t->roots[i].used < oldest->used)
			oldest = &t->roots[i];
	close(oldest->fd);
	return oldest;
}

const struct pmf_root *pmf_root_of(struct pmf_process_table *t, pid_t pid)
{
	char path[32], number[16];
	struct pmf_root r = {.fd = -1}, *to;

	if (pid <= 0)
		return NULL;
	if (!t->own_root.mnt_ns) {
		if (!open_root("self", &t->own_root))
			return NULL;
		close(t->own_root.fd);
	}
	snprintf(number, sizeof number, "%d", (int)pid);
	if (!open_root(number, &r))
		return NULL;
	r.used = ++t->nr_gets;
	for (size_t i = 0; i < t->nr_roots; i++) {
		if (!same_root(&t->roots[i], &r))
			continue;
		close(r.fd);
		t->roots[i].used = r.used;
		return &t->roots[i];
	}
	if (same_root(&t->own_root, &r)) {
		close(r.fd);
		return NULL;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", r.fd);
	r.path = pmf_strtab_get(&t->strings, pmf_strtab_addz(&t->strings, path));
	to = place_for_one_more(t);
	*to = r;
	return to;
}

uint64_t pmf_root_tree(const struct pmf_root *root, pid_t pid)
{
	enum { OURS, GONE, OTHERS };
	char path[32];
	struct stat st;

	if (root)
		return PMF_MAX(pmf_hash_u64(root->mnt_ns ^
					    pmf_hash_u64(root->dev ^ pmf_hash_u64(root->ino))),
			(uint64_t)OTHERS);
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)pid);
	return stat(path, &st) == 0 ? OURS : GONE;
}

void pmf_roots_release(struct pmf_process_table *t)
{
	for (size_t i = 0; i < t->nr_roots; i++)
		close(t->roots[i].fd);
	free(t->roots);
}
