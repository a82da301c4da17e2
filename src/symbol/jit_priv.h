/* What the files about generated code share with each other. */
#ifndef PMF_JIT_PRIV_H
#define PMF_JIT_PRIV_H

#include "pmuflame/buf.h"
#include "pmuflame/hash.h"
#include "pmuflame/jit.h"

/* ---- jit_codes.c: the generated code of one process, over time ---- */

struct pmf_jit_line {
	uint32_t off; /* in the code; the line's first instruction */
	uint32_t line;
	uint32_t file; /* in names */
};

struct pmf_jit_code {
	uint64_t start, size, from_ns;
	uint32_t name;
	uint32_t first_line, nr_lines;       /* in lines, ordered by off */
	uint32_t eh_frame_at, eh_frame_size; /* in eh_frames; size 0: there is none */
};

struct pmf_jit_codes {
	struct pmf_jit_code *items; /* in the order in which they were told */
	size_t n, cap;
	struct pmf_jit_line *lines;
	size_t nr_lines, cap_lines;
	struct pmf_buf eh_frames;
	/* Which code lies in a page, oldest first. */
	struct pmf_jit_page {
		uint64_t number;
		uint32_t *codes;
		size_t n, cap;
	} * pages;
	size_t nr_pages, cap_pages;
	struct pmf_index by_number;
	size_t nr_places;          /* of all pages together, those that were dropped too */
	struct pmf_jit_page large; /* code of very many pages */
	struct pmf_strtab names;
	size_t name_bytes;
};

void pmf_jit_codes_init(struct pmf_jit_codes *c);
void pmf_jit_codes_release(struct pmf_jit_codes *c);
/* A name of @len bytes from outside: control characters become '?', what is too long is cut. */
uint32_t pmf_jit_codes_name(struct pmf_jit_codes *c, const char *name, size_t len);
/* From @code->from_ns on, this is what lies there. False if there is no room for more; code that cannot be
 * is left out. */
bool pmf_jit_codes_add(struct pmf_jit_codes *c, const struct pmf_jit_code *code);
/* Keep the *@size bytes of an .eh_frame section: returns where they are. *@size becomes 0 if there is no room
 * for them. */
uint32_t pmf_jit_codes_eh_frame(struct pmf_jit_codes *c, const uint8_t *data, uint32_t *size);
/* The code at @va at @time_ns, or NULL; *until_ns as in struct pmf_jit_place. */
const struct pmf_jit_code *pmf_jit_codes_find(
	const struct pmf_jit_codes *c, uint64_t va, uint64_t time_ns, uint64_t *until_ns);

/* ---- jit_label.c ---- */

/* What stands behind V8's word for the kind of a function's code; NULL if @name is no function of V8's. */
const char *pmf_jit_v8_function(const char *name);

/* ---- perf_map.c, jitdump.c: files that grow ---- */

struct pmf_perf_map {
	int fd;              /* -1: not there so far */
	uint64_t read_bytes; /* whole lines */
	uint64_t good, bad;  /* lines */
	bool done;           /* it was refused, in part or whole */
};

/* Take the lines that @m has more than before; they count from @from_ns on. @last: there will be no
 * more. A refusal sets m->done and is returned. */
int pmf_perf_map_read(struct pmf_perf_map *m, struct pmf_jit_codes *c, uint64_t from_ns, bool last,
	struct pmf_err *err);

struct pmf_jitdump {
	int fd;
	uint64_t at; /* the next record */
	bool swapped, done;
	struct pmf_jit_line *lines; /* of the code that the next load record tells */
	size_t nr_lines, cap_lines;
	uint64_t lines_va;
	uint32_t eh_frame_at, eh_frame_size; /* as well */
	size_t nr_moves;
	uint8_t *window; /* bytes of the file from window_at on */
	uint64_t window_at;
	size_t window_bytes;
};

/* Take the records that @d has more than before. As pmf_perf_map_read otherwise. */
int pmf_jitdump_read(struct pmf_jitdump *d, struct pmf_jit_codes *c, struct pmf_err *err);
void pmf_jitdump_release(struct pmf_jitdump *d);

#endif
