/* pmuflame/process.h - processes, threads and what their address spaces map, at the moment that the
 * records processed so far describe; and the images (files) behind the mappings.
 * Layer: process (uses base, record). Threads: one owner for a table and all that hangs on it.
 *
 * Feed records in time order; then ask. Mappings come from MMAP2 records (linux/perf_event.h) and,
 * where those leave a gap (munmap and mremap emit nothing), from /proc/PID/maps (proc(5)). */
#ifndef PMUFLAME_PROCESS_H
#define PMUFLAME_PROCESS_H

#include "pmuflame/elf.h"
#include "pmuflame/err.h"
#include "pmuflame/hash.h"
#include "pmuflame/record.h"
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum pmf_image_kind {
	PMF_IMAGE_FILE, /* an ELF file (or something that is none: then elf stays NULL) */
	PMF_IMAGE_VDSO, /* "[vdso]": read from this process's own; "[vdso32]": from one that has it */
	PMF_IMAGE_ANON,   /* executable memory without a file: a JIT's code */
	PMF_IMAGE_KERNEL, /* "[kernel]": rva is the address; modules included */
};

/* Where the files behind a recording's mappings may be: it may come from another machine, or from
 * before the last update of this one. In this order: at their recorded path below @symfs, by their
 * name alone in @symfs, by build id in @cache and in @debug_root. A file whose build id is not the
 * recorded one is not taken. All is borrowed. */
struct pmf_image_search {
	const char *symfs; /* stands for the recorded machine's root; NULL: this machine's */
	const char *
		cache; /* perf's build-id cache, "/home/me/.debug" (perf-buildid-cache(1)), or NULL */
	const char *debug_root; /* "/usr/lib/debug", or NULL */
	bool this_kernel;       /* the recorded kernel runs here, and so does its vDSO */
	/* The build id of what the recording had at @path, for mappings whose records do not tell
	 * it: its length, 0 if it is not known. May be NULL. */
	size_t (*build_id)(void *ctx, const char *path, uint8_t out[20]);
	void *ctx;
};

/* A file that processes map, identified by path, inode and build id; shared by every process and
 * kept until the table is released, so that an id stays valid in the profile. Only its descriptor and
 * what hangs on it may go when nothing maps it (pmf_process_table_reap); pmf_image_get opens it again.
 */
struct pmf_image {
	uint32_t id;
	enum pmf_image_kind kind;
	const char *path; /* as the kernel said it */
	const char *file; /* what was opened: path, or where it was found instead; NULL */
	/* "/proc/self/fd/N", the root folder (of another mount namespace, of chroot(2)) that path is
	 * one of and file lies in; NULL: this process's own. */
	const char *root;
	/* Whose file it is: 0 if it counts for all, else only for processes with this root folder, for who is
	 * root there says what it likes at any path and under any build id. */
	uint64_t tree;
	const char *name; /* last part of path */
	uint64_t dev,
		ino; /* as the kernel said; where it told the build id: 0, and the file's own */
	uint8_t build_id[20];
	uint8_t build_id_len; /* 0 if not known */
	bool told_build_id;   /* by the recording, not by the file alone */
	/* Opened by pmf_image_get at the first mapping, so that a file deleted later still has its
	 * names. fd is -1 and elf NULL if it could not be; why says the reason ("" if it
	 * opened). */
	int fd;
	struct pmf_elf *elf;
	uint64_t file_bytes;
	uint16_t elf_machine;
	bool elf32;
	char why[200];
	bool closed;       /* it was open once */
	uint64_t last_get; /* number of the last pmf_image_get that asked for it */
	/* PT_LOAD segments that are executable or readable: file offset ↔ address in the image. */
	struct pmf_segment *segments;
	size_t nr_segments;
	uint8_t *vdso; /* the vDSO's bytes when kind is VDSO; owned */
	const struct pmf_image_unpacker
		*unpacker; /* of compressed sections; NULL: pmf_image_section */
	void *unwind_priv; /* owned by the unwinder, released by its unwind_free */
	void (*unwind_free)(void *priv);
};

/* Somebody else unpacks section @name of @im, into new memory; false if it cannot be. */
struct pmf_image_unpacker {
	bool (*unpack)(void *ctx, const struct pmf_image *im, const char *name, uint8_t **out,
		size_t *size);
	void *ctx;
};

struct pmf_segment {
	uint64_t off, va, filesz, memsz; /* as in Elf64_Phdr */
	uint32_t flags;                  /* PF_X, PF_W, PF_R */
};

/* One executable mapping of one address space: [start, end) shows the image from file offset
 * pgoff. */
struct pmf_map {
	uint64_t start, end, pgoff;
	struct pmf_image *image;
	/* address in the image = va - bias (modulo 2^64): from the segment that covers pgoff, as
	 * lld, gold, static and static-pie files need p_vaddr - p_offset. For ANON and KERNEL:
	 * 0. */
	uint64_t bias;
	bool from_proc; /* came from /proc, not from a record */
};

struct pmf_process {
	pid_t pid;
	char comm[16];         /* of the main thread */
	const char *container; /* what it is called, as far as was asked (container.h), or NULL */
	struct pmf_map *maps;  /* sorted by start, never overlapping */
	size_t nr_maps, cap_maps;
	size_t nr_inherited;      /* of its parent's maps, when it was forked */
	uint64_t maps_generation; /* grows with every change: caches compare it */
	bool exited;
	bool in_exec; /* has left its old program and not been seen in the new one: it has no
		       * user stack */
	bool maps_incomplete; /* sideband was lost or too much, or a pc lay outside every map */
	uint64_t reread_ns;   /* last time that /proc/PID/maps was read for a gap */
	struct pmf_index
		tids; /* of threads that live, as far as the records say; nr_tids of them */
	size_t nr_tids;
	uint64_t refs; /* of the table and of whoever keeps a pointer beyond the next record */
	void *user;    /* the collector's own, with its release function */
	void (*user_free)(void *user);
	struct pmf_hotspot *hotspot; /* its Java VM: pmf_hotspot_of */
	uint64_t hotspot_generation; /* of the maps that it was looked for in */
	void *unwind_priv;           /* the unwinder's caches for this address space */
	void (*unwind_free)(void *priv);
};

/* A root folder that is not this process's. */
struct pmf_root {
	uint64_t mnt_ns, dev, ino; /* of the mount namespace; of the folder */
	int fd;
	const char *path; /* "/proc/self/fd/N" of fd */
	uint64_t used;
};

struct pmf_process_table {
	struct pmf_process **procs; /* alive, and exited ones until pmf_process_table_reap */
	size_t n, cap;
	size_t nr_inherited; /* sum over procs */
	struct pmf_index by_pid;
	struct pmf_image **images;
	size_t nr_images, cap_images;
	struct pmf_index image_index;
	struct pmf_strtab strings;
	bool live;    /* /proc may be asked about these pids */
	bool outside; /* the numbers 0 and -1 are no process's: see pmf_process_sees_all() */
	const struct pmf_image_search *search; /* of a recording; NULL: recorded paths alone */
	struct pmf_root *roots, own_root;      /* those that processes were met in */
	size_t nr_roots, cap_roots;
	struct pmf_image_unpacker unpacker; /* of the images that come; unpack may be NULL */
	size_t nr_opened; /* images, since the last look for those that can be closed */
	uint64_t nr_gets,
		gets_before; /* pmf_image_get: in all, and until images were last forgotten */
	/* Called before images are closed: the last chance to name their frames. */
	void (*images_closing)(void *ctx, struct pmf_image *const *images, size_t n);
	void *closing_ctx;
	/* What went wrong, for the ledger. */
	uint64_t maps_reread, images_replaced, images_unreadable;
	uint64_t tasks_started; /* processes and threads */
};

/* @live: the pids are of this machine, now, so /proc may be read. */
void pmf_process_table_init(struct pmf_process_table *t, bool live);
void pmf_process_table_release(struct pmf_process_table *t);

/* Apply a sideband record (MMAP, MMAP2, COMM, FORK, EXIT; others are ignored). An exec (COMM with
 * PERF_RECORD_MISC_COMM_EXEC) empties the address space; FORK of a process copies it; a new mapping
 * cuts the ones that it overlaps. What is beyond all measure leaves maps_incomplete. */
void pmf_process_apply(struct pmf_process_table *t, const struct pmf_record *rec);

/* The process with @pid, made empty if new. Valid until pmf_process_table_reap. */
struct pmf_process *pmf_process_get(struct pmf_process_table *t, pid_t pid);
/* The same, or NULL if it is not known. */
struct pmf_process *pmf_process_find(const struct pmf_process_table *t, pid_t pid);
/* The mapping that holds @va, or NULL. */
const struct pmf_map *pmf_process_map(const struct pmf_process *p, uint64_t va);
/* If @p's maps may be incomplete, read /proc/PID/maps again: at most every 100 ms of @now_ns per
 * process, and only if the table is live and the process still runs. Pointers to maps are void. */
void pmf_process_refresh(struct pmf_process_table *t, struct pmf_process *p, uint64_t now_ns);
/* As pmf_process_map, but a miss is a gap, and asks for pmf_process_refresh. */
const struct pmf_map *pmf_process_map_or_reread(
	struct pmf_process_table *t, struct pmf_process *p, uint64_t va, uint64_t now_ns);
/* Read /proc/PID/maps now; used after sideband was lost. Negative if it cannot be read. */
int pmf_process_reread(struct pmf_process_table *t, struct pmf_process *p, struct pmf_err *err);

/* Is this the first pid namespace (pid_namespaces(7))? In another one, a container's, records have the number
 * 0, or -1 when they end, for every task outside of it. */
bool pmf_process_sees_all(void);
/* What thread @tid of process @pid calls itself: its number in the pid namespace that it is in (NSpid
 * in proc_pid_status(5)). 0 if it is gone. */
pid_t pmf_process_inner_tid(pid_t pid, pid_t tid);

/* ---- What runs already ----
 *
 * Once the sideband is on and before anything is counted: read /proc and have @cb told the processes by
 * records like the kernel's (COMM of each thread, MMAP2 of each mapping of code; with @data_maps of each
 * mapping of a file). The records that the sideband wrote meanwhile may come later: they lead from any state
 * in between to the one that is. */

/* Process @pid. Its names are told even where its mappings may not be read (PMF_EPERM). A negative return of
 * @cb stops. */
int pmf_process_adopt(pid_t pid, bool data_maps, pmf_record_cb *cb, void *ctx, struct pmf_err *err);
/* Every process there is; *refused gets how many's mappings may not be read. */
int pmf_process_adopt_all(
	bool data_maps, pmf_record_cb *cb, void *ctx, size_t *refused, struct pmf_err *err);
/* That @pid executes the program at @path now, as COMM says it. Events that an exec enables are on for a moment
 * before the kernel writes that record, and may have a sample then: of nobody that is known, with the registers of
 * the program that is gone. */
int pmf_process_tell_exec(pid_t pid, const char *path, pmf_record_cb *cb, void *ctx);

/* Where the anonymous mapping that holds @sp ends, read from /proc/PID/maps now; 0 if none holds
 * it. */
uint64_t pmf_process_stack_end(pid_t pid, uint64_t sp);

enum { PMF_IMAGES_OPEN = 512 };

/* Forget exited processes (those that nobody holds a reference to). Call when no record that could
 * name them is pending. With more than PMF_IMAGES_OPEN images open, close those that nothing maps and
 * that were not asked for lately, down to half as many. */
void pmf_process_table_reap(struct pmf_process_table *t);

/* Forget the images of files that nothing maps and that nobody has asked for since the last time, and number
 * the others anew. @gone is called before one goes. Returns the new number of each old one, UINT32_MAX
 * where it has gone; free(3) it. */
uint32_t *pmf_process_table_forget_images(struct pmf_process_table *t,
	void (*gone)(void *ctx, const struct pmf_image *im), void *ctx);

/* The image with this identity, made and opened if new. @pid: whose mapping it is, for
 * /proc/PID/map_files and /proc/PID/exe when the path does not lead to the same file any more;
 * @start, @end: that mapping's. @build_id may be NULL. Never NULL. */
struct pmf_image *pmf_image_get(struct pmf_process_table *t, const char *path, uint64_t dev,
	uint64_t ino, const uint8_t *build_id, size_t build_id_len, pid_t pid, uint64_t start,
	uint64_t end);
/* @t's image of the same file as @im, an image of another table; NULL if there is none. Opens nothing. */
struct pmf_image *pmf_image_like(const struct pmf_process_table *t, const struct pmf_image *im);
/* The one image of the kernel. */
struct pmf_image *pmf_image_kernel(struct pmf_process_table *t);
struct pmf_image *pmf_image_by_id(const struct pmf_process_table *t, uint32_t id);

/* The search's build ids are complete only now: close every image that turns out to be another build's
 * file. */
void pmf_images_recheck(struct pmf_process_table *t);

/* The image of the ELF file of @bytes bytes that @fd has open, by itself: only what its headers say is there, and
 * it is of no table. NULL if it is no ELF program. @fd is taken over. */
struct pmf_image *pmf_image_of_file(int fd, uint64_t bytes);
void pmf_image_of_file_free(struct pmf_image *im);

/* Read @len bytes at address @rva of the image, as the loader would map the file (read-only data
 * and code; no relocations applied). False if any of it is outside the file. No mmap(2) of the
 * file: a file that is truncated meanwhile must not raise SIGBUS here. */
bool pmf_image_read(const struct pmf_image *im, uint64_t rva, void *out, size_t len);

/* A section by name, decompressed, for as long as the image lives; NULL if there is none or it lies
 * about its size. Do not free. *addr (if not NULL) gets sh_addr. */
const uint8_t *pmf_image_section(
	const struct pmf_image *im, const char *name, size_t *size, uint64_t *addr);

/* Are the two the same? Recordings made before perf 5.12 fill short ones up with zeros. */
bool pmf_build_ids_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);
/* "FOLDER/.build-id/ab/cdef…" and @suffix, where build-id folders keep what belongs to @id; NULL for
 * one that is too short. free(3) it. */
char *pmf_build_id_path(const char *folder, const uint8_t *id, size_t len, const char *suffix);

#endif
