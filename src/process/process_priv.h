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

#endif
