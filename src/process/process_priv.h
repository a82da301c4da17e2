/* What the files of src/process share with each other. */
#ifndef PMF_PROCESS_PRIV_H
#define PMF_PROCESS_PRIV_H

#include "pmuflame/process.h"

/* Identity of an image, as a record tells it, and whose mapping it is. */
struct pmf_image_want {
	const char *path;
	enum pmf_image_kind kind;
	uint64_t dev, ino;
	const uint8_t *build_id;
	size_t build_id_len;
	pid_t pid;
	uint64_t start, end;
	const struct pmf_root *root; /* that the path is one of; NULL: ours, or not known */
	uint64_t tree;               /* as pmf_image.tree, if it is known */
	bool exactly; /* an inode number counts with its device only: the path is another tree's */
};

/* The length of @path without the kernel's " (deleted)". */
size_t pmf_image_path_len(const char *path);

enum pmf_image_attempt {
	PMF_IMAGE_OPENED,
	PMF_IMAGE_NOT_ELF,    /* the right file as far as one can know, but no program */
	PMF_IMAGE_OTHER_FILE, /* another file than the one that was mapped */
	PMF_IMAGE_FAILED,     /* errno says why */
};

/* Open @path as @im's file if it is what @w means; nothing stays open otherwise. */
enum pmf_image_attempt pmf_image_try(struct pmf_process_table *t, struct pmf_image *im,
	const struct pmf_image_want *w, const char *path);
/* The same wherever @t->search says. */
enum pmf_image_attempt pmf_image_try_recorded(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w);

/* The same for a process of this machine; errno is that of the path that was tried first. */
enum pmf_image_attempt pmf_image_try_live(
	struct pmf_process_table *t, struct pmf_image *im, const struct pmf_image_want *w);
/* What @w->root has at the path was told by its inode alone (/proc/PID/maps): take its build id, by
 * which it may be known already, into @w and @id. False if it has none. */
bool pmf_image_own_id(struct pmf_process_table *t, struct pmf_image_want *w, uint8_t id[20]);

/* ---- roots.c ---- */

/* The root folder that @pid's paths begin at; NULL if it is ours, if it cannot be seen, or
 * if @pid is no process's. Valid until the next
 * call. */
const struct pmf_root *pmf_root_of(struct pmf_process_table *t, pid_t pid);
/* What stands for the root folder of @pid, which pmf_root_of() has just found to be @root, in pmf_image.tree: in
 * all tables the same. Those that cannot be seen any more are one. */
uint64_t pmf_root_tree(const struct pmf_root *root, pid_t pid);
void pmf_roots_release(struct pmf_process_table *t);

/* By which images are found. */
uint64_t pmf_image_hash(const char *path);
/* Close and free one image; for pmf_process_table_release. */
void pmf_image_free(struct pmf_image *im);
/* Let go all that was made of the image's file. */
void pmf_image_close(struct pmf_image *im);

/* If more than @most images were opened, close such as nothing maps. */
void pmf_images_trim(struct pmf_process_table *t, size_t most);

/* What a recording may make this program keep: code of one address space in as many pieces as
 * vm.max_map_count allows by default, and copies of such for children. */
enum { PMF_MAPS_MAX = 1 << 16, PMF_MAPS_INHERITED_MAX = 1 << 22 };

/* A mapping of @im, with the bias that its segments give. */
struct pmf_map pmf_map_make(struct pmf_image *im, uint64_t start, uint64_t end, uint64_t pgoff);
/* Put @m into the address space, if there is room; what it overlaps is cut. */
void pmf_maps_insert(struct pmf_process *p, const struct pmf_map *m);
void pmf_maps_clear(struct pmf_process *p);

struct pmf_maps_line {
	uint64_t start, end, pgoff, dev, ino;
	bool exec;
	char *path; /* inside the line, "" if the mapping has none */
};
/* Parse one line of /proc/PID/maps (without its newline); false if it is none. */
bool pmf_maps_parse_line(char *line, struct pmf_maps_line *out);
/* The kernel writes a newline in a path as "\\012" (seq_path(9)); MMAP2 records do not. */
void pmf_maps_unescape(char *path);
/* Bytes of /proc/PID/maps: vm.max_map_count lines are about 8 MB. */
enum { PMF_PROC_MAPS_MAX = 64 * 1024 * 1024 };

#endif
