/* What lines.c, which is asked, and lines_work.c, whose thread answers, share: questions by image, so that
 * one file's debug info is at hand for all of its addresses, and answers as numbers of strings, so that it
 * need not stay open for them. */
#ifndef PMF_LINES_PRIV_H
#define PMF_LINES_PRIV_H

#include "symbol_priv.h"

#include "pmuflame/lines.h"
#include <pthread.h>

enum { PMF_LINES_FILES_HELD = 64 }; /* after that, those go that nothing is asked of */

struct pmf_lines_place {
	uint32_t function, decl_file, file; /* in strings; 0: not known */
	uint32_t decl_line, line;
};

struct pmf_lines_answer {
	uint64_t rva;
	uint32_t first, n; /* of places */
};

struct pmf_lines_image {
	/* Does not change. */
	uint32_t id;
	char *path, *mapped, *root;
	uint8_t build_id[20];
	size_t build_id_len;
	uint64_t bytes;
	/* Under the lock. */
	int offered;   /* a descriptor for the thread, or -1 */
	bool held;     /* the thread has one, or is offered one */
	bool hopeless; /* it has no debug info */
	struct pmf_lines_answer *answers;
	size_t n, cap, next; /* next: the first that is still a question */
	struct pmf_index by_rva;
	struct pmf_lines_file shown;
	/* The working thread's. */
	int fd; /* of what has the debug info; before the look, of the image; or -1 */
	bool looked;
	const char *debug_path; /* in l->paths */
	char why[200];
	int symbols_fd;
	struct pmf_dwarf *dwarf;
	uint64_t life; /* of the reader that has it open; 0: none */
	uint64_t dwarf_bytes, used;
};

struct pmf_lines {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	bool inlines;
	char *symfs_root, *cache, *root;
	struct pmf_debug_dirs dirs;
	/* Under the lock. */
	struct pmf_lines_image **files; /* by image; NULL: not asked about */
	size_t n, cap;
	struct pmf_lines_place *places;
	size_t nr_places, cap_places;
	struct pmf_strtab strings;
	struct pmf_lines_state state;
	size_t nr_held;
	struct pmf_lines_image *busy; /* what the working thread is at */
	size_t current;               /* the image that it asked about last */
	unsigned turn;                /* which thread works */
	unsigned nr_threads;
	pid_t tid;
	char server_why[200];
	bool stop, orphan; /* orphan: the last thread out frees it */
	/* The working thread's. */
	struct pmf_debuginfod *servers;
	struct pmf_reader *reader; /* who reads the files; NULL: the thread */
	struct pmf_strtab paths;
	uint64_t uses, dwarf_bytes;
	size_t nr_dwarfs;
};

/* Under the lock: begin a thread, or let another one go on at the usual priority. One that cannot be had
 * leaves everything unanswered. */
void pmf_lines_start(struct pmf_lines *l, bool idle);
void pmf_lines_take_over(struct pmf_lines *l);
pmf_debuginfod_progress pmf_lines_on_fetch;
/* The descriptor of a server's file of @f, and its *path to free(3); -1 if it cannot be had. */
int pmf_lines_fetch(struct pmf_lines *l, const struct pmf_lines_image *f, char **path);
/* Close what @f has open, and forget its debug info; in a reader, too. */
void pmf_lines_close_dwarf(struct pmf_lines *l, struct pmf_lines_image *f);
void pmf_lines_close_file(struct pmf_lines *l, struct pmf_lines_image *f);
/* Under the lock: @why is what is wrong with @f. */
void pmf_lines_blame(struct pmf_lines *l, struct pmf_lines_image *f, const char *why);
/* Under the lock: the answer to the next question about @f, which was asked when there were no more than
 * the places so far. */
void pmf_lines_store(
	struct pmf_lines *l, struct pmf_lines_image *f, const struct pmf_line *lines, size_t n);

/* ---- lines_remote.c: with a reader ---- */

/* Under the lock but while they are worked on: answer some of the questions about @f. */
void pmf_lines_remote_answer(struct pmf_lines *l, struct pmf_lines_image *f);
/* @f's debug info is not needed there any more. */
void pmf_lines_remote_close(struct pmf_lines *l, struct pmf_lines_image *f);

/* When no thread runs any more. */
void pmf_lines_destroy(struct pmf_lines *l);

#endif
