/* Questions to a process that reads files without privileges (docs/adr/0025), and its answers: what reader.c,
 * which asks, and reader_serve.c, which is that process, share. One question is asked at a time; while it is
 * worked on, its reader may ask for files that debug info names. Both ends run the same program on the same
 * machine, so numbers go as they are. */
#ifndef PMF_READER_PRIV_H
#define PMF_READER_PRIV_H

#include "symbol_priv.h"

#include "dwarf_priv.h"
#include "pmuflame/sandbox.h"

enum pmf_reader_what {
	/* For us: the number of an image, and what stands behind. */
	PMF_READ_SYMBOLS_OPEN, /* struct pmf_reader_image, by pmf_reader_put_image; two files at most */
	PMF_READ_SYMBOLS_FIND, /* addresses: see pmf_reader_put_symbol */
	PMF_READ_SYMBOLS_CLOSE,
	PMF_READ_DWARF_OPEN, /* as PMF_READ_SYMBOLS_OPEN */
	PMF_READ_DWARF_FIND, /* addresses: see pmf_reader_put_lines */
	PMF_READ_DWARF_CLOSE,
	PMF_READ_SECTION, /* the name of one that is compressed, of an image whose symbols are open */
	/* From it. */
	PMF_READ_ANSWER,
	PMF_READ_WANTED, /* a path */
	/* For it: the file, or an errno. */
	PMF_READ_FILE,
};

enum {
	PMF_READ_QUESTION_MAX = 1 << 20, /* bytes */
	PMF_READ_ANSWER_MAX = 64 << 20,
	PMF_READ_TEXT_MAX = 1 << 16, /* of one name or path; what is longer is cut */
};

struct pmf_reader_head {
	uint32_t what, bytes; /* of what follows */
	uint32_t id;          /* of the image */
	uint32_t cpu_ms;      /* that the answer may take; with a file, from there on */
};

/* An image, and where its debug file may be. Borrowed. */
struct pmf_reader_image {
	const char *path, *file, *root; /* as in struct pmf_image */
	const uint8_t *build_id;
	size_t build_id_len;
	uint64_t bytes;
	bool is_file;             /* not a vDSO: it may have a debug file */
	bool dwarf;               /* source lines are wanted, not only symbols */
	const char *fetched_path; /* where the second file, a server's, lies; NULL */
	struct pmf_debug_dirs dirs;
};

/* What PMF_READ_DWARF_OPEN answers. */
struct pmf_reader_debug {
	bool found;       /* there is debug info, or, where no lines are wanted, symbols */
	const char *path; /* of the file with it */
	const char *why;  /* what is wrong with it; "" */
	uint64_t bytes;   /* of memory */
};

/* ---- reader_wire.c: what stands in messages ---- */

void pmf_reader_put_u64(struct pmf_buf *b, uint64_t n);
/* NULL is the same as "". */
void pmf_reader_put_str(struct pmf_buf *b, const char *s);
/* A string, or NULL for "". */
const char *pmf_reader_take_str(struct pmf_dw_cursor *c);
void pmf_reader_put_image(struct pmf_buf *b, const struct pmf_reader_image *im);
/* False if @c holds no such thing. */
bool pmf_reader_take_image(struct pmf_dw_cursor *c, struct pmf_reader_image *im);
void pmf_reader_put_debug(struct pmf_buf *b, const struct pmf_reader_debug *d);
bool pmf_reader_take_debug(struct pmf_dw_cursor *c, struct pmf_reader_debug *d);
/* @sym NULL: there is none. */
void pmf_reader_put_symbol(struct pmf_buf *b, const struct pmf_symbol *sym);
/* False if there is none, or @c is bad. */
bool pmf_reader_take_symbol(struct pmf_dw_cursor *c, struct pmf_symbol *sym);
void pmf_reader_put_lines(struct pmf_buf *b, const struct pmf_line *lines, size_t n);
/* At most PMF_LINES_DEPTH. */
size_t pmf_reader_take_lines(struct pmf_dw_cursor *c, struct pmf_line *lines);

/* ---- reader_files.c: which files a reader gets ---- */

struct pmf_reader_files {
	const struct pmf_debug_dirs *dirs;
	uid_t owner; /* of the image */
};

/* The file at @path, which a reader asked for: an ELF file in one of the folders for debug files; elsewhere
 * one that everybody may read, or that is the image's owner's. -1 with errno for all others. */
int pmf_reader_open_wanted(const struct pmf_reader_files *f, const char *path, struct stat *st);

/* ---- reader.c: who asks ---- */

struct pmf_reader;

/* Nothing runs before the first question. */
struct pmf_reader *pmf_reader_new(struct pmf_sandbox *sandbox, bool idle);
void pmf_reader_free(struct pmf_reader *r);
/* It need not stand back any more. Any thread. */
void pmf_reader_hurry(struct pmf_reader *r);
/* Every question fails from now on, also the one that is worked on. Any thread. */
void pmf_reader_cancel(struct pmf_reader *r);
/* Which process the next question goes to: a number that is never 0, and another one whenever what it had
 * open is lost. */
uint64_t pmf_reader_life(struct pmf_reader *r);

struct pmf_reader_question {
	enum pmf_reader_what what;
	uint32_t id;
	struct pmf_buf data; /* pmf_reader_ask releases it */
	int fds[PMF_SANDBOX_FDS];
	size_t nr_fds;
	uint64_t bytes; /* of the image */
	const struct pmf_debug_dirs *dirs;
	uid_t owner;
};
/* Ask @q. False if the reader came to its end over it, or was ended for it: *why then says so, a clause, and
 * lives as long as @r. The answer lives until the next question. */
bool pmf_reader_ask(struct pmf_reader *r, struct pmf_reader_question *q,
	struct pmf_dw_cursor *answer, const char **why);

/* ---- symbol_remote.c: functions by a reader ---- */

struct pmf_symbol_remote;

/* @dirs is borrowed. */
struct pmf_symbol_remote *pmf_symbol_remote_new(
	struct pmf_sandbox *sandbox, const struct pmf_debug_dirs *dirs);
void pmf_symbol_remote_free(struct pmf_symbol_remote *m);
bool pmf_symbol_remote_find(struct pmf_symbol_remote *m, const struct pmf_image *im, uint64_t rva,
	struct pmf_symbol *out);
void pmf_symbol_remote_ask(
	struct pmf_symbol_remote *m, const struct pmf_image *im, const uint64_t *rvas, size_t n);
bool pmf_symbol_remote_unpack(struct pmf_symbol_remote *m, const struct pmf_image *im,
	const char *name, uint8_t **out, size_t *size);
void pmf_symbol_remote_add_file(struct pmf_symbol_remote *m, const struct pmf_image *im, int fd);
void pmf_symbol_remote_forget(struct pmf_symbol_remote *m, const struct pmf_image *im);
const char *pmf_symbol_remote_why(const struct pmf_symbol_remote *m, const struct pmf_image *im);

#endif
